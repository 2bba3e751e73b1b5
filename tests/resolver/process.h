/* tests/resolver/process.h - a real cardmap-resolver with the sockets that cardmapd would give it, and a store that is served. */
#ifndef CM_TESTS_RESOLVER_PROCESS_H
#define CM_TESTS_RESOLVER_PROCESS_H

#include <sys/types.h>

#include "service/channel.h"
#include "service/varlink.h"

struct rig_service;

struct process {
	char folder[64], control[96], whois[96], store[96], database[96], config[96];
	pid_t pid;
	uid_t uid;			/* 0: as we are */
	int listeners[2], lifeline, lifeline_end;	/* ours; they outlive it, as cardmapd's do */
	struct rig_service *service;
	int counter;			/* the caller's; it is started with that as COUNTED_FD (counted.h).  0: none */
};

/* Its folder, sockets and store, among the servers of the rig; keys: "section.key=VALUE ..." beside the rig's, or NULL. */
void process_prepare(struct process *p, const char *keys);
/* Start it; another takes its place if it has ended. */
void process_start(struct process *p);
/* Wait for its end: its status as of wait(2). */
int process_wait(struct process *p);
void process_end(struct process *p);
/* The store is served no more. */
void process_stop_store(struct process *p);

/* A card's connection. */
struct cm_channel *process_card(const struct process *p);
/* The certificate of this name in the rig's folder, in DER; the caller's, for free(3). */
struct cm_blob process_certificate(const char *name);
/* Ask on it: the answer is the caller's, to be cleared.  The result is the channel's. */
enum cm_err process_chain(struct cm_channel *c, const char *certificate, struct cm_message *answer);
enum cm_err process_ask(struct cm_channel *c, enum cm_message_kind kind, enum cm_message_kind answer_kind,
    struct cm_message *answer);

/* A question at the socket of Whois; *out is the caller's. */
struct cm_wire *process_wire(const struct process *p);
enum cm_err process_whois(struct cm_wire *w, const char *method, const char *certificate, const char *user,
    struct cm_varlink_reply *out);

/* tests/rig/rig.py ACTION NAME */
void rig_do(const char *action, const char *name);

#endif /* CM_TESTS_RESOLVER_PROCESS_H */
