/* service/disabled.h - which cards are used here, and by what: card.modules, and macOS's DisabledTokens. */
#ifndef CM_SERVICE_DISABLED_H
#define CM_SERVICE_DISABLED_H

#include "base/conf.h"
#include "base/trace.h"
#include "card/card.h"

/*
 * May this source of cards (card/card.h: "reader:NAME", "file:PATH") be used for logins and pairings?
 * card.disabled names "pivtoken" (as macOS does, with or without com.apple.CryptoTokenKit. before it: the PIV
 * application of cards in readers), "pkcs11" (card.modules; together: all cards in readers), "file", or
 * "reader:NAME", where a part of the name will do.  Any other name is of a driver that is not here, and has no effect.
 *
 * CM_OK
 * CM_ERR_REFUSED  CARD_DISABLED
 */
CM_MUST_USE enum cm_err cm_disabled_judge(const struct cm_conf *conf, const char *source, struct cm_trace *t);
/* card.disabled names this driver: "pivtoken" or "pkcs11". */
bool cm_disabled_driver(const struct cm_conf *conf, const char *driver);
/* How it is opened where it may; source, the configuration's texts and lists are borrowed. */
struct cm_card_from cm_disabled_from(const struct cm_conf *conf, const char *source, enum cm_card_purpose purpose);
/* The same of the card that card.source led to: where is cm_card_where(). */
CM_MUST_USE enum cm_err cm_disabled_judge_card(const struct cm_conf *conf, const char *where, struct cm_trace *t);

#endif /* CM_SERVICE_DISABLED_H */
