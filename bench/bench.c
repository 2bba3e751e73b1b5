/* bench/bench.c - what every program of the bench does the same way. */
#include "bench/bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

void
bench_die(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, why);
	exit(1);
}

void
bench_must(enum cm_err err, const char *what, const struct cm_trace *t)
{
	if (err != CM_OK)
		bench_die(what, t != NULL ? cm_trace_message(t) : cm_err_name(err));
}

const char *
bench_rig(const char *name)
{
	const char *value = getenv(name);

	if (value == NULL)
		bench_die(name, "not set: start this among the servers of tests/rig/rig.py run");
	return value;
}

static int
by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double
bench_median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), by_value);
	return values[count / 2];
}
