/* helper/sandbox.c - what this process never needs is taken from it before the first byte from outside comes. */
#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "helper/helper.h"

/* libseccomp's SCMP_A0() leaves a field out, and clang says so of whoever uses it. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/* AddressSanitizer's search for leaks at the end starts a process that stops our threads; the test of this file does without. */
#if defined(__SANITIZE_ADDRESS__) && !defined(CM_SANDBOX_WHOLE)
#define LEAKS_ARE_SOUGHT
#endif

/*
 * A list of what is denied: libpcsclite, libkrb5, its plugins and OpenSSL are
 * other people's, and what they call changes with their versions.  The unit
 * (packaging/) narrows it further.
 */
static const int denied[] = {
	/* other programs, and new ways to them */
	SCMP_SYS(execve), SCMP_SYS(execveat), SCMP_SYS(fork), SCMP_SYS(vfork),
	/* other processes */
#ifndef LEAKS_ARE_SOUGHT
	SCMP_SYS(ptrace),
#endif
	SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(pidfd_getfd),
	SCMP_SYS(kcmp), SCMP_SYS(perf_event_open),
	/* other users, names and mounts */
	SCMP_SYS(setuid), SCMP_SYS(setgid), SCMP_SYS(setreuid), SCMP_SYS(setregid), SCMP_SYS(setresuid),
	SCMP_SYS(setresgid), SCMP_SYS(setfsuid), SCMP_SYS(setfsgid), SCMP_SYS(setgroups), SCMP_SYS(capset),
	SCMP_SYS(unshare), SCMP_SYS(setns), SCMP_SYS(chroot), SCMP_SYS(pivot_root), SCMP_SYS(mount), SCMP_SYS(umount2),
	SCMP_SYS(move_mount), SCMP_SYS(open_tree), SCMP_SYS(fsopen), SCMP_SYS(fsmount), SCMP_SYS(mount_setattr),
	/* the kernel itself */
	SCMP_SYS(bpf), SCMP_SYS(init_module), SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load), SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(syslog), SCMP_SYS(acct),
	SCMP_SYS(settimeofday), SCMP_SYS(clock_settime), SCMP_SYS(clock_adjtime), SCMP_SYS(adjtimex), SCMP_SYS(iopl), SCMP_SYS(ioperm),
	SCMP_SYS(userfaultfd), SCMP_SYS(io_uring_setup), SCMP_SYS(add_key), SCMP_SYS(request_key), SCMP_SYS(keyctl),
	SCMP_SYS(open_by_handle_at), SCMP_SYS(name_to_handle_at), SCMP_SYS(quotactl), SCMP_SYS(lookup_dcookie),
	/* files of others */
	SCMP_SYS(chmod), SCMP_SYS(fchmod), SCMP_SYS(fchmodat), SCMP_SYS(chown), SCMP_SYS(fchown), SCMP_SYS(lchown),
	SCMP_SYS(fchownat), SCMP_SYS(mknod), SCMP_SYS(mknodat), SCMP_SYS(link), SCMP_SYS(linkat),
};

/* pcscd, KDCs and name servers are all it talks to. */
static const int families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };

static bool
deny_sockets(scmp_filter_ctx f)
{
	bool ok = true;

	/* every family above those, and those between */
	for (int family = 0, i = 0; ok && family <= AF_NETLINK; family++) {
		bool used = false;

		for (i = 0; i < (int)CM_COUNT(families); i++)
			used = used || families[i] == family;
		if (!used)
			ok = seccomp_rule_add(f, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
			    SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family)) == 0;
	}
	return ok && seccomp_rule_add(f, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
	    SCMP_A0(SCMP_CMP_GT, AF_NETLINK)) == 0;
}

/* Threads are all that is ever made.  What clone3(2) is asked for no filter can see: libc then takes clone(2). */
static bool
deny_processes(scmp_filter_ctx f)
{
#ifdef LEAKS_ARE_SOUGHT
	(void)f;
	return true;
#else
	return seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0 &&
	    seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
	    SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)) == 0;
#endif
}

enum cm_err
cm_helper_confine(void)
{
	scmp_filter_ctx f;
	bool ok;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || (f = seccomp_init(SCMP_ACT_ALLOW)) == NULL)
		return CM_ERR_SYSTEM;
	ok = deny_sockets(f) && deny_processes(f);
	for (size_t i = 0; ok && i < CM_COUNT(denied); i++)
		ok = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), denied[i], 0) == 0;
	ok = ok && seccomp_load(f) == 0;
	seccomp_release(f);
	return ok ? CM_OK : CM_ERR_SYSTEM;
}
