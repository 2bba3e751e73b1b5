/* ldap/ldap_server.c - one LDAP server: reached, trusted and bound as said, through libldap. */
#include "ldap/ldap_server.h"

#include <openldap.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/net.h"
#include "base/secret.h"
#include "ldap/directory_internal.h"

/* How long taking leave of a server may take. */
#define LEAVE_MS	100
/* After so long without a question a computer may have gone elsewhere, or have been unplugged. */
#define RESTED_US	100000

static bool
uses_tls(const struct cm_server *s)
{
	return s->ldaps || s->options.starttls;
}

void
cm_server_disconnect(struct cm_server *s)
{
	if (s->ld == NULL)
		return;
	/* no farewell where nobody listens, or where it would go in the clear */
	s->link.deadline = s->lost || s->distrusted ? 0 : cm_deadline_in(LEAVE_MS);
	(void)ldap_unbind_ext(s->ld, NULL, NULL);
	s->ld = NULL;
}

enum cm_err
cm_server_lost(struct cm_server *s, const char *doing, struct cm_trace *t)
{
	s->lost = true;
	return cm_trace_fail(t, CM_REASON_DIRECTORY_OFFLINE, "%s: %s: %s", s->options.uri, doing,
	    s->link.cancelled ? "given up" : s->link.silent ? "no answer in time" :
	    s->link.ended ? "the server closed the connection" : "no usable answer");
}

/* What libldap or the TLS library says about the last failure. */
static enum cm_err
distrusted(struct cm_server *s, const char *what, struct cm_trace *t)
{
	char *text = NULL;
	enum cm_err err;

	s->distrusted = true;
	(void)ldap_get_option(s->ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &text);
	/* With GnuTLS, Debian's choice, that often is no more than "(unknown error code)". */
	if (text != NULL && text[0] != '\0' && text[0] != '(')
		err = cm_trace_fail(t, CM_REASON_DIRECTORY_TLS, "%s: %s: %s", s->options.uri, what, text);
	else
		err = cm_trace_fail(t, CM_REASON_DIRECTORY_TLS, "%s: %s", s->options.uri, what);
	ldap_memfree(text);
	return err;
}

enum cm_err
cm_server_refused(struct cm_server *s, const char *doing, int code, const char *diagnostic,
    struct cm_trace *t)
{
	static const int not_now[] = {
		LDAP_BUSY, LDAP_UNAVAILABLE, LDAP_TIMELIMIT_EXCEEDED, LDAP_OTHER,
	};
	enum cm_reason reason = CM_REASON_DIRECTORY_REFUSED;

	for (size_t i = 0; i < CM_COUNT(not_now); i++)
		if (code == not_now[i])
			reason = CM_REASON_DIRECTORY_OFFLINE;
	return cm_trace_fail(t, reason, "%s: %s: %s%s%s", s->options.uri, doing, ldap_err2string(code),
	    diagnostic != NULL && diagnostic[0] != '\0' ? ": " : "",
	    diagnostic != NULL ? diagnostic : "");
}

int
cm_server_next(struct cm_server *s, int msgid, LDAPMessage **out)
{
	struct timeval none = { 0, 0 };
	int type;

	while ((type = ldap_result(s->ld, msgid, LDAP_MSG_ONE, &none, out)) == 0)
		if (!cm_link_wait(&s->link))
			return -1;
	return type;
}

/* Wait for the one message that answers a request; frees it. */
static enum cm_err
await_result(struct cm_server *s, int msgid, int wanted, const char *doing, struct cm_trace *t)
{
	LDAPMessage *message = NULL;
	char *diagnostic = NULL;
	enum cm_err err;
	int code = 0;

	if (cm_server_next(s, msgid, &message) != wanted || ldap_parse_result(s->ld, message, &code,
	    NULL, &diagnostic, NULL, NULL, 0) != LDAP_SUCCESS)
		err = cm_server_lost(s, doing, t);
	else
		err = code == LDAP_SUCCESS ? CM_OK : cm_server_refused(s, doing, code, diagnostic, t);
	ldap_memfree(diagnostic);
	ldap_msgfree(message);
	return err;
}

/*
 * Every option that ldap.conf, ldaprc or an LDAP... variable could have set and
 * that decides whom to trust or where to go is set here, on the handle: what
 * this host's other programs trust is not for logins (ldap.conf(5)).
 */
