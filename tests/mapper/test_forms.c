/* tests/mapper/test_forms.c - the built-in forms, on certificates that OpenSSL made for the rig. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include <openssl/x509v3.h>

#include "make_cert.h"
#include "mapper/rules_internal.h"

#define ALT	"altSecurityIdentities"
#define CA	"DC=test,DC=cardmap,CN=Cardmap Test Issuing CA"

static struct cm_cert *
rig_cert(const char *name)
{
	struct cm_cert *c = NULL;
	struct cm_trace *t = NULL;
	char path[512];

	assert_int_equal(cm_trace_new(&t), CM_OK);
	snprintf(path, sizeof(path), "%s/%s.der", CM_PKI_DIR, name);
	if (cm_cert_load(path, t, &c) != CM_OK)
		fail_msg("%s", cm_trace_message(t));
	cm_trace_free(&t);
	return c;
}

static const struct cm_form *
form(const char *name)
{
	size_t count;
	const struct cm_form *f = cm_forms(&count);

	for (size_t i = 0; i < count; i++)
		if (strcmp(f[i].name, name) == 0)
			return &f[i];
	fail_msg("no form %s", name);
	return NULL;
}

/* want NULL: the certificate has no value of this form. */
static void
expect_made(const char *name, const struct cm_cert *c, const char *want, size_t len)
{
	const struct cm_form *f = form(name);
	struct cm_buf b;
	enum cm_err err;

	cm_buf_init(&b, 0);
	err = cm_form_value(f, c, &b);
	if (err != (want == NULL ? CM_ERR_ABSENT : CM_OK))
		fail_msg("%s: %s \"%s\"", name, cm_err_name(err), cm_buf_str(&b));
	if (want != NULL && (b.len != len || memcmp(b.ptr, want, len) != 0))
		fail_msg("%s: \"%s\", wanted \"%s\"", name, cm_buf_str(&b), want);
	cm_buf_free(&b);
}

static void
values(void **state)
{
	/* The DNs are what rig/pki.py asks openssl for, written as [MS-PKCA] 3.1.5.2.1.3 has them. */
	static const struct {
		const char *cert, *form, *want;
	} rows[] = {
		/* the sample of an administrator's guide: serial 10e8bd03000000000032 */
		{ "spatdod", "issuer-serial",
		    "X509:<I>DC=local,DC=dod,CN=SpatDoD Root CA<SR>32000000000003bde810" },
		{ "spatdod", "issuer-subject",
		    "X509:<I>DC=local,DC=dod,CN=SpatDoD Root CA<S>DC=local,DC=dod,CN=Users,CN=Bob Example" },
		{ "spatdod", "subject", "X509:<S>DC=local,DC=dod,CN=Users,CN=Bob Example" },
		/* DER writes 00 before a serial's high bit; AD does not */
		{ "erin", "issuer-serial", "X509:<I>" CA "<SR>05200000efbeadde" },
		{ "bob", "issuer-serial", "X509:<I>" CA "<SR>0220" },
		{ "bob", "kerberos", "Kerberos:bob@CARDMAP.TEST" },
		{ "bob", "rfc822", "X509:<RFC822>bob@cardmap.test" },
		{ "bob", "rfc822-space", "X509: <RFC822>bob@cardmap.test" },
		{ "bob", "upn", "bob@CARDMAP.TEST" },
		{ "bob", "sam", "bob" },
		{ "no-upn", "kerberos", NULL },
		{ "no-upn", "sam", NULL },
		{ "empty-upn", "kerberos", NULL },
		{ "nul-upn", "kerberos", NULL },
		{ "nul-upn", "sam", NULL },
		{ "no-san", "rfc822", NULL },
		{ "bob", "issuer-sid", NULL },
		{ "bob", "sid", NULL },
		{ "sid", "sid-uri", NULL },
		{ "sid-uri", "sid", NULL },
		{ "sid-uri", "issuer-sid", NULL },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_cert *c = rig_cert(rows[i].cert);

		expect_made(rows[i].form, c, rows[i].want, rows[i].want != NULL ? strlen(rows[i].want) : 0);
		cm_cert_free(&c);
	}
}

static void
add_hex(struct cm_buf *out, const unsigned char *p, unsigned len, const char *fmt)
{
	for (unsigned i = 0; i < len; i++)
		cm_buf_addf(out, fmt, p[i]);
}

