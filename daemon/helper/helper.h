/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The privileged process, seen from aegisd. The helper is started first, as root; it does what
 * needs root on typed requests (wire.h) and checks each one. It takes no path of the host, no uid
 * and no byte code: only ids of objects that it made, enums, bounded numbers, and the argv and
 * environment meant for a sandbox (ARCHITECTURE.md, "Who holds which power").
 *
 * Either process may die alone. What the helper knows is written on the cgroups themselves, so a
 * restarted helper finds every live sandbox again, and a restarted aegisd asks for their list and
 * their listening sockets. An ended sandbox stays listed, with how it ended, until it is released:
 * no end is lost, events are only the hint to look.
 *
 * Errors of every call: what its comment says; -ENOTCONN when the helper is away (a call that was
 * on its way may or may not have been done: connect again and list); otherwise the helper's own
 * errno with the helper's words in the trail. -EOPNOTSUPP means this host lacks something; the
 * message names it and what would provide it.
 */
#pragma once

#include "bpf/lsm/lsm_api.h"
#include "bpf/net/net_api.h"
#include "bpf/record/record_api.h"
#include "daemon/rt/rt.h"
#include "daemon/audit/audit.h"

struct helper;

enum {
	HELPER_RUNTIME_BYTES = 64, /* name of a runtime in the registry, with the NUL */
	HELPER_SANDBOXES_MAX = 4096, /* alive or not yet released */
	HELPER_CALLS_MAX = 64, /* open at one time in one sandbox */
	HELPER_ARGV_BYTES_MAX = 128 * 1024, /* all arguments, each with its NUL */
	HELPER_ENV_BYTES_MAX = 32 * 1024,
	HELPER_ITERATION_MAX = 1000,
	HELPER_HANDLE_BYTES = 64, /* of a kernel's file handle, at most */
	HELPER_TENANT_BYTES = 64, /* in the path of an export, with the NUL */
	HELPER_PLACES_MAX = LIMIT_VOLUME_MOUNTS,
	HELPER_PLACE_BYTES = LIMIT_VOLUME_PLACE_BYTES, /* with the NUL */
};

enum helper_cgroup_mode {
	HELPER_CGROUP_UNIFIED = 1, /* pure cgroup v2 */
	HELPER_CGROUP_HYBRID = 2, /* v1 controllers beside a v2 hierarchy that has none */
};

/* What this helper found at its start. */
struct helper_info {
	uint64_t instance; /* random: differs after the helper was started again */
	enum helper_cgroup_mode cgroup_mode;
	int landlock_abi; /* 0: the kernel has none */
	uint32_t sandboxes_max; /* uid range and limit */
	uint32_t network_pool; /* prepared network namespaces */
};

/* Connects to the helper's socket. The connection belongs to the calling worker; any number of its
 * fibers may call at once. -EACCES if the socket is not the helper's. */
AWAITS int helper_connect(
	const char *socket_path, struct helper **ret, int64_t deadline_ns) MUST_USE;
AWAITS struct helper *helper_close(struct helper *h); /* always NULL; NULL is allowed */
const struct helper_info *helper_info(const struct helper *h);

/* ---- workspaces ----
 * One is named by the id of its execution, or by that of the volume that an execution works on. */

/* The directory of an execution's /workspace: made at the first call, owned by aegisd's uid, mode
 * 0700. It is carried over between iterations [9]. *ret_fd is a directory descriptor of the
 * caller's. */
AWAITS int helper_workspace_open(
	struct helper *h, struct uuid execution, int *ret_fd, int64_t deadline_ns) MUST_USE;

/* Removes it. The caller has emptied it: -ENOTEMPTY; -EBUSY while a sandbox of that execution is
 * listed, or one of whatever execution lives that has it; -ENOENT. */
AWAITS int helper_workspace_remove(
	struct helper *h, struct uuid execution, int64_t deadline_ns) MUST_USE;

