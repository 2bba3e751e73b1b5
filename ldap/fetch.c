/* ldap/fetch.c - one attribute's value from a directory, by an LDAP URL. */
#include "ldap/fetch.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "ldap/ldap_server.h"
#include "ldap/ldap_url.h"

/* What a message may have beside the value, octets: names, and how LDAP packs them. */
#define MESSAGE_EXTRA	((size_t)64 << 10)
/* Entries looked at, at most, where the URL's scope is not the base alone. */
#define ENTRIES_MAX	16

struct fetching {
	struct cm_ldap_fetch *f;
	struct cm_ldap_url url;
	struct cm_trace *trace;
	struct cm_directory_stats stats;
	struct cm_server *server;	/* that is asked now */
	LDAPMessage *held;		/* the entry that has the value */
	struct cm_blob value;		/* borrowed from it */
	bool several;
	bool entry;			/* there is one, with a value or not */
};

static const char *
uri_of(const struct fetching *x)
{
	return x->server->options.uri;
}

/* From here on messages are short: libldap is not to hold two lists at once. */
static enum cm_err
read_no_more_values(struct fetching *x)
{
	ber_len_t max = MESSAGE_EXTRA;
	Sockbuf *sb = NULL;

	if (ldap_get_option(x->server->ld, LDAP_OPT_SOCKBUF, &sb) != LDAP_OPT_SUCCESS)
		return CM_ERR_SYSTEM;
	(void)ber_sockbuf_ctrl(sb, LBER_SB_OPT_SET_MAX_INCOMING, &max);
	return CM_OK;
}

/* Takes the message when it has a value. */
static enum cm_err
look_at(struct fetching *x, LDAPMessage **message)
{
	struct cm_blob dn, value;
	struct cm_buf values;
	enum cm_err err;
	size_t count = 0;

	x->entry = true;
	cm_buf_init(&values, 0);
	if (!cm_server_values(x->server, *message, &dn, &values)) {
		err = cm_server_lost(x->server, "reading an entry", x->trace);
		goto out;
	}
	if ((err = cm_buf_status(&values)) != CM_OK)
		goto out;
	value = cm_ldap_url_pick(&x->url, (const struct cm_value *)(const void *)values.ptr,
	    values.len / sizeof(struct cm_value), &count);
	x->several = count > 1 || (count > 0 && x->held != NULL);
	if (count == 1 && x->held == NULL) {
		x->held = *message;
		x->value = value;
		*message = NULL;
		err = read_no_more_values(x);
	}
out:
	cm_buf_free(&values);
	return err;
}

static enum cm_err
too_large(struct fetching *x)
{
	x->f->too_large = x->server->lost = true;
	return cm_trace_fail(x->trace, CM_REASON_DIRECTORY_REFUSED,
	    "%s: the answer has more than the %zu octets that are read", uri_of(x), x->f->max);
}

/* No message came.  liblber says so when one is announced that is longer than the limit. */
static enum cm_err
no_message(struct fetching *x, int error)
{
	const struct cm_link *l = &x->server->link;

	if (error != ERANGE || l->silent || l->ended || l->cancelled)
		return cm_server_lost(x->server, "searching", x->trace);
	if (x->held == NULL)
		return too_large(x);
	x->several = true;
	return CM_OK;
}

static enum cm_err
end_search(struct fetching *x, LDAPMessage *message)
{
	char *diagnostic = NULL;
	enum cm_err err;
	int code = 0;

	err = cm_server_result(x->server, message, x->trace, &code, &diagnostic);
	if (err == CM_OK) {
		x->f->answered = true;
		if (code == LDAP_SIZELIMIT_EXCEEDED)
			x->several = true;
		else if (code != LDAP_SUCCESS && code != LDAP_NO_SUCH_OBJECT)
			err = cm_server_refused(x->server, "searching", code, diagnostic, x->trace);
	}
	ldap_memfree(diagnostic);
	return err;
}

