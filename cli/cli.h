/* cli/cli.h - what every subcommand gets, and how it answers; inside cli/ only. */
#ifndef CM_CLI_CLI_H
#define CM_CLI_CLI_H

#include <jansson.h>
#include <stdio.h>

#include "base/conf.h"
#include "base/secret.h"
#include "base/trace.h"
#include "card/card.h"
#include "ldap/directory.h"
#include "service/host.h"
#include "service/pair.h"

#define CM_CLI_WHAT_IF_MAX	16

/* One call of the program. */
struct cm_cli {
	struct cm_conf *conf;		/* owned by main */
	struct cm_trace *trace;
	json_t *answer;			/* the object that --json prints; commands add to it */
	char **args;			/* what stands behind the options, NULL-terminated */
	int arg_count;
	bool json, colour, verbose;
	bool export, last_try, intermediate, add;
	enum cm_slot slot;		/* of the certificate that it is about */
	bool local, remote, ldif;	/* whose account a card is paired with */
	const char *operation, *user, *identity;	/* of selector; or NULL */
	bool told;			/* the command has said why itself */
	const char *match, *map;	/* of rules; or NULL */
	bool renewal;
	bool refresh, renew;		/* of login */
	bool due;			/* of revocation and login */
	bool revoked;			/* of revocation */
	const char *issuer;		/* or NULL */
	const char *what_if[CM_CLI_WHAT_IF_MAX];	/* of enforcement: KEY=VALUE */
	size_t what_if_count;
	bool all;
	const char *key_file;		/* of secret; or NULL */
	bool store_unread;		/* cm_cli_open_host(): what is kept is there, and could not be read */
	int pin_fd;			/* -1: ask at the terminal */
	const char *config_path;	/* as given, or NULL */
	bool configured;		/* the command line changes the configuration */
	bool alone, service_named;	/* --no-service, --service */
	const char *run_dir;		/* of the service */
	bool follow, watch;
	unsigned last;			/* of log */
	json_t *reply;			/* the service's: names of the trace's stages stand in it */
};

/*
 * Exit codes (README): 0 yes, 1 no, 2 several, 3 refused, 4 could not ask,
 * 64 usage, 78 configuration.
 */
int cm_cli_exit_code(enum cm_err err);

/* Put a text into the answer; bytes that are no UTF-8 become \xNN. */
void cm_cli_set(json_t *object, const char *key, const char *text);
void cm_cli_set_time(json_t *object, const char *key, time_t t);	/* 0: null */
const char *cm_cli_status(enum cm_status s);	/* "good" */
/* When an answer about revocation ends; one of OCSP need not say (RFC 6960 section 2.4). */
const char *cm_cli_end(time_t next_update, char text[CM_TIME_SIZE]);
void cm_cli_set_account(json_t *object, const struct cm_account *a);

/* "key   text" in two columns on standard output, unless --json. */
void cm_cli_line(const struct cm_cli *c, const char *key, const char *fmt, ...) CM_PRINTF(3, 4);
/* A line that is text alone. */
void cm_cli_text(const struct cm_cli *c, const char *text);
void cm_cli_account(const struct cm_cli *c, const struct cm_account *a);

/* Every stage of the trace with what it saw: text, and "stages" in the answer. */
void cm_cli_trace(const struct cm_cli *c);
/* What the trace warns of: "warnings" in the answer, and lines on standard error, unless --json. */
void cm_cli_warnings(const struct cm_cli *c);
/* One line a stage: its result, its time, its card commands. */
void cm_cli_stages(const struct cm_cli *c);

/* The end of a command: reason, text and remedy to standard error (or the answer), and the exit code. */
int cm_cli_finish(struct cm_cli *c, enum cm_err err);

/* The PIN from --pin-fd, or from the terminal without echo, where user and tries left are shown. */
CM_MUST_USE enum cm_err cm_cli_ask_pin(struct cm_cli *c, const char *user, unsigned tries_left,
    struct cm_secret **out);
