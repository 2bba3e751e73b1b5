/* base/thread.c - a thread that no signal of the program's ends up in. */
#include "base/thread.h"

#include <signal.h>

int
cm_thread_start(pthread_t *out, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
	sigset_t all, before;
	int failed;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(out, attr, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return failed;
}
