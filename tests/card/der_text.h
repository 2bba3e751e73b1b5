/* tests/card/der_text.h - certificates written as text, right or wrong in any place. */
#ifndef CM_TESTS_DER_TEXT_H
#define CM_TESTS_DER_TEXT_H

#include "base/buf.h"

/*
 * Hex digits are octets, 'text' is itself, {...} is a length and its content;
 * spaces mean nothing.  "0C{'Alice'}" is a UTF8String.
 */
enum der_form {
	DER_RIGHT,
	DER_LONG,		/* the length in one octet more than it needs */
	DER_INDEFINITE,		/* 80 ... 00 00 */
	DER_HUGE,		/* 84 7F FF FF FF */
	DER_OVER,		/* one more than there is */
	DER_SHORT,		/* one less than there is */
};

/* Append text to out; the length of the wrong-th "{" takes this form.  False: there are not so many. */
bool der_text(const char *text, size_t wrong, enum der_form form, struct cm_buf *out);

/* A certificate; what is NULL is as in an ordinary one. */
struct cert_text {
	const char *version, *serial, *algorithm, *issuer, *validity, *subject, *spki, *extensions;
	const char *outer_algorithm, *signature, *tail;
};
void cert_text(const struct cert_text *c, struct cm_buf *text);

#define OID_CN	"0603 550403"
#define OID_O	"0603 55040A"
#define OID_OU	"0603 55040B"
#define OID_C	"0603 550406"
#define OID_UID	"060A 0992268993F22C640101"
#define OID_DC	"060A 0992268993F22C640119"
#define UTF8(s)	"0C{'" s "'}"
#define ATTR(type, value)	"30{" type " " value "}"
#define RDN(type, value)	"31{" ATTR(type, value) "}"
#define NAME(rdns)	"30{" rdns "}"

#define EXT(oid, value)		"30{06{" oid "} 04{" value "}}"
#define CRITICAL(oid, value)	"30{06{" oid "} 0101FF 04{" value "}}"
#define EXTENSIONS(list)	"A3{30{" list "}}"
#define SAN(names)	EXT("551D11", "30{" names "}")
#define OTHER(oid, value)	"A0{06{" oid "} A0{" value "}}"
#define OID_UPN		"2B060104018237140203"
#define OID_FASC_N	"6086480165030606"
#define OID_SID		"2B0601040182371902"
#define SID_EXT(sid)	EXT(OID_SID, "30{" OTHER(OID_SID "01", "04{'" sid "'}") "}")
#define UPN(s)		OTHER(OID_UPN, UTF8(s))

/* An AD certificate: issuer and serial are those of [MS-PKCA]'s readers' favourite example. */
extern const struct cert_text ad_sample;

#endif /* CM_TESTS_DER_TEXT_H */
