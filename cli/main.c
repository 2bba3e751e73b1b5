/* cli/main.c - cardmap: subcommands and options as tables, and help made from them. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/service.h"
#include "mapper/import.h"

#define LAST_MAX	256	/* decisions that the service keeps */

static const struct command {
	const char *name;
	int (*run)(struct cm_cli *);
	const char *usage;	/* what stands behind the options */
	int min_args, max_args;
	const char *options;	/* own ones, by short letter; the common ones are everywhere */
	const char *summary;
	const char *help;
} commands[] = {
	{ "whois", cm_cli_whois, "[USER]", 0, 1, "zNS",
	  "whose card is this?",
	  "Reads the card's certificate, applies the rules and asks the directory for the one\n"
	  "account. Needs no PIN, and judges neither trust nor revocation: explain does.\n"
	  "With USER, it must be that one; mapper.several_accounts says whether USER may choose.\n" },
	{ "explain", cm_cli_explain, "[USER]", 0, 1, "zNS",
	  "every stage with what it saw, and why a card is refused",
	  "Runs all stages before the PIN, also those after one that refuses. With USER, whom the\n"
	  "card was expected to open, says what is wrong with that account's values. The first line\n"
	  "names the cause, the last what mends it. Keeps and changes nothing.\n" },
	{ "login", cm_cli_login, "[USER]", 0, 1, "pLgGDNS",
	  "decide a login: account, proof by the card, Kerberos ticket",
	  "Asks the PIN at the terminal. On success prints the account and KRB5CCNAME; what\n"
	  "was learned is kept, so that the same card opens the same account with no network.\n"
	  "With USER, it must be that account. --refresh gets the caller's own account a ticket, and\n"
	  "opens no session. --renew prolongs the ticket that is there, with no card; with --due only\n"
	  "where half of its life is over, which cardmap-renew.timer does for everybody logged in.\n" },
	{ "pin", cm_cli_pin, "verify | change | unblock", 1, 1, "pL",
	  "a card's PIN: is it right? another one; a new one by the PUK",
	  "PINs are typed at the terminal, or come by --pin-fd, a line each: the PIN, or the PUK\n"
	  "for unblock, then the new PIN. verify spends no try unless the PIN is wrong; a wrong PUK\n"
	  "spends one of its own, and a card whose last one is gone is for its issuer.\n" },
	{ "pair", cm_cli_pair, "[USER]", 0, 1, "pLzlrmWS",
	  "let the card in the reader open this account, by its key",
	  "Takes root, the PIN, and the card's proof that it holds the key. USER is this\n"
	  "computer's account where there is one so named, else the directory's. --ldif keeps\n"
	  "nothing: it prints the change for the directory, which cardmap itself never writes.\n"
	  "Without USER, one's own account, by the service: for users of this computer who sit at\n"
	  "it, where pairing-ui is on; takes the account's password and the PIN. --watch asks so\n"
	  "about each card that is put in and opens no account.\n" },
	{ "pairing-ui", cm_cli_pairing_ui, "[on | off | status]", 0, 1, "",
	  "may users of this computer pair cards with their own accounts?",
	  "Off at first. on and off are root's; sc_auth's name is pairing_ui.\n" },
	{ "unpair", cm_cli_unpair, "USER|HASH...", 1, 64, "",
	  "end what pair made: all of a user's cards, or one by its key",
	  "Takes root. HASH is as pairings and identities print it. What the card opened by its\n"
	  "pairing with the network is kept no longer.\n" },
	{ "pairings", cm_cli_pairings, "[USER]", 0, 1, "",
	  "the cards paired with accounts on this computer",
	  "" },
	{ "identities", cm_cli_identities, "", 0, 0, "",
	  "the keys of the cards in the readers, as pair and unpair name them",
	  "HASH is SHA-1 of the public key, as sc_auth prints it.\n" },
	{ "secret", cm_cli_secret, "status [USER] | recover USER | forget USER", 1, 2, "pLK",
	  "the secrets that cards open at logins: what is kept, and a way back",
	  "status names the keys that each is sealed to. recover, with the private key of\n"
	  "accounts.secret_recovery, seals one to the card in the reader, whose PIN it asks for.\n"
	  "forget ends one: what was encrypted with it cannot be opened any more. For root.\n" },
	{ "selector", cm_cli_selector, "", 0, 0, "pLoui",
	  "answer the call of a custom user selector (UserSelector)",
	  "map prints a line HASH, tab, USER for each key that has one. bind and unbind are pair\n"
	  "and unpair.\n" },
	{ "cards", cm_cli_cards, "[status | SLOT | log-next [on|off|status]]", 0, 2, "xFS",
	  "readers, cards and their certificates",
	  "status tells more of each: drivers, ATR, PIN tries, what a key is for, and the hash that\n"
	  "pair goes by. --export writes the certificates as PEM to standard output, or that of SLOT\n"
	  "(9A, 9C, 9D, 9E, 82 to 95) alone. --follow tells of cards that\n"
	  "are put in and taken out, as the service sees them. log-next writes down what goes to the\n"
	  "next card that is put in, and comes from it, without what is secret.\n" },
	{ "cert", cm_cli_cert, "FILE", 1, 1, "",
	  "every field of a certificate as the mapper sees it",
	  "FILE is PEM or DER.\n" },
	{ "accounts", cm_cli_accounts, "list | show NAME | forget NAME | export FILE [NAME] | import FILE | records", 1, 3, "NSK",
	  "mobile accounts kept for use with no network",
	  "forget ends what was kept for an account; what is known to be revoked stays. For root: export\n"
	  "and import, with --key, carry what is kept to a new computer; records names our files of it.\n" },
	{ "revocation", cm_cli_revocation, "check FILE | status | refresh [ISSUER...] | import FILE... | list [ISSUER] | "
	  "forget SERIAL|FILE", 1, 65536, "DknNS",
	  "revoked or not: who says so, what is kept, what an offline login will decide",
	  "check judges chain and revocation of a certificate at trust.level, and names every source\n"
	  "with what it said. status asks nobody: for each CA its sources, lists and answers, and for\n"
	  "each kept account what a login without the network decides now, tomorrow and in a week.\n"
	  "refresh fetches what changed, for every CA seen or configured (or those with ISSUER in\n"
	  "their subject); with --due only what is due, and says when to call again. import takes\n"
	  "lists and OCSP responses from files. list shows all evidence that is kept; forget, for\n"
	  "the store's owner alone, ends that of one certificate, revoked or not, and is logged.\n" },
	{ "enforcement", cm_cli_enforcement, "explain USER | explain --all | skip-once USER", 1, 2, "wANS",
	  "who must use a card, and why; let somebody in once without it",
	  "explain shows each step's value, and which one decided; with --what-if, what a change of\n"
	  "the configuration (required, allow_unmapped_users, not_enforced_group) or of a fact\n"
	  "(SmartCardEnforcement, userAccountControl, group, mapped, exempt, local) would come to.\n"
	  "With --all every account of this computer and of the directory, a line (with --json an\n"
	  "object) each as it is known, for root.\n"
	  "skip-once is root's: the next login of USER without a card uses it up, whichever program\n"
	  "asks; after a day it is gone. It survives a reboot, and is logged when it is made and used.\n" },
	{ "ssh-keys", cm_cli_ssh_keys, "USER", 1, 1, "",
	  "for sshd: the keys of a user's certificates in the directory",
	  "For AuthorizedKeysCommand of sshd_config(5). Only those that would open USER's account by\n"
	  "card, and that somebody says are not revoked. What could not be asked, or is in doubt,\n"
	  "prints nothing, is logged, and ends with 0: sshd goes on with its other ways.\n" },
	{ "doctor", cm_cli_doctor, "[USER]", 0, 1, "NS",
	  "will tomorrow's login with no network work?",
	  "Looks at all that such a login needs, of USER or of the cards last used online; each\n"
	  "line is ok, a warning or a failure, with the command that mends it. The status is 0, 1\n"
	  "where there is a warning, 3 where there is a failure. Changes nothing, spends no PIN\n"
	  "try, and waits 150 ms for all servers together. What is kept is the service's to tell:\n"
	  "everybody about himself, root about all.\n" },
	{ "status", cm_cli_status_of_service, "", 0, 0, "S",
	  "what the service does: its processes, cards, silent servers, last decisions",
	  "Asks the service, for root and the helpdesk's group.\n" },
	{ "log", cm_cli_log, "", 0, 0, "SFt",
	  "what the service decided, a line each",
	  "The last decisions since the service started; the system's log has all. With --follow\n"
	  "each as it is made, and with --json besides, one object a line. For root.\n" },
	{ "trust", cm_cli_trust, "list | add FILE... | remove SHA256", 1, 64, "I",
	  "the CAs whose cards are believed: list them, add one, remove one",
	  "add copies the CAs of a PEM or DER file into the first folder of trust.anchors, or\n"
	  "of trust.intermediates where a CA is not signed by itself. Private keys are never\n"
	  "copied. remove takes the SHA-256 that list shows, or its first 8 digits or more.\n" },
	{ "rules", cm_cli_rules, "test CERT... | generate CERT", 2, 65536, "MTumR",
	  "try a rule on certificates; the values that map a certificate strongly",
	  "test prints FILE, tab, match, no match or error, tab, and the filter or what is wrong.\n"
	  "Without --match and --map, sss-certmap(5)'s defaults are tried.\n"
	  "generate prints every strong value of altSecurityIdentities for the certificate in the\n"
	  "file CERT. With --ldif, as a change of USER's entry that ldapmodify takes; values that\n"
	  "are there already are left out. With --renewal, which mappings still fit a card that\n"
	  "is reissued: for the same key, for a new key by the same CA, by another CA.\n" },
	{ "config", cm_cli_config, "check | show", 1, 1, "",
	  "the configuration: its mistakes, its values and where each comes from",
	  "" },
	{ "import", cm_cli_import, "plist FILE | sssd FILE | pam_pkcs11 FILE | freeipa | ntauth", 1, 2, "a",
	  "what another system's configuration says, as cardmap.conf",
	  "Prints the equivalent cardmap.conf, each thing below the line it came from; what has no\n"
	  "counterpart stands at its end, and on standard error. freeipa reads the rules from the\n"
	  "configured directory, ntauth the CAs that Active Directory lets issue cards. Writes no\n"
	  "file but with ntauth --add: that copies the CAs as cardmap trust add does.\n" },
};

