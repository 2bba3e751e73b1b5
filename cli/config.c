/* cli/config.c - the configuration: its mistakes, its values, their origins. */
#include <stdlib.h>

#include "cli/cli.h"

static void
show_item(void *arg, const struct cm_conf_item *item)
{
	struct cm_cli *c = arg;
	json_t *o = json_object();

	cm_cli_set(o, "value", item->value);
	cm_cli_set(o, "origin", item->origin);
	cm_cli_set(o, "type", item->type);
	cm_cli_set(o, "unit", item->unit);
	cm_cli_set(o, "default", item->fallback);
	cm_cli_set(o, "help", item->help);
	if (item->max != 0) {
		json_object_set_new(o, "min", json_integer(item->min));
		json_object_set_new(o, "max", json_integer(item->max));
	}
	json_object_set_new(json_object_get(c->answer, "values"), item->key, o);
	if (!c->json)
		printf("%-30s = %-32s # %s\n", item->key, item->value, item->origin);
}

/* Mistakes of the file itself: all of them, not only the first. */
static void
tell_mistakes(const struct cm_cli *c)
{
	json_t *list = json_array();

	for (size_t i = 0; i < cm_trace_count(c->trace); i++) {
		const struct cm_trace_stage *s = cm_trace_stage(c->trace, i);

		for (size_t k = 0; k < s->count; k++)
			if (strcmp(s->items[k].key, "mistake") == 0) {
				json_array_append_new(list, json_string(s->items[k].text));
				if (!c->json)
					printf("%s\n", s->items[k].text);
			}
	}
	json_object_set_new(c->answer, "mistakes", list);
}

static enum cm_err
check_anchors(const struct cm_cli *c)
{
	if (c->conf->trust.anchors[0] != NULL)
		return CM_OK;
	return cm_trace_fail(c->trace, CM_REASON_CONFIG,
	    "trust.anchors is not set: no card can be trusted; name the PEM file of the cards' root CA");
}

/* Each part opens for itself, so that every one's mistake is told. */
static enum cm_err
check_part(struct cm_cli *c, unsigned need, const char *name)
{
	struct cm_host *host = NULL;
	enum cm_err err;

	cm_trace_begin(c->trace, name);
	err = cm_host_open(c->conf, need, c->trace, &host);
	if (err == CM_OK && need == CM_NEED_TRUST && (err = cm_host_check_level(c->conf, c->trace)) == CM_OK)
		err = check_anchors(c);
	if (err != CM_OK)
		cm_trace_add(c->trace, "mistake", "%s: %s", name, cm_trace_message(c->trace));
	cm_trace_end(c->trace, err);
	cm_host_close(&host);
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
	enum cm_err first = c->conf != NULL ? CM_OK : CM_ERR_CONFIG;

	for (size_t i = 0; c->conf != NULL && i < CM_COUNT(parts); i++) {
		const enum cm_err err = check_part(c, parts[i].need, parts[i].name);

		first = first != CM_OK ? first : err;
	}
	tell_mistakes(c);
	if (first == CM_OK)
		cm_cli_line(c, "configuration", "no mistakes");
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
	if (c->conf == NULL)
		return cm_cli_finish(c, CM_ERR_CONFIG);
	json_object_set_new(c->answer, "values", json_object());
	cm_conf_each(c->conf, show_item, c);
	return cm_cli_finish(c, CM_OK);
}
