/* tests/rig/vcard_fault.c - a card that misbehaves on command. */
#include "vcard_fault.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* bytes: the data in FAULT_DATA, the answer in FAULT_ANSWER, unused in FAULT_COMMAND */
typedef void fault_run(const char *arg, struct exchange *x, struct vbuf *bytes);

static unsigned long
number_of(const char *arg)
{
	return strtoul(arg, NULL, 10);
}

/* --- the command --- */

static void
run_slow(const char *arg, struct exchange *x, struct vbuf *bytes)
{
	(void)bytes;
	x->delay_ms += (unsigned int)number_of(arg);
}

static void
run_sw(const char *arg, struct exchange *x, struct vbuf *bytes)
{
	const unsigned long sw = strtoul(arg, NULL, 16);

	(void)bytes;
	vbuf_byte(&x->answer, (uint8_t)(sw >> 8));
	vbuf_byte(&x->answer, (uint8_t)sw);
	x->answered = true;
}

#define ACTION(name, when, what)					\
static void								\
name(const char *arg, struct exchange *x, struct vbuf *bytes)		\
{									\
	(void)bytes;							\
	x->when = what;							\
	x->dir = arg;							\
}
ACTION(run_reset, before, CARD_RESET)
ACTION(run_remove, before, CARD_REMOVE)
ACTION(run_remove_after, after, CARD_REMOVE)
ACTION(run_swap, before, CARD_SWAP)
ACTION(run_swap_after, after, CARD_SWAP)
ACTION(run_become, before, CARD_BECOME)
ACTION(run_become_after, after, CARD_BECOME)

static void
run_wrong_key(const char *arg, struct exchange *x, struct vbuf *bytes)
{
	(void)arg, (void)bytes;
	x->wrong_key = true;
}

/* --- the data --- */

/* Rewrite the head of the outer data object, or of the first one inside it (arg "inner"). */
static void
rewrite_head(const char *arg, struct vbuf *b, uint32_t tag, const struct vbuf *length)
{
	const bool inner = strcmp(arg, "inner") == 0;
	struct tlv outer, t;
	struct vbuf all = {0};

	if (!tlv_read(b->p, b->len, &outer))
		return;
	t = outer;
	if (inner && !tlv_read(outer.p, outer.len, &t))
		return;
	vbuf_tag(&all, tag != 0 ? tag : t.tag);
	if (length->len > 0)
		vbuf_put(&all, length->p, length->len);
	else
		vbuf_length(&all, t.len);
	vbuf_put(&all, t.p, (size_t)(outer.p + outer.len - t.p));
	if (inner)
		vbuf_wrap(&all, outer.tag);
	vbuf_move(b, &all);
}

static void
run_wrong_tag(const char *arg, struct exchange *x, struct vbuf *bytes)
{
	const struct vbuf same = {0};

	(void)x;
	rewrite_head(arg, bytes, strcmp(arg, "inner") == 0 ? 0x75 : 0x54, &same);
}

static void
set_length(const char *arg, struct vbuf *bytes, const char *hex)
{
	struct vbuf length = {0};

	vbuf_hex(&length, hex);
	rewrite_head(arg, bytes, 0, &length);
	vbuf_free(&length);
}

static void
run_tlv_zero(const char *arg, struct exchange *x, struct vbuf *bytes)
{
	(void)x;
	set_length(arg, bytes, "00");
}

static void
run_tlv_huge(const char *arg, struct exchange *x, struct vbuf *bytes)
{
	(void)x;
	set_length(arg, bytes, "84ffffffff");
}

static void
run_tlv_indefinite(const char *arg, struct exchange *x, struct vbuf *bytes)
{
	(void)x;
	set_length(arg, bytes, "80");
}

/* More or fewer than there are. */
static void
shift_length(const char *arg, struct vbuf *bytes, int by)
{
	struct tlv t;
	struct vbuf length = {0};

	if (!tlv_read(bytes->p, bytes->len, &t) ||
	    (strcmp(arg, "inner") == 0 && !tlv_read(t.p, t.len, &t)))
		return;
	vbuf_length(&length, by < 0 && t.len < (size_t)-by ? 0 : t.len + (size_t)by);
	rewrite_head(arg, bytes, 0, &length);
	vbuf_free(&length);
}

