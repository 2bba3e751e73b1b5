/* mapper/principal.c - the principals among alternative names: a UPN, and PKINIT's own. */
#include "mapper/fields_internal.h"

static const uint8_t upn_oid[] = { 0x2B, 0x06, 0x01, 0x04, 0x01, 0x82, 0x37, 0x14, 0x02, 0x03 };
static const uint8_t pkinit_oid[] = { 0x2B, 0x06, 0x01, 0x05, 0x02, 0x02 };

bool
cm_san_is_upn(const struct cm_cert_san *s)
{
	return s->tag == 0 && cm_blob_equal(s->oid, (struct cm_blob){ upn_oid, sizeof(upn_oid) });
}

bool
cm_san_is_pkinit(const struct cm_cert_san *s)
{
	return s->tag == 0 && cm_blob_equal(s->oid, (struct cm_blob){ pkinit_oid, sizeof(pkinit_oid) });
}

bool
cm_element(struct cm_blob *in, uint8_t tag, struct cm_blob *out)
{
	size_t len, head = 2;

	if (in->len < 2 || in->ptr[0] != tag)
		return false;
	len = in->ptr[1];
	if (len >= 0x80) {	/* X.690 8.1.3.5; 10.1: no longer than needed */
		const size_t octets = len & 0x7F;

		if (octets == 0 || octets > 3 || in->len < 2 + octets)
			return false;
		len = 0;
		for (size_t i = 0; i < octets; i++)
			len = len << 8 | in->ptr[2 + i];
		if (len < 0x80 || (octets > 1 && len >> 8 * (octets - 1) == 0))
			return false;
		head += octets;
	}
	if (len > in->len - head)
		return false;
	*out = (struct cm_blob){ in->ptr + head, len };
	*in = (struct cm_blob){ in->ptr + head + len, in->len - head - len };
	return true;
}

#define GENERAL_STRING	0x1B

/* RFC 4120 section 5.2.2: PrincipalName ::= SEQUENCE { name-type [0] Int32, name-string [1] SEQUENCE OF KerberosString } */
static bool
add_components(struct cm_blob principal, struct cm_buf *out)
{
	struct cm_blob type, number, strings, list, component;
	bool first = true;

	if (!cm_element(&principal, 0xA0, &type) || !cm_element(&type, 0x02, &number) || type.len != 0 ||
	    !cm_element(&principal, 0xA1, &strings) || principal.len != 0 ||
	    !cm_element(&strings, 0x30, &list) || strings.len != 0 || list.len == 0)
		return false;
	while (list.len > 0) {
		if (!cm_element(&list, GENERAL_STRING, &component))
			return false;
		if (!first)
			cm_buf_add_byte(out, '/');
		cm_buf_add_blob(out, component);
		first = false;
	}
	return true;
}

/* RFC 4556 section 3.2.2: KRB5PrincipalName ::= SEQUENCE { realm [0] Realm, principalName [1] PrincipalName } */
static bool
add_krb5(struct cm_blob der, struct cm_buf *out)
{
	struct cm_blob name, tagged, realm, principal;

	if (!cm_element(&der, 0x30, &name) || der.len != 0 ||
	    !cm_element(&name, 0xA0, &tagged) || !cm_element(&tagged, GENERAL_STRING, &realm) ||
	    tagged.len != 0 || !cm_element(&name, 0xA1, &tagged) || name.len != 0 ||
	    !cm_element(&tagged, 0x30, &principal) || tagged.len != 0 || !add_components(principal, out))
		return false;
	cm_buf_add_byte(out, '@');
	cm_buf_add_blob(out, realm);
	return true;
}

enum cm_err
cm_san_principal(const struct cm_cert_san *s, struct cm_buf *out)
{
	struct cm_blob der = s->value, text;
	const size_t start = out->len;
	bool ok;

	if (cm_san_is_upn(s)) {
		ok = cm_element(&der, 0x0C, &text) && der.len == 0;	/* UTF8String */
		if (ok)
			cm_buf_add_blob(out, text);
	} else if (cm_san_is_pkinit(s)) {
		ok = add_krb5(der, out);
	} else {
		return CM_ERR_ABSENT;
	}
	if (!ok) {
		cm_buf_truncate(out, start);
		return CM_ERR_SYNTAX;
	}
	return cm_buf_status(out);
}
