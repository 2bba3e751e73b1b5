/* tests/cache/store_rig.c - a store in a folder of its own, and things to keep in it. */
#include "store_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../mapper/make_cert.h"

int64_t rig_boottime = 1000;
const char *rig_boot_id = "11111111-2222-3333-4444-555555555555";

int64_t __wrap_cm_clock_boottime(void);
enum cm_err __wrap_cm_clock_boot_id(char id[CM_BOOT_ID_SIZE]);

int64_t
__wrap_cm_clock_boottime(void)
{
	return rig_boottime;
}

enum cm_err
__wrap_cm_clock_boot_id(char id[CM_BOOT_ID_SIZE])
{
	snprintf(id, CM_BOOT_ID_SIZE, "%s", rig_boot_id != NULL ? rig_boot_id : "");
	return rig_boot_id != NULL ? CM_OK : CM_ERR_SYSTEM;
}

int
rig_open(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	const struct cert_spec alice = { .serial = "0a" }, other = { .serial = "0b" };

	assert_non_null(r);
	rig_boottime = 1000;
	rig_boot_id = "11111111-2222-3333-4444-555555555555";
	snprintf(r->folder, sizeof(r->folder), "/tmp/cm_store_XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	snprintf(r->path, sizeof(r->path), "%s/accounts.db", r->folder);
	r->options = (struct cm_accounts_options){ .path = r->path, .offline_max = DAY,
		.first_uid = 1000, .first_gid = 1000 };
	assert_int_equal(cm_trace_new(&r->trace), CM_OK);
	cm_trace_begin(r->trace, "test");
	if (cm_accounts_open(&r->options, r->trace, &r->store) != CM_OK)
		fail_msg("%s", cm_trace_message(r->trace));
	r->cert = make_cert(&alice);
	r->other = make_cert(&other);
	*state = r;
	return 0;
}

static void
rig_remove_files(const struct rig *r)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	char path[80];

	for (size_t i = 0; i < CM_COUNT(suffixes); i++) {
		snprintf(path, sizeof(path), "%s%s", r->path, suffixes[i]);
		unlink(path);
	}
}

int
rig_close(void **state)
{
	struct rig *r = *state;

	rig_stop_asking(r);
	cm_accounts_close(&r->store);
	cm_cert_free(&r->cert);
	cm_cert_free(&r->other);
	cm_trace_free(&r->trace);
	rig_remove_files(r);
	rmdir(r->folder);
	free(r);
	return 0;
}

void
rig_reopen(struct rig *r)
{
	rig_stop_asking(r);
	cm_accounts_close(&r->store);
	if (cm_accounts_open(&r->options, r->trace, &r->store) != CM_OK)
		fail_msg("%s", cm_trace_message(r->trace));
}

/* As a harness reads it, behind its first byte. */
void
rig_former(struct rig *r)
{
	static const char path[] = CM_SOURCE_DIR "/tests/fuzz/seeds/store/database";
	static uint8_t bytes[1 << 16];
	FILE *in = fopen(path, "r"), *out;
	size_t n;

	rig_stop_asking(r);
	cm_accounts_close(&r->store);
	assert_non_null(in);
	n = fread(bytes, 1, sizeof(bytes), in);
	fclose(in);
	assert_true(n > 4096 && n < sizeof(bytes) && bytes[0] == 0);
	rig_remove_files(r);
	assert_non_null(out = fopen(r->path, "w"));
	assert_int_equal(fwrite(bytes + 1, 1, n - 1, out), n - 1);
	assert_int_equal(fclose(out), 0);
	assert_int_equal(chmod(r->path, 0600), 0);
}

struct cm_account
rig_account(uid_t uid)
{
	static struct cm_group groups[] = { { .name = (char *)"crew", .gid = 5000 }, { .name = (char *)"alice", .gid = 4000 } };

	return (struct cm_account){ .name = (char *)"alice", .principal = (char *)"alice@EXAMPLE.TEST",
		.dn = (char *)"uid=alice,dc=example", .home = (char *)"/home/alice",
		.shell = (char *)"/bin/bash", .gecos = (char *)"Alice \xc3\x9c", .uid = uid, .gid = 4000,
		.groups = groups, .group_count = CM_COUNT(groups), .rule = (char *)"kerberos",
		.attribute = (char *)"altSecurityIdentities", .matched = (char *)"Kerberos:alice@EXAMPLE.TEST", .source = (char *)"ldap://127.0.0.1" };
}

