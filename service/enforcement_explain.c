/* service/enforcement_explain.c - why somebody must use a card, or need not: each step's value, and what a change would do. */
#include "service/enforcement_explain.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cache/skip.h"
#include "cache/standing.h"
#include "service/answer.h"

/* ---- what is supposed */

struct supposed {
	struct cm_conf conf;		/* as it would be; shallow: its texts are others' */
	struct cm_enforcement_facts *facts;	/* NULL: the configuration's turn */
	const char *value;
};

static bool
read_flag(const char *text, bool *out)
{
	static const struct { const char *word; bool is; } words[] = { { "yes", true }, { "true", true }, { "1", true }, { "no", false },
		{ "false", false }, { "0", false } };

	for (size_t i = 0; i < CM_COUNT(words); i++)
		if (strcmp(words[i].word, text) == 0) {
			*out = words[i].is;
			return true;
		}
	return false;
}

static bool
suppose_required(struct supposed *s)
{
	return read_flag(s->value, &s->conf.enforcement.required);
}

static bool
suppose_unmapped(struct supposed *s)
{
	return read_flag(s->value, &s->conf.enforcement.allow_unmapped_users);
}

static bool
suppose_group_name(struct supposed *s)
{
	s->conf.enforcement.not_enforced_group = (char *)(uintptr_t)s->value;
	return true;
}

/* A number, or what means nothing; "": no such attribute. */
static struct cm_fact
read_number(const char *text, const char *name)
{
	char *end;
	const unsigned long n = strtoul(text, &end, 0);

	if (text[0] == '\0')
		return cm_fact_make(CM_FACT_NONE, 0, NULL);
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && n <= UINT32_MAX ? cm_fact_make(CM_FACT_VALUE, (uint32_t)n, name) :
	    cm_fact_make(CM_FACT_MALFORMED, 0, text);
}

static bool
suppose_attribute(struct supposed *s)
{
	s->facts->account.attribute = read_number(s->value, s->conf.enforcement.attribute);
	return true;
}

static bool
suppose_control(struct supposed *s)
{
	s->facts->account.control = read_number(s->value, "userAccountControl");
	return true;
}

static bool
suppose_group(struct supposed *s)
{
	const char *name = s->conf.enforcement.not_enforced_group;
	bool in;

	if (!read_flag(s->value, &in))
		return false;
	s->facts->account.group = cm_fact_make(CM_FACT_VALUE, in, name);
	return true;
}

static bool
suppose_mapped(struct supposed *s)
{
	bool is;

	if (!read_flag(s->value, &is))
		return false;
	s->facts->account.mapped = cm_fact_make(CM_FACT_VALUE, is, "supposed");
	return true;
}

static bool
suppose_exempt(struct supposed *s)
{
	return read_flag(s->value, &s->facts->exempt);
}

static bool
suppose_local(struct supposed *s)
{
	return read_flag(s->value, &s->facts->local);
}

static const struct supposition {
	const char *key;	/* NULL: what enforcement.attribute names */
	bool fact;
	bool (*take)(struct supposed *s);
} suppositions[] = {
	{ "required", false, suppose_required },
	{ "allow_unmapped_users", false, suppose_unmapped },
	{ "not_enforced_group", false, suppose_group_name },
	{ NULL, true, suppose_attribute },
	{ "userAccountControl", true, suppose_control },
	{ "group", true, suppose_group },
	{ "mapped", true, suppose_mapped },
	{ "exempt", true, suppose_exempt },
	{ "local", true, suppose_local },
};

static const struct supposition *
find(const struct cm_conf *conf, const char *key)
{
	static const char section[] = "enforcement.";
	const bool whole = strncmp(key, section, strlen(section)) == 0;

	for (size_t i = 0; i < CM_COUNT(suppositions); i++) {
		const char *name = suppositions[i].key != NULL ? suppositions[i].key : conf->enforcement.attribute;

		if (name != NULL && strcasecmp(name, key + (whole ? strlen(section) : 0)) == 0 && (!whole || !suppositions[i].fact))
			return &suppositions[i];
	}
	return NULL;
}

/* Those about the configuration first, since they say what is asked; facts afterwards. */
static enum cm_err
suppose(const json_t *what_if, struct supposed *s, struct cm_trace *t)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)what_if, key, value) {
		const struct supposition *row = find(&s->conf, key);

		if (row == NULL)
			return cm_trace_fail(t, CM_REASON_USAGE, "%s: cannot be supposed: required, allow_unmapped_users, not_enforced_group, "
			    "%s, userAccountControl, group, mapped, exempt and local can", key, s->conf.enforcement.attribute);
		if (row->fact != (s->facts != NULL))
			continue;
		s->value = json_string_value(value);
		if (s->value == NULL || !row->take(s))
			return cm_trace_fail(t, CM_REASON_USAGE, "%s = %s: expected yes or no", key, s->value != NULL ? s->value : "");
	}
	return CM_OK;
}

/* ---- told */

