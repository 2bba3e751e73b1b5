/* mapper/plist_xml.c - the XML form: libxml2's reader, no network, no entities, no DTD. */
#include "mapper/plist_internal.h"

#include <errno.h>
#include <libxml/xmlreader.h>
#include <stdlib.h>

struct state {
	struct cm_plist_file *file;
	xmlTextReaderPtr reader;
	bool failed;		/* libxml2 has complained, the reason is set */
};

static int
line_of(const struct state *s)
{
	return (int)xmlGetLineNo(xmlTextReaderCurrentNode(s->reader));
}

/* The first complaint is the cause; what follows are consequences. */
static void
complain(void *arg, xmlErrorPtr e)
{
	struct state *s = arg;

	if (s->failed || e->level < XML_ERR_ERROR)
		return;
	s->failed = true;
	if (e->code == XML_ERR_TAG_NAME_MISMATCH)
		cm_plist_fail(s->file, e->line, "the closing tag does not match: <%s> of line %d "
		    "is closed by </%s>; close it where its content ends",
		    e->str1 != NULL ? e->str1 : "?", e->int1, e->str2 != NULL ? e->str2 : "?");
	else
		cm_plist_fail(s->file, e->line, "not well-formed XML: %.*s; mend it "
		    "(plutil -lint shows it too)", (int)strcspn(e->message, "\n"), e->message);
}

static enum cm_err
unexpected(const struct state *s, const char *where)
{
	const xmlChar *name = xmlTextReaderConstName(s->reader);

	return cm_plist_fail(s->file, line_of(s), "<%s> has no place in %s; remove it",
	    name != NULL ? (const char *)name : "?", where);
}

/* To the next node that means something; CM_ERR_ABSENT at the end of the document. */
static enum cm_err
advance(struct state *s)
{
	for (;;) {
		const int more = xmlTextReaderRead(s->reader);

		if (more < 0 || s->failed)
			return s->failed ? CM_ERR_CONFIG : cm_plist_fail(s->file, 0,
			    "cannot be read as XML; make it anew with plutil -convert xml1");
		if (more == 0)
			return CM_ERR_ABSENT;
		switch (xmlTextReaderNodeType(s->reader)) {
		case XML_READER_TYPE_COMMENT:
		case XML_READER_TYPE_WHITESPACE:
		case XML_READER_TYPE_SIGNIFICANT_WHITESPACE:
		case XML_READER_TYPE_DOCUMENT_TYPE:
		case XML_READER_TYPE_PROCESSING_INSTRUCTION:
			continue;
		case XML_READER_TYPE_ENTITY_REFERENCE:
			return cm_plist_fail(s->file, line_of(s),
			    "an entity of its own has no place here; write the text itself");
		default:
			return CM_OK;
		}
	}
}

/* Inside an element there is always more: its end. */
static enum cm_err
advance_inside(struct state *s)
{
	const enum cm_err err = advance(s);

	return err != CM_ERR_ABSENT ? err :
	    cm_plist_fail(s->file, 0, "ends too early; make it anew");
}

static bool
at_element(const struct state *s, const char *name)
{
	return xmlTextReaderNodeType(s->reader) == XML_READER_TYPE_ELEMENT &&
	    strcmp((const char *)xmlTextReaderConstName(s->reader), name) == 0;
}

static bool
at_end(const struct state *s)
{
	return xmlTextReaderNodeType(s->reader) == XML_READER_TYPE_END_ELEMENT;
}

/* The text of the element the reader is on, up to and with its end tag. */
static enum cm_err
read_text(struct state *s, char **out)
{
	enum cm_err err = CM_OK;
	struct cm_buf b;

	*out = NULL;
	cm_buf_init(&b, CM_PLIST_MAX);
	if (xmlTextReaderIsEmptyElement(s->reader))
		goto out;
	/* Not advance(): white space is text here. */
	while (!s->failed && xmlTextReaderRead(s->reader) == 1 && !at_end(s)) {
		const int type = xmlTextReaderNodeType(s->reader);
		const xmlChar *text = xmlTextReaderConstValue(s->reader);

		if (type == XML_READER_TYPE_COMMENT || type == XML_READER_TYPE_PROCESSING_INSTRUCTION)
			continue;
		if (type == XML_READER_TYPE_ELEMENT || type == XML_READER_TYPE_ENTITY_REFERENCE) {
			err = unexpected(s, "text");
			goto out;
		}
		if (text != NULL)
			cm_buf_add_str(&b, (const char *)text);
	}
	if (s->failed || !at_end(s))
		err = s->failed ? CM_ERR_CONFIG : unexpected(s, "text");
out:
	if (err == CM_OK && (*out = cm_buf_take(&b)) == NULL)
		err = CM_ERR_NOMEM;
	cm_buf_free(&b);
	return err;
}

static enum cm_err read_value(struct state *s, unsigned depth, struct cm_plist_node **out);

