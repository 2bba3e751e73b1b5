/* ldap/entry.c - a directory entry: its values compared, and the account it describes. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ldap/directory_internal.h"

/* The significant bytes of a value, one by one. */
struct significant {
	struct cm_blob v;
	size_t i;
};

static struct significant
significant(struct cm_blob v)
{
	while (v.len > 0 && v.ptr[0] == ' ')
		v.ptr++, v.len--;
	while (v.len > 0 && v.ptr[v.len - 1] == ' ')
		v.len--;
	return (struct significant){ v, 0 };
}

/* The next byte, or -1. */
static int
next(struct significant *s)
{
	uint8_t c;

	if (s->i == s->v.len)
		return -1;
	c = s->v.ptr[s->i++];
	if (c == ' ')	/* there is a byte after every space: the ends are gone */
		while (s->v.ptr[s->i] == ' ')
			s->i++;
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

int
cm_value_compare(struct cm_blob a, struct cm_blob b)
{
	struct significant x = significant(a), y = significant(b);
	int c, d;

	do {
		c = next(&x);
		d = next(&y);
	} while (c == d && c != -1);
	return c - d;
}

bool
cm_attribute_is(struct cm_blob attribute, const char *name)
{
	return attribute.len == strlen(name) &&
	    strncasecmp((const char *)attribute.ptr, name, attribute.len) == 0;
}

size_t
cm_attribute_type_length(struct cm_blob attribute)
{
	const uint8_t *semicolon = attribute.len > 0 ?
	    memchr(attribute.ptr, ';', attribute.len) : NULL;

	return semicolon != NULL ? (size_t)(semicolon - attribute.ptr) : attribute.len;
}

static struct cm_blob
without_options(struct cm_blob attribute)
{
	return (struct cm_blob){ attribute.ptr, cm_attribute_type_length(attribute) };
}

bool
cm_attribute_answers(struct cm_blob attribute, const char *name)
{
	static const char binary[] = ";binary";	/* how it is sent, not what it is: RFC 4522 section 3 */
	struct cm_blob asked;
	size_t type;

	if (attribute.len == 0 || ((attribute.ptr[0] ^ (uint8_t)name[0]) & ~0x20) != 0)	/* nearly all of them */
		return false;
	asked = cm_blob_str(name);
	type = cm_attribute_type_length(asked);
	if (strcasecmp(name + type, binary) == 0)
		asked.len = type;
	if (asked.len == type)
		attribute = without_options(attribute);
	return attribute.len == asked.len &&
	    strncasecmp((const char *)attribute.ptr, name, asked.len) == 0;
}

const char *
cm_attribute_other_name(const char *attribute)
{
	/* Asked by one of these, OpenLDAP answers with the second.  None is compared exactly. */
	static const char *const names[][2] = {
		{ "userid", "uid" }, { "0.9.2342.19200300.100.1.1", "uid" },
		{ "rfc822Mailbox", "mail" }, { "0.9.2342.19200300.100.1.3", "mail" },
		{ "commonName", "cn" }, { "2.5.4.3", "cn" }, { "surname", "sn" }, { "2.5.4.4", "sn" },
		{ "gn", "givenName" }, { "2.5.4.42", "givenName" }, { "2.5.4.5", "serialNumber" },
		{ "organizationName", "o" }, { "organizationalUnitName", "ou" }, { "localityName", "l" },
		{ "stateOrProvinceName", "st" }, { "streetAddress", "street" }, { "countryName", "c" },
		{ "emailAddress", "email" }, { "pkcs9email", "email" }, { "1.2.840.113549.1.9.1", "email" },
		{ "1.2.840.113556.1.4.867", "altSecurityIdentities" },
		{ "1.2.840.113556.1.4.656", "userPrincipalName" }, { "1.2.840.113556.1.4.221", "sAMAccountName" },
	};

	for (size_t i = 0; i < CM_COUNT(names); i++)
		if (strcasecmp(names[i][0], attribute) == 0)
			return names[i][1];
	return NULL;
}

bool
cm_attribute_is_exact(const char *attribute)
{
	static const char *const exact[] = {
		"krbPrincipalName", "memberUid", "homeDirectory", "unixHomeDirectory", "loginShell",
		"userCertificate", "cACertificate", "userSMIMECertificate", "objectSid", "objectGUID",
		"authorizedCertificate", "sshPublicKey", "userPassword",
	};
	const struct cm_blob type = without_options(cm_blob_str(attribute));

	for (size_t i = 0; i < CM_COUNT(exact); i++)
		if (cm_attribute_is(type, exact[i]))
			return true;
	return false;
}

bool
cm_value_answers(const char *attribute, struct cm_blob asserted, struct cm_blob v)
{
	if (significant(asserted).v.len == 0)	/* nothing is nobody's */
		return false;
	return cm_value_compare(asserted, v) == 0 &&
	    (!cm_attribute_is_exact(attribute) || cm_blob_equal(asserted, v));
}

bool
cm_number_parse(struct cm_blob v, unsigned *out)
{
	uint64_t n = 0;

	/* RFC 4517 section 3.3.16: no leading zero; ten digits hold 2^31 - 1. */
	if (v.len == 0 || v.len > 10 || (v.len > 1 && v.ptr[0] == '0'))
		return false;
	for (size_t i = 0; i < v.len; i++) {
		if (v.ptr[i] < '0' || v.ptr[i] > '9')
			return false;
		n = n * 10 + (v.ptr[i] - '0');
	}
	*out = (unsigned)n;
	return n <= INT32_MAX;
}

size_t
cm_entry_values(const struct cm_entry *e, const char *attribute, struct cm_blob *first)
{
	size_t n = 0;

	*first = (struct cm_blob){ NULL, 0 };
	for (size_t i = 0; i < e->count; i++)
		if (cm_attribute_is(e->values[i].attribute, attribute) && n++ == 0)
			*first = e->values[i].value;
	return n;
}

static enum cm_err
malformed(const struct cm_entry *e, const char *attribute, const char *what, struct cm_trace *t)
{
	return cm_trace_fail(t, CM_REASON_ACCOUNT_MALFORMED, "the entry %.*s: %s %s",
	    (int)e->dn.len, (const char *)e->dn.ptr, attribute, what);
}

static enum cm_err
copy_text(struct cm_blob v, char **out)
{
	free(*out);
	return (*out = strndup((const char *)v.ptr, v.len)) != NULL ? CM_OK : CM_ERR_NOMEM;
}

/* Where a text of the account stands in an entry: the first attribute there is counts. */
static const struct text_row {
	size_t offset;
	const char *attributes[3];
	bool required;
	bool first;	/* several values are usual, and the first will do */
} text_rows[] = {
	/* RFC 2307, and Active Directory's name for it */
	{ offsetof(struct cm_account, name), { "uid", "sAMAccountName" }, true, false },
	/* Active Directory's homeDirectory is a Windows path */
	{ offsetof(struct cm_account, home), { "unixHomeDirectory", "homeDirectory" }, false, false },
	{ offsetof(struct cm_account, shell), { "loginShell" }, false, false },
	{ offsetof(struct cm_account, gecos), { "gecos", "displayName", "cn" }, false, true },
};

static const struct number_row {
	size_t offset;
	const char *attribute;
} number_rows[] = {
	{ offsetof(struct cm_account, uid), "uidNumber" },
	{ offsetof(struct cm_account, gid), "gidNumber" },
};
_Static_assert(sizeof(uid_t) == sizeof(unsigned) && sizeof(gid_t) == sizeof(unsigned),
    "numbers are read into them");

static enum cm_err
read_text(const struct cm_entry *e, const struct text_row *r, struct cm_trace *t, char **out)
{
	struct cm_blob v;
	size_t i = 0, n = 0;

	while (i < CM_COUNT(r->attributes) && r->attributes[i] != NULL &&
	    (n = cm_entry_values(e, r->attributes[i], &v)) == 0)
		i++;
	if (n == 0)
		return r->required ? malformed(e, r->attributes[0], "is missing", t) : CM_OK;
	if (n > 1 && !r->first)
		return malformed(e, r->attributes[i], "has several values, one is needed", t);
	if (memchr(v.ptr, '\0', v.len) != NULL)
		return malformed(e, r->attributes[i], "holds a NUL byte", t);
	return copy_text(v, out);
}

static enum cm_err
read_number(const struct cm_entry *e, const char *attribute, struct cm_trace *t, unsigned *out)
{
	struct cm_blob v;
	const size_t n = cm_entry_values(e, attribute, &v);

	if (n == 0)
		return malformed(e, attribute, "is missing: it is no POSIX account", t);
	if (n > 1)
		return malformed(e, attribute, "has several values, one is needed", t);
	if (!cm_number_parse(v, out))
		return malformed(e, attribute, "is not a number from 0 to 2147483647", t);
	return CM_OK;
}

static enum cm_err
read_numbers(const struct cm_directory_options *o, const struct cm_entry *e, struct cm_account *a, struct cm_trace *t)
{
	const char *wrong;
	enum cm_err err;

	if (o != NULL && cm_idmap_holds(&o->idmap, e))
		return (wrong = cm_idmap_user(&o->idmap, e, &a->uid, &a->gid)) == NULL ? CM_OK : malformed(e, CM_SID_ATTRIBUTE, wrong, t);
	for (size_t i = 0; i < CM_COUNT(number_rows); i++)
		if ((err = read_number(e, number_rows[i].attribute, t,
		    (unsigned *)((char *)a + number_rows[i].offset))) != CM_OK)
			return err;
	return CM_OK;
}

static enum cm_err
made_principal(const struct cm_account *a, const char *realm, struct cm_blob *v,
    struct cm_buf *made)
{
	if (realm == NULL || realm[0] == '\0')
		return CM_OK;
	cm_buf_addf(made, "%s@%s", a->name, realm);
	*v = cm_buf_blob(made);
	return cm_buf_status(made);
}

static const char principal_attribute[] = "krbPrincipalName";

/* Of several, NAME@realm: the others are its aliases, and an alias may be anybody's. */
static bool
choose(const struct cm_entry *e, struct cm_blob wanted)
{
	for (size_t i = 0; i < e->count; i++)
		if (cm_attribute_is(e->values[i].attribute, principal_attribute) &&
		    cm_blob_equal(e->values[i].value, wanted))
			return true;
	return false;
}

static enum cm_err
read_principal(const char *realm, const struct cm_entry *e, struct cm_account *a,
    struct cm_trace *t)
{
	struct cm_blob v, made = { NULL, 0 };
	struct cm_buf b = { 0 };
	const size_t n = cm_entry_values(e, principal_attribute, &v);
	enum cm_err err;

	if ((err = made_principal(a, realm, &made, &b)) != CM_OK)
		goto out;
	if (n > 1 && !choose(e, made)) {
		err = malformed(e, principal_attribute, "has several values, and none is NAME@REALM", t);
		goto out;
	}
	if (n != 1)
		v = made;
	if (v.len > 0 && memchr(v.ptr, '\0', v.len) != NULL)
		err = malformed(e, principal_attribute, "holds a NUL byte", t);
	else
		err = v.len > 0 ? copy_text(v, &a->principal) : CM_OK;
out:
	cm_buf_free(&b);
	return err;
}

static enum cm_err
fill(const struct cm_directory_options *o, const struct cm_entry *e, struct cm_account *a, struct cm_trace *t)
{
	enum cm_err err;

	if (e->dn.len == 0 || memchr(e->dn.ptr, '\0', e->dn.len) != NULL)
		return cm_trace_fail(t, CM_REASON_ACCOUNT_MALFORMED, "an entry without a usable DN");
	if ((err = copy_text(e->dn, &a->dn)) != CM_OK)
		return err;
	for (size_t i = 0; i < CM_COUNT(text_rows); i++)
		if ((err = read_text(e, &text_rows[i], t,
		    (char **)((char *)a + text_rows[i].offset))) != CM_OK)
			return err;
	if ((err = read_numbers(o, e, a, t)) != CM_OK)
		return err;
	return read_principal(o != NULL ? o->realm : NULL, e, a, t);
}

enum cm_err
cm_account_from_entry(const struct cm_directory_options *o, const struct cm_entry *e, struct cm_trace *t,
    struct cm_account **out)
{
	struct cm_account *a = NULL;
	enum cm_err err;

	if ((err = cm_account_new(&a)) != CM_OK || (err = fill(o, e, a, t)) != CM_OK)
		goto out;
	*out = a;
	a = NULL;
out:
	cm_account_free(&a);
	return err;
}

void
cm_search_want(struct cm_search *s, const char *attribute)
{
	size_t i = 0;

	for (; s->attributes[i] != NULL; i++)
		if (((s->attributes[i][0] ^ attribute[0]) & ~0x20) == 0 &&
		    strcasecmp(s->attributes[i], attribute) == 0)
			return;
	if (i < CM_ATTRIBUTES_MAX)	/* a rule set beyond measure gets them all: RFC 4511 4.5.1.8 */
		s->attributes[i] = i < CM_ATTRIBUTES_MAX - 1 ? attribute : "*";
}

void
cm_account_attributes(struct cm_search *s)
{
	for (size_t i = 0; i < CM_COUNT(text_rows); i++)
		for (size_t k = 0; k < CM_COUNT(text_rows[i].attributes); k++)
			if (text_rows[i].attributes[k] != NULL)
				cm_search_want(s, text_rows[i].attributes[k]);
	for (size_t i = 0; i < CM_COUNT(number_rows); i++)
		cm_search_want(s, number_rows[i].attribute);
	cm_search_want(s, principal_attribute);
	cm_search_want(s, "memberOf");
	cm_idmap_attributes(s);
}
