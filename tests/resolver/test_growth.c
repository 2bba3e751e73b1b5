/* tests/resolver/test_growth.c - what is asked again and again leaves nothing in the resolver's memory: octets are counted, not measured. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "counted.h"
#include "process.h"

#define PATIENCE_MS	60000
/* What a thread that has its first turn late keeps for itself (of libcrypto, libldap), and the end of the last question. */
#define NOISE		((uint64_t)4 << 10)

static void
start(struct process *p, const char *keys, int *counter)
{
	int pair[2];

	process_prepare(p, keys);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	p->counter = pair[1];
	process_start(p);
	close(pair[1]);
	*counter = pair[0];
}

static uint64_t
count(int counter)
{
	struct pollfd f = { .fd = counter, .events = POLLIN };
	uint64_t n = 0;

	assert_int_equal(write(counter, "?", 1), 1);
	assert_int_equal(poll(&f, 1, PATIENCE_MS), 1);
	assert_int_equal(read(counter, &n, sizeof(n)), sizeof(n));
	assert_true(n > 0);
	return n;
}

/* ---- questions at the socket of Whois */

static void
ask(struct cm_wire *w, const char *method, const char *certificate, unsigned times)
{
	for (unsigned i = 0; i < times; i++) {
		struct cm_varlink_reply r = { 0 };

		assert_int_equal(process_whois(w, method, certificate, NULL, &r), CM_OK);
		cm_varlink_reply_free(&r);
	}
	/* One connection's questions are answered in turn: once this is refused, the last of them is cleared away. */
	{
		struct cm_varlink_reply r = { 0 };

		assert_int_equal(process_whois(w, "io.cardmap.Cards", NULL, NULL, &r), CM_ERR_REFUSED);
		cm_varlink_reply_free(&r);
	}
}

static void
questions(void **state)
{
	static const struct {
		const char *what, *keys, *method, *certificate;
		unsigned times;
	} cases[] = {
		{ "Whois, kept", "service.whois_age=600000", "io.cardmap.Whois", "alice-p256", 1000 },
		{ "Whois, of the directory", "service.whois_age=0", "io.cardmap.Whois", "alice-p256", 400 },
		{ "Whois of nobody", "service.whois_age=0", "io.cardmap.Whois", "no-upn", 400 },
		{ "Explain", NULL, "io.cardmap.Explain", "no-upn", 100 },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct process p;
		struct cm_wire *w;
		uint64_t before, after;
		int counter;

		start(&p, cases[i].keys, &counter);
		w = process_wire(&p);
		ask(w, cases[i].method, cases[i].certificate, cases[i].times);
		before = count(counter);
		ask(w, cases[i].method, cases[i].certificate, cases[i].times);
		after = count(counter);
		if (after > before + NOISE)
			fail_msg("%s: %u more left %llu octets", cases[i].what, cases[i].times, (unsigned long long)(after - before));
		cm_wire_free(&w);
		close(counter);
		process_end(&p);
	}
}

/* ---- cards */

static unsigned
threads_of(pid_t pid)
{
	unsigned n = 0;
	char path[64];
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	assert_non_null(d = opendir(path));
	for (const struct dirent *e; (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void
put_in(const struct process *p)
{
	struct cm_channel *c = process_card(p);
	struct cm_message m = { 0 };

	assert_int_equal(process_chain(c, "alice-p256", &m), CM_OK);
	assert_int_equal(m.err, CM_OK);
	cm_message_clear(&m);
	assert_int_equal(process_ask(c, CM_MESSAGE_ACCOUNT, CM_MESSAGE_FOUND, &m), CM_OK);
	assert_int_equal(m.err, CM_OK);
	cm_message_clear(&m);
	assert_int_equal(process_ask(c, CM_MESSAGE_REVOCATION, CM_MESSAGE_JUDGED, &m), CM_OK);
	assert_int_equal(m.err, CM_OK);
	cm_message_clear(&m);
	cm_channel_free(&c);
}

/* Each in a session of its own, which ends with it: so many threads as before, once it has. */
static uint64_t
cards_count(const struct process *p, unsigned times, unsigned threads, int counter)
{
	const cm_deadline patience = cm_deadline_in(PATIENCE_MS);

	for (unsigned i = 0; i < times; i++)
		put_in(p);
	while (threads_of(p->pid) > threads && !cm_deadline_passed(patience))
		usleep(2000);
	assert_int_equal(threads_of(p->pid), threads);
	return count(counter);
}

#define CARDS	30

static void
cards(void **state)
{
	struct process p;
	struct cm_wire *w;
	uint64_t before, after;
	unsigned threads;
	int counter;

	(void)state;
	start(&p, NULL, &counter);
	w = process_wire(&p);
	ask(w, "io.cardmap.Whois", "alice-p256", 1);		/* it serves: all threads that stay are there */
	threads = threads_of(p.pid);
	before = cards_count(&p, CARDS, threads, counter);
	after = cards_count(&p, CARDS, threads, counter);
	if (after > before + NOISE)
		fail_msg("%u more cards left %llu octets", CARDS, (unsigned long long)(after - before));
	cm_wire_free(&w);
	close(counter);
	process_end(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(questions),
		cmocka_unit_test(cards),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
