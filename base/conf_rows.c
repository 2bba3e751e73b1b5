/* base/conf_rows.c - every key of every section. */
#include "base/conf_internal.h"

static const char *const checks[] = { "all", "leaf", NULL };
static const char *const orders[] = { "ocsp", "crl", NULL };
static const char *const hashes[] = { "sha1", "sha256", NULL };
static const char *const tickets[] = { "off", "optional", "required", NULL };
static const char *const bindings[] = { "any", "strong", NULL };
static const char *const severals[] = { "refuse", "hint", NULL };
static const char *const principals[] = { "name", "directory", NULL };
static const char *const vouchers[] = { "keytab", "resolver", NULL };
static const char *const removals[] = { "none", "lock", "logout", NULL };
static const char *const mobiles[] = { "off", "all", "group", "ask", NULL };
static const char *const idmaps[] = { "off", "sid", "always", NULL };
static const char *const targets[] = { "none", "stderr", "syslog", NULL };

#define ROW(s, k, ty, def, un, lo, hi, wo, he) \
	{ .section = #s, .key = #k, .type = &cm_conf_##ty, .offset = offsetof(struct cm_conf, s.k), \
	  .fallback = def, .unit = un, .min = lo, .max = hi, .words = wo, .help = he }
#define TEXT(s, k, ty, def, he)		ROW(s, k, ty, def, "", 0, 0, NULL, he)
#define NUMBER(s, k, def, un, lo, hi, he) ROW(s, k, number, def, un, lo, hi, NULL, he)
#define CHOICE(s, k, def, wo, he)	ROW(s, k, choice, def, "", 0, 0, wo, he)