static enum cm_err
receive(struct fetching *x, int msgid)
{
	LDAPMessage *message = NULL;
	enum cm_err err = CM_OK;
	int type = 0;

	for (unsigned n = 0; err == CM_OK && !x->several && type != LDAP_RES_SEARCH_RESULT; n++) {
		errno = 0;
		type = cm_server_next(x->server, msgid, &message);
		if (type == LDAP_RES_SEARCH_RESULT)
			err = end_search(x, message);
		else if (type == LDAP_RES_SEARCH_ENTRY && n < ENTRIES_MAX)
			err = look_at(x, &message);
		else if (type != LDAP_RES_SEARCH_REFERENCE || n >= ENTRIES_MAX)	/* not followed */
			err = no_message(x, type < 0 ? errno : 0);
		ldap_msgfree(message);
		message = NULL;
	}
	return err;
}

/* The answer is here: is it one value?  RFC 4523 section 2: these attributes may have several. */
static enum cm_err
judge(struct fetching *x, struct cm_buf *why)
{
	const LDAPURLDesc *p = x->url.parts;

	x->f->answered = true;
	if (x->held != NULL && !x->several && x->value.len > x->f->max)
		return too_large(x);
	if (x->held != NULL && !x->several)
		return CM_OK;
	cm_buf_addf(why, "%s: ", uri_of(x));
	if (x->several)
		cm_buf_addf(why, "more than one value of %s", cm_buf_str(&x->url.attribute));
	else if (x->entry)
		cm_buf_addf(why, "no value of %s, or it is not shown,", cm_buf_str(&x->url.attribute));
	else
		cm_buf_add_str(why, "no entry, or it is not shown,");
	cm_buf_add_str(why, p->lud_scope == LDAP_SCOPE_BASE ? " in \"" : " below \"");
	cm_buf_add_printable(why, cm_blob_str(p->lud_dn));
	cm_buf_add_str(why, "\"");
	return x->several ? CM_ERR_AMBIGUOUS : CM_ERR_ABSENT;
}

static enum cm_err
hand_over(const struct fetching *x, struct cm_buf *why)
{
	if (x->f->take(x->f->arg, x->value))
		return CM_OK;
	cm_buf_addf(why, "%s: there is no room for the answer", uri_of(x));
	return CM_ERR_SYSTEM;
}

/* How it failed, for those who do not read texts. */
static void
note(struct fetching *x)
{
	const struct cm_server *s = x->server;

	x->f->bytes += s->link.received;
	x->f->silent = s->link.silent;
	x->f->cancelled = s->link.cancelled;
	x->f->unnamed = s->link.unnamed;
	x->f->distrusted = s->distrusted;
}

static enum cm_err
search_as(struct fetching *x, const char *attribute)
{
	const char *const attributes[] = { attribute, NULL };
	const struct cm_server_search q = {
		.base = x->url.parts->lud_dn, .scope = x->url.parts->lud_scope,
		.filter = cm_buf_str(&x->url.filter), .attributes = attributes, .limit = ENTRIES_MAX,
	};
	enum cm_err err;
	int msgid;

	if ((err = cm_server_search(x->server, &q, x->trace, &msgid)) != CM_OK)
		return err;
	return receive(x, msgid);
}

/*
 * RFC 4523 section 2 wants ";binary", and AD CS leaves it out: first as it is
 * written, then the other way.  Not both at once: a server might show the list twice.
 */
static enum cm_err
search(struct fetching *x)
{
	const char *plain = cm_buf_str(&x->url.attribute), *binary = cm_buf_str(&x->url.binary);
	enum cm_err err = search_as(x, x->url.says_binary ? binary : plain);

	if (err == CM_OK && x->entry && x->held == NULL && !x->several)
		err = search_as(x, x->url.says_binary ? plain : binary);
	return err;
}

/*
 * CM_OK, CM_ERR_ABSENT, CM_ERR_AMBIGUOUS, CM_ERR_SYSTEM (with why): it answered.
 * All else stands in the trace.
 */
static enum cm_err
ask(struct fetching *x, const struct cm_server_options *o, cm_deadline deadline,
    struct cm_buf *why)
{
	enum cm_err err;

