/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * make_recording DIR [COUNT|path|twice]: a journal of one run as the daemon records it. Its policy
 * set is made of an operator's file, a security context and a manifest's rules, and every decision
 * in it is the matcher's own. With COUNT, that many file decisions and nothing else; with `path`, a
 * command by its path, which its manifest allows; with `twice`, decisions that the file layer and
 * the event of the tool call both tell. Prints the set's hash.
 */
#include "daemon/audit/audit.h"
#include "policy/context/context.h"

#include <stdio.h>
#include <stdlib.h>

static const char file_text[] =
	"// the operator's\n"
	"@id(\"no-secrets\")\n"
	"forbid (principal, action, resource in Path::\"/workspace/secret\");\n"
	"@id(\"no-secret-tools\")\n"
	"forbid (principal, action in Action::\"tool\", resource)\n"
	"when { context has path && context.path in Path::\"/workspace/secret\" };\n";

static const struct uuid run = {{0x11}};
static struct uuid call; /* of the records that follow; nil: of none */
static struct journal *journal;
static struct rule_set *set;
static struct arena *arena;
static uint64_t event_number;

static struct rule_set *make_set(bool any_command)
{
	struct rule_set_builder *b = rule_set_builder_new();
	struct rule_context c = {.name = "wide",
		.file = "node.yaml",
		.line = 7,
		.capabilities = &(struct rule_capability){.tool_pattern = "*"},
		.capability_count = 1};
	struct rule_origin o = {.field = "spec.security.filesystem.read[0]"};

	CHECK(b && rule_add_cedar(b, span_cstr(file_text), "files.cedar") == 0);
	CHECK(rule_add_context(b, &c, RULE_CONTEXT_CEILING) == 0);
	CHECK(rule_allow_path(b, "fs:read", "/workspace", o) == 0);
	o.field = "spec.security.filesystem.write[0]";
	CHECK(rule_allow_path(b, "fs:write", "/workspace/out", o) == 0);
	o.field = "spec.tools[0]";
	CHECK(rule_allow_tool(b, "fs.*", o) == 0);
	o.field = "spec.security.commands[0]";
	CHECK(rule_allow_command(b, any_command ? "*" : "python3", NULL, 0, o) == 0);
	o.field = "spec.security.network.allow[0]";
	CHECK(rule_allow_connect(b, "example.org:443", o) == 0);
	struct rule_set *s = rule_set_seal(b);
	rule_set_builder_free(b);
	CHECK(s);
	return s;
}

static void append(struct audit_record r)
{
	r.execution_id = run;
	CHECK(journal_append(journal, &r, 1, DEADLINE_NONE) == 0);
}

static void event(const char *kind, const char *details)
{
	struct buf b CLEANUP(buf_fini) = buf_init(65536);

	buf_printf(
		&b, "{\"tenant_id\":\"local\",\"message\":\"%s\",\"details\":%s}", kind, details);
	event_number++;
	append((struct audit_record){.source = AUDIT_EVENT,
		.kind = span_cstr(kind),
		.event_number = event_number,
		.call_id = call,
		.iteration = event_number > 1,
		.payload = buf_view(&b)});
}

static void put_decision(struct json_writer *w, struct decision_request *q, bool *ret_allowed)
{
	struct buf text CLEANUP(buf_fini) = buf_init(65536);
	struct json_writer r = json_writer(&text);
	struct decision d;

	q->agent = SPAN("coder");
	q->tenant = SPAN("local");
	q->execution_id = SPAN("11000000-0000-0000-0000-000000000000");
	decision_request_put(&r, q);
	arena_reset(arena);
	CHECK(policy_decide(set, NULL, q, 0, arena, &d) == 0);
	CHECK(audit_decision_put(w,
		      &(struct audit_decision){.allowed = d.allowed,
			      .code = d.code,
			      .reason = d.reason,
			      .policy_set = rule_set_hash(set),
			      .policies = d.policy_count ? d.policy_ids : &d.policy_id,
			      .policy_count = d.policy_count ? d.policy_count : 1,
			      .request = buf_view(&text),
			      .signer = SPAN("daemon")}) == 0);
	*ret_allowed = d.allowed;
}

