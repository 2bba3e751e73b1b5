/*
 * trust/crl_index.c - a revocation list as a sorted file: serial number to status by binary search.
 *
 * Integers are big-endian, times seconds since 1970 (UTC), a length counts octets:
 *
 *	index   = header *entry trailer      ; nothing follows; they are as long as the header says
 *	header  = "CMCRL002"
 *	          header_size(4)             ; digest included
 *	          flags(2)                   ; 1 delta, 2 indirect, 4 only users, 8 only CAs, 16 number, 32 base
 *	          serial_width(1)            ; 1 to 20: octets of the longest serial number
 *	          entries(8)
 *	          this_update(8) next_update(8)   ; next_update 0: the list names none
 *	          learned(8)                 ; this host's clock when the list was verified
 *	          number(20) base(20)        ; CRLNumber and, of a delta, BaseCRLNumber; zero where the flag says none
 *	          issuer_key(32)             ; SHA-256 of the SubjectPublicKeyInfo that verified the list
 *	          list_size(8) list_sha256(32)    ; of the list's DER
 *	          issuer scope issuers       ; DER: Name, issuingDistributionPoint, *Name (of indirect lists)
 *	          freshest                   ; *(URI 0): where the list's own freshestCRL says that its deltas are
 *	          source etag modified       ; where it was had, and what tells that it changed
 *	          digest(32)                 ; SHA-256 of all that stands before
 *	issuer, scope, issuers, freshest, source, etag, modified = length(4) *OCTET
 *	entry   = [ name(2) ]                ; of indirect lists: 0 the list's issuer, n the n-th Name of issuers
 *	          serial(serial_width)       ; right-aligned
 *	          class(1)                   ; 0 revoked, 1 on hold (6), 2 removeFromCRL (8)
 *	          revoked_at(5)
 *	          reason(1)                  ; RFC 5280 5.3.1
 *	          crc(4)                     ; CRC-32 of digest, the entry's position (8), and what stands before
 *	trailer = confirmed(8)               ; when its source last said that this is its list
 *	          crc(4)                     ; as an entry's, at the position behind the last
 *
 * The trailer alone is ever written in place: one that is damaged says nothing, and spoils nothing else.
 *
 * Entries ascend by all that stands before reason; so of several about one certificate the gravest and earliest is
 * the first.  A search looks at about 20 of a million, each checked: those on both sides of the place prove absence.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <zlib.h>

#include "trust/crl_internal.h"

#define HEADER_MAX	((size_t)1 << 20)
#define DIGEST_SIZE	32
#define KEY_MAX		(2 + CM_CRL_SERIAL_MAX)
#define REST		(1 + 5 + 1)	/* of an entry, behind its key: class, revoked_at, reason */
#define CRC_SIZE	4

static const char magic[] = "CMCRL002";

enum { DELTA = 1, INDIRECT = 2, ONLY_USERS = 4, ONLY_CAS = 8, NUMBER = 16, BASE = 32 };

static void
add_number(struct cm_buf *out, uint64_t n, size_t octets)
{
	while (octets-- > 0)
		cm_buf_add_byte(out, (uint8_t)(n >> 8 * octets));
}

static void
add_text(struct cm_buf *out, struct cm_blob v)
{
	add_number(out, v.len, 4);
	cm_buf_add_blob(out, v);
}

static unsigned
flags_of(const struct cm_crl_about *a)
{
	return (a->delta ? DELTA : 0u) | (a->indirect ? INDIRECT : 0u) | (a->only_users ? ONLY_USERS : 0u) |
	    (a->only_cas ? ONLY_CAS : 0u) | (a->number.there ? NUMBER : 0u) | (a->base.there ? BASE : 0u);
}

void
cm_crl_index_write_header(const struct cm_crl_about *a, const struct cm_crl_origin *o,
    const uint8_t issuer_key[32], struct cm_buf *out)
{
	const struct cm_blob texts[] = { a->issuer, a->scope, a->issuers, a->freshest, cm_blob_str(o->source),
	    cm_blob_str(o->etag), cm_blob_str(o->modified) };
	size_t size = sizeof(magic) - 1 + 4 + 2 + 1 + 4 * 8 + 2 * CM_CRL_NUMBER_MAX + 32 + 8 + 32 + DIGEST_SIZE;
	uint8_t digest[DIGEST_SIZE] = { 0 };

	for (size_t i = 0; i < CM_COUNT(texts); i++)
		size += 4 + texts[i].len;
	cm_buf_add_str(out, magic);
	add_number(out, size, 4);
	add_number(out, flags_of(a), 2);
	add_number(out, a->width, 1);
	add_number(out, a->entries, 8);
	add_number(out, (uint64_t)a->this_update, 8);
	add_number(out, (uint64_t)a->next_update, 8);
	add_number(out, (uint64_t)o->learned, 8);
	cm_buf_add(out, a->number.octets, sizeof(a->number.octets));
	cm_buf_add(out, a->base.octets, sizeof(a->base.octets));
	cm_buf_add(out, issuer_key, 32);
	add_number(out, a->size, 8);
	cm_buf_add(out, a->sha256, sizeof(a->sha256));
	for (size_t i = 0; i < CM_COUNT(texts); i++)
		add_text(out, texts[i]);
	if (EVP_Digest(out->ptr, out->len, digest, NULL, EVP_sha256(), NULL) != 1)
		out->err = CM_ERR_NOMEM;
	cm_buf_add(out, digest, sizeof(digest));
}

