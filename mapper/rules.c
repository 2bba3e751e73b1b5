/* mapper/rules.c - rules from their texts: compiled once, then found by priority and issuer. */
#include "mapper/rules_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/list.h"

/* One that is empty is not NULL. */
static enum cm_err
copy_list(const char *const *from, char ***to)
{
	enum cm_err err = (*to = calloc(1, sizeof(**to))) != NULL ? CM_OK : CM_ERR_NOMEM;

	for (; err == CM_OK && *from != NULL; from++)
		err = cm_list_add(to, cm_blob_str(*from));
	return err;
}

enum cm_err
cm_rules_new(const struct cm_rules_options *o, struct cm_rules **out)
{
	struct cm_rules *r = calloc(1, sizeof(*r));
	enum cm_err err = CM_ERR_NOMEM;

	*out = NULL;
	if (r == NULL || (o->domain != NULL && (r->domain = strdup(o->domain)) == NULL) ||
	    (o->forms != NULL && copy_list(o->forms, &r->forms) != CM_OK))
		goto out;
	r->key_only = o->key_only;
	r->pinned = o->pinned;
	r->skip_bad = o->skip_bad;
	if ((err = cm_regexes_new(o->back_references, &r->regexes)) != CM_OK)
		goto out;
	*out = r;
	return CM_OK;
out:
	cm_rules_free(&r);
	return err;
}

static void
clear_rule(struct cm_rule *rule)
{
	cm_template_clear(&rule->value);
	cm_match_free(&rule->match);
	cm_map_file_free(&rule->map_file);
	free(rule->name);
	free(rule->origin);
	free(rule->text);
	free(rule->attribute);
	free(rule->issuer);
	free(rule->upn_suffix);
	free(rule->elsewhere);
}

void
cm_rules_free(struct cm_rules **r)
{
	if (*r == NULL)
		return;
	for (size_t i = 0; i < (*r)->count; i++)
		clear_rule(&(*r)->rules[i]);
	free((*r)->rules);
	free((*r)->any_issuer);
	free((*r)->slots);
	cm_regexes_free(&(*r)->regexes);
	free((*r)->domain);
	cm_list_free(&(*r)->forms);
	free(*r);
	*r = NULL;
}

/* One rule being compiled, and where to say what is wrong with it. */
struct job {
	const struct cm_rules *rules;
	const struct cm_conf_rule *from;
	struct cm_rule *rule;
	struct cm_rule_report *report;
};

/* "FILE:LINE: rule "NAME": key: what", the line being the key's; CM_RULE_KEYS: the whole rule. */
static void
tell(const struct job *j, bool skip, enum cm_rule_key key, const char *what)
{
	struct cm_buf b;

	cm_buf_init(&b, 0);
	if (j->from->origin != NULL) {
		cm_conf_rule_place(j->from, key, &b);
		cm_buf_add_str(&b, ": ");
	}
	cm_buf_addf(&b, "rule \"%s\": ", j->from->name != NULL ? j->from->name : "");
	if (key != CM_RULE_KEYS)
		cm_buf_addf(&b, "%s: ", cm_conf_rule_key_name(key));
	cm_buf_add_str(&b, what);
	cm_trace_add(j->report->trace, skip ? "left out" : "mistake", "%s", cm_buf_str(&b));
	if (!skip && j->report->first.len == 0)
		cm_buf_add_blob(&j->report->first, cm_buf_blob(&b));
	cm_buf_free(&b);
}

/* A mistake of the text, which skip_bad passes over.  Returns CM_ERR_CONFIG. */
static enum cm_err CM_PRINTF(3, 4)
wrong(const struct job *j, enum cm_rule_key key, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	tell(j, j->rules->skip_bad, key, text);
	return CM_ERR_CONFIG;
}

/* skipped: bytes of the text that stand before what was parsed. */
static enum cm_err
wrong_syntax(const struct job *j, enum cm_rule_key key, const struct cm_syntax *why, size_t skipped)
{
	if (why->column == 0)
		return wrong(j, key, "%s", why->what);
	return wrong(j, key, "column %zu: %s", why->column + skipped, why->what);
}

/* RFC 4512 section 2.5: an attribute description, with options: "userCertificate;binary". */
static bool
is_attribute(const char *s)
{
	return s[0] != '\0' && strlen(s) <= 128 && s[0] != '-' && s[0] != ';' &&
	    s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.;_")] == '\0';
}

static enum cm_err
copy_text(const char *from, char **to)
{
	if (from == NULL)
		return CM_OK;
	return (*to = strdup(from)) != NULL ? CM_OK : CM_ERR_NOMEM;
}

