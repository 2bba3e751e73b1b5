/* cli/config.c - the configuration: its mistakes, its values, their origins. */
#include <stdlib.h>

#include "base/file.h"
#include "cli/cli.h"
#include "service/enforcement.h"
#include "service/secret_card.h"

#define CONSIDER	"to be considered"	/* items of the trace that are no mistake, and told by check */

static json_t *
item_json(const struct cm_conf_item *item)
{
	json_t *o = json_object();

	cm_cli_set(o, "value", item->value);
	cm_cli_set(o, "origin", item->origin);
	cm_cli_set(o, "type", item->type);
	cm_cli_set(o, "unit", item->unit);
	cm_cli_set(o, "default", item->fallback);
	cm_cli_set(o, "help", item->help);
	if (item->alias != NULL)
		cm_cli_set(o, "alias", item->alias);
	if (item->managed)
		json_object_set_new(o, "managed", json_true());
	if (item->max != 0) {
		json_object_set_new(o, "min", json_integer(item->min));
		json_object_set_new(o, "max", json_integer(item->max));
	}
	return o;
}

static void
show_item(void *arg, const struct cm_conf_item *item)
{
	struct cm_cli *c = arg;

	json_object_set_new(json_object_get(c->answer, "values"), item->key, item_json(item));
	if (!c->json)
		printf("%-30s = %-32s # %s\n", item->key, item->value, item->origin);
}

/* A key that any rule may have, for those who describe them. */
static void
add_rule_key(void *arg, const struct cm_conf_item *item)
{
	json_object_set_new(arg, item->key, item_json(item));
}

struct rule_shown {
	const struct cm_cli *cli;
	json_t *values;
};

static void
show_rule_item(void *arg, const struct cm_conf_item *item)
{
	const struct rule_shown *s = arg;
	struct cm_buf value = { 0 };
	json_t *o;

	if (item->value[0] == '\0' || strcmp(item->value, item->fallback) == 0)
		return;
	o = json_object();
	cm_cli_set(o, "value", item->value);
	cm_cli_set(o, "origin", item->origin);
	json_object_set_new(s->values, item->key, o);
	cm_buf_add_printable(&value, cm_blob_str(item->value));
	if (!s->cli->json)
		printf("  %-28s = %-32s # %s\n", item->key, cm_buf_str(&value), item->origin);
	cm_buf_free(&value);
}

static void
show_rules(struct cm_cli *c)
{
	json_t *rules = json_array(), *keys = json_object();

	for (size_t i = 0; i < c->conf->rule_count; i++) {
		const struct cm_conf_rule *r = &c->conf->rules[i];
		const struct rule_shown shown = { c, json_object() };
		struct cm_buf name = { 0 };
		json_t *o = json_object();

		cm_cli_set(o, "name", r->name);
		cm_cli_set(o, "origin", r->origin);
		json_object_set_new(o, "values", shown.values);
		json_array_append_new(rules, o);
		cm_buf_addf(&name, "rule \"%s\"", r->name);
		if (!c->json)
			printf("%-30s   %-32s # %s\n", cm_buf_str(&name), "", r->origin);
		cm_conf_rule_each(r, show_rule_item, (void *)(uintptr_t)&shown);
		cm_buf_free(&name);
	}
	cm_conf_rule_each(NULL, add_rule_key, keys);
	json_object_set_new(c->answer, "rules", rules);
	json_object_set_new(c->answer, "rule_keys", keys);
}

/* Everything that was seen under this name, in all parts.  Returns how much. */
static size_t
tell_all(const struct cm_cli *c, const char *item, const char *before, const char *name)
{
	json_t *list = json_array();
	size_t told;

	for (size_t i = 0; i < cm_trace_count(c->trace); i++) {
		const struct cm_trace_stage *s = cm_trace_stage(c->trace, i);

		for (size_t k = 0; k < s->count; k++)
			if (strcmp(s->items[k].key, item) == 0) {
				json_array_append_new(list, json_string(s->items[k].text));
				if (!c->json)
					printf("%s%s\n", before, s->items[k].text);
			}
	}
	told = json_array_size(list);
	json_object_set_new(c->answer, name, list);
	return told;
}

static enum cm_err
check_anchors(const struct cm_cli *c, const struct cm_host *host)
{
	if (cm_trust_anchor_count(host->trust) > 0)
		return CM_OK;
	return cm_trace_fail(c->trace, CM_REASON_CONFIG, "trust.anchors (%s) holds no CA: no card can be "
	    "trusted; name the PEM file of the cards' root CA there, or put it there",
	    c->conf->trust.anchors[0] != NULL ? c->conf->trust.anchors[0] : "not set");
}

/* Did the part that is open tell its mistakes one by one? */
static bool
has_told(const struct cm_trace *t)
{
	const struct cm_trace_stage *s = cm_trace_stage(t, cm_trace_count(t) - 1);

	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->items[i].key, "mistake") == 0)
			return true;
	return false;
}

