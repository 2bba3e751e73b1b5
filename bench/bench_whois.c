/*
 * bench/bench_whois.c - Whois at the service's socket, and libldap alone asking the same server the same filters for the
 * same attributes.  Run on a computer of tests/rig/service.py, beside a slapd with the users of tests/rig/people.py.
 *
 *	bench_whois SOCKET			kept and cold, one after the other
 *	bench_whois SOCKET clients N		N clients at once, and N of libldap alone
 *	bench_whois SOCKET load COUNT [EACH]	COUNT questions over a few connections, EACH (100) about the same card
 *
 * A question is kept when the same certificate was asked about just before, and cold when nobody ever asked about it:
 * certificates are made here, one for each made-up user, of the rig's CA.
 */
#include <jansson.h>
#include <ldap.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/wire.h"
#include "bench/bench.h"

#define ROUNDS		1500
#define WARM_UP		100
#define CLIENTS_MAX	16
#define TURNS		15
#define OF_TURN		100	/* questions of each client */
#define LOAD_CONNECTIONS 4
#define DAY		86400

static char *account_attributes[] = {
	"uid", "sAMAccountName", "unixHomeDirectory", "homeDirectory", "loginShell", "gecos",
	"displayName", "cn", "uidNumber", "gidNumber", "krbPrincipalName", "memberOf",
	"userAccountControl", "nsAccountLock", "altSecurityIdentities", NULL,
};
static char *group_attributes[] = { "objectClass", "cn", "gidNumber", NULL };

struct maker {
	X509 *issuer;
	EVP_PKEY *issuer_key, *key;
};

struct filters {
	char *account, *groups;
};

struct asker {
	struct cm_wire *wire;
	LDAP *raw;
	struct cm_buf *questions;	/* messages without their NUL */
	struct filters *filters;
	size_t count;
	pthread_t thread;
	pthread_barrier_t *start;
};

static struct cm_buf
rig_file(const char *name)
{
	struct cm_buf path = { 0 };

	cm_buf_addf(&path, "%s/%s", bench_rig("CM_RIG_PKI"), name);
	return path;
}

static FILE *
open_rig(const char *name)
{
	struct cm_buf path = rig_file(name);
	FILE *f = fopen(cm_buf_str(&path), "re");

	if (f == NULL)
		bench_die(cm_buf_str(&path), "cannot be read");
	cm_buf_free(&path);
	return f;
}

static void
maker_open(struct maker *m)
{
	FILE *f = open_rig("inter.crt");

	m->issuer = PEM_read_X509(f, NULL, NULL, NULL);
	fclose(f);
	f = open_rig("inter.key");
	m->issuer_key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	fclose(f);
	m->key = EVP_EC_gen("P-256");
	if (m->issuer == NULL || m->issuer_key == NULL || m->key == NULL)
		bench_die("inter", "no CA to sign with");
}

static void
add_extension(const struct maker *m, X509 *x, int nid, const char *value)
{
	X509V3_CTX c;
	X509_EXTENSION *e;

	X509V3_set_ctx(&c, m->issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &c, nid, value);
	if (e == NULL || X509_add_ext(x, e, -1) != 1)
		bench_die(value, "no such extension");
	X509_EXTENSION_free(e);
}

/* Of the made-up user of this number: people.py's made(). */
static X509 *
make_certificate(const struct maker *m, unsigned number)
{
	const uint8_t serial[16] = { 0x4C, [13] = (uint8_t)(number >> 16), [14] = (uint8_t)(number >> 8), [15] = (uint8_t)number };
	X509 *x = X509_new();
	BIGNUM *n = BN_bin2bn(serial, sizeof(serial), NULL);
	char name[32];

	snprintf(name, sizeof(name), "User %u", number);
	X509_set_version(x, X509_VERSION_3);
	BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
	BN_free(n);
	X509_gmtime_adj(X509_getm_notBefore(x), -DAY);
	X509_gmtime_adj(X509_getm_notAfter(x), 30 * DAY);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(m->issuer));
	X509_set_pubkey(x, m->key);
	add_extension(m, x, NID_key_usage, "critical,digitalSignature");
	add_extension(m, x, NID_ext_key_usage, "clientAuth,msSmartcardLogin");
	add_extension(m, x, NID_authority_key_identifier, "keyid");
	if (X509_sign(x, m->issuer_key, EVP_sha256()) == 0)
		bench_die(name, "cannot be signed");
	return x;
}

