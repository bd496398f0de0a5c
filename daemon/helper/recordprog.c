/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/helper/recordprog.h"
#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

extern const unsigned char record_object[], record_object_end[];

enum { PROGRAM_MAPS_MAX = 16 };

static const char *const map_names[RECORD_MAPS] = {
	[RECORD_MAP_AGENTS] = "record_agents",
	[RECORD_MAP_CALLS] = "record_calls",
	[RECORD_MAP_TOLD] = "record_told",
	[RECORD_MAP_RING] = "record_ring",
};

static const struct progset_program programs[] = {
	{"record_fork", PROGSET_FOUND},
	{"record_execute", PROGSET_FOUND},
	{"record_exit", PROGSET_FOUND},
	{"record_ring_made", PROGSET_FOUND},
	{"record_request", PROGSET_FOUND, "io_uring_submit_req", "io_uring_submit_sqe"},
};
_Static_assert(ARRAY_LEN(programs) == RECORD_HOOKS, "each has a link");

static uint64_t home_of(int cgroup)
{
	struct stat st;
	return cgroup >= 0 && fstat(cgroup, &st) == 0 ? st.st_ino : 0;
}

/* Whether the constants of a program name that cgroup. */
static bool is_at_home(const struct bpf_prog_info *with_maps, uint64_t home)
{
	const uint32_t *ids = (const uint32_t *)(uintptr_t)with_maps->map_ids;

	for (uint32_t i = 0; i < with_maps->nr_map_ids && i < PROGRAM_MAPS_MAX; i++) {
		struct record_constants constants;
		struct bpf_map_info info = {0};
		uint32_t bytes = sizeof(info), zero = 0;
		AUTO_FD fd = bpf_map_get_fd_by_id(ids[i]);
		if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &bytes) == 0 &&
			info.type == BPF_MAP_TYPE_ARRAY && info.value_size == sizeof(constants) &&
			bpf_map_lookup_elem(fd, &zero, &constants) == 0 && constants.home == home)
			return true;
	}
	return false;
}

/* The program behind a link, if it is that one, of that cgroup; else -1. */
static int program_of(int link, uint64_t home, const char *name)
{
	struct bpf_link_info link_info = {0};
	uint32_t bytes = sizeof(link_info), maps[PROGRAM_MAPS_MAX];
	struct bpf_prog_info info = {.nr_map_ids = PROGRAM_MAPS_MAX, .map_ids = (uintptr_t)maps};

	if (bpf_obj_get_info_by_fd(link, &link_info, &bytes) < 0 ||
		link_info.type != BPF_LINK_TYPE_RAW_TRACEPOINT)
		return -1;
	int fd = bpf_prog_get_fd_by_id(link_info.prog_id);
	bytes = sizeof(info);
	if (fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &bytes) == 0 &&
		strncmp(info.name, name, sizeof(info.name) - 1) == 0 && is_at_home(&info, home))
		return fd;
	fd_cleanup(&fd);
	return -1;
}

/* The link of an earlier helper, which aegisd has kept, or -1. */
static int find_link(int cgroup, const char *name, int *ret_program)
{
	const uint64_t home = home_of(cgroup);
	uint32_t id = 0;

	while (home && bpf_link_get_next_id(id, &id) == 0) {
		int link = bpf_link_get_fd_by_id(id);
		int program = link >= 0 ? program_of(link, home, name) : -1;
		if (program >= 0) {
			*ret_program = program;
			return link;
		}
		fd_cleanup(&link);
	}
	return -1;
}

static int find_program(int cgroup, const struct progset_program *p)
{
	int program = -1;
	int link = find_link(cgroup, p->name, &program);

	fd_cleanup(&link);
	return program;
}

static const struct progset_plan plan = {
	.name = "record",
	.what = "recording programs",
	.object = record_object,
	.object_end = record_object_end,
	.maps = map_names,
	.map_count = ARRAY_LEN(map_names),
	.programs = programs,
	.program_count = ARRAY_LEN(programs),
	.find = find_program,
};

int recordprog_load(int cgroup, uint32_t level, struct recordprog *ret)
{
	const struct record_constants constants = {.home = home_of(cgroup), .level = level};

	*ret = (struct recordprog){.links = {-1, -1, -1, -1, -1}};
	int r = progset_load(&plan, cgroup, span_of((const char *)&constants, sizeof(constants)),
		&ret->programs);
	ret->loaded = r == 0;
	return err_trace(r);
}