/* Each part opens for itself, so that every one's mistake is told. */
static enum cm_err
check_part(struct cm_cli *c, unsigned need, const char *name)
{
	struct cm_host *host = NULL;
	enum cm_err err;

	cm_trace_begin(c->trace, name);
	err = cm_host_open(c->conf, need, c->trace, &host);
	if (err == CM_OK && need == CM_NEED_TRUST)
		err = check_anchors(c, host);
	if (err != CM_OK && !has_told(c->trace))
		cm_trace_add(c->trace, "mistake", "%s: %s", name, cm_trace_message(c->trace));
	cm_trace_end(c->trace, err);
	cm_host_close(&host);
	return err;
}

static enum cm_err
check_enforcement(struct cm_cli *c)
{
	enum cm_err err;

	cm_trace_begin(c->trace, "enforcement");
	err = cm_enforcement_check(c->conf, NULL, c->trace);
	cm_trace_end(c->trace, err);
	return err;
}

/* What main's first stage came to: the file, the command line, and files of other systems that they name. */
static enum cm_err
loaded(const struct cm_cli *c)
{
	return c->conf == NULL ? CM_ERR_CONFIG : cm_trace_stage(c->trace, 0)->err;
}

/* The key that secrets are sealed to as well: by sealing one to it. */
static enum cm_err
check_recovery(struct cm_cli *c, const char *path)
{
	const struct cm_sealed_for whose = { .name = "check" };
	struct cm_buf file = { 0 }, sealed = { 0 };
	struct cm_secret *secret = NULL;
	enum cm_err err;

	if ((err = cm_file_read(path, CM_CERT_MAX, CM_FILE_TRUSTED, c->trace, &file)) == CM_ERR_ABSENT)
		err = cm_trace_fail(c->trace, CM_REASON_CONFIG, "accounts.secret_recovery: there is no file %s", path);
	if (err == CM_OK && (err = cm_secret_make(c->trace, &secret)) == CM_OK)
		err = cm_secret_to_certificate(cm_buf_blob(&file), &whose, secret, c->trace, &sealed);
	if (err != CM_OK)
		cm_trace_add(c->trace, "mistake", "secret: %s", cm_trace_message(c->trace));
	else
		cm_trace_add(c->trace, CONSIDER, "accounts.secret_recovery: so can whoever has the private key of %s", path);
	cm_secret_free(&secret);
	cm_buf_free(&sealed);
	cm_buf_free(&file);
	return err;
}

/* What is switched on, and who can then open what: no mistake, and not to be learned too late. */
static enum cm_err
check_secret(struct cm_cli *c)
{
	const char *recovery = c->conf->accounts.secret_recovery;
	enum cm_err err = CM_OK;

	if (!c->conf->accounts.secret)
		return CM_OK;
	cm_trace_begin(c->trace, "secret");
	cm_trace_add(c->trace, CONSIDER, "accounts.secret = yes: an issuer that keeps a copy of a card's Key Management key (slot 9D, "
	    "escrow) can open that user's secret, and what is encrypted with it");
	if (recovery != NULL)
		err = check_recovery(c, recovery);
	else
		cm_trace_add(c->trace, CONSIDER, "accounts.secret_recovery is not set: a card that is lost takes the user's secret, "
		    "and what is encrypted with it, along");
	cm_trace_end(c->trace, err);
	return err;
}

static enum cm_err
check(struct cm_cli *c)
{
	static const struct { unsigned need; const char *name; } parts[] = {
		{ CM_NEED_RULES, "mapper" }, { CM_NEED_DIRECTORY, "directory" },
		{ CM_NEED_TRUST, "trust" }, { CM_NEED_KERBEROS, "kerberos" },
		{ CM_NEED_ACCOUNTS, "accounts" },
	};
	enum cm_err first = loaded(c), secret;
	size_t left_out;

	for (size_t i = 0; c->conf != NULL && i < CM_COUNT(parts); i++) {
		const enum cm_err err = check_part(c, parts[i].need, parts[i].name);

		first = first != CM_OK ? first : err;
	}
	if (c->conf != NULL && (secret = check_secret(c)) != CM_OK && first == CM_OK)
		first = secret;
	if (c->conf != NULL) {
		const enum cm_err err = check_enforcement(c);

		first = first != CM_OK ? first : err;
	}
	/* All of them, not only the first. */
	tell_all(c, "mistake", "", "mistakes");
	left_out = tell_all(c, "left out", "left out: ", "left_out");
	tell_all(c, CONSIDER, "note: ", "notes");
	if (first == CM_OK && left_out == 0)
		cm_cli_line(c, "configuration", "no mistakes");
	else if (first == CM_OK)
		cm_cli_line(c, "configuration", "holds without what is left out");
	return first;
}

int
cm_cli_config(struct cm_cli *c)
{
	if (strcmp(c->args[0], "check") == 0)
		return cm_cli_finish(c, check(c));
	if (strcmp(c->args[0], "show") != 0)
		return cm_cli_finish(c, cm_trace_fail(c->trace, CM_REASON_USAGE,
		    "usage: cardmap config check | show"));
	if (loaded(c) != CM_OK)
		return cm_cli_finish(c, loaded(c));
	json_object_set_new(c->answer, "values", json_object());
	cm_conf_each(c->conf, show_item, c);
	show_rules(c);
	return cm_cli_finish(c, CM_OK);
}
