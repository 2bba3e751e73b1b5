/*
 * base/conf_comments.c - the text of a configuration before libconfuse reads it: comments, and where sections begin.
 *
 * libconfuse (3.3) counts two lines too many for each comment to the end of a
 * line and one too many for each other, and takes no comment inside a list or
 * behind a "=".
 */
#include "base/conf_internal.h"

#include <stdbool.h>
#include <string.h>

/* Behind the quote that closes the one at p, or the end. */
static char *
skip_quoted(char *p)
{
	const char quote = *p++;

	while (*p != '\0' && *p != quote)
		p += *p == '\\' && p[1] != '\0' ? 2 : 1;
	return *p != '\0' ? p + 1 : p;
}

/* Behind the comment that begins at p; p itself when none does. */
static char *
comment_end(char *p, bool word_starts)
{
	char *end;

	if (*p == '#' || (word_starts && p[0] == '/' && p[1] == '/'))	/* not the one in ldap://HOST */
		return p + strcspn(p, "\n");
	if (p[0] == '/' && p[1] == '*' && (end = strstr(p + 2, "*/")) != NULL)
		return end + 2;
	return p;
}

void
cm_conf_blank_comments(char *text)
{
	bool word_starts = true;

	for (char *p = text; *p != '\0';) {
		char *end = *p == '"' || *p == '\'' ? skip_quoted(p) : comment_end(p, word_starts);

		word_starts = strchr(" \t\r\n={}()+,", *p) != NULL;
		if (end == p) {
			p++;
			continue;
		}
		if (*p == '"' || *p == '\'')
			p = end;
		for (; p < end; p++)
			*p = *p == '\n' ? '\n' : ' ';
		word_starts = true;
	}
}

/* The section's name at p: a word of its own. */
static bool
is_word(const char *text, const char *p, const char *name)
{
	const size_t len = strlen(name);

	return strncmp(p, name, len) == 0 && strchr(" \t\r\n\"'{", p[len]) != NULL &&
	    (p == text || strchr(" \t\r\n}", p[-1]) != NULL);
}

unsigned
cm_conf_next_section(const char **at, unsigned *line, const char *name)
{
	unsigned found = 0, depth = 0;
	const char *p = *at, *end;

	for (; *p != '\0'; p = end) {
		end = *p == '"' || *p == '\'' ? skip_quoted((char *)(uintptr_t)p) : p + 1;
		if (depth == 0 && found == 0 && is_word(*at, p, name))
			found = *line;
		for (const char *c = p; c < end; c++)
			*line += *c == '\n';
		depth += *p == '{';
		if (*p == '}' && depth > 0 && --depth == 0 && found != 0) {
			p = end;
			break;
		}
	}
	*at = p;
	return found;
}

static const char *
skip_blanks(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

unsigned
cm_conf_find_empty_list(const char *text)
{
	const char *end, *list;
	unsigned line = 1;

	for (const char *p = text; *p != '\0'; p = end) {
		end = *p == '"' || *p == '\'' ? skip_quoted((char *)(uintptr_t)p) : p + 1;
		list = *p == '=' ? skip_blanks(p + 1) : "";
		if (*list == '{' && *skip_blanks(list + 1) == '}')
			return line;
		for (const char *c = p; c < end; c++)
			line += *c == '\n';
	}
	return 0;
}
