/* ldap/membership.c - which groups is an account in?  Asked once it is known which account it is. */
#include "ldap/directory_internal.h"

#include "ldap/facts.h"

enum cm_err
cm_source_search(const struct cm_source *source, struct cm_search *s, const char *what, cm_deadline deadline, struct cm_trace *t)
{
	const int64_t start = cm_clock_us();
	const enum cm_err err = source->backend->search(source->state, s, deadline, t);

	cm_trace_add(t, what, "%lld us", (long long)(cm_clock_us() - start));
	return err;
}

/* Files hold one tree; a server many. */
const char *
cm_source_base(const struct cm_source *source, const struct cm_directory_options *o)
{
	return source->backend->needs_base ? o->base : NULL;
}

static const char *
group_base(const struct cm_membership *m)
{
	const struct cm_source *source = m->candidate->place->source;

	return m->options->group_base != NULL && source->backend->needs_base ? m->options->group_base :
	    cm_source_base(source, m->options);
}

static enum cm_err
search(struct cm_membership *m, struct cm_search *s, const char *what)
{
	const enum cm_err err = cm_source_search(m->candidate->place->source, s, what, m->deadline, m->trace);

	m->elsewhere = s->elsewhere;
	return err;
}

void
cm_membership_clear(struct cm_membership *m)
{
	cm_tokens_free(&m->tokens);
}

/*
 * Where the account is one of Active Directory's: what it is a member of, once for both questions.  A server that
 * does not show it, or not to us, is asked as any other; only silence is no answer.
 */
static enum cm_err
ask_tokens(struct cm_membership *m)
{
	struct cm_search s;
	enum cm_err err = CM_OK;

	if (m->asked || m->candidate->primary.len == 0 || !m->candidate->place->source->backend->needs_base)
		return CM_OK;
	if ((err = cm_tokens_new(&m->tokens)) != CM_OK)
		return err;
	cm_tokens_search(m->tokens, m->candidate->dn, &s);
	err = search(m, &s, "token search");
	m->asked = err == CM_OK || (err != CM_ERR_OFFLINE && err != CM_ERR_NOMEM);
	if (err != CM_OK || cm_tokens_count(m->tokens) == 0)
		cm_tokens_free(&m->tokens);
	return m->asked ? CM_OK : err;
}

enum cm_err
cm_membership_find(struct cm_membership *m)
{
	const struct cm_candidate *c = m->candidate;
	struct cm_search s;
	enum cm_err err = ask_tokens(m);

	if (err == CM_OK && m->tokens != NULL)
		err = cm_groups_take_tokens(c->groups, m->tokens);
	if (err != CM_OK)
		return err;
	cm_groups_search(c->groups, &s);
	s.base = group_base(m);
	err = search(m, &s, "groups search");
	if (err == CM_OK && (s.more || (m->tokens != NULL && cm_tokens_are_cut(m->tokens))))
		err = cm_trace_fail(m->trace, CM_REASON_DIRECTORY_REFUSED,
		    "%s: account %s is in more groups than the server shows, or in more than %zu",
		    c->place->source->uri, c->account->name, s.limit);
	return err == CM_OK ? cm_groups_judge(c->groups) : err;
}

static enum cm_err
climb(struct cm_membership *m, const char *group, struct cm_fact *out)
{
	const struct cm_candidate *c = m->candidate;
	const struct cm_climber who = { .name = c->name, .dn = c->dn, .gid = c->account != NULL ? c->account->gid : 0,
		.primary = cm_buf_blob(&c->primary) };
	struct cm_climb *k = NULL;
	struct cm_search s;
	bool more = false;
	enum cm_err err = cm_climb_new(group, &who, &k);

	while (err == CM_OK && cm_climb_next(k, &s)) {
		s.base = group_base(m);
		err = search(m, &s, "group search");
		more = more || s.more;
	}
	if (err == CM_OK)
		cm_climb_fact(k, more, out);
	cm_climb_free(&k);
	return err;
}

/* A group that is in no token, being for mail alone, and what cannot be told by tokens, is looked for as elsewhere. */
enum cm_err
cm_membership_judge(struct cm_membership *m, const char *group, struct cm_fact *out)
{
	struct cm_search s;
	enum cm_err err;

	if ((err = ask_tokens(m)) != CM_OK)
		return err;
	if (m->tokens == NULL)
		return climb(m, group, out);
	cm_tokens_search_named(m->tokens, group, &s);
	s.base = group_base(m);
	if ((err = search(m, &s, "group search")) != CM_OK || cm_tokens_fact(m->tokens, s.more, out))
		return err;
	return climb(m, group, out);
}
