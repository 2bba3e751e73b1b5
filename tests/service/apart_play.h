/* tests/service/apart_play.h - threads in the places of card helper and resolver: honest ones, and a hand that changes what they say. */
#ifndef CM_TESTS_SERVICE_APART_PLAY_H
#define CM_TESTS_SERVICE_APART_PLAY_H

#include <pthread.h>

#include "apart_fixture.h"
#include "service/apart.h"
#include "service/channel.h"

#define PLAYERS_MAX	16

struct play;

/* One process that was connected to. */
struct player {
	struct play *play;
	enum cm_process which;
	struct cm_channel *channel;
	pthread_t thread;
};

/* Among the servers of the rig: real cards' files, a real directory, responder and KDC, krb5/ and service/stages.h as they are. */
struct play {
	struct apart_host h;
	struct cm_hostcheck *hostcheck;
	struct cm_apart *apart;
	struct cm_login login;
	struct player players[PLAYERS_MAX];
	size_t count;

	const char *card;		/* in the reader: of the rig's PKI, by name */
	bool has_guid;			/* it can be recognised */
	const char *other;		/* its certificate and key in slot 9C, by name; NULL: none */
	bool copies;			/* of that the certificate alone: its key is the first's */
	const char *own_principal;	/* for whom it asks the KDC, whoever it is asked for; NULL: for that one */
	unsigned asked[CM_MESSAGE_KIND_COUNT];	/* how often, of either */

	/* The hand: the answer a to q, which it may change; false: the process dies instead of answering. */
	bool (*spoil)(struct play *p, const struct cm_message *q, struct cm_message *a);
	enum cm_message_kind at;	/* for the hand: at which question */
	struct cm_blob kept_octets;	/* for the hand, of an earlier login; owned */
};

/* A host with a keytab (the rig's), whose resolver and helper are honest. */
void play_make(struct play *p, const char *card);
void play_end(struct play *p);
/* The next login, by processes that are begun when they are needed. */
void play_login(struct play *p, const char *user);
enum cm_err play_prepare(struct play *p);
/* With the rig's PIN through a pipe. */
enum cm_err play_finish(struct play *p);
enum cm_err play_run(struct play *p);
/* Both players go, and who stands in their places is new. */
void play_stop(struct play *p);

#endif /* CM_TESTS_SERVICE_APART_PLAY_H */
