/* mapper/rules.c - compiled rules, and the one evaluator of them all. */
#include "mapper/rules_internal.h"

#include <stdlib.h>

#define RULES_MAX	64

static enum cm_err
check_value(struct cm_blob v)
{
	if (v.len == 0)
		return CM_ERR_ABSENT;
	return memchr(v.ptr, '\0', v.len) == NULL ? CM_OK : CM_ERR_SYNTAX;
}

static enum cm_err
write_text(const struct cm_cert *c, enum cm_cert_field source, struct cm_buf *out)
{
	const struct cm_blob v = cm_cert_field(c, source);
	const enum cm_err err = check_value(v);

	if (err == CM_OK)
		cm_buf_add_blob(out, v);
	return err;
}

static enum cm_err
write_issuer_ad(const struct cm_cert *c, enum cm_cert_field source, struct cm_buf *out)
{
	(void)source;
	return cm_name_ad(cm_cert_issuer(c), out);
}

/*
 * [MS-PKCA] 3.1.5.2.1.3 "Serial Number field", as CERT_INFO.SerialNumber holds
 * it: least significant octet first, and "Leading 0x00 or 0xFF bytes are
 * removed" (wincrypt.h, CERT_INFO).  So the 00 that DER puts before a high bit
 * is not written; libsss_certmap's {serial_number!hex_r} drops it too.
 */
static enum cm_err
write_serial_reversed(const struct cm_cert *c, enum cm_cert_field source, struct cm_buf *out)
{
	const struct cm_blob v = cm_cert_serial(c);
	const size_t sign = v.len > 1 && v.ptr[0] == 0 ? 1 : 0;

	(void)source;
	if (v.len == 0)
		return CM_ERR_ABSENT;
	for (size_t i = v.len; i > sign; i--)
		cm_buf_add_hex(out, (struct cm_blob){ &v.ptr[i - 1], 1 });
	return CM_OK;
}

/* A new certificate field is one new row here. */
static const struct cm_rule_field fields[] = {
	{ "Common Name",          CM_CERT_COMMON_NAME,           true,  write_text },
	{ "RFC 822 Name",         CM_CERT_RFC822_NAME,           true,  write_text },
	{ "NT Principal Name",    CM_CERT_UPN,                   true,  write_text },
	{ "Organization",         CM_CERT_ORGANIZATION,          true,  write_text },
	{ "OrganizationalUnit:1", CM_CERT_ORGANIZATIONAL_UNIT_1, true,  write_text },
	{ "OrganizationalUnit:2", CM_CERT_ORGANIZATIONAL_UNIT_2, true,  write_text },
	{ "OrganizationalUnit:3", CM_CERT_ORGANIZATIONAL_UNIT_3, true,  write_text },
	{ "Country",              CM_CERT_COUNTRY,               true,  write_text },
	{ "issuer",               CM_CERT_FIELD_COUNT,           false, write_issuer_ad },
	{ "serial reversed",      CM_CERT_FIELD_COUNT,           false, write_serial_reversed },
};

const struct cm_rule_field *
cm_rule_fields(size_t *count)
{
	*count = CM_COUNT(fields);
	return fields;
}

const struct cm_rule_field *
cm_rule_field_find(struct cm_blob name)
{
	for (size_t i = 0; i < CM_COUNT(fields); i++)
		if (cm_blob_equal(cm_blob_str(fields[i].name), name))
			return &fields[i];
	return NULL;
}

enum cm_err
cm_rules_new(const char *origin, struct cm_rules **out)
{
	struct cm_rules *r = calloc(1, sizeof(*r));

	*out = NULL;
	if (r == NULL || (r->origin = strdup(origin)) == NULL) {
		free(r);
		return CM_ERR_NOMEM;
	}
	*out = r;
	return CM_OK;
}

static void
clear_rule(struct cm_rule *rule)
{
	for (size_t i = 0; i < rule->count; i++)
		free((void *)(uintptr_t)rule->segments[i].literal.ptr);
	free(rule->segments);
	free(rule->name);
	free(rule->text);
	free(rule->attribute);
}

void
cm_rules_free(struct cm_rules **r)
{
	if (*r == NULL)
		return;
	for (size_t i = 0; i < (*r)->count; i++)
		clear_rule(&(*r)->rules[i]);
	free((*r)->rules);
	free((*r)->pins);
	free((*r)->origin);
	free(*r);
	*r = NULL;
}