void
cm_crl_index_write_trailer(uint32_t seed, uint64_t entries, time_t confirmed, uint8_t out[CM_CRL_TRAILER])
{
	uint32_t crc;

	for (int i = 0; i < 8; i++)
		out[i] = (uint8_t)((uint64_t)confirmed >> 8 * (7 - i));
	crc = cm_crl_index_crc(seed, entries, out, 8);
	for (int i = 0; i < 4; i++)
		out[8 + i] = (uint8_t)(crc >> 8 * (3 - i));
}

uint32_t
cm_crl_index_seed(const uint8_t digest[32])
{
	return (uint32_t)crc32(0, digest, DIGEST_SIZE);
}

uint32_t
cm_crl_index_crc(uint32_t seed, uint64_t i, const uint8_t *entry, size_t len)
{
	uint8_t position[8];

	for (size_t k = 0; k < sizeof(position); k++)
		position[k] = (uint8_t)(i >> 8 * (sizeof(position) - 1 - k));
	return (uint32_t)crc32(crc32(seed, position, sizeof(position)), entry, (unsigned)len);
}

/* What is left of the header; short of octets it stays bad. */
struct cursor {
	struct cm_blob left;
	bool bad;
};

static struct cm_blob
get(struct cursor *c, size_t len)
{
	const struct cm_blob v = { c->left.ptr, len };

	if (c->bad || len > c->left.len) {
		c->bad = true;
		return (struct cm_blob){ 0 };
	}
	c->left = (struct cm_blob){ c->left.ptr + len, c->left.len - len };
	return v;
}

static uint64_t
get_number(struct cursor *c, size_t octets)
{
	const struct cm_blob v = get(c, octets);
	uint64_t n = 0;

	for (size_t i = 0; i < v.len; i++)
		n = n << 8 | v.ptr[i];
	return n;
}

static void
get_octets(struct cursor *c, uint8_t *to, size_t len)
{
	const struct cm_blob v = get(c, len);

	if (v.len == len)
		memcpy(to, v.ptr, len);
}

static void
read_fields(struct cursor *c, struct cm_crl_index *x)
{
	struct cm_crl_about *a = &x->about;
	struct cm_blob *const texts[] = { &a->issuer, &a->scope, &a->issuers, &a->freshest, &x->source, &x->etag,
	    &x->modified };
	unsigned flags;

	flags = (unsigned)get_number(c, 2);
	a->delta = flags & DELTA;
	a->indirect = flags & INDIRECT;
	a->only_users = flags & ONLY_USERS;
	a->only_cas = flags & ONLY_CAS;
	a->number.there = flags & NUMBER;
	a->base.there = flags & BASE;
	a->width = (size_t)get_number(c, 1);
	a->entries = get_number(c, 8);
	a->this_update = (time_t)get_number(c, 8);
	a->next_update = (time_t)get_number(c, 8);
	x->learned = (time_t)get_number(c, 8);
	get_octets(c, a->number.octets, sizeof(a->number.octets));
	get_octets(c, a->base.octets, sizeof(a->base.octets));
	get_octets(c, x->issuer_key, sizeof(x->issuer_key));
	a->size = get_number(c, 8);
	get_octets(c, a->sha256, sizeof(a->sha256));
	for (size_t i = 0; i < CM_COUNT(texts); i++)
		*texts[i] = get(c, (size_t)get_number(c, 4));
}

static size_t
key_size(const struct cm_crl_index *x)
{
	return x->issuer_width + x->about.width;
}

static size_t
entry_size(const struct cm_crl_index *x)
{
	return key_size(x) + REST + CRC_SIZE;
}

/* What is not told is as old as the list. */
static void
read_trailer(struct cm_crl_index *x)
{
	const uint8_t *p = x->map + x->size - CM_CRL_TRAILER;
	uint8_t want[CM_CRL_TRAILER];
	uint64_t confirmed = 0;

	for (int i = 0; i < 8; i++)
		confirmed = confirmed << 8 | p[i];
	cm_crl_index_write_trailer(x->seed, x->about.entries, (time_t)confirmed, want);
	x->confirmed = memcmp(p, want, sizeof(want)) == 0 ? (time_t)confirmed : x->about.this_update;
}

