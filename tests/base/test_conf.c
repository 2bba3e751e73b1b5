/* tests/base/test_conf.c - every key, every mistake with its line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/conf.h"

struct file {
	char path[64];
	struct cm_trace *trace;
	struct cm_conf *conf;
};

static enum cm_err
load(struct file *f, const char *text)
{
	int fd;

	*f = (struct file){ .path = "/tmp/cardmap-conf-XXXXXX" };
	assert_true((fd = mkstemp(f->path)) >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	assert_int_equal(cm_trace_new(&f->trace), CM_OK);
	cm_trace_begin(f->trace, "configuration");
	return cm_conf_load(f->path, f->trace, &f->conf);
}

static void
done(struct file *f)
{
	unlink(f->path);
	cm_conf_free(&f->conf);
	cm_trace_free(&f->trace);
}

static const char whole[] =
    "# a comment\n"
    "directory {\n"
    "  uri = { 'ldap://127.0.0.1:389', \"ldaps://127.0.0.2\" }\n"
    "  base = 'dc=example,dc=test'\n"
    "  starttls = no\n"
    "  timeout = 250\n"
    "}\n"
    "trust {\n"
    "  level = hard\n"
    "  anchors = '/etc/cardmap/root.pem'\n"
    "}\n";

static void
test_values(void **state)
{
	struct file f;

	(void)state;
	assert_int_equal(load(&f, whole), CM_OK);
	assert_string_equal(f.conf->directory.uri[0], "ldap://127.0.0.1:389");
	assert_string_equal(f.conf->directory.uri[1], "ldaps://127.0.0.2");
	assert_null(f.conf->directory.uri[2]);
	assert_string_equal(f.conf->directory.base, "dc=example,dc=test");
	assert_false(f.conf->directory.starttls);
	assert_int_equal(f.conf->directory.timeout, 250);
	assert_int_equal(f.conf->trust.level.level, 3);
	assert_string_equal(f.conf->trust.anchors[0], "/etc/cardmap/root.pem");
	/* and what was not said has its default */
	assert_null(f.conf->directory.ca);
	assert_null(f.conf->trust.crl[0]);
	assert_int_equal(f.conf->accounts.first_uid, 1000);
	assert_string_equal(f.conf->trust.intermediates[0], "/etc/cardmap/intermediates.d");
	assert_true(cm_conf_is_default(f.conf, "trust.intermediates"));
	assert_false(cm_conf_is_default(f.conf, "trust.anchors"));
	assert_null(f.conf->trust.anchors[1]);
	done(&f);
}

/* A list that goes on with += loses nothing; a byte order mark is no part of the first key. */
static void
test_list_goes_on(void **state)
{
	struct file f;

	(void)state;
	assert_int_equal(load(&f, "\xef\xbb\xbftrust {\n crl = {\n '/a'\n }\n crl += { '/b', '/c'\n }\n crl += '/d'\n}\n"), CM_OK);
	assert_string_equal(f.conf->trust.crl[0], "/a");
	assert_string_equal(f.conf->trust.crl[2], "/c");
	assert_string_equal(f.conf->trust.crl[3], "/d");
	assert_null(f.conf->trust.crl[4]);
	done(&f);
}

/* Comments stand anywhere; what looks like one inside a value is part of it. */
static void
test_comments(void **state)
{
	struct file f;

	(void)state;
	assert_int_equal(load(&f, "#\ndirectory { uri = { 'a#b', # first\n \"c//d /* e\", /* last */ 'f\\'#g' }\n"
	    "//\n base = /* x */ \"o=x//y\"\n ca = /etc/ca.pem# no\n}\nkerberos { kdc = ldap://h }# end"), CM_OK);
	assert_string_equal(f.conf->directory.uri[0], "a#b");
	assert_string_equal(f.conf->directory.uri[1], "c//d /* e");
	assert_string_equal(f.conf->directory.uri[2], "f'#g");
	assert_string_equal(f.conf->directory.base, "o=x//y");
	assert_string_equal(f.conf->directory.ca, "/etc/ca.pem");
	assert_string_equal(f.conf->kerberos.kdc[0], "ldap://h");
	done(&f);
}

