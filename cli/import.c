/* cli/import.c - what another system's configuration says, printed as cardmap.conf. */
#include <stdlib.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "mapper/import.h"

/* A new kind is one row. */
struct kind {
	const char *name;
	enum cm_err (*run)(struct cm_cli *c, const struct kind *k, struct cm_import **out);
	cm_import_reader read;		/* of a file; NULL: from the directory */
};

static enum cm_err
import_file(struct cm_cli *c, const struct kind *k, struct cm_import **out)
{
	const enum cm_err err = cm_import_load(c->args[1], k->read, c->trace, out);

	return err != CM_ERR_ABSENT ? err :
	    cm_trace_fail(c->trace, CM_REASON_CONFIG, "%s: no such file; name the %s file", c->args[1], k->name);
}

/* ---- FreeIPA */

/* Texts of one entry, and what they are put into. */
struct ipa_reading {
	struct cm_cli *cli;
	struct cm_import *out;
	const char *domain;
};

/* A value that holds a NUL is no text: cut there, a rule would be a wider one. */
static bool
has_nul(const struct cm_entry *e)
{
	for (size_t i = 0; i < e->count; i++)
		if (e->values[i].value.len > 0 && memchr(e->values[i].value.ptr, '\0', e->values[i].value.len) != NULL)
			return true;
	return false;
}

/* The value at n of an attribute, as a text of its own; NULL: there are fewer. */
static char *
value_of(const struct cm_entry *e, const char *attribute, size_t n)
{
	for (size_t i = 0; i < e->count; i++) {
		const struct cm_blob a = e->values[i].attribute, v = e->values[i].value;

		if (a.len == strlen(attribute) && strncasecmp((const char *)a.ptr, attribute, a.len) == 0 && n-- == 0)
			return strndup((const char *)v.ptr, v.len);
	}
	return NULL;
}

#define IPA_DOMAINS_MAX	64

static bool
is_class(const struct cm_entry *e, const char *name)
{
	bool is = false;
	char *text;

	for (size_t n = 0; !is && (text = value_of(e, "objectClass", n)) != NULL; n++) {
		is = strcasecmp(text, name) == 0;
		free(text);
	}
	return is;
}

static enum cm_err
read_ipa_rule(const struct ipa_reading *r, const struct cm_entry *e, const char *dn)
{
	char *texts[] = {
		value_of(e, "cn", 0), value_of(e, "ipaCertMapMatchRule", 0), value_of(e, "ipaCertMapMapRule", 0),
		value_of(e, "ipaCertMapPriority", 0), value_of(e, "ipaEnabledFlag", 0),
	};
	char *domains[IPA_DOMAINS_MAX + 1] = { NULL };
	enum cm_err err;
	size_t n = 0;

	while (n < IPA_DOMAINS_MAX && (domains[n] = value_of(e, "associatedDomain", n)) != NULL)
		n++;
	err = cm_import_freeipa_rule(r->out, &(const struct cm_ipa_rule){
		.dn = dn, .name = texts[0], .match = texts[1], .map = texts[2], .priority = texts[3],
		.enabled = texts[4], .domains = (const char *const *)domains,
	}, r->domain, r->cli->trace);
	for (size_t i = 0; i < n; i++)
		free(domains[i]);
	for (size_t i = 0; i < CM_COUNT(texts); i++)
		free(texts[i]);
	return err;
}

/* ipa certmapconfig: whoever logs in says which of a card's accounts is meant. */
static enum cm_err
read_ipa_config(const struct ipa_reading *r, const struct cm_entry *e)
{
	char *ask = value_of(e, "ipaCertMapPromptUsername", 0);
	enum cm_err err = CM_OK;

	if (ask != NULL && strcasecmp(ask, "TRUE") == 0 &&
	    cm_import_find(r->out, "mapper.several_accounts") == NULL)
		err = cm_import_set(r->out, 0, "mapper.several_accounts", "hint");
	free(ask);
	return err;
}

static enum cm_err
visit_ipa(void *arg, const struct cm_entry *e)
{
	const struct ipa_reading *r = arg;
	struct cm_buf dn = { 0 };
	enum cm_err err;

	cm_buf_add_printable(&dn, e->dn);
	if ((err = cm_buf_status(&dn)) == CM_OK && has_nul(e))
		err = cm_import_fail(cm_buf_str(&dn), 0, r->cli->trace, "a value holds a NUL byte: it is not text; mend it");
	else if (err == CM_OK)
		err = is_class(e, "ipaCertMapRule") ? read_ipa_rule(r, e, cm_buf_str(&dn)) : read_ipa_config(r, e);
	cm_buf_free(&dn);
	return err;
}

