/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What aegisd and the helper say to each other, private to this room: packets on a SOCK_SEQPACKET
 * Unix socket, structs of fixed size without padding, in the machine's byte order (both ends are
 * one build: the version must be equal). A request carries no descriptor; a reply may.
 *
 * wire_check() is the gate: pure, and the only code of the helper that looks at bytes from aegisd
 * before their meaning is settled. Whatever it does not let through ends the connection.
 */
#pragma once

#include "bpf/net/net_api.h"
#include "daemon/helper/helper.h"

enum {
	WIRE_MAGIC = 0x41474831, /* "AGH1" */
	WIRE_VERSION = 9, /* changes with every change of this header */
	HELPER_LIMIT_UNDERWAY = 1,
	WIRE_MESSAGE_BYTES = 232,
	WIRE_FDS_MAX = NET_MAPS,
	WIRE_LIST_MAX = 64, /* sandboxes in one reply; ask again after the last id */
	WIRE_ARGS_MAX = 4096, /* argc + envc */
	WIRE_PACKET_MAX = HELPER_ARGV_BYTES_MAX + HELPER_ENV_BYTES_MAX + 4096,
};

enum wire_type {
	WIRE_HELLO = 1,
	WIRE_WORKSPACE_OPEN,
	WIRE_WORKSPACE_REMOVE,
	WIRE_SANDBOX_CREATE,
	WIRE_SANDBOX_STOP,
	WIRE_SANDBOX_RELEASE,
	WIRE_SANDBOX_LIST,
	WIRE_SANDBOX_GET,
	WIRE_LISTENER_GET,
	WIRE_CALL_OPEN,
	WIRE_CALL_CLOSE,
	WIRE_CALL_LIST,
	WIRE_PUBLIC_KEY,
	WIRE_SIGN_HEAD,
	WIRE_LAST_HEAD,
	WIRE_NETWORK_OPEN,
	WIRE_RESOLVER_GET,
	WIRE_LSM_OPEN,
	WIRE_RECORD_OPEN,
	WIRE_GUARD_OPEN,
	WIRE_FILES_MOUNT,
	WIRE_FILES_GET,
	WIRE_SANDBOX_BEGIN,
	WIRE_WORKSPACE_OBJECT,
	WIRE_WORKSPACE_LIMIT,
	WIRE_TYPE_END,
	WIRE_REPLY = 0x8000, /* set in the type of a reply */
	WIRE_EVENT = 0x4000, /* an event: type WIRE_EVENT | enum helper_event.kind, request 0 */
};

struct wire_header {
	uint32_t magic;
	uint16_t version;
	uint16_t type;
	uint32_t bytes; /* of the whole packet */
	uint32_t reserved; /* 0 */
	uint64_t request; /* chosen by aegisd, repeated in the reply; not 0 */
};

/* ---- requests ---- */

struct wire_plain { /* HELLO, PUBLIC_KEY, NETWORK_OPEN, LSM_OPEN, RECORD_OPEN, GUARD_OPEN */
	struct wire_header header;
};

struct wire_execution { /* WORKSPACE_OPEN, WORKSPACE_REMOVE */
	struct wire_header header;
	struct uuid execution;
};

/* SANDBOX_RELEASE, SANDBOX_GET, SANDBOX_BEGIN, LISTENER_GET, CALL_LIST, RESOLVER_GET, FILES_GET */
struct wire_target {
	struct wire_header header;
	uint64_t id;
	struct uuid execution;
};

struct wire_stop {
	struct wire_header header;
	uint64_t id;
	struct uuid execution;
	uint32_t how; /* enum helper_stop */
	uint32_t reserved;
};

struct wire_call { /* CALL_OPEN (rest 0), CALL_CLOSE */
	struct wire_header header;
	uint64_t id;
	struct uuid execution;
	struct uuid call;
	uint32_t rest; /* enum helper_call_rest */
	uint32_t reserved;
};

struct wire_object { /* WORKSPACE_OBJECT */
	struct wire_header header;
	struct uuid execution;
	uint32_t handle_type;
	uint32_t handle_bytes; /* 1..HELPER_HANDLE_BYTES */
	uint8_t handle[HELPER_HANDLE_BYTES];
};

struct wire_limit { /* WORKSPACE_LIMIT; code HELPER_LIMIT_UNDERWAY: ask again in a moment */
	struct wire_header header;
	struct uuid execution;
	uint64_t bytes; /* HELPER_IMAGE_BYTES_MIN..HELPER_IMAGE_BYTES_MAX */
	uint64_t inodes; /* 0: as many as suit the size; at most HELPER_IMAGE_INODES_MAX */
};

struct wire_mount { /* FILES_MOUNT */
	struct wire_header header;
	uint64_t id;
	struct uuid execution;
	struct uuid volume;
	uint32_t read_only; /* 0, 1 */
	uint32_t reserved;
	char tenant[HELPER_TENANT_BYTES]; /* [a-z0-9._-]+, NUL-padded to the end */
};

struct wire_list {
	struct wire_header header;
	uint64_t after; /* list ids greater than this */
};

struct wire_limits {
	uint64_t memory_bytes;
	uint64_t tmp_bytes;
	uint64_t file_bytes;
	uint32_t cpu_millis;
	uint32_t pids;
	uint32_t open_files;
	uint32_t reserved;
};

struct wire_place {
	struct uuid volume;
	uint32_t read_only; /* 0, 1 */
	uint32_t reserved; /* 0 */
	char at[HELPER_PLACE_BYTES]; /* relative, NUL-padded to the end */
};

