/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Agent manifests: what every field becomes, both forms of validators, what has no effect yet, and
 * the refusals that people will see most, word by word.
 */
#include "tests/tap.h"
#include <stdio.h>
#include "tests/unit/mutate.h"
#include "daemon/agent/agent.h"
#include "daemon/agent/agent_internal.h"

struct parsed {
	struct arena *arena;
	struct report report;
	const struct agent_manifest *manifest;
	int result;
	struct buf text;
};

static struct parsed parse(struct span text)
{
	struct parsed p = {.arena = arena_new(16 << 20), .text = buf_init(1 << 20)};
	assert_int_equal(report_init(&p.report, p.arena, "a"), 0);
	p.result = agent_manifest_parse(&p.report, text, &p.manifest);
	report_text(&p.report, &p.text);
	return p;
}

static void parsed_fini(struct parsed *p)
{
	agent_manifest_unref(p->manifest);
	buf_fini(&p->text);
	arena_free(p->arena);
}

static const char *report_of(struct parsed *p)
{
	return p->text.len ? buf_cstr(&p->text) : "";
}

#define HEAD \
	"apiVersion: 100monkeys.ai/v1\nkind: Agent\nmetadata: {name: a, version: 1.0.0}\nspec:\n"
#define RUNTIME "  runtime: {language: python, version: \"3.11\"}\n"

/* The spec of an otherwise good manifest, from line 6 on. */
static struct parsed parse_spec(const char *spec)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 16);
	buf_puts(&b, HEAD RUNTIME);
	buf_puts(&b, spec);
	return parse(buf_view(&b));
}

static void tables_are_sound(void **state)
{
	const struct table *const tables[] = {
		&agent_manifest_table, &agent_cmd_table, &agent_fs_table};
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		int r = table_selfcheck(tables[i]);
		if (r)
			print_message("# %s\n", err_message(r));
		assert_int_equal(r, 0);
	}
}

static void the_least_manifest_has_defaults(void **state)
{
	struct parsed p = parse_spec("");
	assert_string_equal(report_of(&p), "");
	assert_int_equal(p.result, 0);
	const struct agent_spec *s = &p.manifest->spec;
	assert_string_equal(p.manifest->metadata.name, "a");
	assert_int_equal(s->runtime.isolation, AGENT_ISOLATION_INHERIT);
	assert_string_equal(s->runtime.model, "default");
	assert_true(s->runtime.temperature < 0);
	assert_int_equal(s->execution.mode, AGENT_ONE_SHOT);
	assert_int_equal(s->execution.max_iterations, 1);
	assert_int_equal(s->execution.iteration_timeout_ns, 300 * NS_PER_S);
	assert_int_equal(s->execution.llm_timeout_ns, 300 * NS_PER_S);
	assert_int_equal(s->execution.validators.count, 0);
	assert_int_equal(s->security.network.mode, AGENT_NETWORK_ALLOW);
	assert_int_equal(s->security.network.allowlist.count, 0);
	assert_int_equal(s->security.resources.cpu_millicores, 1000);
	assert_int_equal(s->security.resources.memory_bytes, 512 << 20);
	assert_int_equal(s->security.resources.disk_bytes, 1 << 30);
	assert_int_equal(s->security.resources.timeout_ns, 3600 * NS_PER_S);
	assert_null(s->schedule);
	assert_null(s->advanced);
	assert_int_equal(p.manifest->notice_count, 0);
	assert_int_equal(p.manifest->refusal_count, 0);
	parsed_fini(&p);
}

