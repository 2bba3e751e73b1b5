/* base/trace.c - what each stage saw, and the one reason why it ended as it did. */
#include "base/trace.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

#define STAGES_MAX	64
#define ITEMS_MAX	16384	/* per stage: thousands of rules are told one by one */
#define TEXT_MAX	8192	/* bytes of one item */
#define SET		8	/* stages that come into being together: most traces have no more */
#define TEXTS_SIZE	1000	/* of a block of texts; malloc(3) has blocks up to 1032 octets at hand */
#define ITEM_ROOM	500

/* Keys and texts of items, one behind the other. */
struct texts {
	struct texts *next;
	size_t used, size;
	char bytes[];
};

struct cm_trace {
	struct cm_trace_stage *sets[STAGES_MAX / SET];	/* they stay where they are */
	size_t count;
	struct texts *texts;		/* the newest first */
	enum cm_reason reason;
	struct cm_buf message;
	struct cm_buf item;		/* the one being made */
};

static const struct reason {
	const char *name;	/* upper case here: the enum's own spelling */
	enum cm_err err;
	const char *remedy;
} reasons[] = {
#define X(name, err, remedy) [CM_REASON_##name] = { #name, CM_ERR_##err, remedy },
#define CM_ERR_OK CM_OK
	CM_REASONS(X)
#undef CM_ERR_OK
#undef X
};

static const struct reason *
row(enum cm_reason r)
{
	return &reasons[(unsigned)r < CM_COUNT(reasons) ? r : CM_REASON_SYSTEM];
}

/* The enum's spelling in lower case, made once per thread that asks. */
const char *
cm_reason_name(enum cm_reason r)
{
	static _Thread_local char text[32];
	const char *s = row(r)->name;
	size_t i;

	for (i = 0; s[i] != '\0' && i < sizeof(text) - 1; i++)
		text[i] = s[i] >= 'A' && s[i] <= 'Z' ? (char)(s[i] + 32) : s[i];
	text[i] = '\0';
	return text;
}

/* name may be the text that cm_reason_name() made. */
static bool
is_named(const char *upper, const char *name)
{
	for (; *upper != '\0' && *name == (*upper >= 'A' && *upper <= 'Z' ? *upper + 32 : *upper); upper++)
		name++;
	return *upper == '\0' && *name == '\0';
}

enum cm_reason
cm_reason_named(const char *name)
{
	for (int r = CM_REASON_NONE + 1; name != NULL && r < CM_REASON_COUNT; r++)
		if (is_named(reasons[r].name, name))
			return (enum cm_reason)r;
	return CM_REASON_NONE;
}

const char *
cm_reason_remedy(enum cm_reason r)
{
	return row(r)->remedy;
}

enum cm_err
cm_reason_err(enum cm_reason r)
{
	return row(r)->err;
}

enum cm_err
cm_trace_new(struct cm_trace **out)
{
	if ((*out = calloc(1, sizeof(**out))) == NULL)
		return CM_ERR_NOMEM;
	cm_buf_init(&(*out)->message, TEXT_MAX);
	cm_buf_init(&(*out)->item, 4 * TEXT_MAX + 128);	/* a byte becomes four at most; and the key */
	return CM_OK;
}

static struct cm_trace_stage *
stage_at(const struct cm_trace *t, size_t i)
{
	return &t->sets[i / SET][i % SET];
}

void
cm_trace_free(struct cm_trace **t)
{
	if (*t == NULL)
		return;
	for (size_t i = 0; i < (*t)->count; i++)
		free(stage_at(*t, i)->items);
	for (size_t i = 0; i < CM_COUNT((*t)->sets); i++)
		free((*t)->sets[i]);
	for (struct texts *next, *b = (*t)->texts; b != NULL; b = next) {
		next = b->next;
		free(b);
	}
	cm_buf_free(&(*t)->message);
	cm_buf_free(&(*t)->item);
	free(*t);
	*t = NULL;
}

