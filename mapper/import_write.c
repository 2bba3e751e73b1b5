/* mapper/import_write.c - an import as cardmap.conf, each thing with where it came from. */
#include "mapper/import.h"

/*
 * The next character: how many bytes it has, and whether they are written by
 * number: what a terminal would obey, line ends and tabs apart, and what is no UTF-8.
 */
static size_t
next_character(const char *p, bool *by_number)
{
	const uint8_t *c = (const uint8_t *)p;
	const size_t n = cm_utf8_length(c, strnlen(p, 4));

	*by_number = n == 0 || (c[0] < ' ' && c[0] != '\n' && c[0] != '\t') || c[0] == 0x7F ||
	    (n == 2 && c[0] == 0xC2 && c[1] < 0xA0);	/* C1: U+0080 to U+009F */
	return n > 0 ? n : 1;
}

static bool
needs_numbers(const char *text)
{
	bool needed = false;

	while (*text != '\0' && !needed)
		text += next_character(text, &needed);
	return needed;
}

/* A byte by its number is known in double quotes alone, where a backslash keeps ${ and the quote as they are. */
static void
add_double_quoted(const char *text, struct cm_buf *out)
{
	bool by_number;

	cm_buf_add_byte(out, '"');
	for (size_t n; *text != '\0'; text += n) {
		n = next_character(text, &by_number);
		if (strchr("\\\"$", *text) != NULL)
			cm_buf_add_byte(out, '\\');
		if (!by_number)
			cm_buf_add(out, text, n);
		for (size_t i = 0; by_number && i < n; i++)
			cm_buf_addf(out, "\\x%02x", (uint8_t)text[i]);
	}
	cm_buf_add_byte(out, '"');
}

/*
 * libconfuse's single quotes: only \\ and \' mean something else in them, line
 * ends stay, and no variable is replaced.
 */
static void
add_quoted(const char *text, struct cm_buf *out)
{
	if (needs_numbers(text)) {
		add_double_quoted(text, out);
		return;
	}
	cm_buf_add_byte(out, '\'');
	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '\\' || *p == '\'')
			cm_buf_add_byte(out, '\\');
		cm_buf_add_byte(out, (uint8_t)*p);
	}
	cm_buf_add_byte(out, '\'');
}

static void
add_list(char *const *values, struct cm_buf *out)
{
	cm_buf_add_str(out, "{ ");
	for (size_t i = 0; values[i] != NULL; i++) {
		cm_buf_add_str(out, i > 0 ? ", " : "");
		add_quoted(values[i], out);
	}
	cm_buf_add_str(out, " }");
}

/* A comment ends with its line: whatever the text holds, it stays on it. */
static void
add_comment(const char *indent, const char *path, int line, const char *text, struct cm_buf *out)
{
	cm_buf_addf(out, "%s# ", indent);
	cm_buf_add_printable(out, cm_blob_str(path));
	if (line > 0)
		cm_buf_addf(out, ":%d", line);
	if (text[0] != '\0')
		cm_buf_add_str(out, ": ");
	cm_buf_add_printable(out, cm_blob_str(text));
	cm_buf_add_byte(out, '\n');
}

static void
add_setting(const struct cm_import *i, const struct cm_import_setting *s, struct cm_buf *out)
{
	const char *dot = strchr(s->key, '.');

	add_comment("\t", i->path, s->line, "", out);
	cm_buf_addf(out, "\t%s = ", dot != NULL ? dot + 1 : s->key);
	if (s->values[1] != NULL)
		add_list(s->values, out);
	else
		add_quoted(s->values[0], out);
	cm_buf_add_byte(out, '\n');
}

static size_t
section_length(const struct cm_import_setting *s)
{
	return strcspn(s->key, ".");
}

static bool
same_section(const struct cm_import_setting *a, const struct cm_import_setting *b)
{
	const size_t len = section_length(a);

	return len == section_length(b) && memcmp(a->key, b->key, len) == 0;
}

/* A section stands where its first key does, and has all of them. */
static void
add_section(const struct cm_import *i, size_t first, struct cm_buf *out)
{
	const struct cm_import_setting *s = &i->settings[first];

	for (size_t k = 0; k < first; k++)
		if (same_section(&i->settings[k], s))
			return;
	cm_buf_addf(out, "\n%.*s {\n", (int)section_length(s), s->key);
	for (size_t k = first; k < i->setting_count; k++)
		if (same_section(&i->settings[k], s))
			add_setting(i, &i->settings[k], out);
	cm_buf_add_str(out, "}\n");
}

static void
add_text(const char *key, const char *text, struct cm_buf *out)
{
	if (text == NULL)
		return;
	cm_buf_addf(out, "\t%s = ", key);
	add_quoted(text, out);
	cm_buf_add_byte(out, '\n');
}

static void
add_rule(const struct cm_conf_rule *r, struct cm_buf *out)
{
	cm_buf_add_byte(out, '\n');
	add_comment("", r->origin, 0, "", out);
	cm_buf_add_str(out, "rule ");
	add_quoted(r->name, out);
	cm_buf_add_str(out, " {\n");
	add_text("match", r->match, out);
	add_text("issuer", r->issuer, out);
	add_text("upn_suffix", r->upn_suffix, out);
	add_text("attribute", r->attribute, out);
	add_text("value", r->value, out);
	add_text("filter", r->filter, out);
	add_text("map_file", r->map_file, out);
	if (r->domains != NULL && r->domains[0] != NULL) {
		cm_buf_add_str(out, "\tdomains = ");
		add_list(r->domains, out);
		cm_buf_add_byte(out, '\n');
	}
	if (r->priority != CM_RULE_PRIORITY_LAST)
		cm_buf_addf(out, "\tpriority = %u\n", r->priority);
	cm_buf_add_str(out, r->ignore_case ? "\tignore_case = yes\n" : "");
	cm_buf_add_str(out, r->local ? "\taccounts = local\n" : "");
	add_text("level", r->level, out);
	cm_buf_add_str(out, "}\n");
}

enum cm_err
cm_import_write(const struct cm_import *i, struct cm_buf *out)
{
	cm_buf_addf(out, "# From %s: ", i->from);
	cm_buf_add_printable(out, cm_blob_str(i->path));
	cm_buf_add_byte(out, '\n');
	for (size_t k = 0; k < i->setting_count; k++)
		add_section(i, k, out);
	for (size_t k = 0; k < i->rule_count; k++)
		add_rule(&i->rules[k], out);
	if (i->note_count > 0)
		cm_buf_add_str(out, "\n# Has no counterpart, or differs:\n");
	for (size_t k = 0; k < i->note_count; k++)
		add_comment("", i->path, i->notes[k].line, i->notes[k].text, out);
	return cm_buf_status(out);
}
