/* SPDX-License-Identifier: AGPL-3.0-only */
/* Tool calls as a model makes them: right, wrong, forbidden, and meant to hurt. */
#include "daemon/tool/tool.h"
#include "nfs/backend/backend.h"
#include "tests/unit/daemon/rt/in_fiber.h"
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct fixture {
	char folder[64];
	int root;
	struct arena *arena;
	struct offload *offload;
	struct fsal *fsal;
	struct fsal_volume *volume;
	struct rule_set *rules;
	struct tool_context context;
	uint8_t public_key[crypto_sign_PUBLICKEYBYTES];
	uint8_t key[crypto_sign_SECRETKEYBYTES];
	/* what was dispatched last */
	int dispatches;
	char argv[256]; /* joined by '|' */
	struct tool_result result;
};

static int dispatch(void *ctx, struct span call_id, const struct tool_dispatch *d, struct arena *a,
	struct tool_dispatch_result *ret)
{
	struct fixture *f = ctx;
	struct buf b CLEANUP(buf_fini) = buf_init(sizeof(f->argv) - 1);
	for (size_t i = 0; i < d->argc; i++) {
		buf_puts(&b, i ? "|" : "");
		buf_span(&b, d->argv[i]);
	}
	snprintf(f->argv, sizeof(f->argv), "%s", buf_cstr(&b));
	f->dispatches++;
	*ret = (struct tool_dispatch_result){
		.exit_code = 3, .stdout_text = SPAN("out"), .stderr_text = SPAN("err \xff")};
	return 0;
}

static struct rule_origin at(const char *field)
{
	return (struct rule_origin){.field = field};
}

static struct rule_set *rules_new(void)
{
	static const char *const scripts[] = {"/workspace"};
	struct rule_set_builder *b = rule_set_builder_new();
	EXPECT_INT(rule_allow_tool(b, "fs.*", at("tools[0]")), 0);
	EXPECT_INT(rule_deny_tool(b, "fs.delete", at("deny[0]")), 0);
	EXPECT_INT(rule_allow_tool(b, "cmd.run", at("tools[1]")), 0);
	EXPECT_INT(rule_allow_command(b, "ls", NULL, 0, at("cmd[0]")), 0);
	EXPECT_INT(rule_allow_command(b, "python3", scripts, 1, at("cmd[1]")), 0);
	EXPECT_INT(rule_allow_path(b, "fs:read", "/workspace", at("read[0]")), 0);
	EXPECT_INT(rule_allow_path(b, "fs:write", "/workspace/w", at("write[0]")), 0);
	struct rule_set *s = rule_set_seal(b);
	rule_set_builder_free(b);
	return s;
}

static void begin(struct fixture *f)
{
	*f = (struct fixture){0};
	strcpy(f->folder, "/tmp/aegis-tool-XXXXXX");
	EXPECT(mkdtemp(f->folder) != NULL);
	f->root = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	EXPECT_INT(mkdirat(f->root, "w", 0755), 0);
	f->arena = arena_new(64 * 1024 * 1024);
	f->rules = rules_new();
	EXPECT_INT(offload_start("files", 2, 64, &f->offload), 0);
	EXPECT_INT(fsal_start(&(struct fsal_options){.key = {1}}, &f->fsal), 0);
	struct backend_local_options local = {.offload = f->offload};
	EXPECT_INT(backend_local_open(f->fsal, dup(f->root), &local, SPAN("v"), &f->volume), 0);
	crypto_sign_keypair(f->public_key, f->key);
	f->context = (struct tool_context){
		.execution_id = SPAN("e1"),
		.agent = SPAN("a1"),
		.tenant = SPAN("t1"),
		.rules = f->rules,
		.workspace_path = SPAN("/workspace"),
		.dispatch = dispatch,
		.dispatch_ctx = f,
		.cmd_timeout_ms = 1000,
		.cmd_output_bytes = 1024,
		.signing_key = f->key,
	};
	struct fsal_attach_options o = {.execution_id = SPAN("e1"),
		.agent = SPAN("a1"),
		.mount_path = SPAN("/workspace"),
		.rules = f->rules};
	EXPECT_INT(fsal_attach(f->volume, &o, &f->context.workspace), 0);
}

