/* cardmapd/record.c - the last decisions, and who is told of each as it is made. */
#include "cardmapd/record.h"

#include <stdlib.h>

#include "cardmapd/methods.h"
#include "service/answer.h"

struct cm_record {
	struct cm_daemon *daemon;
	/* under the daemon's lock: */
	json_t *entries[CM_RECORD_ENTRIES];
	unsigned long long written;	/* since the start: entry n is entries[n % CM_RECORD_ENTRIES] */
	/* the main thread's: */
	unsigned long long told;
	struct subscriber {
		struct cm_client *client;
		struct subscriber *next;
	} *subscribers;
};

enum cm_err
cm_record_new(struct cm_daemon *d, struct cm_record **out)
{
	if ((*out = calloc(1, sizeof(**out))) == NULL)
		return CM_ERR_NOMEM;
	(*out)->daemon = d;
	return CM_OK;
}

void
cm_record_free(struct cm_record **r)
{
	if (*r == NULL)
		return;
	for (size_t i = 0; i < CM_RECORD_ENTRIES; i++)
		json_decref((*r)->entries[i]);
	free(*r);
	*r = NULL;
}

static json_t *
describe(const struct cm_log_entry *e)
{
	json_t *o = json_pack("{s:I, s:s, s:s}", "time", (json_int_t)cm_clock_now(), "event", e->event,
	    "result", cm_err_name(e->err));

	if (e->reason != CM_REASON_NONE)
		cm_answer_add_text(o, "reason", cm_reason_name(e->reason));
	cm_answer_add_text(o, "text", e->text);
	cm_answer_add_text(o, "user", e->user);
	if (e->uid != CM_LOG_NO_UID)
		json_object_set_new(o, "uid", json_integer(e->uid));
	cm_answer_add_text(o, "reader", e->reader);
	cm_answer_add_text(o, "serial", e->serial);
	cm_answer_add_text(o, "service", e->service);
	cm_answer_add_text(o, "rhost", e->rhost);
	cm_answer_add_text(o, "tty", e->tty);
	cm_answer_add_text(o, "stages", e->stages);
	if (e->online != CM_LOG_NOT_SAID)
		json_object_set_new(o, "online", json_boolean(e->online == CM_LOG_ONLINE));
	return o;
}

void
cm_record_write(struct cm_record *r, const struct cm_log_entry *e)
{
	json_t *entry = describe(e), *oldest;

	cm_log_write(r->daemon->conf->service.log, e);
	pthread_mutex_lock(&r->daemon->lock);
	oldest = r->entries[r->written % CM_RECORD_ENTRIES];
	r->entries[r->written++ % CM_RECORD_ENTRIES] = entry;
	pthread_mutex_unlock(&r->daemon->lock);
	json_decref(oldest);
	cm_daemon_wake(r->daemon);
}

/* Entries from number first on and before end, those that are still here.  Under the lock. */
static json_t *
list_entries(const struct cm_record *r, unsigned long long first, unsigned long long end)
{
	json_t *list = json_array();

	if (r->written > CM_RECORD_ENTRIES && first < r->written - CM_RECORD_ENTRIES)
		first = r->written - CM_RECORD_ENTRIES;
	for (; first < end; first++)
		json_array_append(list, r->entries[first % CM_RECORD_ENTRIES]);
	return list;
}

/* Those that were told: the subscribers, of whom the caller may become one, get the others. */
json_t *
cm_record_last(struct cm_record *r, size_t most)
{
	json_t *list;

	pthread_mutex_lock(&r->daemon->lock);
	list = list_entries(r, r->told > most ? r->told - most : 0, r->told);
	pthread_mutex_unlock(&r->daemon->lock);
	return list;
}

void
cm_record_look(struct cm_record *r)
{
	json_t *list, *entry;
	size_t i;

	pthread_mutex_lock(&r->daemon->lock);
	list = list_entries(r, r->told, r->written);
	r->told = r->written;
	pthread_mutex_unlock(&r->daemon->lock);
	json_array_foreach(list, i, entry)
		for (struct subscriber *s = r->subscribers; s != NULL; s = s->next)
			if (!s->client->finished)
				cm_client_continue(s->client, json_pack("{s:O}", "entry", entry));
	json_decref(list);
}

/* ---- Log */

static void
unsubscribe(struct cm_client *c)
{
	struct subscriber **at = &c->daemon->record->subscribers;

	while (*at != NULL && (*at)->client != c)
		at = &(*at)->next;
	if (*at != NULL) {
		struct subscriber *gone = *at;

		*at = gone->next;
		free(gone);
	}
	c->gone = NULL;
}

static enum cm_err
subscribe(struct cm_varlink_request *r)
{
	struct cm_client *c = r->context;
	struct subscriber *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return CM_ERR_NOMEM;
	*s = (struct subscriber){ c, c->daemon->record->subscribers };
	c->daemon->record->subscribers = s;
	cm_client_keep(c, r, unsubscribe, s);
	return CM_OK;
}

/* To who takes one reply: the last entry.  To others: the last ones, a reply without one as a mark, and from then on each. */
enum cm_err
cm_method_log(struct cm_varlink_request *r)
{
	struct cm_client *c = r->context;
	json_int_t last = 10;
	const struct cm_parameter rows[] = { { "last", CM_PARAMETER_INTEGER, false, &last } };
	enum cm_err err = CM_OK;
	json_t *list, *entry;
	size_t i;

	if (!cm_parameters_take(r, rows, CM_COUNT(rows), &err))
		return err;
	if (last < 0 || last > CM_RECORD_ENTRIES)
		return cm_varlink_invalid(&r->turn, "last", r->deadline);
	cm_record_look(c->daemon->record);	/* those before him have had what he is about to get */
	list = cm_record_last(c->daemon->record, r->turn.more ? (size_t)last : 1);
	if (!r->turn.more) {
		entry = json_array_get(list, 0);
		err = cm_varlink_answer(&r->turn, entry != NULL ? json_pack("{s:O}", "entry", entry) : json_object(), r->deadline);
		json_decref(list);
		return err;
	}
	json_array_foreach(list, i, entry)
		if (err == CM_OK)
			err = cm_varlink_continue(&r->turn, json_pack("{s:O}", "entry", entry), r->deadline);
	json_decref(list);
	if (err == CM_OK)
		err = cm_varlink_continue(&r->turn, json_object(), r->deadline);
	return err == CM_OK ? subscribe(r) : err;
}
