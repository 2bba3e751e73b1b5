/* tests/service/store_folder.c - a store of accounts in a folder of its own, for one test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "store_folder.h"

void
store_folder_open(struct store_folder *f)
{
	char path[96];
	const struct cm_accounts_options o = { .path = path, .offline_max = 86400, .first_uid = 1000, .first_gid = 1000 };

	snprintf(f->folder, sizeof(f->folder), "/tmp/cardmap-store-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(path, sizeof(path), "%s/accounts.db", f->folder);
	assert_int_equal(cm_trace_new(&f->trace), CM_OK);
	assert_int_equal(cm_accounts_open(&o, f->trace, &f->store), CM_OK);
}

void
store_folder_close(struct store_folder *f)
{
	char command[128];

	cm_accounts_close(&f->store);
	cm_trace_free(&f->trace);
	snprintf(command, sizeof(command), "rm -rf %s", f->folder);
	assert_int_equal(system(command), 0);
}
