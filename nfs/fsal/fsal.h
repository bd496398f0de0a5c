/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The one authorised file layer. NFS, the fs.* tools and later virtual machines use it; nothing
 * else touches a volume's files.
 *
 * Nouns:
 *	layer		struct fsal: a bounded cache of objects and a queue of records
 *	volume		files on a backend, with a quota
 *	attachment	a volume as one execution sees it: kind of export, rules, origin
 *	object		a file, directory, link or node as one attachment sees it; known by its
 *			handle, and by the parent and name under which it was last seen
 *
 * Every operation names who asks, is decided by policy/context (the verdict is kept with the
 * object), checked against mode bits on posix exports, run on the backend, and recorded.
 *
 * A layer and all that belongs to it is used on one worker only. What operations return as
 * `struct fsal_object *` is borrowed: it stays valid until the caller parks, unless it is
 * referenced. An operation holds its own objects while it is parked.
 *
 * Operations return a negative errno as the system call would (ENOENT, EEXIST, ENOTEMPTY, EXDEV,
 * EDQUOT, ENOSPC, EROFS, EPERM, EACCES, EFBIG, EMLINK, ENAMETOOLONG, ENOTDIR, EISDIR, EINVAL, EIO),
 * -ESTALE for an object that is gone, or a positive enum fsal_outcome. They start no error trail:
 * the caller knows what it asked for.
 */
#pragma once

#include "daemon/rt/rt.h"
#include "policy/context/context.h"
#include <sys/stat.h>

enum fsal_outcome {
	FSAL_DENIED = 1, /* by policy */
	FSAL_WOULD_PARK = 2, /* nothing was done: ask again from a fiber, with may_park */
	FSAL_CHANGED = 3, /* the guard of fsal_setattr does not match (NFS3ERR_NOT_SYNC) */
	FSAL_BAD_COOKIE = 4, /* of fsal_readdir */
};

enum { FSAL_HANDLE_BYTES = 64, FSAL_ID_BYTES = 36, FSAL_VERIFIER_BYTES = 8 };

/* ---- attributes ---- */

struct fsal_attr {
	uint64_t file_id; /* stable while the object lives */
	uint64_t fsid; /* of the volume */
	uint32_t mode; /* S_IFMT | permission bits, as the client set them */
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint32_t rdev_major;
	uint32_t rdev_minor;
	uint64_t size_bytes;
	uint64_t used_bytes; /* allocated */
	int64_t atime_ns; /* wall clock, all of them */
	int64_t mtime_ns;
	int64_t ctime_ns; /* later than the last change of the rules */
	int64_t born_ns; /* with file_id tells one object from its successor; 0: unknown */
};

struct fsal_post {
	bool present;
	struct fsal_attr attr;
};

/* Weak cache consistency data (RFC 1813, section 2.6). */
struct fsal_wcc {
	bool before_present;
	uint64_t before_size_bytes;
	int64_t before_mtime_ns;
	int64_t before_ctime_ns;
	struct fsal_post after;
};

enum fsal_time_how { FSAL_TIME_KEEP, FSAL_TIME_NOW, FSAL_TIME_SET };

/* What to change; also what a new object begins with. */
struct fsal_sattr {
	bool set_mode, set_uid, set_gid, set_size;
	uint32_t mode; /* permission bits */
	uint32_t uid;
	uint32_t gid;
	uint64_t size_bytes;
	enum fsal_time_how atime_how;
	enum fsal_time_how mtime_how;
	int64_t atime_ns;
	int64_t mtime_ns;
};

/* ---- the layer ---- */

struct fsal;
struct fsal_volume;
struct fsal_attachment;
struct fsal_object;

struct fsal_options {
	uint8_t key[32]; /* of handles: the same after a restart, so that they stay valid */
	size_t objects_max; /* cached; 0: LIMIT_FSAL_OBJECTS. Their memory is reserved */
	size_t record_bytes; /* of records that wait for their observer; 0: LIMIT_FSAL_RECORD_BYTES
			      */
};

/* Starts the fiber that hands records over, on this worker. AWAITS only to undo a failed start. */
AWAITS int fsal_start(const struct fsal_options *o, struct fsal **ret) MUST_USE;
/* After the last volume is closed; hands over what is left. NULL is allowed. */
AWAITS void fsal_stop(struct fsal *f);

struct fsal_stats {
	size_t objects;
	uint64_t hits, misses; /* handles found in the cache, and not */
	uint64_t records, records_dropped;
};
void fsal_stats_get(const struct fsal *f, struct fsal_stats *ret);

/* ---- volumes ---- */

struct fsal_quota {
	uint64_t bytes; /* allocated; 0: no limit */
	uint64_t inodes;
};

struct fsal_usage {
	uint64_t bytes;
	uint64_t inodes;
};

