/* tests/client/test_client.c - libcardmap against what answers at its socket: the truth, a lie, garbage, silence. */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "client/cardmap.h"

#define SOON	10000	/* ms */
#define BRIEF	50
#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

/*
 * Whoever answers here: to Begin it sends these octets, then, if hold, waits until the caller goes away;
 * to Answer, on a connection of its own, these others.  It notes what it was sent.
 */
struct peer {
	const char *begin, *answer;
	size_t begin_len;	/* 0: its strlen, and a NUL for each newline */
	bool hold;
	char dir[64], path[96];
	int listener;
	pthread_t thread;
	char call[2][4096];
	char pins[2][512];	/* what the pipes beside Answer held */
	int pin_count;
};

static void
read_call(int fd, char *out, size_t size, int *fds, int *fd_count)
{
	union { struct cmsghdr align; char space[CMSG_SPACE(4 * sizeof(int))]; } control = { 0 };
	size_t n = 0;

	*fd_count = 0;
	while (n + 1 < size) {
		struct iovec part = { out + n, 1 };
		struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
		const struct cmsghdr *c;

		if (recvmsg(fd, &m, 0) != 1)
			break;
		if ((c = CMSG_FIRSTHDR(&m)) != NULL) {
			*fd_count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
			memcpy(fds, CMSG_DATA(c), (size_t)*fd_count * sizeof(int));
		}
		if (out[n++] == '\0')
			break;
	}
	out[n] = '\0';
}

static void
send_script(int fd, const char *text, size_t len)
{
	char octets[1 << 18];

	len = len != 0 ? len : strlen(text);
	assert_true(len < sizeof(octets));
	memcpy(octets, text, len);
	for (size_t i = 0; i < len; i++)
		octets[i] = octets[i] == '\n' ? '\0' : octets[i];
	(void)!send(fd, octets, len, MSG_NOSIGNAL);
}

static void
take_pins(struct peer *p, const int *fds, int count)
{
	for (int i = 0; i < count; i++) {
		const ssize_t n = read(fds[i], p->pins[i], sizeof(p->pins[i]) - 1);

		p->pins[i][n > 0 ? n : 0] = '\0';
		close(fds[i]);
	}
	p->pin_count = count;
}

static void *
serve(void *arg)
{
	struct peer *p = arg;
	const int first = accept(p->listener, NULL, NULL);
	int fds[4], count;
	char rest;

	read_call(first, p->call[0], sizeof(p->call[0]), fds, &count);
	send_script(first, p->begin, p->begin_len);
	if (p->answer != NULL) {
		const int second = accept(p->listener, NULL, NULL);

		read_call(second, p->call[1], sizeof(p->call[1]), fds, &count);
		take_pins(p, fds, count);
		send_script(second, p->answer, 0);
		close(second);
	}
	if (p->hold)
		(void)!recv(first, &rest, 1, 0);	/* the caller went away */
	close(first);
	return NULL;
}

static void
start(struct peer *p)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(p->dir, sizeof(p->dir), "/tmp/cm_client_XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/io.cardmap", p->dir);
	memcpy(a.sun_path, p->path, sizeof(p->path));
	assert_true((p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0);
	assert_int_equal(bind(p->listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(p->listener, 4), 0);
	assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
}

static void
stop(struct peer *p)
{
	pthread_join(p->thread, NULL);
	close(p->listener);
	unlink(p->path);
	rmdir(p->dir);
}

static struct cardmap_login *
begin(struct peer *p, const char *user)
{
	struct cardmap_request r = { .size = sizeof(r), .user = user, .service = "test" };
	struct cardmap_login *l;

	start(p);
	assert_int_equal(cardmap_begin_at(p->dir, &r, &l), 0);
	return l;
}

static unsigned
descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(d) != NULL)
		n++;
	closedir(d);
	return n;
}

#define STATE(state, more)	"{\"parameters\":{\"handle\":\"h1\",\"state\":\"" state "\"" more "},\"continues\":true}\n"
#define END(state, more)	"{\"parameters\":{\"handle\":\"h1\",\"state\":\"" state "\"" more "}}\n"
#define GRANT(more)	END("granted", ",\"grant\":{\"user\":\"alice\",\"uid\":10001,\"gid\":10001,\"home\":\"/home/alice\"," \
	"\"shell\":\"/bin/sh\",\"gecos\":\"\",\"serial\":\"01\",\"subject\":\"CN=Alice\"" more "}")