struct cm_store_login
rig_login(const struct rig *r, const struct cm_account *a, time_t now)
{
	static struct cm_blob chain[2];

	chain[0] = cm_cert_der(r->cert);
	chain[1] = cm_cert_der(r->other);
	return (struct cm_store_login){ .account = a, .cert_sha256 = cm_cert_sha256(r->cert),
		.cert_der = cm_cert_der(r->cert), .chain = chain, .chain_count = 2, .now = now,
		.account_online = true };
}

struct cm_evidence
rig_evidence(uint8_t n, enum cm_status status, time_t this_update)
{
	struct cm_evidence e = { .serial = { 0x10, n }, .serial_len = 2, .status = status,
		.this_update = this_update, .next_update = this_update + DAY,
		.revoked_at = status == CM_STATUS_REVOKED ? this_update - 100 : 0,
		.learned = this_update + 5 };

	memset(e.issuer_key, n, sizeof(e.issuer_key));
	snprintf(e.source, sizeof(e.source), "OCSP http://ocsp.test/ %u", n);
	return e;
}

struct cm_source
rig_source(const struct rig *r, enum cm_source_kind kind, const char *url)
{
	const struct cm_blob spki = cm_cert_spki(r->other);
	struct cm_source s = { .kind = kind, .seen = NOW - 1, .asked = NOW - 2, .answered = NOW - 3, .probe_at = NOW + 4,
		.failures = 5, .why = "no answer within 3000 ms" };

	assert_int_equal(EVP_Digest(spki.ptr, spki.len, s.issuer_key, NULL, EVP_sha256(), NULL), 1);
	snprintf(s.url, sizeof(s.url), "%s", url);
	return s;
}

void
rig_keep(struct rig *r, const struct cm_store_login *l)
{
	if (cm_accounts_keep(r->store, l, r->trace) != CM_OK)
		fail_msg("%s", cm_trace_message(r->trace));
}

void
rig_keep_evidence(struct rig *r, const struct cm_evidence *e, time_t signed_time, time_t now)
{
	const struct cm_store_login l = { .evidence = e, .evidence_count = e != NULL,
		.signed_time = signed_time, .now = now };

	rig_keep(r, &l);
}

void
rig_assert_same(const struct cm_account *a, const struct cm_account *b)
{
	assert_string_equal(a->name, b->name);
	assert_string_equal(a->principal, b->principal);
	assert_string_equal(a->dn, b->dn);
	assert_string_equal(a->home, b->home);
	assert_string_equal(a->shell, b->shell);
	assert_string_equal(a->gecos, b->gecos);
	assert_int_equal(a->uid, b->uid);
	assert_int_equal(a->gid, b->gid);
	assert_int_equal(a->group_count, b->group_count);
	for (size_t i = 0; i < a->group_count; i++) {
		assert_string_equal(a->groups[i].name, b->groups[i].name);
		assert_int_equal(a->groups[i].gid, b->groups[i].gid);
	}
	assert_string_equal(a->rule, b->rule);
	assert_string_equal(a->attribute, b->attribute);
	assert_int_equal(a->several, b->several);
	assert_string_equal(a->matched, b->matched);
	assert_string_equal(a->source, b->source);
}

void
rig_keep_alice(struct rig *r, uid_t uid, time_t now)
{
	const struct cm_account a = rig_account(uid);
	const struct cm_store_login l = rig_login(r, &a, now);

	rig_keep(r, &l);
}

enum cm_err
rig_find(struct rig *r, time_t now, struct cm_account **out, int64_t *age)
{
	cm_trace_clear_reason(r->trace);
	return cm_accounts_find(rig_asked(r), r->cert, now, r->trace, out, age);
}

void
rig_expect(struct rig *r, time_t now, enum cm_err err, enum cm_reason reason, const char *want)
{
	struct cm_account *a = NULL;
	int64_t age = 0;

	assert_int_equal(rig_find(r, now, &a, &age), err);
	assert_int_equal(cm_trace_reason(r->trace), reason);
	assert_non_null(strstr(cm_trace_message(r->trace), want));
	assert_true((a != NULL) == (err == CM_OK));
	cm_account_free(&a);
	/* and with nobody listening */
	assert_int_equal(cm_accounts_find(rig_asked(r), r->cert, now, NULL, &a, &age), err);
	cm_account_free(&a);
}

void
rig_sql(const struct rig *r, const char *sql)
{
	sqlite3 *db = NULL;
	char *why = NULL;

	assert_int_equal(sqlite3_open(r->path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", sql, why);
	sqlite3_close(db);
}

off_t
rig_log_size(const struct rig *r)
{
	char path[80];
	struct stat st;

	snprintf(path, sizeof(path), "%s-wal", r->path);
	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}
