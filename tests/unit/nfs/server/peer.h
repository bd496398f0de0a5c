/* SPDX-License-Identifier: AGPL-3.0-only */
/* A client in fibers, and a server of the fake file layer for it to talk to. */
#pragma once

#include "nfs/rpc/mount.h"
#include "nfs/rpc/nfs3.h"
#include "tests/unit/nfs/server/fake_fsal.h"

enum { PEER_ROOM = 256 * 1024 };

struct peer {
	struct stream *stream;
	uint32_t uid; /* sent along */
	size_t taken; /* bytes of the last reply, to be consumed before the next */
	char *out; /* of PEER_ROOM */
};

/* AWAITS, all of them. Failures are EXPECTed, but where a function returns something. */
int peer_open(struct peer *p, const struct sockaddr_in *addr) MUST_USE;
void peer_close(struct peer *p);

/* Sends one call and waits for nothing. */
int peer_send(struct peer *p, uint32_t xid, enum nfs3_proc proc, union nfs3_args *a) MUST_USE;
/* Sends bytes as they are. */
int peer_send_bytes(struct peer *p, struct span bytes) MUST_USE;
/* The next reply: its head, and the results in ret_x until the next peer_ call. -EPIPE at the end.
 */
int peer_next(
	struct peer *p, struct rpc_reply *ret, struct xdr *ret_x, int64_t deadline_ns) MUST_USE;
/* Both, for one call alone under way; views in *ret as in peer_next. */
int peer_call(struct peer *p, uint32_t xid, enum nfs3_proc proc, union nfs3_args *a,
	struct nfs3_res *ret) MUST_USE;
/* The root's handle, by MNT. */
uint32_t peer_mount(
	struct peer *p, const char *path, char ret_handle[NFS3_HANDLE_BYTES], size_t *ret_n);

struct peer_server {
	struct fsal *layer;
	struct nfs_server *server;
	struct sockaddr_in addr;
	struct group group;
	int listening;
	int result;
	bool keep_layer; /* at the stop: another server will take it */
};

/* Exports "/open" (listed), "/secret" (not) and another attachment as "/other" (not). `o` may be
 * NULL; layer, door and reply_file are set here unless given. */
void peer_server_start(struct peer_server *s, const struct nfs_server_options *o);
void peer_server_stop(struct peer_server *s); /* also frees the layer */
