/* tests/trust/test_crl.c - which revocation lists are believed.  At level hard only a good answer lets pass. */
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/trust/web.h"

#define MIN	60

/* The issuing CA is the anchor, so that the card is all there is to ask about. */
static const char *const anchor[] = { PKI("inter.crt"), NULL };

static struct outcome
ask_about(struct cm_cert *c, const char *const *anchors, const char *list, size_t max)
{
	const char *const crls[] = { list, NULL };
	const struct cm_trust_options o = { .level = CM_TRUST_HARD, .anchors = anchors, .crls = crls,
	    .use_crl = true, .ocsp_max = 65536, .crl_max = max };
	const struct cm_known known = { .now = time(NULL) };

	return judge(c, &o, &known, 3000);
}

static struct outcome
ask(const char *cert, const char *list, size_t max)
{
	struct cm_cert *c = load_cert(cert);
	const struct outcome r = ask_about(c, anchor, list, max);

	cm_cert_free(&c);
	return r;
}

static void
expect(const char *name, const struct outcome *r, enum cm_reason reason, const char *part)
{
	if (r->reason != reason || strstr(r->crl, part) == NULL)
		print_error("%s: %s\n", name, r->crl);
	assert_int_equal(r->reason, reason);
	assert_int_equal(r->err, cm_reason_err(reason));
	assert_has(r->crl, part);
	assert_int_equal(r->count, r->status == CM_STATUS_UNKNOWN ? 0 : 1);
	assert_true((r->status == CM_STATUS_GOOD) == (reason == CM_REASON_NONE));
	assert_true((r->status == CM_STATUS_REVOKED) == (reason == CM_REASON_REVOKED));
}

