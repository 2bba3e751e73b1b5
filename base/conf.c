/* base/conf.c - /etc/cardmap/cardmap.conf: every key a row, every value with its origin. */
#include "base/conf_internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

#define CONF_MAX	((size_t)1 << 20)
#define DEFAULT		"default"	/* the origin of what nobody set */

const char *
cm_conf_set_row(struct cm_conf *c, size_t i, const char *text, const char *origin)
{
	size_t count;
	const struct cm_conf_row *r = &cm_conf_rows(&count)[i];
	const char *wrong;
	char *copy;

	if ((wrong = r->type->set(cm_conf_field(c, r), r, text)) != NULL)
		return wrong;
	if ((copy = strdup(origin)) == NULL)
		return "out of memory";
	free(c->origins[i]);
	c->origins[i] = copy;
	return NULL;
}

void
cm_conf_free(struct cm_conf **c)
{
	size_t count;
	const struct cm_conf_row *rows = cm_conf_rows(&count);

	if (*c == NULL)
		return;
	for (size_t i = 0; i < (*c)->rule_count; i++)
		cm_conf_rule_clear(&(*c)->rules[i]);
	free((*c)->rules);
	for (size_t i = 0; i < count; i++) {
		if (rows[i].type->clear != NULL)
			rows[i].type->clear(cm_conf_field(*c, &rows[i]));
		if ((*c)->origins != NULL)
			free((*c)->origins[i]);
	}
	free((*c)->origins);
	free((*c)->managed);
	free(*c);
	*c = NULL;
}

static enum cm_err
make_defaults(struct cm_conf **out)
{
	struct cm_conf *c = calloc(1, sizeof(*c));
	size_t count;
	const struct cm_conf_row *rows = cm_conf_rows(&count);

	if (c == NULL || (c->origins = calloc(count, sizeof(*c->origins))) == NULL ||
	    (c->managed = calloc(count, sizeof(*c->managed))) == NULL)
		goto fail;
	for (size_t i = 0; i < count; i++) {
		if (rows[i].type->list &&
		    (*(char ***)cm_conf_field(c, &rows[i]) = calloc(1, sizeof(char *))) == NULL)
			goto fail;
		if (rows[i].fallback != NULL && cm_conf_set_row(c, i, rows[i].fallback, DEFAULT) != NULL)
			goto fail;
	}
	*out = c;
	return CM_OK;
fail:
	cm_conf_free(&c);
	return CM_ERR_NOMEM;
}

static enum cm_err
read_text(const char *path, struct cm_trace *t, struct cm_buf *out)
{
	const enum cm_err err = cm_file_read(path, CONF_MAX, CM_FILE_TRUSTED, t, out);

	if (err == CM_OK && memchr(cm_buf_str(out), '\0', out->len) != NULL)
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: holds a NUL byte: it is not text", path);
	return err;
}

enum cm_err
cm_conf_read(const char *path, struct cm_conf *c, struct cm_trace *t)
{
	struct cm_buf text;
	enum cm_err err;

	cm_buf_init(&text, CONF_MAX + 64);	/* and the mark behind it */
	if ((err = read_text(path, t, &text)) != CM_OK)
		goto out;
	cm_buf_add_str(&text, "\n" CM_CONF_END_MARK " = \"\"\n");
	if ((err = cm_buf_status(&text)) != CM_OK)
		goto out;
	if (memcmp(text.ptr, "\xef\xbb\xbf", 3) == 0)	/* some editors begin a file so (a byte order mark) */
		memset(text.ptr, ' ', 3);
	cm_conf_blank_comments((char *)text.ptr);
	err = cm_conf_parse(path, cm_buf_str(&text), c, t);
out:
	cm_buf_free(&text);
	return err;
}

enum cm_err
cm_conf_load(const char *path, struct cm_trace *t, struct cm_conf **out)
{
	const char *name = path != NULL ? path : CM_CONF_PATH;
	struct cm_conf *c = NULL;
	enum cm_err err;

	*out = NULL;
	if ((err = make_defaults(&c)) != CM_OK)
		return err;
	err = cm_conf_read(name, c, t);
	if (err == CM_ERR_ABSENT)
		err = path == NULL ? CM_OK : cm_trace_fail(t, CM_REASON_CONFIG, "%s: no such file", path);
	if (err == CM_OK)
		err = cm_conf_read_managed(name, c, t);
	if (err == CM_OK) {
		*out = c;
		c = NULL;
	}
	cm_conf_free(&c);
	return err;
}

