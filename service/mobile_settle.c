/*
 * service/mobile_settle.c - the folder made what the store says: at the start, each hour, and when an account ended.
 *
 * First without the folder's lock: usually nothing is to be done.  What is, is
 * looked at again with the lock, since a login may have written meanwhile.
 */
#include <stdlib.h>

#include "service/local.h"
#include "service/mobile_internal.h"

struct ended {
	struct cm_account *account;
	enum cm_mobile_end end;
};

/* All that is wanted, and all that is ours, each by name. */
struct view {
	const struct cm_mobile_host *h;
	struct cm_userdb_files wanted;
	struct cm_userdb_mark *marks;	/* names owned */
	size_t mark_count, mark_room;
	struct ended *ended;
	size_t ended_count, ended_room;
	bool whole;
	struct cm_trace *t;
};

static void
clear(struct view *v)
{
	cm_userdb_files_free(&v->wanted);
	for (size_t i = 0; i < v->mark_count; i++)
		free((char *)(uintptr_t)v->marks[i].name);
	for (size_t i = 0; i < v->ended_count; i++)
		cm_account_free(&v->ended[i].account);
	free(v->marks);
	free(v->ended);
	*v = (struct view){ .h = v->h, .t = v->t };
}

static bool
grow(void **rows, size_t size, size_t count, size_t *room)
{
	const size_t more = *room > 0 ? 2 * *room : 16;
	void *p;

	if (count < *room)
		return true;
	if ((p = realloc(*rows, more * size)) == NULL)
		return false;
	*rows = p;
	*room = more;
	return true;
}

static enum cm_err
add_ended(struct view *v, const struct cm_account *a, enum cm_mobile_end end)
{
	enum cm_err err;

	if (!grow((void **)&v->ended, sizeof(*v->ended), v->ended_count, &v->ended_room))
		return CM_ERR_NOMEM;
	v->ended[v->ended_count] = (struct ended){ .end = end };
	if ((err = cm_account_copy(a, &v->ended[v->ended_count].account)) == CM_OK)
		v->ended_count++;
	return err;
}

static enum cm_err
want(struct view *v, const struct cm_account *a)
{
	struct cm_userdb_files files = { .rows = NULL };
	enum cm_err err = cm_userdb_describe(a, v->t, &files);

	for (size_t i = 0; err == CM_OK && i < files.count; i++) {
		if (!grow((void **)&v->wanted.rows, sizeof(*v->wanted.rows), v->wanted.count, &v->wanted.room)) {
			err = CM_ERR_NOMEM;
			break;
		}
		v->wanted.rows[v->wanted.count++] = files.rows[i];
		files.rows[i] = (struct cm_userdb_file){ .name = NULL };
	}
	cm_userdb_files_free(&files);
	return err;
}

static enum cm_err
visit_row(struct view *v, const struct cm_mobile *m, enum cm_mobile_state state, bool is_allowed)
{
	if (state == CM_MOBILE_DECLINED)
		return CM_OK;
	if (state == CM_MOBILE_GONE)
		return add_ended(v, m->account, CM_MOBILE_END_GONE);
	if (!is_allowed || !cm_mobile_is_permitted(v->h->conf, m->account))
		return add_ended(v, m->account, CM_MOBILE_END_POLICY);
	if (state == CM_MOBILE_RESTS)
		return add_ended(v, m->account, CM_MOBILE_END_RESTS);
	return want(v, m->account);
}

/* A group that root no longer lists (accounts.local_groups) is away now, not at the next login; so is who has such a primary one. */
static enum cm_err
visit(void *arg, const struct cm_mobile *m, enum cm_mobile_state state)
{
	struct view *v = arg;
	const struct cm_account_limits limits = cm_local_limits(v->h->conf);
	struct cm_account a = *m->account;
	struct cm_mobile row = *m;
	enum cm_err err;

	row.account = &a;
	a.group_count = 0;
	if ((a.groups = calloc(m->account->group_count + 1, sizeof(*a.groups))) == NULL)
		return CM_ERR_NOMEM;
	for (size_t i = 0; i < m->account->group_count; i++)
		if (cm_group_is_allowed(&m->account->groups[i], &limits))
			a.groups[a.group_count++] = m->account->groups[i];
	err = visit_row(v, &row, state, cm_account_check(&a, &limits, NULL) == CM_OK);
	free(a.groups);
	return err;
}

