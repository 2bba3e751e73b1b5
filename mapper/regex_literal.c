/*
 * mapper/regex_literal.c - expressions that are literal text: no process is needed for those.
 *
 * Which octets are operators is glibc's parser's view (regcomp.c, peek_token):
 * what stands in neither list below is left to it.
 */
#include <stdlib.h>

#include "mapper/regex_internal.h"

/* Operators where they stand bare, and octets that stand for themselves behind a backslash. */
static const struct grammar {
	const char *operators, *escaped;
} extended = { ".[\\()*+?{|^$", ".[]\\()*+?{}|^$/-,=:;@#&!%~\"_ " },
  basic = { ".[\\*^$", ".[]\\*^$/-,=:;@#&!%~\"_ " };

static bool
is_in(const char *set, uint8_t c)
{
	return c != '\0' && strchr(set, c) != NULL;
}

static void
add_octet(struct cm_literal *l, uint8_t c, bool any)
{
	if (l->ignore_case && c >= 'A' && c <= 'Z')
		c = (uint8_t)(c + ('a' - 'A'));
	l->octets[l->len] = c;
	l->any[l->len++] = any;
	l->dots |= any;
}

/* From what is between the anchors.  false: something else than literal text. */
static bool
add_octets(struct cm_literal *l, struct cm_blob v, const struct grammar *g)
{
	for (size_t i = 0; i < v.len; i++) {
		const uint8_t c = v.ptr[i];

		if (c == '\\') {
			if (++i == v.len || !is_in(g->escaped, v.ptr[i]))
				return false;
			add_octet(l, v.ptr[i], false);
		} else if (c == '.') {
			add_octet(l, c, true);
		} else if (c == '\0' || is_in(g->operators, c)) {
			return false;
		} else {
			add_octet(l, c, false);
		}
	}
	return true;
}

/* Is the last octet a "$" that no backslash takes its meaning from? */
static bool
has_end(struct cm_blob v)
{
	size_t backslashes = 0;

	if (v.len == 0 || v.ptr[v.len - 1] != '$')
		return false;
	while (backslashes < v.len - 1 && v.ptr[v.len - 2 - backslashes] == '\\')
		backslashes++;
	return backslashes % 2 == 0;
}

/* Beyond this the simple search for text with dots could take long. */
#define SEARCH_MAX	256

enum cm_err
cm_literal_parse(const struct cm_regex *x, struct cm_literal *out)
{
	const struct grammar *g = (x->flags & CM_REGEX_BASIC) != 0 ? &basic : &extended;
	struct cm_literal l = { .ignore_case = (x->flags & CM_REGEX_IGNORE_CASE) != 0 };
	struct cm_blob v = x->pattern;

	if ((l.octets = malloc(v.len + 1)) == NULL || (l.any = calloc(1, v.len + 1)) == NULL) {
		cm_literal_clear(&l);
		return CM_ERR_NOMEM;
	}
	if (v.len > 0 && v.ptr[0] == '^') {
		l.begins = true;
		v = (struct cm_blob){ v.ptr + 1, v.len - 1 };
	}
	if (has_end(v)) {
		l.ends = true;
		v.len--;
	}
	if (!add_octets(&l, v, g) || (!l.begins && (l.dots || l.ignore_case) && l.len > SEARCH_MAX)) {
		cm_literal_clear(&l);
		return CM_ERR_ABSENT;
	}
	*out = l;
	return CM_OK;
}

void
cm_literal_clear(struct cm_literal *l)
{
	free(l->octets);
	free(l->any);
	*l = (struct cm_literal){ 0 };
}

static bool
is_at(const struct cm_literal *l, const uint8_t *p)
{
	if (!l->dots && !l->ignore_case)
		return l->len == 0 || memcmp(p, l->octets, l->len) == 0;
	for (size_t i = 0; i < l->len; i++) {
		uint8_t c = p[i];

		if (l->ignore_case && c >= 'A' && c <= 'Z')
			c = (uint8_t)(c + ('a' - 'A'));
		if (!l->any[i] && c != l->octets[i])
			return false;
	}
	return true;
}

bool
cm_literal_match(const struct cm_literal *l, struct cm_blob text)
{
	if (l->len > text.len || (l->begins && l->ends && l->len != text.len))
		return false;
	if (l->len == 0)
		return true;
	if (l->begins)
		return is_at(l, text.ptr);
	if (l->ends)
		return is_at(l, text.ptr + text.len - l->len);
	if (!l->dots && !l->ignore_case)
		return memmem(text.ptr, text.len, l->octets, l->len) != NULL;
	for (size_t i = 0; i + l->len <= text.len; i++)
		if (is_at(l, text.ptr + i))
			return true;
	return false;
}

/* Behind a bracket expression that begins at i (its "["): POSIX.1-2017 XBD 9.3.5. */
static size_t
skip_bracket(struct cm_blob v, size_t i)
{
	i++;
	i += i < v.len && v.ptr[i] == '^';
	i += i < v.len && v.ptr[i] == ']';	/* first, it stands for itself */
	while (i < v.len && v.ptr[i] != ']') {
		const uint8_t kind = i + 1 < v.len ? v.ptr[i + 1] : 0;

		if (v.ptr[i] != '[' || (kind != ':' && kind != '.' && kind != '=')) {
			i++;
			continue;
		}
		for (i += 2; i + 1 < v.len && (v.ptr[i] != kind || v.ptr[i + 1] != ']'); i++)
			;
		i += 2;
	}
	return i + 1;
}

size_t
cm_regex_back_reference(struct cm_blob v)
{
	for (size_t i = 0; i < v.len;) {
		if (v.ptr[i] == '[') {
			i = skip_bracket(v, i);
		} else if (v.ptr[i] != '\\') {
			i++;
		} else {
			if (i + 1 < v.len && v.ptr[i + 1] >= '1' && v.ptr[i + 1] <= '9')
				return i + 1;
			i += 2;
		}
	}
	return 0;
}
