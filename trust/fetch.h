/* trust/fetch.h - inside trust/: addresses asked at once, each within its deadline and size. */
#ifndef CM_TRUST_FETCH_H
#define CM_TRUST_FETCH_H

#include "base/buf.h"
#include "base/clock.h"
#include "trust/objection.h"
#include "trust/trust.h"

/*
 * One question: GET, or POST when body is not empty; http, https, or ldap(s).
 * The first part is the asker's, borrowed until the question is done or
 * removed; the second is filled in.
 */
struct cm_fetch {
	const char *url;
	struct cm_blob body;
	const char *type;		/* Content-Type of the body: "application/ocsp-request" */
	size_t max;			/* octets of the answer, what was there before included */
	cm_deadline deadline;
	const char *etag, *modified;	/* what is here already: asked only whether it changed.  NULL or "": nothing */
	struct cm_buf *out;		/* where the answer goes, or NULL, and: */
	int fd;				/* a file, for reading too; when the disk is full, this descriptor becomes one of memory */
	uint64_t have;			/* octets in fd of an answer that broke off; with part_etag: go on there (Range, If-Range) */
	const char *part_etag;		/* its strong ETag; without one it begins anew */
	void *asker;			/* the asker's own */

	enum cm_objection objection;	/* CM_OBJECTION_NONE: 200, or "not modified", or the rest came */
	struct cm_buf why;		/* in words; to be freed with cm_fetch_clear() */
	bool not_modified;		/* 304 */
	bool from_start;		/* what was in fd was thrown away: the server did not go on with the part, or sent a wrong one */
	char new_etag[128], new_modified[64];	/* of what came, though not all did; "": none, or too long */
	long max_age;			/* Cache-Control, less Age: seconds that it may be used unasked; -1: not said; no-store and no-cache: 0 */
	uint64_t bytes;			/* of the answer, as read; what there is of it so far: these, and what there was, unless from_start */
	uint64_t total;			/* of the answer, the part that was there included, as announced; 0: not known */
	unsigned connections;		/* that were begun for it: 0 when one that was open served */
	unsigned redirects;		/* that were followed */
	int64_t us;			/* from add to done */
};
void cm_fetch_clear(struct cm_fetch *f);	/* what was filled in */
bool cm_fetch_can(const char *url);		/* a scheme that can be asked */

/* Many at once, in the thread that calls. */
struct cm_fetcher;
struct cm_fetcher_options {
	struct cm_blob anchors;		/* PEM, for https */
	bool private_redirects;
	const char *const *configured[2];	/* NULL-terminated lists, NULL: none; to the hosts of these URLs redirects may lead anyhow */
	const struct cm_ldap_fetching *ldap;	/* NULL: ldap cannot be asked */
	void (*progress)(void *arg, const struct cm_fetch *f);	/* f->bytes, f->total; NULL: not wanted */
	void *arg;
};
CM_MUST_USE enum cm_err cm_fetcher_new(const struct cm_fetcher_options *o, struct cm_fetcher **out);
void cm_fetcher_free(struct cm_fetcher **f);	/* lets go of all that is still asked */
/* What cannot even be begun is done at once, with its objection. */
CM_MUST_USE enum cm_err cm_fetcher_add(struct cm_fetcher *f, struct cm_fetch *one);
void cm_fetcher_remove(struct cm_fetcher *f, struct cm_fetch *one);	/* not asked, or done: nothing happens */
/* The next that is done, or NULL: until has come, cm_fetcher_wake() was called, or nothing is asked any more. */
struct cm_fetch *cm_fetcher_next(struct cm_fetcher *f, cm_deadline until);
void cm_fetcher_wake(struct cm_fetcher *f);	/* from another thread */

#endif /* CM_TRUST_FETCH_H */