/* The same of a PUK, or a new PIN: the next line of --pin-fd, or the terminal without echo. */
CM_MUST_USE enum cm_err cm_cli_ask_secret(struct cm_cli *c, const char *prompt, struct cm_secret **out);

/* The certificate of the card that is in, as the stage of the trace that a login of this purpose has.  Card and certificate are the caller's. */
CM_MUST_USE enum cm_err cm_cli_read_certificate(struct cm_cli *c, enum cm_card_purpose purpose, struct cm_card **card,
    struct cm_cert **cert);
/* A host with what is kept where this user may read it; who may not (it is root's) still learns the rest. */
CM_MUST_USE enum cm_err cm_cli_open_host(struct cm_cli *c, unsigned needs, struct cm_host **host);
/* Pair, PIN and all, and tell; *p is cleared afterwards. */
CM_MUST_USE enum cm_err cm_cli_run_pair(struct cm_cli *c, struct cm_pair *p);

/* Tell about certificates in the same words everywhere: subject, issuer, serial, validity, key. */
void cm_cli_certificate(const struct cm_cli *c, json_t *object, const struct cm_cert *cert);

/* accounts export, import, records: with the store */
CM_MUST_USE enum cm_err cm_cli_accounts_export(struct cm_cli *c, const struct cm_host *host);
CM_MUST_USE enum cm_err cm_cli_accounts_import(struct cm_cli *c, const struct cm_host *host);
CM_MUST_USE enum cm_err cm_cli_accounts_records(struct cm_cli *c, const struct cm_host *host);

/* cards log-next */
CM_MUST_USE enum cm_err cm_cli_cards_log(struct cm_cli *c);

/* Active Directory's CAs, as pins; with c->add also into the folders of trust.anchors and trust.intermediates. */
struct cm_import;
CM_MUST_USE enum cm_err cm_cli_read_ntauth(struct cm_cli *c, struct cm_import **out);

/* Where CAs and lists are, for what needs no rules and no directory; borrows from the configuration. */
struct cm_trust_options cm_cli_trust_options(const struct cm_cli *c);

/*
 * ldif.c: append a change that adds values to an attribute of an entry, for
 * ldapmodify; print it (with --json: "ldif" of the answer).
 */
void cm_cli_ldif_add(const char *dn, const char *attribute, const struct cm_blob *values,
    size_t count, struct cm_buf *out);
CM_MUST_USE enum cm_err cm_cli_tell_ldif(const struct cm_cli *c, const struct cm_buf *ldif);

/* Lines of the help: a command's examples; NULL: all. */
void cm_cli_print_examples(FILE *out, const char *command);

/* The subcommands; each returns the exit code. */
int cm_cli_whois(struct cm_cli *c);
int cm_cli_explain(struct cm_cli *c);
int cm_cli_login(struct cm_cli *c);
int cm_cli_cards(struct cm_cli *c);
int cm_cli_cert(struct cm_cli *c);
int cm_cli_accounts(struct cm_cli *c);
int cm_cli_revocation(struct cm_cli *c);
int cm_cli_config(struct cm_cli *c);
int cm_cli_enforcement(struct cm_cli *c);
int cm_cli_import(struct cm_cli *c);
int cm_cli_rules(struct cm_cli *c);
int cm_cli_doctor(struct cm_cli *c);
int cm_cli_ssh_keys(struct cm_cli *c);
int cm_cli_pin(struct cm_cli *c);
int cm_cli_pair(struct cm_cli *c);
int cm_cli_pairing_ui(struct cm_cli *c);
int cm_cli_unpair(struct cm_cli *c);
int cm_cli_pairings(struct cm_cli *c);
int cm_cli_identities(struct cm_cli *c);
int cm_cli_selector(struct cm_cli *c);
int cm_cli_secret(struct cm_cli *c);
int cm_cli_trust(struct cm_cli *c);
int cm_cli_status_of_service(struct cm_cli *c);
int cm_cli_log(struct cm_cli *c);

#endif /* CM_CLI_CLI_H */
