/* ldap/filter.c - read a search filter (RFC 4515) into its parts. */
#include "ldap/filter_internal.h"

#include <stdlib.h>
#include <string.h>

/* Most "*" in one filter. */
#define STARS_MAX	256

struct parser {
	struct cm_filter *f;
	uint8_t *at, *end;	/* in f->store: what is not yet read */
	size_t depth;
	struct cm_filter_mistake *mistake;
};

static enum cm_err
wrong(const struct parser *p, const uint8_t *at, const char *what)
{
	p->mistake->column = (size_t)(at - (const uint8_t *)p->f->store) + 1;
	p->mistake->what = what;
	return CM_ERR_SYNTAX;
}

/* The byte to be read next; 0 at the end (a NUL in the text was refused before). */
static uint8_t
peek(const struct parser *p)
{
	return p->at < p->end ? *p->at : 0;
}

/* Between parts, and nowhere else: inside one they belong to a value. */
static void
skip_spaces(struct parser *p)
{
	while (peek(p) == ' ' || peek(p) == '\t' || peek(p) == '\n')
		p->at++;
}

/* valueencoding: unescape from..to over itself. */
static enum cm_err
unescape(const struct parser *p, uint8_t *from, const uint8_t *to, struct cm_blob *out)
{
	uint8_t *w = from, byte = 0;

	*out = (struct cm_blob){ from, 0 };
	for (const uint8_t *r = from; r < to;) {
		if (*r == '*')
			return wrong(p, r, "\"*\" in a value: write \\2a");
		if (*r != '\\') {
			*w++ = *r++;
			continue;
		}
		if (to - r < 3 || cm_hex_parse((struct cm_blob){ r + 1, 2 }, &byte, 1) != 2)
			return wrong(p, r, "\"\\\" without two hex digits behind it: write \\5c");
		*w++ = byte;
		r += 3;
	}
	out->len = (size_t)(w - from);
	return CM_OK;
}

static bool
is_name_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
	    c == '.';
}

/* A name or OID (RFC 4512 section 1.4), and where options may follow, them; NULL: none is there. */
static char *
take_name(struct parser *p, bool options)
{
	uint8_t *start = p->at;

	if (!is_name_byte(peek(p)) || *start == '-' || *start == '.')
		return NULL;
	while (is_name_byte(peek(p)) || (options && peek(p) == ';' && is_name_byte(p->at[1])))
		p->at++;	/* no option is empty; a NUL ends the store */
	return (char *)start;
}

/* What ends the name behind it; the name becomes a string. */
static bool
take_mark(struct parser *p, const char *mark)
{
	const size_t len = strlen(mark);

	if ((size_t)(p->end - p->at) < len || memcmp(p->at, mark, len) != 0)
		return false;
	*p->at = '\0';
	p->at += len;
	return true;
}

/* To the ")" that ends the part; a value holds no parenthesis itself. */
static enum cm_err
value_end(struct parser *p, uint8_t **end)
{
	uint8_t *q = p->at;

	while (q < p->end && *q != '(' && *q != ')')
		q++;
	if (q == p->end)
		return wrong(p, q, "the end, where \")\" was expected");
	if (*q == '(')
		return wrong(p, q, "\"(\" in a value: write \\28");
	*end = q;
	return CM_OK;
}

/* initial*any*...*final; only the first and the last piece may be empty. */
static enum cm_err
take_pieces(struct parser *p, struct cm_filter_node *n, uint8_t *end)
{
	uint8_t *start = p->at;
	enum cm_err err;

	n->pieces = p->f->pieces + p->f->piece_count;
	for (uint8_t *q = start; q <= end; q++) {
		if (q < end && *q != '*')
			continue;
		if (q == start && q < end && n->piece_count > 0)
			return wrong(p, q, "\"**\": write one \"*\"");
		if ((err = unescape(p, start, q, &p->f->pieces[p->f->piece_count])) != CM_OK)
			return err;
		p->f->piece_count++;
		n->piece_count++;
		start = q + 1;
	}
	return CM_OK;
}

