/* trust/listed.c - single lists that are kept, asked by people: what one would decide, whom it names. */
#include <openssl/err.h>

#include "trust/inquiry_internal.h"
#include "trust/crl_internal.h"

static void
name_list(const struct cm_kept_list *l, struct cm_evidence *e)
{
	snprintf(e->source, sizeof(e->source), "CRL %s%s%s", l->source, l->number[0] != '\0' ? " number " : "", l->number);
	snprintf(e->signer, sizeof(e->signer), "%s", l->issuer);
}

static enum cm_err
refuse(const struct cm_case *c, enum cm_decision d, const struct cm_evidence *e, struct cm_trace *t)
{
	char when[CM_TIME_SIZE], age[CM_TIME_SIZE];

	if (d == CM_DECIDED_TOO_OLD)
		return cm_trace_fail(t, CM_REASON_REVOCATION_TOO_OLD, "%s said so last %s; %s is allowed", e->source,
		    cm_clock_text(e->confirmed, when), cm_clock_age(c->policy.max_age, age));
	if (c->clock)
		return cm_trace_fail(t, CM_REASON_REVOCATION_UNKNOWN, "this computer's clock cannot be relied on: %s counts for "
		    "nothing", e->source);
	return cm_trace_fail(t, CM_REASON_REVOCATION_UNKNOWN, "%s ends %s", e->source,
	    cm_clock_text(cm_evidence_end(e, c->undated_max), when));
}

enum cm_err
cm_trust_judge_list(const struct cm_trust *tr, const struct cm_kept_list *l, const struct cm_trust_policy *policy,
    const struct cm_known *known, struct cm_trace *t)
{
	struct cm_heard heard = { .e = {
		.status = CM_STATUS_GOOD, .by_list = true, .this_update = l->this_update, .next_update = l->next_update,
		.learned = l->learned, .confirmed = l->confirmed,
	} };
	struct cm_case c = {
		.policy = *policy, .known = known, .heard = &heard, .count = 1,
		.undated_max = cm_undated_max(tr),
	};
	enum cm_decision d;
	struct cm_buf text;

	memcpy(heard.e.issuer_key, l->issuer_key, sizeof(heard.e.issuer_key));
	name_list(l, &heard.e);
	d = cm_decide(&c);
	if (!cm_decision_passes(d))
		return refuse(&c, d, &heard.e, t);
	cm_buf_init(&text, 0);
	cm_evidence_text(&heard.e, &text);
	cm_trace_add(t, "status", "%s%s", d == CM_DECIDED_SOFT ? "unknown: passes at level soft: " : d == CM_DECIDED_UNASKED ?
	    "not asked for: " : d == CM_DECIDED_ENDED ? "ended, and young enough: " : "", cm_buf_str(&text));
	cm_buf_free(&text);
	return CM_OK;
}

/* By its own number alone: of an indirect list, whose other issuers' numbers may be the same, no more is said than that. */
static bool
names(const struct cm_crl_index *x, struct cm_blob serial, struct cm_crl_entry *e)
{
	const uint8_t *p = x->about.issuer.ptr;
	X509_NAME *name = d2i_X509_NAME(NULL, &p, (long)x->about.issuer.len);
	const bool found = name != NULL && !x->beside && !x->gone && !x->about.delta &&
	    cm_crl_index_find(x, name, serial, e) == CM_OK && e->reason != CM_CRL_REMOVED;

	X509_NAME_free(name);
	return found;
}

enum cm_err
cm_trust_find_listed(const struct cm_trust *tr, const uint8_t issuer_key[32], struct cm_blob serial, struct cm_evidence *e)
{
	struct cm_crl_index *lists = NULL;
	struct cm_crl_entry entry;
	struct cm_crl_store s;
	enum cm_err err = CM_ERR_ABSENT;

	*e = (struct cm_evidence){ .status = CM_STATUS_REVOKED, .by_list = true };
	cm_crl_store_open(&s, tr->o.crl_dir, issuer_key, false, NULL);
	cm_crl_store_load(&s, &lists);
	for (const struct cm_crl_index *x = lists; err == CM_ERR_ABSENT && x != NULL; x = x->next) {
		if (!names(x, serial, &entry))
			continue;
		e->revoked_at = entry.revoked_at;
		e->on_hold = entry.reason == CM_CRL_ON_HOLD;
		e->this_update = x->about.this_update;
		e->next_update = x->about.next_update;
		snprintf(e->source, sizeof(e->source), "CRL %.*s", (int)x->source.len, (const char *)x->source.ptr);
		err = CM_OK;
	}
	cm_crl_list_close(&lists);
	cm_crl_store_close(&s);
	ERR_clear_error();
	return err;
}

enum cm_err
cm_trust_forget_listed(const struct cm_trust *tr, const uint8_t issuer_key[32], struct cm_blob serial, struct cm_trace *t)
{
	const enum cm_err err = cm_crl_forget(tr->o.crl_dir, issuer_key, serial);

	if (err == CM_ERR_SYSTEM)
		cm_trace_fail(t, CM_REASON_SYSTEM, "%s: what former lists revoked cannot be written there", tr->o.crl_dir);
	return err;
}
