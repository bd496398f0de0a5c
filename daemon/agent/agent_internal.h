/* SPDX-License-Identifier: AGPL-3.0-only */
/* The manifest as it is written, before both forms of validators and deliveries become one. */
#pragma once

#include "daemon/agent/agent.h"
#include <errno.h>
#include <stdlib.h>

/* Shorthands of the tables; every file of tables uses the same. */
#define AT(type, member) .offset = offsetof(struct type, member)
#define BIT(n) (UINT64_C(1) << (n))
#define STRINGS .type = TABLE_LIST, .item = &agent_some_string, .item_bytes = sizeof(const char *)
#define STRING_MAP .type = TABLE_MAP, .item = &agent_any_string, .item_bytes = sizeof(const char *)
extern const struct table_field agent_any_string, agent_some_string;

struct written_system {
	bool must_succeed, allow_stderr;
	int64_t timeout_seconds;
};
struct written_output {
	int format; /* enum agent_output_format, -1 if absent */
	const struct json *schema;
	const char *regex;
};
struct written_script {
	const char *path, *description;
	int64_t timeout_seconds;
};
struct written_semantic {
	bool enabled;
	const char *model, *prompt;
	double threshold;
	int64_t timeout_seconds;
	int fallback; /* 0 fail, 1 skip */
};
struct written_validation {
	struct written_system *system;
	struct written_output *output;
	struct written_script *script;
	struct written_semantic *semantic;
};

enum written_validator_type {
	WRITTEN_EXIT_CODE,
	WRITTEN_JSON_SCHEMA,
	WRITTEN_REGEX,
	WRITTEN_SEMANTIC,
	WRITTEN_MULTI_JUDGE,
};
struct written_validator {
	int type; /* enum written_validator_type */
	int64_t expected;
	const struct json *schema;
	const char *pattern;
	int target; /* 0 stdout, 1 stderr */
	const char *judge_agent;
	agent_strings judges;
	int consensus; /* enum agent_consensus */
	int64_t min_judges;
	const char *criteria;
	double min_score, min_confidence;
	int64_t timeout_seconds;
};

struct written_deliveries {
	TABLE_LIST_OF(struct agent_delivery) destinations;
};

struct written_execution {
	int mode; /* enum agent_mode */
	int64_t max_iterations;
	int64_t iteration_timeout_ns;
	int64_t llm_timeout_seconds;
	bool memory, background;
	struct written_validation *validation; /* the mapping form */
	TABLE_LIST_OF(struct written_validator) validators; /* the list form */
	TABLE_LIST_OF(struct written_validator) tool_validators;
	struct written_deliveries *delivery; /* upstream's code reads it here */
};

struct written_spec {
	struct agent_spec spec; /* all but execution and delivery */
	struct written_execution execution;
	struct written_deliveries *delivery; /* as a mapping; as a list it is in spec */
};

struct written_manifest {
	int api_version, kind; /* one word each */
	struct agent_metadata metadata;
	struct written_spec spec;
};

extern const struct table agent_manifest_table; /* struct written_manifest */
extern const struct table agent_cmd_table; /* struct agent_cmd_policy */
extern const struct table agent_fs_table; /* struct agent_fs_policy */
extern const struct table agent_volume_table, agent_execution_table, agent_tool_table;
extern const struct table agent_context_table, agent_schedule_table, agent_advanced_table;
extern const struct table agent_destination_table, agent_deliveries_table;
extern const struct table agent_output_handler_table;

/* What the tables cannot say (manifest_check.c). */
void agent_check_runtime(struct table_run *run, const struct doc *d, void *object);
void agent_check_volume(struct table_run *run, const struct doc *d, void *object);
void agent_check_validator(struct table_run *run, const struct doc *d, void *object);
void agent_check_output(struct table_run *run, const struct doc *d, void *object);
void agent_check_tool(struct table_run *run, const struct doc *d, void *object);
void agent_check_lease(struct table_run *run, const struct doc *d, void *object);
void agent_check_network(struct table_run *run, const struct doc *d, void *object);
void agent_check_spec(struct table_run *run, const struct doc *d, void *object);

/* Both forms of validators into m->spec.execution (manifest_validators.c). 0, -ENOMEM. */
int agent_collect_validators(
	struct arena *a, const struct written_spec *written, struct agent_spec *spec) MUST_USE;

/* An error at the place of `path`, with the message of the call that failed; clears that. */
void agent_finding(struct report *report, const struct agent_manifest *m, const char *path,
	const char *message);
/* What would keep every run from its start: a rule that cannot be made (rules.c), a prompt that is
 * no template (manifest_check.c). 0; DOC_BAD with an error in the report; -ENOMEM. */
int agent_check_rules(struct report *report, const struct agent_manifest *m) MUST_USE;
int agent_check_prompt(struct report *report, const struct agent_manifest *m) MUST_USE;

/* Notices and refusals of [10] (manifest_effects.c). 0, -ENOMEM. */
int agent_collect_effects(struct arena *a, struct agent_manifest *m) MUST_USE;
