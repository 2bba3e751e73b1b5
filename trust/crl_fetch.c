/* trust/crl_fetch.c - a list from a server: what is asked for is what changed, or the rest of what broke off. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trust/crl_internal.h"
#include "trust/fetch.h"

/* One list that is on its way. */
struct cm_crl_coming {
	struct cm_crl_store s;		/* of the certificate's issuer: where parts are */
	char name[CM_CRL_NAME];		/* of the file that it is fetched into; "": it has none */
	dev_t dev;
	ino_t ino;
	int fd;				/* owned */
	struct cm_crl_index *here;	/* the list of this address that is in force, or NULL */
	char etag[128], modified[64], part_etag[128];
	uint8_t key[32];
	char url[];
};

static void
copy_blob(struct cm_blob v, char *to, size_t size)
{
	if (v.len < size)
		memcpy(to, v.ptr, v.len);
	to[v.len < size ? v.len : 0] = '\0';
}

/* What is in force and came from this address; whole, or it would never be mended. */
static struct cm_crl_index *
find_here(const struct cm_question *q, const char *url)
{
	struct cm_crl_index *found = NULL, **at = NULL;
	struct cm_crl_lists lists;

	cm_crl_gather(q, &lists);
	for (struct cm_crl_index **x = &lists.kept; *x != NULL; x = &(*x)->next)
		if (!(*x)->beside && !(*x)->gone && !(*x)->also && cm_blob_equal((*x)->source, cm_blob_str(url)) &&
		    (found == NULL || found->about.this_update < (*x)->about.this_update)) {
			found = *x;
			at = x;
		}
	if (found != NULL) {
		*at = found->next;
		found->next = NULL;
		if (!cm_crl_index_is_whole(found))
			cm_crl_index_close(&found);
	}
	cm_crl_list_close(&lists.kept);
	return found;
}

/* A file of the issuer's folder, so that a part of it can stay; where that cannot be, one without a name. */
static int
open_file(struct cm_crl_coming *c, struct cm_fetch *f)
{
	struct stat st = { 0 };

	c->fd = -1;
	if (c->s.keeps && c->s.folder >= 0) {
		c->fd = cm_crl_store_take_part(&c->s, c->url, c->name, c->part_etag, sizeof(c->part_etag));
		if (c->fd < 0)
			c->fd = cm_crl_store_create(&c->s, c->name);
	}
	if (c->fd < 0)
		c->fd = cm_crl_temporary(-1);
	if (c->fd < 0 || fstat(c->fd, &st) != 0)
		return -1;
	c->dev = st.st_dev;
	c->ino = st.st_ino;
	f->have = (uint64_t)st.st_size;
	f->part_etag = f->have > 0 ? c->part_etag : NULL;
	return c->fd;
}

void
cm_crl_coming_free(struct cm_crl_coming **c)
{
	if (*c == NULL)
		return;
	if ((*c)->name[0] != '\0')
		cm_crl_store_remove(&(*c)->s, (*c)->name);
	if ((*c)->fd >= 0)
		close((*c)->fd);
	cm_crl_store_close(&(*c)->s);
	cm_crl_index_close(&(*c)->here);
	free(*c);
	*c = NULL;
}

/*
 * ETag and Last-Modified are signed by nobody: whoever stood in the server's
 * place once may have given an older list those of the present one.  So one
 * that has ended is had anew, whatever they say; once, for its CA may be late.
 */
static bool
may_be_confirmed(const struct cm_question *q, const struct cm_crl_index *x)
{
	const struct cm_evidence e = { .this_update = x->about.this_update, .next_update = x->about.next_update };
	const time_t end = cm_evidence_end(&e, cm_undated_max(q->trust));

	return q->now <= end || x->learned > end;
}

enum cm_err
cm_crl_prepare(struct cm_question *q, const char *url, struct cm_fetch *f, struct cm_crl_coming **out)
{
	struct cm_crl_coming *c = calloc(1, sizeof(*c) + strlen(url) + 1);

	if ((*out = c) == NULL)
		return CM_ERR_NOMEM;
	memcpy(c->url, url, strlen(url) + 1);
	memcpy(c->key, q->answer.issuer_key, sizeof(c->key));
	cm_crl_store_open(&c->s, q->trust->o.crl_dir, c->key, q->trust->o.crl_keep, q->warning);
	c->s.until = cm_crl_lock_until(q);
	f->url = c->url;
	f->max = q->trust->o.crl_max;
	if ((f->fd = open_file(c, f)) < 0) {
		cm_object(q, CM_OBJECTION_NOT_KEPT, "nothing can be fetched: %s", strerror(errno));
		cm_crl_coming_free(out);
		return CM_ERR_SYSTEM;
	}
	if ((c->here = find_here(q, url)) != NULL && may_be_confirmed(q, c->here)) {
		copy_blob(c->here->etag, c->etag, sizeof(c->etag));
		copy_blob(c->here->modified, c->modified, sizeof(c->modified));
	}
	f->etag = c->etag;
	f->modified = c->modified;
	return CM_OK;
}

