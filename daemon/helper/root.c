/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Builds a template in a child of its own: a tmpfs with the binds of the runtime and a few files,
 * made read-only and entered by pivot_root. The helper then holds the child's mount namespace.
 *
 * Everything in it is read-only, nosuid, and nodev but for the devices. Sources are opened without
 * following links; a link of the host becomes the same link.
 */
#include "daemon/helper/root.h"
#include "daemon/helper/launch.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* <sys/mount.h> and <linux/mount.h> cannot be included together in Debian 12. */
int mount(const char *source, const char *target, const char *type, unsigned long flags,
	const void *data);
int umount2(const char *target, int flags);
enum { MNT_DETACH_ = 2 };

static const char *const folders[] = {"dev", "dev/shm", "etc", "proc", "run", "run/aegis",
	"run/aegis/empty", "tmp", "var", "workspace"};

/* Policy about files must know these links, and the files below (daemon/sensor/lsm_walk.c and
 * lsm_table.c). */
static const struct {
	const char *path, *target;
} links[] = {
	{"dev/fd", "/proc/self/fd"},
	{"dev/stdin", "/proc/self/fd/0"},
	{"dev/stdout", "/proc/self/fd/1"},
	{"dev/stderr", "/proc/self/fd/2"},
	{"var/tmp", "../tmp"},
	{"etc/mtab", "/proc/mounts"},
};

static const struct {
	const char *path, *text;
} files[] = {
	{"etc/passwd",
		"root:x:0:0:root:/:/usr/sbin/nologin\n"
		"agent:x:1000:1000:agent:/workspace:/bin/sh\n"
		"nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"},
	{"etc/group", "root:x:0:\nagent:x:1000:\nnogroup:x:65534:\n"},
	{"etc/hosts", "127.0.0.1 localhost " LAUNCH_HOSTNAME "\n::1 localhost\n"},
	{"etc/hostname", LAUNCH_HOSTNAME "\n"},
	{"etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"},
	{"run/aegis/dispatch.sock", ""}, /* the mount point of LAUNCH_SOCKET_PATH */
};

static const char *const devices[] = {"null", "zero", "full", "random", "urandom"};

static int put_file(int root, const char *path, const char *text)
{
	AUTO_FD fd = openat(root, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return err_sys(-errno, "make %s", path);
	return err_trace(fd_write_all(fd, span_cstr(text)));
}

/* Makes the folders above `path` (relative to root); what is there already may stand. */
static int make_above(int root, const char *path)
{
	char part[LIMIT_PATH_BYTES];
	for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
		snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
		if (mkdirat(root, part, 0755) < 0 && errno != EEXIST)
			return err_sys(-errno, "make /%s", part);
	}
	return 0;
}

static int make_point(int root, const char *path, mode_t mode)
{
	int r;
	if (S_ISDIR(mode)) {
		if (mkdirat(root, path, 0755) < 0 && errno != EEXIST)
			return err_sys(-errno, "make /%s", path);
		return 0;
	}
	r = put_file(root, path, "");
	if (r == -EEXIST) {
		err_clear();
		return 0;
	}
	return err_trace(r);
}

