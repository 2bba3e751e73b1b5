/* tests/ldap/test_local.c - the accounts of this computer: passwd, group, and what stands in home directories. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "ask.h"
#include "ldap/local_internal.h"

static char root[] = "/tmp/cm_test_local.XXXXXX";
static char local_uri[64], file_uri[64];
#define ALICE_UID	20001u

static const char *
in_root(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", root, name);
	return path;
}

static void
put(const char *name, const char *text, mode_t mode)
{
	FILE *f = fopen(in_root(name), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(in_root(name), mode), 0);
}

/*
 * The files are to be alice's, or root's.  Whoever runs this without being root
 * is her, in a user namespace: nobody's uid 65534, say, opens no account.
 */
static int
become_alice(void)
{
	const unsigned uid = getuid(), gid = getgid();
	const struct { const char *path, *format; unsigned inside, outside; } maps[] = {
		{ "/proc/self/setgroups", "deny", 0, 0 },
		{ "/proc/self/uid_map", "%u %u 1", ALICE_UID, uid }, { "/proc/self/gid_map", "%u %u 1", 20000, gid },
	};

	if (uid == 0)
		return 0;
	if (unshare(CLONE_NEWUSER) != 0)
		return -1;
	for (size_t i = 0; i < CM_COUNT(maps); i++) {
		FILE *f = fopen(maps[i].path, "w");

		if (f == NULL || fprintf(f, maps[i].format, maps[i].inside, maps[i].outside) < 0 || fclose(f) != 0)
			return -1;
	}
	return 0;
}

/* Alice, bob and a system account; more lines behind them. */
static void
put_passwd(const char *more)
{
	char text[4096];

	snprintf(text, sizeof(text),
	    "root:x:0:0:root:/root:/bin/bash\n"
	    "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
	    "alice:x:%u:20000:Alice Example,Room 1,,:/home/alice:/bin/bash\n"
	    "bob:x:20002:20000:Bob Example:/home/bob:/bin/sh\n"
	    "%s", ALICE_UID, more);
	put("etc/passwd", text, 0644);
}

static int
make_root(void **state)
{
	static const char *const folders[] = {
		"etc", "home", "home/alice", "home/alice/.eid", "home/alice/.ssh",
	};

	(void)state;
	if (become_alice() != 0 || mkdtemp(root) == NULL)
		return -1;
	for (size_t i = 0; i < CM_COUNT(folders); i++)
		if (mkdir(in_root(folders[i]), 0755) != 0)
			return -1;
	snprintf(local_uri, sizeof(local_uri), "local:%s", root);
	snprintf(file_uri, sizeof(file_uri), "ldif:%s/people.ldif", root);
	put_passwd("");
	put("etc/group", "root:x:0:\nsudo:x:27:alice\nusers:x:20000:\ncards:x:20010:bob,alice\nadm:x:4:alice\n"
	    "video:x:44:\nother:x:20011:bob,alice2\n", 0644);
	return 0;
}

static int
remove_root(void **state)
{
	static const char *const files[] = {
		"home/alice/.eid/authorized_certificates", "home/alice/.ssh/authorized_keys", "home/alice/.eid",
		"home/alice/.ssh", "home/alice", "home", "etc/passwd", "etc/group", "etc", "people.ldif", "",
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(files); i++)
		(void)remove(in_root(files[i]));
	return access(root, F_OK) == 0 ? -1 : 0;
}

static struct cm_directory *
open_uris(const char *uri, const char *uri2)
{
	static const char *uris[3];
	const struct cm_directory_options o = {
		.uris = uris, .base = "dc=test", .realm = "CARDMAP.TEST", .first_uid = 1000,
		.first_gid = 1000,
	};

	uris[0] = uri;
	uris[1] = uri2;
	return must_open(&o);
}

static struct cm_query_term
term(const char *attribute, const char *value, bool local)
{
	return (struct cm_query_term){
		.rule = (char *)(uintptr_t)(local ? "here" : "there"), .attribute = (char *)(uintptr_t)attribute,
		.value = cm_blob_str(value), .strength = CM_STRONG, .local = local,
	};
}

