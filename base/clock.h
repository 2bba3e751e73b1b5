/* base/clock.h - deadlines, durations and the time of day, each on its own clock. */
#ifndef CM_BASE_CLOCK_H
#define CM_BASE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/err.h"

/* A moment on CLOCK_MONOTONIC, in milliseconds.  Every wait takes one. */
typedef int64_t cm_deadline;

cm_deadline cm_deadline_in(unsigned ms);
cm_deadline cm_deadline_earlier(cm_deadline a, cm_deadline b);
bool cm_deadline_passed(cm_deadline d);

/* Milliseconds left, 0 when passed; fits poll(2) and friends. */
int cm_deadline_left(cm_deadline d);

/* Microseconds on CLOCK_MONOTONIC, for measuring. */
int64_t cm_clock_us(void);

/* Seconds on CLOCK_BOOTTIME: goes on while the machine sleeps, nobody can set it. */
int64_t cm_clock_boottime(void);

/* This boot's id (RFC 4122 text of 36 characters and NUL).  CM_ERR_SYSTEM when the kernel does not tell. */
#define CM_BOOT_ID_SIZE	37
CM_MUST_USE enum cm_err cm_clock_boot_id(char id[CM_BOOT_ID_SIZE]);

/* Clocks of honest hosts differ by this much, seconds: what is dated further ahead is not believed. */
#define CM_CLOCK_SKEW	300

/* Time of day, UTC. */
time_t cm_clock_now(void);

/* "2026-11-21 14:00:00 UTC", and a duration in words ("3 d 4 h", "12 min", "9 s"). */
#define CM_TIME_SIZE	32
const char *cm_clock_text(time_t t, char text[CM_TIME_SIZE]);
const char *cm_clock_age(int64_t seconds, char text[CM_TIME_SIZE]);

#endif /* CM_BASE_CLOCK_H */
