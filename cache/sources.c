/* cache/sources.c - whom this host asks about revocation, and the CAs that they speak for: tables "source" and "issuer". */
#include "cache/accounts_internal.h"

#include <stdlib.h>

/* The columns, in order. */
enum { KIND, ISSUER_KEY, URL, SEEN, ASKED, ANSWERED, PROBE_AT, FAILURES, WHY, SOURCE_COLUMNS };
enum { OF_KEY, CERT, ISSUER_COLUMNS };

#define SOURCES_MAX	4096		/* the ones named last */
#define UNSEEN_KEPT	(90 * 24 * 3600)

static const struct cm_column source_kinds[SOURCE_COLUMNS] = {
	[ISSUER_KEY] = { .kind = CM_VALUE_BLOB }, [URL] = { .kind = CM_VALUE_TEXT }, [WHY] = { .kind = CM_VALUE_TEXT },
};

static struct cm_column
key_column(const uint8_t issuer_key[32])
{
	return cm_value_blob((struct cm_blob){ issuer_key, 32 });
}

/* The row q is on; a damaged one is CM_ERR_SYSTEM. */
static enum cm_err
read_source(struct cm_accounts *s, sqlite3_stmt *q, struct cm_trace *t, struct cm_source *out)
{
	struct cm_column v[SOURCE_COLUMNS];

	memcpy(v, source_kinds, sizeof(v));
	*out = (struct cm_source){ 0 };
	if (!cm_store_get(q, v, SOURCE_COLUMNS) || v[KIND].n < CM_SOURCE_OCSP || v[KIND].n > CM_SOURCE_DELTA ||
	    v[ISSUER_KEY].bytes.len != sizeof(out->issuer_key) || v[URL].bytes.len >= sizeof(out->url) ||
	    v[WHY].bytes.len >= sizeof(out->why) || v[FAILURES].n < 0 || v[FAILURES].n > UINT32_MAX)
		return cm_store_damaged(s, t, "an address of a server");
	out->kind = (enum cm_source_kind)v[KIND].n;
	memcpy(out->issuer_key, v[ISSUER_KEY].bytes.ptr, sizeof(out->issuer_key));
	memcpy(out->url, v[URL].bytes.ptr, v[URL].bytes.len);
	out->seen = v[SEEN].n;
	out->asked = v[ASKED].n;
	out->answered = v[ANSWERED].n;
	out->probe_at = v[PROBE_AT].n;
	out->failures = (unsigned)v[FAILURES].n;
	memcpy(out->why, v[WHY].bytes.ptr, v[WHY].bytes.len);
	return CM_OK;
}

static bool
is_same(const struct cm_source *a, const struct cm_source *b)
{
	return a->seen == b->seen && a->asked == b->asked && a->answered == b->answered &&
	    a->probe_at == b->probe_at && a->failures == b->failures && strcmp(a->why, b->why) == 0;
}

/* CM_OK: it is kept just so. */
static enum cm_err
find_source(struct cm_accounts *s, const struct cm_source *src, struct cm_trace *t)
{
	const struct cm_column key[] = { cm_value_int(src->kind), key_column(src->issuer_key), cm_value_text(src->url) };
	struct cm_source old;
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	if ((err = cm_store_prepare(s, "SELECT * FROM source WHERE kind = ?1 AND issuer_key = ?2 AND url = ?3", key,
	    CM_COUNT(key), t, &q)) == CM_OK && (err = cm_store_step(s, q, t)) == CM_OK &&
	    (read_source(s, q, NULL, &old) != CM_OK || !is_same(&old, src)))
		err = CM_ERR_ABSENT;
	sqlite3_finalize(q);
	return err;
}

/* Append the DER of this CA's certificate.  CM_ERR_ABSENT: none is kept, or it is damaged. */
static enum cm_err
find_issuer(struct cm_accounts *s, const uint8_t issuer_key[32], struct cm_trace *t, struct cm_buf *out)
{
	const struct cm_column key = key_column(issuer_key);
	struct cm_column v[ISSUER_COLUMNS] = { { .kind = CM_VALUE_BLOB }, { .kind = CM_VALUE_BLOB } };
	sqlite3_stmt *q = NULL;
	enum cm_err err;

	if ((err = cm_store_prepare(s, "SELECT * FROM issuer WHERE issuer_key = ?1", &key, 1, t, &q)) != CM_OK ||
	    (err = cm_store_step(s, q, t)) != CM_OK)
		goto out;
	if (!cm_store_get(q, v, ISSUER_COLUMNS))
		err = CM_ERR_ABSENT;
	else
		cm_buf_add_blob(out, v[CERT].bytes);
	if (err == CM_OK)
		err = cm_buf_status(out);
out:
	sqlite3_finalize(q);
	return err;
}