static void
an_account_of_passwd(void **state)
{
	struct cm_directory *d = open_uris(local_uri, NULL);
	struct answer a = find(d, "uid", "alice");

	(void)state;
	if (a.err != CM_OK)
		fail_msg("%s", cm_trace_message(a.trace));
	assert_string_equal(a.account->name, "alice");
	assert_string_equal(a.account->gecos, "Alice Example,Room 1,,");
	assert_string_equal(a.account->home, "/home/alice");
	assert_string_equal(a.account->shell, "/bin/bash");
	assert_int_equal(a.account->uid, ALICE_UID);
	assert_int_equal(a.account->gid, 20000);
	assert_true(a.account->local);
	assert_string_equal(a.account->source, local_uri);
	/* the realm's alice is another account */
	assert_string_equal(a.account->principal, "");
	/* what gives rights on this computer is not a card's to give, here either */
	assert_string_equal(groups_of(a.account), "cards(20010) users(20000)");
	answer_free(&a);
	cm_directory_close(&d);
}

static void
by_every_field(void **state)
{
	static const struct { const char *attribute, *value; enum cm_reason reason; const char *text; } cases[] = {
		{ "cn", "alice example", CM_REASON_NONE, "" },
		{ "gecos", "Bob Example", CM_REASON_NONE, "" },
		{ "uidNumber", "20002", CM_REASON_NONE, "" },
		{ "uid", "ALICE", CM_REASON_NONE, "" },
		{ "cn", "Room 1", CM_REASON_NO_ACCOUNT, "cn=Room 1" },
		{ "uid", "carol", CM_REASON_NO_ACCOUNT, "uid=carol" },
		{ "uid", "*", CM_REASON_NO_ACCOUNT, "" },
		{ "uid", "alice:x", CM_REASON_NO_ACCOUNT, "" },
		{ "uid", "", CM_REASON_NO_ACCOUNT, "" },
		{ "cn", "users", CM_REASON_NO_ACCOUNT, "" },	/* a group is no account */
		{ "gidNumber", "20000", CM_REASON_SEVERAL_ACCOUNTS, "alice (uid=alice,cn=local; rule first, weak); bob" },
		{ "uid", "root", CM_REASON_ACCOUNT_FORBIDDEN, "root" },
		{ "uid", "daemon", CM_REASON_ACCOUNT_FORBIDDEN, "uid 1" },
	};
	struct cm_directory *d = open_uris(local_uri, NULL);

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct answer a = find(d, cases[i].attribute, cases[i].value);

		expect(&a, cases[i].reason, cases[i].text);
	}
	cm_directory_close(&d);
}

/* The file is read anew for each search, and its odd lines are nobody. */
static void
odd_lines_of_passwd(void **state)
{
	static const struct { const char *lines, *name; enum cm_reason reason; const char *text; } cases[] = {
		{ "carol:x:20003:20000::/home/carol:/bin/sh\n", "carol", CM_REASON_NONE, "" },
		{ "carol:x:20003:20000::/home/carol:/bin/sh", "carol", CM_REASON_NONE, "" },	/* no last newline */
		{ "carol:x:20003:20000:::\n", "carol", CM_REASON_NONE, "" },
		{ "carol:x:20003:20000::/home/carol\n", "carol", CM_REASON_NO_ACCOUNT, "" },
		{ "carol:x:20003:20000::/home/carol:/bin/sh:x\n", "carol", CM_REASON_NO_ACCOUNT, "" },
		{ ":x:20003:20000::/home/carol:/bin/sh\n", "", CM_REASON_NO_ACCOUNT, "" },
		{ "+carol:x:20003:20000::/home/carol:/bin/sh\n", "+carol", CM_REASON_NO_ACCOUNT, "" },
		{ "#carol:x:20003:20000::/home/carol:/bin/sh\n", "#carol", CM_REASON_NO_ACCOUNT, "" },
		{ "carol:x:-1:20000::/home/carol:/bin/sh\n", "carol", CM_REASON_ACCOUNT_MALFORMED, "uidNumber" },
		{ "carol:x:20003:0::/home/carol:/bin/sh\n", "carol", CM_REASON_ACCOUNT_FORBIDDEN, "gid 0" },
		{ "carol:x:20003:20000::/home/../root:/bin/sh\n", "carol", CM_REASON_ACCOUNT_MALFORMED, "home" },
		{ "carol d:x:20003:20000::/home/carol:/bin/sh\n", "carol d", CM_REASON_ACCOUNT_MALFORMED, "name" },
		/* getpwnam(3) gives the first */
		{ "bob:x:20003:20000::/home/eve:/bin/sh\n", "bob", CM_REASON_NONE, "" },
	};
	struct cm_directory *d = open_uris(local_uri, NULL);
	struct answer a;

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		put_passwd(cases[i].lines);
		a = find(d, "uid", cases[i].name);
		if (a.reason != cases[i].reason)
			fail_msg("%s: %s", cases[i].lines, cm_trace_message(a.trace));
		if (strcmp(cases[i].name, "bob") == 0)
			assert_int_equal(a.account->uid, 20002);
		expect(&a, cases[i].reason, cases[i].text);
	}
	put_passwd("bob:x:20003:20000::/home/eve:/bin/sh\n");
	a = find(d, "uidNumber", "20003");
	expect(&a, CM_REASON_NO_ACCOUNT, "uidNumber=20003");
	put_passwd("bob2:x:20002:20000::/home/bob:/bin/sh\n");	/* a second name of one uid is a second account */
	a = find(d, "uidNumber", "20002");
	expect(&a, CM_REASON_SEVERAL_ACCOUNTS, "bob2");
	cm_directory_close(&d);
	put_passwd("");
}