static const struct option_row {
	int letter;
	const char *name;
	const char *arg;	/* NULL: none */
	bool common;
	const char *help;
} options[] = {
	{ 'c', "card", "SOURCE", true, "reader, reader:NAME, file:PATH or token:PATH (card.source)" },
	{ 'd', "directory", "URI", true, "ldap://, ldaps://, ldif:PATH or local: (directory.uri)" },
	{ 'f', "config", "FILE", true, "instead of " CM_CONF_PATH },
	{ 's', "set", "KEY=VALUE", true, "set one value of the configuration; may be repeated" },
	{ 'j', "json", NULL, true, "answer as one JSON object" },
	{ 'v', "verbose", NULL, true, "show the stages with what they saw" },
	{ 'h', "help", NULL, true, "this text" },
	{ 'V', "version", NULL, true, "the version" },
	{ 'p', "pin-fd", "N", false, "read the PIN from file descriptor N, one line" },
	{ 'L', "last-try", NULL, false, "spend the card's last PIN try, if it comes to that" },
	{ 'z', "slot", "SLOT", false, "the certificate in this slot: 9A, which it is without this, 9C, or 82 to 95" },
	{ 'l', "local", NULL, false, "this computer's account alone" },
	{ 'r', "remote", NULL, false, "the directory's account, also where this computer has one so named" },
	{ 'm', "ldif", NULL, false, "print the change of the directory for ldapmodify, and keep nothing" },
	{ 'o', "operation", "OPERATION", false, "map, bind or unbind" },
	{ 'u', "user", "USER", false, "the user, where it is known" },
	{ 'M', "match", "RULE", false, "the match part, as in sss-certmap(5)" },
	{ 'T', "map", "RULE", false, "the filter: LDAP:, LDAPU1: or without a prefix" },
	{ 'R', "renewal", NULL, false, "which mappings a reissued card keeps" },
	{ 'i', "identity", "HASH", false, "the key's hash; several with commas between them" },
	{ 'a', "add", NULL, false, "copy the CAs into the folders of trust.anchors and trust.intermediates" },
	{ 'I', "intermediate", NULL, false, "the CA may stand in a chain, but is no anchor" },
	{ 'D', "due", NULL, false, "with refresh: only what is due, and when to call again; with --renew: only what is due" },
	{ 'g', "refresh", NULL, false, "a ticket for whoever calls, with the card, and no session" },
	{ 'G', "renew", NULL, false, "the ticket that is there lives longer: no card, no PIN" },
	{ 'k', "revoked", NULL, false, "with list: only what is revoked, or on hold" },
	{ 'n', "issuer", "NAME", false, "with forget: the CA that has this in its subject" },
	{ 'K', "key", "FILE", false, "of secret: the private key of accounts.secret_recovery, PEM; of accounts: the export's key" },
	{ 'A', "all", NULL, false, "with explain: every account, a line each" },
	{ 'w', "what-if", "KEY=VALUE", false, "with explain: suppose this; may be repeated" },
	{ 'N', "no-service", NULL, false, "without the service, though it runs" },
	{ 'S', "service", "DIR", false, "the service whose sockets are in DIR, instead of " CM_CLI_RUN_DIR },
	{ 'F', "follow", NULL, false, "go on telling of each as it comes" },
	{ 't', "last", "N", false, "the last N decisions; default 10, at most 256" },
	{ 'W', "watch", NULL, false, "with no USER: about each card that is put in and opens no account" },
	{ 'x', "export", NULL, false, "write the certificates as PEM" },
};

