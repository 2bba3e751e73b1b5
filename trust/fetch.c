/* trust/fetch.c - one answer over HTTP, within a deadline and a size. */
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trust/trust_internal.h"

#define REDIRECTS_MAX	3L

struct sink {
	struct cm_buf *out;		/* or: */
	struct cm_fetched *into;
	size_t len, max;
	bool over, moved;
	int err;			/* errno of writing to the file */
};

/* Where the disk is full, memory has room yet. */
static bool
move_to_memory(struct cm_fetched *f)
{
	const int fd = memfd_create("cardmap-answer", MFD_CLOEXEC);
	off_t from = 0;
	struct stat st;
	bool ok = fd >= 0 && fstat(f->fd, &st) == 0;

	while (ok && from < st.st_size)
		ok = sendfile(fd, f->fd, &from, (size_t)(st.st_size - from)) > 0;
	ok = ok && dup3(fd, f->fd, O_CLOEXEC) >= 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

static bool
write_file(struct sink *s, const char *p, size_t len)
{
	while (len > 0) {
		const ssize_t n = write(s->into->fd, p, len);

		if (n < 0 && (errno == EINTR || ((errno == ENOSPC || errno == EDQUOT) && !s->moved &&
		    (s->moved = move_to_memory(s->into)))))
			continue;
		if (n <= 0) {
			s->err = n < 0 ? errno : ENOSPC;
			return false;
		}
		p += n;
		len -= (size_t)n;
	}
	return true;
}

/* What the server announces is not what it sends: the limit is held here. */
static size_t
write_answer(char *p, size_t size, size_t count, void *arg)
{
	struct sink *s = arg;

	if (count * size > s->max - s->len) {
		s->over = true;
		return 0;
	}
	s->len += count * size;
	if (s->into != NULL)
		return write_file(s, p, count * size) ? count * size : 0;
	cm_buf_add(s->out, p, count * size);
	return cm_buf_status(s->out) == CM_OK ? count * size : 0;
}

bool
cm_fetch_can(const char *url)
{
	return strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0;
}

static bool
set_limits(CURL *curl, const struct cm_fetch *f, long ms)
{
	bool ok = true;

#define SET(option, value) ok = ok && curl_easy_setopt(curl, CURLOPT_##option, value) == CURLE_OK
	SET(TIMEOUT_MS, ms);
	SET(CONNECTTIMEOUT_MS, ms);
	SET(NOSIGNAL, 1L);
	/* Else a resolver that never answers is waited for after the time is over. */
	SET(QUICK_EXIT, 1L);
	SET(MAXFILESIZE_LARGE, (curl_off_t)f->max);
	SET(PROTOCOLS_STR, "http,https");
	SET(REDIR_PROTOCOLS_STR, "http,https");
	/* A redirected POST becomes a GET that no responder understands. */
	SET(FOLLOWLOCATION, f->body.len > 0 ? 0L : 1L);
	SET(MAXREDIRS, REDIRECTS_MAX);
	/* The environment may be that of the person who asks to be let in. */
	SET(PROXY, "");
	return ok;
}

static bool
set_request(CURL *curl, const struct cm_fetch *f, struct curl_slist **headers, struct sink *sink)
{
	struct curl_blob ca = { (void *)(uintptr_t)f->anchors.ptr, f->anchors.len, CURL_BLOB_NOCOPY };
	bool ok = true;

	SET(URL, f->url);
	SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(USERAGENT, "cardmap/" CM_VERSION);
	SET(FAILONERROR, 1L);
	/* The answer is signed; still, an https server must be one of ours, not of the web's. */
	SET(CAINFO_BLOB, &ca);
	SET(CAPATH, NULL);
	SET(WRITEFUNCTION, write_answer);
	SET(WRITEDATA, sink);
	if (f->body.len == 0)
		return ok;
	*headers = curl_slist_append(NULL, f->type);
	SET(HTTPHEADER, *headers);
	SET(POSTFIELDSIZE, (long)f->body.len);
	SET(POSTFIELDS, (const char *)f->body.ptr);
	return ok && *headers != NULL;
#undef SET
}

static void
explain(CURLcode rc, long status, const struct sink *s, long ms, struct cm_buf *why)
{
	if (s->over || rc == CURLE_FILESIZE_EXCEEDED)
		cm_buf_addf(why, "the answer is larger than %zu bytes", s->max);
	else if (s->err != 0)
		cm_buf_addf(why, "the answer cannot be written to a file: %s", strerror(s->err));
	else if (rc == CURLE_OPERATION_TIMEDOUT && s->len > 0)
		cm_buf_addf(why, "not the whole answer within %ld ms", ms);
	else if (rc == CURLE_OPERATION_TIMEDOUT)
		cm_buf_addf(why, "no answer within %ld ms", ms);
	else if (rc == CURLE_HTTP_RETURNED_ERROR || (rc == CURLE_OK && status != 0))
		cm_buf_addf(why, "HTTP status %ld", status);
	else
		cm_buf_add_str(why, curl_easy_strerror(rc));
}

static void
keep_header(CURL *curl, const char *name, char *to, size_t size)
{
	struct curl_header *h;

	to[0] = '\0';
	if (curl_easy_header(curl, name, 0, CURLH_HEADER, -1, &h) == CURLHE_OK && strlen(h->value) < size)
		snprintf(to, size, "%s", h->value);
}

static enum cm_err
perform(CURL *curl, const struct cm_fetch *f, struct curl_slist **headers, struct cm_buf *out,
    struct cm_buf *why)
{
	struct sink sink = { .out = out, .into = f->into, .max = f->max };
	const long ms = cm_deadline_left(f->deadline);
	long status = 0;
	CURLcode rc;

	if (ms == 0) {	/* to curl, 0 is for ever */
		cm_buf_add_str(why, "not asked: no time was left");
		return CM_ERR_OFFLINE;
	}
	if (!set_limits(curl, f, ms) || !set_request(curl, f, headers, &sink)) {
		cm_buf_add_str(why, "this address cannot be asked");
		return CM_ERR_OFFLINE;
	}
	rc = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (rc == CURLE_OK && status == 200) {
		if (f->into != NULL) {
			keep_header(curl, "ETag", f->into->etag, sizeof(f->into->etag));
			keep_header(curl, "Last-Modified", f->into->modified, sizeof(f->into->modified));
		}
		return CM_OK;
	}
	explain(rc, status, &sink, ms, why);
	return CM_ERR_OFFLINE;
}

enum cm_err
cm_fetch(const struct cm_fetch *f, struct cm_buf *out, struct cm_buf *why)
{
	CURL *curl = curl_easy_init();
	struct curl_slist *headers = NULL;
	enum cm_err err;

	if (curl == NULL) {
		cm_buf_add_str(why, "out of memory");
		return CM_ERR_NOMEM;
	}
	err = perform(curl, f, &headers, out, why);
	curl_easy_cleanup(curl);
	curl_slist_free_all(headers);
	return err;
}
