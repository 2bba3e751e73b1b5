/* card/cert.h - a certificate decoded once, with every field that is used later. */
#ifndef CM_CARD_CERT_H
#define CM_CARD_CERT_H

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <time.h>

#include "base/blob.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/trace.h"

/*
 * Immutable once made, reference counted, may be read by several threads.
 * Every blob it gives is borrowed and lives as long as the certificate.
 * Strings are the decoded bytes as they stand in the certificate, NUL and all,
 * in UTF-8: BMPString and TeletexString are converted (Teletex as ISO 8859-1).
 */
struct cm_cert;

/* Largest certificate accepted, bytes of DER. */
#define CM_CERT_MAX	((size_t)64 << 10)

/*
 * Decode DER (RFC 5280), strictly: nothing trailing, minimal lengths, no
 * extension twice, well-formed strings.  The fast decoder does not look at the
 * public key; cm_cert_x509() does, when it is first asked for, and there the
 * two decoders must agree field by field.
 *
 * CM_OK          *out is the caller's, for cm_cert_free
 * CM_ERR_SYNTAX  reason CERT_MALFORMED names the field
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_cert_decode(struct cm_blob der, struct cm_trace *t,
    struct cm_cert **out);

/* The first certificate of a file in PEM or DER.  CM_ERR_CONFIG when it cannot be read. */
CM_MUST_USE enum cm_err cm_cert_load(const char *path, struct cm_trace *t,
    struct cm_cert **out);

struct cm_cert *cm_cert_ref(const struct cm_cert *c);
void cm_cert_free(struct cm_cert **c);

struct cm_blob cm_cert_der(const struct cm_cert *c);
struct cm_blob cm_cert_sha256(const struct cm_cert *c);	/* of the DER, 32 bytes: its identity everywhere */

/*
 * OpenSSL's view of the same bytes, made at the first call and kept; borrowed.
 * CM_ERR_SYNTAX (CERT_MALFORMED) when OpenSSL refuses the bytes, or reads any
 * field of ours differently.
 */
CM_MUST_USE enum cm_err cm_cert_x509(const struct cm_cert *c, struct cm_trace *t, X509 **out);

/* The public key; borrowed.  Fails as cm_cert_x509. */
CM_MUST_USE enum cm_err cm_cert_key(const struct cm_cert *c, struct cm_trace *t, EVP_PKEY **out);

/* Names: DER of the Name (RFC 5280 4.1.2.4), and its attributes in encoded order. */
struct cm_cert_attr {
	struct cm_blob oid;	/* DER content octets of the type */
	struct cm_blob value;	/* UTF-8 */
	unsigned rdn;		/* attributes of one RDN share the number; 0 is the root's */
	bool text;		/* false: not a string type, value holds the DER */
	struct cm_blob der;	/* the value as encoded, tag and length too */
};
struct cm_cert_name {
	struct cm_blob der;
	const struct cm_cert_attr *attrs;
	size_t count;
};
const struct cm_cert_name *cm_cert_subject(const struct cm_cert *c);
const struct cm_cert_name *cm_cert_issuer(const struct cm_cert *c);

/* serialNumber: the INTEGER's content octets, most significant first, a leading 00 kept as encoded. */
struct cm_blob cm_cert_serial(const struct cm_cert *c);
time_t cm_cert_not_before(const struct cm_cert *c);
time_t cm_cert_not_after(const struct cm_cert *c);
struct cm_blob cm_cert_spki(const struct cm_cert *c);	/* DER of SubjectPublicKeyInfo */
/* The octets of subjectPublicKey, its BIT STRING: what RFC 5280 4.2.1.2 (1) hashes.  Empty: it cannot be read. */
struct cm_blob cm_cert_public_key(const struct cm_cert *c);

/*
 * Single fields by the names of SmartcardLogin.plist and a few more.  A field
 * that the certificate lacks, or has empty, is {NULL, 0}.  Where a field may
 * stand several times this is the first; cm_cert_field_count() tells how many.
 * Empty ones are passed over and not counted, but an empty organizational unit
 * keeps its number.
 */
