/*
 * cardmapd/spent_file.c - the text of what was spent: a JSON array with an object for each insertion.  Readers' names
 * stand in hex: they are octets, which pcscd cuts where it likes.
 */
#include <jansson.h>
#include <string.h>

#include "base/buf.h"
#include "cardmapd/spent.h"
#include "cardmapd/whole_file.h"

bool
cm_insertion_equal(const struct cm_insertion *a, const struct cm_insertion *b)
{
	return a->pcscd == b->pcscd && a->events == b->events && strcmp(a->reader, b->reader) == 0;
}

static json_t *
describe(const void *list, size_t i)
{
	const struct cm_spent *s = &((const struct cm_spent_list *)list)->rows[i];
	struct cm_buf reader = { 0 };
	json_t *o;

	cm_buf_add_hex(&reader, cm_blob_str(s->in.reader));
	o = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "reader", cm_buf_str(&reader), "pcscd", (json_int_t)s->in.pcscd, "events",
	    (json_int_t)s->in.events, "wrong", (json_int_t)s->wrong, "doubtful", (json_int_t)s->doubtful, "tries", (json_int_t)s->tries_before);
	cm_buf_free(&reader);
	return o;
}

char *
cm_spent_text(const struct cm_spent_list *l)
{
	return cm_table_text(l, l->count, describe);
}

static bool
take_reader(const char *hex, char *to, size_t size)
{
	const size_t digits = hex != NULL ? cm_hex_parse(cm_blob_str(hex), (uint8_t *)to, size - 1) : 0;

	return digits > 0 && digits % 2 == 0 && digits / 2 < size && strlen(to) == digits / 2;
}

static bool
take_row(void *list, size_t i, const json_t *o)
{
	struct cm_spent *s = &((struct cm_spent_list *)list)->rows[i];
	json_int_t pcscd, events, wrong, doubtful, tries;

	*s = (struct cm_spent){ .wrong = 0 };
	if (!take_reader(json_string_value(json_object_get(o, "reader")), s->in.reader, sizeof(s->in.reader)) ||
	    !cm_table_number(o, "pcscd", UINT32_MAX, &pcscd) || !cm_table_number(o, "events", UINT16_MAX, &events) ||
	    !cm_table_number(o, "wrong", CM_WRONG_PINS_MAX, &wrong) || wrong == 0 || !cm_table_number(o, "doubtful", wrong, &doubtful) ||
	    !cm_table_number(o, "tries", UINT32_MAX, &tries))
		return false;
	s->in.pcscd = (uint32_t)pcscd;
	s->in.events = (uint16_t)events;
	s->wrong = (unsigned)wrong;
	s->doubtful = (unsigned)doubtful;
	s->tries_before = (unsigned)tries;
	return true;
}

bool
cm_spent_parse(struct cm_blob text, struct cm_spent_list *out)
{
	const ssize_t count = cm_table_parse(text, out, CM_SPENTS_MAX, take_row);

	out->count = count > 0 ? (size_t)count : 0;
	return count >= 0;
}
