/* mapper/fields_sid.c - security identifiers: S-1-5-21-..., and objectSid's octets. */
#include "mapper/fields_internal.h"

#include <strings.h>

#define SUB_AUTHORITIES_MAX	15	/* [MS-DTYP] 2.4.2.2 */

/* The digits at *v, no more than max; *v moves behind them. */
static bool
get_number(struct cm_blob *v, uint64_t max, uint64_t *out)
{
	size_t n = 0;

	for (*out = 0; n < v->len && v->ptr[n] >= '0' && v->ptr[n] <= '9'; n++)
		if ((*out = *out * 10 + (uint64_t)(v->ptr[n] - '0')) > max)
			return false;
	*v = (struct cm_blob){ v->ptr + n, v->len - n };
	return n > 0;
}

static bool
skip_dash(struct cm_blob *v)
{
	if (v->len == 0 || v->ptr[0] != '-')
		return false;
	*v = (struct cm_blob){ v->ptr + 1, v->len - 1 };
	return true;
}

/*
 * [MS-DTYP] 2.4.2.2: Revision 1, SubAuthorityCount, IdentifierAuthority of six
 * octets, most significant first, and SubAuthority of four each, least first.
 */
static size_t
parse_sid(struct cm_blob v, uint8_t out[8 + 4 * SUB_AUTHORITIES_MAX])
{
	uint64_t number;
	size_t len = 8;

	if (v.len < 4 || memcmp(v.ptr, "S-1-", 4) != 0)
		return 0;
	v = (struct cm_blob){ v.ptr + 4, v.len - 4 };
	if (!get_number(&v, ((uint64_t)1 << 48) - 1, &number))
		return 0;
	out[0] = 1;
	out[1] = 0;
	for (size_t i = 0; i < 6; i++)
		out[2 + i] = (uint8_t)(number >> (40 - 8 * i));
	for (; v.len > 0; out[1]++) {
		if (out[1] == SUB_AUTHORITIES_MAX || !skip_dash(&v) || !get_number(&v, UINT32_MAX, &number))
			return 0;
		for (size_t i = 0; i < 4; i++)
			out[len++] = (uint8_t)(number >> 8 * i);
	}
	return len;
}

static enum cm_err
write_text(struct cm_blob v, const struct cm_field_ref *ref, struct cm_buf *out)
{
	const uint8_t *dash = memrchr(v.ptr, '-', v.len);	/* there is one: it is a SID */

	if (ref->part != NULL)	/* .rid */
		v = (struct cm_blob){ dash + 1, (size_t)(v.ptr + v.len - dash - 1) };
	cm_buf_add_blob(out, v);
	return CM_OK;
}

static enum cm_err
write_octets(struct cm_blob v, const struct cm_field_ref *ref, struct cm_buf *out)
{
	uint8_t octets[8 + 4 * SUB_AUTHORITIES_MAX];
	const size_t len = parse_sid(v, octets);

	(void)ref;
	cm_buf_add(out, octets, len);
	return len > 0 ? CM_OK : CM_ERR_SYNTAX;
}

const struct cm_conversion cm_conversions_sid[] = {
	{ CM_CONVERSION_UNNAMED, CM_IN_LDAPU1, 0, 0, NULL, write_text },
	{ "bin", CM_IN_OWN, CM_CONVERSION_OCTETS | CM_CONVERSION_EVERY, 0, NULL, write_octets },
	{ .name = NULL },
};

/* KB5014754: tag:microsoft.com,2022-09-14:sid:<SID>, for certificates made outside the domain's CA. */
enum cm_err
cm_write_sid_uri(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	static const char prefix[] = "tag:microsoft.com,2022-09-14:sid:";
	const size_t len = sizeof(prefix) - 1;
	uint8_t octets[8 + 4 * SUB_AUTHORITIES_MAX];
	size_t n;
	const struct cm_cert_san *s = cm_cert_sans(c, &n);

	for (size_t i = 0; i < n; i++) {
		const struct cm_blob v = s[i].value;

		if (s[i].tag != 6 || v.len <= len ||
		    strncasecmp((const char *)v.ptr, prefix, len) != 0)
			continue;
		if (parse_sid((struct cm_blob){ v.ptr + len, v.len - len }, octets) == 0)
			return CM_ERR_SYNTAX;
		return cm_field_convert((struct cm_blob){ v.ptr + len, v.len - len }, ref, out);
	}
	return CM_ERR_ABSENT;
}

enum cm_err
cm_write_sid(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return cm_field_convert(cm_cert_field(c, CM_CERT_SID), ref, out);
}

/* A URI that begins like one with a SID and holds none is still said to be some account's: nobody's. */
struct cm_blob
cm_cert_sid(const struct cm_cert *c, struct cm_buf *scratch)
{
	const struct cm_field_ref ref = { .conversion = cm_conversions_sid };
	const struct cm_blob sid = cm_cert_field(c, CM_CERT_SID);
	enum cm_err err;

	if (sid.len > 0 || (err = cm_write_sid_uri(c, &ref, scratch)) == CM_ERR_ABSENT)
		return sid;
	if (err != CM_OK)
		cm_buf_add_str(scratch, "an unreadable SID");
	return cm_buf_blob(scratch);
}
