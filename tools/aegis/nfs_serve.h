/* SPDX-License-Identifier: AGPL-3.0-only */
/* One directory over NFS: what `aegis nfs serve` runs. */
#pragma once

#include "daemon/base/base.h"
#include <netinet/in.h>

enum { NFS_SERVE_TOKEN_BYTES = 32 };

struct nfs_serve_options {
	const char *directory;
	const char *export_path; /* NULL: a random one, which is the secret that grants access */
	const char *policy_file; /* Cedar, read again on SIGHUP; NULL: nothing is forbidden */
	const char *records_file; /* gets a line of JSON for each operation; NULL: no records */
	int64_t window_ms; /* reads, writes and look-ups of a file within are one record; 0: none */
	const char *state_directory; /* NULL: handles and replies end with the process */
	struct sockaddr_in listen;
	bool posix;
	bool read_only;
	bool sync;
	bool portmap; /* register with this host's port mapper */
};

/* Serves until SIGINT or SIGTERM. Says on standard output how to mount it. */
int nfs_serve(const struct nfs_serve_options *o) MUST_USE;
