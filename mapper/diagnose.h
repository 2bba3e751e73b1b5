/* mapper/diagnose.h - why a stored value is not the one this card makes. */
#ifndef CM_MAPPER_DIAGNOSE_H
#define CM_MAPPER_DIAGNOSE_H

#include "mapper/mapper.h"

/* A mistake that people make. */
struct cm_cause {
	const char *name;	/* for JSON: "serial_not_reversed" */
	const char *text;	/* for people: "the serial number's bytes are not reversed" */
};

/* Most mistakes in one value that are told. */
#define CM_CAUSES_MAX	4

/* A value as an account has it, beside the value it should be.  Owned by who asked for it. */
struct cm_near_miss {
	const struct cm_cause *causes[CM_CAUSES_MAX];	/* that together explain it; the first tells most */
	size_t cause_count;	/* 0: no known mistake explains it */
	char *attribute;
	char *stored;		/* printable */
	char *wanted;		/* printable: what this certificate makes in the same form */
	size_t differs;		/* bytes from the start of both at which they part; letter case counts only
				 * where it is the cause */
	bool asked;		/* the query asks for what is wanted: to write it mends */
	unsigned distance;	/* 0: they are the same; for choosing among several */
};
void cm_near_miss_free(struct cm_near_miss **m);

/*
 * Judge one stored value of one attribute against a certificate: which of the
 * built-in forms and of the query's terms (NULL: none) it was meant to be, and
 * what is wrong with it.
 * CM_OK          *out is the caller's
 * CM_ERR_ABSENT  it is of no form that this certificate has a value for
 */
CM_MUST_USE enum cm_err cm_diagnose_value(const struct cm_cert *c, const struct cm_query *q,
    const char *attribute, struct cm_blob stored, struct cm_near_miss **out);

/*
 * The usual wrong variants of what the query asks for, as terms to search with:
 * for people only, nobody found by one of them is logged in.
 * CM_OK          *out is the caller's; at most limit terms
 * CM_ERR_ABSENT  there are none
 */
CM_MUST_USE enum cm_err cm_diagnose_variants(const struct cm_query *q, size_t limit,
    struct cm_query **out);

#endif /* CM_MAPPER_DIAGNOSE_H */
