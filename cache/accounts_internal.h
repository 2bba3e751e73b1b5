/* cache/accounts_internal.h - the store's rows, and how they are kept whole. */
#ifndef CM_CACHE_ACCOUNTS_INTERNAL_H
#define CM_CACHE_ACCOUNTS_INTERNAL_H

#include <sqlite3.h>

#include "cache/accounts.h"

struct cm_accounts {
	sqlite3 *db;
	char *path;
	int64_t offline_max;
	struct cm_account_limits limits;
	void (*ended)(void *arg);
	void *ended_arg;
	unsigned busy_ms;	/* how long another process may hold the store */
	int64_t version;	/* of its tables; below CM_STORE_VERSION: they could not be moved over */
	struct cm_remote *remote;	/* it is another process's; then there is no db */
	unsigned unpaired_ms;	/* of that: see struct cm_accounts_options */
	bool guarded;		/* whoever writes is not believed: no hold ends, and nothing is parsed (store_server.c) */
};
#define CM_STORE_VERSION	3
#define CM_STORE_SOURCES	2	/* from this version on there are sources */

/*
 * A column's value; bytes of a row that was read are SQLite's, until the next
 * step.  The last column of every table is the SHA-256 of all others: a bit
 * that flipped on the disk makes the row damaged, not different.
 */
struct cm_column {
	enum cm_value_kind { CM_VALUE_INTEGER, CM_VALUE_TEXT, CM_VALUE_BLOB } kind;
	int64_t n;
	struct cm_blob bytes;
};

static inline struct cm_column
cm_value_int(int64_t n)
{
	return (struct cm_column){ .kind = CM_VALUE_INTEGER, .n = n };
}

static inline struct cm_column
cm_value_text(const char *s)
{
	return (struct cm_column){ .kind = CM_VALUE_TEXT, .bytes = cm_blob_str(s) };
}

static inline struct cm_column
cm_value_blob(struct cm_blob b)
{
	return (struct cm_column){ .kind = CM_VALUE_BLOB, .bytes = b };
}

/* store.c: the file, and single statements.  All fail with reason STORE, naming the file. */
/* path and busy_ms are set; db and version are then.  The caller closes db. */
CM_MUST_USE enum cm_err cm_store_open(struct cm_accounts *s, struct cm_trace *t);
enum cm_err cm_store_damaged(const struct cm_accounts *s, struct cm_trace *t, const char *what);
CM_MUST_USE enum cm_err cm_store_begin(struct cm_accounts *s, struct cm_trace *t);
/* Statements without values. */
CM_MUST_USE enum cm_err cm_store_exec(struct cm_accounts *s, const char *sql, struct cm_trace *t);
/* Commit if err is CM_OK, else roll back; the result is err or what became of the commit. */
CM_MUST_USE enum cm_err cm_store_end(struct cm_accounts *s, enum cm_err err, struct cm_trace *t);
/*
 * Move what was committed out of the log and empty it.  SQLite takes a damaged
 * log for a short one, so what must never be undone (revoked, withdrawn) does
 * not stay there.  It is on the disk either way: no result.
 */
void cm_store_settle(struct cm_accounts *s);
/* A statement with values bound to ?1, ?2, ...; the caller's, for sqlite3_finalize(). */
CM_MUST_USE enum cm_err cm_store_prepare(struct cm_accounts *s, const char *sql,
    const struct cm_column *v, size_t count, struct cm_trace *t, sqlite3_stmt **out);
/* The next row: CM_OK, CM_ERR_ABSENT at the end, or failure. */
CM_MUST_USE enum cm_err cm_store_step(struct cm_accounts *s, sqlite3_stmt *q, struct cm_trace *t);
/* CM_ERR_ABSENT: no; a store of before, on a disk where it could not be added. */
CM_MUST_USE enum cm_err cm_store_has_table(struct cm_accounts *s, const char *name, struct cm_trace *t);
/* A statement without rows. */
CM_MUST_USE enum cm_err cm_store_run(struct cm_accounts *s, const char *sql,
    const struct cm_column *v, size_t count, struct cm_trace *t);
/* INSERT OR REPLACE a row of count values, its digest behind them. */
CM_MUST_USE enum cm_err cm_store_put(struct cm_accounts *s, const char *table,
    const struct cm_column *v, size_t count, struct cm_trace *t);
/* Fill v, whose kinds are set, from the row stepped to; false: damaged. */
CM_MUST_USE bool cm_store_get(sqlite3_stmt *q, struct cm_column *v, size_t count);

/* schema.c: statements that make an empty store; and one of version 1 brought to this version, whole or not at all. */
extern const char cm_store_schema[];
extern const char cm_store_indexes[];	/* for a store that was made before they were */
CM_MUST_USE enum cm_err cm_schema_read_version(struct cm_accounts *s, struct cm_trace *t);
CM_MUST_USE enum cm_err cm_schema_move(struct cm_accounts *s, struct cm_trace *t);

