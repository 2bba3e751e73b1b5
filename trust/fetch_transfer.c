/* trust/fetch_transfer.c - one question over HTTP: what is sent, what its answer's head means, where it goes on. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "trust/fetch_internal.h"

static bool
holds(const char *text)
{
	return text != NULL && text[0] != '\0';
}

/* ---- the head of the answer */

static long
status_of(const struct cm_transfer *t)
{
	long status = 0;

	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	return status;
}

/* The value of the last line of this name, or NULL. */
static const char *
line(const struct cm_transfer *t, const char *name)
{
	struct curl_header *h;

	if (curl_easy_header(t->curl, name, 0, CURLH_HEADER, -1, &h) != CURLHE_OK)
		return NULL;
	/* An empty value has kept its CR. */
	return h->value[0] == '\r' ? "" : h->value;
}

/* All lines of this name as one (RFC 9110 5.3). */
static void
lines(const struct cm_transfer *t, const char *name, struct cm_buf *out)
{
	struct curl_header *h;

	for (size_t i = 0; curl_easy_header(t->curl, name, i, CURLH_HEADER, -1, &h) == CURLHE_OK; i++)
		cm_buf_addf(out, "%s%s", i > 0 ? ", " : "", h->value);
}

static void
keep(const char *value, char *to, size_t size)
{
	if (value != NULL && strlen(value) < size)
		snprintf(to, size, "%s", value);
	else
		to[0] = '\0';
}

static void
read_life(struct cm_transfer *t)
{
	struct cm_buf control = { .max = CM_FETCH_HEAD_MAX };
	struct cm_http_life life = { .now = cm_clock_now() };

	lines(t, "Cache-Control", &control);
	life.cache_control = control.len > 0 ? cm_buf_str(&control) : NULL;
	life.age = line(t, "Age");
	life.expires = line(t, "Expires");
	life.date = line(t, "Date");
	t->f->max_age = cm_http_fresh_for(&life);
	cm_buf_free(&control);
}

static void
read_validators(struct cm_transfer *t)
{
	const char *etag = line(t, "ETag");

	keep(cm_http_etag(etag) ? etag : NULL, t->f->new_etag, sizeof(t->f->new_etag));
	keep(line(t, "Last-Modified"), t->f->new_modified, sizeof(t->f->new_modified));
}

/* MAXFILESIZE of curl's would do it earlier, but for the pages of redirects and errors too, which are not read. */
static void
begin_whole(struct cm_transfer *t)
{
	curl_off_t announced = -1;

	curl_easy_getinfo(t->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &announced);
	if (announced > 0)
		t->f->total = (uint64_t)announced;
	if (t->f->total > t->f->max)
		cm_transfer_object_to_size(t, t->f->total);
	else
		cm_sink_begin(t, 0);
}

/* The part that is here is of no use any more. */
static void
give_up_part(struct cm_transfer *t, const char *why)
{
	cm_transfer_object(t, CM_OBJECTION_BROKEN_ANSWER, "the download cannot go on where it broke off: %s; "
	    "it begins anew next time", why);
	cm_sink_begin(t, 0);
}

/* RFC 9110 15.3.7: what was asked for, of the very list that the part is of, up to its end. */
static void
begin_rest(struct cm_transfer *t)
{
	const char *range = line(t, "Content-Range"), *etag = line(t, "ETag");
	struct cm_http_range r;

	if (range == NULL || !cm_http_range(range, &r))
		give_up_part(t, "the server does not say which part it sends");
	else if (r.first != t->f->have || r.last != r.total - 1)
		give_up_part(t, "the server sends another part than it was asked for");
	else if (etag != NULL && strcmp(etag, t->f->part_etag) != 0)
		give_up_part(t, "the server sends a part of something else (another ETag)");
	else if (r.total > t->f->max)
		cm_transfer_object_to_size(t, r.total);
	else {
		t->f->total = t->until = r.total;
		cm_sink_begin(t, r.first);
	}
}

static void
begin_redirect(struct cm_transfer *t)
{
	const char *to = line(t, "Location");

	if (!holds(to))
		cm_transfer_object(t, CM_OBJECTION_HTTP_STATUS, "HTTP status %ld, and no address to go to",
		    status_of(t));
	else
		cm_buf_add_str(&t->location, to);
}

