/* tests/service/test_varlink.c - varlink to the letter: messages, a service and its client over real sockets, descriptions. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "service/varlink.h"
#include "service/varlink_internal.h"

#define SOON	10000	/* ms */
#define BRIEF	100

static const struct cm_wire_limits limits = { .message_max = 65536, .descriptors_max = 2 };

/* ---- messages */

#define DEEP8	"[[[[[[[["
#define BACK8	"]]]]]]]]"

/* Of https://varlink.org/Method-Call: what a call is, and what is none. */
static void
test_calls(void **state)
{
	static const char *const right[] = {
		"{\"method\":\"org.varlink.service.GetInfo\"}",
		"{\"method\":\"org.varlink.service.GetInfo\",\"parameters\":{}}",
		"{\"method\":\"io.cardmap.Whois\",\"parameters\":{\"a\":[1,2.5,null,true,\"\\u00e9\xc3\xa9\"]},\"oneway\":true}",
		" {\n\"more\" : true , \"method\":\"a.b.C\", \"upgrade\":false, \"oneway\":null, \"parameters\":null }\t",
		"{\"method\":\"a.b.C\",\"parameters\":{\"n\":9223372036854775807,\"m\":-9223372036854775808}}",
		"{\"method\":\"a.b.C\",\"parameters\":{\"a\":[" "[[[[[" DEEP8 "]]]]]" "]" BACK8 "}}",
		"{\"method\":\"a.b.C\",\"parameters\":{\"a\":\"[[[[[[[[[[[[[[[[[[[[{{{{\\\"[[[[\"}}",
		"{\"method\":\"a.b.C\",\"upgrade\":true}",
	};
	static const char *const wrong[] = {
		"", " ", "null", "[]", "\"a.b.C\"", "{}", "{\"method\":null}", "{\"method\":1}", "{\"method\":\"a.b.C\"",
		"{\"method\":\"a.b.C\"}x", "{\"method\":\"a.b.C\"}{}", "{\"method\":\"a.b.C\",}", "{'method':'a.b.C'}",
		"{\"method\":\"a.b.C\",\"method\":\"a.b.C\"}", "{\"method\":\"a.b.C\",\"parameters\":{\"a\":1,\"a\":1}}",
		"{\"method\":\"a.b.C\",\"parameters\":{\"a\":{\"b\":1,\"\\u0062\":2}}}",
		"{\"method\":\"a.b.C\",\"parameters\":[]}", "{\"method\":\"a.b.C\",\"parameters\":\"x\"}",
		"{\"method\":\"a.b.C\",\"oneway\":1}", "{\"method\":\"a.b.C\",\"more\":\"true\"}", "{\"method\":\"a.b.C\",\"upgrade\":{}}",
		"{\"method\":\"a.b.C\",\"more\":true,\"oneway\":true}", "{\"method\":\"a.b.C\",\"more\":true,\"upgrade\":true}",
		"{\"method\":\"a.b.C\",\"Method\":\"a.b.C\"}", "{\"method\":\"a.b.C\",\"continues\":true}",
		"{\"method\":\"a.b.C\",\"org.example\":{}}", "{\"method\":\"a.b.C\",\"x\":null}",
		"{\"method\":\"a.b.C\",\"parameters\":{\"n\":9223372036854775808}}",
		"{\"method\":\"a.b.C\",\"parameters\":{\"n\":1e999}}", "{\"method\":\"a.b.C\",\"parameters\":{\"n\":01}}",
		"{\"method\":\"a.b.C\",\"parameters\":{\"n\":NaN}}",
		"{\"method\":\"a.b.C\",\"parameters\":{\"s\":\"\xff\"}}", "{\"method\":\"a.b.C\",\"parameters\":{\"s\":\"\xc0\xaf\"}}",
		"{\"method\":\"a.b.C\",\"parameters\":{\"s\":\"\\ud800\"}}", "{\"method\":\"a.b.C\",\"parameters\":{\"s\":\"\\u0000\"}}",
		"{\"method\":\"a.b.C\",\"parameters\":{\"s\":\"a\nb\"}}", "\xef\xbb\xbf{\"method\":\"a.b.C\"}",
		"{\"method\":\"a.b.C\",\"parameters\":{\"a\":[" "[[[[[[" DEEP8 "]]]]]]" "]" BACK8 "}}",
		"{\"method\":\"a.b.C\",\"parameters\":{} /* x */}",
	};
	struct cm_varlink_call c, again;
	struct cm_buf text = { 0 };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(right); i++) {
		if (cm_varlink_call_parse(cm_blob_str(right[i]), &c) != CM_OK)
			fail_msg("not taken: %s", right[i]);
		cm_buf_truncate(&text, 0);
		assert_int_equal(cm_varlink_call_write(&c, &text), CM_OK);
		assert_int_equal(cm_varlink_call_parse(cm_buf_blob(&text), &again), CM_OK);
		assert_string_equal(again.method, c.method);
		assert_true(json_equal(again.parameters, c.parameters));
		assert_true(again.oneway == c.oneway && again.more == c.more && again.upgrade == c.upgrade);
		cm_varlink_call_free(&c);
		cm_varlink_call_free(&again);
	}
	for (size_t i = 0; i < CM_COUNT(wrong); i++) {
		if (cm_varlink_call_parse(cm_blob_str(wrong[i]), &c) != CM_ERR_SYNTAX)
			fail_msg("taken: %s", wrong[i]);
		assert_true(c.method == NULL && c.parameters == NULL);
	}
	cm_buf_free(&text);
}

