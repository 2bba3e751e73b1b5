/* tests/krb5/test_renew.c - a ticket in the user's own ccache gets a longer life from the MIT KDC. */
#include "krb5_rig.h"

#include <arpa/inet.h>
#include <krb5/krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "krb5/ccache_write.h"
#include "krb5/renew.h"

#define HOUR	((time_t)3600)
#define DAY	(24 * HOUR)

/* A ticket of alice's by card, and the ccache that it is put into for each test. */
static struct login l;
static struct cm_buf packed;
static char path[RIG_PATH], name[RIG_PATH];
static krb5_context context;

static int
setup(void **state)
{
	(void)state;
	login_begin(&l, "alice-p256");
	assert_int_equal(login_run(&l), CM_OK);
	assert_int_equal(cm_ticket_pack(l.ticket, &packed), CM_OK);
	snprintf(path, sizeof(path), "%.400s/krb5cc_renewed", rig("CM_RIG_DIR"));
	snprintf(name, sizeof(name), "FILE:%.400s", path);
	return krb5_init_context(&context) == 0 ? 0 : -1;
}

static int
teardown(void **state)
{
	(void)state;
	krb5_free_context(context);
	cm_buf_free(&packed);
	login_end(&l);
	return 0;
}

static int
put(void **state)
{
	struct cm_buf why = { 0 };

	(void)state;
	(void)unlink(path);
	assert_int_equal(cm_ccache_write(name, l.account.principal, cm_buf_blob(&packed), &why), CM_OK);
	cm_buf_free(&why);
	cm_trace_clear_reason(l.trace);
	return 0;
}

static krb5_ccache
open_tgt(const char *ccache, krb5_creds *tgt)
{
	krb5_ccache cc = NULL;
	krb5_creds wanted = { 0 };

	assert_int_equal(krb5_cc_resolve(context, ccache, &cc), 0);
	assert_int_equal(krb5_cc_get_principal(context, cc, &wanted.client), 0);
	assert_int_equal(krb5_parse_name(context, "krbtgt/CARDMAP.TEST@CARDMAP.TEST", &wanted.server), 0);
	assert_int_equal(krb5_cc_retrieve_cred(context, cc, 0, &wanted, tgt), 0);
	krb5_free_cred_contents(context, &wanted);
	return cc;
}

/* What the ccache says of the ticket, as if it were so much older; the ticket itself is the KDC's, and stays. */
static void
age(time_t by, krb5_flags without)
{
	krb5_creds tgt = { 0 };
	krb5_ccache cc = open_tgt(name, &tgt);

	tgt.times.starttime -= (krb5_timestamp)by;
	tgt.times.endtime -= (krb5_timestamp)by;
	tgt.ticket_flags &= ~without;
	assert_int_equal(krb5_cc_initialize(context, cc, tgt.client), 0);
	assert_int_equal(krb5_cc_store_cred(context, cc, &tgt), 0);
	krb5_free_cred_contents(context, &tgt);
	krb5_cc_close(context, cc);
}

static enum cm_err
renew(bool due, struct cm_renewed *out)
{
	return cm_ticket_renew(l.pkinit, &(struct cm_renewal){ .ccache = name, .due = due }, cm_deadline_in(l.deadline_ms),
	    l.trace, out);
}

static void
refused(enum cm_reason reason, const char *text)
{
	struct cm_renewed r;
	char *before = access(path, F_OK) == 0 ? read_text(path) : NULL, *after;

	assert_int_equal(renew(false, &r), cm_reason_err(reason));
	if (cm_trace_reason(l.trace) != reason || strstr(cm_trace_message(l.trace), text) == NULL)
		fail_msg("%s: %s", cm_reason_name(cm_trace_reason(l.trace)), cm_trace_message(l.trace));
	assert_null(r.principal);
	if (before != NULL) {
		after = read_text(path);
		assert_memory_equal(before, after, 1 << 20);
		free(after);
	}
	free(before);
}

