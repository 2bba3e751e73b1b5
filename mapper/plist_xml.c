/* mapper/plist_xml.c - the XML form: expat's events make the tree; no entities, no DTD, nothing from elsewhere. */
#include "mapper/plist_internal.h"

#include <errno.h>
#include <expat.h>
#include <stdlib.h>

/* <plist>, as many values as may stand in each other, and a <key>. */
#define OPEN_MAX	(CM_PLIST_DEPTH_MAX + 3)

static const struct element {
	const char *name;
	enum cm_plist_type type;
} elements[] = {
	{ "dict", CM_PLIST_DICT }, { "array", CM_PLIST_ARRAY },
	{ "string", CM_PLIST_STRING }, { "integer", CM_PLIST_INTEGER },
	{ "real", CM_PLIST_OTHER }, { "true", CM_PLIST_BOOL },
	{ "false", CM_PLIST_BOOL }, { "date", CM_PLIST_OTHER },
	{ "data", CM_PLIST_OTHER },
};

/* An element that has begun and not ended. */
struct open {
	const char *name;		/* static */
	int line;
	struct cm_plist_node *node;	/* borrowed from the tree; NULL: <plist> or <key> */
	struct cm_plist_node **next;	/* where the next value goes; NULL: it holds text */
};

struct state {
	struct cm_plist_file *file;
	XML_Parser parser;
	struct cm_plist_node **out;
	struct open open[OPEN_MAX];
	size_t depth;
	char *key;			/* owned; of the value that must follow */
	int key_line;
	struct cm_buf text;		/* of the element that is open */
	enum cm_err err;		/* once it is none of CM_OK the reason is set, and nothing more is looked at */
};

static int
line_of(const struct state *s)
{
	return (int)XML_GetCurrentLineNumber(s->parser);
}

static struct open *
innermost(struct state *s)
{
	return s->depth > 0 ? &s->open[s->depth - 1] : NULL;
}

/* The first mistake is the cause. */
static void
end_with(struct state *s, enum cm_err err)
{
	if (err == CM_OK || s->err != CM_OK)
		return;
	s->err = err;
	(void)XML_StopParser(s->parser, XML_FALSE);
}

static enum cm_err
unexpected(const struct state *s, const char *name, const char *where)
{
	return cm_plist_fail(s->file, line_of(s), "<%s> has no place in %s; remove it", name, where);
}

static enum cm_err
lacks_value(const struct state *s)
{
	return cm_plist_fail(s->file, s->key_line, "key \"%s\" has no value; add one", s->key);
}

/* ---- an element begins */

/* name: a literal, expat's own ends with the event. */
static void
open_element(struct state *s, const char *name, struct cm_plist_node *node, struct cm_plist_node **next)
{
	s->open[s->depth++] = (struct open){ .name = name, .line = line_of(s), .node = node, .next = next };
	cm_buf_truncate(&s->text, 0);
}

static enum cm_err
begin_value(struct state *s, const char *name, struct open *in)
{
	const struct element *e = NULL;
	struct cm_plist_node *n = NULL;
	enum cm_err err;
	bool holds;

	for (size_t i = 0; i < CM_COUNT(elements); i++)
		if (strcmp(elements[i].name, name) == 0)
			e = &elements[i];
	if (e == NULL)
		return unexpected(s, name, "a property list");
	if (s->depth > CM_PLIST_DEPTH_MAX + 1)
		return cm_plist_fail(s->file, line_of(s), "nested too deep; flatten it");
	if ((err = cm_plist_node_new(s->file, e->type, line_of(s), &n)) != CM_OK)
		return err;
	n->key = s->key;
	s->key = NULL;
	n->number = strcmp(e->name, "true") == 0;
	*in->next = n;
	in->next = &n->next;
	holds = e->type == CM_PLIST_DICT || e->type == CM_PLIST_ARRAY;
	open_element(s, e->name, n, holds ? &n->child : NULL);
	return CM_OK;
}

/* A dict's children are pairs of a <key> and its value. */
static enum cm_err
begin_in_dict(struct state *s, const char *name, struct open *in)
{
	const bool is_key = strcmp(name, "key") == 0;

	if (s->key != NULL)
		return is_key ? lacks_value(s) : begin_value(s, name, in);
	if (!is_key)
		return cm_plist_fail(s->file, line_of(s), "a <dict> holds pairs of <key> and value; "
		    "put a <key> before this value");
	s->key_line = line_of(s);
	open_element(s, "key", NULL, NULL);
	return CM_OK;
}

static enum cm_err
begin_document(struct state *s, const char *name)
{
	if (strcmp(name, "plist") != 0)
		return cm_plist_fail(s->file, line_of(s),
		    "not a property list; the outermost element is <plist>");
	open_element(s, "plist", NULL, s->out);
	return CM_OK;
}

static void
on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	struct state *s = arg;
	struct open *in = innermost(s);

	(void)attributes;
	if (s->err != CM_OK)
		return;
	if (in == NULL)
		end_with(s, begin_document(s, name));
	else if (in->next == NULL)
		end_with(s, unexpected(s, name, "text"));
	else if (in->node == NULL && *s->out != NULL)
		end_with(s, unexpected(s, name, "<plist> behind its value"));
	else
		end_with(s, in->node != NULL && in->node->type == CM_PLIST_DICT ? begin_in_dict(s, name, in) :
		    begin_value(s, name, in));
}

/* ---- an element ends */

static enum cm_err
read_integer(const struct state *s, struct cm_plist_node *n, const char *text)
{
	char *end = NULL;

	errno = 0;
	n->number = strtoll(text, &end, 10);
	if (end != text && end[strspn(end, " \t\r\n")] == '\0' && errno == 0)
		return CM_OK;
	return cm_plist_fail(s->file, n->line, "<integer> holds \"%s\"; write a number", text);
}

