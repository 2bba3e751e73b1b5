/* mapper/evaluate.c - the one evaluator of all rules: a certificate in, what a directory is asked out. */
#include "mapper/rules_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "mapper/fields_internal.h"

#define MISSING_MAX	12	/* rules that the message of NO_RULE names */
/* A filter holds its values escaped, "\xx" for a byte. */
#define FILTER_MAX	(CM_FORMAT_MAX + 3 * CM_VALUE_MAX)

/*
 * One certificate on its way through the rules.  Values stand one after the
 * other in bytes; a term's pointer is set once that is whole.
 */
struct pass {
	const struct cm_rules *rules;
	const struct cm_cert *cert;
	struct cm_trace *trace;
	bool all;			/* every rule has its line in the trace */
	struct cm_match_cert texts;	/* of the certificate, shared by all rules */
	struct cm_blob issuers[2];	/* that rules are found by: by name, by match part; ptr NULL: not needed */
	struct cm_buf bytes;
	struct cm_query_term first[32], *terms;
	size_t count, room;
	uint32_t priority;		/* of the rules that apply */
	struct cm_buf missing;		/* for the message that no rule applies */
	size_t missed;
	size_t elsewhere, other_issuer, later;	/* rules that were passed over */
};

/* The rule does not apply, and why.  Returns CM_ERR_ABSENT. */
static enum cm_err CM_PRINTF(3, 4)
miss(struct pass *p, const struct cm_rule *rule, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	if (p->trace == NULL)
		return CM_ERR_ABSENT;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cm_trace_add(p->trace, "does not apply", "%s", text);
	if (p->missed++ < MISSING_MAX) {
		cm_buf_add_str(&p->missing, "; rule ");
		cm_buf_add_str(&p->missing, rule->name);
		cm_buf_add_str(&p->missing, ": ");
		cm_buf_add_str(&p->missing, text);
	}
	return CM_ERR_ABSENT;
}

/* One "@" only: with two, a name's part before the first is not the one whose realm stands at the end. */
static bool
is_of_realm(struct cm_blob name, const char *realm)
{
	const size_t len = strlen(realm);

	return name.len > len + 1 && memchr(name.ptr, '\0', name.len) == NULL &&
	    memchr(name.ptr, '@', name.len) == name.ptr + name.len - len - 1 &&
	    strncasecmp((const char *)name.ptr + name.len - len, realm, len) == 0;
}

static enum cm_err
check_name(struct pass *p, const struct cm_rule *rule, struct cm_blob name, size_t *seen)
{
	if (name.len == 0)
		return CM_OK;
	(*seen)++;
	if (is_of_realm(name, rule->upn_suffix))
		return CM_OK;
	return miss(p, rule, "its principal name %.*s is of another realm than @%s",
	    (int)(name.len < 256 ? name.len : 256), (const char *)name.ptr, rule->upn_suffix);
}

/* A name that cannot be read is of no realm. */
static enum cm_err
check_pkinit(struct pass *p, const struct cm_rule *rule, const struct cm_cert_san *s, size_t *seen)
{
	static const struct cm_blob unreadable = { (const uint8_t *)"(unreadable)", 12 };
	struct cm_buf name;
	enum cm_err err;

	cm_buf_init(&name, 0);
	err = cm_san_principal(s, &name);
	if (err != CM_ERR_NOMEM)
		err = check_name(p, rule, err == CM_OK ? cm_buf_blob(&name) : unreadable, seen);
	cm_buf_free(&name);
	return err;
}

/*
 * A principal of another realm maps nothing, however well its name fits.  Every
 * one must be of this realm: fields differ in which of several they take.
 */
