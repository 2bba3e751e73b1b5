/* mapper/import.c - what the readers of other systems' files make, put into force or written as cardmap.conf. */
#include "mapper/import.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/list.h"

#define FILE_MAX	((size_t)1 << 20)

enum cm_err
cm_import_fail(const char *path, int line, struct cm_trace *t, const char *fmt, ...)
{
	struct cm_buf where;
	char text[1024];
	enum cm_err err;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cm_buf_init(&where, 0);
	cm_buf_add_str(&where, path);
	if (line > 0)
		cm_buf_addf(&where, ":%d", line);
	cm_trace_add(t, "mistake", "%s: %s", cm_buf_str(&where), text);
	err = cm_trace_fail(t, CM_REASON_CONFIG, "%s: %s", cm_buf_str(&where), text);
	cm_buf_free(&where);
	return err;
}

enum cm_err
cm_import_new(const char *path, const char *from, struct cm_import **out)
{
	struct cm_import *i = calloc(1, sizeof(*i));

	*out = NULL;
	if (i == NULL || (i->path = strdup(path)) == NULL) {
		free(i);
		return CM_ERR_NOMEM;
	}
	i->from = from;
	*out = i;
	return CM_OK;
}

static void
setting_clear(struct cm_import_setting *s)
{
	cm_list_free(&s->values);
	free(s->key);
}

void
cm_import_free(struct cm_import **i)
{
	struct cm_import *p = *i;

	if (p == NULL)
		return;
	for (size_t k = 0; k < p->rule_count; k++)
		cm_conf_rule_clear(&p->rules[k]);
	for (size_t k = 0; k < p->setting_count; k++)
		setting_clear(&p->settings[k]);
	for (size_t k = 0; k < p->note_count; k++)
		free(p->notes[k].text);
	free(p->rules);
	free(p->settings);
	free(p->notes);
	free(p->path);
	free(p);
	*i = NULL;
}

static bool
is_taken(const struct cm_import *i, const char *name)
{
	for (size_t k = 0; k < i->rule_count; k++)
		if (strcmp(i->rules[k].name, name) == 0)
			return true;
	return false;
}

/* cardmap.conf wants each rule to have a name of its own. */
static enum cm_err
name_apart(const struct cm_import *i, struct cm_conf_rule *r)
{
	char *name = NULL;

	for (unsigned n = 2; is_taken(i, name != NULL ? name : r->name); n++) {
		free(name);
		if (asprintf(&name, "%s (%u)", r->name, n) < 0)
			return CM_ERR_NOMEM;
	}
	if (name != NULL) {
		free(r->name);
		r->name = name;
	}
	return CM_OK;
}

enum cm_err
cm_import_add_rule(struct cm_import *i, int line, struct cm_conf_rule *r)
{
	struct cm_conf_rule *more = NULL;
	enum cm_err err = CM_ERR_NOMEM;

	if (r->origin == NULL && asprintf(&r->origin, line > 0 ? "%s:%d" : "%s", i->path, line) < 0)
		r->origin = NULL;
	if (r->name == NULL || r->origin == NULL || (err = name_apart(i, r)) != CM_OK)
		goto out;
	err = CM_ERR_NOMEM;
	if ((more = realloc(i->rules, (i->rule_count + 1) * sizeof(*more))) == NULL)
		goto out;
	i->rules = more;
	more[i->rule_count++] = *r;
	*r = (struct cm_conf_rule){ .priority = CM_RULE_PRIORITY_LAST };
	err = CM_OK;
out:
	cm_conf_rule_clear(r);
	return err;
}

static struct cm_import_setting *
find_setting(const struct cm_import *i, const char *key)
{
	for (size_t k = 0; k < i->setting_count; k++)
		if (strcmp(i->settings[k].key, key) == 0)
			return &i->settings[k];
	return NULL;
}

const struct cm_import_setting *
cm_import_find(const struct cm_import *i, const char *key)
{
	return find_setting(i, key);
}

enum cm_err
cm_import_set(struct cm_import *i, int line, const char *key, const char *value)
{
	struct cm_import_setting *s = find_setting(i, key), *more;

	if (s != NULL)
		return cm_list_add(&s->values, cm_blob_str(value));
	if ((more = realloc(i->settings, (i->setting_count + 1) * sizeof(*more))) == NULL)
		return CM_ERR_NOMEM;
	i->settings = more;
	s = &more[i->setting_count];
	*s = (struct cm_import_setting){ .line = line };
	if ((s->key = strdup(key)) == NULL)
		return CM_ERR_NOMEM;
	i->setting_count++;
	return cm_list_add(&s->values, cm_blob_str(value));
}

enum cm_err
cm_import_note(struct cm_import *i, int line, const char *fmt, ...)
{
	struct cm_import_note *more;
	char *text = NULL;
	va_list ap;
	int n;

	if ((more = realloc(i->notes, (i->note_count + 1) * sizeof(*more))) == NULL)
		return CM_ERR_NOMEM;
	i->notes = more;
	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return CM_ERR_NOMEM;
	more[i->note_count++] = (struct cm_import_note){ .line = line, .text = text };
	return CM_OK;
}

