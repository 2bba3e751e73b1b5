/* cache/evidence.c - what was learned of certificates, row by row, and what the time is at least. */
#include <stdlib.h>

#include "cache/store_wire_internal.h"

/* The columns of table evidence, in order. */
enum {
	ISSUER_KEY, SERIAL, STATUS, THIS_UPDATE, NEXT_UPDATE, REVOKED_AT, LEARNED, CONFIRMED, ASK_AFTER, SOURCE, SIGNER,
	EVIDENCE_COLUMNS
};
/* Of version 1: confirmed, ask_after and signer are not there. */
enum { SOURCE_1 = CONFIRMED, EVIDENCE_COLUMNS_1 };

/* Added to the status. */
enum { STATUS_MASK = 15, ON_HOLD = 16, BY_LIST = 32 };

#define EXPIRED_KEPT		(30 * 24 * 3600)

static const struct cm_column evidence_kinds[EVIDENCE_COLUMNS] = {
	[ISSUER_KEY] = { .kind = CM_VALUE_BLOB }, [SERIAL] = { .kind = CM_VALUE_BLOB },
	[STATUS] = { .kind = CM_VALUE_INTEGER }, [THIS_UPDATE] = { .kind = CM_VALUE_INTEGER },
	[NEXT_UPDATE] = { .kind = CM_VALUE_INTEGER }, [REVOKED_AT] = { .kind = CM_VALUE_INTEGER },
	[LEARNED] = { .kind = CM_VALUE_INTEGER }, [SOURCE] = { .kind = CM_VALUE_TEXT }, [SIGNER] = { .kind = CM_VALUE_TEXT },
};

/* A table of version 1 is there only while it is moved over, or where it could not be. */
static bool
get_columns(const struct cm_accounts *s, sqlite3_stmt *q, struct cm_column v[EVIDENCE_COLUMNS])
{
	memcpy(v, evidence_kinds, EVIDENCE_COLUMNS * sizeof(*v));
	if (s->version >= CM_STORE_SOURCES || sqlite3_column_count(q) != EVIDENCE_COLUMNS_1 + 1)
		return cm_store_get(q, v, EVIDENCE_COLUMNS);
	v[SOURCE_1] = evidence_kinds[SOURCE];
	if (!cm_store_get(q, v, EVIDENCE_COLUMNS_1))
		return false;
	v[SOURCE] = v[SOURCE_1];
	v[CONFIRMED] = v[LEARNED];
	v[ASK_AFTER] = cm_value_int(0);
	v[SIGNER] = cm_value_text("");
	return true;
}

enum cm_err
cm_evidence_read(struct cm_accounts *s, sqlite3_stmt *q, struct cm_trace *t, struct cm_evidence *e)
{
	struct cm_column v[EVIDENCE_COLUMNS];

	*e = (struct cm_evidence){ 0 };
	if (!get_columns(s, q, v) ||
	    v[ISSUER_KEY].bytes.len != sizeof(e->issuer_key) ||
	    v[SERIAL].bytes.len < 1 || v[SERIAL].bytes.len > sizeof(e->serial) ||
	    ((v[STATUS].n & STATUS_MASK) != CM_STATUS_GOOD && (v[STATUS].n & STATUS_MASK) != CM_STATUS_REVOKED) ||
	    (v[STATUS].n & ~(int64_t)(STATUS_MASK | ON_HOLD | BY_LIST)) != 0 ||
	    v[SOURCE].bytes.len >= sizeof(e->source) || v[SIGNER].bytes.len >= sizeof(e->signer))
		return cm_store_damaged(s, t, "an answer about revocation");
	memcpy(e->issuer_key, v[ISSUER_KEY].bytes.ptr, sizeof(e->issuer_key));
	memcpy(e->serial, v[SERIAL].bytes.ptr, v[SERIAL].bytes.len);
	e->serial_len = v[SERIAL].bytes.len;
	e->status = (enum cm_status)(v[STATUS].n & STATUS_MASK);
	e->on_hold = v[STATUS].n & ON_HOLD;
	e->by_list = v[STATUS].n & BY_LIST;
	e->this_update = v[THIS_UPDATE].n;
	e->next_update = v[NEXT_UPDATE].n;
	e->revoked_at = v[REVOKED_AT].n;
	e->learned = v[LEARNED].n;
	e->confirmed = v[CONFIRMED].n;
	e->ask_after = v[ASK_AFTER].n;
	memcpy(e->signer, v[SIGNER].bytes.ptr, v[SIGNER].bytes.len);
	memcpy(e->source, v[SOURCE].bytes.ptr, v[SOURCE].bytes.len);
	return CM_OK;
}

enum cm_err
cm_evidence_find(struct cm_accounts *s, struct cm_blob issuer_key, struct cm_blob serial,
    struct cm_trace *t, struct cm_evidence *out)
{
	const struct cm_column key[] = { cm_value_blob(issuer_key), cm_value_blob(serial) };
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	if ((err = cm_store_prepare(s, "SELECT * FROM evidence WHERE issuer_key = ?1 AND serial = ?2",
	    key, CM_COUNT(key), t, &q)) == CM_OK && (err = cm_store_step(s, q, t)) == CM_OK)
		err = cm_evidence_read(s, q, t, out);
	sqlite3_finalize(q);
	return err;
}

