/* krb5/options.c - from the configuration to what a login needs: realm, KDCs, anchors, keytab. */
#include <profile.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "krb5/pkinit_internal.h"

#define KEYTAB_MAX	((size_t)1 << 20)
#define DATAGRAM_REQUEST_MAX	1465	/* libkrb5's default for udp_preference_limit */

static enum cm_err
config_error(krb5_context c, krb5_error_code code, const char *what, struct cm_trace *t)
{
	const char *words = krb5_get_error_message(c, code);
	enum cm_err err = cm_trace_fail(t, CM_REASON_CONFIG, "%s: %s", what, words);

	krb5_free_error_message(c, words);
	return err;
}

static enum cm_err
open_context(struct cm_pkinit *p, const struct cm_pkinit_options *o, struct cm_trace *t)
{
	const char *files[] = { o->config, NULL };
	profile_t profile = NULL;
	krb5_error_code code = 0;

	if (o->config != NULL)
		code = (krb5_error_code)profile_init(files, &profile);
	if (code == 0)
		code = krb5_init_context_profile(profile, 0, &p->context);
	if (profile != NULL)
		profile_release(profile);
	if (code != 0)
		return config_error(NULL, code, o->config != NULL ? o->config : "krb5.conf", t);
	return CM_OK;
}

static enum cm_err
find_realm(struct cm_pkinit *p, const struct cm_pkinit_options *o, struct cm_trace *t)
{
	char *realm = NULL;

	if (o->realm != NULL) {
		p->realm = strdup(o->realm);
	} else {
		if (krb5_get_default_realm(p->context, &realm) != 0) {
			cm_trace_fail(t, CM_REASON_CONFIG,
			    "no realm: set kerberos.realm, or default_realm in krb5.conf");
			return CM_ERR_ABSENT;	/* no error of itself: many hosts have no Kerberos */
		}
		p->realm = strdup(realm);
		krb5_free_default_realm(p->context, realm);
	}
	return p->realm != NULL ? CM_OK : CM_ERR_NOMEM;
}

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

static enum cm_err
add_anchor(struct cm_pkinit *p, size_t i, const char *path, struct cm_trace *t)
{
	struct stat st;
	struct cm_buf b;

	if (stat(path, &st) != 0 || access(path, R_OK) != 0)
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: cannot be read", path);
	cm_buf_init(&b, 0);
	cm_buf_addf(&b, "%s:%s", S_ISDIR(st.st_mode) ? "DIR" : "FILE", path);
	p->anchors[i] = cm_buf_take(&b);
	cm_buf_free(&b);
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
	if ((p->anchors = calloc(anchors + intermediates + 1, sizeof(char *))) == NULL)
		return CM_ERR_NOMEM;
	for (size_t i = 0; err == CM_OK && i < anchors; i++)
		err = add_anchor(p, i, o->anchors[i], t);
	for (size_t i = 0; err == CM_OK && i < intermediates; i++)
		err = add_anchor(p, anchors + i, o->intermediates[i], t);
	return err;
}

static bool
is_host_of(krb5_const_principal name, const char *realm)
{
	return name->length == 2 && name->realm.length == strlen(realm) &&
	    memcmp(name->realm.data, realm, name->realm.length) == 0 &&
	    name->data[0].length == 4 && memcmp(name->data[0].data, "host", 4) == 0;
}

/* The first host/ of our realm. */
static krb5_error_code
search_keytab(struct cm_pkinit *p)
{
	krb5_kt_cursor cursor;
	krb5_keytab_entry entry;
	krb5_error_code code = krb5_kt_start_seq_get(p->context, p->keytab, &cursor);

	if (code != 0)
		return code;
	while (p->host == NULL && code == 0 &&
	    krb5_kt_next_entry(p->context, p->keytab, &entry, &cursor) == 0) {
		if (is_host_of(entry.principal, p->realm))
			code = krb5_copy_principal(p->context, entry.principal, &p->host);
		krb5_free_keytab_entry_contents(p->context, &entry);
	}
	krb5_kt_end_seq_get(p->context, p->keytab, &cursor);
	return code != 0 || p->host != NULL ? code : KRB5_KT_NOTFOUND;
}

static krb5_error_code
parse_host(struct cm_pkinit *p, const char *name)
{
	krb5_error_code code = krb5_parse_name(p->context, name, &p->host);

	if (code == 0 && !is_host_of(p->host, p->realm))
		code = KRB5_PARSE_MALFORMED;
	return code;
}

/* Whoever can read it can make tickets for this host: CM_FILE_SECRET. */
static enum cm_err
check_keytab(const char *path, struct cm_trace *t)
{
	struct cm_buf content;
	enum cm_err err;

	cm_buf_init_secret(&content, 0);
	err = cm_file_read(path, KEYTAB_MAX, CM_FILE_SECRET, t, &content);
	cm_buf_free(&content);
	return err;
}

static enum cm_err
open_keytab(struct cm_pkinit *p, const struct cm_pkinit_options *o, struct cm_trace *t)
{
	struct cm_buf name;
	krb5_error_code code;
	enum cm_err err;

	if (o->keytab == NULL || (err = check_keytab(o->keytab, t)) == CM_ERR_ABSENT)
		return CM_OK;
	if (err != CM_OK)
		return err;
	cm_buf_init(&name, 0);
	cm_buf_addf(&name, "FILE:%s", o->keytab);
	if ((p->keytab_path = cm_buf_take(&name)) == NULL)
		return CM_ERR_NOMEM;
	code = krb5_kt_resolve(p->context, p->keytab_path, &p->keytab);
	if (code == 0)
		code = o->host_principal != NULL ? parse_host(p, o->host_principal) : search_keytab(p);
	if (code == KRB5_KT_NOTFOUND || code == KRB5_PARSE_MALFORMED)
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: %s is no principal host/NAME@%s", o->keytab,
		    o->host_principal != NULL ? o->host_principal : "in it there", p->realm);
	if (code == 0)
		code = krb5_unparse_name(p->context, p->host, &p->host_text);
	return code == 0 ? CM_OK : config_error(p->context, code, o->keytab, t);
}

enum cm_err
cm_pkinit_open(const struct cm_pkinit_options *o, struct cm_trace *t, struct cm_pkinit **out)
{
	struct cm_pkinit *p = calloc(1, sizeof(*p));
	enum cm_err err;

	*out = NULL;
	if (p == NULL)
		return CM_ERR_NOMEM;
	if ((err = open_context(p, o, t)) == CM_OK && (err = find_realm(p, o, t)) == CM_OK &&
	    (err = find_datagram_max(p)) == CM_OK && (err = find_kdcs(p, o, t)) == CM_OK && (err = find_anchors(p, o, t)) == CM_OK)
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
	return p->keytab != NULL;
}

void
cm_pkinit_close(struct cm_pkinit **pkinit)
{
	struct cm_pkinit *p = *pkinit;

	if (p == NULL)
		return;
	for (size_t i = 0; i < p->kdc_count; i++)
		cm_kdc_free(&p->kdcs[i]);
	for (char **a = p->anchors; a != NULL && *a != NULL; a++)
		free(*a);
	free(p->kdcs);
	free(p->anchors);
	free(p->realm);
	free(p->keytab_path);
	if (p->context != NULL) {
		if (p->keytab != NULL)
			krb5_kt_close(p->context, p->keytab);
		krb5_free_principal(p->context, p->host);
		krb5_free_unparsed_name(p->context, p->host_text);
		krb5_free_context(p->context);
	}
	free(p);
	*pkinit = NULL;
}
