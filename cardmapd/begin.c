/* cardmapd/begin.c - io.cardmap.Login: a login begun, answered, cancelled. */
#include <stdlib.h>

#include "cardmapd/entrance.h"
#include "cardmapd/login.h"
#include "cardmapd/methods.h"
#include "cardmapd/pairing.h"
#include "cardmapd/record.h"
#include "cardmapd/session.h"
#include "service/policy.h"
#include "service/seat.h"

#define TTY_MAX	64	/* octets of a terminal's name that the log has: nobody else reads it */

struct begin {
	const char *user, *service, *tty, *rhost, *reader, *purpose;
	bool secret;
};

static const struct {
	const char *name;
	enum cm_purpose purpose;
} purposes[] = {
	{ "login", CM_PURPOSE_LOGIN }, { "account", CM_PURPOSE_ACCOUNT }, { "chauthtok", CM_PURPOSE_CHAUTHTOK },
	{ "refresh", CM_PURPOSE_REFRESH }, { "pair", CM_PURPOSE_PAIR },
};

static bool
find_purpose(const char *name, enum cm_purpose *out)
{
	for (size_t i = 0; i < CM_COUNT(purposes); i++)
		if (strcmp(purposes[i].name, name) == 0) {
			*out = purposes[i].purpose;
			return true;
		}
	return false;
}

static bool
copy_text(char **to, const char *from)
{
	return from == NULL || from[0] == '\0' || (*to = strdup(from)) != NULL;
}

static struct cm_attempt *
make_attempt(struct cm_client *c, const struct begin *b, enum cm_purpose purpose)
{
	struct cm_attempt *a = cm_logins_add(c->daemon->logins, c);

	if (a == NULL)
		return NULL;
	a->purpose = purpose;
	a->wants_secret = b->secret && purpose == CM_PURPOSE_LOGIN;
	if (copy_text(&a->user, b->user) && copy_text(&a->service, b->service) && copy_text(&a->rhost, b->rhost) &&
	    copy_text(&a->reader, b->reader) && (b->tty == NULL || (a->tty = strndup(b->tty, TTY_MAX)) != NULL))
		return a;
	cm_attempt_cancel(a);	/* the next round frees it */
	a->client = NULL;
	return NULL;
}

/* ---- before any card */

static enum cm_err
judge_seat(const struct cm_client *c, const struct cm_attempt *a, struct cm_trace *t)
{
	const struct cm_seat_request r = { .uid = c->peer.uid, .service = a->service, .rhost = a->rhost };
	struct cm_seat seat;
	enum cm_err err = cm_seat_look(c->peer.pid, a->pidfd, t, &seat);

	return err == CM_OK ? cm_seat_judge(c->daemon->conf, &seat, &r, t) : err;
}

/* "su to root" asks for nobody's card, and no card opens it. */
static enum cm_err
judge_user(const struct cm_attempt *a, struct cm_trace *t)
{
	if (a->purpose == CM_PURPOSE_REFRESH && a->uid == 0)
		return cm_trace_fail(t, CM_REASON_ACCOUNT_FORBIDDEN, "no card opens root, and a ticket is got for the caller's own account");
	return a->user == NULL || !cm_policy_is_root(a->user) ? CM_OK :
	    cm_trace_fail(t, CM_REASON_ACCOUNT_FORBIDDEN, "no card opens %s", a->user);
}

/* A card is paired with whoever asks, at this seat, and with nobody else. */
static enum cm_err
judge_pairing(const struct cm_client *c, struct cm_attempt *a, struct cm_trace *t)
{
	enum cm_err err;

	if ((err = cm_pairing_judge(c->daemon, a->uid, t, &a->pairs)) != CM_OK)
		return err;
	if (a->user != NULL && strcmp(a->user, a->pairs->name) != 0)
		return cm_trace_fail(t, CM_REASON_PAIRING_FOR_ROOT, "%s asks to pair a card with %s", a->pairs->name, a->user);
	free(a->user);
	return (a->user = strdup(a->pairs->name)) != NULL ? CM_OK : CM_ERR_NOMEM;
}

