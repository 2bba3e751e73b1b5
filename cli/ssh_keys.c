/*
 * cli/ssh_keys.c - ssh-keys: for sshd's AuthorizedKeysCommand, the keys of a user's certificates in the directory.
 *
 * A key is printed where its certificate would open this very account by card: the chain verifies, somebody who
 * may has said that it is not revoked, and the rules lead from it to this account and no other.  Whatever is in
 * doubt is left out, and logged; sshd then goes on with its other ways.
 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/cli.h"
#include "service/local.h"
#include "service/mapping.h"

#define CERTIFICATES_MAX	64
#define NUMBER_MAX		1024	/* octets of a modulus */
#define POINT_MAX		133	/* RFC 5480 section 2.2, uncompressed, of P-521 */

struct keys {
	struct cm_cli *cli;
	struct cm_host *host;
	const char *user;
	struct cm_buf ders[CERTIFICATES_MAX];
	size_t count;
	struct cm_buf lines;
	json_t *list;
};

/* ---- OpenSSH's form of a public key */

/* RFC 4251 section 5: string */
static void
put_string(struct cm_buf *out, const void *bytes, size_t len)
{
	const uint8_t head[] = { (uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len };

	cm_buf_add(out, head, sizeof(head));
	cm_buf_add(out, bytes, len);
}

/* RFC 4251 section 5: mpint, of a number that is positive */
static bool
put_number(struct cm_buf *out, const EVP_PKEY *key, const char *name)
{
	uint8_t bytes[1 + NUMBER_MAX] = { 0 };
	BIGNUM *n = NULL;
	int len = 0;
	bool high;

	if (EVP_PKEY_get_bn_param(key, name, &n) == 1 && BN_num_bytes(n) <= NUMBER_MAX)
		len = BN_bn2bin(n, bytes + 1);
	BN_free(n);
	high = len > 0 && (bytes[1] & 0x80) != 0;
	put_string(out, bytes + !high, (size_t)len + high);
	return len > 0;
}

/* RFC 4253 section 6.6 */
static const char *
put_rsa(const EVP_PKEY *key, struct cm_buf *out)
{
	put_string(out, "ssh-rsa", 7);
	return put_number(out, key, OSSL_PKEY_PARAM_RSA_E) && put_number(out, key, OSSL_PKEY_PARAM_RSA_N) ? "ssh-rsa" : NULL;
}

/* RFC 5656 section 3.1 */
static const char *
put_ec(const EVP_PKEY *key, struct cm_buf *out)
{
	static const struct { const char *group, *curve, *type; } curves[] = {
		{ "prime256v1", "nistp256", "ecdsa-sha2-nistp256" }, { "secp384r1", "nistp384", "ecdsa-sha2-nistp384" },
	};
	uint8_t point[POINT_MAX];
	char group[64] = "";
	size_t len = 0;

	if (EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1 ||
	    EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &len) != 1 || len == 0 || point[0] != 4)
		return NULL;
	for (size_t i = 0; i < CM_COUNT(curves); i++)
		if (strcmp(group, curves[i].group) == 0) {
			put_string(out, curves[i].type, strlen(curves[i].type));
			put_string(out, curves[i].curve, strlen(curves[i].curve));
			put_string(out, point, len);
			return curves[i].type;
		}
	return NULL;
}

static enum cm_err
print_key(struct keys *k, const struct cm_cert *cert)
{
	struct cm_trace *t = k->cli->trace;
	struct cm_buf blob = { 0 }, line = { 0 };
	const char *type = NULL;
	EVP_PKEY *key = NULL;
	enum cm_err err = cm_cert_key(cert, t, &key);

	if (err == CM_OK)
		type = EVP_PKEY_is_a(key, "RSA") ? put_rsa(key, &blob) : EVP_PKEY_is_a(key, "EC") ? put_ec(key, &blob) : NULL;
	if (err == CM_OK && type == NULL)
		err = cm_trace_fail(t, CM_REASON_CERT_WEAK, "a key that is neither RSA, P-256 nor P-384");
	if (err == CM_OK) {
		cm_buf_addf(&line, "%s ", type);
		cm_buf_add_base64(&line, cm_buf_blob(&blob));
		json_array_append_new(k->list, json_string(cm_buf_str(&line)));
		cm_buf_addf(&k->lines, "%s\n", cm_buf_str(&line));
		err = cm_buf_status(&k->lines);
	}
	cm_buf_free(&line);
	cm_buf_free(&blob);
	return err;
}

/* ---- what a certificate must be */

/* By the rules, and by nothing else than this user's name. */
static enum cm_err
check_account(struct keys *k, const struct cm_cert *cert, struct cm_account **account)
{
	struct cm_trace *t = k->cli->trace;
	struct cm_mapping m = { .host = k->host, .cert = cert, .user = k->user, .trace = t,
		.deadline = cm_deadline_in(k->cli->conf->directory.timeout) };
	enum cm_err err;

	if ((err = cm_mapping_make(&m)) == CM_OK)
		err = cm_mapping_find(&m, account);
	cm_mapping_clear(&m);
	if (err == CM_OK && strcmp((*account)->name, k->user) != 0)
		err = cm_trace_fail(t, CM_REASON_NOT_THIS_USER, "the certificate opens %s", (*account)->name);
	return err == CM_OK ? cm_local_check(NULL, k->cli->conf, *account, t) : err;
}

