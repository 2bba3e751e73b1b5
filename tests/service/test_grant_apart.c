/* tests/service/test_grant_apart.c - a grant from what others told: every lie of one of them, and nobody gets in by it. */
#include "apart_fixture.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "cache/pairings.h"
#include "service/grant_apart.h"

/* A login as both processes told it, honestly until a row says otherwise. */
struct told {
	struct apart_host h;
	struct card alice, bob;
	struct cm_account account;
	struct cm_key read_key, judged_key;
	struct cm_blob links[2];
	struct cm_octets_list link_list;
	struct cm_evidence rows[2];
	struct cm_evidence_list evidence;
	uint8_t nonce[32], old_nonce[32];
	struct cm_vouched ticket;
	struct cm_blob signature;	/* owned */
	struct cm_grant_apart b;
};

static void
sign_with(struct told *x, const struct card *c, const uint8_t nonce[32])
{
	cm_blob_free(&x->signature);
	x->signature = card_sign(c, nonce);
	x->b.signature = x->signature;
}

static void
begin(struct told *x)
{
	*x = (struct told){ .nonce = { 7 }, .old_nonce = { 8 } };
	host_make(&x->h);
	card_load(&x->alice, "alice-p256");
	card_load(&x->bob, "bob");
	x->account = alice_account();
	x->read_key = x->judged_key = x->alice.key;
	x->links[0] = link_of(1);
	x->links[1] = link_of(2);
	x->link_list = (struct cm_octets_list){ x->links, 2 };
	x->rows[0] = evidence_of(1, CM_STATUS_GOOD);
	x->rows[1] = evidence_of(2, CM_STATUS_GOOD);
	x->evidence = (struct cm_evidence_list){ x->rows, 2 };
	x->ticket = (struct cm_vouched){ .principal = (char *)"alice@" REALM, .authtime = cm_clock_now() };
	x->b = (struct cm_grant_apart){ .conf = x->h.conf, .store = x->h.store, .etc = x->h.etc, .realm = REALM,
		.certificate = cm_cert_der(x->alice.cert), .read_key = &x->read_key, .judged_key = &x->judged_key,
		.account = &x->account, .links = &x->link_list, .evidence = &x->evidence, .not_after = cm_clock_now() + 86400,
		.nonce = x->nonce };
}

static void
end(struct told *x)
{
	cm_blob_free(&x->signature);
	card_free(&x->alice);
	card_free(&x->bob);
	host_end(&x->h);
}

/* ---- Who vouches: the state of an honest login, each by another. */

static void
by_kdc(struct told *x)
{
	x->b.ticket = &x->ticket;
}

/* Offline: the directory is silent, and so is the KDC. */
static void
by_store(struct told *x)
{
	const struct cm_account a = alice_account();

	keep(&x->h, &x->alice, &a, cm_clock_now());
	x->b.kept = true;
	sign_with(x, &x->alice, x->nonce);
}

/* Online, and no KDC. */
static void
by_former_login(struct told *x)
{
	by_store(x);
	x->b.kept = false;
}

static void
pair(struct told *x, const struct card *c, const char *user, bool local)
{
	struct cm_pairing p;

	assert_int_equal(cm_pairing_make(c->cert, user, local, cm_clock_now(), &p), CM_OK);
	assert_int_equal(cm_pairings_add(x->h.store, &p, false, x->h.trace), CM_OK);
	cm_pairing_clear(&p);
}

static void
by_pairing(struct told *x)
{
	pair(x, &x->alice, "alice", false);
	sign_with(x, &x->alice, x->nonce);
}

static void
make_clerk(struct told *x)
{
	x->account = (struct cm_account){ .name = (char *)"clerk", .principal = (char *)"", .dn = (char *)"", .home = (char *)"/x",
		.shell = (char *)"/x", .gecos = (char *)"", .uid = 1500, .gid = 4711, .rule = (char *)"pairing",
		.attribute = (char *)"", .matched = (char *)"clerk", .source = (char *)"local:", .local = true };
}

