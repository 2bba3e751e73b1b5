/* cli/doctor.h - cardmap doctor: what its checks share; inside cli/ only. */
#ifndef CM_CLI_DOCTOR_H
#define CM_CLI_DOCTOR_H

#include "cache/accounts.h"
#include "cli/cli.h"

enum cm_doctor_level { CM_DOCTOR_OK, CM_DOCTOR_WARNING, CM_DOCTOR_FAILURE };

/* How soon is soon, seconds: the journey, and a while in which something can be done. */
#define CM_DOCTOR_TOMORROW	(24 * 3600)
#define CM_DOCTOR_SOON		(14 * CM_DOCTOR_TOMORROW)

struct cm_doctor_servers;

struct cm_doctor {
	struct cm_cli *cli;
	const char *user;		/* NULL: every account that is kept */
	struct cm_wire *daemon, *resolver;	/* the service, where it is asked; else NULL */
	json_t *told;			/* what is kept, as it has that; NULL: it was not asked, or did not say */
	char *silent;			/* why it is there and was not asked; owned */
	bool denied;			/* it answers this not to this user */
	struct cm_host *host;		/* NULL: the service is asked, or the configuration's parts cannot be made */
	struct cm_memory *memory;	/* what is kept here; NULL: the service is asked, there is nothing, or it is not to be read */
	bool knows;			/* what is kept can be told: by told or memory; of the clock then: */
	bool unsound;
	time_t floor;
	size_t more;			/* accounts that are kept and not looked at */
	struct cm_doctor_servers *servers;
	char *own_name;			/* user, where nobody was named; owned */
	char *refused;			/* why the store, or a part, could not be opened; owned */
	bool nothing_kept;		/* there is no store */
	const char *check;		/* the row at work */
	enum cm_doctor_level worst;
	json_t *list;			/* borrowed from the answer */
};

/* A line; remedy: the command that mends it, NULL where nothing is to be mended. */
void cm_doctor_say(struct cm_doctor *d, enum cm_doctor_level level, const char *remedy, const char *fmt, ...) CM_PRINTF(4, 5);

/* One check; says at least one line.  A new one is a row in doctor.c. */
void cm_doctor_clock(struct cm_doctor *d);
void cm_doctor_disk(struct cm_doctor *d);
void cm_doctor_store(struct cm_doctor *d);
void cm_doctor_keytab(struct cm_doctor *d);
void cm_doctor_service(struct cm_doctor *d);
void cm_doctor_pam(struct cm_doctor *d);
void cm_doctor_nss(struct cm_doctor *d);
void cm_doctor_account(struct cm_doctor *d);
void cm_doctor_cas(struct cm_doctor *d);
void cm_doctor_ticket(struct cm_doctor *d);
void cm_doctor_pcscd(struct cm_doctor *d);
void cm_doctor_card(struct cm_doctor *d);
void cm_doctor_ask_servers(struct cm_doctor *d);

/* doctor_kept.c: what is kept, of the service where it runs, or of the store itself.  CM_ERR_NOMEM; what else failed is a check's to say. */
CM_MUST_USE enum cm_err cm_doctor_open(struct cm_doctor *d);
void cm_doctor_close(struct cm_doctor *d);
/* That account's, or the ones last used. */
CM_MUST_USE enum cm_err cm_doctor_each_kept(struct cm_doctor *d, cm_kept_visit visit, void *arg);
/*
 * As cm_outlook_login() (service/outlook.h), and "until", as io.cardmap.Revocation has it.  CM_OK: the caller's
 * Else why is in the trace.
 */
CM_MUST_USE enum cm_err cm_doctor_outlook(struct cm_doctor *d, const struct cm_cert *cert, json_t **out);

/* doctor_servers.c: ask all at once, and go on; NULL: no memory.  They end within CM_DOCTOR_ASK_MS. */
#define CM_DOCTOR_ASK_MS	150
struct cm_doctor_servers *cm_doctor_servers_begin(const struct cm_conf *conf);
void cm_doctor_servers_end(struct cm_doctor_servers **s);

#endif /* CM_CLI_DOCTOR_H */
