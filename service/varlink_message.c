/* service/varlink_message.c - calls and replies of varlink, read to the letter and made. */
#include <stdlib.h>

#include "service/varlink.h"
#include "service/varlink_internal.h"

/* ---- names */

static bool
is_upper(uint8_t c)
{
	return c >= 'A' && c <= 'Z';
}

static bool
is_letter(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || is_upper(c);
}

static bool
is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

/*
 * [A-Za-z]([-]*[A-Za-z0-9])*(\.[A-Za-z0-9]([-]*[A-Za-z0-9])*)+, since the first
 * edition's small letters alone would not have io.systemd.UserDatabase.
 */
bool
cm_varlink_interface_name(struct cm_blob t)
{
	unsigned dots = 0;

	if (t.len == 0 || !is_letter(t.ptr[0]))
		return false;
	for (size_t i = 1; i < t.len; i++) {
		const uint8_t c = t.ptr[i], before = t.ptr[i - 1];

		if (c == '.' ? before == '.' || before == '-' : c == '-' ? before == '.' : !is_letter(c) && !is_digit(c))
			return false;
		dots += c == '.';
	}
	return dots > 0 && t.ptr[t.len - 1] != '.' && t.ptr[t.len - 1] != '-';
}

/* [A-Z][A-Za-z0-9]* */
bool
cm_varlink_member_name(struct cm_blob t)
{
	if (t.len == 0 || !is_upper(t.ptr[0]))
		return false;
	for (size_t i = 1; i < t.len; i++)
		if (!is_letter(t.ptr[i]) && !is_digit(t.ptr[i]))
			return false;
	return true;
}

/* [A-Za-z](_?[A-Za-z0-9])* */
bool
cm_varlink_field_name(struct cm_blob t)
{
	if (t.len == 0 || !is_letter(t.ptr[0]) || t.ptr[t.len - 1] == '_')
		return false;
	for (size_t i = 1; i < t.len; i++) {
		const uint8_t c = t.ptr[i];

		if (c == '_' ? t.ptr[i - 1] == '_' : !is_letter(c) && !is_digit(c))
			return false;
	}
	return true;
}

struct cm_blob
cm_varlink_interface_of(const char *name)
{
	const char *dot = strrchr(name, '.');

	return (struct cm_blob){ (const uint8_t *)name, dot != NULL ? (size_t)(dot - name) : 0 };
}

bool
cm_varlink_is_interface(const char *name)
{
	return cm_varlink_interface_name(cm_blob_str(name));
}

bool
cm_varlink_is_method(const char *name)
{
	const struct cm_blob interface = cm_varlink_interface_of(name);

	return interface.len > 0 && cm_varlink_interface_name(interface) &&
	    cm_varlink_member_name(cm_blob_str(name + interface.len + 1));
}

/* ---- reading */

/* Before the parser, which goes down by calling itself: brackets outside strings, whatever they close. */
static bool
is_shallow(struct cm_blob m)
{
	unsigned depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < m.len; i++) {
		const uint8_t c = m.ptr[i];

		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (c == '{' || c == '[') && ++depth > CM_VARLINK_DEPTH)
			return false;
		else if (!quoted && (c == '}' || c == ']') && depth > 0)
			depth--;
	}
	return true;
}

/* RFC 8259; jansson takes no NUL in a string, no broken UTF-8, and no integer above 64 bits. */
static enum cm_err
read_object(struct cm_blob m, json_t **out)
{
	json_error_t why;

	*out = NULL;
	if (m.len == 0 || !is_shallow(m))
		return CM_ERR_SYNTAX;
	*out = json_loadb((const char *)m.ptr, m.len, JSON_REJECT_DUPLICATES, &why);
	if (*out == NULL)
		return json_error_code(&why) == json_error_out_of_memory ? CM_ERR_NOMEM : CM_ERR_SYNTAX;
	return json_is_object(*out) ? CM_OK : CM_ERR_SYNTAX;
}

/* The object's members that were asked for are counted: any other one is a stranger. */
struct reader {
	json_t *object;
	size_t seen;
	bool wrong;
};

static json_t *
next_member(struct reader *r, const char *name)
{
	json_t *value = json_object_get(r->object, name);

	r->seen += value != NULL;
	/* Each is nullable, "?": null is as good as nothing. */
	return json_is_null(value) ? NULL : value;
}

static bool
read_flag(struct reader *r, const char *name)
{
	const json_t *value = next_member(r, name);

	r->wrong = r->wrong || (value != NULL && !json_is_boolean(value));
	return json_is_true(value);
}

static enum cm_err
read_parameters(struct reader *r, json_t **out)
{
	json_t *value = next_member(r, "parameters");

	r->wrong = r->wrong || (value != NULL && !json_is_object(value));
	*out = value != NULL ? json_incref(value) : json_object();
	return *out != NULL ? CM_OK : CM_ERR_NOMEM;
}

static enum cm_err
read_name(struct reader *r, const char *member, char **out)
{
	const json_t *value = next_member(r, member);

	*out = NULL;
	if (value == NULL)
		return CM_OK;
	if (!json_is_string(value) || !cm_varlink_is_method(json_string_value(value)))
		return CM_ERR_SYNTAX;
	*out = strdup(json_string_value(value));
	return *out != NULL ? CM_OK : CM_ERR_NOMEM;
}

