/* cli/rules.c - rules tried on certificates, and the values that map a certificate. */
#include <stdlib.h>

#include "cli/cli.h"
#include "service/mapping.h"

#define ATTRIBUTE	"altSecurityIdentities"

/* ---- test */

static const char *const answers[] = {
	[CM_RULE_NO_MATCH] = "no match", [CM_RULE_MATCH] = "match", [CM_RULE_ERROR] = "error",
};

static void
tell_answer(const struct cm_cli *c, json_t *list, const char *file, enum cm_rule_answer answer,
    const struct cm_buf *text)
{
	struct cm_buf line = { 0 };
	json_t *o = json_object();

	cm_buf_add_printable(&line, cm_blob_str(file));
	cm_buf_addf(&line, "\t%s\t", answers[answer]);
	cm_buf_add_printable(&line, cm_buf_blob(text));
	if (!c->json)
		puts(cm_buf_str(&line));
	cm_cli_set(o, "file", file);
	cm_cli_set(o, "answer", answers[answer]);
	if (answer != CM_RULE_NO_MATCH)
		cm_cli_set(o, answer == CM_RULE_MATCH ? "filter" : "error", cm_buf_str(text));
	json_array_append_new(list, o);
	cm_buf_free(&line);
}

/* A file that is no certificate has its line as well; the others are still tried. */
static enum cm_err
test_file(struct cm_cli *c, json_t *list, const char *file)
{
	enum cm_rule_answer answer = CM_RULE_ERROR;
	struct cm_cert *cert = NULL;
	struct cm_buf text = { 0 };
	enum cm_err err;

	if ((err = cm_cert_load(file, c->trace, &cert)) != CM_OK)
		cm_buf_add_str(&text, cm_trace_message(c->trace));
	else if ((err = cm_rules_test(c->match, c->map, cert, &answer, &text)) == CM_ERR_CONFIG)
		err = cm_trace_fail(c->trace, CM_REASON_CONFIG, "%s: %s", file, cm_buf_str(&text));
	tell_answer(c, list, file, answer, &text);
	cm_buf_free(&text);
	cm_cert_free(&cert);
	return err;
}

/* The first that could not be tried is what it ends with, whatever came after. */
static int
test(struct cm_cli *c)
{
	json_t *list = json_array();
	enum cm_reason reason = CM_REASON_NONE;
	struct cm_buf first = { 0 };
	enum cm_err err = CM_OK;

	for (int i = 1; i < c->arg_count; i++) {
		const enum cm_err e = test_file(c, list, c->args[i]);

		if (e == CM_OK || err != CM_OK)
			continue;
		err = e;
		reason = cm_trace_reason(c->trace);
		cm_buf_add_str(&first, cm_trace_message(c->trace));
	}
	json_object_set_new(c->answer, "certificates", list);
	if (err != CM_OK && reason != CM_REASON_NONE)
		err = cm_trace_fail(c->trace, reason, "%s", cm_buf_str(&first));
	cm_buf_free(&first);
	return cm_cli_finish(c, err);
}

/* ---- generate */

struct value {
	const struct cm_form *form;
	struct cm_buf text;
	bool written;		/* the account has it */
};
struct generated {
	const struct cm_cli *cli;
	struct value *values;
	size_t count;
	char *dn;		/* of the user's entry; NULL: none asked for */
	char *other;		/* of another entry that has one of the values */
};

static void
generated_clear(struct generated *g)
{
	for (size_t i = 0; i < g->count; i++)
		cm_buf_free(&g->values[i].text);
	free(g->values);
	free(g->dn);
	free(g->other);
}

/* The forecast is for all that may stand in a directory today; what is to be written is strong. */
static bool
is_wanted(const struct cm_cli *c, const struct cm_form *f)
{
	if (f->alternative)
		return false;
	return c->renewal || (f->strength == CM_STRONG && strcmp(f->attribute, ATTRIBUTE) == 0);
}

static enum cm_err
make_values(struct generated *g, const struct cm_cert *cert)
{
	size_t count = 0;
	const struct cm_form *forms = cm_forms(&count);

	if ((g->values = calloc(count, sizeof(*g->values))) == NULL)
		return CM_ERR_NOMEM;
	for (size_t i = 0; i < count; i++) {
		struct value *v = &g->values[g->count];
		enum cm_err err;

		if (!is_wanted(g->cli, &forms[i]))
			continue;
		*v = (struct value){ .form = &forms[i] };
		if ((err = cm_form_value(&forms[i], cert, &v->text)) == CM_OK)
			g->count++;
		else
			cm_buf_free(&v->text);
		if (err != CM_OK && err != CM_ERR_ABSENT)
			return err;
	}
	return CM_OK;
}

