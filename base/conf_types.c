/* base/conf_types.c - what a value of the configuration may be: texts, lists, numbers, flags, choices. */
#include "base/conf_internal.h"

#include <stdlib.h>

#include "base/list.h"

static const char *
set_text(void *field, const struct cm_conf_row *r, const char *text)
{
	char **p = field, *copy;

	/* "" takes a default away; where there is none, somebody forgot the value. */
	if (text[0] == '\0' && r->fallback == NULL)
		return "expected a value: or leave it out";
	if ((copy = strdup(text)) == NULL)
		return "out of memory";
	free(*p);
	*p = copy;
	return NULL;
}

static void
clear_text(void *field)
{
	char **p = field;

	free(*p);
	*p = NULL;
}

static void
show_text(const void *field, const struct cm_conf_row *r, struct cm_buf *out)
{
	const char *const *p = field;

	(void)r;
	if (*p != NULL)
		cm_buf_add_str(out, *p);
}

static void
clear_list(void *field)
{
	cm_list_free(field);
}

static const char *
append_text(void *field, const struct cm_conf_row *r, const char *text)
{
	(void)r;
	if (text[0] == '\0')
		return "expected a value: or leave it out";
	return cm_list_add(field, cm_blob_str(text)) == CM_OK ? NULL : "out of memory";
}

static const char *
after_scheme(const char *url)
{
	static const char *const schemes[] = { "http://", "https://", "ldap://", "ldaps://" };

	for (size_t i = 0; i < CM_COUNT(schemes); i++)
		if (strncmp(url, schemes[i], strlen(schemes[i])) == 0)
			return url + strlen(schemes[i]);
	return NULL;
}

/* "FROM TO", both addresses that lists come from. */
static const char *
append_mirror(void *field, const struct cm_conf_row *r, const char *text)
{
	const size_t from = strcspn(text, " ");
	const char *to = text + from + strspn(text + from, " "), *host;

	if (from == 0 || to[0] == '\0' || strpbrk(to, " \t") != NULL || memchr(text, '\t', from) != NULL)
		return "expected two addresses, 'FROM TO'";
	if (after_scheme(text) == NULL || (host = after_scheme(to)) == NULL)
		return "expected addresses that begin with http://, https://, ldap:// or ldaps://";
	if (host[0] == '\0' || (host[0] == '/' && strncmp(to, "ldap", 4) != 0))
		return "the second address names no server";
	return append_text(field, r, text);
}

/* A slot of a PIV card that can log somebody in (NIST SP 800-73-4 Part 1, table 4b); 0: it is none. */
static unsigned
slot_of(const char *text, size_t len)
{
	char digits[3] = "";
	char *end;
	unsigned long slot;

	if (len != 2)
		return 0;
	memcpy(digits, text, len);
	slot = strtoul(digits, &end, 16);
	return *end == '\0' && (slot == 0x9A || slot == 0x9C || (slot >= 0x82 && slot <= 0x95)) ? (unsigned)slot : 0;
}

/* "9c", or "82-95". */
static const char *
append_slot(void *field, const struct cm_conf_row *r, const char *text)
{
	const size_t len = strcspn(text, "-");
	const unsigned first = slot_of(text, len), last = text[len] == '-' ? slot_of(text + len + 1, strlen(text + len + 1)) : first;

	if (first == 0 || last < first || (text[len] == '-' && last > 0x95))
		return "expected 9a, 9c, one of 82 to 95, or a range of these as 82-95";
	return append_text(field, r, text);
}

/* What is run inside our processes is named as a whole. */
static const char *
append_place(void *field, const struct cm_conf_row *r, const char *text)
{
	return text[0] == '/' ? append_text(field, r, text) : "expected a whole path, from / on";
}

static void
show_list(const void *field, const struct cm_conf_row *r, struct cm_buf *out)
{
	char *const *const *p = field;

	(void)r;
	for (size_t i = 0; i < cm_list_length(*p); i++) {
		cm_buf_add_str(out, i > 0 ? ", " : "");
		cm_buf_add_str(out, (*p)[i]);
	}
}