static void end(struct fixture *f)
{
	fsal_detach(f->context.workspace);
	fsal_volume_free(f->volume);
	fsal_stop(f->fsal);
	offload_stop(f->offload);
	rule_set_unref(f->rules);
	arena_free(f->arena);
	close(f->root);
	EXPECT_INT(fd_remove_tree(AT_FDCWD, f->folder), 0);
}

/* Calls a tool; true if it ended with that status and its content begins with `content`. */
static bool call(struct fixture *f, const char *name, const char *arguments,
	enum tool_status status, const char *content)
{
	struct tool_envelope e = {.call_id = SPAN("call-1"),
		.name = span_cstr(name),
		.arguments = span_cstr(arguments)};
	e.signer = TOOL_SIGNED_BY_DAEMON;
	EXPECT_INT(tool_invoke(&f->context, &e, f->arena, DEADLINE_NONE, &f->result), 0);
	if (f->result.status == status && span_starts(f->result.content, span_cstr(content)))
		return true;
	fprintf(stderr, "%s %s: status %d, content '" SPAN_FMT "'\n", name, arguments,
		(int)f->result.status, SPAN_ARG(f->result.content));
	return false;
}

static void body_arguments(void *arg)
{
	struct fixture f;
	begin(&f);
	EXPECT(call(&f, "fs.none", "{}", TOOL_UNKNOWN, "Unknown tool 'fs.none'"));
	EXPECT(call(&f, "fs.read", "{}", TOOL_BAD_ARGUMENTS,
		"Invalid tool arguments: required field 'path' is missing or null for tool "
		"'fs.read'"));
	EXPECT(call(&f, "fs.read", "{\"path\":null}", TOOL_BAD_ARGUMENTS,
		"Invalid tool arguments: required field 'path' is missing or null"));
	EXPECT(call(
		&f, "fs.read", "", TOOL_BAD_ARGUMENTS, "Invalid tool arguments: required field"));
	EXPECT(call(&f, "fs.read", "{\"path\":1}", TOOL_BAD_ARGUMENTS,
		"Invalid tool arguments: field 'path' must be a string, not number"));
	EXPECT(call(&f, "fs.read", "{\"path\":\"a\",\"pth\":1}", TOOL_BAD_ARGUMENTS,
		"Invalid tool arguments: unknown field 'pth'; tool 'fs.read' takes path"));
	EXPECT(call(&f, "fs.read", "[1]", TOOL_BAD_ARGUMENTS, "Invalid tool arguments: an object"));
	EXPECT(call(&f, "fs.read", "{\"path\":", TOOL_BAD_ARGUMENTS,
		"Invalid tool arguments: not JSON"));
	EXPECT(call(&f, "fs.read", "{\"path\":\"a\",\"path\":\"b\"}", TOOL_BAD_ARGUMENTS,
		"Invalid tool arguments: not JSON"));
	EXPECT(call(&f, "fs.read", "{\"path\":\"../x\"}", TOOL_BAD_ARGUMENTS,
		"path '../x' contains '..'"));
	EXPECT(call(&f, "fs.multi_edit", "{\"path\":\"a\",\"edits\":[]}", TOOL_BAD_ARGUMENTS,
		"Invalid tool arguments: field 'edits'"));
	EXPECT(call(&f, "fs.multi_edit", "{\"path\":\"a\",\"edits\":[{\"target_content\":\"x\"}]}",
		TOOL_BAD_ARGUMENTS, "Invalid tool arguments: edits[0]"));
	EXPECT_INT(tool_status_rpc_code(f.result.status), -32602);
	end(&f);
}

