/* tests/ldap/fake_ldap.c - LDAP servers that misbehave, each a process of its own. */
#include "fake_ldap.h"

#include <arpa/inet.h>
#include <ldap.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int
listen_on(const char *host, int backlog, int *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET, host, &a.sin_addr);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(fd, backlog) != 0 ||
	    getsockname(fd, (struct sockaddr *)&a, &len) != 0)
		abort();
	*port = ntohs(a.sin_port);
	return fd;
}

static int
dial(const char *host, int port, int flags)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	inet_pton(AF_INET, host, &a.sin_addr);
	(void)!connect(fd, (struct sockaddr *)&a, sizeof(a));
	return fd;
}

static void
send_ber(int fd, BerElement *ber)
{
	struct berval *v = NULL;

	if (ber_flatten(ber, &v) != 0)
		abort();
	if (send(fd, v->bv_val, v->bv_len, MSG_NOSIGNAL) < 0)
		_exit(0);
	ber_bvfree(v);
	ber_free(ber, 1);
}

static void
send_result(int fd, int id, ber_tag_t type, int code)
{
	BerElement *ber = ber_alloc_t(LBER_USE_DER);

	ber_printf(ber, "{it{ess}}", id, type, code, "", "fake");
	send_ber(fd, ber);
}

struct shown {
	const char *dn, *identity, *name;
	ber_len_t name_len;
};

static void
add_attribute(BerElement *ber, const char *type, const char *value, ber_len_t len)
{
	ber_printf(ber, "{s[o]}", type, value, len);
}

static void
send_entry(int fd, int id, const struct shown *s)
{
	BerElement *ber = ber_alloc_t(LBER_USE_DER);

	ber_printf(ber, "{it{s{", id, (ber_tag_t)LDAP_RES_SEARCH_ENTRY, s->dn);
	add_attribute(ber, "uid", s->name, s->name_len);
	add_attribute(ber, "uidNumber", "10001", 5);
	add_attribute(ber, "gidNumber", "10000", 5);
	add_attribute(ber, "homeDirectory", "/home/alice", 11);
	if (s->identity != NULL)
		add_attribute(ber, "altSecurityIdentities", s->identity, (ber_len_t)strlen(s->identity));
	ber_printf(ber, "}}}");
	send_ber(fd, ber);
}

static void
send_reference(int fd, int id)
{
	BerElement *ber = ber_alloc_t(LBER_USE_DER);

	ber_printf(ber, "{it{s}}", id, (ber_tag_t)LDAP_RES_SEARCH_REFERENCE, "ldap://127.0.0.1:1/dc=x");
	send_ber(fd, ber);
}

static void
send_notice(int fd)
{
	BerElement *ber = ber_alloc_t(LBER_USE_DER);

	ber_printf(ber, "{it{essts}}", 0, (ber_tag_t)LDAP_RES_EXTENDED, LDAP_UNAVAILABLE, "", "",
	    (ber_tag_t)LDAP_TAG_EXOP_RES_OID, LDAP_NOTICE_OF_DISCONNECTION);
	send_ber(fd, ber);
}

static const struct shown alice = { "uid=alice,dc=test", FAKE_IDENTITY, "alice", 5 };

/* Is it the search for the account?  The one for groups asks for memberUid. */
static bool
asks_for_account(const struct berval *request)
{
	return memmem(request->bv_val, request->bv_len, "memberUid", 9) == NULL;
}

static void
answer_account(int fd, int id, enum fake_mode mode)
{
	static const struct shown other = { "uid=mallory,dc=test", "Kerberos:mallory@CARDMAP.TEST", "mallory", 7 };
	static const struct shown nul = { "uid=alice,dc=test", FAKE_IDENTITY, "ali\0ce", 6 };
	static const struct shown hidden = { "uid=alice,dc=test", NULL, "alice", 5 };
	static const struct shown bob = { "uid=bob,dc=test", NULL, "bob", 3 };
	char dn[32];

	if (mode == FAKE_LIAR)
		send_entry(fd, id, &other);
	else if (mode == FAKE_HIDDEN)
		send_entry(fd, id, &hidden);
	else if (mode == FAKE_DISGUISE)
		send_entry(fd, id, &nul);
	else
		send_entry(fd, id, &alice);
	if (mode == FAKE_TWICE)
		send_entry(fd, id, &alice);
	if (mode == FAKE_HALF_HIDDEN)
		send_entry(fd, id, &bob);
	for (unsigned n = 0; mode == FAKE_ENDLESS; n++) {
		snprintf(dn, sizeof(dn), "uid=u%u,dc=test", n);
		send_entry(fd, id, &(struct shown){ dn, FAKE_IDENTITY, "u", 1 });
	}
	send_result(fd, id, LDAP_RES_SEARCH_RESULT, mode == FAKE_SIZE ? LDAP_SIZELIMIT_EXCEEDED : 0);
}

/* RFC 4522: some servers know a list by one of its names alone. */
static void
answer_list(int fd, int id, const struct berval *request, enum fake_mode mode)
{
	const bool binary = memmem(request->bv_val, request->bv_len, ";binary", 7) != NULL;
	BerElement *ber = ber_alloc_t(LBER_USE_DER);

	ber_printf(ber, "{it{s{", id, (ber_tag_t)LDAP_RES_SEARCH_ENTRY, "cn=x");
	if (binary == (mode == FAKE_LIST_BINARY))
		add_attribute(ber, binary ? "certificateRevocationList;binary" : "certificateRevocationList",
		    FAKE_LIST, sizeof(FAKE_LIST) - 1);
	ber_printf(ber, "}}}");
	send_ber(fd, ber);
	send_result(fd, id, LDAP_RES_SEARCH_RESULT, LDAP_SUCCESS);
}

