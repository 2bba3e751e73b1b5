/* mapper/diagnose_internal.h - mistakes that can be undone, and made. */
#ifndef CM_MAPPER_DIAGNOSE_INTERNAL_H
#define CM_MAPPER_DIAGNOSE_INTERNAL_H

#include "mapper/diagnose.h"

/* Writes a text changed; false when there is nothing to change: then out is not to be used. */
typedef bool (*cm_rewrite)(struct cm_blob text, struct cm_buf *out);

struct cm_mistake {
	struct cm_cause cause;
	enum cm_mistake_place {
		CM_MISTAKE_IN_VALUE,	/* the whole of it */
		CM_MISTAKE_IN_NAME,	/* <I> and <S> */
		CM_MISTAKE_IN_RDN,	/* each of theirs */
		CM_MISTAKE_IN_SERIAL,	/* <SR> */
		CM_MISTAKE_IN_HASH,	/* <SKI> and <SHA1-PUKEY> */
	} where;
	cm_rewrite mend;
	cm_rewrite make;	/* NULL: nobody is searched by it */
};
/* In the order in which they are mended: what a later row reads, an earlier one has cleaned. */
const struct cm_mistake *cm_mistakes(size_t *count);
/* The value, rewritten by m->mend or m->make where the mistake stands; as cm_rewrite. */
bool cm_mistake_rewrite(const struct cm_mistake *m, cm_rewrite f, struct cm_blob value, struct cm_buf *out);

/* One piece of an altSecurityIdentities value: "<SR>" and what follows. */
struct cm_tagged {
	struct cm_blob tag;	/* "SR"; empty: what stands before the first tag */
	struct cm_blob text;
};
/* The next piece, *rest moving behind it; false at the end. */
bool cm_tagged_next(struct cm_blob *rest, struct cm_tagged *piece);

#endif /* CM_MAPPER_DIAGNOSE_INTERNAL_H */
