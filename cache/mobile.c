/*
 * cache/mobile.c - mobile accounts: the store's tables "mobile" and "userdb".
 *
 * Both are made with their first row.  What a login writes stands here before
 * the first file is there, so that a process which dies in between leaves
 * nothing that nobody knows of.
 */
#include "cache/mobile.h"

#include <stdlib.h>

#include "cache/accounts_internal.h"

enum { NAME, UID, GID, HOME, SHELL, GECOS, GROUPS, LOCAL_GROUPS, DECLINED, MADE, COLUMNS };
enum { FILE_NAME, FILE_NOW, FILE_BEFORE, FILE_COLUMNS };

#define TABLES \
	"CREATE TABLE IF NOT EXISTS mobile (name TEXT PRIMARY KEY NOT NULL, uid INTEGER NOT NULL, gid INTEGER NOT NULL," \
	" home TEXT NOT NULL, shell TEXT NOT NULL, gecos TEXT NOT NULL, groups BLOB NOT NULL, local_groups BLOB NOT NULL," \
	" declined INTEGER NOT NULL, made INTEGER NOT NULL, digest BLOB NOT NULL) STRICT;" \
	"CREATE INDEX IF NOT EXISTS mobile_uid ON mobile (uid);" \
	"CREATE TABLE IF NOT EXISTS userdb (name TEXT PRIMARY KEY NOT NULL, now BLOB NOT NULL, before BLOB NOT NULL," \
	" digest BLOB NOT NULL) STRICT"

/* ---- a row */

struct row {
	struct cm_account account;	/* all but groups[] is SQLite's */
	bool declined;
	time_t made;
};

static void
clear_row(struct row *r)
{
	free(r->account.groups);
	r->account.groups = NULL;
}

static char *
text(const struct cm_column *v)
{
	return (char *)(uintptr_t)v->bytes.ptr;
}

static bool
is_id(int64_t n)
{
	return n >= 0 && n <= UINT32_MAX;
}

/* Those of the directory, and behind them those of this computer's that it is in too. */
static bool
read_groups(const struct cm_column *v, struct cm_account *a)
{
	struct cm_account local = { .group_count = 0 };
	struct cm_group *all;

	if (!cm_account_groups_read(v[GROUPS].bytes, a) || !cm_account_groups_read(v[LOCAL_GROUPS].bytes, &local) ||
	    (all = realloc(a->groups, (a->group_count + local.group_count + 1) * sizeof(*all))) == NULL) {
		free(local.groups);
		return false;
	}
	a->groups = all;
	for (size_t i = 0; i < local.group_count; i++) {
		all[a->group_count] = local.groups[i];
		all[a->group_count++].local = true;
	}
	free(local.groups);
	return true;
}

static bool
read_row(sqlite3_stmt *q, struct row *r)
{
	struct cm_column v[COLUMNS] = {
		[NAME] = { .kind = CM_VALUE_TEXT }, [UID] = { .kind = CM_VALUE_INTEGER }, [GID] = { .kind = CM_VALUE_INTEGER },
		[HOME] = { .kind = CM_VALUE_TEXT }, [SHELL] = { .kind = CM_VALUE_TEXT }, [GECOS] = { .kind = CM_VALUE_TEXT },
		[GROUPS] = { .kind = CM_VALUE_BLOB }, [LOCAL_GROUPS] = { .kind = CM_VALUE_BLOB },
		[DECLINED] = { .kind = CM_VALUE_INTEGER }, [MADE] = { .kind = CM_VALUE_INTEGER },
	};
	char *none = (char *)(uintptr_t)"";

	*r = (struct row){ .made = 0 };
	if (!cm_store_get(q, v, COLUMNS) || !is_id(v[UID].n) || !is_id(v[GID].n) || !read_groups(v, &r->account)) {
		clear_row(r);
		return false;
	}
	r->account.name = text(&v[NAME]);
	r->account.home = text(&v[HOME]);
	r->account.shell = text(&v[SHELL]);
	r->account.gecos = text(&v[GECOS]);
	r->account.principal = r->account.dn = r->account.rule = r->account.attribute = r->account.matched = r->account.source = none;
	r->account.uid = (uid_t)v[UID].n;
	r->account.gid = (gid_t)v[GID].n;
	r->declined = v[DECLINED].n != 0;
	r->made = v[MADE].n;
	return true;
}

