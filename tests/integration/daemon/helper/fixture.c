/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/integration/daemon/helper/fixture.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 20000 };

static const char *const hierarchies[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified",
	"/sys/fs/cgroup/cpu", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids"};

static const char *build_dir(void)
{
	const char *dir = getenv("AEGIS_BUILD");
	assert_non_null(dir);
	return dir;
}

void fixture_start(struct fixture *f)
{
	char helper[512], probe[512], run[128], state[128], runtimes[128], uid[16], slots[32],
		prepared[16], seats[16];
	snprintf(helper, sizeof(helper), "%s/bin/aegis-helper", build_dir());
	snprintf(probe, sizeof(probe), "%s/tests/integration/helper_probe", build_dir());
	snprintf(run, sizeof(run), "%s/run", f->dir);
	snprintf(state, sizeof(state), "%s/state", f->dir);
	snprintf(runtimes, sizeof(runtimes), "%s/runtimes", f->dir);
	snprintf(uid, sizeof(uid), "%d", FIXTURE_UID);
	snprintf(slots, sizeof(slots), "%d:%d", FIXTURE_SLOT_BASE, FIXTURE_SLOTS);
	snprintf(prepared, sizeof(prepared), "%d", f->prepared);
	snprintf(seats, sizeof(seats), "%d", f->seats);
	f->helper = fork();
	if (f->helper == 0) {
		int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
		(void)!write(score, "-500", 4); /* as its unit does */
		signal(SIGINT, SIG_IGN); /* as a shell does that starts it in the background */
		execl(helper, helper, "--uid", uid, "--gid", uid, "--slots", slots, "--bootstrap",
			probe, "--run-dir", run, "--state-dir", state, "--cgroup-parent", f->parent,
			"--network-pool", "2", "--prepared", prepared, "--seats", seats,
			"--runtimes", runtimes, (char *)NULL);
		_exit(127);
	}
	assert_true(f->helper > 0);
}

void fixture_kill(struct fixture *f, int signal_number)
{
	if (f->helper > 0) {
		kill(f->helper, signal_number);
		int status;
		assert_int_equal(waitpid(f->helper, &status, 0), f->helper);
		if (signal_number == SIGTERM)
			assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	f->helper = 0;
	if (f->conn >= 0)
		close(f->conn);
	f->conn = -1;
}

int fixture_connect(const struct fixture *f, uid_t uid)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/run/helper.sock", f->dir);
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_int_equal(seteuid(uid), 0);
	int r = connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ? -errno : fd;
	assert_int_equal(seteuid(0), 0);
	if (r < 0)
		close(fd);
	return r;
}

/* False if whoever listened was a helper that has just been killed. */
static bool greets(int conn)
{
	struct wire_plain w = {.header = {WIRE_MAGIC, WIRE_VERSION, WIRE_HELLO, sizeof(w), 0, 1}};
	_Alignas(8) char reply[sizeof(struct wire_reply) + sizeof(struct wire_info)];
	struct pollfd p = {conn, POLLIN, 0};
	if (send(conn, &w, sizeof(w), MSG_NOSIGNAL) < 0)
		return false;
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	ssize_t n = recv(conn, reply, sizeof(reply), 0);
	assert_true(n <= 0 || n == (ssize_t)sizeof(reply));
	return n > 0 && ((const struct wire_reply *)(void *)reply)->code == 0;
}

void fixture_greet(struct fixture *f)
{
	f->request = 1;
	for (int i = 0; i < PATIENCE_MS / 10; i++) {
		f->conn = fixture_connect(f, FIXTURE_UID);
		if (f->conn >= 0 && greets(f->conn))
			return;
		if (f->conn >= 0)
			close(f->conn);
		f->conn = -1;
		poll(NULL, 0, 10);
	}
	fail_msg("no helper answers");
}

static void write_registry(const struct fixture *f)
{
	static const char text[] = "runtime test\n"
				   "	language test\n"
				   "	version 1\n"
				   "	interpreter /usr/bin/env\n"
				   "	bind /usr\n"
				   "	bind /bin\n"
				   "	bind /lib\n"
				   "	bind /lib64\n"
				   "runtime other\n"
				   "	language other\n"
				   "	version 1\n"
				   "	interpreter /usr/bin/env\n"
				   "	bind /usr\n"
				   "runtime broken\n"
				   "	language broken\n"
				   "	version 1\n"
				   "	interpreter /usr/bin/env\n"
				   "	bind /not/there\n";
	char path[128];
	snprintf(path, sizeof(path), "%s/runtimes", f->dir);
	assert_int_equal(fd_replace_file(path, span_cstr(text), 0644), 0);
}

/* Directories below the parent in hierarchies from v2's on; with one, whichever v2 is. */
static int count_cgroups(const struct fixture *f, size_t count, bool tell)
{
	int n = 0;
	for (size_t i = 0; i < ARRAY_LEN(hierarchies) && count > 0; i++) {
		char path[256];
		snprintf(path, sizeof(path), "%s/%s", hierarchies[i], f->parent);
		DIR *d = opendir(path);
		count -= d && count == 1;
		for (struct dirent *e; d && (e = readdir(d));) {
			if (e->d_type != DT_DIR || e->d_name[0] == '.')
				continue;
			if (tell)
				print_message("# left: %s/%s\n", path, e->d_name);
			n++;
		}
		if (d)
			closedir(d);
	}
	return n;
}

static void set_up(void **state, int prepared, int seats)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	f->conn = -1;
	f->prepared = prepared;
	f->seats = seats;
	snprintf(f->dir, sizeof(f->dir), "/tmp/aegis-helper-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(chmod(f->dir, 0755), 0);
	write_registry(f);
	static int number;
	snprintf(f->parent, sizeof(f->parent), "aegis-test-%d-%d/sandboxes", getpid(), number++);
	*state = f;
	fixture_start(f);
	fixture_greet(f);
}

int fixture_setup(void **state)
{
	set_up(state, 0, 0);
	return 0;
}

int fixture_setup_pooled(void **state)
{
	const int prepared = 2;
	set_up(state, prepared, 0);
	for (int i = 0; i < PATIENCE_MS / 10; i++) {
		if (count_cgroups(*state, 1, false) == prepared)
			break;
		poll(NULL, 0, 10);
	}
	poll(NULL, 0, 50); /* the last one has to be finished, too */
	return 0;
}

int fixture_setup_seated(void **state)
{
	set_up(state, 0, 2);
	return 0;
}

static void remove_parents(const struct fixture *f)
{
	for (size_t i = 0; i < ARRAY_LEN(hierarchies); i++) {
		char path[256];
		snprintf(path, sizeof(path), "%s/%s", hierarchies[i], f->parent);
		rmdir(path);
		*strrchr(path, '/') = '\0';
		rmdir(path);
	}
}

/* After a failed case: its sandboxes must not live on. */
static void kill_sandboxes(const struct fixture *f)
{
	for (size_t i = 0; i < 2; i++) {
		char path[256];
		snprintf(path, sizeof(path), "%s/%s/cgroup.kill", hierarchies[i], f->parent);
		int fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		assert_int_equal(write(fd, "1", 1), 1);
		close(fd);
	}
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;
	fixture_kill(f, f->helper > 0 ? SIGTERM : 0);
	int left = fixture_cgroups_left(f);
	if (left > 0)
		kill_sandboxes(f);
	assert_int_equal(left, 0);
	remove_parents(f);
	assert_int_equal(fd_remove_tree(AT_FDCWD, f->dir), 0);
	free(f);
	return 0;
}

int fixture_cgroups_left(const struct fixture *f)
{
	return count_cgroups(f, ARRAY_LEN(hierarchies), true);
}

bool process_alive(pid_t pid)
{
	char path[64], text[512] = "";
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	const char *paren = n > 0 ? strrchr(text, ')') : NULL;
	return paren && paren[2] != 'Z';
}

/* ---- packets ---- */

static ssize_t receive(int conn, char *packet, size_t room, int fds[WIRE_FDS_MAX], int *fd_count)
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
	struct pollfd p = {conn, POLLIN, 0};
	*fd_count = 0;
	assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
	ssize_t n = recvmsg(conn, &m, MSG_CMSG_CLOEXEC);
	for (struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL; c; c = CMSG_NXTHDR(&m, c)) {
		*fd_count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), (size_t)*fd_count * sizeof(int));
	}
	return n;
}

