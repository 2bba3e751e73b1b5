/* tests/service/test_carry.c - accounts carried to a new computer: with the key alone, nothing newer overwritten, nothing widened. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/list.h"
#include "cache/sealed.h"
#include "cache/standing.h"
#include "cache/transfer.h"
#include "service/carry.h"

#define DAY	86400

struct fixture {
	char folder[40], etc[64], userdb[64];
	struct cm_conf conf;
	struct cm_accounts *from, *to;
	struct cm_mobile_host h;
	struct cm_trace *t;
	time_t now;
	char told[4096];	/* "NAME: why\n", in their order */
};

static void
write_text(const struct fixture *f, const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", f->folder, name);
	assert_non_null(file = fopen(path, "w"));
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0644), 0);
}

static struct cm_accounts *
open_store(struct fixture *f, const char *name)
{
	char path[80];
	const struct cm_accounts_options o = { .path = path, .offline_max = 30 * (int64_t)DAY, .first_uid = 1000, .first_gid = 1000 };
	struct cm_accounts *s = NULL;

	snprintf(path, sizeof(path), "%s/%s", f->folder, name);
	assert_int_equal(cm_accounts_open(&o, f->t, &s), CM_OK);
	return s;
}

static int
set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->folder, sizeof(f->folder), "/tmp/cm-carry-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->etc, sizeof(f->etc), "%s", f->folder);
	snprintf(f->userdb, sizeof(f->userdb), "%s/userdb", f->folder);
	write_text(f, "passwd", "root:x:0:0::/root:/bin/sh\nlocal:x:1500:1500::/home/local:/bin/sh\n");
	write_text(f, "group", "root:x:0:\nsudo:x:27:\n");
	f->conf.accounts.mobile = CM_MOBILE_ALL;
	f->conf.accounts.userdb = f->userdb;
	f->conf.accounts.first_uid = f->conf.accounts.first_gid = 1000;
	assert_int_equal(cm_list_add(&f->conf.accounts.home_roots, cm_blob_str("/home")), CM_OK);
	assert_int_equal(cm_trace_new(&f->t), CM_OK);
	cm_trace_begin(f->t, "test");
	f->from = open_store(f, "from.db");
	f->to = open_store(f, "to.db");
	f->h = (struct cm_mobile_host){ .conf = &f->conf, .store = f->to, .etc = f->etc };
	f->now = cm_clock_now();
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;
	char command[80];

	cm_accounts_close(&f->from);
	cm_accounts_close(&f->to);
	cm_trace_free(&f->t);
	cm_list_free(&f->conf.accounts.home_roots);
	snprintf(command, sizeof(command), "rm -rf %s", f->folder);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static char none[] = "";
static struct cm_group groups[] = { { .name = "staff10000", .gid = 10000 } };
static const uint8_t link_octets[40] = { 7, 7, 7, [39] = 9 };

struct login {
	const char *name, *card;
	uid_t uid;
	time_t at;
	enum cm_status status;	/* of its evidence */
	struct cm_blob key;
};

static void
log_in(struct fixture *f, struct cm_accounts *s, const struct login *l)
{
	char home[64];
	const struct cm_account a = {
		.name = (char *)(uintptr_t)l->name, .principal = none, .dn = none, .home = home, .shell = (char *)(uintptr_t)"/bin/bash",
		.gecos = none, .uid = l->uid, .gid = 10000, .groups = groups, .group_count = 1, .rule = none, .attribute = none,
		.matched = none, .source = none,
	};
	const struct cm_blob der = cm_blob_str(l->card), link = { link_octets, sizeof(link_octets) };
	const time_t said = l->at < f->now ? l->at : f->now;	/* whatever the computer's own clock was, nobody signs what is ahead */
	struct cm_evidence e = { .status = l->status, .this_update = said - 10, .next_update = said + DAY, .learned = said, .confirmed = said,
		.serial_len = 8, .revoked_at = l->status == CM_STATUS_REVOKED ? said - 100 : 0, .source = "CRL http://crl.test/" };
	const struct cm_remember_apart r = {
		.account = &a, .certificate = der, .chain = &der, .chain_count = 1, .evidence = &e, .evidence_count = 1,
		.card = { .links = &link, .link_count = 1, .not_after = l->at + 1000 * (time_t)DAY, .key = l->key },
		.signed_time = said - 10, .now = l->at, .account_online = true,
	};

	memcpy(e.issuer_key, link_octets, 32);
	memcpy(e.serial, link_octets + 32, 8);
	snprintf(home, sizeof(home), "/home/%s", l->name);
	if (cm_accounts_remember_apart(s, &r, f->t) != CM_OK)
		fail_msg("%s", cm_trace_message(f->t));
}

