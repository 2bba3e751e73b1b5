/* service/enforcement_check.c - what is wrong with who must use a card, before anybody is kept out by it. */
#include <shadow.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "service/enforcement.h"
#include "service/local.h"

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

struct look {
	const struct cm_conf *conf;
	const char *etc;
	struct cm_trace *trace;
};

static const char consider[] = "to be considered";

static enum cm_err mistake(const struct look *l, const char *fmt, ...) CM_PRINTF(2, 3);

/* All stand in the trace, and the last is the reason. */
static enum cm_err
mistake(const struct look *l, const char *fmt, ...)
{
	struct cm_buf text = { 0 };
	enum cm_err err;
	va_list ap;

	va_start(ap, fmt);
	cm_buf_addv(&text, fmt, ap);
	va_end(ap);
	cm_trace_add(l->trace, "mistake", "%s", cm_buf_str(&text));
	err = cm_trace_fail(l->trace, CM_REASON_CONFIG, "%s", cm_buf_str(&text));
	cm_buf_free(&text);
	return err;
}

static bool
is_set(const char *text)
{
	return text != NULL && text[0] != '\0';
}

/* Why somebody of the list cannot come in; NULL: he can. */
static const char *
why_shut_out(const struct look *l, const char *user)
{
	if (!cm_enforcement_is_exempt(l->conf, user))
		return "is no account of this computer";
	return is_locked(l->etc, user) ? "has no password" : NULL;
}

static enum cm_err
check_exempt(const struct look *l)
{
	static const char *const root[] = { "root", NULL };
	const struct cm_conf *conf = l->conf;
	const char *const *list = conf->enforcement.exempt != NULL ? (const char *const *)(uintptr_t)conf->enforcement.exempt : root;
	struct cm_buf why = { 0 };
	enum cm_err err = CM_OK;
	bool found = false;

	for (; *list != NULL; list++) {
		const char *wrong = why_shut_out(l, *list);

		found = found || wrong == NULL;
		if (wrong != NULL)
			cm_buf_addf(&why, "%s%s %s", why.len > 0 ? ", " : "", *list, wrong);
	}
	if (conf->enforcement.required && !found)
		err = mistake(l, "enforcement.exempt leaves nobody a way in where cards fail, and enforcement.required = yes: %s; "
		    "name an account of this computer that has a password", why.len > 0 ? cm_buf_str(&why) : "the list is empty");
	else if (why.len > 0)
		cm_trace_add(l->trace, consider, "enforcement.exempt: %s: nobody comes in by that", cm_buf_str(&why));
	cm_buf_free(&why);
	return err;
}

static enum cm_err
check_cards(const struct look *l)
{
	return !l->conf->enforcement.required || l->conf->enforcement.allow_cards ? CM_OK :
	    mistake(l, "enforcement.required = yes and enforcement.allow_cards = no: users must use a card, and no card opens anything; "
	    "set one of them otherwise");
}

/* RFC 4512 section 1.4: a name, and no number that a server answers by a name. */
static bool
is_attribute_name(const char *name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", others[] = "0123456789-";

	if (name[0] == '\0' || strchr(letters, name[0]) == NULL || strlen(name) >= CM_FACT_TEXT)
		return false;
	while (*name != '\0' && (strchr(letters, *name) != NULL || strchr(others, *name) != NULL))
		name++;
	return *name == '\0';
}

static enum cm_err
check_attribute(const struct look *l)
{
	const char *name = l->conf->enforcement.attribute;

	return !is_set(name) || is_attribute_name(name) ? CM_OK :
	    mistake(l, "enforcement.attribute = %s: no attribute has that name, so that nobody would have a value of it; write the name "
	    "by which the directory shows it, letters, digits and \"-\", at most %d octets", name, CM_FACT_TEXT - 1);
}

/* SmartCardServices(7): the group needs enforcement, and users without a card let in. */
static enum cm_err
check_group_settings(const struct look *l)
{
	const char *name = l->conf->enforcement.not_enforced_group;

	if (!is_set(name))
		return CM_OK;
	if (!l->conf->enforcement.required) {
		cm_trace_add(l->trace, consider, "enforcement.not_enforced_group = %s: there is nothing to be exempt from, "
		    "enforcement.required = no", name);
		return CM_OK;
	}
	return l->conf->enforcement.allow_unmapped_users ? CM_OK :
	    mistake(l, "enforcement.not_enforced_group = %s: it exempts nobody, as on macOS, without enforcement.allow_unmapped_users = yes; "
	    "set that, or leave the group out", name);
}

/* Where nobody else can have it: of a directory that is known only by asking. */
static enum cm_err
check_group_name(const struct look *l)
{
	const char *name = l->conf->enforcement.not_enforced_group;
	bool has = true;

	if (!is_set(name))
		return CM_OK;
	if (!cm_enforcement_can_name(name))
		return mistake(l, "enforcement.not_enforced_group: a name of more than %d octets, or with control characters, cannot be kept "
		    "for when the directory is silent; name another group", CM_FACT_TEXT - 1);
	if (!cm_enforcement_has_directory(l->conf) && cm_local_has_group(l->etc, name, NULL, &has) == CM_OK && !has)
		cm_trace_add(l->trace, consider, "enforcement.not_enforced_group = %s: /etc/group has no such group, and there is no directory",
		    name);
	return CM_OK;
}

static enum cm_err
check_unmapped(const struct look *l)
{
	const struct cm_conf *conf = l->conf;

	if (!conf->enforcement.allow_unmapped_users)
		return CM_OK;
	if (!conf->enforcement.required)
		cm_trace_add(l->trace, consider, "enforcement.allow_unmapped_users = yes: there is nothing to be exempt from, "
		    "enforcement.required = no");
	else if (is_set(conf->mapper.selector))
		cm_trace_add(l->trace, consider, "enforcement.allow_unmapped_users = yes: to whom mapper.selector alone gives a card may use a "
		    "password until that card was used here once");
	return CM_OK;
}

enum cm_err
cm_enforcement_check(const struct cm_conf *conf, const char *etc, struct cm_trace *t)
{
	static enum cm_err (*const checks[])(const struct look *) = {
		check_exempt, check_cards, check_attribute, check_group_settings, check_group_name, check_unmapped,
	};
	const struct look l = { .conf = conf, .etc = etc, .trace = t };
	enum cm_err first = CM_OK;

	for (size_t i = 0; i < CM_COUNT(checks); i++) {
		const enum cm_err err = checks[i](&l);

		first = first != CM_OK ? first : err;
	}
	return first;
}
