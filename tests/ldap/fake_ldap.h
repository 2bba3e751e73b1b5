/* tests/ldap/fake_ldap.h - LDAP servers that misbehave. */
#ifndef CM_TESTS_LDAP_FAKE_LDAP_H
#define CM_TESTS_LDAP_FAKE_LDAP_H

#include <sys/types.h>

enum fake_mode {
	FAKE_NO_ACCEPT,		/* connections are not even completed */
	FAKE_SILENT,		/* takes connections and says nothing */
	FAKE_CLOSE,		/* takes connections and closes them */
	FAKE_GARBAGE,		/* speaks another protocol */
	FAKE_NO_STARTTLS,	/* refuses StartTLS */
	FAKE_TLS_SILENT,	/* grants StartTLS, then says nothing */
	FAKE_TLS_CLEAR,		/* grants StartTLS, then goes on in the clear */
	FAKE_DRIP,		/* answers a search one byte at a time */
	FAKE_HUGE,		/* announces a message of a gigabyte */
	FAKE_NOTICE,		/* sends a notice of disconnection (RFC 4511 4.4.1) */
	FAKE_FLOOD,		/* sends search references without end */
	FAKE_ENDLESS,		/* sends entries without end */
	FAKE_LIAR,		/* shows an entry that was not asked for */
	FAKE_HIDDEN,		/* shows an entry, but not what it was found by */
	FAKE_HALF_HIDDEN,	/* shows the one asked for, and such an entry beside it */
	FAKE_TWICE,		/* shows the entry asked for twice */
	FAKE_DISGUISE,		/* shows it with a NUL in its name */
	FAKE_SIZE,		/* shows it, and says that there are more */
	FAKE_BUSY,
	FAKE_UNWILLING,
	FAKE_ONE_EACH,		/* answers one search for each connection */
	FAKE_LIST_BINARY,	/* shows a list only to who asks with ";binary", */
	FAKE_LIST_PLAIN,	/* ... without */
	FAKE_RELAY,		/* passes everything to a real server and back */
};

struct fake {
	pid_t pid;
	int port;
	char uri[64];
};

/* On host, a loopback address; scheme "ldap" or "ldaps" for the uri.  to: RELAY's port on 127.0.0.1. */
struct fake fake_start(enum fake_mode mode, const char *scheme, const char *host, int to);
void fake_stop(struct fake *f);

/* The list that those two show. */
#define FAKE_LIST	"0\3\2\1\1"

/* The entry that the fakes show. */
#define FAKE_IDENTITY	"Kerberos:alice@CARDMAP.TEST"

#endif /* CM_TESTS_LDAP_FAKE_LDAP_H */
