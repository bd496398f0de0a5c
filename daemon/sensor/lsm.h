/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What policy says of files and programs, as entries of the LSM programs' maps (bpf/lsm/lsm_api.h),
 * which the helper loaded; and what those programs denied.
 */
#pragma once

#include "bpf/lsm/lsm_api.h"
#include "daemon/base/base.h"
#include "daemon/sensor/losses.h"
#include "policy/context/kernel_rules.h"

/* ---- rules as entries ---- */

enum {
	LSM_POLICY_FILES_MAX = 16384, /* that one policy speaks of */
	LSM_WALK_MAX = 1 << 20, /* files that are looked at for one policy */
};

/* What of the host stands read-only in a sandbox, and where. */
struct lsm_place {
	const char *host, *inside;
};

struct lsm_entry {
	struct lsm_file_key key; /* `policy` is filled in when it is entered */
	struct lsm_file value;
};

struct lsm_table {
	uint32_t flags; /* enum lsm_policy_flag */
	uint32_t rule; /* that made the list, if there is one */
	const struct lsm_entry *entries; /* in order of their keys */
	const struct span *paths; /* one for each entry: its path inside, or one of them */
	size_t count;
	const struct span *policies; /* id of the policy behind rule N at N - 1 */
	size_t policy_count;
};

/*
 * Asks the rules about every file of the places that they may speak of. A program that is forbidden
 * may not be read either: a loader or a copy would run it. Where all but a list is forbidden,
 * loaders (ld.so) are never on it, because they would run anything. `programs`, NULL-ended, are
 * what the agent itself is run by, as paths inside: where all but a list is forbidden, they are on
 * it; NULL: none. Everything lives in the arena. BLOCKS.
 *
 * -EOPNOTSUPP with policy and reason for a rule that the kernel cannot check: of a kind that has no
 * test, about files that will come to be in a folder of the sandbox or that it has of its own, or a
 * pattern that begins with a link. -EPERM with the policy if
 * one forbids what the agent is run by. -E2BIG beyond the limits; -EACCES.
 */
int lsm_table_make(const struct kernel_rules *rules, const struct lsm_place *places,
	size_t place_count, const char *const *programs, struct arena *a,
	struct lsm_table *ret) MUST_USE;

/* Nothing is said by it: no policy is needed. */
bool lsm_table_is_empty(const struct lsm_table *t);

/* ---- the kernel's maps ---- */

struct lsm_sensor;

/* Takes the descriptors of the maps over, also on failure. Of the guard's only
 * maps[LSM_MAP_DENIALS] is there, the others are -1: then it does nothing but tell. */
int lsm_sensor_new(int maps[LSM_MAPS], struct lsm_sensor **ret) MUST_USE;
struct lsm_sensor *lsm_sensor_free(struct lsm_sensor *s); /* NULL; nothing changes in the kernel */

/* What was denied, and lost of it: as sensor.h has it for the network. */
int lsm_sensor_fd(const struct lsm_sensor *s);
size_t lsm_sensor_next(struct lsm_sensor *s, const struct lsm_denial *const **ret);
void lsm_sensor_done(struct lsm_sensor *s);
size_t lsm_sensor_losses(const struct lsm_sensor *s, struct sensor_loss *ret, size_t room);
void lsm_sensor_loss_told(struct lsm_sensor *s, const struct sensor_loss *l);
void lsm_sensor_loss_forget(struct lsm_sensor *s, uint64_t cgroup);

/* Whether these are the maps that it has. */
bool lsm_sensor_has_maps(const struct lsm_sensor *s, const int maps[LSM_MAPS]);

/* A table as the kernel holds it; immutable, shared by all who bring the same one. It outlives the
 * sensor, and does nothing then. */
struct lsm_policy_entry;

/* Enters it, whole, under a number of its own, unless it is there already. -ENOSPC: the kernel's
 * table is full. */
int lsm_policy_new(
	struct lsm_sensor *s, const struct lsm_table *t, struct lsm_policy_entry **ret) MUST_USE;
/* NULL; after the last it is taken out when no program can be looking into it: with a later
 * lsm_policy_new() or lsm_sweep(). */
struct lsm_policy_entry *lsm_policy_unref(struct lsm_policy_entry *p);
/* NULL; the memory goes, what is in the kernel stays until a later daemon's lsm_sweep(). */
struct lsm_policy_entry *lsm_policy_forget(struct lsm_policy_entry *p);
uint32_t lsm_policy_number(const struct lsm_policy_entry *p); /* as the kernel knows it */

/* From the next open or exec on this policy holds for the sandbox; NULL: none. -ENOENT: the helper
 * has not admitted it. */
int lsm_agent_set_policy(
	struct lsm_sensor *s, uint64_t cgroup, const struct lsm_policy_entry *p) MUST_USE;

/* The policy behind a record's numbers; empty if it is gone, or none decided. */
struct span lsm_rule_policy(const struct lsm_sensor *s, uint32_t policy, uint32_t rule);

/* The path of the file that a record is about; empty if the policy is gone, or does not name it. */
struct span lsm_file_path(
	const struct lsm_sensor *s, uint32_t policy, uint32_t device, uint64_t inode);

/* Takes out what no sandbox's entry leads to, what an earlier aegisd left, too. To be called when
 * all sandboxes have their policies. *ret_gone: how many entries of an earlier one went. BLOCKS for
 * some milliseconds. */
int lsm_sweep(struct lsm_sensor *s, size_t *ret_gone) MUST_USE;

/* For records: why it was denied, and where ("open"). Never NULL. */
const char *lsm_verdict_text(enum lsm_verdict v);
const char *lsm_hook_text(enum lsm_hook h);
