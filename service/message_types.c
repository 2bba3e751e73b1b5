/*
 * service/message_types.c - the types of a message's fields.
 *
 *	number      = 8 octets, little end first
 *	octets      = number(length) *octet
 *	text        = octets                  ; printable UTF-8
 *	key         = number(kind) number(exponent) octets
 *	items       = number(count) *( text(key) text )
 *	octets_list = number(count) *octets
 *	account     = number(0) / number(1) *10text *5number number(count) *( number(gid) text )
 *	evidence    = number(count) *( octets(issuer_key) octets(serial) *9number *2text )
 *
 * Each reader stops at the first thing that is not so.  What it made until
 * then hangs in the value, so that clear frees it.
 */
#include "service/message_internal.h"

#include <stdlib.h>

void
cm_message_put_number(struct cm_buf *out, uint64_t n)
{
	uint8_t octets[8];

	for (size_t i = 0; i < sizeof(octets); i++)
		octets[i] = (uint8_t)(n >> 8 * i);
	cm_buf_add(out, octets, sizeof(octets));
}

enum cm_err
cm_message_take_number(struct cm_message_reader *r, uint64_t max, uint64_t *out)
{
	uint64_t n = 0;

	if (r->left < 8)
		return CM_ERR_SYNTAX;
	for (size_t i = 8; i-- > 0;)
		n = n << 8 | r->at[i];
	r->at += 8;
	r->left -= 8;
	if (n > max)
		return CM_ERR_SYNTAX;
	*out = n;
	return CM_OK;
}

static enum cm_err
write_number(const void *value, uint64_t max, struct cm_buf *out)
{
	const uint64_t *n = value;

	cm_message_put_number(out, *n);
	return *n <= max ? CM_OK : CM_ERR_USAGE;
}

static enum cm_err
read_number(struct cm_message_reader *r, uint64_t max, void *value)
{
	return cm_message_take_number(r, max, value);
}

const struct cm_message_type cm_message_number = { write_number, read_number, NULL };

static enum cm_err
put_octets(struct cm_buf *out, struct cm_blob v, uint64_t max)
{
	if (v.len > max)
		return CM_ERR_USAGE;
	cm_message_put_number(out, v.len);
	cm_buf_add_blob(out, v);
	return CM_OK;
}

/* Borrowed from what is read. */
static enum cm_err
take_octets(struct cm_message_reader *r, uint64_t max, struct cm_blob *out)
{
	uint64_t len = 0;
	enum cm_err err = cm_message_take_number(r, max, &len);

	if (err != CM_OK)
		return err;
	if (len > r->left)
		return CM_ERR_SYNTAX;
	*out = (struct cm_blob){ r->at, (size_t)len };
	r->at += len;
	r->left -= (size_t)len;
	return CM_OK;
}

/* What making it printable does not change. */
static bool
is_printable(struct cm_blob v)
{
	struct cm_buf b = { 0 };
	bool same;

	cm_buf_add_printable(&b, v);
	same = cm_buf_status(&b) == CM_OK && cm_blob_equal(cm_buf_blob(&b), v);
	cm_buf_free(&b);
	return same;
}

static enum cm_err
put_text(struct cm_buf *out, const char *text, uint64_t max)
{
	const struct cm_blob v = cm_blob_str(text != NULL ? text : "");

	return is_printable(v) ? put_octets(out, v, max) : CM_ERR_USAGE;
}

static enum cm_err
take_text(struct cm_message_reader *r, uint64_t max, char **out)
{
	struct cm_blob v = { NULL, 0 };
	enum cm_err err = take_octets(r, max, &v);

	if (err != CM_OK)
		return err;
	if (!is_printable(v))
		return CM_ERR_SYNTAX;
	if ((*out = calloc(1, v.len + 1)) == NULL)
		return CM_ERR_NOMEM;
	memcpy(*out, v.ptr, v.len);
	return CM_OK;
}

static enum cm_err
write_text(const void *value, uint64_t max, struct cm_buf *out)
{
	return put_text(out, *(char *const *)value, max);
}