/* NULL: the header is whole, and the file as long as it says. */
static const char *
objection_to_header(struct cm_crl_index *x)
{
	struct cursor c = { .left = { x->map, x->size } };
	uint8_t digest[DIGEST_SIZE];
	struct cm_blob begin;
	size_t entries;

	begin = get(&c, sizeof(magic) - 1);
	if (c.bad || memcmp(begin.ptr, magic, begin.len) != 0)
		return "it is no index of a revocation list";
	x->header_size = (size_t)get_number(&c, 4);
	if (c.bad || x->header_size > HEADER_MAX || x->header_size > x->size || x->header_size < 12 + DIGEST_SIZE)
		return "its header is damaged";
	c.left.len = x->header_size - 12 - DIGEST_SIZE;
	if (EVP_Digest(x->map, x->header_size - DIGEST_SIZE, digest, NULL, EVP_sha256(), NULL) != 1 ||
	    memcmp(digest, x->map + x->header_size - DIGEST_SIZE, DIGEST_SIZE) != 0)
		return "its header is damaged";
	read_fields(&c, x);
	if (c.bad || c.left.len != 0 || x->about.width < 1 || x->about.width > CM_CRL_SERIAL_MAX)
		return "its header is damaged";
	x->issuer_width = x->about.indirect ? 2 : 0;
	x->seed = cm_crl_index_seed(digest);
	entries = x->size - x->header_size;
	if (entries < CM_CRL_TRAILER || x->about.entries != (entries - CM_CRL_TRAILER) / entry_size(x) ||
	    (entries - CM_CRL_TRAILER) % entry_size(x) != 0)
		return "it is longer or shorter than its header says";
	read_trailer(x);
	return NULL;
}

static enum cm_err
map_file(int fd, struct cm_crl_index *x, struct cm_buf *why)
{
	struct stat st;
	void *map;

	if (fstat(fd, &st) != 0 || st.st_size <= 0 || (uint64_t)st.st_size > SIZE_MAX) {
		cm_buf_add_str(why, "it is no index of a revocation list");
		return CM_ERR_SYNTAX;
	}
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		cm_buf_add_str(why, strerror(errno));
		return CM_ERR_SYSTEM;
	}
	/* 20 pages of thousands are looked at: the kernel need not read on. */
	madvise(map, (size_t)st.st_size, MADV_RANDOM);
	x->map = map;
	x->size = (size_t)st.st_size;
	return CM_OK;
}

enum cm_err
cm_crl_index_open(int fd, struct cm_crl_index **out, struct cm_buf *why)
{
	struct cm_crl_index *x = calloc(1, sizeof(*x));
	const char *objection;
	enum cm_err err = CM_ERR_NOMEM;

	*out = NULL;
	if (x == NULL)
		return err;
	if ((err = map_file(fd, x, why)) == CM_OK && (objection = objection_to_header(x)) != NULL) {
		cm_buf_add_str(why, objection);
		err = CM_ERR_SYNTAX;
	}
	if (err == CM_OK)
		*out = x;
	else
		cm_crl_index_close(&x);
	return err;
}

void
cm_crl_index_close(struct cm_crl_index **x)
{
	if (*x == NULL)
		return;
	if ((*x)->map != NULL)
		munmap((void *)(uintptr_t)(*x)->map, (*x)->size);
	free(*x);
	*x = NULL;
}

void
cm_crl_list_close(struct cm_crl_index **head)
{
	while (*head != NULL) {
		struct cm_crl_index *next = (*head)->next;

		cm_crl_index_close(head);
		*head = next;
	}
}

/* The entry at i, or NULL: it is not as it was written. */
static const uint8_t *
entry_at(const struct cm_crl_index *x, uint64_t i)
{
	const size_t len = entry_size(x);
	const uint8_t *e = x->map + x->header_size + i * len, *crc = e + len - CRC_SIZE;
	const uint32_t kept = (uint32_t)crc[0] << 24 | (uint32_t)crc[1] << 16 | (uint32_t)crc[2] << 8 | crc[3];

	return kept == cm_crl_index_crc(x->seed, i, e, len - CRC_SIZE) ? e : NULL;
}

bool
cm_crl_index_is_whole(const struct cm_crl_index *x)
{
	for (uint64_t i = 0; i < x->about.entries; i++) {
		if (entry_at(x, i) == NULL)
			return false;
		/* What was read need not stay in memory. */
		if (i % 65536 == 65535)
			madvise((void *)(uintptr_t)x->map, x->size, MADV_DONTNEED);
	}
	return true;
}