static void
run_tlv_long(const char *arg, struct exchange *x, struct vbuf *bytes)
{
	/* 64: inner, it must reach past 71 and FE and the end of what is around it */
	(void)x;
	shift_length(arg, bytes, 64);
}

static void
run_tlv_short(const char *arg, struct exchange *x, struct vbuf *bytes)
{
	(void)x;
	shift_length(arg, bytes, -16);
}

static void
run_empty(const char *arg, struct exchange *x, struct vbuf *bytes)
{
	struct tlv t;
	const bool ok = tlv_read(bytes->p, bytes->len, &t);
	const uint32_t tag = ok ? t.tag : 0x53;

	(void)arg, (void)x;
	bytes->len = 0;
	vbuf_tlv(bytes, tag, NULL, 0);
}

static void
run_truncate(const char *arg, struct exchange *x, struct vbuf *bytes)
{
	(void)x;
	vbuf_cut(bytes, *arg != '\0' ? number_of(arg) : bytes->len / 2);
}

static void
run_trailing(const char *arg, struct exchange *x, struct vbuf *bytes)
{
	(void)x;
	for (unsigned long n = number_of(arg); n > 0; n--)
		vbuf_byte(bytes, 0xee);
}

/* CertInfo says compressed when it is not, and the other way: NIST SP 800-73-4 Part 1, appendix A. */
static void
run_gzip_flag(const char *arg, struct exchange *x, struct vbuf *bytes)
{
	struct tlv all, t;

	(void)arg, (void)x;
	if (!tlv_read(bytes->p, bytes->len, &all))
		return;
	while (tlv_next(&all.p, &all.len, &t))
		if (t.tag == 0x71 && t.len == 1)
			bytes->p[t.p - bytes->p] ^= 0x01;
}

