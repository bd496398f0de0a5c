/* SPDX-License-Identifier: AGPL-3.0-only */
/* Inside of aegisd: what the command line and the configuration decide before the ring starts. */
#pragma once

#include "daemon/api/api.h"
#include "daemon/config/config.h"
#include "daemon/confine/confine.h"
#include "daemon/doctor/doctor.h"
#include "daemon/helper/helper.h"
#include "daemon/policy/policy.h"
#include "daemon/toolserver/toolserver.h"

struct aegisd {
	/* command line */
	const char *config_path; /* NULL: discovered, or the embedded defaults */
	const char *helper_socket;
	const char *runtimes_path;
	const char *socket_path; /* NULL: the configuration's */
	bool no_auth;
	bool drop; /* to uid and gid below */
	uid_t uid;
	gid_t gid;

	/* made before the runtime starts */
	const struct config *config; /* the current snapshot; replaced by SIGHUP */
	/* The snapshot of the start, held to the end: what was opened from it views its texts. */
	const struct config *first_config;
	struct runtime_registry *registry;
	struct resolver_servers resolvers; /* the node's; none: agents can resolve no name */
	struct doctor_report *doctor; /* as root, if aegisd was started by root */
	struct secret *bearer_key;
	char *smcp_keys_path; /* folder of the keys that sign SMCP's tokens */
	char *smcp_workspaces_path; /* folder of the workspaces of clients from outside */
	int exit_code;
};

/* Checks `require:` against the doctor's report. -EPERM with one line per unmet probe logged. */
int aegisd_require(const struct aegisd *d) MUST_USE;

/* The same for a manifest, as an execution_levels; ctx is the struct aegisd. */
bool aegisd_reaches(void *ctx, const struct agent_spec *spec, struct buf *why);

/* Makes the data directory, reads or draws the bearer key (0600). Blocking. */
int aegisd_prepare(struct aegisd *d) MUST_USE;

/* The main fiber: opens everything in order, serves until SIGTERM or SIGINT, closes in reverse.
 * `arg` is the struct aegisd; its exit_code says how it went. */
void aegisd_main(void *arg);

/* ---- parts ---- */

/* The providers and aliases of the configuration; `tls` for https endpoints. */
int models_open(const struct config *c, struct tls_client *tls, struct llm **ret) MUST_USE;

/* The tool servers of the configuration, not started; `with` has everything but them. */
int servers_open(const struct config *c, const struct tool_servers_options *with,
	struct tool_servers **ret) MUST_USE;

/* What has changed in them; the rest goes on. -EINVAL: nothing has changed. `c` must stay. */
AWAITS int servers_reload(const struct config *c, struct tool_servers *s) MUST_USE;

/* Audit heads are signed by the helper; ctx is the link to it. An audit_sign_fn. */
AWAITS int signer_key(struct helper_link *l, uint8_t ret_key[HEAD_PUBLIC_KEY_BYTES],
	int64_t deadline_ns) MUST_USE;
AWAITS int signer_sign(void *ctx, const struct head *head, struct head_signed *ret,
	struct head_signed *ret_last, int64_t deadline_ns) MUST_USE;

/* The file layer, with the key of handles that the data directory keeps. */
int files_open(const struct config *c, struct fsal **ret) MUST_USE;

/* Writes file operations into the journal; ctx is the journal. An fsal_observer. */
AWAITS void record_file(void *ctx, const struct fsal_record *r);

/* What executed files held when they were looked at. */
enum { RECORD_HASHES = 128, RECORD_HASH_BYTES = 32 };
struct record_hash {
	uint32_t device;
	bool known; /* false: it is not a file of the host's, or could not be read */
	uint64_t inode;
	int64_t looked_ns; /* rt_now_ns() */
	int64_t read_ns; /* wall clock */
	uint8_t hash[RECORD_HASH_BYTES]; /* BLAKE2b-256 */
};

/* What the kernel calls one thing that happened. */
struct record_number {
	uint64_t cpu, sequence, boot_time_ns;
};

/* A tool server that is or was in a sandbox of its own. */
struct record_server {
	struct uuid identity; /* the execution of its records */
	char *name;
};

