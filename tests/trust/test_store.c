/* tests/trust/test_store.c - CAs on disk: which may be added, where they go, and how they go again. */
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/trust/fixture.h"

/* Folders of a test's own, and what the visits showed. */
struct store {
	char anchors[512], intermediates[512];
	const char *paths[2][3];
	struct cm_trust_options o;
	struct cm_trace *t;
	char told[4096];	/* a line for each: role, "self" or "-", "there" or "-", subject */
	char file[512], sha256[65];	/* of the last */
};

static void
open_store(struct store *s, const char *name)
{
	char folder[64];

	memset(s, 0, sizeof(*s));
	snprintf(folder, sizeof(folder), "%s-a", name);
	snprintf(s->anchors, sizeof(s->anchors), "%s", scratch(folder));
	snprintf(folder, sizeof(folder), "%s-i", name);
	snprintf(s->intermediates, sizeof(s->intermediates), "%s", scratch(folder));
	s->paths[0][0] = s->anchors;
	s->paths[1][0] = s->intermediates;
	s->o = (struct cm_trust_options){ .level = CM_TRUST_SOFT, .anchors = s->paths[0], .intermediates = s->paths[1],
	    .anchors_if_there = true, .intermediates_if_there = true, .crl_max = 1 << 20 };
	assert_int_equal(cm_trace_new(&s->t), CM_OK);
	cm_trace_begin(s->t, "store");
}

static enum cm_err
tell(void *arg, const struct cm_trust_ca *ca)
{
	struct store *s = arg;
	const size_t len = strlen(s->told);

	snprintf(s->told + len, sizeof(s->told) - len, "%s %s %s %s\n", ca->anchor ? "anchor" : "intermediate",
	    ca->self_signed ? "self" : "-", ca->was_there ? "there" : "-", ca->subject);
	snprintf(s->file, sizeof(s->file), "%s", ca->file);
	snprintf(s->sha256, sizeof(s->sha256), "%s", ca->sha256);
	return CM_OK;
}

static enum cm_err
add_bytes(struct store *s, const void *bytes, size_t len, bool intermediate)
{
	const struct cm_trust_adding a = { .bytes = { bytes, len }, .name = "ca.pem", .intermediate = intermediate,
	    .visit = tell, .arg = s };

	s->told[0] = '\0';
	cm_trace_clear_reason(s->t);
	return cm_trust_add(&s->o, &a, s->t);
}

static enum cm_err
add_file(struct store *s, const char *path, bool intermediate)
{
	char text[32768];
	FILE *f = fopen(path, "r");
	size_t len;

	assert_non_null(f);
	len = fread(text, 1, sizeof(text), f);
	fclose(f);
	return add_bytes(s, text, len, intermediate);
}

static enum cm_err
add_cert(struct store *s, X509 *x)
{
	uint8_t *der = NULL;
	const int len = i2d_X509(x, &der);
	enum cm_err err = add_bytes(s, der, (size_t)len, false);

	OPENSSL_free(der);
	X509_free(x);
	return err;
}

static const char *
list(struct store *s)
{
	s->told[0] = '\0';
	assert_int_equal(cm_trust_each(&s->o, s->t, tell, s), CM_OK);
	return s->told;
}

static enum cm_err
take(struct store *s, const char *digits)
{
	s->told[0] = '\0';
	cm_trace_clear_reason(s->t);
	return cm_trust_remove(&s->o, digits, s->t, tell, s);
}

#define ROOT	"CN=Cardmap Test Root CA,DC=cardmap,DC=test"
#define INTER	"CN=Cardmap Test Issuing CA,DC=cardmap,DC=test"

