/* mapper/fields_key.c - the public key: its hashes, and as OpenSSH writes it. */
#include "mapper/fields_internal.h"

void
cm_key_hash(const struct cm_cert *c, uint8_t sha1[20])
{
	const struct cm_blob key = cm_cert_public_key(c);

	memset(sha1, 0, 20);
	if (key.len > 0 && EVP_Digest(key.ptr, key.len, sha1, NULL, EVP_sha1(), NULL) != 1)
		memset(sha1, 0, 20);
}

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

/* RFC 4253 section 6.6: e and n, which an INTEGER holds as an mpint does; RFC 8017 A.1.1: n and e */
static bool
add_rsa(struct cm_buf *b, struct cm_blob key)
{
	struct cm_blob numbers, n, e;

	if (!cm_element(&key, 0x30, &numbers) || !cm_element(&numbers, 0x02, &n) ||
	    !cm_element(&numbers, 0x02, &e) || numbers.len != 0 || key.len != 0)
		return false;
	add_string(b, e.ptr, e.len);
	add_string(b, n.ptr, n.len);
	return true;
}

/* RFC 5656 section 3.1; OpenSSH takes no compressed point (SEC 1, 2.3.3: 04 begins the others) */
static bool
add_point(struct cm_buf *b, const char *curve, struct cm_blob point)
{
	add_string(b, curve, strlen(curve));
	add_string(b, point.ptr, point.len);
	return point.len > 0 && point.ptr[0] == 0x04;
}

static bool
add_p256(struct cm_buf *b, struct cm_blob key)
{
	return add_point(b, "nistp256", key);
}

static bool
add_p384(struct cm_buf *b, struct cm_blob key)
{
	return add_point(b, "nistp384", key);
}

static bool
add_p521(struct cm_buf *b, struct cm_blob key)
{
	return add_point(b, "nistp521", key);
}

/* RFC 8709 section 4 */
static bool
add_ed25519(struct cm_buf *b, struct cm_blob key)
{
	add_string(b, key.ptr, key.len);
	return key.len == 32;
}

#define OCTETS(s)	{ (const uint8_t *)(s), sizeof(s) - 1 }
#define EC		"\x06\x07\x2A\x86\x48\xCE\x3D\x02\x01"	/* RFC 5480 section 2.1.1 */
/* Content of AlgorithmIdentifier, SSH's name. */
static const struct ssh_key {
	struct cm_blob algorithm;
	const char *name;
	bool (*add)(struct cm_buf *b, struct cm_blob key);
} ssh_keys[] = {
	{ OCTETS("\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x01\x01\x05\x00"), "ssh-rsa", add_rsa },
	{ OCTETS(EC "\x06\x08\x2A\x86\x48\xCE\x3D\x03\x01\x07"), "ecdsa-sha2-nistp256", add_p256 },
	{ OCTETS(EC "\x06\x05\x2B\x81\x04\x00\x22"), "ecdsa-sha2-nistp384", add_p384 },
	{ OCTETS(EC "\x06\x05\x2B\x81\x04\x00\x23"), "ecdsa-sha2-nistp521", add_p521 },
	{ OCTETS("\x06\x03\x2B\x65\x70"), "ssh-ed25519", add_ed25519 },	/* RFC 8410 section 3 */
};

/* NULL: of a kind that SSH does not have. */
static const struct ssh_key *
find_ssh_key(struct cm_blob spki)
{
	struct cm_blob info, algorithm;

	if (!cm_element(&spki, 0x30, &info) || !cm_element(&info, 0x30, &algorithm))
		return NULL;
	for (size_t i = 0; i < CM_COUNT(ssh_keys); i++)
		if (cm_blob_equal(ssh_keys[i].algorithm, algorithm))
			return &ssh_keys[i];
	return NULL;
}

/* "ssh-rsa AAAA...": what stands in authorized_keys (sshd(8)), without options and comment. */
enum cm_err
cm_write_ssh_key(const struct cm_cert *c, const struct cm_field_ref *ref, struct cm_buf *out)
{
	const struct cm_field_ref base64 = { .conversion = &cm_conversions_cert[1] };
	const struct ssh_key *ssh = find_ssh_key(cm_cert_spki(c));
	struct cm_buf b = { 0 };
	enum cm_err err = CM_ERR_SYNTAX;

	(void)ref;
	if (ssh == NULL)
		return CM_ERR_SYNTAX;
	add_string(&b, ssh->name, strlen(ssh->name));
	if (ssh->add(&b, cm_cert_public_key(c)) && (err = cm_buf_status(&b)) == CM_OK) {
		cm_buf_add_str(out, ssh->name);
		cm_buf_add_byte(out, ' ');
		err = cm_field_convert(cm_buf_blob(&b), &base64, out);
	}
	cm_buf_free(&b);
	return err;
}
