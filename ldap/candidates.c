/* ldap/candidates.c - of the entries that answered: which accounts count, and whose card it is. */
#include <stdlib.h>
#include <string.h>

#include "ldap/directory_internal.h"

void
cm_finding_clear(struct cm_finding *f)
{
	for (size_t i = 0; i < f->count; i++) {
		struct cm_candidate *c = &f->candidates[i];

		free(c->dn);
		free(c->name);
		free(c->why);
		free(c->other_sid);
		cm_account_free(&c->account);
		cm_groups_free(&c->groups);
		cm_buf_free(&c->primary);
	}
	free(f->hidden);
	free(f->hidden_part);
	*f = (struct cm_finding){ 0 };
}

static enum cm_err
take_printable(char **text, struct cm_blob v)
{
	struct cm_buf b;

	cm_buf_init(&b, 0);
	cm_buf_add_printable(&b, v);
	free(*text);
	*text = cm_buf_take(&b);
	cm_buf_free(&b);
	return *text != NULL ? CM_OK : CM_ERR_NOMEM;
}

static enum cm_err
describe(struct cm_finding *f, struct cm_candidate *c, const struct cm_entry *e)
{
	const struct cm_directory_options *o = f->options;
	const bool local = c->place->source->backend == &cm_backend_local;
	struct cm_account *a;
	enum cm_err err;

	/* A principal belongs to the directory's account of that name, who may be somebody else. */
	if ((err = cm_account_from_entry(local ? NULL : o, e, f->trace, &c->account)) != CM_OK)
		return err;
	a = c->account;
	a->weak = c->term->strength == CM_WEAK;
	a->local = local;
	if ((err = take_printable(&a->rule, cm_blob_str(c->term->rule))) != CM_OK ||
	    (c->term->attribute != NULL &&
	    (err = take_printable(&a->attribute, cm_blob_str(c->term->attribute))) != CM_OK) ||
	    (err = take_printable(&a->matched, c->term->value)) != CM_OK ||
	    (err = take_printable(&a->source, cm_blob_str(c->place->source->uri))) != CM_OK)
		return err;
	return cm_groups_new(a, e, o, f->trace, &c->groups);
}

/* For messages, also where it makes no account. */
static struct cm_blob
name_of(const struct cm_entry *e)
{
	struct cm_blob name;

	if (cm_entry_values(e, "uid", &name) == 0 && cm_entry_values(e, "sAMAccountName", &name) == 0)
		return cm_blob_str("no name");
	return name;
}

static enum cm_err
add_candidate(struct cm_finding *f, const struct cm_entry *e, const struct cm_judged *j)
{
	struct cm_candidate *c = &f->candidates[f->count];
	enum cm_err err;

	*c = (struct cm_candidate){ .place = f->place, .term = j->term, .mapping = j->mapping };
	f->count++;
	if ((c->dn = strndup((const char *)e->dn.ptr, e->dn.len)) == NULL ||
	    take_printable(&c->name, name_of(e)) != CM_OK)
		return CM_ERR_NOMEM;
	cm_trace_add(f->trace, "entry", "%s: rule %s, %s%s", c->dn, j->term->rule,
	    j->term->strength == CM_STRONG ? "strong" : "weak", j->term->pairing ? " pairing" : "");
	c->disabled = cm_entry_disabled(e);
	if (f->place->source->backend != &cm_backend_local)
		cm_idmap_primary(e, &c->primary);
	if ((err = cm_buf_status(&c->primary)) != CM_OK)
		return err;
	if (f->facts != NULL)
		cm_facts_of_entry(f->facts, e, &c->facts);
	if ((err = cm_entry_other_sid(e, f->sid, &c->other_sid)) != CM_OK)
		return err;
	if ((err = describe(f, c, e)) == CM_OK || err == CM_ERR_NOMEM)
		return err;
	/* it counts against another all the same; said again if it is the one */
	cm_account_free(&c->account);
	c->err = err;
	c->reason = cm_trace_reason(f->trace);
	c->why = strdup(cm_trace_message(f->trace));
	return c->why != NULL ? CM_OK : CM_ERR_NOMEM;
}