static struct cm_buf
make_question(const struct maker *m, unsigned number)
{
	struct cm_buf text = { 0 };
	X509 *x = make_certificate(m, number);
	unsigned char *der = NULL;
	const int len = i2d_X509(x, &der);
	char base64[4096];

	if (len <= 0 || (size_t)len > sizeof(base64) / 2)
		bench_die("certificate", "too long");
	EVP_EncodeBlock((unsigned char *)base64, der, len);
	cm_buf_addf(&text, "{\"method\":\"io.cardmap.Whois\",\"parameters\":{\"certificate\":\"%s\"}}", base64);
	OPENSSL_free(der);
	X509_free(x);
	return text;
}

/* ---- the filters that the service asked, from its trace */

static char *
find_item(json_t *answer, const char *key)
{
	json_t *stages = json_object_get(json_object_get(json_object_get(answer, "parameters"), "outcome"), "stages");
	json_t *stage, *item;
	size_t i, n;

	json_array_foreach(stages, i, stage)
		json_array_foreach(json_object_get(stage, "items"), n, item)
			if (strcmp(json_string_value(json_object_get(item, "key")), key) == 0)
				return strdup(json_string_value(json_object_get(item, "text")));
	bench_die(key, "is not in the answer of Whois");
}

static struct filters
read_filters(struct cm_blob answer)
{
	json_t *o = json_loadb((const char *)answer.ptr, answer.len, 0, NULL);
	struct filters f = { find_item(o, "filter"), find_item(o, "groups filter") };

	json_decref(o);
	return f;
}

static void
free_filters(struct filters *f)
{
	free(f->account);
	free(f->groups);
}

/* ---- both sides */

static struct cm_wire *
connect_to(const char *path)
{
	static const struct cm_wire_limits limits = { .message_max = 1 << 20 };
	struct cm_wire *w = NULL;

	bench_must(cm_wire_connect(path, &limits, cm_deadline_in(10000), &w), path, NULL);
	return w;
}

static struct cm_blob
ask(struct cm_wire *w, const struct cm_buf *question)
{
	struct cm_blob answer = { NULL, 0 };

	bench_must(cm_wire_send(w, cm_buf_blob(question), NULL, 0, cm_deadline_in(10000)), "Whois", NULL);
	bench_must(cm_wire_receive(w, cm_deadline_in(10000), &answer), "Whois", NULL);
	return answer;
}

/* An answer that names nobody is none: what is compared is finding them. */
static double
whois(struct cm_wire *w, const struct cm_buf *question)
{
	const int64_t start = cm_clock_us();
	const struct cm_blob answer = ask(w, question);
	const double took = (double)(cm_clock_us() - start);

	if (memmem(answer.ptr, answer.len, "\"account\":{", 11) == NULL && memmem(answer.ptr, answer.len, "\"account\": {", 12) == NULL)
		bench_die("Whois", (const char *)answer.ptr);
	return took;
}

