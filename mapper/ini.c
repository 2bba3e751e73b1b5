/*
 * mapper/ini.c - sections and keys, read as SSSD has libini_config read them.
 *
 *	line    = section | key | comment
 *	section = "[" NAME "]"		in the first column
 *	key     = NAME "=" VALUE	white space around both is nothing
 *	comment = what begins with ";", "#" or "//" in the first column; lines of
 *	          white space; from a line that begins with a slash and a star to
 *	          one that ends with a star and a slash
 *
 * No value goes on in the next line (INI_PARSE_NOWRAP).  Sections of one name
 * are one, and of keys of one name the last counts (INI_MV1S_OVERWRITE).  An
 * empty value is as none.  Any other line is an error, as there.
 */
#include "mapper/ini_internal.h"

#include <stdlib.h>
#include <strings.h>

#include "mapper/import.h"

struct reading {
	const char *name;
	struct cm_trace *trace;
	struct cm_ini *out;
	struct cm_ini_section *section;	/* the last one begun; NULL: keys before any are nobody's */
	size_t headers;
	int line;
	bool comment;			/* inside one of several lines */
};

/* [*p, *end) without white space at both ends. */
static void
trim(const char **p, const char **end)
{
	while (*p < *end && cm_is_space((uint8_t)**p))
		++*p;
	while (*end > *p && cm_is_space((uint8_t)(*end)[-1]))
		--*end;
}

/* Of fewer than least bytes no line ends a comment, as there: a star and a slash alone do not. */
static bool
ends_comment(const char *p, const char *end, ptrdiff_t least)
{
	const char *start = p;

	trim(&start, &end);
	return end - p >= least && end[-2] == '*' && end[-1] == '/';
}

/* Comments begin in the first column, and those of several lines end with one. */
static bool
is_comment(struct reading *r, const char *p, const char *end)
{
	const char *start = p, *stop = end;

	if (r->comment) {
		r->comment = !ends_comment(p, end, 3);
		return true;
	}
	trim(&start, &stop);
	if (start == stop || *p == ';' || *p == '#' || (end - p >= 2 && p[0] == '/' && p[1] == '/'))
		return true;
	if (end - p < 2 || p[0] != '/' || p[1] != '*')
		return false;
	r->comment = !ends_comment(p, end, 4);
	return true;
}

static struct cm_ini_section *
find_section(const struct cm_ini *i, const char *name)
{
	for (size_t k = 0; k < i->count; k++)
		if (strcasecmp(i->sections[k].name, name) == 0)
			return &i->sections[k];
	return NULL;
}

static enum cm_err
begin_section(struct reading *r, char *name)
{
	struct cm_ini *i = r->out;
	struct cm_ini_section *more;

	if ((r->section = find_section(i, name)) != NULL) {
		free(name);
		return CM_OK;
	}
	if ((more = realloc(i->sections, (i->count + 1) * sizeof(*more))) == NULL) {
		free(name);
		return CM_ERR_NOMEM;
	}
	i->sections = more;
	r->section = &more[i->count++];
	*r->section = (struct cm_ini_section){ .name = name, .line = r->line };
	return CM_OK;
}

static enum cm_err
read_header(struct reading *r, const char *p, const char *end)
{
	char *name;

	trim(&p, &end);
	p++;
	if (end[-1] != ']' || end <= p)
		return cm_import_fail(r->name, r->line, r->trace, "a section's name has no \"]\" behind it; close it");
	end--;
	trim(&p, &end);
	if (p == end)
		return cm_import_fail(r->name, r->line, r->trace, "a section has no name; write [NAME]");
	if (r->headers++ == CM_INI_SECTIONS_MAX)
		return cm_import_fail(r->name, r->line, r->trace, "more than %d sections; remove some",
		    CM_INI_SECTIONS_MAX);
	name = strndup(p, (size_t)(end - p));
	return name != NULL ? begin_section(r, name) : CM_ERR_NOMEM;
}

static struct cm_ini_key *
find_key(const struct cm_ini_section *s, const char *name)
{
	for (size_t k = 0; k < s->count; k++)
		if (strcasecmp(s->keys[k].name, name) == 0)
			return &s->keys[k];
	return NULL;
}

