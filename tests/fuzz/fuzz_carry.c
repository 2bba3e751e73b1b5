/*
 * tests/fuzz/fuzz_carry.c - an export of accounts, sealed and opened, is put into a store.
 *
 * Input: one octet, then a sealed file (0) or what it would hold (anything else).
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cache/transfer.h"
#include "service/carry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum cm_err
permit(void *arg, const struct cm_transfer_row *row, struct cm_trace *t)
{
	(void)arg;
	(void)t;
	if (row->account->uid < 1000 || row->account->gid < 1000)
		abort();
	return CM_OK;
}

static void
told(void *arg, const struct cm_account *a, const char *left)
{
	if (left == NULL && (a->name[0] == '\0' || strchr(a->name, '/') != NULL || a->uid < 1000))
		abort();
	*(size_t *)arg += left == NULL;
}

static enum cm_err
count(void *arg, const struct cm_kept *k)
{
	(void)k;
	++*(size_t *)arg;
	return CM_OK;
}

static void
apply(struct cm_blob octets)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	char folder[] = "/dev/shm/cm_fuzz_XXXXXX", path[64], name[80];
	const struct cm_accounts_options o = { .path = path, .first_uid = 1000, .first_gid = 1000 };
	size_t in = 0, rows = 0;
	const struct cm_transfer_watch w = { permit, told, &in };
	struct cm_accounts *s = NULL;
	enum cm_err err;

	if (mkdtemp(folder) == NULL)
		return;
	snprintf(path, sizeof(path), "%s/db", folder);
	if (cm_accounts_open(&o, NULL, &s) != CM_OK)
		abort();
	err = cm_transfer_apply(s, octets, 2000000000, &w, NULL);
	if (cm_accounts_list(s, NULL, count, &rows) != CM_OK || (err != CM_OK && rows != 0) || (err == CM_OK && rows > in))
		abort();
	cm_accounts_close(&s);
	for (size_t i = 0; i < CM_COUNT(suffixes); i++) {
		snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
		unlink(name);
	}
	rmdir(folder);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t key[CM_CARRY_KEY];
	struct cm_buf plain = { 0 };

	if (size < 1)
		return 0;
	if (data[0] != 0)
		apply((struct cm_blob){ data + 1, size - 1 });
	else if (cm_carry_open((struct cm_blob){ data + 1, size - 1 }, key, NULL, &plain) == CM_OK)
		apply(cm_buf_blob(&plain));
	cm_buf_free(&plain);
	return 0;
}