static void
told(void *arg, const struct cm_account *a, const char *left)
{
	struct fixture *f = arg;
	const size_t len = strlen(f->told);

	snprintf(f->told + len, sizeof(f->told) - len, "%s: %s\n", a->name, left != NULL ? left : "in");
}

static enum cm_err
apply(struct fixture *f, struct cm_blob plain)
{
	const struct cm_carry how = { .host = &f->h, .etc = f->etc, .now = f->now, .told = told, .arg = f };

	f->told[0] = '\0';
	cm_trace_clear_reason(f->t);
	return cm_carry_apply(&how, plain, f->t);
}

/* All of "from" into "to"; what was told of each must have these words. */
static void
carry(struct fixture *f, const char *want)
{
	struct cm_buf plain = { 0 };
	size_t count = 0;

	assert_int_equal(cm_transfer_collect(f->from, NULL, f->t, &plain, &count), CM_OK);
	if (apply(f, cm_buf_blob(&plain)) != CM_OK)
		fail_msg("%s", cm_trace_message(f->t));
	if (strstr(f->told, want) == NULL)
		fail_msg("wanted \"%s\" in \"%s\"", want, f->told);
	cm_buf_free(&plain);
}

/* How many rows are kept of a name, and the last one's time. */
struct seen {
	unsigned rows, revoked;
	time_t last;
};

static enum cm_err
see(void *arg, const struct cm_kept *k)
{
	struct seen *s = arg;

	s->rows++;
	s->last = k->last_online;
	for (size_t i = 0; i < k->evidence_count; i++)
		s->revoked += k->evidence[i].status == CM_STATUS_REVOKED;
	return CM_OK;
}

static struct seen
kept(struct cm_accounts *s, const char *name)
{
	struct seen seen = { .rows = 0 };

	assert_int_equal(cm_accounts_list_of(s, name, NULL, see, &seen), CM_OK);
	return seen;
}

static void
test_an_account_comes_in_with_its_name(void **state)
{
	struct fixture *f = *state;
	const struct login alice = { "alice", "card a", 20001, f->now - DAY, CM_STATUS_GOOD, { NULL, 0 } };
	const struct login bob = { "bob", "card b", 20002, f->now - DAY, CM_STATUS_GOOD, { NULL, 0 } };
	struct cm_kept_row *row = NULL;
	struct cm_buf plain = { 0 };
	char path[128];
	size_t count = 0;

	log_in(f, f->from, &alice);
	log_in(f, f->from, &bob);
	assert_int_equal(cm_transfer_collect(f->from, "alice", f->t, &plain, &count), CM_OK);
	assert_int_equal(count, 1);
	assert_int_equal(apply(f, cm_buf_blob(&plain)), CM_OK);
	assert_string_equal(f->told, "alice: in\n");
	assert_int_equal(kept(f->to, "bob").rows, 0);
	/* usable, and a day old: another computer's boot says nothing */
	assert_int_equal(cm_accounts_find_row(f->to, cm_blob_str("card a"), f->now, f->t, &row), CM_OK);
	assert_int_equal(row->usable, CM_OK);
	assert_int_equal(row->age, DAY);
	assert_int_equal(row->account->uid, 20001);
	cm_kept_row_free(&row);
	assert_int_equal(cm_accounts_find_row(f->to, cm_blob_str("card a"), f->now + 31 * (time_t)DAY, f->t, &row), CM_OK);
	assert_int_equal(row->reason, CM_REASON_KEPT_TOO_OLD);
	cm_kept_row_free(&row);
	snprintf(path, sizeof(path), "%s/alice.user", f->userdb);
	assert_int_equal(access(path, R_OK), 0);
	/* the same once more changes nothing */
	assert_int_equal(apply(f, cm_buf_blob(&plain)), CM_OK);
	assert_string_equal(f->told, "alice: what is kept here is as new, or newer\n");
	cm_buf_free(&plain);
}

