/*
 * tests/fuzz/fuzz_crlindex.c - the reader of an index, which the disk may have changed.  An input that begins with "!"
 * gets right checksums first, so that what stands behind them is reached too.
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
		for (int first = 0; first < 256; first += 15) {
			serial[0] = (uint8_t)first;
			if (cm_crl_index_find(x, X509_get_subject_name(ca), (struct cm_blob){ serial, len }, &e) == CM_OK &&
			    len < sizeof(serial) && memcmp(e.serial + sizeof(e.serial) - len, serial, len) != 0 && first != 0)
				abort();
		}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const bool mended = size > 0 && data[0] == '!';
	const int fd = memfd_create("fuzz", MFD_CLOEXEC);
	X509 *ca = fuzz_x509(fuzz_ca);
	struct cm_crl_index *x = NULL;
	uint8_t *copy = malloc(size + 1);
	struct cm_buf why;
	enum cm_err err;

	if (fd < 0 || copy == NULL)
		abort();
	memcpy(copy, data + mended, size - mended);
	if (mended)
		mend(copy, size - 1);
	if (write(fd, copy, size - mended) != (ssize_t)(size - mended))
		abort();
	cm_buf_init(&why, 0);
	err = cm_crl_index_open(fd, &x, &why);
	if ((err == CM_OK) != (x != NULL) || (err == CM_OK) != (why.len == 0))
		abort();
	if (x != NULL)
		ask(x, ca);
	cm_crl_index_close(&x);
	cm_buf_free(&why);
	X509_free(ca);
	free(copy);
	close(fd);
	return 0;
}
