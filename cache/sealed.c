/*
 * cache/sealed.c - secrets of accounts, sealed to keys of cards: the store's table "sealed".
 *
 * What is lost here is what a user encrypted with it, so no row is changed
 * once it is there: another card, an import or a process that lies adds one at
 * most.  The table is made with its first row.
 */
#include "cache/sealed.h"

#include <stdlib.h>

#include "cache/accounts_internal.h"

enum { NAME, USE, KEY, UID, BESIDE, OCTETS, MADE, COLUMNS };

#define TABLE \
	"CREATE TABLE IF NOT EXISTS sealed (name TEXT NOT NULL, use INTEGER NOT NULL, key BLOB NOT NULL," \
	" uid INTEGER NOT NULL, beside BLOB NOT NULL, octets BLOB NOT NULL, made INTEGER NOT NULL," \
	" digest BLOB NOT NULL, PRIMARY KEY (name, use, key)) STRICT"

static bool
is_whole(const struct cm_sealed_row *r)
{
	return r->name != NULL && r->name[0] != '\0' && (r->use == CM_SEALED_CARD || r->use == CM_SEALED_RECOVERY) &&
	    r->octets.len > 0 && r->octets.len <= CM_SEALED_OCTETS_MAX;
}

static enum cm_err
put(struct cm_accounts *s, const struct cm_sealed_row *r, struct cm_trace *t)
{
	const struct cm_column row[COLUMNS] = {
		[NAME] = cm_value_text(r->name), [USE] = cm_value_int(r->use),
		[KEY] = cm_value_blob((struct cm_blob){ r->key, sizeof(r->key) }), [UID] = cm_value_int(r->uid),
		[BESIDE] = cm_value_blob((struct cm_blob){ r->beside, sizeof(r->beside) }),
		[OCTETS] = cm_value_blob(r->octets), [MADE] = cm_value_int(r->made),
	};

	return cm_store_put(s, "sealed", row, COLUMNS, t);
}

static enum cm_err
count_rows(struct cm_accounts *s, const char *sql, const struct cm_column *v, size_t count, struct cm_trace *t, int64_t *out)
{
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	if ((err = cm_store_prepare(s, sql, v, count, t, &q)) == CM_OK && (err = cm_store_step(s, q, t)) == CM_OK)
		*out = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	return err;
}

static enum cm_err
refuse(struct cm_trace *t, const char *name, const char *what)
{
	return cm_trace_fail(t, CM_REASON_SECRET_THERE, "%s of %s is kept, and none is ever written over", what, name);
}

/* Inside of a transaction, the table is there. */
static enum cm_err
add(struct cm_accounts *s, const struct cm_sealed_row *r, struct cm_trace *t)
{
	const struct cm_column v[] = { cm_value_text(r->name), cm_value_int(r->use),
		cm_value_blob((struct cm_blob){ r->key, sizeof(r->key) }) };
	int64_t same = 0, all = 0;
	enum cm_err err;

	if ((err = count_rows(s, "SELECT count(*) FROM sealed WHERE name = ?1 AND use = ?2 AND key = ?3", v, 3, t, &same)) != CM_OK ||
	    (err = count_rows(s, "SELECT count(*) FROM sealed WHERE name = ?1 AND use = ?2", v, 2, t, &all)) != CM_OK)
		return err;
	if (same > 0)
		return refuse(t, r->name, "a secret that is sealed to this key");
	return all < CM_SEALED_ROWS ? put(s, r, t) : refuse(t, r->name, "all that may be of the sealed secrets");
}

enum cm_err
cm_sealed_add(struct cm_accounts *s, const struct cm_sealed_row *row, struct cm_trace *t)
{
	enum cm_err err;

	if (s->remote != NULL || !is_whole(row))
		return CM_ERR_STATE;
	if ((err = cm_store_begin(s, t)) != CM_OK)
		return err;
	if ((err = cm_store_exec(s, TABLE, t)) == CM_OK)
		err = add(s, row, t);
	return cm_store_end(s, err, t);
}