static bool
set_options(LDAP *ld)
{
	static const struct { int option, value; } numbers[] = {
		{ LDAP_OPT_PROTOCOL_VERSION, LDAP_VERSION3 },
		{ LDAP_OPT_DEREF, LDAP_DEREF_NEVER },
		{ LDAP_OPT_X_TLS_REQUIRE_CERT, LDAP_OPT_X_TLS_DEMAND },
		{ LDAP_OPT_X_TLS_REQUIRE_SAN, LDAP_OPT_X_TLS_HARD },	/* RFC 9525 section 2 */
		{ LDAP_OPT_X_TLS_PROTOCOL_MIN, LDAP_OPT_X_TLS_PROTOCOL_TLS1_2 },	/* RFC 8996 */
	};
	static const struct { int option; bool on; } switches[] = {
		{ LDAP_OPT_REFERRALS, false },
		{ LDAP_OPT_RESTART, true },
		/* a dead connection stays dead: libldap would make a new one, in the clear */
		{ LDAP_OPT_KEEPCONN, true },
		{ LDAP_OPT_CONNECT_ASYNC, false },
	};
	static const int emptied[] = {
		LDAP_OPT_X_TLS_CACERTDIR, LDAP_OPT_X_TLS_CERTFILE, LDAP_OPT_X_TLS_KEYFILE,
		LDAP_OPT_X_TLS_CRLFILE, LDAP_OPT_X_TLS_CIPHER_SUITE,
	};
	const struct timeval never = { -1, 0 };

	for (size_t i = 0; i < CM_COUNT(numbers); i++)
		if (ldap_set_option(ld, numbers[i].option, &numbers[i].value) != LDAP_OPT_SUCCESS)
			return false;
	for (size_t i = 0; i < CM_COUNT(switches); i++)
		if (ldap_set_option(ld, switches[i].option,
		    switches[i].on ? LDAP_OPT_ON : LDAP_OPT_OFF) != LDAP_OPT_SUCCESS)
			return false;
	for (size_t i = 0; i < CM_COUNT(emptied); i++)
		if (ldap_set_option(ld, emptied[i], "") != LDAP_OPT_SUCCESS)
			return false;
	return ldap_set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &never) == LDAP_OPT_SUCCESS;
}

static bool
set_ca(LDAP *ld, const char *ca)
{
	const int client = 0;

	return ldap_set_option(ld, LDAP_OPT_X_TLS_CACERTFILE, ca) == LDAP_OPT_SUCCESS &&
	    ldap_set_option(ld, LDAP_OPT_X_TLS_NEWCTX, &client) == LDAP_OPT_SUCCESS;
}

/*
 * RFC 8996: nothing older than TLS 1.2.  With GnuTLS, Debian's choice, libldap
 * ignores LDAP_OPT_X_TLS_PROTOCOL_MIN, and leaks memory for each connection
 * that has a cipher suite set: so it is looked at afterwards.
 */
static bool
is_modern(LDAP *ld)
{
	static const char *const versions[] = { "TLS1.2", "TLS1.3", "TLSv1.2", "TLSv1.3" };
	char *version = NULL;
	bool modern = false;

	if (ldap_get_option(ld, LDAP_OPT_X_TLS_VERSION, &version) != LDAP_OPT_SUCCESS)
		return false;
	for (size_t i = 0; version != NULL && i < CM_COUNT(versions); i++)
		modern = modern || strcmp(version, versions[i]) == 0;
	ldap_memfree(version);
	return modern;
}

/* RFC 4511 section 4.14 */
static enum cm_err
start_tls(struct cm_server *s, struct cm_trace *t)
{
	enum cm_err err;
	int msgid;

	if (ldap_start_tls(s->ld, NULL, NULL, &msgid) != LDAP_SUCCESS)
		return cm_server_lost(s, "asking for StartTLS", t);
	err = await_result(s, msgid, LDAP_RES_EXTENDED, "asking for StartTLS", t);
	if (err == CM_ERR_CONFIG)	/* section 4.14.2: no TLS; and nothing is asked in the clear */
		return distrusted(s, "the server does not offer StartTLS", t);
	return err;
}

static enum cm_err
secure(struct cm_server *s, struct cm_trace *t)
{
	char now[CM_TIME_SIZE];
	enum cm_err err;

	if (!set_ca(s->ld, s->options.ca))
		return distrusted(s, "directory.ca cannot be used", t);
	if (!s->ldaps && (err = start_tls(s, t)) != CM_OK)
		return err;
	if (ldap_install_tls(s->ld) == LDAP_SUCCESS)
		return is_modern(s->ld) ? CM_OK :
		    distrusted(s, "the server does not speak TLS 1.2 or later", t);
	if (s->link.silent || s->link.ended || s->link.cancelled)
		return cm_server_lost(s, "the TLS handshake", t);
	cm_trace_add(t, "this computer's clock", "%s", cm_clock_text(cm_clock_now(), now));
	return distrusted(s, "the server's certificate is not accepted: its CA, name or validity", t);
}

