/* mapper/mistakes.c - what people write into altSecurityIdentities instead of the right value. */
#include <openssl/bn.h>
#include <stdlib.h>
#include <strings.h>

#include "mapper/diagnose_internal.h"

static bool
starts_with(struct cm_blob v, const char *prefix)
{
	return v.len >= strlen(prefix) && strncasecmp((const char *)v.ptr, prefix, strlen(prefix)) == 0;
}

static struct cm_blob
from(struct cm_blob v, size_t i)
{
	return (struct cm_blob){ v.ptr + i, v.len - i };
}

/* Length of the tag that begins at v ("<SR>"), or 0.  Any other "<" is a letter of a name. */
static size_t
tag_length(struct cm_blob v)
{
	static const char *const tags[] = {
		"<I>", "<S>", "<SR>", "<SKI>", "<SHA1-PUKEY>", "<RFC822>", "<SID>",
	};

	for (size_t i = 0; i < CM_COUNT(tags); i++)
		if (starts_with(v, tags[i]))
			return strlen(tags[i]);
	return 0;
}

bool
cm_tagged_next(struct cm_blob *rest, struct cm_tagged *piece)
{
	const size_t tag = tag_length(*rest);
	size_t end;

	if (rest->len == 0)
		return false;
	piece->tag = tag > 0 ? (struct cm_blob){ rest->ptr + 1, tag - 2 } : (struct cm_blob){ NULL, 0 };
	for (end = tag; end < rest->len && tag_length(from(*rest, end)) == 0; end++)
		;
	piece->text = (struct cm_blob){ rest->ptr + tag, end - tag };
	*rest = from(*rest, end);
	return true;
}

/* Returns where the tag ends. */
static size_t
add_tag(struct cm_blob tag, struct cm_buf *out)
{
	if (tag.len > 0)
		cm_buf_addf(out, "<%.*s>", (int)tag.len, (const char *)tag.ptr);
	return out->len;
}

/* ---- the whole value */

/* At both ends of the value, and of each part of it; "X509: " has a row of its own. */
static bool
drop_outer_space(struct cm_blob v, struct cm_buf *out)
{
	const size_t before = v.len, start = out->len;
	struct cm_tagged p;

	while (cm_tagged_next(&v, &p)) {
		while (p.text.len > 0 && cm_is_space(p.text.ptr[0]))
			p.text = from(p.text, 1);
		while ((p.tag.len > 0 || v.len == 0) && p.text.len > 0 && cm_is_space(p.text.ptr[p.text.len - 1]))
			p.text.len--;
		add_tag(p.tag, out);
		cm_buf_add_blob(out, p.text);
	}
	return out->len > start && out->len - start < before;
}

static bool
drop_space_before_tag(struct cm_blob v, struct cm_buf *out)
{
	if (!starts_with(v, "X509: "))
		return false;
	for (v = from(v, strlen("X509:")); v.len > 0 && v.ptr[0] == ' '; v = from(v, 1))
		;
	cm_buf_add_str(out, "X509:");
	cm_buf_add_blob(out, v);
	return true;
}

static bool
add_x509(struct cm_blob v, struct cm_buf *out)
{
	if (tag_length(v) == 0)
		return false;
	cm_buf_add_str(out, "X509:");
	cm_buf_add_blob(out, v);
	return true;
}

static bool
drop_x509(struct cm_blob v, struct cm_buf *out)
{
	if (!starts_with(v, "X509:"))
		return false;
	cm_buf_add_blob(out, from(v, strlen("X509:")));
	return true;
}

static bool
add_kerberos(struct cm_blob v, struct cm_buf *out)
{
	if (memchr(v.ptr, '@', v.len) == NULL || memchr(v.ptr, ':', v.len) != NULL)
		return false;
	cm_buf_add_str(out, "Kerberos:");
	cm_buf_add_blob(out, v);
	return true;
}

static bool
drop_kerberos(struct cm_blob v, struct cm_buf *out)
{
	if (!starts_with(v, "Kerberos:"))
		return false;
	cm_buf_add_blob(out, from(v, strlen("Kerberos:")));
	return true;
}

/* ---- names */

/*
 * The next RDN of a name's text, *rest moving behind its comma: commas in
 * quotes or behind a backslash part nothing.
 */
static bool
next_rdn(struct cm_blob *rest, struct cm_blob *rdn)
{
	bool quoted = false;
	size_t i;

	if (rest->ptr == NULL)
		return false;
	for (i = 0; i < rest->len && (quoted || rest->ptr[i] != ','); i++) {
		if (rest->ptr[i] == '"')
			quoted = !quoted;
		else if (rest->ptr[i] == '\\' && i + 1 < rest->len)
			i++;
	}
	*rdn = (struct cm_blob){ rest->ptr, i };
	*rest = i < rest->len ? from(*rest, i + 1) : (struct cm_blob){ NULL, 0 };
	return true;
}

