/* cache/remote_keeper.c - what a login learns, kept by the process that has the store: a keeper as that of a file. */
#include <stdlib.h>

#include "cache/store_wire_internal.h"

struct cm_remote_keeping {
	struct cm_remote *remote;
	struct cm_trace *trace;		/* of the last call, for why() */
};

static enum cm_err
learn(struct cm_remote_keeping *k, struct cm_remote_question *q)
{
	cm_trace_clear_reason(k->trace);
	return cm_remote_learn(k->remote, q, k->trace);
}

static enum cm_err
take_evidence(struct cm_got *g, void *out)
{
	cm_get_evidence(g, out);
	return CM_OK;
}

static enum cm_err
find_evidence(void *arg, struct cm_evidence *e)
{
	struct cm_remote_keeping *k = arg;
	struct cm_evidence found;
	struct cm_remote_question q = { .take = take_evidence, .out = &found };
	enum cm_err err;

	cm_remote_begin(&q, CM_STORE_FIND_EVIDENCE);
	cm_put_octets(&q.request, (struct cm_blob){ e->issuer_key, sizeof(e->issuer_key) });
	cm_put_octets(&q.request, (struct cm_blob){ e->serial, e->serial_len });
	if ((err = learn(k, &q)) == CM_OK)
		*e = found;
	return err;
}

static enum cm_err
keep_evidence(void *arg, const struct cm_evidence *e)
{
	struct cm_remote_question q = { .take = NULL };

	if (e->status == CM_STATUS_UNKNOWN)
		return CM_OK;
	cm_remote_begin(&q, CM_STORE_KEEP_EVIDENCE);
	cm_put_evidence(&q.request, e);
	return learn(arg, &q);
}

static enum cm_err
keep_source(void *arg, const struct cm_source *s, struct cm_blob issuer)
{
	struct cm_remote_question q = { .take = NULL };

	if (s->url[0] == '\0' || memchr(s->url, '\0', sizeof(s->url)) == NULL)
		return CM_OK;		/* as keeper.c has it */
	cm_remote_begin(&q, CM_STORE_KEEP_SOURCE);
	cm_put_source(&q.request, s);
	cm_put_octets(&q.request, issuer);
	return learn(arg, &q);
}

static const char *
why(void *arg)
{
	return cm_trace_message(((const struct cm_remote_keeping *)arg)->trace);
}

enum cm_err
cm_remote_keeping_new(const struct cm_accounts *s, struct cm_keeper *keeper, struct cm_remote_keeping **out)
{
	struct cm_remote_keeping *k = calloc(1, sizeof(*k));

	*out = NULL;
	if (k == NULL || cm_trace_new(&k->trace) != CM_OK) {
		free(k);
		return CM_ERR_NOMEM;
	}
	k->remote = s->remote;
	*keeper = (struct cm_keeper){ .arg = k, .find = find_evidence, .keep = keep_evidence, .keep_source = keep_source,
		.why = why };
	*out = k;
	return CM_OK;
}

void
cm_remote_keeping_free(struct cm_remote_keeping **k)
{
	if (*k == NULL)
		return;
	cm_trace_free(&(*k)->trace);
	free(*k);
	*k = NULL;
}