static void
filters_are_judged_as_elsewhere(void **state)
{
	static const struct { const char *filter; enum cm_reason reason; const char *text; } cases[] = {
		{ "(&(objectClass=posixAccount)(uid=alice))", CM_REASON_NONE, "" },
		{ "(&(cn=alice*)(!(loginShell=*nologin)))", CM_REASON_NONE, "" },
		{ "(&(cn=alice*)(!(loginShell=/bin/bash)))", CM_REASON_NO_ACCOUNT, "" },
		{ "(&(uid=alice)(mail=*))", CM_REASON_NO_ACCOUNT, "" },
		{ "(uid=alice", CM_REASON_CONFIG, "column 11" },
		{ "(:dn:=alice)", CM_REASON_CONFIG, "neither" },
		{ "(uid:1.2.3:=alice)", CM_REASON_CONFIG, "only an LDAP server" },
	};
	struct cm_directory *d = open_uris(local_uri, NULL);

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct answer a = find(d, NULL, cases[i].filter);

		expect(&a, cases[i].reason, cases[i].text);
	}
	cm_directory_close(&d);
}

static void
the_file_must_be_roots_or_ours(void **state)
{
	struct cm_directory *d = open_uris(local_uri, NULL);
	struct answer a;

	(void)state;
	assert_int_equal(chmod(in_root("etc/passwd"), 0666), 0);
	a = find(d, "uid", "alice");
	expect(&a, CM_REASON_CONFIG, "etc/passwd");
	assert_int_equal(remove(in_root("etc/passwd")), 0);
	a = find(d, "uid", "alice");
	expect(&a, CM_REASON_CONFIG, "there is no such file");
	put_passwd("");
	cm_directory_close(&d);
}

/* --- Home directories --- */

#define CERTIFICATES	"home/alice/.eid/authorized_certificates"
#define KEYS	"home/alice/.ssh/authorized_keys"

static void
expect_home(const char *attribute, const char *value, enum cm_reason reason, const char *what)
{
	struct cm_directory *d = open_uris(local_uri, NULL);
	struct answer a = find(d, attribute, value);

	if (a.reason != reason)
		fail_msg("%s: %s", what, cm_trace_message(a.trace));
	expect(&a, reason, "");
	cm_directory_close(&d);
}

static void
keys_of_authorized_keys(void **state)
{
	static const struct { const char *line; bool found; } cases[] = {
		{ "ssh-rsa QUJD alice@host\n", true },
		{ "ssh-rsa QUJD", true },
		{ "# a comment\n\n  ssh-rsa\t QUJD  alice\r\n", true },
		{ "ssh-rsa AAAA other\nssh-rsa QUJD alice\n", true },
		{ "ssh-rsa qujd alice\n", false },	/* base64 has case */
		{ "ssh-rsa QUJDQUJD\n", false },
		{ "ecdsa-sha2-nistp256 QUJD\n", false },
		{ "#ssh-rsa QUJD\n", false },
		{ "restrict ssh-rsa QUJD\n", false },	/* less than a login */
		{ "command=\"x\" ssh-rsa QUJD\n", false },
		{ "cert-authority ssh-rsa QUJD\n", false },
		{ "ssh-rsa\n", false },
		{ "", false },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		put(KEYS, cases[i].line, 0600);
		expect_home("sshPublicKey", "ssh-rsa QUJD", cases[i].found ? CM_REASON_NONE : CM_REASON_NO_ACCOUNT,
		    cases[i].line);
	}
	put(KEYS, "ecdsa-sha2-nistp384 QUJD x\n", 0600);
	expect_home("sshPublicKey", "ecdsa-sha2-nistp384 QUJD", CM_REASON_NONE, "P-384");
}

