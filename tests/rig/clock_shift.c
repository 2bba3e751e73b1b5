/*
 * tests/rig/clock_shift.c - clocks that a test moves while programs run: preloaded, plain programs only.
 *
 * The file CLOCK_FILE holds two numbers of 64 bits, seconds that are added to the time of day and to CLOCK_BOOTTIME.  It is
 * mapped, so that who writes it moves the clocks of all that run; CLOCK_MONOTONIC stays: it stands while a computer sleeps.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define CLOCK_FILE	"/run/rig/clock"

static const volatile int64_t *offsets;	/* of the day, of the boot; NULL: none */
static int (*real_clock)(clockid_t id, struct timespec *t);

__attribute__((constructor)) static void
begin(void)
{
	const int fd = open(CLOCK_FILE, O_RDONLY | O_CLOEXEC);
	void *at = fd >= 0 ? mmap(NULL, 2 * sizeof(*offsets), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (fd >= 0)
		close(fd);
	offsets = at != MAP_FAILED ? at : NULL;
}

static int64_t
offset(clockid_t id)
{
	if (offsets == NULL)
		return 0;
	return id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE ? offsets[0] : id == CLOCK_BOOTTIME ? offsets[1] : 0;
}

int
clock_gettime(clockid_t id, struct timespec *t)
{
	int rv;

	if (real_clock == NULL)
		*(void **)&real_clock = dlsym(RTLD_NEXT, "clock_gettime");
	if ((rv = real_clock(id, t)) == 0)
		t->tv_sec += offset(id);
	return rv;
}

time_t
time(time_t *to)
{
	struct timespec t = { 0 };

	(void)clock_gettime(CLOCK_REALTIME, &t);
	if (to != NULL)
		*to = t.tv_sec;
	return t.tv_sec;
}

int
gettimeofday(struct timeval *restrict to, void *restrict zone)
{
	struct timespec t = { 0 };

	(void)zone;
	(void)clock_gettime(CLOCK_REALTIME, &t);
	*to = (struct timeval){ t.tv_sec, t.tv_nsec / 1000 };
	return 0;
}