static enum cm_err
read_text(struct cm_message_reader *r, uint64_t max, void *value)
{
	return take_text(r, max, value);
}

static void
clear_text(void *value)
{
	free(*(char **)value);
}

const struct cm_message_type cm_message_text = { write_text, read_text, clear_text };

static enum cm_err
read_octets(struct cm_message_reader *r, uint64_t max, void *value)
{
	struct cm_blob v = { NULL, 0 };
	const enum cm_err err = take_octets(r, max, &v);

	return err == CM_OK ? cm_blob_copy(v, value) : err;
}

static enum cm_err
write_octets(const void *value, uint64_t max, struct cm_buf *out)
{
	const struct cm_blob *v = value;

	return put_octets(out, *v, max);
}

/* A ticket holds a session key. */
static void
clear_octets(void *value)
{
	const struct cm_blob *v = value;
	uint8_t *octets = (uint8_t *)(uintptr_t)v->ptr;

	if (octets != NULL)
		explicit_bzero(octets, v->len);
	free(octets);
}

const struct cm_message_type cm_message_octets = { write_octets, read_octets, clear_octets };

static enum cm_err
write_key(const void *value, uint64_t max, struct cm_buf *out)
{
	const struct cm_key *k = value;

	(void)max;
	if ((unsigned)k->kind > CM_KEY_P384 || k->len > sizeof(k->octets))
		return CM_ERR_USAGE;
	cm_message_put_number(out, k->kind);
	cm_message_put_number(out, k->exponent);
	return put_octets(out, (struct cm_blob){ k->octets, k->len }, sizeof(k->octets));
}

/* Whether it is a key that counts is for service/possession.h. */
static enum cm_err
read_key(struct cm_message_reader *r, uint64_t max, void *value)
{
	struct cm_blob octets = { NULL, 0 };
	struct cm_key *k = value;
	uint64_t kind = 0;
	enum cm_err err;

	(void)max;
	if ((err = cm_message_take_number(r, CM_KEY_P384, &kind)) != CM_OK ||
	    (err = cm_message_take_number(r, UINT64_MAX, &k->exponent)) != CM_OK ||
	    (err = take_octets(r, sizeof(k->octets), &octets)) != CM_OK)
		return err;
	k->kind = (enum cm_key_kind)kind;
	k->len = octets.len;
	if (octets.len > 0)
		memcpy(k->octets, octets.ptr, octets.len);
	return CM_OK;
}

const struct cm_message_type cm_message_key = { write_key, read_key, NULL };

/* How many rows of the size follow; each takes at least least octets, so that a number alone makes nothing large. */
static enum cm_err
take_rows(struct cm_message_reader *r, uint64_t max, size_t least, size_t size, void *rows)
{
	uint64_t count = 0;
	void *made;
	enum cm_err err = cm_message_take_number(r, max, &count);

	if (err != CM_OK || count == 0)
		return err;
	if (count > r->left / least)
		return CM_ERR_SYNTAX;
	if ((made = calloc((size_t)count, size)) == NULL)
		return CM_ERR_NOMEM;
	memcpy(rows, &made, sizeof(made));
	return CM_OK;
}

/* Before take_rows() the count is peeked at: rows are counted as they are filled. */
static size_t
rows_ahead(const struct cm_message_reader *r)
{
	struct cm_message_reader ahead = *r;
	uint64_t count = 0;

	return cm_message_take_number(&ahead, SIZE_MAX, &count) == CM_OK ? (size_t)count : 0;
}

static enum cm_err
write_items(const void *value, uint64_t max, struct cm_buf *out)
{
	const struct cm_message_items *l = value;
	enum cm_err err = l->count <= max ? CM_OK : CM_ERR_USAGE;

	cm_message_put_number(out, l->count);
	for (size_t i = 0; err == CM_OK && i < l->count; i++)
		if ((err = put_text(out, l->rows[i].key, CM_MESSAGE_ITEM_KEY_MAX)) == CM_OK)
			err = put_text(out, l->rows[i].text, CM_MESSAGE_ITEM_MAX);
	return err;
}

