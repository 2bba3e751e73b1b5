/* cli/explain.c - every stage with what it saw; the cause comes first, what mends it last. */
#include <errno.h>
#include <unistd.h>

#include "cli/cli.h"
#include "service/explain.h"
#include "service/login.h"

/* The stage that looked for the account, or NULL. */
static const struct cm_trace_stage *
account_stage(const struct cm_trace *t)
{
	for (size_t i = cm_trace_count(t); i-- > 0;)
		if (strcmp(cm_trace_stage(t, i)->name, "account") == 0)
			return cm_trace_stage(t, i);
	return NULL;
}

/* Then its word is the last, and no value of the directory mends what it says. */
static bool
selector_speaks(const struct cm_conf *c)
{
	return c->mapper.selector != NULL && (access(c->mapper.selector, F_OK) == 0 || errno != ENOENT);
}

/*
 * A directory that answered with no account, with a wrong one, or with an
 * account that may not enter is worth a second look.
 */
static bool
wants_explanation(const struct cm_cli *c, const struct cm_login *l, enum cm_err err)
{
	const struct cm_trace_stage *s = account_stage(c->trace);

	if (err == CM_OK || l->cert == NULL || l->account_kept || s == NULL || selector_speaks(c->conf))
		return false;
	return s->err == CM_ERR_ABSENT || s->reason == CM_REASON_NOT_THIS_USER ||
	    s->reason == CM_REASON_ACCOUNT_DISABLED || s->reason == CM_REASON_DIRECTORY_REFUSED ||
	    s->reason == CM_REASON_WEAK_BINDING;
}

static void
explain_account(struct cm_cli *c, const struct cm_login *l, struct cm_explanation **x)
{
	const struct cm_trace_stage *s = account_stage(c->trace);
	const struct cm_explain e = {
		.host = l->host, .cert = l->cert, .user = l->user, .found = l->account,
		.why = cm_cli_why(c->trace, s), .reason = s->reason,
	};
	enum cm_err err;

	cm_trace_begin(c->trace, "near misses");
	err = cm_explain_account(&e, cm_deadline_in(c->conf->directory.timeout), c->trace, x);
	if (err != CM_OK)
		cm_trace_add(c->trace, "not looked into", "%s", cm_trace_message(c->trace));
	cm_trace_clear_reason(c->trace);
	cm_trace_end(c->trace, CM_OK);
}

/* UTF-8: a character is one column, whatever its bytes. */
static int
columns(const char *text, size_t len)
{
	int n = 0;

	for (size_t i = 0; i < len; i++)
		n += (text[i] & 0xC0) != 0x80;
	return n;
}

/* How many columns two texts have in common, as they are shown; letter case counts where nothing else differs. */
static int
common_columns(const char *a, const char *b)
{
	const bool exact = strcasecmp(a, b) == 0;
	size_t i = 0;

	while (a[i] != '\0' && (a[i] == b[i] || (!exact && strncasecmp(a + i, b + i, 1) == 0)))
		i++;
	while (i > 0 && (a[i] & 0xC0) == 0x80)	/* the character that differs begins before */
		i--;
	return columns(a, i);
}

/* "stored" and "wanted" one above the other, and a mark where they part. */
static void
print_value(const struct cm_cli *c, const struct cm_explained_value *v)
{
	cm_cli_line(c, "nearest", "%s", v->dn);
	cm_cli_line(c, "  stored", "%s", v->miss->stored);
	cm_cli_line(c, "  wanted", "%s", v->miss->wanted);
	cm_cli_line(c, "", "%*s^", common_columns(v->miss->stored, v->miss->wanted), "");
	for (size_t i = 0; i < v->miss->cause_count; i++)
		cm_cli_line(c, "  because", "%s", v->miss->causes[i]->text);
}

