/* trust/crl_keep.c - a list is indexed and put in force, whole or not at all; what it revoked is not forgiven by the next. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "trust/crl_internal.h"

void
cm_crl_name_beside(struct cm_blob source, char name[CM_CRL_NAME])
{
	uint8_t digest[32] = { 0 };

	EVP_Digest(source.ptr, source.len, digest, NULL, EVP_sha256(), NULL);
	cm_crl_hex_name(digest, ".file", name, CM_CRL_NAME);
}

/* One import. */
struct importing {
	const struct cm_crl_store *s;
	struct cm_crl_import *i;
	int fd;				/* of the new index; owned */
	char name[CM_CRL_NAME];		/* "": it has none */
};

static int
create_in_folder(void *arg)
{
	struct importing *m = arg;

	return m->fd = cm_crl_store_create(m->s, m->name);
}

static int
create_locked(void *arg)
{
	struct importing *m = arg;

	return m->fd = cm_crl_store_create_locked(m->s, m->name);
}

static int
create_in_memory(void *arg)
{
	struct importing *m = arg;

	return m->fd = cm_crl_temporary(-1);
}

static void
discard(struct importing *m)
{
	if (m->name[0] != '\0')
		unlinkat(m->s->folder, m->name, 0);
	m->name[0] = '\0';
	if (m->fd >= 0)
		close(m->fd);
	m->fd = -1;
}

static enum cm_err
build(struct importing *m, int folder, struct cm_buf *why)
{
	const struct cm_crl_building b = { .list = m->i->list, .folder = folder, .arg = m, .max = m->i->max,
	    .create = folder >= 0 ? create_in_folder : create_in_memory, .issuer = m->i->issuer,
	    .issuer_key = m->s->issuer_key, .origin = m->i->origin, .progress = m->i->progress,
	    .progress_arg = m->i->progress_arg };

	return cm_crl_build(&b, why);
}

/* Where there is no folder, or no room in it, the index lives as long as it is asked. */
static enum cm_err
build_somewhere(struct importing *m, struct cm_buf *why)
{
	const size_t said = why->len;
	const bool keeps = m->s->keeps && m->s->folder >= 0;
	enum cm_err err = CM_ERR_SYSTEM;

	if (keeps && (err = build(m, m->s->folder, why)) == CM_OK && fsync(m->fd) != 0) {
		cm_buf_addf(why, "its index cannot be written: %s", strerror(errno));
		err = CM_ERR_SYSTEM;
	}
	if (err != CM_ERR_SYSTEM)
		return err;
	discard(m);
	if (m->i->warning != NULL && keeps)
		cm_buf_addf(m->i->warning, "the list of %s is not kept: %s", m->i->origin.source, cm_buf_str(why) + said);
	cm_buf_truncate(why, said);
	return build(m, -1, why);
}

static bool
is_from(const struct cm_crl_index *x, const char *source)
{
	return cm_blob_equal(x->source, cm_blob_str(source));
}

/* A delta whose base is not in force here. */
static bool
is_lost(const struct importing *m, const struct cm_crl_about *delta)
{
	struct cm_crl_about complete = *delta;
	char name[CM_CRL_NAME];
	struct cm_crl_index *base;
	bool lost;

	complete.delta = false;
	cm_crl_name_in_force(&complete, name);
	base = cm_crl_store_open_index(m->s, name);
	lost = base == NULL || !cm_crl_delta_fits(delta, &base->about);
	cm_crl_index_close(&base);
	return lost;
}

const char *
cm_crl_left_out_text(enum cm_objection o)
{
	return o == CM_OBJECTION_ROLLBACK ? "it is older than the list of the same CA that is in force here" :
	    o == CM_OBJECTION_FUTURE ? "it is dated ahead of this computer's clock" :
	    "its changes cannot be applied to the list that is here, and those that are here can";
}

