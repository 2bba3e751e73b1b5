/* tests/krb5/forge.h - AP-REQs as a KDC that has this host's key would make them possible, right or wrong. */
#ifndef CM_TESTS_KRB5_FORGE_H
#define CM_TESTS_KRB5_FORGE_H

#include <krb5/krb5.h>
#include <time.h>

#include "base/buf.h"

#define FORGE_REALM	"CARDMAP.TEST"
#define FORGE_HOST	"host/ws1.cardmap.test@" FORGE_REALM
#define FORGE_KEY	32	/* octets; both keys are aes256-cts-hmac-sha1-96 */

/* What stands in it; forge_defaults() makes it good. */
struct forge {
	uint8_t host_key[FORGE_KEY], session_key[FORGE_KEY];
	const char *client, *client_realm;	/* in the ticket */
	const char *maker;			/* in the authenticator */
	uint32_t flags;				/* TKT_FLG_... */
	time_t authtime, starttime, endtime, ctime;
	krb5_cksumtype checksum;		/* 0: none */
	krb5_keyusage usage;			/* of the checksum */
	const uint8_t *nonce;			/* 32 octets */
};
void forge_defaults(struct forge *f, const uint8_t *nonce, time_t now);

/* A keytab with host_key for FORGE_HOST, mode 0600, at path, and a krb5.conf beside it: PATH.conf. */
void forge_keytab(const struct forge *f, const char *path);

/* RFC 4120 5.3 EncTicketPart and 5.5.1 Authenticator, in the clear, appended. */
void forge_ticket(const struct forge *f, struct cm_buf *out);
void forge_authenticator(const struct forge *f, struct cm_buf *out);
/* RFC 4120 5.5.1 AP-REQ of two texts, each sealed with its key, appended. */
void forge_request(const struct forge *f, struct cm_blob ticket, struct cm_blob authenticator, struct cm_buf *out);

#endif
