/* tests/trust/web.h - a small HTTP server in threads, that answers as a test says. */
#ifndef CM_TESTS_TRUST_WEB_H
#define CM_TESTS_TRUST_WEB_H

#include <pthread.h>
#include <stdatomic.h>

#include "tests/trust/fixture.h"

enum web_mode {
	WEB_OCSP,		/* the answer of .answer to the request */
	WEB_BYTES,		/* .bytes, as they are; with .etag or .modified also as conditions and ranges want them */
	WEB_STATUS,		/* .status and no body */
	WEB_SILENT,		/* takes the request, never answers */
	WEB_DRIP,		/* .status, or 200, and a byte now and then, without end */
	WEB_DRIP_HEAD,		/* so already in its header */
	WEB_HUGE,		/* 42 MB, announced */
	WEB_ENDLESS,		/* 42 MB, not announced */
	WEB_HEADERS,		/* header lines without end */
	WEB_LINE,		/* one header line without end */
	WEB_CHUNK,		/* a chunk whose head has no end */
	WEB_SHORT,		/* ends before the announced length */
	WEB_CLOSE,		/* takes the request, ends the connection */
	WEB_RAW,		/* .bytes, with no head of ours; then the end */
	WEB_REDIRECT,		/* .status, or 302, to .location, with a page of .len octets */
};

/* What a 206 is like. */
enum web_range {
	WEB_RANGE_RIGHT,
	WEB_RANGE_NONE,		/* no ranges here: 200 */
	WEB_RANGE_UNNAMED,	/* no Content-Range */
	WEB_RANGE_OTHER,	/* it begins elsewhere */
	WEB_RANGE_CUT,		/* it ends before the end */
	WEB_RANGE_TOTAL,	/* its total is smaller than its end */
	WEB_RANGE_MORE,		/* more comes than was said, in chunks */
	WEB_RANGE_LESS,		/* less, in chunks */
	WEB_RANGE_ETAG,		/* of something else */
	WEB_RANGE_REFUSED,	/* 416 */
};

/* How octets go over a connection; a test that wants TLS brings its own. */
struct web;
struct web_wire {
	void *(*open)(struct web *w, int fd);	/* NULL: no connection comes about */
	long (*receive)(void *c, void *p, size_t len);
	long (*send)(void *c, const void *p, size_t len);
	void (*close)(void *c);			/* fd stays */
};

#define WEB_CONNECTIONS_MAX	64

struct web {
	enum web_mode mode;
	struct answer answer;
	const uint8_t *bytes;
	size_t len;
	size_t sent;			/* of bytes, before the connection ends; 0: all */
	int status;
	const char *location;
	const char *host;		/* NULL: 127.0.0.1 */
	const char *etag, *modified;	/* of bytes; NULL: none */
	enum web_range range;
	const char *head;		/* header lines beside, each with its CR LF */
	unsigned gather;		/* nobody is answered before so many requests have come */
	const struct web_wire *wire;	/* NULL: plain TCP */
	void *wire_arg;
	/* from here on the server's */
	char url[64];
	atomic_uint asked;		/* requests that came */
	atomic_uint connections;
	char request[8192];		/* the last one's head, to be read when it has been answered */
	int fd;
	pthread_t thread;
	pthread_mutex_t lock;		/* of what follows */
	pthread_cond_t gathered;
	bool stopping;
	struct web_connection {
		struct web *web;
		pthread_t thread;
		int fd;
	} conns[WEB_CONNECTIONS_MAX];
	size_t count;
};

/* Listen on a free port; what the test set stays as it was. */
void web_start(struct web *w);
void web_stop(struct web *w);

/* One question alone, to its end. */
struct cm_fetch;
void web_fetch(struct cm_fetch *f);

#endif
