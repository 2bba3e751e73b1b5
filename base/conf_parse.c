/*
 * base/conf_parse.c - the text of a configuration, read by libconfuse.
 *
 * libconfuse knows sections, quotes, lists and lines.  All its options are
 * strings; what a value means is decided by its row (conf_types.c).
 */
#include "base/conf_internal.h"

#include <confuse.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define RULE	"rule"

/* What libconfuse's callbacks need; libconfuse has no pointer of ours, so it is one per thread, for one call. */
struct reading {
	struct cm_conf *conf;
	struct cm_trace *trace;
	const char *path;
	unsigned mistakes;
	unsigned *lines;		/* where each key was seen; 0: not yet */
	struct cm_conf_rule rule;	/* whose section is being read */
	const char *at;			/* behind the last rule's section, in the text */
	unsigned at_line;
};
static _Thread_local struct reading *reading;

static void CM_PRINTF(2, 3)
mistake(unsigned line, const char *fmt, ...)
{
	struct cm_buf text;
	va_list ap;
	char *said = NULL;

	cm_buf_init(&text, 0);
	va_start(ap, fmt);
	if (vasprintf(&said, fmt, ap) < 0)
		said = NULL;
	va_end(ap);
	cm_buf_addf(&text, "%s:%u: %s", reading->path, line, said != NULL ? said : "out of memory");
	cm_trace_add(reading->trace, "mistake", "%s", cm_buf_str(&text));
	if (reading->mistakes++ == 0)
		cm_trace_fail(reading->trace, CM_REASON_CONFIG, "%s", cm_buf_str(&text));
	cm_buf_free(&text);
	free(said);
}

/* Where in the file, as its messages begin: "", or which rule. */
static void
add_label(cfg_t *cfg, struct cm_buf *out)
{
	const char *name = cfg_name(cfg), *title = cfg_title(cfg);

	if (name != NULL && strcmp(name, RULE) == 0)
		cm_buf_addf(out, "rule \"%s\": ", title != NULL ? title : "");
}

static void
add_rule_keys(struct cm_buf *out)
{
	cm_buf_add_str(out, "; a rule has ");
	for (enum cm_rule_key k = 0; k < CM_RULE_KEYS; k++)
		cm_buf_addf(out, "%s%s", k > 0 ? ", " : "", cm_conf_rule_key_name(k));
}

/* What libconfuse found wrong, with the remedy for what people do with rules. */
static void CM_PRINTF(2, 0)
report(cfg_t *cfg, const char *fmt, va_list ap)
{
	struct cm_buf text;
	char said[512];

	cm_buf_init(&text, 0);
	vsnprintf(said, sizeof(said), fmt, ap);
	if (strstr(said, CM_CONF_END_MARK) != NULL) {
		cm_buf_add_str(&text, "the file ends before a section, quote or comment is closed");
	} else {
		if (cfg != NULL)
			add_label(cfg, &text);
		cm_buf_add_str(&text, said);
		if (text.len > strlen(said) && strncmp(said, "no such option", 14) == 0)
			add_rule_keys(&text);
		else if (strncmp(said, "missing title", 13) == 0)
			cm_buf_add_str(&text, "; write rule \"NAME\" {");
		else if (strncmp(said, "found duplicate title", 21) == 0)
			cm_buf_add_str(&text, ": give each rule a name of its own");
	}
	mistake(cfg != NULL ? (unsigned)cfg->line : 0, "%s", cm_buf_str(&text));
	cm_buf_free(&text);
}

/* One key of a section or of a rule, as it is being read. */
struct key {
	const struct cm_conf_row *row;
	void *of;		/* the struct that its field is in */
	unsigned *line;		/* where it was seen; 0: not yet */
	size_t index;		/* among the rows of sections; SIZE_MAX: a rule's */
};

/*
 * All values of a list are there each time one was read, and again at the end.
 * A second "=" begins it anew: then one that was there before is not where it was.
 */
static bool
loses_value(const struct key *k, cfg_opt_t *opt)
{
	char *const *before = *(char **const *)cm_conf_field(k->of, k->row);

	for (unsigned i = 0; before != NULL && before[i] != NULL; i++)
		if (i == cfg_opt_size(opt) || strcmp(before[i], cfg_opt_getnstr(opt, i)) != 0)
			return true;
	return false;
}

static const char *
take_values(const struct key *k, cfg_opt_t *opt, const char *origin, const char **value)
{
	const unsigned count = cfg_opt_size(opt);
	void *field = cm_conf_field(k->of, k->row);
	const char *wrong = NULL;

	if (k->row->type->list)
		k->row->type->clear(field);
	for (unsigned i = 0; i < count && wrong == NULL; i++) {
		*value = cfg_opt_getnstr(opt, i);
		wrong = k->index != SIZE_MAX ? cm_conf_set_row(reading->conf, k->index, *value, origin) :
		    k->row->type->set(field, k->row, *value);
	}
	return wrong;
}

