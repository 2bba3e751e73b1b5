/* tests/service/apart_play.c - threads in the places of card helper and resolver. */
#include "apart_play.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "card/card.h"
#include "krb5/pkinit.h"
#include "service/possession.h"
#include "service/secret_card.h"
#include "service/stages.h"
#include "tests/rig/rig_pin.h"

#define TIME	cm_deadline_in(10000)
static const uint8_t guid[16] = "a card's own id";

/* What a process has, each in its own thread. */
struct held {
	struct play *p;
	struct cm_channel *channel;
	struct cm_trace *t;
	/* the helper */
	struct cm_card *card;
	struct cm_cert *cert;
	bool cached;
	/* the resolver */
	struct cm_host *host;
	struct cm_login login;
};

static struct cm_blob
own(struct cm_blob v)
{
	struct cm_blob copy;

	assert_int_equal(cm_blob_copy(v, &copy), CM_OK);
	return copy;
}

static enum cm_err
tell_card(struct held *s, struct cm_message *a)
{
	a->certificate = own(cm_cert_der(s->cert));
	a->cached = s->cached;
	if (s->p->has_guid)
		a->guid = own((struct cm_blob){ guid, sizeof(guid) });
	return cm_key_take(s->cert, s->t, &a->key);
}

static enum cm_err
recognise(struct held *s)
{
	struct cm_message q = { .kind = CM_MESSAGE_RECOGNISE, .guid = { guid, sizeof(guid) } }, a;
	enum cm_err err = cm_channel_ask(s->channel, &q, NULL, 0, CM_MESSAGE_RECOGNISED, TIME, &a);

	if (err == CM_OK && a.certificate.len > 0) {
		err = cm_cert_decode(a.certificate, s->t, &s->cert);
		s->cached = true;
	}
	cm_message_clear(&a);
	return err;
}

static enum cm_err
open_card(struct held *s, const struct cm_message *q, struct cm_message *a, int fd)
{
	char source[512];
	unsigned tries;
	enum cm_err err;

	(void)q;
	(void)fd;
	a->kind = CM_MESSAGE_OPENED;
	snprintf(source, sizeof(source), "file:%s/%s.pem", getenv("CM_RIG_PKI"), s->p->card);
	if ((err = cm_card_open(source, CM_CARD_LOGIN, TIME, s->t, &s->card)) != CM_OK ||
	    (err = cm_card_pin_tries(s->card, TIME, s->t, &tries)) != CM_OK)
		return err;
	a->tries = 3;
	if (s->p->has_guid && (err = recognise(s)) != CM_OK)
		return err;
	if (s->cert == NULL && (err = cm_card_certificate(s->card, CM_SLOT_AUTHENTICATION, TIME, s->t, &s->cert)) != CM_OK)
		return err;
	return tell_card(s, a);
}

static enum cm_err
read_again(struct held *s, const struct cm_message *q, struct cm_message *a, int fd)
{
	enum cm_err err;

	(void)q;
	(void)fd;
	a->kind = CM_MESSAGE_OPENED;
	cm_cert_free(&s->cert);
	s->cached = false;
	a->tries = 3;
	err = cm_card_certificate(s->card, CM_SLOT_AUTHENTICATION, TIME, s->t, &s->cert);
	return err == CM_OK ? tell_card(s, a) : err;
}

static enum cm_err
others(struct held *s, const struct cm_message *q, struct cm_message *a, int fd)
{
	struct card other;
	struct cm_blob der;
	uint8_t *row;

	(void)q;
	(void)fd;
	a->kind = CM_MESSAGE_FOUND_OTHERS;
	if (s->p->other == NULL)
		return CM_OK;
	card_load(&other, s->p->other);
	der = cm_cert_der(other.cert);
	row = malloc(der.len + 1);
	assert_non_null(row);
	row[0] = CM_SLOT_SIGNATURE;
	memcpy(row + 1, der.ptr, der.len);
	a->certificates.rows = calloc(1, sizeof(*a->certificates.rows));
	assert_non_null(a->certificates.rows);
	a->certificates.rows[a->certificates.count++] = (struct cm_blob){ row, der.len + 1 };
	card_free(&other);
	return CM_OK;
}

