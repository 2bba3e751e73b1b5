/* cli/pair.c - cards paired with accounts: pair, unpair, pairings, and the keys that could be (sc_auth(8)). */
#include <stdlib.h>

#include "cli/service.h"
#include "service/disabled.h"
#include "service/pair.h"

/* ---- pair */

static enum cm_err
tell_ldif(const struct cm_cli *c, const struct cm_pair *p, const char *hash)
{
	struct cm_buf value = { 0 }, text = { 0 };
	struct cm_blob v;
	enum cm_err err;

	cm_buf_addf(&value, ";tokenidentity;%s", hash);
	v = cm_buf_blob(&value);
	if ((err = cm_buf_status(&value)) == CM_OK) {
		cm_cli_ldif_add(p->account->dn, "altSecurityIdentities", &v, 1, &text);
		err = cm_cli_tell_ldif(c, &text);
	}
	cm_buf_free(&value);
	cm_buf_free(&text);
	return err;
}

static enum cm_err
tell_pair(const struct cm_cli *c, const struct cm_pair *p)
{
	struct cm_selector_key key;
	char hash[CM_SELECTOR_KEY_SIZE];

	cm_key_hash(p->cert, key.sha1);
	cm_selector_key_text(&key, hash);
	cm_cli_set(c->answer, "hash", hash);
	cm_cli_set(c->answer, "certificate", cm_cert_subject_text(p->cert));
	cm_cli_set_account(c->answer, p->account);
	if (p->where == CM_PAIR_LDIF)
		return tell_ldif(c, p, hash);
	cm_cli_set(c->answer, "kept_by", p->by_selector ? c->conf->mapper.selector : c->conf->accounts.path);
	cm_cli_line(c, "paired", "%s with %s %s (uid %u)", hash, p->account->local ? "the local account" :
	    "the directory's account", p->account->name, p->account->uid);
	cm_cli_line(c, "kept by", "%s", p->by_selector ? c->conf->mapper.selector : c->conf->accounts.path);
	return CM_OK;
}

enum cm_err
cm_cli_run_pair(struct cm_cli *c, struct cm_pair *p)
{
	const unsigned needs = p->where == CM_PAIR_LDIF ? CM_NEED_PAIR & ~(unsigned)CM_NEED_ACCOUNTS : CM_NEED_PAIR;
	struct cm_host *host = NULL;
	struct cm_secret *pin = NULL;
	enum cm_err err;

	cm_secret_harden_process();
	p->trace = c->trace;
	p->last_try = c->last_try;
	p->slot = c->slot;
	/* Before the store, which only root can open. */
	if ((p->where != CM_PAIR_LDIF && (err = cm_pair_check_root(c->trace)) != CM_OK) ||
	    (err = cm_host_open(c->conf, needs, c->trace, &host)) != CM_OK)
		return err;
	p->host = host;
	if ((err = cm_pair_prepare(p)) == CM_OK && (err = cm_cli_ask_pin(c, p->account->name, p->tries_left, &pin)) == CM_OK)
		err = cm_pair_finish(p, pin);
	cm_secret_free(&pin);
	if (err == CM_OK)
		err = tell_pair(c, p);
	if (p->card != NULL && p->tries_left != CM_TRIES_UNKNOWN)
		json_object_set_new(c->answer, "tries_left", json_integer(p->tries_left));
	if (c->verbose || c->json)
		cm_cli_stages(c);
	cm_pair_clear(p);
	cm_host_close(&host);
	return err;
}

