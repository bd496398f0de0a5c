/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Stands in for aegis-bootstrap in tests of the helper: a static program that does what launch.h
 * asks of pid 1, and then what argv[0] of its start message says. It writes what it finds to its
 * log, one "name value" a line, for the test to read.
 */
#include "daemon/helper/landlock.h"
#include "daemon/helper/launch.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char packet[LAUNCH_PACKET_MAX];

static void say(const char *name, const char *format, ...)
{
	char line[1024];
	va_list args;
	int n = snprintf(line, sizeof(line), "%s ", name);
	va_start(args, format);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, format, args);
	va_end(args);
	line[n++] = '\n';
	for (ssize_t done = 0; done < n;) {
		ssize_t w = write(LAUNCH_FD_LOG, line + done, (size_t)(n - done));
		if (w < 0 && errno != EAGAIN)
			return;
		if (w < 0)
			poll(NULL, 0, 1);
		else
			done += w;
	}
}

static long raw(long number, long a, long b, long c, long d)
{
	long r = syscall(number, a, b, c, d);
	return r < 0 ? -errno : r;
}

/* 0, or the errno of a call that returned r. */
static int outcome(long r)
{
	return r < 0 ? errno : 0;
}

static ssize_t control_read(int *fds, int *fd_count, int flags)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(LAUNCH_CALL_FDS * sizeof(int))];
	} control;
	struct iovec part = {packet, sizeof(packet)};
	struct msghdr m = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(LAUNCH_FD_CONTROL, &m, flags | MSG_CMSG_CLOEXEC);
	*fd_count = 0;
	for (struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL; c; c = CMSG_NXTHDR(&m, c)) {
		*fd_count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), (size_t)*fd_count * sizeof(int));
	}
	return n;
}

/* ---- report ---- */

static void say_status(void)
{
	static const char *const keys[] = {"Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff",
		"CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "NSpid", "SigBlk", "SigIgn", "SigCgt"};
	char line[512];
	FILE *f = fopen("/proc/self/status", "r");
	while (f && fgets(line, sizeof(line), f)) {
		char *colon = strchr(line, ':');
		if (!colon)
			continue;
		*colon = '\0';
		char *v = colon + 1 + strspn(colon + 1, " \t");
		v[strcspn(v, "\n")] = '\0';
		for (char *p = v; *p; p++)
			*p = *p == '\t' ? ' ' : *p;
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
			if (strcmp(line, keys[i]) == 0)
				say(keys[i], "%s", v);
		}
	}
	if (f)
		fclose(f);
}

static void say_file(const char *name, const char *path)
{
	char text[900];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 0) {
		say(name, "errno %d", errno);
	} else {
		text[n] = '\0';
		for (ssize_t i = 0; i < n; i++) {
			if (text[i] == '\n')
				text[i] = i == n - 1 ? '\0' : '|';
		}
		say(name, "%s", text);
	}
	if (fd >= 0)
		close(fd);
}

/* Every line of a file, under one name. */
static void say_lines(const char *name, const char *path)
{
	char line[512];
	FILE *f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		say(name, "%s", line);
	}
	if (f)
		fclose(f);
}

static void say_folder(const char *name, const char *path)
{
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));) {
		if (e->d_name[0] != '.')
			say(name, "%s", e->d_name);
	}
	if (d)
		closedir(d);
}

static void say_descriptors(void)
{
	for (int fd = 0; fd < 256; fd++) {
		int flags = fcntl(fd, F_GETFD);
		if (flags >= 0)
			say("fd", "%d", fd);
	}
}

static void try_write(const char *name, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	say(name, "%d", fd < 0 ? errno : 0);
	if (fd >= 0)
		close(fd);
}

static void report_oom(void)
{
	char text[16] = "";
	int fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n - 1 : 0] = '\0';
	close(fd);
	say("oom-score", "%s", text);
}

static void try_writes(void)
{
	report_oom();
	say("carried", "%d", access("/workspace/made", F_OK) == 0);
	try_write("write/workspace", "/workspace/made");
	try_write("write/tmp", "/tmp/made");
	try_write("write/shm", "/dev/shm/made");
	try_write("write/null", "/dev/null");
	try_write("write/root", "/made");
	try_write("write/usr", "/usr/made");
	try_write("write/etc", "/etc/passwd");
	try_write("write/run", "/run/aegis/made");
	try_write("write/dev", "/dev/made");
	try_write("write/proc", "/proc/self/oom_score_adj");
	try_write("write/sysctl", "/proc/sys/kernel/hostname");
	try_write("write/sysrq", "/proc/sysrq-trigger");
	say("mknod", "%d", outcome(mknod("/tmp/node", S_IFCHR | 0666, 0x103)));
	say("chown", "%d", outcome(chown("/workspace", 0, 0)));
	say("mount", "%d", outcome(mount("none", "/tmp", "tmpfs", 0, NULL)));
	struct stat st;
	if (stat("/workspace/made", &st) == 0)
		say("workspace-owner", "%u:%u", st.st_uid, st.st_gid);
}

