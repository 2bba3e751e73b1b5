/* tests/trust/test_fetch_parts.c - only what changed is fetched, and only what is missing of what broke off. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/trust/web.h"
#include "trust/fetch.h"

#define LONG		20000	/* ms: never waited for when all goes well */
#define SIZE		100000
#define PART		40000
#define MODIFIED	"Sun, 06 Nov 1994 08:49:37 GMT"

/* No two parts of it are the same. */
static uint8_t list[SIZE];

static int
make_list(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZE; i++)
		list[i] = (uint8_t)(i ^ i >> 8 ^ i >> 16);
	return 0;
}

static struct web
list_server(void)
{
	return (struct web){ .mode = WEB_BYTES, .bytes = list, .len = SIZE, .etag = "\"17\"", .modified = MODIFIED };
}

static void
ask(struct cm_fetch *f)
{
	if (f->max == 0)
		f->max = 1 << 20;
	f->deadline = cm_deadline_in(LONG);
	web_fetch(f);
}

static void
expect(const char *name, const struct cm_fetch *f, enum cm_objection objection)
{
	if (f->objection != objection)
		print_error("%s: %s: %s\n", name, cm_objection_name(f->objection), cm_buf_str(&f->why));
	assert_int_equal(f->objection, objection);
}

static void
expect_file(int fd, size_t len)
{
	struct stat st;
	uint8_t *p;

	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, len);
	p = mmap(NULL, SIZE, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	if (len > 0)
		assert_memory_equal(p, list, len);
	munmap(p, SIZE);
}

static int
file_with(size_t len)
{
	const int fd = memfd_create("list", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, list, len), len);
	return fd;
}

static void
only_when_it_changed(void **state)
{
	static const struct {
		const char *name, *etag, *modified;
		bool same;
	} rows[] = {
		{ "etag", "\"17\"", NULL, true },
		{ "date", NULL, MODIFIED, true },
		{ "both", "\"17\"", MODIFIED, true },
		{ "another etag, same date", "\"16\"", MODIFIED, false },
		{ "another date", "", "Sun, 06 Nov 1994 08:49:36 GMT", false },
		{ "nothing", "", "", false },
		{ "attack: an etag that breaks the line", "\"17\"\r\nIf-Modified-Since: " MODIFIED "\r\nX: y", NULL, false },
		{ "attack: a date that does", NULL, "\r\nIf-None-Match: \"17\"", false },
	};
	struct web w = list_server();

	(void)state;
	w.head = "Cache-Control: max-age=60\r\n";
	web_start(&w);
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct cm_fetch f = { .url = w.url, .etag = rows[i].etag, .modified = rows[i].modified, .fd = file_with(7) };

		ask(&f);
		expect(rows[i].name, &f, CM_OBJECTION_NONE);
		if (f.not_modified != rows[i].same)
			print_error("%s\n", rows[i].name);
		assert_int_equal(f.not_modified, rows[i].same);
		assert_int_equal(f.bytes, rows[i].same ? 0 : SIZE);
		assert_int_equal(f.max_age, 60);
		assert_string_equal(f.new_etag, "\"17\"");
		expect_file(f.fd, rows[i].same ? 7 : SIZE);
		close(f.fd);
		cm_fetch_clear(&f);
	}
	web_stop(&w);
}

/* A list of SIZE octets, of which the connection gives PART at first. */
static void
goes_on_where_it_broke_off(void **state)
{
	struct web w = list_server();
	struct cm_fetch f = { .url = w.url, .fd = memfd_create("list", MFD_CLOEXEC) };
	char etag[sizeof(f.new_etag)];

	(void)state;
	w.sent = PART;
	web_start(&w);
	ask(&f);
	expect("broken off", &f, CM_OBJECTION_BROKEN_ANSWER);
	assert_has(cm_buf_str(&f.why), "after 40000 bytes of 100000");
	expect_file(f.fd, PART);
	assert_string_equal(f.new_etag, "\"17\"");
	web_stop(&w);

	w.sent = 0;
	web_start(&w);
	snprintf(etag, sizeof(etag), "%s", f.new_etag);
	f.have = PART;
	f.part_etag = etag;
	f.url = w.url;
	ask(&f);
	expect("gone on", &f, CM_OBJECTION_NONE);
	assert_false(f.from_start);
	assert_int_equal(f.bytes, SIZE - PART);
	assert_int_equal(f.total, SIZE);
	expect_file(f.fd, SIZE);
	web_stop(&w);
	assert_has(w.request, "\r\nRange: bytes=40000-\r\n");
	assert_has(w.request, "\r\nIf-Range: \"17\"\r\n");
	close(f.fd);
	cm_fetch_clear(&f);
}