static void
test_what_this_computer_knows_better_stays(void **state)
{
	struct fixture *f = *state;
	const struct login theirs = { "alice", "card a", 20001, f->now - 5 * DAY, CM_STATUS_GOOD, { NULL, 0 } };
	struct login here = theirs;
	const struct cm_standing_word disabled = { .name = "carol", .uid = 20003, .reason = CM_REASON_ACCOUNT_DISABLED, .text = "bit 0x2", .at = f->now - DAY };
	static const uint8_t no_key[9] = { 1 };

	log_in(f, f->from, &theirs);
	here.at = f->now - DAY;
	log_in(f, f->to, &here);
	carry(f, "alice: what is kept here is as new, or newer\n");
	assert_int_equal(kept(f->to, "alice").last, here.at);
	log_in(f, f->from, &(struct login){ "mallory", "card m", 20001, f->now - DAY, CM_STATUS_GOOD, { NULL, 0 } });
	carry(f, "mallory: its uid is another's here\n");
	log_in(f, f->to, &(struct login){ "dave", "card d", 20004, f->now - 2 * DAY, CM_STATUS_GOOD, { NULL, 0 } });
	log_in(f, f->from, &(struct login){ "dave", "card e", 20005, f->now - DAY, CM_STATUS_GOOD, { NULL, 0 } });
	carry(f, "dave: it is kept here with another uid\n");
	log_in(f, f->from, &(struct login){ "erin", "card d", 20006, f->now - DAY, CM_STATUS_GOOD, { NULL, 0 } });
	carry(f, "erin: its card opens another account here\n");
	assert_int_equal(cm_standing_note(f->to, &disabled, f->t), CM_OK);
	log_in(f, f->from, &(struct login){ "carol", "card c", 20003, f->now - DAY, CM_STATUS_GOOD, { NULL, 0 } });
	carry(f, "carol: a directory told this computer that it does not stand: bit 0x2\n");
	log_in(f, f->from, &(struct login){ "local", "card l", 20007, f->now - DAY, CM_STATUS_GOOD, { NULL, 0 } });
	carry(f, "local: the directory's account local");
	log_in(f, f->from, &(struct login){ "frank", "card f", 1500, f->now - DAY, CM_STATUS_GOOD, { NULL, 0 } });
	carry(f, "frank: the directory's account frank () has uid 1500, which is local's");
	log_in(f, f->from, &(struct login){ "grace", "card g", 20008, f->now - 40 * DAY, CM_STATUS_GOOD, { NULL, 0 } });
	carry(f, "grace: its last login with the network is longer ago");
	log_in(f, f->from, &(struct login){ "ivan", "card i", 20010, f->now + DAY, CM_STATUS_GOOD, { NULL, 0 } });
	carry(f, "ivan: its last login with the network lies ahead of this computer's clock");
	log_in(f, f->from, &(struct login){ "heidi", "no certificate", 20009, f->now - DAY, CM_STATUS_GOOD, { no_key, sizeof(no_key) } });
	carry(f, "heidi: ");
	assert_null(strstr(f->told, ": in\n"));
}

static void
test_revoked_here_stays_revoked(void **state)
{
	struct fixture *f = *state;

	log_in(f, f->to, &(struct login){ "alice", "card a", 20001, f->now - 5 * DAY, CM_STATUS_REVOKED, { NULL, 0 } });
	log_in(f, f->from, &(struct login){ "alice", "card a", 20001, f->now - DAY, CM_STATUS_GOOD, { NULL, 0 } });
	carry(f, "alice: in\n");
	assert_int_equal(kept(f->to, "alice").revoked, 1);
	/* and what is revoked there is so here */
	log_in(f, f->from, &(struct login){ "bob", "card b", 20002, f->now - DAY, CM_STATUS_REVOKED, { NULL, 0 } });
	carry(f, "bob: in\n");
	assert_int_equal(kept(f->to, "bob").revoked, 1);
}

