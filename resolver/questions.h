/* resolver/questions.h - Whois, Explain and lists of revocation: what is asked, who may, and what is answered. */
#ifndef CM_RESOLVER_QUESTIONS_H
#define CM_RESOLVER_QUESTIONS_H

#include "resolver/kept.h"
#include "resolver/resolver.h"
#include "service/varlink.h"

/* Who asks, on one connection; one question at a time. */
struct cm_asker {
	const struct cm_resolver *resolver;
	struct cm_kept_answers *kept;	/* NULL: nothing is kept */
	uid_t uid;
	bool helpdesk;			/* as it was looked up last */
	cm_deadline helpdesk_until;	/* ... and until when that counts */
};

#define CM_QUESTION_SEND_MS	1000	/* who does not take an answer is gone */

/* Root, and the helpdesk, about everybody. */
bool cm_asker_may_ask_all(struct cm_asker *a);

/* revocation.c: the actions "lists" and "outlook" of Revocation. */
CM_MUST_USE enum cm_err cm_question_revocation(struct cm_varlink_request *r);

/* The interface io.cardmap, of which these are served here; the context is a struct cm_asker. */
extern const struct cm_varlink_service cm_questions_service;

#endif /* CM_RESOLVER_QUESTIONS_H */
