/* tests/fuzz/fuzz_ocsp.c - OCSP answers for a fixed CA: judged, judged as if they were signed, imported; URLs of responders. */
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trust/ocsp_internal.h"

/* When the seeds were signed.  The keys of all that signed them are gone. */
#define FUZZ_NOW	1795273515

static const char fuzz_ca[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBlTCCATugAwIBAgIUbl6Icii/FV7F2LXVDHwbkPKFLTswCgYIKoZIzj0EAwIw\n"
	"FzEVMBMGA1UEAwwMRnV6eiBPQ1NQIENBMCAXDTI2MTEyMTE1MDQ0NloYDzIwODEw\n"
	"ODI0MTUwNDQ2WjAXMRUwEwYDVQQDDAxGdXp6IE9DU1AgQ0EwWTATBgcqhkjOPQIB\n"
	"BggqhkjOPQMBBwNCAARiOsQlFFTu3ks0nxIEgjxqSKSzOJzOTPGCnt7rFhDVxbXb\n"
	"2I3Eaaxe4v+BQMJ4kS8v/XHK5IgB7h9HDn1L1vGTo2MwYTAdBgNVHQ4EFgQUKKNx\n"
	"m/4ekcxftJpipChXMokYCNYwHwYDVR0jBBgwFoAUKKNxm/4ekcxftJpipChXMokY\n"
	"CNYwDgYDVR0PAQH/BAQDAgEGMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwID\n"
	"SAAwRQIhAITTRolvaTlsFsZ9kKrVu/tgF3VZ3xHEnoOAsCqwFr0ZAiB/ZUfuO75L\n"
	"Z01rrvksUkwEsyZWJZrUW9sYna4icNw1wA==\n"
	"-----END CERTIFICATE-----\n";
static const char fuzz_card[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBjTCCATKgAwIBAgICEjQwCgYIKoZIzj0EAwIwFzEVMBMGA1UEAwwMRnV6eiBP\n"
	"Q1NQIENBMCAXDTI2MTEyMTE1MDQ0NloYDzIwODEwODI0MTUwNDQ2WjAUMRIwEAYD\n"
	"VQQDDAlGdXp6IENhcmQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAQVghAyOb4W\n"
	"MD+90OWrv6ubMJtdG+A1fOzedPPHCHjk46VeHmKOUi8K48o9TgOLG4zh9YLAb7Wx\n"
	"0n56ZP9jKY5Ko28wbTAJBgNVHRMEAjAAMB0GA1UdDgQWBBS8fzSccSQ9RwLG8UwN\n"
	"RRsmJLyroDAfBgNVHSMEGDAWgBQoo3Gb/h6RzF+0mmKkKFcyiRgI1jALBgNVHQ8E\n"
	"BAMCB4AwEwYDVR0lBAwwCgYIKwYBBQUHAwIwCgYIKoZIzj0EAwIDSQAwRgIhAMeh\n"
	"uz2zEBfRrkjKhG2rUb1v7qMOnJ/uZwX2RH2K5rmHAiEA44gk18JLV4pYa7D0iClg\n"
	"UXdgC8EJp2UbKkQGDa46tQI=\n"
	"-----END CERTIFICATE-----\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static X509 *
read_x509(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	BIO_free(bio);
	return x;
}

/* A file with these bytes, that only its owner may read and write, by its name. */
static int
file_of(const void *p, size_t len, char *path, size_t size)
{
	const int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || fchmod(fd, 0600) != 0 || write(fd, p, len) != (ssize_t)len)
		abort();
	snprintf(path, size, "/proc/self/fd/%d", fd);
	return fd;
}

/* Made once: reading anchors is not what is tried here. */
static struct cm_trust *
open_trust(void)
{
	static struct cm_trust *tr;
	static char path[64];
	static const char *const anchors[] = { path, NULL };
	const struct cm_trust_options o = { .level = CM_TRUST_HARD, .anchors = anchors, .ocsp_get = true, .use_crl = true };

	if (tr == NULL) {
		const int fd = file_of(fuzz_ca, sizeof(fuzz_ca) - 1, path, sizeof(path));

		if (cm_trust_open(&o, NULL, &tr) != CM_OK)
			abort();
		close(fd);
	}
	return tr;
}

/* Unknown has a reason; a good answer has dates that hold now, a revoked one has its date. */
static void
check(const struct cm_question *q, enum cm_status status)
{
	const struct cm_evidence *e = &q->answer;

	if ((status == CM_STATUS_UNKNOWN) != (q->objection != CM_OBJECTION_NONE) ||
	    (status == CM_STATUS_UNKNOWN && q->why.len == 0))
		abort();
	if (status == CM_STATUS_GOOD && (e->this_update > FUZZ_NOW + CM_CLOCK_SKEW || e->on_hold || e->revoked_at != 0 ||
	    (e->next_update != 0 && e->next_update + CM_CLOCK_SKEW < FUZZ_NOW)))
		abort();
	if (status == CM_STATUS_REVOKED && e->revoked_at == 0)
		abort();
}

static void
judge(struct cm_question q, struct cm_blob der, const struct cm_ocsp_request *request, bool posted)
{
	check(&q, cm_ocsp_judge(&q, der, request, posted));
	cm_buf_free(&q.why);
}

/* What is behind the signature, whoever signed. */
static void
judge_unsigned(struct cm_question q, struct cm_blob der, const struct cm_ocsp_request *request)
{
	OCSP_BASICRESP *basic = cm_ocsp_decode(&q, der);
	OCSP_SINGLERESP *single = basic != NULL && cm_ocsp_understood(&q, basic) ? cm_ocsp_find(&q, basic) : NULL;

	if (single != NULL)
		check(&q, cm_ocsp_judge_single(&q, basic, single, request));
	else
		check(&q, CM_STATUS_UNKNOWN);
	for (int i = 0; basic != NULL && i < OCSP_resp_count(basic); i++) {
		cm_buf_truncate(&q.why, 0);
		q.objection = CM_OBJECTION_NONE;
		check(&q, cm_ocsp_judge_single(&q, basic, OCSP_resp_get0(basic, i), NULL));
	}
	OCSP_BASICRESP_free(basic);
	cm_buf_free(&q.why);
}

static enum cm_err
find(void *arg, struct cm_evidence *e)
{
	const struct cm_evidence *kept = arg;

	if (kept->serial_len != e->serial_len || memcmp(kept->serial, e->serial, e->serial_len) != 0)
		return CM_ERR_ABSENT;
	*e = *kept;
	return CM_OK;
}

/* Nothing good takes the place of what was revoked. */
static enum cm_err
keep(void *arg, const struct cm_evidence *e)
{
	struct cm_evidence *kept = arg, before = *e;

	if (e->status == CM_STATUS_UNKNOWN || e->serial_len == 0 || (find(arg, &before) == CM_OK &&
	    before.status == CM_STATUS_REVOKED && e->status == CM_STATUS_GOOD))
		abort();
	*kept = *e;
	return CM_OK;
}

static void
import(struct cm_trust *tr, const uint8_t *data, size_t size)
{
	struct cm_evidence kept = { 0 };
	const struct cm_keeper keeper = { .arg = &kept, .find = find, .keep = keep };
	const struct cm_known known = { .now = FUZZ_NOW, .keeper = &keeper };
	char path[64];
	const int fd = file_of(data, size, path, sizeof(path));
	const struct cm_trust_import i = { .path = path };
	struct cm_trace *t = NULL;
	struct cm_buf out;
	enum cm_err err;

	cm_buf_init(&out, 0);
	if (cm_trace_new(&t) != CM_OK)
		abort();
	cm_trace_begin(t, "import");
	err = cm_trust_import(tr, &i, &known, t, &out);
	if ((err == CM_OK) != (out.len > 0) || (err == CM_OK) != (cm_trace_reason(t) == CM_REASON_NONE))
		abort();
	cm_trace_free(&t);
	cm_buf_free(&out);
	close(fd);
}

static void
ask_at(const struct cm_ocsp_request *request, const uint8_t *data, size_t size)
{
	char *base = strndup((const char *)data, size);
	struct cm_buf url;

	cm_buf_init(&url, 0);
	if (base == NULL || cm_ocsp_request_url(request, base, &url) != CM_OK || url.len > 255 ||
	    strlen(cm_buf_str(&url)) != url.len || strchr(cm_buf_str(&url), '#') != NULL)
		abort();
	cm_buf_free(&url);
	free(base);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct cm_known known = { .now = FUZZ_NOW };
	struct cm_trust *tr = open_trust();
	struct cm_question q = { .trust = tr, .known = &known, .now = FUZZ_NOW, .note = "",
	    .cert = read_x509(fuzz_card), .issuer = read_x509(fuzz_ca) };
	const struct cm_blob der = { data, size };
	struct cm_ocsp_request *request = NULL;

	if (cm_evidence_name(q.cert, q.issuer, &q.answer) != CM_OK || cm_ocsp_request_new(&q, &request) != CM_OK)
		abort();
	judge(q, der, request, true);
	judge(q, der, request, false);
	judge_unsigned(q, der, request);
	ask_at(request, data, size);
	import(tr, data, size);
	cm_ocsp_request_free(&request);
	X509_free(q.cert);
	X509_free(q.issuer);
	return 0;
}
