/* client/client_internal.h - a login as its caller's process knows it: the connection, and the last state that was told. */
#ifndef CM_CLIENT_CLIENT_INTERNAL_H
#define CM_CLIENT_CLIENT_INTERNAL_H

#include "client/cardmap.h"
#include "service/varlink.h"

#define CM_CLIENT_INTERFACE	"io.cardmap.Login"
#define CM_CLIENT_HANDLE_MAX	128	/* octets */
#define CM_CLIENT_CHOICES_MAX	64
#define CM_CLIENT_WARNINGS_MAX	16

struct cm_client_choice {
	char *id, *text;	/* owned */
};

/* What one reply of Begin told.  Texts are owned, printable, NULL where there are none. */
struct cm_client_state {
	enum cardmap_state state;
	char *name, *user, *reader, *reason, *text, *remedy;
	bool online, last_try, pad, may_use_password;
	int tries;		/* -1: not counted */
	struct cm_client_choice *choices;
	size_t choice_count;
	struct cm_client_grant {	/* of CARDMAP_GRANTED */
		char *user, *home, *shell, *ccache, *ccache_later;
		uid_t uid;
		gid_t gid;
		long long kept_age;	/* -1: online */
		char **warnings;
		size_t warning_count;
	} grant;
};
void cm_client_state_clear(struct cm_client_state *s);

/*
 * Read the parameters of a reply.  0, -EPROTO: they are not what the interface says; -ENOMEM.
 * *handle: that of the login, borrowed from them.  *s is to be cleared whatever follows.
 */
CM_MUST_USE int cm_client_state_read(json_t *parameters, struct cm_client_state *s, const char **handle);
/* The same of the error NotAllowed: who may not ask is told why. */
CM_MUST_USE int cm_client_state_denied(json_t *parameters, struct cm_client_state *s);

struct cardmap_login {
	char *path;		/* of the socket; owned */
	uid_t owner;		/* beside root, who may have it */
	struct cm_wire *wire;	/* of Begin */
	cm_deadline first;	/* when its first state must be here: a service that runs tells one at once */
	char handle[CM_CLIENT_HANDLE_MAX + 1];	/* "": not told yet */
	struct cm_client_state now;
	bool any;		/* a state was told */
	bool over;		/* it has ended, as now says or result does */
	int result;		/* 0, or the error it ended with */
	bool wants_secret;
	int secret;		/* the reading end of a pipe; owned, -1: none */
};

/* A connection to the service, which must be root's or the owner's.  0, or as cardmap_begin(). */
CM_MUST_USE int cm_client_connect(const char *path, uid_t owner, cm_deadline deadline, struct cm_wire **out);
/* A result of ours as a negative errno. */
int cm_client_errno(enum cm_err err);

#endif /* CM_CLIENT_CLIENT_INTERNAL_H */
