/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/unit/nfs/server/peer.h"
#include "tests/unit/daemon/rt/in_fiber.h"
#include <stdlib.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000 };

int peer_open(struct peer *p, const struct sockaddr_in *addr)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	*p = (struct peer){0};
	int r = rt_connect(
		fd, (const struct sockaddr *)addr, sizeof(*addr), deadline_in_ms(PATIENCE_MS));
	if (r < 0) {
		rt_close(fd);
		return r;
	}
	p->out = malloc(PEER_ROOM);
	CHECK(p->out);
	r = stream_start(fd, &p->stream);
	if (r < 0)
		free(p->out);
	return r;
}

void peer_close(struct peer *p)
{
	stream_stop(p->stream);
	free(p->out);
}

int peer_send_bytes(struct peer *p, struct span bytes)
{
	return stream_send(p->stream, bytes, deadline_in_ms(PATIENCE_MS));
}

static struct xdr begin(struct peer *p, uint32_t xid, uint32_t prog, uint32_t proc)
{
	struct rpc_call c = {
		.xid = xid, .prog = prog, .vers = 3, .proc = proc, .flavor = RPC_AUTH_SYS};
	c.sys = (struct rpc_auth_sys){.machine = SPAN("peer"), .uid = p->uid};
	struct xdr x = xdr_encoder(p->out + RPC_MARK_BYTES, PEER_ROOM - RPC_MARK_BYTES);
	rpc_call_encode(&x, &c);
	return x;
}

static int finish(struct peer *p, const struct xdr *x)
{
	size_t n = (size_t)(x->p - p->out);
	CHECK(!x->bad);
	rpc_mark_put(p->out, (struct rpc_mark){true, (uint32_t)(n - RPC_MARK_BYTES)});
	return peer_send_bytes(p, span_of(p->out, n));
}

int peer_send(struct peer *p, uint32_t xid, enum nfs3_proc proc, union nfs3_args *a)
{
	struct xdr x = begin(p, xid, NFS3_PROGRAM, proc);
	nfs3_args(&x, proc, a);
	return finish(p, &x);
}

int peer_next(struct peer *p, struct rpc_reply *ret, struct xdr *ret_x, int64_t deadline_ns)
{
	size_t need = RPC_MARK_BYTES;
	stream_consume(p->stream, p->taken);
	p->taken = 0;
	for (;;) {
		struct span view;
		int r = stream_peek(p->stream, need - 1, &view, deadline_ns);
		if (r < 0)
			return r;
		if (view.n < need)
			return -EPIPE;
		size_t n = RPC_MARK_BYTES + rpc_mark_get(view.p).bytes;
		if (view.n >= n) {
			p->taken = n;
			*ret_x = xdr_decoder(span_sub(view, RPC_MARK_BYTES, n));
			return rpc_reply_decode(ret_x, ret);
		}
		need = n;
	}
}

int peer_call(
	struct peer *p, uint32_t xid, enum nfs3_proc proc, union nfs3_args *a, struct nfs3_res *ret)
{
	struct rpc_reply reply;
	struct xdr x;
	int r = peer_send(p, xid, proc, a);
	if (r == 0)
		r = peer_next(p, &reply, &x, deadline_in_ms(PATIENCE_MS));
	if (r < 0)
		return r;
	*ret = (struct nfs3_res){0};
	nfs3_res(&x, proc, ret);
	bool list = proc == NFS3_READDIR || proc == NFS3_READDIRPLUS;
	bool whole = list || xdr_left(&x) == 0;
	return reply.xid == xid && reply.stat == RPC_SUCCESS && !x.bad && whole ? 0 : -EBADMSG;
}

uint32_t peer_mount(
	struct peer *p, const char *path, char ret_handle[NFS3_HANDLE_BYTES], size_t *ret_n)
{
	struct span text = span_cstr(path);
	struct mount_mnt_res r = {0};
	struct rpc_reply reply;
	struct xdr x = begin(p, 1, MOUNT_PROGRAM, MOUNT_MNT);
	mount_path(&x, &text);
	if (finish(p, &x) < 0 || peer_next(p, &reply, &x, deadline_in_ms(PATIENCE_MS)) < 0)
		return MNT3ERR_IO;
	mount_mnt_res(&x, &r);
	if (x.bad || xdr_left(&x) > 0)
		return MNT3ERR_IO;
	if (r.status == MNT3_OK) {
		memcpy(ret_handle, r.handle.p, r.handle.n);
		*ret_n = r.handle.n;
	}
	return r.status;
}

/* ---- the server ---- */

static void run(void *arg)
{
	struct peer_server *s = arg;
	s->result = nfs_server_run(s->server, TAKE_FD(s->listening));
}

void peer_server_start(struct peer_server *s, const struct nfs_server_options *o)
{
	struct nfs_server_options options = o ? *o : (struct nfs_server_options){.reply_file = -1};
	struct fsal *layer = options.layer ? options.layer : fake_new();
	*s = (struct peer_server){.layer = layer};
	options.layer = layer;
	options.door = s;
	EXPECT_INT(nfs_server_new(&options, &s->server), 0);
	EXPECT_INT(nfs_server_export(s->server, SPAN("/open"), true, fake_attachment(layer)), 0);
	EXPECT_INT(nfs_server_export(s->server, SPAN("/secret"), false, fake_attachment(layer)), 0);
	EXPECT_INT(
		nfs_server_export(s->server, SPAN("/other"), false, fake_other_attachment(layer)),
		0);
	EXPECT_INT(
		nfs_server_export(s->server, SPAN("/open"), true, fake_attachment(layer)), -EEXIST);
	err_clear();
	s->listening = listen_loopback(&s->addr, 16);
	group_init(&s->group);
	EXPECT_INT(group_spawn(&s->group, "server", FIBER_SMALL, run, s), 0);
}

void peer_server_stop(struct peer_server *s)
{
	group_close(&s->group);
	EXPECT_INT(s->result, -ECANCELED);
	err_clear();
	nfs_server_free(s->server);
	if (!s->keep_layer)
		fake_free(s->layer);
}
