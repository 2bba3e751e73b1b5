/* cache/cards.c - what is kept for who parses no certificate: a card recognised, a row judged, a login of typed facts. */
#include <openssl/evp.h>
#include <stdlib.h>

#include "cache/accounts_internal.h"
#include "cache/slots.h"
#include "card/card.h"

#define GUID_SIZE	16
#define CERTIFICATE_MAX	((size_t)16384)

/* The row stepped to counts: of 9A before all others, which come in order. */
static enum cm_err
recognise_row(struct cm_accounts *s, sqlite3_stmt *q, bool named, struct cm_trace *t, struct cm_recognised *out)
{
	struct cm_account_row r = { .account = { .group_count = 0 } };
	struct cm_kept_slot k;
	enum cm_err err;

	if ((err = cm_account_row_read(s, q, t, &r)) == CM_OK &&
	    (err = cm_slots_find(s, r.v[CM_ROW_CERT_SHA256].bytes, t, &k)) == CM_OK &&
	    (named || k.unnamed) && (out->slot == 0 || (!named && k.slot == CM_SLOT_AUTHENTICATION))) {
		cm_buf_truncate(&out->certificate, 0);
		cm_buf_add_blob(&out->certificate, r.v[CM_ROW_CERT].bytes);
		out->slot = k.slot;
		out->global_pin = r.v[CM_ROW_GLOBAL_PIN].n != 0;
		err = cm_buf_status(&out->certificate);
	}
	cm_account_row_clear(&r);
	return err;
}

/* The card may have been issued anew, so that there are several of a slot.  A row without a key proves nothing offline: its card is read. */
enum cm_err
cm_accounts_recognise(struct cm_accounts *s, struct cm_blob guid, const char *user, struct cm_trace *t, struct cm_recognised *out)
{
	const struct cm_column v[] = { cm_value_blob(guid), cm_value_text(user != NULL ? user : "") };
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	*out = (struct cm_recognised){ .slot = 0 };
	if (s->remote != NULL)
		return CM_ERR_STATE;
	if (guid.len != GUID_SIZE || s->version < CM_STORE_VERSION)
		return CM_ERR_ABSENT;
	if ((err = cm_store_prepare(s, "SELECT * FROM account WHERE guid = ?1 AND length(key) > 0 AND (?2 = '' OR name = ?2)"
	    " ORDER BY last_online DESC LIMIT 64", v, CM_COUNT(v), t, &q)) != CM_OK)
		return err;
	while ((err = cm_store_step(s, q, t)) == CM_OK && out->slot != CM_SLOT_AUTHENTICATION &&
	    (err = recognise_row(s, q, user != NULL, t, out)) == CM_OK)
		if (user != NULL)
			break;
	sqlite3_finalize(q);
	if (err == CM_ERR_ABSENT && out->slot != 0)
		err = CM_OK;
	if (err != CM_OK)
		cm_buf_free(&out->certificate);
	return err;
}

enum cm_err
cm_accounts_mistook(struct cm_accounts *s, struct cm_blob certificate, struct cm_trace *t)
{
	uint8_t sha256[32];
	const struct cm_column key = cm_value_blob((struct cm_blob){ sha256, sizeof(sha256) });
	struct cm_account_row r = { .account = { .group_count = 0 } };
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	if (s->remote != NULL || s->version < CM_STORE_VERSION)
		return CM_ERR_STATE;
	if (EVP_Digest(certificate.ptr, certificate.len, sha256, NULL, EVP_sha256(), NULL) != 1)
		return CM_ERR_NOMEM;
	if ((err = cm_store_prepare(s, "SELECT * FROM account WHERE cert_sha256 = ?1", &key, 1, t, &q)) == CM_OK &&
	    (err = cm_store_step(s, q, t)) == CM_OK && (err = cm_account_row_read(s, q, t, &r)) == CM_OK) {
		r.v[CM_ROW_GUID] = cm_value_blob((struct cm_blob){ NULL, 0 });
		err = cm_store_put(s, "account", r.v, CM_ROW_COLUMNS, t);
	}
	cm_account_row_clear(&r);
	sqlite3_finalize(q);
	return err;
}

