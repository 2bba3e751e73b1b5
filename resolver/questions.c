/* resolver/questions.c - Whois and Explain: what is asked, who may, and what is answered. */
#include "resolver/questions.h"

#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "service/answer.h"
#include "service/interface.h"
#include "service/mapping.h"
#include "service/stages.h"

#define CERT_MAX	16384
#define USER_MAX	256
#define HELPDESK_MS	5000	/* how long a look at the groups counts */
#define GROUPS_MAX	1024
#define TEXTS_MAX	(256 << 10)
#define NOBODY		((uid_t)-1)
#define ANSWER_ROOM	6000

/* A question as it came, and what was found. */
struct question {
	struct cm_asker *asker;
	struct cm_buf certificate;	/* DER */
	const char *user;		/* borrowed from the call; NULL: not said */
	struct cm_host host;		/* with a directory for as long as one is lent */
	struct cm_trace *trace;
	struct cm_account *account;
	char *subject;
	bool unread;			/* cardmapd's store did not answer: whether the key is paired is not known */
	enum cm_err err;
};

/* ---- what is asked */

static enum cm_err
refuse(struct cm_varlink_request *r, const char *error, json_t *parameters)
{
	return cm_varlink_error(&r->turn, error, parameters, cm_deadline_in(CM_QUESTION_SEND_MS));
}

static enum cm_err
not_served_here(struct cm_varlink_request *r)
{
	const struct cm_asker *a = r->context;

	return refuse(r, "io.cardmap.NotServedHere", json_pack("{s:s}", "where", a->resolver->daemon));
}

static bool
decode(const char *text, struct cm_buf *out)
{
	const size_t len = strlen(text);
	uint8_t *to = len <= CERT_MAX / 3 * 4 + 4 ? cm_buf_extend(out, len / 4 * 3 + 3) : NULL;
	size_t n = to != NULL ? cm_base64_parse(cm_blob_str(text), true, to) : SIZE_MAX;

	if (n == SIZE_MAX || n == 0 || n > CERT_MAX)
		return false;
	cm_buf_truncate(out, n);
	return true;
}

/* The parameter that is none; NULL: all are sound. */
static const char *
read_parameters(const struct cm_varlink_call *call, struct question *q, bool *has_card)
{
	const char *key, *text = NULL;
	json_t *value;

	json_object_foreach(call->parameters, key, value) {
		if (strcmp(key, "certificate") == 0 && json_is_string(value))
			text = json_string_value(value);
		else if (strcmp(key, "user") == 0 && json_is_string(value) && json_string_length(value) > 0 &&
		    json_string_length(value) <= USER_MAX)
			q->user = json_string_value(value);
		else if (!json_is_null(value) && !(strcmp(key, "reader") == 0 && json_is_string(value)))
			return key;
		else if (json_is_null(value) && strcmp(key, "certificate") != 0 && strcmp(key, "user") != 0 &&
		    strcmp(key, "reader") != 0)
			return key;
	}
	*has_card = text != NULL;
	return text != NULL && !decode(text, &q->certificate) ? "certificate" : NULL;
}

/* ---- who may ask */

static bool
is_member(uid_t uid, const char *group)
{
	struct passwd entry, *found = NULL;
	struct group of, *there = NULL;
	gid_t groups[GROUPS_MAX];
	int count = GROUPS_MAX;
	char texts[TEXTS_MAX];		/* a group's members, too */
	gid_t wanted;

	if (getgrnam_r(group, &of, texts, sizeof(texts), &there) != 0 || there == NULL)
		return false;
	wanted = of.gr_gid;
	if (getpwuid_r(uid, &entry, texts, sizeof(texts), &found) != 0 || found == NULL ||
	    getgrouplist(entry.pw_name, entry.pw_gid, groups, &count) < 0)
		return false;
	for (int i = 0; i < count; i++)
		if (groups[i] == wanted)
			return true;
	return false;
}

bool
cm_asker_may_ask_all(struct cm_asker *a)
{
	const char *group = a->resolver->conf->service.helpdesk_group;

	if (a->uid == 0)
		return true;
	if (group == NULL)
		return false;
	if (cm_deadline_passed(a->helpdesk_until)) {
		a->helpdesk = is_member(a->uid, group);
		a->helpdesk_until = cm_deadline_in(HELPDESK_MS);
	}
	return a->helpdesk;
}