/* It does not answer the query, as far as can be seen. */
static enum cm_err
ignore(struct cm_finding *f, const struct cm_entry *e, const struct cm_judged *j)
{
	const bool undecided = j->judgement != CM_JUDGED_FALSE;

	cm_trace_add(f->trace, "entry ignored", "%.*s: %s", (int)e->dn.len, (const char *)e->dn.ptr,
	    undecided ? "whether it was asked for cannot be seen" :
	    "none of its values is one that was asked for");
	f->others = f->others || !j->all_shown;
	if (!undecided || f->hidden != NULL)
		return CM_OK;
	f->unjudged = j->judgement == CM_JUDGED_UNKNOWN;
	f->hidden_rule = j->term->rule;
	f->hidden = strndup((const char *)e->dn.ptr, e->dn.len);
	return f->hidden != NULL ? take_printable(&f->hidden_part, j->part) : CM_ERR_NOMEM;
}

/* One entry is shown twice with the same text; what differs in case may be two where names are compared exactly. */
static bool
is_known(const struct cm_finding *f, const struct cm_entry *e)
{
	for (size_t i = 0; i < f->count; i++)
		if (f->candidates[i].place == f->place &&
		    cm_blob_equal(cm_blob_str(f->candidates[i].dn), e->dn))
			return true;
	return false;
}

enum cm_err
cm_finding_see(void *arg, const struct cm_entry *e)
{
	struct cm_finding *f = arg;
	struct cm_judged j = { .all_shown = f->place->source->backend->all_shown };
	enum cm_err err;

	if (is_known(f, e))
		return CM_OK;
	if ((err = cm_asked_judge(f->place->asked, e, &j)) != CM_OK)
		return err;
	/* the server's word, where there is a server: it evaluates what is not known here */
	if (j.judgement == CM_JUDGED_UNKNOWN && !j.all_shown)
		cm_trace_add(f->trace, "server's word", "%.*s: rule %s: %.*s", (int)e->dn.len,
		    (const char *)e->dn.ptr, j.term->rule, (int)j.part.len, (const char *)j.part.ptr);
	else if (j.judgement != CM_JUDGED_TRUE)
		return ignore(f, e, &j);
	if (f->count == CM_CANDIDATES_MAX) {
		f->more = true;
		return CM_OK;
	}
	return add_candidate(f, e, &j);
}

/* UserSelector(7): attribute mapping beats pairing. */
static void
drop_pairings(struct cm_finding *f)
{
	bool mapping = false;

	for (size_t i = 0; i < f->count; i++)
		mapping = mapping || f->candidates[i].mapping;
	for (size_t i = 0; i < f->count; i++) {
		f->candidates[i].dropped = mapping && !f->candidates[i].mapping;
		if (f->candidates[i].dropped)
			cm_trace_add(f->trace, "pairing ignored", "%s: a mapping names another account, "
			    "and that counts more", f->candidates[i].dn);
	}
}

/* The next that counts, from c on; NULL: no more. */
static struct cm_candidate *
next(struct cm_finding *f, struct cm_candidate *c)
{
	while (c < f->candidates + f->count && c->dropped)
		c++;
	return c < f->candidates + f->count ? c : NULL;
}

static const char *
strength_of(const struct cm_candidate *c)
{
	return c->term->strength == CM_STRONG ? "strong" : "weak";
}

static void
add_places(const struct cm_finding *f, struct cm_buf *b)
{
	for (size_t i = 0; i < f->place_count; i++)
		cm_buf_addf(b, "%s%s", i > 0 ? " and " : "", f->places[i].source->uri);
}

