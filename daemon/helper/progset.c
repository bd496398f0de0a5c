/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/helper/progset.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ATTACHED_MAX = 64, PROGRAM_MAPS_MAX = 32 };

/* The last line that libbpf had to say, for the error that follows. */
static char libbpf_words[256];

static int keep_words(enum libbpf_print_level level, const char *fmt, va_list args)
{
	if (level != LIBBPF_WARN)
		return 0;
	vsnprintf(libbpf_words, sizeof(libbpf_words), fmt, args);
	libbpf_words[strcspn(libbpf_words, "\n")] = '\0';
	return 0;
}

/* The program of that name on the cgroup, or -1. */
static int attached_program(int cgroup, const struct progset_program *p)
{
	uint32_t ids[ATTACHED_MAX], flags[ATTACHED_MAX];
	LIBBPF_OPTS(bpf_prog_query_opts, opts, .prog_ids = ids, .prog_cnt = ATTACHED_MAX);

	if (p->type < 0)
		return -1;
	if (p->type == BPF_LSM_CGROUP) /* then the kernel wants room for them */
		opts.prog_attach_flags = flags;
	if (bpf_prog_query_opts(cgroup, (enum bpf_attach_type)p->type, &opts) < 0)
		return -1;
	for (uint32_t i = 0; i < opts.prog_cnt && i < ATTACHED_MAX; i++) {
		struct bpf_prog_info info = {0};
		uint32_t bytes = sizeof(info);
		int fd = bpf_prog_get_fd_by_id(ids[i]);
		if (fd < 0)
			continue;
		if (bpf_obj_get_info_by_fd(fd, &info, &bytes) == 0 &&
			strncmp(info.name, p->name, sizeof(info.name) - 1) == 0)
			return fd;
		close(fd);
	}
	return -1;
}

static bool same_layout(const struct bpf_map *ours, const struct bpf_map_info *theirs)
{
	return bpf_map__type(ours) == (enum bpf_map_type)theirs->type &&
		bpf_map__key_size(ours) == theirs->key_size &&
		bpf_map__value_size(ours) == theirs->value_size &&
		bpf_map__max_entries(ours) == theirs->max_entries;
}

static int reuse_map(const struct progset_plan *plan, struct bpf_object *o, uint32_t id)
{
	const size_t prefix = strlen(plan->name);
	struct bpf_map_info info = {0};
	uint32_t bytes = sizeof(info);
	AUTO_FD fd = bpf_map_get_fd_by_id(id);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &bytes) < 0)
		return err_sys(-errno, "map %u of the attached programs", id);
	struct bpf_map *ours = bpf_object__find_map_by_name(o, info.name);
	/* .rodata is the object's own */
	if (!ours || strncmp(info.name, plan->name, prefix) != 0 || info.name[prefix] != '_')
		return 0;
	if (!same_layout(ours, &info))
		return err_raise(-EBUSY,
			"map %s of the attached %s has another layout: let the sandboxes of the "
			"older helper end first",
			info.name, plan->what);
	int r = bpf_map__reuse_fd(ours, fd);
	return r < 0 ? err_sys(r, "map %s", info.name) : 0;
}

/* Goes on with the maps of the programs that an earlier helper attached. */
static int reuse_maps(const struct progset_plan *plan, struct bpf_object *o, int cgroup)
{
	for (size_t i = 0; i < plan->program_count; i++) {
		uint32_t maps[PROGRAM_MAPS_MAX];
		struct bpf_prog_info info = {
			.nr_map_ids = PROGRAM_MAPS_MAX, .map_ids = (uintptr_t)maps};
		uint32_t bytes = sizeof(info);
		const struct progset_program *p = &plan->programs[i];
		AUTO_FD fd = p->type == PROGSET_FOUND ? plan->find(cgroup, p)
						      : attached_program(cgroup, p);

		if (fd < 0)
			continue;
		if (bpf_obj_get_info_by_fd(fd, &info, &bytes) < 0)
			return err_sys(-errno, "attached program %s", p->name);
		for (uint32_t m = 0; m < info.nr_map_ids && m < PROGRAM_MAPS_MAX; m++) {
			int r = reuse_map(plan, o, maps[m]);
			if (r < 0)
				return err_trace(r);
		}
	}
	return 0;
}

static int set_constants(const struct progset_plan *plan, struct bpf_object *o, struct span values)
{
	struct bpf_map *constants = bpf_object__find_map_by_name(o, ".rodata");

	if (!constants || bpf_map__value_size(constants) != values.n)
		return err_raise(-EBADMSG, "the object of the %s has other constants", plan->what);
	int r = bpf_map__set_initial_value(constants, values.p, values.n);
	return r < 0 ? err_sys(r, "constants of the %s", plan->what) : 0;
}

static int choose_targets(const struct progset_plan *plan, struct bpf_object *o)
{
	for (size_t i = 0; i < plan->program_count; i++) {
		const struct progset_program *p = &plan->programs[i];
		struct bpf_program *program = bpf_object__find_program_by_name(o, p->name);
		if (!p->target || !program)
			continue;
		int r = bpf_program__set_attach_target(program, 0, p->target);
		if (r < 0)
			r = bpf_program__set_attach_target(program, 0, p->older_target);
		if (r < 0)
			return err_raise(-EOPNOTSUPP,
				"this kernel has neither %s nor %s for the %s", p->target,
				p->older_target, plan->what);
	}
	return 0;
}

