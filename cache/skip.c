/* cache/skip.c - marks of who may log in once without a card: the store's table "skip", made with its first row. */
#include "cache/skip.h"

#include "cache/accounts_internal.h"

enum { NAME, MADE, EXPIRES, BOOTTIME, BOOT_ID, COLUMNS };

#define TABLE \
	"CREATE TABLE IF NOT EXISTS skip (name TEXT PRIMARY KEY NOT NULL, made INTEGER NOT NULL," \
	" expires INTEGER NOT NULL, boottime INTEGER NOT NULL, boot_id TEXT NOT NULL, digest BLOB NOT NULL) STRICT"

/* CM_ERR_REFUSED: CLOCK_BEHIND. */
static enum cm_err
check_clock(struct cm_accounts *s, time_t now, struct cm_trace *t)
{
	char a[CM_TIME_SIZE], b[CM_TIME_SIZE];
	struct cm_store_clock c;
	enum cm_err err = cm_clock_load(s, t, &c);

	if (err == CM_OK && now < c.floor)
		err = cm_trace_fail(t, CM_REASON_CLOCK_BEHIND, "this computer's clock says %s, but an answer signed %s was "
		    "already seen: how long a day is cannot be told", cm_clock_text(now, a), cm_clock_text(c.floor, b));
	return err;
}

static enum cm_err
put(struct cm_accounts *s, const char *name, const struct cm_skip *m, struct cm_trace *t)
{
	char boot_id[CM_BOOT_ID_SIZE];
	enum cm_err err;

	if (cm_clock_boot_id(boot_id) != CM_OK)
		boot_id[0] = '\0';
	const struct cm_column row[COLUMNS] = {
		[NAME] = cm_value_text(name), [MADE] = cm_value_int(m->made), [EXPIRES] = cm_value_int(m->expires),
		[BOOTTIME] = cm_value_int(cm_clock_boottime()), [BOOT_ID] = cm_value_text(boot_id),
	};

	if ((err = cm_store_exec(s, TABLE, t)) == CM_OK)
		err = cm_store_put(s, "skip", row, COLUMNS, t);
	return err;
}

enum cm_err
cm_skip_make(struct cm_accounts *s, const char *name, time_t now, struct cm_trace *t, struct cm_skip *out)
{
	enum cm_err err;

	*out = (struct cm_skip){ .made = now, .expires = now + CM_SKIP_S };
	if (s->remote != NULL)
		return CM_ERR_STATE;
	if (name[0] == '\0')
		return CM_ERR_USAGE;
	if ((err = cm_store_begin(s, t)) != CM_OK)
		return err;
	if ((err = check_clock(s, now, t)) == CM_OK)
		err = put(s, name, out, t);
	return cm_store_end(s, err, t);
}

/* The row of this name; *age in seconds, negative: the clock is behind its making. */
static enum cm_err
read_row(struct cm_accounts *s, const char *name, time_t now, struct cm_trace *t, struct cm_skip *out, int64_t *age)
{
	struct cm_column v[COLUMNS] = {
		[NAME] = { .kind = CM_VALUE_TEXT }, [MADE] = { .kind = CM_VALUE_INTEGER }, [EXPIRES] = { .kind = CM_VALUE_INTEGER },
		[BOOTTIME] = { .kind = CM_VALUE_INTEGER }, [BOOT_ID] = { .kind = CM_VALUE_TEXT },
	};
	const struct cm_column key = cm_value_text(name);
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	if ((err = cm_store_has_table(s, "skip", t)) == CM_OK &&
	    (err = cm_store_prepare(s, "SELECT * FROM skip WHERE name = ?1", &key, 1, t, &q)) == CM_OK &&
	    (err = cm_store_step(s, q, t)) == CM_OK) {
		if (cm_store_get(q, v, COLUMNS) && v[EXPIRES].n >= v[MADE].n && v[EXPIRES].n - v[MADE].n <= CM_SKIP_S) {
			*out = (struct cm_skip){ .made = v[MADE].n, .expires = v[EXPIRES].n };
			*age = cm_clock_age_since(v[MADE].n, v[BOOTTIME].n, (const char *)v[BOOT_ID].bytes.ptr, now);
		} else {
			err = cm_store_damaged(s, t, "that somebody may log in once without a card");
		}
	}
	sqlite3_finalize(q);
	return err;
}

/* Whatever its clock says: who may not read the mark, or its clock, enters by none. */
static enum cm_err
find(struct cm_accounts *s, const char *name, time_t now, struct cm_trace *t, struct cm_skip *out, bool *expired)
{
	struct cm_store_clock c;
	int64_t age = 0;
	enum cm_err err;

	*expired = false;
	if ((err = read_row(s, name, now, t, out, &age)) != CM_OK || (err = cm_clock_load(s, t, &c)) != CM_OK)
		return err;
	*expired = age >= CM_SKIP_S || now >= out->expires;
	/* Within one boot both clocks must say that it is after its making: the one that was set back does not. */
	return *expired || age < 0 || now < out->made || now < c.floor ? CM_ERR_ABSENT : CM_OK;
}

static enum cm_err
remove_row(struct cm_accounts *s, const char *name, struct cm_trace *t)
{
	const struct cm_column key = cm_value_text(name);
	const enum cm_err err = cm_store_run(s, "DELETE FROM skip WHERE name = ?1", &key, 1, t);

	return err == CM_OK && sqlite3_changes(s->db) == 0 ? CM_ERR_ABSENT : err;
}

enum cm_err
cm_skip_find(struct cm_accounts *s, const char *name, time_t now, struct cm_trace *t, struct cm_skip *out)
{
	struct cm_skip one;
	bool expired;
	enum cm_err err;

	if (s->remote != NULL)
		return CM_ERR_STATE;
	err = find(s, name, now, t, out != NULL ? out : &one, &expired);
	/* A clock that is set back does not bring it back; where it cannot be removed, it has expired all the same. */
	if (expired && remove_row(s, name, NULL) == CM_OK)
		cm_store_settle(s);
	return err;
}

enum cm_err
cm_skip_use(struct cm_accounts *s, const char *name, time_t now, struct cm_trace *t, struct cm_skip *out)
{
	bool expired;
	enum cm_err err;

	/* Most have none: nobody waits for a writer then. */
	if ((err = cm_skip_find(s, name, now, t, out)) != CM_OK || (err = cm_store_begin(s, t)) != CM_OK)
		return err;
	if ((err = find(s, name, now, t, out, &expired)) == CM_OK)
		err = remove_row(s, name, t);
	if ((err = cm_store_end(s, err, t)) == CM_OK)
		cm_store_settle(s);
	return err;
}
