/* cache/transfer.c - what is kept of accounts, taken from one computer's store and put into another's. */
#include "cache/transfer.h"

#include <openssl/evp.h>

#include "cache/accounts_internal.h"
#include "cache/standing.h"

#define EXPORT	((char *)(uintptr_t)"the export")	/* for messages */

/* ---- out of a store */

static enum cm_err
copy_evidence(struct cm_accounts *from, struct cm_accounts *to, const struct cm_account_row *r, struct cm_trace *t)
{
	struct cm_blob links[CM_CHAIN_MAX];
	size_t count = 0;
	enum cm_err err = CM_OK;

	if (!cm_account_row_links(r->v[CM_ROW_LINKS].bytes, links, &count))
		return cm_store_damaged(from, t, "a kept account");
	for (size_t i = 0; err == CM_OK && i < count; i++) {
		struct cm_evidence e;

		if ((err = cm_accounts_find_evidence(from, links[i], t, &e)) == CM_OK)
			err = cm_evidence_put(to, &e, t);
		else if (err == CM_ERR_ABSENT)
			err = CM_OK;
	}
	return err;
}

static enum cm_err
copy_accounts(struct cm_accounts *from, const char *name, struct cm_trace *t, struct cm_accounts *to, size_t *count)
{
	const struct cm_column key = cm_value_text(name);
	sqlite3_stmt *q = NULL;
	enum cm_err err = cm_store_prepare(from, name != NULL ? "SELECT * FROM account WHERE name = ?1" : "SELECT * FROM account", &key,
	    name != NULL, t, &q);

	while (err == CM_OK && (err = cm_store_step(from, q, t)) == CM_OK) {
		struct cm_account_row r;

		if ((err = cm_account_row_read(from, q, t, &r)) == CM_OK && (err = cm_store_put(to, "account", r.v, CM_ROW_COLUMNS, t)) == CM_OK &&
		    (err = copy_evidence(from, to, &r, t)) == CM_OK)
			(*count)++;
		cm_account_row_clear(&r);
	}
	sqlite3_finalize(q);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

static enum cm_err
write_out(struct cm_accounts *to, struct cm_buf *out)
{
	sqlite3_int64 size = 0;
	unsigned char *octets = sqlite3_serialize(to->db, "main", &size, 0);
	enum cm_err err = CM_ERR_NOMEM;

	if (octets != NULL && size > 0) {
		cm_buf_add(out, octets, (size_t)size);
		err = cm_buf_status(out);
	}
	sqlite3_free(octets);
	return err;
}

enum cm_err
cm_transfer_collect(struct cm_accounts *s, const char *name, struct cm_trace *t, struct cm_buf *out, size_t *count)
{
	struct cm_accounts to = { .path = EXPORT, .version = CM_STORE_VERSION };
	struct cm_store_clock clock;
	enum cm_err err;

	*count = 0;
	if (s->remote != NULL)
		return CM_ERR_STATE;
	/* One view of it, whoever logs in meanwhile. */
	if ((err = cm_store_exec(s, "BEGIN", t)) != CM_OK)
		return err;
	if (sqlite3_open(":memory:", &to.db) != SQLITE_OK)
		err = CM_ERR_NOMEM;
	if (err == CM_OK && (err = cm_store_exec(&to, "PRAGMA page_size = 512", t)) == CM_OK &&
	    (err = cm_store_exec(&to, cm_store_schema, t)) == CM_OK && (err = cm_clock_load(s, t, &clock)) == CM_OK &&
	    (err = cm_clock_keep(&to, clock.floor, clock.floor, true, t)) == CM_OK && (err = copy_accounts(s, name, t, &to, count)) == CM_OK)
		err = write_out(&to, out);
	sqlite3_close(to.db);
	return cm_store_end(s, err, t);
}

/* ---- into a store */

struct apply {
	struct cm_accounts *s, from;
	const struct cm_transfer_watch *watch;
	time_t now;
	struct cm_trace *t;
};

/* What was sealed with the key is still read as if it came from anybody. */
static enum cm_err
open_octets(struct apply *a, struct cm_blob octets)
{
	unsigned char *copy;
	enum cm_err err;

	if (octets.len == 0 || octets.len > CM_TRANSFER_MAX)
		return CM_ERR_SYNTAX;
	if (sqlite3_open(":memory:", &a->from.db) != SQLITE_OK || (copy = sqlite3_malloc64(octets.len)) == NULL)
		return CM_ERR_NOMEM;
	memcpy(copy, octets.ptr, octets.len);
	sqlite3_db_config(a->from.db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(a->from.db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(a->from.db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(a->from.db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	if (sqlite3_deserialize(a->from.db, "main", copy, (sqlite3_int64)octets.len, (sqlite3_int64)octets.len,
	    SQLITE_DESERIALIZE_FREEONCLOSE | SQLITE_DESERIALIZE_READONLY) != SQLITE_OK)
		return CM_ERR_SYNTAX;
	if ((err = cm_store_exec(&a->from, "PRAGMA cell_size_check = 1", NULL)) != CM_OK ||
	    (err = cm_schema_read_version(&a->from, NULL)) != CM_OK || a->from.version != CM_STORE_VERSION)
		return err == CM_ERR_NOMEM ? err : CM_ERR_SYNTAX;
	return CM_OK;
}

/* Does a statement with these values find anything in this store? */
static enum cm_err
has(struct apply *a, const char *sql, const struct cm_column *v, size_t count, bool *there)
{
	sqlite3_stmt *q = NULL;
	enum cm_err err = cm_store_prepare(a->s, sql, v, count, a->t, &q);

	if (err == CM_OK)
		err = cm_store_step(a->s, q, a->t);
	*there = err == CM_OK;
	sqlite3_finalize(q);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

static const struct {
	const char *sql;
	size_t values;	/* that it takes */
	const char *left;
} known_better[] = {
	{ "SELECT 1 FROM account WHERE cert_sha256 = ?1 AND (name <> ?2 OR uid <> ?3)", 3, "its card opens another account here" },
	{ "SELECT 1 FROM account WHERE cert_sha256 = ?1 AND last_online >= ?4", 4, "what is kept here is as new, or newer" },
	{ "SELECT 1 FROM account WHERE name = ?2 AND uid <> ?3", 3, "it is kept here with another uid" },
	{ "SELECT 1 FROM account WHERE uid = ?3 AND name <> ?2", 3, "its uid is another's here" },
};

/* Whoever was opened here, or refused by a directory, is known by name. */
static enum cm_err
ask_standing(struct apply *a, const struct cm_account *who, struct cm_buf *left)
{
	struct cm_standing st = { .text = NULL };
	enum cm_err err = cm_standing_find(a->s, who->name, a->t, &st);

	if (err == CM_OK && st.reason != CM_REASON_NONE)
		cm_buf_addf(left, "a directory told this computer that it does not stand: %s", st.text != NULL ? st.text : cm_reason_name(st.reason));
	else if (err == CM_OK && st.carded && st.uid != who->uid)
		cm_buf_addf(left, "a card opened it here with uid %u", (unsigned)st.uid);
	cm_standing_clear(&st);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

static enum cm_err
ask_store(struct apply *a, const struct cm_account_row *r, struct cm_buf *left)
{
	const struct cm_column v[] = { r->v[CM_ROW_CERT_SHA256], cm_value_text(r->account.name), cm_value_int(r->account.uid), r->v[CM_ROW_LAST_ONLINE] };
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && left->len == 0 && i < CM_COUNT(known_better); i++) {
		bool there = false;

		if ((err = has(a, known_better[i].sql, v, known_better[i].values, &there)) == CM_OK && there)
			cm_buf_add_str(left, known_better[i].left);
	}
	return err == CM_OK && left->len == 0 ? ask_standing(a, &r->account, left) : err;
}

/* A refusal is why it is left out, and no more. */
static enum cm_err
take_refusal(struct apply *a, enum cm_err err, struct cm_buf *left)
{
	if (err != CM_ERR_REFUSED)
		return err;
	cm_buf_add_str(left, cm_trace_reason(a->t) != CM_REASON_NONE ? cm_trace_message(a->t) : "refused");
	cm_trace_clear_reason(a->t);
	return CM_OK;
}

static enum cm_err
judge(struct apply *a, const struct cm_account_row *r, struct cm_buf *left)
{
	const struct cm_transfer_row row = { &r->account, r->v[CM_ROW_CERT].bytes, r->v[CM_ROW_KEY].bytes };
	const int64_t last = r->v[CM_ROW_LAST_ONLINE].n;
	enum cm_err err;

	if (last < 0 || last > a->now)
		cm_buf_add_str(left, "its last login with the network lies ahead of this computer's clock");
	else if (a->s->offline_max > 0 && a->now - last > a->s->offline_max)
		cm_buf_add_str(left, "its last login with the network is longer ago than accounts.offline_days allows");
	else if ((err = take_refusal(a, cm_account_check(&r->account, &a->s->limits, a->t), left)) != CM_OK ||
	    (left->len == 0 && (err = ask_store(a, r, left)) != CM_OK) ||
	    (left->len == 0 && (err = take_refusal(a, a->watch->permit(a->watch->arg, &row, a->t), left)) != CM_OK))
		return err;
	return cm_buf_status(left);
}

static enum cm_err
apply_row(struct apply *a, struct cm_account_row *r)
{
	struct cm_buf left = { 0 };
	uint8_t sha256[32];
	enum cm_err err;

	if (EVP_Digest(r->v[CM_ROW_CERT].bytes.ptr, r->v[CM_ROW_CERT].bytes.len, sha256, NULL, EVP_sha256(), NULL) != 1)
		return CM_ERR_NOMEM;
	if (!cm_blob_equal(r->v[CM_ROW_CERT_SHA256].bytes, (struct cm_blob){ sha256, sizeof(sha256) }))
		return CM_ERR_SYNTAX;
	if ((err = judge(a, r, &left)) == CM_OK && left.len == 0) {
		/* Of another computer's boot nobody can tell here. */
		r->v[CM_ROW_BOOTTIME] = cm_value_int(0);
		r->v[CM_ROW_BOOT_ID] = cm_value_text("");
		if ((err = cm_store_put(a->s, "account", r->v, CM_ROW_COLUMNS, a->t)) == CM_OK)
			err = cm_standing_restore(a->s, &r->account, r->v[CM_ROW_LAST_ONLINE].n, a->t);
	}
	if (err == CM_OK)
		a->watch->told(a->watch->arg, &r->account, left.len > 0 ? cm_buf_str(&left) : NULL);
	cm_buf_free(&left);
	return err;
}

/* What fails about the octets is their fault, and not this computer's. */
static enum cm_err
next(struct apply *a, sqlite3_stmt *q)
{
	const enum cm_err err = cm_store_step(&a->from, q, NULL);

	return err == CM_ERR_SYSTEM ? CM_ERR_SYNTAX : err;
}

static enum cm_err
each(struct apply *a, const char *sql, enum cm_err (*take)(struct apply *a, sqlite3_stmt *q))
{
	sqlite3_stmt *q = NULL;
	enum cm_err err = cm_store_prepare(&a->from, sql, NULL, 0, NULL, &q);

	if (err == CM_ERR_SYSTEM)
		err = CM_ERR_SYNTAX;
	while (err == CM_OK && (err = next(a, q)) == CM_OK)
		err = take(a, q);
	sqlite3_finalize(q);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

static enum cm_err
take_account(struct apply *a, sqlite3_stmt *q)
{
	struct cm_account_row r;
	const enum cm_err err = cm_account_row_read(&a->from, q, NULL, &r) == CM_OK ? apply_row(a, &r) : CM_ERR_SYNTAX;

	cm_account_row_clear(&r);
	return err;
}

static enum cm_err
take_evidence(struct apply *a, sqlite3_stmt *q)
{
	struct cm_evidence e;

	if (cm_evidence_read(&a->from, q, NULL, &e) != CM_OK)
		return CM_ERR_SYNTAX;
	/* From ahead of this clock it says nothing here. */
	return e.learned <= a->now && e.confirmed <= a->now ? cm_evidence_keep(a->s, &e, a->now, a->t) : CM_OK;
}

static enum cm_err
apply_clock(struct apply *a)
{
	struct cm_store_clock c;
	char now[CM_TIME_SIZE], floor[CM_TIME_SIZE];

	if (cm_clock_load(&a->from, NULL, &c) != CM_OK)
		return CM_ERR_SYNTAX;
	if (c.floor > a->now)
		return cm_trace_fail(a->t, CM_REASON_CLOCK_BEHIND, "this computer's clock says %s, but the export knows an answer signed %s",
		    cm_clock_text(a->now, now), cm_clock_text(c.floor, floor));
	return cm_clock_keep(a->s, c.floor, a->now, false, a->t);
}

enum cm_err
cm_transfer_apply(struct cm_accounts *s, struct cm_blob octets, time_t now, const struct cm_transfer_watch *w, struct cm_trace *t)
{
	struct apply a = { .s = s, .from = { .path = EXPORT }, .watch = w, .now = now, .t = t };
	const bool guarded = s->guarded;
	enum cm_err err;

	if (s->remote != NULL)
		return CM_ERR_STATE;
	if ((err = open_octets(&a, octets)) == CM_OK && (err = cm_store_begin(s, t)) == CM_OK) {
		s->guarded = true;	/* no hold ends by it */
		if ((err = apply_clock(&a)) == CM_OK && (err = each(&a, "SELECT * FROM account ORDER BY name, last_online", take_account)) == CM_OK)
			err = each(&a, "SELECT * FROM evidence", take_evidence);
		s->guarded = guarded;
		err = cm_store_end(s, err, t);
	}
	sqlite3_close(a.from.db);
	if (err == CM_ERR_SYNTAX) {
		cm_trace_clear_reason(t);
		cm_trace_fail(t, CM_REASON_STORE, "what is to be imported is no export of accounts, or damaged: nothing was changed");
	}
	return err;
}