/* ---- Begin */

static void
caller_gone(struct cm_client *c)
{
	struct cm_attempt *a = c->waits;

	c->gone = NULL;
	a->client = NULL;
	cm_attempt_cancel(a);
}

static enum cm_err
answer_not_allowed(struct cm_varlink_request *r, const struct cm_trace *t)
{
	return cm_varlink_error(&r->turn, "io.cardmap.Login.NotAllowed", json_pack("{s:s, s:s}", "reason",
	    cm_reason_name(cm_trace_reason(t)), "text", cm_trace_message(t)), r->deadline);
}

/* Root's programs learn by the login's end, with what policy says of passwords; others by the interface's error. */
static enum cm_err
refuse(struct cm_varlink_request *r, struct cm_attempt *a, const struct cm_trace *t)
{
	const struct cm_log_entry e = cm_attempt_entry(a, cm_trace_reason(t), cm_trace_message(t));
	const bool here = a->uid == 0 || cm_trace_reason(t) != CM_REASON_NOT_HERE;

	cm_attempt_refuse(a, &e);
	if (here)
		return CM_OK;
	cm_attempt_part(a);
	return answer_not_allowed(r, t);
}

static enum cm_err
begin(struct cm_varlink_request *r, struct cm_attempt *a)
{
	struct cm_client *c = r->context;
	struct cm_trace *t = NULL;
	enum cm_err err = cm_trace_new(&t);

	if (err != CM_OK)
		return err;
	cm_client_keep(c, r, caller_gone, a);
	if (a->purpose == CM_PURPOSE_ACCOUNT) {
		err = cm_entrance_begin(a, cm_logins_proven_for(c->daemon->logins, c, a->user));
		goto out;
	}
	if (a->purpose == CM_PURPOSE_PAIR) {
		if ((err = judge_pairing(c, a, t)) != CM_OK || (err = judge_seat(c, a, t)) != CM_OK)
			err = refuse(r, a, t);
		goto out;
	}
	cm_entrance_ask_password(a);
	if ((err = judge_seat(c, a, t)) != CM_OK || (err = cm_policy_allow_cards(c->daemon->conf, t)) != CM_OK ||
	    (err = judge_user(a, t)) != CM_OK) {
		err = refuse(r, a, t);
	}
out:
	cm_trace_free(&t);
	return err;
}

enum cm_err
cm_method_begin(struct cm_varlink_request *r)
{
	struct begin b = { .purpose = "login" };
	const struct cm_parameter rows[] = {
		{ "user", CM_PARAMETER_TEXT, false, &b.user }, { "service", CM_PARAMETER_TEXT, false, &b.service },
		{ "tty", CM_PARAMETER_TEXT, false, &b.tty }, { "rhost", CM_PARAMETER_TEXT, false, &b.rhost },
		{ "reader", CM_PARAMETER_TEXT, false, &b.reader }, { "purpose", CM_PARAMETER_TEXT, false, &b.purpose },
		{ "secret", CM_PARAMETER_FLAG, false, &b.secret },
	};
	struct cm_client *c = r->context;
	enum cm_purpose purpose;
	struct cm_attempt *a;
	enum cm_err err = CM_OK;

	if (!cm_parameters_take(r, rows, CM_COUNT(rows), &err))
		return err;
	if (!find_purpose(b.purpose, &purpose))
		return cm_varlink_invalid(&r->turn, "purpose", r->deadline);
	if (purpose == CM_PURPOSE_ACCOUNT && (b.user == NULL || b.user[0] == '\0'))
		return cm_varlink_invalid(&r->turn, "user", r->deadline);
	if ((a = make_attempt(c, &b, purpose)) == NULL)
		return CM_ERR_NOMEM;
	return begin(r, a);
}

/* ---- Answer and Cancel */

static struct cm_attempt *
find(struct cm_varlink_request *r, const char *handle, enum cm_err *err)
{
	const struct cm_client *c = r->context;
	struct cm_attempt *a = cm_logins_find(c->daemon->logins, handle, c);

	if (a == NULL)
		*err = cm_varlink_error(&r->turn, "io.cardmap.Login.NoSuchLogin", json_object(), r->deadline);
	return a;
}

