/*
 * tests/fuzz/fuzz_ldapvalue.c - an LDAP entry's values become an account.
 *
 * Input: attributes one after the other: number of the attribute (one byte),
 * length of the value (one byte), value.  The first value is the DN.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ldap/directory_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VALUES_MAX	32

static const char *const attributes[] = {
	"uid", "uidNumber", "gidNumber", "homeDirectory", "loginShell", "gecos", "krbPrincipalName",
	"memberOf", "sAMAccountName", "displayName", "cn", "unixHomeDirectory", "objectClass", "mail;x",
	"objectSid", "userAccountControl", "nsAccountLock", "primaryGroupID",
};

static struct cm_blob
take(const uint8_t **p, const uint8_t *end)
{
	struct cm_blob v = { *p, 0 };

	if (*p < end) {
		v.ptr++;
		v.len = (size_t)(end - v.ptr) < **p ? (size_t)(end - v.ptr) : **p;
		*p = v.ptr + v.len;
	}
	return v;
}

/* What a login relies on, said here in other words than in account.c. */
static void
check(const struct cm_account *a)
{
	if (a->uid < 1000 || a->gid < 1000 || a->uid > 2147483647u || a->gid > 2147483647u)
		abort();
	if (a->name[0] == '\0' || a->name[0] == '-' || strpbrk(a->name, "/:\n\r\t ,*()\\") != NULL)
		abort();
	if (strcmp(a->name, "root") == 0 || strcmp(a->name, "..") == 0)
		abort();
	if (strstr(a->home, "/../") != NULL || strpbrk(a->home, ":\n") != NULL)
		abort();
	if (strpbrk(a->shell, ":\n") != NULL || strpbrk(a->gecos, ":\n") != NULL)
		abort();
	for (size_t i = 0; i < a->group_count; i++)
		if (a->groups[i].gid < 1000 || strcmp(a->groups[i].name, "sudo") == 0 ||
		    strpbrk(a->groups[i].name, "/:\n,") != NULL)
			abort();
}

/* An entry is never of two SIDs, and what is no SID is none's. */
static void
check_standing(const struct cm_entry *e)
{
	char *first = NULL, *second = NULL;

	(void)cm_entry_disabled(e);
	if (cm_entry_other_sid(e, "S-1-5-21-1-2-3-4", &first) != CM_OK ||
	    cm_entry_other_sid(e, first != NULL ? first : "S-1-1", &second) != CM_OK)
		abort();
	if (first == NULL && second != NULL && strcasecmp(second, "S-1-5-21-1-2-3-4") != 0)
		abort();
	free(first);
	free(second);
}

static void
run(const struct cm_entry *e)
{
	struct cm_account *a = NULL, *copy = NULL;
	struct cm_groups *groups = NULL;
	static const struct cm_directory_options o = { .realm = "CARDMAP.TEST", .first_uid = 1000, .first_gid = 1000,
		.idmap = { CM_IDMAP_SID, 200000, 2000200000, 200000, "S-1-5-21-1-2-3" } };
	struct cm_search s;

	check_standing(e);
	if (cm_account_from_entry(&o, e, NULL, &a) != CM_OK)
		return;
	if (cm_groups_new(a, e, &o, NULL, &groups) == CM_OK) {
		struct cm_buf filter = { 0 };

		cm_groups_search(groups, &s);
		cm_query_filter(s.query, &filter);
		cm_buf_free(&filter);
		if (s.visit(s.arg, e) != CM_OK)	/* the entry as a group of itself */
			abort();
	}
	if (cm_account_check(a, &(struct cm_account_limits){ .first_uid = 1000, .first_gid = 1000 }, NULL) == CM_OK)
		check(a);
	if (cm_account_copy(a, &copy) != CM_OK)
		abort();
	cm_account_free(&copy);
	cm_groups_free(&groups);
	cm_account_free(&a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *p = data, *end = data + size;
	struct cm_value values[VALUES_MAX];
	struct cm_entry e = { .values = values };

	e.dn = take(&p, end);
	while (p < end && e.count < VALUES_MAX) {
		const char *attribute = attributes[*p++ % CM_COUNT(attributes)];

		values[e.count++] = (struct cm_value){ cm_blob_str(attribute), take(&p, end) };
	}
	run(&e);
	return 0;
}
