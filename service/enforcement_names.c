/* service/enforcement_names.c - the other ways to write who somebody is; cardmapd looks at them too, and has no directory to ask. */
#include <string.h>

#include "service/enforcement.h"

static size_t
add_name(char *names[CM_NAMES_MAX], size_t n, const char *text, size_t len)
{
	return len > 0 && n < CM_NAMES_MAX && (names[n] = strndup(text, len)) != NULL ? n + 1 : n;
}

/* Of winbind's separators (smb.conf(5), "winbind separator") those that are in use; what stands behind one is looked at first. */
size_t
cm_enforcement_names(const char *user, char *names[CM_NAMES_MAX])
{
	const char *behind = strpbrk(user, "\\+/"), *at;
	size_t n = 0;

	if (behind != NULL)
		n = add_name(names, n, behind + 1, strlen(behind + 1));
	if (behind != NULL && (at = strchr(behind, '@')) != NULL)
		n = add_name(names, n, behind + 1, (size_t)(at - behind - 1));
	if ((at = strchr(user, '@')) != NULL && (behind == NULL || at < behind))
		n = add_name(names, n, user, (size_t)(at - user));
	return n;
}