/* Of the groups those that are local, or that are not. */
static void
write_groups(const struct cm_account *a, bool local, struct cm_buf *out)
{
	for (size_t i = 0; i < a->group_count; i++) {
		struct cm_group g = { .name = a->groups[i].name, .gid = a->groups[i].gid };
		const struct cm_account one = { .groups = &g, .group_count = 1 };

		if (a->groups[i].local == local)
			cm_account_groups_write(&one, out);
	}
}

static enum cm_err
put_row(struct cm_accounts *s, const struct cm_mobile *m, time_t made, struct cm_trace *t)
{
	const struct cm_account *a = m->account;
	struct cm_buf groups = { 0 }, local = { 0 };
	enum cm_err err;

	write_groups(a, false, &groups);
	write_groups(a, true, &local);
	if ((err = cm_buf_status(&groups)) == CM_OK && (err = cm_buf_status(&local)) == CM_OK) {
		const struct cm_column row[COLUMNS] = {
			[NAME] = cm_value_text(a->name), [UID] = cm_value_int(a->uid), [GID] = cm_value_int(a->gid),
			[HOME] = cm_value_text(a->home), [SHELL] = cm_value_text(a->shell), [GECOS] = cm_value_text(a->gecos),
			[GROUPS] = cm_value_blob(cm_buf_blob(&groups)), [LOCAL_GROUPS] = cm_value_blob(cm_buf_blob(&local)),
			[DECLINED] = cm_value_int(m->declined), [MADE] = cm_value_int(made),
		};

		err = cm_store_put(s, "mobile", row, COLUMNS, t);
	}
	cm_buf_free(&groups);
	cm_buf_free(&local);
	return err;
}

/* ---- one of them */

static enum cm_err
find_row(struct cm_accounts *s, const char *sql, const struct cm_column *v, size_t count, struct cm_trace *t, sqlite3_stmt **q)
{
	enum cm_err err;

	*q = NULL;
	if (s->remote != NULL)
		return CM_ERR_STATE;
	if ((err = cm_store_has_table(s, "mobile", t)) == CM_OK && (err = cm_store_prepare(s, sql, v, count, t, q)) == CM_OK)
		err = cm_store_step(s, *q, t);
	return err;
}

enum cm_err
cm_mobile_find(struct cm_accounts *s, const char *name, struct cm_trace *t, struct cm_account **out, bool *declined, time_t *made)
{
	const struct cm_column key = cm_value_text(name);
	sqlite3_stmt *q = NULL;
	struct row r = { .made = 0 };
	enum cm_err err;

	*out = NULL;
	if ((err = find_row(s, "SELECT * FROM mobile WHERE name = ?1", &key, 1, t, &q)) == CM_OK) {
		if (!read_row(q, &r))
			err = cm_store_damaged(s, t, "a mobile account");
		else if ((err = cm_account_copy(&r.account, out)) == CM_OK) {
			*declined = r.declined;
			*made = r.made;
		}
		clear_row(&r);
	}
	sqlite3_finalize(q);
	return err;
}

enum cm_err
cm_mobile_find_holder(struct cm_accounts *s, uid_t uid, const char *name, struct cm_trace *t, char **holder)
{
	const struct cm_column v[] = { cm_value_int(uid), cm_value_text(name) };
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	*holder = NULL;
	if ((err = find_row(s, "SELECT name FROM mobile WHERE uid = ?1 AND name <> ?2 AND declined = 0", v, 2, t, &q)) == CM_OK &&
	    (*holder = strdup((const char *)sqlite3_column_text(q, 0))) == NULL)
		err = CM_ERR_NOMEM;
	sqlite3_finalize(q);
	return err;
}

enum cm_err
cm_mobile_forget(struct cm_accounts *s, const char *name, struct cm_trace *t)
{
	const struct cm_column key = cm_value_text(name);
	enum cm_err err;

	if (s->remote != NULL)
		return CM_ERR_STATE;
	if ((err = cm_store_has_table(s, "mobile", t)) == CM_OK)
		err = cm_store_run(s, "DELETE FROM mobile WHERE name = ?1", &key, 1, t);
	return err == CM_OK && sqlite3_changes(s->db) == 0 ? CM_ERR_ABSENT : err;
}

/* ---- marks */

static bool
read_mark(sqlite3_stmt *q, struct cm_userdb_mark *m)
{
	struct cm_column v[FILE_COLUMNS] = {
		[FILE_NAME] = { .kind = CM_VALUE_TEXT }, [FILE_NOW] = { .kind = CM_VALUE_BLOB }, [FILE_BEFORE] = { .kind = CM_VALUE_BLOB },
	};

	if (!cm_store_get(q, v, FILE_COLUMNS) || v[FILE_NOW].bytes.len != sizeof(m->now) ||
	    v[FILE_BEFORE].bytes.len != sizeof(m->before) || v[FILE_NAME].bytes.len > CM_USERDB_NAME_MAX)
		return false;
	m->name = text(&v[FILE_NAME]);
	memcpy(m->now, v[FILE_NOW].bytes.ptr, sizeof(m->now));
	memcpy(m->before, v[FILE_BEFORE].bytes.ptr, sizeof(m->before));
	return true;
}

