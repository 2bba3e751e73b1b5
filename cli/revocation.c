/* cli/revocation.c - revocation: what is known, what will be decided, and what the sources say now. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/revocation.h"

/* ---- what they share */

const char *
cm_cli_source_kind(enum cm_source_kind k)
{
	static const char *const words[] = {
		[CM_SOURCE_OCSP] = "OCSP", [CM_SOURCE_CRL] = "CRL", [CM_SOURCE_DELTA] = "delta",
	};

	return (size_t)k < CM_COUNT(words) ? words[k] : "";
}

json_t *
cm_cli_evidence(const struct cm_evidence *e, time_t now)
{
	const time_t said = e->confirmed != 0 ? e->confirmed : e->this_update;
	json_t *o = json_object();
	struct cm_buf b = { 0 };

	cm_buf_add_hex(&b, (struct cm_blob){ e->serial, e->serial_len });
	cm_cli_set(o, "serial", cm_buf_str(&b));
	cm_buf_truncate(&b, 0);
	cm_buf_add_hex(&b, (struct cm_blob){ e->issuer_key, sizeof(e->issuer_key) });
	cm_cli_set(o, "issuer_key", cm_buf_str(&b));
	cm_buf_truncate(&b, 0);
	cm_evidence_text(e, &b);
	cm_cli_set(o, "text", cm_buf_str(&b));
	cm_cli_set(o, "status", cm_cli_status(e->status));
	json_object_set_new(o, "on_hold", json_boolean(e->on_hold));
	cm_cli_set(o, "source", e->source);
	cm_cli_set(o, "signer", e->signer);
	cm_cli_set_time(o, "this_update", e->this_update);
	cm_cli_set_time(o, "next_update", e->next_update);
	cm_cli_set_time(o, "revoked_at", e->revoked_at != CM_NEVER_ISSUED ? e->revoked_at : 0);
	cm_cli_set_time(o, "learned", e->learned);
	cm_cli_set_time(o, "confirmed", e->confirmed);
	json_object_set_new(o, "age_s", json_integer((json_int_t)now - said));
	cm_buf_free(&b);
	return o;
}

enum cm_err
cm_cli_each_source(const struct cm_cli_revocation *r, cm_seen_visit visit, void *arg)
{
	if (r->told != NULL)
		return cm_cli_told_sources(r->told, visit, arg);
	return r->host->accounts != NULL ? cm_accounts_each_source(r->host->accounts, r->cli->trace, visit, arg) : CM_OK;
}

bool
cm_cli_may_see_accounts(const struct cm_cli_revocation *r)
{
	return r->told == NULL || geteuid() == 0;
}

enum cm_err
cm_cli_each_account(const struct cm_cli_revocation *r, cm_kept_visit visit, void *arg)
{
	if (r->told != NULL)
		return cm_cli_may_see_accounts(r) ? cm_cli_told_accounts(r->told, visit, arg) : CM_OK;
	return r->host->accounts != NULL ? cm_accounts_list(r->host->accounts, r->cli->trace, visit, arg) : CM_OK;
}

static enum cm_err
add_issuer(void *arg, const struct cm_trust_issuer *i)
{
	struct cm_cli_issuers *all = arg;
	struct cm_cli_issuer *more, *one;

	if (cm_cli_issuer_of(all, i->key) != NULL)
		return CM_OK;
	if ((more = reallocarray(all->list, all->count + 1, sizeof(*more))) == NULL)
		return CM_ERR_NOMEM;
	all->list = more;
	one = &more[all->count++];
	*one = (struct cm_cli_issuer){ .subject = strdup(i->subject), .der = malloc(i->der.len), .der_len = i->der.len };
	memcpy(one->key, i->key, sizeof(one->key));
	if (one->subject == NULL || one->der == NULL)
		return CM_ERR_NOMEM;
	memcpy(one->der, i->der.ptr, i->der.len);
	return CM_OK;
}