static void every_field_arrives(void **state)
{
	struct parsed p = parse(SPAN(
		"apiVersion: 100monkeys.ai/v1\n"
		"kind: Agent\n"
		"metadata:\n"
		"  name: full-agent\n"
		"  version: 2.1.0-rc.1+b5\n"
		"  description: d\n"
		"  labels: {role: worker, n: \"1\"}\n"
		"  annotations: {maintainer: m}\n"
		"spec:\n"
		"  runtime: {image: ghcr.io/o/a:v1, image_pull_policy: Never, isolation: process,\n"
		"    model: smart, temperature: 0.5}\n"
		"  task:\n"
		"    agentskills: [\"code-review:python\"]\n"
		"    instruction: do it\n"
		"    prompt_template: \"{{instruction}}\"\n"
		"    input_data: {x: 1}\n"
		"  security:\n"
		"    network: {mode: none}\n"
		"    filesystem: {read: [/workspace, \"/config/*.yaml\"], write: [/workspace],\n"
		"      read_only: true}\n"
		"    resources: {cpu: 500, memory: 1Gi, disk: 5Gi, timeout: 10m}\n"
		"  volumes:\n"
		"    - {name: w, storage_class: ephemeral, mount_path: /workspace,\n"
		"       access_mode: read-write, ttl_hours: 1, size_limit: 500Mi}\n"
		"    - {name: d, type: seal, config: {}, storage_class: persistent,\n"
		"       mount_path: /workspace/d, access_mode: read-only}\n"
		"    - {name: e, storage_class: persistent, mount_path: /workspace/e,\n"
		"       access_mode: read-only, source: {volume_id: \"{{input.v}}\"}}\n"
		"  execution: {mode: iterative, max_iterations: 7, iteration_timeout: 60s,\n"
		"    llm_timeout_seconds: 45, memory: true, background: true, validation: []}\n"
		"  context:\n"
		"    - {type: text, content: c, description: d}\n"
		"    - {type: url, url: \"https://x.test/\"}\n"
		"  schedule: {type: cron, cron: \"0 * * * *\", timezone: Europe/Berlin}\n"
		"  delivery:\n"
		"    destinations:\n"
		"      - {name: n, condition: always, type: webhook, webhook: {url: "
		"\"https://x.test\"},\n"
		"         transform: {script: /s, args: [a]}}\n"
		"  tools:\n"
		"    - fs.read\n"
		"    - {name: sh, executor: \"builtin:cmd\", config: {subcommand_allowlist: {git: "
		"[add],\n"
		"       ls: []}, timeout_ceiling_secs: 120, allow_shell: true}}\n"
		"    - {name: f, server: \"mcp:filesystem\", config: {access_mode: read-write}}\n"
		"  env: {A_B: c, K: secret:k}\n"
		"  advanced: {bootstrap_path: /b, warm_pool_size: 2, swarm_enabled: true,\n"
		"    startup_script: /s, health_check: {path: /h, interval_seconds: 1, "
		"timeout_seconds: "
		"2}}\n"
		"  input_schema: {type: object}\n"
		"  security_context: aegis-system-x\n"
		"  output_handler: {type: webhook, url: \"https://x.test\", required: true}\n"
		"  execution_targets: [gpu]\n"
		"  require: {network: prevent}\n"));
	assert_string_equal(report_of(&p), "");
	assert_int_equal(p.result, 0);
	const struct agent_spec *s = &p.manifest->spec;
	assert_string_equal(p.manifest->metadata.labels.keys[1], "n");
	assert_string_equal(s->runtime.image, "ghcr.io/o/a:v1");
	assert_int_equal(s->runtime.image_pull_policy, AGENT_PULL_NEVER);
	assert_int_equal(s->runtime.isolation, AGENT_ISOLATION_PROCESS);
	assert_true(s->runtime.temperature == 0.5);
	assert_string_equal(s->task.agentskills.items[0], "code-review:python");
	assert_int_equal(json_i64(s->task.input_data, "x", 0), 1);
	assert_int_equal(s->security.network.mode, AGENT_NETWORK_NONE);
	assert_string_equal(s->security.filesystem.read.items[1], "/config/*.yaml");
	assert_true(s->security.filesystem.read_only);
	assert_int_equal(s->security.resources.timeout_ns, 600 * NS_PER_S);
	assert_int_equal(s->volumes.count, 3);
	assert_int_equal(s->volumes.items[0].size_limit_bytes, 500 << 20);
	assert_int_equal(s->volumes.items[1].type, AGENT_VOLUME_SMCP);
	assert_string_equal(s->volumes.items[2].source_volume_id, "{{input.v}}");
	assert_int_equal(s->execution.max_iterations, 7);
	assert_int_equal(s->execution.iteration_timeout_ns, 60 * NS_PER_S);
	assert_int_equal(s->execution.llm_timeout_ns, 45 * NS_PER_S);
	assert_true(s->execution.memory && s->execution.background);
	/* an empty list is a list: nothing is implied */
	assert_int_equal(s->execution.validators.count, 0);
	assert_string_equal(s->context.items[1].url, "https://x.test/");
	assert_string_equal(s->schedule->timezone, "Europe/Berlin");
	assert_true(s->schedule->enabled);
	assert_int_equal(s->delivery.count, 1);
	assert_string_equal(s->delivery.items[0].webhook->method, "POST");
	assert_string_equal(s->delivery.items[0].transform->args.items[0], "a");
	assert_int_equal(s->tools.count, 3);
	assert_int_equal(s->tools.items[1].cmd->subcommand_allowlist.count, 2);
	assert_string_equal(s->tools.items[1].cmd->subcommand_allowlist.values[0].items[0], "add");
	assert_int_equal(s->tools.items[1].cmd->timeout_ceiling_s, 120);
	assert_int_equal(s->tools.items[1].cmd->max_output_bytes, 524288);
	assert_true(s->tools.items[1].cmd->allow_shell);
	assert_int_equal(s->tools.items[2].fs->access_mode, AGENT_READ_WRITE);
	assert_string_equal(s->tools.items[2].fs->allowed_paths.items[0], "/workspace");
	assert_string_equal(s->env.values[1], "secret:k");
	assert_int_equal(s->advanced->health_check->timeout_seconds, 2);
	assert_true(s->output_handler->required);
	assert_string_equal(s->execution_targets.items[0], "gpu");
	assert_int_equal(s->require.values[0], AGENT_REQUIRE_PREVENT);
	assert_int_equal(agent_manifest_line(p.manifest, "spec.tools[1]"), 41);
	assert_int_equal(agent_manifest_line(p.manifest, "spec.tools[9]"), 0);
	assert_true(json_get(json_get(p.manifest->json, "spec"), "tools")->count == 3);
	parsed_fini(&p);
}

