/* service/enforcement_gather.c - what is known of a user, for the five steps: of this computer, and as a directory said. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cache/pairings.h"
#include "cache/standing.h"
#include "service/enforcement.h"
#include "service/local.h"

static bool
is_named(const struct passwd *e, const char *name)
{
	return strcmp(e->pw_name, name) == 0;
}

/* local: alone asks none (ldap/directory.h). */
bool
cm_enforcement_has_directory(const struct cm_conf *conf)
{
	for (char *const *uri = conf->directory.uri; uri != NULL && *uri != NULL; uri++)
		if (strncasecmp(*uri, "local:", strlen("local:")) != 0)
			return true;
	return false;
}

bool
cm_enforcement_wants_directory(const struct cm_conf *conf, const char *user)
{
	struct passwd entry;
	char texts[CM_LOCAL_TEXTS];

	return cm_enforcement_has_directory(conf) && !cm_enforcement_is_exempt(conf, user) && !cm_local_find_user(user, is_named, &entry, texts);
}

/* Fact by fact: of two answers the later one, and where there is none what was said last. */
static void
take(const struct cm_fact *said, const struct cm_fact *kept, struct cm_fact *out, bool *old)
{
	if (said != NULL && said->kind != CM_FACT_UNKNOWN) {
		*out = *said;
	} else if (kept != NULL && kept->kind != CM_FACT_UNKNOWN) {
		*out = *kept;
		*old = true;
	}
}

/* true: something that was kept is in it. */
static bool
merge(const struct cm_facts *said, const struct cm_facts *kept, struct cm_facts *out)
{
	bool old = false;

	take(said != NULL ? &said->attribute : NULL, kept != NULL ? &kept->attribute : NULL, &out->attribute, &old);
	take(said != NULL ? &said->control : NULL, kept != NULL ? &kept->control : NULL, &out->control, &old);
	take(said != NULL ? &said->group : NULL, kept != NULL ? &kept->group : NULL, &out->group, &old);
	take(said != NULL ? &said->mapped : NULL, kept != NULL ? &kept->mapped : NULL, &out->mapped, &old);
	return old;
}

static bool
is_nobody(const struct cm_facts *f)
{
	return f->attribute.kind == CM_FACT_NONE && f->control.kind == CM_FACT_NONE && f->mapped.kind == CM_FACT_NONE;
}

static bool
is_unknown(const struct cm_facts *f)
{
	return f->attribute.kind == CM_FACT_UNKNOWN && f->control.kind == CM_FACT_UNKNOWN && f->group.kind == CM_FACT_UNKNOWN &&
	    f->mapped.kind == CM_FACT_UNKNOWN;
}

/*
 * Under the account's own name, however it was written: else what was heard of another
 * spelling would still hold when the directory has changed its mind about the account.
 */
enum cm_err
cm_enforcement_keep(struct cm_accounts *store, const char *user, const struct cm_facts *said, bool absent, struct cm_trace *t)
{
	const char *name = said->name[0] != '\0' ? said->name : user;
	struct cm_facts kept = { .attribute.kind = CM_FACT_UNKNOWN }, all = kept;
	struct cm_standing last = { .carded = false };
	struct cm_buf packed = { 0 };
	bool known;
	enum cm_err err = is_unknown(said) ? CM_ERR_ABSENT : cm_standing_find(store, name, t, &last);

	if (is_unknown(said) || (err != CM_OK && err != CM_ERR_ABSENT))
		return is_unknown(said) ? CM_OK : err;
	known = cm_facts_unpack((struct cm_blob){ last.facts, last.facts_len }, &kept);
	cm_standing_clear(&last);
	if (is_nobody(said) && !absent && !known)
		return CM_OK;
	(void)merge(said, &kept, &all);
	cm_facts_set_name(&all, cm_blob_str(name));
	cm_facts_pack(&all, &packed);
	if ((err = cm_buf_status(&packed)) == CM_OK)
		err = cm_standing_note_facts(store, name, cm_buf_blob(&packed), cm_clock_now(), t);
	cm_buf_free(&packed);
	return err;
}

