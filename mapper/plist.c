/*
 * mapper/plist.c - SmartcardLogin.plist (SmartCardServices(7)) in cardmap's words.
 *
 * Both forms of property list become one tree (plist_internal.h), and that is
 * read here: there is one place that knows what a key means and which mistakes
 * people make with it.  The keys of com.apple.security.smartcard may stand
 * beside those of SmartcardLogin.plist, or in a file of their own.
 */
#include "mapper/import.h"
#include "mapper/mapper.h"
#include "mapper/plist_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define FIELDS_MAX	16
#define PINS_MAX	1024

/* One file being read. */
struct reading {
	struct cm_plist_file *file;
	struct cm_import *out;
};

struct key;
typedef enum cm_err (*take)(const struct reading *r, const struct key *k, const struct cm_plist_node *n);

/* A key somebody may write, in its right spelling, where it belongs, and what becomes of it. */
struct key {
	const char *name;
	bool mapping;			/* inside AttributeMapping; else at the top */
	enum cm_plist_type type;	/* CM_PLIST_OTHER: take() looks itself */
	take take;			/* NULL: read with what it stands in */
	const char *sets;		/* key of cardmap.conf */
	const char *const *words;	/* of a number: its values from 0 in cardmap.conf's words */
	const char *note;		/* what is to be known about it */
};

static const struct key *find_key(const char *name);
static const struct key *find_meant(const char *name);

/* The value of a key that the dict's schema has made sure stands there once. */
static const struct cm_plist_node *
get(const struct cm_plist_node *dict, const char *key)
{
	for (const struct cm_plist_node *n = dict->child; n != NULL; n = n->next)
		if (strcmp(n->key, key) == 0)
			return n;
	return NULL;
}

static const char *
type_name(enum cm_plist_type type)
{
	static const char *const names[] = {
		[CM_PLIST_DICT] = "a <dict>", [CM_PLIST_ARRAY] = "an <array>",
		[CM_PLIST_STRING] = "a <string>", [CM_PLIST_INTEGER] = "an <integer>",
		[CM_PLIST_BOOL] = "<true/> or <false/>", [CM_PLIST_OTHER] = "another type",
	};

	return names[type];
}

static enum cm_err
check_key(const struct reading *r, const struct cm_plist_node *dict,
    const struct cm_plist_node *n, bool mapping)
{
	const struct cm_plist_file *f = r->file;
	const struct key *k = find_key(n->key);

	if (get(dict, n->key) != n)
		return cm_plist_fail(f, n->line, "key \"%s\" stands here twice; remove one", n->key);
	if (k == NULL && (k = find_meant(n->key)) != NULL)
		return cm_plist_fail(f, n->line, "key \"%s\" is not known; write \"%s\"", n->key, k->name);
	if (k == NULL)
		return cm_import_note(r->out, n->line, "key \"%s\" is not known and has no effect", n->key);
	if (strcmp(k->name, n->key) != 0)
		return cm_plist_fail(f, n->line, "key \"%s\" is in the wrong case; write \"%s\"",
		    n->key, k->name);
	if (k->mapping != mapping)
		return cm_plist_fail(f, n->line, mapping ?
		    "key \"%s\" has no place inside AttributeMapping; move it to the top level" :
		    "key \"%s\" has no place at the top level; move it into AttributeMapping", k->name);
	if (k->type != CM_PLIST_OTHER && k->type != n->type)
		return cm_plist_fail(f, n->line, "%s has the wrong type; make it %s", k->name,
		    type_name(k->type));
	return CM_OK;
}

static enum cm_err
check_keys(const struct reading *r, const struct cm_plist_node *dict, bool mapping)
{
	enum cm_err err = CM_OK;

	for (const struct cm_plist_node *n = dict->child; err == CM_OK && n != NULL; n = n->next)
		err = check_key(r, dict, n, mapping);
	return err;
}

/* SmartCardServices(7)'s names of fields, and templates of ours. */
static const struct field {
	const char *name, *reference;
} fields[] = {
	{ "Common Name",           "{common_name}" },
	{ "RFC 822 Name",          "{rfc822_name}" },
	{ "NT Principal Name",     "{nt_principal_name}" },
	{ "Organization",          "{organization}" },
	{ "OrganizationalUnit:1",  "{organizational_unit[1]}" },
	{ "OrganizationalUnit:2",  "{organizational_unit[2]}" },
	{ "OrganizationalUnit:3",  "{organizational_unit[3]}" },
	{ "Country",               "{country}" },
};

