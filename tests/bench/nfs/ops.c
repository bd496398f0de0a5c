/* SPDX-License-Identifier: AGPL-3.0-only */
/* The calls, and what their replies must be. */
#include "tests/bench/nfs/load.h"
#include <stdio.h>

const char *const load_op_names[LOAD_OP_COUNT] = {
	"null", "getattr", "lookup", "access", "read", "write", "create", "remove", "readdirplus"};

static const enum nfs3_proc procs[LOAD_OP_COUNT] = {NFS3_NULL, NFS3_GETATTR, NFS3_LOOKUP,
	NFS3_ACCESS, NFS3_READ, NFS3_WRITE, NFS3_CREATE, NFS3_REMOVE, NFS3_READDIRPLUS};

/* ---- pattern: each word says where it belongs ---- */

static uint64_t word_at(uint32_t file, uint64_t word)
{
	return ((uint64_t)file + 1) << 48 ^ word * UINT64_C(0x9e3779b97f4a7c15);
}

void load_pattern_fill(uint32_t file, uint64_t offset, char *p, size_t n)
{
	for (size_t i = 0; i + 8 <= n; i += 8) {
		uint64_t w = word_at(file, (offset + i) / 8);
		memcpy(p + i, &w, sizeof(w));
	}
}

bool load_pattern_is(uint32_t file, uint64_t offset, const char *p, size_t n)
{
	uint64_t differ = n % 8;
	for (size_t i = 0; i + 8 <= n; i += 8) {
		uint64_t w;
		memcpy(&w, p + i, sizeof(w));
		differ |= w ^ word_at(file, (offset + i) / 8);
	}
	return differ == 0;
}

/* ---- calls ---- */

static struct span handle(const struct load_file *f)
{
	return span_of(f->handle, f->handle_bytes);
}

static struct span name_of(const struct load_call *c, char room[32])
{
	int n = snprintf(room, 32, "c%llu", (unsigned long long)c->number);
	return span_of(room, (size_t)n);
}

static void choose(const struct load *l, struct load_call *c)
{
	c->file = (uint32_t)(c->number * 7 % LOAD_FILES);
	uint64_t places = l->size ? l->file_bytes / l->size : 1;
	c->offset = c->number / LOAD_FILES % places * l->size;
}

static union nfs3_args args_of(const struct load *l, const struct load_call *c, char name[32])
{
	union nfs3_args a = {0};
	const struct load_file *f = &l->files[c->file];
	switch (l->op) {
	case LOAD_GETATTR:
		a.object = handle(f);
		break;
	case LOAD_LOOKUP:
		a.dirop.dir = handle(&l->dir);
		a.dirop.name = span_of(name, (size_t)snprintf(name, 32, "f%u", c->file));
		break;
	case LOAD_ACCESS:
		a.access = (struct nfs3_access_args){handle(f), 0x3f};
		break;
	case LOAD_READ:
		a.read = (struct nfs3_read_args){handle(f), c->offset, l->size};
		break;
	case LOAD_CREATE:
		a.create.where = (struct nfs3_dirop){handle(&l->dir), name_of(c, name)};
		a.create.how = NFS3_UNCHECKED;
		a.create.attr = (struct nfs3_sattr){.set_mode = true, .mode = 0644};
		break;
	case LOAD_REMOVE:
		a.dirop = (struct nfs3_dirop){handle(&l->dir), name_of(c, name)};
		break;
	case LOAD_READDIRPLUS:
		a.readdir.dir = handle(&l->dir);
		a.readdir.dircount = 8192;
		a.readdir.maxcount = 32768;
		break;
	default:
		break;
	}
	return a;
}

static void put_write(const struct load *l, const struct load_call *c, struct xdr *x)
{
	char *data = xdr_room(x, 4 + l->files[c->file].handle_bytes + 8 + 4 + 4 + 4, l->size);
	if (!data)
		load_die("no room for a WRITE");
	load_pattern_fill(c->file, c->offset, data, l->size);
	union nfs3_args a = {.write = {handle(&l->files[c->file]), c->offset, l->size,
				     NFS3_UNSTABLE, span_of(data, l->size)}};
	nfs3_args(x, NFS3_WRITE, &a);
}

size_t load_build(const struct load *l, struct load_call *c, char *room, size_t cap)
{
	struct rpc_call head = {.xid = c->xid,
		.prog = NFS3_PROGRAM,
		.vers = NFS3_V3,
		.proc = procs[l->op],
		.flavor = RPC_AUTH_SYS};
	head.sys = (struct rpc_auth_sys){.machine = SPAN("load")};
	struct xdr x = xdr_encoder(room + RPC_MARK_BYTES, cap - RPC_MARK_BYTES);
	char name[32];
	choose(l, c);
	rpc_call_encode(&x, &head);
	if (l->op == LOAD_WRITE) {
		put_write(l, c, &x);
	} else {
		union nfs3_args a = args_of(l, c, name);
		nfs3_args(&x, procs[l->op], &a);
	}
	if (x.bad)
		load_die("no room for a call");
	size_t n = (size_t)(x.p - room);
	rpc_mark_put(room, (struct rpc_mark){true, (uint32_t)(n - RPC_MARK_BYTES)});
	return n;
}