/* A new key is one row here and one field in struct cm_conf. */
static const struct cm_conf_row rows[] = {
	TEXT(directory, uri, list, NULL, "servers in the order they are asked: ldap://, ldaps://, or ldif:PATH"),
	TEXT(directory, base, text, NULL, "where the search for accounts starts; required for a server"),
	TEXT(directory, group_base, text, NULL, "where the search for groups starts; without it: base"),
	TEXT(directory, bind_dn, text, NULL, "name for a simple bind; without it: anonymous"),
	TEXT(directory, bind_password_file, path, NULL, "file with its password, mode 0600"),
	TEXT(directory, ca, path, NULL, "PEM file with the CAs that the server's certificate must come from"),
	TEXT(directory, domain, text, NULL, "this host's domain: of UPNs, and for rules limited to domains"),
	TEXT(directory, starttls, flag, "yes", "ask for TLS on ldap://; without it only loopback is allowed"),
	NUMBER(directory, timeout, "2000", "ms", 50, 60000, "for the account and its groups, whatever the server does"),
	TEXT(mapper, plist, path, "/etc/cardmap/SmartcardLogin.plist", "read where it exists: macOS's rules and pins"),
	TEXT(mapper, sssd, path, NULL, "an sssd.conf whose certmap rules hold here too"),
	TEXT(mapper, selector, path, NULL, "a program that names the user of a card (UserSelector)"),
	TEXT(mapper, forms, list, "altSecurityIdentities", "built-in rules that hold where nothing else gives any"),
	CHOICE(mapper, binding, "any", bindings, "any, or strong: values that others could come to have are refused"),
	CHOICE(mapper, several_accounts, "refuse", severals, "refuse, or hint: a card of several accounts opens the one that is named"),
	TEXT(mapper, skip_bad_rules, flag, "no", "go on without rules that do not parse"),
	TEXT(mapper, back_references, flag, "no", "allow them in regular expressions"),
	ROW(trust, level, level, "soft", "", 0, 0, cm_conf_levels, "off, chain, soft or hard (checkCertificateTrust 0 to 3); soft and hard with the greatest age of evidence: soft 72h"),
	CHOICE(trust, check, "all", checks, "whose revocation is asked about: all of the chain, or the leaf alone"),
	CHOICE(trust, order, "ocsp", orders, "which kind of source is asked first: ocsp or crl"),
	TEXT(trust, ask_always, flag, "no", "ask at every login, though what is kept is still good"),
	NUMBER(trust, undated_max, "3600", "s", 0, 604800, "how long an answer without nextUpdate counts"),
	TEXT(trust, anchors, list, "/etc/cardmap/anchors.d", "root certificates: files or folders; the default where it exists"),
	TEXT(trust, intermediates, list, "/etc/cardmap/intermediates.d", "certificates between card and root: files or folders; the default where it exists"),
	TEXT(trust, pins, list, NULL, "SHA-256 fingerprints: only cards issued by one of these CAs"),
	TEXT(trust, ocsp_url, list, NULL, "responders asked instead of the certificate's own"),
	TEXT(trust, crl, list, NULL, "revocation lists beside the certificate's own: http:// or ldap:// addresses, files or folders"),
	TEXT(trust, crl_mirror, mirrors, NULL, "FROM TO: lists whose address begins with FROM are fetched from TO first"),
	TEXT(trust, crl_dir, path, NULL, "where indexes of revocation lists are kept; without it the folder crl beside accounts.path"),
	TEXT(trust, use_ocsp, flag, "yes", "ask OCSP responders"),
	TEXT(trust, use_crl, flag, "yes", "fetch revocation lists"),
	TEXT(trust, require_nonce, flag, "no", "refuse OCSP answers without this host's nonce"),
	TEXT(trust, ocsp_get, flag, "no", "short OCSP requests go by GET, without a nonce, so that caches can answer (RFC 5019)"),
	CHOICE(trust, ocsp_hash, "sha1", hashes, "of the names in OCSP requests: sha1, which every responder knows, or sha256"),
	TEXT(trust, private_redirects, flag, "no", "follow servers that send on to loopback, link-local or private addresses"),
	NUMBER(trust, timeout, "3000", "ms", 50, 60000, "for all questions about revocation together"),
	NUMBER(trust, ocsp_max, "65536", "bytes", 1024, 1048576, "an OCSP answer above this is refused"),
	NUMBER(trust, crl_max, "67108864", "bytes", 1024, 268435456, "a revocation list above this is refused"),
	CHOICE(kerberos, ticket, "optional", tickets, "off, optional or required"),
	TEXT(kerberos, config, path, NULL, "krb5.conf; without it the system's"),
	TEXT(kerberos, realm, text, NULL, "realm of the accounts; without it krb5.conf's default_realm"),
	TEXT(kerberos, kdc, list, NULL, "HOST:PORT in the order they are asked; without it krb5.conf's"),
	TEXT(kerberos, anchors, list, NULL, "PEM files for the KDC's certificate; without it krb5.conf's pkinit_anchors"),
	TEXT(kerberos, intermediates, list, NULL, "PEM files between the KDC's certificate and its root"),
	TEXT(kerberos, keytab, path, "/etc/krb5.keytab", "this host's keys; with them the ticket is verified"),
	TEXT(kerberos, host_principal, text, NULL, "the keytab's principal to use; without it the first host/"),
	TEXT(kerberos, ccache, text, "FILE:/tmp/krb5cc_%{uid}", "where the ticket goes; %{uid} and %{name} are replaced"),
	CHOICE(kerberos, principal, "name", principals, "the service takes a ticket for an account if its principal begins with the account's name, or as the directory has it"),
	NUMBER(kerberos, timeout, "5000", "ms", 50, 60000, "for the KDC, tickets for user and host together"),
	NUMBER(kerberos, renew_days, "0", "days", 0, 365, "how long tickets are to be renewable; 0: as krb5.conf's renew_lifetime has it, else 7 days"),
	TEXT(card, source, text, "reader", "reader, reader:NAME, file:PATH, or token:PATH of a PKCS #11 module"),
	TEXT(card, log_next, flag, "no", "what goes to the next card that is put in is written down, once (Logging)"),
	TEXT(card, disabled, list, NULL, "what is not used for logins (DisabledTokens): pivtoken, pkcs11, file, reader:NAME"),
	TEXT(card, slots, slots, NULL, "slots whose certificates may log somebody in, after 9a: 9c, 82 to 95, ranges as 82-95; without it all of these; \"9a\": no other"),
	TEXT(card, modules, places, NULL, "PKCS #11 modules that know cards without a PIV application: whole paths, of root's files"),
	NUMBER(card, timeout, "5000", "ms", 100, 60000, "for the card, each time it is used"),
	TEXT(accounts, path, path, "/var/lib/cardmap/accounts.db", "what is kept for logins without a network"),
	NUMBER(accounts, offline_days, "30", "days", 0, 3650, "days a kept account opens without an online login; 0: for ever"),
	NUMBER(accounts, first_uid, "1000", "", 1, 2147483647, "no card opens an account with a lower uid"),
	NUMBER(accounts, first_gid, "1000", "", 1, 2147483647, "groups with a lower gid are not taken from the directory"),
	TEXT(accounts, local_groups, list, NULL, "groups that directory accounts may be in although this computer has them, or their gid is below first_gid"),
	CHOICE(accounts, idmap, "off", idmaps, "uid and gid from SIDs, as SSSD makes them: off, sid (of entries without uidNumber and gidNumber) or always"),
	NUMBER(accounts, idmap_range_min, "200000", "", 1, 2147483647, "the first id made from a SID (ldap_idmap_range_min)"),
	NUMBER(accounts, idmap_range_max, "2000200000", "", 1, 2147483647, "ids made from SIDs are below this (ldap_idmap_range_max)"),
	NUMBER(accounts, idmap_range_size, "200000", "", 1, 2147483647, "ids of one slice of a domain's (ldap_idmap_range_size)"),
	TEXT(accounts, idmap_domain_sid, text, NULL, "the domain that has the first slice (ldap_idmap_default_domain_sid)"),
	CHOICE(accounts, mobile, "all", mobiles, "whose names, ids and groups this computer keeps while the directory is away: off, all, group or ask"),
	TEXT(accounts, mobile_group, text, NULL, "with mobile = group: the members of this group"),
	TEXT(accounts, home_roots, list, "/home", "folders that home directories of mobile accounts are below"),
	TEXT(accounts, userdb, path, "/etc/userdb", "where records of mobile accounts are written, for nss-systemd"),
	TEXT(accounts, user_pairing, flag, "yes", "cards may be paired with accounts on this computer (UserPairing)"),
	TEXT(accounts, one_card_per_user, flag, "no", "a user may be paired with one card only (oneCardPerUser)"),
	TEXT(accounts, secret, flag, "no", "the card's Key Management key (9D) opens a secret of the user's at the login, for pam_cardmap's option authtok"),
	TEXT(accounts, secret_recovery, path, NULL, "certificate, PEM or DER, to whose key every such secret is sealed too"),
	TEXT(enforcement, required, flag, "no", "step 5: users must use a card where the service decides (enforceSmartCard)"),
	TEXT(enforcement, not_enforced_group, text, NULL, "step 3: group whose members need none (NotEnforcedGroup); wants required and allow_unmapped_users"),
	TEXT(enforcement, allow_unmapped_users, flag, "no", "step 4: nor do users to whom no card belongs (allowUnmappedUsers)"),
	TEXT(enforcement, attribute, text, "SmartCardEnforcement", "step 1: attribute of accounts: 0 as this computer has it, 1 always a card, 2 a password; empty: none"),
	TEXT(enforcement, exempt, list, "root", "accounts of this computer that may always use a password: the way in where cards fail"),
	TEXT(enforcement, allow_cards, flag, "yes", "cards open accounts through the service (allowSmartCard)"),
	CHOICE(enforcement, removal, "none", removals, "what taking the card out does to the session it opened: none, lock or logout (tokenRemovalAction)"),
	NUMBER(enforcement, removal_grace, "2000", "ms", 0, 600000, "within which the same card may be put back"),
	CHOICE(service, log, "syslog", targets, "where decisions are logged: none, stderr or syslog"),
	CHOICE(service, vouch, "keytab", vouchers, "who says whose a card is that was never seen: a KDC, by this host's keytab, or the resolver alone"),
	NUMBER(service, wait, "60000", "ms", 100, 600000, "how long a login waits for a card, and for a PIN"),
	NUMBER(service, whois_age, "5000", "ms", 0, 600000, "how long an answer of Whois counts for who asks the same; a login always asks; 0: not at all"),
	TEXT(service, helpdesk_group, text, NULL, "group whose members may ask whose any card is, and why"),
	TEXT(service, greeters, list, NULL, "PAM services that log people in at this computer's seat; without it login, gdm-smartcard, gdm-password, lightdm, sddm, greetd"),
	TEXT(service, services, list, NULL, "PAM services that may use a card where there is no session and no logind"),
	TEXT(service, remote, flag, "no", "logins from elsewhere (PAM_RHOST) may use this computer's reader"),
	TEXT(service, user, text, "_cardmap", "user of the process that asks directories"),
	TEXT(service, card_user, text, "_cardmap-card", "user of the processes that talk to cards"),
};

const struct cm_conf_row *
cm_conf_rows(size_t *count)
{
	*count = CM_COUNT(rows);
	return rows;
}

size_t
cm_conf_find_row(const char *section, const char *key, size_t key_len)
{
	for (size_t i = 0; i < CM_COUNT(rows); i++)
		if (strcmp(rows[i].section, section) == 0 && strlen(rows[i].key) == key_len &&
		    memcmp(rows[i].key, key, key_len) == 0)
			return i;
	return SIZE_MAX;
}
