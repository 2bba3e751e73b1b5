/* tests/mapper/gen_cert.h - certificates at random: odd, but such as this project decodes. */
#ifndef CM_TESTS_GEN_CERT_H
#define CM_TESTS_GEN_CERT_H

#include "card/cert.h"

/* The same numbers everywhere for the same seed. */
struct gen {
	uint64_t state;
};
uint32_t gen_number(struct gen *g, uint32_t below);
/* True once in n times. */
bool gen_once_in(struct gen *g, uint32_t n);

/* What is odd about a certificate, as far as somebody must know it. */
enum gen_odd {
	ODD_EMPTY_ATTRIBUTE = 1 << 0,	/* in a name an attribute whose value is empty */
	ODD_EMPTY_SAN = 1 << 1,		/* an rfc822Name, dNSName or URI without a character */
	ODD_X400 = 1 << 2,
	ODD_EDI = 1 << 3,
	ODD_UPN_TYPE = 1 << 4,		/* a UPN that is not a UTF8String */
	ODD_PKINIT = 1 << 5,		/* a KRB5PrincipalName that is none */
	ODD_SERIAL = 1 << 6,		/* zero, or negative */
	ODD_NUL = 1 << 7,		/* in an alternative name */
	ODD_LONG_OID = 1 << 8,		/* a registeredID longer than 127 characters */
};

/* der is emptied first. */
void gen_cert(struct gen *g, struct cm_buf *der, unsigned *odd);

#endif /* CM_TESTS_GEN_CERT_H */
