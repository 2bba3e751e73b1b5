/*
 * krb5/hostcheck.c - is this ticket from this host's own KDC, and made for this login?
 *
 * Anybody can play KDC.  Only the true one can make a ticket that opens with
 * this host's key (what krb5_verify_init_creds() does, with verify_ap_req_nofail).
 * Whoever made the AP-REQ holds the session key that is inside: its checksum over
 * our nonce says that it was made for us, now.
 */
#include "krb5/hostcheck.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "krb5/context_internal.h"

#define KEYTAB_MAX	((size_t)1 << 20)
#define NONCE_LEN	32

struct cm_hostcheck {
	pthread_mutex_t lock;	/* a krb5_context serves one thread at a time */
	krb5_context context;
	char *realm;
	char *keytab;		/* its path */
	char *keytab_text;
	krb5_principal host;
	char *host_text;
};

/* ---- the keytab */

/* The keytab as it is now, for libkrb5: a copy in memory of the file whose owner and mode were checked while it was open. */
struct keytab {
	int fd;
	krb5_keytab kt;
};

static enum cm_err
copy_to_memory(const struct cm_buf *content, int *out)
{
	size_t done = 0;

	if ((*out = memfd_create("keytab", MFD_CLOEXEC)) < 0)
		return CM_ERR_SYSTEM;
	while (done < content->len) {
		const ssize_t n = write(*out, content->ptr + done, content->len - done);

		if (n < 0 && errno != EINTR)
			return CM_ERR_SYSTEM;
		done += n > 0 ? (size_t)n : 0;
	}
	return CM_OK;
}

static void
keytab_close(struct cm_hostcheck *h, struct keytab *k)
{
	if (k->kt != NULL)
		krb5_kt_close(h->context, k->kt);
	if (k->fd >= 0)
		close(k->fd);
	*k = (struct keytab){ .fd = -1 };
}

/* Whoever can read it can make tickets for this host: CM_FILE_SECRET. */
static enum cm_err
keytab_open(struct cm_hostcheck *h, struct cm_trace *t, struct keytab *k)
{
	char name[64];
	struct cm_buf content;
	enum cm_err err;

	*k = (struct keytab){ .fd = -1 };
	cm_buf_init_secret(&content, 0);
	if ((err = cm_file_read(h->keytab, KEYTAB_MAX, CM_FILE_SECRET, t, &content)) == CM_OK &&
	    (err = copy_to_memory(&content, &k->fd)) != CM_OK)
		err = cm_trace_fail(t, CM_REASON_CONFIG, "%s: cannot be copied: %s", h->keytab, strerror(errno));
	cm_buf_free(&content);
	snprintf(name, sizeof(name), "FILE:/proc/self/fd/%d", k->fd);
	if (err == CM_OK && krb5_kt_resolve(h->context, name, &k->kt) != 0)
		err = CM_ERR_NOMEM;
	if (err != CM_OK)
		keytab_close(h, k);
	return err;
}

/* The first host/ of our realm. */
static krb5_error_code
search_keytab(struct cm_hostcheck *h, krb5_keytab kt)
{
	krb5_kt_cursor cursor;
	krb5_keytab_entry entry;
	krb5_error_code code = krb5_kt_start_seq_get(h->context, kt, &cursor);

	if (code != 0)
		return code;
	while (h->host == NULL && code == 0 && krb5_kt_next_entry(h->context, kt, &entry, &cursor) == 0) {
		if (cm_krb5_is_host_of(entry.principal, h->realm))
			code = krb5_copy_principal(h->context, entry.principal, &h->host);
		krb5_free_keytab_entry_contents(h->context, &entry);
	}
	krb5_kt_end_seq_get(h->context, kt, &cursor);
	return code != 0 || h->host != NULL ? code : KRB5_KT_NOTFOUND;
}

static krb5_error_code
parse_host(struct cm_hostcheck *h, const char *name)
{
	krb5_error_code code = krb5_parse_name(h->context, name, &h->host);

	if (code == 0 && !cm_krb5_is_host_of(h->host, h->realm))
		code = KRB5_PARSE_MALFORMED;
	return code;
}

static enum cm_err
find_host(struct cm_hostcheck *h, const char *name, struct cm_trace *t)
{
	krb5_error_code code;
	struct keytab k;
	enum cm_err err;

	if ((err = keytab_open(h, t, &k)) != CM_OK)
		return err;
	code = name != NULL ? parse_host(h, name) : search_keytab(h, k.kt);
	keytab_close(h, &k);
	if (code == KRB5_KT_NOTFOUND || code == KRB5_PARSE_MALFORMED)
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: %s is no principal host/NAME@%s", h->keytab,
		    name != NULL ? name : "in it there", h->realm);
	if (code == 0)
		code = krb5_unparse_name(h->context, h->host, &h->host_text);
	return code == 0 ? CM_OK : cm_krb5_config_error(h->context, code, h->keytab, t);
}

