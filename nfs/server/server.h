/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The NFS version 3 server (RFC 1813): NFS and MOUNT on one TCP port, over the file layer of
 * nfs/fsal. A server is one listener and the exports that it offers: who can reach the listener
 * can reach these exports and no others. It lives on the worker that made it, with all its
 * connections and the objects of its exports.
 *
 * Calls that the file layer can answer at once are answered in the connection's fiber, and their
 * replies leave together; any other gets a fiber of its own, so that it holds back nobody, and
 * replies may overtake each other. What is under way is bounded per connection, per attachment (a
 * share of what there is, so that a slow volume leaves room for others) and in all; beyond that the
 * answer is NFS3ERR_JUKEBOX, and a client that does not take its replies is cut.
 *
 * A procedure that must not run twice is remembered with its reply (RFC 1813 section 4.5), also
 * across the death of the process if the server is given a file for it.
 *
 * NLM is not offered: clients mount with nolock. AUTH_SYS and AUTH_NONE are accepted; whether a
 * credential's ids count is the export's matter.
 */
#pragma once

#include "nfs/fsal/fsal.h"

struct nfs_server;

struct nfs_server_options {
	struct fsal *layer; /* outlives the server, as its attachments do */
	const void *door; /* the one that the exported attachments were made with */
	int connections_max; /* 0: LIMIT_NFS_CONNECTIONS; further ones are closed at once */
	int connection_calls_max; /* under way apart from the connection's fiber; 0:
				     LIMIT_NFS_CONNECTION_CALLS */
	int calls_max; /* of all connections; 0: LIMIT_NFS_CALLS */
	int buffers_max; /* of LIMIT_RPC_RECORD_BYTES, for long calls and replies; 0:
			    LIMIT_NFS_BUFFERS */
	uint32_t replies; /* remembered; 0: LIMIT_NFS_REPLIES */
	int reply_file; /* where they survive the process; becomes the server's, also on failure;
			   -1: nowhere */
	int64_t idle_ms; /* a connection without calls ends; 0: 10 minutes */
	int64_t client_ms; /* to take a reply, or to send the rest of a call; 0: 30 s */
};

int nfs_server_new(const struct nfs_server_options *o, struct nfs_server **ret) MUST_USE;
void nfs_server_free(struct nfs_server *s); /* not while it serves; NULL is allowed */

/*
 * Offers the root of an attachment, which outlives the server, under `path` ("/t/v", copied).
 * `listed`: MOUNT's EXPORT and DUMP show the path; a path that is a secret is not listed. Clients
 * may mount folders below it, too. -EEXIST.
 */
int nfs_server_export(
	struct nfs_server *s, struct span path, bool listed, struct fsal_attachment *at) MUST_USE;

/* Accepts and serves until cancelled (-ECANCELED) or accepting fails for good. Takes `listening`.
 * When it returns, no connection is left. */
AWAITS int nfs_server_run(struct nfs_server *s, int listening) MUST_USE;

struct nfs_server_stats {
	uint64_t calls;
	uint64_t own_fibers; /* calls that got one */
	uint64_t replayed; /* answered from memory */
	uint64_t jukebox;
	uint64_t cut; /* connections ended for slowness or nonsense */
	uint64_t refused; /* connections beyond the maximum */
};
struct nfs_server_stats nfs_server_stats(const struct nfs_server *s);
