/*
 * cache/slots.c - which slot of its card a kept certificate is of: the store's table "slot".
 *
 * A row is a certificate that let somebody in and is not of slot 9A.  The table
 * is made with its first row.
 */
#include "cache/slots.h"

#include <openssl/evp.h>

#include "cache/accounts_internal.h"
#include "card/card.h"

enum { CERT_SHA256, SLOT, UNNAMED, COLUMNS };

#define TABLE \
	"CREATE TABLE IF NOT EXISTS slot (cert_sha256 BLOB PRIMARY KEY NOT NULL, slot INTEGER NOT NULL," \
	" unnamed INTEGER NOT NULL, digest BLOB NOT NULL) STRICT"

enum cm_err
cm_slots_find(struct cm_accounts *s, struct cm_blob sha256, struct cm_trace *t, struct cm_kept_slot *out)
{
	struct cm_column v[COLUMNS] = {
		[CERT_SHA256] = { .kind = CM_VALUE_BLOB }, [SLOT] = { .kind = CM_VALUE_INTEGER }, [UNNAMED] = { .kind = CM_VALUE_INTEGER },
	};
	const struct cm_column key = cm_value_blob(sha256);
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	*out = (struct cm_kept_slot){ CM_SLOT_AUTHENTICATION, true };
	if (s->remote != NULL)
		return CM_ERR_STATE;
	if ((err = cm_store_has_table(s, "slot", t)) == CM_OK &&
	    (err = cm_store_prepare(s, "SELECT * FROM slot WHERE cert_sha256 = ?1", &key, 1, t, &q)) == CM_OK &&
	    (err = cm_store_step(s, q, t)) == CM_OK) {
		if (cm_store_get(q, v, COLUMNS) && v[SLOT].n > 0 && v[SLOT].n <= 0xFF && cm_slot_is_for_login((enum cm_slot)v[SLOT].n))
			*out = (struct cm_kept_slot){ (unsigned)v[SLOT].n, v[UNNAMED].n != 0 };
		else
			err = cm_store_damaged(s, t, "the slot of a kept certificate");
	}
	sqlite3_finalize(q);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

static enum cm_err
put(struct cm_accounts *s, struct cm_blob sha256, const struct cm_kept_slot *k, struct cm_trace *t)
{
	const struct cm_column row[COLUMNS] = {
		[CERT_SHA256] = cm_value_blob(sha256), [SLOT] = cm_value_int(k->slot), [UNNAMED] = cm_value_int(k->unnamed),
	};
	enum cm_err err;

	if ((err = cm_store_begin(s, t)) != CM_OK)
		return err;
	if ((err = cm_store_exec(s, TABLE, t)) == CM_OK &&
	    (err = cm_store_exec(s, "DELETE FROM slot WHERE cert_sha256 NOT IN (SELECT cert_sha256 FROM account)", t)) == CM_OK)
		err = cm_store_put(s, "slot", row, COLUMNS, t);
	return cm_store_end(s, err, t);
}

enum cm_err
cm_slots_keep(struct cm_accounts *s, struct cm_blob certificate, const struct cm_kept_slot *k, struct cm_trace *t)
{
	uint8_t sha256[32];
	const struct cm_blob key = { sha256, sizeof(sha256) };
	const struct cm_column v = cm_value_blob(key);
	struct cm_kept_slot before;
	enum cm_err err;

	if (s->remote != NULL || !cm_slot_is_for_login((enum cm_slot)k->slot))
		return CM_ERR_STATE;
	if (EVP_Digest(certificate.ptr, certificate.len, sha256, NULL, EVP_sha256(), NULL) != 1)
		return CM_ERR_NOMEM;
	if ((err = cm_slots_find(s, key, t, &before)) != CM_OK || (before.slot == k->slot && before.unnamed == k->unnamed))
		return err;
	/* It has moved to the first slot. */
	if (k->slot == CM_SLOT_AUTHENTICATION)
		return cm_store_run(s, "DELETE FROM slot WHERE cert_sha256 = ?1", &v, 1, t);
	return put(s, key, k, t);
}