static void
by_local_pairing(struct told *x)
{
	pair(x, &x->alice, "clerk", true);
	make_clerk(x);
	sign_with(x, &x->alice, x->nonce);
}

static void
by_configuration(struct told *x)
{
	host_set(&x->h, "service.vouch=resolver");
	sign_with(x, &x->alice, x->nonce);
}

static void
by_nobody(struct told *x)
{
	sign_with(x, &x->alice, x->nonce);
}

/* Ticket and row: the second login of somebody. */
static void
by_kdc_again(struct told *x)
{
	by_former_login(x);
	by_kdc(x);
	x->b.signature = (struct cm_blob){ NULL, 0 };
}

static void
by_rsa(struct told *x)
{
	card_free(&x->alice);
	card_load(&x->alice, "alice-rsa2048");
	x->read_key = x->judged_key = x->alice.key;
	x->b.certificate = cm_cert_der(x->alice.cert);
	by_store(x);
}

static void
by_directory_principal(struct told *x)
{
	host_set(&x->h, "kerberos.principal=directory");
	x->account.principal = x->ticket.principal = (char *)"al.ice/desk@" REALM;
	by_kdc(x);
}

/* Let in once as the directory's principal, whatever is said of it now. */
static void
by_kept_principal(struct told *x)
{
	struct cm_account a = alice_account();

	a.principal = x->account.principal = x->ticket.principal = (char *)"ae1@" REALM;
	keep(&x->h, &x->alice, &a, cm_clock_now());
	by_kdc(x);
}

static void
soft_and_nothing_known(struct told *x)
{
	by_kdc(x);
	x->b.evidence = NULL;
}

/* bob, where alice is kept. */
static void
bob_by_kdc(struct told *x)
{
	const struct cm_account alice = alice_account();

	keep(&x->h, &x->alice, &alice, cm_clock_now());
	x->b.certificate = cm_cert_der(x->bob.cert);
	x->read_key = x->judged_key = x->bob.key;
	x->links[0] = link_of(5);
	x->rows[0] = evidence_of(5, CM_STATUS_GOOD);
	x->account.name = (char *)"bob";
	x->account.principal = x->ticket.principal = (char *)"bob@" REALM;
	x->account.uid = 10002;
	by_kdc(x);
}

static void
test_honest(void **state)
{
	static void (*const ways[])(struct told *) = { by_kdc, by_store, by_former_login, by_pairing, by_local_pairing,
		by_configuration, by_kdc_again, by_rsa, by_directory_principal, by_kept_principal, soft_and_nothing_known, bob_by_kdc };

	(void)state;
	for (size_t i = 0; i < CM_COUNT(ways); i++) {
		struct cm_grant *g = NULL;
		struct told x;

		begin(&x);
		ways[i](&x);
		if (cm_grant_make_apart(&x.b, x.h.trace, &g) != CM_OK)
			fail_msg("way %zu: %s", i, cm_trace_message(x.h.trace));
		assert_string_equal(cm_grant_account(g)->name, x.account.name);
		assert_int_equal(cm_grant_account(g)->uid, x.account.uid);
		cm_grant_free(&g);
		end(&x);
	}
}

/* ---- Lies of the resolver. */

static void
other_name(struct told *x)
{
	x->account.name = (char *)"bob";
}

static void
other_account(struct told *x)
{
	x->account.name = (char *)"bob";
	x->account.principal = (char *)"bob@" REALM;
	x->account.uid = 10002;
}

static void
other_principal(struct told *x)
{
	x->account.principal = (char *)"bob@" REALM;
}

static void
other_uid(struct told *x)
{
	x->account.uid = 10009;
}

static void
uid_of_alice(struct told *x)
{
	x->account.uid = 10001;
}

static void
uid_of_root(struct told *x)
{
	x->account.uid = 0;
}

static void
low_uid(struct told *x)
{
	x->account.uid = 999;
}

static void
low_gid(struct told *x)
{
	x->account.gid = 999;
}

