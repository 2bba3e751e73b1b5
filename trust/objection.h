/* trust/objection.h - why an answer about revocation does not count: each by its own name, in traces and cardmap-revocation(7). */
#ifndef CM_TRUST_OBJECTION_H
#define CM_TRUST_OBJECTION_H

/* Name, its word in traces, its entry in cardmap-revocation(7), which the lint compares. */
#define CM_OBJECTIONS(X) \
	X(NONE, "none", "") \
	/* no answer came */ \
	X(NOT_ASKABLE, "not_askable", "an address that cannot be asked: only http, https and ldap are") \
	X(KNOWN_SILENT, "known_silent", "it was silent before, and nobody has seen it alive since") \
	X(NO_NAME, "no_name", "its name could not be looked up") \
	X(NO_CONNECTION, "no_connection", "no connection could be made") \
	X(NO_ANSWER, "no_answer", "it took the question and gave no answer in time") \
	X(SLOW_ANSWER, "slow_answer", "its answer was not whole in time") \
	X(BROKEN_ANSWER, "broken_answer", "its answer broke off") \
	X(NO_TIME, "no_time", "no time was left to ask it") \
	X(TLS, "tls", "its TLS certificate does not come from an anchor here, or has another name") \
	/* what came is no answer */ \
	X(TOO_LARGE, "too_large", "its answer is larger than is read") \
	X(HTTP_STATUS, "http_status", "it answered with an HTTP status other than 200") \
	X(REDIRECTED, "redirected", "it sent us on to an address that is not followed: a POST, too often, or another scheme than http and https") \
	X(REDIRECTED_PRIVATE, "redirected_private", "it sent us on to a loopback, link-local or private address") \
	X(LDAP_RESULT, "ldap_result", "the directory answered with an error, or has no such list") \
	X(NOT_KEPT, "not_kept", "the answer could not be written") \
	/* OCSP */ \
	X(NOT_OCSP, "not_ocsp", "what came is no OCSP response") \
	X(RESPONDER_ERROR, "responder_error", "the responder says that it cannot answer (tryLater, unauthorized, ...)") \
	X(UNAUTHORISED, "unauthorised", "its signer may not answer for this CA") \
	X(SIGNATURE, "signature", "its signature is wrong") \
	X(WEAK_SIGNATURE, "weak_signature", "its signature uses a hash that is broken, or a weak key") \
	X(OTHER_NONCE, "other_nonce", "it answers another request: its nonce is not ours") \
	X(NO_NONCE, "no_nonce", "it holds no nonce, and trust.require_nonce is set") \
	X(OTHER_CERTIFICATE, "other_certificate", "it is about another certificate") \
	X(AMBIGUOUS, "ambiguous", "it answers twice about the certificate") \
	X(NOT_UNDERSTOOD, "not_understood", "it holds a critical extension that is not understood here") \
	X(UNKNOWN_CERTIFICATE, "unknown_certificate", "the responder does not know the certificate") \
	/* dates, of both */ \
	X(MALFORMED_DATES, "malformed_dates", "its dates are malformed, or end before they begin") \
	X(FUTURE, "future", "it is dated ahead of this computer's clock") \
	X(STALE, "stale", "it has expired") \
	X(CLOCK, "clock", "this computer's clock is behind what was already seen: nothing kept counts") \
	/* lists */ \
	X(NOT_A_LIST, "not_a_list", "what came is no revocation list, or breaks the rules for one") \
	X(OTHER_ISSUER, "other_issuer", "it is the list of another CA") \
	X(NOT_A_LIST_SIGNER, "not_a_list_signer", "the CA may not sign revocation lists") \
	X(SCOPE, "scope", "it does not speak of this certificate: for another distribution point, for users or CAs only, for attribute certificates") \
	X(SOME_REASONS, "some_reasons", "together, the lists that could be had speak of some reasons only") \
	X(NO_BASE, "no_base", "changes only (a delta CRL), and the list that they change is not here") \
	X(ROLLBACK, "rollback", "it is older than one that was already seen") \
	X(UNLISTABLE, "unlistable", "no list can name this certificate: its serial number is negative") \
	X(DAMAGED, "damaged", "its index on this computer is damaged") \
	/* kept answers */ \
	X(NONE_KEPT, "none_kept", "none is kept") \
	X(NOT_THE_END_OF_HOLD, "not_the_end_of_hold", "it does not end the hold: only a later list of the CA does")

enum cm_objection {
#define X(name, word, text) CM_OBJECTION_##name,
	CM_OBJECTIONS(X)
#undef X
	CM_OBJECTION_COUNT
};

const char *cm_objection_name(enum cm_objection o);	/* "other_nonce" */

#endif /* CM_TRUST_OBJECTION_H */
