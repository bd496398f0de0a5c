/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The first byte chooses what the rest is: arguments or results of a procedure of NFS, a MOUNT
 * message, a call's head, a reply's, or a record in fragments. What can be read is written again,
 * reads as the same, and has the same length.
 */
#include "nfs/rpc/mount.h"
#include "nfs/rpc/nfs3.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RESULTS = 32, CALL = 64, REPLY, MNT, DUMP, EXPORT, RECORD, PATH };

static char room[8192];

static void check_args(struct span in, enum nfs3_proc proc)
{
	union nfs3_args a = {0};
	union nfs3_args again = {0};
	struct xdr x = xdr_decoder(in);
	nfs3_args(&x, proc, &a);
	if (x.bad)
		return;
	size_t used = in.n - xdr_left(&x);
	struct xdr out = xdr_encoder(room, sizeof(room));
	nfs3_args(&out, proc, &a);
	CHECK(!out.bad && (size_t)(out.p - room) == used);
	struct xdr back = xdr_decoder(span_of(room, used));
	nfs3_args(&back, proc, &again);
	CHECK(!back.bad && xdr_left(&back) == 0);
}

static void check_listing(struct xdr *x, bool plus)
{
	struct nfs3_dir_item e;
	bool eof = false;
	size_t left = xdr_left(x);
	while (nfs3_dir_item(x, plus, &e)) {
		CHECK(xdr_left(x) < left);
		left = xdr_left(x);
	}
	nfs3_dir_end(x, &eof);
}

static void check_results(struct span in, enum nfs3_proc proc)
{
	struct nfs3_res r = {0};
	struct xdr x = xdr_decoder(in);
	nfs3_res(&x, proc, &r);
	if (x.bad)
		return;
	size_t used = in.n - xdr_left(&x);
	struct xdr out = xdr_encoder(room, sizeof(room));
	nfs3_res(&out, proc, &r);
	CHECK(!out.bad && (size_t)(out.p - room) == used);
	if (proc == NFS3_READDIR || proc == NFS3_READDIRPLUS)
		check_listing(&x, proc == NFS3_READDIRPLUS);
}

static void check_call(struct span in)
{
	struct rpc_call c = {0};
	struct xdr x = xdr_decoder(in);
	if (rpc_call_decode(&x, &c) != 0)
		return;
	struct xdr out = xdr_encoder(room, sizeof(room));
	rpc_call_encode(&out, &c);
	CHECK(!out.bad);
	struct rpc_call again = {0};
	struct xdr back = xdr_decoder(span_of(room, (size_t)(out.p - room)));
	CHECK(rpc_call_decode(&back, &again) == 0);
	CHECK(again.xid == c.xid && again.proc == c.proc && again.sys.uid == c.sys.uid);
}

static void check_mount(struct span in, int what)
{
	struct mount_mnt_res r = {0};
	struct span host;
	struct span path;
	struct xdr x = xdr_decoder(in);
	if (what == MNT)
		mount_mnt_res(&x, &r);
	else if (what == DUMP)
		while (mount_dump_item(&x, &host, &path))
			;
	else
		while (mount_export_item(&x, &path))
			;
}

/* The arguments of MNT and UMNT. */
static void check_path(struct span in)
{
	struct span path = {0};
	struct span again = {0};
	struct xdr x = xdr_decoder(in);
	mount_path(&x, &path);
	if (x.bad)
		return;
	CHECK(path.n <= MOUNT_PATH_BYTES);
	struct xdr out = xdr_encoder(room, sizeof(room));
	mount_path(&out, &path);
	CHECK(!out.bad);
	struct xdr back = xdr_decoder(span_of(room, (size_t)(out.p - room)));
	mount_path(&back, &again);
	CHECK(!back.bad && span_eq(path, again));
}

/* Cut anywhere, the outcome is the same. */
static void check_record(struct span in)
{
	static char memory[2][256];
	struct rpc_record whole;
	struct rpc_record pieces;
	size_t taken;
	rpc_record_init(&whole, memory[0], sizeof(memory[0]));
	rpc_record_init(&pieces, memory[1], sizeof(memory[1]));
	int want = rpc_record_feed(&whole, in, &taken);
	int got = 0;
	size_t at = 0;
	for (size_t end = 1; end <= in.n && got == 0; end++) {
		size_t n;
		got = rpc_record_feed(&pieces, span_sub(in, at, end), &n);
		at += n;
	}
	CHECK(got == want);
	if (want == RPC_RECORD_COMPLETE)
		CHECK(at == taken && whole.len == pieces.len &&
			memcmp(memory[0], memory[1], whole.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1 || size > sizeof(room) / 2)
		return 0;
	struct span in = span_of(data + 1, size - 1);
	struct rpc_reply reply;
	struct xdr x = xdr_decoder(in);
	if (data[0] < NFS3_PROC_COUNT)
		check_args(in, data[0]);
	else if (data[0] >= RESULTS && data[0] < RESULTS + NFS3_PROC_COUNT)
		check_results(in, data[0] - RESULTS);
	else if (data[0] == CALL)
		check_call(in);
	else if (data[0] == REPLY)
		(void)!rpc_reply_decode(&x, &reply);
	else if (data[0] >= MNT && data[0] <= EXPORT)
		check_mount(in, data[0]);
	else if (data[0] == PATH)
		check_path(in);
	else if (data[0] == RECORD)
		check_record(in);
	return 0;
}
