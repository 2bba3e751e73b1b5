/* base/clock.c - deadlines, durations and the time of day, each on its own clock. */
#include "base/clock.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

static struct timespec
read_clock(clockid_t id)
{
	struct timespec t = { 0 };

	clock_gettime(id, &t);	/* cannot fail for the clocks named here */
	return t;
}

static int64_t
monotonic_ms(void)
{
	const struct timespec t = read_clock(CLOCK_MONOTONIC);

	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

cm_deadline
cm_deadline_in(unsigned ms)
{
	return monotonic_ms() + ms;
}

cm_deadline
cm_deadline_earlier(cm_deadline a, cm_deadline b)
{
	return a < b ? a : b;
}

int
cm_deadline_left(cm_deadline d)
{
	const int64_t left = d - monotonic_ms();

	if (left <= 0)
		return 0;
	return left < INT_MAX ? (int)left : INT_MAX;
}

bool
cm_deadline_passed(cm_deadline d)
{
	return cm_deadline_left(d) == 0;
}

int64_t
cm_clock_us(void)
{
	const struct timespec t = read_clock(CLOCK_MONOTONIC);

	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t
cm_clock_boottime(void)
{
	return read_clock(CLOCK_BOOTTIME).tv_sec;
}

enum cm_err
cm_clock_boot_id(char id[CM_BOOT_ID_SIZE])
{
	const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	id[0] = '\0';
	if (fd < 0)
		return CM_ERR_SYSTEM;
	n = read(fd, id, CM_BOOT_ID_SIZE - 1);
	close(fd);
	id[n > 0 ? n : 0] = '\0';
	return n == CM_BOOT_ID_SIZE - 1 ? CM_OK : CM_ERR_SYSTEM;
}

time_t
cm_clock_now(void)
{
	return time(NULL);
}

const char *
cm_clock_text(time_t t, char text[CM_TIME_SIZE])
{
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL ||
	    strftime(text, CM_TIME_SIZE, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		snprintf(text, CM_TIME_SIZE, "(no such time)");
	return text;
}

const char *
cm_clock_age(int64_t s, char text[CM_TIME_SIZE])
{
	if (s < 120)
		snprintf(text, CM_TIME_SIZE, "%lld s", (long long)s);
	else if (s < 120 * 60)
		snprintf(text, CM_TIME_SIZE, "%lld min", (long long)s / 60);
	else if (s < 48 * 3600)
		snprintf(text, CM_TIME_SIZE, "%lld h", (long long)s / 3600);
	else
		snprintf(text, CM_TIME_SIZE, "%lld d %lld h", (long long)s / 86400,
		    (long long)s % 86400 / 3600);
	return text;
}
