/* tests/ldap/test_fetch.c - lists by LDAP URL, from a real slapd, and from servers that misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ask.h"
#include "fake_ldap.h"
#include "ldap/fetch.h"
#include "ldap/ldap_url.h"
#include "lists.h"

/* A wait that ends at its deadline ends within this many milliseconds after it. */
#define SLACK_MS	250
#define DEADLINE_MS	400
#define PATIENT_MS	20000
/* Long before that, however busy the machine. */
#define SOON_MS		5000

#define NAMED		"ldap://127.0.0.1:" LISTS_PORT "/"
#define ISSUING		"CN=Issuing%20CA%201,CN=dc1," LISTS_BASE
#define AS_AD_CS	"?base?objectClass=cRLDistributionPoint"

static char ca[4096];

static struct cm_ldap_fetching
directory(const char *const *uris)
{
	snprintf(ca, sizeof(ca), "%s", pki("root.crt"));
	return (struct cm_ldap_fetching){ .uris = uris, .ca = ca, .starttls = true };
}

/* One fetch, its answer in a file of its own; released by drop. */
struct got {
	struct cm_ldap_fetch f;
	enum cm_err err;
	struct cm_buf why;
	struct cm_buf value;
	int64_t ms;
};

static void
read_back(int fd, struct cm_buf *out)
{
	const off_t size = lseek(fd, 0, SEEK_END);
	uint8_t *to = size > 0 ? cm_buf_extend(out, (size_t)size) : NULL;

	if (size > 0) {
		assert_non_null(to);
		assert_int_equal(pread(fd, to, (size_t)size, 0), size);
	}
}

static bool
write_to(void *arg, struct cm_blob value)
{
	return write(*(int *)arg, value.ptr, value.len) == (ssize_t)value.len;
}

static struct got
fetch(const struct cm_ldap_fetching *how, const char *url, size_t max, unsigned ms, int cancel)
{
	int fd = memfd_create("value", MFD_CLOEXEC);
	struct got g = { .f = {
		.how = how, .url = url, .max = max, .deadline = cm_deadline_in(ms), .cancel = cancel, .take = write_to, .arg = &fd,
	} };
	const int64_t start = cm_clock_us();

	assert_true(fd >= 0);
	g.err = cm_ldap_fetch(&g.f, &g.why);
	g.ms = (cm_clock_us() - start) / 1000;
	read_back(fd, &g.value);
	close(fd);
	if (g.err == CM_OK)
		assert_int_equal(g.why.len, 0);
	else if (g.err != CM_ERR_SYSTEM)
		assert_int_equal(g.value.len, 0);
	return g;
}

static struct got
get(const struct cm_ldap_fetching *how, const char *url)
{
	return fetch(how, url, 1 << 20, PATIENT_MS, -1);
}

static void
drop(struct got *g)
{
	cm_buf_free(&g->why);
	cm_buf_free(&g->value);
}

/* list: a name of lists.h; or an error and a text that why holds. */
static void
expect_got(struct got *g, enum cm_err err, const char *text)
{
	struct cm_buf list = { .ptr = NULL };

	if (g->err != err || (err != CM_OK && strstr(cm_buf_str(&g->why), text) == NULL))
		fail_msg("%s: %d, \"%s\" in place of %d, \"%s\"", g->f.url, g->err, cm_buf_str(&g->why), err, text);
	if (err == CM_OK) {
		lists_read(text, &list);
		assert_true(cm_blob_equal(cm_buf_blob(&g->value), cm_buf_blob(&list)));
		assert_int_equal(g->f.connections, 1);
		assert_true(g->f.answered && g->f.bytes > list.len && g->f.bytes < list.len + 4096);
	}
	cm_buf_free(&list);
	drop(g);
}

struct row {
	const char *url;
	enum cm_err err;
	const char *text;
};

static void
expect_rows(const struct row *rows, size_t n, const struct cm_ldap_fetching *how)
{
	for (size_t i = 0; i < n; i++) {
		struct got g = get(how, rows[i].url);

		expect_got(&g, rows[i].err, rows[i].text);
	}
}

