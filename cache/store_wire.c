/* cache/store_wire.c - the fields of requests about a store: written, and checked when they are read. */
#include "cache/store_wire_internal.h"

#include <stdlib.h>

/* ---- writing */

static void
put_little(struct cm_buf *b, uint64_t n, unsigned octets)
{
	for (unsigned i = 0; i < octets; i++)
		cm_buf_add_byte(b, (uint8_t)(n >> (8 * i)));
}

void
cm_put_number(struct cm_buf *b, int64_t n)
{
	put_little(b, (uint64_t)n, 8);
}

void
cm_put_octets(struct cm_buf *b, struct cm_blob v)
{
	put_little(b, v.len, 4);
	cm_buf_add_blob(b, v);
}

void
cm_put_text(struct cm_buf *b, const char *s)
{
	cm_put_octets(b, cm_blob_str(s != NULL ? s : ""));
}

enum { FLAG_HOLD = 1, FLAG_LIST = 2 };

void
cm_put_evidence(struct cm_buf *b, const struct cm_evidence *e)
{
	const time_t times[] = { e->this_update, e->next_update, e->revoked_at, e->learned, e->confirmed, e->ask_after };

	cm_buf_add(b, e->issuer_key, sizeof(e->issuer_key));
	cm_put_octets(b, (struct cm_blob){ e->serial, e->serial_len });
	cm_buf_add_byte(b, (uint8_t)e->status);
	cm_buf_add_byte(b, (uint8_t)((e->on_hold ? FLAG_HOLD : 0) | (e->by_list ? FLAG_LIST : 0)));
	for (size_t i = 0; i < CM_COUNT(times); i++)
		cm_put_number(b, times[i]);
	cm_put_text(b, e->source);
	cm_put_text(b, e->signer);
}

void
cm_put_source(struct cm_buf *b, const struct cm_source *s)
{
	const int64_t numbers[] = { s->seen, s->asked, s->answered, s->probe_at, s->failures };

	cm_buf_add_byte(b, (uint8_t)s->kind);
	cm_buf_add(b, s->issuer_key, sizeof(s->issuer_key));
	cm_put_text(b, s->url);
	for (size_t i = 0; i < CM_COUNT(numbers); i++)
		cm_put_number(b, numbers[i]);
	cm_put_text(b, s->why);
}

/* The texts of an account, in order. */
static const size_t account_texts[] = {
	offsetof(struct cm_account, name), offsetof(struct cm_account, principal), offsetof(struct cm_account, dn),
	offsetof(struct cm_account, home), offsetof(struct cm_account, shell), offsetof(struct cm_account, gecos),
	offsetof(struct cm_account, rule), offsetof(struct cm_account, attribute), offsetof(struct cm_account, matched),
	offsetof(struct cm_account, source),
};

static char **
text_at(struct cm_account *a, size_t i)
{
	return (char **)(void *)((char *)a + account_texts[i]);
}

void
cm_put_account(struct cm_buf *b, const struct cm_account *a)
{
	for (size_t i = 0; i < CM_COUNT(account_texts); i++)
		cm_put_text(b, *text_at((struct cm_account *)(uintptr_t)a, i));
	cm_put_number(b, a->uid);
	cm_put_number(b, a->gid);
	cm_buf_add_byte(b, (uint8_t)(a->weak | a->several << 1));
	cm_put_number(b, (int64_t)a->group_count);
	for (size_t i = 0; i < a->group_count; i++) {
		cm_put_text(b, a->groups[i].name);
		cm_put_number(b, a->groups[i].gid);
	}
}

void
cm_put_pairing(struct cm_buf *b, const struct cm_pairing *p)
{
	cm_buf_add(b, p->hash, sizeof(p->hash));
	cm_buf_add(b, p->spki_sha256, sizeof(p->spki_sha256));
	cm_put_text(b, p->user);
	cm_buf_add_byte(b, p->local);
	cm_put_text(b, p->subject);
	cm_put_number(b, p->made);
}

void
cm_put_clock(struct cm_buf *b, const struct cm_store_clock *c)
{
	cm_put_number(b, c->floor);
	cm_put_number(b, c->wall);
	cm_put_number(b, c->boottime);
	cm_put_text(b, c->boot_id);
}

/* ---- reading */

/* NULL: they are not there. */
static const uint8_t *
take(struct cm_got *g, size_t len)
{
	const uint8_t *p = g->left.ptr;

	g->bad = g->bad || g->left.len < len;
	if (g->bad)
		return NULL;
	g->left = (struct cm_blob){ p + len, g->left.len - len };
	return p;
}

static uint64_t
get_little(struct cm_got *g, unsigned octets)
{
	const uint8_t *p = take(g, octets);
	uint64_t n = 0;

	for (unsigned i = 0; p != NULL && i < octets; i++)
		n |= (uint64_t)p[i] << (8 * i);
	return n;
}

uint8_t
cm_get_byte(struct cm_got *g)
{
	return (uint8_t)get_little(g, 1);
}

int64_t
cm_get_number(struct cm_got *g)
{
	return (int64_t)get_little(g, 8);
}

/* A number within bounds. */
static int64_t
get_within(struct cm_got *g, int64_t min, int64_t max)
{
	const int64_t n = cm_get_number(g);

	g->bad = g->bad || n < min || n > max;
	return g->bad ? 0 : n;
}

struct cm_blob
cm_get_octets(struct cm_got *g, size_t min, size_t max)
{
	const size_t len = (size_t)get_little(g, 4);
	const uint8_t *p;

	g->bad = g->bad || len < min || len > max;
	p = take(g, g->bad ? 0 : len);
	return p != NULL ? (struct cm_blob){ p, len } : (struct cm_blob){ NULL, 0 };
}