enum cm_err
cm_sealed_add_first(struct cm_accounts *s, const struct cm_sealed_row *rows, size_t count, struct cm_trace *t)
{
	const struct cm_column name = cm_value_text(count > 0 ? rows[0].name : "");
	int64_t there = 0;
	enum cm_err err;

	if (s->remote != NULL || count == 0)
		return CM_ERR_STATE;
	for (size_t i = 0; i < count; i++)
		if (!is_whole(&rows[i]) || strcmp(rows[i].name, rows[0].name) != 0)
			return CM_ERR_STATE;
	if ((err = cm_store_begin(s, t)) != CM_OK)
		return err;
	if ((err = cm_store_exec(s, TABLE, t)) == CM_OK &&
	    (err = count_rows(s, "SELECT count(*) FROM sealed WHERE name = ?1", &name, 1, t, &there)) == CM_OK && there > 0)
		err = refuse(t, rows[0].name, "a sealed secret");
	for (size_t i = 0; err == CM_OK && i < count; i++)
		err = add(s, &rows[i], t);
	return cm_store_end(s, err, t);
}

/* Its name is out's, its octets SQLite's. */
static enum cm_err
read_row(struct cm_accounts *s, sqlite3_stmt *q, struct cm_trace *t, struct cm_sealed_row *out)
{
	struct cm_column v[COLUMNS] = {
		[NAME] = { .kind = CM_VALUE_TEXT }, [USE] = { .kind = CM_VALUE_INTEGER }, [KEY] = { .kind = CM_VALUE_BLOB },
		[UID] = { .kind = CM_VALUE_INTEGER }, [BESIDE] = { .kind = CM_VALUE_BLOB }, [OCTETS] = { .kind = CM_VALUE_BLOB },
		[MADE] = { .kind = CM_VALUE_INTEGER },
	};

	*out = (struct cm_sealed_row){ .name = NULL };
	if (!cm_store_get(q, v, COLUMNS) || v[KEY].bytes.len != sizeof(out->key) || v[BESIDE].bytes.len != sizeof(out->beside) ||
	    v[UID].n < 0 || v[UID].n > UINT32_MAX || v[USE].n < CM_SEALED_CARD || v[USE].n > CM_SEALED_RECOVERY)
		return cm_store_damaged(s, t, "a sealed secret");
	if ((out->name = strndup((const char *)v[NAME].bytes.ptr, v[NAME].bytes.len)) == NULL)
		return CM_ERR_NOMEM;
	out->use = (enum cm_sealed_use)v[USE].n;
	memcpy(out->key, v[KEY].bytes.ptr, sizeof(out->key));
	out->uid = (uid_t)v[UID].n;
	memcpy(out->beside, v[BESIDE].bytes.ptr, sizeof(out->beside));
	out->octets = v[OCTETS].bytes;
	out->made = v[MADE].n;
	if (is_whole(out))
		return CM_OK;
	free(out->name);
	return cm_store_damaged(s, t, "a sealed secret");
}

enum cm_err
cm_sealed_list(struct cm_accounts *s, const char *name, struct cm_trace *t, cm_sealed_visit visit, void *arg)
{
	const struct cm_column key = cm_value_text(name);
	struct cm_sealed_row row;
	sqlite3_stmt *q = NULL;
	enum cm_err err, damaged = CM_OK;

	if (s->remote != NULL)
		return CM_ERR_STATE;
	if ((err = cm_store_has_table(s, "sealed", t)) == CM_OK)
		err = cm_store_prepare(s, name != NULL ? "SELECT * FROM sealed WHERE name = ?1 ORDER BY made DESC, key" :
		    "SELECT * FROM sealed ORDER BY name, use, made DESC, key", &key, name != NULL, t, &q);
	while (err == CM_OK && (err = cm_store_step(s, q, t)) == CM_OK) {
		if ((err = read_row(s, q, t, &row)) == CM_ERR_SYSTEM) {
			damaged = err;
			err = CM_OK;
			continue;
		}
		if (err == CM_OK) {
			err = visit(arg, &row);
			free(row.name);
		}
	}
	sqlite3_finalize(q);
	return err == CM_ERR_ABSENT ? damaged : err;
}

enum cm_err
cm_sealed_forget(struct cm_accounts *s, const char *name, struct cm_trace *t)
{
	const struct cm_column key = cm_value_text(name);
	enum cm_err err;

	if (s->remote != NULL)
		return CM_ERR_STATE;
	if ((err = cm_store_begin(s, t)) != CM_OK)
		return err;
	if ((err = cm_store_has_table(s, "sealed", t)) == CM_OK &&
	    (err = cm_store_run(s, "DELETE FROM sealed WHERE name = ?1", &key, 1, t)) == CM_OK && sqlite3_changes(s->db) == 0)
		err = CM_ERR_ABSENT;
	if ((err = cm_store_end(s, err, t)) == CM_OK)
		cm_store_settle(s);
	return err;
}
