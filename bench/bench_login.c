/*
 * bench/bench_login.c - logins with a card file in a warm process, beside
 * libkrb5 alone with the same files as a FILE: identity, as kinit uses it.
 * Among the servers of tests/rig/rig.py:
 *
 *	bench_login online	one warm process, the same work on both sides, taking turns:
 *	  login.ticket_ms	cm_pkinit_get_ticket without the host keytab: the TGT
 *	  login.kinit_ms	krb5_get_init_creds_password with FILE:
 *	  login.verified_ms	PIN to ticket of a whole login: from cm_login_finish's start
 *				to the ticket that the host keytab checked
 *	  login.kinit_verified_ms  the same, then krb5_verify_init_creds with that keytab
 *	  login.before_pin_ms, login.after_pin_ms  all stages before the PIN, and after it
 *				(with the store's fsync and the user's ccache)
 *	bench_login offline	a card that opened its account before, the servers gone
 *	bench_login kinit	libkrb5 alone, once for each line on standard input: a line of login.kinit_ms and
 *				login.kinit_verified_ms without their names, for who takes turns with it
 *	bench_login beside FIGURE NAME=CONF NAME=CONF...
 *				revocation.login_NAME_ms, a whole login by each of these configurations, which take
 *				turns, and of the stage that asks about revocation alone; revocation.FIGURE_ms, what
 *				the last took longer than the first in the same round
 *
 * memory.login is the most that the process of one online login held.
 */
#include <krb5.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "service/login_here.h"
#include "tests/rig/rig_pin.h"

#define ROUNDS	100
#define WARM_UP	5
#define CARD	"alice-rsa2048"

enum value { TICKET, KINIT, VERIFIED, KINIT_VERIFIED, BEFORE_PIN, AFTER_PIN, REVOCATION, VALUES };
#define BESIDE_MAX	4

struct bench {
	struct cm_trace *trace;
	struct cm_conf *conf;
	struct cm_host *host;
	struct cm_pkinit *bare;		/* without the host keytab */
	struct cm_secret *pin;
	struct cm_account *account;	/* of a login before */
	krb5_context krb5;
	krb5_principal client, server;
	krb5_keytab keytab;
	char *identity;
	double values[VALUES][ROUNDS];
};

static void
must_krb5(const struct bench *b, krb5_error_code code, const char *what)
{
	if (code != 0)
		bench_die(what, krb5_get_error_message(b->krb5, code));
}

static double
ms_since(int64_t start)
{
	return (double)(cm_clock_us() - start) / 1000;
}

static void
set(struct bench *b, const char *key, const char *fmt, const char *value)
{
	struct cm_buf text = { 0 };

	cm_buf_addf(&text, "%s=", key);
	cm_buf_addf(&text, fmt, value);
	bench_must(cm_conf_set(b->conf, cm_buf_str(&text), "bench", b->trace), key, b->trace);
	cm_buf_free(&text);
}

static void
open_host(struct bench *b, const char *conf)
{
	bench_must(cm_trace_new(&b->trace), "trace", NULL);
	bench_must(cm_conf_load(conf, b->trace, &b->conf), "configuration", b->trace);
	set(b, "card.source", "file:%s/" CARD ".pem", bench_rig("CM_RIG_PKI"));
	set(b, "service.log", "%s", "none");
	bench_must(cm_host_open(b->conf, CM_NEED_LOGIN, b->trace, &b->host), "host", b->trace);
	bench_must(cm_secret_new(cm_blob_str(rig_pin()), &b->pin), "PIN", NULL);
}

static void
close_host(struct bench *b)
{
	cm_account_free(&b->account);
	cm_secret_free(&b->pin);
	cm_host_close(&b->host);
	cm_conf_free(&b->conf);
	cm_trace_free(&b->trace);
}

static void
open_peers(struct bench *b)
{
	const char *pki = bench_rig("CM_RIG_PKI");
	const struct cm_pkinit_options o = {
		.config = b->conf->kerberos.config, .realm = b->conf->kerberos.realm,
		.kdcs = (const char *const *)b->conf->kerberos.kdc,
		.anchors = (const char *const *)b->conf->kerberos.anchors,
		.intermediates = (const char *const *)b->conf->kerberos.intermediates,
	};
	struct cm_buf text = { 0 };

	bench_must(cm_pkinit_open(&o, b->trace, &b->bare), "kerberos", b->trace);
	must_krb5(b, krb5_init_context(&b->krb5), "krb5.conf");
	must_krb5(b, krb5_parse_name(b->krb5, b->account->principal, &b->client), "principal");
	must_krb5(b, krb5_parse_name(b->krb5, bench_rig("CM_RIG_HOST_PRINCIPAL"), &b->server), "host principal");
	must_krb5(b, krb5_kt_resolve(b->krb5, bench_rig("CM_RIG_KEYTAB"), &b->keytab), "keytab");
	cm_buf_addf(&text, "FILE:%s/" CARD ".crt,%s/" CARD ".key", pki, pki);
	b->identity = strdup(cm_buf_str(&text));
	cm_buf_free(&text);
}

