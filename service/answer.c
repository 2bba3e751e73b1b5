/* service/answer.c - what a question about a card comes to, in the words of the interface io.cardmap: made and read. */
#include "service/answer.h"

#include <stdlib.h>

void
cm_answer_set_text(json_t *o, const char *key, const char *text)
{
	struct cm_buf b = { 0 };

	cm_buf_add_printable(&b, cm_blob_str(text));
	json_object_set_new(o, key, json_stringn(cm_buf_str(&b), b.len));
	cm_buf_free(&b);
}

void
cm_answer_add_text(json_t *o, const char *key, const char *text)
{
	if (text != NULL && text[0] != '\0')
		cm_answer_set_text(o, key, text);
}

/* ---- accounts */

static const struct text_row {
	const char *key;
	size_t offset;
} texts[] = {
#define ROW(name) { #name, offsetof(struct cm_account, name) }
	ROW(name), ROW(gecos), ROW(home), ROW(shell), ROW(principal), ROW(dn), ROW(rule), ROW(attribute), ROW(matched), ROW(source),
#undef ROW
};

static const struct flag_row {
	const char *key;
	size_t offset;
} flags[] = {
#define ROW(name) { #name, offsetof(struct cm_account, name) }
	ROW(weak), ROW(several), ROW(local),
#undef ROW
};

json_t *
cm_answer_account(const struct cm_account *a)
{
	json_t *o = json_object(), *groups = json_array();

	for (size_t i = 0; i < CM_COUNT(texts); i++)
		cm_answer_set_text(o, texts[i].key, *(char *const *)(const void *)((const char *)a + texts[i].offset));
	for (size_t i = 0; i < CM_COUNT(flags); i++)
		json_object_set_new(o, flags[i].key, json_boolean(*(const bool *)((const char *)a + flags[i].offset)));
	json_object_set_new(o, "uid", json_integer(a->uid));
	json_object_set_new(o, "gid", json_integer(a->gid));
	for (size_t i = 0; i < a->group_count; i++) {
		json_t *g = json_object();

		cm_answer_set_text(g, "name", a->groups[i].name);
		json_object_set_new(g, "gid", json_integer(a->groups[i].gid));
		json_array_append_new(groups, g);
	}
	json_object_set_new(o, "groups", groups);
	return o;
}

/* The same members in the same order, for whoever answers thousands a second. */
void
cm_answer_write_account(const struct cm_account *a, struct cm_buf *out)
{
	for (size_t i = 0; i < CM_COUNT(texts); i++) {
		cm_buf_add_str(out, i == 0 ? "{\"" : ",\"");
		cm_buf_add_str(out, texts[i].key);
		cm_buf_add_str(out, "\":");
		cm_answer_write_text(*(char *const *)(const void *)((const char *)a + texts[i].offset), out);
	}
	for (size_t i = 0; i < CM_COUNT(flags); i++) {
		cm_buf_add_str(out, ",\"");
		cm_buf_add_str(out, flags[i].key);
		cm_buf_add_str(out, *(const bool *)((const char *)a + flags[i].offset) ? "\":true" : "\":false");
	}
	cm_buf_addf(out, ",\"uid\":%u,\"gid\":%u,\"groups\":[", (unsigned)a->uid, (unsigned)a->gid);
	for (size_t i = 0; i < a->group_count; i++) {
		cm_buf_add_str(out, i == 0 ? "{\"name\":" : ",{\"name\":");
		cm_answer_write_text(a->groups[i].name, out);
		cm_buf_addf(out, ",\"gid\":%u}", (unsigned)a->groups[i].gid);
	}
	cm_buf_add_str(out, "]}");
}

static enum cm_err
read_text(const json_t *o, const char *key, char **out)
{
	const char *text = json_string_value(json_object_get(o, key));

	if (text == NULL)
		return CM_ERR_SYNTAX;
	return (*out = strdup(text)) != NULL ? CM_OK : CM_ERR_NOMEM;
}

