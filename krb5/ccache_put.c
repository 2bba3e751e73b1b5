/* krb5/ccache_put.c - have a ticket put into the user's own ccache, as the user. */
#include "krb5/ccache_put.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/child.h"
#include "krb5/ccache_write.h"

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

enum cm_err
cm_ccache_name(const char *pattern, const struct cm_account *account, struct cm_trace *t, char **name)
{
	struct cm_buf b;
	enum cm_err err;

	*name = NULL;
	cm_buf_init(&b, NAME_LEN_MAX);
	if ((err = check_kind(pattern, t)) == CM_OK && (err = expand(pattern, account, t, &b)) == CM_OK &&
	    (*name = cm_buf_take(&b)) == NULL)
		err = CM_ERR_NOMEM;
	cm_buf_free(&b);
	return err;
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

/* One call of the program, which begins before there is a ticket. */
struct cm_ccache_putting {
	struct cm_child child;
	struct cm_child_process *process;
	char *user, *principal;		/* whose the program has become */
	uid_t uid;
	gid_t *groups;			/* the primary one first */
	size_t group_count;
	struct cm_buf name, program;
	const char *arguments[4];
	bool removes;
	bool is_ahead;			/* it has the ticket */
	bool ended;			/* it has done its work, or failed */
};

static enum cm_err
fail(const struct cm_ccache_putting *u, struct cm_trace *t, const char *why)
{
	return cm_trace_fail(t, CM_REASON_CCACHE, "ccache %s: %s", cm_buf_str(&u->name), why);
}

/* What became of the program in its own words; inner: why it could not be run. */
static enum cm_err
judge(const struct cm_ccache_putting *u, enum cm_err err, const struct cm_trace *inner, cm_deadline deadline, struct cm_trace *t)
{
	if (err == CM_OK || err == CM_ERR_NOMEM)
		return err;
	if (err == CM_ERR_ABSENT)
		return fail(u, t, PROGRAM " is missing: install cardmap again");
	return fail(u, t, cm_deadline_passed(deadline) ? "not written in time" : cm_trace_message(inner));
}

static enum cm_err
become(struct cm_ccache_putting *u, struct cm_trace *t)
{
	u->child.uid = (uid_t)-1;
	if (geteuid() != 0 || u->uid == 0)
		return geteuid() == u->uid && getuid() == u->uid ? CM_OK :
		    fail(u, t, "cannot become the account: run this as root, or as that user");
	u->child.uid = u->uid;
	u->child.gid = u->groups[0];
	u->child.groups = u->groups;
	u->child.group_count = u->group_count;
	return CM_OK;
}

/* The user's groups as the account has them: what a folder lets them do, it lets them do now. */
static enum cm_err
take_account(struct cm_ccache_putting *u, const struct cm_account *a)
{
	u->uid = a->uid;
	u->user = strdup(a->name);
	u->principal = strdup(a->principal);
	u->group_count = a->group_count + 1;
	if ((u->groups = calloc(u->group_count, sizeof(*u->groups))) == NULL || u->user == NULL || u->principal == NULL)
		return CM_ERR_NOMEM;
	u->groups[0] = a->gid;
	for (size_t i = 0; i < a->group_count; i++)
		u->groups[i + 1] = a->groups[i].gid;
	return CM_OK;
}

static enum cm_err
choose(struct cm_ccache_putting *u, const struct cm_ccache_put *p, struct cm_trace *t)
{
	enum cm_err err;

	if ((err = take_account(u, p->account)) != CM_OK || (err = check_kind(p->pattern, t)) != CM_OK ||
	    (err = expand(p->pattern, p->account, t, &u->name)) != CM_OK)
		return err;
	if (p->program == NULL)
		return find_program(t, &u->program);
	cm_buf_add_str(&u->program, p->program);
	return cm_buf_status(&u->program);
}

static enum cm_err
start(struct cm_ccache_putting *u, cm_deadline deadline, struct cm_trace *t)
{
	struct cm_trace *inner = NULL;
	enum cm_err err;

	u->arguments[0] = cm_buf_str(&u->name);
	u->arguments[1] = u->principal;
	u->arguments[2] = u->removes ? "--remove" : NULL;
	u->child.path = cm_buf_str(&u->program);
	u->child.arguments = u->arguments;
	u->child.ours = u->child.fed = true;
	u->child.output_max = SAID_MAX;
	u->child.memory_max = SIZE_MAX;
	if ((err = become(u, t)) != CM_OK || (err = cm_trace_new(&inner)) != CM_OK)
		return err;
	err = judge(u, cm_child_start(&u->child, deadline, inner, &u->process), inner, deadline, t);
	cm_trace_free(&inner);
	return err;
}

static enum cm_err
begin(const struct cm_ccache_put *p, bool removes, cm_deadline deadline, struct cm_trace *t, struct cm_ccache_putting **out)
{
	struct cm_ccache_putting *u = calloc(1, sizeof(*u));
	enum cm_err err;

	*out = u;
	if (u == NULL)
		return CM_ERR_NOMEM;
	u->removes = removes;
	cm_buf_init(&u->name, NAME_LEN_MAX);
	cm_buf_init(&u->program, PATH_LEN_MAX);
	if ((err = choose(u, p, t)) != CM_OK || (err = start(u, deadline, t)) != CM_OK)
		cm_ccache_put_drop(out);
	return err;
}

enum cm_err
cm_ccache_put_begin(const struct cm_ccache_put *p, cm_deadline deadline, struct cm_trace *t, struct cm_ccache_putting **out)
{
	return begin(p, false, deadline, t, out);
}

bool
cm_ccache_put_is_for(const struct cm_ccache_putting *u, const struct cm_account *a)
{
	bool same = !u->ended && cm_child_lives(u->process) && strcmp(a->name, u->user) == 0 && strcmp(a->principal, u->principal) == 0 && a->uid == u->uid &&
	    a->gid == u->groups[0] && a->group_count + 1 == u->group_count;

	for (size_t i = 0; same && i < a->group_count; i++)
		same = a->groups[i].gid == u->groups[i + 1];
	return same;
}

void
cm_ccache_put_ahead(struct cm_ccache_putting *u, struct cm_blob ticket, cm_deadline deadline)
{
	const uint8_t head[CM_CCACHE_HEAD] = { (uint8_t)(ticket.len >> 24), (uint8_t)(ticket.len >> 16), (uint8_t)(ticket.len >> 8),
		(uint8_t)ticket.len };

	if (u->is_ahead)
		return;
	cm_child_feed(u->process, (struct cm_blob){ head, sizeof(head) }, deadline);
	cm_child_feed(u->process, ticket, deadline);
	u->is_ahead = true;
}

static enum cm_err
finish(struct cm_ccache_putting *u, struct cm_blob ticket, cm_deadline deadline, struct cm_trace *t)
{
	static const uint8_t give = CM_CCACHE_GIVE;
	struct cm_trace *inner = NULL;
	struct cm_buf said;
	int status = -1;
	enum cm_err err;

	if ((err = cm_trace_new(&inner)) != CM_OK)
		return err;
	cm_buf_init(&said, SAID_MAX);
	cm_ccache_put_ahead(u, ticket, deadline);
	u->ended = true;
	err = cm_child_finish(&u->process, &(struct cm_child_end){ .input = { &give, 1 }, .deadline = deadline, .trace = inner,
	    .out = &said, .status = &status, .word = CM_CCACHE_DONE });
	err = judge(u, err, inner, deadline, t);
	if (err == CM_OK && u->process == NULL && said.len == 0)
		cm_buf_addf(&said, PROGRAM " ended early (status %d)", status);
	if (err == CM_OK && u->process == NULL)	/* it did not say that it is done */
		err = fail(u, t, cm_buf_str(&said));
	cm_buf_free(&said);
	cm_trace_free(&inner);
	return err;
}

enum cm_err
cm_ccache_put_end(struct cm_ccache_putting *u, struct cm_blob ticket, cm_deadline deadline, struct cm_trace *t, char **name)
{
	enum cm_err err = finish(u, ticket, deadline, t);

	*name = NULL;
	if (err == CM_OK && (*name = cm_buf_take(&u->name)) == NULL)
		err = CM_ERR_NOMEM;
	return err;
}

void
cm_ccache_put_drop(struct cm_ccache_putting **putting)
{
	struct cm_ccache_putting *u = *putting;

	*putting = NULL;
	if (u == NULL)
		return;
	cm_child_drop(&u->process);
	free(u->user);
	free(u->principal);
	free(u->groups);
	cm_buf_free(&u->name);
	cm_buf_free(&u->program);
	free(u);
}

enum cm_err
cm_ccache_put(const struct cm_ccache_put *p, cm_deadline deadline, struct cm_trace *t, char **name)
{
	struct cm_ccache_putting *u = NULL;
	enum cm_err err;

	*name = NULL;
	if ((err = cm_ccache_put_begin(p, deadline, t, &u)) == CM_OK)
		err = cm_ccache_put_end(u, p->ticket, deadline, t, name);
	cm_ccache_put_drop(&u);
	return err;
}

enum cm_err
cm_ccache_remove(const struct cm_ccache_put *p, cm_deadline deadline, struct cm_trace *t)
{
	struct cm_ccache_putting *u = NULL;
	enum cm_err err;

	if ((err = begin(p, true, deadline, t, &u)) == CM_OK)
		err = finish(u, (struct cm_blob){ 0 }, deadline, t);
	cm_ccache_put_drop(&u);
	return err;
}
