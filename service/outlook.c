/* service/outlook.c - what is kept about revocation, and what logins without a network will make of it: as JSON. */
#include "service/outlook.h"

#include <string.h>

#include "service/answer.h"
#include "service/forecast.h"

#define DAY	86400
#define HALVES	20		/* of CM_OUTLOOK_FAR */

const struct cm_outlook_time cm_outlook_times[CM_OUTLOOK_TIMES] = {
	{ "now", "now", 0 },
	{ "tomorrow", "tomorrow", DAY },
	{ "in_a_week", "in a week", 7 * DAY },
};

static void
set_time(json_t *o, const char *key, time_t t)
{
	char text[CM_TIME_SIZE];

	json_object_set_new(o, key, t != 0 ? json_string(cm_clock_text(t, text)) : json_null());
}

/* What it stands on, certificate by certificate. */
static void
add_statuses(const struct cm_trace *t, struct cm_buf *out)
{
	for (size_t i = 0; i < cm_trace_count(t); i++) {
		const struct cm_trace_stage *s = cm_trace_stage(t, i);

		for (size_t k = 0; k < s->count; k++)
			if (strcmp(s->items[k].key, "status") == 0)
				cm_buf_addf(out, "%s%s", out->len > 0 ? "; " : "", s->items[k].text);
	}
}

static json_t *
tell(enum cm_err err, struct cm_trace *t)
{
	const struct cm_trace_stage *s = cm_trace_failed(t);
	json_t *o = json_object();
	struct cm_buf text = { 0 };

	if (err != CM_OK)
		cm_buf_add_str(&text, cm_trace_why(t, s));
	else
		add_statuses(t, &text);
	json_object_set_new(o, "opens", json_boolean(err == CM_OK));
	/* Nobody will have said "good": a level that lets in all the same. */
	json_object_set_new(o, "unknown", json_boolean(err == CM_OK && strstr(cm_buf_str(&text), "unknown: ") != NULL));
	if (err != CM_OK)
		cm_answer_set_text(o, "reason", cm_reason_name(s != NULL ? s->reason : cm_trace_reason(t)));
	cm_answer_set_text(o, "text", cm_buf_str(&text));
	cm_buf_free(&text);
	return o;
}

/* What is looked ahead for: a list, or a certificate. */
struct subject {
	const struct cm_host *host;
	const struct cm_known *known;
	const struct cm_kept_list *list;
	const struct cm_cert *cert;
};

static enum cm_err
judge_list(const struct subject *s, time_t at, struct cm_trace *t)
{
	const struct cm_trust_policy policy = cm_host_policy_of(s->host, NULL);
	struct cm_known known = *s->known;
	enum cm_err err;

	known.now = at;
	cm_trace_begin(t, "revocation");
	err = cm_trust_judge_list(s->host->trust, s->list, &policy, &known, t);
	cm_trace_end(t, err);
	return err;
}

static enum cm_err
judge_login(const struct subject *s, time_t at, struct cm_trace *t)
{
	return cm_forecast_login(s->host, s->known, s->cert, at, t);
}

static enum cm_err
look_ahead(const struct subject *s, enum cm_err (*judge)(const struct subject *, time_t, struct cm_trace *), json_t *out)
{
	enum cm_err err;

	for (size_t i = 0; i < CM_OUTLOOK_TIMES; i++) {
		struct cm_trace *t = NULL;

		if ((err = cm_trace_new(&t)) != CM_OK)
			return err;
		if ((err = judge(s, s->known->now + cm_outlook_times[i].seconds, t)) != CM_ERR_NOMEM)
			json_object_set_new(out, cm_outlook_times[i].name, tell(err, t));
		cm_trace_free(&t);
		if (err == CM_ERR_NOMEM)
			return err;
	}
	return CM_OK;
}

static json_t *
describe(const struct cm_known *known, const struct cm_kept_list *l)
{
	json_t *o = json_object();
	struct cm_buf key = { 0 };

	cm_buf_add_hex(&key, (struct cm_blob){ l->issuer_key, sizeof(l->issuer_key) });
	cm_answer_set_text(o, "issuer", l->issuer);
	cm_answer_set_text(o, "issuer_key", cm_buf_str(&key));
	cm_answer_set_text(o, "source", l->source);
	cm_answer_set_text(o, "number", l->number);
	json_object_set_new(o, "delta", json_boolean(l->delta));
	json_object_set_new(o, "indirect", json_boolean(l->indirect));
	set_time(o, "this_update", l->this_update);
	set_time(o, "next_update", l->next_update);
	set_time(o, "learned", l->learned);
	set_time(o, "confirmed", l->confirmed);
	json_object_set_new(o, "age_s", json_integer((json_int_t)(known->now - l->confirmed)));
	json_object_set_new(o, "entries", json_integer((json_int_t)l->entries));
	json_object_set_new(o, "list_bytes", json_integer((json_int_t)l->list_size));
	json_object_set_new(o, "index_bytes", json_integer((json_int_t)l->index_size));
	json_object_set_new(o, "damage", l->damage != NULL ? json_string(l->damage) : json_null());
	cm_buf_free(&key);
	return o;
}

enum cm_err
cm_outlook_list(const struct cm_host *h, const struct cm_known *known, const struct cm_kept_list *l, json_t **out)
{
	const struct subject s = { .host = h, .known = known, .list = l };
	json_t *forecast = json_object();

	*out = describe(known, l);
	json_object_set_new(*out, "forecast", forecast);
	return l->delta || l->damage != NULL ? CM_OK : look_ahead(&s, judge_list, forecast);
}

enum cm_err
cm_outlook_login(const struct cm_host *h, const struct cm_known *known, const struct cm_cert *c, json_t **out)
{
	const struct subject s = { .host = h, .known = known, .cert = c };

	*out = json_object();
	return look_ahead(&s, judge_login, *out);
}

static bool
opens(const struct cm_host *h, const struct cm_known *known, const struct cm_cert *c, time_t at)
{
	struct cm_trace *t = NULL;
	bool yes;

	if (cm_trace_new(&t) != CM_OK)
		return false;
	yes = cm_forecast_login(h, known, c, at, t) == CM_OK;
	cm_trace_free(&t);
	return yes;
}

time_t
cm_outlook_until(const struct cm_host *h, const struct cm_known *known, const struct cm_cert *c, time_t from)
{
	time_t good = from, bad = from + CM_OUTLOOK_FAR;

	if (opens(h, known, c, bad))
		return 0;
	for (unsigned i = 0; i < HALVES; i++) {
		const time_t middle = good + (bad - good) / 2;

		if (opens(h, known, c, middle))
			good = middle;
		else
			bad = middle;
	}
	return good;
}