#define HELPER_IMAGE_BYTES_MIN (UINT64_C(256) << 10)
#define HELPER_IMAGE_BYTES_MAX (UINT64_C(16) << 40)
#define HELPER_IMAGE_INODES_MAX (UINT64_C(1) << 31)

/* Makes it a file system of that size [24], if it is not one yet, and sees that it is mounted;
 * before it is opened. One that is there keeps its size. -EOPNOTSUPP: this host cannot;
 * -ENOTEMPTY: it has files already; -ERANGE; -ETIME: making it took longer than
 * LIMIT_VOLUME_MAKING_S. Nobody else waits for the helper meanwhile. */
AWAITS int helper_workspace_limit(struct helper *h, struct uuid id, uint64_t bytes, uint64_t inodes,
	int64_t deadline_ns) MUST_USE;

/* An O_PATH descriptor of an object of that workspace, by the kernel's own handle
 * (name_to_handle_at(2): its type and bytes), wherever it was moved to [20]. -ESTALE: there is no
 * such object; -EPERM: it does not belong to aegisd, does not lie in the workspace, or that cannot
 * be told; -ENOENT: no such workspace. */
AWAITS int helper_workspace_object(struct helper *h, struct uuid execution, int type,
	struct span handle, int *ret_fd, int64_t deadline_ns) MUST_USE;

/* ---- sandboxes ---- */

/* All of them are enforced by the kernel; wall-clock time is aegisd's. -ERANGE names the field. */
struct helper_limits {
	uint32_t cpu_millis; /* 1000: one core; 10..1,024,000 */
	uint32_t pids; /* processes and threads, aegis-bootstrap's included; 2..32,768 */
	uint64_t memory_bytes; /* with page cache and tmpfs, swap excluded; 8 MiB..1 TiB */
	uint64_t tmp_bytes; /* /tmp; at least 4 KiB; counts as memory too */
	uint64_t file_bytes; /* RLIMIT_FSIZE; at least 4 KiB */
	uint32_t open_files; /* RLIMIT_NOFILE; 16..1,048,576 */
};

/* How a sandbox gets its volumes. */
enum helper_files {
	HELPER_FILES_BOUND = 0, /* the directory of its workspace, bound in */
	HELPER_FILES_NFS = 1, /* mounted, so that each operation reaches aegisd: see below */
};

/* A volume below a sandbox's /workspace. */
struct helper_place {
	struct uuid volume; /* opened before, as a workspace is */
	bool read_only;
	const char *at; /* "data/in": a folder that is there, reached without links; no "." or ".."
			 */
};

struct helper_sandbox_spec {
	struct uuid execution; /* its workspace must have been opened before */
	uint32_t iteration; /* 1..HELPER_ITERATION_MAX */
	const char *runtime; /* a name in the root-owned runtime registry: -ENOENT */
	struct helper_limits limits;
	char *const *argv; /* the agent's program, started by aegis-bootstrap; NULL-ended, may be
			      empty */
	char *const *envp; /* "NAME=value", NULL-ended */
	uint32_t network_policy; /* 0: loopback only; else a policy that was entered into the maps
				    of helper_network_open: it decides from the first packet on */
	uint32_t file_policy; /* 0: none; else a policy that was entered into the maps of
				 helper_lsm_open: it decides from the first instruction on */
	enum helper_files files;
	struct uuid
		workspace; /* whose directory is bound in: opened before; nil: the execution's */
	bool read_only; /* its workspace, where it is bound in */
	bool strict; /* whoever does what cannot be recorded is killed: -EOPNOTSUPP where the
			kernel does not record */
	const struct helper_place *places; /* none inside another */
	size_t place_count; /* at most HELPER_PLACES_MAX */
};

enum helper_sandbox_state {
	HELPER_SANDBOX_RUNNING = 1,
	HELPER_SANDBOX_ENDED = 2, /* nothing of it is alive; listed until released */
};

enum helper_end {
	HELPER_END_NONE = 0, /* running */
	HELPER_END_EXITED = 1, /* end_status: exit status of aegis-bootstrap */
	HELPER_END_KILLED = 2, /* end_status: signal number */
	HELPER_END_UNKNOWN = 3, /* it ended while no helper was there to see how */
};

