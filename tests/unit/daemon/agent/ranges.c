/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Every range, set of words, length and default of the manifest reference, one row each: what
 * stands just inside is accepted, what stands just outside is refused, at its field, with what
 * would be accepted. Fields that depend on each other stand in manifest.c.
 */
#include "daemon/agent/agent.h"
#include "daemon/agent/agent_internal.h"
#include "tests/tap.h"
#include "tests/unit/ranges.h"
#include <stdio.h>
#include <stdlib.h>

#define TOP "apiVersion: 100monkeys.ai/v1\nkind: Agent\n"
#define META "metadata: {name: a, version: 1.0.0}\n"
#define RUN "  runtime: {language: python, version: \"3.11\"}\n"
#define SPEC TOP META "spec:\n" RUN
#define EXECUTION(rest) SPEC "  execution: {" rest "}\n"
#define LISTED(rest) EXECUTION("validation: [{" rest "}]")
#define VOLUME(rest) SPEC "  volumes: [{" rest "}]\n"
#define RESOURCE(rest) SPEC "  security: {resources: {" rest "}}\n"
#define CMD(rest) \
	SPEC "  tools: [{name: c, executor: \"builtin:cmd\", config: {subcommand_allowlist: {ls: " \
	     "[]}, " rest "}}]\n"
#define FS(rest) SPEC "  tools: [{name: f, server: \"mcp:filesystem\", config: {" rest "}}]\n"
#define DESTINATION(rest) SPEC "  delivery: {destinations: [{name: d, " rest "}]}\n"
#define HANDLER(rest) SPEC "  output_handler: {" rest "}\n"
#define A63 "a23456789012345678901234567890123456789012345678901234567890123"

