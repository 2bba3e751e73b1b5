/* cli/service.c - a command's questions to the service, where it runs. */
#include "cli/service.h"

#include <unistd.h>

#include "service/answer.h"

/* Socket activation starts it, helpers and all, while the first question waits. */
#define CONNECT_MS	5000
#define MARGIN_MS	5000	/* beyond the timeouts of the stages */
static const struct cm_wire_limits limits = { .message_max = (size_t)4 << 20, .message_ms = 30000 };

/* ---- what went wrong, for a person */

static const char *
parameter(const struct cm_varlink_reply *r, const char *key)
{
	const char *text = json_string_value(json_object_get(r->parameters, key));

	return text != NULL ? text : "";
}

static enum cm_err
denied(struct cm_cli *c, const struct cm_varlink_reply *r)
{
	(void)r;
	return cm_trace_fail(c->trace, CM_REASON_NOT_ROOT, "the service does not answer this to user %u: cardmap-protocol(7) "
	    "has who may ask what", (unsigned)geteuid());
}

static enum cm_err
not_allowed(struct cm_cli *c, const struct cm_varlink_reply *r)
{
	return cm_trace_fail(c->trace, CM_REASON_NOT_HERE, "%s", parameter(r, "text"));
}

static enum cm_err
busy(struct cm_cli *c, const struct cm_varlink_reply *r)
{
	return cm_trace_fail(c->trace, CM_REASON_BUSY, "the service is busy: %s", parameter(r, "text"));
}

/* It was done, and failed: its own reason. */
static enum cm_err
did_fail(struct cm_cli *c, const struct cm_varlink_reply *r)
{
	const enum cm_reason reason = cm_reason_named(parameter(r, "reason"));

	return cm_trace_fail(c->trace, reason != CM_REASON_NONE ? reason : CM_REASON_SYSTEM, "%s", parameter(r, "text"));
}

static enum cm_err
invalid(struct cm_cli *c, const struct cm_varlink_reply *r)
{
	return cm_trace_fail(c->trace, CM_REASON_USAGE, "the service does not take the %s that is asked about",
	    parameter(r, "parameter"));
}

static enum cm_err
other_version(struct cm_cli *c, const struct cm_varlink_reply *r)
{
	return cm_trace_fail(c->trace, CM_REASON_NO_SERVICE, "the service does not serve this (%s): "
	    "is it of another version than this program?", r->error);
}

static const struct {
	const char *error;
	enum cm_err (*tell)(struct cm_cli *, const struct cm_varlink_reply *);
} errors[] = {
	{ CM_VARLINK_PERMISSION_DENIED, denied },
	{ CM_VARLINK_INVALID_PARAMETER, invalid },
	{ "io.cardmap.Busy", busy },
	{ "io.cardmap.Failed", did_fail },
	{ "io.cardmap.Login.NotAllowed", not_allowed },
};

static enum cm_err
tell_error(struct cm_cli *c, const struct cm_varlink_reply *r)
{
	for (size_t i = 0; i < CM_COUNT(errors); i++)
		if (strcmp(r->error, errors[i].error) == 0)
			return errors[i].tell(c, r);
	return other_version(c, r);
}

/* A question that had no answer, or an error instead of one. */
static enum cm_err
tell_failure(struct cm_cli *c, enum cm_err err, const struct cm_varlink_reply *r)
{
	if (r->error != NULL)
		return tell_error(c, r);
	if (err == CM_ERR_SYNTAX)
		return cm_trace_fail(c->trace, CM_REASON_NO_SERVICE, "what answers in %s is no cardmapd", c->run_dir);
	if (err == CM_ERR_OFFLINE)
		return cm_trace_fail(c->trace, CM_REASON_NO_SERVICE, "the service in %s did not answer; "
		    "--no-service asks without it", c->run_dir);
	return err;
}

/* ---- is it there? */

/* Who listens there is believed: root, and at a place that was named also this user. */
static bool
is_trusted(const struct cm_cli *c, const struct cm_wire *w)
{
	const uid_t uid = cm_wire_peer(w).uid;

	return uid == 0 || (c->service_named && uid == geteuid());
}

