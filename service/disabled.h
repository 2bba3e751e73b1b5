/* service/disabled.h - cards that are not used here: macOS's DisabledTokens. */
#ifndef CM_SERVICE_DISABLED_H
#define CM_SERVICE_DISABLED_H

#include "base/conf.h"
#include "base/trace.h"

/*
 * May this source of cards (card/card.h: "reader:NAME", "file:PATH") be used for logins and pairings?
 * card.disabled names "pivtoken" (as macOS does, with or without com.apple.CryptoTokenKit. before it: all
 * cards in readers), "file", or "reader:NAME", where a part of the name will do.  Any other name is of a
 * driver that is not here, and has no effect.
 *
 * CM_OK
 * CM_ERR_REFUSED  CARD_DISABLED
 */
CM_MUST_USE enum cm_err cm_disabled_judge(const struct cm_conf *conf, const char *source, struct cm_trace *t);
/* The same of the card that card.source led to: where is cm_card_where(). */
CM_MUST_USE enum cm_err cm_disabled_judge_card(const struct cm_conf *conf, const char *where, struct cm_trace *t);

#endif /* CM_SERVICE_DISABLED_H */
