/*
 * helper/names_main.c - cardmap-names: ask sources of nsswitch.conf(5) for names and ids, one by one.
 *
 * cardmap-names "SOURCE ..." "SOURCE ...", of passwd and of group, with questions on standard input; the answers
 * of service/names.h on standard output.  A source is a module that glibc would load for anybody: it is loaded
 * here, where nothing is lost by it, and may take as long as whoever started us lets it.
 */
#include <dlfcn.h>
#include <errno.h>
#include <grp.h>
#include <nss.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/names.h"

#define TEXTS_MAX	((size_t)16 << 20)	/* a group with all its members; above it the source could not be asked */

/* The four functions of a module, as glibc's own <nss.h> has their results; NULL: it has none of that database. */
union function {
	void *symbol;
	enum nss_status (*user_by_name)(const char *, struct passwd *, char *, size_t, int *);
	enum nss_status (*user_by_id)(uid_t, struct passwd *, char *, size_t, int *);
	enum nss_status (*group_by_name)(const char *, struct group *, char *, size_t, int *);
	enum nss_status (*group_by_id)(gid_t, struct group *, char *, size_t, int *);
};

struct source {
	char name[CM_NAMES_SOURCE_MAX];
	union function by_name, by_id;
};

struct asking {
	struct source sources[2][CM_NAMES_SOURCES_MAX];	/* of passwd, of group */
	size_t counts[2];
	char *texts;
	size_t size;
	int error;
};

static void
load(struct asking *a, int group, const char *name, size_t len)
{
	static const char *const functions[2][2] = { { "getpwnam_r", "getpwuid_r" }, { "getgrnam_r", "getgrgid_r" } };
	struct source *s = &a->sources[group][a->counts[group]];
	char text[2 * CM_NAMES_SOURCE_MAX];
	void *module;

	if (len >= sizeof(s->name) || a->counts[group] == CM_NAMES_SOURCES_MAX)
		exit(1);
	memcpy(s->name, name, len);
	snprintf(text, sizeof(text), "libnss_%s.so.2", s->name);
	/* Where there is none, nobody on this computer has a name by it. */
	if ((module = dlopen(text, RTLD_NOW | RTLD_LOCAL)) == NULL)
		return;
	snprintf(text, sizeof(text), "_nss_%s_%s", s->name, functions[group][0]);
	s->by_name.symbol = dlsym(module, text);
	snprintf(text, sizeof(text), "_nss_%s_%s", s->name, functions[group][1]);
	s->by_id.symbol = dlsym(module, text);
	a->counts[group]++;
}

static void
load_all(struct asking *a, int group, const char *names)
{
	for (size_t len; *names != '\0'; names += len + (names[len] == ' ')) {
		len = strcspn(names, " ");
		if (len > 0)
			load(a, group, names, len);
	}
}

/* What a source says; name and id are what it found. */
struct found {
	const char *name;
	uint32_t id;
};

static enum nss_status
call(struct asking *a, const struct source *s, const struct cm_names_question *q, bool by_id, struct found *out)
{
	enum nss_status status = NSS_STATUS_NOTFOUND;
	struct passwd user = { .pw_name = NULL };
	struct group group = { .gr_name = NULL };

	if ((by_id ? s->by_id : s->by_name).symbol == NULL)
		return NSS_STATUS_NOTFOUND;
	a->error = 0;
	if (q->group != 0)
		status = by_id ? s->by_id.group_by_id(q->id, &group, a->texts, a->size, &a->error) :
		    s->by_name.group_by_name(q->name, &group, a->texts, a->size, &a->error);
	else
		status = by_id ? s->by_id.user_by_id(q->id, &user, a->texts, a->size, &a->error) :
		    s->by_name.user_by_name(q->name, &user, a->texts, a->size, &a->error);
	*out = q->group != 0 ? (struct found){ group.gr_name, group.gr_gid } : (struct found){ user.pw_name, user.pw_uid };
	return status;
}

/* A group may have more members than there is room for. */
static enum nss_status
ask(struct asking *a, const struct source *s, const struct cm_names_question *q, bool by_id, struct found *out)
{
	enum nss_status status;

	while ((status = call(a, s, q, by_id, out)) == NSS_STATUS_TRYAGAIN && a->error == ERANGE && a->size < TEXTS_MAX) {
		free(a->texts);
		a->size *= 4;
		if ((a->texts = malloc(a->size)) == NULL)
			exit(1);
	}
	return status;
}

/* false: it has the answer. */
static bool
judge(struct asking *a, const struct source *s, const struct cm_names_question *q, bool by_id, struct cm_names_answer *out)
{
	struct found found = { NULL, 0 };
	const enum nss_status status = ask(a, s, q, by_id, &found);

	snprintf(out->source, sizeof(out->source), "%s", s->name);
	if (status == NSS_STATUS_NOTFOUND)
		return true;
	if (status != NSS_STATUS_SUCCESS || found.name == NULL) {
		out->state = CM_NAMES_UNASKED;
		out->error = a->error;
		return false;
	}
	if (found.id == q->id && strcmp(found.name, q->name) == 0)
		return true;
	out->state = CM_NAMES_TAKEN;
	out->id = found.id;
	snprintf(out->name, sizeof(out->name), "%s", found.name);
	return false;
}

static void
answer(struct asking *a, const struct cm_names_question *q, struct cm_names_answer *out)
{
	const int group = q->group != 0;

	*out = (struct cm_names_answer){ .state = CM_NAMES_FREE };
	for (size_t i = 0; i < a->counts[group]; i++)
		if (!judge(a, &a->sources[group][i], q, false, out) || !judge(a, &a->sources[group][i], q, true, out))
			return;
}

int
main(int argc, char **argv)
{
	struct asking a = { .size = 16384 };
	struct cm_names_question q;
	struct cm_names_answer out;

	if (argc != 3 || (a.texts = malloc(a.size)) == NULL)
		return 1;
	load_all(&a, 0, argv[1]);
	load_all(&a, 1, argv[2]);
	while (fread(&q, sizeof(q), 1, stdin) == 1) {
		q.name[sizeof(q.name) - 1] = '\0';
		answer(&a, &q, &out);
		if (fwrite(&out, sizeof(out), 1, stdout) != 1)
			return 1;
	}
	free(a.texts);
	return ferror(stdin) != 0 || fflush(stdout) != 0;
}
