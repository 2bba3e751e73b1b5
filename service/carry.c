/* service/carry.c - accounts carried to a new computer: sealed there and back, and put in with all that belongs to them. */
#include "service/carry.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cache/transfer.h"
#include "service/local.h"
#include "service/possession.h"

#define NONCE	12
#define TAG	16
static const uint8_t magic[] = { 'C', 'M', 'A', 'C', 'C', 'T', 1 };
#define HEAD	(sizeof(magic) + NONCE)

/* ---- sealed */

/* out has room for from.len octets more. */
static bool
run_cipher(EVP_CIPHER_CTX *c, struct cm_blob from, uint8_t *out)
{
	int n = 0, end = 0;

	return from.len <= INT32_MAX && EVP_CipherUpdate(c, out, &n, from.ptr, (int)from.len) == 1 && (size_t)n == from.len &&
	    EVP_CipherFinal_ex(c, out + n, &end) == 1 && end == 0;
}

static bool
start_cipher(EVP_CIPHER_CTX *c, const uint8_t key[CM_CARRY_KEY], const uint8_t *head, int seal)
{
	int n;

	return EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, key, head + sizeof(magic), seal) == 1 &&
	    EVP_CipherUpdate(c, NULL, &n, head, HEAD) == 1;
}

enum cm_err
cm_carry_seal(struct cm_blob plain, const uint8_t key[CM_CARRY_KEY], struct cm_buf *out)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	uint8_t *all = plain.len <= CM_CARRY_MAX ? malloc(HEAD + plain.len + TAG) : NULL;
	enum cm_err err = CM_ERR_NOMEM;

	if (c == NULL || all == NULL)
		goto out;
	memcpy(all, magic, sizeof(magic));
	if (RAND_bytes(all + sizeof(magic), NONCE) != 1 || !start_cipher(c, key, all, 1) || !run_cipher(c, plain, all + HEAD) ||
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG, all + HEAD + plain.len) != 1)
		goto out;
	cm_buf_add(out, all, HEAD + plain.len + TAG);
	err = cm_buf_status(out);
out:
	free(all);
	EVP_CIPHER_CTX_free(c);
	return err;
}

enum cm_err
cm_carry_open(struct cm_blob sealed, const uint8_t key[CM_CARRY_KEY], struct cm_trace *t, struct cm_buf *out)
{
	EVP_CIPHER_CTX *c = NULL;
	uint8_t tag[TAG], *plain = NULL;
	enum cm_err err = CM_ERR_SYNTAX;
	size_t len;

	if (sealed.len < HEAD + TAG || sealed.len > CM_CARRY_MAX || memcmp(sealed.ptr, magic, sizeof(magic)) != 0)
		goto out;
	len = sealed.len - HEAD - TAG;
	memcpy(tag, sealed.ptr + HEAD + len, TAG);
	err = CM_ERR_NOMEM;
	if ((c = EVP_CIPHER_CTX_new()) == NULL || (plain = malloc(len + 1)) == NULL || !start_cipher(c, key, sealed.ptr, 0) ||
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG, tag) != 1)
		goto out;
	err = CM_ERR_SYNTAX;
	if (!run_cipher(c, (struct cm_blob){ sealed.ptr + HEAD, len }, plain))
		goto out;
	cm_buf_add(out, plain, len);
	err = cm_buf_status(out);
out:
	free(plain);
	EVP_CIPHER_CTX_free(c);
	if (err == CM_ERR_SYNTAX)
		cm_trace_fail(t, CM_REASON_STORE, "it is no export of accounts, was changed, or was sealed with another key: nothing was changed here");
	return err;
}

/* ---- files */

static bool
write_all(int fd, struct cm_blob v)
{
	while (v.len > 0) {
		const ssize_t n = write(fd, v.ptr, v.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		v.ptr += n;
		v.len -= (size_t)n;
	}
	return fsync(fd) == 0;
}

enum cm_err
cm_carry_write(const char *path, struct cm_blob octets, struct cm_trace *t)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	int error = 0;

	if (fd < 0)
		return cm_trace_fail(t, CM_REASON_SYSTEM, "%s: cannot be made: %s", path, strerror(errno));
	if (fchmod(fd, 0600) != 0 || !write_all(fd, octets))
		error = errno;
	if (close(fd) != 0 && error == 0)
		error = errno;
	if (error == 0)
		return CM_OK;
	unlink(path);
	return cm_trace_fail(t, CM_REASON_SYSTEM, "%s: cannot be written: %s", path, strerror(error));
}