static int attach(int root, int source, const char *path, uint64_t attributes)
{
	struct mount_attr attr = {
		.attr_set = attributes, .propagation = 1UL << 18 /* MS_PRIVATE */};
	const unsigned recursive = 0x8000; /* AT_RECURSIVE */
	AUTO_FD tree = (int)syscall(SYS_open_tree, source, "",
		OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | recursive);
	if (tree < 0)
		return err_sys(-errno, "take a copy of the mount of /%s", path);
	if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | recursive, &attr, sizeof(attr)) <
		0)
		return err_sys(-errno, "make /%s read-only", path);
	if (syscall(SYS_move_mount, tree, "", root, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(-errno, "mount /%s", path);
	return 0;
}

static int put_link(int root, const char *host, const char *path)
{
	char target[LIMIT_PATH_BYTES];
	ssize_t n = readlink(host, target, sizeof(target) - 1);
	if (n < 0)
		return err_sys(-errno, "read the link %s", host);
	target[n] = '\0';
	if (symlinkat(target, root, path) < 0)
		return err_sys(-errno, "make the link /%s", path);
	return 0;
}

static int put_bind(int root, const struct runtime_bind *b)
{
	struct stat st;
	const char *path = b->inside + 1; /* behind the leading slash */
	AUTO_FD source = open(b->host, O_PATH | O_CLOEXEC | O_NOFOLLOW);
	if (source < 0 || fstat(source, &st) < 0)
		return err_sys(-errno, "the runtime registry binds %s", b->host);
	int r = make_above(root, path);
	if (r < 0)
		return err_trace(r);
	if (S_ISLNK(st.st_mode))
		return err_trace(put_link(root, b->host, path));
	r = make_point(root, path, st.st_mode);
	if (r == 0)
		r = attach(root, source, path,
			MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	return err_trace(r);
}

static int put_devices(int root)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(devices); i++) {
		char host[32];
		snprintf(host, sizeof(host), "/dev/%s", devices[i]);
		AUTO_FD source = open(host, O_PATH | O_CLOEXEC | O_NOFOLLOW);
		if (source < 0)
			return err_sys(-errno, "open %s", host);
		r = make_point(root, host + 1, S_IFREG);
		if (r == 0)
			r = attach(root, source, host + 1,
				MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	}
	return err_trace(r);
}

static int put_basics(int root, const char *resolv_conf)
{
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		if (mkdirat(root, folders[i], 0755) < 0)
			return err_sys(-errno, "make /%s", folders[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(links); i++) {
		if (symlinkat(links[i].target, root, links[i].path) < 0)
			return err_sys(-errno, "make the link /%s", links[i].path);
	}
	int r = 0;
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(files); i++)
		r = put_file(root, files[i].path, files[i].text);
	if (r == 0)
		r = put_file(root, "etc/resolv.conf", resolv_conf);
	return r == 0 ? err_trace(put_devices(root)) : err_trace(r);
}

static int enter(const char *staging)
{
	struct mount_attr attr = {
		.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV,
	};
	if (syscall(SYS_mount_setattr, AT_FDCWD, staging, 0, &attr, sizeof(attr)) < 0)
		return err_sys(-errno, "make the root read-only");
	if (chdir(staging) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
		umount2(".", MNT_DETACH_) < 0 || chdir("/") < 0)
		return err_sys(-errno, "pivot into the new root");
	return 0;
}

static int build(const struct root_set *s, const struct runtime *runtime)
{
	const char *staging = s->staging;
	const unsigned long rec_private = (1UL << 14) | (1UL << 18); /* MS_REC | MS_PRIVATE */
	umask(0);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, rec_private, NULL) < 0 ||
		mount("tmpfs", staging, "tmpfs", 0, "mode=755,size=1m") < 0)
		return err_sys(-errno, "begin a root on %s", staging);
	AUTO_FD root = open(staging, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return err_sys(-errno, "open %s", staging);
	int r = put_basics(root, s->resolv_conf);
	for (size_t i = 0; r == 0 && i < runtime->bind_count; i++)
		r = put_bind(root, &runtime->binds[i]);
	if (r == 0)
		r = enter(staging);
	return err_trace(r);
}

/* What the child says when it is done: the code, then its words. */
struct outcome {
	int code;
	char message[ERR_MESSAGE_BYTES];
};

static __attribute__((noreturn)) void build_in_child(
	const struct root_set *s, const struct runtime *runtime, int out, int hold)
{
	struct outcome o = {.code = build(s, runtime)};
	char c;
	if (o.code < 0)
		snprintf(o.message, sizeof(o.message), "%s", err_message(o.code));
	if (write(out, &o, sizeof(o)) == (ssize_t)sizeof(o) && o.code == 0)
		(void)!read(hold, &c, 1); /* until the helper has the namespace */
	_exit(0);
}

static int take_namespace(pid_t pid, int in, const struct runtime *runtime, int *ret_fd)
{
	struct outcome o;
	char path[64];
	if (read(in, &o, sizeof(o)) != (ssize_t)sizeof(o))
		return err_raise(
			-EIO, "the child that builds the root of runtime %s died", runtime->name);
	o.message[sizeof(o.message) - 1] = '\0';
	if (o.code < 0)
		return err_raise(o.code, "runtime %s: %s", runtime->name, o.message);
	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(-errno, "open %s", path);
	*ret_fd = fd;
	return 0;
}

static int make(const struct root_set *s, const struct runtime *runtime, int *ret_fd)
{
	int out[2], hold[2];
	if (pipe2(out, O_CLOEXEC) < 0)
		return err_sys(-errno, "pipe");
	if (pipe2(hold, O_CLOEXEC) < 0) {
		int r = err_sys(-errno, "pipe");
		close(out[0]);
		close(out[1]);
		return r;
	}
	pid_t pid = fork();
	if (pid == 0) {
		close(hold[1]);
		build_in_child(s, runtime, out[1], hold[0]);
	}
	close(out[1]);
	close(hold[0]);
	int r = pid < 0 ? err_sys(-errno, "fork") : take_namespace(pid, out[0], runtime, ret_fd);
	close(out[0]);
	close(hold[1]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return err_trace(r);
}

void root_set_init(struct root_set *s, const char *staging, const char *resolv_conf)
{
	s->staging = staging;
	s->resolv_conf = resolv_conf;
	for (size_t i = 0; i < ARRAY_LEN(s->fds); i++)
		s->fds[i] = -1;
}

void root_set_fini(struct root_set *s)
{
	for (size_t i = 0; i < ARRAY_LEN(s->fds); i++)
		fd_cleanup(&s->fds[i]);
}

int root_get(struct root_set *s, const struct runtime *r, size_t index, int *ret_fd)
{
	CHECK(index < ARRAY_LEN(s->fds));
	if (s->fds[index] < 0) {
		int e = make(s, r, &s->fds[index]);
		if (e < 0)
			return err_trace(e);
	}
	*ret_fd = s->fds[index];
	return 0;
}
