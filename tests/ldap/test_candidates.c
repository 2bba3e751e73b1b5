/* tests/ldap/test_candidates.c - who counts: the same accounts in a real slapd and in an LDIF file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <ldap.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "ask.h"
#include "fake_ldap.h"
#include "ldap/directory_internal.h"

#define ALT	"altSecurityIdentities"
#define STRONG(n)	"X509:<I>DC=test,CN=CA<SR>" n
#define MAIL(name)	"X509:<RFC822>" name "@cardmap.test"
#define SHARED	"X509:<S>CN=shared"
#define SID	"S-1-5-21-1004336348-1177238915-682003330-512"
#define OTHER	"S-1-5-21-1004336348-1177238915-682003330-513"

#define PERSON(name, number) \
	"dn: uid=" name ",ou=people,dc=cardmap,dc=test\n" \
	"objectClass: inetOrgPerson\nobjectClass: posixAccount\nobjectClass: cardPerson\n" \
	"uid: " name "\nsAMAccountName: " name "\ncn: " name "\nsn: Test\n" \
	"uidNumber: " number "\ngidNumber: 10000\nhomeDirectory: /home/" name "\n"
#define A(attribute, value)	attribute ": " value "\n"

static const char entries[] =
	PERSON("wanda", "20001") A(ALT, STRONG("01")) A(ALT, MAIL("wanda")) A("userAccountControl", "512") "\n"
	PERSON("ivan", "20002") A(ALT, STRONG("02")) A(ALT, SHARED) A(ALT, MAIL("ivan")) "\n"
	PERSON("ivan-admin", "20003") A(ALT, SHARED) A(ALT, "X509:<SKI>aa02") "\n"
	PERSON("twin", "20004") A(ALT, MAIL("twin")) "\n"
	"dn: cn=twin,ou=groups,dc=cardmap,dc=test\n"
	"objectClass: inetOrgPerson\nobjectClass: posixAccount\nobjectClass: cardPerson\n"
	"uid: twin\ncn: twin\nsn: Test\nuidNumber: 20005\ngidNumber: 10000\nhomeDirectory: /home/twin\n"
	A(ALT, MAIL("twin")) "\n"
	/* MS-DTYP 2.4.2.2: S-1-5-21-1004336348-1177238915-682003330-512 in bytes */
	PERSON("sidney", "20006") A(ALT, STRONG("06"))
	    "objectSid:: AQUAAAAAAAUVAAAA3PTcO4M9K0aCi6YoAAIAAA==\n\n"
	PERSON("sydney", "20007") A(ALT, STRONG("07")) A("objectSid", SID) "\n"
	PERSON("cut-sid", "20008") A(ALT, STRONG("08")) "objectSid:: AQUAAAAAAAUVAAAA3PTcO4M9K0aCi6YoAAIA\n\n"
	PERSON("dora", "20009") A(ALT, STRONG("09")) A("userAccountControl", "66050") "\n"
	PERSON("lora", "20039") A(ALT, STRONG("39")) A("userAccountControl", "66064") "\n"
	PERSON("denis", "20010") A(ALT, STRONG("10")) A("nsAccountLock", "true") "\n"
	PERSON("awake", "20011") A(ALT, STRONG("11")) A("userAccountControl", "66048") A("nsAccountLock", "FALSE") "\n"
	PERSON("nested", "20012") A(ALT, STRONG("12")) A("employeeNumber", "4711")
	    A("mail", "a*(b)\\c@cardmap.test") "\n"
	PERSON("ghost", "20014") A(ALT, MAIL("ghost")) "\n"
	"dn: cn=ghost,ou=groups,dc=cardmap,dc=test\n"
	"objectClass: inetOrgPerson\nobjectClass: cardPerson\nuid: ghost\ncn: ghost\nsn: Test\n" A(ALT, MAIL("ghost")) "\n"
	PERSON("below", "999") A(ALT, STRONG("13")) "\n";

static char file_uri[64], file_path[] = "/tmp/cm_test_candidates.XXXXXX", ca[4096];

#define VALUES_MAX	32

static bool
same_attribute(const struct cm_value *a, const struct cm_value *b)
{
	return cm_blob_equal(a->attribute, b->attribute);
}

