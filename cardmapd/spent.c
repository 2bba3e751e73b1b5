/* cardmapd/spent.c - PINs that were spent in the insertions that are: kept for a service that is started anew. */
#include "cardmapd/spent.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/list.h"
#include "base/log.h"
#include "cardmapd/whole_file.h"

#define FILE_MAX	((size_t)64 << 10)

struct cm_spents {
	pthread_mutex_t lock;
	int log;			/* enum cm_log_target */
	bool unknown;			/* what was kept cannot be read */
	char **known;			/* readers of which it is no matter any more: their card was out since */
	struct cm_spent_list list;
	char path[4096];
};

enum cm_err
cm_spents_new(const char *run_dir, int log, struct cm_spents **out)
{
	if ((*out = calloc(1, sizeof(**out))) == NULL)
		return CM_ERR_NOMEM;
	pthread_mutex_init(&(*out)->lock, NULL);
	(*out)->log = log;
	snprintf((*out)->path, sizeof((*out)->path), "%s/private/spent", run_dir);
	return CM_OK;
}

void
cm_spents_free(struct cm_spents **s)
{
	if (*s == NULL)
		return;
	pthread_mutex_destroy(&(*s)->lock);
	cm_list_free(&(*s)->known);
	free(*s);
	*s = NULL;
}

void
cm_spents_begin(struct cm_spents *s)
{
	struct cm_buf text = { 0 };
	struct cm_trace *t = NULL;
	enum cm_err err = cm_trace_new(&t);

	if (err == CM_OK)
		err = cm_file_read(s->path, FILE_MAX, CM_FILE_SECRET, t, &text);
	s->unknown = err != CM_ERR_ABSENT && (err != CM_OK || !cm_spent_parse(cm_buf_blob(&text), &s->list));
	if (s->unknown)
		cm_log_event(s->log, "pins", CM_ERR_CONFIG, CM_REASON_CONFIG, "%s: it is not what was written there, so that nobody knows how "
		    "many wrong PINs were typed: a card that is in is to be taken out, and put in again", s->path);
	cm_buf_free(&text);
	cm_trace_free(&t);
}

/* ---- under the lock */

static struct cm_spent *
find(struct cm_spents *s, const struct cm_insertion *in)
{
	for (size_t i = 0; i < s->list.count; i++)
		if (cm_insertion_equal(&s->list.rows[i].in, in))
			return &s->list.rows[i];
	return NULL;
}

/* Of the reader all but this one, which may be NULL.  True: there were some. */
static bool
drop(struct cm_spents *s, const char *reader, const struct cm_insertion *but)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->list.count; i++) {
		const struct cm_spent *row = &s->list.rows[i];

		if (strcmp(row->in.reader, reader) != 0 || (but != NULL && cm_insertion_equal(&row->in, but)))
			s->list.rows[kept++] = *row;
	}
	const bool some = kept < s->list.count;

	s->list.count = kept;
	return some;
}

static bool
is_known(const struct cm_spents *s, const char *reader)
{
	for (size_t i = 0; s->known != NULL && s->known[i] != NULL; i++)
		if (strcmp(s->known[i], reader) == 0)
			return true;
	return !s->unknown;
}

static void
save(const struct cm_spents *s)
{
	struct cm_trace *t = NULL;
	char *text = cm_spent_text(&s->list);
	enum cm_err err = cm_trace_new(&t);

	if (err == CM_OK)
		err = text != NULL ? cm_whole_file_write(s->path, cm_blob_str(text), t) : CM_ERR_NOMEM;
	if (err != CM_OK)
		cm_log_event(s->log, "pins", err, CM_REASON_SYSTEM, "%s: should this process die now, wrong PINs are forgotten: %s", s->path,
		    t != NULL && cm_trace_reason(t) != CM_REASON_NONE ? cm_trace_message(t) : cm_err_name(err));
	free(text);
	cm_trace_free(&t);
}

static void
put(struct cm_spents *s, const struct cm_spent *spent)
{
	struct cm_spent *row = find(s, &spent->in);

	/* As many readers as that there are not: what is left over goes first. */
	if (row == NULL && s->list.count == CM_COUNT(s->list.rows))
		memmove(&s->list.rows[0], &s->list.rows[1], --s->list.count * sizeof(s->list.rows[0]));
	if (row == NULL)
		row = &s->list.rows[s->list.count++];
	*row = *spent;
}

/* ---- */

void
cm_spents_find(struct cm_spents *s, const struct cm_insertion *in, bool first, struct cm_spent *out)
{
	const struct cm_spent *row;
	bool changed;

	*out = (struct cm_spent){ .in = *in };
	pthread_mutex_lock(&s->lock);
	changed = drop(s, in->reader, in);
	if (first && !is_known(s, in->reader)) {
		out->wrong = CM_WRONG_PINS_MAX;
		put(s, out);
		changed = true;
	} else if ((row = find(s, in)) != NULL) {
		*out = *row;
	}
	if (changed)
		save(s);
	pthread_mutex_unlock(&s->lock);
}

void
cm_spents_note(struct cm_spents *s, const struct cm_spent *spent)
{
	pthread_mutex_lock(&s->lock);
	struct cm_spent *row = find(s, &spent->in);
	const bool changed = row == NULL ? spent->wrong > 0 : row->wrong != spent->wrong || row->doubtful != spent->doubtful ||
	    row->tries_before != spent->tries_before;

	if (changed && spent->wrong > 0)
		put(s, spent);
	else if (changed)
		*row = s->list.rows[--s->list.count];
	if (changed)
		save(s);
	pthread_mutex_unlock(&s->lock);
}

void
cm_spents_forget(struct cm_spents *s, const char *reader)
{
	pthread_mutex_lock(&s->lock);
	if (!is_known(s, reader))
		(void)!cm_list_add(&s->known, cm_blob_str(reader));	/* else its card is held once more */
	if (drop(s, reader, NULL))
		save(s);
	pthread_mutex_unlock(&s->lock);
}
