/* cardmapd/enforcement.c - Enforcement: root's word that somebody may log in once without a card. */
#include <string.h>

#include "cache/skip.h"
#include "cardmapd/jobs.h"
#include "cardmapd/kept.h"
#include "cardmapd/methods.h"
#include "cardmapd/record.h"

struct doing {
	struct cm_daemon *daemon;
	struct cm_accounts *store;
	struct cm_trace *trace;
	const char *user;
};

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

static const struct action {
	const char *name;
	bool of_user;
	enum cm_err (*run)(struct doing *, json_t *result);
} actions[] = {
	{ "skip_once", true, skip_once },
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
	struct doing d = { .daemon = daemon, .user = json_string_value(json_object_get(parameters, "user")) };
	json_t *result = json_object();
	enum cm_err err = cm_trace_new(&d.trace);

	if (err == CM_OK)
		err = cm_daemon_open_store(daemon, d.trace, &d.store);
	if (err == CM_OK)
		err = a->run(&d, result);
	if (err == CM_OK)
		err = cm_varlink_answer(turn, json_pack("{s:O}", "result", result), cm_deadline_in(CM_JOB_SEND_MS));
	else
		err = cm_kept_fail(turn, d.trace);
	json_decref(result);
	cm_accounts_close(&d.store);
	cm_trace_free(&d.trace);
	return err;
}

enum cm_err
cm_method_enforcement(struct cm_varlink_request *r)
{
	const struct cm_client *c = r->context;
	const char *action = NULL, *user = NULL;
	const struct cm_parameter rows[] = {
		{ "action", CM_PARAMETER_TEXT, true, &action }, { "user", CM_PARAMETER_TEXT, false, &user },
	};
	const struct action *a;
	enum cm_err err = CM_OK;

	if (!cm_parameters_take(r, rows, CM_COUNT(rows), &err))
		return err;
	if ((a = find_action(action)) == NULL)
		return cm_varlink_invalid(&r->turn, "action", r->deadline);
	if (a->of_user && (user == NULL || user[0] == '\0'))
		return cm_varlink_invalid(&r->turn, "user", r->deadline);
	return cm_jobs_run(c->daemon->jobs, r, run, NULL);
}
