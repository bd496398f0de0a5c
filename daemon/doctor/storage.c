/* SPDX-License-Identifier: AGPL-3.0-only */
/* Probes of file systems and devices. */
#include "daemon/doctor/probe.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/mount.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { KVM_VERSION = 12, SOME_HOST_ID = 100000, DEP_BYTES = 4 * 1024 * 1024 };

/* A clone of the mount that shows the directory's files under other ids. It is never attached, so
 * nobody sees it. */
static int try_idmap(const char *dir)
{
	AUTO_FD user = new_user_namespace(SOME_HOST_ID, 1);
	if (user < 0)
		return user;
	AUTO_FD tree =
		(int)syscall(SYS_open_tree, AT_FDCWD, dir, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return -errno;
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (unsigned)user};
	long r = syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr, sizeof(attr));
	return r < 0 ? -errno : 0;
}

void probe_idmapped(const struct doctor_options *o, struct doctor_finding *f)
{
	const char *dir = o->data_dir;

	if (!dir || access(dir, F_OK) < 0) {
		found(f, DOCTOR_UNAVAILABLE, "name the data directory: spec.daemon.data_directory",
			"there is no data directory yet");
		return;
	}
	if (!is_root()) {
		found(f, DOCTOR_UNAVAILABLE, "ask as root: sudo aegis doctor",
			"making mounts is root's");
		return;
	}
	int r = try_idmap(dir);
	if (r == 0)
		found(f, DOCTOR_PREVENTED, NULL, "%.150s can be mounted with other ids", dir);
	else
		found(f, DOCTOR_NOT_COVERED,
			"Linux 5.12 or later, and the data directory on ext4, xfs, btrfs or tmpfs "
			"(6.3)",
			"%.150s: %s", dir, strerror(-r));
}

static bool file_holds(const char *path, const char *text)
{
	struct buf b CLEANUP(buf_fini) = buf_init(DEP_BYTES);

	return fd_read_file(path, &b) == 0 && span_find(buf_view(&b), span_cstr(text), 0) >= 0;
}

/* Who may not open the file system (which loads its module) reads whether it could be loaded. */
bool has_nfs_client(void)
{
	char path[256];
	struct utsname u;
	AUTO_FD fs = (int)syscall(SYS_fsopen, "nfs", FSOPEN_CLOEXEC);

	if (fs >= 0 || errno == ENODEV)
		return fs >= 0;
	if (file_holds("/proc/filesystems", "\tnfs\n"))
		return true;
	if (uname(&u) < 0)
		return false;
	snprintf(path, sizeof(path), "/lib/modules/%.100s/modules.dep", u.release);
	return file_holds(path, "/nfs.ko");
}

void probe_nfs_client(const struct doctor_options *o, struct doctor_finding *f)
{
	if (has_nfs_client()) {
		found(f, DOCTOR_PREVENTED, NULL, "the kernel has an NFS client");
		return;
	}
	found(f, DOCTOR_NOT_COVERED,
		"a kernel with CONFIG_NFS_FS (Debian's has it), or: modprobe nfs",
		"this kernel has no NFS client: what is done to volumes in sandboxes cannot be "
		"seen call by call");
}

void probe_file_mediation(const struct doctor_options *o, struct doctor_finding *f)
{
	if (has_nfs_client()) {
		found(f, DOCTOR_PREVENTED, NULL,
			"workspaces are mounted into sandboxes over NFS: each file operation is "
			"decided and recorded");
		return;
	}
	found(f, DOCTOR_NOT_COVERED,
		"a kernel with an NFS client; or give the agent the fs.* tools and no cmd.run: "
		"each call of theirs is decided and recorded",
		"workspaces are bound into sandboxes: raw file access is confined to them, but "
		"neither decided nor recorded per operation");
}

void probe_kvm(const struct doctor_options *o, struct doctor_finding *f)
{
	AUTO_FD fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		found(f, DOCTOR_NOT_COVERED,
			errno == EACCES
				? "add the user to the group kvm"
				: "hardware virtualisation, enabled in the firmware or passed on "
				  "by the machine around this one",
			"/dev/kvm: %s", strerror(errno));
	else if (ioctl(fd, KVM_GET_API_VERSION, 0) != KVM_VERSION)
		found(f, DOCTOR_NOT_COVERED, NULL, "/dev/kvm does not speak API version %d",
			KVM_VERSION);
	else
		found(f, DOCTOR_PREVENTED, NULL, "/dev/kvm answers");
}