static struct cm_trace_stage *
current(struct cm_trace *t)
{
	return t != NULL && t->count > 0 ? stage_at(t, t->count - 1) : NULL;
}

void
cm_trace_begin(struct cm_trace *t, const char *stage)
{
	struct cm_trace_stage **set;

	if (t == NULL || t->count == STAGES_MAX)
		return;
	set = &t->sets[t->count / SET];
	if (*set == NULL && (*set = malloc(SET * sizeof(**set))) == NULL)
		return;
	*stage_at(t, t->count++) = (struct cm_trace_stage){
		.name = stage, .us = -cm_clock_us(), .open = true,
	};
}

void
cm_trace_end(struct cm_trace *t, enum cm_err err)
{
	struct cm_trace_stage *s = current(t);

	if (s == NULL || !s->open)
		return;
	s->us += cm_clock_us();
	s->err = err;
	if (err == CM_OK)
		cm_trace_clear_reason(t);
	else if (t->reason == CM_REASON_NONE)
		cm_trace_fail(t, CM_REASON_SYSTEM, "%s: %s", s->name, cm_err_name(err));
	s->reason = t->reason;
	if (err != CM_OK)
		cm_trace_add(t, CM_TRACE_WHY, "%s", cm_trace_message(t));
	s->open = false;
}

void
cm_trace_end_told(struct cm_trace *t, enum cm_err err, enum cm_reason reason, int64_t us)
{
	struct cm_trace_stage *s = current(t);

	if (s == NULL || !s->open)
		return;
	s->us = us;
	s->err = err;
	s->reason = err != CM_OK ? reason : CM_REASON_NONE;
	s->open = false;
	cm_trace_clear_reason(t);
	if (err != CM_OK)
		(void)cm_trace_fail(t, reason, "%s", cm_trace_why(t, s));
}

/* Room is 8, 16, 32, ... */
static bool
make_room(struct cm_trace_stage *s)
{
	struct cm_trace_item *more;

	if (s->count != 0 && (s->count < 8 || (s->count & (s->count - 1)) != 0))
		return true;
	more = realloc(s->items, (s->count == 0 ? 8 : 2 * s->count) * sizeof(*more));
	if (more != NULL)
		s->items = more;
	return more != NULL;
}

/* Room for so many octets, which stay where they are; NULL: no memory. */
static char *
take_room(struct cm_trace *t, size_t size)
{
	struct texts *b = t->texts;
	const size_t most = size < TEXTS_SIZE - sizeof(*b) ? TEXTS_SIZE - sizeof(*b) : size;

	if (b == NULL || b->size - b->used < size) {
		if ((b = malloc(sizeof(*b) + most)) == NULL)
			return NULL;
		*b = (struct texts){ .next = t->texts, .size = most };
		t->texts = b;
	}
	b->used += size;
	return b->bytes + b->used - size;
}

static void
put_item(struct cm_trace *t, const char *key, struct cm_blob text)
{
	struct cm_trace_stage *s = current(t);
	const size_t key_size = strlen(key) + 1;
	char *room;

	if (!make_room(s) || (room = take_room(t, key_size + text.len + 1)) == NULL)
		return;
	memcpy(room, key, key_size);
	if (text.len > 0)
		memcpy(room + key_size, text.ptr, text.len);
	room[key_size + text.len] = '\0';
	s->items[s->count++] = (struct cm_trace_item){ room, room + key_size };
}

/* The text is t->item.  Why a stage failed always has its place. */
static void
add_item(struct cm_trace *t, const char *key)
{
	const struct cm_trace_stage *s = current(t);
	const bool why = strcmp(key, CM_TRACE_WHY) == 0;

	if (cm_buf_status(&t->item) != CM_OK)
		return;
	if (s->count < ITEMS_MAX - 1 || why)
		put_item(t, key, cm_buf_blob(&t->item));
	else if (s->count == ITEMS_MAX - 1)
		put_item(t, "more", cm_blob_str("there is more than a trace holds"));
}

