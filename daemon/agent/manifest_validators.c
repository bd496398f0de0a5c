/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Both ways to write validators become one ordered list. The mapping has a fixed order: system,
 * output, script, semantic, so that cheap checks come first. Where no list is written, an
 * instruction alone asks for semantic validation (reference, task.instruction). Every timeout is
 * cut to what the whole execution may take.
 */
#include "daemon/agent/agent_internal.h"

enum { VALIDATORS_OF_MAPPING = 8 };

static const char *const validator_names[] = {
	[AGENT_VALIDATE_EXIT_CODE] = "exit_code",
	[AGENT_VALIDATE_STDERR] = "stderr",
	[AGENT_VALIDATE_FORMAT] = "format",
	[AGENT_VALIDATE_JSON_SCHEMA] = "json_schema",
	[AGENT_VALIDATE_REGEX] = "regex",
	[AGENT_VALIDATE_SCRIPT] = "script",
	[AGENT_VALIDATE_SEMANTIC] = "semantic",
	[AGENT_VALIDATE_MULTI_JUDGE] = "multi_judge",
};

const char *agent_validator_name(int type)
{
	CHECK(type >= 0 && (size_t)type < ARRAY_LEN(validator_names));
	return validator_names[type];
}

struct collector {
	struct agent_validator *items;
	size_t count;
	int64_t whole_ns;
};

static struct agent_validator *collect(struct collector *c, int type, const char *path)
{
	struct agent_validator *v = &c->items[c->count++];
	*v = (struct agent_validator){.type = type, .path = path, .min_score = 1};
	return v;
}

static int64_t cut(const struct collector *c, int64_t seconds)
{
	return MIN(seconds * NS_PER_S, c->whole_ns);
}

static void collect_output(struct collector *c, const struct written_output *o)
{
	if (o->format >= 0 && o->format != AGENT_OUTPUT_TEXT) {
		struct agent_validator *v = collect(
			c, AGENT_VALIDATE_FORMAT, "spec.execution.validation.output.format");
		v->format = o->format;
	}
	if (o->schema) {
		struct agent_validator *v = collect(
			c, AGENT_VALIDATE_JSON_SCHEMA, "spec.execution.validation.output.schema");
		v->schema = o->schema;
		v->format = o->format < 0 ? AGENT_OUTPUT_JSON : o->format;
	}
	if (o->regex)
		collect(c, AGENT_VALIDATE_REGEX, "spec.execution.validation.output.regex")
			->pattern = o->regex;
}

static void collect_semantic(struct collector *c, const struct written_semantic *s,
	const struct agent_task *task, bool implied)
{
	struct agent_validator *v =
		collect(c, AGENT_VALIDATE_SEMANTIC, "spec.execution.validation.semantic");
	v->model = s->model;
	v->prompt = s->prompt;
	v->min_score = 0;
	v->min_confidence = s->threshold;
	v->timeout_ns = cut(c, s->timeout_seconds);
	v->criteria = task->instruction;
	v->skip_if_unavailable = s->fallback == 1;
	v->implied = implied;
}

static void collect_mapping(
	struct collector *c, const struct written_validation *m, const struct agent_task *task)
{
	static const struct written_semantic by_default = {
		.enabled = true, .model = "default", .threshold = 0.8, .timeout_seconds = 30};
	if (m && m->system) {
		if (m->system->must_succeed)
			collect(c, AGENT_VALIDATE_EXIT_CODE, "spec.execution.validation.system")
				->timeout_ns = cut(c, m->system->timeout_seconds);
		if (!m->system->allow_stderr)
			collect(c, AGENT_VALIDATE_STDERR,
				"spec.execution.validation.system.allow_stderr");
	}
	if (m && m->output)
		collect_output(c, m->output);
	if (m && m->script) {
		struct agent_validator *v =
			collect(c, AGENT_VALIDATE_SCRIPT, "spec.execution.validation.script");
		v->script = m->script->path;
		v->timeout_ns = cut(c, m->script->timeout_seconds);
	}
	const struct written_semantic *s = m && m->semantic ? m->semantic : &by_default;
	if (s->enabled && task->instruction)
		collect_semantic(c, s, task, s == &by_default);
}

static int collect_written(
	struct arena *a, struct collector *c, const struct written_validator *w, const char *path)
{
	static const int types[] = {
		[WRITTEN_EXIT_CODE] = AGENT_VALIDATE_EXIT_CODE,
		[WRITTEN_JSON_SCHEMA] = AGENT_VALIDATE_JSON_SCHEMA,
		[WRITTEN_REGEX] = AGENT_VALIDATE_REGEX,
		[WRITTEN_SEMANTIC] = AGENT_VALIDATE_SEMANTIC,
		[WRITTEN_MULTI_JUDGE] = AGENT_VALIDATE_MULTI_JUDGE,
	};
	const char *kept = arena_printf(a, "%s[%zu]", path, c->count);
	if (!kept)
		return err_raise(-ENOMEM, "no memory for a manifest");
	struct agent_validator *v = collect(c, types[w->type], kept);
	v->min_score = w->min_score;
	v->min_confidence = w->min_confidence;
	bool judged = w->type == WRITTEN_SEMANTIC || w->type == WRITTEN_MULTI_JUDGE;
	v->timeout_ns = judged ? cut(c, w->timeout_seconds) : 0;
	v->expected = w->expected;
	v->format = AGENT_OUTPUT_JSON;
	v->schema = w->schema;
	v->pattern = w->pattern;
	v->on_stderr = w->target == 1;
	v->judge_agent = w->judge_agent;
	v->criteria = w->criteria;
	v->judges = w->judges;
	v->consensus = MAX(w->consensus, 0);
	v->min_judges = w->min_judges;
	return 0;
}

static int collect_list(struct arena *a, struct collector *c, const struct written_validator *w,
	size_t count, const char *path)
{
	c->items = arena_make_array(a, struct agent_validator, count + 1);
	if (!c->items)
		return err_raise(-ENOMEM, "no memory for a manifest");
	for (size_t i = 0; i < count; i++) {
		int r = collect_written(a, c, &w[i], path);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

int agent_collect_validators(
	struct arena *a, const struct written_spec *written, struct agent_spec *spec)
{
	const struct written_execution *w = &written->execution;
	struct collector c = {.whole_ns = spec->security.resources.timeout_ns};
	int r;
	if (w->validators.items) {
		r = collect_list(a, &c, w->validators.items, w->validators.count,
			"spec.execution.validation");
		if (r < 0)
			return err_trace(r);
	} else {
		c.items = arena_make_array(a, struct agent_validator, VALIDATORS_OF_MAPPING);
		if (!c.items)
			return err_raise(-ENOMEM, "no memory for a manifest");
		collect_mapping(&c, w->validation, &spec->task);
	}
	spec->execution.validators.items = c.items;
	spec->execution.validators.count = c.count;

	struct collector tools = {.whole_ns = c.whole_ns};
	r = collect_list(a, &tools, w->tool_validators.items, w->tool_validators.count,
		"spec.execution.tool_validation");
	spec->execution.tool_validators.items = tools.items;
	spec->execution.tool_validators.count = tools.count;
	return r < 0 ? err_trace(r) : 0;
}
