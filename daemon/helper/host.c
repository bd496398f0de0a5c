/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Start-up of the helper: nothing that it later trusts is taken without a look at who could have
 * put it there.
 */
#include "daemon/helper/host.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LOCK_TRIES = 100, LOCK_MS = 20 };

static int check_one(const char *path, bool last)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return err_sys(-errno, "%s", path);
	bool sticky = !last && S_ISDIR(st.st_mode) && (st.st_mode & S_ISVTX);
	if (S_ISLNK(st.st_mode) || st.st_uid != 0 || ((st.st_mode & 022) != 0 && !sticky))
		return err_raise(-EPERM,
			"%s must belong to root, be no link, and be writable by nobody else; it "
			"has "
			"owner %u and mode %03o",
			path, st.st_uid, st.st_mode & 07777);
	return 0;
}

int host_check_trusted(const char *path)
{
	char part[LIMIT_PATH_BYTES];
	if (path[0] != '/' || strlen(path) >= sizeof(part))
		return err_raise(-EINVAL, "%s: absolute paths are accepted", path);
	int r = check_one("/", path[1] == '\0');
	for (const char *p = path + 1; r == 0 && *p; p++) {
		const char *slash = strchr(p, '/');
		bool last = !slash || slash[1] == '\0';
		size_t n = slash ? (size_t)(slash - path) : strlen(path);
		snprintf(part, sizeof(part), "%.*s", (int)n, path);
		r = check_one(part, last);
		if (last)
			break;
		p = slash;
	}
	return err_trace(r);
}

/* Numbers below PLAN_FD_END are taken up, so that everything else lies above them. */
static int reserve_descriptors(struct host *h)
{
	int fd;
	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return err_sys(-errno, "open /dev/null");
	} while (fd < PLAN_FD_END);
	h->null = fd;
	return 0;
}

static int make_dir(const char *path, mode_t mode, int *ret_fd)
{
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return err_sys(-errno, "make %s", path);
	int r = host_check_trusted(path);
	if (r < 0)
		return err_trace(r);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(-errno, "open %s", path);
	if (ret_fd)
		*ret_fd = fd;
	else
		close(fd);
	return 0;
}

/* A helper that was killed may have a child on its way into a sandbox, which holds the lock for the
 * moment until it has a descriptor table of its own. */
static int lock_run_dir(const struct host *h)
{
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (flock(h->run, LOCK_EX | LOCK_NB) == 0)
			return 0;
		(void)poll(NULL, 0, LOCK_MS);
	}
	return err_sys(-errno, "another aegis-helper serves %s", h->options.run_dir);
}

static int open_run_dir(struct host *h)
{
	const char *run = h->options.run_dir;
	int n = snprintf(h->sockets_path, sizeof(h->sockets_path), "%s/sockets", run);
	if (n < 0 || (size_t)n >= sizeof(h->sockets_path))
		return err_raise(-EINVAL, "--run-dir %s is too long: at most %zu bytes", run,
			sizeof(h->sockets_path) - sizeof("/sockets"));
	snprintf(h->staging_path, sizeof(h->staging_path), "%s/root", run);
	snprintf(h->transports_path, sizeof(h->transports_path), "%s/transports", run);
	int r = fd_make_dirs(run, 0755);
	if (r == 0)
		r = make_dir(run, 0755, &h->run);
	if (r == 0)
		r = lock_run_dir(h);
	/* What lies there was left by one that was killed: a socket is unlinked once mounted. */
	if (r == 0)
		r = fd_remove_tree(h->run, "sockets");
	if (r == 0)
		r = make_dir(h->sockets_path, 0700, NULL);
	if (r == 0)
		r = make_dir(h->staging_path, 0700, NULL);
	if (r == 0)
		r = make_dir(h->transports_path, 0700, NULL);
	return err_trace(r);
}

static int open_state_dir(struct host *h)
{
	const char *state = h->options.state_dir;
	char secret_dir[LIMIT_PATH_BYTES];
	snprintf(secret_dir, sizeof(secret_dir), "%s/helper", state);
	int fd = -1;
	int r = fd_make_dirs(state, 0755);
	if (r == 0)
		r = make_dir(state, 0755, &fd);
	if (r == 0)
		r = make_dir(secret_dir, 0700, NULL);
	if (r == 0)
		r = workspaces_init(&h->workspaces, fd, h->options.uid, h->options.gid);
	fd_cleanup(&fd);
	if (r == 0)
		r = signer_open(state, &h->signer);
	return err_trace(r);
}

