/* tests/trust/test_chain.c - which certificates lead to an anchor and may log in, and what the others are told. */
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/trust/fixture.h"

static const char *const root[] = { PKI("root.crt"), NULL };
static const char *const inter[] = { PKI("inter.crt"), NULL };
static const char *const root_and_inter[] = { PKI("root.crt"), PKI("inter.crt"), NULL };
static const char *const everything[] = { PKI("intermediates.d"), PKI("root.crt"), PKI("stranger-root.crt"), NULL };
static const char *const all_inters[] = { PKI("intermediates.d"), NULL };
static const char *const folder[] = { PKI("anchors.d"), NULL };
static const char *const none[] = { NULL };
static const char *const stranger[] = { PKI("stranger-root.crt"), NULL };

static struct cm_trust *
open_trust(enum cm_trust_level level, const char *const *anchors, const char *const *intermediates,
    const uint8_t (*pins)[32], size_t pin_count)
{
	const struct cm_trust_options o = {
		.level = level, .anchors = anchors, .intermediates = intermediates,
		.pins = pins, .pin_count = pin_count, .use_ocsp = true, .use_crl = true,
		.ocsp_max = 65536, .crl_max = 1 << 20,
	};
	struct cm_trust *tr = NULL;

	assert_int_equal(cm_trust_open(&o, NULL, &tr), CM_OK);
	return tr;
}

/* Check one certificate; the message is compared by a part of it. */
static void
check(struct cm_trust *tr, const struct cm_cert *c, time_t now, time_t floor, enum cm_reason reason,
    const char *part)
{
	const struct cm_known known = { .now = now, .floor = floor };
	struct cm_verdict *v = NULL;
	struct cm_trace *t = NULL;
	enum cm_err err;

	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "chain");
	err = cm_trust_check_chain(tr, c, &known, t, &v);
	if (cm_trace_reason(t) != reason)
		print_error("%s: %s\n", cm_cert_subject_text(c), cm_trace_message(t));
	assert_int_equal(cm_trace_reason(t), reason);
	assert_int_equal(err, cm_reason_err(reason));
	assert_has(cm_trace_message(t), part);
	assert_true((v != NULL) == (err == CM_OK));
	assert_false(cm_verdict_passes(v, c));	/* its revocation is open */
	cm_verdict_free(&v);
	cm_trace_free(&t);
}

