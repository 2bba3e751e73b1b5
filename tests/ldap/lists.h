/* tests/ldap/lists.h - a slapd with revocation lists in it, beside the rig's own. */
#ifndef CM_TESTS_LDAP_LISTS_H
#define CM_TESTS_LDAP_LISTS_H

#include "base/buf.h"

#define LISTS_PORT	"3899"
#define LISTS_TLS_PORT	"3898"
#define LISTS_BASE	"CN=CDP,CN=Public%20Key%20Services,CN=Services,CN=Configuration,DC=lists,DC=test"

/*
 * Entries below LISTS_BASE, as AD CS writes them:
 *
 * CN=Issuing CA 1,CN=dc1	a list of each kind: "list", "authority", "delta"
 * CN=Empty			an entry without one
 * CN=Several			two
 * CN=Private			"private", shown to the rig's reader alone
 * CN=A\, B? 100% Ümlaut	"odd"
 * CN=Elsewhere			a referral
 * CN=Big			"big": 1,000,000 entries, 39 MB; where it is asked for
 *
 * On 127.0.0.1 and ::1, with and without TLS; StartTLS is offered.
 */
void lists_start(void);
void lists_stop(void);
void lists_add_big(void);

/* What was put there, by the names above. */
void lists_read(const char *name, struct cm_buf *out);
/* What slapd itself saw: lines of its log with this text. */
unsigned lists_saw(const char *text);

#endif /* CM_TESTS_LDAP_LISTS_H */
