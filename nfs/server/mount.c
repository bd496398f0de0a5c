/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The MOUNT program. Who knows an export's path gets the handle of its root, or of a folder below
 * it. A path that is a secret appears in no list. The table of mounts is what clients said they
 * did: it grants nothing, is bounded, and serves showmount alone.
 */
#include "nfs/server/internal.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

struct mount {
	struct list link;
	char host[INET6_ADDRSTRLEN];
	struct export *export;
	char below[]; /* the path below the export's, "" for its root */
};

static struct span host_of(const struct conn *c, char room[INET6_ADDRSTRLEN])
{
	int family = c->client_bytes == sizeof(struct in6_addr) ? AF_INET6 : AF_INET;
	if (c->client_bytes == 0 || !inet_ntop(family, c->client, room, INET6_ADDRSTRLEN))
		return SPAN("unknown");
	return span_cstr(room);
}

static struct span without_last_slash(struct span path)
{
	while (path.n > 1 && path.p[path.n - 1] == '/')
		path.n--;
	return path;
}

/* The export that `path` is, or lies below; *ret_below without its leading slash. */
static struct export *find_export(
	const struct nfs_server *s, struct span path, struct span *ret_below)
{
	struct export *best = NULL;
	size_t best_n = 0;
	list_for_each (l, &s->exports) {
		struct export *e = list_entry(l, struct export, link);
		struct span own = span_cstr(e->path);
		size_t n = span_is(own, "/") ? 0 : own.n;
		bool below = path.n > n && path.p[n] == '/';
		if (!(span_eq(path, own) ||
			    (below && span_eq(span_sub(path, 0, n), span_sub(own, 0, n)))))
			continue;
		if (best && n <= best_n)
			continue;
		best = e;
		best_n = n;
	}
	if (best)
		*ret_below = span_sub(path, MIN(best_n + 1, path.n), path.n);
	return best;
}

static bool plain_path(struct span path)
{
	struct span piece;
	bool done = path.n == 0;
	if (memchr(path.p ? path.p : "", 0, path.n))
		return false;
	while (span_split(&path, '/', &done, &piece))
		if (piece.n == 0 || span_is(piece, ".") || span_is(piece, ".."))
			return false;
	return true;
}

/* ---- the table ---- */

static bool same(const struct mount *m, struct span host, const struct export *e, struct span below)
{
	return m->export == e && span_is(host, m->host) && span_is(below, m->below);
}

static void forget(struct nfs_server *s, struct mount *m)
{
	list_remove(&m->link);
	s->mount_count--;
	free(m);
}

static void note_mount(struct nfs_server *s, struct span host, struct export *e, struct span below)
{
	list_for_each (l, &s->mounts)
		if (same(list_entry(l, struct mount, link), host, e, below))
			return;
	struct mount *m = calloc(1, sizeof(*m) + below.n + 1);
	if (!m)
		return;
	if (s->mount_count == LIMIT_NFS_MOUNTS)
		forget(s, list_first(&s->mounts, struct mount, link));
	memcpy(m->host, host.p, MIN(host.n, sizeof(m->host) - 1));
	memcpy(m->below, below.p ? below.p : "", below.n);
	m->export = e;
	list_push_back(&s->mounts, &m->link);
	s->mount_count++;
}

void mount_table_free(struct nfs_server *s)
{
	list_for_each_safe (l, &s->mounts)
		forget(s, list_entry(l, struct mount, link));
}

/* `e` NULL: all of the host's. */
static void forget_mounts(
	struct nfs_server *s, struct span host, const struct export *e, struct span below)
{
	list_for_each_safe (l, &s->mounts) {
		struct mount *m = list_entry(l, struct mount, link);
		if (e ? same(m, host, e, below) : span_is(host, m->host))
			forget(s, m);
	}
}

/* ---- procedures ---- */

static uint32_t mount_status(int r)
{
	switch (r) {
	case FSAL_DENIED:
	case -EACCES:
		return MNT3ERR_ACCES;
	case -EPERM:
		return MNT3ERR_PERM;
	case -ENOENT:
	case -ESTALE:
		return MNT3ERR_NOENT;
	case -ENOTDIR:
	case -ELOOP:
		return MNT3ERR_NOTDIR;
	case -EXDEV:
	case -EINVAL:
		return MNT3ERR_INVAL;
	case -ENAMETOOLONG:
		return MNT3ERR_NAMETOOLONG;
	case -EIO:
		return MNT3ERR_IO;
	default:
		return MNT3ERR_SERVERFAULT;
	}
}