static enum cm_err
check_upn(struct pass *p, const struct cm_rule *rule)
{
	enum cm_err err = CM_OK;
	size_t count, seen = 0;
	const struct cm_cert_san *s = cm_cert_sans(p->cert, &count);

	if (rule->upn_suffix == NULL)
		return CM_OK;
	for (size_t i = 0; err == CM_OK && i < count; i++) {
		if (cm_san_is_upn(&s[i]))
			err = check_name(p, rule, s[i].text, &seen);
		else if (rule->pkinit && cm_san_is_pkinit(&s[i]))
			err = check_pkinit(p, rule, &s[i], &seen);
	}
	if (err == CM_OK && seen == 0)
		return miss(p, rule, "the certificate has no NT principal name, which must end with @%s",
		    rule->upn_suffix);
	return err;
}

static enum cm_err
check_match(struct pass *p, const struct cm_rule *rule)
{
	struct cm_buf why;
	enum cm_err err;

	if (rule->match == NULL)
		return CM_OK;
	cm_buf_init(&why, 0);
	err = cm_match_test_on(rule->match, &p->texts, p->trace, p->trace != NULL ? &why : NULL);
	if (err == CM_ERR_ABSENT)
		err = miss(p, rule, "its match part does not hold: %s", cm_buf_str(&why));
	cm_buf_free(&why);
	return err;
}

/* "subject_dn_component.cn", as the rule has it. */
static enum cm_err
miss_field(struct pass *p, const struct cm_rule *rule, enum cm_err err,
    const struct cm_segment *missing)
{
	const struct cm_field_ref *ref = missing != NULL ? &missing->ref : NULL;

	if (cm_buf_status(&p->bytes) == CM_ERR_NOMEM || err == CM_ERR_NOMEM)
		return CM_ERR_NOMEM;
	if (cm_buf_status(&p->bytes) != CM_OK || ref == NULL || ref->field == NULL)
		return miss(p, rule, "its value would be longer than %d bytes",
		    rule->attribute != NULL ? CM_VALUE_MAX : FILTER_MAX);
	return miss(p, rule, err == CM_ERR_ABSENT ? "the certificate has no %s%s%s" :
	    "the certificate has a NUL byte in its %s%s%s", ref->field->name,
	    ref->part != NULL ? "." : "", ref->part != NULL ? ref->part : "");
}

/* What the map file makes of the value that begins at start. */
static enum cm_err
look_up(struct pass *p, const struct cm_rule *rule, size_t start)
{
	const struct cm_blob value = { p->bytes.ptr + start, p->bytes.len - start };
	struct cm_blob mapped = { NULL, 0 };
	enum cm_err err = cm_map_file_find(rule->map_file, value, p->trace, &mapped);

	if (err == CM_OK && (mapped.len == 0 || memchr(mapped.ptr, '\0', mapped.len) != NULL))
		err = CM_ERR_ABSENT;
	if (err == CM_ERR_ABSENT)
		return miss(p, rule, "its map file has no line for %.*s",
		    (int)(value.len < 256 ? value.len : 256), (const char *)value.ptr);
	if (err != CM_OK)
		return err;
	cm_trace_add_blob(p->trace, "looked up", value);
	cm_buf_truncate(&p->bytes, start);
	cm_buf_add_blob(&p->bytes, mapped);
	return cm_buf_status(&p->bytes) == CM_OK ? CM_OK : miss_field(p, rule, CM_OK, NULL);
}

static enum cm_err
make_value(struct pass *p, const struct cm_rule *rule, size_t start)
{
	const struct cm_segment *missing = NULL;
	enum cm_err err;

	p->bytes.max = start + (rule->attribute != NULL ? CM_VALUE_MAX : FILTER_MAX);
	if (rule->list)
		cm_buf_add_str(&p->bytes, "(&");
	err = cm_template_write(&rule->value, p->cert, &p->bytes, &missing);
	if (err != CM_OK || cm_buf_status(&p->bytes) != CM_OK)
		return miss_field(p, rule, err, missing);
	if (rule->list)
		cm_buf_add_byte(&p->bytes, ')');
	if (rule->map_file != NULL && (err = look_up(p, rule, start)) != CM_OK)
		return err;
	for (size_t i = start; rule->ignore_case && i < p->bytes.len; i++)
		if (p->bytes.ptr[i] >= 'A' && p->bytes.ptr[i] <= 'Z')
			p->bytes.ptr[i] |= 0x20;
	return CM_OK;
}