/* Anybody about himself; of others not even whether they are there. */
static bool
may_know(struct cm_asker *a, uid_t of)
{
	return (of != NOBODY && of == a->uid) || cm_asker_may_ask_all(a);
}

/* ---- what is answered */

static json_t *
text_or_null(const char *text)
{
	struct cm_buf b = { 0 };
	json_t *o;

	if (text == NULL)
		return json_null();
	cm_buf_add_printable(&b, cm_blob_str(text));
	o = json_stringn(cm_buf_str(&b), b.len);
	cm_buf_free(&b);
	return o;
}

/* The caller's; NULL: no memory. */
static json_t *
tell(const struct question *q)
{
	json_t *o = json_object();

	if (json_object_set_new(o, "outcome", cm_answer_outcome(q->err, q->trace, 0)) == 0 &&
	    json_object_set_new(o, "account", q->account != NULL ? cm_answer_account(q->account) : json_null()) == 0 &&
	    json_object_set_new(o, "subject", text_or_null(q->subject)) == 0)
		return o;
	json_decref(o);
	return NULL;
}

/* A trace may be longer than a message: then how it ended is what counts. */
static enum cm_err
send_answer(struct cm_varlink_request *r, json_t *parameters)
{
	const enum cm_err err = cm_varlink_answer(&r->turn, json_incref(parameters), cm_deadline_in(CM_QUESTION_SEND_MS));

	if (err != CM_ERR_USAGE)
		return err;
	json_object_set_new(json_object_get(parameters, "outcome"), "stages", json_array());
	return cm_varlink_answer(&r->turn, json_incref(parameters), cm_deadline_in(CM_QUESTION_SEND_MS));
}

static void
begin(struct cm_varlink_request *r, struct question *q)
{
	q->asker = r->context;
	q->host = *q->asker->resolver->host;
	q->host.accounts = q->asker->resolver->asked;
}

static void
end(struct question *q)
{
	cm_account_free(&q->account);
	cm_trace_free(&q->trace);
	cm_buf_free(&q->certificate);
	free(q->subject);
}

/* ---- Whois */

/* The privileged process is not in the way of these questions: where its store does not answer, they go on without. */
static bool
without_store(struct question *q)
{
	if (cm_trace_reason(q->trace) != CM_REASON_STORE || q->host.accounts == NULL)
		return false;
	cm_trace_add(q->trace, "without", "what is kept: %s", cm_trace_message(q->trace));
	cm_trace_clear_reason(q->trace);
	q->host.accounts = NULL;
	q->unread = true;
	return true;
}

/* "No" to what was asked; a pairing could not be. */
static enum cm_err
tell_unread(struct question *q)
{
	char *why = strdup(cm_trace_message(q->trace));
	const enum cm_err err = cm_trace_fail(q->trace, cm_trace_reason(q->trace),
	    "%s; and whether its key is paired here could not be asked", why != NULL ? why : "");

	free(why);
	return err;
}

static enum cm_err
find_account(struct question *q, const struct cm_cert *cert, cm_deadline deadline)
{
	struct cm_mapping m = { .host = &q->host, .cert = cert, .user = q->user, .trace = q->trace, .deadline = deadline };
	enum cm_err err;

	if ((err = cm_mapping_make(&m)) == CM_ERR_SYSTEM && without_store(q))
		err = cm_mapping_make(&m);
	if (err == CM_OK && (err = cm_mapping_find(&m, &q->account)) == CM_ERR_OFFLINE)
		err = cm_mapping_find_local(&m, &q->account);
	if (err == CM_ERR_ABSENT && q->unread)
		err = tell_unread(q);
	cm_mapping_clear(&m);
	return err;
}

static enum cm_err
look_up(struct question *q, const struct cm_cert *cert)
{
	const struct cm_resolver *r = q->asker->resolver;
	const cm_deadline deadline = cm_deadline_in(r->conf->directory.timeout);
	struct cm_lent lent;
	enum cm_err err;

	cm_trace_begin(q->trace, "account");
	if ((err = cm_pool_take(r->pool, deadline, q->trace, &lent)) == CM_OK) {
		q->host.directory = lent.directory;
		err = find_account(q, cert, deadline);
		cm_pool_give(r->pool, &lent);
	}
	cm_trace_end(q->trace, err);
	return err;
}

