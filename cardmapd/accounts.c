/* cardmapd/accounts.c - Accounts: what is kept for logins without a network, listed and forgotten. */
#include "cardmapd/jobs.h"
#include "cardmapd/kept.h"
#include "cardmapd/methods.h"
#include "cardmapd/record.h"
#include "service/answer.h"

static enum cm_err
tell(void *arg, const struct cm_kept *k)
{
	return json_array_append_new(arg, cm_kept_account(k)) == 0 ? CM_OK : CM_ERR_NOMEM;
}

static enum cm_err
answer(struct cm_varlink_turn *turn, enum cm_err err, const struct cm_trace *t, json_t *list)
{
	if (err == CM_OK)
		return cm_varlink_answer(turn, json_pack("{s:o}", "accounts", list), cm_deadline_in(CM_JOB_SEND_MS));
	json_decref(list);
	return cm_kept_fail(turn, t);
}

static enum cm_err
run(struct cm_daemon *d, struct cm_varlink_turn *turn, json_t *parameters)
{
	const char *name = json_string_value(json_object_get(parameters, "forget"));
	struct cm_accounts *store = NULL;
	struct cm_trace *t = NULL;
	json_t *list = json_array();
	enum cm_err err = cm_trace_new(&t);

	if (err == CM_OK)
		err = cm_daemon_open_store(d, t, &store);
	if (err == CM_OK)
		err = name != NULL ? cm_accounts_forget(store, name, t) : cm_accounts_list(store, t, tell, list);
	if (name != NULL) {
		const struct cm_log_entry e = { .event = "accounts-forget", .err = err, .reason = cm_trace_reason(t),
			.text = cm_trace_message(t), .user = name, .uid = CM_LOG_NO_UID };

		cm_record_write(d->record, &e);
	}
	err = answer(turn, err, t, list);
	cm_accounts_close(&store);
	cm_trace_free(&t);
	return err;
}

enum cm_err
cm_method_accounts(struct cm_varlink_request *r)
{
	const struct cm_client *c = r->context;
	const char *forget = NULL;
	const struct cm_parameter rows[] = { { "forget", CM_PARAMETER_TEXT, false, &forget } };
	enum cm_err err = CM_OK;

	if (!cm_parameters_take(r, rows, CM_COUNT(rows), &err))
		return err;
	return cm_jobs_run(c->daemon->jobs, r, run, NULL);
}
