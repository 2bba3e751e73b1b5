/*
 * tests/cache/test_many.c - a login asks the store as much where thousands of accounts are kept as where one is: SQLite's
 * own counts of the steps of every statement, and of rows that it read one after the other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>

#include "cache/mobile.h"
#include "cache/pairings.h"
#include "cache/skip.h"
#include "cache/slots.h"
#include "cache/standing.h"
#include "store_rig.h"

#define MANY	2000
#define STEPS_ASIDE	20	/* where a row is put is found in a step more or less */

/* Of the statements since they were set to zero. */
struct counts {
	_Atomic long long steps, scanned, sorted, made;
};
static struct counts counts;

int __real_sqlite3_finalize(sqlite3_stmt *q);
int __wrap_sqlite3_finalize(sqlite3_stmt *q);

int
__wrap_sqlite3_finalize(sqlite3_stmt *q)
{
	/* which tables there are is no matter of how many rows they have */
	if (q != NULL && strstr(sqlite3_sql(q), "sqlite_schema") == NULL) {
		counts.steps += sqlite3_stmt_status(q, SQLITE_STMTSTATUS_VM_STEP, 0);
		counts.scanned += sqlite3_stmt_status(q, SQLITE_STMTSTATUS_FULLSCAN_STEP, 0);
		counts.sorted += sqlite3_stmt_status(q, SQLITE_STMTSTATUS_SORT, 0);
		counts.made += sqlite3_stmt_status(q, SQLITE_STMTSTATUS_AUTOINDEX, 0);
	}
	return __real_sqlite3_finalize(q);
}

/* Account number n: a card, a certificate, ids and files of its own.  0 is whose login is counted. */
struct person {
	struct cm_account account;
	struct cm_group group;
	char name[16], dn[48], home[32], file[24];
	uint8_t guid[16], key[32], link[40], sha256[32];
	struct cm_blob links[1], cert;
	struct cm_userdb_mark mark;
};

static void
describe(const struct rig *r, unsigned n, struct person *p)
{
	*p = (struct person){ .account = rig_account(20000 + n) };
	snprintf(p->name, sizeof(p->name), n == 0 ? "alice" : "user%u", n);
	snprintf(p->dn, sizeof(p->dn), "uid=%s,dc=example", p->name);
	snprintf(p->home, sizeof(p->home), "/home/%s", p->name);
	snprintf(p->file, sizeof(p->file), "%s.user", p->name);
	p->account.name = p->name;
	p->account.dn = p->dn;
	p->account.home = p->home;
	memcpy(p->guid, &n, sizeof(n));
	p->guid[15] = 1;
	memset(p->key, 7, sizeof(p->key));
	memcpy(p->link + 32, &n, sizeof(n));
	p->links[0] = (struct cm_blob){ p->link, sizeof(p->link) };
	memcpy(p->sha256, &n, sizeof(n));
	p->cert = n == 0 ? cm_cert_der(r->cert) : (struct cm_blob){ p->sha256, sizeof(p->sha256) };
	if (n == 0)
		memcpy(p->sha256, cm_cert_sha256(r->cert).ptr, sizeof(p->sha256));
	p->mark = (struct cm_userdb_mark){ .name = p->file };
	memset(p->mark.now, (int)n | 1, sizeof(p->mark.now));
}

static struct cm_evidence
good(unsigned n)
{
	struct cm_evidence e = rig_evidence(1, CM_STATUS_GOOD, NOW);

	e.serial_len = 6;
	e.serial[1] = 0;
	memcpy(e.serial + 2, &n, sizeof(n));
	return e;
}

static void
keep_at(struct rig *r, unsigned n, time_t now)
{
	struct person p;
	struct cm_store_login l;
	const struct cm_evidence e = good(n);
	struct cm_mobile m;

	describe(r, n, &p);
	l = (struct cm_store_login){ .account = &p.account, .cert_sha256 = { p.sha256, 32 }, .cert_der = p.cert,
		.chain = &p.cert, .chain_count = 1, .now = now, .account_online = true, .card = { .guid = { p.guid, 16 },
		.key = { p.key, 32 }, .links = p.links, .link_count = 1, .not_after = NOW + 1000 * DAY } };
	m = (struct cm_mobile){ .account = &p.account, .made = NOW, .files = &p.mark, .file_count = 1 };
	assert_int_equal(cm_account_row_put(r->store, &l, r->trace), CM_OK);
	assert_int_equal(cm_mobile_keep(r->store, &m, r->trace), CM_OK);
	assert_int_equal(cm_evidence_put(r->store, &e, r->trace), CM_OK);
}