/* Another slot is another card file here. */
static enum cm_err
use(struct held *s, const struct cm_message *q, struct cm_message *a, int fd)
{
	const char *name = q->slot == CM_SLOT_SIGNATURE ? s->p->other : s->p->card;
	char source[512];
	unsigned tries;
	enum cm_err err;

	(void)fd;
	a->kind = CM_MESSAGE_OPENED;
	a->tries = 3;
	snprintf(source, sizeof(source), "file:%s/%s.pem", getenv("CM_RIG_PKI"), name);
	if (!s->p->copies) {
		cm_card_close(&s->card);
		if ((err = cm_card_open(source, CM_CARD_LOGIN, TIME, s->t, &s->card)) != CM_OK ||
		    (err = cm_card_pin_tries(s->card, TIME, s->t, &tries)) != CM_OK)
			return err;
	}
	s->cached = false;
	if (!s->p->copies)
		cm_cert_free(&s->cert);
	if (s->cert == NULL && (err = cm_cert_decode(q->certificate, s->t, &s->cert)) != CM_OK)
		return err;
	if ((err = tell_card(s, a)) == CM_OK && s->p->copies) {
		struct card other;

		card_load(&other, name);
		cm_blob_free(&a->certificate);
		a->certificate = own(cm_cert_der(other.cert));
		a->key = other.key;
		card_free(&other);
	}
	return err;
}

static enum cm_err
verify(struct held *s, const struct cm_message *q, struct cm_message *a, int fd)
{
	struct cm_secret *pin = NULL;
	unsigned left;
	enum cm_err err;

	a->kind = CM_MESSAGE_VERIFIED;
	if ((err = cm_secret_read(fd, TIME, &pin)) == CM_OK)
		err = cm_card_verify_pin(s->card, pin, q->last_try != 0, TIME, s->t, &left);
	cm_secret_free(&pin);
	a->tries = 3;
	return err;
}

static enum cm_err
sign(struct held *s, const struct cm_message *q, struct cm_message *a, int fd)
{
	uint8_t digest[CM_POSSESSION_DIGEST];
	struct cm_buf signature = { 0 };
	enum cm_err err;

	(void)fd;
	a->kind = CM_MESSAGE_SIGNED;
	cm_possession_digest(q->nonce.ptr, digest);
	if ((err = cm_card_sign(s->card, CM_SLOT_AUTHENTICATION, s->cert, "SHA256", (struct cm_blob){ digest, sizeof(digest) }, TIME,
	    s->t, &signature)) == CM_OK)
		a->signature = own(cm_buf_blob(&signature));
	cm_buf_free(&signature);
	return err;
}

/* The leak checker of whoever is built with one. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

/* libkrb5's pkinit plugin loses what it was about to sign when the card does not sign it. */
static enum cm_err
ask_kdc(struct held *s, struct cm_pkinit *k, const struct cm_account *a, struct cm_ticket **out)
{
	enum cm_err err;

	if (__lsan_disable != NULL)
		__lsan_disable();
	err = cm_pkinit_get_ticket(k, s->card, CM_SLOT_AUTHENTICATION, s->cert, a, TIME, s->t, out);
	if (__lsan_enable != NULL)
		__lsan_enable();
	return err;
}