/*
 * The first entry whose key is not below: CM_ERR_ABSENT when it is another's.
 * Both neighbours of the place were looked at on the way.
 */
static enum cm_err
search(const struct cm_crl_index *x, const uint8_t *key, const uint8_t **found)
{
	uint64_t low = 0, high = x->about.entries;
	const uint8_t *at = NULL;

	while (low < high) {
		const uint64_t middle = low + (high - low) / 2;
		const uint8_t *e = entry_at(x, middle);

		if (e == NULL)
			return CM_ERR_SYNTAX;
		if (memcmp(e, key, key_size(x)) < 0) {
			low = middle + 1;
		} else {
			high = middle;
			at = e;
		}
	}
	if (at == NULL || memcmp(at, key, key_size(x)) != 0)
		return CM_ERR_ABSENT;
	*found = at;
	return CM_OK;
}

static void
take_entry(const struct cm_crl_index *x, const uint8_t *e, struct cm_crl_entry *out)
{
	const uint8_t *rest = e + key_size(x);

	*out = (struct cm_crl_entry){ .issuer = x->issuer_width != 0 ? (uint16_t)(e[0] << 8 | e[1]) : 0, .reason = rest[6] };
	memcpy(out->serial + CM_CRL_SERIAL_MAX - x->about.width, e + x->issuer_width, x->about.width);
	for (size_t i = 1; i < 6; i++)
		out->revoked_at = out->revoked_at << 8 | rest[i];
}

bool
cm_crl_index_entry(const struct cm_crl_index *x, uint64_t i, struct cm_crl_entry *out)
{
	const uint8_t *e = entry_at(x, i);

	if (e != NULL)
		take_entry(x, e, out);
	return e != NULL;
}

static enum cm_err
find_key(const struct cm_crl_index *x, uint16_t issuer, struct cm_blob serial, struct cm_crl_entry *out)
{
	const size_t width = x->about.width;
	uint8_t key[KEY_MAX] = { 0 };
	const uint8_t *e = NULL;
	enum cm_err err;

	/* Longer than all there are. */
	if (serial.len > width)
		return CM_ERR_ABSENT;
	if (x->issuer_width != 0) {
		key[0] = (uint8_t)(issuer >> 8);
		key[1] = (uint8_t)issuer;
	}
	memcpy(key + key_size(x) - serial.len, serial.ptr, serial.len);
	if ((err = search(x, key, &e)) != CM_OK)
		return err;
	take_entry(x, e, out);
	return CM_OK;
}

static bool
is_name(struct cm_blob der, const X509_NAME *name)
{
	const uint8_t *p = der.ptr;
	struct cm_blob written = { 0 };
	X509_NAME *n;
	bool same;

	if (X509_NAME_get0_der(name, &written.ptr, &written.len) == 1 && cm_blob_equal(written, der))
		return true;
	n = d2i_X509_NAME(NULL, &p, (long)der.len);
	same = n != NULL && X509_NAME_cmp(n, name) == 0;
	X509_NAME_free(n);
	return same;
}

/* Keep the graver of two answers; of a damaged place there is none. */
static enum cm_err
graver(enum cm_err err, const struct cm_crl_entry *one, enum cm_err *best, struct cm_crl_entry *out)
{
	if (err == CM_OK && (*best == CM_ERR_ABSENT || cm_crl_class(one->reason) < cm_crl_class(out->reason))) {
		*out = *one;
		*best = CM_OK;
	}
	return err == CM_OK || err == CM_ERR_ABSENT ? CM_OK : err;
}

enum cm_err
cm_crl_index_find(const struct cm_crl_index *x, const X509_NAME *issuer, struct cm_blob serial,
    struct cm_crl_entry *out)
{
	struct cm_blob names = x->about.issuers, content;
	enum cm_err best = CM_ERR_ABSENT, err = CM_OK;
	struct cm_crl_entry one;
	uint16_t n = 1;

	/* Right-aligned, a negative number would look like a positive one. */
	if (!cm_der_unsigned(serial, CM_CRL_SERIAL_MAX + 1, &serial))
		return CM_ERR_SYNTAX;
	if (is_name(x->about.issuer, issuer))
		err = graver(find_key(x, 0, serial, &one), &one, &best, out);
	/* RFC 5280 7.1: names may be written differently, so that several may be the one. */
	for (; err == CM_OK && x->about.indirect && names.len > 0; n++) {
		const struct cm_blob before = names;

		if (!cm_der_take(&names, 0x30, &content))
			return CM_ERR_SYNTAX;
		if (is_name((struct cm_blob){ before.ptr, before.len - names.len }, issuer))
			err = graver(find_key(x, n, serial, &one), &one, &best, out);
	}
	return err == CM_OK ? best : err;
}