/* All values of the attribute of value i; false: they were given with an earlier one. */
static bool
fill_mod(const struct cm_entry *e, size_t i, LDAPMod *mod, struct berval **list)
{
	size_t n = 0;

	for (size_t k = 1; k < e->count; k++) {
		if (!same_attribute(&e->values[k], &e->values[i]))
			continue;
		if (k < i)
			return false;
		list[n] = ber_mem2bv((char *)(uintptr_t)e->values[k].value.ptr, e->values[k].value.len, 1, NULL);
		n++;
	}
	mod->mod_op = LDAP_MOD_ADD | LDAP_MOD_BVALUES;
	mod->mod_type = strndup((const char *)e->values[i].attribute.ptr, e->values[i].attribute.len);
	mod->mod_bvalues = list;
	return true;
}

/* All but the first value: entryDN is not ours to give. */
static void
add_entry(LDAP *ld, const struct cm_entry *e)
{
	struct berval *lists[VALUES_MAX][VALUES_MAX] = { { NULL } };
	LDAPMod mods[VALUES_MAX], *list[VALUES_MAX] = { NULL };
	char *dn = strndup((const char *)e->dn.ptr, e->dn.len);
	size_t n = 0;
	int code;

	assert_true(e->count < VALUES_MAX);
	for (size_t i = 1; i < e->count; i++)
		if (fill_mod(e, i, &mods[n], lists[n])) {
			list[n] = &mods[n];
			n++;
		}
	if ((code = ldap_add_ext_s(ld, dn, list, NULL, NULL)) != LDAP_SUCCESS)
		fail_msg("%s: %s", dn, ldap_err2string(code));
	for (size_t i = 0; i < n; i++) {
		free(mods[i].mod_type);
		for (size_t k = 0; lists[i][k] != NULL; k++)
			ber_bvfree(lists[i][k]);
	}
	free(dn);
}

static void
fill_slapd(const struct cm_ldif *l)
{
	const char *password = rig("CM_RIG_ADMIN_PASSWORD");
	struct berval credentials = { strlen(password), (char *)(uintptr_t)password };
	const int version = LDAP_VERSION3;
	LDAP *ld = NULL;

	assert_int_equal(ldap_initialize(&ld, rig("CM_RIG_LDAP_URI")), LDAP_SUCCESS);
	ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version);
	assert_int_equal(ldap_sasl_bind_s(ld, rig("CM_RIG_ADMIN_DN"), LDAP_SASL_SIMPLE, &credentials, NULL,
	    NULL, NULL), LDAP_SUCCESS);
	for (size_t i = 0; i < l->entry_count; i++)
		add_entry(ld, &l->entries[i]);
	ldap_unbind_ext_s(ld, NULL, NULL);
}

/* The file is what slapd gets: both are asked the same. */
static int
fill_both(void **state)
{
	struct cm_ldif *l = NULL;
	struct cm_buf text = { 0 };
	const int fd = mkstemp(file_path);

	(void)state;
	if (fd < 0 || write(fd, entries, sizeof(entries) - 1) != sizeof(entries) - 1 || close(fd) != 0)
		return -1;
	snprintf(file_uri, sizeof(file_uri), "ldif:%s", file_path);
	cm_buf_add_str(&text, entries);
	if (cm_ldif_parse(&text, "entries", NULL, &l) != CM_OK)
		return -1;
	fill_slapd(l);
	cm_ldif_free(&l);
	return 0;
}

static int
remove_file(void **state)
{
	(void)state;
	return unlink(file_path);
}

static const char *uris[2];

static struct cm_directory_options
options_for(const char *uri)
{
	uris[0] = uri;
	snprintf(ca, sizeof(ca), "%s/root.crt", rig("CM_RIG_PKI"));
	return (struct cm_directory_options){
		.uris = uris, .base = rig("CM_RIG_BASE"), .ca = ca, .starttls = true,
		.realm = "CARDMAP.TEST", .first_uid = 1000, .first_gid = 1000,
	};
}

/* --- Terms --- */

#define TERM(name, a, v, s, p)	{ .rule = (char *)(uintptr_t)(name), .attribute = (char *)(uintptr_t)(a), \
	.value = { (const uint8_t *)(v), sizeof(v) - 1 }, .strength = CM_##s, .pairing = p }
#define S(value)	TERM("issuer-serial", ALT, value, STRONG, false)
#define W(value)	TERM("weak-form", ALT, value, WEAK, false)
#define P(name)		TERM("pairing", "uid", name, STRONG, true)
#define F(text)		TERM("filtered", NULL, text, STRONG, false)
#define TERMS_MAX	4

