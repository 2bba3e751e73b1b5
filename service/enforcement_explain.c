/* service/enforcement_explain.c - why somebody must use a card, or need not: each step's value, and what a change would do. */
#include "service/enforcement_explain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cache/skip.h"
#include "service/answer.h"

/* ---- what is supposed */

#define SHOWN	80	/* of what is refused, so that what was expected is read */

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
	return cm_enforcement_can_name(s->value);
}

/* What a number of 32 bits is written as: decimal, of either sign (as Active Directory stores flags), or with 0x. */
static bool
read_number(const char *text, uint32_t *out)
{
	const bool minus = text[0] == '-';
	char *end;
	unsigned long long n;

	if (text[minus] < '0' || text[minus] > '9')
		return false;
	errno = 0;
	n = strtoull(text + minus, &end, strncasecmp(text + minus, "0x", 2) == 0 ? 16 : 10);
	*out = minus ? (uint32_t)0 - (uint32_t)n : (uint32_t)n;
	return errno == 0 && *end == '\0' && n <= (minus ? (unsigned long long)INT32_MAX + 1 : UINT32_MAX);
}

/* What means nothing may be supposed too: it may be written there.  "": no such attribute. */
static bool
suppose_attribute(struct supposed *s)
{
	struct cm_fact *f = &s->facts->account.attribute;
	uint32_t n;

	if (s->value[0] == '\0')
		*f = cm_fact_make(CM_FACT_NONE, 0, NULL);
	else if (read_number(s->value, &n))
		*f = cm_fact_make(CM_FACT_VALUE, n, s->conf.enforcement.attribute);
	else
		*f = cm_fact_make(CM_FACT_MALFORMED, 0, s->value);
	return strlen(s->value) < CM_FACT_TEXT;
}

static bool
suppose_control(struct supposed *s)
{
	uint32_t n = 0;
	const bool is = read_number(s->value, &n);

	s->facts->account.control = is ? cm_fact_make(CM_FACT_VALUE, n, "userAccountControl") : cm_fact_make(CM_FACT_NONE, 0, NULL);
	return is || s->value[0] == '\0';
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

#define FLAG	"yes or no"
static const struct supposition {
	const char *key;	/* NULL: what enforcement.attribute names */
	bool fact;
	bool (*take)(struct supposed *s);
	const char *expected;
} suppositions[] = {
	{ "required", false, suppose_required, FLAG },
	{ "allow_unmapped_users", false, suppose_unmapped, FLAG },
	{ "not_enforced_group", false, suppose_group_name, "a group's name of at most 63 octets, without control characters, or nothing" },
	{ NULL, true, suppose_attribute, "0, 1, 2, nothing, or another value that may stand there, of at most 63 octets" },
	{ "userAccountControl", true, suppose_control, "a number of 32 bits (512, 0x40200, -2147221504), or nothing" },
	{ "group", true, suppose_group, FLAG },
	{ "mapped", true, suppose_mapped, FLAG },
	{ "exempt", true, suppose_exempt, FLAG },
	{ "local", true, suppose_local, FLAG },
};
_Static_assert(CM_FACT_TEXT == 64, "what is expected says so");

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
			return cm_trace_fail(t, CM_REASON_USAGE, "%s = %.*s%s: expected %s", key, SHOWN, s->value != NULL ? s->value : "",
			    s->value != NULL && strlen(s->value) > SHOWN ? "..." : "", row->expected);
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
	if (x->store != NULL && cm_skip_find(x->store, x->user, cm_clock_now(), NULL, &mark) == CM_OK) {
		set_time(*out, "skip_once", mark.expires);
		set_time(*out, "skip_once_made", mark.made);
	}
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
	if ((err = suppose(x->what_if, &s, t)) != CM_OK || (err = cm_enforcement_find_kept(x->store, x->user, t, &f.kept, &f.at)) != CM_OK)
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
