/* tests/trust/test_fetch_ldap.c - lists in a directory, asked for beside those on the web. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ldap/fetch.h"
#include "tests/trust/web.h"
#include "trust/fetch.h"

#define LONG	20000	/* ms: never waited for when all goes well */
#define SERVER	"ldap://127.0.0.1:3890"
#define LIST	"/cn=Cardmap%20Test%20Issuing%20CA,ou=lists,dc=cardmap,dc=test?certificateRevocationList;binary"

static const char *const uris[] = { SERVER, NULL };
static const struct cm_ldap_fetching anonymous = { .uris = uris }, none = { 0 };

static void
read_list(struct cm_buf *out)
{
	char some[65536];
	FILE *f = fopen(PKI("inter.crl"), "re");

	assert_non_null(f);
	cm_buf_add(out, some, fread(some, 1, sizeof(some), f));
	fclose(f);
	assert_true(out->len > 0);
}

static void
ask(const struct cm_ldap_fetching *how, struct cm_fetch *one)
{
	const struct cm_fetcher_options o = { .ldap = how };
	struct cm_fetcher *f;

	assert_int_equal(cm_fetcher_new(&o, &f), CM_OK);
	assert_int_equal(cm_fetcher_add(f, one), CM_OK);
	assert_ptr_equal(cm_fetcher_next(f, cm_deadline_in(LONG)), one);
	assert_null(cm_fetcher_next(f, cm_deadline_in(LONG)));
	cm_fetcher_free(&f);
}

static void
answers(void **state)
{
	static const struct row {
		const char *url;
		const struct cm_ldap_fetching *how;
		size_t max;			/* 0: enough */
		enum cm_objection objection;
		const char *part;
	} rows[] = {
		{ SERVER LIST, &none, 0, CM_OBJECTION_NONE, "" },
		{ "ldap://" LIST, &anonymous, 0, CM_OBJECTION_NONE, "" },
		{ "LDAP://" LIST "?base?objectClass=cRLDistributionPoint", &anonymous, 0, CM_OBJECTION_NONE, "" },
		{ "ldap://" LIST, &none, 0, CM_OBJECTION_NOT_ASKABLE, "directory.uri" },
		{ SERVER LIST, NULL, 0, CM_OBJECTION_NOT_ASKABLE, "no directory" },
		{ SERVER LIST, &none, 100, CM_OBJECTION_TOO_LARGE, "100" },
		{ SERVER "/cn=nobody,dc=cardmap,dc=test?certificateRevocationList", &none, 0, CM_OBJECTION_LDAP_RESULT, "nobody" },
		{ SERVER "/dc=cardmap,dc=test?certificateRevocationList", &none, 0, CM_OBJECTION_LDAP_RESULT, "no value" },
		{ SERVER "/dc=cardmap,dc=test?cn,dc", &none, 0, CM_OBJECTION_NOT_ASKABLE, "" },
		{ "ldap://127.0.0.1:1" LIST, &none, 0, CM_OBJECTION_NO_CONNECTION, "127.0.0.1:1" },
		{ "ldap://nobody.invalid" LIST, &none, 0, CM_OBJECTION_NO_NAME, "nobody.invalid" },
	};
	struct cm_buf list = { 0 };

	(void)state;
	read_list(&list);
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_buf out = { 0 };
		struct cm_fetch f = { .url = rows[i].url, .out = &out, .fd = -1, .deadline = cm_deadline_in(LONG / 10),
		    .max = rows[i].max > 0 ? rows[i].max : 1 << 20 };

		ask(rows[i].how, &f);
		if (f.objection != rows[i].objection)
			print_error("%s: %s: %s\n", f.url, cm_objection_name(f.objection), cm_buf_str(&f.why));
		assert_int_equal(f.objection, rows[i].objection);
		assert_has(cm_buf_str(&f.why), rows[i].part);
		if (f.objection == CM_OBJECTION_NONE) {
			assert_int_equal(out.len, list.len);
			assert_memory_equal(out.ptr, list.ptr, list.len);
			assert_int_equal(f.total, list.len);
			assert_true(f.bytes > list.len);	/* LDAP's own octets are read, too */
			assert_int_equal(f.connections, 1);
			assert_int_equal(f.max_age, -1);
			assert_true(f.us > 0);
		} else {
			assert_int_equal(out.len, 0);
		}
		cm_buf_free(&out);
		cm_fetch_clear(&f);
	}
	cm_buf_free(&list);
}

