/* tests/service/apart_fixture.h - a host that lets people in by what others tell: its store, its files, and real cards' keys. */
#ifndef CM_TESTS_SERVICE_APART_FIXTURE_H
#define CM_TESTS_SERVICE_APART_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <openssl/evp.h>

#include "base/conf.h"
#include "cache/accounts.h"
#include "card/cert.h"
#include "service/message.h"

#define REALM	"EXAMPLE.ORG"

/* A card of the PKI by name: its certificate, and its key in both forms. */
struct card {
	struct cm_cert *cert;
	EVP_PKEY *secret;
	struct cm_key key;
};
void card_load(struct card *c, const char *name);
void card_free(struct card *c);
/* As the card signs it: service/possession.h; the caller's, for free(3). */
struct cm_blob card_sign(const struct card *c, const uint8_t nonce[32]);

/* A folder of its own with a store, an empty configuration, and in etc passwd (root, clerk 1500) and group (root, clerks 1500). */
struct apart_host {
	char folder[32];
	char store_path[64], etc[64], conf_path[64];
	struct cm_conf *conf;
	struct cm_accounts *store;
	struct cm_trace *trace;
};
void host_make(struct apart_host *h);
void host_end(struct apart_host *h);
void host_set(struct apart_host *h, const char *assignment);
void host_write(const struct apart_host *h, const char *name, const char *text, unsigned mode);
/* The store again, as a process that comes later opens it, with accounts kept so many days (0: for ever). */
void host_open_store(struct apart_host *h, int64_t offline_max);

/* alice, uid 10001, gid 10001, groups crew 20000 and clerks 20001; borrowed, all but the ids. */
struct cm_account alice_account(void);

/* issuer_key and serial of this name, for a leaf: borrowed. */
struct cm_blob link_of(uint8_t n);
struct cm_evidence evidence_of(uint8_t n, enum cm_status status);

/* One login online of that account with that card, by link 1 and a CA's link 2, at now. */
void keep(struct apart_host *h, const struct card *c, const struct cm_account *a, time_t now);
void keep_evidence(struct apart_host *h, const struct cm_evidence *e);

#endif /* CM_TESTS_SERVICE_APART_FIXTURE_H */