static void
lists_come_from_the_server_named(void **state)
{
	static const struct row rows[] = {
		{ NAMED ISSUING "?certificateRevocationList" AS_AD_CS, CM_OK, "list" },
		{ NAMED ISSUING "?certificateRevocationList;binary" AS_AD_CS, CM_OK, "list" },
		{ NAMED ISSUING "?CERTIFICATEREVOCATIONLIST;BINARY?BASE", CM_OK, "list" },
		{ NAMED ISSUING "?2.5.4.39", CM_OK, "list" },
		{ NAMED ISSUING "?2.5.4.53;binary", CM_OK, "delta" },
		{ NAMED ISSUING, CM_OK, "list" },
		{ NAMED ISSUING "?deltaRevocationList" AS_AD_CS, CM_OK, "delta" },
		{ NAMED ISSUING "?authorityRevocationList;binary?base?(objectClass=*)", CM_OK, "authority" },
		{ NAMED ISSUING "????x-unknown=1", CM_OK, "list" },
		{ NAMED "CN=A%5C,%20B%3F%20100%25%20%C3%9Cmlaut," LISTS_BASE "?certificateRevocationList", CM_OK, "odd" },
		{ NAMED "CN=A%5c2c B%3f 100%25 %c3%9cmlaut," LISTS_BASE, CM_OK, "odd" },
		{ NAMED LISTS_BASE "?certificateRevocationList?sub?(cn=Issuing%20CA%201)", CM_OK, "list" },
		{ NAMED "CN=dc1," LISTS_BASE "?certificateRevocationList?one", CM_OK, "list" },
		{ "LDAP://[::1]:" LISTS_PORT "/" ISSUING "?certificateRevocationList", CM_OK, "list" },
	};

	(void)state;
	expect_rows(rows, CM_COUNT(rows), NULL);
	assert_int_equal(lists_saw(" BIND "), 0);	/* whoever is named there is not told who asks */
}

static void
a_server_that_has_none_says_so(void **state)
{
	static const struct row rows[] = {
		{ NAMED "CN=Nobody," LISTS_BASE "?certificateRevocationList", CM_ERR_ABSENT, "no entry, or it is not shown, in \"CN=Nobody" },
		{ NAMED "CN=Empty," LISTS_BASE "?certificateRevocationList", CM_ERR_ABSENT, "no value of certificateRevocationList" },
		{ NAMED ISSUING "?caCertificate;binary", CM_ERR_ABSENT, "no value of caCertificate" },
		{ NAMED ISSUING "?noSuchAttribute", CM_ERR_ABSENT, "no value of noSuchAttribute" },
		{ NAMED ISSUING "?certificateRevocationList?base?(cn=other)", CM_ERR_ABSENT, "no entry" },
		{ NAMED "CN=Private," LISTS_BASE, CM_ERR_ABSENT, "not shown" },
		{ NAMED "CN=Several," LISTS_BASE "?certificateRevocationList", CM_ERR_AMBIGUOUS, "more than one value" },
		{ NAMED LISTS_BASE "?certificateRevocationList?sub", CM_ERR_AMBIGUOUS, "more than one value" },
		{ NAMED "CN=Elsewhere," LISTS_BASE, CM_ERR_OFFLINE, "Referral" },
		{ NAMED "dc=other,dc=test", CM_ERR_ABSENT, "no entry" },
	};

	(void)state;
	expect_rows(rows, CM_COUNT(rows), NULL);
}