static enum cm_err
get_ticket(struct held *s, const struct cm_message *q, struct cm_message *a, int fd)
{
	const struct cm_conf *c = s->p->h.conf;
	const struct cm_pkinit_options o = { .config = c->kerberos.config, .realm = c->kerberos.realm,
		.kdcs = (const char *const *)c->kerberos.kdc, .anchors = (const char *const *)c->kerberos.anchors,
		.intermediates = (const char *const *)c->kerberos.intermediates };
	char none[] = "";
	const struct cm_account account = { .name = none, .principal = s->p->own_principal != NULL ?
		(char *)(uintptr_t)s->p->own_principal : q->principal, .dn = none, .home = none, .shell = none,
		.gecos = none, .rule = none, .attribute = none, .matched = none, .source = none };
	struct cm_buf ap_req = { 0 }, packed = { 0 };
	struct cm_pkinit *k = NULL;
	struct cm_ticket *ticket = NULL;
	enum cm_err err;

	(void)fd;
	a->kind = CM_MESSAGE_TICKET;
	if ((err = cm_pkinit_open(&o, s->t, &k)) == CM_OK &&
	    (err = ask_kdc(s, k, &account, &ticket)) == CM_OK &&
	    (q->host_principal[0] == '\0' ||
	    (err = cm_ticket_present(k, ticket, q->host_principal, q->nonce.ptr, TIME, s->t, &ap_req)) == CM_OK) &&
	    (err = cm_ticket_pack(ticket, &packed)) == CM_OK) {
		a->ap_req = own(cm_buf_blob(&ap_req));
		a->ticket = own(cm_buf_blob(&packed));
		a->principal = strdup(cm_ticket_principal(ticket));
		err = cm_key_take(s->cert, s->t, &a->key);
	}
	a->kdc_silent = err == CM_ERR_OFFLINE && cm_trace_reason(s->t) == CM_REASON_KDC_OFFLINE;
	cm_ticket_free(&ticket);
	cm_pkinit_close(&k);
	cm_buf_free(&ap_req);
	cm_buf_free(&packed);
	return err;
}

static enum cm_err
chain(struct held *s, const struct cm_message *q, struct cm_message *a, int fd)
{
	enum cm_err err;

	(void)fd;
	a->kind = CM_MESSAGE_CHAINED;
	if (s->host == NULL && (err = cm_host_open(s->p->h.conf, CM_NEED_LOGIN, s->t, &s->host)) != CM_OK)
		return err;
	s->login.host = s->host;
	s->login.trace = s->t;
	s->login.deadline = cm_deadline_in((unsigned)q->deadline);
	if ((err = cm_stages_take(&s->login, q->certificate)) != CM_OK || (err = cm_stages_chain(&s->login)) != CM_OK)
		return err;
	return cm_stages_tell_chain(&s->login, a);
}

static enum cm_err
account(struct held *s, const struct cm_message *q, struct cm_message *a, int fd)
{
	enum cm_err err;

	(void)fd;
	a->kind = CM_MESSAGE_FOUND;
	s->login.trace = s->t;
	s->login.user = q->user[0] != '\0' ? q->user : NULL;
	s->login.deadline = cm_deadline_in((unsigned)q->deadline);
	err = cm_stages_account(&s->login);
	return err == CM_OK ? cm_stages_tell_account(&s->login, a) : err;
}

static enum cm_err
revocation(struct held *s, const struct cm_message *q, struct cm_message *a, int fd)
{
	enum cm_err err, told;

	(void)q;
	(void)fd;
	a->kind = CM_MESSAGE_JUDGED;
	s->login.trace = s->t;
	err = cm_stages_revocation(&s->login);
	told = cm_stages_tell_revocation(&s->login, a);
	return err != CM_OK ? err : told;
}

static enum cm_err
kdc_state(struct held *s, const struct cm_message *q, struct cm_message *a, int fd)
{
	(void)s;
	(void)q;
	(void)fd;
	a->kind = CM_MESSAGE_KDC_STATED;
	return CM_OK;
}

/* As a card whose 9D is alice-9d's: a file's key in its place. */
static enum cm_err
open_secret(const struct held *s, const struct cm_message *q, EVP_PKEY *key, struct cm_secret **secret)
{
	const struct cm_sealed_for whose = { .name = q->user, .uid = (uid_t)q->uid };
	enum cm_err err = CM_ERR_REFUSED;
	struct cm_sealed sealed;

	for (size_t i = 0; err != CM_OK && i < q->sealed.count; i++)
		if (cm_sealed_read(q->sealed.rows[i], &sealed) == CM_OK)
			err = cm_secret_open_with(&sealed, &whose, key, s->t, secret);
	return err;
}

