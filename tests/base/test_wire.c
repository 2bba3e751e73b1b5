/* tests/base/test_wire.c - messages and descriptors over real sockets: whole, in time, within limits, or the connection ends. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/closing.h"
#include "base/wire.h"

#define MAX	64
#define SOON	10000	/* ms: much longer than what a slow machine needs */
#define BRIEF	150

static const struct cm_wire_limits usual = { .message_max = MAX, .descriptors_max = 3 };

/* A wire of these limits, and the bare other side. */
static struct cm_wire *
open_wire(const struct cm_wire_limits *limits, int *other)
{
	struct cm_wire *w = NULL;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(cm_wire_new(fds[0], limits, &w), CM_OK);
	*other = fds[1];
	return w;
}

static size_t
count_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	assert_non_null(d);
	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

static void
put(int fd, const char *bytes, size_t len)
{
	assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
}

static void
put_beside(int fd, const char *bytes, size_t len, size_t count)
{
	int fds[CM_WIRE_DESCRIPTORS_MAX + 1];
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(fds))];
	} control = { .header = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(count * sizeof(int)) } };
	struct iovec part = { (void *)(uintptr_t)bytes, len };
	struct msghdr m = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(count * sizeof(int)),
	};

	for (size_t i = 0; i < count; i++)
		fds[i] = STDERR_FILENO;
	memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
	assert_int_equal(sendmsg(fd, &m, MSG_NOSIGNAL), (ssize_t)len);
}

static void
assert_receives(struct cm_wire *w, const char *want)
{
	struct cm_blob m;

	assert_int_equal(cm_wire_receive(w, cm_deadline_in(SOON), &m), CM_OK);
	assert_string_equal((const char *)m.ptr, want);
	assert_int_equal(m.len, strlen(want));
}

static void
assert_nothing_yet(struct cm_wire *w)
{
	struct cm_blob m;

	assert_int_equal(cm_wire_receive(w, cm_deadline_in(0), &m), CM_ERR_OFFLINE);
	assert_int_equal(cm_wire_end(w), CM_WIRE_OPEN);
	assert_null(m.ptr);
}

/* It ended this way, goes on being ended, and the other side is told. */
static void
assert_ends(struct cm_wire *w, enum cm_wire_end end, enum cm_err err)
{
	struct cm_blob m;

	assert_int_equal(cm_wire_receive(w, cm_deadline_in(SOON), &m), err);
	assert_int_equal(cm_wire_end(w), end);
	assert_int_equal(cm_wire_receive(w, cm_deadline_in(SOON), &m), err);
	assert_int_equal(cm_wire_send(w, cm_blob_str("x"), NULL, 0, cm_deadline_in(SOON)), err == CM_ERR_ABSENT ? CM_ERR_OFFLINE : err);
	assert_int_equal(cm_wire_end(w), end);
	assert_int_equal(cm_wire_take_descriptor(w), -1);
}

/* However the bytes come, the same messages come out. */
static void
test_framing(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *messages[4];
	} cases[] = {
		{ "a\0", 2, { "a" } },
		{ "{\"a\":1}\0{}\0", 11, { "{\"a\":1}", "{}" } },
		{ "a\0b\0cc\0", 7, { "a", "b", "cc" } },
		{ "\n\0 \xff\0", 5, { "\n", " \xff" } },
		{ "0123456789012345678901234567890123456789012345678901234567890123\0a\0", 67,
		    { "0123456789012345678901234567890123456789012345678901234567890123", "a" } },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++)
		for (size_t step = 1; step <= cases[i].len; step++) {
			int other;
			struct cm_wire *w = open_wire(&usual, &other);
			size_t next = 0;

			for (size_t at = 0; at < cases[i].len; at += step) {
				const size_t n = cases[i].len - at < step ? cases[i].len - at : step;

				put(other, cases[i].bytes + at, n);
				for (size_t k = 0; k < n; k++)
					if (cases[i].bytes[at + k] == '\0')
						assert_receives(w, cases[i].messages[next++]);
				assert_nothing_yet(w);
			}
			close(other);
			assert_ends(w, CM_WIRE_CLOSED, CM_ERR_ABSENT);
			cm_wire_free(&w);
			assert_null(w);
		}
}

