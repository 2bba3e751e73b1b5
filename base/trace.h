/* base/trace.h - what each stage saw, and the one reason why it ended as it did. */
#ifndef CM_BASE_TRACE_H
#define CM_BASE_TRACE_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

/*
 * Every refusal and every failure that a person sees carries one of these.
 * A new reason is one row here: its name in logs and JSON, the result that
 * goes with it, and what to do.
 */
#define CM_REASONS(X) \
	X(NONE, OK, "") \
	/* card */ \
	X(NO_READER, OFFLINE, "connect a card reader, and see that pcscd runs (systemctl start pcscd.socket)") \
	X(NO_CARD, OFFLINE, "put the card into the reader") \
	X(SEVERAL_CARDS, USAGE, "leave one card in, or name its reader: --card reader:NAME") \
	X(CARD_REMOVED, OFFLINE, "put the card back in and start again") \
	X(CARD_CHANGED, AGAIN, "leave the card in, and start again") \
	X(CARD_SILENT, OFFLINE, "take the card out and put it in again; if it goes on, try another reader") \
	X(CARD_NOT_PIV, ABSENT, "this card has no PIV application: use a PIV or CAC card, or name its PKCS #11 module in card.modules") \
	X(CARD_NO_CERTIFICATE, ABSENT, "the card holds no certificate in this slot: have it issued again") \
	X(CARD_MALFORMED, SYNTAX, "the card answered what the standard does not allow: have it replaced") \
	X(CARD_KEY, REFUSED, "the card's key does not belong to its certificate: it may be a copy; report it") \
	X(CARD_FILE, CONFIG, "name a PEM file with a certificate and its key: --card file:PATH") \
	X(CARD_MODULE, CONFIG, "see the PKCS #11 module that is named here (card.modules): it must be root's, and load") \
	X(PIN_WRONG, REFUSED, "type the PIN again with care: the card counts the tries") \
	X(PIN_BLOCKED, REFUSED, "the PIN is blocked: the card's issuer can unblock it, and who has its PUK with cardmap pin unblock") \
	X(PIN_LAST_TRY, REFUSED, "one try is left and is not spent unasked: say --last-try to use it") \
	X(PIN_MISSING, USAGE, "type the PIN at the prompt, or hand it over with --pin-fd N") \
	X(PIN_FORM, REFUSED, "a PIV PIN has 6 to 8 digits; one of another token is as long as its maker says") \
	X(PIN_DIFFERS, REFUSED, "type the new PIN twice alike: nothing was sent to the card") \
	X(PUK_WRONG, REFUSED, "type the PUK again with care, as the card's issuer gave it: the card counts its tries too") \
	X(PUK_BLOCKED, REFUSED, "no try of the PUK is left: the card's issuer has to replace the card, or set it up anew") \
	X(PUK_FORM, REFUSED, "a PUK has 6 to 8 characters") \
	/* certificate */ \
	X(CERT_MALFORMED, SYNTAX, "the certificate breaks the encoding rules: have it issued again") \
	X(CERT_EXPIRED, REFUSED, "have the card renewed") \
	X(CERT_NOT_YET_VALID, REFUSED, "wait until it is valid, or set this computer's clock right") \
	X(CERT_USAGE, REFUSED, "use the card's authentication certificate (slot 9A)") \
	X(CERT_UNTRUSTED, REFUSED, "if this issuer is to be trusted, add its certificate to trust.anchors or trust.intermediates") \
	X(CERT_NOT_PINNED, REFUSED, "if this CA is to be trusted, add its fingerprint to TrustedAuthorities or trust.pins") \
	X(CERT_WEAK, REFUSED, "have the card issued again with RSA-2048 or stronger, P-256 or P-384") \
	X(NOT_A_CA, REFUSED, "name the certificate of a CA: of the root, or of one between it and the cards") \
	X(CA_WEAK, REFUSED, "have the CA renewed with RSA-2048 or stronger, P-256 or P-384, and SHA-256") \
	X(NO_SUCH_CA, ABSENT, "cardmap trust list shows those there are") \
	/* revocation */ \
	X(REVOKED, REFUSED, "the card was revoked: its holder needs a new one") \
	X(REVOCATION_UNKNOWN, REFUSED, "see that the OCSP responder or CRL server named here can be reached, then try again") \
	X(REVOCATION_TOO_OLD, REFUSED, "bring the computer to the network, or have new evidence imported: cardmap revocation refresh, or import FILE") \
	X(REVOCATION_DATA, SYNTAX, "have the file made again by the CA, or name the CA's certificate in trust.intermediates") \
	X(SOURCE_SILENT, OFFLINE, "see that the sources named here can be reached; the next cardmap revocation refresh asks them again") \
	X(REFRESH_RUNS, AGAIN, "wait until it has ended, then try again: cardmap revocation status tells what is known") \
	X(NO_SUCH_ISSUER, ABSENT, "cardmap revocation status shows those there are") \
	X(NO_EVIDENCE, ABSENT, "cardmap revocation list shows what is kept") \
	/* account */ \
	X(NO_RULE, ABSENT, "the certificate lacks the fields the rules ask for: see cardmap cert") \
	X(NO_ACCOUNT, ABSENT, "add one of the values named here to the account's entry") \
	X(SEVERAL_ACCOUNTS, AMBIGUOUS, "remove the value from all but one of these accounts; or set mapper.several_accounts = hint and name one") \
	X(NOT_THIS_USER, REFUSED, "log in as the account named here, or use the card of the one you want") \
	X(WEAK_BINDING, REFUSED, "write the strong value named here into the account's entry; cardmap rules generate makes it") \
	X(OTHER_SID, REFUSED, "the card was issued to another account than its values name: see who wrote them, and have it issued again") \
	X(ACCOUNT_DISABLED, REFUSED, "the account is disabled in the directory: its administrator can enable it") \
	X(RULE_REGEX, CONFIG, "write the expression named here more simply") \
	X(SELECTOR, SYSTEM, "see the program that mapper.selector names") \
	X(NOT_SELECTED, ABSENT, "have the program that mapper.selector names learn this key: cardmap pair tells it") \
	X(CHILD, REFUSED, "see the program named here: it must be root's, quick and brief") \
	X(OTHER_CARD, REFUSED, "put the card with the key named here into the reader") \
	X(PAIRED_OTHERWISE, AMBIGUOUS, "cardmap unpair it first") \
	X(ONE_CARD, REFUSED, "unpair the user's other card first, or set accounts.one_card_per_user = no") \
	X(NOT_PAIRED, ABSENT, "cardmap pairings lists those there are") \
	X(PAIRING_OFF, REFUSED, "set accounts.user_pairing = yes to pair cards on this computer") \
	X(PAIRING_FOR_ROOT, REFUSED, "have an administrator pair it: cardmap pair USER; cardmap pairing-ui on lets users of this computer do so") \
	X(PASSWORD_WRONG, REFUSED, "type the password of your own account on this computer: without it no card is paired") \
	X(CARD_OPENS, REFUSED, "log in with it: a card that opens an account is not paired with another") \
	X(NOT_ROOT, REFUSED, "run it as root: sudo, or pkexec where the package's policy is installed") \
	X(ACCOUNT_FORBIDDEN, REFUSED, "cards open no account below accounts.first_uid: map the card to another") \
	X(ACCOUNT_MALFORMED, REFUSED, "mend the attribute named here in the directory") \
	X(DIRECTORY_OFFLINE, OFFLINE, "see that the directory server named here runs and can be reached") \
	X(HOME_UNREAD, SYSTEM, "see that the home directory named here can be read, or leave out the rule about files in homes") \
	X(DIRECTORY_REFUSED, CONFIG, "see directory.bind_dn, its password file and the server's access rules") \
	X(DIRECTORY_TLS, OFFLINE, "see directory.ca, the name in the server's certificate, and this computer's clock") \
	X(ACCOUNT_CHANGED, AGAIN, "start again: the mapping changed while the PIN was awaited") \
	X(LDIF_MALFORMED, SYNTAX, "mend the line named here (RFC 2849)") \
	/* kerberos */ \
	X(KDC_OFFLINE, OFFLINE, "see that the KDC named here runs and can be reached") \
	X(NO_KDC, OFFLINE, "give the account a principal of this host's realm (kerberos.realm), or set kerberos.ticket = optional") \
	X(KDC_REFUSED, REFUSED, "see the KDC's log for this principal") \
	X(KDC_UNTRUSTED, REFUSED, "the KDC's certificate did not verify: see kerberos.anchors") \
	X(TICKET_FORGED, REFUSED, "the ticket does not come from this host's KDC: see the keytab, and look for an impostor") \
	X(NO_TICKET, ABSENT, "get another with the card: cardmap login --refresh") \
	X(CCACHE, SYSTEM, "see kerberos.ccache, and that the folder can be written") \
	/* offline */ \
	X(NOT_KEPT, OFFLINE, "log in once with the network: then the account is kept for offline use") \
	X(KEPT_TOO_OLD, REFUSED, "log in with the network: accounts.offline_days has passed") \
	X(CLOCK_BEHIND, REFUSED, "set this computer's clock right, or log in with the network") \
	X(STORE, SYSTEM, "see accounts.path: owner root, mode 0600, and space on the disk") \
	/* the service */ \
	X(PIN_HELD, REFUSED, "take the card out and put it in again: two wrong PINs were typed since it was put in") \
	X(NOT_HERE, REFUSED, "log in at this computer; for callers from elsewhere see service.remote, service.greeters and service.services") \
	X(NOT_VOUCHED, REFUSED, "give this host a keytab (kerberos.keytab), pair the card, or set service.vouch = resolver") \
	X(LOCAL_COLLISION, REFUSED, "rename one of the two: a directory account never takes the name or id of one of this computer's") \
	X(CARD_DISABLED, REFUSED, "use a card that card.disabled does not name, or have the administrator take it out there") \
	X(CARDS_OFF, REFUSED, "set enforcement.allow_cards = yes to use cards on this computer") \
	X(CARD_REQUIRED, REFUSED, "log in with a card; cardmap enforcement explain tells which step asks for one") \
	X(BUSY, AGAIN, "try again when the login that uses this card has ended") \
	X(NO_SERVICE, OFFLINE, "start it: systemctl start cardmapd.socket, or cardmapd in the foreground") \
	X(HELPER, SYSTEM, "try again; if it goes on, see the system's log for cardmapd") \
	X(CANCELLED, AGAIN, "begin again") \
	X(SECRET_KEY, ABSENT, "have a Key Management key (slot 9D: RSA, P-256 or P-384) put on the card") \
	X(SECRET_SEALED, REFUSED, "use the card it was sealed to, or cardmap secret recover with the key of accounts.secret_recovery") \
	X(SECRET_NONE, ABSENT, "see cardmap secret status; accounts.secret_recovery must have been set when the user logged in") \
	X(SECRET_THERE, REFUSED, "see cardmap secret status; cardmap secret forget ends what is kept") \
	/* general */ \
	X(CONFIG, CONFIG, "mend the line named here; cardmap config check tells more") \
	X(USAGE, USAGE, "see cardmap --help") \
	X(PROOF_MISSING, REFUSED, "report this: a login reached its end without proof") \
	X(SYSTEM, SYSTEM, "see the system's log") \
	X(INJECTED, SYSTEM, "a test asked for this failure")

