/* mapper/template.c - templates: fixed text with {name.part[index]!conversion} in it. */
#include "mapper/fields_internal.h"

#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* What is being parsed, and where the first mistake is told. */
struct parser {
	const char *text;
	enum cm_dialect dialect;
	struct cm_template *out;
	struct cm_syntax *why;
};

static enum cm_err wrong(struct parser *p, const char *at, const char *fmt, ...) CM_PRINTF(3, 4);

static enum cm_err
wrong(struct parser *p, const char *at, const char *fmt, ...)
{
	va_list args;

	p->why->column = (size_t)(at - p->text) + 1;
	va_start(args, fmt);
	(void)vsnprintf(p->why->what, sizeof(p->why->what), fmt, args);
	va_end(args);
	return CM_ERR_SYNTAX;
}

static bool
known(unsigned dialects, const struct parser *p)
{
	return (dialects & 1u << p->dialect) != 0;
}

static bool
same(struct cm_blob word, const char *name, bool any_case)
{
	return strlen(name) == word.len &&
	    (any_case ? strncasecmp : strncmp)(name, (const char *)word.ptr, word.len) == 0;
}

/* "_ucr": which letters, or false when there is another. */
static bool
hex_flags(struct cm_blob letters, unsigned *flags)
{
	for (size_t i = 0; i < letters.len; i++)
		switch (letters.ptr[i] | 0x20) {
		case 'u': *flags |= CM_HEX_UPPER; break;
		case 'c': *flags |= CM_HEX_COLONS; break;
		case 'r': *flags |= CM_HEX_REVERSED; break;
		default: return false;
		}
	return true;
}

/* Is word this conversion?  With hexadecimal ones, letters may follow its name. */
static bool
is_conversion(const struct cm_conversion *conv, struct cm_blob word, unsigned *flags)
{
	const uint8_t *sep;
	struct cm_blob letters;

	if (same(word, conv->name, (conv->traits & CM_CONVERSION_ANY_CASE) != 0))
		return true;
	if ((conv->traits & CM_CONVERSION_HEX) == 0 || word.len == 0 ||
	    (sep = memchr(word.ptr, '_', word.len)) == NULL)
		return false;
	letters = (struct cm_blob){ sep + 1, (size_t)(word.ptr + word.len - sep - 1) };
	word.len = (size_t)(sep - word.ptr);
	return same(word, conv->name, true) && hex_flags(letters, flags);
}

/* The first of the field's conversions is its default. */
static enum cm_err
parse_conversion(struct parser *p, struct cm_blob word, struct cm_field_ref *ref)
{
	const struct cm_conversion *conv = ref->field->conversions;
	char names[100] = "";
	size_t len = 0;

	while (conv != NULL && conv->name != NULL && !known(conv->dialects, p))
		conv++;
	ref->conversion = conv != NULL && conv->name != NULL ? conv : NULL;
	if (word.len == 0)
		return CM_OK;
	for (; conv != NULL && conv->name != NULL; conv++) {
		if (!known(conv->dialects, p) || *conv->name == '\0')
			continue;
		if (is_conversion(conv, word, &ref->flags)) {
			ref->conversion = conv;
			return CM_OK;
		}
		ref->flags &= ~(CM_HEX_UPPER | CM_HEX_COLONS | CM_HEX_REVERSED);
		if (len < sizeof(names))
			len += (size_t)snprintf(names + len, sizeof(names) - len, " %s", conv->name);
	}
	if (len == 0)
		return wrong(p, (const char *)word.ptr, "%s has no conversions", ref->field->name);
	return wrong(p, (const char *)word.ptr, "unknown conversion; expected one of%s%s", names,
	    len >= sizeof(names) ? "..." : "");
}

static enum cm_err
keep_part(struct cm_blob word, struct cm_field_ref *ref)
{
	ref->part = strndup((const char *)word.ptr, word.len);
	return ref->part != NULL ? CM_OK : CM_ERR_NOMEM;
}

/*
 * "[2]", "[-1]" at the end of *word, which is cut before it: a number that is
 * not 0, read as strtol() does.
 */