static enum cm_err
connect_to(struct cm_cli *c, const char *socket, cm_deadline deadline, struct cm_wire **out)
{
	struct cm_buf path = { 0 };
	enum cm_err err;

	cm_buf_addf(&path, "%s/%s", c->run_dir, socket);
	if ((err = cm_buf_status(&path)) == CM_OK)
		err = cm_wire_connect(cm_buf_str(&path), &limits, deadline, out);
	if (err == CM_OK && !is_trusted(c, *out)) {
		err = cm_trace_fail(c->trace, CM_REASON_NO_SERVICE, "%s is user %u's, and not root's: it is not believed",
		    cm_buf_str(&path), (unsigned)cm_wire_peer(*out).uid);
		cm_wire_free(out);
	} else if (err == CM_ERR_REFUSED) {
		err = cm_trace_fail(c->trace, CM_REASON_NOT_ROOT, "%s: this user may not ask the service; "
		    "--no-service asks without it", cm_buf_str(&path));
	} else if (err == CM_ERR_USAGE) {
		err = cm_trace_fail(c->trace, CM_REASON_USAGE, "--service %s: too long a path", c->run_dir);
	}
	cm_buf_free(&path);
	return err;
}

/* It says which interfaces it has: anything may listen somewhere. */
static enum cm_err
check_identity(struct cm_cli *c, struct cm_wire *w)
{
	json_t *reply = NULL, *name;
	const json_t *list;
	size_t i;
	enum cm_err err = cm_cli_service_ask(c, w, CM_VARLINK_SERVICE ".GetInfo", NULL, CONNECT_MS, &reply);
	bool found = false;

	if (err != CM_OK)
		return err;
	list = json_object_get(reply, "interfaces");
	json_array_foreach(list, i, name)
		found |= json_is_string(name) && strcmp(json_string_value(name), "io.cardmap") == 0;
	json_decref(reply);
	return found ? CM_OK : cm_trace_fail(c->trace, CM_REASON_NO_SERVICE, "what answers in %s is no cardmapd", c->run_dir);
}

/* *out NULL: nobody listens there. */
static enum cm_err
look_for(struct cm_cli *c, const char *socket, struct cm_wire **out)
{
	const cm_deadline deadline = cm_deadline_in(CONNECT_MS);
	enum cm_err err = connect_to(c, socket, deadline, out);

	if (err == CM_ERR_OFFLINE && cm_trace_reason(c->trace) == CM_REASON_NONE && !cm_deadline_passed(deadline))
		return CM_OK;
	if (err == CM_OK && (err = check_identity(c, *out)) != CM_OK)
		cm_wire_free(out);
	return err;
}

static enum cm_err
no_service(struct cm_cli *c)
{
	return cm_trace_fail(c->trace, CM_REASON_NO_SERVICE, "no service runs in %s", c->run_dir);
}

enum cm_err
cm_cli_service_need(struct cm_cli *c, const char *socket, struct cm_wire **out)
{
	enum cm_err err = look_for(c, socket, out);

	return err == CM_OK && *out == NULL ? no_service(c) : err;
}

enum cm_err
cm_cli_service_open(struct cm_cli *c, const char *socket, struct cm_wire **out)
{
	*out = NULL;
	if (c->service_named && (c->alone || c->configured))
		return cm_trace_fail(c->trace, CM_REASON_USAGE, "--service: the service has a configuration of its own; "
		    "leave out %s", c->alone ? "--no-service" : "--config, --directory and --set");
	if (c->alone || c->configured)
		return CM_OK;
	return c->service_named ? cm_cli_service_need(c, socket, out) : look_for(c, socket, out);
}

enum cm_err
cm_cli_service_start(struct cm_cli *c, const char *socket, struct cm_wire **out)
{
	const enum cm_err err = cm_cli_service_open(c, socket, out);

	if (err != CM_OK || *out != NULL) {
		cm_trace_begin(c->trace, "start");
		cm_trace_end(c->trace, err);
	}
	return err;
}

/* ---- to ask */

enum cm_err
cm_cli_service_ask(struct cm_cli *c, struct cm_wire *w, const char *method, json_t *parameters, unsigned ms,
    json_t **reply)
{
	const struct cm_varlink_question q = { .method = method, .parameters = parameters, .deadline = cm_deadline_in(ms) };
	struct cm_varlink_reply r = { 0 };
	enum cm_err err = cm_varlink_ask(w, &q, &r);

	*reply = NULL;
	if (err == CM_OK) {
		*reply = r.parameters;
		r.parameters = NULL;
	} else {
		err = tell_failure(c, err, &r);
	}
	cm_varlink_reply_free(&r);
	json_decref(parameters);
	return err;
}