/* Values are compared as the directory does: their case is ignored. */
static void
note_written(struct generated *g, const struct cm_value *v)
{
	for (size_t i = 0; i < g->count; i++)
		if (cm_blob_equal_caseless(v->attribute, cm_blob_str(g->values[i].form->attribute)) &&
		    cm_blob_equal_caseless(v->value, cm_buf_blob(&g->values[i].text)))
			g->values[i].written = true;
}

/* An entry may be shown twice; a second one ends the search. */
static enum cm_err
visit_user(void *arg, const struct cm_entry *e)
{
	struct generated *g = arg;

	if (g->dn != NULL && !cm_blob_equal(cm_blob_str(g->dn), e->dn))
		return CM_ERR_AMBIGUOUS;
	if (g->dn == NULL && (g->dn = strndup((const char *)e->dn.ptr, e->dn.len)) == NULL)
		return CM_ERR_NOMEM;
	for (size_t i = 0; i < e->count; i++)
		note_written(g, &e->values[i]);
	return CM_OK;
}

static enum cm_err
visit_other(void *arg, const struct cm_entry *e)
{
	struct generated *g = arg;

	if (g->other != NULL || cm_blob_equal(cm_blob_str(g->dn), e->dn))
		return CM_OK;
	return (g->other = strndup((const char *)e->dn.ptr, e->dn.len)) != NULL ? CM_OK : CM_ERR_NOMEM;
}

static enum cm_err
look(struct generated *g, struct cm_directory *d, const struct cm_query *q, cm_entry_visit visit)
{
	static const char *const attributes[] = {
		ATTRIBUTE, "userPrincipalName", "sAMAccountName", "objectSid", NULL
	};
	const struct cm_cli *c = g->cli;
	struct cm_look l = { .query = q, .attributes = attributes, .limit = 16 };

	return cm_directory_look(d, &l, cm_deadline_in(c->conf->directory.timeout), c->trace, visit, g);
}

static enum cm_err
find_user(struct generated *g, struct cm_directory *d)
{
	const struct cm_cli *c = g->cli;
	const struct cm_named named = { .rule = "name", .name = c->user, .place = CM_PLACE_DIRECTORY };
	struct cm_query *q = NULL;
	enum cm_err err;

	if ((err = cm_mapping_add_name(&q, &named)) == CM_OK)
		err = look(g, d, q, visit_user);
	cm_query_free(&q);
	if (err == CM_ERR_AMBIGUOUS)
		return cm_trace_fail(c->trace, CM_REASON_SEVERAL_ACCOUNTS, "several entries have the name "
		    "%s, %s and others", c->user, g->dn);
	if (err == CM_OK && g->dn == NULL)
		return cm_trace_fail(c->trace, CM_REASON_NO_ACCOUNT, "no entry has uid or sAMAccountName %s",
		    c->user);
	return err;
}

/* Two accounts with one value open neither: such a change is not made. */
static enum cm_err
check_others(struct generated *g, struct cm_directory *d)
{
	struct cm_query *q = NULL;
	enum cm_err err = CM_OK;

	for (size_t i = 0; err == CM_OK && i < g->count; i++) {
		const struct value *v = &g->values[i];
		const struct cm_query_term term = { .rule = (char *)v->form->name,
			.attribute = (char *)v->form->attribute, .value = cm_buf_blob(&v->text) };

		err = cm_query_append(&q, &term, 1);
	}
	if (err == CM_OK && q != NULL)
		err = look(g, d, q, visit_other);
	cm_query_free(&q);
	if (err == CM_OK && g->other != NULL)
		return cm_trace_fail(g->cli->trace, CM_REASON_SEVERAL_ACCOUNTS,
		    "%s has one of these values already; with it on %s too, neither could log in",
		    g->other, g->dn);
	return err;
}

static enum cm_err
ask_directory(struct generated *g)
{
	const struct cm_cli *c = g->cli;
	struct cm_host *host = NULL;
	enum cm_err err;

	cm_trace_begin(c->trace, "account");
	if ((err = cm_host_open(c->conf, CM_NEED_DIRECTORY, c->trace, &host)) == CM_OK &&
	    (err = find_user(g, host->directory)) == CM_OK && c->ldif)
		err = check_others(g, host->directory);
	cm_trace_end(c->trace, err);
	cm_host_close(&host);
	return err;
}

static const struct reissue {
	unsigned bit;
	const char *key, *column;
} reissues[] = {
	{ CM_SURVIVES_RENEWAL, "renewal", "same key" },
	{ CM_SURVIVES_NEW_KEY, "new_key", "new key" },
	{ CM_SURVIVES_NEW_CA, "new_ca", "new CA" },
};

