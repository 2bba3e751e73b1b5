/* cli/service.h - a command's questions to the service, where it runs; inside cli/ only. */
#ifndef CM_CLI_SERVICE_H
#define CM_CLI_SERVICE_H

#include "cache/accounts.h"
#include "cache/standing.h"
#include "cli/cli.h"
#include "client/cardmap.h"
#include "service/varlink.h"

#define CM_CLI_RUN_DIR		"/run/cardmap"
#define CM_CLI_DAEMON		"io.cardmap"		/* cardmapd's socket in the run-dir */
#define CM_CLI_RESOLVER		"io.cardmap.Resolver"	/* the resolver's: Whois and Explain */

/*
 * The one place that decides whom a command asks.  *out is a connection to the
 * socket so named, or NULL: this process does the work itself, because
 *   - of --no-service;
 *   - the command line changes the configuration (--config, --directory,
 *     --set), which the service does not know;
 *   - no service runs here.
 * A service that is there is never passed over: one that does not answer, is
 * none, or refuses this user is an error, and so is one that --service names
 * and is not there.
 *
 * CM_ERR_OFFLINE  NO_SERVICE
 * CM_ERR_REFUSED  NOT_ROOT
 * CM_ERR_USAGE    --service together with what changes the configuration
 */
CM_MUST_USE enum cm_err cm_cli_service_open(struct cm_cli *c, const char *socket, struct cm_wire **out);

/* The same as a stage "start", which a command that asks nobody has too; without a service it is that command's to begin. */
CM_MUST_USE enum cm_err cm_cli_service_start(struct cm_cli *c, const char *socket, struct cm_wire **out);

/* Only the service knows it: as above, but none is NO_SERVICE. */
CM_MUST_USE enum cm_err cm_cli_service_need(struct cm_cli *c, const char *socket, struct cm_wire **out);

/*
 * Ask, and wait ms for the answer.  parameters is given; NULL: none.  *reply is the
 * answer's, the caller's to decref, and NULL after an error, which the trace then has.
 */
CM_MUST_USE enum cm_err cm_cli_service_ask(struct cm_cli *c, struct cm_wire *w, const char *method,
    json_t *parameters, unsigned ms, json_t **reply);

/*
 * The same for several replies, each shown to see(), which sets *enough to end it;
 * any of them may take as long as it likes.
 */
typedef enum cm_err (*cm_cli_see)(struct cm_cli *c, const json_t *parameters, bool *enough);
CM_MUST_USE enum cm_err cm_cli_service_ask_more(struct cm_cli *c, struct cm_wire *w, const char *method,
    json_t *parameters, cm_cli_see see);

/*
 * Whois and Explain: the card's certificate is read here, and asked about with
 * the user that the command names.  The stages are c->trace's afterwards, and
 * the result is the question's.
 */
struct cm_cli_question {
	const char *method;
	enum cm_card_purpose purpose;
	struct cm_account *account;	/* out: the caller's, or NULL */
	json_t *explanation;		/* out: the caller's, or NULL */
};
CM_MUST_USE enum cm_err cm_cli_service_question(struct cm_cli *c, struct cm_wire *w, struct cm_cli_question *q);

/* login_service.c: a login, which the service decides; told in the answer. */
CM_MUST_USE enum cm_err cm_cli_login_by_service(struct cm_cli *c);
/* ... begun, with the card of card.source unless r names a reader; what the library returned; and how the service refused. */
CM_MUST_USE enum cm_err cm_cli_login_begin(struct cm_cli *c, struct cardmap_request *r, struct cardmap_login **out);
CM_MUST_USE enum cm_err cm_cli_login_failed(struct cm_cli *c, struct cardmap_login *l, int result);
CM_MUST_USE enum cm_err cm_cli_login_refused(struct cm_cli *c, const struct cardmap_login *l);

/* pair_own.c: the card that is in, with this user's own account; reader NULL: card.source. */
CM_MUST_USE enum cm_err cm_cli_pair_own(struct cm_cli *c, const char *reader);
/* pair_watch.c: each card that opens no account, as it is put in, until the service ends. */
CM_MUST_USE enum cm_err cm_cli_pair_watch(struct cm_cli *c);

/* login_renew.c: the caller's own ticket gets a longer life; told in the answer. */
CM_MUST_USE enum cm_err cm_cli_renew(struct cm_cli *c);

/* enforcement_explain.c: why c->args[1] must use a card; told in the answer. */
CM_MUST_USE enum cm_err cm_cli_explain_enforcement(struct cm_cli *c);

/* enforcement_all.c: of all accounts there are, a line each as it is known. */
CM_MUST_USE enum cm_err cm_cli_explain_all(struct cm_cli *c);

/* cards_follow.c: until the service ends. */
CM_MUST_USE enum cm_err cm_cli_follow_cards(struct cm_cli *c);

/* accounts_service.c: the accounts that are kept, and those that are closed, each shown; or, with forget, the one so named ends. */
struct cm_cli_accounts_visit {
	cm_kept_visit kept;
	cm_standing_visit closed;	/* NULL: they are not wanted */
	void *arg;
};
CM_MUST_USE enum cm_err cm_cli_accounts_of_service(struct cm_cli *c, struct cm_wire *w, const char *forget,
    const struct cm_cli_accounts_visit *v);

/* A time as it is written for people, null: 0; and evidence as cardmapd tells of it.  False: it is none. */
/* Of a list as Accounts and Doctor have it. */
CM_MUST_USE enum cm_err cm_cli_each_kept(struct cm_cli *c, const json_t *list, cm_kept_visit visit, void *arg);
bool cm_cli_read_time(const json_t *o, const char *key, time_t *out);
bool cm_cli_read_evidence(const json_t *o, struct cm_evidence *e);

#endif /* CM_CLI_SERVICE_H */