static void
object_to_status(struct cm_transfer *t)
{
	cm_transfer_object(t, CM_OBJECTION_HTTP_STATUS, "HTTP status %ld from %s", status_of(t), cm_buf_str(&t->host));
}

static void
begin_answer(struct cm_transfer *t)
{
	const char *coding = line(t, "Content-Encoding");
	const long status = status_of(t);

	if (status == 200 || status == 206 || status == 304) {
		read_life(t);
		read_validators(t);
	}
	if ((status == 200 || status == 206) && coding != NULL && strcasecmp(coding, "identity") != 0)
		cm_transfer_object(t, CM_OBJECTION_BROKEN_ANSWER,
		    "the answer is packed (Content-Encoding: %.32s), which was not asked for", coding);
	else if (status == 200)
		begin_whole(t);
	else if (status == 206 && t->ranged)
		begin_rest(t);
	else if (status == 304 && (holds(t->f->etag) || holds(t->f->modified)))
		t->f->not_modified = true;
	else if (status == 416 && t->ranged)
		t->again = true;
	else if (status == 301 || status == 302 || status == 303 || status == 307 || status == 308)
		begin_redirect(t);
	else
		object_to_status(t);
}

/* Once, when its head is there. */
static bool
begin(struct cm_transfer *t)
{
	if (!t->begun) {
		t->begun = true;
		begin_answer(t);
	}
	return t->f->objection == CM_OBJECTION_NONE;
}

/* ---- what curl calls */

/* An error is known by its head: its page is not waited for, and where there is none the connection stays. */
static bool
ends_with_head(struct cm_transfer *t)
{
	const char *length = line(t, "Content-Length");

	if (status_of(t) < 400)
		return false;
	begin(t);
	return length == NULL || strcmp(length, "0") != 0;
}

static size_t
take_head(char *p, size_t size, size_t count, void *arg)
{
	struct cm_transfer *t = arg;

	t->answered = true;
	t->head += size * count;
	if (t->head > CM_FETCH_HEAD_MAX) {
		cm_transfer_object(t, CM_OBJECTION_TOO_LARGE, "the answer's header is larger than %d bytes", CM_FETCH_HEAD_MAX);
		return CURL_WRITEFUNC_ERROR;
	}
	/* The empty line; what 1xx ends is not the answer's. */
	if ((p[0] == '\r' || p[0] == '\n') && status_of(t) >= 200 && !t->headed) {
		t->headed = true;
		if (ends_with_head(t))
			return CURL_WRITEFUNC_ERROR;
	}
	return size * count;
}

static bool
take_answer(struct cm_transfer *t, const char *p, size_t len)
{
	/* What the server announces is not what it sends: the limit is held here. */
	if (len > t->f->max - t->here) {
		cm_transfer_object_to_size(t, 0);
		return false;
	}
	if (t->until > 0 && len > t->until - t->here) {
		give_up_part(t, "more came than was announced");
		return false;
	}
	t->here += len;
	if (!cm_sink_write(t, p, len))
		return false;
	if (t->o->progress != NULL)
		t->o->progress(t->o->arg, t->f);
	return true;
}

static size_t
take_body(char *p, size_t size, size_t count, void *arg)
{
	struct cm_transfer *t = arg;
	const size_t len = size * count;
	bool ok;

	if (!begin(t))
		return CURL_WRITEFUNC_ERROR;
	if (t->location.len > 0 || t->again || t->f->not_modified) {
		ok = (t->page += len) <= CM_FETCH_PAGE_MAX;
	} else {
		t->f->bytes += len;
		ok = take_answer(t, p, len);
	}
	return ok ? len : CURL_WRITEFUNC_ERROR;
}

/* ---- the request */

#define SET(option, value) ok = ok && curl_easy_setopt(t->curl, CURLOPT_##option, value) == CURLE_OK