int
cm_cli_pair(struct cm_cli *c)
{
	struct cm_pair p = { .user = c->args[0], .where = c->ldif ? CM_PAIR_LDIF :
		c->local ? CM_PAIR_LOCAL : c->remote ? CM_PAIR_DIRECTORY : CM_PAIR_ANY };

	if (c->arg_count == 0 && (c->ldif || c->local || c->remote || c->configured || c->slot != CM_SLOT_AUTHENTICATION))
		return cm_cli_finish(c, cm_trace_fail(c->trace, CM_REASON_USAGE, "name the USER whose card it is to be"));
	if (c->arg_count == 0)
		return cm_cli_finish(c, c->watch ? cm_cli_pair_watch(c) : cm_cli_pair_own(c, NULL));
	if (c->watch)
		return cm_cli_finish(c, cm_trace_fail(c->trace, CM_REASON_USAGE, "--watch is for one's own account: it takes no USER"));
	if (c->ldif + c->local + c->remote > 1)
		return cm_cli_finish(c, cm_trace_fail(c->trace, CM_REASON_USAGE,
		    "say one of --local, --remote and --ldif"));
	return cm_cli_finish(c, cm_cli_run_pair(c, &p));
}

/* ---- unpair */

/* The key of the card that is in. */
static enum cm_err
read_key(struct cm_cli *c, struct cm_selector_key *key)
{
	struct cm_card *card = NULL;
	struct cm_cert *cert = NULL;
	enum cm_err err;

	if ((err = cm_cli_read_certificate(c, CM_CARD_LOOK, &card, &cert)) == CM_OK)
		cm_key_hash(cert, key->sha1);
	cm_cert_free(&cert);
	cm_card_close(&card);
	return err;
}

static enum cm_err
unpair_one(struct cm_cli *c, const struct cm_host *host, const char *arg)
{
	struct cm_selector_key key;
	enum cm_err err;

	if (cm_selector_key_parse(cm_blob_str(arg), &key))
		err = cm_pair_end(host, NULL, &key, c->trace);
	else if (c->conf->mapper.selector == NULL)
		err = cm_pair_end(host, arg, NULL, c->trace);
	/* A selector goes by keys: the user's is that of the card which is in. */
	else if ((err = read_key(c, &key)) == CM_OK)
		err = cm_pair_end(host, arg, &key, c->trace);
	if (err == CM_OK)
		cm_cli_line(c, "unpaired", "%s", arg);
	return err;
}

int
cm_cli_unpair(struct cm_cli *c)
{
	struct cm_host *host = NULL;
	json_t *done = json_array();
	enum cm_err err;

	json_object_set_new(c->answer, "unpaired", done);
	if ((err = cm_pair_check_root(c->trace)) == CM_OK)
		err = cm_host_open(c->conf, CM_NEED_ACCOUNTS, c->trace, &host);
	for (int i = 0; err == CM_OK && i < c->arg_count; i++)
		if ((err = unpair_one(c, host, c->args[i])) == CM_OK)
			json_array_append_new(done, json_string(c->args[i]));
	cm_host_close(&host);
	return cm_cli_finish(c, err);
}

/* ---- pairings */

struct listing {
	struct cm_cli *cli;
	struct cm_host *host;
	json_t *list;
};

static enum cm_err
list_pairing(void *arg, const struct cm_pairing *p)
{
	const struct listing *l = arg;
	struct cm_selector_key key;
	char hash[CM_SELECTOR_KEY_SIZE], made[CM_TIME_SIZE];
	json_t *o = json_object();

	memcpy(key.sha1, p->hash, sizeof(key.sha1));
	cm_selector_key_text(&key, hash);
	cm_cli_set(o, "hash", hash);
	cm_cli_set(o, "user", p->user);
	json_object_set_new(o, "local", json_boolean(p->local));
	cm_cli_set(o, "subject", p->subject);
	cm_cli_set_time(o, "made", p->made);
	json_array_append_new(l->list, o);
	cm_cli_line(l->cli, hash, " %-16s %-9s since %s, %s", p->user, p->local ? "local" : "directory",
	    cm_clock_text(p->made, made), p->subject);
	return CM_OK;
}

