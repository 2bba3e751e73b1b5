/* service/message.h - what cardmapd, its resolver and its card helpers say to each other: typed, length-checked. */
#ifndef CM_SERVICE_MESSAGE_H
#define CM_SERVICE_MESSAGE_H

#include "base/buf.h"
#include "base/clock.h"
#include "base/trace.h"
#include "ldap/directory.h"
#include "ldap/facts.h"
#include "trust/trust.h"

/*
 * A message has a kind, and the fields of that kind: all of them, each once, in
 * the table's order, each within its limit, and nothing behind them.  It
 * travels as one datagram of a SOCK_SEQPACKET socket (service/channel.h), so
 * that the kernel keeps its bounds.  Numbers are 64 bits, little end first.
 * No PIN is ever a field: it goes through a pipe whose descriptor is passed
 * beside the message, and only the card helper reads from it.
 *
 * Whoever receives one believes nothing of it: the process that sent it may
 * be taken over.  What may be asked, and answered, in which state is a table
 * of its receiver.
 */
#define CM_MESSAGE_MAX	((size_t)128 << 10)	/* octets */
#define CM_WATCH_SILENT_MS	30000	/* who watches readers and says nothing for so long hangs */

/* A public key taken apart, so that whoever checks a signature parses nothing. */
enum cm_key_kind { CM_KEY_NONE, CM_KEY_RSA, CM_KEY_P256, CM_KEY_P384 };
#define CM_KEY_OCTETS_MAX	512
struct cm_key {
	enum cm_key_kind kind;
	uint8_t octets[CM_KEY_OCTETS_MAX];	/* RSA: modulus, big end first, no leading zero; EC: point, uncompressed */
	size_t len;
	uint64_t exponent;			/* RSA */
};

#define CM_MESSAGE_ITEM_KEY_MAX	64
#define CM_MESSAGE_ITEM_MAX	2048
#define CM_MESSAGE_OCTETS_MAX	16384	/* of a row of octets */
#define CM_MESSAGE_TIME_MAX	INT64_C(253402300799)	/* the last second of 9999 (RFC 5280 4.1.2.5) */

/* What a field is, and its limit: of a text or octets their number, of a list its rows. */
#define CM_MESSAGE_FIELDS(X) \
	X(err, number, CM_ERR_STATE)		/* enum cm_err: how it ended; reason and text go with it */ \
	X(reason, number, CM_REASON_COUNT - 1) \
	X(text, text, 2048) \
	X(items, items, 128)			/* of the trace: keys, and texts of CM_MESSAGE_ITEM_MAX */ \
	X(deadline, number, 120000)		/* milliseconds that the receiver has */ \
	X(reader, text, 256) \
	X(atr, octets, 33) \
	X(present, number, 1) \
	X(gone, number, 1)			/* the reader itself was disconnected */ \
	X(modules, octets_list, 16)		/* paths of PKCS #11 modules for a card without a PIV application */ \
	X(modules_only, number, 1)		/* its PIV application is not looked for */ \
	X(insertion, number, UINT32_MAX)	/* counts insertions of one reader */ \
	X(pcscd, number, UINT32_MAX)		/* which pcscd tells of it, and its count of events of the reader: card/watch.h */ \
	X(events, number, UINT16_MAX) \
	X(certificate, octets, 16384)		/* DER */ \
	X(slot, number, 0x9F)			/* of the card, by its key reference; 0: 9A */ \
	X(slots, octets, 24)			/* one to an octet */ \
	X(certificates, octets_list, 24)	/* of slots: the slot, and behind it the certificate's DER */ \
	X(cached, number, 1)			/* it was not read from the card, but handed to the helper */ \
	X(guid, octets, 16)			/* of the CHUID; none: the card cannot be recognised */ \
	X(global_pin, number, 1)		/* the card wants its global PIN, not its application's: kept with the certificate */ \
	X(tries, number, UINT32_MAX)		/* CM_TRIES_UNKNOWN */ \
	X(last_try, number, 1) \
	X(pad, number, 1)			/* the reader takes the PIN itself */ \
	X(commands, number, UINT32_MAX)		/* card commands used so far */ \
	X(key, key, 0) \
	X(nonce, octets, 32) \
	X(signature, octets, 512) \
	X(principal, text, 512) \
	X(host_principal, text, 512)		/* who the ticket is shown to */ \
	X(ap_req, octets, 65536)		/* RFC 4120 5.5.1, made for this host, its checksum over the nonce */ \
	X(ticket, octets, 65536)		/* the TGT as a ccache of MIT's file format, opaque to cardmapd */ \
	X(kdc_silent, number, 1) \
	X(subject, text, 1024)			/* RFC 4514, printable */ \
	X(serial, octets, 32)			/* of the certificate: content octets of serialNumber */ \
	X(links, octets_list, 16)		/* SHA-256 of the issuer's SubjectPublicKeyInfo and, behind it, serial: of each certificate below the anchor, leaf first */ \
	X(not_after, number, CM_MESSAGE_TIME_MAX)		/* the least of the chain */ \
	X(user, text, 256)			/* who wants to log in; "": not said */ \
	X(account, account, 1024)		/* groups */ \
	X(group, text, 256)			/* "": that of the configuration, where it is in force */ \
	X(facts, octets, CM_FACTS_OCTETS_MAX)	/* cm_facts_pack(); none: nothing was said */ \
	X(kept, number, 1)			/* the directory was silent: it is the kept account */ \
	X(kept_age, number, INT64_MAX) \
	X(signed_time, number, CM_MESSAGE_TIME_MAX) \
	X(chain, octets_list, 16)		/* DER, leaf first */ \
	X(evidence, evidence, 64) \
	X(uid, number, UINT32_MAX) \
	X(sealed, octets_list, 8)		/* service/secret_seal.h */ \
	X(recovery, octets, 16384)		/* a certificate's file, which nobody has read yet; or what is sealed to it */

