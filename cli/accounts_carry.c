/* cli/accounts_carry.c - accounts carried to another computer: export and import. */
#include <openssl/crypto.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "cache/transfer.h"
#include "cli/cli.h"
#include "service/carry.h"

static enum cm_err
need_key(const struct cm_cli *c)
{
	return c->key_file != NULL ? CM_OK : cm_trace_fail(c->trace, CM_REASON_USAGE, "accounts %s: name the file of the key by --key FILE",
	    c->args[0]);
}

/* Without the key nobody can read the file, so the key is there first; where there is no file there is no key. */
static enum cm_err
write_both(const struct cm_cli *c, struct cm_blob plain)
{
	uint8_t key[CM_CARRY_KEY];
	struct cm_buf sealed = { 0 };
	enum cm_err err;

	if ((err = cm_carry_key_make(c->key_file, c->trace, key)) != CM_OK)
		return err;
	if ((err = cm_carry_seal(plain, key, &sealed)) == CM_OK)
		err = cm_carry_write(c->args[1], cm_buf_blob(&sealed), c->trace);
	if (err != CM_OK)
		unlink(c->key_file);
	OPENSSL_cleanse(key, sizeof(key));
	cm_buf_free(&sealed);
	return err;
}

enum cm_err
cm_cli_accounts_export(struct cm_cli *c, const struct cm_host *host)
{
	const char *name = c->arg_count > 2 ? c->args[2] : NULL;
	struct cm_buf plain = { .secret = true };
	size_t count = 0;
	enum cm_err err;

	if ((err = need_key(c)) == CM_OK && (err = cm_transfer_collect(host->accounts, name, c->trace, &plain, &count)) == CM_OK && count == 0)
		err = (cm_trace_fail(c->trace, CM_REASON_NOT_KEPT, name != NULL ? "no account %s is kept" : "no account is kept", name), CM_ERR_ABSENT);
	if (err == CM_OK)
		err = write_both(c, cm_buf_blob(&plain));
	if (err == CM_OK) {
		json_object_set_new(c->answer, "exported", json_integer((json_int_t)count));
		cm_cli_line(c, "exported", "%zu into %s; the key is in %s: carry them apart, and wipe both afterwards", count, c->args[1], c->key_file);
		cm_log_event((enum cm_log_target)c->conf->service.log, "accounts", CM_OK, CM_REASON_NONE, "%zu kept accounts were exported by root", count);
	}
	cm_buf_free(&plain);
	return err;
}

static void
tell(void *arg, const struct cm_account *a, const char *left)
{
	const struct cm_cli *c = arg;
	json_t *o = json_object();

	cm_cli_set(o, "name", a->name);
	json_object_set_new(o, "uid", json_integer(a->uid));
	json_object_set_new(o, "imported", json_boolean(left == NULL));
	if (left != NULL)
		cm_cli_set(o, "left_out", left);
	json_array_append_new(json_object_get(c->answer, "accounts"), o);
	cm_cli_line(c, a->name, "%s%s", left == NULL ? "imported" : "left out: ", left == NULL ? "" : left);
}

static unsigned
imported(const struct cm_cli *c)
{
	unsigned n = 0;
	size_t i;
	json_t *o;

	json_array_foreach(json_object_get(c->answer, "accounts"), i, o)
		n += json_is_true(json_object_get(o, "imported"));
	return n;
}

enum cm_err
cm_cli_accounts_import(struct cm_cli *c, const struct cm_host *host)
{
	const struct cm_mobile_host mobile = { .conf = c->conf, .store = host->accounts };
	const struct cm_carry how = { .host = &mobile, .now = cm_clock_now(), .told = tell, .arg = c };
	struct cm_buf sealed = { 0 }, plain = { .secret = true };
	uint8_t key[CM_CARRY_KEY];
	enum cm_err err;

	if ((err = need_key(c)) == CM_OK && (err = cm_carry_key_read(c->key_file, c->trace, key)) == CM_OK &&
	    (err = cm_file_read(c->args[1], CM_CARRY_MAX, CM_FILE_ANY, c->trace, &sealed)) == CM_ERR_ABSENT)
		err = cm_trace_fail(c->trace, CM_REASON_CONFIG, "there is no file %s", c->args[1]);
	if (err == CM_OK && (err = cm_carry_open(cm_buf_blob(&sealed), key, c->trace, &plain)) == CM_OK)
		err = cm_carry_apply(&how, cm_buf_blob(&plain), c->trace);
	if (err == CM_OK)
		cm_log_event((enum cm_log_target)c->conf->service.log, "accounts", CM_OK, CM_REASON_NONE, "%u kept accounts were imported by root",
		    imported(c));
	OPENSSL_cleanse(key, sizeof(key));
	cm_buf_free(&plain);
	cm_buf_free(&sealed);
	return err;
}
