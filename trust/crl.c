/* trust/crl.c - revocation lists (RFC 5280 section 5), from a URL or a file: indexed once, asked by serial number. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trust/crl_internal.h"
#include "trust/fetch.h"

const char *const cm_crl_endings[] = { ".crl", ".pem", ".der", NULL };

/* ---- Lists that are here. */

static void
ask_as(const struct cm_question *q, struct cm_crl_asker *a)
{
	*a = (struct cm_crl_asker){ .trust = q->trust, .known = q->known, .now = q->now, .issuer = q->issuer, .more = q->chain };
	if (sk_X509_num(q->chain) > 0)
		a->anchor = sk_X509_value(q->chain, sk_X509_num(q->chain) - 1);
}

struct gathering {
	const struct cm_question *q;
	struct cm_crl_asker asker;
	struct cm_crl_lists *lists;
};

static size_t
place_of(const struct cm_crl_lists *l, const uint8_t key[32])
{
	size_t i = 0;

	while (i < l->key_count && memcmp(l->keys[i], key, sizeof(l->keys[i])) != 0)
		i++;
	return i;
}

bool
cm_crl_lists_of(const struct cm_crl_lists *l, const uint8_t key[32])
{
	return place_of(l, key) < l->key_count;
}

bool
cm_crl_is_past(const struct cm_crl_lists *l, const uint8_t key[32])
{
	return cm_crl_lists_of(l, key) && place_of(l, key) >= l->current;
}

static void
load_from(struct gathering *g, const char *folder, const uint8_t key[32])
{
	struct cm_crl_store s;

	cm_crl_store_open(&s, folder, key, false, g->q->warning);
	if (!cm_crl_store_load(&s, &g->lists->kept))
		g->lists->gone_damaged = true;
	cm_crl_store_close(&s);
}

static bool
gather_of(void *arg, X509 *issuer)
{
	struct gathering *g = arg;
	uint8_t key[32];

	if (g->lists->key_count == CM_COUNT(g->lists->keys))
		return false;
	if (!cm_crl_key(issuer, key) || cm_crl_lists_of(g->lists, key) ||
	    cm_crl_issuer_objection(&g->asker, issuer) != NULL)
		return true;
	memcpy(g->lists->keys[g->lists->key_count++], key, sizeof(key));
	/* Those that this process keeps stand first: of the same list they are heard, since they can be confirmed. */
	load_from(g, g->q->trust->o.crl_also, key);
	for (struct cm_crl_index *x = g->lists->kept; x != NULL && memcmp(x->issuer_key, key, sizeof(key)) == 0; x = x->next)
		x->also = true;
	load_from(g, g->q->trust->o.crl_dir, key);
	return true;
}

/* RFC 5280 4.2.1.13: who else issues lists about it. */
static void
gather_named(struct gathering *g)
{
	CRL_DIST_POINTS *points = X509_get_ext_d2i(g->q->cert, NID_crl_distribution_points, NULL, NULL);

	for (int i = 0; i < sk_DIST_POINT_num(points); i++) {
		const GENERAL_NAMES *names = sk_DIST_POINT_value(points, i)->CRLissuer;

		for (int k = 0; k < sk_GENERAL_NAME_num(names); k++)
			if (sk_GENERAL_NAME_value(names, k)->type == GEN_DIRNAME)
				cm_crl_each_issuer(&g->asker, sk_GENERAL_NAME_value(names, k)->d.directoryName, gather_of, g);
	}
	CRL_DIST_POINTS_free(points);
}

/* The issuer's own key first; another one of the same name signs after a change of keys. */
static void
gather(const struct cm_question *q, bool any_time, struct cm_crl_lists *out)
{
	struct gathering g = { .q = q, .lists = out };

	ask_as(q, &g.asker);
	g.asker.any_time = any_time;
	cm_crl_each_issuer(&g.asker, X509_get_issuer_name(q->cert), gather_of, &g);
	gather_named(&g);
	ERR_clear_error();
}

void
cm_crl_gather(const struct cm_question *q, struct cm_crl_lists *out)
{
	*out = (struct cm_crl_lists){ .round = q->lists != NULL ? *q->lists : NULL };
	gather(q, false, out);
	out->current = out->key_count;
}

enum cm_status
cm_crl_ask_kept(struct cm_question *q)
{
	struct cm_crl_lists lists;
	enum cm_status status = CM_STATUS_UNKNOWN;

	cm_crl_gather(q, &lists);
	/* A revocation does not end with the certificate of who signed it. */
	gather(q, true, &lists);
	if (lists.current == 0 && lists.kept == NULL)
		cm_object(q, CM_OBJECTION_NOT_A_LIST_SIGNER, "the CA may not sign revocation lists (no cRLSign in its keyUsage)");
	else
		status = cm_crl_judge(q, &lists);
	cm_crl_list_close(&lists.kept);
	ERR_clear_error();
	return status;
}

