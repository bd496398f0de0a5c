/* SPDX-License-Identifier: AGPL-3.0-only */
/* Where volumes live: implementations of struct fsal_backend. */
#pragma once

#include "nfs/fsal/fsal.h"

/*
 * A local folder: `root` is a descriptor of it and becomes the volume's, also on failure. It holds
 * the volume's files and nothing else. Calls run on the threads of `o`, which outlives the volume.
 */
int backend_local_open(
	int root, struct offload *o, struct span volume_id, struct fsal_volume **ret) MUST_USE;