void fixture_call(
	struct fixture *f, enum wire_type type, void *request, size_t bytes, struct answer *ret)
{
	static _Alignas(8) char packet[32768];
	struct wire_header *h = request;
	*h = (struct wire_header){
		WIRE_MAGIC, WIRE_VERSION, (uint16_t)type, (uint32_t)bytes, 0, ++f->request};
	assert_int_equal(send(f->conn, request, bytes, MSG_NOSIGNAL), bytes);
	const struct wire_reply *r = (const struct wire_reply *)(void *)packet;
	ssize_t n;
	do {
		n = receive(f->conn, packet, sizeof(packet), ret->fds, &ret->fd_count);
		assert_true(n >= (ssize_t)sizeof(struct wire_header));
	} while (r->header.request == 0); /* events of other sandboxes */
	assert_int_equal(r->header.request, f->request);
	assert_int_equal(r->header.type, type | WIRE_REPLY);
	ret->code = r->code;
	ret->count = r->count;
	memcpy(ret->message, r->message, sizeof(ret->message));
	ret->bytes = (size_t)n - sizeof(*r);
	assert_true(ret->bytes <= sizeof(ret->u));
	memcpy(&ret->u, r + 1, ret->bytes);
	assert_int_equal(r->code < 0, ret->message[0] != '\0');
}

