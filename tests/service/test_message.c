/* tests/service/test_message.c - messages between our processes: all of a kind's fields, each within its limit, nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "service/message.h"

#define BLOB(s)	{ (const uint8_t *)(s), sizeof(s) - 1 }

/* As a receiver has it: owned. */
static struct cm_blob
own(const void *p, size_t len)
{
	uint8_t *copy = malloc(len);

	assert_non_null(copy);
	memcpy(copy, p, len);
	return (struct cm_blob){ copy, len };
}

/* One with something in every field there is. */
static void
fill(struct cm_message *m)
{
	static const struct cm_group groups[] = { { .name = (char *)"staff2", .gid = 2000 }, { .name = (char *)"alice", .gid = 10001 } };
	const struct cm_account a = {
		.name = (char *)"alice", .principal = (char *)"alice@EXAMPLE.ORG", .dn = (char *)"uid=alice,dc=example",
		.home = (char *)"/home/alice", .shell = (char *)"/bin/sh", .gecos = (char *)"Älice", .uid = 10001, .gid = 10002,
		.groups = (struct cm_group *)(uintptr_t)groups, .group_count = 2, .rule = (char *)"upn", .weak = true,
		.several = true, .attribute = (char *)"mail", .matched = (char *)"a@b", .source = (char *)"ldap://127.0.0.1",
	};
	struct cm_trace *t = NULL;

	*m = (struct cm_message){ .deadline = 1500, .present = 1, .insertion = UINT32_MAX, .cached = 1, .tries = 3, .last_try = 1,
		.pad = 1, .commands = 7, .kdc_silent = 1, .not_after = 1800000000,
		.kept = 1, .kept_age = 77, .signed_time = 1600000000 };
	m->key = (struct cm_key){ .kind = CM_KEY_P256, .octets = { 4, 1, 2 }, .len = 65 };
	assert_int_equal(cm_account_copy(&a, &m->account), CM_OK);
	for (size_t i = 0; i < 6; i++) {
		struct cm_blob *b[] = { &m->atr, &m->certificate, &m->guid, &m->nonce, &m->serial, &m->ticket };

		*b[i] = own("0123456789abcdef0123456789abcdef", 16);
	}
	m->signature = own("sig", 3);
	m->ap_req = own("\0req", 4);
	for (size_t i = 0; i < 5; i++) {
		char **s[] = { &m->reader, &m->principal, &m->host_principal, &m->subject, &m->user };

		assert_non_null(*s[i] = strdup("text é"));
	}
	assert_non_null(m->chain.rows = calloc(2, sizeof(*m->chain.rows)));
	m->chain.rows[0] = own("leaf", 4);
	m->chain.count = 2;	/* the second is empty */
	assert_non_null(m->links.rows = calloc(1, sizeof(*m->links.rows)));
	m->links.rows[0] = own("link", 4);
	m->links.count = 1;
	assert_non_null(m->evidence.rows = calloc(2, sizeof(*m->evidence.rows)));
	m->evidence.count = 2;
	for (size_t i = 0; i < 2; i++)
		m->evidence.rows[i] = (struct cm_evidence){ .issuer_key = { 9 }, .serial = { 1, 2 }, .serial_len = 2,
			.status = i == 0 ? CM_STATUS_GOOD : CM_STATUS_REVOKED, .this_update = 100, .next_update = 200,
			.revoked_at = i == 0 ? 0 : CM_NEVER_ISSUED, .on_hold = i == 1, .by_list = true, .learned = 5,
			.confirmed = 6, .ask_after = 7, .source = "CRL http://x", .signer = "CN=x" };
	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "earlier");
	cm_trace_add(t, "not of this stage", "x");
	cm_trace_end(t, CM_OK);
	cm_trace_begin(t, "account");
	cm_trace_add(t, "filter", "(mail=%s)", "a");
	cm_trace_end(t, cm_trace_fail(t, CM_REASON_NO_ACCOUNT, "nobody has %s", "it"));
	assert_int_equal(cm_message_report(m, CM_ERR_ABSENT, t), CM_OK);
	cm_trace_free(&t);
}

