/* service/names.h - what other sources of names than ours say: nsswitch.conf(5)'s, asked by a program that has nothing to lose. */
#ifndef CM_SERVICE_NAMES_H
#define CM_SERVICE_NAMES_H

#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/trace.h"

/*
 * SSSD, nslcd, winbind and others are modules (libnss_X.so.2) that somebody has to
 * load: not cardmapd.  cardmap-names does, without privileges, with a deadline,
 * and tells by structs.  "files" is not asked (service/local.h reads those), nor
 * is "systemd", whose records are looked at where they lie (service/mobile.c).
 */
#define CM_NAMES_NAME_MAX	256	/* octets with the NUL */
#define CM_NAMES_QUESTIONS_MAX		1100	/* questions at once: an account, and its groups */
#define CM_NAMES_SOURCES_MAX	8	/* of a database */
#define CM_NAMES_SOURCE_MAX	32
#define CM_NAMES_MS		1000	/* for all of it */
#define CM_NAMES_SILENT_MS	60000	/* so long who did not answer is not waited for again */

/* Is this name another's than this id's, or this id another's than this name's? */
struct cm_names_question {
	uint32_t group;			/* of the database group, and not passwd */
	uint32_t id;
	char name[CM_NAMES_NAME_MAX];
};

enum cm_names_state {
	CM_NAMES_FREE,			/* no source knows either, or they know both as one */
	CM_NAMES_TAKEN,			/* source has this name with the other id that stands here, or the id with the other name */
	CM_NAMES_UNASKED,		/* source could not be asked: error is an errno, or 0 */
};

struct cm_names_answer {
	uint32_t state, id;
	int32_t error;
	char source[CM_NAMES_SOURCE_MAX];
	char name[CM_NAMES_NAME_MAX];
};

/* All borrowed. */
struct cm_names_how {
	const char *program;		/* cardmap-names by its whole path; NULL: beside this program */
	const char *etc;		/* where nsswitch.conf is; NULL: /etc */
	uid_t uid;			/* who asks; (uid_t)-1: as we are */
	gid_t gid;
	/* NULL, or where is written down until when (cm_clock_us()) nobody is asked, because it took too long: of any thread. */
	_Atomic int64_t *silent_until;
};

/*
 * One answer for each question.
 * CM_OK
 * CM_ERR_ABSENT  there is no other source (no reason is set)
 * CM_ERR_SYSTEM  SYSTEM: it could not be asked, or not in time; the text says who, if that is known
 * CM_ERR_NOMEM   CM_ERR_STATE: more than CM_NAMES_QUESTIONS_MAX
 */
CM_MUST_USE enum cm_err cm_names_ask(const struct cm_names_how *how, const struct cm_names_question *q, size_t count, struct cm_trace *t,
    struct cm_names_answer *answers);

/* The sources of this database ("passwd", "group"), but for those that are ours, each followed by a space; none: empty. */
void cm_names_sources(struct cm_blob nsswitch, const char *database, struct cm_buf *out);

#endif /* CM_SERVICE_NAMES_H */