/* A list in a file, about a certificate that names none itself. */
static void
lists(void **state)
{
	static const struct row {
		const char *name;
		struct crl_recipe r;
		enum cm_reason reason;
		const char *part;
	} rows[] = {
		{ "not in it", { .reason = NO_ENTRY, .to = DAY }, CM_REASON_NONE, "number 17: good, of " },
		{ "another in it", { .names = "bob", .reason = KEY_COMPROMISE, .to = DAY }, CM_REASON_NONE, ": good" },
		{ "in it", { .reason = KEY_COMPROMISE, .to = DAY }, CM_REASON_REVOKED, ": revoked on " },
		{ "in it without reason", { .reason = NO_REASON, .to = DAY }, CM_REASON_REVOKED, ": revoked on " },
		{ "on hold", { .reason = ON_HOLD, .to = DAY }, CM_REASON_REVOKED, ": revoked on " },
		{ "removeFromCRL", { .reason = REMOVED, .to = DAY }, CM_REASON_NONE, ": good" },
		{ "expired", { .reason = NO_ENTRY, .from = -2 * DAY, .to = -DAY }, CM_REASON_REVOCATION_UNKNOWN,
		    "expired " },
		{ "attack: revoked serial forgiven when the CRL expires", { .reason = KEY_COMPROMISE,
		    .from = -2 * DAY, .to = -DAY }, CM_REASON_REVOKED, ": revoked on " },
		{ "attack: clock rollback hides a revocation", { .reason = KEY_COMPROMISE, .from = DAY,
		    .to = 2 * DAY }, CM_REASON_REVOKED, ": revoked on " },
		{ "attack: a hold forgiven when the CRL expires", { .reason = ON_HOLD, .from = -2 * DAY, .to = -DAY },
		    CM_REASON_REVOKED, ": revoked on " },
		{ "clocks differ a little", { .reason = NO_ENTRY, .from = 4 * MIN, .to = DAY }, CM_REASON_NONE, ": good" },
		{ "future", { .reason = NO_ENTRY, .from = DAY, .to = 2 * DAY }, CM_REASON_REVOCATION_UNKNOWN,
		    "ahead of this computer's clock" },
		{ "no nextUpdate, fresh", { .reason = NO_ENTRY, .from = -MIN }, CM_REASON_NONE, ": good" },
		{ "no nextUpdate, old", { .reason = NO_ENTRY, .from = -DAY }, CM_REASON_REVOCATION_UNKNOWN,
		    "names no nextUpdate" },

		{ "attack: signed by a look-alike CA", { .signer = "look-alike-ca", .reason = NO_ENTRY, .to = DAY },
		    CM_REASON_REVOCATION_UNKNOWN, "its signature is not that of the CA" },
		{ "attack: revoked, says a look-alike CA", { .signer = "look-alike-ca", .reason = KEY_COMPROMISE,
		    .to = DAY }, CM_REASON_REVOCATION_UNKNOWN, "its signature is not that of the CA" },
		{ "of another CA", { .issuer = "root", .reason = NO_ENTRY, .to = DAY }, CM_REASON_REVOCATION_UNKNOWN,
		    "it is the list of another CA" },
		{ "SHA-1", { .reason = NO_ENTRY, .to = DAY, .md = "SHA1" }, CM_REASON_REVOCATION_UNKNOWN,
		    "a hash that is broken" },

		{ "delta", { .reason = NO_ENTRY, .to = DAY, .extension = "2.5.29.27=critical,DER:020101" },
		    CM_REASON_REVOCATION_UNKNOWN, "a delta CRL" },
		{ "critical extension", { .reason = NO_ENTRY, .to = DAY, .extension = "1.2.3.4=critical,ASN1:NULL" },
		    CM_REASON_REVOCATION_UNKNOWN, "it has a critical extension that is not understood" },
		{ "other extension", { .reason = NO_ENTRY, .to = DAY, .extension = "1.2.3.4=ASN1:NULL" },
		    CM_REASON_NONE, ": good" },
		/* RFC 5280 5.2.2, 5.2.7; of AD CS: when the next one is published */
		{ "issuerAltName", { .reason = NO_ENTRY, .to = DAY, .extension = "issuerAltName=URI:http://ca.example/" },
		    CM_REASON_NONE, ": good" },
		{ "authorityInfoAccess", { .reason = NO_ENTRY, .to = DAY,
		    .extension = "authorityInfoAccess=caIssuers;URI:http://ca.example/ca.cer" }, CM_REASON_NONE, ": good" },
		{ "Next CRL Publish", { .reason = NO_ENTRY, .to = DAY,
		    .extension = "1.3.6.1.4.1.311.21.4=ASN1:UTC:301231235959Z" }, CM_REASON_NONE, ": good" },
		{ "critical in an entry", { .names = "bob", .reason = NO_REASON, .to = DAY, .entry_critical = true },
		    CM_REASON_REVOCATION_UNKNOWN, "an entry has a critical extension" },
		{ "users only", { .reason = NO_ENTRY, .to = DAY,
		    .extension = "issuingDistributionPoint=critical,@user" }, CM_REASON_NONE, ": good" },
		{ "CAs only", { .reason = NO_ENTRY, .to = DAY, .extension = "issuingDistributionPoint=critical,@ca" },
		    CM_REASON_REVOCATION_UNKNOWN, "it is about CAs only" },
		{ "indirect", { .reason = NO_ENTRY, .to = DAY,
		    .extension = "issuingDistributionPoint=critical,@indirect" }, CM_REASON_NONE, ": good" },
		{ "some reasons", { .reason = NO_ENTRY, .to = DAY,
		    .extension = "issuingDistributionPoint=critical,@reasons" }, CM_REASON_REVOCATION_UNKNOWN, "some reasons" },
		{ "attribute certificates", { .reason = NO_ENTRY, .to = DAY,
		    .extension = "issuingDistributionPoint=critical,@attribute" }, CM_REASON_REVOCATION_UNKNOWN, "attribute" },
		{ "a point, and the certificate names none", { .reason = NO_ENTRY, .to = DAY,
		    .extension = "issuingDistributionPoint=critical,@point" }, CM_REASON_REVOCATION_UNKNOWN,
		    "another distribution point" },
		{ "malformed point", { .reason = NO_ENTRY, .to = DAY,
		    .extension = "2.5.29.28=critical,DER:0500" }, CM_REASON_REVOCATION_UNKNOWN, "malformed" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const char *path = scratch("list.crl");
		struct crl_recipe recipe = rows[i].r;
		struct outcome r;
		uint8_t *der;
		int len;

		recipe.issuer = recipe.issuer != NULL ? recipe.issuer : "inter";
		recipe.names = recipe.names != NULL ? recipe.names : "no-aia-cdp";
		der = make_crl(&recipe, &len);
		write_bytes(path, der, (size_t)len);
		OPENSSL_free(der);
		r = ask("no-aia-cdp", path, 1 << 20);
		expect(rows[i].name, &r, rows[i].reason, rows[i].part);
		assert_int_equal(r.signed_time, 0);	/* a file is not heard online */
	}
}

/* A list with a scope is the certificate's when one of its own points is named. */
static void
lists_with_a_point(void **state)
{
	static const struct row {
		const char *extension;
		enum cm_reason reason;
		const char *part;
	} rows[] = {
		{ "issuingDistributionPoint=critical,@point", CM_REASON_NONE, ": good" },
		{ "issuingDistributionPoint=critical,@other", CM_REASON_REVOCATION_UNKNOWN, "another distribution point" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const struct crl_recipe recipe = { .issuer = "inter", .reason = NO_ENTRY, .to = DAY,
		    .extension = rows[i].extension };
		const char *path = scratch("point.crl");
		struct outcome r;
		uint8_t *der;
		int len;

		der = make_crl(&recipe, &len);
		write_bytes(path, der, (size_t)len);
		OPENSSL_free(der);
		r = ask("alice-p256", path, 1 << 20);
		expect(rows[i].extension, &r, rows[i].reason, rows[i].part);
	}
}

/* RFC 5280 6.3.3 (f): a CA whose keyUsage lacks cRLSign signs no lists. */
static void
a_ca_that_may_not_sign_lists(void **state)
{
	static const struct row {
		const char *ku;
		enum cm_reason reason;
		const char *part;
	} rows[] = {
		{ "keyCertSign,cRLSign", CM_REASON_NONE, ": good" },
		{ NULL, CM_REASON_NONE, ": good" },
		{ "keyCertSign", CM_REASON_REVOCATION_UNKNOWN, "no cRLSign in its keyUsage) [not_a_list_signer]" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const struct recipe of_ca = { .cn = "Made CA", .issuer = "root", .key = "P-256",
		    .basic = "critical,CA:TRUE", .ku = rows[i].ku, .to = DAY };
		const struct recipe of_leaf = { .cn = "Alice", .issuer = "inter", .key = "P-256",
		    .ku = "digitalSignature", .eku = "clientAuth", .to = DAY };
		const char *const anchors[] = { scratch("ca.pem"), NULL };
		struct crl_recipe recipe = { .reason = NO_ENTRY, .to = DAY };
		X509 *leaf = make_x509(&of_leaf, NULL);
		struct cm_cert *c;
		struct outcome r;
		uint8_t *der;
		int len;

		recipe.ca = make_x509(&of_ca, &recipe.ca_key);
		X509_set_issuer_name(leaf, X509_get_subject_name(recipe.ca));
		X509_EXTENSION_free(X509_delete_ext(leaf, X509_get_ext_by_NID(leaf, NID_authority_key_identifier, -1)));
		assert_true(X509_sign(leaf, recipe.ca_key, EVP_sha256()) > 0);
		c = cert_of(leaf);
		write_pem(anchors[0], &recipe.ca, 1);
		der = make_crl(&recipe, &len);
		write_bytes(scratch("made.crl"), der, (size_t)len);
		r = ask_about(c, anchors, scratch("made.crl"), 1 << 20);
		expect(rows[i].part, &r, rows[i].reason, rows[i].part);
		OPENSSL_free(der);
		cm_cert_free(&c);
		X509_free(leaf);
		X509_free(recipe.ca);
		EVP_PKEY_free(recipe.ca_key);
	}
}

/* RFC 5280 4.1.2.2 wants no negative serial numbers, and cards have them: absence from a list means nothing then. */
static void
a_certificate_that_no_list_can_name(void **state)
{
	const struct recipe of_leaf = { .cn = "Alice", .issuer = "inter", .key = "P-256", .ku = "digitalSignature",
	    .eku = "clientAuth", .to = DAY };
	EVP_PKEY *key = load_key("inter");
	X509 *leaf = make_x509(&of_leaf, NULL);
	struct outcome r;
	struct cm_cert *c;

	(void)state;
	for (int sign = 1; sign >= -1; sign -= 2) {
		ASN1_INTEGER_set(X509_get_serialNumber(leaf), sign * 4711);
		assert_true(X509_sign(leaf, key, EVP_sha256()) > 0);
		c = cert_of(leaf);
		r = ask_about(c, anchor, PKI("inter.crl"), 1 << 20);
		expect("a serial number", &r, sign > 0 ? CM_REASON_NONE : CM_REASON_REVOCATION_UNKNOWN,
		    sign > 0 ? ": good" : "its serial number is negative [unlistable]");
		cm_cert_free(&c);
	}
	X509_free(leaf);
	EVP_PKEY_free(key);
}

static void
files(void **state)
{
	static const struct row {
		const char *cert, *path;
		size_t max;
		enum cm_reason reason;
		const char *part;
	} rows[] = {
		{ "no-aia-cdp", PKI("inter.crl"), 1 << 20, CM_REASON_NONE, "inter.crl number 1: good" },
		{ "no-aia-cdp", PKI("inter.crl.pem"), 1 << 20, CM_REASON_NONE, ": good" },
		{ "revoked", PKI("inter.crl"), 1 << 20, CM_REASON_REVOKED, ": revoked on 2024-01-01" },
		{ "revoked", PKI("inter-expired.crl"), 1 << 20, CM_REASON_REVOKED, ": revoked on 2024-01-01" },
		{ "no-aia-cdp", PKI("inter-expired.crl"), 1 << 20, CM_REASON_REVOCATION_UNKNOWN, "expired 2020-01-31" },
		{ "no-aia-cdp", PKI("inter-forged.crl"), 1 << 20, CM_REASON_REVOCATION_UNKNOWN, "not that of the CA" },
		{ "no-aia-cdp", PKI("root.crl"), 1 << 20, CM_REASON_REVOCATION_UNKNOWN, "list of another CA" },
		{ "no-aia-cdp", PKI("inter.crl"), 100, CM_REASON_REVOCATION_UNKNOWN, "larger than 100 bytes" },
		{ "no-aia-cdp", "/nonexistent.crl", 100, CM_REASON_REVOCATION_UNKNOWN, "there is no such file" },
		{ "no-aia-cdp", "/dev/zero", 100, CM_REASON_REVOCATION_UNKNOWN, "not a regular file" },
		{ "no-aia-cdp", PKI("inter.crt"), 1 << 20, CM_REASON_REVOCATION_UNKNOWN, "no revocation list" },
		{ "no-aia-cdp", PKI("inter.der"), 1 << 20, CM_REASON_REVOCATION_UNKNOWN, "no revocation list" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const struct outcome r = ask(rows[i].cert, rows[i].path, rows[i].max);

		expect(rows[i].path, &r, rows[i].reason, rows[i].part);
	}
}

static void
trailing_bytes(void **state)
{
	const struct crl_recipe recipe = { .issuer = "inter", .reason = NO_ENTRY, .to = DAY };
	const char *path = scratch("long.crl");
	uint8_t bytes[4096] = { 0 };
	struct outcome r;
	uint8_t *der;
	int len;

	(void)state;
	der = make_crl(&recipe, &len);
	memcpy(bytes, der, (size_t)len);
	write_bytes(path, bytes, (size_t)len + 1);
	r = ask("no-aia-cdp", path, 1 << 20);
	expect("trailing", &r, CM_REASON_REVOCATION_UNKNOWN, "no revocation list");
	write_bytes(path, bytes, (size_t)len - 1);
	r = ask("no-aia-cdp", path, 1 << 20);
	expect("cut", &r, CM_REASON_REVOCATION_UNKNOWN, "no revocation list");
	write_bytes(path, "", 0);
	r = ask("no-aia-cdp", path, 1 << 20);
	expect("empty", &r, CM_REASON_REVOCATION_UNKNOWN, "no revocation list");
	OPENSSL_free(der);
}

/* The same over HTTP; redirections lead to other servers, never to files. */
static void
over_http(void **state)
{
	const struct crl_recipe recipe = { .issuer = "inter", .reason = NO_ENTRY, .from = -MIN, .to = DAY };
	struct web good = { .mode = WEB_BYTES }, huge = { .mode = WEB_HUGE }, endless = { .mode = WEB_ENDLESS },
	    moved = { .mode = WEB_REDIRECT, .location = good.url }, loop = { .mode = WEB_REDIRECT, .location = loop.url },
	    leak = { .mode = WEB_REDIRECT, .location = "file://" PKI("inter.crl") };
	const struct row {
		struct web *web;
		enum cm_reason reason;
		const char *part;
	} rows[] = {
		{ &good, CM_REASON_NONE, "number 17: good" },
		{ &moved, CM_REASON_NONE, "number 17: good" },
		{ &loop, CM_REASON_REVOCATION_UNKNOWN, "more than 3 times" },
		{ &leak, CM_REASON_REVOCATION_UNKNOWN, "file: addresses are not followed" },
		{ &huge, CM_REASON_REVOCATION_UNKNOWN, "larger than 1048576 bytes" },
		{ &endless, CM_REASON_REVOCATION_UNKNOWN, "larger than 1048576 bytes" },
	};
	uint8_t *der;
	int len;

	(void)state;
	der = make_crl(&recipe, &len);
	good.bytes = der;
	good.len = (size_t)len;
	for (size_t i = 0; i < CM_COUNT(rows); i++)
		web_start(rows[i].web);
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const struct outcome r = ask("no-aia-cdp", rows[i].web->url, 1 << 20);

		expect(rows[i].part, &r, rows[i].reason, rows[i].part);
		assert_int_equal(r.signed_time, r.evidence[0].this_update);
	}
	assert_in_range(atomic_load(&loop.asked), 2, 4);
	for (size_t i = 0; i < CM_COUNT(rows); i++)
		web_stop(rows[i].web);
	OPENSSL_free(der);
}

/* pam_pkcs11's crl_dir: where names are hashed only the issuer's lists are read, else all, and "revoked" of one is heard. */
static void
folders(void **state)
{
	static const struct {
		const char *in_first, *in_second, *in_other;	/* names of the files, NULL: not there; the first says good */
		enum cm_reason reason;
		const char *part;
	} rows[] = {
		{ NULL, NULL, NULL, CM_REASON_REVOCATION_UNKNOWN, "no file in this folder ends in .crl" },
		{ "a.crl", NULL, NULL, CM_REASON_NONE, "a.crl number 17: good" },
		{ "a.crl", NULL, "b.pem", CM_REASON_NONE, "a.crl number 17: good" },
		{ "a.crl", "b.crl", NULL, CM_REASON_REVOKED, "b.crl number 17: revoked" },
		{ "b.crl", "a.crl", NULL, CM_REASON_REVOKED, "a.crl number 17: revoked" },
		{ NULL, NULL, "b.pem", CM_REASON_REVOCATION_UNKNOWN, "b.pem: it is the list of another CA" },
		{ "HASH.r0", NULL, NULL, CM_REASON_NONE, "HASH.r0 number 17: good" },
		{ "HASH.r0", "HASH.r1", "00000000.r0", CM_REASON_REVOKED, "HASH.r1 number 17: revoked" },
		{ "HASH.r0", "a.crl", NULL, CM_REASON_NONE, "HASH.r0 number 17: good" },
		{ "a.crl", NULL, "00000000.r0", CM_REASON_REVOCATION_UNKNOWN, "no list of this issuer" },
		{ ".a.crl", NULL, NULL, CM_REASON_REVOCATION_UNKNOWN, "no file in this folder" },
	};
	const struct crl_recipe recipes[] = {
		{ .issuer = "inter", .names = "bob", .reason = NO_ENTRY, .to = DAY },
		{ .issuer = "inter", .names = "alice-p256", .reason = KEY_COMPROMISE, .to = DAY },
		{ .issuer = "root", .names = "bob", .reason = NO_ENTRY, .to = DAY },
	};
	X509 *inter = load_x509("inter");
	char hash[16];

	(void)state;
	snprintf(hash, sizeof(hash), "%08lx", X509_subject_name_hash(inter));
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const char *const names[] = { rows[i].in_first, rows[i].in_second, rows[i].in_other };
		char folder[512], part[128], file[64], name[64];
		struct outcome r;

		snprintf(name, sizeof(name), "crls-%zu", i);
		snprintf(folder, sizeof(folder), "%s", scratch(name));
		assert_int_equal(mkdir(folder, 0755), 0);
		for (size_t k = 0; k < CM_COUNT(names); k++) {
			const bool hashed = names[k] != NULL && strncmp(names[k], "HASH", 4) == 0;
			uint8_t *der;
			int len;

			if (names[k] == NULL)
				continue;
			der = make_crl(&recipes[k], &len);
			snprintf(file, sizeof(file), "crls-%zu/%s%s", i, hashed ? hash : "", names[k] + (hashed ? 4 : 0));
			write_bytes(scratch(file), der, (size_t)len);
			OPENSSL_free(der);
		}
		if (strncmp(rows[i].part, "HASH", 4) == 0)
			snprintf(part, sizeof(part), "%s%s", hash, rows[i].part + 4);
		else
			snprintf(part, sizeof(part), "%s", rows[i].part);
		r = ask("alice-p256", folder, 1 << 20);
		expect(folder, &r, rows[i].reason, part);
	}
	X509_free(inter);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folders),
		cmocka_unit_test(lists),
		cmocka_unit_test(lists_with_a_point),
		cmocka_unit_test(a_ca_that_may_not_sign_lists),
		cmocka_unit_test(a_certificate_that_no_list_can_name),
		cmocka_unit_test(files),
		cmocka_unit_test(trailing_bytes),
		cmocka_unit_test(over_http),
	};

	return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
