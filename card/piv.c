/* card/piv.c - the PIV card application: its objects and its PIN (NIST SP 800-73-4). */
#include <limits.h>
#include <zlib.h>

#include "card/card_internal.h"

#define INS_SELECT	0xA4
#define INS_GET_DATA	0xCB

#define TAG_OBJECT	0x53	/* what GET DATA wraps every object in but the discovery object */
#define TAG_FASCN	0x30
#define TAG_GUID	0x34
#define OBJECT_DISCOVERY 0x7E
#define OBJECT_CHUID	0x5FC102
#define OBJECT_KEY_HISTORY 0x5FC10C
#define OBJECT_RETIRED	0x5FC10D	/* of slot 82; those of the others follow */

/* --- SELECT --- */

/* SP 800-73-4 Part 1, 2.2: RID, then the PIX without its version, which Part 2, 3.1.1 lets us leave out. */
static const uint8_t aid[] = { 0xA0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00 };
#define RID_LEN	5

/* The AID as in a SELECT, or its PIX alone: both are found, and a version may follow. */
static bool
is_piv(struct cm_blob v)
{
	return (v.len >= sizeof(aid) && memcmp(v.ptr, aid, sizeof(aid)) == 0) ||
	    (v.len >= sizeof(aid) - RID_LEN &&
	    memcmp(v.ptr, aid + RID_LEN, sizeof(aid) - RID_LEN) == 0);
}

/* SP 800-73-4 Part 2, table 3: the application property template. */
static enum cm_err
check_template(struct cm_blob answer, struct cm_trace *t)
{
	struct cm_blob tmpl = { 0 }, name = { 0 };

	if (cm_tlv_only(answer, 0x61, &tmpl) != CM_OK || cm_tlv_find(tmpl, 0x4F, &name) != CM_OK)
		return cm_trace_fail(t, CM_REASON_CARD_MALFORMED,
		    "SELECT was answered without an application property template");
	if (!is_piv(name))
		return cm_trace_fail(t, CM_REASON_CARD_NOT_PIV,
		    "the card selected another application than PIV");
	return CM_OK;
}

static enum cm_err
select_piv(struct cm_card *c, cm_deadline deadline, struct cm_trace *t)
{
	const struct cm_apdu a = { INS_SELECT, 0x04, 0x00, { aid, sizeof(aid) }, true, false };
	struct cm_buf answer = { 0 };
	uint16_t sw = 0;
	enum cm_err err;

	if ((err = cm_apdu_exchange(&c->wire, &c->stats, &a, deadline, t, &answer, &sw)) != CM_OK)
		goto out;
	if (sw != 0x9000)
		err = cm_trace_fail(t, CM_REASON_CARD_NOT_PIV,
		    "the card in \"%s\" answered %04X to SELECT of the PIV application",
		    cm_buf_str(&c->where), sw);
	else
		err = check_template(cm_buf_blob(&answer), t);
out:
	cm_buf_free(&answer);
	return err;
}

/* --- GET DATA: SP 800-73-4 Part 2, 3.1.2 --- */

static enum cm_err
get_data(struct cm_card *c, uint32_t object, bool head, cm_deadline deadline,
    struct cm_trace *t, struct cm_buf *answer, uint16_t *sw)
{
	const uint8_t list[] = { 0x5C, 3, (uint8_t)(object >> 16), (uint8_t)(object >> 8),
		(uint8_t)object };
	const uint8_t list_short[] = { 0x5C, 1, (uint8_t)object };
	struct cm_apdu a = { INS_GET_DATA, 0x3F, 0xFF, { list, sizeof(list) }, true, head };

	if (object <= 0xFF)
		a.data = (struct cm_blob){ list_short, sizeof(list_short) };
	return cm_apdu_exchange(&c->wire, &c->stats, &a, deadline, t, answer, sw);
}

