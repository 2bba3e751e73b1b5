/* trust/inquiry_internal.h - an inquiry after revocation: who may know, who is asked, what was heard, what follows. */
#ifndef CM_TRUST_INQUIRY_INTERNAL_H
#define CM_TRUST_INQUIRY_INTERNAL_H

#include <pthread.h>

#include "trust/crl_internal.h"
#include "trust/fetch.h"

/* ---- decide.c: what follows from what was heard.  Pure: it asks nobody, and no clock. */

struct cm_heard {
	struct cm_evidence e;
	bool now;		/* a server said so while we asked: no clock of ours makes it older */
	bool asked;		/* or said to us, or to another login, that it still holds */
};

enum cm_decision {
	CM_DECIDED_UNASKED,	/* passes: off, chain */
	CM_DECIDED_GOOD,	/* passes: good and current, and young enough */
	CM_DECIDED_ENDED,	/* passes at soft with an age: good and young enough, and its end has come */
	CM_DECIDED_SOFT,	/* passes at soft: nobody says revoked, and nobody good */
	CM_DECIDED_REVOKED,	/* or on hold */
	CM_DECIDED_TOO_OLD,	/* good, but nobody said so for longer than max_age */
	CM_DECIDED_UNKNOWN,	/* nothing that counts says good */
};
bool cm_decision_passes(enum cm_decision d);

/* One certificate. */
struct cm_case {
	struct cm_trust_policy policy;
	const struct cm_known *known;	/* its clock and floor alone */
	int64_t undated_max;		/* seconds that an answer without nextUpdate counts */
	const struct cm_heard *heard;	/* all that is known of it, in any order */
	size_t count;
	/* out */
	const struct cm_heard *by;	/* what it stands on; where nothing counts, the newest that said good; NULL: nobody did */
	bool clock;			/* something said good that did not count because of this host's clock */
};
enum cm_decision cm_decide(struct cm_case *c);
/* Is nothing missing at this policy: somebody says good, is current, young enough, and need not be asked again? */
bool cm_decide_suffices(struct cm_case *c);
/* Seconds since a source last said so, as far as now tells. */
int64_t cm_decide_age(const struct cm_case *c, const struct cm_heard *h);

/* ---- One inquiry. */

#define CM_HEDGE	6	/* the other kind of source is asked too after this part of the time */

/* A certificate that is asked about. */
struct cm_asked {
	X509 *cert, *issuer;		/* borrowed */
	size_t number;			/* in the chain: 0 is the leaf */
	struct cm_evidence name;	/* issuer_key and serial alone */
	struct cm_heard *heard;		/* owned; all that is known of it */
	size_t count;
	bool missing;			/* at the strictest policy, when the inquiry began */
	bool has_source;		/* somebody could be asked, or a file be read */
	bool other_kind;		/* both kinds of sources are asked */
	struct cm_buf failures;		/* who did not say, and why: for people */
	struct cm_buf kept_failure;	/* the same of what is kept */
};

/*
 * Addresses that are asked in turn: of one list, or all responders.  A probe
 * is a lane of one address, for whose answer nobody waits but who would be
 * refused without it, and not for long.
 */
enum cm_lane_state {
	CM_LANE_PLANNED,
	CM_LANE_FOLLOWS,	/* the same address is being asked in another lane */
	CM_LANE_LOCKED,		/* another login is asking it */
	CM_LANE_ASKED,
	CM_LANE_DONE,
};
struct cm_lane {
	struct cm_lane *next;
	enum cm_source_kind kind;
	struct cm_asked *about;		/* borrowed: whose lane it is */
	char **urls;			/* owned; base/list.h */
	size_t url_count;
	size_t at;			/* the one that is its turn */
	bool probe;
	enum cm_lane_state state;
	cm_deadline until;		/* for this address */
	int64_t begun_us;		/* when it was its turn */
	int flight;			/* the lock that says who asks, or -1 */
	bool waited;			/* for another login, which asked the same */
	cm_deadline patience;		/* until when it is waited for */
	struct cm_ocsp_request *request;	/* owned */
	struct cm_buf url, answer;	/* of a GET; what came */
	struct cm_crl_coming *coming;	/* owned */
	struct cm_fetch fetch;
	/* For lanes that follow: what became of the address that was asked last. */
	char *asked_url;		/* owned; NULL: none yet */
	bool arrived;			/* a list came, whatever it says */
	enum cm_objection objection;
	struct cm_buf why;
};

struct cm_source_state {
	struct cm_source_state *next;
	struct cm_source s;
	const struct cm_asked *about;	/* borrowed: of whose issuer's key it is */
	bool changed;			/* to be handed to the keeper */
};

/*
 * Until thread runs, all is its maker's.  Then all is the thread's, but what
 * has to be locked: heard, failures, trace, signed_time, clock and err may be read by
 * the maker once it has closed the inquiry, and are not written after that.
 */
