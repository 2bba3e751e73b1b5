/*
 * tests/fuzz/fuzz_possession.c - any octets are a kept key and a signature, or none: what counts has the one form there is.
 *
 * Two octets say how long the key is, big end first; the rest is the signature over a nonce of zeros.
 */
#include <stdlib.h>

#include "service/possession.h"

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
	static const uint8_t nonce[32];
	uint8_t sha1[20], spki[32], packed[CM_KEY_PACKED_MAX];
	struct cm_blob first, signature;
	struct cm_key key;
	size_t len;
	enum cm_err err;

	if (size < 2 || (len = (size_t)data[0] << 8 | data[1]) > size - 2)
		return 0;
	first = (struct cm_blob){ data + 2, len };
	signature = (struct cm_blob){ data + 2 + len, size - 2 - len };
	if (!cm_key_unpack(first, &key))
		return 0;
	require(cm_blob_equal(cm_key_pack(&key, packed), first));
	require(cm_key_equal(&key, &key));
	err = cm_possession_check(&key, nonce, signature, NULL);
	require((cm_key_hashes(&key, sha1, spki) == CM_ERR_SYNTAX) == (err == CM_ERR_SYNTAX));
	if (err == CM_OK && key.kind == CM_KEY_RSA)
		require(signature.len == key.len);
	else if (err == CM_OK)
		require(signature.len >= 8 && signature.len <= 104 && signature.ptr[0] == 0x30 && signature.ptr[1] == signature.len - 2);
	return 0;
}
