/* cli/accounts.c - mobile accounts: list, show, forget; and what is done with the store itself. */
#include "cache/mobile.h"
#include "cli/service.h"
#include "service/mapping.h"

struct telling {
	struct cm_cli *cli;
	const struct cm_host *host;	/* rules: NULL where they cannot be read */
	json_t *list, *closed;
	const char *name;	/* show: this one, with everything; NULL: all, a line each */
	unsigned found;
};

/* Its certificate, or a CA above it: then it opens nothing. */
static bool
is_revoked(const struct cm_kept *k)
{
	for (size_t i = 0; i < k->evidence_count; i++)
		if (k->evidence[i].status == CM_STATUS_REVOKED)
			return true;
	return false;
}

/* Nothing opens with a certificate that has expired. */
static time_t
offline_until(const struct cm_kept *k, const struct cm_cert *cert)
{
	const time_t end = cm_cert_not_after(cert);

	return k->offline_until == 0 || end < k->offline_until ? end : k->offline_until;
}

/* Its name, ids and home, which this computer knows by itself: words for the list, and all of it as JSON. */
static void
look_at_mobile(const struct telling *t, const struct cm_kept *k, struct cm_mobile_seen *seen)
{
	*seen = (struct cm_mobile_seen){ .exists = false };
	if (k->mobile != NULL)
		*seen = *k->mobile;
	else if (t->host->accounts != NULL)
		cm_mobile_see(t->host->accounts, k->account->name, cm_clock_now(), seen);
}

static void
tell_mobile(const struct cm_cli *c, const struct cm_mobile_seen *seen, json_t *object)
{
	char made[CM_TIME_SIZE], refreshed[CM_TIME_SIZE], expires[CM_TIME_SIZE];
	json_t *o;

	if (!seen->exists) {
		json_object_set_new(object, "mobile", json_null());
		cm_cli_line(c, "mobile account", "none");
		return;
	}
	o = json_object();
	cm_cli_set(o, "state", cm_mobile_seen_word(seen));
	cm_cli_set_time(o, "made", seen->made);
	cm_cli_set_time(o, "refreshed", seen->refreshed);
	cm_cli_set_time(o, "expires", seen->expires);
	json_object_set_new(object, "mobile", o);
	if (seen->unknown)
		cm_cli_line(c, "mobile account", "cannot be told: its row of the store is damaged");
	else if (seen->state == CM_MOBILE_DECLINED)
		cm_cli_line(c, "mobile account", "declined by its owner %s", cm_clock_text(seen->made, made));
	else
		cm_cli_line(c, "mobile account", "%s: made %s, refreshed %s, %s %s", cm_mobile_seen_word(seen), cm_clock_text(seen->made, made),
		    cm_clock_text(seen->refreshed, refreshed), seen->state == CM_MOBILE_RESTS ? "expired" : "expires",
		    seen->expires != 0 ? cm_clock_text(seen->expires, expires) : "never");
}

static enum cm_err
tell_closed(void *arg, const char *name, const struct cm_standing *st)
{
	struct telling *t = arg;
	json_t *o = json_object();
	char at[CM_TIME_SIZE];

	if (t->name != NULL && strcmp(t->name, name) != 0) {
		json_decref(o);
		return CM_OK;
	}
	cm_cli_set(o, "name", name);
	json_object_set_new(o, "uid", json_integer(st->uid));
	cm_cli_set(o, "reason", cm_reason_name(st->reason));
	cm_cli_set(o, "text", st->text);
	cm_cli_set_time(o, "closed", st->at);
	json_array_append_new(t->closed, o);
	if (t->name != NULL)
		cm_cli_line(t->cli, "closed", "%s: %s (%s)", cm_clock_text(st->at, at), st->text, cm_reason_name(st->reason));
	else if (!t->cli->json)
		printf("%-20s %-8u closed %s: %s\n", name, (unsigned)st->uid, cm_clock_text(st->at, at), cm_reason_name(st->reason));
	return CM_OK;
}

