/* trust/fetch_internal.h - what the files of the fetcher share: one exchange, and what an HTTP head says. */
#ifndef CM_TRUST_FETCH_INTERNAL_H
#define CM_TRUST_FETCH_INTERNAL_H

#include <curl/curl.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "trust/fetch.h"

/* Redirects followed, octets of all header lines of one answer, octets of a redirect's own page that are read past. */
#define CM_FETCH_REDIRECTS_MAX	3
#define CM_FETCH_HEAD_MAX	65536
#define CM_FETCH_PAGE_MAX	4096

/* ---- fetch_http.c: what we read ourselves. */

/* RFC 9110 14.4, "bytes FIRST-LAST/TOTAL": whole, with LAST < TOTAL.  false: anything else, a total that is not told too. */
struct cm_http_range {
	uint64_t first, last, total;
};
bool cm_http_range(const char *value, struct cm_http_range *out);

/* RFC 9111 4.2, in a cache of one's own.  Values of header lines, of one name joined by commas; NULL: not there. */
struct cm_http_life {
	const char *cache_control, *age, *expires, *date;
	time_t now;			/* where there is no date */
};
long cm_http_fresh_for(const struct cm_http_life *l);	/* seconds, at least 0; -1: not said */

/* RFC 9110 8.8.3: an entity-tag, a strong one.  Nothing else may go into a request, or be gone on with. */
bool cm_http_etag(const char *value);
bool cm_http_strong_etag(const char *value);

/*
 * RFC 9110 10.2.2: where Location leads from url.
 * CM_ERR_SYNTAX   it is no address, or one that is not followed: why says so
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_http_follow(const char *url, const char *location, struct cm_buf *to,
    struct cm_buf *why);
bool cm_http_same_host(const char *a, const char *b);	/* of two URLs; false also when one is none */
bool cm_http_is_named(const char *url);	/* by a name that has to be looked up, which localhost has not */
void cm_http_authority(const char *url, struct cm_buf *out);	/* "host", "host:port"; for people */

/* Loopback, link-local, private, and all else that is not the public network's; in IPv6 also where IPv4 is wrapped in it. */
bool cm_address_is_private(const struct sockaddr *a);
bool cm_address_text_is_private(const char *text);
/* Of these, those of this computer and its link: loopback, link-local; what is no address too. */
bool cm_address_is_own(const struct sockaddr *a);
bool cm_address_text_is_own(const char *text);

/* ---- fetch_socket.c: connections. */

struct cm_transfer;
/* Those of a fetcher that are open; curl's. */
struct cm_sockets {
	int fds[256];
	size_t count;
};
/* Addresses are judged, octets counted.  false: curl refuses. */
bool cm_sockets_watch(struct cm_transfer *t);

/* ---- fetch_transfer.c: one question, through its redirects. */

struct cm_transfer {
	struct cm_transfer *next;	/* the fetcher's list */
	const struct cm_fetcher_options *o;
	struct cm_sockets *sockets;	/* the fetcher's */
	struct cm_fetch *f;		/* the asker's */
	int64_t since;			/* cm_clock_us() */
	long ms;			/* that it was given */
	CURL *curl;			/* NULL: it is not HTTP, but: */
	struct cm_ldap_question *ldap;	/* NULL: not begun, or through */
	struct curl_slist *headers;
	struct cm_buf url, host;	/* asked now */
	struct cm_buf location;		/* to be asked next */
	bool judged;			/* only a public address may be connected to */
	bool not_own;			/* none of this computer's own may be */
	bool inside, own;		/* the host first asked has a private one itself, one of this computer's own */
	bool ranged;			/* goes on with a part */
	bool again;			/* the part was of no use: once more, from the beginning */
	bool named, sent, answered, headed, begun;	/* how far the exchange came */
	bool moved;			/* from the file into memory */
	char detail[CURL_ERROR_SIZE];	/* what curl has to say */
	size_t head, page;		/* octets of header lines; of what is read past */
	int fd;				/* curl's connection, once it is sent; -1: not known */
	uint64_t before;		/* octets that had come over it by then */
	uint64_t here, until;		/* octets of the answer; all of it, 0: not known */
};
bool cm_fetch_is_http(const char *url);
/* NULL: out of memory. */
struct cm_transfer *cm_transfer_new(const struct cm_fetcher_options *o, struct cm_sockets *sockets, struct cm_fetch *f);
void cm_transfer_free(struct cm_transfer **t);
/* Make ready for the first exchange, or the next.  false: it ends here, with its objection. */
bool cm_transfer_prepare(struct cm_transfer *t);
/* curl is through with it.  true: there is another exchange, to be prepared. */
bool cm_transfer_goes_on(struct cm_transfer *t, CURLcode rc);
/* ---- fetch_objection.c: why its answer does not count; the first that is said holds. */

void cm_transfer_object(struct cm_transfer *t, enum cm_objection o, const char *fmt, ...) CM_PRINTF(3, 4);
void cm_transfer_object_to_size(struct cm_transfer *t, uint64_t announced);	/* 0: it was not */
void cm_transfer_object_to(struct cm_transfer *t, CURLcode rc);	/* what curl says, which is not CURLE_OK */

/* ---- fetch_sink.c: where the answer goes. */

void cm_sink_begin(struct cm_transfer *t, uint64_t at);	/* what is there from octet at on goes */
bool cm_sink_write(struct cm_transfer *t, const void *p, size_t len);	/* false: its objection is set */

/* ---- fetch_ldap.c: cm_ldap_fetch() in a thread. */

bool cm_ldap_question_start(struct cm_transfer *t, CURLM *multi);	/* false: no memory, no descriptors, no threads */
bool cm_ldap_question_through(const struct cm_transfer *t);
void cm_ldap_question_collect(struct cm_transfer *t);	/* what it had is the transfer's; it is freed */
void cm_ldap_question_free(struct cm_ldap_question **q);	/* lets go of what is still asked, and waits for that, which is at once */

#endif /* CM_TRUST_FETCH_INTERNAL_H */