static void
add_place(const struct cm_import *i, int line, struct cm_buf *out)
{
	cm_buf_add_printable(out, cm_blob_str(i->path));
	if (line > 0)
		cm_buf_addf(out, ":%d", line);
}

enum cm_err
cm_import_load(const char *path, cm_import_reader read, struct cm_trace *t,
    struct cm_import **out)
{
	struct cm_buf bytes, place;
	enum cm_err err;

	*out = NULL;
	cm_buf_init(&bytes, 0);
	cm_buf_init(&place, 0);
	if ((err = cm_file_read(path, FILE_MAX, CM_FILE_TRUSTED, t, &bytes)) == CM_OK)
		err = read(cm_buf_blob(&bytes), path, t, out);
	for (size_t k = 0; err == CM_OK && k < (*out)->note_count; k++) {
		cm_buf_truncate(&place, 0);
		add_place(*out, (*out)->notes[k].line, &place);
		cm_trace_add(t, "note", "%s: %s", cm_buf_str(&place), (*out)->notes[k].text);
	}
	cm_buf_free(&place);
	cm_buf_free(&bytes);
	return err;
}

static enum cm_err
apply_setting(const struct cm_import *i, const struct cm_import_setting *s, struct cm_conf *c,
    struct cm_trace *t)
{
	struct cm_buf place;
	enum cm_err err;

	cm_buf_init(&place, 0);
	add_place(i, s->line, &place);
	err = cm_conf_set_default(c, s->key, s->values, cm_buf_str(&place), t);
	if (err == CM_ERR_ABSENT) {
		cm_trace_add(t, "note", "%s: %s was set elsewhere, and that holds", cm_buf_str(&place), s->key);
		err = CM_OK;
	}
	cm_buf_free(&place);
	return err;
}

enum cm_err
cm_import_apply(struct cm_import *i, struct cm_conf *c, struct cm_trace *t)
{
	struct cm_conf_rule *more;
	enum cm_err err = CM_OK;

	for (size_t k = 0; err == CM_OK && k < i->setting_count; k++)
		err = apply_setting(i, &i->settings[k], c, t);
	if (err != CM_OK || i->rule_count == 0)
		return err;
	if ((more = realloc(c->rules, (c->rule_count + i->rule_count) * sizeof(*more))) == NULL)
		return CM_ERR_NOMEM;
	memcpy(more + c->rule_count, i->rules, i->rule_count * sizeof(*more));
	c->rules = more;
	c->rule_count += i->rule_count;
	i->rule_count = 0;
	return CM_OK;
}

/*
 * A new file that holds while it stays where it is: one row.  One that somebody
 * named must be there: without its rules others would hold.
 */
static enum cm_err
each_file(const struct cm_conf *c, struct cm_trace *t, enum cm_err (*use)(void *arg, struct cm_import *i, struct cm_trace *t), void *arg)
{
	const struct {
		const char *key, *path;
		cm_import_reader read;
	} files[] = {
		{ "mapper.plist", c->mapper.plist, cm_import_plist },
		{ "mapper.sssd", c->mapper.sssd, cm_import_sssd },
	};
	enum cm_err err = CM_OK;

	for (size_t k = 0; err == CM_OK && k < CM_COUNT(files); k++) {
		struct cm_import *i = NULL;

		if (files[k].path == NULL || files[k].path[0] == '\0')
			continue;
		err = cm_import_load(files[k].path, files[k].read, t, &i);
		if (err == CM_OK)
			err = use(arg, i, t);
		else if (err == CM_ERR_ABSENT && !cm_conf_is_default(c, files[k].key))
			err = cm_import_fail(files[k].path, 0, t, "no such file; see %s", files[k].key);
		else if (err == CM_ERR_ABSENT)
			err = CM_OK;
		cm_import_free(&i);
	}
	return err;
}

static enum cm_err
apply(void *arg, struct cm_import *i, struct cm_trace *t)
{
	return cm_import_apply(i, arg, t);
}

enum cm_err
cm_import_configured(struct cm_conf *c, struct cm_trace *t)
{
	return each_file(c, t, apply, c);
}

struct telling {
	cm_import_visit visit;
	void *arg;
};

static enum cm_err
tell_settings(void *arg, struct cm_import *i, struct cm_trace *t)
{
	const struct telling *to = arg;
	struct cm_buf place = { 0 };
	enum cm_err err = CM_OK;

	(void)t;
	for (size_t k = 0; err == CM_OK && k < i->setting_count; k++) {
		cm_buf_truncate(&place, 0);
		add_place(i, i->settings[k].line, &place);
		err = to->visit(to->arg, cm_buf_str(&place), &i->settings[k]);
	}
	cm_buf_free(&place);
	return err;
}

enum cm_err
cm_import_each(const struct cm_conf *c, struct cm_trace *t, cm_import_visit visit, void *arg)
{
	struct telling to = { visit, arg };

	return each_file(c, t, tell_settings, &to);
}