/* Under which name it stays; "": under none. */
static void
choose_name(const struct importing *m, const struct cm_crl_index *x, char name[CM_CRL_NAME])
{
	struct cm_crl_index *now;

	cm_crl_name_in_force(&x->about, name);
	now = cm_crl_store_open_index(m->s, name);
	/* What is dated ahead would shut out all that is to come. */
	if (x->about.this_update > m->i->now + CM_CLOCK_SKEW)
		m->i->left_out = CM_OBJECTION_FUTURE;
	else if (!m->i->beside && now != NULL && cm_crl_is_older(&x->about, &now->about))
		m->i->left_out = CM_OBJECTION_ROLLBACK;
	/* A delta that can be applied is worth more than one whose base is not here. */
	else if (x->about.delta && now != NULL && is_lost(m, &now->about) < is_lost(m, &x->about))
		m->i->left_out = CM_OBJECTION_NO_BASE;
	else if (m->i->beside && now != NULL && !cm_crl_is_older(&now->about, &x->about) &&
	    (!is_from(now, m->i->origin.source) || cm_crl_is_older(&x->about, &now->about)))
		cm_crl_name_beside(cm_blob_str(m->i->origin.source), name);
	if (m->i->left_out != CM_OBJECTION_NONE)
		name[0] = '\0';
	cm_crl_index_close(&now);
}

/* The same scope's other file. */
static void
name_like(const char *name, const char *end, char other[CM_CRL_NAME])
{
	snprintf(other, CM_CRL_NAME, "%.16s%s", name, end);
}

/* Written and named under the lock, before the list is: whenever this ends, nothing is forgiven. */
static enum cm_err
replace_gone(const struct cm_crl_store *s, const struct cm_crl_gone *g, const char *name, struct cm_buf *why)
{
	struct importing m = { .s = s, .fd = -1 };
	struct cm_crl_building b = { .folder = s->folder, .create = create_locked, .arg = &m };
	enum cm_err err = cm_crl_gone_build(g, &b, why);

	if (err == CM_OK && (fsync(m.fd) != 0 || renameat(s->folder, m.name, s->folder, name) != 0)) {
		cm_buf_addf(why, "what is gone from it cannot be kept: %s", strerror(errno));
		err = CM_ERR_SYSTEM;
	}
	if (err == CM_OK)
		m.name[0] = '\0';
	discard(&m);
	return err;
}

