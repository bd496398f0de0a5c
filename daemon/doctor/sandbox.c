/* SPDX-License-Identifier: AGPL-3.0-only */
/* Probes of what a sandbox is built from. Each is entered for real, in a child that then ends. */
#include "daemon/doctor/probe.h"
#include "daemon/confine/confine.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- user namespaces ---- */

static int write_map(pid_t pid, const char *which, unsigned first, unsigned count)
{
	char path[64], text[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, which);
	snprintf(text, sizeof(text), "0 %u %u\n", first, count);
	AUTO_FD fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd_write_all(fd, span_cstr(text));
}

/* The child makes the namespace and holds it until the parent has taken hold of it. */
static int hold_namespace(int ready, int go)
{
	char byte = unshare(CLONE_NEWUSER) < 0 ? 'n' : 'y';

	if (write(ready, &byte, 1) != 1)
		return 1;
	return read(go, &byte, 1) < 0;
}

static int take_namespace(pid_t pid, int ready, unsigned first, unsigned count)
{
	char path[64], byte;

	if (read(ready, &byte, 1) != 1 || byte != 'y')
		return -EPERM;
	int r = write_map(pid, "uid_map", first, count);
	if (r == 0)
		r = write_map(pid, "gid_map", first, count);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int new_user_namespace(unsigned first, unsigned count)
{
	int ready[2], go[2];

	if (pipe2(ready, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(go, O_CLOEXEC) < 0) {
		close(ready[0]);
		close(ready[1]);
		return -EMFILE;
	}
	pid_t pid = fork();
	if (pid == 0) {
		close(go[1]);
		_exit(hold_namespace(ready[1], go[0]));
	}
	close(ready[1]);
	int fd = pid < 0 ? -EAGAIN : take_namespace(pid, ready[0], first, count);
	close(ready[0]);
	close(go[0]);
	close(go[1]);
	if (pid > 0)
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	return fd;
}

void probe_user_namespace(const struct doctor_options *o, struct doctor_finding *f)
{
	const char *how =
		"a kernel with CONFIG_USER_NS, and sysctl user.max_user_namespaces above 0";

	if (!is_root()) {
		bool there = access("/proc/self/ns/user", F_OK) == 0 &&
			read_number("/proc/sys/user/max_user_namespaces") != 0;
		if (there)
			found(f, DOCTOR_UNAVAILABLE, "ask as root: sudo aegis doctor",
				"this kernel has them; making one is root's");
		else
			found(f, DOCTOR_NOT_COVERED, how, "this kernel has none, or allows none");
		return;
	}
	AUTO_FD fd = new_user_namespace(0, 1);
	if (fd >= 0)
		found(f, DOCTOR_PREVENTED, NULL, "one was made and mapped");
	else
		found(f, DOCTOR_NOT_COVERED, how, "making one: %s", strerror(-fd));
}

/* ---- seccomp ---- */

static int enter_seccomp(void *arg)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return 1;
	int r = seccomp_program_load(arg);
	if (r < 0)
		return -r;
	/* The filter must be the one that answers. */
	return syscall(SYS_io_uring_setup, 0, NULL) == -1 && errno == EPERM &&
			syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS
		? 0
		: 255;
}

void probe_seccomp(const struct doctor_options *o, struct doctor_finding *f)
{
	struct seccomp_program program;
	const char *how = "a kernel with CONFIG_SECCOMP_FILTER";
	int r = seccomp_policy_build(&program);

	if (r < 0) {
		found(f, DOCTOR_NOT_COVERED, how, "%s", err_message(r));
		return;
	}
	r = in_child(enter_seccomp, &program);
	if (r == 0)
		found(f, DOCTOR_PREVENTED, NULL,
			"the filter of %u instructions was loaded and obeyed", program.len);
	else if (r == 255 || r < 0)
		found(f, DOCTOR_NOT_COVERED, how, "the filter was loaded and not obeyed");
	else
		found(f, DOCTOR_NOT_COVERED, how, "loading the filter: %s", strerror(r));
	seccomp_program_fini(&program);
}

/* ---- Landlock ---- */

enum { LANDLOCK_CREATE = 444, LANDLOCK_RESTRICT = 446, LANDLOCK_VERSION = 1, READ_DIR = 1 << 3 };

struct landlock_ruleset {
	uint64_t handled;
};

/* Handles listing of directories and allows none: listing the root must then fail. */
static int enter_landlock(void *arg)
{
	struct landlock_ruleset rules = {READ_DIR};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return 1;
	long fd = syscall(LANDLOCK_CREATE, &rules, sizeof(rules), 0);
	if (fd < 0 || syscall(LANDLOCK_RESTRICT, fd, 0) < 0)
		return 2;
	return open("/", O_RDONLY | O_DIRECTORY) < 0 && errno == EACCES ? 0 : 3;
}

void probe_landlock(const struct doctor_options *o, struct doctor_finding *f)
{
	long abi = syscall(LANDLOCK_CREATE, NULL, 0, LANDLOCK_VERSION);

	if (abi < 0)
		found(f, DOCTOR_NOT_COVERED,
			errno == EOPNOTSUPP
				? "add landlock to the lsm= list of the kernel's command line"
				: "Linux 5.13 or later with CONFIG_SECURITY_LANDLOCK",
			"the kernel has no Landlock (%s); mounts and seccomp stand alone",
			strerror(errno));
	else if (in_child(enter_landlock, NULL) == 0)
		found(f, DOCTOR_PREVENTED,
			abi < 6 ? "Linux 6.12 also keeps signals and abstract sockets inside"
				: NULL,
			"ABI %ld was entered and obeyed", abi);
	else
		found(f, DOCTOR_NOT_COVERED, NULL, "ABI %ld is there and was not obeyed", abi);
}
