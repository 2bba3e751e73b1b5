/* service/enforcement_ask.c - a directory asked about somebody by name: how the account stands, and whether it needs a card. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "service/enforcement.h"
#include "service/host.h"
#include "service/mapping.h"

struct cm_facts_question
cm_enforcement_question(const struct cm_host *h, const char *group)
{
	const struct cm_conf *c = h->conf;
	const bool in_force = c->enforcement.required && c->enforcement.allow_unmapped_users;

	if (group == NULL || group[0] == '\0')
		group = in_force ? c->enforcement.not_enforced_group : NULL;
	return (struct cm_facts_question){
		.attribute = c->enforcement.attribute, .group = group != NULL && group[0] != '\0' ? group : NULL,
		.mapped = (const char *const *)(uintptr_t)h->searched,
	};
}

/* query is given; user: which of several is meant, NULL: none. */
static enum cm_err
ask(const struct cm_enforcement_asking *a, struct cm_query *query, const char *user, struct cm_trace *t, struct cm_account **out,
    struct cm_facts *said)
{
	const struct cm_facts_question question = cm_enforcement_question(a->host, a->group);
	struct cm_facts_search s = { .user = user, .query = query, .question = &question, .deadline = a->deadline };
	const enum cm_err err = cm_directory_find_facts(a->directory, &s, t, out);

	*said = s.said;
	cm_query_free(&query);
	return err;
}

static enum cm_err
ask_name(const struct cm_enforcement_asking *a, const char *name, struct cm_trace *t, struct cm_account **out, struct cm_facts *said)
{
	const struct cm_named named = { .rule = "name", .name = name, .place = CM_PLACE_DIRECTORY };
	struct cm_query *query = NULL;
	const enum cm_err err = cm_mapping_add_name(&query, &named);

	return err == CM_OK ? ask(a, query, name, t, out, said) : err;
}

/* As which NSS may know the account too (sssd-ldap(5), ldap_user_principal and ldap_user_email). */
static void
ask_alias(const struct cm_enforcement_asking *a, const char *user, struct cm_facts *said)
{
	static const char *const attributes[] = { "userPrincipalName", "mail", "krbPrincipalName", "krbPrincipalName" };
	struct cm_query_term terms[CM_COUNT(attributes)];
	char *principal = strdup(user);
	struct cm_account *account = NULL;
	struct cm_query *query = NULL;

	for (size_t i = 0; i < CM_COUNT(terms); i++)
		terms[i] = (struct cm_query_term){ .rule = (char *)(uintptr_t)"alias", .attribute = (char *)(uintptr_t)attributes[i],
			.value = cm_blob_str(user), .strength = CM_STRONG };
	/* Who types it writes the realm as he likes; KDCs keep it in capitals, and compare it as it is. */
	for (char *p = principal != NULL ? strrchr(principal, '@') : NULL; p != NULL && *p != '\0'; p++)
		*p = (char)toupper((unsigned char)*p);
	if (principal != NULL)
		terms[CM_COUNT(terms) - 1].value = cm_blob_str(principal);
	if (cm_query_append(&query, terms, CM_COUNT(terms)) == CM_OK)
		(void)!ask(a, query, NULL, NULL, &account, said);
	else
		*said = (struct cm_facts){ .attribute.kind = CM_FACT_UNKNOWN };
	cm_account_free(&account);
	free(principal);
}

static bool
is_nobody(const struct cm_facts *said)
{
	return said->mapped.kind == CM_FACT_NONE;
}

static void
ask_short(const struct cm_enforcement_asking *a, const char *name, struct cm_facts *said)
{
	struct cm_account *account = NULL;

	(void)!ask_name(a, name, NULL, &account, said);
	cm_account_free(&account);
}

/*
 * Another way to write a name is no way around what the directory says of the
 * account: what it says of the short one counts, or of whose principal or mail
 * address it is, and the account stays none of that name.
 */
enum cm_err
cm_enforcement_ask(const struct cm_enforcement_asking *a, struct cm_trace *t, struct cm_account **out, struct cm_facts *said)
{
	char *names[CM_NAMES_MAX];
	const enum cm_err err = ask_name(a, a->user, t, out, said);
	const size_t count = err == CM_ERR_ABSENT ? cm_enforcement_names(a->user, names) : 0;

	for (size_t i = 0; i < count && is_nobody(said); i++)
		ask_short(a, names[i], said);
	if (err == CM_ERR_ABSENT && is_nobody(said) && strchr(a->user, '@') != NULL)
		ask_alias(a, a->user, said);
	for (size_t i = 0; i < count; i++) {
		if (is_nobody(said) && strchr(names[i], '@') != NULL)
			ask_alias(a, names[i], said);
		free(names[i]);
	}
	return err;
}
