/*
 * mapper/regex.c - expressions: which are matched here and which by the child, and answers that are known.
 *
 * A child that ends or is ended costs the expression that did it and nobody
 * else: the next question starts another one, which is told each pattern when
 * it is first asked for.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "mapper/regex_child_internal.h"

struct pattern {
	char *text;		/* owned */
	size_t len;
	unsigned flags, group;
	bool is_literal;
	bool heavy;		/* overran its limits once: asked alone */
	struct cm_literal literal;
	unsigned told;		/* the child that knows it, by r->child_number; 0: none */
};

/* What is known of one text. */
struct known {
	unsigned group;
	uint8_t *text;		/* owned */
	size_t len;
	uint8_t *answers;	/* owned; enum cm_regex_answer by id */
	size_t count;
	unsigned questions;	/* to the child */
	uint64_t used;
};
#define KNOWN_MAX	8

struct cm_regexes {
	pthread_mutex_t lock;
	bool back_references;
	struct pattern *patterns;
	size_t count;
	unsigned groups;
	struct cm_regex_child child;
	unsigned child_number;
	struct known known[KNOWN_MAX];
	uint64_t clock;
};

/* Most expressions in one question. */
#define QUESTION_MAX	1024

enum cm_err
cm_regexes_new(bool back_references, struct cm_regexes **out)
{
	struct cm_regexes *r = calloc(1, sizeof(*r));

	*out = NULL;
	if (r == NULL)
		return CM_ERR_NOMEM;
	if (pthread_mutex_init(&r->lock, NULL) != 0) {
		free(r);
		return CM_ERR_NOMEM;
	}
	r->back_references = back_references;
	r->groups = CM_REGEX_GROUPS;
	r->child.fd = -1;
	*out = r;
	return CM_OK;
}

static void
forget(struct known *k)
{
	free(k->text);
	free(k->answers);
	*k = (struct known){ 0 };
}

static void
pattern_clear(struct pattern *p)
{
	free(p->text);
	cm_literal_clear(&p->literal);
}

void
cm_regexes_free(struct cm_regexes **r)
{
	if (r == NULL || *r == NULL)
		return;
	cm_regex_child_stop(&(*r)->child);
	for (size_t i = 0; i < (*r)->count; i++)
		pattern_clear(&(*r)->patterns[i]);
	for (size_t i = 0; i < KNOWN_MAX; i++)
		forget(&(*r)->known[i]);
	free((*r)->patterns);
	pthread_mutex_destroy(&(*r)->lock);
	free(*r);
	*r = NULL;
}

unsigned
cm_regexes_group(struct cm_regexes *r)
{
	return r->groups++;
}

int
cm_regexes_child(const struct cm_regexes *r)
{
	return cm_regex_child_is_there(&r->child) ? (int)r->child.pid : 0;
}

/* A child that knows the pattern. */
static enum cm_err
tell(struct cm_regexes *r, size_t id, enum cm_regex_end *end)
{
	struct pattern *p = &r->patterns[id];
	const struct cm_regex x = { .pattern = { (const uint8_t *)p->text, p->len }, .flags = p->flags };

	*end = CM_REGEX_DONE;
	if (!cm_regex_child_is_there(&r->child)) {
		if (cm_regex_child_start(&r->child) != CM_OK)
			return CM_ERR_SYSTEM;
		r->child_number++;
	}
	if (p->told == r->child_number)
		return CM_OK;
	if ((*end = cm_regex_child_store(&r->child, (uint32_t)id, &x)) == CM_REGEX_DONE)
		p->told = r->child_number;
	return CM_OK;
}

static enum cm_err
syntax(struct cm_syntax *why, size_t column, const char *what, enum cm_err err)
{
	why->column = column;
	(void)snprintf(why->what, sizeof(why->what), "%s", what);
	return err;
}

static enum cm_err
compile_once(struct cm_regexes *r, size_t id, struct cm_syntax *why, enum cm_regex_end *end)
{
	char text[CM_REGEX_WHY] = "";
	uint8_t answer = CM_REGEX_UNKNOWN;

	if (tell(r, id, end) != CM_OK)
		return syntax(why, 1, "no process could be started for it", CM_ERR_CONFIG);
	if (*end == CM_REGEX_DONE)
		*end = cm_regex_child_compile(&r->child, (uint32_t)id, &answer, text);
	if (*end == CM_REGEX_SLOW)
		return syntax(why, 1, "takes too much time to compile", CM_ERR_CONFIG);
	if (*end == CM_REGEX_ENDED || answer == CM_REGEX_FULL)
		return syntax(why, 1, "takes too much memory to compile", CM_ERR_CONFIG);
	return answer == CM_REGEX_YES ? CM_OK : syntax(why, 1, text, CM_ERR_SYNTAX);
}

