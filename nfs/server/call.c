/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One call: which program and procedure it is for, whether it has been answered before, and the
 * frame around its results. What a wrong call is answered is decided here.
 */
#include "nfs/server/internal.h"

enum {
	HEAD_BYTES = RPC_MARK_BYTES + RPC_ACCEPTED_BYTES,
	LIST_REPLY_BYTES = 64 * 1024, /* of DUMP and EXPORT */
	OVERHEAD_BYTES = 128, /* of a READ's or listing's results */
	CALL_TIMEOUT_MS = 20000,
	NOBODY = 65534, /* who comes without a credential */
};

/* ---- reading ---- */

static int refuse(const struct call *q, int outcome, struct xdr *out)
{
	if (outcome == RPC_CALL_VERSION)
		rpc_deny_version(out, q->rpc.xid);
	else if (outcome == RPC_CALL_BAD_CREDENTIAL)
		rpc_deny_auth(out, q->rpc.xid, RPC_AUTH_BADCRED);
	else
		rpc_deny_auth(out, q->rpc.xid, RPC_AUTH_BADVERF);
	return CALL_ANSWERED;
}

static int accepted(const struct call *q, enum rpc_accept_stat stat, struct xdr *out)
{
	rpc_accept(out, q->rpc.xid, stat);
	return CALL_ANSWERED;
}

int call_read(struct call *q, struct span record, struct xdr *out)
{
	struct xdr x = xdr_decoder(record);
	int r = rpc_call_decode(&x, &q->rpc);
	if (r < 0)
		return CALL_NO_REPLY;
	if (r > 0)
		return refuse(q, r, out);
	const struct rpc_call *c = &q->rpc;
	if (c->prog != NFS3_PROGRAM && c->prog != MOUNT_PROGRAM)
		return accepted(q, RPC_PROG_UNAVAIL, out);
	bool nfs = c->prog == NFS3_PROGRAM;
	if (c->vers != 3) {
		rpc_accept_mismatch(out, c->xid, 3, 3);
		return CALL_ANSWERED;
	}
	if (c->proc >= (nfs ? (uint32_t)NFS3_PROC_COUNT : (uint32_t)MOUNT_PROC_COUNT))
		return accepted(q, RPC_PROC_UNAVAIL, out);
	q->body = xdr_rest(&x);
	if (!nfs)
		return 0;
	nfs3_args(&x, c->proc, &q->args);
	return x.bad || xdr_left(&x) > 0 ? accepted(q, RPC_GARBAGE_ARGS, out) : 0;
}

static size_t results_bytes(const struct call *q)
{
	if (q->rpc.prog == MOUNT_PROGRAM) {
		bool list = q->rpc.proc == MOUNT_DUMP || q->rpc.proc == MOUNT_EXPORT;
		return list ? LIST_REPLY_BYTES : SMALL_REPLY_BYTES - HEAD_BYTES;
	}
	if (q->rpc.proc == NFS3_READ)
		return OVERHEAD_BYTES + MIN(q->args.read.count, (uint32_t)LIMIT_NFS_IO_BYTES);
	if (q->rpc.proc == NFS3_READDIR || q->rpc.proc == NFS3_READDIRPLUS)
		return OVERHEAD_BYTES +
			MIN(q->args.readdir.maxcount, (uint32_t)LIMIT_NFS_LISTING_BYTES);
	if (q->rpc.proc == NFS3_READLINK)
		return OVERHEAD_BYTES + LIMIT_PATH_BYTES;
	return SMALL_REPLY_BYTES - HEAD_BYTES;
}

size_t call_reply_bytes(const struct call *q)
{
	return HEAD_BYTES + results_bytes(q);
}

/* ---- running ---- */

static bool once_only(const struct call *q)
{
	switch ((enum nfs3_proc)q->rpc.proc) {
	case NFS3_SETATTR:
	case NFS3_WRITE:
	case NFS3_CREATE:
	case NFS3_MKDIR:
	case NFS3_SYMLINK:
	case NFS3_MKNOD:
	case NFS3_REMOVE:
	case NFS3_RMDIR:
	case NFS3_RENAME:
	case NFS3_LINK:
		return true;
	default:
		return false;
	}
}