static void try_calls(void)
{
	say("userns", "%d", outcome(syscall(SYS_unshare, CLONE_NEWUSER)));
	say("clone-userns", "%d",
		outcome(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL)));
	char args[88] = {0};
	say("clone3", "%d", outcome(syscall(SYS_clone3, args, sizeof(args))));
	say("io_uring", "%d", outcome(syscall(SYS_io_uring_setup, 8, args)));
	say("keyctl", "%d", outcome(syscall(SYS_keyctl, 0, -3, 0)));
	say("ptrace", "%d", outcome(syscall(SYS_ptrace, PTRACE_ATTACH, getppid(), 0, 0)));
	say("bpf", "%d", outcome(syscall(SYS_bpf, 0, args, sizeof(args))));
	say("unknown-call", "%d", outcome(syscall(1000)));
	say("setuid", "%d", outcome(syscall(SYS_setuid, 0)));
	say("kill-all", "%d", outcome(kill(-1, 0)));
	say("packet-socket", "%d", outcome(socket(AF_PACKET, SOCK_RAW, 0)));
	say("vsock", "%d", outcome(socket(AF_VSOCK, SOCK_STREAM, 0)));
}

static int in_child(void (*act)(void))
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		act();
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -1;
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void call_compat(void)
{
	long r = 20; /* getpid of the i386 table */
	__asm__ volatile("int $0x80" : "+a"(r) : : "memory");
}

static void call_x32(void)
{
	syscall(SYS_getpid | 0x40000000);
}

static void try_network(void)
{
	int listener = socket(AF_INET, SOCK_STREAM, 0), s = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int r = bind(listener, (struct sockaddr *)&a, sizeof(a));
	if (r == 0)
		r = listen(listener, 1);
	if (r == 0)
		r = getsockname(listener, (struct sockaddr *)&a, &n);
	if (r == 0)
		r = connect(s, (struct sockaddr *)&a, sizeof(a));
	say("loopback", "%d", outcome(r));
	int out = socket(AF_INET, SOCK_STREAM, 0);
	a.sin_addr.s_addr = htonl(0x01010101);
	say("outside", "%d", outcome(connect(out, (struct sockaddr *)&a, sizeof(a))));
	close(out);
	close(s);
	close(listener);
}

static void say_limits(void)
{
	static const struct {
		const char *name;
		int resource;
	} rows[] = {{"core", RLIMIT_CORE}, {"nofile", RLIMIT_NOFILE}, {"fsize", RLIMIT_FSIZE},
		{"nproc", RLIMIT_NPROC}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct rlimit l;
		char name[32];
		getrlimit((__rlimit_resource_t)rows[i].resource, &l);
		snprintf(name, sizeof(name), "limit/%s", rows[i].name);
		say(name, "%llu:%llu", (unsigned long long)l.rlim_cur,
			(unsigned long long)l.rlim_max);
	}
}

static int report(void)
{
	char name[256];
	gethostname(name, sizeof(name));
	say("hostname", "%s", name);
	say("pid", "%d", getpid());
	say("sid", "%d", getsid(0));
	say_status();
	say("securebits", "%x", prctl(PR_GET_SECUREBITS));
	say_file("uid_map", "/proc/self/uid_map");
	say_file("gid_map", "/proc/self/gid_map");
	say_file("max_user_namespaces", "/proc/sys/user/max_user_namespaces");
	say_file("cgroup", "/proc/self/cgroup");
	say_file("kcore", "/proc/kcore");
	say_file("keys", "/proc/keys");
	say_file("timer_list", "/proc/timer_list");
	say_folder("scsi", "/proc/scsi");
	say_folder("root", "/");
	say_folder("sys", "/sys");
	say_folder("process", "/proc");
	say_lines("mount-line", "/proc/self/mounts");
	say_descriptors();
	say_limits();
	say("environ", "%s", environ && environ[0] ? environ[0] : "");
	say_file("net", "/proc/self/net/dev");
	say("compat", "%d", in_child(call_compat));
	say("x32", "%d", in_child(call_x32));
	try_writes();
	try_network();
	try_calls();
	say("end", "1");
	return 0;
}

/* ---- limits ---- */

