/* tests/ldap/lists.c - a slapd with revocation lists in it, beside the rig's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "ask.h"
#include "lists.h"
#include "tests/rig/crl_list.h"

#define FOLDER	"/run/rig/tmp/lists"
#define DN	"CN=CDP,CN=Public Key Services,CN=Services,CN=Configuration,DC=lists,DC=test"

static pid_t slapd_pid;

static void
write_file(const char *path, const void *bytes, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static FILE *
open_pki(const char *name)
{
	FILE *f = fopen(pki(name), "r");

	assert_non_null(f);
	return f;
}

/* slapd looks at the form of a list, and takes no other bytes. */
static void
make_list(const char *name, size_t entries, unsigned seed)
{
	struct crl_list l = {
		.entries = entries, .serial_len = 18, .seed = seed, .number = seed, .flags = CRL_REASONS,
		.this_update = time(NULL) - 60, .next_update = time(NULL) + 86400,
	};
	FILE *ca = open_pki("inter.crt"), *key = open_pki("inter.key");
	char path[256];
	uint8_t *der;
	size_t len;

	l.ca = PEM_read_X509(ca, NULL, NULL, NULL);
	l.key = PEM_read_PrivateKey(key, NULL, NULL, NULL);
	fclose(ca);
	fclose(key);
	assert_true(l.ca != NULL && l.key != NULL);
	der = crl_list_make(&l, &len);
	assert_non_null(der);
	snprintf(path, sizeof(path), FOLDER "/%s.crl", name);
	write_file(path, der, len);
	free(der);
	X509_free(l.ca);
	EVP_PKEY_free(l.key);
}

static void
run(char *const argv[])
{
	const pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
		execvp(argv[0], argv);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status != 0)
		fail_msg("%s: status %d", argv[0], status);
}

static void
load(const char *ldif, size_t len)
{
	char *argv[] = { (char *)"slapadd", (char *)"-q", (char *)"-f", (char *)FOLDER "/slapd.conf", (char *)"-l",
	    (char *)FOLDER "/load.ldif", NULL };

	write_file(FOLDER "/load.ldif", ldif, len);
	run(argv);
}

static void
write_conf(void)
{
	const char *folder = rig("CM_RIG_PKI");
	struct cm_buf b = { .ptr = NULL };

	cm_buf_addf(&b, "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n"
	    "modulepath /usr/lib/ldap\nmoduleload back_mdb\n"
	    "TLSCertificateFile %s/server-chain.pem\nTLSCertificateKeyFile %s/server.key\n"
	    "TLSCACertificateFile %s/root.crt\n", folder, folder, folder);
	cm_buf_addf(&b, "database mdb\nsuffix \"" DN "\"\ndirectory " FOLDER "/db\nmaxsize %u\ndbnosync\n"
	    "access to attrs=userPassword by anonymous auth\n"
	    "access to dn.base=\"CN=Private," DN "\" by dn.exact=\"CN=Reader," DN "\" read by * none\n"
	    "access to * by * read\n", 256U << 20);
	write_file(FOLDER "/slapd.conf", b.ptr, b.len);
	cm_buf_free(&b);
}

static void
add_point(struct cm_buf *b, const char *rdn, const char *cn, const char *const (*lists)[2])
{
	cm_buf_addf(b, "dn: %s," DN "\nobjectClass: cRLDistributionPoint\ncn: %s\n", rdn, cn);
	for (; lists != NULL && (*lists)[0] != NULL; lists++)
		cm_buf_addf(b, "%s;binary:< file://" FOLDER "/%s.crl\n", (*lists)[0], (*lists)[1]);
	cm_buf_add_str(b, "\n");
}