/* AD CS's form: whose directory it is stands in the configuration. */
static void
serverless_addresses_go_to_the_directory(void **state)
{
	static const char *const uris[] = { "local:", "ldap://127.0.0.1:1", "ldap://127.0.0.1:" LISTS_PORT, NULL };
	static const struct row rows[] = {
		{ "ldap:///" ISSUING "?certificateRevocationList" AS_AD_CS, CM_OK, "list" },
		{ "ldap:///CN=Private," LISTS_BASE "?certificateRevocationList;binary" AS_AD_CS, CM_OK, "private" },
		{ "ldap:///CN=Nobody," LISTS_BASE, CM_ERR_ABSENT, "no entry" },
	};
	static const char path[] = "/run/rig/tmp/lists.password";
	struct cm_ldap_fetching how = directory(uris);
	const unsigned tls = lists_saw("TLS established"), bound = lists_saw(" BIND dn=\"cn=Reader,");
	FILE *f = fopen(path, "w");

	(void)state;
	assert_true(f != NULL && fputs("secret\n", f) >= 0 && fclose(f) == 0 && chmod(path, 0600) == 0);
	how.bind_dn = "cn=Reader,CN=CDP,CN=Public Key Services,CN=Services,CN=Configuration,DC=lists,DC=test";
	how.bind_password_file = path;
	expect_rows(rows, CM_COUNT(rows), &how);
	assert_int_equal(lists_saw("TLS established") - tls, CM_COUNT(rows));
	assert_true(lists_saw(" BIND dn=\"cn=Reader,") - bound >= CM_COUNT(rows));
	unlink(path);
}

/* As for accounts: nothing goes in the clear, and the password to nobody but the directory. */
static void
the_directorys_rules_hold_for_lists(void **state)
{
	static const char *const clear[] = { "ldap://192.0.2.1", NULL };
	static const char *const tls[] = { "ldap://127.0.0.1:" LISTS_PORT, NULL };
	static const char *const ldaps[] = { "ldaps://127.0.0.1:" LISTS_TLS_PORT, NULL };
	static const char *const none[] = { "local:", "ldif:/nonexistent", NULL };
	static const char url[] = "ldap:///" ISSUING "?certificateRevocationList";
	struct cm_ldap_fetching how = directory(clear);
	struct got g;

	(void)state;
	how.starttls = false;
	g = get(&how, url);
	expect_got(&g, CM_ERR_CONFIG, "plain LDAP is for this computer only");
	how = directory(ldaps);
	g = get(&how, url);
	expect_got(&g, CM_OK, "list");
	how = directory(tls);
	how.ca = NULL;
	g = get(&how, url);
	expect_got(&g, CM_ERR_CONFIG, "directory.ca");
	how = directory(tls);
	snprintf(ca, sizeof(ca), "%s", pki("stranger-root.crt"));
	g = get(&how, url);
	assert_true(g.f.distrusted && !g.f.answered);
	expect_got(&g, CM_ERR_OFFLINE, "certificate is not accepted");
	how = directory(none);
	g = get(&how, url);
	expect_got(&g, CM_ERR_CONFIG, "directory.uri has none");
	g = get(NULL, url);
	expect_got(&g, CM_ERR_CONFIG, "directory.uri has none");
	how = directory(tls);
	how.bind_dn = "cn=Reader,CN=CDP,CN=Public Key Services,CN=Services,CN=Configuration,DC=lists,DC=test";
	how.bind_password_file = pki("root.crt");
	g = get(&how, url);
	expect_got(&g, CM_ERR_CONFIG, "root.crt");
	how.bind_password_file = rig("CM_RIG_BIND_PASSWORD_FILE");
	g = get(&how, url);
	assert_true(g.f.answered);
	expect_got(&g, CM_ERR_OFFLINE, "Invalid credentials");
}

static void
ldaps_addresses_are_trusted_by_the_directorys_ca(void **state)
{
	static const char url[] = "ldaps://127.0.0.1:" LISTS_TLS_PORT "/" ISSUING "?certificateRevocationList";
	struct cm_ldap_fetching how = directory(NULL);
	struct got g = get(&how, url);

	(void)state;
	expect_got(&g, CM_OK, "list");
	snprintf(ca, sizeof(ca), "%s", pki("stranger-root.crt"));
	g = get(&how, url);
	assert_true(g.f.distrusted);
	expect_got(&g, CM_ERR_OFFLINE, "certificate is not accepted");
	g = get(NULL, url);
	expect_got(&g, CM_ERR_CONFIG, "directory.ca");
}

