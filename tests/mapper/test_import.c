/* tests/mapper/test_import.c - an import put into force, or written as cardmap.conf and read again, is the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "mapper/import.h"

/* A file with this content, or NULL for none, to be loaded as cardmap.conf. */
static struct cm_conf *
load(const char *text, struct cm_trace *t)
{
	char path[] = "/tmp/cardmap-import-XXXXXX";
	const int fd = mkstemp(path);
	struct cm_conf *c = NULL;
	enum cm_err err;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	err = cm_conf_load(path, t, &c);
	unlink(path);
	if (err != CM_OK)
		fail_msg("%s\n%s", cm_trace_message(t), text);
	return c;
}

static struct cm_trace *
new_trace(void)
{
	struct cm_trace *t = NULL;

	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "import");
	return t;
}

static char *
copy(const char *s)
{
	char *p = s != NULL ? strdup(s) : NULL;

	assert_true(s == NULL || p != NULL);
	return p;
}

static const char *const hostile[] = {
	"plain", "a b", "it's", "\"quoted\"", "back\\slash", "\\", "\\\\", "'", "\\'", "''", "ends with \\",
	"{cert!bin}", "{{literal}}", "}", "{", "a\nb", "\n", "a\\\nb", "cr\rlf\r\n", "tab\t", "# no comment", "a # b",
	"// no", "/* no", "*/", "${HOME}", "$1", "a=b", "a,b", "(a)", "end-of-file = \"\"", "rule 'x' {",
	"\xc3\xbc", "\xff\xfe", "\x01\x1b[31m", "\x7f", "}\nrule \"y\" { filter = z }\n", "+=", "&&<ISSUER>^CN=\\\\.$",
	"\x1b${HOME} \"q\" \\n 'x' $y \\", "\xc2\x9b" "31m", "\x1b" "a0", "\xc3\x84\x07\n\t#\xc3\x84", "\x80$", "\r",
};

/* What is printed does nothing to a terminal, whatever was read. */
static void
expect_harmless(const char *text)
{
	for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
		assert_true(*p >= ' ' || *p == '\n' || *p == '\t');
		assert_true(*p != 0x7F && (*p != 0xC2 || p[1] >= 0xA0));
	}
}

static void
expect_text(const char *got, const char *want)
{
	if (want == NULL)
		assert_null(got);
	else
		assert_string_equal(got, want);
}

static void
expect_rule(const struct cm_conf_rule *got, const struct cm_conf_rule *want)
{
	size_t n = 0;

	expect_text(got->name, want->name);
	expect_text(got->match, want->match);
	expect_text(got->issuer, want->issuer);
	expect_text(got->upn_suffix, want->upn_suffix);
	expect_text(got->attribute, want->attribute);
	expect_text(got->value, want->value);
	expect_text(got->filter, want->filter);
	expect_text(got->map_file, want->map_file);
	assert_int_equal(got->priority, want->priority);
	assert_int_equal(got->ignore_case, want->ignore_case);
	assert_int_equal(got->local, want->local);
	expect_text(got->level, want->level);
	for (; want->domains != NULL && want->domains[n] != NULL; n++)
		assert_string_equal(got->domains[n], want->domains[n]);
	assert_true(n == 0 ? got->domains == NULL || got->domains[0] == NULL : got->domains[n] == NULL);
}

