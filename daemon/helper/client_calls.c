/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * helper.h call by call: fill the request, look at the shape of the reply. The helper is trusted,
 * but a build that does not fit must be noticed.
 */
#include "daemon/helper/client.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NO_TAIL span_of(NULL, 0)

enum { LIMIT_ASK_FIRST_MS = 10, LIMIT_ASK_MAX_MS = 500 }; /* while an image is being made */

static struct client_reply reply_into(void *payload, size_t bytes)
{
	struct client_reply y = {.payload = payload, .payload_max = bytes};
	for (int i = 0; i < WIRE_FDS_MAX; i++)
		y.fds[i] = -1;
	return y;
}

/* A reply that must have exactly these. Returns the call's result, or -EPROTO. */
static int shaped(int r, struct client_reply *y, size_t bytes, int fds)
{
	if (r < 0)
		return r;
	if (y->payload_bytes == bytes && y->fd_count == fds)
		return r;
	client_reply_close(y);
	return err_raise(-EPROTO,
		"the helper's reply has %zu bytes and %d descriptors, not %zu and %d",
		y->payload_bytes, y->fd_count, bytes, fds);
}

AWAITS int helper_workspace_open(
	struct helper *h, struct uuid execution, int *ret_fd, int64_t deadline_ns)
{
	struct wire_execution w = {.execution = execution};
	struct client_reply y = reply_into(NULL, 0);
	int r = client_call(h, WIRE_WORKSPACE_OPEN, &w.header, sizeof(w), NO_TAIL, &y, deadline_ns);
	r = shaped(r, &y, 0, 1);
	if (r < 0)
		return err_trace(r);
	*ret_fd = y.fds[0];
	return 0;
}

AWAITS int helper_workspace_remove(struct helper *h, struct uuid execution, int64_t deadline_ns)
{
	struct wire_execution w = {.execution = execution};
	struct client_reply y = reply_into(NULL, 0);
	int r = client_call(
		h, WIRE_WORKSPACE_REMOVE, &w.header, sizeof(w), NO_TAIL, &y, deadline_ns);
	return err_trace(shaped(r, &y, 0, 0));
}

AWAITS int helper_workspace_limit(
	struct helper *h, struct uuid id, uint64_t bytes, uint64_t inodes, int64_t deadline_ns)
{
	struct wire_limit w = {.execution = id, .bytes = bytes, .inodes = inodes};
	struct client_reply y = reply_into(NULL, 0);
	if (bytes < HELPER_IMAGE_BYTES_MIN || bytes > HELPER_IMAGE_BYTES_MAX ||
		inodes > HELPER_IMAGE_INODES_MAX)
		return err_raise(-ERANGE,
			"a size limit of %llu bytes and %llu inodes: the kernel can hold sandboxes "
			"to 256 KiB up to 16 TiB and at most 2^31 inodes",
			(unsigned long long)bytes, (unsigned long long)inodes);
	int pause_ms = LIMIT_ASK_FIRST_MS;
	for (;;) {
		int r = client_call(
			h, WIRE_WORKSPACE_LIMIT, &w.header, sizeof(w), NO_TAIL, &y, deadline_ns);
		r = shaped(r, &y, 0, 0);
		if (r == HELPER_LIMIT_UNDERWAY)
			r = rt_sleep_until(MIN(deadline_in_ms(pause_ms), deadline_ns));
		else
			return err_trace(r);
		if (r < 0)
			return err_trace(r);
		pause_ms = MIN(2 * pause_ms, (int)LIMIT_ASK_MAX_MS);
	}
}

AWAITS int helper_workspace_object(struct helper *h, struct uuid execution, int type,
	struct span handle, int *ret_fd, int64_t deadline_ns)
{
	struct wire_object w = {.execution = execution,
		.handle_type = (uint32_t)type,
		.handle_bytes = (uint32_t)handle.n};
	struct client_reply y = reply_into(NULL, 0);
	if (handle.n == 0 || handle.n > sizeof(w.handle))
		return err_raise(-ESTALE, "a handle of %zu bytes", handle.n);
	memcpy(w.handle, handle.p, handle.n);
	int r = client_call(
		h, WIRE_WORKSPACE_OBJECT, &w.header, sizeof(w), NO_TAIL, &y, deadline_ns);
	r = shaped(r, &y, 0, 1);
	if (r < 0)
		return err_trace(r);
	*ret_fd = y.fds[0];
	return 0;
}

void helper_sandbox_fds_close(struct helper_sandbox_fds *fds)
{
	fd_cleanup(&fds->listener);
	fd_cleanup(&fds->pidfd);
	fd_cleanup(&fds->log);
	fd_cleanup(&fds->files);
}