/* A root becomes an anchor, another CA an intermediate; both are there for the next chain, and both go again. */
static void
added_and_removed(void **state)
{
	const struct cm_known known = { .now = time(NULL) };
	struct cm_cert *c = load_cert("alice-p256");
	struct cm_verdict *v = NULL;
	struct cm_trust *tr = NULL;
	char upper[100] = "", file[600];
	struct store s;
	struct stat st;

	(void)state;
	open_store(&s, "whole");
	assert_string_equal(list(&s), "");
	assert_int_equal(add_file(&s, PKI("root.crt"), false), CM_OK);
	assert_string_equal(s.told, "anchor self - " ROOT "\n");
	snprintf(file, sizeof(file), "%s/%s.pem", s.anchors, s.sha256);
	assert_string_equal(s.file, file);
	assert_int_equal(stat(s.file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(add_file(&s, PKI("inter.crt"), false), CM_OK);
	assert_string_equal(s.told, "intermediate - - " INTER "\n");
	assert_int_equal(cm_trust_open(&s.o, s.t, &tr), CM_OK);
	assert_int_equal(cm_trust_check_chain(tr, c, &known, s.t, &v), CM_OK);
	cm_verdict_free(&v);
	cm_trust_close(&tr);
	/* a second time nothing is written */
	assert_int_equal(add_file(&s, PKI("root.der"), false), CM_OK);
	assert_string_equal(s.told, "anchor self there " ROOT "\n");
	assert_string_equal(list(&s), "anchor self - " ROOT "\nintermediate - - " INTER "\n");
	/* by a part of the fingerprint, as OpenSSL writes it */
	for (size_t i = 0; i < 10; i++)
		snprintf(upper + strlen(upper), sizeof(upper) - strlen(upper), "%s%c", i > 0 && i % 2 == 0 ? ":" : "",
		    s.sha256[i] >= 'a' ? s.sha256[i] - 32 : s.sha256[i]);
	assert_int_equal(take(&s, upper), CM_OK);
	assert_string_equal(s.told, "intermediate - - " INTER "\n");
	assert_string_equal(list(&s), "anchor self - " ROOT "\n");
	assert_int_equal(take(&s, upper), CM_ERR_ABSENT);
	assert_int_equal(cm_trace_reason(s.t), CM_REASON_NO_SUCH_CA);
	cm_trace_free(&s.t);
	cm_cert_free(&c);
}

static X509 *
make_ca(const char *basic, const char *ku, const char *key, const char *md, bool self)
{
	const struct recipe r = { .cn = "Made CA", .issuer = "root", .key = key, .basic = basic, .ku = ku, .md = md,
	    .from = 0, .to = DAY };
	EVP_PKEY *k = NULL;
	X509 *x = make_x509(&r, &k);

	if (self) {
		X509_set_issuer_name(x, X509_get_subject_name(x));
		X509_EXTENSION_free(X509_delete_ext(x, X509_get_ext_by_NID(x, NID_authority_key_identifier, -1)));
		assert_true(X509_sign(x, k, EVP_get_digestbyname(md != NULL ? md : "SHA256")) > 0);
	}
	EVP_PKEY_free(k);
	return x;
}

static void
which_may_be_added(void **state)
{
	static const struct {
		const char *basic, *ku, *key, *md;
		bool self;
		enum cm_reason reason;
		const char *part;
	} rows[] = {
		{ "critical,CA:TRUE", "keyCertSign", "P-256", NULL, true, CM_REASON_NONE, "" },
		{ "critical,CA:TRUE", NULL, "P-256", NULL, false, CM_REASON_NONE, "" },
		{ "critical,CA:TRUE", "keyCertSign", "rsa2048", "SHA1", true, CM_REASON_NONE, "" },	/* who trusts it needs no signature */
		{ "critical,CA:FALSE", "digitalSignature", "P-256", NULL, false, CM_REASON_NOT_A_CA, "CN=Made CA may not sign" },
		{ "critical,CA:FALSE", "digitalSignature", "P-256", NULL, true, CM_REASON_NOT_A_CA, "it is no CA's" },
		{ "critical,CA:TRUE", "digitalSignature", "P-256", NULL, false, CM_REASON_NOT_A_CA, "it is no CA's" },
		{ "critical,CA:TRUE", "keyCertSign", "rsa1024", NULL, true, CM_REASON_CA_WEAK, "too weak" },
		{ "critical,CA:TRUE", "keyCertSign", "P-256", "SHA1", false, CM_REASON_CA_WEAK, "a hash that is broken" },
	};
	struct store s;

	(void)state;
	open_store(&s, "which");
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const enum cm_err err = add_cert(&s, make_ca(rows[i].basic, rows[i].ku, rows[i].key, rows[i].md, rows[i].self));

		assert_int_equal(cm_trace_reason(s.t), rows[i].reason);
		assert_int_equal(err, cm_reason_err(rows[i].reason));
		assert_has(cm_trace_message(s.t), rows[i].part);
		assert_true((s.told[0] != '\0') == (err == CM_OK));
	}
	assert_int_equal(add_file(&s, PKI("alice-p256.crt"), false), CM_ERR_REFUSED);
	assert_int_equal(add_file(&s, PKI("self-signed.crt"), false), CM_ERR_REFUSED);
	/* forged: named as its own issuer, signed by another */
	{
		X509 *x = make_ca("critical,CA:TRUE", "keyCertSign", "P-256", NULL, true);
		EVP_PKEY *other = make_key("P-256");

		assert_true(X509_sign(x, other, EVP_sha256()) > 0);
		EVP_PKEY_free(other);
		assert_int_equal(add_cert(&s, x), CM_ERR_REFUSED);
		assert_has(cm_trace_message(s.t), "forged");
	}
	assert_int_equal(add_bytes(&s, "hello\n", 6, false), CM_ERR_CONFIG);
	cm_trace_free(&s.t);
}

static void
an_expired_one_is_added_with_a_warning(void **state)
{
	struct store s;

	(void)state;
	open_store(&s, "late");
	assert_int_equal(add_file(&s, PKI("expired-inter.crt"), false), CM_OK);
	assert_has(cm_trace_find(s.t, "warning"), "expired 20");
	cm_trace_free(&s.t);
}

static void
a_self_signed_one_as_intermediate(void **state)
{
	struct store s;

	(void)state;
	open_store(&s, "forced");
	assert_int_equal(add_file(&s, PKI("root.crt"), true), CM_OK);
	assert_string_equal(s.told, "intermediate self - " ROOT "\n");
	assert_string_equal(list(&s), "intermediate self - " ROOT "\n");
	cm_trace_free(&s.t);
}

static void
append(char *to, size_t size, const char *path)
{
	FILE *f = fopen(path, "r");
	size_t len = strlen(to);

	assert_non_null(f);
	len += fread(to + len, 1, size - 1 - len, f);
	to[len] = '\0';
	fclose(f);
}

/* A bundle: all or nothing, and never a key. */
static void
bundles(void **state)
{
	char text[32768] = "", stored[8192] = "";
	struct store s;

	(void)state;
	open_store(&s, "bundle");
	append(text, sizeof(text), PKI("inter.crt"));
	append(text, sizeof(text), PKI("alice-p256.crt"));
	assert_int_equal(add_bytes(&s, text, strlen(text), false), CM_ERR_REFUSED);
	assert_string_equal(list(&s), "");
	text[0] = '\0';
	append(text, sizeof(text), PKI("root.crt"));
	append(text, sizeof(text), PKI("root.key"));
	append(text, sizeof(text), PKI("inter.crt"));
	assert_int_equal(add_bytes(&s, text, strlen(text), false), CM_OK);
	assert_string_equal(s.told, "anchor self - " ROOT "\nintermediate - - " INTER "\n");
	assert_has(cm_trace_find(s.t, "warning"), "block 2 is a private key");
	assert_string_equal(list(&s), "anchor self - " ROOT "\nintermediate - - " INTER "\n");
	append(stored, sizeof(stored), s.file);
	assert_null(strstr(stored, "PRIVATE"));
	/* a key alone is nothing to add */
	text[0] = '\0';
	append(text, sizeof(text), PKI("root.key"));
	assert_int_equal(add_bytes(&s, text, strlen(text), false), CM_ERR_CONFIG);
	cm_trace_free(&s.t);
}

static void
what_cannot_be_removed(void **state)
{
	const char *const two[] = { PKI("root.crt"), NULL };
	X509 *both[] = { load_x509("root"), load_x509("inter") };
	char bundle[600], sha256[65];
	struct store s;

	(void)state;
	open_store(&s, "stays");
	assert_int_equal(take(&s, "0123456"), CM_ERR_USAGE);
	assert_int_equal(take(&s, "0123456g"), CM_ERR_USAGE);
	assert_int_equal(take(&s, "00000000000000000000000000000000000000000000000000000000000000000"), CM_ERR_USAGE);
	/* named by itself */
	s.o.anchors = two;
	list(&s);
	snprintf(sha256, sizeof(sha256), "%s", s.sha256);
	assert_int_equal(take(&s, sha256), CM_ERR_CONFIG);
	assert_has(cm_trace_message(s.t), "root.crt, which trust.anchors names itself");
	/* beside another */
	s.o.anchors = s.paths[0];
	assert_int_equal(mkdir(s.anchors, 0755), 0);
	snprintf(bundle, sizeof(bundle), "%s/two.pem", s.anchors);
	write_pem(bundle, both, 2);
	assert_int_equal(take(&s, sha256), CM_ERR_CONFIG);
	assert_has(cm_trace_message(s.t), "is one of 2 certificates in");
	assert_int_equal(access(bundle, F_OK), 0);
	X509_free(both[0]);
	X509_free(both[1]);
	cm_trace_free(&s.t);
}

/* The folders are named, so each must hold something at a login: but what is to go can go. */
static void
beside_an_empty_folder(void **state)
{
	struct store s;

	(void)state;
	open_store(&s, "empty");
	assert_int_equal(mkdir(s.intermediates, 0755), 0);
	assert_int_equal(add_file(&s, PKI("root.crt"), false), CM_OK);
	s.o.anchors_if_there = s.o.intermediates_if_there = false;
	assert_int_equal(take(&s, s.sha256), CM_OK);
	assert_int_not_equal(access(s.file, F_OK), 0);
	assert_int_equal(take(&s, s.sha256), CM_ERR_ABSENT);
	cm_trace_free(&s.t);
}

/* openssl rehash's links go with the file, else nothing could be read any more. */
static void
links_go_too(void **state)
{
	char link[600];
	struct store s;

	(void)state;
	open_store(&s, "links");
	assert_int_equal(add_file(&s, PKI("root.crt"), false), CM_OK);
	snprintf(link, sizeof(link), "%s/01234567.0", s.anchors);
	assert_int_equal(symlink(s.file, link), 0);
	assert_int_equal(take(&s, s.sha256), CM_OK);
	assert_string_equal(list(&s), "");
	assert_int_not_equal(access(link, F_OK), 0);
	cm_trace_free(&s.t);
}

static void
folders_that_will_not_do(void **state)
{
	const char *const file[] = { PKI("root.crt"), NULL };
	struct store s;

	(void)state;
	open_store(&s, "folders");
	s.o.anchors_if_there = false;	/* named, and not there */
	assert_int_equal(add_file(&s, PKI("root.crt"), false), CM_ERR_CONFIG);
	assert_has(cm_trace_message(s.t), "trust.anchors names no folder that is there");
	s.o.anchors = file;
	assert_int_equal(add_file(&s, PKI("root.crt"), false), CM_ERR_CONFIG);
	s.o.anchors = s.paths[0];
	assert_int_equal(mkdir(s.anchors, 0755), 0);
	assert_int_equal(chmod(s.anchors, 0777), 0);
	assert_int_equal(add_file(&s, PKI("root.crt"), false), CM_ERR_CONFIG);
	assert_has(cm_trace_message(s.t), "others may write it");
	cm_trace_free(&s.t);
}

static enum cm_err
tell_list(void *arg, const struct cm_trust_list *l)
{
	struct store *s = arg;
	const size_t len = strlen(s->told);

	snprintf(s->told + len, sizeof(s->told) - len, "%s %s %zu %d\n",
	    strrchr(l->file, '/') + 1, l->issuer != NULL ? l->issuer : "-", l->entries, l->next_update != 0);
	return CM_OK;
}

static void
revocation_lists(void **state)
{
	const struct crl_recipe r = { .issuer = "inter", .names = "bob", .reason = KEY_COMPROMISE, .to = DAY };
	const char *crls[] = { NULL, "http://127.0.0.1/x.crl", PKI("root.crt"), "/nonexistent.crl", NULL };
	char folder[512];
	uint8_t *der;
	struct store s;
	int len;

	(void)state;
	open_store(&s, "lists");
	snprintf(folder, sizeof(folder), "%s", scratch("lists-crl"));
	assert_int_equal(mkdir(folder, 0755), 0);
	der = make_crl(&r, &len);
	write_bytes(scratch("lists-crl/89abcdef.r0"), der, (size_t)len);
	write_bytes(scratch("lists-crl/README"), "hello", 5);
	OPENSSL_free(der);
	crls[0] = folder;
	s.o.crls = crls;
	assert_int_equal(cm_trust_each_list(&s.o, s.t, tell_list, &s), CM_OK);
	assert_string_equal(s.told, "89abcdef.r0 " INTER " 1 1\nx.crl - 0 0\nroot.crt - 0 0\nnonexistent.crl - 0 0\n");
	cm_trace_free(&s.t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(added_and_removed),
		cmocka_unit_test(which_may_be_added),
		cmocka_unit_test(an_expired_one_is_added_with_a_warning),
		cmocka_unit_test(a_self_signed_one_as_intermediate),
		cmocka_unit_test(bundles),
		cmocka_unit_test(what_cannot_be_removed),
		cmocka_unit_test(beside_an_empty_folder),
		cmocka_unit_test(links_go_too),
		cmocka_unit_test(folders_that_will_not_do),
		cmocka_unit_test(revocation_lists),
	};

	return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
