/* tests/base/test_thread.c - a thread of ours has no signals, and whoever starts it keeps his own. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/thread.h"

static void *
look(void *arg)
{
	pthread_sigmask(SIG_SETMASK, NULL, arg);
	return arg;
}

static void
test_signals_stay_outside(void **state)
{
	static const int some[] = { SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGUSR1 };
	sigset_t mine, inside, after;
	pthread_t thread;
	void *end = NULL;

	(void)state;
	sigemptyset(&mine);
	sigaddset(&mine, SIGUSR2);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, &mine, NULL), 0);
	assert_int_equal(cm_thread_start(&thread, NULL, look, &inside), 0);
	assert_int_equal(pthread_join(thread, &end), 0);
	assert_ptr_equal(end, &inside);
	assert_int_equal(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
		assert_true(sigismember(&inside, some[i]));
		assert_false(sigismember(&after, some[i]));
	}
	assert_true(sigismember(&after, SIGUSR2));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signals_stay_outside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