static void
tell_line(const struct cm_cli *c, const struct cm_kept *k, time_t until, const char *more)
{
	char last[CM_TIME_SIZE], text[CM_TIME_SIZE];

	if (!c->json)
		printf("%-20s %-8u last online %s, %s%s%s\n", k->account->name, k->account->uid,
		    cm_clock_text(k->last_online, last),
		    is_revoked(k) ? "revoked: opens nothing" : "opens offline until ",
		    is_revoked(k) ? "" : cm_clock_text(until, text), more);
}

static void
tell_dates(const struct cm_cli *c, const struct cm_kept *k, time_t until)
{
	char last[CM_TIME_SIZE], text[CM_TIME_SIZE];

	cm_cli_line(c, "last online", "%s", cm_clock_text(k->last_online, last));
	cm_cli_line(c, "opens offline", "%s%s", is_revoked(k) ? "never: revoked" : "until ",
	    is_revoked(k) ? "" : cm_clock_text(until, text));
}

static void
tell_evidence(const struct cm_cli *c, const struct cm_kept *k, json_t *object)
{
	json_t *list = json_array();
	char from[CM_TIME_SIZE], until[CM_TIME_SIZE];

	for (size_t i = 0; i < k->evidence_count; i++) {
		const struct cm_evidence *e = &k->evidence[i];
		json_t *o = json_object();

		cm_cli_line(c, "  evidence", "%s by %s, %s until %s", cm_cli_status(e->status), e->source,
		    cm_clock_text(e->this_update, from), cm_cli_end(e->next_update, until));
		cm_cli_set(o, "status", cm_cli_status(e->status));
		cm_cli_set(o, "source", e->source);
		cm_cli_set_time(o, "this_update", e->this_update);
		cm_cli_set_time(o, "next_update", e->next_update);
		cm_cli_set_time(o, "learned", e->learned);
		json_array_append_new(list, o);
	}
	json_object_set_new(object, "evidence", list);
}

/* How strong a value is is said by the rule that makes it, as it stands now; what is kept has the value alone. */
static bool
is_weak(const struct telling *t, const struct cm_account *a, const struct cm_cert *cert)
{
	const struct cm_query_term *term = NULL;
	struct cm_query *q = NULL;
	bool weak;

	if (t->host->rules != NULL && cm_rules_map(t->host->rules, cert, NULL, &q) == CM_OK)
		term = cm_mapping_kept_term(a, q);
	weak = term != NULL && term->strength == CM_WEAK;
	cm_query_free(&q);
	return weak;
}

static enum cm_err
tell(void *arg, const struct cm_kept *k)
{
	struct telling *t = arg;
	const struct cm_cli *c = t->cli;
	struct cm_account account = *k->account;	/* its texts are the store's */
	struct cm_cert *cert = NULL;
	enum cm_err err;
	struct cm_mobile_seen seen;
	json_t *object;
	char more[64];
	time_t until;

	if (t->name != NULL && strcmp(t->name, account.name) != 0)
		return CM_OK;
	if ((err = cm_cert_decode(k->cert_der, c->trace, &cert)) != CM_OK)
		return err;
	t->found++;
	account.weak = is_weak(t, &account, cert);
	object = json_object();
	cm_cli_set_account(object, &account);
	cm_cli_set_time(object, "last_online", k->last_online);
	json_object_set_new(object, "revoked", json_boolean(is_revoked(k)));
	until = offline_until(k, cert);
	cm_cli_set_time(object, "offline_until", is_revoked(k) ? 0 : until);
	look_at_mobile(t, k, &seen);
	if (t->name == NULL) {
		snprintf(more, sizeof(more), "%s%s%s", account.weak ? ", weak" : "", seen.exists ? ", mobile: " : "",
		    seen.exists ? cm_mobile_seen_word(&seen) : "");
		tell_line(c, k, until, more);
		tell_mobile(&(struct cm_cli){ .json = true }, &seen, object);
	} else {
		cm_cli_account(c, &account);
		tell_dates(c, k, until);
		tell_mobile(c, &seen, object);
		cm_cli_line(c, "certificate", "as kept");
		cm_cli_certificate(c, object, cert);
		tell_evidence(c, k, object);
	}
	json_array_append_new(t->list, object);
	cm_cert_free(&cert);
	return CM_OK;
}

