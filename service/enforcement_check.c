/* service/enforcement_check.c - what is wrong with who must use a card, before anybody is kept out by it. */
#include <shadow.h>
#include <stdio.h>
#include <string.h>

#include "service/enforcement.h"

#define LINE_MAX_OCTETS	4096

/* shadow(5): "!" or "*" at its beginning is no password.  A file that may not be read, or has no such name, says nothing. */
static bool
is_locked(const char *etc, const char *user)
{
	struct spwd entry, *found = NULL;
	char line[LINE_MAX_OCTETS], path[256];
	bool locked = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/shadow", etc != NULL ? etc : "/etc");
	f = fopen(path, "re");
	while (f != NULL && fgetspent_r(f, &entry, line, sizeof(line), &found) == 0)
		if (strcmp(entry.sp_namp, user) == 0)
			locked = entry.sp_pwdp[0] == '!' || entry.sp_pwdp[0] == '*';
	if (f != NULL)
		fclose(f);
	return locked;
}

/* Whoever is meant, and why he cannot come in, appended to why. */
static bool
has_way_in(const struct cm_conf *conf, const char *etc, struct cm_buf *why)
{
	static const char *const root[] = { "root", NULL };
	const char *const *list = conf->enforcement.exempt != NULL ? (const char *const *)(uintptr_t)conf->enforcement.exempt : root;
	bool found = false;

	for (; *list != NULL && !found; list++) {
		const bool here = cm_enforcement_is_exempt(conf, *list);

		found = here && !is_locked(etc, *list);
		if (!found)
			cm_buf_addf(why, "%s%s %s", why->len > 0 ? ", " : "", *list, here ? "has no password" : "is no account of this computer");
	}
	return found;
}

static enum cm_err
check_way_in(const struct cm_conf *conf, const char *etc, struct cm_trace *t)
{
	struct cm_buf why = { 0 };
	enum cm_err err = CM_OK;

	if (conf->enforcement.required && !has_way_in(conf, etc, &why)) {
		cm_trace_add(t, "mistake", "enforcement.exempt leaves nobody a way in where cards fail, and enforcement.required = yes: %s; "
		    "name an account of this computer that has a password", cm_buf_str(&why));
		err = cm_trace_fail(t, CM_REASON_CONFIG, "enforcement.exempt leaves nobody a way in: %s", cm_buf_str(&why));
	}
	cm_buf_free(&why);
	return err;
}

/* SmartCardServices(7): the group needs enforcement, and users without a card let in. */
static enum cm_err
check_group(const struct cm_conf *conf, struct cm_trace *t)
{
	const char *name = conf->enforcement.not_enforced_group;

	if (name == NULL || name[0] == '\0')
		return CM_OK;
	if (!conf->enforcement.required) {
		cm_trace_add(t, "to be considered", "enforcement.not_enforced_group = %s: there is nothing to be exempt from, "
		    "enforcement.required = no", name);
		return CM_OK;
	}
	if (conf->enforcement.allow_unmapped_users)
		return CM_OK;
	cm_trace_add(t, "mistake", "enforcement.not_enforced_group = %s: it exempts nobody, as on macOS, without "
	    "enforcement.allow_unmapped_users = yes", name);
	return cm_trace_fail(t, CM_REASON_CONFIG, "enforcement.not_enforced_group needs enforcement.allow_unmapped_users = yes");
}

enum cm_err
cm_enforcement_check(const struct cm_conf *conf, const char *etc, struct cm_trace *t)
{
	const enum cm_err group = check_group(conf, t), way_in = check_way_in(conf, etc, t);

	return way_in != CM_OK ? way_in : group;
}