struct helper_usage {
	uint64_t cpu_us;
	uint64_t memory_peak_bytes; /* 0 where the kernel does not tell */
	uint64_t oom_kills;
};

struct helper_sandbox {
	uint64_t id; /* never used twice while the host is up */
	uint64_t cgroup_id; /* of its cgroup in the v2 hierarchy, as BPF programs see it */
	struct uuid execution;
	uint32_t iteration;
	enum helper_sandbox_state state;
	enum helper_end end;
	int end_status;
	pid_t pid; /* of aegis-bootstrap, as the host sees it; for messages only */
	bool network; /* it has a link to the outside */
	uid_t uid; /* and gid, of its processes on the host */
	enum helper_files files;
	struct helper_usage usage; /* final once ended */
};

/* Descriptors of a sandbox, the caller's to close; -1 where there is none. */
struct helper_sandbox_fds {
	int listener; /* accept the sandbox's connections here: whoever connects is this execution
		       */
	int pidfd; /* of aegis-bootstrap: readable when it has ended */
	int log; /* what aegis-bootstrap and nobody else writes to its stderr: read end,
		    non-blocking */
	int files; /* HELPER_FILES_NFS: serve its files here; whoever connects is its kernel */
};
void helper_sandbox_fds_close(struct helper_sandbox_fds *fds);

/* Makes and starts a sandbox; when it returns, aegis-bootstrap runs, confined (launch.h says what
 * it finds). -EBUSY no uid slot is left, or a sandbox of another execution lives that may write to
 * a volume as this one may, -EEXIST a sandbox of that execution and iteration is still listed,
 * -ENOENT runtime, workspace or place, -E2BIG argv, environment or places, -EOPNOTSUPP. */
AWAITS int helper_sandbox_create(struct helper *h, const struct helper_sandbox_spec *spec,
	struct helper_sandbox *ret, struct helper_sandbox_fds *ret_fds,
	int64_t deadline_ns) MUST_USE;

enum helper_stop {
	HELPER_STOP_TERMINATE = 1, /* SIGTERM to aegis-bootstrap, which forwards it */
	HELPER_STOP_KILL = 2, /* every process of the sandbox, by its cgroup; cannot be escaped */
	HELPER_STOP_ABANDON = 3, /* likewise, and its files are served no more: what it has not
				    written back is dropped */
};
AWAITS int helper_sandbox_stop(struct helper *h, uint64_t id, struct uuid execution,
	enum helper_stop how, int64_t deadline_ns) MUST_USE; /* -ENOENT; ended already: 0 */

/* Forgets an ended sandbox and frees its slot. -EBUSY while it runs. */
AWAITS int helper_sandbox_release(
	struct helper *h, uint64_t id, struct uuid execution, int64_t deadline_ns) MUST_USE;

/* Everything that is listed, in order of id; *ret is malloc'ed. */
AWAITS int helper_sandbox_list(struct helper *h, struct helper_sandbox **ret, size_t *ret_count,
	int64_t deadline_ns) MUST_USE;
AWAITS int helper_sandbox_get(struct helper *h, uint64_t id, struct uuid execution,
	struct helper_sandbox *ret, int64_t deadline_ns) MUST_USE; /* -ENOENT */

/* The same listener and pidfd again, for an aegisd that was restarted; log is -1. Connections that
 * came meanwhile wait in the listener's queue. -ENOENT, -ESRCH if it has ended. */
AWAITS int helper_listener_get(struct helper *h, uint64_t id, struct uuid execution,
	struct helper_sandbox_fds *ret, int64_t deadline_ns) MUST_USE;