static bool
each_rdn(struct cm_blob name, cm_rewrite f, struct cm_buf *out)
{
	struct cm_blob rdn;
	bool changed = false;

	for (bool first = true; next_rdn(&name, &rdn); first = false) {
		size_t start;

		if (!first)
			cm_buf_add_byte(out, ',');
		start = out->len;
		if (f(rdn, out)) {
			changed = true;
			continue;
		}
		cm_buf_truncate(out, start);
		cm_buf_add_blob(out, rdn);
	}
	return changed;
}

static bool
drop_rdn_space(struct cm_blob rdn, struct cm_buf *out)
{
	if (rdn.len == 0 || rdn.ptr[0] != ' ')
		return false;
	while (rdn.len > 0 && rdn.ptr[0] == ' ')
		rdn = from(rdn, 1);
	cm_buf_add_blob(out, rdn);
	return true;
}

static bool
rename_type(struct cm_blob rdn, const char *wrong, const char *right, struct cm_buf *out)
{
	if (!starts_with(rdn, wrong) || rdn.len <= strlen(wrong) || rdn.ptr[strlen(wrong)] != '=')
		return false;
	cm_buf_add_str(out, right);
	cm_buf_add_blob(out, from(rdn, strlen(wrong)));
	return true;
}

static bool
write_s(struct cm_blob rdn, struct cm_buf *out)
{
	return rename_type(rdn, "ST", "S", out);
}

static bool
write_st(struct cm_blob rdn, struct cm_buf *out)
{
	return rename_type(rdn, "S", "ST", out);
}

static bool
drop_comma_space(struct cm_blob name, struct cm_buf *out)
{
	return each_rdn(name, drop_rdn_space, out);
}

static bool
add_comma_space(struct cm_blob name, struct cm_buf *out)
{
	struct cm_blob rdn;
	size_t n;

	for (n = 0; next_rdn(&name, &rdn); n++) {
		cm_buf_add_str(out, n > 0 ? ", " : "");
		cm_buf_add_blob(out, rdn);
	}
	return n > 1;
}

/* What OpenSSL, NSS and RFC 4514 call the attributes that AD has other names for. */
static const struct type_name {
	const char *theirs, *ads;
} type_names[] = {
	{ "emailAddress", "E" },
	{ "1.2.840.113549.1.9.1", "E" },
	{ "OID.1.2.840.113549.1.9.1", "E" },
	{ "MAIL", "E" },
	{ "GN", "G" },
	{ "givenName", "G" },
	{ "title", "T" },
	{ "surname", "SN" },
	{ "initials", "I" },
	{ "UID", "OID.0.9.2342.19200300.100.1.1" },
	{ "0.9.2342.19200300.100.1.1", "OID.0.9.2342.19200300.100.1.1" },
	{ "domainComponent", "DC" },
};

static bool
write_ad_type(struct cm_blob rdn, struct cm_buf *out)
{
	for (size_t i = 0; i < CM_COUNT(type_names); i++)
		if (rename_type(rdn, type_names[i].theirs, type_names[i].ads, out))
			return true;
	return false;
}

static bool
write_other_type(struct cm_blob rdn, struct cm_buf *out)
{
	for (size_t i = 0; i < CM_COUNT(type_names); i++)
		if (rename_type(rdn, type_names[i].ads, type_names[i].theirs, out))
			return true;
	return false;
}

#define RDNS_MAX	64

static bool
reverse_rdns(struct cm_blob name, struct cm_buf *out)
{
	struct cm_blob rdns[RDNS_MAX];
	size_t n = 0;

	while (n < RDNS_MAX && next_rdn(&name, &rdns[n]))
		n++;
	if (n < 2 || name.ptr != NULL)
		return false;
	for (size_t i = n; i-- > 0;) {
		cm_buf_add_blob(out, rdns[i]);
		if (i > 0)
			cm_buf_add_byte(out, ',');
	}
	return true;
}

/* OpenSSL's old form: "/C=US/O=Example". */
static bool
slashes_to_commas(struct cm_blob name, struct cm_buf *out)
{
	if (name.len < 2 || name.ptr[0] != '/')
		return false;
	for (size_t i = 1; i < name.len; i++)
		cm_buf_add_byte(out, name.ptr[i] == '/' ? ',' : name.ptr[i]);
	return true;
}

static bool
commas_to_slashes(struct cm_blob name, struct cm_buf *out)
{
	struct cm_blob rdn;

	while (next_rdn(&name, &rdn)) {
		cm_buf_add_byte(out, '/');
		cm_buf_add_blob(out, rdn);
	}
	return true;
}