/* What klist reads is the KDC's: a new ticket of the same login, to be renewed until the same time, in the same place. */
static void
test_it_lives_longer(void **state)
{
	char *const argv[] = { "klist", "-f", "-c", path, NULL };
	char out[4096], beside[RIG_PATH + 8], old_name[RIG_PATH + 16];
	krb5_creds before = { 0 }, after = { 0 };
	struct cm_renewed r;
	struct stat st;
	krb5_ccache old, now;

	(void)state;
	age(HOUR, 0);
	snprintf(beside, sizeof(beside), "%.400s.old", path);
	snprintf(old_name, sizeof(old_name), "FILE:%.400s", beside);
	(void)unlink(beside);
	assert_int_equal(link(path, beside), 0);	/* who reads it now reads on in a whole one */
	if (renew(false, &r) != CM_OK)
		fail_msg("%s", cm_trace_message(l.trace));
	assert_true(r.renewed);
	assert_string_equal(r.principal, "alice@CARDMAP.TEST");
	old = open_tgt(old_name, &before);
	now = open_tgt(name, &after);
	assert_true(after.times.endtime > before.times.endtime);
	assert_int_equal(r.expires, (time_t)(uint32_t)after.times.endtime);
	assert_int_equal(after.times.authtime, before.times.authtime);
	assert_int_equal(after.times.renew_till, before.times.renew_till);
	assert_int_equal(r.renew_till, (time_t)(uint32_t)after.times.renew_till);
	assert_false(after.ticket.length == before.ticket.length &&
	    memcmp(after.ticket.data, before.ticket.data, after.ticket.length) == 0);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_uid, geteuid());
	assert_int_equal(run(argv, out, sizeof(out)), 0);
	assert_non_null(strstr(out, "Default principal: alice@CARDMAP.TEST"));
	krb5_free_cred_contents(context, &before);
	krb5_free_cred_contents(context, &after);
	krb5_cc_close(context, old);
	krb5_cc_close(context, now);
	cm_renewed_clear(&r);
	unlink(beside);
	/* It is a ticket as any other: it is renewed once more. */
	assert_int_equal(renew(false, &r), CM_OK);
	assert_true(r.renewed);
	cm_renewed_clear(&r);
}

static void
test_only_what_is_due(void **state)
{
	struct cm_renewed r;

	(void)state;
	assert_int_equal(renew(true, &r), CM_OK);
	assert_false(r.renewed);
	assert_true(r.expires > cm_clock_now());
	cm_renewed_clear(&r);
	age(0, TKT_FLG_RENEWABLE);	/* nothing can be done about it, and nobody is told every ten minutes */
	assert_int_equal(renew(true, &r), CM_OK);
	assert_false(r.renewed);
	cm_renewed_clear(&r);
	put(NULL);
	age(20 * HOUR, 0);		/* of 24 */
	assert_int_equal(renew(true, &r), CM_OK);
	assert_true(r.renewed);
	cm_renewed_clear(&r);
}

static void
test_due(void **state)
{
	static const struct {
		time_t start, end, till, now;
		bool due;
	} rows[] = {
		{ 0, 10 * HOUR, 7 * DAY, 0, false }, { 0, 10 * HOUR, 7 * DAY, 5 * HOUR - 1, false },
		{ 0, 10 * HOUR, 7 * DAY, 5 * HOUR, true }, { 0, 10 * HOUR, 7 * DAY, 10 * HOUR - 1, true },
		{ 0, 10 * HOUR, 7 * DAY, 10 * HOUR, false }, { 0, 10 * HOUR, 10 * HOUR, 9 * HOUR, false },
		{ 0, 10 * HOUR, 0, 9 * HOUR, false }, { HOUR, 11 * HOUR, DAY, 5 * HOUR, false },
		{ HOUR, 11 * HOUR, DAY, 0, false }, { 0, 10, 100, 5, true },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++)
		assert_int_equal(cm_renewal_is_due(rows[i].start, rows[i].end, rows[i].till, rows[i].now), rows[i].due);
}

static void
test_what_cannot_be_renewed(void **state)
{
	(void)state;
	age(0, TKT_FLG_RENEWABLE);
	refused(CM_REASON_NO_TICKET, "not a renewable one");
	put(NULL);
	age(2 * DAY, 0);
	refused(CM_REASON_NO_TICKET, "has expired");
	unlink(path);
	refused(CM_REASON_NO_TICKET, "there is none");
	assert_int_equal(access(path, F_OK), -1);
	write_bytes(path, "no ccache", 9);
	refused(CM_REASON_NO_TICKET, "there is none");
}

/* In a shared folder anybody could have made it, and would choose whose ticket this user uses. */
static void
test_whose_file_it_is(void **state)
{
	char target[RIG_PATH + 8];

	(void)state;
	snprintf(target, sizeof(target), "%.400s.there", path);
	assert_int_equal(rename(path, target), 0);
	assert_int_equal(symlink(target, path), 0);
	refused(CM_REASON_NO_TICKET, "no file of this user's");
	unlink(path);
	assert_int_equal(rename(target, path), 0);
	if (chown(path, 10002, 10002) == 0)
		refused(CM_REASON_NO_TICKET, "no file of this user's");
}

