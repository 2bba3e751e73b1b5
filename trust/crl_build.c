/* trust/crl_build.c - from a list to its index: sorted runs of bounded size, merged into the file. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "trust/crl_internal.h"

/* As entries are sorted: name(2) serial(20) class(1) revoked_at(5) reason(1), filled up. */
#define RECORD		32
#define SORTED		28	/* octets of it that order */
#define RUN_RECORDS	((size_t)1 << 18)
#define RUNS_MAX	64	/* of crl_max's 256 MiB, at 20 octets an entry, there are 52 */
#define MERGE_RECORDS	((size_t)1 << 11)
#define OUT_SIZE	((size_t)1 << 18)

struct run {
	off_t begin, end;	/* in the file of runs: what is not read yet */
	uint8_t *records;	/* owned, but of the run in memory */
	size_t at, count;	/* of records */
};

struct builder {
	const struct cm_crl_building *b;
	uint8_t *records;	/* owned: the run that is being filled */
	size_t count, cap;	/* records */
	struct run runs[RUNS_MAX + 1];
	size_t run_count;
	int spill;		/* file of runs; -1: none yet */
	off_t spilled;
	uint8_t *out;		/* owned: what is to be written next */
	size_t out_len;
	int index;		/* borrowed from who created it */
	struct cm_buf *why;
};

int
cm_crl_temporary(int folder)
{
	char path[64];
	int fd = -1;

	/* Never on disk where it has no folder of its own: /tmp is everybody's. */
	if (folder >= 0) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", folder);
		fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	}
	return fd >= 0 ? fd : memfd_create("cardmap-crl", MFD_CLOEXEC);
}

static enum cm_err
write_all(const struct builder *w, int fd, const uint8_t *p, size_t len)
{
	while (len > 0) {
		const ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			cm_buf_addf(w->why, "its index cannot be written: %s", strerror(n < 0 ? errno : ENOSPC));
			return CM_ERR_SYSTEM;
		}
		p += n;
		len -= (size_t)n;
	}
	return CM_OK;
}

static int
by_key(const void *a, const void *b)
{
	return memcmp(a, b, SORTED);
}

/* Sort what is there, and put it aside. */
static enum cm_err
spill_run(struct builder *w)
{
	struct run *r = &w->runs[w->run_count];
	const size_t len = w->count * RECORD;
	enum cm_err err;

	if (w->run_count == RUNS_MAX) {
		cm_buf_add_str(w->why, "it has more entries than an index holds");
		return CM_ERR_SYNTAX;
	}
	if (w->spill < 0 && (w->spill = cm_crl_temporary(w->b->folder)) < 0) {
		cm_buf_addf(w->why, "its index cannot be written: %s", strerror(errno));
		return CM_ERR_SYSTEM;
	}
	qsort(w->records, w->count, RECORD, by_key);
	if ((err = write_all(w, w->spill, w->records, len)) != CM_OK)
		return err;
	*r = (struct run){ .begin = w->spilled, .end = w->spilled + (off_t)len };
	w->spilled += (off_t)len;
	w->run_count++;
	w->count = 0;
	return CM_OK;
}

/* A small list takes little. */
static bool
make_room(struct builder *w)
{
	const size_t cap = w->cap == 0 ? RUN_RECORDS / 1024 : w->cap * 4;
	uint8_t *more;

	if (w->count < w->cap)
		return true;
	if ((more = realloc(w->records, cap * RECORD)) == NULL)
		return false;
	w->records = more;
	w->cap = cap;
	return true;
}

static enum cm_err
add_entry(void *arg, const struct cm_crl_entry *e)
{
	struct builder *w = arg;
	uint8_t *r;

	if (!make_room(w))
		return CM_ERR_NOMEM;
	r = w->records + w->count * RECORD;
	r[0] = (uint8_t)(e->issuer >> 8);
	r[1] = (uint8_t)e->issuer;
	memcpy(r + 2, e->serial, CM_CRL_SERIAL_MAX);
	r[22] = cm_crl_class(e->reason);
	for (int i = 0; i < 5; i++)
		r[23 + i] = (uint8_t)((uint64_t)e->revoked_at >> 8 * (4 - i));
	r[28] = e->reason;
	return ++w->count == RUN_RECORDS ? spill_run(w) : CM_OK;
}

static enum cm_err
flush(struct builder *w)
{
	const enum cm_err err = write_all(w, w->index, w->out, w->out_len);

	w->out_len = 0;
	return err;
}

/* NULL: the run has ended, or *err says why it cannot be read. */
static const uint8_t *
head_of(const struct builder *w, struct run *r, enum cm_err *err)
{
	const size_t left = (size_t)(r->end - r->begin), len = left < MERGE_RECORDS * RECORD ? left : MERGE_RECORDS * RECORD;

	if (r->at < r->count)
		return r->records + r->at * RECORD;
	if (left == 0)
		return NULL;
	if (r->records == NULL && (r->records = malloc(MERGE_RECORDS * RECORD)) == NULL) {
		*err = CM_ERR_NOMEM;
		return NULL;
	}
	if (pread(w->spill, r->records, len, r->begin) != (ssize_t)len) {
		cm_buf_add_str(w->why, "what was put aside of it cannot be read");
		*err = CM_ERR_SYSTEM;
		return NULL;
	}
	r->begin += (off_t)len;
	r->at = 0;
	r->count = len / RECORD;
	return r->records;
}

