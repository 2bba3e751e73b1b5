/* tests/ldap/ask.c - queries made by hand, and directories asked with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "ask.h"

const char *
rig(const char *name)
{
	const char *value = getenv(name);

	if (value == NULL)
		fail_msg("%s is not set: run this among the servers of tests/rig/rig.py", name);
	return value;
}

const char *
pki(const char *file)
{
	static char path[4096];

	snprintf(path, sizeof(path), "%s/%s", rig("CM_RIG_PKI"), file);
	return path;
}

unsigned
lines_with(const char *path, const char *text)
{
	char line[65536];
	unsigned n = 0;
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL)
		n += strstr(line, text) != NULL;
	fclose(f);
	return n;
}

int
silence_the_resolver(void **state)
{
	static const char conf[] = "/run/rig/tmp/resolv.conf";
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(53) };
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	FILE *f = fopen(conf, "w");

	(void)state;
	inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
	if (f == NULL || fputs("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n", f) < 0 || fclose(f) != 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || unshare(CLONE_NEWNS) != 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return -1;
	return mount(conf, "/etc/resolv.conf", NULL, MS_BIND, NULL);
}

static void
set_term(struct cm_query_term *t, const char *rule, const char *attribute, const char *value)
{
	*t = (struct cm_query_term){
		.rule = (char *)(uintptr_t)rule, .attribute = (char *)(uintptr_t)attribute,
		.value = cm_blob_str(value),
	};
}

const struct cm_query *
ask_for(struct ask *a, const char *attribute, const char *value, const char *attribute2,
    const char *value2)
{
	set_term(&a->terms[0], "first", attribute, value);
	set_term(&a->terms[1], "second", attribute2, value2);
	a->query = (struct cm_query){ .terms = a->terms, .count = attribute2 != NULL ? 2 : 1 };
	return &a->query;
}

struct answer
find_user(struct cm_directory *d, const struct cm_query *q, const char *user, unsigned ms)
{
	struct answer a = { 0 };

	assert_int_equal(cm_trace_new(&a.trace), CM_OK);
	cm_trace_begin(a.trace, "account");
	a.err = cm_directory_find(d, q, user, cm_deadline_in(ms), a.trace, &a.account);
	cm_trace_end(a.trace, a.err);
	a.reason = cm_trace_reason(a.trace);
	assert_int_equal(a.err == CM_OK, a.account != NULL);
	return a;
}

struct answer
find_query(struct cm_directory *d, const struct cm_query *q, unsigned ms)
{
	return find_user(d, q, NULL, ms);
}

struct answer
find(struct cm_directory *d, const char *attribute, const char *value)
{
	struct ask a;

	return find_query(d, ask_for(&a, attribute, value, NULL, NULL), 10000);
}

void
answer_free(struct answer *a)
{
	cm_account_free(&a->account);
	cm_trace_free(&a->trace);
}

void
expect(struct answer *a, enum cm_reason reason, const char *text)
{
	if (a->reason != reason || strstr(cm_trace_message(a->trace), text) == NULL)
		fail_msg("wanted %d with \"%s\", got %d: %s", reason, text, a->reason,
		    cm_trace_message(a->trace));
	assert_int_equal(a->err, cm_reason_err(reason));
	answer_free(a);
}

struct cm_directory *
must_open(const struct cm_directory_options *o)
{
	struct cm_directory *d = NULL;
	struct cm_trace *t = NULL;

	assert_int_equal(cm_trace_new(&t), CM_OK);
	if (cm_directory_open(o, t, &d) != CM_OK)
		fail_msg("%s", cm_trace_message(t));
	cm_trace_free(&t);
	return d;
}

void
must_not_open(const struct cm_directory_options *o, enum cm_reason reason, const char *text)
{
	struct cm_directory *d = NULL;
	struct cm_trace *t = NULL;

	assert_int_equal(cm_trace_new(&t), CM_OK);
	if (cm_directory_open(o, t, &d) == CM_OK)
		fail_msg("%s opens; it must not: \"%s\"", o->uris[0], text);
	assert_null(d);
	if (cm_trace_reason(t) != reason || strstr(cm_trace_message(t), text) == NULL)
		fail_msg("%s: wanted %d with \"%s\", got %d: %s", o->uris[0], reason, text,
		    cm_trace_reason(t), cm_trace_message(t));
	assert_int_equal(cm_directory_open(o, NULL, &d), cm_reason_err(reason));
	cm_trace_free(&t);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct cm_group *)a)->name, ((const struct cm_group *)b)->name);
}

const char *
groups_of(const struct cm_account *a)
{
	static char text[1024];
	size_t n = 0;

	text[0] = '\0';
	if (a->group_count > 0)
		qsort(a->groups, a->group_count, sizeof(*a->groups), by_name);
	for (size_t i = 0; i < a->group_count && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s(%u)", i > 0 ? " " : "",
		    a->groups[i].name, a->groups[i].gid);
	return text;
}

bool
trace_has(const struct cm_trace *t, const char *key, const char *text)
{
	for (size_t i = 0; i < cm_trace_count(t); i++) {
		const struct cm_trace_stage *s = cm_trace_stage(t, i);

		for (size_t k = 0; k < s->count; k++)
			if (strcmp(s->items[k].key, key) == 0 && strstr(s->items[k].text, text) != NULL)
				return true;
	}
	return false;
}
