/*
 * service/explain.c - why a card leads to no account, or to another than expected.
 *
 * A list of questions in the order of likelihood; the first that has an answer
 * is the explanation.  Nothing here is on the way of a login.
 */
#include "service/explain_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define VARIANTS_MAX	64

void
cm_explanation_free(struct cm_explanation **x)
{
	if (*x == NULL)
		return;
	for (size_t i = 0; i < (*x)->count; i++) {
		free((*x)->values[i].dn);
		cm_near_miss_free(&(*x)->values[i].miss);
	}
	free((*x)->cause);
	free((*x)->text);
	free((*x)->mend);
	free(*x);
	*x = NULL;
}

/* ---- questions: CM_OK it is this and it is told; CM_ERR_ABSENT it is not */

static bool
asks_for_strong(const struct cm_query *q)
{
	for (size_t i = 0; q != NULL && i < q->count; i++)
		if (q->terms[i].strength == CM_STRONG && !q->terms[i].pairing && !q->terms[i].local)
			return true;
	return false;
}

/* Found, and refused for that alone. */
static enum cm_err
is_weak(struct cm_explaining *x)
{
	if (x->in->reason != CM_REASON_WEAK_BINDING)
		return CM_ERR_ABSENT;
	return cm_explain_tell(x, "weak_binding", asks_for_strong(x->query) ? cm_explain_value(x) : cm_explain_rule(x),
	    "%s", x->in->why);
}

static enum cm_err
is_no_rule(struct cm_explaining *x)
{
	const bool lacks = strstr(x->in->why, "the certificate has no ") != NULL;	/* in mapper/evaluate.c's words */

	if (x->query != NULL)
		return CM_ERR_ABSENT;
	return cm_explain_tell(x, lacks ? "field_absent" : "no_rule", cm_explain_rule(x), "%s", x->in->why);
}

/* Is it an entry of the expected user, who was named by another of its names? */
static bool
is_expected(const struct cm_explaining *x, const struct cm_account *a)
{
	bool is = strcasecmp(a->name, x->in->user) == 0;

	for (size_t i = 0; i < x->users.count; i++)
		is = is || strcasecmp(a->dn, x->users.entries[i].dn) == 0;
	return is;
}

static enum cm_err
is_another_account(struct cm_explaining *x)
{
	const struct cm_account *a = x->in->found;

	if (x->in->user == NULL || x->query == NULL)
		return CM_ERR_ABSENT;
	if (a == NULL && cm_directory_find(x->in->host->directory, x->query, NULL, x->deadline, NULL,
	    &x->other) == CM_OK)
		a = x->other;
	if (a == NULL || strcmp(a->name, x->in->user) == 0)
		return CM_ERR_ABSENT;
	if (is_expected(x, a))
		return cm_explain_tell(x, "another_name", cm_explain_text("cardmap explain %s", a->name),
		    "the card opens %s (%s), whose name at a login is %s, not %s", a->name, a->dn, a->name, x->in->user);
	if (x->users.count == 0)
		return cm_explain_tell(x, "no_such_user", cm_explain_text("cardmap explain %s", a->name),
		    "there is no user %s below %s, and the card opens %s (%s)", x->in->user,
		    x->in->host->conf->directory.base != NULL ? x->in->host->conf->directory.base : "the directory's root",
		    a->name, a->dn);
	return cm_explain_tell(x, "value_on_another_account",
	    cm_explain_text("take \"%s\" out of %s, and write it to %s", a->matched, a->dn,
	    x->users.entries[0].dn),
	    "the value of this card stands on %s (%s), not on %s: %s", a->name, a->dn,
	    x->in->user, a->matched);
}

