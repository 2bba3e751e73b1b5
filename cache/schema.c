/* cache/schema.c - the store's tables, and how a store of a former version becomes one of this. */
#include "cache/accounts_internal.h"

#define ACCOUNT \
	"CREATE TABLE account (cert_sha256 BLOB PRIMARY KEY NOT NULL, cert BLOB NOT NULL," \
	" name TEXT NOT NULL, principal TEXT NOT NULL, dn TEXT NOT NULL, home TEXT NOT NULL," \
	" shell TEXT NOT NULL, gecos TEXT NOT NULL, uid INTEGER NOT NULL, gid INTEGER NOT NULL," \
	" groups BLOB NOT NULL, rule TEXT NOT NULL, matched TEXT NOT NULL, source TEXT NOT NULL," \
	" chain BLOB NOT NULL, last_online INTEGER NOT NULL, boottime INTEGER NOT NULL," \
	" boot_id TEXT NOT NULL, guid BLOB NOT NULL, global_pin INTEGER NOT NULL, key BLOB NOT NULL," \
	" links BLOB NOT NULL, not_after INTEGER NOT NULL, digest BLOB NOT NULL) STRICT;"
/* Who is asked about by name or uid is found as fast among ten thousand as alone. */
#define INDEXES \
	"CREATE INDEX IF NOT EXISTS account_name ON account (name);" \
	"CREATE INDEX IF NOT EXISTS account_uid ON account (uid);"
#define CLOCK \
	"CREATE TABLE clock (id INTEGER PRIMARY KEY NOT NULL, floor INTEGER NOT NULL," \
	" wall INTEGER NOT NULL, boottime INTEGER NOT NULL, boot_id TEXT NOT NULL," \
	" digest BLOB NOT NULL) STRICT;"
/* A store may be older than pairings are. */
#define PAIRING \
	"CREATE TABLE IF NOT EXISTS pairing (hash BLOB PRIMARY KEY NOT NULL, spki_sha256 BLOB NOT NULL," \
	" user TEXT NOT NULL, local INTEGER NOT NULL, subject TEXT NOT NULL, made INTEGER NOT NULL," \
	" digest BLOB NOT NULL) STRICT;"
/* New in version 2, and evidence with more columns. */
#define SECOND \
	"CREATE TABLE evidence (issuer_key BLOB NOT NULL, serial BLOB NOT NULL," \
	" status INTEGER NOT NULL, this_update INTEGER NOT NULL, next_update INTEGER NOT NULL," \
	" revoked_at INTEGER NOT NULL, learned INTEGER NOT NULL, confirmed INTEGER NOT NULL," \
	" ask_after INTEGER NOT NULL, source TEXT NOT NULL, signer TEXT NOT NULL," \
	" digest BLOB NOT NULL, PRIMARY KEY (issuer_key, serial)) STRICT;" \
	"CREATE TABLE source (kind INTEGER NOT NULL, issuer_key BLOB NOT NULL, url TEXT NOT NULL," \
	" seen INTEGER NOT NULL, asked INTEGER NOT NULL, answered INTEGER NOT NULL," \
	" probe_at INTEGER NOT NULL, failures INTEGER NOT NULL, why TEXT NOT NULL," \
	" digest BLOB NOT NULL, PRIMARY KEY (kind, issuer_key, url)) STRICT;" \
	"CREATE TABLE issuer (issuer_key BLOB PRIMARY KEY NOT NULL, cert BLOB NOT NULL," \
	" digest BLOB NOT NULL) STRICT;"

/* What is revoked is read at each login, what ended is looked for; conditions as in recall.c and evidence.c. */
#define EVIDENCE_INDEXES \
	"CREATE INDEX IF NOT EXISTS account_guid ON account (guid);" \
	"CREATE INDEX IF NOT EXISTS evidence_revoked ON evidence (issuer_key, serial) WHERE (status & 15) = 2;" \
	"CREATE INDEX IF NOT EXISTS evidence_ends ON evidence (max(learned, next_update)) WHERE (status & 15) = 1;"

