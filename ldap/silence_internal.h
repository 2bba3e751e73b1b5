/* ldap/silence_internal.h - which servers gave no answer, as the handles of a directory tell each other. */
#ifndef CM_LDAP_SILENCE_INTERNAL_H
#define CM_LDAP_SILENCE_INTERNAL_H

#include "ldap/directory.h"

/* Is it marked?  Then why has the words for a person.  s may be NULL: nobody is. */
#define CM_SILENCE_WHY	512
bool cm_silence_knows(struct cm_silence *s, const char *uri, char why[CM_SILENCE_WHY]);
/* It gave no answer; first: not to a probe. */
void cm_silence_mark(struct cm_silence *s, const char *uri, const char *why);
void cm_silence_clear(struct cm_silence *s, const char *uri);
/* It is marked, and is to be probed now; then nobody else is told so before it is marked again. */
bool cm_silence_is_due(struct cm_silence *s, const char *uri);

#endif /* CM_LDAP_SILENCE_INTERNAL_H */