static void
keep_many(struct rig *r, unsigned from, unsigned to)
{
	assert_int_equal(cm_store_begin(r->store, r->trace), CM_OK);
	for (unsigned n = from; n < to; n++)
		keep_at(r, n, NOW);
	assert_int_equal(cm_store_end(r->store, CM_OK, r->trace), CM_OK);
}

/* ---- what a login asks, in its order */

/* service/stages.c by the resolver, and by a command alone; cache/store_server.c. */
static void
look_up(struct rig *r)
{
	struct cm_accounts *s = r->store;
	const struct cm_evidence names[] = { good(0), rig_evidence(200, CM_STATUS_GOOD, NOW) };
	struct cm_memory *m = NULL;
	struct cm_account *a = NULL;
	struct cm_pairing p;
	int64_t age;

	assert_int_equal(cm_accounts_recall_revoked(s, NOW, r->trace, &m), CM_OK);
	assert_int_equal(cm_accounts_recall_about(s, names, CM_COUNT(names), r->trace, m), CM_OK);
	assert_int_equal(m->known.count, 2);	/* one that is revoked, and this card's */
	assert_int_equal(cm_pairings_find(s, r->cert, r->trace, &p), CM_ERR_ABSENT);
	assert_int_equal(cm_accounts_find(s, r->cert, NOW + 60, r->trace, &a, &age), CM_OK);
	assert_string_equal(a->name, "alice");
	cm_account_free(&a);
	cm_memory_free(&m);
}

/* cardmapd: the card is recognised, its row judged, and its holder known by name and uid. */
static void
judge(struct rig *r, const struct person *p)
{
	struct cm_recognised seen;
	struct cm_kept_row *row = NULL;
	struct cm_standing standing;
	struct cm_account *mobile = NULL;
	struct cm_kept_slot slot;
	struct cm_evidence e;
	char *holder = NULL;
	bool declined;
	time_t made;

	assert_int_equal(cm_accounts_recognise(r->store, (struct cm_blob){ p->guid, 16 }, NULL, r->trace, &seen), CM_OK);
	cm_buf_free(&seen.certificate);
	assert_int_equal(cm_accounts_find_row(r->store, cm_cert_der(r->cert), NOW + 60, r->trace, &row), CM_OK);
	cm_kept_row_free(&row);
	assert_int_equal(cm_accounts_find_holder(r->store, p->account.uid, p->name, r->trace, &holder), CM_ERR_ABSENT);
	assert_int_equal(cm_mobile_find_holder(r->store, p->account.uid, p->name, r->trace, &holder), CM_ERR_ABSENT);
	assert_int_equal(cm_mobile_find(r->store, p->name, r->trace, &mobile, &declined, &made), CM_OK);
	cm_account_free(&mobile);
	assert_int_equal(cm_accounts_find_evidence(r->store, p->links[0], r->trace, &e), CM_ERR_ABSENT);
	assert_int_equal(cm_standing_find(r->store, p->name, r->trace, &standing), CM_ERR_ABSENT);
	assert_int_equal(cm_skip_find(r->store, p->name, NOW, r->trace, NULL), CM_ERR_ABSENT);
	assert_int_equal(cm_slots_find(r->store, cm_cert_sha256(r->cert), r->trace, &slot), CM_OK);
}

static void
remember(struct rig *r, const struct person *p)
{
	const struct cm_blob chain[] = { cm_cert_der(r->cert), cm_cert_der(r->other) };
	const struct cm_mobile m = { .account = &p->account, .made = NOW, .files = &p->mark, .file_count = 1 };
	const struct cm_evidence e = good(0);
	const struct cm_remember_apart whole = { .account = &p->account, .certificate = cm_cert_der(r->cert), .chain = chain,
		.chain_count = 2, .evidence = &e, .evidence_count = 1, .signed_time = NOW, .now = NOW, .account_online = true,
		.mobile = &m, .card = { .guid = { p->guid, 16 }, .key = { p->key, 32 }, .links = p->links, .link_count = 1 } };

	assert_int_equal(cm_accounts_remember_apart(r->store, &whole, r->trace), CM_OK);
}

/* What was learned meanwhile; by the process that serves the store the number of rows is looked at. */
static void
learn(struct rig *r)
{
	const time_t now = cm_clock_now();
	struct cm_accounts_options o = r->options;
	struct cm_accounts *remote = NULL;
	struct rig_service *service;
	char path[80];
	struct cm_evidence e = rig_evidence(77, CM_STATUS_GOOD, now - 10);
	struct cm_memory *m = NULL;

	snprintf(path, sizeof(path), "%s/served", r->folder);
	assert_non_null(service = rig_service_start(&r->options, path));
	o.path = path;
	assert_int_equal(cm_accounts_open(&o, r->trace, &remote), CM_OK);
	assert_int_equal(cm_accounts_recall(remote, NOW, r->trace, &m), CM_OK);
	e.confirmed = e.learned = now;
	for (unsigned i = 0; i < 4; i++) {
		e.serial[1] = (uint8_t)i;
		e.this_update = now - 10 + (time_t)i;
		assert_int_equal(m->keeper.keep(m->keeper.arg, &e), CM_OK);
	}
	cm_memory_free(&m);
	cm_accounts_close(&remote);
	rig_service_stop(&service);
}