static void
test_replies(void **state)
{
	static const struct {
		const char *text, *error;
		bool continues;
	} right[] = {
		{ "{}", NULL, false },
		{ "{\"parameters\":{\"a\":1}}", NULL, false },
		{ "{\"parameters\":{},\"continues\":true}", NULL, true },
		{ "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"x\"}}",
		    "org.varlink.service.InterfaceNotFound", false },
		{ "{\"error\":null,\"continues\":null,\"parameters\":null}", NULL, false },
	};
	static const char *const wrong[] = {
		"", "[]", "{\"error\":\"x\"}", "{\"error\":{}}", "{\"error\":\"a.b.C\",\"continues\":true}", "{\"parameters\":1}",
		"{\"parameters\":{},\"upgraded\":true}", "{\"continues\":1}", "{\"method\":\"a.b.C\"}", "{\"error\":\"a.b.c\"}",
	};
	struct cm_varlink_reply r;
	struct cm_buf text = { 0 };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(right); i++) {
		assert_int_equal(cm_varlink_reply_parse(cm_blob_str(right[i].text), &r), CM_OK);
		assert_true(json_is_object(r.parameters));
		assert_int_equal(r.continues, right[i].continues);
		assert_true((r.error == NULL) == (right[i].error == NULL));
		if (r.error != NULL)
			assert_string_equal(r.error, right[i].error);
		cm_varlink_reply_free(&r);
	}
	for (size_t i = 0; i < CM_COUNT(wrong); i++) {
		if (cm_varlink_reply_parse(cm_blob_str(wrong[i]), &r) != CM_ERR_SYNTAX)
			fail_msg("taken: %s", wrong[i]);
		assert_true(r.error == NULL && r.parameters == NULL);
	}
	r = (struct cm_varlink_reply){ .error = (char[]){ "none" } };
	assert_int_equal(cm_varlink_reply_write(&r, &text), CM_ERR_USAGE);
	r = (struct cm_varlink_reply){ .continues = true };
	assert_int_equal(cm_varlink_reply_write(&r, &text), CM_OK);
	assert_string_equal(cm_buf_str(&text), "{\"parameters\":{},\"continues\":true}");
	cm_buf_free(&text);
}

/* The grammar's own examples of names, and what is just beside them. */
static void
test_names(void **state)
{
	static const char *const interfaces[] = { "org.varlink.service", "a.b", "a.0", "com.a-b.c9", "a--b.c--d", "xn--lgbbat1ad8j.example.algeria", "io.systemd.UserDatabase" };
	static const char *const none[] = { "", "a", "a.", ".a", "a..b", "0.a", "-a.b", "a-.b", "a.-b", "a.b-", "a_b.c", "a.b.", "a.b c" };
	static const char *const methods[] = { "a.b.C", "org.varlink.service.GetInfo", "a.b.C9d" };
	static const char *const no_methods[] = { "", "C", "a.C", "a.b.c", "a.b.", "a.b.C_d", "a.b.9C", ".a.b.C", "a.b.C " };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(interfaces); i++)
		assert_true(cm_varlink_is_interface(interfaces[i]));
	for (size_t i = 0; i < CM_COUNT(none); i++)
		if (cm_varlink_is_interface(none[i]))
			fail_msg("\"%s\" is no interface", none[i]);
	for (size_t i = 0; i < CM_COUNT(methods); i++)
		assert_true(cm_varlink_is_method(methods[i]));
	for (size_t i = 0; i < CM_COUNT(no_methods); i++)
		if (cm_varlink_is_method(no_methods[i]))
			fail_msg("\"%s\" is no method", no_methods[i]);
}

