/* tests/trust/test_fetch.c - many questions at once: what comes, what does not count and why, how much is read. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/trust/web.h"
#include "trust/fetch.h"

/* What curl reads at once. */
#define BUFFER	16384
#define LONG	20000	/* ms: never waited for when all goes well */

static const struct cm_fetcher_options plain_options = { 0 };

static struct cm_fetcher *
fetcher(const struct cm_fetcher_options *o)
{
	struct cm_fetcher *f;

	assert_int_equal(cm_fetcher_new(o != NULL ? o : &plain_options, &f), CM_OK);
	return f;
}

static void
add(struct cm_fetcher *f, struct cm_fetch *one)
{
	if (one->max == 0)
		one->max = 1 << 20;
	if (one->deadline == 0)
		one->deadline = cm_deadline_in(LONG);
	assert_int_equal(cm_fetcher_add(f, one), CM_OK);
}

/* One question alone, to its end. */
static void
ask_with(const struct cm_fetcher_options *o, struct cm_fetch *one)
{
	struct cm_fetcher *f = fetcher(o);

	add(f, one);
	assert_ptr_equal(cm_fetcher_next(f, cm_deadline_in(LONG)), one);
	assert_null(cm_fetcher_next(f, cm_deadline_in(LONG)));
	cm_fetcher_free(&f);
}

static void
ask(struct cm_fetch *one)
{
	ask_with(NULL, one);
}

static void
expect(const char *name, const struct cm_fetch *f, enum cm_objection objection, const char *part)
{
	if (f->objection != objection)
		print_error("%s: %s: %s\n", name, cm_objection_name(f->objection), cm_buf_str(&f->why));
	assert_int_equal(f->objection, objection);
	assert_int_equal(f->why.len > 0, objection != CM_OBJECTION_NONE);
	if (part != NULL)
		assert_has(cm_buf_str(&f->why), part);
}

static void
forget(struct cm_fetch *f)
{
	if (f->out != NULL)
		cm_buf_free(f->out);
	cm_fetch_clear(f);
}

/* ---- what comes */

static void
an_answer(void **state)
{
	struct web w = { .mode = WEB_BYTES, .bytes = (const uint8_t *)"a\0list", .len = 6, .etag = "\"1\"",
	    .modified = "Sun, 06 Nov 1994 08:49:37 GMT", .head = "Cache-Control: max-age=60\r\nAge: 20\r\n" };
	struct cm_buf out = { 0 };
	struct cm_fetch f = { .url = w.url, .out = &out, .fd = -1 };

	(void)state;
	web_start(&w);
	ask(&f);
	expect("get", &f, CM_OBJECTION_NONE, NULL);
	assert_int_equal(out.len, 6);
	assert_memory_equal(out.ptr, "a\0list", 6);
	assert_string_equal(f.new_etag, "\"1\"");
	assert_string_equal(f.new_modified, "Sun, 06 Nov 1994 08:49:37 GMT");
	assert_int_equal(f.max_age, 40);
	assert_int_equal(f.bytes, 6);
	assert_int_equal(f.total, 6);
	assert_int_equal(f.connections, 1);
	assert_int_equal(f.redirects, 0);
	assert_true(f.us > 0 && f.us < (int64_t)LONG * 1000);
	web_stop(&w);
	assert_has(w.request, "GET / HTTP/1.1\r\n");
	/* What is not asked for is not unpacked, nor told. */
	assert_null(strcasestr(w.request, "\r\nAccept-Encoding:"));
	assert_null(strcasestr(w.request, "\r\nIf-"));
	assert_null(strcasestr(w.request, "\r\nRange:"));
	assert_null(strcasestr(w.request, "\r\nCookie:"));
	assert_null(strcasestr(w.request, "\r\nAuthorization:"));
	forget(&f);
}

