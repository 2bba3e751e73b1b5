/* krb5/options.c - from the configuration to what a login needs: realm, KDCs, anchors, keytab. */
#include <profile.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "krb5/pkinit_internal.h"

#define DATAGRAM_REQUEST_MAX	1465	/* libkrb5's default for udp_preference_limit */

/* krb5.conf(5): hosts behind a firewall that drops datagrams have udp_preference_limit = 1. */
static enum cm_err
find_datagram_max(struct cm_pkinit *p)
{
	profile_t profile = NULL;
	int limit = 0;

	if (krb5_get_profile(p->context, &profile) != 0)
		return CM_ERR_NOMEM;
	if (profile_get_integer(profile, "libdefaults", "udp_preference_limit", NULL,
	    DATAGRAM_REQUEST_MAX, &limit) != 0 || limit < 0 || limit > DATAGRAM_REQUEST_MAX)
		limit = DATAGRAM_REQUEST_MAX;
	p->datagram_max = (unsigned)limit;
	profile_release(profile);
	return CM_OK;
}

/* Of [libdefaults], where it has one, libkrb5 takes it itself: 0 there is an administrator's "none". */
static enum cm_err
find_renew_days(struct cm_pkinit *p, unsigned wanted)
{
	profile_t profile = NULL;
	char *own = NULL;

	if (krb5_get_profile(p->context, &profile) != 0)
		return CM_ERR_NOMEM;
	p->renew_days = wanted;
	if (wanted == 0 && (profile_get_string(profile, "libdefaults", "renew_lifetime", NULL, NULL, &own) != 0 || own == NULL))
		p->renew_days = CM_RENEW_DAYS;
	profile_release_string(own);
	profile_release(profile);
	return CM_OK;
}

static size_t
count(const char *const *list)
{
	size_t n = 0;

	while (list != NULL && list[n] != NULL)
		n++;
	return n;
}

static enum cm_err
parse_kdcs(struct cm_pkinit *p, const char *const *list, struct cm_trace *t)
{
	enum cm_err err = CM_OK;

	if ((p->kdcs = calloc(count(list) + 1, sizeof(*p->kdcs))) == NULL)
		return CM_ERR_NOMEM;
	for (size_t i = 0; err == CM_OK && i < count(list); i++) {
		if ((err = cm_kdc_parse(list[i], &p->kdcs[i])) == CM_ERR_SYNTAX)
			return cm_trace_fail(t, CM_REASON_CONFIG,
			    "KDC \"%s\": write host, host:port or [address]:port", list[i]);
		p->kdc_count += err == CM_OK;
	}
	if (err == CM_OK && p->kdc_count == 0) {
		cm_trace_fail(t, CM_REASON_CONFIG, "no KDC of %s: set kerberos.kdc, or kdc under "
		    "[realms] in krb5.conf (DNS is not asked for one)", p->realm);
		err = CM_ERR_ABSENT;
	}
	return err;
}

static enum cm_err
find_kdcs(struct cm_pkinit *p, const struct cm_pkinit_options *o, struct cm_trace *t)
{
	const char *const names[] = { "realms", p->realm, "kdc", NULL };
	profile_t profile = NULL;
	char **values = NULL;
	enum cm_err err;

	if (o->kdcs != NULL)
		return parse_kdcs(p, o->kdcs, t);
	if (krb5_get_profile(p->context, &profile) != 0)
		return CM_ERR_NOMEM;
	if (profile_get_values(profile, names, &values) != 0)
		values = NULL;		/* no such relation */
	err = parse_kdcs(p, (const char *const *)values, t);
	profile_free_list(values);
	profile_release(profile);
	return err;
}

/* libkrb5 opens it by name, at each request: by one that leads to the file that was judged, and to no other. */
static enum cm_err
add_anchor(struct cm_pkinit *p, size_t i, const char *path, struct cm_trace *t)
{
	bool is_folder = false;
	struct cm_buf b;
	enum cm_err err = cm_file_hold(path, CM_FILE_TRUSTED, t, &p->held[i], &is_folder);

	if (err != CM_OK)
		return err == CM_ERR_ABSENT ? cm_trace_fail(t, CM_REASON_CONFIG, "%s: cannot be read", path) : err;
	cm_buf_init(&b, 0);
	cm_buf_addf(&b, "%s:/proc/self/fd/%d", is_folder ? "DIR" : "FILE", p->held[i]);
	p->anchors[i] = cm_buf_take(&b);
	cm_buf_free(&b);
	if (p->anchors[i] == NULL)
		close(p->held[i]);	/* the rest goes with its anchor */
	return p->anchors[i] != NULL ? CM_OK : CM_ERR_NOMEM;
}