/* Whatever the kind: what is written is read as it was, and is written the same again. */
static void
test_all_kinds(void **state)
{
	struct cm_message m, again;

	(void)state;
	fill(&m);
	for (int kind = CM_MESSAGE_NONE + 1; kind < CM_MESSAGE_KIND_COUNT; kind++) {
		struct cm_buf first = { 0 }, second = { 0 };

		m.kind = (enum cm_message_kind)kind;
		assert_int_equal(cm_message_write(&m, &first), CM_OK);
		assert_int_equal(cm_message_read(cm_buf_blob(&first), &again), CM_OK);
		assert_int_equal(again.kind, kind);
		assert_int_equal(cm_message_write(&again, &second), CM_OK);
		assert_true(cm_blob_equal(cm_buf_blob(&first), cm_buf_blob(&second)));
		cm_message_clear(&again);
		/* nothing may be missing, and nothing stand behind it */
		for (size_t len = 0; len < first.len; len++)
			assert_int_equal(cm_message_read((struct cm_blob){ first.ptr, len }, &again), CM_ERR_SYNTAX);
		cm_buf_add_byte(&first, 0);
		assert_int_equal(cm_message_read(cm_buf_blob(&first), &again), CM_ERR_SYNTAX);
		assert_int_equal(again.kind, CM_MESSAGE_NONE);
		cm_buf_free(&first);
		cm_buf_free(&second);
	}
	cm_message_clear(&m);
}

static void
read_back(struct cm_message *m, enum cm_message_kind kind, struct cm_message *out)
{
	struct cm_buf b = { 0 };

	m->kind = kind;
	assert_int_equal(cm_message_write(m, &b), CM_OK);
	assert_int_equal(cm_message_read(cm_buf_blob(&b), out), CM_OK);
	cm_buf_free(&b);
}

static void
test_values_arrive(void **state)
{
	struct cm_message m, r;

	(void)state;
	fill(&m);
	read_back(&m, CM_MESSAGE_FOUND, &r);
	assert_string_equal(r.account->name, "alice");
	assert_string_equal(r.account->gecos, "Älice");
	assert_int_equal(r.account->uid, 10001);
	assert_int_equal(r.account->gid, 10002);
	assert_true(r.account->weak && r.account->several && !r.account->local);
	assert_int_equal(r.account->group_count, 2);
	assert_string_equal(r.account->groups[1].name, "alice");
	assert_int_equal(r.account->groups[1].gid, 10001);
	assert_int_equal(r.kept, 1);
	assert_int_equal(r.kept_age, 77);
	assert_int_equal(r.err, CM_ERR_ABSENT);
	assert_int_equal(r.reason, CM_REASON_NO_ACCOUNT);
	assert_string_equal(r.text, "nobody has it");
	assert_int_equal(r.items.count, 1);	/* of the last stage, and not why it ended, which is the text */
	assert_string_equal(r.items.rows[0].key, "filter");
	assert_string_equal(r.items.rows[0].text, "(mail=a)");
	assert_null(r.subject);			/* of another kind */
	assert_int_equal(r.key.kind, CM_KEY_NONE);
	cm_message_clear(&r);
	read_back(&m, CM_MESSAGE_JUDGED, &r);
	assert_int_equal(r.chain.count, 2);
	assert_true(cm_blob_equal(r.chain.rows[0], (struct cm_blob)BLOB("leaf")));
	assert_int_equal(r.evidence.count, 2);
	assert_true(r.evidence.rows[1].revoked_at == CM_NEVER_ISSUED && r.evidence.rows[1].on_hold);
	assert_string_equal(r.evidence.rows[0].source, "CRL http://x");
	cm_message_clear(&r);
	read_back(&m, CM_MESSAGE_TICKET, &r);
	assert_int_equal(r.key.kind, CM_KEY_P256);
	assert_int_equal(r.key.len, 65);
	assert_memory_equal(r.key.octets, m.key.octets, 65);
	cm_message_clear(&r);
	cm_message_clear(&m);
}

