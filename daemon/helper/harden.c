/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The two lists, and their putting into force. A list names what is used and by whom; whoever adds
 * a privileged act to the helper adds its call and its capability here, and finds out by EPERM if
 * not.
 */
#include "daemon/helper/harden.h"
#include "daemon/confine/confine.h"
#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define LEAKS_ARE_SOUGHT
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LEAKS_ARE_SOUGHT
#endif
#endif

/* Beside what a sandbox may call itself. */
static const char *const own_calls[] = {
	/* roots, workspaces, the dispatch socket: root.c, workspace.c, launch.c, launch_child.c */
	"mount", "umount2", "pivot_root", "open_tree", "move_mount", "mount_setattr",
	/* the files of sandboxes over NFS: files_mount.c */
	"fsopen", "fsconfig", "fsmount",
	/* objects of workspaces that were moved: workspace.c */
	"open_by_handle_at",
	/* namespaces, and their names: netpool.c, userns.c, launch_child.c */
	"clone3", "unshare", "setns", "sethostname",
	/* removing the tree of an earlier start: host.c */
	"openat2",
	/* a session keyring of a sandbox's own: launch_child.c */
	"keyctl",
	/* what pid 1 has kept for a helper that was restarted: adopt.c */
	"pidfd_getfd",
	/* rules on sandboxes' links: veth.c */
	"bpf",
#ifdef LEAKS_ARE_SOUGHT
	/* the sanitizer's look for leaks at the end */
	"ptrace",
#endif
	NULL};

static const unsigned char own_capabilities[] = {
	CAP_CHOWN, /* aegisd's socket and workspaces: monitor.c, workspace.c */
	CAP_DAC_OVERRIDE, /* workspaces are aegisd's, mode 0700 */
	CAP_FOWNER, /* likewise */
	CAP_DAC_READ_SEARCH, /* objects of workspaces by their handles: workspace.c */
	CAP_KILL, /* SIGTERM to a sandbox, whose uid is its own */
	CAP_SETGID, CAP_SETUID, /* id maps, and becoming nobody: userns.c, launch_child.c */
	CAP_SETPCAP, /* this file */
	CAP_NET_ADMIN, /* lo, links and their rules: netpool.c, veth.c, nat.c */
	CAP_NET_BIND_SERVICE, /* the resolver's port 53 of each link: veth.c; NFS: transport.c */
	CAP_NET_RAW, /* SO_BINDTODEVICE for it, before Linux 5.7 */
	CAP_SYS_ADMIN, /* namespaces, mounts, marks on cgroups */
	CAP_SYS_CHROOT, /* entering a mount namespace */
	CAP_SYS_PTRACE, /* pidfd_getfd from pid 1, which is not dumpable */
	CAP_SYS_RESOURCE, /* limits of sandboxes, and above the helper's own */
	CAP_BPF, CAP_PERFMON, /* rules on links */
};

uint64_t harden_capabilities(void)
{
	uint64_t set = 0;
	for (size_t i = 0; i < ARRAY_LEN(own_capabilities); i++)
		set |= 1ULL << own_capabilities[i];
	return set;
}

static int drop_capabilities(void)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];
	const uint64_t keep = harden_capabilities();
	for (int cap = 0; cap < 64; cap++) {
		if ((keep >> cap & 1) || prctl(PR_CAPBSET_READ, cap, 0, 0, 0) != 1)
			continue; /* used, dropped by whoever started us, or beyond the last */
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return err_sys(-errno, "drop capability %d for good", cap);
	}
	if (syscall(SYS_capget, &header, data) < 0)
		return err_sys(-errno, "read the capabilities");
	for (int i = 0; i < 2; i++) {
		data[i].permitted &= (uint32_t)(keep >> (32 * i));
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 ||
		syscall(SYS_capset, &header, data) < 0)
		return err_sys(-errno, "drop capabilities");
	return 0;
}

int harden_self(void)
{
	struct seccomp_program program;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_sys(-errno, "set no_new_privs");
	int r = drop_capabilities();
	if (r == 0)
		r = seccomp_keeper_build(own_calls, &program);
	if (r < 0)
		return err_trace(r);
	r = seccomp_program_load(&program);
	seccomp_program_fini(&program);
	return r < 0 ? err_sys(r, "load the helper's own seccomp filter") : 0;
}
