/* mapper/regex_internal.h - POSIX expressions in a child with little memory and time */
#ifndef CM_MAPPER_REGEX_INTERNAL_H
#define CM_MAPPER_REGEX_INTERNAL_H

#include "mapper/template_internal.h"

/*
 * Expressions of glibc's regcomp(3), in the C locale: octets, not characters,
 * as SSSD's services have them.  What is only literal text is matched here.
 * For anything else a child process is forked, when one is first added: it has
 * no more than 64 MiB beyond what it starts with, no descriptor but its socket,
 * and dies with its parent; one that takes too long is ended and the next
 * question starts another.  May be used by several threads.  After a fork(2)
 * the other process gets a child of its own when it asks.
 */
struct cm_regexes;

/* What is to be compiled; borrowed for the call. */
struct cm_regex {
	struct cm_blob pattern;
	unsigned flags;		/* CM_REGEX_* */
	unsigned group;		/* expressions that are asked about the same text; see below */
};
#define CM_REGEX_BASIC		(1u << 0)	/* POSIX basic, not extended */
#define CM_REGEX_IGNORE_CASE	(1u << 1)	/* ASCII letters */

/*
 * Groups make many expressions over one text cheap: who asks one after the
 * other about the same text gets the answers from a few questions to the child,
 * each about twice as many expressions of the group as the one before, and they
 * are kept for the last few texts.  The caller asks one by one and notices
 * nothing.  Groups below CM_REGEX_GROUPS are the caller's constants (match.c:
 * one for each kind of component), cm_regexes_group() gives others.
 */
#define CM_REGEX_GROUPS	32
unsigned cm_regexes_group(struct cm_regexes *r);

CM_MUST_USE enum cm_err cm_regexes_new(bool back_references, struct cm_regexes **out);
void cm_regexes_free(struct cm_regexes **r);
/*
 * Compile.  *id is for cm_regexes_match().
 * CM_ERR_SYNTAX  why->what: what regcomp(3) says, or "back-references are not
 *                allowed"; why->column counts in the pattern, 1 where only the
 *                whole is known to be wrong
 * CM_ERR_CONFIG  why->what: it takes too much memory or time, or no child can be started
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_regexes_add(struct cm_regexes *r, const struct cm_regex *x, size_t *id,
    struct cm_syntax *why);
/*
 * Is some part of text matched?  A text that holds a NUL is matched by none:
 * regexec(3) would see the part before it, and so would be told less than there is.
 *
 * CM_OK, CM_ERR_ABSENT, CM_ERR_NOMEM
 * CM_ERR_CONFIG  RULE_REGEX: it takes too much memory or time; another expression may still be asked
 */
CM_MUST_USE enum cm_err cm_regexes_match(struct cm_regexes *r, size_t id, struct cm_blob text,
    struct cm_trace *t);
/* Process id of the child, 0 without one; for tests. */
int cm_regexes_child(const struct cm_regexes *r);

/*
 * Literal text (regex_literal.c): octets and single ".", between "^" and "$" or
 * without, where this is all that regcomp(3) would find.
 */
struct cm_literal {
	uint8_t *octets;	/* owned */
	uint8_t *any;		/* owned; 1 where the octet may be any */
	size_t len;
	bool begins, ends;	/* ^ and $ */
	bool dots;		/* any has a 1 */
	bool ignore_case;
};
/* CM_OK; CM_ERR_ABSENT: it is more than that; CM_ERR_NOMEM. */
CM_MUST_USE enum cm_err cm_literal_parse(const struct cm_regex *x, struct cm_literal *out);
bool cm_literal_match(const struct cm_literal *l, struct cm_blob text);
void cm_literal_clear(struct cm_literal *l);
/* Column, from 1, of the first back-reference; 0 without one. */
size_t cm_regex_back_reference(struct cm_blob pattern);

#endif /* CM_MAPPER_REGEX_INTERNAL_H */
