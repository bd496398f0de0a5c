/* SPDX-License-Identifier: AGPL-3.0-only */
/* The server over a fake file layer: what each procedure and each wrong call is answered, that slow
 * calls hold back nobody, and that nothing happens twice. */
#include "tests/unit/nfs/server/peer.h"
#include "tests/unit/daemon/rt/in_fiber.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct stage {
	struct peer_server server;
	struct peer peer;
	char root[NFS3_HANDLE_BYTES];
	size_t root_n;
	uint32_t xid;
};

static struct span root(const struct stage *s)
{
	return span_of(s->root, s->root_n);
}

static void set_stage(struct stage *s, const struct nfs_server_options *o)
{
	*s = (struct stage){.xid = 100};
	peer_server_start(&s->server, o);
	EXPECT_INT(peer_open(&s->peer, &s->server.addr), 0);
	EXPECT_INT(peer_mount(&s->peer, "/open", s->root, &s->root_n), MNT3_OK);
}

static void clear_stage(struct stage *s)
{
	peer_close(&s->peer);
	peer_server_stop(&s->server);
}

static struct nfs3_res call(struct stage *s, enum nfs3_proc proc, union nfs3_args a)
{
	struct nfs3_res r = {.status = 1};
	EXPECT_INT(peer_call(&s->peer, ++s->xid, proc, &a, &r), 0);
	return r;
}

static union nfs3_args name_args(const struct stage *s, const char *name)
{
	return (union nfs3_args){.dirop = {root(s), span_cstr(name)}};
}

static union nfs3_args create_args(const struct stage *s, const char *name)
{
	return (union nfs3_args){.create = {{root(s), span_cstr(name)}, NFS3_GUARDED,
					 {.set_mode = true, .mode = 0600}, {0}}};
}

/* Its handle, in a room of the test's. */
static struct span make_file(struct stage *s, const char *name, char room[NFS3_HANDLE_BYTES])
{
	struct nfs3_res r = call(s, NFS3_CREATE, create_args(s, name));
	EXPECT_INT(r.status, NFS3_OK);
	memcpy(room, r.create.object.handle.p, r.create.object.handle.n);
	return span_of(room, r.create.object.handle.n);
}

/* ---- procedures ---- */

static void making(struct stage *s)
{
	struct nfs3_res r = call(s, NFS3_CREATE, create_args(s, "file"));
	EXPECT_INT(r.status, NFS3_OK);
	EXPECT(r.create.object.present && r.create.attr.present);
	EXPECT_INT(r.create.attr.attr.mode, 0600);
	EXPECT_INT(r.create.attr.attr.type, NFS3_REG);
	EXPECT(r.create.dir_wcc.before_present && r.create.dir_wcc.after.present);
	r = call(s, NFS3_CREATE, create_args(s, "file"));
	EXPECT_INT(r.status, NFS3ERR_EXIST);
	EXPECT(r.create.dir_wcc.after.present);
	union nfs3_args a = {.mkdir = {{root(s), SPAN("dir")}, {0}}};
	r = call(s, NFS3_MKDIR, a);
	EXPECT_INT(r.status, NFS3_OK);
	EXPECT_INT(r.create.attr.attr.type, NFS3_DIR);
	a = (union nfs3_args){.symlink = {{root(s), SPAN("link")}, {0}, SPAN("dir/x")}};
	r = call(s, NFS3_SYMLINK, a);
	EXPECT_INT(r.create.attr.attr.type, NFS3_LNK);
	a = (union nfs3_args){.mknod = {{root(s), SPAN("fifo")}, NFS3_FIFO, {0}, 0, 0}};
	r = call(s, NFS3_MKNOD, a);
	EXPECT_INT(r.create.attr.attr.type, NFS3_FIFO);
	a.mknod.type = NFS3_REG;
	EXPECT_INT(call(s, NFS3_MKNOD, a).status, NFS3ERR_BADTYPE);
}

