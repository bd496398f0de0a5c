/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A sandbox comes in two halves. Prepared: all namespaces, mounts, confinement, and an
 * aegis-bootstrap that waits; nothing in it is anybody's. Assigned: an execution's limits,
 * workspace and program. The halves are apart so that the first can be done ahead.
 */
#include "daemon/helper/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* As in root.c. */
int mount(const char *source, const char *target, const char *type, unsigned long flags,
	const void *data);
enum { MS_NOSUID_ = 2, MS_NODEV_ = 4, MS_NOEXEC_ = 8, MS_REMOUNT_ = 32 };

enum {
	LISTEN_QUEUE = 128,
	SHM_BYTES_MAX = 64 * 1024 * 1024, /* as much as container engines give */
	CONTROL_BUFFER_BYTES = 512 * 1024,
};

/* The sockets and the pipe of one sandbox, on their way into it. */
struct ends {
	int control_helper, control_bootstrap;
	int listener;
	int socket_tree; /* the mount of the listener's file */
	int log_read, log_write;
	int net;
	char path[108]; /* of the listener's file, until it is mounted */
};

static void ends_close(struct ends *e)
{
	int *const fds[] = {&e->control_helper, &e->control_bootstrap, &e->listener,
		&e->socket_tree, &e->log_read, &e->log_write, &e->net};
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		fd_cleanup(fds[i]);
	if (e->path[0])
		unlink(e->path);
}

