/* tests/helper/test_token.c - cards that a PKCS #11 module knows, through the channel: logins, and modules that misbehave. */
#include "helper_rig.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "krb5/hostcheck.h"
#include "service/possession.h"

#define FOLDER	"/run/rig/token"
#define MODULE	FOLDER "/module.so"

static const uint8_t nonce[32] = { 1 };

/* --- A token of the rig's own (tests/rig/token_module.c) --- */

static void
put(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), FOLDER "/%s", name);
	assert_non_null(f = fopen(path, "w"));
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void
copy(const char *from, const char *to)
{
	char command[1024];

	snprintf(command, sizeof(command), "install -m 644 '%s' '" FOLDER "/%s'", from, to);
	assert_int_equal(system(command), 0);
}

static void
hold(unsigned n, const char *name)
{
	char from[512], to[16];

	for (size_t i = 0; i < 2; i++) {
		const char *form = i == 0 ? "crt" : "key";

		snprintf(from, sizeof(from), "%s/%s.%s", getenv("CM_RIG_PKI"), name, form);
		snprintf(to, sizeof(to), "%u.%s", n, form);
		copy(from, to);
	}
}

static void
configure(const char *lines)
{
	char text[512];

	snprintf(text, sizeof(text), "reader " READER "\n%s\n", lines);
	put("conf", text);
}

/* The card in the reader has no PIV application; its module's token holds this one's certificate and key. */
static void
token_become(const char *name, const char *lines)
{
	assert_int_equal(system("rm -rf " FOLDER " && mkdir -m 755 " FOLDER), 0);
	copy(CM_TOKEN_MODULE, "module.so");
	hold(1, name);
	put("pin", PIN);
	put("state", "3 0 0 0\n");
	configure(lines);
	card_become(card_make("alice-p256", "alice-p256", GUID));
	card_control("fault sw=6a82@insa4");
}

struct token_counts { int tries, logins, signatures; };

static struct token_counts
token_counts(void)
{
	struct token_counts c = { 0 };
	char line[64] = "", *at = line;
	FILE *f = fopen(FOLDER "/state", "r");

	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	fclose(f);
	c.tries = (int)strtol(at, &at, 10);
	c.logins = (int)strtol(at, &at, 10);
	c.signatures = (int)strtol(at, &at, 10);
	return c;
}

/* --- What it is asked --- */

static enum cm_err
open_by(struct helper *h, const char *const *modules, bool only, unsigned ms)
{
	struct cm_blob rows[4];
	struct cm_message m = { .kind = CM_MESSAGE_OPEN, .reader = READER, .insertion = 1, .deadline = ms, .modules_only = only,
		.modules = { rows, 0 } };

	for (; modules[m.modules.count] != NULL; m.modules.count++)
		rows[m.modules.count] = cm_blob_str(modules[m.modules.count]);
	return helper_ask(h, &m, NULL, CM_MESSAGE_OPENED);
}

static enum cm_err
open_token(struct helper *h)
{
	return open_by(h, (const char *const []){ MODULE, NULL }, false, 20000);
}

static enum cm_err
verify(struct helper *h, const char *pin, bool last_try)
{
	const struct cm_message m = { .kind = CM_MESSAGE_VERIFY, .last_try = last_try, .deadline = 20000 };

	return helper_ask(h, &m, pin, CM_MESSAGE_VERIFIED);
}

static void
start_open(struct helper *h, const char *name, const char *lines)
{
	token_become(name, lines);
	helper_start(h, NULL);
	if (open_token(h) != CM_OK)
		fail_msg("%s: %s: %s", name, lines, h->answer.text);
}

static void
expect(const struct helper *h, enum cm_reason reason, const char *what)
{
	if (helper_reason(h) != reason)
		fail_msg("%s: %s, not %s: %s", what, cm_reason_name(helper_reason(h)), cm_reason_name(reason), h->answer.text);
}