/* Does the field's value hold text? */
static bool
holds(const struct cm_field_ref *ref, const struct cm_cert *c, struct cm_blob text)
{
	struct cm_buf value = { 0 };
	bool found;

	found = ref->field->write(c, ref, &value) == CM_OK &&
	    memmem(value.ptr, value.len, text.ptr, text.len) != NULL;
	cm_buf_free(&value);
	return found;
}

/*
 * "a-b","c" and "a","b-c" both make "a-b-c" of "{common_name}-{rfc822_name}".
 * macOS takes it, and so must we; but nobody should have to find out by himself.
 */
static void
note_ambiguity(const struct cm_rule *rule, const struct cm_cert *c, struct cm_trace *t)
{
	const struct cm_template *tp = &rule->value;

	for (size_t i = 0; t != NULL && i + 1 < tp->count; i++) {
		const struct cm_segment *s = &tp->segments[i], *next = s + 1;

		if (s->ref.field != NULL && next->ref.field != NULL)
			cm_trace_add(t, "ambiguous", "nothing stands between %s and %s: other cards may "
			    "make the same value", s->ref.field->name, next->ref.field->name);
		else if (s->ref.field != NULL && i + 2 < tp->count && next[1].ref.field != NULL &&
		    (holds(&s->ref, c, next->literal) || holds(&next[1].ref, c, next->literal)))
			cm_trace_add(t, "ambiguous", "\"%.*s\" stands between %s and %s, and in one of "
			    "them: other cards may make the same value", (int)next->literal.len,
			    (const char *)next->literal.ptr, s->ref.field->name, next[1].ref.field->name);
	}
}

static enum cm_err
add_term(struct pass *p, const struct cm_rule *rule, size_t start)
{
	struct cm_query_term *more;

	if (p->count == p->room) {
		more = malloc(2 * p->room * sizeof(*more));
		if (more == NULL)
			return CM_ERR_NOMEM;
		memcpy(more, p->terms, p->count * sizeof(*more));
		if (p->terms != p->first)
			free(p->terms);
		p->terms = more;
		p->room *= 2;
	}
	p->priority = rule->priority;
	p->terms[p->count++] = (struct cm_query_term){
		.rule = rule->name, .attribute = rule->attribute,
		.value = { NULL, p->bytes.len - start }, .strength = rule->strength,
		.pairing = rule->pairing, .local = rule->local,
	};
	return CM_OK;
}

static void
note_value(struct pass *p, const struct cm_rule *rule, size_t start)
{
	cm_trace_add_blob(p->trace, "value",
	    (struct cm_blob){ p->bytes.ptr + start, p->bytes.len - start });
	/* KB5014754 */
	if (rule->strength == CM_WEAK)
		cm_trace_add_blob(p->trace, "weak", cm_blob_str("another certificate could come to have it"));
	note_ambiguity(rule, p->cert, p->trace);
}