/* The rule as people read it: "mail = {Common Name}-{RFC 822 Name}". */
static char *
rule_text(const char *attribute, const struct cm_segment *s, size_t count)
{
	struct cm_buf b;

	cm_buf_init(&b, 0);
	cm_buf_addf(&b, "%s = ", attribute);
	for (size_t i = 0; i < count; i++) {
		if (s[i].field != NULL)
			cm_buf_addf(&b, "{%s}", s[i].field->name);
		else
			cm_buf_add_blob(&b, s[i].literal);
	}
	return cm_buf_take(&b);
}

static enum cm_err
copy_segment(const struct cm_segment *from, struct cm_segment *to)
{
	uint8_t *p;

	to->field = from->field;
	if (from->field != NULL)
		return CM_OK;
	if ((p = malloc(from->literal.len + 1)) == NULL)
		return CM_ERR_NOMEM;
	memcpy(p, from->literal.ptr, from->literal.len);
	to->literal = (struct cm_blob){ p, from->literal.len };
	return CM_OK;
}

enum cm_err
cm_rules_add(struct cm_rules *r, const char *name, const char *attribute,
    const struct cm_segment *segments, size_t count)
{
	struct cm_rule rule = { .name = strdup(name), .attribute = strdup(attribute),
		.text = rule_text(attribute, segments, count),
		.segments = calloc(count, sizeof(*segments)) };
	struct cm_rule *more;

	if (rule.name == NULL || rule.attribute == NULL || rule.text == NULL ||
	    rule.segments == NULL || r->count == RULES_MAX)
		goto out;
	for (; rule.count < count; rule.count++)
		if (copy_segment(&segments[rule.count], &rule.segments[rule.count]) != CM_OK)
			goto out;
	if ((more = realloc(r->rules, (r->count + 1) * sizeof(*more))) == NULL)
		goto out;
	r->rules = more;
	r->rules[r->count++] = rule;
	return CM_OK;
out:
	clear_rule(&rule);
	return CM_ERR_NOMEM;
}

static struct cm_segment
literal(const char *s)
{
	return (struct cm_segment){ .literal = cm_blob_str(s) };
}

static struct cm_segment
field(const char *name)
{
	return (struct cm_segment){ .field = cm_rule_field_find(cm_blob_str(name)) };
}

enum cm_err
cm_rules_add_default(struct cm_rules *r)
{
	const struct cm_segment upn[] = { literal("Kerberos:"), field("NT Principal Name") };
	const struct cm_segment issuer_serial[] = {
		literal("X509:<I>"), field("issuer"), literal("<SR>"), field("serial reversed"),
	};
	enum cm_err err;

	if ((err = cm_rules_add(r, "default upn", "altSecurityIdentities",
	    upn, CM_COUNT(upn))) != CM_OK)
		return err;
	return cm_rules_add(r, "default issuer-serial", "altSecurityIdentities",
	    issuer_serial, CM_COUNT(issuer_serial));
}

enum cm_err
cm_rules_default(struct cm_rules **out)
{
	enum cm_err err;

	if ((err = cm_rules_new("built in", out)) == CM_OK &&
	    (err = cm_rules_add_default(*out)) != CM_OK)
		cm_rules_free(out);
	return err;
}

const struct cm_rules_pin *
cm_rules_pins(const struct cm_rules *r, size_t *count)
{
	*count = r->pin_count;
	return r->pins;
}

/* Append the rule's value, or say in why and name what stands in its way. */
static enum cm_err
evaluate(const struct cm_rule *rule, const struct cm_cert *c, struct cm_buf *out,
    const char **why, const char **name)
{
	enum cm_err err = CM_OK;
	size_t i;

	for (i = 0; err == CM_OK && i < rule->count; i++) {
		const struct cm_segment *s = &rule->segments[i];

		if (s->field == NULL)
			cm_buf_add_blob(out, s->literal);
		else
			err = s->field->write(c, s->field->source, out);
	}
	if (cm_buf_status(out) == CM_ERR_NOMEM)
		return CM_ERR_NOMEM;
	if (cm_buf_status(out) != CM_OK) {
		*why = "its value would be too long";
		return CM_ERR_ABSENT;
	}
	if (err == CM_OK)
		return CM_OK;
	*why = err == CM_ERR_ABSENT ? "the certificate has no " :
	    "the certificate has a NUL byte in its ";
	*name = rule->segments[i - 1].field->name;
	return CM_ERR_ABSENT;
}

/* Values stand one after the other in bytes until their number and size are known. */
struct values {
	struct cm_buf bytes;
	struct {
		const struct cm_rule *rule;
		size_t start, len;
	} at[RULES_MAX];
	size_t count;
};

