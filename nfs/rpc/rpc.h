/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * ONC RPC version 2 over TCP (RFC 5531): record marks, calls, replies, the credentials AUTH_NONE
 * and AUTH_SYS. Pure functions on bytes, for servers and for clients. nfs3.h and mount.h hold the
 * two programs.
 */
#pragma once

#include "nfs/rpc/xdr.h"

/* ---- record marking (section 11) ---- */

enum { RPC_MARK_BYTES = 4 };

struct rpc_mark {
	bool last; /* fragment of its record */
	uint32_t bytes;
};

static inline struct rpc_mark rpc_mark_get(const void *p)
{
	uint32_t wire;
	memcpy(&wire, p, sizeof(wire));
	wire = be32toh(wire);
	return (struct rpc_mark){wire >> 31, wire & 0x7fffffff};
}

static inline void rpc_mark_put(void *p, struct rpc_mark m)
{
	uint32_t wire = htobe32(m.bytes | (uint32_t)m.last << 31);
	memcpy(p, &wire, sizeof(wire));
}

/* A record put together from fragments, or from pieces of one, in memory that the caller gives. */
struct rpc_record {
	char *data;
	size_t cap;
	size_t len;
	uint32_t fragment_left;
	uint32_t fragments; /* begun */
	bool last; /* the fragment under way ends the record */
};

enum rpc_record_outcome { RPC_RECORD_COMPLETE = 1 };

void rpc_record_init(struct rpc_record *r, void *memory, size_t cap);

/* Takes what belongs to the record off the front of `in`. 0: more is needed;
 * RPC_RECORD_COMPLETE: data[0, len) is the record. -EMSGSIZE: longer than cap; -EPROTO: more than
 * LIMIT_RPC_FRAGMENTS fragments, or an empty one that is not the last. Starts no trail. */
int rpc_record_feed(struct rpc_record *r, struct span in, size_t *ret_taken) MUST_USE;

/* ---- messages (section 9) ---- */

enum rpc_msg_type { RPC_CALL = 0, RPC_REPLY = 1 };
enum rpc_reply_stat { RPC_MSG_ACCEPTED = 0, RPC_MSG_DENIED = 1 };
enum rpc_accept_stat {
	RPC_SUCCESS = 0,
	RPC_PROG_UNAVAIL = 1,
	RPC_PROG_MISMATCH = 2,
	RPC_PROC_UNAVAIL = 3,
	RPC_GARBAGE_ARGS = 4,
	RPC_SYSTEM_ERR = 5,
};
enum rpc_reject_stat { RPC_MISMATCH = 0, RPC_AUTH_ERROR = 1 };
enum rpc_auth_stat {
	RPC_AUTH_OK = 0,
	RPC_AUTH_BADCRED = 1,
	RPC_AUTH_REJECTEDCRED = 2,
	RPC_AUTH_BADVERF = 3,
	RPC_AUTH_REJECTEDVERF = 4,
	RPC_AUTH_TOOWEAK = 5,
};
enum rpc_auth_flavor { RPC_AUTH_NONE = 0, RPC_AUTH_SYS = 1 };

enum {
	RPC_VERSION = 2,
	RPC_AUTH_BODY_BYTES = 400,
	RPC_AUTH_SYS_GIDS = 16,
	RPC_AUTH_SYS_MACHINE_BYTES = 255,
};

struct rpc_auth_sys { /* appendix A */
	uint32_t stamp;
	struct span machine;
	uint32_t uid;
	uint32_t gid;
	uint32_t gid_count;
	uint32_t gids[RPC_AUTH_SYS_GIDS];
};

struct rpc_call {
	uint32_t xid;
	uint32_t prog;
	uint32_t vers;
	uint32_t proc;
	uint32_t flavor; /* enum rpc_auth_flavor */
	struct span cred; /* the credential's body as it came */
	struct rpc_auth_sys sys; /* for RPC_AUTH_SYS */
};

enum rpc_call_outcome {
	RPC_CALL_VERSION = 1, /* not RPC version 2: answer RPC_MISMATCH */
	RPC_CALL_BAD_CREDENTIAL, /* answer RPC_AUTH_BADCRED */
	RPC_CALL_BAD_VERIFIER, /* answer RPC_AUTH_BADVERF */
};

/* Reads the head of a call; *x then stands at the arguments. ret->xid is set for every outcome.
 * -EBADMSG: not a call that could be answered at all. Starts no trail. */
int rpc_call_decode(struct xdr *x, struct rpc_call *ret) MUST_USE;

/* Writes a head with flavor's credential and an empty verifier. */
void rpc_call_encode(struct xdr *x, struct rpc_call *c);

/* Heads of replies. Results follow an accepted RPC_SUCCESS. */
void rpc_accept(struct xdr *x, uint32_t xid, enum rpc_accept_stat stat);
void rpc_accept_mismatch(struct xdr *x, uint32_t xid, uint32_t low, uint32_t high);
void rpc_deny_version(struct xdr *x, uint32_t xid);
void rpc_deny_auth(struct xdr *x, uint32_t xid, enum rpc_auth_stat why);

enum { RPC_ACCEPTED_BYTES = 24 /* head of an accepted reply */ };

struct rpc_reply {
	uint32_t xid;
	uint32_t reply_stat; /* enum rpc_reply_stat */
	uint32_t stat; /* enum rpc_accept_stat, or rpc_reject_stat when denied */
	uint32_t low, high; /* of a mismatch */
	uint32_t auth_stat; /* of RPC_AUTH_ERROR */
};

/* The client's side; *x then stands at the results. -EBADMSG. Starts no trail. */
int rpc_reply_decode(struct xdr *x, struct rpc_reply *ret) MUST_USE;
