/*
 * tests/ldap/test_idmap.c - uid and gid from SIDs, as SSSD makes them.
 *
 * What is right is said here in other words than libsss_idmap's: sssd-ldap(5) has the rules, and the slice of a domain is
 * MurmurHash3 (x86, 32 bits, seed 0xdeadbeef) of its SID's text, modulo the number of slices.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "ask.h"
#include "ldap/directory_internal.h"

static uint32_t
rotate(uint32_t x, int by)
{
	return x << by | x >> (32 - by);
}

static uint32_t
murmur(const char *key)
{
	const size_t len = strlen(key);
	uint32_t h = 0xdeadbeef;

	for (size_t at = 0; at < len; at += 4) {
		uint32_t k = 0;

		for (size_t i = 0; i < 4 && at + i < len; i++)
			k |= (uint32_t)(uint8_t)key[at + i] << 8 * i;
		h ^= rotate(k * 0xcc9e2d51u, 15) * 0x1b873593u;
		if (len - at >= 4)
			h = rotate(h, 13) * 5 + 0xe6546b64u;
	}
	h ^= (uint32_t)len;
	h = (h ^ h >> 16) * 0x85ebca6bu;
	h = (h ^ h >> 13) * 0xc2b2ae35u;
	return h ^ h >> 16;
}

/* The first slice by the SID alone; those behind it by the SID and the first RID they have. */
static unsigned
expected(const struct cm_idmap *m, const char *domain, unsigned rid)
{
	const unsigned first = rid / m->size * m->size;
	char key[128];

	snprintf(key, sizeof(key), first == 0 ? "%s" : "%s-%u", domain, first);
	if (first == 0 && m->domain_sid != NULL && strcmp(domain, m->domain_sid) == 0)
		return m->min + rid;
	return m->min + murmur(key) % ((m->max - m->min) / m->size) * m->size + rid % m->size;
}

static const char *const domains[] = {
	"S-1-5-21-3623811015-3361044348-30300820", "S-1-5-21-1-2-3", "S-1-5-21-0-0-0", "S-1-5-21-4294967295-4294967295-4294967295",
	"S-1-5-21-1004336348-1177238915-682003330", "S-1-5-21-2153326666-2176343378-3404031434", "S-1-5-21-3784074143-1253784764-1126863411",
};
static const struct cm_idmap maps[] = {
	{ CM_IDMAP_SID, 200000, 2000200000, 200000, NULL },
	{ CM_IDMAP_SID, 200000, 2000200000, 200000, "S-1-5-21-1-2-3" },
	{ CM_IDMAP_SID, 10000000, 2147483647, 1000000, NULL },
};

static void
test_ids_are_those_of_sssd(void **state)
{
	static const unsigned rids[] = { 0, 500, 513, 1000, 199999, 200000, 200001, 300000, 999999, 1000000, 1999999, 2199999, 2200000, 123456789, 4294967295 };

	(void)state;
	for (size_t m = 0; m < CM_COUNT(maps); m++)
		for (size_t d = 0; d < CM_COUNT(domains); d++)
			for (size_t r = 0; r < CM_COUNT(rids); r++) {
				unsigned id = 0;
				char sid[128];

				snprintf(sid, sizeof(sid), "%s-%u", domains[d], rids[r]);
				if (!cm_idmap_id(&maps[m], sid, &id) || id != expected(&maps[m], domains[d], rids[r]))
					fail_msg("map %zu: %s is %u and not %u", m, sid, id, expected(&maps[m], domains[d], rids[r]));
			}
}

static void
test_what_is_no_sid_of_a_domain_has_no_id(void **state)
{
	static const char *const bad[] = {
		"", "S", "S-1-5-21", "S-1-5-21-1-2-3", "S-1-5-21-1-2-3-", "S-1-5-21-1-2-3-4-5", "S-1-5-21-1-2-3-4x", "S-1-5-21-1-2-3--4",
		"S-1-5-21-1-2-3-4294967296", "S-1-5-21-4294967296-2-3-4", "S-1-5-21-01-2-3-4", "S-1-5-21-1-2-3-+4", "S-1-5-21-1-2-3- 4",
		"S-1-5-32-544", "S-1-5-18", "S-1-1-0", "S-2-5-21-1-2-3-4", "S-1-22-1-0", " S-1-5-21-1-2-3-4", "S-1-5-21-1-2-3-99999999999999999999",
	};
	unsigned id = 7;

	(void)state;
	for (size_t i = 0; i < CM_COUNT(bad); i++)
		if (cm_idmap_id(&maps[0], bad[i], &id) || id != 7)
			fail_msg("%s is %u", bad[i], id);
}