static const struct range rows[] = {
	{"apiVersion", "apiVersion: %s\nkind: Agent\n" META "spec:\n" RUN, "100monkeys.ai/v1",
		"100monkeys.ai/v2 | v1", "accepted: 100monkeys.ai/v1"},
	{"kind", "apiVersion: 100monkeys.ai/v1\nkind: %s\n" META "spec:\n" RUN, "Agent", "agent",
		"accepted: Agent"},

	{"metadata.name", TOP "metadata: {name: %s, version: 1.0.0}\nspec:\n" RUN, "a | 0-9 | " A63,
		"A | a_b | \"-a\" | a- | a.b | \"\" | " A63 "4",
		"lower-case letters, digits and hyphens"},
	{"metadata.version", TOP "metadata: {name: a, version: %s}\nspec:\n" RUN,
		"0.0.0 | 1.2.3-rc.1 | 1.2.3+b5 | 10.20.30-a+b",
		"v1.0.0 | 1.0.x | 01.0.0 | 1.0.0.0 | latest | \"\"", "a semantic version like"},
	{"metadata.labels", TOP "metadata: {name: a, version: 1.0.0, labels: %s}\nspec:\n" RUN,
		"{} | {role: worker}", "[] | x", "wanted a mapping"},
	{"metadata.annotations",
		TOP "metadata: {name: a, version: 1.0.0, annotations: %s}\nspec:\n" RUN,
		"{} | {maintainer: m}", "[] | x", "wanted a mapping"},

	{"spec.runtime.language", TOP META "spec:\n  runtime: {language: %s, version: \"1\"}\n",
		"python | javascript | typescript | rust | go", "Python | \"\" | \"a b\"",
		"a language of the runtime registry"},
	{"spec.runtime.version", TOP META "spec:\n  runtime: {language: python, version: %s}\n",
		"\"3.11\" | \"20\"", "\"\"", "accepted"},
	{"spec.runtime.image", TOP META "spec:\n  runtime: {image: %s}\n",
		"ghcr.io/org/agent:v1.0 | org/agent", "agent | \"/agent\" | org/",
		"fully qualified image"},
	{"spec.runtime.image_pull_policy",
		TOP META "spec:\n  runtime: {image: a/b, image_pull_policy: %s}\n",
		"IfNotPresent | Always | Never", "always | Sometimes",
		"accepted: IfNotPresent, Always, Never"},
	{"spec.runtime.isolation",
		TOP META "spec:\n  runtime: {language: go, version: \"1\", isolation: %s}\n",
		"inherit | firecracker | docker | process", "vm | Docker",
		"accepted: inherit, firecracker, docker, process"},
	{"spec.runtime.model",
		TOP META "spec:\n  runtime: {language: go, version: \"1\", model: %s}\n",
		"default | smart", "\"\"", "accepted"},
	{"spec.runtime.temperature",
		TOP META "spec:\n  runtime: {language: go, version: \"1\", temperature: %s}\n",
		"0 | 0.5 | 2", "-0.1 | 2.1", "accepted: 0 to 2"},

	{"spec.task.agentskills", SPEC "  task: {agentskills: %s}\n",
		"[] | [\"code-review:python\"]", "x | {a: b}", "wanted a list"},
	{"spec.task.instruction", SPEC "  task: {instruction: %s}\n", "x | \"\\n x\"",
		"\"\" | \" \\n\"", "a text that is not blank"},
	{"spec.task.prompt_template", SPEC "  task: {prompt_template: %s}\n", "x | \"{{input}}\"",
		"\"\"", "accepted"},
	{"spec.task.input_data", SPEC "  task: {input_data: %s}\n", "{} | {a: [1]}", "[] | 1 | x",
		"wanted a mapping"},

	{"spec.security.network.mode", SPEC "  security: {network: {mode: %s}}\n",
		"allow | deny | none", "Allow | off", "accepted: allow, deny, none"},
	{"spec.security.network.allowlist", SPEC "  security: {network: {allowlist: %s}}\n",
		"[] | [pypi.org, 10.0.0.0/8]", "x | {a: b}", "wanted a list"},
	{"spec.security.network.denylist",
		SPEC "  security: {network: {mode: deny, denylist: %s}}\n", "[] | [pypi.org]", "x",
		"wanted a list"},
	{"spec.security.leases[0].tool",
		SPEC
		"  security: {leases: [{tool: %s, programs: [git], destinations: [a.test]}]}\n",
		"cmd.run", "fs.read | cmdxrun | \"\"", "cmd.run"},
	{"spec.security.leases[0].programs",
		SPEC "  security: {leases: [{programs: %s, destinations: [a.test]}]}\n",
		"[git] | [git, /usr/bin/curl]", "git | {a: b}", "wanted a list"},
	{"spec.security.leases[0].programs",
		SPEC "  security: {leases: [{programs: %s, destinations: [a.test]}]}\n", "[git]",
		"[]", "accepted"},
	{"spec.security.leases[0].destinations",
		SPEC "  security: {leases: [{programs: [git], destinations: %s}]}\n",
		"[a.test] | [\"*.a.test:443\", 10.0.0.0/8]", "a.test", "wanted a list"},
	{"spec.security.leases[0].destinations",
		SPEC "  security: {leases: [{programs: [git], destinations: %s}]}\n", "[a.test]",
		"[] | [\"a.test:x\"]", "accepted"},
	{"spec.security.filesystem.read", SPEC "  security: {filesystem: {read: %s}}\n",
		"[] | [/workspace, \"/config/*.yaml\"]", "/workspace", "wanted a list"},
	{"spec.security.filesystem.write", SPEC "  security: {filesystem: {write: %s}}\n",
		"[] | [/workspace]", "/workspace", "wanted a list"},
	{"spec.security.filesystem.read_only", SPEC "  security: {filesystem: {read_only: %s}}\n",
		"true | false", "yes | 1", "wanted true or false"},
	{"spec.security.recording", SPEC "  security: {recording: %s}\n", "counted | strict",
		"loose", "accepted: counted, strict"},
	{"spec.security.resources.cpu", RESOURCE("cpu: %s"), "1 | 1000 | 1024000",
		"0 | -1 | 1024001 | 99999999999999999999", "accepted: 1 to 1024000"},
	{"spec.security.resources.memory", RESOURCE("memory: %s"),
		"4Mi | 512Mi | 1Gi | 2G | 16777216", "4095Ki | 0 | -1Mi | 12Zi | \"\"", "accepted"},
	{"spec.security.resources.disk", RESOURCE("disk: %s"), "1 | 10Gi", "0 | 1Xi", "accepted"},
	{"spec.security.resources.timeout", RESOURCE("timeout: %s"), "1s | 300s | 5m | 1h | 3600s",
		"0s | 999ms | 3601s | 61m | 2h | 5x | \"\"", "accepted"},

	{"spec.volumes[0].name",
		VOLUME("name: %s, storage_class: ephemeral, mount_path: /workspace, access_mode: "
		       "read-write, ttl_hours: 1"),
		"w", "\"\"", "accepted"},
	{"spec.volumes[0].type",
		VOLUME("name: w, type: %s, config: {}, provider: s3, storage_class: ephemeral, "
		       "mount_path: "
		       "/workspace, access_mode: read-write, ttl_hours: 1"),
		"seaweedfs | opendal | hostPath | smcp", "nfs | HostPath",
		"accepted: seaweedfs, opendal, hostPath, smcp"},
	{"spec.volumes[0].storage_class",
		VOLUME("name: w, storage_class: %s, mount_path: /workspace, access_mode: "
		       "read-write, "
		       "ttl_hours: 1"),
		"ephemeral", "temporary", "accepted: ephemeral, persistent"},
	{"spec.volumes[0].access_mode",
		VOLUME("name: w, storage_class: ephemeral, mount_path: /workspace, access_mode: "
		       "%s, "
		       "ttl_hours: 1"),
		"read-write | read-only", "rw | write", "accepted: read-write, read-only"},
	{"spec.volumes[0].mount_path",
		VOLUME("name: w, storage_class: ephemeral, mount_path: %s, access_mode: "
		       "read-write, "
		       "ttl_hours: 1"),
		"/workspace | /workspace/a/b",
		"/ | /data | /workspaces | workspace | /workspace/../a",
		"/workspace or a path below it"},
	{"spec.volumes[0].ttl_hours",
		VOLUME("name: w, storage_class: ephemeral, mount_path: /workspace, access_mode: "
		       "read-write, "
		       "ttl_hours: %s"),
		"1 | 24 | 8784", "0 | -1 | 8785", "accepted"},
	{"spec.volumes[0].size_limit",
		VOLUME("name: w, storage_class: ephemeral, mount_path: /workspace, access_mode: "
		       "read-write, "
		       "ttl_hours: 1, size_limit: %s"),
		"500Mi | 5Gi", "0 | big", "accepted"},

	{"spec.execution.mode", EXECUTION("mode: %s"), "one-shot | iterative", "once | Iterative",
		"accepted: one-shot, iterative"},
	{"spec.execution.max_iterations", EXECUTION("mode: iterative, max_iterations: %s"),
		"1 | 10 | 20", "0 | 21 | -1", "accepted: 1 to 20"},
	{"spec.execution.iteration_timeout", EXECUTION("iteration_timeout: %s"),
		"1s | 60s | 5m | 1h", "0s | 3601s | soon", "accepted"},
	{"spec.execution.llm_timeout_seconds", EXECUTION("llm_timeout_seconds: %s"),
		"1 | 300 | 3600", "0 | 3601", "accepted: 1 to 3600"},
	{"spec.execution.memory", EXECUTION("memory: %s"), "true | false", "on",
		"wanted true or false"},
	{"spec.execution.background", EXECUTION("background: %s"), "true | false", "on",
		"wanted true or false"},
	{"spec.execution.validation.system.must_succeed",
		EXECUTION("validation: {system: {must_succeed: %s}}"), "true | false", "1",
		"wanted true or false"},
	{"spec.execution.validation.system.allow_stderr",
		EXECUTION("validation: {system: {allow_stderr: %s}}"), "true | false", "1",
		"wanted true or false"},
	{"spec.execution.validation.system.timeout_seconds",
		EXECUTION("validation: {system: {timeout_seconds: %s}}"), "1 | 90 | 3600",
		"0 | 3601", "accepted: 1 to 3600"},
	{"spec.execution.validation.output.format", EXECUTION("validation: {output: {format: %s}}"),
		"json | yaml | text | csv | pdf", "xml | JSON",
		"accepted: json, yaml, text, csv, pdf"},
	{"spec.execution.validation.output.regex", EXECUTION("validation: {output: {regex: %s}}"),
		"a+", "\"\" | \"(\"", ""},
	{"spec.execution.validation.script.path", EXECUTION("validation: {script: {path: %s}}"),
		"/check", "\"\"", "accepted"},
	{"spec.execution.validation.script.timeout_seconds",
		EXECUTION("validation: {script: {path: /c, timeout_seconds: %s}}"), "1 | 30 | 3600",
		"0 | 3601", "accepted: 1 to 3600"},
	{"spec.execution.validation.semantic.enabled",
		EXECUTION("validation: {semantic: {enabled: %s}}"), "true | false", "maybe",
		"wanted true or false"},
	{"spec.execution.validation.semantic.threshold",
		EXECUTION("validation: {semantic: {threshold: %s}}"), "0 | 0.8 | 1.0", "-0.1 | 1.1",
		"accepted: 0 to 1"},
	{"spec.execution.validation.semantic.timeout_seconds",
		EXECUTION("validation: {semantic: {timeout_seconds: %s}}"), "1 | 30 | 3600",
		"0 | 3601", "accepted: 1 to 3600"},
	{"spec.execution.validation.semantic.fallback_on_unavailable",
		EXECUTION("validation: {semantic: {fallback_on_unavailable: %s}}"), "skip | fail",
		"retry", "accepted: fail, skip"},
	{"spec.execution.validation.semantic.model",
		EXECUTION("validation: {semantic: {model: %s}}"), "m", "\"\"", "accepted"},

	{"spec.execution.validation[0].type", LISTED("type: %s"), "exit_code", "exitcode",
		"accepted: exit_code, json_schema, regex, semantic, multi_judge"},
	{"spec.execution.validation[0].expected", LISTED("type: exit_code, expected: %s"),
		"0 | 255", "-1 | 256", "accepted: 0 to 255"},
	{"spec.execution.validation[0].pattern", LISTED("type: regex, pattern: %s"), "a+",
		"\"\" | \"[\"", ""},
	{"spec.execution.validation[0].target", LISTED("type: regex, pattern: a, target: %s"),
		"stdout | stderr", "both", "accepted: stdout, stderr"},
	{"spec.execution.validation[0].min_score", LISTED("type: exit_code, min_score: %s"),
		"0 | 0.5 | 1", "-0.1 | 1.5", "accepted: 0 to 1"},
	{"spec.execution.validation[0].min_confidence",
		LISTED("type: semantic, judge_agent: j, criteria: c, min_confidence: %s"), "0 | 1",
		"-0.1 | 1.5", "accepted: 0 to 1"},
	{"spec.execution.validation[0].timeout_seconds",
		LISTED("type: semantic, judge_agent: j, criteria: c, timeout_seconds: %s"),
		"1 | 3600", "0 | 3601", "accepted: 1 to 3600"},
	{"spec.execution.validation[0].consensus",
		LISTED("type: multi_judge, judges: [j], criteria: c, consensus: %s"),
		"weighted_average | majority | unanimous | best_of_n", "mean",
		"accepted: weighted_average, majority, unanimous, best_of_n"},
	{"spec.execution.validation[0].judges",
		LISTED("type: multi_judge, criteria: c, judges: %s"), "[j] | [j, k]", "[]",
		"accepted"},
	{"spec.execution.validation[0].min_judges_required",
		LISTED("type: multi_judge, judges: [j, k], criteria: c, min_judges_required: %s"),
		"1 | 2", "0 | 3", "accepted: 1 to"},
	{"spec.execution.tool_validation[0].min_score",
		EXECUTION("tool_validation: [{type: semantic, judge_agent: j, criteria: c, "
			  "min_score: %s}]"),
		"0 | 1", "1.5", "accepted: 0 to 1"},

	{"spec.tools[0].name", SPEC "  tools: [{name: %s}]\n", "fs.read", "\"\" | \"a b\"",
		"a tool's name"},
	{"spec.tools[0].server", SPEC "  tools: [{name: x, server: %s}]\n", "\"mcp:x\"",
		"x | \"mcp:\"", "mcp:NAME"},
	{"spec.tools[0].executor",
		SPEC "  tools: [{name: x, config: {subcommand_allowlist: {}}, executor: %s}]\n",
		"\"builtin:cmd\"", "\"builtin:sh\" | cmd", "accepted: builtin:cmd"},
	{"spec.tools[0].config.timeout_ceiling_secs", CMD("timeout_ceiling_secs: %s"),
		"1 | 120 | 3600", "0 | 3601", "accepted: 1 to 3600"},
	{"spec.tools[0].config.max_output_bytes", CMD("max_output_bytes: %s"),
		"1024 | 524288 | 16777216", "1023 | 16777217", "accepted: 1024 to 16777216"},
	{"spec.tools[0].config.env_var_denylist", CMD("env_var_denylist: %s"), "[] | [A_KEY]",
		"A_KEY", "wanted a list"},
	{"spec.tools[0].config.allow_shell", CMD("allow_shell: %s"), "true | false", "sh",
		"wanted true or false"},
	{"spec.tools[0].config.access_mode", FS("access_mode: %s"), "read-only | read-write", "rw",
		"accepted: read-write, read-only"},
	{"spec.tools[0].config.allowed_paths", FS("allowed_paths: %s"), "[/workspace]",
		"/workspace", "wanted a list"},
	{"spec.tools[0].config.max_file_size_bytes", FS("max_file_size_bytes: %s"), "1 | 10485760",
		"0 | -1", "accepted"},

	{"spec.context[0].type", SPEC "  context: [{type: %s, content: c}]\n", "text", "image",
		"accepted: text, file, directory, url"},
	{"spec.context[0].path", SPEC "  context: [{type: file, path: %s}]\n", "/a", "\"\"",
		"accepted"},
	{"spec.context[0].path", SPEC "  context: [{type: directory, path: %s}]\n", "/a", "\"\"",
		"accepted"},
	{"spec.context[0].url", SPEC "  context: [{type: url, url: %s}]\n", "https://x.test/",
		"x.test", "a URL that begins with"},
	{"spec.schedule.type", SPEC "  schedule: {type: %s}\n", "manual", "daily",
		"accepted: cron, interval, manual"},
	{"spec.schedule.cron", SPEC "  schedule: {type: cron, cron: %s}\n",
		"\"0 * * * *\" | \"@daily\"", "\"0 * * *\" | \"\" | \"@often\"", "five fields"},
	{"spec.schedule.seconds", SPEC "  schedule: {type: interval, seconds: %s}\n", "1 | 3600",
		"0 | -1", "accepted"},
	{"spec.schedule.enabled", SPEC "  schedule: {type: manual, enabled: %s}\n", "true | false",
		"on", "wanted true or false"},
	{"spec.advanced.warm_pool_size", SPEC "  advanced: {warm_pool_size: %s}\n", "0 | 1000",
		"-1 | 1001", "accepted: 0 to 1000"},
	{"spec.advanced.swarm_enabled", SPEC "  advanced: {swarm_enabled: %s}\n", "true | false",
		"on", "wanted true or false"},
	{"spec.advanced.bootstrap_path", SPEC "  advanced: {bootstrap_path: %s}\n", "/b", "\"\"",
		"accepted"},
	{"spec.delivery.destinations[0].condition",
		DESTINATION("condition: %s, type: webhook, webhook: {url: \"http://x.test\"}"),
		"on_success | on_failure | always", "never",
		"accepted: on_success, on_failure, always"},
	{"spec.delivery.destinations[0].type",
		DESTINATION("condition: always, type: %s, webhook: {url: \"http://x.test\"}"),
		"webhook", "fax", "accepted: email, webhook, rest, sms"},
	{"spec.delivery.destinations[0].transform.timeout_seconds",
		DESTINATION("condition: always, type: sms, sms: {to: \"+15550100\", message: m}, "
			    "transform: "
			    "{script: /s, timeout_seconds: %s}"),
		"1 | 30 | 3600", "0 | 3601", "accepted: 1 to 3600"},
	{"spec.delivery.destinations[0].webhook.method",
		DESTINATION("condition: always, type: webhook, webhook: {url: \"http://x.test\", "
			    "method: %s}"),
		"GET | POST | PUT | PATCH | DELETE", "post | HEAD",
		"GET, POST, PUT, PATCH or DELETE"},
	{"spec.output_handler.type", HANDLER("type: %s, agent_id: a"), "agent", "mail",
		"accepted: agent, container, mcp_tool, webhook"},
	{"spec.output_handler.timeout_seconds",
		HANDLER("type: agent, agent_id: a, timeout_seconds: %s"), "1 | 3600", "0 | 3601",
		"accepted: 1 to 3600"},
	{"spec.env.A", SPEC "  env: {A: %s}\n", "x | \"1\" | \"\"", "1 | true | [x]",
		"wanted a string"},
	{"spec.security_context", SPEC "  security_context: %s\n", "aegis-system-x", "\"\"",
		"accepted"},
	{"spec.require.network", SPEC "  require: {network: %s}\n", "detect | prevent", "allow",
		"accepted: detect, prevent"},
	{"spec.input_schema", SPEC "  input_schema: %s\n", "{type: object} | {}", "{type: objekt}",
		"no usable JSON Schema"},
};