/* ---- create ---- */

/* The strings one behind the other. -E2BIG names what is too long. */
static int put_strings(
	struct buf *b, const char *what, char *const *v, size_t bytes_max, uint32_t *ret_count)
{
	size_t before = b->len, n = 0;
	for (; v && v[n]; n++) {
		size_t bytes = strlen(v[n]) + 1;
		if (n == WIRE_ARGS_MAX || b->len - before + bytes > bytes_max)
			return err_raise(-E2BIG,
				"%s: at most %d strings and %zu bytes are accepted", what,
				WIRE_ARGS_MAX, bytes_max);
		buf_put(b, v[n], bytes);
	}
	*ret_count = (uint32_t)n;
	return err_trace(buf_error(b));
}

static int fill_places(struct wire_create *w, const struct helper_sandbox_spec *spec)
{
	if (spec->place_count > HELPER_PLACES_MAX)
		return err_raise(-E2BIG, "%zu volumes below the workspace; at most %d are accepted",
			spec->place_count, HELPER_PLACES_MAX);
	for (size_t i = 0; i < spec->place_count; i++) {
		const struct helper_place *p = &spec->places[i];
		struct wire_place *to = &w->places[i];
		*to = (struct wire_place){.volume = p->volume, .read_only = p->read_only};
		memcpy(to->at, p->at, MIN(strlen(p->at), sizeof(to->at)));
		if (!wire_place_ok(to->at, sizeof(to->at)))
			return err_raise(-EINVAL,
				"a volume at \"%s\": a relative path of at most %zu bytes without "
				"\"..\" is accepted",
				p->at, sizeof(to->at) - 1);
	}
	w->place_count = (uint32_t)spec->place_count;
	return 0;
}

static int fill_create(
	struct wire_create *w, struct buf *tail, const struct helper_sandbox_spec *spec)
{
	const struct helper_limits *l = &spec->limits;
	*w = (struct wire_create){
		.execution = spec->execution,
		.iteration = spec->iteration,
		.network_policy = spec->network_policy,
		.file_policy = spec->file_policy,
		.files = spec->files,
		.read_only = spec->read_only,
		.strict = spec->strict,
		.workspace = uuid_is_nil(spec->workspace) ? spec->execution : spec->workspace,
		.limits = {.memory_bytes = l->memory_bytes,
			.tmp_bytes = l->tmp_bytes,
			.file_bytes = l->file_bytes,
			.cpu_millis = l->cpu_millis,
			.pids = l->pids,
			.open_files = l->open_files},
	};
	if (strlen(spec->runtime) >= sizeof(w->runtime))
		return err_raise(-ENOENT, "runtime %s is not in the registry", spec->runtime);
	memcpy(w->runtime, spec->runtime, strlen(spec->runtime));
	if (!wire_name_ok(w->runtime, sizeof(w->runtime)))
		return err_raise(-ENOENT, "runtime \"%s\": names of [a-z0-9._-] are accepted",
			spec->runtime);
	if (spec->iteration < 1 || spec->iteration > HELPER_ITERATION_MAX)
		return err_raise(-ERANGE, "iteration is %u; 1 to %d are accepted", spec->iteration,
			HELPER_ITERATION_MAX);
	for (char *const *e = spec->envp; e && *e; e++) {
		if (!wire_variable_ok(*e))
			return err_raise(-EINVAL,
				"environment entry \"%.40s\": NAME=value with a NAME of letters, "
				"digits "
				"and underscores is accepted",
				*e);
	}
	int r = wire_check_limits(&w->limits);
	if (r == 0)
		r = fill_places(w, spec);
	if (r == 0)
		r = put_strings(tail, "argv", spec->argv, HELPER_ARGV_BYTES_MAX, &w->argc);
	w->argv_bytes = (uint32_t)tail->len;
	if (r == 0)
		r = put_strings(tail, "environment", spec->envp, HELPER_ENV_BYTES_MAX, &w->envc);
	w->env_bytes = (uint32_t)tail->len - w->argv_bytes;
	return err_trace(r);
}