/* A name, or a principal: who asks for both has a server without an index of one look at every entry. */
static void
user_filter(const char *user, struct cm_query **q)
{
	static const char *const names[][3] = {
		{ "uid", "sAMAccountName" }, { "uid", "userPrincipalName", "krbPrincipalName" },
	};
	const size_t kind = strchr(user, '@') != NULL;

	for (size_t i = 0; i < CM_COUNT(names[kind]) && names[kind][i] != NULL; i++) {
		const struct cm_query_term t = { .rule = (char *)(uintptr_t)"expected user",
			.attribute = (char *)(uintptr_t)names[kind][i], .value = cm_blob_str(user) };

		if (cm_query_append(q, &t, 1) != CM_OK)
			return;
	}
}

static enum cm_err
find_user(struct cm_explaining *x, const char *base, struct cm_seen_list *out)
{
	struct cm_query *q = NULL;
	struct cm_look l = { .base = base };
	enum cm_err err = CM_ERR_NOMEM;

	user_filter(x->in->user, &q);
	if ((l.query = q) != NULL)
		err = cm_explain_look(x, &l, out);
	cm_query_free(&q);
	return err;
}

/* The part that two DNs end with, in whole RDNs. */
static const char *
common_base(const char *a, const char *b)
{
	for (const char *p = a; p != NULL; p = strchr(p, ',') != NULL ? strchr(p, ',') + 1 : NULL) {
		const size_t n = strlen(p), m = strlen(b);

		if (n <= m && strcasecmp(b + m - n, p) == 0 && (n == m || b[m - n - 1] == ','))
			return p;
	}
	return NULL;
}

/* A DN without the blanks that people write around its commas; the caller's, NULL for out of memory. */
static char *
plain_dn(const char *dn)
{
	struct cm_buf b = { 0 };
	char *copy;

	for (; *dn != '\0'; dn++) {
		if (*dn == '\\' && dn[1] != '\0')
			cm_buf_add_byte(&b, (uint8_t)*dn++);
		else if (*dn == ' ' && (b.len == 0 || b.ptr[b.len - 1] == ',' || dn[strspn(dn, " ")] == ','))
			continue;
		cm_buf_add_byte(&b, (uint8_t)*dn);
	}
	copy = cm_buf_take(&b);
	cm_buf_free(&b);
	return copy;
}

/* The base that holds an entry, too: what both have in common, or else what is above the entry. */
static const char *
wider_base(const char *base, const char *dn)
{
	const char *common = common_base(base, dn), *comma = strchr(dn, ',');

	return common != NULL ? common : comma != NULL ? comma + 1 : dn;
}

/* The expected user, or whoever has a value of the card, in all that the server holds. */
static enum cm_err
look_in(struct cm_explaining *x, const char *base, struct cm_seen_list *found)
{
	struct cm_look l = { .base = base, .query = x->query };

	return x->in->user != NULL ? find_user(x, base, found) : cm_explain_look(x, &l, found);
}

static enum cm_err
look_elsewhere(struct cm_explaining *x, struct cm_seen_list *found)
{
	static const char *const wanted[] = { "namingContexts", NULL };
	struct cm_look l = { .base = "", .base_only = true, .filter = "(objectClass=*)", .attributes = wanted };
	struct cm_seen_list root = { .count = 0 };
	enum cm_err err = cm_explain_look(x, &l, &root);

	for (size_t i = 0; err == CM_OK && root.count > 0 && i < root.entries[0].count; i++)
		if (strcasecmp(root.entries[0].values[i].attribute, wanted[0]) == 0 && found->count == 0)
			err = look_in(x, (const char *)root.entries[0].values[i].value.ptr, found);
	cm_seen_clear(&root);
	return err;
}