static void
test_logins(void **state)
{
	static const char *const names[] = { "alice-rsa2048", "alice-p256", "alice-p384" };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(names); i++) {
		struct cm_cert *cert = pki_cert(names[i]);
		struct cm_key key;
		struct helper h;

		start_open(&h, names[i], "");
		assert_true(cm_blob_equal(h.answer.certificate, cm_cert_der(cert)));
		/* it is not recognised by anything, and its tries have no number */
		assert_int_equal(h.answer.guid.len, 0);
		assert_int_equal(h.answer.cached, 0);
		assert_int_equal(h.answer.tries, CM_TRIES_UNKNOWN);
		key = h.answer.key;
		assert_int_equal(verify(&h, PIN, false), CM_OK);
		assert_int_equal(helper_sign(&h, nonce), CM_OK);
		assert_int_equal(cm_possession_check(&key, nonce, h.answer.signature, test_trace()), CM_OK);
		assert_int_equal(token_counts().logins, 1);
		assert_int_equal(token_counts().signatures, 1);
		helper_end(&h);
		cm_cert_free(&cert);
	}
}

/* PKINIT by libkrb5 through this token's key: one signature, which the KDC believes. */
static void
test_ticket(void **state)
{
	static const char *const names[] = { "alice-rsa2048", "alice-p256" };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(names); i++) {
		const struct cm_message ticket = { .kind = CM_MESSAGE_GET_TICKET, .principal = "alice@CARDMAP.TEST", .deadline = 20000 };
		struct helper h;

		start_open(&h, names[i], "");
		assert_int_equal(verify(&h, PIN, false), CM_OK);
		if (helper_ask(&h, &ticket, NULL, CM_MESSAGE_TICKET) != CM_OK)
			fail_msg("%s: %s", names[i], h.answer.text);
		assert_string_equal(h.answer.principal, "alice@CARDMAP.TEST");
		assert_int_equal(token_counts().signatures, 1);
		helper_end(&h);
	}
}

/* By CKA_ID they are 9A and 82; what no key leads to, or is not for logging in, is none of them. */
static void
test_several_certificates(void **state)
{
	static const uint8_t slots[] = { 0x9C, 0x82, 0x83, 0x84, 0x95 };
	const struct cm_message others = { .kind = CM_MESSAGE_OTHERS, .slots = { slots, sizeof(slots) }, .deadline = 20000 };
	struct cm_message use = { .kind = CM_MESSAGE_USE, .slot = 0x82 };
	struct cm_cert *second = pki_cert("bob");
	struct cm_key key;
	struct helper h;

	(void)state;
	token_become("alice-p256", "");
	hold(2, "card-auth");
	hold(3, "bob");
	helper_start(&h, NULL);
	assert_int_equal(open_token(&h), CM_OK);
	assert_int_equal(helper_ask(&h, &others, NULL, CM_MESSAGE_FOUND_OTHERS), CM_OK);
	assert_int_equal(h.answer.certificates.count, 1);
	assert_int_equal(h.answer.certificates.rows[0].ptr[0], 0x82);
	assert_int_equal(h.answer.certificates.rows[0].len, 1 + cm_cert_der(second).len);
	use.certificate = cm_cert_der(second);
	assert_int_equal(helper_ask(&h, &use, NULL, CM_MESSAGE_OPENED), CM_OK);
	key = h.answer.key;
	assert_int_equal(verify(&h, PIN, false), CM_OK);
	assert_int_equal(helper_sign(&h, nonce), CM_OK);
	assert_int_equal(cm_possession_check(&key, nonce, h.answer.signature, test_trace()), CM_OK);
	helper_end(&h);
	cm_cert_free(&second);
}

/* --- The PIN --- */

