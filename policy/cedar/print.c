/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The tree as source text on one line for each clause. Parentheses stand where reading the text
 * again would otherwise give another tree.
 */
#include "policy/cedar/ast.h"
#include "policy/cedar/lex.h"

enum { PREC_IF, PREC_OR, PREC_AND, PREC_RELATION, PREC_ADD, PREC_MUL, PREC_UNARY, PREC_MEMBER };

void cedar_print_string(struct buf *b, struct span s)
{
	buf_putc(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c == '"' || c == '\\')
			buf_printf(b, "\\%c", c);
		else if (c == '\n')
			buf_puts(b, "\\n");
		else if (c == '\r')
			buf_puts(b, "\\r");
		else if (c == '\t')
			buf_puts(b, "\\t");
		else if (c == 0)
			buf_puts(b, "\\0");
		else if (c < 0x20 || c == 0x7f)
			buf_printf(b, "\\u{%x}", c);
		else
			buf_putc(b, (char)c);
	}
	buf_putc(b, '"');
}

static void print_uid(struct buf *b, const struct cedar_uid *u)
{
	buf_span(b, u->type);
	buf_puts(b, "::");
	cedar_print_string(b, u->id);
}

static bool bare(struct span name)
{
	return cedar_identifier(name) && !cedar_reserved_word(name);
}

static void print_key(struct buf *b, struct span name)
{
	if (bare(name))
		buf_span(b, name);
	else
		cedar_print_string(b, name);
}

/* Whether the names behind `has` can be joined by points. */
static bool joinable(const struct expr *e)
{
	for (size_t i = 0; e->name_count > 1 && i < e->name_count; i++)
		if (!bare(e->names[i]))
			return false;
	return true;
}

static int precedence(const struct expr *e)
{
	switch (e->op) {
	case EXPR_IF:
		return PREC_IF;
	case EXPR_OR:
		return PREC_OR;
	case EXPR_AND:
		return PREC_AND;
	case EXPR_EQ:
	case EXPR_NE:
	case EXPR_LT:
	case EXPR_LE:
	case EXPR_GT:
	case EXPR_GE:
	case EXPR_IN:
	case EXPR_LIKE:
	case EXPR_IS:
		return PREC_RELATION;
	case EXPR_HAS:
		return joinable(e) ? PREC_RELATION : PREC_AND;
	case EXPR_ADD:
	case EXPR_SUB:
		return PREC_ADD;
	case EXPR_MUL:
		return PREC_MUL;
	case EXPR_NOT:
	case EXPR_NEG:
		return PREC_UNARY;
	case EXPR_LONG:
		return e->number < 0 ? PREC_UNARY : PREC_MEMBER;
	default:
		return PREC_MEMBER;
	}
}

static void print_at(struct buf *b, const struct expr *e, int least)
{
	bool paren = precedence(e) < least;
	if (paren)
		buf_putc(b, '(');
	expr_print(b, e);
	if (paren)
		buf_putc(b, ')');
}

static void print_kids(struct buf *b, const struct expr *e, size_t from)
{
	for (size_t i = from; i < e->count; i++) {
		if (i > from)
			buf_puts(b, ", ");
		expr_print(b, e->kids[i]);
	}
}

static void print_record(struct buf *b, const struct expr *e)
{
	buf_putc(b, '{');
	for (size_t i = 0; i < e->count; i++) {
		if (i)
			buf_puts(b, ", ");
		print_key(b, e->names[i]);
		buf_puts(b, ": ");
		expr_print(b, e->kids[i]);
	}
	buf_putc(b, '}');
}