void answer_close(struct answer *a)
{
	for (int i = 0; i < a->fd_count; i++)
		close(a->fds[i]);
	a->fd_count = 0;
}

bool fixture_is_cut_off(
	struct fixture *f, const void *packet, size_t bytes, const int *fds, int fd_count)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(8 * sizeof(int))];
	} control = {0};
	struct iovec part = {(void *)(uintptr_t)packet, bytes};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	if (fd_count > 0) {
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE((size_t)fd_count * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN((size_t)fd_count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, (size_t)fd_count * sizeof(int));
	}
	if (sendmsg(f->conn, &m, MSG_NOSIGNAL) < 0)
		return true;
	static _Alignas(8) char reply[32768];
	int got[WIRE_FDS_MAX], got_count;
	ssize_t n = receive(f->conn, reply, sizeof(reply), got, &got_count);
	for (int i = 0; i < got_count; i++)
		close(got[i]);
	return n <= 0;
}

struct wire_sandbox fixture_wait_end(struct fixture *f, uint64_t id)
{
	static _Alignas(8) char packet[32768];
	int fds[WIRE_FDS_MAX], fd_count;
	const struct wire_event *e = (const struct wire_event *)(void *)packet;
	do {
		ssize_t n = receive(f->conn, packet, sizeof(packet), fds, &fd_count);
		assert_int_equal(n, sizeof(*e));
		assert_int_equal(e->header.type, WIRE_EVENT | HELPER_EVENT_SANDBOX_ENDED);
	} while (e->sandbox.id != id);
	assert_int_equal(e->sandbox.state, HELPER_SANDBOX_ENDED);
	return e->sandbox;
}

