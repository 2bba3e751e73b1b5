/*
 * cli/revocation_status.c - what is known of each CA, and what a login without the network will decide.
 *
 * Asks nobody.  The answer is made as JSON, and what people read is made of that.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/revocation.h"
#include "service/outlook.h"

#define WHO_COLUMNS	40

struct status {
	struct cm_cli_revocation *r;
	struct cm_cli_issuers issuers;
	json_t *list;			/* of issuers, each with "sources", "lists", "answers" */
	json_t *accounts;
};

static const char *
text_of(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text != NULL ? text : "";
}

static json_t *
find_issuer(struct status *s, const uint8_t key[32], const char *name)
{
	struct cm_buf hex = { 0 };
	json_t *o = NULL, *one;
	size_t i;

	cm_buf_add_hex(&hex, (struct cm_blob){ key, 32 });
	json_array_foreach(s->list, i, one)
		if (strcmp(json_string_value(json_object_get(one, "key")), cm_buf_str(&hex)) == 0)
			o = one;
	if (o == NULL) {
		o = json_object();
		if (name == NULL)
			name = cm_cli_issuer_of(&s->issuers, key);
		cm_cli_set(o, "subject", name != NULL ? name : "(a CA that is not known here any more)");
		cm_cli_set(o, "key", cm_buf_str(&hex));
		json_object_set_new(o, "sources", json_array());
		json_object_set_new(o, "lists", json_array());
		json_array_append_new(s->list, o);
	}
	cm_buf_free(&hex);
	return o;
}

static const char *
state_of(const struct cm_source *s, time_t now)
{
	if (s->asked == 0)
		return "no answer yet";
	if (s->probe_at == 0)
		return "alive";
	return cm_source_is_silent(s, now) ? "silent" : "was silent";
}

static enum cm_err
add_source(void *arg, struct cm_blob issuer, const struct cm_source *src)
{
	struct status *s = arg;
	json_t *o = json_object();

	(void)issuer;
	cm_cli_set(o, "kind", cm_cli_source_kind(src->kind));
	cm_cli_set(o, "url", src->url);
	cm_cli_set(o, "state", state_of(src, s->r->known.now));
	cm_cli_set_time(o, "seen", src->seen);
	cm_cli_set_time(o, "asked", src->asked);
	cm_cli_set_time(o, "answered", src->answered);
	json_object_set_new(o, "failures", json_integer(src->failures));
	cm_cli_set(o, "why", src->failures > 0 ? src->why : "");
	cm_cli_set_time(o, "probe_at", src->probe_at);
	json_array_append_new(json_object_get(find_issuer(s, src->issuer_key, NULL), "sources"), o);
	return CM_OK;
}

/* Whoever reads the folder of lists has told of it (service/outlook.h). */
static bool
place_list(struct status *s, const json_t *list)
{
	const struct cm_blob key = cm_blob_str(text_of(list, "issuer_key"));
	uint8_t issuer[32];

	if (key.len != 2 * sizeof(issuer) || cm_hex_parse(key, issuer, sizeof(issuer)) != key.len)
		return false;
	return json_array_append_new(json_object_get(find_issuer(s, issuer, text_of(list, "issuer")), "lists"),
	    json_deep_copy(list)) == 0;
}

static enum cm_err
add_list(void *arg, const struct cm_kept_list *l)
{
	struct status *s = arg;
	json_t *o = NULL;
	enum cm_err err = cm_outlook_list(s->r->host, &s->r->known, l, &o);

	if (err == CM_OK && !place_list(s, o))
		err = CM_ERR_NOMEM;
	json_decref(o);
	return err;
}

static enum cm_err
add_lists(struct status *s)
{
	const json_t *told = s->r->told != NULL ? cm_cli_told_lists(s->r->told) : NULL, *o;
	size_t i;

	if (s->r->told == NULL)
		return cm_trust_each_kept_list(s->r->host->trust, add_list, s);
	json_array_foreach(told, i, o)
		if (!place_list(s, o))
			return cm_cli_told_nonsense(s->r->cli);
	return CM_OK;
}

/* ---- what responders said */

/* Of the answers kept about one CA's certificates. */
struct answers {
	size_t good, revoked;
	time_t last, first_end;	/* confirmed last; of the good ones the first that ends, 0: none names an end */
};