static void
chain_of_the_pki(void **state)
{
	static const struct row {
		const char *cert;
		const char *const *anchors, *const *intermediates;
		enum cm_reason reason;
		const char *part;
	} rows[] = {
		{ "alice-rsa2048", root, inter, CM_REASON_NONE, "" },
		{ "alice-p256", root, inter, CM_REASON_NONE, "" },
		{ "alice-p384", root, inter, CM_REASON_NONE, "" },
		{ "alice-rsa4096", folder, all_inters, CM_REASON_NONE, "" },
		{ "alice-p256", inter, none, CM_REASON_NONE, "" },
		{ "alice-p256", inter, NULL, CM_REASON_NONE, "" },
		{ "revoked", root, inter, CM_REASON_NONE, "" },	/* its chain is whole */
		{ "expired", root, inter, CM_REASON_CERT_EXPIRED, "expired 2020-01-31" },
		{ "notyet", root, inter, CM_REASON_CERT_NOT_YET_VALID, "is not valid before 2045-01-01" },
		{ "under-expired-inter", root, all_inters, CM_REASON_CERT_EXPIRED,
		    "CA certificate of CN=Cardmap Expired Issuing CA,DC=cardmap,DC=test, above" },
		{ "wrong-eku", root, inter, CM_REASON_CERT_USAGE, "is not for logging in" },
		{ "server", root, inter, CM_REASON_CERT_USAGE, "is not for logging in" },
		{ "kdc", root, inter, CM_REASON_CERT_USAGE, "is not for logging in" },
		{ "ocsp", root, inter, CM_REASON_CERT_USAGE, "is not for logging in" },
		{ "no-ku", root, inter, CM_REASON_CERT_USAGE, "keyUsage lacks digitalSignature" },
		{ "alice-9d", root, inter, CM_REASON_CERT_USAGE, "keyUsage lacks digitalSignature" },
		{ "card-auth", root, inter, CM_REASON_CERT_USAGE, "slot 9E" },
		{ "self-signed", root, inter, CM_REASON_CERT_UNTRUSTED, "signed by itself" },
		{ "stranger", root, inter, CM_REASON_CERT_UNTRUSTED,
		    "was issued by CN=Stranger Issuing CA,DC=stranger,DC=test (key identifier " },
		{ "alice-p256", root, none, CM_REASON_CERT_UNTRUSTED,
		    "which trust.anchors and trust.intermediates do not hold" },
		{ "alice-p256", stranger, inter, CM_REASON_CERT_UNTRUSTED,
		    "was issued by CN=Cardmap Test Root" },	/* which the system's store holds: main() */
		/* what both lists hold and is no root stands below one */
		{ "alice-p256", root_and_inter, root_and_inter, CM_REASON_NONE, "" },
		{ "alice-rsa4096", everything, everything, CM_REASON_NONE, "" },
		{ "alice-p256", inter, inter, CM_REASON_NONE, "" },	/* nothing here is above it */
		{ "alice-p256", none, inter, CM_REASON_CERT_UNTRUSTED, "trust.anchors names no CA at all" },
		{ "alice-p256", NULL, NULL, CM_REASON_CERT_UNTRUSTED, "trust.anchors names no CA at all" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_trust *tr = open_trust(CM_TRUST_SOFT, rows[i].anchors, rows[i].intermediates, NULL, 0);
		struct cm_cert *c = load_cert(rows[i].cert);

		check(tr, c, time(NULL), 0, rows[i].reason, rows[i].part);
		cm_cert_free(&c);
		cm_trust_close(&tr);
	}
}

/* attack: a CA of the same name, whose certificate is not ours */
static void
attack_look_alike_ca(void **state)
{
	struct cm_trust *tr = open_trust(CM_TRUST_SOFT, root, inter, NULL, 0);
	struct cm_cert *c = load_cert("look-alike");
	/* The same with our CA's key identifier copied into it: only the signature tells. */
	const struct recipe r = { .cn = "Alice", .issuer = "inter", .signer = "look-alike-ca", .key = "P-256",
	    .ku = "digitalSignature", .eku = "clientAuth", .to = DAY };
	X509 *x = make_x509(&r, NULL);
	struct cm_cert *copied = cert_of(x);

	(void)state;
	check(tr, c, time(NULL), 0, CM_REASON_CERT_UNTRUSTED, "the CA known by that name has another key");
	check(tr, copied, time(NULL), 0, CM_REASON_CERT_UNTRUSTED, "was not signed by the key of");
	cm_cert_free(&c);
	cm_cert_free(&copied);
	X509_free(x);
	cm_trust_close(&tr);
}

/* Leaves that the PKI does not hold. */
static void
made_leaves(void **state)
{
	static const struct row {
		struct recipe r;
		enum cm_reason reason;
		const char *part;
	} rows[] = {
		{ { .key = "P-256", .eku = "clientAuth" }, CM_REASON_NONE, "" },
		{ { .key = "P-256", .eku = "1.3.6.1.4.1.311.20.2.2" }, CM_REASON_NONE, "" },
		{ { .key = "P-256", .eku = "1.3.6.1.5.2.3.4" }, CM_REASON_NONE, "" },
		{ { .key = "P-256" }, CM_REASON_CERT_USAGE, "not for logging in" },
		{ { .key = "P-256", .eku = "2.5.29.37.0" }, CM_REASON_CERT_USAGE, "not for logging in" },
		{ { .key = "P-256", .eku = "clientAuth,2.16.840.1.101.3.6.8" }, CM_REASON_CERT_USAGE, "slot 9E" },
		{ { .key = "P-256", .eku = "clientAuth", .basic = "critical,CA:TRUE" }, CM_REASON_CERT_USAGE, "of a CA" },
		{ { .key = "rsa1024", .eku = "clientAuth" }, CM_REASON_CERT_WEAK, "" },
		{ { .key = "P-224", .eku = "clientAuth" }, CM_REASON_CERT_WEAK, "secp224r1" },
		{ { .key = "P-521", .eku = "clientAuth" }, CM_REASON_CERT_WEAK, "secp521r1" },
		{ { .key = "secp256k1", .eku = "clientAuth" }, CM_REASON_CERT_WEAK, "secp256k1" },
		{ { .key = "P-256", .eku = "clientAuth", .md = "SHA1" }, CM_REASON_CERT_WEAK, "" },
		{ { .key = "P-256", .eku = "clientAuth", .more = "1.2.3.4=critical,ASN1:NULL" },
		    CM_REASON_CERT_UNTRUSTED, "critical extension" },
	};
	struct cm_trust *tr = open_trust(CM_TRUST_SOFT, root, inter, NULL, 0);

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct recipe r = rows[i].r;
		struct cm_cert *c;
		X509 *x;

		r.cn = "Alice";
		r.issuer = "inter";
		r.ku = "critical,digitalSignature";
		r.to = DAY;
		x = make_x509(&r, NULL);
		c = cert_of(x);
		check(tr, c, time(NULL), 0, rows[i].reason, rows[i].part);
		cm_cert_free(&c);
		X509_free(x);
	}
	cm_trust_close(&tr);
}