/*
 * ---- files over NFS ----
 *
 * A sandbox of HELPER_FILES_NFS has a transport: a network namespace of its own that nothing but
 * the kernel's NFS client and one listener live in. The sandbox never enters it, so whoever
 * connects there is that sandbox's kernel, with no network of the sandbox's involved.
 *
 * helper_sandbox_create makes it and the transport, and returns before the program starts. The
 * caller serves `fds.files`, has the volumes mounted (which asks the server), and begins it; if the
 * connection to the helper is lost before that, the sandbox goes.
 *
 * The mounts are hard: while nobody serves the listener, the sandbox's file operations wait. When
 * the sandbox has ended, what it wrote is brought back through the listener before the end is told,
 * so the caller serves until then. If it cannot, because it is not connected, has not fetched the
 * listener on this connection, or has abandoned the sandbox, the helper answers NFS3ERR_STALE to
 * everything in its place, so that no process, mount or namespace is left behind.
 */

/* Mounts the export `/TENANT/VOLUME` of its listener on /workspace, or, if a place of its spec has
 * that volume, there; nosuid, nodev, and nothing in the sandbox can change that, because it owns
 * neither its mount namespace nor any capability. All of them, before it is begun.
 * `tenant`: [a-z0-9._-]+. -EINVAL: of another kind, or begun. -EALREADY: it has been mounted.
 * -ESRCH: it has ended.
 * -EOPNOTSUPP: this kernel has no NFS client. -ETIMEDOUT: the listener is not served. */
AWAITS int helper_files_mount(struct helper *h, uint64_t id, struct uuid execution,
	struct uuid volume, const char *tenant, bool read_only, int64_t deadline_ns) MUST_USE;

/* Starts its program. As helper_sandbox_create; -EINVAL: begun, or without a workspace. -ESRCH: it
 * has ended; its end is told as any other's. */
AWAITS int helper_sandbox_begin(
	struct helper *h, uint64_t id, struct uuid execution, int64_t deadline_ns) MUST_USE;

/* The listener again, for an aegisd that was restarted. -EINVAL: its files are bound in.
 * -EBUSY: the former aegisd still listens. -ESRCH: nothing of it is left. */
AWAITS int helper_files_get(struct helper *h, uint64_t id, struct uuid execution, int *ret_listener,
	int64_t deadline_ns) MUST_USE;

/* ---- network ---- */

/* Loads the network programs (once) and gives the descriptors of their maps, in the order of enum
 * net_map: bpf/net/net_api.h. The caller's to close. -EOPNOTSUPP says which option of the helper or
 * which feature of the kernel is missing: sandboxes then have loopback only. */
AWAITS int helper_network_open(
	struct helper *h, int ret_maps[NET_MAPS], int64_t deadline_ns) MUST_USE;

/* Sockets on which a sandbox's questions to its resolver arrive (UDP; listening TCP). For one
 * resolver at a time. -ENOENT, -EINVAL if it has no network. */
AWAITS int helper_resolver_get(struct helper *h, uint64_t id, struct uuid execution, int *ret_udp,
	int *ret_tcp, int64_t deadline_ns) MUST_USE;

/* ---- LSM programs ---- */

/* The descriptors of their maps, in the order of enum lsm_map: bpf/lsm/lsm_api.h. The caller's to
 * close. They stay the same until the helper is another instance. -EOPNOTSUPP: this kernel has no
 * BPF LSM. */
AWAITS int helper_lsm_open(struct helper *h, int ret_maps[LSM_MAPS], int64_t deadline_ns) MUST_USE;

/* ---- recording programs ---- */

/* The descriptors of their maps, in the order of enum record_map, and of the links by which they
 * hang: bpf/record/record_api.h. The caller's to close; while it holds the links, recording goes on
 * without the helper. From here on they hang. -EOPNOTSUPP: this kernel cannot record. */
AWAITS int helper_record_open(
	struct helper *h, int ret_fds[RECORD_MAPS + RECORD_HOOKS], int64_t deadline_ns) MUST_USE;

/* The ring in which the guard of the cgroups (bpf/lsm/lsm_api.h) says who left, and the map of what
 * it had no room for. The caller's to close; they stay the same until the helper is another
 * instance. -EOPNOTSUPP: this kernel has no tracepoints for it. */
AWAITS int helper_guard_open(
	struct helper *h, int *ret_ring, int *ret_losses, int64_t deadline_ns) MUST_USE;

