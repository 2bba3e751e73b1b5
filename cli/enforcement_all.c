/* cli/enforcement_all.c - who must use a card, of all accounts there are: this computer's, and the directory's page by page. */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/service.h"
#include "service/enforcement.h"

#define BATCH	500		/* at least a page */
#define DRAW_US	100000		/* ten times a second is enough for eyes */

struct one {
	char *name;
	struct cm_facts said;
};

struct all {
	struct cm_cli *cli;
	struct cm_host *host;
	struct one batch[BATCH];
	size_t count;
	json_int_t accounts, required, by[CM_STEP_COUNT];
	bool bar;
	int64_t drawn;
};

/* ---- told: a line each, at once */

static void
draw(struct all *a)
{
	const int64_t now = cm_clock_us();

	if (!a->bar || now - a->drawn < DRAW_US)
		return;
	fprintf(stderr, "\r%lld accounts\033[K", (long long)a->accounts);
	a->drawn = now;
}

static enum cm_err
tell(struct all *a, const char *name, const struct cm_enforcement_facts *f)
{
	const char *outcome;
	struct cm_enforcement_decision d;
	json_t *o;
	char *text;

	cm_enforcement_decide(a->cli->conf, f, &d);
	outcome = d.card_required ? "card" : "password";
	a->accounts++;
	a->required += d.card_required;
	a->by[d.step]++;
	if (!a->cli->json) {
		printf("%-24s %-9s %d %-10s %s\n", name, outcome, (int)d.step, cm_enforcement_step_name(d.step), d.steps[d.step].value);
		draw(a);
		return CM_OK;
	}
	o = json_pack("{s:b, s:b, s:i}", "card_required", d.card_required, "local", f->local, "step", (int)d.step);
	cm_cli_set(o, "user", name);
	cm_cli_set(o, "decided", cm_enforcement_step_name(d.step));
	cm_cli_set(o, "value", d.steps[d.step].value);
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	if (text == NULL)
		return CM_ERR_NOMEM;
	puts(text);
	free(text);
	return CM_OK;
}

/* ---- this computer's, and the directory's */

/* A group is asked about for those alone of whom it may decide. */
static enum cm_err
judge(struct all *a, const char *name, struct cm_facts *said)
{
	const struct cm_conf *conf = a->cli->conf;
	const struct cm_enforcement_sources s = { .conf = conf, .store = a->host->accounts, .said = said };
	struct cm_enforcement_asking asking = { .host = a->host, .directory = a->host->directory, .user = name,
		.deadline = cm_deadline_in(conf->directory.timeout) };
	struct cm_enforcement_facts f;
	struct cm_enforcement_decision d;
	struct cm_account *account = NULL;
	enum cm_err err = cm_enforcement_gather(&s, name, a->cli->trace, &f);

	/* one of this computer's was told already, whatever the directory has by its name */
	if (err == CM_OK && said != NULL && f.local)
		return CM_OK;
	cm_enforcement_decide(conf, &f, &d);
	if (err == CM_OK && said != NULL && d.step > CM_STEP_CONTROL && cm_enforcement_question(a->host, NULL).group != NULL) {
		(void)!cm_enforcement_ask(&asking, NULL, &account, said);
		cm_account_free(&account);
		err = cm_enforcement_gather(&s, name, a->cli->trace, &f);
	}
	return err == CM_OK ? tell(a, name, &f) : err;
}

static enum cm_err
flush_batch(void *arg)
{
	struct all *a = arg;
	enum cm_err err = CM_OK;

	for (size_t i = 0; i < a->count; i++) {
		if (err == CM_OK)
			err = judge(a, a->batch[i].name, &a->batch[i].said);
		free(a->batch[i].name);
	}
	a->count = 0;
	return err;
}

static enum cm_err
each(void *arg, const char *name, const struct cm_facts *said)
{
	struct all *a = arg;
	enum cm_err err;

	if (a->count == BATCH && (err = flush_batch(a)) != CM_OK)
		return err;
	a->batch[a->count] = (struct one){ .name = strdup(name), .said = *said };
	return a->batch[a->count++].name != NULL ? CM_OK : CM_ERR_NOMEM;
}

static enum cm_err
tell_local(struct all *a)
{
	FILE *f = fopen("/etc/passwd", "re");
	struct passwd entry, *found = NULL;
	char texts[4096];
	enum cm_err err = f != NULL ? CM_OK : cm_trace_fail(a->cli->trace, CM_REASON_SYSTEM, "/etc/passwd cannot be read");

	while (err == CM_OK && fgetpwent_r(f, &entry, texts, sizeof(texts), &found) == 0)
		err = judge(a, entry.pw_name, NULL);
	if (f != NULL)
		fclose(f);
	return err;
}

static enum cm_err
tell_directory(struct all *a)
{
	const struct cm_facts_question question = cm_enforcement_question(a->host, NULL);
	const struct cm_facts_walk w = { .question = &question, .timeout = a->cli->conf->directory.timeout, .each = each,
		.page_done = flush_batch, .arg = a };
	const enum cm_err err = cm_directory_walk_facts(a->host->directory, &w, a->cli->trace);

	while (a->count > 0)
		free(a->batch[--a->count].name);
	return err;
}

static void
summarise(const struct all *a)
{
	json_t *by = json_object();

	for (int i = 0; i < CM_STEP_COUNT; i++)
		json_object_set_new(by, cm_enforcement_step_name((enum cm_enforcement_step)i), json_integer(a->by[i]));
	json_object_set_new(a->cli->answer, "accounts", json_integer(a->accounts));
	json_object_set_new(a->cli->answer, "card_required", json_integer(a->required));
	json_object_set_new(a->cli->answer, "decided_by", by);
	if (a->bar)
		fputs("\r\033[K", stderr);
	cm_cli_line(a->cli, "accounts", "%lld: %lld must use a card, %lld may use a password", (long long)a->accounts,
	    (long long)a->required, (long long)(a->accounts - a->required));
}

enum cm_err
cm_cli_explain_all(struct cm_cli *c)
{
	struct all *a = calloc(1, sizeof(*a));
	const bool directory = c->conf->directory.uri != NULL && c->conf->directory.uri[0] != NULL;
	enum cm_err err = a != NULL ? cm_pair_check_root(c->trace) : CM_ERR_NOMEM;

	if (err == CM_OK) {
		a->cli = c;
		a->bar = !c->json && isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO);
		err = cm_cli_open_host(c, CM_NEED_RULES | CM_LOOKS_ONLY | (directory ? CM_NEED_DIRECTORY : 0), &a->host);
	}
	if (err == CM_OK && (err = tell_local(a)) == CM_OK && directory)
		err = tell_directory(a);
	if (err == CM_OK)
		summarise(a);
	if (a != NULL)
		cm_host_close(&a->host);
	free(a);
	return err;
}
