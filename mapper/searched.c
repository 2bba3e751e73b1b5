/* mapper/searched.c - the attributes of a directory that rules search by what a certificate holds. */
#include "base/list.h"
#include "mapper/rules_internal.h"

#include <string.h>
#include <strings.h>

static enum cm_err
add(struct cm_blob name, char ***out)
{
	for (char *const *have = *out; have != NULL && *have != NULL; have++)
		if (strlen(*have) == name.len && strncasecmp(*have, (const char *)name.ptr, name.len) == 0)
			return CM_OK;
	return cm_list_add(out, name);
}

/* RFC 4515 section 3: attr, and what kind of match follows it; options are no part of what is asked for. */
static struct cm_blob
description(const struct cm_buf *before)
{
	struct cm_blob whole = cm_buf_blob(before);
	size_t len = 0;

	for (; whole.len > 0 && strchr(" \t\n", whole.ptr[0]) != NULL; whole.len--)
		whole.ptr++;
	while (len < whole.len && strchr(":<>~; \t\n", whole.ptr[len]) == NULL)
		len++;
	/* without it all are searched (section 4, extensible), and this one everybody has */
	return len > 0 ? (struct cm_blob){ whole.ptr, len } : cm_blob_str("objectClass");
}

/* Text of a filter: what stands between "(" and "=" is before, until the item ends. */
static void
read_literal(struct cm_blob text, bool *in_name, struct cm_buf *before)
{
	for (size_t i = 0; i < text.len; i++) {
		const uint8_t c = text.ptr[i];

		if (c == '(' || c == ')') {
			*in_name = c == '(';
			cm_buf_truncate(before, 0);
		} else if (c == '=') {
			*in_name = false;
		} else if (*in_name && (c != '&' && c != '|' && c != '!')) {
			cm_buf_add_byte(before, c);
		}
	}
}

/* A part of the filter that is the same for every card says nothing of one. */
static enum cm_err
add_filter(const struct cm_template *tp, char ***out)
{
	struct cm_buf before = { 0 };
	bool in_name = false;
	enum cm_err err = CM_OK;

	for (size_t i = 0; i < tp->count && err == CM_OK; i++) {
		if (tp->segments[i].ref.field == NULL)
			read_literal(tp->segments[i].literal, &in_name, &before);
		else
			err = add(description(&before), out);
		if (err == CM_OK)
			err = cm_buf_status(&before);
	}
	cm_buf_free(&before);
	return err;
}

static bool
has_field(const struct cm_template *tp)
{
	for (size_t i = 0; i < tp->count; i++)
		if (tp->segments[i].ref.field != NULL)
			return true;
	return false;
}

static enum cm_err
add_rule(const struct cm_rule *r, char ***out)
{
	/* What names the user makes no value of the card's; nor does a rule of another computer's, or about local accounts. */
	if (r->local || r->elsewhere != NULL || (r->map_file == NULL && !has_field(&r->value)))
		return CM_OK;
	return r->attribute != NULL ? add(cm_blob_str(r->attribute), out) : add_filter(&r->value, out);
}

enum cm_err
cm_rules_searched(const struct cm_rules *r, char ***out)
{
	enum cm_err err = CM_OK;

	*out = NULL;
	for (size_t i = 0; i < r->count && err == CM_OK; i++)
		err = add_rule(&r->rules[i], out);
	if (err != CM_OK)
		cm_list_free(out);
	return err;
}