/* RFC 4514's backslashes, where AD has quotes: "O=Foo\, Inc" and O="Foo, Inc". */
static bool
write_quotes(struct cm_blob rdn, struct cm_buf *out)
{
	const uint8_t *equals = memchr(rdn.ptr, '=', rdn.len);
	size_t i = equals != NULL ? (size_t)(equals - rdn.ptr) + 1 : 0;

	if (equals == NULL || memchr(rdn.ptr, '\\', rdn.len) == NULL)
		return false;
	cm_buf_add(out, rdn.ptr, i);
	cm_buf_add_byte(out, '"');
	for (; i < rdn.len; i++) {
		if (rdn.ptr[i] == '\\' && i + 1 < rdn.len)
			i++;
		if (rdn.ptr[i] == '"')
			cm_buf_add_byte(out, '"');
		cm_buf_add_byte(out, rdn.ptr[i]);
	}
	cm_buf_add_byte(out, '"');
	return true;
}

static bool
write_backslashes(struct cm_blob rdn, struct cm_buf *out)
{
	const uint8_t *equals = memchr(rdn.ptr, '=', rdn.len);
	size_t i = equals != NULL ? (size_t)(equals - rdn.ptr) + 1 : 0;

	if (equals == NULL || i + 1 >= rdn.len || rdn.ptr[i] != '"' || rdn.ptr[rdn.len - 1] != '"')
		return false;
	cm_buf_add(out, rdn.ptr, i);
	for (i++; i + 1 < rdn.len; i++) {
		if (strchr(",+\"<>;#=", rdn.ptr[i]) != NULL && rdn.ptr[i] != '\0')
			cm_buf_add_byte(out, '\\');
		cm_buf_add_byte(out, rdn.ptr[i]);
		if (rdn.ptr[i] == '"')	/* written twice inside quotes */
			i++;
	}
	return true;
}

/* ---- serial numbers, hashes, key identifiers */

static bool
is_hex(struct cm_blob v)
{
	for (size_t i = 0; i < v.len; i++)
		if (strchr("0123456789abcdefABCDEF", v.ptr[i]) == NULL || v.ptr[i] == '\0')
			return false;
	return v.len > 0;
}

static bool
plain_hex(struct cm_blob text, struct cm_buf *out)
{
	const size_t before = text.len, start = out->len;

	if (starts_with(text, "0x"))
		text = from(text, 2);
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] != ':' && text.ptr[i] != '-' && !cm_is_space(text.ptr[i]))
			cm_buf_add_byte(out, text.ptr[i]);
	return out->len - start < before && out->len > start &&
	    is_hex((struct cm_blob){ out->ptr + start, out->len - start });
}

static bool
colon_hex(struct cm_blob text, struct cm_buf *out)
{
	if (!is_hex(text) || text.len % 2 != 0)
		return false;
	for (size_t i = 0; i < text.len; i += 2) {
		if (i > 0)
			cm_buf_add_byte(out, ':');
		cm_buf_add(out, text.ptr + i, 2);
	}
	return true;
}

static bool
reverse_bytes(struct cm_blob text, struct cm_buf *out)
{
	if (!is_hex(text) || text.len % 2 != 0 || text.len < 4)
		return false;
	for (size_t i = text.len; i > 0; i -= 2)
		cm_buf_add(out, text.ptr + i - 2, 2);
	return true;
}

static bool
decimal_to_serial(struct cm_blob text, struct cm_buf *out)
{
	char digits[64];
	uint8_t bytes[32];
	BIGNUM *n = NULL;
	int len = 0;

	if (text.len == 0 || text.len >= sizeof(digits) ||
	    strspn(memcpy(digits, text.ptr, text.len), "0123456789") < text.len)
		return false;
	digits[text.len] = '\0';
	if (BN_dec2bn(&n, digits) > 0 && BN_num_bytes(n) <= (int)sizeof(bytes))
		len = BN_bn2bin(n, bytes);
	BN_free(n);
	for (int i = len; i-- > 0;)
		cm_buf_add_hex(out, (struct cm_blob){ &bytes[i], 1 });
	return len > 0;
}

static bool
serial_to_decimal(struct cm_blob text, struct cm_buf *out)
{
	uint8_t bytes[32], right[32];
	const size_t digits = cm_hex_parse(text, bytes, sizeof(bytes));
	BIGNUM *n = NULL;
	char *decimal = NULL;

	if (digits == SIZE_MAX || digits % 2 != 0 || digits / 2 > sizeof(bytes))
		return false;
	for (size_t i = 0; i < digits / 2; i++)
		right[i] = bytes[digits / 2 - 1 - i];
	n = BN_bin2bn(right, (int)(digits / 2), NULL);
	decimal = n != NULL ? BN_bn2dec(n) : NULL;
	if (decimal != NULL)
		cm_buf_add_str(out, decimal);
	OPENSSL_free(decimal);
	BN_free(n);
	return decimal != NULL;
}

