/* tests/trust/crl_world.h - a CA, who else signs lists, a certificate with any distribution points, and lists about it. */
#ifndef CM_TESTS_TRUST_CRL_WORLD_H
#define CM_TESTS_TRUST_CRL_WORLD_H

#include "tests/rig/crl_list.h"
#include "tests/trust/fixture.h"
#include "trust/crl_internal.h"

enum signer {
	NOBODY,		/* there is no such list */
	CA,		/* the certificate's issuer */
	CA_NEW,		/* its name, its next key */
	OTHER,		/* CN=Lists, below the same anchor, with cRLSign */
	STRANGER,	/* its name, of no anchor */
	NO_SIGN,	/* CN=No Lists, below the anchor, without cRLSign */
	ELSEWHERE,	/* CN=Elsewhere, below another anchor of ours */
	SIGNERS,
};

struct world {
	X509 *root, *away;		/* anchors */
	EVP_PKEY *root_key, *away_key;
	X509 *certs[SIGNERS];
	EVP_PKEY *keys[SIGNERS];
	X509 *cert;			/* about whom is asked; made anew by world_cert() */
	STACK_OF(X509) *chain;
	struct cm_trust *trust;
	struct cm_known known;
	time_t now;
};
void world_open(struct world *w, const char *crl_dir);
void world_close(struct world *w);
/* Of the CA, with these extensions as openssl.cnf has them; a NUL-terminated list of lines. */
void world_cert(struct world *w, const char *extensions, bool is_ca);

/* Times in seconds from now; from 0: a minute ago, to 0: in a day. */
struct list {
	enum signer by;
	long number, base, from, to;
	bool listed;			/* the certificate stands in it, with: */
	int reason;
	const char *point, *relative;
	unsigned scope, reasons;
	bool undated;			/* without nextUpdate */
	const char *freshest;
};
/* DER, to be freed with free(). */
uint8_t *world_list(const struct world *w, const struct list *l, size_t *len);
/* A question about the certificate; to be freed with world_answered(). */
struct cm_question world_question(struct world *w, struct cm_crl_index **lists);
void world_answered(struct cm_question *q);

#endif