static enum cm_err
check_keys(const struct job *j)
{
	const struct cm_conf_rule *c = j->from;
	enum cm_rule_key about;
	const char *what;

	if (c->name == NULL || c->name[0] == '\0')
		return wrong(j, CM_RULE_KEYS, "it has no name; write rule \"NAME\" { ... }");
	if ((what = cm_conf_rule_check(c, &about)) != NULL)
		return wrong(j, about, "%s", what);
	if (c->attribute != NULL && !is_attribute(c->attribute))
		return wrong(j, CM_RULE_KEY_ATTRIBUTE, "\"%s\" is no LDAP attribute; write letters, digits and "
		    "\"-\"", c->attribute);
	if (c->issuer != NULL && c->issuer[0] == '\0')
		return wrong(j, CM_RULE_KEY_ISSUER, "is empty; write the issuer's name as cardmap cert shows it");
	return CM_OK;
}

/* Does the match part look at who the holder is?  Usages and issuer are the same for many. */
static bool
says_whose(const struct cm_match *m)
{
	size_t names = 0;

	for (size_t i = 0; i < m->count; i++) {
		const struct cm_component_kind *kind = m->components[i].kind;

		names += (kind->value == CM_VALUE_REGEX || kind->value == CM_VALUE_BASE64) &&
		    strcmp(kind->name, "ISSUER") != 0;
	}
	return m->any ? names == m->count : names > 0;
}

/*
 * sssd.conf(5), "files" provider: a rule may name the user itself.  Only of
 * this computer's accounts, and only where the match part says whose
 * certificate it is: everywhere else a value that is always the same is a mistake.
 */
static bool
names_the_user(const struct job *j, const char *text)
{
	return j->from->local && j->rule->match != NULL && text[strcspn(text, "{}")] == '\0' &&
	    says_whose(j->rule->match);
}

static enum cm_err
compile_value(const struct job *j)
{
	const bool filter = j->from->filter != NULL;
	const enum cm_rule_key key = filter ? CM_RULE_KEY_FILTER : CM_RULE_KEY_VALUE;
	const char *text = filter ? j->from->filter : j->from->value;
	const char *rest = text;	/* behind the prefix */
	enum cm_dialect dialect = CM_DIALECT_OWN;
	struct cm_syntax why = { .column = 0 };
	enum cm_err err;

	if (filter && (rest = cm_template_prefix(text, &dialect)) == NULL)
		return wrong(j, key, "is of an unknown type; expected LDAP:, LDAPU1: or neither before it");
	if (strlen(text) > CM_FORMAT_MAX)
		return wrong(j, key, "is longer than %d bytes; shorten it", CM_FORMAT_MAX);
	err = names_the_user(j, text) ? cm_template_constant(rest, filter, &j->rule->value) :
	    cm_template_parse(rest, dialect, filter, &j->rule->value, &why);
	if (err == CM_OK)
		err = cm_strength_of(&j->rule->value, filter, &j->rule->strength, &j->rule->key, &why);
	j->rule->list = err == CM_OK && filter && cm_filter_is_list(&j->rule->value);
	return err == CM_ERR_SYNTAX ? wrong_syntax(j, key, &why, (size_t)(rest - text)) : err;
}

/* An issuer that the match part insists on serves as index too. */
static enum cm_err
compile_match(const struct job *j)
{
	struct cm_syntax why = { .column = 0 };
	const char *issuer = j->from->issuer;
	enum cm_err err;

	if (j->from->match != NULL) {
		err = cm_match_parse(j->from->match, j->rules->regexes, &j->rule->match, &why);
		if (err == CM_ERR_SYNTAX || err == CM_ERR_CONFIG)
			return wrong_syntax(j, CM_RULE_KEY_MATCH, &why, 0);
		if (err != CM_OK)
			return err;
	}
	j->rule->issuer_matched = issuer == NULL;
	if (issuer == NULL && j->rule->match != NULL)
		issuer = cm_match_issuer(j->rule->match);
	return copy_text(issuer, &j->rule->issuer);
}

static enum cm_err
compile_upn_suffix(const struct job *j)
{
	const char *s = j->from->upn_suffix;

	if (s == NULL)
		return CM_OK;
	s += s[0] == '@';
	if (s[0] == '\0')
		return wrong(j, CM_RULE_KEY_UPN_SUFFIX, "is empty; write what stands behind the \"@\"");
	return copy_text(s, &j->rule->upn_suffix);
}

static enum cm_err
load_map_file(const struct job *j)
{
	struct cm_trace *t = NULL;
	enum cm_err err;

	if (j->from->map_file == NULL)
		return CM_OK;
	if ((err = cm_trace_new(&t)) != CM_OK)
		return err;
	err = cm_map_file_load(j->from->map_file, j->rules->regexes, j->from->ignore_case, t,
	    &j->rule->map_file);
	if (err != CM_OK && err != CM_ERR_NOMEM)
		err = wrong(j, CM_RULE_KEY_MAP_FILE, "%s", cm_trace_message(t)[0] != '\0' ? cm_trace_message(t) :
		    "there is no such file");
	cm_trace_free(&t);
	return err;
}

