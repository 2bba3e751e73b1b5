/*
 * mapper/mapfile.c - pam_pkcs11's map files: one value becomes another.
 *
 * Keys that are plain text are found by a search among all of them, so that a
 * file with a line for each person costs no more than a short one; of the
 * expressions only those above that line are tried.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/file.h"
#include "mapper/mapfile_internal.h"

struct line {
	struct cm_blob key, value;	/* point into the file's bytes */
	size_t number;			/* from 1 */
	size_t regex;			/* id, of expressions */
};
struct lines {
	struct line *items;
	size_t count, room;
};
struct cm_map_file {
	uint8_t *bytes;			/* owned */
	size_t len;
	struct cm_regexes *regexes;	/* borrowed */
	bool ignore_case;
	unsigned group;
	struct lines plain;		/* sorted by key, then by number */
	struct lines expressions;	/* as they stand */
};

void
cm_map_file_free(struct cm_map_file **m)
{
	if (m == NULL || *m == NULL)
		return;
	free((*m)->plain.items);
	free((*m)->expressions.items);
	free((*m)->bytes);
	free(*m);
	*m = NULL;
}

struct reader {
	struct cm_map_file *file;
	const char *path;
	struct cm_trace *t;
	size_t number;		/* of the line */
	char *first;		/* the first mistake; owned */
};

static void CM_PRINTF(2, 3)
mistake(struct reader *r, const char *fmt, ...)
{
	struct cm_buf text;
	char what[256];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	cm_buf_init(&text, 0);
	cm_buf_addf(&text, "%s:%zu: %s", r->path, r->number, what);
	cm_trace_add(r->t, "mistake", "%s", cm_buf_str(&text));
	if (r->first == NULL)
		r->first = cm_buf_take(&text);
	cm_buf_free(&text);
}

static enum cm_err
append(struct lines *l, const struct line *x)
{
	if (l->count == l->room) {
		const size_t room = l->room == 0 ? 16 : 2 * l->room;
		struct line *items = realloc(l->items, room * sizeof(*items));

		if (items == NULL)
			return CM_ERR_NOMEM;
		l->items = items;
		l->room = room;
	}
	l->items[l->count++] = *x;
	return CM_OK;
}

static enum cm_err
add_expression(struct reader *r, struct line *x)
{
	const struct cm_regex regex = {
		.pattern = x->key,
		.flags = CM_REGEX_BASIC | (r->file->ignore_case ? CM_REGEX_IGNORE_CASE : 0),
		.group = r->file->group,
	};
	struct cm_syntax why;
	const enum cm_err err = cm_regexes_add(r->file->regexes, &regex, &x->regex, &why);

	if (err == CM_OK)
		return append(&r->file->expressions, x);
	if (err == CM_ERR_NOMEM)
		return err;
	mistake(r, "column %zu: regular expression: %s", why.column, why.what);
	return CM_OK;
}

static bool
is_expression(struct cm_blob key)
{
	return key.len >= 2 && key.ptr[0] == '^' && key.ptr[key.len - 1] == '$';
}

/* What can be wrong with a line before its parts are looked at. */
static const char *
malformed(struct cm_blob v)
{
	if (v.len > CM_MAP_LINE_MAX)
		return "the line is too long";
	if (memchr(v.ptr, '\0', v.len) != NULL)
		return "the line holds a NUL";
	if (memchr(v.ptr, '\r', v.len) != NULL)
		return "the line ends as on DOS; expected a line feed alone";
	return NULL;
}

static enum cm_err
read_line(struct reader *r, struct cm_blob v)
{
	static const char arrow[] = " -> ";
	const size_t len = sizeof(arrow) - 1;
	struct line x = { .number = r->number };
	const uint8_t *at;
	const char *wrong;

	while (v.len > 0 && isspace(v.ptr[0]) && v.ptr[0] != '\r')
		v = (struct cm_blob){ v.ptr + 1, v.len - 1 };
	if (v.len == 0 || v.ptr[0] == '#')
		return CM_OK;
	if ((wrong = malformed(v)) != NULL) {
		mistake(r, "%s", wrong);
		return CM_OK;
	}
	if ((at = memmem(v.ptr, v.len, arrow, len)) == NULL) {
		mistake(r, "no arrow; expected KEY -> VALUE, with a space on each side of the arrow");
		return CM_OK;
	}
	x.key = (struct cm_blob){ v.ptr, (size_t)(at - v.ptr) };
	x.value = (struct cm_blob){ at + len, v.len - x.key.len - len };
	if (x.value.len == 0) {
		mistake(r, "nothing behind the arrow; expected what the value becomes");
		return CM_OK;
	}
	return is_expression(x.key) ? add_expression(r, &x) : append(&r->file->plain, &x);
}

