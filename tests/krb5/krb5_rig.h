/* tests/krb5/krb5_rig.h - a card, a KDC and a login between them, for the tests of this folder. */
#ifndef CM_TESTS_KRB5_RIG_H
#define CM_TESTS_KRB5_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "krb5/pkinit.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#include <sanitizer/lsan_interface.h>
#endif
#endif
#ifndef SANITIZER_LSAN_INTERFACE_H
#define __lsan_disable()
#define __lsan_enable()
#endif

/* Longest name of a file here. */
#define RIG_PATH	512

/* An open card with its PIN verified, its certificate, and what was seen. */
struct login {
	struct cm_trace *trace;
	struct cm_card *card;
	struct cm_cert *cert;
	struct cm_account account;	/* texts are literals */
	struct cm_pkinit_options options;
	const char *kdcs[4];
	const char *anchors[4];
	const char *intermediates[2];
	char files[4][RIG_PATH];
	unsigned deadline_ms;
	struct cm_pkinit *pkinit;
	struct cm_ticket *ticket;
};

/* A variable of the rig; fails the test when it is not set. */
const char *rig(const char *name);
/* CM_RIG_PKI/name into path. */
const char *rig_file(char path[RIG_PATH], const char *name);

/* source: "reader", or the name of a card file in the PKI.  Everything else is as for a login of alice. */
void login_begin(struct login *l, const char *source);
/* cm_pkinit_open() and cm_pkinit_get_ticket() with what stands in l. */
enum cm_err login_run(struct login *l);
void login_end(struct login *l);

/*
 * A second KDC over the same database, at SECOND_KDC, that trusts strangers'
 * cards too: with the certificate and key so named in the PKI, and more lines
 * for its [libdefaults].
 */
#define SECOND_KDC	"127.0.0.1:8801"
struct kdc {
	pid_t pid;
	int log;
};
void start_kdc(struct kdc *k, const char *identity, const char *libdefaults);
/* End it; what it said since it was ready is in out. */
void stop_kdc(struct kdc *k, char *out, size_t size);
void kadmin(const char *query);

/* The whole of a file, NUL-terminated, to be freed. */
char *read_text(const char *path);
void write_bytes(const char *path, const void *p, size_t len);
/* Run a program; its standard output in out; its exit status. */
int run(char *const argv[], char *out, size_t size);

#endif
