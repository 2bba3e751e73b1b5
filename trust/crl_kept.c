/* trust/crl_kept.c - what lists are kept, for people: their headers, and nothing of their entries. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trust/crl_internal.h"

struct showing {
	cm_kept_list_visit visit;
	void *arg;
	uint8_t key[32];		/* as far as the folder's name tells */
	enum cm_err err;
};

/* What a file says of itself; texts of its own, ended by NUL. */
static enum cm_err
show(struct showing *w, const struct cm_crl_index *x)
{
	struct cm_kept_list l = { .delta = x->about.delta, .indirect = x->about.indirect,
	    .this_update = x->about.this_update, .next_update = x->about.next_update, .learned = x->learned,
	    .confirmed = x->confirmed, .entries = x->about.entries, .list_size = x->about.size, .index_size = x->size };
	struct cm_buf issuer, source, number;
	enum cm_err err;

	cm_buf_init(&issuer, 0);
	cm_buf_init(&source, 0);
	cm_buf_init(&number, 0);
	memcpy(l.issuer_key, x->issuer_key, sizeof(l.issuer_key));
	cm_name_der_text(x->about.issuer, &issuer);
	cm_buf_add_blob(&source, x->source);
	cm_crl_number_text(&x->about.number, &number);
	snprintf(l.number, sizeof(l.number), "%s", cm_buf_str(&number));
	l.issuer = cm_buf_str(&issuer);
	l.source = cm_buf_str(&source);
	err = w->visit(w->arg, &l);
	cm_buf_free(&issuer);
	cm_buf_free(&source);
	cm_buf_free(&number);
	return err;
}

/* A file that is no index, or not one of this key. */
static enum cm_err
show_damage(struct showing *w, const char *name, uint64_t size, const char *damage)
{
	struct cm_kept_list l = { .issuer = "", .source = name, .index_size = size, .damage = damage };

	memcpy(l.issuer_key, w->key, sizeof(l.issuer_key));
	return w->visit(w->arg, &l);
}

/* No list brings this again. */
static enum cm_err
show_gone(struct showing *w, const char *name, const struct cm_crl_index *x, uint64_t size)
{
	char key[CM_CRL_NAME], text[512];

	if (x != NULL && memcmp(x->issuer_key, w->key, 8) == 0)
		return CM_OK;
	cm_crl_hex_name(w->key, "", key, sizeof(key));
	snprintf(text, sizeof(text), "what former lists revoked cannot be read, and no list of this CA says \"good\"; move %s/%s "
	    "in trust.crl_dir away to forget it", key, name);
	return show_damage(w, name, size, text);
}

static enum cm_err
show_file(struct showing *w, int folder, const char *name)
{
	static const char *const ends[] = { ".gone", NULL };
	const bool gone = cm_folder_name_ends(name, ends);	/* no list, and nothing to show of it but damage */
	const int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct cm_crl_index *x = NULL;
	struct stat st = { 0 };
	struct cm_buf why;
	enum cm_err err;

	if (fd < 0)	/* it has just been replaced, or may not be seen */
		return CM_OK;
	cm_buf_init(&why, 0);
	err = cm_crl_index_open(fd, &x, &why);
	if (gone && err != CM_ERR_NOMEM && fstat(fd, &st) == 0)
		err = show_gone(w, name, x, (uint64_t)st.st_size);
	else if (err == CM_OK && memcmp(x->issuer_key, w->key, 8) == 0)
		err = show(w, x);
	else if (err != CM_ERR_NOMEM && fstat(fd, &st) == 0)
		err = show_damage(w, name, (uint64_t)st.st_size, why.len > 0 ? cm_buf_str(&why) :
		    "it is the index of another CA's list");
	cm_crl_index_close(&x);
	cm_buf_free(&why);
	close(fd);
	return err;
}

static DIR *
open_at(int at, const char *name)
{
	const int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (d == NULL && fd >= 0)
		close(fd);
	return d;
}

static void
show_folder(struct showing *w, int top, const char *name)
{
	static const char *const ends[] = { ".crl", ".delta", ".file", ".gone", NULL };
	struct dirent *e;
	DIR *d;

	memset(w->key, 0, sizeof(w->key));
	if (strlen(name) != 16 || cm_hex_parse(cm_blob_str(name), w->key, sizeof(w->key)) != 16 ||
	    (d = open_at(top, name)) == NULL)
		return;
	if (!cm_crl_folder_counts(dirfd(d)))
		w->err = show_damage(w, name, 0, "nothing in this folder counts: " CM_CRL_FOLDER_WRONG);
	while (w->err == CM_OK && cm_crl_folder_counts(dirfd(d)) && (e = readdir(d)) != NULL)
		if (cm_folder_name_ends(e->d_name, ends))
			w->err = show_file(w, dirfd(d), e->d_name);
	closedir(d);
}

enum cm_err
cm_trust_each_kept_list(const struct cm_trust *tr, cm_kept_list_visit visit, void *arg)
{
	struct showing w = { .visit = visit, .arg = arg };
	DIR *d = tr->o.crl_dir != NULL ? open_at(AT_FDCWD, tr->o.crl_dir) : NULL;
	struct dirent *e;

	if (d != NULL && !cm_crl_folder_counts(dirfd(d)))
		w.err = show_damage(&w, tr->o.crl_dir, 0, "nothing in this folder counts: " CM_CRL_FOLDER_WRONG);
	else
		while (d != NULL && w.err == CM_OK && (e = readdir(d)) != NULL)
			show_folder(&w, dirfd(d), e->d_name);
	if (d != NULL)
		closedir(d);
	return w.err;
}
