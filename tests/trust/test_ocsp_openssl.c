/* tests/trust/test_ocsp_openssl.c - what is asked, read by `openssl ocsp`; what that responder answers, judged here. */
#include <openssl/ocsp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/trust/fixture.h"
#include "trust/fetch.h"
#include "trust/trust_internal.h"

struct asked {
	struct cm_trust tr;
	struct cm_known known;
	struct cm_question q;
	struct cm_ocsp_request *request;
};

static void
begin(struct asked *k, const char *who, const struct cm_trust_options *o)
{
	*k = (struct asked){ .tr.o = *o, .known.now = time(NULL) };
	k->q = (struct cm_question){ .trust = &k->tr, .known = &k->known, .now = k->known.now, .note = "",
	    .cert = load_x509(who), .issuer = load_x509("inter") };
	assert_int_equal(cm_evidence_name(k->q.cert, k->q.issuer, &k->q.answer), CM_OK);
	assert_int_equal(cm_ocsp_request_new(&k->q, &k->request), CM_OK);
}

static void
end(struct asked *k)
{
	X509_free(k->q.cert);
	X509_free(k->q.issuer);
	cm_buf_free(&k->q.why);
	cm_ocsp_request_free(&k->request);
}

/* What a command prints; it must end well. */
static void
run(char *const *argv, char *out, size_t size)
{
	int fds[2], status = -1;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	if ((pid = fork()) == 0) {
		dup2(fds[1], 1);
		close(fds[0]);
		close(fds[1]);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(fds[1]);
	while (len + 1 < size && (n = read(fds[0], out + len, size - 1 - len)) > 0)
		len += (size_t)n;
	out[len] = '\0';
	close(fds[0]);
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	if (status != 0)
		print_error("%s\n", out);
	assert_int_equal(status, 0);
}
#define RUN(out, ...)	run((char *const[]){ __VA_ARGS__, NULL }, out, sizeof(out))

static char *
file(const char *name)
{
	return (char *)(uintptr_t)scratch(name);
}

static char *
pki(const char *path)
{
	return (char *)(uintptr_t)path;
}

/* ---- requests */

/* What the client of OpenSSL reads in ours is what it writes itself. */
static void
openssl_reads_what_is_asked(void **state)
{
	static const struct {
		enum cm_trust_hash hash;
		char *option, *name;
	} rows[] = { { CM_TRUST_SHA1, "-sha1", "Hash Algorithm: sha1" }, { CM_TRUST_SHA256, "-sha256", "Hash Algorithm: sha256" } };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const struct cm_trust_options o = { .ocsp_hash = rows[i].hash };
		char ours[8192], theirs[8192], *nonce;
		struct cm_blob body;
		struct asked k;

		begin(&k, "alice-p256", &o);
		body = cm_ocsp_request_body(k.request);
		write_bytes(scratch("request.der"), body.ptr, body.len);
		RUN(ours, "openssl", "ocsp", "-reqin", file("request.der"), "-req_text");
		RUN(theirs, "openssl", "ocsp", rows[i].option, "-issuer", pki(PKI("inter.crt")), "-cert",
		    pki(PKI("alice-p256.crt")), "-no_nonce", "-req_text");
		assert_has(ours, rows[i].name);
		/* RFC 9654 section 2.1: an OCTET STRING of 32 octets. */
		nonce = strstr(ours, "    Request Extensions:");
		assert_non_null(nonce);
		assert_has(nonce, "OCSP Nonce: \n            0420");
		*nonce = '\0';
		assert_string_equal(ours, theirs);
		end(&k);
	}
}

/* Each question has a nonce of its own. */
static void
nonces_differ(void **state)
{
	static const struct cm_trust_options o;
	struct asked a, b;

	(void)state;
	begin(&a, "alice-p256", &o);
	begin(&b, "alice-p256", &o);
	assert_false(cm_blob_equal(cm_ocsp_request_body(a.request), cm_ocsp_request_body(b.request)));
	end(&a);
	end(&b);
}

static unsigned
digit(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'A' + 10);
}

/* The DER in a path, percent-decoded and base64-decoded. */
static size_t
decode(const char *path, uint8_t *out)
{
	uint8_t text[512];
	size_t len = 0;

	for (; *path != '\0' && *path != '?'; path++) {
		text[len] = (uint8_t)*path;
		if (*path == '%') {
			text[len] = (uint8_t)(digit(path[1]) << 4 | digit(path[2]));
			path += 2;
		}
		len++;
	}
	return cm_base64_parse((struct cm_blob){ text, len }, true, out);
}

