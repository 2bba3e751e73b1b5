/* tests/card/test_apdu.c - commands byte for byte, against a wire that knows what must come next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "card/card_internal.h"

/* What goes over the wire, in hex: a command, its answer; "xx*N" is N times that byte. */
struct step {
	const char *command, *answer;
};

struct script {
	const struct step *next;
	bool locked;
};

static void
add_hex(struct cm_buf *b, const char *hex)
{
	while (*hex != '\0') {
		const uint8_t byte = (uint8_t)strtoul((char[]){ hex[0], hex[1], '\0' }, NULL, 16);
		unsigned long times = 1;
		char *end = (char *)hex + 2;

		if (*end == '*')
			times = strtoul(end + 1, &end, 10);
		for (; times > 0; times--)
			cm_buf_add_byte(b, byte);
		hex = *end == ' ' ? end + 1 : end;
	}
}

static enum cm_err
transmit(void *self, struct cm_blob command, cm_deadline deadline, struct cm_trace *t,
    struct cm_buf *answer)
{
	struct script *s = self;
	struct cm_buf want = { 0 }, is = { 0 };

	(void)deadline;
	cm_buf_add_hex(&is, command);
	if (s->next->command == NULL)
		fail_msg("one command too many: %s", cm_buf_str(&is));
	add_hex(&want, s->next->command);
	if (!cm_blob_equal(cm_buf_blob(&want), command))
		fail_msg("%s where %s should stand", cm_buf_str(&is), s->next->command);
	cm_buf_free(&want);
	cm_buf_free(&is);
	if (s->next->answer == NULL)
		return cm_trace_fail(t, CM_REASON_CARD_REMOVED, "removed");
	add_hex(answer, s->next->answer);
	s->next++;
	return CM_OK;
}

static enum cm_err
lock(void *self, cm_deadline deadline, struct cm_trace *t)
{
	(void)deadline, (void)t;
	((struct script *)self)->locked = true;
	return CM_OK;
}

static void
let_go(void *self, bool reset)
{
	(void)self, (void)reset;
}

static const struct cm_wire_ops ops = { transmit, lock, NULL, let_go, NULL };