static enum cm_err
visit_mark(void *arg, const struct cm_userdb_mark *m)
{
	struct view *v = arg;

	if (!grow((void **)&v->marks, sizeof(*v->marks), v->mark_count, &v->mark_room))
		return CM_ERR_NOMEM;
	v->marks[v->mark_count] = *m;
	return (v->marks[v->mark_count].name = strdup(m->name)) != NULL ? (v->mark_count++, CM_OK) : CM_ERR_NOMEM;
}

static const struct cm_userdb_mark *
find_mark(const struct view *v, const char *name)
{
	size_t from = 0, to = v->mark_count;

	while (from < to) {
		const size_t at = from + (to - from) / 2;

		if (strcmp(v->marks[at].name, name) < 0)
			from = at + 1;
		else
			to = at;
	}
	return from < v->mark_count && strcmp(v->marks[from].name, name) == 0 ? &v->marks[from] : NULL;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(((const struct cm_userdb_file *)a)->name, ((const struct cm_userdb_file *)b)->name);
}

/* Of what two accounts say of one group, what was written last holds. */
static void
merge(struct view *v)
{
	size_t count = 0;

	if (v->wanted.count > 0)
		qsort(v->wanted.rows, v->wanted.count, sizeof(*v->wanted.rows), compare);
	for (size_t i = 0; i < v->wanted.count; i++) {
		struct cm_userdb_file f = v->wanted.rows[i];
		const struct cm_userdb_mark *mark = find_mark(v, f.name);
		struct cm_userdb_file *last = count > 0 ? &v->wanted.rows[count - 1] : NULL;

		if (last == NULL || strcmp(last->name, f.name) != 0) {
			v->wanted.rows[count++] = f;
			continue;
		}
		if (mark != NULL && memcmp(mark->now, f.digest, sizeof(f.digest)) == 0) {
			const struct cm_userdb_file other = *last;

			*last = f;
			f = other;
		}
		free(f.name);
		free(f.content);
	}
	v->wanted.count = count;
}

static const struct cm_userdb_file *
find_wanted(const struct view *v, const char *name)
{
	const struct cm_userdb_file key = { .name = (char *)(uintptr_t)name };

	return v->wanted.count == 0 ? NULL : bsearch(&key, v->wanted.rows, v->wanted.count, sizeof(key), compare);
}

static enum cm_err
load(struct view *v, time_t now)
{
	bool rows = false, marks = false;
	enum cm_err err;

	if ((err = cm_mobile_each(v->h->store, now, v->t, &rows, visit, v)) == CM_OK)
		err = cm_marks_each(v->h->store, v->t, &marks, visit_mark, v);
	v->whole = rows && marks;
	if (err == CM_OK)
		merge(v);
	return err;
}

/* ---- what is to be done */

static bool
is_right(const struct view *v, const struct cm_userdb *folder, const struct cm_userdb_file *f)
{
	const struct cm_userdb_mark *mark = find_mark(v, f->name);
	const enum cm_userdb_look look = cm_userdb_look(folder, f->name, mark);

	/* Somebody else's stays as it is, marked or not. */
	return look == CM_USERDB_FOREIGN ||
	    (mark != NULL && look == CM_USERDB_CURRENT && memcmp(mark->now, f->digest, sizeof(f->digest)) == 0);
}

/* Names of files that are wrong, or too many; and whether a row of the store goes. */
struct wrong {
	char **names;
	size_t count, room;
	bool rows;
	bool many;	/* ... or a file */
};

static enum cm_err
add_wrong(struct wrong *w, const char *name)
{
	if (!grow((void **)&w->names, sizeof(*w->names), w->count, &w->room) || (w->names[w->count] = strdup(name)) == NULL)
		return CM_ERR_NOMEM;
	w->count++;
	return CM_OK;
}

static void
free_wrong(struct wrong *w)
{
	for (size_t i = 0; i < w->count; i++)
		free(w->names[i]);
	free(w->names);
}

static enum cm_err
list_wrong(const struct view *v, const struct cm_userdb *folder, struct wrong *w)
{
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && i < v->wanted.count; i++)
		if (!is_right(v, folder, &v->wanted.rows[i]))
			err = add_wrong(w, v->wanted.rows[i].name);
	for (size_t i = 0; err == CM_OK && i < v->mark_count; i++)
		if (find_wanted(v, v->marks[i].name) == NULL) {
			err = add_wrong(w, v->marks[i].name);
			w->many = true;
		}
	for (size_t i = 0; i < v->ended_count; i++)
		w->rows = w->rows || v->ended[i].end != CM_MOBILE_END_RESTS;
	return err;
}