enum cm_cert_field {
	CM_CERT_COMMON_NAME,		/* "Common Name": subject CN, the last (most specific) one */
	CM_CERT_RFC822_NAME,		/* "RFC 822 Name": SAN rfc822Name */
	CM_CERT_UPN,			/* "NT Principal Name": SAN otherName 1.3.6.1.4.1.311.20.2.3 */
	CM_CERT_ORGANIZATION,		/* "Organization" */
	CM_CERT_ORGANIZATIONAL_UNIT_1,	/* "OrganizationalUnit:1", in encoded order */
	CM_CERT_ORGANIZATIONAL_UNIT_2,
	CM_CERT_ORGANIZATIONAL_UNIT_3,
	CM_CERT_COUNTRY,		/* "Country" */
	CM_CERT_DNS_NAME,
	CM_CERT_URI,
	CM_CERT_FASC_N,			/* SAN otherName 2.16.840.1.101.3.6.6: the OCTET STRING's bytes */
	CM_CERT_UUID,			/* SAN URI urn:uuid:, its text without the prefix */
	CM_CERT_SID,			/* extension 1.3.6.1.4.1.311.25.2: S-1-... as text */
	CM_CERT_SUBJECT_KEY_ID,		/* bytes */
	CM_CERT_AUTHORITY_KEY_ID,	/* keyIdentifier bytes */
	CM_CERT_FIELD_COUNT
};
const char *cm_cert_field_name(enum cm_cert_field f);	/* the plist's names for the first eight */
bool cm_cert_field_is_text(enum cm_cert_field f);	/* false: raw bytes, shown as hex */
struct cm_blob cm_cert_field(const struct cm_cert *c, enum cm_cert_field f);
size_t cm_cert_field_count(const struct cm_cert *c, enum cm_cert_field f);

/* Every SubjectAltName (RFC 5280 4.2.1.6), in encoded order. */
struct cm_cert_san {
	int tag;		/* GeneralName's context tag: 0 otherName, 1 rfc822Name, 2 dNSName, 4 directoryName, 6 URI, 7 IP ... */
	struct cm_blob oid;	/* otherName's type-id, content octets; else empty */
	struct cm_blob value;	/* text of strings; for 0, 3, 4, 5 the DER of the value; for 7 the octets */
	struct cm_blob text;	/* of a UPN: its characters, whatever string type it has */
	const struct cm_cert_name *name;	/* of a directoryName; else NULL */
};
const struct cm_cert_san *cm_cert_sans(const struct cm_cert *c, size_t *count);

/* keyUsage bits as in RFC 5280 4.2.1.3: bit n of the result is bit n there.  false: no such extension. */
#define CM_KU_DIGITAL_SIGNATURE	(1u << 0)
bool cm_cert_key_usage(const struct cm_cert *c, unsigned *bits);

/* extKeyUsage: OIDs as DER content octets; count 0: no such extension. */
const struct cm_blob *cm_cert_ekus(const struct cm_cert *c, size_t *count);
/* Is the dotted OID among them? */
bool cm_cert_has_eku(const struct cm_cert *c, const char *dotted);

/*
 * Is it meant for logging in, as far as it says: keyUsage, where it has one, with digitalSignature, and, of
 * extended uses, none or one of clientAuth, smart card logon and PKINIT, and never that of a card's own
 * authentication (FIPS 201-2, id-PIV-cardAuth)?
 */
bool cm_cert_is_for_login(const struct cm_cert *c);

/* URLs as text: cRLDistributionPoints' fullName URIs; authorityInfoAccess OCSP and caIssuers. */
enum cm_cert_url { CM_URL_CDP, CM_URL_OCSP, CM_URL_CA_ISSUERS };
const struct cm_blob *cm_cert_urls(const struct cm_cert *c, enum cm_cert_url kind, size_t *count);

/* id-pkix-ocsp-nocheck is not here: trust/ asks OpenSSL for what only a chain needs. */

/* "1.3.6.1.5.5.7.3.2" of DER content octets; "#" and hex of an OID with an arc above 63 bits. */
void cm_cert_oid_text(struct cm_blob oid, struct cm_buf *out);

/* For messages: "CN=Alice Example,O=..." subject as RFC 4514 made printable; borrowed, made once. */
const char *cm_cert_subject_text(const struct cm_cert *c);
const char *cm_cert_issuer_text(const struct cm_cert *c);

#endif /* CM_CARD_CERT_H */