enum cm_err
cm_evidence_put(struct cm_accounts *s, const struct cm_evidence *e, struct cm_trace *t)
{
	const struct cm_column row[EVIDENCE_COLUMNS] = {
		[ISSUER_KEY] = cm_value_blob((struct cm_blob){ e->issuer_key, sizeof(e->issuer_key) }),
		[SERIAL] = cm_value_blob((struct cm_blob){ e->serial, e->serial_len }),
		[STATUS] = cm_value_int((int64_t)e->status | (e->on_hold ? ON_HOLD : 0) | (e->by_list ? BY_LIST : 0)),
		[THIS_UPDATE] = cm_value_int(e->this_update),
		[NEXT_UPDATE] = cm_value_int(e->next_update),
		[REVOKED_AT] = cm_value_int(e->revoked_at),
		[LEARNED] = cm_value_int(e->learned), [CONFIRMED] = cm_value_int(e->confirmed),
		[ASK_AFTER] = cm_value_int(e->ask_after),
		[SOURCE] = cm_value_text(e->source), [SIGNER] = cm_value_text(e->signer),
	};

	return cm_store_put(s, "evidence", row, CM_COUNT(row), t);
}

static bool
is_same(const struct cm_evidence *a, const struct cm_evidence *b)
{
	return a->status == b->status && a->this_update == b->this_update && a->next_update == b->next_update &&
	    a->revoked_at == b->revoked_at && a->on_hold == b->on_hold && a->by_list == b->by_list &&
	    a->learned == b->learned && a->confirmed == b->confirmed && a->ask_after == b->ask_after &&
	    strcmp(a->source, b->source) == 0 && strcmp(a->signer, b->signer) == 0;
}

/* It was made while this computer's clock was ahead: it must not stand in the way of what is made under a right one. */
static bool
is_ahead(const struct cm_evidence *e, time_t now)
{
	const time_t limit = now + CM_CLOCK_SKEW;

	return e->this_update > limit || e->learned > limit || e->confirmed > limit;
}

/*
 * Revoked is for good, but for a hold, which ends or becomes for good.  Good
 * gives way to newer good, or to the same that was said again later.
 */
static bool
stays(const struct cm_accounts *s, const struct cm_evidence *old, const struct cm_evidence *e, time_t now)
{
	if (old->status == CM_STATUS_REVOKED && e->status != CM_STATUS_REVOKED && s->guarded)
		return true;
	if (old->status == CM_STATUS_REVOKED)
		return !cm_evidence_ends_hold(old, e) && !(old->on_hold && e->status == CM_STATUS_REVOKED &&
		    (!e->on_hold || e->this_update > old->this_update));
	if (e->status != CM_STATUS_GOOD || is_ahead(old, now))
		return false;
	return old->this_update != e->this_update ? old->this_update > e->this_update : old->confirmed > e->confirmed;
}