/* Sign a leaf by a CA that is not in the PKI's files. */
static struct cm_cert *
leaf_under(X509 *ca, EVP_PKEY *ca_key)
{
	const struct recipe r = { .cn = "Alice", .issuer = "inter", .key = "P-256", .ku = "digitalSignature",
	    .eku = "clientAuth", .to = DAY };
	X509 *x = make_x509(&r, NULL);
	struct cm_cert *c;

	X509_set_issuer_name(x, X509_get_subject_name(ca));
	X509_EXTENSION_free(X509_delete_ext(x, X509_get_ext_by_NID(x, NID_authority_key_identifier, -1)));
	assert_true(X509_sign(x, ca_key, EVP_sha256()) > 0);
	c = cert_of(x);
	X509_free(x);
	return c;
}

/* A CA between that may not do what it did. */
static void
made_intermediates(void **state)
{
	static const struct row {
		const char *basic, *ku, *eku, *key;
		enum cm_reason reason;
		const char *part;
	} rows[] = {
		{ "critical,CA:TRUE", "critical,keyCertSign", NULL, "P-256", CM_REASON_NONE, "" },
		{ "critical,CA:TRUE", "critical,keyCertSign", "clientAuth", "P-256", CM_REASON_NONE, "" },
		{ "critical,CA:TRUE", "critical,keyCertSign", "2.5.29.37.0", "P-256", CM_REASON_NONE, "" },
		{ "critical,CA:TRUE", "critical,keyCertSign", "emailProtection", "P-256",
		    CM_REASON_CERT_USAGE, "not for logging in" },
		{ "critical,CA:FALSE", "critical,keyCertSign", NULL, "P-256", CM_REASON_CERT_UNTRUSTED, "CA" },
		{ "critical,CA:TRUE", "critical,cRLSign", NULL, "P-256", CM_REASON_CERT_UNTRUSTED, "" },
		{ "critical,CA:TRUE", "critical,keyCertSign", NULL, "rsa1024", CM_REASON_CERT_WEAK, "" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const struct recipe r = { .cn = "Made CA", .issuer = "root", .key = rows[i].key, .basic = rows[i].basic,
		    .ku = rows[i].ku, .eku = rows[i].eku, .to = DAY };
		const char *const path[] = { scratch("made-ca.pem"), NULL };
		EVP_PKEY *key;
		X509 *ca = make_x509(&r, &key);
		struct cm_cert *c = leaf_under(ca, key);
		struct cm_trust *tr;

		write_pem(path[0], &ca, 1);
		tr = open_trust(CM_TRUST_SOFT, root, path, NULL, 0);
		check(tr, c, time(NULL), 0, rows[i].reason, rows[i].part);
		cm_trust_close(&tr);
		cm_cert_free(&c);
		EVP_PKEY_free(key);
		X509_free(ca);
	}
}

static void
the_card_itself_as_anchor(void **state)
{
	const char *const anchors[] = { PKI("self-signed.crt"), PKI("alice-p256.crt"), NULL };
	struct cm_trust *tr = open_trust(CM_TRUST_SOFT, anchors, NULL, NULL, 0);
	struct cm_cert *self = load_cert("self-signed"), *alice = load_cert("alice-p256");

	(void)state;
	check(tr, self, time(NULL), 0, CM_REASON_CERT_UNTRUSTED, "only CAs belong there");
	check(tr, alice, time(NULL), 0, CM_REASON_CERT_UNTRUSTED, "only CAs belong there");
	cm_cert_free(&self);
	cm_cert_free(&alice);
	cm_trust_close(&tr);
}

static void
pins(void **state)
{
	X509 *of_inter = load_x509("inter"), *of_root = load_x509("root");
	uint8_t both[2][32];
	static const struct row {
		size_t first, count;
		enum cm_reason reason;
	} rows[] = {
		{ 0, 1, CM_REASON_CERT_NOT_PINNED },	/* the root did not issue the card */
		{ 1, 1, CM_REASON_NONE },
		{ 0, 2, CM_REASON_NONE },
	};
	struct cm_cert *c = load_cert("alice-p256");

	(void)state;
	X509_digest(of_root, EVP_sha256(), both[0], NULL);
	X509_digest(of_inter, EVP_sha256(), both[1], NULL);
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_trust *tr = open_trust(CM_TRUST_SOFT, root, inter,
		    (const uint8_t (*)[32])&both[rows[i].first], rows[i].count);

		check(tr, c, time(NULL), 0, rows[i].reason,
		    rows[i].reason != CM_REASON_NONE ? "CN=Cardmap Test Issuing CA" : "");
		cm_trust_close(&tr);
	}
	cm_cert_free(&c);
	X509_free(of_inter);
	X509_free(of_root);
}