/* The reader is on a dict's child, which must be a <key>; then comes its value. */
static enum cm_err
read_pair(struct state *s, unsigned depth, struct cm_plist_node **out)
{
	const int line = line_of(s);
	char *key = NULL;
	enum cm_err err;

	if (!at_element(s, "key"))
		return cm_plist_fail(s->file, line, "a <dict> holds pairs of <key> and value; "
		    "put a <key> before this value");
	if ((err = read_text(s, &key)) != CM_OK || (err = advance_inside(s)) != CM_OK)
		goto out;
	if (at_end(s) || at_element(s, "key")) {
		err = cm_plist_fail(s->file, line, "key \"%s\" has no value; add one", key);
		goto out;
	}
	if ((err = read_value(s, depth, out)) == CM_OK) {
		(*out)->key = key;
		key = NULL;
	}
out:
	free(key);
	return err;
}

static enum cm_err
read_children(struct state *s, unsigned depth, struct cm_plist_node *n)
{
	struct cm_plist_node **last = &n->child;
	enum cm_err err;

	if (xmlTextReaderIsEmptyElement(s->reader))
		return CM_OK;
	while ((err = advance_inside(s)) == CM_OK && !at_end(s)) {
		if (xmlTextReaderNodeType(s->reader) != XML_READER_TYPE_ELEMENT)
			return cm_plist_fail(s->file, line_of(s),
			    "text between the elements; remove it");
		err = n->type == CM_PLIST_DICT ? read_pair(s, depth, last) :
		    read_value(s, depth, last);
		if (err != CM_OK)
			return err;
		last = &(*last)->next;
	}
	return err;
}

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

/* The reader is on the value's element; afterwards on its end. */
static enum cm_err
read_value(struct state *s, unsigned depth, struct cm_plist_node **out)
{
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
	const struct element *e = NULL;
	char *text = NULL;
	enum cm_err err;

	for (size_t i = 0; i < CM_COUNT(elements); i++)
		if (at_element(s, elements[i].name))
			e = &elements[i];
	if (e == NULL)
		return unexpected(s, "a property list");
	if (depth > CM_PLIST_DEPTH_MAX)
		return cm_plist_fail(s->file, line_of(s), "nested too deep; flatten it");
	if ((err = cm_plist_node_new(s->file, e->type, line_of(s), out)) != CM_OK)
		return err;
	if (e->type == CM_PLIST_DICT || e->type == CM_PLIST_ARRAY)
		return read_children(s, depth + 1, *out);
	(*out)->number = strcmp(e->name, "true") == 0;
	if ((err = read_text(s, &text)) == CM_OK && e->type == CM_PLIST_INTEGER)
		err = read_integer(s, *out, text);
	if (err == CM_OK && e->type == CM_PLIST_STRING)
		(*out)->text = text;
	else
		free(text);
	return err;
}

static enum cm_err
read_document(struct state *s, struct cm_plist_node **out)
{
	enum cm_err err;

	if ((err = advance(s)) != CM_OK)
		return err == CM_ERR_ABSENT ?
		    cm_plist_fail(s->file, 0, "is empty; write a property list") : err;
	if (!at_element(s, "plist"))
		return cm_plist_fail(s->file, line_of(s),
		    "not a property list; the outermost element is <plist>");
	if (xmlTextReaderIsEmptyElement(s->reader))
		return cm_plist_fail(s->file, line_of(s), "<plist> is empty; write a <dict>");
	if ((err = advance_inside(s)) != CM_OK || (err = read_value(s, 0, out)) != CM_OK ||
	    (err = advance_inside(s)) != CM_OK)
		return err;
	if (!at_end(s))
		return unexpected(s, "<plist> behind its value");
	/* Whatever stands behind </plist> must be well-formed too. */
	while ((err = advance(s)) == CM_OK)
		;
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

enum cm_err
cm_plist_read_xml(struct cm_plist_file *f, struct cm_blob bytes, struct cm_plist_node **out)
{
	/* Entities are neither declared from outside nor expanded (no NOENT, no DTDLOAD). */
	const int options = XML_PARSE_NONET | XML_PARSE_NOCDATA | XML_PARSE_BIG_LINES;
	struct state s = { .file = f };
	enum cm_err err = CM_ERR_NOMEM;

	*out = NULL;
	if (bytes.len == 0)	/* libxml2 makes no reader for nothing */
		return cm_plist_fail(f, 0, "is empty; write a property list");
	s.reader = xmlReaderForMemory((const char *)bytes.ptr, (int)bytes.len, NULL, NULL, options);
	if (s.reader != NULL) {
		xmlTextReaderSetStructuredErrorHandler(s.reader, complain, &s);
		err = read_document(&s, out);
	}
	if (s.failed)	/* the parser's word stands, whatever we made of the rest */
		err = CM_ERR_CONFIG;
	if (err != CM_OK)
		cm_plist_node_free(out);
	xmlFreeTextReader(s.reader);
	return err;
}
