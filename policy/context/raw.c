/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Policies as operators wrote them, taken into a set: each keeps its words, and gets the
 * annotations that say where it stands. Templates are refused, since nothing links them.
 */
#include "policy/context/rules.h"

static int line_of(struct span text, size_t offset)
{
	int line = 1;

	for (size_t i = 0; i < offset && i < text.n; i++)
		line += text.p[i] == '\n';
	return line;
}

static void annotate(struct buf *b, const struct cedar_policy *p, const char *name, struct span v)
{
	if (cedar_policy_annotation(p, name).p)
		return;
	buf_printf(b, "@%s(", name);
	cedar_print_string(b, v);
	buf_puts(b, ")\n");
}

static int add_policy(
	struct rule_set_builder *b, const struct cedar_policy *p, const char *file, int line)
{
	struct span id = cedar_policy_annotation(p, "id");
	struct buf name CLEANUP(buf_fini) = buf_init(LIMIT_PATH_BYTES + 32);

	if (cedar_policy_is_template(p))
		return err_raise(-EINVAL,
			"%s:%d: a template: nothing links it here; write the policy with its "
			"principal and resource",
			file, line);
	if (b->count == LIMIT_RULES)
		return err_raise(-E2BIG, "%s:%d: more than %d policies", file, line, LIMIT_RULES);
	if (id.p && (id.n == 0 || id.n > LIMIT_NAME_BYTES))
		return err_raise(
			-EINVAL, "%s:%d: @id has 1 to %d bytes", file, line, LIMIT_NAME_BYTES);
	b->count++;
	buf_printf(&name, "%s:%d", file, line);
	annotate(&b->text, p, "id", buf_view(&name));
	annotate(&b->text, p, "file", span_cstr(file));
	buf_reset(&name);
	buf_printf(&name, "%d", line);
	annotate(&b->text, p, "line", buf_view(&name));
	cedar_policy_print(&b->text, p);
	buf_putc(&b->text, '\n');
	return 0;
}

int rule_add_cedar(struct rule_set_builder *b, struct span text, const char *file)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_RULE_SET_MEMORY_BYTES);
	struct cedar_policies policies;

	if (!a)
		return err_raise(-ENOMEM, "%s: out of memory", file);
	int r = cedar_policies_parse(a, text, &policies);
	if (r < 0)
		return err_wrap(r, "%s", file);
	for (size_t i = 0; r == 0 && i < policies.count; i++)
		r = add_policy(b, policies.items[i], file,
			line_of(text, cedar_policy_position(policies.items[i])));
	return err_trace(r);
}
