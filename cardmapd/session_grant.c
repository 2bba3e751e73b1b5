/* cardmapd/session_grant.c - who is let in is told so: the account, where its ticket is, what else there is to say. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "cardmapd/removal.h"
#include "cardmapd/session_internal.h"
#include "cardmapd/untold.h"
#include "krb5/ccache_put.h"

static json_t *
list_warnings(const struct cm_trace *t)
{
	json_t *list = json_array();

	for (size_t i = 0; i < cm_trace_count(t); i++) {
		const struct cm_trace_stage *s = cm_trace_stage(t, i);

		for (size_t n = 0; n < s->count; n++)
			if (strcmp(s->items[n].key, "warning") == 0)
				json_array_append_new(list, json_string(s->items[n].text));
	}
	return list;
}

void
cm_session_naming(void *arg, const struct cm_account *account)
{
	struct cm_session *s = arg;

	cm_untold_told(&s->attempt->untold);
	cm_untold_note(s->daemon, account, &s->attempt->untold);
}

/* Of a caller who went while the last stages ran nothing is left: the account itself, not root, takes its ccache away. */
static void
take_back(const struct cm_daemon *d, const struct cm_login *l)
{
	const struct cm_ccache_put p = { .program = d->ccache_program, .pattern = d->conf->kerberos.ccache,
		.account = cm_grant_account(l->grant) };
	struct cm_trace *t = NULL;
	enum cm_err err;

	if (l->ccache == NULL || cm_trace_new(&t) != CM_OK)
		return;
	if ((err = cm_ccache_remove(&p, cm_deadline_in(d->conf->kerberos.timeout), t)) != CM_OK)
		cm_log_event(d->conf->service.log, "login", err, cm_trace_reason(t), "a ccache of nobody is left: %s", cm_trace_message(t));
	cm_trace_free(&t);
}

/* Whether or not the main thread has come to see it. */
static bool
is_caller_gone(const struct cm_work *w, const struct cm_attempt *a)
{
	struct pollfd p = { .fd = a->pidfd, .events = POLLIN };

	return cm_work_is_cancelled(w) || (p.fd >= 0 && poll(&p, 1, 0) > 0);
}

/* A session that begins without a ticket finds the one that a later login by card, or a refresh, puts there; else NULL. */
static void
find_later(const struct cm_work *w, const struct cm_account *account, char **name)
{
	struct cm_trace *t = NULL;

	if (w->login.ccache == NULL && w->login.kdc_silent && cm_trace_new(&t) == CM_OK &&
	    cm_ccache_name(w->session->daemon->conf->kerberos.ccache, account, t, name) != CM_OK)
		*name = NULL;	/* it was let in, and has no ticket in any case */
	cm_trace_free(&t);
}

void
cm_work_grant(struct cm_work *w, struct cm_attempt *a)
{
	const struct cm_login *l = &w->login;
	char *later = NULL;
	struct cm_granting g = {
		.account = cm_grant_account(l->grant), .ccache = l->ccache, .serial = l->serial, .subject = l->subject,
		.kept_age = l->account_kept ? l->kept_age : -1, .warnings = list_warnings(w->trace),
	};

	(void)!cm_fault_point("granted");	/* for tests: all is done, and nobody was told */
	find_later(w, g.account, &later);
	g.ccache_later = later;
	if (is_caller_gone(w, a) && l->for_ticket)
		;	/* the ccache was there before, and is its owner's in any case */
	else if (is_caller_gone(w, a))
		take_back(w->session->daemon, l);
	else
		cm_removal_admitted(w->session->daemon->removal, w->session, a, g.account);
	pthread_mutex_lock(&a->daemon->lock);
	a->secret = cm_apart_take_secret(w->apart);
	pthread_mutex_unlock(&a->daemon->lock);
	cm_attempt_tell(a, &(struct cm_told){ .state = CM_ATTEMPT_GRANTED, .name = g.account->gecos, .user = g.account->name,
	    .reader = w->session->reader, .online = l->account_kept ? CM_LOG_OFFLINE : CM_LOG_ONLINE, .grant = cm_attempt_grant(&g) });
	w->granted = true;
	free(later);
}