static void
test_tries(void **state)
{
	struct helper h;

	(void)state;
	start_open(&h, "alice-p256", "");
	assert_int_equal(verify(&h, "123", false), CM_ERR_REFUSED);
	expect(&h, CM_REASON_PIN_FORM, "too short");
	assert_int_equal(verify(&h, "12345678901234567", false), CM_ERR_REFUSED);
	expect(&h, CM_REASON_PIN_FORM, "too long");
	assert_int_equal(token_counts().logins, 0);
	assert_int_equal(verify(&h, "99999999", false), CM_ERR_REFUSED);
	expect(&h, CM_REASON_PIN_WRONG, "wrong");
	assert_int_equal(h.answer.tries, CM_TRIES_UNKNOWN);
	assert_int_equal(verify(&h, "99999999", false), CM_ERR_REFUSED);
	assert_int_equal(h.answer.tries, 1);
	/* the last is never spent without saying so */
	assert_int_equal(verify(&h, PIN, false), CM_ERR_REFUSED);
	expect(&h, CM_REASON_PIN_LAST_TRY, "last");
	assert_int_equal(token_counts().logins, 2);
	assert_int_equal(verify(&h, "99999999", true), CM_ERR_REFUSED);
	expect(&h, CM_REASON_PIN_BLOCKED, "spent");
	assert_int_equal(h.answer.tries, 0);
	assert_int_equal(verify(&h, PIN, true), CM_ERR_REFUSED);
	expect(&h, CM_REASON_PIN_BLOCKED, "blocked");
	assert_int_equal(token_counts().logins, 3);
	helper_end(&h);
	/* another process is told the same */
	helper_start(&h, NULL);
	(void)open_token(&h);
	assert_int_equal(h.answer.tries, 0);
	helper_end(&h);
}

/* While the PIN was asked for another program spent tries: whoever types now did not know that it is the last. */
static void
test_others_leave_one_try(void **state)
{
	struct helper h;

	(void)state;
	start_open(&h, "alice-p256", "");
	put("state", "1 0 0 0\n");
	assert_int_equal(verify(&h, "99999999", false), CM_ERR_REFUSED);
	expect(&h, CM_REASON_PIN_LAST_TRY, "others");
	assert_int_equal(h.answer.tries, 1);
	assert_int_equal(verify(&h, "99999999", false), CM_ERR_REFUSED);
	expect(&h, CM_REASON_PIN_LAST_TRY, "others, again");
	assert_int_equal(token_counts().logins, 0);
	assert_int_equal(verify(&h, PIN, true), CM_OK);
	assert_int_equal(token_counts().tries, 3);
	helper_end(&h);
}

/* What a session unlocked another does not find so: each login gives the PIN. */
static void
test_each_login_asks(void **state)
{
	struct helper h;

	(void)state;
	start_open(&h, "alice-p256", "");
	assert_int_equal(verify(&h, PIN, false), CM_OK);
	helper_end(&h);
	helper_start(&h, NULL);
	assert_int_equal(open_token(&h), CM_OK);
	helper_send(&h, &(struct cm_message){ .kind = CM_MESSAGE_SIGN, .nonce = { nonce, 32 }, .deadline = 20000 }, NULL, NULL);
	assert_int_equal(helper_wait(&h, 10000), 76);	/* not permitted before the PIN */
	assert_int_equal(token_counts().signatures, 0);
}

static void
test_pin_is_changed(void **state)
{
	const struct cm_message m = { .kind = CM_MESSAGE_CHANGE_PIN, .deadline = 20000 };
	struct helper h;

	(void)state;
	start_open(&h, "alice-p256", "");
	helper_send(&h, &m, PIN, "52640917");
	cm_message_clear(&h.answer);
	assert_int_equal(cm_channel_receive(h.channel, cm_deadline_in(30000), &h.answer, NULL, 0), CM_OK);
	assert_int_equal(h.answer.err, CM_OK);
	helper_end(&h);
	helper_start(&h, NULL);
	assert_int_equal(open_token(&h), CM_OK);
	assert_int_equal(verify(&h, PIN, false), CM_ERR_REFUSED);
	assert_int_equal(verify(&h, "52640917", false), CM_OK);
	helper_end(&h);
	put("pin", PIN);
}

static void
test_pin_is_typed_elsewhere(void **state)
{
	const struct cm_message m = { .kind = CM_MESSAGE_VERIFY, .pad = 1, .deadline = 20000 };
	struct helper h;

	(void)state;
	start_open(&h, "alice-p256", "pad");
	assert_int_equal(h.answer.pad, 1);
	assert_int_equal(helper_ask(&h, &m, NULL, CM_MESSAGE_VERIFIED), CM_OK);
	assert_int_equal(helper_sign(&h, nonce), CM_OK);
	helper_end(&h);
}

/* --- Another card, or none --- */

