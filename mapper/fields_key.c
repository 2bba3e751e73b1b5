/* mapper/fields_key.c - the public key: its hashes, and as OpenSSH writes it. */
#include <openssl/core_names.h>
#include <openssl/err.h>

#include "mapper/fields_internal.h"

enum cm_err
cm_write_public_key(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return cm_field_convert(cm_cert_public_key(c), ref, out);
}

enum cm_err
cm_write_spki(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	return cm_field_convert(cm_cert_spki(c), ref, out);
}

/* RFC 4251 section 5: string */
static void
add_string(struct cm_buf *b, const void *p, size_t len)
{
	const uint8_t head[4] = { (uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8),
		(uint8_t)len };

	cm_buf_add(b, head, sizeof(head));
	cm_buf_add(b, p, len);
}

/* RFC 4251 section 5: mpint, of a positive number: 00 before a high bit */
static bool
add_number(struct cm_buf *b, EVP_PKEY *key, const char *param)
{
	uint8_t octets[2049] = { 0 };	/* RSA-16384, OpenSSL's largest */
	BIGNUM *n = NULL;
	const bool ok = EVP_PKEY_get_bn_param(key, param, &n) == 1 &&
	    BN_num_bytes(n) < (int)sizeof(octets);

	if (ok) {
		const size_t len = (size_t)BN_bn2bin(n, octets + 1);
		const size_t sign = len > 0 && octets[1] >= 0x80;

		add_string(b, octets + 1 - sign, len + sign);
	}
	BN_free(n);
	return ok;
}

/* RFC 4253 section 6.6 */
static bool
add_rsa(struct cm_buf *b, EVP_PKEY *key, struct cm_blob point)
{
	(void)point;
	return add_number(b, key, OSSL_PKEY_PARAM_RSA_E) && add_number(b, key, OSSL_PKEY_PARAM_RSA_N);
}

/* RFC 5656 section 3.1; OpenSSH takes no compressed point */
static bool
add_ec(struct cm_buf *b, EVP_PKEY *key, struct cm_blob point)
{
	char group[32];

	if (EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) != 1 || point.len == 0 ||
	    point.ptr[0] != 0x04)
		return false;
	add_string(b, strcmp(group, "prime256v1") == 0 ? "nistp256" :
	    strcmp(group, "secp384r1") == 0 ? "nistp384" : "nistp521", 8);
	add_string(b, point.ptr, point.len);
	return true;
}

/* RFC 8709 section 4 */
static bool
add_ed25519(struct cm_buf *b, EVP_PKEY *key, struct cm_blob point)
{
	(void)key;
	add_string(b, point.ptr, point.len);
	return point.len == 32;
}

static const struct ssh_key {
	const char *type;	/* OpenSSL's */
	const char *group;	/* NULL: has none */
	const char *name;	/* SSH's */
	bool (*add)(struct cm_buf *b, EVP_PKEY *key, struct cm_blob point);
} ssh_keys[] = {
	{ "RSA", NULL, "ssh-rsa", add_rsa },
	{ "EC", "prime256v1", "ecdsa-sha2-nistp256", add_ec },
	{ "EC", "secp384r1", "ecdsa-sha2-nistp384", add_ec },
	{ "EC", "secp521r1", "ecdsa-sha2-nistp521", add_ec },
	{ "ED25519", NULL, "ssh-ed25519", add_ed25519 },
};

static const struct ssh_key *
find_ssh_key(const EVP_PKEY *key)
{
	char group[32] = "";

	(void)EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
	for (size_t i = 0; i < CM_COUNT(ssh_keys); i++)
		if (EVP_PKEY_is_a(key, ssh_keys[i].type) &&
		    (ssh_keys[i].group == NULL || strcmp(ssh_keys[i].group, group) == 0))
			return &ssh_keys[i];
	return NULL;
}

/* "ssh-rsa AAAA...": what stands in authorized_keys (sshd(8)), without options and comment. */
enum cm_err
cm_write_ssh_key(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	const struct cm_field_ref base64 = { .conversion = &cm_conversions_cert[1] };
	const struct ssh_key *ssh;
	struct cm_buf b = { 0 };
	EVP_PKEY *key = NULL;
	enum cm_err err;

	(void)ref;
	if ((err = cm_cert_key(c, NULL, &key)) != CM_OK)
		return err == CM_ERR_NOMEM ? err : CM_ERR_SYNTAX;
	err = CM_ERR_SYNTAX;	/* a key that SSH does not know */
	if ((ssh = find_ssh_key(key)) == NULL)
		goto out;
	add_string(&b, ssh->name, strlen(ssh->name));
	if (!ssh->add(&b, key, cm_cert_public_key(c)) || cm_buf_status(&b) != CM_OK)
		goto out;
	cm_buf_add_str(out, ssh->name);
	cm_buf_add_byte(out, ' ');
	err = cm_field_convert(cm_buf_blob(&b), &base64, out);
out:
	ERR_clear_error();
	cm_buf_free(&b);
	return err;
}
