/*
 * cache/pairings.c - fixed pairings of a card's key with an account: the store's table "pairing".
 *
 * Who may enter by a pairing is decided by this table at each login, so a row
 * that was changed on the disk is damaged (store.c), and one that was removed
 * does not stay in SQLite's log.
 */
#include "cache/pairings.h"

#include <openssl/evp.h>
#include <stdlib.h>

#include "cache/store_wire_internal.h"
#include "mapper/mapper.h"

enum { HASH, SPKI_SHA256, USER, LOCAL, SUBJECT, MADE, COLUMNS };

void
cm_pairing_clear(struct cm_pairing *p)
{
	free(p->user);
	free(p->subject);
	*p = (struct cm_pairing){ .user = NULL };
}

enum cm_err
cm_pairing_make(const struct cm_cert *c, const char *user, bool local, time_t now, struct cm_pairing *out)
{
	const struct cm_blob spki = cm_cert_spki(c);

	*out = (struct cm_pairing){ .local = local, .made = now };
	cm_key_hash(c, out->hash);
	if (EVP_Digest(spki.ptr, spki.len, out->spki_sha256, NULL, EVP_sha256(), NULL) == 1 &&
	    (out->user = strdup(user)) != NULL && (out->subject = strdup(cm_cert_subject_text(c))) != NULL)
		return CM_OK;
	cm_pairing_clear(out);
	return CM_ERR_NOMEM;
}

static struct cm_column
hash_column(const uint8_t hash[20])
{
	return cm_value_blob((struct cm_blob){ hash, 20 });
}

static char *
copy_text(struct cm_blob v)
{
	return strndup((const char *)v.ptr, v.len);
}

static enum cm_err
read_row(struct cm_accounts *s, sqlite3_stmt *q, struct cm_trace *t, struct cm_pairing *out)
{
	struct cm_column v[COLUMNS] = {
		[HASH] = { .kind = CM_VALUE_BLOB }, [SPKI_SHA256] = { .kind = CM_VALUE_BLOB },
		[USER] = { .kind = CM_VALUE_TEXT }, [LOCAL] = { .kind = CM_VALUE_INTEGER },
		[SUBJECT] = { .kind = CM_VALUE_TEXT }, [MADE] = { .kind = CM_VALUE_INTEGER },
	};

	*out = (struct cm_pairing){ .user = NULL };
	if (!cm_store_get(q, v, COLUMNS) || v[HASH].bytes.len != sizeof(out->hash) ||
	    v[SPKI_SHA256].bytes.len != sizeof(out->spki_sha256) || v[USER].bytes.len == 0)
		return cm_store_damaged(s, t, "a pairing");
	memcpy(out->hash, v[HASH].bytes.ptr, sizeof(out->hash));
	memcpy(out->spki_sha256, v[SPKI_SHA256].bytes.ptr, sizeof(out->spki_sha256));
	out->local = v[LOCAL].n != 0;
	out->made = v[MADE].n;
	out->user = copy_text(v[USER].bytes);
	out->subject = copy_text(v[SUBJECT].bytes);
	if (out->user != NULL && out->subject != NULL)
		return CM_OK;
	cm_pairing_clear(out);
	return CM_ERR_NOMEM;
}