static const struct exchange_row {
	const char *name;
	bool extended, t0, head;
	const char *data;
	size_t answer;		/* bytes */
	uint16_t sw;
	enum cm_err err;
	struct step steps[6];
} exchanges[] = {
	{ "case 4, short", false, false, false, "5C0A", 3, 0x9000, CM_OK, {
	    { "00CB3FFF025C0A00", "AABBCC9000" } } },
	{ "case 4 over T=0 has no Le", false, true, false, "5C0A", 3, 0x9000, CM_OK, {
	    { "00CB3FFF025C0A", "6103" },
	    { "00C0000003", "AABBCC9000" } } },
	{ "6Cxx is asked again", false, false, false, "5C0A", 3, 0x9000, CM_OK, {
	    { "00CB3FFF025C0A00", "6C03" },
	    { "00CB3FFF025C0A03", "AABBCC9000" } } },
	{ "6Cxx once", false, false, false, "5C0A", 0, 0x6C03, CM_OK, {
	    { "00CB3FFF025C0A00", "6C03" },
	    { "00CB3FFF025C0A03", "6C03" } } },
	{ "GET RESPONSE asks for what 61xx says", false, false, false, "5C0A", 256 + 256 + 5, 0x9000,
	    CM_OK, {
	    { "00CB3FFF025C0A00", "AA*256 6100" },
	    { "00C0000000", "BB*256 6105" },
	    { "00C0000005", "CC*5 9000" } } },
	{ "GET RESPONSE with 6Cxx", false, false, false, "5C0A", 8, 0x9000, CM_OK, {
	    { "00CB3FFF025C0A00", "AABBCC6100" },
	    { "00C0000000", "6C05" },
	    { "00C0000005", "DD*5 9000" } } },
	{ "a head leaves the rest", false, false, true, "5C0A", 256, 0x9000, CM_OK, {
	    { "00CB3FFF025C0A00", "AA*256 6100" } } },
	{ "a head over T=0", false, true, true, "5C0A", 256, 0x9000, CM_OK, {
	    { "00CB3FFF025C0A", "6100" },
	    { "00C0000000", "AA*256 6110" } } },
	{ "a head is short where extended is", true, false, true, "5C0A", 256, 0x9000, CM_OK, {
	    { "00CB3FFF025C0A00", "AA*256 6100" } } },
	{ "extended", true, false, false, "5C0A", 1000, 0x9000, CM_OK, {
	    { "00CB3FFF0000025C0A0000", "AA*1000 9000" } } },
	{ "extended, long data", true, false, false, "EE*266", 2, 0x9000, CM_OK, {
	    { "00CB3FFF00010A EE*266 0000", "AABB9000" } } },
	{ "chain", false, false, false, "EE*600", 2, 0x9000, CM_OK, {
	    { "10CB3FFFFF EE*255", "9000" },
	    { "10CB3FFFFF EE*255", "9000" },
	    { "00CB3FFF5A EE*90 00", "AABB9000" } } },
	{ "chain of full links", false, false, false, "EE*510", 0, 0x9000, CM_OK, {
	    { "10CB3FFFFF EE*255", "9000" },
	    { "00CB3FFFFF EE*255 00", "9000" } } },
	{ "a chain refused stops", false, false, false, "EE*600", 0, 0x6884, CM_OK, {
	    { "10CB3FFFFF EE*255", "6884" } } },
	{ "a link answered by data", false, false, false, "EE*600", 0, 0, CM_ERR_SYNTAX, {
	    { "10CB3FFFFF EE*255", "AA9000" } } },
	{ "more than asked for", false, false, false, "5C0A", 0, 0, CM_ERR_SYNTAX, {
	    { "00CB3FFF025C0A00", "AA*257 9000" } } },
	{ "more than 61xx said", false, false, false, "5C0A", 0, 0, CM_ERR_SYNTAX, {
	    { "00CB3FFF025C0A00", "AA*256 6101" },
	    { "00C0000001", "AABB9000" } } },
	{ "no status word", false, false, false, "5C0A", 0, 0, CM_ERR_SYNTAX, {
	    { "00CB3FFF025C0A00", "90" } } },
	{ "gone", false, false, false, "5C0A", 0, 0, CM_ERR_OFFLINE, {
	    { "00CB3FFF025C0A00", "AA*256 6100" },
	    { "00C0000000", NULL } } },
};

static void
test_exchanges(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(exchanges); i++) {
		const struct exchange_row *r = &exchanges[i];
		struct script s = { .next = r->steps };
		struct cm_wire wire = { .ops = &ops, .self = &s, .extended = r->extended, .t0 = r->t0 };
		struct cm_card_stats stats = { 0 };
		struct cm_buf data = { 0 }, answer = { 0 };
		uint16_t sw = 0;
		enum cm_err err;

		add_hex(&data, r->data);
		err = cm_apdu_exchange(&wire, &stats, &(struct cm_apdu){ 0xCB, 0x3F, 0xFF,
		    cm_buf_blob(&data), true, r->head }, cm_deadline_in(1000), NULL, &answer, &sw);
		if (err != r->err || (err == CM_OK && (sw != r->sw || answer.len != r->answer)))
			fail_msg("%s: %s, %04X, %zu bytes", r->name, cm_err_name(err), sw, answer.len);
		if (err == CM_OK)
			assert_null(s.next->command);
		cm_buf_free(&data);
		cm_buf_free(&answer);
	}
}

/* --- GENERAL AUTHENTICATE: what each kind of key is asked to work on --- */

#define EC_VALUE	"7C0A 8208 30060201010201019000"

