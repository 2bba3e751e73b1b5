/* service/enforcement.h - must this user use a card?  Five steps, and the first that says something decides. */
#ifndef CM_SERVICE_ENFORCEMENT_H
#define CM_SERVICE_ENFORCEMENT_H

#include "base/conf.h"
#include "cache/accounts.h"
#include "ldap/facts.h"

/*
 * The steps in their order (SmartCardServices(7)); numbers are those of
 * cardmap-enforcement(7).  Before them, root's way in.
 */
enum cm_enforcement_step {
	CM_STEP_EXEMPT,		/* enforcement.exempt: this computer's own way in */
	CM_STEP_ATTRIBUTE,	/* the account's SmartCardEnforcement */
	CM_STEP_CONTROL,	/* userAccountControl 0x40000, SMARTCARD_REQUIRED */
	CM_STEP_GROUP,		/* enforcement.not_enforced_group */
	CM_STEP_UNMAPPED,	/* enforcement.allow_unmapped_users */
	CM_STEP_SYSTEM,		/* enforcement.required */
	CM_STEP_COUNT,
};
/* "exempt", "attribute", "control", "group", "unmapped", "system": in JSON and messages. */
const char *cm_enforcement_step_name(enum cm_enforcement_step step);

/* What the steps look at.  A zeroed struct: nothing is known of a user of some directory. */
struct cm_enforcement_facts {
	struct cm_facts account;	/* of a local account: group as /etc/group has it, mapped as this computer does */
	bool local;			/* of this computer: the directory's steps are not its */
	bool exempt;			/* enforcement.exempt names it, and it is one of this computer's */
	bool no_directory;		/* there is none to ask: its steps are nobody's here */
	time_t kept;			/* 0: said now; else when a directory that is silent now said so */
};

enum cm_enforcement_says { CM_SAYS_NOTHING, CM_SAYS_PASSWORD, CM_SAYS_CARD };

#define CM_ENFORCEMENT_TEXT	192
struct cm_enforcement_decision {
	bool card_required;
	enum cm_enforcement_step step;	/* that decided */
	struct cm_enforcement_seen {
		enum cm_enforcement_says says;
		bool reached;			/* none before it decided */
		char value[CM_ENFORCEMENT_TEXT];	/* for people, and never empty: "2: a password is allowed" */
	} steps[CM_STEP_COUNT];
};

/*
 * Pure: nothing is asked, nothing can fail.  A step of which nothing is known,
 * and a value that means nothing, say that a card is required.
 */
void cm_enforcement_decide(const struct cm_conf *conf, const struct cm_enforcement_facts *f, struct cm_enforcement_decision *out);

/* CM_OK: a password is enough; CM_ERR_REFUSED (CARD_REQUIRED): the text names user, step and value. */
CM_MUST_USE enum cm_err cm_enforcement_judge(const struct cm_enforcement_decision *d, const char *user, struct cm_trace *t);

/*
 * Is this name one of enforcement.exempt (root, where that is not set), and an
 * account of this computer?  Another account of uid 0 is exempt as root is.
 * Read without NSS, and never a directory's word.
 */
bool cm_enforcement_is_exempt(const struct cm_conf *conf, const char *user);

/*
 * The facts of this name: those of this computer, and for the rest what a
 * directory said (said, NULL: none could be asked), or said last (kept, NULL: nothing
 * is kept; at: when).  A pairing, and an account that is kept from a login by card, map it.
 * store NULL: nothing is known of either.
 * CM_ERR_SYSTEM  STORE, SYSTEM (/etc/group cannot be read): *out says that nothing is known, but who is exempt
 */
struct cm_enforcement_sources {
	const struct cm_conf *conf;
	struct cm_accounts *store;
	const struct cm_facts *said, *kept;
	time_t at;
	const char *etc;	/* the folder of group; NULL: /etc */
};
CM_MUST_USE enum cm_err cm_enforcement_gather(const struct cm_enforcement_sources *s, const char *user, struct cm_trace *t,
    struct cm_enforcement_facts *out);

/*
 * Mistakes, each an item "mistake" of t: where a card is required nobody would have a way in
 * by password, or no card opens anything; a group exempts nobody, or it or the attribute has a name
 * that none has.  What has no effect, or not what one may think, is an item "to be considered".
 * etc: the folder of shadow and group, NULL for /etc; where those cannot be read, passwords and groups are taken to be there.
 * CM_ERR_CONFIG  CONFIG: there is one
 */
CM_MUST_USE enum cm_err cm_enforcement_check(const struct cm_conf *conf, const char *etc, struct cm_trace *t);

/* Is a directory configured (local: alone is none)? */
bool cm_enforcement_has_directory(const struct cm_conf *conf);
/* Can a fact say that it is about a group, or an attribute, of this name (struct cm_fact's text)? */
bool cm_enforcement_can_name(const char *name);

/*
 * What was said last of this name, in whatever case, or of what it is without its domain: the later of them.  Nothing
 * is kept (or store is NULL): *kept says UNKNOWN of everything, and *at is 0.
 * CM_ERR_SYSTEM  STORE; CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_enforcement_find_kept(struct cm_accounts *store, const char *user, struct cm_trace *t, struct cm_facts *kept,
    time_t *at);
/*
 * What a name may be short for, as NSS may write it: "alice" of "alice@example.org", "EXAMPLE\alice" and "EXAMPLE+alice";
 * of "EXAMPLE\alice@example.org" both are.  How many; each is the caller's, for free(3).
 */
#define CM_NAMES_MAX	3
size_t cm_enforcement_names(const char *user, char *names[CM_NAMES_MAX]);

/* Has somebody of this name anything to ask a directory for: one is configured, he is not exempt, and not of this computer? */
bool cm_enforcement_wants_directory(const struct cm_conf *conf, const char *user);

/*
 * Keep what was said of this name, for when nobody answers; a fact that is unknown now stays as it was kept.
 * absent: also that there is no such account; else only where something was kept of it, so that
 * names that nobody has do not fill the disk.  As cm_standing_note_facts()
 */
CM_MUST_USE enum cm_err cm_enforcement_keep(struct cm_accounts *store, const char *user, const struct cm_facts *said, bool absent,
    struct cm_trace *t);

struct cm_host;
/* What a directory is asked of an account; texts are the host's.  group NULL or "": that of the configuration, where it is in force. */
struct cm_facts_question cm_enforcement_question(const struct cm_host *h, const char *group);

/*
 * Somebody asked about by name: how his account stands, as cm_directory_find(), and
 * what is said of it, as cm_directory_find_facts().  Of "alice@example.org" and
 * "EXAMPLE\alice", where no account has that name, the facts are alice's.  All borrowed.
 */
struct cm_enforcement_asking {
	const struct cm_host *host;	/* with rules */
	struct cm_directory *directory;
	const char *user, *group;	/* group as of cm_enforcement_question() */
	cm_deadline deadline;
};
CM_MUST_USE enum cm_err cm_enforcement_ask(const struct cm_enforcement_asking *a, struct cm_trace *t, struct cm_account **out,
    struct cm_facts *said);

#endif /* CM_SERVICE_ENFORCEMENT_H */
