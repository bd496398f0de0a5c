/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What is told of file operations: every record goes to the node's observer, and the first that a
 * volume's quota refused within a while is an event of the execution, VolumeQuotaExceeded. A
 * program that meets a full disk tries often, so it is not told each time.
 */
#include "daemon/execution/internal.h"
#include <stdio.h>

enum { SAID_AGAIN_S = 60 };

/* True if it is to be said; then it counts as said. */
static bool is_news(struct executions *x, struct span volume)
{
	int64_t now_ns = rt_now_ns();

	for (size_t i = 0; i < FULL_VOLUMES; i++) {
		struct full_volume *full = &x->full[i];
		if (!span_eq(span_cstr(full->text), volume))
			continue;
		if (now_ns - full->said_ns < SAID_AGAIN_S * NS_PER_S)
			return false;
		full->said_ns = now_ns;
		return true;
	}
	struct full_volume *full = &x->full[x->full_next++ % FULL_VOLUMES];
	snprintf(full->text, sizeof(full->text), SPAN_FMT, SPAN_ARG(volume));
	full->said_ns = now_ns;
	return true;
}

static uint64_t available(const struct flow *f, struct span volume)
{
	struct fsal_usage used;
	struct uuid id;

	if (uuid_parse(volume, &id) < 0) {
		err_clear();
		return 0;
	}
	for (size_t i = 0; i < f->workspace.count; i++) {
		const struct flow_mount *m = &f->workspace.mounts[i];
		if (!uuid_eq(m->id, id) || !m->volume)
			continue;
		fsal_volume_usage(m->volume, &used);
		return m->quota.bytes > used.bytes ? m->quota.bytes - used.bytes : 0;
	}
	return 0;
}

static AWAITS int say(struct flow *f, const struct fsal_record *r)
{
	struct record rec;
	int e = record_begin(f, &rec);

	if (e == 0) {
		record_event(&rec, EVENT_VOLUME_QUOTA_EXCEEDED, r->iteration);
		json_field_span(&rec.w, "volume_id", r->volume_id);
		json_field_span(&rec.w, "path", r->path);
		json_field_i64(&rec.w, "requested_bytes", (int64_t)r->bytes);
		json_field_i64(&rec.w, "available_bytes", (int64_t)available(f, r->volume_id));
		e = record_event_end(&rec);
	}
	if (e == 0)
		e = record_publish(&rec);
	record_fini(&rec);
	return err_trace(e);
}

void flow_files_observe(void *executions, const struct fsal_record *r)
{
	struct executions *x = executions;
	struct uuid id;

	if (x->deps.file_observer)
		x->deps.file_observer(x->deps.file_observer_ctx, r);
	if ((r->result != -EDQUOT && r->result != -ENOSPC) || !is_news(x, r->volume_id))
		return;
	if (uuid_parse(r->execution_id, &id) < 0) {
		err_clear();
		return;
	}
	struct flow *f = flow_find(x, id);
	int e = f ? say(f, r) : 0;
	if (e < 0)
		err_log(e, "say that a volume is full");
	if (f)
		flow_unref(f);
}
