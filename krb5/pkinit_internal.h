/* krb5/pkinit_internal.h - what the files of this folder share. */
#ifndef CM_KRB5_PKINIT_INTERNAL_H
#define CM_KRB5_PKINIT_INTERNAL_H

#include "base/net.h"
#include "krb5/context_internal.h"
#include "krb5/pkinit.h"

/* One KDC of the realm: "127.0.0.1:8800" and its parts, owned. */
struct cm_kdc {
	char *name;
	char *host;
	char *port;
	struct cm_lookup *lookup;	/* of the host, when one is under way */
};

struct cm_pkinit {
	krb5_context context;	/* copied for each ticket */
	char *realm;
	struct cm_kdc *kdcs;
	size_t kdc_count;
	size_t answered;	/* the KDC that answered last is asked first */
	char **anchors;		/* "FILE:..." for libkrb5, NULL-terminated; NULL: the configuration's */
	int *held;		/* of each the open file that it names; owned */
	struct cm_hostcheck *hostcheck;	/* NULL: this host has no keytab */
	unsigned datagram_max;	/* larger requests go by TCP at once */
	char *config;		/* krb5.conf; NULL: the system's */
	unsigned renew_days;	/* 0: libkrb5 reads krb5.conf's renew_lifetime */
};

/* What an exchange learned of the way to the KDCs, for the next one of the same login. */
struct cm_route {
	struct addrinfo **addresses;	/* of each KDC, once resolved */
	size_t count;
	bool tcp;			/* an answer did not fit a datagram, or came by TCP alone */
};
void cm_route_free(struct cm_route *r);

struct cm_ticket {
	krb5_context context;
	struct cm_route route;
	krb5_ccache memory;	/* MEMORY: ccache with the TGT */
	krb5_principal client;
	krb5_creds tgt;
	char *principal;
	uint8_t cert_sha256[32];
	bool verified;		/* a ticket for this host opened with the keytab */
	time_t authtime;	/* the KDC's clock, read from that ticket */
};

/* exchange.c: requests of libkrb5 carried to the KDCs of one realm. */
struct cm_exchange {
	/* Borrowed, and set by the caller. */
	struct cm_pkinit *pkinit;
	krb5_context context;
	struct cm_route *route;
	cm_deadline deadline;
	struct cm_trace *trace;
	const int *cancel;		/* once this can be read nothing is waited for any more; NULL: nothing cancels */
	struct cm_buf reply;
	/* What became of it. */
	enum cm_err err;		/* not CM_OK: could not carry, and the trace says why */
	krb5_error_code kdc_error;	/* the last answer was this KRB-ERROR; 0: it was a reply */
	struct cm_buf kdc_text;		/* its e-text, as it came */
};

/* The next request of an AS or a TGS exchange: krb5_init_creds_step() and krb5_tkt_creds_step(). */
typedef krb5_error_code (*cm_exchange_step)(krb5_context context, void *state, krb5_data *in,
    krb5_data *out, krb5_data *realm, unsigned *flags);

CM_MUST_USE enum cm_err cm_exchange_begin(struct cm_exchange *x);
void cm_exchange_free(struct cm_exchange *x);

/*
 * Step and carry until libkrb5 has what it wants, or fails; its code is
 * returned.  A step that leaves *stop not CM_OK ends it before anything more
 * is sent.  stop may be NULL.
 */
CM_MUST_USE krb5_error_code cm_exchange_run(struct cm_exchange *x, cm_exchange_step step,
    void *state, const enum cm_err *stop);

/* One request: in x->reply and x->kdc_error is what came; KDC_REFUSED: it is for another realm than ours, KDC_OFFLINE. */
CM_MUST_USE enum cm_err cm_exchange_carry(struct cm_exchange *x, const krb5_data *realm, const krb5_data *request);

#define CM_AS_REP	0x6B	/* the first octet of that reply; RFC 4120 section 5.10: [APPLICATION 11] */

/* "127.0.0.1:8800", the KDC that answered last. */
const char *cm_exchange_kdc(const struct cm_exchange *x);

/* KDC_REFUSED, with what the KDC said in words. */
CM_MUST_USE enum cm_err cm_exchange_refused(struct cm_exchange *x, const char *what,
    krb5_error_code code);

/*
 * Take "host", "host:port", "[address]:port" apart; the default port is 88
 * (RFC 4120 section 7.2.1).  CM_ERR_SYNTAX, CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_kdc_parse(const char *text, struct cm_kdc *out);
void cm_kdc_free(struct cm_kdc *k);

/* module.c: the card as libkrb5's pkinit plugin sees it, for one exchange. */
struct cm_module_session {
	/* Borrowed. */
	struct cm_card *card;
	enum cm_slot slot;
	const struct cm_cert *cert;
	EVP_PKEY *key;			/* the public one */
	cm_deadline deadline;
	struct cm_trace *trace;
	/*
	 * Called before the card is asked to sign, and may fill in card, deadline and trace; not CM_OK: it is not asked, and
	 * nothing more is sent.  NULL: the card is there.
	 */
	enum cm_err (*await)(struct cm_module_session *s, void *arg);
	void *await_arg;
	/* What became of it. */
	bool opened;			/* the plugin came to look for a certificate */
	unsigned signatures;
	enum cm_err err;		/* not CM_OK: the card failed, and the trace says why */
	/* Where the plugin is in its calls. */
	unsigned long found;		/* handle that the search under way will give; 0: none */
	unsigned long mechanism;	/* of C_SignInit */
};

/* The identity that leads the plugin to this executable's own C_GetFunctionList. */
#define CM_MODULE_IDENTITY	"PKCS11:module_name=:slotid=0"

/* From here to the end of the exchange, the module on this thread is s. */
void cm_module_enter(struct cm_module_session *s);
void cm_module_leave(void);

/* pkinit.c: one login, in three steps.  It stays where it is between the first and the last. */
struct cm_pkinit_attempt {
	struct cm_exchange x;
	struct cm_module_session module;
	struct cm_buf said;		/* why the pkinit plugin failed */
	struct cm_ticket *ticket;
	krb5_error_code code;
};
/* x and module hold pkinit, deadlines, trace and certificate already.  CM_ERR_OFFLINE NO_KDC; what cm_cert_key() returns; CM_ERR_NOMEM */
CM_MUST_USE enum cm_err cm_pkinit_attempt_begin(struct cm_pkinit_attempt *a, const struct cm_account *account);
/* As cm_pkinit_get_ticket(). */
CM_MUST_USE enum cm_err cm_pkinit_attempt_run(struct cm_pkinit_attempt *a);
/* err: of the two before.  CM_OK: *out is the caller's */
void cm_pkinit_attempt_end(struct cm_pkinit_attempt *a, enum cm_err err, struct cm_ticket **out);

/*
 * present.c: get a ticket for this host with the TGT in k, and have the host check open it, within the exchange x.
 * CM_OK: k->verified.  CM_ERR_REFUSED TICKET_FORGED, KDC_REFUSED; CM_ERR_OFFLINE KDC_OFFLINE
 */
CM_MUST_USE enum cm_err cm_verify_here(struct cm_exchange *x, struct cm_ticket *k);

#endif /* CM_KRB5_PKINIT_INTERNAL_H */
