/*
 * mapper/strength.c - what a rule's value is tied to, read from its template.
 *
 * A value compared as a whole is tied to all of its fields.  Of a filter, an
 * AND is as strong as its strongest part, an OR as weak as its weakest, and
 * what is no plain equality is tied to nothing.
 */
#include "mapper/rules_internal.h"

#include <stdio.h>
#include <strings.h>

#define DEPTH_MAX	16
#define END	(-1)
#define FIELD	(-2)

struct tie {
	unsigned binds;		/* CM_BINDS_* */
	bool strong;
};

static bool
is_strong(unsigned binds)
{
	const unsigned serial = CM_BINDS_ISSUER | CM_BINDS_SERIAL;

	return (binds & (CM_BINDS_KEY | CM_BINDS_CERT | CM_BINDS_SKI | CM_BINDS_SID)) != 0 ||
	    (binds & serial) == serial;
}

/* Where the scan of a filter stands. */
struct scan {
	const struct cm_template *tp;
	size_t segment, at;	/* at: in the segment's literal */
	unsigned depth;
	struct cm_syntax *why;
};

static int
peek(const struct scan *s)
{
	const struct cm_segment *seg;

	if (s->segment == s->tp->count)
		return END;
	seg = &s->tp->segments[s->segment];
	return seg->ref.field != NULL ? FIELD : seg->literal.ptr[s->at];
}

/* A template holds no empty literals. */
static void
skip(struct scan *s)
{
	const struct cm_segment *seg = &s->tp->segments[s->segment];

	if (seg->ref.field == NULL && ++s->at < seg->literal.len)
		return;
	s->segment++;
	s->at = 0;
}

static enum cm_err
fail(struct scan *s, const char *what)
{
	s->why->column = 0;
	snprintf(s->why->what, sizeof(s->why->what), "%s", what);
	return CM_ERR_SYNTAX;
}

static void
skip_spaces(struct scan *s)
{
	while (peek(s) == ' ' || peek(s) == '\t' || peek(s) == '\n')
		skip(s);
}

/*
 * Does what stands before the "=" ask for the whole value?  Of matching rules
 * (RFC 4517 section 4.2) most do not: bits, parts of a value, what follows a chain.
 */
static bool
is_equality(const char *before, size_t len)
{
	static const char *const rules[] = {
		"caseIgnoreMatch", "caseExactMatch", "caseIgnoreIA5Match", "caseExactIA5Match", "octetStringMatch",
		"integerMatch", "2.5.13.2", "2.5.13.5", "1.3.6.1.4.1.1466.109.114.2", "1.3.6.1.4.1.1466.109.114.1",
		"2.5.13.17", "2.5.13.14",
	};
	const char *rule = memchr(before, ':', len);

	if (rule == NULL)
		return strchr("<>~", before[len - 1]) == NULL;
	if (rule == before + len - 1)
		return true;	/* the attribute's own */
	for (size_t i = 0; i < CM_COUNT(rules); i++)
		if (len - (size_t)(rule + 1 - before) == strlen(rules[i]) + 1 &&
		    strncasecmp(rule + 1, rules[i], strlen(rules[i])) == 0)
			return true;
	return false;
}

/* RFC 4515 section 3: attr filtertype assertionvalue; the "(" has been read, the ")" is left. */
static enum cm_err
read_item(struct scan *s, struct tie *out)
{
	char before[256];
	size_t len = 0;
	bool equality;
	int c;

	for (; (c = peek(s)) != '='; skip(s)) {
		if (c == FIELD)
			return fail(s, "a field stands where the attribute does; write the attribute's name");
		if (c == END || c == '(' || c == ')' || len == sizeof(before))
			return fail(s, "expected \"(attribute=value)\"");
		before[len++] = (char)c;
	}
	if (len == 0)
		return fail(s, "an attribute's name is missing before \"=\"");
	equality = is_equality(before, len);
	for (skip(s); (c = peek(s)) != ')'; skip(s)) {
		if (c == END)
			return fail(s, "expected \")\" at the end");
		if (c == '(')
			return fail(s, "a \"(\" in a value is written \\28");
		if (c == '*')
			equality = false;
		else if (c == FIELD && s->tp->segments[s->segment].ref.part == NULL)
			out->binds |= s->tp->segments[s->segment].ref.field->binds;
	}
	if (!equality)
		out->binds = 0;
	out->strong = is_strong(out->binds);
	return CM_OK;
}

static enum cm_err read_filter(struct scan *s, struct tie *out);

static void
combine(int op, bool first, struct tie more, struct tie *out)
{
	if (first) {
		*out = more;
	} else if (op == '&') {
		out->binds |= more.binds;
		out->strong = out->strong || more.strong || is_strong(out->binds);
	} else {
		out->binds &= more.binds;
		out->strong = out->strong && more.strong;
	}
}

static enum cm_err
read_list(struct scan *s, int op, struct tie *out)
{
	enum cm_err err;

	if (++s->depth > DEPTH_MAX)
		return fail(s, "too many filters within filters");
	for (bool first = true;; first = false) {
		struct tie more = { .binds = 0 };

		skip_spaces(s);
		if (peek(s) == ')')
			break;
		if ((err = read_filter(s, &more)) != CM_OK)
			return err;
		combine(op, first, more, out);
	}
	s->depth--;
	if (op == '!')
		*out = (struct tie){ .binds = 0 };
	return CM_OK;
}

static enum cm_err
read_filter(struct scan *s, struct tie *out)
{
	enum cm_err err;
	int op;

	if (peek(s) != '(')
		return fail(s, "expected \"(\"");
	skip(s);
	skip_spaces(s);
	op = peek(s);
	if (op == '&' || op == '|' || op == '!') {
		skip(s);
		err = read_list(s, op, out);
	} else {
		err = read_item(s, out);
	}
	if (err == CM_OK)
		skip(s);	/* the ")" */
	return err;
}

/*
 * SSSD puts a mapping rule's text into "(&%s(objectClass=...))", so that there
 * several filters side by side are an AND (sdap users_get).
 */
static enum cm_err
read_whole(const struct cm_template *tp, struct tie *out, struct cm_syntax *why)
{
	struct scan s = { .tp = tp, .why = why };
	enum cm_err err = CM_OK;

	for (bool first = true; first || (tp->dialect != CM_DIALECT_OWN && peek(&s) == '('); first = false) {
		struct tie more = { .binds = 0 };

		if ((err = read_filter(&s, &more)) != CM_OK)
			return err;
		combine('&', first, more, out);
	}
	return peek(&s) == END ? CM_OK : fail(&s, "something stands behind the filter's last \")\"");
}

bool
cm_filter_is_list(const struct cm_template *tp)
{
	struct cm_syntax why;
	struct scan s = { .tp = tp, .why = &why };
	struct tie tie = { .binds = 0 };

	return read_filter(&s, &tie) == CM_OK && peek(&s) != END;
}

enum cm_err
cm_strength_of(const struct cm_template *tp, bool filter, enum cm_strength *strength, bool *key,
    struct cm_syntax *why)
{
	struct tie tie = { .binds = 0 };
	enum cm_err err;

	if (filter && (err = read_whole(tp, &tie, why)) != CM_OK)
		return err;
	for (size_t i = 0; !filter && i < tp->count; i++)
		if (tp->segments[i].ref.field != NULL && tp->segments[i].ref.part == NULL)
			tie.binds |= tp->segments[i].ref.field->binds;
	*strength = tie.strong || is_strong(tie.binds) ? CM_STRONG : CM_WEAK;
	*key = (tie.binds & CM_BINDS_KEY) != 0;
	return CM_OK;
}