static void nothing(void) { }
static void take_out(void) { card_control("remove"); }
static void exchange(void) { card_insert(card_make("bob", "bob", "")); }
static void other_serial(void) { configure("serial 2"); }
static void other_certificate(void) { hold(1, "bob"); }
static void session_ends(void) { configure("fail C_GetSessionInfo B3"); }
static void token_goes(void) { configure("fail C_GetTokenInfo E0"); }

/* Between the certificate and the PIN: the PIN goes nowhere. */
static const struct changed_row {
	const char *what;
	void (*change)(void);
	enum cm_reason reason;
} changed[] = {
	{ "nothing", nothing, CM_REASON_NONE },
	{ "another token by its serial", other_serial, CM_REASON_CARD_CHANGED },
	{ "another certificate", other_certificate, CM_REASON_CARD_CHANGED },
	{ "its session has ended", session_ends, CM_REASON_CARD_CHANGED },
	{ "the module lost it", token_goes, CM_REASON_CARD_REMOVED },
	/* of which this module notices nothing */
	{ "another card in the reader", exchange, CM_REASON_CARD_CHANGED },
};

static void
test_pin_is_for_the_token_that_was_read(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(changed); i++) {
		struct helper h;

		start_open(&h, "alice-p256", "");
		changed[i].change();
		assert_int_equal(verify(&h, PIN, false), cm_reason_err(changed[i].reason));
		expect(&h, changed[i].reason, changed[i].what);
		assert_int_equal(token_counts().logins, changed[i].reason == CM_REASON_NONE ? 1 : 0);
		helper_end(&h);
	}
}

/* The same between PIN and signature, and a card that is gone. */
static void
test_signature_is_of_the_token_that_was_read(void **state)
{
	void (*const changes[])(void) = { exchange, take_out };
	struct helper h;

	(void)state;
	for (size_t i = 0; i < CM_COUNT(changes); i++) {
		start_open(&h, "alice-p256", "");
		assert_int_equal(verify(&h, PIN, false), CM_OK);
		changes[i]();
		/* pcscd polls: as long as it has not seen it, the module signs with what it holds */
		for (const cm_deadline deadline = cm_deadline_in(10000); helper_sign(&h, nonce) == CM_OK;)
			assert_false(cm_deadline_passed(deadline));
		assert_true(helper_reason(&h) == CM_REASON_CARD_CHANGED || helper_reason(&h) == CM_REASON_CARD_REMOVED);
		helper_end(&h);
	}
	card_insert(card_make("alice-p256", "alice-p256", GUID));
}

/* --- Modules that misbehave --- */

static const struct bad_row {
	const char *lines;
	enum cm_message_kind at;
	enum cm_reason reason;
} bad[] = {
	{ "fail C_GetFunctionList 5", CM_MESSAGE_OPENED, CM_REASON_CARD_MODULE },
	{ "many C_GetFunctionList", CM_MESSAGE_OPENED, CM_REASON_CARD_MODULE },
	{ "fail C_Initialize 5", CM_MESSAGE_OPENED, CM_REASON_CARD_MODULE },
	{ "many C_GetSlotList", CM_MESSAGE_OPENED, CM_REASON_CARD_MALFORMED },
	{ "fail C_GetSlotInfo 5", CM_MESSAGE_OPENED, CM_REASON_CARD_NOT_PIV },
	{ "fail C_OpenSession 5", CM_MESSAGE_OPENED, CM_REASON_CARD_MALFORMED },
	{ "many C_FindObjects", CM_MESSAGE_OPENED, CM_REASON_CARD_MALFORMED },
	{ "fail C_FindObjects 30", CM_MESSAGE_OPENED, CM_REASON_CARD_SILENT },
	{ "many C_GetAttributeValue", CM_MESSAGE_OPENED, CM_REASON_CARD_MALFORMED },
	{ "bare", CM_MESSAGE_VERIFIED, CM_REASON_CARD_KEY },
	{ "fail C_Login 5", CM_MESSAGE_VERIFIED, CM_REASON_CARD_MALFORMED },
	{ "fail C_Login A4", CM_MESSAGE_VERIFIED, CM_REASON_PIN_BLOCKED },
	/* a try may have been spent: it counts as a wrong PIN */
	{ "fail C_Login A2", CM_MESSAGE_VERIFIED, CM_REASON_PIN_WRONG },
	{ "fail C_SignInit 101", CM_MESSAGE_SIGNED, CM_REASON_CARD_KEY },
	{ "fail C_Sign 30", CM_MESSAGE_SIGNED, CM_REASON_CARD_SILENT },
	{ "many C_Sign", CM_MESSAGE_SIGNED, CM_REASON_CARD_MALFORMED },
	{ "swap 2", CM_MESSAGE_SIGNED, CM_REASON_CARD_KEY },
	{ "swap 3", CM_MESSAGE_SIGNED, CM_REASON_CARD_SILENT },
	{ "open", CM_MESSAGE_SIGNED, CM_REASON_CARD_KEY },
	{ "each", CM_MESSAGE_SIGNED, CM_REASON_CARD_KEY },
	{ "print C_Login", CM_MESSAGE_NONE, CM_REASON_NONE },
	{ "tokens 3", CM_MESSAGE_NONE, CM_REASON_NONE },
};