static void
count_answer(const struct cm_evidence *e, struct answers *a)
{
	const time_t said = e->confirmed != 0 ? e->confirmed : e->this_update;

	a->last = said > a->last ? said : a->last;
	if (e->status == CM_STATUS_REVOKED) {
		a->revoked++;
		return;
	}
	a->good++;
	if (e->next_update != 0 && (a->first_end == 0 || e->next_update < a->first_end))
		a->first_end = e->next_update;
}

static json_t *
answers_of(const struct status *s, const uint8_t key[32])
{
	const struct cm_known *k = &s->r->known;
	json_t *o = json_object();
	struct answers a = { 0 };

	for (size_t i = 0; i < k->count; i++)
		if (!k->evidence[i].by_list && memcmp(k->evidence[i].issuer_key, key, 32) == 0)
			count_answer(&k->evidence[i], &a);
	json_object_set_new(o, "good", json_integer((json_int_t)a.good));
	json_object_set_new(o, "revoked", json_integer((json_int_t)a.revoked));
	cm_cli_set_time(o, "confirmed", a.last);
	json_object_set_new(o, "age_s", a.last != 0 ? json_integer((json_int_t)(k->now - a.last)) : json_null());
	cm_cli_set_time(o, "next_update", a.first_end);
	return o;
}

static void
add_answers(struct status *s)
{
	const struct cm_known *k = &s->r->known;

	for (size_t i = 0; i < k->count; i++) {
		json_t *issuer;

		if (k->evidence[i].by_list)
			continue;
		issuer = find_issuer(s, k->evidence[i].issuer_key, NULL);
		if (json_object_get(issuer, "answers") == NULL)
			json_object_set_new(issuer, "answers", answers_of(s, k->evidence[i].issuer_key));
	}
}

/* The configured addresses that nobody has named yet stand at no CA. */
static void
add_configured(struct status *s)
{
	json_t *list = json_array();
	char *const *const lists[] = { s->r->cli->conf->trust.crl, s->r->cli->conf->trust.ocsp_url };

	for (size_t i = 0; i < CM_COUNT(lists); i++)
		for (char *const *p = lists[i]; *p != NULL; p++)
			json_array_append_new(list, json_string(*p));
	json_object_set_new(s->r->cli->answer, "configured", list);
}

/* By whom the lists belong to. */
static enum cm_err
foretell(const struct status *s, const struct cm_cert *cert, json_t **out)
{
	return s->r->told != NULL ? cm_cli_told_outlook(s->r->told, cert, out) :
	    cm_outlook_login(s->r->host, &s->r->known, cert, out);
}

static enum cm_err
add_account(void *arg, const struct cm_kept *k)
{
	struct status *s = arg;
	const struct cm_trust_policy policy = cm_host_policy_of(s->r->host, k->account->rule);
	const struct cm_conf_level level = { (unsigned)policy.level, (unsigned)policy.max_age };
	json_t *o = json_object(), *forecast = NULL;
	struct cm_cert *cert = NULL;
	struct cm_buf text = { 0 };
	enum cm_err err;

	cm_conf_level_text(&level, &text);
	cm_cli_set(o, "account", k->account->name);
	json_object_set_new(o, "uid", json_integer(k->account->uid));
	cm_cli_set(o, "rule", k->account->rule);
	cm_cli_set(o, "level", cm_buf_str(&text));
	json_object_set_new(o, "forecast", json_object());
	json_array_append_new(s->accounts, o);
	if ((err = cm_cert_decode(k->cert_der, s->r->cli->trace, &cert)) == CM_OK) {
		cm_cli_set(o, "certificate", cm_cert_subject_text(cert));
		if ((err = foretell(s, cert, &forecast)) == CM_OK)
			json_object_set(o, "forecast", forecast);
	}
	json_decref(forecast);
	cm_buf_free(&text);
	cm_cert_free(&cert);
	return err;
}

static enum cm_err
collect(struct status *s)
{
	struct cm_cli_revocation *r = s->r;
	enum cm_err err;

	if ((err = cm_cli_issuers_read(r, &s->issuers)) != CM_OK)
		return err;
	if ((err = cm_cli_each_source(r, add_source, s)) != CM_OK || (err = add_lists(s)) != CM_OK)
		return err;
	add_answers(s);
	add_configured(s);
	return cm_cli_each_account(r, add_account, s);
}

/* ---- for people */

static bool
is_set(const json_t *o, const char *key)
{
	return text_of(o, key)[0] != '\0';
}