/* CM_OK also when the rule does not apply: the trace says why. */
static enum cm_err
apply(struct pass *p, const struct cm_rule *rule)
{
	const size_t start = p->bytes.len;
	enum cm_err err;

	cm_trace_add_blob(p->trace, "rule", cm_blob_str(rule->text));
	if ((err = check_upn(p, rule)) == CM_OK && (err = check_match(p, rule)) == CM_OK)
		err = make_value(p, rule, start);
	if (err == CM_OK) {
		note_value(p, rule, start);
		return add_term(p, rule, start);
	}
	cm_buf_truncate(&p->bytes, start);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

/* A rule that is not even tried, with its line where all are wanted. */
static void
pass_over(struct pass *p, const struct cm_rule *rule, size_t *counter)
{
	(*counter)++;
	if (!p->all)
		return;
	cm_trace_add_blob(p->trace, "rule", cm_blob_str(rule->text));
	if (counter == &p->elsewhere)
		cm_trace_add(p->trace, "does not apply", "%s", rule->elsewhere);
	else if (counter == &p->other_issuer)
		cm_trace_add(p->trace, "does not apply", "is for the issuer %s", rule->issuer);
	else
		cm_trace_add(p->trace, "does not apply", "comes after rules that do: those have priority %u",
		    p->priority);
}

static bool
is_of_issuer(const struct pass *p, const struct cm_rule *rule)
{
	const struct cm_blob *mine = &p->issuers[rule->issuer_matched];

	return rule->issuer == NULL ||
	    (mine->ptr != NULL && cm_blob_equal(cm_blob_str(rule->issuer), *mine));
}

/* *done: no later rule counts. */
static enum cm_err
consider(struct pass *p, const struct cm_rule *rule, bool *done)
{
	*done = false;
	if (rule->elsewhere != NULL)
		pass_over(p, rule, &p->elsewhere);
	else if (!is_of_issuer(p, rule))
		pass_over(p, rule, &p->other_issuer);
	else if (p->count > 0 && rule->priority != p->priority && !p->all)
		*done = true;
	else if (p->count > 0 && rule->priority != p->priority)
		pass_over(p, rule, &p->later);
	else
		return apply(p, rule);
	return CM_OK;
}

static enum cm_err
consider_all(struct pass *p)
{
	enum cm_err err = CM_OK;
	bool done;

	for (size_t i = 0; err == CM_OK && i < p->rules->count; i++)
		err = consider(p, &p->rules->rules[i], &done);
	return err;
}

/* The first rules that one text or the other finds; where both texts are one, they are found once. */
static void
find_runs(const struct pass *p, size_t runs[2])
{
	for (size_t i = 0; i < 2; i++) {
		runs[i] = CM_RULE_NONE;
		if (p->issuers[i].ptr != NULL)
			runs[i] = cm_rules_of_issuer(p->rules, p->issuers[i]);
	}
	if (runs[0] == runs[1])
		runs[1] = CM_RULE_NONE;
}

/* Three runs of rules, all in order: those that name no issuer, and those of this one by either of its texts. */
static size_t
next_rule(const struct cm_rules *r, size_t *any, size_t runs[2])
{
	size_t *const first = runs[0] < runs[1] ? &runs[0] : &runs[1];
	const size_t found = *first;

	if (*any < r->any_issuer_count && r->any_issuer[*any] < found)
		return r->any_issuer[(*any)++];
	if (found != CM_RULE_NONE)
		*first = r->rules[found].next;
	return found;
}

static enum cm_err
consider_issuer(struct pass *p)
{
	const struct cm_rules *r = p->rules;
	size_t any = 0, seen = 0, runs[2], i;
	enum cm_err err = CM_OK;
	bool done = false;

	find_runs(p, runs);
	while (err == CM_OK && !done && (i = next_rule(r, &any, runs)) != CM_RULE_NONE) {
		err = consider(p, &r->rules[i], &done);
		seen += !done;
	}
	/* What is left; the one that ended it is among neither. */
	for (p->later += done; done && next_rule(r, &any, runs) != CM_RULE_NONE;)
		p->later++;
	p->other_issuer += r->count - seen - p->later;
	return err;
}

/* CM_ERR_NOMEM */
static enum cm_err
write_issuers(struct pass *p)
{
	if (p->rules->issuers_named)
		p->issuers[0] = cm_blob_str(cm_cert_issuer_text(p->cert));
	if (p->rules->issuers_matched)
		p->issuers[1] = cm_blob_str(cm_match_cert_issuer(&p->texts));
	return cm_buf_status(&p->texts.issuer.text) == CM_ERR_NOMEM ? CM_ERR_NOMEM : CM_OK;
}

static const char *
plural(size_t n, const char *one, const char *many)
{
	return n == 1 ? one : many;
}

static void
note_passed_over(const struct pass *p)
{
	if (p->all)
		return;
	if (p->other_issuer > 0)
		cm_trace_add(p->trace, "passed over", "%zu %s for other issuers", p->other_issuer,
		    plural(p->other_issuer, "rule is", "rules are"));
	if (p->elsewhere > 0)
		cm_trace_add(p->trace, "passed over", "%zu %s not hold on this computer", p->elsewhere,
		    plural(p->elsewhere, "rule does", "rules do"));
	if (p->later > 0)
		cm_trace_add(p->trace, "passed over", "%zu %s after priority %u", p->later,
		    plural(p->later, "rule comes", "rules come"), p->priority);
}

/* Of those that hold elsewhere the first tells why. */
static const char *
first_elsewhere(const struct cm_rules *r)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->rules[i].elsewhere != NULL)
			return r->rules[i].elsewhere;
	return "";
}