/* At a level that asks about revocation "nobody said so" is a doubt, as at hard. */
static enum cm_err
check_revocation(struct keys *k, struct cm_verdict *v, const char *rule)
{
	const struct cm_known known = { .now = cm_clock_now() };
	struct cm_trust_policy policy = cm_host_policy_of(k->host, rule);
	struct cm_inquiry *i = NULL;
	enum cm_err err;

	if (policy.level == CM_TRUST_SOFT)
		policy.level = CM_TRUST_HARD;
	if ((err = cm_trust_ask_revocation(k->host->trust, v, &known, &policy, cm_deadline_in(k->cli->conf->trust.timeout), &i)) == CM_OK)
		err = cm_trust_judge_revocation(i, &policy, k->cli->trace);
	cm_inquiry_end(&i);
	return err;
}

static enum cm_err
judge(struct keys *k, struct cm_blob der)
{
	const struct cm_known known = { .now = cm_clock_now() };
	struct cm_account *account = NULL;
	struct cm_verdict *v = NULL;
	struct cm_cert *cert = NULL;
	enum cm_err err;

	if ((err = cm_cert_decode(der, k->cli->trace, &cert)) == CM_OK &&
	    (err = cm_trust_check_chain(k->host->trust, cert, &known, k->cli->trace, &v)) == CM_OK &&
	    (err = check_account(k, cert, &account)) == CM_OK &&
	    (err = check_revocation(k, v, account->rule)) == CM_OK)
		err = print_key(k, cert);
	cm_account_free(&account);
	cm_verdict_free(&v);
	cm_cert_free(&cert);
	return err;
}

/* ---- the directory's certificates */

static enum cm_err
see_entry(void *arg, const struct cm_entry *e)
{
	struct keys *k = arg;

	for (size_t i = 0; i < e->count && k->count < CERTIFICATES_MAX; i++) {
		const struct cm_value *v = &e->values[i];

		if (!cm_blob_equal_caseless(v->attribute, cm_blob_str("userCertificate;binary")) &&
		    !cm_blob_equal_caseless(v->attribute, cm_blob_str("userCertificate")))
			continue;
		cm_buf_add(&k->ders[k->count++], v->value.ptr, v->value.len);
	}
	return CM_OK;
}

static enum cm_err
find_certificates(struct keys *k)
{
	static const char *const attributes[] = { "userCertificate;binary", "userCertificate", NULL };
	const struct cm_named named = { .rule = "name", .name = k->user, .place = CM_PLACE_DIRECTORY };
	struct cm_look l = { .attributes = attributes, .limit = 2 };
	struct cm_query *q = NULL;
	enum cm_err err;

	if ((err = cm_mapping_add_name(&q, &named)) == CM_OK) {
		l.query = q;
		err = cm_directory_look(k->host->directory, &l, cm_deadline_in(k->cli->conf->directory.timeout), k->cli->trace, see_entry, k);
	}
	cm_query_free(&q);
	return err;
}

/* What was left out, and why. */
static void
note(struct keys *k, enum cm_err err)
{
	struct cm_cli *c = k->cli;
	struct cm_buf text = { 0 };

	cm_buf_addf(&text, "%s: %s", k->user, cm_trace_message(c->trace));
	cm_log_event((enum cm_log_target)c->conf->service.log, "ssh-keys", err, cm_trace_reason(c->trace), "%s", cm_buf_str(&text));
	cm_trace_clear_reason(c->trace);
	cm_buf_free(&text);
}

static enum cm_err
run(struct keys *k)
{
	struct cm_cli *c = k->cli;
	enum cm_err err;

	if (c->conf->trust.level.level == CM_TRUST_OFF)
		return cm_trace_fail(c->trace, CM_REASON_CERT_UNTRUSTED, "trust.level = off: no certificate is believed without a card");
	if ((err = cm_host_open(c->conf, CM_NEED_RULES | CM_NEED_DIRECTORY | CM_NEED_TRUST, c->trace, &k->host)) != CM_OK ||
	    (err = find_certificates(k)) != CM_OK)
		return err;
	for (size_t i = 0; i < k->count; i++)
		if ((err = judge(k, cm_buf_blob(&k->ders[i]))) != CM_OK)
			note(k, err);
	return CM_OK;
}

int
cm_cli_ssh_keys(struct cm_cli *c)
{
	struct keys k = { .cli = c, .user = c->args[0], .list = json_array() };
	enum cm_err err;

	json_object_set_new(c->answer, "keys", k.list);
	if ((err = run(&k)) != CM_OK)
		note(&k, err);		/* nothing, and 0: sshd goes on with its other ways */
	else if (!c->json && k.lines.len > 0)
		fputs(cm_buf_str(&k.lines), stdout);
	cm_buf_free(&k.lines);
	for (size_t i = 0; i < k.count; i++)
		cm_buf_free(&k.ders[i]);
	cm_host_close(&k.host);
	return cm_cli_finish(c, CM_OK);
}