static void
test_broken_limits(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		enum cm_wire_end end;
		enum cm_err err;
	} cases[] = {
		{ "0123456789012345678901234567890123456789012345678901234567890123x", 65, CM_WIRE_TOO_LONG, CM_ERR_SYNTAX },
		{ "0123456789012345678901234567890123456789012345678901234567890123x\0", 66, CM_WIRE_TOO_LONG, CM_ERR_SYNTAX },
		{ "\0a\0", 3, CM_WIRE_EMPTY, CM_ERR_SYNTAX },
		{ "half", 4, CM_WIRE_CUT, CM_ERR_OFFLINE },
		{ "", 0, CM_WIRE_CLOSED, CM_ERR_ABSENT },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		int other;
		struct cm_wire *w = open_wire(&usual, &other);
		char byte;

		put(other, cases[i].bytes, cases[i].len);
		shutdown(other, SHUT_WR);
		assert_ends(w, cases[i].end, cases[i].err);
		assert_int_equal(recv(other, &byte, 1, MSG_DONTWAIT), 0);
		close(other);
		cm_wire_free(&w);
	}
	assert_string_equal(cm_wire_end_name(CM_WIRE_TOO_LONG), "TOO_LONG");
	assert_non_null(strstr(cm_wire_end_text(CM_WIRE_TOO_LONG), "longer"));
}

/* What the caller waited for in vain is not lost; what the other side may take over one message is bounded. */
static void
test_slow(void **state)
{
	const struct cm_wire_limits limits = { .message_max = MAX, .message_ms = BRIEF };
	struct cm_blob m;
	cm_deadline due;
	struct cm_wire *w;
	int other;
	int64_t began;

	(void)state;
	w = open_wire(&usual, &other);
	put(other, "ab", 2);
	assert_int_equal(cm_wire_receive(w, cm_deadline_in(BRIEF), &m), CM_ERR_OFFLINE);
	assert_int_equal(cm_wire_end(w), CM_WIRE_OPEN);
	assert_false(cm_wire_is_due(w, &due));
	put(other, "c", 2);
	assert_receives(w, "abc");
	close(other);
	cm_wire_free(&w);

	w = open_wire(&limits, &other);
	assert_int_equal(cm_wire_receive(w, cm_deadline_in(2 * BRIEF), &m), CM_ERR_OFFLINE);
	assert_int_equal(cm_wire_end(w), CM_WIRE_OPEN);	/* nothing was begun */
	assert_false(cm_wire_is_due(w, &due));
	began = cm_clock_us();
	put(other, "a", 1);
	assert_nothing_yet(w);
	assert_true(cm_wire_is_due(w, &due));
	assert_in_range(cm_deadline_left(due), 0, BRIEF);
	assert_int_equal(cm_wire_receive(w, cm_deadline_in(SOON), &m), CM_ERR_OFFLINE);
	assert_in_range(cm_clock_us() - began, (BRIEF - 5) * 1000, SOON * 500);
	assert_int_equal(cm_wire_end(w), CM_WIRE_SLOW);
	close(other);
	cm_wire_free(&w);
}

/* Drips so slowly that each byte comes in time, and the message does not. */
static void
test_drip(void **state)
{
	const struct cm_wire_limits limits = { .message_max = MAX, .message_ms = BRIEF };
	struct cm_blob m;
	int other;
	struct cm_wire *w = open_wire(&limits, &other);
	enum cm_err err = CM_ERR_OFFLINE;
	int sent = 0;

	(void)state;
	for (; sent < MAX && cm_wire_end(w) == CM_WIRE_OPEN; sent++) {
		put(other, "a", 1);
		err = cm_wire_receive(w, cm_deadline_in(BRIEF / 4), &m);
	}
	assert_int_equal(err, CM_ERR_OFFLINE);
	assert_int_equal(cm_wire_end(w), CM_WIRE_SLOW);
	close(other);
	cm_wire_free(&w);
}

/* More than the socket takes at once; the descriptor beside it goes once, whatever the number of writes. */
static void
test_large(void **state)
{
	const struct cm_wire_limits limits = { .message_max = 4 << 20, .descriptors_max = 1 };
	const size_t len = limits.message_max - 1;
	char *bytes = malloc(len + 1);
	struct cm_blob m = { NULL, 0 };
	struct cm_wire *w;
	pid_t child;
	int other, status;

	(void)state;
	assert_non_null(bytes);
	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)('a' + i % 23);
	w = open_wire(&limits, &other);
	if ((child = fork()) == 0) {
		struct cm_wire *mine = NULL;
		const int beside = STDERR_FILENO;
		const bool sent = cm_wire_new(other, &limits, &mine) == CM_OK &&
		    cm_wire_send(mine, (struct cm_blob){ (const uint8_t *)bytes, len }, &beside, 1, cm_deadline_in(SOON)) == CM_OK;

		_exit(sent ? 0 : 1);
	}
	assert_true(child > 0);
	close(other);
	assert_int_equal(cm_wire_receive(w, cm_deadline_in(SOON), &m), CM_OK);
	assert_int_equal(m.len, len);
	assert_memory_equal(m.ptr, bytes, len);
	assert_int_equal(cm_wire_descriptors(w), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	cm_wire_free(&w);
	free(bytes);
}