/* A child that was there before may have ended for another reason: the second one is new. */
static enum cm_err
compile(struct cm_regexes *r, size_t id, struct cm_syntax *why)
{
	enum cm_regex_end end = CM_REGEX_DONE;
	enum cm_err err = compile_once(r, id, why, &end);

	if (end == CM_REGEX_ENDED)
		err = compile_once(r, id, why, &end);
	return err;
}

static enum cm_err
pattern_make(struct cm_regexes *r, const struct cm_regex *x, struct pattern *p, struct cm_syntax *why)
{
	const size_t back = cm_regex_back_reference(x->pattern);
	enum cm_err err;

	if (x->pattern.len > CM_FORMAT_MAX)
		return syntax(why, CM_FORMAT_MAX + 1, "the expression is too long", CM_ERR_SYNTAX);
	if (x->pattern.len > 0 && memchr(x->pattern.ptr, '\0', x->pattern.len) != NULL)
		return syntax(why, 1, "the expression holds a NUL", CM_ERR_SYNTAX);
	if (back > 0 && !r->back_references)
		return syntax(why, back, "back-references are not allowed", CM_ERR_SYNTAX);
	*p = (struct pattern){ .len = x->pattern.len, .flags = x->flags, .group = x->group };
	if ((p->text = malloc(p->len + 1)) == NULL)
		return CM_ERR_NOMEM;
	if (p->len > 0)
		memcpy(p->text, x->pattern.ptr, p->len);
	p->text[p->len] = '\0';
	err = cm_literal_parse(x, &p->literal);
	p->is_literal = err == CM_OK;
	if (err == CM_ERR_NOMEM)
		pattern_clear(p);
	return err == CM_ERR_NOMEM ? err : CM_OK;
}

static enum cm_err
append(struct cm_regexes *r, const struct pattern *p)
{
	struct pattern *all = r->patterns;

	/* room doubles at each power of two */
	if ((r->count & (r->count - 1)) == 0) {
		all = realloc(all, (r->count == 0 ? 1 : 2 * r->count) * sizeof(*all));
		if (all == NULL)
			return CM_ERR_NOMEM;
	}
	r->patterns = all;
	r->patterns[r->count++] = *p;
	return CM_OK;
}

enum cm_err
cm_regexes_add(struct cm_regexes *r, const struct cm_regex *x, size_t *id, struct cm_syntax *why)
{
	struct pattern p;
	enum cm_err err;

	*why = (struct cm_syntax){ .column = 1 };
	if ((err = pattern_make(r, x, &p, why)) != CM_OK)
		return err;
	(void)pthread_mutex_lock(&r->lock);
	if ((err = append(r, &p)) != CM_OK) {
		pattern_clear(&p);
	} else if (!p.is_literal && (err = compile(r, r->count - 1, why)) != CM_OK) {
		/* The child may know it under this number: it stays, and is not asked for. */
		r->patterns[r->count - 1].heavy = true;
	}
	*id = r->count - 1;
	(void)pthread_mutex_unlock(&r->lock);
	return err;
}

/* What is known of the text, or the place of what was not used for longest, made ready for it. */
static struct known *
look_up(struct cm_regexes *r, unsigned group, struct cm_blob text)
{
	struct known *oldest = &r->known[0];

	for (size_t i = 0; i < KNOWN_MAX; i++) {
		struct known *k = &r->known[i];

		if (k->text != NULL && k->group == group && k->count == r->count && k->len == text.len &&
		    memcmp(k->text, text.ptr, text.len) == 0)
			return k;
		if (k->used < oldest->used)
			oldest = k;
	}
	forget(oldest);
	oldest->text = malloc(text.len + 1);
	oldest->answers = calloc(r->count, 1);
	if (oldest->text == NULL || oldest->answers == NULL) {
		forget(oldest);
		return NULL;
	}
	memcpy(oldest->text, text.ptr, text.len);
	oldest->len = text.len;
	oldest->group = group;
	oldest->count = r->count;
	return oldest;
}