static void
print_source(const struct cm_cli *c, const json_t *o)
{
	const char *state = text_of(o, "state"), *answered = is_set(o, "answered") ? text_of(o, "answered") : "never";
	const long long failures = json_integer_value(json_object_get(o, "failures"));
	struct cm_buf b = { 0 };

	if (strcmp(state, "no answer yet") == 0)
		cm_buf_add_str(&b, "no answer yet");
	else if (strcmp(state, "alive") == 0)
		cm_buf_addf(&b, "alive, answered %s", answered);
	else if (strcmp(state, "silent") == 0)
		cm_buf_addf(&b, "silent: %s, when asked %s; answered last: %s; failed %lld time%s in a row; a login probes it from %s on, "
		    "cardmap revocation refresh now", text_of(o, "why"), text_of(o, "asked"), answered, failures,
		    failures == 1 ? "" : "s", text_of(o, "probe_at"));
	else
		cm_buf_addf(&b, "was silent: %s, when asked %s; answered last: %s; the next login asks it again", text_of(o, "why"),
		    text_of(o, "asked"), answered);
	cm_cli_line(c, "  source", "%s %s: %s", text_of(o, "kind"), text_of(o, "url"), cm_buf_str(&b));
	cm_buf_free(&b);
}

/* Of what is damaged a list comes again, a folder or what is gone does not. */
static bool
is_list_file(const char *name)
{
	const char *end = strrchr(name, '.');

	return end != NULL && (strcmp(end, ".crl") == 0 || strcmp(end, ".delta") == 0 || strcmp(end, ".file") == 0);
}

static void
print_list(const struct cm_cli *c, const json_t *o)
{
	const json_int_t age = json_integer_value(json_object_get(o, "age_s"));
	const long long entries = json_integer_value(json_object_get(o, "entries"));
	char said[CM_TIME_SIZE], list[CM_CLI_SIZE_TEXT], index[CM_CLI_SIZE_TEXT];

	cm_cli_line(c, json_is_true(json_object_get(o, "delta")) ? "  delta" : "  list", "%s%s%s, from %s",
	    is_set(o, "number") ? "number " : "without a number", text_of(o, "number"),
	    json_is_true(json_object_get(o, "indirect")) ? ", indirect" : "", text_of(o, "source"));
	if (is_set(o, "damage")) {
		cm_cli_line(c, "", "  damaged: %s%s", text_of(o, "damage"), is_list_file(text_of(o, "source")) ?
		    "; cardmap revocation refresh fetches it again" : "");
		return;
	}
	cm_cli_line(c, "", "  of %s until %s", text_of(o, "this_update"), is_set(o, "next_update") ? text_of(o, "next_update") :
	    "(no end named)");
	cm_cli_line(c, "", "  last confirmed %s, %s%s", text_of(o, "confirmed"), age < 0 ? "ahead of this computer's clock" :
	    cm_clock_age(age, said), age < 0 ? "" : " ago");
	cm_cli_line(c, "", "  %lld %s, %s, index %s", entries, entries == 1 ? "entry" : "entries",
	    cm_cli_size((uint64_t)json_integer_value(json_object_get(o, "list_bytes")), list),
	    cm_cli_size((uint64_t)json_integer_value(json_object_get(o, "index_bytes")), index));
}

static void
print_answers(const struct cm_cli *c, const json_t *o)
{
	const json_int_t age = json_integer_value(json_object_get(o, "age_s"));
	char said[CM_TIME_SIZE];

	if (o == NULL)
		return;
	cm_cli_line(c, "  answers", "%lld good, %lld revoked", (long long)json_integer_value(json_object_get(o, "good")),
	    (long long)json_integer_value(json_object_get(o, "revoked")));
	cm_cli_line(c, "", "  last confirmed %s, %s%s", text_of(o, "confirmed"), age < 0 ? "ahead of this computer's clock" :
	    cm_clock_age(age, said), age < 0 ? "" : " ago");
	if (is_set(o, "next_update"))
		cm_cli_line(c, "", "  the first that is good ends %s", text_of(o, "next_update"));
}

/* Of a long name its beginning, whole characters of it (RFC 3629 section 3). */
static void
print_name(const char *name)
{
	size_t len = strlen(name), columns = 0;

	for (size_t i = 0; i < len; i++) {
		if (((uint8_t)name[i] & 0xC0) == 0x80)
			continue;
		if (columns == WHO_COLUMNS)
			len = i;
		else
			columns++;
	}
	printf("  %.*s%*s", (int)len, name, (int)(WHO_COLUMNS - columns), "");
}