static void
asked_by_get(void **state)
{
	static const struct {
		const char *base, *begins, *ends;	/* ends "": with the request */
	} rows[] = {
		{ "http://ocsp.test", "http://ocsp.test/", "" },
		{ "http://ocsp.test/", "http://ocsp.test/", "" },
		{ "http://ocsp.test/a/b", "http://ocsp.test/a/b/", "" },
		{ "http://ocsp.test/a/b/", "http://ocsp.test/a/b/", "" },
		{ "http://ocsp.test?x=1", "http://ocsp.test/", "?x=1" },
		{ "http://ocsp.test/a?x=/1", "http://ocsp.test/a/", "?x=/1" },
		{ "http://ocsp.test/a#b", "http://ocsp.test/a/", "" },
		{ "http://ocsp.test/a?x#b?", "http://ocsp.test/a/", "?x" },
	};
	const struct cm_trust_options o = { .ocsp_get = true, .ocsp_hash = CM_TRUST_SHA256 };
	struct asked k;

	(void)state;
	begin(&k, "alice-p256", &o);
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_buf url;
		uint8_t der[512];
		char text[8192];
		const char *path;
		size_t len;

		cm_buf_init(&url, 0);
		assert_int_equal(cm_ocsp_request_url(k.request, rows[i].base, &url), CM_OK);
		assert_memory_equal(cm_buf_str(&url), rows[i].begins, strlen(rows[i].begins));
		path = cm_buf_str(&url) + strlen(rows[i].begins);
		assert_int_equal(strcspn(path, "?+/=#"), strcspn(path, "?"));
		assert_string_equal(path + strcspn(path, "?"), rows[i].ends);
		/* RFC 5019 section 2.1.1: one certificate, no nonce. */
		len = decode(path, der);
		assert_in_range(len, 64, 200);
		write_bytes(scratch("get.der"), der, len);
		RUN(text, "openssl", "ocsp", "-reqin", file("get.der"), "-req_text");
		assert_has(text, "Hash Algorithm: sha256");
		assert_null(strstr(text, "Nonce"));
		cm_buf_free(&url);
	}
	end(&k);
}

/* Whatever the serial number: of base64's digits those that mean something else in a path are never there as they are. */
static void
every_digit_by_get(void **state)
{
	const struct cm_trust_options o = { .ocsp_get = true };
	unsigned plus = 0, slash = 0;

	(void)state;
	for (long i = 1; i <= 200; i++) {
		struct cm_buf url;
		uint8_t der[512];
		struct asked k;
		const char *path;

		begin(&k, "alice-p256", &o);
		cm_ocsp_request_free(&k.request);
		assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(k.q.cert), 7919 * 7919 * i), 1);
		assert_int_equal(cm_ocsp_request_new(&k.q, &k.request), CM_OK);
		cm_buf_init(&url, 0);
		assert_int_equal(cm_ocsp_request_url(k.request, "http://ocsp.test/", &url), CM_OK);
		path = cm_buf_str(&url) + strlen("http://ocsp.test/");
		assert_int_equal(strcspn(path, "?+/=#"), strlen(path));
		assert_in_range(decode(path, der), 64, 200);
		plus += strstr(path, "%2B") != NULL;
		slash += strstr(path, "%2F") != NULL;
		cm_buf_free(&url);
		end(&k);
	}
	assert_true(plus > 0 && slash > 0);
}

/* RFC 5019 section 5: at most 255 octets, or it is posted; and posted where a nonce must be. */
static void
not_by_get(void **state)
{
	const struct cm_trust_options off = { .ocsp_get = false }, on = { .ocsp_get = true },
	    nonce = { .ocsp_get = true, .require_nonce = true };
	char base[256] = "http://ocsp.test/";
	struct cm_buf url;
	struct asked k;
	size_t fits;

	(void)state;
	cm_buf_init(&url, 0);
	begin(&k, "alice-p256", &off);
	assert_int_equal(cm_ocsp_request_url(k.request, base, &url), CM_OK);
	assert_int_equal(url.len, 0);
	end(&k);
	begin(&k, "alice-p256", &nonce);
	assert_int_equal(cm_ocsp_request_url(k.request, base, &url), CM_OK);
	assert_int_equal(url.len, 0);
	end(&k);
	begin(&k, "alice-p256", &on);
	assert_int_equal(cm_ocsp_request_url(k.request, base, &url), CM_OK);
	fits = 255 - url.len;
	memset(base + strlen(base), 'a', fits - 1);
	base[strlen(base)] = '/';
	cm_buf_truncate(&url, 0);
	assert_int_equal(cm_ocsp_request_url(k.request, base, &url), CM_OK);
	assert_int_equal(url.len, 255);
	base[strlen(base) - 1] = 'a';
	cm_buf_truncate(&url, 0);
	assert_int_equal(cm_ocsp_request_url(k.request, base, &url), CM_OK);
	assert_int_equal(url.len, 0);
	cm_buf_free(&url);
	end(&k);
}