enum cm_err
cm_carry_key_make(const char *path, struct cm_trace *t, uint8_t key[CM_CARRY_KEY])
{
	struct cm_buf text = { .secret = true };
	enum cm_err err = CM_ERR_NOMEM;

	if (RAND_bytes(key, CM_CARRY_KEY) == 1) {
		cm_buf_add_hex(&text, (struct cm_blob){ key, CM_CARRY_KEY });
		cm_buf_add_str(&text, "\n");
		if ((err = cm_buf_status(&text)) == CM_OK)
			err = cm_carry_write(path, cm_buf_blob(&text), t);
	}
	cm_buf_free(&text);
	return err;
}

enum cm_err
cm_carry_key_read(const char *path, struct cm_trace *t, uint8_t key[CM_CARRY_KEY])
{
	struct cm_buf text = { .secret = true };
	enum cm_err err = cm_file_read(path, 2 * CM_CARRY_KEY + 1, CM_FILE_SECRET, t, &text);

	if (err == CM_ERR_ABSENT)
		err = cm_trace_fail(t, CM_REASON_CONFIG, "there is no file %s", path);
	if (err == CM_OK && (text.len != 2 * CM_CARRY_KEY + 1 || text.ptr[text.len - 1] != '\n' ||
	    cm_hex_parse((struct cm_blob){ text.ptr, text.len - 1 }, key, CM_CARRY_KEY) != 2 * CM_CARRY_KEY))
		err = cm_trace_fail(t, CM_REASON_CONFIG, "%s holds no key of cardmap accounts export", path);
	cm_buf_free(&text);
	return err;
}

/* ---- put in */

struct carry {
	const struct cm_carry *how;
	struct cm_account *permitted;	/* the last, as it may be here; owned */
	struct cm_account **came;	/* owned */
	size_t count;
	bool nomem;
};

/* Whoever opens with no network opens with the kept key: it must be the certificate's. */
static enum cm_err
check_key(const struct cm_transfer_row *row, struct cm_trace *t)
{
	uint8_t packed[CM_KEY_PACKED_MAX];
	struct cm_cert *cert = NULL;
	struct cm_key key;
	enum cm_err err;

	if (row->key.len == 0)
		return CM_OK;
	if ((err = cm_cert_decode(row->cert, t, &cert)) == CM_OK && (err = cm_key_take(cert, t, &key)) == CM_OK &&
	    !cm_blob_equal(cm_key_pack(&key, packed), row->key))
		err = cm_trace_fail(t, CM_REASON_STORE, "its kept key is not its certificate's");
	cm_cert_free(&cert);
	return err == CM_OK || err == CM_ERR_NOMEM ? err : CM_ERR_REFUSED;
}

static enum cm_err
permit(void *arg, const struct cm_transfer_row *row, struct cm_trace *t)
{
	struct carry *c = arg;
	enum cm_err err;

	cm_account_free(&c->permitted);
	if ((err = check_key(row, t)) != CM_OK || (err = cm_account_copy(row->account, &c->permitted)) != CM_OK)
		return err;
	return cm_local_check(c->how->etc, c->how->host->conf, c->permitted, t);
}

static void
tell(void *arg, const struct cm_account *a, const char *left)
{
	struct carry *c = arg;
	struct cm_account **more;

	if (left == NULL && c->permitted != NULL) {
		if ((more = realloc(c->came, (c->count + 1) * sizeof(*more))) != NULL) {
			c->came = more;
			more[c->count++] = c->permitted;
			c->permitted = NULL;
		} else {
			c->nomem = true;
		}
	}
	c->how->told(c->how->arg, a, left);
}

/* Of two cards of one account the later row is the newer. */
static void
make_mobile(const struct carry *c, struct cm_trace *t)
{
	for (size_t i = 0; i < c->count; i++) {
		struct cm_mobile_plan *p;
		enum cm_err err = CM_ERR_ABSENT;

		if (i + 1 < c->count && strcmp(c->came[i]->name, c->came[i + 1]->name) == 0)
			continue;
		if ((p = cm_mobile_begin(c->how->host, c->came[i], false, t)) != NULL &&
		    (err = cm_mobile_put(c->how->host->store, cm_mobile_plan_row(p), t)) != CM_OK) {
			cm_trace_add(t, "warning", "no mobile account: %s", cm_trace_message(t));
			cm_trace_clear_reason(t);
		}
		cm_mobile_end(&p, err, t);
	}
}

enum cm_err
cm_carry_apply(const struct cm_carry *how, struct cm_blob plain, struct cm_trace *t)
{
	struct carry c = { .how = how };
	const struct cm_transfer_watch w = { permit, tell, &c };
	enum cm_err err = cm_transfer_apply(how->host->store, plain, how->now, &w, t);

	if (err == CM_OK)
		make_mobile(&c, t);
	if (err == CM_OK && c.nomem)
		err = CM_ERR_NOMEM;
	cm_account_free(&c.permitted);
	for (size_t i = 0; i < c.count; i++)
		cm_account_free(&c.came[i]);
	free(c.came);
	return err;
}
