/* base/conf_internal.h - what the files of the configuration share. */
#ifndef CM_BASE_CONF_INTERNAL_H
#define CM_BASE_CONF_INTERNAL_H

#include "base/conf.h"

struct cm_conf_row;

/* What a value may be, and how its field holds it. */
struct cm_conf_type {
	const char *name;
	bool list;
	/* Put text into the field; what a value must be, when it is not; NULL: taken. */
	const char *(*set)(void *field, const struct cm_conf_row *r, const char *text);
	void (*show)(const void *field, const struct cm_conf_row *r, struct cm_buf *out);
	void (*clear)(void *field);	/* free what the field owns; NULL: it owns nothing */
};
extern const struct cm_conf_type cm_conf_text, cm_conf_path, cm_conf_list, cm_conf_number,
    cm_conf_flag, cm_conf_choice, cm_conf_pair, cm_conf_mirrors, cm_conf_slots, cm_conf_places, cm_conf_level, cm_conf_rule_level;
extern const char *const cm_conf_levels[];	/* ended by NULL */

/* One key: of a section of struct cm_conf, or of a rule. */
struct cm_conf_row {
	const char *section, *key;
	const struct cm_conf_type *type;
	size_t offset;		/* in struct cm_conf or struct cm_conf_rule */
	const char *fallback;	/* NULL: not set */
	const char *unit;
	unsigned min, max;
	const char *const *words;	/* of a choice: the value is the index */
	const char *help;
};

/* Keys of sections, each section's together; and keys of rule "NAME", in the order of enum cm_rule_key. */
const struct cm_conf_row *cm_conf_rows(size_t *count);
const struct cm_conf_row *cm_conf_rule_row(enum cm_rule_key k);

static inline void *
cm_conf_field(const void *of, const struct cm_conf_row *r)
{
	return (char *)(uintptr_t)of + r->offset;
}

/* The index of a section's key; SIZE_MAX: there is none. */
size_t cm_conf_find_row(const char *section, const char *key, size_t key_len);
/* Set row number i: what is wrong with the text, or NULL. */
CM_MUST_USE const char *cm_conf_set_row(struct cm_conf *c, size_t i, const char *text,
    const char *origin);
/* Append "SECTION.KEY = VALUE: wrong; expected 1 to 3"; without the section when it is NULL. */
void cm_conf_describe(const struct cm_conf_row *r, const char *section, const char *value,
    const char *wrong, struct cm_buf *out);

/* A key as macOS names it, which may stand outside sections. */
struct cm_conf_alias {
	const char *name, *section, *key;
};
const struct cm_conf_alias *cm_conf_aliases(size_t *count);
/* The first that names row number i, or NULL. */
const struct cm_conf_alias *cm_conf_alias_of(size_t i);
/* The row of an alias, of which len bytes count; SIZE_MAX: there is none. */
size_t cm_conf_find_alias(const char *name, size_t len);

/* Read one whole file into c.  CM_ERR_ABSENT: there is none, and no reason is set. */
CM_MUST_USE enum cm_err cm_conf_read(const char *path, struct cm_conf *c, struct cm_trace *t);
/* Read the files of the folder beside path, over what c has. */
CM_MUST_USE enum cm_err cm_conf_read_managed(const char *path, struct cm_conf *c, struct cm_trace *t);

/* The text of a file, comments blanked and the end marked: into c.  Mistakes are in the trace. */
#define CM_CONF_END_MARK	"end-of-file"
CM_MUST_USE enum cm_err cm_conf_parse(const char *path, const char *text, struct cm_conf *c,
    struct cm_trace *t);

/* Append *r to c's rules and empty it; NULL, or why not. */
const char *cm_conf_rule_add(struct cm_conf *c, struct cm_conf_rule *r);

/* Turn every comment in text into blanks, line ends kept; one that is not closed stays. */
void cm_conf_blank_comments(char *text);
/*
 * The line on which the next section so named begins, at or behind *at, which
 * is on line *line; both go on to its end.  0: there is none.
 */
unsigned cm_conf_next_section(const char **at, unsigned *line, const char *name);
/* The line of the first "KEY = { }"; 0: there is none. */
unsigned cm_conf_find_empty_list(const char *text);

#endif /* CM_BASE_CONF_INTERNAL_H */