/* Puts what the kernel tells on record: ctx of a sandbox_network_observer, whose members follow. */
struct recorder {
	struct journal *journal;
	struct offload *files; /* reads files */
	const struct config *config; /* that the daemon started with */
	uint64_t begun; /* newest record of the journal when the daemon started */
	struct record_hash hashes[RECORD_HASHES];
	size_t next_hash;
	/* Of the first batch: what a former daemon recorded of it. */
	struct record_number *repeated; /* in order; RECORD_SENSOR_BATCH of them at most */
	size_t repeated_count;
	struct record_server *servers;
	size_t server_count;
	int64_t full_since_ns; /* the disk is full; 0: it is not */
	int64_t full_said_ns, full_pause_ns;
};

AWAITS void record_denial(void *ctx, const struct sandbox_origin *o, const struct net_denial *d,
	struct span policy_id);
AWAITS void record_lsm_denial(void *ctx, const struct sandbox_origin *o, const struct lsm_denial *d,
	struct span policy_id, struct span path);
AWAITS void record_gap(
	void *ctx, const struct sandbox_origin *o, uint64_t count, const char *reason);
AWAITS void record_resolution(
	void *ctx, const struct sandbox_origin *o, const struct resolver_record *r);
AWAITS void record_flow(
	void *ctx, const struct sandbox_origin *o, const struct sensor_flow *f, struct span name);
AWAITS void record_lease(void *ctx, const struct sandbox_origin *o, const struct sandbox_lease *l);
AWAITS void record_settle(void *ctx);

/* The same for what sandboxes did. */
AWAITS bool record_events(void *ctx, const struct record_event *const *events, size_t count);
uint64_t record_position(void *ctx);
AWAITS bool record_resumed(
	void *ctx, uint64_t position, const struct record_event *const *events, size_t count);
/* Of the first batch: it is on record already. */
bool record_is_repeated(const struct recorder *r, const struct record_event *e);
void record_repeat_over(struct recorder *r); /* it is safe; again is allowed */
AWAITS void record_counted(void *ctx, const struct sandbox_origin *o, const struct record_agent *a);

/* Reads the programs among these; then what is known of one: NULL if nothing is. */
AWAITS void record_programs_learn(
	struct recorder *r, const struct record_event *const *events, size_t count);
const struct record_hash *record_program_hash(struct recorder *r, const struct record_exec *e);

/* From now on what the tool servers of the configuration do is theirs by name. */
int record_servers(struct recorder *r, const struct config *c) MUST_USE;
void record_servers_free(struct recorder *r);
/* The member "tool_server", if that is one's. */
void record_server_put(
	const struct recorder *r, struct json_writer *w, const struct uuid *execution);

/* Posts the record with that payload; what cannot be written leaves a gap that says so. */
AWAITS void record_post(struct journal *j, struct audit_record *record, struct buf *payload);

/* The listening sockets. */
enum { DOOR_AUTHORITIES = 8 };
struct doors {
	struct http_server *server;
	struct api_door unix_door;
	struct api_door tcp_door;
	char *unix_path;
	char authority_texts[DOOR_AUTHORITIES][300];
	const char *authorities[DOOR_AUTHORITIES];
	struct tls_server *tls;
};
AWAITS int doors_open(struct doors *s, const struct aegisd *d, struct api *api) MUST_USE;
AWAITS void doors_close(struct doors *s, int64_t deadline_ns);

/* The node's policies at start: a mistake in them ends the start. Their text goes to the store. */
enum { POLICY_FINDINGS_BYTES = 1024 * 1024 };
AWAITS int policy_start(const struct config *c, struct offload *files, struct store *store,
	struct policies **ret) MUST_USE;
/* Loads them again: 0, or POLICY_INVALID with findings, and then what held goes on to hold. Says so
 * in the log; a set that changed is put on record. */
AWAITS int policy_reload(const struct config *c, struct policies *p, struct store *store,
	struct journal *journal, struct buf *findings) MUST_USE;

/* Loads the configuration's file and the certificate again; what fails leaves the old in place.
 * False if the file was refused. *findings: what is wrong with it, and warnings. */
AWAITS bool aegisd_reload(
	struct aegisd *d, struct offload *files, struct tls_server *tls, struct buf *findings);

/* Tells systemd, if it asked (NOTIFY_SOCKET, sd_notify(3)). Best effort. */
void notify_manager(const char *state);