static enum cm_err
look_for_rules(struct ipa_reading *r, struct cm_directory *d, const char *base)
{
	static const char *const attributes[] = {
		"objectClass", "cn", "ipaCertMapMatchRule", "ipaCertMapMapRule", "ipaCertMapPriority",
		"associatedDomain", "ipaEnabledFlag", "ipaCertMapPromptUsername", NULL,
	};
	struct cm_look look = {
		.base = base, .attributes = attributes, .limit = CM_RULES_MAX,
		.filter = "(|(objectClass=ipaCertMapRule)(objectClass=ipaCertMapConfigObject))",
	};
	struct cm_trace *t = r->cli->trace;
	enum cm_err err;

	err = cm_directory_look(d, &look, cm_deadline_in(r->cli->conf->directory.timeout), t, visit_ipa, r);
	if (err == CM_OK && look.more)
		return cm_trace_fail(t, CM_REASON_CONFIG, "more than %d rules; name a directory.base that has fewer",
		    CM_RULES_MAX);
	if (err == CM_OK && r->out->rule_count == 0 && r->out->note_count == 0)
		return cm_trace_fail(t, CM_REASON_CONFIG, "no entry of class ipaCertMapRule%s%s: see directory.base, "
		    "and that directory.bind_dn may read them", base != NULL ? " below " : "", base != NULL ? base : "");
	return err;
}

static enum cm_err
import_freeipa(struct cm_cli *c, const struct kind *k, struct cm_import **out)
{
	const char *suffix = c->conf->directory.base;
	struct ipa_reading r = { .cli = c };
	struct cm_host *host = NULL;
	struct cm_buf base = { 0 }, domain = { 0 };
	enum cm_err err;

	(void)k;
	if ((err = cm_host_open(c->conf, CM_NEED_DIRECTORY, c->trace, &host)) != CM_OK ||
	    (err = cm_import_new(c->conf->directory.uri[0], "FreeIPA", out)) != CM_OK)
		goto out;
	if (suffix != NULL) {
		cm_freeipa_base(suffix, &base);
		cm_freeipa_domain(suffix, &domain);
	}
	r.out = *out;
	r.domain = c->conf->directory.domain != NULL ? c->conf->directory.domain :
	    domain.len > 0 ? cm_buf_str(&domain) : NULL;
	if (c->conf->directory.domain == NULL && r.domain != NULL)	/* so that it may be put behind what is there */
		err = cm_import_set(*out, 0, "directory.domain", r.domain);
	if (err == CM_OK)
		err = look_for_rules(&r, host->directory, suffix != NULL ? cm_buf_str(&base) : NULL);
out:
	cm_buf_free(&base);
	cm_buf_free(&domain);
	cm_host_close(&host);
	return err;
}

static enum cm_err
import_ntauth(struct cm_cli *c, const struct kind *k, struct cm_import **out)
{
	(void)k;
	return cm_cli_read_ntauth(c, out);
}

static const struct kind kinds[] = {
	{ "plist", import_file, cm_import_plist },
	{ "sssd", import_file, cm_import_sssd },
	{ "pam_pkcs11", import_file, cm_import_pam_pkcs11 },
	{ "freeipa", import_freeipa, NULL },
	{ "ntauth", import_ntauth, NULL },
};

/* ---- what was read */

/* A map file need not be on this computer yet. */
static struct cm_conf_rule *
without_map_files(const struct cm_import *i)
{
	struct cm_conf_rule *rules = calloc(i->rule_count + 1, sizeof(*rules));

	for (size_t k = 0; rules != NULL && k < i->rule_count; k++) {
		rules[k] = i->rules[k];
		rules[k].map_file = NULL;
	}
	return rules;
}

/* Rules that do not compile are no answer: all of them are named, with the line they came from. */
static enum cm_err
check_rules(struct cm_cli *c, const struct cm_import *i)
{
	const struct cm_rules_options o = { .back_references = true };
	struct cm_conf_rule *borrowed = without_map_files(i);
	struct cm_rules *rules = NULL;
	enum cm_err err = borrowed != NULL ? cm_rules_new(&o, &rules) : CM_ERR_NOMEM;

	if (err == CM_OK)
		err = cm_rules_add(rules, borrowed, i->rule_count, c->trace);
	cm_rules_free(&rules);
	free(borrowed);
	return err;
}

/* The first is the command's message. */
static void
tell_more_mistakes(const struct cm_cli *c)
{
	const struct cm_trace_stage *s = cm_trace_stage(c->trace, cm_trace_count(c->trace) - 1);
	json_t *list = json_array();

	for (size_t i = 0; i < s->count; i++) {
		if (strcmp(s->items[i].key, "mistake") != 0)
			continue;
		json_array_append_new(list, json_string(s->items[i].text));
		if (!c->json && json_array_size(list) > 1)
			fprintf(stderr, "cardmap: %s\n", s->items[i].text);
	}
	json_object_set_new(c->answer, "mistakes", list);
}

