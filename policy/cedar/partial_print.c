/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Residuals for people, as expressions in Cedar. Every operation stands in parentheses but chains
 * of one && or ||.
 */
#include "policy/cedar/residual.h"

static void print(struct buf *b, const struct residual *r);

/* An operand: leaves and calls need no parentheses. */
static void operand(struct buf *b, const struct residual *r)
{
	bool bare = r->state != RESIDUAL_OPEN || r->op == EXPR_VAR || r->op == EXPR_ATTR ||
		r->op == EXPR_SET || r->op == EXPR_RECORD || r->op == EXPR_CALL ||
		expr_op_is_method(r->op);
	if (r->state == RESIDUAL_VALUE && r->value.type == VALUE_LONG && r->value.number < 0)
		bare = false;
	buf_puts(b, bare ? "" : "(");
	print(b, r);
	buf_puts(b, bare ? "" : ")");
}

static void arguments(struct buf *b, const struct residual *r, size_t from)
{
	buf_putc(b, '(');
	for (size_t i = from; i < r->count && !b->error; i++) {
		buf_puts(b, i > from ? ", " : "");
		print(b, r->kids[i]);
	}
	buf_putc(b, ')');
}

static void print_call(struct buf *b, const struct residual *r, const char *name, bool method)
{
	if (method) {
		operand(b, r->kids[0]);
		buf_putc(b, '.');
	}
	buf_puts(b, name);
	arguments(b, r, method);
}

static void print_attr(struct buf *b, const struct residual *r)
{
	operand(b, r->kids[0]);
	if (cedar_identifier(r->name) && !cedar_reserved_word(r->name)) {
		buf_putc(b, '.');
		buf_span(b, r->name);
		return;
	}
	buf_putc(b, '[');
	cedar_print_string(b, r->name);
	buf_putc(b, ']');
}

static void print_pattern(struct buf *b, const struct residual *r)
{
	buf_puts(b, " like \"");
	for (size_t i = 0; i < r->name_count; i++) {
		struct buf text CLEANUP(buf_fini) = buf_init(b->max);
		if (r->pieces[i].wildcard) {
			buf_putc(b, '*');
			continue;
		}
		cedar_print_string(&text, r->pieces[i].text);
		for (size_t j = 1; j + 1 < text.len; j++) {
			if (text.data[j] == '*')
				buf_putc(b, '\\');
			buf_putc(b, text.data[j]);
		}
	}
	buf_putc(b, '"');
}

static void print_has(struct buf *b, const struct residual *r)
{
	buf_puts(b, " has ");
	for (size_t i = 0; i < r->name_count; i++) {
		bool plain = cedar_identifier(r->names[i]) && !cedar_reserved_word(r->names[i]);
		buf_puts(b, i ? "." : "");
		if (plain)
			buf_span(b, r->names[i]);
		else
			cedar_print_string(b, r->names[i]);
	}
}

static void print_record(struct buf *b, const struct residual *r)
{
	buf_putc(b, '{');
	for (size_t i = 0; i < r->count && !b->error; i++) {
		buf_puts(b, i ? ", " : "");
		cedar_print_string(b, r->names[i]);
		buf_puts(b, ": ");
		print(b, r->kids[i]);
	}
	buf_putc(b, '}');
}

static void print_infix(struct buf *b, const struct residual *r)
{
	for (size_t i = 0; i < r->count && !b->error; i++) {
		bool chain = r->kids[i]->state == RESIDUAL_OPEN && r->kids[i]->op == r->op &&
			(r->op == EXPR_AND || r->op == EXPR_OR);
		if (i)
			buf_printf(b, " %s ", expr_op_name(r->op));
		(chain ? print : operand)(b, r->kids[i]);
	}
}

static void print_if(struct buf *b, const struct residual *r)
{
	static const char *const words[] = {"if ", " then ", " else "};
	for (size_t i = 0; i < 3 && !b->error; i++) {
		buf_puts(b, words[i]);
		operand(b, r->kids[i]);
	}
}

static void print_open(struct buf *b, const struct residual *r)
{
	switch (r->op) {
	case EXPR_VAR:
		buf_puts(b, cedar_var_names[r->var]);
		break;
	case EXPR_NOT:
	case EXPR_NEG:
		buf_putc(b, r->op == EXPR_NOT ? '!' : '-');
		operand(b, r->kids[0]);
		break;
	case EXPR_IF:
		print_if(b, r);
		break;
	case EXPR_ATTR:
		print_attr(b, r);
		break;
	case EXPR_HAS:
	case EXPR_LIKE:
		operand(b, r->kids[0]);
		(r->op == EXPR_HAS ? print_has : print_pattern)(b, r);
		break;
	case EXPR_IS:
		operand(b, r->kids[0]);
		buf_puts(b, " is ");
		buf_span(b, r->name);
		if (r->count == 2) {
			buf_puts(b, " in ");
			operand(b, r->kids[1]);
		}
		break;
	case EXPR_SET:
		buf_putc(b, '[');
		for (size_t i = 0; i < r->count && !b->error; i++) {
			buf_puts(b, i ? ", " : "");
			print(b, r->kids[i]);
		}
		buf_putc(b, ']');
		break;
	case EXPR_RECORD:
		print_record(b, r);
		break;
	case EXPR_CALL:
		print_call(b, r, ext_name(r->ext), !ext_is_constructor(r->ext));
		break;
	default:
		if (expr_op_is_method(r->op))
			print_call(b, r, expr_op_name(r->op), true);
		else
			print_infix(b, r);
		break;
	}
}

static void print(struct buf *b, const struct residual *r)
{
	if (b->error)
		return;
	if (r->state == RESIDUAL_VALUE) {
		value_print(b, &r->value);
	} else if (r->state == RESIDUAL_ERROR) {
		buf_puts(b, "error(");
		cedar_print_string(b, span_cstr(r->message));
		buf_putc(b, ')');
	} else {
		print_open(b, r);
	}
}

void cedar_residual_print(struct buf *b, const struct residual *r)
{
	print(b, r);
}
