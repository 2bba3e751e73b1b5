/* bench/bench.h - what every program of the bench does the same way. */
#ifndef CM_BENCH_BENCH_H
#define CM_BENCH_BENCH_H

#include "base/trace.h"

/* A figure is of a whole run or it is none: these end the program, and say why. */
void bench_die(const char *what, const char *why) __attribute__((noreturn));
void bench_must(enum cm_err err, const char *what, const struct cm_trace *t);

/* A variable of tests/rig/rig.py. */
const char *bench_rig(const char *name);

/* Sorts. */
double bench_median(double *values, size_t count);

#endif /* CM_BENCH_BENCH_H */