size_t fixture_create(struct wire_create *w, size_t room, struct uuid execution, uint32_t iteration,
	const char *what)
{
	static const char variable[] = "AEGIS_TEST=yes";
	*w = (struct wire_create){
		.execution = execution,
		.workspace = execution,
		.iteration = iteration,
		.argc = 1,
		.envc = 1,
		.argv_bytes = (uint32_t)strlen(what) + 1,
		.env_bytes = sizeof(variable),
		.limits = {.memory_bytes = 64 << 20,
			.tmp_bytes = 4 << 20,
			.file_bytes = 16 << 20,
			.cpu_millis = 500,
			.pids = 32,
			.open_files = 128},
	};
	snprintf(w->runtime, sizeof(w->runtime), "test");
	char *tail = (char *)(w + 1);
	assert_true(sizeof(*w) + w->argv_bytes + w->env_bytes <= room);
	memcpy(tail, what, w->argv_bytes);
	memcpy(tail + w->argv_bytes, variable, w->env_bytes);
	return sizeof(*w) + w->argv_bytes + w->env_bytes;
}

struct wire_sandbox fixture_sandbox_of(struct fixture *f, struct uuid execution,
	const char *runtime, const char *what, int ret_fds[3])
{
	struct {
		struct wire_create w;
		char tail[128];
	} create;
	struct wire_execution open = {.execution = execution};
	struct answer a;
	fixture_call(f, WIRE_WORKSPACE_OPEN, &open, sizeof(open), &a);
	if (a.code < 0)
		fail_msg("WORKSPACE_OPEN: %s", a.message);
	assert_int_equal(a.fd_count, 1);
	answer_close(&a);
	size_t n = fixture_create(&create.w, sizeof(create), execution, 1, what);
	memset(create.w.runtime, 0, sizeof(create.w.runtime));
	memcpy(create.w.runtime, runtime, strlen(runtime));
	fixture_call(f, WIRE_SANDBOX_CREATE, &create, n, &a);
	if (a.code < 0)
		fail_msg("SANDBOX_CREATE: %s", a.message);
	assert_int_equal(a.fd_count, 3);
	memcpy(ret_fds, a.fds, 3 * sizeof(int));
	return a.u.sandboxes[0];
}

struct wire_sandbox fixture_sandbox(
	struct fixture *f, struct uuid execution, const char *what, int ret_fds[3])
{
	return fixture_sandbox_of(f, execution, "test", what, ret_fds);
}

void fixture_release(struct fixture *f, const struct wire_sandbox *s)
{
	struct wire_target w = {.id = s->id, .execution = s->execution};
	struct wire_execution x = {.execution = s->execution};
	struct answer a;
	fixture_call(f, WIRE_SANDBOX_RELEASE, &w, sizeof(w), &a);
	if (a.code < 0)
		fail_msg("SANDBOX_RELEASE: %s", a.message);
	fixture_call(f, WIRE_WORKSPACE_OPEN, &x, sizeof(x), &a);
	assert_int_equal(a.code, 0);
	(void)unlinkat(a.fds[0], "made", 0);
	answer_close(&a);
	fixture_call(f, WIRE_WORKSPACE_REMOVE, &x, sizeof(x), &a);
	if (a.code < 0)
		fail_msg("WORKSPACE_REMOVE: %s", a.message);
}

char *fixture_log(int fd, const char *until)
{
	size_t n = 0, room = 256 * 1024;
	char *log = calloc(1, room);
	assert_non_null(log);
	while (!until || !strstr(log, until)) {
		struct pollfd p = {fd, POLLIN, 0};
		if (poll(&p, 1, PATIENCE_MS) != 1)
			fail_msg("the probe fell silent after:\n%s", log);
		ssize_t got = read(fd, log + n, room - n - 1);
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	return log;
}

const char *log_value(const char *log, const char *name)
{
	static char value[1024];
	size_t n = strlen(name);
	for (const char *line = log; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, n) == 0 && line[n] == ' ') {
			snprintf(value, sizeof(value), "%.*s", (int)strcspn(line + n + 1, "\n"),
				line + n + 1);
			return value;
		}
	}
	fail_msg("the probe did not say %s; it said:\n%s", name, log);
	return NULL;
}

bool log_has(const char *log, const char *line)
{
	size_t n = strlen(line);
	for (const char *at = strstr(log, line); at; at = strstr(at + 1, line)) {
		if ((at == log || at[-1] == '\n') && at[n] == '\n')
			return true;
	}
	return false;
}
