/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Opening an iteration: its workspace, its sandbox, its door. An iteration that was under way when
 * the former process ended looks for its sandbox first: it is adopted alive, or read out if it has
 * ended, and only if it never came to life is another one started. One that lived and is gone
 * without a word makes the iteration `interrupted` (decisions, [4]).
 */
#include "daemon/execution/internal.h"
#include "policy/context/kernel_rules.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static AWAITS int open_workspace(struct iteration *it)
{
	struct flow *f = it->f;
	int r = flow_files_open(f, it->number);

	if (r < 0)
		return err_trace(r);
	const struct execution_limits *limits = &f->x->deps.limits;
	it->tools = (struct tool_context){
		.execution_id = span_cstr(f->id_text),
		.agent = span_cstr(f->manifest->metadata.name),
		.tenant = f->tenant,
		.rules = f->rules,
		.rate = f->rate,
		.workspace = f->workspace.mounts[0].attachment,
		.mounts = it->mounts,
		.mount_count = f->workspace.count - 1,
		.workspace_path = SPAN("/workspace"),
		.dispatch = command_dispatch,
		.dispatch_ctx = it,
		.cmd_timeout_ms = limits->cmd_timeout_ms,
		.cmd_output_bytes = limits->cmd_output_bytes,
		.source = f->x->deps.source,
		.signing_key = f->signing_key,
	};
	for (size_t i = 1; i < f->workspace.count; i++) {
		const struct flow_mount *m = &f->workspace.mounts[i];
		it->mounts[i - 1] = (struct tool_mount){flow_mount_place(m), m->attachment};
	}
	for (size_t i = 0; i < f->manifest->spec.tools.count; i++) {
		const struct agent_cmd_policy *cmd = f->manifest->spec.tools.items[i].cmd;
		if (!cmd)
			continue;
		it->tools.cmd_timeout_ms =
			MIN(it->tools.cmd_timeout_ms, cmd->timeout_ceiling_s * 1000);
		it->tools.cmd_output_bytes =
			MIN(it->tools.cmd_output_bytes, (size_t)cmd->max_output_bytes);
	}
	return 0;
}

/* ---- rules ---- */

/* Lowering policies to what the kernel checks needs a thread's stack. */
struct lowering {
	const struct rule_set *rules;
	struct decision_request who;
	struct arena *arena;
	struct kernel_rules *ret;
	struct rule_calls *ret_calls;
};

static int lower(void *arg)
{
	struct lowering *l = arg;
	int r = rule_set_kernel_rules(l->rules, &l->who, l->arena, l->ret);

	if (r == 0)
		r = rule_set_path_rules(l->rules, &l->who, l->arena, l->ret);
	if (r == 0)
		r = rule_set_call_rules(l->rules, &l->who, l->arena, l->ret_calls);
	return err_trace(r);
}

static int lower_call(void *arg)
{
	struct lowering *l = arg;

	return err_trace(rule_set_kernel_rules(l->rules, &l->who, l->arena, l->ret));
}

static struct decision_request who_of(const struct flow *f)
{
	return (struct decision_request){.execution_id = span_cstr(f->id_text),
		.agent = span_cstr(f->manifest->metadata.name),
		.tenant = f->tenant};
}

/* What the kernel decides by, of the execution's set of policies: whom the sandbox may talk to,
 * which files and programs of its runtime it may have. */
