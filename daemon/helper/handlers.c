/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What each request does. A handler sees only packets that kept the rules of its row in wire.c;
 * it looks ids up, calls the room, and fills the reply. A negative return becomes the reply's code
 * with the trail's message; the connection goes on.
 *
 * Payloads stand in static memory: there is one request at a time.
 */
#include "daemon/helper/monitor.h"
#include <errno.h>

static int handle_hello(struct monitor *m, const void *request, struct reply *ret)
{
	static struct wire_info info;
	info = (struct wire_info){
		.instance = m->host.instance,
		.cgroup_mode = m->host.cgroups.mode,
		.landlock_abi = (uint32_t)m->host.landlock_abi,
		.sandboxes_max = m->host.options.slot_count,
		.network_pool = m->host.options.network_pool,
	};
	ret->payload = &info;
	ret->payload_bytes = sizeof(info);
	m->greeted = true;
	return 0;
}

static int handle_workspace_open(struct monitor *m, const void *request, struct reply *ret)
{
	const struct wire_execution *w = request;
	int r = workspace_open(&m->host.workspaces, w->execution, true, &ret->fds[0]);
	if (r < 0)
		return err_trace(r);
	ret->fd_count = 1;
	ret->own = 1U << 0;
	return 0;
}

static int handle_workspace_remove(struct monitor *m, const void *request, struct reply *ret)
{
	const struct wire_execution *w = request;
	if (sandbox_of_execution(&m->sandboxes, w->execution))
		return err_raise(-EBUSY, "a sandbox of this execution is listed");
	if (sandbox_has_volume(&m->sandboxes, w->execution))
		return err_raise(-EBUSY, "a sandbox that lives has this volume");
	return err_trace(workspace_remove(&m->host.workspaces, w->execution));
}

static int handle_workspace_limit(struct monitor *m, const void *request, struct reply *ret)
{
	const struct wire_limit *w = request;
	return err_trace(workspace_limit(&m->host.workspaces, w->execution, w->bytes, w->inodes));
}

static int handle_workspace_object(struct monitor *m, const void *request, struct reply *ret)
{
	const struct wire_object *w = request;
	struct span handle = span_of(w->handle, w->handle_bytes);
	int r = workspace_object(
		&m->host.workspaces, w->execution, (int)w->handle_type, handle, &ret->fds[0]);
	if (r < 0)
		return err_trace(r);
	ret->fd_count = 1;
	ret->own = 1U << 0;
	return 0;
}

/* The view of one sandbox as the payload. */
static void reply_sandbox(const struct monitor *m, const struct sandbox *s, struct reply *ret)
{
	static struct wire_sandbox view;
	const struct helper_sandbox v = sandbox_view(&m->sandboxes, s);
	view = wire_sandbox_in(&v);
	ret->payload = &view;
	ret->payload_bytes = sizeof(view);
}

static int handle_sandbox_create(struct monitor *m, const void *request, struct reply *ret)
{
	const struct wire_create *w = request;
	struct sandbox *s;
	int log_fd;
	int r = sandbox_create(&m->sandboxes, w, &s, &log_fd);
	if (r < 0)
		return err_trace(r);
	reply_sandbox(m, s, ret);
	ret->fds[0] = s->listener;
	ret->fds[1] = s->pidfd;
	ret->fds[2] = log_fd;
	ret->fd_count = 3;
	ret->own = 1U << 2;
	if (s->files)
		ret->fds[ret->fd_count++] = s->files->transport.listener;
	return 0;
}

static int find(const struct monitor *m, uint64_t id, struct uuid execution, struct sandbox **ret)
{
	*ret = sandbox_find(&m->sandboxes, id, execution);
	if (*ret)
		return 0;
	return err_raise(
		-ENOENT, "no sandbox %016llx of that execution is listed", (unsigned long long)id);
}

static int handle_sandbox_stop(struct monitor *m, const void *request, struct reply *ret)
{
	const struct wire_stop *w = request;
	struct sandbox *s;
	int r = find(m, w->id, w->execution, &s);
	return r < 0 ? err_trace(r)
		     : err_trace(sandbox_stop(&m->sandboxes, s, (enum helper_stop)w->how));
}

static int handle_sandbox_release(struct monitor *m, const void *request, struct reply *ret)
{
	const struct wire_target *w = request;
	struct sandbox *s;
	int r = find(m, w->id, w->execution, &s);
	return r < 0 ? err_trace(r) : err_trace(sandbox_release(&m->sandboxes, s));
}

static int handle_sandbox_list(struct monitor *m, const void *request, struct reply *ret)
{
	static struct wire_sandbox items[WIRE_LIST_MAX];
	const struct wire_list *w = request;
	list_for_each (node, &m->sandboxes.all) {
		const struct sandbox *s = list_entry(node, struct sandbox, link);
		if (s->mark.id <= w->after || s->released || s->pooled)
			continue;
		if (ret->count == WIRE_LIST_MAX)
			break;
		const struct helper_sandbox v = sandbox_view(&m->sandboxes, s);
		items[ret->count++] = wire_sandbox_in(&v);
	}
	ret->payload = items;
	ret->payload_bytes = ret->count * sizeof(items[0]);
	return 0;
}

