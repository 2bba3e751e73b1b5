/* resolver/session.c - one card: its certificate comes from cardmapd, and what is found about it goes back. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "resolver/resolver.h"
#include "service/channel.h"
#include "service/enforcement.h"
#include "service/stages.h"

#define SEND_MS		5000
#define DEADLINE_MS	10000	/* of a question that names none */

/* How far this card has come; a bit each. */
enum { AT_BEGIN = 1, AT_CHAIN = 2, AT_ACCOUNT = 4, ANYWHERE = 7 };

struct session {
	const struct cm_resolver *r;
	struct cm_channel *channel;
	struct cm_host host;		/* the resolver's, with a directory for as long as one is lent */
	struct cm_login login;
	unsigned at;
};

/* ---- requests: what they end with goes into the answer, and is no end of the session */

static enum cm_err
chain(struct session *s, const struct cm_message *q, struct cm_message *answer)
{
	enum cm_err err;

	s->at = AT_BEGIN;
	cm_kdcs_warm(s->r->kdcs);
	if ((err = cm_stages_take(&s->login, q->certificate)) == CM_OK &&
	    (err = cm_stages_chain(&s->login)) == CM_OK && (err = cm_stages_tell_chain(&s->login, answer)) == CM_OK)
		s->at = AT_CHAIN;
	return err;
}

static enum cm_err
account(struct session *s, const struct cm_message *q, struct cm_message *answer)
{
	struct cm_lent lent;
	enum cm_err err;

	s->at = AT_CHAIN;
	s->login.user = q->user[0] != '\0' ? q->user : NULL;
	if ((err = cm_pool_take(s->r->pool, s->login.deadline, s->login.trace, &lent)) != CM_OK)
		goto out;
	s->host.directory = lent.directory;
	err = cm_stages_account(&s->login);
	s->host.directory = NULL;
	cm_pool_give(s->r->pool, &lent);
	if (err == CM_OK && (err = cm_stages_tell_account(&s->login, answer)) == CM_OK)
		s->at = AT_ACCOUNT;
out:
	s->login.user = NULL;
	return err;
}

/*
 * Who comes without a card is asked about by name.  It says nothing about any card,
 * so nothing that is kept is withdrawn for it here, and nothing kept answers for it.
 */
static enum cm_err
standing(struct session *s, const struct cm_message *q, struct cm_message *answer)
{
	struct cm_enforcement_asking a = { .host = s->r->host, .user = q->user, .group = q->group, .deadline = s->login.deadline };
	struct cm_facts said = { .attribute.kind = CM_FACT_UNKNOWN };
	struct cm_lent lent;
	enum cm_err err, told;

	if (q->user[0] == '\0')
		return cm_trace_fail(s->login.trace, CM_REASON_NO_ACCOUNT, "no name");
	if ((err = cm_pool_take(s->r->pool, s->login.deadline, s->login.trace, &lent)) != CM_OK)
		return err;
	a.directory = lent.directory;
	err = cm_enforcement_ask(&a, s->login.trace, &answer->account, &said);
	cm_pool_give(s->r->pool, &lent);
	told = cm_stages_tell_facts(&said, answer);
	return told != CM_OK ? told : err;
}

static enum cm_err
revocation(struct session *s, const struct cm_message *q, struct cm_message *answer)
{
	const enum cm_err err = cm_stages_revocation(&s->login);
	enum cm_err told;

	(void)q;
	told = cm_stages_tell_revocation(&s->login, answer);
	return err != CM_OK ? err : told;
}

static enum cm_err
kdc_state(struct session *s, const struct cm_message *q, struct cm_message *answer)
{
	(void)q;
	answer->kdc_silent = cm_kdcs_silent(s->r->kdcs, &answer->text);
	return CM_OK;
}

static enum cm_err
kdc_silent(struct session *s, const struct cm_message *q, struct cm_message *answer)
{
	(void)q;
	(void)answer;
	cm_kdcs_note_silent(s->r->kdcs);
	return CM_OK;
}

static void
add_silent(void *arg, const char *uri, const char *why, int64_t seconds)
{
	char age[CM_TIME_SIZE];

	/* what went wrong begins with the server's address */
	cm_trace_add(arg, "silent", "%s%s%s, for %s", strncmp(why, uri, strlen(uri)) == 0 ? "" : uri,
	    strncmp(why, uri, strlen(uri)) == 0 ? "" : ": ", why, cm_clock_age(seconds, age));
}