static char path[] = "/tmp/cm_test_idmap.XXXXXX";
static char uri[sizeof(path) + 8];

static int
make_file(void **state)
{
	const int fd = mkstemp(path);

	(void)state;
	snprintf(uri, sizeof(uri), "ldif:%s", path);
	return fd >= 0 ? close(fd) : -1;
}

static int
remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static struct cm_directory_options
options_for(enum cm_conf_idmap use)
{
	static const char *const uris[] = { uri, NULL };
	struct cm_directory_options o = { .uris = uris, .first_uid = 1000, .first_gid = 1000, .idmap = maps[0] };

	o.idmap.use = use;
	return o;
}

/* S-1-5-21-3623811015-3361044348-30300820-1013, in octets */
#define ALICE_SID	"objectSid:: AQUAAAAAAAUVAAAAx/f+13x3VciUWs4B9QMAAA==\n"
#define DOMAIN		"S-1-5-21-3623811015-3361044348-30300820"
#define PERSON(name, more) "dn: cn=" name ",dc=test\nsAMAccountName: " name "\n" more "\n"
#define GROUP(name, more) "dn: cn=" name ",dc=test\nobjectClass: group\ncn: " name "\n" more "\n"

static struct answer
ask(enum cm_conf_idmap use, const char *text, const char *name)
{
	const struct cm_directory_options o = options_for(use);
	struct cm_directory *d;
	struct answer a;
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	d = must_open(&o);
	a = find(d, "sAMAccountName", name);
	cm_directory_close(&d);
	return a;
}

static bool
is_in(const struct cm_account *a, const char *name, gid_t gid)
{
	for (size_t i = 0; i < a->group_count; i++)
		if (strcmp(a->groups[i].name, name) == 0 && a->groups[i].gid == gid)
			return true;
	return false;
}

static void
test_an_account_and_its_groups_get_their_ids(void **state)
{
	static const char text[] =
	    PERSON("alice", ALICE_SID "primaryGroupID: 513\nmemberOf: cn=staff-ad,dc=test\n")
	    GROUP("everybody", "objectSid: " DOMAIN "-513\n")
	    GROUP("staff-ad", "objectSid: " DOMAIN "-1200\nmember: cn=alice,dc=test\n")
	    GROUP("builtin", "objectSid: S-1-5-32-545\nmember: cn=alice,dc=test\n")
	    GROUP("sudo", "objectSid: " DOMAIN "-1201\nmember: cn=alice,dc=test\n")
	    GROUP("posix", "objectSid: " DOMAIN "-1202\ngidNumber: 4242\nmember: cn=alice,dc=test\n");
	const struct cm_idmap *m = &maps[0];
	struct answer a = ask(CM_IDMAP_SID, text, "alice");

	(void)state;
	assert_int_equal(a.err, CM_OK);
	assert_int_equal(a.account->uid, expected(m, DOMAIN, 1013));
	assert_int_equal(a.account->gid, expected(m, DOMAIN, 513));
	assert_true(is_in(a.account, "staff-ad", expected(m, DOMAIN, 1200)));
	assert_true(is_in(a.account, "posix", 4242));
	assert_false(is_in(a.account, "sudo", expected(m, DOMAIN, 1201)));
	assert_false(is_in(a.account, "builtin", 0));
	answer_free(&a);
	a = ask(CM_IDMAP_ALWAYS, text, "alice");
	assert_int_equal(a.err, CM_OK);
	assert_true(is_in(a.account, "posix", expected(m, DOMAIN, 1202)));
	answer_free(&a);
	a = ask(CM_IDMAP_OFF, text, "alice");
	expect(&a, CM_REASON_ACCOUNT_MALFORMED, "uidNumber");
}

static void
test_numbers_of_the_entry_come_first_unless_always(void **state)
{
	static const char text[] = PERSON("alice", ALICE_SID "primaryGroupID: 513\nuidNumber: 10001\ngidNumber: 10000\n")
	    PERSON("half", "objectSid: " DOMAIN "-1014\nprimaryGroupID: 513\nuidNumber: 10002\n")
	    PERSON("bare", "uidNumber: 10003\ngidNumber: 10000\n");
	struct answer a = ask(CM_IDMAP_SID, text, "alice");

	(void)state;
	assert_int_equal(a.err, CM_OK);
	assert_int_equal(a.account->uid, 10001);
	answer_free(&a);
	a = ask(CM_IDMAP_ALWAYS, text, "alice");
	assert_int_equal(a.err, CM_OK);
	assert_int_equal(a.account->uid, expected(&maps[0], DOMAIN, 1013));
	answer_free(&a);
	a = ask(CM_IDMAP_SID, text, "half");
	expect(&a, CM_REASON_ACCOUNT_MALFORMED, "gidNumber");
	a = ask(CM_IDMAP_SID, text, "bare");
	assert_int_equal(a.err, CM_OK);
	answer_free(&a);
	a = ask(CM_IDMAP_ALWAYS, text, "bare");
	expect(&a, CM_REASON_ACCOUNT_MALFORMED, "objectSid");
}

