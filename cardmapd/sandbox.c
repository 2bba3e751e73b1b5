/* cardmapd/sandbox.c - what cardmapd can never do: reach a network, trace a process, change the kernel or its mounts. */
#include "cardmapd/sandbox.h"

#include <errno.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* libseccomp's SCMP_A0() leaves a field out, and clang says so of whoever uses it. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/*
 * A list of what is denied: the one-shot child that writes a ccache as its user
 * inherits the filter, and what libc and libkrb5 may come to call there is not
 * ours to foresee.  io_uring makes sockets without socket(2), so it goes whole.
 */
static const int denied[] = {
	SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev), SCMP_SYS(kcmp), SCMP_SYS(pidfd_getfd),
	SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register),
	SCMP_SYS(mount), SCMP_SYS(umount), SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(chroot), SCMP_SYS(move_mount),
	SCMP_SYS(open_tree), SCMP_SYS(fsopen), SCMP_SYS(fsconfig), SCMP_SYS(fsmount), SCMP_SYS(fspick),
	SCMP_SYS(mount_setattr), SCMP_SYS(open_by_handle_at), SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(quotactl),
	SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load), SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(acct),
	SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(adjtimex), SCMP_SYS(clock_adjtime), SCMP_SYS(sethostname),
	SCMP_SYS(setdomainname), SCMP_SYS(iopl), SCMP_SYS(ioperm), SCMP_SYS(modify_ldt), SCMP_SYS(mknod),
	SCMP_SYS(mknodat), SCMP_SYS(syslog), SCMP_SYS(personality), SCMP_SYS(lookup_dcookie),
#ifndef __SANITIZE_ADDRESS__	/* which looks for leaks by it, at the end */
	SCMP_SYS(ptrace),
#endif
};

static int
add_rules(scmp_filter_ctx f)
{
	int e = 0;

	/* Where there is no CAP_SYS_ADMIN (a test, not root) this takes no_new_privs; where there is, harmless. */
	e |= seccomp_attr_set(f, SCMP_FLTATR_CTL_NNP, 1);
	e |= seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	e |= seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_NE, AF_UNIX));
	e |= seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socketpair), 1, SCMP_A0(SCMP_CMP_NE, AF_UNIX));
	for (size_t i = 0; i < CM_COUNT(denied); i++) {
		/* -EDOM: this architecture has no such call */
		const int one = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), denied[i], 0);

		e |= one != -EDOM ? one : 0;
	}
	return e;
}

enum cm_err
cm_sandbox_enter(struct cm_trace *t)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	int e = f != NULL ? add_rules(f) : -ENOMEM;

	if (e == 0)
		e = seccomp_load(f);
	if (f != NULL)
		seccomp_release(f);
	return e == 0 ? CM_OK : cm_trace_fail(t, CM_REASON_SYSTEM, "seccomp: %s: this kernel lacks it", strerror(-e));
}

/* ---- trying */

static bool
can_inet(void)
{
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0 || errno != EPERM;
}

static bool
can_inet6(void)
{
	return socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0) >= 0 || errno != EPERM;
}

static bool
can_netlink(void)
{
	return socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0) >= 0 || errno != EPERM;
}

static bool
can_packet(void)
{
	return socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0) >= 0 || errno != EPERM;
}

static bool
can_mount(void)
{
	return mount("none", "/nowhere", "tmpfs", 0, NULL) == 0 || errno != EPERM;
}

static bool
can_bpf(void)
{
	return syscall(SYS_bpf, 0, NULL, 0) >= 0 || errno != EPERM;
}

static bool
can_ring(void)
{
	return syscall(SYS_io_uring_setup, 1, NULL) >= 0 || errno != EPERM;
}

static bool
can_load_modules(void)
{
	return syscall(SYS_finit_module, -1, "", 0) == 0 || errno != EPERM;
}

#ifndef __SANITIZE_ADDRESS__
static bool
can_trace(void)
{
	return ptrace(PTRACE_ATTACH, 0x7fffffff, NULL, NULL) == 0 || errno != EPERM;
}
#endif

static const struct attempt {
	const char *what;
	bool (*can)(void);
} attempts[] = {
	{ "a socket of AF_INET", can_inet },
	{ "a socket of AF_INET6", can_inet6 },
	{ "a socket of AF_NETLINK", can_netlink },
	{ "a socket of AF_PACKET", can_packet },
	{ "mount(2)", can_mount },
	{ "bpf(2)", can_bpf },
	{ "io_uring_setup(2)", can_ring },
	{ "finit_module(2)", can_load_modules },
#ifndef __SANITIZE_ADDRESS__
	{ "ptrace(2)", can_trace },
#endif
};

enum cm_err
cm_sandbox_check(struct cm_trace *t)
{
	for (size_t i = 0; i < CM_COUNT(attempts); i++) {
		if (attempts[i].can()) {
			cm_trace_fail(t, CM_REASON_SYSTEM, "the sandbox lets through: %s", attempts[i].what);
			return CM_ERR_STATE;
		}
		cm_trace_add(t, "denied", "%s", attempts[i].what);
	}
	return CM_OK;
}
