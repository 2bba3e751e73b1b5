/*
 * tests/mapper/test_certmap_differential.c - the same certificates and rules
 * through libsss_certmap: the same answer, octet by octet, or a difference
 * that is written down here with its reason.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sss_certmap.h>

#include "gen_cert.h"
#include "gen_rule.h"
#include "mapper/rules_internal.h"

/* Certificates and rules come in blocks, each with each: a rule is compiled once for several. */
#define BLOCKS		840
#define CERTS		4
#define RULES		6
#define SEED		20240229

struct answer {
	enum cm_rule_answer kind;
	struct cm_buf text;
};

/* One certificate, one rule, and what both made of it. */
struct pair {
	const struct cm_cert *cert;
	struct cm_blob der;
	unsigned odd;
	const char *match, *map;
	struct answer ours, theirs;
	bool crash;		/* theirs was not asked: it would not have come back */
	struct cm_regexes *regexes;
};

static bool
reads_beyond(const struct pair *p)
{
	return (p->odd & (ODD_X400 | ODD_EDI)) != 0;
}

/* A list of purposes with nothing in it: NULL is read. */
static bool
no_purposes(const struct pair *p)
{
	const char *at = p->match != NULL ? strstr(p->match, "<EKU>,") : NULL;

	return at != NULL && (at[6] == '\0' || at[6] == '<');
}

static bool
no_rid(const struct pair *p)
{
	return strstr(p->map, "{sid.rid}") != NULL && cm_cert_field(p->cert, CM_CERT_SID).len == 0;
}

/* That library gives up a whole certificate for one field that it does not like. */
static bool
gives_up(const struct pair *p)
{
	return p->theirs.kind == CM_RULE_ERROR && (p->odd & (ODD_EMPTY_ATTRIBUTE | ODD_EMPTY_SAN |
	    ODD_UPN_TYPE | ODD_PKINIT | ODD_SERIAL)) != 0;
}

/* a is b when each of the words stands for the other in it. */
static bool
same_but(struct cm_blob a, struct cm_blob b, const char *const (*words)[2], size_t count)
{
	while (a.len > 0 && b.len > 0) {
		size_t x = 1, y = 1, i = 0;

		for (; i < count; i++) {
			x = strlen(words[i][0]);
			y = strlen(words[i][1]);
			if (a.len >= x && b.len >= y && memcmp(a.ptr, words[i][0], x) == 0 &&
			    memcmp(b.ptr, words[i][1], y) == 0)
				break;
		}
		if (i == count && (x = y = 1, *a.ptr != *b.ptr))
			return false;
		a = (struct cm_blob){ a.ptr + x, a.len - x };
		b = (struct cm_blob){ b.ptr + y, b.len - y };
	}
	return a.len == 0 && b.len == 0;
}

/* What is written differently, ours and theirs. */
#define LONG_ARCS(n)	".262143.262143.262143.262143.262143.262143.262143.262143.262143.262143" n
static const char *const words[][2] = {
	{ "OID.2.25.329800735698586629295641978511506172918=", "UNDEF=" },
	{ "OID.2.999.1=", "UNDEF=" }, { "OID.1.2.3.4=", "UNDEF=" },
	{ "OID.0.9.2342.19200300.100.1.3=", "OID,0.9.2342.19200300.100.1.3=" },
	{ "1.2" LONG_ARCS(LONG_ARCS(LONG_ARCS(LONG_ARCS("")))), "1.2" LONG_ARCS(
	    ".262143.262143.262143.262143.262143.262143.262143.2621") },
	{ "\x7f\\00\\00\x01", "\x7f" },
};

static bool
written_with(const struct pair *p, const char *word)
{
	return p->ours.kind == CM_RULE_MATCH && p->theirs.kind == CM_RULE_MATCH &&
	    strstr(cm_buf_str(&p->ours.text), word) != NULL &&
	    same_but(cm_buf_blob(&p->ours.text), cm_buf_blob(&p->theirs.text), words, CM_COUNT(words));
}

