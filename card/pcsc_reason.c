/* card/pcsc_reason.c - what PC/SC's results mean to a person. */
#include <winscard.h>

#include "card/card_internal.h"

static const struct meaning {
	LONG rv;
	enum cm_reason reason;
	const char *words;
} meanings[] = {
	{ SCARD_E_NO_SERVICE, CM_REASON_NO_READER, "pcscd does not run" },
	{ SCARD_E_SERVICE_STOPPED, CM_REASON_NO_READER, "pcscd does not run" },
	{ SCARD_W_SECURITY_VIOLATION, CM_REASON_NO_READER, "pcscd does not let this user in" },
	{ SCARD_E_NO_READERS_AVAILABLE, CM_REASON_NO_READER, "no reader is connected" },
	{ SCARD_E_UNKNOWN_READER, CM_REASON_NO_READER, "the reader was disconnected" },
	{ SCARD_E_READER_UNAVAILABLE, CM_REASON_CARD_REMOVED, "the reader was disconnected" },
	{ SCARD_E_NO_SMARTCARD, CM_REASON_CARD_REMOVED, "the card was taken out" },
	{ SCARD_W_REMOVED_CARD, CM_REASON_CARD_REMOVED, "the card was taken out" },
	{ SCARD_W_RESET_CARD, CM_REASON_CARD_CHANGED, "another program has reset the card" },
	/* Reset while we connected: pcscd forgot the protocol that it had agreed on for us. */
	{ SCARD_E_PROTO_MISMATCH, CM_REASON_CARD_CHANGED, "another program has reset the card" },
	{ SCARD_E_SHARING_VIOLATION, CM_REASON_CARD_SILENT, "another program keeps the card to itself" },
	{ SCARD_W_UNRESPONSIVE_CARD, CM_REASON_CARD_SILENT, "the card does not answer a reset" },
	{ SCARD_W_UNPOWERED_CARD, CM_REASON_CARD_SILENT, "the card has no power" },
};

enum cm_reason
cm_pcsc_reason(long rv, const char **words)
{
	for (size_t i = 0; i < CM_COUNT(meanings); i++)
		if (meanings[i].rv == rv) {
			*words = meanings[i].words;
			return meanings[i].reason;
		}
	*words = pcsc_stringify_error(rv);
	return CM_REASON_CARD_SILENT;
}