static bool
applies(const struct option_row *o, const struct command *cmd)
{
	return o->common || (cmd != NULL && strchr(cmd->options, o->letter) != NULL);
}

static void
print_options(FILE *out, const struct command *cmd)
{
	fputs("\nOptions:\n", out);
	for (size_t i = 0; i < CM_COUNT(options); i++) {
		char name[40];

		if (!applies(&options[i], cmd))
			continue;
		snprintf(name, sizeof(name), "--%s%s%s", options[i].name,
		    options[i].arg != NULL ? " " : "", options[i].arg != NULL ? options[i].arg : "");
		fprintf(out, "  -%c, %-20s %s\n", options[i].letter, name, options[i].help);
	}
}

static void
print_help(FILE *out, const struct command *cmd)
{
	if (cmd != NULL) {
		fprintf(out, "cardmap %s - %s\n\nUsage: cardmap %s [OPTION...]%s%s\n",
		    cmd->name, cmd->summary, cmd->name, cmd->usage[0] != '\0' ? " " : "", cmd->usage);
		if (cmd->help[0] != '\0')
			fprintf(out, "\n%s", cmd->help);
	} else {
		fputs("cardmap - whose card is this? and the login that follows\n\n"
		    "Usage: cardmap COMMAND [OPTION...] [ARGUMENT...]\n\nCommands:\n", out);
		for (size_t i = 0; i < CM_COUNT(commands); i++)
			fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].summary);
		fputs("  completion   the completion script for bash\n", out);
	}
	print_options(out, cmd);
	cm_cli_print_examples(out, cmd != NULL ? cmd->name : NULL);
	fputs("\nExit codes: 0 yes, 1 no, 2 several accounts, 3 refused, 4 could not ask, "
	    "64 usage, 78 configuration.\n", out);
}

