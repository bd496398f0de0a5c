/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Messages and records of ONC RPC. Nothing here knows a program: what stands behind a message's
 * head is the caller's.
 */
#include "nfs/rpc/rpc.h"

/* ---- records ---- */

void rpc_record_init(struct rpc_record *r, void *memory, size_t cap)
{
	*r = (struct rpc_record){.data = memory, .cap = cap};
}

static int begin_fragment(struct rpc_record *r, const char *p)
{
	struct rpc_mark m = rpc_mark_get(p);
	if (m.bytes > r->cap - r->len)
		return -EMSGSIZE;
	if ((m.bytes == 0 && !m.last) || r->fragments == LIMIT_RPC_FRAGMENTS)
		return -EPROTO;
	r->fragments++;
	r->fragment_left = m.bytes;
	r->last = m.last;
	return 0;
}

int rpc_record_feed(struct rpc_record *r, struct span in, size_t *ret_taken)
{
	size_t taken = 0;
	*ret_taken = 0;
	while (!(r->last && r->fragment_left == 0)) {
		if (r->fragment_left == 0) {
			if (in.n - taken < RPC_MARK_BYTES)
				break;
			int e = begin_fragment(r, in.p + taken);
			if (e < 0)
				return e;
			taken += RPC_MARK_BYTES;
			continue;
		}
		size_t n = MIN(in.n - taken, (size_t)r->fragment_left);
		if (n == 0)
			break;
		memcpy(r->data + r->len, in.p + taken, n);
		r->len += n;
		r->fragment_left -= (uint32_t)n;
		taken += n;
	}
	*ret_taken = taken;
	return r->last && r->fragment_left == 0 ? RPC_RECORD_COMPLETE : 0;
}

/* ---- calls ---- */

static void auth_sys(struct xdr *x, struct rpc_auth_sys *a)
{
	xdr_u32(x, &a->stamp);
	xdr_opaque(x, &a->machine, RPC_AUTH_SYS_MACHINE_BYTES);
	xdr_u32(x, &a->uid);
	xdr_u32(x, &a->gid);
	xdr_enum(x, &a->gid_count, RPC_AUTH_SYS_GIDS);
	for (uint32_t i = 0; i < a->gid_count; i++)
		xdr_u32(x, &a->gids[i]);
}

static int decode_credential(struct rpc_call *c)
{
	if (c->flavor == RPC_AUTH_NONE)
		return 0;
	if (c->flavor != RPC_AUTH_SYS)
		return RPC_CALL_BAD_CREDENTIAL;
	struct xdr x = xdr_decoder(c->cred);
	auth_sys(&x, &c->sys);
	return x.bad || xdr_left(&x) > 0 ? RPC_CALL_BAD_CREDENTIAL : 0;
}

int rpc_call_decode(struct xdr *x, struct rpc_call *c)
{
	uint32_t type = RPC_REPLY;
	uint32_t version = 0;
	uint32_t verf_flavor = 0;
	struct span verf;
	xdr_u32(x, &c->xid);
	xdr_u32(x, &type);
	xdr_u32(x, &version);
	if (x->bad || type != RPC_CALL)
		return -EBADMSG;
	if (version != RPC_VERSION)
		return RPC_CALL_VERSION;
	xdr_u32(x, &c->prog);
	xdr_u32(x, &c->vers);
	xdr_u32(x, &c->proc);
	xdr_u32(x, &c->flavor);
	if (x->bad)
		return -EBADMSG;
	xdr_opaque(x, &c->cred, RPC_AUTH_BODY_BYTES);
	if (x->bad)
		return RPC_CALL_BAD_CREDENTIAL;
	xdr_u32(x, &verf_flavor);
	xdr_opaque(x, &verf, RPC_AUTH_BODY_BYTES);
	if (x->bad)
		return RPC_CALL_BAD_VERIFIER;
	return decode_credential(c);
}

void rpc_call_encode(struct xdr *x, struct rpc_call *c)
{
	char body[RPC_AUTH_BODY_BYTES];
	struct xdr cred = xdr_encoder(body, sizeof(body));
	if (c->flavor == RPC_AUTH_SYS)
		auth_sys(&cred, &c->sys);
	x->bad |= cred.bad;
	struct span text = span_of(body, (size_t)(cred.p - body));
	xdr_u32(x, &c->xid);
	xdr_put_u32(x, RPC_CALL);
	xdr_put_u32(x, RPC_VERSION);
	xdr_u32(x, &c->prog);
	xdr_u32(x, &c->vers);
	xdr_u32(x, &c->proc);
	xdr_u32(x, &c->flavor);
	xdr_opaque(x, &text, RPC_AUTH_BODY_BYTES);
	xdr_put_u32(x, RPC_AUTH_NONE);
	xdr_put_u32(x, 0);
}

/* ---- replies ---- */

void rpc_accept(struct xdr *x, uint32_t xid, enum rpc_accept_stat stat)
{
	xdr_u32(x, &xid);
	xdr_put_u32(x, RPC_REPLY);
	xdr_put_u32(x, RPC_MSG_ACCEPTED);
	xdr_put_u32(x, RPC_AUTH_NONE);
	xdr_put_u32(x, 0);
	xdr_put_u32(x, stat);
}

void rpc_accept_mismatch(struct xdr *x, uint32_t xid, uint32_t low, uint32_t high)
{
	rpc_accept(x, xid, RPC_PROG_MISMATCH);
	xdr_u32(x, &low);
	xdr_u32(x, &high);
}

static void deny(struct xdr *x, uint32_t xid, enum rpc_reject_stat stat)
{
	xdr_u32(x, &xid);
	xdr_put_u32(x, RPC_REPLY);
	xdr_put_u32(x, RPC_MSG_DENIED);
	xdr_put_u32(x, stat);
}

void rpc_deny_version(struct xdr *x, uint32_t xid)
{
	deny(x, xid, RPC_MISMATCH);
	xdr_put_u32(x, RPC_VERSION);
	xdr_put_u32(x, RPC_VERSION);
}

void rpc_deny_auth(struct xdr *x, uint32_t xid, enum rpc_auth_stat why)
{
	deny(x, xid, RPC_AUTH_ERROR);
	xdr_put_u32(x, why);
}

static void decode_denied(struct xdr *x, struct rpc_reply *r)
{
	xdr_enum(x, &r->stat, RPC_AUTH_ERROR);
	if (r->stat == RPC_AUTH_ERROR) {
		xdr_u32(x, &r->auth_stat);
		return;
	}
	xdr_u32(x, &r->low);
	xdr_u32(x, &r->high);
}

int rpc_reply_decode(struct xdr *x, struct rpc_reply *r)
{
	uint32_t type = RPC_CALL;
	uint32_t flavor = 0;
	struct span verf;
	*r = (struct rpc_reply){0};
	xdr_u32(x, &r->xid);
	xdr_u32(x, &type);
	xdr_enum(x, &r->reply_stat, RPC_MSG_DENIED);
	if (x->bad || type != RPC_REPLY)
		return -EBADMSG;
	if (r->reply_stat == RPC_MSG_DENIED) {
		decode_denied(x, r);
		return x->bad ? -EBADMSG : 0;
	}
	xdr_u32(x, &flavor);
	xdr_opaque(x, &verf, RPC_AUTH_BODY_BYTES);
	xdr_enum(x, &r->stat, RPC_SYSTEM_ERR);
	if (r->stat == RPC_PROG_MISMATCH) {
		xdr_u32(x, &r->low);
		xdr_u32(x, &r->high);
	}
	return x->bad ? -EBADMSG : 0;
}
