/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Policies about files in the kernel's maps. One is entered whole under a number of its own before
 * any sandbox names it, and taken out when none does: a sandbox goes over from one to another by a
 * single store.
 */
#include "daemon/sensor/internal.h"
#include "daemon/sensor/lsm_internal.h"
#include <bpf/bpf.h>
#include <errno.h>
#include <stdlib.h>

struct lsm_policy_entry {
	struct list link; /* in the sensor's policies, while it has a sensor */
	struct lsm_sensor *sensor; /* NULL: it is gone, with its maps */
	struct arena *arena;
	struct lsm_table table;
	uint32_t number;
	size_t entered; /* of its files */
	bool kept; /* its entries outlive it */
	int refs;
};

enum { POLICY_ARENA_BYTES = 16 << 20 };
/* The wait for programs is for many at once. */
#define RETIRED_NS UINT64_C(1000000000)

static int put(struct lsm_sensor *s, enum lsm_map map, const char *name, const void *key,
	const void *value)
{
	int r = bpf_map_update_elem(s->maps[map], key, value, BPF_ANY);
	return r < 0 ? err_sys(r == -E2BIG ? -ENOSPC : r, "entry of %s", name) : 0;
}

/* ---- numbers ---- */

static uint32_t highest_policy(const struct lsm_sensor *s)
{
	uint32_t at, next, highest = 0;
	bool first = true;

	while (bpf_map_get_next_key(s->maps[LSM_MAP_POLICIES], first ? NULL : &at, &next) == 0) {
		at = next;
		first = false;
		highest = MAX(highest, at);
	}
	return highest;
}

/* A sandbox may name one that was taken out meanwhile. */
static uint32_t highest_named(const struct lsm_sensor *s)
{
	uint64_t at, next;
	uint32_t highest = 0;
	struct lsm_agent agent;
	bool first = true;

	while (bpf_map_get_next_key(s->maps[LSM_MAP_AGENTS], first ? NULL : &at, &next) == 0) {
		at = next;
		first = false;
		if (bpf_map_lookup_elem(s->maps[LSM_MAP_AGENTS], &at, &agent) == 0)
			highest = MAX(highest, agent.policy);
	}
	return highest;
}

static uint32_t highest_number(const struct lsm_sensor *s)
{
	uint32_t there = highest_policy(s), named = highest_named(s);

	return MAX(there, named);
}

static bool is_used(const struct lsm_sensor *s, uint32_t number)
{
	uint64_t at, next;
	struct lsm_agent agent;
	bool first = true;

	while (bpf_map_get_next_key(s->maps[LSM_MAP_AGENTS], first ? NULL : &at, &next) == 0) {
		at = next;
		first = false;
		if (bpf_map_lookup_elem(s->maps[LSM_MAP_AGENTS], &at, &agent) == 0 &&
			agent.policy == number)
			return true;
	}
	list_for_each (node, &s->policies)
		if (list_entry(node, struct lsm_policy_entry, link)->number == number)
			return true;
	return false;
}

/* Beyond all that are in the map or that sandboxes name. */
static int next_number(struct lsm_sensor *s, uint32_t *ret)
{
	uint32_t highest = s->last_number ? s->last_number : highest_number(s);

	if (highest == UINT32_MAX)
		return err_raise(
			-EOVERFLOW, "no number is left: restart the helper without sandboxes");
	s->last_number = *ret = highest + 1;
	return 0;
}

/* ---- policies ---- */

static bool same_table(const struct lsm_table *a, const struct lsm_table *b)
{
	if (a->flags != b->flags || a->rule != b->rule || a->count != b->count ||
		a->policy_count != b->policy_count)
		return false;
	for (size_t i = 0; i < a->policy_count; i++)
		if (!span_eq(a->policies[i], b->policies[i]))
			return false;
	return a->count == 0 || memcmp(a->entries, b->entries, a->count * sizeof(*a->entries)) == 0;
}

