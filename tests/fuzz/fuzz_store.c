/*
 * tests/fuzz/fuzz_store.c - what a damaged or hostile store holds.
 *
 * First byte 0: the rest are the bytes of the database file, of this version or
 * the former.  Else: the values of a row of the table with that number (6: of
 * version 1's evidence, that is then moved over), each with kind and length
 * before it, put there with a digest that fits, so that what reads rows gets
 * past it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cache/accounts_internal.h"
#include "cache/pairings.h"
#include "cache/skip.h"
#include "cache/standing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of the tables, the digest not counted. */
#define COLUMNS	23
static const struct table {
	const char *name;
	size_t columns;
} tables[] = {
	{ NULL, 0 }, { "account", COLUMNS }, { "pairing", 6 }, { "evidence", 11 }, { "source", 9 }, { "issuer", 2 },
	{ "evidence", 8 }, { "clock", 5 }, { "standing", 8 }, { "skip", 5 },
};
#define FORMER	6

static const char former[] = "DROP TABLE evidence; DROP TABLE source; DROP TABLE issuer;"
    "CREATE TABLE evidence (issuer_key BLOB NOT NULL, serial BLOB NOT NULL,"
    " status INTEGER NOT NULL, this_update INTEGER NOT NULL, next_update INTEGER NOT NULL,"
    " revoked_at INTEGER NOT NULL, learned INTEGER NOT NULL, source TEXT NOT NULL,"
    " digest BLOB NOT NULL, PRIMARY KEY (issuer_key, serial)) STRICT; PRAGMA user_version = 1";

/* What decides a login apart: a row is whole in all its parts, or is not there. */
static size_t
look_at_row(struct cm_accounts *s, struct cm_blob der)
{
	struct cm_kept_row *row = NULL;
	struct cm_recognised again = { .slot = 0 };
	size_t total = 0;

	if (cm_accounts_find_row(s, der, 1800000000, NULL, &row) != CM_OK)
		return 0;
	if (row->account == NULL || row->why == NULL || row->card.key.len > CM_KEPT_KEY_MAX ||
	    (row->card.guid.len != 0 && row->card.guid.len != 16) || row->card.not_after < 0)
		abort();
	for (size_t i = 0; i < row->card.link_count; i++) {
		struct cm_evidence e;

		total += row->card.links[i].len;
		if (cm_accounts_find_evidence(s, row->card.links[i], NULL, &e) == CM_ERR_STATE)
			abort();
	}
	if (row->card.guid.len > 0 && cm_accounts_recognise(s, row->card.guid, NULL, NULL, &again) == CM_OK)
		total += again.certificate.len;
	cm_buf_free(&again.certificate);
	cm_kept_row_free(&row);
	return total;
}

struct visiting {
	struct cm_accounts *store;
	size_t total;
};

/* The texts of an account end where they say. */
static enum cm_err
visit(void *arg, const struct cm_kept *k)
{
	struct visiting *v = arg;
	size_t *total = &v->total;

	*total += strlen(k->account->name) + strlen(k->account->source) + k->cert_der.len;
	for (size_t i = 0; i < k->account->group_count; i++)
		*total += strlen(k->account->groups[i].name);
	for (size_t i = 0; i < k->evidence_count; i++)
		*total += strlen(k->evidence[i].source) + k->evidence[i].serial_len;
	*total += look_at_row(v->store, k->cert_der);
	return CM_OK;
}

static enum cm_err
visit_evidence(void *arg, const struct cm_evidence *e)
{
	if (e->serial_len < 1 || e->serial_len > sizeof(e->serial) || e->status == CM_STATUS_UNKNOWN ||
	    memchr(e->source, '\0', sizeof(e->source)) == NULL || memchr(e->signer, '\0', sizeof(e->signer)) == NULL)
		abort();
	*(struct cm_evidence *)arg = *e;
	return CM_OK;
}

static enum cm_err
visit_source(void *arg, struct cm_blob issuer, const struct cm_source *s)
{
	if (memchr(s->url, '\0', sizeof(s->url)) == NULL || memchr(s->why, '\0', sizeof(s->why)) == NULL ||
	    s->kind > CM_SOURCE_DELTA || (issuer.len > 0 && issuer.ptr == NULL))
		abort();
	*(size_t *)arg += issuer.len;
	return CM_OK;
}

static enum cm_err
visit_pairing(void *arg, const struct cm_pairing *p)
{
	if (p->user == NULL || p->user[0] == '\0' || p->subject == NULL)
		abort();
	*(struct cm_pairing *)arg = *p;	/* its hash, for below */
	return CM_OK;
}

static size_t
split(const uint8_t *data, size_t size, struct cm_column v[COLUMNS])
{
	size_t at = 0, n;

	for (n = 0; n < COLUMNS && size - at >= 3; n++) {
		size_t len = (size_t)data[at + 1] << 8 | data[at + 2];

		v[n].kind = data[at] % 3;
		at += 3;
		if (len > size - at)
			len = size - at;
		v[n].bytes = (struct cm_blob){ data + at, len };
		for (size_t i = 0; i < len && i < 8; i++)
			v[n].n = (int64_t)((uint64_t)v[n].n << 8 | data[at + i]);
		at += len;
	}
	return n;
}