/* Every limit, from both sides: who sends it is told, and who is sent it takes nothing. */
static void
test_limits(void **state)
{
	static uint8_t much[20000];
	static char long_text[4000];
	static const struct {
		enum cm_message_kind kind;
		struct cm_message m;
	} bad[] = {
		{ CM_MESSAGE_NONE, { .kind = CM_MESSAGE_NONE } },
		{ CM_MESSAGE_KIND_COUNT, { .kind = CM_MESSAGE_NONE } },
		{ CM_MESSAGE_VERIFY, { .last_try = 2 } },
		{ CM_MESSAGE_VERIFY, { .deadline = 120001 } },
		{ CM_MESSAGE_READER, { .atr = { much, 34 } } },
		{ CM_MESSAGE_CHAIN, { .certificate = { much, 16385 } } },
		{ CM_MESSAGE_RECOGNISE, { .guid = { much, 17 } } },
		{ CM_MESSAGE_SIGN, { .nonce = { much, 33 } } },
		{ CM_MESSAGE_OPEN, { .reader = long_text } },
		{ CM_MESSAGE_OPEN, { .reader = (char *)"a\nb" } },
		{ CM_MESSAGE_OPEN, { .reader = (char *)"a\x1b[1m" } },
		{ CM_MESSAGE_OPEN, { .reader = (char *)"\xff" } },
		{ CM_MESSAGE_TICKET, { .key = { .kind = (enum cm_key_kind)9 } } },
		{ CM_MESSAGE_TICKET, { .key = { .len = 513 } } },
		{ CM_MESSAGE_VERIFIED, { .reason = CM_REASON_COUNT } },
		{ CM_MESSAGE_VERIFIED, { .err = CM_ERR_STATE + 1 } },
		{ CM_MESSAGE_VERIFIED, { .items = { .count = 129 } } },
		{ CM_MESSAGE_FOUND, { .kept_age = (uint64_t)INT64_MAX + 1 } },
		{ CM_MESSAGE_CHAINED, { .not_after = CM_MESSAGE_TIME_MAX + 1 } },
		{ CM_MESSAGE_JUDGED, { .chain = { .count = 17 } } },
		{ CM_MESSAGE_JUDGED, { .evidence = { .count = 65 } } },
	};
	struct cm_buf b = { 0 };

	(void)state;
	memset(long_text, 'x', sizeof(long_text) - 1);
	for (size_t i = 0; i < CM_COUNT(bad); i++) {
		struct cm_message m = bad[i].m, r;

		m.kind = bad[i].kind;
		cm_buf_truncate(&b, 0);
		assert_int_equal(cm_message_write(&m, &b), CM_ERR_USAGE);
		if (b.len > 0)
			assert_int_equal(cm_message_read(cm_buf_blob(&b), &r), CM_ERR_SYNTAX);
	}
	cm_buf_free(&b);
}

/* Each within its limit, and yet too long together. */
static void
test_too_long(void **state)
{
	static uint8_t much[CM_MESSAGE_OCTETS_MAX];
	struct cm_blob rows[9];
	const struct cm_message m = { .kind = CM_MESSAGE_JUDGED, .chain = { rows, 9 } };
	struct cm_message r;
	struct cm_buf b = { 0 };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++)
		rows[i] = (struct cm_blob){ much, sizeof(much) };
	assert_int_equal(cm_message_write(&m, &b), CM_ERR_USAGE);
	assert_int_equal(cm_message_read(cm_buf_blob(&b), &r), CM_ERR_SYNTAX);
	cm_buf_free(&b);
}