static void mapping_of_validators_becomes_a_list(void **state)
{
	struct parsed p =
		parse_spec("  task: {instruction: be good}\n"
			   "  security: {resources: {timeout: 60s}}\n"
			   "  execution:\n"
			   "    mode: iterative\n"
			   "    validation:\n"
			   "      semantic: {threshold: 0.9, fallback_on_unavailable: skip}\n"
			   "      script: {path: /check}\n"
			   "      output: {format: json, schema: {type: object}, regex: x}\n"
			   "      system: {}\n");
	assert_string_equal(report_of(&p), "");
	const struct agent_execution *e = &p.manifest->spec.execution;
	static const int want[] = {AGENT_VALIDATE_EXIT_CODE, AGENT_VALIDATE_STDERR,
		AGENT_VALIDATE_FORMAT, AGENT_VALIDATE_JSON_SCHEMA, AGENT_VALIDATE_REGEX,
		AGENT_VALIDATE_SCRIPT, AGENT_VALIDATE_SEMANTIC};
	assert_int_equal(e->validators.count, ARRAY_LEN(want));
	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		assert_int_equal(e->validators.items[i].type, want[i]);
	/* 90 s by default, cut to the whole */
	assert_int_equal(e->validators.items[0].timeout_ns, 60 * NS_PER_S);
	assert_int_equal(e->iteration_timeout_ns, 60 * NS_PER_S);
	const struct agent_validator *semantic = &e->validators.items[6];
	assert_string_equal(semantic->criteria, "be good");
	assert_true(semantic->min_confidence == 0.9 && semantic->skip_if_unavailable);
	assert_false(semantic->implied);
	assert_null(semantic->judge_agent);
	parsed_fini(&p);

	p = parse_spec(
		"  execution: {validation: {system: {must_succeed: false, allow_stderr: true}, "
		"output: {format: text}}}\n");
	assert_int_equal(p.manifest->spec.execution.validators.count, 0);
	parsed_fini(&p);
}

static void an_instruction_implies_a_judge(void **state)
{
	struct parsed p = parse_spec("  task: {instruction: x}\n");
	assert_int_equal(p.manifest->spec.execution.validators.count, 1);
	assert_true(p.manifest->spec.execution.validators.items[0].implied);
	assert_true(p.manifest->spec.execution.validators.items[0].min_confidence == 0.8);
	parsed_fini(&p);
	p = parse_spec("  task: {instruction: x}\n"
		       "  execution: {validation: {semantic: {enabled: false}}}\n");
	assert_int_equal(p.manifest->spec.execution.validators.count, 0);
	parsed_fini(&p);
	p = parse_spec("  task: {instruction: x}\n"
		       "  execution: {validation: [{type: exit_code}]}\n");
	assert_int_equal(p.manifest->spec.execution.validators.count, 1);
	assert_int_equal(
		p.manifest->spec.execution.validators.items[0].type, AGENT_VALIDATE_EXIT_CODE);
	parsed_fini(&p);
}

