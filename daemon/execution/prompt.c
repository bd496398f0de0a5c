/* SPDX-License-Identifier: AGPL-3.0-only */
/* What an agent is told: the manifest's template, filled in, with the history in front of it. */
#include "daemon/execution/internal.h"
#include "daemon/template/template.h"

/* Upstream's, for manifests without prompt_template. */
static const char default_template[] = "{{#if instruction}}Task: {{instruction}}\n"
				       "\n"
				       "{{/if}}{{#if input}}Input: {{input}}{{/if}}";

static void context_texts_put(struct json_writer *w, const struct agent_manifest *m)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_TEMPLATE_BYTES);

	for (size_t i = 0; i < m->spec.context.count; i++) {
		const struct agent_context *c = &m->spec.context.items[i];
		if (c->type != AGENT_CONTEXT_TEXT || !c->content)
			continue;
		if (b.len)
			buf_puts(&b, "\n\n");
		buf_puts(&b, c->content);
	}
	json_field_span(w, "context", b.error ? SPAN("") : buf_view(&b));
}

static void input_put(struct json_writer *w, const struct flow *f)
{
	const struct json *input = f->input;

	json_key(w, "input");
	if (input && input->type != JSON_NULL)
		json_put(w, input);
	else if (f->intent.n)
		json_put_span(w, f->intent);
	else if (f->manifest->spec.task.input_data)
		json_put(w, f->manifest->spec.task.input_data);
	else
		json_put_null(w);
}

int prompt_context(struct flow *f, uint32_t number, struct arena *a, const struct json **ret)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	struct json_writer w = json_writer(&b);
	const struct attempt *last = f->attempt_count ? &f->attempts[f->attempt_count - 1] : NULL;

	json_object(&w);
	json_field_cstr(&w, "instruction", f->manifest->spec.task.instruction);
	input_put(&w, f);
	json_field_span(&w, "intent", f->intent);
	json_field_i64(&w, "iteration_number", number);
	json_field_span(&w, "previous_error",
		!last                      ? SPAN("")
			: last->feedback.n ? last->feedback
					   : last->error);
	json_field_cstr(&w, "agentskills", "");
	context_texts_put(&w, f->manifest);
	if (f->overrides) {
		json_key(&w, "context_overrides");
		json_put(&w, f->overrides);
	}
	json_end(&w);
	int r = buf_error(&b);
	return r < 0 ? err_trace(r) : err_trace(json_parse(a, buf_view(&b), NULL, ret));
}

static void part_put(struct buf *b, const char *title, struct span text)
{
	if (text.n)
		buf_printf(b, "%s:\n%.*s\n", title, (int)MIN(text.n, (size_t)INT32_MAX), text.p);
}

/* As upstream's bootstrap words it. The newest attempts are kept, as many as fit. */
static void history_put(const struct flow *f, struct buf *b)
{
	size_t first = f->attempt_count, bytes = 0;

	while (first > 0) {
		const struct attempt *a = &f->attempts[first - 1];
		bytes += a->output.n + a->error.n + a->feedback.n + 128;
		if (bytes > LIMIT_EXECUTION_HISTORY_BYTES)
			break;
		first--;
	}
	if (f->attempt_count == 0)
		return;
	buf_puts(b, "\n\n# Previous Attempts:\n");
	for (size_t i = first; i < f->attempt_count; i++) {
		const struct attempt *a = &f->attempts[i];
		buf_printf(b, "\n## Iteration %u:\n", a->number);
		part_put(b, "Output", a->output);
		part_put(b, "Error", a->error);
		part_put(b, "Feedback", a->feedback);
	}
	buf_puts(b, "\n# Current Attempt:\n");
}

int prompt_history(struct flow *f, struct arena *a, struct span *ret)
{
	struct buf b CLEANUP(buf_fini) = buf_init(2 * LIMIT_EXECUTION_HISTORY_BYTES);
	struct json_writer w = json_writer(&b);

	json_array(&w);
	for (size_t i = 0; i < f->attempt_count; i++) {
		const struct attempt *x = &f->attempts[i];
		json_object(&w);
		json_field_i64(&w, "iteration", x->number);
		json_field_span(&w, "output", span_sub(x->output, 0, 4096));
		json_field_span(&w, "error", span_sub(x->error, 0, 4096));
		json_field_span(&w, "feedback", span_sub(x->feedback, 0, 4096));
		json_end(&w);
	}
	json_end(&w);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	*ret = span_cstr(arena_cstr(a, buf_view(&b)));
	return ret->p ? 0 : err_raise(-ENOMEM, "history: out of memory");
}

int prompt_render(struct flow *f, uint32_t number, bool with_history, struct arena *a, char **ret)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_EXECUTION_PROMPT_BYTES);
	const char *text = f->manifest->spec.task.prompt_template;
	const struct template *t;
	const struct json *context;

	int r = template_parse(a, span_cstr(text ? text : default_template), &t);
	if (r < 0)
		return err_wrap(r, "spec.task.prompt_template");
	r = prompt_context(f, number, a, &context);
	if (r < 0)
		return err_trace(r);
	if (with_history)
		history_put(f, &b);
	r = template_render(t, context, &b);
	if (r < 0)
		return err_wrap(r, "the prompt");
	char *copy = arena_cstr(a, buf_view(&b));
	if (!copy)
		return err_raise(-ENOMEM, "prompt: out of memory");
	if (strlen(copy) != b.len)
		return err_raise(-EINVAL, "the prompt holds a NUL character");
	*ret = copy;
	return 0;
}
