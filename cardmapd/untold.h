/* cardmapd/untold.h - ccaches that have a name, and of which nobody was told yet: where this process dies then, the next takes them away. */
#ifndef CM_CARDMAPD_UNTOLD_H
#define CM_CARDMAPD_UNTOLD_H

#include "cardmapd/daemon.h"
#include "ldap/directory.h"

/*
 * Written down, in a file of its own in RUN/private, before this account's ccache
 * gets its name: *path is its name, for cm_untold_told(), and the caller's to free;
 * NULL where it cannot be written, which the log says and nothing else hangs on.
 */
void cm_untold_note(const struct cm_daemon *d, const struct cm_account *account, char **path);
/* Somebody was told of it, or it was taken back.  *path is NULL afterwards; NULL inside: nothing. */
void cm_untold_told(char **path);
/*
 * At the start: what was written down and is still there, whoever it was for never
 * heard of.  The account's own process takes each ccache away, as long as it is that
 * account's; what cannot be taken away is logged, and forgotten too.
 */
void cm_untold_settle(const struct cm_daemon *d);

#endif /* CM_CARDMAPD_UNTOLD_H */