static bool
names_field(const struct cm_template *tp, const char *name)
{
	for (size_t i = 0; i < tp->count; i++)
		if (tp->segments[i].ref.field != NULL && strcmp(tp->segments[i].ref.field->name, name) == 0)
			return true;
	return false;
}

/* Why the rule does not hold on this host, in out; nothing: it does. */
static void
judge_host(const struct job *j, struct cm_buf *out)
{
	const char *const *domains = (const char *const *)j->from->domains;

	for (size_t i = 0; domains != NULL && domains[i] != NULL; i++) {
		if (j->rules->domain != NULL && strcasecmp(domains[i], j->rules->domain) == 0) {
			cm_buf_truncate(out, 0);
			break;
		}
		cm_buf_addf(out, "%s%s", i == 0 ? "is for other domains: " : ", ", domains[i]);
	}
	if (out->len > 0 && j->rules->domain != NULL)
		cm_buf_addf(out, "; directory.domain is %s", j->rules->domain);
	else if (out->len > 0)
		cm_buf_add_str(out, "; directory.domain is not set");
	else if (!j->rules->pinned && names_field(&j->rule->value, "sid_uri"))
		/* features.md and KB5014754: who may put a URI into a request could put anybody's SID there */
		cm_buf_add_str(out, "a SID in a SAN URI is believed only where trust.pins lists the CAs");
}

static enum cm_err
compile_host(const struct job *j, const char *elsewhere)
{
	struct cm_buf b;

	j->rule->pkinit = names_field(&j->rule->value, "subject_principal") ||
	    names_field(&j->rule->value, "subject_pkinit_principal");
	if (elsewhere != NULL)
		return copy_text(elsewhere, &j->rule->elsewhere);
	cm_buf_init(&b, 0);
	judge_host(j, &b);
	if (b.len > 0 && (j->rule->elsewhere = cm_buf_take(&b)) == NULL)
		return CM_ERR_NOMEM;
	cm_buf_free(&b);
	return CM_OK;
}

/* The rule as people read it: "staff: mail = {common_name}-{rfc822_name}". */
static enum cm_err
copy_texts(const struct job *j)
{
	const struct cm_conf_rule *c = j->from;
	struct cm_rule *rule = j->rule;
	struct cm_buf b;

	cm_buf_init(&b, 0);
	cm_buf_addf(&b, "%s: ", c->name);
	if (c->filter != NULL)
		cm_buf_add_str(&b, c->filter);
	else
		cm_buf_addf(&b, "%s = %s", c->attribute, c->value);
	if ((rule->text = cm_buf_take(&b)) == NULL || copy_text(c->name, &rule->name) != CM_OK ||
	    copy_text(c->origin, &rule->origin) != CM_OK ||
	    copy_text(c->attribute, &rule->attribute) != CM_OK) {
		cm_buf_free(&b);
		return CM_ERR_NOMEM;
	}
	rule->priority = c->priority;
	rule->ignore_case = c->ignore_case;
	rule->local = c->local;
	return CM_OK;
}

/* Every key is looked at, so that all mistakes are told at once. */
static enum cm_err
compile(const struct job *j, const char *elsewhere)
{
	static enum cm_err (*const steps[])(const struct job *) = {
		copy_texts, compile_match, compile_upn_suffix, compile_value, load_map_file,
	};
	enum cm_err err, first;

	if ((first = check_keys(j)) != CM_OK)
		return first;
	for (size_t i = 0; i < CM_COUNT(steps); i++) {
		if ((err = steps[i](j)) != CM_OK && err != CM_ERR_CONFIG)
			return err;
		first = first != CM_OK ? first : err;
	}
	return first == CM_OK ? compile_host(j, elsewhere) : first;
}

static enum cm_err
append(struct cm_rules *r, const struct cm_rule *rule)
{
	struct cm_rule *more = r->rules;

	/* Room doubles: 8, 16, 32, ... */
	if (r->count == 0 || (r->count >= 8 && (r->count & (r->count - 1)) == 0))
		more = realloc(r->rules, (r->count == 0 ? 8 : 2 * r->count) * sizeof(*more));
	if (more == NULL)
		return CM_ERR_NOMEM;
	r->rules = more;
	r->rules[r->count] = *rule;
	r->rules[r->count].number = r->count;
	r->count++;
	return CM_OK;
}