/* attack: clock rollback.  What was signed since proves that it is later than the clock says. */
static void
attack_clock_rollback_revives_an_expired_card(void **state)
{
	struct cm_trust *tr = open_trust(CM_TRUST_SOFT, root, inter, NULL, 0);
	struct cm_cert *c = load_cert("alice-p256");
	const time_t end = cm_cert_not_after(c);

	(void)state;
	check(tr, c, end - DAY, 0, CM_REASON_NONE, "");
	check(tr, c, end + DAY, 0, CM_REASON_CERT_EXPIRED, "expired");
	check(tr, c, end - DAY, end + DAY, CM_REASON_CERT_EXPIRED, "expired");
	check(tr, c, cm_cert_not_before(c) - DAY, 0, CM_REASON_CERT_NOT_YET_VALID, "");
	cm_cert_free(&c);
	cm_trust_close(&tr);
}

/* Level 0 looks at nothing, and its verdict is worth that little. */
static void
level_off(void **state)
{
	const char *const missing[] = { "/nonexistent.pem", NULL };
	struct cm_trust *tr = open_trust(CM_TRUST_OFF, missing, NULL, NULL, 0);
	struct cm_cert *c = load_cert("self-signed"), *other = load_cert("alice-p256");
	const struct cm_known known = { .now = time(NULL) };
	struct cm_verdict *v = NULL;
	size_t count = 1;

	(void)state;
	assert_int_equal(cm_trust_check_chain(tr, c, &known, NULL, &v), CM_OK);
	assert_false(cm_verdict_passes(v, c));
	assert_int_equal(cm_trust_check_revocation(tr, v, &known, cm_deadline_in(1000), NULL), CM_OK);
	assert_true(cm_verdict_passes(v, c));
	assert_false(cm_verdict_passes(v, other));
	assert_int_equal(cm_verdict_status(v), CM_STATUS_UNKNOWN);
	cm_verdict_chain(v, &count);
	assert_int_equal(count, 0);
	cm_verdict_free(&v);
	cm_cert_free(&c);
	cm_cert_free(&other);
	cm_trust_close(&tr);
}