static bool
types_without_a_name(const struct pair *p)
{
	return written_with(p, "OID.");
}

static bool
long_oid(const struct pair *p)
{
	return written_with(p, LONG_ARCS(LONG_ARCS(LONG_ARCS(LONG_ARCS("")))));
}

static bool
address_with_nul(const struct pair *p)
{
	return written_with(p, "\x7f\\00\\00\x01");
}

static bool
ours_says(const struct pair *p, const char *what)
{
	return p->ours.kind == CM_RULE_ERROR && strstr(cm_buf_str(&p->ours.text), what) != NULL;
}

/* Without the field at at, and with the certificate behind it, does ours make what theirs made? */
static bool makes_theirs(const struct pair *p, const char *map, unsigned depth);

static bool
makes_theirs_without(const struct pair *p, const char *map, const char *at, unsigned depth)
{
	struct cm_buf shorter = { 0 };
	bool makes;

	cm_buf_add(&shorter, map, (size_t)(at - map));
	cm_buf_add_str(&shorter, strchr(at, '}') + 1);
	makes = makes_theirs(p, cm_buf_str(&shorter), depth);
	cm_buf_free(&shorter);
	return makes;
}

static bool
makes_theirs(const struct pair *p, const char *map, unsigned depth)
{
	static const char says[] = "the certificate has no ";
	struct cm_buf whole = { 0 }, ours = { 0 }, theirs = { 0 }, name = { 0 };
	enum cm_rule_answer kind;
	bool makes = false;

	cm_buf_addf(&whole, "%s{cert!base64}", map);
	assert_int_equal(cm_rules_test_with(p->regexes, (const char *const[2]){ "||<ISSUER>.*<SUBJECT>.*",
	    cm_buf_str(&whole) }, p->cert, &kind, &ours), CM_OK);
	if (kind == CM_RULE_MATCH) {
		enum cm_rule_answer ignored;

		cm_buf_add_blob(&theirs, cm_buf_blob(&p->theirs.text));
		assert_int_equal(cm_rules_test_with(p->regexes, (const char *const[2]){
		    "||<ISSUER>.*<SUBJECT>.*", "LDAP:{cert!base64}" }, p->cert, &ignored, &theirs), CM_OK);
		makes = same_but(cm_buf_blob(&ours), cm_buf_blob(&theirs), words, CM_COUNT(words));
	} else if (depth > 0 && strncmp(cm_buf_str(&ours), says, sizeof(says) - 1) == 0) {
		cm_buf_addf(&name, "{%s", cm_buf_str(&ours) + sizeof(says) - 1);
		for (const char *at = map; !makes && (at = strstr(at, cm_buf_str(&name))) != NULL; at++)
			makes = makes_theirs_without(p, map, at, depth - 1);
	}
	cm_buf_free(&whole);
	cm_buf_free(&ours);
	cm_buf_free(&theirs);
	cm_buf_free(&name);
	return makes;
}

/* Theirs made a filter with nothing where ours says that there is nothing. */
static bool
empty_value(const struct pair *p)
{
	return ours_says(p, "the certificate has no ") && p->theirs.kind == CM_RULE_MATCH &&
	    makes_theirs(p, p->map, 3);
}

static bool
nul(const struct pair *p)
{
	return ours_says(p, "is not what a directory can hold") && (p->odd & ODD_NUL) != 0;
}

static bool
says(const struct pair *p, const char *in_match)
{
	return p->match != NULL && strstr(p->match, in_match) != NULL;
}

static bool
nul_in_match(const struct pair *p)
{
	return p->ours.kind == CM_RULE_NO_MATCH && p->theirs.kind != CM_RULE_NO_MATCH && says(p, "<SAN") &&
	    (p->odd & ODD_NUL) != 0;
}

static bool
no_usages(const struct pair *p)
{
	return ours_says(p, "the list is empty") && says(p, "<KU>");
}

