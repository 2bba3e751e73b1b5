/* mapper/regex_child_internal.h - the process that compiles and matches expressions, seen from its parent */
#ifndef CM_MAPPER_REGEX_CHILD_INTERNAL_H
#define CM_MAPPER_REGEX_CHILD_INTERNAL_H

#include <sys/types.h>

#include "mapper/regex_internal.h"

/* No lock of its own: one question at a time. */
struct cm_regex_child {
	int fd;			/* -1: none */
	pid_t pid;
	pid_t owner;		/* who forked it; in any other process it is not ours */
};

/* Address space beyond what it starts with, bytes; its time on the processor for a question, ms. */
#define CM_REGEX_MEMORY		((size_t)64 << 20)
#define CM_REGEX_MATCH_MS	250
#define CM_REGEX_COMPILE_MS	1000

/* How a question ended.  After ENDED and SLOW there is no child any more. */
enum cm_regex_end {
	CM_REGEX_DONE,
	CM_REGEX_ENDED,		/* the child died of it: out of memory, or of stack */
	CM_REGEX_SLOW,		/* it took too long and was ended */
};

/* One octet of an answer. */
enum cm_regex_answer {
	CM_REGEX_UNKNOWN,	/* not asked yet */
	CM_REGEX_YES,
	CM_REGEX_NO,
	CM_REGEX_FULL,		/* too much memory */
};

/* Is there one that this process may ask? */
bool cm_regex_child_is_there(const struct cm_regex_child *c);
/* CM_ERR_SYSTEM: no process, no descriptor. */
CM_MUST_USE enum cm_err cm_regex_child_start(struct cm_regex_child *c);
void cm_regex_child_stop(struct cm_regex_child *c);

/* Make the expression known under id; it is compiled when it is first used. */
CM_MUST_USE enum cm_regex_end cm_regex_child_store(struct cm_regex_child *c, uint32_t id,
    const struct cm_regex *x);
/* Compile a stored one: *answer NO with what regerror(3) says in why, YES, or FULL. */
#define CM_REGEX_WHY	128
CM_MUST_USE enum cm_regex_end cm_regex_child_compile(struct cm_regex_child *c, uint32_t id,
    uint8_t *answer, char why[CM_REGEX_WHY]);
/* Match text with count stored ones.  *done answers stand in answers, however it ended. */
CM_MUST_USE enum cm_regex_end cm_regex_child_match(struct cm_regex_child *c, struct cm_blob text,
    const uint32_t *ids, uint32_t count, uint8_t *answers, uint32_t *done);

/* regex_serve.c: what the child does; never returns. */
struct cm_regex_request {
	enum cm_regex_op { CM_REGEX_OP_STORE, CM_REGEX_OP_COMPILE, CM_REGEX_OP_MATCH } op;
	uint32_t id;		/* MATCH: how many ids follow the octets */
	uint32_t flags;
	uint32_t len;		/* octets that follow: a pattern or a text */
};
struct cm_regex_compiled {
	uint8_t answer;
	char why[CM_REGEX_WHY];
};
_Noreturn void cm_regex_serve(int fd);

#endif /* CM_MAPPER_REGEX_CHILD_INTERNAL_H */