static void
test_hostile_sids_make_no_account(void **state)
{
	static const char *const sids[] = {
		"objectSid: S-1-5-18\n", "objectSid: S-1-5-32-544\n", "objectSid: S-1-5-21-1-2-3\n", "objectSid: S-1-5-21-1-2-3-4294967296\n",
		"objectSid: " DOMAIN "-1013\nobjectSid: " DOMAIN "-1014\n", "objectSid:\n",
		"objectSid:: AQ==\n", "objectSid:: AQU=\n",
		"objectSid:: AQUAAAAAAAUVAAAAx/f+13x3VciUWs4B\n",			/* one part short */
		"objectSid:: AQ8AAAAAAAUVAAAAx/f+13x3VciUWs4B9QMAAA==\n",	/* says fifteen parts */
		"objectSid:: Af8AAAAAAAUVAAAAx/f+13x3VciUWs4B9QMAAA==\n",
		"objectSid:: AgUAAAAAAAUVAAAAx/f+13x3VciUWs4B9QMAAA==\n",	/* revision 2 */
		"objectSid:: AQUAAAAAABYVAAAAx/f+13x3VciUWs4B9QMAAA==\n",	/* authority 22 */
		"objectSid:: AQUAAAAAAAUgAAAAx/f+13x3VciUWs4B9QMAAA==\n",	/* S-1-5-32-... */
		"objectSid:: AQUAAAAAAAUVAAAAx/f+13x3VciUWs4B9QMAAAA=\n",	/* an octet behind it */
	};
	struct answer a;

	(void)state;
	for (size_t i = 0; i < CM_COUNT(sids); i++) {
		char text[512];

		snprintf(text, sizeof(text), PERSON("mallory", "%sprimaryGroupID: 513\n"), sids[i]);
		a = ask(CM_IDMAP_SID, text, "mallory");
		if (a.err == CM_OK)
			fail_msg("%s makes uid %u", sids[i], a.account->uid);
		expect(&a, CM_REASON_ACCOUNT_MALFORMED, i == 5 ? "" : "objectSid");
	}
	a = ask(CM_IDMAP_SID, PERSON("mallory", ALICE_SID), "mallory");
	expect(&a, CM_REASON_ACCOUNT_MALFORMED, "primaryGroupID");
	a = ask(CM_IDMAP_SID, PERSON("mallory", ALICE_SID "primaryGroupID: -1\n"), "mallory");
	expect(&a, CM_REASON_ACCOUNT_MALFORMED, "primaryGroupID");
}

static void
test_ranges_that_cannot_be_are_refused(void **state)
{
	static const struct {
		struct cm_idmap m;
		const char *text;
	} cases[] = {
		{ { CM_IDMAP_SID, 200000, 200000, 1, NULL }, "idmap_range_max" },
		{ { CM_IDMAP_SID, 200000, 300000, 200000, NULL }, "idmap_range_size" },
		{ { CM_IDMAP_ALWAYS, 200000, 2000200000, 200000, "S-1-5-21-1-2-3-4" }, "idmap_domain_sid" },
		{ { CM_IDMAP_SID, 200000, 2000200000, 200000, "EXAMPLE" }, "idmap_domain_sid" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct cm_directory_options o = options_for(CM_IDMAP_SID);
		struct cm_directory *d = NULL;
		struct cm_trace *t = NULL;

		o.idmap = cases[i].m;
		assert_int_equal(cm_trace_new(&t), CM_OK);
		assert_int_equal(cm_directory_open(&o, t, &d), CM_ERR_CONFIG);
		assert_non_null(strstr(cm_trace_message(t), cases[i].text));
		cm_trace_free(&t);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids_are_those_of_sssd),
		cmocka_unit_test(test_what_is_no_sid_of_a_domain_has_no_id),
		cmocka_unit_test(test_an_account_and_its_groups_get_their_ids),
		cmocka_unit_test(test_numbers_of_the_entry_come_first_unless_always),
		cmocka_unit_test(test_hostile_sids_make_no_account),
		cmocka_unit_test(test_ranges_that_cannot_be_are_refused),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
