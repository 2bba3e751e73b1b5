/*
 * krb5/renew.c - a TGT is renewed: read, asked for anew, written.
 *
 * libkrb5 has no function that renews in steps.  krb5_get_renewed_creds(3) makes
 * the request and reads the answer; a hook of libkrb5's carries both
 * (exchange.c), so that libkrb5 opens no socket and waits for nobody.  It wants
 * to know a KDC first all the same, and would ask DNS: it is told of one that
 * nothing is sent to.
 */
#include "krb5/renew.h"

#include <errno.h>
#include <fcntl.h>
#include <profile.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "krb5/ccache_write.h"
#include "krb5/pkinit_internal.h"

struct renewing {
	struct cm_exchange x;
	struct cm_route route;
	const struct cm_renewal *request;
	int conf;			/* the part of krb5.conf that is ours */
	krb5_ccache cc;
	krb5_principal client, service;
	krb5_creds old, fresh;
};

bool
cm_renewal_is_due(time_t start, time_t end, time_t renew_till, time_t now)
{
	return now < end && renew_till > end && now - start >= (end - start) / 2;
}

static enum cm_err
fail_ticket(struct renewing *w, const char *why)
{
	return cm_trace_fail(w->x.trace, CM_REASON_NO_TICKET, "ccache %s: %s", w->request->ccache, why);
}

static enum cm_err
fail_ccache(struct renewing *w, krb5_error_code code)
{
	const char *words = krb5_get_error_message(w->x.context, code);

	if (code != ENOMEM)
		cm_trace_fail(w->x.trace, CM_REASON_CCACHE, "ccache %s: %s", w->request->ccache, words);
	krb5_free_error_message(w->x.context, words);
	return code == ENOMEM ? CM_ERR_NOMEM : CM_ERR_SYSTEM;
}

/* ---- libkrb5, with a KDC that it need not look for */

/* The file's grammar has no way to write such a name. */
static bool
can_be_written(const char *realm)
{
	for (const char *p = realm; *p != '\0'; p++)
		if ((unsigned char)*p <= ' ' || strchr("{}[]=*\"#;\\", *p) != NULL)
			return false;
	return realm[0] != '\0';
}

/* Before the others: of a value that stands in several the first holds. */
static enum cm_err
write_conf(struct renewing *w)
{
	const char *realm = w->x.pkinit->realm;
	struct cm_buf text = { 0 };
	enum cm_err err;

	if (!can_be_written(realm))
		return cm_trace_fail(w->x.trace, CM_REASON_CONFIG, "realm \"%s\": krb5.conf can hold no such name", realm);
	cm_buf_addf(&text, "[libdefaults]\n default_realm = %s\n dns_lookup_kdc = false\n dns_lookup_realm = false\n"
	    "[realms]\n %s = {\n  kdc = 127.0.0.1:9\n }\n", realm, realm);
	if ((err = cm_buf_status(&text)) == CM_OK && ((w->conf = memfd_create("krb5.conf", MFD_CLOEXEC)) < 0 ||
	    write(w->conf, text.ptr, text.len) != (ssize_t)text.len))
		err = cm_trace_fail(w->x.trace, CM_REASON_SYSTEM, "no memory for krb5.conf: %s", strerror(errno));
	cm_buf_free(&text);
	return err;
}

/* The system's files as krb5.conf(5) has them: libkrb5 tells nobody which it read. */
static long
open_profile(const char *own, const char *config, profile_t *out)
{
	const char *const files[] = { own, config, NULL };
	const char *usual = getenv("KRB5_CONFIG");
	struct cm_buf path = { 0 };
	long code = ENOMEM;

	if (config != NULL)
		return profile_init((const_profile_filespec_t *)(uintptr_t)files, out);
	cm_buf_addf(&path, "%s:%s", own, usual != NULL ? usual : "/etc/krb5.conf");
	if (cm_buf_status(&path) == CM_OK)
		code = profile_init_path(cm_buf_str(&path), out);
	cm_buf_free(&path);
	return code;
}

static enum cm_err
make_context(struct renewing *w, const char *config)
{
	profile_t profile = NULL;
	krb5_error_code code;
	char own[64];

	snprintf(own, sizeof(own), "/proc/self/fd/%d", w->conf);
	if ((code = (krb5_error_code)open_profile(own, config, &profile)) == 0)
		code = krb5_init_context_profile(profile, 0, &w->x.context);
	if (profile != NULL)
		profile_release(profile);
	return code == 0 ? CM_OK : cm_krb5_config_error(NULL, code, config != NULL ? config : "krb5.conf", w->x.trace);
}

