/* cardmapd/accounts.c - Accounts: what is kept for logins without a network, listed and forgotten. */
#include "cache/mobile.h"
#include "cache/standing.h"
#include "cardmapd/jobs.h"
#include "cardmapd/kept.h"
#include "cardmapd/methods.h"
#include "cardmapd/record.h"
#include "service/answer.h"

struct telling {
	struct cm_accounts *store;
	json_t *accounts, *closed;
};

static json_t *
mobile_of(const struct telling *a, const char *name)
{
	struct cm_mobile_seen seen;
	json_t *o;

	cm_mobile_see(a->store, name, cm_clock_now(), &seen);
	if (!seen.exists)
		return json_null();
	o = json_pack("{s:s}", "state", cm_mobile_seen_word(&seen));
	cm_kept_time(o, "made", seen.made);
	cm_kept_time(o, "refreshed", seen.refreshed);
	cm_kept_time(o, "expires", seen.expires);
	return o;
}

static enum cm_err
tell(void *arg, const struct cm_kept *k)
{
	const struct telling *a = arg;
	json_t *o = cm_kept_account(k);

	json_object_set_new(o, "mobile", mobile_of(a, k->account->name));
	return json_array_append_new(a->accounts, o) == 0 ? CM_OK : CM_ERR_NOMEM;
}

static enum cm_err
tell_closed(void *arg, const char *name, const struct cm_standing *st)
{
	const struct telling *a = arg;
	json_t *o = json_pack("{s:I}", "uid", (json_int_t)st->uid);

	cm_answer_set_text(o, "name", name);
	cm_answer_set_text(o, "reason", cm_reason_name(st->reason));
	cm_answer_set_text(o, "text", st->text);
	cm_kept_time(o, "closed", st->at);
	return json_array_append_new(a->closed, o) == 0 ? CM_OK : CM_ERR_NOMEM;
}

static enum cm_err
answer(struct cm_varlink_turn *turn, enum cm_err err, const struct cm_trace *t, const struct telling *a)
{
	if (err == CM_OK)
		return cm_varlink_answer(turn, json_pack("{s:O, s:O}", "accounts", a->accounts, "closed", a->closed),
		    cm_deadline_in(CM_JOB_SEND_MS));
	return cm_kept_fail(turn, t);
}

static enum cm_err
run(struct cm_daemon *d, struct cm_varlink_turn *turn, json_t *parameters)
{
	const char *name = json_string_value(json_object_get(parameters, "forget"));
	struct telling a = { .accounts = json_array(), .closed = json_array() };
	struct cm_trace *t = NULL;
	enum cm_err err = cm_trace_new(&t);

	if (err == CM_OK)
		err = cm_daemon_open_store(d, t, &a.store);
	if (err == CM_OK && name != NULL)
		err = cm_accounts_forget(a.store, name, t);
	else if (err == CM_OK && (err = cm_accounts_list(a.store, t, tell, &a)) == CM_OK)
		err = cm_standing_each_closed(a.store, t, tell_closed, &a);
	if (name != NULL) {
		const struct cm_log_entry e = { .event = "accounts-forget", .err = err, .reason = cm_trace_reason(t),
			.text = cm_trace_message(t), .user = name, .uid = CM_LOG_NO_UID };

		cm_record_write(d->record, &e);
	}
	err = answer(turn, err, t, &a);
	cm_accounts_close(&a.store);
	cm_trace_free(&t);
	json_decref(a.accounts);
	json_decref(a.closed);
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
