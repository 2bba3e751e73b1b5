/* tests/service/test_host.c - what a configuration makes of revocation: policies, and what contradicts itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>
#include <cmocka.h>

#include "service/host.h"

struct file {
	struct cm_trace *t;
	struct cm_conf *c;
	struct cm_host *h;
};

static enum cm_err
open_host(struct file *f, const char *text)
{
	char path[] = "/tmp/cardmap-host-XXXXXX";
	const int fd = mkstemp(path);

	*f = (struct file){ 0 };
	assert_int_equal(cm_trace_new(&f->t), CM_OK);
	cm_trace_begin(f->t, "host");
	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
	assert_int_equal(cm_conf_load(path, f->t, &f->c), CM_OK);
	unlink(path);
	assert_int_equal(cm_conf_set(f->c, "trust.anchors=" CM_PKI_DIR "/root.pem", "test", f->t), CM_OK);
	return cm_host_open(f->c, CM_NEED_TRUST, f->t, &f->h);
}

static void
done(struct file *f)
{
	cm_host_close(&f->h);
	cm_conf_free(&f->c);
	cm_trace_free(&f->t);
}

static void
expect(struct cm_trust_policy p, enum cm_trust_level level, int64_t max_age)
{
	assert_int_equal(p.level, level);
	assert_int_equal(p.max_age, max_age);
}

/* A rule is judged by its own level, all others by trust.level, and the inquiry is made for the strictest. */
static void
policies(void **state)
{
	struct file f;

	(void)state;
	assert_int_equal(open_host(&f, "trust { level = 'soft 72h' }\nrule a { filter = x }\n"
	    "rule b { filter = x level = chain }\nrule c { filter = x level = 'hard 7d' }\n"
	    "rule d { filter = x level = 'soft 1h' }\nrule e { filter = x level = hard }\n"
	    "rule pairing { filter = x level = chain }\n"), CM_OK);
	expect(cm_host_strictest(f.h), CM_TRUST_HARD, 3600);
	expect(cm_host_policy_of(f.h, NULL), CM_TRUST_SOFT, 72 * 3600);
	expect(cm_host_policy_of(f.h, "a"), CM_TRUST_SOFT, 72 * 3600);
	expect(cm_host_policy_of(f.h, "b"), CM_TRUST_CHAIN, 0);
	expect(cm_host_policy_of(f.h, "c"), CM_TRUST_HARD, 7 * 86400);
	expect(cm_host_policy_of(f.h, "d"), CM_TRUST_SOFT, 3600);
	expect(cm_host_policy_of(f.h, "e"), CM_TRUST_HARD, 0);
	expect(cm_host_policy_of(f.h, "gone"), CM_TRUST_SOFT, 72 * 3600);
	expect(cm_host_policy_of(f.h, "selector"), CM_TRUST_SOFT, 72 * 3600);
	/* a rule that is called as what is no rule weakens nothing */
	expect(cm_host_policy_of(f.h, "pairing"), CM_TRUST_SOFT, 72 * 3600);
	/* two of one name, as another system's file may bring */
	free(f.c->rules[3].name);
	assert_non_null(f.c->rules[3].name = strdup("b"));
	expect(cm_host_policy_of(f.h, "b"), CM_TRUST_SOFT, 3600);
	done(&f);
	assert_int_equal(open_host(&f, "rule a { filter = x }"), CM_OK);
	expect(cm_host_strictest(f.h), CM_TRUST_SOFT, 0);
	done(&f);
}

/* A pairing of keys that cannot hold together is refused wherever trust is opened. */
static void
contradictions(void **state)
{
	static const struct { const char *text, *says; } rows[] = {
		{ "trust { require_nonce = yes ocsp_get = yes }", "trust.require_nonce and trust.ocsp_get: a request by GET has no nonce" },
		{ "trust { level = off }\nrule a { filter = x\n level = hard }", ":3: rule \"a\": level: trust.level = off, and then no chain is checked" },
	};
	struct file f;

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		assert_int_equal(open_host(&f, rows[i].text), CM_ERR_CONFIG);
		assert_null(f.h);
		if (strstr(cm_trace_message(f.t), rows[i].says) == NULL)
			fail_msg("\"%s\" does not say \"%s\"", cm_trace_message(f.t), rows[i].says);
		done(&f);
	}
	assert_int_equal(open_host(&f, "trust { level = off }\nrule a { filter = x }"), CM_OK);
	done(&f);
}

/* Addresses of lists without a server go to the directory's servers, and to nothing else that stands there. */
static void
directory(void **state)
{
	struct file f;

	(void)state;
	assert_int_equal(open_host(&f, "directory { uri = { 'ldif:/x', 'ldap://a', 'LDAPS://b' } bind_dn = 'cn=x' starttls = no }"), CM_OK);
	assert_string_equal(f.h->ldap.uris[0], "ldap://a");
	assert_string_equal(f.h->ldap.uris[1], "LDAPS://b");
	assert_null(f.h->ldap.uris[2]);
	assert_string_equal(f.h->ldap.bind_dn, "cn=x");
	assert_false(f.h->ldap.starttls);
	done(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(policies),
		cmocka_unit_test(contradictions),
		cmocka_unit_test(directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
