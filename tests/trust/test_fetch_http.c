/* tests/trust/test_fetch_http.c - what an HTTP head says: ranges, how long it counts, tags, where it leads, whose addresses. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "tests/trust/fixture.h"
#include "trust/fetch_internal.h"

static void
ranges(void **state)
{
	static const struct {
		const char *value;
		bool right;
		uint64_t first, last, total;
	} rows[] = {
		{ "bytes 0-0/1", true, 0, 0, 1 },
		{ "bytes 100-999/1000", true, 100, 999, 1000 },
		{ "Bytes 5-6/4611686018427387904", true, 5, 6, UINT64_C(1) << 62 },
		{ "bytes 0-1/*", false, 0, 0, 0 },
		{ "bytes */10", false, 0, 0, 0 },
		{ "bytes 5-4/10", false, 0, 0, 0 },
		{ "bytes 0-10/10", false, 0, 0, 0 },
		{ "bytes 0-9/99999999999999999999", false, 0, 0, 0 },
		{ "bytes 0-9/10 ", false, 0, 0, 0 },
		{ "bytes 0-9/10, bytes 1-9/10", false, 0, 0, 0 },
		{ "bytes  0-9/10", false, 0, 0, 0 },
		{ "bytes -9/10", false, 0, 0, 0 },
		{ "bytes 0-/10", false, 0, 0, 0 },
		{ "bytes +0-9/10", false, 0, 0, 0 },
		{ "bytes 0-9", false, 0, 0, 0 },
		{ "octets 0-9/10", false, 0, 0, 0 },
		{ "bytes", false, 0, 0, 0 },
		{ "", false, 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_http_range r = { 0 };
		const bool right = cm_http_range(rows[i].value, &r);

		if (right != rows[i].right)
			print_error("%s\n", rows[i].value);
		assert_int_equal(right, rows[i].right);
		if (right) {
			assert_int_equal(r.first, rows[i].first);
			assert_int_equal(r.last, rows[i].last);
			assert_int_equal(r.total, rows[i].total);
		}
	}
}

#define NOON	"Sun, 06 Nov 1994 12:00:00 GMT"
#define AT_ONE	"Sun, 06 Nov 1994 13:00:00 GMT"

static void
lives(void **state)
{
	static const struct {
		struct cm_http_life life;
		long seconds;
	} rows[] = {
		{ { .cache_control = NULL }, -1 },
		{ { .cache_control = "" }, -1 },
		{ { .cache_control = "public, must-revalidate" }, -1 },
		{ { .cache_control = "max-age=60" }, 60 },
		{ { .cache_control = "public, Max-Age=60, no-transform" }, 60 },
		{ { .cache_control = "max-age=\"60\"" }, 60 },
		{ { .cache_control = "max-age=60", .age = "20" }, 40 },
		{ { .cache_control = "max-age=60", .age = "60" }, 0 },
		{ { .cache_control = "max-age=60", .age = "99999999999999999999999" }, 0 },
		{ { .cache_control = "max-age=60", .age = "soon" }, 60 },
		{ { .cache_control = "max-age=60", .age = "-20" }, 60 },
		{ { .cache_control = "max-age=0" }, 0 },
		{ { .cache_control = "no-store, max-age=60" }, 0 },
		{ { .cache_control = "max-age=60, NO-CACHE" }, 0 },
		{ { .cache_control = "no-cache=\"set-cookie, max-age=9\"" }, 0 },
		{ { .cache_control = "private=\"x, no-store\", max-age=60" }, 60 },
		{ { .cache_control = "private=\"x\\\", no-store\", max-age=60" }, 60 },
		{ { .cache_control = "private=\"never ends, max-age=60" }, -1 },
		{ { .cache_control = "max-age=60, max-age=30" }, 30 },
		{ { .cache_control = "max-age=soon" }, 0 },
		{ { .cache_control = "max-age=-1" }, 0 },
		{ { .cache_control = "max-age=" }, 0 },
		{ { .cache_control = "max-age" }, 0 },
		{ { .cache_control = "s-maxage=10" }, -1 },
		{ { .cache_control = "s-maxage=10, max-age=60" }, 60 },
		{ { .cache_control = "x-max-age=10" }, -1 },
		{ { .cache_control = "max-age=99999999999999999999999" }, (long)1 << 31 },
		{ { .cache_control = ", , ,max-age = 60 ," }, 60 },
		{ { .expires = AT_ONE, .date = NOON }, 3600 },
		{ { .expires = AT_ONE, .date = NOON, .age = "600" }, 3000 },
		{ { .expires = NOON, .date = AT_ONE }, 0 },
		{ { .expires = "0", .date = NOON }, 0 },
		{ { .expires = "", .date = NOON }, 0 },
		{ { .expires = "-1", .date = NOON }, 0 },
		{ { .expires = "Sunday, 06-Nov-94 13:00:00 GMT", .date = NOON }, 3600 },
		{ { .expires = "Sun Nov  6 13:00:00 1994", .date = NOON }, 3600 },
		{ { .expires = AT_ONE, .now = 784123200 }, 3600 },
		{ { .expires = AT_ONE, .date = "yesterday", .now = 784123200 }, 3600 },
		{ { .expires = AT_ONE, .now = 1800000000 }, 0 },
		{ { .cache_control = "max-age=60", .expires = AT_ONE, .date = NOON }, 60 },
		{ { .cache_control = "private", .expires = AT_ONE, .date = NOON }, 3600 },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const long s = cm_http_fresh_for(&rows[i].life);

		if (s != rows[i].seconds)
			print_error("%zu: %s %s\n", i, rows[i].life.cache_control, rows[i].life.expires);
		assert_int_equal(s, rows[i].seconds);
	}
}

