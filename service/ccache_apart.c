/*
 * service/ccache_apart.c - the user's ccache of a login apart: the program that writes it begins early and is told last.
 *
 * It becomes the user while the PIN is typed, and writes the ticket while the
 * store keeps the account, each of which costs the other nothing.  Before the
 * grant it gets no ticket, and before the last stage its file gets no name: a
 * login that ends in between leaves none.  The grant waits for the file, not for
 * the program's end: that is seen to when the login is forgotten.
 */
#include "service/apart_internal.h"

static struct cm_ccache_put
put_for(const struct cm_apart *a, const struct cm_account *account)
{
	return (struct cm_ccache_put){ .program = a->o.ccache_program, .pattern = a->o.conf->kerberos.ccache, .account = account,
		.ticket = a->ticket.ticket };
}

/* The grant's account may be another than that for which it began. */
static bool
is_for_grant(const struct cm_login *l)
{
	const struct cm_apart *a = l->worker;

	return a->putting != NULL && cm_ccache_put_is_for(a->putting, cm_grant_account(l->grant));
}

/* What has begun stays, if it is for this account and there still: a person may take his time.  Why it cannot, it tells when it is asked again. */
void
cm_apart_begin_ccache(struct cm_login *l)
{
	struct cm_apart *a = l->worker;
	const struct cm_ccache_put p = put_for(a, l->account);
	struct cm_trace *unheard = NULL;

	if (a->putting != NULL && cm_ccache_put_is_for(a->putting, l->account))
		return;
	cm_ccache_put_drop(&a->putting);
	if (cm_trace_new(&unheard) == CM_OK)
		(void)!cm_ccache_put_begin(&p, l->deadline, unheard, &a->putting);
	cm_trace_free(&unheard);
}

void
cm_apart_write_ahead(struct cm_login *l)
{
	struct cm_apart *a = l->worker;

	if (is_for_grant(l))
		cm_ccache_put_ahead(a->putting, a->ticket.ticket, l->deadline);
}

enum cm_err
cm_apart_store_ticket(struct cm_login *l)
{
	struct cm_apart *a = l->worker;
	const struct cm_ccache_put p = put_for(a, cm_grant_account(l->grant));

	/* one that only gets its next ticket was there before */
	if (a->o.naming != NULL && !l->for_ticket)
		a->o.naming(a->o.arg, p.account);
	if (is_for_grant(l))
		return cm_ccache_put_end(a->putting, p.ticket, l->deadline, l->trace, &l->ccache);
	return cm_ccache_put(&p, l->deadline, l->trace, &l->ccache);
}
