/* tests/resolver/test_whois.c - Whois and Explain at the resolver's socket: who may ask what, how it is answered, and at what cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "process.h"

#define WHOIS	"io.cardmap.Whois"
#define EXPLAIN	"io.cardmap.Explain"
#define BUSY	7		/* of its eight threads */
#define FLOOD	2100	/* more than all may have */
#define SHARE	(256 - 16)	/* of root's connections, without the busy ones and those that are just let go */

static const char *
text_at(const json_t *o, const char *outer, const char *key)
{
	const char *s = json_string_value(json_object_get(json_object_get(o, outer), key));

	return s != NULL ? s : "";
}

static void
expect(struct cm_wire *w, const char *certificate, const char *user, const char *result, const char *account)
{
	struct cm_varlink_reply r = { 0 };

	assert_int_equal(process_whois(w, WHOIS, certificate, user, &r), CM_OK);
	assert_string_equal(text_at(r.parameters, "outcome", "result"), result);
	assert_string_equal(text_at(r.parameters, "account", "name"), account);
	cm_varlink_reply_free(&r);
}

static void
answers(void **state)
{
	struct cm_varlink_reply r = { 0 };
	struct process p;
	struct cm_wire *w;

	(void)state;
	process_prepare(&p, NULL);
	process_start(&p);
	w = process_wire(&p);
	expect(w, "alice-p256", NULL, "ok", "alice");
	expect(w, "alice-p256", NULL, "ok", "alice");	/* the kept one */
	expect(w, "alice-p256", "bob", "refused", "");
	expect(w, "no-upn", NULL, "absent", "");
	expect(w, "no-upn", NULL, "absent", "");
	assert_int_equal(process_whois(w, EXPLAIN, "no-upn", NULL, &r), CM_OK);
	assert_true(strlen(text_at(r.parameters, "explanation", "cause")) > 0);
	assert_true(json_array_size(json_object_get(json_object_get(r.parameters, "outcome"), "stages")) >= 3);
	cm_varlink_reply_free(&r);
	assert_int_equal(process_whois(w, EXPLAIN, "alice-p256", NULL, &r), CM_OK);
	assert_string_equal(text_at(r.parameters, "outcome", "result"), "ok");
	assert_string_equal(text_at(r.parameters, "account", "name"), "alice");
	cm_varlink_reply_free(&r);
	cm_wire_free(&w);
	process_end(&p);
}

/* What is served elsewhere says where; what is no certificate is a wrong parameter. */
static void
what_is_not_answered(void **state)
{
	static const char *const elsewhere[] = { "Cards", "Accounts", "Status", "Log", "Whois", "Explain" };
	struct cm_varlink_reply r = { 0 };
	struct cm_varlink_question q = { .method = WHOIS, .deadline = cm_deadline_in(30000) };
	char where[128];
	struct process p;
	struct cm_wire *w;

	(void)state;
	process_prepare(&p, NULL);
	process_start(&p);
	w = process_wire(&p);
	snprintf(where, sizeof(where), "%s/io.cardmap", p.folder);
	for (size_t i = 0; i < CM_COUNT(elsewhere); i++) {
		char method[64];

		snprintf(method, sizeof(method), "io.cardmap.%s", elsewhere[i]);
		assert_int_equal(process_whois(w, method, NULL, NULL, &r), CM_ERR_REFUSED);
		assert_string_equal(r.error, "io.cardmap.NotServedHere");
		assert_string_equal(json_string_value(json_object_get(r.parameters, "where")), where);
		cm_varlink_reply_free(&r);
	}
	q.parameters = json_pack("{s:s}", "certificate", "this is no base64");
	assert_int_equal(cm_varlink_ask(w, &q, &r), CM_ERR_USAGE);
	assert_string_equal(r.error, CM_VARLINK_INVALID_PARAMETER);
	cm_varlink_reply_free(&r);
	json_object_set_new(q.parameters, "certificate", json_string("bm8gREVS"));
	assert_int_equal(cm_varlink_ask(w, &q, &r), CM_OK);
	assert_string_equal(text_at(r.parameters, "outcome", "reason"), "cert_malformed");
	cm_varlink_reply_free(&r);
	json_object_set_new(q.parameters, "cert", json_string("bm8gREVS"));
	assert_int_equal(cm_varlink_ask(w, &q, &r), CM_ERR_USAGE);
	cm_varlink_reply_free(&r);
	json_decref(q.parameters);
	cm_wire_free(&w);
	process_end(&p);
}

/* ---- who may ask: a child becomes that user, and tells by its status what it was answered */

enum { GOT_ACCOUNT, GOT_NONE, GOT_DENIED, GOT_OTHER };

