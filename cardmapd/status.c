/* cardmapd/status.c - Status: what runs, who is connected, which cards are in, and the last decisions. */
#include <stdlib.h>
#include <unistd.h>

#include "cardmapd/cards.h"
#include "cardmapd/jobs.h"
#include "cardmapd/methods.h"
#include "cardmapd/processes.h"
#include "cardmapd/record.h"
#include "cardmapd/removal.h"
#include "service/channel.h"

#define LAST_DECISIONS	10
#define RESOLVER_MS	1000

static void
tell_process(void *arg, const struct cm_process_seen *s)
{
	json_array_append_new(arg, json_pack("{s:s, s:i, s:I, s:i}", "kind", s->kind, "pid", (int)s->pid,
	    "seconds", (json_int_t)s->seconds, "restarts", (int)s->restarts));
}

static json_t *
list_processes(const struct cm_daemon *d)
{
	json_t *list = json_array();

	json_array_append_new(list, json_pack("{s:s, s:i, s:I, s:i}", "kind", "cardmapd", "pid", (int)getpid(),
	    "seconds", (json_int_t)(cm_clock_now() - d->started), "restarts", 0));
	cm_processes_each(d->processes, tell_process, list);
	return list;
}

static json_t *
list_servers(const struct cm_conf *conf)
{
	json_t *list = json_array();

	for (size_t i = 0; conf->directory.uri[i] != NULL; i++)
		json_array_append_new(list, json_string(conf->directory.uri[i]));
	return list;
}

/* What the resolver knows: texts of the items so called. */
static void
add_items(json_t *status, const char *key, const char *item, const struct cm_message *m)
{
	json_t *list = json_array();

	for (size_t i = 0; i < m->items.count; i++)
		if (strcmp(m->items.rows[i].key, item) == 0)
			json_array_append_new(list, json_string(m->items.rows[i].text));
	json_object_set_new(status, key, list);
}

static enum cm_err
add_responder(void *arg, struct cm_blob issuer, const struct cm_source *s)
{
	const time_t now = cm_clock_now();
	char age[CM_TIME_SIZE];

	(void)issuer;
	if (!cm_source_is_silent(s, now))
		return CM_OK;
	return json_array_append_new(arg, json_sprintf("%s %s: %s, asked %s ago", cm_source_name(s->kind), s->url, s->why,
	    cm_clock_age(now - s->asked, age))) == 0 ? CM_OK : CM_ERR_NOMEM;
}

/* Those responders and list servers that no login waits for now, as the store has them. */
static json_t *
list_responders(const struct cm_daemon *d)
{
	json_t *list = json_array();
	struct cm_accounts *store = NULL;
	struct cm_trace *t = NULL;
	enum cm_err err = cm_trace_new(&t);

	if (err == CM_OK)
		err = cm_daemon_open_store(d, t, &store);
	if (err == CM_OK)
		err = cm_accounts_each_source_unread(store, t, add_responder, list);
	if (err != CM_OK)
		json_array_append_new(list, json_sprintf("responders: not all are known: %s",
		    cm_trace_reason(t) != CM_REASON_NONE ? cm_trace_message(t) : cm_err_name(err)));
	cm_accounts_close(&store);
	cm_trace_free(&t);
	return list;
}

static enum cm_err
ask_resolver(struct cm_daemon *d, struct cm_message *answer)
{
	const struct cm_message question = { .kind = CM_MESSAGE_STATE };
	const int fd = cm_processes_connect(d->processes, CM_KIND_RESOLVER);
	struct cm_channel *channel = NULL;
	enum cm_err err = fd >= 0 ? cm_channel_new(fd, &channel) : CM_ERR_OFFLINE;

	if (err == CM_OK)
		err = cm_channel_ask(channel, &question, NULL, 0, CM_MESSAGE_STATED, cm_deadline_in(RESOLVER_MS), answer);
	cm_channel_free(&channel);
	return err;
}

static enum cm_err
finish(struct cm_daemon *d, struct cm_varlink_turn *turn, json_t *status)
{
	struct cm_message answer = { 0 };
	const bool told = ask_resolver(d, &answer) == CM_OK;

	if (told) {
		add_items(status, "silent", "silent", &answer);
		add_items(status, "kdc", "kdc", &answer);
		add_items(status, "directory_connections", "connections", &answer);
		add_items(status, "directory_searches", "searches", &answer);
	}
	json_object_set_new(status, "responders", list_responders(d));
	json_object_set_new(status, "resolver", json_boolean(told));
	cm_message_clear(&answer);
	return cm_varlink_answer(turn, json_pack("{s:O}", "status", status), cm_deadline_in(CM_JOB_SEND_MS));
}

enum cm_err
cm_method_status(struct cm_varlink_request *r)
{
	const struct cm_client *c = r->context;
	struct cm_daemon *d = c->daemon;
	enum cm_err err = CM_OK;

	if (!cm_parameters_take(r, NULL, 0, &err))
		return err;
	/* What is the main thread's is told here; the resolver is asked by another. */
	return cm_jobs_run(d->jobs, r, finish, json_pack("{s:s, s:o, s:i, s:b, s:s?, s:o, s:o, s:o, s:o}",
	    "version", CM_VERSION,
	    "processes", list_processes(d),
	    "connections", (int)cm_clients_count(d->clients),
	    "keytab", d->hostcheck != NULL,
	    "host_principal", d->hostcheck != NULL ? cm_hostcheck_principal(d->hostcheck) : NULL,
	    "directory", list_servers(d->conf),
	    "cards", cm_cards_list(d->cards, c),
	    "sessions", cm_removal_list(d->removal),
	    "last", cm_record_last(d->record, LAST_DECISIONS)));
}