static enum cm_err
unseal(struct held *s, const struct cm_message *q, struct cm_message *a, int fd)
{
	const struct cm_sealed_for whose = { .name = q->user, .uid = (uid_t)q->uid };
	struct cm_buf text = { 0 }, sealed = { 0 }, recovery = { 0 };
	struct cm_secret *secret = NULL;
	struct card c;
	enum cm_err err;

	card_load(&c, "alice-9d");
	a->kind = CM_MESSAGE_UNSEALED;
	if (q->sealed.count > 0)
		err = open_secret(s, q, c.secret, &secret);
	else if ((err = cm_secret_make(s->t, &secret)) == CM_OK && (err = cm_secret_seal(c.secret, &whose, secret, s->t, &sealed)) == CM_OK) {
		assert_non_null(a->sealed.rows = calloc(1, sizeof(*a->sealed.rows)));
		a->sealed.count = 1;
		a->sealed.rows[0] = own(cm_buf_blob(&sealed));
	}
	if (err == CM_OK && q->recovery.len > 0 &&
	    (err = cm_secret_to_certificate(q->recovery, &whose, secret, s->t, &recovery)) == CM_OK)
		a->recovery = own(cm_buf_blob(&recovery));
	if (err == CM_OK) {
		cm_buf_add_base64(&text, cm_secret_bytes(secret));
		assert_int_equal(write(fd, text.ptr, text.len), text.len);
	}
	cm_secret_free(&secret);
	cm_buf_free(&text);
	cm_buf_free(&sealed);
	cm_buf_free(&recovery);
	card_free(&c);
	return err;
}

static const struct {
	enum cm_message_kind kind;
	enum cm_err (*serve)(struct held *s, const struct cm_message *q, struct cm_message *a, int fd);
} rows[] = {
	{ CM_MESSAGE_OPEN, open_card }, { CM_MESSAGE_READ_AGAIN, read_again }, { CM_MESSAGE_VERIFY, verify },
	{ CM_MESSAGE_SIGN, sign }, { CM_MESSAGE_GET_TICKET, get_ticket }, { CM_MESSAGE_CHAIN, chain },
	{ CM_MESSAGE_ACCOUNT, account }, { CM_MESSAGE_REVOCATION, revocation }, { CM_MESSAGE_KDC_STATE, kdc_state },
	{ CM_MESSAGE_UNSEAL, unseal }, { CM_MESSAGE_OTHERS, others }, { CM_MESSAGE_USE, use },
};

/* False: it ends. */
static bool
serve(struct held *s, const struct cm_message *q, int fd)
{
	struct cm_message a = { .kind = CM_MESSAGE_NONE };
	bool goes_on = true;

	cm_trace_free(&s->t);
	assert_int_equal(cm_trace_new(&s->t), CM_OK);
	s->p->asked[q->kind]++;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		enum cm_err err;

		if (rows[i].kind != q->kind)
			continue;
		cm_trace_begin(s->t, "asked");
		err = rows[i].serve(s, q, &a, fd);
		cm_trace_end(s->t, err);
		assert_int_equal(cm_message_report(&a, err, s->t), CM_OK);
	}
	if (s->p->spoil != NULL)
		goes_on = s->p->spoil(s->p, q, &a);
	if (goes_on && a.kind != CM_MESSAGE_NONE)
		goes_on = cm_channel_send(s->channel, &a, NULL, 0, TIME) == CM_OK;
	cm_message_clear(&a);
	return goes_on;
}

static void *
run(void *arg)
{
	struct player *me = arg;
	struct held s = { .p = me->play, .channel = me->channel };
	struct cm_message q;
	int fds[CM_CHANNEL_DESCRIPTORS];
	bool goes_on = true;

	while (goes_on && cm_channel_receive(s.channel, cm_deadline_in(60000), &q, fds, CM_COUNT(fds)) == CM_OK) {
		goes_on = serve(&s, &q, fds[0]);
		for (size_t i = 0; i < CM_COUNT(fds); i++)
			if (fds[i] >= 0)
				close(fds[i]);
		cm_message_clear(&q);
	}
	cm_card_close(&s.card);
	cm_cert_free(&s.cert);
	cm_stages_clear(&s.login);
	cm_host_close(&s.host);
	cm_trace_free(&s.t);
	shutdown(cm_channel_fd(s.channel), SHUT_RDWR);
	return NULL;
}

