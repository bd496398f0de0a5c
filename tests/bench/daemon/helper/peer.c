/* SPDX-License-Identifier: AGPL-3.0-only */
/* Bubblewrap with what it offers of the same confinement, and runc with the limits as well. */
#include "daemon/confine/confine.h"
#include "tests/bench/daemon/helper/launcher.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static __attribute__((noreturn)) void die(const char *what)
{
	fprintf(stderr, "bench sandbox: %s: %s\n", what, strerror(errno));
	exit(1);
}

bool peer_has(const char *program)
{
	char path[64];
	const char *const folders[] = {
		"/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"};
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		snprintf(path, sizeof(path), "%s/%s", folders[i], program);
		if (access(path, X_OK) == 0)
			return true;
	}
	return false;
}

static void write_bundle(const struct peer *p)
{
	char path[128];
	struct buf b CLEANUP(buf_fini) = buf_init(65536);
	snprintf(path, sizeof(path), "%s/bundle", p->dir);
	if (mkdir(path, 0755) < 0)
		die(path);
	snprintf(path, sizeof(path), "%s/bundle/rootfs", p->dir);
	if (mkdir(path, 0755) < 0)
		die(path);
	buf_printf(&b,
		"{\"ociVersion\":\"1.0.2\",\"hostname\":\"sandbox\",\"root\":{\"path\":\"rootfs\","
		"\"readonly\":true},\"process\":{\"user\":{\"uid\":1000,\"gid\":1000},\"args\":"
		"[\"/bench/stamp\"],\"env\":[],\"cwd\":\"/\",\"noNewPrivileges\":true},\"mounts\":["
		"{\"destination\":\"/proc\",\"type\":\"proc\",\"source\":\"proc\"},"
		"{\"destination\":\"/dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"},"
		"{\"destination\":\"/tmp\",\"type\":\"tmpfs\",\"source\":\"tmpfs\"},");
	const struct {
		const char *from, *to, *mode;
	} binds[] = {
		{"/usr", "/usr", "ro"}, {p->dir, "/workspace", "rw"}, {p->stamp, "/bench", "ro"}};
	for (size_t i = 0; i < ARRAY_LEN(binds); i++)
		buf_printf(&b,
			"%s{\"destination\":\"%s\",\"type\":\"bind\",\"source\":\"%s\",\"options\":"
			"[\"bind\","
			"\"%s\"]}",
			i ? "," : "", binds[i].to, binds[i].from, binds[i].mode);
	buf_puts(&b,
		"],\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"network\"},{\"type\":"
		"\"ipc\"},{\"type\":\"uts\"},{\"type\":\"mount\"}],\"resources\":{\"memory\":{"
		"\"limit\":"
		"268435456},\"pids\":{\"limit\":64},\"cpu\":{\"quota\":100000,\"period\":100000}}}"
		"}");
	snprintf(path, sizeof(path), "%s/bundle/config.json", p->dir);
	if (buf_error(&b) < 0 || fd_replace_file(path, buf_view(&b), 0644) < 0)
		die(path);
}

static void write_seccomp(const struct peer *p)
{
	struct seccomp_program filter;
	if (seccomp_policy_build(&filter) < 0)
		die("build the filter");
	if (fd_replace_file(p->seccomp, span_of(filter.filter, filter.len * sizeof(*filter.filter)),
		    0644) < 0)
		die(p->seccomp);
	seccomp_program_fini(&filter);
}

void peer_open(struct peer *p)
{
	char path[128];
	snprintf(p->dir, sizeof(p->dir), "/tmp/aegis-bench-XXXXXX");
	if (!mkdtemp(p->dir) || chmod(p->dir, 0755) < 0)
		die("mkdtemp");
	snprintf(p->stamp, sizeof(p->stamp), "%s/tests/bench/sandbox", getenv("AEGIS_BUILD"));
	snprintf(p->seccomp, sizeof(p->seccomp), "%s/seccomp", p->dir);
	snprintf(path, sizeof(path), "%s/t", p->dir);
	if (mkfifo(path, 0666) < 0 || chmod(path, 0666) < 0)
		die(path);
	p->fifo = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (p->fifo < 0)
		die(path);
	write_bundle(p);
	write_seccomp(p);
}

void peer_close(struct peer *p)
{
	close(p->fifo);
	if (fd_remove_tree(AT_FDCWD, p->dir) < 0)
		die(p->dir);
}

/* The program's stamp, with the start of `path` as zero; the peer has ended when it returns. */
double peer_run(const struct peer *p, const char *path, char *const argv[])
{
	int64_t t[2];
	pid_t pid;
	struct pollfd fifo = {p->fifo, POLLIN, 0};
	int64_t t0 = clock_mono_ns();
	if (posix_spawnp(&pid, path, NULL, NULL, argv, environ) != 0)
		die(path);
	if (poll(&fifo, 1, 30000) != 1 || read(p->fifo, t, sizeof(t)) != (ssize_t)sizeof(t))
		die("no stamp came of a peer");
	waitpid(pid, NULL, 0);
	return (double)(t[0] * NS_PER_S + t[1] - t0) / 1000.0;
}

double peer_bubblewrap(struct peer *p)
{
	char number[16];
	int filter = open(p->seccomp, O_RDONLY);
	if (filter < 0)
		die(p->seccomp);
	snprintf(number, sizeof(number), "%d", filter);
	char *argv[] = {"bwrap", "--unshare-all", "--unshare-user", "--uid", "1000", "--gid",
		"1000", "--hostname", "sandbox", "--new-session", "--cap-drop", "ALL", "--clearenv",
		"--seccomp", number, "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin",
		"--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--proc",
		"/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--bind", p->dir, "/workspace",
		"--ro-bind", p->stamp, "/bench", "/bench/stamp", NULL};
	double us = peer_run(p, "bwrap", argv);
	close(filter);
	return us;
}

double peer_runc(struct peer *p)
{
	char id[64], bundle[128];
	snprintf(id, sizeof(id), "runc-bench-%d-%d", getpid(), p->number++);
	snprintf(bundle, sizeof(bundle), "%s/bundle", p->dir);
	char *argv[] = {"runc", "run", "--bundle", bundle, id, NULL};
	return peer_run(p, "runc", argv);
}
