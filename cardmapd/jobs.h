/* cardmapd/jobs.h - calls that take their time: each in a thread, with its client's wire. */
#ifndef CM_CARDMAPD_JOBS_H
#define CM_CARDMAPD_JOBS_H

#include "cardmapd/clients.h"

#define CM_JOBS_MAX	8
#define CM_JOB_SEND_MS	10000	/* a client that does not read its answer for so long is let go */

/* In the thread: answer through turn within CM_JOB_SEND_MS of each send. */
typedef enum cm_err (*cm_job)(struct cm_daemon *d, struct cm_varlink_turn *turn, json_t *parameters);

struct cm_jobs;
CM_MUST_USE enum cm_err cm_jobs_new(struct cm_daemon *d, struct cm_jobs **out);
/* Waits for those that run. */
void cm_jobs_free(struct cm_jobs **j);
/* Lend r's client to a thread that runs job with parameters (given; NULL: the call's); too many run: the client is told Busy. */
CM_MUST_USE enum cm_err cm_jobs_run(struct cm_jobs *j, struct cm_varlink_request *r, cm_job job, json_t *parameters);
/* Main thread: take back the clients of those that have ended. */
void cm_jobs_look(struct cm_jobs *j);

#endif /* CM_CARDMAPD_JOBS_H */
