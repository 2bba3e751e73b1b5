/* trust/fetch_ldap.c - a question to a directory: libldap waits in a thread of its own. */
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/thread.h"
#include "ldap/fetch.h"
#include "trust/fetch_internal.h"

struct cm_ldap_question {
	struct cm_ldap_fetch l;
	CURLM *multi;		/* to be woken when it is through */
	struct cm_buf why;
	enum cm_err err;
	atomic_bool through;	/* then the fields above are the fetcher's */
	pthread_t thread;
};

static void *
ask(void *arg)
{
	struct cm_ldap_question *q = arg;

	q->err = cm_ldap_fetch(&q->l, &q->why);
	atomic_store(&q->through, true);
	curl_multi_wakeup(q->multi);
	return NULL;
}

static void
drop(struct cm_ldap_question *q)
{
	if (q->l.cancel >= 0)
		close(q->l.cancel);
	cm_buf_free(&q->why);
	free(q);
}

/* In its thread: until that is through, or was joined, nobody else looks at where the answer goes. */
static bool
take(void *arg, struct cm_blob value)
{
	struct cm_transfer *t = arg;

	cm_sink_begin(t, 0);
	t->here = t->f->total = value.len;
	return t->f->objection == CM_OBJECTION_NONE && cm_sink_write(t, value.ptr, value.len);
}

bool
cm_ldap_question_start(struct cm_transfer *t, CURLM *multi)
{
	struct cm_ldap_question *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return false;
	q->multi = multi;
	q->l = (struct cm_ldap_fetch){
		.how = t->o->ldap, .url = t->f->url, .max = t->f->max, .deadline = t->f->deadline,
		.cancel = eventfd(0, EFD_CLOEXEC), .take = take, .arg = t,
	};
	if (q->l.cancel < 0 || cm_thread_start(&q->thread, NULL, ask, q) != 0) {
		drop(q);
		return false;
	}
	t->ldap = q;
	return true;
}

bool
cm_ldap_question_through(const struct cm_transfer *t)
{
	return t->ldap != NULL && atomic_load(&t->ldap->through);
}

static enum cm_objection
no_answer(const struct cm_ldap_fetch *l)
{
	if (l->unnamed)
		return CM_OBJECTION_NO_NAME;
	if (l->distrusted)
		return CM_OBJECTION_TLS;
	if (l->answered)
		return CM_OBJECTION_LDAP_RESULT;
	if (l->connections == 0)
		return CM_OBJECTION_NO_CONNECTION;
	if (l->silent)
		return l->bytes > 0 ? CM_OBJECTION_SLOW_ANSWER : CM_OBJECTION_NO_ANSWER;
	return CM_OBJECTION_BROKEN_ANSWER;
}

static enum cm_objection
objection_of(const struct cm_ldap_question *q)
{
	if (q->l.too_large)
		return CM_OBJECTION_TOO_LARGE;
	switch (q->err) {
	case CM_OK:
		return CM_OBJECTION_NONE;
	case CM_ERR_ABSENT:
	case CM_ERR_AMBIGUOUS:
		return CM_OBJECTION_LDAP_RESULT;
	case CM_ERR_SYNTAX:
	case CM_ERR_CONFIG:
		return CM_OBJECTION_NOT_ASKABLE;
	case CM_ERR_SYSTEM:
	case CM_ERR_NOMEM:
		return CM_OBJECTION_NOT_KEPT;
	default:
		return no_answer(&q->l);
	}
}

void
cm_ldap_question_collect(struct cm_transfer *t)
{
	struct cm_ldap_question *q = t->ldap;

	t->f->bytes = q->l.bytes;
	t->f->connections = q->l.connections;
	if (q->err != CM_OK)
		cm_transfer_object(t, objection_of(q), "%s", cm_buf_str(&q->why));
	cm_ldap_question_free(&t->ldap);
}

void
cm_ldap_question_free(struct cm_ldap_question **qp)
{
	struct cm_ldap_question *q = *qp;

	if (q == NULL)
		return;
	*qp = NULL;
	/* It looks there wherever it waits; else its deadline would end it. */
	(void)eventfd_write(q->l.cancel, 1);
	pthread_join(q->thread, NULL);
	drop(q);
}
