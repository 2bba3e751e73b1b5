/* cli/examples.c - what each command is shown with in the help. */
#include "cli/cli.h"

/* With no server and no reader, so that everybody can try them. */
void
cm_cli_print_examples(FILE *out, const char *command)
{
	static const struct { const char *command, *text; } examples[] = {
		{ "whois", "--card file:alice.pem --directory ldif:people.ldif" },
		{ "whois", "--json" },
		{ "explain", "--card file:alice.pem --directory ldif:people.ldif --set trust.anchors=ca.pem" },
		{ "login", "--card file:alice.pem --directory ldif:people.ldif \\\n"
		    "      --set trust.anchors=ca.pem --set accounts.path=accounts.db" },
		{ "login", "--pin-fd 3 3<pin.txt" },
		{ "login", "--refresh" },
		{ "login", "--renew" },
		{ "pin", "verify" },
		{ "pin", "change" },
		{ "pin", "unblock --pin-fd 3 3<puk-and-pin.txt" },
		{ "pair", "alice --local" },
		{ "pair", "alice --ldif --card file:alice.pem --directory ldif:people.ldif \\\n"
		    "      --set trust.anchors=ca.pem" },
		{ "pair", "" },
		{ "pair", "--watch" },
		{ "pairing-ui", "on" },
		{ "unpair", "alice" },
		{ "pairings", "" },
		{ "identities", "--card file:alice.pem" },
		{ "secret", "status" },
		{ "secret", "recover alice --key recovery.key" },
		{ "selector", "-o map -i 0123456789ABCDEF0123456789ABCDEF01234567 --card file:alice.pem \\\n"
		    "      --directory ldif:people.ldif" },
		{ "cards", "" },
		{ "cards", "status" },
		{ "cards", "--export 9A >card.pem" },
		{ "cards", "--follow" },
		{ "cards", "--export >card.pem" },
		{ "cards", "log-next" },
		{ "cert", "alice.pem" },
		{ "accounts", "list" },
		{ "revocation", "check alice.pem" },
		{ "revocation", "status" },
		{ "revocation", "refresh --due" },
		{ "revocation", "import inter.crl" },
		{ "revocation", "list --revoked" },
		{ "revocation", "forget 1a2b3c --issuer 'CN=Example CA'" },
		{ "enforcement", "explain alice" },
		{ "enforcement", "explain alice --what-if required=yes" },
		{ "enforcement", "explain --all" },
		{ "enforcement", "skip-once alice" },
		{ "ssh-keys", "alice" },
		{ "doctor", "" },
		{ "doctor", "alice --json" },
		{ "status", "" },
		{ "log", "--last 5" },
		{ "log", "--follow" },
		{ "trust", "list --set trust.anchors=ca.pem" },
		{ "trust", "add ca.pem" },
		{ "rules", "test --match '<ISSUER>CA' --map '(mail={subject_rfc822_name})' alice.pem" },
		{ "rules", "generate alice.pem" },
		{ "rules", "generate alice.pem --renewal" },
		{ "rules", "generate alice.pem --user alice --ldif --directory ldif:people.ldif" },
		{ "config", "check" },
		{ "config", "show" },
		{ "import", "sssd /etc/sssd/sssd.conf >cardmap.conf" },
		{ "import", "ntauth --directory ldaps://dc1.example.org --set directory.base=dc=example,dc=org" },
		{ "import", "freeipa --directory ldap://ipa.example.org --set directory.base=dc=example,dc=org" },
	};

	fputs("\nExamples:\n", out);
	for (size_t i = 0; i < CM_COUNT(examples); i++)
		if (command == NULL || strcmp(command, examples[i].command) == 0)
			fprintf(out, "  cardmap %s%s%s\n", examples[i].command,
			    examples[i].text[0] != '\0' ? " " : "", examples[i].text);
}
