/* cli/revocation.h - what the files of cardmap revocation share; inside cli/ only. */
#ifndef CM_CLI_REVOCATION_H
#define CM_CLI_REVOCATION_H

#include "cli/cli.h"

/* One call: what is there, and what this host knows. */
struct cm_cli_revocation {
	struct cm_cli *cli;
	struct cm_host *host;
	struct cm_memory *memory;	/* NULL: nothing is kept, or it may not be read */
	struct cm_known known;		/* of memory, or the clock alone */
};

/* The actions, each with its part of the answer.  r->host has rules, trust and, where they may be read, accounts. */
enum cm_err cm_cli_revocation_status(struct cm_cli_revocation *r);
enum cm_err cm_cli_revocation_refresh(struct cm_cli_revocation *r);
enum cm_err cm_cli_revocation_import(struct cm_cli_revocation *r);
enum cm_err cm_cli_revocation_list(struct cm_cli_revocation *r);
enum cm_err cm_cli_revocation_forget(struct cm_cli_revocation *r);

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
