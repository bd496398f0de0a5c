/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Layer 4: the agents of a node. A manifest comes in, is checked, and becomes a version of an
 * agent; agents are paused, resumed and removed. Every change is an event in the store before it is
 * answered. A removed agent's name is free again; its record and its executions stay.
 */
#pragma once

#include "daemon/agent/agent.h"
#include "daemon/event/event.h"
#include "daemon/store/store.h"

/* active, paused, archived (removed), failed: names as stored and as upstream's clients know them.
 */
extern const struct state_table agent_states;
enum agent_state { AGENT_ACTIVE, AGENT_PAUSED, AGENT_ARCHIVED, AGENT_FAILED, AGENT_STATE_COUNT };

struct deploy {
	struct store *store;
	struct event_bus *bus;
};

enum deploy_outcome {
	DEPLOY_INVALID = 1, /* findings are in the report */
	DEPLOY_EXISTS = 2, /* that version is deployed already, with another manifest; see force */
	DEPLOY_NOT_FOUND = 3,
	DEPLOY_CONFLICT = 4, /* changed by somebody else meanwhile, or not allowed in this state */
};

enum deploy_done { DEPLOY_CREATED, DEPLOY_UPDATED, DEPLOY_UNCHANGED };

struct deploy_result {
	enum deploy_done done;
	struct uuid id;
	struct span name; /* in the arena, as the manifest below */
	struct span version;
	int64_t deployed_ns;
	const struct agent_manifest
		*manifest; /* a reference of the caller's: its notices and refusals */
};

/*
 * Deploys `text`, YAML or JSON. A name that is not there makes an agent; a version that is not
 * there is added to it and becomes the current one; the same version with the same content changes
 * nothing; with other content it is replaced if `force`. *ret_why (in the report's arena) says why
 * a positive outcome came.
 */
AWAITS int deploy_agent(const struct deploy *d, struct span tenant_id, struct span text,
	struct span scope, bool force, struct report *report, struct deploy_result *ret,
	struct span *ret_why, int64_t deadline_ns) MUST_USE;

/* The same for an agent that must exist, by id; the manifest must have its name. */
AWAITS int deploy_update(const struct deploy *d, struct uuid id, struct span text, bool force,
	struct report *report, struct deploy_result *ret, struct span *ret_why,
	int64_t deadline_ns) MUST_USE;

/* Pause, resume, remove; what it is already is 0 and no event. A paused agent keeps its running
 * executions and refuses new ones. */
AWAITS int deploy_set_state(const struct deploy *d, struct uuid id, enum agent_state to,
	struct arena *a, struct span *ret_why, int64_t deadline_ns) MUST_USE;

/* An agent by id or, if the text is none, by name. STORE outcomes: 0, DEPLOY_NOT_FOUND. */
AWAITS int deploy_find(const struct deploy *d, struct span tenant_id, struct span id_or_name,
	struct arena *a, struct store_agent *ret, int64_t deadline_ns) MUST_USE;
