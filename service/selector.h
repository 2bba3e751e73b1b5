/* service/selector.h - a program that names the user of a card (UserSelector(7)). */
#ifndef CM_SERVICE_SELECTOR_H
#define CM_SERVICE_SELECTOR_H

#include "base/clock.h"
#include "base/trace.h"

struct cm_accounts;

/* What it is asked: who has this key; remember it as this user's; forget it. */
enum cm_selector_operation { CM_SELECTOR_MAP, CM_SELECTOR_BIND, CM_SELECTOR_UNBIND };

/* A public key by its hash (cm_key_hash()), written as 40 hex digits, upper case. */
struct cm_selector_key {
	uint8_t sha1[20];
};
#define CM_SELECTOR_KEY_SIZE	41
const char *cm_selector_key_text(const struct cm_selector_key *k, char text[CM_SELECTOR_KEY_SIZE]);
/* 40 hex digits of either case, and nothing else. */
bool cm_selector_key_parse(struct cm_blob text, struct cm_selector_key *out);

/* All borrowed for the call. */
struct cm_selector_call {
	const char *program;	/* absolute path; base/child.h says what it must be like */
	enum cm_selector_operation operation;
	const char *user;	/* NULL: not known */
	const struct cm_selector_key *keys;
	size_t key_count;	/* 1 to CM_SELECTOR_KEYS_MAX */
	struct cm_accounts *remote;	/* the process whose store this is runs it, for CM_SELECTOR_MAP alone; NULL: this one does */
};
#define CM_SELECTOR_KEYS_MAX	64
#define CM_SELECTOR_NAME_MAX	255	/* octets of a name */
#define CM_SELECTOR_ANSWER_MAX	16384	/* octets of an answer */

/*
 * PROGRAM -o map|bind|unbind [-u USER] -i HASH[,HASH]...
 *
 * run as the user _cardmap where there is one, else as nobody (as this user
 * where it is not root's process that asks).  Its answer is a proposal: what the
 * directory says of the name, the rules for accounts, and the card's proof still judge.
 *
 * CM_OK          asked with CM_SELECTOR_MAP, users[] has key_count names for
 *                free(3), NULL for a key without one; left alone otherwise
 * CM_ERR_ABSENT  no such program (no reason set)
 * CM_ERR_SYSTEM  SELECTOR: it could not be run, ended badly, or answered what it may not
 * CM_ERR_STATE   no keys, or too many
 */
CM_MUST_USE enum cm_err cm_selector_ask(const struct cm_selector_call *s, cm_deadline deadline,
    struct cm_trace *t, char **users);

/* The same by this process, and the answer as it came: nobody looked at it. */
CM_MUST_USE enum cm_err cm_selector_run(const struct cm_selector_call *s, cm_deadline deadline,
    struct cm_trace *t, struct cm_buf *answer);

/* NULL, or what is wrong with a user's name. */
const char *cm_selector_judge_name(struct cm_blob name);

#endif /* CM_SERVICE_SELECTOR_H */