/* evidence.c: the row q is on, of either version; a row made new. */
CM_MUST_USE enum cm_err cm_evidence_read(struct cm_accounts *s, sqlite3_stmt *q, struct cm_trace *t,
    struct cm_evidence *e);
CM_MUST_USE enum cm_err cm_evidence_put(struct cm_accounts *s, const struct cm_evidence *e, struct cm_trace *t);
/* Would it be kept?  CM_ERR_ABSENT: no, what is kept is as good, or outweighs it. */
CM_MUST_USE enum cm_err cm_evidence_is_news(struct cm_accounts *s, const struct cm_evidence *e, time_t now,
    struct cm_trace *t);
CM_MUST_USE enum cm_err cm_evidence_keep(struct cm_accounts *s, const struct cm_evidence *e,
    time_t now, struct cm_trace *t);
CM_MUST_USE enum cm_err cm_evidence_find(struct cm_accounts *s, struct cm_blob issuer_key,
    struct cm_blob serial, struct cm_trace *t, struct cm_evidence *out);
/* recall.c: add what is kept of these certificates (issuer_key and serial) to m. */
CM_MUST_USE enum cm_err cm_accounts_recall_about(struct cm_accounts *s, const struct cm_evidence *names, size_t count,
    struct cm_trace *t, struct cm_memory *m);
/* Good evidence that ended a month ago says nothing any more. */
CM_MUST_USE enum cm_err cm_evidence_expire(struct cm_accounts *s, time_t now, struct cm_trace *t);

/* sources.c.  CM_ERR_STATE: issuer is no certificate with that key. */
CM_MUST_USE enum cm_err cm_source_keep(struct cm_accounts *s, const struct cm_source *src, struct cm_blob issuer,
    struct cm_trace *t);
/* Just so, with this issuer?  CM_ERR_ABSENT: no. */
CM_MUST_USE enum cm_err cm_source_is_kept(struct cm_accounts *s, const struct cm_source *src, struct cm_blob issuer,
    struct cm_trace *t);
CM_MUST_USE enum cm_err cm_source_expire(struct cm_accounts *s, time_t now, struct cm_trace *t);
/* All of them; *out is the caller's, for free(3). */
CM_MUST_USE enum cm_err cm_sources_recall(struct cm_accounts *s, struct cm_trace *t, struct cm_source **out,
    size_t *count);

/* keeper.c: for the file of this store.  *keeper is good while *out is there. */
CM_MUST_USE enum cm_err cm_keeping_new(const struct cm_accounts *s, struct cm_keeping **out,
    struct cm_keeper *keeper);
void cm_keeping_free(struct cm_keeping **k);

/* The newest signed time, and this host's clocks when it was last online. */
struct cm_store_clock {
	time_t floor;
	time_t wall;
	int64_t boottime;
	char boot_id[CM_BOOT_ID_SIZE];
};
/* What time it is, as known; and its keeper, which m has. */
void cm_memory_date(struct cm_memory *m, const struct cm_store_clock *c, time_t now);
CM_MUST_USE enum cm_err cm_clock_load(struct cm_accounts *s, struct cm_trace *t,
    struct cm_store_clock *out);
CM_MUST_USE enum cm_err cm_clock_keep(struct cm_accounts *s, time_t signed_time, time_t now,
    bool account_online, struct cm_trace *t);
/* Within one boot CLOCK_BOOTTIME tells how far the wall clock must have come: it has not. */
bool cm_clock_contradicts(const struct cm_store_clock *c, time_t now);
/* Seconds since (wall, boottime, boot_id): the greater of both clocks; negative: no clock can tell. */
int64_t cm_clock_age_since(time_t wall, int64_t boottime, const char *boot_id, time_t now);