static int
compare_keys(struct cm_blob a, struct cm_blob b, bool ignore_case)
{
	const size_t n = a.len < b.len ? a.len : b.len;
	int order = 0;

	for (size_t i = 0; i < n && order == 0; i++) {
		int x = a.ptr[i], y = b.ptr[i];

		if (ignore_case && x >= 'A' && x <= 'Z')
			x += 'a' - 'A';
		if (ignore_case && y >= 'A' && y <= 'Z')
			y += 'a' - 'A';
		order = x - y;
	}
	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int
compare_lines(const void *a, const void *b, void *arg)
{
	const struct cm_map_file *m = arg;
	const struct line *x = a, *y = b;
	const int order = compare_keys(x->key, y->key, m->ignore_case);

	return order != 0 ? order : (x->number > y->number) - (x->number < y->number);
}

/* The second of two lines with one key never counts: that is said, and no error. */
static void
note_doubles(struct reader *r)
{
	const struct lines *l = &r->file->plain;

	for (size_t i = 1; i < l->count; i++)
		if (compare_keys(l->items[i - 1].key, l->items[i].key, r->file->ignore_case) == 0)
			cm_trace_add(r->t, "note", "%s:%zu: has no effect: line %zu has the same key",
			    r->path, l->items[i].number, l->items[i - 1].number);
}

static enum cm_err
read_lines(struct reader *r)
{
	const struct cm_map_file *m = r->file;
	struct cm_blob rest = { m->bytes, m->len };
	enum cm_err err = CM_OK;

	while (err == CM_OK && rest.len > 0) {
		const uint8_t *end = memchr(rest.ptr, '\n', rest.len);
		const size_t len = end != NULL ? (size_t)(end - rest.ptr) : rest.len;
		const size_t step = len + (end != NULL);

		r->number++;
		err = read_line(r, (struct cm_blob){ rest.ptr, len });
		rest = (struct cm_blob){ rest.ptr + step, rest.len - step };
	}
	return err;
}

static enum cm_err
take_bytes(struct cm_map_file *m, struct cm_blob bytes)
{
	if ((m->bytes = malloc(bytes.len + 1)) == NULL)
		return CM_ERR_NOMEM;
	if (bytes.len > 0)
		memcpy(m->bytes, bytes.ptr, bytes.len);
	m->len = bytes.len;
	return CM_OK;
}

enum cm_err
cm_map_file_parse(struct cm_blob bytes, const char *path, struct cm_regexes *re,
    bool ignore_case, struct cm_trace *t, struct cm_map_file **out)
{
	struct cm_map_file *m = calloc(1, sizeof(*m));
	struct reader r = { .file = m, .path = path, .t = t };
	enum cm_err err;

	*out = NULL;
	if (m == NULL)
		return CM_ERR_NOMEM;
	m->regexes = re;
	m->ignore_case = ignore_case;
	m->group = cm_regexes_group(re);
	if ((err = take_bytes(m, bytes)) != CM_OK || (err = read_lines(&r)) != CM_OK)
		goto out;
	if (r.first != NULL) {
		err = cm_trace_fail(t, CM_REASON_CONFIG, "%s", r.first);
		goto out;
	}
	if (m->plain.count > 0)
		qsort_r(m->plain.items, m->plain.count, sizeof(*m->plain.items), compare_lines, m);
	note_doubles(&r);
	*out = m;
	m = NULL;
out:
	free(r.first);
	cm_map_file_free(&m);
	return err;
}

enum cm_err
cm_map_file_load(const char *path, struct cm_regexes *re, bool ignore_case, struct cm_trace *t,
    struct cm_map_file **out)
{
	struct cm_buf text;
	enum cm_err err;

	*out = NULL;
	cm_buf_init(&text, CM_MAP_FILE_MAX);
	err = cm_file_read(path, CM_MAP_FILE_MAX, CM_FILE_TRUSTED, t, &text);
	if (err == CM_ERR_ABSENT)
		err = cm_trace_fail(t, CM_REASON_CONFIG, "%s: there is no such file", path);
	if (err == CM_OK)
		err = cm_map_file_parse(cm_buf_blob(&text), path, re, ignore_case, t, out);
	cm_buf_free(&text);
	return err;
}

/* The first line with this very key. */
static const struct line *
find_plain(const struct cm_map_file *m, struct cm_blob value)
{
	size_t low = 0, high = m->plain.count;

	while (low < high) {
		const size_t middle = low + (high - low) / 2;

		if (compare_keys(m->plain.items[middle].key, value, m->ignore_case) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == m->plain.count ||
	    compare_keys(m->plain.items[low].key, value, m->ignore_case) != 0)
		return NULL;
	return &m->plain.items[low];
}

enum cm_err
cm_map_file_find(const struct cm_map_file *m, struct cm_blob value, struct cm_trace *t,
    struct cm_blob *out)
{
	const struct line *found = value.len > 0 ? find_plain(m, value) : NULL;

	for (size_t i = 0; value.len > 0 && i < m->expressions.count; i++) {
		const struct line *x = &m->expressions.items[i];
		enum cm_err err;

		if (found != NULL && x->number > found->number)
			break;
		if ((err = cm_regexes_match(m->regexes, x->regex, value, t)) == CM_OK) {
			found = x;
			break;
		}
		if (err != CM_ERR_ABSENT)
			return err;	/* what an earlier line says is not known: a later one may not speak */
	}
	if (found == NULL)
		return CM_ERR_ABSENT;
	*out = found->value;
	return CM_OK;
}