static void
drip(int fd)
{
	static const uint8_t header[] = { 0x30, 0x82, 0x40, 0x00 };

	(void)!send(fd, header, sizeof(header), MSG_NOSIGNAL);
	while (send(fd, "\x02", 1, MSG_NOSIGNAL) == 1)
		poll(NULL, 0, 10);
	_exit(0);
}

static void
answer_search(int fd, int id, const struct berval *request, enum fake_mode mode)
{
	static const uint8_t huge[] = { 0x30, 0x84, 0x40, 0x00, 0x00, 0x00, 0x02, 0x01, 0x01 };

	if (mode == FAKE_DRIP)
		drip(fd);
	else if (mode == FAKE_HUGE)
		(void)!send(fd, huge, sizeof(huge), MSG_NOSIGNAL);
	else if (mode == FAKE_NOTICE)
		send_notice(fd);
	else if (mode == FAKE_FLOOD)
		for (;;)
			send_reference(fd, id);
	else if (mode == FAKE_BUSY)
		send_result(fd, id, LDAP_RES_SEARCH_RESULT, LDAP_BUSY);
	else if (mode == FAKE_UNWILLING)
		send_result(fd, id, LDAP_RES_SEARCH_RESULT, LDAP_UNWILLING_TO_PERFORM);
	else if (mode == FAKE_LIST_BINARY || mode == FAKE_LIST_PLAIN)
		answer_list(fd, id, request, mode);
	else if (asks_for_account(request))
		answer_account(fd, id, mode);
	else
		send_result(fd, id, LDAP_RES_SEARCH_RESULT, LDAP_SUCCESS);
}

static void
answer_extended(int fd, int id, enum fake_mode mode)
{
	send_result(fd, id, LDAP_RES_EXTENDED, mode == FAKE_NO_STARTTLS ? LDAP_PROTOCOL_ERROR : 0);
	if (mode == FAKE_TLS_SILENT)
		pause();
}

/* One connection, request by request. */
static void
speak(int fd, enum fake_mode mode)
{
	Sockbuf *sb = ber_sockbuf_alloc();
	ber_len_t len;

	ber_sockbuf_add_io(sb, &ber_sockbuf_io_tcp, LBER_SBIOD_LEVEL_PROVIDER, NULL);
	ber_sockbuf_ctrl(sb, LBER_SB_OPT_SET_FD, &fd);
	for (;;) {
		BerElement *ber = ber_alloc_t(LBER_USE_DER);
		struct berval all = { 0, NULL };
		ber_int_t id;
		ber_tag_t tag;

		if (ber_get_next(sb, &len, ber) != LDAP_TAG_MESSAGE)
			break;
		ber_peek_element(ber, &all);
		all.bv_len = len - 2;	/* behind tag and length of the id */
		if (ber_get_int(ber, &id) == LBER_ERROR)
			break;
		tag = ber_peek_tag(ber, &len);
		if (tag == LDAP_REQ_EXTENDED)
			answer_extended(fd, id, mode);
		else if (tag == LDAP_REQ_BIND)
			send_result(fd, id, LDAP_RES_BIND, LDAP_SUCCESS);
		else if (tag == LDAP_REQ_SEARCH)
			answer_search(fd, id, &all, mode);
		ber_free(ber, 1);
		if (tag == LDAP_REQ_UNBIND || (tag == LDAP_REQ_SEARCH && mode == FAKE_ONE_EACH))
			break;
	}
	close(fd);
}

static void
relay(int fd, int port)
{
	struct pollfd p[2] = {
		{ .fd = fd, .events = POLLIN }, { .fd = dial("127.0.0.1", port, 0), .events = POLLIN },
	};
	char buf[4096];

	while (poll(p, 2, -1) > 0)
		for (int i = 0; i < 2; i++) {
			const ssize_t n = p[i].revents != 0 ? read(p[i].fd, buf, sizeof(buf)) : 1;

			if (n <= 0 || (p[i].revents != 0 &&
			    send(p[!i].fd, buf, (size_t)n, MSG_NOSIGNAL) != n)) {
				close(p[0].fd);
				close(p[1].fd);
				return;
			}
		}
}

static void
serve(int fd, enum fake_mode mode, int to)
{
	static const char http[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
	const int c = accept(fd, NULL, NULL);

	if (mode == FAKE_SILENT)
		return;		/* kept open, and forgotten */
	if (mode == FAKE_GARBAGE)
		(void)!send(c, http, sizeof(http) - 1, MSG_NOSIGNAL);
	if (mode == FAKE_RELAY)
		relay(c, to);
	else if (mode == FAKE_CLOSE || mode == FAKE_GARBAGE)
		close(c);
	else
		speak(c, mode);
}

struct fake
fake_start(enum fake_mode mode, const char *scheme, const char *host, int to)
{
	struct fake f = { 0 };
	const int fd = listen_on(host, mode == FAKE_NO_ACCEPT ? 0 : 16, &f.port);

	snprintf(f.uri, sizeof(f.uri), "%s://%s:%d", scheme, host, f.port);
	if (mode == FAKE_NO_ACCEPT)	/* fill the queue; what comes then is not answered by the kernel */
		for (int i = 0; i < 4; i++)
			(void)dial(host, f.port, SOCK_NONBLOCK);
	if ((f.pid = fork()) == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (mode == FAKE_NO_ACCEPT)
			pause();
		for (;;)
			serve(fd, mode, to);
	}
	close(fd);
	return f;
}

void
fake_stop(struct fake *f)
{
	kill(f->pid, SIGKILL);
	waitpid(f->pid, NULL, 0);
}
