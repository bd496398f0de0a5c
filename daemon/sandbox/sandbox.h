/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Sandboxes, as the flows see them: one interface, a driver for each kind behind it. A sandbox is
 * one iteration of one execution: made fresh, ended, read out, let go. The /workspace belongs to
 * the execution and outlives it (decisions, [9]).
 *
 * A driver and its sandboxes belong to the worker that opened the driver. Everything a sandbox is
 * made of survives this process; after a restart sandbox_list tells what is there, and
 * sandbox_adopt takes it up again [4].
 *
 * Outcomes that are not 0, of every function: -ENOTCONN when the power behind the driver (the
 * helper) stayed away until the deadline; -EOPNOTSUPP when this host lacks something, with words;
 * -ENOENT, -ERANGE, -E2BIG name the field that is at fault.
 */
#pragma once

#include "daemon/confine/confine.h"
#include "daemon/rt/rt.h"
#include "daemon/sandbox/snapshot.h"
#include "daemon/sensor/flows.h"
#include "daemon/sensor/lsm.h"
#include "daemon/sensor/record.h"
#include "daemon/sensor/resolver.h"

/*
 * The durable states (T3). `starting` may hide a sandbox that was made already: a restart looks
 * for it in sandbox_list before it decides between `running` and `failed`.
 */
enum sandbox_state {
	SANDBOX_STARTING,
	SANDBOX_RUNNING,
	SANDBOX_STOPPING, /* asked to end; still alive */
	SANDBOX_ENDED, /* nothing of it is alive; how it ended can be read */
	SANDBOX_RELEASED, /* forgotten by the driver */
	SANDBOX_FAILED, /* never came to life */
	SANDBOX_STATE_COUNT
};
extern const struct state_table sandbox_states;

struct sandbox_driver;
struct sandbox;

struct sandbox_limits {
	uint32_t cpu_millis; /* 1000: one core */
	uint32_t pids;
	uint64_t memory_bytes; /* page cache, /tmp and swap included */
	uint64_t tmp_bytes;
	uint64_t file_bytes; /* longest single file */
	uint32_t open_files;
};

/* A volume below a sandbox's /workspace; a folder of the workspace stands there already. */
struct sandbox_volume {
	struct uuid id; /* of its directory, as that of a workspace */
	bool read_only;
	const char *at; /* relative to /workspace: "data/in" */
};

/*
 * A sandbox whose files are mediated has its workspace mounted over NFS, from a server that the
 * caller runs on a listener of that sandbox's own: whoever connects there is its kernel. The server
 * must go on until the sandbox has ended, because what it wrote is brought back then.
 */
struct sandbox_files {
	struct uuid volume; /* the workspace; exports are /TENANT/VOLUME */
	const char *tenant; /* [a-z0-9._-]+ */
	bool read_only;
	/* Begins to serve; `listener` is taken, also on failure. To the sandbox, its own files must
	 * belong to `uid` and the same gid. May be called again, if the helper died meanwhile: with
	 * another listener. */
	AWAITS int (*serve)(void *ctx, int listener, uint32_t uid);
	void *ctx;
};

struct sandbox_spec {
	struct uuid execution;
	uint32_t iteration; /* from 1 */
	bool strict; /* whoever in it does what cannot be recorded is killed; -EOPNOTSUPP where the
			kernel does not record */
	struct span language; /* of the manifest; the runtime registry decides */
	struct span version;
	struct sandbox_limits limits;
	const char *prompt; /* of the built-in agent, aegis-bootstrap */
	char *const
		*program; /* the agent's own program instead, NULL-ended; a script is given to the
			     language's interpreter, with the prompt as last argument. NULL: none */
	bool stdio; /* standard input and output of `program` are the first connection that comes
		       from `listener`; the program's end is the end of the sandbox, and what it
		       last wrote to standard error comes from `log` */
	uint16_t serves; /* with `stdio`: the port of its own loopback that `program` listens on;
			    each further connection from `listener` leads there, and only waits for
			    the first byte. 0: none */
	char *const *env; /* "NAME=value", NULL-ended: on top of sandbox_base_env; may be NULL */
	const struct kernel_rules *network; /* whom it may talk to, from its first instruction on;
					       NULL or no rules: its own loopback alone */
	bool network_in_calls; /* even if it has no rules: some call may (sandbox_call_set_rules) */
	const struct lsm_table *paths; /* what sandbox_lower_paths() made, from its first
					  instruction on; NULL or empty: nothing is said */
	const struct sandbox_files *files; /* NULL: its workspace's directory is bound in */
	struct uuid workspace; /* that directory's name, see below; nil: the execution's own */
	bool read_only; /* the directory, where it is bound in */
	const struct sandbox_volume *volumes; /* mounted or bound as the workspace is; none inside
						 another */
	size_t volume_count; /* at most LIMIT_VOLUME_MOUNTS */
};