static void
what_is_no_such_url_is_asked_of_nobody(void **state)
{
	static const struct row rows[] = {
		{ "", CM_ERR_SYNTAX, "begins with neither" },
		{ "http://127.0.0.1/", CM_ERR_SYNTAX, "begins with neither" },
		{ "ldapi://%2Frun%2Fslapd/cn=x", CM_ERR_SYNTAX, "begins with neither" },
		{ "<ldap://127.0.0.1/cn=x>", CM_ERR_SYNTAX, "begins with neither" },
		{ "ldap:/cn=x", CM_ERR_SYNTAX, "begins with neither" },
		{ NAMED ISSUING "?certificateRevocationList?base?""?!bindname=cn=x", CM_ERR_SYNTAX, "critical extension" },
		{ NAMED ISSUING "?certificateRevocationList?base?""?x-a=1,!x-b", CM_ERR_SYNTAX, "critical extension" },
		{ NAMED ISSUING "?certificateRevocationList,deltaRevocationList", CM_ERR_SYNTAX, "several attributes" },
		{ NAMED ISSUING "?*", CM_ERR_SYNTAX, "no attribute" },
		{ NAMED ISSUING "?%2B", CM_ERR_SYNTAX, "no attribute" },
		{ NAMED ISSUING "?1.1", CM_ERR_SYNTAX, "no attribute" },
		{ NAMED ISSUING "?certificateRevocationList?base?(cn=*", CM_ERR_SYNTAX, "filter" },
		{ NAMED ISSUING "?certificateRevocationList?base?(cn=a)(cn=b)", CM_ERR_SYNTAX, "filter" },
		{ NAMED ISSUING "?certificateRevocationList?everything", CM_ERR_SYNTAX, "parts" },
		{ NAMED ISSUING "?a?base?(cn=a)?x?y", CM_ERR_SYNTAX, "parts" },
		{ NAMED "no%20name", CM_ERR_SYNTAX, "distinguished name" },
		{ "ldap://127.0.0.1:" LISTS_PORT, CM_ERR_SYNTAX, "no entry" },
		{ NAMED "?certificateRevocationList?sub", CM_ERR_SYNTAX, "no entry" },
		{ NAMED "CN=a%00b", CM_ERR_SYNTAX, "encoded NUL" },
		{ NAMED "CN=a%zz", CM_ERR_SYNTAX, "hexadecimal" },
		{ NAMED "CN=a%4", CM_ERR_SYNTAX, "hexadecimal" },
		{ NAMED "CN=\xc3\x9c", CM_ERR_SYNTAX, "percent-encoded" },
		{ NAMED "CN=a\n", CM_ERR_SYNTAX, "percent-encoded" },
		{ "ldap://127.0.0.1:65925/cn=x", CM_ERR_SYNTAX, "port" },	/* 389, modulo 65536 */
		{ "ldap://127.0.0.1:-1/cn=x", CM_ERR_SYNTAX, "port" },
		{ "ldap://127.0.0.1:x/cn=x", CM_ERR_SYNTAX, "parts" },
		{ "ldap://user%40127.0.0.1/cn=x", CM_ERR_SYNTAX, "server" },
	};
	const unsigned accepted = lists_saw(" ACCEPT from ");

	(void)state;
	expect_rows(rows, CM_COUNT(rows), NULL);
	assert_int_equal(lists_saw(" ACCEPT from "), accepted);
}

/* RFC 4522: how a server names what it sends is its own affair. */
static void
the_value_is_known_by_any_of_its_names(void **state)
{
#define V(name, text)	{ { (const uint8_t *)(name), sizeof(name) - 1 }, { (const uint8_t *)(text), sizeof(text) - 1 } }
	static const struct { const char *asked; struct cm_value values[2]; size_t count; } rows[] = {
		{ "certificateRevocationList", { V("certificateRevocationList;binary", "x") }, 1 },
		{ "certificateRevocationList;binary", { V("CertificateRevocationList", "x") }, 1 },
		{ "certificateRevocationList", { V("certificateRevocationList", "x"), V("certificateRevocationList;binary", "x") }, 1 },
		{ "certificateRevocationList", { V("certificateRevocationList", "x"), V("certificateRevocationList", "y") }, 2 },
		{ "certificateRevocationList", { V("deltaRevocationList", "y"), V("certificateRevocationList", "x") }, 1 },
		{ "deltaRevocationList", { V("deltaRevocationList;binary", "x"), V("certificateRevocationList", "y") }, 1 },
		{ "certificateRevocationList", { V("certificateRevocationList", "") }, 0 },
		{ "certificateRevocationList", { V("certificateRevocationLists", "y") }, 0 },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_buf url = { .ptr = NULL }, why = { .ptr = NULL };
		struct cm_ldap_url u;
		struct cm_blob value;
		size_t count;

		cm_buf_addf(&url, "ldap:///CN=x?%s", rows[i].asked);
		assert_int_equal(cm_ldap_url_parse(cm_buf_str(&url), &u, &why), CM_OK);
		value = cm_ldap_url_pick(&u, rows[i].values, 2, &count);
		assert_int_equal(count, rows[i].count);
		if (count == 1)
			assert_true(cm_blob_equal(value, cm_blob_str("x")));
		cm_ldap_url_clear(&u);
		cm_buf_free(&url);
	}
#undef V
}

