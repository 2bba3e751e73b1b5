/* tests/resolver/test_session.c - one card's questions to the resolver: what may be asked when, and what silence costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process.h"

/* Give up only when nothing has happened for very long. */
#define PATIENCE_MS	60000

static void
before_the_pin(void **state)
{
	struct cm_message m = { 0 };
	struct process p;
	struct cm_channel *c;

	(void)state;
	process_prepare(&p, NULL);
	process_start(&p);
	c = process_card(&p);
	assert_int_equal(process_chain(c, "alice-p256", &m), CM_OK);
	assert_int_equal(m.err, CM_OK);
	assert_int_equal(m.key.kind, CM_KEY_P256);
	assert_non_null(strstr(m.subject, "Alice"));
	cm_message_clear(&m);
	assert_int_equal(process_ask(c, CM_MESSAGE_ACCOUNT, CM_MESSAGE_FOUND, &m), CM_OK);
	assert_int_equal(m.err, CM_OK);
	assert_string_equal(m.account->name, "alice");
	assert_false(m.kept);
	cm_message_clear(&m);
	assert_int_equal(process_ask(c, CM_MESSAGE_REVOCATION, CM_MESSAGE_JUDGED, &m), CM_OK);
	assert_int_equal(m.err, CM_OK);
	assert_true(m.evidence.count > 0);
	assert_true(m.chain.count > 1);
	cm_message_clear(&m);
	cm_channel_free(&c);
	process_end(&p);
}

/* Out of its order, or what is not the resolver's at all: nothing is answered, and the session ends; others go on. */
static void
attack_order(void **state)
{
	static const struct {
		enum cm_message_kind before, then, answer;
	} cases[] = {
		{ CM_MESSAGE_NONE, CM_MESSAGE_ACCOUNT, CM_MESSAGE_FOUND },
		{ CM_MESSAGE_NONE, CM_MESSAGE_REVOCATION, CM_MESSAGE_JUDGED },
		{ CM_MESSAGE_CHAIN, CM_MESSAGE_REVOCATION, CM_MESSAGE_JUDGED },
		{ CM_MESSAGE_CHAIN, CM_MESSAGE_WATCH, CM_MESSAGE_READER },
		{ CM_MESSAGE_CHAIN, CM_MESSAGE_SIGN, CM_MESSAGE_SIGNED },
	};
	struct cm_message m = { 0 };
	struct process p;

	(void)state;
	process_prepare(&p, NULL);
	process_start(&p);
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct cm_channel *c = process_card(&p);

		if (cases[i].before == CM_MESSAGE_CHAIN)
			assert_int_equal(process_chain(c, "alice-p256", &m), CM_OK);
		cm_message_clear(&m);
		if (process_ask(c, cases[i].then, cases[i].answer, &m) != CM_ERR_OFFLINE || !cm_channel_is_gone(c))
			fail_msg("case %zu was answered", i);
		cm_channel_free(&c);
	}
	/* a certificate that is not trusted leads to no question */
	{
		struct cm_channel *c = process_card(&p);

		assert_int_equal(process_chain(c, "stranger", &m), CM_OK);
		assert_int_equal(m.err, CM_ERR_REFUSED);
		cm_message_clear(&m);
		assert_int_equal(process_ask(c, CM_MESSAGE_ACCOUNT, CM_MESSAGE_FOUND, &m), CM_ERR_OFFLINE);
		cm_channel_free(&c);
	}
	assert_int_equal(waitpid(p.pid, NULL, WNOHANG), 0);
	process_end(&p);
}

static void
expect_standing(struct cm_channel *c, const char *user, enum cm_reason reason)
{
	const struct cm_message q = { .kind = CM_MESSAGE_STANDING, .user = (char *)(uintptr_t)user, .deadline = 20000 };
	struct cm_message m = { 0 };

	assert_int_equal(cm_channel_ask(c, &q, NULL, 0, CM_MESSAGE_FOUND, cm_deadline_in(PATIENCE_MS), &m), CM_OK);
	assert_int_equal(m.reason, reason);
	assert_true((m.err == CM_OK) == (m.account != NULL));
	if (m.account != NULL)
		assert_string_equal(m.account->name, user);
	cm_message_clear(&m);
}

/* Of whom no card is there: by the name, at any time, and a card's own questions go on as they were. */
static void
how_a_name_stands(void **state)
{
	struct cm_message m = { 0 };
	struct cm_channel *c;
	struct process p;

	(void)state;
	process_prepare(&p, NULL);
	process_start(&p);
	c = process_card(&p);
	expect_standing(c, "alice", CM_REASON_NONE);
	expect_standing(c, "nobody-of-this-name", CM_REASON_NO_ACCOUNT);
	expect_standing(c, "", CM_REASON_NO_ACCOUNT);
	expect_standing(c, "*", CM_REASON_NO_ACCOUNT);
	assert_int_equal(process_chain(c, "alice-p256", &m), CM_OK);
	cm_message_clear(&m);
	expect_standing(c, "alice", CM_REASON_NONE);
	assert_int_equal(process_ask(c, CM_MESSAGE_ACCOUNT, CM_MESSAGE_FOUND, &m), CM_OK);
	assert_int_equal(m.err, CM_OK);
	cm_message_clear(&m);
	cm_channel_free(&c);
	process_end(&p);
}

