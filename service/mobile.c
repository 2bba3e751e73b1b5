/* service/mobile.c - mobile accounts: who gets one, and what a login with the network writes for it. */
#include "service/mobile.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "service/local.h"
#include "service/mobile_internal.h"

static const char *const elsewhere[] = { "/run/userdb", "/run/host/userdb", "/usr/local/lib/userdb", "/usr/lib/userdb" };

struct cm_mobile_plan {
	const struct cm_mobile_host *h;
	struct cm_account *account;		/* as it is written */
	struct cm_userdb *folder;
	struct cm_userdb_files files;
	struct cm_userdb_mark *marks;		/* one for each; names borrowed from files */
	struct cm_mobile row;
};

/* ---- policy */

static bool
is_in_group(const struct cm_account *a, const char *name)
{
	for (size_t i = 0; name != NULL && i < a->group_count; i++)
		if (strcmp(a->groups[i].name, name) == 0)
			return true;
	return false;
}

bool
cm_mobile_is_permitted(const struct cm_conf *conf, const struct cm_account *a)
{
	switch (conf->accounts.mobile) {
	case CM_MOBILE_ALL:
	case CM_MOBILE_ASK:
		return true;
	case CM_MOBILE_GROUP:
		return is_in_group(a, conf->accounts.mobile_group);
	default:
		return false;
	}
}

static enum cm_err
find(const struct cm_mobile_host *h, const struct cm_account *a, struct cm_trace *t, bool *declined)
{
	struct cm_account *found = NULL;
	time_t made;
	const enum cm_err err = cm_mobile_find(h->store, a->name, t, &found, declined, &made);

	cm_account_free(&found);
	return err;
}

bool
cm_mobile_must_ask(const struct cm_mobile_host *h, const struct cm_account *a)
{
	bool declined;

	return h->conf->accounts.mobile == CM_MOBILE_ASK && !a->local && find(h, a, NULL, &declined) == CM_ERR_ABSENT;
}

enum cm_err
cm_mobile_decline(const struct cm_mobile_host *h, const struct cm_account *a, struct cm_trace *t)
{
	const struct cm_mobile m = { .account = a, .declined = true, .made = cm_clock_now() };

	return cm_mobile_put(h->store, &m, t);
}

/* A row that is damaged is written anew by who is let in; of a store that cannot be asked nothing is known. */
static enum cm_err
check_wish(const struct cm_mobile_plan *p, bool asked)
{
	bool declined = false;
	enum cm_err err;

	if (p->account->local || !cm_mobile_is_permitted(p->h->conf, p->account))
		return CM_ERR_ABSENT;
	err = find(p->h, p->account, NULL, &declined);
	if (asked)
		return CM_OK;
	if (err == CM_OK && declined)
		return CM_ERR_ABSENT;
	return err == CM_ERR_ABSENT && p->h->conf->accounts.mobile == CM_MOBILE_ASK ? CM_ERR_ABSENT : CM_OK;
}

/* ---- what may be written */

/* Below a root, not the root itself: the account's check has seen that no ".." is in it. */
static bool
is_below(const char *home, const char *root)
{
	size_t len = strlen(root);

	while (len > 0 && root[len - 1] == '/')
		len--;
	return strncmp(home, root, len) == 0 && home[len] == '/' && home[len + 1] != '\0' && home[len + 1] != '/' &&
	    strstr(home, "/./") == NULL;
}

static enum cm_err
check_home(struct cm_mobile_plan *p, struct cm_trace *t)
{
	char **roots = p->h->conf->accounts.home_roots;
	struct cm_account *a = p->account;
	struct cm_buf home = { 0 };

	if (a->home[0] == '\0' && roots != NULL && roots[0] != NULL) {
		cm_buf_addf(&home, "%s/%s", roots[0], a->name);
		free(a->home);
		if ((a->home = cm_buf_take(&home)) == NULL)
			return CM_ERR_NOMEM;
	}
	for (size_t i = 0; roots != NULL && roots[i] != NULL; i++)
		if (is_below(a->home, roots[i]))
			return CM_OK;
	return cm_trace_fail(t, CM_REASON_ACCOUNT_FORBIDDEN, "account %s has the home directory %s, which is below no folder of "
	    "accounts.home_roots", a->name, a->home);
}