/* Its source says that it has no other. */
static enum cm_err
confirm(struct cm_question *q, struct cm_crl_coming *c)
{
	struct cm_crl_store s;
	enum cm_err err = CM_ERR_ABSENT;

	if (c->here == NULL) {
		cm_object(q, CM_OBJECTION_HTTP_STATUS, "it answers \"not modified\", and was not asked that");
		return err;
	}
	/* Where nothing is to be written, or can be, it is known to this round all the same. */
	cm_crl_store_open(&s, q->trust->o.crl_dir, c->here->issuer_key, q->trust->o.crl_keep, NULL);
	s.until = cm_crl_lock_until(q);
	err = s.keeps ? cm_crl_store_confirm(&s, c->here, q->known->now) : CM_OK;
	cm_crl_store_close(&s);
	c->here->confirmed = q->known->now;
	if (err == CM_ERR_ABSENT)
		cm_object(q, CM_OBJECTION_NOT_KEPT, "it is not modified, and the list that it is was removed meanwhile");
	else {
		c->here->came = true;
		cm_crl_keep_for_round(q, &c->here);
	}
	return err == CM_ERR_ABSENT ? err : CM_OK;
}

/* The key that the list names is found, and whether it may sign lists; then each octet is read once. */
static enum cm_err
import(struct cm_question *q, const struct cm_crl_coming *c, const struct cm_fetch *f)
{
	const struct cm_crl_origin o = { c->url, f->new_etag, f->new_modified, q->known->now, q->known->now };
	struct cm_crl_import i = { .list = c->fd, .max = q->trust->o.crl_max, .origin = o, .now = q->known->now,
	    .warning = q->warning };
	struct cm_crl_index *x = NULL;
	enum cm_err err = cm_crl_import_as(q, &i, &x);

	if (err == CM_OK) {
		x->came = true;
		x->left_out = i.left_out;
		cm_crl_keep_for_round(q, &x);
	}
	return err;
}

/* Is the file still the one that has a name?  Where the disk was full it went on elsewhere. */
static bool
is_named(const struct cm_crl_coming *c)
{
	struct stat st;

	return c->name[0] != '\0' && fstat(c->fd, &st) == 0 && st.st_dev == c->dev && st.st_ino == c->ino;
}

static void
keep_part(struct cm_crl_coming *c, const struct cm_fetch *f)
{
	const char *etag = f->new_etag[0] != '\0' ? f->new_etag : c->part_etag;
	struct stat st;

	/* RFC 9110 13.1.5: only a strong validator says that the rest belongs to it. */
	if (!is_named(c) || etag[0] != '"' || fstat(c->fd, &st) != 0 || st.st_size == 0 || (uint64_t)st.st_size > f->max)
		return;
	if (cm_crl_store_keep_part(&c->s, c->url, c->name, etag) == CM_OK)
		c->name[0] = '\0';
}

enum cm_err
cm_crl_arrived(struct cm_question *q, struct cm_crl_coming **coming, const struct cm_fetch *f)
{
	struct cm_crl_coming *c = *coming;
	enum cm_err err = CM_ERR_OFFLINE;

	c->fd = f->fd;
	if (f->objection != CM_OBJECTION_NONE) {
		cm_object(q, f->objection, "%s", cm_buf_str(&f->why));
		if (f->objection != CM_OBJECTION_TOO_LARGE && f->objection != CM_OBJECTION_HTTP_STATUS)
			keep_part(c, f);
	} else if (f->not_modified) {
		err = confirm(q, c);
	} else {
		/* Its room is the index's, where there is little. */
		if (c->name[0] != '\0' && !is_named(c)) {
			cm_crl_store_remove(&c->s, c->name);
			c->name[0] = '\0';
		}
		err = import(q, c, f);
	}
	ERR_clear_error();
	cm_crl_coming_free(coming);
	return err;
}