static enum cm_err
parse_index(struct parser *p, struct cm_blob *word, struct cm_field_ref *ref)
{
	const uint8_t *open = word->len > 0 ? memchr(word->ptr, '[', word->len) : NULL;
	const uint8_t *end = word->ptr + word->len;
	char *stop;
	long n;

	if (open == NULL)
		return CM_OK;
	n = strtol((const char *)open + 1, &stop, 10);	/* the rule's text goes on to its NUL */
	if ((const uint8_t *)stop != end - 1 || *stop != ']' || n == 0 || n > INT32_MAX || n <= INT32_MIN)
		return wrong(p, (const char *)open, "expected [N], a number other than 0");
	word->len = (size_t)(open - word->ptr);
	ref->index = (int)n;
	return CM_OK;
}

static bool
takes_any_part(const struct cm_rule_field *f)
{
	return f->parts != NULL && strcmp(f->parts[0].name, CM_PART_ANY) == 0;
}

static enum cm_err
parse_part(struct parser *p, struct cm_blob word, struct cm_field_ref *ref)
{
	const struct cm_field_part *part = ref->field->parts;
	char names[60] = "";
	enum cm_err err;
	size_t len = 0;

	if (takes_any_part(ref->field) && (err = parse_index(p, &word, ref)) != CM_OK)
		return err;
	if (word.len == 0)
		return CM_OK;
	for (; part != NULL && part->name != NULL; part++) {
		if (!known(part->dialects, p))
			continue;
		if (takes_any_part(ref->field) || same(word, part->name, false))
			return keep_part(word, ref);
		if (len < sizeof(names))
			len += (size_t)snprintf(names + len, sizeof(names) - len, " .%s", part->name);
	}
	if (len == 0)
		return wrong(p, (const char *)word.ptr, "%s has no parts", ref->field->name);
	return wrong(p, (const char *)word.ptr, "unknown part; expected one of%s", names);
}

/* Cut *rest at the first c: what stands before it is returned, *rest is what follows. */
static struct cm_blob
cut(struct cm_blob *rest, char c)
{
	const uint8_t *at = rest->len > 0 ? memchr(rest->ptr, c, rest->len) : NULL;
	struct cm_blob before = *rest;

	if (at == NULL) {
		*rest = (struct cm_blob){ rest->ptr + rest->len, 0 };
		return before;
	}
	before.len = (size_t)(at - rest->ptr);
	*rest = (struct cm_blob){ at + 1, rest->len - before.len - 1 };
	return before;
}

static enum cm_err
parse_name(struct parser *p, struct cm_blob name, struct cm_field_ref *ref)
{
	enum cm_err err;

	if (p->dialect == CM_DIALECT_OWN && (err = parse_index(p, &name, ref)) != CM_OK)
		return err;
	if (name.len == 0)
		return wrong(p, (const char *)name.ptr, "expected the name of a field");
	if ((ref->field = cm_field_find(name, p->dialect)) == NULL)
		return wrong(p, (const char *)name.ptr, "unknown field \"%.*s\"; cardmap-rules(5) "
		    "lists them", (int)(name.len < 60 ? name.len : 60),
		    (const char *)name.ptr);
	if (!takes_any_part(ref->field) && (ref->index < 0 || ref->index > ref->field->max_index))
		return wrong(p, (const char *)name.ptr, "%s has no [%d]", ref->field->name, ref->index);
	p->out->binds |= ref->field->binds;
	return CM_OK;
}

/* EVP_Digest() would look it up for each certificate.  One that is switched off (FIPS) stays NULL. */
static void
fetch_digest(struct cm_field_ref *ref)
{
	if (ref->conversion == NULL || ref->conversion->digest == NULL)
		return;
	ref->md = EVP_MD_fetch(NULL, EVP_MD_get0_name(ref->conversion->digest()), NULL);
	ERR_clear_error();
}

/* What stands between { and }: name, then part, then conversion; the last two may be missing or empty. */
static enum cm_err
parse_ref(struct parser *p, struct cm_blob inside, struct cm_field_ref *ref)
{
	struct cm_blob rest = inside, conversion, part;
	const struct cm_blob before = cut(&rest, '!');
	struct cm_blob name;
	enum cm_err err;

	conversion = rest;
	part = before;
	name = cut(&part, '.');
	if (memchr(part.ptr, '.', part.len) != NULL)
		return wrong(p, (const char *)part.ptr, "a field has one part");
	if (memchr(conversion.ptr, '!', conversion.len) != NULL ||
	    memchr(conversion.ptr, '.', conversion.len) != NULL)
		return wrong(p, (const char *)conversion.ptr, "expected one conversion, and it comes last");
	if (p->dialect != CM_DIALECT_OWN)
		ref->flags = CM_REF_SSS;
	if ((err = parse_name(p, name, ref)) != CM_OK || (err = parse_part(p, part, ref)) != CM_OK)
		return err;
	if ((err = parse_conversion(p, conversion, ref)) == CM_OK)
		fetch_digest(ref);
	return err;
}

