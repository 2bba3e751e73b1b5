/* base/thread.h - a thread that no signal of the program's ends up in. */
#ifndef CM_BASE_THREAD_H
#define CM_BASE_THREAD_H

#include <pthread.h>

/*
 * As pthread_create(3): 0, or an errno.  Every signal is blocked in it from its
 * start, so that they go to the threads which know of them; the caller's mask
 * stays.  attr may be NULL.
 */
int cm_thread_start(pthread_t *out, const pthread_attr_t *attr, void *(*run)(void *), void *arg);

#endif /* CM_BASE_THREAD_H */
