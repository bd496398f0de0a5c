/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Makes the file of an image. mkfs takes seconds for a very large one, for which the helper's loop
 * must not stand still: it runs as a child that is asked for again until it is done, one at a time.
 * It has a limit of time, which the kernel keeps, and dies with the helper. The image bears another
 * name until it is whole; what a helper left that was killed meanwhile goes at the next start.
 */
#include "daemon/helper/workspace.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	FIRST_WAIT_MS = 50, /* what is small is done by then */
	INODES_OF_EXT4 = 11, /* its own: the root, lost+found, reserved ones */
	JOURNAL_BYTES_MIN = 16 << 20, /* smaller images would be journal for the most part */
	FRESH_BYTES = UUID_TEXT_BYTES + 8,
};

#define MKFS "/usr/sbin/mkfs.ext4"
#define FRESH ".new"

static void fresh_name(struct uuid id, char ret[FRESH_BYTES])
{
	char name[UUID_TEXT_BYTES];
	uuid_text(id, name);
	snprintf(ret, FRESH_BYTES, "%s" FRESH, name);
}

/* ---- the child ---- */

static __attribute__((noreturn)) void mkfs_in_child(
	pid_t parent, int file, const struct image_size *size)
{
	char count[32];
	char *argv[] = {"mkfs.ext4", "-q", "-F", "-m", "0", "-E",
		"lazy_itable_init=1,lazy_journal_init=1,nodiscard", "-O",
		size->bytes >= JOURNAL_BYTES_MIN ? "has_journal" : "^has_journal",
		"/proc/self/fd/3", NULL, NULL, NULL};
	char *envp[] = {"PATH=/usr/sbin:/usr/bin", "LC_ALL=C", NULL};
	snprintf(count, sizeof(count), "%llu", (unsigned long long)size->inodes + INODES_OF_EXT4);
	if (size->inodes) { /* options stand before the file */
		argv[11] = argv[9];
		argv[9] = "-N";
		argv[10] = count;
	}
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent)
		_exit(126);
	int null = open("/dev/null", O_RDWR);
	int copy = fcntl(file, F_DUPFD, 10);
	if (null < 0 || copy < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0 ||
		dup2(copy, 3) < 0)
		_exit(126);
	(void)syscall(SYS_close_range, 4U, ~0U, 0);
	alarm(LIMIT_VOLUME_MAKING_S); /* goes on over execve */
	execve(MKFS, argv, envp);
	_exit(127);
}

static int begin(struct image_making *m, int dir, struct uuid id, const struct image_size *size)
{
	char fresh[FRESH_BYTES];
	fresh_name(id, fresh);
	/* Nobody writes to a file that an earlier child may have. */
	(void)unlinkat(dir, fresh, 0);
	AUTO_FD file = openat(dir, fresh, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (file < 0 || ftruncate(file, (off_t)size->bytes) < 0)
		return err_sys(-errno, "make the image %s", fresh);
	pid_t parent = getpid();
	pid_t pid = fork();
	if (pid == 0)
		mkfs_in_child(parent, file, size);
	if (pid < 0)
		return err_sys(-errno, "fork");
	m->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (m->pidfd < 0) {
		int r = err_sys(-errno, "watch " MKFS);
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
		return r;
	}
	m->file = TAKE_FD(file);
	m->dir = fcntl(dir, F_DUPFD_CLOEXEC, 0);
	m->id = id;
	return 0;
}

/* What it ended with. */
static int outcome(const siginfo_t *info)
{
	if (info->si_code == CLD_EXITED && info->si_status == 0)
		return 0;
	if (info->si_code == CLD_EXITED && info->si_status == 127)
		return err_raise(-EOPNOTSUPP, MKFS " is not there: install e2fsprogs");
	if (info->si_code != CLD_EXITED && info->si_status == SIGALRM)
		return err_raise(-ETIME, MKFS " was not done within %d s", LIMIT_VOLUME_MAKING_S);
	return err_raise(-EIO, MKFS " failed with %s %d",
		info->si_code == CLD_EXITED ? "status" : "signal", info->si_status);
}

/* IMAGE_UNDERWAY, or how it went: then *ret_file is the caller's, and nothing is being made. */
static int finish(struct image_making *m, int wait_ms, int *ret_file)
{
	char fresh[FRESH_BYTES], name[UUID_TEXT_BYTES];
	siginfo_t info = {0};
	struct pollfd p = {m->pidfd, POLLIN, 0};
	if (poll(&p, 1, wait_ms) <= 0)
		return IMAGE_UNDERWAY;
	if (waitid(P_PIDFD, (id_t)m->pidfd, &info, WEXITED) < 0)
		return err_sys(-errno, "wait for " MKFS);
	fresh_name(m->id, fresh);
	uuid_text(m->id, name);
	int r = outcome(&info);
	if (r == 0 && (fsync(m->file) < 0 || renameat(m->dir, fresh, m->dir, name) < 0))
		r = err_sys(-errno, "keep the image %s", name);
	if (r == 0)
		*ret_file = TAKE_FD(m->file);
	image_making_stop(m);
	return err_trace(r);
}

/* ---- for image.c ---- */

int image_make(struct image_making *m, int dir, struct uuid id, const struct image_size *size,
	int *ret_file)
{
	if (m->pidfd >= 0 && !uuid_eq(m->id, id)) {
		int others = -1;
		int r = finish(m, 0, &others);
		fd_cleanup(&others);
		if (r == IMAGE_UNDERWAY)
			return r; /* its turn comes */
		if (r < 0) { /* whoever asked for it will hear when it is made again */
			err_log(r, "make an image");
			err_clear();
		}
	}
	int r = m->pidfd >= 0 ? 0 : begin(m, dir, id, size);
	return r < 0 ? err_trace(r) : finish(m, FIRST_WAIT_MS, ret_file);
}

void image_making_stop(struct image_making *m)
{
	char fresh[FRESH_BYTES];
	siginfo_t info;
	if (m->pidfd < 0)
		return;
	(void)syscall(SYS_pidfd_send_signal, m->pidfd, SIGKILL, NULL, 0);
	(void)waitid(P_PIDFD, (id_t)m->pidfd, &info, WEXITED); /* ECHILD: it has been */
	fresh_name(m->id, fresh);
	(void)unlinkat(m->dir, fresh, 0); /* ENOENT: it has its name */
	fd_cleanup(&m->pidfd);
	fd_cleanup(&m->file);
	fd_cleanup(&m->dir);
	m->id = (struct uuid){{0}};
}

void images_sweep(int state)
{
	int fd = openat(state, "images", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		fd_cleanup(&fd);
		return; /* there are no images */
	}
	for (struct dirent *e; (e = readdir(dir));) {
		struct span name = span_cstr(e->d_name);
		if (name.n > strlen(FRESH) &&
			span_is(span_sub(name, name.n - strlen(FRESH), name.n), FRESH))
			(void)unlinkat(fd, e->d_name, 0);
	}
	closedir(dir);
}
