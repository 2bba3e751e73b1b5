/*
 * krb5/exchange.c - carry libkrb5's requests to the KDCs, each wait with a deadline.
 *
 * libkrb5 itself waits 27 s for one silent KDC and asks plugins and DNS where
 * the KDC is.  Here it only makes and reads messages; addresses and sockets
 * are ours.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "krb5/pkinit_internal.h"

#define ROUNDS_MAX	16		/* requests in one exchange; libkrb5's own limit */
#define DATAGRAM_MAX	65536
#define REPLY_MAX	((size_t)1 << 20)
#define RESEND_MS	1000		/* a datagram may be lost: RFC 4120 section 7.2.1 */
#define LOOK_MS		50

/* A socket, and how long it is waited for. */
struct way {
	int fd, cancel;
	cm_deadline deadline;
};

/* Inside this file a failure is an errno value: it is what the person reads of each KDC. */

static int
cancel_of(const struct cm_exchange *x)
{
	return x->cancel != NULL ? *x->cancel : -1;
}

/* After a transfer that gave n: is the socket good for another?  0, once it is ready. */
static int
go_on(const struct way *w, ssize_t n, short events)
{
	if (n >= 0 || errno == EINTR)
		return 0;
	return errno == EAGAIN ? cm_net_wait_unless(w->cancel, w->fd, events, w->deadline) : errno;
}