/* DER's sign octet, reversed: the last. */
static bool
drop_sign_octet(struct cm_blob text, struct cm_buf *out)
{
	if (!is_hex(text) || text.len < 4 || memcmp(text.ptr + text.len - 2, "00", 2) != 0)
		return false;
	cm_buf_add(out, text.ptr, text.len - 2);
	return true;
}

static bool
add_sign_octet(struct cm_blob text, struct cm_buf *out)
{
	if (!is_hex(text) || text.len % 2 != 0 || text.len < 2 ||
	    strchr("89abcdefABCDEF", text.ptr[text.len - 2]) == NULL)
		return false;
	cm_buf_add_blob(out, text);
	cm_buf_add_str(out, "00");
	return true;
}

/* A new mistake is one row here. */
static const struct cm_mistake mistakes[] = {
	{ { "outer_space", "a space at the start or end of it, or of a part of it" }, CM_MISTAKE_IN_VALUE, drop_outer_space, NULL },
	{ { "tag_space", "a space after X509:" }, CM_MISTAKE_IN_VALUE, drop_space_before_tag, NULL },
	{ { "x509_missing", "X509: is missing before it" }, CM_MISTAKE_IN_VALUE, add_x509, drop_x509 },
	{ { "kerberos_missing", "Kerberos: is missing before it" }, CM_MISTAKE_IN_VALUE, add_kerberos, drop_kerberos },
	{ { "slash_form", "the name is in OpenSSL's old form with slashes" }, CM_MISTAKE_IN_NAME, slashes_to_commas, commas_to_slashes },
	{ { "space_after_comma", "a space stands after a comma of the name" }, CM_MISTAKE_IN_NAME, drop_comma_space, add_comma_space },
	{ { "rfc4514_order", "the name stands in RFC 4514's order, the most specific part first: AD wants the root first" },
	    CM_MISTAKE_IN_NAME, reverse_rdns, reverse_rdns },
	{ { "st_for_s", "ST stands in the name where AD writes S" }, CM_MISTAKE_IN_RDN, write_s, write_st },
	{ { "attribute_names", "an attribute of the name is not called as AD calls it" }, CM_MISTAKE_IN_RDN, write_ad_type, write_other_type },
	{ { "escaping", "the name has RFC 4514's backslashes where AD has quotes" }, CM_MISTAKE_IN_RDN, write_quotes, write_backslashes },
	{ { "serial_form", "the serial number has colons, spaces or 0x" }, CM_MISTAKE_IN_SERIAL, plain_hex, colon_hex },
	{ { "serial_decimal", "the serial number is decimal: AD wants its bytes in hex, reversed" },
	    CM_MISTAKE_IN_SERIAL, decimal_to_serial, serial_to_decimal },
	{ { "serial_not_reversed", "the serial number's bytes are not reversed" }, CM_MISTAKE_IN_SERIAL, reverse_bytes, reverse_bytes },
	{ { "serial_sign", "the serial number has DER's sign octet 00" }, CM_MISTAKE_IN_SERIAL, drop_sign_octet, add_sign_octet },
	{ { "hash_form", "the hash has colons or spaces" }, CM_MISTAKE_IN_HASH, plain_hex, colon_hex },
};

const struct cm_mistake *
cm_mistakes(size_t *count)
{
	*count = CM_COUNT(mistakes);
	return mistakes;
}

/* Rewrite the pieces that it may stand in, and copy the others. */
bool
cm_mistake_rewrite(const struct cm_mistake *m, cm_rewrite f, struct cm_blob v, struct cm_buf *out)
{
	static const char *const tags[][2] = {
		[CM_MISTAKE_IN_NAME] = { "I", "S" }, [CM_MISTAKE_IN_RDN] = { "I", "S" }, [CM_MISTAKE_IN_SERIAL] = { "SR", "SR" },
		[CM_MISTAKE_IN_HASH] = { "SKI", "SHA1-PUKEY" },
	};
	struct cm_tagged p;
	bool changed = false;

	if (f == NULL || m->where == CM_MISTAKE_IN_VALUE)
		return f != NULL && f(v, out);
	while (cm_tagged_next(&v, &p)) {
		const bool meant = p.tag.len > 0 && (cm_blob_equal_caseless(p.tag, cm_blob_str(tags[m->where][0])) ||
		    cm_blob_equal_caseless(p.tag, cm_blob_str(tags[m->where][1])));
		const size_t start = add_tag(p.tag, out);

		if (meant && (m->where == CM_MISTAKE_IN_RDN ? each_rdn(p.text, f, out) : f(p.text, out))) {
			changed = true;
			continue;
		}
		cm_buf_truncate(out, start);
		cm_buf_add_blob(out, p.text);
	}
	return changed && cm_buf_status(out) == CM_OK;
}
