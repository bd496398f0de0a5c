/* SPDX-License-Identifier: AGPL-3.0-only */
/* Where volumes live: implementations of struct fsal_backend. */
#pragma once

#include "nfs/fsal/fsal.h"

/*
 * A local folder. `root` holds the volume's files and nothing else; `staging` is a folder on the
 * same file system, outside the root, for content that is not complete yet. Calls run on the
 * threads of `o`, which outlives the volume. Both folders must exist; they are kept by descriptor,
 * so that a rename of them does not matter.
 */
int backend_local_open(const char *root, const char *staging, struct offload *o,
	struct span volume_id, struct fsal_volume **ret) MUST_USE;