/* ---- Lists that come. */

void
cm_crl_keep_for_round(struct cm_question *q, struct cm_crl_index **x)
{
	if (q->lists == NULL) {
		cm_crl_index_close(x);
		return;
	}
	(*x)->asked = true;
	(*x)->next = *q->lists;
	*q->lists = *x;
	*x = NULL;
}

/* Of one question: what came for others before is not what is asked for now. */
static void
begin_asking(struct cm_question *q)
{
	for (struct cm_crl_index *x = q->lists != NULL ? *q->lists : NULL; x != NULL; x = x->next)
		x->asked = false;
}

/* Who signed it?  NULL: nobody who may; objected to. */
static X509 *
find_issuer(struct cm_question *q, int list)
{
	struct cm_crl_asker a;
	const char *why;
	X509 *issuer;
	bool named;

	ask_as(q, &a);
	issuer = cm_crl_choose_issuer(&a, list, q->trust->o.crl_max, &named);
	/* What is wrong with it is found when it is read. */
	if (issuer == NULL && !named)
		issuer = q->issuer;
	if (issuer == NULL)
		cm_object(q, CM_OBJECTION_OTHER_ISSUER, "it is the list of another CA");
	else if ((why = cm_crl_issuer_objection(&a, issuer)) != NULL)
		cm_object(q, CM_OBJECTION_NOT_A_LIST_SIGNER, "%s", why);
	else
		return issuer;
	return NULL;
}

/* The index of this very file, as it is now; or NULL. */
static struct cm_crl_index *
find_same(const struct cm_crl_store *s, const struct cm_crl_origin *o)
{
	struct cm_crl_index *lists = NULL, *found = NULL;

	cm_crl_store_load(s, &lists);
	for (struct cm_crl_index **x = &lists; found == NULL && *x != NULL;)
		if (cm_blob_equal((*x)->source, cm_blob_str(o->source)) && cm_blob_equal((*x)->etag, cm_blob_str(o->etag))) {
			found = *x;
			*x = found->next;
			found->next = NULL;
		} else {
			x = &(*x)->next;
		}
	cm_crl_list_close(&lists);
	return found;
}

/* The list must still be asked for, and what it says be heard, when whoever holds the lock stands still. */
cm_deadline
cm_crl_lock_until(const struct cm_question *q)
{
	return q->deadline != 0 ? cm_deadline_in((unsigned)cm_deadline_left(q->deadline) / 4) : 0;
}

enum cm_err
cm_crl_import_as(struct cm_question *q, struct cm_crl_import *i, struct cm_crl_index **out)
{
	struct cm_crl_store s;
	enum cm_err err = CM_OK;
	const size_t said = q->why.len;
	uint8_t key[32];

	*out = NULL;
	if ((i->issuer = find_issuer(q, i->list)) == NULL)
		return CM_ERR_SYNTAX;
	if (!cm_crl_key(i->issuer, key))
		return CM_ERR_NOMEM;
	if (i->beside) {
		cm_crl_store_open(&s, q->trust->o.crl_dir, key, false, NULL);
		*out = find_same(&s, &i->origin);
		cm_crl_store_close(&s);
	}
	if (*out != NULL)
		return CM_OK;
	cm_crl_store_open(&s, q->trust->o.crl_dir, key, q->trust->o.crl_keep, q->warning);
	s.until = cm_crl_lock_until(q);
	err = cm_crl_store_import(&s, i, out, &q->why);
	cm_crl_store_close(&s);
	if (err == CM_ERR_NOMEM)
		cm_buf_add_str(&q->why, "out of memory");
	if (err != CM_OK)
		q->objection = err == CM_ERR_SYNTAX ? cm_crl_objection_of(cm_buf_str(&q->why) + said) : CM_OBJECTION_NOT_KEPT;
	return err;
}

/* Of another file in the same folder there may be more to say: where it is asked for, all speak. */
static enum cm_status
ask_with(struct cm_question *q, enum cm_err (*bring)(struct cm_question *q, const char *where), const char *where)
{
	struct cm_crl_index *mine = NULL, **const lists = q->lists;
	enum cm_status status = CM_STATUS_UNKNOWN;

	if (q->lists == NULL)
		q->lists = &mine;
	begin_asking(q);
	if (bring(q, where) == CM_OK)
		status = cm_crl_ask_kept(q);
	q->lists = lists;
	cm_crl_list_close(&mine);
	return status;
}