/* Who does not read holds nobody up; only a torn message costs the connection. */
static void
test_send_to_nobody(void **state)
{
	const struct cm_wire_limits limits = { .message_max = 4 << 20 };
	char *bytes = calloc(1, limits.message_max + 1);
	struct cm_blob large = { (const uint8_t *)bytes, limits.message_max };
	struct cm_wire *w;
	int other;
	enum cm_err err = CM_OK;

	(void)state;
	assert_non_null(bytes);
	memset(bytes, 'a', limits.message_max);
	w = open_wire(&limits, &other);
	assert_int_equal(cm_wire_send(w, large, NULL, 0, cm_deadline_in(BRIEF)), CM_ERR_OFFLINE);
	assert_int_equal(cm_wire_end(w), CM_WIRE_GIVEN_UP);
	close(other);
	cm_wire_free(&w);

	w = open_wire(&limits, &other);
	while (err == CM_OK)
		err = cm_wire_send(w, cm_blob_str("x"), NULL, 0, cm_deadline_in(0));
	assert_int_equal(err, CM_ERR_OFFLINE);
	assert_int_equal(cm_wire_end(w), CM_WIRE_OPEN);
	close(other);
	/* The usual action of SIGPIPE would end the test here. */
	assert_int_equal(cm_wire_send(w, cm_blob_str("x"), NULL, 0, cm_deadline_in(SOON)), CM_ERR_OFFLINE);
	assert_int_equal(cm_wire_end(w), CM_WIRE_GONE);
	cm_wire_free(&w);
	free(bytes);
}

static void
test_misuse(void **state)
{
	const struct cm_wire_limits none = { .message_max = 0 }, many = { .message_max = 1, .descriptors_max = 17 };
	struct cm_wire *w;
	int other, fds[CM_WIRE_DESCRIPTORS_MAX + 1] = { 0 }, datagram[2];
	char long_one[MAX + 2] = "";

	(void)state;
	w = open_wire(&usual, &other);
	memset(long_one, 'a', MAX + 1);
	assert_int_equal(cm_wire_send(w, cm_blob_str(long_one), NULL, 0, cm_deadline_in(SOON)), CM_ERR_USAGE);
	assert_int_equal(cm_wire_send(w, cm_blob_str(""), NULL, 0, cm_deadline_in(SOON)), CM_ERR_USAGE);
	assert_int_equal(cm_wire_send(w, (struct cm_blob){ (const uint8_t *)"a\0b", 3 }, NULL, 0, cm_deadline_in(SOON)), CM_ERR_USAGE);
	assert_int_equal(cm_wire_send(w, cm_blob_str("a"), fds, CM_COUNT(fds), cm_deadline_in(SOON)), CM_ERR_USAGE);
	assert_int_equal(recv(other, long_one, 1, MSG_DONTWAIT), -1);
	assert_int_equal(cm_wire_end(w), CM_WIRE_OPEN);
	close(other);
	cm_wire_free(&w);

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, datagram), 0);
	assert_int_equal(cm_wire_new(datagram[0], &usual, &w), CM_ERR_USAGE);
	assert_int_equal(fcntl(datagram[0], F_GETFD), -1);
	close(datagram[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, datagram), 0);
	assert_int_equal(cm_wire_new(datagram[0], &none, &w), CM_ERR_USAGE);
	assert_int_equal(cm_wire_new(datagram[1], &many, &w), CM_ERR_USAGE);
	assert_int_equal(fcntl(datagram[1], F_GETFD), -1);
}

/* ---- descriptors */