/* Which fields each kind has.  "to" and "from" are as the resolver and the helper see it. */
#define CM_MESSAGE_KINDS(X) \
	/* to the card helper: one connection watches all readers, or has one card */ \
	X(WATCH,	"") \
	X(READER,	"err reason text reader atr present gone insertion pcscd events") \
		/* from it, for each reader at first, then at each change; reader "": no pcscd, err says so, and no reader is there */ \
	X(ALIVE,	"")					/* from it, three times in CM_WATCH_SILENT_MS: it still watches */ \
	X(OPEN,		"reader insertion modules modules_only deadline")		/* with a file, where APDUs are to be written down */ \
	X(RECOGNISE,	"guid")					/* from it, while it opens: whose certificate is that? */ \
	X(RECOGNISED,	"certificate slot global_pin")		/* to it; none: read it */ \
	X(READ_AGAIN,	"deadline")				/* the cached certificate's key did not prove itself: read its slot */ \
	X(OPENED,	"err reason text items certificate cached guid global_pin tries pad commands key")	/* of OPEN and READ_AGAIN */ \
	X(VERIFY,	"last_try pad deadline")		/* with the pipe, unless pad */ \
	X(VERIFIED,	"err reason text items tries commands") \
	X(SIGN,		"nonce deadline")			/* proof of possession: service/possession.h */ \
	X(SIGNED,	"err reason text items signature commands") \
	X(EXPECT_TICKET, "principal deadline")			/* the PIN is being asked for: begin what needs none.  No answer */ \
	X(GET_TICKET,	"principal host_principal nonce deadline") \
	X(TICKET,	"err reason text items principal ap_req ticket kdc_silent key commands") \
	X(CHANGE_PIN,	"last_try deadline")			/* with two pipes: old, new */ \
	X(CHANGED_PIN,	"err reason text items tries commands") \
	/* to the resolver: one connection for each card */ \
	X(CHAIN,	"certificate deadline") \
	X(CHAINED,	"err reason text items key subject serial links not_after") \
	X(ACCOUNT,	"user deadline") \
	X(FOUND,	"err reason text items account kept kept_age facts") \
	X(REVOCATION,	"deadline") \
	X(JUDGED,	"err reason text items chain evidence signed_time") \
	X(KDC_STATE,	"")					/* is a KDC known to be silent?  The resolver probes them */ \
	X(KDC_STATED,	"kdc_silent text") \
	X(KDC_SILENT,	"")					/* a helper waited in vain: probe until one answers */ \
	X(STATE,	"")					/* for people: what it is connected to, and who is silent */ \
	X(STATED,	"items")				/* keys "connections", "searches", "silent" (each server that is), "kdc" (none answers) */ \
	X(STANDING,	"user group deadline")			/* FOUND: how this name's account stands, of whom no card is there */ \
	/* to the card helper again */ \
	X(UNSEAL,	"user uid sealed recovery deadline")	/* with the pipe that the secret is written to: no message has it */ \
	X(UNSEALED,	"err reason text items sealed recovery commands")	/* what is to be kept: none, or one */ \
	/* to the card helper, before the PIN */ \
	X(OTHERS,	"slots deadline")			/* which of these hold a certificate that is meant for logging in? */ \
	X(FOUND_OTHERS,	"err reason text items certificates commands") \
	X(USE,		"certificate slot")			/* OPENED: from now on it is about this one, of that slot; nothing is read */