/* ---- a service */

static const char description[] =
	"interface org.example.test\n"
	"method Add(a: int, b: int) -> (sum: int)\n"
	"method Count(to: int) -> (at: int)\n"
	"method Read() -> (text: string)\n"
	"method Later() -> (it: string)\n"
	"method Refuse() -> ()\n"
	"method Foreign() -> ()\n"
	"method Forget() -> ()\n"
	"method Planned() -> ()\n"
	"error No(why: string)\n";

/* What the handlers leave for the test. */
struct notes {
	struct cm_varlink_turn later;
	json_int_t added;
};

static enum cm_err
add(struct cm_varlink_request *r)
{
	struct notes *n = r->context;
	json_int_t a, b;

	if (json_unpack(r->call->parameters, "{s:I, s:I !}", "a", &a, "b", &b) != 0)
		return cm_varlink_invalid(&r->turn, "a", r->deadline);
	n->added = a + b;
	return cm_varlink_answer(&r->turn, json_pack("{s:I}", "sum", a + b), r->deadline);
}

static enum cm_err
count(struct cm_varlink_request *r)
{
	const json_int_t to = json_integer_value(json_object_get(r->call->parameters, "to"));

	for (json_int_t i = 1; i < to; i++) {
		const enum cm_err err = cm_varlink_continue(&r->turn, json_pack("{s:I}", "at", i), r->deadline);

		if (err != CM_OK)
			return err;
	}
	return cm_varlink_answer(&r->turn, json_pack("{s:I}", "at", to), r->deadline);
}

/* The text comes through a pipe, and is in no message of the caller's. */
static enum cm_err
read_pipe(struct cm_varlink_request *r)
{
	const int fd = cm_wire_take_descriptor(r->turn.wire);
	char text[16] = "";
	ssize_t n;

	if (fd < 0)
		return cm_varlink_invalid(&r->turn, "descriptors", r->deadline);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n < 0 ? CM_ERR_SYSTEM : cm_varlink_answer(&r->turn, json_pack("{s:s}", "text", text), r->deadline);
}

static enum cm_err
later(struct cm_varlink_request *r)
{
	((struct notes *)r->context)->later = r->turn;
	return CM_OK;
}

static enum cm_err
refuse(struct cm_varlink_request *r)
{
	return cm_varlink_error(&r->turn, "org.example.test.No", json_pack("{s:s}", "why", "because"), r->deadline);
}

static enum cm_err
foreign(struct cm_varlink_request *r)
{
	return cm_varlink_error(&r->turn, "org.example.other.No", json_object(), r->deadline);
}

static enum cm_err
forget(struct cm_varlink_request *r)
{
	(void)r;
	return CM_OK;
}

static const struct cm_varlink_method methods[] = {
	{ "Add", add, 0 },
	{ "Count", count, CM_VARLINK_MORE },
	{ "Read", read_pipe, CM_VARLINK_TAKES_DESCRIPTORS },
	{ "Later", later, CM_VARLINK_LATER },
	{ "Refuse", refuse, 0 },
	{ "Foreign", foreign, 0 },
	{ "Forget", forget, 0 },
	{ "Planned", NULL, 0 },
};
static const struct cm_varlink_interface interface = { "org.example.test", description, methods, CM_COUNT(methods) };
static const struct cm_varlink_interface *const interfaces[] = { &interface };
static const struct cm_varlink_service service = { "Example", "Test", "1.0", "https://example.org/", interfaces, 1 };

struct pair {
	struct cm_wire *client, *server;
	struct notes notes;
};

static void
open_pair(struct pair *p)
{
	int fds[2];

	*p = (struct pair){ 0 };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(cm_wire_new(fds[0], &limits, &p->client), CM_OK);
	assert_int_equal(cm_wire_new(fds[1], &limits, &p->server), CM_OK);
}

static void
close_pair(struct pair *p)
{
	cm_wire_free(&p->client);
	cm_wire_free(&p->server);
}

static enum cm_err
serve_next(struct pair *p)
{
	struct cm_blob m;
	const enum cm_err err = cm_wire_receive(p->server, cm_deadline_in(SOON), &m);

	return err != CM_OK ? err : cm_varlink_serve(&service, p->server, m, &p->notes, cm_deadline_in(SOON));
}

