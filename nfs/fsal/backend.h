/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What stands behind a volume. Implementations live in nfs/backend; only the file layer calls them,
 * with operations that are authorised, on names that are single components.
 *
 * A backend may be a network away:
 *	latency	Any operation may wait, unless `may_park` forbids it, which it answers with
 *		FSAL_WOULD_PARK before it has done anything; so does one that would have to fetch.
 *		-ETIME at `deadline_ns`: of what changes something it is then unknown whether it was
 *		done. The layer repeats nothing that may have been.
 *	sizes	Attributes, sizes above all, show every write that this volume's own operations have
 *		finished, whatever the store itself still says: it is on them that the end of a
 *file, the quota and clients' caches go by. Others' changes may come to light later.
 *	reads	Are of a range; fewer bytes than asked for mean the end of the file. The whole
 *		object needs not be fetched.
 *	writes	Are of a range too, in any order, and may be kept until commit(), which tells the
 *		error of any of them and covers the whole file. With `io->sync` nothing is kept.
 *	ids	Must name the same object after a restart. A store whose only name for an object is
 *		its path has no rename, and its id may be a hash of that path and a version.
 *
 * An operation that a backend does not have is NULL and answered with -EOPNOTSUPP: a store of whole
 * objects has no link, rename, symlink or attributes that can be set, but replace; a read-only one
 * changes nothing. Those that must be there are marked with "*".
 *
 * A backend may wrap another one: to stage an iteration's writes over a volume, it keeps what was
 * written, made and removed in the one, reads through to the other what is not there, and in the
 *end carries all of it over or drops it. The nodes that it hands to those below are its own to
 *make.
 *
 * Errors are as nfs/fsal/fsal.h says. -ESTALE: the node is not where its parent and name say; the
 * layer then asks find() for its place and tries once more.
 */
#pragma once

#include "nfs/fsal/fsal.h"

/* The backend's own name of an object, which survives rename, and restart of this process. */
struct fsal_id {
	uint8_t n;
	uint8_t bytes[FSAL_ID_BYTES];
};

enum { FSAL_NODE_BYTES = 64 };

/* An object as its backend knows it. */
struct fsal_node {
	struct fsal_node *parent; /* NULL: the root */
	struct span name; /* under which it was last seen there */
	struct span id; /* of struct fsal_id */
	uint64_t file_id;
	int64_t born_ns;
	uint32_t type; /* S_IFMT */
	bool gone; /* it was deleted */
	void *state; /* FSAL_NODE_BYTES of the backend's own, zeroed at first */
};

struct fsal_io {
	bool may_park;
	bool sync; /* on stable storage before it returns */
	bool passing; /* one of many that are asked about once: nothing worth keeping ready for */
	int64_t deadline_ns;
};

struct fsal_make {
	uint32_t mode; /* with its type: S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFSOCK, S_IFCHR,
			  S_IFBLK */
	bool set_owner;
	uint32_t uid, gid;
	uint32_t rdev_major, rdev_minor;
	struct span target; /* S_IFLNK */
	const uint8_t *verifier; /* exclusive create: kept, for backend made_by */
};

struct fsal_new {
	struct fsal_id id;
	struct fsal_attr attr;
	intptr_t carry; /* for adopt(); 0: none */
};

typedef bool (*fsal_backend_dirent_fn)(
	void *ctx, struct span name, uint64_t file_id, uint64_t cookie); /* false: stop before it */

struct fsal_backend {
	const char *name; /* "local" */
	struct fsal_limits limits;

	/* * The root's id and attributes. */
	AWAITS int (*root)(void *v, const struct fsal_io *io, struct fsal_new *ret);
	/* * What stands under a name; the id is asked for only if the layer does not know it yet.
	 */
	AWAITS int (*lookup)(void *v, const struct fsal_io *io, struct fsal_node *dir,
		struct span name, struct fsal_attr *ret);
	AWAITS int (*identify)(void *v, const struct fsal_io *io, struct fsal_node *dir,
		struct span name, const struct fsal_attr *attr, struct fsal_id *ret);
	/* Where an object is now: a path from the root, several components. -ESTALE if nowhere.
	 * NULL: a handle is stale once the layer has forgotten its object. */
	AWAITS int (*find)(void *v, const struct fsal_io *io, struct span id, struct buf *ret_path);
	/* Takes over what make() carried, or drops it (node NULL). */
	void (*adopt)(void *v, struct fsal_node *n, intptr_t carry);
	/* * The layer forgets the node. */
	void (*forget)(void *v, struct fsal_node *n);

	/* * */
	AWAITS int (*getattr)(
		void *v, const struct fsal_io *io, struct fsal_node *n, struct fsal_attr *ret);
	AWAITS int (*setattr)(
		void *v, const struct fsal_io *io, struct fsal_node *n, const struct fsal_sattr *s);
	AWAITS int (*readlink)(void *v, const struct fsal_io *io, struct fsal_node *n, char *p,
		size_t size, size_t *ret_n);
	/* * */
	AWAITS int (*read)(void *v, const struct fsal_io *io, struct fsal_node *n, uint64_t offset,
		void *p, size_t size, size_t *ret_n);
	AWAITS int (*write)(void *v, const struct fsal_io *io, struct fsal_node *n, uint64_t offset,
		struct span bytes);
	AWAITS int (*commit)(void *v, const struct fsal_io *io, struct fsal_node *n);

	/* -EEXIST if there is something of that name. */
	AWAITS int (*make)(void *v, const struct fsal_io *io, struct fsal_node *dir,
		struct span name, const struct fsal_make *m, struct fsal_new *ret);
	/* Was the file made by this verifier, and not changed since? */
	bool (*made_by)(void *v, const struct fsal_attr *attr, const uint8_t *verifier);
	AWAITS int (*link)(void *v, const struct fsal_io *io, struct fsal_node *n,
		struct fsal_node *dir, struct span name);
	AWAITS int (*remove)(void *v, const struct fsal_io *io, struct fsal_node *dir,
		struct span name, bool directory);
	AWAITS int (*rename)(void *v, const struct fsal_io *io, struct fsal_node *from,
		struct span from_name, struct fsal_node *to, struct span to_name);
	/* A new object with this content and mode takes the name, at once. */
	AWAITS int (*replace)(void *v, const struct fsal_io *io, struct fsal_node *dir,
		struct span name, struct span content, uint32_t mode, struct fsal_new *ret);
	/* * In an order that does not change while entries come and go, or by cookies that hold. */
	AWAITS int (*readdir)(void *v, const struct fsal_io *io, struct fsal_node *dir,
		uint64_t cookie, fsal_backend_dirent_fn fn, void *ctx, bool *ret_eof);

	AWAITS int (*statfs)(void *v, const struct fsal_io *io, struct fsal_statfs *ret); /* * */
	AWAITS int (*usage)(
		void *v, const struct fsal_io *io, struct fsal_usage *ret); /* * counts */
	void (*close)(void *v); /* * */
};

/* Takes `backend_volume` over, also on failure. */
AWAITS int fsal_volume_new(struct fsal *f, const struct fsal_backend *b, void *backend_volume,
	struct span volume_id, struct fsal_volume **ret) MUST_USE;
