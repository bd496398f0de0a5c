/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the files of this room share. */
#pragma once

#include "daemon/sensor/ring.h"
#include "daemon/sensor/sensor.h"

struct sensor {
	int maps[NET_MAPS];
	struct list policies;
	struct sensor_ring denials;
};

struct sensor_policy {
	struct list link;
	struct sensor *sensor;
	struct arena *arena;
	struct kernel_rules rules;
	struct sensor_table table;
	uint32_t number;
	size_t entered; /* prefixes that are in the kernel */
	bool kept; /* its entries outlive it */
	int refs;
};

struct learned_address {
	struct list link;
	uint8_t address[16];
	uint64_t expires_ns;
};

struct learned_name {
	struct list link;
	struct list addresses;
	uint32_t number;
	struct span text; /* behind the struct */
	char bytes[];
};

struct sensor_call {
	struct list link; /* in the agent's */
	struct sensor_agent *agent;
	struct sensor_policy *policy;
	uint64_t cgroup;
	uint64_t ends_ns;
};

struct sensor_agent {
	struct sensor *sensor;
	struct list calls;
	struct sensor_policy *policy;
	uint64_t cgroup;
	struct list names;
	struct map by_text;
	size_t address_count;
};

/* Entries of the maps. Errors name the map; what is not there needs no taking out. */
int sensor_put(struct sensor *s, enum net_map map, const void *key, const void *value) MUST_USE;
int sensor_get(const struct sensor *s, enum net_map map, const void *key, void *ret) MUST_USE;
void sensor_take_out(struct sensor *s, enum net_map map, const void *key);
int sensor_next_number(struct sensor *s, enum net_number which, uint32_t *ret) MUST_USE;

/* The rules of a policy about what an agent has learned, in the kernel; all or none. */
int sensor_agent_enter_names(struct sensor_agent *a, const struct sensor_policy *p) MUST_USE;
void sensor_agent_take_out_names(struct sensor_agent *a, const struct sensor_policy *p);
/* Forgets the calls in memory; `take_out`: in the kernel, too. */
void sensor_agent_drop_calls(struct sensor_agent *a, bool take_out);

uint64_t sensor_boot_ns(void); /* CLOCK_BOOTTIME, as the programs see it */

/* Until no program is at work that began before: it may have read the number of a policy that
 * nobody has any more. BLOCKS, for some milliseconds. */
void sensor_wait_for_programs(void);
