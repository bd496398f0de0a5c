/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Files of a volume for who is no execution: opened through the same layer, under rules, quota and
 * records, for one request. Who writes has the volume's lock meanwhile; so has whoever lends it for
 * writing, or deletes it. All of them are fibers of this worker, and after a death there are none,
 * so the lock is nowhere but in memory.
 */
#include "daemon/volume/internal.h"
#include "nfs/backend/backend.h"
#include <stdlib.h>
#include <unistd.h>

enum { DESCRIPTORS = 32 };

/* ---- the lock ---- */

struct volume_locks {
	struct list held;
	struct waitq freed;
};

struct volume_lock {
	struct list link;
	struct uuid id;
};

struct volume_locks *volume_locks_new(void)
{
	struct volume_locks *l = calloc(1, sizeof(*l));

	if (l) {
		list_init(&l->held);
		waitq_init(&l->freed);
	}
	return l;
}

struct volume_locks *volume_locks_free(struct volume_locks *l)
{
	CHECK(!l || list_empty(&l->held));
	free(l);
	return NULL;
}

static bool is_locked(const struct volume_locks *l, struct uuid id)
{
	list_for_each (node, &l->held)
		if (uuid_eq(list_entry(node, struct volume_lock, link)->id, id))
			return true;
	return false;
}

int volume_lock(
	const struct volumes *v, struct uuid id, struct volume_lock **ret, int64_t deadline_ns)
{
	struct volume_lock *mine = malloc(sizeof(*mine));
	int r = mine ? 0 : err_raise(-ENOMEM, "volume: out of memory");

	while (r == 0 && is_locked(v->locks, id))
		r = waitq_wait(&v->locks->freed, deadline_ns);
	if (r < 0) {
		free(mine);
		return err_trace(r);
	}
	mine->id = id;
	list_push_back(&v->locks->held, &mine->link);
	*ret = mine;
	return 0;
}

void volume_unlock(const struct volumes *v, struct volume_lock *lock)
{
	if (!lock)
		return;
	list_remove(&lock->link);
	free(lock);
	waitq_wake_all(&v->locks->freed);
}

/* ---- opening ---- */

struct volume_files {
	const struct volumes *v;
	struct volume_lock *lock; /* NULL: it only reads */
	struct fsal_volume *volume;
	struct fsal_attachment *attachment;
};

static int check_state(
	const struct store_volume *row, bool writes, struct arena *a, struct span *ret_why)
{
	struct volume_loans loans;
	char holder[UUID_TEXT_BYTES];
	int state = volume_state(row);

	if (state != VOLUME_AVAILABLE && state != VOLUME_ATTACHED && state != VOLUME_DETACHED)
		return volume_because(a, ret_why, VOLUME_CONFLICT,
			"volume '" SPAN_FMT "' is %s and has no files", SPAN_ARG(row->name),
			row->status);
	int r = volume_loans(row, a, &loans);
	for (size_t i = 0; r == 0 && writes && i < loans.count; i++) {
		if (loans.items[i].read_only)
			continue;
		uuid_text(loans.items[i].execution, holder);
		return volume_because(a, ret_why, VOLUME_CONFLICT,
			"volume '" SPAN_FMT "' is attached to execution %s, which alone may write "
			"to it now",
			SPAN_ARG(row->name), holder);
	}
	return err_trace(r);
}

static AWAITS int open_files(struct volume_files *f, const struct store_volume *row,
	struct rule_set *rules, int64_t deadline_ns)
{
	const struct volumes *v = f->v;
	const struct backend_local_options local = {
		.offload = v->files, .descriptors_max = DESCRIPTORS};
	const struct fsal_quota quota = {
		(uint64_t)row->size_limit_bytes, (uint64_t)row->size_limit_inodes};
	char id[UUID_TEXT_BYTES], request[UUID_TEXT_BYTES];
	struct fsal_attach_options o = {
		.execution_id = span_cstr(request),
		.agent = SPAN("operator"),
		.tenant = row->tenant_id,
		.mount_path = SPAN("/workspace"),
		.uid = geteuid(),
		.gid = getegid(),
		.read_only = !f->lock,
		.rules = rules,
		.door = f,
		.observer = v->file_observer,
		.observer_ctx = v->file_observer_ctx,
		.bounded = true,
	};
	uint8_t random[16];
	bool hard;
	int fd;

	rt_random(random, sizeof(random));
	uuid_text(uuid_from_random(random), request);
	uuid_text(row->id, id);
	int r = volume_open(v, row, &fd, &hard, deadline_ns);
	if (r == 0)
		r = backend_local_open(v->fsal, fd, &local, span_cstr(id), &f->volume);
	if (r == 0 && f->lock && (quota.bytes || quota.inodes))
		r = fsal_volume_set_quota(f->volume, &quota, deadline_ns);
	if (r == 0)
		r = fsal_attach(f->volume, &o, &f->attachment);
	return err_trace(r);
}

int volume_files_open(const struct volumes *v, struct uuid id, struct rule_set *rules, bool writes,
	struct arena *a, struct volume_files **ret, struct span *ret_why, int64_t deadline_ns)
{
	struct volume_files *f = calloc(1, sizeof(*f));
	struct store_volume row;
	int r = f ? 0 : err_raise(-ENOMEM, "volume: out of memory");

	if (r == 0) {
		f->v = v;
		r = writes ? volume_lock(v, id, &f->lock, deadline_ns) : 0;
	}
	if (r == 0)
		r = volume_read(v, id, a, &row, deadline_ns);
	if (r == 0)
		r = check_state(&row, writes, a, ret_why);
	if (r == 0)
		r = open_files(f, &row, rules, deadline_ns);
	if (r != 0) {
		volume_files_close(f);
		return err_trace(r);
	}
	*ret = f;
	return 0;
}

struct fsal_attachment *volume_files_at(const struct volume_files *f)
{
	return f->attachment;
}

void volume_files_close(struct volume_files *f)
{
	if (!f)
		return;
	fsal_detach(f->attachment);
	fsal_volume_free(f->volume);
	volume_unlock(f->v, f->lock);
	free(f);
}