static void body_files(void *arg)
{
	struct fixture f;
	begin(&f);
	EXPECT(call(&f, "fs.write", "{\"path\":\"w/a.txt\",\"content\":\"one two\\n\"}", TOOL_OK,
		"Wrote 8 bytes to w/a.txt"));
	EXPECT(f.result.decision.allowed && span_is(f.result.decision.policy_id, "write[0]"));
	EXPECT(call(&f, "fs.read", "{\"path\":\"/workspace/w/a.txt\"}", TOOL_OK, "one two\n"));
	EXPECT(call(
		&f, "fs.create_dir", "{\"path\":\"w/d/e\"}", TOOL_OK, "Created directory w/d/e"));
	EXPECT(call(&f, "fs.create_dir", "{\"path\":\"w/d/e\"}", TOOL_OK, "Created directory"));
	EXPECT(call(&f, "fs.create_dir", "{\"path\":\"w/a.txt\"}", TOOL_FAILED, "ALREADY_EXISTS"));
	EXPECT(call(&f, "fs.list", "{\"path\":\"w\"}", TOOL_OK, "a.txt\nd/\n"));
	EXPECT(call(&f, "fs.read", "{\"path\":\"w/none\"}", TOOL_FAILED, "NOT_FOUND"));
	/* No file was decided: what is on record is the decision on the tool, and its question. */
	EXPECT(f.result.decision.allowed && span_is(f.result.decision.policy_id, "tools[0]"));
	EXPECT(span_find(f.result.canonical_request, SPAN("tool:fs.read"), 0) > 0);
	EXPECT(call(&f, "fs.edit",
		"{\"path\":\"w/a.txt\",\"target_content\":\"two\",\"replacement_content\":\"three "
		"three\"}",
		TOOL_OK, "Edited w/a.txt: 1 replacement"));
	EXPECT(call(&f, "fs.edit",
		"{\"path\":\"w/a.txt\",\"target_content\":\"three\",\"replacement_content\":\"x\"}",
		TOOL_FAILED, "edit 1: target_content occurs more than once"));
	EXPECT(call(&f, "fs.multi_edit",
		"{\"path\":\"w/"
		"a.txt\",\"edits\":[{\"target_content\":\"one\",\"replacement_content\":\"1\"},"
		"{\"target_content\":\"four\",\"replacement_content\":\"4\"}]}",
		TOOL_FAILED, "edit 2: target_content does not occur"));
	EXPECT(call(&f, "fs.read", "{\"path\":\"w/a.txt\"}", TOOL_OK, "one three three\n"));
	EXPECT(call(&f, "fs.multi_edit",
		"{\"path\":\"w/"
		"a.txt\",\"edits\":[{\"target_content\":\"one\",\"replacement_content\":\"1\"},"
		"{\"target_content\":\"1 three\",\"replacement_content\":\"\"}]}",
		TOOL_OK, "Edited w/a.txt: 2 replacements"));
	EXPECT(call(&f, "fs.read", "{\"path\":\"w/a.txt\"}", TOOL_OK, " three\n"));
	end(&f);
}

static void body_denied(void *arg)
{
	struct fixture f;
	begin(&f);
	EXPECT(call(&f, "fs.write", "{\"path\":\"x\",\"content\":\"\"}", TOOL_DENIED,
		"Denied: PATH_NOT_ALLOWED (2002): fs:write of '/workspace/x' is not allowed"));
	EXPECT(span_is(f.result.canonical_request,
		"{\"action\":\"fs:write\",\"agent\":\"a1\",\"execution_id\":\"e1\",\"paths\":[\"/"
		"workspace/x\"],"
		"\"tenant\":\"t1\"}"));
	EXPECT_INT(tool_status_rpc_code(f.result.status), -32000);
	EXPECT(faccessat(f.root, "x", F_OK, 0) < 0);
	EXPECT(call(&f, "fs.read", "{\"path\":\"/etc/passwd\"}", TOOL_DENIED,
		"Denied: PATH_NOT_ALLOWED"));
	EXPECT(call(&f, "fs.read", "{\"path\":\"/workspace2/x\"}", TOOL_DENIED,
		"Denied: PATH_NOT_ALLOWED"));
	EXPECT(call(
		&f, "fs.delete", "{\"path\":\"w\"}", TOOL_DENIED, "Denied: TOOL_DENIED (2001)"));
	EXPECT(span_is(f.result.decision.policy_id, "deny[0]"));
	EXPECT(faccessat(f.root, "w", F_OK, 0) == 0);
	/* A link out of the volume is the file layer's to refuse. */
	EXPECT_INT(symlinkat("/etc", f.root, "w/etc"), 0);
	EXPECT(call(
		&f, "fs.read", "{\"path\":\"w/etc/passwd\"}", TOOL_FAILED, "PathOutsideBoundary"));
	EXPECT(call(&f, "fs.write", "{\"path\":\"w/etc/x\",\"content\":\"\"}", TOOL_FAILED,
		"PathOutsideBoundary"));
	end(&f);
}

