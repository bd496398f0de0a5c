/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The one authorised file layer. The fs.* tools use it, the NFS server will, and nothing else
 * touches a volume's files. Every operation names who asks (an attachment: execution, volume,
 * rules), is decided by policy/context, runs on a backend, and is reported as one record.
 *
 * Paths are relative to the volume's root, canonical (context_canonical_path without its leading
 * slash; "" is the root); links never lead out of the volume (openat2 RESOLVE_BENEATH and
 * RESOLVE_NO_MAGICLINKS; a link that points outside answers -EXDEV).
 */
#pragma once

#include "daemon/rt/rt.h"
#include "policy/context/context.h"
#include <sys/stat.h>

/* ---- backends ---- */

struct fsal_attr {
	uint64_t file_id; /* stable while the object lives */
	uint32_t mode; /* S_IFMT | permission bits */
	uint32_t nlink;
	uint64_t size_bytes;
	uint64_t used_bytes; /* allocated */
	int64_t mtime_ns; /* wall clock */
	int64_t ctime_ns;
};

struct fsal_entry {
	struct span name;
	struct fsal_attr attr;
};

/*
 * What a backend offers; implementations stand in nfs/backend. Paths are as above and already
 * authorised. An operation may take as long as a network takes (AWAITS everywhere); none relies on
 * rename, and sizes reported by getattr may lag behind writes on remote backends.
 */
struct fsal_backend {
	const char *name; /* "local" */
	AWAITS int (*getattr)(
		void *volume, struct span path, struct fsal_attr *ret, int64_t deadline_ns);
	AWAITS int (*read)(void *volume, struct span path, uint64_t offset, void *p, size_t n,
		size_t *ret_n, bool *ret_eof, int64_t deadline_ns);
	AWAITS int (*write)(void *volume, struct span path, uint64_t offset, struct span bytes,
		bool create, int64_t deadline_ns);
	AWAITS int (*replace)(
		void *volume, struct span path, struct span content, int64_t deadline_ns);
	AWAITS int (*mkdir)(void *volume, struct span path, bool parents, int64_t deadline_ns);
	AWAITS int (*remove)(void *volume, struct span path, bool recursive, int64_t deadline_ns);
	AWAITS int (*list)(void *volume, struct span path, struct arena *a, struct fsal_entry **ret,
		size_t *ret_count, int64_t deadline_ns); /* in order of bytes of the names */
	void (*close)(void *volume);
};

struct fsal_volume; /* an open volume on a backend */

/* Takes `backend_volume` over, also on failure. */
int fsal_volume_new(const struct fsal_backend *b, void *backend_volume, struct span volume_id,
	struct fsal_volume **ret) MUST_USE;
struct fsal_volume *fsal_volume_free(struct fsal_volume *v); /* no attachment may be left; NULL */

/* Called once per operation, on the fiber that made it, after its end. It may park: an observer
 * that cannot keep up slows its own callers down, and loses nothing. */
struct fsal_record {
	const char *operation; /* "FileRead", "FileWritten", ...: upstream's storage event names */
	struct span execution_id;
	struct span volume_id;
	struct span path;
	struct span call_id; /* tool call that caused it; empty if none */
	bool writes; /* asked for fs:write, else fs:read */
	uint64_t offset;
	uint64_t bytes;
	int64_t latency_ns;
	int result; /* 0 or negative errno */
	const struct decision *decision;
};
typedef AWAITS void (*fsal_observer)(void *ctx, const struct fsal_record *r);

/* ---- attachments ---- */

struct fsal_attach_options {
	struct span execution_id; /* these texts are copied */
	struct span agent;
	struct span tenant;
	struct span mount_path; /* where the agent sees the volume: "/workspace" */
	bool read_only;
	struct rule_set *rules; /* a reference is taken */
	fsal_observer observer;
	void *observer_ctx;
};

struct fsal_attachment;
int fsal_attach(struct fsal_volume *v, const struct fsal_attach_options *o,
	struct fsal_attachment **ret) MUST_USE;
void fsal_detach(struct fsal_attachment *at); /* NULL is allowed */

/* ---- operations ---- */

enum fsal_outcome {
	FSAL_DENIED = 1, /* by policy; *ret_decision of the call says why */
};

/* What one call carries along. */
struct fsal_call {
	struct fsal_attachment *at;
	struct arena *arena;
	struct span call_id;
	int64_t deadline_ns;
	struct decision decision; /* out: the decision of the last operation */
};

AWAITS int fsal_getattr(struct fsal_call *c, struct span path, struct fsal_attr *ret) MUST_USE;

/* Reads up to n bytes at offset; *ret_eof if the file ends there. */
AWAITS int fsal_read(struct fsal_call *c, struct span path, uint64_t offset, void *p, size_t n,
	size_t *ret_n, bool *ret_eof) MUST_USE;

/* Writes all of `bytes` at offset, creating the file (0644) if `create`. */
AWAITS int fsal_write(struct fsal_call *c, struct span path, uint64_t offset, struct span bytes,
	bool create) MUST_USE;

/* Replaces the whole content: readers see the old or the new, never a mixture; mode is kept. */
AWAITS int fsal_replace(struct fsal_call *c, struct span path, struct span content) MUST_USE;

AWAITS int fsal_mkdir(struct fsal_call *c, struct span path, bool parents) MUST_USE; /* -EEXIST */
AWAITS int fsal_remove(
	struct fsal_call *c, struct span path, bool recursive) MUST_USE; /* -ENOTEMPTY */

/* Entries in order of bytes of their names, those that policy denies left out; at most
 * LIMIT_FSAL_LIST_ENTRIES, -EOVERFLOW beyond. */
AWAITS int fsal_list(
	struct fsal_call *c, struct span path, struct fsal_entry **ret, size_t *ret_count) MUST_USE;