struct seeing {
	struct cm_cli *cli;
	cm_cli_see see;
	bool enough;
};

static enum cm_err
visit(void *context, const struct cm_varlink_reply *r, cm_deadline *next)
{
	struct seeing *s = context;
	enum cm_err err = s->see(s->cli, r->parameters, &s->enough);

	*next = INT64_MAX;
	return err == CM_OK && s->enough ? CM_ERR_ABSENT : err;
}

enum cm_err
cm_cli_service_ask_more(struct cm_cli *c, struct cm_wire *w, const char *method, json_t *parameters, cm_cli_see see)
{
	const struct cm_varlink_question q = { .method = method, .parameters = parameters, .deadline = cm_deadline_in(CONNECT_MS) };
	struct seeing s = { .cli = c, .see = see };
	struct cm_varlink_reply r = { 0 };
	enum cm_err err = cm_varlink_ask_more(w, &q, visit, &s, &r);

	if (s.enough)
		err = CM_OK;
	else if (err != CM_OK)
		err = tell_failure(c, err, &r);
	cm_varlink_reply_free(&r);
	json_decref(parameters);
	return err;
}

/* ---- whose card is this? */

static json_t *
make_parameters(const struct cm_cli *c, const struct cm_cert *cert)
{
	json_t *o = json_object();
	struct cm_buf der = { 0 };

	cm_buf_add_base64(&der, cm_cert_der(cert));
	json_object_set_new(o, "certificate", json_string(cm_buf_str(&der)));
	if (c->arg_count > 0)
		json_object_set_new(o, "user", json_string(c->args[0]));
	cm_buf_free(&der);
	return o;
}

static unsigned
patience(const struct cm_cli *c)
{
	/* the question itself, a second look, and the responders */
	return 2 * c->conf->directory.timeout + c->conf->trust.timeout + MARGIN_MS;
}

/* The card was read here, and the stage in which it decoded what it was sent is no news, if that went well. */
static void
drop_reading(json_t *stages)
{
	json_t *first = json_array_get(stages, 0);
	const char *name = json_string_value(json_object_get(first, "name"));
	const char *result = json_string_value(json_object_get(first, "result"));

	if (name != NULL && result != NULL && strcmp(name, "certificate") == 0 && strcmp(result, cm_err_name(CM_OK)) == 0)
		json_array_remove(stages, 0);
}

static enum cm_err
read_answer(struct cm_cli *c, struct cm_cli_question *q)
{
	const json_t *account = json_object_get(c->reply, "account");
	json_t *explanation = json_object_get(c->reply, "explanation");
	enum cm_err err, ended;

	drop_reading(json_object_get(json_object_get(c->reply, "outcome"), "stages"));
	if ((err = cm_answer_read_outcome(json_object_get(c->reply, "outcome"), c->trace, &ended)) == CM_OK &&
	    json_is_object(account))
		err = cm_answer_read_account(account, &q->account);
	if (err == CM_OK && json_is_object(explanation))
		q->explanation = json_incref(explanation);
	if (err == CM_OK && ended == CM_OK && q->account == NULL)
		err = CM_ERR_SYNTAX;
	if (err == CM_ERR_SYNTAX)
		return cm_trace_fail(c->trace, CM_REASON_NO_SERVICE, "what the service in %s answers makes no sense: "
		    "is it of another version than this program?", c->run_dir);
	return err != CM_OK ? err : ended;
}

enum cm_err
cm_cli_service_question(struct cm_cli *c, struct cm_wire *w, struct cm_cli_question *q)
{
	struct cm_card *card = NULL;
	struct cm_cert *cert = NULL;
	enum cm_err err;

	if ((err = cm_cli_read_certificate(c, q->purpose, &card, &cert)) == CM_OK) {
		if (q->purpose == CM_CARD_LOOK)
			cm_cli_set(c->answer, "certificate", cm_cert_subject_text(cert));
		cm_card_close(&card);	/* whoever asks next need not wait for the directory */
		if ((err = cm_cli_service_ask(c, w, q->method, make_parameters(c, cert), patience(c), &c->reply)) == CM_OK)
			err = read_answer(c, q);
	}
	cm_cert_free(&cert);
	cm_card_close(&card);
	return err;
}