/* The field that begins behind the { at *at; *at moves past its }. */
static enum cm_err
add_field(struct parser *p, const char **at)
{
	const char *start = *at + 1, *end = start + strcspn(start, "{}");
	struct cm_segment *s = &p->out->segments[p->out->count];

	if (*end != '}')
		return wrong(p, *end == '{' ? end : *at, *end == '{' ? "no { within a field" :
		    "this { has no }");
	if (end[1] == '}')
		return wrong(p, end, "}} where a field ends: expected one }");
	*at = end + 1;
	p->out->count++;
	return parse_ref(p, (struct cm_blob){ (const uint8_t *)start, (size_t)(end - start) }, &s->ref);
}

/* Fixed text up to the next field; {{ and }} are one brace. */
static enum cm_err
add_literal(struct parser *p, const char **at)
{
	struct cm_segment *s = &p->out->segments[p->out->count];
	uint8_t *to = malloc(strlen(*at) + 1);
	size_t len = 0;

	if (to == NULL)
		return CM_ERR_NOMEM;
	s->literal.ptr = to;
	p->out->count++;
	while (**at != '\0' && (**at != '{' || (*at)[1] == '{')) {
		if (**at == '}' && (*at)[1] != '}')
			return wrong(p, *at, "this } has no {; write }} for the character");
		to[len++] = (uint8_t)**at;
		*at += **at == '{' || **at == '}' ? 2 : 1;
	}
	s->literal.len = len;
	return CM_OK;
}

static enum cm_err
parse(struct parser *p)
{
	const char *at = p->text;
	enum cm_err err = CM_OK;
	size_t fields = 0;

	while (err == CM_OK && *at != '\0') {
		const bool field = *at == '{' && at[1] != '{';

		err = field ? add_field(p, &at) : add_literal(p, &at);
		fields += field;
	}
	if (err == CM_OK && fields == 0)
		err = wrong(p, p->text, "it names no field: every certificate would make the same value");
	return err;
}

