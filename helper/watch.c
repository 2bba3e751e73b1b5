/* helper/watch.c - the process that watches: each reader, and each card that goes in or comes out, is a message. */
#include "base/fault.h"
#include "card/watch.h"
#include "helper/helper.h"

#define SEND_MS	10000

_Static_assert(3 * CM_WATCH_ALIVE_MS <= CM_WATCH_SILENT_MS, "said often enough");

static enum cm_err
tell_alive(const struct cm_helper *h)
{
	const struct cm_message m = { .kind = CM_MESSAGE_ALIVE };

	return cm_channel_send(h->channel, &m, NULL, 0, cm_deadline_in(SEND_MS));
}

static enum cm_err
tell(void *arg, const struct cm_watch_event *e, struct cm_trace *t)
{
	const struct cm_helper *h = arg;
	struct cm_message m = { .kind = CM_MESSAGE_READER, .present = e->present, .gone = e->gone,
		.insertion = e->insertion, .pcscd = e->pcscd, .events = e->events };
	struct cm_buf reader = { 0 }, atr = { 0 };
	enum cm_err err = CM_ERR_NOMEM;

	if (e->alive)
		return tell_alive(h);
	if (cm_fault_point("helper.READER") != CM_OK)
		return CM_ERR_SYSTEM;
	cm_buf_add_printable(&reader, cm_blob_str(e->reader));
	cm_buf_add_blob(&atr, e->atr);
	if (cm_buf_status(&reader) != CM_OK || cm_buf_status(&atr) != CM_OK)
		goto out;
	m.reader = cm_buf_take(&reader);
	m.atr.len = atr.len;
	m.atr.ptr = (const uint8_t *)cm_buf_take(&atr);
	if (m.reader == NULL || (m.atr.ptr == NULL && m.atr.len > 0) ||
	    (err = cm_message_report(&m, e->err, t)) != CM_OK)
		goto out;
	err = cm_channel_send(h->channel, &m, NULL, 0, cm_deadline_in(SEND_MS));
out:
	cm_message_clear(&m);
	cm_buf_free(&reader);
	cm_buf_free(&atr);
	return err;
}

/* Nobody sends to who watches: that the channel closes is seen by the guard. */
enum cm_err
cm_helper_watch(const struct cm_helper *h)
{
	struct cm_trace *t = NULL;
	enum cm_err err;

	atomic_store(&h->guard->busy, true);
	if ((err = cm_trace_new(&t)) == CM_OK)
		err = cm_watch_readers(tell, (void *)(uintptr_t)h, t);
	cm_trace_free(&t);
	return err;
}
