/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Whose an execution is and which policy set it runs under, from its events. Records of files and
 * of the kernel name the execution alone.
 */
#include "tools/aegis-audit/tool.h"

#include <errno.h>
#include <stdlib.h>

enum { RUNS_MAX = 1000 * 1000, RUNS_BYTES = 1024 * 1024 * 1024 };

struct runs {
	struct arena *arena;
	struct map by_id;
};

struct runs *runs_new(void)
{
	struct runs *runs = calloc(1, sizeof(*runs));

	if (runs)
		runs->arena = arena_new(RUNS_BYTES);
	if (!runs || !runs->arena) {
		free(runs);
		(void)!err_raise(-ENOMEM, "out of memory");
		return NULL;
	}
	map_init(&runs->by_id, RUNS_MAX);
	return runs;
}

struct runs *runs_free(struct runs *runs)
{
	if (!runs)
		return NULL;
	map_fini(&runs->by_id);
	arena_free(runs->arena);
	free(runs);
	return NULL;
}

static struct span key_of(const struct uuid *id)
{
	return span_of(id->bytes, sizeof(id->bytes));
}

static int run_of(struct runs *runs, struct uuid execution, struct run **ret)
{
	struct run *run = map_get(&runs->by_id, key_of(&execution));

	if (!run) {
		run = arena_make(runs->arena, struct run);
		if (!run)
			return err_raise(-ENOMEM, "out of memory");
		*run = (struct run){0};
		memcpy(run->id, execution.bytes, sizeof(run->id));
		int r = map_put(&runs->by_id, span_of(run->id, sizeof(run->id)), run);
		if (r < 0)
			return err_trace(r);
	}
	*ret = run;
	return 0;
}

static int keep(struct runs *runs, struct span said, struct span *ret)
{
	if (!said.n || span_eq(said, *ret))
		return 0;
	*ret = arena_span(runs->arena, said);
	return ret->p ? 0 : err_raise(-ENOMEM, "out of memory");
}

int runs_note(struct runs *runs, struct arena *a, const struct audit_record *r)
{
	struct run *run;

	if (r->source != AUDIT_EVENT || uuid_is_nil(r->execution_id) ||
		(!span_is(r->kind, "ExecutionStarted") &&
			!span_is(r->kind, "ExecutionPolicyChanged")))
		return 0;
	struct facts f = facts_of(a, r);
	int res = run_of(runs, r->execution_id, &run);
	if (res == 0)
		res = keep(runs, json_str(f.details, "agent_name", SPAN("")), &run->agent);
	if (res == 0)
		res = keep(runs, json_str(f.payload, "tenant_id", SPAN("")), &run->tenant);
	if (res == 0)
		res = keep(runs, json_str(f.details, "policy_set", SPAN("")), &run->policy_set);
	return err_trace(res);
}

const struct run *runs_find(const struct runs *runs, struct uuid execution)
{
	return runs ? map_get(&runs->by_id, key_of(&execution)) : NULL;
}