/* What is gone already; CM_ERR_ABSENT: nothing.  What cannot be read is not written over: nobody else has it. */
static enum cm_err
open_gone(const struct cm_crl_store *s, const char *name, struct cm_crl_index **gone)
{
	*gone = cm_crl_store_open_index(s, name);
	if (*gone == NULL && faccessat(s->folder, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT)
		return CM_ERR_ABSENT;
	return *gone != NULL ? CM_OK : CM_ERR_SYSTEM;
}

/* What the list of this name, about to be replaced by x, revoked and x does not. */
static enum cm_err
carry(const struct cm_crl_store *s, const struct cm_crl_index *x, const char *name, struct cm_buf *why)
{
	struct cm_crl_index *old = cm_crl_store_open_index(s, name), *gone = NULL, *base = NULL;
	char scope[CM_CRL_NAME], other[CM_CRL_NAME];
	enum cm_err err = CM_OK;

	if (old == NULL)
		return CM_OK;
	/* An administrator's file may have had another scope. */
	cm_crl_name_in_force(&old->about, scope);
	if (x->about.delta) {
		name_like(scope, ".crl", other);
		base = cm_crl_store_open_index(s, other);
	}
	name_like(scope, ".gone", other);
	if ((err = open_gone(s, other, &gone)) == CM_OK || err == CM_ERR_ABSENT)
		err = replace_gone(s, &(struct cm_crl_gone){ .gone = gone, .old = old, .base = base,
		    .fresh = cm_crl_same_scope(&old->about, &x->about) ? x : NULL }, other, why);
	if (err == CM_ERR_SYNTAX || (err == CM_ERR_SYSTEM && gone == NULL))
		cm_buf_addf(why, "what former lists revoked is damaged: move %s away to forget what it said", other);
	cm_crl_index_close(&old);
	cm_crl_index_close(&gone);
	cm_crl_index_close(&base);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

static bool
is_in_force(const char *name)
{
	static const char *const ends[] = { ".crl", ".delta", NULL };

	return name[0] != '\0' && cm_folder_name_ends(name, ends);
}

/* rename(2) is the one moment of change: before it the old one is whole, after it the new one. */
static enum cm_err
keep(struct importing *m, const struct cm_crl_index *x, struct cm_buf *why)
{
	char name[CM_CRL_NAME], other[CM_CRL_NAME];
	int held;

	if ((held = cm_crl_store_lock(m->s)) < 0)
		return CM_ERR_SYSTEM;
	choose_name(m, x, name);
	cm_crl_name_beside(cm_blob_str(m->i->origin.source), other);
	if ((is_in_force(name) && carry(m->s, x, name, why) != CM_OK) ||
	    (m->i->beside && name[0] != '\0' && carry(m->s, x, other, why) != CM_OK) ||
	    (name[0] != '\0' && renameat(m->s->folder, m->name, m->s->folder, name) != 0)) {
		close(held);
		return CM_ERR_SYSTEM;
	}
	if (name[0] != '\0')
		m->name[0] = '\0';
	/* The file's own former list says nothing any more. */
	if (m->i->beside && name[0] != '\0' && strcmp(name, other) != 0)
		unlinkat(m->s->folder, other, 0);
	fsync(m->s->folder);
	close(held);
	return CM_OK;
}

enum cm_err
cm_crl_store_import(struct cm_crl_store *s, struct cm_crl_import *i, struct cm_crl_index **out,
    struct cm_buf *why)
{
	struct importing m = { .s = s, .i = i, .fd = -1 };
	struct cm_buf said;
	enum cm_err err;

	*out = NULL;
	cm_buf_init(&said, 0);
	i->left_out = CM_OBJECTION_NONE;
	if ((err = build_somewhere(&m, why)) == CM_OK && (err = cm_crl_index_open(m.fd, out, why)) == CM_OK) {
		if (m.name[0] == '\0') {
			i->left_out = CM_OBJECTION_NOT_KEPT;
		} else if (keep(&m, *out, &said) != CM_OK) {
			i->left_out = CM_OBJECTION_NOT_KEPT;
			if (i->warning != NULL)
				cm_buf_addf(i->warning, "the list of %s is not kept: %s", i->origin.source,
				    said.len > 0 ? cm_buf_str(&said) : strerror(errno));
		}
	}
	discard(&m);
	cm_buf_free(&said);
	return err;
}

/* Of one file of what is gone: all but this certificate. */
static enum cm_err
forget_in(const struct cm_crl_store *s, const char *name, struct cm_crl_gone *g)
{
	struct cm_crl_index *gone = cm_crl_store_open_index(s, name);
	struct cm_crl_entry e;
	struct cm_buf why;
	enum cm_err err = CM_ERR_ABSENT;

	for (uint64_t i = 0; err == CM_ERR_ABSENT && gone != NULL && i < gone->about.entries; i++)
		if (cm_crl_index_entry(gone, i, &e) && cm_crl_gone_is_of(gone, &e, g->forget, g->issuer))
			err = CM_OK;
	cm_buf_init(&why, 0);
	g->gone = gone;
	if (err == CM_OK && (err = replace_gone(s, g, name, &why)) == CM_ERR_ABSENT)
		err = unlinkat(s->folder, name, 0) == 0 ? CM_OK : CM_ERR_SYSTEM;
	cm_buf_free(&why);
	cm_crl_index_close(&gone);
	return err == CM_ERR_SYNTAX ? CM_ERR_SYSTEM : err;
}

enum cm_err
cm_crl_forget(const char *crl_dir, const uint8_t key[32], const X509_NAME *issuer, struct cm_blob serial)
{
	static const char *const ends[] = { ".gone", NULL };
	uint8_t padded[CM_CRL_SERIAL_MAX] = { 0 };
	struct cm_crl_gone g = { .forget = padded, .issuer = issuer };
	enum cm_err err = CM_ERR_ABSENT, one;
	struct cm_crl_store s;
	const struct dirent *e;
	DIR *d = NULL;
	int held = -1;

	if (!cm_der_unsigned(serial, CM_CRL_SERIAL_MAX + 1, &serial) || serial.len > sizeof(padded))
		return err;
	memcpy(padded + sizeof(padded) - serial.len, serial.ptr, serial.len);
	cm_crl_store_open(&s, crl_dir, key, false, NULL);
	if (s.folder >= 0 && (held = cm_crl_store_lock(&s)) < 0)
		err = CM_ERR_SYSTEM;
	if (held >= 0)
		d = cm_crl_store_entries(&s);
	while (d != NULL && (e = readdir(d)) != NULL)
		if (cm_folder_name_ends(e->d_name, ends) && (one = forget_in(&s, e->d_name, &g)) != CM_ERR_ABSENT &&
		    err != CM_ERR_SYSTEM)
			err = one;
	if (d != NULL)
		closedir(d);
	if (held >= 0)
		close(held);
	cm_crl_store_close(&s);
	return err;
}