/* One block for both, as a trace has them. */
static enum cm_err
take_item(struct cm_message_reader *r, struct cm_trace_item *out)
{
	struct cm_blob key = { NULL, 0 }, text = { NULL, 0 };
	enum cm_err err;

	if ((err = take_octets(r, CM_MESSAGE_ITEM_KEY_MAX, &key)) != CM_OK ||
	    (err = take_octets(r, CM_MESSAGE_ITEM_MAX, &text)) != CM_OK)
		return err;
	if (key.len == 0 || !is_printable(key) || !is_printable(text))
		return CM_ERR_SYNTAX;
	if ((out->key = calloc(1, key.len + text.len + 2)) == NULL)
		return CM_ERR_NOMEM;
	out->text = out->key + key.len + 1;
	memcpy(out->key, key.ptr, key.len);
	memcpy(out->text, text.ptr, text.len);
	return CM_OK;
}

static enum cm_err
read_items(struct cm_message_reader *r, uint64_t max, void *value)
{
	struct cm_message_items *l = value;
	const size_t count = rows_ahead(r);
	enum cm_err err = take_rows(r, max, 16, sizeof(*l->rows), &l->rows);

	while (err == CM_OK && l->count < count)
		if ((err = take_item(r, &l->rows[l->count])) == CM_OK)
			l->count++;
	return err;
}

static void
clear_items(void *value)
{
	struct cm_message_items *l = value;

	for (size_t i = 0; i < l->count; i++)
		free(l->rows[i].key);
	free(l->rows);
	*l = (struct cm_message_items){ .count = 0 };
}

const struct cm_message_type cm_message_items = { write_items, read_items, clear_items };

static enum cm_err
write_octets_list(const void *value, uint64_t max, struct cm_buf *out)
{
	const struct cm_octets_list *l = value;
	enum cm_err err = l->count <= max ? CM_OK : CM_ERR_USAGE;

	cm_message_put_number(out, l->count);
	for (size_t i = 0; err == CM_OK && i < l->count; i++)
		err = put_octets(out, l->rows[i], CM_MESSAGE_OCTETS_MAX);
	return err;
}

static enum cm_err
read_octets_list(struct cm_message_reader *r, uint64_t max, void *value)
{
	struct cm_octets_list *l = value;
	const size_t count = rows_ahead(r);
	enum cm_err err = take_rows(r, max, 8, sizeof(*l->rows), &l->rows);

	while (err == CM_OK && l->count < count)
		if ((err = read_octets(r, CM_MESSAGE_OCTETS_MAX, &l->rows[l->count])) == CM_OK)
			l->count++;
	return err;
}

static void
clear_octets_list(void *value)
{
	struct cm_octets_list *l = value;

	for (size_t i = 0; i < l->count; i++)
		clear_octets(&l->rows[i]);
	free(l->rows);
}

const struct cm_message_type cm_message_octets_list = { write_octets_list, read_octets_list, clear_octets_list };

/* The texts of an account with their limits, in the order they are written. */
static const struct account_text {
	size_t offset;
	uint64_t max;
} account_texts[] = {
	{ offsetof(struct cm_account, name), 255 },
	{ offsetof(struct cm_account, principal), 512 },
	{ offsetof(struct cm_account, dn), 2048 },
	{ offsetof(struct cm_account, home), 4096 },
	{ offsetof(struct cm_account, shell), 4096 },
	{ offsetof(struct cm_account, gecos), 2048 },
	{ offsetof(struct cm_account, rule), 512 },
	{ offsetof(struct cm_account, attribute), 512 },
	{ offsetof(struct cm_account, matched), 32768 },
	{ offsetof(struct cm_account, source), 1024 },
};

static char **
text_of(const struct cm_account *a, size_t i)
{
	return (char **)((char *)(uintptr_t)a + account_texts[i].offset);
}

