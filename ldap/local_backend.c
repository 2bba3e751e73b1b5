/* ldap/local_backend.c - the accounts of this computer, as entries. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "ldap/directory_internal.h"
#include "ldap/local_internal.h"

/*
 * "local:" is passwd(5) and group(5) of this computer, "local:DIR" those below
 * DIR/etc.  They are read anew for each search: they are short, and change.
 */
struct local_search {
	const struct cm_local *local;
	struct cm_search *s;
	struct cm_trace *trace;
	const struct local_file *file;
	struct cm_blob text;		/* of the file */
	struct cm_homes *homes;		/* NULL: nothing is asked that stands in a home directory */
	struct cm_buf values;		/* of one entry */
	struct cm_buf dn;
	size_t shown;
};

#define FIELDS_MAX	7

/* A line of a file becomes the values of an entry. */
struct local_file {
	const char *path;
	size_t fields;
	void (*fill)(struct local_search *ls, const struct cm_blob *fields);
};

static enum cm_err
open_local(const struct cm_directory_options *o, const char *uri,
    struct cm_directory_stats *stats, struct cm_trace *t, void **state)
{
	const char *root = uri + strlen(cm_backend_local.scheme);
	struct cm_local *l;

	(void)stats;
	if (root[0] != '\0' && root[0] != '/')
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: write local: for this computer's accounts", uri);
	if ((l = calloc(1, sizeof(*l))) == NULL)
		return CM_ERR_NOMEM;
	*l = (struct cm_local){ o, root };
	*state = l;
	return CM_OK;
}

static void
add_value(struct local_search *ls, const char *attribute, struct cm_blob value)
{
	const struct cm_value v = { cm_blob_str(attribute), value };

	cm_buf_add(&ls->values, &v, sizeof(v));
}

/* What stands before the first separator; *rest is what stands behind it. */
static struct cm_blob
cut(struct cm_blob v, uint8_t separator, struct cm_blob *rest)
{
	const uint8_t *at = v.len > 0 ? memchr(v.ptr, separator, v.len) : NULL;
	const size_t len = at != NULL ? (size_t)(at - v.ptr) : v.len;

	*rest = at != NULL ? (struct cm_blob){ at + 1, v.len - len - 1 } : (struct cm_blob){ NULL, 0 };
	return (struct cm_blob){ v.ptr, len };
}

/* An account that no card may open has no home to look into either. */
static bool
has_home(const struct local_search *ls, const struct cm_blob *f, unsigned *uid)
{
	return ls->homes != NULL && cm_number_parse(f[2], uid) && *uid >= ls->local->options->first_uid;
}

/* name:password:uid:gid:gecos:home:shell */
static void
fill_account(struct local_search *ls, const struct cm_blob *f)
{
	struct cm_blob rest;
	unsigned uid;

	add_value(ls, "objectClass", cm_blob_str("posixAccount"));
	add_value(ls, "uid", f[0]);
	add_value(ls, "cn", cut(f[4], ',', &rest));
	add_value(ls, "gecos", f[4]);
	add_value(ls, "uidNumber", f[2]);
	add_value(ls, "gidNumber", f[3]);
	add_value(ls, "homeDirectory", f[5]);
	add_value(ls, "loginShell", f[6]);
	if (has_home(ls, f, &uid))
		cm_homes_read(ls->homes, ls->local->root, f[5], (uid_t)uid, &ls->values);
}

/* name:password:gid:members */
static void
fill_group(struct local_search *ls, const struct cm_blob *f)
{
	struct cm_blob rest = f[3], member;

	add_value(ls, "objectClass", cm_blob_str("posixGroup"));
	add_value(ls, "cn", f[0]);
	add_value(ls, "gidNumber", f[2]);
	while (rest.len > 0) {
		member = cut(rest, ',', &rest);
		if (member.len > 0)
			add_value(ls, "memberUid", member);
	}
}

static const struct local_file accounts_file = { "/etc/passwd", 7, fill_account };
static const struct local_file groups_file = { "/etc/group", 4, fill_group };

static bool
split(struct cm_blob line, const struct local_file *file, struct cm_blob *fields)
{
	for (size_t i = 0; i < file->fields; i++) {
		if (line.ptr == NULL)
			return false;
		fields[i] = cut(line, ':', &line);
	}
	return line.ptr == NULL && fields[0].len > 0;
}

/* getpwnam(3) takes the first line with a name; so do we, whatever a later one says. */
static bool
is_repeated(const struct local_search *ls, struct cm_blob name)
{
	struct cm_blob rest = ls->text, line, fields;

	while (rest.ptr != NULL) {
		line = cut(rest, '\n', &rest);
		if (line.ptr == NULL || cut(line, ':', &fields).ptr == name.ptr)
			return false;
		if (cm_blob_equal(cut(line, ':', &fields), name))
			return true;
	}
	return false;
}

