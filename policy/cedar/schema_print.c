/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Schemas written in Cedar syntax, as they were declared, in the reference's layout: two blanks for
 * each level. Some schemas can be said in JSON only: they are refused.
 */
#include "policy/cedar/schema_ast.h"

static void indent(struct buf *b, int level)
{
	for (int i = 0; i < level; i++)
		buf_puts(b, "  ");
}

static void print_notes(struct buf *b, const struct schema_notes *notes, int level)
{
	for (size_t i = 0; i < notes->count; i++) {
		indent(b, level);
		buf_putc(b, '@');
		buf_span(b, notes->items[i].name);
		if (notes->items[i].has_value) {
			buf_putc(b, '(');
			cedar_print_string(b, notes->items[i].value);
			buf_putc(b, ')');
		}
		buf_putc(b, '\n');
	}
}

static void print_label(struct buf *b, struct span name)
{
	if (cedar_identifier(name) && !cedar_reserved_word(name))
		buf_span(b, name);
	else
		cedar_print_string(b, name);
}

static void print_type(struct buf *b, const struct schema_type *t, int level);

static void print_record(struct buf *b, const struct schema_type *t, int level)
{
	buf_puts(b, t->member_count ? "{\n" : "{");
	for (size_t i = 0; i < t->member_count; i++) {
		const struct schema_member *m = &t->members[i];
		print_notes(b, &m->notes, level + 1);
		indent(b, level + 1);
		print_label(b, m->name);
		buf_puts(b, m->required ? ": " : "?: ");
		print_type(b, m->type, level + 1);
		buf_puts(b, i + 1 < t->member_count ? ",\n" : "\n");
	}
	if (t->member_count)
		indent(b, level);
	buf_putc(b, '}');
}

static void print_type(struct buf *b, const struct schema_type *t, int level)
{
	switch (t->form) {
	case FORM_STRING:
		buf_puts(b, "__cedar::String");
		break;
	case FORM_LONG:
		buf_puts(b, "__cedar::Long");
		break;
	case FORM_BOOL:
		buf_puts(b, "__cedar::Bool");
		break;
	case FORM_SET:
		buf_puts(b, "Set<");
		print_type(b, t->element, level);
		buf_putc(b, '>');
		break;
	case FORM_RECORD:
		print_record(b, t, level);
		break;
	default:
		buf_puts(b, t->form == FORM_EXTENSION ? "__cedar::" : "");
		buf_span(b, t->name);
		break;
	}
}

static void print_refs(struct buf *b, const char *before, const struct schema_refs *refs)
{
	buf_puts(b, before);
	for (size_t i = 0; i < refs->count; i++) {
		buf_puts(b, i ? ", " : "[");
		buf_span(b, refs->items[i].name);
	}
	buf_putc(b, ']');
}

static void print_entity(struct buf *b, const struct entity_decl *e, int level)
{
	print_notes(b, &e->notes, level);
	indent(b, level);
	buf_puts(b, "entity ");
	buf_span(b, e->name);
	for (size_t i = 0; i < e->choice_count; i++) {
		buf_puts(b, i ? ", " : " enum [");
		cedar_print_string(b, e->choices[i]);
	}
	if (e->choice_count)
		buf_putc(b, ']');
	if (e->parents.count)
		print_refs(b, " in ", &e->parents);
	if (!schema_type_empty(e->shape)) {
		buf_puts(b, " = ");
		print_type(b, e->shape, level);
	}
	if (e->tags) {
		buf_puts(b, " tags ");
		print_type(b, e->tags, level);
	}
	buf_puts(b, ";\n");
}

static void print_applies(struct buf *b, const struct action_decl *a, int level)
{
	buf_puts(b, " appliesTo {\n");
	indent(b, level + 1);
	print_refs(b, "principal: ", &a->principals);
	buf_puts(b, ",\n");
	indent(b, level + 1);
	print_refs(b, "resource: ", &a->resources);
	buf_puts(b, ",\n");
	indent(b, level + 1);
	buf_puts(b, "context: ");
	print_type(b, a->context, level + 1);
	buf_putc(b, '\n');
	indent(b, level);
	buf_putc(b, '}');
}

