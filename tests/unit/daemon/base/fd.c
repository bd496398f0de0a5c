/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/base/base.h"
#include "tests/tap.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char root[64];
static int start = -1;

static int make_root(void **state)
{
	start = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(root, sizeof(root), "/tmp/aegis-fd-XXXXXX");
	return start >= 0 && mkdtemp(root) && chdir(root) == 0 ? 0 : -1;
}

static int remove_root(void **state)
{
	int r = fchdir(start);
	close(start);
	return r < 0 ? r : fd_remove_tree(AT_FDCWD, root);
}

static void write_file(const char *path, const char *text)
{
	assert_int_equal(fd_replace_file(path, span_cstr(text), 0644), 0);
}

static void reads_files(void **state)
{
	struct buf b CLEANUP(buf_fini) = buf_init(10);
	write_file("ten", "0123456789");
	write_file("eleven", "0123456789A");
	assert_int_equal(fd_read_file("ten", &b), 0);
	assert_true(span_is(buf_view(&b), "0123456789"));
	buf_reset(&b);
	buf_puts(&b, "ab");
	assert_int_equal(fd_read_file("ten", &b), -E2BIG);
	assert_string_equal(err_message(-E2BIG), "ten is too long: at most 10 bytes are read");
	assert_true(span_is(buf_view(&b), "ab"));
	buf_reset(&b);
	assert_int_equal(fd_read_file("eleven", &b), -E2BIG);
	buf_reset(&b);
	assert_int_equal(fd_read_file("absent", &b), -ENOENT);
	assert_string_equal(err_message(-ENOENT), "open absent: No such file or directory");
	assert_int_equal(fd_read_file(".", &b), -EISDIR);
	struct buf proc CLEANUP(buf_fini) = buf_init(1 << 20);
	assert_int_equal(fd_read_file("/proc/self/status", &proc), 0);
	assert_true(span_starts(buf_view(&proc), SPAN("Name:")));
}

