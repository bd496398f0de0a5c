/* SPDX-License-Identifier: AGPL-3.0-only */
/* Inside of policy/context: the builder's text, and what a sealed set consists of. */
#pragma once

#include "policy/cedar/host.h"
#include "policy/context/context.h"

/* ---- making a set's text ---- */

struct rule_set_builder {
	struct rule_set *base; /* the set that was added first, a reference; or NULL */
	struct buf text; /* of the policies behind it */
	size_t count; /* of all policies */
};

/* A policy's annotations; its head and conditions are the caller's to write behind them. */
struct rule_head {
	struct rule_origin origin;
	const char
		*suffix; /* behind the field, for one of several policies of a field; may be NULL */
	enum decision_code code; /* DECISION_OK: none is given */
	struct span accepts; /* empty: none */
};
int rule_begin(struct rule_set_builder *b, const struct rule_head *head) MUST_USE;

/* Action::"tool:fs.read", or the group that a pattern stands for. */
int tool_pattern_check(const char *pattern, struct rule_origin o) MUST_USE;
void put_tool_action(struct buf *b, struct span pattern);
bool tool_pattern_covers(struct span pattern, struct span other); /* all that `other` matches */
/* A name like ours that no tool has: a deny of "fs.delte" would deny nothing. */
bool tool_pattern_is_vain(struct span pattern);
int tool_unknown(struct span name, const char *where) MUST_USE; /* raises -EINVAL */

/* `subject in [...]`, as a parenthesis. Entries have been checked: see context_path_entry(). */
void put_paths(struct buf *b, const char *subject, const struct rule_strings *canonical);
void put_domains(struct buf *b, const char *subject, const struct rule_strings *canonical);

/* One spelling of an entry of a list; -EINVAL with the field in front. */
int context_path_entry(
	const char *entry, struct rule_origin o, struct arena *a, const char **ret) MUST_USE;
int context_domain_entry(
	const char *entry, struct rule_origin o, struct arena *a, const char **ret) MUST_USE;

/* Condition on context.command: this program with these first arguments. */
int put_command(struct buf *b, const struct rule_command *c, struct rule_origin o) MUST_USE;

/* "a, b, c", cut off where it gets long. */
void put_list(struct buf *b, const struct rule_strings *list);

/* ---- a sealed set ---- */

struct policy_info {
	const struct cedar_policy *policy;
	struct span id;
	struct span file;
	int line;
	bool forbids;
	enum decision_code code; /* DECISION_OK: not given */
	struct span accepts;
	uint32_t calls; /* a rate limit, if not 0 */
	int64_t window_ms;
	uint64_t max_response_bytes; /* 0: none */
	size_t bucket; /* of a rate limit: which one of a rate_state is its */
};

/* Entities that requests name. */
enum entity_type {
	TYPE_ACTION,
	TYPE_ADDRESS,
	TYPE_AGENT,
	TYPE_DOMAIN,
	TYPE_EXECUTION,
	TYPE_PATH,
	TYPE_SYSCALL,
	TYPE_TENANT,
	TYPE_TOOL,
	TYPE_VOLUME,
	ENTITY_TYPES,
};

/*
 * The node's policies are compiled once: a set may stand on another, its base, whose policies come
 * before its own. What is about policies one by one is kept for its own alone; the functions below
 * see both layers as one set. A base has none itself.
 */
struct rule_set {
	int refs; /* atomic */
	uint64_t generation;
	struct arena *arena;
	struct rule_set *base; /* a reference; NULL: none */
	size_t first; /* policies of the base */
	struct span text;
	void *hashing; /* libsodium's state behind the text; NULL if it has a base */
	struct span hash; /* of the whole text */
	struct policy_info *infos; /* in order of the text */
	size_t count;
	size_t bucket_count; /* of both layers */
	const struct cedar_set *verdicts; /* what permits and forbids */
	const struct cedar_set *limits; /* forbids of what exceeds a rate or a size */
	const struct cedar_uid *const *names; /* that stand in policies, in order of their hashes */
	size_t name_count;
	struct {
		struct cedar_type_name of;
		bool named; /* one of this type is among the names of a layer */
	} types[ENTITY_TYPES];
	size_t folder_bytes_max; /* of the longest Path among the names of both layers */
	const struct cedar_uid **patterns; /* those of type PathPattern that the base does not name
					    */
	size_t pattern_count;
};

/* The base first. */
#define set_for_each_layer(l, s) \
	for (const struct rule_set *l = (s)->base ? (s)->base : (s); l; l = l == (s) ? NULL : (s))

int set_make(struct rule_set *base, struct span text, struct rule_set **ret) MUST_USE;

/* What permits and forbids, or the limits: in order of the text. */
enum set_half { SET_VERDICTS, SET_LIMITS };
size_t set_half_count(const struct rule_set *s, enum set_half half);
const struct cedar_policy *set_half_at(const struct rule_set *s, enum set_half half, size_t index);

/* By the name that cedar_policies_parse() gave it: "policy12". */
const struct policy_info *set_info(const struct rule_set *s, struct span cedar_id);
const struct policy_info *set_info_at(const struct rule_set *s, size_t index);
bool set_names(const struct rule_set *s, const struct cedar_uid *uid);

bool glob_is_plain(struct span glob);
/* Plain: the folder and everything below it. Otherwise the glob. */
bool path_rule_match(struct span pattern, struct span path);
bool program_is_shell(struct span program); /* by base name */

/* ---- a request in Cedar's words ---- */

enum action_kind { ACTION_TOOL, ACTION_FILE, ACTION_EXEC, ACTION_NET, ACTION_SYS, ACTION_UNKNOWN };
enum action_kind action_kind(struct span action);

struct question {
	struct cedar_request request;
	const struct cedar_entities *entities;
	struct span path; /* the one that this question is about; empty if none */
};

/* cedar_authorize() of both layers as one set. */
int set_authorize(struct arena *a, const struct rule_set *s, enum set_half half,
	const struct question *q, struct cedar_answer *ret) MUST_USE;

/* The question about path `index` of the request. */
int question_make(struct arena *a, const struct rule_set *s, const struct decision_request *q,
	size_t index, struct question *ret) MUST_USE;

/* Fills in code and reason of a denial; *ret names the policies of the answer already. */
int deny_explain(struct arena *a, const struct rule_set *s, const struct decision_request *q,
	const struct question *question, const struct cedar_answer *answer,
	struct decision *ret) MUST_USE;

/* The limits that apply to an allowed request; takes tokens unless `rate` is NULL. */
int limits_apply(struct rate_state *rate, const struct rule_set *s,
	const struct decision_request *q, int64_t now_ns, struct arena *a,
	struct decision *ret) MUST_USE;
