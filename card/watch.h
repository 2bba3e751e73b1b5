/* card/watch.h - which readers there are, and each card that goes in or comes out. */
#ifndef CM_CARD_WATCH_H
#define CM_CARD_WATCH_H

#include "base/blob.h"
#include "base/trace.h"

/* What happened; texts and bytes are borrowed for the call. */
struct cm_watch_event {
	const char *reader;	/* NULL: pcscd itself; every reader is gone, or, with err CM_OK, those there are follow */
	bool alive;		/* nothing happened: only that it still watches, CM_WATCH_ALIVE_MS after it was said last */
	enum cm_err err;	/* CM_ERR_OFFLINE: pcscd does not run, or does not let us in; the trace says it (NO_READER) */
	bool present;		/* a card is in it */
	bool gone;		/* the reader was disconnected */
	struct cm_blob atr;	/* empty for a card that is mute */
	uint32_t insertion;	/* which insertion that is, or was; 0: none so far.  Counts from 1, over all readers here */
	/* What tells an insertion from every other to who watches after this process has ended: */
	uint32_t pcscd;		/* when the pcscd that tells of it began, in us, its low 32 bits; 0: that is not known */
	uint16_t events;	/* its own count of this reader's insertions and removals */
};
#define CM_WATCH_ALIVE_MS	10000
typedef enum cm_err (*cm_watch_tell)(void *arg, const struct cm_watch_event *e, struct cm_trace *t);

/*
 * Tell of each reader, then of each change, until tell() returns something else
 * than CM_OK, which this returns then.  A card taken out and put back unseen
 * in between is told as both.  Where there is no pcscd it is tried again
 * and again, with growing pauses.  Has no deadline: it is for a process of its
 * own, which ends with it, and which is stuck when it does not even say that
 * it is alive: pcscd may be.  Reads nothing from any card.
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_watch_readers(cm_watch_tell tell, void *arg, struct cm_trace *t);

#endif /* CM_CARD_WATCH_H */
