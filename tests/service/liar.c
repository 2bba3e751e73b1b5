/*
 * tests/service/liar.c - in the resolver's place, as if it were taken over: it looks at nothing, and says what it is told to.
 *
 * /run/rig/lie has lines NAME=VALUE:
 *	name, principal, home, shell, uid, gid, group=NAME:GID	the account, whoever's the card is
 *	issuer, root	certificates (DER): of who issued the card's, and its root
 *	other		a certificate (DER): chain, subject and serial are of that one
 *	key		a certificate (DER): the key is of that one
 *	kept, kdc_silent, good
 *	do=KIND:WHAT	when asked that (CHAIN, ACCOUNT, REVOCATION, KDC_STATE, STANDING): close, silent, garbage, long,
 *			twice, other (an answer to another question), refuse (REFUSED, and all fields as if it were yes),
 *			absent (the same with ABSENT), unfit (REFUSED, for the reason of an ABSENT), nobody (yes, and no account)
 * Descriptors are the resolver's: 3 listens for cardmapd, 5 ends with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "service/channel.h"

#define LIE		"/run/rig/lie"
#define LISTENER	3
#define LIFELINE	5
#define CARDS_MAX	32
#define ANSWER_MS	5000
#define DAY		86400

struct lie {
	char text[8192];	/* lines cut apart: NAME=VALUE NUL */
	size_t len;
};

struct card {
	struct cm_channel *channel;
	uint8_t leaf[16384];
	size_t leaf_len;
};

static void
tell_lie(struct lie *l)
{
	const int fd = open(LIE, O_RDONLY | O_CLOEXEC);
	const ssize_t n = fd >= 0 ? read(fd, l->text, sizeof(l->text) - 1) : -1;

	l->len = n > 0 ? (size_t)n : 0;
	l->text[l->len] = '\0';
	for (size_t i = 0; i < l->len; i++)
		if (l->text[i] == '\n')
			l->text[i] = '\0';
	if (fd >= 0)
		close(fd);
}

/* The value of the at-th line of this name; NULL: there is none. */
static const char *
nth(const struct lie *l, const char *name, size_t at)
{
	const size_t len = strlen(name);

	for (size_t i = 0; i < l->len; i += strlen(l->text + i) + 1)
		if (strncmp(l->text + i, name, len) == 0 && l->text[i + len] == '=' && at-- == 0)
			return l->text + i + len + 1;
	return NULL;
}

static char *
text_of(const struct lie *l, const char *name)
{
	const char *value = nth(l, name, 0);

	return strdup(value != NULL ? value : "");
}

static uint64_t
number_of(const struct lie *l, const char *name)
{
	const char *value = nth(l, name, 0);

	return value != NULL ? strtoull(value, NULL, 10) : 0;
}

static struct cm_blob
copy(struct cm_blob b)
{
	uint8_t *octets = malloc(b.len + 1);

	if (octets == NULL)
		abort();
	if (b.len > 0)
		memcpy(octets, b.ptr, b.len);
	return (struct cm_blob){ octets, b.len };
}

static struct cm_blob
file_of(const struct lie *l, const char *name)
{
	const char *path = nth(l, name, 0);
	const int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	uint8_t octets[16384];
	const ssize_t n = fd >= 0 ? read(fd, octets, sizeof(octets)) : -1;

	if (fd >= 0)
		close(fd);
	return copy((struct cm_blob){ octets, n > 0 ? (size_t)n : 0 });
}

static X509 *
certificate_of(struct cm_blob der)
{
	const unsigned char *at = der.ptr;

	return der.len > 0 ? d2i_X509(NULL, &at, (long)der.len) : NULL;
}

/* ---- the fields of answers */

