/*
 * base/conf_comments.c - take comments out of a configuration before libconfuse reads it.
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