/* SP 800-73-4 Part 1, 3.3.2: which PIN opens the application. */
enum cm_err
cm_piv_discover(struct cm_card *c, cm_deadline deadline, struct cm_trace *t)
{
	struct cm_buf answer = { 0 };
	struct cm_blob object = { 0 }, policy = { 0 };
	uint16_t sw = 0;
	enum cm_err err;

	c->pin_reference = CM_PIN_APPLICATION;
	err = get_data(c, OBJECT_DISCOVERY, false, deadline, t, &answer, &sw);
	if (err != CM_OK || sw != 0x9000)	/* cards of before 2008 have none */
		goto out;
	if (cm_tlv_only(cm_buf_blob(&answer), OBJECT_DISCOVERY, &object) != CM_OK ||
	    cm_tlv_find(object, 0x5F2F, &policy) != CM_OK || policy.len != 2) {
		err = cm_trace_fail(t, CM_REASON_CARD_MALFORMED,
		    "the card's discovery object has no PIN usage policy");
		goto out;
	}
	/* First byte, bit 6: the global PIN opens it too; second byte: it is the one people know. */
	if ((policy.ptr[0] & 0x20) != 0 && policy.ptr[1] == 0x20)
		c->pin_reference = CM_PIN_GLOBAL;
	cm_trace_add(t, "pin", "%s", c->pin_reference == CM_PIN_GLOBAL ? "global" : "application");
out:
	cm_buf_free(&answer);
	return err;
}

/*
 * What vendors' tools write where nobody chose one: S9999F9999F999999F0F1F0000000000300001E, with the last
 * two digits and the LRC as their older and newer versions have them.
 */
static const uint8_t fixed_fascn[][25] = {
	{ 0xD4, 0xE7, 0x39, 0xDA, 0x73, 0x9C, 0xED, 0x39, 0xCE, 0x73, 0x9D, 0x83, 0x68, 0x58, 0x21,
	  0x08, 0x42, 0x10, 0x84, 0x21, 0xC8, 0x42, 0x10, 0xC3, 0xEB },
	{ 0xD4, 0xE7, 0x39, 0xDA, 0x73, 0x9C, 0xED, 0x39, 0xCE, 0x73, 0x9D, 0x83, 0x68, 0x58, 0x21,
	  0x08, 0x42, 0x10, 0x84, 0x21, 0x38, 0x42, 0x10, 0xC3, 0xF5 },
};

static bool
is_fixed(struct cm_blob fascn)
{
	for (size_t i = 0; i < CM_COUNT(fixed_fascn); i++)
		if (cm_blob_equal(fascn, (struct cm_blob){ fixed_fascn[i], sizeof(fixed_fascn[i]) }))
			return true;
	return false;
}

/* SP 800-73-4 Part 1, table 9, as far as it is here: the rest of it was left in the card. */
static bool
find_guid(struct cm_blob in, struct cm_blob *guid)
{
	struct cm_tlv element = { 0 };
	uint32_t tag = 0;
	size_t len = 0;

	if (cm_tlv_head(&in, &tag, &len) != CM_OK || tag != TAG_OBJECT)
		return false;
	while (cm_tlv_next(&in, &element) == CM_OK) {
		if (element.tag == TAG_FASCN && is_fixed(element.value))
			return false;
		if (element.tag == TAG_GUID) {
			*guid = element.value;
			return true;
		}
	}
	return false;
}

/* A card without a CHUID, or with zeros in it, works; it is not recognised the next time. */
static enum cm_err
read_chuid(struct cm_card *c, cm_deadline deadline, struct cm_trace *t)
{
	static const uint8_t zeros[sizeof(c->guid)];
	struct cm_buf answer = { 0 }, hex = { 0 };
	struct cm_blob guid = { 0 };
	uint16_t sw = 0;
	enum cm_err err;

	err = get_data(c, OBJECT_CHUID, true, deadline, t, &answer, &sw);
	if (err != CM_OK || sw != 0x9000 || !find_guid(cm_buf_blob(&answer), &guid) ||
	    guid.len != sizeof(c->guid) || memcmp(guid.ptr, zeros, sizeof(zeros)) == 0)
		goto out;
	memcpy(c->guid, guid.ptr, sizeof(c->guid));
	c->has_guid = true;
	cm_buf_add_hex(&hex, guid);
	cm_trace_add(t, "guid", "%s", cm_buf_str(&hex));
out:
	cm_buf_free(&hex);
	cm_buf_free(&answer);
	return err;
}

/* What was kept and does not decode is as good as nothing: the card is read. */
static void
recognise(struct cm_card *c, cm_deadline deadline, struct cm_trace *t)
{
	const struct cm_card_recogniser *r = c->recogniser;
	struct cm_card_known known = { 0 };

	if (r == NULL || !c->has_guid)
		return;
	if (r->recognise(r->arg, cm_card_guid(c), deadline, t, &known) == CM_OK &&
	    cm_buf_status(&known.certificate) == CM_OK && known.certificate.len > 0 &&
	    (known.slot == 0 || cm_slot_is_for_login(known.slot)) &&
	    cm_cert_decode(cm_buf_blob(&known.certificate), NULL, &c->known) == CM_OK) {
		c->known_slot = known.slot != 0 ? known.slot : CM_SLOT_AUTHENTICATION;
		c->pin_reference = known.global_pin ? CM_PIN_GLOBAL : CM_PIN_APPLICATION;
		cm_trace_add(t, "recognised", "by its GUID: the certificate is not read again");
	}
	cm_buf_free(&known.certificate);
}

