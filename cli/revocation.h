/* cli/revocation.h - what the files of cardmap revocation share; inside cli/ only. */
#ifndef CM_CLI_REVOCATION_H
#define CM_CLI_REVOCATION_H

#include "cli/cli.h"

/* One call: what is there, and what this host knows. */
struct cm_cli_revocation {
	struct cm_cli *cli;
	struct cm_host *host;
	struct cm_memory *memory;	/* NULL: nothing is kept, or it may not be read */
	struct cm_known known;		/* of memory or told, or the clock alone */
	struct cm_wire *resolver;	/* forget: whose lists are beside host's; NULL: alone */
	struct cm_cli_told *told;	/* what the service told instead of host's accounts and folder of lists; NULL: alone */
};

/* Each of what is kept, by the store or by the service. */
CM_MUST_USE enum cm_err cm_cli_each_source(const struct cm_cli_revocation *r, cm_seen_visit visit, void *arg);
CM_MUST_USE enum cm_err cm_cli_each_account(const struct cm_cli_revocation *r, cm_kept_visit visit, void *arg);
/* Of accounts the service tells root alone. */
bool cm_cli_may_see_accounts(const struct cm_cli_revocation *r);

/* The actions, each with its part of the answer.  r->host has rules, trust and, where they may be read, accounts. */
enum cm_err cm_cli_revocation_status(struct cm_cli_revocation *r);
enum cm_err cm_cli_revocation_refresh(struct cm_cli_revocation *r);
enum cm_err cm_cli_revocation_import(struct cm_cli_revocation *r);
enum cm_err cm_cli_revocation_list(struct cm_cli_revocation *r);
enum cm_err cm_cli_revocation_forget(struct cm_cli_revocation *r);

/*
 * revocation_service.c: sources, evidence and lists, as the service has them.
 *
 * *out stays NULL where this process does the work itself (cli/service.h); known
 * then borrows from *out.
 */
struct cm_cli_told;
CM_MUST_USE enum cm_err cm_cli_told_open(struct cm_cli *c, struct cm_known *known, struct cm_cli_told **out);
void cm_cli_told_free(struct cm_cli_told **told);
CM_MUST_USE enum cm_err cm_cli_told_sources(const struct cm_cli_told *told, cm_seen_visit visit, void *arg);
CM_MUST_USE enum cm_err cm_cli_told_accounts(const struct cm_cli_told *told, cm_kept_visit visit, void *arg);
/* Borrowed: an array of what cm_outlook_list() made. */
const json_t *cm_cli_told_lists(const struct cm_cli_told *told);
/* As cm_outlook_login(). */
CM_MUST_USE enum cm_err cm_cli_told_outlook(const struct cm_cli_told *told, const struct cm_cert *cert, json_t **out);
/*
 * For forget: the folder of lists that the service's logins read.  *carried: does
 * it still refuse the certificate for a list that no longer names it?  e and file
 * as cm_trust_find_listed(), e->source "": no list names it.
 */
CM_MUST_USE enum cm_err cm_cli_told_listed(struct cm_cli *c, struct cm_wire *resolver, const struct cm_evidence *about, bool *carried,
    struct cm_evidence *e, struct cm_buf *file);
/* As cm_trust_forget_listed(). */
CM_MUST_USE enum cm_err cm_cli_told_unlist(struct cm_cli *c, struct cm_wire *resolver, const struct cm_evidence *about);
/* NO_SERVICE: what it says makes no sense. */
enum cm_err cm_cli_told_nonsense(struct cm_cli *c);

/* What is kept of one certificate, as JSON. */
json_t *cm_cli_evidence(const struct cm_evidence *e, time_t now);
const char *cm_cli_source_kind(enum cm_source_kind k);	/* "OCSP" */

/* Names of CAs by the hash of their key: those that were seen, and those of the configuration. */
struct cm_cli_issuers {
	struct cm_cli_issuer {
		uint8_t key[32];
		char *subject;		/* owned */
		uint8_t *der;		/* owned; NULL: not known */
		size_t der_len;
	} *list;
	size_t count;
};
CM_MUST_USE enum cm_err cm_cli_issuers_read(const struct cm_cli_revocation *r, struct cm_cli_issuers *out);
void cm_cli_issuers_free(struct cm_cli_issuers *i);
/* Its subject; NULL: not known. */
const char *cm_cli_issuer_of(const struct cm_cli_issuers *i, const uint8_t key[32]);
/* Does subject (NULL: not known) have this in it, case ignored?  want NULL: yes. */
bool cm_cli_issuer_is(const char *subject, const char *want);

/* A bar on standard error while octets come; only on a terminal, and not beside --json. */
struct cm_cli_bar {
	bool on;
	int64_t drawn;		/* on CLOCK_MONOTONIC, microseconds */
	bool there;		/* it stands on the line */
};
void cm_cli_bar_begin(struct cm_cli_bar *b, const struct cm_cli *c);
void cm_cli_bar_draw(struct cm_cli_bar *b, uint64_t done, uint64_t total);
void cm_cli_bar_clear(struct cm_cli_bar *b);	/* before another line, and at the end */

/* "41.3 MB" */
#define CM_CLI_SIZE_TEXT	24
const char *cm_cli_size(uint64_t octets, char text[CM_CLI_SIZE_TEXT]);

#endif /* CM_CLI_REVOCATION_H */