static void
a_list_is_asked_for_by_either_name(void **state)
{
	static const char *const names[] = { "certificateRevocationList", "certificateRevocationList;binary" };
	static const enum fake_mode modes[] = { FAKE_LIST_PLAIN, FAKE_LIST_BINARY };

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct fake fake = fake_start(modes[i / 2], "ldap", "127.0.0.1", 0);
		char url[256];
		struct got g;

		snprintf(url, sizeof(url), "%s/cn=x?%s", fake.uri, names[i % 2]);
		g = get(NULL, url);
		assert_int_equal(g.err, CM_OK);
		assert_int_equal(g.f.connections, 1);
		assert_true(cm_blob_equal(cm_buf_blob(&g.value), cm_blob_str(FAKE_LIST)));
		drop(&g);
		fake_stop(&fake);
	}
}

static struct got
fetch_of(const struct fake *fake, const struct cm_ldap_fetching *how, unsigned ms, int cancel)
{
	char url[256];

	snprintf(url, sizeof(url), how != NULL ? "ldap:///cn=x" : "%s/cn=x", fake->uri);
	return fetch(how, url, 1 << 20, ms, cancel);
}

/* Each place where a server may stop. */
static const struct stop {
	enum fake_mode mode;
	bool starttls, half;
	const char *what;
} stops[] = {
	{ FAKE_NO_ACCEPT, false, false, "connecting" },
	{ FAKE_SILENT, true, false, "StartTLS" },
	{ FAKE_TLS_SILENT, true, true, "handshake" },
	{ FAKE_SILENT, false, false, "search" },
	{ FAKE_DRIP, false, true, "half a message" },
};

static void
silence_at_any_point_ends_at_the_deadline(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(stops); i++) {
		struct fake fake = fake_start(stops[i].mode, "ldap", "127.0.0.1", 0);
		const char *const uris[] = { fake.uri, NULL };
		const struct cm_ldap_fetching how = directory(uris);
		struct got g = fetch_of(&fake, stops[i].starttls ? &how : NULL, DEADLINE_MS, -1);

		if (g.ms < DEADLINE_MS - 20 || g.ms > DEADLINE_MS + SLACK_MS)
			fail_msg("%s: took %lld ms: %s", stops[i].what, (long long)g.ms, cm_buf_str(&g.why));
		assert_true(g.f.silent && !g.f.cancelled && !g.f.answered);
		assert_int_equal(g.f.bytes > 0, stops[i].half);
		expect_got(&g, CM_ERR_OFFLINE, "no answer in time");
		fake_stop(&fake);
	}
}

static void *
cancel_soon(void *fd)
{
	poll(NULL, 0, 50);
	assert_int_equal(write(*(const int *)fd, "x", 1), 1);
	return NULL;
}

/* Whoever has its answer elsewhere does not wait for this one. */
static void
cancelling_ends_any_wait(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(stops); i++) {
		struct fake fake = fake_start(stops[i].mode, "ldap", "127.0.0.1", 0);
		const char *const uris[] = { fake.uri, "ldap://127.0.0.1:" LISTS_PORT, NULL };
		const struct cm_ldap_fetching how = directory(uris);
		pthread_t thread;
		struct got g;
		int ends[2];

		assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
		assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &ends[1]), 0);
		g = fetch_of(&fake, stops[i].starttls ? &how : NULL, PATIENT_MS, ends[0]);
		if (g.ms > SOON_MS)
			fail_msg("%s: took %lld ms: %s", stops[i].what, (long long)g.ms, cm_buf_str(&g.why));
		assert_true(g.f.cancelled && !g.f.silent && g.f.connections <= 1);
		expect_got(&g, CM_ERR_OFFLINE, "given up");
		pthread_join(thread, NULL);
		g = get(NULL, NAMED ISSUING);
		expect_got(&g, CM_OK, "list");
		close(ends[0]);
		close(ends[1]);
		fake_stop(&fake);
	}
}