struct sandbox_usage {
	uint64_t cpu_us;
	uint64_t memory_peak_bytes; /* 0 where the kernel does not tell */
	uint64_t oom_kills;
};

enum sandbox_end {
	SANDBOX_END_EXITED = 1, /* status: exit status of the agent */
	SANDBOX_END_KILLED = 2, /* status: signal */
	SANDBOX_END_UNKNOWN = 3, /* it ended while nobody was there to see how */
};

struct sandbox_ending {
	enum sandbox_end how;
	int status;
	struct sandbox_usage usage;
};

/* What is there, with or without a `struct sandbox` of this process. */
struct sandbox_entry {
	uint64_t id; /* of the driver's */
	struct uuid execution;
	uint32_t iteration;
	bool alive;
};

enum sandbox_stop_how {
	SANDBOX_TERMINATE, /* SIGTERM to the agent's program */
	SANDBOX_KILL, /* every process of it, at once */
	SANDBOX_ABANDON, /* likewise; nobody serves its files, and what it has not written back is
			    dropped */
};

/* Outcome: processes of the call were still there and were killed, or kept as asked [6]. */
#define SANDBOX_CALL_HAD_REST 1

/* Rules about files and programs, to be looked up in a runtime. */
struct sandbox_paths {
	struct span language, version; /* as in struct sandbox_spec */
	bool own_program; /* the agent brings one, which the runtime's interpreter runs */
	const struct kernel_rules *rules;
	struct offload *offload; /* looks through the runtime's files */
	struct arena *arena; /* for what comes of it */
};

/* What holds within a dispatched call, instead of what holds outside of calls. */
struct sandbox_call_rules {
	const struct kernel_rules *network; /* all of them, those of outside included */
	struct span tool, program; /* of the call: for records */
	bool own; /* policy says something else in it than outside; if not, these only replace what
		     the call has of its own */
	int64_t lasts_ms; /* what it permits ends then, by the kernel's clock, whoever is alive */
	bool again; /* the call was dispatched by a former daemon: its time goes on */
};

/* The operations of a kind. All AWAIT. `s` is as the driver's start or adopt made it. */
struct sandbox_ops {
	const char *kind; /* "process" */
	int (*start)(struct sandbox_driver *d, const struct sandbox_spec *spec,
		struct sandbox **ret, int64_t deadline_ns);
	int (*list)(struct sandbox_driver *d, struct sandbox_entry **ret, size_t *ret_count,
		int64_t deadline_ns);
	int (*adopt)(struct sandbox_driver *d, const struct sandbox_entry *e, struct sandbox **ret,
		int64_t deadline_ns);
	int (*call_open)(
		struct sandbox *s, struct uuid call, uint64_t *ret_identity, int64_t deadline_ns);
	int (*call_close)(struct sandbox *s, struct uuid call, bool keep_rest,
		struct sandbox_usage *ret, int64_t deadline_ns);
	int (*stop)(struct sandbox *s, enum sandbox_stop_how how, int64_t deadline_ns);
	int (*wait)(struct sandbox *s, struct sandbox_ending *ret, int64_t deadline_ns);
	int (*release)(struct sandbox *s, int64_t deadline_ns);
	int (*workspace_open)(
		struct sandbox_driver *d, struct uuid execution, int *ret_fd, int64_t deadline_ns);
	int (*workspace_remove)(
		struct sandbox_driver *d, struct uuid execution, int64_t deadline_ns);
	void (*forget)(struct sandbox *s); /* frees the memory; the sandbox itself goes on */
	void (*close)(struct sandbox_driver *d);
	int (*set_network)(struct sandbox *s, const struct kernel_rules *rules,
		int64_t deadline_ns); /* NULL: this kind has no network */
	int (*files_open)(struct sandbox *s, int *ret_listener, uint32_t *ret_uid,
		int64_t deadline_ns); /* NULL: this kind mediates none */
	int (*workspace_object)(struct sandbox_driver *d, struct uuid execution, int type,
		struct span handle, int *ret_fd, int64_t deadline_ns); /* may be NULL */
	int (*workspace_limit)(struct sandbox_driver *d, struct uuid id, uint64_t bytes,
		uint64_t inodes, int64_t deadline_ns); /* NULL: this kind cannot */
	int (*lower_paths)(struct sandbox_driver *d, const struct sandbox_paths *q,
		struct lsm_table *ret, int64_t deadline_ns); /* NULL: nothing decides by paths */
	int (*set_paths)(struct sandbox *s, const struct lsm_table *paths,
		int64_t deadline_ns); /* NULL likewise */
	bool (*holds)(const struct sandbox *s, pid_t pid); /* NULL: this kind cannot tell */
	int (*call_set_rules)(struct sandbox *s, struct uuid call, uint64_t identity,
		const struct sandbox_call_rules *rules,
		int64_t deadline_ns); /* NULL: this kind has no network */
	int (*call_end_rights)(struct sandbox *s, struct uuid call); /* NULL likewise */
};