const char cm_store_indexes[] = INDEXES EVIDENCE_INDEXES;
const char cm_store_schema[] = ACCOUNT INDEXES CLOCK PAIRING SECOND EVIDENCE_INDEXES "PRAGMA user_version = 3";

enum cm_err
cm_schema_read_version(struct cm_accounts *s, struct cm_trace *t)
{
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	if ((err = cm_store_prepare(s, "PRAGMA user_version", NULL, 0, t, &q)) == CM_OK &&
	    (err = cm_store_step(s, q, t)) == CM_OK)
		s->version = sqlite3_column_int64(q, 0);
	sqlite3_finalize(q);
	return err == CM_ERR_ABSENT ? cm_store_damaged(s, t, "the header") : err;
}

/*
 * What was whole gets a digest over its new columns; what was damaged is
 * carried over with the digest it had, and so is still found damaged.
 */
static enum cm_err
move_evidence(struct cm_accounts *s, struct cm_trace *t)
{
	sqlite3_stmt *q = NULL;
	struct cm_evidence e;
	enum cm_err err;

	if ((err = cm_store_exec(s, "ALTER TABLE evidence RENAME TO evidence_1;" SECOND PAIRING
	    "INSERT INTO evidence SELECT issuer_key, serial, status, this_update, next_update, revoked_at,"
	    " learned, learned, 0, source, '', digest FROM evidence_1", t)) != CM_OK ||
	    (err = cm_store_prepare(s, "SELECT * FROM evidence_1", NULL, 0, t, &q)) != CM_OK)
		goto out;
	while ((err = cm_store_step(s, q, t)) == CM_OK)
		if (cm_evidence_read(s, q, NULL, &e) == CM_OK && (err = cm_evidence_put(s, &e, t)) != CM_OK)
			break;
out:
	sqlite3_finalize(q);
	return err == CM_ERR_ABSENT ? cm_store_exec(s, "DROP TABLE evidence_1", t) : err;
}

/* The same of accounts: what is new of a card is learned at its next login online. */
static enum cm_err
move_accounts(struct cm_accounts *s, struct cm_trace *t)
{
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	if ((err = cm_store_exec(s, "ALTER TABLE account RENAME TO account_2;" ACCOUNT
	    "INSERT INTO account SELECT cert_sha256, cert, name, principal, dn, home, shell, gecos, uid, gid, groups, rule,"
	    " matched, source, chain, last_online, boottime, boot_id, x'', 0, x'', x'', 0, digest FROM account_2", t)) != CM_OK ||
	    (err = cm_store_prepare(s, "SELECT * FROM account_2", NULL, 0, t, &q)) != CM_OK)
		goto out;
	while ((err = cm_store_step(s, q, t)) == CM_OK)
		if ((err = cm_account_row_move(s, q, t)) != CM_OK)
			break;
out:
	sqlite3_finalize(q);
	return err == CM_ERR_ABSENT ? cm_store_exec(s, "DROP TABLE account_2; PRAGMA user_version = 3", t) : err;
}

/* In one transaction: whoever dies in it, or has no room, leaves the store as it was. */
enum cm_err
cm_schema_move(struct cm_accounts *s, struct cm_trace *t)
{
	enum cm_err err;

	if ((err = cm_store_exec(s, "BEGIN IMMEDIATE", t)) != CM_OK)
		return err;
	/* Another process may have done it while we waited. */
	if ((err = cm_schema_read_version(s, t)) == CM_OK && s->version < CM_STORE_SOURCES)
		err = move_evidence(s, t);
	if (err == CM_OK && s->version < CM_STORE_VERSION)
		err = move_accounts(s, t);
	if ((err = cm_store_end(s, err, t)) == CM_OK)
		s->version = CM_STORE_VERSION;
	return err;
}
