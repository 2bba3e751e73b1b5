/*
 * bench/bench_revocation.c - what bench/revocation.py does not do itself:
 *
 *	bench_revocation sources STORE
 *		keeps in STORE what standard input has, "KIND URL CA.crt" in each line: who is to be asked on behalf of whom
 *	bench_revocation run SECONDS COMMAND...
 *		the command's status (-1: it was stopped after so many seconds), how long it took and how long it computed, in
 *		microseconds, and the most kB that it held: a process keeps the peak of the one it was forked from, and this one is
 *		small
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/net.h"
#include "bench/bench.h"
#include "cache/accounts.h"

static X509 *
load(const char *path)
{
	FILE *f = fopen(path, "r");
	X509 *x = f != NULL ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

	if (x == NULL)
		bench_die(path, "no certificate");
	fclose(f);
	return x;
}

static struct cm_blob
der_of(X509 *x)
{
	struct cm_blob der = { NULL, 0 };
	unsigned char *bytes = NULL;
	const int len = i2d_X509(x, &bytes);

	if (len <= 0)
		bench_die("certificate", "cannot be encoded");
	der.ptr = bytes;
	der.len = (size_t)len;
	return der;
}

static void
keep_source(const struct cm_keeper *k, char *line)
{
	char *rest = line, *kind = strsep(&rest, " "), *url = strsep(&rest, " ");
	struct cm_source s = { .kind = kind != NULL && strcmp(kind, "ocsp") == 0 ? CM_SOURCE_OCSP : CM_SOURCE_CRL,
	    .seen = cm_clock_now() };
	unsigned char *spki = NULL;
	struct cm_blob der;
	X509 *ca;
	int len;

	if (rest == NULL)
		bench_die(line, "is not KIND URL CA.crt");
	rest[strcspn(rest, "\n")] = '\0';
	snprintf(s.url, sizeof(s.url), "%s", url);
	ca = load(rest);
	if ((len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(ca), &spki)) <= 0 ||
	    EVP_Digest(spki, (size_t)len, s.issuer_key, NULL, EVP_sha256(), NULL) != 1)
		bench_die(rest, "no key");
	OPENSSL_free(spki);
	der = der_of(ca);
	bench_must(k->keep_source(k->arg, &s, der), url, NULL);
	OPENSSL_free((void *)(uintptr_t)der.ptr);
	X509_free(ca);
}

static void
sources(char **argv)
{
	const struct cm_accounts_options o = { .path = argv[2], .first_uid = 1000, .first_gid = 1000 };
	struct cm_accounts *store = NULL;
	struct cm_memory *memory = NULL;
	struct cm_trace *t = NULL;
	char line[4096];

	bench_must(cm_trace_new(&t), "trace", NULL);
	bench_must(cm_accounts_open(&o, t, &store), "store", t);
	bench_must(cm_accounts_recall(store, cm_clock_now(), t, &memory), "store", t);
	while (fgets(line, sizeof(line), stdin) != NULL)
		keep_source(&memory->keeper, line);
	cm_memory_free(&memory);
	cm_accounts_close(&store);
	cm_trace_free(&t);
}

/* Until it ends, or the time is over. */
static int
await(pid_t pid, cm_deadline deadline, struct rusage *usage)
{
	const int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	int status = 0;
	bool stopped;

	if (fd < 0)
		bench_die("pidfd_open", strerror(errno));
	if ((stopped = cm_net_wait(fd, POLLIN, deadline) != 0))
		kill(pid, SIGKILL);
	close(fd);
	if (wait4(pid, &status, 0, usage) != pid)
		bench_die("wait4", strerror(errno));
	return stopped ? -1 : WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static long long
us_of(struct timeval t)
{
	return (long long)t.tv_sec * 1000000 + t.tv_usec;
}

static void
run(char **argv)
{
	const int64_t begin = cm_clock_us();
	struct rusage usage;
	const pid_t pid = fork();
	int status, none;

	if (pid == 0) {
		none = open("/dev/null", O_RDWR);
		dup2(none, 0);
		dup2(none, 1);
		dup2(none, 2);
		execv(argv[3], argv + 3);
		_exit(127);
	}
	status = await(pid, cm_deadline_in((unsigned)strtoul(argv[2], NULL, 10) * 1000), &usage);
	printf("%d %lld %lld %ld\n", status, (long long)(cm_clock_us() - begin),
	    us_of(usage.ru_utime) + us_of(usage.ru_stime), usage.ru_maxrss);
}

int
main(int argc, char **argv)
{
	if (argc > 3 && strcmp(argv[1], "run") == 0)
		run(argv);
	else if (argc == 3 && strcmp(argv[1], "sources") == 0)
		sources(argv);
	else
		bench_die("usage", "bench_revocation sources STORE | run SECONDS COMMAND...");
	return 0;
}