static void
go_through(struct helper *h, const struct bad_row *r)
{
	(void)!open_token(h);
	expect(h, r->at == CM_MESSAGE_OPENED ? r->reason : CM_REASON_NONE, r->lines);
	if (r->at == CM_MESSAGE_OPENED)
		return;
	(void)!verify(h, PIN, false);
	expect(h, r->at == CM_MESSAGE_VERIFIED ? r->reason : CM_REASON_NONE, r->lines);
	if (r->at == CM_MESSAGE_VERIFIED)
		return;
	(void)!helper_sign(h, nonce);
	expect(h, r->reason, r->lines);
	assert_true((h->answer.signature.len > 0) == (r->reason == CM_REASON_NONE));
}

static void
test_bad_modules_end_in_a_reason(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(bad); i++) {
		struct helper h;

		token_become("alice-rsa2048", bad[i].lines);
		hold(2, "bob");
		helper_start(&h, NULL);
		go_through(&h, &bad[i]);
		helper_end(&h);		/* with status 0: it was never its end */
	}
}

/* At any call: the helper answers within the deadline, or is gone with the module, and the next helper works. */
static void
test_hangs_and_crashes(void **state)
{
	static const char *const calls[] = { "C_Initialize", "C_FindObjects", "C_Login", "C_Sign" };

	(void)state;
	for (size_t i = 0; i < 2 * CM_COUNT(calls); i++) {
		const bool hangs = i % 2 == 0;
		char lines[64];
		struct helper h;
		enum cm_err err;

		snprintf(lines, sizeof(lines), "%s %s", hangs ? "hang" : "crash", calls[i / 2]);
		token_become("alice-p256", lines);
		helper_start(&h, (const char *const []){ "ASAN_OPTIONS=handle_segv=0:detect_leaks=0", NULL });
		if ((err = open_by(&h, (const char *const []){ MODULE, NULL }, false, hangs ? 1000 : 20000)) == CM_OK) {
			const struct cm_message v = { .kind = CM_MESSAGE_VERIFY, .deadline = hangs ? 1000 : 20000 };
			const struct cm_message s = { .kind = CM_MESSAGE_SIGN, .nonce = { nonce, 32 }, .deadline = hangs ? 1000 : 20000 };

			if ((err = helper_ask(&h, &v, PIN, CM_MESSAGE_VERIFIED)) == CM_OK)
				err = helper_ask(&h, &s, NULL, CM_MESSAGE_SIGNED);
		}
		if (err != CM_ERR_OFFLINE)
			fail_msg("%s: %s", lines, cm_err_name(err));
		if (hangs) {
			expect(&h, CM_REASON_CARD_SILENT, lines);
			helper_end(&h);
		} else {
			assert_int_equal(helper_wait(&h, 10000), 128 + 11);
		}
		start_open(&h, "alice-p256", "");
		assert_int_equal(verify(&h, PIN, false), CM_OK);
		helper_end(&h);
	}
}

/* --- Which modules --- */

