/* SPDX-License-Identifier: AGPL-3.0-only */
/* Removing an execution that has ended: what it left on disk, and then its record. */
#include "daemon/execution/internal.h"
#include <unistd.h>

struct remove_errand {
	int snapshots_fd; /* -1: none */
	const char *folder;
	int workspace_fd;
};

static int remove_files(void *arg)
{
	struct remove_errand *e = arg;
	int r = volume_empty_directory(e->workspace_fd);

	if (r == 0 && e->snapshots_fd >= 0)
		r = fd_remove_tree(e->snapshots_fd, e->folder);
	return err_trace(r);
}

static AWAITS int check_ended(
	struct executions *x, struct uuid id, struct uuid *ret_agent, int64_t deadline_ns)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 * LIMIT_EXECUTION_INPUT_BYTES);
	struct store_execution row;

	if (!a)
		return err_raise(-ENOMEM, "execution: out of memory");
	int r = store_execution_get(x->deps.store, id, a, &row, deadline_ns);
	if (r == STORE_NOT_FOUND)
		return EXECUTION_NOT_FOUND;
	if (r < 0)
		return err_trace(r);
	*ret_agent = row.agent_id;
	int state = state_parse(&execution_states, row.status);
	return state_is_final(&execution_states, state) ? 0 : EXECUTION_BUSY;
}

static AWAITS int remove_record(
	struct executions *x, struct uuid id, struct uuid agent, int64_t deadline_ns)
{
	struct store_execution row = {.id = id};
	struct store_event e = event_of(EVENT_EXECUTION_REMOVED, id, agent, 0);
	struct store_change change = {.kind = STORE_EXECUTION_REMOVE, .execution = &row};
	struct store_commit commit = {
		.events = &e, .event_count = 1, .changes = &change, .change_count = 1};
	int r = event_publish(x->deps.bus, &commit, deadline_ns);

	/* Somebody else removed it meanwhile. */
	return r == STORE_NOT_FOUND || r == STORE_CONFLICT ? EXECUTION_NOT_FOUND : err_trace(r);
}

int execution_remove(struct executions *x, struct uuid id, int64_t deadline_ns)
{
	struct remove_errand e = {.snapshots_fd = x->deps.snapshots_fd, .workspace_fd = -1};
	char folder[ID_TEXT_BYTES];
	struct uuid agent;
	int r = map_get(&x->by_id, span_of(id.bytes, sizeof(id.bytes)))
		? EXECUTION_BUSY
		: check_ended(x, id, &agent, deadline_ns);

	if (r != 0)
		return err_trace(r);
	uuid_text(id, folder);
	e.folder = folder;
	r = sandbox_workspace_open(x->deps.sandboxes, id, &e.workspace_fd, deadline_ns);
	if (r == 0)
		r = offload_call(x->deps.files, remove_files, &e, deadline_ns);
	if (e.workspace_fd >= 0)
		close(e.workspace_fd);
	if (r == 0)
		r = sandbox_workspace_remove(x->deps.sandboxes, id, deadline_ns);
	if (r == 0)
		r = remove_record(x, id, agent, deadline_ns);
	return err_trace(r);
}