/* How many descriptors go beside which answer; a PIN typed at the reader has none. */
static bool
fits(const struct cm_attempt *a, const char *choice, size_t descriptors)
{
	if (a->answer.there || a->cancelled)
		return false;
	if (a->state == CM_ATTEMPT_CHOOSE)
		return choice != NULL && descriptors == 0;
	if (a->state != CM_ATTEMPT_PIN || choice != NULL)
		return false;
	if (a->purpose == CM_PURPOSE_PAIR)
		return descriptors == 1 || descriptors == 2;
	return a->purpose == CM_PURPOSE_CHAUTHTOK ? descriptors == 2 : descriptors <= 1;
}

static bool
give(struct cm_varlink_request *r, struct cm_attempt *a, const char *choice, bool last_try)
{
	struct cm_answer answer = { .there = true, .last_try = last_try, .fds = { -1, -1 }, .closing = a->daemon->closing,
		.whose = a->uid };
	bool taken;

	pthread_mutex_lock(&a->daemon->lock);
	taken = fits(a, choice, cm_wire_descriptors(r->turn.wire)) && (choice == NULL || (answer.choice = strdup(choice)) != NULL);
	if (taken) {
		for (size_t i = 0; i < CM_COUNT(answer.fds); i++)
			answer.fds[i] = cm_wire_take_descriptor(r->turn.wire);
		a->answer = answer;
		if (a->session != NULL)
			cm_session_wake(a->session, false);
	}
	pthread_mutex_unlock(&a->daemon->lock);
	return taken;
}

/* Who sat at the seat when he began need not sit there now: the session may have gone to the back. */
static bool
may_still(struct cm_varlink_request *r, struct cm_attempt *a, enum cm_err *err)
{
	const struct cm_client *c = r->context;
	struct cm_trace *t = NULL;
	bool may = false;

	if ((*err = cm_trace_new(&t)) == CM_OK)
		may = judge_seat(c, a, t) == CM_OK;
	if (*err == CM_OK && !may) {
		const struct cm_log_entry e = cm_attempt_entry(a, cm_trace_reason(t), cm_trace_message(t));

		cm_attempt_refuse(a, &e);
		cm_attempt_cancel(a);
		*err = answer_not_allowed(r, t);
	}
	cm_trace_free(&t);
	return may;
}

enum cm_err
cm_method_answer(struct cm_varlink_request *r)
{
	const char *handle = NULL, *choice = NULL;
	bool last_try = false;
	const struct cm_parameter rows[] = {
		{ "handle", CM_PARAMETER_TEXT, true, &handle }, { "choice", CM_PARAMETER_TEXT, false, &choice },
		{ "last_try", CM_PARAMETER_FLAG, false, &last_try },
	};
	struct cm_attempt *a;
	enum cm_err err = CM_OK;

	if (!cm_parameters_take(r, rows, CM_COUNT(rows), &err) || (a = find(r, handle, &err)) == NULL || !may_still(r, a, &err))
		return err;
	if (!give(r, a, choice, last_try))
		return cm_varlink_error(&r->turn, "io.cardmap.Login.NotAsked", json_pack("{s:s}", "state",
		    cm_attempt_state_name(a->state)),
		    r->deadline);
	return cm_varlink_answer(&r->turn, json_object(), r->deadline);
}

enum cm_err
cm_method_cancel(struct cm_varlink_request *r)
{
	const char *handle = NULL;
	const struct cm_parameter rows[] = { { "handle", CM_PARAMETER_TEXT, true, &handle } };
	struct cm_attempt *a;
	enum cm_err err = CM_OK;

	if (!cm_parameters_take(r, rows, CM_COUNT(rows), &err) || (a = find(r, handle, &err)) == NULL)
		return err;
	cm_attempt_cancel(a);
	return cm_varlink_answer(&r->turn, json_object(), r->deadline);
}