static void
test_a_kdc_that_refuses(void **state)
{
	(void)state;
	kadmin("modprinc -allow_renewable krbtgt/CARDMAP.TEST");
	refused(CM_REASON_KDC_REFUSED, "to renew a ticket");
	kadmin("modprinc +allow_renewable krbtgt/CARDMAP.TEST");
}

/* No longer than is given: libkrb5 of itself would take half a minute. */
static void
test_silent_kdcs(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct cm_pkinit *usual = l.pkinit;
	const char *silent[] = { NULL, NULL };
	socklen_t len = sizeof(a);
	char where[64];
	int udp, tcp;
	int64_t begun;

	(void)state;
	udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(udp, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(udp, (struct sockaddr *)&a, &len), 0);
	assert_int_equal(bind(tcp, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(tcp, 4), 0);
	snprintf(where, sizeof(where), "127.0.0.1:%u", ntohs(a.sin_port));
	for (unsigned i = 0; i < 2; i++) {
		silent[0] = i == 0 ? where : "127.0.0.1:9";
		l.options.kdcs = silent;
		assert_int_equal(cm_pkinit_open(&l.options, l.trace, &l.pkinit), CM_OK);
		l.deadline_ms = 400;
		begun = cm_clock_us();
		refused(CM_REASON_KDC_OFFLINE, silent[0]);
		assert_true(cm_clock_us() - begun < 10000000);
		cm_pkinit_close(&l.pkinit);
	}
	close(udp);
	close(tcp);
	l.options.kdcs = l.kdcs;
	l.deadline_ms = 10000;
	l.pkinit = usual;
}

static time_t
renewable_for(unsigned days, const char *config)
{
	struct login other;
	krb5_creds tgt = { 0 };
	struct cm_buf b = { 0 }, why = { 0 };
	krb5_ccache cc;
	time_t found;

	login_begin(&other, "alice-p256");
	other.options.renew_days = days;
	other.options.config = config;
	other.options.realm = "CARDMAP.TEST";
	if (login_run(&other) != CM_OK)
		fail_msg("%s", cm_trace_message(other.trace));
	assert_int_equal(cm_ticket_pack(other.ticket, &b), CM_OK);
	assert_int_equal(cm_ccache_write(name, other.account.principal, cm_buf_blob(&b), &why), CM_OK);
	cc = open_tgt(name, &tgt);
	found = (tgt.ticket_flags & TKT_FLG_RENEWABLE) != 0 ? tgt.times.renew_till - tgt.times.authtime : 0;
	krb5_free_cred_contents(context, &tgt);
	krb5_cc_close(context, cc);
	cm_buf_free(&b);
	cm_buf_free(&why);
	login_end(&other);
	return found;
}

/* Asked of the KDC, which gives seven days at most. */
static void
test_how_long_is_asked_for(void **state)
{
	static const char three[] = "[libdefaults]\n renew_lifetime = 3d\n", none[] = "[libdefaults]\n renew_lifetime = 0\n";
	char config[RIG_PATH];

	(void)state;
	assert_in_range(renewable_for(0, NULL), 7 * DAY - 5, 7 * DAY);
	assert_in_range(renewable_for(2, NULL), 2 * DAY - 5, 2 * DAY + 5);
	assert_in_range(renewable_for(30, NULL), 7 * DAY - 5, 7 * DAY);
	snprintf(config, sizeof(config), "%.400s/renew.conf", rig("CM_RIG_DIR"));
	write_bytes(config, three, sizeof(three) - 1);
	assert_in_range(renewable_for(0, config), 3 * DAY - 5, 3 * DAY + 5);
	write_bytes(config, none, sizeof(none) - 1);
	assert_int_equal(renewable_for(0, config), 0);
	assert_in_range(renewable_for(2, config), 2 * DAY - 5, 2 * DAY + 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_due),
		cmocka_unit_test_setup(test_it_lives_longer, put),
		cmocka_unit_test_setup(test_only_what_is_due, put),
		cmocka_unit_test_setup(test_what_cannot_be_renewed, put),
		cmocka_unit_test_setup(test_whose_file_it_is, put),
		cmocka_unit_test_setup(test_a_kdc_that_refuses, put),
		cmocka_unit_test_setup(test_silent_kdcs, put),
		cmocka_unit_test_setup(test_how_long_is_asked_for, put),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