void
cm_kept_row_free(struct cm_kept_row **r)
{
	if (*r == NULL)
		return;
	cm_account_free(&(*r)->account);
	cm_blob_free(&(*r)->card.guid);
	cm_blob_free(&(*r)->card.key);
	for (size_t i = 0; i < (*r)->card.link_count; i++)
		cm_blob_free((struct cm_blob *)(uintptr_t)&(*r)->card.links[i]);
	free((struct cm_blob *)(uintptr_t)(*r)->card.links);
	free((*r)->why);
	free(*r);
	*r = NULL;
}

static enum cm_err
copy_links(const struct cm_account_row *r, struct cm_kept_card *card)
{
	struct cm_blob links[CM_CHAIN_MAX], *copy;
	size_t count = 0;
	enum cm_err err = CM_OK;

	if (!cm_account_row_links(r->v[CM_ROW_LINKS].bytes, links, &count))
		return CM_ERR_SYSTEM;
	if (count == 0)
		return CM_OK;
	if ((copy = calloc(count, sizeof(*copy))) == NULL)
		return CM_ERR_NOMEM;
	card->links = copy;
	for (; err == CM_OK && card->link_count < count; card->link_count++)
		err = cm_blob_copy(links[card->link_count], &copy[card->link_count]);
	return err;
}

static enum cm_err
copy_row(const struct cm_account_row *r, struct cm_kept_row *out)
{
	enum cm_err err;

	out->card.global_pin = r->v[CM_ROW_GLOBAL_PIN].n != 0;
	out->card.not_after = r->v[CM_ROW_NOT_AFTER].n;
	if ((err = cm_account_copy(&r->account, &out->account)) != CM_OK ||
	    (err = cm_blob_copy(r->v[CM_ROW_GUID].bytes, &out->card.guid)) != CM_OK ||
	    (err = cm_blob_copy(r->v[CM_ROW_KEY].bytes, &out->card.key)) != CM_OK)
		return err;
	return copy_links(r, &out->card);
}

/* In a trace of its own: that it cannot be used need be no reason for anything. */
static enum cm_err
judge_row(struct cm_accounts *s, const struct cm_account_row *r, time_t now, struct cm_kept_row *out)
{
	struct cm_trace *t = NULL;
	enum cm_err err;

	if ((err = cm_trace_new(&t)) != CM_OK)
		return err;
	out->usable = cm_accounts_check_row(s, r, now, t, &out->age);
	out->reason = cm_trace_reason(t);
	out->why = strdup(cm_trace_message(t));
	cm_trace_free(&t);
	return out->why != NULL && out->usable != CM_ERR_NOMEM ? CM_OK : CM_ERR_NOMEM;
}

enum cm_err
cm_accounts_find_row(struct cm_accounts *s, struct cm_blob certificate, time_t now, struct cm_trace *t, struct cm_kept_row **out)
{
	uint8_t sha256[32];
	const struct cm_column key = cm_value_blob((struct cm_blob){ sha256, sizeof(sha256) });
	struct cm_account_row r = { .account = { .group_count = 0 } };
	struct cm_kept_row *kept = NULL;
	sqlite3_stmt *q = NULL;
	enum cm_err err = CM_ERR_NOMEM;

	*out = NULL;
	if (s->remote != NULL)
		return CM_ERR_STATE;
	if (EVP_Digest(certificate.ptr, certificate.len, sha256, NULL, EVP_sha256(), NULL) != 1 ||
	    (err = cm_store_prepare(s, "SELECT * FROM account WHERE cert_sha256 = ?1", &key, 1, t, &q)) != CM_OK ||
	    (err = cm_store_step(s, q, t)) != CM_OK || (err = cm_account_row_read(s, q, t, &r)) != CM_OK)
		goto out;
	if (!cm_blob_equal(r.v[CM_ROW_CERT].bytes, certificate)) {
		err = cm_store_damaged(s, t, "a kept account");
		goto out;
	}
	if ((kept = calloc(1, sizeof(*kept))) == NULL) {
		err = CM_ERR_NOMEM;
		goto out;
	}
	if ((err = copy_row(&r, kept)) == CM_OK && (err = judge_row(s, &r, now, kept)) == CM_OK) {
		*out = kept;
		kept = NULL;
	}
out:
	cm_kept_row_free(&kept);
	cm_account_row_clear(&r);
	sqlite3_finalize(q);
	return err;
}

