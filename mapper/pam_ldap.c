/* mapper/pam_ldap.c - pam_pkcs11's ldap mapper: its filters as rules, its server as keys of the directory. */
#include <stdlib.h>
#include <strings.h>

#include "mapper/pam_pkcs11_internal.h"

struct ldap {
	struct cm_pam_reading *r;
	const struct cm_scconf_item *block;
	const char *name;
	int line;
	bool usable;		/* the filter can be used here */
};

#define note(l, key, ...)	cm_import_note((l)->r->import, cm_scconf_line((l)->block, key), __VA_ARGS__)

/* The first ldap mapper's server is the directory's: there is one. */
static enum cm_err
set(const struct ldap *l, const char *key, const char *from, const char *value)
{
	const struct cm_import_setting *s = cm_import_find(l->r->import, key);
	const int line = cm_scconf_setting(l->block, from) != NULL ? cm_scconf_line(l->block, from) : l->line;

	if (value[0] == '\0')
		return CM_OK;
	if (s == NULL)
		return cm_import_set(l->r->import, line, key, value);
	if (strcmp(s->values[0], value) == 0)
		return CM_OK;
	return note(l, from, "mapper %s: %s: %s is set already, on line %d: there is one directory", l->name, from,
	    key, s->line);
}

static void
add_literal(const char *text, size_t len, struct cm_buf *out)
{
	for (size_t i = 0; i < len; i++) {
		cm_buf_add_byte(out, (uint8_t)text[i]);
		if (text[i] == '{' || text[i] == '}')	/* a template's own signs, doubled */
			cm_buf_add_byte(out, (uint8_t)text[i]);
	}
}

/* The filter for a user whose login is not known: any.  It goes through printf there. */
static enum cm_err
write_user_filter(struct ldap *l, struct cm_buf *out)
{
	const char *filter = cm_scconf_text(l->block, "filter", "(&(objectClass=posixAccount)(uid=%s))");
	const bool bare = filter[0] != '(';

	cm_buf_add_str(out, bare ? "(" : "");
	for (const char *p = filter; *p != '\0'; p++) {
		if (*p != '%') {
			add_literal(p, 1, out);
			continue;
		}
		p++;
		if (*p == 's') {
			cm_buf_add_byte(out, '*');
		} else if (*p == '%') {
			cm_buf_add_byte(out, '%');
		} else {
			l->usable = false;
			return note(l, "filter", "mapper %s: filter: %% is followed by neither s nor %%: the mapper is "
			    "left out", l->name);
		}
	}
	cm_buf_add_str(out, bare ? ")" : "");
	return CM_OK;
}

/* "mail=email": the attribute, and what of the certificate it must have. */
static bool
write_pair(const char *pair, size_t len, struct cm_buf *out)
{
	const char *equals = memchr(pair, '=', len), *value;
	const size_t item = equals != NULL ? len - (size_t)(equals + 1 - pair) : 0;

	if (equals == NULL || equals == pair)
		return false;
	value = item == 4 && memcmp(equals + 1, "cert", 4) == 0 ? "{cert!bin}" : cm_pam_field(equals + 1, item);
	if (value == NULL)
		return false;
	cm_buf_add_byte(out, '(');
	add_literal(pair, (size_t)(equals - pair), out);
	cm_buf_addf(out, "=%s)", value);
	return true;
}

/* "mail=email&cn=cn": all of them together */
static bool
write_map(const char *map, struct cm_buf *out)
{
	const bool several = strchr(map, '&') != NULL;

	cm_buf_add_str(out, several ? "(&" : "");
	while (*map != '\0') {
		const size_t len = strcspn(map, "&");

		if (!write_pair(map, len, out))
			return false;
		map += len;
		map += strspn(map, "&");
	}
	cm_buf_add_str(out, several ? ")" : "");
	return true;
}

