/* base/conf_rules.c - sections rule "NAME": their keys, and what a whole rule needs. */
#include "base/conf_internal.h"

#include <stdlib.h>

static const char *const places[] = { "directory", "local", NULL };

#define ROW(id, k, field, ty, un, hi, wo, he) \
	[id] = { .section = "rule", .key = k, .type = &cm_conf_##ty, \
	  .offset = offsetof(struct cm_conf_rule, field), .unit = un, .max = hi, .words = wo, .help = he }
#define TEXT(id, k, field, ty, he)	ROW(id, k, field, ty, "", 0, NULL, he)

static const struct cm_conf_row rows[CM_RULE_KEYS] = {
	TEXT(CM_RULE_KEY_MATCH, "match", match, text, "which certificates it is for (sss-certmap(5)); without it: all"),
	TEXT(CM_RULE_KEY_ISSUER, "issuer", issuer, text, "exact name of their issuer, as RFC 4514 writes it"),
	TEXT(CM_RULE_KEY_UPN_SUFFIX, "upn_suffix", upn_suffix, text, "their UPN ends with @ and this"),
	TEXT(CM_RULE_KEY_ATTRIBUTE, "attribute", attribute, text, "the attribute of an account that must have the value"),
	TEXT(CM_RULE_KEY_VALUE, "value", value, text, "template of that value"),
	TEXT(CM_RULE_KEY_FILTER, "filter", filter, text, "instead of both: template of a filter; LDAP: or LDAPU1: in front: as sss-certmap(5)"),
	TEXT(CM_RULE_KEY_MAP_FILE, "map_file", map_file, path, "the value is looked up in this file, and what stands there is taken"),
	TEXT(CM_RULE_KEY_DOMAINS, "domains", domains, list, "holds only where directory.domain is one of these"),
	ROW(CM_RULE_KEY_PRIORITY, "priority", priority, number, "", UINT32_MAX, NULL, "of the rules that apply those with the lowest number are asked; without it: last"),
	TEXT(CM_RULE_KEY_IGNORE_CASE, "ignore_case", ignore_case, flag, "put the value into lower case"),
	ROW(CM_RULE_KEY_ACCOUNTS, "accounts", local, pair, "", 0, places, "whose accounts it names: the directory's or this computer's (local)"),
	ROW(CM_RULE_KEY_LEVEL, "level", level, rule_level, "", 0, cm_conf_levels + 1, "revocation of cards that it maps: chain, soft or hard, with an age; without it trust.level"),
};

const struct cm_conf_row *
cm_conf_rule_row(enum cm_rule_key k)
{
	return &rows[k];
}

const char *
cm_conf_rule_key_name(enum cm_rule_key k)
{
	return rows[k].key;
}

void
cm_conf_rule_clear(struct cm_conf_rule *r)
{
	free(r->name);
	free(r->origin);
	for (size_t i = 0; i < CM_RULE_KEYS; i++)
		if (rows[i].type->clear != NULL)
			rows[i].type->clear(cm_conf_field(r, &rows[i]));
	*r = (struct cm_conf_rule){ .priority = CM_RULE_PRIORITY_LAST };
}

void
cm_conf_rule_place(const struct cm_conf_rule *r, enum cm_rule_key k, struct cm_buf *out)
{
	const char *origin = r->origin != NULL ? r->origin : "", *colon = strrchr(origin, ':');

	if (k < CM_RULE_KEYS && r->lines[k] > 0 && colon != NULL)
		cm_buf_addf(out, "%.*s:%u", (int)(colon - origin), origin, r->lines[k]);
	else
		cm_buf_add_str(out, origin);
}

void
cm_conf_rule_each(const struct cm_conf_rule *r, cm_conf_visit visit, void *arg)
{
	static const struct cm_conf_rule none = { .priority = CM_RULE_PRIORITY_LAST };

	for (enum cm_rule_key k = 0; k < CM_RULE_KEYS; k++) {
		const struct cm_conf_row *row = &rows[k];
		struct cm_conf_item item = {
			.key = row->key, .type = row->type->name, .unit = row->unit, .fallback = "",
			.help = row->help, .min = row->min, .max = row->max,
		};
		struct cm_buf value, place;

		cm_buf_init(&value, 0);
		cm_buf_init(&place, 0);
		row->type->show(cm_conf_field(r != NULL ? r : &none, row), row, &value);
		if (r != NULL)
			cm_conf_rule_place(r, k, &place);
		if (k == CM_RULE_KEY_PRIORITY && (r == NULL || r->priority == CM_RULE_PRIORITY_LAST))
			cm_buf_truncate(&value, 0);
		if (row->type == &cm_conf_flag || row->type == &cm_conf_pair)
			item.fallback = row->type == &cm_conf_flag ? "no" : row->words[0];
		item.value = cm_buf_str(&value);
		item.origin = cm_buf_str(&place);
		visit(arg, &item);
		cm_buf_free(&value);
		cm_buf_free(&place);
	}
}

static bool
says_twice(const struct cm_conf_rule *r)
{
	return r->filter != NULL && (r->attribute != NULL || r->value != NULL);
}

static bool
lacks_value(const struct cm_conf_rule *r)
{
	return r->attribute != NULL && r->value == NULL;
}

static bool
lacks_attribute(const struct cm_conf_rule *r)
{
	return r->value != NULL && r->attribute == NULL;
}

static bool
says_nothing(const struct cm_conf_rule *r)
{
	return r->filter == NULL && r->value == NULL;
}

/* A filter has no one value that could be looked up. */
static bool
looks_up_filter(const struct cm_conf_rule *r)
{
	return r->filter != NULL && r->map_file != NULL;
}

static bool
lowers_filter(const struct cm_conf_rule *r)
{
	return r->filter != NULL && r->ignore_case;
}

const char *
cm_conf_rule_check(const struct cm_conf_rule *r, enum cm_rule_key *about)
{
	static const struct {
		bool (*wrong)(const struct cm_conf_rule *r);
		enum cm_rule_key about;
		const char *text;
	} checks[] = {
		{ says_twice, CM_RULE_KEY_FILTER, "stands beside attribute or value: keep the filter, or those two" },
		{ lacks_value, CM_RULE_KEY_ATTRIBUTE, "has no value: add value = 'TEMPLATE'" },
		{ lacks_attribute, CM_RULE_KEY_VALUE, "has no attribute: add attribute = 'NAME'" },
		{ says_nothing, CM_RULE_KEYS, "asks for nothing: add attribute and value, or filter" },
		{ looks_up_filter, CM_RULE_KEY_MAP_FILE, "needs one value to look up: use attribute and value instead of filter" },
		{ lowers_filter, CM_RULE_KEY_IGNORE_CASE, "is for a value: use attribute and value instead of filter, or leave it out" },
	};

	for (size_t i = 0; i < CM_COUNT(checks); i++) {
		if (checks[i].wrong(r)) {
			*about = checks[i].about;
			return checks[i].text;
		}
	}
	return NULL;
}

const char *
cm_conf_rule_add(struct cm_conf *c, struct cm_conf_rule *r)
{
	struct cm_conf_rule *more = realloc(c->rules, (c->rule_count + 1) * sizeof(*more));

	if (more == NULL)
		return "out of memory";
	c->rules = more;
	more[c->rule_count++] = *r;
	*r = (struct cm_conf_rule){ .priority = CM_RULE_PRIORITY_LAST };
	return NULL;
}
