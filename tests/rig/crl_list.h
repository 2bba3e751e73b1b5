/* tests/rig/crl_list.h - revocation lists of any size and any mischief, made fast: OpenSSL signs, and no more. */
#ifndef CM_TESTS_RIG_CRL_LIST_H
#define CM_TESTS_RIG_CRL_LIST_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define CRL_SERIAL_MAX	20

/* What entries have, beside serial number and date. */
enum {
	CRL_REASONS = 1,	/* every fourth has a reasonCode, of all there are but removeFromCRL */
	CRL_REMOVED = 2,	/* every eighth is removeFromCRL */
	CRL_INVALIDITY = 4,	/* every third an invalidityDate, */
	CRL_HOLD_CODE = 8,	/* every fifth a holdInstructionCode, */
	CRL_UNKNOWN = 16,	/* every sixth an extension nobody knows, not critical */
	CRL_SORTED = 32,	/* serial numbers ascend */
	CRL_TWICE = 64,		/* every tenth stands there twice, the second time revoked later */
	CRL_UTC_MIXED = 128,	/* every seventh date is a GeneralizedTime */
};

/* What issuingDistributionPoint says beside its name and reasons. */
enum {
	CRL_ONLY_USERS = 1, CRL_ONLY_CAS = 2, CRL_ONLY_ATTRIBUTES = 4,
	CRL_INDIRECT = 8,	/* also where issuers is 0 */
	CRL_SCOPE = 16,		/* it is there, though it says nothing */
};

/* An entry about this very certificate. */
struct crl_named {
	const X509 *cert;	/* of another issuer than the list's: with certificateIssuer */
	int reason;		/* RFC 5280 5.3.1; -1: none is given */
	time_t when;		/* 0: when the list is of */
};

struct crl_list {
	X509 *ca;			/* borrowed: names the issuer */
	EVP_PKEY *key;			/* borrowed: signs; the CA's, if it is to be believed */
	size_t entries;
	unsigned serial_len;		/* octets of each serial number; 0: 1 to 20, by turns */
	unsigned seed;			/* the same seed makes the same list */
	unsigned flags;
	time_t this_update, next_update;	/* next_update 0: names none */
	long number, base;		/* 0: none; base makes it a delta CRL */
	unsigned issuers;		/* not 0: indirect, with the certificates of so many other CAs in turn */
	const char *point;		/* not NULL: issuingDistributionPoint with this URI, */
	const char *relative;		/* or with nameRelativeToCRLIssuer, of this CN */
	unsigned scope;
	unsigned reasons;		/* onlySomeReasons: bit n is ReasonFlags' n; 0: all */
	const char *freshest;		/* not NULL: freshestCRL with this URI */
	bool key_id;			/* authorityKeyIdentifier: the CA's subjectKeyIdentifier */
	const struct crl_named *named;	/* before the other entries */
	size_t named_count;
	const char *hostile;		/* a name of crl_list_hostile(); NULL: an honest list */
	bool pss;			/* RSASSA-PSS, of an RSA key */
};

/* The serial number of entry i: its octets, as an INTEGER has them without a leading zero. */
size_t crl_list_serial(const struct crl_list *l, size_t i, uint8_t serial[CRL_SERIAL_MAX]);
/* The name of issuer i, from 1; the caller frees it. */
X509_NAME *crl_list_issuer(unsigned i);
/* Names of hostile forms, one after the other; NULL: no more. */
const char *crl_list_hostile(size_t i);
/* DER, to be freed with free(); NULL: no memory, no signature, no such form. */
uint8_t *crl_list_make(const struct crl_list *l, size_t *len);

#endif /* CM_TESTS_RIG_CRL_LIST_H */
