/* mapper/diagnose_internal.h - mistakes that can be undone, and made. */
#ifndef CM_MAPPER_DIAGNOSE_INTERNAL_H
#define CM_MAPPER_DIAGNOSE_INTERNAL_H

#include "mapper/diagnose.h"

/*
 * Both write the whole value into out, and are false when there is nothing to
 * change: then out is not to be used.
 */
struct cm_mistake {
	struct cm_cause cause;
	bool (*mend)(struct cm_blob stored, struct cm_buf *out);
	bool (*make)(struct cm_blob right, struct cm_buf *out);	/* NULL: nobody is searched by it */
};
/* In the order in which they are mended: what a later row reads, an earlier one has cleaned. */
const struct cm_mistake *cm_mistakes(size_t *count);

/* One piece of an altSecurityIdentities value: "<SR>" and what follows. */
struct cm_tagged {
	struct cm_blob tag;	/* "SR"; empty: what stands before the first tag */
	struct cm_blob text;
};
/* The next piece, *rest moving behind it; false at the end. */
bool cm_tagged_next(struct cm_blob *rest, struct cm_tagged *piece);
bool cm_blob_equal_caseless(struct cm_blob a, struct cm_blob b);	/* ASCII */

#endif /* CM_MAPPER_DIAGNOSE_INTERNAL_H */