/*
 * libkrb5 takes anchors per request, but a pool of intermediates only from its
 * configuration.  They go among the anchors: OpenSSL still ends a chain at a
 * self-signed certificate only (the plugin does not set X509_V_FLAG_PARTIAL_CHAIN).
 */
static enum cm_err
find_anchors(struct cm_pkinit *p, const struct cm_pkinit_options *o, struct cm_trace *t)
{
	const size_t anchors = count(o->anchors), intermediates = count(o->intermediates);
	enum cm_err err = CM_OK;

	if (anchors == 0 && intermediates == 0)
		return CM_OK;
	if (anchors == 0)
		return cm_trace_fail(t, CM_REASON_CONFIG,
		    "kerberos.intermediates needs kerberos.anchors (without both, krb5.conf's pkinit_anchors and pkinit_pool count)");
	if ((p->anchors = calloc(anchors + intermediates + 1, sizeof(char *))) == NULL ||
	    (p->held = calloc(anchors + intermediates, sizeof(int))) == NULL)
		return CM_ERR_NOMEM;
	for (size_t i = 0; err == CM_OK && i < anchors; i++)
		err = add_anchor(p, i, o->anchors[i], t);
	for (size_t i = 0; err == CM_OK && i < intermediates; i++)
		err = add_anchor(p, anchors + i, o->intermediates[i], t);
	return err;
}

/* Without one, tickets stay unverified. */
static enum cm_err
open_keytab(struct cm_pkinit *p, const struct cm_pkinit_options *o, struct cm_trace *t)
{
	const struct cm_hostcheck_options h = { .keytab = o->keytab, .host_principal = o->host_principal };
	const enum cm_err err = cm_hostcheck_with(p->context, p->realm, &h, t, &p->hostcheck);

	return err == CM_ERR_ABSENT ? CM_OK : err;
}

enum cm_err
cm_pkinit_open(const struct cm_pkinit_options *o, struct cm_trace *t, struct cm_pkinit **out)
{
	struct cm_pkinit *p = calloc(1, sizeof(*p));
	enum cm_err err;

	*out = NULL;
	if (p == NULL)
		return CM_ERR_NOMEM;
	if (o->config != NULL && (p->config = strdup(o->config)) == NULL)
		err = CM_ERR_NOMEM;
	else if ((err = cm_krb5_context(o->config, t, &p->context)) == CM_OK &&
	    (err = cm_krb5_realm(p->context, o->realm, t, &p->realm)) == CM_OK &&
	    (err = find_datagram_max(p)) == CM_OK && (err = find_renew_days(p, o->renew_days)) == CM_OK &&
	    (err = find_kdcs(p, o, t)) == CM_OK && (err = find_anchors(p, o, t)) == CM_OK)
		err = open_keytab(p, o, t);
	if (err == CM_OK)
		*out = p;
	else
		cm_pkinit_close(&p);
	return err;
}

bool
cm_pkinit_has_keytab(const struct cm_pkinit *p)
{
	return p->hostcheck != NULL;
}

void
cm_pkinit_close(struct cm_pkinit **pkinit)
{
	struct cm_pkinit *p = *pkinit;

	if (p == NULL)
		return;
	for (size_t i = 0; i < p->kdc_count; i++)
		cm_kdc_free(&p->kdcs[i]);
	for (size_t i = 0; p->held != NULL && p->anchors[i] != NULL; i++) {
		close(p->held[i]);
		free(p->anchors[i]);
	}
	free(p->held);
	free(p->kdcs);
	free(p->anchors);
	free(p->realm);
	free(p->config);
	cm_hostcheck_close(&p->hostcheck);
	if (p->context != NULL)
		krb5_free_context(p->context);
	free(p);
	*pkinit = NULL;
}