static enum cm_err
take_value(struct parser *p, struct cm_filter_node *n)
{
	uint8_t *end;
	enum cm_err err;

	if ((err = value_end(p, &end)) != CM_OK)
		return err;
	if (!cm_filter_is(n, CM_FILTER_EQUAL) || memchr(p->at, '*', (size_t)(end - p->at)) == NULL) {
		err = unescape(p, p->at, end, &n->value);
	} else if (end - p->at == 1) {
		n->kind = cm_filter_kind(CM_FILTER_PRESENT);
	} else {
		n->kind = cm_filter_kind(CM_FILTER_SUBSTRINGS);
		err = take_pieces(p, n, end);
	}
	p->at = end;
	return err;
}

/* Behind "attribute:", or behind ":" without one: [dn:][rule:]= with at least one of attribute and rule. */
static enum cm_err
take_extensible(struct parser *p, struct cm_filter_node *n)
{
	n->kind = cm_filter_kind(CM_FILTER_EXTENSIBLE);
	if (p->end - p->at >= 3 && (p->at[0] | 0x20) == 'd' && (p->at[1] | 0x20) == 'n' && p->at[2] == ':') {
		n->dn = true;
		p->at += 3;
	}
	if (peek(p) != '=') {
		if ((n->rule = take_name(p, false)) == NULL)
			return wrong(p, p->at, "no matching rule, where one was expected");
		if (!take_mark(p, ":"))
			return wrong(p, p->at, "no \":=\" behind the matching rule");
	}
	if (n->rule[0] == '\0' && n->attribute[0] == '\0')
		return wrong(p, p->at, "neither attribute nor matching rule");
	if (peek(p) != '=')
		return wrong(p, p->at, "no \":=\" behind the matching rule");
	p->at++;
	return take_value(p, n);
}

static enum cm_err
take_item(struct parser *p, struct cm_filter_node *n)
{
	static const struct { const char *mark; enum cm_filter_form form; } marks[] = {
		{ "=", CM_FILTER_EQUAL }, { ">=", CM_FILTER_GREATER }, { "<=", CM_FILTER_LESS },
		{ "~=", CM_FILTER_APPROXIMATE },
	};

	if (peek(p) == ':') {
		p->at++;
		return take_extensible(p, n);
	}
	if ((n->attribute = take_name(p, true)) == NULL) {
		n->attribute = "";
		return wrong(p, p->at, "no attribute name, where one was expected");
	}
	if (take_mark(p, ":"))
		return take_extensible(p, n);
	for (size_t i = 0; i < CM_COUNT(marks); i++)
		if (take_mark(p, marks[i].mark)) {
			n->kind = cm_filter_kind(marks[i].form);
			return take_value(p, n);
		}
	return wrong(p, p->at, "no \"=\", \">=\", \"<=\", \"~=\" or \":\" behind the attribute name");
}

static enum cm_err take_filter(struct parser *p);

static enum cm_err
take_list(struct parser *p, enum cm_filter_form form)
{
	enum cm_err err;
	size_t n = 0;

	p->at++;
	for (skip_spaces(p); peek(p) == '('; n++) {
		if ((err = take_filter(p)) != CM_OK)
			return err;
		if (form != CM_FILTER_NOT)	/* libldap, which sends it, takes none there */
			skip_spaces(p);
	}
	if (n == 0)
		return wrong(p, p->at, "nothing in the list, where \"(\" was expected");
	if (form == CM_FILTER_NOT && n > 1)
		return wrong(p, p->at, "\"!\" takes one part: write (!(|...)) or (!(&...))");
	return CM_OK;
}

static enum cm_err
take_content(struct parser *p, struct cm_filter_node *n)
{
	static const char lists[] = { [CM_FILTER_AND] = '&', [CM_FILTER_OR] = '|', [CM_FILTER_NOT] = '!' };

	for (size_t i = 0; i < CM_COUNT(lists); i++)
		if (peek(p) == (uint8_t)lists[i]) {
			n->kind = cm_filter_kind((enum cm_filter_form)i);
			return take_list(p, (enum cm_filter_form)i);
		}
	return take_item(p, n);
}

