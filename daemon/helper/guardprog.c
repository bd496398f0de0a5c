/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/helper/guardprog.h"
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

extern const unsigned char guard_object[], guard_object_end[];

static const char *const map_names[GUARD_MAPS] = {
	[GUARD_MAP_TASKS] = "guard_tasks",
	[GUARD_MAP_COUNTS] = "guard_counts",
	[GUARD_MAP_DENIALS] = "guard_denials",
	[GUARD_MAP_LOSSES] = "guard_losses",
};

/* In the order of attachment: who is moved in before the others are there has its tag. */
static const struct progset_program programs[GUARD_HOOKS] = {
	{"guard_attach", PROGSET_ELSEWHERE},
	{"guard_fork", PROGSET_ELSEWHERE},
	{"guard_exec", PROGSET_ELSEWHERE},
};

static const struct progset_plan plan = {
	.name = "guard",
	.what = "guard of sandboxes' cgroups",
	.object = guard_object,
	.object_end = guard_object_end,
	.maps = map_names,
	.map_count = ARRAY_LEN(map_names),
	.programs = programs,
	.program_count = ARRAY_LEN(programs),
};

int guardprog_load(const struct guard_constants *constants, struct guardprog *ret)
{
	*ret = (struct guardprog){.links = {-1, -1, -1}};
	int r = progset_load(
		&plan, -1, span_of((const char *)constants, sizeof(*constants)), &ret->programs);
	ret->loaded = r == 0;
	return err_trace(r);
}

int guardprog_open(const struct guard_constants *constants, struct guardprog *ret)
{
	int r = guardprog_load(constants, ret);

	if (r == -EOPNOTSUPP) {
		log_info("leaving the cgroup of a sandbox is not noticed: %s", err_message(r));
		err_clear();
		return 0;
	}
	return err_trace(r);
}

void guardprog_close(struct guardprog *g)
{
	guardprog_detach(g);
	if (g->loaded)
		progset_close(&g->programs);
	g->loaded = false;
}

int guardprog_attach(struct guardprog *g)
{
	for (size_t i = 0; g->loaded && i < GUARD_HOOKS; i++) {
		if (g->links[i] >= 0)
			continue;
		g->links[i] = bpf_raw_tracepoint_open(NULL, g->programs.programs[i]);
		if (g->links[i] < 0) {
			int r = err_sys(g->links[i], "attach %s", programs[i].name);
			g->links[i] = -1;
			guardprog_detach(g);
			return r;
		}
	}
	return 0;
}

void guardprog_detach(struct guardprog *g)
{
	for (size_t i = 0; i < GUARD_HOOKS; i++)
		fd_cleanup(&g->links[i]);
}
