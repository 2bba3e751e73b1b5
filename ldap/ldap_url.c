/* ldap/ldap_url.c - an LDAP URL (RFC 4516) that names one attribute. */
#include "ldap/ldap_url.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "ldap/directory_internal.h"

static const char default_attribute[] = "certificateRevocationList";
static const char binary_option[] = ";binary";

/* libldap takes any two characters behind "%", "%00" for the end of a text, and what no URL may hold. */
static const char *
mistake_in_text(const char *text)
{
	for (const char *p = text; *p != '\0'; p++) {
		/* RFC 3986 section 2 has no space either, but CAs write them */
		if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7f)
			return "a character that must be percent-encoded";
		if (*p == '%' && (!isxdigit((unsigned char)p[1]) || !isxdigit((unsigned char)p[2])))
			return "\"%\" without two hexadecimal digits";
		if (strncmp(p, "%00", 3) == 0)
			return "an encoded NUL";
	}
	if (strncasecmp(text, "ldap://", 7) != 0 && strncasecmp(text, "ldaps://", 8) != 0)
		return "it begins with neither ldap:// nor ldaps://";
	return NULL;
}

/* RFC 4512 section 2.5: attributedescription; "*", "+" and "1.1" (RFC 4511 section 4.5.1.8) name none. */
static bool
is_attribute(const char *name)
{
	if (!isalnum((unsigned char)name[0]) || strcmp(name, "1.1") == 0)
		return false;
	for (; *name != '\0'; name++)
		if (!isalnum((unsigned char)*name) && strchr("-.;", *name) == NULL)
			return false;
	return true;
}

/* A server may answer by the name what was asked by the number (RFC 4523 section 2). */
static const char *
by_name(const char *attribute)
{
	static const char *const numbers[][2] = {
		{ "2.5.4.38", "authorityRevocationList" }, { "2.5.4.39", default_attribute },
		{ "2.5.4.53", "deltaRevocationList" },
	};
	const size_t type = cm_attribute_type_length(cm_blob_str(attribute));

	for (size_t i = 0; i < CM_COUNT(numbers); i++)
		if (strlen(numbers[i][0]) == type && strncmp(attribute, numbers[i][0], type) == 0)
			return numbers[i][1];
	return attribute;
}

/* RFC 4522 section 3: ";binary" says how a value is sent; no other option is meant here to be left out. */
static const char *
set_attribute(struct cm_ldap_url *u)
{
	char *const *const names = u->parts->lud_attrs;
	const char *name = names != NULL && names[0] != NULL ? names[0] : default_attribute;
	size_t len;

	if (names != NULL && names[0] != NULL && names[1] != NULL)
		return "it asks for several attributes";
	if (!is_attribute(name))
		return "it names no attribute";
	name = by_name(name);
	len = strlen(name);
	u->says_binary = len > sizeof(binary_option) - 1 &&
	    strcasecmp(name + len - (sizeof(binary_option) - 1), binary_option) == 0;
	if (u->says_binary)
		len -= sizeof(binary_option) - 1;
	cm_buf_add(&u->attribute, name, len);
	cm_buf_addf(&u->binary, "%s%s", cm_buf_str(&u->attribute), binary_option);
	return NULL;
}

/* AD CS leaves out the parentheses of "objectClass=cRLDistributionPoint", which RFC 4516 section 2 wants. */
static const char *
set_filter(struct cm_ldap_url *u)
{
	const char *given = u->parts->lud_filter;
	struct cm_filter_mistake m;
	struct cm_filter *f = NULL;
	enum cm_err err;

	if (given == NULL)
		given = "(objectClass=*)";
	cm_buf_addf(&u->filter, given[0] == '(' ? "%s" : "(%s)", given);
	err = cm_filter_parse(cm_buf_blob(&u->filter), &m, &f);
	cm_filter_free(&f);
	return err == CM_OK ? NULL : "its filter is none";
}

static const char *
set_server(struct cm_ldap_url *u)
{
	const LDAPURLDesc *p = u->parts;

	if (p->lud_host == NULL || p->lud_host[0] == '\0')
		return NULL;
	if (p->lud_port < 1 || p->lud_port > UINT16_MAX)
		return "its port is none";
	if (strpbrk(p->lud_host, " <>\"'@/?#[]%") != NULL)
		return "its server is none";
	cm_buf_addf(&u->server, strchr(p->lud_host, ':') != NULL ? "%s://[%s]:%d" : "%s://%s:%d",
	    p->lud_scheme, p->lud_host, p->lud_port);
	return NULL;
}

static const char *
check_dn(const struct cm_ldap_url *u)
{
	const char *name = u->parts->lud_dn;
	LDAPDN dn = NULL;
	int code;

	if (name == NULL || name[0] == '\0')	/* RFC 5280 section 4.2.1.13: there must be one */
		return "it names no entry";
	code = ldap_str2dn(name, &dn, LDAP_DN_FORMAT_LDAPV3);
	ldap_dnfree(dn);
	return code == LDAP_SUCCESS ? NULL : "its name is no distinguished name";
}

static const char *
mistake_in_parts(struct cm_ldap_url *u)
{
	const char *what;

	if (u->parts->lud_crit_exts != 0)	/* RFC 4516 section 2: then it must not be processed */
		return "it has a critical extension";
	if ((what = set_server(u)) == NULL && (what = check_dn(u)) == NULL &&
	    (what = set_attribute(u)) == NULL)
		what = set_filter(u);
	return what;
}

enum cm_err
cm_ldap_url_parse(const char *text, struct cm_ldap_url *out, struct cm_buf *why)
{
	struct cm_ldap_url u = { .parts = NULL };
	const char *what = mistake_in_text(text);
	enum cm_err err = CM_ERR_SYNTAX;
	int code = LDAP_URL_SUCCESS;

	if (what == NULL && (code = ldap_url_parse(text, &u.parts)) != LDAP_URL_SUCCESS)
		what = "its parts are not those of an LDAP URL";
	if (what == NULL)
		what = mistake_in_parts(&u);
	if (code == LDAP_URL_ERR_MEM || cm_buf_status(&u.server) == CM_ERR_NOMEM ||
	    cm_buf_status(&u.filter) == CM_ERR_NOMEM || cm_buf_status(&u.attribute) == CM_ERR_NOMEM ||
	    cm_buf_status(&u.binary) == CM_ERR_NOMEM) {
		err = CM_ERR_NOMEM;
	} else if (what != NULL) {
		cm_buf_addf(why, "not an LDAP URL that can be asked (RFC 4516): %s", what);
	} else {
		*out = u;
		return CM_OK;
	}
	cm_ldap_url_clear(&u);
	return err;
}

void
cm_ldap_url_clear(struct cm_ldap_url *u)
{
	ldap_free_urldesc(u->parts);
	u->parts = NULL;
	cm_buf_free(&u->server);
	cm_buf_free(&u->filter);
	cm_buf_free(&u->attribute);
	cm_buf_free(&u->binary);
}

struct cm_blob
cm_ldap_url_pick(const struct cm_ldap_url *u, const struct cm_value *values, size_t n,
    size_t *count)
{
	struct cm_blob found = { NULL, 0 };

	*count = 0;
	for (size_t i = 0; i < n; i++) {
		if (values[i].value.len == 0 ||
		    !cm_attribute_answers(values[i].attribute, cm_buf_str(&u->attribute)))
			continue;
		/* some servers show the same once so and once so */
		if (*count == 0 || !cm_blob_equal(found, values[i].value))
			++*count;
		found = values[i].value;
	}
	return found;
}