static struct cm_sealed_row
sealed_row(const struct fixture *f, const char *text)
{
	return (struct cm_sealed_row){ .name = (char *)(uintptr_t)"alice", .uid = 20001, .use = CM_SEALED_CARD, .key = { 7 }, .beside = { 9 },
		.octets = cm_blob_str(text), .made = f->now - DAY };
}

struct sealed_seen {
	char text[64];	/* the octets of each, "TEXT;" */
};

static enum cm_err
see_sealed(void *arg, const struct cm_sealed_row *row)
{
	struct sealed_seen *s = arg;
	const size_t len = strlen(s->text);

	assert_string_equal(row->name, "alice");
	assert_int_equal(row->uid, 20001);
	snprintf(s->text + len, sizeof(s->text) - len, "%.*s;", (int)row->octets.len, (const char *)row->octets.ptr);
	return CM_OK;
}

static void
assert_sealed(struct fixture *f, struct cm_accounts *s, const char *want)
{
	struct sealed_seen seen = { { 0 } };

	assert_int_equal(cm_sealed_list(s, NULL, f->t, see_sealed, &seen), CM_OK);
	assert_string_equal(seen.text, want);
}

/* An account comes in over one whose secret is sealed here, and to where there is none: what is here stays as it is, theirs does not come. */
static void
test_a_sealed_secret_is_never_written_over(void **state)
{
	struct fixture *f = *state;
	const struct cm_sealed_row theirs = sealed_row(f, "sealed there"), ours = sealed_row(f, "sealed here");
	struct cm_buf plain = { 0 };
	size_t count = 0;

	log_in(f, f->from, &(struct login){ "alice", "card a", 20001, f->now - DAY, CM_STATUS_GOOD, { NULL, 0 } });
	assert_int_equal(cm_sealed_add(f->from, &theirs, f->t), CM_OK);
	assert_int_equal(cm_transfer_collect(f->from, NULL, f->t, &plain, &count), CM_OK);
	assert_null(memmem(plain.ptr, plain.len, "sealed there", strlen("sealed there")));
	cm_buf_free(&plain);
	/* none here, and so no account that has it */
	carry(f, "alice: in\n");
	assert_sealed(f, f->to, "");
	/* one here: of an account that was there before, and of one that an import makes anew */
	assert_int_equal(cm_sealed_add(f->to, &ours, f->t), CM_OK);
	log_in(f, f->from, &(struct login){ "alice", "card a", 20001, f->now - 10, CM_STATUS_GOOD, { NULL, 0 } });
	carry(f, "alice: in\n");
	assert_sealed(f, f->to, "sealed here;");
	assert_int_equal(cm_accounts_forget(f->to, "alice", f->t), CM_OK);
	assert_sealed(f, f->to, "sealed here;");
	carry(f, "alice: in\n");
	assert_sealed(f, f->to, "sealed here;");
	assert_sealed(f, f->from, "sealed there;");
}

static void
test_a_clock_that_is_behind_takes_nothing(void **state)
{
	struct fixture *f = *state;
	struct cm_buf plain = { 0 };
	size_t count;

	log_in(f, f->from, &(struct login){ "alice", "card a", 20001, f->now - DAY, CM_STATUS_GOOD, { NULL, 0 } });
	assert_int_equal(cm_transfer_collect(f->from, NULL, f->t, &plain, &count), CM_OK);
	f->now -= 2 * DAY;
	assert_int_equal(apply(f, cm_buf_blob(&plain)), CM_ERR_REFUSED);
	assert_int_equal(cm_trace_reason(f->t), CM_REASON_CLOCK_BEHIND);
	assert_int_equal(kept(f->to, "alice").rows, 0);
	cm_buf_free(&plain);
}

