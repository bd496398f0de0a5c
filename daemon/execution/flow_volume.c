/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Which volumes an execution works on: the persistent ones that its manifest names, and the
 * ephemeral ones, which are made for it and end with it. It has them until it has ended. Without
 * one for /workspace it works on a directory under its own id.
 *
 * An ephemeral volume is found again, after a restart, by its name, in which the execution's id
 * stands.
 */
#include "daemon/execution/internal.h"
#include "daemon/template/template.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { VOLUME_ARENA_BYTES = 4 * LIMIT_JSON_BYTES, OWN_NAME_BYTES = 64, OWN_PREFIX_BYTES = 20 };

/* ---- by the manifest ---- */

static bool is_ephemeral(const struct agent_volume *v)
{
	return v->storage_class == AGENT_STORAGE_EPHEMERAL;
}

static bool is_workspace(const struct agent_volume *v)
{
	return strcmp(v->mount_path, "/workspace") == 0;
}

/* The name of an ephemeral volume: for people what the manifest calls it, as far as that will do,
 * and for us whose it is. */
static void own_name(const struct flow *f, size_t index, char ret[OWN_NAME_BYTES])
{
	const char *given = f->manifest->spec.volumes.items[index].name;
	char prefix[OWN_PREFIX_BYTES + 1];
	size_t n = 0;

	for (; given[n] && n < OWN_PREFIX_BYTES; n++)
		prefix[n] = (char)(isalnum((unsigned char)given[n]) ? given[n] : '-');
	prefix[n] = '\0';
	if (n == 0 || prefix[0] == '-')
		prefix[0] = 'v';
	snprintf(ret, OWN_NAME_BYTES, "%s-%s-%zu", prefix, f->id_text, index);
}

/* spec.volumes[index].source.volume_id, filled in. */
static int named_id(struct flow *f, size_t index, struct arena *a, struct uuid *ret)
{
	const char *text = f->manifest->spec.volumes.items[index].source_volume_id;
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_PATH_BYTES);
	const struct template *t;
	const struct json *context;
	int r = template_parse(a, span_cstr(text ? text : ""), &t);

	if (r == 0)
		r = prompt_context(f, f->iteration, a, &context);
	if (r == 0)
		r = template_render(t, context, &b);
	if (r == 0)
		r = uuid_parse(buf_view(&b), ret);
	return r < 0 ? err_wrap(r, "spec.volumes[%zu].source.volume_id", index) : 0;
}

/* ---- made for it ---- */

static AWAITS int make_own(struct flow *f, size_t index, struct arena *a, struct uuid *ret)
{
	const struct agent_volume *v = &f->manifest->spec.volumes.items[index];
	const struct volumes *volumes = f->x->deps.volumes;
	struct store_volume row = {.id = f->id};
	struct span why = SPAN("");
	char name[OWN_NAME_BYTES];

	own_name(f, index, name);
	int r = volume_find(
		volumes, f->tenant, span_cstr(name), a, &row, deadline_in_ms(PUBLISH_DEADLINE_MS));
	if (r == VOLUME_NOT_FOUND) {
		const struct volume_request q = {.tenant_id = f->tenant,
			.name = span_cstr(name),
			.size_limit_bytes = v->size_limit_bytes,
			.ttl_hours = v->ttl_hours};
		r = volume_create(volumes, &q, a, &row, &why, deadline_in_ms(SANDBOX_DEADLINE_MS));
	}
	if (r > 0)
		return err_raise(-EINVAL, "spec.volumes[%zu]: " SPAN_FMT, index, SPAN_ARG(why));
	*ret = row.id;
	return err_trace(r);
}

/* ---- lending ---- */

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

static AWAITS int attach(struct flow *f, struct uuid id, const struct volume_loan *loan,
	struct arena *a, struct store_volume *ret)
{
	struct span why = SPAN("");
	bool again;
	int r;

