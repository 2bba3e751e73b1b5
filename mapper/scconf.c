/* mapper/scconf.c - the form of pam_pkcs11.conf: blocks, settings and their lists of values. */
#include <stdlib.h>
#include <strings.h>

#include "mapper/pam_pkcs11_internal.h"

/* Where the parser stands, as pam_pkcs11's does: a key has come, or "=", and something after it. */
enum { NOTHING, KEY, KEY_AND_NAME, VALUE, VALUE_SET };

struct parser {
	struct cm_import *notes;
	struct cm_trace *t;
	const uint8_t *at, *end;
	int line;
	int state;
	int key_line;
	struct cm_scconf_item pending;		/* key and names that came so far; owned */
	struct cm_scconf_item *current;		/* whose values are read */
	struct cm_scconf_item *blocks[CM_SCCONF_DEPTH_MAX];	/* open ones, the root first */
	size_t depth;				/* how many are open */
	size_t items;
};

#define fail(p, line, ...)	cm_import_fail((p)->notes->path, line, (p)->t, __VA_ARGS__)

static void
clear(struct cm_scconf_item *i)
{
	free(i->key);
	for (size_t k = 0; k < i->count; k++)
		free(i->values[k]);
	free(i->values);
	*i = (struct cm_scconf_item){ .line = 0 };
}

void
cm_scconf_free(struct cm_scconf_item **item)
{
	/* Depth is bounded by the reader. */
	while (*item != NULL) {
		struct cm_scconf_item *next = (*item)->next;

		cm_scconf_free(&(*item)->child);
		clear(*item);
		free(*item);
		*item = next;
	}
}

static enum cm_err
add_value(const struct parser *p, struct cm_scconf_item *i, struct cm_blob text)
{
	char **more;

	if (i->count == CM_SCCONF_VALUES_MAX)
		return fail(p, p->line, "more than %d values for one key", CM_SCCONF_VALUES_MAX);
	if ((more = realloc(i->values, (i->count + 2) * sizeof(*more))) == NULL)
		return CM_ERR_NOMEM;
	i->values = more;
	more[i->count + 1] = NULL;
	if ((more[i->count] = strndup((const char *)text.ptr, text.len)) == NULL)
		return CM_ERR_NOMEM;
	i->count++;
	return CM_OK;
}

/* What came becomes an item of the innermost block. */
static enum cm_err
add_item(struct parser *p, bool block)
{
	struct cm_scconf_item **where = &p->blocks[p->depth - 1]->child, *i;

	if (++p->items > CM_SCCONF_ITEMS_MAX)
		return fail(p, p->line, "more than %d settings and blocks", CM_SCCONF_ITEMS_MAX);
	for (; *where != NULL; where = &(*where)->next)
		if (!block && !(*where)->block && strcasecmp((*where)->key, p->pending.key) == 0)
			break;
	if (*where != NULL) {	/* pam_pkcs11 adds to the list; of a text it takes the first */
		p->current = *where;
		return cm_import_note(p->notes, p->key_line, "%s: given before, on line %d: there the "
		    "first value counts, of a list all", (*where)->key, (*where)->line);
	}
	if ((i = calloc(1, sizeof(*i))) == NULL)
		return CM_ERR_NOMEM;
	*i = p->pending;
	p->pending = (struct cm_scconf_item){ .line = 0 };
	i->block = block;
	i->line = p->key_line;
	p->current = *where = i;
	return CM_OK;
}

/* The end of a setting, or of words that are none. */
static enum cm_err
end_setting(struct parser *p)
{
	enum cm_err err = CM_OK;

	if (p->state == KEY || p->state == KEY_AND_NAME)
		err = cm_import_note(p->notes, p->key_line, "\"%s\" is no setting: pam_pkcs11 passes over it; "
		    "a setting is KEY = VALUE; with blanks around \"=\", and quotes around a value with blanks",
		    p->pending.key);
	clear(&p->pending);
	p->state = NOTHING;
	return err;
}

static enum cm_err
take_word(struct parser *p, struct cm_blob word)
{
	enum cm_err err;

	/* The ";" at the end may be missing, as in pam_pkcs11's own example. */
	if (p->state == VALUE_SET && (err = end_setting(p)) != CM_OK)
		return err;
	switch (p->state) {
	case NOTHING:
		if ((p->pending.key = strndup((const char *)word.ptr, word.len)) == NULL)
			return CM_ERR_NOMEM;
		p->key_line = p->line;
		p->state = KEY;
		return CM_OK;
	case KEY:
		p->state = KEY_AND_NAME;
		return add_value(p, &p->pending, word);
	case VALUE:
		p->state = VALUE_SET;
		return add_value(p, p->current, word);
	default:
		return fail(p, p->line, "\"%.*s\" is not expected here; a setting is KEY = VALUE; a block is "
		    "KEY NAME { with a blank before the brace", (int)(word.len < 64 ? word.len : 64), word.ptr);
	}
}

static enum cm_err
take_equals(struct parser *p)
{
	enum cm_err err;

	if (p->state != KEY)
		return fail(p, p->line, "\"=\" is not expected here%s", p->state == KEY_AND_NAME ?
		    ": two words stand before it; is a \";\" missing, or a blank before an earlier \"=\"?" : "");
	if ((err = add_item(p, false)) != CM_OK)
		return err;
	clear(&p->pending);
	p->state = VALUE;
	return CM_OK;
}

