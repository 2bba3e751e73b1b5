/*
 * tests/fuzz/fuzz_adname.c - any name as Active Directory writes it: what is
 * written says again what the name holds, so that no two names share a text.
 * Each attribute is an octet (1: in the RDN of the one before, 2: no text), its
 * OID's content octets and its value, each behind an octet with its length.
 */
#include <stdlib.h>

#include "mapper/dn_internal.h"

#define ATTRS_MAX	32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *at, *end;
};

/* Behind its length; as much as there is. */
static struct cm_blob
take(struct input *in)
{
	struct cm_blob v = { NULL, 0 };

	if (in->at == in->end)
		return v;
	v.len = *in->at++;
	if (v.len > (size_t)(in->end - in->at))
		v.len = (size_t)(in->end - in->at);
	v.ptr = in->at;
	in->at += v.len;
	return v;
}

static size_t
make_attrs(struct input *in, struct cm_cert_attr attrs[ATTRS_MAX])
{
	size_t n = 0;

	while (in->at < in->end && n < ATTRS_MAX) {
		const uint8_t how = *in->at++;
		const struct cm_blob oid = take(in);

		/* card/ lets no other through: X.690 section 8.19.2 */
		if (oid.len == 0 || (oid.ptr[oid.len - 1] & 0x80) != 0)
			break;
		attrs[n] = (struct cm_cert_attr){ .oid = oid, .value = take(in), .text = (how & 2) == 0,
			.rdn = n == 0 ? 0 : attrs[n - 1].rdn + ((how & 1) == 0) };
		n++;
	}
	return n;
}

/* The value as its reader would have it, quotes and doubled quotes undone; in stands behind it then. */
static void
read_value(struct input *in, const struct cm_cert_attr *a, struct cm_buf *out)
{
	const bool quoted = in->at < in->end && *in->at == '"';
	const size_t len = a->text ? a->value.len : 1 + 2 * a->value.len;

	if (!quoted) {
		if (len > (size_t)(in->end - in->at))
			abort();
		/* no "=" and no "," stands bare in a value: where the next begins is plain */
		for (size_t i = 0; a->text && i < a->value.len; i++)
			if (memchr(",=\"+<>#;\r\n", a->value.ptr[i], 10) != NULL)
				abort();
		cm_buf_add(out, in->at, len);
		in->at += len;
		return;
	}
	for (in->at++; in->at < in->end; in->at++) {
		if (*in->at == '"' && (++in->at == in->end || *in->at != '"'))
			return;
		cm_buf_add_byte(out, *in->at);
	}
	abort();	/* no quote at the end */
}

static void
check_value(struct input *in, const struct cm_cert_attr *a)
{
	struct cm_buf b = { 0 };

	read_value(in, a, &b);
	if (a->text && b.len != a->value.len)
		abort();
	for (size_t i = 0; a->text && i < b.len; i++) {
		const uint8_t c = a->value.ptr[i];

		if (b.ptr[i] != (c == '\r' || c == '\n' ? ',' : c))
			abort();
	}
	cm_buf_free(&b);
}

/* "TYPE=VALUE", parted by "," between RDNs and by a space within one. */
static void
check_text(const struct cm_cert_name *n, struct cm_blob text)
{
	struct input in = { text.ptr, text.ptr + text.len };

	for (size_t i = 0; i < n->count; i++) {
		const char parted = i > 0 && n->attrs[i].rdn == n->attrs[i - 1].rdn ? ' ' : ',';
		const uint8_t *equals;

		if (i > 0 && (in.at == in.end || *in.at++ != parted))
			abort();
		if ((equals = memchr(in.at, '=', (size_t)(in.end - in.at))) == NULL ||
		    memchr(in.at, ' ', (size_t)(equals - in.at)) != NULL)
			abort();
		in.at = equals + 1;
		check_value(&in, &n->attrs[i]);
	}
	if (in.at != in.end)
		abort();
}

/* CERT_NAME_STR_CRLF_FLAG makes no quotes of a CR alone: then a comma stands bare. */
static bool
holds(const struct cm_cert_name *n, int octet)
{
	for (size_t i = 0; i < n->count; i++)
		if (n->attrs[i].text && n->attrs[i].value.len > 0 &&
		    memchr(n->attrs[i].value.ptr, octet, n->attrs[i].value.len) != NULL)
			return true;
	return false;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cm_cert_attr attrs[ATTRS_MAX];
	struct input in = { data, data + size };
	const struct cm_cert_name n = { .attrs = attrs, .count = make_attrs(&in, attrs) };
	struct cm_buf b = { 0 };
	const enum cm_err err = cm_name_ad(&n, &b);

	if ((err == CM_ERR_ABSENT) != (n.count == 0) || (err == CM_ERR_SYNTAX) != holds(&n, '\0'))
		abort();
	if (err == CM_OK && (holds(&n, '\n') || holds(&n, '\r')) && memchr(b.ptr, '\n', b.len) != NULL)
		abort();
	if (err == CM_OK && !holds(&n, '\r'))
		check_text(&n, cm_buf_blob(&b));
	cm_buf_free(&b);
	return 0;
}