static int handle_sandbox_get(struct monitor *m, const void *request, struct reply *ret)
{
	const struct wire_target *w = request;
	struct sandbox *s;
	int r = find(m, w->id, w->execution, &s);
	if (r < 0)
		return err_trace(r);
	reply_sandbox(m, s, ret);
	return 0;
}

static int handle_listener_get(struct monitor *m, const void *request, struct reply *ret)
{
	const struct wire_target *w = request;
	struct sandbox *s;
	int r = find(m, w->id, w->execution, &s);
	if (r < 0)
		return err_trace(r);
	if (s->listener < 0)
		return err_raise(-ESRCH, "sandbox %s has ended", s->name);
	ret->fds[0] = s->listener;
	ret->fds[1] = s->pidfd;
	ret->fd_count = 2;
	return 0;
}

static int handle_call_open(struct monitor *m, const void *request, struct reply *ret)
{
	static struct wire_call_item item;
	const struct wire_call *w = request;
	struct sandbox *s;
	int r = find(m, w->id, w->execution, &s);
	item.call = w->call;
	if (r == 0)
		r = sandbox_call_open(&m->host, s, w->call, &item.cgroup_id);
	if (r < 0)
		return err_trace(r);
	ret->payload = &item;
	ret->payload_bytes = sizeof(item);
	return 0;
}

static int handle_call_close(struct monitor *m, const void *request, struct reply *ret)
{
	static struct wire_usage usage;
	struct helper_usage u = {0};
	const struct wire_call *w = request;
	struct sandbox *s;
	int r = find(m, w->id, w->execution, &s);
	if (r == 0)
		r = sandbox_call_close(s, w->call, (enum helper_call_rest)w->rest, &u);
	if (r < 0)
		return err_trace(r);
	usage = (struct wire_usage){u.cpu_us, u.memory_peak_bytes, u.oom_kills};
	ret->payload = &usage;
	ret->payload_bytes = sizeof(usage);
	return r;
}

static int handle_call_list(struct monitor *m, const void *request, struct reply *ret)
{
	static struct wire_call_item items[HELPER_CALLS_MAX];
	const struct wire_target *w = request;
	struct sandbox *s;
	int r = find(m, w->id, w->execution, &s);
	if (r < 0)
		return err_trace(r);
	for (size_t i = 0; i < s->call_count; i++)
		items[i] = (struct wire_call_item){s->calls[i].call, s->calls[i].cgroup_id};
	ret->count = (uint32_t)s->call_count;
	ret->payload = items;
	ret->payload_bytes = s->call_count * sizeof(items[0]);
	return 0;
}

static int handle_public_key(struct monitor *m, const void *request, struct reply *ret)
{
	ret->payload = signer_public_key(m->host.signer);
	ret->payload_bytes = HEAD_PUBLIC_KEY_BYTES;
	return 0;
}

static int handle_sign_head(struct monitor *m, const void *request, struct reply *ret)
{
	static struct head_signed answer;
	const struct wire_sign *w = request;
	int r = signer_sign(m->host.signer, &w->head, &answer);
	const struct head_signed *last =
		r == -ESTALE ? signer_last(m->host.signer, w->head.journal) : NULL;
	if (last)
		answer = *last;
	if (r == 0 || last) {
		ret->payload = &answer;
		ret->payload_bytes = sizeof(answer);
	}
	return err_trace(r);
}

static int handle_last_head(struct monitor *m, const void *request, struct reply *ret)
{
	const struct wire_journal *w = request;
	const struct head_signed *last = signer_last(m->host.signer, w->journal);
	if (!last)
		return err_raise(-ENOENT, "no head of that journal was ever signed");
	ret->payload = last;
	ret->payload_bytes = sizeof(*last);
	return 0;
}

static int handle_network_open(struct monitor *m, const void *request, struct reply *ret)
{
	struct network *n = &m->host.network;
	int r = network_ready(n, m->host.cgroups.v2);
	if (r < 0)
		return err_trace(r);
	memcpy(ret->fds, n->programs.maps, sizeof(n->programs.maps));
	ret->fd_count = NET_MAPS;
	return 0;
}

static int handle_lsm_open(struct monitor *m, const void *request, struct reply *ret)
{
	const struct lsmprog *l = &m->host.lsm;
	if (!l->loaded)
		return err_raise(-EOPNOTSUPP, "this kernel has no BPF LSM");
	memcpy(ret->fds, l->programs.maps, LSM_MAPS * sizeof(ret->fds[0]));
	ret->fd_count = LSM_MAPS;
	return 0;
}

