/* trust/ocsp_import.c - OCSP answers from a file, for a host that reaches no responder. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "base/file.h"
#include "trust/ocsp_internal.h"

/* Ten thousand certificates are about a megabyte. */
#define FILE_SIZE_MAX	((size_t)16 << 20)
/* So many that are not taken are told one by one. */
#define TOLD_MAX	100
/* After so many that were kept, how far it is. */
#define PROGRESS_STEP	16

/* One call of cm_ocsp_import_file(). */
struct importing {
	struct cm_trust *tr;
	const struct cm_trust_import *i;
	const struct cm_known *known;
	struct cm_trace *t;
	OCSP_BASICRESP *basic;		/* of the response at hand; owned */
	bool *taken;			/* owned: which of its certificates were looked at */
	size_t size;			/* of the file */
	struct cm_question q;		/* of the CA at hand */
	unsigned good, revoked;		/* that are kept now */
	unsigned refused;		/* that are not, and why the first was not: */
	enum cm_objection objection;
	struct cm_buf why;
	char signer[256];
};

/* Once for each certificate, or for all of them. */
static void
refuse(struct importing *m, unsigned count)
{
	struct cm_buf about;

	cm_buf_init(&about, 0);
	if (m->q.answer.serial_len > 0) {
		cm_buf_add_str(&about, "serial number ");
		cm_buf_add_hex(&about, (struct cm_blob){ m->q.answer.serial, m->q.answer.serial_len });
		cm_buf_add_str(&about, ": ");
	}
	cm_buf_add_blob(&about, cm_buf_blob(&m->q.why));
	if (m->refused < TOLD_MAX)
		cm_trace_add(m->t, "ocsp", "%s: %s [%s]", m->i->path, cm_buf_str(&about), cm_objection_name(m->q.objection));
	if (m->refused == 0) {
		m->objection = m->q.objection;
		cm_buf_add_blob(&m->why, cm_buf_blob(&about));
	}
	m->refused += count;
	cm_buf_free(&about);
}

/* Does what is kept already stand against this answer?  Revoked for good is always heard. */
static bool
is_heard(struct importing *m, const struct cm_evidence *kept)
{
	const struct cm_evidence *e = &m->q.answer;
	char then[CM_TIME_SIZE], now[CM_TIME_SIZE];

	if (e->status == CM_STATUS_REVOKED && (!e->on_hold || !cm_evidence_ends_hold(e, kept)))
		return true;
	if (e->status == CM_STATUS_GOOD && kept->status == CM_STATUS_REVOKED) {
		cm_object(&m->q, kept->on_hold ? CM_OBJECTION_NOT_THE_END_OF_HOLD : CM_OBJECTION_ROLLBACK,
		    "it was %s before, by %s, and an OCSP answer does not end that",
		    kept->on_hold ? "on hold" : "revoked", kept->source);
		return false;
	}
	/* What was kept while this clock was ahead stands in nobody's way. */
	if (e->this_update >= kept->this_update || kept->this_update > m->q.now + CM_CLOCK_SKEW)
		return true;
	cm_object(&m->q, CM_OBJECTION_ROLLBACK, "of %s, older than what is kept: of %s, %s",
	    cm_clock_text(e->this_update, then), cm_clock_text(kept->this_update, now), kept->source);
	return false;
}

static void
tell_progress(const struct importing *m, uint64_t done, uint64_t of)
{
	if (m->i->progress != NULL && of > 0)
		m->i->progress(m->i->arg, m->i->path, m->size * done / of, m->size);
}

/* Revoked for good, it cannot become worse. */
static bool
is_final(const struct cm_evidence *kept)
{
	return kept->status == CM_STATUS_REVOKED && !kept->on_hold;
}

static enum cm_err
keep(struct importing *m)
{
	const struct cm_keeper *k = m->known->keeper;
	struct cm_evidence *e = &m->q.answer, kept = *e;
	enum cm_err err = k->find(k->arg, &kept);

	if (err == CM_OK && !is_heard(m, &kept)) {
		refuse(m, 1);
		return CM_OK;
	}
	if (err == CM_ERR_ABSENT || (err == CM_OK && !is_final(&kept)))
		err = k->keep(k->arg, e);
	if (err != CM_OK)
		return cm_trace_fail(m->t, CM_REASON_SYSTEM, "%s: what it says cannot be kept%s%s", m->i->path,
		    k->why != NULL ? ": " : "", k->why != NULL ? k->why(k->arg) : "");
	if (e->status == CM_STATUS_GOOD)
		m->good++;
	else
		m->revoked++;
	return CM_OK;
}