static void list_of_validators_keeps_its_order(void **state)
{
	struct parsed p = parse_spec(
		"  security: {resources: {timeout: 100s}}\n"
		"  execution:\n"
		"    validation:\n"
		"      - {type: regex, pattern: a+, target: stderr, min_score: 0.5}\n"
		"      - {type: exit_code, expected: 3}\n"
		"      - {type: json_schema, schema: true}\n"
		"      - {type: semantic, judge_agent: j, criteria: c, min_confidence: 0.25}\n"
		"      - {type: multi_judge, judges: [j, k], criteria: c, consensus: unanimous,\n"
		"         min_judges_required: 2, timeout_seconds: 500}\n"
		"    tool_validation:\n"
		"      - {type: semantic, judge_agent: t, criteria: c}\n");
	assert_string_equal(report_of(&p),
		"a:14:34: warning: spec.execution.validation[4].timeout_seconds: longer than "
		"security.resources.timeout (100 s), which ends it\n");
	const struct agent_execution *e = &p.manifest->spec.execution;
	assert_int_equal(e->validators.count, 5);
	const struct agent_validator *v = e->validators.items;
	assert_true(v[0].on_stderr && v[0].min_score == 0.5 && v[0].timeout_ns == 0);
	assert_int_equal(v[1].expected, 3);
	assert_true(v[1].min_score == 1);
	assert_int_equal(v[2].schema->type, JSON_BOOL);
	assert_true(v[3].min_score == 0.7 && v[3].min_confidence == 0.25);
	assert_int_equal(v[3].timeout_ns, 100 * NS_PER_S);
	assert_string_equal(v[3].path, "spec.execution.validation[3]");
	assert_int_equal(v[4].judges.count, 2);
	assert_int_equal(v[4].consensus, AGENT_CONSENSUS_UNANIMOUS);
	assert_int_equal(v[4].min_judges, 2);
	assert_int_equal(e->tool_validators.count, 1);
	assert_string_equal(e->tool_validators.items[0].path, "spec.execution.tool_validation[0]");
	parsed_fini(&p);
}

static void old_names_are_taken(void **state)
{
	struct parsed p = parse_spec("  execution: {mode: iterative, max_retries: 3}\n");
	assert_string_equal(report_of(&p),
		"a:6:32: warning: spec.execution.max_retries: another name for \"max_iterations\"; "
		"write that\n");
	assert_int_equal(p.manifest->spec.execution.max_iterations, 3);
	parsed_fini(&p);
}

static void expect_lists(const char *spec, const char *notices, const char *refusals)
{
	struct parsed p = parse_spec(spec);
	assert_int_equal(p.result, 0);
	struct buf n CLEANUP(buf_fini) = buf_init(1 << 16);
	struct buf r CLEANUP(buf_fini) = buf_init(1 << 16);
	for (size_t i = 0; i < p.manifest->notice_count; i++)
		buf_printf(&n, "%s:%d ", p.manifest->notices[i].path, p.manifest->notices[i].line);
	for (size_t i = 0; i < p.manifest->refusal_count; i++)
		buf_printf(
			&r, "%s:%d ", p.manifest->refusals[i].path, p.manifest->refusals[i].line);
	assert_string_equal(buf_cstr(&n), notices);
	assert_string_equal(buf_cstr(&r), refusals);
	parsed_fini(&p);
}