#define PEM(base64)	"-----BEGIN CERTIFICATE-----\n" base64 "\n-----END CERTIFICATE-----\n"

static void
certificates_of_eid(void **state)
{
	static const struct { const char *text; bool found; } cases[] = {
		{ PEM("QUJD"), true },
		{ "text before\n" PEM("QU\nJD\n"), true },
		{ PEM("AAAA") PEM("QUJD"), true },
		{ PEM("cXVq") PEM("QQ"), false },
		{ PEM("YWJj"), false },	/* "abc": bytes have no case */
		{ "-----BEGIN CERTIFICATE-----\nQUJD\n", false },
		{ PEM(""), false },
		{ "QUJD\n", false },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		put(CERTIFICATES, cases[i].text, 0600);
		expect_home("authorizedCertificate", "ABC", cases[i].found ? CM_REASON_NONE : CM_REASON_NO_ACCOUNT,
		    cases[i].text);
	}
}

/* Attack: somebody else put the key there. */
/* open(2) fails for it: anybody could keep all others out. */
static void
put_socket(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_in_range(snprintf(a.sun_path, sizeof(a.sun_path), "%s", in_root(path)), 1, sizeof(a.sun_path) - 1);
	assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	close(fd);
}

static void
only_the_users_own_files_count(void **state)
{
	static const struct { const char *path; mode_t mode, back; } loose[] = {
		{ KEYS, 0620, 0600 }, { KEYS, 0602, 0600 }, { "home/alice/.ssh", 0775, 0700 },
		{ "home/alice/.ssh", 0757, 0700 }, { "home/alice", 0775, 0755 }, { "home/alice", 0777, 0755 },
	};

	(void)state;
	put(KEYS, "ssh-rsa QUJD\n", 0600);
	for (size_t i = 0; i < CM_COUNT(loose); i++) {
		assert_int_equal(chmod(in_root(loose[i].path), loose[i].mode), 0);
		expect_home("sshPublicKey", "ssh-rsa QUJD", CM_REASON_NO_ACCOUNT, loose[i].path);
		assert_int_equal(chmod(in_root(loose[i].path), loose[i].back), 0);
		expect_home("sshPublicKey", "ssh-rsa QUJD", CM_REASON_NONE, loose[i].path);
	}
	if (getuid() == 0) {
		assert_int_equal(chown(in_root(KEYS), 20002, 20000), 0);
		expect_home("sshPublicKey", "ssh-rsa QUJD", CM_REASON_NO_ACCOUNT, "somebody else's");
		assert_int_equal(chown(in_root(KEYS), ALICE_UID, 20000), 0);
		expect_home("sshPublicKey", "ssh-rsa QUJD", CM_REASON_NONE, "her own");
	}
	/* a link, a pipe, a folder, a large file */
	assert_int_equal(remove(in_root(KEYS)), 0);
	put("home/keys", "ssh-rsa QUJD\n", 0600);
	assert_int_equal(symlink("../../keys", in_root(KEYS)), 0);
	expect_home("sshPublicKey", "ssh-rsa QUJD", CM_REASON_NO_ACCOUNT, "link");
	assert_int_equal(remove(in_root(KEYS)), 0);
	assert_int_equal(remove(in_root("home/keys")), 0);
	assert_int_equal(mkfifo(in_root(KEYS), 0600), 0);
	expect_home("sshPublicKey", "ssh-rsa QUJD", CM_REASON_NO_ACCOUNT, "pipe");
	assert_int_equal(remove(in_root(KEYS)), 0);
	put_socket(KEYS);
	expect_home("sshPublicKey", "ssh-rsa QUJD", CM_REASON_NO_ACCOUNT, "socket");
	assert_int_equal(remove(in_root(KEYS)), 0);
	put(KEYS, "ssh-rsa QUJD\n", 0600);
	assert_int_equal(truncate(in_root(KEYS), 300 << 10), 0);
	expect_home("sshPublicKey", "ssh-rsa QUJD", CM_REASON_NO_ACCOUNT, "300 KiB");
	assert_int_equal(remove(in_root(KEYS)), 0);
	assert_int_equal(remove(in_root("home/alice/.ssh")), 0);
	assert_int_equal(mkdir(in_root("home/.ssh"), 0700), 0);
	put("home/.ssh/authorized_keys", "ssh-rsa QUJD\n", 0600);
	assert_int_equal(symlink("../.ssh", in_root("home/alice/.ssh")), 0);
	expect_home("sshPublicKey", "ssh-rsa QUJD", CM_REASON_NO_ACCOUNT, "a link to a folder");
	assert_int_equal(remove(in_root("home/alice/.ssh")), 0);
	assert_int_equal(remove(in_root("home/.ssh/authorized_keys")), 0);
	assert_int_equal(remove(in_root("home/.ssh")), 0);
	assert_int_equal(mkdir(in_root("home/alice/.ssh"), 0700), 0);
}