/* Each mistake: what is wrong is named with file, line, key and what is expected. */
static void
test_mistakes(void **state)
{
	static const struct { const char *text, *says; } rows[] = {
		{ "directory {\n timeout = 10\n}\n", ":2: directory.timeout = 10: out of range; expected 50 to 60000 ms" },
		{ "directory {\n timeout = soon\n}\n", ":2: directory.timeout = soon: expected a number" },
		{ "directory {\n timeout = 99999999999999999999\n}\n", "out of range" },
		{ "directory {\n starttls = maybe\n}\n", ":2: directory.starttls = maybe: expected yes or no" },
		{ "directory {\n base = ''\n}\n", ":2: directory.base = : expected a value" },
		{ "trust {\n pins = { '' }\n}\n", ":2: trust.pins = : expected a value" },
		{ "trust {\n\n level = medium\n}\n", ":3: trust.level = medium: no such choice; expected one of off, chain, soft, hard" },
		{ "trust {\n level = 'chain 72h'\n}\n", ":2: trust.level = chain 72h: there is no evidence at this level" },
		{ "trust {\n level = 'hard 72'\n}\n", ":2: trust.level = hard 72: the age needs a unit: s, m, h or d" },
		{ "trust {\n level = 'hard 0h'\n}\n", ":2: trust.level = hard 0h: the age is out of range" },
		{ "trust {\n level = 'hard 3651d'\n}\n", ":2: trust.level = hard 3651d: the age is out of range" },
		{ "trust {\n level = 'hard soon'\n}\n", "the age is no number; expected one of off, chain, soft, hard, and behind soft or hard an age, as in 'soft 72h'" },
		{ "trust {\n check = some\n}\n", ":2: trust.check = some: no such choice; expected one of all, leaf" },
		{ "trust {\n undated_max = 604801\n}\n", ":2: trust.undated_max = 604801: out of range; expected 0 to 604800 s" },
		{ "trust {\n crl_mirror = 'http://a/'\n}\n", ":2: trust.crl_mirror = http://a/: expected two addresses, 'FROM TO'" },
		{ "trust {\n crl_mirror = 'http://a/ http://b/ http://c/'\n}\n", ": expected two addresses" },
		{ "trust {\n crl_mirror = 'http://a/\thttp://b/'\n}\n", ": expected two addresses" },
		{ "trust {\n crl_mirror = { 'http://a/ http://b/', 'http://a/ file:///b' }\n}\n", ": expected addresses that begin with http://" },
		{ "trust {\n crl_mirror = 'http://a/ https:///b'\n}\n", ": the second address names no server" },
		{ "rule a {\n filter = x\n level = off\n}\n", ":3: rule \"a\": level = off: the chain is checked before anybody is asked" },
		{ "rule a {\n filter = x\n level = 'strict'\n}\n", ":3: rule \"a\": level = strict: no such choice; expected one of chain, soft, hard" },
		{ "rule a {\n filter = x\n level = ''\n}\n", ":3: rule \"a\": level = : expected a value" },
		{ "trust {\n level = soft\n level = hard\n}\n", ":3: trust.level: given before, on line 2" },
		/* of two lists the first would be gone */
		{ "trust {\n pins = a\n crl = '/a'\n crl = '/b'\n}\n", ":4: trust.crl: given before, on line 3: keep one of them, as { 'A', 'B' }" },
		{ "trust {\n pins = { a, b }\n}\ntrust {\n pins = { a,\n c }\n}\n", ":5: trust.pins: given before, on line 2" },
		{ "mapper {\n forms = { }\n}\n", ":2: { } has no value: leave the key out" },
		{ "rule a {\n filter = '= {}'\n domains =\n {\n } }\n", ":3: { } has no value" },
		{ "rule a {\n filter = x\n domains = a\n domains = b\n}\n", ":4: rule \"a\": domains: given before, on line 3" },
		{ "trust {\n colour = red\n}\n", ":2: no such option 'colour'" },
		{ "# one\ntrust { // two\n /* three\n four */ level = hard # five\n colour = red\n}\n", ":5: no such option 'colour'" },
		{ "nonsense {\n}\n", ":1: no such option 'nonsense'" },
		{ "trust {\n level = hard\n", ":4: the file ends before" },
		{ "trust {\n level = hard\n}\n/* never closed", "the file ends before" },
		{ "accounts {\n path = \"/var/lib\n}\n", "the file ends before" },
		/* rules */
		{ "\n#\nrule \"a\" {\n}\n", ":3: rule \"a\" asks for nothing: add attribute and value, or filter" },
		{ "rule a {\n\n filter = '(a={sid})'\n value = 'x'\n}\n", ":3: rule \"a\": filter stands beside attribute or value" },
		{ "rule a {\n attribute = x\n}\n", ":2: rule \"a\": attribute has no value: add value" },
		{ "rule a {\n value = '{sid}'\n}\n", ":2: rule \"a\": value has no attribute: add attribute" },
		{ "rule a {\n filter = ''\n}\n", ":2: rule \"a\": filter = : expected a value" },
		{ "rule a {\n filter = '(a={sid})'\n map_file = '/x'\n}\n", ":3: rule \"a\": map_file needs one value" },
		{ "rule a {\n filter = '(a={sid})'\n ignore_case = yes\n}\n", ":3: rule \"a\": ignore_case is for a value" },
		{ "rule a {\n priority = first\n filter = x\n}\n", ":2: rule \"a\": priority = first: expected a number; expected 0 to 4294967295" },
		{ "rule a {\n priority = 4294967296\n filter = x\n}\n", ":2: rule \"a\": priority = 4294967296: out of range" },
		{ "rule a {\n accounts = mine\n filter = x\n}\n", ":2: rule \"a\": accounts = mine: no such choice; expected one of directory, local" },
		{ "rule a {\n filter = x\n filter = y\n}\n", ":3: rule \"a\": filter: given before, on line 2: keep one" },
		{ "rule 'it''s' {\n colour = red\n}\n", ":1: missing opening brace" },
		{ "rule \"it's\" {\n colour = red\n}\n", ":2: rule \"it's\": no such option 'colour'; a rule has match, issuer, upn_suffix" },
		{ "rule {\n filter = x\n}\n", ":1: missing title for section 'rule'; write rule \"NAME\" {" },
		{ "rule '' {\n filter = x\n}\n", ":1: rule \"\": give it a name" },
		{ "rule a {\n filter = x\n}\nrule b {\n filter = x\n}\nrule a {\n filter = y\n}\n", ":7: found duplicate title 'a': give each rule a name" },
		{ "rule a {\n filter = x\n", "the file ends before" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct file f;

		assert_int_equal(load(&f, rows[i].text), CM_ERR_CONFIG);
		assert_null(f.conf);
		if (strstr(cm_trace_message(f.trace), rows[i].says) == NULL)
			fail_msg("\"%s\" does not say \"%s\"", cm_trace_message(f.trace), rows[i].says);
		assert_non_null(strstr(cm_trace_message(f.trace), f.path));
		done(&f);
	}
}

static const char rules[] =
    "rule \"by {serial}\" {\n"
    "  match = '<ISSUER>^CN=\\\\. \\'x\\'$'\n"
    "  issuer = \"CN=Issuing CA,O=Example\"\n"
    "  attribute = altSecurityIdentities value = 'X509:<I>{issuer_dn!pkca}<SR>{serial_number!hex_r}'\n"
    "  domains = { example.org, 'b.org' }\n"
    "  priority = 0\n"
    "}\n"
    "trust { level = hard }\n"
    "# rule \"not\" { filter = x }\n"
    "\n"
    "rule two { # the second\n"
    "  filter = '(a={sid}\n)' accounts = local\n"
    "  map_file = '/etc/cardmap/map'\n"
    "}\n";

/* Rules keep their order and their text; every key knows its line. */
static void
test_rules(void **state)
{
	static const char *const usual = "rule b { attribute = uid value = '{common_name}' upn_suffix = 'x.org' "
	    "ignore_case = yes map_file = '/m' }\n\nrule a { filter = '(uid={sid})' }";
	const struct cm_conf_rule *r;
	struct file f;

	(void)state;
	assert_int_equal(load(&f, rules), CM_ERR_CONFIG);	/* map_file beside filter */
	assert_non_null(strstr(cm_trace_message(f.trace), ":14: rule \"two\": map_file"));
	done(&f);
	assert_int_equal(load(&f, usual), CM_OK);
	assert_int_equal(f.conf->rule_count, 2);
	r = f.conf->rules;
	assert_string_equal(r[0].name, "b");
	assert_string_equal(r[0].attribute, "uid");
	assert_string_equal(r[0].value, "{common_name}");
	assert_string_equal(r[0].upn_suffix, "x.org");
	assert_string_equal(r[0].map_file, "/m");
	assert_true(r[0].ignore_case);
	assert_false(r[0].local);
	assert_null(r[0].match);
	assert_int_equal(r[0].priority, CM_RULE_PRIORITY_LAST);
	assert_string_equal(r[1].name, "a");
	assert_non_null(strstr(r[1].origin, ":3"));
	assert_string_equal(r[1].filter, "(uid={sid})");
	done(&f);
}

static void
expect_place(const struct file *f, size_t rule, enum cm_rule_key k, const char *want)
{
	struct cm_buf b;

	cm_buf_init(&b, 0);
	cm_conf_rule_place(&f->conf->rules[rule], k, &b);
	assert_memory_equal(cm_buf_str(&b), f->path, strlen(f->path));
	assert_string_equal(cm_buf_str(&b) + strlen(f->path), want);
	cm_buf_free(&b);
}

static void
test_rule_places(void **state)
{
	char text[sizeof(rules)];
	struct file f;

	(void)state;
	memcpy(text, rules, sizeof(rules));
	memcpy(strstr(text, "map_file"), "#       ", 8);
	assert_int_equal(load(&f, text), CM_OK);
	assert_int_equal(f.conf->rule_count, 2);
	assert_string_equal(f.conf->rules[0].name, "by {serial}");
	assert_string_equal(f.conf->rules[0].match, "<ISSUER>^CN=\\. 'x'$");
	assert_string_equal(f.conf->rules[0].domains[1], "b.org");
	assert_null(f.conf->rules[0].domains[2]);
	assert_int_equal(f.conf->rules[0].priority, 0);
	assert_string_equal(f.conf->rules[1].filter, "(a={sid}\n)");
	assert_true(f.conf->rules[1].local);
	expect_place(&f, 0, CM_RULE_KEYS, ":1");
	expect_place(&f, 0, CM_RULE_KEY_MATCH, ":2");
	expect_place(&f, 0, CM_RULE_KEY_VALUE, ":4");
	expect_place(&f, 0, CM_RULE_KEY_DOMAINS, ":5");
	expect_place(&f, 0, CM_RULE_KEY_FILTER, ":1");	/* not given */
	expect_place(&f, 1, CM_RULE_KEYS, ":11");
	expect_place(&f, 1, CM_RULE_KEY_ACCOUNTS, ":13");
	done(&f);
}

/* Revocation: each key with another value than its default. */
static void
test_revocation(void **state)
{
	static const char text[] = "trust {\n level = 'soft 72h' check = leaf order = crl ask_always = yes undated_max = 0\n"
	    " crl_mirror = { 'http://a/ https://b/x', 'ldap:///CN=a  ldap://c/' } ocsp_get = on ocsp_hash = sha256\n"
	    " private_redirects = yes\n}\nrule a { filter = x level = '3 90s' }\nrule b { filter = x level = chain }\n"
	    "rule c { filter = x }\n";
	struct file f;

	(void)state;
	assert_int_equal(load(&f, ""), CM_OK);
	assert_int_equal(f.conf->trust.level.level, 2);
	assert_int_equal(f.conf->trust.level.max_age, 0);
	assert_int_equal(f.conf->trust.check, CM_CHECK_ALL);
	assert_int_equal(f.conf->trust.order, CM_ORDER_OCSP);
	assert_int_equal(f.conf->trust.ocsp_hash, CM_OCSP_HASH_SHA1);
	assert_int_equal(f.conf->trust.undated_max, 3600);
	assert_false(f.conf->trust.ask_always || f.conf->trust.ocsp_get || f.conf->trust.private_redirects);
	assert_null(f.conf->trust.crl_mirror[0]);
	done(&f);
	assert_int_equal(load(&f, text), CM_OK);
	assert_int_equal(f.conf->trust.level.level, 2);
	assert_int_equal(f.conf->trust.level.max_age, 72 * 3600);
	assert_int_equal(f.conf->trust.check, CM_CHECK_LEAF);
	assert_int_equal(f.conf->trust.order, CM_ORDER_CRL);
	assert_int_equal(f.conf->trust.ocsp_hash, CM_OCSP_HASH_SHA256);
	assert_int_equal(f.conf->trust.undated_max, 0);
	assert_true(f.conf->trust.ask_always && f.conf->trust.ocsp_get && f.conf->trust.private_redirects);
	assert_string_equal(f.conf->trust.crl_mirror[1], "ldap:///CN=a  ldap://c/");
	assert_string_equal(f.conf->rules[0].level, "hard 90s");
	assert_string_equal(f.conf->rules[1].level, "chain");
	assert_null(f.conf->rules[2].level);
	done(&f);
}

/* A level is taken or not, and shown as it would be written. */
static void
test_levels(void **state)
{
	static const struct { const char *text; unsigned level, max_age; const char *shown; } rows[] = {
		{ "off", 0, 0, "off" }, { "0", 0, 0, "off" }, { "chain", 1, 0, "chain" }, { "1", 1, 0, "chain" },
		{ "soft", 2, 0, "soft" }, { "3", 3, 0, "hard" }, { "soft 72h", 2, 259200, "soft 72h" },
		{ "2 72h", 2, 259200, "soft 72h" }, { "hard\t 3d", 3, 259200, "hard 72h" }, { "hard 7d", 3, 604800, "hard 7d" },
		{ "hard 168h", 3, 604800, "hard 7d" }, { "hard 25h", 3, 90000, "hard 25h" }, { "soft 90m", 2, 5400, "soft 90m" },
		{ "soft 61s", 2, 61, "soft 61s" }, { "soft 3650d", 2, 315360000, "soft 3650d" },
		{ "", 9, 0, NULL }, { "4", 9, 0, NULL }, { "22", 9, 0, NULL }, { "Soft", 9, 0, NULL }, { "softer", 9, 0, NULL },
		{ "soft ", 9, 0, NULL }, { " soft", 9, 0, NULL }, { "soft 72", 9, 0, NULL }, { "soft 72hh", 9, 0, NULL },
		{ "soft 7 h", 9, 0, NULL }, { "soft -1h", 9, 0, NULL }, { "soft 1w", 9, 0, NULL }, { "off 1h", 9, 0, NULL },
		{ "1 1h", 9, 0, NULL }, { "hard 3651d", 9, 0, NULL }, { "hard 99999999999999999999h", 9, 0, NULL },
		{ "hard 72h 1h", 9, 0, NULL },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_conf_level l = { 9, 9 };
		struct cm_buf b = { 0 };

		if (cm_conf_level_parse(rows[i].text, &l) != (rows[i].shown != NULL))
			fail_msg("\"%s\"", rows[i].text);
		assert_int_equal(l.level, rows[i].level);
		assert_int_equal(l.max_age, rows[i].shown != NULL ? rows[i].max_age : 9);
		if (rows[i].shown != NULL) {
			cm_conf_level_text(&l, &b);
			assert_string_equal(cm_buf_str(&b), rows[i].shown);
		}
		cm_buf_free(&b);
	}
}

/* What another file says holds where this one and the command line are silent. */
static void
test_set_default(void **state)
{
	char *one[] = { "2", NULL }, *two[] = { "a", "b", NULL }, *bad[] = { "7", NULL };
	struct file f;

	(void)state;
	assert_int_equal(load(&f, whole), CM_OK);
	assert_int_equal(cm_conf_set_default(f.conf, "trust.level", one, "p:3", f.trace), CM_ERR_ABSENT);
	assert_int_equal(f.conf->trust.level.level, 3);
	assert_int_equal(cm_conf_set_default(f.conf, "trust.pins", two, "p:4", f.trace), CM_OK);
	assert_string_equal(f.conf->trust.pins[1], "b");
	assert_null(f.conf->trust.pins[2]);
	assert_int_equal(cm_conf_set_default(f.conf, "trust.pins", two, "p:5", f.trace), CM_ERR_ABSENT);
	assert_int_equal(cm_conf_set_default(f.conf, "accounts.first_uid", bad + 1, "p:5", f.trace), CM_OK);
	assert_int_equal(cm_conf_set_default(f.conf, "mapper.binding", bad, "p:5", f.trace), CM_ERR_CONFIG);
	assert_non_null(strstr(cm_trace_message(f.trace), "p:5: mapper.binding = 7: no such choice"));
	assert_int_equal(cm_conf_set_default(f.conf, "mapper.what", one, "p:5", f.trace), CM_ERR_CONFIG);
	done(&f);
}

/* A file that others can write is not a configuration (time of check: the open file is judged). */
static void
test_writable_by_others(void **state)
{
	struct file f;
	struct cm_conf *conf = NULL;

	(void)state;
	assert_int_equal(load(&f, whole), CM_OK);
	assert_int_equal(chmod(f.path, 0622), 0);
	assert_int_equal(cm_conf_load(f.path, f.trace, &conf), CM_ERR_CONFIG);
	assert_non_null(strstr(cm_trace_message(f.trace), "others may write"));
	assert_int_equal(cm_conf_load("/nonexistent/cardmap.conf", f.trace, &conf), CM_ERR_CONFIG);
	assert_null(conf);
	done(&f);
}

static void
remember_origin(void *arg, const struct cm_conf_item *item)
{
	if (strcmp(item->key, "trust.level") == 0)
		snprintf(arg, 128, "%s from %s", item->value, item->origin);
	assert_true(strlen(item->help) > 0);
}

static void
test_set(void **state)
{
	char text[128];
	struct file f;

	(void)state;
	assert_int_equal(load(&f, whole), CM_OK);
	assert_int_equal(cm_conf_set(f.conf, "trust.level=chain", "command line", f.trace), CM_OK);
	assert_int_equal(cm_conf_set(f.conf, "directory.uri=ldif:a=b.ldif", "command line", f.trace), CM_OK);
	assert_string_equal(f.conf->directory.uri[0], "ldif:a=b.ldif");
	assert_null(f.conf->directory.uri[1]);
	cm_conf_each(f.conf, remember_origin, text);
	assert_string_equal(text, "chain from command line");
	assert_int_equal(cm_conf_set(f.conf, "trust.level=9", "x", f.trace), CM_ERR_USAGE);
	assert_int_equal(cm_conf_set(f.conf, "trust.nothing=9", "x", f.trace), CM_ERR_USAGE);
	assert_int_equal(cm_conf_set(f.conf, "trust", "x", f.trace), CM_ERR_USAGE);
	assert_int_equal(f.conf->trust.level.level, 1);
	done(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_list_goes_on),
		cmocka_unit_test(test_comments),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_writable_by_others),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_rule_places),
		cmocka_unit_test(test_set_default),
		cmocka_unit_test(test_revocation),
		cmocka_unit_test(test_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