/* decisions, [10] */
static void what_has_no_effect_is_listed(void **state)
{
	expect_lists("  tools: [fs.read, \"fs.*\", cmd.run, \"mcp:filesystem\"]\n", "", "");
	expect_lists("  tools: [fs.read, web.search, {name: s, server: \"mcp:gmail\"}]\n", "",
		"spec.tools[1]:6 ");
	expect_lists(
		"  tools: [{name: s, server: \"mcp:gmail\", config: {allowed_domains: [x]}}]\n", "",
		"spec.tools[0].config:6 ");
	expect_lists(
		"  execution: {tool_validation: [{type: semantic, judge_agent: j, criteria: c}]}\n",
		"", "spec.execution.tool_validation:6 ");
	expect_lists("  execution: {tool_validation: []}\n", "", "");
	expect_lists("  security: {network: {allowlist: [x.test]}}\n", "", "");
	expect_lists("  security: {network: {mode: allow, allowlist: []}}\n", "", "");
	expect_lists("  security: {network: {mode: deny, denylist: [x.test]}}\n", "", "");
	expect_lists(
		"  volumes:\n"
		"    - {name: h, type: hostPath, config: {path: /h}, storage_class: ephemeral,\n"
		"       mount_path: /workspace, access_mode: read-only, ttl_hours: 1}\n",
		"", "spec.volumes[0].type:7 ");
	expect_lists("  volumes:\n"
		     "    - {name: d, storage_class: ephemeral, mount_path: /workspace/d,\n"
		     "       access_mode: read-only, ttl_hours: 1, size_limit: 1Mi}\n",
		"", "");
	expect_lists("  volumes:\n"
		     "    - {name: d, storage_class: persistent, mount_path: /workspace/d,\n"
		     "       access_mode: read-write, source: {volume_id: \"{{input.v}}\"},\n"
		     "       size_limit: 1Mi}\n",
		"spec.volumes[0].size_limit:9 ", "");
	expect_lists("  execution: {memory: true, validation: [{type: semantic, judge_agent: j, "
		     "criteria: c}]}\n",
		"spec.execution.memory:6 spec.execution.validation[0].type:6 ", "");
	expect_lists("  env: {A: b, K: secret:k, C: config:c}\n", "", "spec.env.K:6 spec.env.C:6 ");
	expect_lists("  require: {sandbox.landlock: prevent}\n  security_context: c\n", "", "");
	expect_lists("  schedule: {type: manual}\n  advanced: {warm_pool_size: 0, swarm_enabled: "
		     "true}\n",
		"spec.schedule:6 spec.advanced.swarm_enabled:7 ", "");
}

static void isolation_decides_by_its_value(void **state)
{
	static const struct {
		const char *word;
		size_t refusals;
	} cases[] = {{"inherit", 0}, {"process", 0}, {"docker", 1}, {"firecracker", 1}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b CLEANUP(buf_fini) = buf_init(1 << 12);
		buf_printf(&b, HEAD "  runtime: {language: go, version: \"1.21\", isolation: %s}\n",
			cases[i].word);
		struct parsed p = parse(buf_view(&b));
		assert_int_equal(p.result, 0);
		assert_int_equal(p.manifest->refusal_count, cases[i].refusals);
		parsed_fini(&p);
	}
}