/* Two people who authorise one key are two accounts; who may not be opened at all has no say. */
static void
one_key_in_two_homes(void **state)
{
	char line[128];

	(void)state;
	put(KEYS, "ssh-rsa QUJD\n", 0600);
	snprintf(line, sizeof(line), "alice-admin:x:%u:20000::/home/alice:/bin/sh\n", ALICE_UID);
	put_passwd(line);
	expect_home("sshPublicKey", "ssh-rsa QUJD", CM_REASON_SEVERAL_ACCOUNTS, "two");
	put_passwd("games:x:5:60::/home/alice:/bin/sh\n");
	expect_home("sshPublicKey", "ssh-rsa QUJD", CM_REASON_NONE, "system");
	put_passwd("");
	assert_int_equal(remove(in_root(KEYS)), 0);
}

static sem_t proceed;
static const char *slow = "";
static int broken;	/* errno of what is slow; 0: it is slow */

int __real_openat(int folder, const char *path, int flags, ...);
int __wrap_openat(int folder, const char *path, int flags, ...);

/* A file server that is gone: the call ends when the test says so. */
int
__wrap_openat(int folder, const char *path, int flags, ...)
{
	if (slow[0] != '\0' && strstr(path, slow) != NULL && broken != 0) {
		errno = broken;
		return -1;
	}
	if (slow[0] != '\0' && strstr(path, slow) != NULL)
		sem_wait(&proceed);
	return __real_openat(folder, path, flags);
}

/* Could not ask is not no: then the account that is kept may speak. */
static void
a_home_that_cannot_be_read_is_no_answer(void **state)
{
	char line[512];
	struct cm_directory *d;
	struct answer a;
	struct ask q;

	(void)state;
	snprintf(line, sizeof(line), "carol:x:20003:20000::/home/%0300d:/bin/sh\n", 0);	/* ENAMETOOLONG */
	put_passwd(line);
	expect_home("sshPublicKey", "ssh-rsa QUJD", CM_REASON_DIRECTORY_OFFLINE, "too long a name");
	expect_home("uid", "alice", CM_REASON_NONE, "homes are read only where they are asked about");
	put_passwd("carol:x:20003:20000::/home/slow:/bin/sh\n");
	expect_home("sshPublicKey", "ssh-rsa QUJD", CM_REASON_NO_ACCOUNT, "no such home");
	/* a server of bob's own that is gone; one of everybody's that fails */
	slow = "home/slow";
	broken = ENOTCONN;
	expect_home("sshPublicKey", "ssh-rsa QUJD", CM_REASON_NO_ACCOUNT, "fuse");
	broken = EIO;
	expect_home("sshPublicKey", "ssh-rsa QUJD", CM_REASON_DIRECTORY_OFFLINE, "a disk");
	broken = 0;
	sem_init(&proceed, 0, 0);
	d = open_uris(local_uri, NULL);
	a = find_query(d, ask_for(&q, "sshPublicKey", "ssh-rsa QUJD", NULL, NULL), 100);
	for (int i = 0; i < 2; i++)
		sem_post(&proceed);	/* the thread goes on, and frees what was left to it */
	expect(&a, CM_REASON_DIRECTORY_OFFLINE, "no answer in time");
	cm_directory_close(&d);
	put_passwd("");
}

