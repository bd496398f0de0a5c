/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A workspace that the kernel holds to a size: its directory is the root of an ext4 file system in
 * a sparse file of that size, STATE/images/<id>, so that whoever writes there, by whatever way,
 * gets ENOSPC [24]. The loop device is the kernel's to free when the last mount of it has gone.
 *
 * One file system must never be mounted from two devices: a sandbox may keep a mount that nobody
 * else sees, so before a device is taken all are asked whether one of them has the file already.
 */
#include "daemon/helper/workspace.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	LOOP_DEVICES_MAX = 4096,
	LOOP_ATTEMPTS = 16, /* others take devices, too */
};

static int images_open(const struct workspaces *w, int *ret_dir)
{
	if (mkdirat(w->state, "images", 0700) < 0 && errno != EEXIST)
		return err_sys(-errno, "make images/ in the state directory");
	*ret_dir = openat(w->state, "images", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret_dir < 0 ? err_sys(-errno, "open images/ in the state directory") : 0;
}

/* ---- the device ---- */

static int device_of(int number, char path[32])
{
	snprintf(path, 32, "/dev/loop%d", number);
	return open(path, O_RDWR | O_CLOEXEC);
}

/* The device that has the file, or -1. */
static int device_find(const struct stat *file, char path[32])
{
	for (int n = 0; n < LOOP_DEVICES_MAX; n++) {
		struct loop_info64 info;
		int fd = device_of(n, path);
		if (fd < 0 && errno == ENOENT)
			break;
		if (fd < 0)
			continue;
		if (ioctl(fd, LOOP_GET_STATUS64, &info) == 0 && info.lo_device == file->st_dev &&
			info.lo_inode == file->st_ino)
			return fd;
		close(fd);
	}
	return -1;
}

static int device_take(int file, char path[32], int *ret)
{
	struct loop_config config = {.fd = (uint32_t)file, .info.lo_flags = LO_FLAGS_AUTOCLEAR};
	AUTO_FD control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	if (control < 0)
		return err_raise(-EOPNOTSUPP, "this host has no loop devices (/dev/loop-control)");
	for (int i = 0; i < LOOP_ATTEMPTS; i++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		int fd = number < 0 ? -1 : device_of(number, path);
		if (fd < 0)
			return err_raise(
				-EOPNOTSUPP, "no loop device is to be had: %s", strerror(errno));
		if (ioctl(fd, LOOP_CONFIGURE, &config) == 0) {
			*ret = fd;
			return 0;
		}
		int error = errno;
		close(fd);
		if (error != EBUSY)
			return err_sys(-error, "put an image behind %s", path);
	}
	return err_raise(-EBUSY, "every loop device was taken by others");
}

/* ---- the mount ---- */

/* What says that this host does not let us, whatever the image. */
static int host_cannot(int r)
{
	if (r != -EPERM && r != -EACCES && r != -ENODEV && r != -ENXIO)
		return r;
	char message[ERR_MESSAGE_BYTES];
	snprintf(message, sizeof(message), "%s", err_message(r));
	return err_raise(-EOPNOTSUPP, "this host lets nobody mount images: %s", message);
}

static int mount_device(const char *path, int *ret_tree)
{
	AUTO_FD fs = (int)syscall(SYS_fsopen, "ext4", FSOPEN_CLOEXEC);
	if (fs < 0)
		return err_raise(-EOPNOTSUPP, "this kernel has no ext4");
	if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "source", path, 0) < 0 ||
		syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_sys(-errno, "mount %s", path);
	*ret_tree = (int)syscall(
		SYS_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	return *ret_tree < 0 ? err_sys(-errno, "take the mount of %s", path) : 0;
}

static int image_mount(const struct workspaces *w, const char *name, int file)
{
	struct stat st;
	char path[32];
	int tree = -1;
	if (fstat(file, &st) < 0)
		return err_sys(-errno, "look at an image");
	AUTO_FD device = device_find(&st, path);
	int r = device >= 0 ? 0 : device_take(file, path, &device);
	if (r == 0)
		r = mount_device(path, &tree);
	if (r < 0)
		return err_trace(host_cannot(r));
	/* mkfs makes it, and root's; nothing of the volume may belong to anybody but aegisd. */
	if (unlinkat(tree, "lost+found", AT_REMOVEDIR) < 0 && errno != ENOENT)
		r = err_sys(-errno, "clear an image");
	if (r == 0 &&
		(fchmodat(tree, ".", 0700, 0) < 0 || fchownat(tree, ".", w->uid, w->gid, 0) < 0))
		r = err_sys(-errno, "give an image to aegisd");
	if (r == 0 && syscall(SYS_move_mount, tree, "", w->dir, name, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		r = err_sys(-errno, "mount the image of %s", name);
	close(tree);
	return err_trace(r);
}

/* ---- for the rest of the room ---- */

static bool is_mounted(const struct workspaces *w, int fd)
{
	struct stat here, above;
	return fstat(fd, &here) == 0 && fstat(w->dir, &above) == 0 && here.st_dev != above.st_dev;
}

int image_restore(const struct workspaces *w, const char *name, int *fd)
{
	if (is_mounted(w, *fd))
		return 0;
	AUTO_FD dir = openat(w->state, "images", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? 0 : err_sys(-errno, "open images/");
	AUTO_FD file = openat(dir, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (file < 0)
		return errno == ENOENT ? 0 : err_sys(-errno, "open the image of %s", name);
	int r = image_mount(w, name, file);
	if (r < 0)
		return err_trace(r);
	close(*fd);
	*fd = openat(w->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *fd < 0 ? err_sys(-errno, "open workspace %s", name) : 0;
}

static int check_empty(int fd, const char *name)
{
	int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	if (!dir) {
		if (copy >= 0)
			close(copy);
		return err_sys(-errno, "read workspace %s", name);
	}
	int entries = 0;
	while (readdir(dir) && entries < 3)
		entries++;
	closedir(dir);
	return entries < 3 ? 0 : err_raise(-ENOTEMPTY, "workspace %s has files and no image", name);
}

int workspace_limit(struct workspaces *w, struct uuid id, uint64_t bytes, uint64_t inodes)
{
	char name[UUID_TEXT_BYTES];
	AUTO_FD fd = -1;
	AUTO_FD dir = -1;
	uuid_text(id, name);
	int r = workspace_open(w, id, true, &fd);
	if (r < 0 || is_mounted(w, fd))
		return err_trace(r);
	r = images_open(w, &dir);
	if (r < 0)
		return err_trace(r);
	AUTO_FD file = openat(dir, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (file < 0 && errno != ENOENT)
		return err_sys(-errno, "open the image of %s", name);
	if (file < 0)
		r = check_empty(fd, name);
	bool fresh = file < 0;
	if (r == 0 && fresh)
		r = image_make(&w->making, dir, id, &(struct image_size){bytes, inodes}, &file);
	if (r != 0)
		return err_trace(r);
	r = image_mount(w, name, file);
	/* Where none can be mounted, the directory must do without, and not be hidden for ever. */
	if (r < 0 && fresh)
		(void)unlinkat(dir, name, 0);
	return err_trace(r);
}

static void unmount(const struct workspaces *w, const char *name)
{
	char path[64 + 256];
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", w->dir, name);
	(void)umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW); /* EINVAL: no mount */
}

int image_remove(struct workspaces *w, struct uuid id)
{
	char name[UUID_TEXT_BYTES];
	uuid_text(id, name);
	if (uuid_eq(w->making.id, id))
		image_making_stop(&w->making);
	unmount(w, name);
	AUTO_FD dir = openat(w->state, "images", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? 0 : err_sys(-errno, "open images/");
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return err_sys(-errno, "remove the image of %s", name);
	return 0;
}

void images_detach(const struct workspaces *w)
{
	int copy = w->dir < 0 ? -1 : openat(w->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *entry;
	if (!dir) {
		if (copy >= 0)
			close(copy);
		return;
	}
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			unmount(w, entry->d_name);
	closedir(dir);
}
