/* tests/cache/test_sealed.c - sealed secrets are kept whole, for their account alone, and none is ever written over. */
#include "store_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "cache/sealed.h"

static struct cm_sealed_row
row(const char *name, uid_t uid, enum cm_sealed_use use, uint8_t key)
{
	static const uint8_t octets[CM_SEALED_OCTETS_MAX] = { 'x' };
	struct cm_sealed_row r = { .name = (char *)(uintptr_t)name, .uid = uid, .use = use, .octets = { octets, 167 }, .made = NOW + key };

	memset(r.key, key, sizeof(r.key));
	memset(r.beside, 0xB0 + key, sizeof(r.beside));
	return r;
}

struct seen {
	struct cm_sealed_row rows[24];
	char names[24][16];
	size_t count;
};

static enum cm_err
see(void *arg, const struct cm_sealed_row *r)
{
	struct seen *s = arg;

	assert_true(s->count < CM_COUNT(s->rows));
	snprintf(s->names[s->count], sizeof(s->names[0]), "%s", r->name);
	s->rows[s->count++] = *r;
	assert_int_equal(r->octets.len, 167);
	assert_int_equal(r->octets.ptr[0], 'x');
	return CM_OK;
}

static struct seen
list(struct rig *r, const char *name, enum cm_err err)
{
	struct seen s = { .count = 0 };

	assert_int_equal(cm_sealed_list(r->store, name, r->trace, see, &s), err);
	return s;
}

static void
refused(struct rig *r, enum cm_err err)
{
	assert_int_equal(err, CM_ERR_REFUSED);
	assert_int_equal(cm_trace_reason(r->trace), CM_REASON_SECRET_THERE);
	cm_trace_clear_reason(r->trace);
}

static void
test_kept_and_forgotten(void **state)
{
	struct rig *r = *state;
	const struct cm_sealed_row first[] = { row("alice", 10001, CM_SEALED_CARD, 1), row("alice", 10001, CM_SEALED_RECOVERY, 2) };
	const struct cm_sealed_row second = row("alice", 10001, CM_SEALED_CARD, 3), bob = row("bob", 10002, CM_SEALED_CARD, 1);
	struct seen s = list(r, NULL, CM_OK);

	assert_int_equal(s.count, 0);
	assert_int_equal(cm_sealed_forget(r->store, "alice", r->trace), CM_ERR_ABSENT);
	assert_int_equal(cm_sealed_add_first(r->store, first, 2, r->trace), CM_OK);
	assert_int_equal(cm_sealed_add(r->store, &second, r->trace), CM_OK);
	assert_int_equal(cm_sealed_add_first(r->store, &bob, 1, r->trace), CM_OK);
	rig_reopen(r);
	s = list(r, "alice", CM_OK);
	assert_int_equal(s.count, 3);	/* the newest first */
	assert_int_equal(s.rows[0].key[0], 3);
	assert_int_equal(s.rows[0].beside[31], 0xB3);
	assert_int_equal(s.rows[1].use, CM_SEALED_RECOVERY);
	assert_int_equal(s.rows[2].made, NOW + 1);
	assert_int_equal(s.rows[2].uid, 10001);
	assert_int_equal(list(r, NULL, CM_OK).count, 4);
	assert_int_equal(cm_sealed_forget(r->store, "alice", r->trace), CM_OK);
	s = list(r, NULL, CM_OK);
	assert_int_equal(s.count, 1);
	assert_string_equal(s.names[0], "bob");
}

static void
test_none_is_written_over(void **state)
{
	struct rig *r = *state;
	const struct cm_sealed_row first = row("alice", 10001, CM_SEALED_CARD, 1);
	struct cm_sealed_row same = row("alice", 10001, CM_SEALED_CARD, 1), other = row("alice", 10002, CM_SEALED_CARD, 9);

	same.octets.len = 100;
	assert_int_equal(cm_sealed_add_first(r->store, &first, 1, r->trace), CM_OK);
	refused(r, cm_sealed_add(r->store, &same, r->trace));
	refused(r, cm_sealed_add_first(r->store, &same, 1, r->trace));
	refused(r, cm_sealed_add_first(r->store, &other, 1, r->trace));
	assert_int_equal(list(r, "alice", CM_OK).count, 1);
	/* nor is the store filled by who says that there is always another key */
	for (uint8_t key = 2; key <= CM_SEALED_ROWS; key++) {
		const struct cm_sealed_row more = row("alice", 10001, CM_SEALED_CARD, key);

		assert_int_equal(cm_sealed_add(r->store, &more, r->trace), CM_OK);
	}
	other = row("alice", 10001, CM_SEALED_CARD, 100);
	refused(r, cm_sealed_add(r->store, &other, r->trace));
	other.use = CM_SEALED_RECOVERY;
	assert_int_equal(cm_sealed_add(r->store, &other, r->trace), CM_OK);
	assert_int_equal(list(r, "alice", CM_OK).count, CM_SEALED_ROWS + 1);
}

static void
test_what_is_no_row(void **state)
{
	static const uint8_t octets[CM_SEALED_OCTETS_MAX + 1];
	struct rig *r = *state;
	struct cm_sealed_row bad[] = { row("alice", 10001, CM_SEALED_CARD, 1), row("alice", 10001, CM_SEALED_CARD, 1),
		row("", 10001, CM_SEALED_CARD, 1) };

	bad[0].octets.len = 0;
	bad[1].octets = (struct cm_blob){ octets, sizeof(octets) };
	for (size_t i = 0; i < CM_COUNT(bad); i++)
		assert_int_equal(cm_sealed_add(r->store, &bad[i], r->trace), CM_ERR_STATE);
	assert_int_equal(cm_sealed_add_first(r->store, bad, 0, r->trace), CM_ERR_STATE);
}

/* A row that the disk changed is told, and the others are there. */
static void
test_damaged(void **state)
{
	static const char *const changes[] = {
		"UPDATE sealed SET octets = x'00' WHERE key = x'0101010101010101010101010101010101010101010101010101010101010101'",
		"UPDATE sealed SET uid = 10009 WHERE made = 1800000001", "UPDATE sealed SET name = 'carol' WHERE made = 1800000001",
	};
	struct rig *r = *state;

	for (size_t i = 0; i < CM_COUNT(changes); i++) {
		const struct cm_sealed_row rows[] = { row("alice", 10001, CM_SEALED_CARD, 1), row("alice", 10001, CM_SEALED_CARD, 2) };

		assert_int_equal(cm_sealed_add_first(r->store, rows, 2, r->trace), CM_OK);
		rig_sql(r, changes[i]);
		assert_int_equal(list(r, NULL, CM_ERR_SYSTEM).count, 1);
		assert_int_equal(cm_trace_reason(r->trace), CM_REASON_STORE);
		cm_trace_clear_reason(r->trace);
		rig_sql(r, "DELETE FROM sealed");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kept_and_forgotten, rig_open, rig_close),
		cmocka_unit_test_setup_teardown(test_none_is_written_over, rig_open, rig_close),
		cmocka_unit_test_setup_teardown(test_what_is_no_row, rig_open, rig_close),
		cmocka_unit_test_setup_teardown(test_damaged, rig_open, rig_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