/* With the root beside it a CA that both lists name ends no chain: it may be revoked itself. */
static void
what_both_lists_name_is_below_the_root(void **state)
{
	struct cm_trust *tr = open_trust(CM_TRUST_CHAIN, root_and_inter, inter, NULL, 0);
	struct cm_cert *c = load_cert("alice-rsa2048");
	const struct cm_known known = { .now = time(NULL) };
	struct cm_verdict *v = NULL;
	size_t count = 0;

	(void)state;
	assert_int_equal(cm_trust_anchor_count(tr), 1);
	assert_int_equal(cm_trust_check_chain(tr, c, &known, NULL, &v), CM_OK);
	(void)cm_verdict_chain(v, &count);
	assert_int_equal(count, 3);
	cm_verdict_free(&v);
	cm_cert_free(&c);
	cm_trust_close(&tr);
}

static void
the_verdict_keeps_the_chain(void **state)
{
	struct cm_trust *tr = open_trust(CM_TRUST_CHAIN, root, inter, NULL, 0);
	struct cm_cert *c = load_cert("alice-rsa2048"), *other = load_cert("bob");
	const struct cm_known known = { .now = time(NULL) };
	const struct cm_blob *chain;
	struct cm_verdict *v = NULL;
	size_t count = 0;

	(void)state;
	assert_int_equal(cm_trust_check_chain(tr, c, &known, NULL, &v), CM_OK);
	assert_int_equal(cm_trust_check_revocation(tr, v, &known, cm_deadline_in(1000), NULL), CM_OK);
	cm_trust_close(&tr);	/* the verdict outlives it */
	chain = cm_verdict_chain(v, &count);
	assert_int_equal(count, 3);
	assert_true(cm_blob_equal(chain[0], cm_cert_der(c)));
	assert_true(cm_verdict_passes(v, c));
	assert_false(cm_verdict_passes(v, other));
	assert_false(cm_verdict_passes(NULL, c));
	cm_verdict_free(&v);
	cm_cert_free(&c);
	cm_cert_free(&other);
}

static const char *
write_file(const char *name, const char *text, mode_t mode)
{
	const char *path = scratch(name);

	unlink(path);
	write_bytes(path, text, strlen(text));
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

static void
refuse_open(const char *anchors, const char *part)
{
	const char *const paths[] = { anchors, NULL };
	const struct cm_trust_options o = { .level = CM_TRUST_SOFT, .anchors = paths };
	struct cm_trust *tr = NULL;
	struct cm_trace *t = NULL;

	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "open");
	assert_int_equal(cm_trust_open(&o, t, &tr), CM_ERR_CONFIG);
	assert_null(tr);
	assert_int_equal(cm_trace_reason(t), CM_REASON_CONFIG);
	assert_has(cm_trace_message(t), anchors);
	assert_has(cm_trace_message(t), part);
	cm_trace_free(&t);
}

static void
anchors_that_cannot_be_read(void **state)
{
	static const char body[] = "MAMCAQA=\n";	/* SEQUENCE { INTEGER 0 } */
	char text[512];

	(void)state;
	refuse_open("/nonexistent.pem", "there is no such file");
	refuse_open(write_file("empty.pem", "", 0644), "holds no certificate");
	refuse_open(write_file("text.pem", "hello\n", 0644), "holds no certificate");
	refuse_open(write_file("cut.der", "\x30\x82\x04\x01\x02", 0644), "block 1 is no certificate");
	refuse_open(PKI("server.key"), "block 1 is a PRIVATE KEY");
	refuse_open(PKI("alice-p256.pem"), "block 2 is a PRIVATE KEY");
	snprintf(text, sizeof(text), "-----BEGIN CERTIFICATE-----\n%s-----END CERTIFICATE-----\n", body);
	refuse_open(write_file("notcert.pem", text, 0644), "block 1 is no certificate");
	refuse_open(write_file("cut.pem", "-----BEGIN CERTIFICATE-----\nMAMC", 0644), "block 1 is damaged");
	refuse_open(write_file("indented.pem", "  -----BEGIN CERTIFICATE-----\nMAMCAQA=\n"
	    "-----END CERTIFICATE-----\n", 0644), "only 0 of 1 blocks can be read");
	refuse_open(write_file("open.pem", text, 0666), "others may write it");
	assert_int_equal(mkdir(scratch("folder"), 0755), 0);
	refuse_open(scratch("folder"), "no file in this folder ends in .pem");
	assert_int_equal(chmod(scratch("folder"), 0777), 0);
	refuse_open(scratch("folder"), "others may write it");
}