/* A stage's milliseconds as the trace has them. */
static double
stage_ms(const struct cm_trace *t, const char *name)
{
	for (size_t i = 0; i < cm_trace_count(t); i++)
		if (strcmp(cm_trace_stage(t, i)->name, name) == 0)
			return (double)cm_trace_stage(t, i)->us / 1000;
	bench_die(name, "no such stage ran");
}

static void
login_once(struct bench *b, size_t at)
{
	struct cm_login l = { .work = &cm_login_here, .host = b->host };
	const struct cm_pin pin = { .secret = b->pin, .fd = -1 };
	int64_t start;

	bench_must(cm_trace_new(&l.trace), "trace", NULL);
	start = cm_clock_us();
	bench_must(cm_login_prepare(&l), "login", l.trace);
	b->values[BEFORE_PIN][at] = ms_since(start);
	start = cm_clock_us();
	bench_must(cm_login_finish(&l, &pin), "login", l.trace);
	b->values[AFTER_PIN][at] = ms_since(start);
	b->values[REVOCATION][at] = stage_ms(l.trace, "revocation");
	b->values[VERIFIED][at] = stage_ms(l.trace, "fresh") + stage_ms(l.trace, "pin") +
	    stage_ms(l.trace, "possession") + stage_ms(l.trace, "ticket");
	if (b->account == NULL)
		bench_must(cm_account_copy(l.account, &b->account), "account", NULL);
	cm_login_clear(&l);
	cm_trace_free(&l.trace);
}

static void
ticket_once(struct bench *b, size_t at)
{
	const cm_deadline deadline = cm_deadline_in(10000);
	struct cm_trace *t = NULL;
	struct cm_card *card = NULL;
	struct cm_cert *cert = NULL;
	struct cm_ticket *ticket = NULL;
	unsigned tries;
	int64_t start;

	bench_must(cm_trace_new(&t), "trace", NULL);
	cm_trace_begin(t, "ticket");
	bench_must(cm_card_open(b->conf->card.source, CM_CARD_LOGIN, deadline, t, &card), "card", t);
	bench_must(cm_card_pin_tries(card, deadline, t, &tries), "card", t);
	bench_must(cm_card_certificate(card, CM_SLOT_AUTHENTICATION, deadline, t, &cert), "card", t);
	start = cm_clock_us();
	bench_must(cm_card_verify_pin(card, b->pin, false, deadline, t, &tries), "PIN", t);
	bench_must(cm_pkinit_get_ticket(b->bare, card, CM_SLOT_AUTHENTICATION, cert, b->account, deadline, t,
	    &ticket), "ticket", t);
	b->values[TICKET][at] = ms_since(start);
	cm_ticket_free(&ticket);
	cm_cert_free(&cert);
	cm_card_close(&card);
	cm_trace_free(&t);
}

/* The pkinit plugin takes an identity once for each context: a copy, as cm_pkinit_get_ticket makes. */
static void
kinit_once(struct bench *b, size_t at)
{
	krb5_get_init_creds_opt *options = NULL;
	krb5_verify_init_creds_opt strict;
	krb5_creds creds = { 0 };
	krb5_context c = NULL;
	const int64_t start = cm_clock_us();

	must_krb5(b, krb5_copy_context(b->krb5, &c), "context");
	must_krb5(b, krb5_get_init_creds_opt_alloc(c, &options), "options");
	must_krb5(b, krb5_get_init_creds_opt_set_pa(c, options, "X509_user_identity", b->identity), "identity");
	must_krb5(b, krb5_get_init_creds_password(c, &creds, b->client, NULL, NULL, NULL, 0, NULL, options),
	    "libkrb5 alone");
	b->values[KINIT][at] = ms_since(start);
	krb5_verify_init_creds_opt_init(&strict);
	krb5_verify_init_creds_opt_set_ap_req_nofail(&strict, 1);
	must_krb5(b, krb5_verify_init_creds(c, &creds, b->server, b->keytab, NULL, &strict),
	    "libkrb5 alone, host ticket");
	b->values[KINIT_VERIFIED][at] = ms_since(start);
	krb5_free_cred_contents(c, &creds);
	krb5_get_init_creds_opt_free(c, options);
	krb5_free_context(c);
}

static double
median(struct bench *b, enum value v)
{
	return bench_median(b->values[v], ROUNDS);
}