	do {
		r = volume_attach(f->x->deps.volumes, f->tenant, id, loan, a, ret, &why,
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
static AWAITS int hold_to_size(struct flow_mount *m, const struct store_volume *row)
{
	const struct execution_deps *deps = &m->f->x->deps;
	bool hard = false;
	int fd = -1;

	if (m->read_only || (!row->size_limit_bytes && !row->size_limit_inodes))
		return 0;
	int r = volume_open(deps->volumes, row, &fd, &hard, deadline_in_ms(SANDBOX_DEADLINE_MS));
	if (fd >= 0)
		close(fd);
	if (r < 0)
		return err_trace(r);
	if (deps->files_mediated)
		m->quota = (struct fsal_quota){
			(uint64_t)row->size_limit_bytes, (uint64_t)row->size_limit_inodes};
	else if (!hard)
		return err_raise(-EOPNOTSUPP,
			"spec.volumes: volume '" SPAN_FMT
			"' has a limit that this host cannot hold sandboxes to: that needs "
			"size_limit_bytes, loop devices and mkfs.ext4, or a kernel with the NFS "
			"client (files.images and files.mediation in `aegis doctor`)",
			SPAN_ARG(row->name));
	return 0;
}

static AWAITS int attach_declared(
	struct flow *f, size_t index, struct flow_mount *m, struct arena *a)
{
	const struct agent_volume *v = &f->manifest->spec.volumes.items[index];
	struct volume_loan loan = {.execution = f->id,
		.mount_path = span_cstr(v->mount_path),
		.read_only = v->access_mode == AGENT_READ_ONLY ||
			f->manifest->spec.security.filesystem.read_only,
		.owned = is_ephemeral(v)};
	struct store_volume row;

	if (!f->x->deps.volumes)
		return err_raise(-EOPNOTSUPP, "volumes are not served here");
	m->path = span_cstr(v->mount_path);
	m->read_only = loan.read_only;
	int r = is_ephemeral(v) ? make_own(f, index, a, &m->id) : named_id(f, index, a, &m->id);
	if (r == 0)
		r = attach(f, m->id, &loan, a, &row);
	if (r < 0)
		return err_trace(r);
	m->lent = true;
	return err_trace(hold_to_size(m, &row));
}

static AWAITS int attach_all(struct flow *f)
{
	struct workspace *w = &f->workspace;

	w->count = 1;
	w->mounts[0] = (struct flow_mount){.f = f,
		.path = SPAN("/workspace"),
		.id = f->id,
		.read_only = f->manifest->spec.security.filesystem.read_only};
	for (size_t i = 0; i < f->manifest->spec.volumes.count; i++) {
		struct arena *a CLEANUP(arena_cleanup) = arena_new(VOLUME_ARENA_BYTES);
		bool root = is_workspace(&f->manifest->spec.volumes.items[i]);
		if (!a)
			return err_raise(-ENOMEM, "execution: out of memory");
		if (!root && w->count == ARRAY_LEN(w->mounts))
			return err_raise(-E2BIG,
				"spec.volumes: at most %d volumes below /workspace are accepted",
				LIMIT_VOLUME_MOUNTS);
		struct flow_mount *m = &w->mounts[root ? 0 : w->count++];
		*m = (struct flow_mount){.f = f};
		int r = attach_declared(f, i, m, a);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

int flow_volumes_attach(struct flow *f)
{
	int r = attach_all(f);

	if (r < 0) {
		char message[ERR_MESSAGE_BYTES];
		snprintf(message, sizeof(message), "%s", err_message(r));
		flow_volumes_detach(f);
		return err_raise(r, "%s", message);
	}
	return 0;
}

/* ---- giving back ---- */

/* One that was made for it and never attached goes, too. */
static AWAITS int end_own(struct flow *f, size_t index, struct arena *a)
{
	const struct volumes *volumes = f->x->deps.volumes;
	int64_t deadline_ns = deadline_in_ms(PUBLISH_DEADLINE_MS);
	struct store_volume row;
	struct span why;
	char name[OWN_NAME_BYTES];

	own_name(f, index, name);
	int r = volume_find(volumes, f->tenant, span_cstr(name), a, &row, deadline_ns);
	if (r == 0)
		r = volume_detach(volumes, row.id, f->id, deadline_ns);
	if (r == 0)
		r = volume_find(volumes, f->tenant, span_cstr(name), a, &row, deadline_ns);
	if (r == 0)
		r = volume_delete(volumes, &row, a, &why, deadline_ns);
	return r > 0 ? 0 : err_trace(r);
}

static AWAITS int give_back(struct flow *f, size_t index)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(VOLUME_ARENA_BYTES);
	struct uuid id;

	if (!a)
		return err_raise(-ENOMEM, "execution: out of memory");
	if (is_ephemeral(&f->manifest->spec.volumes.items[index]))
		return err_trace(end_own(f, index, a));
	int r = named_id(f, index, a, &id);
	return r < 0 ? err_trace(r)
		     : err_trace(volume_detach(
			       f->x->deps.volumes, id, f->id, deadline_in_ms(PUBLISH_DEADLINE_MS)));
}

void flow_volumes_detach(struct flow *f)
{
	if (!f->x->deps.volumes)
		return;
	fiber_shield_begin();
	for (size_t i = 0; i < f->manifest->spec.volumes.count; i++) {
		int r = give_back(f, i);
		/* The next start sees that the execution has ended. */
		if (r < 0)
			err_log(r, "give a volume back");
	}
	fiber_shield_end();
}
