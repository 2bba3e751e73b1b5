/* service/selector.c - a program that names the user of a card: asked as a stranger, believed as one. */
#include <stdlib.h>
#include <unistd.h>

#include "base/child.h"
#include "cache/accounts.h"
#include "service/local.h"
#include "service/selector_internal.h"

static bool
is_named_and_not_root(const struct passwd *e, const char *name)
{
	return strcmp(e->pw_name, name) == 0 && e->pw_uid != 0;
}

static bool
find_user(const char *name, struct cm_child *c)
{
	struct passwd entry;
	char texts[CM_LOCAL_TEXTS];

	if (!cm_local_find_user(name, is_named_and_not_root, &entry, texts))
		return false;
	c->uid = entry.pw_uid;
	c->gid = entry.pw_gid;
	return true;
}

static enum cm_err
choose_user(struct cm_child *c, struct cm_trace *t)
{
	if (geteuid() != 0 || find_user("_cardmap", c) || find_user("nobody", c))
		return CM_OK;
	return cm_trace_fail(t, CM_REASON_SELECTOR, "%s: there is no user _cardmap or nobody to run it as", c->path);
}

/* What it would take for an option, or print, is not said to it. */
static enum cm_err
judge(const struct cm_selector_call *s, struct cm_trace *t)
{
	const char *wrong = s->user != NULL ? cm_selector_judge_name(cm_blob_str(s->user)) : NULL;

	if (s->key_count == 0 || s->key_count > CM_SELECTOR_KEYS_MAX)
		return CM_ERR_STATE;
	return wrong == NULL ? CM_OK :
	    cm_trace_fail(t, CM_REASON_SELECTOR, "%s is not asked about \"%s\": %s", s->program, s->user, wrong);
}

static enum cm_err
write_keys(const struct cm_selector_call *s, struct cm_buf *out)
{
	char text[CM_SELECTOR_KEY_SIZE];

	for (size_t i = 0; i < s->key_count; i++)
		cm_buf_addf(out, "%s%s", i > 0 ? "," : "", cm_selector_key_text(&s->keys[i], text));
	return cm_buf_status(out);
}

/* Whatever kept it from answering, it is the selector that has to be mended. */
static enum cm_err
blame(struct cm_trace *t, enum cm_err err)
{
	char *why = NULL;

	if (err == CM_OK || err == CM_ERR_ABSENT || err == CM_ERR_NOMEM)
		return err;
	why = strdup(cm_trace_message(t));
	err = cm_trace_fail(t, CM_REASON_SELECTOR, "%s", why != NULL ? why : "");
	free(why);
	return err;
}

static enum cm_err
run(const struct cm_selector_call *s, const char *const *arguments, cm_deadline deadline,
    struct cm_trace *t, struct cm_buf *out)
{
	struct cm_child c = { .path = s->program, .arguments = arguments, .uid = (uid_t)-1,
		.output_max = CM_SELECTOR_ANSWER_MAX };
	int status = 0;
	enum cm_err err;

	if ((err = choose_user(&c, t)) != CM_OK ||
	    (err = blame(t, cm_child_run(&c, deadline, t, out, &status))) != CM_OK)
		return err;
	return status == 0 ? CM_OK :
	    cm_trace_fail(t, CM_REASON_SELECTOR, "%s: it ended with status %d", s->program, status);
}

enum cm_err
cm_selector_run(const struct cm_selector_call *s, cm_deadline deadline, struct cm_trace *t, struct cm_buf *answer)
{
	static const char *const operations[] = {
		[CM_SELECTOR_MAP] = "map", [CM_SELECTOR_BIND] = "bind", [CM_SELECTOR_UNBIND] = "unbind",
	};
	struct cm_buf keys = { 0 };
	const char *arguments[7];
	size_t n = 0;
	enum cm_err err;

	if ((err = judge(s, t)) != CM_OK || (err = write_keys(s, &keys)) != CM_OK)
		goto out;
	arguments[n++] = "-o";
	arguments[n++] = operations[s->operation];
	if (s->user != NULL) {
		arguments[n++] = "-u";
		arguments[n++] = s->user;
	}
	arguments[n++] = "-i";
	arguments[n++] = cm_buf_str(&keys);
	arguments[n] = NULL;
	err = run(s, arguments, deadline, t, answer);
out:
	cm_buf_free(&keys);
	return err;
}

/* A process that may start no program, or none as another user, has the one do it that may. */
static enum cm_err
run_remote(const struct cm_selector_call *s, cm_deadline deadline, struct cm_trace *t, struct cm_buf *answer)
{
	const struct cm_selection q = { .hashes = { s->keys->sha1, s->key_count * sizeof(*s->keys) }, .user = s->user,
		.deadline = deadline };
	enum cm_err err;

	if (s->operation != CM_SELECTOR_MAP)
		return CM_ERR_STATE;
	return (err = judge(s, t)) != CM_OK ? err : blame(t, cm_accounts_select(s->remote, &q, t, answer));
}

enum cm_err
cm_selector_ask(const struct cm_selector_call *s, cm_deadline deadline, struct cm_trace *t, char **users)
{
	struct cm_buf answer = { 0 };
	enum cm_err err = (s->remote != NULL ? run_remote : cm_selector_run)(s, deadline, t, &answer);

	if (err == CM_OK && s->operation == CM_SELECTOR_MAP)
		err = cm_selector_parse(s->program, cm_buf_blob(&answer), s->keys, s->key_count, t, users);
	cm_buf_free(&answer);
	return err;
}