static void
take_key(struct cm_blob der, struct cm_key *out)
{
	X509 *x = certificate_of(der);
	EVP_PKEY *key = x != NULL ? X509_get0_pubkey(x) : NULL;
	BIGNUM *n = NULL, *e = NULL;

	if (key != NULL && EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) == 1 &&
	    EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_num_bytes(n) <= CM_KEY_OCTETS_MAX) {
		out->kind = CM_KEY_RSA;
		out->len = (size_t)BN_bn2bin(n, out->octets);
		out->exponent = BN_get_word(e);
	} else if (key != NULL && EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_octet_string_param(key,
	    OSSL_PKEY_PARAM_PUB_KEY, out->octets, sizeof(out->octets), &out->len) == 1) {
		out->kind = out->len == 65 ? CM_KEY_P256 : CM_KEY_P384;
	}
	BN_free(n);
	BN_free(e);
	X509_free(x);
}

static struct cm_blob
key_hash(struct cm_blob issuer)
{
	X509 *x = certificate_of(issuer);
	unsigned char *spki = NULL;
	uint8_t hash[SHA256_DIGEST_LENGTH] = { 0 };
	const int len = x != NULL ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &spki) : 0;

	if (len > 0)
		SHA256(spki, (size_t)len, hash);
	OPENSSL_free(spki);
	X509_free(x);
	return copy((struct cm_blob){ hash, sizeof(hash) });
}

static struct cm_blob
serial_of(struct cm_blob der)
{
	X509 *x = certificate_of(der);
	const ASN1_INTEGER *serial = x != NULL ? X509_get0_serialNumber(x) : NULL;
	struct cm_blob out = copy((struct cm_blob){ serial != NULL ? serial->data : NULL, serial != NULL ? (size_t)serial->length : 0 });

	X509_free(x);
	return out;
}

static struct cm_blob
leaf_of(const struct lie *l, const struct card *c)
{
	return nth(l, "other", 0) != NULL ? file_of(l, "other") : copy((struct cm_blob){ c->leaf, c->leaf_len });
}

/* Who is said to have issued it, and its serial number. */
static struct cm_blob
link_of(struct cm_blob issuer, struct cm_blob certificate)
{
	struct cm_blob hash = key_hash(issuer), serial = serial_of(certificate), out;
	uint8_t octets[256];

	if (hash.len + serial.len > sizeof(octets))
		abort();
	memcpy(octets, hash.ptr, hash.len);
	memcpy(octets + hash.len, serial.ptr, serial.len);
	out = copy((struct cm_blob){ octets, hash.len + serial.len });
	cm_blob_free(&hash);
	cm_blob_free(&serial);
	return out;
}

static void
chained(const struct lie *l, struct card *c, struct cm_message *m)
{
	struct cm_blob leaf = leaf_of(l, c), issuer = file_of(l, "issuer"), root;
	struct cm_blob key = nth(l, "key", 0) != NULL ? file_of(l, "key") : copy(leaf);

	take_key(key, &m->key);
	m->subject = strdup("CN=Somebody");
	m->serial = serial_of(leaf);
	m->not_after = (uint64_t)time(NULL) + 30 * DAY;
	root = file_of(l, "root");
	m->links.rows = calloc(2, sizeof(*m->links.rows));
	if (m->links.rows == NULL)
		abort();
	m->links.rows[m->links.count++] = link_of(issuer, leaf);
	m->links.rows[m->links.count++] = link_of(root, issuer);
	cm_blob_free(&root);
	cm_blob_free(&leaf);
	cm_blob_free(&issuer);
	cm_blob_free(&key);
}

static void
add_groups(const struct lie *l, struct cm_account *a)
{
	const char *value;

	a->groups = calloc(16, sizeof(*a->groups));
	while (a->groups != NULL && a->group_count < 16 && (value = nth(l, "group", a->group_count)) != NULL) {
		const char *colon = strchr(value, ':');

		if (colon == NULL)
			break;
		a->groups[a->group_count].name = strndup(value, (size_t)(colon - value));
		a->groups[a->group_count++].gid = (gid_t)strtoul(colon + 1, NULL, 10);
	}
}

