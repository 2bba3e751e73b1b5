/*
 * bench/bench_lookup.c - a certificate to its account on a kept connection, and
 * libldap alone asking the same server the same filter for the same attributes
 * on a kept connection of its own.  Run among the servers of tests/rig/rig.py
 * (run --need slapd --users 100000); both sides use StartTLS.  The argument is
 * what its figures are called.
 *
 * "NAME.median_us" is decoding, mapping ("to_query") and finding, all but the
 * wait for the groups' search, which the trace tells; "with_groups" is all of
 * it, beside two searches of libldap alone.
 */
#include <ldap.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "bench/bench.h"
#include "ldap/directory.h"

#define ROUNDS		3000
#define WARM_UP		200

static const char *const names[] = { "alice-rsa2048", "bob", "erin" };

/* What the directory asks for; groups as ldap/groups.c does. */
static char *account_attributes[] = {
	"uid", "sAMAccountName", "unixHomeDirectory", "homeDirectory", "loginShell", "gecos",
	"displayName", "cn", "uidNumber", "gidNumber", "krbPrincipalName", "memberOf",
	"userAccountControl", "nsAccountLock", "altSecurityIdentities", NULL,
};
static char *group_attributes[] = { "objectClass", "cn", "gidNumber", NULL };

struct subject {
	struct cm_buf der;
	char *account_filter, *group_filter;	/* as the trace told them */
};

struct bench {
	const char *name;
	struct cm_rules *rules;
	struct cm_directory *directory;
	LDAP *raw;
	const char *base, *uris[2];
	struct cm_buf ca;
	struct subject subjects[CM_COUNT(names)];
	double account[ROUNDS], mapped[ROUNDS], whole[ROUNDS], raw_account[ROUNDS], raw_whole[ROUNDS];
};

/* Certificate to account once, microseconds: to the query, without the groups' search, and whole. */
static void
find_once(struct bench *b, struct subject *s, size_t at)
{
	double *account = &b->account[at], *whole = &b->whole[at];
	struct cm_account *a = NULL;
	struct cm_query *q = NULL;
	struct cm_trace *t = NULL;
	struct cm_cert *c = NULL;
	int64_t start;

	bench_must(cm_trace_new(&t), "trace", NULL);
	start = cm_clock_us();
	cm_trace_begin(t, "account");
	bench_must(cm_cert_decode(cm_buf_blob(&s->der), t, &c), "certificate", t);
	bench_must(cm_rules_map(b->rules, c, t, &q), "rules", t);
	b->mapped[at] = (double)(cm_clock_us() - start);
	bench_must(cm_directory_find(b->directory, q, NULL, cm_deadline_in(10000), t, &a), "directory", t);
	cm_trace_end(t, CM_OK);
	*whole = (double)(cm_clock_us() - start);
	*account = *whole - strtod(cm_trace_find(t, "groups search"), NULL);
	if (s->account_filter == NULL) {
		s->account_filter = strdup(cm_trace_find(t, "filter"));
		s->group_filter = strdup(cm_trace_find(t, "groups filter"));
	}
	cm_account_free(&a);
	cm_query_free(&q);
	cm_cert_free(&c);
	cm_trace_free(&t);
}

static void
raw_search(struct bench *b, const char *filter, char **attributes, int limit)
{
	struct timeval ten_seconds = { 10, 0 };
	LDAPMessage *answer = NULL;
	const int code = ldap_search_ext_s(b->raw, b->base, LDAP_SCOPE_SUBTREE, filter, attributes, 0,
	    NULL, NULL, &ten_seconds, limit, &answer);

	if (code != LDAP_SUCCESS || ldap_count_entries(b->raw, answer) < 1)
		bench_die("libldap alone", ldap_err2string(code));
	ldap_msgfree(answer);
}

static void
raw_once(struct bench *b, const struct subject *s, double *account, double *whole)
{
	const int64_t start = cm_clock_us();

	raw_search(b, s->account_filter, account_attributes, 16);
	*account = (double)(cm_clock_us() - start);
	raw_search(b, s->group_filter, group_attributes, 1024);
	*whole = (double)(cm_clock_us() - start);
}