/* Volumes are opened by nfs/backend. A quota is checked before each write; setting it counts what
 * is there, so that it is right after a crash. */
AWAITS int fsal_volume_set_quota(
	struct fsal_volume *v, const struct fsal_quota *q, int64_t deadline_ns) MUST_USE;
void fsal_volume_usage(const struct fsal_volume *v, struct fsal_usage *ret);
struct fsal_volume *fsal_volume_free(struct fsal_volume *v); /* no attachment may be left; NULL */

/* ---- records ---- */

/* One operation, or, where they are coalesced, all reads or all writes of a file in a window. */
struct fsal_record {
	const char *operation; /* "FileRead", "FileWritten", ...: upstream's storage event names;
				  NULL: none, but what lost_before counts */
	struct span execution_id;
	struct span agent;
	struct span tenant;
	struct span mount_path; /* where the agent sees the volume */
	struct span volume_id;
	struct span path; /* relative to the volume's root */
	struct span call_id; /* tool call that caused it; empty if none */
	uint32_t iteration;
	bool writes; /* asked for fs:write, else fs:read */
	uint64_t offset; /* the lowest, if several */
	uint64_t bytes; /* all together; of what the quota refused (-EDQUOT) what was asked for */
	uint64_t count; /* of operations */
	int64_t began_ns; /* wall clock; of the first */
	int64_t latency_ns; /* of the slowest */
	int result; /* 0 or negative errno */
	const struct decision *decision;
	uint64_t lost_before; /* records that the queue had no room for, or that were more than are
				 told, since the last one */
};
/* The question that the record's decision answers, as policy was asked. Spans live in the arena or
 * in *r. -ENOMEM. */
int fsal_record_request(
	const struct fsal_record *r, struct arena *a, struct decision_request *ret) MUST_USE;
/* Called on the layer's own fiber, never on the caller's; may park. */
typedef AWAITS void (*fsal_observer)(void *ctx, const struct fsal_record *r);

/* ---- attachments ---- */

enum fsal_kind {
	FSAL_SQUASH, /* one uid and gid; no chown, no device nodes; mode bits stop nobody */
	FSAL_POSIX, /* the caller's credentials count, as in a local file system; needs root */
};

struct fsal_attach_options {
	struct span execution_id; /* these texts are copied */
	struct span agent;
	struct span tenant;
	struct span mount_path; /* where the agent sees the volume: "/workspace" */
	enum fsal_kind kind;
	uint32_t uid, gid; /* FSAL_SQUASH: shown as the owner of everything */
	bool read_only;
	/* Paths from the root on which other volumes are mounted: they, and folders above them, are
	 * neither removed nor renamed (-EPERM). */
	const struct span *pinned;
	size_t pinned_count;
	bool sync; /* name-space operations, too, survive loss of power */
	bool open; /* decided by nobody: only with `rules` NULL, which is refused otherwise */
	struct rule_set *rules; /* a reference is taken */
	const void *door; /* handles are good only for calls with the same one */
	fsal_observer observer; /* NULL: nobody is told */
	void *observer_ctx;
	int64_t coalesce_ns; /* reads, writes and look-ups of a file within; 0: each by itself */
	bool bounded; /* no more records than LIMIT_FSAL_RECORDS_* and _DENIALS_*; then the observer
			 meets records without an operation */
};

int fsal_attach(struct fsal_volume *v, const struct fsal_attach_options *o,
	struct fsal_attachment **ret) MUST_USE;
/* Its handles are stale at once; what is still queued is handed over later. NULL is allowed. */
void fsal_detach(struct fsal_attachment *at);

/* From the next operation on. Objects look changed, so that clients ask again. */
void fsal_attachment_set_rules(struct fsal_attachment *at, struct rule_set *rules);
/* FSAL_SQUASH: what is shown as the owner of everything from now on. */
void fsal_attachment_set_owner(struct fsal_attachment *at, uint32_t uid, uint32_t gid);
void fsal_attachment_set_read_only(struct fsal_attachment *at, bool read_only);
/* Who is working at the moment: what operations without an own call_id are recorded under. */
int fsal_attachment_set_origin(
	struct fsal_attachment *at, uint32_t iteration, struct span call_id) MUST_USE;

/* ---- calls ---- */

enum { FSAL_GROUPS = 16 };

struct fsal_cred {
	uint32_t uid;
	uint32_t gid;
	size_t group_count;
	uint32_t groups[FSAL_GROUPS];
};

/* What one call carries along; the same one may be used for many. */
struct fsal_call {
	const void *door; /* see struct fsal_attach_options */
	const struct fsal_cred *cred; /* FSAL_POSIX: who asks; NULL: the daemon itself, uid 0 */
	bool may_park; /* false: FSAL_WOULD_PARK rather than waiting */
	int64_t deadline_ns;
	struct span call_id; /* empty: the attachment's origin */
	struct arena *arena; /* for the texts of *decision; may be NULL if that is */
	struct decision *decision; /* out: the last operation's, whole if it denied; may be NULL */
};

