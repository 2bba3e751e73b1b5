/* resolver/revocation.c - Revocation, as far as lists go: those that logins here read, and what they will make of them. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "resolver/questions.h"
#include "service/outlook.h"

#define CERT_MAX	16384

struct asking {
	struct cm_host host;
	struct cm_memory *memory;
	struct cm_known known;
	struct cm_trace *trace;
	const json_t *parameters;	/* borrowed; NULL: none */
	bool own;			/* only about the caller's account: */
	uid_t caller;
	json_t *list;
};

static enum cm_err
add_list(void *arg, const struct cm_kept_list *l)
{
	struct asking *a = arg;
	json_t *o = NULL;
	enum cm_err err = cm_outlook_list(&a->host, &a->known, l, &o);

	if (err == CM_OK && json_array_append(a->list, o) != 0)
		err = CM_ERR_NOMEM;
	json_decref(o);
	return err;
}

static enum cm_err
status(struct asking *a, json_t *result)
{
	json_object_set(result, "lists", a->list);
	json_object_set_new(result, "clock_unsound", json_boolean(a->known.stale_clock));
	return cm_trust_each_kept_list(a->host.trust, add_list, a);
}

static enum cm_err
read_certificate(const struct asking *a, struct cm_cert **out)
{
	const char *text = json_string_value(json_object_get(a->parameters, "certificate"));
	struct cm_buf der = { 0 };
	enum cm_err err = CM_ERR_SYNTAX;
	uint8_t *to;

	if (text != NULL && strlen(text) <= CERT_MAX / 3 * 4 && (to = cm_buf_extend(&der, strlen(text) / 4 * 3 + 3)) != NULL) {
		const size_t n = cm_base64_parse(cm_blob_str(text), true, to);

		if (n != SIZE_MAX)
			err = cm_cert_decode((struct cm_blob){ to, n }, a->trace, out);
	}
	cm_buf_free(&der);
	return err == CM_ERR_SYNTAX && cm_trace_reason(a->trace) == CM_REASON_NONE ? cm_trace_fail(a->trace, CM_REASON_USAGE,
	    "outlook takes a certificate, base64 of its DER") : err;
}

/* What opens nobody's account here, or another's, is not the caller's to know. */
static enum cm_err
check_own(const struct asking *a, const struct cm_cert *cert)
{
	struct cm_account *account = NULL;
	int64_t age;
	bool own;

	if (!a->own)
		return CM_OK;
	own = cm_accounts_find(a->host.accounts, cert, a->known.now, NULL, &account, &age) == CM_OK && account->uid == a->caller;
	cm_account_free(&account);
	return own ? CM_OK : CM_ERR_STATE;
}

static void
tell_until(const struct asking *a, const struct cm_cert *cert, json_t *o)
{
	const time_t tomorrow = a->known.now + cm_outlook_times[1].seconds;
	const bool opens = json_is_true(json_object_get(json_object_get(o, cm_outlook_times[1].name), "opens"));
	const time_t until = opens ? cm_outlook_until(&a->host, &a->known, cert, tomorrow) : 0;
	char text[CM_TIME_SIZE];

	json_object_set_new(o, "until", until != 0 ? json_string(cm_clock_text(until, text)) : json_null());
}

static enum cm_err
outlook(struct asking *a, json_t *result)
{
	struct cm_cert *cert = NULL;
	json_t *o = NULL;
	enum cm_err err = read_certificate(a, &cert);

	if (err == CM_OK && (err = check_own(a, cert)) == CM_OK &&
	    (err = cm_outlook_login(&a->host, &a->known, cert, &o)) == CM_OK) {
		if (json_is_true(json_object_get(a->parameters, "until")))
			tell_until(a, cert, o);
		json_object_set(result, "outlook", o);
	}
	json_decref(o);
	cm_cert_free(&cert);
	return err;
}

/* ---- what a certificate's CA revoked once, for whoever forgets it */

struct certificate {
	uint8_t issuer_key[32], serial[32];
	size_t serial_len;
};

static size_t
read_hex(const struct asking *a, const char *key, uint8_t *out, size_t size)
{
	const char *text = json_string_value(json_object_get(a->parameters, key));
	const size_t len = text != NULL ? strlen(text) : 0;

	return len > 0 && len % 2 == 0 && len <= 2 * size && cm_hex_parse(cm_blob_str(text), out, size) == len ? len / 2 : 0;
}

static enum cm_err
read_named(const struct asking *a, struct certificate *c)
{
	c->serial_len = read_hex(a, "serial", c->serial, sizeof(c->serial));
	if (c->serial_len > 0 && read_hex(a, "issuer_key", c->issuer_key, sizeof(c->issuer_key)) == sizeof(c->issuer_key))
		return CM_OK;
	return cm_trace_fail(a->trace, CM_REASON_USAGE, "listed and unlist take issuer_key and serial, in hex, as list has them");
}