static enum cm_err
add_seen(void *arg, struct cm_blob issuer, const struct cm_source *s)
{
	(void)s;
	return cm_trust_issuer_of(issuer, add_issuer, arg);
}

enum cm_err
cm_cli_issuers_read(const struct cm_cli_revocation *r, struct cm_cli_issuers *out)
{
	enum cm_err err;

	if ((err = cm_cli_each_source(r, add_seen, out)) == CM_OK)
		err = cm_trust_each_issuer(r->host->trust, add_issuer, out);
	return err;
}

void
cm_cli_issuers_free(struct cm_cli_issuers *i)
{
	for (size_t k = 0; k < i->count; k++) {
		free(i->list[k].subject);
		free(i->list[k].der);
	}
	free(i->list);
	*i = (struct cm_cli_issuers){ 0 };
}

const char *
cm_cli_issuer_of(const struct cm_cli_issuers *i, const uint8_t key[32])
{
	for (size_t k = 0; k < i->count; k++)
		if (memcmp(i->list[k].key, key, sizeof(i->list[k].key)) == 0)
			return i->list[k].subject;
	return NULL;
}

bool
cm_cli_issuer_is(const char *subject, const char *want)
{
	return want == NULL || (subject != NULL && strcasestr(subject, want) != NULL);
}

/* ---- check */

/* What the certificate's chain stands on, and what refused it. */
static void
tell_evidence(const struct cm_cli_revocation *r, const struct cm_verdict *v)
{
	size_t count = 0;
	const struct cm_evidence *e = cm_verdict_evidence(v, &count);
	json_t *list = json_array();
	struct cm_buf b = { 0 };

	for (size_t i = 0; i < count; i++) {
		cm_buf_truncate(&b, 0);
		cm_evidence_text(&e[i], &b);
		cm_cli_line(r->cli, "evidence", "%s", cm_buf_str(&b));
		json_array_append_new(list, cm_cli_evidence(&e[i], r->known.now));
	}
	json_object_set_new(r->cli->answer, "evidence", list);
	cm_buf_free(&b);
}

static enum cm_err
check(struct cm_cli_revocation *r, const struct cm_cert *cert)
{
	struct cm_cli *c = r->cli;
	struct cm_verdict *v = NULL;
	enum cm_err err;

	cm_trace_begin(c->trace, "chain");
	err = cm_trust_check_chain(r->host->trust, cert, &r->known, c->trace, &v);
	cm_trace_end(c->trace, err);
	if (err != CM_OK)
		return err;
	cm_trace_begin(c->trace, "revocation");
	err = cm_trust_check_revocation(r->host->trust, v, &r->known, cm_deadline_in(c->conf->trust.timeout), c->trace);
	cm_trace_end(c->trace, err);
	cm_cli_set(c->answer, "status", cm_cli_status(cm_verdict_status(v)));
	cm_cli_line(c, "status", "%s", cm_cli_status(cm_verdict_status(v)));
	tell_evidence(r, v);
	cm_verdict_free(&v);
	return err;
}

static enum cm_err
check_file(struct cm_cli_revocation *r)
{
	struct cm_cli *c = r->cli;
	struct cm_cert *cert = NULL;
	enum cm_err err;

	if ((err = cm_cert_load(c->args[1], c->trace, &cert)) != CM_OK)
		return err;
	cm_cli_line(c, "certificate", "%s", c->args[1]);
	cm_cli_certificate(c, c->answer, cert);
	err = check(r, cert);
	cm_cli_trace(c);
	cm_cert_free(&cert);
	return err;
}

/* ---- which of them */

enum store { IF_READABLE, WANTED, MADE };
/* Rules with a mistake hinder nobody from knowing what is revoked. */
enum rules { NO_RULES, RULES_IF_WHOLE, RULES };