static void replaces_files(void **state)
{
	struct stat st;
	struct buf b CLEANUP(buf_fini) = buf_init(1000);
	write_file("f", "old");
	int fd = open("f", O_RDONLY | O_CLOEXEC);
	mode_t mask = umask(077);
	assert_int_equal(fd_replace_file("./f", SPAN("new"), 0664), 0);
	umask(mask);
	char was[4] = "";
	assert_int_equal(pread(fd, was, 3, 0), 3);
	close(fd);
	assert_string_equal(was, "old"); /* whoever had it open keeps a whole old file */
	assert_int_equal(fd_read_file("f", &b), 0);
	assert_true(span_is(buf_view(&b), "new"));
	assert_int_equal(stat("f", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0664);
	assert_int_equal(fd_replace_file("absent/f", SPAN("x"), 0600), -ENOENT);
	assert_int_equal(mkdir("d", 0755), 0);
	assert_int_equal(fd_replace_file("d", SPAN("x"), 0600), -EISDIR);
	/* nothing of a failed attempt stays behind */
	DIR *dir = opendir(".");
	for (struct dirent *e; (e = readdir(dir));)
		assert_false(span_starts(span_cstr(e->d_name), SPAN(".tmp")));
	closedir(dir);
}

static void makes_folders(void **state)
{
	struct stat st;
	assert_int_equal(fd_make_dirs("a/b//c/", 0750), 0);
	assert_int_equal(fd_make_dirs("a/b/c", 0750), 0);
	assert_int_equal(stat("a/b/c", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_int_equal(fd_make_dirs("/", 0750), 0);
	write_file("a/file", "");
	assert_int_equal(fd_make_dirs("a/file/x", 0750), -ENOTDIR);
	assert_string_equal(err_message(-ENOTDIR), "a/file is not a folder");
	assert_int_equal(fd_make_dirs("", 0750), -ENOENT);
}

static void closes_and_keeps_errno(void **state)
{
	int copy;
	{
		AUTO_FD fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		copy = fd;
		errno = ENOTTY;
	}
	assert_int_equal(errno, ENOTTY);
	assert_int_equal(fcntl(copy, F_GETFD), -1);
	AUTO_FD other = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int taken = TAKE_FD(other);
	assert_int_equal(other, -1);
	close(taken);
}

static bool exists(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0;
}

static void removes_trees(void **state)
{
	assert_int_equal(fd_make_dirs("t/a/b", 0755), 0);
	assert_int_equal(fd_make_dirs("t/c", 0755), 0);
	assert_int_equal(fd_make_dirs("outside", 0755), 0);
	write_file("outside/kept", "x");
	write_file("t/a/b/f", "x");
	write_file("t/g", "x");
	assert_int_equal(symlink("../outside", "t/link"), 0);
	assert_int_equal(mkfifo("t/a/fifo", 0600), 0);
	assert_int_equal(fd_remove_tree(AT_FDCWD, "t"), 0);
	assert_false(exists("t"));
	assert_true(exists("outside/kept"));
	assert_int_equal(fd_remove_tree(AT_FDCWD, "t"), 0);
	assert_int_equal(symlink("outside", "link"), 0);
	assert_int_equal(fd_remove_tree(AT_FDCWD, "link"), 0);
	assert_true(exists("outside/kept"));
	assert_int_equal(fd_remove_tree(AT_FDCWD, "outside/kept"), 0);
	assert_false(exists("outside/kept"));
}

static void removes_wide_and_very_deep_trees(void **state)
{
	enum { DEPTH = 3000, WIDTH = 2000 };
	assert_int_equal(mkdir("deep", 0755), 0);
	int at = open("deep", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < DEPTH; i++) {
		assert_int_equal(mkdirat(at, "a-name-of-some-length", 0755), 0);
		int next = openat(at, "a-name-of-some-length", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		close(at);
		at = next;
		assert_true(at >= 0);
	}
	for (int i = 0; i < WIDTH; i++) {
		char name[16];
		snprintf(name, sizeof(name), "%d", i);
		assert_int_equal(mkdirat(at, name, 0755), 0);
	}
	close(at);
	assert_int_equal(fd_remove_tree(AT_FDCWD, "deep"), 0);
	assert_false(exists("deep"));
}

/* As an ordinary user, for whom permissions count. */
static int remove_without_privilege(void)
{
	if (getuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
		return 1;
	if (mkdir("p/in", 0755) < 0 || mkdir("p/in/shut", 0755) < 0 ||
		mkdir("p/in/shut/x", 0755) < 0 || chmod("p/in/shut/x", 0) < 0 ||
		chmod("p/in/shut", 0) < 0 || chmod("p/in", 0500) < 0)
		return 2;
	return fd_remove_tree(AT_FDCWD, "p/in") < 0 ? 3 : 0;
}

static void removes_folders_without_permissions(void **state)
{
	int status;
	assert_int_equal(mkdir("p", 0777), 0);
	assert_int_equal(chmod("p", 0777), 0);
	assert_int_equal(chmod(".", 0755), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(remove_without_privilege());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_false(exists("p/in"));
}

/* 77: this machine does not let us mount. */
static int remove_across_mount(void)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("precious", "m/a", NULL, MS_BIND, NULL) < 0)
		return 77;
	int r = fd_remove_tree(AT_FDCWD, "m");
	if (r != -EBUSY && r != -EXDEV)
		return 1;
	/* The way to the tree may cross what the tree may not. */
	if (fd_make_dirs("m/a/below/it", 0755) < 0)
		return 2;
	return fd_remove_tree(AT_FDCWD, "m/a/below") == 0 && !exists("m/a/below") ? 0 : 3;
}

static void stops_at_mounts(void **state)
{
	int status;
	assert_int_equal(fd_make_dirs("m/a", 0755), 0);
	assert_int_equal(fd_make_dirs("precious", 0755), 0);
	write_file("precious/kept", "x");
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(remove_across_mount());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		test_skip("needs the right to mount (root)");
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_true(exists("precious/kept"));
}

static void short_writes_are_repeated(void **state)
{
	int fds[2];
	static char bytes[300000];
	memset(bytes, 'x', sizeof(bytes));
	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		size_t got = 0;
		close(fds[1]);
		for (ssize_t n; (n = read(fds[0], bytes, 1000)) > 0;)
			got += (size_t)n;
		_exit(got == sizeof(bytes) ? 0 : 1);
	}
	close(fds[0]);
	assert_int_equal(fd_write_all(fds[1], span_of(bytes, sizeof(bytes))), 0);
	close(fds[1]);
	int status;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(fd_write_all(-1, SPAN("x")), -EBADF);
	assert_int_equal(fd_write_all(-1, SPAN("")), 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, make_root, remove_root)
	const struct CMUnitTest tests[] = {
		CASE(reads_files),
		CASE(replaces_files),
		CASE(makes_folders),
		CASE(closes_and_keeps_errno),
		CASE(removes_trees),
		CASE(removes_wide_and_very_deep_trees),
		CASE(removes_folders_without_permissions),
		CASE(stops_at_mounts),
		CASE(short_writes_are_repeated),
	};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
