/* tests/mapper/make_cert.h - certificates with just the fields a test is about. */
#ifndef CM_TESTS_MAKE_CERT_H
#define CM_TESTS_MAKE_CERT_H

#include "card/cert.h"

/* One attribute of a name. */
struct part {
	const char *oid;	/* "CN", or dotted; NULL ends the list */
	const char *value;
	int len;		/* 0: strlen(value) */
	int type;		/* V_ASN1_...; 0: UTF8String */
	bool joined;		/* in the same RDN as the one before */
};
#define P(o, ...)	{ .oid = (o), .value = __VA_ARGS__ }

/* An extension as openssl's configuration has it: "keyUsage", "digitalSignature". */
struct ext {
	const char *name;	/* NULL ends the list */
	const char *value;
};

/* A text of the certificate that may hold a NUL; ptr NULL: not there. */
struct cert_spec {
	const struct part *subject, *issuer;	/* NULL: CN=subject, CN=issuer */
	const char *serial;			/* hex; NULL: "01" */
	struct cm_blob upn, mail;
	const struct ext *extensions;		/* NULL: none but those above make */
};

/* Signed and decoded; fails the test when that cannot be. */
struct cm_cert *make_cert(const struct cert_spec *spec);

#endif /* CM_TESTS_MAKE_CERT_H */