/* A driver embeds these two. */
struct sandbox_driver {
	const struct sandbox_ops *ops;
};
struct sandbox {
	struct sandbox_driver *driver;
	int state; /* enum sandbox_state; moved by the functions below only */
	struct uuid execution;
	uint32_t iteration;
	uint64_t id;
	uint64_t identity; /* of its cgroup, as kernel events name it */
	int listener; /* accept the agent's connections here: who connects is this execution [7];
			 -1 once it has ended */
	bool mediated; /* its files are: see struct sandbox_files */
	int log; /* what aegis-bootstrap says about itself: read end, non-blocking; -1 if none */
};

/* Opens the workspace too. Fails early, before anything is made, if no runtime serves the language
 * (-ENOENT, with what is installed). The state is `running` when it returns. -EEXIST: a sandbox of
 * that execution and iteration is listed. */
AWAITS int sandbox_start(struct sandbox_driver *d, const struct sandbox_spec *spec,
	struct sandbox **ret, int64_t deadline_ns) MUST_USE;

/* In order of id; *ret is malloc'ed. */
AWAITS int sandbox_list(struct sandbox_driver *d, struct sandbox_entry **ret, size_t *ret_count,
	int64_t deadline_ns) MUST_USE;

/* The state is `running` or `ended`. */
AWAITS int sandbox_adopt(struct sandbox_driver *d, const struct sandbox_entry *e,
	struct sandbox **ret, int64_t deadline_ns) MUST_USE;

/* After sandbox_adopt, if its files are mediated: the listener (the caller's), and what to serve it
 * as, as in struct sandbox_files. -1 if they are not. -ESRCH: it has ended. */
AWAITS int sandbox_files_open(
	struct sandbox *s, int *ret_listener, uint32_t *ret_uid, int64_t deadline_ns) MUST_USE;

/* Gives a dispatched call its identity [6]: the id of its own cgroup, by which kernel events and
 * leases know it. The dispatch reply that names `call` may be sent once this has returned. May be
 * asked again with the same answer. -ESRCH: the sandbox has ended. */
AWAITS int sandbox_call_open(
	struct sandbox *s, struct uuid call, uint64_t *ret_identity, int64_t deadline_ns) MUST_USE;

/* Rules of the call's own, from its next packet on; to be called before it is dispatched, and again
 * when policies change, until it is closed. What they permit ends with their time, or when the call
 * is closed; what they forbid and the sandbox's own rules do not is then forbidden as long as
 * processes of the call are left, whatever later policies say of calls. On failure what held before
 * holds: for a new call, the sandbox's own rules. */
AWAITS int sandbox_call_set_rules(struct sandbox *s, struct uuid call, uint64_t identity,
	const struct sandbox_call_rules *rules, int64_t deadline_ns) MUST_USE;

