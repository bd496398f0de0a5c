/* SPDX-License-Identifier: AGPL-3.0-only */
/* Inside of the memory backend. */
#pragma once

#include "nfs/backend/backend.h"
#include "nfs/fsal/backend.h"

enum { BLOCK_BYTES = 4096, DOTS = 2 };

struct inode {
	struct fsal_attr attr;
	char *data; /* of a file, or the target of a link */
	size_t capacity;
	struct list entries; /* of a directory, in order of their cookies */
	uint64_t next_cookie;
	struct inode *parent; /* of a directory */
	uint8_t verifier[FSAL_VERIFIER_BYTES];
	bool verified;
};

struct entry {
	struct list link;
	struct inode *inode;
	uint64_t cookie;
	size_t n;
	char name[LIMIT_PATH_COMPONENT_BYTES];
};

struct memory {
	struct inode **inodes; /* by file_id; NULL: gone */
	size_t count, capacity;
	uint64_t bytes, bytes_max;
	int64_t last_ns;
	bool slow;
};

/* ---- memory_inode.c ---- */

int64_t memory_now_ns(struct memory *m); /* later each time */
/* What every operation begins with: 0, or FSAL_WOULD_PARK. */
AWAITS int memory_wait(const struct memory *m, const struct fsal_io *io);
struct inode *memory_inode(const struct memory *m, const struct fsal_node *n); /* NULL: gone */
struct inode *memory_inode_new(struct memory *m, const struct fsal_make *make);
void memory_inode_free(struct memory *m, struct inode *i);
int memory_resize(struct memory *m, struct inode *i, uint64_t size);
void memory_changed(struct memory *m, struct inode *i, bool content);
void memory_id(const struct inode *i, struct fsal_id *ret);
int memory_getattr(
	void *volume, const struct fsal_io *io, struct fsal_node *n, struct fsal_attr *ret);
int memory_setattr(
	void *volume, const struct fsal_io *io, struct fsal_node *n, const struct fsal_sattr *s);
int memory_read(void *volume, const struct fsal_io *io, struct fsal_node *n, uint64_t offset,
	void *p, size_t size, size_t *ret_n);
int memory_readlink(void *volume, const struct fsal_io *io, struct fsal_node *n, char *p,
	size_t size, size_t *ret_n);
int memory_write(void *volume, const struct fsal_io *io, struct fsal_node *n, uint64_t offset,
	struct span bytes);
int memory_commit(void *volume, const struct fsal_io *io, struct fsal_node *n);

/* ---- memory_names.c ---- */

struct entry *memory_entry(const struct inode *dir, struct span name);
AWAITS int memory_folder(
	struct memory *m, const struct fsal_io *io, const struct fsal_node *n, struct inode **ret);
int memory_make(void *volume, const struct fsal_io *io, struct fsal_node *dir, struct span name,
	const struct fsal_make *make, struct fsal_new *ret);
bool memory_made_by(void *volume, const struct fsal_attr *attr, const uint8_t *verifier);
int memory_link(void *volume, const struct fsal_io *io, struct fsal_node *n, struct fsal_node *dir,
	struct span name);
int memory_remove(void *volume, const struct fsal_io *io, struct fsal_node *dir, struct span name,
	bool directory);
int memory_rename(void *volume, const struct fsal_io *io, struct fsal_node *from,
	struct span from_name, struct fsal_node *to, struct span to_name);
int memory_replace(void *volume, const struct fsal_io *io, struct fsal_node *dir, struct span name,
	struct span content, uint32_t mode, struct fsal_new *ret);
int memory_readdir(void *volume, const struct fsal_io *io, struct fsal_node *dir, uint64_t cookie,
	fsal_backend_dirent_fn fn, void *ctx, bool *ret_eof);
