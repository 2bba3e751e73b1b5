/* tests/trust/test_crl_durable.c - an index is on the disk before its name is, whenever the power goes (fsync(2), NOTES). */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/trust/fixture.h"

int __real_fsync(int fd);
int __real_renameat(int from_folder, const char *from, int to_folder, const char *to);
int __wrap_fsync(int fd);
int __wrap_renameat(int from_folder, const char *from, int to_folder, const char *to);

/* What the program did to the disk, in its order. */
static struct seen {
	enum { SYNCED, RENAMED } what;
	ino_t inode;		/* of the file that was synced, or that has a new name */
	ino_t folder;		/* of that name */
	char to[32];
} seen[32];
static size_t seen_count;
static bool broken;		/* the disk takes nothing any more */

static ino_t
inode_of(int fd)
{
	struct stat st = { 0 };

	assert_int_equal(fstat(fd, &st), 0);
	return st.st_ino;
}

int
__wrap_fsync(int fd)
{
	assert_true(seen_count < CM_COUNT(seen));
	seen[seen_count++] = (struct seen){ .what = SYNCED, .inode = inode_of(fd) };
	if (!broken)
		return __real_fsync(fd);
	errno = EIO;
	return -1;
}

int
__wrap_renameat(int from_folder, const char *from, int to_folder, const char *to)
{
	struct stat st = { 0 };

	assert_true(seen_count < CM_COUNT(seen));
	assert_int_equal(fstatat(from_folder, from, &st, 0), 0);
	seen[seen_count] = (struct seen){ .what = RENAMED, .inode = st.st_ino, .folder = inode_of(to_folder) };
	snprintf(seen[seen_count++].to, sizeof(seen->to), "%s", to);
	return __real_renameat(from_folder, from, to_folder, to);
}

static struct outcome
ask(const char *cert, const struct crl_recipe *list)
{
	static const char *const anchor[] = { PKI("inter.crt"), NULL };
	char folder[512], file[512];
	const char *const crls[] = { file, NULL };
	const struct cm_trust_options o = { .level = CM_TRUST_HARD, .anchors = anchor, .crls = crls, .crl_dir = folder,
	    .crl_keep = true, .use_crl = true, .ocsp_max = 65536, .crl_max = 1 << 20 };
	const struct cm_known known = { .now = time(NULL) };
	struct cm_cert *c = load_cert(cert);
	struct outcome r;
	uint8_t *der;
	int len;

	snprintf(folder, sizeof(folder), "%s", scratch("kept"));
	snprintf(file, sizeof(file), "%s", scratch("list.crl"));
	der = make_crl(list, &len);
	unlink(file);
	write_bytes(file, der, (size_t)len);
	OPENSSL_free(der);
	seen_count = 0;
	r = judge(c, &o, &known, 3000);
	cm_cert_free(&c);
	return r;
}

static bool
was_synced(ino_t inode, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (seen[i].what == SYNCED && seen[i].inode == inode)
			return true;
	return false;
}

/* How many names of this ending were given: each to a file that was synced before, in a folder that was synced after. */
static unsigned
named(const char *ending)
{
	unsigned count = 0;

	for (size_t i = 0; i < seen_count; i++) {
		const size_t len = strlen(seen[i].to), tail = strlen(ending);

		if (seen[i].what != RENAMED || len < tail || strcmp(seen[i].to + len - tail, ending) != 0)
			continue;
		assert_true(was_synced(seen[i].inode, 0, i));
		assert_true(was_synced(seen[i].folder, i + 1, seen_count));
		count++;
	}
	return count;
}

static void
synced_before_it_has_its_name(void **state)
{
	const struct crl_recipe first = { .issuer = "inter", .names = "bob", .reason = KEY_COMPROMISE, .from = -3600, .to = DAY };
	const struct crl_recipe next = { .issuer = "inter", .reason = NO_ENTRY, .from = -60, .to = DAY };

	(void)state;
	assert_int_equal(ask("no-aia-cdp", &first).reason, CM_REASON_NONE);
	assert_int_equal(named(".crl"), 1);
	assert_int_equal(named(".gone"), 0);
	/* What the next one says no more has a file of its own, and that is there first. */
	assert_int_equal(ask("no-aia-cdp", &next).reason, CM_REASON_NONE);
	assert_int_equal(named(".crl"), 1);
	assert_int_equal(named(".gone"), 1);
	for (size_t i = 0; i < seen_count && strstr(seen[i].to, ".gone") == NULL; i++)
		assert_null(strstr(seen[i].to, ".crl"));
	assert_int_equal(ask("bob", &next).reason, CM_REASON_REVOKED);
}

/* A list that cannot be synced has no name, and is asked all the same. */
static void
what_cannot_be_synced_replaces_nothing(void **state)
{
	const struct crl_recipe later = { .issuer = "inter", .names = "no-aia-cdp", .reason = KEY_COMPROMISE, .from = -30, .to = DAY };
	const struct crl_recipe last = { .issuer = "inter", .reason = NO_ENTRY, .from = -20, .to = DAY };
	struct outcome r;

	(void)state;
	broken = true;
	r = ask("no-aia-cdp", &later);
	broken = false;
	assert_int_equal(r.reason, CM_REASON_REVOKED);
	assert_int_equal(named(".crl") + named(".gone"), 0);
	/* Nobody kept it, so nobody carries on what it said; what the one in force has seen revoked is revoked. */
	assert_int_equal(ask("no-aia-cdp", &last).reason, CM_REASON_NONE);
	assert_int_equal(named(".crl"), 1);
	assert_int_equal(ask("bob", &last).reason, CM_REASON_REVOKED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(synced_before_it_has_its_name),
		cmocka_unit_test(what_cannot_be_synced_replaces_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, remove_scratch);
}
