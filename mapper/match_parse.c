/* mapper/match_parse.c - the text of a match part, taken apart: sss-certmap(5), MATCHING RULE */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "mapper/match_internal.h"

struct parser {
	const char *text;	/* all of it, for columns */
	const char *p;
	struct cm_match *match;
	struct cm_syntax *why;
};

static enum cm_err CM_PRINTF(3, 4)
fail(struct parser *s, const char *at, const char *fmt, ...)
{
	va_list ap;

	s->why->column = (size_t)(at - s->text) + 1;
	va_start(ap, fmt);
	(void)vsnprintf(s->why->what, sizeof(s->why->what), fmt, ap);
	va_end(ap);
	return CM_ERR_SYNTAX;
}

/* One place of the rule's text, for messages: no longer than they have room for. */
#define SHOWN(v)	(int)((v).len < 40 ? (v).len : 40), (const char *)(v).ptr

static const struct usage {
	const char *name;
	unsigned bit;
} usages[] = {
	{ "digitalSignature", 0x80 }, { "nonRepudiation", 0x40 }, { "keyEncipherment", 0x20 },
	{ "dataEncipherment", 0x10 }, { "keyAgreement", 0x08 }, { "keyCertSign", 0x04 },
	{ "cRLSign", 0x02 }, { "encipherOnly", 0x01 }, { "decipherOnly", 0x8000 },
};

static const struct purpose {
	const char *name, *oid;
} purposes[] = {
	{ "serverAuth", "1.3.6.1.5.5.7.3.1" },		/* RFC 5280 section 4.2.1.12 */
	{ "clientAuth", "1.3.6.1.5.5.7.3.2" },
	{ "codeSigning", "1.3.6.1.5.5.7.3.3" },
	{ "emailProtection", "1.3.6.1.5.5.7.3.4" },
	{ "timeStamping", "1.3.6.1.5.5.7.3.8" },
	{ "OCSPSigning", "1.3.6.1.5.5.7.3.9" },
	{ "KPClientAuth", "1.3.6.1.5.2.3.4" },		/* RFC 4556 section 3.2.2 */
	{ "pkinit", "1.3.6.1.5.2.3.4" },
	{ "msScLogin", "1.3.6.1.4.1.311.20.2.2" },
};

/* Is v this word, in any case? */
static bool
is_word(struct cm_blob v, const char *word)
{
	return v.len == strlen(word) && strncasecmp((const char *)v.ptr, word, v.len) == 0;
}

static bool
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/* Digits and dots, digits at both ends. */
static bool
is_dotted(struct cm_blob v)
{
	if (v.len == 0 || !is_digit(v.ptr[0]) || !is_digit(v.ptr[v.len - 1]))
		return false;
	for (size_t i = 0; i < v.len; i++)
		if (!is_digit(v.ptr[i]) && v.ptr[i] != '.')
			return false;
	return memchr(v.ptr, '.', v.len) != NULL;
}

/* A number of 32 bits, decimal or 0x and hexadecimal, not 0. */
static bool
parse_number(struct cm_blob v, unsigned *out)
{
	const int base = v.len > 2 && v.ptr[0] == '0' && (v.ptr[1] == 'x' || v.ptr[1] == 'X') ? 16 : 10;
	char text[16], *end;
	unsigned long long n;

	if (v.len == 0 || v.len >= sizeof(text) || !is_digit(v.ptr[0]))
		return false;
	memcpy(text, v.ptr, v.len);
	text[v.len] = '\0';
	errno = 0;
	n = strtoull(text, &end, base);
	if (*end != '\0' || errno != 0 || n == 0 || n > UINT32_MAX)
		return false;
	*out = (unsigned)n;
	return true;
}

static enum cm_err
add_usage(struct parser *s, struct cm_component *x, struct cm_blob v)
{
	unsigned bits;

	for (size_t i = 0; i < CM_COUNT(usages); i++) {
		if (is_word(v, usages[i].name)) {
			x->usage |= usages[i].bit;
			return CM_OK;
		}
	}
	if (!parse_number(v, &bits))
		return fail(s, (const char *)v.ptr, "unknown key usage \"%.*s\"; expected "
		    "digitalSignature, nonRepudiation, keyEncipherment or another, or a number", SHOWN(v));
	x->usage |= bits;
	return CM_OK;
}

static enum cm_err
add_oid(struct cm_component *x, struct cm_blob v)
{
	char **oids = realloc(x->oids, (x->oid_count + 1) * sizeof(*oids));

	if (oids == NULL)
		return CM_ERR_NOMEM;
	x->oids = oids;
	if ((oids[x->oid_count] = strndup((const char *)v.ptr, v.len)) == NULL)
		return CM_ERR_NOMEM;
	x->oid_count++;
	return CM_OK;
}