/* The run with the lowest head, or NULL. */
static struct run *
lowest(struct builder *w, enum cm_err *err)
{
	struct run *best = NULL;
	const uint8_t *least = NULL;

	for (size_t i = 0; i < w->run_count; i++) {
		const uint8_t *head = head_of(w, &w->runs[i], err);

		if (head != NULL && (least == NULL || memcmp(head, least, SORTED) < 0)) {
			least = head;
			best = &w->runs[i];
		}
	}
	return best;
}

/* What tells where the octets of an entry come from. */
struct shape {
	size_t width, issuer_width, len;
	uint32_t seed;
	time_t confirmed;
};

static void
put_entry(struct builder *w, const struct shape *s, const uint8_t *record, uint64_t i)
{
	uint8_t *const e = w->out + w->out_len, *p = e;
	uint32_t crc;

	memcpy(p, record, s->issuer_width);
	p += s->issuer_width;
	memcpy(p, record + 2 + CM_CRL_SERIAL_MAX - s->width, s->width);
	p += s->width;
	memcpy(p, record + 22, 7);
	p += 7;
	crc = cm_crl_index_crc(s->seed, i, e, s->len - 4);
	for (int k = 0; k < 4; k++)
		*p++ = (uint8_t)(crc >> 8 * (3 - k));
	w->out_len += s->len;
}

static enum cm_err
merge(struct builder *w, const struct shape *s)
{
	enum cm_err err = CM_OK;
	uint64_t entries = 0;
	struct run *r;

	for (uint64_t i = 0; err == CM_OK && (r = lowest(w, &err)) != NULL && err == CM_OK; i++) {
		put_entry(w, s, r->records + r->at++ * RECORD, i);
		if (OUT_SIZE - w->out_len < s->len)
			err = flush(w);
		entries = i + 1;
	}
	if (err == CM_OK && OUT_SIZE - w->out_len < CM_CRL_TRAILER)
		err = flush(w);
	if (err != CM_OK)
		return err;
	cm_crl_index_write_trailer(s->seed, entries, s->confirmed, w->out + w->out_len);
	w->out_len += CM_CRL_TRAILER;
	return flush(w);
}

/* The signature was right: header, then entries in their order. */
static enum cm_err
write_index(struct builder *w, const struct cm_crl_about *about)
{
	struct run *last = &w->runs[w->run_count];
	struct shape s = { .width = about->width, .issuer_width = about->indirect ? 2 : 0 };
	struct cm_buf header;
	enum cm_err err;

	cm_buf_init(&header, 0);
	cm_crl_index_write_header(about, &w->b->origin, w->b->issuer_key, &header);
	if ((err = cm_buf_status(&header)) != CM_OK)
		goto out;
	s.confirmed = w->b->origin.confirmed != 0 ? w->b->origin.confirmed : about->this_update;
	s.len = s.issuer_width + s.width + 7 + 4;
	s.seed = cm_crl_index_seed(header.ptr + header.len - 32);
	if ((w->index = w->b->create(w->b->arg)) < 0) {
		cm_buf_addf(w->why, "its index cannot be written: %s", strerror(errno));
		err = CM_ERR_SYSTEM;
		goto out;
	}
	if ((err = write_all(w, w->index, header.ptr, header.len)) != CM_OK)
		goto out;
	/* What was never put aside is a run as it is. */
	if (w->count > 0)
		qsort(w->records, w->count, RECORD, by_key);
	*last = (struct run){ .records = w->records, .count = w->count };
	w->records = NULL;
	w->run_count++;
	err = merge(w, &s);
out:
	cm_buf_free(&header);
	return err;
}

static void
finish(struct builder *w)
{
	for (size_t i = 0; i < w->run_count; i++)
		free(w->runs[i].records);
	if (w->spill >= 0)
		close(w->spill);
	free(w->records);
	free(w->out);
}

enum cm_err
cm_crl_build(const struct cm_crl_building *b, struct cm_buf *why)
{
	struct builder w = { .b = b, .spill = -1, .index = -1, .why = why };
	const struct cm_crl_parsing parsing = { .fd = b->list, .max = b->max, .issuer = b->issuer,
	    .visit = add_entry, .arg = &w, .progress = b->progress, .progress_arg = b->progress_arg };
	struct cm_crl_list list = { 0 };
	enum cm_err err = CM_ERR_NOMEM;

	if ((w.out = malloc(OUT_SIZE)) != NULL && (err = cm_crl_parse(&parsing, &list, why)) == CM_OK)
		err = write_index(&w, &list.about);
	finish(&w);
	cm_crl_list_free(&list);
	return err;
}

enum cm_err
cm_crl_build_from(const struct cm_crl_building *b, const struct cm_crl_about *about, cm_crl_feed feed, void *arg,
    struct cm_buf *why)
{
	struct builder w = { .b = b, .spill = -1, .index = -1, .why = why };
	enum cm_err err = CM_ERR_NOMEM;

	if ((w.out = malloc(OUT_SIZE)) != NULL && (err = feed(arg, add_entry, &w)) == CM_OK)
		err = about->entries > 0 ? write_index(&w, about) : CM_ERR_ABSENT;
	finish(&w);
	return err;
}