static void
test_descriptors_go_with_their_message(void **state)
{
	const size_t before = count_descriptors();
	const struct cm_wire_limits limits = usual;
	struct cm_wire *from = NULL, *to;
	int other, fds[2], got;
	struct stat a, b;

	(void)state;
	to = open_wire(&limits, &other);
	assert_int_equal(cm_wire_new(other, &limits, &from), CM_OK);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	/* All of it is there before anything is read. */
	assert_int_equal(cm_wire_send(from, cm_blob_str("none"), NULL, 0, cm_deadline_in(SOON)), CM_OK);
	assert_int_equal(cm_wire_send(from, cm_blob_str("two"), fds, 2, cm_deadline_in(SOON)), CM_OK);
	assert_int_equal(cm_wire_send(from, cm_blob_str("one"), fds + 1, 1, cm_deadline_in(SOON)), CM_OK);
	assert_int_equal(cm_wire_send(from, cm_blob_str("none"), NULL, 0, cm_deadline_in(SOON)), CM_OK);
	assert_receives(to, "none");
	assert_int_equal(cm_wire_descriptors(to), 0);
	assert_receives(to, "two");
	assert_int_equal(cm_wire_descriptors(to), 2);
	assert_true((got = cm_wire_take_descriptor(to)) >= 0);
	assert_int_equal(fcntl(got, F_GETFD), FD_CLOEXEC);
	assert_int_equal(fstat(got, &a) | fstat(fds[0], &b), 0);
	assert_true(a.st_ino == b.st_ino && (fcntl(got, F_GETFL) & O_ACCMODE) == O_RDONLY);
	close(got);
	assert_receives(to, "one");	/* the second of two, which nobody took, is closed */
	assert_int_equal(cm_wire_descriptors(to), 1);
	assert_receives(to, "none");
	assert_int_equal(cm_wire_take_descriptor(to), -1);
	cm_wire_free(&from);
	cm_wire_free(&to);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(count_descriptors(), before);
}

/* Surplus ends the connection, and nothing of it stays open. */
static void
test_descriptors_beyond_the_limit(void **state)
{
	static const struct {
		unsigned limit;
		size_t first, second;	/* beside the message's first byte, and its second */
		bool fits;
	} cases[] = {
		{ 3, 3, 0, true }, { 3, 2, 1, true }, { 1, 1, 0, true }, { 16, 16, 0, true }, { 0, 0, 0, true },
		{ 3, 4, 0, false }, { 3, 3, 1, false }, { 3, 2, 2, false }, { 1, 2, 0, false }, { 0, 1, 0, false },
		{ 0, 0, 1, false }, { 16, 17, 0, false }, { 16, 16, 16, false }, { 3, 0, 17, false },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		const size_t before = count_descriptors();
		const struct cm_wire_limits limits = { .message_max = MAX, .descriptors_max = cases[i].limit };
		int other;
		struct cm_wire *w = open_wire(&limits, &other);

		if (cases[i].first > 0)
			put_beside(other, "a", 1, cases[i].first);
		else
			put(other, "a", 1);
		if (cases[i].second > 0)
			put_beside(other, "b", 2, cases[i].second);
		else
			put(other, "b", 2);
		if (cases[i].fits) {
			assert_receives(w, "ab");
			assert_int_equal(cm_wire_descriptors(w), cases[i].first + cases[i].second);
		} else {
			assert_ends(w, CM_WIRE_DESCRIPTORS, CM_ERR_SYNTAX);
			assert_int_equal(count_descriptors(), before + 2);
		}
		close(other);
		cm_wire_free(&w);
		assert_int_equal(count_descriptors(), before);
	}
}

/* A message that never became whole takes its descriptors with it. */
static void
test_descriptors_of_half_a_message(void **state)
{
	const size_t before = count_descriptors();
	int other;
	struct cm_wire *w = open_wire(&usual, &other);

	(void)state;
	put_beside(other, "half", 4, 2);
	assert_nothing_yet(w);
	assert_int_equal(count_descriptors(), before + 4);
	assert_int_equal(cm_wire_take_descriptor(w), -1);
	close(other);
	assert_ends(w, CM_WIRE_CUT, CM_ERR_OFFLINE);
	assert_int_equal(count_descriptors(), before + 1);
	cm_wire_free(&w);
}

static void
test_no_descriptor_left(void **state)
{
	const size_t before = count_descriptors();
	struct rlimit old, tight;
	int other;
	struct cm_wire *w = open_wire(&usual, &other);

	(void)state;
	put_beside(other, "ab", 3, 3);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	tight = (struct rlimit){ (rlim_t)dup(other) + 2, old.rlim_max };	/* room for one or two of three */
	close((int)tight.rlim_cur - 2);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	assert_ends(w, CM_WIRE_DESCRIPTORS, CM_ERR_SYNTAX);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	close(other);
	cm_wire_free(&w);
	assert_int_equal(count_descriptors(), before);
}

