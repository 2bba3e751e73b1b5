/* cli/secret.c - the secrets that cards open at logins: what is kept, and a way back to one whose card is lost. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/log.h"
#include "cache/sealed.h"
#include "cli/cli.h"
#include "service/secret_card.h"

#define KEY_FILE_MAX	65536

/* ---- status */

static enum cm_err
tell_row(void *arg, const struct cm_sealed_row *r)
{
	const struct cm_cli *c = arg;
	struct cm_buf key = { 0 };
	char made[CM_TIME_SIZE];
	json_t *o = json_object();
	enum cm_err err;

	cm_buf_add_hex(&key, (struct cm_blob){ r->key, sizeof(r->key) });
	cm_cli_set(o, "user", r->name);
	json_object_set_new(o, "uid", json_integer(r->uid));
	cm_cli_set(o, "use", r->use == CM_SEALED_CARD ? "card" : "recovery");
	cm_cli_set(o, "key", cm_buf_str(&key));
	cm_cli_set_time(o, "made", r->made);
	json_array_append_new(json_object_get(c->answer, "secrets"), o);
	cm_cli_line(c, r->name, "uid %u, to the %s %s, since %s", (unsigned)r->uid,
	    r->use == CM_SEALED_CARD ? "card's key" : "recovery key", cm_buf_str(&key), cm_clock_text(r->made, made));
	err = cm_buf_status(&key);
	cm_buf_free(&key);
	return err;
}

static enum cm_err
status(struct cm_cli *c, const struct cm_host *host)
{
	enum cm_err err;

	json_object_set_new(c->answer, "secrets", json_array());
	err = cm_sealed_list(host->accounts, c->args[1], c->trace, tell_row, c);
	if (err == CM_OK && json_array_size(json_object_get(c->answer, "secrets")) == 0)
		cm_cli_text(c, c->args[1] != NULL ? "no secret is kept for this user" : "no secret is kept");
	return err;
}

/* ---- forget */

static enum cm_err
forget(struct cm_cli *c, const struct cm_host *host)
{
	enum cm_err err = cm_sealed_forget(host->accounts, c->args[1], c->trace);

	if (err == CM_ERR_ABSENT && cm_trace_reason(c->trace) == CM_REASON_NONE)
		return cm_trace_fail(c->trace, CM_REASON_SECRET_NONE, "no secret is kept for %s", c->args[1]);
	if (err == CM_OK) {
		cm_log_event((enum cm_log_target)c->conf->service.log, "secret", CM_OK, CM_REASON_NONE,
		    "the sealed secret of %s was forgotten by root", c->args[1]);
		cm_cli_line(c, "forgotten", "%s: what was encrypted with it cannot be opened any more", c->args[1]);
	}
	return err;
}

/* ---- recover */

struct recovery {
	struct cm_cli *cli;
	EVP_PKEY *key;			/* owned */
	struct cm_secret *secret;	/* owned; NULL: not opened yet */
	uid_t uid;
	bool any;			/* something is sealed to a recovery key */
};

static enum cm_err
read_key(struct recovery *r)
{
	struct cm_cli *c = r->cli;
	struct cm_buf text = { .secret = true };
	BIO *b = NULL;
	enum cm_err err;

	if (c->key_file == NULL)
		return cm_trace_fail(c->trace, CM_REASON_USAGE, "secret recover: name the private key of accounts.secret_recovery by --key FILE");
	err = cm_file_read(c->key_file, KEY_FILE_MAX, CM_FILE_SECRET, c->trace, &text);
	if (err == CM_OK && (b = BIO_new_mem_buf(text.ptr, (int)text.len)) != NULL)
		/* "": an encrypted one is not asked about at the terminal */
		r->key = PEM_read_bio_PrivateKey(b, NULL, NULL, (char[]){ "" });
	BIO_free(b);
	cm_buf_free(&text);
	ERR_clear_error();
	if (err == CM_ERR_ABSENT || (err == CM_OK && r->key == NULL))
		err = cm_trace_fail(c->trace, CM_REASON_CONFIG, err == CM_OK ?
		    "%s holds no private key in PEM that is not encrypted" : "there is no file %s", c->key_file);
	return err;
}

static enum cm_err
open_row(void *arg, const struct cm_sealed_row *row)
{
	struct recovery *r = arg;
	const struct cm_sealed_for whose = { .name = row->name, .uid = row->uid };
	struct cm_sealed s;

	if (row->use != CM_SEALED_RECOVERY || r->secret != NULL)
		return CM_OK;
	r->any = true;
	r->uid = row->uid;
	/* Another recovery key's is passed over. */
	if (cm_sealed_read(row->octets, &s) == CM_OK && cm_secret_open_with(&s, &whose, r->key, NULL, &r->secret) != CM_OK)
		r->secret = NULL;
	return CM_OK;
}