static void
ask_whois(struct question *q)
{
	struct cm_cert *cert = NULL;

	cm_trace_begin(q->trace, "certificate");
	q->err = cm_cert_decode(cm_buf_blob(&q->certificate), q->trace, &cert);
	cm_trace_end(q->trace, q->err);
	if (q->err == CM_OK) {
		q->subject = strdup(cm_cert_subject_text(cert));
		q->err = look_up(q, cert);
	}
	cm_cert_free(&cert);
}

/* "Yes" and "no" are kept, "no" for a fifth of the time: who mends an entry looks at once.  Silence is not kept. */
static void
keep(const struct question *q, const uint8_t key[CM_KEPT_KEY], const struct cm_kept_answer *a)
{
	const unsigned age = q->asker->resolver->conf->service.whois_age;

	if (q->err == CM_OK)
		cm_kept_put(q->asker->kept, key, a, age);
	else if (q->err == CM_ERR_ABSENT || q->err == CM_ERR_AMBIGUOUS || q->err == CM_ERR_REFUSED)
		cm_kept_put(q->asker->kept, key, a, age / 5);
}

/* As tell(), for thousands a second. */
static enum cm_err
write_answer(const struct question *q, struct cm_buf *b)
{
	/* As long as most are: room is made once. */
	if (cm_buf_extend(b, ANSWER_ROOM) != NULL)
		cm_buf_truncate(b, 0);
	cm_buf_add_str(b, "{\"parameters\":{\"outcome\":");
	cm_answer_write_outcome(q->err, q->trace, b);
	cm_buf_add_str(b, ",\"account\":");
	if (q->account != NULL)
		cm_answer_write_account(q->account, b);
	else
		cm_buf_add_str(b, "null");
	cm_buf_add_str(b, ",\"subject\":");
	if (q->subject != NULL)
		cm_answer_write_text(q->subject, b);
	else
		cm_buf_add_str(b, "null");
	cm_buf_add_str(b, "}}");
	return cm_buf_status(b);
}

static enum cm_err
find_answer(struct question *q, struct cm_kept_answer *out)
{
	uint8_t key[CM_KEPT_KEY];
	const bool keeps = q->asker->kept != NULL && cm_kept_key(q->asker->kept, cm_buf_blob(&q->certificate), q->user, key);
	enum cm_err err;

	if (keeps && cm_kept_find(q->asker->kept, key, out))
		return CM_OK;
	if ((err = cm_trace_new(&q->trace)) != CM_OK)
		return err;
	ask_whois(q);
	out->uid = q->account != NULL ? q->account->uid : NOBODY;
	if ((err = write_answer(q, &out->text)) == CM_OK && keeps && !q->unread)
		keep(q, key, out);
	return err;
}

static enum cm_err
answer_whois(struct cm_varlink_request *r, struct question *q)
{
	struct cm_kept_answer a = { .uid = NOBODY };
	enum cm_err err;

	if ((err = find_answer(q, &a)) == CM_OK)
		err = may_know(q->asker, a.uid) ? cm_varlink_answer_text(&r->turn, cm_buf_blob(&a.text),
		    cm_deadline_in(CM_QUESTION_SEND_MS)) : refuse(r, CM_VARLINK_PERMISSION_DENIED, json_object());
	cm_buf_free(&a.text);
	return err;
}

/* ---- Explain: the stages of a login before its PIN, none of which keeps, changes or grants anything */

static enum cm_err
take(struct cm_login *l, const struct question *q)
{
	return cm_stages_take(l, cm_buf_blob(&q->certificate));
}

static enum cm_err
chain(struct cm_login *l, const struct question *q)
{
	(void)q;
	return cm_stages_chain(l);
}

static enum cm_err
account(struct cm_login *l, const struct question *q)
{
	(void)q;
	return cm_stages_account(l);
}

static enum cm_err
revocation(struct cm_login *l, const struct question *q)
{
	(void)q;
	return cm_stages_revocation(l);
}

/* As cm_login_explain() has it: what still makes sense after one has refused is asked too. */
static enum cm_err
run_stages(struct cm_login *l, struct question *q)
{
	const struct cm_conf *c = q->host.conf;
	const struct {
		const char *name;
		unsigned budget;
		enum cm_err (*run)(struct cm_login *, const struct question *);
	} stages[] = {
		{ "certificate", c->card.timeout, take },
		{ "chain", c->card.timeout, chain },
		{ "account", c->directory.timeout, account },
		{ "revocation", c->trust.timeout, revocation },
	};
	enum cm_err first = CM_OK, chained = CM_OK;

	for (size_t i = 0; i < CM_COUNT(stages); i++) {
		enum cm_err err;

		if (stages[i].run == revocation && chained != CM_OK)
			break;		/* a stranger's certificate causes no questions */
		l->deadline = cm_deadline_in(stages[i].budget);
		cm_trace_begin(q->trace, stages[i].name);
		if ((err = stages[i].run(l, q)) == CM_ERR_SYSTEM && without_store(q))
			err = stages[i].run(l, q);
		cm_trace_end(q->trace, err);
		first = first != CM_OK ? first : err;
		chained = stages[i].run == chain ? err : chained;
		if (l->subject == NULL)
			break;
	}
	return first;
}

