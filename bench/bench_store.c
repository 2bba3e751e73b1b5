/*
 * bench/bench_store.c - a store with many kept accounts, as logins of as many people with as many cards would have left it:
 *
 *	bench_store STORE COUNT FIRST_UID
 *
 * Each has a mobile account, two groups, a certificate of 1,200 octets in a chain of two, and an answer about its revocation.
 */
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "cache/mobile.h"

#define CERTIFICATE	1200
#define KEY		294	/* of RSA-2048 */

struct person {
	char name[32], principal[64], dn[96], home[64], gecos[64], matched[96];
	struct cm_group groups[2];
	struct cm_account account;
	uint8_t certificate[CERTIFICATE], ca[CERTIFICATE], guid[16], key[KEY], link[40];
	struct cm_blob chain[2], links[1];
	struct cm_evidence evidence;
};

static void
describe(unsigned n, uid_t uid, time_t now, struct person *p)
{
	if (RAND_bytes(p->certificate, sizeof(p->certificate)) != 1 || RAND_bytes(p->guid, sizeof(p->guid)) != 1 ||
	    RAND_bytes(p->link + 32, 8) != 1)
		bench_die("RAND_bytes", "no random numbers");
	snprintf(p->name, sizeof(p->name), "kept%05u", n);
	snprintf(p->principal, sizeof(p->principal), "%s@CARDMAP.TEST", p->name);
	snprintf(p->dn, sizeof(p->dn), "uid=%s,ou=people,dc=cardmap,dc=test", p->name);
	snprintf(p->home, sizeof(p->home), "/home/%s", p->name);
	snprintf(p->gecos, sizeof(p->gecos), "Kept %u Example", n);
	snprintf(p->matched, sizeof(p->matched), "Kerberos:%s", p->principal);
	p->groups[0] = (struct cm_group){ .name = (char *)"crew", .gid = 50000 };
	p->groups[1] = (struct cm_group){ .name = (char *)"pilots", .gid = 50001 };
	p->account = (struct cm_account){ .name = p->name, .principal = p->principal, .dn = p->dn, .home = p->home,
		.shell = (char *)"/bin/bash", .gecos = p->gecos, .uid = uid, .gid = 50000, .groups = p->groups, .group_count = 2,
		.rule = (char *)"kerberos", .attribute = (char *)"altSecurityIdentities", .matched = p->matched,
		.source = (char *)"ldap://127.0.0.1" };
	p->chain[0] = (struct cm_blob){ p->certificate, sizeof(p->certificate) };
	p->chain[1] = (struct cm_blob){ p->ca, sizeof(p->ca) };
	p->links[0] = (struct cm_blob){ p->link, sizeof(p->link) };
	p->evidence = (struct cm_evidence){ .serial_len = 8, .status = CM_STATUS_GOOD, .this_update = now - 60,
		.next_update = now + 7 * 24 * 3600, .learned = now, .confirmed = now };
	memcpy(p->evidence.issuer_key, p->link, 32);
	memcpy(p->evidence.serial, p->link + 32, 8);
	snprintf(p->evidence.source, sizeof(p->evidence.source), "OCSP http://ocsp.cardmap.test/");
	snprintf(p->evidence.signer, sizeof(p->evidence.signer), "CN=Responder");
}

static void
keep(struct cm_accounts *s, const struct person *p, time_t now, struct cm_trace *t)
{
	const struct cm_mobile m = { .account = &p->account, .made = now };
	const struct cm_remember_apart r = { .account = &p->account, .certificate = p->chain[0], .chain = p->chain, .chain_count = 2,
		.evidence = &p->evidence, .evidence_count = 1, .now = now, .account_online = true, .mobile = &m,
		.card = { .guid = { p->guid, 16 }, .key = { p->key, sizeof(p->key) }, .links = p->links, .link_count = 1,
		.not_after = now + 1000 * 24 * 3600 } };

	bench_must(cm_accounts_remember_apart(s, &r, t), p->name, t);
}

int
main(int argc, char **argv)
{
	static struct person p;
	struct cm_accounts *s = NULL;
	struct cm_trace *t = NULL;
	const time_t now = cm_clock_now();
	struct cm_accounts_options o = { .first_uid = 1000, .first_gid = 1000 };

	if (argc != 4)
		bench_die("usage", "bench_store STORE COUNT FIRST_UID");
	o.path = argv[1];
	bench_must(cm_trace_new(&t), "trace", NULL);
	bench_must(cm_accounts_open(&o, t, &s), "store", t);
	for (unsigned n = 0; n < strtoul(argv[2], NULL, 10); n++) {
		describe(n, (uid_t)strtoul(argv[3], NULL, 10) + n, now, &p);
		keep(s, &p, now, t);
	}
	cm_accounts_close(&s);
	cm_trace_free(&t);
	return 0;
}