/* The tools and whoever holds objects, a mount's server, say: what one writes the other reads, in
 * the file that both know and in one that was replaced. */
static void body_agree(void *arg)
{
	struct fixture f;
	struct fsal_call c = {.may_park = true, .deadline_ns = DEADLINE_NONE};
	struct fsal_object *dir, *o;
	struct fsal_attr attr;
	struct fsal_post post;
	struct fsal_wcc wcc;
	enum fsal_stability committed;
	char text[64], p[64];
	size_t n;
	bool eof;
	int stale = 0;

	begin(&f);
	EXPECT_INT(fsal_walk(&c, f.context.workspace, SPAN("w"), true, &dir), 0);
	fsal_ref(dir);
	EXPECT(call(&f, "fs.write", "{\"path\":\"w/x\",\"content\":\"start\"}", TOOL_OK, "Wrote"));
	for (int i = 0; i < 1000; i++) {
		snprintf(text, sizeof(text), "{\"path\":\"w/x\",\"content\":\"tool %d\"}", i);
		EXPECT(call(&f, "fs.write", text, TOOL_OK, "Wrote"));
		EXPECT_INT(fsal_lookup(&c, dir, SPAN("x"), &o, &attr, &post), 0);
		EXPECT_INT(fsal_read(&c, o, 0, p, sizeof(p), &n, &eof, &post), 0);
		snprintf(text, sizeof(text), "tool %d", i);
		stale += !span_is(span_of(p, n), text);
		snprintf(text, sizeof(text), "mount %d      ", i);
		EXPECT_INT(
			fsal_write(&c, o, 0, span_cstr(text), FSAL_UNSTABLE, &committed, &wcc), 0);
		arena_reset(f.arena);
		EXPECT(call(&f, "fs.read", "{\"path\":\"w/x\"}", TOOL_OK, ""));
		stale += !span_is(f.result.content, text);
		arena_reset(f.arena);
	}
	EXPECT_INT(stale, 0);
	fsal_unref(dir);
	end(&f);
}