/* Octets of a message are changed by hand: what a process that was taken over might send. */
static void
test_lengths_that_lie(void **state)
{
	struct cm_message m = { .kind = CM_MESSAGE_FOUND }, r;
	struct cm_buf b = { 0 };

	(void)state;
	assert_int_equal(cm_message_write(&m, &b), CM_OK);
	for (size_t at = 0; at < b.len; at += 8)
		for (size_t octet = 0; octet < 8; octet++) {
			b.ptr[at + octet] ^= 0xFF;
			if (cm_message_read(cm_buf_blob(&b), &r) == CM_OK)
				cm_message_clear(&r);	/* kept_age may be nearly anything */
			else
				assert_null(r.account);
			b.ptr[at + octet] ^= 0xFF;
		}
	cm_buf_free(&b);
}

/* What one process says why it failed is what the other one's trace says. */
static void
test_report(void **state)
{
	static const struct {
		uint64_t err, reason;
		enum cm_err result;
		enum cm_reason seen;
	} rows[] = {
		{ CM_OK, CM_REASON_NONE, CM_OK, CM_REASON_NONE },
		{ CM_ERR_REFUSED, CM_REASON_REVOKED, CM_ERR_REFUSED, CM_REASON_REVOKED },
		{ CM_ERR_NOMEM, CM_REASON_SYSTEM, CM_ERR_NOMEM, CM_REASON_SYSTEM },
		/* lies: a reason to be let in, an error that is none, a refusal that is called silence */
		{ CM_OK, CM_REASON_REVOKED, CM_ERR_SYNTAX, CM_REASON_HELPER },
		{ CM_ERR_REFUSED, CM_REASON_NONE, CM_ERR_SYNTAX, CM_REASON_HELPER },
		{ CM_ERR_OFFLINE, CM_REASON_REVOKED, CM_ERR_SYNTAX, CM_REASON_HELPER },
		{ CM_ERR_REFUSED, CM_REASON_KDC_OFFLINE, CM_ERR_SYNTAX, CM_REASON_HELPER },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_message m = { .kind = CM_MESSAGE_VERIFIED, .err = rows[i].err, .reason = rows[i].reason,
			.text = (char *)"why" };
		struct cm_trace *t = NULL;

		assert_int_equal(cm_trace_new(&t), CM_OK);
		cm_trace_begin(t, "pin");
		assert_int_equal(cm_message_reported(&m, t), rows[i].result);
		assert_int_equal(cm_trace_reason(t), rows[i].seen);
		cm_trace_free(&t);
	}
}

/* A thousand items, and one of them long: what a message holds, whole characters, and that there is more. */
static void
test_report_is_cut(void **state)
{
	struct cm_message m = { .kind = CM_MESSAGE_VERIFIED }, r;
	struct cm_trace *t = NULL;
	char text[CM_MESSAGE_ITEM_MAX + 2];

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text + CM_MESSAGE_ITEM_MAX - 1, "\xc3\xa9", 3);
	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "account");
	cm_trace_add(t, "long", "%s", text);
	for (size_t i = 0; i < 1000; i++)
		cm_trace_add(t, "rule", "%zu", i);
	cm_trace_fail(t, CM_REASON_KDC_REFUSED, "a reason of what went before");
	assert_int_equal(cm_message_report(&m, CM_ERR_NOMEM, t), CM_OK);
	read_back(&m, CM_MESSAGE_VERIFIED, &r);
	assert_int_equal(r.err, CM_ERR_NOMEM);
	assert_int_equal(r.reason, CM_REASON_SYSTEM);
	assert_int_equal(r.items.count, 128);
	assert_int_equal(strlen(r.items.rows[0].text), CM_MESSAGE_ITEM_MAX - 1);
	assert_string_equal(r.items.rows[127].key, "more");
	cm_message_clear(&r);
	cm_message_clear(&m);
	cm_trace_free(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_kinds),
		cmocka_unit_test(test_values_arrive),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_too_long),
		cmocka_unit_test(test_lengths_that_lie),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_report_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