/* Behind it argv_bytes + env_bytes bytes: argc strings, then envc strings, each with its NUL. */
struct wire_create {
	struct wire_header header;
	struct uuid execution;
	uint32_t iteration;
	uint32_t argc;
	uint32_t envc;
	uint32_t argv_bytes;
	uint32_t env_bytes;
	uint32_t network_policy; /* number of a policy that was entered; 0: no network */
	uint32_t files; /* enum helper_files */
	uint32_t read_only; /* its workspace, where that is bound in; 0 or 1 */
	uint32_t file_policy; /* number of a policy that was entered; 0: none */
	uint32_t strict; /* its recording is; 0 or 1 */
	struct uuid workspace;
	struct wire_limits limits;
	char runtime[HELPER_RUNTIME_BYTES]; /* [a-z0-9._-]+, NUL-padded to the end */
	uint32_t place_count; /* the others are zero */
	uint32_t reserved; /* 0 */
	struct wire_place places[HELPER_PLACES_MAX];
};

struct wire_sign {
	struct wire_header header;
	struct head head;
};

struct wire_journal {
	struct wire_header header;
	struct uuid journal;
};

/* ---- replies and events ---- */

struct wire_reply {
	struct wire_header header;
	int32_t code; /* 0, a positive outcome, or a negative errno with its message */
	uint32_t count; /* of the items behind, where there are several */
	char message[WIRE_MESSAGE_BYTES];
};

struct wire_info { /* HELLO */
	uint64_t instance;
	uint32_t cgroup_mode;
	uint32_t landlock_abi;
	uint32_t sandboxes_max;
	uint32_t network_pool;
};

struct wire_usage { /* CALL_CLOSE */
	uint64_t cpu_us;
	uint64_t memory_peak_bytes;
	uint64_t oom_kills;
};

/* SANDBOX_CREATE (with listener, pidfd, log and, over NFS, files), _GET, _LIST, events */
struct wire_sandbox {
	uint64_t id;
	uint64_t cgroup_id;
	struct uuid execution;
	uint32_t iteration;
	uint32_t state;
	uint32_t end;
	int32_t end_status;
	int32_t pid;
	uint32_t network; /* 1: it has a link */
	uint32_t uid;
	uint32_t files; /* enum helper_files */
	struct wire_usage usage;
};

struct wire_call_item { /* CALL_LIST; CALL_OPEN sends one */
	struct uuid call;
	uint64_t cgroup_id;
};

struct wire_event {
	struct wire_header header;
	struct wire_sandbox sandbox;
};

_Static_assert(RECORD_MAPS + RECORD_HOOKS <= WIRE_FDS_MAX, "room for all");
_Static_assert(sizeof(struct wire_header) == 24, "no padding");
_Static_assert(sizeof(struct wire_target) == 24 + 24, "no padding");
_Static_assert(sizeof(struct wire_stop) == 24 + 32, "no padding");
_Static_assert(sizeof(struct wire_call) == 24 + 48, "no padding");
_Static_assert(sizeof(struct wire_object) == 24 + 16 + 8 + 64, "no padding");
_Static_assert(sizeof(struct wire_limit) == 24 + 16 + 16, "no padding");
_Static_assert(sizeof(struct wire_mount) == 24 + 24 + 16 + 8 + 64, "no padding");
_Static_assert(sizeof(struct wire_limits) == 40, "no padding");
_Static_assert(sizeof(struct wire_place) == 16 + 8 + HELPER_PLACE_BYTES, "no padding");
_Static_assert(sizeof(struct wire_create) ==
		24 + 16 + 40 + 16 + 40 + 64 + 8 + HELPER_PLACES_MAX * sizeof(struct wire_place),
	"no padding");
_Static_assert(sizeof(struct wire_sign) == 24 + 96, "no padding");
_Static_assert(sizeof(struct head_signed) == 168, "no padding");
_Static_assert(sizeof(struct wire_reply) == 264, "no padding");
_Static_assert(sizeof(struct wire_info) == 24, "no padding");
_Static_assert(sizeof(struct wire_sandbox) == 88, "no padding");
_Static_assert(sizeof(struct wire_call_item) == 24, "no padding");

/* ---- the gate ---- */

enum wire_permission {
	WIRE_FIRST = 1, /* once, as the first request of a connection */
	WIRE_AFTER_HELLO = 2,
};

struct wire_rule {
	const char *name; /* NULL: no such type */
	enum wire_permission permission;
	uint32_t bytes; /* of the fixed part */
	uint32_t tail_max; /* bytes that may follow */
	int (*check)(const void *packet, size_t bytes); /* of its fields; NULL: none but the ids */
};

/* The rule of a packet that keeps all rules, else -EPROTO with the reason. `greeted` says whether
 * HELLO has been taken; `fds` how many descriptors came along. `packet` is aligned for uint64_t. */
int wire_check(const void *packet, size_t bytes, int fds, bool greeted,
	const struct wire_rule **ret_rule) MUST_USE;
const struct wire_rule *wire_rule(unsigned type); /* NULL if there is none */

/* -ERANGE that names the field and what would be accepted. */
int wire_check_limits(const struct wire_limits *l) MUST_USE;

/* `bytes` at `p` are exactly `count` strings, each ended by its only NUL. */
bool wire_strings_ok(const char *p, size_t bytes, uint32_t count);

/* "NAME=value" with a NAME of letters, digits and underscores, not beginning with a digit. */
bool wire_variable_ok(const char *s);
bool wire_name_ok(const char *name, size_t bytes); /* [a-z0-9._-]+, NUL-padded to `bytes` */
/* A relative path without empty components, "." and "..", NUL-padded to `bytes`. */
bool wire_place_ok(const char *at, size_t bytes);

struct helper_sandbox wire_sandbox_out(const struct wire_sandbox *w);
struct wire_sandbox wire_sandbox_in(const struct helper_sandbox *s);