/* Milliseconds that the account took, and how it ended. */
static int64_t
account_of(const struct process *p, enum cm_err *err)
{
	struct cm_message m = { 0 };
	struct cm_channel *c = process_card(p);
	int64_t began;

	assert_int_equal(process_chain(c, "alice-p256", &m), CM_OK);
	cm_message_clear(&m);
	began = cm_clock_us();
	assert_int_equal(process_ask(c, CM_MESSAGE_ACCOUNT, CM_MESSAGE_FOUND, &m), CM_OK);
	began = cm_clock_us() - began;
	*err = (enum cm_err)m.err;
	cm_message_clear(&m);
	cm_channel_free(&c);
	return began / 1000;
}

/* The first waits; those after it do not, each with a session of its own; once it is back it is asked again. */
static void
silent_directory_is_waited_for_once(void **state)
{
	const cm_deadline patience = cm_deadline_in(PATIENCE_MS);
	struct process p;
	int64_t first;
	enum cm_err err;

	(void)state;
	process_prepare(&p, NULL);
	process_start(&p);
	account_of(&p, &err);
	assert_int_equal(err, CM_OK);
	rig_do("freeze", "slapd");
	first = account_of(&p, &err);
	assert_int_equal(err, CM_ERR_OFFLINE);
	assert_true(first >= 1000);
	for (int i = 0; i < 5; i++) {
		assert_true(account_of(&p, &err) < first / 2);
		assert_int_equal(err, CM_ERR_OFFLINE);
	}
	rig_do("thaw", "slapd");
	do {
		account_of(&p, &err);
		assert_false(cm_deadline_passed(patience));
		if (err != CM_OK)
			usleep(50000);
	} while (err != CM_OK);
	process_end(&p);
}

static bool
kdc_is_silent(struct cm_channel *c)
{
	struct cm_message m = { 0 };
	bool silent;

	assert_int_equal(process_ask(c, CM_MESSAGE_KDC_STATE, CM_MESSAGE_KDC_STATED, &m), CM_OK);
	silent = m.kdc_silent;
	assert_true(silent == (m.text[0] != '\0'));
	cm_message_clear(&m);
	return silent;
}

static void
await_kdc(struct cm_channel *c, bool silent)
{
	const cm_deadline patience = cm_deadline_in(PATIENCE_MS);

	while (kdc_is_silent(c) != silent) {
		assert_false(cm_deadline_passed(patience));
		usleep(20000);
	}
}

/* A helper that waited in vain says so, a card that comes has it asked, and its answer is there before anybody needs it. */
static void
silent_kdc_is_known(void **state)
{
	const struct cm_message told = { .kind = CM_MESSAGE_KDC_SILENT };
	struct cm_message m = { 0 };
	struct cm_channel *c;
	struct process p;

	(void)state;
	process_prepare(&p, NULL);
	process_start(&p);
	c = process_card(&p);
	assert_false(kdc_is_silent(c));
	rig_do("freeze", "kdc");
	assert_int_equal(cm_channel_send(c, &told, NULL, 0, cm_deadline_in(30000)), CM_OK);
	assert_true(kdc_is_silent(c));
	rig_do("thaw", "kdc");
	await_kdc(c, false);
	cm_channel_free(&c);
	process_end(&p);

	process_prepare(&p, NULL);
	rig_do("freeze", "kdc");
	process_start(&p);
	c = process_card(&p);
	assert_int_equal(process_chain(c, "alice-p256", &m), CM_OK);
	cm_message_clear(&m);
	await_kdc(c, true);
	rig_do("thaw", "kdc");
	await_kdc(c, false);
	cm_channel_free(&c);
	process_end(&p);
}

/* kill -9 at each message: the session ends, and the next process serves the next one. */
static void
killed_at_each_message(void **state)
{
	static const char *const points[] = {
		"kill:resolver.CHAIN", "kill:resolver.ACCOUNT", "kill:resolver.REVOCATION", "kill:resolver.KDC_STATE",
	};
	static const enum cm_message_kind kinds[][2] = {
		{ CM_MESSAGE_CHAIN, CM_MESSAGE_CHAINED }, { CM_MESSAGE_ACCOUNT, CM_MESSAGE_FOUND },
		{ CM_MESSAGE_REVOCATION, CM_MESSAGE_JUDGED }, { CM_MESSAGE_KDC_STATE, CM_MESSAGE_KDC_STATED },
	};
	struct process p;

	(void)state;
	process_prepare(&p, NULL);
	for (size_t i = 0; i < CM_COUNT(points); i++) {
		struct cm_message m = { 0 };
		struct cm_channel *c;

		setenv("CM_FAULT", points[i], 1);
		process_start(&p);
		c = process_card(&p);
		for (size_t k = 0; k < CM_COUNT(kinds); k++) {
			const enum cm_err err = k == 0 ? process_chain(c, "alice-p256", &m) :
			    process_ask(c, kinds[k][0], kinds[k][1], &m);

			assert_int_equal(err, k == i ? CM_ERR_OFFLINE : CM_OK);
			cm_message_clear(&m);
			if (k == i)
				break;
		}
		assert_true(cm_channel_is_gone(c));
		cm_channel_free(&c);
		assert_int_equal(WTERMSIG(process_wait(&p)), SIGKILL);
		unsetenv("CM_FAULT");
	}
	process_start(&p);
	{
		enum cm_err err;

		account_of(&p, &err);
		assert_int_equal(err, CM_OK);
	}
	process_end(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(before_the_pin),
		cmocka_unit_test(attack_order),
		cmocka_unit_test(how_a_name_stands),
		cmocka_unit_test(silent_directory_is_waited_for_once),
		cmocka_unit_test(silent_kdc_is_known),
		cmocka_unit_test(killed_at_each_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