static enum cm_err
write_account(const void *value, uint64_t max, struct cm_buf *out)
{
	const struct cm_account *a = *(struct cm_account *const *)value;
	enum cm_err err = CM_OK;

	cm_message_put_number(out, a != NULL);
	if (a == NULL)
		return CM_OK;
	for (size_t i = 0; err == CM_OK && i < CM_COUNT(account_texts); i++)
		err = put_text(out, *text_of(a, i), account_texts[i].max);
	for (size_t i = 0; i < 5; i++)
		cm_message_put_number(out, (const uint64_t[]){ a->uid, a->gid, a->weak, a->several, a->local }[i]);
	cm_message_put_number(out, a->group_count);
	if (err == CM_OK && a->group_count > max)
		err = CM_ERR_USAGE;
	for (size_t i = 0; err == CM_OK && i < a->group_count; i++) {
		cm_message_put_number(out, a->groups[i].gid);
		err = put_text(out, a->groups[i].name, 255);
	}
	return err;
}

static enum cm_err
take_groups(struct cm_message_reader *r, uint64_t max, struct cm_account *a)
{
	const size_t count = rows_ahead(r);
	enum cm_err err = take_rows(r, max, 16, sizeof(*a->groups), &a->groups);
	uint64_t gid = 0;

	while (err == CM_OK && a->group_count < count) {
		struct cm_group *g = &a->groups[a->group_count];

		if ((err = cm_message_take_number(r, UINT32_MAX, &gid)) == CM_OK &&
		    (err = take_text(r, 255, &g->name)) == CM_OK) {
			g->gid = (gid_t)gid;
			a->group_count++;
		}
	}
	return err;
}

static enum cm_err
take_ids(struct cm_message_reader *r, struct cm_account *a)
{
	uint64_t n[5] = { 0 };
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && i < CM_COUNT(n); i++)
		err = cm_message_take_number(r, i < 2 ? UINT32_MAX : 1, &n[i]);
	a->uid = (uid_t)n[0];
	a->gid = (gid_t)n[1];
	a->weak = n[2] != 0;
	a->several = n[3] != 0;
	a->local = n[4] != 0;
	return err;
}

static enum cm_err
read_account(struct cm_message_reader *r, uint64_t max, void *value)
{
	uint64_t is_there = 0;
	struct cm_account *a;
	enum cm_err err = cm_message_take_number(r, 1, &is_there);

	if (err != CM_OK || is_there == 0)
		return err;
	if ((a = calloc(1, sizeof(*a))) == NULL)
		return CM_ERR_NOMEM;
	*(struct cm_account **)value = a;
	for (size_t i = 0; err == CM_OK && i < CM_COUNT(account_texts); i++)
		err = take_text(r, account_texts[i].max, text_of(a, i));
	if (err == CM_OK && (err = take_ids(r, a)) == CM_OK)
		err = take_groups(r, max, a);
	return err;
}

static void
clear_account(void *value)
{
	cm_account_free(value);
}

const struct cm_message_type cm_message_account = { write_account, read_account, clear_account };

/* The numbers of a row; when it was revoked may be CM_NEVER_ISSUED, which goes as all ones. */
enum { STATUS, THIS_UPDATE, NEXT_UPDATE, REVOKED_AT, ON_HOLD, BY_LIST, LEARNED, CONFIRMED, ASK_AFTER, NUMBERS };

static bool
in_range(const uint64_t n[NUMBERS])
{
	for (size_t i = THIS_UPDATE; i < NUMBERS; i++)
		if (n[i] > CM_MESSAGE_TIME_MAX && !(i == REVOKED_AT && n[i] == (uint64_t)CM_NEVER_ISSUED))
			return false;
	return n[STATUS] <= CM_STATUS_REVOKED && n[ON_HOLD] <= 1 && n[BY_LIST] <= 1;
}

