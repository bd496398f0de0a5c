/* SPDX-License-Identifier: AGPL-3.0-only */
/* Inside of the local backend. */
#pragma once

#include "nfs/backend/backend.h"
#include "nfs/fsal/backend.h"

struct index; /* of local_find.c: where every object of the volume was when it was last walked */

struct local_volume {
	int root;
	uint64_t root_id;
	uint32_t dev_major, dev_minor;
	struct offload *offload;
	bool by_handle; /* open_by_handle_at is allowed */
	int (*open_handle)(
		void *ctx, int type, struct span handle, int *ret_fd, int64_t deadline_ns);
	void *open_handle_ctx;
	bool widens; /* permissions bind this process */
	bool read_nowait, write_nowait; /* until the file system says that it cannot */
	struct list open; /* nodes with a descriptor, the oldest first */
	size_t open_count;
	size_t open_max;
	uint32_t asks; /* for attributes, by name */
	char *dents; /* for getdents64 */
	struct index *index;
	bool walking;
	struct waitq walked;
	int64_t walk_ns; /* how long the last walk took */
	uint64_t moves; /* renames, so that a walk knows whether it may have missed something */
};

enum access { ACCESS_NONE, ACCESS_PATH, ACCESS_READ, ACCESS_WRITE }; /* each includes the former */

struct local_node {
	struct list link; /* in `open` */
	int fd;
	uint8_t access; /* what fd is good for; ACCESS_NONE: there is none */
	bool used;
	uint8_t asked; /* how often its attributes were of late, without a descriptor */
	uint16_t busy; /* operations that are parked on it */
	uint32_t shown_mode; /* kept beside, as of shown_ctime_ns; 0: not looked up */
	uint32_t asked_at; /* in `asks` of the volume */
	int64_t shown_ctime_ns;
};
_Static_assert(sizeof(struct local_node) <= FSAL_NODE_BYTES, "it stands in the layer's object");

static inline struct local_node *local_node(const struct fsal_node *n)
{
	return n->state;
}

/* ---- local_open.c ---- */

/* The node's descriptor, good for `want` at least; borrowed: others may be closed by the next
 * call. -ESTALE if the object is not where the node says. */
int local_fd(struct local_volume *v, struct fsal_node *n, enum access want);
/* A descriptor becomes the node's. */
void local_fd_put(struct local_volume *v, struct fsal_node *n, int fd, enum access access);
void local_fd_close(struct local_volume *v, struct fsal_node *n);
int local_beneath(int dir, const char *path, int flags, mode_t mode);
enum { FD_PATH_BYTES = 32 };
void local_fd_path(int fd, char ret[FD_PATH_BYTES]); /* "/proc/self/fd/N" */
/* The id of dir/name, or of dir itself if the name is "". */
int local_identify(struct local_volume *v, int dir, const char *name, uint64_t file_id,
	int64_t born_ns, struct fsal_id *ret);
/* A component as a C string. -EINVAL, -ENAMETOOLONG. */
struct local_name {
	char text[LIMIT_PATH_COMPONENT_BYTES + 1];
};
int local_name(struct span name, struct local_name *ret);

/* ---- local_attr.c ---- */

int local_statx(struct local_volume *v, int dir, const char *name, struct fsal_attr *ret);
int local_getattr(
	void *volume, const struct fsal_io *io, struct fsal_node *n, struct fsal_attr *ret);
AWAITS int local_setattr(
	void *volume, const struct fsal_io *io, struct fsal_node *n, const struct fsal_sattr *s);
/* The mode of a new object, exactly as wanted. */
int local_set_mode(struct local_volume *v, int fd, uint32_t type, uint32_t mode);
/* What is on disk for a mode that clients are to see. */
uint32_t local_disk_mode(const struct local_volume *v, uint32_t type, uint32_t mode);

/* ---- local_data.c ---- */

int local_readlink(void *volume, const struct fsal_io *io, struct fsal_node *n, char *p,
	size_t size, size_t *ret_n);
AWAITS int local_read(void *volume, const struct fsal_io *io, struct fsal_node *n, uint64_t offset,
	void *p, size_t size, size_t *ret_n);
AWAITS int local_write(void *volume, const struct fsal_io *io, struct fsal_node *n, uint64_t offset,
	struct span bytes);
AWAITS int local_commit(void *volume, const struct fsal_io *io, struct fsal_node *n);

/* ---- local_names.c ---- */

AWAITS int local_make(void *volume, const struct fsal_io *io, struct fsal_node *dir,
	struct span name, const struct fsal_make *m, struct fsal_new *ret);
/* A volume that is `sync` has the object written out before it answers (n: whose
 * descriptor it is, or NULL); must_park: and so it cannot
 * answer at once. */
AWAITS int local_settle(const struct fsal_io *io, struct fsal_node *n, int fd);
bool local_must_park(const struct fsal_io *io);
bool local_made_by(void *volume, const struct fsal_attr *attr, const uint8_t *verifier);
void local_adopt(void *volume, struct fsal_node *n, intptr_t carry);
AWAITS int local_link(void *volume, const struct fsal_io *io, struct fsal_node *n,
	struct fsal_node *dir, struct span name);
AWAITS int local_remove(void *volume, const struct fsal_io *io, struct fsal_node *dir,
	struct span name, bool directory);
AWAITS int local_rename(void *volume, const struct fsal_io *io, struct fsal_node *from,
	struct span from_name, struct fsal_node *to, struct span to_name);
AWAITS int local_replace(void *volume, const struct fsal_io *io, struct fsal_node *dir,
	struct span name, struct span content, uint32_t mode, struct fsal_new *ret);

/* ---- local_find.c ---- */

AWAITS int local_find(void *volume, const struct fsal_io *io, struct span id, struct buf *ret_path);
AWAITS int local_usage(void *volume, const struct fsal_io *io, struct fsal_usage *ret);
void local_index_free(struct local_volume *v);
/* The layer forgets where the node is; this remembers. */
void local_note(struct local_volume *v, const struct fsal_node *n);
