/* service/level.c - how revocation is judged, by the configuration alone. */
#include "service/level.h"

#include "cache/pairings.h"
#include "service/mapping.h"

/* Of the level of every rule: cm_conf_rule_add() took no other text. */
static bool
level_of(const struct cm_conf_rule *r, struct cm_conf_level *l)
{
	return r->level != NULL && cm_conf_level_parse(r->level, l);
}

static struct cm_trust_policy
policy(const struct cm_conf_level *l)
{
	return (struct cm_trust_policy){ (enum cm_trust_level)l->level, l->max_age };
}

/* Both hold: the higher level, and the lesser age where there is one. */
static void
tighten(struct cm_trust_policy *p, const struct cm_conf_level *l)
{
	if ((unsigned)p->level < l->level)
		p->level = (enum cm_trust_level)l->level;
	if (l->max_age != 0 && (p->max_age == 0 || l->max_age < p->max_age))
		p->max_age = l->max_age;
}

struct cm_trust_policy
cm_level_strictest(const struct cm_conf *c)
{
	struct cm_trust_policy p = policy(&c->trust.level);
	struct cm_conf_level l;

	for (size_t i = 0; i < c->rule_count; i++)
		if (level_of(&c->rules[i], &l))
			tighten(&p, &l);
	return p;
}

/*
 * A rule of another system's file may have the name of one here, and one here
 * that of what is no rule: then both hold.
 */
struct cm_trust_policy
cm_level_of_rule(const struct cm_conf *c, const char *rule)
{
	struct cm_trust_policy p = policy(&c->trust.level);
	bool found = rule != NULL && (strcmp(rule, CM_PAIRING_RULE) == 0 || strcmp(rule, CM_SELECTOR_RULE) == 0);
	struct cm_conf_level l;

	for (size_t i = 0; rule != NULL && i < c->rule_count; i++) {
		if (strcmp(c->rules[i].name, rule) != 0)
			continue;
		if (!level_of(&c->rules[i], &l))
			l = c->trust.level;
		if (!found)
			p = policy(&l);
		else
			tighten(&p, &l);
		found = true;
	}
	return p;
}
