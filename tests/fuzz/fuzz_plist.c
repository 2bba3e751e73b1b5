/* tests/fuzz/fuzz_plist.c - SmartcardLogin.plist, XML and binary. */
#include "import_again.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_import(cm_import_plist, data, size);
	return 0;
}
