/* cli/trust.c - whose cards are believed: CAs and lists on this computer, shown, added, removed. */
#include <limits.h>

#include "base/file.h"
#include "cli/cli.h"

#define FILE_MAX	((size_t)4 << 20)

/* One call; what is told goes into list. */
struct telling {
	struct cm_cli *cli;
	const char *verb;	/* "added", "removed"; NULL: shown */
	json_t *list;
	const struct cm_host *host;
	unsigned pinned;	/* pins that a shown CA has */
};

static const char *
role(const struct cm_trust_ca *ca)
{
	return ca->anchor ? "anchor" : "intermediate";
}

static const char *
validity(const struct cm_trust_ca *ca)
{
	const time_t now = cm_clock_now();

	if (ca->not_after < now)
		return "expired";
	return ca->not_before > now ? "not yet valid" : "valid";
}

static bool
is_pinned(const struct cm_host *host, const char *sha256)
{
	uint8_t digest[32];

	for (size_t i = 0; host != NULL && i < host->pin_count; i++)
		if (cm_hex_parse(cm_blob_str(sha256), digest, 32) == 64 && memcmp(digest, host->pins[i], 32) == 0)
			return true;
	return false;
}

static json_t *
ca_json(const struct telling *t, const struct cm_trust_ca *ca)
{
	json_t *o = json_object();

	cm_cli_set(o, "role", role(ca));
	cm_cli_set(o, "subject", ca->subject);
	cm_cli_set(o, "sha256", ca->sha256);
	cm_cli_set(o, "file", ca->file);
	if (ca->issuer == NULL)		/* removed: no more is known of it */
		return o;
	cm_cli_set(o, "issuer", ca->issuer);
	json_object_set_new(o, "self_signed", json_boolean(ca->self_signed));
	cm_cli_set_time(o, "not_before", ca->not_before);
	cm_cli_set_time(o, "not_after", ca->not_after);
	cm_cli_set(o, "validity", validity(ca));
	json_object_set_new(o, "pinned", json_boolean(is_pinned(t->host, ca->sha256)));
	if (t->verb != NULL)
		json_object_set_new(o, "was_there", json_boolean(ca->was_there));
	return o;
}

static enum cm_err
tell_ca(void *arg, const struct cm_trust_ca *ca)
{
	struct telling *t = arg;
	char from[CM_TIME_SIZE], to[CM_TIME_SIZE];

	json_array_append_new(t->list, ca_json(t, ca));
	cm_cli_line(t->cli, t->verb != NULL && ca->was_there ? "is there" : t->verb != NULL ? t->verb : role(ca),
	    "%s", ca->subject);
	cm_cli_line(t->cli, "  SHA-256", "%s", ca->sha256);
	if (ca->issuer != NULL)
		cm_cli_line(t->cli, "  valid", "%s to %s%s%s", cm_clock_text(ca->not_before, from),
		    cm_clock_text(ca->not_after, to), strcmp(validity(ca), "valid") != 0 ? ": " : "",
		    strcmp(validity(ca), "valid") != 0 ? validity(ca) : "");
	if (t->verb == NULL && is_pinned(t->host, ca->sha256))
		cm_cli_line(t->cli, "  pinned", "cards may come from it");
	cm_cli_line(t->cli, t->verb != NULL ? "  as" : "  from", "%s%s%s", t->verb != NULL ? role(ca) : "",
	    t->verb != NULL ? ", " : "", ca->file);
	return CM_OK;
}

static enum cm_err
tell_list(void *arg, const struct cm_trust_list *l)
{
	struct telling *t = arg;
	json_t *o = json_object();
	char from[CM_TIME_SIZE], to[CM_TIME_SIZE];

	cm_cli_set(o, "file", l->file);
	if (l->issuer != NULL) {
		cm_cli_set(o, "issuer", l->issuer);
		cm_cli_set_time(o, "this_update", l->this_update);
		cm_cli_set_time(o, "next_update", l->next_update);
		json_object_set_new(o, "entries", json_integer((json_int_t)l->entries));
		cm_cli_line(t->cli, "list", "%s", l->issuer);
		cm_cli_line(t->cli, "  valid", "%s until %s, %zu revoked", cm_clock_text(l->this_update, from),
		    cm_cli_end(l->next_update, to), l->entries);
		cm_cli_line(t->cli, "  from", "%s", l->file);
	} else {
		cm_cli_line(t->cli, "list", "%s%s", l->file, strstr(l->file, "://") != NULL ? "" :
		    ": cannot be read, or is no revocation list");
	}
	json_array_append_new(t->list, o);
	return CM_OK;
}