/* What the server makes of the question for the rest; what the file holds then. */
static void
parts(void **state)
{
	static const struct row {
		const char *name;
		enum web_range range;
		const char *etag;		/* of the part that is here */
		size_t have, max;
		unsigned asked;
		enum cm_objection objection;
		bool from_start;
		size_t holds;
	} rows[] = {
		{ "right", WEB_RANGE_RIGHT, "\"17\"", PART, 0, 1, CM_OBJECTION_NONE, false, SIZE },
		{ "all but one", WEB_RANGE_RIGHT, "\"17\"", SIZE - 1, 0, 1, CM_OBJECTION_NONE, false, SIZE },
		{ "just as large as is read", WEB_RANGE_RIGHT, "\"17\"", PART, SIZE, 1, CM_OBJECTION_NONE, false, SIZE },
		{ "larger than is read", WEB_RANGE_RIGHT, "\"17\"", PART, SIZE - 1, 1, CM_OBJECTION_TOO_LARGE, false, PART },
		{ "the part is larger than is read", WEB_RANGE_RIGHT, "\"17\"", PART, PART, 1, CM_OBJECTION_TOO_LARGE, false, PART },
		{ "no ranges", WEB_RANGE_NONE, "\"17\"", PART, 0, 1, CM_OBJECTION_NONE, true, SIZE },
		{ "it changed", WEB_RANGE_RIGHT, "\"16\"", PART, 0, 1, CM_OBJECTION_NONE, true, SIZE },
		{ "a weak tag", WEB_RANGE_RIGHT, "W/\"17\"", PART, 0, 1, CM_OBJECTION_NONE, true, SIZE },
		{ "no tag", WEB_RANGE_RIGHT, NULL, PART, 0, 1, CM_OBJECTION_NONE, true, SIZE },
		{ "416", WEB_RANGE_REFUSED, "\"17\"", PART, 0, 2, CM_OBJECTION_NONE, true, SIZE },
		{ "no Content-Range", WEB_RANGE_UNNAMED, "\"17\"", PART, 0, 1, CM_OBJECTION_BROKEN_ANSWER, true, 0 },
		{ "from elsewhere", WEB_RANGE_OTHER, "\"17\"", PART, 0, 1, CM_OBJECTION_BROKEN_ANSWER, true, 0 },
		{ "not to the end", WEB_RANGE_CUT, "\"17\"", PART, 0, 1, CM_OBJECTION_BROKEN_ANSWER, true, 0 },
		{ "beyond its total", WEB_RANGE_TOTAL, "\"17\"", PART, 0, 1, CM_OBJECTION_BROKEN_ANSWER, true, 0 },
		{ "more than said", WEB_RANGE_MORE, "\"17\"", PART, 0, 1, CM_OBJECTION_BROKEN_ANSWER, true, 0 },
		{ "less than said", WEB_RANGE_LESS, "\"17\"", PART, 0, 1, CM_OBJECTION_BROKEN_ANSWER, false, SIZE - 1 },
		{ "of something else", WEB_RANGE_ETAG, "\"17\"", PART, 0, 1, CM_OBJECTION_BROKEN_ANSWER, true, 0 },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct web w = list_server();
		struct cm_fetch f = { .url = w.url, .have = rows[i].have, .part_etag = rows[i].etag, .max = rows[i].max,
		    .fd = file_with(rows[i].have) };

		w.range = rows[i].range;
		web_start(&w);
		ask(&f);
		expect(rows[i].name, &f, rows[i].objection);
		if (f.from_start != rows[i].from_start)
			print_error("%s\n", rows[i].name);
		assert_int_equal(f.from_start, rows[i].from_start);
		expect_file(f.fd, rows[i].holds);
		web_stop(&w);
		assert_int_equal(atomic_load(&w.asked), rows[i].asked);
		close(f.fd);
		cm_fetch_clear(&f);
	}
}