static enum cm_err
is_outside_base(struct cm_explaining *x)
{
	const char *base = x->in->host->conf->directory.base;
	char *plain = NULL, *dn = NULL;
	struct cm_seen_list found = { .count = 0 };
	enum cm_err err = CM_ERR_ABSENT;

	if (x->in->found != NULL || x->users.count > 0 || base == NULL)
		return CM_ERR_ABSENT;
	/* A server that does not show its contexts leaves this question open, and the next may do. */
	if (look_elsewhere(x, &found) == CM_OK && found.count > 0) {
		plain = plain_dn(base);
		dn = plain_dn(found.entries[0].dn);
		if (plain == NULL || dn == NULL)
			err = CM_ERR_NOMEM;
		else if (common_base(plain, dn) != plain)
			err = cm_explain_tell(x, "base_too_deep", cm_explain_text("directory.base = '%s'", wider_base(plain, dn)),
			    "%s stands outside directory.base, which is %s", found.entries[0].dn, base);
	} else if (x->base_err != CM_OK) {
		err = x->base_err;	/* who was not asked has not said that there is nobody */
	} else if (x->in->user != NULL) {
		err = cm_explain_tell(x, "no_such_user", cm_explain_text("cardmap explain NAME, with the name that %s has for them", base),
		    "there is no user %s below %s", x->in->user, base);
	}
	free(plain);
	free(dn);
	cm_seen_clear(&found);
	return err;
}

static enum cm_err
is_disabled(struct cm_explaining *x)
{
	for (size_t i = 0; i < x->users.count; i++) {
		const struct cm_seen *s = &x->users.entries[i];
		const struct cm_seen_value *uac = cm_seen_first(s, "userAccountControl"), *lock = cm_seen_first(s, "nsAccountLock");

		if (uac != NULL && (strtoul((const char *)uac->value.ptr, NULL, 10) & 0x12) != 0)
			return cm_explain_tell(x, "account_disabled", cm_explain_text("userAccountControl: %lu",
			    strtoul((const char *)uac->value.ptr, NULL, 10) & ~0x12ul),
			    "%s is disabled or locked out: userAccountControl has the bit 0x2 or 0x10", s->dn);
		if (lock != NULL && strcasecmp((const char *)lock->value.ptr, "TRUE") == 0)
			return cm_explain_tell(x, "account_disabled", cm_explain_text("nsAccountLock: FALSE"),
			    "%s is disabled: nsAccountLock is TRUE", s->dn);
	}
	return CM_ERR_ABSENT;
}

/* ---- values that are nearly right */

static void
keep_miss(struct cm_explanation *out, const char *dn, struct cm_near_miss **m)
{
	size_t i = out->count;

	if (i == CM_EXPLAIN_MAX && out->values[i - 1].miss->distance <= (*m)->distance)
		return;
	if (i == CM_EXPLAIN_MAX) {
		free(out->values[--i].dn);
		cm_near_miss_free(&out->values[i].miss);
	} else {
		out->count++;
	}
	for (; i > 0 && out->values[i - 1].miss->distance > (*m)->distance; i--)
		out->values[i] = out->values[i - 1];
	out->values[i] = (struct cm_explained_value){ strdup(dn), *m };
	*m = NULL;
}

/* RFC 4515 section 3: what stands in front of the attribute, and what may behind. */
static bool
filter_names(struct cm_blob filter, const char *attribute)
{
	const size_t len = strlen(attribute);

	for (size_t i = 0; i + 1 + len < filter.len; i++)
		if (filter.ptr[i] == '(' && strncasecmp((const char *)filter.ptr + i + 1, attribute, len) == 0 &&
		    strchr("=~<>:", filter.ptr[i + 1 + len]) != NULL)
			return true;
	return false;
}

static bool
is_asked(const struct cm_query *q, const char *attribute)
{
	for (size_t i = 0; q != NULL && i < q->count; i++)
		if (q->terms[i].attribute != NULL ? strcasecmp(q->terms[i].attribute, attribute) == 0 :
		    filter_names(q->terms[i].value, attribute))
			return true;
	return false;
}