struct who {
	struct cm_query_term terms[TERMS_MAX];
	const char *user;
	enum cm_conf_binding binding;
	enum cm_conf_several several;
	const char *sid;
	enum cm_reason reason;
	const char *text;	/* of the message; of CM_OK the account's name */
	const char *rule;
	bool weak;
};

static struct answer
ask_who(const struct who *w, struct cm_directory *d)
{
	struct cm_query q = { .terms = (struct cm_query_term *)(uintptr_t)w->terms, .sid = (char *)(uintptr_t)w->sid };

	while (q.count < TERMS_MAX && w->terms[q.count].rule != NULL)
		q.count++;
	return find_user(d, &q, w->user, 10000);
}

static void
check_who(const struct who *w, const char *uri, size_t number)
{
	struct cm_directory_options o = options_for(uri);
	struct cm_directory *d;
	struct cm_directory_stats stats;
	struct answer a;

	o.binding = w->binding;
	o.several = w->several;
	d = must_open(&o);
	a = ask_who(w, d);
	stats = cm_directory_stats(d);
	if (strncmp(uri, "ldap", 4) == 0 && (stats.connections != 1 || stats.searches != (a.err == CM_OK ? 2 : 1)))
		fail_msg("case %zu: %u connections, %u searches", number, stats.connections, stats.searches);
	if (a.err == CM_OK && w->reason == CM_REASON_NONE) {
		assert_string_equal(a.account->name, w->text);
		assert_string_equal(a.account->rule, w->rule);
		assert_int_equal(a.account->weak, w->weak);
		assert_false(a.account->local);
		answer_free(&a);
	} else if (a.reason != w->reason) {
		fail_msg("case %zu at %s: %s", number, uri, cm_trace_message(a.trace));
	} else {
		expect(&a, w->reason, w->text);
	}
	cm_directory_close(&d);
}

#define HINT	.several = CM_SEVERAL_HINT
#define ONLY_STRONG	.binding = CM_BINDING_STRONG
#define NOBODY	.reason = CM_REASON_NO_ACCOUNT
#define SEVERAL	.reason = CM_REASON_SEVERAL_ACCOUNTS