/* Pins whose CA is not here: a fingerprint is all that is known of it. */
static void
tell_pins(const struct telling *t, const json_t *cas)
{
	json_t *pins = json_array(), *ca;
	struct cm_buf hex = { 0 };
	size_t k;

	for (size_t i = 0; i < t->host->pin_count; i++) {
		json_t *o = json_object();
		const char *subject = NULL;

		cm_buf_truncate(&hex, 0);
		cm_buf_add_hex(&hex, (struct cm_blob){ t->host->pins[i], 32 });
		json_array_foreach(cas, k, ca)
			if (strcmp(json_string_value(json_object_get(ca, "sha256")), cm_buf_str(&hex)) == 0)
				subject = json_string_value(json_object_get(ca, "subject"));
		cm_cli_line(t->cli, "pin", "%s", cm_buf_str(&hex));
		cm_cli_line(t->cli, "  of", "%s", subject != NULL ? subject : "a CA that is not here");
		cm_cli_set(o, "sha256", cm_buf_str(&hex));
		if (subject != NULL)
			cm_cli_set(o, "subject", subject);
		json_array_append_new(pins, o);
	}
	cm_buf_free(&hex);
	json_object_set_new(t->cli->answer, "pins", pins);
}

static enum cm_err
list(struct cm_cli *c, const struct cm_trust_options *o)
{
	struct telling t = { .cli = c, .list = json_array() };
	struct cm_host *host = NULL;
	json_t *cas = t.list;
	enum cm_err err;

	json_object_set_new(c->answer, "cas", t.list);
	/* The rules' files may bring pins. */
	if ((err = cm_host_open(c->conf, CM_NEED_RULES | CM_NEED_TRUST, c->trace, &host)) != CM_OK)
		return err;
	t.host = host;
	if ((err = cm_trust_each(o, c->trace, tell_ca, &t)) != CM_OK)
		goto out;
	if (json_array_size(cas) == 0)
		cm_cli_line(c, "anchor", "none: no card is trusted; cardmap trust add FILE");
	tell_pins(&t, cas);
	t.list = json_array();
	json_object_set_new(c->answer, "lists", t.list);
	err = cm_trust_each_list(o, c->trace, tell_list, &t);
out:
	cm_host_close(&host);
	return err;
}

static enum cm_err
add_file(struct cm_cli *c, const struct cm_trust_options *o, const char *path, struct telling *t)
{
	struct cm_trust_adding a = { .name = path, .intermediate = c->intermediate, .visit = tell_ca, .arg = t };
	struct cm_buf bytes;
	enum cm_err err;

	/* Secret: a key may stand beside the certificate. */
	cm_buf_init_secret(&bytes, FILE_MAX);
	err = cm_file_read(path, FILE_MAX, CM_FILE_ANY, c->trace, &bytes);
	if (err == CM_ERR_ABSENT)
		err = cm_trace_fail(c->trace, CM_REASON_CONFIG, "%s: there is no such file", path);
	a.bytes = cm_buf_blob(&bytes);
	if (err == CM_OK)
		err = cm_trust_add(o, &a, c->trace);
	cm_buf_free(&bytes);
	return err;
}

static enum cm_err
add(struct cm_cli *c, const struct cm_trust_options *o)
{
	struct telling t = { .cli = c, .verb = "added", .list = json_array() };
	enum cm_err err = CM_OK;

	json_object_set_new(c->answer, "cas", t.list);
	for (int i = 1; err == CM_OK && i < c->arg_count; i++)
		err = add_file(c, o, c->args[i], &t);
	cm_cli_warnings(c);
	return err;
}

static enum cm_err
take_away(struct cm_cli *c, const struct cm_trust_options *o)
{
	struct telling t = { .cli = c, .verb = "removed", .list = json_array() };

	json_object_set_new(c->answer, "cas", t.list);
	return cm_trust_remove(o, c->args[1], c->trace, tell_ca, &t);
}

struct cm_trust_options
cm_cli_trust_options(const struct cm_cli *c)
{
	return (struct cm_trust_options){
		.anchors = (const char *const *)c->conf->trust.anchors,
		.intermediates = (const char *const *)c->conf->trust.intermediates,
		.crls = (const char *const *)c->conf->trust.crl,
		.anchors_if_there = cm_conf_is_default(c->conf, "trust.anchors"),
		.intermediates_if_there = cm_conf_is_default(c->conf, "trust.intermediates"),
		.crl_max = c->conf->trust.crl_max,
	};
}

static const struct action {
	const char *name;
	int min_args, max_args;
	enum cm_err (*run)(struct cm_cli *c, const struct cm_trust_options *o);
} actions[] = {
	{ "list", 1, 1, list },
	{ "add", 2, INT_MAX, add },
	{ "remove", 2, 2, take_away },
};

int
cm_cli_trust(struct cm_cli *c)
{
	const struct cm_trust_options o = cm_cli_trust_options(c);
	enum cm_err err;

	for (size_t i = 0; i < CM_COUNT(actions); i++) {
		if (strcmp(c->args[0], actions[i].name) != 0 || c->arg_count < actions[i].min_args ||
		    c->arg_count > actions[i].max_args)
			continue;
		cm_trace_begin(c->trace, "trust");
		err = actions[i].run(c, &o);
		cm_trace_end(c->trace, err);
		return cm_cli_finish(c, err);
	}
	return cm_cli_finish(c, cm_trace_fail(c->trace, CM_REASON_USAGE,
	    "usage: cardmap trust list | add FILE... [--intermediate] | remove SHA256"));
}