struct parsed {
	struct arena *arena;
	struct report report;
	const struct agent_manifest *manifest;
	int result;
	struct buf text; /* of the report */
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

static bool judge(struct span document, struct buf *ret_report)
{
	struct parsed p = parse(document);
	bool accepted = p.result == 0;
	assert_true(accepted || p.result == AGENT_INVALID);
	buf_put(ret_report, p.text.data, p.text.len);
	parsed_fini(&p);
	return accepted;
}

static void each_value_decides(void **state)
{
	assert_int_equal(ranges_wrong(rows, ARRAY_LEN(rows), judge), 0);
}

/* What must be there; the refusal names it. */
static void what_is_required_is_missed(void **state)
{
	static const struct {
		const char *text, *path, *field;
	} cases[] = {
		{"kind: Agent\n" META "spec:\n" RUN, "", "apiVersion"},
		{"apiVersion: 100monkeys.ai/v1\n" META "spec:\n" RUN, "", "kind"},
		{TOP "spec:\n" RUN, "", "metadata"},
		{TOP META, "", "spec"},
		{TOP "metadata: {version: 1.0.0}\nspec:\n" RUN, "metadata", "name"},
		{TOP "metadata: {name: a}\nspec:\n" RUN, "metadata", "version"},
		{TOP META "spec: {}\n", "spec", "runtime"},
		{VOLUME("storage_class: ephemeral, mount_path: /workspace, access_mode: read-only, "
			"ttl_hours: 1"),
			"spec.volumes[0]", "name"},
		{VOLUME("name: v, mount_path: /workspace, access_mode: read-only, ttl_hours: 1"),
			"spec.volumes[0]", "storage_class"},
		{VOLUME("name: v, storage_class: ephemeral, access_mode: read-only, ttl_hours: 1"),
			"spec.volumes[0]", "mount_path"},
		{VOLUME("name: v, storage_class: ephemeral, mount_path: /workspace, ttl_hours: 1"),
			"spec.volumes[0]", "access_mode"},
		{VOLUME("name: v, storage_class: ephemeral, mount_path: /workspace, access_mode: "
			"read-only"),
			"spec.volumes[0]", "ttl_hours"},
		{VOLUME("name: v, storage_class: persistent, mount_path: /workspace, access_mode: "
			"read-only"),
			"spec.volumes[0]", "source.volume_id"},
		{VOLUME("name: v, type: opendal, config: {}, storage_class: ephemeral, mount_path: "
			"/workspace, access_mode: read-only, ttl_hours: 1"),
			"spec.volumes[0]", "provider"},
		{VOLUME("name: v, type: smcp, storage_class: ephemeral, mount_path: /workspace, "
			"access_mode: read-only, ttl_hours: 1"),
			"spec.volumes[0]", "config"},
		{EXECUTION("validation: {script: {}}"), "spec.execution.validation.script", "path"},
		{LISTED("expected: 0"), "spec.execution.validation[0]", "type"},
		{LISTED("type: regex"), "spec.execution.validation[0]", "pattern"},
		{LISTED("type: json_schema"), "spec.execution.validation[0]", "schema"},
		{LISTED("type: semantic, criteria: c"), "spec.execution.validation[0]",
			"judge_agent"},
		{LISTED("type: semantic, judge_agent: j"), "spec.execution.validation[0]",
			"criteria"},
		{LISTED("type: multi_judge, criteria: c"), "spec.execution.validation[0]",
			"judges"},
		{SPEC "  tools: [{server: \"mcp:x\"}]\n", "spec.tools[0]", "name"},
		{SPEC "  tools: [{name: c, executor: \"builtin:cmd\", config: {}}]\n",
			"spec.tools[0].config", "subcommand_allowlist"},
		{SPEC "  security: {leases: [{programs: [git]}]}\n", "spec.security.leases[0]",
			"destinations"},
		{SPEC "  security: {leases: [{destinations: [a.test]}]}\n",
			"spec.security.leases[0]", "programs"},
		{SPEC "  context: [{content: c}]\n", "spec.context[0]", "type"},
		{SPEC "  context: [{type: text}]\n", "spec.context[0]", "content"},
		{SPEC "  context: [{type: file}]\n", "spec.context[0]", "path"},
		{SPEC "  context: [{type: directory}]\n", "spec.context[0]", "path"},
		{SPEC "  context: [{type: url}]\n", "spec.context[0]", "url"},
		{SPEC "  schedule: {cron: \"0 * * * *\"}\n", "spec.schedule", "type"},
		{SPEC "  schedule: {type: cron}\n", "spec.schedule", "cron"},
		{SPEC "  delivery: {destinations: [{condition: always, type: sms, sms: {to: "
		      "\"+1555\", "
		      "message: m}}]}\n",
			"spec.delivery.destinations[0]", "name"},
		{DESTINATION("type: sms, sms: {to: \"+1555\", message: m}"),
			"spec.delivery.destinations[0]", "condition"},
		{DESTINATION("condition: always"), "spec.delivery.destinations[0]", "type"},
		{DESTINATION("condition: always, type: webhook"), "spec.delivery.destinations[0]",
			"webhook"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct parsed p = parse(span_cstr(cases[i].text));
		const char *text = p.text.len ? buf_cstr(&p.text) : "";
		if (p.result != AGENT_INVALID || !strstr(text, cases[i].path) ||
			!strstr(text, cases[i].field))
			fail_msg("%s of %s is not missed: %s", cases[i].field, cases[i].path, text);
		parsed_fini(&p);
	}
}

/* What excludes each other, must fit into another, or may be there once only. */
static void what_does_not_go_together_is_refused(void **state)
{
	static const struct {
		const char *text, *path, *says;
	} cases[] = {
		{SPEC "  volumes: [{name: v, storage_class: ephemeral, mount_path: /workspace, "
		      "access_mode: read-only, ttl_hours: 1}, {name: v, storage_class: ephemeral, "
		      "mount_path: /workspace/b, access_mode: read-only, ttl_hours: 1}]\n",
			"spec.volumes[1]", "\"v\""},
		{VOLUME("name: v, storage_class: persistent, mount_path: /workspace, access_mode: "
			"read-only, ttl_hours: 1, source: {volume_id: x}"),
			"spec.volumes[0].ttl_hours", "storage_class: ephemeral"},
		{SPEC "  tools: [{name: x, server: \"mcp:x\", executor: \"builtin:cmd\", config: "
		      "{subcommand_allowlist: {}}}]\n",
			"spec.tools[0].executor", "one of them"},
		{SPEC "  security: {resources: {timeout: 20s}}\n"
		      "  execution: {validation: {script: {path: /c, timeout_seconds: 21}}}\n",
			"spec.execution.validation.script.timeout_seconds", "(20 s)"},
		{SPEC "  security: {resources: {timeout: 20s}}\n"
		      "  execution: {validation: {semantic: {timeout_seconds: 21}}}\n",
			"spec.execution.validation.semantic.timeout_seconds", "(20 s)"},
		{EXECUTION("validation: {output: {format: text, schema: {}}}"),
			"spec.execution.validation.output.schema", "format: json"},
		{LISTED("type: exit_code, criteria: c"), "spec.execution.validation[0].criteria",
			"type: semantic"},
		{SPEC "  delivery: {destinations: [{name: d, condition: always, type: sms, sms: "
		      "{to: "
		      "\"+1555\", message: m}}, {name: d, condition: always, type: sms, sms: {to: "
		      "\"+1555\", message: m}}]}\n",
			"spec.delivery.destinations[1]", "\"d\""},
		{SPEC "  context: [{type: text, content: c, url: \"http://x\"}]\n",
			"spec.context[0].url", "type: url"},
		{SPEC "  env: {A: x, A: y}\n", "spec.env", "\"A\" is written twice"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct parsed p = parse(span_cstr(cases[i].text));
		const char *text = p.text.len ? buf_cstr(&p.text) : "";
		if (p.result != AGENT_INVALID || !strstr(text, cases[i].path) ||
			!strstr(text, cases[i].says))
			fail_msg("wanted %s, %s: %s", cases[i].path, cases[i].says, text);
		parsed_fini(&p);
	}
}

static void expect_defaults_of_validators(const struct agent_execution *e)
{
	static const int types[] = {AGENT_VALIDATE_EXIT_CODE, AGENT_VALIDATE_STDERR,
		AGENT_VALIDATE_SCRIPT, AGENT_VALIDATE_SEMANTIC};
	const struct agent_validator *v = e->validators.items;
	assert_int_equal(e->validators.count, ARRAY_LEN(types));
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		assert_int_equal(v[i].type, types[i]);
	assert_int_equal(v[0].expected, 0);
	assert_int_equal(v[0].timeout_ns, 90 * NS_PER_S);
	assert_int_equal(v[2].timeout_ns, 30 * NS_PER_S);
	assert_string_equal(v[3].model, "default");
	assert_true(v[3].min_confidence == 0.8 && !v[3].skip_if_unavailable);
	assert_int_equal(v[3].timeout_ns, 30 * NS_PER_S);
}

static void what_is_absent_has_its_default(void **state)
{
	struct parsed p = parse(SPAN(SPEC
		"  task: {instruction: x}\n"
		"  execution: {mode: iterative, validation: {system: {}, script: {path: /c}, "
		"semantic: {}}}\n"
		"  volumes: [{name: w, storage_class: ephemeral, mount_path: /workspace, "
		"access_mode: read-write, ttl_hours: 1}]\n"
		"  tools: [{name: c, executor: \"builtin:cmd\", config: {subcommand_allowlist: "
		"{}}}, \"mcp:filesystem\"]\n"
		"  schedule: {type: cron, cron: \"0 * * * *\"}\n"
		"  advanced: {}\n"
		"  delivery: {destinations: [{name: d, condition: always, type: webhook, "
		"webhook: {url: \"http://x.test\"}, transform: {script: /s}}]}\n"));
	assert_string_equal(p.text.len ? buf_cstr(&p.text) : "", "");
	const struct agent_spec *s = &p.manifest->spec;
	assert_int_equal(s->runtime.image_pull_policy, AGENT_PULL_IF_NOT_PRESENT);
	assert_int_equal(s->execution.max_iterations, 10);
	assert_false(s->execution.memory || s->execution.background);
	assert_false(s->security.filesystem.read_only);
	expect_defaults_of_validators(&s->execution);
	assert_int_equal(s->volumes.items[0].type, AGENT_VOLUME_SEAWEEDFS);
	assert_int_equal(s->volumes.items[0].size_limit_bytes, 0);
	assert_int_equal(s->tools.items[0].cmd->timeout_ceiling_s, 300);
	assert_int_equal(s->tools.items[0].cmd->max_output_bytes, 524288);
	assert_int_equal(s->tools.items[0].cmd->env_var_denylist.count, 0);
	assert_false(s->tools.items[0].cmd->allow_shell);
	const struct agent_fs_policy *fs = s->tools.items[1].fs;
	assert_int_equal(fs->access_mode, AGENT_READ_ONLY);
	assert_int_equal(fs->max_file_size_bytes, 10485760);
	assert_int_equal(fs->allowed_paths.count, 1);
	assert_string_equal(fs->allowed_paths.items[0], "/workspace");
	assert_string_equal(s->schedule->timezone, "UTC");
	assert_true(s->schedule->enabled);
	assert_int_equal(s->advanced->warm_pool_size, 0);
	assert_false(s->advanced->swarm_enabled);
	assert_int_equal(s->delivery.items[0].transform->timeout_seconds, 30);
	assert_string_equal(s->delivery.items[0].webhook->method, "POST");
	parsed_fini(&p);
}

/* `count` times `item`, parted by commas, between `head` and `tail`. */
static int result_of_many(const char *head, const char *item, int count, const char *tail)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 16);
	buf_puts(&b, head);
	for (int i = 0; i < count; i++) {
		buf_puts(&b, i ? ", " : "");
		for (const char *c = item; *c; c++) {
			if (*c == '#')
				buf_printf(&b, "%d", i);
			else
				buf_putc(&b, *c);
		}
	}
	buf_puts(&b, tail);
	struct parsed p = parse(buf_view(&b));
	int r = p.result;
	parsed_fini(&p);
	return r;
}

static void lists_have_an_end(void **state)
{
	static const struct {
		const char *head, *item, *tail;
		int most;
	} cases[] = {
		{SPEC "  volumes: [",
			"{name: v#, storage_class: ephemeral, mount_path: /workspace/#, "
			"access_mode: "
			"read-only, ttl_hours: 1}",
			"]\n", 32},
		{SPEC "  execution: {validation: [", "{type: exit_code}", "]}\n", 32},
		{SPEC "  execution: {tool_validation: [", "{type: exit_code}", "]}\n", 32},
		{SPEC "  tools: [", "t#", "]\n", 256},
		{SPEC "  env: {", "V#: x", "}\n", 256},
		{SPEC "  context: [", "{type: text, content: c}", "]\n", 64},
		{SPEC "  delivery: {destinations: [",
			"{name: d#, condition: always, type: sms, sms: {to: \"+1555\", message: "
			"m}}",
			"]}\n", 32},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int at_most =
			result_of_many(cases[i].head, cases[i].item, cases[i].most, cases[i].tail);
		int more = result_of_many(
			cases[i].head, cases[i].item, cases[i].most + 1, cases[i].tail);
		if (at_most != 0 || more != AGENT_INVALID)
			fail_msg("%s%s: %d of them give %d, one more %d", cases[i].head,
				cases[i].item, cases[i].most, at_most, more);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_value_decides),
		cmocka_unit_test(what_is_required_is_missed),
		cmocka_unit_test(what_does_not_go_together_is_refused),
		cmocka_unit_test(what_is_absent_has_its_default),
		cmocka_unit_test(lists_have_an_end),
	};
	return cmocka_run_group_tests_name("agent", tests, NULL, NULL);
}
