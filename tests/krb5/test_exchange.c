/* tests/krb5/test_exchange.c - KDCs that are slow, hostile, or send datagrams that are too small. */
#include "krb5_rig.h"

#include <arpa/inet.h>
#include <krb5/krb5.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MESSAGE_MAX	65536

struct message {
	uint8_t bytes[MESSAGE_MAX];
	size_t len;
};

/*
 * A KDC of ours on 127.0.0.1, in a child: what it makes of a datagram and of a
 * request over TCP.  NULL: there is nobody.
 */
struct behaviour {
	void (*datagram)(struct message *m);	/* the request becomes the answer; len 0: none */
	void (*stream)(int fd);
};

struct server {
	int udp, tcp;
	char name[32];
	pid_t child;
};

/* ---- What a server does */

static void
krb_error(struct message *m, unsigned code)
{
	krb5_error e = { .error = code };
	krb5_data out;
	krb5_context c;

	assert_int_equal(krb5_init_context(&c), 0);
	assert_int_equal(krb5_parse_name(c, "krbtgt/CARDMAP.TEST@CARDMAP.TEST", &e.server), 0);
	assert_int_equal(krb5_mk_error(c, &e, &out), 0);
	memcpy(m->bytes, out.data, out.length);
	m->len = out.length;
	krb5_free_data_contents(c, &out);
	krb5_free_principal(c, e.server);
	krb5_free_context(c);
}

static void
datagram_silence(struct message *m)
{
	m->len = 0;
}

/* Whoever sends another is told so. */
static void
datagram_silence_once(struct message *m)
{
	static unsigned n;

	if (n++ == 0)
		m->len = 0;
	else
		krb_error(m, 120);
}

static void
datagram_garbage(struct message *m)
{
	memset(m->bytes, 0x55, m->len = 200);
}

static void
datagram_too_big(struct message *m)
{
	krb_error(m, 52);	/* KRB_ERR_RESPONSE_TOO_BIG */
}

static void
datagram_unavailable(struct message *m)
{
	krb_error(m, 29);	/* KDC_ERR_SVC_UNAVAILABLE */
}

static void
datagram_unknown_error(struct message *m)
{
	krb_error(m, 120);
}

static int
real_kdc(int type)
{
	const struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(8800),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const int fd = socket(AF_INET, type, 0);

	assert_string_equal(rig("CM_RIG_KDC"), "127.0.0.1:8800");
	assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

static void
datagram_relay(struct message *m)
{
	const int fd = real_kdc(SOCK_DGRAM);
	ssize_t n;

	assert_int_equal(send(fd, m->bytes, m->len, 0), m->len);
	assert_true((n = recv(fd, m->bytes, sizeof(m->bytes), 0)) > 0);
	m->len = (size_t)n;
	close(fd);
}

static void
read_all(int fd, uint8_t *p, size_t len)
{
	while (len > 0) {
		const ssize_t n = read(fd, p, len);

		if (n <= 0)
			_exit(1);
		p += n;
		len -= (size_t)n;
	}
}

static void
read_message(int fd, struct message *m)
{
	uint32_t len;

	read_all(fd, (uint8_t *)&len, sizeof(len));
	m->len = ntohl(len);
	assert_true(m->len <= sizeof(m->bytes));
	read_all(fd, m->bytes, m->len);
}

static void
write_message(int fd, const struct message *m)
{
	const uint32_t len = htonl((uint32_t)m->len);

	assert_int_equal(write(fd, &len, sizeof(len)), sizeof(len));
	assert_int_equal(write(fd, m->bytes, m->len), m->len);
}

static void
ask_real_kdc(int fd, struct message *m)
{
	const int kdc = real_kdc(SOCK_STREAM);

	read_message(fd, m);
	write_message(kdc, m);
	read_message(kdc, m);
	close(kdc);
}

static void
stream_relay(int fd)
{
	static struct message m;

	ask_real_kdc(fd, &m);
	write_message(fd, &m);
}

/* The reply names another client, where nothing seals the name. */
static void
stream_another_client(int fd)
{
	static struct message m;
	uint8_t *name;

	ask_real_kdc(fd, &m);
	if ((name = memmem(m.bytes, m.len, "alice", 5)) != NULL && m.bytes[0] == 0x6b)
		memcpy(name, "clara", 5);
	write_message(fd, &m);
}

static void
stream_close(int fd)
{
	(void)fd;
}

/* A length of 2 GiB - 1, and bytes without end. */
static void
stream_huge(int fd)
{
	static uint8_t zeros[65536];

	zeros[0] = 0x7f;
	zeros[1] = zeros[2] = zeros[3] = 0xff;
	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
}

static void
stream_negative(int fd)
{
	(void)!write(fd, "\x80\0\0\x10 and sixteen octets", 23);
}

static void
stream_empty(int fd)
{
	(void)!write(fd, "\0\0\0\0", 4);
}

static void
stream_short(int fd)
{
	(void)!write(fd, "\0\0\1\0 less than it said", 23);
}

static void
stream_drip(int fd)
{
	struct pollfd p = { .fd = fd };

	if (write(fd, "\0\0\1\0", 4) == 4)
		while (poll(&p, 1, 50) == 0 && write(fd, "k", 1) == 1)
			;
}

static void
stream_silence(int fd)
{
	struct message *m = calloc(1, sizeof(*m));

	read_message(fd, m);
	free(m);
	(void)!read(fd, &(char){ 0 }, 1);	/* until the other side goes */
}

/* ---- The server itself */

static void
serve(const struct server *s, const struct behaviour *b)
{
	static struct message m;
	struct pollfd p[] = { { .fd = s->udp, .events = POLLIN }, { .fd = s->tcp, .events = POLLIN } };

	signal(SIGPIPE, SIG_IGN);
	while (poll(p, 2, -1) > 0) {
		struct sockaddr_in from;
		socklen_t size = sizeof(from);

		if ((p[0].revents & POLLIN) != 0) {
			m.len = (size_t)recvfrom(s->udp, m.bytes, sizeof(m.bytes), 0, (struct sockaddr *)&from, &size);
			b->datagram(&m);
			if (m.len > 0)
				sendto(s->udp, m.bytes, m.len, 0, (struct sockaddr *)&from, size);
		}
		if ((p[1].revents & POLLIN) != 0) {
			const int fd = accept(s->tcp, NULL, NULL);

			b->stream(fd);
			close(fd);
		}
	}
}

/* Both sockets on one port, bound before anybody asks; where a behaviour is missing, nobody listens. */
static void
start(struct server *s, const struct behaviour *b)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(at);

	s->tcp = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(s->tcp, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(s->tcp, (struct sockaddr *)&at, &size), 0);
	s->udp = socket(AF_INET, SOCK_DGRAM, 0);
	if (b->datagram != NULL)
		assert_int_equal(bind(s->udp, (struct sockaddr *)&at, sizeof(at)), 0);
	if (b->stream != NULL)
		assert_int_equal(listen(s->tcp, 5), 0);
	snprintf(s->name, sizeof(s->name), "127.0.0.1:%u", ntohs(at.sin_port));
	if ((s->child = fork()) == 0) {
		serve(s, b);
		_exit(0);
	}
	assert_true(s->child > 0);
}

