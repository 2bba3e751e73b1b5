/* tests/trust/fuzz_pki.h - the certificates that the seeds of fuzz_crl are about; their keys are gone. */
#ifndef CM_TESTS_TRUST_FUZZ_PKI_H
#define CM_TESTS_TRUST_FUZZ_PKI_H

#include <openssl/pem.h>

#include "trust/trust_internal.h"

/* When the seeds were signed. */
#define FUZZ_NOW	1795252728

static const char fuzz_ca[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBeDCCAR6gAwIBAgIBATAKBggqhkjOPQQDAjASMRAwDgYDVQQDDAdGdXp6IENB\n"
	"MCAXDTI2MTEyMTA5MTc0OFoYDzIwODEwODI0MDkxNzQ4WjASMRAwDgYDVQQDDAdG\n"
	"dXp6IENBMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEagT4zzrw4nabbb3PhHkv\n"
	"wi2nGbcflUeZCtNElk6+XfyWn2ppOrqqqJUuipWE8ThqRS3AaPBoIIe2Rl5VhbEB\n"
	"bKNjMGEwHQYDVR0OBBYEFMrHQbC+5DvHlF6KBufuupSEsp51MB8GA1UdIwQYMBaA\n"
	"FMrHQbC+5DvHlF6KBufuupSEsp51MA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/\n"
	"BAQDAgEGMAoGCCqGSM49BAMCA0gAMEUCIQC8EaUWn7O3kVRMGpB2Feqy2vsgh9Wg\n"
	"LqVM8KEr/qLCNQIgJVV2eBxflwkFMINXjUJLxxyYW+jDINkpAcd1Lzx99qs=\n"
	"-----END CERTIFICATE-----\n";
static const char fuzz_leaf[] =
	"-----BEGIN CERTIFICATE-----\n"
	"MIIBtzCCAVygAwIBAgICEjQwCgYIKoZIzj0EAwIwEjEQMA4GA1UEAwwHRnV6eiBD\n"
	"QTAgFw0yNjExMjEwOTE3NDhaGA8yMDgxMDgyNDA5MTc0OFowFDESMBAGA1UEAwwJ\n"
	"RnV6eiBDYXJkMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAERpfTww59UJI6+cc/\n"
	"E3+8eZv2rzdgy7SRnkCVfgn/0WefwjQ48BiSIlSKbx8hfKr+G+jRgDgsl7HFXRUN\n"
	"3RuiwaOBnTCBmjAdBgNVHQ4EFgQUURPaKVC/xvGjXd4DJnlXRJ6bUwQwHwYDVR0j\n"
	"BBgwFoAUysdBsL7kO8eUXooG5+66lISynnUwDAYDVR0TAQH/BAIwADALBgNVHQ8E\n"
	"BAMCB4AwEwYDVR0lBAwwCgYIKwYBBQUHAwIwKAYDVR0fBCEwHzAdoBugGYYXaHR0\n"
	"cDovLzEyNy4wLjAuMS9jYS5jcmwwCgYIKoZIzj0EAwIDSQAwRgIhAOHVNJ4loPM0\n"
	"fAvOt8JmCspAEGSva7FNPGoyPXuwmBKpAiEAhLfWLHR2j/iG0exj5Q2ss6jr2rzZ\n"
	"+EiQkkyEZnZHFAA=\n"
	"-----END CERTIFICATE-----\n";

static X509 *
fuzz_x509(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	BIO_free(bio);
	return x;
}

/* A question about the leaf; the caller frees cert, issuer and why. */
static inline struct cm_question
fuzz_question(const struct cm_trust *tr, const struct cm_known *known)
{
	return (struct cm_question){ .trust = tr, .known = known, .now = FUZZ_NOW, .note = "",
	    .cert = fuzz_x509(fuzz_leaf), .issuer = fuzz_x509(fuzz_ca) };
}

#endif