static void
open_raw(struct bench *b, const char *ca)
{
	const int version = LDAP_VERSION3, demand = LDAP_OPT_X_TLS_DEMAND, client = 0;
	int code;

	if (ldap_initialize(&b->raw, bench_rig("CM_RIG_LDAP_URI")) != LDAP_SUCCESS)
		bench_die("libldap alone", "ldap_initialize");
	ldap_set_option(b->raw, LDAP_OPT_PROTOCOL_VERSION, &version);
	ldap_set_option(b->raw, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
	ldap_set_option(b->raw, LDAP_OPT_X_TLS_CACERTFILE, ca);
	ldap_set_option(b->raw, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand);
	ldap_set_option(b->raw, LDAP_OPT_X_TLS_NEWCTX, &client);
	if ((code = ldap_start_tls_s(b->raw, NULL, NULL)) != LDAP_SUCCESS)
		bench_die("libldap alone", ldap_err2string(code));
}

static void
open_all(struct bench *b)
{
	struct cm_trace *t = NULL;
	struct cm_directory_options o = {
		.uris = b->uris, .base = bench_rig("CM_RIG_BASE"), .starttls = true,
		.realm = bench_rig("CM_RIG_REALM"), .first_uid = 1000, .first_gid = 1000,
	};

	bench_must(cm_trace_new(&t), "trace", NULL);
	b->uris[0] = bench_rig("CM_RIG_LDAP_URI");
	cm_buf_addf(&b->ca, "%s/root.crt", bench_rig("CM_RIG_PKI"));
	o.ca = cm_buf_str(&b->ca);
	b->base = o.base;
	bench_must(cm_rules_new(&(struct cm_rules_options){ .domain = NULL }, &b->rules), "rules", NULL);
	bench_must(cm_rules_add_forms(b->rules, t), "rules", t);
	for (size_t i = 0; i < CM_COUNT(names); i++) {
		struct cm_buf path = { 0 };

		cm_buf_addf(&path, "%s/%s.der", bench_rig("CM_RIG_PKI"), names[i]);
		bench_must(cm_file_read(cm_buf_str(&path), CM_CERT_MAX, CM_FILE_ANY, t, &b->subjects[i].der),
		    names[i], t);
		cm_buf_free(&path);
	}
	bench_must(cm_directory_open(&o, t, &b->directory), "directory", t);
	find_once(b, &b->subjects[0], 0);
	open_raw(b, o.ca);
	cm_trace_free(&t);
}

static void
tell(struct bench *b, const struct cm_directory_stats *s, unsigned finds, unsigned groups)
{
	const double account = bench_median(b->account, ROUNDS), whole = bench_median(b->whole, ROUNDS);
	const double raw = bench_median(b->raw_account, ROUNDS), raw_whole = bench_median(b->raw_whole, ROUNDS);

	printf("%s.median_us %.0f us\n", b->name, account);
	printf("%s.to_query_us %.0f us\n", b->name, bench_median(b->mapped, ROUNDS));
	printf("%s.raw_us %.0f us\n", b->name, raw);
	printf("%s.ratio_to_raw %.2f ratio\n", b->name, account / raw);
	printf("%s.with_groups_us %.0f us\n", b->name, whole);
	printf("%s.raw_with_groups_us %.0f us\n", b->name, raw_whole);
	printf("%s.ratio_with_groups %.2f ratio\n", b->name, whole / raw_whole);
	printf("%s.searches_account %.2f searches\n", b->name, (double)(s->searches - groups) / finds);
	printf("%s.searches_groups %.2f searches\n", b->name, (double)groups / finds);
	printf("%s.connections %u connections\n", b->name, s->connections);
}

int
main(int argc, char **argv)
{
	static struct bench b;
	struct cm_directory_stats stats;
	unsigned finds = 1;

	if (argc != 2) {
		fprintf(stderr, "usage: bench_lookup NAME\n");
		return 64;
	}
	b.name = argv[1];
	open_all(&b);
	for (int i = -WARM_UP; i < ROUNDS; i++, finds++) {
		struct subject *s = &b.subjects[finds % CM_COUNT(names)];
		const int at = i < 0 ? 0 : i;

		/* they take turns, so that a busy moment meets all */
		find_once(&b, s, (size_t)at);
		raw_once(&b, s, &b.raw_account[at], &b.raw_whole[at]);
	}
	stats = cm_directory_stats(b.directory);
	tell(&b, &stats, finds, finds);
	cm_directory_close(&b.directory);
	cm_rules_free(&b.rules);
	ldap_unbind_ext(b.raw, NULL, NULL);
	cm_buf_free(&b.ca);
	for (size_t i = 0; i < CM_COUNT(names); i++) {
		cm_buf_free(&b.subjects[i].der);
		free(b.subjects[i].account_filter);
		free(b.subjects[i].group_filter);
	}
	return 0;
}
