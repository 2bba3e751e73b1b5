/* card/tlv.c - BER-TLV data objects (ISO/IEC 7816-4 5.2.2), a cursor over borrowed bytes. */
#include "card/card_internal.h"

static bool
take(struct cm_blob *in, uint8_t *byte)
{
	if (in->len == 0)
		return false;
	*byte = *in->ptr;
	in->ptr++;
	in->len--;
	return true;
}

/* ISO/IEC 7816-4 5.2.2.1: one to three octets; all further ones but the last have bit 8. */
static bool
take_tag(struct cm_blob *in, uint32_t *tag)
{
	uint8_t byte = 0;

	if (!take(in, &byte))
		return false;
	*tag = byte;
	if ((byte & 0x1F) != 0x1F)
		return true;
	do {
		if (*tag > 0xFFFF || !take(in, &byte))
			return false;
		*tag = *tag << 8 | byte;
	} while ((byte & 0x80) != 0);
	return true;
}

/* 5.2.2.2: up to four octets may follow; the indefinite length is not for cards. */
static bool
take_length(struct cm_blob *in, size_t *len)
{
	uint8_t byte = 0, count = 0;

	if (!take(in, &byte))
		return false;
	*len = byte;
	if (byte < 0x80)
		return true;
	count = byte & 0x7F;
	if (count == 0 || count > 4)
		return false;
	for (*len = 0; count > 0; count--) {
		if (!take(in, &byte))
			return false;
		*len = *len << 8 | byte;
	}
	return true;
}

enum cm_err
cm_tlv_head(struct cm_blob *in, uint32_t *tag, size_t *len)
{
	if (in->len == 0)
		return CM_ERR_ABSENT;
	return take_tag(in, tag) && take_length(in, len) ? CM_OK : CM_ERR_SYNTAX;
}

enum cm_err
cm_tlv_next(struct cm_blob *in, struct cm_tlv *out)
{
	enum cm_err err;
	size_t len = 0;

	if ((err = cm_tlv_head(in, &out->tag, &len)) != CM_OK)
		return err;
	if (len > in->len)
		return CM_ERR_SYNTAX;
	out->value = (struct cm_blob){ in->ptr, len };
	in->ptr += len;
	in->len -= len;
	return CM_OK;
}

enum cm_err
cm_tlv_only(struct cm_blob in, uint32_t tag, struct cm_blob *value)
{
	struct cm_tlv t = { 0 };

	if (cm_tlv_next(&in, &t) != CM_OK || t.tag != tag || in.len != 0)
		return CM_ERR_SYNTAX;
	*value = t.value;
	return CM_OK;
}

enum cm_err
cm_tlv_find(struct cm_blob in, uint32_t tag, struct cm_blob *value)
{
	struct cm_tlv t = { 0 };
	enum cm_err err;
	bool found = false;

	while ((err = cm_tlv_next(&in, &t)) == CM_OK) {
		if (t.tag != tag)
			continue;
		if (found)
			return CM_ERR_SYNTAX;
		*value = t.value;
		found = true;
	}
	if (err != CM_ERR_ABSENT)
		return err;
	return found ? CM_OK : CM_ERR_ABSENT;
}

void
cm_tlv_put(struct cm_buf *out, uint8_t tag, size_t len)
{
	cm_buf_add_byte(out, tag);
	if (len > 0xFF) {
		cm_buf_add_byte(out, 0x82);
		cm_buf_add_byte(out, (uint8_t)(len >> 8));
	} else if (len > 0x7F) {
		cm_buf_add_byte(out, 0x81);
	}
	cm_buf_add_byte(out, (uint8_t)len);
}