/* The first line of the password file. */
static enum cm_err
read_password(const char *path, struct cm_trace *t, struct cm_secret **out)
{
	struct cm_blob line;
	const uint8_t *nl;
	struct cm_buf b;
	enum cm_err err;

	cm_buf_init_secret(&b, CM_SECRET_MAX);
	if ((err = cm_file_read(path, CM_SECRET_MAX, CM_FILE_SECRET, t, &b)) == CM_ERR_ABSENT)
		err = cm_trace_fail(t, CM_REASON_CONFIG, "%s: there is no such file "
		    "(the directory's password)", path);
	if (err != CM_OK)
		goto out;
	line = cm_buf_blob(&b);
	if (line.len > 0 && (nl = memchr(line.ptr, '\n', line.len)) != NULL)
		line.len = (size_t)(nl - line.ptr);
	if (line.len == 0)	/* RFC 4513 section 5.1.2: a name without a password binds nobody */
		err = cm_trace_fail(t, CM_REASON_CONFIG, "%s: holds no password", path);
	else
		err = cm_secret_new(line, out);
out:
	cm_buf_free(&b);
	return err;
}

static enum cm_err
bind_simple(struct cm_server *s, struct cm_trace *t)
{
	struct cm_secret *password = NULL;
	struct berval credentials;
	enum cm_err err;
	int msgid;

	if (s->options.bind_dn == NULL)	/* RFC 4513 section 4: no bind is anonymous */
		return CM_OK;
	if ((err = read_password(s->options.bind_password_file, t, &password)) != CM_OK)
		return err;
	credentials.bv_val = (char *)(uintptr_t)cm_secret_bytes(password).ptr;
	credentials.bv_len = cm_secret_bytes(password).len;
	s->options.stats->binds++;
	if (ldap_sasl_bind(s->ld, s->options.bind_dn, LDAP_SASL_SIMPLE, &credentials, NULL, NULL,
	    &msgid) != LDAP_SUCCESS)
		err = cm_server_lost(s, "binding", t);
	else
		err = await_result(s, msgid, LDAP_RES_BIND, "binding", t);
	cm_secret_free(&password);
	return err;
}

/* Give the connected socket to libldap. */
static enum cm_err
attach(struct cm_server *s)
{
	ber_len_t max = s->options.message_max;
	Sockbuf *sb = NULL;

	if (ldap_init_fd(s->link.fd, LDAP_PROTO_EXT, s->options.uri, &s->ld) != LDAP_SUCCESS ||
	    ldap_get_option(s->ld, LDAP_OPT_SOCKBUF, &sb) != LDAP_OPT_SUCCESS ||
	    cm_link_attach(&s->link, sb) != CM_OK) {
		cm_link_close(&s->link);
		s->ld = NULL;	/* out of memory; without a transport it cannot be freed */
		return CM_ERR_NOMEM;
	}
	(void)ber_sockbuf_ctrl(sb, LBER_SB_OPT_SET_MAX_INCOMING, &max);
	return set_options(s->ld) ? CM_OK : CM_ERR_SYSTEM;
}

/* A connection that leads nowhere any more would be waited for until the deadline: a new one fails at once. */
static void
leave_if_it_leads_nowhere(struct cm_server *s)
{
	const int64_t now = cm_clock_us();
	const bool rested = now - s->asked_us > RESTED_US;

	s->asked_us = now;
	if (s->ld == NULL || !rested || cm_link_leads_there(&s->link))
		return;
	s->lost = true;
	cm_server_disconnect(s);
}

/* Connect, secure and bind, unless that is done. */
static enum cm_err
ensure_connected(struct cm_server *s, struct cm_trace *t)
{
	enum cm_err err;

	leave_if_it_leads_nowhere(s);
	s->lost = s->distrusted = false;
	if (s->ld != NULL)
		return CM_OK;
	if ((err = cm_link_connect(&s->target, s->options.uri, t, &s->link)) != CM_OK)
		return err;
	s->options.stats->connections++;
	if ((err = attach(s)) != CM_OK || (uses_tls(s) && (err = secure(s, t)) != CM_OK) ||
	    (err = bind_simple(s, t)) != CM_OK)
		return err;
	/* Whatever libldap thinks of, it finds no way to connect by itself. */
	return ldap_set_option(s->ld, LDAP_OPT_URI, "ldapi://%2Fnonexistent") == LDAP_OPT_SUCCESS ?
	    CM_OK : CM_ERR_SYSTEM;
}

