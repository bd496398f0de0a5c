/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Programs of one BPF object and their maps, loaded and attached to a cgroup, private to this room
 * and to the doctor, who tries to load them. By BPF_PROG_ATTACH: the kernel keeps programs and maps
 * as long as the cgroup exists, whoever dies, and they go with it. A restarted helper finds them
 * there and goes on with the same maps; no file could be forgotten or taken away.
 */
#pragma once

#include "daemon/base/base.h"
#include <linux/bpf.h>

enum {
	PROGSET_MAPS_MAX = 16,
	PROGSET_PROGRAMS_MAX = 16,
	PROGSET_ELSEWHERE = -1, /* as a type: attached by others, to other things */
	PROGSET_FOUND = -2, /* likewise, and the plan's find() knows where */
};

struct progset_program {
	const char *name;
	int type; /* enum bpf_attach_type */
	/* What it hangs on has two names: in kernels of today, and in older ones. NULL: one. */
	const char *target, *older_target;
};

struct progset_plan {
	const char *name; /* of the object; names of its maps begin with it and _ */
	const char *what; /* for messages: "network programs" */
	const unsigned char *object, *object_end;
	const char *const *maps; /* in the order of progset.maps */
	size_t map_count;
	/* In the order of attachment. The first one keeps all maps alive, also those that no
	 * program reads, and tells whether they are attached. */
	const struct progset_program *programs;
	size_t program_count;
	/* A descriptor of the program that an earlier helper attached for this cgroup, or -1. */
	int (*find)(int cgroup, const struct progset_program *p);
};

struct progset {
	const struct progset_plan *plan;
	int maps[PROGSET_MAPS_MAX];
	int programs[PROGSET_PROGRAMS_MAX];
	uint32_t instructions; /* of all programs, as the kernel translated them */
};

/*
 * Loads the programs. If an earlier helper's hang on the cgroup (its directory; -1: none), their
 * maps are used. `constants` is the object's .rodata, whole. -EOPNOTSUPP says what this kernel
 * lacks; -EBUSY if maps of another layout are in use there: the sandboxes must end first.
 */
int progset_load(const struct progset_plan *plan, int cgroup, struct span constants,
	struct progset *ret) MUST_USE;
void progset_close(struct progset *s); /* descriptors only; what is attached stays */

/* Attaches them. Those of an earlier helper are replaced one by one, each in one step: at no
 * instant is a sandbox without them. -EOPNOTSUPP as above. */
int progset_attach(const struct progset *s, int cgroup) MUST_USE;

bool progset_is_attached(const struct progset_plan *plan, int cgroup);

/* Takes them off the cgroup. */
void progset_detach(const struct progset_plan *plan, int cgroup);