static void
found(const struct lie *l, struct card *c, struct cm_message *m)
{
	struct cm_account *a = calloc(1, sizeof(*a));

	(void)c;
	if (a == NULL)
		abort();
	a->name = text_of(l, "name");
	a->principal = text_of(l, "principal");
	a->dn = strdup("uid=somebody");
	a->home = text_of(l, "home");
	a->shell = text_of(l, "shell");
	a->gecos = strdup("Some Body");
	a->rule = strdup("kerberos");
	a->attribute = strdup("altSecurityIdentities");
	a->matched = strdup("Kerberos:somebody");
	a->source = strdup("ldap://127.0.0.1:3890");
	a->uid = (uid_t)number_of(l, "uid");
	a->gid = (gid_t)number_of(l, "gid");
	add_groups(l, a);
	m->account = a;
	m->kept = number_of(l, "kept");
	m->kept_age = m->kept ? 60 : 0;
}

static void
judged(const struct lie *l, struct card *c, struct cm_message *m)
{
	m->chain.rows = calloc(3, sizeof(*m->chain.rows));
	m->evidence.rows = calloc(1, sizeof(*m->evidence.rows));
	if (m->chain.rows == NULL || m->evidence.rows == NULL)
		abort();
	m->chain.rows[m->chain.count++] = leaf_of(l, c);
	m->chain.rows[m->chain.count++] = file_of(l, "issuer");
	m->chain.rows[m->chain.count++] = file_of(l, "root");
	m->signed_time = (uint64_t)time(NULL);
	if (number_of(l, "good")) {
		struct cm_evidence *e = &m->evidence.rows[m->evidence.count++];
		struct cm_blob hash = key_hash(m->chain.rows[1]), serial = serial_of(m->chain.rows[0]);

		memcpy(e->issuer_key, hash.ptr, sizeof(e->issuer_key));
		memcpy(e->serial, serial.ptr, serial.len < sizeof(e->serial) ? serial.len : sizeof(e->serial));
		e->serial_len = serial.len;
		e->status = CM_STATUS_GOOD;
		e->this_update = e->learned = e->confirmed = time(NULL);
		e->next_update = time(NULL) + DAY;
		snprintf(e->source, sizeof(e->source), "OCSP http://127.0.0.1/");
		cm_blob_free(&hash);
		cm_blob_free(&serial);
	}
}

static void
stated(const struct lie *l, struct card *c, struct cm_message *m)
{
	(void)c;
	m->kdc_silent = number_of(l, "kdc_silent");
}

/* As one that is asked whether it hangs, and does not want to be replaced. */
static void
well(const struct lie *l, struct card *c, struct cm_message *m)
{
	(void)l;
	(void)c;
	(void)m;
}

static const struct answer {
	enum cm_message_kind question, answer;
	void (*fill)(const struct lie *, struct card *, struct cm_message *);
} answers[] = {
	{ CM_MESSAGE_CHAIN, CM_MESSAGE_CHAINED, chained },
	{ CM_MESSAGE_ACCOUNT, CM_MESSAGE_FOUND, found },
	{ CM_MESSAGE_STANDING, CM_MESSAGE_FOUND, found },
	{ CM_MESSAGE_REVOCATION, CM_MESSAGE_JUDGED, judged },
	{ CM_MESSAGE_KDC_STATE, CM_MESSAGE_KDC_STATED, stated },
	{ CM_MESSAGE_STATE, CM_MESSAGE_STATED, well },
};

/* ---- how it answers */

static bool
is_to(const struct lie *l, enum cm_message_kind question, const char *what)
{
	const char *value = nth(l, "do", 0), *name = cm_message_kind_name(question);
	const size_t len = strlen(name);

	return value != NULL && strncmp(value, name, len) == 0 && value[len] == ':' && strcmp(value + len + 1, what) == 0;
}

static void
send_octets(const struct card *c, size_t len)
{
	uint8_t *octets = malloc(len);

	if (octets == NULL)
		abort();
	memset(octets, 0x41, len);
	(void)!send(cm_channel_fd(c->channel), octets, len, MSG_NOSIGNAL);
	free(octets);
}

static void
refuse(struct cm_message *m, enum cm_err err, enum cm_reason reason)
{
	m->err = (uint64_t)err;
	m->reason = (uint64_t)reason;
	m->text = strdup("so it is said");
}