/* At once, while the call goes on; for one that was cancelled. Needs nobody else. */
AWAITS int sandbox_call_end_rights(struct sandbox *s, struct uuid call) MUST_USE;

/* Ends its rights, those too that a former daemon gave it, then kills what is left of it, unless
 * `keep_rest`: but of at most LIMIT_SANDBOX_KEPT_CALLS calls that need rules of their own when they
 * are over. 0 or SANDBOX_CALL_HAD_REST. A call that is closed already: 0 with a usage of zeros. */
AWAITS int sandbox_call_close(struct sandbox *s, struct uuid call, bool keep_rest,
	struct sandbox_usage *ret, int64_t deadline_ns) MUST_USE;

/* Other rules from the next packet on, for conversations that exist, too. To be called after
 * sandbox_adopt: until then it goes on under the rules of the former daemon, and asks its resolver
 * in vain. Does nothing for a sandbox that was started without network; -EINVAL if it is given
 * rules. */
AWAITS int sandbox_set_network(
	struct sandbox *s, const struct kernel_rules *rules, int64_t deadline_ns) MUST_USE;

/* What the rules come to on the runtime's files as they are now. SANDBOX_PATHS_UNDECIDED, and
 * nothing in *ret: there are rules, and the kernel does not decide by files (no BPF LSM). The
 * errors of lsm_table_make() (daemon/sensor/lsm.h): such a sandbox must not run. */
enum { SANDBOX_PATHS_UNDECIDED = 1 };
AWAITS int sandbox_lower_paths(struct sandbox_driver *d, const struct sandbox_paths *q,
	struct lsm_table *ret, int64_t deadline_ns) MUST_USE;

/* Other rules from the next open or exec on, by one store; on failure the old ones hold. To be
 * called after sandbox_adopt: until then it goes on under those of the former daemon. */
AWAITS int sandbox_set_paths(
	struct sandbox *s, const struct lsm_table *paths, int64_t deadline_ns) MUST_USE;

/* Whether a process that spoke at the sandbox's socket is one of its own, by its cgroup. False also
 * if it is gone. A kind that cannot tell says yes: the socket is then all there is. */
bool sandbox_holds(const struct sandbox *s, pid_t pid);

AWAITS int sandbox_stop(struct sandbox *s, enum sandbox_stop_how how, int64_t deadline_ns) MUST_USE;

/* Until it has ended. May be called again. -ETIME. */
AWAITS int sandbox_wait(
	struct sandbox *s, struct sandbox_ending *ret, int64_t deadline_ns) MUST_USE;

/* Terminates, waits up to `grace_ns`, kills, waits. `grace_ns` < 0: abandons at once. */
AWAITS int sandbox_end(struct sandbox *s, int64_t grace_ns, struct sandbox_ending *ret,
	int64_t deadline_ns) MUST_USE;

/* Frees what the driver keeps of an ended sandbox, and the memory. -EBUSY while it lives. */
AWAITS int sandbox_release(struct sandbox *s, int64_t deadline_ns) MUST_USE;

/* Lets a live sandbox go on without us (the daemon ends). NULL is allowed; always NULL. */
AWAITS struct sandbox *sandbox_forget(struct sandbox *s);

/* A directory descriptor of the /workspace of that name, made if it is not there: the id of an
 * execution, or of a volume. */
AWAITS int sandbox_workspace_open(
	struct sandbox_driver *d, struct uuid execution, int *ret_fd, int64_t deadline_ns) MUST_USE;
/* An O_PATH descriptor of an object in it, by the kernel's handle, wherever it was moved to.
 * -ESTALE: it is gone. -EPERM: it must be looked for; also where this kind cannot tell. */
AWAITS int sandbox_workspace_object(struct sandbox_driver *d, struct uuid execution, int type,
	struct span handle, int *ret_fd, int64_t deadline_ns) MUST_USE;
/* Holds it to a size by the kernel, before it is opened; again for one that is held: 0, and its
 * size stays. -EOPNOTSUPP: this host cannot; -ENOTEMPTY: it has files already; -ERANGE. */