static void refusals(void **state)
{
	static const struct {
		const char *spec, *want;
	} cases[] = {
		{"  execution: {max_iterations: 25}\n",
			"a:6:31: spec.execution.max_iterations: 25 is out of range; accepted: 1 to "
			"20\n"},
		{"  exection: {}\n",
			"a:6:3: spec.exection: unknown field; did you mean "
			"\"execution\"?\n"},
		{"  resources: {memory: 1Gi}\n",
			"a:6:3: spec.resources: unknown field; write spec.security.resources "
			"instead\n"},
		{"  security: {resources: {timeout: 2h}}\n",
			"a:6:35: spec.security.resources.timeout: 2h is out of range; accepted: 1s "
			"to 3600s\n"},
		{"  security: {resources: {timeout: 60s}}\n"
		 "  execution: {validation: {system: {timeout_seconds: 90}}}\n",
			"a:7:37: spec.execution.validation.system.timeout_seconds: longer than the "
			"whole execution may take; accepted: at most security.resources.timeout "
			"(60 s)\n"},
		{"  execution: {validation: {output: {format: xml}}}\n",
			"a:6:45: spec.execution.validation.output.format: \"xml\" is not accepted; "
			"accepted: json, yaml, text, csv, pdf; did you mean \"yaml\"?\n"},
		{"  execution: {validation: {output: {regex: \"(\"}}}\n",
			"a:6:37: spec.execution.validation.output.regex: the pattern \"(\" does "
			"not "
			"compile: missing closing parenthesis (at offset 1)\n"},
		{"  execution: {validation: [{type: json_schema, schema: {type: objekt}}]}\n",
			"a:6:48: spec.execution.validation[0].schema: this is no usable JSON "
			"Schema: /type: wanted null, boolean, object, array, number, string, "
			"integer, or a list of them, found string\n"},
		{"  execution: {validation: [{type: exit_code, pattern: x}]}\n",
			"a:6:46: spec.execution.validation[0].pattern: belongs to type: regex; "
			"this "
			"one is type: exit_code\n"},
		{"  execution: {validation: [{type: semantic, criteria: x}]}\n",
			"a:6:28: spec.execution.validation[0]: the field \"judge_agent\" is "
			"required: Name of a deployed agent.\n"},
		{"  execution: {validation: yes}\n",
			"a:6:27: spec.execution.validation: wanted a mapping or a list, found the "
			"string \"yes\"\n"},
		{"  volumes: [{name: v, storage_class: ephemeral, mount_path: /data, access_mode: "
		 "read-write, ttl_hours: 1}]\n",
			"a:6:61: spec.volumes[0].mount_path: \"/data\" is not accepted; accepted: "
			"/workspace or a path below it, without \"..\"\n"},
		{"  volumes: [{name: v, storage_class: ephemeral, mount_path: /workspace/../etc, "
		 "access_mode: read-write, ttl_hours: 1}]\n",
			"a:6:61: spec.volumes[0].mount_path: \"/workspace/../etc\" is not "
			"accepted; "
			"accepted: /workspace or a path below it, without \"..\"\n"},
		{"  volumes: [{name: v, storage_class: ephemeral, mount_path: /workspace, "
		 "access_mode: read-write}]\n",
			"a:6:13: spec.volumes[0]: an ephemeral volume needs \"ttl_hours\", the "
			"hours until it is deleted\n"},
		{"  volumes: [{name: v, storage_class: persistent, mount_path: /workspace, "
		 "access_mode: read-write}]\n",
			"a:6:13: spec.volumes[0]: a persistent volume needs \"source.volume_id\", "
			"the id of an existing one\n"},
		{"  volumes:\n"
		 "    - {name: a, storage_class: ephemeral, mount_path: /workspace/a, access_mode: "
		 "read-write, ttl_hours: 1}\n"
		 "    - {name: w, storage_class: ephemeral, mount_path: /workspace, access_mode: "
		 "read-write, ttl_hours: 1}\n"
		 "    - {name: b, storage_class: ephemeral, mount_path: /workspace/a/b, "
		 "access_mode: read-write, ttl_hours: 1}\n",
			"a:9:43: spec.volumes[2].mount_path: volume \"a\" is at /workspace/a: only "
			"/workspace may have other volumes below it\n"},
		{"  volumes: [{name: v, storage_class: persistent, mount_path: /workspace/v, "
		 "access_mode: read-only, source: {volume_id: vol-1}}]\n",
			"a:6:109: spec.volumes[0].source.volume_id: \"vol-1\" is no id of a "
			"volume; accepted: a UUID, or a template that yields one\n"},
		{"  tools: [{name: c, executor: \"builtin:cmd\"}]\n",
			"a:6:11: spec.tools[0]: executor builtin:cmd needs \"config\" with a "
			"subcommand_allowlist\n"},
		{"  tools: [{name: c, executor: \"builtin:cmd\", config: {max_output_bytes: 1}}]\n",
			"a:6:73: spec.tools[0].config.max_output_bytes: 1 is out of range; "
			"accepted: 1024 to 16777216\n"
			"a:6:54: spec.tools[0].config: the field \"subcommand_allowlist\" is "
			"required: Commands, and the first arguments that each may have.\n"},
		{"  tools: [{name: c, executor: \"builtin:sh\"}]\n",
			"a:6:31: spec.tools[0].executor: \"builtin:sh\" is not accepted; accepted: "
			"builtin:cmd\n"},
		{"  env: {1A: x}\n",
			"a:6:9: spec.env: \"1A\" is no name of a variable; accepted: "
			"letters, digits and _, no digit in front\n"},
		{"  env: {A: 1}\n",
			"a:6:12: spec.env.A: wanted a string, found the number 1; write "
			"it in quotes: \"1\"\n"},
		{"  schedule: {type: cron}\n",
			"a:6:13: spec.schedule: the field \"cron\" is required: Cron "
			"expression.\n"},
		{"  task: {instruction: \"  \"}\n",
			"a:6:23: spec.task.instruction: \"  \" is not accepted; accepted: a text "
			"that is not blank\n"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct parsed p = parse_spec(cases[i].spec);
		assert_string_equal(report_of(&p), cases[i].want);
		assert_int_equal(p.result, AGENT_INVALID);
		assert_null(p.manifest);
		parsed_fini(&p);
	}
}

static void refusals_of_the_envelope(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{"apiVersion: aegis.ai/v1\nkind: Agent\nmetadata: {name: a, version: 1.0.0}\n"
		 "spec:\n" RUNTIME,
			"a:1:13: apiVersion: \"aegis.ai/v1\" is not accepted; accepted: "
			"100monkeys.ai/v1\n"},
		{"apiVersion: 100monkeys.ai/v1\nkind: AgentManifest\n",
			"a:2:7: kind: \"AgentManifest\" is not accepted; accepted: Agent\n"},
		{"apiVersion: 100monkeys.ai/v1\nkind: Workflow\n",
			"a:2:7: kind: \"Workflow\" is not accepted here: this document describes "
			"something else; accepted: Agent\n"},
		{"name: x\nruntime: python:3.11\n",
			"a:1:1: this is no manifest: apiVersion and kind are missing; accepted: "
			"apiVersion: 100monkeys.ai/v1, kind: Agent, metadata and spec, with "
			"everything else below them\n"},
		{"apiVersion: 100monkeys.ai/v1\nkind: Agent\nname: x\nmetadata: {name: A_b, "
		 "version: "
		 "1.0}\nspec: {runtime: {language: python}}\n",
			"a:3:1: name: unknown field; write metadata.name instead\n"
			"a:4:18: metadata.name: \"A_b\" is not accepted; accepted: 1 to 63 "
			"lower-case letters, digits and hyphens, no hyphen at either end\n"
			"a:4:32: metadata.version: wanted a string, found the number 1.0; write it "
			"in quotes: \"1.0\"\n"
			"a:5:18: spec.runtime.language: needs \"version\" too; accepted: language "
			"and version together, or image alone\n"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct parsed p = parse(span_cstr(cases[i].text));
		assert_string_equal(report_of(&p), cases[i].want);
		assert_int_equal(p.result, AGENT_INVALID);
		parsed_fini(&p);
	}
}

static void runtime_is_one_or_the_other(void **state)
{
	static const struct {
		const char *runtime, *want;
	} cases[] = {
		{"{}",
			"a:5:12: spec.runtime: needs \"language\" or \"image\"; accepted: language "
			"and version together, or image alone\n"},
		{"{version: \"3\"}",
			"a:5:13: spec.runtime.version: needs \"language\" too; accepted: language "
			"and version together, or image alone\n"
			"a:5:12: spec.runtime: needs \"language\" or \"image\"; accepted: language "
			"and version together, or image alone\n"},
		{"{language: go, version: \"1\", image: a/b}",
			"a:5:41: spec.runtime.image: excludes \"language\"; accepted: language and "
			"version together, or image alone\n"},
		{"{image: nginx}",
			"a:5:20: spec.runtime.image: \"nginx\" is not accepted; accepted: a fully "
			"qualified image like ghcr.io/org/agent:v1.0\n"},
		{"{language: python, version: 3.10}",
			"a:5:40: spec.runtime.version: wanted a string, found the number 3.10; "
			"write it in quotes: \"3.10\"\n"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b CLEANUP(buf_fini) = buf_init(1 << 12);
		buf_printf(&b, HEAD "  runtime: %s\n", cases[i].runtime);
		struct parsed p = parse(buf_view(&b));
		assert_string_equal(report_of(&p), cases[i].want);
		parsed_fini(&p);
	}
}

static void json_is_accepted_too(void **state)
{
	struct parsed p = parse(SPAN(
		"{\"apiVersion\":\"100monkeys.ai/v1\",\"kind\":\"Agent\",\"metadata\":{\"name\":"
		"\"a\",\"version\":\"1.0.0\"},\"spec\":{\"runtime\":{\"language\":\"python\","
		"\"version\":\"3.11\"},\"task\":{\"instruction\":\"\\ud83d\\ude00\"}}}"));
	assert_int_equal(p.result, 0);
	assert_string_equal(p.manifest->spec.task.instruction, "\xf0\x9f\x98\x80");
	parsed_fini(&p);
}

static void manifests_are_shared(void **state)
{
	struct parsed p = parse_spec("");
	const struct agent_manifest *again = agent_manifest_ref(p.manifest);
	assert_ptr_equal(again, p.manifest);
	assert_null(agent_manifest_unref(again));
	assert_string_equal(p.manifest->metadata.name, "a");
	parsed_fini(&p);
	assert_null(agent_manifest_unref(NULL));
}

static void parse_damaged(struct span damaged, const char *what, void *arg)
{
	struct parsed p = parse(damaged);
	assert_true(p.result == 0 || p.result == AGENT_INVALID);
	assert_int_equal(p.result == 0, p.manifest != NULL);
	assert_int_equal(p.result == 0, report_ok(&p.report));
	parsed_fini(&p);
}

static void what_no_run_could_start_with_is_refused(void **state)
{
	static const struct {
		const char *spec, *report;
	} cases[] = {
		{"  security:\n    filesystem:\n      read: [/workspace, workspace/..]\n",
			"a:8:26: spec.security.filesystem.read[1]: path 'workspace/..' must be "
			"absolute"},
		{"  security: {filesystem: {write: [\"/workspace/../etc\"]}}\n",
			"a:6:35: spec.security.filesystem.write[0]: "},
		{"  task:\n    prompt_template: \"{{input\"\n",
			"a:7:22: spec.task.prompt_template: template line 1 column 1: "},
		{"  task: {prompt_template: \"{{#if}}\"}\n",
			"a:6:27: spec.task.prompt_template: template line 1 column "},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct parsed p = parse_spec(cases[i].spec);
		assert_int_equal(p.result, AGENT_INVALID);
		if (!strstr(report_of(&p), cases[i].report))
			fail_msg("wanted: %s\ngot: %s", cases[i].report, report_of(&p));
		parsed_fini(&p);
	}
}

static void an_unknown_tool_is_told_the_known_ones(void **state)
{
	struct parsed p = parse_spec("  tools: [fs.raed]\n");
	assert_int_equal(p.result, 0);
	assert_int_equal(p.manifest->refusal_count, 1);
	assert_string_equal(p.manifest->refusals[0].reason,
		"the tool \"fs.raed\" is not known here; accepted: fs.create_dir, "
		"fs.delete, fs.edit, fs.glob, fs.grep, fs.list, fs.multi_edit, fs.read, fs.write, "
		"fs.* for all of these, cmd.run, mcp:filesystem, mcp:SERVER for the tools of a "
		"server of the "
		"node");
	parsed_fini(&p);
}

static void tools_of_a_tool_server_are_named_after_it(void **state)
{
	static const struct {
		const char *tool, *pattern;
	} rows[] = {
		{"\"mcp:gmail\"", "gmail.*"},
		{"{name: send, server: \"mcp:gmail\"}", "gmail.send"},
		{"{name: gmail, server: \"mcp:gmail\"}", "gmail.*"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[200];
		snprintf(text, sizeof(text), "  tools: [%s]\n", rows[i].tool);
		struct parsed p = parse_spec(text);
		assert_int_equal(p.result, 0);
		const struct agent_tool *t = &p.manifest->spec.tools.items[0];
		assert_string_equal(agent_tool_pattern(t), rows[i].pattern);
		assert_string_equal(agent_tool_server(t), "gmail");
		parsed_fini(&p);
	}
	struct parsed p = parse_spec("  tools: [\"mcp:a.b\"]\n");
	assert_int_equal(p.result, AGENT_INVALID);
	parsed_fini(&p);
	p = parse_spec("  tools: [\"mcp:filesystem\"]\n");
	assert_null(agent_tool_server(&p.manifest->spec.tools.items[0]));
	parsed_fini(&p);
}

static void damaged_manifests_are_survived(void **state)
{
	mutate(SPAN(HEAD RUNTIME "  tools: [fs.read, {name: a, server: \"mcp:x\"}]\n"
				 "  execution: {validation: [{type: regex, pattern: a}]}\n"),
		MUTATE_DROP_BYTE | MUTATE_SET_BYTE | MUTATE_CUT_END | MUTATE_SWAP_BYTES,
		parse_damaged, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_are_sound),
		cmocka_unit_test(the_least_manifest_has_defaults),
		cmocka_unit_test(every_field_arrives),
		cmocka_unit_test(mapping_of_validators_becomes_a_list),
		cmocka_unit_test(an_instruction_implies_a_judge),
		cmocka_unit_test(list_of_validators_keeps_its_order),
		cmocka_unit_test(old_names_are_taken),
		cmocka_unit_test(what_has_no_effect_is_listed),
		cmocka_unit_test(isolation_decides_by_its_value),
		cmocka_unit_test(refusals),
		cmocka_unit_test(refusals_of_the_envelope),
		cmocka_unit_test(runtime_is_one_or_the_other),
		cmocka_unit_test(json_is_accepted_too),
		cmocka_unit_test(manifests_are_shared),
		cmocka_unit_test(what_no_run_could_start_with_is_refused),
		cmocka_unit_test(an_unknown_tool_is_told_the_known_ones),
		cmocka_unit_test(tools_of_a_tool_server_are_named_after_it),
		cmocka_unit_test(damaged_manifests_are_survived),
	};
	return cmocka_run_group_tests_name("agent", tests, NULL, NULL);
}