static enum cm_err
read_id(const json_t *o, const char *key, uint32_t *out)
{
	const json_t *n = json_object_get(o, key);

	if (!json_is_integer(n) || json_integer_value(n) < 0 || json_integer_value(n) >= UINT32_MAX)
		return CM_ERR_SYNTAX;
	*out = (uint32_t)json_integer_value(n);
	return CM_OK;
}

static enum cm_err
read_groups(const json_t *list, struct cm_account *a)
{
	enum cm_err err = json_is_array(list) ? CM_OK : CM_ERR_SYNTAX;

	if (err == CM_OK && (a->groups = calloc(json_array_size(list) + 1, sizeof(*a->groups))) == NULL)
		err = CM_ERR_NOMEM;
	for (size_t i = 0; err == CM_OK && i < json_array_size(list); i++) {
		struct cm_group *g = &a->groups[a->group_count++];

		if ((err = read_text(json_array_get(list, i), "name", &g->name)) == CM_OK)
			err = read_id(json_array_get(list, i), "gid", &g->gid);
	}
	return err;
}

enum cm_err
cm_answer_read_account(const json_t *o, struct cm_account **out)
{
	struct cm_account *a = calloc(1, sizeof(*a));
	enum cm_err err = a != NULL ? CM_OK : CM_ERR_NOMEM;

	*out = NULL;
	for (size_t i = 0; err == CM_OK && i < CM_COUNT(texts); i++)
		err = read_text(o, texts[i].key, (char **)(void *)((char *)a + texts[i].offset));
	for (size_t i = 0; err == CM_OK && i < CM_COUNT(flags); i++) {
		const json_t *flag = json_object_get(o, flags[i].key);

		*(bool *)((char *)a + flags[i].offset) = json_is_true(flag);
		err = json_is_boolean(flag) ? CM_OK : CM_ERR_SYNTAX;
	}
	if (err == CM_OK && (err = read_id(o, "uid", &a->uid)) == CM_OK && (err = read_id(o, "gid", &a->gid)) == CM_OK)
		err = read_groups(json_object_get(o, "groups"), a);
	if (err == CM_OK) {
		*out = a;
		a = NULL;
	}
	cm_account_free(&a);
	return err;
}

/* ---- outcomes */

static json_t *
stage_json(const struct cm_trace_stage *s)
{
	json_t *o = json_object(), *items = json_array();

	cm_answer_set_text(o, "name", s->name);
	cm_answer_set_text(o, "result", cm_err_name(s->err));
	if (s->reason != CM_REASON_NONE)
		cm_answer_set_text(o, "reason", cm_reason_name(s->reason));
	json_object_set_new(o, "microseconds", json_integer(s->us));
	for (size_t i = 0; i < s->count; i++) {
		json_t *item = json_object();

		cm_answer_set_text(item, "key", s->items[i].key);
		cm_answer_set_text(item, "text", s->items[i].text);
		json_array_append_new(items, item);
	}
	json_object_set_new(o, "items", items);
	return o;
}

json_t *
cm_answer_outcome(enum cm_err err, const struct cm_trace *t, size_t first)
{
	const struct cm_trace_stage *failed = cm_trace_failed(t);
	const enum cm_reason reason = failed != NULL ? failed->reason : cm_trace_reason(t);
	json_t *o = json_object(), *stages = json_array();

	cm_answer_set_text(o, "result", cm_err_name(err));
	if (err != CM_OK) {
		cm_answer_set_text(o, "reason", cm_reason_name(reason));
		cm_answer_set_text(o, "text", cm_trace_why(t, failed));
		cm_answer_set_text(o, "remedy", cm_reason_remedy(reason));
	}
	for (size_t i = first; i < cm_trace_count(t); i++)
		json_array_append_new(stages, stage_json(cm_trace_stage(t, i)));
	json_object_set_new(o, "stages", stages);
	return o;
}

static enum cm_err
read_result(const json_t *o, enum cm_err *out)
{
	const char *name = json_string_value(json_object_get(o, "result"));

	for (int err = CM_OK; name != NULL && err <= CM_ERR_STATE; err++)
		if (strcmp(name, cm_err_name(err)) == 0) {
			*out = (enum cm_err)err;
			return CM_OK;
		}
	return CM_ERR_SYNTAX;
}