/* For people: items of the trace, which is that of this message alone. */
static enum cm_err
state(struct session *s, const struct cm_message *q, struct cm_message *answer)
{
	struct cm_trace *t = s->login.trace;
	struct cm_directory_stats all;
	size_t handles;
	char *why = NULL;

	(void)q;
	(void)answer;
	all = cm_pool_stats(s->r->pool, &handles);
	cm_trace_add(t, "connections", "%u made, %zu at most at once", all.connections, handles);
	cm_trace_add(t, "searches", "%u", all.searches);
	cm_pool_each_silent(s->r->pool, add_silent, t);
	if (cm_kdcs_silent(s->r->kdcs, &why))
		cm_trace_add(t, "kdc", "%s", why != NULL ? why : "none answers");
	free(why);
	return CM_OK;
}

/* What may be asked, and when; anything else ends the session. */
static const struct row {
	enum cm_message_kind kind, answer;	/* CM_MESSAGE_NONE: there is none */
	unsigned when;
	bool reports;				/* the answer has items of the trace, and how it ended */
	const char *stage, *fault;
	enum cm_err (*serve)(struct session *s, const struct cm_message *q, struct cm_message *answer);
} rows[] = {
	{ CM_MESSAGE_CHAIN, CM_MESSAGE_CHAINED, ANYWHERE, true, "chain", "resolver.CHAIN", chain },
	{ CM_MESSAGE_ACCOUNT, CM_MESSAGE_FOUND, AT_CHAIN | AT_ACCOUNT, true, "account", "resolver.ACCOUNT", account },
	{ CM_MESSAGE_STANDING, CM_MESSAGE_FOUND, ANYWHERE, true, "account", "resolver.STANDING", standing },
	{ CM_MESSAGE_REVOCATION, CM_MESSAGE_JUDGED, AT_ACCOUNT, true, "revocation", "resolver.REVOCATION", revocation },
	{ CM_MESSAGE_KDC_STATE, CM_MESSAGE_KDC_STATED, ANYWHERE, false, "kdc", "resolver.KDC_STATE", kdc_state },
	{ CM_MESSAGE_STATE, CM_MESSAGE_STATED, ANYWHERE, true, "state", "resolver.STATE", state },
	{ CM_MESSAGE_KDC_SILENT, CM_MESSAGE_NONE, ANYWHERE, false, "kdc", "resolver.KDC_SILENT", kdc_silent },
};

static enum cm_err
run(struct session *s, const struct row *row, const struct cm_message *q, struct cm_message *answer)
{
	struct cm_trace *t = s->login.trace;
	enum cm_err err;

	s->login.deadline = cm_deadline_in(q->deadline != 0 ? (unsigned)q->deadline : DEADLINE_MS);
	cm_trace_begin(t, row->stage);
	if ((err = cm_fault_point(row->fault)) == CM_OK)
		err = row->serve(s, q, answer);
	else
		cm_trace_fail(t, CM_REASON_INJECTED, "fault point %s", row->fault);
	cm_trace_end(t, err);
	return row->reports ? cm_message_report(answer, err, t) : err;
}

static enum cm_err
serve(struct session *s, const struct cm_message *q)
{
	struct cm_message answer = { 0 };
	const struct row *row = NULL;
	enum cm_err err;

	for (size_t i = 0; i < CM_COUNT(rows) && row == NULL; i++)
		if (rows[i].kind == q->kind && (rows[i].when & s->at) != 0)
			row = &rows[i];
	if (row == NULL)
		return CM_ERR_STATE;
	answer.kind = row->answer;
	if ((err = cm_trace_new(&s->login.trace)) == CM_OK && (err = run(s, row, q, &answer)) == CM_OK &&
	    row->answer != CM_MESSAGE_NONE)
		err = cm_channel_send(s->channel, &answer, NULL, 0, cm_deadline_in(SEND_MS));
	cm_trace_free(&s->login.trace);
	cm_message_clear(&answer);
	return err;
}

/* Cards stay in readers for days: nothing is asked meanwhile, and the end is seen at once. */
static enum cm_err
next(struct session *s, struct cm_message *q)
{
	struct pollfd p = { .fd = cm_channel_fd(s->channel), .events = POLLIN };

	while (poll(&p, 1, -1) < 0)
		;
	return cm_channel_receive(s->channel, cm_deadline_in(SEND_MS), q, NULL, 0);
}

void
cm_session_run(const struct cm_resolver *r, int fd)
{
	struct session s = { .r = r, .at = AT_BEGIN, .host = *r->host };
	struct cm_message q = { 0 };
	enum cm_err err;

	s.login.host = &s.host;
	if ((err = cm_channel_new(fd, &s.channel)) != CM_OK)
		return;
	while ((err = next(&s, &q)) == CM_OK) {
		err = serve(&s, &q);
		if (err != CM_OK)
			cm_log_event(r->conf->service.log, "resolver", err, CM_REASON_HELPER, "%s: not permitted or not possible now: "
			    "the session ends", cm_message_kind_name(q.kind));
		cm_message_clear(&q);
		if (err != CM_OK)
			break;
	}
	cm_stages_clear(&s.login);
	cm_channel_free(&s.channel);
}
