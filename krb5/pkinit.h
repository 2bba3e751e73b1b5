/* krb5/pkinit.h - a Kerberos ticket for one account, with the key on the card (RFC 4556). */
#ifndef CM_KRB5_PKINIT_H
#define CM_KRB5_PKINIT_H

#include <sys/types.h>
#include <time.h>

#include "base/clock.h"
#include "base/trace.h"
#include "card/card.h"
#include "ldap/directory.h"

/* Texts are borrowed for the life of the pkinit; NULL: not set. */
struct cm_pkinit_options {
	const char *config;		/* krb5.conf; NULL: the system's (and KRB5_CONFIG) */
	const char *realm;		/* NULL: the configuration's default realm */
	const char *const *kdcs;	/* host:port; NULL: [realms] of the configuration */
	const char *const *anchors;	/* PEM files for the KDC's certificate; NULL: the configuration's pkinit_anchors */
	const char *const *intermediates;
	const char *keytab;		/* of this host; NULL or no such file: tickets stay unverified */
	const char *host_principal;	/* NULL: the first host/ in the keytab */
	unsigned renew_days;		/* for how long a ticket is to be renewable; 0: as krb5.conf has it, else CM_RENEW_DAYS */
};
#define CM_RENEW_DAYS	7

/* For one thread at a time. */
struct cm_pkinit;

/*
 * Sends nothing.
 *
 * CM_ERR_ABSENT  no realm is configured, or no KDC for it (DNS is not asked for
 *                one): this host has no Kerberos.  Reason CONFIG says which, for
 *                where it is required
 * CM_ERR_CONFIG  CONFIG: the krb5 configuration, an anchor or the keytab cannot be read
 */
CM_MUST_USE enum cm_err cm_pkinit_open(const struct cm_pkinit_options *o, struct cm_trace *t,
    struct cm_pkinit **out);
void cm_pkinit_close(struct cm_pkinit **p);

/* A usable host keytab is there: then the ticket can be the proof. */
bool cm_pkinit_has_keytab(const struct cm_pkinit *p);

/* The account has a principal, and it is of this host's realm: a ticket can be asked for. */
bool cm_pkinit_serves(const struct cm_pkinit *p, const struct cm_account *a);

/* A TGT with what was verified of it. */
struct cm_ticket;

/*
 * PKINIT for exactly account->principal with the slot's key of a card whose PIN
 * was verified, then, with a keytab, a ticket for this host, decrypted with the
 * keytab: only the KDC that shares this host's key can have made it.
 * One signature by the card; no PIN or password is asked, ever.  libkrb5 opens
 * no socket: requests are carried here, within the deadline (UDP or TCP).
 *
 * CM_OK           *out is the caller's, for cm_ticket_free
 * CM_ERR_OFFLINE  KDC_OFFLINE: no KDC answered in time (its name stands in the text);
 *                 NO_KDC: the account has no principal of this realm, nobody was asked;
 *                 or the card failed (CARD_REMOVED, CARD_SILENT): nothing signed was sent
 * CM_ERR_AGAIN    CARD_CHANGED, in the same way
 * CM_ERR_REFUSED  CARD_KEY, in the same way; KDC_REFUSED (KDC's error in words), KDC_UNTRUSTED,
 *                 TICKET_FORGED (client not the account's, or not made by this host's KDC),
 *                 CERT_UNTRUSTED (the certificate has no chain to the anchors here: nothing was signed)
 */
CM_MUST_USE enum cm_err cm_pkinit_get_ticket(struct cm_pkinit *p, struct cm_card *card,
    enum cm_slot slot, const struct cm_cert *cert, const struct cm_account *account,
    cm_deadline deadline, struct cm_trace *t, struct cm_ticket **out);

/* The host keytab verified it, its client is the principal of this account, and it was got with this certificate: proof of possession. */
bool cm_ticket_proves(const struct cm_ticket *k, const struct cm_account *a, const struct cm_cert *c);
const char *cm_ticket_principal(const struct cm_ticket *k);
time_t cm_ticket_expires(const struct cm_ticket *k);
/* The KDC's time (authtime) where the keytab verified it; 0 otherwise. */
time_t cm_ticket_signed_time(const struct cm_ticket *k);

/*
 * With the TGT, a ticket for host_principal (of this realm), and an AP-REQ with
 * it (RFC 4120 5.5.1) whose checksum covers nonce, appended to ap_req: for
 * cm_hostcheck_verify() of the process that has the keytab.  One request to a
 * KDC, by the way that answered before; none if it was asked for already.  p is
 * the one that k was got with.
 *
 * CM_ERR_CONFIG   CONFIG: host_principal is no host/NAME of this realm
 * CM_ERR_REFUSED  KDC_REFUSED; CM_ERR_OFFLINE KDC_OFFLINE; CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_ticket_present(struct cm_pkinit *p, struct cm_ticket *k, const char *host_principal,
    const uint8_t nonce[32], cm_deadline deadline, struct cm_trace *t, struct cm_buf *ap_req);

/* Append the TGT, alone, as a ccache in MIT's file format, version 4, for cm_ccache_put().  It holds a key: the buffer is to be a secret one. */
CM_MUST_USE enum cm_err cm_ticket_pack(const struct cm_ticket *k, struct cm_buf *ccache);

/*
 * Does a KDC of the realm answer?  It is asked for a ticket of a name that has
 * none (RFC 6112's anonymous one), with no card and no proof: what it says does not matter.
 * CM_OK           some KDC answered
 * CM_ERR_OFFLINE  KDC_OFFLINE: none did in time, each named in the text
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_pkinit_probe(struct cm_pkinit *p, cm_deadline deadline, struct cm_trace *t);

/*
 * What any ticket needs and can be done before one is asked for: libkrb5's
 * plugins are loaded, and stay.  Sends nothing; what fails will fail again, and
 * be told, when a ticket is asked for.
 */
void cm_pkinit_warm(struct cm_pkinit *p);

/* Pack the ticket and have it put into a ccache of the account's own: cm_ccache_put(), with the program beside this one. */
CM_MUST_USE enum cm_err cm_ticket_store(const struct cm_ticket *k, const char *ccache,
    const struct cm_account *account, cm_deadline deadline, struct cm_trace *t, char **name);
void cm_ticket_free(struct cm_ticket **k);

#endif /* CM_KRB5_PKINIT_H */