/* False: the connection is to be closed. */
static bool
answer(const struct lie *l, struct card *c, const struct answer *a)
{
	struct cm_message m = { .kind = a->answer };
	bool ok = true;

	a->fill(l, c, &m);
	if (is_to(l, a->question, "refuse"))
		refuse(&m, CM_ERR_REFUSED, CM_REASON_REVOKED);
	if (is_to(l, a->question, "absent"))
		refuse(&m, CM_ERR_ABSENT, CM_REASON_NO_ACCOUNT);
	if (is_to(l, a->question, "unfit"))
		refuse(&m, CM_ERR_REFUSED, CM_REASON_NO_ACCOUNT);
	if (is_to(l, a->question, "nobody"))
		cm_account_free(&m.account);
	if (is_to(l, a->question, "other")) {
		cm_message_clear(&m);
		m = (struct cm_message){ .kind = a->answer == CM_MESSAGE_KDC_STATED ? CM_MESSAGE_JUDGED : CM_MESSAGE_KDC_STATED };
	}
	for (int times = is_to(l, a->question, "twice") ? 2 : 1; ok && times > 0; times--)
		ok = cm_channel_send(c->channel, &m, NULL, 0, cm_deadline_in(ANSWER_MS)) == CM_OK;
	cm_message_clear(&m);
	return ok;
}

static bool
answer_or_not(struct card *c, const struct answer *a)
{
	struct lie l;

	tell_lie(&l);
	if (is_to(&l, a->question, "close"))
		return false;
	if (is_to(&l, a->question, "silent"))
		return true;
	if (is_to(&l, a->question, "garbage"))
		send_octets(c, 777);
	else if (is_to(&l, a->question, "long"))
		send_octets(c, CM_MESSAGE_MAX + 1);
	else
		return answer(&l, c, a);
	return true;
}

static bool
serve(struct card *c)
{
	struct cm_message m = { .kind = CM_MESSAGE_NONE };
	bool stays = cm_channel_receive(c->channel, cm_deadline_in(ANSWER_MS), &m, NULL, 0) == CM_OK;

	if (stays && m.kind == CM_MESSAGE_CHAIN && m.certificate.len <= sizeof(c->leaf)) {
		memcpy(c->leaf, m.certificate.ptr, m.certificate.len);
		c->leaf_len = m.certificate.len;
	}
	for (size_t i = 0; stays && i < CM_COUNT(answers); i++)
		if (answers[i].question == m.kind)
			stays = answer_or_not(c, &answers[i]);
	cm_message_clear(&m);
	return stays;
}

static void
take_in(struct card cards[CARDS_MAX])
{
	const int fd = accept4(LISTENER, NULL, NULL, SOCK_CLOEXEC);

	for (size_t i = 0; fd >= 0 && i < CARDS_MAX; i++)
		if (cards[i].channel == NULL) {
			if (cm_channel_new(fd, &cards[i].channel) != CM_OK)
				close(fd);
			return;
		}
	if (fd >= 0)
		close(fd);
}

int
main(void)
{
	static struct card cards[CARDS_MAX];
	struct pollfd p[CARDS_MAX + 2];

	for (;;) {
		p[0] = (struct pollfd){ .fd = LISTENER, .events = POLLIN };
		p[1] = (struct pollfd){ .fd = LIFELINE };
		for (size_t i = 0; i < CARDS_MAX; i++)
			p[i + 2] = (struct pollfd){ .fd = cards[i].channel != NULL ? cm_channel_fd(cards[i].channel) : -1,
				.events = POLLIN };
		if (poll(p, CM_COUNT(p), -1) < 0 && errno != EINTR)
			return 1;
		if (p[1].revents != 0)
			return 0;
		for (size_t i = 0; i < CARDS_MAX; i++)
			if (p[i + 2].fd >= 0 && p[i + 2].revents != 0 && !serve(&cards[i])) {
				cm_channel_free(&cards[i].channel);
				cards[i].leaf_len = 0;
			}
		if (p[0].revents != 0)
			take_in(cards);
	}
}