static void
stop(struct server *s)
{
	kill(s->child, SIGKILL);
	waitpid(s->child, NULL, 0);
	close(s->udp);
	close(s->tcp);
}

/* ---- Tests */

/* A login whose only KDC behaves so. */
static void
begin(struct server *s, struct login *l, const struct behaviour *b)
{
	start(s, b);
	login_begin(l, "alice-p256");
	l->kdcs[0] = s->name;
}

static void
end(struct server *s, struct login *l)
{
	login_end(l);
	stop(s);
}

static void
ends_with(struct login *l, enum cm_reason reason, const char *text)
{
	assert_int_equal(login_run(l), cm_reason_err(reason));
	if (cm_trace_reason(l->trace) != reason || strstr(cm_trace_message(l->trace), text) == NULL)
		fail_msg("%s: %s", cm_reason_name(cm_trace_reason(l->trace)), cm_trace_message(l->trace));
}

/* Each ends in time, with a reason, and with no signature spent. */
static void
test_bad_kdcs(void **state)
{
	static const struct {
		struct behaviour b;
		enum cm_reason reason;
		const char *text;
	} rows[] = {
		{ { datagram_silence, stream_silence }, CM_REASON_KDC_OFFLINE, "no answer in time" },
		{ { datagram_silence, NULL }, CM_REASON_KDC_OFFLINE, "Connection refused" },
		{ { NULL, stream_silence }, CM_REASON_KDC_OFFLINE, "no answer in time" },
		{ { NULL, stream_close }, CM_REASON_KDC_OFFLINE, "Connection reset" },
		{ { NULL, stream_huge }, CM_REASON_KDC_OFFLINE, "too long" },
		{ { NULL, stream_negative }, CM_REASON_KDC_OFFLINE, "too long" },
		{ { NULL, stream_empty }, CM_REASON_KDC_OFFLINE, "too long" },
		{ { NULL, stream_short }, CM_REASON_KDC_OFFLINE, "Connection reset" },
		{ { NULL, stream_drip }, CM_REASON_KDC_OFFLINE, "no answer in time" },
		{ { datagram_garbage, NULL }, CM_REASON_KDC_OFFLINE, "not Kerberos" },
		{ { datagram_unavailable, NULL }, CM_REASON_KDC_OFFLINE, "cannot serve now" },
		{ { datagram_unknown_error, NULL }, CM_REASON_KDC_REFUSED, "refused alice@CARDMAP.TEST" },
		{ { datagram_too_big, NULL }, CM_REASON_KDC_OFFLINE, "Connection refused" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct server s;
		struct login l;
		int64_t began;

		begin(&s, &l, &rows[i].b);
		l.deadline_ms = 600;
		began = cm_clock_us();
		ends_with(&l, rows[i].reason, rows[i].text);
		assert_in_range(cm_clock_us() - began, 0, 1600000);
		assert_int_equal(cm_card_stats(l.card).key_operations, 0);
		assert_non_null(strstr(cm_trace_message(l.trace), s.name));
		end(&s, &l);
	}
}

static void
test_response_too_big_for_a_datagram(void **state)
{
	static const struct behaviour b = { datagram_too_big, stream_relay };
	struct server s;
	struct login l;

	(void)state;
	begin(&s, &l, &b);
	assert_int_equal(login_run(&l), CM_OK);
	assert_true(cm_ticket_proves(l.ticket, &l.account, l.cert));
	end(&s, &l);
}

/* A firewall that swallows datagrams costs time once in a login, not the login. */
static void
test_datagrams_lost(void **state)
{
	static const struct behaviour b = { datagram_silence_once, stream_relay };
	struct server s;
	struct login l;

	(void)state;
	begin(&s, &l, &b);
	l.deadline_ms = 2000;
	assert_int_equal(login_run(&l), CM_OK);
	end(&s, &l);
}

/* A silent KDC and one that cannot serve come first: the third is asked in time, and first from then on. */
static void
test_next_kdc(void **state)
{
	static const struct behaviour silent = { datagram_silence, stream_silence };
	static const struct behaviour unavailable = { datagram_unavailable, stream_silence };
	struct server a, b;
	struct login l;
	int64_t began;

	(void)state;
	start(&a, &silent);
	start(&b, &unavailable);
	login_begin(&l, "alice-p256");
	l.kdcs[2] = l.kdcs[0];
	l.kdcs[0] = a.name;
	l.kdcs[1] = b.name;
	l.deadline_ms = 3000;
	began = cm_clock_us();
	assert_int_equal(login_run(&l), CM_OK);
	assert_in_range(cm_clock_us() - began, 900000, 1900000);	/* waited for once, in three exchanges */
	assert_string_equal(cm_trace_find(l.trace, "kdc"), l.kdcs[2]);
	cm_ticket_free(&l.ticket);
	began = cm_clock_us();
	assert_int_equal(login_run(&l), CM_OK);
	assert_in_range(cm_clock_us() - began, 0, 900000);
	login_end(&l);
	stop(&a);
	stop(&b);
}

/* Attack "a client principal that is not the mapped account's" (CVE-2025-11561). */
static void
test_reply_for_another_client(void **state)
{
	static const struct behaviour b = { datagram_relay, stream_another_client };
	struct server s;
	struct login l;

	(void)state;
	begin(&s, &l, &b);
	ends_with(&l, CM_REASON_TICKET_FORGED, "for another than alice@CARDMAP.TEST");
	end(&s, &l);
}

/* getaddrinfo() has no deadline of its own: a name server that never answers must not hold us. */
static void
test_silent_name_server(void **state)
{
	const struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(53),
	    .sin_addr.s_addr = htonl(0x7F00004D) };
	const int fd = socket(AF_INET, SOCK_DGRAM, 0);
	char path[RIG_PATH];
	struct login l;
	int64_t began;

	(void)state;
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	snprintf(path, sizeof(path), "%s/resolv.conf", rig("CM_RIG_DIR"));
	write_bytes(path, "nameserver 127.0.0.77\n", 22);
	if (mount(path, "/etc/resolv.conf", NULL, MS_BIND, NULL) != 0)
		skip();
	login_begin(&l, "alice-p256");
	l.kdcs[0] = "kdc.example.test";
	l.deadline_ms = 500;
	began = cm_clock_us();
	ends_with(&l, CM_REASON_KDC_OFFLINE, "kdc.example.test: no answer in time");
	assert_in_range(cm_clock_us() - began, 400000, 1500000);
	login_end(&l);
	assert_int_equal(umount("/etc/resolv.conf"), 0);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_kdcs),
		cmocka_unit_test(test_response_too_big_for_a_datagram),
		cmocka_unit_test(test_datagrams_lost),
		cmocka_unit_test(test_next_kdc),
		cmocka_unit_test(test_reply_for_another_client),
		cmocka_unit_test(test_silent_name_server),
	};

	return cmocka_run_group_tests_name("krb5.exchange", tests, NULL, NULL);
}
