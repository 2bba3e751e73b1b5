/* tests/helper/helper_rig.h - cardmap-card as a process, and this test in cardmapd's place. */
#ifndef TEST_HELPER_RIG_H
#define TEST_HELPER_RIG_H

#include "../card/card_rig.h"
#include "service/channel.h"

#define READER	"Virtual PCD 00 00"
#define GUID	"guid=00112233445566778899aabbccddeeff\n"

struct helper {
	pid_t pid;
	struct cm_channel *channel;
	/* what RECOGNISE is answered with; NULL: nothing is known */
	struct cm_cert *known;
	bool known_global;
	unsigned recognised;	/* how often it asked */
	struct cm_message answer;	/* the last one; cleared by the next */
};

/* Texts of its environment beside PATH and the sanitizers' options; ends with NULL.  NULL: none */
void helper_start(struct helper *h, const char *const *environment);
/* The same as another user: a copy of the program that he may run.  Only root can. */
void helper_start_as(struct helper *h, uid_t uid);
/* Send m, with the reading ends of pipes that hold these PINs (NULL: none). */
void helper_send(struct helper *h, const struct cm_message *m, const char *pin, const char *next);
/* As helper_send(), and wait for this answer, serving RECOGNISE meanwhile; its result. */
enum cm_err helper_ask(struct helper *h, const struct cm_message *m, const char *pin, enum cm_message_kind kind);
enum cm_err helper_open(struct helper *h);	/* OPEN of READER */
enum cm_err helper_verify(struct helper *h, const char *pin);
enum cm_err helper_sign(struct helper *h, const uint8_t nonce[32]);
enum cm_reason helper_reason(const struct helper *h);
/* Wait until it has ended, no longer than ms: its status as exit(3) has it, 128 + signal otherwise. */
int helper_wait(struct helper *h, unsigned ms);
/* Close the channel, wait: it must end with status 0. */
void helper_end(struct helper *h);

/* A command to the rig ("stop kdc"). */
void rig_command(const char *words);

#endif