static LDAP *
open_raw(void)
{
	const int version = LDAP_VERSION3, demand = LDAP_OPT_X_TLS_DEMAND, client = 0;
	struct cm_buf ca = rig_file("root.crt");
	LDAP *raw = NULL;
	int code;

	if (ldap_initialize(&raw, bench_rig("CM_RIG_LDAP_URI")) != LDAP_SUCCESS)
		bench_die("libldap alone", "ldap_initialize");
	ldap_set_option(raw, LDAP_OPT_PROTOCOL_VERSION, &version);
	ldap_set_option(raw, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
	ldap_set_option(raw, LDAP_OPT_X_TLS_CACERTFILE, cm_buf_str(&ca));
	ldap_set_option(raw, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand);
	ldap_set_option(raw, LDAP_OPT_X_TLS_NEWCTX, &client);
	if ((code = ldap_start_tls_s(raw, NULL, NULL)) != LDAP_SUCCESS)
		bench_die("libldap alone", ldap_err2string(code));
	cm_buf_free(&ca);
	return raw;
}

static void
raw_search(LDAP *raw, const char *filter, char **attributes, int limit)
{
	struct timeval ten_seconds = { 10, 0 };
	LDAPMessage *answer = NULL;
	const int code = ldap_search_ext_s(raw, bench_rig("CM_RIG_BASE"), LDAP_SCOPE_SUBTREE, filter, attributes, 0,
	    NULL, NULL, &ten_seconds, limit, &answer);

	if (code != LDAP_SUCCESS)
		bench_die("libldap alone", ldap_err2string(code));
	ldap_msgfree(answer);
}

/* The same two questions that the service asked. */
static double
raw_once(LDAP *raw, const struct filters *f, double *account)
{
	const int64_t start = cm_clock_us();

	raw_search(raw, f->account, account_attributes, 16);
	*account = (double)(cm_clock_us() - start);
	raw_search(raw, f->groups, group_attributes, 1024);
	return (double)(cm_clock_us() - start);
}

/* ---- kept and cold */

static void
one_by_one(const char *path)
{
	static double kept[ROUNDS], cold[ROUNDS], raw_account[ROUNDS], raw_whole[ROUNDS];
	struct cm_wire *w = connect_to(path);
	LDAP *raw = open_raw();
	struct maker m;

	maker_open(&m);
	for (int i = -WARM_UP; i < ROUNDS; i++) {
		const unsigned number = (unsigned)(i + WARM_UP + 1);
		const size_t at = i < 0 ? 0 : (size_t)i;
		struct cm_buf question = make_question(&m, number);
		struct filters f;

		/* they take turns, so that a busy moment meets all */
		cold[at] = whois(w, &question);
		kept[at] = whois(w, &question);
		f = read_filters(ask(w, &question));
		raw_whole[at] = raw_once(raw, &f, &raw_account[at]);
		free_filters(&f);
		cm_buf_free(&question);
	}
	printf("service.whois_kept %.0f us\n", bench_median(kept, ROUNDS));
	printf("service.whois_cold %.0f us\n", bench_median(cold, ROUNDS));
	printf("service.whois_raw_account %.0f us\n", bench_median(raw_account, ROUNDS));
	printf("service.whois_raw %.0f us\n", bench_median(raw_whole, ROUNDS));
	printf("service.whois_cold_limit %.0f us\n", 1.2 * bench_median(raw_whole, ROUNDS) + 100);
	ldap_unbind_ext(raw, NULL, NULL);
	cm_wire_free(&w);
}

/* ---- several at once */

static void *
ask_service(void *arg)
{
	const struct asker *a = arg;

	pthread_barrier_wait(a->start);
	for (size_t i = 0; i < a->count; i++)
		whois(a->wire, &a->questions[i]);
	return NULL;
}

static void *
ask_raw(void *arg)
{
	const struct asker *a = arg;
	double account;

	pthread_barrier_wait(a->start);
	for (size_t i = 0; i < a->count; i++)
		raw_once(a->raw, &a->filters[i], &account);
	return NULL;
}

/* Questions a second of all together. */
static double
together(struct asker *askers, size_t count, void *(*run)(void *))
{
	pthread_barrier_t start;
	int64_t begun;
	size_t asked = 0;

	pthread_barrier_init(&start, NULL, (unsigned)count + 1);
	for (size_t i = 0; i < count; i++) {
		askers[i].start = &start;
		asked += askers[i].count;
		if (pthread_create(&askers[i].thread, NULL, run, &askers[i]) != 0)
			bench_die("thread", "cannot be made");
	}
	pthread_barrier_wait(&start);
	begun = cm_clock_us();
	for (size_t i = 0; i < count; i++)
		pthread_join(askers[i].thread, NULL);
	begun = cm_clock_us() - begun;
	pthread_barrier_destroy(&start);
	return (double)asked * 1e6 / (double)begun;
}

/*
 * The same two questions to libldap, asked of a thread behind a socket that does nothing else: as many octets come
 * and go as of Whois, and nobody reads them.  What any service costs above a library, on these processors.
 */
struct relay {
	struct asker *asker;
	struct cm_wire *served;
	struct cm_buf answer;
};

static void *
relay(void *arg)
{
	struct relay *r = arg;
	struct cm_blob question;
	double account;

	for (size_t i = 0; i < r->asker->count; i++) {
		bench_must(cm_wire_receive(r->served, cm_deadline_in(10000), &question), "relay", NULL);
		raw_once(r->asker->raw, &r->asker->filters[i], &account);
		bench_must(cm_wire_send(r->served, cm_buf_blob(&r->answer), NULL, 0, cm_deadline_in(10000)), "relay", NULL);
	}
	return NULL;
}

static double
relayed(struct asker *askers, size_t count)
{
	static const struct cm_wire_limits limits = { .message_max = 1 << 20 };
	struct relay relays[CLIENTS_MAX] = { 0 };
	pthread_t threads[CLIENTS_MAX];
	struct cm_wire *direct[CLIENTS_MAX];
	double each;

	for (size_t i = 0; i < count; i++) {
		int ends[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
			bench_die("relay", "no socket");
		relays[i].asker = &askers[i];
		cm_buf_add_blob(&relays[i].answer, ask(askers[i].wire, &askers[i].questions[0]));
		bench_must(cm_wire_new(ends[0], &limits, &relays[i].served), "relay", NULL);
		direct[i] = askers[i].wire;
		bench_must(cm_wire_new(ends[1], &limits, &askers[i].wire), "relay", NULL);
		if (pthread_create(&threads[i], NULL, relay, &relays[i]) != 0)
			bench_die("thread", "cannot be made");
	}
	each = together(askers, count, ask_service);
	for (size_t i = 0; i < count; i++) {
		pthread_join(threads[i], NULL);
		cm_wire_free(&relays[i].served);
		cm_wire_free(&askers[i].wire);
		askers[i].wire = direct[i];
		cm_buf_free(&relays[i].answer);
	}
	return each;
}

/* Of the clients' questions those of one turn. */
static void
take_turn(struct asker *askers, const struct asker *all, size_t count, size_t turn)
{
	for (size_t i = 0; i < count; i++) {
		askers[i] = all[i];
		askers[i].questions += turn * OF_TURN;
		askers[i].filters += turn * OF_TURN;
		askers[i].count = OF_TURN;
	}
}

static void
see_filters(struct asker *askers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (size_t n = 0; n < OF_TURN; n++)
			askers[i].filters[n] = read_filters(ask(askers[i].wire, &askers[i].questions[n]));
}

/* They take turns, so that a busy moment meets all; ratios are medians of the turns'. */
static void
clients(const char *path, size_t count)
{
	static double service[TURNS], raw[TURNS], relay[TURNS], ratio[TURNS], relay_ratio[TURNS];
	struct asker all[CLIENTS_MAX] = { 0 }, askers[CLIENTS_MAX];
	struct maker m;
	double kept;

	maker_open(&m);
	for (size_t i = 0; i < count; i++) {
		const size_t first = ROUNDS + WARM_UP + 1 + i * TURNS * OF_TURN;

		all[i].wire = connect_to(path);
		all[i].raw = open_raw();
		all[i].questions = calloc(TURNS * OF_TURN, sizeof(struct cm_buf));
		all[i].filters = calloc(TURNS * OF_TURN, sizeof(struct filters));
		for (size_t n = 0; n < TURNS * OF_TURN; n++)
			all[i].questions[n] = make_question(&m, (unsigned)(first + n));
	}
	for (size_t turn = 0; turn < TURNS; turn++) {
		take_turn(askers, all, count, turn);
		service[turn] = together(askers, count, ask_service);
		see_filters(askers, count);
		raw[turn] = together(askers, count, ask_raw);
		relay[turn] = relayed(askers, count);
		ratio[turn] = service[turn] / raw[turn];
		relay_ratio[turn] = relay[turn] / raw[turn];
	}
	printf("service.whois_%zu_clients %.0f /s\n", count, bench_median(service, TURNS));
	printf("service.whois_%zu_clients_raw %.0f /s\n", count, bench_median(raw, TURNS));
	printf("service.whois_%zu_clients_ratio %.2f ratio\n", count, bench_median(ratio, TURNS));
	printf("service.whois_%zu_clients_relay %.0f /s\n", count, bench_median(relay, TURNS));
	printf("service.whois_%zu_clients_relay_ratio %.2f ratio\n", count, bench_median(relay_ratio, TURNS));
	kept = together(askers, count, ask_service);
	printf("service.whois_%zu_clients_kept %.0f /s\n", count, kept);
	printf("service.whois_%zu_clients_kept_ratio %.2f ratio\n", count, kept / bench_median(raw, TURNS));
}

static void
load(const char *path, unsigned long count, unsigned long each)
{
	struct cm_wire *wires[LOAD_CONNECTIONS];
	struct maker m;

	maker_open(&m);
	for (size_t i = 0; i < LOAD_CONNECTIONS; i++)
		wires[i] = connect_to(path);
	/* a thousand cards, again and again: kept answers grow old and are asked again, as on a busy day */
	for (unsigned long i = 0; i < count;) {
		struct cm_buf question = make_question(&m, (unsigned)(i / each % 1000 + 1));

		for (size_t n = 0; n < each && i < count; n++, i++)
			whois(wires[i % LOAD_CONNECTIONS], &question);
		cm_buf_free(&question);
	}
	for (size_t i = 0; i < LOAD_CONNECTIONS; i++)
		cm_wire_free(&wires[i]);
}

int
main(int argc, char **argv)
{
	if (argc == 2)
		one_by_one(argv[1]);
	else if (argc == 4 && strcmp(argv[2], "clients") == 0 && strtoul(argv[3], NULL, 10) - 1 < CLIENTS_MAX)
		clients(argv[1], strtoul(argv[3], NULL, 10));
	else if (argc == 4 && strcmp(argv[2], "load") == 0)
		load(argv[1], strtoul(argv[3], NULL, 10), 100);
	else if (argc == 5 && strcmp(argv[2], "load") == 0 && strtoul(argv[4], NULL, 10) > 0)
		load(argv[1], strtoul(argv[3], NULL, 10), strtoul(argv[4], NULL, 10));
	else
		bench_die("usage", "bench_whois SOCKET [clients N | load COUNT [EACH]]");
	return 0;
}
