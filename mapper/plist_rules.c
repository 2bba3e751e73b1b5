/*
 * mapper/plist_rules.c - SmartcardLogin.plist compiled into rules at once: goes when the host compiles the configuration's.
 *
 * Both forms of property list become one tree (plist_internal.h), and that is
 * compiled here: there is one place that knows what a key means and which
 * mistakes people make with it.
 */
#include "mapper/plist_internal.h"
#include "mapper/rules_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/file.h"

#define SEGMENTS_MAX	64
#define PINS_MAX	1024

/* The value of a key that the dict's schema has made sure stands there once. */
static const struct cm_plist_node *
get(const struct cm_plist_node *dict, const char *key)
{
	for (const struct cm_plist_node *n = dict->child; n != NULL; n = n->next)
		if (strcmp(n->key, key) == 0)
			return n;
	return NULL;
}

/* A key somebody may write, in its right spelling, and where it belongs. */
static const struct key {
	const char *name;
	bool mapping;			/* inside AttributeMapping; else at the top */
	bool used;			/* read here; else said to be ignored */
	enum cm_plist_type type;	/* of those that are used */
} keys[] = {
	{ "AttributeMapping",      false, true,  CM_PLIST_DICT },
	{ "TrustedAuthorities",    false, true,  CM_PLIST_OTHER },	/* array or string */
	{ "fields",                true,  true,  CM_PLIST_ARRAY },
	{ "formatString",          true,  true,  CM_PLIST_STRING },
	{ "dsAttributeString",     true,  true,  CM_PLIST_STRING },
	{ "NotEnforcedGroup",      false, false, CM_PLIST_STRING },
	{ "UserSelector",          false, false, CM_PLIST_STRING },
	{ "UserSelectorPath",      false, false, CM_PLIST_STRING },
	{ "UserPairing",           false, false, CM_PLIST_OTHER },
	{ "allowSmartCard",        false, false, CM_PLIST_OTHER },
	{ "allowUnmappedUsers",    false, false, CM_PLIST_OTHER },
	{ "checkCertificateTrust", false, false, CM_PLIST_OTHER },
	{ "enforceSmartCard",      false, false, CM_PLIST_OTHER },
	{ "oneCardPerUser",        false, false, CM_PLIST_OTHER },
	{ "tokenRemovalAction",    false, false, CM_PLIST_OTHER },
};

