/* card/cert_internal.h - the decoded certificate itself, for the files that fill, check and show it. */
#ifndef CM_CARD_CERT_INTERNAL_H
#define CM_CARD_CERT_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "card/cert.h"
#include "card/der_internal.h"

/* Everything from a certificate is bounded; real ones have about 15 and 20. */
#define CM_CERT_EXTENSIONS_MAX	64
#define CM_NAME_ATTRS_MAX	128

/* Content octets of an OBJECT IDENTIFIER, for tables. */
#define CM_OID(octets)	{ (const uint8_t *)(octets), sizeof(octets) - 1 }

struct cm_cert_list {		/* of struct cm_blob */
	struct cm_blob *items;
	size_t count;
};

struct cm_cert {
	atomic_uint refs;
	struct cm_blob der;	/* owned; all blobs below point into it, or into text */
	uint8_t sha256[32];
	uint8_t *text;		/* strings that had to be converted; NULL when none */
	size_t text_len;

	struct cm_blob serial;
	struct cm_cert_name issuer, subject;
	time_t not_before, not_after;
	struct cm_blob spki;

	struct cm_blob sid_extension;	/* value of szOID_NTDS_CA_SECURITY_EXT; empty without */
	struct cm_cert_san *sans;
	size_t san_count;
	struct cm_cert_list ekus;
	struct cm_cert_list urls[CM_URL_CA_ISSUERS + 1];
	unsigned key_usage;
	bool has_key_usage;

	struct cm_blob fields[CM_CERT_FIELD_COUNT];	/* {NULL, 0}: absent */
	size_t counts[CM_CERT_FIELD_COUNT];

	/* Made when first asked for, under lock; then kept and never changed. */
	pthread_mutex_t lock;
	X509 *x509;
	char *subject_text;
	char *issuer_text;
};

/*
 * cert_decode.c: fill c from c->der.  *field names what could not be read.
 * CM_ERR_SYNTAX, CM_ERR_NOMEM.
 */
CM_MUST_USE enum cm_err cm_cert_parse(struct cm_cert *c, const char **field);

/* cert_ext.c: the extensions, [3] of TBSCertificate, whose SEQUENCE in is inside of. */
CM_MUST_USE enum cm_err cm_cert_extensions(struct cm_cert *c, struct cm_der *in,
    const char **field);

/* cert_name.c: read one Name (RFC 5280 4.1.2.4); what is in n already is n's to free. */
CM_MUST_USE enum cm_err cm_cert_name_parse(struct cm_cert *c, struct cm_der *in,
    struct cm_cert_name *n);

/* Write a name as RFC 4514 section 2 (leaf first). */
void cm_cert_name_rfc4514(const struct cm_cert_name *n, struct cm_buf *out);

/*
 * cert_text.c: the element der (all its octets) as UTF-8, borrowed from the
 * certificate.
 * CM_ERR_ABSENT  it is of no string type
 * CM_ERR_SYNTAX  it is, but holds what that type does not allow
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_cert_text(struct cm_cert *c, struct cm_blob der, struct cm_blob *out);

/* Only ASCII, NUL too? (IA5String: RFC 5280 4.2.1.6) */
bool cm_cert_is_ascii(struct cm_blob v);

/* cert_ext.c: give back what an alternative name owns. */
void cm_cert_san_clear(struct cm_cert_san *s);

/* A value of field f has been seen: the first that is not empty stands, all such are counted. */
void cm_cert_note(struct cm_cert *c, enum cm_cert_field f, struct cm_blob v);

/* cert_check.c: the first field that OpenSSL reads differently, or NULL. */
const char *cm_cert_differs(const struct cm_cert *c, X509 *x);

/* Room for one more item in an array that has count; NULL leaves it as it is. */
CM_MUST_USE void *cm_cert_grow(void *array, size_t count, size_t size);

#endif /* CM_CARD_CERT_INTERNAL_H */