static void print_pattern(struct buf *b, const struct expr *e)
{
	buf_puts(b, " like \"");
	for (size_t i = 0; i < e->name_count; i++) {
		const struct pattern_piece *piece = &e->pieces[i];
		struct buf quoted CLEANUP(buf_fini) = buf_init(LIMIT_CEDAR_TEXT_BYTES * 4);
		if (piece->wildcard) {
			buf_putc(b, '*');
			continue;
		}
		cedar_print_string(&quoted, piece->text);
		for (size_t at = 1; at + 1 < quoted.len; at++) {
			if (quoted.data[at] == '*')
				buf_putc(b, '\\');
			buf_putc(b, quoted.data[at]);
		}
	}
	buf_putc(b, '"');
}

static void print_call(struct buf *b, const struct expr *e)
{
	size_t first = ext_is_constructor(e->ext) || e->ext == EXT_UNKNOWN || e->count == 0 ? 0 : 1;
	if (first) {
		print_at(b, e->kids[0], PREC_MEMBER);
		buf_putc(b, '.');
	}
	buf_span(b, e->ext == EXT_UNKNOWN ? e->function : span_cstr(ext_name(e->ext)));
	buf_putc(b, '(');
	print_kids(b, e, first);
	buf_putc(b, ')');
}

static void print_method(struct buf *b, const struct expr *e)
{
	print_at(b, e->kids[0], PREC_MEMBER);
	buf_printf(b, ".%s(", expr_op_name(e->op));
	print_kids(b, e, 1);
	buf_putc(b, ')');
}

/* `-` in front of a literal makes it a negative one, and five unary operators in a row are refused:
 * parentheses part them. */
static void print_unary(struct buf *b, const struct expr *e)
{
	const struct expr *kid = e->kids[0];
	bool paren = precedence(kid) < PREC_MEMBER || (e->op == EXPR_NEG && kid->op == EXPR_LONG);
	buf_putc(b, e->op == EXPR_NOT ? '!' : '-');
	if (paren)
		buf_putc(b, '(');
	expr_print(b, kid);
	if (paren)
		buf_putc(b, ')');
}

static void print_binary(struct buf *b, const struct expr *e)
{
	int at = precedence(e);
	print_at(b, e->kids[0], at == PREC_RELATION ? PREC_ADD : at);
	buf_printf(b, " %s ", expr_op_name(e->op));
	print_at(b, e->kids[1], at + 1);
}

/* Names that are no identifiers, which JSON may hold, cannot be joined by points: one step after
 * the other. */
static void print_steps(struct buf *b, const struct expr *e)
{
	for (size_t i = 0; i < e->name_count; i++) {
		buf_puts(b, i ? " && " : "");
		print_at(b, e->kids[0], i ? PREC_MEMBER : PREC_ADD);
		for (size_t j = 0; j < i; j++) {
			buf_putc(b, '[');
			cedar_print_string(b, e->names[j]);
			buf_putc(b, ']');
		}
		buf_puts(b, " has ");
		print_key(b, e->names[i]);
	}
}

static void print_has(struct buf *b, const struct expr *e)
{
	if (!joinable(e)) {
		print_steps(b, e);
		return;
	}
	print_at(b, e->kids[0], PREC_ADD);
	buf_puts(b, " has ");
	for (size_t i = 0; i < e->name_count; i++) {
		if (i)
			buf_putc(b, '.');
		print_key(b, e->names[i]);
	}
}

static void print_attr(struct buf *b, const struct expr *e)
{
	print_at(b, e->kids[0], PREC_MEMBER);
	if (bare(e->string)) {
		buf_putc(b, '.');
		buf_span(b, e->string);
	} else {
		buf_putc(b, '[');
		cedar_print_string(b, e->string);
		buf_putc(b, ']');
	}
}

static void print_if(struct buf *b, const struct expr *e)
{
	static const char *const words[] = {"if ", " then ", " else "};
	for (size_t i = 0; i < 3; i++) {
		buf_puts(b, words[i]);
		expr_print(b, e->kids[i]);
	}
}

static void print_is(struct buf *b, const struct expr *e)
{
	print_at(b, e->kids[0], PREC_ADD);
	buf_puts(b, " is ");
	buf_span(b, e->string);
	if (e->count > 1) {
		buf_puts(b, " in ");
		print_at(b, e->kids[1], PREC_ADD);
	}
}

