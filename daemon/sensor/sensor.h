/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Between policy and the kernel: turns rules into entries of the maps that the helper loaded
 * (bpf/net/net_api.h says how they are read), and binds sandboxes to them.
 */
#pragma once

#include "bpf/net/net_api.h"
#include "daemon/base/base.h"
#include "daemon/sensor/losses.h"
#include "policy/context/kernel_rules.h"

/* ---- rules as entries: pure ---- */

/* Entries of one policy; `policy` and `name` of the keys are 0 and filled in when it is entered. */
struct sensor_prefix {
	struct net_prefix_key key;
	struct net_rules rules;
};

struct sensor_table {
	const struct sensor_prefix *prefixes; /* in order of address, then length */
	size_t prefix_count;
	const struct kernel_rules *source; /* id of a net_rule - 1 is an index into its rules */
};

/*
 * Merges the rules about addresses so that forbid wins (decisions, [16]): each entry carries the
 * rules of all prefixes that contain it. Everything lives in the arena; *source must live as long.
 * -E2BIG if more than NET_RULES_MAX rules meet in one prefix or there are more prefixes than the
 * kernel's table holds: names the policy whose rule did not fit. -EINVAL for a rule that is
 * malformed (ports reversed, bits set beyond the prefix).
 */
int sensor_compile(
	const struct kernel_rules *source, struct arena *a, struct sensor_table *ret) MUST_USE;

/* The rules about one name, merged likewise; count 0 if no rule speaks of it. `name` is lower case,
 * without a trailing dot. -E2BIG as above. */
int sensor_name_rules(
	const struct kernel_rules *source, struct span name, struct net_rules *ret) MUST_USE;

/* Whether a name may be asked for: some rule permits it on some port, and none forbids it on all.
 */
bool sensor_may_resolve(const struct net_rules *rules);

/* Whether a rule about addresses permits the address on some port: then an internal address is what
 * the operator meant. */
bool sensor_address_permitted(const struct kernel_rules *source, const uint8_t *address);

/* ---- the kernel's maps ---- */

enum {
	SENSOR_NAMES_MAX = 1024, /* that one sandbox has asked for */
	SENSOR_ADDRESSES_MAX =
		8192, /* that one sandbox was given, the expired ones too until swept */
	SENSOR_GRACE_S = 5, /* an address holds that much longer than its time to live */
};

struct sensor;

/* Takes the descriptors of the maps over (bpf/net/net_api.h), also on failure. System calls on maps
 * do not wait, so nothing here parks. Errors are the kernel's, with the map's name. */
int sensor_new(int maps[NET_MAPS], struct sensor **ret) MUST_USE;
struct sensor *sensor_free(struct sensor *s); /* NULL; nothing in the kernel changes by it */

/* Whether these are the maps that the sensor has: a helper that was started again without sandboxes
 * has made new ones. */
bool sensor_has_maps(const struct sensor *s, const int maps[NET_MAPS]);

/* Whether nobody has a policy in it: only then it may be freed. */
bool sensor_is_idle(const struct sensor *s);

/* The next denials, in order; how many, 0: there are none. They lie in the kernel's ring until
 * sensor_denials_done(), which lets go of all that were returned last. The descriptor is readable
 * once after each wake-up. */
int sensor_denials_fd(const struct sensor *s);
size_t sensor_denials_next(struct sensor *s, const struct net_denial *const **ret);
void sensor_denials_done(struct sensor *s);

/* Of which sandboxes denials were lost and not told yet; how many, at most `room`. */
size_t sensor_losses(const struct sensor *s, struct sensor_loss *ret, size_t room);
void sensor_loss_told(struct sensor *s, const struct sensor_loss *l);
void sensor_loss_forget(struct sensor *s, uint64_t cgroup); /* the sandbox is no more */

/* For records: why it was denied ("no rule permits it"), and where ("connect"). Never NULL. */
const char *sensor_verdict_text(enum net_verdict v);
const char *sensor_hook_text(enum net_hook h);

/* A policy as the kernel holds it; immutable, shared by agents. */
struct sensor_policy;

/* Enters the rules, whole, under a new number. The rules are copied. -E2BIG, -EINVAL as
 * sensor_compile. */
int sensor_policy_new(
	struct sensor *s, const struct kernel_rules *rules, struct sensor_policy **ret) MUST_USE;