/* account_row.c: the columns of table account; of version 2 those before guid. */
enum {
	CM_ROW_CERT_SHA256, CM_ROW_CERT, CM_ROW_NAME, CM_ROW_PRINCIPAL, CM_ROW_DN, CM_ROW_HOME, CM_ROW_SHELL, CM_ROW_GECOS,
	CM_ROW_UID, CM_ROW_GID, CM_ROW_GROUPS, CM_ROW_RULE, CM_ROW_MATCHED, CM_ROW_SOURCE, CM_ROW_CHAIN, CM_ROW_LAST_ONLINE,
	CM_ROW_BOOTTIME, CM_ROW_BOOT_ID, CM_ROW_COLUMNS_2,
	CM_ROW_GUID = CM_ROW_COLUMNS_2, CM_ROW_GLOBAL_PIN, CM_ROW_KEY, CM_ROW_LINKS, CM_ROW_NOT_AFTER, CM_ROW_COLUMNS
};
/* All but groups[] and the attribute is SQLite's. */
struct cm_account_row {
	struct cm_account account;
	char *attribute;
	struct cm_column v[CM_ROW_COLUMNS];
};
#define CM_CHAIN_MAX	16	/* certificates */
CM_MUST_USE enum cm_err cm_account_row_read(struct cm_accounts *s, sqlite3_stmt *q, struct cm_trace *t, struct cm_account_row *r);
void cm_account_row_clear(struct cm_account_row *r);
/* Groups as a column has them: gid in four octets, the first the highest; name; NUL. */
void cm_account_groups_write(const struct cm_account *a, struct cm_buf *out);
/* groups[] is the caller's, for free(3); its names are borrowed from v.  false: damaged, or no memory. */
CM_MUST_USE bool cm_account_groups_read(struct cm_blob v, struct cm_account *a);
/* Borrowed from v, the column's octets.  false: damaged. */
CM_MUST_USE bool cm_account_row_chain(struct cm_blob v, struct cm_blob chain[CM_CHAIN_MAX], size_t *count);
CM_MUST_USE bool cm_account_row_links(struct cm_blob v, struct cm_blob links[CM_CHAIN_MAX], size_t *count);
struct cm_store_login;
struct cm_mobile;
CM_MUST_USE enum cm_err cm_account_row_put(struct cm_accounts *s, const struct cm_store_login *l, struct cm_trace *t);
/* That very row is there, put within so many seconds before, and differs in its times alone. */
#define CM_REFRESH_MAX	86400
bool cm_account_row_is_kept(struct cm_accounts *s, const struct cm_store_login *l);
/* The row of version 2 that q is on, into the table; one that is damaged is left. */
CM_MUST_USE enum cm_err cm_account_row_move(struct cm_accounts *s, sqlite3_stmt *q, struct cm_trace *t);
/* accounts.c: may the account still be used, this long after its last online login?  As cm_accounts_find(). */
CM_MUST_USE enum cm_err cm_accounts_check_row(struct cm_accounts *s, const struct cm_account_row *r, time_t now,
    struct cm_trace *t, int64_t *age_s);

/* accounts.c: by the certificate's bytes, which nobody decodes; CM_ERR_ABSENT: none is kept, and no reason is set. */
CM_MUST_USE enum cm_err cm_accounts_find_der(struct cm_accounts *s, struct cm_blob der, time_t now,
    struct cm_trace *t, struct cm_account **out, int64_t *age_s);
/* NOT_KEPT. */
enum cm_err cm_accounts_not_kept(const struct cm_cert *c, struct cm_trace *t);
/* name NULL: whoever it is of; uid -1: the account so named, else all but that. */
CM_MUST_USE enum cm_err cm_accounts_withdraw_sha256(struct cm_accounts *s, struct cm_blob sha256, const char *name,
    int64_t uid, struct cm_trace *t);
/* standing.c: the row of table account that a condition with values finds is about to go; reason: why it does not stand, or NONE. */
struct cm_ending {
	const char *where;
	const struct cm_column *v;
	size_t count;
	enum cm_reason reason;
};
CM_MUST_USE enum cm_err cm_standing_end(struct cm_accounts *s, const struct cm_ending *e, struct cm_trace *t);
/* It was opened online: whatever was said against it holds no more. */
CM_MUST_USE enum cm_err cm_standing_restore(struct cm_accounts *s, const struct cm_account *a, time_t now, struct cm_trace *t);
/* ... and nothing is said against it. */
bool cm_standing_holds(struct cm_accounts *s, const struct cm_account *a);
CM_MUST_USE enum cm_err cm_standing_forget(struct cm_accounts *s, const char *name, struct cm_trace *t, bool *any);
/* accounts.c: cm_accounts_remember() without its verdict. */
struct cm_store_login {
	const struct cm_account *account;
	struct cm_blob cert_sha256, cert_der;
	const struct cm_blob *chain;
	size_t chain_count;
	const struct cm_evidence *evidence;
	size_t evidence_count;
	struct cm_kept_card card;
	time_t signed_time, now;
	bool account_online;
	const struct cm_mobile *mobile;		/* cache/mobile.h; NULL: none */
};
/* mobile.c: cm_mobile_put() within a transaction. */
CM_MUST_USE enum cm_err cm_mobile_keep(struct cm_accounts *s, const struct cm_mobile *m, struct cm_trace *t);
/* It is kept, and so is each of its marks. */
bool cm_mobile_is_kept(struct cm_accounts *s, const struct cm_mobile *m);
CM_MUST_USE enum cm_err cm_accounts_keep(struct cm_accounts *s, const struct cm_store_login *l,
    struct cm_trace *t);

#endif /* CM_CACHE_ACCOUNTS_INTERNAL_H */
