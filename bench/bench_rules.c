/*
 * bench/bench_rules.c - many rules: what they cost to compile, to hold, and
 * for each certificate; beside libsss_certmap with the same rules.
 * bench_rules CERTIFICATE
 */
#include <malloc.h>
#include <sss_certmap.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "mapper/mapper.h"

#define RULES		1000
#define ROUNDS		5
#define ROUND_US	300000

struct rules {
	struct cm_conf_rule all[RULES];
	char match[RULES][160];
	char name[RULES][24];
};

static void
fill(struct rules *r, const char *format, const char *last)
{
	for (int i = 0; i < RULES; i++) {
		snprintf(r->name[i], sizeof(r->name[i]), "rule %d", i);
		snprintf(r->match[i], sizeof(r->match[i]), format, i);
		if (i == RULES - 1)	/* only the last is for this certificate */
			snprintf(r->match[i], sizeof(r->match[i]), "%s", last);
		r->all[i] = (struct cm_conf_rule){
			.name = r->name[i], .origin = (char *)(uintptr_t)"bench:1", .match = r->match[i],
			.filter = (char *)(uintptr_t)"LDAP:(mail={subject_rfc822_name})",
			.priority = CM_RULE_PRIORITY_LAST,
		};
	}
}

static double
ours_per_second(struct cm_rules *rules, struct cm_blob der)
{
	double rates[ROUNDS];

	for (size_t round = 0; round < ROUNDS; round++) {
		const int64_t start = cm_clock_us();
		int64_t passed = 0;
		size_t n = 0;

		for (; passed < ROUND_US; passed = cm_clock_us() - start, n++) {
			struct cm_cert *c = NULL;
			struct cm_query *q = NULL;

			bench_must(cm_cert_decode(der, NULL, &c), "decoding", NULL);
			bench_must(cm_rules_map(rules, c, NULL, &q), "mapping", NULL);
			cm_query_free(&q);
			cm_cert_free(&c);
		}
		rates[round] = (double)n * 1e6 / (double)passed;
	}
	return bench_median(rates, ROUNDS);
}

static double
certmap_per_second(const struct rules *r, struct cm_blob der)
{
	struct sss_certmap_ctx *ctx = NULL;
	int64_t began, passed = 0;
	size_t n = 0;

	if (sss_certmap_init(NULL, NULL, NULL, &ctx) != 0)
		bench_die("libsss_certmap", "cannot be used");
	for (int i = 0; i < RULES; i++)
		if (sss_certmap_add_rule(ctx, 1, r->match[i], r->all[i].filter, NULL) != 0)
			bench_die(r->match[i], "libsss_certmap does not take it");
	began = cm_clock_us();
	for (; passed < ROUND_US; passed = cm_clock_us() - began, n++) {
		char *filter = NULL, **domains = NULL;

		if (sss_certmap_get_search_filter(ctx, der.ptr, der.len, &filter, &domains) != 0)
			bench_die("libsss_certmap", "no filter");
		sss_certmap_free_filter_and_domains(filter, domains);
	}
	sss_certmap_free_ctx(ctx);
	return (double)n * 1e6 / (double)passed;
}

static void
measure(const char *name, const struct rules *r, struct cm_blob der)
{
	const struct cm_rules_options o = { .domain = NULL };
	struct cm_rules *rules = NULL;
	struct cm_trace *t = NULL;
	size_t before;
	int64_t start;
	double ours;

	bench_must(cm_trace_new(&t), "trace", NULL);
	before = mallinfo2().uordblks;
	start = cm_clock_us();
	bench_must(cm_rules_new(&o, &rules), "rules", t);
	bench_must(cm_rules_add(rules, r->all, RULES, t), "rules", t);
	printf("rules.%s_compile_ms %.2f ms\n", name, (double)(cm_clock_us() - start) / 1000);
	printf("rules.%s_bytes_each %.0f bytes\n", name, (double)(mallinfo2().uordblks - before) / RULES);
	ours = ours_per_second(rules, der);
	printf("rules.%s %.0f 1/s\n", name, ours);
	printf("rules.%s_ratio_to_certmap %.1f ratio\n", name, ours / certmap_per_second(r, der));
	cm_rules_free(&rules);
	cm_trace_free(&t);
}

int
main(int argc, char **argv)
{
	static struct rules r;
	struct cm_cert *c = NULL, *again = NULL;
	char issuer[160];
	size_t before;

	if (argc != 2) {
		fprintf(stderr, "usage: bench_rules CERTIFICATE\n");
		return 64;
	}
	bench_must(cm_cert_load(argv[1], NULL, &c), argv[1], NULL);
	before = mallinfo2().uordblks;
	bench_must(cm_cert_decode(cm_cert_der(c), NULL, &again), "decoding", NULL);
	printf("rules.certificate_bytes %zu bytes\n", mallinfo2().uordblks - before);
	snprintf(issuer, sizeof(issuer), "<ISSUER>^%s$", cm_cert_issuer_text(c));
	fill(&r, "<ISSUER>^CN=Issuing CA %d,DC=cardmap,DC=test$", issuer);
	measure("issuers", &r, cm_cert_der(c));
	fill(&r, "<SUBJECT>^CN=[A-Z][a-z]+ %d(,.*)?$", "<SUBJECT>^CN=.*$");
	measure("subject_regexes", &r, cm_cert_der(c));
	cm_cert_free(&again);
	cm_cert_free(&c);
	return 0;
}