static void tool(const char *name, struct decision_request q)
{
	struct buf b CLEANUP(buf_fini) = buf_init(65536);
	struct json_writer w = json_writer(&b);
	char action[64];
	bool allowed;

	snprintf(action, sizeof(action), "tool:%s", name);
	q.action = span_cstr(action);
	json_object(&w);
	json_field_cstr(&w, "tool_name", name);
	put_decision(&w, &q, &allowed);
	json_end(&w);
	event(allowed ? "InvocationCompleted" : "ToolPolicyViolation", buf_cstr(&b));
}

static void tool_on(const char *name, const char *path)
{
	struct span p = span_cstr(path);

	tool(name, (struct decision_request){.paths = &p, .path_count = 1});
}

static void file_that(const char *action, const char *path, const char *error)
{
	struct buf b CLEANUP(buf_fini) = buf_init(65536);
	struct json_writer w = json_writer(&b);
	struct span p = span_cstr(path);
	struct decision_request q = {.action = span_cstr(action),
		.paths = &p,
		.path_count = 1,
		.volume = uuid_is_nil(call) ? SPAN("")
					    : SPAN("33000000-0000-0000-0000-000000000000")};
	bool allowed;

	json_object(&w);
	json_field_cstr(&w, "path", path + strlen("/workspace/"));
	if (error)
		json_field_cstr(&w, "error", error);
	put_decision(&w, &q, &allowed);
	json_end(&w);
	append((struct audit_record){.source = AUDIT_FILE,
		.iteration = 1,
		.call_id = call,
		.kind = !allowed                         ? SPAN("FilesystemPolicyViolation")
			: strcmp(action, "fs:read") == 0 ? SPAN("FileRead")
							 : SPAN("FileWritten"),
		.payload = buf_view(&b)});
}

static void file(const char *action, const char *path)
{
	file_that(action, path, NULL);
}

static void kernel(const char *kind, const char *payload)
{
	append((struct audit_record){.source = AUDIT_KERNEL,
		.iteration = 1,
		.call_id = {{0x22}},
		.kind = span_cstr(kind),
		.payload = span_cstr(payload)});
}

static void processes(void)
{
	kernel(AUDIT_KIND_EXECUTED,
		"{\"pid\":10,\"start_ns\":100,\"parent_pid\":1,\"parent_start_ns\":50,\"path\":"
		"\"/usr/bin/"
		"sh\",\"arguments\":[\"sh\",\"-c\",\"x\\u001b[31m\"],\"command\":\"sh\"}");
	kernel(AUDIT_KIND_FORKED,
		"{\"pid\":11,\"start_ns\":110,\"parent_pid\":10,\"parent_start_ns\":100,"
		"\"command\":"
		"\"sh\"}");
	kernel(AUDIT_KIND_EXECUTED,
		"{\"pid\":11,\"start_ns\":110,\"parent_pid\":10,\"parent_start_ns\":100,\"path\":"
		"\"/usr/bin/curl\",\"arguments\":[\"curl\"],\"command\":\"curl\"}");
	kernel(AUDIT_KIND_EXITED,
		"{\"pid\":11,\"start_ns\":110,\"parent_pid\":10,\"parent_start_ns\":100,\"status\":"
		"7,"
		"\"command\":\"curl\"}");
	kernel(AUDIT_KIND_FLOW,
		"{\"address\":\"192.0.2.9\",\"port\":443,\"sent_bytes\":12,\"received_bytes\":34,"
		"\"end\":\"closed\"}");
	kernel("SomethingLater", "{\"novel\":1}");
}

static void denied_packets(void)
{
	kernel(AUDIT_KIND_NETWORK_DENIED,
		"{\"hook\":\"connect\",\"address\":\"192.0.2.7\",\"port\":443,\"protocol\":6,"
		"\"reason\":\"no rule permits "
		"it\",\"policy_id\":\"\",\"pid\":11,\"command\":\"curl\"}");
	kernel(AUDIT_KIND_NETWORK_DENIED, /* no policy is asked about it */
		"{\"hook\":\"send\",\"address\":\"192.0.2.7\",\"port\":0,\"protocol\":17,"
		"\"reason\":\"a fragment\",\"policy_id\":\"\"}");
}

