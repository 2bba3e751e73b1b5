/*
 * tests/fuzz/fuzz_store.c - what a damaged or hostile store holds.
 *
 * First byte 0: the rest are the bytes of the database file.  Else: the values
 * of an account's row (2: of a pairing's), each with kind and length before it,
 * put there with a digest that fits, so that what reads rows gets past it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cache/accounts_internal.h"
#include "cache/pairings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of the tables, the digest not counted. */
#define COLUMNS	18
#define PAIRING_COLUMNS	6

/* The texts of an account end where they say. */
static enum cm_err
visit(void *arg, const struct cm_kept *k)
{
	size_t *total = arg;

	*total += strlen(k->account->name) + strlen(k->account->source) + k->cert_der.len;
	for (size_t i = 0; i < k->account->group_count; i++)
		*total += strlen(k->account->groups[i].name);
	for (size_t i = 0; i < k->evidence_count; i++)
		*total += strlen(k->evidence[i].source) + k->evidence[i].serial_len;
	return CM_OK;
}

static enum cm_err
visit_pairing(void *arg, const struct cm_pairing *p)
{
	if (p->user == NULL || p->user[0] == '\0' || p->subject == NULL)
		abort();
	*(struct cm_pairing *)arg = *p;	/* its hash, for below */
	return CM_OK;
}

static size_t
split(const uint8_t *data, size_t size, struct cm_column v[COLUMNS])
{
	size_t at = 0, n;

	for (n = 0; n < COLUMNS && size - at >= 3; n++) {
		size_t len = (size_t)data[at + 1] << 8 | data[at + 2];

		v[n].kind = data[at] % 3;
		at += 3;
		if (len > size - at)
			len = size - at;
		v[n].bytes = (struct cm_blob){ data + at, len };
		for (size_t i = 0; i < len && i < 8; i++)
			v[n].n = (int64_t)((uint64_t)v[n].n << 8 | data[at + i]);
		at += len;
	}
	return n;
}

static void
use(struct cm_accounts *s, struct cm_trace *t, bool whole)
{
	struct cm_pairing pairing = { .user = NULL }, found = { .user = NULL };
	struct cm_memory *m = NULL;
	size_t total = 0;

	if (cm_accounts_list(s, t, visit, &total) == CM_OK && total > (size_t)1 << 30)
		abort();
	if (cm_accounts_recall(s, 1800000000, t, &m) == CM_OK && m == NULL)
		abort();
	cm_memory_free(&m);
	if (cm_pairings_list(s, NULL, t, visit_pairing, &pairing) != CM_OK || pairing.user == NULL)
		return;
	/* In a damaged file a row may be listed that cannot be found. */
	if (cm_pairings_find_hash(s, pairing.hash, t, &found) != CM_OK && whole)
		abort();
	cm_pairing_clear(&found);
	if ((cm_pairings_remove(s, NULL, pairing.hash, t) != CM_OK ||
	    cm_pairings_find_hash(s, pairing.hash, t, &found) != CM_ERR_ABSENT) && whole)
		abort();
	cm_pairing_clear(&found);
}

static void
write_file(const char *path, const uint8_t *data, size_t size)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	close(fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	char folder[] = "/dev/shm/cm_fuzz_XXXXXX", path[64], name[80];
	struct cm_accounts_options o = { .path = path, .first_uid = 1000, .first_gid = 1000 };
	struct cm_column v[COLUMNS] = { { .kind = CM_VALUE_INTEGER } };
	struct cm_accounts *s = NULL;
	struct cm_trace *t = NULL;

	if (size < 1 || mkdtemp(folder) == NULL || cm_trace_new(&t) != CM_OK)
		return 0;
	snprintf(path, sizeof(path), "%s/db", folder);
	if (data[0] == 0)
		write_file(path, data + 1, size - 1);
	if (cm_accounts_open(&o, t, &s) == CM_OK) {
		const bool pairing = data[0] == 2;
		const size_t columns = pairing ? PAIRING_COLUMNS : COLUMNS;

		if (data[0] == 0 || (split(data + 1, size - 1, v) >= columns &&
		    cm_store_put(s, pairing ? "pairing" : "account", v, columns, t) == CM_OK))
			use(s, t, data[0] != 0);
		cm_accounts_close(&s);
	} else if (cm_trace_reason(t) != CM_REASON_STORE) {
		abort();
	}
	for (size_t i = 0; i < CM_COUNT(suffixes); i++) {
		snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
		unlink(name);
	}
	rmdir(folder);
	cm_trace_free(&t);
	return 0;
}