static void
take(cfg_t *cfg, cfg_opt_t *opt, const struct key *k)
{
	const char *section = k->index != SIZE_MAX ? k->row->section : NULL;
	const char *value = NULL, *wrong;
	struct cm_buf text, origin;

	cm_buf_init(&text, 0);
	cm_buf_init(&origin, 0);
	add_label(cfg, &text);
	if (*k->line != 0 && (!k->row->type->list || loses_value(k, opt))) {
		mistake((unsigned)cfg->line, "%s%s%s%s: given before, on line %u: keep one of them%s",
		    cm_buf_str(&text), section != NULL ? section : "", section != NULL ? "." : "",
		    k->row->key, *k->line, k->row->type->list ? ", as { 'A', 'B' }" : "");
		goto out;
	}
	*k->line = (unsigned)cfg->line;
	cm_buf_addf(&origin, "%s:%d", reading->path, cfg->line);
	if ((wrong = take_values(k, opt, cm_buf_str(&origin), &value)) != NULL) {
		cm_conf_describe(k->row, section, value, wrong, &text);
		mistake((unsigned)cfg->line, "%s", cm_buf_str(&text));
	}
out:
	cm_buf_free(&text);
	cm_buf_free(&origin);
}

/* libconfuse calls these after each value it has read; the section's name says which row it is. */
static int
validate(cfg_t *cfg, cfg_opt_t *opt)
{
	const size_t i = cm_conf_find_row(cfg_name(cfg), cfg_opt_name(opt), strlen(cfg_opt_name(opt)));
	size_t count;

	if (i != SIZE_MAX && cfg_opt_size(opt) > 0)
		take(cfg, opt, &(struct key){ .row = &cm_conf_rows(&count)[i], .of = reading->conf,
		    .line = &reading->lines[i], .index = i });
	return 0;
}

/* By macOS's name, outside sections: the same row, which may be given once in all. */
static int
validate_alias(cfg_t *cfg, cfg_opt_t *opt)
{
	const size_t i = cm_conf_find_alias(cfg_opt_name(opt), strlen(cfg_opt_name(opt)));
	size_t count;

	if (i != SIZE_MAX && cfg_opt_size(opt) > 0)
		take(cfg, opt, &(struct key){ .row = &cm_conf_rows(&count)[i], .of = reading->conf,
		    .line = &reading->lines[i], .index = i });
	return 0;
}

static int
validate_rule_key(cfg_t *cfg, cfg_opt_t *opt)
{
	for (enum cm_rule_key k = 0; cfg_opt_size(opt) > 0 && k < CM_RULE_KEYS; k++)
		if (strcmp(cm_conf_rule_key_name(k), cfg_opt_name(opt)) == 0)
			take(cfg, opt, &(struct key){ .row = cm_conf_rule_row(k), .of = &reading->rule,
			    .line = &reading->rule.lines[k], .index = SIZE_MAX });
	return 0;
}

/* A rule's section has ended. */
static int
validate_rule(cfg_t *cfg, cfg_opt_t *opt)
{
	struct cm_conf_rule *r = &reading->rule;
	const char *title = cfg_title(cfg_opt_getnsec(opt, cfg_opt_size(opt) - 1)), *wrong;
	const unsigned line = cm_conf_next_section(&reading->at, &reading->at_line, RULE);
	enum cm_rule_key about;

	(void)cfg;
	wrong = cm_conf_rule_check(r, &about);
	if (title == NULL || title[0] == '\0')
		mistake(line, "rule \"\": give it a name: rule \"NAME\" {");
	else if (wrong != NULL && about < CM_RULE_KEYS)
		mistake(r->lines[about], "rule \"%s\": %s %s", title, cm_conf_rule_key_name(about), wrong);
	else if (wrong != NULL)
		mistake(line, "rule \"%s\" %s", title, wrong);
	else if ((r->name = strdup(title)) == NULL || asprintf(&r->origin, "%s:%u", reading->path, line) < 0 ||
	    cm_conf_rule_add(reading->conf, r) != NULL)
		mistake(line, "out of memory");
	cm_conf_rule_clear(r);
	return 0;
}

/*
 * The tables as libconfuse wants them: one section after the other.  A
 * section's rows stand together, so a new one starts where the name changes.
 */
struct schema {
	cfg_opt_t *options;	/* each section's, ended by CFG_END */
	cfg_opt_t *sections;
	cfg_opt_t rule[CM_RULE_KEYS + 1];
	size_t used;
};

static cfg_opt_t
option_of(const struct cm_conf_row *r)
{
	const cfg_opt_t text = CFG_STR(r->key, NULL, CFGF_NONE), list = CFG_STR_LIST(r->key, NULL, CFGF_NONE);

	return r->type->list ? list : text;
}