/* A call in the standard's words, the result of serving it, and all that comes back: "|" stands for NUL. */
static void
test_conformance(void **state)
{
	static const struct {
		const char *call;
		enum cm_err err;
		const char *replies;
	} cases[] = {
		{ "{\"method\":\"org.varlink.service.GetInfo\",\"parameters\":{}}", CM_OK,
		    "{\"parameters\":{\"vendor\":\"Example\",\"product\":\"Test\",\"version\":\"1.0\",\"url\":\"https://example.org/\","
		    "\"interfaces\":[\"org.varlink.service\",\"org.example.test\"]}}|" },
		{ "{\"method\":\"org.varlink.service.GetInfo\",\"parameters\":{\"x\":1}}", CM_OK,
		    "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":\"x\"}}|" },
		{ "{\"method\":\"org.varlink.service.GetInterfaceDescription\"}", CM_OK,
		    "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":\"interface\"}}|" },
		{ "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{\"interface\":7}}", CM_OK,
		    "{\"error\":\"org.varlink.service.InvalidParameter\",\"parameters\":{\"parameter\":\"interface\"}}|" },
		{ "{\"method\":\"org.varlink.service.GetInterfaceDescription\",\"parameters\":{\"interface\":\"org.none\"}}", CM_OK,
		    "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"org.none\"}}|" },
		{ "{\"method\":\"org.none.Do\"}", CM_OK,
		    "{\"error\":\"org.varlink.service.InterfaceNotFound\",\"parameters\":{\"interface\":\"org.none\"}}|" },
		{ "{\"method\":\"org.example.test.Do\"}", CM_OK,
		    "{\"error\":\"org.varlink.service.MethodNotFound\",\"parameters\":{\"method\":\"org.example.test.Do\"}}|" },
		{ "{\"method\":\"org.example.test.add\"}", CM_ERR_SYNTAX, "" },
		{ "{\"method\":\"org.example.test.Planned\"}", CM_OK,
		    "{\"error\":\"org.varlink.service.MethodNotImplemented\",\"parameters\":{\"method\":\"org.example.test.Planned\"}}|" },
		{ "{\"method\":\"org.example.test.Add\",\"upgrade\":true}", CM_OK,
		    "{\"error\":\"org.varlink.service.MethodNotImplemented\",\"parameters\":{\"method\":\"org.example.test.Add\"}}|" },
		{ "{\"method\":\"org.example.test.Add\",\"parameters\":{\"a\":1,\"b\":2}}", CM_OK, "{\"parameters\":{\"sum\":3}}|" },
		/* "The server must adhere": nothing, not even an error */
		{ "{\"method\":\"org.example.test.Add\",\"parameters\":{\"a\":1,\"b\":2},\"oneway\":true}", CM_OK, "" },
		{ "{\"method\":\"org.none.Do\",\"oneway\":true}", CM_OK, "" },
		/* "if it does not reply with continues, the call will behave like a simple method call" */
		{ "{\"method\":\"org.example.test.Add\",\"parameters\":{\"a\":1,\"b\":2},\"more\":true}", CM_OK, "{\"parameters\":{\"sum\":3}}|" },
		{ "{\"method\":\"org.example.test.Count\",\"parameters\":{\"to\":3},\"more\":true}", CM_OK,
		    "{\"parameters\":{\"at\":1},\"continues\":true}|{\"parameters\":{\"at\":2},\"continues\":true}|{\"parameters\":{\"at\":3}}|" },
		{ "{\"method\":\"org.example.test.Count\",\"parameters\":{\"to\":3}}", CM_OK,
		    "{\"error\":\"org.varlink.service.ExpectedMore\",\"parameters\":{}}|" },
		{ "{\"method\":\"org.example.test.Refuse\"}", CM_OK, "{\"error\":\"org.example.test.No\",\"parameters\":{\"why\":\"because\"}}|" },
		{ "{\"method\":\"org.example.test.Forget\"}", CM_ERR_STATE, "" },
		{ "{\"parameters\":{}}", CM_ERR_SYNTAX, "" },
		{ "not json", CM_ERR_SYNTAX, "" },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct pair p;
		char got[2048];
		ssize_t n;

		open_pair(&p);
		assert_int_equal(cm_wire_send(p.client, cm_blob_str(cases[i].call), NULL, 0, cm_deadline_in(SOON)), CM_OK);
		assert_int_equal(serve_next(&p), cases[i].err);
		assert_int_equal(cm_wire_end(p.server), cases[i].err == CM_OK ? CM_WIRE_OPEN : CM_WIRE_GIVEN_UP);
		n = recv(cm_wire_fd(p.client), got, sizeof(got) - 1, MSG_DONTWAIT);
		n = n < 0 ? 0 : n;
		got[n] = '\0';
		for (ssize_t k = 0; k < n; k++)
			if (got[k] == '\0')
				got[k] = '|';
		assert_string_equal(got, cases[i].replies);
		close_pair(&p);
	}
}

