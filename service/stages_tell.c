/* service/stages_tell.c - what the stages found, as fields of a message. */
#include <openssl/evp.h>
#include <stdlib.h>

#include "service/login_internal.h"
#include "service/possession.h"
#include "service/stages.h"

/* A field is shorter than a certificate may be: what people read is cut. */
static enum cm_err
copy_text(const char *text, size_t max, char **out)
{
	size_t len = strnlen(text, max + 1);

	if (len > max)
		for (len = max; len > 0 && ((uint8_t)text[len] & 0xC0) == 0x80;)
			len--;
	*out = strndup(text, len);
	return *out != NULL ? CM_OK : CM_ERR_NOMEM;
}

/* A link: the hash of the issuer's key, and the serial, of cert, by the next one of its chain; not_after is the least so far. */
static enum cm_err
tell_link(struct cm_blob cert, struct cm_blob issuer, struct cm_message *m)
{
	uint8_t link[64];
	struct cm_cert *c = NULL, *by = NULL;
	struct cm_blob serial;
	enum cm_err err;

	if ((err = cm_cert_decode(cert, NULL, &c)) != CM_OK || (err = cm_cert_decode(issuer, NULL, &by)) != CM_OK)
		goto out;
	serial = cm_cert_serial(c);
	if (serial.len > 32 || EVP_Digest(cm_cert_spki(by).ptr, cm_cert_spki(by).len, link, NULL, EVP_sha256(), NULL) != 1) {
		err = CM_ERR_SYNTAX;
		goto out;
	}
	memcpy(link + 32, serial.ptr, serial.len);
	err = cm_blob_copy((struct cm_blob){ link, 32 + serial.len }, &m->links.rows[m->links.count]);
	m->links.count += err == CM_OK;
	if (cm_cert_not_after(by) < (time_t)m->not_after)
		m->not_after = (uint64_t)cm_cert_not_after(by);
out:
	cm_cert_free(&by);
	cm_cert_free(&c);
	return err;
}

static enum cm_err
tell_links(const struct cm_verdict *v, struct cm_message *m)
{
	size_t count = 0;
	const struct cm_blob *chain = cm_verdict_chain(v, &count);
	enum cm_err err = CM_OK;

	if (count < 2 || count > 16)
		return CM_OK;
	if ((m->links.rows = calloc(count, sizeof(*m->links.rows))) == NULL)
		return CM_ERR_NOMEM;
	for (size_t i = 0; err == CM_OK && i + 1 < count; i++)
		err = tell_link(chain[i], chain[i + 1], m);
	return err;
}

enum cm_err
cm_stages_tell_chain(const struct cm_login *l, struct cm_message *m)
{
	const struct cm_here *h = cm_here(l);
	time_t not_after;
	enum cm_err err;

	if (h == NULL || h->cert == NULL || h->verdict == NULL)
		return CM_OK;
	not_after = cm_cert_not_after(h->cert);
	m->not_after = not_after < 0 ? 0 : (uint64_t)not_after;
	if ((err = cm_key_take(h->cert, l->trace, &m->key)) != CM_OK ||
	    (err = copy_text(cm_cert_subject_text(h->cert), 1024, &m->subject)) != CM_OK ||
	    (err = cm_blob_copy(cm_cert_serial(h->cert), &m->serial)) != CM_OK)
		return err;
	return tell_links(h->verdict, m);
}

enum cm_err
cm_stages_tell_facts(const struct cm_facts *said, struct cm_message *m)
{
	struct cm_buf packed = { 0 };
	enum cm_err err;

	cm_facts_pack(said, &packed);
	if ((err = cm_buf_status(&packed)) == CM_OK)
		err = cm_blob_copy(cm_buf_blob(&packed), &m->facts);
	cm_buf_free(&packed);
	return err;
}

enum cm_err
cm_stages_tell_account(const struct cm_login *l, struct cm_message *m)
{
	enum cm_err err;

	if (l->account == NULL)
		return CM_OK;
	m->kept = l->account_kept;
	m->kept_age = l->kept_age > 0 ? (uint64_t)l->kept_age : 0;
	if ((err = cm_stages_tell_facts(&l->said, m)) != CM_OK)
		return err;
	return cm_account_copy(l->account, &m->account);
}

static enum cm_err
tell_octets(const struct cm_blob *rows, size_t count, struct cm_octets_list *out)
{
	enum cm_err err = CM_OK;

	if (count == 0)
		return CM_OK;
	if ((out->rows = calloc(count, sizeof(*out->rows))) == NULL)
		return CM_ERR_NOMEM;
	for (; err == CM_OK && out->count < count; out->count++)
		err = cm_blob_copy(rows[out->count], &out->rows[out->count]);
	return err;
}

enum cm_err
cm_stages_tell_revocation(const struct cm_login *l, struct cm_message *m)
{
	const struct cm_here *h = cm_here(l);
	const struct cm_evidence *e;
	const struct cm_blob *chain;
	size_t count = 0;
	enum cm_err err;

	if (h == NULL || h->verdict == NULL)
		return CM_OK;
	chain = cm_verdict_chain(h->verdict, &count);
	if ((err = tell_octets(chain, count, &m->chain)) != CM_OK)
		return err;
	e = cm_verdict_evidence(h->verdict, &count);
	if (count > 0 && (m->evidence.rows = calloc(count, sizeof(*e))) == NULL)
		return CM_ERR_NOMEM;
	if (count > 0)
		memcpy(m->evidence.rows, e, count * sizeof(*e));
	m->evidence.count = count;
	m->signed_time = cm_verdict_signed_time(h->verdict) > 0 ? (uint64_t)cm_verdict_signed_time(h->verdict) : 0;
	return CM_OK;
}