static void
uid_of_clerk(struct told *x)
{
	x->account.uid = 1500;
}

static void
name_of_clerk(struct told *x)
{
	x->account.name = (char *)"clerk";
	x->account.principal = x->ticket.principal = (char *)"clerk@" REALM;
}

static void
gid_of_clerks(struct told *x)
{
	x->account.gid = 1500;
}

static void
named_root(struct told *x)
{
	x->account.name = (char *)"toor";
	x->account.local = true;
}

static void
local_root(struct told *x)
{
	make_clerk(x);
	x->account.name = (char *)"root";
	x->account.uid = 0;
}

static void
local_clerk(struct told *x)
{
	make_clerk(x);
}

static void
local_clerk_other_uid(struct told *x)
{
	x->account.uid = 1501;
}

/* Paired as an account of the directory; it is said to be this computer's of that name. */
static void
paired_elsewhere(struct told *x)
{
	pair(x, &x->alice, "clerk", false);
	make_clerk(x);
}

static void
paired_with_bob(struct told *x)
{
	pair(x, &x->alice, "bob", false);
}

static void
bobs_pairing(struct told *x)
{
	pair(x, &x->bob, "alice", false);
}

/* Another key with the SHA-1 of alice's: that hash alone is weak (cache/pairings.h). */
static void
paired_by_sha1_alone(struct told *x)
{
	struct cm_pairing p;

	assert_int_equal(cm_pairing_make(x->alice.cert, "alice", false, cm_clock_now(), &p), CM_OK);
	p.spki_sha256[31] ^= 1;
	assert_int_equal(cm_pairings_add(x->h.store, &p, false, x->h.trace), CM_OK);
	cm_pairing_clear(&p);
}

static void
other_judged_key(struct told *x)
{
	x->judged_key = x->bob.key;
}

static void
no_key(struct told *x)
{
	x->read_key.kind = x->judged_key.kind = CM_KEY_NONE;
}

static void
kept_but_not(struct told *x)
{
	x->b.kept = true;
}

static void
kept_too_long_ago(struct told *x)
{
	const struct cm_account a = alice_account();

	keep(&x->h, &x->alice, &a, cm_clock_now() - 2 * 86400);
	host_open_store(&x->h, 86400);
	x->b.store = x->h.store;
}

/* The directory is said to have answered: that the account was kept too long is not forgotten by that. */
static void
too_long_ago_and_online(struct told *x)
{
	kept_too_long_ago(x);
	x->b.kept = false;
}

static void
revoked_here(struct told *x)
{
	const struct cm_evidence e = evidence_of(1, CM_STATUS_REVOKED);

	keep_evidence(&x->h, &e);
}

static void
on_hold_here(struct told *x)
{
	struct cm_evidence e = evidence_of(1, CM_STATUS_REVOKED);

	e.on_hold = true;
	e.this_update -= 100;
	x->rows[0].by_list = true;	/* a later list, as it says */
	keep_evidence(&x->h, &e);
}

static void
ca_revoked_here(struct told *x)
{
	const struct cm_evidence e = evidence_of(2, CM_STATUS_REVOKED);

	keep_evidence(&x->h, &e);
}

/* The CA above the certificate is kept as revoked, so it is told to be under another. */
static void
other_ca(struct told *x)
{
	ca_revoked_here(x);
	x->links[1] = link_of(3);
	x->rows[1] = evidence_of(3, CM_STATUS_GOOD);
}

/* It is kept as revoked, so another name is given to it; but it was here before. */
static void
other_serial(struct told *x)
{
	revoked_here(x);
	x->links[0] = link_of(3);
	x->rows[0] = evidence_of(3, CM_STATUS_GOOD);
}

static void
nothing_said_at_hard(struct told *x)
{
	host_set(&x->h, "trust.level=hard");
	x->b.evidence = NULL;
}

static void
good_of_another_at_hard(struct told *x)
{
	host_set(&x->h, "trust.level=hard");
	x->rows[0] = evidence_of(3, CM_STATUS_GOOD);
}