/* A row that is damaged holds it too. */
enum cm_err
cm_accounts_find_holder(struct cm_accounts *s, uid_t uid, const char *name, struct cm_trace *t, char **holder)
{
	const struct cm_column v[] = { cm_value_int(uid), cm_value_text(name) };
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	*holder = NULL;
	if (s->remote != NULL)
		return CM_ERR_STATE;
	if ((err = cm_store_prepare(s, "SELECT name FROM account WHERE uid = ?1 AND name <> ?2 LIMIT 1", v, CM_COUNT(v), t,
	    &q)) == CM_OK && (err = cm_store_step(s, q, t)) == CM_OK &&
	    (*holder = strndup((const char *)sqlite3_column_text(q, 0), (size_t)sqlite3_column_bytes(q, 0))) == NULL)
		err = CM_ERR_NOMEM;
	sqlite3_finalize(q);
	return err;
}

enum cm_err
cm_accounts_find_evidence(struct cm_accounts *s, struct cm_blob link, struct cm_trace *t, struct cm_evidence *out)
{
	if (s->remote != NULL || link.len < 33 || link.len > 64)
		return CM_ERR_STATE;
	return cm_evidence_find(s, (struct cm_blob){ link.ptr, 32 }, (struct cm_blob){ link.ptr + 32, link.len - 32 }, t, out);
}

static bool
is_whole(const struct cm_remember_apart *r)
{
	const struct cm_kept_card *c = &r->card;

	if (r->certificate.len == 0 || r->certificate.len > CERTIFICATE_MAX || r->chain_count > CM_CHAIN_MAX ||
	    (r->chain_count > 0 && !cm_blob_equal(r->chain[0], r->certificate)) || (c->guid.len != 0 && c->guid.len != GUID_SIZE) ||
	    c->key.len > CM_KEPT_KEY_MAX || c->link_count > CM_CHAIN_MAX || c->not_after < 0)
		return false;
	for (size_t i = 0; i < c->link_count; i++)
		if (c->links[i].len < 33 || c->links[i].len > 64)
			return false;
	return true;
}

enum cm_err
cm_accounts_remember_apart(struct cm_accounts *s, const struct cm_remember_apart *r, struct cm_trace *t)
{
	const bool guarded = s->guarded;
	uint8_t sha256[32];
	const struct cm_store_login l = {
		.account = r->account, .cert_sha256 = { sha256, sizeof(sha256) }, .cert_der = r->certificate,
		.chain = r->chain, .chain_count = r->chain_count, .evidence = r->evidence, .evidence_count = r->evidence_count,
		.card = r->card, .signed_time = r->signed_time, .now = r->now, .account_online = r->account_online,
		.mobile = r->mobile,
	};
	enum cm_err err;

	if (!is_whole(r))
		return CM_ERR_STATE;
	if (EVP_Digest(r->certificate.ptr, r->certificate.len, sha256, NULL, EVP_sha256(), NULL) != 1)
		return CM_ERR_NOMEM;
	s->guarded = true;
	err = cm_accounts_keep(s, &l, t);
	s->guarded = guarded;
	return err;
}
