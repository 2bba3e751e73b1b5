/* cache/standing.h - what a directory said last of an account by name: that it stands or not, and what concerns enforcement. */
#ifndef CM_CACHE_STANDING_H
#define CM_CACHE_STANDING_H

#include "cache/accounts.h"
#include "ldap/facts.h"

/*
 * A row is a name.  It outlives what is kept of the account, so that nobody
 * becomes a stranger to this computer, of whom nothing bad is known, by being
 * disabled.  A store on a socket has none: CM_ERR_STATE.
 */
#define CM_STANDING_FACTS_MAX	CM_FACTS_OCTETS_MAX
struct cm_standing {
	bool carded;		/* a card opened it here; then: */
	uid_t uid;		/* as it was opened */
	enum cm_reason reason;	/* why it does not stand; CM_REASON_NONE: it does, or nothing was said */
	char *text;		/* of the reason; owned */
	time_t at;		/* said then */
	/* What its entry says of enforcement, as cm_facts_pack() writes it; no octets: never heard. */
	uint8_t facts[CM_STANDING_FACTS_MAX];
	size_t facts_len;
	time_t facts_at;
};
void cm_standing_clear(struct cm_standing *st);

/*
 * CM_OK          *out is the caller's, for cm_standing_clear()
 * CM_ERR_ABSENT  nothing was ever said of it, and no reason is set
 * CM_ERR_SYSTEM  STORE; CM_ERR_STATE, CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_standing_find(struct cm_accounts *s, const char *name, struct cm_trace *t, struct cm_standing *out);

/*
 * As cm_standing_find(), of the row that has facts: of those that differ in the case of ASCII letters alone, which
 * are one name to a directory, that whose facts are the latest.
 */
CM_MUST_USE enum cm_err cm_standing_find_facts(struct cm_accounts *s, const char *name, struct cm_trace *t, struct cm_standing *out);

/* What a directory answered about an account that a card opened here.  All borrowed. */
struct cm_standing_word {
	const char *name;
	uid_t uid;		/* of the account that was opened */
	enum cm_reason reason;	/* CM_REASON_NONE: it stands */
	const char *text;	/* NULL: none */
	time_t at;
	bool ends;		/* all that is kept of this name ends with it */
};
/* One transaction; its facts stay as they are.  CM_ERR_SYSTEM  STORE: nothing has changed; CM_ERR_STATE, CM_ERR_NOMEM */
CM_MUST_USE enum cm_err cm_standing_note(struct cm_accounts *s, const struct cm_standing_word *w, struct cm_trace *t);

/*
 * What its entry says of enforcement now, of whoever has one; how it stands stays.  The same
 * again is written once an hour.  CM_ERR_USAGE: more octets than are kept; else as cm_standing_note()
 */
CM_MUST_USE enum cm_err cm_standing_note_facts(struct cm_accounts *s, const char *name, struct cm_blob facts, time_t at,
    struct cm_trace *t);

/* Those that a card opened here and that stand no more, by name.  Anything but CM_OK of the visitor ends it.  CM_ERR_SYSTEM  STORE */
typedef enum cm_err (*cm_standing_visit)(void *arg, const char *name, const struct cm_standing *st);
CM_MUST_USE enum cm_err cm_standing_each_closed(struct cm_accounts *s, struct cm_trace *t, cm_standing_visit visit, void *arg);

#endif /* CM_CACHE_STANDING_H */
