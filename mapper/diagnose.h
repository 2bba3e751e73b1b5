/* mapper/diagnose.h - why a stored value is not the one this card makes. */
#ifndef CM_MAPPER_DIAGNOSE_H
#define CM_MAPPER_DIAGNOSE_H

#include "mapper/mapper.h"

/*
 * The mistakes people make; a new one is one row in diagnose.c, with the
 * function that makes the mistaken value from a certificate or recognises it.
 * name is for JSON ("serial_not_reversed"), text for people.
 */
struct cm_cause {
	const char *name;
	const char *text;	/* "the serial number's bytes are not reversed" */
};

/* A value as an account has it, beside the right value nearest to it.  Owned by the struct. */
struct cm_near_miss {
	const struct cm_cause *cause;	/* NULL: no known mistake explains it */
	char *attribute;
	char *stored;		/* printable */
	char *wanted;		/* printable: what this certificate makes in the same form */
	size_t differs;		/* first differing byte, counted in stored's own bytes from 0 */
	char *mend;		/* the value to write, or the command */
	unsigned distance;	/* 0 nearest; for choosing among several */
};
void cm_near_miss_free(struct cm_near_miss **m);

/*
 * Judge one stored value of one attribute against a certificate: which of the
 * forms and of the query's terms it was meant to be, and what is wrong with it.
 * CM_OK          *out is the caller's
 * CM_ERR_ABSENT  it has nothing to do with this certificate
 */
CM_MUST_USE enum cm_err cm_diagnose_value(const struct cm_cert *c, const struct cm_query *q,
    const char *attribute, struct cm_blob stored, struct cm_near_miss **out);

/*
 * The usual wrong variants of what the rules ask for, as terms to search with:
 * for people only, an account found by one of them is never logged in.
 * At most limit terms; each term's rule is the cause's name.  *out may end up
 * with no terms: CM_ERR_ABSENT.
 */
CM_MUST_USE enum cm_err cm_diagnose_variants(const struct cm_cert *c, const struct cm_query *q,
    size_t limit, struct cm_query **out);

#endif /* CM_MAPPER_DIAGNOSE_H */
