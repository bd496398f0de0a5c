/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Whether a volume's size can be held by the kernel where its directory is bound in: a small file
 * system in memory is made, put behind a loop device and mounted, detached, so that nobody sees it.
 */
#include "daemon/doctor/probe.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/mount.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MKFS "/usr/sbin/mkfs.ext4"
enum { IMAGE_BYTES = 1 << 20, ATTEMPTS = 8, FD = 3 };

/* What is missing; "" if nothing is. */
struct lack {
	char why[DOCTOR_TEXT_BYTES / 2];
	const char *how;
};

static bool make_file_system(int file)
{
	char *const argv[] = {
		"mkfs.ext4", "-q", "-F", "-O", "^has_journal", "/proc/self/fd/3", NULL};
	char *const envp[] = {"PATH=/usr/sbin:/usr/bin", NULL};
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);
		int copy = fcntl(file, F_DUPFD_CLOEXEC, FD + 1);
		for (int to = 0; null >= 0 && to < FD; to++)
			(void)dup2(null, to);
		if (copy >= 0 && dup2(copy, FD) == FD)
			(void)execve(MKFS, argv, envp);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status == 0;
}

/* The kernel frees the device with its last user. */
static int take_device(int file, char path[32])
{
	const struct loop_config config = {
		.fd = (uint32_t)file, .info.lo_flags = LO_FLAGS_AUTOCLEAR};
	AUTO_FD control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	for (int i = 0; control >= 0 && i < ATTEMPTS; i++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		snprintf(path, 32, "/dev/loop%d", number);
		int fd = number < 0 ? -1 : open(path, O_RDWR | O_CLOEXEC);
		if (fd < 0 || ioctl(fd, LOOP_CONFIGURE, &config) == 0)
			return fd;
		int error = errno;
		close(fd);
		if (error != EBUSY) /* else somebody was faster */
			return -1;
	}
	return -1;
}

static bool mount_device(const char *path)
{
	AUTO_FD fs = (int)syscall(SYS_fsopen, "ext4", FSOPEN_CLOEXEC);
	if (fs < 0 || syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "source", path, 0) < 0 ||
		syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return false;
	AUTO_FD tree = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV);
	return tree >= 0;
}

static struct lack try_image(void)
{
	struct lack l = {.why = ""};
	char path[32];
	AUTO_FD file = memfd_create("aegis-probe", MFD_CLOEXEC);

	if (access(MKFS, X_OK) < 0 || file < 0 || ftruncate(file, IMAGE_BYTES) < 0 ||
		!make_file_system(file)) {
		snprintf(l.why, sizeof(l.why), MKFS " is not there, or fails");
		l.how = "apt-get install e2fsprogs";
		return l;
	}
	AUTO_FD device = take_device(file, path);
	if (device < 0) {
		snprintf(l.why, sizeof(l.why), "no loop device is to be had: %s", strerror(errno));
		l.how = "modprobe loop; in a container: its devices, handed in";
	} else if (!mount_device(path)) {
		snprintf(l.why, sizeof(l.why), "no image can be mounted: %s", strerror(errno));
		l.how = "a kernel with ext4, and a host that lets its root mount it";
	}
	return l;
}

void probe_images(const struct doctor_options *o, struct doctor_finding *f)
{
	if (has_nfs_client()) {
		found(f, DOCTOR_PREVENTED, NULL,
			"volumes are mounted over NFS, whose server holds their limits");
		return;
	}
	if (!is_root()) {
		found(f, DOCTOR_UNAVAILABLE, "ask as root: sudo aegis doctor",
			"taking a loop device and mounting it is root's");
		return;
	}
	struct lack l = try_image();
	if (!*l.why)
		found(f, DOCTOR_PREVENTED, NULL,
			"a volume with a limit is an ext4 image of that size, which the kernel "
			"holds");
	else
		found(f, DOCTOR_NOT_COVERED, l.how,
			"%s: executions with a volume that has a limit "
			"are refused",
			l.why);
}
