/* cli/doctor_kept.c - what is kept, and what becomes of it: as the service has it where one runs, or as the store here does. */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/service.h"
#include "service/outlook.h"

#define ASK_MS	10000

/* Why a part could not be had is what a check says; the others go on without it. */
static void
keep_reason(struct cm_doctor *d)
{
	if (d->refused == NULL)
		d->refused = strdup(cm_trace_message(d->cli->trace));
	cm_trace_clear_reason(d->cli->trace);
}

/* ---- the service */

/* Who is not root asks about himself. */
static const char *
name_of(struct cm_doctor *d)
{
	const struct passwd *own;

	if (d->user == NULL && geteuid() != 0 && (own = getpwuid(geteuid())) != NULL)
		d->user = d->own_name = strdup(own->pw_name);
	return d->user;
}

static enum cm_err
ask_service(struct cm_doctor *d)
{
	const char *user = name_of(d);
	const json_t *clock;
	enum cm_err err = cm_cli_service_ask(d->cli, d->daemon, "io.cardmap.Doctor", user != NULL ? json_pack("{s:s}", "user", user) : NULL,
	    ASK_MS, &d->told);

	if (err != CM_OK) {
		d->denied = cm_trace_reason(d->cli->trace) == CM_REASON_NOT_ROOT;
		return err;
	}
	clock = json_object_get(d->told, "clock");
	if (!json_is_object(clock) || !cm_cli_read_time(clock, "floor", &d->floor)) {
		json_decref(d->told);
		d->told = NULL;
		return cm_trace_fail(d->cli->trace, CM_REASON_NO_SERVICE, "what the service in %s answers makes no sense", d->cli->run_dir);
	}
	d->unsound = json_is_true(json_object_get(clock, "unsound"));
	d->more = (size_t)json_integer_value(json_object_get(d->told, "more"));
	d->knows = true;
	return CM_OK;
}

/* ---- the store */

static enum cm_err
recall(struct cm_doctor *d, unsigned needs)
{
	enum cm_err err = cm_host_open(d->cli->conf, needs, d->cli->trace, &d->host);

	if (err == CM_OK && (err = cm_accounts_recall_revoked(d->host->accounts, cm_clock_now(), d->cli->trace, &d->memory)) == CM_OK) {
		d->unsound = d->memory->known.stale_clock;
		d->floor = d->memory->known.floor;
		d->knows = true;
	}
	return err;
}

static enum cm_err
open_store(struct cm_doctor *d)
{
	struct cm_cli *c = d->cli;
	const unsigned needs = CM_NEED_RULES | CM_NEED_TRUST | CM_LOOKS_ONLY;
	enum cm_err err = CM_OK;

	/* Opening would make the file. */
	d->nothing_kept = access(c->conf->accounts.path, F_OK) != 0 && errno == ENOENT;
	if (!d->nothing_kept)
		err = recall(d, needs | CM_NEED_ACCOUNTS);
	/* what is kept is there all the same, whatever is wrong with rules and CAs */
	if (err != CM_OK && err != CM_ERR_NOMEM && d->host == NULL && cm_trace_reason(c->trace) != CM_REASON_STORE) {
		keep_reason(d);
		err = recall(d, CM_NEED_ACCOUNTS | CM_LOOKS_ONLY);
	}
	if (err == CM_ERR_NOMEM)
		return err;
	if (err != CM_OK)
		keep_reason(d);
	if (d->host == NULL && (err = cm_host_open(c->conf, needs, c->trace, &d->host)) != CM_OK && err != CM_ERR_NOMEM) {
		keep_reason(d);
		err = CM_OK;
	}
	return err == CM_ERR_NOMEM ? err : CM_OK;
}

/* A service that is there and does not answer is a check's to tell of: root sees the store all the same. */
enum cm_err
cm_doctor_open(struct cm_doctor *d)
{
	enum cm_err err = cm_cli_service_open(d->cli, CM_CLI_DAEMON, &d->daemon);

	if (err != CM_OK)
		d->silent = strdup(cm_trace_message(d->cli->trace));
	if (err == CM_OK && d->daemon != NULL && (err = ask_service(d)) == CM_OK)
		return CM_OK;
	if (err == CM_ERR_NOMEM || d->denied) {
		keep_reason(d);
		return err == CM_ERR_NOMEM ? err : CM_OK;
	}
	if (err != CM_OK)
		keep_reason(d);
	return open_store(d);
}

void
cm_doctor_close(struct cm_doctor *d)
{
	json_decref(d->told);
	cm_wire_free(&d->daemon);
	cm_wire_free(&d->resolver);
	cm_memory_free(&d->memory);
	cm_host_close(&d->host);
	free(d->own_name);
	free(d->silent);
	free(d->refused);
}

/* ---- asked by the checks */

enum cm_err
cm_doctor_each_kept(struct cm_doctor *d, cm_kept_visit visit, void *arg)
{
	struct cm_trace *t = d->cli->trace;

	if (d->told != NULL)
		return cm_cli_each_kept(d->cli, json_object_get(d->told, "accounts"), visit, arg);
	return d->user != NULL ? cm_accounts_list_of(d->host->accounts, d->user, t, visit, arg) :
	    cm_accounts_list_latest(d->host->accounts, CM_KEPT_LATEST, t, visit, arg, &d->more);
}

static enum cm_err
ask_outlook(struct cm_doctor *d, const struct cm_cert *cert, json_t **out)
{
	struct cm_cli *c = d->cli;
	struct cm_buf der = { 0 };
	json_t *reply = NULL, *found;
	enum cm_err err = CM_OK;

	cm_buf_add_base64(&der, cm_cert_der(cert));
	if (d->resolver == NULL)
		err = cm_cli_service_need(c, CM_CLI_RESOLVER, &d->resolver);
	if (err == CM_OK)
		err = cm_cli_service_ask(c, d->resolver, "io.cardmap.Revocation", json_pack("{s:s, s:{s:s, s:b}}", "action", "outlook",
		    "parameters", "certificate", cm_buf_str(&der), "until", 1), ASK_MS, &reply);
	found = json_object_get(json_object_get(reply, "result"), "outlook");
	*out = json_incref(found);
	if (err == CM_OK && found == NULL)
		err = cm_trace_fail(c->trace, CM_REASON_NO_SERVICE, "what the service in %s answers makes no sense", c->run_dir);
	json_decref(reply);
	cm_buf_free(&der);
	return err;
}

enum cm_err
cm_doctor_outlook(struct cm_doctor *d, const struct cm_cert *cert, json_t **out)
{
	const struct cm_known *known = d->memory != NULL ? &d->memory->known : NULL;
	const struct cm_outlook_time *tomorrow = &cm_outlook_times[1];
	enum cm_err err;

	if (d->told != NULL)
		return ask_outlook(d, cert, out);
	if (d->host->trust == NULL)
		return cm_trace_fail(d->cli->trace, CM_REASON_CONFIG, "%s", d->refused != NULL ? d->refused : "the configuration");
	if ((err = cm_outlook_login(d->host, known, cert, out)) == CM_OK &&
	    json_is_true(json_object_get(json_object_get(*out, tomorrow->name), "opens")))
		cm_cli_set_time(*out, "until", cm_outlook_until(d->host, known, cert, known->now + tomorrow->seconds));
	return err;
}