/* --- Beside a directory --- */

#define PEOPLE \
	"dn: uid=alice,dc=test\nuid: alice\nuidNumber: 30001\ngidNumber: 30000\nmail: alice@cardmap.test\n\n" \
	"dn: uid=carol,dc=test\nuid: carol\nuidNumber: 30003\ngidNumber: 30000\nmail: carol@cardmap.test\n"

static void
each_term_goes_where_it_belongs(void **state)
{
	const struct {
		const char *what;
		struct cm_query_term terms[3];
		bool pairing[3];
		size_t count;
		enum cm_reason reason;
		const char *text;	/* of the message; of CM_OK the account's source */
	} cases[] = {
		{ "directory's only", { term("mail", "carol@cardmap.test", false) }, { false }, 1, CM_REASON_NONE, file_uri },
		{ "local only", { term("uid", "bob", true) }, { false }, 1, CM_REASON_NONE, local_uri },
		{ "the directory's uid is not asked here", { term("uid", "bob", false) }, { false }, 1,
		    CM_REASON_NO_ACCOUNT, "uid=bob" },
		{ "the local one not there", { term("uid", "carol", true) }, { false }, 1, CM_REASON_NO_ACCOUNT, "uid=carol" },
		{ "both, found there", { term("mail", "carol@cardmap.test", false), term("uid", "nobody", true) },
		    { false }, 2, CM_REASON_NONE, file_uri },
		{ "both, found here", { term("mail", "nobody@cardmap.test", false), term("uid", "bob", true) },
		    { false }, 2, CM_REASON_NONE, local_uri },
		{ "neither", { term("mail", "x@y", false), term("uid", "x", true) }, { false }, 2,
		    CM_REASON_NO_ACCOUNT, "has no account with uid=x" },
		{ "two accounts", { term("mail", "carol@cardmap.test", false), term("uid", "bob", true) },
		    { false }, 2, CM_REASON_SEVERAL_ACCOUNTS, "carol (uid=carol,dc=test; rule there, strong); bob (uid=bob,cn=local" },
		{ "one name, two accounts", { term("mail", "alice@cardmap.test", false), term("uid", "alice", true) },
		    { false }, 2, CM_REASON_SEVERAL_ACCOUNTS, "alice (uid=alice,cn=local" },
		{ "a mapping there beats a pairing here", { term("mail", "carol@cardmap.test", false), term("uid", "bob", true) },
		    { false, true }, 2, CM_REASON_NONE, file_uri },
		{ "a mapping here beats a pairing there", { term("uid", "carol", false), term("uid", "bob", true) },
		    { true, false }, 2, CM_REASON_NONE, local_uri },
		{ "two pairings", { term("uid", "carol", false), term("uid", "bob", true) },
		    { true, true }, 2, CM_REASON_SEVERAL_ACCOUNTS, "bob" },
	};
	struct cm_directory *d;

	(void)state;
	put("people.ldif", PEOPLE, 0644);
	d = open_uris(file_uri, local_uri);
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		struct cm_query_term terms[3];
		const struct cm_query q = { .terms = terms, .count = cases[i].count };
		struct answer a;

		for (size_t k = 0; k < q.count; k++) {
			terms[k] = cases[i].terms[k];
			terms[k].pairing = cases[i].pairing[k];
		}
		a = find_query(d, &q, 10000);
		if (a.reason != cases[i].reason)
			fail_msg("%s: %s", cases[i].what, cm_trace_message(a.trace));
		if (a.err == CM_OK) {
			assert_string_equal(a.account->source, cases[i].text);
			assert_int_equal(a.account->local, strcmp(cases[i].text, local_uri) == 0);
			assert_string_equal(a.account->principal, a.account->local ? "" : "carol@CARDMAP.TEST");
			answer_free(&a);
		} else {
			expect(&a, cases[i].reason, cases[i].text);
		}
	}
	cm_directory_close(&d);
}