AWAITS int helper_sandbox_create(struct helper *h, const struct helper_sandbox_spec *spec,
	struct helper_sandbox *ret, struct helper_sandbox_fds *ret_fds, int64_t deadline_ns)
{
	struct wire_create w;
	struct wire_sandbox view;
	struct client_reply y = reply_into(&view, sizeof(view));
	struct buf tail CLEANUP(buf_fini) =
		buf_init((size_t)HELPER_ARGV_BYTES_MAX + HELPER_ENV_BYTES_MAX);
	int r = fill_create(&w, &tail, spec);
	if (r == 0)
		r = client_call(h, WIRE_SANDBOX_CREATE, &w.header, sizeof(w), buf_view(&tail), &y,
			deadline_ns);
	r = shaped(r, &y, sizeof(view), spec->files == HELPER_FILES_NFS ? 4 : 3);
	if (r < 0)
		return err_trace(r);
	*ret = wire_sandbox_out(&view);
	*ret_fds = (struct helper_sandbox_fds){y.fds[0], y.fds[1], y.fds[2], y.fds[3]};
	return 0;
}

/* ---- one sandbox ---- */

static AWAITS int call_target(struct helper *h, enum wire_type type, uint64_t id,
	struct uuid execution, struct client_reply *y, int64_t deadline_ns)
{
	struct wire_target w = {.id = id, .execution = execution};
	return client_call(h, type, &w.header, sizeof(w), NO_TAIL, y, deadline_ns);
}

AWAITS int helper_sandbox_stop(struct helper *h, uint64_t id, struct uuid execution,
	enum helper_stop how, int64_t deadline_ns)
{
	struct wire_stop w = {.id = id, .execution = execution, .how = how};
	struct client_reply y = reply_into(NULL, 0);
	int r = client_call(h, WIRE_SANDBOX_STOP, &w.header, sizeof(w), NO_TAIL, &y, deadline_ns);
	return err_trace(shaped(r, &y, 0, 0));
}

AWAITS int helper_sandbox_release(
	struct helper *h, uint64_t id, struct uuid execution, int64_t deadline_ns)
{
	struct client_reply y = reply_into(NULL, 0);
	int r = call_target(h, WIRE_SANDBOX_RELEASE, id, execution, &y, deadline_ns);
	return err_trace(shaped(r, &y, 0, 0));
}

AWAITS int helper_sandbox_get(struct helper *h, uint64_t id, struct uuid execution,
	struct helper_sandbox *ret, int64_t deadline_ns)
{
	struct wire_sandbox view;
	struct client_reply y = reply_into(&view, sizeof(view));
	int r = call_target(h, WIRE_SANDBOX_GET, id, execution, &y, deadline_ns);
	r = shaped(r, &y, sizeof(view), 0);
	if (r < 0)
		return err_trace(r);
	*ret = wire_sandbox_out(&view);
	return 0;
}

AWAITS int helper_listener_get(struct helper *h, uint64_t id, struct uuid execution,
	struct helper_sandbox_fds *ret, int64_t deadline_ns)
{
	struct client_reply y = reply_into(NULL, 0);
	int r = call_target(h, WIRE_LISTENER_GET, id, execution, &y, deadline_ns);
	r = shaped(r, &y, 0, 2);
	if (r < 0)
		return err_trace(r);
	*ret = (struct helper_sandbox_fds){y.fds[0], y.fds[1], -1, -1};
	return 0;
}

/* ---- files ---- */

AWAITS int helper_files_mount(struct helper *h, uint64_t id, struct uuid execution,
	struct uuid volume, const char *tenant, bool read_only, int64_t deadline_ns)
{
	struct wire_mount w = {
		.id = id, .execution = execution, .volume = volume, .read_only = read_only};
	struct client_reply y = reply_into(NULL, 0);
	memcpy(w.tenant, tenant, MIN(strlen(tenant), sizeof(w.tenant)));
	if (!wire_name_ok(w.tenant, sizeof(w.tenant)))
		return err_raise(-EINVAL,
			"tenant \"%s\": up to %zu of [a-z0-9._-] are accepted in the path of an "
			"export",
			tenant, sizeof(w.tenant) - 1);
	int r = client_call(h, WIRE_FILES_MOUNT, &w.header, sizeof(w), NO_TAIL, &y, deadline_ns);
	return err_trace(shaped(r, &y, 0, 0));
}

AWAITS int helper_sandbox_begin(
	struct helper *h, uint64_t id, struct uuid execution, int64_t deadline_ns)
{
	struct client_reply y = reply_into(NULL, 0);
	int r = call_target(h, WIRE_SANDBOX_BEGIN, id, execution, &y, deadline_ns);
	return err_trace(shaped(r, &y, 0, 0));
}

AWAITS int helper_files_get(struct helper *h, uint64_t id, struct uuid execution, int *ret_listener,
	int64_t deadline_ns)
{
	struct client_reply y = reply_into(NULL, 0);
	int r = call_target(h, WIRE_FILES_GET, id, execution, &y, deadline_ns);
	r = shaped(r, &y, 0, 1);
	if (r < 0)
		return err_trace(r);
	*ret_listener = y.fds[0];
	return 0;
}

