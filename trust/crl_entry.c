/* trust/crl_entry.c - one entry of a revocation list (RFC 5280 5.1.2.6 and 5.3). */
#include "trust/crl_internal.h"

#define ISSUERS_MAX	1024	/* they are searched one by one, before the signature is known to be right */

/* One entry as it is taken apart. */
struct reading {
	struct cm_blob own;	/* the list's issuer, DER */
	struct cm_buf *names;	/* of the other issuers */
	struct cm_crl_entry *e;
	unsigned seen;		/* rows of the table below */
};

/* 5.3.1: 7 is not used. */
static const char *
read_reason(struct reading *r, struct cm_blob v)
{
	struct cm_blob n;

	if (!cm_der_take(&v, 0x0a, &n) || v.len != 0 || n.len != 1 || n.ptr[0] > CM_CRL_REASON_LAST || n.ptr[0] == 7)
		return "an entry's reasonCode is malformed";
	r->e->reason = n.ptr[0];
	return NULL;
}

static const char *
read_nothing(struct reading *r, struct cm_blob v)
{
	(void)r;
	(void)v;
	return NULL;
}

const char *
cm_crl_entry_issuer(struct cm_buf *names, struct cm_blob name, uint16_t *out)
{
	struct cm_blob left = cm_buf_blob(names), content;
	uint16_t n = 1;

	for (; left.len > 0; n++) {
		const struct cm_blob before = left;

		if (!cm_der_take(&left, 0x30, &content) || n == ISSUERS_MAX)
			return "its entries name more issuers than are kept here";
		if (cm_blob_equal((struct cm_blob){ before.ptr, before.len - left.len }, name)) {
			*out = n;
			return NULL;
		}
	}
	if (names->len + name.len > CM_CRL_ELEMENT_MAX)
		return "its entries name more issuers than are kept here";
	cm_buf_add_blob(names, name);
	*out = n;
	return cm_buf_status(names) == CM_OK ? NULL : "out of memory";
}

/* 5.3.3: GeneralNames with the directoryName of who issued this certificate, and the following ones. */
static const char *
read_issuer(struct reading *r, struct cm_blob v)
{
	struct cm_blob names, rest, name, content;
	struct cm_der d;

	if (!cm_der_take(&v, 0x30, &names) || v.len != 0)
		return "an entry's certificateIssuer is malformed";
	for (; names.len > 0; names = (struct cm_blob){ names.ptr + d.head + d.len, names.len - d.head - d.len }) {
		if (!cm_der_head(names.ptr, names.len, &d) || d.len > names.len - d.head)
			return "an entry's certificateIssuer is malformed";
		if (d.tag != 0xa4)
			continue;
		name = rest = (struct cm_blob){ names.ptr + d.head, d.len };
		if (!cm_der_take(&rest, 0x30, &content) || rest.len != 0)
			return "an entry's certificateIssuer is malformed";
		r->e->issuer = 0;
		return cm_blob_equal(name, r->own) ? NULL : cm_crl_entry_issuer(r->names, name, &r->e->issuer);
	}
	return "an entry's certificateIssuer names no directoryName";
}

/* What is understood of 2.5.29; invalidityDate and holdInstructionCode say nothing that decides. */
static const struct extension {
	uint8_t oid[3];
	const char *(*read)(struct reading *r, struct cm_blob value);
} extensions[] = {
	{ { 0x55, 0x1d, 21 }, read_reason },
	{ { 0x55, 0x1d, 24 }, read_nothing },
	{ { 0x55, 0x1d, 29 }, read_issuer },
};

bool
cm_crl_extension_next(struct cm_blob *in, struct cm_blob *oid, bool *critical, struct cm_blob *value)
{
	struct cm_blob e, flag;

	*critical = false;
	if (!cm_der_take(in, 0x30, &e) || !cm_der_take(&e, 0x06, oid) || oid->len == 0)
		return false;
	/* DEFAULT FALSE should not be written; some write it. */
	if (e.len > 0 && e.ptr[0] == 0x01) {
		if (!cm_der_take(&e, 0x01, &flag) || flag.len != 1 || (flag.ptr[0] != 0 && flag.ptr[0] != 0xff))
			return false;
		*critical = flag.ptr[0] != 0;
	}
	return cm_der_take(&e, 0x04, value) && e.len == 0;
}

static const char *
read_extension(struct reading *r, struct cm_blob oid, bool critical, struct cm_blob value)
{
	for (unsigned i = 0; i < CM_COUNT(extensions); i++) {
		if (!cm_blob_equal(oid, (struct cm_blob){ extensions[i].oid, sizeof(extensions[i].oid) }))
			continue;
		if ((r->seen & 1u << i) != 0)
			return "an entry has the same extension twice";
		r->seen |= 1u << i;
		return extensions[i].read(r, value);
	}
	/* RFC 5280 5.3: one such entry spoils the list. */
	return critical ? "an entry has a critical extension that is not understood" : NULL;
}

static const char *
read_extensions(struct reading *r, struct cm_blob in)
{
	const char *why = NULL;
	struct cm_blob list, oid, value;
	bool critical;

	if (!cm_der_take(&in, 0x30, &list) || in.len != 0 || list.len == 0)
		return "an entry is malformed";
	while (why == NULL && list.len > 0) {
		if (!cm_crl_extension_next(&list, &oid, &critical, &value))
			return "an entry's extension is malformed";
		why = read_extension(r, oid, critical, value);
	}
	return why;
}

static const char *
read_serial(struct cm_blob *in, struct cm_crl_entry *e, size_t *width)
{
	struct cm_blob content, serial;

	if (!cm_der_take(in, 0x02, &content))
		return "an entry is malformed";
	if (content.len > CM_CRL_SERIAL_MAX)
		return "an entry's serial number is longer than 20 octets (RFC 5280 4.1.2.2)";
	if (content.len > 0 && (content.ptr[0] & 0x80) != 0)
		return "an entry's serial number is negative";
	if (!cm_der_unsigned(content, CM_CRL_SERIAL_MAX, &serial))
		return "an entry's serial number is not DER";
	memset(e->serial, 0, sizeof(e->serial));
	memcpy(e->serial + sizeof(e->serial) - serial.len, serial.ptr, serial.len);
	if (serial.len > *width)
		*width = serial.len;
	return NULL;
}

const char *
cm_crl_entry_parse(struct cm_blob der, struct cm_blob own, struct cm_buf *names, struct cm_crl_entry *e,
    size_t *width)
{
	struct reading r = { .own = own, .names = names, .e = e };
	struct cm_blob date = { 0 };
	const char *why;
	uint8_t tag;

	if ((why = read_serial(&der, e, width)) != NULL)
		return why;
	tag = der.len > 0 ? der.ptr[0] : 0;
	if (!cm_der_take(&der, tag, &date) || !cm_der_time(tag, date, &e->revoked_at))
		return "an entry's date is malformed";
	/* In evidence 0 means: not revoked. */
	if (e->revoked_at < 1)
		e->revoked_at = 1;
	e->reason = 0;
	return der.len > 0 ? read_extensions(&r, der) : NULL;
}