/* What tells that a file is another one, or was written to. */
static void
mark_of(const struct stat *st, char *etag, size_t size)
{
	snprintf(etag, size, "%llx:%llx:%llx:%lld.%09ld:%lld.%09ld", (unsigned long long)st->st_dev,
	    (unsigned long long)st->st_ino, (unsigned long long)st->st_size, (long long)st->st_mtim.tv_sec,
	    st->st_mtim.tv_nsec, (long long)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
}

/* A folder of lists. */
struct asking {
	struct cm_question *q;
	size_t brought;
	bool hashed;				/* the folder has names by hash */
	char prefix[10];			/* of the issuer's lists: "89abcdef." */
};

/* What the list is worth stands in its signature, not in who owns the file. */
static int
open_list(const char *path, size_t max, struct stat *st, struct cm_question *q)
{
	/* O_NONBLOCK: a pipe put in the file's place must not hold us up. */
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		cm_object(q, CM_OBJECTION_NO_ANSWER, "there is no such file");
	else if (fd < 0 || fstat(fd, st) != 0)
		cm_object(q, CM_OBJECTION_NO_ANSWER, "it cannot be read: %s", strerror(errno));
	else if (!S_ISREG(st->st_mode))
		cm_object(q, CM_OBJECTION_NOT_A_LIST, "not a regular file");
	else if ((uint64_t)st->st_size > max)
		cm_object(q, CM_OBJECTION_TOO_LARGE, "larger than %zu bytes", max);
	else
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* An index of the file as it is, for this round. */
static enum cm_err
bring_file(struct cm_question *q, const char *path)
{
	struct stat st = { 0 };
	struct cm_crl_index *x = NULL;
	char etag[128];
	const struct cm_crl_origin o = { path, etag, "", q->known->now, 0 };
	const int fd = open_list(path, q->trust->o.crl_max, &st, q);
	struct cm_crl_import i = { .list = fd, .max = q->trust->o.crl_max, .origin = o, .now = q->known->now, .beside = true,
	    .warning = q->warning };
	enum cm_err err;

	if (fd < 0)
		return CM_ERR_SYSTEM;
	mark_of(&st, etag, sizeof(etag));
	if ((err = cm_crl_import_as(q, &i, &x)) == CM_OK)
		cm_crl_keep_for_round(q, &x);
	close(fd);
	return err;
}

static bool
is_list(const char *name, const void *arg)
{
	const struct asking *a = arg;

	if (a->hashed)
		return cm_folder_name_hashed(name, "r") && strncmp(name, a->prefix, 9) == 0;
	return cm_folder_name_ends(name, cm_crl_endings);
}

static bool
is_hashed_list(const char *name, const void *unused)
{
	(void)unused;
	return cm_folder_name_hashed(name, "r");
}

static enum cm_err
nothing(void *unused, const char *path)
{
	(void)unused;
	(void)path;
	return CM_OK;
}

static enum cm_err
bring_next(void *arg, const char *path)
{
	struct asking *a = arg;
	struct cm_question one = *a->q;

	cm_buf_init(&one.why, 0);
	if (bring_file(&one, path) == CM_OK)
		a->brought++;
	else
		cm_object(a->q, one.objection, "%s%s: %s", a->q->why.len > 0 ? "; " : "", path, cm_buf_str(&one.why));
	cm_buf_free(&one.why);
	return CM_OK;
}

static enum cm_err
bring_folder(struct cm_question *q, const char *path)
{
	struct asking a = { .q = q };
	struct cm_folder f = { .path = path, .fd = AT_FDCWD, .wants = is_hashed_list };
	struct cm_trace *why = NULL;
	enum cm_err err = cm_trace_new(&why);

	snprintf(a.prefix, sizeof(a.prefix), "%08lx.",
	    X509_NAME_hash_ex(X509_get_subject_name(q->issuer), NULL, NULL, NULL) & 0xffffffff);
	if (err == CM_OK && (err = cm_folder_each(&f, why, nothing, NULL)) == CM_OK) {
		a.hashed = f.count > 0;
		f.wants = is_list;
		f.wants_arg = &a;
		err = cm_folder_each(&f, why, bring_next, &a);
	}
	if (err != CM_OK)
		cm_object(q, CM_OBJECTION_NOT_A_LIST, "%s", err == CM_ERR_NOMEM ? "out of memory" : cm_trace_message(why));
	else if (f.count == 0)
		cm_object(q, CM_OBJECTION_NOT_A_LIST, "%s", a.hashed ? "no list of this issuer is in the folder" :
		    "no file in this folder ends in .crl, .pem or .der");
	cm_trace_free(&why);
	return err != CM_OK || a.brought > 0 ? err : CM_ERR_ABSENT;
}

enum cm_status
cm_crl_ask_file(struct cm_question *q, const char *path)
{
	struct stat st;

	if (!cm_crl_may_sign(q->issuer)) {
		cm_object(q, CM_OBJECTION_NOT_A_LIST_SIGNER, "the CA may not sign revocation lists (no cRLSign in its keyUsage)");
		return CM_STATUS_UNKNOWN;
	}
	return ask_with(q, stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? bring_folder : bring_file, path);
}