static int handle_record_open(struct monitor *m, const void *request, struct reply *ret)
{
	struct recordprog *p = &m->host.record;
	if (!p->loaded)
		return err_raise(-EOPNOTSUPP, "this kernel cannot record what sandboxes do");
	int r = recordprog_attach(p, m->host.cgroups.v2);
	if (r < 0)
		return err_trace(r);
	m->sandboxes.unneeded =
		m->sandboxes.count == 0; /* what asked for it may not come to live */
	memcpy(ret->fds, p->programs.maps, RECORD_MAPS * sizeof(ret->fds[0]));
	memcpy(ret->fds + RECORD_MAPS, p->links, RECORD_HOOKS * sizeof(ret->fds[0]));
	ret->fd_count = RECORD_MAPS + RECORD_HOOKS;
	return 0;
}

static int handle_guard_open(struct monitor *m, const void *request, struct reply *ret)
{
	const struct guardprog *g = &m->host.guard;
	if (!g->loaded)
		return err_raise(-EOPNOTSUPP, "this kernel has no tracepoints for the guard");
	ret->fds[0] = g->programs.maps[GUARD_MAP_DENIALS];
	ret->fds[1] = g->programs.maps[GUARD_MAP_LOSSES];
	ret->fd_count = 2;
	return 0;
}

static int handle_resolver_get(struct monitor *m, const void *request, struct reply *ret)
{
	const struct wire_target *w = request;
	struct sandbox *s;
	int r = find(m, w->id, w->execution, &s);
	if (r == 0 && !s->mark.network)
		r = err_raise(-EINVAL, "sandbox %s has no network", s->name);
	if (r == 0)
		r = network_resolver(&m->host.network, s->mark.slot, &ret->fds[0], &ret->fds[1]);
	if (r < 0)
		return err_trace(r);
	ret->fd_count = 2;
	ret->own = 3;
	return 0;
}

static int handle_files_mount(struct monitor *m, const void *request, struct reply *ret)
{
	const struct wire_mount *w = request;
	struct sandbox *s;
	int r = find(m, w->id, w->execution, &s);
	return r < 0 ? err_trace(r) : err_trace(sandbox_files_mount(s, w, m->client));
}

static int handle_sandbox_begin(struct monitor *m, const void *request, struct reply *ret)
{
	const struct wire_target *w = request;
	struct sandbox *s;
	int r = find(m, w->id, w->execution, &s);
	return r < 0 ? err_trace(r) : err_trace(sandbox_begin(&m->sandboxes, s, m->client));
}

static int handle_files_get(struct monitor *m, const void *request, struct reply *ret)
{
	const struct wire_target *w = request;
	struct sandbox *s;
	int r = find(m, w->id, w->execution, &s);
	if (r == 0)
		r = sandbox_files_listener(&m->sandboxes, s, &ret->fds[0]);
	if (r < 0)
		return err_trace(r);
	ret->fd_count = 1;
	return 0;
}

static const monitor_handler handlers[WIRE_TYPE_END] = {
	[WIRE_HELLO] = handle_hello,
	[WIRE_WORKSPACE_OPEN] = handle_workspace_open,
	[WIRE_WORKSPACE_REMOVE] = handle_workspace_remove,
	[WIRE_SANDBOX_CREATE] = handle_sandbox_create,
	[WIRE_SANDBOX_STOP] = handle_sandbox_stop,
	[WIRE_SANDBOX_RELEASE] = handle_sandbox_release,
	[WIRE_SANDBOX_LIST] = handle_sandbox_list,
	[WIRE_SANDBOX_GET] = handle_sandbox_get,
	[WIRE_LISTENER_GET] = handle_listener_get,
	[WIRE_CALL_OPEN] = handle_call_open,
	[WIRE_CALL_CLOSE] = handle_call_close,
	[WIRE_CALL_LIST] = handle_call_list,
	[WIRE_PUBLIC_KEY] = handle_public_key,
	[WIRE_SIGN_HEAD] = handle_sign_head,
	[WIRE_LAST_HEAD] = handle_last_head,
	[WIRE_NETWORK_OPEN] = handle_network_open,
	[WIRE_LSM_OPEN] = handle_lsm_open,
	[WIRE_RECORD_OPEN] = handle_record_open,
	[WIRE_GUARD_OPEN] = handle_guard_open,
	[WIRE_RESOLVER_GET] = handle_resolver_get,
	[WIRE_FILES_MOUNT] = handle_files_mount,
	[WIRE_FILES_GET] = handle_files_get,
	[WIRE_SANDBOX_BEGIN] = handle_sandbox_begin,
	[WIRE_WORKSPACE_OBJECT] = handle_workspace_object,
	[WIRE_WORKSPACE_LIMIT] = handle_workspace_limit,
};

monitor_handler monitor_handler_of(unsigned type)
{
	return type < WIRE_TYPE_END ? handlers[type] : NULL;
}
