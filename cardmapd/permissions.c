/* cardmapd/permissions.c - who may call what: a table. */
#include "cardmapd/permissions.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define GROUPS_MAX	1024

/* A login is everybody's to begin: whether it may go on is the seat's rule (service/seat.h), and then the card's. */
static const struct cm_permission_row rows[] = {
	/*                            root    helpdesk    anybody */
	{ "io.cardmap.Login.Begin",   { CM_MAY, CM_MAY_OWN, CM_MAY_OWN } },
	{ "io.cardmap.Login.Answer",  { CM_MAY_OWN, CM_MAY_OWN, CM_MAY_OWN } },
	{ "io.cardmap.Login.Cancel",  { CM_MAY_OWN, CM_MAY_OWN, CM_MAY_OWN } },
	{ "io.cardmap.Whois",         { CM_MAY, CM_MAY, CM_MAY_OWN } },	/* at the resolver's socket */
	{ "io.cardmap.Explain",       { CM_MAY, CM_MAY, CM_MAY_OWN } },	/* at the resolver's socket */
	{ "io.cardmap.Cards",         { CM_MAY, CM_MAY, CM_MAY_OWN } },
	{ "io.cardmap.Accounts",      { CM_MAY, CM_MAY_NOT, CM_MAY_NOT } },
	{ "io.cardmap.Doctor",        { CM_MAY, CM_MAY_OWN, CM_MAY_OWN } },
	{ "io.cardmap.Revocation",    { CM_MAY, CM_MAY, CM_MAY_OWN } },	/* forget: root alone; own: outlook, of the resolver */
	{ "io.cardmap.Enforcement",   { CM_MAY, CM_MAY, CM_MAY_OWN } },	/* skip_once: root alone */
	{ "io.cardmap.Status",        { CM_MAY, CM_MAY, CM_MAY_NOT } },
	{ "io.cardmap.Log",           { CM_MAY, CM_MAY_NOT, CM_MAY_NOT } },
};

enum cm_permission
cm_permissions_of(const char *method, enum cm_caller who)
{
	for (size_t i = 0; i < CM_COUNT(rows); i++)
		if (strcmp(rows[i].method, method) == 0)
			return rows[i].may[who];
	return CM_MAY_NOT;
}

bool
cm_permissions_row(size_t i, struct cm_permission_row *out)
{
	if (i < CM_COUNT(rows))
		*out = rows[i];
	return i < CM_COUNT(rows);
}

static bool
find_group(const char *name, gid_t *gid)
{
	FILE *f = fopen("/etc/group", "re");
	struct group entry, *found = NULL;
	char texts[65536];
	bool there = false;

	while (f != NULL && !there && fgetgrent_r(f, &entry, texts, sizeof(texts), &found) == 0)
		there = strcmp(entry.gr_name, name) == 0;
	if (f != NULL)
		fclose(f);
	if (there)
		*gid = entry.gr_gid;
	return there;
}

static bool
is_in_group(int fd, gid_t own, gid_t wanted)
{
	gid_t groups[GROUPS_MAX];
	socklen_t len = sizeof(groups);

	if (own == wanted)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) != 0)
		return false;
	for (size_t i = 0; i < len / sizeof(groups[0]); i++)
		if (groups[i] == wanted)
			return true;
	return false;
}

enum cm_caller
cm_permissions_caller(const struct cm_conf *conf, int fd, uid_t uid, gid_t gid)
{
	gid_t helpdesk;

	if (uid == 0)
		return CM_CALLER_ROOT;
	if (conf->service.helpdesk_group != NULL && find_group(conf->service.helpdesk_group, &helpdesk) &&
	    is_in_group(fd, gid, helpdesk))
		return CM_CALLER_HELPDESK;
	return CM_CALLER_ANYBODY;
}
