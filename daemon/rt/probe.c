/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Why io_uring cannot be had. The kernel answers with one of four errnos; what an operator needs
 * is which knob to turn, so each is followed to its cause.
 */
#include "daemon/rt/internal.h"
#include <errno.h>
#include <sys/resource.h>
#include <sys/utsname.h>

static bool seccomp_filters(void)
{
	struct buf b CLEANUP(buf_fini) = buf_init(16384);
	if (fd_read_file("/proc/self/status", &b) < 0) {
		err_clear();
		return false;
	}
	return span_find(buf_view(&b), SPAN("\nSeccomp:\t2"), 0) >= 0;
}

/* Value of kernel.io_uring_disabled, 0 where the kernel has no such setting (before 6.6). */
static int sysctl_disabled(void)
{
	struct buf b CLEANUP(buf_fini) = buf_init(64);
	uint64_t v;
	if (fd_read_file("/proc/sys/kernel/io_uring_disabled", &b) < 0) {
		err_clear();
		return 0;
	}
	return span_to_u64(span_trim(buf_view(&b)), &v) < 0 ? 0 : (int)v;
}

static int not_permitted(void)
{
	int disabled = sysctl_disabled();
	if (disabled == 2)
		return err_raise(-EPERM,
			"io_uring is switched off for the whole system: sysctl "
			"kernel.io_uring_disabled is 2, accepted is 0 (or 1 and "
			"membership in kernel.io_uring_group)");
	if (seccomp_filters())
		return err_raise(-EPERM,
			"a seccomp filter forbids io_uring_setup to this process "
			"(a container's default profile?); allow io_uring_setup, "
			"io_uring_enter and io_uring_register");
	if (disabled == 1)
		return err_raise(-EPERM,
			"io_uring is reserved for a group: sysctl "
			"kernel.io_uring_disabled is 1; add this user to "
			"kernel.io_uring_group or set the sysctl to 0");
	return err_raise(-EPERM, "the kernel or a security module refuses io_uring_setup");
}

static int not_there(void)
{
	struct utsname u;
	if (uname(&u) < 0)
		u.release[0] = '\0';
	if (seccomp_filters())
		return err_raise(-ENOSYS,
			"a seccomp filter hides io_uring from this process "
			"(kernel %s); allow io_uring_setup, io_uring_enter and "
			"io_uring_register",
			u.release);
	return err_raise(-ENOSYS,
		"kernel %s is built without io_uring; Linux 6.1 or later with "
		"CONFIG_IO_URING is needed",
		u.release);
}

static int too_little_memory(int r)
{
	struct rlimit lim = {0};
	(void)getrlimit(RLIMIT_MEMLOCK, &lim);
	return err_raise(r,
		"no memory for an io_uring: the memlock limit is %llu KiB; raise it "
		"(LimitMEMLOCK=, ulimit -l), 8192 KiB per worker are enough",
		(unsigned long long)lim.rlim_cur / 1024);
}

int ring_why_not(int r)
{
	struct utsname u;
	switch (r) {
	case -EPERM:
	case -EACCES:
		return not_permitted();
	case -ENOSYS:
		return not_there();
	case -ENOMEM:
	case -EAGAIN:
		return too_little_memory(-ENOMEM);
	case -EINVAL:
		if (uname(&u) < 0)
			u.release[0] = '\0';
		return err_raise(-ENOSYS,
			"the io_uring of kernel %s is too old (no single issuer "
			"with deferred task work); Linux 6.1 or later is needed",
			u.release);
	default:
		return err_sys(r, "set up an io_uring");
	}
}

int rt_probe_ring(void)
{
	struct ring r;
	int err = ring_init(&r, 8);
	if (err < 0)
		return err_trace(err);
	ring_fini(&r);
	return 0;
}