/* Revoked is kept whatever its date. */
enum cm_err
cm_evidence_is_news(struct cm_accounts *s, const struct cm_evidence *e, time_t now, struct cm_trace *t)
{
	struct cm_evidence old = { 0 };
	enum cm_err err;

	if (e->status == CM_STATUS_UNKNOWN ||
	    (e->status == CM_STATUS_GOOD && e->this_update > now + CM_CLOCK_SKEW))
		return CM_ERR_ABSENT;
	if (e->serial_len < 1 || e->serial_len > sizeof(e->serial))
		return CM_ERR_STATE;
	err = cm_evidence_find(s, (struct cm_blob){ e->issuer_key, sizeof(e->issuer_key) },
	    (struct cm_blob){ e->serial, e->serial_len }, t, &old);
	if (err == CM_OK)
		return stays(s, &old, e, now) || is_same(&old, e) ? CM_ERR_ABSENT : CM_OK;
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

enum cm_err
cm_evidence_keep(struct cm_accounts *s, const struct cm_evidence *e, time_t now, struct cm_trace *t)
{
	const enum cm_err err = cm_evidence_is_news(s, e, now, t);

	return err == CM_OK ? cm_evidence_put(s, e, t) : err == CM_ERR_ABSENT ? CM_OK : err;
}

enum cm_err
cm_accounts_each_evidence(struct cm_accounts *s, struct cm_trace *t, cm_evidence_visit visit, void *arg)
{
	struct cm_evidence e;
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	if (s->remote != NULL)
		return CM_ERR_STATE;
	if ((err = cm_store_prepare(s, "SELECT * FROM evidence ORDER BY issuer_key, serial", NULL, 0, t, &q)) != CM_OK)
		goto out;
	while ((err = cm_store_step(s, q, t)) == CM_OK)
		if ((err = cm_evidence_read(s, q, t, &e)) != CM_OK || (err = visit(arg, &e)) != CM_OK)
			break;
	/* A visitor's own ABSENT ends the list like its end. */
	if (err == CM_ERR_ABSENT)
		err = CM_OK;
out:
	sqlite3_finalize(q);
	return err;
}

enum cm_err
cm_accounts_forget_evidence(struct cm_accounts *s, const uint8_t issuer_key[32], struct cm_blob serial,
    struct cm_trace *t)
{
	const struct cm_column v[] = { cm_value_blob((struct cm_blob){ issuer_key, 32 }), cm_value_blob(serial) };
	enum cm_err err;

	if (s->remote != NULL)
		return CM_ERR_STATE;
	err = cm_store_run(s, "DELETE FROM evidence WHERE issuer_key = ?1 AND serial = ?2", v, CM_COUNT(v), t);
	if (err == CM_OK && sqlite3_changes(s->db) == 0)
		return CM_ERR_ABSENT;
	if (err == CM_OK)
		cm_store_settle(s);
	return err;
}

/* As the index of what ends has it (schema.c). */
_Static_assert(CM_STATUS_GOOD == 1, "the statement and that index");
enum cm_err
cm_evidence_expire(struct cm_accounts *s, time_t now, struct cm_trace *t)
{
	const struct cm_column v[] = { cm_value_int(now - EXPIRED_KEPT) };

	return cm_store_run(s, "DELETE FROM evidence WHERE (status & 15) = 1 AND max(learned, next_update) < ?1", v,
	    CM_COUNT(v), t);
}

/* The columns of table clock. */
enum { ID, FLOOR, WALL, BOOTTIME, BOOT_ID, CLOCK_COLUMNS };

enum cm_err
cm_clock_load(struct cm_accounts *s, struct cm_trace *t, struct cm_store_clock *out)
{
	struct cm_column v[CLOCK_COLUMNS] = { [BOOT_ID] = { .kind = CM_VALUE_TEXT } };
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	*out = (struct cm_store_clock){ 0 };
	if ((err = cm_store_prepare(s, "SELECT * FROM clock", NULL, 0, t, &q)) != CM_OK ||
	    (err = cm_store_step(s, q, t)) != CM_OK)
		goto out;
	if (!cm_store_get(q, v, CLOCK_COLUMNS) || v[BOOT_ID].bytes.len >= sizeof(out->boot_id)) {
		err = cm_store_damaged(s, t, "the clock's floor");
		goto out;
	}
	out->floor = v[FLOOR].n;
	out->wall = v[WALL].n;
	out->boottime = v[BOOTTIME].n;
	memcpy(out->boot_id, v[BOOT_ID].bytes.ptr, v[BOOT_ID].bytes.len);
out:
	sqlite3_finalize(q);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

static bool
same_boot(const char *boot_id)
{
	char id[CM_BOOT_ID_SIZE];

	return boot_id[0] != '\0' && cm_clock_boot_id(id) == CM_OK && strcmp(id, boot_id) == 0;
}

int64_t
cm_clock_age_since(time_t wall, int64_t boottime, const char *boot_id, time_t now)
{
	const int64_t age = (int64_t)now - wall;
	int64_t awake;

	if (!same_boot(boot_id))
		return age;
	awake = cm_clock_boottime() - boottime;
	return awake > age ? awake : age;
}

bool
cm_clock_contradicts(const struct cm_store_clock *c, time_t now)
{
	return same_boot(c->boot_id) &&
	    now + CM_CLOCK_SKEW < c->wall + (cm_clock_boottime() - c->boottime);
}

/*
 * The floor only rises.  A signed time a little ahead of this host's clock
 * raises it to that clock, so that the floor is never ahead of the clock it
 * is compared with; one far ahead not at all.
 */
enum cm_err
cm_clock_keep(struct cm_accounts *s, time_t signed_time, time_t now, bool account_online,
    struct cm_trace *t)
{
	struct cm_store_clock c;
	enum cm_err err;

	if ((err = cm_clock_load(s, t, &c)) != CM_OK)
		return err;
	if (signed_time > now && signed_time <= now + CM_CLOCK_SKEW)
		signed_time = now;
	if (signed_time > c.floor && signed_time <= now)
		c.floor = signed_time;
	/* A clock set back offline does not become the new measure. */
	if (account_online || !cm_clock_contradicts(&c, now)) {
		c.wall = now;
		c.boottime = cm_clock_boottime();
		if (cm_clock_boot_id(c.boot_id) != CM_OK)
			c.boot_id[0] = '\0';
	}
	return cm_store_put(s, "clock", (const struct cm_column[]){
	    [ID] = cm_value_int(1), [FLOOR] = cm_value_int(c.floor), [WALL] = cm_value_int(c.wall),
	    [BOOTTIME] = cm_value_int(c.boottime), [BOOT_ID] = cm_value_text(c.boot_id),
	}, CLOCK_COLUMNS, t);
}
