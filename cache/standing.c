/*
 * cache/standing.c - what a directory said last of an account by name: the store's table "standing".
 *
 * The table is made with its first row.  A row of an account that a card opened
 * here begins when what is kept of it ends, or when a directory that was asked
 * about the name says no; a complete login online makes it stand again.
 */
#include "cache/standing.h"

#include <stdlib.h>
#include <string.h>

#include "cache/accounts_internal.h"

#define SAME_AGAIN_S	3600

enum { NAME, CARDED, UID, REASON, TEXT, AT, FACTS, FACTS_AT, COLUMNS };

#define TABLE \
	"CREATE TABLE IF NOT EXISTS standing (name TEXT PRIMARY KEY NOT NULL, carded INTEGER NOT NULL," \
	" uid INTEGER NOT NULL, reason TEXT NOT NULL, text TEXT NOT NULL, at INTEGER NOT NULL," \
	" facts BLOB NOT NULL, facts_at INTEGER NOT NULL, digest BLOB NOT NULL) STRICT"

void
cm_standing_clear(struct cm_standing *st)
{
	free(st->text);
	*st = (struct cm_standing){ .text = NULL };
}

static enum cm_err
read_row(struct cm_accounts *s, sqlite3_stmt *q, struct cm_trace *t, struct cm_standing *out)
{
	struct cm_column v[COLUMNS] = {
		[NAME] = { .kind = CM_VALUE_TEXT }, [CARDED] = { .kind = CM_VALUE_INTEGER }, [UID] = { .kind = CM_VALUE_INTEGER },
		[REASON] = { .kind = CM_VALUE_TEXT }, [TEXT] = { .kind = CM_VALUE_TEXT }, [AT] = { .kind = CM_VALUE_INTEGER },
		[FACTS] = { .kind = CM_VALUE_BLOB }, [FACTS_AT] = { .kind = CM_VALUE_INTEGER },
	};

	if (!cm_store_get(q, v, COLUMNS) || v[UID].n < 0 || v[UID].n > UINT32_MAX || v[FACTS].bytes.len > sizeof(out->facts))
		return cm_store_damaged(s, t, "what a directory said of an account");
	*out = (struct cm_standing){ .carded = v[CARDED].n != 0, .uid = (uid_t)v[UID].n, .at = v[AT].n,
		.facts_len = v[FACTS].bytes.len, .facts_at = v[FACTS_AT].n };
	/* A reason of another version's says no all the same. */
	if (v[REASON].bytes.len > 0 && (out->reason = cm_reason_named((const char *)v[REASON].bytes.ptr)) == CM_REASON_NONE)
		out->reason = CM_REASON_NOT_KEPT;
	if (out->facts_len > 0)
		memcpy(out->facts, v[FACTS].bytes.ptr, out->facts_len);
	out->text = strndup((const char *)v[TEXT].bytes.ptr, v[TEXT].bytes.len);
	return out->text != NULL ? CM_OK : CM_ERR_NOMEM;
}

static enum cm_err
find(struct cm_accounts *s, const char *sql, const char *name, struct cm_trace *t, struct cm_standing *out)
{
	const struct cm_column key = cm_value_text(name);
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	*out = (struct cm_standing){ .text = NULL };
	if (s->remote != NULL)
		return CM_ERR_STATE;
	if ((err = cm_store_has_table(s, "standing", t)) == CM_OK &&
	    (err = cm_store_prepare(s, sql, &key, 1, t, &q)) == CM_OK &&
	    (err = cm_store_step(s, q, t)) == CM_OK)
		err = read_row(s, q, t, out);
	sqlite3_finalize(q);
	if (err != CM_OK)
		cm_standing_clear(out);
	return err;
}

enum cm_err
cm_standing_find(struct cm_accounts *s, const char *name, struct cm_trace *t, struct cm_standing *out)
{
	return find(s, "SELECT * FROM standing WHERE name = ?1", name, t, out);
}