static void print_action(struct buf *b, const struct action_decl *a, int level)
{
	print_notes(b, &a->notes, level);
	indent(b, level);
	buf_puts(b, "action ");
	cedar_print_string(b, a->name);
	for (size_t i = 0; i < a->parent_count; i++) {
		const struct schema_ref *type = &a->parents[i].type;
		buf_puts(b, i ? ", " : " in [");
		buf_span(b, type->name.p ? type->name : SPAN("Action"));
		buf_puts(b, "::");
		cedar_print_string(b, a->parents[i].id);
	}
	if (a->parent_count)
		buf_putc(b, ']');
	if (a->principals.count && a->resources.count)
		print_applies(b, a, level);
	buf_puts(b, ";\n");
}

static void print_declarations(struct buf *b, const struct schema_namespace *n, int level)
{
	size_t left = n->common_count + n->entity_count + n->action_count;
	for (size_t i = 0; i < n->common_count; i++) {
		print_notes(b, &n->commons[i].notes, level);
		indent(b, level);
		buf_puts(b, "type ");
		buf_span(b, n->commons[i].name);
		buf_puts(b, " = ");
		print_type(b, n->commons[i].type, level);
		buf_puts(b, --left ? ";\n\n" : ";\n");
	}
	for (size_t i = 0; i < n->entity_count; i++) {
		print_entity(b, &n->entities[i], level);
		buf_puts(b, --left ? "\n" : "");
	}
	for (size_t i = 0; i < n->action_count; i++) {
		print_action(b, &n->actions[i], level);
		buf_puts(b, --left ? "\n" : "");
	}
}

/* What Cedar syntax cannot say: a reference to an entity type beside a common type of the same
 * name, and an entity's attributes by the name of a type. */
static int check_sayable(const struct schema_namespace *n)
{
	for (size_t i = 0; n->name.n > 0 && i < n->entity_count; i++)
		for (size_t j = 0; j < n->common_count; j++)
			if (span_eq(n->entities[i].name, n->commons[j].name))
				return err_raise(-EINVAL,
					"namespace `" SPAN_FMT "`: `" SPAN_FMT
					"` is an entity type "
					"and a common type; Cedar syntax needs two names",
					SPAN_ARG(n->name), SPAN_ARG(n->entities[i].name));
	for (size_t i = 0; i < n->entity_count; i++)
		if (n->entities[i].shape->form != FORM_RECORD)
			return err_raise(-EINVAL,
				"namespace `" SPAN_FMT "`: the shape of `" SPAN_FMT
				"` is the name of a type; Cedar syntax needs the record itself",
				SPAN_ARG(n->name), SPAN_ARG(n->entities[i].name));
	return 0;
}

static void print_namespace(struct buf *b, const struct schema_namespace *n)
{
	if (n->name.n == 0) {
		print_declarations(b, n, 0);
		return;
	}
	print_notes(b, &n->notes, 0);
	buf_puts(b, "namespace ");
	buf_span(b, n->name);
	buf_puts(b, " {\n");
	print_declarations(b, n, 1);
	buf_puts(b, "}\n");
}

int cedar_schema_print(struct buf *b, const struct cedar_schema *s)
{
	const struct schema_fragment *f = s->fragment;
	for (size_t i = 0; i < f->whole_count; i++) {
		int r = check_sayable(&f->whole[i]);
		if (r < 0)
			return err_trace(r);
	}
	for (size_t i = 0; i < f->whole_count; i++) {
		buf_puts(b, i ? "\n" : "");
		print_namespace(b, &f->whole[i]);
	}
	return buf_error(b);
}