static void
build_sections(struct schema *s, const struct cm_conf_row *rows, size_t count)
{
	const cfg_opt_t end = CFG_END();
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		if (i == 0 || strcmp(rows[i].section, rows[i - 1].section) != 0) {
			const cfg_opt_t section = CFG_SEC(rows[i].section, &s->options[n], CFGF_NONE);

			s->sections[s->used++] = section;
		}
		s->options[n++] = option_of(&rows[i]);
		if (i + 1 == count || strcmp(rows[i].section, rows[i + 1].section) != 0)
			s->options[n++] = end;
	}
}

static void
build_aliases(struct schema *s)
{
	size_t count, rows;
	const struct cm_conf_alias *aliases = cm_conf_aliases(&count);

	for (size_t i = 0; i < count; i++) {
		const struct cm_conf_row *r = &cm_conf_rows(&rows)[cm_conf_find_alias(aliases[i].name, strlen(aliases[i].name))];
		const cfg_opt_t text = CFG_STR(aliases[i].name, NULL, CFGF_NONE), list = CFG_STR_LIST(aliases[i].name, NULL, CFGF_NONE);

		s->sections[s->used++] = r->type->list ? list : text;
	}
}

static bool
build_schema(struct schema *s)
{
	size_t count, aliases;
	const struct cm_conf_row *rows = cm_conf_rows(&count);
	const cfg_opt_t end = CFG_END(), mark = CFG_STR(CM_CONF_END_MARK, NULL, CFGF_NONE);
	const cfg_opt_t rule = CFG_SEC(RULE, s->rule, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);

	cm_conf_aliases(&aliases);
	s->options = calloc(2 * count, sizeof(*s->options));
	s->sections = calloc(count + aliases + 3, sizeof(*s->sections));
	if (s->options == NULL || s->sections == NULL)
		return false;
	build_sections(s, rows, count);
	for (enum cm_rule_key k = 0; k < CM_RULE_KEYS; k++)
		s->rule[k] = option_of(cm_conf_rule_row(k));
	s->rule[CM_RULE_KEYS] = end;
	build_aliases(s);
	s->sections[s->used++] = rule;
	s->sections[s->used++] = mark;
	s->sections[s->used++] = end;
	return true;
}

static void
register_rows(cfg_t *cfg)
{
	size_t count, aliases;
	const struct cm_conf_row *rows = cm_conf_rows(&count);
	char name[64];

	cm_conf_aliases(&aliases);

	for (size_t i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%s|%s", rows[i].section, rows[i].key);
		cfg_set_validate_func(cfg, name, validate);
	}
	for (enum cm_rule_key k = 0; k < CM_RULE_KEYS; k++) {
		snprintf(name, sizeof(name), RULE "|%s", cm_conf_rule_key_name(k));
		cfg_set_validate_func(cfg, name, validate_rule_key);
	}
	for (size_t i = 0; i < aliases; i++)
		cfg_set_validate_func(cfg, cm_conf_aliases(&count)[i].name, validate_alias);
	cfg_set_validate_func(cfg, RULE, validate_rule);
}

/*
 * libconfuse takes a file that ends inside a quote or comment for a whole one.
 * So a mark stands behind its last line, and must have been seen.
 */
static void
read_all(cfg_t *cfg, const char *text)
{
	const unsigned empty = cm_conf_find_empty_list(text);

	cfg_set_error_function(cfg, report);
	register_rows(cfg);
	if ((cfg_parse_buf(cfg, text) != CFG_SUCCESS || cfg_getstr(cfg, CM_CONF_END_MARK) == NULL) &&
	    reading->mistakes == 0)
		mistake((unsigned)cfg->line, "the file ends before a section, quote or comment is closed");
	/* libconfuse says nothing of it, and so a default would hold that somebody took away. */
	if (empty > 0)
		mistake(empty, "{ } has no value: leave the key out, or name one");
	cm_conf_rule_clear(&reading->rule);	/* of a section that did not end */
}

enum cm_err
cm_conf_parse(const char *path, const char *text, struct cm_conf *c, struct cm_trace *t)
{
	struct reading r = { .conf = c, .trace = t, .path = path, .at = text, .at_line = 1 };
	struct schema schema = { .used = 0 };
	enum cm_err err = CM_ERR_NOMEM;
	cfg_t *cfg = NULL;
	size_t count;

	cm_conf_rows(&count);
	cm_conf_rule_clear(&r.rule);
	if ((r.lines = calloc(count, sizeof(*r.lines))) == NULL || !build_schema(&schema))
		goto out;
	if ((cfg = cfg_init(schema.sections, CFGF_NONE)) == NULL)
		goto out;
	reading = &r;
	read_all(cfg, text);
	reading = NULL;
	err = r.mistakes == 0 ? CM_OK : CM_ERR_CONFIG;
out:
	if (cfg != NULL)
		cfg_free(cfg);
	free(schema.options);
	free(schema.sections);
	free(r.lines);
	return err;
}