/* A text as it is, line ends and all; what is no UTF-8 as elsewhere. */
static json_t *
exact(const char *text)
{
	json_t *s = json_string(text), *holder;

	if (s != NULL)
		return s;
	holder = json_object();
	cm_cli_set(holder, "text", text);
	s = json_incref(json_object_get(holder, "text"));
	json_decref(holder);
	return s;
}

static void
add_key(void *arg, const struct cm_conf_item *item)
{
	if (item->value[0] != '\0' && strcmp(item->value, item->fallback) != 0)
		json_object_set_new(arg, item->key, exact(item->value));
}

static void
answer_json(struct cm_cli *c, const struct cm_import *i, const char *text)
{
	json_t *settings = json_array(), *rules = json_array(), *notes = json_array();

	for (size_t k = 0; k < i->setting_count; k++) {
		const struct cm_import_setting *s = &i->settings[k];
		json_t *o = json_pack("{s:i, s:[]}", "line", s->line, "values");

		cm_cli_set(o, "key", s->key);
		for (char **v = s->values; *v != NULL; v++)
			json_array_append_new(json_object_get(o, "values"), exact(*v));
		json_array_append_new(settings, o);
	}
	for (size_t k = 0; k < i->rule_count; k++) {
		json_t *o = json_object();

		cm_cli_set(o, "name", i->rules[k].name);
		cm_cli_set(o, "origin", i->rules[k].origin);
		cm_conf_rule_each(&i->rules[k], add_key, o);
		json_array_append_new(rules, o);
	}
	for (size_t k = 0; k < i->note_count; k++) {
		json_t *o = json_pack("{s:i}", "line", i->notes[k].line);

		cm_cli_set(o, "text", i->notes[k].text);
		json_array_append_new(notes, o);
	}
	cm_cli_set(c->answer, "from", i->from);
	cm_cli_set(c->answer, "path", i->path);
	json_object_set_new(c->answer, "settings", settings);
	json_object_set_new(c->answer, "rules", rules);
	json_object_set_new(c->answer, "notes", notes);
	json_object_set_new(c->answer, "configuration", exact(text));
}

/* What has no counterpart stands at the end of the file, and where a person sees it. */
static void
tell_notes(const struct cm_import *i)
{
	for (size_t k = 0; k < i->note_count; k++) {
		struct cm_buf text = { 0 };

		cm_buf_add_printable(&text, cm_blob_str(i->path));
		if (i->notes[k].line > 0)
			cm_buf_addf(&text, ":%d", i->notes[k].line);
		cm_buf_add_str(&text, ": ");
		cm_buf_add_printable(&text, cm_blob_str(i->notes[k].text));
		fprintf(stderr, "cardmap: %s\n", cm_buf_str(&text));
		cm_buf_free(&text);
	}
}

static enum cm_err
answer(struct cm_cli *c, const struct cm_import *i)
{
	struct cm_buf text = { 0 };
	enum cm_err err = cm_import_write(i, &text);

	if (err == CM_OK && c->json)
		answer_json(c, i, cm_buf_str(&text));
	if (err == CM_OK && !c->json) {
		fputs(cm_buf_str(&text), stdout);
		tell_notes(i);
	}
	cm_buf_free(&text);
	return err;
}

static const struct kind *
find_kind(const char *name)
{
	for (size_t i = 0; i < CM_COUNT(kinds); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

static enum cm_err
import(struct cm_cli *c)
{
	const struct kind *k = find_kind(c->args[0]);
	struct cm_import *i = NULL;
	enum cm_err err;

	if (k == NULL || c->arg_count != (k->read != NULL ? 2 : 1))
		return cm_trace_fail(c->trace, CM_REASON_USAGE,
		    "usage: cardmap import plist | sssd | pam_pkcs11 FILE, or cardmap import freeipa | ntauth");
	if (k->read == NULL && c->conf == NULL)
		return CM_ERR_CONFIG;	/* for the reason that is set */
	cm_trace_begin(c->trace, "import");
	err = k->run(c, k, &i);
	if (err == CM_OK && (err = check_rules(c, i)) == CM_OK)
		err = answer(c, i);
	if (err == CM_ERR_CONFIG)
		tell_more_mistakes(c);
	cm_trace_end(c->trace, err);
	cm_import_free(&i);
	return err;
}

int
cm_cli_import(struct cm_cli *c)
{
	return cm_cli_finish(c, import(c));
}
