/* ldap/ldif.c - read LDIF content records (RFC 2849) from one buffer, in place. */
#include <stdlib.h>
#include <string.h>

#include "ldap/directory_internal.h"

/*
 * What is read here, in the terms of RFC 2849 section 2:
 *
 *	ldif-content = [version-spec] 1*(1*SEP ldif-attrval-record)
 *
 * with comments and folded lines (notes 1 to 3), LF or CRLF, base64 (note 8).
 * Change records and "<" URLs are refused: this is a list of accounts, and
 * reading it must not open other files.
 */
struct parser {
	const char *name;
	struct cm_trace *trace;
	struct cm_ldif *ldif;
	uint8_t *p, *end;	/* not yet read */
	uint8_t *w;		/* where the next unfolded line goes: never beyond p */
	size_t line;		/* of the line being looked at, from 1 */
	size_t next_line;
	bool in_record;
	bool seen;		/* anything but comments */
};

static enum cm_err
wrong(const struct parser *ps, const char *what)
{
	return cm_trace_fail(ps->trace, CM_REASON_LDIF_MALFORMED, "%s:%zu: %s",
	    ps->name, ps->line, what);
}

void
cm_ldif_free(struct cm_ldif **l)
{
	if (*l == NULL)
		return;
	cm_buf_free(&(*l)->text);
	free((*l)->values);
	free((*l)->entry_of);
	free((*l)->entries);
	free((*l)->lines);
	free((*l)->order);
	free(*l);
	*l = NULL;
}

static void
add_value(struct parser *ps, struct cm_blob attribute, struct cm_blob value)
{
	struct cm_ldif *l = ps->ldif;

	l->values[l->count] = (struct cm_value){ attribute, value };
	l->entry_of[l->count++] = l->entry_count - 1;
	l->entries[l->entry_count - 1].count++;
}

static enum cm_err
begin_entry(struct parser *ps, struct cm_blob dn)
{
	struct cm_ldif *l = ps->ldif;

	if (dn.len == 0 || memchr(dn.ptr, '\0', dn.len) != NULL)
		return wrong(ps, "the DN is empty or holds a NUL byte");
	l->entries[l->entry_count] = (struct cm_entry){ dn, l->values + l->count, 0 };
	l->lines[l->entry_count++] = ps->line;
	ps->in_record = true;
	add_value(ps, cm_blob_str("entryDN"), dn);
	return CM_OK;
}

static enum cm_err
end_entry(struct parser *ps)
{
	const bool empty = ps->in_record && ps->ldif->entries[ps->ldif->entry_count - 1].count == 1;

	ps->in_record = false;
	return empty ? wrong(ps, "the record above has a dn and nothing else") : CM_OK;
}

/* One line of the file moved to w, its end dropped. */
static void
take_physical(struct parser *ps)
{
	uint8_t *nl = memchr(ps->p, '\n', (size_t)(ps->end - ps->p));
	uint8_t *stop = nl != NULL ? nl : ps->end;
	size_t len = (size_t)(stop - ps->p);

	if (len > 0 && ps->p[len - 1] == '\r')
		len--;
	memmove(ps->w, ps->p, len);
	ps->w += len;
	ps->p = nl != NULL ? nl + 1 : ps->end;
	ps->next_line++;
}

/* One line with its continuations, which begin with exactly one space that is dropped (note 2). */
static struct cm_blob
take_line(struct parser *ps)
{
	uint8_t *start = ps->w;

	ps->line = ps->next_line;
	take_physical(ps);
	while (ps->w > start && ps->p < ps->end && ps->p[0] == ' ') {
		ps->p++;
		take_physical(ps);
	}
	return (struct cm_blob){ start, (size_t)(ps->w - start) };
}

/* SAFE-STRING: ASCII without NUL, LF and CR, not beginning with ":" or "<" (a space was skipped). */
static bool
is_safe(struct cm_blob v)
{
	for (size_t i = 0; i < v.len; i++)
		if (v.ptr[i] == '\0' || v.ptr[i] == '\r' || v.ptr[i] >= 0x80)
			return false;
	return v.len == 0 || (v.ptr[0] != ':' && v.ptr[0] != '<');
}

