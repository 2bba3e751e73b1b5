/* ldap/filter_judge.c - does a filter hold for an entry, as far as that can be seen here? */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ldap/directory_internal.h"
#include "ldap/filter_internal.h"

struct judge {
	const struct cm_filter *f;
	const struct cm_entry *e;
	bool all_shown;
	enum cm_err err;	/* CM_ERR_NOMEM: what was judged is worth nothing */
	const struct cm_filter_node *parts[CM_JUDGED_TRUE + 1];	/* the first that came to each */
};

struct cm_filter_kind {
	enum cm_filter_form form;
	enum cm_judgement (*judge)(struct judge *j, const struct cm_filter_node *n);
	/* of a part about one attribute: does this value of it answer? */
	enum cm_judgement (*test)(struct judge *j, const struct cm_filter_node *n, struct cm_blob v);
};

static enum cm_judgement
judge_node(struct judge *j, const struct cm_filter_node *n)
{
	const enum cm_judgement got = n->kind->judge(j, n);

	if (j->parts[got] == NULL)
		j->parts[got] = n;
	return got;
}

/* RFC 4511 section 4.5.1.7: the least decides */
static enum cm_judgement
judge_and(struct judge *j, const struct cm_filter_node *n)
{
	enum cm_judgement least = CM_JUDGED_TRUE;

	for (const struct cm_filter_node *c = n + 1; c < j->f->nodes + n->end; c = j->f->nodes + c->end) {
		const enum cm_judgement got = judge_node(j, c);

		least = got < least ? got : least;
	}
	return least;
}

static enum cm_judgement
judge_or(struct judge *j, const struct cm_filter_node *n)
{
	enum cm_judgement greatest = CM_JUDGED_FALSE;

	for (const struct cm_filter_node *c = n + 1; c < j->f->nodes + n->end; c = j->f->nodes + c->end) {
		const enum cm_judgement got = judge_node(j, c);

		greatest = got > greatest ? got : greatest;
	}
	return greatest;
}

/* Most entries lack what is excluded: that an attribute is not shown says nothing, and the server's word holds. */
static enum cm_judgement
judge_not(struct judge *j, const struct cm_filter_node *n)
{
	static const enum cm_judgement opposite[] = {
		[CM_JUDGED_FALSE] = CM_JUDGED_TRUE, [CM_JUDGED_HIDDEN] = CM_JUDGED_UNKNOWN,
		[CM_JUDGED_UNKNOWN] = CM_JUDGED_UNKNOWN, [CM_JUDGED_TRUE] = CM_JUDGED_FALSE,
	};

	return opposite[judge_node(j, n + 1)];
}

static enum cm_judgement
judge_item(struct judge *j, const struct cm_filter_node *n)
{
	enum cm_judgement best = j->all_shown ? CM_JUDGED_FALSE : CM_JUDGED_HIDDEN;
	bool shown = false;

	for (const char *name = n->attribute; name != NULL && !shown; name = cm_attribute_other_name(name))
		for (size_t i = 0; i < j->e->count; i++) {
			enum cm_judgement got;

			if (!cm_attribute_answers(j->e->values[i].attribute, name))
				continue;
			got = n->kind->test(j, n, j->e->values[i].value);
			best = !shown || got > best ? got : best;
			shown = true;
		}
	return best;
}

/*
 * Attributes whose values may be equal though they differ as text: DNs, classes
 * with those above them, telephone numbers, Active Directory's short form of a
 * category.  That two differ, the server alone can tell.
 */
static bool
is_loose(const char *attribute)
{
	static const char *const loose[] = {
		"objectClass", "objectCategory", "structuralObjectClass", "memberOf", "member", "uniqueMember",
		"manager", "owner", "seeAlso", "secretary", "entryDN", "distinguishedName", "creatorsName",
		"modifiersName", "telephoneNumber", "facsimileTelephoneNumber", "mobile", "homePhone", "pager",
	};

	for (size_t i = 0; i < CM_COUNT(loose); i++)
		if (strcasecmp(loose[i], attribute) == 0)
			return true;
	return false;
}

/*
 * RFC 4523 section 3.1, CertificateExactMatch: a certificate, which is a DER
 * SEQUENCE, is asked for by "{ serialNumber 5, issuer rdnSequence:"CN=CA" }".
 */
static bool
asks_for_certificate(struct cm_blob asserted, struct cm_blob v)
{
	return asserted.len > 0 && asserted.ptr[0] == '{' && v.len > 1 && v.ptr[0] == 0x30 &&
	    (v.ptr[1] >= 0x80 || v.ptr[1] == v.len - 2);
}

static enum cm_judgement
test_equal(struct judge *j, const struct cm_filter_node *n, struct cm_blob v)
{
	if (cm_value_answers(n->attribute, n->value, v))
		return CM_JUDGED_TRUE;
	return !j->all_shown && (is_loose(n->attribute) || asks_for_certificate(n->value, v)) ? CM_JUDGED_UNKNOWN : CM_JUDGED_FALSE;
}

