/* service/mapping.h - what a directory is asked about a card: by a selector, by rules, by pairings. */
#ifndef CM_SERVICE_MAPPING_H
#define CM_SERVICE_MAPPING_H

#include "cache/pairings.h"
#include "ldap/facts.h"
#include "service/host.h"
#include "service/selector.h"

#define CM_SELECTOR_RULE	"selector"	/* how an account is said to be found; see also CM_PAIRING_RULE */

/* One question about one card.  What comes in is borrowed. */
struct cm_mapping {
	const struct cm_host *host;	/* with rules and directory; without accounts no pairing counts */
	const struct cm_cert *cert;
	const char *user;		/* who wants to log in; NULL: not said */
	cm_deadline deadline;
	bool every_rule;		/* in the trace, one by one: for explain */
	bool wants_facts;		/* cm_mapping_find() asks what the directory says of the account, too: */
	struct cm_facts said;		/* out */
	struct cm_trace *trace;
	struct cm_query *query;		/* out; owned */
	bool local;			/* out: the key is paired with an account of this computer */
};

/*
 * Where a selector is configured and there, its answer is the whole question;
 * else what the rules make of the certificate, and behind it the pairing of its
 * key, which counts only where no rule finds an account.  A pairing is asked
 * about also when no rule applies.
 *
 * CM_OK          m->query is set
 * CM_ERR_ABSENT  NO_RULE: no rule applies, and the key is not paired;
 *                NOT_SELECTED: the selector names nobody
 * CM_ERR_SYSTEM  SELECTOR, STORE: could not be asked, which is no "no"
 * CM_ERR_CONFIG  as cm_rules_map()
 */
CM_MUST_USE enum cm_err cm_mapping_make(struct cm_mapping *m);

/* The one account that m->query names.  Results are those of cm_directory_find(). */
CM_MUST_USE enum cm_err cm_mapping_find(struct cm_mapping *m, struct cm_account **out);

/*
 * Where cm_mapping_find() was CM_ERR_OFFLINE: the account of this computer that
 * the key is paired with.  Root paired it, and no server need be asked.
 * CM_ERR_OFFLINE  there is none: the reason that was set stays; else as cm_directory_find()
 */
CM_MUST_USE enum cm_err cm_mapping_find_local(const struct cm_mapping *m, struct cm_account **out);

/* The term of q that a kept account was found by: the same rule, attribute and value.  NULL: none, any more. */
const struct cm_query_term *cm_mapping_kept_term(const struct cm_account *kept, const struct cm_query *q);

/*
 * A kept account stands on a rule and its value: rules that no longer make that
 * value no longer lead to it (m->query is what they make now), and a weak one
 * leads nowhere once the binding must be strong.  A pairing's value is the
 * account's name: it goes when the pairing does.
 *
 * CM_OK           kept->weak is as the rules have it now
 * CM_ERR_OFFLINE  NOT_KEPT
 * CM_ERR_REFUSED  WEAK_BINDING
 */
CM_MUST_USE enum cm_err cm_mapping_check_kept(const struct cm_mapping *m, struct cm_account *kept);

/*
 * The same question where only the key's hash is known: m->cert is NULL.
 * Pairings of this computer, and values of the directory that hold the hash
 * and that the rules in force ask for.  CM_ERR_ABSENT: there is nothing to ask.
 */
CM_MUST_USE enum cm_err cm_mapping_make_of_key(struct cm_mapping *m, const struct cm_selector_key *key);

void cm_mapping_clear(struct cm_mapping *m);

/*
 * Append the terms that name an account by its name: the directory's or this
 * computer's.  CM_ERR_NOMEM.
 */
enum cm_account_place { CM_PLACE_DIRECTORY, CM_PLACE_LOCAL };
struct cm_named {
	const char *rule;		/* "pairing" */
	const char *name;
	enum cm_account_place place;
	bool pairing;			/* counts only where nothing else finds an account */
};
CM_MUST_USE enum cm_err cm_mapping_add_name(struct cm_query **q, const struct cm_named *n);

#endif /* CM_SERVICE_MAPPING_H */