static enum cm_err
several_accounts(struct cm_finding *f, const char *remark)
{
	struct cm_buf b = { 0 };
	enum cm_err err;
	size_t n = 0;

	add_places(f, &b);
	cm_buf_add_str(&b, f->place_count > 1 ? " have" : " has");
	cm_buf_add_str(&b, " several accounts for this card: ");
	for (struct cm_candidate *c = f->candidates; (c = next(f, c)) != NULL; c++) {
		cm_buf_addf(&b, "%s%s (%s; rule %s, %s)", n++ > 0 ? "; " : "", c->name, c->dn,
		    c->term->rule, strength_of(c));
		if (c->account != NULL)
			cm_trace_add(f->trace, "candidate", "%s (uid %u; %s; rule %s, %s)", c->name, (unsigned)c->account->uid, c->dn,
			    c->term->rule, strength_of(c));
		else
			cm_trace_add(f->trace, "candidate", "%s (%s; rule %s, %s)", c->name, c->dn, c->term->rule, strength_of(c));
	}
	err = cm_trace_fail(f->trace, CM_REASON_SEVERAL_ACCOUNTS, "%s%s%s", cm_buf_str(&b),
	    f->more ? "; and more" : "", remark);
	cm_buf_free(&b);
	return err;
}

static void
add_asked(const struct cm_asked *a, struct cm_buf *b)
{
	for (size_t i = 0; i < a->query.count; i++) {
		cm_buf_add_str(b, i > 0 ? " or " : "");
		cm_term_text(&a->query.terms[i], b);
	}
}

static enum cm_err
no_account(const struct cm_finding *f)
{
	struct cm_buf b = { 0 };
	enum cm_err err;

	for (size_t i = 0; i < f->place_count; i++) {
		cm_buf_addf(&b, "%s%s has no account with ", i > 0 ? "; " : "", f->places[i].source->uri);
		add_asked(f->places[i].asked, &b);
	}
	err = cm_trace_fail(f->trace, CM_REASON_NO_ACCOUNT, "%s", cm_buf_str(&b));
	cm_buf_free(&b);
	return err;
}

/* What was not shown, or cannot be judged, may answer the query too: then it is not known to be one. */
static enum cm_err
check_whole(const struct cm_finding *f)
{
	struct cm_buf b = { 0 };
	enum cm_err err = CM_OK;

	add_places(f, &b);
	if (f->more)
		err = cm_trace_fail(f->trace, CM_REASON_DIRECTORY_REFUSED,
		    "%s: the server's size limit hides some of the entries found", cm_buf_str(&b));
	else if (f->hidden != NULL && f->unjudged)
		err = cm_trace_fail(f->trace, CM_REASON_CONFIG,
		    "rule \"%s\": only an LDAP server can tell what %s of its filter holds for (%s was asked): "
		    "write it without", f->hidden_rule, f->hidden_part, cm_buf_str(&b));
	else if (f->hidden != NULL)
		err = cm_trace_fail(f->trace, CM_REASON_DIRECTORY_REFUSED,
		    "%s: finds %s, but does not show its %s: allow reading it, or write the "
		    "attribute as the server names it", cm_buf_str(&b), f->hidden, f->hidden_part);
	cm_buf_free(&b);
	return err;
}

static enum cm_err
not_this_user(struct cm_finding *f)
{
	struct cm_buf b = { 0 };
	enum cm_err err;
	size_t n = 0;

	for (struct cm_candidate *c = f->candidates; (c = next(f, c)) != NULL; c++)
		cm_buf_addf(&b, "%s%s (%s)", n++ > 0 ? "; " : "", c->name, c->dn);
	err = cm_trace_fail(f->trace, CM_REASON_NOT_THIS_USER, "the card is not %s's, but opens %s",
	    f->user, cm_buf_str(&b));
	cm_buf_free(&b);
	return err;
}

/*
 * Several, and the login says which: one of that name, never the first.  Where
 * some are found by strong values and some by weak ones only, the weak value
 * is likely another person's, and no choice.
 */
static enum cm_err
choose(struct cm_finding *f, struct cm_candidate **out)
{
	struct cm_candidate *wanted = NULL, *first = next(f, f->candidates);
	size_t named = 0;

	for (struct cm_candidate *c = first; (c = next(f, c)) != NULL; c++) {
		if (c->term->strength != first->term->strength)
			return several_accounts(f, "; values of both strengths name different accounts: "
			    "give each a strong one");
		if (strcmp(c->name, f->user) == 0) {	/* also one that describes no account */
			wanted = c;
			named++;
		}
	}
	if (named > 1)
		return several_accounts(f, "; and more than one has the name asked for");
	*out = wanted;
	return wanted != NULL ? CM_OK : not_this_user(f);
}

