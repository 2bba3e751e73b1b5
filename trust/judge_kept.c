/* trust/judge_kept.c - what is known of one certificate, judged again: for who parses nothing and asks nobody. */
#include <stdlib.h>

#include "trust/inquiry_internal.h"

static bool
is_about(const struct cm_evidence *e, struct cm_blob link)
{
	return link.len > 32 && memcmp(e->issuer_key, link.ptr, 32) == 0 && e->serial_len == link.len - 32 &&
	    memcmp(e->serial, link.ptr + 32, e->serial_len) == 0;
}

static size_t
hear(const struct cm_trust_kept *k, struct cm_heard *out)
{
	size_t n = 0;

	for (size_t i = 0; i < k->known->count; i++) {
		const struct cm_evidence *e = &k->known->evidence[i];

		if (is_about(e, k->link))
			out[n++] = (struct cm_heard){ .e = *e, .now = k->said_since > 0 && e->learned >= k->said_since };
	}
	return n;
}

static enum cm_err
tell(const struct cm_trust_kept *k, struct cm_case *c, enum cm_decision d, struct cm_trace *t)
{
	struct cm_buf text = { 0 };
	char age[CM_TIME_SIZE];
	enum cm_err err = CM_OK;

	if (c->by != NULL)
		cm_evidence_text(&c->by->e, &text);
	if (d == CM_DECIDED_REVOKED)
		err = cm_trace_fail(t, CM_REASON_REVOKED, "%s is %s", k->who, cm_buf_str(&text));
	else if (d == CM_DECIDED_TOO_OLD)
		err = cm_trace_fail(t, CM_REASON_REVOCATION_TOO_OLD, "of %s nobody has said for %s that it is not revoked: %s", k->who,
		    cm_clock_age(c->by != NULL ? cm_decide_age(c, c->by) : 0, age), cm_buf_str(&text));
	else if (!cm_decision_passes(d))
		err = cm_trace_fail(t, CM_REASON_REVOCATION_UNKNOWN, "nothing that counts says that %s is not revoked%s%s%s", k->who,
		    c->clock ? " (this computer's clock cannot be relied on)" : "", text.len > 0 ? ": " : "", cm_buf_str(&text));
	else if (c->by != NULL)
		cm_trace_add(t, "evidence", "%s", cm_buf_str(&text));
	cm_buf_free(&text);
	return err;
}

enum cm_err
cm_trust_judge_kept(const struct cm_trust_kept *k, struct cm_trace *t)
{
	struct cm_heard *heard = calloc(k->known->count + 1, sizeof(*heard));
	struct cm_case c = { .policy = k->policy, .known = k->known, .heard = heard,
		.undated_max = k->undated_max > 0 ? k->undated_max : CM_UNDATED_MAX };
	enum cm_err err;

	if (heard == NULL)
		return CM_ERR_NOMEM;
	c.count = hear(k, heard);
	err = tell(k, &c, cm_decide(&c), t);
	free(heard);
	return err;
}