/* Calls sent ahead are answered in their order, those that want no reply left out. */
static void
test_order(void **state)
{
	struct pair p;
	struct cm_blob m;
	char text[128];

	(void)state;
	open_pair(&p);
	for (int i = 0; i < 9; i++) {
		snprintf(text, sizeof(text), "{\"method\":\"org.example.test.Add\",\"parameters\":{\"a\":%d,\"b\":0},\"oneway\":%s}",
		    i, i % 3 == 1 ? "true" : "false");
		assert_int_equal(cm_wire_send(p.client, cm_blob_str(text), NULL, 0, cm_deadline_in(SOON)), CM_OK);
	}
	for (int i = 0; i < 9; i++) {
		assert_int_equal(serve_next(&p), CM_OK);
		assert_int_equal(p.notes.added, i);
	}
	for (int i = 0; i < 9; i++) {
		snprintf(text, sizeof(text), "{\"parameters\":{\"sum\":%d}}", i);
		if (i % 3 == 1)
			continue;
		assert_int_equal(cm_wire_receive(p.client, cm_deadline_in(0), &m), CM_OK);
		assert_string_equal((const char *)m.ptr, text);
	}
	close_pair(&p);
}

static void
test_later(void **state)
{
	static const char call[] = "{\"method\":\"org.example.test.Later\"}";
	struct pair p;
	struct cm_varlink_turn *t = &p.notes.later;
	struct cm_blob m;

	(void)state;
	open_pair(&p);
	assert_int_equal(cm_wire_send(p.client, cm_blob_str(call), NULL, 0, cm_deadline_in(SOON)), CM_OK);
	assert_int_equal(serve_next(&p), CM_OK);
	assert_int_equal(cm_wire_receive(p.client, cm_deadline_in(0), &m), CM_ERR_OFFLINE);
	assert_int_equal(cm_varlink_continue(t, json_object(), cm_deadline_in(SOON)), CM_ERR_STATE);	/* it takes one reply */
	assert_int_equal(cm_varlink_answer(t, NULL, cm_deadline_in(SOON)), CM_ERR_NOMEM);
	assert_int_equal(cm_varlink_answer(t, json_pack("{s:s}", "it", "now"), cm_deadline_in(SOON)), CM_OK);
	assert_int_equal(cm_varlink_answer(t, json_object(), cm_deadline_in(SOON)), CM_ERR_STATE);	/* and has had it */
	assert_int_equal(cm_wire_receive(p.client, cm_deadline_in(0), &m), CM_OK);
	assert_string_equal((const char *)m.ptr, "{\"parameters\":{\"it\":\"now\"}}");
	close_pair(&p);
}

/* ---- asking */

/* The service in a process of its own, for so many messages. */
static pid_t
serve_aside(struct pair *p, int messages)
{
	const pid_t child = fork();

	if (child == 0) {
		cm_wire_free(&p->client);
		while (messages-- > 0)
			if (serve_next(p) != CM_OK)
				break;
		_exit(0);
	}
	assert_true(child > 0);
	cm_wire_free(&p->server);
	return child;
}

