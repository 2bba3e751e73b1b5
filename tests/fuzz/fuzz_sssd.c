/* tests/fuzz/fuzz_sssd.c - sssd.conf, as SSSD would read it. */
#include "import_again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_import(cm_import_sssd, data, size);
	return 0;
}