/* What was said last of whoever has this name, if that is later than *at. */
static enum cm_err
find_later(struct cm_accounts *store, const char *name, struct cm_trace *t, struct cm_facts *kept, time_t *at)
{
	struct cm_standing last = { .carded = false };
	struct cm_facts found;
	const enum cm_err err = cm_standing_find_facts(store, name, t, &last);

	if (err == CM_OK && last.facts_at > *at && cm_facts_unpack((struct cm_blob){ last.facts, last.facts_len }, &found)) {
		*kept = found;
		*at = last.facts_at;
	}
	if (err == CM_OK)
		cm_standing_clear(&last);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

enum cm_err
cm_enforcement_find_kept(struct cm_accounts *store, const char *user, struct cm_trace *t, struct cm_facts *kept, time_t *at)
{
	char *names[CM_NAMES_MAX];
	size_t count = 0;
	enum cm_err err;

	*kept = (struct cm_facts){ .attribute.kind = CM_FACT_UNKNOWN };
	*at = 0;
	err = store != NULL ? find_later(store, user, t, kept, at) : CM_OK;
	count = cm_enforcement_names(user, names);
	for (size_t i = 0; i < count; i++) {
		if (store != NULL && err == CM_OK)
			err = find_later(store, names[i], t, kept, at);
		free(names[i]);
	}
	return err;
}

/* Here the files of this computer know everything. */
static void
take_nobody(const struct cm_conf *conf, struct cm_enforcement_facts *out)
{
	const struct cm_fact none = cm_fact_make(CM_FACT_NONE, 0, NULL);
	bool by_rule = false;

	for (size_t i = 0; out->local && i < conf->rule_count; i++)
		by_rule = by_rule || conf->rules[i].local;
	out->account = (struct cm_facts){ none, none, none, none, "" };
	if (by_rule)
		out->account.mapped = cm_fact_make(CM_FACT_VALUE, 1, "a rule names accounts of this computer");
}

static enum cm_err
take_local_group(const struct cm_enforcement_sources *s, const struct cm_local_member *m, struct cm_trace *t,
    struct cm_enforcement_facts *out)
{
	bool in = false;
	enum cm_err err;

	if (m->group == NULL || m->group[0] == '\0')
		return CM_OK;
	if ((err = cm_local_is_member(s->etc, m, t, &in)) == CM_OK && in)
		out->account.group = cm_fact_make(CM_FACT_VALUE, 1, m->group);
	return err;
}

static enum cm_err
see_pairing(void *arg, const struct cm_pairing *p)
{
	bool *found = arg;

	(void)p;
	*found = true;
	return CM_OK;
}

static enum cm_err
see_kept(void *arg, const struct cm_kept *k)
{
	bool *found = arg;

	(void)k;
	*found = true;
	return CM_OK;
}

/* Is something of this computer's own known of this very name? */
static enum cm_err
look_for_card(const struct cm_enforcement_sources *s, const char *name, struct cm_trace *t, const char **what)
{
	bool paired = false, kept = false;
	enum cm_err err;

	if (*what != NULL || name[0] == '\0')
		return CM_OK;
	if ((err = cm_pairings_list(s->store, name, t, see_pairing, &paired)) == CM_OK && !paired)
		err = cm_accounts_list_of(s->store, name, t, see_kept, &kept);
	if (paired || kept)
		*what = paired ? "a pairing" : "a kept account";
	return err;
}

/*
 * Asked only where an answer matters; under each name that the user may mean, and the account's own as the directory has
 * it: else who writes "ALICE" or "EXAMPLE\\alice" had no card.
 */
static enum cm_err
take_mapped(const struct cm_enforcement_sources *s, const char *user, struct cm_trace *t, struct cm_enforcement_facts *out)
{
	char *names[CM_NAMES_MAX];
	const char *what = NULL;
	size_t count;
	enum cm_err err;

	if (s->store == NULL || !s->conf->enforcement.allow_unmapped_users)
		return CM_OK;
	err = look_for_card(s, user, t, &what);
	count = out->local ? 0 : cm_enforcement_names(user, names);
	for (size_t i = 0; i < count; i++) {
		err = err == CM_OK ? look_for_card(s, names[i], t, &what) : err;
		free(names[i]);
	}
	if (err == CM_OK && !out->local && s->said != NULL && strcmp(s->said->name, user) != 0)
		err = look_for_card(s, s->said->name, t, &what);
	if (err == CM_OK && !out->local && s->kept != NULL && strcmp(s->kept->name, user) != 0)
		err = look_for_card(s, s->kept->name, t, &what);
	if (err == CM_OK && what != NULL)
		out->account.mapped = cm_fact_make(CM_FACT_VALUE, 1, what);
	return err;
}

enum cm_err
cm_enforcement_gather(const struct cm_enforcement_sources *s, const char *user, struct cm_trace *t, struct cm_enforcement_facts *out)
{
	struct passwd entry;
	char texts[CM_LOCAL_TEXTS];
	struct cm_local_member m = { .user = user, .group = s->conf->enforcement.not_enforced_group };
	enum cm_err err;

	*out = (struct cm_enforcement_facts){
		.local = cm_local_find_user(user, is_named, &entry, texts), .exempt = cm_enforcement_is_exempt(s->conf, user),
		.no_directory = !cm_enforcement_has_directory(s->conf),
	};
	if (out->local)
		m.gid = entry.pw_gid;
	if (out->local || out->no_directory)
		take_nobody(s->conf, out);
	else
		out->kept = merge(s->said, s->kept, &out->account) ? s->at : 0;
	if ((err = take_local_group(s, &m, t, out)) != CM_OK || (err = take_mapped(s, user, t, out)) != CM_OK)
		*out = (struct cm_enforcement_facts){ .exempt = out->exempt };
	return err;
}