enum cm_err
cm_marks_find(struct cm_accounts *s, const char *name, struct cm_trace *t, struct cm_userdb_mark *out)
{
	const struct cm_column key = cm_value_text(name);
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	if (s->remote != NULL)
		return CM_ERR_STATE;
	if ((err = cm_store_has_table(s, "userdb", t)) == CM_OK &&
	    (err = cm_store_prepare(s, "SELECT * FROM userdb WHERE name = ?1", &key, 1, t, &q)) == CM_OK &&
	    (err = cm_store_step(s, q, t)) == CM_OK && !read_mark(q, out))
		err = cm_store_damaged(s, t, "a mark of a file");
	if (err == CM_OK)
		out->name = name;
	sqlite3_finalize(q);
	return err;
}

static enum cm_err
put_mark(struct cm_accounts *s, const struct cm_userdb_mark *m, struct cm_trace *t)
{
	static const uint8_t nothing[32];
	struct cm_userdb_mark old;
	const enum cm_err found = cm_marks_find(s, m->name, NULL, &old);
	const bool same = found == CM_OK && memcmp(old.now, m->now, sizeof(m->now)) == 0;
	const uint8_t *before = found != CM_OK ? nothing : same ? old.before : old.now;
	const struct cm_column row[FILE_COLUMNS] = {
		[FILE_NAME] = cm_value_text(m->name),
		[FILE_NOW] = cm_value_blob((struct cm_blob){ m->now, sizeof(m->now) }),
		[FILE_BEFORE] = cm_value_blob((struct cm_blob){ before, sizeof(nothing) }),
	};

	return same ? CM_OK : cm_store_put(s, "userdb", row, FILE_COLUMNS, t);
}

static enum cm_err
put_marks(struct cm_accounts *s, const struct cm_userdb_mark *files, size_t count, struct cm_trace *t)
{
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && i < count; i++)
		err = put_mark(s, &files[i], t);
	return err;
}

enum cm_err
cm_marks_put(struct cm_accounts *s, const struct cm_userdb_mark *files, size_t count, struct cm_trace *t)
{
	enum cm_err err;

	if (s->remote != NULL)
		return CM_ERR_STATE;
	if ((err = cm_store_begin(s, t)) != CM_OK)
		return err;
	if ((err = cm_store_exec(s, TABLES, t)) == CM_OK)
		err = put_marks(s, files, count, t);
	return cm_store_end(s, err, t);
}

enum cm_err
cm_marks_drop(struct cm_accounts *s, const char *name, struct cm_trace *t)
{
	const struct cm_column key = cm_value_text(name);

	return s->remote != NULL ? CM_ERR_STATE : cm_store_run(s, "DELETE FROM userdb WHERE name = ?1", &key, 1, t);
}

