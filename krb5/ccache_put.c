/* krb5/ccache_put.c - have a ticket put into the user's own ccache, as the user. */
#include "krb5/ccache_put.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"

#define NAME_LEN_MAX	1024	/* octets of a resolved ccache name */
#define PATH_LEN_MAX	4096
#define SAID_MAX	1024	/* octets of the program's last words */
#define PROGRAM		"cardmap-ccache"

/* These end with the process that writes them, or with its session (MIT Kerberos, "Credential cache", types). */
static const char *const short_lived[] = { "MEMORY:", "KEYRING:process:", "KEYRING:thread:", "KEYRING:session:" };

static enum cm_err
check_kind(const char *pattern, struct cm_trace *t)
{
	for (size_t i = 0; i < CM_COUNT(short_lived); i++)
		if (strncmp(pattern, short_lived[i], strlen(short_lived[i])) == 0)
			return cm_trace_fail(t, CM_REASON_CCACHE, "ccache %s: %s would be gone before "
			    "the user can use it; write FILE:, KCM: or KEYRING:persistent:", pattern,
			    short_lived[i]);
	return CM_OK;
}

static enum cm_err
expand(const char *pattern, const struct cm_account *a, struct cm_trace *t, struct cm_buf *out)
{
	for (const char *p = pattern; *p != '\0';) {
		if (strncmp(p, "%{uid}", 6) == 0) {
			cm_buf_addf(out, "%lu", (unsigned long)a->uid);
			p += 6;
		} else if (strncmp(p, "%{name}", 7) == 0) {
			cm_buf_add_str(out, a->name);
			p += 7;
		} else if (*p == '%') {
			return cm_trace_fail(t, CM_REASON_CCACHE,
			    "ccache %s: only %%{uid} and %%{name} are replaced", pattern);
		} else {
			cm_buf_add(out, p++, 1);
		}
	}
	if (cm_buf_status(out) != CM_OK)
		return cm_trace_fail(t, CM_REASON_CCACHE, "ccache %s: the name is too long", pattern);
	return CM_OK;
}

/*
 * Where it is installed as we are, or built as we are: beside us, so that no
 * variable or setting chooses it.  Whoever could put another there could have
 * put another in our place.
 */
static enum cm_err
find_program(struct cm_trace *t, struct cm_buf *path)
{
	static const char *const places[] = { CM_LIBEXEC_FROM_BIN, "../helper" };	/* installed, built */
	char self[PATH_LEN_MAX], *end;
	const ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return cm_trace_fail(t, CM_REASON_CCACHE, "where this program stands is not known: %s", strerror(errno));
	self[n] = '\0';
	if ((end = strrchr(self, '/')) != NULL)
		*end = '\0';
	for (size_t i = 0; i < CM_COUNT(places); i++) {
		cm_buf_truncate(path, 0);
		cm_buf_addf(path, "%s/%s/" PROGRAM, self, places[i]);
		if (cm_buf_status(path) == CM_OK && access(cm_buf_str(path), X_OK) == 0)
			return CM_OK;
	}
#ifdef CM_FAULT_POINTS
	cm_buf_truncate(path, 0);
	cm_buf_add_str(path, CM_BUILT_PROGRAMS "/" PROGRAM);	/* a test of this build stands elsewhere */
	return cm_buf_status(path);
#endif
	return cm_trace_fail(t, CM_REASON_CCACHE, "%s/%s/" PROGRAM " is missing: install cardmap again", self, places[0]);
}

/* One call of the program. */
struct put {
	const struct cm_ccache_put *p;
	const char *name;		/* of the ccache */
	cm_deadline deadline;
	struct cm_trace *trace;
	struct cm_trace *inner;		/* why it could not be run */
	struct cm_buf said;		/* its last words */
};

static enum cm_err
fail(const struct put *u, const char *why)
{
	return cm_trace_fail(u->trace, CM_REASON_CCACHE, "ccache %s: %s", u->name, why);
}

static enum cm_err
run_child(struct put *u, const struct cm_child *c)
{
	int status = -1;
	const enum cm_err err = cm_child_run(c, u->deadline, u->inner, &u->said, &status);

	if (err == CM_ERR_NOMEM)
		return CM_ERR_NOMEM;
	if (err == CM_ERR_ABSENT)
		return fail(u, PROGRAM " is missing: install cardmap again");
	if (err != CM_OK)
		return fail(u, cm_deadline_passed(u->deadline) ? "not written in time" : cm_trace_message(u->inner));
	if (status != 0 && u->said.len == 0)
		cm_buf_addf(&u->said, PROGRAM " ended early (status %d)", status);
	return status == 0 ? CM_OK : fail(u, cm_buf_str(&u->said));
}

/* The user's groups as the account has them: what a folder lets them do, it lets them do now. */
static enum cm_err
run_as(struct put *u, struct cm_child *c)
{
	const struct cm_account *a = u->p->account;
	gid_t *groups = calloc(a->group_count + 1, sizeof(*groups));
	enum cm_err err;

	if (groups == NULL)
		return CM_ERR_NOMEM;
	groups[0] = a->gid;
	for (size_t i = 0; i < a->group_count; i++)
		groups[i + 1] = a->groups[i].gid;
	c->uid = a->uid;
	c->gid = a->gid;
	c->groups = groups;
	c->group_count = a->group_count + 1;
	err = run_child(u, c);
	free(groups);
	return err;
}

static enum cm_err
run(struct put *u, const char *program)
{
	const struct cm_account *a = u->p->account;
	const char *const arguments[] = { u->name, a->principal, NULL };
	struct cm_child c = { .path = program, .arguments = arguments, .uid = (uid_t)-1, .ours = true,
	    .input = u->p->ticket, .output_max = SAID_MAX, .memory_max = SIZE_MAX };

	if (geteuid() == 0 && a->uid != 0)
		return run_as(u, &c);
	if (geteuid() != a->uid || getuid() != a->uid)
		return fail(u, "cannot become the account: run this as root, or as that user");
	return run_child(u, &c);
}

enum cm_err
cm_ccache_put(const struct cm_ccache_put *p, cm_deadline deadline, struct cm_trace *t, char **name)
{
	struct put u = { .p = p, .deadline = deadline, .trace = t };
	struct cm_buf resolved, program;
	enum cm_err err;

	*name = NULL;
	cm_buf_init(&resolved, NAME_LEN_MAX);
	cm_buf_init(&program, PATH_LEN_MAX);
	cm_buf_init(&u.said, SAID_MAX);
	if ((err = check_kind(p->pattern, t)) == CM_OK && (err = expand(p->pattern, p->account, t, &resolved)) == CM_OK &&
	    (err = cm_trace_new(&u.inner)) == CM_OK && p->program == NULL)
		err = find_program(t, &program);
	u.name = cm_buf_str(&resolved);
	if (err == CM_OK)
		err = run(&u, p->program != NULL ? p->program : cm_buf_str(&program));
	if (err == CM_OK && (*name = cm_buf_take(&resolved)) == NULL)
		err = CM_ERR_NOMEM;
	cm_trace_free(&u.inner);
	cm_buf_free(&u.said);
	cm_buf_free(&program);
	cm_buf_free(&resolved);
	return err;
}
