/* SPDX-License-Identifier: AGPL-3.0-only */
/* One probe, and what probes share. Private to this room. */
#pragma once

#include "daemon/doctor/doctor.h"

struct doctor_probe {
	const char *id;
	const char *area;
	const char *protects;
	bool advisory;
	void (*run)(const struct doctor_options *o, struct doctor_finding *f);
};

extern const struct doctor_probe doctor_probes[];
extern const size_t doctor_probe_count;

/* Sets level and words in one statement; `how` NULL: nothing to do. */
void found(struct doctor_finding *f, enum doctor_level level, const char *how, const char *why, ...)
	PRINTF_LIKE(4, 5);

bool is_root(void);
bool has_nfs_client(void); /* storage.c: what mounts workspaces into sandboxes */

/* First line of a small file of proc or sys. False if it cannot be read. */
bool read_line(const char *path, char *ret, size_t size);
/* A sysctl that is a number; -1 if there is none. */
long read_number(const char *path);

/* Runs fn in a forked child, which must use no memory of libc's allocator nor locks. 0..255: what
 * fn returned; -1: it was killed or could not be forked. */
int in_child(int (*fn)(void *arg), void *arg);

/* Descriptor of a new user namespace that maps `count` ids from 0 to `first`; -errno. */
int new_user_namespace(unsigned first, unsigned count);

/* Whether a process whose /proc/PID/status this is has a filter of its own and no_new_privs. */
bool status_is_hardened(const char *status);

void probe_kernel_version(const struct doctor_options *o, struct doctor_finding *f);
void probe_io_uring(const struct doctor_options *o, struct doctor_finding *f);
void probe_io_uring_sysctl(const struct doctor_options *o, struct doctor_finding *f);
void probe_unprivileged_bpf(const struct doctor_options *o, struct doctor_finding *f);
void probe_unprivileged_userns(const struct doctor_options *o, struct doctor_finding *f);
void probe_yama(const struct doctor_options *o, struct doctor_finding *f);
void probe_core_pattern(const struct doctor_options *o, struct doctor_finding *f);
void probe_swap(const struct doctor_options *o, struct doctor_finding *f);
void probe_helper(const struct doctor_options *o, struct doctor_finding *f);

void probe_user_namespace(const struct doctor_options *o, struct doctor_finding *f);
void probe_seccomp(const struct doctor_options *o, struct doctor_finding *f);
void probe_landlock(const struct doctor_options *o, struct doctor_finding *f);

void probe_cgroup(const struct doctor_options *o, struct doctor_finding *f);
void probe_cgroup_kill(const struct doctor_options *o, struct doctor_finding *f);
void probe_favordynmods(const struct doctor_options *o, struct doctor_finding *f);

void probe_bpf_cgroup(const struct doctor_options *o, struct doctor_finding *f);
void probe_network_policy(const struct doctor_options *o, struct doctor_finding *f);
void probe_bpf_lsm(const struct doctor_options *o, struct doctor_finding *f);
void probe_bpf_tracing(const struct doctor_options *o, struct doctor_finding *f);

void probe_idmapped(const struct doctor_options *o, struct doctor_finding *f);
void probe_nfs_client(const struct doctor_options *o, struct doctor_finding *f);
void probe_file_mediation(const struct doctor_options *o, struct doctor_finding *f);
void probe_images(const struct doctor_options *o, struct doctor_finding *f);
void probe_kvm(const struct doctor_options *o, struct doctor_finding *f);

void probe_rule_calls(const struct doctor_options *o, struct doctor_finding *f);
void probe_rule_sockets(const struct doctor_options *o, struct doctor_finding *f);
void probe_rule_rings(const struct doctor_options *o, struct doctor_finding *f);
void probe_rule_set_id(const struct doctor_options *o, struct doctor_finding *f);
void probe_rule_cgroup(const struct doctor_options *o, struct doctor_finding *f);
void probe_rule_files(const struct doctor_options *o, struct doctor_finding *f);
void probe_rule_running(const struct doctor_options *o, struct doctor_finding *f);
void probe_rule_leaving(const struct doctor_options *o, struct doctor_finding *f);
void probe_rule_programs(const struct doctor_options *o, struct doctor_finding *f);
void probe_rule_neighbours(const struct doctor_options *o, struct doctor_finding *f);
void probe_rule_leases(const struct doctor_options *o, struct doctor_finding *f);
void probe_rule_shared(const struct doctor_options *o, struct doctor_finding *f);