static bool
number(const struct pair *p)
{
	return p->theirs.kind == CM_RULE_ERROR && (says(p, "<KU>0x80") || says(p, "<KU>128"));
}

static bool
stray_brace(const struct pair *p)
{
	return ours_says(p, "this } has no {") && strstr(p->map, "cert}") != NULL;
}

static bool
base64(const struct pair *p)
{
	return ours_says(p, "expected base64");
}

static bool
part_undef(const struct pair *p)
{
	return ours_says(p, "the certificate has no ") && strstr(p->map, "_component.undef}") != NULL;
}

static bool
no_field(const struct pair *p)
{
	return strstr(cm_buf_str(&p->ours.text), "it names no field") != NULL;
}

static const struct difference {
	const char *name;
	bool (*is)(const struct pair *p);
	const char *why;
} differences[] = {
	{ "no purposes", no_purposes, "<EKU> with nothing but a comma: NULL is read there; here it is an error" },
	{ "no rid", no_rid, "{sid.rid} of a certificate without a SID: strrchr(NULL) there; here the rule does not apply" },
	{ "reads beyond", reads_beyond, "a certificate with an x400Address or an ediPartyName: memory behind the value is read there; here it is as any other" },
	{ "UNDEF", types_without_a_name, "types of attributes that OpenSSL has no name for are all UNDEF there, and the AD "
	    "name of mail has a comma: unlike names make one text; here each is OID. and its number" },
	{ "no field", no_field, "a rule without a field finds the same account for every certificate there; here it is an error" },
	{ "part undef", part_undef, "{..._component.undef} is the first type without a name there; here there is none of that name" },
	{ "long OID", long_oid, "a registeredID is cut after 127 characters there" },
	{ "address", address_with_nul, "an iPAddress is cut at its first zero there" },
	{ "NUL", nul, "an alternative name is cut at its first NUL there; here it is no value" },
	{ "NUL in match", nul_in_match, "and <SAN...> is tried on what stands before it there; here nothing matches it" },
	{ "no usages", no_usages, "<KU> with nothing but commas and spaces holds for every certificate there; here it is an error" },
	{ "number", number, "<KU> with a number, which the man page has, is not read there" },
	{ "stray }", stray_brace, "\"cert}\" is \"{cert}\" there" },
	{ "base64", base64, "base64 with something behind it is read up to there" },
	{ "empty", empty_value, "an empty name, principal or .short_name makes a filter with nothing in it there; here the "
	    "rule does not apply" },
	{ "gives up", gives_up, "an empty value, a UPN that is no UTF8String, a broken "
	    "KRB5PrincipalName, a serial number that is not positive: no rule at all can be used with such a "
	    "certificate there; here the field alone cannot be" },
};

static void
ask_ours(struct pair *p)
{
	cm_buf_truncate(&p->ours.text, 0);
	assert_int_equal(cm_rules_test_with(p->regexes, (const char *const[2]){ p->match, p->map },
	    p->cert, &p->ours.kind, &p->ours.text), CM_OK);
}

/* NULL: that library does not take the rule. */
static struct sss_certmap_ctx *
their_rule(const char *match, const char *map)
{
	struct sss_certmap_ctx *ctx = NULL;

	assert_int_equal(sss_certmap_init(NULL, NULL, NULL, &ctx), 0);
	if (sss_certmap_add_rule(ctx, 1, match, map, NULL) != 0) {
		sss_certmap_free_ctx(ctx);
		ctx = NULL;
	}
	return ctx;
}

static void
ask_theirs(struct pair *p, struct sss_certmap_ctx *ctx)
{
	char *filter = NULL, **domains = NULL;
	int ret = 0;

	cm_buf_truncate(&p->theirs.text, 0);
	p->theirs.kind = CM_RULE_ERROR;
	p->crash = reads_beyond(p) || no_purposes(p) || no_rid(p);
	if (p->crash || ctx == NULL)
		return;
	if ((ret = sss_certmap_match_cert(ctx, p->der.ptr, p->der.len)) == ENOENT)
		p->theirs.kind = CM_RULE_NO_MATCH;
	if (ret != 0 || sss_certmap_get_search_filter(ctx, p->der.ptr, p->der.len, &filter, &domains) != 0)
		return;
	p->theirs.kind = CM_RULE_MATCH;
	cm_buf_add_str(&p->theirs.text, filter);
	sss_certmap_free_filter_and_domains(filter, domains);
}