static int make_listener(const struct host *h, const struct sandbox *s, struct ends *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", h->sockets_path, s->name);
	e->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (e->listener < 0)
		return err_sys(-errno, "socket");
	if (bind(e->listener, (const struct sockaddr *)&a, sizeof(a)) < 0)
		return err_sys(-errno, "bind %s", a.sun_path);
	memcpy(e->path, a.sun_path, sizeof(e->path));
	/* Only this sandbox will have it; the folder on the host is closed to others. */
	if (chmod(e->path, 0666) < 0 || listen(e->listener, LISTEN_QUEUE) < 0)
		return err_sys(-errno, "listen on %s", e->path);
	e->socket_tree =
		(int)syscall(SYS_open_tree, AT_FDCWD, e->path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (e->socket_tree < 0)
		return err_sys(-errno, "take the mount of %s", e->path);
	return 0;
}

static int make_ends(struct host *h, const struct sandbox *s, struct ends *e)
{
	int pair[2], log_pipe[2];
	const int buffer = CONTROL_BUFFER_BYTES;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_sys(-errno, "socketpair");
	e->control_helper = pair[0];
	e->control_bootstrap = pair[1];
	(void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUFFORCE, &buffer, sizeof(buffer));
	if (pipe2(log_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_sys(-errno, "pipe");
	e->log_read = log_pipe[0];
	e->log_write = log_pipe[1];
	int r = make_listener(h, s, e);
	if (r == 0)
		r = netpool_take(&h->net, &e->net);
	return err_trace(r);
}

/* Puts the descriptors that the child takes along at their reserved numbers. */
static int place(const struct host *h, const struct sandbox *s, const struct ends *e, int root,
	const struct cgroup_dirs *dirs)
{
	const struct {
		int fd, at;
	} rows[] = {
		{h->null, PLAN_FD_NULL},
		{e->log_write, PLAN_FD_LOG},
		{e->control_bootstrap, PLAN_FD_CONTROL},
		{e->control_helper, PLAN_FD_KEEP_CONTROL},
		{e->listener, PLAN_FD_KEEP_LISTENER},
		{h->bootstrap, PLAN_FD_BOOTSTRAP},
		{root, PLAN_FD_ROOT},
		{e->net, PLAN_FD_NET},
		{h->slots[s->mark.slot].user_ns, PLAN_FD_USER},
		{e->socket_tree, PLAN_FD_SOCKET},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (dup3(rows[i].fd, rows[i].at, O_CLOEXEC) < 0)
			return err_sys(-errno, "place a descriptor for a sandbox");
	}
	for (int i = 0; i < GUARD_HOOKS; i++) {
		int link = h->guard.links[i] >= 0 ? h->guard.links[i] : h->null;
		if (dup3(link, PLAN_FD_KEEP_GUARD + i, O_CLOEXEC) < 0)
			return err_sys(-errno, "place a descriptor for a sandbox");
	}
	for (int i = 0; i < CGROUP_V1_MAX && dirs->join[i] >= 0; i++) {
		if (dup3(dirs->join[i], PLAN_FD_JOIN + i, O_CLOEXEC) < 0)
			return err_sys(-errno, "place a descriptor for a sandbox");
	}
	return 0;
}

/* Nothing of a sandbox may stay open at the reserved numbers: a held network namespace or socket
 * would outlive it. */
static void unplace(const struct host *h)
{
	for (int fd = PLAN_FD_FIRST; fd < PLAN_FD_END; fd++)
		(void)dup3(h->null, fd, O_CLOEXEC);
}

static struct rlimit limit_of(const struct host *h, int resource, uint64_t wanted)
{
	uint64_t v = MIN(wanted, (uint64_t)h->rlimit_max[resource]);
	return (struct rlimit){v, v};
}

static void tmpfs_size(uint64_t bytes, char *ret, size_t room)
{
	/* An inode costs kernel memory, which is charged, but not to the size. */
	snprintf(ret, room, "size=%llu,nr_inodes=%llu", (unsigned long long)bytes,
		(unsigned long long)bytes / 4096 + 64);
}

static uint64_t shm_bytes(const struct wire_limits *l)
{
	return MIN(l->tmp_bytes, (uint64_t)SHM_BYTES_MAX);
}

static void plan_init(const struct host *h, const struct sandbox *s, const struct cgroup_dirs *dirs,
	struct launch_plan *p)
{
	uid_t id = h->options.slot_base + s->mark.slot;
	const struct wire_limits *l = &s->limits;
	char size[64];
	*p = (struct launch_plan){
		.cgroup = dirs->v2,
		.masks = h->masks,
		.mask_count = h->mask_count,
		.seccomp = &h->seccomp,
		.spared = h->spared,
		/* The highest: they can be lowered at the assignment, but where root lacks
		 * CAP_SYS_RESOURCE (in containers) never raised again. */
		.limits = {{RLIMIT_NOFILE, limit_of(h, RLIMIT_NOFILE, 1048576)},
			{RLIMIT_FSIZE, limit_of(h, RLIMIT_FSIZE, UINT64_MAX)},
			{RLIMIT_NPROC, limit_of(h, RLIMIT_NPROC, 32768)}},
	};
	while (p->join_count < CGROUP_V1_MAX && dirs->join[p->join_count] >= 0)
		p->join_count++;
	tmpfs_size(l->tmp_bytes, size, sizeof(size));
	snprintf(
		p->tmp_options, sizeof(p->tmp_options), "mode=1777,uid=%u,gid=%u,%s", id, id, size);
	tmpfs_size(shm_bytes(l), size, sizeof(size));
	snprintf(
		p->shm_options, sizeof(p->shm_options), "mode=1777,uid=%u,gid=%u,%s", id, id, size);
}

static int run(struct host *h, struct sandbox *s, const struct cgroup_dirs *dirs, struct seat *seat)
{
	struct launch_plan plan;
	pid_t pid;
	int pidfd;
	char *stack_end = h->child_stack + HOST_CHILD_STACK_BYTES;
	plan_init(h, s, dirs, &plan);
	if (seat) {
		plan.join_count = 0; /* inherited */
		plan.from_seat = true;
	}
	int r = seat ? seat_launch(seat, &plan, stack_end, &pid, &pidfd)
		     : launch_child_start(&plan, stack_end, &pid, &pidfd);
	if (r < 0)
		return err_sys(r, "clone a sandbox");
	if (plan.failed_step) {
		siginfo_t info;
		while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED) < 0 && errno == EINTR)
			;
		close(pidfd);
		return err_sys(-plan.failed_errno, "%s", plan.failed_step);
	}
	s->pidfd = pidfd;
	s->mark.pid = pid;
	s->child = true;
	return 0;
}

struct helper_limits launch_limits(const struct wire_limits *l)
{
	return (struct helper_limits){
		.cpu_millis = l->cpu_millis, .pids = l->pids, .memory_bytes = l->memory_bytes};
}

static int limit_cgroup(const struct host *h, const struct sandbox *s, const struct wire_limits *l)
{
	const struct helper_limits limits = launch_limits(l);
	return err_trace(cgroup_limit(&h->cgroups, s->name, &limits));
}

/* New cgroups, or a seat's. */
static int take_cgroups(struct host *h, const struct sandbox *s, struct seat *seat,
	struct cgroup_dirs *ret, bool *ret_limited)
{
	*ret_limited = false;
	if (!seat)
		return err_trace(cgroup_make(&h->cgroups, s->name, ret));
	const struct helper_limits limits = launch_limits(&s->limits);
	*ret_limited = limits.cpu_millis == seat->limits.cpu_millis &&
		limits.pids == seat->limits.pids &&
		limits.memory_bytes == seat->limits.memory_bytes;
	*ret = seat->dirs;
	seat->dirs = (struct cgroup_dirs){.v2 = -1, .join = {-1, -1, -1}};
	return 0;
}

int launch_prepare(struct host *h, struct sandbox *s, struct seat *seat, int *ret_log)
{
	struct ends e = {-1, -1, -1, -1, -1, -1, -1, ""};
	struct cgroup_dirs dirs;
	bool limited;
	int root = -1;
	int r = take_cgroups(h, s, seat, &dirs, &limited);
	if (r < 0)
		return err_trace(r);
	r = root_get(&h->roots, runtime_registry_at(h->registry, s->runtime), s->runtime, &root);
	s->cgroup_id = dirs.id;
	if (r == 0)
		r = network_admit(&h->network, s->cgroup_id, s->mark.slot);
	if (r == 0)
		r = lsmprog_admit(&h->lsm, s->cgroup_id);
	if (r == 0)
		r = lsmprog_attach(&h->lsm, h->cgroups.v2);
	if (r == 0)
		r = recordprog_attach(&h->record, h->cgroups.v2);
	if (r == 0)
		r = guardprog_attach(&h->guard);
	if (r == 0)
		r = make_ends(h, s, &e);
	if (r == 0) {
		s->mark.control_cookie = host_socket_cookie(e.control_helper);
		s->mark.listener_cookie = host_socket_cookie(e.listener);
		r = cgroup_mark_set(dirs.v2, &s->mark);
	}
	if (r == 0 && !limited)
		r = limit_cgroup(h, s, &s->limits);
	if (r == 0)
		r = place(h, s, &e, root, &dirs);
	if (r == 0)
		r = run(h, s, &dirs, seat);
	unplace(h);
	if (r == 0) {
		s->control = TAKE_FD(e.control_helper);
		s->listener = TAKE_FD(e.listener);
		s->cgroup = TAKE_FD(dirs.v2);
		*ret_log = TAKE_FD(e.log_read);
	}
	ends_close(&e);
	cgroup_dirs_close(&dirs);
	if (seat)
		seat_stop(seat);
	if (r < 0)
		lsmprog_dismiss(&h->lsm, s->cgroup_id);
	if (r < 0 && cgroup_remove(&h->cgroups, s->name) < 0)
		log_warn("cgroup %s is left behind", s->name);
	return err_trace(r);
}

static int resize(const char *path, uint64_t bytes, bool noexec)
{
	char options[64];
	const unsigned long flags =
		MS_REMOUNT_ | MS_NOSUID_ | MS_NODEV_ | (noexec ? MS_NOEXEC_ : 0);
	tmpfs_size(bytes, options, sizeof(options));
	return mount(NULL, path, NULL, flags, options);
}

static int resize_private(const struct wire_limits *l)
{
	if (resize("/tmp", l->tmp_bytes, false) < 0 || resize("/dev/shm", shm_bytes(l), true) < 0)
		return err_sys(-errno, "set the size of /tmp");
	return 0;
}

static int set_rlimits(const struct host *h, const struct sandbox *s, const struct wire_limits *l)
{
	const struct {
		__rlimit_resource_t resource;
		uint64_t v;
	} rows[] = {
		{RLIMIT_NOFILE, l->open_files},
		{RLIMIT_FSIZE, l->file_bytes},
		{RLIMIT_NPROC, l->pids},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct rlimit v = limit_of(h, (int)rows[i].resource, rows[i].v);
		if (prlimit(s->mark.pid, rows[i].resource, &v, NULL) < 0)
			return err_sys(-errno, "set a resource limit of a sandbox");
	}
	return 0;
}

static int send_start(const struct host *h, const struct sandbox *s, const struct wire_create *w)
{
	struct launch_start start = {
		.header = {LAUNCH_MAGIC, LAUNCH_START, 0, 0},
		.iteration = w->iteration,
		.argc = w->argc,
		.envc = w->envc,
		.argv_bytes = w->argv_bytes,
		.env_bytes = w->env_bytes,
		.open_files = limit_of(h, RLIMIT_NOFILE, w->limits.open_files).rlim_cur,
		.file_bytes = limit_of(h, RLIMIT_FSIZE, w->limits.file_bytes).rlim_cur,
		.pids = limit_of(h, RLIMIT_NPROC, w->limits.pids).rlim_cur,
	};
	start.header.bytes = (uint32_t)sizeof(start) + w->argv_bytes + w->env_bytes;
	memcpy(start.execution, w->execution.bytes, sizeof(start.execution));
	const struct iovec parts[] = {
		{&start, sizeof(start)},
		{(void *)(uintptr_t)(w + 1), (size_t)w->argv_bytes + w->env_bytes},
	};
	return err_trace(launch_send(s, parts, ARRAY_LEN(parts), NULL, 0));
}

/* What has to be done inside the sandbox's mount namespace: its paths are the template's, nothing
 * in it is the agent's yet. `l` is NULL if the sizes are right. The start is sent from in there:
 * the way back is not on the program's way. */
static int furnish_and_start(const struct host *h, const struct sandbox *s, const int *trees,
	int client, const struct wire_limits *l, const struct wire_create *w)
{
	int r = 0;
	if (setns(s->pidfd, CLONE_NEWNS) < 0)
		return err_sys(-errno, "enter the mount namespace of a sandbox");
	if (syscall(SYS_move_mount, trees[0], "", AT_FDCWD, LAUNCH_WORKSPACE,
		    MOVE_MOUNT_F_EMPTY_PATH) < 0)
		r = err_sys(-errno, "mount %s", LAUNCH_WORKSPACE);
	else if (l)
		r = resize_private(l);
	if (r == 0 && w->place_count)
		r = files_place(s->pidfd, w->places, w->place_count, trees + 1, client);
	if (r == 0)
		r = send_start(h, s, w);
	CHECK(setns(h->mount_ns, CLONE_NEWNS) == 0);
	return err_trace(r);
}

bool launch_fits(const struct sandbox *s, const struct wire_limits *l)
{
	return memcmp(&s->limits, l, sizeof(*l)) == 0;
}

int launch_refit(const struct host *h, struct sandbox *s, const struct wire_limits *l)
{
	int r = limit_cgroup(h, s, l);
	if (r == 0 && setns(s->pidfd, CLONE_NEWNS) < 0)
		r = err_sys(-errno, "enter the mount namespace of a sandbox");
	if (r < 0)
		return err_trace(r);
	r = resize_private(l);
	CHECK(setns(h->mount_ns, CLONE_NEWNS) == 0);
	if (r == 0)
		s->limits = *l;
	return r;
}

/* The directories of its volumes as trees: the workspace, then the places. */
static int bind_all(const struct host *h, const struct sandbox *s, const struct wire_create *w,
	int ret[1 + HELPER_PLACES_MAX])
{
	int idmap = h->slots[s->mark.slot].idmap_ns;
	int r = workspace_mount(&h->workspaces, w->workspace, w->read_only, idmap, &ret[0]);
	for (size_t i = 0; r == 0 && i < w->place_count; i++)
		r = workspace_mount(&h->workspaces, w->places[i].volume, w->places[i].read_only,
			idmap, &ret[1 + i]);
	return err_trace(r);
}

static int assign(struct host *h, struct sandbox *s, const struct wire_create *w, const int *trees,
	int client)
{
	bool same = launch_fits(s, &w->limits);
	int r = same ? 0 : limit_cgroup(h, s, &w->limits);
	if (r == 0)
		r = furnish_and_start(h, s, trees, client, same ? NULL : &w->limits, w);
	/* Of pid 1, whose first program has set them for itself: it starts others only when they
	 * are opened. */
	if (r == 0)
		r = set_rlimits(h, s, &w->limits);
	if (r < 0)
		return err_trace(r);
	s->limits = w->limits;
	s->mark.state = MARK_RUNNING;
	s->mark.execution = w->execution;
	s->mark.iteration = w->iteration;
	s->mark.strict = w->strict;
	/* Marked only now: one whose start was perhaps not sent is nobody's to the next helper, and
	 * aegisd has no reply about it. */
	return err_trace(cgroup_mark_set(s->cgroup, &s->mark));
}

int launch_assign(struct host *h, struct sandbox *s, const struct wire_create *w,
	const int *mounted, int client)
{
	int bound[1 + HELPER_PLACES_MAX];
	for (size_t i = 0; i < ARRAY_LEN(bound); i++)
		bound[i] = -1;
	int r = mounted ? 0 : bind_all(h, s, w, bound);
	if (r == 0)
		r = assign(h, s, w, mounted ? mounted : bound, client);
	for (size_t i = 0; i < ARRAY_LEN(bound); i++)
		fd_cleanup(&bound[i]);
	return err_trace(r);
}

int launch_send(const struct sandbox *s, const struct iovec *parts, int part_count, const int *fds,
	int fd_count)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(LAUNCH_CALL_FDS * sizeof(int))];
	} control = {0};
	struct msghdr m = {
		.msg_iov = (struct iovec *)(uintptr_t)parts,
		.msg_iovlen = (size_t)part_count,
	};
	CHECK(fd_count <= LAUNCH_CALL_FDS);
	if (fd_count > 0) {
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE((size_t)fd_count * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		CHECK(c);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN((size_t)fd_count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, (size_t)fd_count * sizeof(int));
	}
	if (sendmsg(s->control, &m, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
		return 0;
	if (errno == EPIPE || errno == ECONNRESET) /* killed, and not heard of yet */
		return err_raise(-ESRCH, "sandbox %s has ended", s->name);
	return err_sys(-errno, "tell aegis-bootstrap of sandbox %s", s->name);
}
