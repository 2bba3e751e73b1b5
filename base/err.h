/* base/err.h - the one set of results, and small helpers every module uses. */
#ifndef CM_BASE_ERR_H
#define CM_BASE_ERR_H

#define CM_MUST_USE	__attribute__((warn_unused_result))
#define CM_PRINTF(f, a)	__attribute__((format(printf, f, a)))
#define CM_COUNT(a)	(sizeof(a) / sizeof((a)[0]))

/*
 * Three kinds of answer, never two: yes (CM_OK), no (asked, and it is no:
 * ABSENT, AMBIGUOUS, REFUSED), and could not ask (OFFLINE and all below it).
 * Codes of PAM, LDAP, krb5, OpenSSL, PKCS#11 and PC/SC are translated where
 * they arise and never travel.
 */
enum cm_err {
	CM_OK = 0,
	CM_ERR_ABSENT,		/* asked, and there is none */
	CM_ERR_AMBIGUOUS,	/* asked, and there are several */
	CM_ERR_REFUSED,		/* asked, and policy, trust or the card says no */
	CM_ERR_OFFLINE,		/* could not ask: no answer, no server, no reader, no card */
	CM_ERR_AGAIN,		/* what was read is not what is there now: start again */
	CM_ERR_SYNTAX,		/* bytes from outside are malformed */
	CM_ERR_CONFIG,		/* the configuration cannot be used */
	CM_ERR_USAGE,		/* the caller asked for something that is not on offer */
	CM_ERR_NOMEM,
	CM_ERR_SYSTEM,		/* a system call failed: disk full, permission */
	CM_ERR_STATE,		/* called out of order: a mistake of the program */
};

/* A word for err, for traces and tests; never NULL. */
const char *cm_err_name(enum cm_err err);

#endif /* CM_BASE_ERR_H */
