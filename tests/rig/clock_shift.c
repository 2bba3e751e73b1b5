/*
 * tests/rig/clock_shift.c - clocks that a test moves while programs run: preloaded, plain programs only.
 *
 * The file CLOCK_FILE holds three numbers of 64 bits, seconds that are added to the time of day, to CLOCK_BOOTTIME and to
 * CLOCK_MONOTONIC, which stands while a computer sleeps.  It is mapped, so that who writes it moves the clocks of all that run.
 * What waits for a moment of CLOCK_MONOTONIC is told the kernel's.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define CLOCK_FILE	"/run/rig/clock"

static const volatile int64_t *offsets;	/* of the day, of the boot, monotonic; NULL: none */
static int (*real_clock)(clockid_t id, struct timespec *t);

__attribute__((constructor)) static void
begin(void)
{
	const int fd = open(CLOCK_FILE, O_RDONLY | O_CLOEXEC);
	void *at = fd >= 0 ? mmap(NULL, 3 * sizeof(*offsets), PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

	if (fd >= 0)
		close(fd);
	offsets = at != MAP_FAILED ? at : NULL;
}

static int64_t
offset(clockid_t id)
{
	if (offsets == NULL)
		return 0;
	switch (id) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
		return offsets[0];
	case CLOCK_BOOTTIME:
		return offsets[1];
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_COARSE:
		return offsets[2];
	default:
		return 0;
	}
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

/* Ours wait by CLOCK_MONOTONIC; a time of day is half a century later. */
static bool
is_monotonic(const struct timespec *until)
{
	return until->tv_sec < INT64_C(25) * 365 * 86400;
}

int
pthread_cond_clockwait(pthread_cond_t *c, pthread_mutex_t *m, clockid_t id, const struct timespec *until)
{
	static int (*real)(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
	struct timespec t = *until;

	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "pthread_cond_clockwait");
	if (id == CLOCK_MONOTONIC)
		t.tv_sec -= offset(id);
	return real(c, m, id, &t);
}

/* By the other one, which has one version alone. */
int
pthread_cond_timedwait(pthread_cond_t *restrict c, pthread_mutex_t *restrict m, const struct timespec *restrict until)
{
	return pthread_cond_clockwait(c, m, is_monotonic(until) ? CLOCK_MONOTONIC : CLOCK_REALTIME, until);
}