static void
told_revoked(struct told *x)
{
	x->rows[0] = evidence_of(1, CM_STATUS_REVOKED);
}

static void
no_links(struct told *x)
{
	x->b.links = NULL;
}

static void
short_link(struct told *x)
{
	x->links[0].len = 32;
}

static void
expired(struct told *x)
{
	x->b.not_after = cm_clock_now() - 1;
}

/* It is said to be good for long; it was not, when it was here. */
static void
expired_here(struct told *x)
{
	const struct cm_account a = alice_account();

	keep(&x->h, &x->alice, &a, cm_clock_now() - 40 * 86400);
}

static void
other_realm(struct told *x)
{
	x->account.principal = x->ticket.principal = (char *)"alice@ELSEWHERE.ORG";
}

static void
instance(struct told *x)
{
	x->account.principal = x->ticket.principal = (char *)"alice/admin@" REALM;
}

static void
name_with_realm(struct told *x)
{
	x->account.name = (char *)"alice@x";
	x->account.principal = x->ticket.principal = (char *)"alice@x@" REALM;
}

/* The KDC vouches for nobody of this computer. */
static void
local_of_that_name(struct told *x)
{
	make_clerk(x);
	x->account.principal = x->ticket.principal = (char *)"clerk@" REALM;
}

static void
no_realm(struct told *x)
{
	x->b.realm = NULL;
}

static void
readable_passwd(struct told *x)
{
	host_write(&x->h, "etc/passwd", "", 0666);
}

static void
no_group_file(struct told *x)
{
	x->b.etc = "/nonexistent";
}

/* ---- Lies of the card helper. */

/* A copy of bob's certificate with alice's key: the resolver, who is honest, names bob and his key. */
static void
another_certificate(struct told *x)
{
	x->b.certificate = cm_cert_der(x->bob.cert);
	x->judged_key = x->bob.key;
	other_account(x);
}

/* The same with the key that goes with it, which the card does not have (CVE-2025-24032). */
static void
copied_certificate(struct told *x)
{
	another_certificate(x);
	x->read_key = x->bob.key;
	sign_with(x, &x->alice, x->nonce);
}

static void
signed_by_another(struct told *x)
{
	sign_with(x, &x->bob, x->nonce);
}

static void
old_nonce(struct told *x)
{
	sign_with(x, &x->alice, x->old_nonce);
}

static void
no_signature(struct told *x)
{
	x->b.signature = (struct cm_blob){ NULL, 0 };
}

static void
broken_signature(struct told *x)
{
	((uint8_t *)(uintptr_t)x->signature.ptr)[x->signature.len - 1] ^= 1;
}

static void
signature_and_more(struct told *x)
{
	static uint8_t longer[256];

	memcpy(longer, x->signature.ptr, x->signature.len);
	x->b.signature = (struct cm_blob){ longer, x->signature.len + 1 };
}

static void
ticket_of_another(struct told *x)
{
	x->ticket.principal = (char *)"bob@" REALM;
}

static void
nonce_missing(struct told *x)
{
	x->b.nonce = NULL;
}

/* Another key for the certificate that was here, and both say so. */
static void
new_key_for_old_certificate(struct told *x)
{
	x->read_key = x->judged_key = x->bob.key;
	sign_with(x, &x->bob, x->nonce);
}

/* ---- Both. */

static void
all_of_bob(struct told *x)
{
	x->b.certificate = cm_cert_der(x->bob.cert);
	x->read_key = x->judged_key = x->bob.key;
	sign_with(x, &x->bob, x->nonce);
}