static AWAITS int kernel_rules(struct iteration *it, struct arena *a, struct kernel_rules *ret,
	struct lsm_table *ret_paths)
{
	struct flow *f = it->f;
	struct lowering l = {
		.rules = f->rules,
		.who = who_of(f),
		.arena = a,
		.ret = ret,
		.ret_calls = &it->calls,
	};
	struct rule_set *held = rule_set_ref(f->rules);
	int r = offload_call(f->x->deps.files, lower, &l,
		deadline_earlier(it->deadline_ns, deadline_in_ms(SANDBOX_DEADLINE_MS)));
	rule_set_unref(held);
	const struct sandbox_paths q = {
		.language = span_cstr(f->manifest->spec.runtime.language),
		.version = span_cstr(f->manifest->spec.runtime.version),
		.own_program = it->own_program,
		.rules = ret,
		.offload = f->x->deps.files,
		.arena = a,
	};
	if (r == 0)
		r = sandbox_lower_paths(f->x->deps.sandboxes, &q, ret_paths,
			deadline_earlier(it->deadline_ns, deadline_in_ms(SANDBOX_DEADLINE_MS)));
	if (r != SANDBOX_PATHS_UNDECIDED)
		return err_trace(r);
	return f->x->deps.programs_decided
		? err_raise(-EOPNOTSUPP,
			  "policy about programs and files would not hold: this kernel has BPF "
			  "LSM, "
			  "but aegis-helper could not load its programs (see its log)")
		: 0;
}

/* The iteration's own fibers go on meanwhile, so that its arena is not to be used. */
static AWAITS int take_kernel_rules(struct iteration *it)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_ITERATION_ARENA_BYTES);
	struct kernel_rules rules = {0};
	struct lsm_table paths = {0};

	it->kernel_by = rule_set_generation(it->f->rules);
	int r = a ? kernel_rules(it, a, &rules, &paths)
		  : err_raise(-ENOMEM, "rules: out of memory");
	if (r == 0)
		r = sandbox_set_network(
			it->f->sandbox, &rules, deadline_in_ms(SANDBOX_DEADLINE_MS));
	if (r == 0)
		r = sandbox_set_paths(it->f->sandbox, &paths, deadline_in_ms(SANDBOX_DEADLINE_MS));
	if (r == 0 && it->command.identity)
		r = iteration_lease(it);
	return err_trace(r);
}

static bool is_out(const struct iteration *it, const struct outstanding *call)
{
	return it->command.identity == call->identity;
}

/* By one set: another that comes meanwhile is lowered, too. What was lowered for a call that is
 * over meanwhile is nobody's: another one may be out. */
static AWAITS int lease_once(struct iteration *it, const struct outstanding *call, struct arena *a)
{
	struct flow *f = it->f;
	struct kernel_rules rules = {0};
	struct rule_set *held = rule_set_ref(f->rules);
	struct lowering l = {.rules = held, .who = who_of(f), .arena = a, .ret = &rules};

	l.who.call_tool = SPAN("cmd.run");
	l.who.call_program = call->program;
	int r = offload_call(f->x->deps.files, lower_call, &l, deadline_in_ms(SANDBOX_DEADLINE_MS));
	rule_set_unref(held);
	if (r < 0 || !is_out(it, call))
		return err_trace(r);
	const struct sandbox_call_rules q = {.network = &rules,
		.tool = l.who.call_tool,
		.program = l.who.call_program,
		.own = it->calls.asked,
		.lasts_ms = MAX((int64_t)0, (call->lease_ends_ns - rt_now_ns()) / NS_PER_MS),
		.again = call->again};
	r = sandbox_call_set_rules(
		f->sandbox, call->id, call->identity, &q, deadline_in_ms(SANDBOX_DEADLINE_MS));
	if (r == 0 && is_out(it, call))
		it->command.ruled = true;
	return err_trace(r);
}

int iteration_lease(struct iteration *it)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_ITERATION_ARENA_BYTES);
	const struct outstanding call = it->command;
	uint64_t taken;
	int r = a ? 0 : err_raise(-ENOMEM, "lease: out of memory");

	do {
		taken = rule_set_generation(it->f->rules);
		/* One of a former daemon may have had rules that policy knows nothing of now. */
		if (r == 0 && (it->calls.asked || it->command.ruled || call.again))
			r = lease_once(it, &call, a);
	} while (r == 0 && is_out(it, &call) && taken != rule_set_generation(it->f->rules));
	return err_trace(r);
}