static bool
set_limits(struct cm_transfer *t, long ms)
{
	bool ok = true;

	SET(TIMEOUT_MS, ms);
	SET(CONNECTTIMEOUT_MS, ms);
	SET(NOSIGNAL, 1L);
	/* Else a resolver that never answers is waited for after the time is over. */
	SET(QUICK_EXIT, 1L);
	SET(PROTOCOLS_STR, "http,https");
	SET(FOLLOWLOCATION, 0L);
	/* The environment may be that of the person who asks to be let in. */
	SET(PROXY, "");
	SET(WRITEFUNCTION, take_body);
	SET(WRITEDATA, t);
	SET(HEADERFUNCTION, take_head);
	SET(HEADERDATA, t);
	return ok && cm_sockets_watch(t);
}

static bool
add_header(struct cm_transfer *t, const char *name, const char *value)
{
	struct cm_buf text = { 0 };
	struct curl_slist *more = NULL;

	cm_buf_addf(&text, "%s: %s", name, value);
	if (cm_buf_status(&text) == CM_OK)
		more = curl_slist_append(t->headers, cm_buf_str(&text));
	cm_buf_free(&text);
	if (more != NULL)
		t->headers = more;
	return more != NULL;
}

/* RFC 9110 13.1, 13.1.5, 14.2 */
static bool
set_conditions(struct cm_transfer *t)
{
	const struct cm_fetch *f = t->f;
	char range[48];
	bool ok = true;

	if (f->body.len > 0)
		return add_header(t, "Content-Type", f->type);
	if (cm_http_etag(f->etag))
		ok = add_header(t, "If-None-Match", f->etag);
	if (holds(f->modified) && f->modified[strcspn(f->modified, "\r\n")] == '\0')
		ok = ok && add_header(t, "If-Modified-Since", f->modified);
	if (!t->ranged)
		return ok;
	snprintf(range, sizeof(range), "bytes=%llu-", (unsigned long long)f->have);
	return ok && add_header(t, "Range", range) && add_header(t, "If-Range", f->part_etag);
}

static bool
set_request(struct cm_transfer *t)
{
	struct curl_blob ca = { (void *)(uintptr_t)t->o->anchors.ptr, t->o->anchors.len, CURL_BLOB_NOCOPY };
	bool ok = true;

	SET(URL, cm_buf_str(&t->url));
	SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(USERAGENT, "cardmap/" CM_VERSION);
	/* The answer is signed; still, an https server must be one of ours, not of the web's. */
	SET(CAINFO_BLOB, &ca);
	SET(CAPATH, NULL);
	SET(PRIVATE, t);
	SET(ERRORBUFFER, t->detail);
	if (t->f->body.len > 0) {
		SET(POSTFIELDSIZE, (long)t->f->body.len);
		SET(POSTFIELDS, (const char *)t->f->body.ptr);
	}
	curl_slist_free_all(t->headers);
	t->headers = NULL;
	ok = ok && set_conditions(t);
	SET(HTTPHEADER, t->headers);
	return ok;
}
#undef SET

static bool
is_configured(const struct cm_transfer *t)
{
	for (size_t i = 0; i < CM_COUNT(t->o->configured); i++)
		for (const char *const *u = t->o->configured[i]; u != NULL && *u != NULL; u++)
			if (cm_http_same_host(*u, cm_buf_str(&t->url)))
				return true;
	return false;
}

/*
 * Whoever answers for a name may lead it elsewhere when it is looked up again:
 * it leads inwards where it did in the first place, or the configuration names
 * it; and to this computer itself in the first case only.
 */
static void
judge_redirect(struct cm_transfer *t, const char *url)
{
	const bool sent_on = t->f->redirects > 0 && !t->o->private_redirects;
	const bool back = sent_on && cm_http_same_host(t->f->url, url);

	t->judged = sent_on && !(t->inside && back) && !is_configured(t);
	t->not_own = sent_on && !(t->own && back) && cm_http_is_named(url);
}

bool
cm_transfer_prepare(struct cm_transfer *t)
{
	const long ms = cm_deadline_left(t->f->deadline);
	const char *url = cm_buf_str(&t->url);

	cm_http_authority(url, &t->host);
	judge_redirect(t, url);
	t->named = t->sent = t->answered = t->headed = t->begun = t->again = false;
	t->detail[0] = '\0';
	t->head = t->page = 0;
	t->f->total = t->until = t->here = 0;
	cm_buf_truncate(&t->location, 0);
	if (ms == 0)	/* to curl, 0 is for ever */
		cm_transfer_object(t, CM_OBJECTION_NO_TIME, "%s not asked: no time was left", cm_buf_str(&t->host));
	else if (t->curl != NULL && (!set_limits(t, ms) || !set_request(t)))
		cm_transfer_object(t, CM_OBJECTION_NOT_ASKABLE, "this address cannot be asked");
	return t->f->objection == CM_OBJECTION_NONE;
}

