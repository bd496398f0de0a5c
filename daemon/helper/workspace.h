/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Directories of executions, private to this room: STATE/workspaces/<execution>, in a folder of
 * root's, so that no name in it can be changed under the helper; each belongs to aegisd.
 */
#pragma once

#include "daemon/helper/wire.h"

/* The image that is being made, if there is one: image_make.c. */
struct image_making {
	int pidfd; /* of mkfs; -1: none */
	int file, dir;
	struct uuid id;
};

struct workspaces {
	int state; /* the directory that `dir` and images/ stand in */
	int dir;
	uid_t uid; /* aegisd's */
	gid_t gid;
	struct image_making making;
};

int workspaces_init(struct workspaces *w, int state_dir, uid_t uid, gid_t gid) MUST_USE;
void workspaces_fini(struct workspaces *w);

/* -ENOENT if it is not there and `make` is false. */
int workspace_open(
	const struct workspaces *w, struct uuid execution, bool make, int *ret_fd) MUST_USE;
/* An O_PATH descriptor of what the kernel's handle names, if it belongs to aegisd and lies in the
 * workspace: -EPERM; -ESTALE. */
int workspace_object(const struct workspaces *w, struct uuid execution, int type,
	struct span handle, int *ret_fd) MUST_USE;
/* Makes it, if need be, and mounts its image; an image that is there keeps its size. -EOPNOTSUPP
 * without loop devices, ext4 or mkfs; -ENOTEMPTY: it has files, and no image. IMAGE_UNDERWAY: ask
 * again in a moment; -ETIME: it took too long. */
int workspace_limit(struct workspaces *w, struct uuid id, uint64_t bytes, uint64_t inodes) MUST_USE;
/* Mounts the image of the workspace `*fd`, if it has one that is not mounted, and replaces *fd. */
int image_restore(const struct workspaces *w, const char *name, int *fd) MUST_USE;
/* Unmounted and gone; there may be none. */
int image_remove(struct workspaces *w, struct uuid id) MUST_USE;
/* All of them: sandboxes that have one keep it. */
void images_detach(const struct workspaces *w);

int workspace_remove(struct workspaces *w, struct uuid execution) MUST_USE;

/* ---- image_make.c ---- */

struct image_size {
	uint64_t bytes;
	uint64_t inodes; /* 0: as many as suit the size */
};
enum { IMAGE_UNDERWAY = HELPER_LIMIT_UNDERWAY };

/* Goes on with the image `id` in `dir`, or begins it. Its file, whole, is the caller's. */
int image_make(struct image_making *m, int dir, struct uuid id, const struct image_size *size,
	int *ret_file) MUST_USE;
void image_making_stop(struct image_making *m); /* and what there was of it is gone */
void images_sweep(int state); /* what a helper left that was killed while it made one */

/* ---- mounts ---- */

/* A detached mount of it, nosuid and nodev, in which what aegisd owns on disk belongs to the ids
 * that `idmap_ns` maps to. -EOPNOTSUPP if the file system cannot: nothing else keeps a sandbox's
 * ids apart from aegisd's on disk, so there is no other way. */
int workspace_mount(const struct workspaces *w, struct uuid id, bool read_only, int idmap_ns,
	int *ret_tree) MUST_USE;