static const struct lie {
	const char *name;
	void (*honest)(struct told *);
	void (*lie)(struct told *);
	enum cm_err err;
	enum cm_reason reason;
} lies[] = {
#define LIE(honest, lie, err, reason)	{ #lie " " #honest, honest, lie, CM_ERR_##err, CM_REASON_##reason }
	LIE(by_kdc, other_name, REFUSED, NOT_VOUCHED),
	LIE(by_kdc, other_account, REFUSED, TICKET_FORGED),
	LIE(by_kdc, other_principal, REFUSED, TICKET_FORGED),
	LIE(by_directory_principal, other_principal, REFUSED, TICKET_FORGED),
	LIE(by_kdc, uid_of_root, REFUSED, LOCAL_COLLISION),
	LIE(by_kdc, low_uid, REFUSED, ACCOUNT_FORBIDDEN),
	LIE(by_kdc, low_gid, REFUSED, ACCOUNT_FORBIDDEN),
	LIE(by_kdc, uid_of_clerk, REFUSED, LOCAL_COLLISION),
	LIE(by_kdc, name_of_clerk, REFUSED, LOCAL_COLLISION),
	LIE(by_kdc, gid_of_clerks, REFUSED, LOCAL_COLLISION),
	LIE(by_kdc, named_root, REFUSED, LOCAL_COLLISION),
	LIE(by_kdc, local_root, REFUSED, ACCOUNT_FORBIDDEN),
	LIE(by_configuration, local_root, REFUSED, ACCOUNT_FORBIDDEN),
	LIE(by_kdc, local_clerk, REFUSED, TICKET_FORGED),
	LIE(by_kdc, local_of_that_name, REFUSED, NOT_VOUCHED),
	LIE(by_store, local_clerk, REFUSED, PROOF_MISSING),
	LIE(by_nobody, local_clerk, REFUSED, NOT_VOUCHED),
	LIE(by_local_pairing, local_clerk_other_uid, REFUSED, LOCAL_COLLISION),
	LIE(by_nobody, paired_elsewhere, REFUSED, NOT_VOUCHED),
	LIE(by_nobody, paired_with_bob, REFUSED, NOT_VOUCHED),
	LIE(by_nobody, bobs_pairing, REFUSED, NOT_VOUCHED),
	LIE(by_nobody, paired_by_sha1_alone, REFUSED, NOT_VOUCHED),
	LIE(by_pairing, other_name, REFUSED, NOT_VOUCHED),
	LIE(by_nobody, no_realm, REFUSED, NOT_VOUCHED),
	LIE(by_kdc, no_realm, REFUSED, NOT_VOUCHED),
	LIE(by_kdc, other_realm, REFUSED, NOT_VOUCHED),
	LIE(by_kdc, instance, REFUSED, NOT_VOUCHED),
	LIE(by_kdc, name_with_realm, REFUSED, NOT_VOUCHED),
	LIE(by_kdc, other_judged_key, REFUSED, PROOF_MISSING),
	LIE(by_kdc, no_key, REFUSED, PROOF_MISSING),
	LIE(by_kdc, kept_but_not, OFFLINE, NOT_KEPT),
	LIE(by_nobody, kept_but_not, OFFLINE, NOT_KEPT),
	LIE(by_kdc_again, other_name, REFUSED, PROOF_MISSING),
	LIE(by_kdc_again, other_uid, REFUSED, PROOF_MISSING),
	LIE(by_store, other_uid, REFUSED, PROOF_MISSING),
	LIE(by_store, other_account, REFUSED, PROOF_MISSING),
	LIE(by_former_login, other_account, REFUSED, PROOF_MISSING),
	LIE(by_kept_principal, instance, REFUSED, NOT_VOUCHED),
	LIE(by_store, kept_too_long_ago, REFUSED, KEPT_TOO_OLD),
	LIE(by_former_login, too_long_ago_and_online, REFUSED, NOT_VOUCHED),
	LIE(bob_by_kdc, uid_of_alice, REFUSED, LOCAL_COLLISION),
	LIE(by_kdc, revoked_here, REFUSED, REVOKED),
	LIE(by_store, revoked_here, REFUSED, REVOKED),
	LIE(by_configuration, revoked_here, REFUSED, REVOKED),
	LIE(by_kdc, on_hold_here, REFUSED, REVOKED),
	LIE(by_kdc, ca_revoked_here, REFUSED, REVOKED),
	LIE(by_kdc_again, other_ca, REFUSED, REVOKED),
	LIE(by_kdc_again, other_serial, REFUSED, PROOF_MISSING),
	LIE(by_kdc_again, no_links, REFUSED, PROOF_MISSING),
	LIE(by_kdc, no_links, REFUSED, PROOF_MISSING),
	LIE(by_kdc, short_link, REFUSED, PROOF_MISSING),
	LIE(by_kdc, told_revoked, REFUSED, REVOKED),
	LIE(by_kdc, nothing_said_at_hard, REFUSED, REVOCATION_UNKNOWN),
	LIE(by_store, nothing_said_at_hard, REFUSED, REVOCATION_UNKNOWN),
	LIE(by_kdc, good_of_another_at_hard, REFUSED, REVOCATION_UNKNOWN),
	LIE(by_kdc, expired, REFUSED, CERT_EXPIRED),
	LIE(by_kdc, expired_here, REFUSED, CERT_EXPIRED),
	LIE(by_kdc, readable_passwd, SYSTEM, SYSTEM),
	LIE(by_kdc, no_group_file, SYSTEM, SYSTEM),

	LIE(by_kdc, another_certificate, REFUSED, PROOF_MISSING),
	LIE(by_configuration, copied_certificate, REFUSED, CARD_KEY),
	LIE(by_configuration, signed_by_another, REFUSED, CARD_KEY),
	LIE(by_store, signed_by_another, REFUSED, CARD_KEY),
	LIE(by_pairing, signed_by_another, REFUSED, CARD_KEY),
	LIE(by_store, old_nonce, REFUSED, CARD_KEY),
	LIE(by_configuration, old_nonce, REFUSED, CARD_KEY),
	LIE(by_rsa, old_nonce, REFUSED, CARD_KEY),
	LIE(by_store, broken_signature, REFUSED, CARD_KEY),
	LIE(by_rsa, broken_signature, REFUSED, CARD_KEY),
	LIE(by_store, signature_and_more, REFUSED, CARD_KEY),
	LIE(by_store, no_signature, REFUSED, PROOF_MISSING),
	LIE(by_store, nonce_missing, REFUSED, PROOF_MISSING),
	LIE(by_kdc, ticket_of_another, REFUSED, TICKET_FORGED),
	LIE(by_kdc_again, ticket_of_another, REFUSED, TICKET_FORGED),
	LIE(by_store, new_key_for_old_certificate, REFUSED, PROOF_MISSING),
	LIE(by_kdc_again, new_key_for_old_certificate, REFUSED, PROOF_MISSING),

	LIE(by_store, all_of_bob, OFFLINE, NOT_KEPT),
	LIE(by_former_login, all_of_bob, REFUSED, NOT_VOUCHED),
	LIE(by_pairing, all_of_bob, REFUSED, NOT_VOUCHED),
};