/* map NULL: the certificate itself */
static enum cm_err
add_rule(struct ldap *l, int line, const char *map)
{
	struct cm_pam_rule rule = { .name = l->name };
	const char *attribute = cm_scconf_text(l->block, "attribute", "userCertificate");
	enum cm_err err = CM_OK;
	struct cm_buf filter;
	bool known = true;

	cm_buf_init(&filter, 0);
	cm_buf_add_str(&filter, "(&");
	if ((err = write_user_filter(l, &filter)) != CM_OK || !l->usable)
		goto out;
	if (map != NULL) {
		known = write_map(map, &filter);
	} else {
		cm_buf_add_byte(&filter, '(');
		add_literal(attribute, strlen(attribute), &filter);
		cm_buf_add_str(&filter, "={cert!bin})");
	}
	cm_buf_add_byte(&filter, ')');
	rule.filter = cm_buf_str(&filter);
	if (!known)
		err = cm_import_note(l->r->import, line, "mapper %s: attribute_map %s: expected ATTRIBUTE=cn, subject, "
		    "kpn, email, upn, uid or cert: it is left out", l->name, map);
	else if ((err = cm_buf_status(&filter)) == CM_OK)
		err = cm_pam_add_rule(l->r, line, &rule);
out:
	cm_buf_free(&filter);
	return err;
}

static enum cm_err
add_rules(struct ldap *l)
{
	const struct cm_scconf_item *maps = cm_scconf_setting(l->block, "attribute_map");
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && l->usable && maps != NULL && i < maps->count; i++)
		err = add_rule(l, maps->line, maps->values[i]);
	if (err == CM_OK && l->usable)
		err = add_rule(l, l->line, NULL);
	return err;
}