/* ---- network ---- */

AWAITS int helper_network_open(struct helper *h, int ret_maps[NET_MAPS], int64_t deadline_ns)
{
	struct wire_plain w = {0};
	struct client_reply y = reply_into(NULL, 0);
	int r = client_call(h, WIRE_NETWORK_OPEN, &w.header, sizeof(w), NO_TAIL, &y, deadline_ns);
	r = shaped(r, &y, 0, NET_MAPS);
	if (r < 0)
		return err_trace(r);
	memcpy(ret_maps, y.fds, NET_MAPS * sizeof(ret_maps[0]));
	return 0;
}

AWAITS int helper_lsm_open(struct helper *h, int ret_maps[LSM_MAPS], int64_t deadline_ns)
{
	struct wire_plain w = {0};
	struct client_reply y = reply_into(NULL, 0);
	int r = client_call(h, WIRE_LSM_OPEN, &w.header, sizeof(w), NO_TAIL, &y, deadline_ns);
	r = shaped(r, &y, 0, LSM_MAPS);
	if (r < 0)
		return err_trace(r);
	memcpy(ret_maps, y.fds, LSM_MAPS * sizeof(ret_maps[0]));
	return 0;
}

AWAITS int helper_record_open(
	struct helper *h, int ret_fds[RECORD_MAPS + RECORD_HOOKS], int64_t deadline_ns)
{
	struct wire_plain w = {0};
	struct client_reply y = reply_into(NULL, 0);
	int r = client_call(h, WIRE_RECORD_OPEN, &w.header, sizeof(w), NO_TAIL, &y, deadline_ns);
	r = shaped(r, &y, 0, RECORD_MAPS + RECORD_HOOKS);
	if (r < 0)
		return err_trace(r);
	memcpy(ret_fds, y.fds, (RECORD_MAPS + RECORD_HOOKS) * sizeof(ret_fds[0]));
	return 0;
}

AWAITS int helper_guard_open(struct helper *h, int *ret_ring, int *ret_losses, int64_t deadline_ns)
{
	struct wire_plain w = {0};
	struct client_reply y = reply_into(NULL, 0);
	int r = client_call(h, WIRE_GUARD_OPEN, &w.header, sizeof(w), NO_TAIL, &y, deadline_ns);
	r = shaped(r, &y, 0, 2);
	if (r < 0)
		return err_trace(r);
	*ret_ring = y.fds[0];
	*ret_losses = y.fds[1];
	return 0;
}

AWAITS int helper_resolver_get(struct helper *h, uint64_t id, struct uuid execution, int *ret_udp,
	int *ret_tcp, int64_t deadline_ns)
{
	struct client_reply y = reply_into(NULL, 0);
	int r = call_target(h, WIRE_RESOLVER_GET, id, execution, &y, deadline_ns);
	r = shaped(r, &y, 0, 2);
	if (r < 0)
		return err_trace(r);
	*ret_udp = y.fds[0];
	*ret_tcp = y.fds[1];
	return 0;
}

static AWAITS int list_page(struct helper *h, uint64_t after, struct wire_sandbox *page,
	uint32_t *ret_count, int64_t deadline_ns)
{
	struct wire_list w = {.after = after};
	struct client_reply y = reply_into(page, WIRE_LIST_MAX * sizeof(*page));
	int r = client_call(h, WIRE_SANDBOX_LIST, &w.header, sizeof(w), NO_TAIL, &y, deadline_ns);
	r = shaped(r, &y, y.count * sizeof(*page), 0);
	*ret_count = y.count;
	return err_trace(r);
}

AWAITS int helper_sandbox_list(
	struct helper *h, struct helper_sandbox **ret, size_t *ret_count, int64_t deadline_ns)
{
	struct wire_sandbox *page = malloc(WIRE_LIST_MAX * sizeof(*page));
	struct helper_sandbox *all = NULL;
	size_t n = 0;
	uint32_t got = 0;
	int r = page ? 0 : -ENOMEM;
	do {
		if (r == 0)
			r = list_page(h, n ? all[n - 1].id : 0, page, &got, deadline_ns);
		struct helper_sandbox *more =
			r < 0 ? NULL : realloc(all, (n + got + 1) * sizeof(*all));
		if (!more) {
			free(page);
			free(all);
			return r < 0 && r != -ENOMEM
				? err_trace(r)
				: err_raise(-ENOMEM, "no memory for a list of sandboxes");
		}
		all = more;
		for (uint32_t i = 0; i < got; i++)
			all[n++] = wire_sandbox_out(&page[i]);
	} while (got == WIRE_LIST_MAX);
	free(page);
	*ret = all;
	*ret_count = n;
	return 0;
}

