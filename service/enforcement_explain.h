/* service/enforcement_explain.h - why somebody must use a card, or need not: each step's value, and what a change would do. */
#ifndef CM_SERVICE_ENFORCEMENT_EXPLAIN_H
#define CM_SERVICE_ENFORCEMENT_EXPLAIN_H

#include <jansson.h>

#include "service/enforcement.h"

/* All borrowed. */
struct cm_enforcement_explaining {
	const struct cm_conf *conf;
	struct cm_accounts *store;	/* NULL: nothing is kept */
	const char *user;
	/*
	 * An object of texts: what is supposed.  Keys of the configuration's section, with or
	 * without "enforcement.": required, allow_unmapped_users, not_enforced_group; or facts: the
	 * attribute by its name, userAccountControl, group, mapped, exempt, local.  NULL: nothing
	 */
	const json_t *what_if;
	/* What does a directory say of him, and of whether he is in this group (NULL: none)?  NULL: nobody can be asked. */
	enum cm_err (*ask)(void *arg, const char *user, const char *group, struct cm_trace *t, struct cm_facts *said);
	void *arg;
};

/*
 * *out: an object: user, card_required, decided (the step's name), step (its number), steps (each:
 * number, step, value, says, reached), local, kept (since when what is kept speaks), offline (why nobody
 * answered), skip_once and skip_once_made (until when root lets him in once, and since when), and with what_if: before (card_required,
 * decided, as it is now).  Nothing is kept or used up.
 *
 * CM_ERR_USAGE   USAGE: what is supposed is no key, or no value of it
 * CM_ERR_SYSTEM  STORE, SYSTEM; CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_enforcement_explain(const struct cm_enforcement_explaining *x, struct cm_trace *t, json_t **out);

#endif /* CM_SERVICE_ENFORCEMENT_EXPLAIN_H */