static void
expect_hash(const char *name, const struct cm_cert *c, const char *before, const unsigned char *p,
    unsigned len)
{
	struct cm_buf b;

	cm_buf_init(&b, 0);
	cm_buf_add_str(&b, before);
	add_hex(&b, p, len, before[0] == ';' ? "%02X" : "%02x");
	expect_made(name, c, cm_buf_str(&b), b.len);
	cm_buf_free(&b);
}

/* Keys and their three readings, RSA and EC, as OpenSSL hashes them. */
static void
hashes(void **state)
{
	static const char *const names[] = { "alice-rsa2048", "alice-p256", "alice-rsa4096", "alice-p384" };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(names); i++) {
		struct cm_cert *c = rig_cert(names[i]);
		unsigned char key[20], spki[20], cert[20], *der = NULL;
		uint8_t ours[20];
		unsigned len = 20;
		X509 *x = NULL;
		int n;

		assert_int_equal(cm_cert_x509(c, NULL, &x), CM_OK);
		assert_int_equal(X509_pubkey_digest(x, EVP_sha1(), key, &len), 1);
		assert_int_equal(X509_digest(x, EVP_sha1(), cert, &len), 1);
		assert_true((n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x), &der)) > 0);
		assert_int_equal(EVP_Digest(der, (size_t)n, spki, NULL, EVP_sha1(), NULL), 1);
		OPENSSL_free(der);
		expect_hash("sha1-pukey", c, "X509:<SHA1-PUKEY>", key, 20);
		expect_hash("sha1-pukey-spki", c, "X509:<SHA1-PUKEY>", spki, 20);
		expect_hash("sha1-pukey-thumbprint", c, "X509:<SHA1-PUKEY>", cert, 20);
		expect_hash("tokenidentity", c, ";tokenidentity;", key, 20);
		expect_hash("pubkeyhash", c, ";pubkeyhash;", key, 20);
		cm_key_hash(c, ours);
		assert_memory_equal(ours, key, 20);
		expect_hash("ski", c, "X509:<SKI>",
		    ASN1_STRING_get0_data(X509_get0_subject_key_id(x)),
		    (unsigned)ASN1_STRING_length(X509_get0_subject_key_id(x)));
		cm_cert_free(&c);
	}
}

/* [MS-DTYP] 2.4.2.2: the SID of rig/pki.py as its octets. */
static void
sids(void **state)
{
	struct cm_cert *ext = rig_cert("sid"), *uri = rig_cert("sid-uri");
	const struct cm_blob text = cm_cert_field(ext, CM_CERT_SID);
	uint8_t want[64] = { 1, 0, 0, 0, 0, 0, 0, 0 };
	char copy[64] = "", *end = copy + 4;
	struct cm_buf b;
	size_t len = 8;

	(void)state;
	assert_in_range(text.len, 10, sizeof(copy) - 1);
	memcpy(copy, text.ptr, text.len);
	want[7] = (uint8_t)strtoul(end, &end, 10);
	while (*end == '-') {
		const unsigned long n = strtoul(end + 1, &end, 10);

		for (int i = 0; i < 4; i++)
			want[len++] = (uint8_t)(n >> 8 * i);
		want[1]++;
	}
	expect_made("sid", ext, (const char *)want, len);
	expect_made("sid-uri", uri, (const char *)want, len);
	cm_buf_init(&b, 0);
	cm_buf_add_str(&b, "X509:<I>" CA "<SID>");
	cm_buf_add_blob(&b, text);
	expect_made("issuer-sid", ext, cm_buf_str(&b), b.len);
	cm_buf_free(&b);
	cm_cert_free(&ext);
	cm_cert_free(&uri);
}