/* The first that does not open says why. */
static void
print_row(const struct cm_cli *c, const char *who, const char *level, const json_t *forecast)
{
	const json_t *no = NULL;
	const char *when = "";

	print_name(who);
	printf("  %-9s", level);
	for (size_t i = 0; i < CM_OUTLOOK_TIMES; i++) {
		const json_t *o = json_object_get(forecast, cm_outlook_times[i].name);
		const bool opens = json_is_true(json_object_get(o, "opens"));
		const char *word = !opens ? "no" : json_is_true(json_object_get(o, "unknown")) ? "yes, unknown" : "yes";

		printf("  %s%-12s%s", !c->colour ? "" : opens ? "\033[32m" : "\033[31m", word, c->colour ? "\033[0m" : "");
		if (!opens && no == NULL) {
			no = o;
			when = cm_outlook_times[i].title;
		}
	}
	putchar('\n');
	if (no != NULL)
		cm_cli_line(c, "", "%s: %s: %s", when, text_of(no, "reason"), text_of(no, "text"));
}

static void
print_forecast(const struct status *s)
{
	const struct cm_conf_level *level = &s->r->cli->conf->trust.level;
	const json_t *one, *l;
	struct cm_buf text = { 0 };
	size_t i, k;

	cm_conf_level_text(level, &text);
	printf("\n%-*s  %-9s  %-12s  %-12s  %s\n", WHO_COLUMNS + 2, "lets in with no network?", "level", cm_outlook_times[0].title,
	    cm_outlook_times[1].title, cm_outlook_times[2].title);
	json_array_foreach(s->accounts, i, one)
		print_row(s->r->cli, text_of(one, "account"), text_of(one, "level"), json_object_get(one, "forecast"));
	json_array_foreach(s->list, i, one)
		json_array_foreach(json_object_get(one, "lists"), k, l)
			if (json_object_size(json_object_get(l, "forecast")) > 0)
				print_row(s->r->cli, text_of(one, "subject"), cm_buf_str(&text), json_object_get(l, "forecast"));
	cm_buf_free(&text);
}

static void
print(const struct status *s)
{
	const struct cm_cli *c = s->r->cli;
	const json_t *one, *o;
	size_t i, k;

	json_array_foreach(s->list, i, one) {
		cm_cli_line(c, "issuer", "%s", text_of(one, "subject"));
		json_array_foreach(json_object_get(one, "sources"), k, o)
			print_source(c, o);
		json_array_foreach(json_object_get(one, "lists"), k, o)
			print_list(c, o);
		print_answers(c, json_object_get(one, "answers"));
	}
	json_array_foreach(json_object_get(c->answer, "configured"), i, o)
		cm_cli_line(c, "configured", "%s", json_string_value(o));
	if (json_array_size(s->list) == 0)
		cm_cli_line(c, "issuer", "none was seen yet: log in once, or cardmap revocation import FILE");
	if (s->r->known.stale_clock)
		cm_cli_line(c, "clock", "cannot be relied on: nothing kept that is good counts at soft with an age, and at hard; "
		    "set it right");
	if (!cm_cli_may_see_accounts(s->r))
		cm_cli_line(c, "account", "which are kept root alone may know");
	else if (json_array_size(s->accounts) == 0)
		cm_cli_line(c, "account", "none is kept: with no network nobody logs in");
	if (json_array_size(s->list) + json_array_size(s->accounts) > 0)
		print_forecast(s);
}

enum cm_err
cm_cli_revocation_status(struct cm_cli_revocation *r)
{
	struct status s = { .r = r, .list = json_array(), .accounts = json_array() };
	enum cm_err err;

	cm_cli_set_time(r->cli->answer, "now", r->known.now);
	json_object_set_new(r->cli->answer, "clock_unsound", json_boolean(r->known.stale_clock));
	json_object_set_new(r->cli->answer, "issuers", s.list);
	json_object_set_new(r->cli->answer, "accounts", s.accounts);
	cm_trace_begin(r->cli->trace, "status");
	err = collect(&s);
	cm_trace_end(r->cli->trace, err);
	if (err == CM_OK && !r->cli->json)
		print(&s);
	cm_cli_issuers_free(&s.issuers);
	return err;
}