static bool
is_whole(const struct reader *r)
{
	return !r->wrong && r->seen == json_object_size(r->object);
}

static bool
is_call(const struct cm_varlink_call *c)
{
	return c->method != NULL && cm_varlink_is_method(c->method) && c->oneway + c->more + c->upgrade <= 1;
}

static bool
is_reply(const struct cm_varlink_reply *r)
{
	return r->error == NULL || (cm_varlink_is_method(r->error) && !r->continues);
}

enum cm_err
cm_varlink_call_parse(struct cm_blob message, struct cm_varlink_call *out)
{
	struct reader r = { 0 };
	enum cm_err err;

	*out = (struct cm_varlink_call){ 0 };
	if ((err = read_object(message, &r.object)) == CM_OK &&
	    (err = read_name(&r, "method", &out->method)) == CM_OK)
		err = read_parameters(&r, &out->parameters);
	if (err == CM_OK) {
		out->oneway = read_flag(&r, "oneway");
		out->more = read_flag(&r, "more");
		out->upgrade = read_flag(&r, "upgrade");
		err = is_whole(&r) && is_call(out) ? CM_OK : CM_ERR_SYNTAX;
	}
	json_decref(r.object);
	if (err != CM_OK)
		cm_varlink_call_free(out);
	return err;
}

enum cm_err
cm_varlink_reply_parse(struct cm_blob message, struct cm_varlink_reply *out)
{
	struct reader r = { 0 };
	enum cm_err err;

	*out = (struct cm_varlink_reply){ 0 };
	if ((err = read_object(message, &r.object)) == CM_OK &&
	    (err = read_name(&r, "error", &out->error)) == CM_OK)
		err = read_parameters(&r, &out->parameters);
	if (err == CM_OK) {
		out->continues = read_flag(&r, "continues");
		err = is_whole(&r) && is_reply(out) ? CM_OK : CM_ERR_SYNTAX;
	}
	json_decref(r.object);
	if (err != CM_OK)
		cm_varlink_reply_free(out);
	return err;
}

void
cm_varlink_call_free(struct cm_varlink_call *c)
{
	free(c->method);
	json_decref(c->parameters);
	*c = (struct cm_varlink_call){ 0 };
}

void
cm_varlink_reply_free(struct cm_varlink_reply *r)
{
	free(r->error);
	json_decref(r->parameters);
	*r = (struct cm_varlink_reply){ 0 };
}

/* ---- writing */

static int
add_text(const char *text, size_t len, void *out)
{
	cm_buf_add(out, text, len);
	return cm_buf_status(out) == CM_OK ? 0 : -1;
}

/* json is given.  What we send is what we would take: depth, names, and all. */
static enum cm_err
write_object(json_t *json, struct cm_buf *out)
{
	const size_t before = out->len;
	enum cm_err err = CM_ERR_NOMEM;

	if (json == NULL)
		return err;
	if (json_dump_callback(json, add_text, out, JSON_COMPACT) == 0) {
		const struct cm_blob text = { (const uint8_t *)cm_buf_str(out) + before, out->len - before };

		if ((err = is_shallow(text) ? CM_OK : CM_ERR_USAGE) != CM_OK)
			cm_buf_truncate(out, before);
	} else if (cm_buf_status(out) != CM_OK) {
		err = cm_buf_status(out);
	}
	json_decref(json);
	return err;
}

/* No member where there is nothing to say: absent and null are the same. */
static bool
set_flag(json_t *json, const char *name, bool value)
{
	return !value || json_object_set_new(json, name, json_true()) == 0;
}

static bool
set_parameters(json_t *json, json_t *parameters)
{
	return parameters == NULL || json_object_set(json, "parameters", parameters) == 0;
}

enum cm_err
cm_varlink_call_write(const struct cm_varlink_call *c, struct cm_buf *out)
{
	json_t *json;

	if (!is_call(c) || (c->parameters != NULL && !json_is_object(c->parameters)))
		return CM_ERR_USAGE;
	json = json_pack("{s:s}", "method", c->method);
	if (json != NULL && set_parameters(json, c->parameters) && set_flag(json, "oneway", c->oneway) &&
	    set_flag(json, "more", c->more) && set_flag(json, "upgrade", c->upgrade))
		return write_object(json, out);
	json_decref(json);
	return CM_ERR_NOMEM;
}

enum cm_err
cm_varlink_reply_write(const struct cm_varlink_reply *r, struct cm_buf *out)
{
	json_t *json;

	if (!is_reply(r) || (r->parameters != NULL && !json_is_object(r->parameters)))
		return CM_ERR_USAGE;
	json = json_object();
	if (json != NULL && (r->error == NULL || json_object_set_new(json, "error", json_string(r->error)) == 0) &&
	    /* "parameters: object": a reply has them, if only empty ones */
	    (r->parameters != NULL ? json_object_set(json, "parameters", r->parameters) :
	    json_object_set_new(json, "parameters", json_object())) == 0 &&
	    set_flag(json, "continues", r->continues))
		return write_object(json, out);
	json_decref(json);
	return CM_ERR_NOMEM;
}
