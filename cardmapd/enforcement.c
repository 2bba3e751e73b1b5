/* cardmapd/enforcement.c - Enforcement: root's word that somebody may log in once without a card; why somebody must use one. */
#include <string.h>

#include "cache/skip.h"
#include "cardmapd/jobs.h"
#include "cardmapd/kept.h"
#include "cardmapd/methods.h"
#include "cardmapd/record.h"
#include "cardmapd/standing.h"
#include "service/enforcement_explain.h"
#include "service/local.h"

struct doing {
	struct cm_daemon *daemon;
	struct cm_accounts *store;
	struct cm_trace *trace;
	const char *user;
	const json_t *parameters;
	bool own;		/* only about the caller himself: */
	uid_t caller;
	bool seen;		/* ... whose account the directory says it is */
};

/* ---- skip_once */

static enum cm_err
skip_once(struct doing *d, json_t *result)
{
	struct cm_skip m;
	char until[CM_TIME_SIZE];
	struct cm_buf text = { 0 };
	const enum cm_err err = cm_skip_make(d->store, d->user, cm_clock_now(), d->trace, &m);

	if (err == CM_OK)
		cm_buf_addf(&text, "%s may log in once without a card, until %s", d->user, cm_clock_text(m.expires, until));
	else
		cm_buf_addf(&text, "%s", cm_trace_message(d->trace));
	const struct cm_log_entry e = { .event = "skip-once", .err = err, .reason = cm_trace_reason(d->trace), .text = cm_buf_str(&text),
		.user = d->user, .uid = CM_LOG_NO_UID };

	cm_record_write(d->daemon->record, &e);
	cm_buf_free(&text);
	cm_kept_time(result, "made", m.made);
	cm_kept_time(result, "expires", m.expires);
	return err;
}

/* ---- explain */

static enum cm_err
ask(void *arg, const char *user, const char *group, struct cm_trace *t, struct cm_facts *said)
{
	struct doing *d = arg;
	struct cm_account *account = NULL;
	const enum cm_err err = cm_daemon_ask_standing(d->daemon, &(struct cm_standing_question){ .user = user, .group = group }, t,
	    &account, said);

	d->seen = d->seen || (err == CM_OK && account->uid == d->caller);
	cm_account_free(&account);
	return err;
}

static bool
is_named(const struct passwd *e, const char *name)
{
	return strcmp(e->pw_name, name) == 0;
}

static enum cm_err
see_kept(void *arg, const struct cm_kept *k)
{
	struct doing *d = arg;

	d->seen = d->seen || k->account->uid == d->caller;
	return CM_OK;
}

/* By its uid: here, as it is kept, or as the directory has it now. */
static bool
is_own(struct doing *d)
{
	struct passwd entry;
	char texts[CM_LOCAL_TEXTS];

	if (cm_local_find_user(d->user, is_named, &entry, texts))
		return entry.pw_uid == d->caller;
	return d->seen || (cm_accounts_list_of(d->store, d->user, NULL, see_kept, d) == CM_OK && d->seen);
}

/* CM_ERR_STATE: it is not for the caller to know. */
static enum cm_err
explain(struct doing *d, json_t *result)
{
	const struct cm_enforcement_explaining x = { .conf = d->daemon->conf, .store = d->store, .user = d->user,
		.what_if = json_object_get(d->parameters, "what_if"), .ask = ask, .arg = d };
	json_t *told = NULL;
	enum cm_err err = cm_enforcement_explain(&x, d->trace, &told);

	if (d->own && !is_own(d))
		err = CM_ERR_STATE;
	if (err == CM_OK)
		json_object_update(result, told);
	json_decref(told);
	return err;
}

static const struct action {
	const char *name;
	bool of_user, roots;
	enum cm_err (*run)(struct doing *, json_t *result);
} actions[] = {
	{ "skip_once", true, true, skip_once },
	{ "explain", true, false, explain },
};

static const struct action *
find_action(const char *name)
{
	for (size_t i = 0; i < CM_COUNT(actions); i++)
		if (strcmp(actions[i].name, name) == 0)
			return &actions[i];
	return NULL;
}

static enum cm_err
run(struct cm_daemon *daemon, struct cm_varlink_turn *turn, json_t *parameters)
{
	const struct action *a = find_action(json_string_value(json_object_get(parameters, "action")));
	struct doing d = { .daemon = daemon, .user = json_string_value(json_object_get(parameters, "user")),
		.parameters = json_object_get(parameters, "parameters"), .own = json_object_get(parameters, "caller") != NULL,
		.caller = (uid_t)json_integer_value(json_object_get(parameters, "caller")) };
	json_t *result = json_object();
	enum cm_err err = cm_trace_new(&d.trace);

	if (err == CM_OK)
		err = cm_daemon_open_store(daemon, d.trace, &d.store);
	if (err == CM_OK)
		err = a->run(&d, result);
	if (err == CM_OK)
		err = cm_varlink_answer(turn, json_pack("{s:O}", "result", result), cm_deadline_in(CM_JOB_SEND_MS));
	else if (err == CM_ERR_STATE)
		err = cm_varlink_error(turn, CM_VARLINK_PERMISSION_DENIED, json_object(), cm_deadline_in(CM_JOB_SEND_MS));
	else
		err = cm_kept_fail(turn, d.trace);
	json_decref(result);
	cm_accounts_close(&d.store);
	cm_trace_free(&d.trace);
	return err;
}

/* NULL: nothing is supposed. */
static bool
is_texts(const json_t *what_if)
{
	const char *key;
	json_t *value;

	if (what_if != NULL && !json_is_object(what_if))
		return false;
	json_object_foreach((json_t *)(uintptr_t)what_if, key, value)
		if (!json_is_string(value))
			return false;
	return true;
}

enum cm_err
cm_method_enforcement(struct cm_varlink_request *r)
{
	const struct cm_client *c = r->context;
	const char *action = NULL, *user = NULL;
	json_t *more = NULL, *parameters;
	const struct cm_parameter rows[] = {
		{ "action", CM_PARAMETER_TEXT, true, &action }, { "user", CM_PARAMETER_TEXT, false, &user },
		{ "parameters", CM_PARAMETER_OBJECT, false, &more },
	};
	const struct action *a;
	enum cm_err err = CM_OK;

	if (!cm_parameters_take(r, rows, CM_COUNT(rows), &err))
		return err;
	if ((a = find_action(action)) == NULL)
		return cm_varlink_invalid(&r->turn, "action", r->deadline);
	if (a->of_user && (user == NULL || user[0] == '\0'))
		return cm_varlink_invalid(&r->turn, "user", r->deadline);
	if (a->roots && c->who != CM_CALLER_ROOT)
		return cm_varlink_error(&r->turn, CM_VARLINK_PERMISSION_DENIED, json_object(), r->deadline);
	if (!is_texts(json_object_get(more, "what_if")))
		return cm_varlink_invalid(&r->turn, "parameters", r->deadline);
	if ((parameters = json_copy(r->call->parameters)) == NULL)
		return CM_ERR_NOMEM;
	if (cm_permissions_of(r->call->method, c->who) == CM_MAY_OWN)
		json_object_set_new(parameters, "caller", json_integer((json_int_t)c->peer.uid));
	return cm_jobs_run(c->daemon->jobs, r, run, parameters);
}