/* sss-certmap(5), TYPE: capital letters and digits up to the first colon. */
const char *
cm_template_prefix(const char *rule, enum cm_dialect *dialect)
{
	const size_t len = strspn(rule, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");

	if (rule[len] != ':')
		return rule;
	if (len == 4 && strncmp(rule, "LDAP", len) == 0)
		*dialect = CM_DIALECT_LDAP;
	else if (len == 6 && strncmp(rule, "LDAPU1", len) == 0)
		*dialect = CM_DIALECT_LDAPU1;
	else if (len > 0)
		return NULL;
	return rule + len + 1;
}

enum cm_err
cm_template_parse(const char *text, enum cm_dialect dialect, bool escape,
    struct cm_template *out, struct cm_syntax *why)
{
	struct parser p = { .text = text, .dialect = dialect, .out = out, .why = why };
	size_t braces = 0;
	enum cm_err err;

	*out = (struct cm_template){ .escape = escape, .dialect = dialect };
	*why = (struct cm_syntax){ .column = 0 };
	if (strnlen(text, CM_FORMAT_MAX + 1) > CM_FORMAT_MAX)
		return wrong(&p, text, "longer than %d bytes", CM_FORMAT_MAX);
	for (const char *s = text; (s = strchr(s, '{')) != NULL; s++)
		braces++;
	/* Between two fields stands at most one literal. */
	if ((out->segments = calloc(2 * braces + 1, sizeof(*out->segments))) == NULL)
		return CM_ERR_NOMEM;
	if ((err = parse(&p)) != CM_OK)
		cm_template_clear(out);
	return err;
}

enum cm_err
cm_template_constant(const char *text, bool escape, struct cm_template *out)
{
	uint8_t *copy = (uint8_t *)strdup(text);

	*out = (struct cm_template){ .escape = escape };
	if (copy == NULL || (out->segments = calloc(1, sizeof(*out->segments))) == NULL) {
		free(copy);
		return CM_ERR_NOMEM;
	}
	out->segments[out->count++].literal = (struct cm_blob){ copy, strlen(text) };
	return CM_OK;
}

void
cm_template_clear(struct cm_template *tp)
{
	for (size_t i = 0; i < tp->count; i++) {
		cm_blob_free(&tp->segments[i].literal);
		free(tp->segments[i].ref.part);
		EVP_MD_free(tp->segments[i].ref.md);
	}
	free(tp->segments);
	*tp = (struct cm_template){ .count = 0 };
}

/* RFC 4515 section 3: these must be escaped, and octets above 0x7F are too (query.c says why). */
static bool
must_escape(uint8_t c)
{
	return c == '\0' || c == '(' || c == ')' || c == '*' || c == '\\' || c >= 0x80;
}

/*
 * libsss_certmap leaves octets above 0x7F as they are, and escapes white space
 * besides.
 */
static bool
must_escape_sss(uint8_t c)
{
	return c == '\0' || c == '(' || c == ')' || c == '*' || c == '\\' || c == ' ' || c == '\t' ||
	    c == '\r' || c == '\n';
}

/* "\xx" in the three octets that end before end; where they begin. */
static uint8_t *
put_escaped(uint8_t c, uint8_t *end)
{
	static const char digits[] = "0123456789abcdef";

	*--end = (uint8_t)digits[c & 15];
	*--end = (uint8_t)digits[c >> 4];
	*--end = '\\';
	return end;
}

/* Escape what stands in out from start on, in place, from its end. */
static void
escape_from(struct cm_buf *out, size_t start, bool (*must)(uint8_t))
{
	size_t count = 0, from = out->len;
	uint8_t *to;

	for (size_t i = start; i < from; i++)
		count += must(out->ptr[i]);
	if (count == 0 || (to = cm_buf_extend(out, 2 * count)) == NULL)
		return;
	for (to += 2 * count; from > start;) {
		const uint8_t c = out->ptr[--from];

		if (must(c))
			to = put_escaped(c, to);
		else
			*--to = c;
	}
}

static void
escape_every(struct cm_buf *out, size_t start)
{
	const size_t len = out->len - start;
	uint8_t *to = cm_buf_extend(out, 2 * len);

	if (to == NULL)
		return;
	to += 2 * len;
	for (size_t from = start + len; from > start;)
		to = put_escaped(out->ptr[--from], to);
}

/* Append one field's value, whole and escaped. */
static enum cm_err
write_field(const struct cm_template *tp, const struct cm_field_ref *ref, const struct cm_cert *c,
    struct cm_buf *out)
{
	const unsigned traits = ref->conversion != NULL ? ref->conversion->traits : 0;
	const size_t start = out->len;
	enum cm_err err;

	if ((err = ref->field->write(c, ref, out)) != CM_OK)
		return err;
	if (cm_buf_status(out) != CM_OK)
		return cm_buf_status(out);
	if (out->len == start)
		return CM_ERR_ABSENT;
	if ((traits & CM_CONVERSION_OCTETS) == 0 && memchr(out->ptr + start, '\0', out->len - start) != NULL)
		return CM_ERR_SYNTAX;
	if (tp->escape && (traits & CM_CONVERSION_EVERY) != 0)
		escape_every(out, start);
	else if (tp->escape)
		escape_from(out, start, tp->dialect == CM_DIALECT_OWN ? must_escape : must_escape_sss);
	return cm_buf_status(out);
}

enum cm_err
cm_template_write(const struct cm_template *tp, const struct cm_cert *c, struct cm_buf *out,
    const struct cm_segment **missing)
{
	const struct cm_segment *s = NULL;
	const size_t start = out->len;
	enum cm_err err = cm_buf_status(out);
	bool full;

	for (size_t i = 0; err == CM_OK && i < tp->count; i++) {
		s = &tp->segments[i];
		if (s->ref.field != NULL) {
			err = write_field(tp, &s->ref, c, out);
		} else {
			cm_buf_add_blob(out, s->literal);
			err = cm_buf_status(out);
		}
	}
	full = cm_buf_status(out) != CM_OK;
	if (err != CM_OK)
		cm_buf_truncate(out, start);
	if (missing != NULL)
		*missing = err != CM_OK && !full ? s : NULL;
	return err;
}
