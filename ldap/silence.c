/* ldap/silence.c - a server that gave no answer is waited for by nobody, until a probe in the background finds it alive. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "ldap/silence_internal.h"

#define FIRST_MS	1000	/* until the first probe; doubled each time ... */
#define MOST_MS		30000
#define MARKS_MAX	64	/* servers of one configuration; more are asked as ever */

struct mark {
	char *uri;		/* owned; NULL: a free place */
	char *why;
	int64_t since_us;
	cm_deadline due;
	unsigned wait;		/* ms that this probe was put off */
	unsigned failures;
	bool probing;
};

struct cm_silence {
	pthread_mutex_t lock;
	pthread_cond_t changed;	/* on CLOCK_MONOTONIC */
	struct mark marks[MARKS_MAX];
	bool stopped;
};

enum cm_err
cm_silence_new(struct cm_silence **out)
{
	struct cm_silence *s = calloc(1, sizeof(*s));
	pthread_condattr_t a;

	*out = s;
	if (s == NULL)
		return CM_ERR_NOMEM;
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &a);
	pthread_condattr_destroy(&a);
	pthread_mutex_init(&s->lock, NULL);
	return CM_OK;
}

static void
clear(struct mark *m)
{
	free(m->uri);
	free(m->why);
	*m = (struct mark){ .uri = NULL };
}

void
cm_silence_free(struct cm_silence **s)
{
	if (*s == NULL)
		return;
	for (size_t i = 0; i < MARKS_MAX; i++)
		clear(&(*s)->marks[i]);
	pthread_cond_destroy(&(*s)->changed);
	pthread_mutex_destroy(&(*s)->lock);
	free(*s);
	*s = NULL;
}

/* Of this server; of NULL: a free place. */
static struct mark *
find(struct cm_silence *s, const char *uri)
{
	for (size_t i = 0; i < MARKS_MAX; i++)
		if (uri == NULL ? s->marks[i].uri == NULL : s->marks[i].uri != NULL && strcmp(s->marks[i].uri, uri) == 0)
			return &s->marks[i];
	return NULL;
}

bool
cm_silence_knows(struct cm_silence *s, const char *uri, char why[CM_SILENCE_WHY])
{
	char age[CM_TIME_SIZE];
	const struct mark *m;

	if (s == NULL)
		return false;
	pthread_mutex_lock(&s->lock);
	if ((m = find(s, uri)) != NULL)
		snprintf(why, CM_SILENCE_WHY, "%s (%s ago; it is asked again in the background)", m->why,
		    cm_clock_age((cm_clock_us() - m->since_us) / 1000000, age));
	pthread_mutex_unlock(&s->lock);
	return m != NULL;
}

static void
put_off(struct mark *m)
{
	m->wait = m->wait == 0 ? FIRST_MS : m->wait * 2 < MOST_MS ? m->wait * 2 : MOST_MS;
	m->due = cm_deadline_in(m->wait);
	m->failures++;
	m->probing = false;
}

/* A login that waited while another already had put a mark there moves no probe; a probe that failed does. */
void
cm_silence_mark(struct cm_silence *s, const char *uri, const char *why)
{
	struct mark *m;

	if (s == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	if ((m = find(s, uri)) != NULL) {
		if (m->probing)
			put_off(m);
	} else if ((m = find(s, NULL)) != NULL && (m->uri = strdup(uri)) != NULL) {
		if ((m->why = strdup(why)) != NULL) {
			m->since_us = cm_clock_us();
			put_off(m);
		} else {
			clear(m);
		}
	}
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void
cm_silence_clear(struct cm_silence *s, const char *uri)
{
	struct mark *m;

	if (s == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	if ((m = find(s, uri)) != NULL)
		clear(m);
	pthread_mutex_unlock(&s->lock);
}

bool
cm_silence_is_due(struct cm_silence *s, const char *uri)
{
	struct mark *m;
	bool due;

	pthread_mutex_lock(&s->lock);
	m = find(s, uri);
	due = m != NULL && !m->probing && cm_deadline_passed(m->due);
	if (due)
		m->probing = true;
	pthread_mutex_unlock(&s->lock);
	return due;
}

/* The first probe that is due; false: there is nothing to probe. */
static bool
next_due(struct cm_silence *s, cm_deadline *due)
{
	bool any = false;

	for (size_t i = 0; i < MARKS_MAX; i++)
		if (s->marks[i].uri != NULL && !s->marks[i].probing) {
			*due = any ? cm_deadline_earlier(*due, s->marks[i].due) : s->marks[i].due;
			any = true;
		}
	return any;
}

bool
cm_silence_wait(struct cm_silence *s)
{
	cm_deadline due;
	bool stopped;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		const bool any = next_due(s, &due);

		if (s->stopped || (any && cm_deadline_passed(due)))
			break;
		if (any) {
			const struct timespec until = { .tv_sec = due / 1000, .tv_nsec = due % 1000 * 1000000 };

			pthread_cond_timedwait(&s->changed, &s->lock, &until);
		} else {
			pthread_cond_wait(&s->changed, &s->lock);
		}
	}
	stopped = s->stopped;
	pthread_mutex_unlock(&s->lock);
	return !stopped;
}

void
cm_silence_stop(struct cm_silence *s)
{
	pthread_mutex_lock(&s->lock);
	s->stopped = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

void
cm_silence_each(struct cm_silence *s, cm_silent_visit visit, void *arg)
{
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < MARKS_MAX; i++) {
		const struct mark *m = &s->marks[i];

		if (m->uri != NULL)
			visit(arg, m->uri, m->why, (cm_clock_us() - m->since_us) / 1000000);
	}
	pthread_mutex_unlock(&s->lock);
}