/* What is near to a value is the server's affair; a file has only what is equal. */
static enum cm_judgement
test_approximate(struct judge *j, const struct cm_filter_node *n, struct cm_blob v)
{
	if (cm_value_answers(n->attribute, n->value, v))
		return CM_JUDGED_TRUE;
	return j->all_shown ? CM_JUDGED_FALSE : CM_JUDGED_UNKNOWN;
}

static enum cm_judgement
test_present(struct judge *j, const struct cm_filter_node *n, struct cm_blob v)
{
	(void)j;
	(void)n;
	(void)v;
	return CM_JUDGED_TRUE;
}

/* RFC 4517 section 3.3.16, and negative as Active Directory's flags are. */
static bool
parse_integer(struct cm_blob v, int64_t *out)
{
	const bool negative = v.len > 1 && v.ptr[0] == '-';
	size_t i = negative ? 1 : 0;

	*out = 0;
	if (v.len == 0 || v.len - i > 18)
		return false;
	for (; i < v.len; i++) {
		if (v.ptr[i] < '0' || v.ptr[i] > '9')
			return false;
		*out = *out * 10 + (v.ptr[i] - '0');
	}
	*out = negative ? -*out : *out;
	return true;
}

/* Numbers are ordered here; whether texts are, and how, is the server's schema. */
static enum cm_judgement
test_order(struct judge *j, const struct cm_filter_node *n, struct cm_blob v)
{
	const bool greater = cm_filter_is(n, CM_FILTER_GREATER);
	int64_t asked, has;

	if (parse_integer(n->value, &asked) && parse_integer(v, &has))
		return (greater ? has >= asked : has <= asked) ? CM_JUDGED_TRUE : CM_JUDGED_FALSE;
	return j->all_shown ? CM_JUDGED_FALSE : CM_JUDGED_UNKNOWN;
}

/* As cm_value_compare() sees it, for searching in; spaces at the ends are dropped where asked. */
static void
add_prepared(const char *attribute, struct cm_blob v, bool first, bool last, struct cm_buf *out)
{
	if (cm_attribute_is_exact(attribute)) {
		cm_buf_add_blob(out, v);
		return;
	}
	while (first && v.len > 0 && v.ptr[0] == ' ')
		v.ptr++, v.len--;
	while (last && v.len > 0 && v.ptr[v.len - 1] == ' ')
		v.len--;
	for (size_t i = 0; i < v.len; i++) {
		const uint8_t c = v.ptr[i];

		if (c != ' ' || i == 0 || v.ptr[i - 1] != ' ')
			cm_buf_add_byte(out, c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c);
	}
}

/* One piece in what is left of the value, which is shortened by it. */
static bool
take_piece(struct cm_blob *left, struct cm_blob piece, bool first, bool last)
{
	const uint8_t *at;

	if (piece.len > left->len)
		return false;
	at = piece.len == 0 ? left->ptr : first ? left->ptr : last ? left->ptr + left->len - piece.len :
	    memmem(left->ptr, left->len, piece.ptr, piece.len);
	if (at == NULL || (piece.len > 0 && memcmp(at, piece.ptr, piece.len) != 0))
		return false;
	left->len -= (size_t)(at - left->ptr) + piece.len;
	left->ptr = at + piece.len;
	return true;
}

/* RFC 4517 section 4.2: each piece behind the one before it, the first at the beginning, the last at the end */
static enum cm_judgement
test_substrings(struct judge *j, const struct cm_filter_node *n, struct cm_blob v)
{
	struct cm_buf value = { 0 }, piece = { 0 };
	struct cm_blob left;
	bool holds = true;

	add_prepared(n->attribute, v, true, true, &value);
	cm_buf_add_byte(&value, '\0');	/* so that there are bytes to point at */
	left = (struct cm_blob){ value.ptr, value.len - 1 };
	for (size_t i = 0; i < n->piece_count && holds && cm_buf_status(&value) == CM_OK; i++) {
		const bool first = i == 0, last = i + 1 == n->piece_count;

		cm_buf_truncate(&piece, 0);
		add_prepared(n->attribute, n->pieces[i], first, last, &piece);
		holds = take_piece(&left, cm_buf_blob(&piece), first, last);
		if (cm_buf_status(&piece) != CM_OK)
			j->err = cm_buf_status(&piece);
	}
	if (cm_buf_status(&value) != CM_OK)
		j->err = cm_buf_status(&value);
	cm_buf_free(&value);
	cm_buf_free(&piece);
	return holds ? CM_JUDGED_TRUE : CM_JUDGED_FALSE;
}

static bool
match_bits_all(struct cm_blob asserted, struct cm_blob v)
{
	int64_t mask, bits;

	return parse_integer(asserted, &mask) && parse_integer(v, &bits) && (bits & mask) == mask;
}

static bool
match_bits_any(struct cm_blob asserted, struct cm_blob v)
{
	int64_t mask, bits;

	return parse_integer(asserted, &mask) && parse_integer(v, &bits) && (bits & mask) != 0;
}

