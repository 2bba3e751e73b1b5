/* service/enforcement_ask.c - a directory asked about somebody by name: how the account stands, and whether it needs a card. */
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

/* "alice@example.org" and "EXAMPLE\alice", as NSS may name her: what is left without the domain; NULL: it is no such name. */
static char *
short_name(const char *user)
{
	const char *at = strchr(user, '@'), *behind = strchr(user, '\\');

	if (behind != NULL)
		return behind[1] != '\0' ? strdup(behind + 1) : NULL;
	return at != NULL && at > user ? strndup(user, (size_t)(at - user)) : NULL;
}

static enum cm_err
ask(const struct cm_enforcement_asking *a, const char *name, struct cm_trace *t, struct cm_account **out, struct cm_facts *said)
{
	const struct cm_named named = { .rule = "name", .name = name, .place = CM_PLACE_DIRECTORY };
	const struct cm_facts_question question = cm_enforcement_question(a->host, a->group);
	struct cm_facts_search s = { .user = name, .question = &question, .deadline = a->deadline };
	struct cm_query *query = NULL;
	enum cm_err err = cm_mapping_add_name(&query, &named);

	s.query = query;
	if (err == CM_OK)
		err = cm_directory_find_facts(a->directory, &s, t, out);
	*said = s.said;
	cm_query_free(&query);
	return err;
}

/*
 * Another way to write a name is no way around what the directory says of the
 * account: what it says of the short one counts, and the account stays none of that name.
 */
static void
ask_short(const struct cm_enforcement_asking *a, struct cm_facts *said)
{
	char *name = short_name(a->user);
	struct cm_account *account = NULL;

	if (name == NULL)
		return;
	(void)!ask(a, name, NULL, &account, said);
	cm_account_free(&account);
	free(name);
}

enum cm_err
cm_enforcement_ask(const struct cm_enforcement_asking *a, struct cm_trace *t, struct cm_account **out, struct cm_facts *said)
{
	const enum cm_err err = ask(a, a->user, t, out, said);

	if (err == CM_ERR_ABSENT)
		ask_short(a, said);
	return err;
}