static int copy_table(struct arena *a, const struct lsm_table *from, struct lsm_table *ret)
{
	struct lsm_entry *entries = arena_make_array(a, struct lsm_entry, from->count + 1);
	struct span *paths = arena_make_array(a, struct span, from->count + 1);
	struct span *policies = arena_make_array(a, struct span, from->policy_count + 1);

	if (!entries || !paths || !policies)
		return err_raise(-ENOMEM, "no memory for a policy about files");
	if (from->count)
		memcpy(entries, from->entries, from->count * sizeof(*entries));
	for (size_t i = 0; i < from->policy_count; i++) {
		policies[i] = arena_span(a, from->policies[i]);
		if (from->policies[i].n && !policies[i].p)
			return err_raise(-ENOMEM, "no memory for a policy about files");
	}
	for (size_t i = 0; i < from->count; i++) {
		paths[i] = arena_span(a, from->paths[i]);
		if (from->paths[i].n && !paths[i].p)
			return err_raise(-ENOMEM, "no memory for a policy about files");
	}
	*ret = *from;
	ret->entries = entries;
	ret->paths = paths;
	ret->policies = policies;
	return 0;
}

static int enter(struct lsm_policy_entry *p)
{
	const struct lsm_policy policy = {.flags = p->table.flags, .rule = p->table.rule};
	int r = 0;

	for (; r == 0 && p->entered < p->table.count; p->entered += r == 0) {
		struct lsm_file_key key = p->table.entries[p->entered].key;
		key.policy = p->number;
		r = put(p->sensor, LSM_MAP_FILES, "lsm_files", &key,
			&p->table.entries[p->entered].value);
	}
	return r < 0
		? err_trace(r)
		: err_trace(put(p->sensor, LSM_MAP_POLICIES, "lsm_policies", &p->number, &policy));
}

static void take_out(struct lsm_policy_entry *p)
{
	(void)bpf_map_delete_elem(p->sensor->maps[LSM_MAP_POLICIES], &p->number);
	while (p->entered > 0) {
		struct lsm_file_key key = p->table.entries[--p->entered].key;
		key.policy = p->number;
		(void)bpf_map_delete_elem(p->sensor->maps[LSM_MAP_FILES], &key);
	}
}

static void policy_free(struct lsm_policy_entry *p)
{
	if (p->sensor)
		list_remove(&p->link);
	arena_free(p->arena);
	free(p);
}

/* What forbids is not there any more when it is taken out, so that nobody may be looking. */
static void take_out_retired(struct lsm_sensor *s)
{
	if (list_empty(&s->retired))
		return;
	sensor_wait_for_programs();
	list_for_each_safe (node, &s->retired) {
		struct lsm_policy_entry *p = list_entry(node, struct lsm_policy_entry, link);
		take_out(p);
		policy_free(p);
	}
}

int lsm_policy_new(struct lsm_sensor *s, const struct lsm_table *t, struct lsm_policy_entry **ret)
{
	list_for_each (node, &s->policies) {
		struct lsm_policy_entry *p = list_entry(node, struct lsm_policy_entry, link);
		if (same_table(&p->table, t)) {
			p->refs++;
			*ret = p;
			return 0;
		}
	}
	if (sensor_boot_ns() - s->retired_ns > RETIRED_NS)
		take_out_retired(s);
	struct lsm_policy_entry *p = calloc(1, sizeof(*p));
	if (!p)
		return err_raise(-ENOMEM, "no memory for a policy about files");
	p->refs = 1;
	p->sensor = s;
	list_push_back(&s->policies, &p->link);
	p->arena = arena_new(POLICY_ARENA_BYTES);
	int r = p->arena ? copy_table(p->arena, t, &p->table)
			 : err_raise(-ENOMEM, "no memory for a policy about files");
	if (r == 0)
		r = next_number(s, &p->number);
	if (r == 0)
		r = enter(p);
	if (r == -ENOSPC && !list_empty(&s->retired)) {
		err_clear();
		take_out_retired(s);
		r = enter(p);
	}
	if (r < 0) {
		take_out(p); /* nobody has it */
		policy_free(p);
		return err_trace(r);
	}
	*ret = p;
	return 0;
}

struct lsm_policy_entry *lsm_policy_unref(struct lsm_policy_entry *p)
{
	if (!p || --p->refs > 0)
		return NULL;
	struct lsm_sensor *s = p->sensor;
	if (!s || p->kept) {
		policy_free(p);
		return NULL;
	}
	list_remove(&p->link);
	if (list_empty(&s->retired))
		s->retired_ns = sensor_boot_ns();
	list_push_back(&s->retired, &p->link);
	return NULL;
}

