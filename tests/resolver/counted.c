/*
 * tests/resolver/counted.c - linked into a cardmap-resolver: tells how many octets it has allocated, each time somebody writes
 * one to the socket it was started with (COUNTED_FD).  A thread of its own asks the allocator: nothing else of the process changes.
 */
#include "counted.h"

#include <malloc.h>
#include <pthread.h>
#include <unistd.h>

/* AddressSanitizer's allocator; without it, the C library's knows. */
extern size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static uint64_t
count(void)
{
	const struct mallinfo2 m = mallinfo2();

	return __sanitizer_get_current_allocated_bytes != NULL ? __sanitizer_get_current_allocated_bytes() : m.uordblks + m.hblkhd;
}

static void *
tell(void *unused)
{
	uint64_t n;
	char asked;

	while (read(COUNTED_FD, &asked, 1) == 1) {
		n = count();
		if (write(COUNTED_FD, &n, sizeof(n)) != sizeof(n))
			break;
	}
	return unused;
}

/* Before main() confines the process, its threads included. */
__attribute__((constructor)) static void
begin(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, tell, NULL) == 0)
		(void)pthread_detach(thread);
}