/* ---- calls ---- */

AWAITS int helper_call_cgroup_open(struct helper *h, uint64_t id, struct uuid execution,
	struct uuid call, uint64_t *ret_cgroup_id, int64_t deadline_ns)
{
	struct wire_call w = {.id = id, .execution = execution, .call = call};
	struct wire_call_item item;
	struct client_reply y = reply_into(&item, sizeof(item));
	int r = client_call(h, WIRE_CALL_OPEN, &w.header, sizeof(w), NO_TAIL, &y, deadline_ns);
	r = shaped(r, &y, sizeof(item), 0);
	if (r < 0)
		return err_trace(r);
	*ret_cgroup_id = item.cgroup_id;
	return 0;
}

AWAITS int helper_call_cgroup_close(struct helper *h, uint64_t id, struct uuid execution,
	struct uuid call, enum helper_call_rest rest, struct helper_usage *ret_usage,
	int64_t deadline_ns)
{
	struct wire_call w = {.id = id, .execution = execution, .call = call, .rest = rest};
	struct wire_usage u;
	struct client_reply y = reply_into(&u, sizeof(u));
	int r = client_call(h, WIRE_CALL_CLOSE, &w.header, sizeof(w), NO_TAIL, &y, deadline_ns);
	r = shaped(r, &y, sizeof(u), 0);
	if (r < 0)
		return err_trace(r);
	*ret_usage = (struct helper_usage){u.cpu_us, u.memory_peak_bytes, u.oom_kills};
	return r;
}

AWAITS int helper_call_list(struct helper *h, uint64_t id, struct uuid execution,
	struct helper_call **ret, size_t *ret_count, int64_t deadline_ns)
{
	struct wire_call_item items[HELPER_CALLS_MAX];
	struct client_reply y = reply_into(items, sizeof(items));
	int r = call_target(h, WIRE_CALL_LIST, id, execution, &y, deadline_ns);
	r = shaped(r, &y, y.count * sizeof(items[0]), 0);
	if (r < 0)
		return err_trace(r);
	struct helper_call *calls = calloc(y.count + 1U, sizeof(*calls));
	if (!calls)
		return err_raise(-ENOMEM, "no memory for a list of calls");
	for (uint32_t i = 0; i < y.count; i++)
		calls[i] = (struct helper_call){items[i].call, items[i].cgroup_id};
	*ret = calls;
	*ret_count = y.count;
	return 0;
}

/* ---- audit heads ---- */

AWAITS int helper_public_key(
	struct helper *h, uint8_t ret_key[HEAD_PUBLIC_KEY_BYTES], int64_t deadline_ns)
{
	struct wire_plain w;
	uint8_t key[HEAD_PUBLIC_KEY_BYTES];
	struct client_reply y = reply_into(key, sizeof(key));
	int r = client_call(h, WIRE_PUBLIC_KEY, &w.header, sizeof(w), NO_TAIL, &y, deadline_ns);
	r = shaped(r, &y, sizeof(key), 0);
	if (r < 0)
		return err_trace(r);
	memcpy(ret_key, key, sizeof(key));
	return 0;
}

AWAITS int helper_sign_head(struct helper *h, const struct head *head, struct head_signed *ret,
	struct head_signed *ret_last, int64_t deadline_ns)
{
	struct wire_sign w = {.head = *head};
	struct head_signed answer;
	struct client_reply y = reply_into(&answer, sizeof(answer));
	int r = client_call(h, WIRE_SIGN_HEAD, &w.header, sizeof(w), NO_TAIL, &y, deadline_ns);
	if (r == -ESTALE && ret_last && y.payload_bytes == sizeof(answer))
		*ret_last = answer;
	r = shaped(r, &y, sizeof(answer), 0);
	if (r < 0)
		return err_trace(r);
	*ret = answer;
	return 0;
}

AWAITS int helper_last_head(
	struct helper *h, struct uuid journal, struct head_signed *ret, int64_t deadline_ns)
{
	struct wire_journal w = {.journal = journal};
	struct head_signed answer;
	struct client_reply y = reply_into(&answer, sizeof(answer));
	int r = client_call(h, WIRE_LAST_HEAD, &w.header, sizeof(w), NO_TAIL, &y, deadline_ns);
	r = shaped(r, &y, sizeof(answer), 0);
	if (r < 0)
		return err_trace(r);
	*ret = answer;
	return 0;
}