/* The id asked for, and those of its group behind it that are likely to be asked for next. */
static uint32_t
choose(const struct cm_regexes *r, const struct known *k, size_t id, uint32_t ids[QUESTION_MAX])
{
	const uint32_t most = k->questions < 2 ? 1 :
	    k->questions < 10 ? 1u << k->questions : QUESTION_MAX;
	uint32_t n = 0;

	ids[n++] = (uint32_t)id;
	for (size_t i = id + 1; i < r->count && n < most; i++)
		if (r->patterns[i].group == k->group && !r->patterns[i].is_literal &&
		    !r->patterns[i].heavy && k->answers[i] == CM_REGEX_UNKNOWN)
			ids[n++] = (uint32_t)i;
	return n;
}

/* Ask the child; what it answered is in k.  Who made it end, or had too little memory, is asked alone from now on. */
static enum cm_err
ask(struct cm_regexes *r, struct known *k, const uint32_t *ids, uint32_t n, enum cm_regex_end *end)
{
	uint8_t answers[QUESTION_MAX];
	uint32_t done = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (tell(r, ids[i], end) != CM_OK)
			return CM_ERR_SYSTEM;
		if (*end != CM_REGEX_DONE)
			return CM_OK;
	}
	*end = cm_regex_child_match(&r->child, (struct cm_blob){ k->text, k->len }, ids, n,
	    answers, &done);
	for (uint32_t i = 0; i < done; i++) {
		if (answers[i] != CM_REGEX_FULL)
			k->answers[ids[i]] = answers[i];
		else
			r->patterns[ids[i]].heavy = true;
	}
	if (done < n)
		r->patterns[ids[done]].heavy = true;
	return CM_OK;
}

static enum cm_err
over(struct cm_trace *t, const struct pattern *p, const char *what)
{
	return cm_trace_fail(t, CM_REASON_RULE_REGEX, "the expression \"%s\" takes too much %s",
	    p->text, what);
}

/*
 * A child that ended may have been used up by what came before: its question
 * is put once more, alone, to a new one.
 */
static enum cm_err
find_out(struct cm_regexes *r, struct known *k, size_t id, struct cm_trace *t)
{
	uint32_t ids[QUESTION_MAX];
	uint32_t n = choose(r, k, id, ids);
	enum cm_regex_end end = CM_REGEX_DONE;

	for (int tries = 0; tries < 2 && k->answers[id] == CM_REGEX_UNKNOWN; tries++, n = 1) {
		if (ask(r, k, ids, n, &end) != CM_OK)
			return cm_trace_fail(t, CM_REASON_SYSTEM, "no process could be started to match expressions");
		if (end == CM_REGEX_SLOW && k->answers[id] == CM_REGEX_UNKNOWN)
			return over(t, &r->patterns[id], "time");
	}
	k->questions++;
	return k->answers[id] != CM_REGEX_UNKNOWN ? CM_OK : over(t, &r->patterns[id], "memory");
}

static enum cm_err
match_in_child(struct cm_regexes *r, size_t id, struct cm_blob text, struct cm_trace *t)
{
	struct known *k = look_up(r, r->patterns[id].group, text);
	enum cm_err err = CM_OK;

	if (k == NULL)
		return CM_ERR_NOMEM;
	k->used = ++r->clock;
	if (k->answers[id] == CM_REGEX_UNKNOWN)
		err = find_out(r, k, id, t);
	if (err != CM_OK)
		return err;
	return k->answers[id] == CM_REGEX_YES ? CM_OK : CM_ERR_ABSENT;
}

enum cm_err
cm_regexes_match(struct cm_regexes *r, size_t id, struct cm_blob text, struct cm_trace *t)
{
	enum cm_err err;

	if (text.len > 0 && memchr(text.ptr, '\0', text.len) != NULL)
		return CM_ERR_ABSENT;
	if (text.len == 0)
		text.ptr = (const uint8_t *)"";
	/* Rules are compiled before any thread asks: literals need no lock. */
	if (r->patterns[id].is_literal)
		return cm_literal_match(&r->patterns[id].literal, text) ? CM_OK : CM_ERR_ABSENT;
	(void)pthread_mutex_lock(&r->lock);
	err = match_in_child(r, id, text, t);
	(void)pthread_mutex_unlock(&r->lock);
	return err;
}
