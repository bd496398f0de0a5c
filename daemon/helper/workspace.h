/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Directories of executions, private to this room: STATE/workspaces/<execution>, in a folder of
 * root's, so that no name in it can be changed under the helper; each belongs to aegisd.
 */
#pragma once

#include "daemon/base/base.h"

struct workspaces {
	int state; /* the directory that `dir` and images/ stand in */
	int dir;
	uid_t uid; /* aegisd's */
	gid_t gid;
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
 * without loop devices, ext4 or mkfs; -ENOTEMPTY: it has files, and no image. */
int workspace_limit(
	const struct workspaces *w, struct uuid id, uint64_t bytes, uint64_t inodes) MUST_USE;
/* Mounts the image of the workspace `*fd`, if it has one that is not mounted, and replaces *fd. */
int image_restore(const struct workspaces *w, const char *name, int *fd) MUST_USE;
/* Unmounted and gone; there may be none. */
int image_remove(const struct workspaces *w, struct uuid id) MUST_USE;
/* All of them: sandboxes that have one keep it. */
void images_detach(const struct workspaces *w);

int workspace_remove(const struct workspaces *w, struct uuid execution) MUST_USE;

/* A detached mount of it, nosuid and nodev, in which what aegisd owns on disk belongs to the ids
 * that `idmap_ns` maps to. -EOPNOTSUPP if the file system cannot: nothing else keeps a sandbox's
 * ids apart from aegisd's on disk, so there is no other way. */
int workspace_mount(const struct workspaces *w, struct uuid id, bool read_only, int idmap_ns,
	int *ret_tree) MUST_USE;