/* ---- dispatched calls [6] ---- */

/* Makes the call's own cgroup below the sandbox's and gives aegis-bootstrap the descriptor to join
 * it with. Once this has returned the dispatch reply may name the call. May be done ahead of
 * time. *ret_cgroup_id is the call's identity in kernel events. -EEXIST, -ENOENT, -EMFILE beyond
 * HELPER_CALLS_MAX, -ESRCH if the sandbox has ended. */
AWAITS int helper_call_cgroup_open(struct helper *h, uint64_t id, struct uuid execution,
	struct uuid call, uint64_t *ret_cgroup_id, int64_t deadline_ns) MUST_USE;

enum helper_call_rest {
	HELPER_CALL_KILL = 1, /* what is left in it is killed */
	HELPER_CALL_KEEP =
		2, /* background work lives on, in a cgroup of that name, until the sandbox ends */
};

/* Positive outcome: processes were left in it (killed or kept, as asked). */
#define HELPER_CALL_HAD_REST 1
AWAITS int helper_call_cgroup_close(struct helper *h, uint64_t id, struct uuid execution,
	struct uuid call, enum helper_call_rest rest, struct helper_usage *ret_usage,
	int64_t deadline_ns) MUST_USE;

/* The calls whose cgroups are open, for an aegisd that was restarted; *ret is malloc'ed. */
struct helper_call {
	struct uuid call;
	uint64_t cgroup_id;
};
AWAITS int helper_call_list(struct helper *h, uint64_t id, struct uuid execution,
	struct helper_call **ret, size_t *ret_count, int64_t deadline_ns) MUST_USE;

/* ---- events ---- */

struct helper_event {
	enum { HELPER_EVENT_SANDBOX_ENDED = 1 } kind;
	struct helper_sandbox sandbox;
};

/* The next event. -ENOTCONN when the helper is away. If events come faster than they are fetched
 * the oldest are dropped; helper_sandbox_list has the truth. One fiber at a time. */
AWAITS int helper_event_next(
	struct helper *h, struct helper_event *ret, int64_t deadline_ns) MUST_USE;

/* ---- audit heads [3]: daemon/audit/head.h says what is signed ---- */

AWAITS int helper_public_key(
	struct helper *h, uint8_t ret_key[HEAD_PUBLIC_KEY_BYTES], int64_t deadline_ns) MUST_USE;

/* Signs a head that extends the journal's last signed one: *ret is durable before it is returned.
 * The head that was signed last may be asked for again (same answer). -ESTALE if it does not
 * extend it: ret_last (NULL allowed) then holds the last one. */
AWAITS int helper_sign_head(struct helper *h, const struct head *head, struct head_signed *ret,
	struct head_signed *ret_last, int64_t deadline_ns) MUST_USE;

/* The last signed head of a journal; -ENOENT if none was ever signed. */
AWAITS int helper_last_head(struct helper *h, struct uuid journal, struct head_signed *ret,
	int64_t deadline_ns) MUST_USE;

/* ---- one connection for everybody ---- */

/*
 * The helper accepts one aegisd, on one connection. A link is that connection, shared by the parts
 * of a daemon that need the helper (fibers of one worker) and made again when it was lost.
 */
struct helper_link;
int helper_link_new(
	const char *socket_path, struct helper_link **ret) MUST_USE; /* -ENAMETOOLONG, -ENOMEM */
AWAITS struct helper_link *helper_link_free(struct helper_link *l); /* no call may be under way */

/* Each request is a struct that begins with this. */
struct helper_request {
	AWAITS int (*fn)(struct helper *h, struct helper_request *q, int64_t deadline_ns);
	bool repeated; /* an earlier attempt may have been carried out */
};

/* Runs q->fn over the connection, and again over a new one if the helper went away meanwhile.
 * -ENOTCONN: it stayed away until the deadline. */
AWAITS int helper_ask(
	struct helper_link *l, struct helper_request *q, int64_t deadline_ns) MUST_USE;
