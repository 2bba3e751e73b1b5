/* tests/fuzz/fuzz_cardfile.c - a card file: certificate and key in PEM, the PIN its password. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "card/card.h"

static void
use(struct cm_card *c, const struct cm_secret *pin)
{
	const cm_deadline deadline = cm_deadline_in(60000);
	struct cm_cert *cert = NULL;
	struct cm_proof *proof = NULL;
	unsigned tries = 0, left = 0;

	if (cm_card_certificate(c, CM_SLOT_AUTHENTICATION, deadline, NULL, &cert) == CM_OK &&
	    cm_card_pin_tries(c, deadline, NULL, &tries) == CM_OK &&
	    cm_card_verify_pin(c, pin, false, deadline, NULL, &left) == CM_OK &&
	    cm_card_prove(c, CM_SLOT_AUTHENTICATION, cert, deadline, NULL, &proof) == CM_OK &&
	    !cm_proof_is_for(proof, cert))
		abort();
	cm_proof_free(&proof);
	cm_cert_free(&cert);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const int fd = memfd_create("alice.pem", MFD_CLOEXEC);
	struct cm_secret *pin = NULL;
	struct cm_card *c = NULL;
	char source[64];

	snprintf(source, sizeof(source), "file:/proc/self/fd/%d", fd);
	if (fd >= 0 && write(fd, data, size) == (ssize_t)size &&
	    cm_secret_new(cm_blob_str("40718259"), &pin) == CM_OK &&
	    cm_card_open(source, CM_CARD_LOOK, cm_deadline_in(1000), NULL, &c) == CM_OK)
		use(c, pin);
	cm_card_close(&c);
	cm_secret_free(&pin);
	close(fd);
	return 0;
}
