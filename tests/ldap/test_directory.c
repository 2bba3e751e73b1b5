/* tests/ldap/test_directory.c - one account from a real slapd, and from servers that misbehave. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ask.h"
#include "fake_ldap.h"

#define ALT	"altSecurityIdentities"
#define ALICE	"Kerberos:alice@CARDMAP.TEST"

/* A wait that ends at its deadline ends within this many milliseconds after it. */
#define SLACK_MS	250
#define DEADLINE_MS	400

/* What our side of the connection asks the system. */
static unsigned polls, sends;

int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
ssize_t __real_send(int fd, const void *bytes, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags);

int
__wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
	polls++;
	return __real_poll(fds, count, timeout);
}

ssize_t
__wrap_send(int fd, const void *bytes, size_t len, int flags)
{
	sends++;
	return __real_send(fd, bytes, len, flags);
}

/* rig.py ACTION slapd */
static void
slapd(const char *action)
{
	const pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		execl(rig("CM_RIG"), "rig.py", action, "slapd", (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* What slapd itself has seen: lines of its log with this text. */
static unsigned
slapd_saw(const char *text)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/slapd.log", rig("CM_RIG_DIR"));
	return lines_with(path, text);
}

static const char *uris[3];
static char ca[4096];

static struct cm_directory_options
options_for(const char *uri, const char *uri2)
{
	uris[0] = uri;
	uris[1] = uri2;
	uris[2] = NULL;
	snprintf(ca, sizeof(ca), "%s", pki("root.crt"));
	return (struct cm_directory_options){
		.uris = uris, .base = rig("CM_RIG_BASE"), .ca = ca, .starttls = true,
		.realm = rig("CM_RIG_REALM"), .first_uid = 1000, .first_gid = 1000,
	};
}

static struct cm_directory *
open_slapd(void)
{
	const struct cm_directory_options o = options_for(rig("CM_RIG_LDAP_URI"), NULL);

	return must_open(&o);
}

static void
the_account_is_whole(void **state)
{
	struct cm_directory *d = open_slapd();
	struct answer a = find(d, ALT, ALICE);

	(void)state;
	if (a.err != CM_OK)
		fail_msg("%s", cm_trace_message(a.trace));
	assert_string_equal(a.account->name, "alice");
	assert_string_equal(a.account->principal, "alice@CARDMAP.TEST");
	assert_string_equal(a.account->dn, "uid=alice,ou=people,dc=cardmap,dc=test");
	assert_string_equal(a.account->home, "/home/alice");
	assert_string_equal(a.account->shell, "/bin/bash");
	assert_string_equal(a.account->gecos, "Alice Example");
	assert_int_equal(a.account->uid, 10001);
	assert_int_equal(a.account->gid, 10000);
	assert_string_equal(groups_of(a.account), "cards(10102) engineering(10101) users(10000)");
	assert_string_equal(a.account->rule, "first");
	assert_string_equal(a.account->matched, ALICE);
	assert_string_equal(a.account->source, rig("CM_RIG_LDAP_URI"));
	answer_free(&a);
	cm_directory_close(&d);
}

static void
every_way_in(void **state)
{
	static const struct { const char *uri; bool starttls, bind; } ways[] = {
		{ "CM_RIG_LDAP_URI", false, false }, { "CM_RIG_LDAP_URI", false, true },
		{ "CM_RIG_LDAP_URI", true, false }, { "CM_RIG_LDAP_URI", true, true },
		{ "CM_RIG_LDAPS_URI", true, false }, { "CM_RIG_LDAPS_URI", false, true },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(ways); i++) {
		struct cm_directory_options o = options_for(rig(ways[i].uri), NULL);
		const unsigned tls = slapd_saw("TLS established");
		struct cm_directory *d;
		struct answer a;

		o.starttls = ways[i].starttls;
		if (ways[i].bind) {
			o.bind_dn = rig("CM_RIG_BIND_DN");
			o.bind_password_file = rig("CM_RIG_BIND_PASSWORD_FILE");
		}
		d = must_open(&o);
		a = find(d, ALT, ALICE);
		if (a.err != CM_OK)
			fail_msg("way %zu: %s", i, cm_trace_message(a.trace));
		assert_int_equal(cm_directory_stats(d).binds, ways[i].bind);
		assert_int_equal(slapd_saw("TLS established") - tls,
		    ways[i].starttls || strcmp(ways[i].uri, "CM_RIG_LDAPS_URI") == 0);
		answer_free(&a);
		cm_directory_close(&d);
	}
}

static void
one_none_and_several(void **state)
{
	static const struct { const char *attribute, *value; enum cm_reason reason; const char *text; } cases[] = {
		{ ALT, "KERBEROS:Alice@cardmap.test", CM_REASON_NONE, "" },
		{ "mail", "erin@cardmap.test", CM_REASON_NONE, "" },
		{ "mail", "Erin@CARDMAP.TEST", CM_REASON_NONE, "" },
		{ ALT, "Kerberos:carol@CARDMAP.TEST", CM_REASON_NO_ACCOUNT,
		    "no account with altSecurityIdentities=Kerberos:carol@CARDMAP.TEST" },
		{ ALT, "Kerberos:dave@CARDMAP.TEST", CM_REASON_SEVERAL_ACCOUNTS, "uid=dave-admin,ou=people" },
		{ ALT, "Kerberos:toor@CARDMAP.TEST", CM_REASON_ACCOUNT_FORBIDDEN, "toor" },
		{ ALT, "Kerberos:sysuser@CARDMAP.TEST", CM_REASON_ACCOUNT_FORBIDDEN, "uid 101" },
		{ ALT, "Kerberos:badhome@CARDMAP.TEST", CM_REASON_ACCOUNT_MALFORMED, "/home/../root" },
		{ "cn", "cardholders", CM_REASON_ACCOUNT_MALFORMED, "is missing" },	/* a group is no account */
		{ "nosuchattribute", "x", CM_REASON_NO_ACCOUNT, "nosuchattribute=x" },
	};
	struct cm_directory *d = open_slapd();

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		const struct cm_directory_stats before = cm_directory_stats(d);
		struct answer a = find(d, cases[i].attribute, cases[i].value);

		/* groups are asked for only once the account is known to be one */
		assert_int_equal(cm_directory_stats(d).searches - before.searches,
		    cases[i].reason == CM_REASON_NONE ? 2 : 1);
		expect(&a, cases[i].reason, cases[i].text);
	}
	cm_directory_close(&d);
}

/* Attack: LDAP filter injection by )(|(uid=* */
static void
injection_values_find_nobody(void **state)
{
	static const char *const values[] = {
		")(|(uid=*", "*)(uid=*", "*", "alice*", "Kerberos:*", "\\2a", "x)(|(objectClass=*)", "\\", "(&",
		"Kerberos:alice@CARDMAP.TEST)(uid=*",
	};
	struct cm_directory *d = open_slapd();

	(void)state;
	for (size_t i = 0; i < CM_COUNT(values); i++) {
		struct answer a = find(d, ALT, values[i]);

		expect(&a, CM_REASON_NO_ACCOUNT, "no account");
	}
	cm_directory_close(&d);
}

/* Attack: a directory group named sudo or disk, or gid 0. */
static void
privileged_groups_are_dropped(void **state)
{
	struct cm_directory *d = open_slapd();
	struct answer a = find(d, ALT, "Kerberos:grace@CARDMAP.TEST");

	(void)state;
	assert_int_equal(a.err, CM_OK);
	assert_string_equal(groups_of(a.account), "engineering(10101) users(10000)");
	assert_true(trace_has(a.trace, "group dropped", "cn=sudo"));
	assert_true(trace_has(a.trace, "group dropped", "cn=disk"));
	assert_true(trace_has(a.trace, "group dropped", "cn=wheel0"));
	answer_free(&a);
	cm_directory_close(&d);
}

static void
one_connection_is_kept(void **state)
{
	struct cm_directory_options o = options_for(rig("CM_RIG_LDAP_URI"), NULL);
	const unsigned accepted = slapd_saw(" ACCEPT from "), searched = slapd_saw(" SRCH base=");
	const unsigned bound = slapd_saw(" BIND dn=\"cn=reader");
	struct cm_directory *d;

	(void)state;
	o.bind_dn = rig("CM_RIG_BIND_DN");
	o.bind_password_file = rig("CM_RIG_BIND_PASSWORD_FILE");
	d = must_open(&o);
	assert_int_equal(slapd_saw(" ACCEPT from "), accepted);	/* opening connects to nothing */
	for (int i = 0; i < 25; i++) {
		struct answer a = find(d, ALT, ALICE);

		expect(&a, CM_REASON_NONE, "");
	}
	assert_int_equal(cm_directory_stats(d).connections, 1);
	assert_int_equal(cm_directory_stats(d).binds, 1);
	assert_int_equal(cm_directory_stats(d).searches, 50);
	assert_int_equal(slapd_saw(" ACCEPT from ") - accepted, 1);
	assert_int_equal(slapd_saw(" SRCH base=") - searched, 50);
	assert_int_equal(slapd_saw(" BIND dn=\"cn=reader") - bound, 2);	/* slapd writes a second line with the method */
	cm_directory_close(&d);
}

/* Thousands a second: a question is one send(2), and its answer is waited for where it is received. */
static void
a_question_costs_few_system_calls(void **state)
{
	struct cm_directory *d = open_slapd();
	struct answer a = find(d, ALT, ALICE);
	unsigned searches;

	(void)state;
	expect(&a, CM_REASON_NONE, "");
	searches = cm_directory_stats(d).searches;
	polls = sends = 0;
	for (int i = 0; i < 25; i++) {
		a = find(d, ALT, ALICE);
		expect(&a, CM_REASON_NONE, "");
	}
	searches = cm_directory_stats(d).searches - searches;
	assert_int_equal(searches, 50);
	assert_int_equal(sends, searches);
	/* a slow answer is polled for; not half of them are slow */
	assert_in_range(polls, 0, searches / 2);
	cm_directory_close(&d);
}

static void
a_restarted_server_is_found_again(void **state)
{
	struct cm_directory *d = open_slapd();
	struct answer a = find(d, ALT, ALICE);
	const unsigned tls = slapd_saw("TLS established");

	(void)state;
	expect(&a, CM_REASON_NONE, "");
	slapd("stop");
	slapd("start");
	a = find(d, ALT, ALICE);
	expect(&a, CM_REASON_NONE, "");
	assert_int_equal(cm_directory_stats(d).connections, 2);
	assert_int_equal(slapd_saw("TLS established"), tls + 1);	/* nothing was asked in the clear */
	slapd("stop");
	a = find(d, ALT, ALICE);
	expect(&a, CM_REASON_DIRECTORY_OFFLINE, "Connection refused");
	slapd("start");
	a = find(d, ALT, ALICE);
	expect(&a, CM_REASON_NONE, "");
	cm_directory_close(&d);
}

/* Ends with DIRECTORY_OFFLINE, not before the deadline and not much after it. */
static void
expect_deadline(struct cm_directory *d, const char *what)
{
	const int64_t start = cm_clock_us();
	struct ask q;
	struct answer a = find_query(d, ask_for(&q, ALT, ALICE, NULL, NULL), DEADLINE_MS);
	const int64_t ms = (cm_clock_us() - start) / 1000;

	if (ms < DEADLINE_MS - 20 || ms > DEADLINE_MS + SLACK_MS)
		fail_msg("%s: took %lld ms: %s", what, (long long)ms, cm_trace_message(a.trace));
	expect(&a, CM_REASON_DIRECTORY_OFFLINE, "no answer in time");
}

static void
a_frozen_server_ends_at_the_deadline(void **state)
{
	static const struct { const char *uri; bool starttls; } ways[] = {
		{ "CM_RIG_LDAP_URI", false }, { "CM_RIG_LDAP_URI", true }, { "CM_RIG_LDAPS_URI", true },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(ways); i++) {
		struct cm_directory_options o = options_for(rig(ways[i].uri), NULL);
		struct cm_directory *fresh, *kept;
		struct answer a;

		o.starttls = ways[i].starttls;
		fresh = must_open(&o);
		kept = must_open(&o);
		a = find(kept, ALT, ALICE);
		expect(&a, CM_REASON_NONE, "");
		slapd("freeze");
		expect_deadline(fresh, "connecting anew");
		expect_deadline(kept, "on a kept connection");
		slapd("thaw");
		a = find(kept, ALT, ALICE);
		expect(&a, CM_REASON_NONE, "");
		a = find(fresh, ALT, ALICE);
		expect(&a, CM_REASON_NONE, "");
		cm_directory_close(&fresh);
		cm_directory_close(&kept);
	}
}

/* Servers that stop at some point: each wait has the deadline. */
static void
silence_at_any_point_ends_at_the_deadline(void **state)
{
	static const struct { enum fake_mode mode; const char *scheme; bool starttls, bind; const char *what; } cases[] = {
		{ FAKE_NO_ACCEPT, "ldap", true, false, "connecting" },
		{ FAKE_SILENT, "ldap", true, false, "StartTLS" },
		{ FAKE_TLS_SILENT, "ldap", true, false, "handshake after StartTLS" },
		{ FAKE_SILENT, "ldaps", true, false, "handshake" },
		{ FAKE_SILENT, "ldap", false, true, "bind" },
		{ FAKE_SILENT, "ldap", false, false, "search" },
		{ FAKE_DRIP, "ldap", false, false, "half a message" },
		{ FAKE_FLOOD, "ldap", false, false, "messages without end" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct fake f = fake_start(cases[i].mode, cases[i].scheme, "127.0.0.1", 0);
		struct cm_directory_options o = options_for(f.uri, NULL);
		struct cm_directory *d;

		o.starttls = cases[i].starttls;
		if (cases[i].bind) {
			o.bind_dn = rig("CM_RIG_BIND_DN");
			o.bind_password_file = rig("CM_RIG_BIND_PASSWORD_FILE");
		}
		d = must_open(&o);
		expect_deadline(d, cases[i].what);
		cm_directory_close(&d);
		fake_stop(&f);
	}
}

static void
a_silent_server_leaves_time_for_the_next(void **state)
{
	struct fake f = fake_start(FAKE_SILENT, "ldap", "127.0.0.1", 0);
	struct cm_directory_options o = options_for(f.uri, rig("CM_RIG_LDAP_URI"));
	struct cm_directory *d;
	struct answer a;
	struct ask q;

	(void)state;
	d = must_open(&o);
	a = find_query(d, ask_for(&q, ALT, ALICE, NULL, NULL), 2 * DEADLINE_MS);
	assert_int_equal(a.err, CM_OK);
	assert_true(trace_has(a.trace, "passed over", f.uri));
	assert_string_equal(a.account->source, rig("CM_RIG_LDAP_URI"));
	expect(&a, CM_REASON_NONE, "");
	cm_directory_close(&d);
	fake_stop(&f);
}

static void
misbehaviour_has_its_reason(void **state)
{
	static const struct { enum fake_mode mode; bool starttls; enum cm_reason reason; const char *text; } cases[] = {
		{ FAKE_CLOSE, false, CM_REASON_DIRECTORY_OFFLINE, "closed the connection" },
		{ FAKE_CLOSE, true, CM_REASON_DIRECTORY_OFFLINE, "closed the connection" },
		{ FAKE_GARBAGE, false, CM_REASON_DIRECTORY_OFFLINE, "" },
		{ FAKE_GARBAGE, true, CM_REASON_DIRECTORY_OFFLINE, "" },
		{ FAKE_NO_STARTTLS, true, CM_REASON_DIRECTORY_TLS, "does not offer StartTLS" },
		{ FAKE_TLS_CLEAR, true, CM_REASON_DIRECTORY_OFFLINE, "TLS handshake" },
		{ FAKE_HUGE, false, CM_REASON_DIRECTORY_OFFLINE, "no usable answer" },
		{ FAKE_ENDLESS, false, CM_REASON_SEVERAL_ACCOUNTS, "u (uid=u14,dc=test; rule first, weak); and more" },
		{ FAKE_LIAR, false, CM_REASON_NO_ACCOUNT, "no account" },
		{ FAKE_HIDDEN, false, CM_REASON_DIRECTORY_REFUSED, "does not show its altSecurityIdentities" },
		{ FAKE_HALF_HIDDEN, false, CM_REASON_DIRECTORY_REFUSED, "finds uid=bob,dc=test" },
		{ FAKE_TWICE, false, CM_REASON_NONE, "" },
		{ FAKE_DISGUISE, false, CM_REASON_ACCOUNT_MALFORMED, "NUL" },
		{ FAKE_SIZE, false, CM_REASON_DIRECTORY_REFUSED, "size limit" },
		{ FAKE_BUSY, false, CM_REASON_DIRECTORY_OFFLINE, "busy" },
		{ FAKE_UNWILLING, false, CM_REASON_DIRECTORY_REFUSED, "unwilling" },
		{ FAKE_ONE_EACH, false, CM_REASON_NONE, "" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct fake f = fake_start(cases[i].mode, "ldap", "127.0.0.1", 0);
		struct cm_directory_options o = options_for(f.uri, NULL);
		struct cm_directory *d;
		struct answer a;
		struct ask q;

		o.starttls = cases[i].starttls;
		d = must_open(&o);
		a = find_query(d, ask_for(&q, ALT, FAKE_IDENTITY, NULL, NULL), 2000);
		if (a.reason != cases[i].reason)
			print_error("case %zu\n", i);
		expect(&a, cases[i].reason, cases[i].text);
		cm_directory_close(&d);
		fake_stop(&f);
	}
}

/* libldap 2.5.13 loses the memory of the notice. */
void __lsan_disable(void) __attribute__((weak));
void __lsan_enable(void) __attribute__((weak));

static void
a_notice_of_disconnection_is_no_answer(void **state)
{
	struct fake f = fake_start(FAKE_NOTICE, "ldap", "127.0.0.1", 0);
	struct cm_directory_options o = options_for(f.uri, NULL);
	struct cm_directory *d;
	struct answer a;

	(void)state;
	o.starttls = false;
	d = must_open(&o);
	if (__lsan_disable != NULL)
		__lsan_disable();
	a = find(d, ALT, FAKE_IDENTITY);
	if (__lsan_enable != NULL)
		__lsan_enable();
	expect(&a, CM_REASON_DIRECTORY_OFFLINE, f.uri);
	cm_directory_close(&d);
	fake_stop(&f);
}

static void
an_entry_not_asked_for_is_said(void **state)
{
	struct fake f = fake_start(FAKE_LIAR, "ldap", "127.0.0.1", 0);
	struct cm_directory_options o = options_for(f.uri, NULL);
	struct cm_directory *d;
	struct answer a;

	(void)state;
	o.starttls = false;
	d = must_open(&o);
	a = find(d, ALT, FAKE_IDENTITY);
	assert_true(trace_has(a.trace, "entry ignored", "uid=mallory"));
	answer_free(&a);
	cm_directory_close(&d);
	fake_stop(&f);
}

/* The environment says "never check, trust this CA" (main): only directory.ca counts. */
static void
certificates_are_checked_with_our_ca_only(void **state)
{
	static const struct { const char *uri, *ca; } cases[] = {
		{ "CM_RIG_LDAP_URI", "stranger-root.crt" }, { "CM_RIG_LDAPS_URI", "stranger-root.crt" },
		{ "CM_RIG_LDAP_URI", "look-alike-ca.crt" }, { "CM_RIG_LDAPS_URI", "look-alike-ca.crt" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct cm_directory_options o = options_for(rig(cases[i].uri), NULL);
		struct cm_directory *d;
		struct answer a;

		snprintf(ca, sizeof(ca), "%s", pki(cases[i].ca));
		d = must_open(&o);
		a = find(d, ALT, ALICE);
		assert_int_equal(cm_directory_stats(d).searches, 0);	/* not a byte of it */
		expect(&a, CM_REASON_DIRECTORY_TLS, rig(cases[i].uri));
		cm_directory_close(&d);
	}
}

static void
the_name_in_the_certificate_must_be_ours(void **state)
{
	/* 127.0.0.9 is in the certificate, 127.0.0.11 is not */
	static const struct { const char *host; enum cm_reason reason; } cases[] = {
		{ "127.0.0.9", CM_REASON_NONE }, { "127.0.0.11", CM_REASON_DIRECTORY_TLS },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct fake f = fake_start(FAKE_RELAY, "ldap", cases[i].host, 3890);
		const struct cm_directory_options o = options_for(f.uri, NULL);
		struct cm_directory *d = must_open(&o);
		struct answer a = find(d, ALT, ALICE);

		expect(&a, cases[i].reason, cases[i].reason == CM_REASON_NONE ? "" : f.uri);
		cm_directory_close(&d);
		fake_stop(&f);
	}
}

static void
a_distrusted_server_is_passed_over_and_said(void **state)
{
	struct fake f = fake_start(FAKE_NO_STARTTLS, "ldap", "127.0.0.1", 0);
	struct fake dead = fake_start(FAKE_CLOSE, "ldap", "127.0.0.1", 0);
	struct cm_directory_options o = options_for(f.uri, rig("CM_RIG_LDAP_URI"));
	struct cm_directory *d = must_open(&o);
	struct answer a = find(d, ALT, ALICE);

	(void)state;
	assert_true(trace_has(a.trace, "passed over", "does not offer StartTLS"));
	expect(&a, CM_REASON_NONE, "");
	cm_directory_close(&d);
	o = options_for(f.uri, dead.uri);
	d = must_open(&o);
	a = find(d, ALT, ALICE);
	assert_non_null(strstr(cm_trace_message(a.trace), dead.uri));
	expect(&a, CM_REASON_DIRECTORY_TLS, f.uri);
	cm_directory_close(&d);
	fake_stop(&f);
	fake_stop(&dead);
}

static void
binding_wrongly_is_refused(void **state)
{
	struct cm_directory_options o = options_for(rig("CM_RIG_LDAP_URI"), NULL);
	static const char path[] = "/run/rig/tmp/wrong.password";
	struct cm_directory *d;
	struct answer a;
	FILE *f;

	(void)state;
	assert_true((f = fopen(path, "w")) != NULL && fputs("not-the-password\n", f) >= 0 && fclose(f) == 0);
	chmod(path, 0600);
	o.bind_dn = rig("CM_RIG_BIND_DN");
	o.bind_password_file = path;
	d = must_open(&o);
	a = find(d, ALT, ALICE);
	assert_false(trace_has(a.trace, "filter", "not-the-password"));
	assert_null(strstr(cm_trace_message(a.trace), "not-the-password"));
	expect(&a, CM_REASON_DIRECTORY_REFUSED, "Invalid credentials");
	chmod(path, 0644);
	a = find(d, ALT, ALICE);
	expect(&a, CM_REASON_CONFIG, path);
	/* RFC 4513 5.1.2: an empty password would bind nobody, and succeed */
	assert_true((f = fopen(path, "w")) != NULL && fclose(f) == 0);
	chmod(path, 0600);
	a = find(d, ALT, ALICE);
	expect(&a, CM_REASON_CONFIG, "no password");
	unlink(path);
	a = find(d, ALT, ALICE);
	expect(&a, CM_REASON_CONFIG, "no such file");
	cm_directory_close(&d);
}

static void
a_wrong_base_is_no_absent_account(void **state)
{
	struct cm_directory_options o = options_for(rig("CM_RIG_LDAP_URI"), NULL);
	struct cm_directory *d;
	struct answer a;

	(void)state;
	o.base = "ou=typo,dc=cardmap,dc=test";
	d = must_open(&o);
	a = find(d, ALT, ALICE);
	expect(&a, CM_REASON_DIRECTORY_REFUSED, "ou=typo,dc=cardmap,dc=test");
	cm_directory_close(&d);
	o.base = rig("CM_RIG_BASE");
	o.group_base = "ou=typo,dc=cardmap,dc=test";
	d = must_open(&o);
	a = find(d, ALT, ALICE);
	expect(&a, CM_REASON_DIRECTORY_REFUSED, "ou=typo,dc=cardmap,dc=test");
	cm_directory_close(&d);
}

static void
options_are_checked_when_opening(void **state)
{
	static const struct { const char *uri; bool starttls; const char *ca, *text; } cases[] = {
		{ "ldap://192.0.2.1", false, "root.crt", "plain LDAP" },
		{ "ldap://directory.example", false, "root.crt", "plain LDAP" },
		{ "ldap://127.0.0.1.example", false, "root.crt", "plain LDAP" },
		{ "ldap://192.0.2.1", true, NULL, "directory.ca" },
		{ "ldaps://192.0.2.1", false, NULL, "directory.ca" },
		{ "ldaps://192.0.2.1", false, "no-such.crt", "no-such.crt" },
		{ "ldaps://192.0.2.1", false, "alice-rsa2048.key", "alice-rsa2048.key" },
		{ "ldap://[2001:db8::1]", false, "root.crt", "plain LDAP" },
		{ "ldap:///", true, "root.crt", "names no server" },
		{ "ldap://127.0.0.1/dc=x", true, "root.crt", "directory.base" },
		{ "ldap://127.0.0.1/??sub?(uid=*)", true, "root.crt", "directory.base" },
		{ "ldap://127.0.0.1:x", true, "root.crt", "not an LDAP URI" },
		{ "ldap://127.0.0.1:65925", true, "root.crt", "not an LDAP URI" },	/* 389, modulo 65536 */
		{ "ldap://127.0.0.1:-1", true, "root.crt", "not an LDAP URI" },
		{ "ldap://127.0.0.1%00.example.org", false, "root.crt", "not an LDAP URI" },
		{ "ldapi:///", true, "root.crt", "ldap://SERVER" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct cm_directory_options o = options_for(cases[i].uri, NULL);

		o.starttls = cases[i].starttls;
		if (cases[i].ca != NULL)
			snprintf(ca, sizeof(ca), "%s", pki(cases[i].ca));
		else
			o.ca = NULL;
		must_not_open(&o, CM_REASON_CONFIG, cases[i].text);
	}
	for (int i = 0; i < 3; i++) {
		struct cm_directory_options o = options_for(rig("CM_RIG_LDAP_URI"), NULL);

		o.base = i == 0 ? NULL : i == 1 ? "" : o.base;
		o.bind_dn = i == 2 ? "cn=x" : NULL;
		must_not_open(&o, CM_REASON_CONFIG, i == 2 ? "bind_password_file" : "directory.base");
	}
}

static void
localhost_is_this_computer(void **state)
{
	struct cm_directory_options six = options_for("ldap://[::1]:1", NULL);
	struct cm_directory_options o = options_for("ldap://localhost:3890", NULL);
	struct cm_directory *d;
	struct answer a;

	(void)state;
	six.starttls = o.starttls = false;
	d = must_open(&o);
	a = find(d, ALT, ALICE);	/* through the resolver; ::1 is tried too, and not listened on */
	expect(&a, CM_REASON_NONE, "");
	cm_directory_close(&d);
	uris[0] = "ldap://[::1]:1";
	d = must_open(&six);
	a = find(d, ALT, ALICE);
	expect(&a, CM_REASON_DIRECTORY_OFFLINE, "Connection refused");
	cm_directory_close(&d);
}

static void
a_silent_name_server_ends_at_the_deadline(void **state)
{
	const struct cm_directory_options o = options_for("ldap://directory.cardmap.test:3890", NULL);
	struct cm_directory *d = must_open(&o);
	struct answer a;
	struct ask q;

	(void)state;
	expect_deadline(d, "looking the name up");
	a = find_query(d, ask_for(&q, ALT, ALICE, NULL, NULL), 10000);	/* the same lookup, until it gives up */
	assert_null(strstr(cm_trace_message(a.trace), "no answer in time"));
	expect(&a, CM_REASON_DIRECTORY_OFFLINE, "directory.cardmap.test");
	cm_directory_close(&d);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_account_is_whole),
		cmocka_unit_test(every_way_in),
		cmocka_unit_test(one_none_and_several),
		cmocka_unit_test(injection_values_find_nobody),
		cmocka_unit_test(privileged_groups_are_dropped),
		cmocka_unit_test(one_connection_is_kept),
		cmocka_unit_test(a_question_costs_few_system_calls),
		cmocka_unit_test(a_restarted_server_is_found_again),
		cmocka_unit_test(a_frozen_server_ends_at_the_deadline),
		cmocka_unit_test(silence_at_any_point_ends_at_the_deadline),
		cmocka_unit_test(a_silent_server_leaves_time_for_the_next),
		cmocka_unit_test(misbehaviour_has_its_reason),
		cmocka_unit_test(a_notice_of_disconnection_is_no_answer),
		cmocka_unit_test(an_entry_not_asked_for_is_said),
		cmocka_unit_test(certificates_are_checked_with_our_ca_only),
		cmocka_unit_test(the_name_in_the_certificate_must_be_ours),
		cmocka_unit_test(a_distrusted_server_is_passed_over_and_said),
		cmocka_unit_test(binding_wrongly_is_refused),
		cmocka_unit_test(a_wrong_base_is_no_absent_account),
		cmocka_unit_test(options_are_checked_when_opening),
		cmocka_unit_test(localhost_is_this_computer),
		cmocka_unit_test(a_silent_name_server_ends_at_the_deadline),
	};

	/* libldap reads these once; none of them may matter (ldap.conf(5)) */
	setenv("LDAPTLS_REQCERT", "never", 1);
	setenv("LDAPTLS_REQSAN", "never", 1);
	setenv("LDAPTLS_CACERT", pki("root.crt"), 1);
	setenv("LDAPURI", "ldap://127.0.0.1:1", 1);
	setenv("LDAPREFERRALS", "on", 1);
	setenv("LDAPSIZELIMIT", "1", 1);
	return cmocka_run_group_tests(tests, silence_the_resolver, NULL);
}