int iteration_take_rules(struct iteration *it)
{
	struct flow *f = it->f;
	uint64_t taken;
	int r = 0;

	do {
		taken = rule_set_generation(f->rules);
		it->tools.rules = f->rules;
		it->tools.rate = f->rate;
		flow_files_set_rules(f);
		if (f->sandbox && f->sandbox->state != SANDBOX_ENDED && it->kernel_by != taken)
			r = take_kernel_rules(it);
	} while (r == 0 && taken != rule_set_generation(f->rules));
	return err_trace(r);
}

/* ---- a new sandbox ---- */

static struct sandbox_limits limits_of(const struct agent_spec *spec)
{
	uint64_t memory = (uint64_t)spec->security.resources.memory_bytes;

	return (struct sandbox_limits){
		.cpu_millis = (uint32_t)spec->security.resources.cpu_millicores,
		.pids = 256,
		.memory_bytes = memory,
		.tmp_bytes = memory / 2,
		.file_bytes = (uint64_t)spec->security.resources.disk_bytes,
		.open_files = 1024,
	};
}

static AWAITS int spawned_record(struct iteration *it)
{
	struct record rec;
	char id[24];
	int r = record_begin(it->f, &rec);

	if (r == 0) {
		record_event(&rec, EVENT_INSTANCE_SPAWNED, it->number);
		snprintf(id, sizeof(id), "%llu", (unsigned long long)it->f->sandbox->id);
		json_field_cstr(&rec.w, "instance_id", id);
		json_field_cstr(&rec.w, "isolation", it->f->x->deps.sandboxes->ops->kind);
		snprintf(id, sizeof(id), "%llu", (unsigned long long)it->f->sandbox->identity);
		json_field_cstr(&rec.w, "cgroup_id", id);
		json_field_cstr(&rec.w, "file_access", executions_file_access(it->f->x));
		json_field_cstr(&rec.w, "program_access", executions_program_access(it->f->x));
		json_field_cstr(&rec.w, "public_key", it->f->public_key_text);
		r = record_event_end(&rec);
	}
	if (r == 0)
		r = record_publish(&rec);
	record_fini(&rec);
	return err_trace(r);
}

/* The volumes below /workspace. */
static int volumes_of(const struct iteration *it, struct sandbox_volume **ret, size_t *ret_count)
{
	const struct workspace *w = &it->f->workspace;
	struct sandbox_volume *v = arena_make_array(it->arena, struct sandbox_volume, w->count);

	for (size_t i = 1; v && i < w->count; i++) {
		const struct flow_mount *m = &w->mounts[i];
		v[i - 1] = (struct sandbox_volume){
			m->id, m->read_only, arena_cstr(it->arena, flow_mount_place(m))};
		if (!v[i - 1].at)
			v = NULL;
	}
	*ret = v;
	*ret_count = w->count - 1;
	return v ? 0 : err_raise(-ENOMEM, "sandbox: out of memory");
}

static AWAITS int start_sandbox(struct iteration *it)
{
	struct flow *f = it->f;
	const struct agent_spec *spec = &f->manifest->spec;
	char *program[2] = {NULL, NULL}, *prompt;
	struct sandbox_spec s = {
		.execution = f->id,
		.iteration = it->number,
		.strict = spec->security.recording == AGENT_RECORDING_STRICT,
		.language = span_cstr(spec->runtime.language),
		.version = span_cstr(spec->runtime.version),
		.limits = limits_of(spec),
		.workspace = f->workspace.mounts[0].id,
		.read_only = f->workspace.mounts[0].read_only,
	};
	struct kernel_rules rules = {0};
	struct lsm_table paths = {0};
	struct sandbox_volume *volumes = NULL;
	struct sandbox_files files = {
		.volume = f->workspace.mounts[0].id,
		.read_only = f->workspace.mounts[0].read_only,
		.serve = flow_files_serve,
		.ctx = f,
	};
	char **env;

	it->kernel_by = rule_set_generation(f->rules);
	int r = prompt_render(f, it->number, !it->own_program, it->arena, &prompt);

	if (r == 0)
		r = environment_make(f, it->number, it->arena, &env);
	if (r == 0)
		r = kernel_rules(it, it->arena, &rules, &paths);
	if (r == 0)
		r = volumes_of(it, &volumes, &s.volume_count);
	if (r < 0)
		return err_trace(r);
	s.volumes = volumes;
	s.prompt = prompt;
	s.env = env;
	s.network = &rules;
	s.network_in_calls = it->calls.permitted;
	s.paths = &paths;
	if (f->x->deps.files_mediated) {
		files.tenant = arena_cstr(it->arena, f->tenant);
		if (!files.tenant)
			return err_raise(-ENOMEM, "sandbox: out of memory");
		s.files = &files;
	}
	if (it->own_program) {
		program[0] = arena_strdup(it->arena, spec->advanced->bootstrap_path);
		s.program = program;
		if (!program[0])
			return err_raise(-ENOMEM, "sandbox: out of memory");
	}
	r = sandbox_start(f->x->deps.sandboxes, &s, &f->sandbox,
		deadline_earlier(it->deadline_ns, deadline_in_ms(SANDBOX_DEADLINE_MS)));
	if (r == 0)
		r = spawned_record(it);
	return err_trace(r);
}

