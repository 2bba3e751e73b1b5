/*
 * service/apart_others.c - a card with several certificates, which the card helper reads and cardmapd knows by their octets.
 *
 * Which one is in use decides nothing by itself: the resolver judges it, and the
 * grant wants a signature by its key.
 */
#include <stdlib.h>

#include "service/apart_internal.h"
#include "service/login_slots_internal.h"

static struct cm_apart *
apart(const struct cm_login *l)
{
	return l->worker;
}

static bool
is_known(const struct cm_apart *a, unsigned slot, struct cm_blob der)
{
	for (size_t i = 0; i < a->certificate_count; i++)
		if (a->certificates[i].slot == slot && cm_blob_equal(a->certificates[i].der, der))
			return true;
	return false;
}

static enum cm_err
add(struct cm_apart *a, unsigned slot, struct cm_blob der, bool cached)
{
	struct cm_apart_certificate *c = &a->certificates[a->certificate_count];
	enum cm_err err;

	if (a->certificate_count == CM_APART_CERTIFICATES_MAX)
		return CM_OK;
	*c = (struct cm_apart_certificate){ .slot = slot, .cached = cached };
	if ((err = cm_blob_copy(der, &c->der)) == CM_OK)
		a->certificate_count++;
	return err;
}

enum cm_err
cm_apart_note_first(struct cm_login *l, unsigned slot)
{
	struct cm_apart *a = apart(l);
	const enum cm_err err = add(a, slot, a->opened.certificate, l->cached);

	l->slot = slot;
	l->certificate = 0;
	l->certificates = a->certificate_count;
	return err;
}

enum cm_err
cm_apart_note_read(struct cm_login *l)
{
	struct cm_apart *a = apart(l);
	struct cm_apart_certificate *c = &a->certificates[l->certificate];

	cm_blob_free(&c->der);
	c->cached = false;
	return cm_blob_copy(a->opened.certificate, &c->der);
}

/* ---- what a helper may say of a card */

enum cm_err
cm_apart_judge_opened(struct cm_login *l, const struct cm_message *o, struct cm_blob handed)
{
	struct cm_apart *a = apart(l);
	const char *wrong = NULL;

	if (o->certificate.len == 0)
		wrong = "no certificate";
	else if (o->key.kind == CM_KEY_NONE)
		wrong = "no key";
	else if (o->guid.len != 0 && o->guid.len != 16)
		wrong = "a GUID that is none";
	else if (o->tries > CM_APART_TRIES_MOST && o->tries != UINT32_MAX)
		wrong = "more tries than a card can have";
	else if (o->cached != 0 && !cm_blob_equal(o->certificate, handed))
		wrong = "a certificate as if it had been handed to it";
	return wrong == NULL ? CM_OK : cm_apart_refuse_answer(a, CM_PROCESS_CARD, wrong, l->trace);
}

/* ---- more of them */

static enum cm_err
add_kept(struct cm_login *l)
{
	struct cm_apart *a = apart(l);
	struct cm_recognised kept;
	enum cm_err err = a->o.unknown ? CM_ERR_ABSENT : cm_accounts_recognise(a->o.store, a->opened.guid, l->user, l->trace, &kept);

	/* As when it was opened: what cannot be told from the store is read. */
	if (err != CM_OK) {
		cm_trace_clear_reason(l->trace);
		return CM_ERR_ABSENT;
	}
	err = is_known(a, kept.slot, cm_buf_blob(&kept.certificate)) ? CM_ERR_ABSENT :
	    add(a, kept.slot, cm_buf_blob(&kept.certificate), true);
	cm_buf_free(&kept.certificate);
	return err;
}