static void looking(struct stage *s)
{
	struct nfs3_res r = call(s, NFS3_LOOKUP, name_args(s, "link"));
	EXPECT_INT(r.status, NFS3_OK);
	EXPECT(r.lookup.attr.present && r.lookup.dir_attr.present);
	char handle[NFS3_HANDLE_BYTES];
	memcpy(handle, r.lookup.object.p, r.lookup.object.n);
	union nfs3_args a = {.object = span_of(handle, r.lookup.object.n)};
	r = call(s, NFS3_READLINK, a);
	EXPECT(span_is(r.readlink.target, "dir/x"));
	EXPECT_INT(call(s, NFS3_GETATTR, a).getattr.type, NFS3_LNK);
	r = call(s, NFS3_LOOKUP, name_args(s, "none"));
	EXPECT_INT(r.status, NFS3ERR_NOENT);
	EXPECT(r.lookup.dir_attr.present);
	a = (union nfs3_args){.access = {root(s), 0x3f}};
	EXPECT_INT(call(s, NFS3_ACCESS, a).access.access, 0x1f);
	a.object = root(s);
	r = call(s, NFS3_FSSTAT, a);
	EXPECT(r.fsstat.tbytes == 1000);
	EXPECT(r.fsstat.afiles == 50);
	r = call(s, NFS3_FSINFO, a);
	EXPECT_INT(r.fsinfo.rtmax, LIMIT_NFS_IO_BYTES);
	EXPECT_INT(r.fsinfo.properties, 0x1b);
	r = call(s, NFS3_PATHCONF, a);
	EXPECT_INT(r.pathconf.name_max, 255);
	EXPECT(r.pathconf.no_trunc && r.pathconf.case_preserving && !r.pathconf.case_insensitive);
	char bad[] = "not one of ours";
	a.object = span_cstr(bad);
	EXPECT_INT(call(s, NFS3_GETATTR, a).status, NFS3ERR_BADHANDLE);
	memcpy(bad, "fake-obj\xff\xff\xff\0", 12);
	a.object = span_of(bad, 12);
	EXPECT_INT(call(s, NFS3_GETATTR, a).status, NFS3ERR_STALE);
}