static void
ask_explain(struct question *q, struct cm_explanation **x)
{
	struct cm_login l = { .host = &q->host, .trace = q->trace, .user = q->user, .look_only = true };
	struct cm_cert *cert = NULL;

	q->err = run_stages(&l, q);
	if (cm_cert_decode(cm_buf_blob(&q->certificate), NULL, &cert) == CM_OK) {
		const struct cm_explain e = { .host = &q->host, .cert = cert, .user = q->user, .found = l.account };

		cm_explain_login(&e, q->err, l.account_kept, q->trace, x);
	}
	cm_cert_free(&cert);
	q->account = l.account;
	l.account = NULL;
	q->subject = l.subject != NULL ? strdup(l.subject) : NULL;
	cm_stages_clear(&l);
}

static enum cm_err
answer_explain(struct cm_varlink_request *r, struct question *q)
{
	const struct cm_resolver *resolver = q->asker->resolver;
	struct cm_explanation *x = NULL;
	struct cm_lent lent;
	json_t *o;
	enum cm_err err;

	if ((err = cm_trace_new(&q->trace)) != CM_OK)
		return err;
	if ((q->err = cm_pool_take(resolver->pool, cm_deadline_in(resolver->conf->directory.timeout), q->trace,
	    &lent)) == CM_OK) {
		q->host.directory = lent.directory;
		ask_explain(q, &x);
		cm_pool_give(resolver->pool, &lent);
	}
	o = tell(q);
	if (!may_know(q->asker, q->account != NULL ? q->account->uid : NOBODY))
		err = refuse(r, CM_VARLINK_PERMISSION_DENIED, json_object());
	else if (o == NULL || json_object_set_new(o, "explanation", x != NULL ? cm_answer_explanation(x) : json_null()) != 0)
		err = CM_ERR_NOMEM;
	else
		err = send_answer(r, o);
	json_decref(o);
	cm_explanation_free(&x);
	return err;
}

/* ---- the interface */

static enum cm_err
serve(struct cm_varlink_request *r, enum cm_err (*answer)(struct cm_varlink_request *, struct question *))
{
	struct question q = { .err = CM_ERR_STATE };
	bool has_card = false;
	const char *wrong;
	enum cm_err err;

	begin(r, &q);
	if ((wrong = read_parameters(r->call, &q, &has_card)) != NULL)
		err = cm_varlink_invalid(&r->turn, wrong, cm_deadline_in(CM_QUESTION_SEND_MS));
	else if (!has_card)
		err = not_served_here(r);	/* the card in a reader: who reads it has its certificate */
	else
		err = answer(r, &q);
	end(&q);
	return err;
}

static enum cm_err
serve_whois(struct cm_varlink_request *r)
{
	return serve(r, answer_whois);
}

static enum cm_err
serve_explain(struct cm_varlink_request *r)
{
	return serve(r, answer_explain);
}

/* In the description's order. */
static const struct cm_varlink_method methods[] = {
	{ "Whois", serve_whois, 0 },
	{ "Explain", serve_explain, 0 },
	{ "Cards", not_served_here, 0 },
	{ "Accounts", not_served_here, 0 },
	{ "Revocation", cm_question_revocation, 0 },
	{ "Enforcement", not_served_here, 0 },
	{ "Status", not_served_here, 0 },
	{ "Log", not_served_here, 0 },
};

static const struct cm_varlink_interface interface = {
	"io.cardmap", cm_interface_io_cardmap, methods, CM_COUNT(methods),
};

static const struct cm_varlink_interface *const interfaces[] = { &interface };

const struct cm_varlink_service cm_questions_service = {
	.vendor = "cardmap", .product = "cardmap resolver", .version = CM_VERSION, .url = "man:cardmap-protocol(7)",
	.interfaces = interfaces, .count = CM_COUNT(interfaces),
};
