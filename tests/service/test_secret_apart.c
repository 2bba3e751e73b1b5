/* tests/service/test_secret_apart.c - a user's secret by a card helper: what is kept of it, who gets it, and what no lie can do. */
#include "apart_play.h"

#include <openssl/ec.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cache/sealed.h"
#include "service/grant.h"
#include "service/secret_seal.h"

/* What came through the pipe: "" for none. */
struct got {
	char text[128];
};

/* A login, which is granted whatever becomes of the secret. */
static struct got
log_in(struct play *p)
{
	struct got g = { "" };
	int fd;

	play_login(p, NULL);
	p->login.wants_secret = true;
	if (play_run(p) != CM_OK)
		fail_msg("%s", cm_trace_message(p->h.trace));
	assert_non_null(p->login.grant);
	if ((fd = cm_apart_take_secret(p->apart)) >= 0) {
		assert_int_equal(read(fd, g.text, sizeof(g.text)), 44);
		assert_int_equal(read(fd, g.text + 44, 1), 0);
		close(fd);
	}
	assert_int_equal(cm_apart_take_secret(p->apart), -1);
	return g;
}

static enum cm_err
count_row(void *arg, const struct cm_sealed_row *r)
{
	size_t *n = arg;

	assert_string_equal(r->name, "alice");
	assert_int_equal(r->uid, 10001);
	n[r->use]++;
	return CM_OK;
}

static void
expect_rows(struct play *p, size_t cards, size_t recoveries)
{
	size_t n[2] = { 0, 0 };

	assert_int_equal(cm_sealed_list(p->h.store, NULL, p->h.trace, count_row, n), CM_OK);
	assert_int_equal(n[CM_SEALED_CARD], cards);
	assert_int_equal(n[CM_SEALED_RECOVERY], recoveries);
}

static bool
warned(const struct play *p, const char *of)
{
	for (size_t i = 0; i < cm_trace_count(p->h.trace); i++) {
		const struct cm_trace_stage *s = cm_trace_stage(p->h.trace, i);

		for (size_t n = 0; n < s->count; n++)
			if (strcmp(s->items[n].key, "warning") == 0 && strstr(s->items[n].text, of) != NULL)
				return true;
	}
	return false;
}

static void
begin(struct play *p)
{
	play_make(p, "alice-p256");
	host_set(&p->h, "accounts.secret=yes");
}

static void
test_made_and_opened(void **state)
{
	struct got first, again;
	struct play p;
	char recovery[512];

	(void)state;
	play_make(&p, "alice-p256");
	assert_string_equal(log_in(&p).text, "");	/* off */
	assert_int_equal(p.asked[CM_MESSAGE_UNSEAL], 0);
	host_set(&p.h, "accounts.secret=yes");
	first = log_in(&p);
	assert_int_equal(strlen(first.text), 44);
	expect_rows(&p, 1, 0);
	again = log_in(&p);
	assert_string_equal(again.text, first.text);
	/* a recovery key that comes later is sealed to at the next login, once */
	snprintf(recovery, sizeof(recovery), "accounts.secret_recovery=%s/alice-p384.crt", CM_PKI_DIR);
	host_set(&p.h, recovery);
	for (int i = 0; i < 2; i++) {
		again = log_in(&p);
		assert_string_equal(again.text, first.text);
		expect_rows(&p, 1, 1);
	}
	host_set(&p.h, "accounts.secret_recovery=/nowhere");
	again = log_in(&p);
	assert_string_equal(again.text, first.text);
	assert_true(warned(&p, "no recovery key"));
	/* nobody who did not ask is given one */
	play_login(&p, NULL);
	assert_int_equal(play_run(&p), CM_OK);
	assert_int_equal(p.asked[CM_MESSAGE_UNSEAL], 0);
	assert_int_equal(cm_apart_take_secret(p.apart), -1);
	play_end(&p);
}

/* ---- lies */

static void
free_sealed(struct cm_message *a)
{
	for (size_t i = 0; i < a->sealed.count; i++)
		cm_blob_free(&a->sealed.rows[i]);
	free(a->sealed.rows);
	a->sealed.rows = NULL;
	a->sealed.count = 0;
}

static bool
tells_of_none(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)p;
	if (q->kind == CM_MESSAGE_UNSEAL)
		free_sealed(a);
	return true;
}

static bool
tells_nonsense(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)p;
	if (q->kind == CM_MESSAGE_UNSEAL && a->sealed.count > 0)
		a->sealed.rows[0].len--;
	return true;
}

static bool
dies(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)p, (void)a;
	return q->kind != CM_MESSAGE_UNSEAL;
}

static bool
refuses(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	(void)p;
	if (q->kind == CM_MESSAGE_UNSEAL) {
		free_sealed(a);
		a->err = CM_ERR_REFUSED;
		a->reason = CM_REASON_CARD_KEY;
		free(a->text);
		assert_non_null(a->text = strdup("the card does not"));
	}
	return true;
}