/* One name in both, and a hint: the name does not tell them apart. */
/* attack: the directory has said no, or whose the card is; a home made unreadable must not make that silence. */
static void
a_directory_that_answered_is_not_silent(void **state)
{
	static const char *const mails[] = { "carol@cardmap.test", "nobody@cardmap.test" };
	struct cm_directory *d;
	char line[512];

	(void)state;
	put("people.ldif", PEOPLE, 0600);
	snprintf(line, sizeof(line), "carol:x:20003:20000::/home/%0300d:/bin/sh\n", 0);	/* ENAMETOOLONG */
	put_passwd(line);
	d = open_uris(file_uri, local_uri);
	for (size_t i = 0; i < CM_COUNT(mails); i++) {
		struct cm_query_term terms[] = { term("mail", mails[i], false), term("sshPublicKey", "ssh-rsa QUJD", true) };
		const struct cm_query q = { .terms = terms, .count = CM_COUNT(terms) };
		struct answer a = find_query(d, &q, 10000);

		assert_int_equal(a.err, CM_ERR_SYSTEM);
		expect(&a, CM_REASON_HOME_UNREAD, "File name too long; and ldif:");
	}
	cm_directory_close(&d);
	put_passwd("");
}

static void
a_hint_does_not_choose_between_namesakes(void **state)
{
	struct cm_query_term terms[] = { term("mail", "alice@cardmap.test", false), term("uid", "alice", true) };
	const struct cm_query q = { .terms = terms, .count = 2 };
	const char *const uris[] = { file_uri, local_uri, NULL };
	const struct cm_directory_options o = {
		.uris = uris, .first_uid = 1, .first_gid = 1, .several = CM_SEVERAL_HINT,
	};
	struct cm_directory *d = must_open(&o);
	struct answer a = find_user(d, &q, "alice", 10000);

	(void)state;
	expect(&a, CM_REASON_SEVERAL_ACCOUNTS, "more than one has the name");
	cm_directory_close(&d);
}

static void
a_silent_directory_leaves_local_questions_answered(void **state)
{
	struct cm_query_term terms[] = { term("uid", "bob", true), term("uid", "bob", false) };
	struct cm_query q = { .terms = terms, .count = 1 };
	const char *const uris[] = { "ldap://127.0.0.1:1", local_uri, NULL };
	const struct cm_directory_options o = {
		.uris = uris, .base = "dc=test", .first_uid = 1000, .first_gid = 1000,
	};
	struct cm_directory *d = must_open(&o);
	struct answer a = find_query(d, &q, 10000);

	(void)state;
	assert_int_equal(cm_directory_stats(d).searches, 0);
	expect(&a, CM_REASON_NONE, "");
	/* but who is found here says nothing while the directory may know another */
	q.count = 2;
	a = find_query(d, &q, 10000);
	expect(&a, CM_REASON_DIRECTORY_OFFLINE, "127.0.0.1:1");
	cm_directory_close(&d);
}

static void
uris_of_this_computer(void **state)
{
	static const char *const twice[] = { "local:", "local:/x", NULL };
	static const char *const relative[] = { "local:x", NULL };
	const struct cm_directory_options o = { .uris = twice, .first_uid = 1, .first_gid = 1 };
	struct cm_directory_options r = o;

	(void)state;
	must_not_open(&o, CM_REASON_CONFIG, "twice");
	r.uris = relative;
	must_not_open(&r, CM_REASON_CONFIG, "local:x");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_account_of_passwd),
		cmocka_unit_test(by_every_field),
		cmocka_unit_test(odd_lines_of_passwd),
		cmocka_unit_test(filters_are_judged_as_elsewhere),
		cmocka_unit_test(the_file_must_be_roots_or_ours),
		cmocka_unit_test(keys_of_authorized_keys),
		cmocka_unit_test(certificates_of_eid),
		cmocka_unit_test(only_the_users_own_files_count),
		cmocka_unit_test(one_key_in_two_homes),
		cmocka_unit_test(a_home_that_cannot_be_read_is_no_answer),
		cmocka_unit_test(each_term_goes_where_it_belongs),
		cmocka_unit_test(a_directory_that_answered_is_not_silent),
		cmocka_unit_test(a_hint_does_not_choose_between_namesakes),
		cmocka_unit_test(a_silent_directory_leaves_local_questions_answered),
		cmocka_unit_test(uris_of_this_computer),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
