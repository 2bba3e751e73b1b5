/*
 * bench/bench_map.c - a certificate's DER to the text of its filter, one
 * thread: ours and libsss_certmap with the same rule, one template after the
 * other; and the built-in forms together.  bench_map CERTIFICATE
 */
#include <sss_certmap.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "mapper/mapper.h"

#define ROUNDS		5
#define ROUND_US	60000

static const struct template {
	const char *name, *map;
} templates[] = {
	{ "default", "LDAP:(userCertificate;binary={cert!bin})" },
	{ "cert_base64", "LDAP:(userCertificate={cert!base64})" },
	{ "cert_sha256", "LDAPU1:(x={cert!sha256})" },
	{ "issuer_ad_x500", "LDAP:(x={issuer_dn!ad_x500})" },
	{ "issuer_ad_ldap", "LDAP:(x={issuer_dn!ad_ldap})" },
	{ "issuer_nss_x500", "LDAP:(x={issuer_dn!nss_x500})" },
	{ "issuer_nss_ldap", "LDAP:(x={issuer_dn!nss_ldap})" },
	{ "subject_nss_x500", "LDAP:(x={subject_dn!nss_x500})" },
	{ "issuer_subject", "LDAP:(ipacertmapdata=X509:<I>{issuer_dn!nss_x500}<S>{subject_dn!nss_x500})" },
	{ "issuer_serial", "LDAPU1:(altSecurityIdentities=X509:<I>{issuer_dn!ad_x500}<SR>{serial_number!hex_r})" },
	{ "serial_dec", "LDAPU1:(x={serial_number!dec})" },
	{ "subject_key_id", "LDAPU1:(altSecurityIdentities=X509:<SKI>{subject_key_id!hex_u})" },
	{ "rfc822_name", "LDAP:(mail={subject_rfc822_name})" },
	{ "rfc822_short", "LDAP:(uid={subject_rfc822_name.short_name})" },
	{ "dns_name", "LDAP:(x={subject_dns_name})" },
	{ "uri", "LDAP:(x={subject_uri})" },
	{ "nt_principal", "LDAP:(|(userPrincipal={subject_nt_principal})(samAccountName={subject_nt_principal.short_name}))" },
	{ "pkinit_principal", "LDAP:(krbPrincipalName={subject_pkinit_principal})" },
	{ "principal", "LDAP:(userPrincipal={subject_principal})" },
	{ "subject_cn", "LDAPU1:(uid={subject_dn_component.cn})" },
	{ "sid", "LDAPU1:(objectSid={sid})" },
	{ "sid_rid", "LDAPU1:(x={sid.rid})" },
};

struct bench {
	struct cm_blob der;
	struct cm_rules *rules;
	struct sss_certmap_ctx *certmap;
	struct cm_buf filter;
};

static bool
decode_only(struct bench *b)
{
	struct cm_cert *c = NULL;
	const enum cm_err err = cm_cert_decode(b->der, NULL, &c);

	cm_cert_free(&c);
	return err == CM_OK;
}

static bool
map_ours(struct bench *b)
{
	struct cm_cert *c = NULL;
	struct cm_query *q = NULL;
	enum cm_err err;

	cm_buf_truncate(&b->filter, 0);
	if ((err = cm_cert_decode(b->der, NULL, &c)) == CM_OK)
		err = cm_rules_map(b->rules, c, NULL, &q);
	if (err == CM_OK) {
		cm_query_filter(q, &b->filter);
		err = cm_buf_status(&b->filter);
	}
	cm_query_free(&q);
	cm_cert_free(&c);
	return err == CM_OK;
}

static bool
map_certmap(struct bench *b)
{
	char *filter = NULL, **domains = NULL;

	if (sss_certmap_get_search_filter(b->certmap, b->der.ptr, b->der.len, &filter, &domains) != 0)
		return false;
	cm_buf_truncate(&b->filter, 0);
	cm_buf_add_str(&b->filter, filter);
	sss_certmap_free_filter_and_domains(filter, domains);
	return true;
}

/* Runs a second for as long as a round lasts; 0 when one failed. */
static double
rate(struct bench *b, bool (*run)(struct bench *))
{
	const int64_t start = cm_clock_us();
	int64_t passed = 0;
	size_t n = 0;

	for (; passed < ROUND_US; passed = cm_clock_us() - start)
		for (int i = 0; i < 100; i++, n++)
			if (!run(b))
				return 0;
	return (double)n * 1e6 / (double)passed;
}