enum cm_reason {
#define X(name, err, remedy) CM_REASON_##name,
	CM_REASONS(X)
#undef X
	CM_REASON_COUNT
};

/* "no_account": the name in logs and JSON. */
const char *cm_reason_name(enum cm_reason r);
const char *cm_reason_remedy(enum cm_reason r);
/* The other way; CM_REASON_NONE: there is none of this name, which may be NULL. */
enum cm_reason cm_reason_named(const char *name);
enum cm_err cm_reason_err(enum cm_reason r);

/* The item that a stage which failed ends with: the text of its reason. */
#define CM_TRACE_WHY	"why"

/* One thing seen: "filter" = "(altSecurityIdentities=...)". */
struct cm_trace_item {
	char *key;		/* both are owned: of a trace by it, of a message by that */
	char *text;		/* printable: made safe for a terminal when it was added */
};

struct cm_trace_stage {
	const char *name;	/* static text */
	enum cm_err err;
	enum cm_reason reason;	/* CM_REASON_NONE when err is CM_OK */
	int64_t us;		/* how long it took, microseconds */
	bool open;		/* has begun and not ended */
	struct cm_trace_item *items;
	size_t count;
};

struct cm_trace;

CM_MUST_USE enum cm_err cm_trace_new(struct cm_trace **out);
void cm_trace_free(struct cm_trace **t);