static void
reap(pid_t child)
{
	int status;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void
test_ask(void **state)
{
	static const struct {
		const char *method;
		enum cm_err err;
		const char *error;
		bool open;
	} cases[] = {
		{ "org.example.test.Add", CM_OK, NULL, true },
		{ "org.example.test.Refuse", CM_ERR_REFUSED, "org.example.test.No", true },
		{ "org.example.test.Planned", CM_ERR_USAGE, CM_VARLINK_METHOD_NOT_IMPLEMENTED, true },
		{ "org.example.test.None", CM_ERR_USAGE, CM_VARLINK_METHOD_NOT_FOUND, true },
		{ "org.none.Do", CM_ERR_USAGE, CM_VARLINK_INTERFACE_NOT_FOUND, true },
		{ "org.varlink.service.GetInterfaceDescription", CM_ERR_REFUSED, CM_VARLINK_INVALID_PARAMETER, true },
		{ "nonsense", CM_ERR_USAGE, NULL, true },
		{ "org.example.test.Foreign", CM_ERR_SYNTAX, NULL, false },
		{ "org.example.test.Forget", CM_ERR_OFFLINE, NULL, false },	/* it closes: no answer, so no "no" */
		{ "org.example.test.Later", CM_ERR_OFFLINE, NULL, false },	/* silence */
	};
	json_t *numbers = json_pack("{s:i, s:i}", "a", 20, "b", 22);

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		const bool silent = strstr(cases[i].method, "Later") != NULL;
		struct cm_varlink_question q = { .method = cases[i].method, .parameters = numbers };
		struct cm_varlink_reply r;
		struct pair p;
		pid_t child;

		open_pair(&p);
		child = serve_aside(&p, silent ? 2 : 1);
		q.deadline = cm_deadline_in(silent ? BRIEF : SOON);
		assert_int_equal(cm_varlink_ask(p.client, &q, &r), cases[i].err);
		assert_int_equal(cm_wire_end(p.client) == CM_WIRE_OPEN, cases[i].open);
		assert_true((r.error == NULL) == (cases[i].error == NULL));
		if (cases[i].error != NULL)
			assert_string_equal(r.error, cases[i].error);
		if (cases[i].err == CM_OK)
			assert_int_equal(json_integer_value(json_object_get(r.parameters, "sum")), 42);
		cm_varlink_reply_free(&r);
		close_pair(&p);
		reap(child);
	}
	json_decref(numbers);
}

/* Replies that are none, from somebody who should know better. */
static void
test_ask_a_liar(void **state)
{
	static const char *const replies[] = {
		"{\"parameters\":{},\"continues\":true}", "{\"parameters\":{\"sum\":1}", "[]", "{\"sum\":3}", "{\"error\":\"No\"}",
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(replies); i++) {
		struct cm_varlink_question q = { .method = "org.example.test.Add", .deadline = cm_deadline_in(SOON) };
		struct cm_varlink_reply r;
		struct pair p;

		open_pair(&p);
		assert_int_equal(cm_wire_send(p.server, cm_blob_str(replies[i]), NULL, 0, q.deadline), CM_OK);
		assert_int_equal(cm_varlink_ask(p.client, &q, &r), CM_ERR_SYNTAX);
		assert_true(r.parameters == NULL && cm_wire_end(p.client) == CM_WIRE_GIVEN_UP);
		close_pair(&p);
	}
}

struct seen {
	int count, stop;
};

static enum cm_err
see(void *context, const struct cm_varlink_reply *r, cm_deadline *next)
{
	struct seen *s = context;

	*next = cm_deadline_in(SOON);
	assert_int_equal(json_integer_value(json_object_get(r->parameters, "at")), ++s->count);
	return s->count == s->stop ? CM_ERR_AGAIN : CM_OK;
}

static void
test_ask_more(void **state)
{
	json_t *to = json_pack("{s:i}", "to", 500);
	struct cm_varlink_question q = { .method = "org.example.test.Count", .parameters = to };
	struct cm_varlink_reply r;
	struct seen all = { 0, 0 }, some = { 0, 7 }, none = { 0, 0 };
	struct pair p;
	pid_t child;

	(void)state;
	open_pair(&p);
	child = serve_aside(&p, 2);
	q.deadline = cm_deadline_in(SOON);
	assert_int_equal(cm_varlink_ask_more(p.client, &q, see, &all, &r), CM_OK);
	assert_int_equal(all.count, 500);
	assert_int_equal(cm_wire_end(p.client), CM_WIRE_OPEN);
	/* Not interested any more: the connection goes, and what is still on its way with it. */
	assert_int_equal(cm_varlink_ask_more(p.client, &q, see, &some, &r), CM_ERR_AGAIN);
	assert_int_equal(some.count, 7);
	assert_int_equal(cm_wire_end(p.client), CM_WIRE_GIVEN_UP);
	close_pair(&p);
	reap(child);

	open_pair(&p);
	child = serve_aside(&p, 1);
	q.method = "org.example.test.Refuse";
	assert_int_equal(cm_varlink_ask_more(p.client, &q, see, &none, &r), CM_ERR_REFUSED);
	assert_string_equal(r.error, "org.example.test.No");
	assert_int_equal(none.count, 0);
	cm_varlink_reply_free(&r);
	close_pair(&p);
	reap(child);
	json_decref(to);
}