enum cm_err
cm_piv_start(struct cm_card *c, enum cm_card_purpose purpose, cm_deadline deadline,
    struct cm_trace *t)
{
	enum cm_err err;

	c->pin_reference = CM_PIN_APPLICATION;
	if ((err = select_piv(c, deadline, t)) != CM_OK || purpose == CM_CARD_LOOK)
		return err;
	if ((err = read_chuid(c, deadline, t)) != CM_OK)
		return err;
	recognise(c, deadline, t);
	return c->known != NULL ? CM_OK : cm_piv_discover(c, deadline, t);
}

static enum cm_err
piv_open(struct cm_card *c, const char *name, enum cm_card_purpose purpose,
    cm_deadline deadline, struct cm_trace *t)
{
	enum cm_err err;

	if ((err = cm_pcsc_connect(name, deadline, t, &c->wire, &c->where)) != CM_OK)
		return err;
	if (c->recogniser != NULL && c->recogniser->log != NULL) {
		c->log.fd = *c->recogniser->log;
		c->wire.log = &c->log;
	}
	c->reading = purpose == CM_CARD_LOGIN;
	return cm_piv_start(c, purpose, deadline, t);
}

static void
piv_close(struct cm_card *c)
{
	if (c->wire.ops != NULL)
		c->wire.ops->close(c->wire.self, c->locked);
}

/* --- Certificates: SP 800-73-4 Part 1, table 10 and appendix A --- */

static const struct slot_row {
	enum cm_slot slot;
	uint32_t object;	/* Part 1, table 3 */
} slots[] = {
	{ CM_SLOT_AUTHENTICATION,      0x5FC105 },
	{ CM_SLOT_SIGNATURE,           0x5FC10A },
	{ CM_SLOT_KEY_MANAGEMENT,      0x5FC10B },
	{ CM_SLOT_CARD_AUTHENTICATION, 0x5FC101 },
};

/* 0: there is none. */
static uint32_t
object_of(enum cm_slot slot)
{
	for (size_t i = 0; i < CM_COUNT(slots); i++)
		if (slots[i].slot == slot)
			return slots[i].object;
	return slot >= CM_SLOT_RETIRED_FIRST && slot <= CM_SLOT_RETIRED_LAST ?
	    OBJECT_RETIRED + (uint32_t)slot - CM_SLOT_RETIRED_FIRST : 0;
}

static enum cm_err
read_object(struct cm_card *c, enum cm_slot slot, cm_deadline deadline, struct cm_trace *t,
    struct cm_buf *answer)
{
	const uint32_t object = object_of(slot);
	uint16_t sw = 0;
	enum cm_err err;

	if (object == 0)
		return CM_ERR_STATE;
	if ((err = get_data(c, object, false, deadline, t, answer, &sw)) != CM_OK || sw == 0x9000)
		return err;
	/* 6A82: no such object; anything else is not an answer to the question. */
	return cm_trace_fail(t, sw == 0x6A82 ? CM_REASON_CARD_NO_CERTIFICATE : CM_REASON_CARD_MALFORMED,
	    "the card in \"%s\" answered %04X when asked for the certificate of slot %02X",
	    cm_buf_str(&c->where), sw, slot);
}

/* Appendix A: the certificate as gzip; some issuers write the zlib form of it. */
static enum cm_err
inflate_certificate(struct cm_blob in, struct cm_buf *out)
{
	z_stream z = { .next_in = (Bytef *)in.ptr, .avail_in = (uInt)in.len };
	uint8_t piece[4096];
	int rv;

	if (inflateInit2(&z, 32 + MAX_WBITS) != Z_OK)	/* either head is recognised */
		return CM_ERR_NOMEM;
	do {
		z.next_out = piece;
		z.avail_out = sizeof(piece);
		rv = inflate(&z, Z_NO_FLUSH);
		cm_buf_add(out, piece, sizeof(piece) - z.avail_out);
	} while (rv == Z_OK && cm_buf_status(out) == CM_OK);
	inflateEnd(&z);
	if (rv != Z_STREAM_END || z.avail_in != 0)
		return CM_ERR_SYNTAX;
	return cm_buf_status(out);
}

