/* cardmapd/mobile.c - the names of mobile accounts, kept as the store has them: a thread of its own. */
#include "cardmapd/mobile.h"

#include <stdlib.h>

#include "base/log.h"
#include "cardmapd/record.h"
#include "service/mobile.h"

#define EVERY_S		3600

struct cm_mobiles {
	struct cm_daemon *daemon;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t told;
	bool due, ends;		/* under the lock */
};

/* Whose names went, for the log: what is in the home is nobody's but his, and stays. */
static void
tell(void *arg, const struct cm_account *a, enum cm_mobile_end end)
{
	static const char *const why[] = {
		[CM_MOBILE_END_GONE] = "is no longer kept here", [CM_MOBILE_END_RESTS] = "had no login with the network for longer than accounts.offline_days",
		[CM_MOBILE_END_POLICY] = "has no mobile account by accounts.mobile",
	};
	const struct cm_mobiles *m = arg;
	struct cm_buf text = { 0 };
	struct cm_log_entry e = { .event = "mobile-end", .user = a->name, .uid = a->uid };

	cm_buf_addf(&text, "%s %s: its records are removed, its home %s stays", a->name, why[end], a->home);
	e.text = cm_buf_str(&text);
	cm_record_write(m->daemon->record, &e);
	cm_buf_free(&text);
}

static void
settle(struct cm_mobiles *m)
{
	struct cm_mobile_host h = { .conf = m->daemon->conf };
	struct cm_trace *t = NULL;
	enum cm_err err = cm_trace_new(&t);

	if (err == CM_OK && (err = cm_daemon_open_store(m->daemon, t, &h.store)) == CM_OK)
		err = cm_mobile_settle(&h, cm_clock_now(), t, tell, m);
	if (err != CM_OK)
		cm_log_event(h.conf->service.log, "mobile", err, cm_trace_reason(t), "mobile accounts: %s", cm_trace_message(t));
	cm_accounts_close(&h.store);
	cm_trace_free(&t);
}

static void *
run(void *arg)
{
	struct cm_mobiles *m = arg;

	pthread_mutex_lock(&m->lock);
	while (!m->ends) {
		struct timespec until;
		int waited = 0;

		m->due = false;
		pthread_mutex_unlock(&m->lock);
		settle(m);
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += EVERY_S;
		pthread_mutex_lock(&m->lock);
		while (!m->due && !m->ends && waited == 0)
			waited = pthread_cond_timedwait(&m->told, &m->lock, &until);
	}
	pthread_mutex_unlock(&m->lock);
	return NULL;
}

enum cm_err
cm_mobiles_new(struct cm_daemon *d, struct cm_mobiles **out)
{
	struct cm_mobiles *m = calloc(1, sizeof(*m));
	pthread_condattr_t monotonic;

	*out = NULL;
	if (m == NULL)
		return CM_ERR_NOMEM;
	m->daemon = d;
	pthread_mutex_init(&m->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&m->told, &monotonic);
	pthread_condattr_destroy(&monotonic);
	*out = m;	/* the thread's store looks for it there */
	if (pthread_create(&m->thread, NULL, run, m) == 0)
		return CM_OK;
	*out = NULL;
	free(m);
	return CM_ERR_SYSTEM;
}

void
cm_mobiles_look(struct cm_mobiles *m)
{
	if (m == NULL)
		return;
	pthread_mutex_lock(&m->lock);
	m->due = true;
	pthread_cond_signal(&m->told);
	pthread_mutex_unlock(&m->lock);
}

void
cm_mobiles_free(struct cm_mobiles **m)
{
	if (*m == NULL)
		return;
	pthread_mutex_lock(&(*m)->lock);
	(*m)->ends = true;
	pthread_cond_signal(&(*m)->told);
	pthread_mutex_unlock(&(*m)->lock);
	pthread_join((*m)->thread, NULL);
	pthread_cond_destroy(&(*m)->told);
	pthread_mutex_destroy(&(*m)->lock);
	free(*m);
	*m = NULL;
}