static void eat_memory(void)
{
	for (size_t i = 0; i < 1024; i++) {
		char *p = mmap(
			NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			_exit(0);
		memset(p, 1, 1 << 20);
	}
}

static int bomb(void)
{
	int made = 0;
	while (made < 4096) {
		pid_t pid = fork();
		if (pid == 0) {
			pause();
			_exit(0);
		}
		if (pid < 0)
			break;
		made++;
	}
	say("forked", "%d %d", made, errno);
	return 0;
}

static int spin(void)
{
	struct timespec t0, t, cpu;
	clock_gettime(CLOCK_MONOTONIC, &t0);
	do
		clock_gettime(CLOCK_MONOTONIC, &t);
	while ((t.tv_sec - t0.tv_sec) * 1000 + (t.tv_nsec - t0.tv_nsec) / 1000000 < 1000);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	say("cpu-ms", "%ld", (long)(cpu.tv_sec * 1000 + cpu.tv_nsec / 1000000));
	return 0;
}

static int fill_tmp(void)
{
	static char block[65536];
	int fd = open("/tmp/big", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	long written = 0;
	ssize_t n;
	while ((n = write(fd, block, sizeof(block))) > 0 && written < (64L << 20))
		written += n;
	say("tmp-bytes", "%ld %d", written, n < 0 ? errno : 0);
	return 0;
}

/* ---- living ---- */

static int send_hello(const char *text)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = LAUNCH_SOCKET_PATH};
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r = connect(s, (struct sockaddr *)&a, sizeof(a));
	say("connect", "%d", outcome(r));
	if (r == 0 && write(s, text, strlen(text)) < 0)
		say("connect-write", "%d", errno);
	close(s);
	return 0;
}

static volatile sig_atomic_t asked_to_stop;

static void on_term(int signal_number)
{
	asked_to_stop = 1;
}

/* A call's child: joins, says where it is, and sleeps, with a grandchild. */
static void run_call(const int fds[LAUNCH_CALL_FDS])
{
	pid_t pid = fork();
	if (pid != 0)
		return;
	say("call-join", "%d", outcome(write(fds[0], "0", 1)));
	say_file("call-cgroup", "/proc/self/cgroup");
	if (fork() == 0)
		setsid();
	for (;;)
		pause();
}

static int live(void)
{
	struct sigaction act = {.sa_handler = on_term};
	sigaction(SIGTERM, &act, NULL);
	signal(SIGCHLD, SIG_IGN);
	say("alive", "1");
	while (!asked_to_stop) {
		int fds[LAUNCH_CALL_FDS], fd_count;
		ssize_t n = control_read(fds, &fd_count, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			say("control", "closed");
			break;
		}
		const struct launch_call *c = (const struct launch_call *)(void *)packet;
		say("control", "%u %d", c->header.type, fd_count);
		if (c->header.type == LAUNCH_CALL_OPEN && fd_count == LAUNCH_CALL_FDS)
			run_call(fds);
		for (int i = 0; i < fd_count; i++)
			close(fds[i]);
		send_hello("call\n");
	}
	return 7;
}

/* A pid 1 that offers a restarted helper sockets of its own. */
static int swap(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "/tmp/own.sock"};
	int own = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r = bind(own, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(own, 1) == 0 &&
			dup2(own, LAUNCH_FD_KEEP_LISTENER) >= 0
		? 0
		: errno;
	say("swapped", "%d", r);
	for (;;)
		pause();
	return 0;
}

/* Makes one process after the other, for ever. */
static int fork_on(void)
{
	say("forks", "on");
	for (;;) {
		pid_t pid = fork();
		if (pid == 0)
			_exit(0);
		while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		usleep(1000);
	}
	return 0;
}

static int act(const char *what)
{
	if (strcmp(what, "report") == 0)
		return report();
	if (strcmp(what, "memory") == 0) {
		say("memory", "%d", in_child(eat_memory));
		return 0;
	}
	if (strcmp(what, "bomb") == 0)
		return bomb();
	if (strcmp(what, "spin") == 0)
		return spin();
	if (strcmp(what, "tmp") == 0)
		return fill_tmp();
	if (strcmp(what, "hello") == 0)
		return send_hello("hello\n");
	if (strcmp(what, "swap") == 0)
		return swap();
	if (strcmp(what, "exit") == 0)
		return 42;
	if (strcmp(what, "forks") == 0)
		return fork_on();
	return live();
}

int main(int argc, char **argv)
{
	int fds[LAUNCH_CALL_FDS], fd_count;
	prctl(PR_SET_DUMPABLE, 0);
	for (int fd = LAUNCH_FD_CONTROL; fd < LAUNCH_FD_END; fd++)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	ssize_t n = control_read(fds, &fd_count, 0);
	const struct launch_start *s = (const struct launch_start *)(void *)packet;
	if (n < (ssize_t)sizeof(*s) || s->header.magic != LAUNCH_MAGIC ||
		s->header.type != LAUNCH_START || s->header.bytes != (size_t)n)
		return 100;
	const char *strings = (const char *)(s + 1);
	char what[64];
	snprintf(what, sizeof(what), "%.63s", s->argc > 0 ? strings : "live");
	say("start", "%u %u %u", s->iteration, s->argc, s->envc);
	if (s->envc > 0)
		say("env", "%s", strings + s->argv_bytes);
	int r = landlock_confine(raw);
	say("landlock", "%d", r);
	return r < 0 ? 101 : act(what);
}