static enum cm_err
open_kept(struct recovery *r, const struct cm_host *host, const char *user)
{
	enum cm_err err = cm_sealed_list(host->accounts, user, r->cli->trace, open_row, r);

	if (r->secret != NULL || err != CM_OK)
		return r->secret != NULL ? CM_OK : err;
	return r->any ? cm_trace_fail(r->cli->trace, CM_REASON_SECRET_SEALED, "the secret of %s does not open with this key", user) :
	    cm_trace_fail(r->cli->trace, CM_REASON_SECRET_NONE, "no secret of %s is sealed to a recovery key", user);
}

/* The user's new card, unlocked; *beside: SHA-256 of its 9A certificate. */
static enum cm_err
unlock(struct cm_cli *c, const char *user, struct cm_card **card, struct cm_cert **cert)
{
	unsigned tries = CM_TRIES_UNKNOWN;
	struct cm_secret *pin = NULL;
	enum cm_err err;

	if ((err = cm_cli_read_certificate(c, CM_CARD_LOGIN, card, cert)) == CM_OK &&
	    (err = cm_card_pin_tries(*card, cm_deadline_in(c->conf->card.timeout), c->trace, &tries)) == CM_OK &&
	    (err = cm_cli_ask_pin(c, user, tries, &pin)) == CM_OK)
		err = cm_card_verify_pin(*card, pin, c->last_try, cm_deadline_in(c->conf->card.timeout), c->trace, &tries);
	cm_secret_free(&pin);
	return err;
}

static enum cm_err
seal_to_card(const struct recovery *r, const struct cm_host *host, const char *user)
{
	struct cm_cli *c = r->cli;
	const struct cm_sealed_for whose = { .name = user, .uid = r->uid };
	struct cm_sealed_row row = { .name = (char *)(uintptr_t)user, .uid = r->uid, .use = CM_SEALED_CARD, .made = cm_clock_now() };
	struct cm_card *card = NULL;
	struct cm_cert *cert = NULL;
	struct cm_buf sealed = { 0 };
	struct cm_sealed s;
	enum cm_err err;

	if ((err = unlock(c, user, &card, &cert)) == CM_OK &&
	    (err = cm_secret_to_card(card, &whose, r->secret, cm_deadline_in(c->conf->card.timeout), c->trace, &sealed)) == CM_OK &&
	    (err = cm_sealed_read(cm_buf_blob(&sealed), &s)) == CM_OK) {
		memcpy(row.key, s.key.ptr, sizeof(row.key));
		memcpy(row.beside, cm_cert_sha256(cert).ptr, sizeof(row.beside));
		row.octets = cm_buf_blob(&sealed);
		err = cm_sealed_add(host->accounts, &row, c->trace);
	}
	if (err == CM_OK) {
		cm_log_event((enum cm_log_target)c->conf->service.log, "secret", CM_OK, CM_REASON_NONE,
		    "the secret of %s was sealed by root to the card of %s", user, cm_cert_subject_text(cert));
		cm_cli_set(c->answer, "certificate", cm_cert_subject_text(cert));
		cm_cli_line(c, "sealed", "the secret of %s, to the card of %s", user, cm_cert_subject_text(cert));
	}
	cm_buf_free(&sealed);
	cm_cert_free(&cert);
	cm_card_close(&card);
	return err;
}

static enum cm_err
recover(struct cm_cli *c, const struct cm_host *host)
{
	struct recovery r = { .cli = c };
	enum cm_err err;

	cm_secret_harden_process();
	if ((err = read_key(&r)) == CM_OK && (err = open_kept(&r, host, c->args[1])) == CM_OK)
		err = seal_to_card(&r, host, c->args[1]);
	EVP_PKEY_free(r.key);
	cm_secret_free(&r.secret);
	cm_secret_wipe_stack();
	return err;
}

/* ---- */

static const struct {
	const char *name;
	int args;	/* behind it, at least */
	enum cm_err (*run)(struct cm_cli *c, const struct cm_host *host);
} actions[] = {
	{ "status", 0, status },
	{ "recover", 1, recover },
	{ "forget", 1, forget },
};

int
cm_cli_secret(struct cm_cli *c)
{
	struct cm_host *host = NULL;
	enum cm_err err = CM_OK;

	for (size_t i = 0; i < CM_COUNT(actions); i++) {
		if (strcmp(c->args[0], actions[i].name) != 0 || c->arg_count <= actions[i].args)
			continue;
		/* The store is root's, or whose service it is: who may not open it is told so there. */
		if ((err = cm_host_open(c->conf, CM_NEED_ACCOUNTS, c->trace, &host)) == CM_OK)
			err = actions[i].run(c, host);
		cm_host_close(&host);
		return cm_cli_finish(c, err);
	}
	return cm_cli_finish(c, cm_trace_fail(c->trace, CM_REASON_USAGE, "usage: cardmap secret status [USER] | recover USER --key FILE | forget USER"));
}