static const char *
set_number(void *field, const struct cm_conf_row *r, const char *text)
{
	unsigned *p = field;
	unsigned long v;
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return "expected a number";
	v = strtoul(text, &end, 10);
	if (*end != '\0')
		return "expected a number";
	if (v < r->min || v > r->max)
		return "out of range";
	*p = (unsigned)v;
	return NULL;
}

static void
show_number(const void *field, const struct cm_conf_row *r, struct cm_buf *out)
{
	(void)r;
	cm_buf_addf(out, "%u", *(const unsigned *)field);
}

static const char *
set_flag(void *field, const struct cm_conf_row *r, const char *text)
{
	static const char *const words[] = { "no", "yes", "false", "true", "off", "on", "0", "1" };

	(void)r;
	for (size_t i = 0; i < CM_COUNT(words); i++)
		if (strcmp(text, words[i]) == 0) {
			*(bool *)field = i % 2 == 1;
			return NULL;
		}
	return "expected yes or no";
}

static void
show_flag(const void *field, const struct cm_conf_row *r, struct cm_buf *out)
{
	(void)r;
	cm_buf_add_str(out, *(const bool *)field ? "yes" : "no");
}

static const char *
set_choice(void *field, const struct cm_conf_row *r, const char *text)
{
	for (unsigned i = 0; r->words[i] != NULL; i++) {
		const char digit[2] = { (char)('0' + i), '\0' };

		if (strcmp(text, r->words[i]) == 0 || strcmp(text, digit) == 0) {
			*(unsigned *)field = i;
			return NULL;
		}
	}
	return "no such choice";
}

static void
show_choice(const void *field, const struct cm_conf_row *r, struct cm_buf *out)
{
	cm_buf_add_str(out, r->words[*(const unsigned *)field]);
}

/* A choice of two words, held as a flag. */
static const char *
set_pair(void *field, const struct cm_conf_row *r, const char *text)
{
	for (unsigned i = 0; r->words[i] != NULL; i++) {
		if (strcmp(text, r->words[i]) == 0) {
			*(bool *)field = i != 0;
			return NULL;
		}
	}
	return "no such choice";
}

static void
show_pair(const void *field, const struct cm_conf_row *r, struct cm_buf *out)
{
	cm_buf_add_str(out, r->words[*(const bool *)field]);
}

const struct cm_conf_type
cm_conf_text = { "text", false, set_text, show_text, clear_text },
cm_conf_path = { "path", false, set_text, show_text, clear_text },
cm_conf_list = { "list", true, append_text, show_list, clear_list },
cm_conf_number = { "number", false, set_number, show_number, NULL },
cm_conf_flag = { "yes or no", false, set_flag, show_flag, NULL },
cm_conf_choice = { "choice", false, set_choice, show_choice, NULL },
cm_conf_mirrors = { "list", true, append_mirror, show_list, clear_list },
cm_conf_slots = { "list", true, append_slot, show_list, clear_list },
cm_conf_places = { "list", true, append_place, show_list, clear_list },
cm_conf_pair = { "choice", false, set_pair, show_pair, NULL };

void
cm_conf_describe(const struct cm_conf_row *r, const char *section, const char *value,
    const char *wrong, struct cm_buf *out)
{
	cm_buf_addf(out, "%s%s%s = %s: %s", section != NULL ? section : "", section != NULL ? "." : "",
	    r->key, value, wrong);
	if (r->type == &cm_conf_number)
		cm_buf_addf(out, "; expected %u to %u%s%s", r->min, r->max, r->unit[0] != '\0' ? " " : "",
		    r->unit);
	for (size_t i = 0; r->words != NULL && r->words[i] != NULL; i++)
		cm_buf_addf(out, "%s%s", i == 0 ? "; expected one of " : ", ", r->words[i]);
	if (r->type == &cm_conf_level || r->type == &cm_conf_rule_level)
		cm_buf_add_str(out, ", and behind soft or hard an age, as in 'soft 72h'");
}