enum cm_err
cm_standing_find_facts(struct cm_accounts *s, const char *name, struct cm_trace *t, struct cm_standing *out)
{
	return find(s, "SELECT * FROM standing WHERE name = ?1 COLLATE NOCASE AND length(facts) > 0 ORDER BY facts_at DESC, name LIMIT 1",
	    name, t, out);
}

enum cm_err
cm_standing_each_closed(struct cm_accounts *s, struct cm_trace *t, cm_standing_visit visit, void *arg)
{
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	if (s->remote != NULL)
		return CM_ERR_STATE;
	if ((err = cm_store_has_table(s, "standing", t)) == CM_OK)
		err = cm_store_prepare(s, "SELECT * FROM standing WHERE carded <> 0 AND reason <> '' ORDER BY name", NULL, 0, t, &q);
	while (err == CM_OK && (err = cm_store_step(s, q, t)) == CM_OK) {
		struct cm_standing st = { .text = NULL };

		if ((err = read_row(s, q, t, &st)) == CM_OK)
			err = visit(arg, (const char *)sqlite3_column_text(q, NAME), &st);
		cm_standing_clear(&st);
	}
	sqlite3_finalize(q);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

static enum cm_err
put(struct cm_accounts *s, const char *name, const struct cm_standing *st, struct cm_trace *t)
{
	const struct cm_column row[COLUMNS] = {
		[NAME] = cm_value_text(name), [CARDED] = cm_value_int(st->carded), [UID] = cm_value_int(st->uid),
		[REASON] = cm_value_text(st->reason != CM_REASON_NONE ? cm_reason_name(st->reason) : ""),
		[TEXT] = cm_value_text(st->text != NULL ? st->text : ""), [AT] = cm_value_int(st->at),
		[FACTS] = cm_value_blob((struct cm_blob){ st->facts, st->facts_len }), [FACTS_AT] = cm_value_int(st->facts_at),
	};
	const enum cm_err err = cm_store_exec(s, TABLE, t);

	return err == CM_OK ? cm_store_put(s, "standing", row, COLUMNS, t) : err;
}

/* In a transaction: the row with this word instead of its own.  A damaged one is made anew, without its facts. */
static enum cm_err
put_word(struct cm_accounts *s, const struct cm_standing_word *w, struct cm_trace *t)
{
	struct cm_standing st;
	enum cm_err err = cm_standing_find(s, w->name, NULL, &st);

	if (err == CM_ERR_NOMEM)
		return err;
	free(st.text);
	st.text = NULL;
	st.carded = true;
	st.uid = w->uid;
	st.reason = w->reason;
	st.at = w->at;
	if (w->text != NULL && (st.text = strdup(w->text)) == NULL)
		return CM_ERR_NOMEM;
	err = put(s, w->name, &st, t);
	cm_standing_clear(&st);
	return err;
}

enum cm_err
cm_standing_note(struct cm_accounts *s, const struct cm_standing_word *w, struct cm_trace *t)
{
	const struct cm_column key = cm_value_text(w->name);
	enum cm_err err;

	if (s->remote != NULL)
		return CM_ERR_STATE;
	if ((err = cm_store_begin(s, t)) != CM_OK)
		return err;
	if (w->ends)
		err = cm_store_run(s, "DELETE FROM account WHERE name = ?1", &key, 1, t);
	if (err == CM_OK)
		err = put_word(s, w, t);
	if ((err = cm_store_end(s, err, t)) == CM_OK && w->reason != CM_REASON_NONE)
		cm_store_settle(s);
	return err;
}

static bool
says_so(const struct cm_standing *st, struct cm_blob facts, time_t at)
{
	return st->facts_len > 0 && cm_blob_equal((struct cm_blob){ st->facts, st->facts_len }, facts) &&
	    at >= st->facts_at && at - st->facts_at < SAME_AGAIN_S;
}

static enum cm_err
put_facts(struct cm_accounts *s, const char *name, struct cm_blob facts, time_t at, struct cm_trace *t)
{
	struct cm_standing st;
	enum cm_err err = cm_standing_find(s, name, t, &st);

	if (err != CM_OK && err != CM_ERR_ABSENT)
		return err;
	if (facts.len > 0)
		memcpy(st.facts, facts.ptr, facts.len);
	st.facts_len = facts.len;
	st.facts_at = at;
	err = put(s, name, &st, t);
	cm_standing_clear(&st);
	return err;
}

enum cm_err
cm_standing_note_facts(struct cm_accounts *s, const char *name, struct cm_blob facts, time_t at, struct cm_trace *t)
{
	struct cm_standing st;
	enum cm_err err;
	bool same;

	if (facts.len > CM_STANDING_FACTS_MAX)
		return CM_ERR_USAGE;
	if ((err = cm_standing_find(s, name, t, &st)) != CM_OK && err != CM_ERR_ABSENT)
		return err;
	same = err == CM_OK && says_so(&st, facts, at);
	cm_standing_clear(&st);
	if (same)
		return CM_OK;
	if ((err = cm_store_begin(s, t)) != CM_OK)
		return err;
	return cm_store_end(s, put_facts(s, name, facts, at, t), t);
}

/* ---- beside what is kept of an account */

/* By a certificate, the table's key, there is one row or none. */
enum cm_err
cm_standing_end(struct cm_accounts *s, const struct cm_ending *e, struct cm_trace *t)
{
	struct cm_account_row r = { .account = { .group_count = 0 } };
	struct cm_buf sql = { 0 };
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	cm_buf_addf(&sql, "SELECT * FROM account WHERE %s", e->where);
	if ((err = cm_buf_status(&sql)) == CM_OK &&
	    (err = cm_store_prepare(s, cm_buf_str(&sql), e->v, e->count, t, &q)) == CM_OK &&
	    (err = cm_store_step(s, q, t)) == CM_OK && (err = cm_account_row_read(s, q, t, &r)) == CM_OK)
		err = put_word(s, &(struct cm_standing_word){ .name = r.account.name, .uid = r.account.uid, .reason = e->reason,
		    .text = e->reason != CM_REASON_NONE ? "its card opens it no more" : NULL, .at = cm_clock_now() }, t);
	cm_account_row_clear(&r);
	sqlite3_finalize(q);
	cm_buf_free(&sql);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

/* CM_ERR_ABSENT: something is said against it. */
static enum cm_err
look_for_objection(struct cm_accounts *s, const struct cm_account *a)
{
	struct cm_standing st;
	const enum cm_err err = cm_standing_find(s, a->name, NULL, &st);
	const bool stands = err == CM_ERR_ABSENT || (err == CM_OK && st.reason == CM_REASON_NONE && (!st.carded || st.uid == a->uid));

	cm_standing_clear(&st);
	return stands ? CM_OK : err == CM_ERR_NOMEM ? err : CM_ERR_ABSENT;
}

bool
cm_standing_holds(struct cm_accounts *s, const struct cm_account *a)
{
	return look_for_objection(s, a) == CM_OK;
}

enum cm_err
cm_standing_restore(struct cm_accounts *s, const struct cm_account *a, time_t now, struct cm_trace *t)
{
	const enum cm_err err = look_for_objection(s, a);

	if (err != CM_ERR_ABSENT)
		return err;
	return put_word(s, &(struct cm_standing_word){ .name = a->name, .uid = a->uid, .at = now }, t);
}

enum cm_err
cm_standing_forget(struct cm_accounts *s, const char *name, struct cm_trace *t, bool *any)
{
	const struct cm_column key = cm_value_text(name);
	enum cm_err err = cm_store_has_table(s, "standing", t);

	*any = false;
	if (err == CM_OK && (err = cm_store_run(s, "DELETE FROM standing WHERE name = ?1", &key, 1, t)) == CM_OK)
		*any = sqlite3_changes(s->db) > 0;
	return err == CM_ERR_ABSENT ? CM_OK : err;
}
