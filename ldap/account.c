/* ldap/account.c - an account, and what every account must be like. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "ldap/directory_internal.h"

/* The texts of an account, for everything done to all of them. */
static const size_t texts[] = {
	offsetof(struct cm_account, name), offsetof(struct cm_account, principal),
	offsetof(struct cm_account, dn), offsetof(struct cm_account, home),
	offsetof(struct cm_account, shell), offsetof(struct cm_account, gecos),
	offsetof(struct cm_account, rule), offsetof(struct cm_account, attribute),
	offsetof(struct cm_account, matched), offsetof(struct cm_account, source),
};

static char **
text_of(const struct cm_account *a, size_t i)
{
	return (char **)((char *)(uintptr_t)a + texts[i]);
}

void
cm_account_free(struct cm_account **a)
{
	if (*a == NULL)
		return;
	for (size_t i = 0; i < CM_COUNT(texts); i++)
		free(*text_of(*a, i));
	for (size_t i = 0; i < (*a)->group_count; i++)
		free((*a)->groups[i].name);
	free((*a)->groups);
	free(*a);
	*a = NULL;
}

static enum cm_err
copy_groups(const struct cm_account *a, struct cm_account *copy)
{
	if (a->group_count == 0)
		return CM_OK;
	if ((copy->groups = calloc(a->group_count, sizeof(*copy->groups))) == NULL)
		return CM_ERR_NOMEM;
	for (size_t i = 0; i < a->group_count; i++) {
		copy->groups[i].gid = a->groups[i].gid;
		copy->groups[i].local = a->groups[i].local;
		if ((copy->groups[i].name = strdup(a->groups[i].name)) == NULL)
			return CM_ERR_NOMEM;
		copy->group_count++;
	}
	return CM_OK;
}

enum cm_err
cm_account_new(struct cm_account **out)
{
	static const struct cm_account empty;

	return cm_account_copy(&empty, out);
}

enum cm_err
cm_account_copy(const struct cm_account *a, struct cm_account **out)
{
	struct cm_account *copy = calloc(1, sizeof(*copy));
	enum cm_err err = CM_ERR_NOMEM;

	if (copy == NULL)
		goto out;
	copy->uid = a->uid;
	copy->gid = a->gid;
	copy->weak = a->weak;
	copy->several = a->several;
	copy->local = a->local;
	for (size_t i = 0; i < CM_COUNT(texts); i++) {
		const char *text = *text_of(a, i);

		if ((*text_of(copy, i) = strdup(text != NULL ? text : "")) == NULL)
			goto out;
	}
	if ((err = copy_groups(a, copy)) != CM_OK)
		goto out;
	*out = copy;
	copy = NULL;
out:
	cm_account_free(&copy);
	return err;
}

/* Well-formed UTF-8 without control characters: what making it printable does not change. */
static bool
is_clean(const char *s)
{
	struct cm_buf b;
	bool clean;

	cm_buf_init(&b, 0);
	cm_buf_add_printable(&b, cm_blob_str(s));
	clean = cm_buf_status(&b) == CM_OK && strcmp(cm_buf_str(&b), s) == 0;
	cm_buf_free(&b);
	return clean;
}

/*
 * POSIX.1-2017 section 3.437: the portable filename characters, "-" not first;
 * and "@", for names with their domain.  It must not be taken for a number.
 */
static bool
is_portable(const char *name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-@";
	const size_t len = strlen(name);

	return len > 0 && len < 256 && name[0] != '-' && strspn(name, allowed) == len &&
	    strspn(name, "0123456789") < len && strspn(name, ".") < len;
}

/* One field of passwd(5), and a path that stays where it says. */
static bool
is_path(const char *s)
{
	if (s[0] != '/' || strlen(s) >= PATH_MAX || strchr(s, ':') != NULL || !is_clean(s))
		return false;
	for (const char *p = s; p != NULL; p = strchr(p + 1, '/'))
		if (strncmp(p, "/..", 3) == 0 && (p[3] == '/' || p[3] == '\0'))
			return false;
	return true;
}

static bool
is_path_or_empty(const char *s)
{
	return s[0] == '\0' || is_path(s);
}

static bool
is_passwd_field(const char *s)
{
	return strchr(s, ':') == NULL && is_clean(s);
}

static bool
is_principal(const char *s)
{
	const char *at = strchr(s, '@');

	return s[0] == '\0' || (at != NULL && at != s && at[1] != '\0' && is_clean(s));
}

static const struct check {
	size_t offset;
	bool (*holds)(const char *text);
	const char *what;
} checks[] = {
	{ offsetof(struct cm_account, name), is_portable,
	    "name is not a portable user name (letters, digits, . _ - @; not only digits)" },
	{ offsetof(struct cm_account, home), is_path_or_empty,
	    "home directory is not an absolute path without \"..\" and \":\"" },
	{ offsetof(struct cm_account, shell), is_path_or_empty,
	    "shell is not an absolute path without \"..\" and \":\"" },
	{ offsetof(struct cm_account, gecos), is_passwd_field,
	    "gecos holds a \":\", control characters or broken UTF-8" },
	{ offsetof(struct cm_account, principal), is_principal,
	    "Kerberos principal is not NAME@REALM" },
	{ offsetof(struct cm_account, dn), is_clean, "DN holds control characters or broken UTF-8" },
};