/* name and value are the section's from here on. */
static enum cm_err
set_key(struct reading *r, char *name, char *value)
{
	struct cm_ini_section *s = r->section;
	struct cm_ini_key *k = NULL, *more;

	if (name == NULL || value == NULL)
		goto fail;
	if ((k = find_key(s, name)) == NULL) {
		if ((more = realloc(s->keys, (s->count + 1) * sizeof(*more))) == NULL)
			goto fail;
		s->keys = more;
		k = &more[s->count++];
		*k = (struct cm_ini_key){ .name = NULL };
	}
	free(k->name);
	free(k->value);
	*k = (struct cm_ini_key){ .name = name, .value = value, .line = r->line };
	return CM_OK;
fail:
	free(name);
	free(value);
	return CM_ERR_NOMEM;
}

static enum cm_err
read_pair(struct reading *r, const char *p, const char *end)
{
	const char *equals, *key_end, *value;

	trim(&p, &end);
	if ((equals = memchr(p, '=', (size_t)(end - p))) == NULL)
		return cm_import_fail(r->name, r->line, r->trace, "neither section, key nor comment; write "
		    "KEY = VALUE on one line (comments begin in the first column)");
	key_end = equals;
	value = equals + 1;
	trim(&p, &key_end);
	trim(&value, &end);
	if (p == key_end)
		return cm_import_fail(r->name, r->line, r->trace, "no key before \"=\"; write KEY = VALUE");
	if (r->out->key_count++ == CM_INI_KEYS_MAX)
		return cm_import_fail(r->name, r->line, r->trace, "more than %d keys; remove some", CM_INI_KEYS_MAX);
	if (r->section == NULL)
		return CM_OK;
	return set_key(r, strndup(p, (size_t)(key_end - p)), strndup(value, (size_t)(end - value)));
}

static enum cm_err
read_line(struct reading *r, const char *p, const char *end)
{
	if (is_comment(r, p, end))
		return CM_OK;
	return *p == '[' ? read_header(r, p, end) : read_pair(r, p, end);
}

static enum cm_err
read_lines(struct reading *r, struct cm_blob bytes)
{
	const char *p = (const char *)bytes.ptr, *end = p + bytes.len;
	enum cm_err err = CM_OK;

	if (bytes.len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0)
		p += 3;
	while (err == CM_OK && p < end) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));
		const char *stop = newline != NULL ? newline : end;

		r->line++;
		err = read_line(r, p, stop);
		p = stop + 1;
	}
	if (err == CM_OK && r->comment)
		err = cm_import_fail(r->name, r->line, r->trace, "a comment is not closed; end its last line with */");
	return err;
}

enum cm_err
cm_ini_read(struct cm_blob bytes, const char *name, struct cm_trace *t, struct cm_ini *out)
{
	struct reading r = { .name = name, .trace = t, .out = out };
	enum cm_err err;

	*out = (struct cm_ini){ .count = 0 };
	if (bytes.len == 0)
		return CM_OK;
	if (bytes.len > CM_INI_MAX)
		return cm_import_fail(name, 0, t, "larger than %zu bytes", CM_INI_MAX);
	if (memchr(bytes.ptr, '\0', bytes.len) != NULL)
		return cm_import_fail(name, 0, t, "holds a NUL byte: it is not text");
	if ((err = read_lines(&r, bytes)) != CM_OK)
		cm_ini_clear(out);
	return err;
}

void
cm_ini_clear(struct cm_ini *i)
{
	for (size_t k = 0; k < i->count; k++) {
		struct cm_ini_section *s = &i->sections[k];

		for (size_t n = 0; n < s->count; n++) {
			free(s->keys[n].name);
			free(s->keys[n].value);
		}
		free(s->keys);
		free(s->name);
	}
	free(i->sections);
	*i = (struct cm_ini){ .count = 0 };
}

const struct cm_ini_section *
cm_ini_section(const struct cm_ini *i, const char *name)
{
	return find_section(i, name);
}

const struct cm_ini_key *
cm_ini_key(const struct cm_ini_section *s, const char *name)
{
	const struct cm_ini_key *k = s != NULL ? find_key(s, name) : NULL;

	return k != NULL && k->value[0] != '\0' ? k : NULL;
}