static json_t *
value_json(const struct cm_explained_value *v)
{
	json_t *o = json_object(), *causes = json_array();

	cm_cli_set(o, "dn", v->dn);
	cm_cli_set(o, "attribute", v->miss->attribute);
	cm_cli_set(o, "stored", v->miss->stored);
	cm_cli_set(o, "wanted", v->miss->wanted);
	json_object_set_new(o, "differs_at", json_integer((json_int_t)v->miss->differs));
	for (size_t i = 0; i < v->miss->cause_count; i++)
		json_array_append_new(causes, json_string(v->miss->causes[i]->name));
	json_object_set_new(o, "causes", causes);
	return o;
}

static void
set_explanation(struct cm_cli *c, const struct cm_explanation *x)
{
	json_t *o = json_object(), *values = json_array();

	cm_cli_set(o, "cause", x->cause);
	cm_cli_set(o, "text", x->text);
	cm_cli_set(o, "mend", x->mend);
	for (size_t i = 0; i < x->count; i++)
		json_array_append_new(values, value_json(&x->values[i]));
	json_object_set_new(o, "near_misses", values);
	json_object_set_new(c->answer, "explanation", o);
}

/* The remedy for who has not done it yet. */
static const char *
mend_of(const struct cm_cli *c, const struct cm_trace_stage *failure)
{
	if (failure->reason == CM_REASON_SEVERAL_ACCOUNTS && c->arg_count == 0 &&
	    c->conf->mapper.several_accounts == CM_SEVERAL_HINT)
		return "cardmap explain NAME, with the name of one of these accounts, as at a login";
	return cm_reason_remedy(failure->reason);
}

/* First line: the cause.  Then all that was seen.  Last line: what mends it. */
static void
print(struct cm_cli *c, const struct cm_login *l, const struct cm_explanation *x, enum cm_err err)
{
	const struct cm_trace_stage *failure = cm_cli_failed_stage(c->trace);

	if (x != NULL && failure != NULL && strcmp(failure->name, "account") == 0)
		cm_cli_line(c, x->cause, "%s", x->text);
	else if (failure != NULL)
		cm_cli_line(c, cm_reason_name(failure->reason), "%s", cm_cli_why(c->trace, failure));
	else if (l->account != NULL)
		cm_cli_line(c, "yes", "this is the card of %s%s", l->account->name,
		    l->account->weak ? ", by a weak value, which another's certificate could have" : "");
	cm_cli_trace(c);
	for (size_t i = 0; x != NULL && i < x->count; i++)
		print_value(c, &x->values[i]);
	if (x != NULL && failure != NULL && strcmp(failure->name, "account") == 0)
		cm_cli_line(c, "mend", "%s", x->mend);
	else if (failure != NULL)
		cm_cli_line(c, "mend", "%s", mend_of(c, failure));
	else if (l->account != NULL && err == CM_OK)
		cm_cli_line(c, "A login would", "%s as %s once the PIN and the card's key are proved",
		    l->account_kept ? "open the kept account, offline," : "go on", l->account->name);
}

int
cm_cli_explain(struct cm_cli *c)
{
	struct cm_login l = { .trace = c->trace, .user = c->arg_count > 0 ? c->args[0] : NULL };
	struct cm_explanation *x = NULL;
	struct cm_host *host = NULL;
	enum cm_err err;

	if ((err = cm_cli_open_host(c, CM_NEED_RULES | CM_NEED_DIRECTORY | CM_NEED_TRUST | CM_LOOKS_ONLY, &host)) == CM_OK) {
		l.host = host;
		err = cm_login_explain(&l);
	}
	if (wants_explanation(c, &l, err))
		explain_account(c, &l, &x);
	if (x != NULL)
		set_explanation(c, x);
	if (l.account != NULL)
		cm_cli_set_account(c->answer, l.account);
	print(c, &l, x, err);
	c->told = !c->json;
	cm_explanation_free(&x);
	cm_login_clear(&l);
	cm_host_close(&host);
	return cm_cli_finish(c, err);
}
