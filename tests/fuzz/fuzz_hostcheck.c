/* tests/fuzz/fuzz_hostcheck.c - AP-REQs: as they come, and with what is sealed inside made by others too. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "krb5/hostcheck.h"
#include "tests/krb5/forge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static const uint8_t nonce[32];
static struct cm_hostcheck *h;

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char keytab[64], conf[80];
	const struct cm_hostcheck_options o = { .config = conf, .keytab = keytab };
	struct forge f;

	(void)argc;
	(void)argv;
	snprintf(keytab, sizeof(keytab), "/dev/shm/cm-fuzz-%u", (unsigned)getpid());
	snprintf(conf, sizeof(conf), "%s.conf", keytab);
	forge_defaults(&f, nonce, cm_clock_now());
	forge_keytab(&f, keytab);
	if (cm_hostcheck_open(&o, NULL, &h) != CM_OK)
		abort();
	unlink(conf);
	return 0;
}

/* The first octet says which part the rest is: the whole, what the KDC sealed, or what the client did. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cm_buf ticket = { 0 }, authenticator = { 0 }, request = { 0 };
	struct cm_blob rest = { data + 1, size - 1 };
	struct cm_vouched v;
	struct forge f;

	if (size == 0 || size > 16384)
		return 0;
	forge_defaults(&f, nonce, cm_clock_now());
	forge_ticket(&f, &ticket);
	forge_authenticator(&f, &authenticator);
	if (data[0] == 'T')
		forge_request(&f, rest, cm_buf_blob(&authenticator), &request);
	else if (data[0] == 'A')
		forge_request(&f, cm_buf_blob(&ticket), rest, &request);
	else
		cm_buf_add(&request, rest.ptr, rest.len);
	if (cm_hostcheck_verify(h, cm_buf_blob(&request), nonce, f.authtime, NULL, &v) == CM_OK) {
		const char *realm = strrchr(v.principal, '@');

		assert(realm != NULL && strcmp(realm, "@" FORGE_REALM) == 0);
		assert(v.authtime >= f.authtime - CM_CLOCK_SKEW && v.authtime <= cm_clock_now() + CM_CLOCK_SKEW);
	} else {
		assert(v.principal == NULL);
	}
	cm_vouched_clear(&v);
	cm_buf_free(&ticket);
	cm_buf_free(&authenticator);
	cm_buf_free(&request);
	return 0;
}
