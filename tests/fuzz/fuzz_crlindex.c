/*
 * tests/fuzz/fuzz_crlindex.c - the reader of an index, which the disk may have changed, and what one or two of them say of a
 * certificate.  An input that begins with "!" gets right checksums first, so that what stands behind them is reached too;
 * one that begins with "2" is two such, each behind its length (4 octets).
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/trust/fuzz_pki.h"
#include "trust/crl_internal.h"

#define DIGEST	32
#define CRC	4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t
big_endian(const uint8_t *p, size_t len)
{
	size_t n = 0;

	while (len-- > 0)
		n = n << 8 | *p++;
	return n;
}

/* As trust/crl_build.c would have written them. */
static void
mend(uint8_t *p, size_t size)
{
	const size_t header = size > 15 ? big_endian(p + 8, 4) : 0;
	const size_t len = size > 15 ? (size_t)p[14] + ((p[13] & 2) != 0 ? 2 : 0) + 11 : 0;
	size_t i = 0, at;
	uint32_t seed;

	if (header < 15 + DIGEST || header > size)
		return;
	EVP_Digest(p, header - DIGEST, p + header - DIGEST, NULL, EVP_sha256(), NULL);
	seed = cm_crl_index_seed(p + header - DIGEST);
	for (at = header; at + len + CM_CRL_TRAILER <= size; i++, at += len) {
		const uint32_t crc = cm_crl_index_crc(seed, i, p + at, len - CRC);

		for (int k = 0; k < CRC; k++)
			p[at + len - CRC + (size_t)k] = (uint8_t)(crc >> 8 * (CRC - 1 - k));
	}
	if (at + CM_CRL_TRAILER <= size)
		cm_crl_index_write_trailer(seed, i, FUZZ_NOW, p + at);
}

static void
ask(const struct cm_crl_index *x, const X509 *ca)
{
	uint8_t serial[CM_CRL_SERIAL_MAX + 1] = { 0 };
	struct cm_crl_entry e = { 0 };
	struct cm_buf number;

	cm_buf_init(&number, 0);
	cm_crl_number_text(&x->about.number, &number);
	cm_buf_free(&number);
	for (size_t len = 1; len <= sizeof(serial); len++)
		for (int first = 0; first < 256; first += 85) {
			serial[0] = (uint8_t)first;
			if (cm_crl_index_find(x, X509_get_subject_name(ca), (struct cm_blob){ serial, len }, &e) == CM_OK &&
			    len < sizeof(serial) && memcmp(e.serial + sizeof(e.serial) - len, serial, len) != 0 && first != 0)
				abort();
		}
}

/* What it holds, or NULL. */
static struct cm_crl_index *
open_octets(const uint8_t *data, size_t size, bool mended)
{
	const int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct cm_crl_index *x = NULL;
	uint8_t *copy = malloc(size + 1);
	struct cm_buf why;
	enum cm_err err;

	if (fd < 0 || copy == NULL)
		abort();
	memcpy(copy, data, size);
	if (mended)
		mend(copy, size);
	if (write(fd, copy, size) != (ssize_t)size)
		abort();
	cm_buf_init(&why, 0);
	err = cm_crl_index_open(fd, &x, &why);
	if ((err == CM_OK) != (x != NULL) || (err == CM_OK) != (why.len == 0))
		abort();
	cm_buf_free(&why);
	free(copy);
	close(fd);
	return x;
}

/* An answer has its dates, and what is unknown its reason. */
static void
judge(struct cm_question *q, struct cm_crl_lists *lists)
{
	enum cm_status status;

	for (const struct cm_crl_index *x = lists->kept; x != NULL; x = x->next)
		memcpy(lists->keys[lists->key_count++], x->issuer_key, 32);
	cm_buf_init(&q->why, 0);
	status = cm_crl_judge(q, lists);
	if ((status == CM_STATUS_UNKNOWN) != (q->why.len > 0 && q->objection != CM_OBJECTION_NONE))
		abort();
	if (status == CM_STATUS_GOOD && (q->answer.this_update > FUZZ_NOW + CM_CLOCK_SKEW || cm_evidence_end(&q->answer, cm_undated_max(q->trust)) < FUZZ_NOW))
		abort();
	if (status == CM_STATUS_REVOKED && q->answer.source[0] == '\0')
		abort();
	cm_buf_free(&q->why);
}

static void
open_two(const uint8_t *data, size_t size, struct cm_crl_lists *lists)
{
	for (int i = 0; i < 2 && size >= 4; i++) {
		const size_t len = big_endian(data, 4) < size - 4 ? big_endian(data, 4) : size - 4;
		struct cm_crl_index *x = open_octets(data + 4, len, true);

		data += 4 + len;
		size -= 4 + len;
		if (x == NULL)
			continue;
		x->next = lists->kept;
		lists->kept = x;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct cm_trust tr = { .o.crl_max = 1 << 20 };
	static const struct cm_known known = { .now = FUZZ_NOW };
	struct cm_question q = fuzz_question(&tr, &known);
	const bool two = size > 0 && data[0] == '2', mended = size > 0 && data[0] == '!';
	struct cm_crl_lists lists = { 0 };

	if (cm_evidence_name(q.cert, q.issuer, &q.answer) != CM_OK)
		abort();
	if (two)
		open_two(data + 1, size - 1, &lists);
	else
		lists.kept = open_octets(data + mended, size - mended, mended);
	if (lists.kept != NULL) {
		ask(lists.kept, q.issuer);
		judge(&q, &lists);
	}
	cm_crl_list_close(&lists.kept);
	X509_free(q.cert);
	X509_free(q.issuer);
	return 0;
}
