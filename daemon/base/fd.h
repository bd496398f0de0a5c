/* SPDX-License-Identifier: AGPL-3.0-only */
/* Blocking file helpers, for start-up, tools and offload threads; never on a worker thread. */
#pragma once

#include "daemon/base/buf.h"

void fd_cleanup(int *fd); /* closes if >= 0 and leaves -1, keeps errno */
#define AUTO_FD __attribute__((cleanup(fd_cleanup))) int

/* As many descriptors as this process may have: the limit that is asked for at start is low because
 * of select(), which nobody here uses. */
void fd_raise_limit(void);

/* Appends the whole file to b. -E2BIG beyond b's maximum; -errno with the path in the message. On
 * failure b holds what it held before. */
int fd_read_file(const char *path, struct buf *b) MUST_USE;

/* Writes all bytes, repeats on EINTR and short writes. */
int fd_write_all(int fd, struct span s) MUST_USE;

/* Replaces `path` so that a crash leaves the old or the new content, never a mixture:
 * temporary file beside it, fsync, rename, fsync of the folder. The mode is exact. */
int fd_replace_file(const char *path, struct span content, mode_t mode) MUST_USE;

/* mkdir -p; `mode` (less the umask) for every folder that is made. */
int fd_make_dirs(const char *path, mode_t mode) MUST_USE;

/* Removes a tree, of any depth and with any permissions its owner could undo, without following
 * links and without crossing mounts below `path` (-EBUSY, -EXDEV). 0 if there is none. */
int fd_remove_tree(int dirfd, const char *path) MUST_USE;