static void
a_silent_server_leaves_time_for_the_next(void **state)
{
	struct fake fake = fake_start(FAKE_SILENT, "ldap", "127.0.0.1", 0);
	const char *const uris[] = { fake.uri, "ldap://127.0.0.1:" LISTS_PORT, NULL };
	const struct cm_ldap_fetching how = directory(uris);
	struct got g = fetch(&how, "ldap:///" ISSUING, 1 << 20, 3 * DEADLINE_MS, -1);

	(void)state;
	assert_int_equal(g.err, CM_OK);
	assert_int_equal(g.f.connections, 2);
	assert_true(g.f.answered && !g.f.silent);
	drop(&g);
	fake_stop(&fake);
}

static void
misbehaviour_is_said(void **state)
{
	static const struct { enum fake_mode mode; enum cm_err err; const char *text; } rows[] = {
		{ FAKE_CLOSE, CM_ERR_OFFLINE, "closed the connection" },
		{ FAKE_GARBAGE, CM_ERR_OFFLINE, "" },
		{ FAKE_HUGE, CM_ERR_OFFLINE, "more than the 1048576 octets" },
		{ FAKE_FLOOD, CM_ERR_OFFLINE, "no usable answer" },
		{ FAKE_ENDLESS, CM_ERR_OFFLINE, "no usable answer" },
		{ FAKE_LIAR, CM_ERR_ABSENT, "no value of certificateRevocationList" },
		{ FAKE_BUSY, CM_ERR_OFFLINE, "busy" },
		{ FAKE_UNWILLING, CM_ERR_OFFLINE, "unwilling" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct fake fake = fake_start(rows[i].mode, "ldap", "127.0.0.1", 0);
		struct got g = fetch_of(&fake, NULL, PATIENT_MS, -1);

		assert_int_equal(g.f.too_large, rows[i].mode == FAKE_HUGE);
		assert_true(!g.f.silent && g.f.bytes < 1 << 20);
		expect_got(&g, rows[i].err, rows[i].text);
		fake_stop(&fake);
	}
}

static void
a_name_nobody_knows_is_waited_for_no_longer(void **state)
{
	static const char url[] = "ldap://directory.cardmap.test:3899/cn=x";
	struct got g = fetch(NULL, url, 1 << 20, DEADLINE_MS, -1);
	pthread_t thread;
	int ends[2];

	(void)state;
	assert_true(g.f.silent && g.ms <= DEADLINE_MS + SLACK_MS);
	expect_got(&g, CM_ERR_OFFLINE, "no answer in time");
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(pthread_create(&thread, NULL, cancel_soon, &ends[1]), 0);
	g = fetch(NULL, url, 1 << 20, PATIENT_MS, ends[0]);
	assert_true(g.f.cancelled && g.ms <= SOON_MS);
	expect_got(&g, CM_ERR_OFFLINE, "given up");
	pthread_join(thread, NULL);
	close(ends[0]);
	close(ends[1]);
	g = get(NULL, "ldap://no..name/cn=x");
	assert_true(g.f.unnamed);
	expect_got(&g, CM_ERR_OFFLINE, "could not be looked up");
}

static void
what_there_is_no_room_for_is_said(void **state)
{
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct cm_ldap_fetch f = {
		.url = NAMED ISSUING, .max = 1 << 20, .deadline = cm_deadline_in(PATIENT_MS), .cancel = -1,
		.take = write_to, .arg = &full,
	};
	struct cm_buf why = { .ptr = NULL };

	(void)state;
	assert_int_equal(cm_ldap_fetch(&f, &why), CM_ERR_SYSTEM);
	assert_non_null(strstr(cm_buf_str(&why), "no room for the answer"));
	cm_buf_free(&why);
	close(full);
}

/* The process's memory at its highest since it was last set back, bytes. */
static size_t
peak(bool set_back)
{
	size_t kib = 0;
	char line[256];
	FILE *f = fopen(set_back ? "/proc/self/clear_refs" : "/proc/self/status", set_back ? "w" : "r");

	assert_non_null(f);
	if (set_back)
		fputs("5\n", f);
	while (!set_back && fgets(line, sizeof(line), f) != NULL)
		if (strncmp(line, "VmHWM:", 6) == 0)
			kib = strtoul(line + 6, NULL, 10);
	fclose(f);
	return kib * 1024;
}

/* libldap holds a message whole, once: what is larger than wanted is not begun with, and of two the second is not. */
static void
a_list_of_a_million_takes_no_more_memory_than_said(void **state)
{
	static const char url[] = NAMED "CN=Big," LISTS_BASE "?certificateRevocationList";
	static const char all[] = NAMED LISTS_BASE "?certificateRevocationList?sub?(|(cn=Big)(cn=Issuing%20CA%201))";
	int fd = memfd_create("value", MFD_CLOEXEC);
	struct cm_ldap_fetch f = { .url = url, .cancel = -1, .deadline = cm_deadline_in(PATIENT_MS), .take = write_to, .arg = &fd };
	struct cm_buf list = { .ptr = NULL }, value = { .ptr = NULL }, why = { .ptr = NULL };
	size_t before;
	struct got g;

	(void)state;
	lists_add_big();
	lists_read("big", &list);
	assert_true(list.len > 35 << 20);
	g = fetch(NULL, url, list.len - 1, PATIENT_MS, -1);
	assert_true(g.f.too_large && g.f.answered);
	expect_got(&g, CM_ERR_OFFLINE, "more than the");
	g = fetch(NULL, url, 1 << 20, PATIENT_MS, -1);
	assert_true(g.f.too_large && g.f.bytes < 1 << 20);
	expect_got(&g, CM_ERR_OFFLINE, "more than the");
	g = fetch(NULL, all, 64 << 20, PATIENT_MS, -1);
	assert_true(g.f.bytes < 1 << 20);
	expect_got(&g, CM_ERR_AMBIGUOUS, "more than one value");

	f.max = list.len;
	before = peak(true);
	before = peak(false);
	assert_int_equal(cm_ldap_fetch(&f, &why), CM_OK);
	/* the file itself stands in memory here, but in nobody's */
	if (peak(false) - before > list.len + (8 << 20))
		fail_msg("%zu octets for a list of %zu", peak(false) - before, list.len);
	read_back(fd, &value);
	assert_true(cm_blob_equal(cm_buf_blob(&value), cm_buf_blob(&list)));
	close(fd);
	cm_buf_free(&value);
	cm_buf_free(&list);
}

static int
start(void **state)
{
	lists_start();
	return silence_the_resolver(state);
}

static int
stop(void **state)
{
	(void)state;
	lists_stop();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists_come_from_the_server_named),
		cmocka_unit_test(a_server_that_has_none_says_so),
		cmocka_unit_test(serverless_addresses_go_to_the_directory),
		cmocka_unit_test(the_directorys_rules_hold_for_lists),
		cmocka_unit_test(ldaps_addresses_are_trusted_by_the_directorys_ca),
		cmocka_unit_test(what_is_no_such_url_is_asked_of_nobody),
		cmocka_unit_test(the_value_is_known_by_any_of_its_names),
		cmocka_unit_test(a_list_is_asked_for_by_either_name),
		cmocka_unit_test(silence_at_any_point_ends_at_the_deadline),
		cmocka_unit_test(cancelling_ends_any_wait),
		cmocka_unit_test(a_silent_server_leaves_time_for_the_next),
		cmocka_unit_test(misbehaviour_is_said),
		cmocka_unit_test(a_name_nobody_knows_is_waited_for_no_longer),
		cmocka_unit_test(what_there_is_no_room_for_is_said),
		cmocka_unit_test(a_list_of_a_million_takes_no_more_memory_than_said),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