static void
test_tell(void **state)
{
	json_t *numbers = json_pack("{s:i, s:i}", "a", 1, "b", 2);
	const struct cm_varlink_question q = {
		.method = "org.example.test.Add", .parameters = numbers, .deadline = cm_deadline_in(SOON),
	};
	struct cm_blob m;
	struct pair p;

	(void)state;
	open_pair(&p);
	assert_int_equal(cm_varlink_tell(p.client, &q), CM_OK);
	assert_int_equal(serve_next(&p), CM_OK);
	assert_int_equal(p.notes.added, 3);
	assert_int_equal(cm_wire_receive(p.client, cm_deadline_in(0), &m), CM_ERR_OFFLINE);
	cm_wire_free(&p.server);
	assert_int_equal(cm_varlink_tell(p.client, &q), CM_ERR_OFFLINE);
	close_pair(&p);
	json_decref(numbers);
}

/* What must be in no message goes through a pipe beside it; a method that expects none takes none. */
static void
test_descriptor_beside_a_call(void **state)
{
	struct cm_varlink_question q = { .method = "org.example.test.Read" };
	struct cm_varlink_reply r;
	struct pair p;
	int fds[2];
	pid_t child;

	(void)state;
	open_pair(&p);
	child = serve_aside(&p, 3);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(write(fds[1], "through it", 10), 10);
	close(fds[1]);
	q.deadline = cm_deadline_in(SOON);
	assert_int_equal(cm_varlink_ask(p.client, &q, &r), CM_ERR_USAGE);
	assert_string_equal(r.error, CM_VARLINK_INVALID_PARAMETER);
	cm_varlink_reply_free(&r);
	q.descriptors = fds;
	q.descriptor_count = 1;
	assert_int_equal(cm_varlink_ask(p.client, &q, &r), CM_OK);
	assert_string_equal(json_string_value(json_object_get(r.parameters, "text")), "through it");
	cm_varlink_reply_free(&r);
	q.method = "org.example.test.Refuse";
	assert_int_equal(cm_varlink_ask(p.client, &q, &r), CM_ERR_USAGE);
	assert_string_equal(r.error, CM_VARLINK_INVALID_PARAMETER);
	cm_varlink_reply_free(&r);
	close(fds[0]);
	close_pair(&p);
	reap(child);
}

/* ---- descriptions */

#define I	"interface a.b\n"

