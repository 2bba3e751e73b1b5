/* trust/crl_bytes.c - a list's octets through a window: digested as they are taken, decoded where they are PEM. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trust/crl_internal.h"

#define WINDOW	((size_t)256 << 10)
#define RAW	((size_t)64 << 10)

static const char begin_line[] = "-----BEGIN X509 CRL-----";
static const char end_line[] = "-----ENDX509CRL-----";	/* white space left out */

/* At most len bytes of the file; 0 at its end, and when it cannot be read: fault is set then. */
static size_t
read_file(struct cm_crl_bytes *b, uint8_t *to, size_t len)
{
	size_t got = 0;

	while (got < len && b->fault == NULL) {
		const ssize_t n = pread(b->fd, to + got, len - got, (off_t)b->taken);

		if (n < 0 && errno != EINTR)
			b->fault = "it cannot be read";
		if (n == 0)
			break;
		if (n > 0) {
			got += (size_t)n;
			b->taken += (uint64_t)n;
		}
	}
	if (b->taken > b->max)
		b->fault = "it is larger than trust.crl_max";
	return b->fault == NULL ? got : 0;
}

static void
keep_tail(struct cm_crl_bytes *b, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p[i] == '\n' || p[i] == '\r' || p[i] == ' ' || p[i] == '\t')
			continue;
		if (b->tail_len < sizeof(b->tail))
			b->tail[b->tail_len++] = (char)p[i];
	}
}

/* RFC 7468 section 3: the base64 ends where the first hyphen stands. */
static void
refill_pem(struct cm_crl_bytes *b)
{
	const size_t got = read_file(b, b->raw, RAW);
	const uint8_t *hyphen = b->tail_len > 0 ? b->raw : memchr(b->raw, '-', got);
	const size_t text = hyphen != NULL ? (size_t)(hyphen - b->raw) : got;
	int n = 0;

	if (text > 0 && EVP_DecodeUpdate(b->base64, b->window + b->end, &n, b->raw, (int)text) < 0)
		b->fault = "it is no revocation list: its base64 is broken";
	else
		b->end += (size_t)n;
	keep_tail(b, b->raw + text, got - text);
	if (got > 0 || b->fault != NULL)
		return;
	n = 0;
	if (EVP_DecodeFinal(b->base64, b->window + b->end, &n) != 1)
		b->fault = "it is no revocation list: its base64 is broken";
	else if (b->tail_len < sizeof(end_line) - 1 || memcmp(b->tail, end_line, sizeof(end_line) - 1) != 0)
		b->fault = "it is no revocation list: its PEM has no end line";
	else if (b->tail_len > sizeof(end_line) - 1)
		b->fault = "it is no revocation list: something follows its PEM (one list a file)";
	else
		b->end += (size_t)n;
}

static bool
flush(struct cm_crl_bytes *b)
{
	const uint8_t *p = b->window + b->hashed;
	const size_t len = b->at - b->hashed;

	b->hashed = b->at;
	return len == 0 || (EVP_DigestUpdate(b->whole, p, len) == 1 &&
	    (b->part == NULL || EVP_DigestVerifyUpdate(b->part, p, len) == 1));
}

/* Move what is left to the front, and fill up behind it. */
static void
refill(struct cm_crl_bytes *b)
{
	const size_t before = b->end - b->at;

	if (!flush(b))
		b->fault = "OpenSSL cannot digest it";
	memmove(b->window, b->window + b->at, before);
	b->offset += b->at;
	b->at = b->hashed = 0;
	b->end = before;
	if (b->base64 == NULL)
		b->end += read_file(b, b->window + b->end, WINDOW - b->end);
	else if (b->fault == NULL)
		refill_pem(b);
}

const uint8_t *
cm_crl_bytes_peek(struct cm_crl_bytes *b, size_t n, size_t *have)
{
	/* PEM comes in pieces, of which one may be all white space. */
	while (b->end - b->at < n && b->fault == NULL) {
		const uint64_t taken = b->taken;

		refill(b);
		if (b->taken == taken)
			break;
	}
	*have = b->end - b->at < n ? b->end - b->at : n;
	return b->window + b->at;
}

void
cm_crl_bytes_skip(struct cm_crl_bytes *b, size_t n)
{
	b->at += n;
}

uint64_t
cm_crl_bytes_offset(const struct cm_crl_bytes *b)
{
	return b->offset + b->at;
}

bool
cm_crl_bytes_verify(struct cm_crl_bytes *b, EVP_MD_CTX *part, size_t begin)
{
	if (!flush(b))
		return false;
	b->part = part;
	return part == NULL || EVP_DigestVerifyUpdate(part, b->window + begin, b->at - begin) == 1;
}

bool
cm_crl_bytes_digest(struct cm_crl_bytes *b, uint8_t sha256[32])
{
	return flush(b) && EVP_DigestFinal_ex(b->whole, sha256, NULL) == 1;
}

/* Pass over the first line of PEM, if there is one. */
static enum cm_err
look_for_pem(struct cm_crl_bytes *b)
{
	char line[sizeof(begin_line) + 1] = { 0 };
	const ssize_t n = pread(b->fd, line, sizeof(line) - 1, 0);

	if (n < (ssize_t)sizeof(begin_line) || strncmp(line, "-----BEGIN", 10) != 0)
		return CM_OK;
	if (strncmp(line, begin_line, sizeof(begin_line) - 1) != 0 ||
	    strchr("\r\n", line[sizeof(begin_line) - 1]) == NULL) {
		b->fault = "it is no revocation list: its PEM is of something else";
		return CM_ERR_SYNTAX;
	}
	b->taken = sizeof(begin_line) - 1;
	if ((b->raw = malloc(RAW)) == NULL || (b->base64 = EVP_ENCODE_CTX_new()) == NULL)
		return CM_ERR_NOMEM;
	EVP_DecodeInit(b->base64);
	return CM_OK;
}

enum cm_err
cm_crl_bytes_open(struct cm_crl_bytes *b, int fd, uint64_t max)
{
	struct stat st;

	*b = (struct cm_crl_bytes){ .fd = fd, .max = max };
	/* Base64 is decoded behind what is left of the window: at most ELEMENT_MAX and 3/4 of RAW. */
	if ((b->window = malloc(WINDOW)) == NULL || (b->whole = EVP_MD_CTX_new()) == NULL ||
	    EVP_DigestInit_ex(b->whole, EVP_sha256(), NULL) != 1)
		return CM_ERR_NOMEM;
	if (fstat(fd, &st) != 0 || st.st_size < 0) {
		b->fault = "it cannot be read";
		return CM_ERR_SYNTAX;
	}
	b->size = (uint64_t)st.st_size;
	return look_for_pem(b);
}

void
cm_crl_bytes_close(struct cm_crl_bytes *b)
{
	EVP_ENCODE_CTX_free(b->base64);
	EVP_MD_CTX_free(b->whole);
	free(b->raw);
	free(b->window);
	*b = (struct cm_crl_bytes){ .fd = -1 };
}
