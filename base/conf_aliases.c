/* base/conf_aliases.c - keys by the names that macOS has for them. */
#include "base/conf_internal.h"

/*
 * SmartCardServices(7): keys of com.apple.security.smartcard and of
 * SmartcardLogin.plist.  They stand outside sections.  A new one is one row.
 */
static const struct cm_conf_alias aliases[] = {
	{ "allowSmartCard", "enforcement", "allow_cards" },
	{ "allowUnmappedUsers", "enforcement", "allow_unmapped_users" },
	{ "checkCertificateTrust", "trust", "level" },
	{ "DisabledTokens", "card", "disabled" },
	{ "enforceSmartCard", "enforcement", "required" },
	{ "Logging", "card", "log_next" },
	{ "NotEnforcedGroup", "enforcement", "not_enforced_group" },
	{ "oneCardPerUser", "accounts", "one_card_per_user" },
	{ "tokenRemovalAction", "enforcement", "removal" },
	{ "TrustedAuthorities", "trust", "pins" },
	{ "UserPairing", "accounts", "user_pairing" },
	{ "UserSelector", "mapper", "selector" },
	{ "UserSelectorPath", "mapper", "selector" },
};

const struct cm_conf_alias *
cm_conf_aliases(size_t *count)
{
	*count = CM_COUNT(aliases);
	return aliases;
}

size_t
cm_conf_find_alias(const char *name, size_t len)
{
	for (size_t i = 0; i < CM_COUNT(aliases); i++)
		if (strlen(aliases[i].name) == len && memcmp(aliases[i].name, name, len) == 0)
			return cm_conf_find_row(aliases[i].section, aliases[i].key, strlen(aliases[i].key));
	return SIZE_MAX;
}

const struct cm_conf_alias *
cm_conf_alias_of(size_t i)
{
	for (size_t n = 0; n < CM_COUNT(aliases); n++)
		if (cm_conf_find_row(aliases[n].section, aliases[n].key, strlen(aliases[n].key)) == i)
			return &aliases[n];
	return NULL;
}
