/* tests/resolver/test_sandbox.c - what the resolver cannot do, whoever has taken it over; and what it still can. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mapper/mapper.h"
#include "resolver/resolver.h"

/* In a child that is nobody, behind the filter. */
static int
in_sandbox(int (*what)(void))
{
	int status = 0;
	const pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		if (geteuid() == 0 && (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0))
			_exit(99);
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || cm_resolver_confine(NULL) != CM_OK)
			_exit(98);
		_exit(what());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* 0: it failed for that reason. */
static int
denied(long result, int error)
{
	return result < 0 && errno == error ? 0 : 1;
}

static int
try_execve(void)
{
	char *const arguments[] = { (char *)"true", NULL }, *const environment[] = { NULL };

	return denied(execve("/bin/true", arguments, environment), EPERM);
}

static int
try_ptrace(void)
{
	return denied(ptrace(PTRACE_TRACEME, 0, NULL, NULL), EPERM);
}

static int
try_packet(void)
{
	return denied(socket(AF_PACKET, SOCK_RAW, 0), EPERM) + denied(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), EPERM) +
	    denied(socket(AF_NETLINK, SOCK_RAW, 9 /* NETLINK_AUDIT */), EPERM);
}

static int
try_shadow(void)
{
	return denied(open("/etc/shadow", O_RDONLY), EACCES);
}

static int
try_rights(void)
{
	return denied(setuid(0), EPERM) + denied(setgid(0), EPERM) + denied(syscall(SYS_setresuid, -1, -1, -1), EPERM) +
	    denied(mount("none", "/mnt", "tmpfs", 0, NULL), EPERM) + denied(unshare(CLONE_NEWUSER), EPERM) +
	    denied(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0), EPERM) + denied(syscall(SYS_bpf, 0, 0, 0), EPERM) +
	    denied(syscall(SYS_io_uring_setup, 1, NULL), EPERM) + denied(syscall(SYS_keyctl, 0, 0, 0, 0, 0), EPERM) +
	    denied(prctl(PR_SET_KEEPCAPS, 1), EPERM) + denied(syscall(SYS_process_vm_readv, getppid(), 0, 0, 0, 0, 0), EPERM);
}

static void
attack_beyond_the_filter(void **state)
{
	static const struct {
		const char *name;
		int (*what)(void);
	} cases[] = {
		{ "execve", try_execve }, { "ptrace", try_ptrace }, { "AF_PACKET", try_packet }, { "/etc/shadow", try_shadow },
		{ "more rights", try_rights },
	};

	(void)state;
	for (size_t i = 0; i < CM_COUNT(cases); i++) {
		const int result = in_sandbox(cases[i].what);

		if (result != 0)
			fail_msg("%s: %d", cases[i].name, result);
	}
}

/* ---- what it needs: expressions in a child, from several threads, each of which ends */

static struct cm_cert *alice;	/* read before: who is in the sandbox may not get where it lies */

static struct cm_cert *
read_cert(const char *path)
{
	static uint8_t der[16384];
	struct cm_cert *c = NULL;
	FILE *in = fopen(path, "r");
	size_t n;

	if (in == NULL)
		return NULL;
	n = fread(der, 1, sizeof(der), in);
	fclose(in);
	return cm_cert_decode((struct cm_blob){ der, n }, NULL, &c) == CM_OK ? c : NULL;
}

struct mapping {
	struct cm_rules *rules;
	const struct cm_cert *cert;
	bool mapped;
};

static void *
map(void *arg)
{
	struct mapping *m = arg;
	struct cm_query *q = NULL;

	m->mapped = cm_rules_map(m->rules, m->cert, NULL, &q) == CM_OK;
	cm_query_free(&q);
	return NULL;
}

/* The child was made by a thread that is no more, and answers the next one. */
static int
map_in_threads(void)
{
	const struct cm_conf_rule rule = {
		.name = (char *)"r", .origin = (char *)"test:1", .match = (char *)"<SUBJECT>.*A[l-m]ice.*", .attribute = (char *)"uid",
		.value = (char *)"{subject_dn!ad_x500}", .priority = 1,
	};
	const struct cm_rules_options o = { .forms = (const char *const[]){ NULL } };
	struct mapping m = { .cert = alice };
	struct cm_trace *t = NULL;
	pthread_t thread;

	if (cm_trace_new(&t) != CM_OK || cm_rules_new(&o, &m.rules) != CM_OK)
		return 1;
	if (cm_rules_add(m.rules, &rule, 1, t) != CM_OK) {
		fprintf(stderr, "%s\n", cm_trace_message(t));
		return 2;
	}
	for (int i = 0; i < 3; i++) {
		m.mapped = false;
		if (pthread_create(&thread, NULL, map, &m) != 0 || pthread_join(thread, NULL) != 0 || !m.mapped)
			return 3 + i;
	}
	cm_rules_free(&m.rules);
	cm_trace_free(&t);
	return 0;
}

static void
expressions_still_match(void **state)
{
	(void)state;
	assert_non_null(alice = read_cert(CM_PKI_DIR "/alice-p256.der"));
	assert_int_equal(map_in_threads(), 0);		/* no filter */
	assert_int_equal(in_sandbox(map_in_threads), 0);
	cm_cert_free(&alice);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attack_beyond_the_filter),
		cmocka_unit_test(expressions_still_match),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