/* All that the configuration names, but the first, which was looked at. */
static struct cm_blob
list_slots(const struct cm_apart *a, uint8_t slots[CM_LOGIN_SLOTS_MAX + 1])
{
	const unsigned first = a->certificates[0].slot;
	struct cm_login_slots all;
	size_t n = 0;

	cm_login_slots(a->o.conf, &all);
	if (first != CM_SLOT_AUTHENTICATION)
		slots[n++] = CM_SLOT_AUTHENTICATION;
	for (size_t i = 0; i < all.count; i++)
		if (all.octets[i] != first)
			slots[n++] = all.octets[i];
	return (struct cm_blob){ slots, n };
}

static enum cm_err
take_others(struct cm_login *l, const struct cm_message *found, struct cm_blob asked)
{
	struct cm_apart *a = apart(l);
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && i < found->certificates.count; i++) {
		const struct cm_blob row = found->certificates.rows[i], der = { row.ptr + 1, row.len - 1 };

		if (row.len < 2 || memchr(asked.ptr, row.ptr[0], asked.len) == NULL)
			return cm_apart_refuse_answer(a, CM_PROCESS_CARD, "a certificate of a slot that it was not asked about", l->trace);
		if (!is_known(a, row.ptr[0], der))
			err = add(a, row.ptr[0], der, false);
	}
	return err;
}

static enum cm_err
read_others(struct cm_login *l)
{
	struct cm_apart *a = apart(l);
	uint8_t slots[CM_LOGIN_SLOTS_MAX + 1];
	const struct cm_blob asked = list_slots(a, slots);
	const struct cm_message q = { .kind = CM_MESSAGE_OTHERS, .slots = asked, .deadline = cm_apart_time_left(l->deadline) };
	struct cm_message answer;
	enum cm_err err;

	if (a->others_read || asked.len == 0)
		return CM_OK;
	if ((err = cm_apart_ask(l, &(struct cm_apart_question){ .which = CM_PROCESS_CARD, .m = &q, .answer = CM_MESSAGE_FOUND_OTHERS },
	    &answer)) == CM_OK)
		err = take_others(l, &answer, asked);
	cm_message_clear(&answer);
	a->others_read = err == CM_OK;
	return err;
}

enum cm_err
cm_apart_others(struct cm_login *l, bool kept)
{
	const enum cm_err err = kept ? add_kept(l) : read_others(l);

	l->certificates = apart(l)->certificate_count;
	return err;
}

/* ---- another one */

static enum cm_err
judge_used(struct cm_login *l, const struct cm_message *o, struct cm_blob der)
{
	struct cm_apart *a = apart(l);
	enum cm_err err;

	if ((err = cm_apart_judge_opened(l, o, der)) != CM_OK)
		return err;
	if (!cm_blob_equal(o->certificate, der) || !cm_blob_equal(o->guid, a->opened.guid))
		return cm_apart_refuse_answer(a, CM_PROCESS_CARD, "another certificate or card than was to be used", l->trace);
	return CM_OK;
}

enum cm_err
cm_apart_use(struct cm_login *l, size_t n)
{
	struct cm_apart *a = apart(l);
	const struct cm_apart_certificate *c = &a->certificates[n];
	const struct cm_message q = { .kind = CM_MESSAGE_USE, .certificate = c->der, .slot = c->slot };
	struct cm_message answer;
	enum cm_err err;

	if (n >= a->certificate_count)
		return CM_ERR_STATE;
	if (c->der.len == 0)
		return CM_ERR_ABSENT;
	if ((err = cm_apart_ask(l, &(struct cm_apart_question){ .which = CM_PROCESS_CARD, .m = &q, .answer = CM_MESSAGE_OPENED },
	    &answer)) == CM_OK && (err = judge_used(l, &answer, c->der)) == CM_OK) {
		cm_apart_forget_proof(a);
		cm_message_clear(&a->opened);
		a->opened = answer;
		answer = (struct cm_message){ .kind = CM_MESSAGE_NONE };
		l->certificate = n;
		l->slot = c->slot;
		l->cached = c->cached;
	}
	cm_message_clear(&answer);
	return err;
}