static int run_procedure(struct call *q, struct xdr *out, uint32_t *ret_status)
{
	struct xdr start = *out;
	struct nfs3_res res = {0};
	enum nfs3_proc proc = q->rpc.proc;
	rpc_accept(out, q->rpc.xid, RPC_SUCCESS);
	int r = nfs_procedures[proc](q, &res, out);
	*ret_status = res.status;
	if (r == CALL_ANSWERED)
		return 0;
	if (r != 0) {
		*out = start;
		return r;
	}
	if (res.status == NFS3ERR_JUKEBOX)
		q->server->stats.jukebox++;
	nfs3_res(out, proc, &res);
	return 0;
}

/* Finds the call's place in the reply cache. 0: it has one and is to be run; REPLY_DONE; else as
 * call_run. */
static int claim(struct call *q)
{
	const struct reply_key key = {
		.client = span_of(q->conn->client, q->conn->client_bytes),
		.xid = q->rpc.xid,
		.proc = q->rpc.proc,
		.cred = q->rpc.cred,
		.args = q->body,
	};
	for (;;) {
		struct reply_slot *slot;
		switch (reply_cache_begin(q->server->replies, &key, &slot, &q->intent_ns)) {
		case REPLY_UNFINISHED:
			q->settle = true;
			q->slot = slot;
			return 0;
		case REPLY_NEW:
			q->slot = slot;
			return 0;
		case REPLY_DONE:
			q->slot = slot;
			return REPLY_DONE;
		case REPLY_FULL:
			return -EAGAIN;
		case REPLY_IN_PROGRESS:
			break;
		}
		if (!q->may_park)
			return CALL_WOULD_PARK;
		int r = reply_cache_wait(q->server->replies, slot, DEADLINE_NONE);
		if (r < 0)
			return r;
	}
}

static void repeat_reply(struct call *q, struct xdr *out)
{
	struct span reply = reply_cache_reply(q->slot);
	q->server->stats.replayed++;
	xdr_fixed(out, (void *)(uintptr_t)reply.p, reply.n);
}

static int run_once(struct call *q, struct xdr *out)
{
	if (!q->slot) {
		int r = claim(q);
		if (r == REPLY_DONE) {
			repeat_reply(q, out);
			return 0;
		}
		if (r == -EAGAIN) {
			call_answer_busy(q, out);
			return 0;
		}
		if (r != 0)
			return r;
	}
	struct reply_cache *replies = q->server->replies;
	char *start = out->p;
	uint32_t status;
	int r = run_procedure(q, out, &status);
	if (r == CALL_WOULD_PARK)
		return r;
	if (r < 0)
		reply_cache_abandon(replies, q->slot);
	else if (status == NFS3ERR_JUKEBOX)
		reply_cache_drop(replies, q->slot);
	else
		reply_cache_done(replies, q->slot, span_of(start, (size_t)(out->p - start)));
	return r;
}

/* Who asks, in the file layer's words. Whether it counts is the export's matter. */
static void set_cred(struct call *q)
{
	const struct rpc_auth_sys *sys = &q->rpc.sys;
	q->fs.door = q->server->options.door;
	q->fs.may_park = q->may_park;
	q->fs.cred = &q->cred;
	if (q->rpc.flavor == RPC_AUTH_NONE) {
		q->cred.uid = NOBODY;
		q->cred.gid = NOBODY;
		return;
	}
	q->cred.uid = sys->uid;
	q->cred.gid = sys->gid;
	q->cred.group_count = sys->gid_count;
	memcpy(q->cred.groups, sys->gids, sys->gid_count * sizeof(sys->gids[0]));
}

int call_run(struct call *q, struct xdr *out)
{
	set_cred(q);
	if (q->rpc.prog == MOUNT_PROGRAM)
		return mount_run(q, out);
	if (once_only(q)) {
		q->fs.deadline_ns = DEADLINE_NONE; /* half done is worse than late */
		return run_once(q, out);
	}
	uint32_t status;
	q->fs.deadline_ns = q->may_park ? deadline_in_ms(CALL_TIMEOUT_MS) : DEADLINE_NONE;
	return run_procedure(q, out, &status);
}

void call_forget(struct call *q)
{
	if (q->slot)
		reply_cache_drop(q->server->replies, q->slot);
	q->slot = NULL;
}

void call_answer_busy(struct call *q, struct xdr *out)
{
	call_forget(q);
	q->server->stats.jukebox++;
	if (q->rpc.prog == MOUNT_PROGRAM) {
		rpc_accept(out, q->rpc.xid, RPC_SYSTEM_ERR);
		return;
	}
	struct nfs3_res res = {.status = NFS3ERR_JUKEBOX};
	rpc_accept(out, q->rpc.xid, RPC_SUCCESS);
	nfs3_res(out, q->rpc.proc, &res);
}
