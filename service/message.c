/* service/message.c - a message: its kind, and the fields of that kind, in the order of the table. */
#include "service/message_internal.h"

#include <stdlib.h>

static const struct field {
	const char *name;
	const struct cm_message_type *type;
	size_t offset;
	uint64_t max;
} fields[] = {
#define X(name, type, max) { #name, &cm_message_##type, offsetof(struct cm_message, name), max },
	CM_MESSAGE_FIELDS(X)
#undef X
};

/* A kind's fields are the words of its text. */
static const struct kind {
	const char *name, *fields;
} kinds[] = {
	[CM_MESSAGE_NONE] = { "none", "" },
#define X(name, words) [CM_MESSAGE_##name] = { #name, words },
	CM_MESSAGE_KINDS(X)
#undef X
};

const char *
cm_message_kind_name(enum cm_message_kind kind)
{
	return (unsigned)kind < CM_COUNT(kinds) ? kinds[kind].name : "unknown";
}

/* The field that the next word of *words names, which moves behind it; NULL: there is none. */
static const struct field *
next_field(const char **words)
{
	const size_t len = strcspn(*words, " ");
	const char *word = *words;

	*words += len + (word[len] == ' ');
	for (size_t i = 0; len > 0 && i < CM_COUNT(fields); i++)
		if (strncmp(fields[i].name, word, len) == 0 && fields[i].name[len] == '\0')
			return &fields[i];
	return NULL;
}

static void *
value_of(const struct cm_message *m, const struct field *f)
{
	return (char *)(uintptr_t)m + f->offset;
}

void
cm_message_clear(struct cm_message *m)
{
	for (size_t i = 0; i < CM_COUNT(fields); i++)
		if (fields[i].type->clear != NULL)
			fields[i].type->clear(value_of(m, &fields[i]));
	*m = (struct cm_message){ .kind = CM_MESSAGE_NONE };
}

enum cm_err
cm_message_write(const struct cm_message *m, struct cm_buf *out)
{
	const size_t start = out->len;
	const struct field *f;
	const char *words;
	enum cm_err err = CM_OK;

	if (m->kind == CM_MESSAGE_NONE || (unsigned)m->kind >= CM_COUNT(kinds))
		return CM_ERR_USAGE;
	cm_message_put_number(out, m->kind);
	for (words = kinds[m->kind].fields; err == CM_OK && (f = next_field(&words)) != NULL;)
		err = f->type->write(value_of(m, f), f->max, out);
	if (err == CM_OK && (err = cm_buf_status(out)) == CM_OK && out->len - start > CM_MESSAGE_MAX)
		err = CM_ERR_USAGE;
	return err;
}

enum cm_err
cm_message_read(struct cm_blob octets, struct cm_message *out)
{
	struct cm_message_reader r = { octets.ptr, octets.len };
	uint64_t kind = CM_MESSAGE_NONE;
	const struct field *f;
	const char *words;
	enum cm_err err;

	*out = (struct cm_message){ .kind = CM_MESSAGE_NONE };
	if (octets.len > CM_MESSAGE_MAX)
		return CM_ERR_SYNTAX;
	if ((err = cm_message_take_number(&r, CM_COUNT(kinds) - 1, &kind)) != CM_OK)
		return err;
	out->kind = (enum cm_message_kind)kind;
	if (kind == CM_MESSAGE_NONE)
		return CM_ERR_SYNTAX;
	for (words = kinds[kind].fields; err == CM_OK && (f = next_field(&words)) != NULL;)
		err = f->type->read(&r, f->max, value_of(out, f));
	if (err == CM_OK && r.left > 0)
		err = CM_ERR_SYNTAX;
	if (err != CM_OK)
		cm_message_clear(out);
	return err;
}

/* Most that the items of a report take: what is behind is for the log of the process that saw it. */
#define ITEMS_TOTAL	((size_t)32 << 10)