static void
test_lies(void **state)
{
	(void)state;
	for (size_t i = 0; i < CM_COUNT(lies); i++) {
		struct cm_grant *g = NULL;
		struct told x;
		enum cm_err err;

		begin(&x);
		lies[i].honest(&x);
		lies[i].lie(&x);
		err = cm_grant_make_apart(&x.b, x.h.trace, &g);
		if (err != lies[i].err || cm_trace_reason(x.h.trace) != lies[i].reason || g != NULL)
			fail_msg("%s: %s, %s: %s", lies[i].name, cm_err_name(err), cm_reason_name(cm_trace_reason(x.h.trace)),
			    cm_trace_message(x.h.trace));
		assert_string_not_equal(cm_trace_message(x.h.trace), "");
		end(&x);
	}
}

/* Kept by a version that kept no key: that card is proved online, or not at all. */
static void
test_row_without_key(void **state)
{
	const struct cm_account a = alice_account();
	struct cm_grant *g = NULL;
	struct cm_recognised found;
	struct told x;

	(void)state;
	begin(&x);
	const struct cm_remember_apart r = { .account = &a, .certificate = cm_cert_der(x.alice.cert), .now = cm_clock_now(),
		.account_online = true, .card = { .guid = { (const uint8_t *)"0123456789abcdef", 16 } } };

	assert_int_equal(cm_accounts_remember_apart(x.h.store, &r, x.h.trace), CM_OK);
	sign_with(&x, &x.alice, x.nonce);
	x.b.kept = true;
	assert_int_equal(cm_grant_make_apart(&x.b, x.h.trace, &g), CM_ERR_REFUSED);
	assert_int_equal(cm_trace_reason(x.h.trace), CM_REASON_NOT_VOUCHED);
	assert_int_equal(cm_accounts_recognise(x.h.store, r.card.guid, NULL, x.h.trace, &found), CM_ERR_ABSENT);
	x.b.kept = false;
	by_kdc(&x);
	assert_int_equal(cm_grant_make_apart(&x.b, x.h.trace, &g), CM_OK);
	cm_grant_free(&g);
	end(&x);
}