/* filter = "(" filtercomp ")" */
static enum cm_err
take_filter(struct parser *p)
{
	struct cm_filter_node *n = &p->f->nodes[p->f->count];
	const uint8_t *start = p->at;
	enum cm_err err;

	if (peek(p) != '(')
		return wrong(p, p->at, "\"(\" was expected");
	if (p->f->count == CM_FILTER_NODES)
		return wrong(p, p->at, "too many parts");
	if (p->depth == CM_FILTER_DEPTH)
		return wrong(p, p->at, "too many parts inside of each other");
	*n = (struct cm_filter_node){ .attribute = "", .rule = "" };
	p->f->count++;
	p->depth++;
	p->at++;
	skip_spaces(p);
	if ((err = take_content(p, n)) != CM_OK)
		return err;
	if (peek(p) != ')')
		return wrong(p, p->at, "\")\" was expected");
	p->at++;
	p->depth--;
	n->end = p->f->count;
	n->text = (struct cm_blob){ (const uint8_t *)p->f->text + (start - (const uint8_t *)p->f->store),
	    (size_t)(p->at - start) };
	return CM_OK;
}

/* The text twice, one to keep and one to unescape in; room for as many parts as there can be. */
static enum cm_err
make_room(struct cm_filter *f, struct cm_blob text, size_t stars)
{
	size_t nodes = 1;

	for (size_t i = 0; i < text.len; i++)
		nodes += text.ptr[i] == '(';
	f->text = strndup((const char *)text.ptr, text.len);
	f->store = strndup((const char *)text.ptr, text.len);
	f->pieces = calloc(2 * stars + 1, sizeof(*f->pieces));
	f->nodes = calloc(nodes <= CM_FILTER_NODES ? nodes : CM_FILTER_NODES + 1, sizeof(*f->nodes));
	return f->text != NULL && f->store != NULL && f->pieces != NULL && f->nodes != NULL ?
	    CM_OK : CM_ERR_NOMEM;
}

static enum cm_err
check_text(struct cm_blob text, struct cm_filter_mistake *m, size_t *stars)
{
	const uint8_t *nul = text.len > 0 ? memchr(text.ptr, '\0', text.len) : NULL;

	*stars = 0;
	for (size_t i = 0; i < text.len; i++)
		*stars += text.ptr[i] == '*';
	*m = (struct cm_filter_mistake){ 1, text.len == 0 ? "there is no filter" :
	    text.len > CM_FILTER_MAX ? "the filter is too long" :
	    *stars > STARS_MAX ? "too many \"*\"" : NULL };
	if (m->what == NULL && nul != NULL)
		*m = (struct cm_filter_mistake){ (size_t)(nul - text.ptr) + 1, "a NUL byte: write \\00" };
	return m->what == NULL ? CM_OK : CM_ERR_SYNTAX;
}

enum cm_err
cm_filter_parse(struct cm_blob text, struct cm_filter_mistake *m, struct cm_filter **out)
{
	struct cm_filter *f = NULL;
	struct parser p = { .mistake = m };
	enum cm_err err;
	size_t stars;

	if ((err = check_text(text, m, &stars)) != CM_OK)
		return err;
	if ((f = calloc(1, sizeof(*f))) == NULL)
		return CM_ERR_NOMEM;
	if ((err = make_room(f, text, stars)) != CM_OK)
		goto out;
	p.f = f;
	p.at = (uint8_t *)f->store;
	p.end = p.at + text.len;
	skip_spaces(&p);
	if ((err = take_filter(&p)) != CM_OK)
		goto out;
	skip_spaces(&p);
	if (p.at < p.end) {
		err = wrong(&p, p.at, "something behind the filter's end");
		goto out;
	}
	*out = f;
	f = NULL;
out:
	cm_filter_free(&f);
	return err;
}

void
cm_filter_free(struct cm_filter **f)
{
	if (*f == NULL)
		return;
	free((*f)->text);
	free((*f)->store);
	free((*f)->pieces);
	free((*f)->nodes);
	free(*f);
	*f = NULL;
}