static int
print_completion(void)
{
	printf("_cardmap() {\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} words\n"
	    "\tif [ \"$COMP_CWORD\" = 1 ]; then words='");
	for (size_t i = 0; i < CM_COUNT(commands); i++)
		printf("%s ", commands[i].name);
	printf("completion --help --version'\n\telse case ${COMP_WORDS[1]} in\n");
	for (size_t i = 0; i < CM_COUNT(commands); i++) {
		printf("\t%s) words='", commands[i].name);
		for (size_t k = 0; k < CM_COUNT(options); k++)
			if (applies(&options[k], &commands[i]))
				printf("--%s ", options[k].name);
		for (const char *p = commands[i].usage; *p != '\0'; p++)
			if ((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == ' ' || *p == '_')
				putchar(*p);
		printf("' ;;\n");
	}
	puts("\tesac; fi\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	    "\t[ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- \"$cur\"))\n}\n"
	    "complete -F _cardmap cardmap");
	return 0;
}

static const struct command *
find_command(const char *name)
{
	for (size_t i = 0; i < CM_COUNT(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* getopt's table and letters for this command. */
struct getopt_tables {
	struct option rows[CM_COUNT(options) + 1];
	char letters[2 * CM_COUNT(options) + 2];
};

static void
build_getopt(const struct command *cmd, struct getopt_tables *t)
{
	size_t n = 0, l = 0;

	t->letters[l++] = ':';
	for (size_t i = 0; i < CM_COUNT(options); i++) {
		if (!applies(&options[i], cmd))
			continue;
		t->rows[n++] = (struct option){ .name = options[i].name, .val = options[i].letter,
			.has_arg = options[i].arg != NULL ? required_argument : no_argument };
		t->letters[l++] = (char)options[i].letter;
		if (options[i].arg != NULL)
			t->letters[l++] = ':';
	}
	t->rows[n] = (struct option){ 0 };
	t->letters[l] = '\0';
}

/* What the options set, in order, once the file has been read. */
struct settings {
	const char *values[32];
	const char *keys[32];	/* NULL: the value is KEY=VALUE itself */
	size_t count;
};

static enum cm_err
set_pin_fd(struct cm_cli *c, const char *text)
{
	char *end;
	const long fd = strtol(text, &end, 10);

	if (text[0] == '\0' || *end != '\0' || fd < 0 || fd > 65535)
		return cm_trace_fail(c->trace, CM_REASON_USAGE,
		    "--pin-fd: expected the number of an open file descriptor");
	c->pin_fd = (int)fd;
	return CM_OK;
}

/* By its key reference: SP 800-73-4 Part 1, table 4b. */
static enum cm_err
set_slot(struct cm_cli *c, const char *text)
{
	char *end;
	const unsigned long n = strtoul(text, &end, 16);

	if (strlen(text) != 2 || *end != '\0' || !cm_slot_is_for_login((enum cm_slot)n))
		return cm_trace_fail(c->trace, CM_REASON_USAGE, "--slot: expected 9A, 9C, or 82 to 95");
	c->slot = (enum cm_slot)n;
	return CM_OK;
}

static enum cm_err
set_last(struct cm_cli *c, const char *text)
{
	char *end;
	const long n = strtol(text, &end, 10);

	if (text[0] == '\0' || *end != '\0' || n < 0 || n > LAST_MAX)
		return cm_trace_fail(c->trace, CM_REASON_USAGE, "--last: expected a number from 0 to %d", LAST_MAX);
	c->last = (unsigned)n;
	return CM_OK;
}

static enum cm_err
add_setting(struct cm_cli *c, struct settings *s, const char *key, const char *value)
{
	if (s->count == CM_COUNT(s->values))
		return cm_trace_fail(c->trace, CM_REASON_USAGE, "too many --set");
	s->keys[s->count] = key;
	s->values[s->count++] = value;
	return CM_OK;
}

static enum cm_err
add_supposition(struct cm_cli *c, const char *text)
{
	if (c->what_if_count == CM_CLI_WHAT_IF_MAX)
		return cm_trace_fail(c->trace, CM_REASON_USAGE, "too many --what-if");
	c->what_if[c->what_if_count++] = text;
	return CM_OK;
}

static enum cm_err
take_option(struct cm_cli *c, struct settings *s, int letter, const char *arg)
{
	switch (letter) {
	case 'c': return add_setting(c, s, "card.source", arg);
	case 'd': c->configured = true; return add_setting(c, s, "directory.uri", arg);
	case 's': c->configured = true; return add_setting(c, s, NULL, arg);
	case 'p': return set_pin_fd(c, arg);
	case 'f': c->configured = true; c->config_path = arg; return CM_OK;
	case 'F': c->follow = true; return CM_OK;
	case 't': return set_last(c, arg);
	case 'A': c->all = true; return CM_OK;
	case 'w': return add_supposition(c, arg);
	case 'N': c->alone = true; return CM_OK;
	case 'S': c->service_named = true; c->run_dir = arg; return CM_OK;
	case 'j': c->json = true; return CM_OK;
	case 'v': c->verbose = true; return CM_OK;
	case 'a': c->add = true; return CM_OK;
	case 'I': c->intermediate = true; return CM_OK;
	case 'W': c->watch = true; return CM_OK;
	case 'x': c->export = true; return CM_OK;
	case 'L': c->last_try = true; return CM_OK;
	case 'z': return set_slot(c, arg);
	case 'l': c->local = true; return CM_OK;
	case 'r': c->remote = true; return CM_OK;
	case 'm': c->ldif = true; return CM_OK;
	case 'o': c->operation = arg; return CM_OK;
	case 'u': c->user = arg; return CM_OK;
	case 'i': c->identity = arg; return CM_OK;
	case 'M': c->match = arg; return CM_OK;
	case 'T': c->map = arg; return CM_OK;
	case 'R': c->renewal = true; return CM_OK;
	case 'D': c->due = true; return CM_OK;
	case 'g': c->refresh = true; return CM_OK;
	case 'G': c->renew = true; return CM_OK;
	case 'k': c->revoked = true; return CM_OK;
	case 'n': c->issuer = arg; return CM_OK;
	case 'K': c->key_file = arg; return CM_OK;
	default: return CM_ERR_STATE;
	}
}

/*
 * getopt takes "--pin" for "--pin-fd", and then a PIN would stand among the
 * arguments, where everybody can read it: names are given whole.
 */
static bool
is_whole(const char *given, const struct option *row)
{
	return row == NULL || strcspn(given + 2, "=") == strlen(row->name);
}

/* What may be a PIN given by mistake is not repeated. */
static enum cm_err
refuse_option(struct cm_cli *c, const struct command *cmd, const char *given, const char *why)
{
	return cm_trace_fail(c->trace, CM_REASON_USAGE, "%.*s: %s; see cardmap %s --help",
	    (int)strcspn(given, "="), given, why, cmd->name);
}

/* An answer that nobody got is no answer: a disk may be full, a pipe closed. */
static int
exit_code(int code)
{
	if (fflush(stdout) == 0 && ferror(stdout) == 0)
		return code;
	fprintf(stderr, "cardmap: the answer could not be written: %s\n", strerror(errno));
	return code != 0 ? code : cm_cli_exit_code(CM_ERR_SYSTEM);
}

static enum cm_err
parse_options(struct cm_cli *c, const struct command *cmd, int argc, char **argv,
    struct settings *s)
{
	struct getopt_tables t;
	enum cm_err err = CM_OK;
	int letter, row = -1;

	build_getopt(cmd, &t);
	opterr = 0;
	for (; err == CM_OK && (letter = getopt_long(argc, argv, t.letters, t.rows, &row)) != -1; row = -1) {
		const bool apart = optarg != NULL && optarg == argv[optind - 1];
		const char *given = argv[optind - (apart ? 2 : 1)];

		if (letter == ':')
			return refuse_option(c, cmd, given, "needs a value");
		if (letter == '?' || !is_whole(given, row >= 0 ? &t.rows[row] : NULL))
			return refuse_option(c, cmd, given, "no such option here");
		if (letter == 'h') {
			print_help(stdout, cmd);
			exit(exit_code(0));
		}
		if (letter == 'V') {
			puts("cardmap " CM_VERSION);
			exit(exit_code(0));
		}
		err = take_option(c, s, letter, optarg);
	}
	c->args = argv + optind;
	c->arg_count = argc - optind;
	if (err == CM_OK && (c->arg_count < cmd->min_args || c->arg_count > cmd->max_args))
		err = cm_trace_fail(c->trace, CM_REASON_USAGE, "usage: cardmap %s [OPTION...] %s",
		    cmd->name, cmd->usage);
	return err;
}

static enum cm_err
load_configuration(struct cm_cli *c, const struct settings *s)
{
	enum cm_err err = cm_conf_load(c->config_path, c->trace, &c->conf);
	struct cm_buf text = { 0 };

	for (size_t i = 0; err == CM_OK && i < s->count; i++) {
		cm_buf_truncate(&text, 0);
		if (s->keys[i] != NULL)
			cm_buf_addf(&text, "%s=", s->keys[i]);
		cm_buf_add_str(&text, s->values[i]);
		if ((err = cm_buf_status(&text)) == CM_OK)
			err = cm_conf_set(c->conf, cm_buf_str(&text), "command line", c->trace);
	}
	if (err == CM_OK)	/* now that everything stronger is set */
		err = cm_import_configured(c->conf, c->trace);
	cm_buf_free(&text);
	return err;
}

/* The mistake may stand before it: who asked for JSON gets it for mistakes as well. */
static bool
wants_json(char *const *argv)
{
	for (; *argv != NULL && strcmp(*argv, "--") != 0; argv++)
		if (strcmp(*argv, "--json") == 0 || strcmp(*argv, "-j") == 0)
			return true;
	return false;
}

static bool
shows_colours(void)
{
	const char *terminal = getenv("TERM");

	return isatty(STDOUT_FILENO) && getenv("NO_COLOR") == NULL && terminal != NULL && strcmp(terminal, "dumb") != 0;
}

static int
run_command(const struct command *cmd, int argc, char **argv)
{
	struct cm_cli c = { .pin_fd = -1, .run_dir = CM_CLI_RUN_DIR, .last = 10, .slot = CM_SLOT_AUTHENTICATION };
	struct settings settings = { .count = 0 };
	enum cm_err err;
	int code;

	c.colour = shows_colours();
	c.answer = json_object();
	if (c.answer == NULL || cm_trace_new(&c.trace) != CM_OK) {
		fputs("cardmap: out of memory\n", stderr);
		return cm_cli_exit_code(CM_ERR_NOMEM);
	}
	if ((err = parse_options(&c, cmd, argc, argv, &settings)) != CM_OK)
		c.json |= wants_json(argv);
	if (err == CM_OK) {
		cm_trace_begin(c.trace, "configuration");
		err = load_configuration(&c, &settings);
		cm_trace_end(c.trace, err);
	}
	/* A broken configuration is config check's subject, import's perhaps to mend, and everybody else's end. */
	if (err == CM_OK || (err == CM_ERR_CONFIG && (cmd->run == cm_cli_config || cmd->run == cm_cli_import)))
		code = cmd->run(&c);
	else
		code = cm_cli_finish(&c, err);
	cm_conf_free(&c.conf);
	cm_trace_free(&c.trace);
	json_decref(c.reply);
	json_decref(c.answer);
	return code;
}

/* One closed by the caller would become a reader's or a server's, and what is printed would go there. */
static void
open_standard_descriptors(void)
{
	int fd;

	while ((fd = open("/dev/null", O_RDWR)) >= 0 && fd <= STDERR_FILENO)
		;
	if (fd >= 0)
		close(fd);
}

static int
run(int argc, char **argv)
{
	const struct command *cmd;

	if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0) {
		print_help(argc < 2 ? stderr : stdout, argc > 2 ? find_command(argv[2]) : NULL);
		return argc < 2 ? cm_cli_exit_code(CM_ERR_USAGE) : 0;
	}
	if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
		puts("cardmap " CM_VERSION);
		return 0;
	}
	if (strcmp(argv[1], "completion") == 0)
		return print_completion();
	if ((cmd = find_command(argv[1])) == NULL) {
		fprintf(stderr, "cardmap: %s: no such command; cardmap --help lists them\n", argv[1]);
		return cm_cli_exit_code(CM_ERR_USAGE);
	}
	return run_command(cmd, argc - 1, argv + 1);
}

/*
 * Libraries would write TLS secrets and protocol steps to a file of the
 * environment's choosing; what is worth knowing stands in our own trace.
 */
static void
stop_leaks(void)
{
	static const char *const names[] = { "SSLKEYLOGFILE", "KRB5_TRACE" };

	for (size_t i = 0; i < CM_COUNT(names); i++)
		unsetenv(names[i]);
}

int
main(int argc, char **argv)
{
	open_standard_descriptors();
	stop_leaks();
	signal(SIGCHLD, SIG_DFL);	/* whoever started us may ignore it: then no child's end is seen */
	setlocale(LC_CTYPE, "");
	return exit_code(run(argc, argv));
}
