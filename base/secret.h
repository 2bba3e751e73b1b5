/* base/secret.h - a PIN or a key in memory: locked, kept out of core files, wiped. */
#ifndef CM_BASE_SECRET_H
#define CM_BASE_SECRET_H

#include "base/blob.h"
#include "base/clock.h"
#include "base/err.h"

struct cm_secret;

/* Longest secret held, in bytes. */
#define CM_SECRET_MAX	4096

/*
 * A copy of v in pages of its own: locked in memory, left out of core files
 * and of children, between guard pages.  The caller wipes v.
 *
 * CM_OK          *out is the caller's, for cm_secret_free
 * CM_ERR_SYNTAX  longer than CM_SECRET_MAX
 * CM_ERR_NOMEM, CM_ERR_SYSTEM (memory cannot be locked: RLIMIT_MEMLOCK)
 */
CM_MUST_USE enum cm_err cm_secret_new(struct cm_blob v, struct cm_secret **out);

/*
 * Read one line (its newline dropped) or until the end from fd, straight into
 * locked memory.  fd stays open and the caller's.
 *
 * CM_ERR_ABSENT   nothing came
 * CM_ERR_OFFLINE  the deadline passed first
 * CM_ERR_SYNTAX, CM_ERR_SYSTEM, CM_ERR_NOMEM  as above
 */
CM_MUST_USE enum cm_err cm_secret_read(int fd, cm_deadline deadline,
    struct cm_secret **out);

/* Its bytes, borrowed; {NULL, 0} for NULL. */
struct cm_blob cm_secret_bytes(const struct cm_secret *s);

/* Wipe, free, set NULL; accepts NULL. */
void cm_secret_free(struct cm_secret **s);

/*
 * After a secret was used: registers that the dynamic linker saved, and locals
 * of other people's libraries, may have left a copy on the stack below here.
 */
void cm_secret_wipe_stack(void);

/* For the start of a program that holds secrets: no core file, no ptrace by the same user, no swap where it may lock all its memory. */
void cm_secret_harden_process(void);

#endif /* CM_BASE_SECRET_H */