static const struct sign_row {
	const char *cert, *md;
	size_t digest;		/* bytes of AB */
	enum cm_err err;
	struct step steps[5];
} signatures[] = {
	/* RFC 8017 9.2: 256 - 3 - 19 - 32 = 202 bytes FF; the first link ends in the DigestInfo. */
	{ "alice-rsa2048", "SHA256", 32, CM_OK, {
	    { "1087079AFF 7C820106 8200 81820100 0001 FF*202 00 "
	    "3031300D060960864801650304020105000420 AB*21", "9000" },
	    { "0087079A0B AB*11 00", "7C820104 82820100 55*248 6108" },
	    { "00C0000008", "55*8 9000" } } },
	{ "alice-rsa2048", "SHA512", 64, CM_ERR_SYNTAX, {	/* a byte short */
	    { "1087079AFF 7C820106 8200 81820100 0001 FF*170 00 "
	    "3051300D060960864801650304020305000440 AB*53", "9000" },
	    { "0087079A0B AB*11 00", "7C820103 828200FF 55*248 6107" },
	    { "00C0000007", "55*7 9000" } } },
	{ "alice-p256", "SHA256", 32, CM_OK, {
	    { "0087119A26 7C24 8200 8120 AB*32 00", EC_VALUE } } },
	/* FIPS 186-4 6.4: the leftmost bits of a longer hash */
	{ "alice-p256", "SHA384", 48, CM_OK, {
	    { "0087119A26 7C24 8200 8120 AB*32 00", EC_VALUE } } },
	{ "alice-p384", "SHA384", 48, CM_OK, {
	    { "0087149A36 7C34 8200 8130 AB*48 00", EC_VALUE } } },
	{ "alice-p384", "SHA256", 32, CM_OK, {
	    { "0087149A36 7C34 8200 8130 00*16 AB*32 00", EC_VALUE } } },
	{ "alice-p256", "SHA256", 32, CM_ERR_SYNTAX, {		/* something behind the value */
	    { "0087119A26 7C24 8200 8120 AB*32 00", "7C0B 8209 3006020101020101 00 9000" } } },
	{ "alice-p256", "SHA256", 32, CM_ERR_SYNTAX, {		/* longer than the field */
	    { "0087119A26 7C24 8200 8120 AB*32 00",
	    "7C2A 8228 30260221 01*33 020101 9000" } } },
	{ "alice-p256", "SHA256", 32, CM_ERR_SYNTAX, {
	    { "0087119A26 7C24 8200 8120 AB*32 00", "7C00 9000" } } },
	{ "alice-p256", "SHA256", 32, CM_ERR_REFUSED, {
	    { "0087119A26 7C24 8200 8120 AB*32 00", "6A80" } } },
	{ "alice-p256", "SHA256", 48, CM_ERR_STATE, { { NULL, NULL } } },
	{ "alice-p256", "MD5", 16, CM_ERR_STATE, { { NULL, NULL } } },
};

static struct cm_cert *
pki_cert(const char *name)
{
	struct cm_cert *cert = NULL;
	char path[512];

	snprintf(path, sizeof(path), "%s/%s.crt", CM_PKI_DIR, name);
	assert_int_equal(cm_cert_load(path, NULL, &cert), CM_OK);
	return cert;
}

static void
test_signatures(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(signatures); i++) {
		const struct sign_row *r = &signatures[i];
		struct script s = { .next = r->steps };
		struct cm_card c = { .backend = &cm_backend_piv, .wire = { .ops = &ops, .self = &s } };
		struct cm_cert *cert = pki_cert(r->cert);
		struct cm_buf signature = { 0 };
		uint8_t digest[64];
		enum cm_err err;

		memset(digest, 0xAB, sizeof(digest));
		err = cm_backend_piv.sign(&c, CM_SLOT_AUTHENTICATION, cert, r->md,
		    (struct cm_blob){ digest, r->digest }, cm_deadline_in(1000), NULL, &signature);
		if (err != r->err || (signature.len > 0) != (err == CM_OK))
			fail_msg("row %zu: %s", i, cm_err_name(err));
		cm_buf_free(&signature);
		cm_cert_free(&cert);
	}
}