static void
test_descriptions(void **state)
{
	static const char *const right[] = {
		/* The examples of https://varlink.org/Interface-Definition. */
		I "type MyType (\n   example_bool: bool,\n   example_int: int,\n   example_float: float,\n   example_string: string,\n"
		"   example_object: object,\n   example_enum: (one, two, three),\n   example_struct: (first: int, second: string),\n"
		"   example_array: []string,\n   example_dictionary: [string]string,\n   example_stringset: [string](),\n"
		"   example_nullable: ?string,\n   example_nullable_array_struct: ?[](first: int, second: string),\n"
		"   example_other_type: MyOtherType\n)\ntype MyOtherType (a: int)\n",
		I "type MyType ()\ntype MyOtherType (one)\nmethod Foo(a: int, b: MyType) -> (bar: MyOtherType, baz: float, "
		"more: (i: int, f: float, s: string))\nmethod Add(a: int, b: int) -> (sum: int)",
		I "error UnknownAction(action: string, more_data: DetailedError)\ntype DetailedError (x:?[][string]?int)\n",
		"# a\r\n\tinterface # b\n a.b# c\nmethod A\n(\n)\n->\n(\n)# d\n#\xc3\xa9\nerror B()\n",
	};
	static const struct {
		const char *text;
		unsigned line;
		const char *what;
	} wrong[] = {
		{ "", 1, "interface is wanted" }, { "method A()->()\n", 1, "interface is wanted" },
		{ "interfacea.b\nmethod A()->()\n", 1, "interface's name" }, { "interface a\nmethod A()->()\n", 1, "interface's name" },
		{ I, 2, "a member" }, { "interface a.b method A()->()\n", 1, "end of a line" }, { I "method A()->() error B()\n", 2, "end of a line" },
		{ I "method A() -> ()\nmethod A() -> ()\n", 3, "twice" }, { I "type A ()\nerror A ()\n", 3, "twice" },
		{ I "type A (a: int, a: int)\n", 2, "twice" }, { I "type A (a, a)\n", 2, "twice" }, { I "type A (a, b: int)\n", 2, "all fields" },
		{ I "type A (a: int,)\n", 2, "field's name" }, { I "type A (,)\n", 2, "field's name" }, { I "type A (a: int b: int)\n", 2, "comma" },
		{ I "type A (_a: int)\n", 2, "field's name" }, { I "type A (a_: int)\n", 2, "field's name" }, { I "type A (a__b: int)\n", 2, "field's name" },
		{ I "type A (a: )\n", 2, "a type" }, { I "type A (a: integer)\n", 2, "a type" }, { I "type A (a: ??int)\n", 2, "one ?" },
		{ I "type A (a: B)\n", 3, "not there" }, { I "error B()\ntype A (a: B)\n", 4, "not there" }, { I "type A (a: [int]int)\n", 2, "a type" },
		{ I "type a ()\n", 2, "a capital" }, { I "typeA ()\n", 2, "type, method or error" }, { I "method A\n", 3, "( is wanted" },
		{ I "method A(a, b) -> ()\n", 2, "all fields" }, { I "error A(a, b)\n", 2, "all fields" }, { I "error A\n", 3, "( is wanted" },
		{ I "method A() > ()\n", 2, "->" }, { I "method A() ->\n", 3, "( is wanted" }, { I "error A() # b", 2, "ends with its line" },
		{ I "error A() # \xff\n", 2, "UTF-8" }, { I "error A()\n\xc2\xa0\n", 3, "type, method" }, { I "enum A (a)\n", 2, "type, method" },
		{ I "type A (a:(a:(a:(a:(a:(a:(a:(a:(a:(a:(a:(a:(a:(a:(a:(a:(a:int)))))))))))))))))\n", 2, "fewer objects" },
		{ I "type A (a: [][][][][][][][][][][][][][][][][]int)\n", 2, "fewer arrays" },
	};
	struct cm_varlink_fault f;

	(void)state;
	for (size_t i = 0; i < CM_COUNT(right); i++)
		if (cm_varlink_description_check(cm_blob_str(right[i]), "a.b", &f) != CM_OK)
			fail_msg("case %zu, line %u: %s", i, f.line, f.what);
	for (size_t i = 0; i < CM_COUNT(wrong); i++) {
		if (cm_varlink_description_check(cm_blob_str(wrong[i].text), NULL, &f) != CM_ERR_SYNTAX)
			fail_msg("taken: %s", wrong[i].text);
		if (f.line != wrong[i].line || strstr(f.what, wrong[i].what) == NULL)
			fail_msg("%s: line %u: %s", wrong[i].text, f.line, f.what);
	}
	assert_int_equal(cm_varlink_description_check(cm_blob_str(right[0]), "a.c", &f), CM_ERR_SYNTAX);
}

/* What GetInterfaceDescription gives is right, for each interface that GetInfo names, and names what is served. */
static void
test_what_is_described(void **state)
{
	static const struct cm_varlink_interface fewer = { "org.example.test", description, methods, CM_COUNT(methods) - 1 },
	    other = { "org.example.test", description, methods + 1, CM_COUNT(methods) - 1 };
	static const char *const names[] = { "org.varlink.service", "org.example.test" };
	struct cm_varlink_fault f = { 0 };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(names); i++) {
		json_t *name = json_pack("{s:s}", "interface", names[i]);
		const struct cm_varlink_question q = {
			.method = "org.varlink.service.GetInterfaceDescription", .parameters = name, .deadline = cm_deadline_in(SOON),
		};
		struct cm_varlink_reply r;
		struct pair p;
		pid_t child;

		open_pair(&p);
		child = serve_aside(&p, 1);
		assert_int_equal(cm_varlink_ask(p.client, &q, &r), CM_OK);
		if (cm_varlink_description_check(cm_blob_str(json_string_value(json_object_get(r.parameters, "description"))), names[i], &f) != CM_OK)
			fail_msg("%s: line %u: %s", names[i], f.line, f.what);
		cm_varlink_reply_free(&r);
		close_pair(&p);
		reap(child);
		json_decref(name);
	}
	assert_int_equal(cm_varlink_interface_check(&interface, &f), CM_OK);
	assert_int_equal(cm_varlink_interface_check(&fewer, &f), CM_ERR_SYNTAX);
	assert_int_equal(cm_varlink_interface_check(&other, &f), CM_ERR_SYNTAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_conformance),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_later),
		cmocka_unit_test(test_ask),
		cmocka_unit_test(test_ask_a_liar),
		cmocka_unit_test(test_ask_more),
		cmocka_unit_test(test_tell),
		cmocka_unit_test(test_descriptor_beside_a_call),
		cmocka_unit_test(test_descriptions),
		cmocka_unit_test(test_what_is_described),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