static int
send_all(const struct way *w, const uint8_t *p, size_t len)
{
	int e = 0;

	while (len > 0 && e == 0) {
		const ssize_t n = send(w->fd, p, len, MSG_NOSIGNAL);

		e = go_on(w, n, POLLOUT);
		p += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return e;
}

static int
receive_all(const struct way *w, uint8_t *p, size_t len)
{
	int e = 0;

	while (len > 0 && e == 0) {
		const ssize_t n = recv(w->fd, p, len, 0);

		e = n != 0 ? go_on(w, n, POLLIN) : ECONNRESET;
		p += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return e;
}

/* The body comes in pieces, so that a length alone makes us hold nothing. */
static int
receive_body(const struct way *w, size_t len, struct cm_buf *reply)
{
	uint8_t chunk[4096];
	int e = 0;

	while (len > 0 && e == 0) {
		const size_t n = len < sizeof(chunk) ? len : sizeof(chunk);

		if ((e = receive_all(w, chunk, n)) == 0)
			cm_buf_add(reply, chunk, n);
		len -= n;
	}
	if (e == 0 && cm_buf_status(reply) != CM_OK)
		e = ENOMEM;
	return e;
}

/* RFC 4120 section 7.2.2: four octets of length, the first bit zero, before each message. */
static int
ask_tcp(struct way *w, const struct addrinfo *a, const krb5_data *request, struct cm_buf *reply)
{
	uint32_t prefix = htonl(request->length);
	struct cm_buf message;
	int e;

	cm_buf_init(&message, 0);
	cm_buf_add(&message, &prefix, sizeof(prefix));
	cm_buf_add(&message, request->data, request->length);
	w->fd = -1;
	e = cm_buf_status(&message) == CM_OK ? cm_net_connect_unless(w->cancel, a, SOCK_STREAM, w->deadline, &w->fd) : ENOMEM;
	if (e == 0)
		e = send_all(w, message.ptr, message.len);
	if (e == 0)
		e = receive_all(w, (uint8_t *)&prefix, sizeof(prefix));
	if (e == 0 && (ntohl(prefix) == 0 || ntohl(prefix) > REPLY_MAX))
		e = EMSGSIZE;
	if (e == 0)
		e = receive_body(w, ntohl(prefix), reply);
	if (w->fd >= 0)
		close(w->fd);
	cm_buf_free(&message);
	return e;
}

static int
receive_datagram(int fd, struct cm_buf *reply)
{
	uint8_t *data = malloc(DATAGRAM_MAX);
	ssize_t n;
	int e = 0;

	if (data == NULL)
		return ENOMEM;
	if ((n = recv(fd, data, DATAGRAM_MAX, 0)) < 0)
		e = errno;
	else
		cm_buf_add(reply, data, (size_t)n);
	free(data);
	return e != 0 || cm_buf_status(reply) == CM_OK ? e : ENOMEM;
}

/* The socket is connected: only this KDC's datagrams come in, and an ICMP refusal is seen. */
static int
ask_udp(struct way *w, const struct addrinfo *a, const krb5_data *request, struct cm_buf *reply)
{
	int e;

	if ((e = cm_net_connect(a, SOCK_DGRAM, w->deadline, &w->fd)) != 0)
		return e;
	do {
		if ((e = send_all(w, (const uint8_t *)request->data, request->length)) != 0)
			break;
		e = cm_net_wait_unless(w->cancel, w->fd, POLLIN, cm_deadline_earlier(w->deadline, cm_deadline_in(RESEND_MS)));
	} while (e == ETIMEDOUT && !cm_deadline_passed(w->deadline));
	if (e == 0)
		e = receive_datagram(w->fd, reply);
	close(w->fd);
	return e;
}

/* Datagrams first, for half of the time at most; TCP where they are too small or get no answer. */
static int
ask_address(struct cm_exchange *x, const struct addrinfo *a, const krb5_data *request,
    cm_deadline deadline, struct cm_buf *reply)
{
	struct way udp = { .cancel = cancel_of(x), .deadline = cm_deadline_in((unsigned)cm_deadline_left(deadline) / 2) };
	struct way tcp = { .cancel = cancel_of(x), .deadline = deadline };
	int e;

	if (x->route->tcp || request->length > x->pkinit->datagram_max)
		return ask_tcp(&tcp, a, request, reply);
	if ((e = ask_udp(&udp, a, request, reply)) != 0 && e != ECANCELED) {
		cm_buf_truncate(reply, 0);
		e = ask_tcp(&tcp, a, request, reply);
		x->route->tcp = e == 0;		/* datagrams are not waited for a second time */
	}
	return e;
}

static bool
is_cancelled(const struct cm_exchange *x)
{
	return x->cancel != NULL && cm_net_wait(*x->cancel, POLLIN, cm_deadline_in(0)) == 0;
}

/* Its addresses, asked for once an exchange.  Nothing wakes who waits for glibc's lookup, so it is looked up now and then. */
static int
addresses_of(struct cm_exchange *x, size_t i, cm_deadline deadline)
{
	struct cm_kdc *k = &x->pkinit->kdcs[i];
	int status;

	if (x->route->addresses[i] != NULL)
		return 0;
	do {
		const cm_deadline until = x->cancel != NULL ? cm_deadline_earlier(deadline, cm_deadline_in(LOOK_MS)) : deadline;

		status = cm_net_resolve(k->host, k->port, until, &k->lookup, &x->route->addresses[i]);
	} while (status == EAI_INPROGRESS && !cm_deadline_passed(deadline) && !is_cancelled(x));
	return status == 0 ? 0 : status == EAI_INPROGRESS ? ETIMEDOUT : ENOENT;
}

static int
ask_kdc(struct cm_exchange *x, size_t i, const krb5_data *request, cm_deadline deadline)
{
	int e = addresses_of(x, i, deadline);
	unsigned left = 0;

	if (e != 0)
		return e;
	e = EHOSTUNREACH;
	for (const struct addrinfo *a = x->route->addresses[i]; a != NULL; a = a->ai_next)
		left++;
	for (const struct addrinfo *a = x->route->addresses[i]; a != NULL && e != 0 && e != ECANCELED; a = a->ai_next, left--) {
		const unsigned share = (unsigned)cm_deadline_left(deadline) / left;

		cm_buf_truncate(&x->reply, 0);
		e = ask_address(x, a, request, cm_deadline_in(share), &x->reply);
	}
	return e;
}

/* What kind of answer it is: a KRB-ERROR's code, or 0. */
static void
look_at_reply(struct cm_exchange *x)
{
	const krb5_data data = { .length = (unsigned)x->reply.len, .data = (char *)x->reply.ptr };
	krb5_error *error = NULL;

	x->kdc_error = 0;
	cm_buf_truncate(&x->kdc_text, 0);
	if (krb5_rd_error(x->context, &data, &error) != 0)
		return;
	x->kdc_error = (krb5_error_code)error->error + ERROR_TABLE_BASE_krb5;
	cm_buf_add(&x->kdc_text, error->text.data, error->text.length);
	krb5_free_error(x->context, error);
}

static const char *
words_for(int e)
{
	return e == 0 ? "cannot serve now" : e == ETIMEDOUT ? "no answer in time" :
	    e == ENOENT ? "no address for this name" : strerror(e);
}

/*
 * Each KDC in turn, the one that answered last first.  Each gets its part of the
 * time that is left, so that a dead one never takes the time of the next.
 */
static enum cm_err
carry(struct cm_exchange *x, const krb5_data *request)
{
	struct cm_pkinit *p = x->pkinit;
	struct cm_buf said;
	enum cm_err err;

	cm_buf_init(&said, 2048);
	for (size_t n = 0; n < p->kdc_count && !is_cancelled(x); n++) {
		const size_t i = (p->answered + n) % p->kdc_count;
		const unsigned share = (unsigned)cm_deadline_left(x->deadline) /
		    (unsigned)(p->kdc_count - n);
		const int e = ask_kdc(x, i, request, cm_deadline_in(share));

		if (e == 0)
			look_at_reply(x);
		if (e == 0 && x->kdc_error != KRB5KDC_ERR_SVC_UNAVAILABLE) {
			p->answered = i;
			cm_buf_free(&said);
			return CM_OK;
		}
		cm_buf_addf(&said, "%s%s: %s", n > 0 ? "; " : "", p->kdcs[i].name, words_for(e));
	}
	err = cm_trace_fail(x->trace, CM_REASON_KDC_OFFLINE, "no KDC of %s answered (%s)", p->realm,
	    cm_buf_str(&said));
	cm_buf_free(&said);
	return err;
}

/* libkrb5 may follow referrals; we go to no realm but ours. */
static enum cm_err
check_realm(struct cm_exchange *x, const krb5_data *realm)
{
	const char *ours = x->pkinit->realm;

	if (realm->length == strlen(ours) && memcmp(realm->data, ours, realm->length) == 0)
		return CM_OK;
	return cm_trace_fail(x->trace, CM_REASON_KDC_REFUSED,
	    "KDC %s refers to the realm %.*s, which is not asked", cm_exchange_kdc(x),
	    (int)(realm->length < 256 ? realm->length : 256), realm->data);
}

enum cm_err
cm_exchange_carry(struct cm_exchange *x, const krb5_data *realm, const krb5_data *request)
{
	const enum cm_err err = check_realm(x, realm);

	return err == CM_OK ? carry(x, request) : err;
}

/* One step, then its request carried.  *go_on is false when there is nothing more to carry. */
static krb5_error_code
step_and_carry(struct cm_exchange *x, cm_exchange_step step, void *state,
    const enum cm_err *stop, bool *go_on)
{
	krb5_data in = { .length = (unsigned)x->reply.len, .data = (char *)x->reply.ptr };
	krb5_data out = { 0 }, realm = { 0 };
	unsigned flags = 0;
	krb5_error_code code = step(x->context, state, &in, &out, &realm, &flags);

	*go_on = false;
	if (code == KRB5KRB_ERR_RESPONSE_TOO_BIG && !x->route->tcp) {
		x->route->tcp = true;	/* RFC 4120 section 7.2.1: the same again by TCP */
		code = 0;
	}
	if (code == 0 && (flags & KRB5_INIT_CREDS_STEP_FLAG_CONTINUE) != 0 &&
	    (stop == NULL || *stop == CM_OK)) {
		x->err = cm_exchange_carry(x, &realm, &out);
		*go_on = x->err == CM_OK;
	}
	krb5_free_data_contents(x->context, &out);
	krb5_free_data_contents(x->context, &realm);
	return code;
}

krb5_error_code
cm_exchange_run(struct cm_exchange *x, cm_exchange_step step, void *state,
    const enum cm_err *stop)
{
	krb5_error_code code = 0;
	bool go_on = true;

	cm_buf_truncate(&x->reply, 0);
	for (unsigned round = 0; go_on; round++) {
		if (round == ROUNDS_MAX)
			return KRB5_GET_IN_TKT_LOOP;
		code = step_and_carry(x, step, state, stop, &go_on);
	}
	return code;
}

enum cm_err
cm_exchange_begin(struct cm_exchange *x)
{
	struct cm_route *r = x->route;

	cm_buf_init(&x->reply, REPLY_MAX);
	cm_buf_init(&x->kdc_text, REPLY_MAX);
	if (r->addresses == NULL) {
		r->count = x->pkinit->kdc_count;
		r->addresses = calloc(r->count, sizeof(struct addrinfo *));
	}
	return r->addresses != NULL ? CM_OK : CM_ERR_NOMEM;
}

void
cm_exchange_free(struct cm_exchange *x)
{
	cm_buf_free(&x->reply);
	cm_buf_free(&x->kdc_text);
}

void
cm_route_free(struct cm_route *r)
{
	for (size_t i = 0; r->addresses != NULL && i < r->count; i++)
		if (r->addresses[i] != NULL)
			freeaddrinfo(r->addresses[i]);
	free(r->addresses);
	*r = (struct cm_route){ 0 };
}

const char *
cm_exchange_kdc(const struct cm_exchange *x)
{
	return x->pkinit->kdcs[x->pkinit->answered].name;
}

/* Where libkrb5's own words tell a person little. */
static const struct {
	krb5_error_code code;
	const char *words;
} kdc_words[] = {
	{ KRB5KDC_ERR_C_PRINCIPAL_UNKNOWN, "it does not know this principal" },
	{ KRB5KDC_ERR_S_PRINCIPAL_UNKNOWN, "it does not know this host's principal" },
	{ KRB5KDC_ERR_CLIENT_REVOKED, "the principal is disabled or locked" },
	{ KRB5KDC_ERR_NAME_EXP, "the principal has expired" },
	{ KRB5KDC_ERR_KEY_EXP, "the principal's password has expired" },
	{ KRB5KDC_ERR_POLICY, "its policy forbids it" },
	{ KRB5KRB_AP_ERR_SKEW, "its clock and this computer's differ too much" },
	{ KRB5KDC_ERR_PREAUTH_FAILED, "it did not accept the card's proof" },
	{ KRB5KDC_ERR_PREAUTH_REQUIRED, "it offers no PKINIT for this principal" },
	{ KRB5KDC_ERR_CLIENT_NOT_TRUSTED, "it does not trust the issuer of the card's certificate" },
	{ KRB5KDC_ERR_INVALID_SIG, "the card's signature is wrong" },
	{ KRB5KDC_ERR_CERTIFICATE_MISMATCH, "the certificate is not this principal's" },
	{ KRB5KDC_ERR_CLIENT_NAME_MISMATCH, "the certificate is not this principal's" },
	{ KRB5KDC_ERR_CANT_VERIFY_CERTIFICATE, "it cannot verify the card's certificate" },
	{ KRB5KDC_ERR_INVALID_CERTIFICATE, "it finds the card's certificate invalid" },
	{ KRB5KDC_ERR_REVOKED_CERTIFICATE, "the card's certificate is revoked" },
	{ KRB5KDC_ERR_REVOCATION_STATUS_UNKNOWN, "it cannot tell whether the certificate is revoked" },
	{ KRB5KDC_ERR_REVOCATION_STATUS_UNAVAILABLE, "it cannot tell whether the certificate is revoked" },
	{ KRB5KDC_ERR_INCONSISTENT_KEY_PURPOSE, "the certificate is not for logging in (extended key usage)" },
};

enum cm_err
cm_exchange_refused(struct cm_exchange *x, const char *what, krb5_error_code code)
{
	const char *own = krb5_get_error_message(x->context, code), *words = own;
	enum cm_err err;

	for (size_t i = 0; i < CM_COUNT(kdc_words); i++)
		if (kdc_words[i].code == code)
			words = kdc_words[i].words;
	if (words == own && x->kdc_text.len > 0)
		words = cm_buf_str(&x->kdc_text);	/* e-text, as it came: the trace makes it printable */
	err = cm_trace_fail(x->trace, CM_REASON_KDC_REFUSED, "KDC %s refused %s: %.200s",
	    cm_exchange_kdc(x), what, words);
	krb5_free_error_message(x->context, own);
	return err;
}

void
cm_kdc_free(struct cm_kdc *k)
{
	cm_lookup_free(&k->lookup);
	free(k->name);
	free(k->host);
	free(k->port);
	*k = (struct cm_kdc){ 0 };
}

enum cm_err
cm_kdc_parse(const char *text, struct cm_kdc *out)
{
	const char *host = text, *end, *port;

	*out = (struct cm_kdc){ 0 };
	if (*text == '[') {		/* RFC 3986 section 3.2.2 */
		host++;
		end = strchr(host, ']');
		port = end != NULL && end[1] == ':' ? end + 2 : end != NULL && end[1] != '\0' ? "" : "88";
	} else {
		end = strchr(text, ':');
		port = end != NULL ? end + 1 : "88";
		if (end == NULL || strchr(end + 1, ':') != NULL) {	/* a name, or a bare IPv6 address */
			end = text + strlen(text);
			port = "88";
		}
	}
	if (end == NULL || end == host || *port == '\0' || strlen(port) > 5 ||
	    strspn(port, "0123456789") != strlen(port) || strtoul(port, NULL, 10) - 1 >= UINT16_MAX ||
	    strpbrk(text, " /") != NULL)
		return CM_ERR_SYNTAX;
	out->name = strdup(text);
	out->host = strndup(host, (size_t)(end - host));
	out->port = strdup(port);
	if (out->name != NULL && out->host != NULL && out->port != NULL)
		return CM_OK;
	cm_kdc_free(out);
	return CM_ERR_NOMEM;
}