/* Whatever a text holds, cardmap.conf gives it back. */
static void
hostile_texts(void **state)
{
	struct cm_trace *t = new_trace();
	struct cm_import *i = NULL;
	struct cm_conf *c;
	struct cm_buf b;

	(void)state;
	assert_int_equal(cm_import_new("evil\nrule 'x' { }\n.plist", "Test", &i), CM_OK);
	for (size_t k = 0; k < CM_COUNT(hostile); k++) {
		struct cm_conf_rule r = { .priority = k % 2 == 0 ? (uint32_t)k : CM_RULE_PRIORITY_LAST };

		r.name = copy(hostile[k]);
		r.origin = copy("evil\norigin:1");
		r.match = copy(hostile[k]);
		r.filter = k % 2 == 0 ? copy(hostile[k]) : NULL;
		r.attribute = k % 2 != 0 ? copy(hostile[k]) : NULL;
		r.value = k % 2 != 0 ? copy(hostile[k]) : NULL;
		r.map_file = k % 2 != 0 ? copy(hostile[k]) : NULL;
		r.ignore_case = k % 2 != 0;
		r.local = k % 3 == 0;
		r.level = k % 5 == 0 ? copy("hard 72h") : NULL;
		r.issuer = copy(hostile[k]);
		r.upn_suffix = copy(hostile[k]);
		if (k % 3 == 1) {
			assert_non_null(r.domains = calloc(3, sizeof(*r.domains)));
			r.domains[0] = copy(hostile[k]);
			r.domains[1] = copy("x");
		}
		assert_int_equal(cm_import_add_rule(i, 0, &r), CM_OK);
		assert_null(r.name);
		assert_int_equal(cm_import_set(i, (int)k, "trust.crl", hostile[k]), CM_OK);
		assert_int_equal(cm_import_note(i, (int)k, "%s", hostile[k]), CM_OK);
	}
	assert_int_equal(cm_import_set(i, 1, "directory.base", hostile[4]), CM_OK);
	cm_buf_init(&b, 0);
	assert_int_equal(cm_import_write(i, &b), CM_OK);
	expect_harmless(cm_buf_str(&b));
	c = load(cm_buf_str(&b), t);
	assert_int_equal(c->rule_count, CM_COUNT(hostile));
	for (size_t k = 0; k < CM_COUNT(hostile); k++) {
		expect_rule(&c->rules[k], &i->rules[k]);
		assert_string_equal(c->trust.crl[k], hostile[k]);
	}
	assert_null(c->trust.crl[CM_COUNT(hostile)]);
	assert_string_equal(c->directory.base, hostile[4]);
	cm_buf_free(&b);
	cm_conf_free(&c);
	cm_import_free(&i);
	cm_trace_free(&t);
}

/* Each thing stands under the line it came from; what has no counterpart at the end. */
static void
written(void **state)
{
	static const char want[] =
	    "# From Test: a.conf\n\ntrust {\n\t# a.conf:3\n\tpins = { 'aa', 'bb' }\n\t# a.conf:9\n\tlevel = 'hard'\n}\n"
	    "\naccounts {\n\t# a.conf:4\n\tuser_pairing = 'no'\n}\n"
	    "\n# a.conf:7\nrule 'r' {\n\tfilter = '(uid={common_name})'\n\tpriority = 5\n}\n"
	    "\n# a.conf:8\nrule 'r (2)' {\n\tfilter = 'x'\n}\n"
	    "\n# Has no counterpart, or differs:\n# a.conf:2: colour: has none\n# a.conf: as a whole\n";
	struct cm_conf_rule r = { .priority = 5 }, second = { .priority = CM_RULE_PRIORITY_LAST };
	struct cm_import *i = NULL;
	struct cm_buf b;

	(void)state;
	assert_int_equal(cm_import_new("a.conf", "Test", &i), CM_OK);
	r.name = copy("r");
	r.origin = copy("a.conf:7");
	r.filter = copy("(uid={common_name})");
	second.name = copy("r");
	second.origin = copy("a.conf:8");
	second.filter = copy("x");
	assert_int_equal(cm_import_add_rule(i, 0, &r), CM_OK);
	assert_int_equal(cm_import_add_rule(i, 0, &second), CM_OK);
	assert_int_equal(cm_import_set(i, 3, "trust.pins", "aa"), CM_OK);
	assert_int_equal(cm_import_set(i, 4, "accounts.user_pairing", "no"), CM_OK);
	assert_int_equal(cm_import_set(i, 5, "trust.pins", "bb"), CM_OK);
	assert_int_equal(cm_import_set(i, 9, "trust.level", "hard"), CM_OK);
	assert_int_equal(cm_import_note(i, 2, "%s: has none", "colour"), CM_OK);
	assert_int_equal(cm_import_note(i, 0, "as a whole"), CM_OK);
	assert_string_equal(cm_import_find(i, "trust.pins")->values[1], "bb");
	assert_null(cm_import_find(i, "trust.crl"));
	cm_buf_init(&b, 0);
	assert_int_equal(cm_import_write(i, &b), CM_OK);
	assert_string_equal(cm_buf_str(&b), want);
	cm_buf_free(&b);
	cm_import_free(&i);
}

