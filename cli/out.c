/* cli/out.c - one answer in two forms: for people, and as JSON. */
#include <stdarg.h>
#include <stdlib.h>

#include "cli/cli.h"

/* Most bytes of the value that found an account, in text. */
#define MATCHED_MAX	256
#define VALUE_MAX	1024	/* two long names are below it */

int
cm_cli_exit_code(enum cm_err err)
{
	switch (err) {
	case CM_OK: return 0;
	case CM_ERR_ABSENT: return 1;
	case CM_ERR_AMBIGUOUS: return 2;
	case CM_ERR_REFUSED:
	case CM_ERR_SYNTAX: return 3;
	case CM_ERR_USAGE: return 64;	/* EX_USAGE */
	case CM_ERR_CONFIG: return 78;	/* EX_CONFIG */
	default: return 4;
	}
}

void
cm_cli_set(json_t *object, const char *key, const char *text)
{
	struct cm_buf b = { 0 };

	cm_buf_add_printable(&b, cm_blob_str(text));
	json_object_set_new(object, key, json_stringn(cm_buf_str(&b), b.len));
	cm_buf_free(&b);
}

void
cm_cli_set_time(json_t *object, const char *key, time_t t)
{
	char text[CM_TIME_SIZE];

	json_object_set_new(object, key, t != 0 ? json_string(cm_clock_text(t, text)) : json_null());
}

const char *
cm_cli_status(enum cm_status s)
{
	static const char *const words[] = {
		[CM_STATUS_UNKNOWN] = "unknown", [CM_STATUS_GOOD] = "good", [CM_STATUS_REVOKED] = "revoked",
	};

	return words[s];
}

const char *
cm_cli_end(time_t next_update, char text[CM_TIME_SIZE])
{
	return next_update != 0 ? cm_clock_text(next_update, text) : "(no end named)";
}

void
cm_cli_set_account(json_t *object, const struct cm_account *a)
{
	json_t *o = json_object(), *groups = json_array();

	cm_cli_set(o, "name", a->name);
	json_object_set_new(o, "uid", json_integer(a->uid));
	json_object_set_new(o, "gid", json_integer(a->gid));
	cm_cli_set(o, "principal", a->principal);
	cm_cli_set(o, "dn", a->dn);
	cm_cli_set(o, "home", a->home);
	cm_cli_set(o, "shell", a->shell);
	cm_cli_set(o, "gecos", a->gecos);
	for (size_t i = 0; i < a->group_count; i++) {
		json_t *g = json_object();

		cm_cli_set(g, "name", a->groups[i].name);
		json_object_set_new(g, "gid", json_integer(a->groups[i].gid));
		json_array_append_new(groups, g);
	}
	json_object_set_new(o, "groups", groups);
	cm_cli_set(o, "rule", a->rule);
	cm_cli_set(o, "matched", a->matched);
	json_object_set_new(o, "weak", json_boolean(a->weak));
	json_object_set_new(o, "local", json_boolean(a->local));
	cm_cli_set(o, "source", a->source);
	json_object_set_new(object, "account", o);
}

void
cm_cli_line(const struct cm_cli *c, const char *key, const char *fmt, ...)
{
	struct cm_buf text = { 0 };
	char raw[4096];
	va_list ap;

	if (c->json)
		return;
	va_start(ap, fmt);
	vsnprintf(raw, sizeof(raw), fmt, ap);
	va_end(ap);
	cm_buf_add_printable(&text, cm_blob_str(raw));
	printf("%-14s %s\n", key, cm_buf_str(&text));
	cm_buf_free(&text);
}

void
cm_cli_text(const struct cm_cli *c, const char *line)
{
	struct cm_buf text = { 0 };

	if (c->json)
		return;
	cm_buf_add_printable(&text, cm_blob_str(line));
	puts(cm_buf_str(&text));
	cm_buf_free(&text);
}

/* At most max bytes of it, and no part of a character (RFC 3629 section 3). */
static size_t
cut(const char *text, size_t len, size_t max)
{
	if (len <= max)
		return len;
	while (max > 0 && (text[max] & 0xC0) == 0x80)
		max--;
	return max;
}

/* A whole certificate may be what matched; the JSON has all of it. */
static void
show_rule(const struct cm_cli *c, const struct cm_account *a)
{
	const size_t len = strlen(a->matched), shown = cut(a->matched, len, MATCHED_MAX);

	cm_cli_line(c, "found by", "%s: %.*s%s", a->rule, (int)shown, a->matched, shown < len ? "..." : "");
}

void
cm_cli_account(const struct cm_cli *c, const struct cm_account *a)
{
	struct cm_buf groups = { 0 };

	cm_cli_line(c, "account", "%s", a->name);
	cm_cli_line(c, "uid, gid", "%u, %u", a->uid, a->gid);
	if (a->principal[0] != '\0')
		cm_cli_line(c, "principal", "%s", a->principal);
	cm_cli_line(c, "name", "%s", a->gecos);
	cm_cli_line(c, "home, shell", "%s, %s", a->home, a->shell);
	for (size_t i = 0; i < a->group_count; i++)
		cm_buf_addf(&groups, "%s%s (%u)", i > 0 ? ", " : "", a->groups[i].name, a->groups[i].gid);
	if (groups.len > 0)
		cm_cli_line(c, "groups", "%s", cm_buf_str(&groups));
	cm_cli_line(c, "dn", "%s", a->dn);
	show_rule(c, a);
	if (a->weak)
		/* KB5014754 */
		cm_cli_line(c, "binding", "weak: another person's certificate could come to have this value");
	cm_cli_line(c, "source", "%s", a->source);
	cm_buf_free(&groups);
}

