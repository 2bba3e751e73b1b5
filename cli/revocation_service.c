/* cli/revocation_service.c - what is kept about revocation, as the service has it: the store's part, and lists. */
#include <stdlib.h>
#include <string.h>

#include "cli/revocation.h"
#include "cli/service.h"

#define ASK_MS		30000
#define REVOCATION	"io.cardmap.Revocation"

struct cm_cli_told {
	struct cm_cli *cli;
	struct cm_wire *daemon, *resolver;
	json_t *sources, *lists;	/* replies */
	struct cm_evidence *evidence;
};

enum cm_err
cm_cli_told_nonsense(struct cm_cli *c)
{
	return cm_trace_fail(c->trace, CM_REASON_NO_SERVICE, "what the service in %s answers makes no sense: "
	    "is it of another version than this program?", c->run_dir);
}

/* Its result; the caller's. */
static enum cm_err
ask(struct cm_cli *c, struct cm_wire *w, json_t *parameters, json_t **result)
{
	json_t *reply = NULL;
	enum cm_err err = cm_cli_service_ask(c, w, REVOCATION, parameters, ASK_MS, &reply);

	*result = json_incref(json_object_get(reply, "result"));
	json_decref(reply);
	return err == CM_OK && !json_is_object(*result) ? cm_cli_told_nonsense(c) : err;
}

static enum cm_err
ask_for(struct cm_cli *c, struct cm_wire *w, const char *action, json_t **result)
{
	return ask(c, w, json_pack("{s:s}", "action", action), result);
}

static enum cm_err
read_evidence(struct cm_cli_told *t, struct cm_known *known)
{
	json_t *result = NULL;
	const json_t *list;
	enum cm_err err = ask_for(t->cli, t->daemon, "list", &result);
	const size_t count = json_array_size(list = json_object_get(result, "evidence"));

	if (err == CM_OK && (t->evidence = calloc(count + 1, sizeof(*t->evidence))) == NULL)
		err = CM_ERR_NOMEM;
	for (size_t i = 0; err == CM_OK && i < count; i++)
		if (!cm_cli_read_evidence(json_array_get(list, i), &t->evidence[i]))
			err = cm_cli_told_nonsense(t->cli);
	known->evidence = t->evidence;
	known->count = err == CM_OK ? count : 0;
	json_decref(result);
	return err;
}

enum cm_err
cm_cli_told_open(struct cm_cli *c, struct cm_known *known, struct cm_cli_told **out)
{
	struct cm_cli_told *t = calloc(1, sizeof(*t));
	enum cm_err err = CM_ERR_NOMEM;

	if (t == NULL)
		return err;
	t->cli = c;
	if ((err = cm_cli_service_open(c, CM_CLI_DAEMON, &t->daemon)) == CM_OK && t->daemon != NULL &&
	    (err = cm_cli_service_need(c, CM_CLI_RESOLVER, &t->resolver)) == CM_OK &&
	    (err = ask_for(c, t->daemon, "status", &t->sources)) == CM_OK &&
	    (err = read_evidence(t, known)) == CM_OK &&
	    (err = ask_for(c, t->resolver, "lists", &t->lists)) == CM_OK) {
		known->stale_clock = json_is_true(json_object_get(t->lists, "clock_unsound"));
		*out = t;
		return err;
	}
	known->evidence = NULL;
	cm_cli_told_free(&t);
	return err;
}

void
cm_cli_told_free(struct cm_cli_told **told)
{
	struct cm_cli_told *t = *told;

	*told = NULL;
	if (t == NULL)
		return;
	json_decref(t->sources);
	json_decref(t->lists);
	cm_wire_free(&t->daemon);
	cm_wire_free(&t->resolver);
	free(t->evidence);
	free(t);
}

/* ---- sources */

static const char *
text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text != NULL ? text : "";
}

static bool
read_kind(const json_t *o, enum cm_source_kind *out)
{
	for (int k = CM_SOURCE_OCSP; k <= CM_SOURCE_DELTA; k++)
		if (strcmp(text_of(o, "kind"), cm_cli_source_kind((enum cm_source_kind)k)) == 0) {
			*out = (enum cm_source_kind)k;
			return true;
		}
	return false;
}