/* What is not kept is not handed on; who logs in is let in, and told. */
static void
test_a_first_one_that_is_none(void **state)
{
	static const struct {
		bool (*spoil)(struct play *p, const struct cm_message *q, struct cm_message *a);
		const char *text;
	} lies[] = {
		{ tells_of_none, "answered what it may not" }, { tells_nonsense, "answered what it may not" },
		{ dies, "ended, or did not answer" }, { refuses, "the card does not" },
	};
	struct play p;

	(void)state;
	begin(&p);
	for (size_t i = 0; i < CM_COUNT(lies); i++) {
		p.spoil = lies[i].spoil;
		assert_string_equal(log_in(&p).text, "");
		assert_true(warned(&p, lies[i].text));
		assert_true(warned(&p, "your secret stays sealed"));
		expect_rows(&p, 0, 0);
	}
	p.spoil = NULL;
	assert_int_equal(strlen(log_in(&p).text), 44);
	play_end(&p);
}

/* It says that a retired key opened it, and gives something sealed to a key of its own: added at most, and what is there still opens. */
static bool
gives_another(struct play *p, const struct cm_message *q, struct cm_message *a)
{
	const struct cm_sealed_for whose = { .name = q->user, .uid = (uid_t)q->uid };
	struct cm_secret *secret = NULL;
	struct cm_buf b = { 0 };
	EVP_PKEY *key;

	(void)p;
	if (q->kind != CM_MESSAGE_UNSEAL)
		return true;
	free_sealed(a);
	key = EVP_EC_gen("P-256");
	assert_int_equal(cm_secret_make(NULL, &secret), CM_OK);
	assert_int_equal(cm_secret_seal(key, &whose, secret, NULL, &b), CM_OK);
	assert_non_null(a->sealed.rows = calloc(1, sizeof(*a->sealed.rows)));
	assert_int_equal(cm_blob_copy(cm_buf_blob(&b), &a->sealed.rows[0]), CM_OK);
	a->sealed.count = 1;
	cm_buf_free(&b);
	cm_secret_free(&secret);
	EVP_PKEY_free(key);
	return true;
}

static void
test_another_in_its_place(void **state)
{
	struct got first, again;
	struct play p;

	(void)state;
	begin(&p);
	first = log_in(&p);
	p.spoil = gives_another;
	for (size_t i = 0; i < CM_SEALED_ROWS + 2; i++)
		(void)log_in(&p);
	assert_true(warned(&p, "not kept for its new key"));
	expect_rows(&p, CM_SEALED_ROWS, 0);
	p.spoil = NULL;
	again = log_in(&p);
	assert_string_equal(again.text, first.text);
	play_end(&p);
}

static void
by_hand(const struct play *p, const char *sql)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(p->h.store_path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

/* A first one that is not kept would be lost with what is encrypted by it: it is not handed on. */
static void
test_a_store_that_takes_nothing(void **state)
{
	struct play p;

	(void)state;
	begin(&p);
	by_hand(&p, "CREATE TABLE sealed (name TEXT NOT NULL, use INTEGER NOT NULL, key BLOB NOT NULL, uid INTEGER NOT NULL,"
	    " beside BLOB NOT NULL, octets BLOB NOT NULL CHECK (length(octets) = 0), made INTEGER NOT NULL, digest BLOB NOT NULL)");
	assert_string_equal(log_in(&p).text, "");
	assert_int_equal(p.asked[CM_MESSAGE_UNSEAL], 1);
	assert_true(warned(&p, "your secret stays sealed"));
	expect_rows(&p, 0, 0);
	by_hand(&p, "DROP TABLE sealed");
	assert_int_equal(strlen(log_in(&p).text), 44);
	play_end(&p);
}

/* A name that has become another's: what was sealed for the one before is neither his nor thrown away. */
static void
test_a_name_of_another_uid(void **state)
{
	struct play p;

	(void)state;
	begin(&p);
	assert_int_equal(cm_sealed_add_first(p.h.store, &(struct cm_sealed_row){ .name = (char[]){ "alice" }, .uid = 4711,
	    .octets = cm_blob_str("another alice's") }, 1, NULL), CM_OK);
	assert_string_equal(log_in(&p).text, "");
	assert_true(warned(&p, "of another uid than 10001"));
	assert_int_equal(p.asked[CM_MESSAGE_UNSEAL], 0);
	play_end(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_made_and_opened),
		cmocka_unit_test(test_a_first_one_that_is_none),
		cmocka_unit_test(test_another_in_its_place),
		cmocka_unit_test(test_a_store_that_takes_nothing),
		cmocka_unit_test(test_a_name_of_another_uid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