static void
a_post(void **state)
{
	struct web w = { .mode = WEB_BYTES, .bytes = (const uint8_t *)"x", .len = 1 };
	struct cm_buf out = { 0 };
	struct cm_fetch f = { .url = w.url, .body = { (const uint8_t *)"q\0q", 3 }, .type = "application/ocsp-request",
	    .out = &out, .fd = -1 };

	(void)state;
	web_start(&w);
	ask(&f);
	expect("post", &f, CM_OBJECTION_NONE, NULL);
	assert_int_equal(out.len, 1);
	assert_int_equal(f.max_age, -1);
	web_stop(&w);
	assert_has(w.request, "POST / HTTP/1.1\r\n");
	assert_has(w.request, "\r\nContent-Type: application/ocsp-request\r\n");
	assert_has(w.request, "\r\nContent-Length: 3\r\n");
	forget(&f);
}

/* Of a host that has nothing to say, too: the file is as empty as the answer. */
static void
an_empty_answer(void **state)
{
	struct web w = { .mode = WEB_STATUS, .status = 200 };
	struct cm_fetch f = { .url = w.url, .fd = memfd_create("x", MFD_CLOEXEC) };
	struct stat st;

	(void)state;
	assert_int_equal(write(f.fd, "before", 6), 6);
	web_start(&w);
	ask(&f);
	expect("empty", &f, CM_OBJECTION_NONE, NULL);
	assert_int_equal(fstat(f.fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	web_stop(&w);
	close(f.fd);
	forget(&f);
}

/* ---- what does not count */

static void
failures(void **state)
{
	static const struct row {
		const char *name;
		struct web w;
		unsigned ms;			/* 0: none should be needed */
		enum cm_objection objection;
		const char *part;
	} rows[] = {
		{ "attack: silent", { .mode = WEB_SILENT }, 300, CM_OBJECTION_NO_ANSWER, "no answer within " },
		{ "attack: drip", { .mode = WEB_DRIP }, 300, CM_OBJECTION_SLOW_ANSWER, " of 1000 came" },
		{ "attack: drip in the header", { .mode = WEB_DRIP_HEAD }, 300, CM_OBJECTION_SLOW_ANSWER, "part of a header" },
		{ "attack: huge", { .mode = WEB_HUGE }, 0, CM_OBJECTION_TOO_LARGE, "larger than 65536 bytes" },
		{ "attack: endless", { .mode = WEB_ENDLESS }, 0, CM_OBJECTION_TOO_LARGE, "larger than 65536 bytes" },
		{ "attack: header lines without end", { .mode = WEB_HEADERS }, 0, CM_OBJECTION_TOO_LARGE, "header" },
		{ "attack: a header line without end", { .mode = WEB_LINE }, 0, CM_OBJECTION_TOO_LARGE, "header" },
		{ "attack: a chunk's head without end", { .mode = WEB_CHUNK }, 0, CM_OBJECTION_TOO_LARGE, "larger than 65536" },
		{ "broken off", { .mode = WEB_SHORT }, 0, CM_OBJECTION_BROKEN_ANSWER, "after 3 bytes of 1000" },
		{ "no answer, and the end", { .mode = WEB_CLOSE }, 0, CM_OBJECTION_BROKEN_ANSWER, "without an answer" },
		{ "no HTTP", { .mode = WEB_RAW, .bytes = (const uint8_t *)"SSH-2.0-x\r\n\r\n", .len = 13 }, 0,
		    CM_OBJECTION_BROKEN_ANSWER, "no HTTP" },
		{ "half a header", { .mode = WEB_RAW, .bytes = (const uint8_t *)"HTTP/1.1 200 X\r\nA: b\r\n", .len = 22 }, 0,
		    CM_OBJECTION_BROKEN_ANSWER, "broke off" },
		{ "packed", { .mode = WEB_BYTES, .bytes = (const uint8_t *)"x", .len = 1, .head = "Content-Encoding: gzip\r\n" }, 0,
		    CM_OBJECTION_BROKEN_ANSWER, "gzip" },
		{ "404", { .mode = WEB_STATUS, .status = 404 }, 0, CM_OBJECTION_HTTP_STATUS, "HTTP status 404" },
		{ "404, whose page drips", { .mode = WEB_DRIP, .status = 404 }, 0, CM_OBJECTION_HTTP_STATUS, "HTTP status 404" },
		{ "302, whose page drips", { .mode = WEB_DRIP, .status = 302, .head = "Location: /x\r\n" }, 300,
		    CM_OBJECTION_SLOW_ANSWER, "not the whole answer" },
		{ "200, and no more", { .mode = WEB_RAW, .bytes = (const uint8_t *)"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n", .len = 37 },
		    0, CM_OBJECTION_BROKEN_ANSWER, "broke off" },
		{ "500", { .mode = WEB_STATUS, .status = 500 }, 0, CM_OBJECTION_HTTP_STATUS, "HTTP status 500" },
		{ "204", { .mode = WEB_STATUS, .status = 204 }, 0, CM_OBJECTION_HTTP_STATUS, "HTTP status 204" },
		{ "a part that nobody asked for", { .mode = WEB_STATUS, .status = 206 }, 0, CM_OBJECTION_HTTP_STATUS, "206" },
		{ "unchanged since never", { .mode = WEB_STATUS, .status = 304 }, 0, CM_OBJECTION_HTTP_STATUS, "304" },
		{ "416 to no range", { .mode = WEB_STATUS, .status = 416 }, 0, CM_OBJECTION_HTTP_STATUS, "416" },
		{ "302 to nowhere", { .mode = WEB_STATUS, .status = 302 }, 0, CM_OBJECTION_HTTP_STATUS, "no address" },
		{ "300", { .mode = WEB_STATUS, .status = 300 }, 0, CM_OBJECTION_HTTP_STATUS, "300" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct web w = rows[i].w;
		struct cm_buf out = { 0 };
		struct cm_fetch f = { .url = w.url, .max = 65536, .out = &out, .fd = -1 };

		web_start(&w);
		f.deadline = cm_deadline_in(rows[i].ms > 0 ? rows[i].ms : LONG);
		ask(&f);
		expect(rows[i].name, &f, rows[i].objection, rows[i].part);
		assert_true(f.bytes <= f.max + BUFFER);
		assert_true(out.len <= f.max);
		assert_int_equal(f.connections, 1);
		if (rows[i].ms == 0)
			assert_true(f.us < (int64_t)LONG * 1000);
		else
			assert_true(f.us >= rows[i].ms * 1000 - 2000);
		web_stop(&w);
		assert_int_equal(atomic_load(&w.asked), 1);
		forget(&f);
	}
}

/* A server that announces more than is read is left before any of it is kept. */
static void
what_is_announced_too_large_is_not_read(void **state)
{
	struct web w = { .mode = WEB_HUGE };
	struct cm_buf out = { 0 };
	struct cm_fetch f = { .url = w.url, .max = 1000, .out = &out, .fd = -1 };

	(void)state;
	web_start(&w);
	ask(&f);
	expect("huge", &f, CM_OBJECTION_TOO_LARGE, "larger than 1000 bytes");
	assert_true(f.bytes <= BUFFER);
	assert_int_equal(out.len, 0);
	web_stop(&w);
	forget(&f);
}

static void
nowhere(void **state)
{
	static const struct row {
		const char *url;
		enum cm_objection objection;
		const char *part;
		bool no_time;
	} rows[] = {
		{ "http://127.0.0.1:1/", CM_OBJECTION_NO_CONNECTION, "127.0.0.1:1: Connection refused", false },
		{ "https://127.0.0.1:1/", CM_OBJECTION_NO_CONNECTION, "127.0.0.1:1", false },
		{ "http://nobody.invalid/", CM_OBJECTION_NO_NAME, "nobody.invalid", false },
		{ "file:///etc/passwd", CM_OBJECTION_NOT_ASKABLE, "only http://", false },
		{ "ftp://127.0.0.1/", CM_OBJECTION_NOT_ASKABLE, "only http://", false },
		{ "", CM_OBJECTION_NOT_ASKABLE, "only http://", false },
		{ "ldap://127.0.0.1/cn=x", CM_OBJECTION_NOT_ASKABLE, "no directory", false },
		{ "http://", CM_OBJECTION_NOT_ASKABLE, "no address", false },
		{ "http://127.0.0.1:99999/", CM_OBJECTION_NOT_ASKABLE, "no address", false },
		{ "http://127.0.0.1:1/", CM_OBJECTION_NO_TIME, "no time was left", true },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_buf out = { 0 };
		struct cm_fetch f = { .url = rows[i].url, .out = &out, .fd = -1 };

		f.deadline = rows[i].no_time ? cm_deadline_in(0) : cm_deadline_in(1000);
		ask(&f);
		expect(rows[i].url, &f, rows[i].objection, rows[i].part);
		forget(&f);
	}
}

/* ---- many at once */

/* The server answers nobody before all have asked: one after the other they would wait for ever. */
static void
all_at_once(void **state)
{
	enum { N = 8 };
	struct web w = { .mode = WEB_BYTES, .bytes = (const uint8_t *)"x", .len = 1, .gather = N };
	struct cm_fetcher *f = fetcher(NULL);
	struct cm_fetch one[N] = { 0 };
	struct cm_buf out[N] = { 0 };
	unsigned done = 0;

	(void)state;
	web_start(&w);
	for (size_t i = 0; i < N; i++) {
		one[i] = (struct cm_fetch){ .url = w.url, .out = &out[i], .fd = -1 };
		add(f, &one[i]);
	}
	for (struct cm_fetch *d; (d = cm_fetcher_next(f, cm_deadline_in(LONG))) != NULL; done++) {
		expect("gathered", d, CM_OBJECTION_NONE, NULL);
		assert_int_equal(d->out->len, 1);
	}
	assert_int_equal(done, N);
	cm_fetcher_free(&f);
	web_stop(&w);
	assert_int_equal(atomic_load(&w.asked), N);
	for (size_t i = 0; i < N; i++)
		forget(&one[i]);
}

static void
one_connection_for_several_questions(void **state)
{
	struct web w = { .bytes = (const uint8_t *)"x", .len = 1, .status = 404 };
	struct cm_fetcher *f = fetcher(NULL);
	struct cm_buf out = { 0 };

	(void)state;
	web_start(&w);
	for (unsigned i = 0; i < 5; i++) {
		struct cm_fetch one = { .url = w.url, .out = &out, .fd = -1 };

		/* An error without a page is no end of it. */
		w.mode = i == 2 ? WEB_STATUS : WEB_BYTES;
		add(f, &one);
		assert_ptr_equal(cm_fetcher_next(f, cm_deadline_in(LONG)), &one);
		expect("again", &one, i == 2 ? CM_OBJECTION_HTTP_STATUS : CM_OBJECTION_NONE, NULL);
		assert_int_equal(one.connections, i == 0);
		cm_fetch_clear(&one);
	}
	cm_fetcher_free(&f);
	web_stop(&w);
	assert_int_equal(atomic_load(&w.asked), 5);
	assert_int_equal(atomic_load(&w.connections), 1);
	cm_buf_free(&out);
}

/* What came over it for others is not counted, and what comes now is. */
static void
limits_hold_on_a_connection_that_is_open(void **state)
{
	static const uint8_t list[200000];
	struct web w = { .mode = WEB_BYTES, .bytes = list, .len = sizeof(list) };
	struct cm_fetcher *f = fetcher(NULL);
	struct cm_buf out = { 0 };

	(void)state;
	web_start(&w);
	for (unsigned i = 0; i < 4; i++) {
		struct cm_fetch one = { .url = w.url, .out = &out, .fd = -1, .max = sizeof(list) };

		w.mode = i < 3 ? WEB_BYTES : WEB_CHUNK;
		add(f, &one);
		assert_ptr_equal(cm_fetcher_next(f, cm_deadline_in(LONG)), &one);
		expect("again", &one, i < 3 ? CM_OBJECTION_NONE : CM_OBJECTION_TOO_LARGE, NULL);
		assert_int_equal(one.connections, i == 0);
		cm_fetch_clear(&one);
	}
	cm_fetcher_free(&f);
	web_stop(&w);
	cm_buf_free(&out);
}

/* The one that answers is had while the others are still silent. */
static void
the_first_is_not_held_up(void **state)
{
	struct web silent = { .mode = WEB_SILENT }, good = { .mode = WEB_BYTES, .bytes = (const uint8_t *)"x", .len = 1 };
	struct cm_buf out[2] = { 0 };
	struct cm_fetch slow = { .url = silent.url, .out = &out[0], .fd = -1 }, quick = { .url = good.url, .out = &out[1], .fd = -1 };
	struct cm_fetcher *f = fetcher(NULL);

	(void)state;
	web_start(&silent);
	web_start(&good);
	add(f, &slow);
	add(f, &quick);
	assert_ptr_equal(cm_fetcher_next(f, cm_deadline_in(LONG)), &quick);
	/* Until is kept, and the question stays. */
	assert_null(cm_fetcher_next(f, cm_deadline_in(50)));
	cm_fetcher_remove(f, &slow);
	assert_null(cm_fetcher_next(f, cm_deadline_in(LONG)));
	cm_fetcher_remove(f, &slow);
	cm_fetcher_remove(f, &quick);
	cm_fetcher_free(&f);
	assert_int_equal(slow.objection, CM_OBJECTION_NONE);
	assert_int_equal(out[0].len, 0);
	web_stop(&silent);
	web_stop(&good);
	forget(&slow);
	forget(&quick);
}

static void *
wake(void *f)
{
	cm_fetcher_wake(f);
	return NULL;
}

static void
woken_from_elsewhere(void **state)
{
	struct web silent = { .mode = WEB_SILENT };
	struct cm_buf out = { 0 };
	struct cm_fetch one = { .url = silent.url, .out = &out, .fd = -1 };
	struct cm_fetcher *f = fetcher(NULL);
	const int64_t before = cm_clock_us();
	pthread_t thread;

	(void)state;
	web_start(&silent);
	add(f, &one);
	assert_int_equal(pthread_create(&thread, NULL, wake, f), 0);
	assert_null(cm_fetcher_next(f, cm_deadline_in(LONG)));
	pthread_join(thread, NULL);
	cm_fetcher_free(&f);	/* with the question on its way */
	assert_true(cm_clock_us() - before < (int64_t)LONG * 1000);
	web_stop(&silent);
	forget(&one);
}

/* Another name server that never answers must not hold up the end. */
static void
let_go_while_a_name_is_looked_up(void **state)
{
	struct cm_buf out = { 0 };
	struct cm_fetch one = { .url = "http://nobody.invalid/", .out = &out, .fd = -1 };
	struct cm_fetcher *f = fetcher(NULL);
	const int64_t before = cm_clock_us();

	(void)state;
	add(f, &one);
	assert_null(cm_fetcher_next(f, cm_deadline_in(0)));
	cm_fetcher_free(&f);
	assert_true(cm_clock_us() - before < 2000000);
	forget(&one);
}

struct seen {
	unsigned calls;
	uint64_t last;
};

static void
watch(void *arg, const struct cm_fetch *f)
{
	struct seen *s = arg;

	s->calls++;
	assert_true(f->bytes > s->last);
	assert_int_equal(f->total, 200000);
	s->last = f->bytes;
}

static void
progress(void **state)
{
	static const uint8_t list[200000];
	struct web w = { .mode = WEB_BYTES, .bytes = list, .len = sizeof(list) };
	struct seen seen = { 0 };
	const struct cm_fetcher_options o = { .progress = watch, .arg = &seen };
	struct cm_fetch f = { .url = w.url, .fd = memfd_create("x", MFD_CLOEXEC) };

	(void)state;
	web_start(&w);
	ask_with(&o, &f);
	expect("progress", &f, CM_OBJECTION_NONE, NULL);
	assert_true(seen.calls > 1);
	assert_int_equal(seen.last, sizeof(list));
	web_stop(&w);
	close(f.fd);
	forget(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer),
		cmocka_unit_test(a_post),
		cmocka_unit_test(an_empty_answer),
		cmocka_unit_test(failures),
		cmocka_unit_test(what_is_announced_too_large_is_not_read),
		cmocka_unit_test(nowhere),
		cmocka_unit_test(all_at_once),
		cmocka_unit_test(one_connection_for_several_questions),
		cmocka_unit_test(limits_hold_on_a_connection_that_is_open),
		cmocka_unit_test(the_first_is_not_held_up),
		cmocka_unit_test(woken_from_elsewhere),
		cmocka_unit_test(let_go_while_a_name_is_looked_up),
		cmocka_unit_test(progress),
	};

	return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
