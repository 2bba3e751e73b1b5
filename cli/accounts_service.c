/* cli/accounts_service.c - mobile accounts, as the service tells of them. */
#include <stdlib.h>
#include <time.h>

#include "cache/mobile.h"
#include "cli/service.h"
#include "service/answer.h"

#define ASK_MS		30000
#define EVIDENCE_MAX	64

/* One of them, read; what it owns. */
struct reading {
	struct cm_account *account;
	uint8_t *der;
	struct cm_evidence evidence[EVIDENCE_MAX];
	struct cm_mobile_seen mobile;
};

static const char *
text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text != NULL ? text : "";
}

/* As cm_clock_text() writes it; null: 0. */
bool
cm_cli_read_time(const json_t *o, const char *key, time_t *out)
{
	const json_t *value = json_object_get(o, key);
	struct tm tm = { 0 };
	const char *end;

	*out = 0;
	if (value == NULL || json_is_null(value))
		return true;
	if (!json_is_string(value) || (end = strptime(json_string_value(value), "%Y-%m-%d %H:%M:%S UTC", &tm)) == NULL || *end != '\0')
		return false;
	*out = timegm(&tm);
	return true;
}

static bool
read_status(const json_t *o, enum cm_status *out)
{
	for (int s = CM_STATUS_UNKNOWN; s <= CM_STATUS_REVOKED; s++)
		if (strcmp(text_of(o, "status"), cm_cli_status((enum cm_status)s)) == 0) {
			*out = (enum cm_status)s;
			return true;
		}
	return false;
}

static size_t
read_hex(const json_t *o, const char *key, uint8_t *out, size_t size)
{
	const struct cm_blob text = cm_blob_str(text_of(o, key));
	const size_t digits = text.len <= 2 * size ? cm_hex_parse(text, out, size) : SIZE_MAX;

	return digits != SIZE_MAX && digits == text.len && digits % 2 == 0 ? digits / 2 : 0;
}

bool
cm_cli_read_evidence(const json_t *o, struct cm_evidence *e)
{
	*e = (struct cm_evidence){ .on_hold = json_is_true(json_object_get(o, "on_hold")),
		.by_list = json_is_true(json_object_get(o, "by_list")) };
	e->serial_len = read_hex(o, "serial", e->serial, sizeof(e->serial));
	if (e->serial_len == 0 || read_hex(o, "issuer_key", e->issuer_key, sizeof(e->issuer_key)) != sizeof(e->issuer_key) ||
	    !read_status(o, &e->status) || !cm_cli_read_time(o, "this_update", &e->this_update) ||
	    !cm_cli_read_time(o, "next_update", &e->next_update) || !cm_cli_read_time(o, "revoked_at", &e->revoked_at) ||
	    !cm_cli_read_time(o, "learned", &e->learned) || !cm_cli_read_time(o, "confirmed", &e->confirmed))
		return false;
	if (json_is_true(json_object_get(o, "never_issued")))
		e->revoked_at = CM_NEVER_ISSUED;
	snprintf(e->source, sizeof(e->source), "%s", text_of(o, "source"));
	snprintf(e->signer, sizeof(e->signer), "%s", text_of(o, "signer"));
	return true;
}

static bool
read_evidence(const json_t *list, struct reading *r, struct cm_kept *k)
{
	if (!json_is_array(list) || json_array_size(list) > EVIDENCE_MAX)
		return false;
	for (size_t i = 0; i < json_array_size(list); i++)
		if (!cm_cli_read_evidence(json_array_get(list, i), &r->evidence[i]))
			return false;
	k->evidence = r->evidence;
	k->evidence_count = json_array_size(list);
	return true;
}

static bool
read_certificate(const json_t *o, struct reading *r, struct cm_kept *k)
{
	const struct cm_blob text = cm_blob_str(text_of(o, "certificate"));

	if (text.len == 0 || (r->der = malloc(text.len)) == NULL)
		return false;
	k->cert_der.len = cm_base64_parse(text, true, r->der);
	k->cert_der.ptr = r->der;
	return k->cert_der.len != SIZE_MAX;
}