static void
test_without_the_key_it_is_nothing(void **state)
{
	struct fixture *f = *state;
	struct cm_buf plain = { 0 }, sealed = { 0 }, back = { 0 };
	uint8_t key[CM_CARRY_KEY], read_back[CM_CARRY_KEY];
	char path[128];
	struct stat st;
	size_t count;

	log_in(f, f->from, &(struct login){ "alice", "card a", 20001, f->now - DAY, CM_STATUS_GOOD, { NULL, 0 } });
	assert_int_equal(cm_transfer_collect(f->from, NULL, f->t, &plain, &count), CM_OK);
	snprintf(path, sizeof(path), "%s/key", f->folder);
	assert_int_equal(cm_carry_key_make(path, f->t, key), CM_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(cm_carry_key_make(path, f->t, read_back), CM_ERR_SYSTEM);	/* never written over */
	assert_int_equal(cm_carry_key_read(path, f->t, read_back), CM_OK);
	assert_memory_equal(key, read_back, sizeof(key));
	assert_int_equal(cm_carry_seal(cm_buf_blob(&plain), key, &sealed), CM_OK);
	assert_null(memmem(sealed.ptr, sealed.len, "alice", 5));
	assert_int_equal(cm_carry_open(cm_buf_blob(&sealed), key, f->t, &back), CM_OK);
	assert_true(cm_blob_equal(cm_buf_blob(&back), cm_buf_blob(&plain)));
	for (size_t i = 0; i < sealed.len; i += i < 64 || i + 64 > sealed.len ? 1 : 509) {
		cm_buf_truncate(&back, 0);
		sealed.ptr[i] ^= 1;
		assert_int_equal(cm_carry_open(cm_buf_blob(&sealed), key, NULL, &back), CM_ERR_SYNTAX);
		sealed.ptr[i] ^= 1;
		assert_int_equal(cm_carry_open((struct cm_blob){ sealed.ptr, i }, key, NULL, &back), CM_ERR_SYNTAX);
		assert_int_equal(back.len, 0);
	}
	read_back[0] ^= 1;
	assert_int_equal(cm_carry_open(cm_buf_blob(&sealed), read_back, NULL, &back), CM_ERR_SYNTAX);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(cm_carry_key_read(path, f->t, read_back), CM_ERR_CONFIG);
	cm_buf_free(&plain);
	cm_buf_free(&sealed);
	cm_buf_free(&back);
}

/* Whoever has the key may have made anything: whole, or nothing at all. */
static void
test_damaged_octets_change_nothing(void **state)
{
	struct fixture *f = *state;
	struct cm_buf plain = { 0 };
	size_t count;
	unsigned refused = 0;

	log_in(f, f->from, &(struct login){ "alice", "card a", 20001, f->now - DAY, CM_STATUS_GOOD, { NULL, 0 } });
	assert_int_equal(cm_transfer_collect(f->from, NULL, f->t, &plain, &count), CM_OK);
	for (size_t at = 0; at < plain.len; at += 509) {
		enum cm_err err;

		for (size_t i = at; i < at + 64 && i < plain.len; i++)
			plain.ptr[i] ^= 0x55;
		err = apply(f, cm_buf_blob(&plain));
		if (err != CM_OK) {
			assert_true(err == CM_ERR_SYNTAX || err == CM_ERR_REFUSED);
			assert_int_equal(kept(f->to, "alice").rows, 0);
			refused++;
		} else if (f->told[0] != '\0') {
			assert_int_equal(kept(f->to, "alice").rows, 1);
			assert_int_equal(cm_accounts_forget(f->to, "alice", f->t), CM_OK);
		}
		for (size_t i = at; i < at + 64 && i < plain.len; i++)
			plain.ptr[i] ^= 0x55;
	}
	assert_true(refused > 3);
	assert_int_equal(apply(f, cm_blob_str("")), CM_ERR_SYNTAX);
	assert_int_equal(apply(f, (struct cm_blob){ plain.ptr, plain.len / 2 }), CM_ERR_SYNTAX);
	assert_int_equal(apply(f, cm_buf_blob(&plain)), CM_OK);
	assert_string_equal(f->told, "alice: in\n");
	cm_buf_free(&plain);
}

int
main(void)
{
#define T(name)	cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(test_an_account_comes_in_with_its_name), T(test_what_this_computer_knows_better_stays), T(test_revoked_here_stays_revoked),
		T(test_a_sealed_secret_is_never_written_over),
		T(test_a_clock_that_is_behind_takes_nothing), T(test_without_the_key_it_is_nothing), T(test_damaged_octets_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