#define GOOD	GRANT(",\"online\":true,\"warnings\":[]")
#define PIN_STATE	STATE("pin", ",\"name\":\"Alice\\u001b[2J Example\",\"user\":\"alice\",\"reader\":\"R\",\"online\":true," \
	"\"tries\":3,\"last_try\":false,\"pad\":false")

/* ---- the truth */

static void
test_login(void **state)
{
	struct peer p = { .begin = STATE("card", "") STATE("reading", ",\"reader\":\"R\"") PIN_STATE STATE("working", "")
	    GRANT(",\"online\":false,\"kept_age\":259200,\"ccache\":\"FILE:/tmp/krb5cc_10001\",\"ccache_later\":\"KCM:\",\"warnings\":[\"one\",\"two\"]"),
	    .answer = "{\"parameters\":{}}\n" };
	static const enum cardmap_state want[] = { CARDMAP_CARD, CARDMAP_READING, CARDMAP_PIN };
	const unsigned before = descriptors();
	struct cardmap_login *l = begin(&p, "alice");
	enum cardmap_state s;

	(void)state;
	for (size_t i = 0; i < COUNT(want); i++) {
		assert_int_equal(cardmap_next(l, SOON, &s), 0);
		assert_int_equal(s, want[i]);
		assert_int_equal(cardmap_grant_uid(l), (uid_t)-1);
	}
	assert_string_equal(cardmap_name(l), "Alice\\x1b[2J Example");
	assert_string_equal(cardmap_user(l), "alice");
	assert_int_equal(cardmap_tries(l), 3);
	assert_true(cardmap_is_online(l) && !cardmap_is_last_try(l) && !cardmap_has_pad(l) && !cardmap_may_use_password(l));
	assert_int_equal(cardmap_pin_at_reader(l, false), -EINVAL);	/* it has no pad */
	assert_int_equal(cardmap_choose(l, "x"), -EINVAL);
	assert_int_equal(cardmap_pin(l, "40718259", 8, false), 0);
	assert_int_equal(cardmap_next(l, SOON, &s), 0);
	assert_int_equal(s, CARDMAP_WORKING);
	for (int i = 0; i < 2; i++) {	/* the end stays */
		assert_int_equal(cardmap_next(l, SOON, &s), 0);
		assert_int_equal(s, CARDMAP_GRANTED);
		assert_string_equal(cardmap_grant_user(l), "alice");
		assert_int_equal(cardmap_grant_uid(l), 10001);
		assert_int_equal(cardmap_grant_gid(l), 10001);
		assert_string_equal(cardmap_grant_home(l), "/home/alice");
		assert_string_equal(cardmap_grant_shell(l), "/bin/sh");
		assert_string_equal(cardmap_grant_ccache(l), "FILE:/tmp/krb5cc_10001");
		assert_string_equal(cardmap_grant_ccache_later(l), "KCM:");
		assert_int_equal(cardmap_grant_kept_age(l), 259200);
		assert_string_equal(cardmap_grant_warning(l, 1), "two");
		assert_null(cardmap_grant_warning(l, 2));
	}
	assert_int_equal(cardmap_pin(l, "40718259", 8, false), -EINVAL);
	cardmap_free(l);
	stop(&p);
	assert_non_null(strstr(p.call[0], "\"user\":\"alice\""));
	assert_non_null(strstr(p.call[0], "\"more\":true"));
	assert_null(strstr(p.call[0], "rhost"));
	assert_non_null(strstr(p.call[1], "\"handle\":\"h1\""));
	assert_null(strstr(p.call[1], "40718259"));
	assert_int_equal(p.pin_count, 1);
	assert_string_equal(p.pins[0], "40718259");
	assert_int_equal(descriptors(), before);
}

static void
test_choice(void **state)
{
	struct peer p = { .begin = STATE("choose", ",\"choices\":[{\"id\":\"a\",\"text\":\"Alice\"},{\"id\":\"b\",\"text\":\"Bob\"}]"),
	    .answer = "{\"parameters\":{}}\n", .hold = true };
	struct cardmap_login *l = begin(&p, NULL);
	enum cardmap_state s;
	const char *id;

	(void)state;
	assert_int_equal(cardmap_next(l, SOON, &s), 0);
	assert_int_equal(s, CARDMAP_CHOOSE);
	assert_string_equal(cardmap_choice(l, 1, &id), "Bob");
	assert_string_equal(id, "b");
	assert_null(cardmap_choice(l, 2, &id));
	assert_null(id);
	assert_int_equal(cardmap_choose(l, "b"), 0);
	assert_int_equal(cardmap_next(l, BRIEF, &s), -ETIMEDOUT);	/* nothing yet, and it goes on */
	assert_int_equal(cardmap_next(l, BRIEF, &s), -ETIMEDOUT);
	cardmap_free(l);	/* the peer sees it go */
	stop(&p);
	assert_non_null(strstr(p.call[1], "\"choice\":\"b\""));
	assert_null(strstr(p.call[0], "user"));
}