/* Row of "SECTION.KEY", or of macOS's name, of which key_len bytes count; SIZE_MAX: there is none. */
static size_t
find_key(const char *key, size_t key_len)
{
	const char *dot = memchr(key, '.', key_len);
	char section[32];

	if (dot == NULL)
		return cm_conf_find_alias(key, key_len);
	if ((size_t)(dot - key) >= sizeof(section))
		return SIZE_MAX;
	memcpy(section, key, (size_t)(dot - key));
	section[dot - key] = '\0';
	return cm_conf_find_row(section, dot + 1, key_len - (size_t)(dot + 1 - key));
}

/* Replace what row i holds; what is wrong is appended to says. */
static bool
replace_row(struct cm_conf *c, size_t i, char *const *values, const char *origin, struct cm_buf *says)
{
	size_t count;
	const struct cm_conf_row *r = &cm_conf_rows(&count)[i];
	const char *wrong = NULL;

	if (r->type->list)
		r->type->clear(cm_conf_field(c, r));
	for (; wrong == NULL && *values != NULL; values++)
		if ((wrong = cm_conf_set_row(c, i, *values, origin)) != NULL)
			cm_conf_describe(r, r->section, *values, wrong, says);
	return wrong == NULL;
}

enum cm_err
cm_conf_set(struct cm_conf *c, const char *assignment, const char *origin, struct cm_trace *t)
{
	const char *equals = strchr(assignment, '=');
	const size_t i = equals == NULL ? SIZE_MAX : find_key(assignment, (size_t)(equals - assignment));
	enum cm_err err = CM_OK;
	struct cm_buf says;

	if (i == SIZE_MAX)
		return cm_trace_fail(t, CM_REASON_USAGE,
		    "%s: no such key; cardmap config show lists them", assignment);
	if (c->managed[i])
		return cm_trace_fail(t, CM_REASON_USAGE, "%s: %s has it, and what is managed is not set elsewhere", assignment,
		    c->origins[i]);
	cm_buf_init(&says, 0);
	if (!replace_row(c, i, (char *const[]){ (char *)(uintptr_t)(equals + 1), NULL }, origin, &says))
		err = cm_trace_fail(t, CM_REASON_USAGE, "%s", cm_buf_str(&says));
	cm_buf_free(&says);
	return err;
}

static bool
is_default(const struct cm_conf *c, size_t i)
{
	return c->origins[i] == NULL || strcmp(c->origins[i], DEFAULT) == 0;
}

bool
cm_conf_is_default(const struct cm_conf *c, const char *key)
{
	const size_t i = find_key(key, strlen(key));

	return i != SIZE_MAX && is_default(c, i);
}

enum cm_err
cm_conf_set_default(struct cm_conf *c, const char *key, char *const *values,
    const char *origin, struct cm_trace *t)
{
	const size_t i = find_key(key, strlen(key));
	enum cm_err err = CM_OK;
	struct cm_buf says;

	if (i == SIZE_MAX)
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: %s: no such key; cardmap config show "
		    "lists them", origin, key);
	if (!is_default(c, i))
		return CM_ERR_ABSENT;
	cm_buf_init(&says, 0);
	if (!replace_row(c, i, values, origin, &says))
		err = cm_trace_fail(t, CM_REASON_CONFIG, "%s: %s", origin, cm_buf_str(&says));
	cm_buf_free(&says);
	return err;
}

void
cm_conf_each(const struct cm_conf *c, cm_conf_visit visit, void *arg)
{
	size_t count;
	const struct cm_conf_row *rows = cm_conf_rows(&count);

	for (size_t i = 0; i < count; i++) {
		const struct cm_conf_row *r = &rows[i];
		const struct cm_conf_alias *alias = cm_conf_alias_of(i);
		struct cm_buf value;
		char key[64];

		cm_buf_init(&value, 0);
		r->type->show(cm_conf_field(c, r), r, &value);
		snprintf(key, sizeof(key), "%s.%s", r->section, r->key);
		visit(arg, &(const struct cm_conf_item){
			.key = key, .value = cm_buf_str(&value),
			.origin = c->origins[i] != NULL ? c->origins[i] : DEFAULT,
			.type = r->type->name, .unit = r->unit,
			.fallback = r->fallback != NULL ? r->fallback : "",
			.help = r->help, .min = r->min, .max = r->max,
			.alias = alias != NULL ? alias->name : NULL, .managed = c->managed[i],
		});
		cm_buf_free(&value);
	}
}