static void write_for_all(void) { assert_int_equal(chmod(MODULE, 0666), 0); }
static void folder_for_all(void) { assert_int_equal(chmod(FOLDER, 0777), 0); }
static void others(void) { assert_int_equal(chown(MODULE, 12345, 0), 0); }
static void gone(void) { assert_int_equal(unlink(MODULE), 0); }
static void no_library(void) { put("module.so", "not a library\n"); }
static void elsewhere(void) { put("conf", "reader Virtual PCD 00 01\n"); }

static void
linked(void)
{
	assert_int_equal(rename(MODULE, FOLDER "/other.so"), 0);
	assert_int_equal(symlink("other.so", MODULE), 0);
}

static const struct unfit_row {
	void (*make)(void);
	enum cm_reason reason;
} unfit[] = {
	{ write_for_all, CM_REASON_CARD_MODULE }, { folder_for_all, CM_REASON_CARD_MODULE }, { others, CM_REASON_CARD_MODULE },
	{ gone, CM_REASON_CARD_MODULE }, { linked, CM_REASON_CARD_MODULE }, { no_library, CM_REASON_CARD_MODULE },
	{ elsewhere, CM_REASON_CARD_NOT_PIV },
};

static void
test_modules_are_roots(void **state)
{
	struct helper h;

	(void)state;
	for (size_t i = 0; i < CM_COUNT(unfit); i++) {
		token_become("alice-p256", "");
		unfit[i].make();
		helper_start(&h, NULL);
		assert_int_equal(open_token(&h), cm_reason_err(unfit[i].reason));
		expect(&h, unfit[i].reason, "unfit module");
		helper_end(&h);
	}
	/* one that is unfit does not hide the next */
	token_become("alice-p256", "");
	helper_start(&h, NULL);
	assert_int_equal(open_by(&h, (const char *const []){ FOLDER "/none.so", "module.so", MODULE, NULL }, false, 20000), CM_OK);
	helper_end(&h);
}

/* A PIV card stays one, unless its application is not to be used; then OpenSC's module, say, drives it. */
static void
test_piv_application_comes_first(void **state)
{
	static const char *const opensc[] = { CM_OPENSC, NULL };
	struct helper h;

	(void)state;
	token_become("bob", "");
	card_become(card_make("alice-rsa2048", "alice-rsa2048", GUID));
	helper_start(&h, NULL);
	assert_int_equal(open_token(&h), CM_OK);
	assert_int_equal(h.answer.guid.len, 16);
	assert_int_equal(h.answer.tries, 3);
	helper_end(&h);
	helper_start(&h, (const char *const []){ "ASAN_OPTIONS=detect_leaks=0", NULL });
	assert_int_equal(open_by(&h, opensc, true, 20000), CM_OK);
	assert_int_equal(h.answer.guid.len, 0);
	assert_int_equal(verify(&h, "99999999", false), CM_ERR_REFUSED);
	expect(&h, CM_REASON_PIN_WRONG, "OpenSC");
	assert_int_equal(card_tries(), 2);
	assert_int_equal(verify(&h, PIN, false), CM_OK);
	assert_int_equal(helper_sign(&h, nonce), CM_OK);
	assert_int_equal(card_counts().operations, 1);
	helper_end(&h);
}

int
main(void)
{
	struct stat root;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_logins),
		cmocka_unit_test(test_ticket),
		cmocka_unit_test(test_several_certificates),
		cmocka_unit_test(test_tries),
		cmocka_unit_test(test_others_leave_one_try),
		cmocka_unit_test(test_each_login_asks),
		cmocka_unit_test(test_pin_is_changed),
		cmocka_unit_test(test_pin_is_typed_elsewhere),
		cmocka_unit_test(test_pin_is_for_the_token_that_was_read),
		cmocka_unit_test(test_signature_is_of_the_token_that_was_read),
		cmocka_unit_test(test_bad_modules_end_in_a_reason),
		cmocka_unit_test(test_hangs_and_crashes),
		cmocka_unit_test(test_modules_are_roots),
		cmocka_unit_test(test_piv_application_comes_first),
	};

	/* no module is root's where nothing is */
	if (stat("/", &root) != 0 || root.st_uid != 0 || geteuid() != 0) {
		puts("a module of root's: [  SKIPPED ]");
		return 0;
	}
	return cmocka_run_group_tests(tests, rig_setup, rig_teardown);
}