/* krb5_pre_send_fn: what is returned is libkrb5's, and it sends nothing itself. */
static krb5_error_code
carry(krb5_context context, void *data, const krb5_data *realm, const krb5_data *message, krb5_data **other, krb5_data **reply)
{
	struct cm_exchange *x = data;
	krb5_data *r;

	(void)context;
	*other = *reply = NULL;
	if (x->kdc_error == KRB5KRB_ERR_RESPONSE_TOO_BIG)
		x->route->tcp = true;	/* RFC 4120 section 7.2.1: the same again by TCP */
	if ((x->err = cm_exchange_carry(x, realm, message)) != CM_OK)
		return KRB5_KDC_UNREACH;
	if ((r = calloc(1, sizeof(*r))) == NULL || (r->data = malloc(x->reply.len + 1)) == NULL) {
		free(r);
		return ENOMEM;
	}
	memcpy(r->data, x->reply.ptr, x->reply.len);
	r->length = (unsigned)x->reply.len;
	*reply = r;
	return 0;
}

/* ---- what is there */

/* libkrb5 takes it whosever it is, and whoever made it would choose whose ticket this user has. */
static enum cm_err
check_owner(struct renewing *w)
{
	const char *name = w->request->ccache;
	const bool folder = strncmp(name, "DIR:", 4) == 0;
	struct stat st;

	if (folder)
		name += 4;
	else if (strncmp(name, "FILE:", 5) == 0)
		name += 5;
	if (name[0] != '/')
		return CM_OK;
	if (lstat(name, &st) != 0)
		return errno == ENOENT ? fail_ticket(w, "there is none") : fail_ccache(w, errno);
	if (st.st_uid != geteuid() || !(folder ? S_ISDIR(st.st_mode) && (st.st_mode & 022) == 0 : S_ISREG(st.st_mode)))
		return fail_ticket(w, folder ? "it is no folder of this user's alone" : "it is no file of this user's");
	return CM_OK;
}

static krb5_error_code
find_tgt(struct renewing *w, krb5_creds *out)
{
	krb5_creds wanted = { .client = w->client, .server = w->service };

	return krb5_cc_retrieve_cred(w->x.context, w->cc, 0, &wanted, out);
}

static enum cm_err
read_ccache(struct renewing *w)
{
	const char *realm = w->x.pkinit->realm;
	krb5_context c = w->x.context;
	krb5_error_code code;

	if ((code = krb5_cc_resolve(c, w->request->ccache, &w->cc)) != 0)
		return fail_ccache(w, code);
	if ((code = krb5_cc_get_principal(c, w->cc, &w->client)) != 0)
		return code == ENOMEM ? CM_ERR_NOMEM : fail_ticket(w, "there is none");
	if (!cm_krb5_is_of(w->client, realm))
		return fail_ticket(w, "its ticket is of another realm");
	if (krb5_build_principal(c, &w->service, (unsigned)strlen(realm), realm, KRB5_TGS_NAME, realm, (char *)NULL) != 0)
		return CM_ERR_NOMEM;
	if (find_tgt(w, &w->old) != 0)
		return fail_ticket(w, "there is no ticket in it that others are got by");
	return CM_OK;
}

static enum cm_err
judge(struct renewing *w, bool *ask)
{
	const krb5_ticket_times *v = &w->old.times;
	const time_t now = cm_clock_now(), end = CM_KRB5_TIME(v->endtime), till = CM_KRB5_TIME(v->renew_till);
	const bool renewable = (w->old.ticket_flags & TKT_FLG_RENEWABLE) != 0;
	const time_t start = CM_KRB5_TIME(v->starttime != 0 ? v->starttime : v->authtime);

	*ask = !w->request->due || (renewable && cm_renewal_is_due(start, end, till, now));
	if (now >= end)
		return fail_ticket(w, "the ticket has expired");
	if (*ask && !renewable)
		return fail_ticket(w, "the ticket is not a renewable one");
	if (*ask && till <= end)
		return fail_ticket(w, "the ticket may be renewed no further");
	return CM_OK;
}

/* ---- what comes instead */

static enum cm_err
ask(struct renewing *w)
{
	krb5_error_code code;

	krb5_set_kdc_send_hook(w->x.context, carry, &w->x);
	code = krb5_get_renewed_creds(w->x.context, &w->fresh, w->client, w->cc, NULL);
	krb5_set_kdc_send_hook(w->x.context, NULL, NULL);
	if (w->x.err != CM_OK)
		return w->x.err;
	if (code == ENOMEM)
		return CM_ERR_NOMEM;
	if (code != 0)
		return cm_exchange_refused(&w->x, "to renew a ticket", code);
	if (!krb5_principal_compare(w->x.context, w->fresh.client, w->client) ||
	    !krb5_principal_compare(w->x.context, w->fresh.server, w->service))
		return cm_trace_fail(w->x.trace, CM_REASON_TICKET_FORGED, "KDC %s answered for another", cm_exchange_kdc(&w->x));
	return CM_OK;
}