/* A socket that lingers for a peer who reads nothing: to close it takes as long as that one likes. */
static int
open_lingering(int *peer)
{
	const struct linger linger = { .l_onoff = 1, .l_linger = 3600 };
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(here);
	char bytes[4096] = { 0 };

	assert_int_equal(bind(listener, (struct sockaddr *)&here, sizeof(here)) | listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&here, &len), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&here, sizeof(here)), 0);
	assert_true((*peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0);
	close(listener);
	while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	return fd;
}

static void
put_one_beside(int to, const char *bytes, size_t len, int fd)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec part = { (void *)(uintptr_t)bytes, len };
	struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	assert_int_equal(sendmsg(to, &m, MSG_NOSIGNAL), (ssize_t)len);
	close(fd);
}

/* Taken and not wanted, more than is allowed, and not even received: whichever it is, nobody waits for its end. */
static void
test_descriptors_that_cannot_be_closed(void **state)
{
	static const struct {
		unsigned limit;
		bool received;
	} cases[] = { { 1, true }, { 0, true }, { 1, false } };
	struct cm_closing *closing = NULL;
	int peers[CM_COUNT(cases)];

	(void)state;
	assert_int_equal(cm_closing_new(&closing), CM_OK);
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		const struct cm_wire_limits limits = { .message_max = MAX, .descriptors_max = cases[i].limit, .closing = closing };
		int other;
		struct cm_wire *w = open_wire(&limits, &other);
		struct cm_blob got;

		put_one_beside(other, "m", 2, open_lingering(&peers[i]));
		close(other);
		if (cases[i].received)
			assert_int_equal(cm_wire_receive(w, cm_deadline_in(SOON), &got), cases[i].limit > 0 ? CM_OK : CM_ERR_SYNTAX);
		cm_wire_free(&w);
		assert_int_equal(cm_closing_left(closing, geteuid()), i + 1);
	}
	for (size_t i = 0; i < CM_COUNT(cases); i++)
		close(peers[i]);
	while (cm_closing_left(closing, geteuid()) > 0)
		poll(NULL, 0, 1);
	cm_closing_free(&closing);
}

/* Who sends many of them is heard no more, and others are; and what was given is closed once it can be. */
static void
test_too_many_that_cannot_be_closed(void **state)
{
	const size_t before = count_descriptors();
	struct cm_closing *closing = NULL;
	struct cm_wire_limits limits = usual;
	int peers[CM_CLOSING_MOST + 1], fds[CM_CLOSING_MOST + 1], other;
	struct cm_wire *w;

	(void)state;
	assert_int_equal(cm_closing_new(&closing), CM_OK);
	limits.closing = closing;
	w = open_wire(&limits, &other);
	for (size_t i = 0; i < CM_COUNT(fds); i++)
		fds[i] = open_lingering(&peers[i]);
	cm_closing_give(closing, geteuid() + 1, fds, CM_COUNT(fds));
	put(other, "a", 2);
	assert_receives(w, "a");
	for (size_t i = 0; i < CM_COUNT(peers); i++)
		close(peers[i]);
	while (cm_closing_left(closing, geteuid() + 1) > 0)
		poll(NULL, 0, 1);
	for (size_t i = 0; i < CM_COUNT(fds); i++)
		fds[i] = open_lingering(&peers[i]);
	cm_closing_give(closing, geteuid(), fds, CM_COUNT(fds));
	put(other, "b", 2);
	assert_ends(w, CM_WIRE_DESCRIPTORS, CM_ERR_SYNTAX);
	for (size_t i = 0; i < CM_COUNT(peers); i++)
		close(peers[i]);
	close(other);
	cm_wire_free(&w);
	while (cm_closing_left(closing, geteuid()) > 0)
		poll(NULL, 0, 1);
	cm_closing_free(&closing);
	assert_int_equal(count_descriptors(), before);
}

static void
test_peer(void **state)
{
	int other;
	struct cm_wire *w = open_wire(&usual, &other);
	const struct cm_wire_peer peer = cm_wire_peer(w);
	const int fd = cm_wire_peer_pidfd(w);

	(void)state;
	assert_int_equal(peer.pid, getpid());
	assert_int_equal(peer.uid, geteuid());
	assert_int_equal(peer.gid, getegid());
	if (fd >= 0) {
		assert_int_equal(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0), 0);
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		close(fd);
	} else {
		assert_int_equal(errno, ENOPROTOOPT);	/* before Linux 6.5 */
	}
	close(other);
	cm_wire_free(&w);
}