/* Rounds take turns, so that a busy moment meets both sides; medians, in calls a second. */
static bool
measure(struct bench *b, bool (*const runs[])(struct bench *), size_t count, double *medians)
{
	double rates[3][ROUNDS];

	for (size_t round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < count; i++)
			if ((rates[i][round] = rate(b, runs[i])) <= 0)
				return false;
	for (size_t i = 0; i < count; i++)
		medians[i] = bench_median(rates[i], ROUNDS);
	return true;
}

/* Only the same work may be compared: both filters are the same bytes. */
static bool
same_filters(struct bench *b)
{
	struct cm_buf ours = { .ptr = NULL };
	bool same = map_ours(b);

	cm_buf_add_blob(&ours, cm_buf_blob(&b->filter));
	same = same && map_certmap(b) && cm_blob_equal(cm_buf_blob(&ours), cm_buf_blob(&b->filter));
	if (!same)
		fprintf(stderr, "the filters differ:\n%s\n%s\n", cm_buf_str(&ours), cm_buf_str(&b->filter));
	cm_buf_free(&ours);
	return same;
}

static void
compile(struct bench *b, const char *map)
{
	const struct cm_conf_rule rule = {
		.name = (char *)(uintptr_t)"bench", .origin = (char *)(uintptr_t)"bench:1",
		.match = (char *)(uintptr_t)"<KU>digitalSignature<EKU>clientAuth",
		.filter = (char *)(uintptr_t)map, .priority = CM_RULE_PRIORITY_LAST,
	};
	const struct cm_rules_options o = { .domain = NULL };
	struct cm_trace *t = NULL;

	cm_rules_free(&b->rules);
	sss_certmap_free_ctx(b->certmap);
	b->certmap = NULL;
	bench_must(cm_trace_new(&t), "trace", NULL);
	bench_must(cm_rules_new(&o, &b->rules), "rules", t);
	bench_must(cm_rules_add(b->rules, &rule, 1, t), map, t);
	cm_trace_free(&t);
	if (sss_certmap_init(NULL, NULL, NULL, &b->certmap) != 0 ||
	    sss_certmap_add_rule(b->certmap, 1, NULL, map, NULL) != 0)
		bench_die(map, "libsss_certmap does not take it");
}

static bool
each_template(struct bench *b, double *lowest, double *least_ratio)
{
	static bool (*const runs[])(struct bench *) = { map_ours, map_certmap };

	for (size_t i = 0; i < CM_COUNT(templates); i++) {
		double medians[CM_COUNT(runs)], ratio;

		compile(b, templates[i].map);
		if (!same_filters(b) || !measure(b, runs, CM_COUNT(runs), medians))
			return false;
		ratio = medians[0] / medians[1];
		printf("map.%s %.0f 1/s\n", templates[i].name, medians[0]);
		printf("map.%s_ratio_to_certmap %.1f ratio\n", templates[i].name, ratio);
		*lowest = i == 0 || medians[0] < *lowest ? medians[0] : *lowest;
		*least_ratio = i == 0 || ratio < *least_ratio ? ratio : *least_ratio;
	}
	return true;
}

/* Without any configuration: every form of altSecurityIdentities in one filter. */
static bool
all_forms(struct bench *b)
{
	static bool (*const runs[])(struct bench *) = { map_ours, decode_only };
	static const char *const forms[] = { "altSecurityIdentities", NULL };
	const struct cm_rules_options o = { .forms = forms };
	double medians[CM_COUNT(runs)];

	cm_rules_free(&b->rules);
	bench_must(cm_rules_new(&o, &b->rules), "rules", NULL);
	bench_must(cm_rules_add_forms(b->rules, NULL), "forms", NULL);
	if (!measure(b, runs, CM_COUNT(runs), medians))
		return false;
	printf("map.all_forms %.0f 1/s\n", medians[0]);
	printf("map.decode_us %.2f us\n", 1e6 / medians[1]);
	return true;
}

int
main(int argc, char **argv)
{
	struct bench b = { .rules = NULL };
	struct cm_cert *c = NULL;
	double lowest = 0, least_ratio = 0;
	bool measured;

	if (argc != 2) {
		fprintf(stderr, "usage: bench_map CERTIFICATE\n");
		return 64;
	}
	bench_must(cm_cert_load(argv[1], NULL, &c), argv[1], NULL);
	b.der = cm_cert_der(c);
	measured = each_template(&b, &lowest, &least_ratio) && all_forms(&b);
	if (measured) {
		printf("map.slowest %.0f 1/s\n", lowest);
		printf("map.least_ratio_to_certmap %.1f ratio\n", least_ratio);
	}
	sss_certmap_free_ctx(b.certmap);
	cm_rules_free(&b.rules);
	cm_buf_free(&b.filter);
	cm_cert_free(&c);
	return measured ? 0 : 1;
}
