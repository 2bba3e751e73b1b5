/* ldap/tokens.c - Active Directory's own word on the groups of an account: their SIDs, through any others, and the primary group's. */
#include <stdlib.h>
#include <string.h>

#include "ldap/directory_internal.h"
#include "ldap/facts.h"

/* Windows takes no more than 1,015 into a token. */
#define TOKENS_MOST	1024
#define NAMED_MOST	16
#define TOKENS		"tokenGroups"
#define NAME		"sAMAccountName"

struct cm_tokens {
	size_t count;
	bool cut;	/* there are more */
	struct token {
		uint8_t len, sid[CM_SID_OCTETS];
	} tokens[TOKENS_MOST];
	/* a group asked about by name */
	bool found, unsure;
	struct cm_query query;
	struct cm_query_term term;
};

enum cm_err
cm_tokens_new(struct cm_tokens **out)
{
	*out = calloc(1, sizeof(**out));
	return *out != NULL ? CM_OK : CM_ERR_NOMEM;
}

void
cm_tokens_free(struct cm_tokens **t)
{
	free(*t);
	*t = NULL;
}

/* MS-DTYP section 2.4.2.2 */
static bool
is_sid(struct cm_blob v)
{
	return v.len >= 8 && v.ptr[0] == 1 && v.ptr[1] <= 15 && v.len == 8 + 4 * (size_t)v.ptr[1];
}

/* Where values are too many for one answer, their number stands behind the name: ";range=0-1499" (MS-ADTS section 3.1.1.3.1.3.3). */
static enum cm_err
see_tokens(void *arg, const struct cm_entry *e)
{
	struct cm_tokens *k = arg;

	for (size_t i = 0; i < e->count; i++) {
		const struct cm_value *v = &e->values[i];

		if (!cm_attribute_answers(v->attribute, TOKENS) || !is_sid(v->value))
			continue;
		k->cut = k->cut || k->count == TOKENS_MOST || v->attribute.len != strlen(TOKENS);
		if (k->count == TOKENS_MOST)
			break;
		k->tokens[k->count].len = (uint8_t)v->value.len;
		memcpy(k->tokens[k->count++].sid, v->value.ptr, v->value.len);
	}
	return CM_OK;
}

/* MS-ADTS section 3.1.1.4.5.19: it is there where the account alone is asked for. */
void
cm_tokens_search(struct cm_tokens *k, const char *dn, struct cm_search *s)
{
	static const struct cm_query any;

	*s = (struct cm_search){
		.base = dn, .base_only = true, .query = &any, .within = "(objectClass=*)",
		.attributes = { TOKENS }, .limit = 1, .visit = see_tokens, .arg = k,
	};
}

size_t
cm_tokens_count(const struct cm_tokens *k)
{
	return k->count;
}

bool
cm_tokens_are_cut(const struct cm_tokens *k)
{
	return k->cut;
}

struct cm_blob
cm_tokens_get(const struct cm_tokens *k, size_t i)
{
	return (struct cm_blob){ k->tokens[i].sid, k->tokens[i].len };
}

static bool
has(const struct cm_tokens *k, struct cm_blob sid)
{
	for (size_t i = 0; i < k->count; i++)
		if (cm_blob_equal(cm_tokens_get(k, i), sid))
			return true;
	return false;
}

/* MS-ADTS section 2.2.12: GROUP_TYPE_SECURITY_ENABLED is the sign.  What is for mail alone is in nobody's token. */
static bool
is_security_group(const struct cm_entry *e)
{
	struct cm_blob type;

	return cm_entry_values(e, "groupType", &type) == 1 && type.len > 0 && type.ptr[0] == '-';
}

static enum cm_err
see_named(void *arg, const struct cm_entry *e)
{
	struct cm_tokens *k = arg;
	struct cm_blob name, sid;

	if (cm_entry_values(e, NAME, &name) != 1 || cm_value_compare(name, k->term.value) != 0)
		return CM_OK;
	if (cm_entry_values(e, CM_SID_ATTRIBUTE, &sid) == 1 && has(k, sid))
		k->found = true;
	else if (sid.len == 0 || !is_security_group(e))
		k->unsure = true;
	return CM_OK;
}

void
cm_tokens_search_named(struct cm_tokens *k, const char *group, struct cm_search *s)
{
	k->term = (struct cm_query_term){ .attribute = (char *)(uintptr_t)NAME, .value = cm_blob_str(group) };
	k->query = (struct cm_query){ .terms = &k->term, .count = 1 };
	k->found = k->unsure = false;
	*s = (struct cm_search){
		.query = &k->query, .within = "(objectClass=group)",
		.attributes = { NAME, CM_SID_ATTRIBUTE, "groupType" }, .limit = NAMED_MOST, .visit = see_named, .arg = k,
	};
}

bool
cm_tokens_fact(const struct cm_tokens *k, bool more, struct cm_fact *out)
{
	if (!k->found && (k->cut || k->unsure || more))
		return false;
	*out = cm_fact_make(CM_FACT_VALUE, k->found, (const char *)k->term.value.ptr);
	return true;
}
