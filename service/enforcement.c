/* service/enforcement.c - must this user use a card?  The five steps, each a row. */
#include "service/enforcement.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "service/local.h"
#include "service/policy.h"

#define SMARTCARD_REQUIRED	0x40000u	/* MS-ADTS section 2.2.16, ADS_UF_SMARTCARD_REQUIRED */

struct look {
	const struct cm_conf *conf;
	const struct cm_enforcement_facts *facts;
	struct cm_enforcement_seen *seen;
};

static enum cm_enforcement_says say(const struct look *l, enum cm_enforcement_says says, const char *fmt, ...) CM_PRINTF(3, 4);

static enum cm_enforcement_says
say(const struct look *l, enum cm_enforcement_says says, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(l->seen->value, sizeof(l->seen->value), fmt, ap);
	va_end(ap);
	return says;
}

static enum cm_enforcement_says
say_unknown(const struct look *l)
{
	return say(l, CM_SAYS_CARD, "could not be asked, and nothing is kept: a card is required");
}

/* Was it this that was asked about?  Names of attributes and groups ignore case. */
static bool
is_of(const struct cm_fact *f, const char *name)
{
	return f->kind != CM_FACT_VALUE || strcasecmp(f->text, name) == 0;
}

/* Why a step that asks the directory about the account does not concern it; NULL: it does. */
static const char *
unasked(const struct look *l)
{
	if (l->facts->local)
		return "an account of this computer: no directory is asked";
	return l->facts->no_directory ? "no directory is configured" : NULL;
}

bool
cm_enforcement_can_name(const char *name)
{
	return strcmp(cm_fact_make(CM_FACT_VALUE, 1, name).text, name) == 0;
}

static enum cm_enforcement_says
look_exempt(const struct look *l)
{
	return l->facts->exempt ? say(l, CM_SAYS_PASSWORD, "yes: one of enforcement.exempt, a way in that stays") :
	    say(l, CM_SAYS_NOTHING, "no");
}

/* SmartCardServices(7): 0 as the system has it, 1 always a card, 2 a password is allowed. */
static enum cm_enforcement_says
look_attribute(const struct look *l)
{
	const struct cm_fact *f = &l->facts->account.attribute;
	const char *name = l->conf->enforcement.attribute;

	if (unasked(l) != NULL)
		return say(l, CM_SAYS_NOTHING, "%s", unasked(l));
	if (name == NULL || name[0] == '\0')
		return say(l, CM_SAYS_NOTHING, "not asked: enforcement.attribute is empty");
	if (f->kind == CM_FACT_UNKNOWN || !is_of(f, name))
		return say_unknown(l);
	if (f->kind == CM_FACT_NONE)
		return say(l, CM_SAYS_NOTHING, "not set");
	if (f->kind == CM_FACT_MALFORMED)
		return say(l, CM_SAYS_CARD, "%s has no number from 0 to 2, but \"%s\": a card is required until that is mended", name, f->text);
	switch (f->value) {
	case 0:
		return say(l, CM_SAYS_NOTHING, "0: as this computer has it");
	case 1:
		return say(l, CM_SAYS_CARD, "1: always a card");
	case 2:
		return say(l, CM_SAYS_PASSWORD, "2: a password is allowed");
	default:
		return say(l, CM_SAYS_CARD, "%s is %u, and 0 to 2 mean something: a card is required until that is mended", name, f->value);
	}
}

static enum cm_enforcement_says
look_control(const struct look *l)
{
	const struct cm_fact *f = &l->facts->account.control;

	if (unasked(l) != NULL)
		return say(l, CM_SAYS_NOTHING, "%s", unasked(l));
	switch (f->kind) {
	case CM_FACT_UNKNOWN:
		return say_unknown(l);
	case CM_FACT_NONE:
		return say(l, CM_SAYS_NOTHING, "not set");
	case CM_FACT_VALUE:
		return (f->value & SMARTCARD_REQUIRED) != 0 ? say(l, CM_SAYS_CARD, "0x%x: SMARTCARD_REQUIRED (0x40000) is set", f->value) :
		    say(l, CM_SAYS_NOTHING, "0x%x: SMARTCARD_REQUIRED (0x40000) is not set", f->value);
	default:
		return say(l, CM_SAYS_CARD, "userAccountControl is no number, but \"%s\": a card is required until that is mended", f->text);
	}
}