static int
ask_as(const struct process *p, uid_t uid, const char *method, const char *certificate)
{
	int status = 0;
	const pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct cm_varlink_reply r = { 0 };
		struct cm_wire *w;
		enum cm_err err;

		/* the certificate is in a folder of root's */
		if (setegid(uid) != 0 || seteuid(uid) != 0)
			_exit(GOT_OTHER);
		w = process_wire(p);
		(void)!seteuid(0);
		err = process_whois(w, method, certificate, NULL, &r);
		_exit(err == CM_OK ? json_is_object(json_object_get(r.parameters, "account")) ? GOT_ACCOUNT : GOT_NONE :
		    r.error != NULL && strcmp(r.error, CM_VARLINK_PERMISSION_DENIED) == 0 ? GOT_DENIED : GOT_OTHER);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Everybody about himself; of others, and of cards that are nobody's, the answer is one and the same. */
static void
who_may_ask(void **state)
{
	static const char *const methods[] = { WHOIS, WHOIS, EXPLAIN };	/* the second is the kept answer */
	struct cm_varlink_reply r = { 0 };
	struct process p;
	struct cm_wire *w;
	uid_t alice;

	(void)state;
	if (geteuid() != 0)
		skip();
	process_prepare(&p, NULL);
	process_start(&p);
	w = process_wire(&p);
	assert_int_equal(process_whois(w, WHOIS, "alice-p256", NULL, &r), CM_OK);
	alice = (uid_t)json_integer_value(json_object_get(json_object_get(r.parameters, "account"), "uid"));
	assert_true(alice >= 1000);
	cm_varlink_reply_free(&r);
	cm_wire_free(&w);
	for (size_t i = 0; i < CM_COUNT(methods); i++) {
		assert_int_equal(ask_as(&p, 0, methods[i], "alice-p256"), GOT_ACCOUNT);
		assert_int_equal(ask_as(&p, alice, methods[i], "alice-p256"), GOT_ACCOUNT);
		assert_int_equal(ask_as(&p, alice + 1, methods[i], "alice-p256"), GOT_DENIED);
		assert_int_equal(ask_as(&p, alice, methods[i], "bob"), GOT_DENIED);
		assert_int_equal(ask_as(&p, alice, methods[i], "no-upn"), GOT_DENIED);
		assert_int_equal(ask_as(&p, 0, methods[i], "no-upn"), GOT_NONE);
	}
	process_end(&p);
}

/* The group that the configuration names, as this computer has it. */
static void
helpdesk_may_ask(void **state)
{
	struct process p;

	(void)state;
	if (geteuid() != 0)
		skip();
	process_prepare(&p, "service.helpdesk_group=daemon");
	process_start(&p);
	assert_int_equal(ask_as(&p, 1, WHOIS, "alice-p256"), GOT_ACCOUNT);	/* daemon is in its own group */
	assert_int_equal(ask_as(&p, 1, EXPLAIN, "no-upn"), GOT_NONE);
	assert_int_equal(ask_as(&p, 2, WHOIS, "alice-p256"), GOT_DENIED);	/* bin is not */
	process_end(&p);
}

/* ---- what it costs */

/* Connections to the directory, open or lately ended: each has a row of its own. */
static unsigned
connections(void)
{
	const unsigned long port = strtoul(strrchr(getenv("CM_RIG_LDAP_URI"), ':') + 1, NULL, 10);
	FILE *in = fopen("/proc/net/tcp", "r");
	unsigned count = 0;
	char line[256];

	assert_non_null(in);
	while (fgets(line, sizeof(line), in) != NULL) {
		const char *p = line;

		/* "0: ADDRESS:PORT ADDRESS:PORT ...": the other side's is behind the third colon */
		for (int i = 0; i < 3 && p != NULL; i++)
			p = strchr(p + 1, ':');
		count += p != NULL && strtoul(p + 1, NULL, 16) == port;
	}
	fclose(in);
	return count;
}

static void
one_connection_for_many(void **state)
{
	unsigned before;
	struct process p;

	(void)state;
	process_prepare(&p, "service.whois_age=0");
	process_start(&p);
	before = connections();
	for (int i = 0; i < 10; i++) {
		struct cm_wire *w = process_wire(&p);

		for (int k = 0; k < 10; k++)
			expect(w, "alice-p256", NULL, "ok", "alice");
		cm_wire_free(&w);
	}
	assert_int_equal(connections(), before + 1);
	process_end(&p);
}

/* A "yes" is kept for as long as it may be; then the directory is asked, and what it does not say is not made up. */
static void
kept_and_not_for_ever(void **state)
{
	const cm_deadline patience = cm_deadline_in(60000);
	struct cm_varlink_reply r = { 0 };
	struct process p;
	struct cm_wire *w;
	bool yes;

	(void)state;
	process_prepare(&p, "service.whois_age=600000");
	process_start(&p);
	w = process_wire(&p);
	expect(w, "alice-p256", NULL, "ok", "alice");
	rig_do("stop", "slapd");
	expect(w, "alice-p256", NULL, "ok", "alice");
	expect(w, "bob", NULL, "could not ask", "");
	rig_do("start", "slapd");
	expect(w, "bob", NULL, "ok", "bob");		/* silence is not kept, nor is who refuses a connection passed by */
	cm_wire_free(&w);
	process_end(&p);

	process_prepare(&p, "service.whois_age=300");
	process_start(&p);
	w = process_wire(&p);
	expect(w, "alice-p256", NULL, "ok", "alice");
	rig_do("stop", "slapd");
	do {
		assert_int_equal(process_whois(w, WHOIS, "alice-p256", NULL, &r), CM_OK);
		yes = strcmp(text_at(r.parameters, "outcome", "result"), "ok") == 0;
		cm_varlink_reply_free(&r);
		assert_false(cm_deadline_passed(patience));
	} while (yes);
	rig_do("start", "slapd");
	cm_wire_free(&w);
	process_end(&p);
}

/* Nobody serves the store any more: what the directory says is told all the same, and what was not asked is said. */
static void
without_cardmapd(void **state)
{
	struct cm_varlink_reply r = { 0 };
	struct process p;
	struct cm_wire *w;

	(void)state;
	process_prepare(&p, "service.whois_age=0");
	process_start(&p);
	w = process_wire(&p);
	expect(w, "alice-p256", NULL, "ok", "alice");
	process_stop_store(&p);
	expect(w, "alice-p256", NULL, "ok", "alice");
	assert_int_equal(process_whois(w, WHOIS, "no-upn", NULL, &r), CM_OK);
	assert_string_equal(text_at(r.parameters, "outcome", "result"), "absent");
	assert_non_null(strstr(text_at(r.parameters, "outcome", "text"), "could not be asked"));
	cm_varlink_reply_free(&r);
	assert_int_equal(process_whois(w, EXPLAIN, "alice-p256", NULL, &r), CM_OK);
	assert_string_equal(text_at(r.parameters, "outcome", "result"), "ok");
	cm_varlink_reply_free(&r);
	cm_wire_free(&w);
	process_end(&p);
}

/* ---- many, slow and half */

struct one {
	const struct process *p;
	unsigned wrong;
};

static void *
ask_often(void *arg)
{
	struct one *o = arg;
	struct cm_wire *w = process_wire(o->p);

	for (int i = 0; i < 50; i++) {
		struct cm_varlink_reply r = { 0 };
		const char *want = i % 2 == 0 ? "alice" : "bob";

		o->wrong += process_whois(w, WHOIS, i % 2 == 0 ? "alice-p256" : "bob", NULL, &r) != CM_OK ||
		    strcmp(text_at(r.parameters, "account", "name"), want) != 0;
		cm_varlink_reply_free(&r);
	}
	cm_wire_free(&w);
	return NULL;
}

static void
several_at_once(void **state)
{
	enum { CLIENTS = 12 };
	pthread_t threads[CLIENTS];
	struct one each[CLIENTS];
	struct process p;

	(void)state;
	process_prepare(&p, "service.whois_age=0");
	process_start(&p);
	for (int i = 0; i < CLIENTS; i++) {
		each[i] = (struct one){ .p = &p };
		assert_int_equal(pthread_create(&threads[i], NULL, ask_often, &each[i]), 0);
	}
	for (int i = 0; i < CLIENTS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(each[i].wrong, 0);
	}
	process_end(&p);
}

/* Who sends half a message keeps nobody waiting; who sends too much is ended. */
static void
attack_half_and_too_much(void **state)
{
	static char much[64 << 10];
	struct process p;
	struct cm_wire *halves[20], *w;
	struct pollfd end;
	char one;

	(void)state;
	process_prepare(&p, NULL);
	process_start(&p);
	for (size_t i = 0; i < CM_COUNT(halves); i++) {
		halves[i] = process_wire(&p);
		assert_int_equal(send(cm_wire_fd(halves[i]), "{\"method\":", 10, MSG_NOSIGNAL), 10);
	}
	w = process_wire(&p);
	expect(w, "alice-p256", NULL, "ok", "alice");
	cm_wire_free(&w);
	memset(much, 'x', sizeof(much));
	w = process_wire(&p);
	(void)send(cm_wire_fd(w), much, sizeof(much), MSG_NOSIGNAL);
	end = (struct pollfd){ .fd = cm_wire_fd(w), .events = POLLIN };
	assert_int_equal(poll(&end, 1, 60000), 1);
	assert_true(recv(cm_wire_fd(w), &one, 1, 0) <= 0);
	cm_wire_free(&w);
	for (size_t i = 0; i < CM_COUNT(halves); i++)
		cm_wire_free(&halves[i]);
	process_end(&p);
}

static void
expect_served(struct cm_wire *const *asking, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct cm_varlink_reply r = { 0 };

		assert_int_equal(process_whois(asking[i], "org.varlink.service.GetInfo", NULL, NULL, &r), CM_OK);
		cm_varlink_reply_free(&r);
	}
}

