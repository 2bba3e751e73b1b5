/* ldap/ldap_backend.c - accounts from LDAP servers, through libldap. */
#include <string.h>

#include "ldap/directory_internal.h"
#include "ldap/ldap_server.h"

/* Largest message taken from a server, bytes. */
#define MESSAGE_MAX	((ber_len_t)4 << 20)

static enum cm_err
show(struct cm_server *s, const struct cm_search *search, LDAPMessage *message, struct cm_trace *t)
{
	struct cm_entry e;
	struct cm_buf values;
	enum cm_err err;

	cm_buf_init(&values, 0);
	if (!cm_server_values(s, message, &e.dn, &values)) {
		err = cm_server_lost(s, "reading an entry", t);
	} else if ((err = cm_buf_status(&values)) == CM_OK) {
		e.values = (const struct cm_value *)(const void *)values.ptr;
		e.count = values.len / sizeof(*e.values);
		err = search->visit(search->arg, &e);
	}
	cm_buf_free(&values);
	return err;
}

static enum cm_err
end_search(struct cm_server *s, struct cm_search *search, LDAPMessage *message, struct cm_trace *t)
{
	char *diagnostic = NULL;
	enum cm_err err;
	int code = 0;

	if ((err = cm_server_result(s, message, t, &code, &diagnostic)) != CM_OK ||
	    (search->page != NULL && code == LDAP_SUCCESS && (err = cm_server_page(s, message, t, search->page)) != CM_OK))
		goto out;
	if (code == LDAP_SIZELIMIT_EXCEEDED)
		search->more = true;
	else if (code == LDAP_NO_SUCH_OBJECT)
		err = cm_trace_fail(t, CM_REASON_DIRECTORY_REFUSED,
		    "%s: has no entry \"%s\", or does not show it: see directory.base and group_base",
		    s->options.uri, search->base);
	else if (code != LDAP_SUCCESS)
		err = cm_server_refused(s, "searching", code, diagnostic, t);
out:
	ldap_memfree(diagnostic);
	return err;
}

/* The messages of one search, one by one: a server that sends without end is left. */
static enum cm_err
receive(struct cm_server *s, struct cm_search *search, int msgid, struct cm_trace *t)
{
	LDAPMessage *message = NULL;
	enum cm_err err = CM_OK;
	size_t entries = 0;
	int type = 0;

	while (err == CM_OK && !search->more && type != LDAP_RES_SEARCH_RESULT) {
		type = cm_server_next(s, msgid, &message);
		if (type == LDAP_RES_SEARCH_RESULT)
			err = end_search(s, search, message, t);
		else if (type == LDAP_RES_SEARCH_REFERENCE)
			cm_trace_add(t, "referral", "%s: not followed", s->options.uri);
		else if (type != LDAP_RES_SEARCH_ENTRY)
			err = cm_server_lost(s, "searching", t);
		else if (++entries > search->limit)
			search->more = true;
		else
			err = show(s, search, message, t);
		ldap_msgfree(message);
		message = NULL;
	}
	s->lost = s->lost || type != LDAP_RES_SEARCH_RESULT;	/* more would come */
	return err;
}

static enum cm_err
ask(struct cm_server *s, struct cm_search *search, const char *filter, struct cm_trace *t)
{
	const struct cm_server_search q = {
		.base = search->base, .scope = search->base_only ? LDAP_SCOPE_BASE : LDAP_SCOPE_SUBTREE,
		.filter = filter, .attributes = search->attributes, .limit = search->page == NULL ? search->limit : 0, .page = search->page,
	};
	enum cm_err err;
	int msgid;

	if ((err = cm_server_search(s, &q, t, &msgid)) != CM_OK)
		return err;
	return receive(s, search, msgid, t);
}

static enum cm_err
ask_until(struct cm_server *s, struct cm_search *search, const char *filter, cm_deadline deadline,
    struct cm_trace *t)
{
	enum cm_err err;

	s->link.deadline = deadline;
	if ((err = ask(s, search, filter, t)) != CM_OK || s->lost)
		cm_server_disconnect(s);
	return err;
}

/*
 * A kept connection may have died unnoticed: it gets half of the time, and the
 * rest is for a new one.
 */
static enum cm_err
search_server(void *state, struct cm_search *search, cm_deadline deadline, struct cm_trace *t)
{
	struct cm_server *s = state;
	const bool kept = s->ld != NULL;
	struct cm_buf filter;
	enum cm_err err;

	cm_buf_init(&filter, 0);
	if ((err = cm_search_filter(search, &filter)) != CM_OK)
		goto out;
	cm_trace_add(t, search->within != NULL ? "groups filter" : "filter", "%s", cm_buf_str(&filter));
	err = ask_until(s, search, cm_buf_str(&filter),
	    kept ? cm_deadline_in((unsigned)cm_deadline_left(deadline) / 2) : deadline, t);
	/* a page belongs to its connection */
	if (kept && err == CM_ERR_OFFLINE && s->lost && (search->page == NULL || search->page->cookie.len == 0))
		err = ask_until(s, search, cm_buf_str(&filter), deadline, t);
	search->elsewhere = err == CM_ERR_OFFLINE;
out:
	cm_buf_free(&filter);
	return err;
}

static void
close_server(void **state)
{
	struct cm_server *s = *state;

	cm_server_free(&s);
	*state = NULL;
}

static enum cm_err
open_server(const struct cm_directory_options *o, const char *uri,
    struct cm_directory_stats *stats, struct cm_trace *t, void **state)
{
	const struct cm_server_options of_server = {
		.uri = uri, .bind_dn = o->bind_dn, .bind_password_file = o->bind_password_file,
		.ca = o->ca, .starttls = o->starttls, .message_max = MESSAGE_MAX, .cancel = -1, .stats = stats,
	};
	struct cm_server *s = NULL;
	const enum cm_err err = cm_server_new(&of_server, t, &s);

	*state = s;
	return err;
}

const struct cm_backend cm_backend_ldap = {
	.scheme = "ldap:", .needs_base = true,
	.open = open_server, .search = search_server, .close = close_server,
};
const struct cm_backend cm_backend_ldaps = {
	.scheme = "ldaps:", .needs_base = true,
	.open = open_server, .search = search_server, .close = close_server,
};