/* 0, FSAL_WOULD_PARK, -ECANCELED; else *ret->status says why not. */
static int mnt(struct call *q, struct span path, struct mount_mnt_res *ret)
{
	struct span below;
	char host[INET6_ADDRSTRLEN];
	struct fsal_object *o;
	struct export *e = find_export(q->server, path, &below);
	ret->status = MNT3ERR_NOENT;
	if (!e || !plain_path(below))
		return 0;
	o = fsal_root(e->at);
	int r = below.n ? fsal_walk(&q->fs, e->at, below, false, &o) : 0;
	if (r == FSAL_WOULD_PARK || r == -ECANCELED)
		return r;
	if (r == 0 && fsal_object_type(o) != S_IFDIR)
		r = -ENOTDIR;
	if (r != 0) {
		ret->status = mount_status(r);
		return 0;
	}
	*ret = (struct mount_mnt_res){.status = MNT3_OK,
		.handle = fsal_handle(o),
		.flavor_count = 2,
		.flavors = {RPC_AUTH_SYS, RPC_AUTH_NONE}};
	note_mount(q->server, host_of(q->conn, host), e, below);
	return 0;
}

static void unmount(struct call *q, struct span path)
{
	char host[INET6_ADDRSTRLEN];
	struct span below;
	struct export *e = find_export(q->server, path, &below);
	if (e)
		forget_mounts(q->server, host_of(q->conn, host), e, below);
}

enum { LIST_ITEM_BYTES = MOUNT_PATH_BYTES + INET6_ADDRSTRLEN + 32 };

static void dump(struct call *q, struct xdr *out)
{
	list_for_each (l, &q->server->mounts) {
		const struct mount *m = list_entry(l, struct mount, link);
		char path[MOUNT_PATH_BYTES + 1];
		if (!m->export->listed || xdr_left(out) < LIST_ITEM_BYTES)
			continue;
		int n = snprintf(path, sizeof(path), "%s%s%s", m->export->path,
			m->below[0] ? "/" : "", m->below);
		struct span host = span_cstr(m->host);
		struct span text = span_of(path, MIN((size_t)n, sizeof(path) - 1));
		(void)mount_dump_item(out, &host, &text);
	}
	mount_list_end(out);
}

static void list_exports(struct call *q, struct xdr *out)
{
	list_for_each (l, &q->server->exports) {
		const struct export *e = list_entry(l, struct export, link);
		struct span path = span_cstr(e->path);
		if (e->listed && xdr_left(out) >= LIST_ITEM_BYTES)
			(void)mount_export_item(out, &path);
	}
	mount_list_end(out);
}

static int run_with_path(struct call *q, struct xdr *out)
{
	struct xdr in = xdr_decoder(q->body);
	struct mount_mnt_res res = {0};
	struct span path;
	mount_path(&in, &path);
	if (in.bad) {
		rpc_accept(out, q->rpc.xid, RPC_GARBAGE_ARGS);
		return 0;
	}
	path = without_last_slash(path);
	if (q->rpc.proc == MOUNT_UMNT) {
		unmount(q, path);
		rpc_accept(out, q->rpc.xid, RPC_SUCCESS);
		return 0;
	}
	int r = mnt(q, path, &res);
	if (r != 0)
		return r == FSAL_WOULD_PARK ? CALL_WOULD_PARK : r;
	rpc_accept(out, q->rpc.xid, RPC_SUCCESS);
	mount_mnt_res(out, &res);
	return 0;
}

int mount_run(struct call *q, struct xdr *out)
{
	char host[INET6_ADDRSTRLEN];
	enum mount_proc proc = q->rpc.proc;
	if (proc == MOUNT_MNT || proc == MOUNT_UMNT)
		return run_with_path(q, out);
	rpc_accept(out, q->rpc.xid, RPC_SUCCESS);
	if (proc == MOUNT_DUMP)
		dump(q, out);
	else if (proc == MOUNT_EXPORT)
		list_exports(q, out);
	else if (proc == MOUNT_UMNTALL)
		forget_mounts(q->server, host_of(q->conn, host), NULL, (struct span){0});
	return 0;
}