static enum cm_err
add_purpose(struct parser *s, struct cm_component *x, struct cm_blob v)
{
	for (size_t i = 0; i < CM_COUNT(purposes); i++)
		if (is_word(v, purposes[i].name))
			return add_oid(x, cm_blob_str(purposes[i].oid));
	if (!is_dotted(v))
		return fail(s, (const char *)v.ptr, "unknown extended key usage \"%.*s\"; expected "
		    "clientAuth, pkinit, msScLogin or another, or an OID as 1.2.3", SHOWN(v));
	return add_oid(x, v);
}

static struct cm_blob
trimmed(struct cm_blob v)
{
	while (v.len > 0 && isspace(v.ptr[0]))
		v = (struct cm_blob){ v.ptr + 1, v.len - 1 };
	while (v.len > 0 && isspace(v.ptr[v.len - 1]))
		v.len--;
	return v;
}

/* Words parted by commas, with white space around them; empty ones do not count. */
static enum cm_err
parse_list(struct parser *s, struct cm_component *x, struct cm_blob v,
    enum cm_err (*add)(struct parser *, struct cm_component *, struct cm_blob))
{
	const char *const start = (const char *)v.ptr;
	size_t words = 0;

	while (v.len > 0) {
		const uint8_t *comma = memchr(v.ptr, ',', v.len);
		const size_t len = comma != NULL ? (size_t)(comma - v.ptr) : v.len;
		const struct cm_blob word = trimmed((struct cm_blob){ v.ptr, len });
		const enum cm_err err = word.len > 0 ? add(s, x, word) : CM_OK;

		if (err != CM_OK)
			return err;
		words += word.len > 0;
		v = (struct cm_blob){ v.ptr + len + (comma != NULL), v.len - len - (comma != NULL) };
	}
	return words > 0 ? CM_OK : fail(s, start, "the list is empty; expected a name");
}

static enum cm_err
parse_base64(struct parser *s, struct cm_component *x, struct cm_blob v)
{
	if ((x->bytes = malloc(v.len + 1)) == NULL)
		return CM_ERR_NOMEM;
	x->len = cm_base64_parse(v, false, x->bytes);
	return x->len == 0 || x->len == SIZE_MAX ?
	    fail(s, (const char *)v.ptr, "expected base64 without white space") : CM_OK;
}

static enum cm_err
parse_regex(struct parser *s, struct cm_component *x, struct cm_blob v)
{
	const unsigned group = x->kind == &cm_component_oid_kind ? CM_REGEX_GROUPS - 1 :
	    (unsigned)(x->kind - cm_component_kinds);
	const struct cm_regex regex = { .pattern = v, .group = group };
	const enum cm_err err = cm_regexes_add(s->match->regexes, &regex, &x->regex, s->why);
	char what[sizeof(s->why->what)];

	if (err != CM_ERR_SYNTAX && err != CM_ERR_CONFIG)
		return err;
	s->why->column += (size_t)((const char *)v.ptr - s->text);
	memcpy(what, s->why->what, sizeof(what));
	what[sizeof(what) - 1] = '\0';
	(void)snprintf(s->why->what, sizeof(s->why->what), "regular expression: %.*s",
	    (int)(sizeof(what) - 32), what);
	return err;
}

/* An abbreviation is enough, in any case, and an OID is an otherName's; "" is <SAN>. */
static enum cm_err
find_san(struct parser *s, struct cm_component *x, struct cm_blob option)
{
	if (option.len == 0)
		option = cm_blob_str("Principal");
	for (const struct cm_component_kind *k = cm_component_kinds; strchr(k->name, ':') != NULL; k++) {
		if (strncasecmp(k->name + strlen("SAN:"), (const char *)option.ptr, option.len) == 0) {
			x->kind = k;
			return CM_OK;
		}
	}
	if (!is_dotted(option))
		return fail(s, s->p, "unknown kind of name \"%.*s\"; expected Principal, rfc822Name, "
		    "dNSName, ntPrincipalName or another, or an OID", SHOWN(option));
	x->kind = &cm_component_oid_kind;
	return add_oid(x, option);
}

/* From behind "<" to behind ">". */
static enum cm_err
parse_kind(struct parser *s, struct cm_component *x)
{
	const char *end = strchr(s->p, '>');
	const size_t len = end != NULL ? (size_t)(end - s->p) : strcspn(s->p, "<");
	const size_t san = strlen("SAN:");
	enum cm_err err = CM_OK;

	if (end == NULL)
		return fail(s, s->p, "\"<%.*s\" has no end; expected >", (int)(len < 40 ? len : 40), s->p);
	if (strncmp(s->p, "SAN:", san) == 0) {
		s->p += san;
		err = find_san(s, x, (struct cm_blob){ (const uint8_t *)s->p, len - san });
	} else {
		for (const struct cm_component_kind *k = cm_component_kinds; k->name != NULL; k++)
			if (strlen(k->name) == len && strncmp(s->p, k->name, len) == 0)
				x->kind = k;
		if (x->kind == NULL)
			err = fail(s, s->p, "unknown component \"<%.*s>\"; expected <ISSUER>, <SUBJECT>, "
			    "<KU>, <EKU>, <SAN> or <SAN:...>", (int)(len < 40 ? len : 40), s->p);
	}
	s->p = end + 1;
	return err;
}