struct shown {
	const char *key;
	char text[256];
};

static void
remember(void *arg, const struct cm_conf_item *item)
{
	struct shown *s = arg;

	if (strcmp(item->key, s->key) == 0)
		snprintf(s->text, sizeof(s->text), "%s from %s", item->value, item->origin);
}

static void
expect_shown(const struct cm_conf *c, const char *key, const char *want)
{
	struct shown s = { .key = key };

	cm_conf_each(c, remember, &s);
	assert_string_equal(s.text, want);
}

/* In force: what nobody set comes from the file, and says so; what cardmap.conf says stays. */
static void
applied(void **state)
{
	static const char plist[] = "<plist><dict>\n<key>checkCertificateTrust</key><integer>3</integer>\n"
	    "<key>UserPairing</key><false/>\n<key>oneCardPerUser</key><true/>\n<key>AttributeMapping</key><dict>\n"
	    "<key>fields</key><array><string>Common Name</string></array>\n<key>formatString</key><string>$1</string>\n"
	    "<key>dsAttributeString</key><string>dsAttrTypeNative:cn</string></dict></dict></plist>";
	struct cm_trace *t = new_trace();
	struct cm_import *i = NULL;
	struct cm_conf *c = load("accounts { user_pairing = yes }\nrule first { filter = '(uid={sid})' }", t);

	(void)state;
	assert_int_equal(cm_import_plist(cm_blob_str(plist), "p", t, &i), CM_OK);
	assert_int_equal(cm_conf_set(c, "accounts.one_card_per_user=no", "command line", t), CM_OK);
	assert_int_equal(cm_import_apply(i, c, t), CM_OK);
	expect_shown(c, "trust.level", "hard from p:2");
	expect_shown(c, "accounts.one_card_per_user", "no from command line");
	assert_true(c->accounts.user_pairing);
	assert_int_equal(c->rule_count, 2);
	assert_string_equal(c->rules[0].name, "first");
	assert_string_equal(c->rules[1].name, "AttributeMapping");
	assert_string_equal(c->rules[1].origin, "p:5");
	cm_import_free(&i);
	cm_conf_free(&c);
	cm_trace_free(&t);
}

/* mapper.plist is read where it exists; a mistake in it is a mistake of the configuration. */
static void
configured(void **state)
{
	char path[] = "/tmp/cardmap-plist-XXXXXX", text[128];
	struct cm_trace *t = new_trace();
	const int fd = mkstemp(path);
	struct cm_conf *c;

	(void)state;
	assert_true(fd >= 0);
	snprintf(text, sizeof(text), "mapper { plist = '%s' }", path);
	c = load(text, t);
	assert_int_equal(cm_import_configured(c, t), CM_ERR_CONFIG);
	assert_non_null(strstr(cm_trace_message(t), "is empty"));
	assert_non_null(strstr(cm_trace_find(t, "mistake"), path));
	assert_true(dprintf(fd, "<plist><dict>\n<key>checkCertificateTrust</key><integer>1</integer></dict></plist>") > 0);
	assert_int_equal(cm_import_configured(c, t), CM_OK);
	assert_int_equal(c->trust.level.level, 1);
	close(fd);
	unlink(path);
	assert_int_equal(cm_import_configured(c, t), CM_ERR_CONFIG);	/* named, and gone */
	assert_non_null(strstr(cm_trace_message(t), "no such file; see mapper.plist"));
	cm_conf_free(&c);
	c = load("mapper { plist = '' }", t);
	assert_int_equal(cm_import_configured(c, t), CM_OK);
	cm_conf_free(&c);
	cm_trace_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hostile_texts),
		cmocka_unit_test(written),
		cmocka_unit_test(applied),
		cmocka_unit_test(configured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
