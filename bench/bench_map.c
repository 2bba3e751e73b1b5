/*
 * bench/bench_map.c - a certificate's DER to the text of its filter, one
 * thread: ours with two of the built-in rules, and libsss_certmap with a rule
 * that makes the same values.  bench_map CERTIFICATE
 */
#include <sss_certmap.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "bench/bench.h"
#include "mapper/mapper.h"

#define ROUNDS		9
#define ROUND_US	200000

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

/* Rounds take turns, so that a busy moment meets all; the medians are told. */
static bool
measure(struct bench *b)
{
	static bool (*const runs[])(struct bench *) = { map_ours, map_certmap, decode_only };
	double rates[CM_COUNT(runs)][ROUNDS], ours;

	for (size_t round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < CM_COUNT(runs); i++)
			if ((rates[i][round] = rate(b, runs[i])) <= 0)
				return false;
	ours = bench_median(rates[0], ROUNDS);
	printf("map.per_second %.0f 1/s\n", ours);
	printf("map.ratio_to_certmap %.2f ratio\n", ours / bench_median(rates[1], ROUNDS));
	printf("map.decode_us %.2f us\n", 1e6 / bench_median(rates[2], ROUNDS));
	return true;
}

/* libsss_certmap writes a space as \20, which RFC 4515 section 3 allows. */
static void
add_plain(struct cm_buf *out, const char *filter)
{
	for (; *filter != '\0'; filter++) {
		if (strncmp(filter, "\\20", 3) == 0) {
			cm_buf_add_byte(out, ' ');
			filter += 2;
		} else {
			cm_buf_add_byte(out, (uint8_t)*filter);
		}
	}
}

/* Only the same work may be compared: both filters say the same. */
static bool
same_filters(struct bench *b)
{
	struct cm_buf ours = { .ptr = NULL }, theirs = { .ptr = NULL };
	bool same = map_ours(b);

	cm_buf_add_blob(&ours, cm_buf_blob(&b->filter));
	same = same && map_certmap(b);
	add_plain(&theirs, cm_buf_str(&b->filter));
	same = same && cm_blob_equal(cm_buf_blob(&ours), cm_buf_blob(&theirs));
	if (!same)
		fprintf(stderr, "the filters differ:\n%s\n%s\n", cm_buf_str(&ours), cm_buf_str(&theirs));
	cm_buf_free(&ours);
	cm_buf_free(&theirs);
	return same;
}

static enum cm_err
open_rules(struct cm_rules **out)
{
	static const char *const forms[] = { "kerberos", "issuer-serial", NULL };
	enum cm_err err = cm_rules_new(&(struct cm_rules_options){ .forms = forms }, out);

	return err == CM_OK ? cm_rules_add_forms(*out, NULL) : err;
}

int
main(int argc, char **argv)
{
	static const char rule[] = "LDAPU1:(|(altSecurityIdentities="
	    "X509:<I>{issuer_dn!ad_x500}<SR>{serial_number!hex_r})"
	    "(altSecurityIdentities=Kerberos:{subject_nt_principal}))";
	struct bench b = { .rules = NULL };
	struct cm_cert *c = NULL;
	int status = 1;

	if (argc != 2) {
		fprintf(stderr, "usage: bench_map CERTIFICATE\n");
		return 64;
	}
	if (cm_cert_load(argv[1], NULL, &c) != CM_OK || open_rules(&b.rules) != CM_OK ||
	    sss_certmap_init(NULL, NULL, NULL, &b.certmap) != 0 ||
	    sss_certmap_add_rule(b.certmap, 1, NULL, rule, NULL) != 0) {
		fprintf(stderr, "%s cannot be read, or libsss_certmap cannot be used\n", argv[1]);
		goto out;
	}
	b.der = cm_cert_der(c);
	status = same_filters(&b) && measure(&b) ? 0 : 1;
out:
	sss_certmap_free_ctx(b.certmap);
	cm_rules_free(&b.rules);
	cm_buf_free(&b.filter);
	cm_cert_free(&c);
	return status;
}
