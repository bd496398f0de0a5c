/* SPDX-License-Identifier: AGPL-3.0-only */
/* Setting the stage: a directory "load" with LOAD_FILES files of pattern, by calls one at a time.
 */
#include "tests/bench/nfs/load.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CHUNK = 65536 };

static char out[CHUNK + 1024];
static char in[CHUNK + 65536];

void load_die(const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	fputs("nfs load: ", stderr);
	vfprintf(stderr, fmt, args);
	fputs("\n", stderr);
	exit(1);
}

int load_connect(const struct load *l, int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (inet_pton(AF_INET, l->host, &a.sin_addr) != 1 ||
		connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
		load_die("connect to %s:%d: %s", l->host, port, strerror(errno));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

static void send_all(int fd, size_t n)
{
	for (size_t at = 0; at < n;) {
		ssize_t r = send(fd, out + at, n - at, MSG_NOSIGNAL);
		if (r <= 0)
			load_die("send: %s", strerror(errno));
		at += (size_t)r;
	}
}

static size_t receive(int fd)
{
	size_t have = 0;
	size_t want = RPC_MARK_BYTES;
	while (have < want) {
		ssize_t r = recv(fd, in + have, want - have, 0);
		if (r <= 0)
			load_die("the server closed the connection");
		have += (size_t)r;
		if (have == RPC_MARK_BYTES)
			want += rpc_mark_get(in).bytes;
		if (want > sizeof(in))
			load_die("a reply of %zu bytes", want);
	}
	return have;
}

/* Sends what x has been filled with; returns the results. */
static struct xdr exchange(int fd, const struct xdr *x)
{
	struct rpc_reply reply;
	size_t n = (size_t)(x->p - out);
	if (x->bad)
		load_die("no room for a call");
	rpc_mark_put(out, (struct rpc_mark){true, (uint32_t)(n - RPC_MARK_BYTES)});
	send_all(fd, n);
	n = receive(fd);
	struct xdr got = xdr_decoder(span_of(in + RPC_MARK_BYTES, n - RPC_MARK_BYTES));
	if (rpc_reply_decode(&got, &reply) < 0 || reply.reply_stat != RPC_MSG_ACCEPTED ||
		reply.stat != RPC_SUCCESS)
		load_die("a call was not accepted");
	return got;
}

static struct xdr begin_call(uint32_t prog, uint32_t proc)
{
	static uint32_t xid;
	if (xid == 0)
		(void)!getrandom(&xid, sizeof(xid), 0);
	struct rpc_call head = {
		.xid = ++xid, .prog = prog, .vers = 3, .proc = proc, .flavor = RPC_AUTH_SYS};
	head.sys = (struct rpc_auth_sys){.machine = SPAN("load")};
	struct xdr x = xdr_encoder(out + RPC_MARK_BYTES, sizeof(out) - RPC_MARK_BYTES);
	rpc_call_encode(&x, &head);
	return x;
}

static struct nfs3_res call(int fd, enum nfs3_proc proc, union nfs3_args *a)
{
	struct nfs3_res r = {0};
	struct xdr x = begin_call(NFS3_PROGRAM, proc);
	nfs3_args(&x, proc, a);
	struct xdr got = exchange(fd, &x);
	nfs3_res(&got, proc, &r);
	if (got.bad)
		load_die("%s: results that cannot be read", nfs3_proc_name(proc));
	return r;
}

static void must(const struct nfs3_res *r, enum nfs3_proc proc, const char *name)
{
	if (r->status != NFS3_OK)
		load_die("%s %s: status %u", nfs3_proc_name(proc), name, r->status);
}

static void keep(struct load_file *f, struct span handle, uint64_t fileid)
{
	memcpy(f->handle, handle.p, handle.n);
	f->handle_bytes = handle.n;
	f->fileid = fileid;
}

static struct span handle(const struct load_file *f)
{
	return span_of(f->handle, f->handle_bytes);
}

static void mount(struct load *l)
{
	int fd = load_connect(l, l->mount_port);
	struct span path = span_cstr(l->export_path);
	struct mount_mnt_res r = {0};
	struct xdr x = begin_call(MOUNT_PROGRAM, MOUNT_MNT);
	mount_path(&x, &path);
	struct xdr got = exchange(fd, &x);
	mount_mnt_res(&got, &r);
	if (got.bad || r.status != MNT3_OK)
		load_die("MNT %s: status %u", l->export_path, r.status);
	keep(&l->root, r.handle, 0);
	close(fd);
}

static void find(int fd, const struct load_file *dir, const char *name, struct load_file *ret)
{
	union nfs3_args a = {.dirop = {handle(dir), span_cstr(name)}};
	struct nfs3_res r = call(fd, NFS3_LOOKUP, &a);
	must(&r, NFS3_LOOKUP, name);
	keep(ret, r.lookup.object, r.lookup.attr.attr.fileid);
}

static void make_dir(int fd, struct load *l)
{
	union nfs3_args a = {
		.mkdir = {{handle(&l->root), SPAN("load")}, {.set_mode = true, .mode = 0755}}};
	struct nfs3_res r = call(fd, NFS3_MKDIR, &a);
	if (r.status != NFS3ERR_EXIST) /* what a run that failed has left */
		must(&r, NFS3_MKDIR, "load");
	find(fd, &l->root, "load", &l->dir);
}

static void make_file(int fd, struct load *l, uint32_t i)
{
	static char data[CHUNK];
	char name[32];
	(void)snprintf(name, sizeof(name), "f%u", i);
	union nfs3_args a = {.create = {{handle(&l->dir), span_cstr(name)}, NFS3_UNCHECKED,
				     {.set_mode = true, .mode = 0644}, {0}}};
	struct nfs3_res r = call(fd, NFS3_CREATE, &a);
	must(&r, NFS3_CREATE, name);
	find(fd, &l->dir, name, &l->files[i]);
	for (uint64_t at = 0; at < l->file_bytes; at += CHUNK) {
		uint32_t n = (uint32_t)MIN((uint64_t)CHUNK, l->file_bytes - at);
		/* Not what a WRITE will bring: one that does nothing must be seen. */
		load_pattern_fill(l->op == LOAD_WRITE ? i + LOAD_FILES : i, at, data, n);
		union nfs3_args w = {
			.write = {handle(&l->files[i]), at, n, NFS3_UNSTABLE, span_of(data, n)}};
		r = call(fd, NFS3_WRITE, &w);
		must(&r, NFS3_WRITE, name);
	}
}

void load_begin(struct load *l)
{
	if (l->echo) {
		l->root.handle_bytes = l->dir.handle_bytes = 40;
		for (uint32_t i = 0; i < LOAD_FILES; i++)
			l->files[i].handle_bytes = 40;
		return;
	}
	mount(l);
	int fd = load_connect(l, l->port);
	make_dir(fd, l);
	for (uint32_t i = 0; i < LOAD_FILES; i++)
		make_file(fd, l, i);
	close(fd);
}

void load_read_back(const struct load *l)
{
	int fd = load_connect(l, l->port);
	for (uint32_t i = 0; i < LOAD_FILES; i++)
		for (uint64_t at = 0; at < l->file_bytes; at += CHUNK) {
			uint32_t n = (uint32_t)MIN((uint64_t)CHUNK, l->file_bytes - at);
			union nfs3_args a = {.read = {handle(&l->files[i]), at, n}};
			struct nfs3_res r = call(fd, NFS3_READ, &a);
			must(&r, NFS3_READ, "back");
			if (r.read.count != n || !load_pattern_is(i, at, r.read.data.p, n))
				load_die("file %u holds other bytes at %llu than were written", i,
					(unsigned long long)at);
		}
	close(fd);
}

static void remove_name(int fd, struct load *l, const char *name)
{
	union nfs3_args a = {.dirop = {handle(&l->dir), span_cstr(name)}};
	struct nfs3_res r = call(fd, NFS3_REMOVE, &a);
	must(&r, NFS3_REMOVE, name);
}

void load_end(struct load *l)
{
	char name[32];
	if (l->echo)
		return;
	int fd = load_connect(l, l->port);
	for (uint32_t i = 0; i < LOAD_FILES; i++) {
		(void)snprintf(name, sizeof(name), "f%u", i);
		remove_name(fd, l, name);
	}
	for (uint64_t i = 0; i < l->made; i++) {
		(void)snprintf(name, sizeof(name), "c%llu", (unsigned long long)i);
		remove_name(fd, l, name);
	}
	union nfs3_args a = {.dirop = {handle(&l->root), SPAN("load")}};
	struct nfs3_res r = call(fd, NFS3_RMDIR, &a);
	must(&r, NFS3_RMDIR, "load");
	close(fd);
}
