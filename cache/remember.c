/* cache/remember.c - a complete login is kept, by who judged its chain. */
#include <openssl/evp.h>

#include "cache/accounts_internal.h"

/* Of a chain that was verified: what is kept so that nobody need decode it again. */
struct links {
	uint8_t octets[CM_CHAIN_MAX][64];
	struct cm_blob rows[CM_CHAIN_MAX];
};

static enum cm_err
make_link(const struct cm_cert *c, const struct cm_cert *issuer, struct links *l, struct cm_kept_card *card)
{
	const struct cm_blob serial = cm_cert_serial(c), spki = cm_cert_spki(issuer);
	uint8_t *link = l->octets[card->link_count];

	if (serial.len < 1 || serial.len > 32)
		return CM_ERR_STATE;
	if (EVP_Digest(spki.ptr, spki.len, link, NULL, EVP_sha256(), NULL) != 1)
		return CM_ERR_NOMEM;
	memcpy(link + 32, serial.ptr, serial.len);
	l->rows[card->link_count++] = (struct cm_blob){ link, 32 + serial.len };
	return CM_OK;
}

static enum cm_err
link_chain(const struct cm_blob *chain, size_t count, struct links *l, struct cm_kept_card *card)
{
	struct cm_cert *c = NULL, *issuer = NULL;
	enum cm_err err = CM_OK;

	if (count > CM_CHAIN_MAX)
		return CM_ERR_STATE;
	for (size_t i = 0; err == CM_OK && i < count; i++) {
		cm_cert_free(&c);
		c = issuer;
		issuer = NULL;
		if ((err = cm_cert_decode(chain[i], NULL, &issuer)) != CM_OK)
			break;
		if (i == 0 || cm_cert_not_after(issuer) < card->not_after)
			card->not_after = cm_cert_not_after(issuer);
		if (c != NULL)
			err = make_link(c, issuer, l, card);
	}
	if (card->not_after < 0)
		card->not_after = 0;
	card->links = l->rows;
	cm_cert_free(&issuer);
	cm_cert_free(&c);
	return err;
}

enum cm_err
cm_accounts_remember(struct cm_accounts *s, const struct cm_remember *r, struct cm_trace *t)
{
	struct cm_store_login l = {
		.account = r->account, .cert_sha256 = cm_cert_sha256(r->cert),
		.cert_der = cm_cert_der(r->cert), .signed_time = r->signed_time, .now = r->now,
		.account_online = r->account_online, .card = r->card,
	};
	struct links links;
	enum cm_err err;

	if (!cm_verdict_passes(r->verdict, r->cert))
		return CM_ERR_STATE;
	l.chain = cm_verdict_chain(r->verdict, &l.chain_count);
	l.evidence = cm_verdict_evidence(r->verdict, &l.evidence_count);
	l.card.links = NULL;
	l.card.link_count = 0;
	l.card.not_after = 0;
	if ((err = link_chain(l.chain, l.chain_count, &links, &l.card)) != CM_OK)
		return err;
	return cm_accounts_keep(s, &l, t);
}
