/* cardmapd/jobs.c - calls that take their time: each in a thread, with its client's wire. */
#include "cardmapd/jobs.h"

#include <stdlib.h>

struct job {
	struct cm_daemon *daemon;
	struct cm_client *client;	/* NULL: a free place */
	struct cm_varlink_turn turn;
	json_t *parameters;
	cm_job run;
	pthread_t thread;
	enum cm_err err;
	bool ended;			/* under the daemon's lock */
};

struct cm_jobs {
	struct cm_daemon *daemon;
	struct job places[CM_JOBS_MAX];
};

enum cm_err
cm_jobs_new(struct cm_daemon *d, struct cm_jobs **out)
{
	if ((*out = calloc(1, sizeof(**out))) == NULL)
		return CM_ERR_NOMEM;
	(*out)->daemon = d;
	return CM_OK;
}

static void *
work(void *arg)
{
	struct job *j = arg;

	j->err = j->run(j->daemon, &j->turn, j->parameters);
	pthread_mutex_lock(&j->daemon->lock);
	j->ended = true;
	pthread_mutex_unlock(&j->daemon->lock);
	cm_daemon_wake(j->daemon);
	return NULL;
}

enum cm_err
cm_jobs_run(struct cm_jobs *j, struct cm_varlink_request *r, cm_job job, json_t *parameters)
{
	struct cm_client *c = r->context;
	struct job *place = NULL;

	for (size_t i = 0; i < CM_JOBS_MAX && place == NULL; i++)
		if (j->places[i].client == NULL)
			place = &j->places[i];
	if (parameters == NULL)
		parameters = json_incref(r->call->parameters);
	if (place == NULL) {
		json_decref(parameters);
		return cm_varlink_error(&r->turn, "io.cardmap.Busy",
		    json_pack("{s:s}", "text", "as many calls of this kind as may be are being served"), r->deadline);
	}
	*place = (struct job){ .daemon = j->daemon, .client = c, .turn = r->turn, .run = job,
		.parameters = parameters };
	if (pthread_create(&place->thread, NULL, work, place) != 0) {
		json_decref(place->parameters);
		place->client = NULL;
		return CM_ERR_SYSTEM;
	}
	c->lent = true;
	return CM_OK;
}

static void
take_back(struct job *place)
{
	pthread_join(place->thread, NULL);
	json_decref(place->parameters);
	place->client->lent = false;
	if (place->err != CM_OK || !place->turn.answered)
		place->client->finished = true;
	place->client = NULL;
}

void
cm_jobs_look(struct cm_jobs *j)
{
	for (size_t i = 0; i < CM_JOBS_MAX; i++) {
		struct job *place = &j->places[i];
		bool ended;

		if (place->client == NULL)
			continue;
		pthread_mutex_lock(&j->daemon->lock);
		ended = place->ended;
		pthread_mutex_unlock(&j->daemon->lock);
		if (ended)
			take_back(place);
	}
}

void
cm_jobs_free(struct cm_jobs **j)
{
	if (*j == NULL)
		return;
	for (size_t i = 0; i < CM_JOBS_MAX; i++)
		if ((*j)->places[i].client != NULL)
			take_back(&(*j)->places[i]);
	free(*j);
	*j = NULL;
}
