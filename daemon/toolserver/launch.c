/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Children in sandboxes. Programs enter a sandbox only by the runtime registry, which is root's
 * (ARCHITECTURE.md, [8]): the configuration names a language of it, or the path of one of its
 * interpreters, and the arguments; what a server needs besides (its scripts, its packages) stands
 * there in `bind` lines. The environment is the sandbox's own and the server's variables: nothing
 * of the daemon's.
 */
#include "daemon/toolserver/toolserver.h"
#include "policy/context/kernel_rules.h"
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PIDS = 256, OPEN_FILES = 1024, END_MS = 15 * 1000, FILE_BYTES = 1 << 30 };

struct tool_sandboxes {
	struct sandbox_driver *driver;
	const struct runtime_registry *registry;
};

struct sandbox_child {
	struct tool_server_child base;
	struct sandbox *sandbox;
	struct arena *arena; /* of the rules */
	struct rule_set *rules; /* about the network, in the words of policy; NULL: none */
	struct kernel_rules network;
};

int tool_sandboxes_new(struct sandbox_driver *d, const struct runtime_registry *registry,
	struct tool_sandboxes **ret)
{
	struct tool_sandboxes *s = calloc(1, sizeof(*s));

	if (!s)
		return err_raise(-ENOMEM, "tool servers");
	*s = (struct tool_sandboxes){d, registry};
	*ret = s;
	return 0;
}

void tool_sandboxes_free(struct tool_sandboxes *s)
{
	free(s);
}

/* ---- what it is ---- */

/* The same for the same name: its workspace and what a former daemon left are found by it. */
struct uuid tool_server_identity(const char *name)
{
	struct uuid id;
	char text[LIMIT_TOOLSERVER_NAME_BYTES + 32];

	snprintf(text, sizeof(text), "aegis tool server %s", name);
	crypto_generichash(
		id.bytes, sizeof(id.bytes), (const uint8_t *)text, strlen(text), NULL, 0);
	id.bytes[6] = (uint8_t)((id.bytes[6] & 0x0f) | 0x80); /* RFC 9562: version 8 */
	id.bytes[8] = (uint8_t)((id.bytes[8] & 0x3f) | 0x80);
	return id;
}

static int runtime_find(
	const struct runtime_registry *g, const char *executable, const struct runtime **ret)
{
	for (size_t i = 0; executable[0] == '/' && i < runtime_registry_count(g); i++)
		if (strcmp(runtime_registry_at(g, i)->interpreter[0], executable) == 0) {
			*ret = runtime_registry_at(g, i);
			return 0;
		}
	int r = runtime_registry_match(g, span_cstr(executable), SPAN(""), ret);
	return r == 0
		? 0
		: err_wrap(r,
			  "executable '%s' is neither a language of the runtime registry nor the "
			  "interpreter of one of its runtimes; to register it, add there a runtime "
			  "with its interpreter and a bind line for each directory that it needs",
			  executable);
}

/* Whether a path of the host means the same in sandboxes of the runtime. Their /tmp is their own.
 */
static bool is_inside(const struct runtime *runtime, const char *path)
{
	static const char *const always[] = {"/workspace", "/dev", "/proc"};
	struct span p = span_cstr(path);

	for (size_t i = 0; i < runtime->bind_count + ARRAY_LEN(always); i++) {
		struct span top =
			span_cstr(i < runtime->bind_count ? runtime->binds[i].inside
							  : always[i - runtime->bind_count]);
		if (span_starts(p, top) && (p.n == top.n || p.p[top.n] == '/'))
			return true;
	}
	return false;
}

/* A path of the host among the arguments tells the program of a file that it will not find. Only
 * what is there on the host is meant: other arguments may look like paths. */
static const char *unseen_argument(
	struct arena *a, const struct runtime *runtime, const struct tool_server_config *c)
{
	for (size_t i = 0; c->args[i]; i++) {
		const char *equals = strchr(c->args[i], '=');
		const char *path = c->args[i][0] != '/' && equals ? equals + 1 : c->args[i];
		bool there = path[0] == '/' && (access(path, F_OK) == 0 || errno == EACCES);
		if (there && !is_inside(runtime, path))
			return arena_printf(a,
				"'%s' is not seen in its sandbox, which shows only what the "
				"runtime '%s' binds: add a bind line for its folder to the runtime "
				"registry",
				path, runtime->name);
	}
	return NULL;
}

/* Whom it may reach, as what the kernel decides by: the same rules that manifests become. */
static int network_make(struct sandbox_child *child, const struct tool_server_config *c)
{
	struct rule_set_builder *b = rule_set_builder_new();
	const struct decision_request who = {.agent = span_cstr(c->name)};
	int r = b ? 0 : err_raise(-ENOMEM, "the network of a tool server");

	for (size_t i = 0; r == 0 && i < c->network_count; i++) {
		char field[64];
		snprintf(field, sizeof(field), "spec.mcp_servers.network_allowlist[%zu]", i);
		r = rule_allow_connect(b, c->network[i], (struct rule_origin){.field = field});
	}
	if (r == 0) {
		child->rules = rule_set_seal(b);
		r = child->rules
			? rule_set_kernel_rules(child->rules, &who, child->arena, &child->network)
			: err_wrap(-EINVAL, "the network of a tool server");
	}
	rule_set_builder_free(b);
	return err_trace(r);
}

/* ---- its life ---- */

