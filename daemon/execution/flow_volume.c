/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Which volume an execution works on as its /workspace: the persistent one that its manifest names,
 * which is then its own until it has ended, or the one that goes with it.
 */
#include "daemon/execution/internal.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { VOLUME_ARENA_BYTES = 256 * 1024 };

static const struct agent_volume *workspace_volume(const struct flow *f)
{
	for (size_t i = 0; i < f->manifest->spec.volumes.count; i++)
		if (strcmp(f->manifest->spec.volumes.items[i].mount_path, "/workspace") == 0)
			return &f->manifest->spec.volumes.items[i];
	return NULL;
}

/* The id of the volume that the manifest names. 0 with nil: it names none. */
static int named_volume(const struct flow *f, struct uuid *ret)
{
	const struct agent_volume *v = workspace_volume(f);

	memset(ret, 0, sizeof(*ret));
	if (!v || v->storage_class != AGENT_STORAGE_PERSISTENT || !v->source_volume_id)
		return 0;
	if (!f->x->deps.volumes)
		return err_raise(-EOPNOTSUPP, "volumes are not served here");
	return err_trace(uuid_parse(span_cstr(v->source_volume_id), ret));
}

int flow_is_over(struct executions *x, struct uuid id, bool *ret)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 * LIMIT_EXECUTION_INPUT_BYTES);
	struct store_execution row;

	if (!a)
		return err_raise(-ENOMEM, "execution: out of memory");
	int r = store_execution_get(
		x->deps.store, id, a, &row, deadline_in_ms(PUBLISH_DEADLINE_MS));
	if (r < 0)
		return err_trace(r);
	*ret = r == STORE_NOT_FOUND ||
		state_is_final(&execution_states, state_parse(&execution_states, row.status));
	return 0;
}

/* Whoever has it may have ended on record and be about to give it back: true after it has. */
static AWAITS int wait_for_holder(struct flow *f, struct uuid id, struct arena *a, bool *ret)
{
	struct store_volume row;
	bool over = false;
	int r = store_volume_get(
		f->x->deps.store, id, a, &row, deadline_in_ms(PUBLISH_DEADLINE_MS));

	*ret = false;
	if (r == 0)
		r = flow_is_over(f->x, row.execution_id, &over);
	struct flow *holder = r == 0 && over ? flow_find(f->x, row.execution_id) : NULL;
	if (!holder)
		return r < 0 ? err_trace(r) : 0;
	while (r == 0 && holder->running)
		r = waitq_wait(&holder->ended, deadline_in_ms(SANDBOX_DEADLINE_MS));
	flow_unref(holder);
	*ret = r == 0;
	return err_trace(r);
}

static AWAITS int attach(struct flow *f, struct uuid id, struct arena *a, struct store_volume *ret)
{
	struct span why = SPAN("");
	bool again;
	int r;

	do {
		r = volume_attach(f->x->deps.volumes, f->tenant, id, f->id, a, ret, &why,
			deadline_in_ms(PUBLISH_DEADLINE_MS));
		again = false;
		if (r == VOLUME_CONFLICT) {
			int waited = wait_for_holder(f, id, a, &again);
			if (waited < 0)
				return err_trace(waited);
		}
	} while (again);
	if (r == VOLUME_CONFLICT)
		return err_raise(-EBUSY, "spec.volumes: " SPAN_FMT, SPAN_ARG(why));
	if (r > 0)
		return err_raise(-ENOENT, "spec.volumes: " SPAN_FMT, SPAN_ARG(why));
	return err_trace(r);
}

/* Bound in, it is written past the file layer, so that there the kernel alone can hold the limit.
 */
static AWAITS int hold_to_size(struct flow *f, const struct store_volume *row)
{
	struct workspace *w = &f->workspace;
	bool hard = false;
	int fd = -1;

	if (!row->size_limit_bytes && !row->size_limit_inodes)
		return 0;
	int r = volume_open(
		f->x->deps.volumes, row, &fd, &hard, deadline_in_ms(SANDBOX_DEADLINE_MS));
	if (fd >= 0)
		close(fd);
	if (r < 0)
		return err_trace(r);
	if (f->x->deps.files_mediated)
		w->quota = (struct fsal_quota){
			(uint64_t)row->size_limit_bytes, (uint64_t)row->size_limit_inodes};
	else if (!hard)
		return err_raise(-EOPNOTSUPP,
			"spec.volumes: volume '" SPAN_FMT
			"' has a limit that this host cannot hold "
			"sandboxes to: that needs size_limit_bytes, loop devices and mkfs.ext4, or "
			"a "
			"kernel with the NFS client (files.mediation in `aegis doctor`)",
			SPAN_ARG(row->name));
	return 0;
}

int flow_volume_attach(struct flow *f)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(VOLUME_ARENA_BYTES);
	struct workspace *w = &f->workspace;
	const struct agent_volume *v = workspace_volume(f);
	struct store_volume row;
	struct uuid id;

	if (!a)
		return err_raise(-ENOMEM, "execution: out of memory");
	w->id = f->id;
	w->read_only = f->manifest->spec.security.filesystem.read_only ||
		(v && v->access_mode == AGENT_READ_ONLY);
	int r = named_volume(f, &id);
	if (r < 0 || uuid_is_nil(id))
		return err_trace(r);
	r = attach(f, id, a, &row);
	if (r < 0)
		return err_trace(r);
	w->id = id;
	r = hold_to_size(f, &row);
	if (r < 0) {
		char message[ERR_MESSAGE_BYTES];
		snprintf(message, sizeof(message), "%s", err_message(r));
		flow_volume_detach(f);
		return err_raise(r, "%s", message);
	}
	return 0;
}

void flow_volume_detach(struct flow *f)
{
	struct uuid id;

	fiber_shield_begin();
	int r = named_volume(f, &id);
	if (r == 0 && !uuid_is_nil(id))
		r = volume_detach(
			f->x->deps.volumes, id, f->id, deadline_in_ms(PUBLISH_DEADLINE_MS));
	fiber_shield_end();
	/* The next start sees that the execution has ended. */
	if (r < 0)
		err_log(r, "detach a volume");
}
