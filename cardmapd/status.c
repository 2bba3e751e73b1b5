/* cardmapd/status.c - Status: what runs, who is connected, which cards are in, and the last decisions. */
#include <stdlib.h>
#include <unistd.h>

#include "cardmapd/cards.h"
#include "cardmapd/methods.h"
#include "cardmapd/processes.h"
#include "cardmapd/record.h"

#define LAST_DECISIONS	10

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

enum cm_err
cm_method_status(struct cm_varlink_request *r)
{
	const struct cm_client *c = r->context;
	struct cm_daemon *d = c->daemon;
	enum cm_err err = CM_OK;

	if (!cm_parameters_take(r, NULL, 0, &err))
		return err;
	return cm_varlink_answer(&r->turn, json_pack("{s:{s:s, s:o, s:i, s:b, s:s?, s:o, s:o}}", "status",
	    "version", CM_VERSION,
	    "processes", list_processes(d),
	    "connections", (int)cm_clients_count(d->clients),
	    "keytab", d->hostcheck != NULL,
	    "host_principal", d->hostcheck != NULL ? cm_hostcheck_principal(d->hostcheck) : NULL,
	    "cards", cm_cards_list(d->cards, c),
	    "last", cm_record_last(d->record, LAST_DECISIONS)), r->deadline);
}