static AWAITS int end_former(struct sandbox_driver *d, struct uuid id, int64_t deadline_ns)
{
	struct sandbox_entry *entries = NULL;
	struct sandbox_ending ending;
	size_t count = 0;
	int r = sandbox_list(d, &entries, &count, deadline_ns);

	for (size_t i = 0; r == 0 && i < count; i++) {
		if (!uuid_eq(entries[i].execution, id))
			continue;
		struct sandbox *s = NULL;
		r = sandbox_adopt(d, &entries[i], &s, deadline_ns);
		if (r == 0 && s->state != SANDBOX_ENDED)
			r = sandbox_end(s, 0, &ending, deadline_ns);
		if (r == 0)
			r = sandbox_release(s, deadline_ns);
		if (r < 0)
			sandbox_forget(s);
	}
	free(entries);
	return err_trace(r);
}

/* "NAME=value", NULL-ended, in one block that ends at *ret_bytes. */
static char **environment_of(const struct tool_server_config *c, size_t *ret_bytes)
{
	size_t bytes = (c->variable_count + 1) * sizeof(char *);

	for (size_t i = 0; i < c->variable_count; i++)
		bytes += strlen(c->variables[i].name) + c->variables[i].value.n + 2;
	char **env = calloc(1, bytes);
	char *at = env ? (char *)(env + c->variable_count + 1) : NULL;
	for (size_t i = 0; env && i < c->variable_count; i++) {
		struct span value = c->variables[i].value;
		env[i] = at;
		at = stpcpy(at, c->variables[i].name);
		*at++ = '=';
		memcpy(at, value.p ? value.p : "", value.n);
		at += value.n + 1;
	}
	*ret_bytes = bytes;
	return env;
}

static AWAITS int sandbox_make(struct tool_sandboxes *s, const struct tool_server_config *c,
	const struct runtime *runtime, struct sandbox_child *child, int64_t deadline_ns)
{
	size_t bytes;
	char **env = environment_of(c, &bytes);
	struct sandbox_spec spec = {.execution = tool_server_identity(c->name),
		.iteration = 1,
		.language = span_cstr(runtime->languages[0]),
		.version = span_cstr(runtime->version),
		.program = (char *const *)c->args,
		.stdio = true,
		.serves = c->http_port,
		.env = env,
		.network = c->network_count ? &child->network : NULL,
		.limits = {.cpu_millis = MAX(c->cpu_millis, 10u),
			.pids = PIDS,
			.memory_bytes = c->memory_bytes,
			.tmp_bytes = c->memory_bytes / 2,
			.file_bytes = FILE_BYTES,
			.open_files = OPEN_FILES}};

	if (!env)
		return err_raise(-ENOMEM, "the environment of a tool server");
	int r = end_former(s->driver, spec.execution, deadline_ns);
	if (r == 0)
		r = sandbox_start(s->driver, &spec, &child->sandbox, deadline_ns);
	secret_wipe(env, bytes);
	free(env);
	return err_trace(r);
}

static void child_free(struct sandbox_child *child)
{
	rule_set_unref(child->rules);
	arena_free(child->arena);
	free(child);
}

static AWAITS int child_start(void *ctx, const struct tool_server_config *c,
	struct tool_server_child **ret, int64_t deadline_ns)
{
	struct tool_sandboxes *s = ctx;
	struct sandbox_child *child = calloc(1, sizeof(*child));
	const struct runtime *runtime;

	if (!child)
		return err_raise(-ENOMEM, "a tool server");
	child->arena = arena_new(LIMIT_RULE_SET_BYTES);
	int r = child->arena ? runtime_find(s->registry, c->executable, &runtime)
			     : err_raise(-ENOMEM, "a tool server");
	if (r == 0)
		child->base.hint = unseen_argument(child->arena, runtime, c);
	if (r == 0 && c->network_count)
		r = network_make(child, c);
	if (r == 0)
		r = sandbox_make(s, c, runtime, child, deadline_ns);
	if (r < 0) {
		child_free(child);
		return err_trace(r);
	}
	CHECK(child->sandbox);
	*ret = &child->base;
	child->base.listener = child->sandbox->listener;
	child->base.fd = rt_accept(child->sandbox->listener, deadline_ns);
	if (child->base.fd >= 0)
		return 0;
	r = child->base.fd == -ETIME ? -EPIPE : child->base.fd;
	return err_raise(r, "it did not start in time");
}

static void log_read(struct sandbox *s, struct buf *words)
{
	char text[1024];
	ssize_t n;

	while (s->log >= 0 && (n = read(s->log, text, sizeof(text))) > 0) {
		if ((size_t)n > words->max - words->len)
			buf_consume(words, MIN(words->len, (size_t)n));
		buf_put(words, text, MIN((size_t)n, words->max));
	}
}

static AWAITS void child_stop(
	void *ctx, struct tool_server_child *base, int64_t grace_ns, struct buf *words)
{
	struct sandbox_child *child = container_of(base, struct sandbox_child, base);
	struct sandbox_ending ending;

	fiber_shield_begin();
	int64_t deadline_ns = deadline_in_ms(END_MS);
	rt_close(child->base.fd);
	int r = sandbox_end(child->sandbox, grace_ns, &ending, deadline_ns);
	if (r == 0) {
		log_read(child->sandbox, words);
		r = sandbox_release(child->sandbox, deadline_ns);
	}
	if (r < 0) { /* whoever starts it next ends it */
		err_log(r, "end a tool server");
		sandbox_forget(child->sandbox);
	}
	fiber_shield_end();
	child_free(child);
}

struct tool_launcher tool_sandboxes_launcher(struct tool_sandboxes *s)
{
	return (struct tool_launcher){child_start, child_stop, s};
}
