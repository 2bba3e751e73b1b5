/* cardmapd/mobile.h - the names of mobile accounts, kept as the store has them: a thread of its own. */
#ifndef CM_CARDMAPD_MOBILE_H
#define CM_CARDMAPD_MOBILE_H

#include "cardmapd/daemon.h"

/*
 * At the start, each hour and when it is told to, the folder of records is made
 * what the store says (service/mobile.h): accounts that were withdrawn, forgotten
 * or imported, and those whose time offline is over.
 */
struct cm_mobiles;
/* Within the sandbox.  CM_ERR_SYSTEM, CM_ERR_NOMEM */
CM_MUST_USE enum cm_err cm_mobiles_new(struct cm_daemon *d, struct cm_mobiles **out);
void cm_mobiles_free(struct cm_mobiles **m);
/* Any thread: something that is kept has ended, or come.  NULL: nothing. */
void cm_mobiles_look(struct cm_mobiles *m);

#endif /* CM_CARDMAPD_MOBILE_H */
