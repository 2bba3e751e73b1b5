/* trust/store_remove.c - a CA taken out of the folders again, and the lists that are there. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "trust/crl_internal.h"

#define DIGITS_MIN	8
#define DIGITS_MAX	64

/* What has to go: the files, and the one fingerprint that they have in common. */
struct removal {
	const struct cm_trust_options *o;
	struct cm_trace *t;
	char digits[DIGITS_MAX + 1];
	char sha256[65];		/* "" until one was found */
	struct gone {
		char *file, *subject;	/* owned */
		bool anchor;
	} *files;			/* owned */
	size_t count;
};

/* Digits as tools print them: in any case, with colons and blanks. */
static bool
read_digits(const char *text, char out[DIGITS_MAX + 1])
{
	size_t n = 0;

	for (; *text != '\0'; text++) {
		const char c = *text >= 'A' && *text <= 'F' ? (char)(*text - 'A' + 'a') : *text;

		if (c == ':' || c == ' ')
			continue;
		if (strchr("0123456789abcdef", c) == NULL || n == DIGITS_MAX)
			return false;
		out[n++] = c;
	}
	out[n] = '\0';
	return n >= DIGITS_MIN;
}

static enum cm_err
count_next(void *arg, const char *file, X509 *cert)
{
	(void)file;
	(void)cert;
	++*(unsigned *)arg;
	return CM_OK;
}

/* Is it a file of its own, in a folder that the options name? */
static bool
is_in(const char *file, const char *const *paths)
{
	const size_t len = (size_t)(strrchr(file, '/') != NULL ? strrchr(file, '/') - file : 0);
	struct stat st;

	for (; paths != NULL && *paths != NULL; paths++)
		if (len > 0 && strlen(*paths) == len && memcmp(*paths, file, len) == 0 &&
		    stat(*paths, &st) == 0 && S_ISDIR(st.st_mode))
			return true;
	return false;
}

static enum cm_err
check_file(const struct removal *r, const struct cm_trust_ca *ca)
{
	const char *key = ca->anchor ? "trust.anchors" : "trust.intermediates";
	unsigned count = 0;
	enum cm_err err;

	if (!is_in(ca->file, ca->anchor ? r->o->anchors : r->o->intermediates))
		return cm_trace_fail(r->t, CM_REASON_CONFIG, "%s comes from %s, which %s names itself: take it out there",
		    ca->subject, ca->file, key);
	if ((err = cm_pem_each(ca->file, false, r->t, count_next, &count)) != CM_OK)
		return err;
	if (count != 1)
		return cm_trace_fail(r->t, CM_REASON_CONFIG, "%s is one of %u certificates in %s: take it out there",
		    ca->subject, count, ca->file);
	return CM_OK;
}

/* Removing one may leave a link that leads nowhere: so all are found before the first goes. */
static enum cm_err
keep_in_mind(struct removal *r, const struct cm_trust_ca *ca)
{
	struct gone *more = realloc(r->files, (r->count + 1) * sizeof(*more));

	if (more == NULL)
		return CM_ERR_NOMEM;
	r->files = more;
	more[r->count] = (struct gone){ strdup(ca->file), strdup(ca->subject), ca->anchor };
	r->count++;
	return more[r->count - 1].file != NULL && more[r->count - 1].subject != NULL ? CM_OK : CM_ERR_NOMEM;
}

static enum cm_err
find(void *arg, const struct cm_trust_ca *ca)
{
	struct removal *r = arg;
	enum cm_err err;

	if (strncmp(ca->sha256, r->digits, strlen(r->digits)) != 0)
		return CM_OK;
	if (r->sha256[0] != '\0' && strcmp(r->sha256, ca->sha256) != 0)
		return cm_trace_fail(r->t, CM_REASON_USAGE, "%s: several begin so, %s and %s: give more digits",
		    r->digits, r->sha256, ca->sha256);
	snprintf(r->sha256, sizeof(r->sha256), "%s", ca->sha256);
	err = check_file(r, ca);
	return err == CM_OK ? keep_in_mind(r, ca) : err;
}