static bool
match_integer(struct cm_blob asserted, struct cm_blob v)
{
	int64_t x, y;

	return parse_integer(asserted, &x) && parse_integer(v, &y) && x == y;
}

static bool
match_ignoring_case(struct cm_blob asserted, struct cm_blob v)
{
	return cm_value_compare(asserted, v) == 0;
}

/* Matching rules by name and OID: a new one is a row. */
static const struct matching_rule {
	const char *oid, *name;
	bool (*matches)(struct cm_blob asserted, struct cm_blob v);
} matching_rules[] = {
	{ "1.2.840.113556.1.4.803", "bitAndMatch", match_bits_all },	/* MS-ADTS 3.1.1.3.4.4.1 */
	{ "1.2.840.113556.1.4.804", "bitOrMatch", match_bits_any },	/* MS-ADTS 3.1.1.3.4.4.2 */
	/* RFC 4517 section 4.2 */
	{ "2.5.13.2", "caseIgnoreMatch", match_ignoring_case },
	{ "1.3.6.1.4.1.1466.109.114.2", "caseIgnoreIA5Match", match_ignoring_case },
	{ "2.5.13.5", "caseExactMatch", cm_blob_equal },
	{ "1.3.6.1.4.1.1466.109.114.1", "caseExactIA5Match", cm_blob_equal },
	{ "2.5.13.17", "octetStringMatch", cm_blob_equal },
	{ "2.5.13.14", "integerMatch", match_integer },
};

static const struct matching_rule *
find_rule(const char *name)
{
	for (size_t i = 0; i < CM_COUNT(matching_rules); i++)
		if (strcasecmp(matching_rules[i].oid, name) == 0 || strcasecmp(matching_rules[i].name, name) == 0)
			return &matching_rules[i];
	return NULL;
}

static enum cm_judgement
test_extensible(struct judge *j, const struct cm_filter_node *n, struct cm_blob v)
{
	if (n->rule[0] == '\0')
		return test_equal(j, n, v);
	return n->value.len > 0 && find_rule(n->rule)->matches(n->value, v) ? CM_JUDGED_TRUE : CM_JUDGED_FALSE;
}

/* A rule not known here, all attributes, the parts of the DN: the server's word. */
static enum cm_judgement
judge_extensible(struct judge *j, const struct cm_filter_node *n)
{
	if (n->dn || n->attribute[0] == '\0' || (n->rule[0] != '\0' && find_rule(n->rule) == NULL))
		return CM_JUDGED_UNKNOWN;
	return judge_item(j, n);
}

static const struct cm_filter_kind kinds[CM_FILTER_FORMS] = {
	[CM_FILTER_AND] = { CM_FILTER_AND, judge_and, NULL },
	[CM_FILTER_OR] = { CM_FILTER_OR, judge_or, NULL },
	[CM_FILTER_NOT] = { CM_FILTER_NOT, judge_not, NULL },
	[CM_FILTER_EQUAL] = { CM_FILTER_EQUAL, judge_item, test_equal },
	[CM_FILTER_PRESENT] = { CM_FILTER_PRESENT, judge_item, test_present },
	[CM_FILTER_SUBSTRINGS] = { CM_FILTER_SUBSTRINGS, judge_item, test_substrings },
	[CM_FILTER_GREATER] = { CM_FILTER_GREATER, judge_item, test_order },
	[CM_FILTER_LESS] = { CM_FILTER_LESS, judge_item, test_order },
	[CM_FILTER_APPROXIMATE] = { CM_FILTER_APPROXIMATE, judge_item, test_approximate },
	[CM_FILTER_EXTENSIBLE] = { CM_FILTER_EXTENSIBLE, judge_extensible, test_extensible },
};

const struct cm_filter_kind *
cm_filter_kind(enum cm_filter_form form)
{
	return &kinds[form];
}

bool
cm_filter_is(const struct cm_filter_node *n, enum cm_filter_form form)
{
	return n->kind == &kinds[form];
}

enum cm_err
cm_filter_judge(const struct cm_filter *f, const struct cm_entry *e, bool all_shown,
    enum cm_judgement *out, const struct cm_filter_node **part)
{
	struct judge j = { .f = f, .e = e, .all_shown = all_shown };

	*out = judge_node(&j, &f->nodes[0]);
	*part = *out == CM_JUDGED_HIDDEN || *out == CM_JUDGED_UNKNOWN ? j.parts[*out] : NULL;
	return j.err;
}

const struct cm_filter_node *
cm_filter_anchor(const struct cm_filter *f)
{
	const struct cm_filter_node *weak = NULL;

	for (size_t i = 0; i < f->count;) {
		const struct cm_filter_node *n = &f->nodes[i];

		if (cm_filter_is(n, CM_FILTER_EQUAL) && n->value.len > 0) {
			if (!is_loose(n->attribute))
				return n;
			weak = weak != NULL ? weak : n;
		}
		i = cm_filter_is(n, CM_FILTER_AND) ? i + 1 : n->end;	/* all in an "and" must hold */
	}
	return weak;
}
