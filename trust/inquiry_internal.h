/* trust/inquiry_internal.h - what plan.c, ask.c and decide.c share: who may know, who was asked, what follows. */
#ifndef CM_TRUST_INQUIRY_INTERNAL_H
#define CM_TRUST_INQUIRY_INTERNAL_H

#include "trust/trust_internal.h"

/* ---- decide.c: what follows from what was heard.  Pure: it asks nobody, and no clock. */

struct cm_heard {
	struct cm_evidence e;
	bool now;		/* a server said so while we asked: no clock of ours makes it older */
};

enum cm_decision {
	CM_DECIDED_UNASKED,	/* passes: off, chain */
	CM_DECIDED_GOOD,	/* passes: good and current, and young enough */
	CM_DECIDED_ENDED,	/* passes at soft with an age: good and young enough, and its end has come */
	CM_DECIDED_SOFT,	/* passes at soft: nobody says revoked, and nobody good */
	CM_DECIDED_REVOKED,	/* or on hold */
	CM_DECIDED_TOO_OLD,	/* good, but nobody said so for longer than max_age */
	CM_DECIDED_UNKNOWN,	/* nothing that counts says good */
};
bool cm_decision_passes(enum cm_decision d);

/* One certificate. */
struct cm_case {
	struct cm_trust_policy policy;
	const struct cm_known *known;	/* its clock and floor alone */
	int64_t undated_max;		/* seconds that an answer without nextUpdate counts */
	const struct cm_heard *heard;	/* all that is known of it, in any order */
	size_t count;
	/* out */
	const struct cm_heard *by;	/* what it stands on; where nothing counts, the newest that said good; NULL: nobody did */
	bool clock;			/* something said good that did not count because of this host's clock */
};
enum cm_decision cm_decide(struct cm_case *c);
/* Is nothing missing at this policy: somebody says good, is current, young enough, and need not be asked again? */
bool cm_decide_suffices(struct cm_case *c);
/* Seconds since a source last said so, as far as now tells. */
int64_t cm_evidence_age(const struct cm_heard *h, time_t now);

#endif /* CM_TRUST_INQUIRY_INTERNAL_H */