static enum cm_err
put_right(const struct view *v, struct cm_userdb *folder, const struct cm_userdb_file *f)
{
	struct cm_userdb_mark mark = { .name = f->name };
	enum cm_err err;

	if (is_right(v, folder, f))
		return CM_OK;
	memcpy(mark.now, f->digest, sizeof(mark.now));
	if ((err = cm_marks_put(v->h->store, &mark, 1, v->t)) != CM_OK)
		return err;
	return cm_mobile_write_file(v->h, folder, f, v->t);
}

/* Whose names go is known by the file that names him. */
static enum cm_err
take_away(const struct view *v, struct cm_userdb *folder, const struct cm_userdb_mark *mark)
{
	const enum cm_userdb_look look = cm_userdb_look(folder, mark->name, mark);
	enum cm_err err = CM_OK;

	if (look == CM_USERDB_OURS || look == CM_USERDB_CURRENT)
		err = cm_userdb_remove(folder, mark->name, v->t);
	return err == CM_OK ? cm_marks_drop(v->h->store, mark->name, v->t) : err;
}

static bool
was_named(const struct view *v, const struct cm_account *a)
{
	struct cm_buf name = { 0 };
	bool was;

	cm_buf_addf(&name, "%s.user", a->name);
	was = find_mark(v, cm_buf_str(&name)) != NULL && find_wanted(v, cm_buf_str(&name)) == NULL;
	cm_buf_free(&name);
	return was;
}

static enum cm_err
end_account(const struct view *v, const struct ended *e, cm_mobile_told told, void *arg)
{
	enum cm_err err = CM_OK;

	if (was_named(v, e->account) && told != NULL)
		told(arg, e->account, e->end);
	if (e->end != CM_MOBILE_END_RESTS && (err = cm_mobile_forget(v->h->store, e->account->name, v->t)) == CM_ERR_ABSENT)
		err = CM_OK;
	return err;
}

static enum cm_err
worse(enum cm_err err, enum cm_err next)
{
	return err != CM_OK ? err : next;
}

/* What fails does not keep the rest from being done. */
static enum cm_err
act(const struct view *v, struct cm_userdb *folder, const struct wrong *w, cm_mobile_told told, void *arg)
{
	enum cm_err err = CM_OK;

	for (size_t i = 0; i < w->count; i++) {
		const struct cm_userdb_file *f = find_wanted(v, w->names[i]);
		const struct cm_userdb_mark *mark = find_mark(v, w->names[i]);

		if (f != NULL)
			err = worse(err, put_right(v, folder, f));
		else if (mark != NULL && v->whole)
			err = worse(err, take_away(v, folder, mark));
	}
	if (!v->whole)
		return worse(err, cm_trace_fail(v->t, CM_REASON_STORE, "the store is damaged: no name of a mobile account is taken away"));
	for (size_t i = 0; i < v->ended_count; i++)
		err = worse(err, end_account(v, &v->ended[i], told, arg));
	return err;
}

/* Only where something is to go, since all of the store is read. */
static enum cm_err
is_sound(const struct view *v, const struct wrong *w, bool *sound)
{
	enum cm_err err = CM_OK;

	if (w->many || w->rows)
		err = cm_mobile_check_store(v->h->store, NULL);
	*sound = err == CM_OK;
	return err == CM_ERR_SYSTEM ? CM_OK : err;
}

enum cm_err
cm_mobile_settle(const struct cm_mobile_host *h, time_t now, struct cm_trace *t, cm_mobile_told told, void *arg)
{
	struct view v = { .h = h, .t = t };
	struct cm_userdb *folder = NULL;
	struct wrong wrong = { .count = 0 };
	bool sound = true;
	enum cm_err err;

	if ((err = load(&v, now)) != CM_OK || (v.wanted.count == 0 && v.mark_count == 0 && v.ended_count == 0))
		goto out;
	if ((err = cm_userdb_open(h->conf->accounts.userdb, t, &folder)) != CM_OK ||
	    (err = list_wrong(&v, folder, &wrong)) != CM_OK || (wrong.count == 0 && !wrong.rows && v.whole) ||
	    (err = is_sound(&v, &wrong, &sound)) != CM_OK || (err = cm_userdb_lock(folder, t)) != CM_OK)
		goto out;
	cm_userdb_sweep(folder);
	clear(&v);
	if ((err = load(&v, now)) == CM_OK) {
		v.whole = v.whole && sound;
		err = act(&v, folder, &wrong, told, arg);
	}
out:
	cm_userdb_close(&folder);
	free_wrong(&wrong);
	clear(&v);
	return err;
}