/* ---- objects ---- */

struct fsal_object *fsal_root(struct fsal_attachment *at);

/* -ESTALE: of an object or attachment that is gone, or of another door; -EBADMSG: not ours. */
AWAITS int fsal_find(
	struct fsal *f, struct fsal_call *c, struct span handle, struct fsal_object **ret) MUST_USE;

struct span fsal_handle(const struct fsal_object *o); /* lives as long as the object */
struct fsal_attachment *fsal_object_attachment(const struct fsal_object *o);
uint32_t fsal_object_type(const struct fsal_object *o); /* S_IFREG, ... */
struct fsal_object *fsal_ref(struct fsal_object *o);
void fsal_unref(struct fsal_object *o); /* NULL is allowed */

/* The object's path relative to the volume's root, "" for that; at most LIMIT_PATH_BYTES. */
int fsal_path(const struct fsal_object *o, struct buf *b) MUST_USE;

/* ---- operations: one per procedure of RFC 1813, section 3.3 ---- */

AWAITS int fsal_getattr(struct fsal_call *c, struct fsal_object *o, struct fsal_attr *ret) MUST_USE;

/* `guard_ctime_ns` NULL: no guard. */
AWAITS int fsal_setattr(struct fsal_call *c, struct fsal_object *o, const struct fsal_sattr *s,
	const int64_t *guard_ctime_ns, struct fsal_wcc *ret) MUST_USE;

/* Also "." and ".."; the root's parent is the root. */
AWAITS int fsal_lookup(struct fsal_call *c, struct fsal_object *dir, struct span name,
	struct fsal_object **ret, struct fsal_attr *ret_attr, struct fsal_post *ret_dir) MUST_USE;

enum fsal_access { /* RFC 1813, section 3.3.4 */
	FSAL_ACCESS_READ = 0x01,
	FSAL_ACCESS_LOOKUP = 0x02,
	FSAL_ACCESS_MODIFY = 0x04,
	FSAL_ACCESS_EXTEND = 0x08,
	FSAL_ACCESS_DELETE = 0x10,
	FSAL_ACCESS_EXECUTE = 0x20,
};
AWAITS int fsal_access(struct fsal_call *c, struct fsal_object *o, uint32_t wanted,
	uint32_t *ret_granted, struct fsal_post *ret) MUST_USE;

/* The target, at most n bytes of it. */
AWAITS int fsal_readlink(struct fsal_call *c, struct fsal_object *o, char *p, size_t n,
	size_t *ret_n, struct fsal_post *ret) MUST_USE;

AWAITS int fsal_read(struct fsal_call *c, struct fsal_object *o, uint64_t offset, void *p, size_t n,
	size_t *ret_n, bool *ret_eof, struct fsal_post *ret) MUST_USE;

enum fsal_stability { FSAL_UNSTABLE = 0, FSAL_DATA_SYNC = 1, FSAL_FILE_SYNC = 2 };
/* All of `bytes`, or an error. */
AWAITS int fsal_write(struct fsal_call *c, struct fsal_object *o, uint64_t offset,
	struct span bytes, enum fsal_stability stable, enum fsal_stability *ret_committed,
	struct fsal_wcc *ret) MUST_USE;
AWAITS int fsal_commit(struct fsal_call *c, struct fsal_object *o, struct fsal_wcc *ret) MUST_USE;

/* What a new object answers with. */
struct fsal_made {
	struct fsal_object *object; /* NULL on failure */
	struct fsal_attr attr;
	struct fsal_wcc dir; /* also on failure */
};

enum fsal_create_how { FSAL_UNCHECKED, FSAL_GUARDED, FSAL_EXCLUSIVE };
/* FSAL_EXCLUSIVE: `verifier` has FSAL_VERIFIER_BYTES and `s` is ignored. An existing file is found
 * by FSAL_UNCHECKED (and truncated, if `s` says size 0) and by the same verifier. */
AWAITS int fsal_create(struct fsal_call *c, struct fsal_object *dir, struct span name,
	enum fsal_create_how how, const struct fsal_sattr *s, const uint8_t *verifier,
	struct fsal_made *ret) MUST_USE;
AWAITS int fsal_mkdir(struct fsal_call *c, struct fsal_object *dir, struct span name,
	const struct fsal_sattr *s, struct fsal_made *ret) MUST_USE;
AWAITS int fsal_symlink(struct fsal_call *c, struct fsal_object *dir, struct span name,
	struct span target, const struct fsal_sattr *s, struct fsal_made *ret) MUST_USE;
