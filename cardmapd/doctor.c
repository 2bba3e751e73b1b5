/* cardmapd/doctor.c - Doctor: what is kept of accounts, for whoever asks whether tomorrow's login will work. */
#include <string.h>

#include "cardmapd/jobs.h"
#include "cardmapd/kept.h"
#include "cardmapd/methods.h"
#include "cardmapd/permissions.h"

struct doing {
	const char *user;
	bool own;		/* only about the caller himself: */
	uid_t caller;
	json_t *accounts;
};

static enum cm_err
tell(void *arg, const struct cm_kept *k)
{
	struct doing *d = arg;

	if (d->own && k->account->uid != d->caller)
		return CM_OK;
	return json_array_append_new(d->accounts, cm_kept_account(k)) == 0 ? CM_OK : CM_ERR_NOMEM;
}

/* CM_ERR_STATE: it is not for the caller to know, or it is not there. */
static enum cm_err
look(struct doing *d, struct cm_accounts *store, struct cm_trace *t, json_t *reply)
{
	struct cm_known known;
	size_t more = 0;
	enum cm_err err;

	if ((err = d->user != NULL ? cm_accounts_list_of(store, d->user, t, tell, d) :
	    cm_accounts_list_latest(store, CM_KEPT_LATEST, t, tell, d, &more)) != CM_OK ||
	    (err = cm_accounts_clock(store, cm_clock_now(), t, &known)) != CM_OK)
		return err;
	if (d->own && json_array_size(d->accounts) == 0)
		return CM_ERR_STATE;
	json_object_set(reply, "accounts", d->accounts);
	json_object_set_new(reply, "more", json_integer((json_int_t)more));
	json_object_set_new(reply, "clock", json_pack("{s:b}", "unsound", known.stale_clock));
	cm_kept_time(json_object_get(reply, "clock"), "floor", known.floor);
	return CM_OK;
}

static enum cm_err
run(struct cm_daemon *daemon, struct cm_varlink_turn *turn, json_t *parameters)
{
	struct doing d = { .user = json_string_value(json_object_get(parameters, "user")),
		.own = json_object_get(parameters, "caller") != NULL,
		.caller = (uid_t)json_integer_value(json_object_get(parameters, "caller")), .accounts = json_array() };
	json_t *reply = json_object();
	struct cm_accounts *store = NULL;
	struct cm_trace *t = NULL;
	enum cm_err err = cm_trace_new(&t);

	if (err == CM_OK)
		err = cm_daemon_open_store(daemon, t, &store);
	if (err == CM_OK)
		err = look(&d, store, t, reply);
	if (err == CM_OK)
		err = cm_varlink_answer(turn, json_incref(reply), cm_deadline_in(CM_JOB_SEND_MS));
	else if (err == CM_ERR_STATE)
		err = cm_varlink_error(turn, CM_VARLINK_PERMISSION_DENIED, json_object(), cm_deadline_in(CM_JOB_SEND_MS));
	else
		err = cm_kept_fail(turn, t);
	json_decref(reply);
	json_decref(d.accounts);
	cm_accounts_close(&store);
	cm_trace_free(&t);
	return err;
}

/* Of a user who names nobody it would be all accounts that are gone through: he is somebody. */
enum cm_err
cm_method_doctor(struct cm_varlink_request *r)
{
	const struct cm_client *c = r->context;
	const char *user = NULL;
	const struct cm_parameter rows[] = { { "user", CM_PARAMETER_TEXT, false, &user } };
	json_t *parameters;
	enum cm_err err = CM_OK;

	if (!cm_parameters_take(r, rows, CM_COUNT(rows), &err))
		return err;
	if ((parameters = json_copy(r->call->parameters)) == NULL)
		return CM_ERR_NOMEM;
	if (cm_permissions_of(r->call->method, c->who) == CM_MAY_OWN) {
		if (user == NULL) {
			json_decref(parameters);
			return cm_varlink_invalid(&r->turn, "user", r->deadline);
		}
		json_object_set_new(parameters, "caller", json_integer((json_int_t)c->peer.uid));
	}
	return cm_jobs_run(c->daemon->jobs, r, run, parameters);
}