static void
set_values(const struct generated *g)
{
	json_t *list = json_array();

	for (size_t i = 0; i < g->count; i++) {
		const struct value *v = &g->values[i];
		json_t *o = json_object(), *survives = json_object();

		cm_cli_set(o, "form", v->form->name);
		cm_cli_set(o, "about", v->form->about);
		cm_cli_set(o, "attribute", v->form->attribute);
		cm_cli_set(o, "value", cm_buf_str(&v->text));
		cm_cli_set(o, "strength", v->form->strength == CM_STRONG ? "strong" : "weak");
		for (size_t k = 0; k < CM_COUNT(reissues); k++)
			json_object_set_new(survives, reissues[k].key,
			    json_boolean(v->form->survives & reissues[k].bit));
		json_object_set_new(o, "survives", survives);
		if (g->dn != NULL)
			json_object_set_new(o, "written", json_boolean(v->written));
		json_array_append_new(list, o);
	}
	json_object_set_new(g->cli->answer, "values", list);
	if (g->dn != NULL)
		cm_cli_set(g->cli->answer, "dn", g->dn);
}

static void
print_values(const struct generated *g)
{
	for (size_t i = 0; i < g->count; i++) {
		const struct value *v = &g->values[i];
		struct cm_buf line = { 0 };

		cm_buf_add_printable(&line, cm_buf_blob(&v->text));
		printf("%-14s %s%s\n", v->form->name, cm_buf_str(&line), v->written ? "  (there already)" : "");
		cm_buf_free(&line);
	}
}

static void
print_forecast(const struct generated *g)
{
	printf("%-14s %-6s", "mapping", "is");
	for (size_t k = 0; k < CM_COUNT(reissues); k++)
		printf("  %-8s", reissues[k].column);
	puts(g->dn != NULL ? "  account" : "");
	for (size_t i = 0; i < g->count; i++) {
		const struct value *v = &g->values[i];

		printf("%-14s %-6s", v->form->name, v->form->strength == CM_STRONG ? "strong" : "weak");
		for (size_t k = 0; k < CM_COUNT(reissues); k++)
			printf("  %-8s", (v->form->survives & reissues[k].bit) != 0 ? "holds" : "breaks");
		puts(v->written ? "  has it" : "");
	}
}

static enum cm_err
print_ldif(const struct generated *g)
{
	struct cm_blob *values = calloc(g->count + 1, sizeof(*values));
	struct cm_buf text = { 0 };
	size_t n = 0;
	enum cm_err err;

	if (values == NULL)
		return CM_ERR_NOMEM;
	for (size_t i = 0; i < g->count; i++)
		if (!g->values[i].written)
			values[n++] = cm_buf_blob(&g->values[i].text);
	if (n > 0)
		cm_cli_ldif_add(g->dn, ATTRIBUTE, values, n, &text);
	else
		cm_buf_add_str(&text, "# every strong value is there already\n");
	err = cm_cli_tell_ldif(g->cli, &text);
	cm_buf_free(&text);
	free(values);
	return err;
}

static enum cm_err
tell_generated(const struct generated *g)
{
	set_values(g);
	if (g->cli->ldif)
		return print_ldif(g);
	if (!g->cli->json && g->cli->renewal)
		print_forecast(g);
	else if (!g->cli->json)
		print_values(g);
	return CM_OK;
}

static enum cm_err
check_usage(const struct cm_cli *c)
{
	if (c->arg_count != 2)
		return cm_trace_fail(c->trace, CM_REASON_USAGE, "rules generate takes one certificate");
	if (c->ldif && c->user == NULL)
		return cm_trace_fail(c->trace, CM_REASON_USAGE, "--ldif changes an entry: say whose with --user NAME");
	if (c->ldif && c->renewal)
		return cm_trace_fail(c->trace, CM_REASON_USAGE, "say one of --ldif and --renewal");
	return CM_OK;
}

static int
generate(struct cm_cli *c)
{
	struct generated g = { .cli = c };
	struct cm_cert *cert = NULL;
	enum cm_err err;

	if ((err = check_usage(c)) != CM_OK || (err = cm_cert_load(c->args[1], c->trace, &cert)) != CM_OK)
		goto out;
	cm_cli_set(c->answer, "certificate", cm_cert_subject_text(cert));
	if ((err = make_values(&g, cert)) != CM_OK)
		goto out;
	if (g.count == 0) {
		err = cm_trace_fail(c->trace, CM_REASON_NO_RULE, "%s has no strong value: neither key "
		    "nor serial number can be read", c->args[1]);
		goto out;
	}
	if (c->user == NULL || (err = ask_directory(&g)) == CM_OK)
		err = tell_generated(&g);
out:
	generated_clear(&g);
	cm_cert_free(&cert);
	return cm_cli_finish(c, err);
}

int
cm_cli_rules(struct cm_cli *c)
{
	if (strcmp(c->args[0], "test") == 0)
		return test(c);
	if (strcmp(c->args[0], "generate") == 0)
		return generate(c);
	return cm_cli_finish(c, cm_trace_fail(c->trace, CM_REASON_USAGE,
	    "usage: cardmap rules test CERT... | generate CERT"));
}
