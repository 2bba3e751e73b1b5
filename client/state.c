/* client/state.c - what the service tells of a login, read to the letter: what it does not say clearly, it did not say. */
#include <errno.h>
#include <stdlib.h>

#include "client/client_internal.h"

#define TEXT_MAX	4096	/* octets of one text */

/* Several members are read in a row; the first that is wrong decides. */
struct reader {
	json_t *object;
	int result;
};

static json_t *
member(struct reader *r, const char *name, bool (*is)(const json_t *))
{
	json_t *value = json_object_get(r->object, name);

	/* "?": null is as good as nothing. */
	if (value == NULL || json_is_null(value))
		return NULL;
	if (is(value))
		return value;
	r->result = -EPROTO;
	return NULL;
}

#define IS(what) \
static bool \
is_##what(const json_t *value) \
{ \
	return json_is_##what(value); \
}
IS(string)
IS(integer)
IS(boolean)
IS(array)
IS(object)

static char *
printable(struct reader *r, const json_t *value)
{
	const struct cm_blob text = { (const uint8_t *)json_string_value(value), json_string_length(value) };
	struct cm_buf safe = { 0 };
	char *taken = NULL;

	cm_buf_init(&safe, 4 * TEXT_MAX);
	if (text.len <= TEXT_MAX)
		cm_buf_add_printable(&safe, text);
	else
		r->result = -EPROTO;
	if (r->result == 0 && (taken = safe.len == 0 ? strdup("") : cm_buf_take(&safe)) == NULL)
		r->result = -ENOMEM;
	cm_buf_free(&safe);
	return taken;
}

/* NULL where it is absent or empty: there is no such text. */
static char *
read_text(struct reader *r, const char *name)
{
	const json_t *value = member(r, name, is_string);

	return value != NULL && json_string_length(value) > 0 && r->result == 0 ? printable(r, value) : NULL;
}

/* A name that others go by, not for reading: what is not printable is none. */
static char *
read_name(struct reader *r, const char *name)
{
	char *text = read_text(r, name);

	if (text != NULL && strcmp(text, json_string_value(json_object_get(r->object, name))) != 0)
		r->result = -EPROTO;
	return text;
}

static bool
read_flag(struct reader *r, const char *name)
{
	return json_is_true(member(r, name, is_boolean));
}

static json_int_t
read_number(struct reader *r, const char *name, json_int_t max, json_int_t absent)
{
	const json_t *value = member(r, name, is_integer);
	const json_int_t n = json_integer_value(value);

	if (value == NULL)
		return absent;
	if (n < 0 || n > max)
		r->result = -EPROTO;
	return n;
}

static size_t
read_list(struct reader *r, const char *name, size_t max, json_t **out)
{
	const size_t count = json_array_size(*out = member(r, name, is_array));

	if (count > max)
		r->result = -EPROTO;
	return r->result == 0 ? count : 0;
}

static void
read_choices(struct reader *r, struct cm_client_state *s)
{
	json_t *list;
	const size_t count = read_list(r, "choices", CM_CLIENT_CHOICES_MAX, &list);

	if (count > 0 && (s->choices = calloc(count, sizeof(*s->choices))) == NULL)
		r->result = -ENOMEM;
	for (size_t i = 0; i < count && r->result == 0; i++) {
		struct reader one = { json_array_get(list, i), 0 };
		struct cm_client_choice *c = &s->choices[s->choice_count++];

		c->id = read_name(&one, "id");
		c->text = read_text(&one, "text");
		if (one.result == 0 && (c->id == NULL || c->text == NULL))
			one.result = -EPROTO;
		r->result = one.result;
	}
}

static void
read_warnings(struct reader *r, struct cm_client_grant *g)
{
	json_t *list;
	const size_t count = read_list(r, "warnings", CM_CLIENT_WARNINGS_MAX, &list);

	if (count > 0 && (g->warnings = calloc(count, sizeof(*g->warnings))) == NULL)
		r->result = -ENOMEM;
	for (size_t i = 0; i < count && r->result == 0; i++) {
		const json_t *one = json_array_get(list, i);

		if (json_is_string(one))
			g->warnings[g->warning_count++] = printable(r, one);
		else
			r->result = -EPROTO;
	}
}

