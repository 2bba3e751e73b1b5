/*
 * tests/rig/counted_preload.c - loaded by LD_PRELOAD into a program built with AddressSanitizer: tells whoever connects to the
 * abstract socket "cm_counted.PID" how many octets it has allocated, and how many of them are jansson's, as decimal numbers.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

extern size_t __sanitizer_get_current_allocated_bytes(void);

/* jansson.h */
extern void json_set_alloc_funcs(void *(*allocate)(size_t), void (*release)(void *)) __attribute__((weak));

static int listener = -1;
static atomic_size_t of_json;

static void *
allocate(size_t size)
{
	void *p = malloc(size);

	of_json += p != NULL ? malloc_usable_size(p) : 0;
	return p;
}

static void
release(void *p)
{
	of_json -= p != NULL ? malloc_usable_size(p) : 0;
	free(p);
}

static void *
tell(void *unused)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		(void)dprintf(fd, "%zu %zu", __sanitizer_get_current_allocated_bytes(), (size_t)of_json);
		close(fd);
	}
	return unused;
}

/* Before main(), which drops what this needs. */
__attribute__((constructor)) static void
begin(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const int len = snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "cm_counted.%d", (int)getpid());
	pthread_t thread;

	if (json_set_alloc_funcs != NULL)
		json_set_alloc_funcs(allocate, release);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener >= 0 && bind(listener, (const struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)) == 0 &&
	    listen(listener, 8) == 0 && pthread_create(&thread, NULL, tell, NULL) == 0)
		(void)pthread_detach(thread);
}