int
cm_cli_pairings(struct cm_cli *c)
{
	struct listing l = { .cli = c, .list = json_array() };
	enum cm_err err;

	json_object_set_new(c->answer, "pairings", l.list);
	if ((err = cm_host_open(c->conf, CM_NEED_ACCOUNTS, c->trace, &l.host)) == CM_OK)
		err = cm_pairings_list(l.host->accounts, c->args[0], c->trace, list_pairing, &l);
	if (err == CM_OK && json_array_size(l.list) == 0 && !c->json)
		puts(c->args[0] != NULL ? "no card is paired with this user here" : "no card is paired here");
	cm_host_close(&l.host);
	return cm_cli_finish(c, err);
}

/* ---- identities */

/* With whom the key is paired here, as far as this user may know. */
static enum cm_err
tell_identity(struct listing *l, const struct cm_cert *cert)
{
	struct cm_pairing p = { .user = NULL };
	struct cm_selector_key key;
	char hash[CM_SELECTOR_KEY_SIZE];
	json_t *o = json_object();
	enum cm_err err = CM_ERR_ABSENT;

	if (l->host != NULL && l->host->accounts != NULL)
		err = cm_pairings_find(l->host->accounts, cert, l->cli->trace, &p);
	cm_key_hash(cert, key.sha1);
	cm_selector_key_text(&key, hash);
	cm_cli_set(o, "hash", hash);
	cm_cli_set(o, "subject", cm_cert_subject_text(cert));
	json_object_set_new(o, "user", json_null());
	if (err == CM_OK)
		cm_cli_set(o, "user", p.user);
	json_array_append_new(l->list, o);
	cm_cli_line(l->cli, hash, " %s%s%s", cm_cert_subject_text(cert), err == CM_OK ? ", paired with " : "",
	    err == CM_OK ? p.user : "");
	cm_pairing_clear(&p);
	return err == CM_ERR_ABSENT ? CM_OK : err;
}

static enum cm_err
list_card(struct listing *l, const char *source)
{
	const cm_deadline deadline = cm_deadline_in(l->cli->conf->card.timeout);
	const struct cm_card_from from = cm_disabled_from(l->cli->conf, source, CM_CARD_LOOK);
	struct cm_card *card = NULL;
	struct cm_cert *cert = NULL;
	enum cm_err err;

	if ((err = cm_card_open_from(&from, deadline, l->cli->trace, &card)) == CM_OK &&
	    (err = cm_card_certificate(card, CM_SLOT_AUTHENTICATION, deadline, l->cli->trace, &cert)) == CM_OK)
		err = tell_identity(l, cert);
	cm_cert_free(&cert);
	cm_card_close(&card);
	return err;
}

/* One card that cannot be read does not hide the next; the last one's reason is told where there is none. */
static enum cm_err
list_reader(void *arg, const struct cm_reader *r)
{
	struct listing *l = arg;
	struct cm_buf source = { 0 };
	enum cm_err err = CM_OK;

	cm_buf_addf(&source, "reader:%s", r->name);
	if (r->card_present)
		err = list_card(l, cm_buf_str(&source));
	cm_buf_free(&source);
	return err == CM_ERR_NOMEM || err == CM_ERR_SYSTEM ? err : CM_OK;
}

int
cm_cli_identities(struct cm_cli *c)
{
	struct listing l = { .cli = c, .list = json_array() };
	const char *source = c->conf->card.source;
	enum cm_err err;

	json_object_set_new(c->answer, "identities", l.list);
	if ((err = cm_cli_open_host(c, 0, &l.host)) == CM_OK)
		err = strcmp(source, "reader") != 0 ? list_card(&l, source) :
		    cm_card_readers(cm_deadline_in(c->conf->card.timeout), c->trace, list_reader, &l);
	if (err == CM_OK && json_array_size(l.list) > 0)
		cm_trace_clear_reason(c->trace);
	else if (err == CM_OK)
		err = cm_trace_reason(c->trace) != CM_REASON_NONE ? cm_reason_err(cm_trace_reason(c->trace)) :
		    cm_trace_fail(c->trace, CM_REASON_NO_CARD, "no reader holds a card");
	cm_host_close(&l.host);
	return cm_cli_finish(c, err);
}
