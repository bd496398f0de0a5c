/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The load generator: a client over nfs/rpc's codecs that keeps a number of calls under way on a
 * number of connections, and verifies every reply: handles, attributes, every byte that is read,
 * and at the end every byte that was written.
 */
#pragma once

#include "nfs/rpc/mount.h"
#include "nfs/rpc/nfs3.h"

enum { LOAD_CALL_BYTES = 512, LOAD_FILES = 64, LOAD_DIR_ENTRIES = 64 };

struct load_file {
	char handle[NFS3_HANDLE_BYTES];
	size_t handle_bytes;
	uint64_t fileid;
};

enum load_op {
	LOAD_NULL,
	LOAD_GETATTR,
	LOAD_LOOKUP,
	LOAD_ACCESS,
	LOAD_READ,
	LOAD_WRITE,
	LOAD_CREATE,
	LOAD_REMOVE,
	LOAD_READDIRPLUS,
	LOAD_OP_COUNT,
};
extern const char *const load_op_names[LOAD_OP_COUNT];

struct load {
	const char *host;
	int port;
	int mount_port;
	const char *export_path;
	enum load_op op;
	uint32_t size; /* of a READ or WRITE */
	int connections;
	int depth;
	double seconds;
	double rate; /* calls a second; 0: as many as the server answers */
	int pid; /* of the server; 0: unknown */
	uint32_t first_xid; /* differs from run to run: servers remember calls by it */
	bool echo; /* the peer answers with replies of the right size and no content */
	struct load_file root;
	struct load_file dir; /* everything is made in it */
	struct load_file files[LOAD_FILES]; /* each of `file_bytes` of pattern */
	uint64_t file_bytes;
	uint64_t made; /* names c0... that exist */
};

/* What one call was about. */
struct load_call {
	int64_t sent_ns;
	bool answered;
	uint64_t number; /* counts the calls of the run */
	uint32_t xid;
	uint32_t file;
	uint64_t offset;
};

/* ---- ops.c ---- */

/* Writes call `c` with its record mark; WRITE's data follows it in the same room. Returns bytes. */
size_t load_build(const struct load *l, struct load_call *c, char *room, size_t cap);
/* Exits with a message if the reply is not the right one. */
void load_verify(const struct load *l, const struct load_call *c, struct span record);
size_t load_call_bytes(const struct load *l); /* at most */
size_t load_reply_bytes(const struct load *l); /* at most */

void load_pattern_fill(uint32_t file, uint64_t offset, char *p, size_t n);
bool load_pattern_is(uint32_t file, uint64_t offset, const char *p, size_t n);

/* ---- sync.c: one call at a time, to set the stage and to look at it afterwards ---- */

int load_connect(const struct load *l, int port);
void load_begin(struct load *l); /* mounts; makes the directory and the files */
void load_read_back(const struct load *l); /* every byte of every file */
void load_end(struct load *l); /* removes what it made */

__attribute__((noreturn)) void load_die(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* ---- engine.c ---- */

struct load_result {
	uint64_t calls;
	double seconds;
	double server_cpu_us; /* per call */
	double p50_us, p99_us, p999_us;
};
struct load_result load_run(struct load *l);
int64_t load_cpu_ns(int pid); /* of all its threads */
