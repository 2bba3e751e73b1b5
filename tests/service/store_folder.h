/* tests/service/store_folder.h - a store of accounts in a folder of its own, for one test. */
#ifndef CM_TESTS_SERVICE_STORE_FOLDER_H
#define CM_TESTS_SERVICE_STORE_FOLDER_H

#include "cache/accounts.h"

struct store_folder {
	char folder[64];
	struct cm_accounts *store;
	struct cm_trace *trace;
};

/* What fails ends the test. */
void store_folder_open(struct store_folder *f);
void store_folder_close(struct store_folder *f);

#endif /* CM_TESTS_SERVICE_STORE_FOLDER_H */
