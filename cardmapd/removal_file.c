/* cardmapd/removal_file.c - who came in by which card, kept for a service that is started anew; it goes with the boot. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "cardmapd/removal_internal.h"
#include "cardmapd/whole_file.h"

#define FILE_MAX	((size_t)256 << 10)
#define STAT_STARTED	22	/* proc(5): the field of /proc/PID/stat, counted from 1 */

/* The name may hold anything, spaces and parentheses too: what follows begins behind the last one. */
uint64_t
cm_entered_started(pid_t pid)
{
	struct cm_buf text = { 0 };
	char path[48];
	const char *p;
	uint64_t ticks = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (cm_file_read(path, 4096, CM_FILE_ANY, NULL, &text) == CM_OK && (p = strrchr(cm_buf_str(&text), ')')) != NULL) {
		for (int field = 2; p != NULL && field < STAT_STARTED; field++)
			p = strchr(p + 1, ' ');
		ticks = p != NULL ? strtoull(p + 1, NULL, 10) : 0;
	}
	cm_buf_free(&text);
	return ticks;
}

/* ---- writing */

static json_t *
describe(const void *list, size_t i)
{
	const struct cm_entered *e = &((const struct cm_entered_list *)list)->rows[i];

	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:s, s:s}", "card", e->card, "user", e->user, "uid", (json_int_t)e->uid,
	    "pid", (json_int_t)e->pid, "started", (json_int_t)e->started, "session", e->session, "reader", e->reader);
}

char *
cm_entered_text(const struct cm_entered_list *l)
{
	return cm_table_text(l, l->count, describe);
}

enum cm_err
cm_entered_write(const char *path, const struct cm_entered_list *l, struct cm_trace *t)
{
	char *text = cm_entered_text(l);
	const enum cm_err err = text != NULL ? cm_whole_file_write(path, cm_blob_str(text), t) :
	    cm_trace_fail(t, CM_REASON_SYSTEM, "%s: %s", path, cm_err_name(CM_ERR_NOMEM));

	free(text);
	return err;
}

/* ---- reading */

static bool
take_text(const json_t *o, const char *key, char *to, size_t size)
{
	const char *text = json_string_value(json_object_get(o, key));

	if (text == NULL || strlen(text) >= size)
		return false;
	memcpy(to, text, strlen(text) + 1);
	return true;
}

static bool
take_row(void *list, size_t i, const json_t *o)
{
	struct cm_entered *e = &((struct cm_entered_list *)list)->rows[i];
	json_int_t uid, pid, started;

	*e = (struct cm_entered){ .due = INT64_MAX };
	if (!take_text(o, "card", e->card, sizeof(e->card)) || !take_text(o, "user", e->user, sizeof(e->user)) ||
	    !take_text(o, "session", e->session, sizeof(e->session)) || !take_text(o, "reader", e->reader, sizeof(e->reader)) ||
	    !cm_table_number(o, "uid", UINT32_MAX - 1, &uid) || !cm_table_number(o, "pid", INT32_MAX, &pid) ||
	    !cm_table_number(o, "started", INT64_MAX, &started))
		return false;
	e->uid = (uid_t)uid;
	e->pid = (pid_t)pid;
	e->started = (uint64_t)started;
	return true;
}

bool
cm_entered_parse(struct cm_blob text, struct cm_entered_list *out)
{
	const ssize_t count = cm_table_parse(text, out, CM_ENTERED_MAX, take_row);

	out->count = count > 0 ? (size_t)count : 0;
	return count >= 0;
}

enum cm_err
cm_entered_read(const char *path, struct cm_trace *t, struct cm_entered_list *out)
{
	struct cm_buf text = { 0 };
	enum cm_err err = cm_file_read(path, FILE_MAX, CM_FILE_SECRET, t, &text);

	out->count = 0;
	if (err == CM_OK && !cm_entered_parse(cm_buf_blob(&text), out))
		err = cm_trace_fail(t, CM_REASON_CONFIG, "%s: is not what cardmapd wrote: remove it", path);
	cm_buf_free(&text);
	return err;
}