/* What no rule may do on this host, and skip_bad is no leave to. */
static enum cm_err
check_fit(const struct job *j)
{
	char text[64];

	/* SmartCardServices(7), checkCertificateTrust 0: anybody can sign a certificate with somebody's name. */
	if (j->rules->key_only && !j->rule->key) {
		j->report->only_unfit = true;
		tell(j, false, j->from->filter != NULL ? CM_RULE_KEY_FILTER : CM_RULE_KEY_VALUE, "trust.level = off, and it binds "
		    "by something else than the hash of the whole public key; write {public_key!sha1}, or set "
		    "trust.level to chain, soft or hard");
		return CM_ERR_CONFIG;
	}
	if (j->rules->count < CM_RULES_MAX)
		return CM_OK;
	snprintf(text, sizeof(text), "there are more than %d rules; remove some", CM_RULES_MAX);
	tell(j, false, CM_RULE_KEYS, text);
	return CM_ERR_CONFIG;
}

enum cm_err
cm_rules_add_one(struct cm_rules *r, const struct cm_conf_rule *c, const char *elsewhere,
    struct cm_rule_report *report)
{
	struct cm_rule rule = { .name = NULL };
	const struct job j = { .rules = r, .from = c, .rule = &rule, .report = report };
	enum cm_err err;

	if ((err = compile(&j, elsewhere)) == CM_OK && (err = check_fit(&j)) == CM_OK)
		err = append(r, &rule);
	if (err != CM_OK)
		clear_rule(&rule);
	return err;
}

static int
by_priority(const void *a, const void *b)
{
	const struct cm_rule *x = a, *y = b;

	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

/* FNV-1a */
static size_t
slot_of(const struct cm_rules *r, struct cm_blob issuer)
{
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < issuer.len; i++)
		h = (h ^ issuer.ptr[i]) * 0x100000001b3;
	h ^= h >> 32;
	for (size_t i = h & (r->slot_count - 1);; i = (i + 1) & (r->slot_count - 1)) {
		if (r->slots[i] == CM_RULE_NONE ||
		    cm_blob_equal(cm_blob_str(r->rules[r->slots[i]].issuer), issuer))
			return i;
	}
}

size_t
cm_rules_of_issuer(const struct cm_rules *r, struct cm_blob issuer)
{
	return r->slot_count > 0 ? r->slots[slot_of(r, issuer)] : CM_RULE_NONE;
}

/* At most half of the slots are ever taken. */
static enum cm_err
make_slots(struct cm_rules *r)
{
	free(r->slots);
	r->slots = NULL;
	r->slot_count = 0;
	if (r->count == r->any_issuer_count)
		return CM_OK;
	for (r->slot_count = 8; r->slot_count < 2 * (r->count - r->any_issuer_count);)
		r->slot_count *= 2;
	if ((r->slots = malloc(r->slot_count * sizeof(*r->slots))) == NULL) {
		r->slot_count = 0;
		return CM_ERR_NOMEM;
	}
	for (size_t i = 0; i < r->slot_count; i++)
		r->slots[i] = CM_RULE_NONE;
	for (size_t i = r->count; i-- > 0;) {	/* from the last, so that each chain begins with its first */
		if (r->rules[i].issuer != NULL) {
			const size_t slot = slot_of(r, cm_blob_str(r->rules[i].issuer));

			r->rules[i].next = r->slots[slot];
			r->slots[slot] = i;
		}
	}
	return CM_OK;
}

enum cm_err
cm_rules_index(struct cm_rules *r)
{
	if (r->count == 0)
		return CM_OK;
	qsort(r->rules, r->count, sizeof(*r->rules), by_priority);
	free(r->any_issuer);
	r->any_issuer_count = 0;
	if ((r->any_issuer = calloc(r->count, sizeof(*r->any_issuer))) == NULL)
		return CM_ERR_NOMEM;
	for (size_t i = 0; i < r->count; i++) {
		if (r->rules[i].issuer == NULL)
			r->any_issuer[r->any_issuer_count++] = i;
		else
			*(r->rules[i].issuer_matched ? &r->issuers_matched : &r->issuers_named) = true;
	}
	return make_slots(r);
}

enum cm_err
cm_rules_add(struct cm_rules *r, const struct cm_conf_rule *rules, size_t count,
    struct cm_trace *t)
{
	struct cm_rule_report report = { .trace = t };
	enum cm_err err = CM_OK;

	for (size_t i = 0; (err == CM_OK || err == CM_ERR_CONFIG) && i < count; i++)
		err = cm_rules_add_one(r, &rules[i], NULL, &report);
	if (err == CM_OK || err == CM_ERR_CONFIG)
		err = cm_rules_index(r);
	if (err == CM_OK && report.first.len > 0)
		err = cm_trace_fail(t, CM_REASON_CONFIG, "%s", cm_buf_str(&report.first));
	cm_buf_free(&report.first);
	return err;
}
