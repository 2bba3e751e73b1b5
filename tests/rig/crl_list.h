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
	const char *point;		/* not NULL: issuingDistributionPoint with this URI */
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