static enum cm_err
open_block(struct parser *p)
{
	enum cm_err err;

	if (p->state != KEY && p->state != KEY_AND_NAME)
		return fail(p, p->line, "\"{\" is not expected here; a block is KEY NAME { ... }");
	if (p->depth == CM_SCCONF_DEPTH_MAX)
		return fail(p, p->line, "blocks are more than %d deep", CM_SCCONF_DEPTH_MAX);
	if ((err = add_item(p, true)) != CM_OK)
		return err;
	p->blocks[p->depth++] = p->current;
	p->state = NOTHING;
	return CM_OK;
}

static enum cm_err
close_block(struct parser *p)
{
	if (p->state != NOTHING && p->state != VALUE_SET)
		return fail(p, p->line, "\"}\" is not expected here; a setting is KEY = VALUE;");
	if (p->depth == 1)
		return fail(p, p->line, "\"}\" without a \"{\" before it");
	p->depth--;
	return end_setting(p);
}

static enum cm_err
take_sign(struct parser *p, uint8_t sign)
{
	switch (sign) {
	case '=':
		return take_equals(p);
	case '{':
		return open_block(p);
	case '}':
		return close_block(p);
	case ';':
		return end_setting(p);
	default:	/* "," */
		if (p->state == NOTHING)
			return fail(p, p->line, "\",\" is not expected here");
		if (p->state == VALUE_SET)
			p->state = VALUE;
		if (p->state == KEY_AND_NAME)
			p->state = KEY;
		return CM_OK;
	}
}

static bool
is_one_of(uint8_t c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

/* pam_pkcs11 knows no escapes: a backslash is itself, a quote ends. */
static enum cm_err
take_quoted(struct parser *p)
{
	const uint8_t *start = ++p->at;

	while (p->at < p->end && !is_one_of(*p->at, "\"\r\n"))
		p->at++;
	if (p->at == p->end || *p->at != '"')
		return fail(p, p->line, "a quote is not closed on its line");
	p->at++;
	return take_word(p, (struct cm_blob){ start, (size_t)(p->at - 1 - start) });
}

static enum cm_err
take_token(struct parser *p)
{
	const uint8_t *start = p->at;

	if (*start == '#') {
		while (p->at < p->end && *p->at != '\n')
			p->at++;
		return CM_OK;
	}
	if (is_one_of(*start, " \t\r\n")) {
		p->line += *p->at++ == '\n';
		return CM_OK;
	}
	if (is_one_of(*start, ",{}=;"))
		return take_sign(p, *p->at++);
	if (*start == '"')
		return take_quoted(p);
	while (p->at < p->end && !is_one_of(*p->at, ";, \t\r\n"))
		p->at++;
	return take_word(p, (struct cm_blob){ start, (size_t)(p->at - start) });
}

static enum cm_err
parse(struct parser *p)
{
	enum cm_err err = CM_OK;

	while (err == CM_OK && p->at < p->end)
		err = take_token(p);
	if (err == CM_OK && p->depth > 1)
		err = fail(p, p->line, "the file ends before the block \"%s\" of line %d is closed",
		    p->blocks[p->depth - 1]->key, p->blocks[p->depth - 1]->line);
	if (err == CM_OK)
		err = end_setting(p);
	return err;
}

enum cm_err
cm_scconf_read(struct cm_blob bytes, struct cm_import *notes, struct cm_trace *t,
    struct cm_scconf_item **root)
{
	struct parser p = { .notes = notes, .t = t, .at = bytes.ptr, .end = bytes.ptr + bytes.len,
	    .line = 1, .depth = 1 };
	enum cm_err err;

	*root = NULL;
	if (bytes.len > CM_SCCONF_MAX || memchr(bytes.len > 0 ? bytes.ptr : (const uint8_t *)"", '\0', bytes.len) != NULL)
		return fail(&p, 1, "not a configuration: longer than 1 MiB, or holds a NUL byte");
	if ((*root = calloc(1, sizeof(**root))) == NULL)
		return CM_ERR_NOMEM;
	(*root)->block = true;
	p.blocks[0] = *root;
	err = parse(&p);
	clear(&p.pending);
	if (err != CM_OK)
		cm_scconf_free(root);
	return err;
}

const struct cm_scconf_item *
cm_scconf_block(const struct cm_scconf_item *in, const char *key, const char *name)
{
	const struct cm_scconf_item *i = in != NULL ? in->child : NULL;

	for (; i != NULL; i = i->next)
		if (i->block && strcasecmp(i->key, key) == 0 && (name == NULL ||
		    strcasecmp(i->count > 0 ? i->values[0] : "", name) == 0))
			break;
	return i;
}

const struct cm_scconf_item *
cm_scconf_setting(const struct cm_scconf_item *in, const char *key)
{
	const struct cm_scconf_item *i = in != NULL ? in->child : NULL;

	for (; i != NULL; i = i->next)
		if (!i->block && strcasecmp(i->key, key) == 0)
			break;
	return i != NULL && i->count > 0 ? i : NULL;
}

const char *
cm_scconf_text(const struct cm_scconf_item *in, const char *key, const char *fallback)
{
	const struct cm_scconf_item *i = cm_scconf_setting(in, key);

	return i != NULL ? i->values[0] : fallback;
}

/* "true", "yes", and whatever else begins so. */
bool
cm_scconf_flag(const struct cm_scconf_item *in, const char *key, bool fallback)
{
	const struct cm_scconf_item *i = cm_scconf_setting(in, key);

	return i != NULL ? i->values[0][0] != '\0' && strchr("tTyY", i->values[0][0]) != NULL : fallback;
}

int
cm_scconf_line(const struct cm_scconf_item *in, const char *key)
{
	const struct cm_scconf_item *i = cm_scconf_setting(in, key);

	if (i == NULL)
		i = in;
	return i != NULL ? i->line : 0;
}