int recordprog_open(int cgroup, uint32_t level, struct recordprog *ret)
{
	int r = recordprog_load(cgroup, level, ret);

	if (r == -EOPNOTSUPP) {
		log_info("sandboxes are not recorded: %s", err_message(r));
		err_clear();
		return 0;
	}
	return r < 0 ? err_wrap(r, "recording programs of an earlier helper") : 0;
}

void recordprog_close(struct recordprog *r)
{
	recordprog_detach(r);
	if (r->loaded)
		progset_close(&r->programs);
	r->loaded = false;
}

int recordprog_attach(struct recordprog *r, int cgroup)
{
	if (!r->loaded || r->attached)
		return 0;
	for (size_t i = 0; i < RECORD_HOOKS; i++) {
		int older = -1;
		int link = find_link(cgroup, programs[i].name, &older);
		fd_cleanup(&older);
		if (link < 0)
			link = bpf_raw_tracepoint_open(NULL, r->programs.programs[i]);
		if (link < 0) {
			int bad = err_raise(
				-EOPNOTSUPP, "attaching %s: %s", programs[i].name, strerror(-link));
			recordprog_detach(r);
			return bad;
		}
		r->links[i] = link;
	}
	r->attached = true;
	return 0;
}

void recordprog_detach(struct recordprog *r)
{
	for (size_t i = 0; r->loaded && i < RECORD_HOOKS; i++)
		fd_cleanup(&r->links[i]);
	r->attached = false;
}

static struct record_agent agent_of(struct uuid execution, uint32_t iteration, bool strict)
{
	struct record_agent a = {.iteration = iteration, .budget = RECORD_BUDGET, .strict = strict};

	memcpy(a.execution, execution.bytes, sizeof(a.execution));
	return a;
}

int recordprog_admit(struct recordprog *r, uint64_t cgroup_id, struct uuid execution,
	uint32_t iteration, bool strict)
{
	const struct record_agent a = agent_of(execution, iteration, strict);

	if (!r->loaded)
		return strict
			? err_raise(-EOPNOTSUPP,
				  "this kernel cannot record what sandboxes do, and recording is "
				  "strict")
			: 0;
	if (bpf_map_update_elem(r->programs.maps[RECORD_MAP_AGENTS], &cgroup_id, &a, BPF_ANY) < 0)
		return err_sys(-errno, "enter a sandbox to be recorded");
	return 0;
}

int recordprog_adopt(struct recordprog *r, uint64_t cgroup_id, struct uuid execution,
	uint32_t iteration, bool strict)
{
	struct record_agent a = agent_of(execution, iteration, strict);
	int agents = r->loaded ? r->programs.maps[RECORD_MAP_AGENTS] : -1;

	a.anew = 1;
	if (r->loaded && bpf_map_lookup_elem(agents, &cgroup_id, &a) == 0)
		return 0;
	if (strict)
		return err_raise(-ESTALE,
			"it was not recorded while aegisd and the helper were both away, and its "
			"recording is strict");
	if (r->loaded && bpf_map_update_elem(agents, &cgroup_id, &a, BPF_NOEXIST) < 0)
		return err_sys(-errno, "enter a sandbox to be recorded");
	return 0;
}

int recordprog_call(struct recordprog *r, uint64_t cgroup_id, struct uuid call)
{
	struct record_call entry;

	if (!r->loaded)
		return 0;
	memcpy(entry.call, call.bytes, sizeof(entry.call));
	if (bpf_map_update_elem(r->programs.maps[RECORD_MAP_CALLS], &cgroup_id, &entry, BPF_ANY) <
		0)
		return err_sys(-errno, "enter a call to be recorded");
	return 0;
}

void recordprog_dismiss(struct recordprog *r, uint64_t cgroup_id)
{
	if (!r->loaded)
		return;
	(void)bpf_map_delete_elem(r->programs.maps[RECORD_MAP_AGENTS], &cgroup_id);
	(void)bpf_map_delete_elem(r->programs.maps[RECORD_MAP_TOLD], &cgroup_id);
}