static const struct who whos[] = {
	/* the strongest value names the rule, wherever it stands */
	{ { S(STRONG("01")) }, .text = "wanda", .rule = "issuer-serial" },
	{ { W(MAIL("wanda")) }, .text = "wanda", .rule = "weak-form", .weak = true },
	{ { W(MAIL("wanda")), S(STRONG("01")) }, .text = "wanda", .rule = "issuer-serial" },
	{ { W(MAIL("wanda")), S(STRONG("01")) }, ONLY_STRONG, .text = "wanda", .rule = "issuer-serial" },
	/* binding = strong: what to write is said */
	{ { W(MAIL("wanda")), S(STRONG("99")) }, .text = "wanda", .rule = "weak-form", .weak = true },
	{ { W(MAIL("wanda")), S(STRONG("99")) }, ONLY_STRONG, .reason = CM_REASON_WEAK_BINDING,
	    .text = "wanda (uid=wanda,ou=people,dc=cardmap,dc=test) was found by a weak value only, which another's "
	    "certificate could have: altSecurityIdentities=X509:<RFC822>wanda@cardmap.test (rule weak-form); "
	    "write altSecurityIdentities: X509:<I>DC=test,CN=CA<SR>99" },
	{ { W(MAIL("wanda")) }, ONLY_STRONG, .reason = CM_REASON_WEAK_BINDING, .text = "no rule here asks for a strong one" },
	/* strong and weak name different accounts: refused under both bindings, and no hint helps */
	{ { S(STRONG("01")), W(MAIL("ivan")) }, SEVERAL,
	    .text = "wanda (uid=wanda,ou=people,dc=cardmap,dc=test; rule issuer-serial, strong); "
	    "ivan (uid=ivan,ou=people,dc=cardmap,dc=test; rule weak-form, weak)" },
	{ { S(STRONG("01")), W(MAIL("ivan")) }, ONLY_STRONG, SEVERAL, .text = "ivan" },
	{ { S(STRONG("01")), W(MAIL("ivan")) }, HINT, .user = "ivan", SEVERAL, .text = "both strengths" },
	{ { S(STRONG("01")), W(MAIL("ivan")) }, HINT, .user = "wanda", SEVERAL, .text = "both strengths" },
	/* one value, two accounts: a hint chooses, never the order */
	{ { W(SHARED) }, SEVERAL, .text = "ivan (uid=ivan," },
	{ { W(SHARED) }, SEVERAL, .text = "ivan-admin (uid=ivan-admin," },
	{ { W(SHARED) }, .user = "ivan", SEVERAL, .text = "ivan-admin" },
	{ { W(SHARED) }, HINT, SEVERAL, .text = "say which" },
	{ { W(SHARED) }, HINT, .user = "ivan", .text = "ivan", .rule = "weak-form", .weak = true },
	{ { W(SHARED) }, HINT, .user = "ivan-admin", .text = "ivan-admin", .rule = "weak-form", .weak = true },
	{ { W(SHARED) }, HINT, .user = "wanda", .reason = CM_REASON_NOT_THIS_USER, .text = "ivan-admin" },
	{ { W(SHARED) }, HINT, .user = "", .reason = CM_REASON_NOT_THIS_USER, .text = "ivan-admin" },
	{ { W(SHARED) }, HINT, ONLY_STRONG, .user = "ivan", .reason = CM_REASON_WEAK_BINDING, .text = "ivan" },
	{ { S(STRONG("02")), S("X509:<SKI>aa02") }, HINT, .user = "ivan-admin", .text = "ivan-admin",
	    .rule = "issuer-serial" },
	{ { W(MAIL("twin")) }, HINT, .user = "twin", SEVERAL, .text = "more than one has the name" },
	{ { W(MAIL("ghost")) }, HINT, .user = "ghost", SEVERAL, .text = "more than one has the name" },	/* one is no account */
	/* the user asked for */
	{ { S(STRONG("01")) }, .user = "wanda", .text = "wanda", .rule = "issuer-serial" },
	{ { S(STRONG("01")) }, .user = "ivan", .reason = CM_REASON_NOT_THIS_USER, .text = "not ivan's, but opens wanda" },
	{ { S(STRONG("01")) }, .user = "Wanda", .reason = CM_REASON_NOT_THIS_USER, .text = "wanda" },
	{ { S(STRONG("01")) }, HINT, .user = "ivan", .reason = CM_REASON_NOT_THIS_USER, .text = "wanda" },
	/* CVE-2022-26923: the SID in the certificate is the account's, or the account is another */
	{ { S(STRONG("06")) }, .sid = SID, .text = "sidney", .rule = "issuer-serial" },
	{ { S(STRONG("07")) }, .sid = SID, .text = "sydney", .rule = "issuer-serial" },
	{ { S(STRONG("06")) }, .text = "sidney", .rule = "issuer-serial" },
	{ { S(STRONG("01")) }, .sid = SID, .text = "wanda", .rule = "issuer-serial" },	/* it has none */
	{ { S(STRONG("06")) }, .sid = OTHER, .reason = CM_REASON_OTHER_SID, .text = "has the SID " SID
	    ", and the card was issued to " OTHER },
	{ { S(STRONG("07")) }, .sid = OTHER, .reason = CM_REASON_OTHER_SID, .text = SID },
	{ { S(STRONG("08")) }, .sid = SID, .reason = CM_REASON_OTHER_SID, .text = "cut-sid" },
	{ { TERM("sid", "objectSid", "\1\5\0\0\0\0\0\5\25\0\0\0\334\364\334\073\203\075\053\106\202\213\246\050\0\2\0\0",
	    STRONG, false) }, .sid = SID, .text = "sidney", .rule = "sid" },
	{ { TERM("sid", "objectSid", "\1\1\0\0\0\0\0\5\22\0\0\0", STRONG, false) }, NOBODY, .text = "objectSid=S-1-5-18" },
	/* disabled; locked out and expired passwords are no matter for a card */
	{ { S(STRONG("09")) }, .reason = CM_REASON_ACCOUNT_DISABLED, .text = "dora" },
	{ { S(STRONG("39")) }, .reason = CM_REASON_ACCOUNT_DISABLED, .text = "LOCKOUT" },
	{ { S(STRONG("10")) }, .reason = CM_REASON_ACCOUNT_DISABLED, .text = "nsAccountLock" },
	{ { S(STRONG("11")) }, .text = "awake", .rule = "issuer-serial" },
	{ { S(STRONG("13")) }, .reason = CM_REASON_ACCOUNT_FORBIDDEN, .text = "uid 999" },
	/* UserSelector(7): a mapping beats a pairing */
	{ { P("ivan") }, .text = "ivan", .rule = "pairing" },
	{ { P("ivan") }, ONLY_STRONG, .text = "ivan", .rule = "pairing" },
	{ { P("ivan"), W(MAIL("wanda")) }, .text = "wanda", .rule = "weak-form", .weak = true },
	{ { P("ivan"), W(MAIL("wanda")) }, HINT, .user = "ivan", .reason = CM_REASON_NOT_THIS_USER, .text = "wanda" },
	{ { P("ivan"), W(MAIL("nobody")) }, .text = "ivan", .rule = "pairing" },
	{ { P("ivan"), P("wanda") }, SEVERAL, .text = "wanda" },
	{ { P("wanda"), W(MAIL("wanda")) }, ONLY_STRONG, .text = "wanda", .rule = "pairing" },
	{ { P("wanda"), S(STRONG("01")) }, .text = "wanda", .rule = "issuer-serial" },
	{ { P("wanda"), W(SHARED) }, SEVERAL, .text = "ivan-admin" },
	/* whole filters */
	{ { F("(&(objectClass=posixAccount)(altSecurityIdentities=" MAIL("wanda") "))") }, .text = "wanda", .rule = "filtered" },
	{ { F("(&(uid=wanda)(!(userAccountControl:1.2.840.113556.1.4.803:=2)))") }, .text = "wanda", .rule = "filtered" },
	{ { F("(&(uid=dora)(!(userAccountControl:1.2.840.113556.1.4.803:=2)))") }, NOBODY, .text = "uid=dora" },
	{ { F("(userAccountControl:1.2.840.113556.1.4.804:=3)") }, .reason = CM_REASON_ACCOUNT_DISABLED, .text = "dora" },
	{ { F("(|(uid=ivan)(uid=wanda))") }, SEVERAL, .text = "wanda" },
	{ { F(" ( & (uid=wanda)\n\t( cn=wanda) ) ") }, .text = "wanda", .rule = "filtered" },
	{ { F(" ( & (uid=wanda)(cn=ivan) ) "), W(MAIL("ivan")) }, .text = "ivan", .rule = "weak-form", .weak = true },
	{ { F("(uid=wan*)") }, .text = "wanda", .rule = "filtered" },
	{ { F("(&(uidNumber>=20001)(uidNumber<=20001))") }, .text = "wanda", .rule = "filtered" },
	{ { F("(mail=a\\2a\\28b\\29\\5cc@cardmap.test)") }, .text = "nested", .rule = "filtered" },
	{ { F("(uid=nobody-has-it)"), W(MAIL("wanda")) }, .text = "wanda", .rule = "weak-form", .weak = true },
	{ { F("(uid=wanda)"), W(MAIL("wanda")) }, ONLY_STRONG, .text = "wanda", .rule = "filtered" },
	{ { F("(uid=ivan)"), W(MAIL("wanda")) }, SEVERAL, .text = "rule filtered, strong" },
	/* what is a value stays one: LDAP injection */
	{ { W(")(|(uid=*") }, NOBODY, .text = ")(|(uid=*" },
	{ { W("*)(uid=wanda") }, NOBODY, .text = "" },
	{ { W("*") }, NOBODY, .text = "" },
	{ { W(MAIL("wanda") "\0") }, NOBODY, .text = "wanda@cardmap.test\\x00" },
	{ { P("wanda)(objectClass=*") }, NOBODY, .text = "" },
	{ { P("*") }, NOBODY, .text = "" },
	{ { P("") }, NOBODY, .text = "" },
	{ { F("(uid=\\29\\28|\\28uid=\\2a)") }, NOBODY, .text = "" },
	{ { F("(uid=wanda\\00)") }, NOBODY, .text = "" },
};

