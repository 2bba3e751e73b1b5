/* tests/krb5/test_options.c - what is refused before anything is sent, and KDC addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "krb5/pkinit_internal.h"

static char folder[] = "/tmp/cm-krb5-options.XXXXXX";
static char conf[64], keytab[64], empty[64];

static void
write_file(char path[64], const char *name, const char *text, mode_t mode)
{
	int fd;

	snprintf(path, 64, "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static int
setup(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(folder));
	write_file(conf, "krb5.conf", "[libdefaults]\n default_realm = CONF.TEST\n dns_lookup_kdc = false\n"
	    " udp_preference_limit = 1\n[realms]\n CONF.TEST = {\n  kdc = kdc1.conf.test\n  kdc = kdc2.conf.test:8888\n }\n", 0600);
	write_file(keytab, "keytab", "this is no keytab", 0600);
	write_file(empty, "empty.conf", "", 0600);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	unlink(conf);
	unlink(keytab);
	unlink(empty);
	rmdir(folder);
	return 0;
}

static void
test_kdc_addresses(void **state)
{
	static const struct {
		const char *text, *host, *port;		/* host NULL: refused */
	} rows[] = {
		{ "kdc.example.test", "kdc.example.test", "88" },
		{ "kdc.example.test:8888", "kdc.example.test", "8888" },
		{ "127.0.0.1", "127.0.0.1", "88" },
		{ "[2001:db8::1]:8888", "2001:db8::1", "8888" },
		{ "[2001:db8::1]", "2001:db8::1", "88" },
		{ "2001:db8::1", "2001:db8::1", "88" },
		{ "::1", "::1", "88" },
		{ "", NULL, NULL }, { ":88", NULL, NULL }, { "host:", NULL, NULL }, { "[::1", NULL, NULL },
		{ "[]:88", NULL, NULL }, { "[::1]x", NULL, NULL }, { "[::1]:", NULL, NULL },
		{ "host:port", NULL, NULL }, { "host:888888", NULL, NULL },
		{ "host:65535", "host", "65535" }, { "host:65536", NULL, NULL }, { "host:0", NULL, NULL }, { "a b:88", NULL, NULL },
		{ "https://proxy.example.test/KdcProxy", NULL, NULL }, { "/run/kdc.socket", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_kdc k;

		assert_int_equal(cm_kdc_parse(rows[i].text, &k), rows[i].host != NULL ? CM_OK : CM_ERR_SYNTAX);
		if (rows[i].host != NULL) {
			assert_string_equal(k.name, rows[i].text);
			assert_string_equal(k.host, rows[i].host);
			assert_string_equal(k.port, rows[i].port);
		}
		cm_kdc_free(&k);
	}
}

static void
test_from_the_configuration(void **state)
{
	const struct cm_pkinit_options o = { .config = conf };
	struct cm_pkinit *p = NULL;

	(void)state;
	assert_int_equal(cm_pkinit_open(&o, NULL, &p), CM_OK);
	assert_string_equal(p->realm, "CONF.TEST");
	assert_int_equal(p->kdc_count, 2);
	assert_string_equal(p->kdcs[0].name, "kdc1.conf.test");
	assert_string_equal(p->kdcs[1].port, "8888");
	assert_int_equal(p->datagram_max, 1);
	assert_false(cm_pkinit_has_keytab(p));
	cm_pkinit_close(&p);
	assert_null(p);
	cm_pkinit_close(&p);
}

static void
assert_fails(const struct cm_pkinit_options *o, enum cm_err err, const char *text)
{
	struct cm_pkinit *p = NULL;
	struct cm_trace *t = NULL;

	assert_int_equal(cm_trace_new(&t), CM_OK);
	assert_int_equal(cm_pkinit_open(o, t, &p), err);
	assert_null(p);
	assert_int_equal(cm_trace_reason(t), CM_REASON_CONFIG);
	if (strstr(cm_trace_message(t), text) == NULL)
		fail_msg("%s", cm_trace_message(t));
	cm_trace_free(&t);
}

static void
test_what_is_refused(void **state)
{
	static const char *const one[] = { "127.0.0.1:88", NULL }, *const bad[] = { "https://kdc/", NULL };
	static const char *const missing[] = { "/nonexistent/ca.pem", NULL };
	const char *const readable[] = { conf, NULL };
	const struct {
		struct cm_pkinit_options o;
		const char *text;
	} rows[] = {
		{ { .config = "/nonexistent/krb5.conf" }, "/nonexistent/krb5.conf" },
		{ { .config = conf, .kdcs = bad }, "https://kdc/" },
		{ { .config = conf, .kdcs = one, .anchors = missing }, "/nonexistent/ca.pem" },
		{ { .config = conf, .intermediates = readable }, "needs kerberos.anchors" },
		{ { .config = conf, .keytab = keytab }, keytab },
		{ { .config = conf, .keytab = folder }, folder },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++)
		assert_fails(&rows[i].o, CM_ERR_CONFIG, rows[i].text);
}

/* A host without Kerberos is told apart from one where it is broken. */
static void
test_no_kerberos_here(void **state)
{
	const struct cm_pkinit_options no_realm = { .config = empty };
	const struct cm_pkinit_options no_kdc = { .config = conf, .realm = "OTHER.TEST" };

	(void)state;
	assert_fails(&no_realm, CM_ERR_ABSENT, "kerberos.realm");
	assert_fails(&no_kdc, CM_ERR_ABSENT, "no KDC of OTHER.TEST: set kerberos.kdc");
}

/* Whoever can read the host's key can forge its tickets. */
static void
test_keytab_that_others_read(void **state)
{
	const struct cm_pkinit_options o = { .config = conf, .keytab = keytab };

	(void)state;
	assert_int_equal(chmod(keytab, 0644), 0);
	assert_fails(&o, CM_ERR_CONFIG, "others may read it");
	assert_int_equal(chmod(keytab, 0600), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kdc_addresses),
		cmocka_unit_test(test_from_the_configuration),
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_no_kerberos_here),
		cmocka_unit_test(test_keytab_that_others_read),
	};

	return cmocka_run_group_tests_name("krb5.options", tests, setup, teardown);
}