struct cm_inquiry {
	struct cm_trust *trust;		/* borrowed, as the next two */
	struct cm_verdict *v;
	const struct cm_known *known;
	struct cm_trust_policy policy;	/* the strictest */
	cm_deadline deadline;
	int64_t length;			/* ms that it was given */
	struct cm_asked *certs;		/* owned */
	size_t count;
	struct cm_lane *lanes;		/* owned */
	struct cm_source_state *sources;	/* owned */
	struct cm_crl_index *lists;	/* owned: that came in this round */
	struct cm_evidence *to_keep;	/* owned; to be handed to the keeper */
	size_t to_keep_count;
	struct cm_trace *trace;		/* owned; one stage, open */
	time_t signed_time;
	bool clock;			/* something kept did not count because of this host's clock */
	enum cm_err err;		/* CM_ERR_NOMEM: an answer was lost, which may have been "revoked"; nothing is judged then */

	struct cm_fetcher *fetcher;	/* owned; NULL: nobody is asked */
	pthread_t thread;
	bool runs;			/* the thread has to be joined */
	pthread_mutex_t lock;
	pthread_cond_t closing;
	bool closed;			/* locked: what is known is what is judged */
	bool ending;			/* locked: let go of everybody */
	bool probes_only;		/* locked: of nobody else an answer is waited for */
	cm_deadline hedge;		/* when the other kind is asked too */
};


/* hear.c: what was said, and what is known without asking anybody. */
struct cm_asking {		/* a question and what belongs to it */
	const char *key;	/* in the trace */
	struct cm_question q;
	struct cm_buf warning;
};
void cm_asking_begin(struct cm_asking *k, struct cm_inquiry *i, const struct cm_asked *a);
/* "OCSP http://...": for people. */
void cm_asking_source(struct cm_asking *k, enum cm_source_kind kind, const char *url);
void cm_asking_end(struct cm_asking *k);
/* What came of it goes to the trace, and to what was heard or to the failures, unless the inquiry is closed. */
void cm_inquiry_tell(struct cm_inquiry *i, struct cm_asked *a, struct cm_asking *k, enum cm_status status);
void cm_inquiry_hear_known(struct cm_inquiry *i, struct cm_asked *a);	/* kept evidence */
/* That, files and lists that are here. */
void cm_inquiry_hear_kept(struct cm_inquiry *i, struct cm_asked *a);
/* What all lists that are here say of it together; not told yet.  url: where one came from now, or NULL. */
enum cm_status cm_inquiry_ask_lists(struct cm_inquiry *i, struct cm_asked *a, struct cm_asking *k, const char *url);
/* Nothing is missing: at the strictest policy, and what has to be asked was. */
bool cm_inquiry_satisfied(const struct cm_inquiry *i, const struct cm_asked *a);
bool cm_inquiry_revoked(const struct cm_inquiry *i, const struct cm_asked *a);
void cm_inquiry_case(const struct cm_inquiry *i, const struct cm_asked *a, struct cm_case *c);

/* plan.c: who may know. */
CM_MUST_USE enum cm_err cm_inquiry_plan(struct cm_inquiry *i, struct cm_asked *a);
/* Where changes are to be had, once a list is here.  Adds lanes. */
CM_MUST_USE enum cm_err cm_inquiry_plan_changes(struct cm_inquiry *i, struct cm_asked *a);
struct cm_lane *cm_inquiry_add_probe(struct cm_inquiry *i, const struct cm_lane *of, const char *url);	/* NULL: out of memory */
void cm_lane_free(struct cm_lane **l);
/* How it stands with the source; made where it is not known yet.  NULL: out of memory, or too long an address. */
struct cm_source_state *cm_source_of(struct cm_inquiry *i, const struct cm_lane *l, const char *url);

/* lane.c: one lane. */
void cm_lane_begin(struct cm_inquiry *i, struct cm_lane *l);
void cm_lane_look(struct cm_inquiry *i, struct cm_lane *l);	/* is it its turn now?  Where it waits for another. */
void cm_lane_arrived(struct cm_inquiry *i, struct cm_lane *l);
void cm_lane_stop(struct cm_inquiry *i, struct cm_lane *l, bool late);	/* late: its time is over */

/* ask.c: the thread. */
void *cm_inquiry_run(void *inquiry);

/* flight.c: the same question of several logins is sent once. */
enum cm_flight { CM_FLIGHT_OURS, CM_FLIGHT_TAKEN, CM_FLIGHT_NONE };	/* NONE: no folder to tell each other by, or who asks stands still */
enum cm_flight cm_flight_take(const struct cm_inquiry *i, struct cm_lane *l);
void cm_flight_release(const struct cm_inquiry *i, struct cm_lane *l);

#endif /* CM_TRUST_INQUIRY_INTERNAL_H */
