/* cardmapd/standing.c - the resolver asked about somebody by name. */
#include "cardmapd/standing.h"

#include "cardmapd/processes.h"
#include "service/channel.h"

#define GRACE_MS	2000	/* the resolver's own answer that it was too slow is better than none */

/* What the resolver knows from the store is no answer of a directory. */
static enum cm_err
hear(const struct cm_message *answer, const char *user, struct cm_trace *t, struct cm_facts *said)
{
	const enum cm_err err = cm_message_reported(answer, t);

	if (err == CM_ERR_SYNTAX)
		return cm_trace_fail(t, CM_REASON_HELPER, "the resolver's result and reason do not go together");
	if (err == CM_OK && (answer->account == NULL || answer->kept != 0))
		return cm_trace_fail(t, CM_REASON_HELPER, "the resolver answered what it may not, of %s", user);
	if (answer->facts.len > 0 && !cm_facts_unpack(answer->facts, said))
		return cm_trace_fail(t, CM_REASON_HELPER, "the resolver answered facts that are none, of %s", user);
	return err;
}

enum cm_err
cm_daemon_ask_standing(const struct cm_daemon *d, const struct cm_standing_question *question, struct cm_trace *t,
    struct cm_account **out, struct cm_facts *said)
{
	const struct cm_message q = { .kind = CM_MESSAGE_STANDING, .user = (char *)(uintptr_t)question->user,
		.group = (char *)(uintptr_t)question->group, .deadline = d->conf->directory.timeout };
	const int fd = cm_processes_connect(d->processes, CM_KIND_RESOLVER);
	struct cm_message answer = { .kind = CM_MESSAGE_NONE };
	struct cm_channel *resolver = NULL;
	enum cm_err err = fd >= 0 ? cm_channel_new(fd, &resolver) : CM_ERR_OFFLINE;

	*said = (struct cm_facts){ .attribute.kind = CM_FACT_UNKNOWN };
	cm_trace_begin(t, cm_message_kind_name(q.kind));
	if (err == CM_OK)
		err = cm_channel_ask(resolver, &q, NULL, 0, CM_MESSAGE_FOUND, cm_deadline_in((unsigned)q.deadline + GRACE_MS), &answer);
	if (err == CM_OK)
		err = hear(&answer, question->user, t, said);
	else if (err != CM_ERR_NOMEM)
		err = cm_trace_fail(t, CM_REASON_HELPER, "the resolver cannot be had, or did not answer: how %s stands is not known",
		    question->user);
	if (err == CM_OK) {
		*out = answer.account;
		answer.account = NULL;
	}
	cm_trace_end(t, err);
	cm_message_clear(&answer);
	cm_channel_free(&resolver);
	return err;
}