	x->several = x->entry = false;
	if ((err = cm_server_new(o, x->trace, &x->server)) != CM_OK)
		return err;
	x->server->link.deadline = deadline;
	if ((err = search(x)) == CM_OK && (err = judge(x, why)) == CM_OK)
		err = hand_over(x, why);
	note(x);
	ldap_msgfree(x->held);
	x->held = NULL;
	cm_server_free(&x->server);
	return err;
}

static struct cm_server_options
options_for(struct fetching *x, const char *uri)
{
	return (struct cm_server_options){
		.uri = uri, .ca = x->f->how != NULL ? x->f->how->ca : NULL, .cancel = x->f->cancel,
		.message_max = x->f->max + MESSAGE_EXTRA, .stats = &x->stats,
	};
}

static bool
is_server(const char *uri)
{
	return strncasecmp(uri, "ldap:", 5) == 0 || strncasecmp(uri, "ldaps:", 6) == 0;
}

/* What is left is shared by those not yet asked, so that a silent one leaves time for the next. */
static cm_deadline
share(const struct fetching *x, const char *const *uris)
{
	unsigned left = 0;

	for (; *uris != NULL; uris++)
		left += is_server(*uris);
	return cm_deadline_in((unsigned)cm_deadline_left(x->f->deadline) / left);
}

/* The directory's servers, in order, as accounts are asked for: the first that answers decides. */
static enum cm_err
ask_directory(struct fetching *x, struct cm_buf *why)
{
	const struct cm_ldap_fetching *how = x->f->how;
	enum cm_err err = CM_ERR_CONFIG;

	for (const char *const *uri = how != NULL ? how->uris : NULL; uri != NULL && *uri != NULL; uri++) {
		struct cm_server_options o = options_for(x, *uri);

		if (!is_server(*uri))
			continue;
		if (why->len > 0)
			cm_buf_add_str(why, "; ");
		o.bind_dn = how->bind_dn;
		o.bind_password_file = how->bind_password_file;
		o.starttls = how->starttls;
		if ((err = ask(x, &o, share(x, uri), why)) != CM_ERR_OFFLINE || x->f->cancelled)
			return err;
		cm_buf_add_str(why, cm_trace_message(x->trace));
	}
	if (err == CM_ERR_CONFIG)
		(void)cm_trace_fail(x->trace, CM_REASON_CONFIG,
		    "it names no server, and directory.uri has none");
	return err;
}

/* A server of its own: nobody to be trusted with a password, and what it says is signed. */
static enum cm_err
ask_named(struct fetching *x, struct cm_buf *why)
{
	struct cm_server_options o = options_for(x, cm_buf_str(&x->url.server));

	o.clear = true;
	return ask(x, &o, x->f->deadline, why);
}

enum cm_err
cm_ldap_fetch(struct cm_ldap_fetch *f, struct cm_buf *why)
{
	struct fetching x = { .f = f };
	enum cm_err err;

	f->bytes = f->connections = 0;
	f->silent = f->cancelled = f->unnamed = f->distrusted = f->too_large = f->answered = false;
	if ((err = cm_ldap_url_parse(f->url, &x.url, why)) != CM_OK)
		return err;
	if ((err = cm_trace_new(&x.trace)) != CM_OK)
		goto out;
	err = x.url.server.len > 0 ? ask_named(&x, why) : ask_directory(&x, why);
	if (err == CM_OK)
		cm_buf_truncate(why, 0);
	else if (why->len == 0)
		cm_buf_add_str(why, cm_trace_message(x.trace));
	if (err == CM_ERR_CONFIG && cm_trace_reason(x.trace) == CM_REASON_DIRECTORY_REFUSED) {
		f->answered = true;	/* the bind was refused, or the search */
		err = CM_ERR_OFFLINE;
	}
	f->connections = x.stats.connections;
out:
	cm_trace_free(&x.trace);
	cm_ldap_url_clear(&x.url);
	return err;
}