static enum cm_err
read_field(const struct cm_plist_file *f, const struct cm_plist_node *n, const struct field **out)
{
	struct cm_buf known;
	enum cm_err err;

	if (n->type != CM_PLIST_STRING)
		return cm_plist_fail(f, n->line, "fields holds something that is no <string>; "
		    "list names of fields");
	for (size_t i = 0; i < CM_COUNT(fields); i++) {
		if (strcmp(fields[i].name, n->text) == 0) {
			*out = &fields[i];
			return CM_OK;
		}
	}
	cm_buf_init(&known, 0);
	for (size_t i = 0; i < CM_COUNT(fields); i++)
		cm_buf_addf(&known, "%s\"%s\"", i > 0 ? ", " : "", fields[i].name);
	err = cm_plist_fail(f, n->line, "unknown field \"%s\"; write one of %s", n->text,
	    cm_buf_str(&known));
	cm_buf_free(&known);
	return err;
}

/* "fields": the names in order; $1 is the first. */
struct format {
	const struct field *fields[FIELDS_MAX];
	size_t count;
};

static enum cm_err
read_fields(const struct cm_plist_file *f, const struct cm_plist_node *array, struct format *fmt)
{
	enum cm_err err = CM_OK;

	for (const struct cm_plist_node *n = array->child; err == CM_OK && n != NULL; n = n->next) {
		if (fmt->count == FIELDS_MAX)
			return cm_plist_fail(f, n->line, "more than %d fields; remove some", FIELDS_MAX);
		err = read_field(f, n, &fmt->fields[fmt->count++]);
	}
	return err;
}

/* The reference at p ("$12"): its field, and how long it is; 0: a plain "$". */
static enum cm_err
read_reference(const struct cm_plist_file *f, const struct cm_plist_node *n, const char *p,
    const struct format *fmt, const struct field **field, size_t *len)
{
	unsigned long index = 0;
	size_t i;

	for (i = 1; p[i] >= '0' && p[i] <= '9' && i < 8; i++)
		index = index * 10 + (unsigned long)(p[i] - '0');
	*len = i > 1 ? i : 0;
	if (i == 1)
		return CM_OK;
	if (index < 1 || index > fmt->count)
		return cm_plist_fail(f, n->line, "formatString names %.*s, but fields lists %zu; "
		    "$1 is the first of them", (int)i, p, fmt->count);
	if (p != n->text && p[-1] == '\\')
		return cm_plist_fail(f, n->line, "formatString has \"\\%.*s\"; write \"%.*s\" "
		    "without the backslash", (int)i, p, (int)i, p);
	*field = fmt->fields[index - 1];
	return CM_OK;
}

/* formatString as a template: $1 becomes its field, braces of its own are doubled. */
static enum cm_err
read_format(const struct cm_plist_file *f, const struct cm_plist_node *n, const struct format *fmt,
    struct cm_buf *out)
{
	const struct field *field = NULL;
	enum cm_err err;