/* A map that is bound to a program lives as long as it and is found again. */
static int bind_maps(const struct progset_plan *plan, struct bpf_object *o)
{
	struct bpf_program *p = bpf_object__find_program_by_name(o, plan->programs[0].name);
	int r = p ? 0 : -ENOENT;

	for (size_t i = 0; r == 0 && i < plan->map_count; i++) {
		struct bpf_map *m = bpf_object__find_map_by_name(o, plan->maps[i]);
		r = m ? bpf_prog_bind_map(bpf_program__fd(p), bpf_map__fd(m), NULL) : -ENOENT;
		if (r == -EEXIST)
			r = 0;
	}
	return r < 0 ? err_sys(r, "bind the maps of the %s", plan->what) : 0;
}

/* The object is the caller's to close. */
static int load(
	const struct progset_plan *plan, int cgroup, struct span constants, struct bpf_object **ret)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = plan->name);
	struct bpf_object *o;
	int r;

	libbpf_words[0] = '\0';
	libbpf_set_print(keep_words);
	o = bpf_object__open_mem(plan->object, (size_t)(plan->object_end - plan->object), &opts);
	if (!o)
		return err_sys(-errno, "object of the %s", plan->what);
	r = set_constants(plan, o, constants);
	if (r == 0)
		r = choose_targets(plan, o);
	if (r == 0 && cgroup >= 0)
		r = reuse_maps(plan, o, cgroup);
	if (r == 0) {
		r = bpf_object__load(o);
		if (r < 0)
			r = err_raise(r == -EBUSY ? r : -EOPNOTSUPP,
				"this kernel does not load the %s: %s (%s)", plan->what,
				strerror(-r), libbpf_words);
	}
	if (r == 0)
		r = bind_maps(plan, o);
	if (r < 0) {
		bpf_object__close(o);
		return r;
	}
	*ret = o;
	return 0;
}

static uint32_t count_instructions(struct bpf_object *o)
{
	struct bpf_program *p;
	uint32_t all = 0;

	bpf_object__for_each_program(p, o)
	{
		struct bpf_prog_info info = {0};
		uint32_t bytes = sizeof(info);
		if (bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &bytes) == 0)
			all += info.xlated_prog_len / (uint32_t)sizeof(struct bpf_insn);
	}
	return all;
}

static int program_fd(struct bpf_object *o, const char *name)
{
	struct bpf_program *p = bpf_object__find_program_by_name(o, name);
	return p ? fcntl(bpf_program__fd(p), F_DUPFD_CLOEXEC, 3) : -1;
}

/* Descriptors of our own, so that the object can be closed. */
static int keep(const struct progset_plan *plan, struct bpf_object *o, struct progset *ret)
{
	struct progset s = {.plan = plan, .instructions = count_instructions(o)};
	bool whole = true;

	for (size_t i = 0; i < plan->map_count; i++) {
		struct bpf_map *m = bpf_object__find_map_by_name(o, plan->maps[i]);
		s.maps[i] = m ? fcntl(bpf_map__fd(m), F_DUPFD_CLOEXEC, 3) : -1;
		whole = whole && s.maps[i] >= 0;
	}
	for (size_t i = 0; i < plan->program_count; i++) {
		s.programs[i] = program_fd(o, plan->programs[i].name);
		whole = whole && s.programs[i] >= 0;
	}
	if (!whole) {
		progset_close(&s);
		return err_raise(-EMFILE, "descriptors of the %s and their maps", plan->what);
	}
	*ret = s;
	return 0;
}

int progset_load(
	const struct progset_plan *plan, int cgroup, struct span constants, struct progset *ret)
{
	struct bpf_object *o;

	CHECK(plan->map_count <= PROGSET_MAPS_MAX && plan->program_count <= PROGSET_PROGRAMS_MAX);
	int r = load(plan, cgroup, constants, &o);
	if (r < 0)
		return err_trace(r);
	r = keep(plan, o, ret);
	bpf_object__close(o);
	return err_trace(r);
}

void progset_close(struct progset *s)
{
	for (size_t i = 0; i < s->plan->map_count; i++)
		fd_cleanup(&s->maps[i]);
	for (size_t i = 0; i < s->plan->program_count; i++)
		fd_cleanup(&s->programs[i]);
}

static int attach(int program, int cgroup, const struct progset_program *p)
{
	LIBBPF_OPTS(bpf_prog_attach_opts, opts, .flags = BPF_F_ALLOW_MULTI);
	AUTO_FD older = attached_program(cgroup, p);

	if (older >= 0) {
		opts.flags |= BPF_F_REPLACE;
		opts.replace_prog_fd = older;
	}
	if (bpf_prog_attach_opts(program, cgroup, (enum bpf_attach_type)p->type, &opts) < 0)
		return err_raise(-EOPNOTSUPP, "attaching %s to the sandboxes' cgroup: %s", p->name,
			strerror(errno));
	return 0;
}

int progset_attach(const struct progset *s, int cgroup)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->plan->program_count; i++)
		if (s->plan->programs[i].type >= 0)
			r = attach(s->programs[i], cgroup, &s->plan->programs[i]);
	return err_trace(r);
}

bool progset_is_attached(const struct progset_plan *plan, int cgroup)
{
	AUTO_FD fd = attached_program(cgroup, &plan->programs[0]);
	return fd >= 0;
}

void progset_detach(const struct progset_plan *plan, int cgroup)
{
	for (size_t i = 0; i < plan->program_count; i++) {
		const struct progset_program *p = &plan->programs[i];
		AUTO_FD fd = attached_program(cgroup, p);
		if (fd >= 0)
			(void)bpf_prog_detach2(fd, cgroup, (enum bpf_attach_type)p->type);
	}
}