static bool
is_loopback(const char *host)
{
	return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

/* The servers in their order: the URIs, and then ldaphost. */
static enum cm_err
set_servers(const struct ldap *l, bool ldaps)
{
	const char *uris = cm_scconf_text(l->block, "uri", ""), *host = cm_scconf_text(l->block, "ldaphost", "");
	const char *port = cm_scconf_text(l->block, "ldapport", "0");
	const bool has_port = port[strspn(port, "0")] != '\0';
	struct cm_import *i = l->r->import;
	enum cm_err err = CM_OK;
	struct cm_buf uri;

	if (cm_import_find(i, "directory.uri") != NULL)
		return uris[0] == '\0' && host[0] == '\0' ? CM_OK :
		    note(l, uris[0] != '\0' ? "uri" : "ldaphost", "mapper %s: there is one directory, that of line %d",
		    l->name, cm_import_find(i, "directory.uri")->line);
	cm_buf_init(&uri, 0);
	for (size_t len; err == CM_OK && *(uris += strspn(uris, " ")) != '\0'; uris += len) {
		len = strcspn(uris, " ");
		cm_buf_truncate(&uri, 0);
		cm_buf_add(&uri, uris, len);
		if ((err = cm_buf_status(&uri)) == CM_OK)
			err = cm_import_set(i, cm_scconf_line(l->block, "uri"), "directory.uri", cm_buf_str(&uri));
	}
	cm_buf_truncate(&uri, 0);
	cm_buf_addf(&uri, "%s://%s%s%s", ldaps ? "ldaps" : "ldap", host, has_port ? ":" : "", has_port ? port : "");
	if (err == CM_OK && host[0] != '\0' && (err = cm_buf_status(&uri)) == CM_OK)
		err = cm_import_set(i, cm_scconf_line(l->block, "ldaphost"), "directory.uri", cm_buf_str(&uri));
	if (err == CM_OK && cm_import_find(i, "directory.uri") == NULL)
		err = cm_import_note(i, l->line, "mapper %s: names no server: set directory.uri", l->name);
	cm_buf_free(&uri);
	return err;
}

/* ssl: off, tls (StartTLS), on and ssl (ldaps); words that begin so count too. */
static enum cm_err
set_security(const struct ldap *l, bool *ldaps)
{
	const char *ssl = cm_scconf_text(l->block, "ssl", "off");
	const bool starttls = strncasecmp(ssl, "tls", 3) == 0;
	const char *host = cm_scconf_text(l->block, "ldaphost", "");

	*ldaps = strncasecmp(ssl, "on", 2) == 0 || strncasecmp(ssl, "ssl", 3) == 0;
	if (starttls || *ldaps)
		return CM_OK;
	if (is_loopback(host))
		return set(l, "directory.starttls", "ssl", "no");
	return note(l, "ssl", "mapper %s: ssl = %s: pam_pkcs11 asks without encryption, and anybody on the way could "
	    "answer; here StartTLS is asked for, or use an ldaps:// server", l->name, ssl);
}

/* What is said of keys that are there. */
static const struct {
	const char *key, *text;
} others[] = {
	{ "passwd", "is not copied: write it into a file of mode 0600 and name that as directory.bind_password_file" },
	{ "tls_cacertdir", "has no counterpart: put its CAs into one file and name that as directory.ca" },
	{ "tls_checkpeer", "has no counterpart: the server's certificate is always checked, with directory.ca" },
	{ "tls_randfile", "has no counterpart" },
	{ "tls_ciphers", "has no counterpart: the system's policy for OpenSSL holds" },
	{ "tls_cert", "has no counterpart: the directory is not shown a certificate of this computer's" },
	{ "tls_key", "has no counterpart: the directory is not shown a certificate of this computer's" },
	{ "searchtimeout", "has no counterpart: see directory.timeout" },
	{ "ignorecase", "has no counterpart: the directory's rule for the attribute decides" },
};

static enum cm_err
add_notes(const struct ldap *l)
{
	static const char exact[] = "(userCertificate={{ serialNumber {serial_number!dec}, issuer "
	    "rdnSequence:\"{issuer_dn!nss_ldap}\" }})";
	const char *scope = cm_scconf_text(l->block, "scope", "1"), *uid = cm_scconf_text(l->block, "uid_attribute", "uid");
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && i < CM_COUNT(others); i++)
		if (cm_scconf_text(l->block, others[i].key, "")[0] != '\0')
			err = note(l, others[i].key, "mapper %s: %s %s", l->name, others[i].key, others[i].text);
	/* RFC 4523 section 3.1; the others compare octets. */
	if (err == CM_OK)
		err = note(l, "attribute", "mapper %s: an OpenLDAP server finds no entry by a whole certificate: for one, "
		    "write filter = '%s' in the rule", l->name, exact);
	if (err == CM_OK && strcmp(scope, "2") != 0)
		err = note(l, "scope", "mapper %s: scope %s: everything below base is searched", l->name, scope);
	if (err == CM_OK && strcasecmp(uid, "uid") != 0 && strcasecmp(uid, "sAMAccountName") != 0)
		err = note(l, "uid_attribute", "mapper %s: uid_attribute %s: accounts have their name from uid or "
		    "sAMAccountName", l->name, uid);
	return err;
}

enum cm_err
cm_pam_ldap(struct cm_pam_reading *r, const char *name, int line, const struct cm_scconf_item *block)
{
	struct ldap l = { .r = r, .block = block, .name = name, .line = line, .usable = true };
	const char *base = cm_scconf_text(block, "base", "");
	bool ldaps = false;
	enum cm_err err;

	if ((err = add_rules(&l)) != CM_OK || !l.usable)
		return err;
	r->ldap = true;
	if ((err = set_security(&l, &ldaps)) != CM_OK || (err = set_servers(&l, ldaps)) != CM_OK ||
	    (err = set(&l, "directory.base", "base", base)) != CM_OK ||
	    (err = set(&l, "directory.bind_dn", "binddn", cm_scconf_text(block, "binddn", ""))) != CM_OK ||
	    (err = set(&l, "directory.ca", "tls_cacertfile", cm_scconf_text(block, "tls_cacertfile", ""))) != CM_OK)
		return err;
	if (base[0] == '\0' && (err = cm_import_note(r->import, line, "mapper %s: names no base: set directory.base", name)) != CM_OK)
		return err;
	return add_notes(&l);
}