/* The first value that a rule here would take as strong; what holds bytes is nothing to copy. */
static const struct cm_query_term *
strong_term(const struct cm_asked *a)
{
	for (size_t i = 0; i < a->query.count; i++) {
		const struct cm_query_term *t = &a->query.terms[i];

		if (t->strength == CM_STRONG && t->attribute != NULL && !t->pairing &&
		    !cm_attribute_is_exact(t->attribute))
			return t;
	}
	return NULL;
}

static enum cm_err
weak_binding(const struct cm_finding *f, const struct cm_candidate *c)
{
	const struct cm_query_term *strong = strong_term(c->place->asked);
	struct cm_buf b = { 0 };
	enum cm_err err;

	cm_term_text(c->term, &b);
	cm_buf_addf(&b, " (rule %s); ", c->account->rule);
	if (strong != NULL) {
		cm_buf_addf(&b, "write %s: ", strong->attribute);
		cm_buf_add_printable(&b, strong->value);
	} else {
		cm_buf_add_str(&b, "no rule here asks for a strong one: add one, which cardmap explain names");
	}
	err = cm_trace_fail(f->trace, CM_REASON_WEAK_BINDING,
	    "account %s (%s) was found by a weak value only, which another's certificate could have: %s",
	    c->account->name, c->dn, cm_buf_str(&b));
	cm_buf_free(&b);
	return err;
}

/* The one account: all that may be said against it. */
static enum cm_err
judge_account(struct cm_finding *f, const struct cm_candidate *c)
{
	const struct cm_directory_options *o = f->options;
	const struct cm_account_limits limits = { o->first_uid, o->first_gid, o->local_groups, .groups_unknown = true };
	enum cm_err err;

	if (c->account == NULL) {
		(void)cm_trace_fail(f->trace, c->reason, "%s", c->why);
		return c->err;
	}
	if ((err = cm_account_check(c->account, &limits, f->trace)) != CM_OK)
		return err;
	if (c->other_sid != NULL)
		return cm_trace_fail(f->trace, CM_REASON_OTHER_SID, "account %s (%s) has the SID %s, and the "
		    "card was issued to %s", c->account->name, c->dn, c->other_sid, f->sid);
	if (o->binding == CM_BINDING_STRONG && c->term->strength == CM_WEAK)
		return weak_binding(f, c);
	if (f->user != NULL && strcmp(f->user, c->account->name) != 0)
		return not_this_user(f);
	if (c->disabled != NULL)
		return cm_trace_fail(f->trace, CM_REASON_ACCOUNT_DISABLED, "account %s (%s) is disabled: %s",
		    c->account->name, c->dn, c->disabled);
	return CM_OK;
}

enum cm_err
cm_finding_decide(struct cm_finding *f, struct cm_candidate **out)
{
	const bool hinted = f->options->several == CM_SEVERAL_HINT;
	struct cm_candidate *c;
	enum cm_err err;
	bool several;

	drop_pairings(f);
	c = next(f, f->candidates);
	several = c != NULL && next(f, c + 1) != NULL;
	if (several && !(hinted && f->user != NULL))
		return several_accounts(f, hinted ? "; say which of them is to log in" : "");
	if ((err = check_whole(f)) != CM_OK)
		return err;
	if (c == NULL)
		return no_account(f);
	if (several && (err = choose(f, &c)) != CM_OK)
		return err;
	if ((err = judge_account(f, c)) != CM_OK)
		return err;
	c->account->several = several;
	*out = c;
	return CM_OK;
}

const struct cm_candidate *
cm_finding_subject(struct cm_finding *f, const struct cm_candidate *decided, bool *none)
{
	const struct cm_candidate *first = next(f, f->candidates);

	/* A server that takes more values for the same may know somebody by this name. */
	*none = f->count == 0 && !f->more && !f->others && f->hidden == NULL;
	if (decided != NULL)
		return decided;
	return first != NULL && next(f, f->candidates + (first - f->candidates) + 1) == NULL && !f->more && f->hidden == NULL ? first : NULL;
}
