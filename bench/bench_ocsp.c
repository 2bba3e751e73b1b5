/*
 * bench/bench_ocsp.c - a card whose certificates' responders are asked anew, beside curl alone with the same question.
 *
 *	bench_ocsp PKI		where deep.crt, deep-chain.pem, deep-3.crt and root.crt are; their responders listen
 *	bench_ocsp PKI kept	asked once, and then of what was kept
 */
#include <curl/curl.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "trust/trust.h"

#define ROUNDS		101
#define TIMEOUT		3000	/* ms */

struct card {
	struct cm_cert *cert;
	struct cm_blob request;		/* about the leaf */
	char *url;			/* of the leaf's responder */
	char anchor[512], chain[512];
};

static X509 *
load(const char *pki, const char *name)
{
	char path[512];
	FILE *f;
	X509 *x;

	snprintf(path, sizeof(path), "%s/%s", pki, name);
	f = fopen(path, "re");
	x = f != NULL ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;
	if (x == NULL)
		bench_die(path, "no certificate");
	fclose(f);
	return x;
}

static struct card
load_card(const char *pki)
{
	X509 *leaf = load(pki, "deep.crt"), *issuer = load(pki, "deep-3.crt");
	OCSP_REQUEST *request = OCSP_REQUEST_new();
	STACK_OF(OPENSSL_STRING) *urls = X509_get1_ocsp(leaf);
	struct card c = { 0 };
	unsigned char *der = NULL, *cert = NULL;
	const int cert_len = i2d_X509(leaf, &cert);

	OCSP_request_add0_id(request, OCSP_cert_to_id(EVP_sha1(), leaf, issuer));
	OCSP_request_add1_nonce(request, NULL, 32);
	c.request.len = (size_t)i2d_OCSP_REQUEST(request, &der);
	c.request.ptr = der;
	c.url = strdup(sk_OPENSSL_STRING_value(urls, 0));
	bench_must(cm_cert_decode((struct cm_blob){ cert, (size_t)cert_len }, NULL, &c.cert), "deep.crt", NULL);
	snprintf(c.anchor, sizeof(c.anchor), "%s/root.crt", pki);
	snprintf(c.chain, sizeof(c.chain), "%s/deep-chain.pem", pki);
	return c;
}

static size_t
count(char *p, size_t size, size_t n, void *total)
{
	(void)p;
	*(size_t *)total += size * n;
	return size * n;
}

/* A new connection each time, as for a login. */
static double
ask_raw(const struct card *c)
{
	struct curl_slist *type = curl_slist_append(NULL, "Content-Type: application/ocsp-request");
	CURL *curl = curl_easy_init();
	size_t len = 0;
	int64_t begin;

	curl_easy_setopt(curl, CURLOPT_URL, c->url);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, type);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)c->request.len);
	curl_easy_setopt(curl, CURLOPT_POSTFIELDS, (const char *)c->request.ptr);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, count);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, &len);
	begin = cm_clock_us();
	if (curl_easy_perform(curl) != CURLE_OK || len == 0)
		bench_die(c->url, "no answer");
	begin = cm_clock_us() - begin;
	curl_easy_cleanup(curl);
	curl_slist_free_all(type);
	return (double)begin / 1000;
}

/* What was learned, for who asks again. */
struct learned {
	struct cm_evidence evidence[8];
	size_t count;
};

static void
learn(const struct cm_verdict *v, struct learned *l)
{
	const struct cm_evidence *e = cm_verdict_evidence(v, &l->count);

	if (l->count > CM_COUNT(l->evidence))
		bench_die("evidence", "more than there are certificates");
	memcpy(l->evidence, e, l->count * sizeof(*e));
}

/* Each is asked about, but what is kept, and nobody a second time. */
static double
ask(const struct card *c, bool leaf_only, struct learned *kept)
{
	const char *anchors[] = { c->anchor, NULL }, *intermediates[] = { c->chain, NULL };
	const struct cm_trust_options o = { .level = CM_TRUST_HARD, .leaf_only = leaf_only, .anchors = anchors,
	    .intermediates = intermediates, .use_ocsp = true, .ocsp_max = 65536, .crl_max = 65536 };
	const struct cm_known known = { .evidence = kept != NULL ? kept->evidence : NULL,
	    .count = kept != NULL ? kept->count : 0, .now = cm_clock_now() };
	struct cm_verdict *v = NULL;
	struct cm_trust *tr = NULL;
	struct cm_trace *t = NULL;
	int64_t begin;

	bench_must(cm_trace_new(&t), "trace", NULL);
	bench_must(cm_trust_open(&o, t, &tr), "anchors", t);
	bench_must(cm_trust_check_chain(tr, c->cert, &known, t, &v), "chain", t);
	begin = cm_clock_us();
	bench_must(cm_trust_check_revocation(tr, v, &known, cm_deadline_in(TIMEOUT), t), "revocation", t);
	begin = cm_clock_us() - begin;
	if (kept != NULL)
		learn(v, kept);
	cm_verdict_free(&v);
	cm_trust_close(&tr);
	cm_trace_free(&t);
	return (double)begin / 1000;
}

static double
figure(const char *name, double *ms)
{
	const double median = bench_median(ms, ROUNDS);

	printf("revocation.%s_ms %.2f ms\n", name, median);
	return median;
}

static void
anew(const struct card *c)
{
	static double raw[ROUNDS], one[ROUNDS], four[ROUNDS];
	double least;

	/* The responders sign once, and curl and OpenSSL begin. */
	ask_raw(c);
	ask(c, false, NULL);
	for (int i = 0; i < ROUNDS; i++) {
		raw[i] = ask_raw(c);
		one[i] = ask(c, true, NULL);
		four[i] = ask(c, false, NULL);
	}
	least = figure("ocsp_raw", raw);
	printf("revocation.ocsp_fresh_over_raw_ms %.2f ms\n", figure("ocsp_fresh", one) - least);
	printf("revocation.ocsp_four_over_raw_ms %.2f ms\n", figure("ocsp_four", four) - least);
}

static void
again(const struct card *c)
{
	static double kept[ROUNDS];
	static struct learned l;

	ask(c, false, &l);
	for (int i = 0; i < ROUNDS; i++)
		kept[i] = ask(c, false, &l);
	figure("ocsp_kept", kept);
}

int
main(int argc, char **argv)
{
	struct card c;

	if (argc != 2 && (argc != 3 || strcmp(argv[2], "kept") != 0))
		bench_die("usage", "bench_ocsp PKI [kept]");
	c = load_card(argv[1]);
	if (argc == 2)
		anew(&c);
	else
		again(&c);
	return 0;
}