static int
connect_to(void *arg, enum cm_process which)
{
	struct play *p = arg;
	struct player *one = &p->players[p->count];
	int fds[2];

	assert_true(p->count < PLAYERS_MAX);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	*one = (struct player){ .play = p, .which = which };
	assert_int_equal(cm_channel_new(fds[1], &one->channel), CM_OK);
	assert_int_equal(pthread_create(&one->thread, NULL, run, one), 0);
	p->count++;
	return fds[0];
}

void
play_make(struct play *p, const char *card)
{
	struct cm_hostcheck_options o;
	char text[128];

	*p = (struct play){ .card = card };
	host_make(&p->h);
	cm_conf_free(&p->h.conf);
	assert_int_equal(cm_conf_load(getenv("CM_RIG_CONF"), p->h.trace, &p->h.conf), CM_OK);
	p->h.conf->accounts.mobile = CM_MOBILE_OFF;	/* this computer's own records are no test's */
	host_set(&p->h, "service.log=none");
	snprintf(text, sizeof(text), "accounts.path=%s", p->h.store_path);
	host_set(&p->h, text);
	o = (struct cm_hostcheck_options){ .config = p->h.conf->kerberos.config, .realm = p->h.conf->kerberos.realm,
		.keytab = p->h.conf->kerberos.keytab, .host_principal = p->h.conf->kerberos.host_principal };
	if (cm_hostcheck_open(&o, p->h.trace, &p->hostcheck) != CM_OK)
		fail_msg("%s", cm_trace_message(p->h.trace));
}

void
play_stop(struct play *p)
{
	if (p->login.work != NULL)
		cm_login_clear(&p->login);
	p->login.work = NULL;
	cm_apart_free(&p->apart);
	for (; p->count > 0; p->count--) {
		assert_int_equal(pthread_join(p->players[p->count - 1].thread, NULL), 0);
		cm_channel_free(&p->players[p->count - 1].channel);
	}
}

void
play_end(struct play *p)
{
	play_stop(p);
	unsetenv("CM_FAULT");
	cm_hostcheck_close(&p->hostcheck);
	cm_blob_free(&p->kept_octets);
	host_end(&p->h);
}

void
play_login(struct play *p, const char *user)
{
	const struct cm_apart_options o = { .conf = p->h.conf, .store = p->h.store, .hostcheck = p->hostcheck, .connect = connect_to,
		.arg = p, .ccache_program = CM_CCACHE_PROGRAM, .reader = "a reader", .insertion = 1, .etc = p->h.etc };

	play_stop(p);
	cm_trace_free(&p->h.trace);
	assert_int_equal(cm_trace_new(&p->h.trace), CM_OK);
	memset(p->asked, 0, sizeof(p->asked));
	assert_int_equal(cm_apart_new(&o, &p->apart), CM_OK);
	p->login = (struct cm_login){ .work = &cm_login_apart, .worker = p->apart, .conf = p->h.conf, .trace = p->h.trace, .user = user };
}

enum cm_err
play_prepare(struct play *p)
{
	return cm_login_prepare(&p->login);
}

enum cm_err
play_finish(struct play *p)
{
	struct cm_pin pin = { .fd = -1 };
	int fds[2];
	enum cm_err err;

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], rig_pin(), strlen(rig_pin())), strlen(rig_pin()));
	close(fds[1]);
	pin.fd = fds[0];
	err = cm_login_finish(&p->login, &pin);
	close(fds[0]);
	return err;
}

enum cm_err
play_run(struct play *p)
{
	enum cm_err err = play_prepare(p);

	return err == CM_OK ? play_finish(p) : err;
}