static int generate_registry(const char *path)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_REGISTRY_BYTES);
	int r = runtime_registry_generate(&b);
	if (r == 0)
		r = fd_replace_file(path, buf_view(&b), 0644);
	if (r == 0)
		log_info("the runtime registry %s was written from what this host has", path);
	return err_trace(r);
}

static int open_registry(struct host *h)
{
	char own[LIMIT_PATH_BYTES];
	const char *path = h->options.runtimes;
	int r = 0;
	if (!path) {
		snprintf(own, sizeof(own), "%s/runtimes", h->options.state_dir);
		path = own;
		if (access(path, F_OK) < 0 && errno == ENOENT)
			r = generate_registry(path);
	}
	if (r == 0)
		r = host_check_trusted(path);
	if (r < 0)
		return err_wrap(r, "runtime registry");
	AUTO_FD fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(-errno, "open %s", path);
	return err_trace(runtime_registry_read(fd, path, &h->registry));
}

static int open_bootstrap(struct host *h)
{
	const char *path = h->options.bootstrap;
	int r = host_check_trusted(path);
	if (r < 0)
		return err_wrap(r, "--bootstrap");
	h->bootstrap = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	if (h->bootstrap < 0 || fstat(h->bootstrap, &st) < 0)
		return err_sys(-errno, "open %s", path);
	if (!S_ISREG(st.st_mode) || (st.st_mode & 0111) != 0111)
		return err_raise(-EACCES, "%s must be a file that everybody may execute", path);
	return 0;
}

static int check_options(const struct host_options *o)
{
	uint64_t end = (uint64_t)o->slot_base + o->slot_count;
	if (geteuid() != 0)
		return err_raise(-EPERM, "aegis-helper must be started as root");
	if (o->uid == 0 || o->gid == 0)
		return err_raise(-EINVAL, "--uid and --gid are aegisd's, which must not be root's");
	if (o->slot_base < 1000 || o->slot_count < 1 || o->slot_count > HELPER_SANDBOXES_MAX ||
		end > INT32_MAX)
		return err_raise(-EINVAL,
			"--slots BASE:COUNT: a base of at least 1000 and a count of 1 to %d are "
			"accepted",
			HELPER_SANDBOXES_MAX);
	if (o->uid >= o->slot_base && o->uid < end)
		return err_raise(-EINVAL, "--slots contains aegisd's uid %u", o->uid);
	return 0;
}

static int make_slots(struct host *h)
{
	h->slots = calloc(h->options.slot_count, sizeof(*h->slots));
	if (!h->slots)
		return err_raise(-ENOMEM, "no memory for %u slots", h->options.slot_count);
	for (uint32_t i = 0; i < h->options.slot_count; i++)
		h->slots[i] = (struct slot){.user_ns = -1, .idmap_ns = -1};
	return 0;
}

/* A helper that the kernel is told to spare must not have sandboxes that are spared too. */
static bool is_spared(void)
{
	char text[16];
	if (cgroup_read(AT_FDCWD, "/proc/self/oom_score_adj", text, sizeof(text)) < 0) {
		err_clear();
		return true;
	}
	return text[0] == '-';
}

static int open_means(struct host *h)
{
	h->spared = is_spared();
	int r = netpool_init(&h->net, h->options.network_pool);
	if (r < 0)
		return err_trace(r);
	h->mount_ns = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (h->mount_ns < 0)
		return err_sys(-errno, "open /proc/self/ns/mnt");
	h->child_stack = mmap(NULL, HOST_CHILD_STACK_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
	if (h->child_stack == MAP_FAILED) {
		h->child_stack = NULL;
		return err_sys(-errno, "a stack of %d bytes", HOST_CHILD_STACK_BYTES);
	}
	h->mask_count = launch_masks(h->masks);
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* version */);
	h->landlock_abi = abi > 0 ? (int)abi : 0;
	if (getrandom(&h->instance, sizeof(h->instance), 0) != (ssize_t)sizeof(h->instance))
		return err_sys(-errno, "draw random bytes");
	return err_trace(make_slots(h));
}

static int open_guard(struct host *h)
{
	struct guard_constants c = {.level = h->network.constants.level};
	struct stat st;

	if (fstat(h->cgroups.v2, &st) < 0)
		return err_sys(-errno, "the cgroup parent");
	c.parent = st.st_ino;
	return err_trace(guardprog_open(&c, &h->guard));
}

/* Once: asking costs each start three system calls. */
static void read_rlimits(struct host *h)
{
	for (int i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit own = {0, 0};
		if (getrlimit((__rlimit_resource_t)i, &own) < 0)
			own.rlim_max = 0;
		h->rlimit_max[i] = own.rlim_max;
	}
}