static enum cm_err
remove_one(const struct removal *r, const struct gone *g, cm_trust_visit visit, void *arg)
{
	struct cm_trust_ca shown = { .file = g->file, .subject = g->subject, .anchor = g->anchor };

	if (unlink(g->file) != 0)
		return cm_trace_fail(r->t, errno == EACCES || errno == EPERM ? CM_REASON_NOT_ROOT : CM_REASON_SYSTEM,
		    "%s: cannot be removed: %s", g->file, strerror(errno));
	snprintf(shown.sha256, sizeof(shown.sha256), "%s", r->sha256);
	return visit(arg, &shown);
}

enum cm_err
cm_trust_remove(const struct cm_trust_options *o, const char *sha256, struct cm_trace *t,
    cm_trust_visit visit, void *arg)
{
	struct cm_trust_options all = *o;
	struct removal r = { .o = o, .t = t };
	enum cm_err err;

	/* What is missing elsewhere, or empty since its last one went, keeps nobody from removing this one. */
	all.anchors_if_there = all.intermediates_if_there = true;
	if (!read_digits(sha256, r.digits))
		return cm_trace_fail(t, CM_REASON_USAGE, "%s: expected at least %d hex digits of a SHA-256 fingerprint",
		    sha256, DIGITS_MIN);
	err = cm_trust_each(&all, t, find, &r);
	if (err == CM_OK && r.count == 0)
		err = cm_trace_fail(t, CM_REASON_NO_SUCH_CA, "no CA has a SHA-256 that begins with %s", r.digits);
	for (size_t i = 0; err == CM_OK && i < r.count; i++)
		err = remove_one(&r, &r.files[i], visit, arg);
	for (size_t i = 0; i < r.count; i++) {
		free(r.files[i].file);
		free(r.files[i].subject);
	}
	free(r.files);
	return err;
}

struct listing {
	const struct cm_trust_options *o;
	struct cm_trace *t;
	cm_trust_list_visit visit;
	void *arg;
};

/* Whose it is and how long it holds, as it says itself: nothing is verified. */
static enum cm_err
show_list(void *arg, const char *file)
{
	const struct listing *l = arg;
	struct cm_trust_list shown = { .file = file };
	const int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	const struct cm_crl_parsing parsing = { .fd = fd, .max = l->o->crl_max };
	struct cm_crl_list list = { 0 };
	struct cm_buf issuer, why;
	enum cm_err err;

	cm_buf_init(&issuer, 0);
	cm_buf_init(&why, 0);
	if (fd >= 0 && cm_crl_parse(&parsing, &list, &why) == CM_OK) {
		cm_name_der_text(list.about.issuer, &issuer);
		shown.issuer = cm_buf_str(&issuer);
		shown.entries = (size_t)list.about.entries;
		shown.this_update = list.about.this_update;
		shown.next_update = list.about.next_update;
	}
	err = l->visit(l->arg, &shown);
	cm_crl_list_free(&list);
	cm_buf_free(&issuer);
	cm_buf_free(&why);
	if (fd >= 0)
		close(fd);
	return err;
}

static bool
is_list(const char *name, const void *unused)
{
	(void)unused;
	return cm_folder_name_ends(name, cm_crl_endings) || cm_folder_name_hashed(name, "r");
}

enum cm_err
cm_trust_each_list(const struct cm_trust_options *o, struct cm_trace *t, cm_trust_list_visit visit, void *arg)
{
	struct listing l = { o, t, visit, arg };
	enum cm_err err = CM_OK;
	struct stat st;

	for (const char *const *c = o->crls; err == CM_OK && c != NULL && *c != NULL; c++) {
		if (cm_fetch_can(*c)) {
			err = visit(arg, &(const struct cm_trust_list){ .file = *c });
		} else if (stat(*c, &st) == 0 && S_ISDIR(st.st_mode)) {
			struct cm_folder f = { .path = *c, .fd = AT_FDCWD, .wants = is_list };

			err = cm_folder_each(&f, t, show_list, &l);
		} else {
			err = show_list(&l, *c);
		}
	}
	return err;
}