static enum cm_err
diagnose_entry(struct cm_explaining *x, const struct cm_seen *s)
{
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && i < s->count; i++) {
		struct cm_near_miss *m = NULL;

		/* everybody has a name and a principal: where no rule asks for them they are no miss */
		if (!is_asked(x->query, s->values[i].attribute))
			continue;
		err = cm_diagnose_value(x->in->cert, x->query, s->values[i].attribute, s->values[i].value, &m);
		if (err == CM_OK)
			keep_miss(x->out, s->dn, &m);
		else if (err == CM_ERR_ABSENT)
			err = CM_OK;
		cm_near_miss_free(&m);
	}
	return err;
}

static enum cm_err
find_variants(struct cm_explaining *x)
{
	struct cm_seen_list found = { .count = 0 };
	struct cm_query *q = NULL;
	struct cm_look l = { .base = NULL };
	enum cm_err err;

	if ((err = cm_diagnose_variants(x->query, VARIANTS_MAX, &q)) != CM_OK)
		return err == CM_ERR_ABSENT ? CM_OK : err;
	l.query = q;
	if ((err = cm_explain_look(x, &l, &found)) == CM_OK)
		for (size_t i = 0; err == CM_OK && i < found.count; i++)
			err = diagnose_entry(x, &found.entries[i]);
	cm_seen_clear(&found);
	cm_query_free(&q);
	return err;
}

static void
join_causes(const struct cm_near_miss *m, struct cm_buf *out)
{
	for (size_t i = 0; i < m->cause_count; i++)
		cm_buf_addf(out, "%s%s", i == 0 ? "" : i + 1 == m->cause_count ? ", and " : ", ", m->causes[i]->text);
	if (m->cause_count == 0)
		cm_buf_add_str(out, "this card makes another");
}

/* The nearest that explains something: a filter may hold a right value, and ask for more. */
static const struct cm_explained_value *
nearest(const struct cm_explaining *x)
{
	for (size_t i = 0; i < x->out->count; i++)
		for (size_t k = 0; k < x->query->count; k++)
			if (x->out->values[i].miss->distance > 0 || (x->query->terms[k].attribute != NULL &&
			    strcasecmp(x->query->terms[k].attribute, x->out->values[i].miss->attribute) == 0))
				return &x->out->values[i];
	return NULL;
}

static enum cm_err
is_near_miss(struct cm_explaining *x)
{
	const struct cm_explained_value *v;
	struct cm_buf causes = { 0 };
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && i < x->users.count; i++)
		err = diagnose_entry(x, &x->users.entries[i]);
	if (err == CM_OK && x->in->user == NULL)
		err = find_variants(x);
	if (err != CM_OK)
		return err;
	if ((v = nearest(x)) == NULL)
		return CM_ERR_ABSENT;
	join_causes(v->miss, &causes);
	err = cm_explain_tell(x, v->miss->cause_count > 0 ? v->miss->causes[0]->name : "another_value",
	    v->miss->asked ? cm_explain_text("%s: %s", v->miss->attribute, v->miss->wanted) : cm_explain_value(x),
	    "%s has %s: %s, but %s%s", v->dn, v->miss->attribute, v->miss->stored, cm_buf_str(&causes),
	    v->miss->asked ? "" : "; and no rule here asks for a value of this form");
	cm_buf_free(&causes);
	return err;
}

/* ---- no value at all */

static const char *
reader(const struct cm_explaining *x)
{
	const char *dn = x->in->host->conf->directory.bind_dn;

	return dn != NULL ? dn : "anonymous";
}

static enum cm_err
is_hidden(struct cm_explaining *x)
{
	struct cm_seen_list found = { .count = 0 };
	struct cm_look l = { .query = x->query, .base_only = true };
	enum cm_err err = CM_ERR_ABSENT;

	for (size_t i = 0; err == CM_ERR_ABSENT && i < x->users.count; i++) {
		l.base = x->users.entries[i].dn;
		if (cm_explain_look(x, &l, &found) == CM_OK && found.count > 0)
			err = cm_explain_tell(x, "attribute_not_readable", cm_explain_text("let %s read %s of %s", reader(x),
			    x->query->terms[0].attribute, x->users.entries[i].dn),
			    "%s has the value, but the directory does not show its %s to us",
			    x->users.entries[i].dn, x->query->terms[0].attribute);
		cm_seen_clear(&found);
	}
	return err;
}