/* KB5014754's table; what the table says is what the template is found to bind to. */
static void
strengths(void **state)
{
	static const char *const weak[] = { "issuer-subject", "subject", "rfc822", "rfc822-space",
		"kerberos", "upn", "sam" };
	static const char *const keys[] = { "sha1-pukey", "sha1-pukey-spki", "tokenidentity", "pubkeyhash" };
	static const char *const all[] = { CM_FORMS_ALT, CM_FORMS_AD, NULL };
	const struct cm_rules_options o = { .forms = all, .pinned = true, .domain = "cardmap.test" };
	struct cm_rules *r = NULL;
	size_t count;

	(void)state;
	(void)cm_forms(&count);
	assert_int_equal(cm_rules_new(&o, &r), CM_OK);
	assert_int_equal(cm_rules_add_forms(r, NULL), CM_OK);
	assert_int_equal(r->count, count);
	for (size_t i = 0; i < count; i++) {
		const struct cm_rule *rule = &r->rules[i];
		const struct cm_form *f = form(rule->name);
		bool is_weak = false, is_key = false;

		for (size_t k = 0; k < CM_COUNT(weak); k++)
			is_weak = is_weak || strcmp(weak[k], f->name) == 0;
		for (size_t k = 0; k < CM_COUNT(keys); k++)
			is_key = is_key || strcmp(keys[k], f->name) == 0;
		assert_int_equal(f->strength, is_weak ? CM_WEAK : CM_STRONG);
		assert_int_equal(rule->strength, f->strength);
		assert_int_equal(rule->key, is_key);
		assert_int_equal(rule->pairing, f->pairing);
		assert_int_equal(rule->priority, CM_RULE_PRIORITY_LAST);
		assert_string_equal(rule->origin, "built in");
		assert_int_equal(f->ad, strcmp(f->attribute, ALT) != 0);
		assert_null(rule->elsewhere);
	}
	cm_rules_free(&r);
}

/* The names of the rules that options give, joined by spaces, those that do not hold here in parentheses. */
static void
expect_forms(const struct cm_rules_options *o, const char *want)
{
	struct cm_rules *r = NULL;
	struct cm_trace *t = NULL;
	struct cm_buf b;

	assert_int_equal(cm_trace_new(&t), CM_OK);
	assert_int_equal(cm_rules_new(o, &r), CM_OK);
	if (cm_rules_add_forms(r, t) != CM_OK)
		fail_msg("%s", cm_trace_message(t));
	cm_buf_init(&b, 0);
	for (size_t i = 0; i < r->count; i++)
		cm_buf_addf(&b, r->rules[i].elsewhere != NULL ? "%s(%s)" : "%s%s", i > 0 ? " " : "",
		    r->rules[i].name);
	assert_string_equal(cm_buf_str(&b), want);
	cm_buf_free(&b);
	cm_rules_free(&r);
	cm_trace_free(&t);
}

#define KEYS	"sha1-pukey sha1-pukey-spki tokenidentity pubkeyhash"

static void
groups(void **state)
{
	static const char *const none[] = { NULL }, *const alt[] = { CM_FORMS_ALT, NULL };
	static const char *const ad[] = { CM_FORMS_AD, NULL };
	static const char *const two[] = { "upn", "ski", NULL }, *const twice[] = { "ski", CM_FORMS_ALT, NULL };
	static const char every[] = "issuer-serial ski sha1-pukey sha1-pukey-spki sha1-pukey-thumbprint "
	    "issuer-sid issuer-subject subject rfc822 rfc822-space kerberos tokenidentity pubkeyhash";

	(void)state;
	expect_forms(&(struct cm_rules_options){ .forms = NULL }, every);
	expect_forms(&(struct cm_rules_options){ .forms = alt }, every);
	expect_forms(&(struct cm_rules_options){ .forms = twice }, every);
	expect_forms(&(struct cm_rules_options){ .forms = none }, "");
	expect_forms(&(struct cm_rules_options){ .forms = two }, "ski upn");
	/* a name of another domain is another account's, and anybody can put a URI into a request */
	expect_forms(&(struct cm_rules_options){ .forms = ad }, "sid (sid-uri) upn (sam)");
	expect_forms(&(struct cm_rules_options){ .forms = ad, .pinned = true }, "sid sid-uri upn (sam)");
	expect_forms(&(struct cm_rules_options){ .forms = ad, .domain = "x" }, "sid (sid-uri) upn sam");
	/* SmartCardServices(7), checkCertificateTrust 0 */
	expect_forms(&(struct cm_rules_options){ .key_only = true }, KEYS);
	expect_forms(&(struct cm_rules_options){ .key_only = true, .forms = none }, "");
}

static void
expect_mistake(const struct cm_rules_options *o, const char *want)
{
	struct cm_rules *r = NULL;
	struct cm_trace *t = NULL;

	assert_int_equal(cm_trace_new(&t), CM_OK);
	assert_int_equal(cm_rules_new(o, &r), CM_OK);
	assert_int_equal(cm_rules_add_forms(r, t), CM_ERR_CONFIG);
	assert_int_equal(cm_trace_reason(t), CM_REASON_CONFIG);
	if (strstr(cm_trace_message(t), want) == NULL)
		fail_msg("\"%s\" lacks \"%s\"", cm_trace_message(t), want);
	cm_rules_free(&r);
	cm_trace_free(&t);
}

