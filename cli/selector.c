/*
 * cli/selector.c - cardmap as somebody else's selector: the call of UserSelector(7), answered.
 *
 *	cardmap selector -o map|bind|unbind [-u USER] -i HASH[,HASH]...
 */
#include <stdlib.h>

#include "cli/cli.h"
#include "service/mapping.h"
#include "service/pair.h"

struct asked {
	struct cm_cli *cli;
	const struct cm_cert *card;	/* of the card that is in; NULL: none */
	struct cm_selector_key keys[CM_SELECTOR_KEYS_MAX];
	size_t count;
};

static enum cm_err
parse_keys(struct asked *a)
{
	const char *text = a->cli->identity;

	for (; text != NULL && a->count < CM_COUNT(a->keys); a->count++) {
		const size_t len = strcspn(text, ",");

		if (!cm_selector_key_parse((struct cm_blob){ (const uint8_t *)text, len }, &a->keys[a->count]))
			break;
		if (text[len] == '\0') {
			a->count++;
			return CM_OK;
		}
		text += len + 1;
	}
	return cm_trace_fail(a->cli->trace, CM_REASON_USAGE,
	    "-i: expected 1 to %d hashes of 40 hex digits, with commas between them", CM_SELECTOR_KEYS_MAX);
}

/* What a login with this key would find, in full where its card is in. */
static enum cm_err
find_user(const struct asked *a, struct cm_mapping *m, const struct cm_selector_key *key,
    struct cm_account **account)
{
	struct cm_selector_key of_card;
	enum cm_err err;

	m->cert = NULL;
	if (a->card != NULL) {
		cm_key_hash(a->card, of_card.sha1);
		if (memcmp(of_card.sha1, key->sha1, sizeof(key->sha1)) == 0)
			m->cert = a->card;
	}
	err = m->cert != NULL ? cm_mapping_make(m) : cm_mapping_make_of_key(m, key);
	if (err == CM_OK && (err = cm_mapping_find(m, account)) == CM_ERR_OFFLINE)
		err = cm_mapping_find_local(m, account);
	return err;
}

static enum cm_err
map_key(struct asked *a, struct cm_mapping *m, const struct cm_selector_key *key, struct cm_buf *lines)
{
	struct cm_account *account = NULL;
	char text[CM_SELECTOR_KEY_SIZE];
	json_t *o;
	enum cm_err err;

	m->deadline = cm_deadline_in(a->cli->conf->directory.timeout);
	cm_trace_begin(m->trace, "account");
	err = find_user(a, m, key, &account);
	cm_trace_end(m->trace, err);
	if (err == CM_OK) {
		cm_buf_addf(lines, "%s\t%s\n", cm_selector_key_text(key, text), account->name);
		o = json_object();
		cm_cli_set(o, "hash", text);
		cm_cli_set(o, "user", account->name);
		json_array_append_new(json_object_get(a->cli->answer, "users"), o);
	}
	cm_account_free(&account);
	cm_mapping_clear(m);
	/* Whom the key is paired with could not be asked: that is not nobody. */
	if (err == CM_ERR_ABSENT && a->cli->store_unread)
		return cm_trace_fail(m->trace, CM_REASON_STORE, "%s", cm_trace_find(m->trace, "without"));
	/* Nobody, or not the one that was named: no line. */
	if (err == CM_ERR_ABSENT || (err == CM_ERR_REFUSED && cm_trace_reason(m->trace) == CM_REASON_NOT_THIS_USER)) {
		cm_trace_clear_reason(m->trace);
		err = CM_OK;
	}
	return err == CM_OK ? cm_buf_status(lines) : err;
}

/* All that could be told, or nothing: half an answer would be a wrong one. */
static enum cm_err
map(struct asked *a)
{
	struct cm_cli *c = a->cli;
	struct cm_mapping m = { .user = c->user, .trace = c->trace };
	struct cm_buf lines = { 0 };
	struct cm_host *host = NULL;
	struct cm_card *card = NULL;
	struct cm_cert *cert = NULL;
	enum cm_err err;

	json_object_set_new(c->answer, "users", json_array());
	if ((err = cm_cli_open_host(c, CM_NEED_RULES | CM_NEED_DIRECTORY, &host)) != CM_OK)
		return err;
	m.host = host;
	/* A card need not be there. */
	if (cm_cli_read_certificate(c, CM_CARD_LOOK, &card, &cert) != CM_OK)
		cm_trace_clear_reason(c->trace);
	a->card = cert;
	for (size_t i = 0; err == CM_OK && i < a->count; i++)
		err = map_key(a, &m, &a->keys[i], &lines);
	if (err == CM_OK && !c->json)
		fputs(cm_buf_str(&lines), stdout);
	cm_buf_free(&lines);
	a->card = NULL;
	cm_cert_free(&cert);
	cm_card_close(&card);
	cm_host_close(&host);
	return err;
}

static enum cm_err
bind(struct asked *a)
{
	struct cm_pair p = { .user = a->cli->user, .key = &a->keys[0] };

	if (a->cli->user == NULL || a->count != 1)
		return cm_trace_fail(a->cli->trace, CM_REASON_USAGE, "-o bind: expected -u USER, and one hash");
	return cm_cli_run_pair(a->cli, &p);
}

static enum cm_err
unbind(struct asked *a)
{
	struct cm_host *host = NULL;
	enum cm_err err;

	if ((err = cm_pair_check_root(a->cli->trace)) == CM_OK)
		err = cm_host_open(a->cli->conf, CM_NEED_ACCOUNTS, a->cli->trace, &host);
	for (size_t i = 0; err == CM_OK && i < a->count; i++)
		err = cm_pair_end(host, a->cli->user, &a->keys[i], a->cli->trace);
	cm_host_close(&host);
	return err;
}

static const struct operation {
	const char *name;
	enum cm_err (*run)(struct asked *);
} operations[] = {
	{ "map", map }, { "bind", bind }, { "unbind", unbind },
};

int
cm_cli_selector(struct cm_cli *c)
{
	struct asked a = { .cli = c };
	enum cm_err err = parse_keys(&a);

	/* Here cardmap is the selector, and asks no other: that may be the one that asks. */
	free(c->conf->mapper.selector);
	c->conf->mapper.selector = NULL;
	for (size_t i = 0; err == CM_OK && i < CM_COUNT(operations); i++)
		if (c->operation != NULL && strcmp(c->operation, operations[i].name) == 0)
			return cm_cli_finish(c, operations[i].run(&a));
	if (err == CM_OK)
		err = cm_trace_fail(c->trace, CM_REASON_USAGE, "-o: expected map, bind or unbind");
	return cm_cli_finish(c, err);
}