/* ---- opening */

static enum cm_err
fill(struct cm_hostcheck *h, krb5_context c, const char *realm, const struct cm_hostcheck_options *o)
{
	struct cm_buf text;

	cm_buf_init(&text, 0);
	cm_buf_addf(&text, "FILE:%s", o->keytab);
	h->realm = strdup(realm);
	h->keytab = strdup(o->keytab);
	h->keytab_text = cm_buf_take(&text);
	cm_buf_free(&text);
	return h->realm != NULL && h->keytab != NULL && h->keytab_text != NULL &&
	    krb5_copy_context(c, &h->context) == 0 ? CM_OK : CM_ERR_NOMEM;
}

enum cm_err
cm_hostcheck_with(krb5_context c, const char *realm, const struct cm_hostcheck_options *o, struct cm_trace *t,
    struct cm_hostcheck **out)
{
	struct cm_hostcheck *h;
	enum cm_err err;

	*out = NULL;
	if (o->keytab == NULL)
		return CM_ERR_ABSENT;
	if ((h = calloc(1, sizeof(*h))) == NULL)
		return CM_ERR_NOMEM;
	pthread_mutex_init(&h->lock, NULL);
	if ((err = fill(h, c, realm, o)) == CM_OK)
		err = find_host(h, o->host_principal, t);
	if (err == CM_OK)
		*out = h;
	else
		cm_hostcheck_close(&h);
	return err;
}

/* A keytab that is cut short, or another host's, is better found at the start than at somebody's login. */
static enum cm_err
check_key(struct cm_hostcheck *h, struct cm_trace *t)
{
	krb5_keytab_entry entry;
	krb5_error_code code;
	struct keytab k;
	enum cm_err err;

	if ((err = keytab_open(h, t, &k)) != CM_OK)
		return err;
	code = krb5_kt_get_entry(h->context, k.kt, h->host, 0, 0, &entry);
	if (code == 0)
		krb5_free_keytab_entry_contents(h->context, &entry);
	keytab_close(h, &k);
	if (code == KRB5_KT_NOTFOUND)
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: it has no key of %s", h->keytab, h->host_text);
	return code == 0 ? CM_OK : cm_krb5_config_error(h->context, code, h->keytab, t);
}

enum cm_err
cm_hostcheck_open(const struct cm_hostcheck_options *o, struct cm_trace *t, struct cm_hostcheck **out)
{
	krb5_context c = NULL;
	char *realm = NULL;
	enum cm_err err;

	*out = NULL;
	if ((err = cm_krb5_context(o->config, t, &c)) == CM_OK &&
	    (err = cm_krb5_realm(c, o->realm, t, &realm)) == CM_OK &&
	    (err = cm_hostcheck_with(c, realm, o, t, out)) == CM_ERR_ABSENT)
		cm_trace_fail(t, CM_REASON_CONFIG, "no keytab%s%s: set kerberos.keytab",
		    o->keytab != NULL ? ": there is no " : "", o->keytab != NULL ? o->keytab : "");
	if (err == CM_OK && (err = check_key(*out, t)) != CM_OK)
		cm_hostcheck_close(out);
	free(realm);
	if (c != NULL)
		krb5_free_context(c);
	return err;
}

void
cm_hostcheck_close(struct cm_hostcheck **hostcheck)
{
	struct cm_hostcheck *h = *hostcheck;

	if (h == NULL)
		return;
	if (h->context != NULL) {
		krb5_free_principal(h->context, h->host);
		krb5_free_unparsed_name(h->context, h->host_text);
		krb5_free_context(h->context);
	}
	pthread_mutex_destroy(&h->lock);
	free(h->realm);
	free(h->keytab);
	free(h->keytab_text);
	free(h);
	*hostcheck = NULL;
}

const char *
cm_hostcheck_principal(const struct cm_hostcheck *h)
{
	return h->host_text;
}

const char *
cm_hostcheck_realm(const struct cm_hostcheck *h)
{
	return h->realm;
}

/* ---- an AP-REQ */

struct shown {
	struct cm_hostcheck *h;
	struct cm_trace *trace;
	krb5_auth_context auth;
	krb5_ticket *ticket;
	krb5_authenticator *maker;
};

static enum cm_err
refuse(const struct shown *s, const char *why)
{
	return cm_trace_fail(s->trace, CM_REASON_TICKET_FORGED, "the ticket shown to %s is not for this login: %s",
	    s->h->host_text, why);
}

static enum cm_err
not_opened(const struct shown *s, krb5_error_code code)
{
	const char *words = krb5_get_error_message(s->h->context, code);
	enum cm_err err = CM_ERR_NOMEM;

	if (code != ENOMEM)
		err = cm_trace_fail(s->trace, CM_REASON_TICKET_FORGED, "the ticket shown to %s does not open with %s: %s",
		    s->h->host_text, s->h->keytab_text, words);
	krb5_free_error_message(s->h->context, words);
	return err;
}