static enum cm_err
malformed(enum cm_slot slot, const char *what, struct cm_trace *t)
{
	return cm_trace_fail(t, CM_REASON_CARD_MALFORMED,
	    "the certificate object of slot %02X %s", slot, what);
}

/* 70 certificate, 71 CertInfo, 72 MSCUID, FE error detection code: nothing is done with the last two. */
static enum cm_err
unwrap_certificate(enum cm_slot slot, struct cm_blob object, struct cm_trace *t,
    struct cm_buf *der)
{
	struct cm_blob all = { 0 }, cert = { 0 }, info = { 0 };
	enum cm_err err;

	if (cm_tlv_only(object, TAG_OBJECT, &all) != CM_OK)
		return malformed(slot, "is not one data object 53", t);
	if ((err = cm_tlv_find(all, 0x70, &cert)) == CM_ERR_SYNTAX ||
	    cm_tlv_find(all, 0x71, &info) == CM_ERR_SYNTAX)
		return malformed(slot, "has wrong lengths, or an element twice", t);
	if (all.len == 0 || (err == CM_OK && cert.len == 0))
		return cm_trace_fail(t, CM_REASON_CARD_NO_CERTIFICATE,
		    "the certificate object of slot %02X is empty", slot);
	if (err != CM_OK)
		return malformed(slot, "has no element 70", t);
	if (info.len > 0 && (info.ptr[0] & 0x01) != 0)
		err = inflate_certificate(cert, der);
	else
		cm_buf_add_blob(der, cert);
	if (err == CM_OK)
		err = cm_buf_status(der);
	return err == CM_ERR_SYNTAX ? malformed(slot, "does not unpack to a certificate", t) : err;
}

static enum cm_err
piv_certificate(struct cm_card *c, enum cm_slot slot, cm_deadline deadline,
    struct cm_trace *t, struct cm_cert **out)
{
	struct cm_buf object = { 0 }, der = { .max = CM_CERT_MAX };
	const bool kept = c->known != NULL && slot == c->known_slot;
	enum cm_err err = kept ? CM_OK : read_object(c, slot, deadline, t, &object);

	if (err == CM_OK && c->reading) {
		c->reading = false;
		err = c->wire.ops->unlock(c->wire.self, deadline, t);
	}
	if (err == CM_OK && kept)
		*out = cm_cert_ref(c->known);
	else if (err == CM_OK &&
	    (err = unwrap_certificate(slot, cm_buf_blob(&object), t, &der)) == CM_OK)
		err = cm_cert_decode(cm_buf_blob(&der), t, out);
	cm_buf_free(&object);
	cm_buf_free(&der);
	return err;
}

/*
 * Who did not send a PIN holds no transaction any more: others may have selected another application since.
 */
static enum cm_err
begin_reading(struct cm_card *c, cm_deadline deadline, struct cm_trace *t)
{
	enum cm_err err;

	if (c->locked || c->reading)
		return CM_OK;
	if ((err = c->wire.ops->lock(c->wire.self, deadline, t)) != CM_OK)
		return err;
	c->reading = true;
	return select_piv(c, deadline, t);
}

static enum cm_err
piv_again(struct cm_card *c, enum cm_slot slot, cm_deadline deadline, struct cm_trace *t, struct cm_cert **out)
{
	const enum cm_err err = begin_reading(c, deadline, t);

	return err == CM_OK ? piv_certificate(c, slot, deadline, t, out) : err;
}

/* SP 800-73-4 Part 1, table 42: C1 is the number of retired keys whose certificates are here, in the first so many objects. */
#define TAG_ON_CARD	0xC1

/* *count: how many of the retired slots are to be looked into. */
static enum cm_err
count_retired(struct cm_card *c, cm_deadline deadline, struct cm_trace *t, unsigned *count)
{
	struct cm_buf answer = { 0 };
	struct cm_blob object = { 0 }, on_card = { 0 };
	uint16_t sw = 0;
	const enum cm_err err = get_data(c, OBJECT_KEY_HISTORY, false, deadline, t, &answer, &sw);

	*count = CM_SLOT_RETIRED_LAST - CM_SLOT_RETIRED_FIRST + 1;
	if (err == CM_OK && sw == 0x9000 && cm_tlv_only(cm_buf_blob(&answer), TAG_OBJECT, &object) == CM_OK &&
	    cm_tlv_find(object, TAG_ON_CARD, &on_card) == CM_OK && on_card.len == 1 && on_card.ptr[0] < *count)
		*count = on_card.ptr[0];
	cm_buf_free(&answer);
	return err;
}