static void body_search(void *arg)
{
	struct fixture f;
	begin(&f);
	EXPECT_INT(symlinkat("..", f.root, "w/up"), 0);
	EXPECT(call(&f, "fs.write", "{\"path\":\"w/a.py\",\"content\":\"x = 1\\ny = 2\\n\"}",
		TOOL_OK, ""));
	EXPECT(call(&f, "fs.create_dir", "{\"path\":\"w/src/b\"}", TOOL_OK, ""));
	EXPECT(call(
		&f, "fs.write", "{\"path\":\"w/src/b/c.py\",\"content\":\"y = 3\"}", TOOL_OK, ""));
	EXPECT(call(&f, "fs.write", "{\"path\":\"w/src/b/c.bin\",\"content\":\"y\\u0000\"}",
		TOOL_OK, ""));
	EXPECT(call(&f, "fs.glob", "{\"pattern\":\"*.py\",\"path\":\"w\"}", TOOL_OK,
		"a.py\nsrc/b/c.py\n"));
	EXPECT(call(&f, "fs.glob", "{\"pattern\":\"src/**/*.py\",\"path\":\"w\"}", TOOL_OK,
		"src/b/c.py\n"));
	EXPECT(f.result.content.n == strlen("src/b/c.py\n"));
	EXPECT(call(&f, "fs.glob", "{\"pattern\":\"*.none\",\"path\":\"w\"}", TOOL_OK, ""));
	EXPECT(f.result.content.n == 0);
	EXPECT(call(&f, "fs.grep", "{\"pattern\":\"^y\",\"path\":\"w\"}", TOOL_OK,
		"a.py:2:y = 2\nsrc/b/c.py:1:y = 3\n"));
	EXPECT(f.result.content.n == strlen("a.py:2:y = 2\nsrc/b/c.py:1:y = 3\n"));
	EXPECT(call(&f, "fs.grep", "{\"pattern\":\"x\",\"path\":\"w/a.py\"}", TOOL_OK,
		"w/a.py:1:x = 1\n"));
	EXPECT(call(&f, "fs.grep", "{\"pattern\":\"(\",\"path\":\"w\"}", TOOL_BAD_ARGUMENTS,
		"Invalid tool arguments: 'pattern' at byte 1"));
	EXPECT(call(&f, "fs.grep", "{\"pattern\":\"x\",\"path\":\"/etc\"}", TOOL_DENIED, "Denied"));
	/* A pattern that would run for ever is cut off. */
	char aaa[200];
	snprintf(aaa, sizeof(aaa), "{\"path\":\"w/evil\",\"content\":\"%s\"}",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!");
	EXPECT(call(&f, "fs.write", aaa, TOOL_OK, ""));
	EXPECT(call(&f, "fs.grep", "{\"pattern\":\"^(a|aa|aaa)+$\",\"path\":\"w/evil\"}", TOOL_OK,
		"w/evil:1:[the pattern needs too many steps"));
	end(&f);
}

static void body_commands(void *arg)
{
	struct fixture f;
	begin(&f);
	EXPECT(call(&f, "cmd.run", "{\"command\":\"ls -l 'a b'\"}", TOOL_OK,
		"{\"stdout\":\"out\",\"stderr\":\"err \xef\xbf\xbd\",\"exit_code\":3}"));
	EXPECT(strcmp(f.argv, "ls|-l|a b") == 0);
	EXPECT(call(&f, "cmd.run", "{\"command\":\"python3 w/a.py\"}", TOOL_OK, "{"));
	EXPECT_INT(f.dispatches, 2);
	EXPECT(call(&f, "cmd.run", "{\"command\":\"python3 -c 'import os'\"}", TOOL_DENIED,
		"Denied: COMMAND_NOT_ALLOWED (2003): command 'python3 -c' is not allowed"));
	EXPECT(call(&f, "cmd.run", "{\"command\":\"ls && curl http://x\"}", TOOL_DENIED,
		"Denied: COMMAND_NOT_ALLOWED (2003): command 'sh -c' is not allowed"));
	EXPECT(span_find(f.result.content, SPAN("needs a shell because of '&'"), 0) >= 0);
	EXPECT(call(&f, "cmd.run", "{\"command\":\"\"}", TOOL_BAD_ARGUMENTS, "command is empty"));
	EXPECT(call(&f, "cmd.run", "{\"command\":\"ls 'x\"}", TOOL_BAD_ARGUMENTS,
		"command: the single quote"));
	EXPECT_INT(f.dispatches, 2);
	end(&f);
}

static void body_envelope(void *arg)
{
	struct fixture f;
	uint8_t signature[crypto_sign_BYTES];
	struct buf b CLEANUP(buf_fini) = buf_init(256);
	begin(&f);
	EXPECT(call(&f, "fs.list", "{ \"path\" : \"w\" }", TOOL_OK, ""));
	EXPECT(span_starts(f.result.envelope,
		SPAN("{\"payload\":{\"id\":\"call-1\",\"jsonrpc\":\"2.0\",\"method\":\"tools/"
		     "call\",\"params\":{"
		     "\"arguments\":{\"path\":\"w\"},\"name\":\"fs.list\"}},\"timestamp\":")));
	EXPECT_INT(base64_decode(&b, f.result.signature, BASE64_STANDARD), 0);
	EXPECT(b.len == sizeof(signature));
	memcpy(signature, b.data, sizeof(signature));
	EXPECT_INT(crypto_sign_verify_detached(signature, (const uint8_t *)f.result.envelope.p,
			   f.result.envelope.n, f.public_key),
		0);
	/* A denied call is sealed as well: what was asked is on record. */
	EXPECT(call(&f, "fs.delete", "{\"path\":\"w\"}", TOOL_DENIED, ""));
	EXPECT(f.result.signature.n > 0);
	end(&f);
}

struct asked {
	int calls;
	int answer;
	bool decided;
};

static int note_allowed(void *ctx, const struct tool_result *so_far)
{
	struct asked *a = ctx;
	a->calls++;
	a->decided = so_far->decision.allowed && so_far->canonical_request.n > 0;
	return a->answer;
}

/* A call that a client signed: its own bytes are kept, and effects wait for the record. */
static void body_signed_by_agent(void *arg)
{
	struct fixture f;
	struct asked asked = {0};
	struct tool_envelope e = {.call_id = SPAN("call-1"),
		.name = SPAN("fs.write"),
		.arguments = SPAN("{\"path\":\"w/s\",\"content\":\"x\"}"),
		.signer = TOOL_SIGNED_BY_AGENT,
		.signature = SPAN("c2ln"),
		.canonical = SPAN("{\"payload\":1}")};
	begin(&f);
	e.allowed = note_allowed;
	e.allowed_ctx = &asked;
	asked.answer = -EIO;
	EXPECT_INT(tool_invoke(&f.context, &e, f.arena, DEADLINE_NONE, &f.result), -EIO);
	EXPECT(asked.calls == 1 && asked.decided);
	EXPECT(call(&f, "fs.read", "{\"path\":\"w/s\"}", TOOL_FAILED, "NOT_FOUND"));
	EXPECT_INT(asked.calls, 1); /* reading has no effect */
	asked.answer = 0;
	EXPECT_INT(tool_invoke(&f.context, &e, f.arena, DEADLINE_NONE, &f.result), 0);
	EXPECT(f.result.status == TOOL_OK && asked.calls == 2);
	EXPECT(span_is(f.result.envelope, "{\"payload\":1}"));
	EXPECT(span_is(f.result.signature, "c2ln"));
	e.name = SPAN("fs.delete"); /* denied: nothing is about to happen */
	e.arguments = SPAN("{\"path\":\"w/s\"}");
	EXPECT_INT(tool_invoke(&f.context, &e, f.arena, DEADLINE_NONE, &f.result), 0);
	EXPECT(f.result.status == TOOL_DENIED && asked.calls == 2);
	e.name = SPAN("cmd.run"); /* it has commands of its own */
	e.arguments = SPAN("{\"command\":\"ls\"}");
	EXPECT_INT(tool_invoke(&f.context, &e, f.arena, DEADLINE_NONE, &f.result), 0);
	EXPECT(f.result.status == TOOL_FAILED && asked.calls == 2);
	end(&f);
}

static int change_rules(void *ctx, const struct tool_result *so_far)
{
	struct fixture *f = ctx;
	struct rule_set_builder *b = rule_set_builder_new();
	EXPECT_INT(rule_allow_tool(b, "fs.*", at("tools[0]")), 0);
	rule_set_unref(f->rules);
	f->rules = rule_set_seal(b);
	f->context.rules = f->rules;
	rule_set_builder_free(b);
	return 0;
}

/* While a call waits for its record the rules may change: what is decided after that is decided by
 * the new ones, and what the old ones decided is still known. */
static void body_rules_change_meanwhile(void *arg)
{
	struct fixture f;
	struct tool_envelope e = {.call_id = SPAN("call-1"),
		.name = SPAN("fs.write"),
		.arguments = SPAN("{\"path\":\"/data/x\",\"content\":\"x\"}"),
		.signer = TOOL_SIGNED_BY_AGENT,
		.allowed = change_rules,
		.allowed_ctx = &f};
	begin(&f);
	struct rule_set_builder *b = rule_set_builder_new();
	EXPECT_INT(rule_allow_tool(b, "fs.*", at("tools[0]")), 0);
	EXPECT_INT(rule_allow_path(b, "fs:write", "/data", at("write[0]")), 0);
	rule_set_unref(f.rules);
	f.rules = rule_set_seal(b);
	f.context.rules = f.rules;
	rule_set_builder_free(b);
	EXPECT_INT(tool_invoke(&f.context, &e, f.arena, DEADLINE_NONE, &f.result), 0);
	EXPECT_INT(f.result.status, TOOL_DENIED);
	EXPECT(span_eq(f.result.decision.policy_set, rule_set_hash(f.rules)));
	end(&f);
}

/* A caller from outside: no workspace, no sandbox. Policy is asked all the same. */
static void body_caller_without_place(void *arg)
{
	struct fixture f;
	begin(&f);
	struct fsal_attachment *workspace = f.context.workspace;
	f.context.workspace = NULL;
	f.context.dispatch = NULL;
	EXPECT(call(&f, "fs.write", "{\"path\":\"x\",\"content\":\"\"}", TOOL_DENIED, "Denied: "));
	EXPECT(call(&f, "fs.read", "{\"path\":\"w\"}", TOOL_FAILED,
		"NOT_FOUND: this caller has no workspace"));
	EXPECT(call(&f, "cmd.run", "{\"command\":\"curl x\"}", TOOL_DENIED, "Denied: "));
	EXPECT(call(&f, "cmd.run", "{\"command\":\"ls\"}", TOOL_FAILED,
		"cmd.run: there is no sandbox behind this call"));
	EXPECT(call(&f, "aegis.system.info", "{}", TOOL_DENIED, "Denied: "));
	f.context.workspace = workspace;
	end(&f);
}

static void body_rate(void *arg)
{
	struct fixture f;
	begin(&f);
	struct rule_set_builder *b = rule_set_builder_new();
	EXPECT_INT(rule_allow_tool(b, "*", at("t")), 0);
	EXPECT_INT(rule_allow_path(b, "fs:read", "/workspace", at("r")), 0);
	EXPECT_INT(rule_rate_limit(b, "fs.list", 2, 60000, at("rate[0]")), 0);
	struct rule_set *s = rule_set_seal(b);
	rule_set_builder_free(b);
	f.context.rules = s;
	f.context.rate = rate_state_new(s);
	EXPECT(call(&f, "fs.list", "{\"path\":\"w\"}", TOOL_OK, ""));
	EXPECT(call(&f, "fs.list", "{\"path\":\"w\"}", TOOL_OK, ""));
	EXPECT(call(&f, "fs.list", "{\"path\":\"w\"}", TOOL_DENIED,
		"Denied: RATE_LIMIT_EXCEEDED (2005)"));
	EXPECT(call(&f, "fs.glob", "{\"path\":\"w\",\"pattern\":\"*\"}", TOOL_OK, ""));
	EXPECT(call(&f, "aegis.system.info", "{}", TOOL_OK, "{\"name\":\"aegis\""));
	EXPECT(call(&f, "fs.grep", "{\"path\":\"w\",\"pattern\":\"x\"}", TOOL_OK, ""));
	rate_state_free(f.context.rate);
	rule_set_unref(s);
	end(&f);
}

/* A context's lists hold for the tool call itself, and an answer beyond the size is kept back. */
static void body_context(void *arg)
{
	static const char *const paths[] = {"/workspace/w"};
	const struct rule_capability cap = {
		.tool_pattern = "fs.*", .paths = {paths, 1}, .max_response_bytes = 8};
	const struct rule_context context = {
		.name = "c", .capabilities = &cap, .capability_count = 1};
	struct fixture f;
	begin(&f);
	struct rule_set_builder *b = rule_set_builder_new();
	EXPECT_INT(rule_add_context(b, &context, RULE_CONTEXT_GRANTS), 0);
	struct rule_set *s = rule_set_seal(b);
	rule_set_builder_free(b);
	f.context.rules = s;
	EXPECT(call(&f, "fs.list", "{\"path\":\".\"}", TOOL_DENIED,
		"Denied: PATH_NOT_ALLOWED (2002): tool:fs.list of '/workspace'"));
	EXPECT(call(&f, "fs.list", "{\"path\":\"../etc\"}", TOOL_BAD_ARGUMENTS, ""));
	EXPECT(call(&f, "fs.write", "{\"path\":\"w/a\",\"content\":\"123456789\"}", TOOL_FAILED,
		"OUTPUT_SIZE_EXCEEDED"));
	EXPECT(call(&f, "fs.read", "{\"path\":\"w/a\"}", TOOL_FAILED, "OUTPUT_SIZE_EXCEEDED"));
	EXPECT(call(&f, "fs.list", "{\"path\":\"w\"}", TOOL_OK, "a"));
	rule_set_unref(s);
	end(&f);
}

static void schemas(void **state)
{
	const struct tool_description *d, *before = NULL;
	struct arena *a = arena_new(1024 * 1024);
	const struct json *v;
	for (size_t i = 0; (d = tool_at(i)); i++) {
		struct buf b CLEANUP(buf_fini) = buf_init(65536);
		struct json_writer w = json_writer(&b);
		tool_schema_put(&w, d);
		assert_int_equal(json_parse(a, buf_view(&b), NULL, &v), 0);
		assert_true(json_get(v, "required")->count <= d->argument_count);
		assert_true(json_get(v, "properties")->count == d->argument_count);
		assert_ptr_equal(tool_find(span_cstr(d->name)), d);
		/* Operators' policies may name it. */
		char *action = arena_printf(a, "\"tool:%s\"", d->name);
		assert_true(span_find(context_schema(), span_cstr(action), 0) >= 0);
		assert_true(!before || strcmp(before->name, d->name) < 0);
		before = d;
	}
	arena_free(a);
}

/* Two permits that both decide are both on record; of a call that was never decided, nothing is. */
static void every_policy_on_record(void **state)
{
	const struct span ids[] = {SPAN("first"), SPAN("second")};
	struct decision d = {
		.allowed = true,
		.policy_id = ids[0],
		.policy_ids = ids,
		.policy_count = 2,
		.policy_set = SPAN("0123456789abcdef0123456789abcdef"
				   "0123456789abcdef0123456789abcdef"),
	};
	struct buf b CLEANUP(buf_fini) = buf_init(4096);
	struct json_writer w = json_writer(&b);

	json_object(&w);
	assert_int_equal(tool_decision_put(&w, &d, SPAN("{}"), TOOL_SIGNED_BY_AGENT), 0);
	json_end(&w);
	assert_int_equal(buf_error(&b), 0);
	struct span text = buf_view(&b);
	assert_non_null(memmem(text.p, text.n, "\"first\"", 7));
	assert_non_null(memmem(text.p, text.n, "\"second\"", 8));
	assert_non_null(memmem(text.p, text.n, "\"agent\"", 7));

	size_t before = b.len;
	d.policy_set = SPAN("");
	assert_int_equal(tool_decision_put(&w, &d, SPAN("{}"), TOOL_SIGNED_BY_DAEMON), 0);
	assert_int_equal(b.len, before);
}

#define IN_FIBER(name) \
	static void name(void **state) \
	{ \
		in_fiber(body_##name); \
	}
IN_FIBER(arguments)
IN_FIBER(files)
IN_FIBER(denied)
IN_FIBER(agree)
IN_FIBER(search)
IN_FIBER(commands)
IN_FIBER(envelope)
IN_FIBER(signed_by_agent)
IN_FIBER(rules_change_meanwhile)
IN_FIBER(caller_without_place)
IN_FIBER(rate)
IN_FIBER(context)

/* What is called here is what policy knows, and what changes nothing there is read-only here. */
static void policy_knows_the_same_tools(void **state)
{
	const struct tool_description *d;
	size_t n = 0;

	(void)state;
	for (; (d = tool_at(n)); n++) {
		const struct context_tool *t = context_tool_at(n);
		assert_non_null(t);
		assert_string_equal(d->name, t->name);
		if (context_tool_is_file(t))
			assert_int_equal(d->read_only, !t->writes);
	}
	assert_true(n > 0);
	assert_null(context_tool_at(n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(schemas),
		cmocka_unit_test(policy_knows_the_same_tools),
		cmocka_unit_test(every_policy_on_record),
		cmocka_unit_test(arguments),
		cmocka_unit_test(files),
		cmocka_unit_test(denied),
		cmocka_unit_test(agree),
		cmocka_unit_test(search),
		cmocka_unit_test(commands),
		cmocka_unit_test(envelope),
		cmocka_unit_test(signed_by_agent),
		cmocka_unit_test(rules_change_meanwhile),
		cmocka_unit_test(caller_without_place),
		cmocka_unit_test(rate),
		cmocka_unit_test(context),
	};
	return cmocka_run_group_tests_name("daemon/tool", tests, NULL, NULL);
}
