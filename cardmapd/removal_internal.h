/* cardmapd/removal_internal.h - who came in by which card; removal.c decides, removal_file.c keeps it. */
#ifndef CM_CARDMAPD_REMOVAL_INTERNAL_H
#define CM_CARDMAPD_REMOVAL_INTERNAL_H

#include "cardmapd/removal.h"

#define CM_ENTERED_MAX	64
#define CM_SESSION_SIZE	64	/* of logind's names */
#define CM_NAME_SIZE	257

/* Somebody who came in by a card, or unlocked his session by it. */
struct cm_entered {
	char card[CM_CARD_SIZE];
	char user[CM_NAME_SIZE];
	uid_t uid;
	pid_t pid;			/* who asked: it goes on to make the session, or ends */
	uint64_t started;		/* of pid, in ticks since the boot: a number is used again */
	char session[CM_SESSION_SIZE];	/* logind's; "": not known yet */
	char reader[CM_NAME_SIZE];
	cm_deadline due;		/* the action; INT64_MAX: the card is in, or the action was taken */
	cm_deadline hold;		/* a card that is being read may be this one: until when that is waited for */
	bool lost;			/* nobody knows where the card is: no reader can be asked */
	unsigned failed;		/* times that logind could not be told */
};

struct cm_entered_list {
	struct cm_entered rows[CM_ENTERED_MAX];
	size_t count;
};

/* When this process began, in ticks since the boot; 0: there is none. */
uint64_t cm_entered_started(pid_t pid);

/* What is kept, as JSON.  text is a caller's to free; NULL: memory is short.  False: it is not what was written, and nothing is known */
char *cm_entered_text(const struct cm_entered_list *l);
bool cm_entered_parse(struct cm_blob text, struct cm_entered_list *out);

/* CM_ERR_ABSENT: there is no file; CM_ERR_CONFIG (CONFIG): it is not what was written */
CM_MUST_USE enum cm_err cm_entered_read(const char *path, struct cm_trace *t, struct cm_entered_list *out);
/* Whole or not at all.  CM_ERR_SYSTEM */
CM_MUST_USE enum cm_err cm_entered_write(const char *path, const struct cm_entered_list *l, struct cm_trace *t);

#endif /* CM_CARDMAPD_REMOVAL_INTERNAL_H */
