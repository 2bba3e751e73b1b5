/*
 * tests/fuzz/fuzz_ldapurl.c - LDAP URLs, as certificates name them, and which of an entry's values is meant.
 *
 * Input: a URL, and behind a NUL each: an attribute's name and a value, and so on.
 */
#include <stdlib.h>
#include <string.h>

#include "ldap/ldap_url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VALUES_MAX	8

/* What is sent and shown: one attribute, a filter, a server that is one. */
static void
check(const struct cm_ldap_url *u)
{
	const char *attribute = cm_buf_str(&u->attribute), *filter = cm_buf_str(&u->filter);
	LDAPURLDesc *again = NULL;

	if (attribute[0] == '\0' || strpbrk(attribute, " ,*+()\\") != NULL || strlen(attribute) != u->attribute.len)
		abort();
	if (u->binary.len != u->attribute.len + 7 || strncmp(cm_buf_str(&u->binary), attribute, u->attribute.len) != 0)
		abort();
	if (filter[0] != '(' || strlen(filter) != u->filter.len)
		abort();
	if (u->parts->lud_dn == NULL || u->parts->lud_dn[0] == '\0' || u->parts->lud_crit_exts != 0)
		abort();
	if (u->server.len == 0)
		return;
	if (ldap_url_parse(cm_buf_str(&u->server), &again) != LDAP_URL_SUCCESS ||
	    strcmp(again->lud_host, u->parts->lud_host) != 0 || again->lud_port != u->parts->lud_port)
		abort();
	ldap_free_urldesc(again);
}

static bool
take(struct cm_blob *rest, struct cm_blob *out)
{
	const uint8_t *end = rest->len > 0 ? memchr(rest->ptr, '\0', rest->len) : NULL;

	*out = *rest;
	if (end == NULL) {
		*rest = (struct cm_blob){ NULL, 0 };
		return out->len > 0;
	}
	out->len = (size_t)(end - rest->ptr);
	rest->ptr = end + 1;
	rest->len -= out->len + 1;
	return true;
}

static void
pick(const struct cm_ldap_url *u, struct cm_blob rest)
{
	struct cm_value values[VALUES_MAX];
	struct cm_blob found;
	size_t n = 0, count;
	bool there = false;

	while (n < VALUES_MAX && take(&rest, &values[n].attribute) && take(&rest, &values[n].value))
		n++;
	found = cm_ldap_url_pick(u, values, n, &count);
	if (count > n || (count == 0) != (found.len == 0))
		abort();
	for (size_t i = 0; i < n; i++)
		there = there || (values[i].value.ptr == found.ptr && values[i].value.len == found.len);
	if (count > 0 && !there)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cm_blob rest = { data, size }, text = { NULL, 0 };
	struct cm_buf why = { .ptr = NULL };
	struct cm_ldap_url u;
	char *url;

	(void)take(&rest, &text);
	if ((url = strndup(text.len > 0 ? (const char *)text.ptr : "", text.len)) == NULL)
		return 0;
	if (cm_ldap_url_parse(url, &u, &why) == CM_OK) {
		check(&u);
		pick(&u, rest);
		cm_ldap_url_clear(&u);
	} else if (why.len == 0) {
		abort();
	}
	cm_buf_free(&why);
	free(url);
	return 0;
}