static enum cm_err
put(struct renewing *w, const char *principal)
{
	const struct cm_ticket k = { .context = w->x.context, .client = w->client, .tgt = w->fresh };
	struct cm_buf packed, why = { 0 };
	enum cm_err err;

	cm_buf_init_secret(&packed, CM_CCACHE_TICKET_MAX);
	if ((err = cm_ticket_pack(&k, &packed)) == CM_OK &&
	    (err = cm_ccache_write(w->request->ccache, principal, cm_buf_blob(&packed), &why)) != CM_OK && err != CM_ERR_NOMEM)
		err = cm_trace_fail(w->x.trace, CM_REASON_CCACHE, "ccache %s: %s", w->request->ccache, cm_buf_str(&why));
	cm_buf_free(&packed);
	cm_buf_free(&why);
	return err;
}

static enum cm_err
tell(struct renewing *w, const krb5_creds *creds, struct cm_renewed *out)
{
	char *name = NULL;

	if (krb5_unparse_name(w->x.context, w->client, &name) != 0)
		return CM_ERR_NOMEM;
	out->principal = strdup(name);
	krb5_free_unparsed_name(w->x.context, name);
	out->expires = CM_KRB5_TIME(creds->times.endtime);
	out->renew_till = CM_KRB5_TIME(creds->times.renew_till);
	return out->principal != NULL ? CM_OK : CM_ERR_NOMEM;
}

/* Meanwhile a login by card may have written a newer one, or the user thrown it away (kdestroy(1)). */
static enum cm_err
replace(struct renewing *w, struct cm_renewed *out)
{
	krb5_creds now = { 0 };
	enum cm_err err;

	if (find_tgt(w, &now) != 0) {
		err = fail_ticket(w, "it was taken away meanwhile");
	} else if (now.ticket.length != w->old.ticket.length || memcmp(now.ticket.data, w->old.ticket.data, now.ticket.length) != 0) {
		cm_trace_add(w->x.trace, "left alone", "a newer ticket was written meanwhile");
		err = tell(w, &now, out);
	} else if ((err = tell(w, &w->fresh, out)) == CM_OK && (err = put(w, out->principal)) == CM_OK) {
		out->renewed = true;
	}
	krb5_free_cred_contents(w->x.context, &now);
	return err;
}

static enum cm_err
renew(struct renewing *w, struct cm_renewed *out)
{
	bool wanted = false;
	enum cm_err err;

	if ((err = check_owner(w)) != CM_OK || (err = read_ccache(w)) != CM_OK || (err = judge(w, &wanted)) != CM_OK)
		return err;
	if (!wanted)
		return tell(w, &w->old, out);
	return (err = ask(w)) == CM_OK ? replace(w, out) : err;
}

static void
end(struct renewing *w)
{
	krb5_context c = w->x.context;

	if (c != NULL) {
		krb5_free_cred_contents(c, &w->old);
		krb5_free_cred_contents(c, &w->fresh);
		krb5_free_principal(c, w->client);
		krb5_free_principal(c, w->service);
		if (w->cc != NULL)
			krb5_cc_close(c, w->cc);
		krb5_free_context(c);
	}
	if (w->conf >= 0)
		close(w->conf);		/* libkrb5 looks at its files again while it has them */
	cm_exchange_free(&w->x);
	cm_route_free(&w->route);
}

enum cm_err
cm_ticket_renew(struct cm_pkinit *p, const struct cm_renewal *r, cm_deadline deadline, struct cm_trace *t,
    struct cm_renewed *out)
{
	struct renewing w = { .x = { .pkinit = p, .deadline = deadline, .trace = t }, .request = r, .conf = -1 };
	enum cm_err err;

	*out = (struct cm_renewed){ 0 };
	w.x.route = &w.route;
	if ((err = cm_exchange_begin(&w.x)) == CM_OK && (err = write_conf(&w)) == CM_OK &&
	    (err = make_context(&w, p->config)) == CM_OK)
		err = renew(&w, out);
	if (err != CM_OK)
		cm_renewed_clear(out);
	end(&w);
	return err;
}

void
cm_renewed_clear(struct cm_renewed *r)
{
	free(r->principal);
	*r = (struct cm_renewed){ 0 };
}
