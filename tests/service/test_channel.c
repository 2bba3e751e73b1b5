/* tests/service/test_channel.c - one message, one datagram, descriptors beside it; nobody waits for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "service/channel.h"

#define SOON	cm_deadline_in(20000)

struct pair {
	struct cm_channel *a, *b;
};

static void
make(struct pair *p)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
	assert_int_equal(cm_channel_new(fds[0], &p->a), CM_OK);
	assert_int_equal(cm_channel_new(fds[1], &p->b), CM_OK);
}

static void
end(struct pair *p)
{
	cm_channel_free(&p->a);
	cm_channel_free(&p->b);
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void
test_messages_keep_their_bounds(void **state)
{
	const struct cm_message first = { .kind = CM_MESSAGE_OPEN, .reader = (char *)"R", .deadline = 5 };
	const struct cm_message second = { .kind = CM_MESSAGE_KDC_STATE };
	struct cm_message m;
	struct pair p;

	(void)state;
	make(&p);
	assert_int_equal(cm_channel_send(p.a, &first, NULL, 0, SOON), CM_OK);
	assert_int_equal(cm_channel_send(p.a, &second, NULL, 0, SOON), CM_OK);
	assert_int_equal(cm_channel_receive(p.b, SOON, &m, NULL, 0), CM_OK);
	assert_int_equal(m.kind, CM_MESSAGE_OPEN);
	assert_string_equal(m.reader, "R");
	cm_message_clear(&m);
	assert_int_equal(cm_channel_receive(p.b, SOON, &m, NULL, 0), CM_OK);
	assert_int_equal(m.kind, CM_MESSAGE_KDC_STATE);
	end(&p);
}

/* The PIN's way: what is written into the pipe is read by who was handed it, and it is closed on exec. */
static void
test_descriptor_travels(void **state)
{
	const struct cm_message m = { .kind = CM_MESSAGE_VERIFY };
	int pipes[2], got[2];
	struct cm_message r;
	struct pair p;
	char text[4] = "";

	(void)state;
	make(&p);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(cm_channel_send(p.a, &m, &pipes[0], 1, SOON), CM_OK);
	close(pipes[0]);
	assert_int_equal(cm_channel_receive(p.b, SOON, &r, got, 2), CM_OK);
	assert_int_equal(got[1], -1);
	assert_int_equal(fcntl(got[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(write(pipes[1], "abc", 3), 3);
	assert_int_equal(read(got[0], text, 3), 3);
	assert_string_equal(text, "abc");
	close(got[0]);
	close(pipes[1]);
	end(&p);
}

/* Descriptors nobody asked for are closed, and who sent them is not heard any more. */
static void
test_unwanted_descriptors(void **state)
{
	const struct cm_message m = { .kind = CM_MESSAGE_KDC_STATE };
	struct cm_message r;

	(void)state;
	for (size_t wanted = 0; wanted < 2; wanted++) {
		int pipes[2], got[1], lowest;
		struct pair p;

		make(&p);
		assert_int_equal(pipe(pipes), 0);
		assert_int_equal(cm_channel_send(p.a, &m, pipes, wanted + 1, SOON), CM_OK);
		lowest = dup(pipes[0]);
		close(lowest);
		assert_int_equal(cm_channel_receive(p.b, SOON, &r, got, wanted), CM_ERR_SYNTAX);
		assert_false(is_open(lowest));	/* where the kernel put the first one */
		assert_int_equal(cm_channel_send(p.a, &m, NULL, 0, SOON), CM_OK);
		assert_int_equal(cm_channel_receive(p.b, SOON, &r, NULL, 0), CM_ERR_OFFLINE);
		assert_true(cm_channel_is_gone(p.b));
		close(pipes[0]);
		close(pipes[1]);
		end(&p);
	}
	assert_int_equal(cm_channel_send(NULL, &m, (const int[]){ 0, 0, 0 }, 3, SOON), CM_ERR_USAGE);
}

static void
test_gone_is_not_silent(void **state)
{
	const struct cm_message m = { .kind = CM_MESSAGE_KDC_STATE };
	struct cm_message r;
	struct pair p;

	(void)state;
	make(&p);
	assert_int_equal(cm_channel_receive(p.b, cm_deadline_in(1), &r, NULL, 0), CM_ERR_OFFLINE);
	assert_false(cm_channel_is_gone(p.b));
	cm_channel_free(&p.a);
	assert_int_equal(cm_channel_receive(p.b, SOON, &r, NULL, 0), CM_ERR_OFFLINE);
	assert_true(cm_channel_is_gone(p.b));
	assert_int_equal(cm_channel_send(p.b, &m, NULL, 0, SOON), CM_ERR_OFFLINE);	/* and no SIGPIPE */
	end(&p);
	make(&p);
	cm_channel_free(&p.a);
	assert_int_equal(cm_channel_send(p.b, &m, NULL, 0, SOON), CM_ERR_OFFLINE);
	assert_true(cm_channel_is_gone(p.b));
	end(&p);
}

/* Who reads nothing makes nobody wait beyond the deadline. */
static void
test_full(void **state)
{
	static uint8_t der[16000];
	const struct cm_message m = { .kind = CM_MESSAGE_CHAIN, .certificate = { der, sizeof(der) } };
	enum cm_err err = CM_OK;
	struct pair p;

	(void)state;
	make(&p);
	for (size_t i = 0; err == CM_OK && i < 100000; i++)
		err = cm_channel_send(p.a, &m, NULL, 0, cm_deadline_in(10));
	assert_int_equal(err, CM_ERR_OFFLINE);
	assert_false(cm_channel_is_gone(p.a));
	end(&p);
}

static void
send_octets(const struct pair *p, const void *octets, size_t len)
{
	assert_int_equal(send(cm_channel_fd(p->a), octets, len, 0), len);
}

static void
test_no_message(void **state)
{
	static uint8_t much[CM_MESSAGE_MAX + 1];
	static const struct {
		const void *octets;
		size_t len;
	} bad[] = { { "x", 1 }, { "\377\0\0\0\0\0\0\0", 8 }, { "\0\0\0\0\0\0\0\0", 8 }, { much, sizeof(much) } };
	struct cm_message r;

	(void)state;
	for (size_t i = 0; i < CM_COUNT(bad); i++) {
		struct pair p;

		make(&p);
		send_octets(&p, bad[i].octets, bad[i].len);
		assert_int_equal(cm_channel_receive(p.b, SOON, &r, NULL, 0), CM_ERR_SYNTAX);
		assert_true(cm_channel_is_gone(p.b));
		end(&p);
	}
}

/* What is not the answer, or comes late, is not taken for one, nor for the next. */
static void
test_ask(void **state)
{
	const struct cm_message question = { .kind = CM_MESSAGE_KDC_STATE };
	const struct cm_message good = { .kind = CM_MESSAGE_KDC_STATED, .kdc_silent = 1 };
	struct cm_message r;
	struct pair p;

	(void)state;
	make(&p);
	assert_int_equal(cm_channel_send(p.b, &good, NULL, 0, SOON), CM_OK);
	assert_int_equal(cm_channel_ask(p.a, &question, NULL, 0, CM_MESSAGE_KDC_STATED, SOON, &r), CM_OK);
	assert_int_equal(r.kdc_silent, 1);
	cm_message_clear(&r);
	assert_int_equal(cm_channel_send(p.b, &question, NULL, 0, SOON), CM_OK);
	assert_int_equal(cm_channel_ask(p.a, &question, NULL, 0, CM_MESSAGE_KDC_STATED, SOON, &r), CM_ERR_SYNTAX);
	assert_int_equal(cm_channel_ask(p.a, &question, NULL, 0, CM_MESSAGE_KDC_STATED, SOON, &r), CM_ERR_OFFLINE);
	end(&p);
	make(&p);
	assert_int_equal(cm_channel_ask(p.a, &question, NULL, 0, CM_MESSAGE_KDC_STATED, cm_deadline_in(1), &r), CM_ERR_OFFLINE);
	assert_int_equal(cm_channel_send(p.b, &good, NULL, 0, SOON), CM_OK);
	assert_int_equal(cm_channel_ask(p.a, &question, NULL, 0, CM_MESSAGE_KDC_STATED, SOON, &r), CM_ERR_OFFLINE);
	assert_int_equal(r.kind, CM_MESSAGE_NONE);
	end(&p);
}

static void
test_other_sockets(void **state)
{
	struct cm_channel *c;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(cm_channel_new(fds[0], &c), CM_ERR_USAGE);
	assert_null(c);
	assert_int_equal(cm_channel_new(-1, &c), CM_ERR_USAGE);
	close(fds[0]);
	close(fds[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages_keep_their_bounds),
		cmocka_unit_test(test_descriptor_travels),
		cmocka_unit_test(test_unwanted_descriptors),
		cmocka_unit_test(test_gone_is_not_silent),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_no_message),
		cmocka_unit_test(test_ask),
		cmocka_unit_test(test_other_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