/* `type`: S_IFCHR, S_IFBLK (FSAL_POSIX and uid 0 only), S_IFIFO, S_IFSOCK. */
AWAITS int fsal_mknod(struct fsal_call *c, struct fsal_object *dir, struct span name, uint32_t type,
	uint32_t rdev_major, uint32_t rdev_minor, const struct fsal_sattr *s,
	struct fsal_made *ret) MUST_USE;

AWAITS int fsal_remove(struct fsal_call *c, struct fsal_object *dir, struct span name,
	struct fsal_wcc *ret) MUST_USE; /* -EISDIR */
AWAITS int fsal_rmdir(struct fsal_call *c, struct fsal_object *dir, struct span name,
	struct fsal_wcc *ret) MUST_USE;
AWAITS int fsal_rename(struct fsal_call *c, struct fsal_object *from, struct span from_name,
	struct fsal_object *to, struct span to_name, struct fsal_wcc *ret_from,
	struct fsal_wcc *ret_to) MUST_USE;
AWAITS int fsal_link(struct fsal_call *c, struct fsal_object *o, struct fsal_object *dir,
	struct span name, struct fsal_post *ret, struct fsal_wcc *ret_dir) MUST_USE;

struct fsal_dirent {
	struct span name;
	uint64_t file_id;
	uint64_t cookie; /* of the entry behind this one */
	struct fsal_object *object; /* if asked for and to be had */
	struct fsal_attr attr; /* if object */
};
/* False: no room; the entry is not counted as delivered. Must not park. */
typedef bool (*fsal_dirent_fn)(void *ctx, const struct fsal_dirent *e);

/* Entries from `cookie` on (0: the first), "." and ".." among them, those that policy denies left
 * out. Cookies stay valid while the directory changes. *verifier: what the client sent (all zero
 * with cookie 0), then what it is to send; FSAL_BAD_COOKIE if it does not fit. FSAL_WOULD_PARK may
 * come after entries were delivered: then forget them. */
AWAITS int fsal_readdir(struct fsal_call *c, struct fsal_object *dir, uint64_t cookie,
	uint64_t *verifier, bool want_objects, fsal_dirent_fn fn, void *ctx, bool *ret_eof,
	struct fsal_post *ret) MUST_USE;

struct fsal_statfs {
	uint64_t bytes_total, bytes_free, bytes_available;
	uint64_t files_total, files_free, files_available;
};
AWAITS int fsal_fsstat(struct fsal_call *c, struct fsal_object *o, struct fsal_statfs *ret,
	struct fsal_post *ret_attr) MUST_USE; /* the quota counts as the size */

/* What does not change while the volume is open: for FSINFO and PATHCONF. */
struct fsal_limits {
	uint64_t file_bytes_max;
	uint32_t link_max;
	uint32_t name_bytes_max;
	int64_t time_granularity_ns;
	bool has_links, has_symlinks, has_rename;
};
void fsal_limits_get(const struct fsal_object *o, struct fsal_limits *ret);

/* ---- whole paths, for tools and clients from outside ---- */

/* Walks a canonical path relative to the volume's root ("" is the root). Links inside are followed,
 * the last one only if `follow`; one that leads out of the volume is -EXDEV. */
AWAITS int fsal_walk(struct fsal_call *c, struct fsal_attachment *at, struct span path, bool follow,
	struct fsal_object **ret) MUST_USE;

/* The folder that holds the last component, which the caller lets go of (fsal_unref), and that
 * component. Links above it are followed. -EBUSY: the root has no name. */
AWAITS int fsal_parent(struct fsal_call *c, struct fsal_attachment *at, struct span path,
	struct fsal_object **ret, struct span *ret_name) MUST_USE;

struct fsal_entry {
	struct span name;
	struct fsal_attr attr;
};
/* What may be seen in a folder, in order of bytes of the names, in the call's arena. -EOVERFLOW
 * beyond LIMIT_FSAL_LIST_ENTRIES. */
AWAITS int fsal_list(struct fsal_call *c, struct fsal_attachment *at, struct span path,
	struct fsal_entry **ret, size_t *ret_count) MUST_USE;
/* With all folders above it. 0 if it is there already. */
AWAITS int fsal_mkdirs(struct fsal_call *c, struct fsal_attachment *at, struct span path) MUST_USE;
/* A file, a link itself, an empty folder; or, `recursive`, a folder with all that is in it. */
AWAITS int fsal_remove_path(
	struct fsal_call *c, struct fsal_attachment *at, struct span path, bool recursive) MUST_USE;

/* The whole content of dir/name: readers see the old or the new, never a mixture; the mode of an
 * existing file is kept, else 0644. */
AWAITS int fsal_replace(struct fsal_call *c, struct fsal_object *dir, struct span name,
	struct span content) MUST_USE;