static bool
read_source(const json_t *o, struct cm_source *s)
{
	const struct cm_blob key = cm_blob_str(text_of(o, "issuer_key"));

	s->failures = (unsigned)json_integer_value(json_object_get(o, "failures"));
	snprintf(s->url, sizeof(s->url), "%s", text_of(o, "url"));
	snprintf(s->why, sizeof(s->why), "%s", text_of(o, "why"));
	return key.len == 2 * sizeof(s->issuer_key) && cm_hex_parse(key, s->issuer_key, sizeof(s->issuer_key)) == key.len &&
	    read_kind(o, &s->kind) && cm_cli_read_time(o, "seen", &s->seen) && cm_cli_read_time(o, "asked", &s->asked) &&
	    cm_cli_read_time(o, "answered", &s->answered) && cm_cli_read_time(o, "probe_at", &s->probe_at);
}

enum cm_err
cm_cli_told_sources(const struct cm_cli_told *told, cm_seen_visit visit, void *arg)
{
	const json_t *list = json_object_get(told->sources, "sources"), *o;
	enum cm_err err = CM_OK;
	size_t i;

	json_array_foreach(list, i, o) {
		const struct cm_blob text = cm_blob_str(text_of(o, "issuer"));
		struct cm_source s = { .seen = 0 };
		uint8_t *der = err == CM_OK ? malloc(text.len + 1) : NULL;
		size_t len;

		if (err != CM_OK)
			break;
		if (der == NULL)
			return CM_ERR_NOMEM;
		if ((len = cm_base64_parse(text, true, der)) == SIZE_MAX || !read_source(o, &s))
			err = cm_cli_told_nonsense(told->cli);
		else if (!cm_source_is_of((struct cm_blob){ der, len }, &s))
			err = cm_source_leave_out(told->cli->trace, &s);
		else
			err = visit(arg, (struct cm_blob){ der, len }, &s);
		free(der);
	}
	return err;
}

/* ---- accounts, lists */

enum cm_err
cm_cli_told_accounts(const struct cm_cli_told *told, cm_kept_visit visit, void *arg)
{
	return cm_cli_accounts_of_service(told->cli, told->daemon, NULL, &(struct cm_cli_accounts_visit){ .kept = visit, .arg = arg });
}

const json_t *
cm_cli_told_lists(const struct cm_cli_told *told)
{
	return json_object_get(told->lists, "lists");
}

enum cm_err
cm_cli_told_outlook(const struct cm_cli_told *told, const struct cm_cert *cert, json_t **out)
{
	struct cm_buf der = { 0 };
	json_t *result = NULL;
	enum cm_err err;

	cm_buf_add_base64(&der, cm_cert_der(cert));
	err = ask(told->cli, told->resolver, json_pack("{s:s, s:{s:s}}", "action", "outlook", "parameters", "certificate",
	    cm_buf_str(&der)), &result);
	*out = json_incref(json_object_get(result, "outlook"));
	json_decref(result);
	cm_buf_free(&der);
	return err == CM_OK && *out == NULL ? cm_cli_told_nonsense(told->cli) : err;
}

/* ---- what lists say of one certificate */

static json_t *
name_certificate(const char *action, const struct cm_evidence *about)
{
	struct cm_buf key = { 0 }, serial = { 0 };
	json_t *o;

	cm_buf_add_hex(&key, (struct cm_blob){ about->issuer_key, sizeof(about->issuer_key) });
	cm_buf_add_hex(&serial, (struct cm_blob){ about->serial, about->serial_len });
	o = json_pack("{s:s, s:{s:s, s:s}}", "action", action, "parameters", "issuer_key", cm_buf_str(&key), "serial",
	    cm_buf_str(&serial));
	cm_buf_free(&key);
	cm_buf_free(&serial);
	return o;
}

enum cm_err
cm_cli_told_listed(struct cm_cli *c, struct cm_wire *resolver, const struct cm_evidence *about, bool *carried,
    struct cm_evidence *e, struct cm_buf *file)
{
	json_t *result = NULL;
	enum cm_err err = ask(c, resolver, name_certificate("listed", about), &result);

	*carried = json_is_true(json_object_get(result, "carried"));
	*e = (struct cm_evidence){ .status = CM_STATUS_REVOKED, .by_list = true,
		.next_update = (time_t)json_integer_value(json_object_get(result, "next_update")) };
	snprintf(e->source, sizeof(e->source), "%s", text_of(result, "source"));
	cm_buf_add_str(file, text_of(result, "file"));
	json_decref(result);
	return err;
}

enum cm_err
cm_cli_told_unlist(struct cm_cli *c, struct cm_wire *resolver, const struct cm_evidence *about)
{
	json_t *result = NULL;
	enum cm_err err = ask(c, resolver, name_certificate("unlist", about), &result);

	if (err == CM_OK && !json_is_true(json_object_get(result, "forgotten")))
		err = CM_ERR_ABSENT;
	json_decref(result);
	return err;
}