/* What is there and is no certificate, or none for logging in, is noted and passed over. */
static enum cm_err
look_into(struct cm_card *c, enum cm_slot slot, const struct cm_card_slots *wanted, cm_deadline deadline, struct cm_trace *t)
{
	struct cm_buf object = { 0 }, der = { .max = CM_CERT_MAX };
	struct cm_cert *cert = NULL;
	uint16_t sw = 0;
	enum cm_err err;

	if ((err = get_data(c, object_of(slot), false, deadline, t, &object, &sw)) == CM_OK && sw != 0x9000)
		goto out;
	if (err == CM_OK && (err = unwrap_certificate(slot, cm_buf_blob(&object), NULL, &der)) == CM_OK &&
	    (err = cm_cert_decode(cm_buf_blob(&der), NULL, &cert)) == CM_OK) {
		if (cm_cert_is_for_login(cert))
			err = wanted->visit(wanted->arg, slot, cert);
		else
			cm_trace_add(t, "not for logging in", "slot %02X, %s", slot, cm_cert_subject_text(cert));
	} else if (err == CM_ERR_SYNTAX) {
		cm_trace_add(t, "no certificate", "slot %02X: it cannot be read", slot);
		cm_trace_clear_reason(t);
	}
out:
	cm_cert_free(&cert);
	cm_buf_free(&object);
	cm_buf_free(&der);
	return err == CM_ERR_SYNTAX || err == CM_ERR_ABSENT ? CM_OK : err;
}

static enum cm_err
look_into_all(struct cm_card *c, const struct cm_card_slots *wanted, cm_deadline deadline, struct cm_trace *t)
{
	unsigned retired = UINT_MAX;	/* not asked for yet */
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && i < wanted->count; i++) {
		const enum cm_slot slot = wanted->slots[i];

		if (cm_slot_is_retired(slot)) {
			if (retired == UINT_MAX && (err = count_retired(c, deadline, t, &retired)) != CM_OK)
				return err;
			if (slot - CM_SLOT_RETIRED_FIRST >= retired)
				continue;
		}
		err = look_into(c, slot, wanted, deadline, t);
	}
	return err;
}

static enum cm_err
piv_others(struct cm_card *c, const struct cm_card_slots *wanted, cm_deadline deadline, struct cm_trace *t)
{
	enum cm_err err, unlocked;

	if (c->locked)
		return CM_ERR_STATE;
	if ((err = begin_reading(c, deadline, t)) != CM_OK)
		return err;
	err = look_into_all(c, wanted, deadline, t);
	c->reading = false;
	unlocked = c->wire.ops->unlock(c->wire.self, deadline, t);
	return err != CM_OK ? err : unlocked;
}

/* --- The key history object: SP 800-73-4 Part 1, 3.3.3 and table 19 --- */

#define RETIRED_MAX	(CM_SLOT_RETIRED_LAST - CM_SLOT_RETIRED_FIRST + 1)

static bool
take_count(struct cm_blob all, uint32_t tag, unsigned *out)
{
	struct cm_blob v = { 0 };

	if (cm_tlv_find(all, tag, &v) != CM_OK || v.len != 1)
		return false;
	*out = v.ptr[0];
	return true;
}

static enum cm_err
piv_history(struct cm_card *c, cm_deadline deadline, struct cm_trace *t, struct cm_card_history *out)
{
	struct cm_buf answer = { 0 };
	struct cm_blob all = { 0 };
	uint16_t sw = 0;
	enum cm_err err;

	*out = (struct cm_card_history){ 0 };
	err = get_data(c, OBJECT_KEY_HISTORY, false, deadline, t, &answer, &sw);
	if (err == CM_OK && sw == 0x9000 && (cm_tlv_only(cm_buf_blob(&answer), TAG_OBJECT, &all) != CM_OK || (all.len > 0 &&
	    (!take_count(all, 0xC1, &out->with) || !take_count(all, 0xC2, &out->without) || out->with + out->without > RETIRED_MAX)))) {
		*out = (struct cm_card_history){ 0 };
		err = cm_trace_fail(t, CM_REASON_CARD_MALFORMED, "the card's key history object does not say how many retired keys it has");
	}
	cm_buf_free(&answer);
	return err;
}

const struct cm_backend cm_backend_piv = {
	"reader", piv_open, piv_certificate, cm_piv_tries, cm_piv_verify, cm_piv_sign, piv_close,
	piv_again, cm_piv_verify_pad, cm_piv_change, cm_piv_unblock, cm_piv_decipher, piv_history, piv_others,
};