static void
who_counts(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(whos); i++) {
		check_who(&whos[i], rig("CM_RIG_LDAP_URI"), i);
		check_who(&whos[i], file_uri, i);
	}
}

/* cardmap whois shows them one by one. */
static void
each_candidate_is_an_item(void **state)
{
	static const struct who shared = { .terms = { W(SHARED), P("wanda") } };
	const struct cm_directory_options o = options_for(rig("CM_RIG_LDAP_URI"));
	struct cm_directory *d = must_open(&o);
	struct answer a = ask_who(&shared, d);

	(void)state;
	assert_true(trace_has(a.trace, "candidate", "; uid=ivan,ou=people,dc=cardmap,dc=test; rule weak-form, weak)"));
	assert_true(trace_has(a.trace, "candidate", "ivan-admin (uid "));
	assert_false(trace_has(a.trace, "candidate", "wanda"));
	assert_true(trace_has(a.trace, "pairing ignored", "uid=wanda,"));
	answer_free(&a);
	cm_directory_close(&d);
}

/* A filter that is none, or two, is never sent. */
static void
a_filter_that_does_not_parse_is_not_sent(void **state)
{
	static const struct { struct cm_query_term term; const char *text; } cases[] = {
		{ F("(uid=wanda)(|(uid=*))"), "rule \"filtered\": its filter, column 12: something behind the filter's end" },
		{ F("uid=wanda"), "column 1" },
		{ F("(uid=)(|(uid=*"), "column 7" },
		{ F("(uid=wanda"), "column 11" },
		{ F("(uid=wa\0nda)"), "column 8: a NUL byte" },
		{ F("(&)"), "nothing in the list" },
		{ F(""), "no filter" },
		{ TERM("odd", "uid=*)(uid", "x", STRONG, false), "rule \"odd\": \"uid=*)(uid\" is no LDAP attribute" },
		{ TERM("odd", "", "x", STRONG, false), "no LDAP attribute" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct cm_query_term terms[] = { S(STRONG("01")), cases[i].term };
		const struct cm_query q = { .terms = terms, .count = 2 };
		const struct cm_directory_options o = options_for(rig("CM_RIG_LDAP_URI"));
		struct cm_directory *d = must_open(&o);
		struct answer a = find_query(d, &q, 10000);

		assert_int_equal(cm_directory_stats(d).connections, 0);
		expect(&a, CM_REASON_CONFIG, cases[i].text);
		cm_directory_close(&d);
	}
}

/* Found, and not shown why: it could be anybody's value. */
static void
a_hidden_attribute_is_no_answer(void **state)
{
	static const struct { struct cm_query_term terms[2]; size_t count; } cases[] = {
		{ { TERM("number", "employeeNumber", "4711", STRONG, false) }, 1 },
		{ { F("(employeeNumber=4711)") }, 1 },
		{ { F("(&(objectClass=posixAccount)(employeeNumber=4711))") }, 1 },
		{ { F("(&(uid=nested)(employeeNumber=*))") }, 1 },
		/* beside one that is seen to be meant, it makes them two */
		{ { TERM("number", "employeeNumber", "4711", STRONG, false), S(STRONG("01")) }, 2 },
	};
	const struct cm_directory_options o = options_for(rig("CM_RIG_LDAP_URI"));
	struct cm_directory *d = must_open(&o);

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		const struct cm_query q = { .terms = (struct cm_query_term *)(uintptr_t)cases[i].terms, .count = cases[i].count };
		struct answer a = find_query(d, &q, 10000);

		expect(&a, CM_REASON_DIRECTORY_REFUSED, "finds uid=nested,ou=people,dc=cardmap,dc=test, but does not show its "
		    "employeeNumber");
	}
	cm_directory_close(&d);
}