enum cm_message_kind {
	CM_MESSAGE_NONE,
#define X(name, fields) CM_MESSAGE_##name,
	CM_MESSAGE_KINDS(X)
#undef X
	CM_MESSAGE_KIND_COUNT
};

struct cm_message_items {
	struct cm_trace_item *rows;	/* owned, with their texts */
	size_t count;
};
struct cm_octets_list {
	struct cm_blob *rows;		/* owned, with their octets */
	size_t count;
};
struct cm_evidence_list {
	struct cm_evidence *rows;	/* owned */
	size_t count;
};

/* Fields that are not the kind's are zero.  All is owned, and freed by cm_message_clear(). */
struct cm_message {
	enum cm_message_kind kind;
#define CM_FIELD_number(name)	uint64_t name;
#define CM_FIELD_text(name)	char *name;			/* NULL stands for "" when it is written; never NULL when it was read */
#define CM_FIELD_octets(name)	struct cm_blob name;
#define CM_FIELD_key(name)	struct cm_key name;
#define CM_FIELD_items(name)	struct cm_message_items name;
#define CM_FIELD_account(name)	struct cm_account *name;	/* NULL: none */
#define CM_FIELD_octets_list(name) struct cm_octets_list name;
#define CM_FIELD_evidence(name)	struct cm_evidence_list name;
#define X(name, type, max) CM_FIELD_##type(name)
	CM_MESSAGE_FIELDS(X)
#undef X
};
void cm_message_clear(struct cm_message *m);
const char *cm_message_kind_name(enum cm_message_kind kind);

/* Append it.  CM_ERR_USAGE: a field is over its limit, or it is longer than CM_MESSAGE_MAX; CM_ERR_NOMEM */
CM_MUST_USE enum cm_err cm_message_write(const struct cm_message *m, struct cm_buf *out);
/*
 * CM_ERR_SYNTAX  it is none: no such kind, a field too long, cut short, out of range, text that
 *                is no printable UTF-8, something behind the last; *out is empty
 * CM_ERR_NOMEM
 */
CM_MUST_USE enum cm_err cm_message_read(struct cm_blob octets, struct cm_message *out);

/*
 * Into its fields: how it ended, with the reason and text of t and the items of
 * its last stage (what is longer than a message may be is cut, and said).
 * An err that t has no reason for, or another's, goes as SYSTEM with the text there is.
 */
CM_MUST_USE enum cm_err cm_message_report(struct cm_message *m, enum cm_err err, const struct cm_trace *t);
/*
 * The other way: items and reason into t, whose stage is open; the result is the message's.
 * An err and a reason that do not go together are SYNTAX (HELPER).
 */
CM_MUST_USE enum cm_err cm_message_reported(const struct cm_message *m, struct cm_trace *t);

#endif /* CM_SERVICE_MESSAGE_H */
