/* card/cert_text.c - the string types of ASN.1 (X.680 section 41) as UTF-8. */
#include <stdlib.h>

#include "card/cert_internal.h"

bool
cm_cert_is_ascii(struct cm_blob v)
{
	uint8_t seen = 0;

	for (size_t i = 0; i < v.len; i++)
		seen |= v.ptr[i];
	return seen < 0x80;
}

/*
 * PrintableString, NumericString and VisibleString are subsets of ASCII.
 * CAs in the field write '@', '&', '*' and '_' into PrintableString, which
 * X.680 41.4 does not allow; they mean the same everywhere, so they stay.
 */
static enum cm_err
keep_ascii(struct cm_cert *c, struct cm_blob v, struct cm_blob *out)
{
	(void)c;
	*out = v;
	return cm_cert_is_ascii(v) ? CM_OK : CM_ERR_SYNTAX;
}

/* RFC 3629 section 4: no overlong form, no surrogate, nothing above U+10FFFF. */
static enum cm_err
keep_utf8(struct cm_cert *c, struct cm_blob v, struct cm_blob *out)
{
	size_t n;

	(void)c;
	*out = v;
	if (cm_cert_is_ascii(v))
		return CM_OK;
	for (size_t i = 0; i < v.len; i += n)
		if ((n = cm_utf8_length(v.ptr + i, v.len - i)) == 0)
			return CM_ERR_SYNTAX;
	return CM_OK;
}

/* Code points of size octets each, most significant first. */
static enum cm_err
convert(struct cm_cert *c, struct cm_blob v, size_t size, struct cm_blob *out)
{
	size_t start;

	if (v.len % size != 0)
		return CM_ERR_SYNTAX;
	/* No octet is converted twice, and none becomes more than two: this is room for all. */
	if (c->text == NULL && (c->text = malloc(2 * c->der.len)) == NULL)
		return CM_ERR_NOMEM;
	start = c->text_len;
	for (size_t i = 0; i < v.len; i += size) {
		uint32_t u = 0;

		for (size_t k = 0; k < size; k++)
			u = u << 8 | v.ptr[i + k];
		if (u > 0x10FFFF || (u >= 0xD800 && u < 0xE000))
			return CM_ERR_SYNTAX;
		c->text_len += cm_utf8_put(u, c->text + c->text_len);
	}
	*out = (struct cm_blob){ c->text + start, c->text_len - start };
	return CM_OK;
}

/* Called T.61, written as ISO 8859-1 by everyone (OpenSSL's ASN1_STRING_to_UTF8 agrees). */
static enum cm_err
from_teletex(struct cm_cert *c, struct cm_blob v, struct cm_blob *out)
{
	return convert(c, v, 1, out);
}

/* BMPString is UCS-2, not UTF-16: a surrogate is no character (X.680 41.6). */
static enum cm_err
from_bmp(struct cm_cert *c, struct cm_blob v, struct cm_blob *out)
{
	return convert(c, v, 2, out);
}

static enum cm_err
from_universal(struct cm_cert *c, struct cm_blob v, struct cm_blob *out)
{
	return convert(c, v, 4, out);
}

static const struct string_type {
	uint8_t tag;
	enum cm_err (*read)(struct cm_cert *, struct cm_blob, struct cm_blob *);
} string_types[] = {
	{ CM_DER_UTF8, keep_utf8 },
	{ CM_DER_PRINTABLE, keep_ascii },
	{ CM_DER_IA5, keep_ascii },
	{ CM_DER_NUMERIC, keep_ascii },
	{ CM_DER_VISIBLE, keep_ascii },
	{ CM_DER_TELETEX, from_teletex },
	{ CM_DER_BMP, from_bmp },
	{ CM_DER_UNIVERSAL, from_universal },
};

enum cm_err
cm_cert_text(struct cm_cert *c, struct cm_blob der, struct cm_blob *out)
{
	struct cm_der in = cm_der_in(der);
	struct cm_blob whole, value;

	if (!cm_der_any(&in, &whole, &value))
		return CM_ERR_SYNTAX;
	for (size_t i = 0; i < CM_COUNT(string_types); i++)
		if (string_types[i].tag == der.ptr[0])
			return string_types[i].read(c, value, out);
	return CM_ERR_ABSENT;
}