/* SmartCardServices(7): the group needs enforcement, and users without a card let in. */
static enum cm_enforcement_says
look_group(const struct look *l)
{
	const struct cm_fact *f = &l->facts->account.group;
	const char *name = l->conf->enforcement.not_enforced_group;

	if (name == NULL || name[0] == '\0')
		return say(l, CM_SAYS_NOTHING, "no group is configured");
	if (!l->conf->enforcement.required)
		return say(l, CM_SAYS_NOTHING, "not asked: there is nothing to be exempt from, enforcement.required = no");
	if (!l->conf->enforcement.allow_unmapped_users)
		return say(l, CM_SAYS_NOTHING, "not in force: %s needs enforcement.allow_unmapped_users = yes", name);
	if (f->kind == CM_FACT_NONE)
		return say(l, CM_SAYS_NOTHING, "not in %s", name);
	if (f->kind != CM_FACT_VALUE || !is_of(f, name) || f->value > 1)
		return say_unknown(l);
	return f->value == 1 ? say(l, CM_SAYS_PASSWORD, "in %s, which is exempt", name) : say(l, CM_SAYS_NOTHING, "not in %s", name);
}

static enum cm_enforcement_says
look_unmapped(const struct look *l)
{
	const struct cm_fact *f = &l->facts->account.mapped;

	if (!l->conf->enforcement.allow_unmapped_users)
		return say(l, CM_SAYS_NOTHING, "not asked: enforcement.allow_unmapped_users = no");
	if (!l->conf->enforcement.required)
		return say(l, CM_SAYS_NOTHING, "not asked: there is nothing to be exempt from, enforcement.required = no");
	if (f->kind == CM_FACT_NONE || (f->kind == CM_FACT_VALUE && f->value == 0))
		return say(l, CM_SAYS_PASSWORD, "no card belongs to this account, and such may use a password");
	if (f->kind != CM_FACT_VALUE || f->value > 1)
		return say_unknown(l);
	return say(l, CM_SAYS_NOTHING, "a card belongs to this account%s%s", f->text[0] != '\0' ? ": " : "", f->text);
}

static enum cm_enforcement_says
look_system(const struct look *l)
{
	return l->conf->enforcement.required ? say(l, CM_SAYS_CARD, "enforcement.required = yes") :
	    say(l, CM_SAYS_PASSWORD, "enforcement.required = no");
}

/* The first that says something decides; the last always does. */
static const struct step {
	const char *name;
	enum cm_enforcement_says (*look)(const struct look *l);
} steps[CM_STEP_COUNT] = {
	[CM_STEP_EXEMPT] = { "exempt", look_exempt },
	[CM_STEP_ATTRIBUTE] = { "attribute", look_attribute },
	[CM_STEP_CONTROL] = { "control", look_control },
	[CM_STEP_GROUP] = { "group", look_group },
	[CM_STEP_UNMAPPED] = { "unmapped", look_unmapped },
	[CM_STEP_SYSTEM] = { "system", look_system },
};

const char *
cm_enforcement_step_name(enum cm_enforcement_step step)
{
	return (size_t)step < CM_COUNT(steps) ? steps[step].name : "";
}

void
cm_enforcement_decide(const struct cm_conf *conf, const struct cm_enforcement_facts *f, struct cm_enforcement_decision *out)
{
	bool decided = false;

	*out = (struct cm_enforcement_decision){ .card_required = true, .step = CM_STEP_SYSTEM };
	for (size_t i = 0; i < CM_COUNT(steps); i++) {
		struct cm_enforcement_seen *seen = &out->steps[i];

		seen->says = steps[i].look(&(struct look){ .conf = conf, .facts = f, .seen = seen });
		seen->reached = !decided;
		if (decided || seen->says == CM_SAYS_NOTHING)
			continue;
		decided = true;
		out->step = (enum cm_enforcement_step)i;
		out->card_required = seen->says == CM_SAYS_CARD;
	}
}

enum cm_err
cm_enforcement_judge(const struct cm_enforcement_decision *d, const char *user, struct cm_trace *t)
{
	return !d->card_required ? CM_OK : cm_trace_fail(t, CM_REASON_CARD_REQUIRED, "%s must use a card: step %d (%s): %s", user,
	    (int)d->step, steps[d->step].name, d->steps[d->step].value);
}

static bool
is_named(const struct passwd *e, const char *name)
{
	return strcmp(e->pw_name, name) == 0;
}

bool
cm_enforcement_is_exempt(const struct cm_conf *conf, const char *user)
{
	struct passwd entry;
	char texts[CM_LOCAL_TEXTS];
	bool named = conf->enforcement.exempt == NULL && cm_policy_is_root(user);

	for (char *const *name = conf->enforcement.exempt; name != NULL && *name != NULL; name++)
		named = named || strcmp(*name, user) == 0 || (strcmp(*name, "root") == 0 && cm_policy_is_root(user));
	return named && (strcmp(user, "root") == 0 || cm_local_find_user(user, is_named, &entry, texts));
}