static void print_leaf(struct buf *b, const struct expr *e)
{
	switch (e->op) {
	case EXPR_BOOL:
		buf_puts(b, e->boolean ? "true" : "false");
		break;
	case EXPR_LONG:
		buf_printf(b, "%lld", (long long)e->number);
		break;
	case EXPR_STRING:
		cedar_print_string(b, e->string);
		break;
	case EXPR_UID:
		print_uid(b, &e->uid);
		break;
	case EXPR_SLOT:
		buf_putc(b, '?');
		buf_puts(b, cedar_var_names[e->var]);
		break;
	default:
		buf_puts(b, cedar_var_names[e->var]);
		break;
	}
}

void expr_print(struct buf *b, const struct expr *e)
{
	switch (e->op) {
	case EXPR_BOOL:
	case EXPR_LONG:
	case EXPR_STRING:
	case EXPR_UID:
	case EXPR_VAR:
	case EXPR_SLOT:
		print_leaf(b, e);
		return;
	case EXPR_NOT:
	case EXPR_NEG:
		print_unary(b, e);
		return;
	case EXPR_IF:
		print_if(b, e);
		return;
	case EXPR_ATTR:
		print_attr(b, e);
		return;
	case EXPR_HAS:
		print_has(b, e);
		return;
	case EXPR_LIKE:
		print_at(b, e->kids[0], PREC_ADD);
		print_pattern(b, e);
		return;
	case EXPR_IS:
		print_is(b, e);
		return;
	case EXPR_SET:
		buf_putc(b, '[');
		print_kids(b, e, 0);
		buf_putc(b, ']');
		return;
	case EXPR_RECORD:
		print_record(b, e);
		return;
	case EXPR_CALL:
		print_call(b, e);
		return;
	default:
		if (expr_op_is_method(e->op))
			print_method(b, e);
		else
			print_binary(b, e);
		return;
	}
}

static void print_scope(struct buf *b, enum cedar_var var, const struct scope *s)
{
	buf_puts(b, cedar_var_names[var]);
	if (s->op == SCOPE_IS || s->op == SCOPE_IS_IN) {
		buf_puts(b, " is ");
		buf_span(b, s->type);
	}
	if (s->op == SCOPE_ALL || s->op == SCOPE_IS)
		return;
	buf_puts(b, s->op == SCOPE_EQ ? " == " : " in ");
	if (s->slot) {
		buf_printf(b, "?%s", cedar_var_names[var]);
		return;
	}
	if (s->list)
		buf_putc(b, '[');
	for (size_t i = 0; i < s->count; i++) {
		if (i)
			buf_puts(b, ", ");
		print_uid(b, &s->uids[i]);
	}
	if (s->list)
		buf_putc(b, ']');
}

void cedar_policy_print(struct buf *b, const struct cedar_policy *p)
{
	for (size_t i = 0; i < p->annotation_count; i++) {
		buf_putc(b, '@');
		buf_span(b, p->annotations[i].name);
		if (p->annotations[i].has_value) {
			buf_putc(b, '(');
			cedar_print_string(b, p->annotations[i].value);
			buf_putc(b, ')');
		}
		buf_putc(b, '\n');
	}
	buf_puts(b, p->forbid ? "forbid(" : "permit(");
	print_scope(b, VAR_PRINCIPAL, &p->principal);
	buf_puts(b, ", ");
	print_scope(b, VAR_ACTION, &p->action);
	buf_puts(b, ", ");
	print_scope(b, VAR_RESOURCE, &p->resource);
	buf_putc(b, ')');
	for (size_t i = 0; i < p->condition_count; i++) {
		buf_puts(b, p->conditions[i].unless ? "\nunless { " : "\nwhen { ");
		expr_print(b, p->conditions[i].body);
		buf_puts(b, " }");
	}
	buf_puts(b, ";\n");
}
