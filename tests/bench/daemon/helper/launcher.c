/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/bench/daemon/helper/launcher.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 10000 };

static __attribute__((noreturn)) void die(const char *what)
{
	fprintf(stderr, "bench sandbox: %s: %s\n", what, strerror(errno));
	exit(1);
}

#define MUST(call) \
	do { \
		if ((call) < 0) \
			die(#call); \
	} while (0)

static void write_registry(const struct launcher *l)
{
	char path[128], text[1024];
	snprintf(path, sizeof(path), "%s/runtimes", l->dir);
	snprintf(text, sizeof(text),
		"runtime bench\n\tlanguage bench\n\tversion 1\n\tinterpreter /usr/bin/env\n"
		"\tbind /usr\n\tbind /bin\n\tbind /lib\n\tbind /lib64\n"
		"\tbind %s/tests/bench/sandbox /bench\n",
		getenv("AEGIS_BUILD"));
	MUST(fd_replace_file(path, span_cstr(text), 0644));
}

static void spawn(struct launcher *l, const struct launcher_options *o)
{
	char program[512], run[128], state[128], runtimes[128], text[5][32];
	snprintf(program, sizeof(program), "%s/bin/aegis-helper", getenv("AEGIS_BUILD"));
	snprintf(run, sizeof(run), "%s/run", l->dir);
	snprintf(state, sizeof(state), "%s/state", l->dir);
	snprintf(runtimes, sizeof(runtimes), "%s/runtimes", l->dir);
	snprintf(text[0], sizeof(text[0]), "%d", BENCH_UID);
	snprintf(text[1], sizeof(text[1]), "%d:%d", BENCH_SLOT_BASE + o->number * BENCH_SLOTS,
		BENCH_SLOTS);
	snprintf(text[2], sizeof(text[2]), "%d", o->network_pool);
	snprintf(text[3], sizeof(text[3]), "%d", o->prepared);
	snprintf(text[4], sizeof(text[4]), "%d", o->seats);
	l->pid = fork();
	if (l->pid == 0) {
		int quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
		dup2(quiet, STDERR_FILENO);
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		execl(program, program, "--uid", text[0], "--gid", text[0], "--slots", text[1],
			"--network-pool", text[2], "--prepared", text[3], "--seats", text[4],
			"--bootstrap", o->bootstrap, "--run-dir", run, "--state-dir", state,
			"--runtimes", runtimes, "--cgroup-parent", l->parent, (char *)NULL);
		_exit(127);
	}
	MUST(l->pid);
}

static ssize_t receive(
	struct launcher *l, void *packet, size_t room, int fds[WIRE_FDS_MAX], int *fd_count)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(WIRE_FDS_MAX * sizeof(int))];
	} control;
	struct iovec part = {packet, room};
	struct msghdr m = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(l->conn, &m, MSG_CMSG_CLOEXEC);
	*fd_count = 0;
	if (n <= 0)
		die("the helper is gone");
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		*fd_count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), (size_t)*fd_count * sizeof(int));
	}
	return n;
}

static void post(struct launcher *l, enum wire_type type, void *request, size_t bytes)
{
	struct wire_header *h = request;
	*h = (struct wire_header){
		WIRE_MAGIC, WIRE_VERSION, (uint16_t)type, (uint32_t)bytes, 0, ++l->request};
	MUST(send(l->conn, request, bytes, MSG_NOSIGNAL));
}

/* The reply to the last request, past events; its payload. */
static const void *reply(struct launcher *l, int fds[WIRE_FDS_MAX])
{
	static _Alignas(8) char packet[16384];
	const struct wire_reply *r = (const struct wire_reply *)(void *)packet;
	int fd_count;
	do
		receive(l, packet, sizeof(packet), fds, &fd_count);
	while (r->header.request != l->request);
	if (r->code < 0) {
		fprintf(stderr, "bench sandbox: %s\n", r->message);
		exit(1);
	}
	return r + 1;
}

static void connect_launcher(struct launcher *l)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct wire_plain hello;
	int fds[WIRE_FDS_MAX], r = -1;
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/run/helper.sock", l->dir);
	MUST(l->conn = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
	for (int i = 0; i < PATIENCE_MS / 10 && r < 0; i++) {
		MUST(seteuid(BENCH_UID));
		r = connect(l->conn, (struct sockaddr *)&a, sizeof(a));
		MUST(seteuid(0));
		if (r < 0)
			poll(NULL, 0, 10);
	}
	MUST(r);
	post(l, WIRE_HELLO, &hello, sizeof(hello));
	reply(l, fds);
}

