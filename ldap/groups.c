/* ldap/groups.c - the groups of an account, in one search. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ldap/directory_internal.h"

/* Most groups named by memberOf that are asked for, and most groups of one account. */
#define MEMBER_OF_MAX	256
#define GROUPS_MAX	1024
#define FIXED_TERMS	4

struct cm_groups {
	struct cm_account *account;	/* borrowed */
	const struct cm_directory_options *options;	/* borrowed */
	struct cm_trace *trace;
	char gid[16];
	struct cm_buf primary;	/* its objectSid */
	struct cm_query query;
	/* the values of memberOf, one after the other; terms point into it */
	struct cm_buf member_of;
	struct cm_query_term *terms;	/* FIXED_TERMS, and one for each of memberOf or each token */
};

/* A query's texts are not const, since whoever maps owns them; these are never written or freed. */
static void
add_term(struct cm_groups *g, const char *attribute, struct cm_blob value)
{
	g->terms[g->query.count++] = (struct cm_query_term){
		.attribute = (char *)(uintptr_t)attribute, .value = value,
	};
}

/*
 * member=DN finds the groups that list the account; memberOf (RFC 2307bis with
 * slapd's overlay, FreeIPA) names those it is in through others as well, which
 * are then asked for by their own name (RFC 5020).
 */
static enum cm_err
add_member_of(struct cm_groups *g, const struct cm_entry *e)
{
	enum cm_err err;

	for (size_t i = 0; i < e->count; i++)
		if (cm_attribute_is(e->values[i].attribute, "memberOf"))
			cm_buf_add_blob(&g->member_of, e->values[i].value);
	if ((err = cm_buf_status(&g->member_of)) != CM_OK)
		return err;
	for (size_t i = 0, at = 0; i < e->count; i++) {
		const size_t len = e->values[i].value.len;

		if (len == 0 || !cm_attribute_is(e->values[i].attribute, "memberOf"))
			continue;
		if (g->query.count == FIXED_TERMS + MEMBER_OF_MAX) {
			cm_trace_add(g->trace, "groups", "memberOf has more than %d values: "
			    "the rest is found by member only", MEMBER_OF_MAX);
			break;
		}
		add_term(g, "entryDN", (struct cm_blob){ g->member_of.ptr + at, len });
		at += len;
	}
	return CM_OK;
}

enum cm_err
cm_groups_new(struct cm_account *account, const struct cm_entry *e, const struct cm_directory_options *o,
    struct cm_trace *t, struct cm_groups **out)
{
	struct cm_groups *g;
	enum cm_err err = CM_ERR_NOMEM;
	struct cm_blob first;
	size_t n = cm_entry_values(e, "memberOf", &first);

	n = n < MEMBER_OF_MAX ? n : MEMBER_OF_MAX;
	if ((g = calloc(1, sizeof(*g))) == NULL || (g->terms = calloc(FIXED_TERMS + n, sizeof(g->terms[0]))) == NULL)
		goto out;
	g->account = account;
	g->options = o;
	g->trace = t;
	g->query.terms = g->terms;
	snprintf(g->gid, sizeof(g->gid), "%u", account->gid);
	add_term(g, "memberUid", cm_blob_str(account->name));	/* RFC 2307 */
	add_term(g, "member", cm_blob_str(account->dn));		/* RFC 2307bis */
	if (account->local || !cm_idmap_holds(&o->idmap, e))
		add_term(g, "gidNumber", cm_blob_str(g->gid));		/* the primary group */
	else
		cm_idmap_primary(e, &g->primary);
	if (g->primary.len > 0)
		add_term(g, CM_SID_ATTRIBUTE, cm_buf_blob(&g->primary));
	if ((err = cm_buf_status(&g->primary)) != CM_OK || (err = add_member_of(g, e)) != CM_OK)
		goto out;
	*out = g;
	g = NULL;
out:
	cm_groups_free(&g);
	return err;
}

void
cm_groups_free(struct cm_groups **g)
{
	if (*g == NULL)
		return;
	cm_buf_free(&(*g)->member_of);
	cm_buf_free(&(*g)->primary);
	free((*g)->terms);
	free(*g);
	*g = NULL;
}

