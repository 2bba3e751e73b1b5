/* service/refresh_internal.h - the issuers of one refresh, as both its files see them. */
#ifndef CM_SERVICE_REFRESH_INTERNAL_H
#define CM_SERVICE_REFRESH_INTERNAL_H

#include "service/refresh.h"

/* One issuer.  All owned. */
struct cm_refresh_job {
	uint8_t *der;
	size_t der_len;
	uint8_t key[32];
	char *subject;
	bool signs_lists;
	struct cm_source *sources;
	size_t source_count;
	struct cm_blob *certs;		/* each ptr owned */
	size_t cert_count;

	/* of the run */
	struct cm_refresh_progress {
		char *url;
		uint64_t done, total;
	} *progress;
	size_t progress_count;
	enum cm_err err;
	enum cm_reason reason;
	char *why, *warning;
	time_t next;
};
struct cm_refresh_jobs {
	struct cm_refresh_job *jobs;
	size_t count;
};

/*
 * refresh_jobs.c: whom to ask what about.  known is what the host knows.
 * CM_ERR_ABSENT  NO_SUCH_ISSUER
 */
CM_MUST_USE enum cm_err cm_refresh_collect(const struct cm_refreshing *r, const struct cm_known *known,
    struct cm_trace *t, struct cm_refresh_jobs *out);
void cm_refresh_jobs_free(struct cm_refresh_jobs *j);

#endif /* CM_SERVICE_REFRESH_INTERNAL_H */