/* A reason that this program does not know, of a newer service, is SYSTEM; none goes with CM_OK. */
static enum cm_err
read_reason(const json_t *o, enum cm_err err, enum cm_reason *out)
{
	const json_t *member = json_object_get(o, "reason");
	const char *name = json_string_value(member);

	*out = err != CM_OK ? cm_reason_named(name) : CM_REASON_NONE;
	if (err != CM_OK && *out == CM_REASON_NONE)
		*out = CM_REASON_SYSTEM;
	return name != NULL || member == NULL || json_is_null(member) || err == CM_OK ? CM_OK : CM_ERR_SYNTAX;
}

static enum cm_err
read_items(const json_t *list, struct cm_trace *t)
{
	if (!json_is_array(list))
		return CM_ERR_SYNTAX;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);
		const char *key = json_string_value(json_object_get(item, "key"));
		const json_t *text = json_object_get(item, "text");

		if (key == NULL || !json_is_string(text))
			return CM_ERR_SYNTAX;
		cm_trace_add_blob(t, key, cm_blob_str(json_string_value(text)));
	}
	return CM_OK;
}

static enum cm_err
read_stage(const json_t *o, struct cm_trace *t)
{
	const char *name = json_string_value(json_object_get(o, "name"));
	const json_t *us = json_object_get(o, "microseconds");
	enum cm_reason reason;
	enum cm_err result, err;

	if (name == NULL || !json_is_integer(us) || (err = read_result(o, &result)) != CM_OK ||
	    (err = read_reason(o, result, &reason)) != CM_OK)
		return CM_ERR_SYNTAX;
	cm_trace_begin(t, name);
	err = read_items(json_object_get(o, "items"), t);
	cm_trace_end_told(t, result, reason, json_integer_value(us));
	return err;
}

enum cm_err
cm_answer_read_outcome(const json_t *o, struct cm_trace *t, enum cm_err *err)
{
	const json_t *stages = json_object_get(o, "stages");
	const char *text = json_string_value(json_object_get(o, "text"));
	enum cm_reason reason;
	enum cm_err read = json_is_array(stages) ? CM_OK : CM_ERR_SYNTAX;

	*err = CM_ERR_SYNTAX;
	for (size_t i = 0; read == CM_OK && i < json_array_size(stages); i++)
		read = read_stage(json_array_get(stages, i), t);
	if (read != CM_OK || (read = read_result(o, err)) != CM_OK || (read = read_reason(o, *err, &reason)) != CM_OK)
		return read;
	cm_trace_clear_reason(t);
	if (*err != CM_OK)
		(void)cm_trace_fail(t, reason, "%s", text != NULL ? text : "");
	return CM_OK;
}

/* ---- explanations */

static json_t *
value_json(const struct cm_explained_value *v)
{
	json_t *o = json_object(), *causes = json_array(), *because = json_array();

	cm_answer_set_text(o, "dn", v->dn);
	cm_answer_set_text(o, "attribute", v->miss->attribute);
	cm_answer_set_text(o, "stored", v->miss->stored);
	cm_answer_set_text(o, "wanted", v->miss->wanted);
	json_object_set_new(o, "differs_at", json_integer((json_int_t)v->miss->differs));
	for (size_t i = 0; i < v->miss->cause_count; i++) {
		json_array_append_new(causes, json_string(v->miss->causes[i]->name));
		json_array_append_new(because, json_string(v->miss->causes[i]->text));
	}
	json_object_set_new(o, "causes", causes);
	json_object_set_new(o, "because", because);
	return o;
}

json_t *
cm_answer_explanation(const struct cm_explanation *x)
{
	json_t *o = json_object(), *values = json_array();

	cm_answer_set_text(o, "cause", x->cause);
	cm_answer_set_text(o, "text", x->text);
	cm_answer_set_text(o, "mend", x->mend);
	for (size_t i = 0; i < x->count; i++)
		json_array_append_new(values, value_json(&x->values[i]));
	json_object_set_new(o, "near_misses", values);
	return o;
}