static void
mistakes(void **state)
{
	static const char *const unknown[] = { "ski", "skii", NULL };
	static const char *const weak[] = { "kerberos", "ski", NULL };

	(void)state;
	expect_mistake(&(struct cm_rules_options){ .forms = unknown },
	    "mapper.forms: there is no form \"skii\"; write altSecurityIdentities, ad, issuer-serial, ski, ");
	expect_mistake(&(struct cm_rules_options){ .forms = weak, .key_only = true },
	    "no form that mapper.forms names does; add sha1-pukey");
}

/* sAMAccountName is looked for only where the principal is of this domain. */
static void
sam_is_of_the_domain(void **state)
{
	static const char *const sam[] = { "sam", NULL };
	static const struct {
		const char *cert, *domain, *why;
	} rows[] = {
		{ "bob", "cardmap.test", NULL },	/* its realm is CARDMAP.TEST */
		{ "other-realm", "cardmap.test", "alice@OTHER.TEST is of another realm than @cardmap.test" },
		{ "bob", "test", "is of another realm" },
		{ "bob", "map.test", "is of another realm" },
		{ "bob", NULL, "1 rule does not hold on this computer" },
		{ "no-upn", "cardmap.test", "has no NT principal name, which must end with @cardmap.test" },
		{ "nul-upn", "other.test", "is of another realm" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const struct cm_rules_options o = { .forms = sam, .domain = rows[i].domain };
		struct cm_cert *c = rig_cert(rows[i].cert);
		struct cm_rules *r = NULL;
		struct cm_query *q = NULL;
		struct cm_trace *t = NULL;

		assert_int_equal(cm_trace_new(&t), CM_OK);
		assert_int_equal(cm_rules_new(&o, &r), CM_OK);
		assert_int_equal(cm_rules_add_forms(r, t), CM_OK);
		assert_int_equal(cm_rules_map(r, c, t, &q), rows[i].why == NULL ? CM_OK : CM_ERR_ABSENT);
		if (rows[i].why == NULL)
			assert_string_equal((const char *)q->terms[0].value.ptr, "bob");
		else if (strstr(cm_trace_message(t), rows[i].why) == NULL)
			fail_msg("\"%s\" lacks \"%s\"", cm_trace_message(t), rows[i].why);
		cm_query_free(&q);
		cm_rules_free(&r);
		cm_trace_free(&t);
		cm_cert_free(&c);
	}
}

/* All of them in one query, which carries the certificate's SID. */
static void
one_query(void **state)
{
	const struct cm_rules_options o = { .domain = NULL };
	struct cm_cert *c = rig_cert("sid"), *uri = rig_cert("sid-uri"), *bob = rig_cert("bob");
	struct cm_rules *r = NULL;
	struct cm_query *q = NULL;

	(void)state;
	assert_int_equal(cm_rules_new(&o, &r), CM_OK);
	assert_int_equal(cm_rules_add_forms(r, NULL), CM_OK);
	assert_int_equal(cm_rules_map(r, c, NULL, &q), CM_OK);
	assert_int_equal(q->count, 13);
	assert_memory_equal(q->sid, cm_cert_field(c, CM_CERT_SID).ptr, cm_cert_field(c, CM_CERT_SID).len);
	assert_int_equal(strlen(q->sid), cm_cert_field(c, CM_CERT_SID).len);
	cm_query_free(&q);
	/* the URI's SID admits nobody here, and an account with another is refused all the same */
	assert_int_equal(cm_rules_map(r, uri, NULL, &q), CM_OK);
	assert_int_equal(q->count, 12);
	assert_int_equal(strlen(q->sid), cm_cert_field(c, CM_CERT_SID).len);
	assert_memory_equal(q->sid, cm_cert_field(c, CM_CERT_SID).ptr, strlen(q->sid));
	cm_query_free(&q);
	assert_int_equal(cm_rules_map(r, bob, NULL, &q), CM_OK);
	assert_int_equal(q->count, 12);
	assert_null(q->sid);
	cm_query_free(&q);
	cm_rules_free(&r);
	cm_cert_free(&c);
	cm_cert_free(&uri);
	cm_cert_free(&bob);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),
		cmocka_unit_test(hashes),
		cmocka_unit_test(sids),
		cmocka_unit_test(strengths),
		cmocka_unit_test(groups),
		cmocka_unit_test(mistakes),
		cmocka_unit_test(sam_is_of_the_domain),
		cmocka_unit_test(one_query),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