/* proc(5): VmHWM is of this program alone, getrusage(2) also of what started it. */
static void
tell_memory(void)
{
	FILE *status = fopen("/proc/self/status", "re");
	char line[128];

	while (status != NULL && fgets(line, sizeof(line), status) != NULL)
		if (strncmp(line, "VmHWM:", 6) == 0)
			printf("memory.login %ld kB\n", strtol(line + 6, NULL, 10));
	if (status != NULL)
		fclose(status);
}

static void
online(struct bench *b)
{
	login_once(b, 0);
	tell_memory();
	open_peers(b);
	for (int i = -WARM_UP; i < ROUNDS; i++) {
		const size_t at = i < 0 ? 0 : (size_t)i;

		/* they take turns, so that a busy moment meets all */
		login_once(b, at);
		ticket_once(b, at);
		kinit_once(b, at);
	}
	printf("login.ticket_ms %.1f ms\n", median(b, TICKET));
	printf("login.kinit_ms %.1f ms\n", median(b, KINIT));
	printf("login.ratio_to_kinit %.2f ratio\n", median(b, TICKET) / median(b, KINIT));
	printf("login.verified_ms %.1f ms\n", median(b, VERIFIED));
	printf("login.kinit_verified_ms %.1f ms\n", median(b, KINIT_VERIFIED));
	printf("login.ratio_to_kinit_verified %.2f ratio\n", median(b, VERIFIED) / median(b, KINIT_VERIFIED));
	printf("login.before_pin_ms %.1f ms\n", median(b, BEFORE_PIN));
	printf("login.after_pin_ms %.1f ms\n", median(b, AFTER_PIN));
}

/* Until standard input ends. */
static void
kinit_in_turns(struct bench *b)
{
	char line[8];

	login_once(b, 0);
	open_peers(b);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		kinit_once(b, 0);
		printf("%.3f %.3f\n", b->values[KINIT][0], b->values[KINIT_VERIFIED][0]);
		fflush(stdout);
	}
}

static void
offline(struct bench *b)
{
	for (int i = -WARM_UP; i < ROUNDS; i++)
		login_once(b, i < 0 ? 0 : (size_t)i);
	for (size_t i = 0; i < ROUNDS; i++)
		b->values[AFTER_PIN][i] += b->values[BEFORE_PIN][i];
	printf("login.offline %.2f ms\n", median(b, AFTER_PIN));
}

static void
beside(const char *figure, size_t count, char **names)
{
	static struct bench b[BESIDE_MAX];
	static double difference[ROUNDS];

	for (size_t i = 0; i < count; i++) {
		char *conf = strchr(names[i], '=');

		if (conf == NULL)
			bench_die(names[i], "is not NAME=CONF");
		*conf = '\0';
		open_host(&b[i], conf + 1);
	}
	for (int round = -WARM_UP; round < ROUNDS; round++)
		for (size_t i = 0; i < count; i++)
			login_once(&b[i], round < 0 ? 0 : (size_t)round);
	for (size_t at = 0; at < ROUNDS; at++)
		difference[at] = b[count - 1].values[BEFORE_PIN][at] + b[count - 1].values[AFTER_PIN][at] -
		    b[0].values[BEFORE_PIN][at] - b[0].values[AFTER_PIN][at];
	for (size_t i = 0; i < count; i++) {
		for (size_t at = 0; at < ROUNDS; at++)
			b[i].values[AFTER_PIN][at] += b[i].values[BEFORE_PIN][at];
		printf("revocation.login_%s_ms %.2f ms\n", names[i], median(&b[i], AFTER_PIN));
		printf("revocation.login_%s_stage_ms %.2f ms\n", names[i], median(&b[i], REVOCATION));
		close_host(&b[i]);
	}
	printf("revocation.%s_ms %.2f ms\n", figure, bench_median(difference, ROUNDS));
}

static void
alone(struct bench *b, void (*measure)(struct bench *))
{
	open_host(b, bench_rig("CM_RIG_CONF"));
	measure(b);
	if (b->krb5 != NULL) {
		krb5_kt_close(b->krb5, b->keytab);
		krb5_free_principal(b->krb5, b->client);
		krb5_free_principal(b->krb5, b->server);
		krb5_free_context(b->krb5);
	}
	free(b->identity);
	cm_pkinit_close(&b->bare);
	close_host(b);
}

int
main(int argc, char **argv)
{
	static struct bench b;

	if (argc == 2 && strcmp(argv[1], "online") == 0)
		alone(&b, online);
	else if (argc == 2 && strcmp(argv[1], "offline") == 0)
		alone(&b, offline);
	else if (argc == 2 && strcmp(argv[1], "kinit") == 0)
		alone(&b, kinit_in_turns);
	else if (argc > 4 && argc <= 3 + BESIDE_MAX && strcmp(argv[1], "beside") == 0)
		beside(argv[2], (size_t)argc - 3, argv + 3);
	else
		bench_die("usage", "bench_login online | offline | kinit | beside FIGURE NAME=CONF NAME=CONF...");
	return 0;
}