/* ---- an old one ---- */

static AWAITS int find_sandbox(struct iteration *it)
{
	struct sandbox_driver *d = it->f->x->deps.sandboxes;
	struct sandbox_entry *entries = NULL;
	size_t count = 0;
	int r = sandbox_list(d, &entries, &count, deadline_in_ms(SANDBOX_DEADLINE_MS));

	for (size_t i = 0; r == 0 && i < count; i++) {
		if (!uuid_eq(entries[i].execution, it->f->id) || entries[i].iteration != it->number)
			continue;
		r = sandbox_adopt(
			d, &entries[i], &it->f->sandbox, deadline_in_ms(SANDBOX_DEADLINE_MS));
		if (r == -ENOENT) { /* gone since the list was made, with its helper */
			err_clear();
			r = 0;
			break;
		}
		if (r == 0 && it->f->sandbox->state != SANDBOX_ENDED)
			r = flow_files_serve_again(it->f);
		break;
	}
	free(entries);
	return err_trace(r);
}

static bool has_spawned(const struct iteration *it)
{
	return it->spawned || it->conversation || it->program_reported || it->ending_recorded;
}

static AWAITS int resume_sandbox(struct iteration *it)
{
	int r = find_sandbox(it);

	if (r < 0 || it->ending_recorded)
		return err_trace(r);
	if (!it->f->sandbox && !has_spawned(it))
		return err_trace(start_sandbox(it));
	if (!it->f->sandbox) {
		it->ended = true;
		it->ending = (struct sandbox_ending){.how = SANDBOX_END_UNKNOWN};
		return 0;
	}
	if (it->f->sandbox->state == SANDBOX_ENDED) {
		it->ended = true;
		return err_trace(sandbox_wait(
			it->f->sandbox, &it->ending, deadline_in_ms(SANDBOX_DEADLINE_MS)));
	}
	return it->spawned ? 0 : err_trace(spawned_record(it));
}

/* ---- the door ---- */

static int open_door(struct iteration *it)
{
	struct http_listen l = {.tag = it->f, .max_connections = LIMIT_SANDBOX_CONNECTIONS};

	if (it->ended || it->f->sandbox->listener < 0)
		return 0;
	int fd = fcntl(it->f->sandbox->listener, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return err_sys(-errno, "the sandbox's listening socket");
	return err_trace(http_server_listen(it->f->x->server, fd, &l, &it->listener));
}

int iteration_open(struct iteration *it)
{
	int r = open_workspace(it);

	if (r == 0)
		r = it->resumed ? resume_sandbox(it) : start_sandbox(it);
	if (r < 0)
		return err_trace(r);
	/* An adopted sandbox has gone on under the kernel's rules, but what they are called, and
	 * names, are ours; and the node's policies may have changed since this began. */
	r = iteration_take_rules(it);
	if (r < 0)
		return err_trace(r);
	it->f->now = it; /* before the first connection can come in */
	return err_trace(open_door(it));
}
