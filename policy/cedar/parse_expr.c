/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Expressions, by precedence climbing: `if` and `||` bind loosest, then `&&`, relations (which do
 * not chain), `+ -`, `*`, unary operators, members. Nesting is bounded by LIMIT_CEDAR_NESTING,
 * chains by LIMIT_CEDAR_DEPTH.
 */
#include "policy/cedar/parse.h"
#include "policy/cedar/no_memory.h"

enum { LEVEL_OR = 1, LEVEL_AND, LEVEL_RELATION, LEVEL_ADD, LEVEL_MUL, UNARY_MAX = 4 };

static int operand_climb(struct parser *p, int level, struct operand *ret) MUST_USE;

/* A number directly behind a minus, with nothing accessed on it, is a negative literal. */
static int negative_literal(struct parser *p, bool *ret_done, struct operand *ret)
{
	struct lexer before = p->l;
	int r;
	*ret_done = false;
	if (p->l.token.type != TOKEN_NUMBER)
		return 0;
	r = parse_number(p, true, ret);
	if (r < 0)
		return err_trace(r);
	*ret_done = !lex_is(&p->l, ".") && !lex_is(&p->l, "[") && !lex_is(&p->l, "(");
	if (!*ret_done)
		p->l = before;
	return 0;
}

static int parse_unary(struct parser *p, struct operand *ret)
{
	struct token t = p->l.token;
	const struct expr *e;
	bool minus = lex_is(&p->l, "-"), done = false;
	int count = 0, r = 0;
	if (!minus && !lex_is(&p->l, "!"))
		return parse_member(p, ret);
	while (r == 0 && lex_is(&p->l, minus ? "-" : "!")) {
		if (++count > UNARY_MAX)
			return lex_fail(&p->l, p->l.token.pos,
				"more than %d unary operators in a row", UNARY_MAX);
		r = lex_next(&p->l);
	}
	if (r == 0 && minus)
		r = negative_literal(p, &done, ret);
	if (r == 0 && done)
		count--;
	if (r == 0 && !done)
		r = parse_member(p, ret);
	while (r == 0 && count-- > 0) {
		r = operand_expr(p, ret, &e);
		if (r == 0)
			r = operand_unary(p, minus ? EXPR_NEG : EXPR_NOT, t.pos, e, ret);
	}
	return err_trace(r);
}

static int parse_has(struct parser *p, const struct expr *left, struct operand *ret)
{
	struct vec names = {0};
	struct expr *e;
	struct span *name = vec_push(p->l.arena, &names, sizeof(struct span));
	bool string = p->l.token.type == TOKEN_STRING, more = !string;
	int r;
	if (!name)
		return no_memory();
	r = parse_key(p, name);
	while (r == 0 && more) {
		struct token field;
		r = lex_accept(&p->l, ".", &more);
		if (r < 0 || !more)
			break;
		r = parse_field(p, &field);
		name = vec_push(p->l.arena, &names, sizeof(struct span));
		if (!name)
			return no_memory();
		*name = field.text;
	}
	if (r < 0)
		return err_trace(r);
	e = expr_make(p->l.arena, EXPR_HAS, left->pos, 1);
	if (!e)
		return no_memory();
	e->kids[0] = left;
	e->name_count = names.count;
	e->names = names.items;
	return operand_node(p, e, ret);
}

/* Splits what stands between the quotes at its bare stars. */
static int parse_pieces(struct parser *p, struct span raw, uint32_t pos, struct vec *ret)
{
	size_t at = 0, n = 0;
	char *out = arena_bytes(p->l.arena, raw.n + 1);
	if (!out)
		return no_memory();
	while (at < raw.n) {
		struct pattern_piece *last =
			ret->count ? (struct pattern_piece *)ret->items + ret->count - 1 : NULL;
		uint32_t code;
		bool star;
		int r = lex_unescape_one(&p->l, raw, pos, &at, true, &code, &star);
		if (r < 0)
			return err_trace(r);
		if (star || !last || last->wildcard) {
			last = vec_push(p->l.arena, ret, sizeof(*last));
			if (!last)
				return no_memory();
			*last = (struct pattern_piece){star, span_of(out + n, 0)};
		}
		if (!star) {
			size_t wrote = lex_put_utf8(out + n, code);
			n += wrote;
			last->text.n += wrote;
		}
	}
	return 0;
}

static int parse_like(struct parser *p, const struct expr *left, struct operand *ret)
{
	struct token t = p->l.token;
	struct vec pieces = {0};
	struct expr *e;
	int r;
	if (t.type != TOKEN_STRING)
		return lex_unexpected(&p->l, "a pattern: a string, in which * stands for any text");
	r = parse_pieces(p, t.text, t.pos + 1, &pieces);
	if (r == 0)
		r = lex_next(&p->l);
	if (r < 0)
		return err_trace(r);
	e = expr_make(p->l.arena, EXPR_LIKE, left->pos, 1);
	if (!e)
		return no_memory();
	e->kids[0] = left;
	e->name_count = pieces.count;
	e->pieces = pieces.items;
	return operand_node(p, e, ret);
}