/* A service of a former version tells nothing of it. */
static bool
read_mobile(const json_t *o, struct reading *r, struct cm_kept *k)
{
	if (o == NULL)
		return true;
	k->mobile = &r->mobile;
	if (json_is_null(o))
		return true;
	return cm_mobile_seen_take_word(&r->mobile, text_of(o, "state")) && cm_cli_read_time(o, "made", &r->mobile.made) &&
	    cm_cli_read_time(o, "refreshed", &r->mobile.refreshed) && cm_cli_read_time(o, "expires", &r->mobile.expires);
}

static enum cm_err
read_one(const json_t *o, struct reading *r, struct cm_kept *k)
{
	const enum cm_err err = cm_answer_read_account(json_object_get(o, "account"), &r->account);

	if (err != CM_OK)
		return err;
	k->account = r->account;
	return read_certificate(o, r, k) && cm_cli_read_time(o, "last_online", &k->last_online) &&
	    cm_cli_read_time(o, "offline_until", &k->offline_until) && read_evidence(json_object_get(o, "evidence"), r, k) &&
	    read_mobile(json_object_get(o, "mobile"), r, k) ?
	    CM_OK : CM_ERR_SYNTAX;
}

enum cm_err
cm_cli_each_kept(struct cm_cli *c, const json_t *list, cm_kept_visit visit, void *arg)
{
	enum cm_err err = json_is_array(list) ? CM_OK : CM_ERR_SYNTAX;

	for (size_t i = 0; err == CM_OK && i < json_array_size(list); i++) {
		struct reading r = { .account = NULL };
		struct cm_kept k = { .account = NULL };

		if ((err = read_one(json_array_get(list, i), &r, &k)) == CM_OK)
			err = visit(arg, &k);
		cm_account_free(&r.account);
		free(r.der);
	}
	return err != CM_ERR_SYNTAX ? err : cm_trace_fail(c->trace, CM_REASON_NO_SERVICE, "what the service in %s answers "
	    "makes no sense: is it of another version than this program?", c->run_dir);
}

static enum cm_err
each_closed(const json_t *list, const struct cm_cli_accounts_visit *v)
{
	enum cm_err err = CM_OK;

	for (size_t i = 0; v->closed != NULL && err == CM_OK && i < json_array_size(list); i++) {
		const json_t *o = json_array_get(list, i);
		struct cm_standing st = { .carded = true, .uid = (uid_t)json_integer_value(json_object_get(o, "uid")),
			.reason = cm_reason_named(text_of(o, "reason")) };

		st.reason = st.reason != CM_REASON_NONE ? st.reason : CM_REASON_NOT_KEPT;	/* a later version's */
		st.text = strdup(text_of(o, "text"));
		if (st.text == NULL)
			err = CM_ERR_NOMEM;
		else if (cm_cli_read_time(o, "closed", &st.at))
			err = v->closed(v->arg, text_of(o, "name"), &st);
		cm_standing_clear(&st);
	}
	return err;
}

enum cm_err
cm_cli_accounts_of_service(struct cm_cli *c, struct cm_wire *w, const char *forget, const struct cm_cli_accounts_visit *v)
{
	json_t *reply = NULL;
	enum cm_err err = cm_cli_service_ask(c, w, "io.cardmap.Accounts",
	    forget != NULL ? json_pack("{s:s}", "forget", forget) : NULL, ASK_MS, &reply);

	if (err == CM_OK && forget == NULL)
		err = cm_cli_each_kept(c, json_object_get(reply, "accounts"), v->kept, v->arg);
	if (err == CM_OK && forget == NULL)
		err = each_closed(json_object_get(reply, "closed"), v);
	json_decref(reply);
	/* asked, and there is none: as cm_accounts_forget() says it */
	return err != CM_OK && forget != NULL && cm_trace_reason(c->trace) == CM_REASON_NOT_KEPT ? CM_ERR_ABSENT : err;
}
