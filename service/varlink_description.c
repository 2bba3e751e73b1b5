/* service/varlink_description.c - does an interface description have varlink's grammar? */
#include <stdlib.h>

#include "service/varlink.h"
#include "service/varlink_internal.h"

/* https://varlink.org/Interface-Definition, "Grammar" and "Parsing Expression Grammar". */

#define DEPTH_MAX	16
#define NAMES_MAX	1024

struct names {
	struct cm_blob *all;	/* owned array; borrowed from the text */
	size_t count;
};

struct reader {
	struct cm_blob text;
	size_t at;
	unsigned line, depth;
	struct cm_varlink_fault fault;	/* of the first mistake; what is NULL: none */
	enum cm_err err;
	struct names members, types, used;
	const struct cm_varlink_interface *rows;	/* to compare methods with, or NULL */
	size_t row;
};

static bool
complain(struct reader *r, const char *what)
{
	if (r->err == CM_OK) {
		r->err = CM_ERR_SYNTAX;
		r->fault = (struct cm_varlink_fault){ r->line, what };
	}
	return false;
}

/* ---- what stands there */

static int
look(const struct reader *r)
{
	return r->at < r->text.len ? r->text.ptr[r->at] : -1;
}

static void
step(struct reader *r)
{
	r->line += r->text.ptr[r->at] == '\n';
	r->at++;
}

/* "comments ... extend to the next \n": one that the text's end cuts off is none. */
static bool
skip_comment(struct reader *r)
{
	while (look(r) != -1 && look(r) != '\n') {
		const size_t len = cm_utf8_length(r->text.ptr + r->at, r->text.len - r->at);

		if (len == 0 || look(r) == '\0')
			return complain(r, "UTF-8 text is wanted in a comment");
		r->at += len;
	}
	if (look(r) == -1)
		return complain(r, "a comment ends with its line");
	step(r);
	return true;
}

/* White space and comments; *lines, if not NULL, counts the lines that ended. */
static bool
skip(struct reader *r, unsigned *lines)
{
	const unsigned from = r->line;

	for (;;) {
		const int c = look(r);

		if (c == '#') {
			if (!skip_comment(r))
				return false;
		} else if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
			step(r);
		} else {
			break;
		}
	}
	if (lines != NULL)
		*lines = r->line - from;
	return true;
}

/* Exactly these bytes, here. */
static bool
take(struct reader *r, const char *token)
{
	const size_t len = strlen(token);

	if (r->text.len - r->at < len || memcmp(r->text.ptr + r->at, token, len) != 0)
		return false;
	r->at += len;
	return true;
}

static bool
want(struct reader *r, const char *token, const char *what)
{
	return skip(r, NULL) && (take(r, token) || complain(r, what));
}