static int parse_is(struct parser *p, const struct expr *left, struct operand *ret)
{
	struct operand in;
	struct span type;
	struct expr *e;
	bool with_in;
	int r = parse_is_type(p, &type);
	if (r < 0)
		return err_trace(r);
	with_in = lex_is_word(&p->l, "in");
	e = expr_make(p->l.arena, EXPR_IS, left->pos, with_in ? 2 : 1);
	if (!e)
		return no_memory();
	e->kids[0] = left;
	e->string = type;
	if (with_in) {
		r = lex_next(&p->l);
		if (r == 0)
			r = operand_climb(p, LEVEL_ADD, &in);
		if (r == 0)
			r = operand_expr(p, &in, &e->kids[1]);
		if (r < 0)
			return err_trace(r);
	}
	return operand_node(p, e, ret);
}

struct infix {
	const char *text;
	bool word;
	int level;
	enum expr_op op;
};

static const struct infix infixes[] = {
	{"||", false, LEVEL_OR, EXPR_OR},
	{"&&", false, LEVEL_AND, EXPR_AND},
	{"==", false, LEVEL_RELATION, EXPR_EQ},
	{"!=", false, LEVEL_RELATION, EXPR_NE},
	{"<", false, LEVEL_RELATION, EXPR_LT},
	{"<=", false, LEVEL_RELATION, EXPR_LE},
	{">", false, LEVEL_RELATION, EXPR_GT},
	{">=", false, LEVEL_RELATION, EXPR_GE},
	{"in", true, LEVEL_RELATION, EXPR_IN},
	{"has", true, LEVEL_RELATION, EXPR_HAS},
	{"like", true, LEVEL_RELATION, EXPR_LIKE},
	{"is", true, LEVEL_RELATION, EXPR_IS},
	{"+", false, LEVEL_ADD, EXPR_ADD},
	{"-", false, LEVEL_ADD, EXPR_SUB},
	{"*", false, LEVEL_MUL, EXPR_MUL},
};

static const struct infix *find_infix(const struct parser *p)
{
	for (size_t i = 0; i < ARRAY_LEN(infixes); i++)
		if (infixes[i].word ? lex_is_word(&p->l, infixes[i].text)
				    : lex_is(&p->l, infixes[i].text))
			return &infixes[i];
	return NULL;
}

static int parse_infix(struct parser *p, const struct infix *in, struct operand *o)
{
	const struct expr *left, *right;
	struct operand behind;
	int r = operand_expr(p, o, &left);
	if (r == 0)
		r = lex_next(&p->l);
	if (r < 0)
		return err_trace(r);
	if (in->op == EXPR_HAS)
		return parse_has(p, left, o);
	if (in->op == EXPR_LIKE)
		return parse_like(p, left, o);
	if (in->op == EXPR_IS)
		return parse_is(p, left, o);
	r = operand_climb(p, in->level + 1, &behind);
	if (r == 0)
		r = operand_expr(p, &behind, &right);
	return r < 0 ? err_trace(r) : operand_binary(p, in->op, left, right, o);
}

/* Operators that bind at least as tightly as `level`. */
static int operand_climb(struct parser *p, int level, struct operand *ret)
{
	const struct infix *in;
	int tightest = LEVEL_MUL; /* behind a relation nothing tighter than `&&` may follow */
	int r = parse_unary(p, ret);
	if (r < 0)
		return err_trace(r);
	while ((in = find_infix(p)) && in->level >= level) {
		if (in->level > tightest)
			return lex_fail(&p->l, p->l.token.pos,
				"relations do not chain; expected parentheses round one of them");
		r = parse_infix(p, in, ret);
		if (r < 0)
			return err_trace(r);
		tightest = in->level == LEVEL_RELATION ? LEVEL_AND
			: in->level < LEVEL_RELATION   ? in->level
						       : LEVEL_MUL;
	}
	if (lex_is(&p->l, "=") || lex_is(&p->l, "/") || lex_is(&p->l, "%"))
		return lex_unexpected(&p->l,
			lex_is(&p->l, "=") ? "`==`: a single `=` is no operator"
					   : "an operator: there is no division or remainder");
	return 0;
}

static int parse_if(struct parser *p, const struct expr **ret)
{
	static const char *const words[] = {"if", "then", "else"};
	struct expr *e = expr_make(p->l.arena, EXPR_IF, p->l.token.pos, 3);
	struct operand done;
	int r = 0;
	if (!e)
		return no_memory();
	for (size_t i = 0; r == 0 && i < 3; i++) {
		if (!lex_is_word(&p->l, words[i]))
			return lex_unexpected(&p->l, i == 1 ? "`then`" : "`else`");
		r = lex_next(&p->l);
		if (r == 0)
			r = parse_expr(p, &e->kids[i]);
	}
	if (r == 0)
		r = operand_node(p, e, &done);
	if (r < 0)
		return err_trace(r);
	*ret = e;
	return 0;
}

int parse_expr(struct parser *p, const struct expr **ret)
{
	struct operand o;
	int r;
	if (p->nesting >= LIMIT_CEDAR_NESTING)
		return lex_fail(&p->l, p->l.token.pos, "expressions nested more than %d deep",
			LIMIT_CEDAR_NESTING);
	p->nesting++;
	if (lex_is_word(&p->l, "if")) {
		r = parse_if(p, ret);
	} else {
		r = operand_climb(p, LEVEL_OR, &o);
		if (r == 0)
			r = operand_expr(p, &o, ret);
	}
	p->nesting--;
	return err_trace(r);
}