/* ---- sockets with a name */

struct place {
	char folder[32], path[64], lock[80];
};

static void
make_place(struct place *p)
{
	snprintf(p->folder, sizeof(p->folder), "/tmp/cm-wire.XXXXXX");
	assert_non_null(mkdtemp(p->folder));
	snprintf(p->path, sizeof(p->path), "%s/socket", p->folder);
	snprintf(p->lock, sizeof(p->lock), "%s.lock", p->path);
}

static void
clear_place(const struct place *p)
{
	unlink(p->path);
	unlink(p->lock);
	assert_int_equal(rmdir(p->folder), 0);
}

static void
test_listen(void **state)
{
	static const mode_t modes[] = { 0600, 0666, 0660 };
	struct place p;
	struct cm_wire *client = NULL, *server = NULL;
	struct stat st;
	int fd;

	(void)state;
	make_place(&p);
	for (size_t i = 0; i < CM_COUNT(modes); i++) {
		assert_int_equal(cm_wire_connect(p.path, &usual, cm_deadline_in(0), &client), CM_ERR_OFFLINE);
		/* What the one before left behind is taken away. */
		assert_int_equal(cm_wire_listen(p.path, modes[i], NULL, &fd), CM_OK);
		assert_int_equal(lstat(p.path, &st), 0);
		assert_int_equal(st.st_mode, S_IFSOCK | modes[i]);
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		assert_int_equal(cm_wire_accept(fd, &usual, &server), CM_ERR_ABSENT);
		assert_int_equal(cm_wire_connect(p.path, &usual, cm_deadline_in(SOON), &client), CM_OK);
		assert_int_equal(cm_wire_accept(fd, &usual, &server), CM_OK);
		assert_int_equal(fcntl(cm_wire_fd(server), F_GETFD), FD_CLOEXEC);
		assert_int_equal(cm_wire_peer(server).pid, getpid());
		assert_int_equal(cm_wire_send(client, cm_blob_str("hello"), NULL, 0, cm_deadline_in(SOON)), CM_OK);
		assert_receives(server, "hello");
		cm_wire_free(&client);
		assert_ends(server, CM_WIRE_CLOSED, CM_ERR_ABSENT);
		cm_wire_free(&server);
		close(fd);
	}
	clear_place(&p);
}

static void
assert_refused(const char *path, const char *why)
{
	const size_t before = count_descriptors();
	struct cm_trace *t = NULL;
	int fd = 0;

	assert_int_equal(cm_trace_new(&t), CM_OK);
	cm_trace_begin(t, "listen");
	assert_int_equal(cm_wire_listen(path, 0600, t, &fd), CM_ERR_CONFIG);
	assert_int_equal(fd, -1);
	assert_non_null(strstr(cm_trace_message(t), why));
	assert_non_null(strstr(cm_trace_message(t), path));
	cm_trace_free(&t);
	assert_int_equal(count_descriptors(), before);
}