/* Groups whose members own the host, or nearly: Debian's, and those of what runs containers. */
static const char *const privileged[] = {
	"root", "daemon", "bin", "sys", "adm", "tty", "disk", "kmem", "mem", "wheel", "sudo", "admin",
	"operator", "shadow", "utmp", "staff", "backup", "src", "input", "video", "netdev", "plugdev",
	"lpadmin", "docker", "podman", "lxd", "incus", "incus-admin", "libvirt", "libvirt-qemu", "kvm",
	"systemd-journal", "systemd-network", "polkitd", "messagebus", "crontab", "ssl-cert", "ssh",
	"_ssh", "_cardmap",
};

bool
cm_group_is_privileged(const char *name)
{
	for (size_t i = 0; i < CM_COUNT(privileged); i++)
		if (strcmp(privileged[i], name) == 0)
			return true;
	return false;
}

bool
cm_group_is_listed(const char *const *names, const char *name)
{
	for (size_t i = 0; names != NULL && names[i] != NULL; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

/* 65534 is nobody's, 65535 was (uid_t)-1 (systemd's "Users, Groups, UIDs and GIDs"). */
static bool
is_reserved(unsigned id)
{
	return id == 65534 || id == 65535 || id > INT32_MAX;
}

bool
cm_group_is_allowed(const struct cm_group *g, const struct cm_account_limits *l)
{
	if (g->gid == 0 || is_reserved(g->gid) || !is_portable(g->name) || strcmp(g->name, "root") == 0)
		return false;
	return cm_group_is_listed(l->local_groups, g->name) || (g->gid >= l->first_gid && !cm_group_is_privileged(g->name));
}

/* The group that files get: whoever may be in sudo need not make files that are sudo's. */
static enum cm_err
check_primary(const struct cm_account *a, const struct cm_account_limits *l, struct cm_trace *t)
{
	bool listed = l->groups_unknown && l->local_groups != NULL && l->local_groups[0] != NULL;

	for (size_t i = 0; i < a->group_count; i++) {
		if (a->groups[i].gid != a->gid)
			continue;
		if (cm_group_is_privileged(a->groups[i].name))
			return cm_trace_fail(t, CM_REASON_ACCOUNT_FORBIDDEN, "account %s (%s) has %s as its primary group (gid %u), which gives "
			    "rights on this computer", a->name, a->dn, a->groups[i].name, a->gid);
		listed = listed || cm_group_is_listed(l->local_groups, a->groups[i].name);
	}
	if (a->gid != 0 && !is_reserved(a->gid) && (a->gid >= l->first_gid || listed))
		return CM_OK;
	return cm_trace_fail(t, CM_REASON_ACCOUNT_FORBIDDEN, "account %s (%s) has gid %u; the first allowed is %u", a->name, a->dn, a->gid,
	    l->first_gid);
}

static enum cm_err
check_ids(const struct cm_account *a, const struct cm_account_limits *l, struct cm_trace *t)
{
	enum cm_err err;

	if (strcmp(a->name, "root") == 0)
		return cm_trace_fail(t, CM_REASON_ACCOUNT_FORBIDDEN,
		    "the entry %s names itself root", a->dn);
	if (a->uid == 0 || a->uid < l->first_uid || is_reserved(a->uid))
		return cm_trace_fail(t, CM_REASON_ACCOUNT_FORBIDDEN,
		    "account %s (%s) has uid %u; the first allowed is %u",
		    a->name, a->dn, a->uid, l->first_uid);
	if ((err = check_primary(a, l, t)) != CM_OK)
		return err;
	for (size_t i = 0; i < a->group_count; i++)
		if (!cm_group_is_allowed(&a->groups[i], l))
			return cm_trace_fail(t, CM_REASON_ACCOUNT_FORBIDDEN,
			    "account %s (%s) is in group %s (gid %u), which gives rights on this computer",
			    a->name, a->dn, a->groups[i].name, a->groups[i].gid);
	return CM_OK;
}

enum cm_err
cm_account_check(const struct cm_account *a, const struct cm_account_limits *l, struct cm_trace *t)
{
	for (size_t i = 0; i < CM_COUNT(checks); i++) {
		const char *text = *(char *const *)((const char *)a + checks[i].offset);

		if (!checks[i].holds(text))
			return cm_trace_fail(t, CM_REASON_ACCOUNT_MALFORMED,
			    "the entry %s: its %s: \"%s\"", a->dn, checks[i].what, text);
	}
	return check_ids(a, l, t);
}