/* Letters, digits, and of these others. */
static struct cm_blob
take_word(struct reader *r, const char *others)
{
	const size_t from = r->at;

	for (int c = look(r); (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	    (c > 0 && strchr(others, c) != NULL); c = look(r))
		r->at++;
	return (struct cm_blob){ r->text.ptr + from, r->at - from };
}

/* ---- names */

static bool
has_name(const struct names *n, struct cm_blob name)
{
	for (size_t i = 0; i < n->count; i++)
		if (cm_blob_equal(n->all[i], name))
			return true;
	return false;
}

static bool
add_name(struct reader *r, struct names *n, struct cm_blob name)
{
	struct cm_blob *all;

	if (n->count == NAMES_MAX)
		return complain(r, "fewer names are wanted");
	if ((all = reallocarray(n->all, n->count + 1, sizeof(*all))) == NULL) {
		r->err = CM_ERR_NOMEM;
		return false;
	}
	n->all = all;
	n->all[n->count++] = name;
	return true;
}

static bool
add_once(struct reader *r, struct names *n, struct cm_blob name, const char *what)
{
	return has_name(n, name) ? complain(r, what) : add_name(r, n, name);
}

/* ---- types */

static bool read_type(struct reader *r);

/* What the first element turned out to be is what the others are. */
enum kind { ANY, STRUCT, ENUM };

static bool
read_element(struct reader *r, struct names *fields, enum kind *kind)
{
	struct cm_blob name;
	bool typed;

	if (!skip(r, NULL))
		return false;
	name = take_word(r, "_");
	if (!cm_varlink_field_name(name))
		return complain(r, "a field's name is wanted: letters, digits, and single _ between them");
	if (!add_once(r, fields, name, "a field's name stands there twice") || !skip(r, NULL))
		return false;
	typed = look(r) == ':';
	if (*kind != ANY && typed != (*kind == STRUCT))
		return complain(r, "all fields have types (a struct) or none (an enum)");
	*kind = typed ? STRUCT : ENUM;
	if (!typed)
		return true;
	step(r);
	return skip(r, NULL) && read_type(r);
}

/* "(" ... ")": a struct or an enum, as kind allows; "()" is a struct. */
static bool
read_object(struct reader *r, enum kind kind)
{
	struct names fields = { 0 };
	bool right = ++r->depth <= DEPTH_MAX || complain(r, "fewer objects in each other are wanted");

	right = right && want(r, "(", "( is wanted") && skip(r, NULL);
	if (right && !take(r, ")")) {
		do {
			right = read_element(r, &fields, &kind) && skip(r, NULL);
		} while (right && take(r, ","));
		right = right && want(r, ")", "a comma or ) is wanted");
	}
	free(fields.all);
	r->depth--;
	return right;
}

static bool
read_named_type(struct reader *r)
{
	static const char *const plain[] = { "bool", "int", "float", "string", "object" };
	const struct cm_blob word = take_word(r, "");

	for (size_t i = 0; i < CM_COUNT(plain); i++)
		if (cm_blob_equal(word, cm_blob_str(plain[i])))
			return true;
	if (!cm_varlink_member_name(word))
		return complain(r, "a type is wanted");
	return has_name(&r->used, word) || add_name(r, &r->used, word);
}

/* [ "?" ] { "[]" | "[string]" [ "?" ] } element_type: what is nullable is not nullable again. */
static bool
read_type(struct reader *r)
{
	bool nullable = take(r, "?");

	for (unsigned depth = 0; take(r, "[]") || take(r, "[string]"); depth++) {
		if (depth == DEPTH_MAX)
			return complain(r, "fewer arrays in each other are wanted");
		nullable = take(r, "?");
	}
	if (nullable && look(r) == '?')
		return complain(r, "one ? is enough");
	return look(r) == '(' ? read_object(r, ANY) : read_named_type(r);
}

/* ---- members */

static bool
compare_row(struct reader *r, struct cm_blob name)
{
	if (r->rows == NULL)
		return true;
	if (r->row >= r->rows->count || !cm_blob_equal(name, cm_blob_str(r->rows->methods[r->row].name)))
		return complain(r, "the table has another method at this place");
	r->row++;
	return true;
}

static bool
read_method(struct reader *r, struct cm_blob name)
{
	return compare_row(r, name) && read_object(r, STRUCT) && want(r, "->", "-> is wanted") && read_object(r, STRUCT);
}

static bool
read_alias(struct reader *r, struct cm_blob name)
{
	return add_name(r, &r->types, name) && read_object(r, ANY);
}

static bool
read_error(struct reader *r, struct cm_blob name)
{
	(void)name;
	return read_object(r, STRUCT);
}

static const struct {
	const char *keyword;
	bool (*read)(struct reader *r, struct cm_blob name);
} kinds[] = {
	{ "type", read_alias },
	{ "method", read_method },
	{ "error", read_error },
};

static bool
read_member(struct reader *r)
{
	const struct cm_blob keyword = take_word(r, "");
	const size_t end = r->at;
	struct cm_blob name;

	for (size_t i = 0; i < CM_COUNT(kinds); i++) {
		if (!cm_blob_equal(keyword, cm_blob_str(kinds[i].keyword)))
			continue;
		if (!skip(r, NULL))
			return false;
		name = take_word(r, "");
		if (end + name.len == r->at || !cm_varlink_member_name(name))
			return complain(r, "a name is wanted: a capital, then letters and digits");
		return add_once(r, &r->members, name, "this name stands there twice") && kinds[i].read(r, name);
	}
	return complain(r, "type, method or error is wanted");
}

static bool
read_head(struct reader *r, const char *want_name)
{
	struct cm_blob name;
	size_t end;

	if (!want(r, "interface", "interface is wanted"))
		return false;
	end = r->at;
	if (!skip(r, NULL))
		return false;
	name = take_word(r, ".-");
	if (end + name.len == r->at || !cm_varlink_interface_name(name))
		return complain(r, "an interface's name is wanted: org.example.name");
	return want_name == NULL || cm_blob_equal(name, cm_blob_str(want_name)) ||
	    complain(r, "another interface's name is wanted");
}

/* interface eol ( member ++ eol ) */
static bool
read_all(struct reader *r, const char *name)
{
	unsigned lines = 0;
	bool right = read_head(r, name) && skip(r, &lines);

	if (right && look(r) == -1)
		return complain(r, "a member is wanted");
	while (right && look(r) != -1) {
		if (lines == 0)
			return complain(r, "the end of a line is wanted");
		right = read_member(r) && skip(r, &lines);
	}
	if (right && r->rows != NULL && r->row < r->rows->count)
		return complain(r, "the table has one more method");
	for (size_t i = 0; right && i < r->used.count; i++)
		if (!has_name(&r->types, r->used.all[i]))
			return complain(r, "a type is used that is not there");
	return right;
}

static enum cm_err
check(struct cm_blob text, const char *name, const struct cm_varlink_interface *rows,
    struct cm_varlink_fault *fault)
{
	struct reader r = { .text = text, .line = 1, .rows = rows };

	(void)read_all(&r, name);
	free(r.members.all);
	free(r.types.all);
	free(r.used.all);
	*fault = r.fault;
	return r.err;
}

enum cm_err
cm_varlink_description_check(struct cm_blob text, const char *name, struct cm_varlink_fault *fault)
{
	return check(text, name, NULL, fault);
}

enum cm_err
cm_varlink_interface_check(const struct cm_varlink_interface *i, struct cm_varlink_fault *fault)
{
	return check(cm_blob_str(i->description), i->name, i, fault);
}