/*
 * RFC 4120 section 3.2.3, by libkrb5: the key of this host and no other, a ticket
 * that is valid now, an authenticator of its client within the clock skew.
 * Flags 0: no replay cache.  The nonce is ours, random, and asked once: what
 * answers it was made for this login, and answers no other.
 */
static enum cm_err
open_request(struct shown *s, struct cm_blob ap_req)
{
	const krb5_data request = { .length = (unsigned)ap_req.len, .data = (char *)(uintptr_t)ap_req.ptr };
	krb5_context c = s->h->context;
	krb5_error_code code;
	struct keytab k;
	enum cm_err err;

	if ((err = keytab_open(s->h, s->trace, &k)) != CM_OK)
		return err != CM_ERR_ABSENT ? err : cm_trace_fail(s->trace, CM_REASON_CONFIG, "%s is gone", s->h->keytab_text);
	code = krb5_auth_con_init(c, &s->auth);
	if (code == 0)
		code = krb5_auth_con_setflags(c, s->auth, 0);
	if (code == 0)
		code = krb5_rd_req(c, &s->auth, &request, s->h->host, k.kt, NULL, &s->ticket);
	if (code == 0)
		code = krb5_auth_con_getauthenticator(c, s->auth, &s->maker);
	keytab_close(s->h, &k);
	return code == 0 ? CM_OK : not_opened(s, code);
}

/* RFC 4120 section 5.5.1: cksum, keyed (RFC 3961 section 4) with the session key, over what the application has. */
static enum cm_err
check_nonce(const struct shown *s, const uint8_t nonce[NONCE_LEN])
{
	const krb5_data data = { .length = NONCE_LEN, .data = (char *)(uintptr_t)nonce };
	const krb5_checksum *sum = s->maker->checksum;
	krb5_boolean valid = FALSE;

	if (sum == NULL || !krb5_c_is_keyed_cksum(sum->checksum_type) || !krb5_c_is_coll_proof_cksum(sum->checksum_type))
		return refuse(s, "it has no keyed checksum");
	if (krb5_c_verify_checksum(s->h->context, s->ticket->enc_part2->session, KRB5_KEYUSAGE_AP_REQ_AUTH_CKSUM, &data,
	    sum, &valid) != 0 || !valid)
		return refuse(s, "it was made for another one");
	return CM_OK;
}

/* RFC 4120 section 3.3.3: authtime is the TGT's, so this is no ticket of another day. */
static enum cm_err
check_client(const struct shown *s, time_t since)
{
	const krb5_enc_tkt_part *inside = s->ticket->enc_part2;
	const time_t authtime = CM_KRB5_TIME(inside->times.authtime);
	char text[CM_TIME_SIZE], why[CM_TIME_SIZE + 64];

	if (!cm_krb5_is_of(inside->client, s->h->realm))
		return refuse(s, "its client is of another realm");
	if ((inside->flags & TKT_FLG_PRE_AUTH) == 0)
		return refuse(s, "the KDC asked its client for no proof");
	snprintf(why, sizeof(why), "its client was let in at %s", cm_clock_text(authtime, text));
	if (authtime < since - CM_CLOCK_SKEW || authtime > cm_clock_now() + CM_CLOCK_SKEW)
		return refuse(s, why);
	return CM_OK;
}

static enum cm_err
take(const struct shown *s, struct cm_vouched *out)
{
	const krb5_enc_tkt_part *inside = s->ticket->enc_part2;
	char *name = NULL;

	if (krb5_unparse_name(s->h->context, inside->client, &name) != 0)
		return CM_ERR_NOMEM;
	out->principal = strdup(name);
	out->authtime = CM_KRB5_TIME(inside->times.authtime);
	out->expires = CM_KRB5_TIME(inside->times.endtime);
	krb5_free_unparsed_name(s->h->context, name);
	return out->principal != NULL ? CM_OK : CM_ERR_NOMEM;
}

enum cm_err
cm_hostcheck_verify(struct cm_hostcheck *h, struct cm_blob ap_req, const uint8_t nonce[NONCE_LEN], time_t since,
    struct cm_trace *t, struct cm_vouched *out)
{
	struct shown s = { .h = h, .trace = t };
	enum cm_err err;

	*out = (struct cm_vouched){ 0 };
	pthread_mutex_lock(&h->lock);
	if ((err = open_request(&s, ap_req)) == CM_OK && (err = check_nonce(&s, nonce)) == CM_OK &&
	    (err = check_client(&s, since)) == CM_OK)
		err = take(&s, out);
	krb5_free_authenticator(h->context, s.maker);
	krb5_free_ticket(h->context, s.ticket);
	krb5_auth_con_free(h->context, s.auth);
	pthread_mutex_unlock(&h->lock);
	return err;
}

void
cm_vouched_clear(struct cm_vouched *v)
{
	free(v->principal);
	*v = (struct cm_vouched){ 0 };
}
