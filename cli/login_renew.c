/* cli/login_renew.c - the ticket of whoever calls, in their own ccache, gets a longer life: no card, no service. */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/service.h"
#include "krb5/ccache_put.h"
#include "krb5/renew.h"

static const char *const *
list_or_null(char **l)
{
	return l[0] != NULL ? (const char *const *)l : NULL;
}

/* Where a login by card puts it, whatever KRB5CCNAME is now: other tickets are those of who got them. */
static enum cm_err
find_ccache(struct cm_cli *c, char **name)
{
	char none[] = "";
	struct cm_account a = { .name = none, .uid = getuid() };
	char texts[16384];
	struct passwd entry, *found = NULL;

	if (getpwuid_r(getuid(), &entry, texts, sizeof(texts), &found) == 0 && found != NULL)
		a.name = found->pw_name;
	else if (strstr(c->conf->kerberos.ccache, "%{name}") != NULL)
		return cm_trace_fail(c->trace, CM_REASON_CCACHE, "the name of uid %u is not known", (unsigned)getuid());
	return cm_ccache_name(c->conf->kerberos.ccache, &a, c->trace, name);
}

static void
tell(const struct cm_cli *c, const char *ccache, const struct cm_renewed *r)
{
	char text[CM_TIME_SIZE];

	json_object_set_new(c->answer, "renewed", json_boolean(r->renewed));
	cm_cli_set(c->answer, "ccache", ccache);
	cm_cli_set(c->answer, "principal", r->principal);
	cm_cli_set_time(c->answer, "expires", r->expires);
	cm_cli_set_time(c->answer, "renew_until", r->renew_till);
	if (c->due && !r->renewed)
		return;		/* a timer's call says something when something was done */
	cm_cli_line(c, "ticket", "%s until %s", r->principal, cm_clock_text(r->expires, text));
	cm_cli_line(c, "renewable", "until %s", cm_clock_text(r->renew_till, text));
	cm_cli_line(c, "KRB5CCNAME", "%s", ccache);
}

static enum cm_err
renew(struct cm_cli *c, const char *ccache)
{
	const struct cm_conf *conf = c->conf;
	const struct cm_pkinit_options o = { .config = conf->kerberos.config, .realm = conf->kerberos.realm,
	    .kdcs = list_or_null(conf->kerberos.kdc) };
	const struct cm_renewal r = { .ccache = ccache, .due = c->due };
	struct cm_renewed renewed = { 0 };
	struct cm_pkinit *p = NULL;
	enum cm_err err;

	if ((err = cm_pkinit_open(&o, c->trace, &p)) == CM_OK)
		err = cm_ticket_renew(p, &r, cm_deadline_in(conf->kerberos.timeout), c->trace, &renewed);
	if (err == CM_OK)
		tell(c, ccache, &renewed);
	cm_renewed_clear(&renewed);
	cm_pkinit_close(&p);
	return err;
}

/* A user without a ticket, and a computer without Kerberos, are no news to a timer. */
static enum cm_err
unless_nothing(const struct cm_cli *c, enum cm_err err)
{
	if (!c->due || err != CM_ERR_ABSENT)
		return err;
	json_object_set_new(c->answer, "renewed", json_false());
	cm_trace_clear_reason(c->trace);
	return CM_OK;
}

enum cm_err
cm_cli_renew(struct cm_cli *c)
{
	char *ccache = NULL;
	enum cm_err err;

	cm_trace_begin(c->trace, "renew");
	if ((err = find_ccache(c, &ccache)) == CM_OK)
		err = unless_nothing(c, renew(c, ccache));
	cm_trace_end(c->trace, err);
	if (c->verbose || c->json)
		cm_cli_stages(c);
	free(ccache);
	return err;
}