/* Rules with a mistake hide no account, and hinder none from being forgotten; the service has the store itself. */
static enum cm_err
open_host(struct cm_cli *c, unsigned needs, bool forget, struct cm_host **host)
{
	enum cm_err err = CM_ERR_CONFIG;

	if (!forget && (err = cm_host_open(c->conf, needs | CM_NEED_RULES, c->trace, host)) != CM_ERR_CONFIG)
		return err;
	cm_trace_clear_reason(c->trace);
	return cm_host_open(c->conf, needs, c->trace, host);
}

static enum cm_err
run(struct cm_cli *c, struct telling *t, bool forget)
{
	struct cm_wire *service = NULL;
	struct cm_host *host = NULL;
	enum cm_err err = cm_cli_service_open(c, CM_CLI_DAEMON, &service);

	if (err == CM_OK)
		err = open_host(c, service == NULL ? CM_NEED_ACCOUNTS : 0, forget, &host);
	t->host = host;
	if (err == CM_OK && service != NULL)
		err = cm_cli_accounts_of_service(c, service, forget ? t->name : NULL,
		    &(struct cm_cli_accounts_visit){ .kept = tell, .closed = tell_closed, .arg = t });
	else if (err == CM_OK && forget)
		err = cm_accounts_forget(host->accounts, t->name, c->trace);
	else if (err == CM_OK && (err = cm_accounts_list(host->accounts, c->trace, tell, t)) == CM_OK)
		err = cm_standing_each_closed(host->accounts, c->trace, tell_closed, t);
	cm_wire_free(&service);
	cm_host_close(&host);
	return err;
}

/* Beside the service, which sees what they wrote at its next question. */
static const struct {
	const char *name;
	int min, max;	/* arguments, with the name */
	enum cm_err (*run)(struct cm_cli *c, const struct cm_host *host);
} on_the_store[] = {
	{ "export", 2, 3, cm_cli_accounts_export },
	{ "import", 2, 2, cm_cli_accounts_import },
	{ "records", 1, 1, cm_cli_accounts_records },
};

static bool
run_on_the_store(struct cm_cli *c, enum cm_err *err)
{
	struct cm_host *host = NULL;
	size_t i = 0;

	while (i < CM_COUNT(on_the_store) && strcmp(on_the_store[i].name, c->args[0]) != 0)
		i++;
	if (i == CM_COUNT(on_the_store) || c->arg_count < on_the_store[i].min || c->arg_count > on_the_store[i].max)
		return false;
	if ((*err = cm_host_open(c->conf, CM_NEED_ACCOUNTS, c->trace, &host)) == CM_OK)
		*err = on_the_store[i].run(c, host);
	cm_cli_warnings(c);
	cm_host_close(&host);
	return true;
}

int
cm_cli_accounts(struct cm_cli *c)
{
	struct telling t = { .cli = c, .list = json_array(), .closed = json_array(), .name = c->args[1] };
	const bool list = strcmp(c->args[0], "list") == 0, show = strcmp(c->args[0], "show") == 0;
	const bool forget = strcmp(c->args[0], "forget") == 0;
	enum cm_err err;

	json_object_set_new(c->answer, "accounts", t.list);
	json_object_set_new(c->answer, "closed", t.closed);
	if (run_on_the_store(c, &err))
		return cm_cli_finish(c, err);
	if (!((list && c->arg_count == 1) || ((show || forget) && c->arg_count == 2)))
		return cm_cli_finish(c, cm_trace_fail(c->trace, CM_REASON_USAGE,
		    "usage: cardmap accounts list | show NAME | forget NAME | export FILE [NAME] --key FILE | import FILE --key FILE | records"));
	err = run(c, &t, forget);
	if (err == CM_OK && forget)
		cm_cli_line(c, "forgotten", "%s", t.name);
	if (err == CM_OK && show && t.found == 0) {
		cm_trace_fail(c->trace, CM_REASON_NOT_KEPT, "no account %s is kept", t.name);
		err = CM_ERR_ABSENT;
	}
	return cm_cli_finish(c, err);
}
