/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the verbs of `aegis policy` that need no daemon share: a policy set, and a question. */
#pragma once

#include "tools/aegis/config_source.h"
#include "daemon/policy/policy.h"
#include "policy/cedar/cedar.h"

/* Options of verbs that make a set, to be listed first; policy_set_options of them. */
#define POLICY_SET_OPTIONS \
	{"policies", 0, "DIR", "Folder of policies (default: the configuration's policy.d)", \
		NULL}, \
		{"context", 0, "NAME", "Security context of the configuration", NULL}, \
		{"manifest", 0, "FILE", "Agent manifest: what it allows, under its context", \
			NULL}, \
	{ \
		"set", 0, "FILE", "A whole policy set, as `aegis policy show HASH` prints it", \
			NULL \
	}

/* Options of verbs that take a question. */
#define POLICY_QUESTION_OPTIONS \
	{"action", 0, "ACTION", \
		"\"tool:NAME\", \"fs:read\", \"fs:write\", \"exec\", \"net:connect\"", NULL}, \
		{"path", 0, "PATH", "Path that it is about", NULL}, \
		{"command", 0, "LINE", "Command, as the tool cmd.run takes it", NULL}, \
		{"domain", 0, "NAME", "Domain that it is about", NULL}, \
		{"address", 0, "IP:PORT", "Address and port of net:connect", NULL}, \
		{"agent", 0, "NAME", "Agent that asks", NULL}, \
	{ \
		"tenant", 0, "NAME", "Its tenant (local)", NULL \
	}

struct policy_source {
	struct arena *arena;
	struct config_source config;
	bool config_open;
	struct policy_snapshot *snapshot;
	struct rule_set *rules;
	const char *agent; /* of the manifest; NULL */
};

/* By the options above. CLI_OK, or an exit code after saying why. */
int policy_source_open(struct policy_source *s, const struct cli *c) MUST_USE;
/* The same with the three given; NULL where nothing is said. */
int policy_source_make(struct policy_source *s, const struct cli *c, const char *policies,
	const char *context, const char *manifest) MUST_USE;
void policy_source_close(struct policy_source *s);

/* args[0] is a file with a request as decision records keep it, or else the options make it. */
int policy_question(
	struct policy_source *s, const struct cli *c, struct decision_request *ret) MUST_USE;

/* A verb that answers such a question: opens the set, reads the question, and has it answered.
 * `fn` decides and prints; CLI_OK, or an exit code after saying why. CLI_DENIED for what is
 * denied. */
typedef int (*policy_answer_fn)(const struct cli *c, struct policy_source *s,
	const struct decision_request *q, struct decision *ret);
int policy_answer(const struct cli *c, policy_answer_fn fn) MUST_USE;

/* Puts `values` of a request into canonical form, as the layers that ask do;
 * -EINVAL if AEGIS has no such action. */
int policy_canonical(struct arena *a, struct decision_request *q) MUST_USE;

/* The folder's snapshot alone: findings on stderr. */
int policy_source_load(
	struct policy_source *s, const struct cli *c, const char *directory) MUST_USE;

/* CLI_NOT_FOUND, after naming the nearest context, or those that there are. */
int policy_no_context(const struct policy_snapshot *s, const char *name);

void policy_put_decision(
	struct json_writer *w, const struct decision *d); /* members of an open object */

/* Checks the types of the policies in a text. `text` must outlive the findings; -EINVAL: no Cedar.
 */
int policy_check_types(struct arena *a, const struct cedar_schema *schema, const char *file,
	struct span text, int level, struct cedar_validation *ret) MUST_USE;
void policy_put_finding(struct buf *b, const char *file, const struct cedar_finding *f);
