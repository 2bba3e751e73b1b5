/* cardmapd/whole_file.c - a small file of root's own that a service which is started anew reads. */
#include "cardmapd/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"

static bool
put(int fd, struct cm_blob text)
{
	size_t done = 0;

	while (done < text.len) {
		const ssize_t n = write(fd, text.ptr + done, text.len - done);

		if (n < 0 && errno != EINTR)
			return false;
		if (n > 0)
			done += (size_t)n;
	}
	return true;
}

enum cm_err
cm_whole_file_write(const char *path, struct cm_blob text, struct cm_trace *t)
{
	struct cm_buf fresh = { 0 };
	enum cm_err err = CM_OK;
	int fd = -1;

	cm_buf_addf(&fresh, "%s.new", path);
	if (cm_buf_status(&fresh) != CM_OK ||
	    (fd = open(cm_buf_str(&fresh), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600)) < 0) {
		err = cm_trace_fail(t, CM_REASON_SYSTEM, "%s.new: %s", path, strerror(errno));
	} else {
		const bool whole = put(fd, text);

		if (close(fd) != 0 || !whole || rename(cm_buf_str(&fresh), path) != 0)
			err = cm_trace_fail(t, CM_REASON_SYSTEM, "%s: %s", path, strerror(errno));
	}
	cm_buf_free(&fresh);
	return err;
}

char *
cm_table_text(const void *list, size_t count, cm_table_describe *describe)
{
	json_t *rows = json_array();
	char *text;

	for (size_t i = 0; i < count; i++)
		json_array_append_new(rows, describe(list, i));
	text = json_array_size(rows) == count ? json_dumps(rows, JSON_COMPACT) : NULL;
	json_decref(rows);
	return text;
}

ssize_t
cm_table_parse(struct cm_blob text, void *list, size_t max, cm_table_take *take)
{
	json_t *rows = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
	const size_t count = json_array_size(rows);
	bool whole = json_is_array(rows) && count <= max;

	for (size_t i = 0; whole && i < count; i++)
		whole = take(list, i, json_array_get(rows, i));
	json_decref(rows);
	return whole ? (ssize_t)count : -1;
}

bool
cm_table_number(const json_t *row, const char *key, json_int_t max, json_int_t *to)
{
	const json_t *n = json_object_get(row, key);

	*to = json_integer_value(n);
	return json_is_integer(n) && *to >= 0 && *to <= max;
}
