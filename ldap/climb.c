/* ldap/climb.c - is an account in a group, itself or through other groups?  Upward, level by level, with bounds. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ldap/directory_internal.h"
#include "ldap/facts.h"

#define GROUPS_MOST	1024	/* that an account is in, through any others */
#define LEVELS_MOST	16
#define AT_ONCE		32	/* groups that one search asks about */
#define OWN_TERMS	3	/* of the first: memberUid and the primary group, by both its names */

struct cm_climb {
	const char *group, *user;	/* borrowed */
	struct cm_blob primary;		/* borrowed */
	char gid[16];
	struct rung {
		char *dn;
		unsigned level;
	} rungs[GROUPS_MOST + 1];	/* the account's own first */
	size_t count, asked;
	unsigned level;			/* of what is being asked about */
	bool found, cut;
	struct cm_query query;
	struct cm_query_term terms[2 * AT_ONCE + OWN_TERMS];
};

enum cm_err
cm_climb_new(const char *group, const struct cm_climber *who, struct cm_climb **out)
{
	struct cm_climb *c = calloc(1, sizeof(*c));

	if (c == NULL || (c->rungs[0].dn = strdup(who->dn)) == NULL) {
		free(c);
		return CM_ERR_NOMEM;
	}
	c->count = 1;
	c->group = group;
	c->user = who->name;
	c->primary = who->primary;
	if (who->gid != 0)
		snprintf(c->gid, sizeof(c->gid), "%u", (unsigned)who->gid);
	*out = c;
	return CM_OK;
}

void
cm_climb_free(struct cm_climb **c)
{
	if (*c == NULL)
		return;
	for (size_t i = 0; i < (*c)->count; i++)
		free((*c)->rungs[i].dn);
	free(*c);
	*c = NULL;
}

/* A query's texts are not const, since whoever maps owns them; these are never written or freed. */
static void
add_term(struct cm_climb *c, const char *attribute, const char *value)
{
	c->terms[c->query.count++] = (struct cm_query_term){ .attribute = (char *)(uintptr_t)attribute, .value = cm_blob_str(value) };
}

static bool
has_value(const struct cm_entry *e, const char *attribute, const char *value)
{
	for (size_t i = 0; i < e->count; i++)
		if (cm_attribute_is(e->values[i].attribute, attribute) &&
		    cm_value_compare(e->values[i].value, cm_blob_str(value)) == 0)
			return true;
	return false;
}

static bool
is_group(const struct cm_entry *e)
{
	static const char *const classes[] = { "posixGroup", "group", "groupOfNames", "groupOfUniqueNames", "groupOfMembers" };

	for (size_t i = 0; i < CM_COUNT(classes); i++)
		if (has_value(e, "objectClass", classes[i]))
			return true;
	return false;
}

/* Of Active Directory's two names, the one of which there is one in a domain. */
static bool
is_wanted(const struct cm_climb *c, const struct cm_entry *e)
{
	struct cm_blob sam;

	return has_value(e, cm_entry_values(e, "sAMAccountName", &sam) > 0 ? "sAMAccountName" : "cn", c->group);
}

static enum cm_err
visit(void *arg, const struct cm_entry *e)
{
	struct cm_climb *c = arg;
	struct rung *r = &c->rungs[c->count];

	if (!is_group(e))
		return CM_OK;
	c->found = c->found || is_wanted(c, e);
	for (size_t i = 0; i < c->count; i++)
		if (cm_value_compare(cm_blob_str(c->rungs[i].dn), e->dn) == 0)
			return CM_OK;
	if (c->count == CM_COUNT(c->rungs)) {
		c->cut = true;
		return CM_OK;
	}
	if ((r->dn = strndup((const char *)e->dn.ptr, e->dn.len)) == NULL)
		return CM_ERR_NOMEM;
	r->level = c->level + 1;
	c->count++;
	return CM_OK;
}

bool
cm_climb_next(struct cm_climb *c, struct cm_search *s)
{
	c->query = (struct cm_query){ .terms = c->terms };
	if (c->found || c->cut || c->asked == c->count)
		return false;
	c->level = c->rungs[c->asked].level;
	if (c->level == LEVELS_MOST) {
		c->cut = true;
		return false;
	}
	if (c->asked == 0)
		add_term(c, "memberUid", c->user);	/* RFC 2307 */
	if (c->asked == 0 && c->gid[0] != '\0')
		add_term(c, "gidNumber", c->gid);
	if (c->asked == 0 && c->primary.len > 0)	/* which lists nobody it is the primary group of */
		c->terms[c->query.count++] = (struct cm_query_term){ .attribute = (char *)(uintptr_t)CM_SID_ATTRIBUTE, .value = c->primary };
	for (size_t n = 0; n < AT_ONCE && c->asked < c->count && c->rungs[c->asked].level == c->level; n++) {
		add_term(c, "member", c->rungs[c->asked].dn);
		add_term(c, "uniqueMember", c->rungs[c->asked++].dn);
	}
	*s = (struct cm_search){
		.query = &c->query,
		.within = "(|(objectClass=posixGroup)(objectClass=group)(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)"
		    "(objectClass=groupOfMembers))",
		.holds = is_group,
		.attributes = { "objectClass", "cn", "sAMAccountName" },
		.limit = GROUPS_MOST,
		.visit = visit,
		.arg = c,
	};
	return true;
}

void
cm_climb_fact(const struct cm_climb *c, bool more, struct cm_fact *out)
{
	if (!c->found && (c->cut || more))
		*out = cm_fact_make(CM_FACT_MALFORMED, 0, "in more groups than are looked at");
	else
		*out = cm_fact_make(CM_FACT_VALUE, c->found, c->group);
}