static void
fill(void)
{
	static const char crl[] = "certificateRevocationList";
	static const char *const issuing[][2] = {
		{ crl, "list" }, { "authorityRevocationList", "authority" }, { "deltaRevocationList", "delta" }, { NULL, NULL },
	};
	static const char *const several[][2] = { { crl, "list" }, { crl, "delta" }, { NULL, NULL } };
	static const char *const hidden[][2] = { { crl, "private" }, { NULL, NULL } };
	static const char *const odd[][2] = { { crl, "odd" }, { NULL, NULL } };
	struct cm_buf b = { .ptr = NULL };

	cm_buf_addf(&b, "dn: " DN "\nobjectClass: device\ncn: CDP\n\ndn: CN=dc1," DN "\nobjectClass: device\ncn: dc1\n\n"
	    "dn: CN=Reader," DN "\nobjectClass: device\nobjectClass: simpleSecurityObject\ncn: Reader\n"
	    "userPassword: secret\n\n"
	    "dn: CN=Elsewhere," DN "\nobjectClass: referral\nobjectClass: extensibleObject\ncn: Elsewhere\n"
	    "ref: ldap://127.0.0.1:1/CN=Elsewhere," DN "\n\n");
	add_point(&b, "CN=Issuing CA 1,CN=dc1", "Issuing CA 1", issuing);
	add_point(&b, "CN=Empty", "Empty", NULL);
	add_point(&b, "CN=Several", "Several", several);
	add_point(&b, "CN=Private", "Private", hidden);
	cm_buf_add_str(&b, "dn:: ");
	cm_buf_add_base64(&b, cm_blob_str("CN=A\\, B? 100% \xc3\x9cmlaut," DN));
	cm_buf_add_str(&b, "\nobjectClass: cRLDistributionPoint\ncn:: ");
	cm_buf_add_base64(&b, cm_blob_str("A, B? 100% \xc3\x9cmlaut"));
	cm_buf_addf(&b, "\n%s;binary:< file://" FOLDER "/%s.crl\n\n", odd[0][0], odd[0][1]);
	load(cm_buf_str(&b), b.len);
	cm_buf_free(&b);
}

static bool
listens(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)strtoul(LISTS_PORT, NULL, 10)) };
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool there;

	inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
	there = connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0;
	close(fd);
	return there;
}

static void
start_slapd(void)
{
	const int log = open(FOLDER "/slapd.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	assert_true(log >= 0);
	if ((slapd_pid = fork()) == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		dup2(log, 2);
		setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin", 1);
		execlp("slapd", "slapd", "-d", "stats", "-s", "0", "-f", FOLDER "/slapd.conf", "-h",
		    "ldap://127.0.0.1:" LISTS_PORT " ldap://[::1]:" LISTS_PORT " ldaps://127.0.0.1:" LISTS_TLS_PORT,
		    (char *)NULL);
		_exit(127);
	}
	close(log);
	for (int i = 0; i < 2000 && !listens(); i++) {
		assert_int_equal(waitpid(slapd_pid, NULL, WNOHANG), 0);
		poll(NULL, 0, 10);
	}
	assert_true(listens());
}

static void
stop_slapd(void)
{
	kill(slapd_pid, SIGTERM);
	waitpid(slapd_pid, NULL, 0);
}

void
lists_start(void)
{
	static const char *const names[] = { "list", "authority", "delta", "private", "odd" };

	assert_int_equal(mkdir(FOLDER, 0700), 0);
	assert_int_equal(mkdir(FOLDER "/db", 0700), 0);
	for (size_t i = 0; i < CM_COUNT(names); i++)
		make_list(names[i], 10, (unsigned)i + 1);
	write_conf();
	fill();
	start_slapd();
}

void
lists_stop(void)
{
	char *argv[] = { (char *)"rm", (char *)"-r", (char *)FOLDER, NULL };

	stop_slapd();
	run(argv);
}

void
lists_add_big(void)
{
	static const char *const lists[][2] = { { "certificateRevocationList", "big" }, { NULL, NULL } };
	struct cm_buf b = { .ptr = NULL };

	make_list("big", 1000000, 9);
	add_point(&b, "CN=Big", "Big", lists);
	stop_slapd();
	load(cm_buf_str(&b), b.len);
	cm_buf_free(&b);
	start_slapd();
}

void
lists_read(const char *name, struct cm_buf *out)
{
	char path[256];
	struct stat st;
	uint8_t *to;
	FILE *f;

	snprintf(path, sizeof(path), FOLDER "/%s.crl", name);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fstat(fileno(f), &st), 0);
	to = cm_buf_extend(out, (size_t)st.st_size);
	assert_non_null(to);
	assert_int_equal(fread(to, 1, (size_t)st.st_size, f), st.st_size);
	fclose(f);
}

unsigned
lists_saw(const char *text)
{
	return lines_with(FOLDER "/slapd.log", text);
}