static int make_fifo(int dir)
{
	MUST(mkfifoat(dir, "t", 0600));
	MUST(fchownat(dir, "t", BENCH_UID, BENCH_UID, 0));
	int fd = openat(dir, "t", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	MUST(fd);
	return fd;
}

static void next_execution(struct launcher *l)
{
	int fds[WIRE_FDS_MAX];
	if (l->workspace >= 0) {
		close(l->workspace);
		close(l->fifo);
	}
	l->execution = uuid_new();
	l->iteration = 0;
	struct wire_execution w = {.execution = l->execution};
	post(l, WIRE_WORKSPACE_OPEN, &w, sizeof(w));
	reply(l, fds);
	l->workspace = fds[0];
	l->fifo = make_fifo(l->workspace);
}

void launcher_start(struct launcher *l, const struct launcher_options *o)
{
	*l = (struct launcher){.conn = -1, .workspace = -1, .fifo = -1, .seats = o->seats};
	snprintf(l->dir, sizeof(l->dir), "/tmp/aegis-bench-XXXXXX");
	if (!mkdtemp(l->dir))
		die("mkdtemp");
	MUST(chmod(l->dir, 0755));
	snprintf(l->parent, sizeof(l->parent), "aegis-bench-%d-%d", getpid(), o->number);
	write_registry(l);
	spawn(l, o);
	connect_launcher(l);
	next_execution(l);
}

static int directories(const char *path)
{
	int n = 0;
	DIR *d = opendir(path);
	for (struct dirent *e; d && (e = readdir(d));)
		n += e->d_type == DT_DIR && e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

static int sandboxes_there(const struct launcher *l)
{
	static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	int n = 0;
	for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
		char path[256];
		snprintf(path, sizeof(path), "%s/%s", roots[i], l->parent);
		n += directories(path);
	}
	return n;
}

void launcher_wait_pool(struct launcher *l, int prepared)
{
	bool hybrid = access("/sys/fs/cgroup/unified", F_OK) == 0;
	int wanted = l->alive + prepared + (hybrid ? l->seats : 0);
	for (int i = 0; i < PATIENCE_MS / 5 && sandboxes_there(l) < wanted; i++)
		poll(NULL, 0, 5);
	poll(NULL, 0, 20);
}

void launcher_stop(struct launcher *l)
{
	static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified",
		"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids"};
	close(l->conn);
	close(l->workspace);
	close(l->fifo);
	kill(l->pid, SIGTERM);
	waitpid(l->pid, NULL, 0);
	for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
		char path[256];
		snprintf(path, sizeof(path), "%s/%s", roots[i], l->parent);
		rmdir(path);
	}
	MUST(fd_remove_tree(AT_FDCWD, l->dir));
}

/* ---- a start ---- */

static int64_t read_stamp(struct launcher *l)
{
	int64_t t[2];
	int fds[WIRE_FDS_MAX];
	struct pollfd p = {l->fifo, POLLIN, 0};
	if (poll(&p, 1, PATIENCE_MS) != 1 || read(l->fifo, t, sizeof(t)) != (ssize_t)sizeof(t)) {
		reply(l, fds); /* says why, if the helper knows */
		die("no stamp came");
	}
	return t[0] * NS_PER_S + t[1];
}

static double us_since(int64_t from_ns, int64_t to_ns)
{
	return (double)(to_ns - from_ns) / 1000.0;
}

struct live launcher_create(struct launcher *l, double *ret_us)
{
	static const char argv[] = "/bench/stamp";
	struct {
		struct wire_create w;
		char tail[sizeof(argv)];
	} c = {
		.w = {.iteration = ++l->iteration,
			.argc = 1,
			.argv_bytes = sizeof(argv),
			.limits = {.memory_bytes = 256 << 20,
				.tmp_bytes = 64 << 20,
				.file_bytes = 64 << 20,
				.cpu_millis = 1000,
				.pids = 64,
				.open_files = 1024},
			.runtime = "bench"},
	};
	struct live s;
	if (l->iteration == HELPER_ITERATION_MAX)
		next_execution(l);
	c.w.execution = c.w.workspace = s.execution = l->execution;
	memcpy(c.tail, argv, sizeof(argv));
	int64_t t0 = clock_mono_ns();
	post(l, WIRE_SANDBOX_CREATE, &c, offsetof(__typeof__(c), tail) + sizeof(argv));
	*ret_us = us_since(t0, read_stamp(l));
	const struct wire_sandbox *w = reply(l, s.fds);
	s.id = w->id;
	l->alive++;
	return s;
}

/* The end comes as an event, after the reply to the request that brought it about. */
static void wait_end(struct launcher *l, uint64_t id)
{
	static _Alignas(8) char packet[16384];
	const struct wire_event *e = (const struct wire_event *)(void *)packet;
	int fds[WIRE_FDS_MAX], fd_count;
	do
		receive(l, packet, sizeof(packet), fds, &fd_count);
	while (e->header.request != 0 || e->sandbox.id != id);
}

void launcher_end(struct launcher *l, struct live *s)
{
	struct wire_stop stop = {.id = s->id, .execution = s->execution, .how = HELPER_STOP_KILL};
	struct wire_target target = {.id = s->id, .execution = s->execution};
	int fds[WIRE_FDS_MAX];
	post(l, WIRE_SANDBOX_STOP, &stop, sizeof(stop));
	reply(l, fds);
	wait_end(l, s->id);
	post(l, WIRE_SANDBOX_RELEASE, &target, sizeof(target));
	reply(l, fds);
	for (int i = 0; i < 3; i++)
		close(s->fds[i]);
	l->alive--;
}

double launcher_once(struct launcher *l)
{
	double us;
	struct live s = launcher_create(l, &us);
	launcher_end(l, &s);
	return us;
}