size_t load_call_bytes(const struct load *l)
{
	return LOAD_CALL_BYTES + (l->op == LOAD_WRITE ? l->size : 0);
}

size_t load_reply_bytes(const struct load *l)
{
	return 40960 + (l->op == LOAD_READ ? l->size : 0);
}

/* ---- replies ---- */

static void expect(bool right, const struct load *l, const struct load_call *c, const char *what)
{
	if (!right)
		load_die("wrong reply: %s call %llu, file %u, offset %llu: %s",
			load_op_names[l->op], (unsigned long long)c->number, c->file,
			(unsigned long long)c->offset, what);
}

static bool is_file(const struct nfs3_post_op_attr *a, const struct load *l, uint32_t file)
{
	return a->present && a->attr.type == NFS3_REG && a->attr.fileid == l->files[file].fileid &&
		a->attr.size == l->file_bytes;
}

static void verify_read(const struct load *l, const struct load_call *c, struct nfs3_read_res *r)
{
	expect(is_file(&r->attr, l, c->file), l, c, "attributes");
	expect(r->count == l->size, l, c, "count");
	expect(r->eof == (c->offset + l->size == l->file_bytes), l, c, "eof");
	expect(load_pattern_is(c->file, c->offset, r->data.p, r->data.n), l, c, "data");
}

static void verify_listing(const struct load *l, const struct load_call *c, struct xdr *x)
{
	struct nfs3_dir_item e;
	uint64_t seen = 0;
	bool eof = false;
	while (nfs3_dir_item(x, true, &e)) {
		unsigned file;
		char name[32] = "";
		memcpy(name, e.name.p, MIN(e.name.n, sizeof(name) - 1));
		if (sscanf(name, "f%u", &file) != 1)
			continue;
		expect(file < LOAD_FILES && !(seen >> file & 1), l, c, "a name twice");
		expect(is_file(&e.attr, l, file), l, c, "an entry's attributes");
		expect(e.handle.present && span_eq(e.handle.handle, handle(&l->files[file])), l, c,
			"an entry's handle");
		seen |= UINT64_C(1) << file;
	}
	nfs3_dir_end(x, &eof);
	expect(!x->bad && eof && seen == UINT64_MAX, l, c, "names are missing");
}

static void verify_result(
	const struct load *l, const struct load_call *c, struct nfs3_res *r, struct xdr *x)
{
	switch (l->op) {
	case LOAD_GETATTR: {
		struct nfs3_post_op_attr a = {true, r->getattr};
		expect(is_file(&a, l, c->file), l, c, "attributes");
		break;
	}
	case LOAD_LOOKUP:
		expect(span_eq(r->lookup.object, handle(&l->files[c->file])), l, c, "handle");
		expect(is_file(&r->lookup.attr, l, c->file), l, c, "attributes");
		expect(r->lookup.dir_attr.present, l, c, "directory's attributes");
		break;
	case LOAD_ACCESS:
		expect((r->access.access & 0x0d) == 0x0d, l, c, "access");
		break;
	case LOAD_READ:
		verify_read(l, c, &r->read);
		break;
	case LOAD_WRITE:
		expect(is_file(&r->write.wcc.after, l, c->file), l, c, "attributes");
		expect(r->write.count == l->size, l, c, "count");
		break;
	case LOAD_CREATE:
		expect(r->create.object.present && r->create.object.handle.n > 0, l, c, "handle");
		expect(r->create.attr.present && r->create.attr.attr.size == 0 &&
				r->create.attr.attr.mode == 0644,
			l, c, "attributes");
		expect(r->create.dir_wcc.after.present, l, c, "directory's attributes");
		break;
	case LOAD_REMOVE:
		expect(r->wcc.after.present, l, c, "directory's attributes");
		break;
	case LOAD_READDIRPLUS:
		verify_listing(l, c, x);
		break;
	default:
		break;
	}
}

void load_verify(const struct load *l, const struct load_call *c, struct span record)
{
	struct xdr x = xdr_decoder(record);
	struct rpc_reply reply;
	struct nfs3_res r = {0};
	expect(rpc_reply_decode(&x, &reply) == 0 && reply.reply_stat == RPC_MSG_ACCEPTED &&
			reply.stat == RPC_SUCCESS,
		l, c, "not an accepted reply");
	if (l->echo)
		return;
	nfs3_res(&x, procs[l->op], &r);
	if (r.status != NFS3_OK)
		load_die("wrong reply: %s call %llu: status %u", load_op_names[l->op],
			(unsigned long long)c->number, r.status);
	expect(!x.bad, l, c, "cut short");
	verify_result(l, c, &r, &x);
	expect(!x.bad && xdr_left(&x) == 0, l, c, "bytes behind the results");
}
