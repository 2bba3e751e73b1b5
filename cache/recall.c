/* cache/recall.c - what this host knows, for trust/: read whole, or as much of it as one login needs. */
#include <stdlib.h>

#include "cache/store_wire_internal.h"

#define EVIDENCE_MAX	(1 << 18)	/* rows: more is no store of a login host */

/* Through the index of what is revoked (schema.c), whose condition is this very text. */
#define REVOKED		"(status & 15) = 2"
_Static_assert(CM_STATUS_REVOKED == 2, "the statement and the index of what is revoked");

static enum cm_err
read_rows(struct cm_accounts *s, const char *sql, struct cm_trace *t, struct cm_memory *m)
{
	sqlite3_stmt *q = NULL;
	size_t cap = 0;
	enum cm_err err;

	if ((err = cm_store_prepare(s, sql, NULL, 0, t, &q)) != CM_OK)
		goto out;
	while ((err = cm_store_step(s, q, t)) == CM_OK) {
		if (m->known.count == cap) {
			struct cm_evidence *more;

			cap = cap == 0 ? 16 : cap * 2;
			more = cap <= EVIDENCE_MAX ? reallocarray(m->evidence, cap, sizeof(*more)) : NULL;
			if (more == NULL) {
				err = CM_ERR_NOMEM;
				break;
			}
			m->evidence = more;
		}
		if ((err = cm_evidence_read(s, q, t, &m->evidence[m->known.count])) != CM_OK)
			break;
		m->known.count++;
	}
out:
	sqlite3_finalize(q);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

void
cm_memory_date(struct cm_memory *m, const struct cm_store_clock *c, time_t now)
{
	m->known.keeper = &m->keeper;
	m->known.now = now;
	m->known.floor = c->floor;
	m->known.stale_clock = now < c->floor || cm_clock_contradicts(c, now);
}

enum cm_err
cm_accounts_clock(struct cm_accounts *s, time_t now, struct cm_trace *t, struct cm_known *out)
{
	struct cm_store_clock c;
	enum cm_err err;

	*out = (struct cm_known){ .now = now };
	if (s->remote != NULL)
		return CM_ERR_STATE;
	if ((err = cm_clock_load(s, t, &c)) != CM_OK)
		return err;
	out->floor = c.floor;
	out->stale_clock = now < c.floor || cm_clock_contradicts(&c, now);
	return CM_OK;
}

static enum cm_err
recall(struct cm_accounts *s, const char *sql, time_t now, struct cm_trace *t, struct cm_memory **out)
{
	struct cm_memory *m = calloc(1, sizeof(*m));
	struct cm_store_clock c;
	enum cm_err err;

	if (m == NULL)
		return CM_ERR_NOMEM;
	if ((err = cm_clock_load(s, t, &c)) == CM_OK && (err = read_rows(s, sql, t, m)) == CM_OK &&
	    (err = cm_sources_recall(s, t, &m->sources, &m->known.source_count)) == CM_OK &&
	    (err = cm_keeping_new(s, &m->keeping, &m->keeper)) == CM_OK) {
		m->known.evidence = m->evidence;
		m->known.sources = m->sources;
		cm_memory_date(m, &c, now);
		*out = m;
		m = NULL;
	}
	cm_memory_free(&m);
	return err;
}

enum cm_err
cm_accounts_recall(struct cm_accounts *s, time_t now, struct cm_trace *t, struct cm_memory **out)
{
	*out = NULL;
	return s->remote != NULL ? cm_remote_recall(s, now, t, out) : recall(s, "SELECT * FROM evidence", now, t, out);
}

enum cm_err
cm_accounts_recall_revoked(struct cm_accounts *s, time_t now, struct cm_trace *t, struct cm_memory **out)
{
	*out = NULL;
	return s->remote != NULL ? cm_remote_recall(s, now, t, out) :
	    recall(s, "SELECT * FROM evidence WHERE " REVOKED, now, t, out);
}

/* ---- of one chain */

static enum cm_err
find(struct cm_accounts *s, const struct cm_evidence *name, struct cm_trace *t, struct cm_evidence *out)
{
	const struct cm_blob key = { name->issuer_key, sizeof(name->issuer_key) }, serial = { name->serial, name->serial_len };

	return s->remote != NULL ? cm_remote_find_evidence(s, key, serial, t, out) : cm_evidence_find(s, key, serial, t, out);
}

/* What is revoked is there already, unless it became so just now. */
static bool
is_there(const struct cm_known *known, const struct cm_evidence *e)
{
	for (size_t i = 0; i < known->count; i++) {
		const struct cm_evidence *k = &known->evidence[i];

		if (k->status == e->status && k->on_hold == e->on_hold && k->this_update == e->this_update &&
		    k->serial_len == e->serial_len && memcmp(k->serial, e->serial, e->serial_len) == 0 &&
		    memcmp(k->issuer_key, e->issuer_key, sizeof(e->issuer_key)) == 0)
			return true;
	}
	return false;
}

enum cm_err
cm_accounts_recall_about(struct cm_accounts *s, const struct cm_evidence *names, size_t count, struct cm_trace *t,
    struct cm_memory *m)
{
	struct cm_evidence *all = calloc(m->known.count + count, sizeof(*all));
	size_t n = m->known.count;
	enum cm_err err = CM_OK;

	if (all == NULL)
		return m->known.count + count == 0 ? CM_OK : CM_ERR_NOMEM;
	if (n > 0)
		memcpy(all, m->known.evidence, n * sizeof(*all));
	for (size_t i = 0; err == CM_OK && i < count; i++) {
		if ((err = find(s, &names[i], t, &all[n])) == CM_OK)
			n += !is_there(&m->known, &all[n]);
		else if (err == CM_ERR_ABSENT)
			err = CM_OK;
	}
	if (err != CM_OK) {
		free(all);
		return err;
	}
	free(m->evidence);
	m->known.evidence = m->evidence = all;
	m->known.count = n;
	return CM_OK;
}

enum cm_err
cm_accounts_recall_chain(struct cm_accounts *s, const struct cm_verdict *v, struct cm_trace *t, struct cm_memory *m)
{
	struct cm_evidence names[CM_CHAIN_MAX];
	size_t count = 0;
	enum cm_err err = CM_OK;

	for (size_t i = 0; count < CM_COUNT(names) && (err = cm_verdict_name(v, i, &names[count])) != CM_ERR_ABSENT; i++) {
		if (err == CM_ERR_NOMEM)
			return err;
		count += err == CM_OK;	/* of a serial number that none may have nothing is kept */
	}
	return cm_accounts_recall_about(s, names, count, t, m);
}

void
cm_memory_free(struct cm_memory **m)
{
	if (*m == NULL)
		return;
	cm_keeping_free(&(*m)->keeping);
	cm_remote_keeping_free(&(*m)->remote_keeping);
	cm_snapshot_release(&(*m)->snapshot);
	free((*m)->sources);
	free((*m)->evidence);
	free(*m);
	*m = NULL;
}