/* Carried over from former lists, and what one that is in force says of it. */
static enum cm_err
listed(struct asking *a, json_t *result)
{
	struct cm_evidence e;
	struct cm_buf file = { 0 };
	struct certificate c;
	enum cm_err err = read_named(a, &c);

	if (err != CM_OK)
		return err;
	const struct cm_blob serial = { c.serial, c.serial_len };

	json_object_set_new(result, "carried", json_boolean(cm_trust_has_carried(a->host.trust, c.issuer_key, serial)));
	if (cm_trust_find_listed(a->host.trust, c.issuer_key, serial, &e, &file) == CM_OK) {
		json_object_set_new(result, "source", json_string(e.source));
		json_object_set_new(result, "next_update", json_integer(e.next_update));
		json_object_set_new(result, "file", json_string(cm_buf_str(&file)));
	}
	cm_buf_free(&file);
	return CM_OK;
}

static enum cm_err
unlist(struct asking *a, json_t *result)
{
	struct certificate c;
	enum cm_err err = read_named(a, &c);

	if (err == CM_OK)
		err = cm_trust_forget_listed(a->host.trust, c.issuer_key, (struct cm_blob){ c.serial, c.serial_len }, a->trace);
	json_object_set_new(result, "forgotten", json_boolean(err == CM_OK));
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

static const struct action {
	const char *name;
	bool is_roots, is_everybodys;
	enum cm_err (*run)(struct asking *, json_t *result);
} actions[] = {
	{ "lists", false, false, status }, { "outlook", false, true, outlook }, { "listed", false, false, listed },
	{ "unlist", true, false, unlist },
};

static const struct action *
find_action(const char *name)
{
	for (size_t i = 0; name != NULL && i < CM_COUNT(actions); i++)
		if (strcmp(actions[i].name, name) == 0)
			return &actions[i];
	return NULL;
}

static enum cm_err
fail(struct cm_varlink_request *r, const struct cm_trace *t)
{
	struct cm_buf text = { 0 };
	json_t *o;

	cm_buf_add_printable(&text, cm_blob_str(cm_trace_message(t)));
	o = json_pack("{s:s, s:s, s:s}", "reason", cm_reason_name(cm_trace_reason(t)), "text", cm_buf_str(&text),
	    "remedy", cm_reason_remedy(cm_trace_reason(t)));
	cm_buf_free(&text);
	return cm_varlink_error(&r->turn, "io.cardmap.Failed", o, cm_deadline_in(CM_QUESTION_SEND_MS));
}

static enum cm_err
run(struct cm_varlink_request *r, const struct action *action, const json_t *parameters, bool own)
{
	const struct cm_asker *asker = r->context;
	struct asking a = { .host = *asker->resolver->host, .parameters = parameters, .list = json_array(), .own = own,
		.caller = asker->uid };
	json_t *result = json_object();
	enum cm_err err;

	a.host.accounts = asker->resolver->asked;
	if ((err = cm_trace_new(&a.trace)) == CM_OK &&
	    (err = cm_accounts_recall_revoked(a.host.accounts, cm_clock_now(), a.trace, &a.memory)) == CM_OK) {
		a.known = a.memory->known;
		err = action->run(&a, result);
	}
	if (err == CM_OK)
		err = cm_varlink_answer(&r->turn, json_pack("{s:O}", "result", result), cm_deadline_in(CM_QUESTION_SEND_MS));
	else if (err == CM_ERR_STATE)
		err = cm_varlink_error(&r->turn, CM_VARLINK_PERMISSION_DENIED, json_object(), cm_deadline_in(CM_QUESTION_SEND_MS));
	else if (a.trace != NULL)
		err = fail(r, a.trace);
	json_decref(result);
	json_decref(a.list);
	cm_memory_free(&a.memory);
	cm_trace_free(&a.trace);
	return err;
}

enum cm_err
cm_question_revocation(struct cm_varlink_request *r)
{
	struct cm_asker *asker = r->context;
	const char *name = json_string_value(json_object_get(r->call->parameters, "action"));
	const json_t *parameters = json_object_get(r->call->parameters, "parameters");
	const struct action *action = find_action(name);
	const cm_deadline deadline = cm_deadline_in(CM_QUESTION_SEND_MS);

	const bool all = cm_asker_may_ask_all(asker);

	if ((!all && (action == NULL || !action->is_everybodys)) ||
	    (action != NULL && action->is_roots && asker->uid != 0 && asker->uid != geteuid()))
		return cm_varlink_error(&r->turn, CM_VARLINK_PERMISSION_DENIED, json_object(), deadline);
	if (name == NULL)
		return cm_varlink_invalid(&r->turn, "action", deadline);
	if (parameters != NULL && !json_is_object(parameters) && !json_is_null(parameters))
		return cm_varlink_invalid(&r->turn, "parameters", deadline);
	if (action == NULL)	/* of the store */
		return cm_varlink_error(&r->turn, "io.cardmap.NotServedHere",
		    json_pack("{s:s}", "where", asker->resolver->daemon), deadline);
	return run(r, action, parameters, !all);
}