enum cm_err
cm_source_is_kept(struct cm_accounts *s, const struct cm_source *src, struct cm_blob issuer, struct cm_trace *t)
{
	struct cm_buf kept = { 0 };
	enum cm_err err;

	if ((err = find_source(s, src, t)) == CM_OK && (err = find_issuer(s, src->issuer_key, t, &kept)) == CM_OK &&
	    !cm_blob_equal(cm_buf_blob(&kept), issuer))
		err = CM_ERR_ABSENT;
	cm_buf_free(&kept);
	return err;
}

enum cm_err
cm_source_keep(struct cm_accounts *s, const struct cm_source *src, struct cm_blob issuer, struct cm_trace *t)
{
	const struct cm_column of[ISSUER_COLUMNS] = { key_column(src->issuer_key), cm_value_blob(issuer) };
	const struct cm_column row[SOURCE_COLUMNS] = {
		[KIND] = cm_value_int(src->kind), [ISSUER_KEY] = key_column(src->issuer_key),
		[URL] = cm_value_text(src->url), [SEEN] = cm_value_int(src->seen), [ASKED] = cm_value_int(src->asked),
		[ANSWERED] = cm_value_int(src->answered), [PROBE_AT] = cm_value_int(src->probe_at),
		[FAILURES] = cm_value_int(src->failures), [WHY] = cm_value_text(src->why),
	};
	enum cm_err err;

	if (!s->guarded && !cm_source_is_of(issuer, src))
		return CM_ERR_STATE;
	if ((err = cm_store_put(s, "source", row, SOURCE_COLUMNS, t)) != CM_OK)
		return err;
	return cm_store_put(s, "issuer", of, ISSUER_COLUMNS, t);
}

/* What refresh or a login still asks is not forgotten, whether or not a certificate names it. */
enum cm_err
cm_source_expire(struct cm_accounts *s, time_t now, struct cm_trace *t)
{
	const struct cm_column since = cm_value_int(now - UNSEEN_KEPT), most = cm_value_int(SOURCES_MAX);
	enum cm_err err;

	if ((err = cm_store_run(s, "DELETE FROM source WHERE max(seen, asked, answered) < ?1", &since, 1, t)) != CM_OK ||
	    (err = cm_store_run(s, "DELETE FROM source WHERE rowid IN (SELECT rowid FROM source ORDER BY seen DESC "
	    "LIMIT -1 OFFSET ?1)", &most, 1, t)) != CM_OK)
		return err;
	return cm_store_run(s, "DELETE FROM issuer WHERE issuer_key NOT IN (SELECT issuer_key FROM source)", NULL, 0, t);
}

/* A damaged row keeps nobody out: it is a hint, and is made again when a certificate names the address. */
enum cm_err
cm_sources_recall(struct cm_accounts *s, struct cm_trace *t, struct cm_source **out, size_t *count)
{
	sqlite3_stmt *q = NULL;
	size_t cap = 0;
	enum cm_err err;

	*out = NULL;
	*count = 0;
	if (s->version < CM_STORE_SOURCES && ((err = cm_schema_read_version(s, t)) != CM_OK || s->version < CM_STORE_SOURCES))
		return err;
	if ((err = cm_store_prepare(s, "SELECT * FROM source ORDER BY issuer_key, kind, url", NULL, 0, t, &q)) != CM_OK)
		goto out;
	while ((err = cm_store_step(s, q, t)) == CM_OK) {
		if (*count == cap) {
			struct cm_source *more;

			cap = cap == 0 ? 16 : cap * 2;
			more = cap <= 2 * SOURCES_MAX ? reallocarray(*out, cap, sizeof(*more)) : NULL;
			if (more == NULL) {
				err = CM_ERR_NOMEM;
				break;
			}
			*out = more;
		}
		if (read_source(s, q, NULL, &(*out)[*count]) == CM_OK)
			++*count;
		else
			cm_trace_add(t, "warning", "%s: an address of a server is damaged, and left out", s->path);
	}
out:
	sqlite3_finalize(q);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

/* Nothing is open while somebody is visited: that may last as long as a download. */
enum cm_err
cm_accounts_each_source_unread(struct cm_accounts *s, struct cm_trace *t, cm_seen_visit visit, void *arg)
{
	struct cm_source *sources = NULL;
	size_t count = 0;
	enum cm_err err = s->remote != NULL ? CM_ERR_STATE : cm_sources_recall(s, t, &sources, &count);

	for (size_t i = 0; err == CM_OK && i < count; i++) {
		struct cm_buf issuer = { 0 };

		if ((err = find_issuer(s, sources[i].issuer_key, t, &issuer)) == CM_OK)
			err = visit(arg, cm_buf_blob(&issuer), &sources[i]);
		else if (err == CM_ERR_ABSENT)
			err = cm_source_leave_out(t, &sources[i]);
		cm_buf_free(&issuer);
	}
	free(sources);
	return err;
}

enum cm_err
cm_source_leave_out(struct cm_trace *t, const struct cm_source *s)
{
	cm_trace_add(t, "warning", "a CA's certificate is damaged: %s is left out", s->url);
	return CM_OK;
}
