/* tests/fuzz/fuzz_http.c - what is read of HTTP answers: ranges, how long they count, tags, where they lead. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trust/fetch_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(what)	do { if (!(what)) { fprintf(stderr, "%s\n", #what); abort(); } } while (0)

enum { RANGE, CACHE_CONTROL, AGE, EXPIRES, DATE, ETAG, URL, LOCATION, LINES };

/* Does what was read once mean the same when it is written down? */
static void
check_range(const char *value)
{
	struct cm_http_range r, again;
	char text[96];

	if (!cm_http_range(value, &r))
		return;
	CHECK(r.first <= r.last && r.last < r.total);
	snprintf(text, sizeof(text), "bytes %llu-%llu/%llu", (unsigned long long)r.first, (unsigned long long)r.last,
	    (unsigned long long)r.total);
	CHECK(cm_http_range(text, &again) && again.first == r.first && again.last == r.last && again.total == r.total);
}

static void
check_life(char *const lines[LINES])
{
	struct cm_http_life life = { lines[CACHE_CONTROL], lines[AGE], lines[EXPIRES], lines[DATE], 1700000000 };
	const long s = cm_http_fresh_for(&life);
	struct cm_buf stricter = { 0 };

	CHECK(s >= -1 && s <= (long)1 << 31);
	/* no-store before all else ends it, whatever follows. */
	cm_buf_addf(&stricter, "no-store, %s", lines[CACHE_CONTROL]);
	life.cache_control = cm_buf_str(&stricter);
	CHECK(cm_http_fresh_for(&life) == 0);
	cm_buf_free(&stricter);
}

static void
check_tag(const char *value)
{
	CHECK(!cm_http_strong_etag(value) || cm_http_etag(value));
	CHECK(!cm_http_etag(value) || strpbrk(value, "\r\n ") == NULL);
}

static void
check_location(const char *url, const char *location)
{
	struct cm_buf to = { 0 }, again = { 0 }, why = { 0 };

	if (cm_http_follow(url, location, &to, &why) == CM_OK) {
		const char *text = cm_buf_str(&to);

		CHECK(strncasecmp(text, "http://", 7) == 0 || strncasecmp(text, "https://", 8) == 0);
		CHECK(strpbrk(text, "\r\n#") == NULL);
		CHECK(cm_http_same_host(text, text));
		CHECK(cm_http_follow(text, text, &again, &why) == CM_OK);
	} else {
		CHECK(to.len == 0 && why.len > 0);
	}
	(void)cm_http_same_host(url, location);
	cm_http_authority(location, &to);
	CHECK(to.len > 0);
	(void)cm_address_text_is_private(location);
	cm_buf_free(&to);
	cm_buf_free(&again);
	cm_buf_free(&why);
}

/* One line for each thing that is read. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size), *rest = text, *lines[LINES];

	if (text == NULL)
		return 0;
	for (size_t i = 0; i < LINES; i++) {
		static char none[] = "";

		lines[i] = rest != NULL ? strsep(&rest, "\n") : none;
	}
	check_range(lines[RANGE]);
	check_life(lines);
	check_tag(lines[ETAG]);
	check_location(lines[URL], lines[LOCATION]);
	free(text);
	return 0;
}