static enum cm_err
end_text(struct state *s, struct cm_plist_node *n)
{
	if (cm_buf_status(&s->text) != CM_OK)
		return cm_buf_status(&s->text);
	if (n != NULL && n->type == CM_PLIST_INTEGER)
		return read_integer(s, n, cm_buf_str(&s->text));
	if (n != NULL && n->type != CM_PLIST_STRING)
		return CM_OK;
	*(n != NULL ? &n->text : &s->key) = strdup(cm_buf_str(&s->text));
	return (n != NULL ? n->text : s->key) != NULL ? CM_OK : CM_ERR_NOMEM;
}

static void
on_end(void *arg, const XML_Char *name)
{
	struct state *s = arg;
	struct open *in = innermost(s);

	(void)name;
	if (s->err != CM_OK)
		return;
	s->depth--;
	if (in->next == NULL)
		end_with(s, end_text(s, in->node));
	else if (in->node != NULL && s->key != NULL)
		end_with(s, lacks_value(s));
	else if (in->node == NULL && *s->out == NULL)
		end_with(s, cm_plist_fail(s->file, line_of(s), "<plist> is empty; write a <dict>"));
}

/* ---- what stands between */

static void
on_text(void *arg, const XML_Char *text, int len)
{
	struct state *s = arg;
	const struct open *in = innermost(s);

	if (s->err != CM_OK)
		return;
	if (in->next == NULL)
		cm_buf_add(&s->text, text, (size_t)len);
	else
		for (int i = 0; i < len && s->err == CM_OK; i++)
			if (strchr(" \t\r\n", text[i]) == NULL)
				end_with(s, cm_plist_fail(s->file, line_of(s), "text between the elements; remove it"));
}

static enum cm_err
refuse_entity(const struct state *s)
{
	return cm_plist_fail(s->file, line_of(s), "an entity of its own has no place here; write the text itself");
}

/* Of whatever kind: few bytes cannot grow, and no file is read. */
static void
on_entity_declared(void *arg, const XML_Char *name, int is_parameter, const XML_Char *value, int len, const XML_Char *base,
    const XML_Char *system, const XML_Char *public, const XML_Char *notation)
{
	struct state *s = arg;

	(void)name, (void)is_parameter, (void)value, (void)len, (void)base, (void)system, (void)public, (void)notation;
	if (s->err == CM_OK)
		end_with(s, refuse_entity(s));
}

/* One that the DTD might declare, which nobody reads. */
static void
on_entity_skipped(void *arg, const XML_Char *name, int is_parameter)
{
	struct state *s = arg;

	(void)name, (void)is_parameter;
	if (s->err == CM_OK)
		end_with(s, refuse_entity(s));
}

/* ---- the document */

/* The name in a closing tag that does not match, where the parser stopped. */
static size_t
closing_name(const struct state *s, struct cm_blob bytes, const char **name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:";
	const XML_Index at = XML_GetCurrentByteIndex(s->parser);
	size_t from = at >= 0 && (size_t)at < bytes.len ? (size_t)at : bytes.len, to;

	while (from < bytes.len && (bytes.ptr[from] == '<' || bytes.ptr[from] == '/'))
		from++;
	for (to = from; to < bytes.len && bytes.ptr[to] != '\0' && strchr(letters, bytes.ptr[to]) != NULL; to++)
		;
	*name = to > from ? (const char *)bytes.ptr + from : "?";
	return to > from ? to - from : 1;
}

static enum cm_err
complain(struct state *s, struct cm_blob bytes)
{
	const enum XML_Error e = XML_GetErrorCode(s->parser);
	const struct open *in = innermost(s);
	const char *name = NULL;
	size_t len;

	if (e == XML_ERROR_NO_MEMORY)
		return CM_ERR_NOMEM;
	if (e != XML_ERROR_TAG_MISMATCH || in == NULL)
		return cm_plist_fail(s->file, line_of(s), "not well-formed XML: %s; mend it "
		    "(plutil -lint shows it too)", XML_ErrorString(e));
	len = closing_name(s, bytes, &name);
	return cm_plist_fail(s->file, line_of(s), "the closing tag does not match: <%s> of line %d "
	    "is closed by </%.*s>; close it where its content ends", in->name, in->line, (int)len, name);
}

static void
listen_to(struct state *s)
{
	XML_SetUserData(s->parser, s);
	XML_SetElementHandler(s->parser, on_start, on_end);
	XML_SetCharacterDataHandler(s->parser, on_text);
	XML_SetEntityDeclHandler(s->parser, on_entity_declared);
	XML_SetSkippedEntityHandler(s->parser, on_entity_skipped);
}

enum cm_err
cm_plist_read_xml(struct cm_plist_file *f, struct cm_blob bytes, struct cm_plist_node **out)
{
	struct state s = { .file = f, .out = out, .err = CM_OK };

	*out = NULL;
	if (bytes.len == 0)
		return cm_plist_fail(f, 0, "is empty; write a property list");
	cm_buf_init(&s.text, CM_PLIST_MAX);
	if ((s.parser = XML_ParserCreate(NULL)) == NULL) {
		s.err = CM_ERR_NOMEM;
	} else {
		listen_to(&s);
		if (XML_Parse(s.parser, (const char *)bytes.ptr, (int)bytes.len, XML_TRUE) != XML_STATUS_OK && s.err == CM_OK)
			s.err = complain(&s, bytes);
		XML_ParserFree(s.parser);
	}
	if (s.err != CM_OK)
		cm_plist_node_free(out);
	cm_buf_free(&s.text);
	free(s.key);
	return s.err;
}