static void
test_last_try(void **state)
{
	struct peer p = { .begin = STATE("pin", ",\"tries\":1,\"last_try\":true,\"pad\":true"), .answer = "{\"parameters\":{}}\n", .hold = true };
	struct cardmap_login *l = begin(&p, NULL);
	enum cardmap_state s;

	(void)state;
	assert_int_equal(cardmap_next(l, SOON, &s), 0);
	assert_true(cardmap_is_last_try(l) && cardmap_has_pad(l));
	assert_int_equal(cardmap_pin(l, "40718259", 8, false), -EPERM);
	assert_int_equal(cardmap_pin_at_reader(l, false), -EPERM);
	assert_int_equal(cardmap_pin(l, "", 0, true), -EINVAL);
	assert_int_equal(cardmap_pin(l, "12\n456", 6, true), -EINVAL);
	assert_int_equal(cardmap_pin(l, "12\0456", 6, true), -EINVAL);
	assert_int_equal(cardmap_pin_at_reader(l, true), 0);
	cardmap_free(l);
	stop(&p);
	assert_int_equal(p.pin_count, 0);
	assert_non_null(strstr(p.call[1], "\"last_try\":true"));
}

static void
test_change_pin(void **state)
{
	struct peer p = { .begin = STATE("pin", ",\"tries\":3"), .answer = "{\"parameters\":{}}\n", .hold = true };
	struct cardmap_login *l = begin(&p, NULL);
	const unsigned before = descriptors();
	enum cardmap_state s;

	(void)state;
	assert_int_equal(cardmap_next(l, SOON, &s), 0);
	assert_int_equal(cardmap_change_pin(l, "40718259", 8, "", 0, false), -EINVAL);
	assert_int_equal(cardmap_change_pin(l, "40718259", 8, "40918273", 8, false), 0);
	cardmap_free(l);
	stop(&p);
	assert_int_equal(p.pin_count, 2);
	assert_string_equal(p.pins[0], "40718259");
	assert_string_equal(p.pins[1], "40918273");
	assert_true(descriptors() <= before);
}

static void
test_refused(void **state)
{
	struct peer p = { .begin = END("refused", ",\"reason\":\"card_revoked\",\"text\":\"it was revoked\",\"remedy\":\"get another\","
	    "\"may_use_password\":true") };
	struct cardmap_login *l = begin(&p, "alice");
	enum cardmap_state s;

	(void)state;
	assert_int_equal(cardmap_next(l, SOON, &s), 0);
	assert_int_equal(s, CARDMAP_REFUSED);
	assert_string_equal(cardmap_reason(l), "card_revoked");
	assert_string_equal(cardmap_text(l), "it was revoked");
	assert_string_equal(cardmap_remedy(l), "get another");
	assert_true(cardmap_may_use_password(l));
	assert_null(cardmap_grant_user(l));
	cardmap_free(l);
	stop(&p);
}

/* Errors of the interface: of Begin, and of Answer. */
static void
test_errors(void **state)
{
	static const struct {
		const char *answer;
		int result;
	} rows[] = {
		{ "{\"error\":\"io.cardmap.Login.NotAsked\",\"parameters\":{\"state\":\"card\"}}\n", -EAGAIN },
		{ "{\"error\":\"io.cardmap.Login.NoSuchLogin\"}\n", -EAGAIN },
		{ "{\"error\":\"io.cardmap.Login.NotAllowed\",\"parameters\":{\"reason\":\"not_here\",\"text\":\"x\"}}\n", -EACCES },
		{ "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":\"handle\"}}\n", -EPROTO },
		{ "", -ECONNRESET }, { "rubbish\n", -EPROTO }, { "{\"error\":\"a.b.C\"}\n", -EPROTO },
	};
	struct peer denied = { .begin = "{\"error\":\"io.cardmap.Login.NotAllowed\",\"parameters\":"
	    "{\"reason\":\"not_here\",\"text\":\"another seat\"}}\n" };
	struct cardmap_login *l = begin(&denied, NULL);
	enum cardmap_state s;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(cardmap_next(l, SOON, &s), -EACCES);
		assert_int_equal(s, CARDMAP_REFUSED);
		assert_string_equal(cardmap_reason(l), "not_here");
		assert_string_equal(cardmap_text(l), "another seat");
		assert_false(cardmap_may_use_password(l));
	}
	cardmap_free(l);
	stop(&denied);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct peer p = { .begin = STATE("pin", ",\"tries\":3"), .answer = rows[i].answer, .hold = true };

		l = begin(&p, NULL);
		assert_int_equal(cardmap_next(l, SOON, &s), 0);
		assert_int_equal(cardmap_pin(l, "40718259", 8, false), rows[i].result);
		cardmap_free(l);
		stop(&p);
	}
}