char *
cm_get_text(struct cm_got *g, size_t max)
{
	const struct cm_blob v = cm_get_octets(g, 0, max);
	char *s;

	g->bad = g->bad || (v.len > 0 && memchr(v.ptr, '\0', v.len) != NULL);
	s = g->bad ? NULL : strndup(v.len > 0 ? (const char *)v.ptr : "", v.len);
	g->bad = g->bad || s == NULL;
	return s;
}

/* Into an array of size octets, with its NUL. */
static void
get_text_into(struct cm_got *g, char *to, size_t size)
{
	const struct cm_blob v = cm_get_octets(g, 0, size - 1);

	g->bad = g->bad || (v.len > 0 && memchr(v.ptr, '\0', v.len) != NULL);
	if (!g->bad && v.len > 0)
		memcpy(to, v.ptr, v.len);
	to[g->bad ? 0 : v.len] = '\0';
}

static void
get_exactly(struct cm_got *g, uint8_t *to, size_t len)
{
	const uint8_t *p = take(g, len);

	if (p != NULL)
		memcpy(to, p, len);
}

void
cm_get_evidence(struct cm_got *g, struct cm_evidence *e)
{
	time_t *const times[] = { &e->this_update, &e->next_update, &e->revoked_at, &e->learned, &e->confirmed, &e->ask_after };
	struct cm_blob serial;
	unsigned status, flags;

	*e = (struct cm_evidence){ .serial_len = 0 };
	get_exactly(g, e->issuer_key, sizeof(e->issuer_key));
	serial = cm_get_octets(g, 1, sizeof(e->serial));
	status = cm_get_byte(g);
	flags = cm_get_byte(g);
	for (size_t i = 0; i < CM_COUNT(times); i++)
		*times[i] = cm_get_number(g);
	get_text_into(g, e->source, sizeof(e->source));
	get_text_into(g, e->signer, sizeof(e->signer));
	g->bad = g->bad || (status != CM_STATUS_GOOD && status != CM_STATUS_REVOKED) ||
	    (flags & ~(unsigned)(FLAG_HOLD | FLAG_LIST)) != 0 || (status == CM_STATUS_GOOD && (flags & FLAG_HOLD) != 0);
	if (g->bad)
		return;
	memcpy(e->serial, serial.ptr, serial.len);
	e->serial_len = serial.len;
	e->status = (enum cm_status)status;
	e->on_hold = (flags & FLAG_HOLD) != 0;
	e->by_list = (flags & FLAG_LIST) != 0;
}

void
cm_get_source(struct cm_got *g, struct cm_source *s)
{
	unsigned kind;

	*s = (struct cm_source){ .kind = CM_SOURCE_OCSP };
	kind = cm_get_byte(g);
	g->bad = g->bad || kind > CM_SOURCE_DELTA;
	get_exactly(g, s->issuer_key, sizeof(s->issuer_key));
	get_text_into(g, s->url, sizeof(s->url));
	s->seen = cm_get_number(g);
	s->asked = cm_get_number(g);
	s->answered = cm_get_number(g);
	s->probe_at = cm_get_number(g);
	s->failures = (unsigned)get_within(g, 0, UINT32_MAX);
	get_text_into(g, s->why, sizeof(s->why));
	if (!g->bad)
		s->kind = (enum cm_source_kind)kind;
}

static void
get_groups(struct cm_got *g, struct cm_account *a)
{
	const size_t count = (size_t)get_within(g, 0, CM_STORE_GROUPS_MAX);

	if (g->bad || (a->groups = calloc(count + 1, sizeof(*a->groups))) == NULL) {
		g->bad = true;
		return;
	}
	for (a->group_count = 0; a->group_count < count && !g->bad; a->group_count++) {
		a->groups[a->group_count].name = cm_get_text(g, 256);
		a->groups[a->group_count].gid = (gid_t)get_within(g, 0, UINT32_MAX);
	}
}

struct cm_account *
cm_get_account(struct cm_got *g)
{
	struct cm_account *a = calloc(1, sizeof(*a));
	unsigned flags;

	if (a == NULL) {
		g->bad = true;
		return NULL;
	}
	for (size_t i = 0; i < CM_COUNT(account_texts); i++)
		*text_at(a, i) = cm_get_text(g, CM_STORE_TEXT_MAX);
	a->uid = (uid_t)get_within(g, 0, UINT32_MAX);
	a->gid = (gid_t)get_within(g, 0, UINT32_MAX);
	flags = cm_get_byte(g);
	g->bad = g->bad || flags > 3;
	a->weak = flags & 1;
	a->several = (flags & 2) != 0;
	get_groups(g, a);
	if (g->bad)
		cm_account_free(&a);
	return a;
}

void
cm_get_pairing(struct cm_got *g, struct cm_pairing *p)
{
	unsigned local;

	*p = (struct cm_pairing){ .user = NULL };
	get_exactly(g, p->hash, sizeof(p->hash));
	get_exactly(g, p->spki_sha256, sizeof(p->spki_sha256));
	p->user = cm_get_text(g, 256);
	local = cm_get_byte(g);
	p->subject = cm_get_text(g, CM_STORE_TEXT_MAX);
	p->made = cm_get_number(g);
	g->bad = g->bad || local > 1 || p->user[0] == '\0';
	p->local = local == 1;
	if (g->bad)
		cm_pairing_clear(p);
}

void
cm_get_clock(struct cm_got *g, struct cm_store_clock *c)
{
	c->floor = cm_get_number(g);
	c->wall = cm_get_number(g);
	c->boottime = cm_get_number(g);
	get_text_into(g, c->boot_id, sizeof(c->boot_id));
}

bool
cm_got_all(const struct cm_got *g)
{
	return !g->bad && g->left.len == 0;
}
