/* cache/store.c - the SQLite file: opened with care, used one statement at a time. */
#include "cache/accounts_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROW_MAX		(4 << 20)	/* bytes of a row or a value */
#define VALUES_MAX	24

static enum cm_err
fail(const struct cm_accounts *s, struct cm_trace *t, const char *doing)
{
	const int code = sqlite3_extended_errcode(s->db);
	/* Otherwise it is of some call long ago. */
	const int error = (code & 0xFF) == SQLITE_IOERR || (code & 0xFF) == SQLITE_CANTOPEN ?
	    sqlite3_system_errno(s->db) : 0;

	if ((code & 0xFF) == SQLITE_NOMEM)
		return CM_ERR_NOMEM;
	if ((code & 0xFF) == SQLITE_BUSY)
		return cm_trace_fail(t, CM_REASON_STORE, "%s: %s: another process holds it for more "
		    "than %u s", s->path, doing, s->busy_ms / 1000);
	return cm_trace_fail(t, CM_REASON_STORE, "%s: %s: %s%s%s", s->path, doing,
	    sqlite3_errmsg(s->db), error != 0 ? ": " : "", error != 0 ? strerror(error) : "");
}

enum cm_err
cm_store_damaged(const struct cm_accounts *s, struct cm_trace *t, const char *what)
{
	return cm_trace_fail(t, CM_REASON_STORE, "%s: %s is damaged: move the file away and log in "
	    "with the network", s->path, what);
}

/* Whoever can write the folder can put another file in the store's place. */
static enum cm_err
open_folder(const char *path, struct cm_trace *t, int *fd)
{
	char *copy = strdup(path);
	enum cm_err err = CM_OK;
	const char *folder;
	struct stat st;

	*fd = -1;
	if (copy == NULL)
		return CM_ERR_NOMEM;
	folder = dirname(copy);
	*fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0 || fstat(*fd, &st) != 0)
		err = cm_trace_fail(t, CM_REASON_STORE, "%s: folder %s: %s", path, folder,
		    strerror(errno));
	else if (st.st_uid != 0 && st.st_uid != geteuid())
		err = cm_trace_fail(t, CM_REASON_STORE, "%s: folder %s is owned by uid %u: chown root it",
		    path, folder, st.st_uid);
	else if ((st.st_mode & 022) != 0)
		err = cm_trace_fail(t, CM_REASON_STORE, "%s: others may write folder %s: chmod go-w it",
		    path, folder);
	free(copy);
	return err;
}

