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

/* Of this very CA where its name is known, else by the number alone and in lists of its own. */
static bool
is_in(const struct cm_crl_index *x, const X509_NAME *issuer, struct cm_blob serial, struct cm_crl_entry *e)
{
	const uint8_t *p = x->about.issuer.ptr;
	X509_NAME *own = issuer == NULL ? d2i_X509_NAME(NULL, &p, (long)x->about.issuer.len) : NULL;
	const X509_NAME *name = issuer != NULL ? issuer : own;
	const bool found = name != NULL && cm_crl_index_find(x, name, serial, e) == CM_OK &&
	    e->reason != CM_CRL_REMOVED;

	X509_NAME_free(own);
	return found;
}

/* Whose lists may speak of a CA's certificates: its own key's, another's of its name, and those of indirect lists. */
struct speakers {
	const struct cm_trust *trust;
	const uint8_t *key;		/* of the CA */
	const X509_NAME *name;		/* borrowed; NULL: it is not among those known here */
	int at;				/* the next */
};

static X509 *
ca_at(const struct cm_trust *tr, int n)
{
	const int anchors = sk_X509_num(tr->anchors);

	if (n < anchors)
		return sk_X509_value(tr->anchors, n);
	return n - anchors < sk_X509_num(tr->intermediates) ? sk_X509_value(tr->intermediates, n - anchors) : NULL;
}

static struct speakers
speakers_for(const struct cm_trust *tr, const uint8_t key[32])
{
	struct speakers s = { .trust = tr, .key = key, .at = -1 };
	uint8_t one[32];
	X509 *ca;

	for (int n = 0; s.name == NULL && (ca = ca_at(tr, n)) != NULL; n++)
		if (cm_crl_key(ca, one) && memcmp(one, key, sizeof(one)) == 0)
			s.name = X509_get_subject_name(ca);
	return s;
}

/* The CA's own key first; the same may come again. */
static bool
next_speaker(struct speakers *s, uint8_t key[32])
{
	X509 *ca;

	if (s->at++ < 0) {
		memcpy(key, s->key, 32);
		return true;
	}
	ca = s->name != NULL ? ca_at(s->trust, s->at - 1) : NULL;
	return ca != NULL && cm_crl_key(ca, key);
}

static void
tell_listed(const struct cm_crl_index *x, const struct cm_crl_entry *entry, struct cm_evidence *e)
{
	struct cm_buf number;

	cm_buf_init(&number, 0);
	cm_crl_number_text(&x->about.number, &number);
	e->revoked_at = entry->revoked_at;
	e->on_hold = entry->reason == CM_CRL_ON_HOLD;
	e->this_update = x->about.this_update;
	e->next_update = x->about.next_update;
	snprintf(e->source, sizeof(e->source), "CRL %.*s%s%s", (int)x->source.len, (const char *)x->source.ptr,
	    number.len > 0 ? " number " : "", cm_buf_str(&number));
	cm_buf_free(&number);
}

static void
add_file(const char *crl_dir, const struct cm_crl_index *x, struct cm_buf *file)
{
	char key[CM_CRL_NAME], name[CM_CRL_NAME];

	cm_crl_hex_name(x->issuer_key, "", key, sizeof(key));
	if (x->beside)
		cm_crl_name_beside(x->source, name);
	else
		cm_crl_name_in_force(&x->about, name);
	cm_buf_addf(file, "%s/%s/%s", crl_dir, key, name);
}

static bool
find_in(const struct speakers *w, const uint8_t key[32], struct cm_blob serial, struct cm_evidence *e, struct cm_buf *file)
{
	struct cm_crl_index *lists = NULL;
	struct cm_crl_entry entry;
	struct cm_crl_store s;
	bool found = false;

	cm_crl_store_open(&s, w->trust->o.crl_dir, key, false, NULL);
	cm_crl_store_load(&s, &lists);
	for (const struct cm_crl_index *x = lists; !found && x != NULL; x = x->next) {
		if (x->gone || !(found = is_in(x, w->name, serial, &entry)))
			continue;
		tell_listed(x, &entry, e);
		if (file != NULL)
			add_file(w->trust->o.crl_dir, x, file);
	}
	cm_crl_list_close(&lists);
	cm_crl_store_close(&s);
	return found;
}

enum cm_err
cm_trust_find_listed(const struct cm_trust *tr, const uint8_t issuer_key[32], struct cm_blob serial, struct cm_evidence *e,
    struct cm_buf *file)
{
	struct speakers s = speakers_for(tr, issuer_key);
	enum cm_err err = CM_ERR_ABSENT;
	uint8_t key[32];

	*e = (struct cm_evidence){ .status = CM_STATUS_REVOKED, .by_list = true };
	while (err == CM_ERR_ABSENT && next_speaker(&s, key))
		if (find_in(&s, key, serial, e, file))
			err = CM_OK;
	ERR_clear_error();
	return err;
}

static bool
has_carried(const struct speakers *w, const uint8_t key[32], struct cm_blob serial)
{
	struct cm_crl_index *lists = NULL;
	struct cm_crl_entry entry;
	struct cm_crl_store s;
	bool found = false;

	cm_crl_store_open(&s, w->trust->o.crl_dir, key, false, NULL);
	cm_crl_store_load(&s, &lists);
	for (const struct cm_crl_index *x = lists; !found && x != NULL; x = x->next)
		found = x->gone && is_in(x, w->name, serial, &entry);
	cm_crl_list_close(&lists);
	cm_crl_store_close(&s);
	return found;
}

bool
cm_trust_has_carried(const struct cm_trust *tr, const uint8_t issuer_key[32], struct cm_blob serial)
{
	struct speakers s = speakers_for(tr, issuer_key);
	bool found = false;
	uint8_t key[32];

	while (!found && next_speaker(&s, key))
		found = has_carried(&s, key, serial);
	ERR_clear_error();
	return found;
}

enum cm_err
cm_trust_forget_listed(const struct cm_trust *tr, const uint8_t issuer_key[32], struct cm_blob serial, struct cm_trace *t)
{
	struct speakers s = speakers_for(tr, issuer_key);
	enum cm_err err = CM_ERR_ABSENT, one;
	uint8_t key[32];

	while (err != CM_ERR_SYSTEM && next_speaker(&s, key))
		if ((one = cm_crl_forget(tr->o.crl_dir, key, s.name, serial)) != CM_ERR_ABSENT)
			err = one;
	if (err == CM_ERR_SYSTEM)
		cm_trace_fail(t, CM_REASON_SYSTEM, "%s: what former lists revoked cannot be written there", tr->o.crl_dir);
	ERR_clear_error();
	return err;
}
