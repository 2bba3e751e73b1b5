/* resolver/questions.h - Whois and Explain: what is asked, who may, and what is answered. */
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

/* The interface io.cardmap, of which these two are served here; the context is a struct cm_asker. */
extern const struct cm_varlink_service cm_questions_service;

#endif /* CM_RESOLVER_QUESTIONS_H */