enum cm_err
cm_pairings_any(struct cm_accounts *s, struct cm_trace *t, bool *any)
{
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	*any = false;
	if ((err = cm_store_has_table(s, "pairing", t)) == CM_OK &&
	    (err = cm_store_prepare(s, "SELECT 1 FROM pairing LIMIT 1", NULL, 0, t, &q)) == CM_OK)
		err = cm_store_step(s, q, t);
	*any = err == CM_OK;
	sqlite3_finalize(q);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

/* The first row that a statement finds. */
static enum cm_err
find_row(struct cm_accounts *s, const char *sql, const struct cm_column *v, size_t count,
    struct cm_trace *t, struct cm_pairing *out)
{
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	*out = (struct cm_pairing){ .user = NULL };
	if ((err = cm_store_has_table(s, "pairing", t)) == CM_OK &&
	    (err = cm_store_prepare(s, sql, v, count, t, &q)) == CM_OK &&
	    (err = cm_store_step(s, q, t)) == CM_OK)
		err = read_row(s, q, t, out);
	sqlite3_finalize(q);
	return err;
}

enum cm_err
cm_pairings_find_hash(struct cm_accounts *s, const uint8_t hash[20], struct cm_trace *t,
    struct cm_pairing *out)
{
	const struct cm_column key = hash_column(hash);

	if (s->remote != NULL)
		return cm_remote_pairing(s, hash, t, out);
	return find_row(s, "SELECT * FROM pairing WHERE hash = ?1", &key, 1, t, out);
}

enum cm_err
cm_pairings_find(struct cm_accounts *s, const struct cm_cert *c, struct cm_trace *t,
    struct cm_pairing *out)
{
	const struct cm_blob spki = cm_cert_spki(c);
	uint8_t hash[20], spki_sha256[32];
	enum cm_err err;

	*out = (struct cm_pairing){ .user = NULL };
	cm_key_hash(c, hash);
	if ((err = cm_pairings_find_hash(s, hash, t, out)) != CM_OK)
		return err;
	if (EVP_Digest(spki.ptr, spki.len, spki_sha256, NULL, EVP_sha256(), NULL) != 1) {
		err = CM_ERR_NOMEM;
	} else if (memcmp(spki_sha256, out->spki_sha256, sizeof(spki_sha256)) != 0) {
		cm_trace_add(t, "warning", "the card's key has the SHA-1 of the one paired with %s, and is another",
		    out->user);
		err = CM_ERR_ABSENT;
	}
	if (err != CM_OK)
		cm_pairing_clear(out);
	return err;
}

static enum cm_err
put(struct cm_accounts *s, const struct cm_pairing *p, struct cm_trace *t)
{
	const struct cm_column row[COLUMNS] = {
		[HASH] = hash_column(p->hash),
		[SPKI_SHA256] = cm_value_blob((struct cm_blob){ p->spki_sha256, sizeof(p->spki_sha256) }),
		[USER] = cm_value_text(p->user), [LOCAL] = cm_value_int(p->local),
		[SUBJECT] = cm_value_text(p->subject), [MADE] = cm_value_int(p->made),
	};

	return cm_store_put(s, "pairing", row, COLUMNS, t);
}

static bool
is_same(const struct cm_pairing *a, const struct cm_pairing *b)
{
	return strcmp(a->user, b->user) == 0 && a->local == b->local &&
	    memcmp(a->spki_sha256, b->spki_sha256, sizeof(a->spki_sha256)) == 0;
}

/* CM_ERR_ABSENT: nothing is in its way; CM_OK: it is there already. */
static enum cm_err
look_before(struct cm_accounts *s, const struct cm_pairing *p, bool one_card_per_user, struct cm_trace *t)
{
	const struct cm_column user = cm_value_text(p->user);
	struct cm_pairing other;
	enum cm_err err = cm_pairings_find_hash(s, p->hash, t, &other);

	if (err == CM_OK && !is_same(p, &other))
		err = cm_trace_fail(t, CM_REASON_PAIRED_OTHERWISE, "the card's key is paired with %s%s",
		    other.local ? "the local account " : "", other.user);
	cm_pairing_clear(&other);
	if (err != CM_ERR_ABSENT || !one_card_per_user)
		return err;
	err = find_row(s, "SELECT * FROM pairing WHERE user = ?1", &user, 1, t, &other);
	if (err == CM_OK)
		err = cm_trace_fail(t, CM_REASON_ONE_CARD, "%s is paired with another card, of %s", p->user,
		    other.subject);
	cm_pairing_clear(&other);
	return err;
}

enum cm_err
cm_pairings_add(struct cm_accounts *s, const struct cm_pairing *p, bool one_card_per_user,
    struct cm_trace *t)
{
	enum cm_err err;

	if (p->user[0] == '\0' || s->remote != NULL)
		return CM_ERR_STATE;
	if ((err = cm_store_begin(s, t)) != CM_OK)
		return err;
	if ((err = look_before(s, p, one_card_per_user, t)) == CM_ERR_ABSENT)
		err = put(s, p, t);
	return cm_store_end(s, err, t);
}

/* The account that this certificate's key was paired with is kept no longer. */
static enum cm_err
withdraw_if(struct cm_accounts *s, sqlite3_stmt *q, const uint8_t hash[20], struct cm_trace *t)
{
	const struct cm_blob sha256 = { sqlite3_column_blob(q, 0), (size_t)sqlite3_column_bytes(q, 0) };
	const struct cm_blob der = { sqlite3_column_blob(q, 1), (size_t)sqlite3_column_bytes(q, 1) };
	const struct cm_column key = cm_value_blob(sha256);
	/* Its name stays known: it is the card that is gone, by root's word, and not the account. */
	const struct cm_ending ending = { .where = "cert_sha256 = ?1", .v = &key, .count = 1 };
	struct cm_cert *c = NULL;
	uint8_t of_cert[20];
	bool fits = true;	/* what cannot be read opens nothing either */

	if (cm_cert_decode(der, NULL, &c) == CM_OK) {
		cm_key_hash(c, of_cert);
		fits = memcmp(of_cert, hash, sizeof(of_cert)) == 0;
	}
	cm_cert_free(&c);
	if (!fits)
		return CM_OK;
	if (cm_standing_end(s, &ending, NULL) != CM_OK)
		cm_trace_add(t, "warning", "whose account it opened could not be noted");
	return cm_store_run(s, "DELETE FROM account WHERE cert_sha256 = ?1", &key, 1, t);
}

static enum cm_err
withdraw(struct cm_accounts *s, const uint8_t hash[20], struct cm_trace *t)
{
	const struct cm_column rule = cm_value_text(CM_PAIRING_RULE);
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	if ((err = cm_store_prepare(s, "SELECT cert_sha256, cert FROM account WHERE rule = ?1", &rule, 1, t,
	    &q)) != CM_OK)
		goto out;
	while ((err = cm_store_step(s, q, t)) == CM_OK)
		if ((err = withdraw_if(s, q, hash, t)) != CM_OK)
			break;
	if (err == CM_ERR_ABSENT)
		err = CM_OK;
out:
	sqlite3_finalize(q);
	return err;
}

/* A row at a time, so that a damaged one can be removed as well: only its hash is needed. */
static enum cm_err
remove_one(struct cm_accounts *s, const char *user, const uint8_t *hash, struct cm_trace *t)
{
	const struct cm_column v[] = {
		user != NULL ? cm_value_text(user) : hash_column(hash),
		hash != NULL ? hash_column(hash) : cm_value_text(user),
	};
	const char *sql = user != NULL && hash != NULL ?
	    "SELECT hash FROM pairing WHERE user = ?1 AND hash = ?2" : user != NULL ?
	    "SELECT hash FROM pairing WHERE user = ?1" : "SELECT hash FROM pairing WHERE hash = ?1";
	sqlite3_stmt *q = NULL;
	uint8_t found[20];
	const struct cm_column key = hash_column(found);
	enum cm_err err;

	if ((err = cm_store_has_table(s, "pairing", t)) == CM_OK &&
	    (err = cm_store_prepare(s, sql, v, user != NULL && hash != NULL ? 2 : 1, t, &q)) == CM_OK &&
	    (err = cm_store_step(s, q, t)) == CM_OK) {
		if (sqlite3_column_bytes(q, 0) == (int)sizeof(found))
			memcpy(found, sqlite3_column_blob(q, 0), sizeof(found));
		else
			err = cm_store_damaged(s, t, "a pairing");
	}
	sqlite3_finalize(q);
	if (err == CM_OK && (err = withdraw(s, found, t)) == CM_OK)
		err = cm_store_run(s, "DELETE FROM pairing WHERE hash = ?1", &key, 1, t);
	return err;
}

enum cm_err
cm_pairings_remove(struct cm_accounts *s, const char *user, const uint8_t *hash, struct cm_trace *t)
{
	unsigned removed = 0;
	enum cm_err err;

	if ((user == NULL && hash == NULL) || s->remote != NULL)
		return CM_ERR_STATE;
	if ((err = cm_store_begin(s, t)) != CM_OK)
		return err;
	while ((err = remove_one(s, user, hash, t)) == CM_OK)
		removed++;
	if (err == CM_ERR_ABSENT && removed > 0)
		err = CM_OK;
	if ((err = cm_store_end(s, err, t)) == CM_OK)
		cm_store_settle(s);
	if (err == CM_ERR_ABSENT)
		cm_trace_fail(t, CM_REASON_NOT_PAIRED, hash != NULL ? "no such key is paired here%s%s" :
		    "no card is paired here with%s%s", user != NULL ? hash != NULL ? " with " : " " : "",
		    user != NULL ? user : "");
	return err;
}

enum cm_err
cm_pairings_list(struct cm_accounts *s, const char *user, struct cm_trace *t, cm_pairing_visit visit,
    void *arg)
{
	const struct cm_column key = cm_value_text(user);
	struct cm_pairing p;
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	if (s->remote != NULL)
		return CM_ERR_STATE;
	if ((err = cm_store_has_table(s, "pairing", t)) != CM_OK || (err = cm_store_prepare(s, user != NULL ?
	    "SELECT * FROM pairing WHERE user = ?1 ORDER BY made, hash" :
	    "SELECT * FROM pairing ORDER BY user, made, hash", &key, user != NULL, t, &q)) != CM_OK)
		goto out;
	while ((err = cm_store_step(s, q, t)) == CM_OK) {
		if ((err = read_row(s, q, t, &p)) == CM_OK)
			err = visit(arg, &p);
		cm_pairing_clear(&p);
		if (err != CM_OK)
			break;
	}
out:
	/* A visitor's own ABSENT ends the list like its end. */
	if (err == CM_ERR_ABSENT)
		err = CM_OK;
	sqlite3_finalize(q);
	return err;
}
