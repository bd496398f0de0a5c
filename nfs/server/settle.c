/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A process died between the intent and the reply of a procedure that must not run twice. The
 * client repeats its call, and the new process runs it. If that fails in the very way in which it
 * must fail when the first attempt had succeeded, and the file system shows a change no older than
 * the intent, then it had.
 */
#include "nfs/server/internal.h"

/* File systems stamp with the kernel's coarse clock, which lags by up to a tick. */
enum { CLOCK_LAG_MS = 20 };

static bool since_intent(const struct call *q, int64_t changed_ns)
{
	return q->settle && changed_ns >= q->intent_ns - CLOCK_LAG_MS * NS_PER_MS;
}

int settle_made(struct call *q, int r, struct fsal_object *dir, struct span name, uint32_t type,
	struct fsal_made *made)
{
	if (r != -EEXIST || !q->settle)
		return r;
	struct fsal_object *o;
	struct fsal_attr a;
	struct fsal_post ignored;
	if (fsal_lookup(&q->fs, dir, name, &o, &a, &ignored) != 0)
		return r;
	if ((a.mode & S_IFMT) != type || !since_intent(q, a.ctime_ns))
		return r;
	made->object = o;
	made->attr = a;
	return 0;
}

int settle_removed(const struct call *q, int r, const struct fsal_wcc *dir)
{
	bool gone = r == -ENOENT && dir->after.present;
	return gone && since_intent(q, dir->after.attr.mtime_ns) ? 0 : r;
}

int settle_renamed(struct call *q, int r, struct fsal_object *to, struct span to_name,
	const struct fsal_wcc *to_wcc)
{
	if (r != -ENOENT || !to_wcc->after.present || !since_intent(q, to_wcc->after.attr.mtime_ns))
		return r;
	struct fsal_object *o;
	struct fsal_attr a;
	struct fsal_post ignored;
	return fsal_lookup(&q->fs, to, to_name, &o, &a, &ignored) == 0 ? 0 : r;
}

int settle_linked(
	struct call *q, int r, struct fsal_object *o, struct fsal_object *dir, struct span name)
{
	if (r != -EEXIST || !q->settle)
		return r;
	struct fsal_object *found;
	struct fsal_attr a;
	struct fsal_attr other;
	struct fsal_post ignored;
	if (fsal_getattr(&q->fs, o, &a) != 0 ||
		fsal_lookup(&q->fs, dir, name, &found, &other, &ignored) != 0)
		return r;
	return a.file_id == other.file_id && since_intent(q, a.ctime_ns) ? 0 : r;
}

int settle_changed(const struct call *q, int r, const struct fsal_wcc *wcc)
{
	bool changed = r == FSAL_CHANGED && wcc->after.present;
	return changed && since_intent(q, wcc->after.attr.ctime_ns) ? 0 : r;
}