/* No card opens root's account, and an id that stands for "none" is nobody's: whoever grants that is no cardmapd. */
#define ID_MAX	((json_int_t)UINT32_MAX - 1)
static void
read_grant(struct reader *outer, struct cm_client_grant *g)
{
	struct reader r = { member(outer, "grant", is_object), outer->result };

	if (r.object == NULL && r.result == 0)
		r.result = -EPROTO;
	if (r.result == 0) {
		g->user = read_name(&r, "user");
		g->home = read_name(&r, "home");
		g->shell = read_name(&r, "shell");
		g->ccache = read_name(&r, "ccache");
		g->ccache_later = read_name(&r, "ccache_later");
		g->uid = (uid_t)read_number(&r, "uid", ID_MAX, 0);
		g->gid = (gid_t)read_number(&r, "gid", ID_MAX, 0);
		g->kept_age = read_flag(&r, "online") ? -1 : read_number(&r, "kept_age", INT64_MAX, 0);
		read_warnings(&r, g);
	}
	if (r.result == 0 && (g->user == NULL || g->uid == 0 || g->gid == 0))
		r.result = -EPROTO;
	outer->result = r.result;
}

static const struct {
	const char *name;
	enum cardmap_state state;
} states[] = {
	{ "card", CARDMAP_CARD }, { "reading", CARDMAP_READING }, { "choose", CARDMAP_CHOOSE }, { "pin", CARDMAP_PIN },
	{ "working", CARDMAP_WORKING }, { "granted", CARDMAP_GRANTED }, { "refused", CARDMAP_REFUSED },
};

static void
read_state(struct reader *r, enum cardmap_state *out)
{
	const char *name = json_string_value(member(r, "state", is_string));

	for (size_t i = 0; name != NULL && i < CM_COUNT(states); i++)
		if (strcmp(name, states[i].name) == 0) {
			*out = states[i].state;
			return;
		}
	r->result = -EPROTO;
}

static void
read_why(struct reader *r, struct cm_client_state *s)
{
	s->reason = read_name(r, "reason");
	s->text = read_text(r, "text");
	s->remedy = read_text(r, "remedy");
}

int
cm_client_state_read(json_t *parameters, struct cm_client_state *s, const char **handle)
{
	struct reader r = { parameters, 0 };

	*s = (struct cm_client_state){ .tries = -1, .grant = { .uid = (uid_t)-1, .gid = (gid_t)-1, .kept_age = -1 } };
	*handle = json_string_value(member(&r, "handle", is_string));
	if (*handle == NULL || **handle == '\0' || strlen(*handle) > CM_CLIENT_HANDLE_MAX)
		return -EPROTO;
	read_state(&r, &s->state);
	s->name = read_text(&r, "name");
	s->user = read_name(&r, "user");
	s->reader = read_text(&r, "reader");
	s->online = !json_is_false(member(&r, "online", is_boolean));	/* not said: nothing that was kept is used yet */
	s->tries = (int)read_number(&r, "tries", INT32_MAX, -1);
	s->last_try = read_flag(&r, "last_try");
	s->pad = read_flag(&r, "pad");
	s->may_use_password = read_flag(&r, "may_use_password");
	read_why(&r, s);
	read_choices(&r, s);
	if (s->state == CARDMAP_GRANTED)
		read_grant(&r, &s->grant);
	if (r.result == 0 && s->state == CARDMAP_CHOOSE && s->choice_count == 0)
		r.result = -EPROTO;
	return r.result;
}

int
cm_client_state_denied(json_t *parameters, struct cm_client_state *s)
{
	struct reader r = { parameters, 0 };

	*s = (struct cm_client_state){ .state = CARDMAP_REFUSED, .tries = -1,
	    .grant = { .uid = (uid_t)-1, .gid = (gid_t)-1, .kept_age = -1 } };
	read_why(&r, s);
	return r.result;
}

void
cm_client_state_clear(struct cm_client_state *s)
{
	for (size_t i = 0; i < s->choice_count; i++) {
		free(s->choices[i].id);
		free(s->choices[i].text);
	}
	for (size_t i = 0; i < s->grant.warning_count; i++)
		free(s->grant.warnings[i]);
	free(s->choices);
	free(s->grant.warnings);
	free(s->grant.user);
	free(s->grant.home);
	free(s->grant.shell);
	free(s->grant.ccache);
	free(s->grant.ccache_later);
	free(s->name);
	free(s->user);
	free(s->reader);
	free(s->reason);
	free(s->text);
	free(s->remedy);
	*s = (struct cm_client_state){ .tries = -1,
	    .grant = { .uid = (uid_t)-1, .gid = (gid_t)-1, .kept_age = -1 } };
}