static enum cm_err
check_file(int folder, const char *name, const char *path, struct cm_trace *t)
{
	struct stat st;

	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		return cm_trace_fail(t, CM_REASON_STORE, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
		return cm_trace_fail(t, CM_REASON_STORE, "%s: not a file of its own: remove it", path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return cm_trace_fail(t, CM_REASON_STORE, "%s: owned by uid %u: chown root it", path,
		    st.st_uid);
	if ((st.st_mode & 077) != 0)
		return cm_trace_fail(t, CM_REASON_STORE, "%s: others may read or write it: remove it, "
		    "or chmod 600 it if nobody has", path);
	/* A disk that went read-only keeps nobody out: what is known is read, and keeping anything is what fails. */
	if (faccessat(folder, name, R_OK | W_OK, AT_EACCESS) != 0 && errno != EROFS)
		return cm_trace_fail(t, CM_REASON_STORE, "%s: %s", path, strerror(errno));
	return CM_OK;
}

/* Whoever makes the store has the folder's lock; waited for as long as for the store itself. */
static bool
lock_folder(int folder, unsigned busy_ms)
{
	const cm_deadline deadline = cm_deadline_in(busy_ms);

	while (flock(folder, LOCK_EX | LOCK_NB) != 0) {
		if ((errno != EWOULDBLOCK && errno != EINTR) || cm_deadline_passed(deadline))
			return false;
		poll(NULL, 0, 5);
	}
	return true;
}

/* Of a store that was moved away: SQLite would play its log into the new one. */
static void
remove_log_of_another(const char *path)
{
	static const char *const ends[] = { "-wal", "-shm" };

	for (size_t i = 0; i < CM_COUNT(ends); i++) {
		struct cm_buf name = { 0 };

		cm_buf_addf(&name, "%s%s", path, ends[i]);
		unlink(cm_buf_str(&name));
		cm_buf_free(&name);
	}
}

static enum cm_err
fill_file(const char *temp, const char *path, struct cm_trace *t)
{
	struct cm_accounts s = { .path = (char *)(uintptr_t)path };
	enum cm_err err = CM_OK;

	if (sqlite3_open_v2(temp, &s.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, NULL) != SQLITE_OK ||
	    sqlite3_exec(s.db, cm_store_schema, NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_exec(s.db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL) != SQLITE_OK)
		err = s.db != NULL ? fail(&s, t, "creating its tables") : CM_ERR_NOMEM;
	sqlite3_close(s.db);
	return err;
}

/*
 * A new store is made whole beside its place and then put there: two logins that
 * are the first on a host at once must not see each other's half of it.
 */
static enum cm_err
make_file(int folder, const char *path, unsigned busy_ms, struct cm_trace *t)
{
	struct cm_buf name = { 0 };
	enum cm_err err;
	char *temp = NULL;
	int fd = -1;

	cm_buf_addf(&name, "%s.XXXXXX", path);
	if ((temp = cm_buf_take(&name)) == NULL)
		return CM_ERR_NOMEM;
	if (!lock_folder(folder, busy_ms)) {
		err = cm_trace_fail(t, CM_REASON_STORE, "%s: another process holds its folder", path);
		goto out;
	}
	if (access(path, F_OK) == 0) {	/* made while we waited */
		err = CM_OK;
		goto out;
	}
	remove_log_of_another(path);
	if ((fd = mkostemp(temp, O_CLOEXEC)) < 0) {
		err = cm_trace_fail(t, CM_REASON_STORE, "%s: %s", path, strerror(errno));
		goto out;
	}
	close(fd);
	if ((err = fill_file(temp, path, t)) == CM_OK && rename(temp, path) != 0)
		err = cm_trace_fail(t, CM_REASON_STORE, "%s: %s", path, strerror(errno));
	if (err != CM_OK)
		unlink(temp);
out:
	free(temp);
	return err;
}

/*
 * Make sure the file is there and ours alone before SQLite opens it by name:
 * in a folder that only we write, the name stays that file's.  It is not opened
 * here: to close it would take away the locks that another connection of this
 * process has on it (fcntl(2), F_SETLK).  SQLite gives its -wal and -shm the
 * same mode.
 */
static enum cm_err
prepare_file(const char *path, unsigned busy_ms, struct cm_trace *t)
{
	char *copy = strdup(path);
	const char *name;
	enum cm_err err;
	int folder = -1;
	struct stat st;

	if (copy == NULL)
		return CM_ERR_NOMEM;
	name = basename(copy);
	if ((err = open_folder(path, t, &folder)) != CM_OK)
		goto out;
	if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT)
		err = make_file(folder, path, busy_ms, t);
	if (err == CM_OK)
		err = check_file(folder, name, path, t);
out:
	if (folder >= 0)
		close(folder);
	free(copy);
	return err;
}

/* The file's content is not to be trusted further than its rows are checked. */
static bool
harden(sqlite3 *db, unsigned busy_ms)
{
	static const struct {
		int option, value;
	} options[] = {
		{ SQLITE_DBCONFIG_DEFENSIVE, 1 }, { SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
		{ SQLITE_DBCONFIG_ENABLE_TRIGGER, 0 }, { SQLITE_DBCONFIG_ENABLE_VIEW, 0 },
		{ SQLITE_DBCONFIG_DQS_DML, 0 }, { SQLITE_DBCONFIG_DQS_DDL, 0 },
		/* A commit is on the disk in the -wal: closing need not wait for three more syncs. */
		{ SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1 },
	};
	int persist = 1;

	for (size_t i = 0; i < CM_COUNT(options); i++)
		if (sqlite3_db_config(db, options[i].option, options[i].value, NULL) != SQLITE_OK)
			return false;
	sqlite3_limit(db, SQLITE_LIMIT_LENGTH, ROW_MAX);
	sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
	/* -wal and -shm stay: a disk that fills up later does not keep the store from opening. */
	sqlite3_file_control(db, "main", SQLITE_FCNTL_PERSIST_WAL, &persist);
	return sqlite3_busy_timeout(db, (int)busy_ms) == SQLITE_OK;
}

static enum cm_err
set_up(struct cm_accounts *s, struct cm_trace *t)
{
	enum cm_err err;

	if (!harden(s->db, s->busy_ms) || sqlite3_exec(s->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
	    "PRAGMA wal_autocheckpoint=200; PRAGMA cell_size_check=ON; PRAGMA secure_delete=ON", NULL, NULL, NULL) != SQLITE_OK)
		return fail(s, t, "opening");
	if ((err = cm_schema_read_version(s, t)) != CM_OK)
		return err;
	if (s->version < 1)
		return cm_trace_fail(t, CM_REASON_STORE, "%s: not a store of cardmap's: move it away", s->path);
	if (s->version > CM_STORE_VERSION)
		return cm_trace_fail(t, CM_REASON_STORE, "%s: made by a newer cardmap (version %lld): "
		    "move it away", s->path, (long long)s->version);
	return CM_OK;
}

enum cm_err
cm_store_open(struct cm_accounts *s, struct cm_trace *t)
{
	enum cm_err err;

	if ((err = prepare_file(s->path, s->busy_ms, t)) != CM_OK)
		return err;
	if (sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, NULL) !=
	    SQLITE_OK)
		err = s->db != NULL ? fail(s, t, "opening") : CM_ERR_NOMEM;
	else
		err = set_up(s, t);
	if (err != CM_OK) {
		sqlite3_close(s->db);
		s->db = NULL;
	}
	return err;
}

enum cm_err
cm_store_exec(struct cm_accounts *s, const char *sql, struct cm_trace *t)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? CM_OK : fail(s, t, "writing");
}

enum cm_err
cm_store_begin(struct cm_accounts *s, struct cm_trace *t)
{
	enum cm_err err;

	/* There was no room when it was opened; there may be now. */
	if (s->version < CM_STORE_VERSION && (err = cm_schema_move(s, t)) != CM_OK)
		return err;
	/* IMMEDIATE: wait for the other writer now, not half way through. */
	return cm_store_exec(s, "BEGIN IMMEDIATE", t);
}

enum cm_err
cm_store_end(struct cm_accounts *s, enum cm_err err, struct cm_trace *t)
{
	if (err == CM_OK && sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
		err = fail(s, t, "writing");
	if (err != CM_OK && sqlite3_get_autocommit(s->db) == 0)
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	return err;
}

void
cm_store_settle(struct cm_accounts *s)
{
	sqlite3_wal_checkpoint_v2(s->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
}

/* CVE-2017-12173: a value never becomes part of a statement's text. */
static int
bind(sqlite3_stmt *q, int at, const struct cm_column *v)
{
	static const char none[] = "";
	const char *p = v->bytes.ptr != NULL ? (const char *)v->bytes.ptr : none;

	switch (v->kind) {
	case CM_VALUE_INTEGER:
		return sqlite3_bind_int64(q, at, v->n);
	case CM_VALUE_TEXT:
		return sqlite3_bind_text64(q, at, p, v->bytes.len, SQLITE_TRANSIENT, SQLITE_UTF8);
	case CM_VALUE_BLOB:
		return sqlite3_bind_blob64(q, at, p, v->bytes.len, SQLITE_TRANSIENT);
	}
	return SQLITE_MISUSE;
}

enum cm_err
cm_store_prepare(struct cm_accounts *s, const char *sql, const struct cm_column *v, size_t count,
    struct cm_trace *t, sqlite3_stmt **out)
{
	*out = NULL;
	if (sqlite3_prepare_v2(s->db, sql, -1, out, NULL) != SQLITE_OK)
		return fail(s, t, "reading");
	for (size_t i = 0; i < count; i++)
		if (bind(*out, (int)i + 1, &v[i]) != SQLITE_OK)
			return fail(s, t, "a value");
	return CM_OK;
}

enum cm_err
cm_store_step(struct cm_accounts *s, sqlite3_stmt *q, struct cm_trace *t)
{
	switch (sqlite3_step(q)) {
	case SQLITE_ROW:
		return CM_OK;
	case SQLITE_DONE:
		return CM_ERR_ABSENT;
	default:
		return fail(s, t, sqlite3_stmt_readonly(q) != 0 ? "reading" : "writing");
	}
}

enum cm_err
cm_store_run(struct cm_accounts *s, const char *sql, const struct cm_column *v, size_t count,
    struct cm_trace *t)
{
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	if ((err = cm_store_prepare(s, sql, v, count, t, &q)) == CM_OK)
		err = cm_store_step(s, q, t) == CM_ERR_ABSENT ? CM_OK : fail(s, t, "writing");
	sqlite3_finalize(q);
	return err;
}

/* KIND, the number in decimal, END.  Thousands of rows are read at a login: printf(3) was half of that. */
static void
add_number(struct cm_buf *b, char kind, int64_t n, char end)
{
	char text[24], *p = text + sizeof(text);
	uint64_t left = n < 0 ? -(uint64_t)n : (uint64_t)n;

	*--p = end;
	do {
		*--p = (char)('0' + left % 10);
		left /= 10;
	} while (left > 0);
	if (n < 0)
		*--p = '-';
	*--p = kind;
	cm_buf_add(b, p, (size_t)(text + sizeof(text) - p));
}

/* Each value with its kind and length before it, so that no two rows read alike. */
static bool
digest(const struct cm_column *v, size_t count, uint8_t sum[32])
{
	struct cm_buf b;
	bool ok;

	cm_buf_init(&b, 2 * ROW_MAX);
	for (size_t i = 0; i < count; i++) {
		if (v[i].kind == CM_VALUE_INTEGER) {
			add_number(&b, 'i', v[i].n, ';');
			continue;
		}
		add_number(&b, v[i].kind == CM_VALUE_TEXT ? 't' : 'b', (int64_t)v[i].bytes.len, ':');
		cm_buf_add_blob(&b, v[i].bytes);
	}
	ok = cm_buf_status(&b) == CM_OK &&
	    EVP_Digest(b.ptr, b.len, sum, NULL, EVP_sha256(), NULL) == 1;
	cm_buf_free(&b);
	return ok;
}

enum cm_err
cm_store_put(struct cm_accounts *s, const char *table, const struct cm_column *v, size_t count,
    struct cm_trace *t)
{
	struct cm_column row[VALUES_MAX];
	uint8_t sum[32];
	enum cm_err err;
	struct cm_buf sql;

	if (count >= VALUES_MAX || !digest(v, count, sum))
		return CM_ERR_NOMEM;
	memcpy(row, v, count * sizeof(*v));
	row[count] = cm_value_blob((struct cm_blob){ sum, sizeof(sum) });
	cm_buf_init(&sql, 0);
	cm_buf_addf(&sql, "INSERT OR REPLACE INTO %s VALUES (?1", table);
	for (size_t i = 1; i <= count; i++)
		cm_buf_addf(&sql, ",?%zu", i + 1);
	cm_buf_add_byte(&sql, ')');
	if ((err = cm_buf_status(&sql)) == CM_OK)
		err = cm_store_run(s, cm_buf_str(&sql), row, count + 1, t);
	cm_buf_free(&sql);
	return err;
}

static bool
get_value(sqlite3_stmt *q, int at, struct cm_column *v)
{
	static const int types[] = {
		[CM_VALUE_INTEGER] = SQLITE_INTEGER, [CM_VALUE_TEXT] = SQLITE_TEXT,
		[CM_VALUE_BLOB] = SQLITE_BLOB,
	};

	if (sqlite3_column_type(q, at) != types[v->kind])
		return false;
	if (v->kind == CM_VALUE_INTEGER) {
		v->n = sqlite3_column_int64(q, at);
		return true;
	}
	v->bytes.ptr = v->kind == CM_VALUE_TEXT ? sqlite3_column_text(q, at) :
	    sqlite3_column_blob(q, at);
	v->bytes.len = (size_t)sqlite3_column_bytes(q, at);
	if (v->kind == CM_VALUE_BLOB)
		return v->bytes.len == 0 || v->bytes.ptr != NULL;
	return v->bytes.ptr != NULL && memchr(v->bytes.ptr, '\0', v->bytes.len) == NULL;
}

bool
cm_store_get(sqlite3_stmt *q, struct cm_column *v, size_t count)
{
	struct cm_column kept = { .kind = CM_VALUE_BLOB };
	uint8_t sum[32];

	if (sqlite3_column_count(q) != (int)count + 1)
		return false;
	for (size_t i = 0; i < count; i++)
		if (!get_value(q, (int)i, &v[i]))
			return false;
	return get_value(q, (int)count, &kept) && digest(v, count, sum) &&
	    cm_blob_equal(kept.bytes, (struct cm_blob){ sum, sizeof(sum) });
}

enum cm_err
cm_store_has_table(struct cm_accounts *s, const char *name, struct cm_trace *t)
{
	const struct cm_column v = cm_value_text(name);
	sqlite3_stmt *q = NULL;
	enum cm_err err = cm_store_prepare(s, "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1", &v, 1, t, &q);

	if (err == CM_OK)
		err = cm_store_step(s, q, t);
	sqlite3_finalize(q);
	return err;
}