/* ---- what follows */

static bool
follow(struct cm_transfer *t)
{
	struct cm_buf to = { 0 }, why = { 0 };
	const char *location = cm_buf_str(&t->location);
	bool ok = false;

	if (t->f->body.len > 0)
		cm_transfer_object(t, CM_OBJECTION_REDIRECTED, "HTTP status %ld: it sent us on to %.256s, and a POST is not sent on",
		    status_of(t), location);
	else if (t->f->redirects >= CM_FETCH_REDIRECTS_MAX)
		cm_transfer_object(t, CM_OBJECTION_REDIRECTED, "it sent us on more than %d times, now to %.256s",
		    CM_FETCH_REDIRECTS_MAX, location);
	else if (cm_http_follow(cm_buf_str(&t->url), location, &to, &why) != CM_OK)
		cm_transfer_object(t, CM_OBJECTION_REDIRECTED, "HTTP status %ld: it sent us on to %.256s: %s", status_of(t),
		    location, cm_buf_str(&why));
	else {
		t->f->redirects++;
		cm_buf_truncate(&t->url, 0);
		cm_buf_add_blob(&t->url, cm_buf_blob(&to));
		ok = true;
	}
	cm_buf_free(&to);
	cm_buf_free(&why);
	return ok;
}

bool
cm_transfer_goes_on(struct cm_transfer *t, CURLcode rc)
{
	/* To curl, one that ends within its header is whole. */
	if (rc == CURLE_OK && !t->headed)
		rc = CURLE_PARTIAL_FILE;
	if (rc == CURLE_OK)
		begin(t);
	if (t->f->objection != CM_OBJECTION_NONE)
		return false;
	if (rc == CURLE_OPERATION_TIMEDOUT)
		cm_transfer_object_to(t, rc);
	else if (t->location.len > 0)
		return follow(t);
	else if (t->again) {	/* RFC 9110 15.5.17: the part is not of what is there now */
		t->ranged = false;
		cm_sink_begin(t, 0);
		return t->f->objection == CM_OBJECTION_NONE;
	}
	if (rc != CURLE_OK && !t->f->not_modified)
		cm_transfer_object_to(t, rc);
	else if (t->until > 0 && t->here < t->until)
		cm_transfer_object_to(t, CURLE_PARTIAL_FILE);
	return false;
}

/* ---- its life */

/* A part is gone on with where its ETag tells whether it is one of what is there now. */
static bool
has_part(const struct cm_fetch *f)
{
	struct stat st;

	return f->out == NULL && f->have > 0 && f->have < f->max && cm_http_strong_etag(f->part_etag) &&
	    fstat(f->fd, &st) == 0 && (uint64_t)st.st_size >= f->have;
}

struct cm_transfer *
cm_transfer_new(const struct cm_fetcher_options *o, struct cm_sockets *sockets, struct cm_fetch *f)
{
	struct cm_transfer *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->o = o;
	t->sockets = sockets;
	t->f = f;
	t->since = cm_clock_us();
	t->ms = cm_deadline_left(f->deadline);
	t->ranged = has_part(f);
	cm_buf_add_str(&t->url, f->url);
	t->location.max = CM_FETCH_HEAD_MAX;
	if ((cm_fetch_is_http(f->url) && (t->curl = curl_easy_init()) == NULL) || cm_buf_status(&t->url) != CM_OK)
		cm_transfer_free(&t);
	return t;
}

void
cm_transfer_free(struct cm_transfer **tp)
{
	struct cm_transfer *t = *tp;

	if (t == NULL)
		return;
	*tp = NULL;
	cm_ldap_question_free(&t->ldap);
	curl_easy_cleanup(t->curl);
	curl_slist_free_all(t->headers);
	cm_buf_free(&t->url);
	cm_buf_free(&t->host);
	cm_buf_free(&t->location);
	free(t);
}