/* What the keeper does with evidence and sources that are there; what is forgotten is gone. */
static void
use_evidence(struct cm_accounts *s, struct cm_memory *m, struct cm_trace *t, bool whole)
{
	struct cm_evidence e = { .serial_len = 0 }, other;
	size_t total = 0;
	enum cm_err err;

	if (cm_accounts_each_source(s, t, visit_source, &total) == CM_ERR_STATE)
		abort();
	for (size_t i = 0; i < m->known.source_count; i++)
		if (m->keeper.keep_source(m->keeper.arg, &m->known.sources[i], (struct cm_blob){ NULL, 0 }) == CM_OK &&
		    whole && m->known.sources[i].url[0] != '\0')
			abort();
	if (cm_accounts_each_evidence(s, t, visit_evidence, &e) != CM_OK || e.serial_len == 0)
		return;
	other = e;
	other.status = CM_STATUS_GOOD;
	other.by_list = other.on_hold = false;
	other.this_update = cm_clock_now();
	err = m->keeper.keep(m->keeper.arg, &other);
	if (err == CM_OK && m->keeper.find(m->keeper.arg, &other) == CM_OK && e.status == CM_STATUS_REVOKED &&
	    other.status != CM_STATUS_REVOKED && whole)
		abort();
	err = cm_accounts_forget_evidence(s, e.issuer_key, (struct cm_blob){ e.serial, e.serial_len }, t);
	if (whole && (err != CM_OK || m->keeper.find(m->keeper.arg, &other) != CM_ERR_ABSENT))
		abort();
}

static void
use(struct cm_accounts *s, struct cm_trace *t, bool whole)
{
	struct cm_pairing pairing = { .user = NULL }, found = { .user = NULL };
	struct cm_memory *m = NULL;
	struct visiting v = { .store = s };

	if (cm_accounts_list(s, t, visit, &v) == CM_OK && v.total > (size_t)1 << 30)
		abort();
	if (cm_accounts_recall(s, 1800000000, t, &m) == CM_OK) {
		if (m == NULL)
			abort();
		use_evidence(s, m, t, whole);
	}
	cm_memory_free(&m);
	if (cm_pairings_list(s, NULL, t, visit_pairing, &pairing) != CM_OK || pairing.user == NULL)
		return;
	/* In a damaged file a row may be listed that cannot be found. */
	if (cm_pairings_find_hash(s, pairing.hash, t, &found) != CM_OK && whole)
		abort();
	cm_pairing_clear(&found);
	if ((cm_pairings_remove(s, NULL, pairing.hash, t) != CM_OK ||
	    cm_pairings_find_hash(s, pairing.hash, t, &found) != CM_ERR_ABSENT) && whole)
		abort();
	cm_pairing_clear(&found);
}

/* Those tables are made with their first row. */
static void
make_tables(struct cm_accounts *s)
{
	struct cm_skip m;

	if (cm_standing_note_facts(s, "x", (struct cm_blob){ (const uint8_t *)"x", 1 }, 1, NULL) != CM_OK ||
	    cm_skip_make(s, "x", 1800000000, NULL, &m) != CM_OK)
		abort();
}

/* How an account stands is whole, or is not there; a mark lets in once, and no longer than a day after it was made. */
static void
use_name(struct cm_accounts *s, struct cm_blob name)
{
	const time_t now = 1800000000;
	struct cm_buf text = { 0 };
	struct cm_standing st;
	struct cm_skip m;

	cm_buf_add_blob(&text, name);
	if (cm_standing_find(s, cm_buf_str(&text), NULL, &st) == CM_OK && (st.text == NULL || st.facts_len > sizeof(st.facts)))
		abort();
	cm_standing_clear(&st);
	if (cm_skip_use(s, cm_buf_str(&text), now, NULL, &m) == CM_OK && (m.made > now || m.expires <= now ||
	    m.expires - m.made > CM_SKIP_S || cm_skip_find(s, cm_buf_str(&text), now, NULL, &m) != CM_ERR_ABSENT))
		abort();
	cm_buf_free(&text);
}

/* The table as version 1 had it, and a row in it; then as any store of that version is opened. */
static bool
fill_former(struct cm_accounts *s, const struct cm_column *v, struct cm_trace *t)
{
	sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 0, NULL);
	if (cm_store_exec(s, former, t) != CM_OK)
		abort();
	s->version = 1;
	return cm_store_put(s, "evidence", v, tables[FORMER].columns, t) == CM_OK && cm_schema_move(s, t) == CM_OK;
}

static void
write_file(const char *path, const uint8_t *data, size_t size)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	char folder[] = "/dev/shm/cm_fuzz_XXXXXX", path[64], name[80];
	struct cm_accounts_options o = { .path = path, .first_uid = 1000, .first_gid = 1000 };
	struct cm_column v[COLUMNS] = { { .kind = CM_VALUE_INTEGER } };
	const struct table *table;
	struct cm_accounts *s = NULL;
	struct cm_trace *t = NULL;

	if (size < 1 || data[0] >= CM_COUNT(tables) || mkdtemp(folder) == NULL || cm_trace_new(&t) != CM_OK)
		return 0;
	table = &tables[data[0]];
	snprintf(path, sizeof(path), "%s/db", folder);
	if (data[0] == 0)
		write_file(path, data + 1, size - 1);
	if (cm_accounts_open(&o, t, &s) == CM_OK) {
		const size_t n = split(data + 1, size - 1, v);

		if (data[0] > FORMER + 1)
			make_tables(s);
		if (data[0] == 0 || (n >= table->columns && (table == &tables[FORMER] ? fill_former(s, v, t) :
		    cm_store_put(s, table->name, v, table->columns, t) == CM_OK)))
			use(s, t, data[0] != 0);
		use_name(s, data[0] != 0 && n > 0 ? v[0].bytes : cm_blob_str("alice"));
		cm_accounts_close(&s);
	} else if (cm_trace_reason(t) != CM_REASON_STORE) {
		abort();
	}
	for (size_t i = 0; i < CM_COUNT(suffixes); i++) {
		snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
		unlink(name);
	}
	rmdir(folder);
	cm_trace_free(&t);
	return 0;
}
