/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * cmd.run: the line is split here, policy decides the argv, and exactly that argv is executed in
 * the sandbox. A line whose meaning depends on a shell is decided and executed as `sh -c LINE`.
 */
#include "daemon/tool/internal.h"

static int command_decide(struct tool_call *c, struct span **argv, size_t *argc)
{
	struct span why = {0}, command = json_str(c->arguments, "command", SPAN(""));
	int r = context_parse_argv(command, c->arena, argv, argc, &why);

	if (r == -EINVAL) {
		r = tool_refuse(c, TOOL_BAD_ARGUMENTS, span_cstr(err_message(r)));
		err_clear();
		return r < 0 ? err_trace(r) : TOOL_PATH_ANSWERED;
	}
	if (r < 0)
		return err_trace(r);
	if (r == CONTEXT_ARGV_SHELL) {
		*argv = arena_make_array(c->arena, struct span, 3);
		if (!*argv)
			return err_raise(-ENOMEM, "cmd.run: request memory used up");
		(*argv)[0] = SPAN("sh");
		(*argv)[1] = SPAN("-c");
		(*argv)[2] = command;
		*argc = 3;
	}
	struct decision_request q = {
		.execution_id = c->t->execution_id,
		.agent = c->t->agent,
		.tenant = c->t->tenant,
		.action = SPAN("tool:cmd.run"),
		.argv = *argv,
		.argv_count = *argc,
		.cwd = c->t->workspace_path,
	};
	int shell = r;
	r = tool_decide(c, &q);
	if (r < 0)
		return err_trace(r);
	if (c->result->status != TOOL_DENIED)
		return 0;
	if (shell && c->result->decision.code == DECISION_COMMAND_NOT_ALLOWED) {
		r = tool_okf(c, SPAN_FMT "; the command needs a shell because of '" SPAN_FMT "'",
			SPAN_ARG(c->result->content), SPAN_ARG(why));
		c->result->status = TOOL_DENIED;
	}
	return r < 0 ? err_trace(r) : TOOL_PATH_ANSWERED;
}

static int command_answer(struct tool_call *c, const struct tool_dispatch_result *d)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	struct json_writer w = json_writer(&b);

	json_object(&w);
	json_field_span(&w, "stdout", d->stdout_text);
	json_field_span(&w, "stderr", d->stderr_text);
	json_field_i64(&w, "exit_code", d->exit_code);
	if (d->truncated)
		json_field_bool(&w, "truncated", true);
	json_end(&w);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	c->result->status = TOOL_OK;
	c->result->content = arena_span(c->arena, buf_view(&b));
	return c->result->content.p ? 0 : err_raise(-ENOMEM, "cmd.run: request memory used up");
}

int cmd_run_run(struct tool_call *c)
{
	struct tool_dispatch d = {
		.cwd = c->t->workspace_path,
		.timeout_ms = c->t->cmd_timeout_ms,
		.max_output_bytes = c->t->cmd_output_bytes,
	};
	struct tool_dispatch_result result = {0};
	struct span *argv;
	int r = command_decide(c, &argv, &d.argc);
	if (r)
		return r < 0 ? err_trace(r) : 0;
	/* Whoever signs itself is in the sandbox, where commands run, or outside of any. */
	if (!c->t->dispatch || c->envelope->signer == TOOL_SIGNED_BY_AGENT)
		return err_trace(tool_refuse(c, TOOL_FAILED,
			SPAN("cmd.run: there is no sandbox behind this call that could run it")));
	d.argv = argv;
	d.command = argv[0];
	r = tool_effect_begins(c);
	if (r < 0)
		return err_trace(r);
	r = c->t->dispatch(c->t->dispatch_ctx, c->envelope->call_id, &d, c->arena, &result);
	if (r < 0)
		return err_trace(r);
	return err_trace(command_answer(c, &result));
}