enum cm_err
cm_marks_each(struct cm_accounts *s, struct cm_trace *t, bool *whole, cm_mark_visit visit, void *arg)
{
	sqlite3_stmt *q = NULL;
	struct cm_userdb_mark m;
	enum cm_err err;

	*whole = true;
	if (s->remote != NULL)
		return CM_ERR_STATE;
	if ((err = cm_store_has_table(s, "userdb", t)) == CM_OK &&
	    (err = cm_store_prepare(s, "SELECT * FROM userdb ORDER BY name", NULL, 0, t, &q)) == CM_OK)
		while ((err = cm_store_step(s, q, t)) == CM_OK) {
			if (!read_mark(q, &m))
				*whole = false;
			else if ((err = visit(arg, &m)) != CM_OK)
				break;
		}
	sqlite3_finalize(q);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

/* ---- kept at a login */

enum cm_err
cm_mobile_keep(struct cm_accounts *s, const struct cm_mobile *m, struct cm_trace *t)
{
	struct cm_account *old = NULL;
	bool declined = false;
	time_t made = m->made;
	enum cm_err err;

	if (s->remote != NULL)
		return CM_ERR_STATE;
	if ((err = cm_store_exec(s, TABLES, t)) != CM_OK)
		return err;
	/* A damaged row is written anew: whoever it is of has just logged in. */
	if (cm_mobile_find(s, m->account->name, NULL, &old, &declined, &made) != CM_OK || declined)
		made = m->made;
	cm_account_free(&old);
	if ((err = put_row(s, m, made, t)) == CM_OK)
		err = put_marks(s, m->files, m->file_count, t);
	return err;
}

bool
cm_mobile_is_kept(struct cm_accounts *s, const struct cm_mobile *m)
{
	struct cm_account *kept = NULL;
	struct cm_userdb_mark mark;
	bool declined = false, same;
	time_t made;

	same = cm_mobile_find(s, m->account->name, NULL, &kept, &declined, &made) == CM_OK && declined == m->declined;
	for (size_t i = 0; same && i < m->file_count; i++)
		same = cm_marks_find(s, m->files[i].name, NULL, &mark) == CM_OK && memcmp(mark.now, m->files[i].now, sizeof(mark.now)) == 0;
	cm_account_free(&kept);
	return same;
}

enum cm_err
cm_mobile_put(struct cm_accounts *s, const struct cm_mobile *m, struct cm_trace *t)
{
	enum cm_err err;

	if (s->remote != NULL)
		return CM_ERR_STATE;
	if ((err = cm_store_begin(s, t)) != CM_OK)
		return err;
	return cm_store_end(s, cm_mobile_keep(s, m, t), t);
}

/* ---- all of them */

/* An account that is kept, by any of its cards. */
struct kept {
	char *name;
	uid_t uid;
	bool usable;		/* by one of them */
};

struct all_kept {
	struct kept *rows;
	size_t count, room;
	bool whole;
};

static void
free_kept(struct all_kept *k)
{
	for (size_t i = 0; i < k->count; i++)
		free(k->rows[i].name);
	free(k->rows);
	*k = (struct all_kept){ .whole = false };
}

static enum cm_err
add_kept(struct all_kept *k, const struct cm_account *a, bool usable)
{
	struct kept *last = k->count > 0 ? &k->rows[k->count - 1] : NULL;

	if (last != NULL && strcmp(last->name, a->name) == 0 && last->uid == a->uid) {
		last->usable = last->usable || usable;
		return CM_OK;
	}
	if (k->count == k->room) {
		const size_t room = k->room > 0 ? 2 * k->room : 16;
		struct kept *more = realloc(k->rows, room * sizeof(*more));

		if (more == NULL)
			return CM_ERR_NOMEM;
		k->rows = more;
		k->room = room;
	}
	k->rows[k->count] = (struct kept){ .name = strdup(a->name), .uid = a->uid, .usable = usable };
	return k->rows[k->count].name != NULL ? (k->count++, CM_OK) : CM_ERR_NOMEM;
}

/* A clock that went back keeps nobody's name from this computer: how long it was cannot be told. */
static bool
is_usable(const struct cm_accounts *s, const struct cm_account_row *r, time_t now)
{
	return s->offline_max == 0 || cm_clock_age_since(r->v[CM_ROW_LAST_ONLINE].n, r->v[CM_ROW_BOOTTIME].n,
	    (const char *)r->v[CM_ROW_BOOT_ID].bytes.ptr, now) <= s->offline_max;
}

static enum cm_err
load_kept(struct cm_accounts *s, time_t now, struct cm_trace *t, struct all_kept *k)
{
	sqlite3_stmt *q = NULL;
	enum cm_err err = cm_store_prepare(s, "SELECT * FROM account ORDER BY name, uid", NULL, 0, t, &q);

	*k = (struct all_kept){ .whole = true };
	while (err == CM_OK && (err = cm_store_step(s, q, t)) == CM_OK) {
		struct cm_account_row r;

		if (cm_account_row_read(s, q, NULL, &r) != CM_OK)
			k->whole = false;
		else
			err = add_kept(k, &r.account, is_usable(s, &r, now));
		cm_account_row_clear(&r);
	}
	sqlite3_finalize(q);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

/* Both are in SQLite's order of names, which is memcmp's. */
static const struct kept *
find_kept(const struct all_kept *k, const struct cm_account *a)
{
	size_t from = 0, to = k->count;

	while (from < to) {
		const size_t at = from + (to - from) / 2;
		const int c = strcmp(k->rows[at].name, a->name);
		const bool before = c < 0 || (c == 0 && k->rows[at].uid < a->uid);

		from = before ? at + 1 : from;
		to = before ? to : at;
	}
	return from < k->count && strcmp(k->rows[from].name, a->name) == 0 && k->rows[from].uid == a->uid ? &k->rows[from] : NULL;
}

static enum cm_mobile_state
state_of(const struct all_kept *all, const struct row *r)
{
	const struct kept *k = find_kept(all, &r->account);

	if (r->declined)
		return CM_MOBILE_DECLINED;
	/* Of a row that cannot be read nobody knows whose it is: then nobody is gone. */
	if (k == NULL)
		return all->whole ? CM_MOBILE_GONE : CM_MOBILE_KEPT;
	return k->usable ? CM_MOBILE_KEPT : CM_MOBILE_RESTS;
}

static enum cm_err
visit_rows(struct cm_accounts *s, const struct all_kept *all, struct cm_trace *t, bool *whole, cm_mobile_visit visit, void *arg)
{
	sqlite3_stmt *q = NULL;
	enum cm_err err = cm_store_prepare(s, "SELECT * FROM mobile ORDER BY name", NULL, 0, t, &q);

	while (err == CM_OK && (err = cm_store_step(s, q, t)) == CM_OK) {
		struct row r;

		if (read_row(q, &r)) {
			const struct cm_mobile m = { .account = &r.account, .declined = r.declined, .made = r.made };

			err = visit(arg, &m, state_of(all, &r));
		} else {
			*whole = false;
		}
		clear_row(&r);
	}
	sqlite3_finalize(q);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

enum cm_err
cm_mobile_each(struct cm_accounts *s, time_t now, struct cm_trace *t, bool *whole, cm_mobile_visit visit, void *arg)
{
	struct all_kept all = { .whole = true };
	enum cm_err err;

	*whole = true;
	if (s->remote != NULL)
		return CM_ERR_STATE;
	if ((err = cm_store_has_table(s, "mobile", t)) == CM_OK && (err = load_kept(s, now, t, &all)) == CM_OK) {
		*whole = all.whole;
		err = visit_rows(s, &all, t, whole, visit, arg);
	}
	free_kept(&all);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

static const char *const state_names[] = {
	[CM_MOBILE_KEPT] = "known", [CM_MOBILE_RESTS] = "rests", [CM_MOBILE_GONE] = "gone", [CM_MOBILE_DECLINED] = "declined",
};

static const char unknown[] = "unknown";

const char *
cm_mobile_seen_word(const struct cm_mobile_seen *seen)
{
	return seen->unknown ? unknown : state_names[seen->state];
}

bool
cm_mobile_seen_take_word(struct cm_mobile_seen *seen, const char *word)
{
	seen->exists = true;
	seen->unknown = strcmp(word, unknown) == 0;
	for (size_t i = 0; i < CM_COUNT(state_names); i++)
		if (strcmp(state_names[i], word) == 0) {
			seen->state = (enum cm_mobile_state)i;
			return true;
		}
	return seen->unknown;
}

static enum cm_err
see_kept(void *arg, const struct cm_kept *k)
{
	struct cm_mobile_seen *out = arg;

	if (out->refreshed == 0 || k->offline_until == 0 || k->offline_until > out->expires)
		out->expires = k->offline_until;
	if (k->last_online > out->refreshed)
		out->refreshed = k->last_online;
	return CM_OK;
}

/* What cannot be read is not taken for what is not there. */
void
cm_mobile_see(struct cm_accounts *s, const char *name, time_t now, struct cm_mobile_seen *out)
{
	struct cm_account *a = NULL;
	bool declined = false;
	time_t made = 0;
	enum cm_err err = cm_mobile_find(s, name, NULL, &a, &declined, &made);

	*out = (struct cm_mobile_seen){ .exists = err != CM_ERR_ABSENT, .made = made };
	cm_account_free(&a);
	if (err == CM_OK && (err = cm_accounts_list_of(s, name, NULL, see_kept, out)) == CM_OK)
		out->state = declined ? CM_MOBILE_DECLINED : out->refreshed == 0 ? CM_MOBILE_GONE :
		    out->expires != 0 && now > out->expires ? CM_MOBILE_RESTS : CM_MOBILE_KEPT;
	out->unknown = err != CM_OK && out->exists;
}

enum cm_err
cm_mobile_check_store(struct cm_accounts *s, struct cm_trace *t)
{
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	if (s->remote != NULL)
		return CM_ERR_STATE;
	if ((err = cm_store_prepare(s, "PRAGMA quick_check(1)", NULL, 0, t, &q)) == CM_OK && (err = cm_store_step(s, q, t)) == CM_OK &&
	    strcmp((const char *)sqlite3_column_text(q, 0), "ok") != 0)
		err = cm_store_damaged(s, t, "a page");
	sqlite3_finalize(q);
	return err;
}