static enum cm_err
check_holder(struct cm_mobile_plan *p, struct cm_trace *t)
{
	const struct cm_account *a = p->account;
	char *holder = NULL;
	enum cm_err err = cm_mobile_find_holder(p->h->store, a->uid, a->name, t, &holder);

	if (err == CM_OK)
		err = cm_trace_fail(t, CM_REASON_LOCAL_COLLISION, "uid %u is that of the mobile account %s", a->uid, holder);
	free(holder);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

static bool
exists(const char *folder, const char *name)
{
	struct cm_buf path = { 0 };
	struct stat st;
	bool is;

	cm_buf_addf(&path, "%s/%s", folder, name);
	is = cm_buf_status(&path) != CM_OK || lstat(cm_buf_str(&path), &st) == 0;
	cm_buf_free(&path);
	return is;
}

/* Records that others gave this computer: the same account twice is one account, and not ours to describe. */
static enum cm_err
check_records(struct cm_mobile_plan *p, struct cm_trace *t)
{
	struct cm_account *a = p->account;
	struct cm_buf name = { 0 }, number = { 0 };
	bool of_name, of_number;
	enum cm_err err = CM_OK;

	cm_buf_addf(&name, "%s.user", a->name);
	cm_buf_addf(&number, "%u.user", a->uid);
	of_name = cm_mobile_is_foreign(p->h, p->folder, cm_buf_str(&name));
	of_number = cm_mobile_is_foreign(p->h, p->folder, cm_buf_str(&number));
	if (of_name && of_number && cm_userdb_is_same(p->folder, cm_buf_str(&name), cm_buf_str(&number)))
		err = CM_ERR_ABSENT;
	else if (of_name || of_number)
		err = cm_trace_fail(t, CM_REASON_LOCAL_COLLISION, "%s/%s is somebody else's: account %s (uid %u) is not described beside it",
		    p->h->conf->accounts.userdb, cm_buf_str(of_name ? &name : &number), a->name, a->uid);
	for (size_t i = 0; err == CM_OK && i < CM_COUNT(elsewhere); i++)
		if (exists(elsewhere[i], cm_buf_str(&name)) || exists(elsewhere[i], cm_buf_str(&number)))
			err = cm_trace_fail(t, CM_REASON_LOCAL_COLLISION, "%s has a record of the name %s, or of uid %u", elsewhere[i], a->name, a->uid);
	cm_buf_free(&name);
	cm_buf_free(&number);
	return err;
}

bool
cm_mobile_is_foreign(const struct cm_mobile_host *h, const struct cm_userdb *folder, const char *name)
{
	struct cm_userdb_mark mark;
	const bool marked = cm_marks_find(h->store, name, NULL, &mark) == CM_OK;

	return cm_userdb_look(folder, name, marked ? &mark : NULL) == CM_USERDB_FOREIGN;
}

static void
drop_group(struct cm_account *a, size_t i, const char *why, struct cm_trace *t)
{
	cm_trace_add(t, "group dropped", "%s (gid %u): %s", a->groups[i].name, a->groups[i].gid, why);
	free(a->groups[i].name);
	memmove(&a->groups[i], &a->groups[i + 1], (a->group_count - i - 1) * sizeof(*a->groups));
	a->group_count--;
}

/* accounts.local_groups: the account's check has let through what /etc/group has under that very name and gid. */
static enum cm_err
check_listed(struct cm_mobile_plan *p, struct cm_group *g, struct cm_trace *t)
{
	const char *const *listed = (const char *const *)p->h->conf->accounts.local_groups;

	return cm_group_is_listed(listed, g->name) ? cm_local_has_group(p->h->etc, g->name, t, &g->local) : CM_OK;
}

/* ---- what other sources of nsswitch.conf(5) say */

static void
set_question(struct cm_names_question *q, bool group, const char *name, uint32_t id)
{
	*q = (struct cm_names_question){ .group = group, .id = id };
	snprintf(q->name, sizeof(q->name), "%s", name);
}

static enum cm_err
judge_account(const struct cm_account *a, const struct cm_names_answer *said, struct cm_trace *t)
{
	const bool of_name = strcmp(said->name, a->name) == 0;

	if (said->state != CM_NAMES_TAKEN)
		return CM_OK;
	if (of_name)
		return cm_trace_fail(t, CM_REASON_LOCAL_COLLISION, "%s of nsswitch.conf has the account %s with uid %u, and the directory with "
		    "uid %u", said->source, a->name, said->id, a->uid);
	return cm_trace_fail(t, CM_REASON_LOCAL_COLLISION, "%s of nsswitch.conf has another account with uid %u, which is %s's in the directory",
	    said->source, a->uid, a->name);
}

/* Of who could not be asked nobody knows whom a record would stand before. */
static enum cm_err
judge_answers(struct cm_mobile_plan *p, const struct cm_names_answer *answers, struct cm_trace *t)
{
	struct cm_account *a = p->account;

	for (size_t i = 0; i <= a->group_count; i++)
		if (answers[i].state == CM_NAMES_UNASKED)
			return cm_trace_fail(t, CM_REASON_SYSTEM, "%s of nsswitch.conf could not be asked whose %s is%s%s: mend it, or take it out there",
			    answers[i].source, i == 0 ? a->name : a->groups[i - 1].name, answers[i].error != 0 ? ": " : "",
			    answers[i].error != 0 ? strerror(answers[i].error) : "");
	for (size_t i = a->group_count; i-- > 0;)
		if (answers[i + 1].state == CM_NAMES_TAKEN)
			drop_group(a, i, "another source of nsswitch.conf has its name, or its gid", t);
	return judge_account(a, &answers[0], t);
}

static enum cm_err
check_sources(struct cm_mobile_plan *p, struct cm_trace *t)
{
	static const struct cm_names_how ourselves = { .uid = (uid_t)-1 };
	const struct cm_account *a = p->account;
	struct cm_names_how how = p->h->names != NULL ? *p->h->names : ourselves;
	const size_t count = a->group_count + 1;
	struct cm_names_question *q = calloc(count, sizeof(*q));
	struct cm_names_answer *answers = calloc(count, sizeof(*answers));
	enum cm_err err = CM_ERR_NOMEM;

	how.etc = p->h->etc;
	if (q != NULL && answers != NULL) {
		set_question(&q[0], false, a->name, a->uid);
		for (size_t i = 0; i < a->group_count; i++)
			set_question(&q[i + 1], true, a->groups[i].name, a->groups[i].gid);
		if ((err = cm_names_ask(&how, q, count, t, answers)) == CM_OK)
			err = judge_answers(p, answers, t);
		else if (err == CM_ERR_ABSENT)
			err = CM_OK;
	}
	free(q);
	free(answers);
	return err;
}

/* Whom others describe keeps that description, and gets a member; two that do not agree are not mixed. */
static enum cm_err
check_groups(struct cm_mobile_plan *p, struct cm_trace *t)
{
	struct cm_account *a = p->account;
	enum cm_err err;

	for (size_t i = a->group_count; i-- > 0;) {
		struct cm_group *g = &a->groups[i];
		struct cm_buf name = { 0 }, number = { 0 };
		bool foreign;

		if ((err = check_listed(p, g, t)) != CM_OK)
			return err;
		cm_buf_addf(&name, "%s.group", g->name);
		cm_buf_addf(&number, "%u.group", g->gid);
		foreign = cm_mobile_is_foreign(p->h, p->folder, cm_buf_str(&name)) || cm_mobile_is_foreign(p->h, p->folder, cm_buf_str(&number));
		if (!g->local && foreign && cm_userdb_is_same(p->folder, cm_buf_str(&name), cm_buf_str(&number)))
			g->local = true;
		else if (!g->local && foreign)
			drop_group(a, i, "a record of somebody else has its name, or its gid", t);
		cm_buf_free(&name);
		cm_buf_free(&number);
	}
	return CM_OK;
}

/*
 * A primary group without a name gets the user's own (service/userdb.c).  sudo and others go by names: it must be
 * none of this computer's, or an account that a directory calls "sudo" were in that group.
 */
static enum cm_err
check_own_group(struct cm_mobile_plan *p, struct cm_trace *t)
{
	const struct cm_account *a = p->account;
	const struct cm_account_limits limits = { .first_gid = p->h->conf->accounts.first_gid };
	const struct cm_group own = { .name = a->name, .gid = a->gid };
	bool there = false;
	enum cm_err err;

	for (size_t i = 0; i < a->group_count; i++)
		if (a->groups[i].gid == a->gid || strcmp(a->groups[i].name, a->name) == 0)
			return CM_OK;
	if (!cm_group_is_allowed(&own, &limits))
		return cm_trace_fail(t, CM_REASON_ACCOUNT_FORBIDDEN, "account %s: the directory has no name for its primary group (gid %u), and "
		    "a group %s gives rights on this computer", a->name, (unsigned)a->gid, a->name);
	if ((err = cm_local_has_group(p->h->etc, a->name, t, &there)) == CM_OK && there)
		err = cm_trace_fail(t, CM_REASON_LOCAL_COLLISION, "account %s: the directory has no name for its primary group (gid %u), and %s, "
		    "which it would get, is a group of this computer's", a->name, (unsigned)a->gid, a->name);
	return err;
}

/* What somebody else put there meanwhile is left out, and stays. */
static enum cm_err
mark_files(struct cm_mobile_plan *p, struct cm_trace *t)
{
	enum cm_err err;

	if ((err = cm_userdb_describe(p->account, t, &p->files)) != CM_OK)
		return err;
	if ((p->marks = calloc(p->files.count, sizeof(*p->marks))) == NULL)
		return CM_ERR_NOMEM;
	for (size_t i = 0; i < p->files.count; i++) {
		const struct cm_userdb_file *f = &p->files.rows[i];

		if (cm_mobile_is_foreign(p->h, p->folder, f->name))
			continue;
		p->marks[p->row.file_count].name = f->name;
		memcpy(p->marks[p->row.file_count++].now, f->digest, sizeof(f->digest));
	}
	p->row.files = p->marks;
	p->row.account = p->account;
	p->row.made = cm_clock_now();
	return CM_OK;
}

static enum cm_err
open_folder(struct cm_mobile_plan *p, struct cm_trace *t)
{
	const enum cm_err err = cm_userdb_open(p->h->conf->accounts.userdb, t, &p->folder);

	return err == CM_OK ? cm_userdb_lock(p->folder, t) : err;
}

static enum cm_err (*const steps[])(struct cm_mobile_plan *, struct cm_trace *) = {
	check_home, check_holder, check_sources, open_folder, check_records, check_groups, check_own_group, mark_files,
};

enum cm_err
cm_mobile_plan(const struct cm_mobile_host *h, const struct cm_account *a, bool asked, struct cm_trace *t, struct cm_mobile_plan **out)
{
	struct cm_mobile_plan *p = calloc(1, sizeof(*p));
	enum cm_err err;

	*out = NULL;
	if (p == NULL)
		return CM_ERR_NOMEM;
	p->h = h;
	if ((err = cm_account_copy(a, &p->account)) == CM_OK)
		err = check_wish(p, asked);
	for (size_t i = 0; err == CM_OK && i < CM_COUNT(steps); i++)
		err = steps[i](p, t);
	if (err == CM_OK)
		*out = p;
	else
		cm_mobile_plan_free(&p);
	return err;
}

const struct cm_mobile *
cm_mobile_plan_row(const struct cm_mobile_plan *p)
{
	return p != NULL ? &p->row : NULL;
}

void
cm_mobile_plan_free(struct cm_mobile_plan **p)
{
	if (*p == NULL)
		return;
	cm_userdb_close(&(*p)->folder);
	cm_userdb_files_free(&(*p)->files);
	cm_account_free(&(*p)->account);
	free((*p)->marks);
	free(*p);
	*p = NULL;
}

enum cm_err
cm_mobile_write_file(const struct cm_mobile_host *h, struct cm_userdb *folder, const struct cm_userdb_file *f, struct cm_trace *t)
{
	struct cm_userdb_mark mark;
	enum cm_userdb_look look;
	enum cm_err err = cm_marks_find(h->store, f->name, t, &mark);

	if (err == CM_ERR_ABSENT)	/* it was somebody else's when it was marked */
		return CM_OK;
	if (err != CM_OK)
		return err;
	look = cm_userdb_look(folder, f->name, &mark);
	if (look == CM_USERDB_CURRENT)
		return CM_OK;
	if (look == CM_USERDB_FOREIGN || (err = cm_userdb_write(folder, f, look == CM_USERDB_ABSENT, t)) == CM_ERR_STATE)
		return cm_trace_fail(t, CM_REASON_SYSTEM, "%s/%s was changed by somebody else, and stays", h->conf->accounts.userdb, f->name);
	return err;
}

/* The links last: whoever is found by number is there by name. */
enum cm_err
cm_mobile_plan_write(struct cm_mobile_plan *p, struct cm_trace *t)
{
	enum cm_err err = CM_OK;

	for (int links = 0; links <= 1; links++)
		for (size_t i = p->files.count; err == CM_OK && i-- > 0;)
			if (p->files.rows[i].link == (links != 0))
				err = cm_mobile_write_file(p->h, p->folder, &p->files.rows[i], t);
	return err;
}

/* ---- around a login */

static void
warn(const char *what, struct cm_trace *t)
{
	cm_trace_add(t, "warning", "%s: %s", what, cm_trace_reason(t) != CM_REASON_NONE ? cm_trace_message(t) : "out of memory");
	cm_trace_clear_reason(t);
}

struct cm_mobile_plan *
cm_mobile_begin(const struct cm_mobile_host *h, const struct cm_account *a, bool asked, struct cm_trace *t)
{
	struct cm_mobile_plan *p = NULL;
	const enum cm_err err = cm_mobile_plan(h, a, asked, t, &p);

	if (err != CM_OK && err != CM_ERR_ABSENT)
		warn("no mobile account", t);
	return p;
}

void
cm_mobile_end(struct cm_mobile_plan **p, enum cm_err kept, struct cm_trace *t)
{
	if (*p != NULL && kept == CM_OK) {
		if (cm_mobile_plan_write(*p, t) == CM_OK)
			cm_trace_add(t, "mobile account", "%s (uid %u), %zu records in %s", (*p)->account->name, (*p)->account->uid,
			    (*p)->row.file_count, (*p)->h->conf->accounts.userdb);
		else
			warn("the mobile account is not whole yet", t);
	}
	cm_mobile_plan_free(p);
}
