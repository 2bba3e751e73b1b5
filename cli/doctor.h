/* cli/doctor.h - cardmap doctor: what its checks share; inside cli/ only. */
#ifndef CM_CLI_DOCTOR_H
#define CM_CLI_DOCTOR_H

#include "cli/cli.h"

enum cm_doctor_level { CM_DOCTOR_OK, CM_DOCTOR_WARNING, CM_DOCTOR_FAILURE };

/* How soon is soon, seconds: the journey, and a while in which something can be done. */
#define CM_DOCTOR_TOMORROW	(24 * 3600)
#define CM_DOCTOR_SOON		(14 * CM_DOCTOR_TOMORROW)

struct cm_doctor_servers;

struct cm_doctor {
	struct cm_cli *cli;
	const char *user;		/* NULL: every account that is kept */
	struct cm_host *host;		/* NULL: the configuration's parts cannot be made */
	struct cm_memory *memory;	/* what is kept; NULL: nothing, or not to be read */
	struct cm_doctor_servers *servers;
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

/* doctor_servers.c: ask all at once, and go on; NULL: no memory.  They end within CM_DOCTOR_ASK_MS. */
#define CM_DOCTOR_ASK_MS	150
struct cm_doctor_servers *cm_doctor_servers_begin(const struct cm_conf *conf);
void cm_doctor_servers_end(struct cm_doctor_servers **s);

#endif /* CM_CLI_DOCTOR_H */