AWAITS int sandbox_workspace_limit(struct sandbox_driver *d, struct uuid id, uint64_t bytes,
	uint64_t inodes, int64_t deadline_ns) MUST_USE;
/* -ENOTEMPTY: empty it first. A workspace that is gone already: 0. */
AWAITS int sandbox_workspace_remove(
	struct sandbox_driver *d, struct uuid execution, int64_t deadline_ns) MUST_USE;

AWAITS struct sandbox_driver *sandbox_driver_close(struct sandbox_driver *d); /* always NULL */

/* ---- kind `process`: namespaces, cgroups, seccomp and Landlock by the helper ---- */

/* Whose it is that the kernel tells of. */
struct sandbox_origin {
	struct uuid execution; /* nil: of a sandbox that is not known */
	struct uuid call; /* nil: of no call, or of one that is not known */
	struct span call_tool; /* of a call that has rules of its own; else empty */
	struct span call_program;
	uint32_t iteration;
	uint64_t identity; /* of the sandbox's cgroup */
};

/* A call was given rules of its own, or they were changed, or what they permit has ended. */
struct sandbox_lease {
	bool opened;
	uint64_t identity; /* of the call's cgroup */
	size_t permits; /* opened: rules that permit, those of outside included */
	int64_t lasts_ms; /* opened: from now on */
	const char *why; /* it ended */
};

/* What the kernel denied to sandboxes and saw them do, and what their resolvers had to say. What is
 * pointed at is valid during the call. */
struct sandbox_network_observer {
	/* The kernel denied something; `policy_id` empty: no rule speaks of it. */
	AWAITS void (*denied)(void *ctx, const struct sandbox_origin *o, const struct net_denial *d,
		struct span policy_id);
	/* `count` things that the kernel denied or saw are reported no other way. */
	AWAITS void (*lost)(
		void *ctx, const struct sandbox_origin *o, uint64_t count, const char *reason);
	AWAITS void (*resolved)(
		void *ctx, const struct sandbox_origin *o, const struct resolver_record *r);
	/* The LSM programs denied something; `policy_id` empty: no rule of a policy did; `path`
	 * empty: no rule names the file. */
	AWAITS void (*lsm_denied)(void *ctx, const struct sandbox_origin *o,
		const struct lsm_denial *d, struct span policy_id, struct span path);
	AWAITS void (*leased)(
		void *ctx, const struct sandbox_origin *o, const struct sandbox_lease *l);
	/* A conversation is over; `name` gave its address, empty: none that is known. */
	AWAITS void (*flow)(void *ctx, const struct sandbox_origin *o, const struct sensor_flow *f,
		struct span name);
	/* All that was reported by the above must be safe when this returns: the kernel gives it
	 * up.
	 */
	AWAITS void (*settle)(void *ctx);
	/* What sandboxes did, in order; each record says whose it is. False: there is no room for
	 * them now, and they shall be told again. */
	AWAITS bool (*recorded)(void *ctx, const struct record_event *const *events, size_t count);
	/* Where in the record the next of them will stand behind: the kernel remembers it before
	 * they are handed over. */
	uint64_t (*position)(void *ctx);
	/* A former daemon had begun with these when it stood at that position; they are handed over
	 * next: what of them is on record behind that is not to be recorded again. False: nothing
	 * is. */
	AWAITS bool (*resumed)(void *ctx, uint64_t position,
		const struct record_event *const *events, size_t count);
	/* All that an ended sandbox did, counted by the kernel; every record of it was reported. */
	AWAITS void (*counted)(
		void *ctx, const struct sandbox_origin *o, const struct record_agent *counters);
	void *ctx;
};

struct helper_link;
struct sandbox_process_options {
	struct helper_link *link;
	const struct runtime_registry *registry;
	const struct resolver_servers *resolvers; /* the node's; NULL: no name can be resolved */
	bool strict; /* every sandbox is */
	struct sandbox_network_observer observer; /* members may be NULL */
};

/* What the options point at must outlive the driver. -ENOMEM. */
int sandbox_process_open(
	const struct sandbox_process_options *o, struct sandbox_driver **ret) MUST_USE;

/* The environment every sandbox begins with: PATH, HOME, LANG, TMPDIR and the like. NULL-ended. */
extern const char *const sandbox_base_env[];