/* AttributeDescription: letters, digits, "-", "." for OIDs, ";" before options. */
static bool
is_attribute(struct cm_blob a)
{
	static const char allowed[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.;";

	for (size_t i = 0; i < a.len; i++)
		if (a.ptr[i] == '\0' || strchr(allowed, a.ptr[i]) == NULL)
			return false;
	return a.len > 0 && a.ptr[0] != '-' && a.ptr[0] != ';';
}

/* "name: value" or "name:: base64" */
static enum cm_err
split(struct parser *ps, struct cm_blob line, struct cm_blob *attribute, struct cm_blob *value)
{
	const uint8_t *colon = memchr(line.ptr, ':', line.len);
	const uint8_t *p = colon != NULL ? colon + 1 : NULL, *end = line.ptr + line.len;
	const uint8_t kind = p != NULL && p < end ? *p : ' ';

	if (colon == NULL)
		return wrong(ps, "no colon; write \"attribute: value\"");
	*attribute = (struct cm_blob){ line.ptr, (size_t)(colon - line.ptr) };
	if (!is_attribute(*attribute))
		return wrong(ps, "what stands before the colon is no attribute name");
	if (kind == '<')
		return wrong(ps, "values from URLs (\":<\") are not read; write the value here");
	if (kind == ':')
		p++;
	while (p < end && *p == ' ')
		p++;
	*value = (struct cm_blob){ p, (size_t)(end - p) };
	if (kind == ':') {
		value->len = cm_base64_parse(*value, true, (uint8_t *)(uintptr_t)p);
		return value->len != SIZE_MAX ? CM_OK : wrong(ps, "not base64 (RFC 4648 section 4)");
	}
	return is_safe(*value) ? CM_OK :
	    wrong(ps, "this value needs base64 (\"attribute:: ...\"): it is not plain ASCII, "
	    "or begins with \":\" or \"<\"");
}

static enum cm_err
outside_record(struct parser *ps, struct cm_blob attribute, struct cm_blob value)
{
	const bool first = !ps->seen;

	ps->seen = true;
	if (cm_attribute_is(attribute, "dn"))
		return begin_entry(ps, value);
	if (first && cm_attribute_is(attribute, "version"))
		return cm_blob_equal(value, cm_blob_str("1")) ? CM_OK :
		    wrong(ps, "only version 1 is known");
	return wrong(ps, "a record begins with \"dn:\"");
}

static enum cm_err
in_record(struct parser *ps, struct cm_blob attribute, struct cm_blob value)
{
	if (cm_attribute_is(attribute, "dn"))
		return wrong(ps, "a second dn; put an empty line between records");
	if (cm_attribute_is(attribute, "changetype") || cm_attribute_is(attribute, "control"))
		return wrong(ps, "this is a change record; write the entry itself");
	add_value(ps, attribute, value);
	return CM_OK;
}

static enum cm_err
read_line(struct parser *ps)
{
	struct cm_blob attribute, value, line;
	enum cm_err err;

	if (ps->p[0] == ' ') {
		ps->line = ps->next_line;
		return wrong(ps, "a line that begins with a space continues the one above, "
		    "and there is none");
	}
	line = take_line(ps);
	if (line.len == 0)
		return end_entry(ps);
	if (line.ptr[0] == '#')
		return CM_OK;
	if ((err = split(ps, line, &attribute, &value)) != CM_OK)
		return err;
	return ps->in_record ? in_record(ps, attribute, value) :
	    outside_record(ps, attribute, value);
}

/* A line makes one value or one entry at most, so the number of lines is room enough. */
static enum cm_err
make_room(struct cm_ldif *l)
{
	size_t lines = 1;

	for (size_t i = 0; i < l->text.len; i++)
		lines += l->text.ptr[i] == '\n';
	l->values = calloc(lines, sizeof(*l->values));
	l->entry_of = calloc(lines, sizeof(*l->entry_of));
	l->entries = calloc(lines, sizeof(*l->entries));
	l->lines = calloc(lines, sizeof(*l->lines));
	return l->values != NULL && l->entry_of != NULL && l->entries != NULL &&
	    l->lines != NULL ? CM_OK : CM_ERR_NOMEM;
}

enum cm_err
cm_ldif_parse(struct cm_buf *text, const char *name, struct cm_trace *t, struct cm_ldif **out)
{
	struct cm_ldif *l = calloc(1, sizeof(*l));
	struct parser ps = { .name = name, .trace = t, .ldif = l, .next_line = 1 };
	enum cm_err err = CM_ERR_NOMEM;

	if (l == NULL)
		goto out;
	l->text = *text;
	*text = (struct cm_buf){ .max = text->max };
	if ((err = make_room(l)) != CM_OK)
		goto out;
	ps.p = ps.w = l->text.ptr;
	ps.end = ps.p + l->text.len;
	while (err == CM_OK && ps.p < ps.end)
		err = read_line(&ps);
	if (err != CM_OK || (err = end_entry(&ps)) != CM_OK ||
	    (err = cm_ldif_index(l, name, t)) != CM_OK)
		goto out;
	*out = l;
	l = NULL;
out:
	cm_ldif_free(&l);
	return err;
}