/* One block holds the query, its terms and their texts: one allocation for each certificate. */
static enum cm_err
make_query(const struct values *v, struct cm_query **out)
{
	size_t size = sizeof(struct cm_query) + v->count * sizeof(struct cm_query_term);
	struct cm_query *q;
	char *p;

	for (size_t i = 0; i < v->count; i++)
		size += strlen(v->at[i].rule->name) + strlen(v->at[i].rule->attribute) +
		    v->at[i].len + 3;
	if ((q = malloc(size)) == NULL)
		return CM_ERR_NOMEM;
	*q = (struct cm_query){ .count = 0 };
	q->terms = (struct cm_query_term *)(q + 1);
	q->count = v->count;
	p = (char *)&q->terms[q->count];
	for (size_t i = 0; i < v->count; i++) {
		struct cm_query_term *t = &q->terms[i];

		*t = (struct cm_query_term){ .rule = p };
		p = mempcpy(p, v->at[i].rule->name, strlen(v->at[i].rule->name) + 1);
		t->attribute = p;
		p = mempcpy(p, v->at[i].rule->attribute, strlen(v->at[i].rule->attribute) + 1);
		t->value = (struct cm_blob){ (uint8_t *)p, v->at[i].len };
		p = mempcpy(p, v->bytes.ptr + v->at[i].start, v->at[i].len);
		*p++ = '\0';
	}
	*out = q;
	return CM_OK;
}

static bool
holds(const struct cm_segment *s, const struct cm_cert *c, struct cm_blob text)
{
	struct cm_buf value = { 0 };
	bool found;

	found = s->field->write(c, s->field->source, &value) == CM_OK &&
	    memmem(value.ptr, value.len, text.ptr, text.len) != NULL;
	cm_buf_free(&value);
	return found;
}

/*
 * "a-b","c" and "a","b-c" both make "a-b-c" of "$1-$2".  macOS takes it, and so
 * must we; but nobody should have to find out by himself.
 */
static void
note_ambiguity(const struct cm_rule *rule, const struct cm_cert *c, struct cm_trace *t)
{
	for (size_t i = 0; t != NULL && i + 1 < rule->count; i++) {
		const struct cm_segment *s = &rule->segments[i], *next = s + 1;

		if (s->field != NULL && next->field != NULL)
			cm_trace_add(t, "ambiguous", "nothing stands between %s and %s: other cards may "
			    "make the same value", s->field->name, next->field->name);
		else if (s->field != NULL && i + 2 < rule->count && next[1].field != NULL &&
		    (holds(s, c, next->literal) || holds(&next[1], c, next->literal)))
			cm_trace_add(t, "ambiguous", "\"%.*s\" stands between %s and %s, and in one of "
			    "them: other cards may make the same value", (int)next->literal.len,
			    (const char *)next->literal.ptr, s->field->name, next[1].field->name);
	}
}

static enum cm_err
apply(const struct cm_rule *rule, const struct cm_cert *c, struct cm_trace *t,
    struct values *v, struct cm_buf *missing)
{
	const size_t start = v->bytes.len;
	const char *why = "", *name = "";
	enum cm_err err;

	v->bytes.max = start + CM_VALUE_MAX;
	err = evaluate(rule, c, &v->bytes, &why, &name);
	cm_trace_add(t, "rule", "%s: %s", rule->name, rule->text);
	if (err == CM_OK) {
		v->at[v->count].rule = rule;
		v->at[v->count].start = start;
		v->at[v->count++].len = v->bytes.len - start;
		cm_trace_add_blob(t, "value",
		    (struct cm_blob){ v->bytes.ptr + start, v->bytes.len - start });
		note_ambiguity(rule, c, t);
		return CM_OK;
	}
	if (err != CM_ERR_ABSENT)
		return err;
	cm_buf_truncate(&v->bytes, start);
	cm_trace_add(t, "does not apply", "%s%s", why, name);
	cm_buf_addf(missing, "; rule %s: %s%s", rule->name, why, name);
	return CM_OK;
}

enum cm_err
cm_rules_map(const struct cm_rules *r, const struct cm_cert *c, struct cm_trace *t,
    struct cm_query **out)
{
	enum cm_err err = CM_OK;
	struct cm_buf missing;
	struct values v;

	*out = NULL;
	v.count = 0;
	cm_buf_init(&v.bytes, 0);
	cm_buf_init(&missing, 0);
	for (size_t i = 0; err == CM_OK && i < r->count; i++)
		err = apply(&r->rules[i], c, t, &v, &missing);
	if (err == CM_OK && v.count == 0)
		err = cm_trace_fail(t, CM_REASON_NO_RULE, "no rule of %s applies to %s%s",
		    r->origin, cm_cert_subject_text(c), cm_buf_str(&missing));
	if (err == CM_OK)
		err = make_query(&v, out);
	cm_buf_free(&missing);
	cm_buf_free(&v.bytes);
	return err;
}