static const struct key *
find_key(const char *name)
{
	for (size_t i = 0; i < CM_COUNT(keys); i++)
		if (strcasecmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

static enum cm_err
check_key(const struct cm_plist_file *f, const struct cm_plist_node *dict,
    const struct cm_plist_node *n, bool mapping)
{
	const struct key *k = find_key(n->key);

	if (get(dict, n->key) != n)
		return cm_plist_fail(f, n->line, "key \"%s\" stands here twice; remove one", n->key);
	if (k != NULL && strcmp(k->name, n->key) != 0)
		return cm_plist_fail(f, n->line, "key \"%s\" is in the wrong case; write \"%s\"",
		    n->key, k->name);
	if (k != NULL && k->mapping != mapping)
		return cm_plist_fail(f, n->line, mapping ?
		    "key \"%s\" has no place inside AttributeMapping; move it to the top level" :
		    "key \"%s\" has no place at the top level; move it into AttributeMapping", k->name);
	if (k == NULL || !k->used)
		cm_trace_add(f->trace, "ignored", "%s:%d: key \"%s\"", f->name, n->line, n->key);
	else if (k->type != CM_PLIST_OTHER && k->type != n->type)
		return cm_plist_fail(f, n->line, "%s has the wrong type; make it %s", k->name,
		    k->type == CM_PLIST_DICT ? "a <dict>" :
		    k->type == CM_PLIST_ARRAY ? "an <array>" : "a <string>");
	return CM_OK;
}

static enum cm_err
check_keys(const struct cm_plist_file *f, const struct cm_plist_node *dict, bool mapping)
{
	enum cm_err err = CM_OK;

	for (const struct cm_plist_node *n = dict->child; err == CM_OK && n != NULL; n = n->next)
		err = check_key(f, dict, n, mapping);
	return err;
}

/* "fields": the names in order; $1 is the first. */
static enum cm_err
read_field(const struct cm_plist_file *f, const struct cm_plist_node *n,
    const struct cm_rule_field **out)
{
	const struct cm_rule_field *all;
	struct cm_buf known;
	enum cm_err err;
	size_t count;

	if (n->type != CM_PLIST_STRING)
		return cm_plist_fail(f, n->line, "fields holds something that is no <string>; "
		    "list names of fields");
	*out = cm_rule_field_find(cm_blob_str(n->text));
	if (*out != NULL && (*out)->plist)
		return CM_OK;
	cm_buf_init(&known, 0);
	all = cm_rule_fields(&count);
	for (size_t i = 0; i < count; i++)
		if (all[i].plist)
			cm_buf_addf(&known, "%s\"%s\"", i > 0 ? ", " : "", all[i].name);
	err = cm_plist_fail(f, n->line, "unknown field \"%s\"; write one of %s", n->text,
	    cm_buf_str(&known));
	cm_buf_free(&known);
	return err;
}

struct format {
	const struct cm_rule_field *fields[16];
	size_t field_count;
	struct cm_segment segments[SEGMENTS_MAX];
	size_t count;
};

static enum cm_err
read_fields(const struct cm_plist_file *f, const struct cm_plist_node *array, struct format *fmt)
{
	enum cm_err err = CM_OK;

	for (const struct cm_plist_node *n = array->child; err == CM_OK && n != NULL; n = n->next) {
		if (fmt->field_count == CM_COUNT(fmt->fields))
			return cm_plist_fail(f, n->line, "more than %zu fields; remove some",
			    CM_COUNT(fmt->fields));
		err = read_field(f, n, &fmt->fields[fmt->field_count++]);
	}
	return err;
}

/* The reference at p ("$12"): its field, and how long it is; 0: a plain "$". */
static enum cm_err
read_reference(const struct cm_plist_file *f, const struct cm_plist_node *n, const char *p,
    const struct format *fmt, const struct cm_rule_field **field, size_t *len)
{
	unsigned long index = 0;
	size_t i;

	for (i = 1; p[i] >= '0' && p[i] <= '9' && i < 8; i++)
		index = index * 10 + (unsigned long)(p[i] - '0');
	*len = i > 1 ? i : 0;
	if (i == 1)
		return CM_OK;
	if (index < 1 || index > fmt->field_count)
		return cm_plist_fail(f, n->line, "formatString names %.*s, but fields lists %zu; "
		    "$1 is the first of them", (int)i, p, fmt->field_count);
	if (p != n->text && p[-1] == '\\')
		return cm_plist_fail(f, n->line, "formatString has \"\\%.*s\"; write \"%.*s\" "
		    "without the backslash", (int)i, p, (int)i, p);
	*field = fmt->fields[index - 1];
	return CM_OK;
}

static void
add_segment(struct format *fmt, struct cm_segment s)
{
	if (s.field != NULL || s.literal.len > 0)
		fmt->segments[fmt->count++] = s;
}

static enum cm_err
read_format(const struct cm_plist_file *f, const struct cm_plist_node *n, struct format *fmt)
{
	const char *start = n->text;	/* of the literal being read */
	bool constant = true;
	enum cm_err err;

	if (strlen(n->text) > CM_FORMAT_MAX)
		return cm_plist_fail(f, n->line, "formatString is longer than %d bytes; shorten it",
		    CM_FORMAT_MAX);
	for (const char *p = strchr(start, '$'); p != NULL; p = strchr(p, '$')) {
		const struct cm_rule_field *field = NULL;
		size_t len = 0;

		if ((err = read_reference(f, n, p, fmt, &field, &len)) != CM_OK)
			return err;
		if (len == 0) {
			p++;
			continue;
		}
		if (fmt->count + 3 > SEGMENTS_MAX)
			return cm_plist_fail(f, n->line, "formatString has too many parts; shorten it");
		add_segment(fmt, (struct cm_segment){
		    .literal = { (const uint8_t *)start, (size_t)(p - start) } });
		add_segment(fmt, (struct cm_segment){ .field = field });
		constant = false;
		start = p += len;
	}
	add_segment(fmt, (struct cm_segment){ .literal = cm_blob_str(start) });
	if (constant)	/* every card would make the same value */
		return cm_plist_fail(f, n->line, "formatString names no field; write $1 for the first");
	return CM_OK;
}

/* dsAttrTypeStandard names and the LDAP attributes that hold the same (OpenDirectory's DirectoryServices). */
static const struct standard {
	const char *name;
	const char *attributes[2];
} standards[] = {
	{ "RecordName",            { "uid", "sAMAccountName" } },
	{ "AltSecurityIdentities", { "altSecurityIdentities" } },
	{ "EMailAddress",          { "mail" } },
	{ "RealName",              { "cn", "displayName" } },
	{ "UniqueID",              { "uidNumber" } },
	{ "PrimaryGroupID",        { "gidNumber" } },
	{ "NFSHomeDirectory",      { "homeDirectory" } },
	{ "UserShell",             { "loginShell" } },
};

/* RFC 4512 section 2.5: an attribute description without options, as keystring or dotted OID. */
static bool
is_attribute(const char *s)
{
	return s[0] != '\0' && strlen(s) <= 128 && s[0] != '-' &&
	    s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.")] == '\0';
}

static enum cm_err
read_attribute(const struct cm_plist_file *f, const struct cm_plist_node *n,
    const char *attributes[2])
{
	static const char native[] = "dsAttrTypeNative:", standard[] = "dsAttrTypeStandard:";
	const char *name;

	if (strncmp(n->text, native, sizeof(native) - 1) == 0) {
		attributes[0] = n->text + sizeof(native) - 1;
		if (is_attribute(attributes[0]))
			return CM_OK;
		return cm_plist_fail(f, n->line, "\"%s\" is no LDAP attribute; write letters, digits "
		    "and \"-\"", attributes[0]);
	}
	if (strncmp(n->text, standard, sizeof(standard) - 1) != 0)
		return cm_plist_fail(f, n->line, "dsAttributeString \"%s\" has no type; write "
		    "dsAttrTypeNative: and the LDAP attribute", n->text);
	name = n->text + sizeof(standard) - 1;
	for (size_t i = 0; i < CM_COUNT(standards); i++) {
		if (strcmp(standards[i].name, name) == 0) {
			memcpy(attributes, standards[i].attributes, sizeof(standards[i].attributes));
			return CM_OK;
		}
	}
	return cm_plist_fail(f, n->line, "dsAttrTypeStandard:%s has no known LDAP attribute; write "
	    "dsAttrTypeNative: and the attribute", name);
}

static enum cm_err
compile_mapping(const struct cm_plist_file *f, const struct cm_plist_node *mapping,
    struct cm_rules *r)
{
	static const char *const needed[] = { "fields", "formatString", "dsAttributeString" };
	struct format fmt = { .count = 0 };
	const char *attributes[2] = { NULL, NULL };
	enum cm_err err;

	if ((err = check_keys(f, mapping, true)) != CM_OK)
		return err;
	for (size_t i = 0; i < CM_COUNT(needed); i++)
		if (get(mapping, needed[i]) == NULL)
			return cm_plist_fail(f, mapping->line, "AttributeMapping lacks \"%s\"; add it: "
			    "fields, formatString and dsAttributeString are all needed", needed[i]);
	if ((err = read_fields(f, get(mapping, "fields"), &fmt)) != CM_OK ||
	    (err = read_format(f, get(mapping, "formatString"), &fmt)) != CM_OK ||
	    (err = read_attribute(f, get(mapping, "dsAttributeString"), attributes)) != CM_OK)
		return err;
	for (size_t i = 0; err == CM_OK && i < CM_COUNT(attributes) && attributes[i] != NULL; i++)
		err = cm_rules_add(r, "AttributeMapping", attributes[i], fmt.segments, fmt.count);
	return err;
}

/* One fingerprint of len characters. */
static enum cm_err
read_pin(const struct cm_plist_file *f, int line, const char *s, size_t len, struct cm_rules *r)
{
	struct cm_rules_pin pin = { { 0 } }, *more;
	const size_t digits = cm_hex_parse((struct cm_blob){ (const uint8_t *)s, len }, pin.sha256,
	    sizeof(pin.sha256));

	if (digits == SIZE_MAX)
		return cm_plist_fail(f, line, "TrustedAuthorities: \"%.*s\" is not hex; write "
		    "the CA's SHA-256 fingerprint", (int)len, s);
	if (digits != 64)
		return cm_plist_fail(f, line, "TrustedAuthorities: \"%.*s\" has %zu hex digits%s; write "
		    "the CA's SHA-256 fingerprint, 64 digits", (int)len, s, digits,
		    digits == 40 ? " (SHA-1?)" : "");
	if (r->pin_count == PINS_MAX)
		return cm_plist_fail(f, line, "TrustedAuthorities: more than %d; remove some", PINS_MAX);
	if ((more = realloc(r->pins, (r->pin_count + 1) * sizeof(*more))) == NULL)
		return CM_ERR_NOMEM;
	r->pins = more;
	r->pins[r->pin_count++] = pin;
	return CM_OK;
}

/* Fingerprints joined by commas: seen in real files, beside one string for each. */
static enum cm_err
read_pin_list(const struct cm_plist_file *f, const struct cm_plist_node *n, struct cm_rules *r)
{
	enum cm_err err = CM_OK;

	if (n->type != CM_PLIST_STRING)
		return cm_plist_fail(f, n->line, "TrustedAuthorities holds something that is no "
		    "<string>; list fingerprints");
	for (const char *s = n->text; err == CM_OK && s != NULL;) {
		const char *comma = strchrnul(s, ',');

		err = read_pin(f, n->line, s, (size_t)(comma - s), r);
		s = *comma == ',' ? comma + 1 : NULL;
	}
	return err;
}

static enum cm_err
compile_pins(const struct cm_plist_file *f, const struct cm_plist_node *n, struct cm_rules *r)
{
	enum cm_err err = CM_OK;

	if (n->type == CM_PLIST_STRING)
		return read_pin_list(f, n, r);
	if (n->type != CM_PLIST_ARRAY || n->child == NULL)
		return cm_plist_fail(f, n->line, "TrustedAuthorities lists no CA; list fingerprints "
		    "in an <array>, or remove the key");
	for (n = n->child; err == CM_OK && n != NULL; n = n->next)
		err = read_pin_list(f, n, r);
	return err;
}

static enum cm_err
compile(const struct cm_plist_file *f, const struct cm_plist_node *top, struct cm_rules **out)
{
	const struct cm_plist_node *mapping, *pins;
	struct cm_buf origin;
	enum cm_err err;

	if (top->type != CM_PLIST_DICT)
		return cm_plist_fail(f, top->line, "the outermost value is no <dict>; make it one");
	if ((err = check_keys(f, top, false)) != CM_OK)
		return err;
	mapping = get(top, "AttributeMapping");
	pins = get(top, "TrustedAuthorities");
	cm_buf_init(&origin, 0);
	cm_buf_add_str(&origin, mapping != NULL ? f->name : "built in");
	if (mapping != NULL && mapping->line > 0)
		cm_buf_addf(&origin, ":%d", mapping->line);
	err = cm_rules_new(cm_buf_str(&origin), out);
	cm_buf_free(&origin);
	if (err == CM_OK)
		err = mapping != NULL ? compile_mapping(f, mapping, *out) : cm_rules_add_default(*out);
	if (err == CM_OK && pins != NULL)
		err = compile_pins(f, pins, *out);
	if (err != CM_OK)
		cm_rules_free(out);
	return err;
}

enum cm_err
cm_rules_parse_plist(struct cm_blob plist, const char *name, struct cm_trace *t,
    struct cm_rules **out)
{
	struct cm_plist_file f = { .name = name, .trace = t };
	struct cm_plist_node *top = NULL;
	enum cm_err err;

	*out = NULL;
	if (plist.len > CM_PLIST_MAX)
		return cm_plist_fail(&f, 0, "larger than %zu bytes", CM_PLIST_MAX);
	if (plist.len >= 8 && memcmp(plist.ptr, "bplist00", 8) == 0)
		err = cm_plist_read_binary(&f, plist, &top);
	else
		err = cm_plist_read_xml(&f, plist, &top);
	if (err == CM_OK)
		err = compile(&f, top, out);
	cm_plist_node_free(&top);
	return err;
}

enum cm_err
cm_rules_load_plist(const char *path, struct cm_trace *t, struct cm_rules **out)
{
	struct cm_buf bytes;
	enum cm_err err;

	*out = NULL;
	cm_buf_init(&bytes, 0);
	if ((err = cm_file_read(path, CM_PLIST_MAX, CM_FILE_TRUSTED, t, &bytes)) == CM_OK)
		err = cm_rules_parse_plist(cm_buf_blob(&bytes), path, t, out);
	cm_buf_free(&bytes);
	return err;
}
