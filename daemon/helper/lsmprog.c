/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/helper/lsmprog.h"
#include <bpf/bpf.h>
#include <errno.h>

extern const unsigned char lsm_object[], lsm_object_end[];

static const char *const map_names[LSM_MAPS] = {
	[LSM_MAP_AGENTS] = "lsm_agents",
	[LSM_MAP_POLICIES] = "lsm_policies",
	[LSM_MAP_FILES] = "lsm_files",
	[LSM_MAP_COUNTS] = "lsm_counts",
	[LSM_MAP_SEQUENCE] = "lsm_sequence",
	[LSM_MAP_DENIALS] = "lsm_denials",
	[LSM_MAP_LOSSES] = "lsm_losses",
};

static const struct progset_program programs[] = {
	{"lsm_exec", BPF_LSM_CGROUP},
	{"lsm_open", BPF_LSM_CGROUP},
	{"lsm_socket", BPF_LSM_CGROUP},
	{"lsm_ptrace", BPF_LSM_CGROUP},
	{"lsm_mount", BPF_LSM_CGROUP},
	{"lsm_move_mount", BPF_LSM_CGROUP},
	{"lsm_bpf", BPF_LSM_CGROUP},
	{"lsm_module", BPF_LSM_CGROUP},
	{"lsm_key", BPF_LSM_CGROUP},
	{"lsm_userns", BPF_LSM_CGROUP},
};

static const struct progset_plan plan = {
	.name = "lsm",
	.what = "LSM programs",
	.object = lsm_object,
	.object_end = lsm_object_end,
	.maps = map_names,
	.map_count = ARRAY_LEN(map_names),
	.programs = programs,
	.program_count = ARRAY_LEN(programs),
};

int lsmprog_load(int cgroup, uint32_t level, struct lsmprog *ret)
{
	const struct lsm_constants constants = {.level = level};

	*ret = (struct lsmprog){0};
	int r = progset_load(&plan, cgroup, span_of((const char *)&constants, sizeof(constants)),
		&ret->programs);
	ret->loaded = r == 0;
	return err_trace(r);
}

int lsmprog_open(int cgroup, uint32_t level, struct lsmprog *ret)
{
	bool attached = progset_is_attached(&plan, cgroup);
	int r = lsmprog_load(cgroup, level, ret);

	if (r == -EOPNOTSUPP && !attached) {
		log_info("sandboxes have no LSM programs: %s", err_message(r));
		err_clear();
		return 0;
	}
	if (r == 0 && attached) {
		r = progset_attach(&ret->programs, cgroup);
		ret->attached = r == 0;
	}
	if (r < 0)
		lsmprog_close(ret);
	return r < 0 ? err_wrap(r, "LSM programs of an earlier helper") : 0;
}

void lsmprog_close(struct lsmprog *l)
{
	if (l->loaded)
		progset_close(&l->programs);
	l->loaded = false;
}

int lsmprog_attach(struct lsmprog *l, int cgroup)
{
	if (!l->loaded || l->attached)
		return 0;
	int r = progset_attach(&l->programs, cgroup);
	if (r < 0) {
		progset_detach(&plan, cgroup);
		return err_trace(r);
	}
	l->attached = true;
	return 0;
}

void lsmprog_detach(struct lsmprog *l, int cgroup)
{
	if (!l->attached)
		return;
	progset_detach(&plan, cgroup);
	l->attached = false;
}

static int put(struct lsmprog *l, uint64_t cgroup_id, enum lsm_phase phase, uint64_t flags)
{
	const struct lsm_agent agent = {.phase = phase};

	if (!l->loaded)
		return 0;
	if (bpf_map_update_elem(l->programs.maps[LSM_MAP_AGENTS], &cgroup_id, &agent, flags) < 0)
		return err_sys(-errno, "enter a sandbox for the LSM programs");
	return 0;
}

int lsmprog_admit(struct lsmprog *l, uint64_t cgroup_id)
{
	return err_trace(put(l, cgroup_id, LSM_MAKING, BPF_ANY));
}

int lsmprog_adopt(struct lsmprog *l, uint64_t cgroup_id)
{
	int r = put(l, cgroup_id, LSM_SEALED, BPF_NOEXIST);

	if (r == -EEXIST) {
		err_clear();
		return 0;
	}
	return err_trace(r);
}

int lsmprog_seal(struct lsmprog *l, uint64_t cgroup_id)
{
	return err_trace(put(l, cgroup_id, LSM_SEALED, BPF_EXIST));
}

int lsmprog_bind(struct lsmprog *l, uint64_t cgroup_id, uint32_t policy)
{
	const struct lsm_agent agent = {.phase = LSM_SEALED, .policy = policy};
	struct lsm_policy entered;

	if (policy == 0)
		return 0;
	if (!l->loaded ||
		bpf_map_lookup_elem(l->programs.maps[LSM_MAP_POLICIES], &policy, &entered) < 0)
		return err_raise(-EINVAL, "policy %u about files was not entered", policy);
	if (bpf_map_update_elem(l->programs.maps[LSM_MAP_AGENTS], &cgroup_id, &agent, BPF_EXIST) <
		0)
		return err_sys(-errno, "put a sandbox under a policy about files");
	return 0;
}

void lsmprog_dismiss(struct lsmprog *l, uint64_t cgroup_id)
{
	if (l->loaded)
		(void)bpf_map_delete_elem(l->programs.maps[LSM_MAP_AGENTS], &cgroup_id);
}
