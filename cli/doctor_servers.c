/* cli/doctor_servers.c - do the servers answer?  All are asked at once, each with a deadline of its own. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/list.h"
#include "base/net.h"
#include "cli/doctor.h"

#define HOST_MAX	256
#define PORT_SIZE	6

/* RFC 4511: a search of the root DSE for nothing but its name; whatever comes back is an answer. */
static const char ldap_hello[] = "\x30\x25\x02\x01\x01\x63\x20\x04\x00\x0a\x01\x00\x0a\x01\x00\x02\x01\x00\x02\x01\x00\x01\x01\x00"
    "\x87\x0bobjectClass\x30\x00";
/* RFC 4120 section 7.2.2: a length that no KDC takes is answered with KRB_ERR_FIELD_TOOLONG. */
static const char kdc_hello[] = "\x7f\xff\xff\xff";
static const char http_hello[] = "HEAD / HTTP/1.0\r\n\r\n";

#define DIRECTORY	"see that it runs and can be reached: cardmap whois"
#define RESPONDER	"see that it runs and can be reached: cardmap revocation refresh"
#define NETWORK		"connect this computer to that network: ip route shows those that it is in"

/* hello NULL: that it takes connections is all that is seen; its first words would be TLS. */
static const struct kind {
	const char *scheme, *port, *hello;
	size_t len;
	const char *key;		/* of the deadline that a login has for it */
	const char *remedy;		/* how to see that it is there again */
} kinds[] = {
	{ "ldap://", "389", ldap_hello, sizeof(ldap_hello) - 1, "directory.timeout", DIRECTORY },
	{ "ldaps://", "636", NULL, 0, "directory.timeout", DIRECTORY },
	{ "http://", "80", http_hello, sizeof(http_hello) - 1, "trust.timeout", RESPONDER },
	{ "https://", "443", NULL, 0, "trust.timeout", RESPONDER },
	{ "", "88", kdc_hello, sizeof(kdc_hello) - 1, "kerberos.timeout", "see that it runs and can be reached: cardmap login --refresh" },
};

struct server {
	const char *name;		/* as configured; borrowed */
	const struct kind *kind;
	unsigned login_ms;		/* what a login waits */
	char host[HOST_MAX], port[PORT_SIZE];
	pthread_t thread;
	bool asked, answered;
	bool at_once;			/* what went wrong was known before the deadline: so it is to a login */
	bool cut_off;			/* nothing left this computer: at the server nothing is to be seen to */
	char why[192];
	int64_t us;
};

struct cm_doctor_servers {
	struct server *rows;
	size_t count, room;
};

/* HOST[:PORT][/...] or [HOST]:PORT; false: it is none, or none that stands for one server. */
static bool
split(struct server *s, const char *text)
{
	const bool bracket = text[0] == '[';
	const size_t len = strcspn(text += bracket, bracket ? "]" : ":/");
	const char *end = text + len + (bracket && text[len] == ']');
	size_t digits;

	if (len == 0 || len >= sizeof(s->host))
		return false;
	memcpy(s->host, text, len);
	snprintf(s->port, sizeof(s->port), "%s", s->kind->port);
	if (*end != ':')
		return true;
	digits = strspn(end + 1, "0123456789");
	if (digits == 0 || digits >= sizeof(s->port))
		return false;
	memcpy(s->port, end + 1, digits);
	s->port[digits] = '\0';
	return true;
}

/* Connect, say hello, and wait for anything at all. */
static int
exchange(const struct server *s, const struct addrinfo *to, cm_deadline deadline)
{
	int fd = -1, status = cm_net_connect(to, SOCK_STREAM, deadline, &fd);
	char byte;

	if (status == 0 && s->kind->hello != NULL) {
		if (send(fd, s->kind->hello, s->kind->len, MSG_NOSIGNAL) != (ssize_t)s->kind->len)
			status = errno;
		else if ((status = cm_net_wait(fd, POLLIN, deadline)) == 0 && recv(fd, &byte, 1, 0) != 1)
			status = ECONNRESET;
	}
	if (fd >= 0)
		close(fd);
	return status;
}

static void
note_lookup(struct server *s, int status)
{
	s->at_once = status != EAI_INPROGRESS;
	s->cut_off = status == EAI_AGAIN;
	if (s->at_once)
		snprintf(s->why, sizeof(s->why), "its name is not known: %s", gai_strerror(status));
	else
		snprintf(s->why, sizeof(s->why), "its name is not answered");
}