/* The part is of another list than the one in force, and that one came back. */
static void
a_part_and_a_whole(void **state)
{
	struct web w = list_server();
	struct cm_fetch f = { .url = w.url, .etag = "\"17\"", .have = PART, .part_etag = "\"18\"", .fd = file_with(PART) };

	(void)state;
	web_start(&w);
	ask(&f);
	expect("both", &f, CM_OBJECTION_NONE);
	assert_true(f.not_modified);
	expect_file(f.fd, PART);
	web_stop(&w);
	close(f.fd);
	cm_fetch_clear(&f);
}

/* A file shorter than it is said to be is no part to go on with. */
static void
a_part_that_is_not_there(void **state)
{
	struct web w = list_server();
	struct cm_fetch f = { .url = w.url, .have = PART, .part_etag = "\"17\"", .fd = file_with(PART - 1) };

	(void)state;
	web_start(&w);
	ask(&f);
	expect("shorter", &f, CM_OBJECTION_NONE);
	expect_file(f.fd, SIZE);
	assert_int_equal(f.bytes, SIZE);
	web_stop(&w);
	close(f.fd);
	cm_fetch_clear(&f);
}

static void
fill_the_disk(const char *folder, const char *mounted)
{
	struct web w = list_server();
	struct cm_fetch f = { .url = w.url, .have = PART, .part_etag = "\"17\"" };
	char path[512];
	struct stat disk, now;

	(void)folder;
	snprintf(path, sizeof(path), "%s/list", mounted);
	CHILD_MUST((f.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) >= 0);
	CHILD_MUST(write(f.fd, list, PART) == PART);
	CHILD_MUST(fstat(f.fd, &disk) == 0);
	web_start(&w);
	ask(&f);
	web_stop(&w);
	CHILD_MUST(f.objection == CM_OBJECTION_NONE);
	CHILD_MUST(fstat(f.fd, &now) == 0 && now.st_size == SIZE && now.st_dev != disk.st_dev);
	for (size_t at = 0; at < SIZE; at += 1000) {
		uint8_t some[1000];

		CHILD_MUST(pread(f.fd, some, sizeof(some), (off_t)at) == sizeof(some));
		CHILD_MUST(memcmp(some, list + at, sizeof(some)) == 0);
	}
	CHILD_MUST(close(f.fd) == 0);
	cm_fetch_clear(&f);
}

/* 64 KiB hold the part and not the whole: memory takes over, with what was there before. */
static void
a_full_disk(void **state)
{
	(void)state;
	on_a_disk("size=64k", fill_the_disk);
}

static void
a_file_that_cannot_be_written(void **state)
{
	struct web w = list_server();
	struct cm_fetch f = { .url = w.url, .fd = open("/dev/null", O_RDONLY | O_CLOEXEC) };

	(void)state;
	web_start(&w);
	ask(&f);
	expect("read-only", &f, CM_OBJECTION_NOT_KEPT);
	web_stop(&w);
	close(f.fd);
	cm_fetch_clear(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_when_it_changed),
		cmocka_unit_test(goes_on_where_it_broke_off),
		cmocka_unit_test(parts),
		cmocka_unit_test(a_part_and_a_whole),
		cmocka_unit_test(a_part_that_is_not_there),
		cmocka_unit_test(a_full_disk),
		cmocka_unit_test(a_file_that_cannot_be_written),
	};

	return cmocka_run_group_tests(tests, make_list, remove_scratch);
}