/*
 * All below accept a NULL trace, and then only hand their result through.
 * A trace never fails its caller: out of memory, it is shorter.
 */
void cm_trace_begin(struct cm_trace *t, const char *stage);
void cm_trace_end(struct cm_trace *t, enum cm_err err);

/* Something seen, in the stage that is open. */
void cm_trace_add(struct cm_trace *t, const char *key, const char *fmt, ...) CM_PRINTF(3, 4);
void cm_trace_add_blob(struct cm_trace *t, const char *key, struct cm_blob v);

/*
 * Why it cannot go on: the text names the thing ("the certificate of CN=...
 * expired on ...").  Whoever decides speaks last: a later call replaces an
 * earlier one, and a stage that ends CM_OK has none.  Returns the result that
 * goes with the reason, so that callers write
 *	return cm_trace_fail(t, CM_REASON_CERT_EXPIRED, "...", ...);
 */
enum cm_err cm_trace_fail(struct cm_trace *t, enum cm_reason r, const char *fmt, ...) CM_PRINTF(3, 4);

/* The reason of the last failure and its text; CM_REASON_NONE and "" without one. */
enum cm_reason cm_trace_reason(const struct cm_trace *t);
const char *cm_trace_message(const struct cm_trace *t);
void cm_trace_clear_reason(struct cm_trace *t);

/*
 * A stage that another process ran, with its own time: begin it, add its items
 * (CM_TRACE_WHY among them), and end it by this.  name lives as long as t.
 */
void cm_trace_end_told(struct cm_trace *t, enum cm_err err, enum cm_reason reason, int64_t us);

size_t cm_trace_count(const struct cm_trace *t);
const struct cm_trace_stage *cm_trace_stage(const struct cm_trace *t, size_t i);
/* The first stage that ended other than well, or NULL. */
const struct cm_trace_stage *cm_trace_failed(const struct cm_trace *t);
/* Why a stage that failed did: its text; without a stage the trace's. */
const char *cm_trace_why(const struct cm_trace *t, const struct cm_trace_stage *s);
/* The text of the last item so named in any stage, or NULL. */
const char *cm_trace_find(const struct cm_trace *t, const char *key);

#endif /* CM_BASE_TRACE_H */