static void
one_login(struct rig *r)
{
	struct person p;

	describe(r, 0, &p);
	look_up(r);
	judge(r, &p);
	remember(r, &p);
}

static void
nothing_is_read_row_by_row(void **state)
{
	struct rig *r = *state;
	const struct cm_evidence revoked = rig_evidence(9, CM_STATUS_REVOKED, NOW);
	struct counts alone;

	rig_keep_evidence(r, &revoked, 0, NOW);
	keep_many(r, 0, 1);
	one_login(r);	/* what is made at a first one */
	memset(&counts, 0, sizeof(counts));
	one_login(r);
	alone = counts;
	keep_many(r, 1, MANY);
	memset(&counts, 0, sizeof(counts));
	one_login(r);
	assert_int_equal(counts.scanned, alone.scanned);
	assert_in_range(counts.steps, 0, alone.steps + STEPS_ASIDE);
	assert_int_equal(counts.sorted, alone.sorted);
	assert_int_equal(counts.made, 0);
	assert_true(alone.scanned < 8);		/* what is revoked, and sources: none of an account */
}

/* A store of before has no index: it is right all the same, and has one after the next login online. */
static void
a_store_of_before_gets_its_indexes(void **state)
{
	struct rig *r = *state;
	const struct cm_evidence revoked = rig_evidence(9, CM_STATUS_REVOKED, NOW);
	struct counts with;

	rig_keep_evidence(r, &revoked, 0, NOW);
	keep_many(r, 0, 50);
	one_login(r);
	memset(&counts, 0, sizeof(counts));
	one_login(r);
	with = counts;
	rig_sql(r, "DROP INDEX account_guid; DROP INDEX evidence_revoked; DROP INDEX evidence_ends");
	memset(&counts, 0, sizeof(counts));
	one_login(r);
	assert_true(counts.scanned >= 50);
	memset(&counts, 0, sizeof(counts));
	one_login(r);
	assert_int_equal(counts.scanned, with.scanned);
}

struct seen {
	unsigned count, last;
};

static enum cm_err
see(void *arg, const struct cm_kept *k)
{
	struct seen *s = arg;

	assert_true(s->count == 0 || k->account->uid < s->last);
	s->last = k->account->uid;
	s->count++;
	return CM_OK;
}

/* For people: the ones last used, and how many there are beside. */
static void
the_latest_are_listed(void **state)
{
	struct rig *r = *state;
	struct seen s = { .count = 0 };
	size_t more = 99;

	assert_int_equal(cm_accounts_list_latest(r->store, 3, r->trace, see, &s, &more), CM_OK);
	assert_int_equal(s.count + more, 0);
	keep_many(r, 0, 20);
	rig_sql(r, "UPDATE account SET last_online = uid");	/* damages them: each has a digest */
	assert_int_equal(cm_accounts_list_latest(r->store, 3, r->trace, see, &s, &more), CM_ERR_SYSTEM);
	rig_sql(r, "DELETE FROM account");
	for (unsigned n = 0; n < 20; n++)
		keep_at(r, n, NOW + (time_t)n);
	s.count = 0;
	assert_int_equal(cm_accounts_list_latest(r->store, 3, r->trace, see, &s, &more), CM_OK);
	assert_int_equal(s.count, 3);
	assert_int_equal(s.last, 20017);
	assert_int_equal(more, 17);
	s.count = 0;
	assert_int_equal(cm_accounts_list_latest(r->store, 20, r->trace, see, &s, &more), CM_OK);
	assert_int_equal(s.count, 20);
	assert_int_equal(more, 0);
}

/* Its limit of rows is looked at, and not by counting all of them for each. */
static void
what_is_learned_is_not_counted_each_time(void **state)
{
	struct rig *r = *state;
	long long few;

	keep_many(r, 0, 1);
	learn(r);
	memset(&counts, 0, sizeof(counts));
	learn(r);
	few = counts.steps;
	keep_many(r, 1, MANY);
	memset(&counts, 0, sizeof(counts));
	learn(r);
	assert_in_range(counts.steps, few, few + MANY * 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, rig_open, rig_close)
		T(nothing_is_read_row_by_row),
		T(a_store_of_before_gets_its_indexes),
		T(the_latest_are_listed),
		T(what_is_learned_is_not_counted_each_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
