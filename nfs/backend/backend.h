/* SPDX-License-Identifier: AGPL-3.0-only */
/* Where volumes live: implementations of struct fsal_backend. */
#pragma once

#include "nfs/fsal/fsal.h"

struct backend_local_options {
	struct offload *offload; /* for walks over the whole volume; outlives the volume */
	/* For who may not open by handle itself: an O_PATH descriptor of an object of this volume,
	 * by the kernel's handle. -ESTALE: it is gone; any other error: it is looked for. NULL:
	 * nobody can. */
	AWAITS int (*open_handle)(
		void *ctx, int type, struct span handle, int *ret_fd, int64_t deadline_ns);
	void *open_handle_ctx;
	size_t descriptors_max; /* kept open; 0: 16,384; no more than a quarter of the process's */
};

/*
 * A local folder: `root` is a descriptor of it and becomes the volume's, also on failure. It holds
 * the volume's files and nothing else. Whoever else works in it at the same time is seen at once.
 * Where the process may not override permissions, what it owns stays accessible to it whatever mode
 * clients set; the mode that they see is kept beside.
 */
AWAITS int backend_local_open(struct fsal *f, int root, const struct backend_local_options *o,
	struct span volume_id, struct fsal_volume **ret) MUST_USE;

struct backend_memory_options {
	uint64_t bytes_max; /* 0: 64 MiB */
	bool slow; /* every operation parks, as over a network */
	bool objects; /* as a store of whole objects: no links, no rename, nothing to be set */
};

/* Files in memory, for tests; gone when the volume is closed. */
AWAITS int backend_memory_open(struct fsal *f, const struct backend_memory_options *o,
	struct span volume_id, struct fsal_volume **ret) MUST_USE;
