/* cache/keeper.c - what a login learns is kept while it goes on, by a thread of its own with a connection of its own. */
#include "cache/accounts_internal.h"

#include <stdlib.h>

#define KEEPER_MS	1000	/* another process that holds the store is not waited for longer: a login is */

struct cm_keeping {
	struct cm_accounts store;	/* not open before it is used */
	struct cm_trace *trace;		/* of the last call, for why() */
	bool expired;			/* what is too old has been removed */
	bool held;			/* by another process, when it was last waited for */
};

/*
 * What was good can be asked again: a power cut may take back the last of it,
 * and a login does not wait for the disk.  What was revoked must be there.
 */
static enum cm_err
sync_each(struct cm_keeping *k, bool each)
{
	return cm_store_exec(&k->store, each ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", k->trace);
}

/* Begin a call: the connection is there. */
static enum cm_err
begin(struct cm_keeping *k)
{
	enum cm_err err;

	if (k->trace == NULL && cm_trace_new(&k->trace) != CM_OK)
		return CM_ERR_NOMEM;
	cm_trace_clear_reason(k->trace);
	if (k->store.db != NULL)
		return CM_OK;
	return (err = cm_store_open(&k->store, k->trace)) == CM_OK ? sync_each(k, false) : err;
}

static const char *
why(void *arg)
{
	const struct cm_keeping *k = arg;

	return k->trace != NULL ? cm_trace_message(k->trace) : "";
}

static enum cm_err
find(void *arg, struct cm_evidence *e)
{
	struct cm_keeping *k = arg;
	const struct cm_evidence asked = *e;
	enum cm_err err;

	if ((err = begin(k)) != CM_OK)
		return err;
	return cm_evidence_find(&k->store, (struct cm_blob){ asked.issuer_key, sizeof(asked.issuer_key) },
	    (struct cm_blob){ asked.serial, asked.serial_len }, k->trace, e);
}

/* Of several things to keep in a row one waits, unless it is worth it. */
static enum cm_err
begin_writing(struct cm_keeping *k, time_t now, bool wait)
{
	enum cm_err err;

	sqlite3_busy_timeout(k->store.db, k->held && !wait ? 0 : KEEPER_MS);
	err = cm_store_begin(&k->store, k->trace);
	k->held = err != CM_OK && (sqlite3_errcode(k->store.db) & 0xFF) == SQLITE_BUSY;
	if (err != CM_OK || k->expired)
		return err;
	if ((err = cm_evidence_expire(&k->store, now, k->trace)) != CM_OK ||
	    (err = cm_source_expire(&k->store, now, k->trace)) != CM_OK)
		return cm_store_end(&k->store, err, k->trace);
	k->expired = true;
	return CM_OK;
}

/* On the disk, and out of the log; within what is left of the time. */
static enum cm_err
keep_revoked(struct cm_keeping *k, const struct cm_evidence *e, time_t now, cm_deadline deadline)
{
	enum cm_err err, after;

	if ((err = sync_each(k, true)) != CM_OK)
		return err;
	if ((err = begin_writing(k, now, true)) == CM_OK)
		err = cm_store_end(&k->store, cm_evidence_keep(&k->store, e, now, k->trace), k->trace);
	if (err == CM_OK) {
		sqlite3_busy_timeout(k->store.db, cm_deadline_left(deadline));
		cm_store_settle(&k->store);
		sqlite3_busy_timeout(k->store.db, KEEPER_MS);
	}
	after = sync_each(k, false);
	return err != CM_OK ? err : after;
}

static enum cm_err
keep(void *arg, const struct cm_evidence *e)
{
	const cm_deadline deadline = cm_deadline_in(KEEPER_MS);
	const time_t now = cm_clock_now();
	struct cm_keeping *k = arg;
	enum cm_err err;

	if ((err = begin(k)) != CM_OK)
		return err;
	/* Most of what is learned again is known already: that takes no lock and no sync. */
	if ((err = cm_evidence_is_news(&k->store, e, now, k->trace)) != CM_OK)
		return err == CM_ERR_ABSENT ? CM_OK : err;
	if (e->status == CM_STATUS_REVOKED)
		return keep_revoked(k, e, now, deadline);
	if ((err = begin_writing(k, now, false)) != CM_OK)
		return err;
	return cm_store_end(&k->store, cm_evidence_keep(&k->store, e, now, k->trace), k->trace);
}

static enum cm_err
keep_source(void *arg, const struct cm_source *s, struct cm_blob issuer)
{
	struct cm_keeping *k = arg;
	enum cm_err err;

	if (s->url[0] == '\0' || memchr(s->url, '\0', sizeof(s->url)) == NULL)
		return CM_OK;		/* what does not fit is not remembered, and asked as ever */
	if ((err = begin(k)) != CM_OK)
		return err;
	if (k->store.version >= CM_STORE_SOURCES &&
	    (err = cm_source_is_kept(&k->store, s, issuer, k->trace)) != CM_ERR_ABSENT)
		return err;
	if ((err = begin_writing(k, cm_clock_now(), false)) != CM_OK)
		return err;
	return cm_store_end(&k->store, cm_source_keep(&k->store, s, issuer, k->trace), k->trace);
}

enum cm_err
cm_keeping_new(const struct cm_accounts *s, struct cm_keeping **out, struct cm_keeper *keeper)
{
	struct cm_keeping *k = calloc(1, sizeof(*k));

	*out = NULL;
	if (k == NULL || (k->store.path = strdup(s->path)) == NULL) {
		free(k);
		return CM_ERR_NOMEM;
	}
	k->store.busy_ms = KEEPER_MS;
	k->store.guarded = s->guarded;
	*keeper = (struct cm_keeper){ .arg = k, .find = find, .keep = keep, .keep_source = keep_source, .why = why };
	*out = k;
	return CM_OK;
}

void
cm_keeping_free(struct cm_keeping **k)
{
	if (*k == NULL)
		return;
	sqlite3_close((*k)->store.db);
	cm_trace_free(&(*k)->trace);
	free((*k)->store.path);
	free(*k);
	*k = NULL;
}