/* What cannot be judged here is the server's word; the trace says which part, and what was seen to hold needs none. */
static void
the_servers_word_is_told(void **state)
{
	static const struct { const char *filter, *part; } cases[] = {
		{ "(&(uid=wanda)(objectClass=person))", "(objectClass=person)" },
		{ "(&(uid=wanda)(!(nsAccountLock=TRUE)))", "(!(nsAccountLock=TRUE))" },
		{ "(&(ou:dn:=people)(uid=wanda))", "(ou:dn:=people)" },
		{ "(&(uid=wanda)(!(employeeNumber=4711)))", "(!(employeeNumber=4711))" },
	};
	const struct cm_directory_options o = options_for(rig("CM_RIG_LDAP_URI"));
	struct cm_directory *d = must_open(&o);

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct cm_query_term term = { .rule = (char *)(uintptr_t)"filtered", .value = cm_blob_str(cases[i].filter) };
		const struct cm_query q = { .terms = &term, .count = 1 };
		struct answer a = find_query(d, &q, 10000);

		if (a.err != CM_OK)
			fail_msg("%s: %s", cases[i].filter, cm_trace_message(a.trace));
		assert_string_equal(a.account->name, "wanda");
		assert_true(trace_has(a.trace, "server's word", cases[i].part));
		answer_free(&a);
	}
	cm_directory_close(&d);
}