static enum cm_err
parse_value(struct parser *s, struct cm_component *x, struct cm_blob v)
{
	if (v.len == 0)
		return fail(s, s->p, "<%s> has no value", x->kind->name);
	switch (x->kind->value) {
	case CM_VALUE_USAGES:
		return parse_list(s, x, v, add_usage);
	case CM_VALUE_OIDS:
		return parse_list(s, x, v, add_purpose);
	case CM_VALUE_BASE64:
		return parse_base64(s, x, v);
	default:
		return parse_regex(s, x, v);
	}
}

/* A component's value goes on to the next "<": an expression cannot hold one. */
static enum cm_err
parse_component(struct parser *s, struct cm_component *x)
{
	const char *start = s->p;
	struct cm_blob v;
	enum cm_err err;

	if (*s->p++ != '<')
		return fail(s, start, "expected a component as <ISSUER>, <SUBJECT>, <KU>, <EKU>, <SAN> here");
	if ((err = parse_kind(s, x)) != CM_OK)
		return err;
	v = (struct cm_blob){ (const uint8_t *)s->p, strcspn(s->p, "<") };
	if ((err = parse_value(s, x, v)) != CM_OK)
		return err;
	s->p += v.len;
	x->text = strndup(start, (size_t)(s->p - start));
	return x->text != NULL ? CM_OK : CM_ERR_NOMEM;
}

/* "KRB5:", ":" or nothing: capitals and digits before the first colon are the language's name. */
static enum cm_err
parse_prefix(struct parser *s)
{
	const char *colon = strchr(s->p, ':');
	const size_t len = colon != NULL ? (size_t)(colon - s->p) : 0;

	if (colon == NULL || strspn(s->p, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") < len)
		return CM_OK;
	if (len > 0 && (len != 4 || strncmp(s->p, "KRB5", len) != 0))
		return fail(s, s->p, "unknown language \"%.*s:\"; expected KRB5: or none",
		    (int)(len < 40 ? len : 40), s->p);
	s->p = colon + 1;
	return CM_OK;
}

static void
parse_relation(struct parser *s)
{
	if (strncmp(s->p, "&&", 2) == 0 || strncmp(s->p, "||", 2) == 0) {
		s->match->any = s->p[0] == '|';
		s->p += 2;
	}
}

/* The issuer that <ISSUER>^text$ asks for, where there is no way around it. */
static enum cm_err
note_issuer(struct cm_match *m, const struct cm_component *x)
{
	const struct cm_regex regex = { .pattern = cm_blob_str(x->text + strlen("<ISSUER>")) };
	struct cm_literal l = { 0 };
	enum cm_err err;

	if ((err = cm_literal_parse(&regex, &l)) != CM_OK)
		return err == CM_ERR_ABSENT ? CM_OK : err;
	if (l.begins && l.ends && !l.dots && m->issuer == NULL) {
		m->issuer = strndup((const char *)l.octets, l.len);
		err = m->issuer != NULL ? CM_OK : CM_ERR_NOMEM;
	}
	cm_literal_clear(&l);
	return err;
}

static enum cm_err
note_issuers(struct cm_match *m)
{
	enum cm_err err = CM_OK;

	if (m->any && m->count > 1)
		return CM_OK;
	for (size_t i = 0; err == CM_OK && i < m->count; i++)
		if (strcmp(m->components[i].kind->name, "ISSUER") == 0)
			err = note_issuer(m, &m->components[i]);
	return err;
}

static enum cm_err
parse_components(struct parser *s)
{
	struct cm_match *m = s->match;
	enum cm_err err = CM_OK;

	while (err == CM_OK && *s->p != '\0') {
		struct cm_component *all = realloc(m->components, (m->count + 1) * sizeof(*all));

		if (all == NULL)
			return CM_ERR_NOMEM;
		m->components = all;
		all[m->count] = (struct cm_component){ .kind = NULL };
		err = parse_component(s, &all[m->count++]);
	}
	return err;
}

enum cm_err
cm_match_parse(const char *text, struct cm_regexes *re, struct cm_match **out,
    struct cm_syntax *why)
{
	struct cm_match *m = calloc(1, sizeof(*m));
	struct parser s = { .text = text, .p = text, .match = m, .why = why };
	enum cm_err err;

	*out = NULL;
	*why = (struct cm_syntax){ .column = 1 };
	if (m == NULL)
		return CM_ERR_NOMEM;
	m->regexes = re;
	if (strlen(text) > CM_FORMAT_MAX)
		err = fail(&s, text + CM_FORMAT_MAX, "the rule is too long");
	else
		err = parse_prefix(&s);
	if (err == CM_OK) {
		parse_relation(&s);
		err = parse_components(&s);
	}
	if (err == CM_OK)
		err = note_issuers(m);
	if (err != CM_OK)
		cm_match_free(&m);
	*out = m;
	return err;
}