static void
a_certificate_with_bytes_behind_it(void **state)
{
	X509 *ca = load_x509("root");
	const char *path = scratch("long.pem");
	uint8_t der[4096] = { 0 }, *p = der;
	const int len = i2d_X509(ca, NULL);
	FILE *f = fopen(path, "w");

	(void)state;
	assert_true(len > 0 && (size_t)len < sizeof(der));
	i2d_X509(ca, &p);
	assert_non_null(f);
	assert_true(PEM_write(f, PEM_STRING_X509, "", der, len + 1) > 0);
	fclose(f);
	refuse_open(path, "block 1 is no certificate");
	X509_free(ca);
}

/* A damaged file in a folder is named; others beside certificates are not looked at. */
static void
a_folder_of_anchors(void **state)
{
	const char *const paths[] = { scratch("mixed"), NULL };
	struct cm_cert *c = load_cert("alice-p256");
	struct cm_trust *tr;
	X509 *ca = load_x509("inter");
	char folder_path[512];

	(void)state;
	snprintf(folder_path, sizeof(folder_path), "%s", paths[0]);
	assert_int_equal(mkdir(folder_path, 0755), 0);
	write_file("mixed/README", "not a certificate\n", 0644);
	write_file("mixed/.hidden.pem", "nor this\n", 0644);
	write_pem(scratch("mixed/ca.crt"), &ca, 1);
	tr = open_trust(CM_TRUST_SOFT, (const char *const[]){ folder_path, NULL }, NULL, NULL, 0);
	check(tr, c, time(NULL), 0, CM_REASON_NONE, "");
	cm_trust_close(&tr);
	write_file("mixed/z.pem", "-----BEGIN CERTIFICATE-----\nMAMC", 0644);
	{
		const char *const again[] = { folder_path, NULL };
		const struct cm_trust_options o = { .level = CM_TRUST_SOFT, .anchors = again };
		struct cm_trace *t = NULL;

		assert_int_equal(cm_trace_new(&t), CM_OK);
		assert_int_equal(cm_trust_open(&o, t, &tr), CM_ERR_CONFIG);
		assert_has(cm_trace_message(t), "mixed/z.pem: block 1 is damaged");
		cm_trace_free(&t);
	}
	cm_cert_free(&c);
	X509_free(ca);
}

