/* trust/refresh_internal.h - one issuer's refresh, as its files see it. */
#ifndef CM_TRUST_REFRESH_INTERNAL_H
#define CM_TRUST_REFRESH_INTERNAL_H

#include "trust/crl_internal.h"
#include "trust/fetch.h"

/* Addresses of one list, or the responders for one certificate: asked in turn until one has it. */
struct cm_refresh_lane {
	enum cm_source_kind kind;
	char **urls;			/* owned; base/list.h */
	size_t at;			/* whose turn it is */
	X509 *cert;			/* owned: that is asked about, or for which the list is */
	time_t due;			/* by what is here; in the past: there is nothing */
	bool probe;			/* only to see whether it is alive: others have what it could give */
	bool well;			/* one had it */
	bool ended;			/* and what it had was good no more */

	/* while it is asked */
	bool asked;
	struct cm_question q;
	struct cm_buf warning, url, answer;
	struct cm_fetch fetch;
	struct cm_crl_coming *coming;
	struct cm_ocsp_request *request;
	uint64_t seen;			/* octets that had come */
	int64_t moved_us;		/* when the last came */
};

struct cm_refresh_run {
	struct cm_trust *trust;		/* borrowed, as what follows */
	const struct cm_refresh *r;
	const struct cm_known *known;
	cm_deadline deadline;
	struct cm_trace *trace;
	X509 *issuer;			/* owned, as what follows */
	STACK_OF(X509) *chain;		/* issuer first, anchor last */
	uint8_t key[32];
	struct cm_source *sources;	/* of this issuer, as they are now */
	size_t source_count;
	struct cm_refresh_lane *lanes;	/* of this phase */
	size_t lane_count;
	struct cm_fetcher *fetcher;
	int64_t began_us;		/* at known->now */
	char **silent;			/* responders that others in this run waited for in vain */
	time_t next;
	bool failed;			/* something could not be learned */
};

/* refresh.c: the list that came from this address is due again, which the run's next tells. */
void cm_refresh_note_list(struct cm_refresh_run *run, const struct cm_crl_index *x, const char *url);

/* refresh_lane.c: ask all lanes of this phase, and free them. */
CM_MUST_USE enum cm_err cm_refresh_ask(struct cm_refresh_run *run);
/* A lane of these addresses (taken over, *urls is NULL then; of none there is no lane), for cert (a reference is kept).  CM_ERR_NOMEM */
CM_MUST_USE enum cm_err cm_refresh_add_lane(struct cm_refresh_run *run, enum cm_source_kind kind, char ***urls, X509 *cert);
void cm_refresh_free_lanes(struct cm_refresh_run *run);
void cm_refresh_leave_out(struct cm_refresh_run *run, size_t lane);	/* one that is not asked */
/* The source of this address; made where it is not known yet.  NULL: out of memory, or too long an address. */
struct cm_source *cm_refresh_source(struct cm_refresh_run *run, enum cm_source_kind kind, const char *url);
/* A question of this certificate of the issuer's, for cm_refresh_end_question(). */
CM_MUST_USE enum cm_err cm_refresh_begin_question(struct cm_refresh_run *run, X509 *cert, struct cm_question *q);
void cm_refresh_end_question(struct cm_question *q);
/* Hand it to the keeper, where there is one; a failure is a warning. */
void cm_refresh_keep(struct cm_refresh_run *run, const struct cm_evidence *e);

#endif /* CM_TRUST_REFRESH_INTERNAL_H */