static void
deflate_zeros(struct vbuf *out, unsigned long bytes)
{
	static const uint8_t zeros[1 << 16];
	z_stream z = {0};
	uint8_t part[4096];
	int result = Z_OK;

	if (deflateInit2(&z, 9, Z_DEFLATED, 16 + 15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return;
	while (result == Z_OK) {
		if (z.avail_in == 0 && bytes > 0) {
			z.next_in = (Bytef *)zeros;
			z.avail_in = bytes < sizeof(zeros) ? (uInt)bytes : sizeof(zeros);
			bytes -= z.avail_in;
		}
		z.next_out = part;
		z.avail_out = sizeof(part);
		result = deflate(&z, bytes > 0 ? Z_NO_FLUSH : Z_FINISH);
		vbuf_put(out, part, sizeof(part) - z.avail_out);
	}
	deflateEnd(&z);
}

static void
run_gzip_bomb(const char *arg, struct exchange *x, struct vbuf *bytes)
{
	struct vbuf bomb = {0};

	(void)x;
	deflate_zeros(&bomb, number_of(arg) << 20);
	vbuf_wrap(&bomb, 0x70);
	vbuf_tlv_byte(&bomb, 0x71, 0x01);
	vbuf_tlv(&bomb, 0xfe, NULL, 0);
	vbuf_wrap(&bomb, 0x53);
	vbuf_move(bytes, &bomb);
}

static void
run_garbage_signature(const char *arg, struct exchange *x, struct vbuf *bytes)
{
	struct tlv all, t;

	(void)arg, (void)x;
	if (tlv_read(bytes->p, bytes->len, &all) && tlv_read(all.p, all.len, &t))
		memset(bytes->p + (t.p - bytes->p), 0xa5, t.len);
}

static void
run_endless(const char *arg, struct exchange *x, struct vbuf *bytes)
{
	(void)arg, (void)bytes;
	x->endless = true;
}

/* --- the answer --- */

static void
run_one_byte(const char *arg, struct exchange *x, struct vbuf *bytes)
{
	(void)arg, (void)x;
	vbuf_cut(bytes, 1);
}

static void
run_overlong(const char *arg, struct exchange *x, struct vbuf *bytes)
{
	const size_t want = number_of(arg);
	struct vbuf all = {0};

	(void)x;
	if (bytes->len < 2)
		return;
	vbuf_put(&all, bytes->p, bytes->len - 2);
	while (all.len < want)
		vbuf_byte(&all, 0xee);
	vbuf_put(&all, bytes->p + bytes->len - 2, 2);
	vbuf_move(bytes, &all);
}

/* --- the table --- */

struct fault_kind {
	const char *name;
	fault_run *run;
	enum fault_phase phase;
	uint8_t ins;		/* it applies to, when WHEN names none; 0 = any */
	bool whole;		/* counts a chained command once, at its last link */
	const char *arg;	/* without ARG; NULL = ARG is needed */
	const char *help;
};

static const struct fault_kind kinds[] = {
	{ "slow", run_slow, FAULT_COMMAND, 0, false, NULL, "=MS  answer so much later" },
	{ "remove", run_remove, FAULT_COMMAND, 0, false, "", "taken out instead of answering" },
	{ "remove-after", run_remove_after, FAULT_COMMAND, 0, false, "", "taken out once it has answered" },
	{ "swap", run_swap, FAULT_COMMAND, 0, false, NULL, "=DIR taken out instead of answering, another card put in" },
	{ "swap-after", run_swap_after, FAULT_COMMAND, 0, false, NULL, "=DIR the same once it has answered" },
	{ "become", run_become, FAULT_COMMAND, 0, false, NULL, "=DIR another card answers, nothing announces it" },
	{ "become-after", run_become_after, FAULT_COMMAND, 0, false, NULL, "=DIR the same from the next command on" },
	{ "reset", run_reset, FAULT_COMMAND, 0, false, "", "selection and PIN are lost just before" },
	{ "sw", run_sw, FAULT_COMMAND, 0, false, NULL, "=HEX this status word instead of an answer" },
	{ "verify-6f00", run_sw, FAULT_COMMAND, INS_VERIFY, false, "6f00", "VERIFY always fails, no try is spent" },
	{ "wrong-key", run_wrong_key, FAULT_COMMAND, INS_GENERAL_AUTHENTICATE, true, "", "signature of another key" },
	{ "garbage-signature", run_garbage_signature, FAULT_DATA, INS_GENERAL_AUTHENTICATE, true, "",
	  "signature of A5 bytes" },
	{ "wrong-tag", run_wrong_tag, FAULT_DATA, INS_GET_DATA, true, "outer", "[=inner] 54 for 53, inner: 75 for 70" },
	{ "tlv-long", run_tlv_long, FAULT_DATA, INS_GET_DATA, true, "outer", "[=inner] length 64 more than there is" },
	{ "tlv-short", run_tlv_short, FAULT_DATA, INS_GET_DATA, true, "outer", "[=inner] length 16 less" },
	{ "tlv-zero", run_tlv_zero, FAULT_DATA, INS_GET_DATA, true, "outer", "[=inner] length 0, data follows" },
	{ "tlv-huge", run_tlv_huge, FAULT_DATA, INS_GET_DATA, true, "outer", "[=inner] length FFFFFFFF" },
	{ "tlv-indefinite", run_tlv_indefinite, FAULT_DATA, INS_GET_DATA, true, "outer", "[=inner] length 80" },
	{ "empty", run_empty, FAULT_DATA, INS_GET_DATA, true, "", "the data object is there, with nothing in it" },
	{ "truncate", run_truncate, FAULT_DATA, INS_GET_DATA, true, "", "[=N] only the first N bytes; half of them" },
	{ "trailing", run_trailing, FAULT_DATA, INS_GET_DATA, true, "16", "[=N] so many bytes after the object" },
	{ "gzip-flag", run_gzip_flag, FAULT_DATA, INS_GET_DATA, true, "", "CertInfo lies about compression" },
	{ "gzip-bomb", run_gzip_bomb, FAULT_DATA, INS_GET_DATA, true, "16", "[=MB] a certificate that inflates to so much" },
	{ "endless-61", run_endless, FAULT_DATA, INS_GET_DATA, true, "", "61xx without end" },
	{ "one-byte", run_one_byte, FAULT_ANSWER, 0, false, "", "a response APDU of one byte" },
	{ "overlong", run_overlong, FAULT_ANSWER, 0, false, "300", "[=N] more data than Le allows" },
};

void
vcard_faults_help(FILE *to)
{
	for (size_t i = 0; i < COUNT(kinds); i++)
		fprintf(to, "  %-18s %s\n", kinds[i].name, kinds[i].help);
}

static const struct fault_kind *
find_kind(const char *name)
{
	for (size_t i = 0; i < COUNT(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

static bool
parse_count(const char *text, struct fault *f)
{
	char *end = NULL;

	if (*text == '#')
		text++;
	if (!isdigit((unsigned char)*text))
		return *text == '\0';
	f->number = (unsigned int)strtoul(text, &end, 10);
	f->onward = *end == '+';
	return f->number > 0 && (*end == '\0' || (f->onward && end[1] == '\0'));
}

static bool
parse_when(const char *text, struct fault *f)
{
	char *end = NULL;

	if (strncmp(text, "ins", 3) == 0) {
		f->ins = (uint8_t)strtoul(text + 3, &end, 16);
		return f->ins != 0 && end == text + 5 && parse_count(end, f);
	}
	if (strncmp(text, "tag", 3) == 0) {
		f->tag = (uint32_t)strtoul(text + 3, &end, 16);
		return f->tag != 0 && parse_count(end, f);
	}
	return *text != '\0' && parse_count(text, f);
}

/* one is changed. */
static bool
parse_one(char *one, struct fault *f)
{
	char *when = strrchr(one, '@');
	char *arg;

	if (when != NULL)
		*when++ = '\0';
	if ((arg = strchr(one, '=')) != NULL)
		*arg++ = '\0';
	if ((f->kind = find_kind(one)) == NULL ||
	    (arg == NULL && f->kind->arg == NULL) || (when != NULL && !parse_when(when, f)))
		return false;
	f->arg = strdup(arg != NULL ? arg : f->kind->arg);
	return f->arg != NULL;
}

bool
vcard_faults_add(struct vcard_faults *faults, const char *spec, char *error, size_t error_len)
{
	const size_t before = faults->len;
	char *copy = strdup(spec), *at = copy, *one;
	bool ok = copy != NULL;

	while (ok && (one = strsep(&at, ",")) != NULL) {
		struct fault f = {0};

		if (!(ok = faults->len < FAULTS_MAX && parse_one(one, &f)))
			snprintf(error, error_len, "bad fault \"%s\"", one);
		else
			faults->list[faults->len++] = f;
	}
	while (!ok && faults->len > before)
		free(faults->list[--faults->len].arg);
	free(copy);
	return ok;
}

void
vcard_faults_clear(struct vcard_faults *faults)
{
	while (faults->len > 0)
		free(faults->list[--faults->len].arg);
}

static bool
applies(const struct fault *f, const struct exchange *x)
{
	const uint8_t ins = f->ins != 0 ? f->ins : f->kind->ins;

	if (f->kind->whole && (x->cmd.cla & 0x10) != 0)
		return false;
	if (f->tag != 0)
		return x->tag == f->tag;
	return ins == 0 || ins == x->cmd.ins;
}

void
vcard_faults_begin(struct vcard_faults *faults, const struct exchange *x)
{
	for (size_t i = 0; i < faults->len; i++) {
		struct fault *f = &faults->list[i];

		f->due = false;
		if (!applies(f, x))
			continue;
		f->seen++;
		f->due = f->number == 0 || f->seen == f->number || (f->onward && f->seen > f->number);
	}
}

void
vcard_faults_run(struct vcard_faults *faults, enum fault_phase phase, struct exchange *x, struct vbuf *bytes)
{
	for (size_t i = 0; i < faults->len; i++) {
		const struct fault *f = &faults->list[i];

		if (f->due && f->kind->phase == phase)
			f->kind->run(f->arg, x, bytes);
	}
}
