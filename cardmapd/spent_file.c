/*
 * cardmapd/spent_file.c - the text of what was spent: a JSON array with an object for each insertion.  Readers' names
 * stand in hex: they are octets, which pcscd cuts where it likes.
 */
#include <jansson.h>
#include <string.h>

#include "base/buf.h"
#include "cardmapd/spent.h"

bool
cm_insertion_equal(const struct cm_insertion *a, const struct cm_insertion *b)
{
	return a->pcscd == b->pcscd && a->events == b->events && strcmp(a->reader, b->reader) == 0;
}

static json_t *
describe(const struct cm_spent *s)
{
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
	json_t *list = json_array();
	char *text;

	for (size_t i = 0; i < l->count; i++)
		json_array_append_new(list, describe(&l->rows[i]));
	text = json_array_size(list) == l->count ? json_dumps(list, JSON_COMPACT) : NULL;
	json_decref(list);
	return text;
}

static bool
take_number(const json_t *o, const char *key, json_int_t max, json_int_t *to)
{
	const json_t *n = json_object_get(o, key);

	*to = json_integer_value(n);
	return json_is_integer(n) && *to >= 0 && *to <= max;
}

static bool
take_row(const json_t *o, struct cm_spent *s)
{
	const char *reader = json_string_value(json_object_get(o, "reader"));
	json_int_t pcscd, events, wrong, doubtful, tries;
	size_t digits;

	*s = (struct cm_spent){ .wrong = 0 };
	if (reader == NULL || (digits = cm_hex_parse(cm_blob_str(reader), (uint8_t *)s->in.reader, sizeof(s->in.reader) - 1)) == 0 ||
	    digits % 2 != 0 || strlen(s->in.reader) != digits / 2 || !take_number(o, "pcscd", UINT32_MAX, &pcscd) || !take_number(o, "events", UINT16_MAX, &events) ||
	    !take_number(o, "wrong", CM_WRONG_PINS_MAX, &wrong) || wrong == 0 || !take_number(o, "doubtful", wrong, &doubtful) ||
	    !take_number(o, "tries", UINT32_MAX, &tries))
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
	json_t *list = json_loadb((const char *)text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL), *row;
	bool whole = json_is_array(list) && json_array_size(list) <= CM_SPENTS_MAX;
	size_t i;

	out->count = 0;
	json_array_foreach(list, i, row)
		if (whole)
			whole = take_row(row, &out->rows[out->count++]);
	if (!whole)
		out->count = 0;
	json_decref(list);
	return whole;
}
