/* cli/cards.h - what cards and cards status share; inside cli/ only. */
#ifndef CM_CLI_CARDS_H
#define CM_CLI_CARDS_H

#include "cli/cli.h"

#define CM_CLI_KEY_USAGES	9
extern const char *const cm_cli_key_usages[CM_CLI_KEY_USAGES];	/* by their bits */

/* cards_status.c: which drivers pcscd has for readers, and this program for cards. */
void cm_cli_cards_drivers(const struct cm_cli *c);
/* What the key is for, and the hash it is paired by. */
void cm_cli_cards_detail(const struct cm_cli *c, json_t *object, const struct cm_cert *cert);

#endif /* CM_CLI_CARDS_H */