static enum cm_err
take(struct importing *m, OCSP_SINGLERESP *s)
{
	const struct cm_evidence of_ca = m->q.answer;	/* signer */
	struct cm_evidence *e = &m->q.answer;
	ASN1_INTEGER *serial = NULL;
	enum cm_err err = CM_OK;

	cm_buf_truncate(&m->q.why, 0);
	OCSP_id_get0_info(NULL, NULL, NULL, &serial, (OCSP_CERTID *)(uintptr_t)OCSP_SINGLERESP_get0_id(s));
	if ((err = cm_evidence_name_serial(serial, m->q.issuer, e)) == CM_OK) {
		memcpy(e->signer, of_ca.signer, sizeof(e->signer));
		snprintf(e->source, sizeof(e->source), "OCSP %s", m->i->path);
		e->learned = m->known->now;
		e->status = cm_ocsp_judge_single(&m->q, m->basic, s, NULL);
		e->confirmed = e->this_update;
	} else if (err == CM_ERR_SYNTAX) {
		cm_object(&m->q, CM_OBJECTION_OTHER_CERTIFICATE, "a serial number longer than 20 octets (RFC 5280 4.1.2.2)");
		err = CM_OK;
	}
	if (err == CM_OK && e->status != CM_STATUS_UNKNOWN)
		err = keep(m);
	else if (err == CM_OK)
		refuse(m, 1);
	m->q.answer = of_ca;
	return err;
}

/* Which certificates are this CA's?  How many; each is marked as taken. */
static unsigned
find_of(struct importing *m, const OCSP_CERTID *sha1, const OCSP_CERTID *sha256, bool *mine)
{
	unsigned count = 0;

	for (int i = 0; i < OCSP_resp_count(m->basic); i++) {
		const OCSP_CERTID *id = OCSP_SINGLERESP_get0_id(OCSP_resp_get0(m->basic, i));

		mine[i] = !m->taken[i] && (OCSP_id_issuer_cmp(id, sha1) == 0 || OCSP_id_issuer_cmp(id, sha256) == 0);
		m->taken[i] |= mine[i];
		count += mine[i];
	}
	return count;
}

static enum cm_err
take_mine(struct importing *m, unsigned count, const bool *mine)
{
	enum cm_err err = CM_OK;

	if (!cm_ocsp_signed_well(&m->q, m->basic) || !cm_ocsp_understood(&m->q, m->basic)) {
		refuse(m, count);
		return CM_OK;
	}
	snprintf(m->signer, sizeof(m->signer), "%s", m->q.answer.signer);
	for (int i = 0; err == CM_OK && i < OCSP_resp_count(m->basic); i++) {
		if (mine[i])
			err = take(m, OCSP_resp_get0(m->basic, i));
		if (i % PROGRESS_STEP == PROGRESS_STEP - 1)
			tell_progress(m, (uint64_t)i, (uint64_t)OCSP_resp_count(m->basic));
	}
	return err;
}

static OCSP_CERTID *
name_of(X509 *ca, const EVP_MD *md)
{
	return OCSP_cert_id_new(md, X509_get_subject_name(ca), X509_get0_pubkey_bitstr(ca), NULL);
}

static enum cm_err
visit_ca(void *arg, X509 *ca)
{
	struct importing *m = arg;
	OCSP_CERTID *sha1 = name_of(ca, EVP_sha1()), *sha256 = name_of(ca, EVP_sha256());
	bool *mine = calloc((size_t)OCSP_resp_count(m->basic) + 1, sizeof(*mine));
	enum cm_err err = CM_ERR_NOMEM;
	unsigned count;

	m->q = (struct cm_question){ .trust = m->tr, .known = m->known, .now = cm_known_time(m->known),
	    .issuer = ca, .note = "" };
	if (sha1 != NULL && sha256 != NULL && mine != NULL) {
		count = find_of(m, sha1, sha256, mine);
		err = count > 0 ? take_mine(m, count, mine) : CM_OK;
	}
	cm_buf_free(&m->q.why);
	OCSP_CERTID_free(sha1);
	OCSP_CERTID_free(sha256);
	free(mine);
	return err;
}