struct lsm_policy_entry *lsm_policy_forget(struct lsm_policy_entry *p)
{
	if (p)
		p->kept = true;
	return lsm_policy_unref(p);
}

uint32_t lsm_policy_number(const struct lsm_policy_entry *p)
{
	return p->sensor ? p->number : 0;
}

void lsm_policies_orphan(struct lsm_sensor *s)
{
	take_out_retired(s);
	list_for_each_safe (node, &s->policies) {
		struct lsm_policy_entry *p = list_entry(node, struct lsm_policy_entry, link);
		list_remove(&p->link);
		p->sensor = NULL;
	}
}

/* ---- sandboxes ---- */

int lsm_agent_set_policy(struct lsm_sensor *s, uint64_t cgroup, const struct lsm_policy_entry *p)
{
	struct lsm_agent agent;

	if (bpf_map_lookup_elem(s->maps[LSM_MAP_AGENTS], &cgroup, &agent) < 0)
		return err_sys(-errno, "entry of lsm_agents");
	agent.policy = p ? p->number : 0;
	if (bpf_map_update_elem(s->maps[LSM_MAP_AGENTS], &cgroup, &agent, BPF_EXIST) < 0)
		return err_sys(-errno, "entry of lsm_agents");
	return 0;
}

static const struct lsm_table *find_in(const struct list *policies, uint32_t number)
{
	list_for_each (node, policies) {
		const struct lsm_policy_entry *p = list_entry(node, struct lsm_policy_entry, link);
		if (p->number == number)
			return &p->table;
	}
	return NULL;
}

/* A record may come when nobody has its policy any more. */
static const struct lsm_table *table_of(const struct lsm_sensor *s, uint32_t number)
{
	const struct lsm_table *t = find_in(&s->policies, number);
	return t ? t : find_in(&s->retired, number);
}

struct span lsm_rule_policy(const struct lsm_sensor *s, uint32_t policy, uint32_t rule)
{
	const struct lsm_table *t = table_of(s, policy);

	return t && rule > 0 && rule <= t->policy_count ? t->policies[rule - 1] : (struct span){0};
}

struct span lsm_file_path(
	const struct lsm_sensor *s, uint32_t policy, uint32_t device, uint64_t inode)
{
	const struct lsm_table *t = table_of(s, policy);
	size_t low = 0, high = t ? t->count : 0;

	while (low < high) { /* they are in order */
		size_t middle = low + (high - low) / 2;
		const struct lsm_file_key *k = &t->entries[middle].key;
		if (k->device == device && k->inode == inode)
			return t->paths[middle];
		if (k->device < device || (k->device == device && k->inode < inode))
			low = middle + 1;
		else
			high = middle;
	}
	return (struct span){0};
}

/* ---- what an earlier daemon left ---- */

static size_t sweep_policies(struct lsm_sensor *s)
{
	uint32_t at, next;
	bool first = true;
	size_t gone = 0;

	/* The key after one that was taken out is the first again: go on from the last one kept. */
	while (bpf_map_get_next_key(s->maps[LSM_MAP_POLICIES], first ? NULL : &at, &next) == 0) {
		if (!is_used(s, next)) {
			(void)bpf_map_delete_elem(s->maps[LSM_MAP_POLICIES], &next);
			gone++;
		} else {
			at = next;
			first = false;
		}
	}
	return gone;
}

/* Files whose policy is not there any more. */
static size_t sweep_files(struct lsm_sensor *s)
{
	struct lsm_file_key at, next;
	struct lsm_policy policy;
	bool first = true;
	size_t gone = 0;

	while (bpf_map_get_next_key(s->maps[LSM_MAP_FILES], first ? NULL : &at, &next) == 0) {
		if (bpf_map_lookup_elem(s->maps[LSM_MAP_POLICIES], &next.policy, &policy) < 0) {
			(void)bpf_map_delete_elem(s->maps[LSM_MAP_FILES], &next);
			gone++;
		} else {
			at = next;
			first = false;
		}
	}
	return gone;
}

int lsm_sweep(struct lsm_sensor *s, size_t *ret_gone)
{
	if (!s->last_number) /* before what stands there goes */
		s->last_number = highest_number(s);
	take_out_retired(s);
	sensor_wait_for_programs();
	*ret_gone = sweep_policies(s);
	*ret_gone += sweep_files(s);
	return 0;
}