static bool
same(const struct pair *p)
{
	return !p->crash && p->ours.kind == p->theirs.kind && (p->ours.kind != CM_RULE_MATCH ||
	    cm_blob_equal(cm_buf_blob(&p->ours.text), cm_buf_blob(&p->theirs.text)));
}

static void
show(const struct pair *p)
{
	static const char *const kinds[] = { "no match", "match", "error" };

	fprintf(stderr, "match: %s\nmap: %s\nodd: %x\nours:   %s: %s\ntheirs: %s: %s\n",
	    p->match != NULL ? p->match : "(default)", p->map, p->odd, kinds[p->ours.kind],
	    cm_buf_str(&p->ours.text), p->crash ? "(crash)" : kinds[p->theirs.kind],
	    cm_buf_str(&p->theirs.text));
	fprintf(stderr, "issuer %s\nsubject %s\n\n", cm_cert_issuer_text(p->cert),
	    cm_cert_subject_text(p->cert));
}

static uint64_t
seed(void)
{
	const char *s = getenv("CM_CERTMAP_SEED");

	return s != NULL ? strtoull(s, NULL, 0) : SEED;
}

struct count {
	size_t answers[3], differences[CM_COUNT(differences)], unlisted;
};

static void
compare(const struct pair *p, struct count *n)
{
	size_t d = 0;

	n->answers[p->ours.kind]++;
	if (same(p))
		return;
	while (d < CM_COUNT(differences) && !differences[d].is(p))
		d++;
	if (d < CM_COUNT(differences))
		n->differences[d]++;
	else if (n->unlisted++ < 20)
		show(p);
}

static void
one_block(struct gen *g, struct pair *p, struct count *n)
{
	struct cm_cert *certs[CERTS] = { NULL };
	unsigned odd[CERTS];
	struct cm_buf map = { 0 }, match = { 0 }, der = { 0 };

	for (size_t c = 0; c < CERTS; c++) {
		gen_cert(g, &der, &odd[c]);
		assert_int_equal(cm_cert_decode(cm_buf_blob(&der), NULL, &certs[c]), CM_OK);
	}
	for (size_t r = 0; r < RULES; r++) {
		struct sss_certmap_ctx *ctx;

		gen_map(g, &map);
		gen_match(g, &match);
		p->map = cm_buf_str(&map);
		p->match = gen_once_in(g, 2) ? NULL : cm_buf_str(&match);
		if (gen_once_in(g, 12)) {
			const char *const *special = gen_special[gen_number(g, (uint32_t)gen_special_count)];

			p->match = special[0];
			p->map = special[1];
		}
		ctx = their_rule(p->match, p->map);
		for (size_t c = 0; c < CERTS; c++) {
			p->cert = certs[c];
			p->der = cm_cert_der(certs[c]);
			p->odd = odd[c];
			ask_ours(p);
			ask_theirs(p, ctx);
			compare(p, n);
		}
		sss_certmap_free_ctx(ctx);
	}
	for (size_t c = 0; c < CERTS; c++)
		cm_cert_free(&certs[c]);
	cm_buf_free(&der);
	cm_buf_free(&map);
	cm_buf_free(&match);
}

