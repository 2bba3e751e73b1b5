/* krb5/ccache.c - put a ticket into the user's own ccache, as the user. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "krb5/pkinit_internal.h"

#define NAME_MAX_LEN	1024	/* bytes of a resolved ccache name */
#define TEXT_MAX_LEN	512	/* bytes of the child's last words */

/* These end with the process that writes them, which is a child of ours (MIT Kerberos, "Credential cache", types). */
static const char *const short_lived[] = { "MEMORY:", "KEYRING:process:", "KEYRING:thread:" };

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

/* In the child from here on: it has become the user, says why it failed, and ends. */

static void
say(int fd, const char *what, const char *why)
{
	char text[TEXT_MAX_LEN];
	const int n = snprintf(text, sizeof(text), "%s: %s", what, why);

	if (n > 0 && write(fd, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1) < 0)
		_exit(2);
}

static bool
become(const struct cm_account *a, int fd)
{
	if (geteuid() == a->uid && getuid() == a->uid)
		return true;
	if (geteuid() != 0) {
		say(fd, "cannot become the account", "run this as root, or as that user");
		return false;
	}
	if (setgroups(1, &a->gid) == 0 && setresgid(a->gid, a->gid, a->gid) == 0 &&
	    setresuid(a->uid, a->uid, a->uid) == 0 && getuid() == a->uid && geteuid() == a->uid)
		return true;
	say(fd, "cannot become the account", strerror(errno));
	return false;
}

static krb5_error_code
fill(const struct cm_ticket *k, const char *name)
{
	krb5_ccache cc = NULL;
	krb5_error_code code = krb5_cc_resolve(k->context, name, &cc);

	if (code == 0)
		code = krb5_cc_initialize(k->context, cc, k->client);
	if (code == 0)
		code = krb5_cc_store_cred(k->context, cc, (krb5_creds *)&k->tgt);
	if (cc != NULL)
		krb5_cc_close(k->context, cc);
	return code;
}

static bool
fill_or_say(const struct cm_ticket *k, const char *name, int fd)
{
	const krb5_error_code code = fill(k, name);

	if (code != 0)
		say(fd, name, krb5_get_error_message(k->context, code));
	return code == 0;
}

/*
 * A file is written beside its name and renamed over it: a link that somebody
 * put there is replaced and not followed, and nobody reads half a ccache.
 */
static bool
fill_file(const struct cm_ticket *k, const char *path, int fd)
{
	char temporary[NAME_MAX_LEN + 16];
	int made;

	snprintf(temporary, sizeof(temporary), "FILE:%s.XXXXXX", path);
	if ((made = mkostemp(temporary + 5, O_CLOEXEC)) < 0) {
		say(fd, temporary + 5, strerror(errno));
		return false;
	}
	close(made);
	if (!fill_or_say(k, temporary, fd)) {
		unlink(temporary + 5);
		return false;
	}
	if (rename(temporary + 5, path) != 0) {
		say(fd, path, strerror(errno));
		unlink(temporary + 5);
		return false;
	}
	return true;
}

static bool
store_as_user(const struct cm_ticket *k, const char *name, const struct cm_account *a, int fd)
{
	umask(077);
	if (!become(a, fd))
		return false;
	if (strncmp(name, "FILE:", 5) == 0)
		return fill_file(k, name + 5, fd);
	if (name[0] == '/')
		return fill_file(k, name, fd);
	return fill_or_say(k, name, fd);
}

/* In the parent: the child's words until it ends.  false: the deadline passed. */
static bool
listen_to(int fd, cm_deadline deadline, char text[TEXT_MAX_LEN])
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t len = 0;

	for (;;) {
		const int ready = poll(&p, 1, cm_deadline_left(deadline));
		ssize_t n;

		text[len] = '\0';
		if (ready == 0 || (ready < 0 && errno != EINTR))
			return false;
		if (ready < 0)
			continue;
		if ((n = read(fd, text + len, TEXT_MAX_LEN - 1 - len)) == 0)
			return true;
		len += n > 0 ? (size_t)n : 0;
	}
}

static enum cm_err
await(pid_t child, int fd, const char *name, cm_deadline deadline, struct cm_trace *t)
{
	char text[TEXT_MAX_LEN];
	const bool ended = listen_to(fd, deadline, text);
	int status = -1;	/* no exit: where SIGCHLD is ignored nobody is told */

	if (!ended)
		kill(child, SIGKILL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (!ended)
		return cm_trace_fail(t, CM_REASON_CCACHE, "ccache %s: not written in time", name);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return cm_trace_fail(t, CM_REASON_CCACHE, "ccache %s: %s", name,
		    text[0] != '\0' ? text : "its writer ended early");
	return CM_OK;
}

static enum cm_err
store(const struct cm_ticket *k, const char *name, const struct cm_account *a,
    cm_deadline deadline, struct cm_trace *t)
{
	int ends[2];
	enum cm_err err;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC) != 0)
		return cm_trace_fail(t, CM_REASON_CCACHE, "ccache %s: %s", name, strerror(errno));
	if ((child = fork()) == 0)
		_exit(store_as_user(k, name, a, ends[1]) ? 0 : 1);
	close(ends[1]);
	if (child < 0)
		err = cm_trace_fail(t, CM_REASON_CCACHE, "ccache %s: %s", name, strerror(errno));
	else
		err = await(child, ends[0], name, deadline, t);
	close(ends[0]);
	return err;
}

enum cm_err
cm_ticket_store(const struct cm_ticket *k, const char *ccache, const struct cm_account *account,
    cm_deadline deadline, struct cm_trace *t, char **name)
{
	struct cm_buf resolved;
	enum cm_err err;

	*name = NULL;
	cm_buf_init(&resolved, NAME_MAX_LEN);
	if ((err = check_kind(ccache, t)) == CM_OK)
		err = expand(ccache, account, t, &resolved);
	if (err == CM_OK)
		err = store(k, cm_buf_str(&resolved), account, deadline, t);
	if (err == CM_OK && (*name = cm_buf_take(&resolved)) == NULL)
		err = CM_ERR_NOMEM;
	cm_buf_free(&resolved);
	return err;
}
