/*
 * tests/fuzz/fuzz_sealed.c - any octets are one sealed secret, of which every part is inside, or none; and whatever a
 * card makes of it, what was not sealed does not open.
 *
 * The first octet says how much of the rest is the card's answer, in steps of 8.
 */
#include <stdlib.h>

#include "service/secret_seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool holds)
{
	if (!holds)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct cm_sealed_for whose = { .name = "alice", .uid = 10001 };
	struct cm_secret *secret = NULL;
	struct cm_sealed s;
	struct cm_blob raw, octets;
	size_t len;

	if (size < 1 || (len = (size_t)data[0] * 8) > size - 1)
		return 0;
	raw = (struct cm_blob){ data + 1, len };
	octets = (struct cm_blob){ data + 1 + len, size - 1 - len };
	if (cm_sealed_read(octets, &s) != CM_OK)
		return 0;
	require(octets.len <= CM_SEALED_MAX && s.head.ptr == octets.ptr && s.tag.ptr + s.tag.len == octets.ptr + octets.len);
	require(s.head.len + s.nonce.len + s.cipher.len + s.tag.len == octets.len && s.share.ptr + s.share.len == s.head.ptr + s.head.len);
	require(s.key.len == CM_SEALED_KEY_LEN && s.cipher.len == CM_SECRET_LEN);
	require(cm_secret_open(&s, &whose, raw, NULL, &secret) != CM_OK && secret == NULL);
	return 0;
}