/* Of several filters that only the server can judge, nobody knows which holds: the weak one speaks. */
static void
the_weaker_word_counts(void **state)
{
	struct cm_query_term terms[] = {
		F("(&(uid=wanda)(objectClass=person))"),
		TERM("weak filter", NULL, "(&(cn=wanda)(objectClass=person))", WEAK, false),
	};
	const struct cm_query q = { .terms = terms, .count = 2 };
	const struct cm_directory_options o = options_for(rig("CM_RIG_LDAP_URI"));
	struct cm_directory *d = must_open(&o);
	struct answer a = find_query(d, &q, 10000);

	(void)state;
	assert_int_equal(a.err, CM_OK);
	assert_string_equal(a.account->rule, "weak filter");
	assert_true(a.account->weak);
	answer_free(&a);
	cm_directory_close(&d);
}

/* A file has nobody who could give his word. */
static void
a_file_cannot_judge_everything(void **state)
{
	struct cm_query_term term = F("(&(uid=wanda)(memberOf:1.2.840.113556.1.4.1941:=cn=x))");
	const struct cm_query q = { .terms = &term, .count = 1 };
	const struct cm_directory_options o = options_for(file_uri);
	struct cm_directory *d = must_open(&o);
	struct answer a = find_query(d, &q, 10000);

	(void)state;
	expect(&a, CM_REASON_CONFIG, "rule \"filtered\": only an LDAP server can tell what "
	    "(memberOf:1.2.840.113556.1.4.1941:=cn=x)");
	cm_directory_close(&d);
}

/* Attack: a server that shows somebody who was not asked for. */
static void
a_liar_is_not_believed(void **state)
{
	struct fake f = fake_start(FAKE_LIAR, "ldap", "127.0.0.1", 0);
	struct cm_directory_options o = options_for(f.uri);
	struct cm_query_term term = F("(&(objectClass=x)(altSecurityIdentities=" FAKE_IDENTITY "))");
	const struct cm_query q = { .terms = &term, .count = 1 };
	struct cm_directory *d;
	struct answer a;

	(void)state;
	o.starttls = false;
	d = must_open(&o);
	a = find_query(d, &q, 10000);
	assert_true(trace_has(a.trace, "entry ignored", "uid=mallory"));
	expect(&a, CM_REASON_NO_ACCOUNT, "no account");
	cm_directory_close(&d);
	fake_stop(&f);
}

/* Where names are compared exactly, two entries may differ in the case of theirs alone; a file does not hold such. */
static void
entries_that_differ_in_case_are_two(void **state)
{
#define KIM(dn, name, number) \
	"dn: cardNote=" dn ",ou=people,dc=cardmap,dc=test\n" \
	"objectClass: inetOrgPerson\nobjectClass: posixAccount\nobjectClass: cardPerson\ncardNote: " dn "\n" \
	"uid: " name "\ncn: kim\nsn: Test\nuidNumber: " number "\ngidNumber: 10000\nhomeDirectory: /home/kim\n" \
	A(ALT, MAIL("kim"))
	static const char *const twins[] = { KIM("Kim", "kim", "20021"), KIM("kim", "kim-admin", "20022") };
	const struct who who = { { W(MAIL("kim")) }, SEVERAL, .text = "kim-admin" };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(twins); i++) {
		struct cm_buf text = { 0 };
		struct cm_ldif *l = NULL;

		cm_buf_add_str(&text, twins[i]);
		assert_int_equal(cm_ldif_parse(&text, "twins", NULL, &l), CM_OK);
		fill_slapd(l);
		cm_ldif_free(&l);
	}
	check_who(&who, rig("CM_RIG_LDAP_URI"), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_counts),
		cmocka_unit_test(each_candidate_is_an_item),
		cmocka_unit_test(a_filter_that_does_not_parse_is_not_sent),
		cmocka_unit_test(a_hidden_attribute_is_no_answer),
		cmocka_unit_test(the_servers_word_is_told),
		cmocka_unit_test(the_weaker_word_counts),
		cmocka_unit_test(a_file_cannot_judge_everything),
		cmocka_unit_test(a_liar_is_not_believed),
		cmocka_unit_test(entries_that_differ_in_case_are_two),
	};

	return cmocka_run_group_tests(tests, fill_both, remove_file);
}