/* ---- what is written down */

#define VERIFY_DATA "31 32 33 34 35 36 37 38"

static const struct {
	uint8_t ins, p2;
	size_t data;			/* octets 31, 32, ... again and again */
	struct step steps[5];
	const char *shown[5];		/* each stands in the log */
} logged[] = {
	/* VERIFY: no digit; that tries are asked for, and are left, is seen */
	{ 0x20, 0x80, 8, { { "00 20 00 80 08 " VERIFY_DATA, "63 C2" } }, { "> 00200080 (9 bytes hidden)\n", "< 63c2\n" } },
	{ 0x20, 0x80, 0, { { "00 20 00 80", "63 C3" } }, { "> 00200080\n", "< 63c3\n" } },
	{ 0x24, 0x80, 8, { { "00 24 00 80 08 " VERIFY_DATA, "90 00" } }, { "> 00240080 (9 bytes hidden)\n" } },
	{ 0x2C, 0x80, 8, { { "00 2C 00 80 08 " VERIFY_DATA, "69 83" } }, { "> 002c0080 (9 bytes hidden)\n" } },
	/* each link of a chain, and what GET RESPONSE brings of such a command */
	{ 0x24, 0x80, 260, { { "10 24 00 80 FF 31*255", "90 00" }, { "00 24 00 80 05 31*5", "61 02" }, { "00 C0 00 00 02", "31 31 90 00" } },
	  { "> 10240080 (256 bytes hidden)\n", "> 00240080 (6 bytes hidden)\n", "< (2 bytes hidden) 9000\n" } },
	/* what a key decrypted */
	{ 0x87, 0x9D, 2, { { "00 87 00 9D 02 31 31 00", "31 31 31 61 02" }, { "00 C0 00 00 02", "31 31 90 00" } },
	  { "> 0087009d 02313100\n", "< (3 bytes hidden) 6102\n", "> 00c00000 02\n", "< (2 bytes hidden) 9000\n" } },
	/* anything else as it is */
	{ 0xCB, 0xFF, 2, { { "00 CB 00 FF 02 31 31 00", "31 90 00" } }, { "> 00cb00ff 02313100\n", "< 31 9000\n" } },
};

static void
test_log(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(logged); i++) {
		FILE *f = tmpfile();
		struct script s = { .next = logged[i].steps };
		struct cm_apdu_log log = { .fd = fileno(f) };
		struct cm_wire wire = { .ops = &ops, .self = &s, .log = &log };
		struct cm_card_stats stats = { 0 };
		struct cm_buf answer = { 0 };
		uint8_t data[260];
		char text[4096];
		uint16_t sw;

		for (size_t n = 0; n < sizeof(data); n++)
			data[n] = logged[i].data == 8 ? (uint8_t)('1' + n) : '1';
		assert_int_equal(cm_apdu_exchange(&wire, &stats, &(struct cm_apdu){ .ins = logged[i].ins, .p2 = logged[i].p2,
		    .data = { data, logged[i].data }, .answers = logged[i].data == 2 }, cm_deadline_in(1000), NULL, &answer, &sw), CM_OK);
		rewind(f);
		text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
		for (size_t n = 0; n < CM_COUNT(logged[i].shown) && logged[i].shown[n] != NULL; n++)
			if (strstr(text, logged[i].shown[n]) == NULL)
				fail_msg("row %zu: \"%s\" is not in\n%s", i, logged[i].shown[n], text);
		if (logged[i].ins == 0x20 || logged[i].ins == 0x24 || logged[i].ins == 0x2C)
			assert_null(strstr(text, "3131"));
		assert_null(strstr(text, "3132"));
		cm_buf_free(&answer);
		fclose(f);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exchanges),
		cmocka_unit_test(test_signatures),
		cmocka_unit_test(test_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