static void
differential(void **state)
{
	struct gen g = { .state = seed() };
	struct count n = { .unlisted = 0 };
	struct pair p = { .cert = NULL };
	bool rotten = false;

	(void)state;
	print_message("seed %" PRIu64 " (CM_CERTMAP_SEED)\n", g.state);
	for (size_t i = 0; i < BLOCKS; i++) {
		if (i % 20 == 0) {	/* now and then, for they are kept until then */
			cm_regexes_free(&p.regexes);
			assert_int_equal(cm_regexes_new(true, &p.regexes), CM_OK);
		}
		one_block(&g, &p, &n);
	}
	cm_regexes_free(&p.regexes);
	print_message("%d pairs: %zu match, %zu do not, %zu errors\n", BLOCKS * CERTS * RULES,
	    n.answers[CM_RULE_MATCH], n.answers[CM_RULE_NO_MATCH], n.answers[CM_RULE_ERROR]);
	for (size_t d = 0; d < CM_COUNT(differences); d++) {
		print_message("  %6zu %s: %s\n", n.differences[d], differences[d].name, differences[d].why);
		rotten |= n.differences[d] == 0;
	}
	cm_buf_free(&p.ours.text);
	cm_buf_free(&p.theirs.text);
	assert_int_equal(n.unlisted, 0);
	assert_false(rotten);
}

/* What a login asks with the rule: NULL when it does not apply. */
static struct cm_query *
login_asks(const char *match, const char *map, const struct cm_cert *c)
{
	const struct cm_rules_options options = { .back_references = true };
	const struct cm_conf_rule rule = {
		.name = (char *)(uintptr_t)"r", .origin = (char *)(uintptr_t)"conf:1",
		.match = (char *)(uintptr_t)match, .filter = (char *)(uintptr_t)map,
		.priority = CM_RULE_PRIORITY_LAST,
	};
	struct cm_rules *rules = NULL;
	struct cm_query *q = NULL;
	enum cm_err err;

	assert_int_equal(cm_rules_new(&options, &rules), CM_OK);
	assert_int_equal(cm_rules_add(rules, &rule, 1, NULL), CM_OK);
	err = cm_rules_map(rules, c, NULL, &q);
	assert_true(err == CM_OK || err == CM_ERR_ABSENT);
	cm_rules_free(&rules);
	return q;
}

/* The rules of a login are compiled and applied elsewhere: they ask the very same. */
static void
as_in_a_login(void **state)
{
	/* Such as need no process for their expressions, which is not what this is about. */
	static const char *const matches[] = { "<ISSUER>=", "<SUBJECT>.", "<KU>digitalSignature<EKU>clientAuth",
		"||<SAN>@<EKU>pkinit", "KRB5:<SAN:rfc822Name>@" };
	struct gen g = { .state = seed() };
	struct cm_buf der = { 0 }, map = { 0 }, out = { 0 };
	size_t count = 0;

	(void)state;
	for (int i = 0; i < 600; i++) {
		const char *match = matches[gen_number(&g, CM_COUNT(matches))];
		struct cm_cert *c = NULL;
		enum cm_rule_answer answer;
		struct cm_query *q;
		unsigned odd;

		gen_cert(&g, &der, &odd);
		assert_int_equal(cm_cert_decode(cm_buf_blob(&der), NULL, &c), CM_OK);
		cm_buf_truncate(&map, 0);
		cm_buf_add_str(&map, "LDAPU1:(&(x=");
		gen_field(&g, &map);
		cm_buf_add_str(&map, ")(y={{");
		gen_field(&g, &map);
		cm_buf_add_str(&map, "))");
		cm_buf_truncate(&out, 0);
		assert_int_equal(cm_rules_test(match, cm_buf_str(&map), c, &answer, &out), CM_OK);
		q = login_asks(match, cm_buf_str(&map), c);
		assert_int_equal(q != NULL, answer == CM_RULE_MATCH);
		if (q != NULL) {
			count++;
			assert_int_equal(q->count, 1);
			assert_true(cm_blob_equal(q->terms[0].value, cm_buf_blob(&out)));
		}
		cm_query_free(&q);
		cm_cert_free(&c);
	}
	print_message("%zu rules of 600 match\n", count);
	assert_true(count > 100);
	cm_buf_free(&der);
	cm_buf_free(&map);
	cm_buf_free(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(differential),
		cmocka_unit_test(as_in_a_login),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