/* A response of the file. */
static enum cm_err
import_der(struct importing *m, struct cm_blob der)
{
	struct cm_question q = { .trust = m->tr, .note = "" };
	enum cm_err err = CM_OK;

	if ((m->basic = cm_ocsp_decode(&q, der)) == NULL) {
		err = cm_trace_fail(m->t, CM_REASON_REVOCATION_DATA, "%s: %s", m->i->path, cm_buf_str(&q.why));
	} else {
		m->taken = calloc((size_t)OCSP_resp_count(m->basic) + 1, sizeof(*m->taken));
		err = m->taken == NULL ? CM_ERR_NOMEM :
		    cm_ca_each(m->tr, m->i, cm_known_time(m->known), visit_ca, m);
	}
	free(m->taken);
	OCSP_BASICRESP_free(m->basic);
	m->taken = NULL;
	m->basic = NULL;
	cm_buf_free(&q.why);
	return err;
}

static enum cm_err
import_pem(struct importing *m, struct cm_blob text)
{
	BIO *bio = BIO_new_mem_buf(text.ptr, (int)text.len);
	char *name = NULL, *header = NULL;
	enum cm_err err = bio != NULL ? CM_OK : CM_ERR_NOMEM;
	uint8_t *data = NULL;
	long len;

	ERR_clear_error();
	while (err == CM_OK && PEM_read_bio(bio, &name, &header, &data, &len) == 1) {
		if (strcmp(name, CM_OCSP_PEM) == 0)
			err = import_der(m, (struct cm_blob){ data, (size_t)len });
		OPENSSL_free(name);
		OPENSSL_free(header);
		OPENSSL_free(data);
	}
	if (err == CM_OK && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		err = cm_trace_fail(m->t, CM_REASON_REVOCATION_DATA, "%s: its lines are no PEM", m->i->path);
	ERR_clear_error();
	BIO_free(bio);
	return err;
}

/* What is wrong by itself, and what only does not count here and now. */
static bool
is_wrong(enum cm_objection o)
{
	return o == CM_OBJECTION_SIGNATURE || o == CM_OBJECTION_MALFORMED_DATES || o == CM_OBJECTION_NOT_UNDERSTOOD ||
	    o == CM_OBJECTION_NOT_OCSP;
}

static enum cm_err
tell(struct importing *m, struct cm_buf *out)
{
	const unsigned kept = m->good + m->revoked;

	if (kept == 0) {
		cm_trace_fail(m->t, CM_REASON_REVOCATION_DATA, "%s: %s", m->i->path, m->refused > 0 ? cm_buf_str(&m->why) :
		    "speaks of no certificate of a CA that is known here (trust.anchors, trust.intermediates)");
		return m->refused > 0 && is_wrong(m->objection) ? CM_ERR_SYNTAX : CM_ERR_REFUSED;
	}
	cm_buf_addf(out, "OCSP response of %s, %u certificate%s", m->signer, kept, kept == 1 ? "" : "s");
	if (m->revoked > 0)
		cm_buf_addf(out, ", %u revoked", m->revoked);
	if (m->refused > 0)
		cm_buf_addf(out, "; %u not taken: %s", m->refused, cm_buf_str(&m->why));
	return cm_buf_status(out);
}

enum cm_err
cm_ocsp_import_file(struct cm_trust *tr, const struct cm_trust_import *i, const struct cm_known *known,
    struct cm_trace *t, struct cm_buf *out)
{
	struct importing m = { .tr = tr, .i = i, .known = known, .t = t };
	struct cm_buf file;
	enum cm_err err;

	if (known->keeper == NULL)
		return cm_trace_fail(t, CM_REASON_SYSTEM, "%s: there is no store to keep what it says", i->path);
	cm_buf_init(&file, FILE_SIZE_MAX);
	err = cm_file_read(i->path, FILE_SIZE_MAX, CM_FILE_ANY, t, &file);
	if (err != CM_OK && err != CM_ERR_NOMEM)
		err = cm_trace_fail(t, CM_REASON_SYSTEM, "%s: cannot be read, or is larger than %zu MiB", i->path,
		    FILE_SIZE_MAX >> 20);
	m.size = file.len;
	if (err == CM_OK && file.len > 0)
		err = file.ptr[0] == 0x30 ? import_der(&m, cm_buf_blob(&file)) : import_pem(&m, cm_buf_blob(&file));
	if (err == CM_OK)
		err = tell(&m, out);
	if (err == CM_OK)
		tell_progress(&m, 1, 1);
	cm_buf_free(&m.why);
	cm_buf_free(&file);
	return err;
}
