/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the server's files share; for this room only. */
#pragma once

#include "nfs/server/server.h"
#include "nfs/server/reply_cache.h"
#include "nfs/rpc/mount.h"
#include "nfs/rpc/nfs3.h"

/* ---- buffers.c: memory for long calls and replies ---- */

enum {
	BUFFER_BYTES = LIMIT_RPC_RECORD_BYTES,
	SMALL_REPLY_BYTES = 1024, /* no reply but those of READ and of listings is longer */
	SMALL_ROOM_BYTES = 16 * 1024, /* a connection's own, for small replies */
	LONG_RECORD_BYTES = 16 * 1024, /* longer ones are received into their place */
	SHORT_RECORD_BYTES = 64 * 1024, /* longer calls are put together in a buffer */
	SHORT_KEEP_BYTES = 16 * 1024, /* a connection's own, for shorter ones */
};

struct buffers {
	char **idle;
	int idle_count;
	int made;
	int max;
	struct waitq waiting;
};

int buffers_init(struct buffers *b, int max) MUST_USE;
void buffers_fini(struct buffers *b); /* all are back; a zeroed one is allowed */
char *buffers_try(struct buffers *b); /* NULL: none left */
AWAITS int buffers_get(struct buffers *b, char **ret, int64_t deadline_ns) MUST_USE;
void buffers_put(struct buffers *b, char *p); /* NULL is allowed */

/* ---- the server ---- */

struct share {
	int calls; /* in fibers of their own */
};

struct export
{
	struct list link;
	char *path;
	bool listed;
	struct fsal_attachment *at;
	struct share share;
};

struct nfs_server {
	struct nfs_server_options options;
	struct list exports;
	struct list mounts; /* mount_table.c */
	int mount_count;
	struct reply_cache *replies;
	struct buffers buffers;
	struct group connections;
	int connection_count;
	int call_count; /* in fibers of their own */
	struct share unknown; /* of calls whose object has to be looked for first */
	uint8_t write_verf[NFS3_VERIFIER_BYTES];
	struct nfs_server_stats stats;
};

/* ---- conn.c: one connection ---- */

struct conn {
	struct nfs_server *server;
	struct stream *stream;
	int fd; /* until the stream has it */
	uint8_t client[16]; /* address without port */
	size_t client_bytes;
	struct group calls;
	int call_count;
	struct waitq call_ended;
	/* Replies of this turn. */
	char *small;
	size_t small_used;
	char *large; /* of the server's buffers; NULL: none taken */
	size_t large_used;
	/* A call that is being put together. */
	bool assembling;
	int64_t record_deadline_ns; /* for all of it */
	struct rpc_record record;
	char *record_memory; /* of the server's buffers, for a long one; else it stands in: */
	char *short_memory;
	size_t short_cap;
};

void conn_serve(void *conn); /* a fiber; frees the connection */

/* ---- call.c: one call ---- */

struct call {
	struct conn *conn;
	struct nfs_server *server;
	struct rpc_call rpc;
	struct span body; /* the arguments as they came */
	union nfs3_args args; /* if prog is NFS */
	bool may_park;
	const struct fsal_attachment *at; /* of the object that it is about, once that is known */
	struct share *share; /* that it has a part of */
	struct reply_slot *slot; /* its place in the reply cache, once it has one */
	bool settle; /* a process that died had begun it */
	int64_t intent_ns;
	struct fsal_call fs;
	struct fsal_cred cred;
};

enum call_outcome {
	CALL_NO_REPLY = 1, /* it cannot be answered */
	CALL_WOULD_PARK, /* and may not */
};

/* Reads the head and, for NFS, the arguments. 0: call_run may follow. CALL_NO_REPLY. A call that is
 * wrong has its answer written to *out already: CALL_ANSWERED. */
enum { CALL_ANSWERED = 10 };
int call_read(struct call *q, struct span record, struct xdr *out) MUST_USE;
size_t call_reply_bytes(const struct call *q); /* at most, mark and head included */
/* Writes the reply without its mark. 0, or an enum call_outcome; nothing is written then. */
AWAITS int call_run(struct call *q, struct xdr *out) MUST_USE;
void call_answer_busy(struct call *q, struct xdr *out); /* NFS3ERR_JUKEBOX */
void call_forget(struct call *q); /* it was not run, and will not be */

/* ---- admit.c: calls in fibers of their own ---- */

/* False: the client has to be told that the server is busy. */
AWAITS bool call_admit(struct call *q);
void call_leave(struct call *q); /* a call that was admitted is done */

/* ---- the programs ---- */

/*
 * A procedure of NFS: fills *res, its status included, which is then written. Also
 * CALL_WOULD_PARK, a negative errno if it is not known what was done (cancelled), or CALL_ANSWERED
 * if it wrote its results to *out itself. For READ, *out is where the results will stand.
 */
typedef AWAITS int (*nfs_procedure)(struct call *q, struct nfs3_res *res, struct xdr *out);
extern const nfs_procedure nfs_procedures[NFS3_PROC_COUNT];

/* ---- convert.c, status.c: between the wire and the file layer ---- */

void put_attr(struct nfs3_fattr *to, const struct fsal_attr *from);
void put_post(struct nfs3_post_op_attr *to, const struct fsal_post *from);
void put_wcc(struct nfs3_wcc *to, const struct fsal_wcc *from);
void put_made(struct nfs3_create_res *to, const struct fsal_made *from, bool ok);
void get_sattr(struct fsal_sattr *to, const struct nfs3_sattr *from);
int64_t get_time(struct nfs3_time t);

/* The status that a procedure answers where the file layer said `r`. */
enum nfs3_stat status_of(int r);

/* Ends a procedure: what it returns, with the status set. */
int answer(struct nfs3_res *res, int r);

static inline int find(struct call *q, struct span handle, struct fsal_object **ret)
{
	int r = fsal_find(q->server->options.layer, &q->fs, handle, ret);
	if (r == 0)
		q->at = fsal_object_attachment(*ret);
	return r;
}

/* Two objects at once, both referenced, for fsal_unref. */
AWAITS int find_two(struct call *q, struct span a, struct span b, struct fsal_object **ret_a,
	struct fsal_object **ret_b) MUST_USE;

/* ---- settle.c: what a process that died had begun ([22]) ---- */

/* Each takes what the repetition was answered, and turns it into success if it failed only because
 * the first attempt had succeeded. */
AWAITS int settle_made(struct call *q, int r, struct fsal_object *dir, struct span name,
	uint32_t type, struct fsal_made *made) MUST_USE;
int settle_removed(const struct call *q, int r, const struct fsal_wcc *dir) MUST_USE;
AWAITS int settle_renamed(struct call *q, int r, struct fsal_object *to, struct span to_name,
	const struct fsal_wcc *to_wcc) MUST_USE;
AWAITS int settle_linked(struct call *q, int r, struct fsal_object *o, struct fsal_object *dir,
	struct span name) MUST_USE;
int settle_changed(const struct call *q, int r, const struct fsal_wcc *wcc) MUST_USE;

AWAITS int mount_run(struct call *q, struct xdr *out) MUST_USE; /* as call_run */
void mount_table_free(struct nfs_server *s);