/* ---- lies and garbage: an error each, and never a grant */

static void
test_hostile(void **state)
{
	static const struct {
		const char *begin;
		int result;
	} rows[] = {
		{ "", -ECONNRESET },
		{ "{\"parameters\":{\"handle\":\"h1\",\"sta", -ECONNRESET },
		{ "\n", -EPROTO }, { "rubbish\n", -EPROTO }, { "[]\n", -EPROTO }, { "{}\n", -EPROTO },
		{ END("granted", ""), -EPROTO },
		{ END("granted", ",\"grant\":null"), -EPROTO }, { END("granted", ",\"grant\":[]"), -EPROTO }, { END("granted", ",\"grant\":{}"), -EPROTO },
		{ END("granted", ",\"grant\":{\"user\":\"alice\"}"), -EPROTO },
		/* root, and ids that are none */
		{ END("granted", ",\"grant\":{\"user\":\"root\",\"uid\":0,\"gid\":0}"), -EPROTO },
		{ END("granted", ",\"grant\":{\"user\":\"alice\",\"uid\":10001,\"gid\":0}"), -EPROTO },
		{ END("granted", ",\"grant\":{\"user\":\"alice\",\"uid\":4294967295,\"gid\":1}"), -EPROTO },
		{ END("granted", ",\"grant\":{\"user\":\"alice\",\"uid\":4294967296,\"gid\":1}"), -EPROTO },
		{ END("granted", ",\"grant\":{\"user\":\"alice\",\"uid\":-1,\"gid\":1}"), -EPROTO },
		{ END("granted", ",\"grant\":{\"user\":\"alice\",\"uid\":\"10001\",\"gid\":1}"), -EPROTO },
		{ END("granted", ",\"grant\":{\"user\":\"alice\",\"uid\":1e4,\"gid\":1}"), -EPROTO },
		{ END("granted", ",\"grant\":{\"user\":\"\",\"uid\":10001,\"gid\":1}"), -EPROTO },
		{ END("granted", ",\"grant\":{\"user\":\"al\\u001bice\",\"uid\":10001,\"gid\":1}"), -EPROTO },
		{ GRANT(",\"warnings\":[1]"), -EPROTO }, { GRANT(",\"ccache\":7"), -EPROTO },
		{ GRANT(",\"ccache_later\":{}"), -EPROTO },
		/* a grant that goes on, and a state that does not */
		{ "{\"parameters\":{\"handle\":\"h1\",\"state\":\"granted\",\"grant\":{\"user\":\"alice\",\"uid\":1,\"gid\":1}},\"continues\":true}\n", -EPROTO },
		{ END("pin", ""), -EPROTO }, { END("card", ""), -EPROTO },
		/* no handle, a large one, another one */
		{ "{\"parameters\":{\"state\":\"card\"},\"continues\":true}\n", -EPROTO },
		{ "{\"parameters\":{\"handle\":\"\",\"state\":\"card\"},\"continues\":true}\n", -EPROTO },
		{ STATE("card", "") "{\"parameters\":{\"handle\":\"h2\",\"state\":\"granted\",\"grant\":{\"user\":\"a\",\"uid\":1,\"gid\":1}}}\n", -EPROTO },
		{ STATE("sleeping", ""), -EPROTO }, { STATE("choose", ""), -EPROTO }, { STATE("choose", ",\"choices\":[]"), -EPROTO },
		{ STATE("choose", ",\"choices\":[{\"id\":\"a\"}]"), -EPROTO }, { STATE("choose", ",\"choices\":[1]"), -EPROTO },
		{ STATE("pin", ",\"tries\":-1"), -EPROTO }, { STATE("pin", ",\"tries\":\"3\""), -EPROTO }, { STATE("pin", ",\"last_try\":1"), -EPROTO },
		{ STATE("pin", ",\"name\":{}"), -EPROTO }, { END("refused", ",\"may_use_password\":\"yes\""), -EPROTO },
		{ END("refused", ",\"reason\":\"a\\u0007b\""), -EPROTO },
		{ STATE("card", "") "{\"error\":\"org.varlink.service.MethodNotFound\"}\n", -EPROTO },
		{ "{\"error\":\"org.varlink.service.PermissionDenied\"}\n", -EACCES },
	};
	const unsigned before = descriptors();

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct peer p = { .begin = rows[i].begin };
		struct cardmap_login *l = begin(&p, "alice");
		enum cardmap_state s = CARDMAP_GRANTED;
		int result;

		while ((result = cardmap_next(l, SOON, &s)) == 0 && s == CARDMAP_CARD)
			;
		if (result != rows[i].result)
			fail_msg("%s: %d, not %d", rows[i].begin, result, rows[i].result);
		assert_int_equal(s, CARDMAP_REFUSED);
		assert_int_equal(cardmap_next(l, SOON, &s), result);	/* and so it stays */
		assert_null(cardmap_grant_user(l));
		assert_int_equal(cardmap_grant_uid(l), (uid_t)-1);
		assert_false(cardmap_may_use_password(l));
		assert_int_equal(cardmap_pin(l, "40718259", 8, true), -EINVAL);
		cardmap_free(l);
		stop(&p);
	}
	assert_int_equal(descriptors(), before);
}

