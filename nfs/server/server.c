/* SPDX-License-Identifier: AGPL-3.0-only */
/* A server's life: options, exports, and the loop that accepts. */
#include "nfs/server/internal.h"
#include <stdlib.h>

static void set_defaults(struct nfs_server_options *o)
{
	o->connections_max = o->connections_max ? o->connections_max : LIMIT_NFS_CONNECTIONS;
	o->connection_calls_max =
		o->connection_calls_max ? o->connection_calls_max : LIMIT_NFS_CONNECTION_CALLS;
	o->calls_max = o->calls_max ? o->calls_max : LIMIT_NFS_CALLS;
	o->buffers_max = o->buffers_max ? o->buffers_max : LIMIT_NFS_BUFFERS;
	o->replies = o->replies ? o->replies : LIMIT_NFS_REPLIES;
	o->idle_ms = o->idle_ms ? o->idle_ms : 600000;
	o->client_ms = o->client_ms ? o->client_ms : 30000;
}

int nfs_server_new(const struct nfs_server_options *o, struct nfs_server **ret)
{
	struct nfs_server *s = calloc(1, sizeof(*s));
	if (!s) {
		rt_close(o->reply_file);
		return err_raise(-ENOMEM, "memory for an NFS server");
	}
	s->options = *o;
	set_defaults(&s->options);
	list_init(&s->exports);
	list_init(&s->mounts);
	group_init(&s->connections);
	rt_random(s->write_verf, sizeof(s->write_verf));
	int r = reply_cache_open(s->options.reply_file, s->options.replies, &s->replies);
	if (r == 0)
		r = buffers_init(&s->buffers, s->options.buffers_max);
	if (r < 0) {
		nfs_server_free(s);
		return err_trace(r);
	}
	*ret = s;
	return 0;
}

static void export_free(struct export *e)
{
	list_remove(&e->link);
	free(e->path);
	free(e);
}

void nfs_server_free(struct nfs_server *s)
{
	if (!s)
		return;
	CHECK(s->connection_count == 0);
	list_for_each_safe (l, &s->exports)
		export_free(list_entry(l, struct export, link));
	mount_table_free(s);
	buffers_fini(&s->buffers);
	reply_cache_close(s->replies);
	free(s);
}

int nfs_server_export(
	struct nfs_server *s, struct span path, bool listed, struct fsal_attachment *at)
{
	if (path.n == 0 || path.p[0] != '/' || path.n > MOUNT_PATH_BYTES)
		return err_raise(-EINVAL,
			"export path \"" SPAN_FMT "\": accepted: a slash and at most %d bytes",
			SPAN_ARG(path), MOUNT_PATH_BYTES);
	list_for_each (l, &s->exports)
		if (span_is(path, list_entry(l, struct export, link)->path))
			return err_raise(
				-EEXIST, "export path \"" SPAN_FMT "\" is taken", SPAN_ARG(path));
	struct export *e = calloc(1, sizeof(*e));
	char *copy = span_dup(path);
	if (!e || !copy) {
		free(e);
		free(copy);
		return err_raise(-ENOMEM, "memory for an export");
	}
	*e = (struct export){.path = copy, .listed = listed, .at = at};
	list_push_back(&s->exports, &e->link);
	return 0;
}

/* ---- accepting ---- */

static void note_client(struct conn *c, int fd)
{
	struct sockaddr_storage a = {0};
	socklen_t n = sizeof(a);
	if (getpeername(fd, (struct sockaddr *)&a, &n) < 0)
		return;
	if (a.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&a;
		c->client_bytes = sizeof(in->sin_addr);
		memcpy(c->client, &in->sin_addr, c->client_bytes);
	} else if (a.ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a;
		c->client_bytes = sizeof(in6->sin6_addr);
		memcpy(c->client, &in6->sin6_addr, c->client_bytes);
	}
}

static void begin_connection(struct nfs_server *s, int fd)
{
	struct conn *c =
		s->connection_count < s->options.connections_max ? calloc(1, sizeof(*c)) : NULL;
	if (c) {
		c->server = s;
		c->fd = fd;
		note_client(c, fd);
		s->connection_count++;
		if (group_spawn(&s->connections, "nfs connection", FIBER_SMALL, conn_serve, c) == 0)
			return;
		s->connection_count--;
		free(c);
	}
	s->stats.refused++;
	rt_close(fd);
}

enum { ACCEPT_PAUSE_MS = 100 };

static bool passing(int r) /* no descriptors or memory left just now */
{
	return r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM ||
		r == -ECONNABORTED || r == -EAGAIN;
}

static int accept_all(struct nfs_server *s, struct listener *l)
{
	for (;;) {
		int fd = listener_accept(l, DEADLINE_NONE);
		if (fd >= 0) {
			begin_connection(s, fd);
			continue;
		}
		if (!passing(fd))
			return fd;
		int r = rt_sleep_until(deadline_in_ms(ACCEPT_PAUSE_MS));
		if (r < 0)
			return r;
	}
}

int nfs_server_run(struct nfs_server *s, int listening)
{
	struct listener *l;
	int r = listener_start(listening, &l);
	if (r < 0)
		return err_trace(r);
	r = accept_all(s, l);
	listener_stop(l);
	group_close(&s->connections);
	group_init(&s->connections);
	return r;
}

struct nfs_server_stats nfs_server_stats(const struct nfs_server *s)
{
	return s->stats;
}