/* These are all: only the group that gidNumber names may not be among them. */
enum cm_err
cm_groups_take_tokens(struct cm_groups *g, const struct cm_tokens *k)
{
	const size_t n = cm_tokens_count(k);
	struct cm_query_term *terms = calloc(n + 1, sizeof(*terms));
	size_t count = 0;

	if (terms == NULL)
		return CM_ERR_NOMEM;
	for (size_t i = 0; i < g->query.count; i++)
		if (strcmp(g->terms[i].attribute, "gidNumber") == 0)
			terms[count++] = g->terms[i];
	free(g->terms);
	g->query.terms = g->terms = terms;
	g->query.count = count;
	for (size_t i = 0; i < n; i++)
		add_term(g, CM_SID_ATTRIBUTE, cm_tokens_get(k, i));
	return CM_OK;
}

static enum cm_err
dropped(struct cm_groups *g, const struct cm_entry *e, const char *why)
{
	cm_trace_add(g->trace, "group dropped", "%.*s: %s", (int)e->dn.len,
	    (const char *)e->dn.ptr, why);
	return CM_OK;
}

static enum cm_err
add_group(struct cm_account *a, const struct cm_group *group)
{
	struct cm_group *more;

	for (size_t i = 0; i < a->group_count; i++)
		if (a->groups[i].gid == group->gid)
			return CM_OK;
	if ((more = realloc(a->groups, (a->group_count + 1) * sizeof(*more))) == NULL)
		return CM_ERR_NOMEM;
	a->groups = more;
	more[a->group_count] = (struct cm_group){ .gid = group->gid, .local = group->local };
	if ((more[a->group_count].name = strdup(group->name)) == NULL)
		return CM_ERR_NOMEM;
	a->group_count++;
	return CM_OK;
}

static bool
is_group(const struct cm_entry *e)
{
	for (size_t i = 0; i < e->count; i++)
		if (cm_attribute_is(e->values[i].attribute, "objectClass") &&
		    (cm_value_compare(e->values[i].value, cm_blob_str("posixGroup")) == 0 ||
		    cm_value_compare(e->values[i].value, cm_blob_str("group")) == 0))
			return true;
	return false;
}

/* The only value; {NULL, 0} for none or several. */
static struct cm_blob
only(const struct cm_entry *e, const char *attribute)
{
	struct cm_blob v;

	return cm_entry_values(e, attribute, &v) == 1 ? v : (struct cm_blob){ NULL, 0 };
}

/* A group whose name or number means something on this host is not a directory's to give. */
static enum cm_err
visit(void *arg, const struct cm_entry *e)
{
	struct cm_groups *g = arg;
	const struct cm_blob cn = only(e, "cn");
	char name[256] = "";
	const struct cm_account_limits limits = { .first_gid = g->options->first_gid, .local_groups = g->options->local_groups };
	struct cm_group group = { .name = name };

	if (!is_group(e))
		return CM_OK;
	if (cn.len == 0 || cn.len >= sizeof(name) || memchr(cn.ptr, '\0', cn.len) != NULL)
		return dropped(g, e, "it has no usable cn, or several");
	memcpy(name, cn.ptr, cn.len);
	if (!g->account->local && cm_idmap_holds(&g->options->idmap, e)) {
		if (!cm_idmap_group(&g->options->idmap, e, &group.gid))
			return dropped(g, e, "no gid can be made from its objectSid");
	} else if (!cm_number_parse(only(e, "gidNumber"), &group.gid)) {
		return dropped(g, e, "it has no usable gidNumber, or several");
	}
	if (!cm_group_is_allowed(&group, &limits))
		return dropped(g, e, "a directory may not hand out this name or gidNumber");
	return add_group(g->account, &group);
}

void
cm_groups_search(struct cm_groups *g, struct cm_search *s)
{
	*s = (struct cm_search){
		.query = &g->query,
		.within = "(|(objectClass=posixGroup)(objectClass=group))",
		.holds = is_group,
		.attributes = { "objectClass", "cn", "gidNumber", g->options->idmap.use != CM_IDMAP_OFF ? CM_SID_ATTRIBUTE : NULL },
		.limit = GROUPS_MAX,
		.visit = visit,
		.arg = g,
	};
}

enum cm_err
cm_groups_judge(const struct cm_groups *g)
{
	const struct cm_account_limits limits = { g->options->first_uid, g->options->first_gid, g->options->local_groups, false };

	return cm_account_check(g->account, &limits, g->trace);
}