static enum cm_err
show(struct local_search *ls, struct cm_blob name)
{
	struct cm_search *s = ls->s;
	struct cm_entry e = {
		.values = (const struct cm_value *)(const void *)ls->values.ptr,
		.count = ls->values.len / sizeof(struct cm_value),
	};
	bool found = false;
	enum cm_err err;

	cm_buf_truncate(&ls->dn, 0);
	cm_buf_addf(&ls->dn, "%s=", ls->file == &accounts_file ? "uid" : "cn");
	cm_buf_add_blob(&ls->dn, name);
	cm_buf_addf(&ls->dn, ",cn=local");
	if ((err = cm_buf_status(&ls->dn)) != CM_OK || (err = cm_buf_status(&ls->values)) != CM_OK)
		return err;
	e.dn = cm_buf_blob(&ls->dn);
	for (size_t i = 0; i < s->query->count && !found; i++) {
		struct cm_judged j = { .all_shown = true };

		if ((err = cm_term_judge(&s->query->terms[i], s->filters != NULL ? s->filters[i] : NULL,
		    &e, &j)) != CM_OK)
			return err;
		found = j.judgement != CM_JUDGED_FALSE;
	}
	if (!found || (s->holds != NULL && !s->holds(&e)) || is_repeated(ls, name))
		return CM_OK;
	if ((s->more = ++ls->shown > s->limit))
		return CM_OK;
	return s->visit(s->arg, &e);
}

/* Comments, and the "+" and "-" of nss_compat, are no accounts. */
static enum cm_err
read_line(struct local_search *ls, struct cm_blob line)
{
	struct cm_blob fields[FIELDS_MAX];

	if (line.len == 0 || strchr("#+-", line.ptr[0]) != NULL)
		return CM_OK;
	if (!split(line, ls->file, fields)) {
		cm_trace_add(ls->trace, "line ignored", "%s: %.*s", ls->file->path, (int)line.len,
		    (const char *)line.ptr);
		return CM_OK;
	}
	cm_buf_truncate(&ls->values, 0);
	if (ls->homes != NULL)
		cm_homes_forget(ls->homes);
	ls->file->fill(ls, fields);
	return show(ls, fields[0]);
}

static bool
asks_for(const struct cm_search *s, const char *attribute)
{
	const struct cm_value v = { cm_blob_str(attribute), { NULL, 0 } };

	for (size_t i = 0; s->attributes[i] != NULL; i++)
		if (cm_attribute_answers(v.attribute, s->attributes[i]))
			return true;
	for (size_t i = 0; i < s->query->count; i++) {
		const struct cm_filter *f = s->filters != NULL ? s->filters[i] : NULL;

		if (f == NULL && cm_attribute_answers(v.attribute, s->query->terms[i].attribute))
			return true;
		for (size_t k = 0; f != NULL && k < f->count; k++)
			if (cm_attribute_answers(v.attribute, f->nodes[k].attribute))
				return true;
	}
	return false;
}

static enum cm_err
read_file(const struct cm_local *l, const struct local_file *file, struct cm_trace *t, struct cm_buf *out)
{
	struct cm_buf path = { 0 };
	enum cm_err err;

	cm_buf_addf(&path, "%s%s", l->root, file->path);
	if ((err = cm_buf_status(&path)) == CM_OK &&
	    (err = cm_file_read(cm_buf_str(&path), CM_BUF_MAX, CM_FILE_TRUSTED, t, out)) == CM_ERR_ABSENT)
		err = cm_trace_fail(t, CM_REASON_CONFIG, "%s: there is no such file", cm_buf_str(&path));
	cm_buf_free(&path);
	return err;
}

/* Only the search for groups has a condition of its own. */
static const struct local_file *
file_of(const struct cm_search *s)
{
	return s->holds != NULL ? &groups_file : &accounts_file;
}

enum cm_err
cm_local_search(struct cm_search *s, struct cm_blob text, const struct cm_local *local,
    struct cm_homes *homes, struct cm_trace *t)
{
	struct local_search ls = {
		.local = local, .s = s, .trace = t, .file = file_of(s), .text = text, .homes = homes,
	};
	struct cm_blob rest = text;
	enum cm_err err = CM_OK;

	while (err == CM_OK && !s->more && rest.len > 0)
		err = read_line(&ls, cut(rest, '\n', &rest));
	cm_buf_free(&ls.values);
	cm_buf_free(&ls.dn);
	return err;
}

static enum cm_err
search_local(void *state, struct cm_search *s, cm_deadline deadline, struct cm_trace *t)
{
	const bool homes = asks_for(s, CM_HOME_CERTIFICATE) || asks_for(s, CM_HOME_SSH_KEY);
	struct cm_homes h = { .trace = t, .deadline = deadline };
	struct cm_buf text = { 0 };
	enum cm_err err;

	if ((err = read_file(state, file_of(s), t, &text)) == CM_OK &&
	    (err = cm_local_search(s, cm_buf_blob(&text), state, homes ? &h : NULL, t)) == CM_OK)
		err = cm_homes_status(&h);
	cm_homes_clear(&h);
	cm_buf_free(&text);
	return err;
}

static void
close_local(void **state)
{
	free(*state);
	*state = NULL;
}

const struct cm_backend cm_backend_local = {
	.scheme = "local:", .all_shown = true,
	.open = open_local,
	.search = search_local,
	.close = close_local,
};