static void
tags(void **state)
{
	static const struct {
		const char *value;
		bool tag, strong;
	} rows[] = {
		{ "\"a\"", true, true },
		{ "\"\"", true, true },
		{ "\"a,b !#\xc3\xa4\"", false, false },
		{ "\"a,b!#\xc3\xa4\"", true, true },
		{ "W/\"a\"", true, false },
		{ "w/\"a\"", false, false },
		{ "a", false, false },
		{ "\"", false, false },
		{ "\"a\"b\"", false, false },
		{ "\"a\r\nX: y\"", false, false },
		{ "", false, false },
		{ NULL, false, false },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		assert_int_equal(cm_http_etag(rows[i].value), rows[i].tag);
		assert_int_equal(cm_http_strong_etag(rows[i].value), rows[i].strong);
	}
}

static void
locations(void **state)
{
	static const struct {
		const char *from, *location, *to;	/* to NULL: not followed */
	} rows[] = {
		{ "http://a.test/x/y", "http://b.test/z", "http://b.test/z" },
		{ "http://a.test/x/y", "https://b.test:8443/z?q", "https://b.test:8443/z?q" },
		{ "http://a.test/x/y", "z", "http://a.test/x/z" },
		{ "http://a.test:81/x/y", "/z", "http://a.test:81/z" },
		{ "http://a.test/x/y", "//b.test/z", "http://b.test/z" },
		{ "http://a.test/x/y", "../z", "http://a.test/z" },
		{ "http://a.test/x/y", "?q", "http://a.test/x/y?q" },
		{ "http://a.test/x/y", "/z#part", "http://a.test/z" },
		{ "http://a.test/x/y", "/a list.crl", "http://a.test/a%20list.crl" },
		{ "http://a.test/x/y", "file:///etc/passwd", NULL },
		{ "http://a.test/x/y", "ftp://b.test/z", NULL },
		{ "http://a.test/x/y", "ldap://b.test/cn=x", NULL },
		{ "http://a.test/x/y", "gopher://b.test/", NULL },
		{ "http://a.test/x/y", "javascript:x", NULL },
		{ "http://a.test/x/y", "http://user:word@b.test/", NULL },
		{ "http://a.test/x/y", "http://user@b.test/", NULL },
		{ "http://a.test/x/y", "http://", NULL },
		{ "http://a.test/x/y", "http://b.test:99999/", NULL },
		{ "http://a.test/x/y", "http://b.test\r\nX: y/", NULL },
	};
	struct cm_buf to = { 0 }, why = { 0 };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		const enum cm_err err = cm_http_follow(rows[i].from, rows[i].location, &to, &why);

		if (err != (rows[i].to != NULL ? CM_OK : CM_ERR_SYNTAX))
			print_error("%s: %d %s\n", rows[i].location, err, cm_buf_str(&to));
		assert_int_equal(err, rows[i].to != NULL ? CM_OK : CM_ERR_SYNTAX);
		assert_string_equal(cm_buf_str(&to), rows[i].to != NULL ? rows[i].to : "");
		assert_int_equal(why.len > 0, rows[i].to == NULL);
		cm_buf_truncate(&why, 0);
	}
	cm_buf_free(&to);
	cm_buf_free(&why);
}

static void
hosts(void **state)
{
	(void)state;
	assert_true(cm_http_same_host("http://a.test/x", "https://A.Test:81/y"));
	assert_true(cm_http_same_host("http://[::1]:8/", "http://[::1]/"));
	assert_false(cm_http_same_host("http://a.test/", "http://b.a.test/"));
	assert_false(cm_http_same_host("http://a.test/", "http://a.test@b.test/"));
	assert_false(cm_http_same_host("http://a.test/", "a path"));
	assert_false(cm_http_same_host("file:///x", "file:///x"));
	assert_false(cm_http_same_host("", ""));
}

