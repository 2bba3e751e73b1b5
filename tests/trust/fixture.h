/* tests/trust/fixture.h - the test PKI, and certificates, answers and lists that a test makes for itself. */
#ifndef CM_TESTS_TRUST_FIXTURE_H
#define CM_TESTS_TRUST_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "trust/trust.h"

#define DAY	86400
#define PKI(name)	CM_PKI_DIR "/" name

/* From the PKI by name; each ends the test when it fails.  The caller frees. */
X509 *load_x509(const char *name);
EVP_PKEY *load_key(const char *name);
struct cm_cert *load_cert(const char *name);

/* A key as EVP_PKEY_Q_keygen() makes it: "P-256", "rsa1024". */
EVP_PKEY *make_key(const char *kind);

struct recipe {
	const char *cn;
	const char *issuer;		/* certificate of the PKI that it names as issuer */
	const char *signer;		/* whose key signs; NULL: the issuer's */
	const char *key;		/* make_key() */
	const char *ku, *eku, *more;	/* values in OpenSSL's notation; more is "name=value" */
	const char *basic;		/* basicConstraints */
	const char *md;
	long from, to;			/* seconds from now */
};
/* The caller frees both; *key may be NULL: not wanted. */
X509 *make_x509(const struct recipe *r, EVP_PKEY **key);
struct cm_cert *cert_of(X509 *x);
void write_pem(const char *path, X509 *const *certs, size_t count);
void write_bytes(const char *path, const void *p, size_t len);
/* A path in a folder of this test's own; borrowed until the next call but three. */
const char *scratch(const char *name);
int remove_scratch(void **state);	/* a group's teardown */

/* An entry's reason as RFC 5280 5.3.1 numbers them; -1: the list has no entry. */
enum { NO_ENTRY = -1, NO_REASON = 0, KEY_COMPROMISE = 1, ON_HOLD = 6, REMOVED = 8 };
struct crl_recipe {
	const char *issuer, *signer;	/* names of the PKI; signer NULL: the issuer */
	X509 *ca;			/* borrowed, with its key: in place of the issuer */
	EVP_PKEY *ca_key;
	const char *names;		/* certificate whose serial stands in it */
	int reason;
	long from, to;			/* seconds from now; to 0: no nextUpdate */
	const char *extension;		/* "issuingDistributionPoint=critical,onlyCA"; NULL: none */
	bool entry_critical;		/* the entry has a critical extension nobody knows */
	const char *md;			/* NULL: SHA256 */
};
/* DER; *len is its length; free with OPENSSL_free(). */
uint8_t *make_crl(const struct crl_recipe *r, int *len);

/* What an OCSP answer says, in how far it is not an honest one. */
struct answer {
	const char *signer;		/* name of the PKI; NULL: "ocsp" */
	X509 *made;			/* borrowed, with its key: in place of the signer */
	EVP_PKEY *made_key;
	int status;			/* V_OCSP_CERTSTATUS_* */
	int reason;
	long from, to;			/* seconds from now; to 0: no nextUpdate */
	enum { NONCE_KEPT, NONCE_NONE, NONCE_OTHER } nonce;
	bool other_serial, other_issuer, twice, spoiled, no_certificate, md_sha1;
	int response_status;		/* not 0: this OCSPResponseStatus and nothing else */
	bool sha1, sha256;		/* the hash of the CertIDs, whatever was asked with */
	long produced;			/* seconds from now */
	long revoked;			/* when it was, seconds from now; 0: from */
	bool never_issued;		/* in 1970 */
	bool but_revoked;		/* twice: and the second time it is revoked */
	const char *extension, *single;	/* of the answer, of each certificate's: "1.2.3.4=critical,ASN1:NULL" */
	unsigned others;		/* certificates that it speaks of beside */
	bool trailing, ber;
};
/* Answer a request's DER; free with OPENSSL_free(). */
uint8_t *make_answer(const struct answer *a, const uint8_t *request, size_t request_len, int *len);

/* What became of a certificate's chain and revocation. */
struct outcome {
	enum cm_err err;
	enum cm_reason reason;
	enum cm_status status;
	bool passes;
	time_t signed_time;
	struct cm_evidence evidence[4];
	size_t count;
	char message[4096], ocsp[4096], crl[4096], kept[1024];	/* from the trace: "" when nothing was said */
	int64_t ms;			/* for revocation alone */
};
/* The chain must pass. */
struct outcome judge(struct cm_cert *c, const struct cm_trust_options *o, const struct cm_known *known,
    unsigned ms);

/*
 * In a child of its own, with a tmpfs of its own that these options limit: run
 * gets a folder to make there.  Cmocka's assertions are the parent's: in run,
 * CHILD_MUST ends the child, and so the test fails.
 */
void on_a_disk(const char *options, void (*run)(const char *folder, const char *mounted));
#define CHILD_MUST(what)	do { if (!(what)) { fprintf(stderr, "%s\n", #what); _exit(1); } } while (0)

/* Does text hold part?  Fails the test with both when not. */
void assert_has(const char *text, const char *part);

#endif