/* What may not even be searched looks like nothing: but then nobody's can be seen, not this user's alone. */
static enum cm_err
is_hidden_from_all(struct cm_explaining *x)
{
	const char *attribute = x->query->terms[0].attribute;
	const char *const wanted[] = { attribute, NULL };
	struct cm_seen_list found = { .count = 0 };
	char *filter = NULL, *value = NULL;
	struct cm_look l = { .attributes = wanted };
	enum cm_err err = CM_ERR_ABSENT;

	if (x->users.count == 0 || attribute == NULL || (l.filter = filter = cm_explain_text("(%s=*)", attribute)) == NULL)
		return CM_ERR_ABSENT;
	if (cm_explain_look(x, &l, &found) == CM_OK && found.count == 0) {
		value = cm_explain_value(x);
		err = cm_explain_tell(x, "attribute_not_readable", cm_explain_text("let %s read %s; if nobody has one yet, write %s",
		    reader(x), attribute, value != NULL ? value : "one"),
		    "the directory shows nobody's %s to us: either it may not be read, or nobody has one", attribute);
	}
	cm_seen_clear(&found);
	free(filter);
	free(value);
	return err;
}

/* RFC 4512 section 4.2: where the schema stands, and "NAME 'a'" or "NAME ( 'a' 'b' )" in it. */
static enum cm_err
read_schema(struct cm_explaining *x, struct cm_seen_list *schema)
{
	static const char *const where[] = { "subschemaSubentry", NULL };
	static const char *const types[] = { "attributeTypes", NULL };
	struct cm_look l = { .base = "", .base_only = true, .filter = "(objectClass=*)", .attributes = where };
	struct cm_seen_list root = { .count = 0 };
	enum cm_err err = cm_explain_look(x, &l, &root);

	if (err == CM_OK && (root.count == 0 || cm_seen_first(&root.entries[0], where[0]) == NULL))
		err = CM_ERR_ABSENT;
	if (err == CM_OK) {
		l = (struct cm_look){ .base = (const char *)cm_seen_first(&root.entries[0], where[0])->value.ptr,
			.base_only = true, .filter = "(objectClass=subschema)", .attributes = types };
		err = cm_explain_look(x, &l, schema);
	}
	cm_seen_clear(&root);
	return err;
}

static bool
is_defined(const struct cm_seen *schema, const char *attribute)
{
	char quoted[140];

	snprintf(quoted, sizeof(quoted), "'%.*s'", (int)strcspn(attribute, ";"), attribute);
	for (size_t i = 0; i < schema->count; i++)
		if (strcasestr((const char *)schema->values[i].value.ptr, quoted) != NULL)
			return true;
	return false;
}

/* The very value that is asked for; of a filter, one that stands in it as it is. */
static bool
is_value_asked(const struct cm_query *q, struct cm_blob value)
{
	for (size_t i = 0; i < q->count; i++) {
		const struct cm_blob asked = q->terms[i].value;
		const uint8_t *at = value.len == 0 || q->terms[i].attribute != NULL ? NULL :
		    memmem(asked.ptr, asked.len, value.ptr, value.len);

		if (cm_blob_equal(asked, value))
			return true;
		if (at != NULL && at > asked.ptr && at[-1] == '=' && at + value.len < asked.ptr + asked.len &&
		    at[value.len] == ')')
			return true;
	}
	return false;
}