/* Of this computer and its link, and not of its network. */
static void
own_addresses(void **state)
{
	static const char *const own[] = { "0.0.0.0", "127.0.0.1", "127.255.255.255", "169.254.169.254", "::", "::1", "fe80::1",
	    "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "somewhere" };
	static const char *const others[] = { "10.0.0.1", "172.16.0.1", "192.168.1.1", "224.0.0.1", "8.8.8.8", "fc00::1", "fec0::1",
	    "::ffff:10.1.2.3", "64:ff9b:1::1", "2606:4700::1111" };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(own); i++)
		assert_true(cm_address_text_is_own(own[i]));
	for (size_t i = 0; i < CM_COUNT(others); i++)
		assert_false(cm_address_text_is_own(others[i]));
	assert_true(cm_http_is_named("http://pki.test:80/x"));
	assert_false(cm_http_is_named("http://127.1/x"));
	assert_false(cm_http_is_named("http://[::1]:80/x"));
	assert_false(cm_http_is_named("http://LOCALHOST/x"));
}

static void
addresses(void **state)
{
	static const struct {
		const char *text;
		bool hidden;
	} rows[] = {
		{ "0.0.0.0", true }, { "0.255.255.255", true }, { "1.0.0.0", false },
		{ "9.255.255.255", false }, { "10.0.0.0", true }, { "10.255.255.255", true }, { "11.0.0.0", false },
		{ "100.63.255.255", false }, { "100.64.0.0", true }, { "100.127.255.255", true }, { "100.128.0.0", false },
		{ "126.255.255.255", false }, { "127.0.0.1", true }, { "127.255.255.255", true }, { "128.0.0.0", false },
		{ "169.253.255.255", false }, { "169.254.169.254", true }, { "169.255.0.0", false },
		{ "172.15.255.255", false }, { "172.16.0.0", true }, { "172.31.255.255", true }, { "172.32.0.0", false },
		{ "192.0.0.8", true }, { "192.0.1.0", false },
		{ "192.167.255.255", false }, { "192.168.0.0", true }, { "192.168.255.255", true }, { "192.169.0.0", false },
		{ "198.17.255.255", false }, { "198.18.0.0", true }, { "198.19.255.255", true }, { "198.20.0.0", false },
		{ "223.255.255.255", false }, { "224.0.0.1", true }, { "255.255.255.255", true },
		{ "::", true }, { "::1", true }, { "::2", true }, { "::8.8.8.8", false },
		{ "2606:4700::1111", false }, { "2001:db8::1", false },
		{ "::ffff:127.0.0.1", true }, { "::ffff:10.1.2.3", true }, { "::ffff:8.8.8.8", false },
		{ "64:ff9b::7f00:1", true }, { "64:ff9b::808:808", false }, { "64:ff9b:1::808:808", true },
		{ "2002:7f00:1::", true }, { "2002:a00:1::1", true }, { "2002:808:808::1", false },
		{ "fbff::1", false }, { "fc00::1", true }, { "fdff::1", true }, { "fe00::1", false },
		{ "fe80::1", true }, { "febf::1", true }, { "fec0::1", true }, { "feff::1", true }, { "ff02::1", true },
		{ "somewhere", true }, { "", true },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct sockaddr_in v4 = { .sin_family = AF_INET };
		struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

		if (cm_address_text_is_private(rows[i].text) != rows[i].hidden)
			print_error("%s\n", rows[i].text);
		assert_int_equal(cm_address_text_is_private(rows[i].text), rows[i].hidden);
		if (inet_pton(AF_INET, rows[i].text, &v4.sin_addr) == 1)
			assert_int_equal(cm_address_is_private((struct sockaddr *)&v4), rows[i].hidden);
		if (inet_pton(AF_INET6, rows[i].text, &v6.sin6_addr) == 1)
			assert_int_equal(cm_address_is_private((struct sockaddr *)&v6), rows[i].hidden);
	}
	assert_true(cm_address_is_private(&(struct sockaddr){ .sa_family = AF_UNIX }));
	assert_true(cm_address_is_own(&(struct sockaddr){ .sa_family = AF_UNIX }));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges),
		cmocka_unit_test(lives),
		cmocka_unit_test(tags),
		cmocka_unit_test(locations),
		cmocka_unit_test(hosts),
		cmocka_unit_test(addresses),
		cmocka_unit_test(own_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
