/*
 * cache/withdrawn.c - whose kept account was withdrawn: the store's table "withdrawn".
 *
 * Somebody whom a directory disowned would otherwise be a stranger to this
 * computer, of whom nothing bad is known.  A row is one account and the last
 * certificate that opened it; it goes when a card opens the account again, or
 * when root forgets it.  The table is made with its first row.
 */
#include "cache/accounts_internal.h"

enum { NAME, UID, CERT, COLUMNS };

#define TABLE \
	"CREATE TABLE IF NOT EXISTS withdrawn (name TEXT PRIMARY KEY NOT NULL, uid INTEGER NOT NULL," \
	" cert BLOB NOT NULL, digest BLOB NOT NULL) STRICT"

/* The certificate is the table's key: there is one row, or none. */
enum cm_err
cm_withdrawn_note(struct cm_accounts *s, const char *where, const struct cm_column *v, size_t count, struct cm_trace *t)
{
	struct cm_account_row r = { .account = { .group_count = 0 } };
	sqlite3_stmt *q = NULL;
	struct cm_buf sql = { 0 };
	enum cm_err err;

	cm_buf_addf(&sql, "SELECT * FROM account WHERE %s", where);
	if ((err = cm_buf_status(&sql)) == CM_OK && (err = cm_store_prepare(s, cm_buf_str(&sql), v, count, t, &q)) == CM_OK &&
	    (err = cm_store_step(s, q, t)) == CM_OK && (err = cm_account_row_read(s, q, t, &r)) == CM_OK) {
		const struct cm_column row[COLUMNS] = {
			[NAME] = cm_value_text(r.account.name), [UID] = cm_value_int(r.account.uid), [CERT] = r.v[CM_ROW_CERT],
		};

		if ((err = cm_store_exec(s, TABLE, t)) == CM_OK)
			err = cm_store_put(s, "withdrawn", row, COLUMNS, t);
	}
	cm_account_row_clear(&r);
	sqlite3_finalize(q);
	cm_buf_free(&sql);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

enum cm_err
cm_withdrawn_forget(struct cm_accounts *s, const char *name, struct cm_trace *t, bool *any)
{
	const struct cm_column key = cm_value_text(name);
	enum cm_err err = cm_store_has_table(s, "withdrawn", t);

	*any = false;
	if (err == CM_OK && (err = cm_store_run(s, "DELETE FROM withdrawn WHERE name = ?1", &key, 1, t)) == CM_OK)
		*any = sqlite3_changes(s->db) > 0;
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

enum cm_err
cm_accounts_find_withdrawn(struct cm_accounts *s, const char *name, struct cm_trace *t, struct cm_buf *der, uid_t *uid)
{
	struct cm_column v[COLUMNS] = {
		[NAME] = { .kind = CM_VALUE_TEXT }, [UID] = { .kind = CM_VALUE_INTEGER }, [CERT] = { .kind = CM_VALUE_BLOB },
	};
	const struct cm_column key = cm_value_text(name);
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	if (s->remote != NULL)
		return CM_ERR_STATE;
	if ((err = cm_store_has_table(s, "withdrawn", t)) == CM_OK &&
	    (err = cm_store_prepare(s, "SELECT * FROM withdrawn WHERE name = ?1", &key, 1, t, &q)) == CM_OK &&
	    (err = cm_store_step(s, q, t)) == CM_OK) {
		if (cm_store_get(q, v, COLUMNS) && v[UID].n >= 0 && v[UID].n <= UINT32_MAX) {
			cm_buf_add_blob(der, v[CERT].bytes);
			*uid = (uid_t)v[UID].n;
			err = cm_buf_status(der);
		} else {
			err = cm_store_damaged(s, t, "a withdrawn account");
		}
	}
	sqlite3_finalize(q);
	return err;
}