/* ---- the responder of OpenSSL */

static void
hear(struct asked *k, const char *path, enum cm_status expected)
{
	uint8_t der[16384];
	FILE *f = fopen(path, "r");
	size_t len;

	assert_non_null(f);
	len = fread(der, 1, sizeof(der), f);
	fclose(f);
	if (cm_ocsp_judge(&k->q, (struct cm_blob){ der, len }, k->request, true) != expected)
		fail_msg("%s: %s", path, cm_buf_str(&k->q.why));
}

static void
openssl_answers(void **state)
{
	static const struct {
		char *certificate, *key, *signer;
	} signers[] = {
		{ CM_PKI_DIR "/inter.crt", CM_PKI_DIR "/inter.key", "CN=Cardmap Test Issuing CA" },
		{ CM_PKI_DIR "/ocsp.crt", CM_PKI_DIR "/ocsp.key", "CN=Cardmap Test OCSP" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(signers) * 2 * 2; i++) {
		const struct cm_trust_options o = { .ocsp_hash = i / 2 % 2 == 0 ? CM_TRUST_SHA1 : CM_TRUST_SHA256,
		    .require_nonce = true };
		const bool revoked = i / 4 == 1;
		struct cm_blob body;
		struct asked k;
		char text[8192];

		begin(&k, revoked ? "revoked" : "alice-p256", &o);
		body = cm_ocsp_request_body(k.request);
		write_bytes(scratch("question.der"), body.ptr, body.len);
		RUN(text, "openssl", "ocsp", "-index", pki(PKI("index.txt")), "-CA", pki(PKI("inter.crt")), "-rsigner",
		    signers[i % 2].certificate, "-rkey", signers[i % 2].key, "-reqin", file("question.der"), "-respout",
		    file("answer.der"), "-nmin", "60");
		hear(&k, scratch("answer.der"), revoked ? CM_STATUS_REVOKED : CM_STATUS_GOOD);
		assert_has(k.q.answer.signer, signers[i % 2].signer);
		assert_string_equal(k.q.note, "");
		if (!revoked)
			assert_int_equal(k.q.answer.next_update - k.q.answer.this_update, 3600);
		else
			assert_in_range(k.q.answer.revoked_at, 2, k.q.answer.this_update);
		end(&k);
	}
}

/* Over the wire, both ways. */
static void
live_get_and_post(void **state)
{
	const char *const base = "http://127.0.0.1:8081/";

	(void)state;
	for (int get = 0; get < 2; get++)
		for (int hash = CM_TRUST_SHA1; hash <= CM_TRUST_SHA256; hash++) {
			const struct cm_trust_options o = { .ocsp_get = get, .ocsp_hash = hash };
			struct cm_fetcher_options options = { .anchors = { NULL, 0 } };
			struct cm_fetcher *fetcher = NULL;
			struct cm_buf url, answer;
			struct cm_fetch f = { 0 };
			struct asked k;

			cm_buf_init(&url, 0);
			cm_buf_init(&answer, 65536);
			begin(&k, "alice-p256", &o);
			assert_int_equal(cm_ocsp_request_url(k.request, base, &url), CM_OK);
			assert_int_equal(url.len > 0, get);
			f = (struct cm_fetch){ .url = get ? cm_buf_str(&url) : base, .max = 65536, .deadline = cm_deadline_in(5000),
			    .fd = -1, .out = &answer, .type = "application/ocsp-request" };
			if (!get)
				f.body = cm_ocsp_request_body(k.request);
			assert_int_equal(cm_fetcher_new(&options, &fetcher), CM_OK);
			assert_int_equal(cm_fetcher_add(fetcher, &f), CM_OK);
			assert_ptr_equal(cm_fetcher_next(fetcher, f.deadline), &f);
			if (f.objection != CM_OBJECTION_NONE)
				fail_msg("%s", cm_buf_str(&f.why));
			if (cm_ocsp_judge(&k.q, cm_buf_blob(&answer), k.request, !get) != CM_STATUS_GOOD)
				fail_msg("%s", cm_buf_str(&k.q.why));
			assert_string_equal(k.q.note, "");
			cm_fetcher_free(&fetcher);
			cm_fetch_clear(&f);
			cm_buf_free(&url);
			cm_buf_free(&answer);
			end(&k);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(openssl_reads_what_is_asked),
		cmocka_unit_test(nonces_differ),
		cmocka_unit_test(asked_by_get),
		cmocka_unit_test(every_digit_by_get),
		cmocka_unit_test(not_by_get),
		cmocka_unit_test(openssl_answers),
		cmocka_unit_test(live_get_and_post),
	};

	return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