/* Most are shorter than the room that is made at first. */
static void
begin_item(struct cm_trace *t)
{
	if (t->item.ptr == NULL)
		(void)cm_buf_extend(&t->item, ITEM_ROOM);
	cm_buf_truncate(&t->item, 0);
}

void
cm_trace_add_blob(struct cm_trace *t, const char *key, struct cm_blob v)
{
	if (current(t) == NULL)
		return;
	begin_item(t);
	cm_buf_add_printable(&t->item, (struct cm_blob){ v.ptr, v.len < TEXT_MAX ? v.len : TEXT_MAX });
	add_item(t, key);
}

static void
format(struct cm_buf *out, const char *fmt, va_list ap)
{
	char text[TEXT_MAX];
	int n;

	/* a text alone, as most are, is not copied first */
	if (strcmp(fmt, "%s") == 0) {
		const char *given = va_arg(ap, const char *), *whole = given != NULL ? given : "(null)";

		cm_buf_add_printable(out, (struct cm_blob){ (const uint8_t *)whole, strnlen(whole, TEXT_MAX - 1) });
		return;
	}
	n = vsnprintf(text, sizeof(text), fmt, ap);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(text))
		n = sizeof(text) - 1;
	cm_buf_add_printable(out, (struct cm_blob){ (const uint8_t *)text, (size_t)n });
}

void
cm_trace_add(struct cm_trace *t, const char *key, const char *fmt, ...)
{
	va_list ap;

	if (current(t) == NULL)
		return;
	begin_item(t);
	va_start(ap, fmt);
	format(&t->item, fmt, ap);
	va_end(ap);
	add_item(t, key);
}

enum cm_err
cm_trace_fail(struct cm_trace *t, enum cm_reason r, const char *fmt, ...)
{
	va_list ap;

	if (t != NULL) {
		t->reason = r;
		cm_buf_truncate(&t->message, 0);
		va_start(ap, fmt);
		format(&t->message, fmt, ap);
		va_end(ap);
	}
	return cm_reason_err(r);
}

enum cm_reason
cm_trace_reason(const struct cm_trace *t)
{
	return t != NULL ? t->reason : CM_REASON_NONE;
}

const char *
cm_trace_message(const struct cm_trace *t)
{
	return t != NULL ? cm_buf_str(&t->message) : "";
}

void
cm_trace_clear_reason(struct cm_trace *t)
{
	if (t == NULL)
		return;
	t->reason = CM_REASON_NONE;
	cm_buf_truncate(&t->message, 0);
}

size_t
cm_trace_count(const struct cm_trace *t)
{
	return t != NULL ? t->count : 0;
}

const struct cm_trace_stage *
cm_trace_stage(const struct cm_trace *t, size_t i)
{
	return t != NULL && i < t->count ? stage_at(t, i) : NULL;
}

const char *
cm_trace_find(const struct cm_trace *t, const char *key)
{
	for (size_t i = cm_trace_count(t); i > 0; i--) {
		const struct cm_trace_stage *s = stage_at(t, i - 1);

		for (size_t k = s->count; k > 0; k--)
			if (strcmp(s->items[k - 1].key, key) == 0)
				return s->items[k - 1].text;
	}
	return NULL;
}

const struct cm_trace_stage *
cm_trace_failed(const struct cm_trace *t)
{
	for (size_t i = 0; i < cm_trace_count(t); i++)
		if (cm_trace_stage(t, i)->err != CM_OK)
			return cm_trace_stage(t, i);
	return NULL;
}

const char *
cm_trace_why(const struct cm_trace *t, const struct cm_trace_stage *s)
{
	for (size_t i = 0; s != NULL && i < s->count; i++)
		if (strcmp(s->items[i].key, CM_TRACE_WHY) == 0)
			return s->items[i].text;
	return cm_trace_message(t);
}