/* Offline it is all as it was kept, whatever the resolver says of it; and groups that are this computer's are not there. */
static void
test_kept_account_is_the_stores(void **state)
{
	struct cm_grant *g = NULL;
	struct told x;

	(void)state;
	begin(&x);
	by_store(&x);
	x.account.home = (char *)"/home/mallory";
	x.account.principal = (char *)"mallory@" REALM;
	x.account.gid = 10666;
	assert_int_equal(cm_grant_make_apart(&x.b, x.h.trace, &g), CM_OK);
	assert_string_equal(cm_grant_account(g)->home, "/home/alice");
	assert_string_equal(cm_grant_account(g)->principal, "alice@" REALM);
	assert_int_equal(cm_grant_account(g)->gid, 10001);
	assert_int_equal(cm_grant_account(g)->group_count, 1);
	assert_string_equal(cm_grant_account(g)->groups[0].name, "crew");
	assert_non_null(cm_trace_find(x.h.trace, "group dropped"));
	cm_grant_free(&g);
	end(&x);
}

/* Of an account of this computer all is as /etc/passwd has it. */
static void
test_local_account_is_the_files(void **state)
{
	struct cm_grant *g = NULL;
	struct told x;

	(void)state;
	begin(&x);
	by_local_pairing(&x);
	assert_int_equal(cm_grant_make_apart(&x.b, x.h.trace, &g), CM_OK);
	assert_int_equal(cm_grant_account(g)->gid, 1500);
	assert_string_equal(cm_grant_account(g)->home, "/home/clerk");
	assert_string_equal(cm_grant_account(g)->shell, "/bin/dash");
	assert_string_equal(cm_grant_account(g)->gecos, "Clerk,1");
	assert_int_equal(cm_grant_account(g)->group_count, 0);
	cm_grant_free(&g);
	end(&x);
}

/* A ticket that would not do makes the card sign as well. */
static void
test_is_vouched_by_ticket(void **state)
{
	static const struct {
		void (*honest)(struct told *), (*lie)(struct told *);
		bool does;
	} rows[] = {
		{ by_kdc, NULL, true }, { by_directory_principal, NULL, true }, { by_kept_principal, NULL, true },
		{ by_nobody, NULL, false }, { by_kdc, other_name, false }, { by_kdc, other_realm, false },
		{ by_kdc, instance, false }, { by_kdc, local_of_that_name, false }, { by_kdc, ticket_of_another, false },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(rows); i++) {
		struct told x;

		begin(&x);
		rows[i].honest(&x);
		if (rows[i].lie != NULL)
			rows[i].lie(&x);
		assert_int_equal(cm_grant_is_vouched_by_ticket(&x.b), rows[i].does);
		end(&x);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_honest),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_row_without_key),
		cmocka_unit_test(test_kept_account_is_the_stores),
		cmocka_unit_test(test_local_account_is_the_files),
		cmocka_unit_test(test_is_vouched_by_ticket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