bool
cm_server_values(struct cm_server *s, LDAPMessage *message, struct cm_blob *dn,
    struct cm_buf *values)
{
	struct berval name = { 0, NULL }, attribute, *list = NULL;
	BerElement *ber = NULL;
	int code;

	code = ldap_get_dn_ber(s->ld, message, &ber, &name);
	while (code == LDAP_SUCCESS) {
		code = ldap_get_attribute_ber(s->ld, message, ber, &attribute, &list);
		if (code != LDAP_SUCCESS || attribute.bv_val == NULL)
			break;
		for (struct berval *v = list; v != NULL && v->bv_val != NULL; v++) {
			const struct cm_value value = {
				{ (const uint8_t *)attribute.bv_val, attribute.bv_len },
				{ (const uint8_t *)v->bv_val, v->bv_len },
			};
			cm_buf_add(values, &value, sizeof(value));
		}
		ldap_memfree(list);
		list = NULL;
	}
	ber_free(ber, 0);
	*dn = (struct cm_blob){ (const uint8_t *)name.bv_val, name.bv_len };
	return code == LDAP_SUCCESS;
}

static enum cm_err
page_control(struct cm_server *s, const struct cm_page *page, LDAPControl **out)
{
	struct berval cookie = { page->cookie.len, (char *)page->cookie.ptr };

	return ldap_create_page_control(s->ld, (ber_int_t)page->size, page->cookie.len > 0 ? &cookie : NULL, 1, out) == LDAP_SUCCESS ?
	    CM_OK : CM_ERR_NOMEM;
}

enum cm_err
cm_server_page(struct cm_server *s, LDAPMessage *message, struct cm_trace *t, struct cm_page *page)
{
	LDAPControl **controls = NULL, *control;
	struct berval cookie = { 0, NULL };
	ber_int_t estimate;
	enum cm_err err = CM_OK;

	cm_buf_truncate(&page->cookie, 0);
	if (ldap_parse_result(s->ld, message, NULL, NULL, NULL, NULL, &controls, 0) != LDAP_SUCCESS)
		return cm_server_lost(s, "searching", t);
	control = ldap_control_find(LDAP_CONTROL_PAGEDRESULTS, controls, NULL);
	/* a server that does not know the control refused it: it was critical */
	if (control != NULL && ldap_parse_pageresponse_control(s->ld, control, &estimate, &cookie) != LDAP_SUCCESS)
		err = cm_server_lost(s, "searching", t);
	else
		cm_buf_add(&page->cookie, cookie.bv_val, cookie.bv_len);
	page->more = page->cookie.len > 0;
	ber_memfree(cookie.bv_val);
	ldap_controls_free(controls);
	return err == CM_OK ? cm_buf_status(&page->cookie) : err;
}

enum cm_err
cm_server_search(struct cm_server *s, const struct cm_server_search *q, struct cm_trace *t,
    int *msgid)
{
	/* the server's own limit, in whole seconds: it need not go on when nobody listens */
	struct timeval limit = { 0, 0 };
	LDAPControl *controls[2] = { NULL, NULL };
	enum cm_err err;
	int code;

	if ((err = ensure_connected(s, t)) != CM_OK || (q->page != NULL && (err = page_control(s, q->page, &controls[0])) != CM_OK))
		return err;
	limit.tv_sec = cm_deadline_left(s->link.deadline) / 1000 + 1;
	s->options.stats->searches++;
	code = ldap_search_ext(s->ld, q->base, q->scope, q->filter,
	    q->attributes[0] != NULL ? (char **)(uintptr_t)q->attributes : NULL,
	    0, controls, NULL, &limit, (int)q->limit, msgid);
	ldap_control_free(controls[0]);
	if (code == LDAP_SERVER_DOWN)
		return cm_server_lost(s, "searching", t);
	if (code != LDAP_SUCCESS)
		return cm_server_refused(s, "searching", code, NULL, t);
	(void)cm_link_wait(&s->link);	/* the answer is not there yet: libldap need not look first */
	return CM_OK;
}