/* A service manager's usual soft limit is less than those who may ask at once. */
static void
more_than_a_soft_limit(void **state)
{
	struct rlimit before, few;
	struct process p;
	struct cm_wire *asking[240];

	(void)state;
	process_prepare(&p, NULL);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = (struct rlimit){ .rlim_cur = 210, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	process_start(&p);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	for (size_t i = 0; i < CM_COUNT(asking); i++)
		asking[i] = process_wire(&p);
	expect_served(asking, CM_COUNT(asking));
	for (size_t i = 0; i < CM_COUNT(asking); i++)
		cm_wire_free(&asking[i]);
	process_end(&p);
}

static void *
ask_the_silent(void *arg)
{
	struct cm_varlink_reply r = { 0 };
	struct cm_wire *w = arg;

	(void)!process_whois(w, WHOIS, "alice-p256", NULL, &r);
	cm_varlink_reply_free(&r);
	return NULL;
}

/* As another user, after this one has come and gone more often than there is room for. */
static struct cm_wire *
flood_and_ask_as_another(const struct process *p)
{
	struct cm_wire *w;

	for (size_t i = 0; i < FLOOD; i++) {
		w = process_wire(p);
		cm_wire_free(&w);
	}
	assert_int_equal(seteuid(65534), 0);
	w = process_wire(p);
	assert_int_equal(seteuid(0), 0);
	return w;
}

/* Who closed what they had has all of it again at once, though nobody had time to see that; and nothing of others'. */
static void
who_left_takes_no_room(void **state)
{
	struct cm_wire *busy[BUSY], *left[SHARE], *asking[SHARE], *other;
	pthread_t threads[BUSY];
	struct process p;
	int status = 0;

	(void)state;
	process_prepare(&p, "directory.timeout=4000 service.whois_age=0");
	process_start(&p);
	for (size_t i = 0; i < BUSY; i++)
		busy[i] = process_wire(&p);
	expect_served(busy, BUSY);
	rig_do("freeze", "slapd");
	for (size_t i = 0; i < CM_COUNT(left); i++)
		left[i] = process_wire(&p);
	expect_served(left, CM_COUNT(left));
	for (size_t i = 0; i < BUSY; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask_the_silent, busy[i]), 0);
	assert_int_equal(kill(p.pid, SIGSTOP), 0);
	assert_int_equal(waitpid(p.pid, &status, WUNTRACED), p.pid);
	asking[0] = process_wire(&p);	/* so that it is told of these first */
	for (size_t i = 0; i < CM_COUNT(left); i++)
		cm_wire_free(&left[i]);
	for (size_t i = 1; i < CM_COUNT(asking); i++)
		asking[i] = process_wire(&p);
	other = flood_and_ask_as_another(&p);
	assert_int_equal(kill(p.pid, SIGCONT), 0);
	expect_served(asking, CM_COUNT(asking));
	expect_served(&other, 1);
	cm_wire_free(&other);
	rig_do("thaw", "slapd");
	for (size_t i = 0; i < BUSY; i++) {
		pthread_join(threads[i], NULL);
		cm_wire_free(&busy[i]);
	}
	for (size_t i = 0; i < CM_COUNT(asking); i++)
		cm_wire_free(&asking[i]);
	process_end(&p);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),
		cmocka_unit_test(what_is_not_answered),
		cmocka_unit_test(who_may_ask),
		cmocka_unit_test(helpdesk_may_ask),
		cmocka_unit_test(one_connection_for_many),
		cmocka_unit_test(kept_and_not_for_ever),
		cmocka_unit_test(without_cardmapd),
		cmocka_unit_test(several_at_once),
		cmocka_unit_test(attack_half_and_too_much),
		cmocka_unit_test(more_than_a_soft_limit),
		cmocka_unit_test(who_left_takes_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