static void renaming(struct stage *s)
{
	union nfs3_args a = {.rename = {{root(s), SPAN("file")}, {root(s), SPAN("new")}}};
	struct nfs3_res r = call(s, NFS3_RENAME, a);
	EXPECT_INT(r.status, NFS3_OK);
	EXPECT(r.rename.from_wcc.after.present && r.rename.to_wcc.after.present);
	EXPECT_INT(call(s, NFS3_RENAME, a).status, NFS3ERR_NOENT);
	r = call(s, NFS3_LOOKUP, name_args(s, "new"));
	char handle[NFS3_HANDLE_BYTES];
	memcpy(handle, r.lookup.object.p, r.lookup.object.n);
	struct span file = span_of(handle, r.lookup.object.n);
	a = (union nfs3_args){.link = {file, {root(s), SPAN("twin")}}};
	r = call(s, NFS3_LINK, a);
	EXPECT_INT(r.link.attr.attr.nlink, 2);
	EXPECT_INT(call(s, NFS3_RMDIR, name_args(s, "twin")).status, NFS3ERR_NOTDIR);
	EXPECT_INT(call(s, NFS3_REMOVE, name_args(s, "dir")).status, NFS3ERR_ISDIR);
	EXPECT_INT(call(s, NFS3_REMOVE, name_args(s, "twin")).status, NFS3_OK);
	EXPECT_INT(call(s, NFS3_REMOVE, name_args(s, "twin")).status, NFS3ERR_NOENT);
	EXPECT_INT(call(s, NFS3_RMDIR, name_args(s, "dir")).status, NFS3_OK);
	char long_name[300];
	memset(long_name, 'n', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = 0;
	EXPECT_INT(call(s, NFS3_LOOKUP, name_args(s, long_name)).status, NFS3ERR_NAMETOOLONG);
	a = (union nfs3_args){.setattr = {.object = file, .guarded = true, .ctime = {1, 1}}};
	r = call(s, NFS3_SETATTR, a);
	EXPECT_INT(r.status, NFS3ERR_NOT_SYNC);
	EXPECT(r.wcc.after.present);
	a.setattr.ctime = r.wcc.after.attr.ctime;
	a.setattr.attr = (struct nfs3_sattr){.set_mode = true, .mode = 0644};
	r = call(s, NFS3_SETATTR, a);
	EXPECT_INT(r.wcc.after.attr.mode, 0644);
}

static void procedures_body(void *arg)
{
	struct stage s;
	set_stage(&s, NULL);
	struct nfs3_res null = call(&s, NFS3_NULL, (union nfs3_args){0});
	EXPECT_INT(null.status, 0);
	making(&s);
	looking(&s);
	renaming(&s);
	clear_stage(&s);
}

static void test_procedures(void **state)
{
	in_fiber(procedures_body);
}

static void io_body(void *arg)
{
	static char block[100000];
	struct stage s;
	char room[NFS3_HANDLE_BYTES];
	set_stage(&s, NULL);
	struct span file = make_file(&s, "data", room);
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (char)(i * 7);
	/* Longer than what is read where it lies, so that it is put together. */
	union nfs3_args a = {
		.write = {file, 3, sizeof(block), NFS3_UNSTABLE, span_of(block, sizeof(block))}};
	struct nfs3_res r = call(&s, NFS3_WRITE, a);
	EXPECT_INT(r.status, NFS3_OK);
	EXPECT_INT(r.write.count, sizeof(block));
	EXPECT(r.write.wcc.after.attr.size == sizeof(block) + 3);
	uint8_t verf[NFS3_VERIFIER_BYTES];
	memcpy(verf, r.write.verf, sizeof(verf));

	a = (union nfs3_args){.read = {file, 0, 1 << 20}};
	r = call(&s, NFS3_READ, a);
	EXPECT(r.read.eof && r.read.count == sizeof(block) + 3);
	EXPECT(r.read.data.n == r.read.count && memcmp(r.read.data.p, "\0\0\0", 3) == 0);
	EXPECT(memcmp(r.read.data.p + 3, block, sizeof(block)) == 0);
	a.read = (struct nfs3_read_args){file, 1, sizeof(block)};
	r = call(&s, NFS3_READ, a);
	EXPECT(!r.read.eof && r.read.count == sizeof(block));
	a.read.offset = sizeof(block) + 3;
	r = call(&s, NFS3_READ, a);
	EXPECT(r.read.eof && r.read.count == 0);
	a.read = (struct nfs3_read_args){file, 0, 0};
	r = call(&s, NFS3_READ, a);
	EXPECT(!r.read.eof && r.read.count == 0);

	a = (union nfs3_args){.commit = {file, 0, 0}};
	r = call(&s, NFS3_COMMIT, a);
	EXPECT(memcmp(r.commit.verf, verf, sizeof(verf)) == 0);
	fake.commit_error = -EIO;
	EXPECT_INT(call(&s, NFS3_COMMIT, a).status, NFS3ERR_IO);
	r = call(&s, NFS3_COMMIT, a);
	EXPECT(memcmp(r.commit.verf, verf, sizeof(verf)) != 0); /* what was written is lost */
	clear_stage(&s);
}

static void test_io(void **state)
{
	in_fiber(io_body);
}

/* ---- listings ---- */

static int list(struct stage *s, bool plus, uint32_t dircount, uint32_t maxcount, size_t *calls)
{
	union nfs3_args a = {.readdir = {root(s), 0, {0}, dircount, maxcount}};
	enum nfs3_proc proc = plus ? NFS3_READDIRPLUS : NFS3_READDIR;
	int seen = 0;
	bool eof = false;
	for (*calls = 0; !eof && *calls < 1000; ++*calls) {
		struct rpc_reply reply;
		struct nfs3_res r = {0};
		struct nfs3_dir_item e;
		struct xdr x;
		EXPECT_INT(peer_send(&s->peer, ++s->xid, proc, &a), 0);
		EXPECT_INT(peer_next(&s->peer, &reply, &x, deadline_in_ms(9999)), 0);
		size_t bytes = xdr_left(&x) - 4;
		nfs3_res(&x, proc, &r);
		EXPECT_INT(r.status, NFS3_OK);
		EXPECT(bytes <= maxcount);
		size_t names = 0;
		while (nfs3_dir_item(&x, plus, &e)) {
			char want[32];
			(void)snprintf(want, sizeof(want), "entry%03d", seen++);
			EXPECT(span_is(e.name, want));
			EXPECT(!plus || (e.attr.present && e.handle.present));
			a.readdir.cookie = e.cookie;
			names += nfs3_dir_item_dircount(&e);
		}
		EXPECT(!plus || names <= dircount);
		nfs3_dir_end(&x, &eof);
		EXPECT(!x.bad && xdr_left(&x) == 0);
		memcpy(a.readdir.verf, r.readdir.verf, sizeof(a.readdir.verf));
	}
	return seen;
}

static void listing_body(void *arg)
{
	struct stage s;
	size_t calls;
	set_stage(&s, NULL);
	for (int i = 0; i < 300; i++) {
		char name[32];
		(void)snprintf(name, sizeof(name), "entry%03d", i);
		EXPECT_INT(call(&s, NFS3_CREATE, create_args(&s, name)).status, NFS3_OK);
	}
	EXPECT(list(&s, false, 0, 65536, &calls) == 300);
	EXPECT(calls == 1);
	EXPECT(list(&s, false, 0, 1024, &calls) == 300);
	EXPECT(list(&s, true, 65536, 65536, &calls) == 300);
	EXPECT(list(&s, true, 1000, 65536, &calls) == 300); /* dircount is what ends these */
	EXPECT(calls == 300 / (1000 / 28) + 1);
	union nfs3_args a = {.readdir = {root(&s), 0, {0}, 100, 100}};
	EXPECT_INT(call(&s, NFS3_READDIRPLUS, a).status, NFS3ERR_TOOSMALL);
	EXPECT_INT(call(&s, NFS3_READDIR, a).status, NFS3ERR_TOOSMALL);
	a.readdir = (struct nfs3_readdir_args){root(&s), 5, {9}, 4096, 4096};
	EXPECT_INT(call(&s, NFS3_READDIR, a).status, NFS3ERR_BAD_COOKIE);
	clear_stage(&s);
}

static void test_listing(void **state)
{
	in_fiber(listing_body);
}

/* ---- wrong calls ---- */

static struct rpc_reply wrong(struct stage *s, struct rpc_call c, size_t more_bytes)
{
	char wire[512] = {0};
	struct rpc_reply r = {.stat = 99};
	struct xdr x = xdr_encoder(wire + RPC_MARK_BYTES, sizeof(wire) - RPC_MARK_BYTES);
	rpc_call_encode(&x, &c);
	size_t n = (size_t)(x.p - wire) + more_bytes;
	rpc_mark_put(wire, (struct rpc_mark){true, (uint32_t)(n - RPC_MARK_BYTES)});
	EXPECT_INT(peer_send_bytes(&s->peer, span_of(wire, n)), 0);
	EXPECT_INT(peer_next(&s->peer, &r, &x, deadline_in_ms(9999)), 0);
	EXPECT_INT(r.xid, c.xid);
	return r;
}

static void wrong_calls_body(void *arg)
{
	struct stage s;
	set_stage(&s, NULL);
	struct rpc_call good = {.xid = 5, .prog = NFS3_PROGRAM, .vers = 3, .proc = NFS3_NULL};
	struct rpc_call c = good;
	EXPECT_INT(wrong(&s, c, 0).stat, RPC_SUCCESS);
	EXPECT_INT(wrong(&s, c, 4).stat, RPC_GARBAGE_ARGS);
	c.proc = NFS3_GETATTR;
	EXPECT_INT(wrong(&s, c, 0).stat, RPC_GARBAGE_ARGS);
	c.proc = NFS3_PROC_COUNT;
	EXPECT_INT(wrong(&s, c, 0).stat, RPC_PROC_UNAVAIL);
	c = good;
	c.vers = 4;
	struct rpc_reply r = wrong(&s, c, 0);
	EXPECT(r.stat == RPC_PROG_MISMATCH && r.low == 3 && r.high == 3);
	c.prog = 100227; /* NFS_ACL, which Linux asks for */
	EXPECT_INT(wrong(&s, c, 0).stat, RPC_PROG_UNAVAIL);
	c = good;
	c.prog = MOUNT_PROGRAM;
	c.proc = MOUNT_PROC_COUNT;
	EXPECT_INT(wrong(&s, c, 0).stat, RPC_PROC_UNAVAIL);
	c.proc = MOUNT_MNT;
	EXPECT_INT(wrong(&s, c, 0).stat, RPC_GARBAGE_ARGS);
	c = good;
	c.flavor = 6; /* RPCSEC_GSS */
	r = wrong(&s, c, 0);
	EXPECT(r.reply_stat == RPC_MSG_DENIED && r.auth_stat == RPC_AUTH_BADCRED);

	/* The connection has survived all that; a reply on it does not. */
	EXPECT_INT(wrong(&s, good, 0).stat, RPC_SUCCESS);
	struct xdr x;
	EXPECT_INT(peer_send_bytes(&s.peer, SPAN("\x80\0\0\x0c\0\0\0\1\0\0\0\1\0\0\0\2")), 0);
	EXPECT_INT(peer_next(&s.peer, &r, &x, deadline_in_ms(9999)), -EPIPE);
	EXPECT(nfs_server_stats(s.server.server).cut == 1);
	clear_stage(&s);
}

static void test_wrong_calls(void **state)
{
	in_fiber(wrong_calls_body);
}

static void mount_body(void *arg)
{
	struct stage s;
	char handle[NFS3_HANDLE_BYTES];
	size_t n;
	set_stage(&s, NULL);
	union nfs3_args a = {.mkdir = {{root(&s), SPAN("sub")}, {0}}};
	EXPECT_INT(call(&s, NFS3_MKDIR, a).status, NFS3_OK);
	EXPECT_INT(call(&s, NFS3_CREATE, create_args(&s, "file")).status, NFS3_OK);
	EXPECT_INT(peer_mount(&s.peer, "/secret", handle, &n), MNT3_OK);
	EXPECT_INT(peer_mount(&s.peer, "/open/", handle, &n), MNT3_OK);
	EXPECT_INT(peer_mount(&s.peer, "/open/sub", handle, &n), MNT3_OK);
	EXPECT_INT(peer_mount(&s.peer, "/open/file", handle, &n), MNT3ERR_NOTDIR);
	EXPECT_INT(peer_mount(&s.peer, "/open/none", handle, &n), MNT3ERR_NOENT);
	EXPECT_INT(peer_mount(&s.peer, "/open/../secret", handle, &n), MNT3ERR_NOENT);
	EXPECT_INT(peer_mount(&s.peer, "/opensub", handle, &n), MNT3ERR_NOENT);
	EXPECT_INT(peer_mount(&s.peer, "/", handle, &n), MNT3ERR_NOENT);
	EXPECT_INT(peer_mount(&s.peer, "", handle, &n), MNT3ERR_NOENT);

	/* What is secret is in no list. */
	struct rpc_reply r;
	struct span host;
	struct span path;
	struct xdr x;
	static const char export_call[] = "\x80\0\0\x28\0\0\0\7\0\0\0\0\0\0\0\2\0\1\x86\xa5\0\0\0\3"
					  "\0\0\0\5\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
	EXPECT_INT(peer_send_bytes(&s.peer, span_of(export_call, 44)), 0);
	EXPECT_INT(peer_next(&s.peer, &r, &x, deadline_in_ms(9999)), 0);
	EXPECT(mount_export_item(&x, &path) && span_is(path, "/open"));
	EXPECT(!mount_export_item(&x, &path) && !x.bad && xdr_left(&x) == 0);
	char dump_call[44];
	memcpy(dump_call, export_call, sizeof(dump_call));
	dump_call[27] = MOUNT_DUMP;
	EXPECT_INT(peer_send_bytes(&s.peer, span_of(dump_call, 44)), 0);
	EXPECT_INT(peer_next(&s.peer, &r, &x, deadline_in_ms(9999)), 0);
	EXPECT(mount_dump_item(&x, &host, &path));
	EXPECT(span_is(path, "/open") && span_is(host, "127.0.0.1"));
	EXPECT(mount_dump_item(&x, &host, &path) && span_is(path, "/open/sub"));
	EXPECT(!mount_dump_item(&x, &host, &path) && !x.bad);
	dump_call[27] = MOUNT_UMNTALL;
	EXPECT_INT(peer_send_bytes(&s.peer, span_of(dump_call, 44)), 0);
	EXPECT_INT(peer_next(&s.peer, &r, &x, deadline_in_ms(9999)), 0);
	dump_call[27] = MOUNT_DUMP;
	EXPECT_INT(peer_send_bytes(&s.peer, span_of(dump_call, 44)), 0);
	EXPECT_INT(peer_next(&s.peer, &r, &x, deadline_in_ms(9999)), 0);
	EXPECT(!mount_dump_item(&x, &host, &path) && !x.bad);
	clear_stage(&s);
}

static void test_mount(void **state)
{
	in_fiber(mount_body);
}

/* ---- slowness ---- */

static uint32_t next_xid(struct stage *s)
{
	struct rpc_reply r = {0};
	struct xdr x;
	EXPECT_INT(peer_next(&s->peer, &r, &x, deadline_in_ms(9999)), 0);
	return r.xid;
}

/* A slow LOOKUP is overtaken by what comes behind it on the same connection. */
static void overtaking_body(void *arg)
{
	struct stage s;
	set_stage(&s, NULL);
	fake.delay_ns = 100 * NS_PER_MS;
	fake.slow = "slow";
	union nfs3_args slow = name_args(&s, "slow");
	union nfs3_args quick = name_args(&s, "quick");
	EXPECT_INT(peer_send(&s.peer, 1, NFS3_LOOKUP, &slow), 0);
	for (uint32_t i = 2; i < 10; i++)
		EXPECT_INT(peer_send(&s.peer, i, NFS3_LOOKUP, &quick), 0);
	for (uint32_t i = 2; i < 10; i++)
		EXPECT_INT(next_xid(&s), i);
	EXPECT_INT(next_xid(&s), 1);
	EXPECT(nfs_server_stats(s.server.server).own_fibers == 1);
	clear_stage(&s);
}

static void test_overtaking(void **state)
{
	in_fiber(overtaking_body);
}

/* Beyond what may be under way the answer is "busy", and quick calls still pass. */
static void jukebox_body(void *arg)
{
	struct nfs_server_options o = {.reply_file = -1, .connection_calls_max = 2};
	struct stage s;
	set_stage(&s, &o);
	fake.delay_ns = 2500 * NS_PER_MS;
	fake.slow = "slow";
	union nfs3_args slow = name_args(&s, "slow");
	union nfs3_args slow_create = create_args(&s, "slow");
	union nfs3_args quick = name_args(&s, "quick");
	EXPECT_INT(peer_send(&s.peer, 1, NFS3_LOOKUP, &slow), 0);
	EXPECT_INT(peer_send(&s.peer, 2, NFS3_CREATE, &slow_create), 0);
	EXPECT_INT(peer_send(&s.peer, 3, NFS3_CREATE, &slow_create), 0);
	EXPECT_INT(peer_send(&s.peer, 4, NFS3_LOOKUP, &quick), 0);
	struct rpc_reply reply;
	struct nfs3_res res = {0};
	struct xdr x;
	EXPECT_INT(peer_next(&s.peer, &reply, &x, deadline_in_ms(9999)), 0);
	nfs3_res(&x, NFS3_CREATE, &res);
	EXPECT(reply.xid == 3 && res.status == NFS3ERR_JUKEBOX && !x.bad);
	EXPECT_INT(next_xid(&s), 4);
	EXPECT_INT(next_xid(&s), 1);
	EXPECT_INT(next_xid(&s), 2);
	EXPECT_INT(fake.changes, 1);
	fake.delay_ns = 0;
	/* "Busy" was no answer to remember: the same call is run when it comes again. */
	EXPECT_INT(peer_call(&s.peer, 3, NFS3_CREATE, &slow_create, &res), 0);
	EXPECT_INT(res.status, NFS3ERR_EXIST);
	EXPECT(nfs_server_stats(s.server.server).jukebox == 1);
	clear_stage(&s);
}

static void test_jukebox(void **state)
{
	in_fiber(jukebox_body);
}

/* A slow volume may not take up all that may be under way: others find room, on the same connection
 * too, and are not kept waiting. */
static void fair_body(void *arg)
{
	enum { SLOW = 6 };
	struct nfs_server_options o = {.reply_file = -1, .calls_max = 6};
	struct stage s;
	char other[NFS3_HANDLE_BYTES];
	size_t other_n;
	set_stage(&s, &o);
	EXPECT_INT(peer_mount(&s.peer, "/other", other, &other_n), MNT3_OK);
	fake.delay_ns = 700 * NS_PER_MS;
	fake.slow = "slow";
	union nfs3_args slow = name_args(&s, "slow");
	union nfs3_args slow_too = {.dirop = {span_of(other, other_n), SPAN("slow")}};
	for (uint32_t i = 1; i <= SLOW; i++)
		EXPECT_INT(peer_send(&s.peer, i, NFS3_LOOKUP, &slow), 0);
	EXPECT_INT(peer_send(&s.peer, 100, NFS3_LOOKUP, &slow_too), 0);
	int busy = 0, done = 0;
	for (int i = 0; i < SLOW + 1; i++) {
		struct rpc_reply reply;
		struct nfs3_res res = {0};
		struct xdr x;
		EXPECT_INT(peer_next(&s.peer, &reply, &x, deadline_in_ms(9999)), 0);
		nfs3_res(&x, NFS3_LOOKUP, &res);
		EXPECT(res.status == NFS3ERR_JUKEBOX || res.status == NFS3ERR_NOENT);
		busy += res.status == NFS3ERR_JUKEBOX;
		done += res.status == NFS3ERR_NOENT;
		EXPECT(reply.xid != 100 || res.status == NFS3ERR_NOENT);
	}
	EXPECT_INT(busy, SLOW / 2);
	EXPECT_INT(done, SLOW / 2 + 1);
	clear_stage(&s);
}

static void test_fair(void **state)
{
	in_fiber(fair_body);
}

/* Who does not take replies, or stops in the middle of a call, is cut; others go on. */
static void slow_client_body(void *arg)
{
	struct nfs_server_options o = {.reply_file = -1, .client_ms = 200};
	struct stage s;
	char room[NFS3_HANDLE_BYTES];
	static char block[32768];
	set_stage(&s, &o);
	struct span file = make_file(&s, "data", room);
	union nfs3_args w = {
		.write = {file, 0, sizeof(block), NFS3_UNSTABLE, span_of(block, sizeof(block))}};
	EXPECT_INT(call(&s, NFS3_WRITE, w).status, NFS3_OK);

	struct peer lazy;
	struct peer stuck;
	EXPECT_INT(peer_open(&lazy, &s.server.addr), 0);
	EXPECT_INT(peer_open(&stuck, &s.server.addr), 0);
	EXPECT_INT(peer_send_bytes(&stuck, SPAN("\x80\0\0\x40half")), 0);
	union nfs3_args a = {.read = {file, 0, sizeof(block)}};
	int r = 0;
	for (uint32_t i = 0; i < 2000 && r == 0; i++)
		r = peer_send(&lazy, i, NFS3_READ, &a);
	/* One that drips is no better than one that has stopped. */
	for (int i = 0; i < 50 && nfs_server_stats(s.server.server).cut < 2; i++) {
		(void)!peer_send_bytes(&stuck, SPAN("x"));
		EXPECT_INT(rt_sleep_until(deadline_in_ms(100)), 0);
	}
	EXPECT(nfs_server_stats(s.server.server).cut == 2);
	EXPECT_INT(call(&s, NFS3_READ, a).status, NFS3_OK);
	peer_close(&lazy);
	peer_close(&stuck);
	clear_stage(&s);
}

static void test_slow_client(void **state)
{
	in_fiber(slow_client_body);
}

static void idle_body(void *arg)
{
	struct nfs_server_options o = {.reply_file = -1, .idle_ms = 50, .connections_max = 1};
	struct stage s;
	struct rpc_reply r;
	struct xdr x;
	struct peer second;
	set_stage(&s, &o);
	EXPECT_INT(peer_open(&second, &s.server.addr), 0);
	int e = peer_next(&second, &r, &x, deadline_in_ms(9999)); /* one is the maximum */
	EXPECT(e == -EPIPE || e == -ECONNRESET);
	peer_close(&second);
	EXPECT_INT(peer_next(&s.peer, &r, &x, deadline_in_ms(9999)), -EPIPE);
	EXPECT(nfs_server_stats(s.server.server).cut == 0);
	EXPECT(nfs_server_stats(s.server.server).refused == 1);
	clear_stage(&s);
}

static void test_idle(void **state)
{
	in_fiber(idle_body);
}

/* ---- once only ---- */

static void repeated_body(void *arg)
{
	struct stage s;
	struct peer other;
	struct nfs3_res r;
	set_stage(&s, NULL);
	union nfs3_args a = create_args(&s, "once");
	EXPECT_INT(peer_call(&s.peer, 7, NFS3_CREATE, &a, &r), 0);
	EXPECT_INT(r.status, NFS3_OK);
	EXPECT_INT(peer_open(&other, &s.server.addr), 0); /* after a reconnection */
	EXPECT_INT(peer_call(&other, 7, NFS3_CREATE, &a, &r), 0);
	EXPECT_INT(r.status, NFS3_OK);
	EXPECT_INT(fake.changes, 1);
	EXPECT(nfs_server_stats(s.server.server).replayed == 1);
	other.uid = 1000; /* somebody else's call with the same number */
	EXPECT_INT(peer_call(&other, 7, NFS3_CREATE, &a, &r), 0);
	EXPECT_INT(r.status, NFS3ERR_EXIST);

	/* While the first still runs, on one connection and on another. */
	fake.delay_ns = 50 * NS_PER_MS;
	a = create_args(&s, "slowly");
	other.uid = 0;
	EXPECT_INT(peer_send(&s.peer, 8, NFS3_CREATE, &a), 0);
	EXPECT_INT(peer_send(&s.peer, 8, NFS3_CREATE, &a), 0);
	EXPECT_INT(peer_call(&other, 8, NFS3_CREATE, &a, &r), 0);
	EXPECT_INT(r.status, NFS3_OK);
	EXPECT_INT(next_xid(&s), 8);
	EXPECT_INT(next_xid(&s), 8);
	EXPECT_INT(fake.changes, 2);
	peer_close(&other);
	clear_stage(&s);
}

static void test_repeated(void **state)
{
	in_fiber(repeated_body);
}

/* A client that goes away does not stop what it began. */
static void gone_client_body(void *arg)
{
	struct stage s;
	struct peer other;
	struct nfs3_res r;
	set_stage(&s, NULL);
	fake.delay_ns = 50 * NS_PER_MS;
	union nfs3_args a = create_args(&s, "left");
	EXPECT_INT(peer_open(&other, &s.server.addr), 0);
	EXPECT_INT(peer_send(&other, 9, NFS3_CREATE, &a), 0);
	EXPECT_INT(rt_sleep_until(deadline_in_ms(10)), 0);
	peer_close(&other);
	EXPECT_INT(peer_call(&s.peer, 9, NFS3_CREATE, &a, &r), 0);
	EXPECT_INT(r.status, NFS3_OK);
	EXPECT_INT(fake.changes, 1);
	clear_stage(&s);
}

static void test_gone_client(void **state)
{
	in_fiber(gone_client_body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_procedures),
		cmocka_unit_test(test_io),
		cmocka_unit_test(test_listing),
		cmocka_unit_test(test_wrong_calls),
		cmocka_unit_test(test_mount),
		cmocka_unit_test(test_overtaking),
		cmocka_unit_test(test_jukebox),
		cmocka_unit_test(test_fair),
		cmocka_unit_test(test_slow_client),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_repeated),
		cmocka_unit_test(test_gone_client),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