static enum cm_err
no_rule(struct pass *p)
{
	if (p->rules->count == 0)
		cm_buf_add_str(&p->missing, "; there are no rules");
	if (p->missed > MISSING_MAX)
		cm_buf_addf(&p->missing, "; and %zu more", p->missed - MISSING_MAX);
	if (p->other_issuer > 0)
		cm_buf_addf(&p->missing, "; %zu %s for other issuers than %s", p->other_issuer,
		    plural(p->other_issuer, "rule is", "rules are"), cm_cert_issuer_text(p->cert));
	if (p->elsewhere > 0)
		cm_buf_addf(&p->missing, "; %zu %s not hold on this computer: %s", p->elsewhere,
		    plural(p->elsewhere, "rule does", "rules do"), first_elsewhere(p->rules));
	return cm_trace_fail(p->trace, CM_REASON_NO_RULE, "no rule applies to %s%s",
	    cm_cert_subject_text(p->cert), cm_buf_str(&p->missing));
}

static enum cm_err
make_query(struct pass *p, struct cm_query **out)
{
	const uint8_t *at = p->bytes.ptr;
	struct cm_buf uri;
	enum cm_err err;

	cm_buf_init(&uri, 0);
	for (size_t i = 0; i < p->count; i++) {
		p->terms[i].value.ptr = at;
		at += p->terms[i].value.len;
	}
	err = cm_query_make(p->terms, p->count, NULL, 0, cm_cert_sid(p->cert, &uri), out);
	cm_buf_free(&uri);
	return err;
}

static enum cm_err
map(const struct cm_rules *r, const struct cm_cert *c, bool all, struct cm_trace *t,
    struct cm_query **out)
{
	struct pass p;
	enum cm_err err;

	*out = NULL;
	memset(&p, 0, offsetof(struct pass, first));
	memset((char *)&p + offsetof(struct pass, terms), 0, sizeof(p) - offsetof(struct pass, terms));
	p.rules = r;
	p.cert = c;
	p.trace = t;
	p.all = all && t != NULL;
	p.terms = p.first;
	p.room = CM_COUNT(p.first);
	cm_match_cert_init(&p.texts, c);
	if ((err = write_issuers(&p)) == CM_OK)
		err = p.all ? consider_all(&p) : consider_issuer(&p);
	if (err == CM_OK) {
		note_passed_over(&p);
		err = p.count > 0 ? make_query(&p, out) : no_rule(&p);
	}
	if (p.terms != p.first)
		free(p.terms);
	cm_buf_free(&p.missing);
	cm_match_cert_clear(&p.texts);
	cm_buf_free(&p.bytes);
	return err;
}

enum cm_err
cm_rules_map(const struct cm_rules *r, const struct cm_cert *c, struct cm_trace *t,
    struct cm_query **out)
{
	return map(r, c, false, t, out);
}

enum cm_err
cm_rules_explain(const struct cm_rules *r, const struct cm_cert *c, struct cm_trace *t,
    struct cm_query **out)
{
	return map(r, c, true, t, out);
}