/* Folders as pam_pkcs11's ca_dir: DER beside PEM, and names by hash; a bundle of several CAs as SSSD's pam_cert_db_path. */
static void
other_forms_of_anchors(void **state)
{
	struct cm_cert *c = load_cert("alice-p256"), *under_root = load_cert("alice-p384");
	X509 *both[] = { load_x509("inter"), load_x509("root") };
	char hashed[512], der_path[512], link_name[64], bundle[512];
	struct cm_trust *tr;
	uint8_t *der = NULL;
	int len;

	(void)state;
	snprintf(hashed, sizeof(hashed), "%s", scratch("hashed"));
	assert_int_equal(mkdir(hashed, 0755), 0);
	len = i2d_X509(both[0], &der);
	snprintf(link_name, sizeof(link_name), "hashed/%08lx.0", X509_subject_name_hash(both[0]));
	write_bytes(scratch(link_name), der, (size_t)len);
	tr = open_trust(CM_TRUST_SOFT, (const char *const[]){ hashed, NULL }, NULL, NULL, 0);
	check(tr, c, time(NULL), 0, CM_REASON_NONE, "");
	assert_int_equal(cm_trust_anchor_count(tr), 1);
	cm_trust_close(&tr);
	/* the file that a link by hash leads to stands beside it: once is enough */
	write_pem(scratch("hashed/inter.pem"), both, 1);
	write_bytes(scratch("hashed/root.der"), der, (size_t)len);
	tr = open_trust(CM_TRUST_SOFT, (const char *const[]){ hashed, NULL }, NULL, NULL, 0);
	assert_int_equal(cm_trust_anchor_count(tr), 1);
	cm_trust_close(&tr);
	snprintf(der_path, sizeof(der_path), "%s", scratch("hashed/root.der"));
	tr = open_trust(CM_TRUST_SOFT, (const char *const[]){ der_path, NULL }, NULL, NULL, 0);
	check(tr, c, time(NULL), 0, CM_REASON_NONE, "");
	cm_trust_close(&tr);
	snprintf(bundle, sizeof(bundle), "%s", scratch("bundle.pem"));
	write_pem(bundle, both, 2);
	tr = open_trust(CM_TRUST_SOFT, (const char *const[]){ bundle, NULL }, NULL, NULL, 0);
	assert_int_equal(cm_trust_anchor_count(tr), 2);
	check(tr, under_root, time(NULL), 0, CM_REASON_NONE, "");
	cm_trust_close(&tr);
	OPENSSL_free(der);
	X509_free(both[0]);
	X509_free(both[1]);
	cm_cert_free(&c);
	cm_cert_free(&under_root);
}

/* A default that is not there is no mistake; what somebody has named is. */
static void
anchors_where_they_exist(void **state)
{
	char empty[512], nowhere[512];
	struct cm_trace *t = NULL;

	(void)state;
	snprintf(empty, sizeof(empty), "%s", scratch("empty"));
	snprintf(nowhere, sizeof(nowhere), "%s", scratch("nowhere"));
	assert_int_equal(mkdir(empty, 0755), 0);
	assert_int_equal(cm_trace_new(&t), CM_OK);
	for (int there = 0; there < 2; there++)
		for (int optional = 0; optional < 2; optional++) {
			const char *const paths[] = { there ? empty : nowhere, NULL };
			const struct cm_trust_options o = { .level = CM_TRUST_SOFT, .anchors = paths,
			    .intermediates = paths, .anchors_if_there = optional, .intermediates_if_there = optional };
			struct cm_trust *tr = NULL;

			assert_int_equal(cm_trust_open(&o, t, &tr), optional ? CM_OK : CM_ERR_CONFIG);
			if (!optional)
				assert_has(cm_trace_message(t), paths[0]);
			cm_trust_close(&tr);
		}
	cm_trace_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chain_of_the_pki),
		cmocka_unit_test(attack_look_alike_ca),
		cmocka_unit_test(made_leaves),
		cmocka_unit_test(made_intermediates),
		cmocka_unit_test(the_card_itself_as_anchor),
		cmocka_unit_test(pins),
		cmocka_unit_test(attack_clock_rollback_revives_an_expired_card),
		cmocka_unit_test(level_off),
		cmocka_unit_test(what_both_lists_name_is_below_the_root),
		cmocka_unit_test(the_verdict_keeps_the_chain),
		cmocka_unit_test(anchors_that_cannot_be_read),
		cmocka_unit_test(a_certificate_with_bytes_behind_it),
		cmocka_unit_test(a_folder_of_anchors),
		cmocka_unit_test(other_forms_of_anchors),
		cmocka_unit_test(anchors_where_they_exist),
	};

	/* The system's store holds our root: nothing of it may count (X509_get_default_cert_file(3)). */
	setenv("SSL_CERT_FILE", PKI("root.crt"), 1);
	setenv("SSL_CERT_DIR", PKI("anchors.d"), 1);
	return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