enum cm_err
cm_server_result(struct cm_server *s, LDAPMessage *message, struct cm_trace *t, int *code,
    char **diagnostic)
{
	return ldap_parse_result(s->ld, message, code, NULL, diagnostic, NULL, NULL, 0) ==
	    LDAP_SUCCESS ? CM_OK : cm_server_lost(s, "searching", t);
}

static enum cm_err
check_url(struct cm_server *s, struct cm_trace *t)
{
	const LDAPURLDesc *u;

	/* libldap takes any number for a port, and %00 for the end of a name */
	if (ldap_url_parse(s->options.uri, &s->url) != LDAP_URL_SUCCESS || strstr(s->options.uri, "%00") != NULL ||
	    s->url->lud_port < 1 || s->url->lud_port > UINT16_MAX)
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: not an LDAP URI (RFC 4516)", s->options.uri);
	u = s->url;
	if (u->lud_host == NULL || u->lud_host[0] == '\0')
		return cm_trace_fail(t, CM_REASON_CONFIG, "%s: names no server", s->options.uri);
	if ((u->lud_dn != NULL && u->lud_dn[0] != '\0') || u->lud_attrs != NULL ||
	    u->lud_filter != NULL || u->lud_exts != NULL)
		return cm_trace_fail(t, CM_REASON_CONFIG,
		    "%s: only server and port belong here; the base goes to directory.base", s->options.uri);
	if (!uses_tls(s) && !s->options.clear && !cm_link_is_loopback(u->lud_host))
		return cm_trace_fail(t, CM_REASON_CONFIG,
		    "%s: plain LDAP is for this computer only: use directory.starttls or ldaps://", s->options.uri);
	return CM_OK;
}

/* All that can be found wrong without the network is found now. */
static enum cm_err
check_ca(const char *ca, struct cm_trace *t)
{
	static const char label[] = "-----BEGIN CERTIFICATE-----";
	struct cm_buf pem;
	LDAP *ld = NULL;
	enum cm_err err;

	cm_buf_init(&pem, 0);
	if (ca == NULL)
		return cm_trace_fail(t, CM_REASON_CONFIG,
		    "directory.ca is not set: the server's certificate must be checked");
	if ((err = cm_file_read(ca, CM_BUF_MAX, CM_FILE_TRUSTED, t, &pem)) == CM_ERR_ABSENT)
		err = cm_trace_fail(t, CM_REASON_CONFIG, "%s: there is no such file (directory.ca)", ca);
	if (err != CM_OK)
		goto out;
	/* RFC 7468 section 5.1; GnuTLS is content with a file that holds none */
	if (memmem(cm_buf_str(&pem), pem.len, label, strlen(label)) == NULL ||
	    ldap_create(&ld) != LDAP_SUCCESS || !set_options(ld) || !set_ca(ld, ca))
		err = cm_trace_fail(t, CM_REASON_CONFIG,
		    "%s: holds no usable certificate in PEM (directory.ca)", ca);
out:
	if (ld != NULL)
		(void)ldap_unbind_ext(ld, NULL, NULL);
	cm_buf_free(&pem);
	return err;
}

enum cm_err
cm_server_new(const struct cm_server_options *o, struct cm_trace *t, struct cm_server **out)
{
	static const char ldaps[] = "ldaps:";
	struct cm_server *s = calloc(1, sizeof(*s));
	enum cm_err err = CM_ERR_NOMEM;

	if (s == NULL)
		return err;
	cm_link_start_libldap();
	*s = (struct cm_server){
		.options = *o, .ldaps = strncasecmp(o->uri, ldaps, strlen(ldaps)) == 0,
		.link = { .fd = -1, .cancel = o->cancel },
	};
	if ((err = check_url(s, t)) != CM_OK || (uses_tls(s) && (err = check_ca(o->ca, t)) != CM_OK))
		goto out;
	if (o->bind_dn != NULL && o->bind_password_file == NULL) {
		err = cm_trace_fail(t, CM_REASON_CONFIG,
		    "directory.bind_dn is set and directory.bind_password_file is not");
		goto out;
	}
	s->target = (struct cm_link_target){
		.host = s->url->lud_host, .port = (uint16_t)s->url->lud_port,
		.loopback_only = !uses_tls(s) && !o->clear,
	};
	*out = s;
	s = NULL;
out:
	cm_server_free(&s);
	return err;
}

void
cm_server_free(struct cm_server **s)
{
	if (*s == NULL)
		return;
	cm_server_disconnect(*s);
	cm_lookup_free(&(*s)->target.lookup);
	ldap_free_urldesc((*s)->url);
	free(*s);
	*s = NULL;
}