static const char *const says[] = { [CM_SAYS_NOTHING] = "next", [CM_SAYS_PASSWORD] = "password", [CM_SAYS_CARD] = "card" };

static json_t *
tell_steps(const struct cm_enforcement_decision *d)
{
	json_t *list = json_array();

	for (int i = 0; i < CM_STEP_COUNT; i++) {
		json_t *o = json_pack("{s:i, s:s, s:s, s:b}", "number", i, "step", cm_enforcement_step_name((enum cm_enforcement_step)i),
		    "says", says[d->steps[i].says], "reached", d->steps[i].reached);

		cm_answer_set_text(o, "value", d->steps[i].value);
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *
tell_outcome(const struct cm_enforcement_decision *d)
{
	return json_pack("{s:b, s:s, s:i}", "card_required", d->card_required, "decided", cm_enforcement_step_name(d->step), "step",
	    (int)d->step);
}

static void
set_time(json_t *o, const char *key, time_t at)
{
	char text[CM_TIME_SIZE];

	json_object_set_new(o, key, at != 0 ? json_string(cm_clock_text(at, text)) : json_null());
}

/* ---- asked, gathered, decided */

struct found {
	const char *user;
	struct cm_facts said, kept;
	time_t at;
	char *offline;		/* why nobody answered */
};

static enum cm_err
find_kept(const struct cm_enforcement_explaining *x, struct cm_trace *t, struct found *f)
{
	struct cm_standing last = { .carded = false };
	enum cm_err err = x->store != NULL ? cm_standing_find(x->store, x->user, t, &last) : CM_ERR_ABSENT;

	if (err == CM_OK && cm_facts_unpack((struct cm_blob){ last.facts, last.facts_len }, &f->kept))
		f->at = last.facts_at;
	if (err == CM_OK)
		cm_standing_clear(&last);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

static void
ask(const struct cm_enforcement_explaining *x, const struct cm_conf *conf, struct cm_trace *t, struct found *f)
{
	if (x->ask == NULL || !cm_enforcement_wants_directory(conf, x->user))
		return;
	(void)!x->ask(x->arg, x->user, conf->enforcement.not_enforced_group, t, &f->said);
	if (f->said.control.kind == CM_FACT_UNKNOWN)
		f->offline = strdup(cm_trace_message(t));
	cm_trace_clear_reason(t);
}

static enum cm_err
gather(const struct cm_enforcement_explaining *x, const struct cm_conf *conf, const struct found *f, struct cm_trace *t,
    struct cm_enforcement_facts *facts)
{
	const struct cm_enforcement_sources s = { .conf = conf, .store = x->store, .said = &f->said, .kept = &f->kept, .at = f->at };

	return cm_enforcement_gather(&s, x->user, t, facts);
}

static enum cm_err
tell(const struct cm_enforcement_explaining *x, struct supposed *s, const struct found *f, struct cm_trace *t, json_t **out)
{
	struct cm_enforcement_facts facts;
	struct cm_enforcement_decision d;
	struct cm_skip mark = { .made = 0 };
	enum cm_err err = gather(x, &s->conf, f, t, &facts);

	s->facts = &facts;
	if (err != CM_OK || (err = suppose(x->what_if, s, t)) != CM_OK)
		return err;
	cm_enforcement_decide(&s->conf, &facts, &d);
	*out = tell_outcome(&d);
	cm_answer_set_text(*out, "user", x->user);
	json_object_set_new(*out, "local", json_boolean(facts.local));
	json_object_set_new(*out, "steps", tell_steps(&d));
	set_time(*out, "kept", facts.kept);
	cm_answer_add_text(*out, "offline", f->offline);
	if (x->store != NULL && cm_skip_find(x->store, x->user, cm_clock_now(), NULL, &mark) == CM_OK)
		set_time(*out, "skip_once", mark.expires);
	return CM_OK;
}

static enum cm_err
tell_before(const struct cm_enforcement_explaining *x, const struct found *f, struct cm_trace *t, json_t *out)
{
	struct cm_enforcement_facts facts;
	struct cm_enforcement_decision d;
	const enum cm_err err = gather(x, x->conf, f, t, &facts);

	if (err != CM_OK || json_object_size(x->what_if) == 0)
		return err;
	cm_enforcement_decide(x->conf, &facts, &d);
	json_object_set_new(out, "before", tell_outcome(&d));
	return CM_OK;
}

enum cm_err
cm_enforcement_explain(const struct cm_enforcement_explaining *x, struct cm_trace *t, json_t **out)
{
	struct supposed s = { .conf = *x->conf };
	struct found f = { .user = x->user };
	enum cm_err err;

	*out = NULL;
	if ((err = suppose(x->what_if, &s, t)) != CM_OK || (err = find_kept(x, t, &f)) != CM_OK)
		goto out;
	ask(x, &s.conf, t, &f);
	if ((err = tell(x, &s, &f, t, out)) == CM_OK)
		err = tell_before(x, &f, t, *out);
out:
	if (err != CM_OK) {
		json_decref(*out);
		*out = NULL;
	}
	free(f.offline);
	return err;
}
