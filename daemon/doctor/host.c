/* SPDX-License-Identifier: AGPL-3.0-only */
/* Probes of the kernel itself and of settings of the host that agents could lean on. */
#include "daemon/doctor/probe.h"
#include "daemon/rt/rt.h"
#include <stdlib.h>
#include <sys/utsname.h>

void probe_kernel_version(const struct doctor_options *o, struct doctor_finding *f)
{
	struct utsname u;
	char *end = NULL;

	if (uname(&u) < 0) {
		found(f, DOCTOR_UNAVAILABLE, NULL, "the kernel does not tell its version");
		return;
	}
	long major = strtol(u.release, &end, 10);
	long minor = *end == '.' ? strtol(end + 1, &end, 10) : 0;
	if (major > 6 || (major == 6 && minor >= 1))
		found(f, DOCTOR_PREVENTED, NULL, "Linux %s", u.release);
	else
		found(f, DOCTOR_NOT_COVERED, "install Linux 6.1 or later (Debian 12 has it)",
			"Linux %s", u.release);
}

void probe_io_uring(const struct doctor_options *o, struct doctor_finding *f)
{
	int r = rt_probe_ring();

	if (r == 0)
		found(f, DOCTOR_PREVENTED, NULL, "a ring can be set up");
	else
		found(f, DOCTOR_NOT_COVERED,
			"sysctl kernel.io_uring_disabled=0 (or 1, with aegisd's group in "
			"kernel.io_uring_group), and no seccomp filter around the daemon that "
			"denies it",
			"%s", err_message(r));
}

void probe_io_uring_sysctl(const struct doctor_options *o, struct doctor_finding *f)
{
	long v = read_number("/proc/sys/kernel/io_uring_disabled");

	if (v < 0)
		found(f, DOCTOR_NOT_COVERED, "Linux 6.6 or later has the setting",
			"there is no kernel.io_uring_disabled; sandboxes are denied io_uring "
			"anyway");
	else if (v == 0)
		found(f, DOCTOR_NOT_COVERED,
			"sysctl kernel.io_uring_disabled=1 and aegisd's group in "
			"kernel.io_uring_group",
			"every user may use io_uring; sandboxes are denied it anyway");
	else
		found(f, DOCTOR_PREVENTED, NULL, "kernel.io_uring_disabled is %ld", v);
}

void probe_unprivileged_bpf(const struct doctor_options *o, struct doctor_finding *f)
{
	long v = read_number("/proc/sys/kernel/unprivileged_bpf_disabled");

	if (v > 0)
		found(f, DOCTOR_PREVENTED, NULL, "kernel.unprivileged_bpf_disabled is %ld", v);
	else if (v == 0)
		found(f, DOCTOR_NOT_COVERED, "sysctl kernel.unprivileged_bpf_disabled=2",
			"any user may load BPF programs");
	else
		found(f, DOCTOR_PREVENTED, NULL, "this kernel has no bpf(2)");
}

void probe_unprivileged_userns(const struct doctor_options *o, struct doctor_finding *f)
{
	bool off = read_number("/proc/sys/kernel/unprivileged_userns_clone") == 0 ||
		read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") > 0 ||
		read_number("/proc/sys/user/max_user_namespaces") == 0;

	if (off)
		found(f, DOCTOR_PREVENTED, NULL, "the host restricts them");
	else
		found(f, DOCTOR_NOT_COVERED,
			"sysctl kernel.unprivileged_userns_clone=0 (Debian); the helper, as root, "
			"does not need it",
			"any user may make one; sandboxes cannot, whatever stands here");
}

void probe_yama(const struct doctor_options *o, struct doctor_finding *f)
{
	long v = read_number("/proc/sys/kernel/yama/ptrace_scope");

	if (v > 0)
		found(f, DOCTOR_PREVENTED, NULL, "kernel.yama.ptrace_scope is %ld", v);
	else
		found(f, DOCTOR_NOT_COVERED, "sysctl kernel.yama.ptrace_scope=1",
			v == 0 ? "kernel.yama.ptrace_scope is 0; sandboxes are denied ptrace anyway"
			       : "this kernel has no Yama; sandboxes are denied ptrace anyway");
}

void probe_core_pattern(const struct doctor_options *o, struct doctor_finding *f)
{
	char pattern[128];

	if (!read_line("/proc/sys/kernel/core_pattern", pattern, sizeof(pattern)))
		found(f, DOCTOR_PREVENTED, NULL, "this kernel writes no core dumps");
	else if (pattern[0] == '|')
		/* core(5): RLIMIT_CORE does not bound dumps that go to a pipe. */
		found(f, DOCTOR_NOT_COVERED,
			"sysctl kernel.core_pattern=core: the limit of a sandbox, 0, then holds; "
			"or "
			"trust that program with memory images that agents make",
			"core dumps of every process, agents' too, start %.100s as root",
			pattern + 1);
	else
		found(f, DOCTOR_PREVENTED, NULL,
			"core dumps are files, and a sandbox's limit for them is 0");
}

void probe_swap(const struct doctor_options *o, struct doctor_finding *f)
{
	struct buf b CLEANUP(buf_fini) = buf_init(64 * 1024);

	if (fd_read_file("/proc/swaps", &b) < 0) {
		found(f, DOCTOR_PREVENTED, NULL, "this kernel has no swap");
		return;
	}
	ssize_t first = span_find_byte(buf_view(&b), '\n', 0);
	bool used = first >= 0 && (size_t)first + 1 < b.len;
	if (used)
		found(f, DOCTOR_NOT_COVERED,
			"swapoff -a, or swap on an encrypted device (a random key in "
			"/etc/crypttab)",
			"swap is on; whether it is encrypted is not looked at");
	else
		found(f, DOCTOR_PREVENTED, NULL, "no swap is on");
}
