/* tests/trust/web.h - a small HTTP server in a thread, that answers as a test says. */
#ifndef CM_TESTS_TRUST_WEB_H
#define CM_TESTS_TRUST_WEB_H

#include <pthread.h>
#include <stdatomic.h>

#include "tests/trust/fixture.h"

enum web_mode {
	WEB_OCSP,		/* the answer of .answer to the request */
	WEB_BYTES,		/* .bytes, as they are */
	WEB_STATUS,		/* .status and no body */
	WEB_SILENT,		/* takes the request, never answers */
	WEB_DRIP,		/* a byte now and then, without end */
	WEB_HUGE,		/* 42 MB, announced */
	WEB_ENDLESS,		/* 42 MB, not announced */
	WEB_SHORT,		/* ends before the announced length */
	WEB_REDIRECT,		/* 302 to .location */
};

struct web {
	enum web_mode mode;
	struct answer answer;
	const uint8_t *bytes;
	size_t len;
	int status;
	const char *location;
	/* from here on the server's */
	char url[64];
	atomic_uint asked;	/* requests that came */
	int fd;
	pthread_t thread;
};

/* Listen on a free port of 127.0.0.1; what the test set stays as it was. */
void web_start(struct web *w);
void web_stop(struct web *w);

#endif
