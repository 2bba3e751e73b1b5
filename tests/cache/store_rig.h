/* tests/cache/store_rig.h - a store in a folder of its own, and things to keep in it. */
#ifndef CM_TESTS_STORE_RIG_H
#define CM_TESTS_STORE_RIG_H

#include "cache/accounts_internal.h"

#define NOW	((time_t)1800000000)	/* 2027-01-15 08:00:00 UTC */
#define DAY	(24 * 3600)

/* What CLOCK_BOOTTIME and the boot's id are said to be. */
extern int64_t rig_boottime;
extern const char *rig_boot_id;		/* NULL: the kernel does not tell */

struct rig {
	char folder[32];
	char path[64];
	struct cm_accounts_options options;	/* path, one day offline, ids from 1000 */
	struct cm_accounts *store;
	struct cm_trace *trace;
	struct cm_cert *cert, *other;		/* of alice, and of somebody else */
	struct rig_service *service;		/* store_service.c */
	struct cm_accounts *remote;
};

/* cmocka's setup and teardown: *state is the rig. */
int rig_open(void **state);
int rig_close(void **state);
void rig_reopen(struct rig *r);
/*
 * Close it, and put a store in its place that version 1 of it made: alice of
 * another certificate, one revoked certificate (rig_evidence(1)), the floor NOW,
 * and no table of pairings.
 */
void rig_former(struct rig *r);

/*
 * Whom a login asks: the store itself, or, in programs built with RIG_REMOTE, a
 * remote store of threads of this program that serve the same file.
 */
struct cm_accounts *rig_asked(struct rig *r);
void rig_stop_asking(struct rig *r);

/* A socket of its own where threads serve the store with these options; ended by rig_service_stop(). */
struct rig_service *rig_service_start(const struct cm_accounts_options *options, const char *path);
struct cm_store_selector;
struct rig_service *rig_service_start_selecting(const struct cm_accounts_options *options, const char *path,
    const struct cm_store_selector *selector);
void rig_service_stop(struct rig_service **s);
/* How connections ended since it started that did not end well: the last such result, or CM_OK. */
enum cm_err rig_service_verdict(struct rig_service *s);

/* alice, uid as told, two groups; borrowed, static but for the uid. */
struct cm_account rig_account(uid_t uid);
/* A login online of that account with that certificate at now, with a chain of it and other. */
struct cm_store_login rig_login(const struct rig *r, const struct cm_account *a, time_t now);
/* Of the certificate numbered n. */
struct cm_evidence rig_evidence(uint8_t n, enum cm_status status, time_t this_update);

/* Of the CA that other is the certificate of; every field with a value of its own. */
struct cm_source rig_source(const struct rig *r, enum cm_source_kind kind, const char *url);

/* Keep, and expect it to work. */
void rig_keep(struct rig *r, const struct cm_store_login *l);
void rig_keep_evidence(struct rig *r, const struct cm_evidence *e, time_t signed_time, time_t now);

void rig_keep_alice(struct rig *r, uid_t uid, time_t now);

void rig_assert_same(const struct cm_account *a, const struct cm_account *b);

/* Find alice's certificate at now. */
enum cm_err rig_find(struct rig *r, time_t now, struct cm_account **out, int64_t *age);
/* Only the result; the message must name want. */
void rig_expect(struct rig *r, time_t now, enum cm_err err, enum cm_reason reason, const char *want);

/* Statements of a hand that is not ours. */
void rig_sql(const struct rig *r, const char *sql);

/* Bytes in SQLite's log, which is lost when it is damaged. */
off_t rig_log_size(const struct rig *r);

#endif /* CM_TESTS_STORE_RIG_H */