/* Another attribute of the user that holds the very value, if there is one. */
static const char *
attribute_with_value(const struct cm_explaining *x)
{
	for (size_t i = 0; i < x->users.count; i++)
		for (size_t k = 0; k < x->users.entries[i].count; k++)
			if (!is_asked(x->query, x->users.entries[i].values[k].attribute) &&
			    is_value_asked(x->query, x->users.entries[i].values[k].value))
				return x->users.entries[i].values[k].attribute;
	return NULL;
}

static enum cm_err
is_attribute_wrong(struct cm_explaining *x)
{
	const char *other = attribute_with_value(x), *asked = NULL;
	struct cm_seen_list schema = { .count = 0 };
	enum cm_err err = CM_ERR_ABSENT;

	if (read_schema(x, &schema) == CM_OK && schema.count > 0)
		for (size_t i = 0; i < x->query->count && asked == NULL; i++)
			if (x->query->terms[i].attribute != NULL &&
			    !is_defined(&schema.entries[0], x->query->terms[i].attribute))
				asked = x->query->terms[i].attribute;
	if (asked != NULL)
		err = cm_explain_tell(x, "attribute_name_wrong",
		    cm_explain_text("attribute = '%s'", other != NULL ? other : "altSecurityIdentities"),
		    "the directory knows no attribute %s, which the rule asks for", asked);
	else if (other != NULL)
		err = cm_explain_tell(x, "attribute_name_wrong", cm_explain_text("attribute = '%s'", other),
		    "the rule asks for %s, but the value stands in %s", x->query->terms[0].attribute, other);
	cm_seen_clear(&schema);
	return err;
}

static enum cm_err
is_unwritten(struct cm_explaining *x)
{
	if (x->users.count > 0)
		return cm_explain_tell(x, "no_value", cm_explain_value(x),
		    "%s has no value of this card", x->users.entries[0].dn);
	return cm_explain_tell(x, "nobody", cm_explain_value(x),
	    "nobody has a value of this card, or one that is nearly right");
}

/* A new question is one row here. */
static enum cm_err (*const questions[])(struct cm_explaining *) = {
	is_weak,
	is_another_account,
	is_no_rule,
	is_outside_base,
	is_disabled,
	is_near_miss,
	is_hidden,
	is_attribute_wrong,
	is_hidden_from_all,
	is_unwritten,
};

/*
 * The entries that it is about: the expected user's, else whoever has a value
 * of the card.  That the base cannot be searched is a question of its own.
 */
static enum cm_err
find_users(struct cm_explaining *x)
{
	enum cm_err err = CM_OK;

	if (x->in->user != NULL)
		err = find_user(x, NULL, &x->users);
	else if (x->query != NULL)
		err = cm_explain_look(x, &(struct cm_look){ .query = x->query }, &x->users);
	x->base_err = err;
	return err == cm_reason_err(CM_REASON_DIRECTORY_REFUSED) ? CM_OK : err;
}

enum cm_err
cm_explain_account(const struct cm_explain *e, cm_deadline deadline, struct cm_trace *t,
    struct cm_explanation **out)
{
	struct cm_explaining x = { .in = e, .deadline = deadline, .trace = t };
	enum cm_err err;

	*out = NULL;
	if ((x.out = calloc(1, sizeof(*x.out))) == NULL)
		return CM_ERR_NOMEM;
	if ((err = cm_rules_map(e->host->rules, e->cert, NULL, &x.query)) == CM_ERR_ABSENT)
		err = CM_OK;
	if (err == CM_OK)
		err = find_users(&x);
	for (size_t i = 0; err == CM_OK && i < CM_COUNT(questions) && x.out->text == NULL; i++)
		if ((err = questions[i](&x)) == CM_ERR_ABSENT)
			err = CM_OK;
	if (err == CM_OK) {
		*out = x.out;
		x.out = NULL;
	}
	cm_explanation_free(&x.out);
	cm_account_free(&x.other);
	cm_seen_clear(&x.users);
	cm_query_free(&x.query);
	return err;
}
