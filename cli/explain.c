/* cli/explain.c - every stage with what it saw; the cause comes first, what mends it last. */
#include "cli/service.h"
#include "service/answer.h"
#include "service/login_here.h"

/* Whichever process asked. */
struct finding {
	enum cm_err err;
	struct cm_account *account;	/* owned */
	bool kept;
};

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

static const char *
text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text != NULL ? text : "";
}

/* "stored" and "wanted" one above the other, and a mark where they part. */
static void
print_value(const struct cm_cli *c, const json_t *v)
{
	const json_t *because = json_object_get(v, "because");

	cm_cli_line(c, "nearest", "%s", text_of(v, "dn"));
	cm_cli_line(c, "  stored", "%s", text_of(v, "stored"));
	cm_cli_line(c, "  wanted", "%s", text_of(v, "wanted"));
	cm_cli_line(c, "", "%*s^", common_columns(text_of(v, "stored"), text_of(v, "wanted")), "");
	for (size_t i = 0; i < json_array_size(because); i++)
		cm_cli_line(c, "  because", "%s", json_string_value(json_array_get(because, i)));
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
print(struct cm_cli *c, const struct finding *f)
{
	const struct cm_trace_stage *failure = cm_trace_failed(c->trace);
	const json_t *x = json_object_get(c->answer, "explanation"), *near = json_object_get(x, "near_misses");
	const bool explained = x != NULL && failure != NULL && strcmp(failure->name, "account") == 0;

	if (explained)
		cm_cli_line(c, text_of(x, "cause"), "%s", text_of(x, "text"));
	else if (failure != NULL)
		cm_cli_line(c, cm_reason_name(failure->reason), "%s", cm_trace_why(c->trace, failure));
	else if (f->account != NULL)
		cm_cli_line(c, "yes", "this is the card of %s%s", f->account->name,
		    f->account->weak ? ", by a weak value, which another's certificate could have" : "");
	cm_cli_trace(c);
	for (size_t i = 0; i < json_array_size(near); i++)
		print_value(c, json_array_get(near, i));
	if (explained)
		cm_cli_line(c, "mend", "%s", text_of(x, "mend"));
	else if (failure != NULL)
		cm_cli_line(c, "mend", "%s", mend_of(c, failure));
	else if (f->account != NULL && f->err == CM_OK)
		cm_cli_line(c, "A login would", "%s as %s once the PIN and the card's key are proved",
		    f->kept ? "open the kept account, offline," : "go on", f->account->name);
}

static void
ask_here(struct cm_cli *c, struct finding *f)
{
	struct cm_login l = { .work = &cm_login_here, .trace = c->trace, .user = c->arg_count > 0 ? c->args[0] : NULL,
		.only_slot = c->slot != CM_SLOT_AUTHENTICATION ? c->slot : 0 };
	struct cm_explanation *x = NULL;
	struct cm_host *host = NULL;

	if ((f->err = cm_cli_open_host(c, CM_NEED_RULES | CM_NEED_DIRECTORY | CM_NEED_TRUST | CM_LOOKS_ONLY, &host)) == CM_OK) {
		l.host = host;
		f->err = cm_login_explain(&l);
	}
	cm_explain_login(&(struct cm_explain){ .host = host, .cert = cm_login_here_cert(&l), .user = l.user, .found = l.account },
	    f->err, l.account_kept, c->trace, &x);
	if (x != NULL)
		json_object_set_new(c->answer, "explanation", cm_answer_explanation(x));
	f->account = l.account;
	l.account = NULL;
	f->kept = l.account_kept;
	cm_explanation_free(&x);
	cm_login_clear(&l);
	cm_host_close(&host);
}

static void
ask_service(struct cm_cli *c, struct cm_wire *service, struct finding *f)
{
	struct cm_cli_question q = { .method = "io.cardmap.Explain", .purpose = CM_CARD_LOGIN };

	f->err = cm_cli_service_question(c, service, &q);
	f->account = q.account;
	f->kept = cm_trace_find(c->trace, "kept") != NULL;
	if (q.explanation != NULL)
		json_object_set_new(c->answer, "explanation", q.explanation);
}

int
cm_cli_explain(struct cm_cli *c)
{
	struct finding f = { .err = CM_ERR_STATE };
	struct cm_wire *service = NULL;

	f.err = cm_cli_service_start(c, CM_CLI_RESOLVER, &service);
	if (service != NULL)
		ask_service(c, service, &f);
	else if (f.err == CM_OK)
		ask_here(c, &f);
	if (f.account != NULL)
		cm_cli_set_account(c->answer, f.account);
	print(c, &f);
	/* what no stage ended with, such as a service that refuses, is still to be told */
	c->told = !c->json && (f.err == CM_OK || cm_trace_failed(c->trace) != NULL);
	cm_wire_free(&service);
	cm_account_free(&f.account);
	return cm_cli_finish(c, f.err);
}