static void
test_listen_refuses(void **state)
{
	struct place p, link;
	struct stat st;
	int fd, held;

	(void)state;
	make_place(&p);
	assert_refused("socket", "whole path");
	assert_refused("/tmp/", "whole path");
	assert_refused("/tmp/..", "whole path");
	assert_int_equal(chmod(p.folder, 0720), 0);
	assert_refused(p.path, "others may write");
	assert_int_equal(chmod(p.folder, 0700), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(p.folder, 65534, (gid_t)-1), 0);
		assert_refused(p.path, "belongs to uid 65534");
		assert_int_equal(chown(p.folder, 0, (gid_t)-1), 0);
	}

	make_place(&link);
	assert_int_equal(rmdir(link.folder), 0);
	assert_int_equal(symlink(p.folder, link.folder), 0);
	assert_refused(link.path, "a link");
	assert_int_equal(unlink(link.folder), 0);

	assert_int_equal(symlink("/dev/null", p.path), 0);
	assert_refused(p.path, "something else");
	assert_int_equal(lstat(p.path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(unlink(p.path), 0);

	assert_int_equal(cm_wire_listen(p.path, 0600, NULL, &fd), CM_OK);
	assert_refused(p.path, "another process serves");
	assert_int_equal(lstat(p.path, &st), 0);
	close(fd);

	held = open(p.lock, O_RDWR | O_CLOEXEC);
	assert_int_equal(flock(held, LOCK_EX), 0);
	assert_refused(p.path, "just beginning");
	close(held);
	clear_place(&p);
}

/* Nobody takes connections, and the queue is full. */
static void
test_connect_in_time(void **state)
{
	struct place p;
	struct cm_wire *all[8] = { NULL };
	char long_path[200];
	int fd;
	size_t n = 0;
	enum cm_err err = CM_OK;
	int64_t began;

	(void)state;
	make_place(&p);
	assert_int_equal(cm_wire_listen(p.path, 0600, NULL, &fd), CM_OK);
	assert_int_equal(listen(fd, 0), 0);
	while (err == CM_OK && n < CM_COUNT(all)) {
		began = cm_clock_us();
		err = cm_wire_connect(p.path, &usual, cm_deadline_in(BRIEF), &all[n++]);
	}
	assert_int_equal(err, CM_ERR_OFFLINE);
	assert_in_range(cm_clock_us() - began, (BRIEF - 10) * 1000, SOON * 500);
	for (size_t i = 0; i < n; i++)
		cm_wire_free(&all[i]);
	close(fd);
	memset(long_path, '/', sizeof(long_path));
	long_path[sizeof(long_path) - 1] = '\0';
	assert_int_equal(cm_wire_connect(long_path, &usual, cm_deadline_in(SOON), &all[0]), CM_ERR_USAGE);
	clear_place(&p);
}

#define MANY	1000

/* Each of a thousand gets its own answer, those among them that say half a word harm nobody. */
static void
test_thousand(void **state)
{
	struct cm_wire *clients[MANY], *servers[MANY], *nobody;
	struct rlimit old, more;
	struct place p;
	struct cm_blob m;
	char text[16];
	int fd;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	more = (struct rlimit){ 2 * MANY + 100, old.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &more), 0);
	make_place(&p);
	assert_int_equal(cm_wire_listen(p.path, 0600, NULL, &fd), CM_OK);
	for (int i = 0; i < MANY; i++) {
		assert_int_equal(cm_wire_connect(p.path, &usual, cm_deadline_in(SOON), &clients[i]), CM_OK);
		snprintf(text, sizeof(text), "%d", i);
		if (i % 10 == 0)
			put(cm_wire_fd(clients[i]), "half", 4);
		else
			assert_int_equal(cm_wire_send(clients[i], cm_blob_str(text), NULL, 0, cm_deadline_in(SOON)), CM_OK);
	}
	for (int i = 0; i < MANY; i++)
		assert_int_equal(cm_wire_accept(fd, &usual, &servers[i]), CM_OK);
	assert_int_equal(cm_wire_accept(fd, &usual, &nobody), CM_ERR_ABSENT);
	for (int i = 0; i < MANY; i++) {
		const enum cm_err err = cm_wire_receive(servers[i], cm_deadline_in(0), &m);

		assert_int_equal(err, i % 10 == 0 ? CM_ERR_OFFLINE : CM_OK);
		if (err == CM_OK)
			assert_int_equal(cm_wire_send(servers[i], m, NULL, 0, cm_deadline_in(0)), CM_OK);
	}
	for (int i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "%d", i);
		if (i % 10 != 0)
			assert_receives(clients[i], text);
		cm_wire_free(&clients[i]);
		cm_wire_free(&servers[i]);
	}
	close(fd);
	clear_place(&p);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
}

/* ---- from the service manager */