static enum cm_err
write_evidence_row(const struct cm_evidence *e, struct cm_buf *out)
{
	const uint64_t n[NUMBERS] = {
		[STATUS] = e->status, [THIS_UPDATE] = (uint64_t)e->this_update, [NEXT_UPDATE] = (uint64_t)e->next_update,
		[REVOKED_AT] = (uint64_t)e->revoked_at, [ON_HOLD] = e->on_hold, [BY_LIST] = e->by_list,
		[LEARNED] = (uint64_t)e->learned, [CONFIRMED] = (uint64_t)e->confirmed, [ASK_AFTER] = (uint64_t)e->ask_after,
	};
	enum cm_err err;

	if (!in_range(n) || e->serial_len == 0)
		return CM_ERR_USAGE;
	if ((err = put_octets(out, (struct cm_blob){ e->issuer_key, sizeof(e->issuer_key) }, 32)) != CM_OK ||
	    (err = put_octets(out, (struct cm_blob){ e->serial, e->serial_len }, sizeof(e->serial))) != CM_OK)
		return err;
	for (size_t i = 0; i < NUMBERS; i++)
		cm_message_put_number(out, n[i]);
	if ((err = put_text(out, e->source, sizeof(e->source) - 1)) == CM_OK)
		err = put_text(out, e->signer, sizeof(e->signer) - 1);
	return err;
}

static enum cm_err
write_evidence(const void *value, uint64_t max, struct cm_buf *out)
{
	const struct cm_evidence_list *l = value;
	enum cm_err err = l->count <= max ? CM_OK : CM_ERR_USAGE;

	cm_message_put_number(out, l->count);
	for (size_t i = 0; err == CM_OK && i < l->count; i++)
		err = write_evidence_row(&l->rows[i], out);
	return err;
}

static enum cm_err
take_name(struct cm_message_reader *r, struct cm_evidence *e)
{
	struct cm_blob key = { NULL, 0 }, serial = { NULL, 0 };
	enum cm_err err;

	if ((err = take_octets(r, sizeof(e->issuer_key), &key)) != CM_OK ||
	    (err = take_octets(r, sizeof(e->serial), &serial)) != CM_OK)
		return err;
	if (key.len != sizeof(e->issuer_key) || serial.len == 0)
		return CM_ERR_SYNTAX;
	memcpy(e->issuer_key, key.ptr, key.len);
	memcpy(e->serial, serial.ptr, serial.len);
	e->serial_len = serial.len;
	return CM_OK;
}

/* Into an array of 256. */
static enum cm_err
take_short_text(struct cm_message_reader *r, char out[256])
{
	struct cm_blob v = { NULL, 0 };
	enum cm_err err = take_octets(r, 255, &v);

	if (err == CM_OK && !is_printable(v))
		err = CM_ERR_SYNTAX;
	if (err == CM_OK && v.len > 0)
		memcpy(out, v.ptr, v.len);
	return err;
}

static enum cm_err
read_evidence_row(struct cm_message_reader *r, struct cm_evidence *e)
{
	uint64_t n[NUMBERS] = { 0 };
	enum cm_err err = take_name(r, e);

	for (size_t i = 0; err == CM_OK && i < NUMBERS; i++)
		err = cm_message_take_number(r, UINT64_MAX, &n[i]);
	if (err == CM_OK && !in_range(n))
		err = CM_ERR_SYNTAX;
	if (err != CM_OK)
		return err;
	e->status = (enum cm_status)n[STATUS];
	e->this_update = (time_t)n[THIS_UPDATE];
	e->next_update = (time_t)n[NEXT_UPDATE];
	e->revoked_at = (time_t)n[REVOKED_AT];
	e->on_hold = n[ON_HOLD] != 0;
	e->by_list = n[BY_LIST] != 0;
	e->learned = (time_t)n[LEARNED];
	e->confirmed = (time_t)n[CONFIRMED];
	e->ask_after = (time_t)n[ASK_AFTER];
	if ((err = take_short_text(r, e->source)) == CM_OK)
		err = take_short_text(r, e->signer);
	return err;
}

static enum cm_err
read_evidence(struct cm_message_reader *r, uint64_t max, void *value)
{
	struct cm_evidence_list *l = value;
	const size_t count = rows_ahead(r);
	enum cm_err err = take_rows(r, max, 128, sizeof(*l->rows), &l->rows);

	while (err == CM_OK && l->count < count)
		if ((err = read_evidence_row(r, &l->rows[l->count])) == CM_OK)
			l->count++;
	return err;
}

static void
clear_evidence(void *value)
{
	struct cm_evidence_list *l = value;

	free(l->rows);
}

const struct cm_message_type cm_message_evidence = { write_evidence, read_evidence, clear_evidence };
