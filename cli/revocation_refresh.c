/* cli/revocation_refresh.c - have lists and answers here before logins want them: from the network, or from files. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cli/revocation.h"
#include "service/refresh.h"

/* One call; what is told goes into list. */
struct telling {
	const struct cm_cli *cli;
	struct cm_cli_bar bar;
	json_t *list;
};

static void
draw(void *arg, uint64_t done, uint64_t total)
{
	struct telling *t = arg;

	cm_cli_bar_draw(&t->bar, done, total);
}

static void
tell_source(void *arg, const struct cm_refreshed *one)
{
	struct telling *t = arg;
	const struct cm_source *s = one->source;
	struct cm_buf text = { 0 };
	json_t *o = json_object();

	cm_cli_set(o, "issuer", one->issuer);
	cm_cli_set(o, "kind", cm_cli_source_kind(s->kind));
	cm_cli_set(o, "url", s->url);
	json_object_set_new(o, "ok", json_boolean(one->ok));
	cm_cli_set(o, "text", one->text);
	cm_cli_set_time(o, "probe_at", s->probe_at);
	json_array_append_new(t->list, o);
	if (t->cli->json)
		return;
	cm_cli_bar_clear(&t->bar);
	cm_buf_addf(&text, "%s %s: %s", cm_cli_source_kind(s->kind), s->url, one->text);
	if (t->cli->colour)
		fputs(one->ok ? "\033[32m" : "\033[31m", stdout);
	cm_cli_line(t->cli, one->ok ? "ok" : "failed", "%s", cm_buf_str(&text));
	if (t->cli->colour)
		fputs("\033[0m", stdout);
	cm_cli_line(t->cli, "  for", "%s", one->issuer);
	fflush(stdout);
	cm_buf_free(&text);
}

/* When a timer has to call again. */
static void
tell_next(const struct cm_cli *c, time_t next, time_t now)
{
	char when[CM_TIME_SIZE], in[CM_TIME_SIZE];

	cm_cli_set_time(c->answer, "next", next);
	json_object_set_new(c->answer, "next_s", next != 0 ? json_integer(next > now ? (json_int_t)(next - now) : 0) : json_null());
	if (next == 0)
		cm_cli_line(c, "next", "nothing will be due");
	else if (next <= now)
		cm_cli_line(c, "next", "due now");
	else
		cm_cli_line(c, "next", "%s, in %s", cm_clock_text(next, when), cm_clock_age(next - now, in));
}

/* As who does not look at it ends: the shell stops its script. */
static void
end_by(int number)
{
	fflush(stdout);
	signal(number, SIG_DFL);
	raise(number);
}

enum cm_err
cm_cli_revocation_refresh(struct cm_cli_revocation *r)
{
	struct telling t = { .cli = r->cli, .list = json_array() };
	struct cm_refreshing all = {
		.host = r->host, .due_only = r->cli->due, .issuers = r->cli->args + 1, .told = tell_source, .arg = &t,
		.interruptible = true,
	};
	enum cm_err err;

	json_object_set_new(r->cli->answer, "sources", t.list);
	cm_cli_bar_begin(&t.bar, r->cli);
	if (t.bar.on)
		all.progress = draw;
	cm_trace_begin(r->cli->trace, "refresh");
	err = cm_refresh_all(&all, r->cli->trace);
	cm_trace_end(r->cli->trace, err);
	cm_cli_bar_clear(&t.bar);
	if (all.signal != 0)
		end_by(all.signal);
	cm_cli_warnings(r->cli);
	json_object_set_new(r->cli->answer, "issuers", json_integer((json_int_t)all.issuer_count));
	json_object_set_new(r->cli->answer, "asked", json_integer((json_int_t)all.asked));
	json_object_set_new(r->cli->answer, "failed", json_integer((json_int_t)all.failed));
	if (err == CM_ERR_AGAIN || err == CM_ERR_ABSENT)
		return err;
	if (all.issuer_count == 0)
		cm_cli_line(r->cli, "issuers", "none has been seen yet, and the configuration names no list: log in once, or set trust.crl");
	else
		cm_cli_line(r->cli, "sources", "%zu asked, of %zu issuers; %zu gave nothing", all.asked, all.issuer_count, all.failed);
	tell_next(r->cli, all.next, cm_clock_now());
	if (r->cli->verbose)
		cm_cli_stages(r->cli);
	return err;
}

/* ---- import */

static void
draw_file(void *arg, const char *path, uint64_t done, uint64_t total)
{
	(void)path;
	draw(arg, done, total);
}

/* The file's own reason: the next has another. */
static void
tell_file(struct telling *t, const char *path, enum cm_err err, const struct cm_trace *trace, const struct cm_buf *what)
{
	json_t *o = json_object();

	cm_cli_bar_clear(&t->bar);
	cm_cli_set(o, "file", path);
	cm_cli_set(o, "result", cm_err_name(err));
	if (err == CM_OK) {
		cm_cli_set(o, "imported", cm_buf_str(what));
		cm_cli_line(t->cli, "imported", "%s: %s", path, cm_buf_str(what));
	} else {
		cm_cli_set(o, "reason", cm_reason_name(cm_trace_reason(trace)));
		cm_cli_set(o, "message", cm_trace_message(trace));
		if (!t->cli->json && t->cli->arg_count > 2)
			fprintf(stderr, "cardmap: %s\n", cm_trace_message(trace));
	}
	json_array_append_new(t->list, o);
}

static enum cm_err
import_one(struct cm_cli_revocation *r, struct telling *t, const struct cm_trust_import *i)
{
	struct cm_trace *trace = r->cli->trace;
	struct cm_buf what = { 0 };
	enum cm_err err;

	cm_trace_begin(trace, "import");
	err = cm_trust_import(r->host->trust, i, &r->known, trace, &what);
	tell_file(t, i->path, err, trace, &what);
	cm_trace_end(trace, err);
	cm_buf_free(&what);
	return err;
}

enum cm_err
cm_cli_revocation_import(struct cm_cli_revocation *r)
{
	struct telling t = { .cli = r->cli, .list = json_array() };
	struct cm_cli_issuers issuers = { 0 };
	struct cm_trust_import i = { .arg = &t };
	struct cm_blob *ders = NULL;
	enum cm_err err, first = CM_OK;

	json_object_set_new(r->cli->answer, "files", t.list);
	cm_cli_bar_begin(&t.bar, r->cli);
	if ((err = cm_cli_issuers_read(r, &issuers)) != CM_OK)
		goto out;
	if ((ders = calloc(issuers.count + 1, sizeof(*ders))) == NULL) {
		err = CM_ERR_NOMEM;
		goto out;
	}
	for (size_t k = 0; k < issuers.count; k++)
		ders[k] = (struct cm_blob){ issuers.list[k].der, issuers.list[k].der_len };
	i.issuers = ders;
	i.issuer_count = issuers.count;
	i.progress = t.bar.on ? draw_file : NULL;
	for (int k = 1; k < r->cli->arg_count; k++) {
		i.path = r->cli->args[k];
		if ((err = import_one(r, &t, &i)) != CM_OK && first == CM_OK)
			first = err;
	}
	err = first;
out:
	free(ders);
	cm_cli_issuers_free(&issuers);
	return err;
}
