/* base/log.h - one line for each decision, for administrators; in the journal its parts are fields. */
#ifndef CM_BASE_LOG_H
#define CM_BASE_LOG_H

#include <sys/types.h>

#include "base/err.h"
#include "base/trace.h"

enum cm_log_target {
	CM_LOG_NONE,
	CM_LOG_STDERR,		/* what the service manager ties to the journal goes there with its fields */
	CM_LOG_SYSLOG,		/* facility authpriv, identity "cardmap"; the journal, where it runs, with fields */
};

enum cm_log_online { CM_LOG_NOT_SAID, CM_LOG_ONLINE, CM_LOG_OFFLINE };
#define CM_LOG_NO_UID	((uid_t)-1)

/*
 * A decision.  All is borrowed; NULL and "": not known, and then not written.
 * Texts are about public things (account, certificate, server): no PIN, key or
 * password comes here.  Bytes from outside are made printable.
 */
struct cm_log_entry {
	const char *event;	/* "login": a word of ours */
	enum cm_err err;
	enum cm_reason reason;
	const char *text;
	const char *user;
	uid_t uid;		/* CM_LOG_NO_UID: none */
	const char *reader;
	const char *serial;	/* of the certificate, hex */
	const char *service;	/* PAM's */
	const char *rhost;
	const char *tty;	/* where it is asked: PAM's */
	const char *stages;	/* cm_log_stages() */
	enum cm_log_online online;
};

/*
 * Write "event result reason=NAME: text (user=... uid=... ...)", with what of it is known.
 * In the journal MESSAGE is that line, and each part a field: CARDMAP_EVENT, _RESULT, _REASON,
 * _USER, _UID, _READER, _SERIAL, _SERVICE, _RHOST, _TTY, _ONLINE ("yes" or "no") and _STAGES
 * (cardmapd(8) lists them).  A log that hangs is given up after half a second.
 */
void cm_log_write(enum cm_log_target target, const struct cm_log_entry *e);

/* Append "certificate 12.3 ms, chain 0.4 ms": each stage of t with its time, and what it ended with if not well. */
void cm_log_stages(const struct cm_trace *t, struct cm_buf *out);

/* An entry of these alone. */
void cm_log_event(enum cm_log_target target, const char *event, enum cm_err err,
    enum cm_reason reason, const char *fmt, ...) CM_PRINTF(5, 6);

#endif /* CM_BASE_LOG_H */