static void
note_exchange(struct server *s, int error)
{
	s->at_once = error != ETIMEDOUT;
	s->cut_off = error == ENETUNREACH || error == ENETDOWN;
	snprintf(s->why, sizeof(s->why), "%s%s", s->cut_off ? "no network of this computer leads there: " : "",
	    s->at_once ? strerrorname_np(error) : "no answer");
}

static void *
ask(void *arg)
{
	struct server *s = arg;
	const int64_t begun = cm_clock_us();
	const cm_deadline deadline = cm_deadline_in(CM_DOCTOR_ASK_MS);
	struct cm_lookup *pending = NULL;
	struct addrinfo *all = NULL;
	int status = cm_net_resolve(s->host, s->port, deadline, &pending, &all);

	if (status != 0)
		note_lookup(s, status);
	else if ((status = exchange(s, all, deadline)) != 0)
		note_exchange(s, status);
	s->answered = status == 0;
	s->us = cm_clock_us() - begun;
	if (all != NULL)
		freeaddrinfo(all);
	cm_lookup_free(&pending);
	return NULL;
}

static void
add(struct cm_doctor_servers *s, const char *name, unsigned login_ms)
{
	for (size_t i = 0; i < CM_COUNT(kinds) && s->count < s->room; i++) {
		const size_t len = strlen(kinds[i].scheme);
		struct server *row = &s->rows[s->count];

		if (strncasecmp(name, kinds[i].scheme, len) != 0)
			continue;
		row->name = name;
		row->kind = &kinds[i];
		row->login_ms = login_ms;
		if (len == 0 && strchr(name, '/') != NULL)
			return;		/* ldif:PATH, local:DIR: a file */
		if (split(row, name + len))
			s->count++;
		return;
	}
}

static void
add_list(struct cm_doctor_servers *s, char *const *names, unsigned login_ms, bool with_scheme)
{
	for (size_t i = 0; names[i] != NULL; i++)
		if (!with_scheme || strstr(names[i], "://") != NULL)
			add(s, names[i], login_ms);
}

struct cm_doctor_servers *
cm_doctor_servers_begin(const struct cm_conf *conf)
{
	struct cm_doctor_servers *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->room = cm_list_length(conf->directory.uri) + cm_list_length(conf->kerberos.kdc) + cm_list_length(conf->trust.ocsp_url);
	if ((s->rows = calloc(s->room + 1, sizeof(*s->rows))) == NULL) {
		free(s);
		return NULL;
	}
	add_list(s, conf->directory.uri, conf->directory.timeout, true);
	if (conf->kerberos.ticket != CM_TICKET_OFF)
		add_list(s, conf->kerberos.kdc, conf->kerberos.timeout, false);
	add_list(s, conf->trust.ocsp_url, conf->trust.timeout, true);
	for (size_t i = 0; i < s->count; i++)
		s->rows[i].asked = pthread_create(&s->rows[i].thread, NULL, ask, &s->rows[i]) == 0;
	return s;
}

static void
join(struct cm_doctor_servers *s)
{
	for (size_t i = 0; i < s->count; i++) {
		if (s->rows[i].asked)
			(void)pthread_join(s->rows[i].thread, NULL);
		s->rows[i].asked = false;
	}
}

void
cm_doctor_servers_end(struct cm_doctor_servers **s)
{
	if (*s == NULL)
		return;
	join(*s);
	free((*s)->rows);
	free(*s);
	*s = NULL;
}

/* A plane has none of them: that one is silent is no failure, but what an online login waits for. */
static void
tell(struct cm_doctor *d, const struct server *s)
{
	const char *remedy = s->cut_off ? NETWORK : s->kind->remedy;

	if (s->answered)
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "%s answers in %lld ms, of %u ms that a login has for it (%s)", s->name,
		    (long long)(s->us + 999) / 1000, s->login_ms, s->kind->key);
	else if (s->at_once)
		cm_doctor_say(d, CM_DOCTOR_WARNING, remedy, "%s: %s; a login does not wait for it", s->name, s->why);
	else
		cm_doctor_say(d, CM_DOCTOR_WARNING, remedy, "%s: %s within %d ms; a login waits %u ms for it (%s)", s->name, s->why,
		    CM_DOCTOR_ASK_MS, s->login_ms, s->kind->key);
}

void
cm_doctor_ask_servers(struct cm_doctor *d)
{
	struct cm_doctor_servers *s = d->servers;

	join(s);
	for (size_t i = 0; i < s->count; i++)
		tell(d, &s->rows[i]);
	if (s->count == 0)
		cm_doctor_say(d, CM_DOCTOR_OK, NULL, "none is named in the configuration");
}