static void
test_too_long(void **state)
{
	char *text = malloc(200000);
	struct peer p = { .begin = text, .begin_len = 200000 };
	struct cardmap_login *l;
	enum cardmap_state s;

	(void)state;
	memset(text, ' ', 200000);
	l = begin(&p, NULL);
	assert_int_equal(cardmap_next(l, SOON, &s), -EPROTO);
	cardmap_free(l);
	stop(&p);
	free(text);
}

static void
test_silence(void **state)
{
	struct peer p = { .begin = "", .hold = true };
	struct cardmap_login *l = begin(&p, NULL);
	struct pollfd readable = { .fd = cardmap_fd(l), .events = POLLIN };
	enum cardmap_state s;

	(void)state;
	assert_int_equal(poll(&readable, 1, 0), 0);
	assert_int_equal(cardmap_next(l, BRIEF, &s), -ETIMEDOUT);
	assert_int_equal(cardmap_next(l, 0, &s), -ETIMEDOUT);
	assert_int_equal(s, CARDMAP_REFUSED);
	cardmap_free(l);
	stop(&p);
}

/* ---- nobody there */

static void
test_nobody(void **state)
{
	struct cardmap_request r = { .size = sizeof(r) };
	struct cardmap_login *l = (void *)&r;

	(void)state;
	assert_int_equal(cardmap_begin_at("/nonexistent", &r, &l), -ECONNREFUSED);
	assert_null(l);
	assert_string_equal(cardmap_error(-ECONNREFUSED), "cardmapd does not run here");
	assert_int_equal(cardmap_begin_at("/nonexistent/" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	    &r, &l), -EINVAL);
	r.user = "al\xff";
	assert_int_equal(cardmap_begin_at("/nonexistent", &r, &l), -EINVAL);
	r = (struct cardmap_request){ 0 };
	assert_int_equal(cardmap_begin_at("/nonexistent", &r, &l), -EINVAL);
	cardmap_free(NULL);
}

/* A service that is neither root's nor ours is none: whoever listens at the path decides who gets in. */
static void
test_other_owner(void **state)
{
	struct peer p = { .begin = GOOD };
	struct cardmap_request r = { .size = sizeof(r) };
	struct cardmap_login *l;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(seteuid(65534), 0);
	start(&p);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(cardmap_begin_at(p.dir, &r, &l), -EPROTO);
	assert_null(l);
	stop(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_login), cmocka_unit_test(test_choice), cmocka_unit_test(test_last_try),
		cmocka_unit_test(test_change_pin), cmocka_unit_test(test_refused), cmocka_unit_test(test_errors),
		cmocka_unit_test(test_hostile), cmocka_unit_test(test_too_long), cmocka_unit_test(test_silence),
		cmocka_unit_test(test_nobody), cmocka_unit_test(test_other_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