static const char *
paint(const struct cm_cli *c, enum cm_err err)
{
	if (!c->colour)
		return "";
	return err == CM_OK ? "\033[32m" : "\033[31m";
}

static json_t *
stage_json(const struct cm_trace_stage *s)
{
	json_t *o = json_object(), *seen = json_array();

	cm_cli_set(o, "stage", s->name);
	cm_cli_set(o, "result", cm_err_name(s->err));
	if (s->reason != CM_REASON_NONE)
		cm_cli_set(o, "reason", cm_reason_name(s->reason));
	json_object_set_new(o, "us", json_integer(s->us));
	for (size_t i = 0; i < s->count; i++) {
		json_t *item = json_object();

		cm_cli_set(item, "what", s->items[i].key);
		cm_cli_set(item, "text", s->items[i].text);
		json_array_append_new(seen, item);
	}
	json_object_set_new(o, "seen", seen);
	return o;
}

/*
 * A whole certificate may stand in it, as a value or in a filter, where a
 * value's own parentheses are escaped: nobody reads that, and the JSON has it.
 */
static void
print_item(const char *key, const char *text)
{
	const bool filter = text[0] == '(', long_ones = filter || strcmp(key, "value") == 0;

	printf("    %-14s ", key);
	for (size_t len; *text != '\0'; text += len) {
		size_t shown;

		len = !filter ? strlen(text) : strchr("()", text[0]) != NULL ? 1 : strcspn(text, "()");
		shown = len <= VALUE_MAX || !long_ones ? len : cut(text, len, MATCHED_MAX);
		printf("%.*s", (int)shown, text);
		if (shown < len)
			printf("... (%zu characters, with --json all of them)", len);
	}
	putchar('\n');
}

static void
print_stage(const struct cm_cli *c, const struct cm_trace_stage *s, bool items)
{
	printf("%s%-14s %-14s%s %9.2f ms", paint(c, s->err), s->name, cm_err_name(s->err),
	    c->colour ? "\033[0m" : "", (double)s->us / 1000);
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->items[i].key, "card commands") == 0)
			printf("  %s card commands", s->items[i].text);
	if (s->reason != CM_REASON_NONE)
		printf("  %s", cm_reason_name(s->reason));
	putchar('\n');
	for (size_t i = 0; items && i < s->count; i++)
		print_item(s->items[i].key, s->items[i].text);
}

static void
each_stage(const struct cm_cli *c, bool items)
{
	json_t *stages = json_array();

	for (size_t i = 0; i < cm_trace_count(c->trace); i++) {
		const struct cm_trace_stage *s = cm_trace_stage(c->trace, i);
		/* The first has read the configuration: without a mistake that is no news. */
		const bool news = i > 0 || s->count > 0 || s->err != CM_OK;

		json_array_append_new(stages, stage_json(s));
		if (!c->json && news)
			print_stage(c, s, items);
	}
	json_object_set_new(c->answer, "stages", stages);
}

void
cm_cli_trace(const struct cm_cli *c)
{
	each_stage(c, true);
}

void
cm_cli_stages(const struct cm_cli *c)
{
	each_stage(c, c->verbose);
}

int
cm_cli_finish(struct cm_cli *c, enum cm_err err)
{
	const struct cm_trace_stage *s = cm_trace_failed(c->trace);
	const enum cm_reason reason = s != NULL ? s->reason : cm_trace_reason(c->trace);

	cm_cli_set(c->answer, "result", cm_err_name(err));
	if (err != CM_OK) {
		cm_cli_set(c->answer, "reason", cm_reason_name(reason));
		cm_cli_set(c->answer, "message", cm_trace_why(c->trace, s));
		cm_cli_set(c->answer, "remedy", cm_reason_remedy(reason));
		if (!c->json && !c->told) {
			fflush(stdout);
			fprintf(stderr, "cardmap: %s: %s\n", cm_err_name(err), cm_trace_why(c->trace, s));
			fprintf(stderr, "reason:  %s\nremedy:  %s\n", cm_reason_name(reason),
			    cm_reason_remedy(reason));
		}
	}
	if (c->json) {
		json_dumpf(c->answer, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	return cm_cli_exit_code(err);
}

void
cm_cli_warnings(const struct cm_cli *c)
{
	json_t *told = json_array();

	for (size_t i = 0; i < cm_trace_count(c->trace); i++) {
		const struct cm_trace_stage *s = cm_trace_stage(c->trace, i);

		for (size_t k = 0; k < s->count; k++)
			if (strcmp(s->items[k].key, "warning") == 0) {
				json_array_append_new(told, json_string(s->items[k].text));
				if (!c->json)
					fprintf(stderr, "cardmap: %s\n", s->items[k].text);
			}
	}
	json_object_set_new(c->answer, "warnings", told);
}
