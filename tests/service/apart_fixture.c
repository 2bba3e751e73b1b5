/* tests/service/apart_fixture.c - a host that lets people in by what others tell. */
#include "apart_fixture.h"

#include <ftw.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "service/possession.h"

void
card_load(struct card *c, const char *name)
{
	char path[512];
	FILE *f;

	*c = (struct card){ .cert = NULL };
	snprintf(path, sizeof(path), "%s/%s.crt", CM_PKI_DIR, name);
	assert_int_equal(cm_cert_load(path, NULL, &c->cert), CM_OK);
	snprintf(path, sizeof(path), "%s/%s.key", CM_PKI_DIR, name);
	assert_non_null(f = fopen(path, "r"));
	assert_non_null(c->secret = PEM_read_PrivateKey(f, NULL, NULL, NULL));
	fclose(f);
	assert_int_equal(cm_key_take(c->cert, NULL, &c->key), CM_OK);
}

void
card_free(struct card *c)
{
	cm_cert_free(&c->cert);
	EVP_PKEY_free(c->secret);
}

struct cm_blob
card_sign(const struct card *c, const uint8_t nonce[32])
{
	uint8_t digest[CM_POSSESSION_DIGEST], *signature;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(c->secret, NULL);
	size_t len = 0;

	cm_possession_digest(nonce, digest);
	assert_int_equal(EVP_PKEY_sign_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()), 1);
	assert_int_equal(EVP_PKEY_sign(ctx, NULL, &len, digest, sizeof(digest)), 1);
	assert_non_null(signature = malloc(len));
	assert_int_equal(EVP_PKEY_sign(ctx, signature, &len, digest, sizeof(digest)), 1);
	EVP_PKEY_CTX_free(ctx);
	return (struct cm_blob){ signature, len };
}

void
host_write(const struct apart_host *h, const char *name, const char *text, unsigned mode)
{
	char path[96];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", h->folder, name);
	assert_non_null(f = fopen(path, "w"));
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

void
host_open_store(struct apart_host *h, int64_t offline_max)
{
	const struct cm_accounts_options o = { .path = h->store_path, .offline_max = offline_max, .first_uid = 1000,
		.first_gid = 1000 };

	cm_accounts_close(&h->store);
	assert_int_equal(cm_accounts_open(&o, h->trace, &h->store), CM_OK);
}

void
host_set(struct apart_host *h, const char *assignment)
{
	assert_int_equal(cm_conf_set(h->conf, assignment, "test", h->trace), CM_OK);
}

void
host_make(struct apart_host *h)
{
	*h = (struct apart_host){ .folder = "/tmp/cm_apart_XXXXXX" };
	assert_non_null(mkdtemp(h->folder));
	snprintf(h->store_path, sizeof(h->store_path), "%s/accounts.db", h->folder);
	snprintf(h->etc, sizeof(h->etc), "%s/etc", h->folder);
	snprintf(h->conf_path, sizeof(h->conf_path), "%s/conf", h->folder);
	assert_int_equal(mkdir(h->etc, 0755), 0);
	host_write(h, "conf", "", 0644);
	host_write(h, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nclerk:x:1500:1500:Clerk,1:/home/clerk:/bin/dash\n", 0644);
	host_write(h, "etc/group", "root:x:0:\nsudo:x:27:clerk\nclerks:x:1500:clerk\n", 0644);
	assert_int_equal(cm_trace_new(&h->trace), CM_OK);
	cm_trace_begin(h->trace, "test");
	assert_int_equal(cm_conf_load(h->conf_path, h->trace, &h->conf), CM_OK);
	host_set(h, "service.log=none");
	host_open_store(h, 0);
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st;
	(void)type;
	(void)where;
	return remove(path);
}

void
host_end(struct apart_host *h)
{
	cm_accounts_close(&h->store);
	cm_conf_free(&h->conf);
	cm_trace_free(&h->trace);
	assert_int_equal(nftw(h->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

struct cm_account
alice_account(void)
{
	static struct cm_group groups[] = { { .name = (char *)"crew", .gid = 20000 }, { .name = (char *)"clerks", .gid = 20001 }, { .name = (char *)"team", .gid = 1500 } };

	return (struct cm_account){ .name = (char *)"alice", .principal = (char *)"alice@" REALM, .dn = (char *)"uid=alice,dc=x",
		.home = (char *)"/home/alice", .shell = (char *)"/bin/sh", .gecos = (char *)"Alice", .uid = 10001, .gid = 10001,
		.groups = groups, .group_count = CM_COUNT(groups), .rule = (char *)"kerberos", .attribute = (char *)"mail",
		.matched = (char *)"alice@x", .source = (char *)"ldap://127.0.0.1" };
}

struct cm_blob
link_of(uint8_t n)
{
	static uint8_t links[256][36];

	memset(links[n], n, sizeof(links[n]));
	return (struct cm_blob){ links[n], sizeof(links[n]) };
}

struct cm_evidence
evidence_of(uint8_t n, enum cm_status status)
{
	const time_t now = cm_clock_now();
	struct cm_evidence e = { .serial_len = 4, .status = status, .this_update = now - 60, .next_update = now + 3600,
		.revoked_at = status == CM_STATUS_REVOKED ? now - 90 : 0, .learned = now, .confirmed = now, .source = "OCSP http://x" };

	memset(e.issuer_key, n, sizeof(e.issuer_key));
	memset(e.serial, n, e.serial_len);
	return e;
}

void
keep_evidence(struct apart_host *h, const struct cm_evidence *e)
{
	struct cm_memory *m = NULL;

	assert_int_equal(cm_accounts_recall(h->store, cm_clock_now(), h->trace, &m), CM_OK);
	assert_int_equal(m->keeper.keep(m->keeper.arg, e), CM_OK);
	cm_memory_free(&m);
}

void
keep(struct apart_host *h, const struct card *c, const struct cm_account *a, time_t now)
{
	const struct cm_blob links[] = { link_of(1), link_of(2) }, chain[] = { cm_cert_der(c->cert) };
	uint8_t packed[CM_KEY_PACKED_MAX];
	const struct cm_remember_apart r = { .account = a, .certificate = cm_cert_der(c->cert), .chain = chain, .chain_count = 1,
		.card = { .guid = { (const uint8_t *)"0123456789abcdef", 16 }, .global_pin = true, .key = cm_key_pack(&c->key, packed),
			.links = links, .link_count = 2, .not_after = now + 30 * 86400 },
		.now = now, .account_online = true };

	if (cm_accounts_remember_apart(h->store, &r, h->trace) != CM_OK)
		fail_msg("%s", cm_trace_message(h->trace));
}