struct sensor_policy *sensor_policy_ref(struct sensor_policy *p);
struct sensor_policy *sensor_policy_unref(
	struct sensor_policy *p); /* NULL; the last takes it out */
const struct kernel_rules *sensor_policy_rules(const struct sensor_policy *p);
uint32_t sensor_policy_number(const struct sensor_policy *p); /* as the kernel knows it */

/* The policy rule behind a record: number and id as a net_denial names them; an empty span if the
 * policy is gone. */
struct span sensor_rule_policy(const struct sensor *s, uint32_t policy, uint32_t rule);

/* A sandbox under a policy. */
struct sensor_agent;

/* The helper has admitted the cgroup: -ENOENT otherwise. A reference to the policy is taken. */
int sensor_agent_new(struct sensor *s, uint64_t cgroup, struct sensor_policy *p,
	struct sensor_agent **ret) MUST_USE;

/* From the next packet on another policy holds: names that it permits keep their addresses, all
 * others lose them. On failure the old one holds. */
int sensor_agent_set_policy(struct sensor_agent *a, struct sensor_policy *p) MUST_USE;
struct sensor_policy *sensor_agent_policy(const struct sensor_agent *a); /* borrowed */
uint64_t sensor_agent_cgroup(const struct sensor_agent *a);

/* Makes the addresses reachable as far as the rules about `name` permit, until ttl_s (and the
 * grace) have passed. -ENOSPC beyond the limits: answer nothing then. */
int sensor_agent_learn(struct sensor_agent *a, struct span name, const uint8_t (*addresses)[16],
	size_t count, uint32_t ttl_s) MUST_USE;

/*
 * A dispatched call of it, by the call's own cgroup [6]. `p` holds in the call instead of the
 * agent's policy: it is all that is true there, what is outside of calls included. Names that the
 * agent has learned are reachable in the call as the rules of `p` permit, too, and its resolver
 * answers for names that `p` permits while there is time; internal addresses it still gives out for
 * names only as the rules of the agent permit.
 *
 * The rights of a call end after `lasts_ms` by the kernel's clock, whoever is alive then; what `p`
 * forbids stays forbidden. `again`, after a restart: the time of the entry that the kernel has of
 * that cgroup goes on, and if there is none, it is over. `p` is this call's alone; a
 * reference is taken. -ENOSPC beyond NET_CALLS_MAX.
 */
struct sensor_call;
int sensor_call_new(struct sensor_agent *a, uint64_t cgroup, struct sensor_policy *p,
	int64_t lasts_ms, bool again, struct sensor_call **ret) MUST_USE;
/* Another policy, in the same time. On failure the old one holds. */
int sensor_call_set_policy(struct sensor_call *c, struct sensor_policy *p) MUST_USE;
const struct sensor_policy *sensor_call_policy(const struct sensor_call *c);
int64_t sensor_call_lasts_ms(const struct sensor_call *c); /* from now on */
bool sensor_call_is_over(const struct sensor_call *c);
/* Its rights end with the next packet; what its policy forbids stays forbidden. */
int sensor_call_end(struct sensor_call *c) MUST_USE;
/* Whether the kernel has an entry of that call, a former daemon's too; and takes it out. */
bool sensor_agent_has_call(const struct sensor_agent *a, uint64_t cgroup);
void sensor_agent_take_out_call(struct sensor_agent *a, uint64_t cgroup);
/* The n-th of its calls that has time left, NULL at the end. */
const struct sensor_call *sensor_agent_call(const struct sensor_agent *a, size_t n);
/* Its cgroup is gone; the agent's end frees calls, too. NULL; NULL is allowed. */
struct sensor_call *sensor_call_free(struct sensor_call *c);

/* Takes back what was learned; its cgroup is the helper's to dismiss. NULL is allowed. */
struct sensor_agent *sensor_agent_free(struct sensor_agent *a);

/* Lets it live on without us: memory goes, the kernel's entries and those of its policy stay, until
 * a later daemon's sensor_sweep. NULL is allowed. */
struct sensor_agent *sensor_agent_forget(struct sensor_agent *a);

/* Takes out what no agent's entry leads to: left by an earlier aegisd. To be called when all agents
 * were made. *ret_gone: how many entries went. */
int sensor_sweep(struct sensor *s, size_t *ret_gone) MUST_USE;
