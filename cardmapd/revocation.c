/* cardmapd/revocation.c - Revocation: what the store has of it, told and forgotten; lists are the resolver's. */
#include <stdlib.h>

#include "cardmapd/jobs.h"
#include "cardmapd/kept.h"
#include "cardmapd/methods.h"
#include "cardmapd/record.h"
#include "service/answer.h"

#define HEX_KEY		32
#define SERIAL_MAX	32

struct doing {
	struct cm_daemon *daemon;
	struct cm_accounts *store;
	struct cm_trace *trace;
	const json_t *parameters;
	json_t *list;
};

static enum cm_err
add_evidence(void *arg, const struct cm_evidence *e)
{
	struct doing *d = arg;

	return json_array_append_new(d->list, cm_kept_evidence(e)) == 0 ? CM_OK : CM_ERR_NOMEM;
}

static enum cm_err
list(struct doing *d, json_t *result)
{
	json_object_set(result, "evidence", d->list);
	return cm_accounts_each_evidence(d->store, d->trace, add_evidence, d);
}

static enum cm_err
add_source(void *arg, struct cm_blob issuer, const struct cm_source *s)
{
	static const char *const kinds[] = { [CM_SOURCE_OCSP] = "OCSP", [CM_SOURCE_CRL] = "CRL", [CM_SOURCE_DELTA] = "delta" };
	struct doing *d = arg;
	json_t *o = json_pack("{s:i}", "failures", (int)s->failures);
	struct cm_buf der = { 0 }, key = { 0 };

	cm_answer_set_text(o, "url", s->url);
	cm_kept_time(o, "seen", s->seen);
	cm_kept_time(o, "asked", s->asked);
	cm_kept_time(o, "answered", s->answered);
	cm_kept_time(o, "probe_at", s->probe_at);
	cm_answer_set_text(o, "why", s->why);
	cm_buf_add_base64(&der, issuer);
	json_object_set_new(o, "issuer", json_string(cm_buf_str(&der)));
	cm_buf_add_hex(&key, (struct cm_blob){ s->issuer_key, sizeof(s->issuer_key) });
	json_object_set_new(o, "issuer_key", json_string(cm_buf_str(&key)));
	json_object_set_new(o, "kind", json_string((size_t)s->kind < CM_COUNT(kinds) ? kinds[s->kind] : ""));
	cm_buf_free(&key);
	cm_buf_free(&der);
	return json_array_append_new(d->list, o) == 0 ? CM_OK : CM_ERR_NOMEM;
}

static enum cm_err
status(struct doing *d, json_t *result)
{
	json_object_set(result, "sources", d->list);
	return cm_accounts_each_source_unread(d->store, d->trace, add_source, d);	/* who asked decodes them */
}

static bool
take_hex(const struct doing *d, const char *key, uint8_t *out, size_t size, size_t *len)
{
	const char *text = json_string_value(json_object_get(json_object_get(d->parameters, "parameters"), key));
	size_t digits;

	if (text == NULL)
		return false;
	digits = cm_hex_parse(cm_blob_str(text), out, size);
	*len = digits / 2;
	return digits != SIZE_MAX && digits % 2 == 0 && *len > 0 && *len <= size;
}

/* By issuer_key and serial, as list has them. */
static enum cm_err
forget(struct doing *d, json_t *result)
{
	uint8_t key[HEX_KEY], serial[SERIAL_MAX];
	size_t key_len, serial_len;
	struct cm_buf text = { 0 };
	enum cm_err err;

	if (!take_hex(d, "issuer_key", key, sizeof(key), &key_len) || key_len != sizeof(key) ||
	    !take_hex(d, "serial", serial, sizeof(serial), &serial_len))
		return cm_trace_fail(d->trace, CM_REASON_USAGE, "forget takes issuer_key and serial, in hex, as list has them");
	err = cm_accounts_forget_evidence(d->store, key, (struct cm_blob){ serial, serial_len }, d->trace);
	if (err == CM_ERR_ABSENT)
		cm_trace_fail(d->trace, CM_REASON_NO_EVIDENCE, "nothing is kept of this certificate");
	cm_buf_add_hex(&text, (struct cm_blob){ serial, serial_len });
	const struct cm_log_entry e = { .event = "revocation-forget", .err = err, .reason = cm_trace_reason(d->trace),
		.text = cm_trace_message(d->trace), .serial = cm_buf_str(&text), .uid = CM_LOG_NO_UID };

	cm_record_write(d->daemon->record, &e);
	json_object_set_new(result, "forgotten", json_string(cm_buf_str(&text)));
	cm_buf_free(&text);
	return err;
}

/* refresh fetches and parses lists: a process that has a network does that (cardmap revocation refresh). */
static const struct action {
	const char *name;
	enum cm_err (*run)(struct doing *, json_t *result);
} actions[] = {
	{ "status", status }, { "list", list }, { "forget", forget },
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
	struct doing d = { .daemon = daemon, .parameters = parameters, .list = json_array() };
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
	json_decref(d.list);
	cm_accounts_close(&d.store);
	cm_trace_free(&d.trace);
	return err;
}

enum cm_err
cm_method_revocation(struct cm_varlink_request *r)
{
	const struct cm_client *c = r->context;
	const char *action = NULL;
	json_t *parameters = NULL;
	const struct cm_parameter rows[] = {
		{ "action", CM_PARAMETER_TEXT, true, &action }, { "parameters", CM_PARAMETER_OBJECT, false, &parameters },
	};
	static const char *const of_resolver[] = { "lists", "outlook", "listed", "unlist" };
	enum cm_err err = CM_OK;

	if (!cm_parameters_take(r, rows, CM_COUNT(rows), &err))
		return err;
	for (size_t i = 0; i < CM_COUNT(of_resolver); i++)
		if (strcmp(action, of_resolver[i]) == 0)
			return cm_method_elsewhere(r);
	if (strcmp(action, "refresh") == 0)
		return cm_varlink_error(&r->turn, "io.cardmap.NotServedHere", json_pack("{s:s}", "where", "cardmap revocation refresh"),
		    r->deadline);
	if (cm_permissions_of(r->call->method, c->who) == CM_MAY_OWN)
		return cm_varlink_error(&r->turn, CM_VARLINK_PERMISSION_DENIED, json_object(), r->deadline);
	/* The helpdesk reads it. */
	if (c->who != CM_CALLER_ROOT && strcmp(action, "forget") == 0)
		return cm_varlink_error(&r->turn, CM_VARLINK_PERMISSION_DENIED, json_object(), r->deadline);
	if (find_action(action) == NULL)
		return cm_varlink_invalid(&r->turn, "action", r->deadline);
	return cm_jobs_run(c->daemon->jobs, r, run, NULL);
}