/* At most max octets, whole characters. */
static size_t
cut(const char *text, size_t max)
{
	size_t len = strnlen(text, max + 1);

	if (len <= max)
		return len;
	for (len = max; len > 0 && ((uint8_t)text[len] & 0xC0) == 0x80;)
		len--;
	return len;
}

/* As a trace has them: key and text in one block. */
static enum cm_err
copy_item(const char *key, struct cm_blob text, struct cm_trace_item *out)
{
	const size_t key_size = strlen(key) + 1;

	if ((out->key = calloc(1, key_size + text.len + 1)) == NULL)
		return CM_ERR_NOMEM;
	memcpy(out->key, key, key_size);
	out->text = out->key + key_size;
	memcpy(out->text, text.ptr, text.len);
	return CM_OK;
}

/* The text of the reason goes in a field of its own. */
static bool
is_told(const struct cm_trace_item *i)
{
	return strcmp(i->key, CM_TRACE_WHY) != 0 && strlen(i->key) <= CM_MESSAGE_ITEM_KEY_MAX;
}

static enum cm_err
report_items(struct cm_message *m, const struct cm_trace_stage *s)
{
	const size_t max = 128;	/* of the field */
	size_t total = 0;
	enum cm_err err = CM_OK;

	if ((m->items.rows = calloc(max, sizeof(*m->items.rows))) == NULL)
		return CM_ERR_NOMEM;
	for (size_t i = 0; err == CM_OK && i < s->count; i++) {
		const struct cm_blob text = { (const uint8_t *)s->items[i].text,
			cut(s->items[i].text, CM_MESSAGE_ITEM_MAX) };

		if (!is_told(&s->items[i]))
			continue;
		total += text.len;
		if (m->items.count == max - 1 || total > ITEMS_TOTAL) {
			err = copy_item("more", cm_blob_str("there is more than a message holds"),
			    &m->items.rows[m->items.count]);
			m->items.count += err == CM_OK;
			break;
		}
		if ((err = copy_item(s->items[i].key, text, &m->items.rows[m->items.count])) == CM_OK)
			m->items.count++;
	}
	return err;
}

enum cm_err
cm_message_report(struct cm_message *m, enum cm_err err, const struct cm_trace *t)
{
	const size_t stages = cm_trace_count(t);
	const enum cm_reason r = cm_trace_reason(t);
	const char *text = cm_trace_message(t);

	free(m->text);
	m->text = NULL;
	cm_message_items.clear(&m->items);
	m->err = err;
	m->reason = err == CM_OK ? CM_REASON_NONE : r != CM_REASON_NONE && cm_reason_err(r) == err ? r : CM_REASON_SYSTEM;
	if (err != CM_OK && (m->text = text[0] != '\0' ? strndup(text, cut(text, 2048)) : strdup(cm_err_name(err))) == NULL)
		return CM_ERR_NOMEM;
	return stages > 0 ? report_items(m, cm_trace_stage(t, stages - 1)) : CM_OK;
}

enum cm_err
cm_message_reported(const struct cm_message *m, struct cm_trace *t)
{
	const enum cm_err err = (enum cm_err)m->err;
	const enum cm_reason r = (enum cm_reason)m->reason;
	const bool fits = err == CM_OK ? r == CM_REASON_NONE :
	    r == CM_REASON_SYSTEM || (r != CM_REASON_NONE && cm_reason_err(r) == err);

	for (size_t i = 0; i < m->items.count; i++)
		if (is_told(&m->items.rows[i]))
			cm_trace_add_blob(t, m->items.rows[i].key, cm_blob_str(m->items.rows[i].text));
	if (!fits) {
		cm_trace_fail(t, CM_REASON_HELPER, "%s: the result \"%s\" and the reason %s do not go together",
		    cm_message_kind_name(m->kind), cm_err_name(err), cm_reason_name(r));
		return CM_ERR_SYNTAX;
	}
	if (err != CM_OK)
		cm_trace_fail(t, r, "%s", m->text != NULL ? m->text : "");
	return err;
}