/* In a process of its own: its descriptors 3 and 4 are listening sockets, of streams and of packets, 5 is none.  0, or where it went wrong. */
static int
inherit(const char *pid, const char *count, const char *names, enum cm_err want, const char *name)
{
	struct cm_wire_inherited got;
	char own[16];
	const struct sockaddr_un anonymous = { .sun_family = AF_UNIX };
	int fd;

	for (int i = 0; i < 2; i++) {
		const int s = socket(AF_UNIX, i == 0 ? SOCK_STREAM : SOCK_SEQPACKET, 0);

		/* An abstract name of the kernel's choice: unix(7), "autobind". */
		if (bind(s, (const struct sockaddr *)&anonymous, sizeof(sa_family_t)) != 0 || listen(s, 1) != 0 || dup2(s, 3 + i) < 0)
			return 10;
	}
	if (dup2(open("/dev/null", O_RDONLY), 5) < 0)
		return 11;
	snprintf(own, sizeof(own), "%d", getpid());
	setenv("LISTEN_PID", pid != NULL ? pid : own, 1);
	setenv("LISTEN_FDS", count, 1);
	if (names != NULL)
		setenv("LISTEN_FDNAMES", names, 1);
	if (cm_wire_inherit(NULL, &got) != want)
		return 1;
	if (getenv("LISTEN_PID") != NULL || getenv("LISTEN_FDS") != NULL || getenv("LISTEN_FDNAMES") != NULL)
		return 2;
	if (want != CM_OK)
		return got.count == 0 && cm_wire_inherited_take(&got, "cardmapd", SOCK_STREAM) == -1 ? 0 : 3;
	if (name == NULL)
		return got.count == 0 ? 0 : 4;
	if (cm_wire_inherited_take(&got, name, SOCK_STREAM) != -1)
		return 8;
	if ((fd = cm_wire_inherited_take(&got, name, SOCK_SEQPACKET)) != 4 || fcntl(fd, F_GETFD) != FD_CLOEXEC ||
	    (fcntl(fd, F_GETFL) & O_NONBLOCK) == 0 || fcntl(3, F_GETFD) != FD_CLOEXEC)
		return 5;
	if (cm_wire_inherited_take(&got, name, SOCK_SEQPACKET) != -1)
		return 6;
	cm_wire_inherited_close(&got);
	return fcntl(3, F_GETFD) == -1 && fcntl(4, F_GETFD) != -1 && fcntl(5, F_GETFD) != -1 ? 0 : 7;
}

static void
test_inherit(void **state)
{
	static const struct {
		const char *pid, *count, *names;
		enum cm_err want;
		const char *name;	/* which descriptor 4 has */
	} cases[] = {
		{ NULL, "2", "cardmapd:resolver", CM_OK, "resolver" },
		{ NULL, "2", "cardmapd:", CM_OK, "" },
		{ "1", "2", "cardmapd:resolver", CM_OK, NULL },
		{ NULL, "0", NULL, CM_OK, NULL },
		{ "", "2", NULL, CM_ERR_CONFIG, NULL },
		{ "1x", "2", NULL, CM_ERR_CONFIG, NULL },
		{ NULL, "", NULL, CM_ERR_CONFIG, NULL },
		{ NULL, "-1", NULL, CM_ERR_CONFIG, NULL },
		{ NULL, "2 ", NULL, CM_ERR_CONFIG, NULL },
		{ NULL, "17", NULL, CM_ERR_CONFIG, NULL },
		{ NULL, "99999999999999999999", NULL, CM_ERR_CONFIG, NULL },
		{ NULL, "3", "a:b:c", CM_ERR_CONFIG, NULL },	/* the third is no socket */
		{ NULL, "2", "cardmapd", CM_ERR_CONFIG, NULL },
		{ NULL, "2", "cardmapd:resolver:other", CM_ERR_CONFIG, NULL },
		{ NULL, "2", "", CM_ERR_CONFIG, NULL },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		pid_t child;
		int status;

		if ((child = fork()) == 0)
			_exit(inherit(cases[i].pid, cases[i].count, cases[i].names, cases[i].want, cases[i].name));
		assert_int_equal(waitpid(child, &status, 0), child);
		if (status != 0)
			fail_msg("LISTEN_FDS=%s LISTEN_FDNAMES=%s: %#x", cases[i].count, cases[i].names != NULL ? cases[i].names : "-", (unsigned)status);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_framing),
		cmocka_unit_test(test_broken_limits),
		cmocka_unit_test(test_slow),
		cmocka_unit_test(test_drip),
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_send_to_nobody),
		cmocka_unit_test(test_misuse),
		cmocka_unit_test(test_descriptors_go_with_their_message),
		cmocka_unit_test(test_descriptors_beyond_the_limit),
		cmocka_unit_test(test_descriptors_of_half_a_message),
		cmocka_unit_test(test_no_descriptor_left),
		cmocka_unit_test(test_descriptors_that_cannot_be_closed),
		cmocka_unit_test(test_too_many_that_cannot_be_closed),
		cmocka_unit_test(test_peer),
		cmocka_unit_test(test_listen),
		cmocka_unit_test(test_listen_refuses),
		cmocka_unit_test(test_connect_in_time),
		cmocka_unit_test(test_thousand),
		cmocka_unit_test(test_inherit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
