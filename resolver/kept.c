/* resolver/kept.c - answers of Whois, for a few seconds: buckets of a few places each, the oldest of which makes room. */
#include "resolver/kept.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PLACES	4
#define BUCKETS	(CM_KEPT_MAX / PLACES)

struct place {
	uint8_t key[CM_KEPT_KEY];
	char *text;			/* owned; NULL: free */
	size_t len, room;
	uid_t uid;
	cm_deadline until;
};

struct cm_kept_answers {
	EVP_MD *sha256;			/* looked up once: by EVP_sha256() each digest looks for its own */
	pthread_mutex_t lock;		/* of all below */
	struct place buckets[BUCKETS][PLACES];
	size_t swept;			/* the bucket that is looked at next for what is too old */
};

static void
clear(struct place *p)
{
	free(p->text);
	*p = (struct place){ .until = 0 };
}

void
cm_kept_free(struct cm_kept_answers **k)
{
	if (*k == NULL)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		for (size_t j = 0; j < PLACES; j++)
			clear(&(*k)->buckets[i][j]);
	EVP_MD_free((*k)->sha256);
	pthread_mutex_destroy(&(*k)->lock);
	free(*k);
	*k = NULL;
}

enum cm_err
cm_kept_new(struct cm_kept_answers **out)
{
	struct cm_kept_answers *k = calloc(1, sizeof(*k));

	*out = k;
	if (k == NULL)
		return CM_ERR_NOMEM;
	pthread_mutex_init(&k->lock, NULL);
	if ((k->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL)) != NULL)
		return CM_OK;
	cm_kept_free(out);
	return CM_ERR_NOMEM;
}

bool
cm_kept_key(const struct cm_kept_answers *k, struct cm_blob certificate, const char *user, uint8_t out[CM_KEPT_KEY])
{
	const uint8_t said = user != NULL;
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	const bool ok = c != NULL && EVP_DigestInit_ex(c, k->sha256, NULL) == 1 && EVP_DigestUpdate(c, certificate.ptr, certificate.len) == 1 &&
	    EVP_DigestUpdate(c, &said, 1) == 1 && (!said || EVP_DigestUpdate(c, user, strlen(user)) == 1) &&
	    EVP_DigestFinal_ex(c, out, NULL) == 1;

	EVP_MD_CTX_free(c);
	return ok;
}

/* The key is a digest: its first octets are as good as any. */
static struct place *
bucket_of(struct cm_kept_answers *k, const uint8_t key[CM_KEPT_KEY])
{
	return k->buckets[(key[0] | (size_t)key[1] << 8) % BUCKETS];
}

bool
cm_kept_find(struct cm_kept_answers *k, const uint8_t key[CM_KEPT_KEY], struct cm_kept_answer *out)
{
	struct place *b = bucket_of(k, key);
	bool found = false;

	pthread_mutex_lock(&k->lock);
	for (size_t i = 0; i < PLACES && !found; i++) {
		if (b[i].text == NULL || memcmp(b[i].key, key, CM_KEPT_KEY) != 0)
			continue;
		if (cm_deadline_passed(b[i].until)) {
			clear(&b[i]);
			break;
		}
		out->uid = b[i].uid;
		cm_buf_add(&out->text, b[i].text, b[i].len);
		found = cm_buf_status(&out->text) == CM_OK;
	}
	pthread_mutex_unlock(&k->lock);
	return found;
}

/* That of the same key, or a free one, or that which ends first. */
static struct place *
choose(struct place *b, const uint8_t key[CM_KEPT_KEY])
{
	struct place *best = &b[0];

	for (size_t i = 0; i < PLACES; i++) {
		if (b[i].text != NULL && memcmp(b[i].key, key, CM_KEPT_KEY) == 0)
			return &b[i];
		if (b[i].until < best->until)
			best = &b[i];
	}
	return best;
}

/* A few buckets for each that is kept: what nobody asks for again does not stay. */
#define SWEPT_AT_ONCE	4

static void
sweep(struct cm_kept_answers *k)
{
	for (size_t i = 0; i < SWEPT_AT_ONCE; i++) {
		struct place *b = k->buckets[k->swept++ % BUCKETS];

		for (size_t j = 0; j < PLACES; j++)
			if (b[j].text != NULL && cm_deadline_passed(b[j].until))
				clear(&b[j]);
	}
}

/* What stood there is gone.  Answers are about as long as each other: mostly the same memory does. */
static bool
make_room(struct place *p, size_t size)
{
	if (p->text != NULL && size <= p->room && p->room <= 2 * size)
		return true;
	clear(p);
	p->text = malloc(size);
	p->room = size;
	return p->text != NULL;
}

void
cm_kept_put(struct cm_kept_answers *k, const uint8_t key[CM_KEPT_KEY], const struct cm_kept_answer *a, unsigned ms)
{
	struct place *p;

	if (a->text.len > CM_KEPT_LONGEST)
		return;
	pthread_mutex_lock(&k->lock);
	sweep(k);
	p = choose(bucket_of(k, key), key);
	if (make_room(p, a->text.len + 1)) {
		memcpy(p->key, key, CM_KEPT_KEY);
		memcpy(p->text, cm_buf_str(&a->text), a->text.len + 1);
		p->len = a->text.len;
		p->uid = a->uid;
		p->until = cm_deadline_in(ms);
	}
	pthread_mutex_unlock(&k->lock);
}