/* What was in the file, a part of something else, gives way. */
static void
into_a_file(void **state)
{
	struct cm_buf list = { 0 };
	struct cm_fetch f = { .url = SERVER LIST, .fd = memfd_create("list", MFD_CLOEXEC), .max = 1 << 20, .have = 10,
	    .deadline = cm_deadline_in(LONG) };
	uint8_t some[65536];
	struct stat st;

	(void)state;
	read_list(&list);
	assert_int_equal(write(f.fd, list.ptr + 1, 10), 10);
	ask(&none, &f);
	assert_int_equal(f.objection, CM_OBJECTION_NONE);
	assert_true(f.from_start);
	assert_int_equal(fstat(f.fd, &st), 0);
	assert_int_equal(st.st_size, list.len);
	assert_int_equal(pread(f.fd, some, sizeof(some), 0), list.len);
	assert_memory_equal(some, list.ptr, list.len);
	close(f.fd);
	cm_buf_free(&list);
	cm_fetch_clear(&f);
}

/* A server that takes the connection and says nothing: over when its time is, and nobody else waits. */
static void
silence(void **state)
{
	const struct cm_fetcher_options o = { .ldap = &none };
	struct web silent = { .mode = WEB_SILENT }, good = { .mode = WEB_BYTES, .bytes = (const uint8_t *)"x", .len = 1 };
	struct cm_buf out[2] = { 0 };
	struct cm_fetch quick = { .out = &out[0], .fd = -1, .max = 100 }, slow = { .out = &out[1], .fd = -1, .max = 100 };
	struct cm_fetcher *f;
	char url[256];

	(void)state;
	web_start(&silent);
	web_start(&good);
	snprintf(url, sizeof(url), "ldap%.*s%s", (int)strlen(silent.url) - 5, silent.url + 4, LIST);
	slow.url = url;
	quick.url = good.url;
	slow.deadline = cm_deadline_in(1000);
	quick.deadline = cm_deadline_in(LONG);
	assert_int_equal(cm_fetcher_new(&o, &f), CM_OK);
	assert_int_equal(cm_fetcher_add(f, &slow), CM_OK);
	assert_int_equal(cm_fetcher_add(f, &quick), CM_OK);
	assert_ptr_equal(cm_fetcher_next(f, cm_deadline_in(LONG)), &quick);
	assert_int_equal(quick.objection, CM_OBJECTION_NONE);
	assert_ptr_equal(cm_fetcher_next(f, cm_deadline_in(LONG)), &slow);
	assert_int_equal(slow.objection, CM_OBJECTION_NO_ANSWER);
	assert_true(slow.us < (int64_t)LONG * 1000 / 2);
	cm_fetch_clear(&slow);

	/* Let go: at once, with its own time not over. */
	slow.deadline = cm_deadline_in(LONG);
	assert_int_equal(cm_fetcher_add(f, &slow), CM_OK);
	assert_null(cm_fetcher_next(f, cm_deadline_in(20)));
	cm_fetcher_remove(f, &slow);
	assert_null(cm_fetcher_next(f, cm_deadline_in(LONG)));
	assert_int_equal(slow.objection, CM_OBJECTION_NONE);
	assert_int_equal(cm_fetcher_add(f, &slow), CM_OK);
	cm_fetcher_free(&f);
	assert_false(cm_deadline_passed(slow.deadline));
	web_stop(&silent);
	web_stop(&good);
	for (size_t i = 0; i < 2; i++)
		cm_buf_free(&out[i]);
	cm_fetch_clear(&quick);
	cm_fetch_clear(&slow);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(into_a_file),
		cmocka_unit_test(silence),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
