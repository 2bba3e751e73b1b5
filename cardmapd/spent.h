/* cardmapd/spent.h - PINs that were spent in the insertions that are: kept for a service that is started anew. */
#ifndef CM_CARDMAPD_SPENT_H
#define CM_CARDMAPD_SPENT_H

#include "base/blob.h"
#include "base/trace.h"

#define CM_WRONG_PINS_MAX	2	/* in one insertion; then nothing sends VERIFY until the card is out */
#define CM_SPENT_READER_SIZE	257
#define CM_SPENTS_MAX		64

/* One insertion of a card: pcscd tells it from every other (card/watch.h). */
struct cm_insertion {
	char reader[CM_SPENT_READER_SIZE];
	uint32_t pcscd;
	uint16_t events;
};

struct cm_spent {
	struct cm_insertion in;
	unsigned wrong;			/* PINs */
	unsigned doubtful;		/* of them: nobody told what the card said */
	unsigned tries_before;		/* as the card had before the first of these; CM_TRIES_UNKNOWN */
};

struct cm_spent_list {
	struct cm_spent rows[CM_SPENTS_MAX];
	size_t count;
};

bool cm_insertion_equal(const struct cm_insertion *a, const struct cm_insertion *b);

struct cm_spents;

/*
 * In DIR/private, root's, for as long as the computer runs; read when begun.
 * Without a file nobody typed a wrong one.  Of a file that is not what was
 * written, nobody knows who did: then the first card that each reader has
 * counts as held (cm_spents_find()), until it is taken out, as may be done with
 * the reader, where that is a token.
 */
CM_MUST_USE enum cm_err cm_spents_new(const char *run_dir, int log, struct cm_spents **out);
void cm_spents_begin(struct cm_spents *s);
void cm_spents_free(struct cm_spents **s);

/* A card is in: what was spent for it.  first: it is in the reader since before anybody looked. */
void cm_spents_find(struct cm_spents *s, const struct cm_insertion *in, bool first, struct cm_spent *out);
/* Any thread: so it stands now.  A file that cannot be written is logged, and the count holds for as long as this process lives. */
void cm_spents_note(struct cm_spents *s, const struct cm_spent *spent);
/* The card is out, or the reader is gone, as pcscd says. */
void cm_spents_forget(struct cm_spents *s, const char *reader);

/* The file's text.  The first is the caller's to free; NULL: memory is short.  False: it is not what is written, and *out is empty */
char *cm_spent_text(const struct cm_spent_list *l);
bool cm_spent_parse(struct cm_blob text, struct cm_spent_list *out);

#endif /* CM_CARDMAPD_SPENT_H */
