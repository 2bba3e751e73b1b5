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
	assert_int_equal(f.conf->trust.level, 3);
	assert_string_equal(f.conf->trust.anchors[0], "/etc/cardmap/root.pem");
	/* and what was not said has its default */
	assert_null(f.conf->directory.ca);
	assert_null(f.conf->trust.crl[0]);
	assert_int_equal(f.conf->accounts.first_uid, 1000);
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
		{ "trust {\n level = soft\n level = hard\n}\n", ":3: trust.level: given before, on line 2" },
		{ "trust {\n colour = red\n}\n", ":2: no such option 'colour'" },
		{ "# one\ntrust { // two\n /* three\n four */ level = hard # five\n colour = red\n}\n", ":5: no such option 'colour'" },
		{ "nonsense {\n}\n", ":1: no such option 'nonsense'" },
		{ "trust {\n level = hard\n", ":4: the file ends before" },
		{ "trust {\n level = hard\n}\n/* never closed", "the file ends before" },
		{ "accounts {\n path = \"/var/lib\n}\n", "the file ends before" },
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
	assert_int_equal(f.conf->trust.level, 1);
	done(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_comments),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_writable_by_others),
		cmocka_unit_test(test_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