static const struct action {
	const char *name;
	int min_args, max_args;
	const char *options;	/* of its own, by short letter */
	enum store store;
	enum rules rules;
	bool by_service;	/* told by it, where it runs; forget does its part and has the service do the other */
	enum cm_err (*run)(struct cm_cli_revocation *r);
} actions[] = {
	{ "check", 2, 2, "", IF_READABLE, RULES, false, check_file },
	{ "status", 1, 1, "S", WANTED, RULES_IF_WHOLE, true, cm_cli_revocation_status },
	{ "refresh", 1, INT_MAX, "D", MADE, NO_RULES, false, cm_cli_revocation_refresh },
	{ "import", 2, INT_MAX, "", MADE, NO_RULES, false, cm_cli_revocation_import },
	{ "list", 1, 2, "kS", WANTED, NO_RULES, true, cm_cli_revocation_list },
	{ "forget", 2, 2, "nS", WANTED, NO_RULES, false, cm_cli_revocation_forget },
};

static enum cm_err
open_parts(struct cm_cli_revocation *r, const struct action *a, unsigned needs)
{
	if (r->told != NULL)
		return cm_host_open(r->cli->conf, needs, r->cli->trace, &r->host);
	if (a->store == MADE)
		return cm_host_open(r->cli->conf, needs | CM_NEED_ACCOUNTS, r->cli->trace, &r->host);
	return cm_cli_open_host(r->cli, needs, &r->host);
}

static enum cm_err
open_host(struct cm_cli_revocation *r, const struct action *a)
{
	struct cm_cli *c = r->cli;
	enum cm_err err = a->by_service ? cm_cli_told_open(c, &r->known, &r->told) : CM_OK;

	if (err != CM_OK)
		return err;
	err = open_parts(r, a, CM_NEED_TRUST | (a->rules != NO_RULES ? CM_NEED_RULES : 0));

	if (err == CM_ERR_CONFIG && a->rules == RULES_IF_WHOLE) {
		cm_trace_clear_reason(c->trace);
		err = open_parts(r, a, CM_NEED_TRUST);
	}
	if (err == CM_OK && a->store == WANTED && c->store_unread)
		err = cm_trace_fail(c->trace, geteuid() != 0 ? CM_REASON_NOT_ROOT : CM_REASON_STORE, "%s",
		    cm_trace_find(c->trace, "without"));
	if (err == CM_OK && r->host->accounts != NULL &&
	    (err = cm_accounts_recall(r->host->accounts, r->known.now, c->trace, &r->memory)) == CM_OK)
		r->known = r->memory->known;
	return err;
}

static const struct action *
find_action(const struct cm_cli *c)
{
	for (size_t i = 0; i < CM_COUNT(actions); i++) {
		const struct action *a = &actions[i];

		if (strcmp(a->name, c->args[0]) == 0 && c->arg_count >= a->min_args && c->arg_count <= a->max_args &&
		    (!c->service_named || strchr(a->options, 'S') != NULL) &&
		    (!c->due || strchr(a->options, 'D') != NULL) && (!c->revoked || strchr(a->options, 'k') != NULL) &&
		    (c->issuer == NULL || strchr(a->options, 'n') != NULL))
			return a;
	}
	return NULL;
}

int
cm_cli_revocation(struct cm_cli *c)
{
	struct cm_cli_revocation r = { .cli = c, .known = { .now = cm_clock_now() } };
	const struct action *a = find_action(c);
	enum cm_err err;

	if (a == NULL)
		return cm_cli_finish(c, cm_trace_fail(c->trace, CM_REASON_USAGE, "usage: cardmap revocation check FILE | "
		    "status | refresh [--due] [ISSUER...] | import FILE... | list [--revoked] [ISSUER] | "
		    "forget SERIAL|FILE [--issuer NAME]"));
	if ((err = open_host(&r, a)) == CM_OK)
		err = a->run(&r);
	cm_memory_free(&r.memory);
	cm_cli_told_free(&r.told);
	cm_host_close(&r.host);
	return cm_cli_finish(c, err);
}
