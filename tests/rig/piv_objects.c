/* tests/rig/piv_objects.c - the data objects of a PIV card, made from what they hold. */
#include "piv_objects.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

bool
piv_gzip(struct vbuf *b)
{
	z_stream z = {0};
	struct vbuf out = {0};
	uint8_t part[4096];
	int result;

	/* 16 + 15: a gzip header, RFC 1952, as NIST SP 800-73-4 Part 1 appendix A asks */
	if (deflateInit2(&z, 9, Z_DEFLATED, 16 + 15, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return false;
	z.next_in = b->p;
	z.avail_in = (uInt)b->len;
	do {
		z.next_out = part;
		z.avail_out = sizeof(part);
		result = deflate(&z, Z_FINISH);
		vbuf_put(&out, part, sizeof(part) - z.avail_out);
	} while (result == Z_OK);
	deflateEnd(&z);
	vbuf_move(b, &out);
	return result == Z_STREAM_END;
}

/* NIST SP 800-73-4 Part 1, appendix A, table 10 and on: 70 certificate, 71 CertInfo, 72 MSCUID, FE. */
static void
certificate_object(const struct vbuf *cert, bool gzip, size_t filler, struct vbuf *out)
{
	static const uint8_t zeros[PIV_SIZE_MAX];

	out->len = 0;
	vbuf_tlv(out, 0x70, cert->p, cert->len);
	vbuf_tlv_byte(out, 0x71, gzip ? 0x01 : 0x00);
	if (filler > 0)
		vbuf_tlv(out, 0x72, zeros, filler - 1);
	vbuf_tlv(out, 0xfe, NULL, 0);
	vbuf_wrap(out, 0x53);
}

/* A few sizes cannot be met, where a length field grows. */
bool
piv_certificate_object(const struct vbuf *cert, bool gzip, size_t size, struct vbuf *out)
{
	certificate_object(cert, gzip, 0, out);
	for (size_t filler = 1; size != 0 && out->len < size; filler++)
		certificate_object(cert, gzip, filler, out);
	return size == 0 || out->len == size;
}

/* One symbol: four bits, least significant first, then odd parity (TIG SCEPACS). */
static void
fascn_symbol(uint8_t *out, size_t at, unsigned int value)
{
	unsigned int bits = 0, ones = 0;

	for (unsigned int i = 0; i < 4; i++) {
		ones += value >> i & 1;
		bits = bits << 1 | (value >> i & 1);
	}
	bits = bits << 1 | ((ones & 1) ^ 1);
	for (unsigned int i = 0; i < 5; i++, at++)
		out[at / 8] |= (uint8_t)((bits >> (4 - i) & 1) << (7 - at % 8));
}

/* S start, F field, E end; agency 0032, system 0001, credential and person made from the seed. */
void
piv_make_fascn(const uint8_t *s, struct vbuf *out)
{
	char text[41];
	uint8_t bytes[PIV_FASCN_LEN] = {0};
	unsigned int lrc = 0;
	size_t at = 0;
	const unsigned int credential = ((unsigned int)s[16] << 16 | (unsigned int)s[17] << 8 | s[18]) % 1000000;
	const unsigned int person = ((unsigned int)s[20] << 16 | (unsigned int)s[21] << 8 | s[22]);

	snprintf(text, sizeof(text), "S0032F0001F%06uF0F1F11%08u112232E", credential, person);
	for (const char *c = text; *c != '\0'; c++) {
		const unsigned int value = *c == 'S' ? 0xb : *c == 'F' ? 0xd : *c == 'E' ? 0xf :
		    (unsigned int)(*c - '0');

		lrc ^= value;
		fascn_symbol(bytes, at, value);
		at += 5;
	}
	fascn_symbol(bytes, at, lrc);
	vbuf_put(out, bytes, sizeof(bytes));
}

/* RFC 4122 4.4: version and variant of a random UUID. */
void
piv_make_guid(const uint8_t *seed, struct vbuf *out)
{
	vbuf_put(out, seed, PIV_GUID_LEN);
	out->p[6] = (out->p[6] & 0x0f) | 0x40;
	out->p[8] = (out->p[8] & 0x3f) | 0x80;
}

/* Looks like the CMS signature of a real CHUID: bytes to be read past, never checked by anyone. */
static void
fake_signature(const struct piv_chuid *c, size_t len, struct vbuf *out)
{
	/* SEQUENCE { signedData, [0] SEQUENCE { 3, SET { sha256 } ... */
	static const uint8_t head[] = { 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02 };
	uint8_t block[SHA256_DIGEST_LENGTH];
	size_t n;

	memcpy(block, c->seed, sizeof(block));
	if (len > sizeof(head) + 8) {
		vbuf_put(out, (const uint8_t[]){ 0x30, 0x82, (uint8_t)((len - 4) >> 8), (uint8_t)(len - 4) }, 4);
		vbuf_put(out, head, sizeof(head));
		len -= 4 + sizeof(head);
	}
	for (; len > 0; len -= n) {
		SHA256(block, sizeof(block), block);
		n = len < sizeof(block) ? len : sizeof(block);
		vbuf_put(out, block, n);
	}
}

/* NIST SP 800-73-4 Part 1, table 9: 30 FASC-N, 34 GUID, 35 expiration, 3E issuer signature, FE. */
static void
signed_chuid(const struct piv_chuid *c, size_t signature_len, struct vbuf *out)
{
	struct vbuf signature = {0};

	out->len = 0;
	fake_signature(c, signature_len, &signature);
	vbuf_tlv(out, 0x30, c->fascn->p, c->fascn->len);
	vbuf_tlv(out, 0x34, c->guid->p, c->guid->len);
	vbuf_tlv(out, 0x35, c->expires, strlen(c->expires));
	vbuf_tlv(out, 0x3e, signature.p, signature.len);
	vbuf_tlv(out, 0xfe, NULL, 0);
	vbuf_wrap(out, 0x53);
	vbuf_free(&signature);
}

void
piv_chuid_object(const struct piv_chuid *c, size_t size, struct vbuf *out)
{
	size_t signature_len = 1;

	for (;;) {
		signed_chuid(c, signature_len, out);
		if (out->len >= size)
			return;
		/* length fields grow on the way, so the last steps are small */
		signature_len += size - out->len > 16 ? size - out->len - 16 : 1;
	}
}

/* NIST SP 800-73-4 Part 1, table 8. */
void
piv_ccc_object(const uint8_t *seed, struct vbuf *out)
{
	struct vbuf id = {0};

	/* GSC-RID, manufacturer, Java card, then the card's own number */
	vbuf_hex(&id, "A000000116FF02");
	vbuf_put(&id, seed, 14);
	vbuf_tlv(out, 0xf0, id.p, id.len);
	vbuf_hex(out, "F10121F20121F300F40100F50110F600F700FA00FB00FC00FD00FE00");
	vbuf_wrap(out, 0x53);
	vbuf_free(&id);
}

/* NIST SP 800-73-4 Part 1, 3.3.2: AID and PIN usage policy. */
void
piv_discovery_object(const uint8_t policy[2], struct vbuf *out)
{
	vbuf_hex(out, "4F0BA000000308000010000100");
	vbuf_tlv(out, 0x5f2f, policy, 2);
	vbuf_wrap(out, 0x7e);
}

/* NIST SP 800-73-4 Part 1, 3.3.3: C1 keys with, C2 without their certificate on the card, F3 URL. */
void
piv_key_history_object(uint8_t with, uint8_t without, struct vbuf *out)
{
	vbuf_tlv_byte(out, 0xc1, with);
	vbuf_tlv_byte(out, 0xc2, without);
	if (without > 0)
		vbuf_tlv(out, 0xf3, "http://127.0.0.1/", 17);
	vbuf_tlv(out, 0xfe, NULL, 0);
	vbuf_wrap(out, 0x53);
}