	if (strlen(n->text) > CM_FORMAT_MAX)
		return cm_plist_fail(f, n->line, "formatString is longer than %d bytes; shorten it",
		    CM_FORMAT_MAX);
	for (const char *p = n->text; *p != '\0';) {
		size_t len = 0;

		if (*p == '$' && (err = read_reference(f, n, p, fmt, &field, &len)) != CM_OK)
			return err;
		if (len > 0) {
			cm_buf_add_str(out, field->reference);
			p += len;
			continue;
		}
		if (*p == '{' || *p == '}')
			cm_buf_add_byte(out, (uint8_t)*p);
		cm_buf_add_byte(out, (uint8_t)*p++);
	}
	if (field == NULL)	/* every card would make the same value */
		return cm_plist_fail(f, n->line, "formatString names no field; write $1 for the first");
	return cm_buf_status(out);
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
add_rule(const struct reading *r, const struct cm_plist_node *mapping, const char *attribute,
    bool one_of_two, const char *value)
{
	struct cm_conf_rule rule = { .priority = CM_RULE_PRIORITY_LAST };

	rule.lines[CM_RULE_KEY_ATTRIBUTE] = (unsigned)get(mapping, "dsAttributeString")->line;
	rule.lines[CM_RULE_KEY_VALUE] = (unsigned)get(mapping, "formatString")->line;
	rule.attribute = strdup(attribute);
	rule.value = strdup(value);
	if (asprintf(&rule.name, one_of_two ? "AttributeMapping %s" : "AttributeMapping", attribute) < 0)
		rule.name = NULL;
	if (rule.attribute == NULL || rule.value == NULL || rule.name == NULL) {
		cm_conf_rule_clear(&rule);
		return CM_ERR_NOMEM;
	}
	return cm_import_add_rule(r->out, mapping->line, &rule);
}

static enum cm_err
take_mapping(const struct reading *r, const struct key *k, const struct cm_plist_node *mapping)
{
	static const char *const needed[] = { "fields", "formatString", "dsAttributeString" };
	const char *attributes[2] = { NULL, NULL };
	struct format fmt = { .count = 0 };
	struct cm_buf value;
	enum cm_err err;

	if ((err = check_keys(r, mapping, true)) != CM_OK)
		return err;
	for (size_t i = 0; i < CM_COUNT(needed); i++)
		if (get(mapping, needed[i]) == NULL)
			return cm_plist_fail(r->file, mapping->line, "%s lacks \"%s\"; add it: fields, "
			    "formatString and dsAttributeString are all needed", k->name, needed[i]);
	cm_buf_init(&value, 0);
	if ((err = read_fields(r->file, get(mapping, "fields"), &fmt)) == CM_OK &&
	    (err = read_format(r->file, get(mapping, "formatString"), &fmt, &value)) == CM_OK)
		err = read_attribute(r->file, get(mapping, "dsAttributeString"), attributes);
	for (size_t i = 0; err == CM_OK && i < CM_COUNT(attributes) && attributes[i] != NULL; i++)
		err = add_rule(r, mapping, attributes[i], attributes[1] != NULL, cm_buf_str(&value));
	cm_buf_free(&value);
	return err;
}

/* One fingerprint of len characters; written without colons and spaces. */
static enum cm_err
read_pin(const struct reading *r, int line, const char *s, size_t len)
{
	const struct cm_import_setting *pins = cm_import_find(r->out, "trust.pins");
	uint8_t sha256[32];
	const size_t digits = cm_hex_parse((struct cm_blob){ (const uint8_t *)s, len }, sha256,
	    sizeof(sha256));
	struct cm_buf hex;
	size_t count = 0;
	enum cm_err err;

	if (digits == SIZE_MAX)
		return cm_plist_fail(r->file, line, "TrustedAuthorities: \"%.*s\" is not hex; write "
		    "the CA's SHA-256 fingerprint", (int)len, s);
	if (digits != 64)
		return cm_plist_fail(r->file, line, "TrustedAuthorities: \"%.*s\" has %zu hex digits%s; "
		    "write the CA's SHA-256 fingerprint, 64 digits", (int)len, s, digits,
		    digits == 40 ? " (SHA-1?)" : "");
	while (pins != NULL && pins->values[count] != NULL)
		count++;
	if (count == PINS_MAX)
		return cm_plist_fail(r->file, line, "TrustedAuthorities: more than %d; remove some", PINS_MAX);
	cm_buf_init(&hex, 0);
	cm_buf_add_hex(&hex, (struct cm_blob){ sha256, sizeof(sha256) });
	if ((err = cm_buf_status(&hex)) == CM_OK)
		err = cm_import_set(r->out, line, "trust.pins", cm_buf_str(&hex));
	cm_buf_free(&hex);
	return err;
}

/* Fingerprints joined by commas: seen in real files, beside one string for each. */
static enum cm_err
read_pin_list(const struct reading *r, const struct cm_plist_node *n)
{
	enum cm_err err = CM_OK;

	if (n->type != CM_PLIST_STRING)
		return cm_plist_fail(r->file, n->line, "TrustedAuthorities holds something that is no "
		    "<string>; list fingerprints");
	for (const char *s = n->text; err == CM_OK && s != NULL;) {
		const char *comma = strchrnul(s, ',');

		err = read_pin(r, n->line, s, (size_t)(comma - s));
		s = *comma == ',' ? comma + 1 : NULL;
	}
	return err;
}

static enum cm_err
take_pins(const struct reading *r, const struct key *k, const struct cm_plist_node *n)
{
	enum cm_err err = CM_OK;

	if (n->type == CM_PLIST_STRING)
		return read_pin_list(r, n);
	if (n->type != CM_PLIST_ARRAY || n->child == NULL)
		return cm_plist_fail(r->file, n->line, "%s lists no CA; list fingerprints "
		    "in an <array>, or remove the key", k->name);
	for (n = n->child; err == CM_OK && n != NULL; n = n->next)
		err = read_pin_list(r, n);
	return err;
}

static enum cm_err
take_number(const struct reading *r, const struct key *k, const struct cm_plist_node *n)
{
	int64_t max = -1;

	while (k->words[max + 1] != NULL)
		max++;
	if (n->number < 0 || n->number > max)
		return cm_plist_fail(r->file, n->line, "%s is %" PRId64 "; write a number from 0 to %" PRId64,
		    k->name, n->number, max);
	return cm_import_set(r->out, n->line, k->sets, k->words[n->number]);
}

/* defaults(1) writes them as -bool or as -int: both are seen. */
static enum cm_err
take_flag(const struct reading *r, const struct key *k, const struct cm_plist_node *n)
{
	if ((n->type != CM_PLIST_BOOL && n->type != CM_PLIST_INTEGER) || n->number < 0 || n->number > 1)
		return cm_plist_fail(r->file, n->line, "%s has the wrong type; make it <true/> or <false/>",
		    k->name);
	return k->sets == NULL ? CM_OK : cm_import_set(r->out, n->line, k->sets, n->number == 1 ? "yes" : "no");
}

static enum cm_err
take_text(const struct reading *r, const struct key *k, const struct cm_plist_node *n)
{
	if (n->text[0] == '\0')
		return cm_plist_fail(r->file, n->line, "%s is empty; write its value, or remove the key", k->name);
	return cm_import_set(r->out, n->line, k->sets, n->text);
}

/* UserSelector(7): one program, under either name. */
static enum cm_err
take_program(const struct reading *r, const struct key *k, const struct cm_plist_node *n)
{
	const struct cm_import_setting *before = cm_import_find(r->out, k->sets);

	if (n->text[0] != '/')
		return cm_plist_fail(r->file, n->line, "%s is \"%s\"; write the program's whole path",
		    k->name, n->text);
	if (before == NULL)
		return cm_import_set(r->out, n->line, k->sets, n->text);
	if (strcmp(before->values[0], n->text) == 0)
		return CM_OK;
	return cm_plist_fail(r->file, n->line, "%s names another program than the key before it; keep one",
	    k->name);
}

static enum cm_err
take_tokens(const struct reading *r, const struct key *k, const struct cm_plist_node *n)
{
	enum cm_err err = CM_OK;

	for (const struct cm_plist_node *token = n->child; err == CM_OK && token != NULL; token = token->next) {
		if (token->type != CM_PLIST_STRING || token->text[0] == '\0')
			return cm_plist_fail(r->file, token->line, "%s holds something that is no <string>; "
			    "list names of token drivers", k->name);
		err = cm_import_set(r->out, n->line, k->sets, token->text);
	}
	return err;
}

static const char *const levels[] = { "off", "chain", "soft", "hard", NULL };
static const char *const removals[] = { "none", "lock", NULL };

static const struct key keys[] = {
	{ "AttributeMapping",      false, CM_PLIST_DICT,    take_mapping, NULL, NULL, NULL },
	{ "fields",                true,  CM_PLIST_ARRAY,   NULL, NULL, NULL, NULL },
	{ "formatString",          true,  CM_PLIST_STRING,  NULL, NULL, NULL, NULL },
	{ "dsAttributeString",     true,  CM_PLIST_STRING,  NULL, NULL, NULL, NULL },
	{ "TrustedAuthorities",    false, CM_PLIST_OTHER,   take_pins, "trust.pins", NULL, NULL },
	{ "checkCertificateTrust", false, CM_PLIST_INTEGER, take_number, "trust.level", levels, NULL },
	{ "UserSelector",          false, CM_PLIST_STRING,  take_program, "mapper.selector", NULL, NULL },
	{ "UserSelectorPath",      false, CM_PLIST_STRING,  take_program, "mapper.selector", NULL, NULL },
	{ "UserPairing",           false, CM_PLIST_OTHER,   take_flag, "accounts.user_pairing", NULL, NULL },
	{ "oneCardPerUser",        false, CM_PLIST_OTHER,   take_flag, "accounts.one_card_per_user", NULL, NULL },
	{ "enforceSmartCard",      false, CM_PLIST_OTHER,   take_flag, "enforcement.required", NULL, NULL },
	{ "NotEnforcedGroup",      false, CM_PLIST_STRING,  take_text, "enforcement.not_enforced_group", NULL, NULL },
	{ "allowUnmappedUsers",    false, CM_PLIST_OTHER,   take_flag, "enforcement.allow_unmapped_users", NULL, NULL },
	{ "allowSmartCard",        false, CM_PLIST_OTHER,   take_flag, "enforcement.allow_cards", NULL, NULL },
	{ "tokenRemovalAction",    false, CM_PLIST_INTEGER, take_number, "enforcement.removal", removals, NULL },
	{ "Logging",               false, CM_PLIST_OTHER,   take_flag, "card.log_next", NULL, NULL },
	{ "DisabledTokens",        false, CM_PLIST_ARRAY,   take_tokens, "card.disabled", NULL, NULL },
};

static const struct key *
find_key(const char *name)
{
	for (size_t i = 0; i < CM_COUNT(keys); i++)
		if (strcasecmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

/* At most one letter is another, missing, too many, or has changed its place with the next. */
static bool
is_nearly(const char *a, const char *b)
{
	size_t la, lb;

	for (; *a != '\0' && *a == *b; a++)
		b++;
	la = strlen(a);
	lb = strlen(b);
	if (la > 1 && lb > 1 && a[0] == b[1] && a[1] == b[0] && strcmp(a + 2, b + 2) == 0)
		return true;
	return la == lb ? la > 0 && strcmp(a + 1, b + 1) == 0 :
	    (la == lb + 1 && strcmp(a + 1, b) == 0) || (lb == la + 1 && strcmp(a, b + 1) == 0);
}

/* Misspelt, a key that restricts would be without effect, and nobody would see it. */
static const struct key *
find_meant(const char *name)
{
	for (size_t i = 0; i < CM_COUNT(keys); i++)
		if (is_nearly(keys[i].name, name))
			return &keys[i];
	return NULL;
}

/* SmartCardServices(7): the group needs enforcement, and users without a card let in. */
static enum cm_err
check_group(const struct reading *r, const struct cm_plist_node *top)
{
	const struct cm_plist_node *group = get(top, "NotEnforcedGroup");
	const struct cm_plist_node *all = get(top, "enforceSmartCard"), *unmapped = get(top, "allowUnmappedUsers");

	if (group == NULL || (all != NULL && all->number == 1 && unmapped != NULL && unmapped->number == 1))
		return CM_OK;
	return cm_import_note(r->out, group->line,
	    "NotEnforcedGroup means something only with enforceSmartCard and allowUnmappedUsers = 1");
}

/* SmartCardServices(7): without AttributeMapping only pairings count. */
static enum cm_err
pairings_only(const struct reading *r, const struct cm_plist_node *top)
{
	enum cm_err err;

	if (get(top, "AttributeMapping") != NULL)
		return CM_OK;
	if ((err = cm_import_set(r->out, top->line, "mapper.forms", "tokenidentity")) == CM_OK)
		err = cm_import_set(r->out, top->line, "mapper.forms", "pubkeyhash");
	return err;
}

static enum cm_err
read_top(const struct reading *r, const struct cm_plist_node *top)
{
	enum cm_err err;

	if (top->type != CM_PLIST_DICT)
		return cm_plist_fail(r->file, top->line, "the outermost value is no <dict>; make it one");
	if ((err = check_keys(r, top, false)) != CM_OK)
		return err;
	for (const struct cm_plist_node *n = top->child; err == CM_OK && n != NULL; n = n->next) {
		const struct key *k = find_key(n->key);

		if (k == NULL)
			continue;
		err = k->take(r, k, n);
		if (err == CM_OK && k->note != NULL)
			err = cm_import_note(r->out, n->line, "%s %s", k->name, k->note);
	}
	if (err == CM_OK)
		err = pairings_only(r, top);
	return err == CM_OK ? check_group(r, top) : err;
}

enum cm_err
cm_import_plist(struct cm_blob bytes, const char *path, struct cm_trace *t, struct cm_import **out)
{
	struct cm_plist_file f = { .name = path, .trace = t };
	struct reading r = { .file = &f };
	struct cm_plist_node *top = NULL;
	enum cm_err err;

	*out = NULL;
	if (bytes.len > CM_PLIST_MAX)
		return cm_plist_fail(&f, 0, "larger than %zu bytes", CM_PLIST_MAX);
	if (bytes.len >= 8 && memcmp(bytes.ptr, "bplist00", 8) == 0)
		err = cm_plist_read_binary(&f, bytes, &top);
	else
		err = cm_plist_read_xml(&f, bytes, &top);
	if (err == CM_OK && (err = cm_import_new(path, "SmartcardLogin.plist", &r.out)) == CM_OK)
		err = read_top(&r, top);
	cm_plist_node_free(&top);
	if (err == CM_OK)
		*out = r.out;
	else
		cm_import_free(&r.out);
	return err;
}