int host_open(struct host *h, const struct host_options *o)
{
	*h = (struct host){.options = *o,
		.bootstrap = -1,
		.null = -1,
		.mount_ns = -1,
		.run = -1,
		.net.own = -1,
		.workspaces = {.state = -1, .dir = -1},
		.cgroups = {.v2 = -1, .v1 = {-1, -1, -1}},
		.guard.links = {-1, -1, -1}};
	root_set_init(&h->roots, h->staging_path, h->resolv_conf);
	network_resolv_conf(o->network_range, h->resolv_conf, sizeof(h->resolv_conf));
	umask(022);
	/* The key lives in this memory. */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	fd_raise_limit(); /* five for each sandbox and two for each slot */
	read_rlimits(h);
	int (*const parts[])(struct host *) = {reserve_descriptors, open_run_dir, open_state_dir,
		open_registry, open_bootstrap, open_means};
	int r = check_options(o);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(parts); i++)
		r = parts[i](h);
	if (r == 0)
		r = seccomp_policy_build(&h->seccomp);
	if (r == 0)
		r = cgroup_host_open(&h->cgroups, o->cgroup_parent);
	if (r == 0)
		r = network_open(&h->network, o->network_range, o->cgroup_parent, h->cgroups.v2);
	if (r == 0)
		r = lsmprog_open(h->cgroups.v2, h->network.constants.level, &h->lsm);
	if (r == 0)
		r = recordprog_open(h->cgroups.v2, h->network.constants.level, &h->record);
	if (r == 0)
		r = open_guard(h);
	if (r < 0)
		host_close(h);
	return err_trace(r);
}

void host_close(struct host *h)
{
	for (uint32_t i = 0; h->slots && i < h->options.slot_count; i++) {
		fd_cleanup(&h->slots[i].user_ns);
		fd_cleanup(&h->slots[i].idmap_ns);
	}
	free(h->slots);
	h->slots = NULL;
	if (h->child_stack)
		munmap(h->child_stack, HOST_CHILD_STACK_BYTES);
	h->child_stack = NULL;
	root_set_fini(&h->roots);
	network_close(&h->network);
	lsmprog_close(&h->lsm);
	recordprog_close(&h->record);
	guardprog_close(&h->guard);
	netpool_fini(&h->net);
	cgroup_host_close(&h->cgroups);
	workspaces_fini(&h->workspaces);
	seccomp_program_fini(&h->seccomp);
	h->registry = runtime_registry_free(h->registry);
	h->signer = signer_close(h->signer);
	fd_cleanup(&h->bootstrap);
	fd_cleanup(&h->mount_ns);
	fd_cleanup(&h->run);
	fd_cleanup(&h->null);
}

static int slot_namespaces(struct host *h, uint32_t slot)
{
	const struct host_options *o = &h->options;
	struct slot *s = &h->slots[slot];
	uid_t id = o->slot_base + slot;
	int r = 0;
	if (s->user_ns < 0)
		r = userns_make(LAUNCH_UID, LAUNCH_UID, id, id, true, &s->user_ns);
	if (r == 0 && s->idmap_ns < 0)
		r = userns_make(o->uid, o->gid, id, id, false, &s->idmap_ns);
	return err_trace(r);
}

int host_slot_take(struct host *h, uint32_t *ret_slot)
{
	for (uint32_t i = 0; i < h->options.slot_count; i++) {
		if (h->slots[i].taken)
			continue;
		int r = slot_namespaces(h, i);
		if (r < 0)
			return err_trace(r);
		h->slots[i].taken = true;
		*ret_slot = i;
		return 0;
	}
	return err_raise(-EBUSY, "all %u sandbox slots are taken", h->options.slot_count);
}

int host_slot_claim(struct host *h, uint32_t slot)
{
	if (slot >= h->options.slot_count)
		return err_raise(-ERANGE, "slot %u of %u", slot, h->options.slot_count);
	if (h->slots[slot].taken)
		return err_raise(-EBUSY, "slot %u is taken twice", slot);
	h->slots[slot].taken = true;
	return 0;
}

void host_slot_give_back(struct host *h, uint32_t slot)
{
	CHECK(slot < h->options.slot_count && h->slots[slot].taken);
	h->slots[slot].taken = false;
}

uint64_t host_socket_cookie(int fd)
{
	uint64_t cookie = 0;
	socklen_t n = sizeof(cookie);
	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &n) == 0 ? cookie : 0;
}