static void record_run(void)
{
	struct span python[] = {SPAN("python3"), SPAN("main.py")};
	struct span rm[] = {SPAN("rm"), SPAN("-rf"), SPAN("/")};

	tool_on("fs.read", "/workspace/a.txt");
	tool_on("fs.write", "/workspace/out/b.txt");
	tool_on("fs.read", "/workspace/secret/key");
	tool("cmd.run",
		(struct decision_request){
			.argv = python, .argv_count = 2, .cwd = SPAN("/workspace")});
	tool("cmd.run",
		(struct decision_request){.argv = rm, .argv_count = 3, .cwd = SPAN("/workspace")});
	file("fs:read", "/workspace/a.txt");
	file("fs:read", "/workspace/main.py");
	file("fs:write", "/workspace/out/b.txt");
	file("fs:write", "/workspace/a.txt");
	file_that("fs:read", "/workspace/alone.txt", "ENOENT");
	processes();
	denied_packets();
}

static void record_path(void)
{
	struct span program[] = {SPAN("/opt/tools/build")};

	tool("cmd.run",
		(struct decision_request){
			.argv = program, .argv_count = 1, .cwd = SPAN("/workspace")});
	file("fs:read", "/workspace/a.txt");
}

/* The event of a call that wrote a file: what decided is the file's verdict. */
static void call_that_wrote(const char *path)
{
	struct buf b CLEANUP(buf_fini) = buf_init(65536);
	struct json_writer w = json_writer(&b);
	struct span p = span_cstr(path);
	struct decision_request q = {.action = SPAN("fs:write"), .paths = &p, .path_count = 1};
	bool allowed;

	json_object(&w);
	json_field_cstr(&w, "tool_name", "fs.write");
	put_decision(&w, &q, &allowed);
	json_end(&w);
	event(allowed ? "InvocationCompleted" : "ToolPolicyViolation", buf_cstr(&b));
}

static void record_twice(void)
{
	file("fs:read", "/workspace/a.txt");
	call.bytes[0] = 1;
	file("fs:write", "/workspace/out/b.txt");
	call_that_wrote("/workspace/out/b.txt");
	call.bytes[0] = 2;
	call_that_wrote("/workspace/secret/key");
	file("fs:write", "/workspace/secret/key");
}

int main(int argc, char **argv)
{
	struct journal_options o = {.dir = argv[1], .sync = JOURNAL_SYNC_NONE};
	char details[256];

	CHECK(argc >= 2);
	arena = arena_new(16 * 1024 * 1024);
	bool by_path = argc > 2 && strcmp(argv[2], "path") == 0;
	set = make_set(by_path);
	CHECK(arena && journal_open(&o, &journal) == 0);
	CHECK(journal_policy_set(
		      journal, rule_set_hash(set), rule_set_text(set, arena), DEADLINE_NONE) == 0);
	snprintf(details, sizeof(details),
		"{\"agent_name\":\"coder\",\"agent_version\":\"1.0.0\",\"policy_set\":\"" SPAN_FMT
		"\"}",
		SPAN_ARG(rule_set_hash(set)));
	event("ExecutionStarted", details);
	if (argc == 2)
		record_run();
	if (by_path)
		record_path();
	if (argc > 2 && strcmp(argv[2], "twice") == 0)
		record_twice();
	for (int i = 0; argc > 2 && i < atoi(argv[2]); i++) {
		char path[64];
		snprintf(path, sizeof(path), "/workspace/d%d/f%d", i % 10, i % 1000);
		file("fs:read", path);
	}
	journal_close(journal);
	printf(SPAN_FMT "\n", SPAN_ARG(rule_set_hash(set)));
	rule_set_unref(set);
	arena_free(arena);
	return 0;
}
