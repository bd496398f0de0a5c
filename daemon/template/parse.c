/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One pass over the text. Tags are cut out between pieces of text; a stack of open blocks says
 * where the next node belongs. Blanks around tags ({{~ ~}}, lines that hold one tag only) are taken
 * off the neighbouring pieces before these become nodes.
 */
#include "daemon/template/node.h"
#include <errno.h>

struct open_block {
	struct node *node;
	struct node **tail; /* where the next node of the current branch goes */
	struct span name; /* as written after '#' */
	int links; /* `else if` blocks that this tag's end closes too */
	bool in_else;
};

struct parser {
	struct arena *arena;
	struct span text;
	size_t at;
	bool trim_next; /* the tag before ended in ~}} */
	struct node *first;
	struct open_block stack[LIMIT_TEMPLATE_DEPTH];
	int depth; /* open blocks */
	struct node **tail; /* at depth 0 */
};

/* A tag as written, without braces and tildes. */
struct tag {
	size_t from, to; /* in the text, braces included */
	char sigil; /* '#', '/', '!', '&', '{', 'e' (else), 0 */
	struct span body; /* trimmed */
	bool trim_left, trim_right;
};

static int fail(const struct parser *p, size_t at, const char *what, struct span name)
{
	int line = 1;
	size_t line_start = 0;

	for (size_t i = 0; i < at; i++) {
		if (p->text.p[i] == '\n') {
			line++;
			line_start = i + 1;
		}
	}
	return err_raise(-EINVAL, "template line %d column %zu: %s%s%.*s%s", line,
		at - line_start + 1, what, name.n ? " '" : "", (int)MIN(name.n, (size_t)80),
		name.n ? name.p : "", name.n ? "'" : "");
}

/* ---- nodes ---- */

/* At the end of the branch that is open. */
static int add(struct parser *p, enum node_kind kind, struct node **ret)
{
	struct node *n = arena_make(p->arena, struct node);
	struct node ***tail = p->depth ? &p->stack[p->depth - 1].tail : &p->tail;

	if (!n)
		return err_raise(-ENOMEM, "template: out of memory");
	n->kind = kind;
	**tail = n;
	*tail = &n->next;
	*ret = n;
	return 0;
}

static int add_text(struct parser *p, struct span s)
{
	struct node *n = NULL;

	if (s.n == 0)
		return 0;
	int r = add(p, NODE_TEXT, &n);
	if (r == 0)
		n->text = s;
	return r;
}

/* ---- paths ---- */

static bool name_byte(char c)
{
	return c == '_' || c == '-' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
		(c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80;
}

static bool name_valid(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!name_byte(s.p[i]))
			return false;
	return s.n > 0;
}

static int path_special(struct span *rest, enum path_special *ret)
{
	static const struct {
		struct span name;
		enum path_special special;
	} names[] = {{SPAN("@root"), PATH_ROOT}, {SPAN("@index"), PATH_INDEX},
		{SPAN("@key"), PATH_KEY}, {SPAN("@first"), PATH_FIRST}, {SPAN("@last"), PATH_LAST}};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct span n = names[i].name;
		bool whole = span_eq(*rest, n);
		bool with_path = names[i].special == PATH_ROOT && span_starts(*rest, n) &&
			rest->n > n.n && rest->p[n.n] == '.';
		if (!whole && !with_path)
			continue;
		*rest = whole ? SPAN("this") : span_sub(*rest, n.n + 1, rest->n);
		*ret = names[i].special;
		return 0;
	}
	return -EINVAL;
}

static int parse_path(struct parser *p, size_t at, struct span text, struct path *ret)
{
	struct path path = {0};
	struct span rest = text, name;
	struct span *names = arena_make_array(p->arena, struct span, text.n / 2 + 1);
	bool done = false;

	if (!names)
		return err_raise(-ENOMEM, "template: out of memory");
	if (text.n == 0)
		return fail(p, at, "a name is expected between the braces", text);
	while (span_starts(rest, SPAN("../"))) {
		rest = span_sub(rest, 3, rest.n);
		path.up++;
	}
	if (span_is(rest, "..")) {
		path.up++;
		rest = SPAN("this");
	}
	if (rest.n && rest.p[0] == '@' && path_special(&rest, &path.special) < 0)
		return fail(p, at, "@root, @index, @key, @first and @last are known, not", rest);
	if (span_is(rest, "this") || span_is(rest, ".")) {
		*ret = path;
		return 0;
	}
	if (span_starts(rest, SPAN("this.")) || span_starts(rest, SPAN("this/")))
		rest = span_sub(rest, 5, rest.n);
	while (span_split(&rest, '.', &done, &name)) {
		if (name.n > 2 && name.p[0] == '[' && name.p[name.n - 1] == ']')
			name = span_sub(name, 1, name.n - 1);
		else if (!name_valid(name))
			return fail(p, at,
				"a dotted name like input.title is expected (helpers, partials and "
				"literals are not supported), not",
				text);
		names[path.count++] = name;
	}
	path.names = names;
	*ret = path;
	return 0;
}

/* ---- tags ---- */

static int tag_end(struct parser *p, size_t from, const char *closing, size_t *ret)
{
	ssize_t end = span_find(p->text, span_cstr(closing), from);

	if (end < 0)
		return fail(p, p->at, "a tag is not closed; it ends with", span_cstr(closing));
	*ret = (size_t)end;
	return 0;
}

/* Of {{!-- --}}, which may hold tags: the "}}" behind "--" or "--~". */
static int remark_end(struct parser *p, size_t from, size_t *ret)
{
	size_t end = from;

	for (;; end++) {
		int r = tag_end(p, end, "}}", &end);
		if (r < 0)
			return r;
		struct span before = span_sub(p->text, from, end);
		if (span_ends(before, SPAN("--")) || span_ends(before, SPAN("--~"))) {
			*ret = end;
			return 0;
		}
	}
}

/* The tag that begins at `at` ("{{"). */
static int tag_read(struct parser *p, size_t at, struct tag *ret)
{
	struct tag t = {.from = at};
	size_t i = at + 2, end = 0;
	const char *closing = "}}";

	p->at = at;
	if (i < p->text.n && p->text.p[i] == '~') {
		t.trim_left = true;
		i++;
	}
	char c = i < p->text.n ? p->text.p[i] : 0;
	if (c && strchr("#/!&{", c)) {
		t.sigil = c;
		i++;
	} else if (c && strchr("^>*", c)) {
		return fail(p, at, "partials, decorators and inverse blocks are not supported:",
			span_of(&c, 1));
	}
	if (t.sigil == '{')
		closing = "}}}";
	bool long_remark =
		t.sigil == '!' && span_starts(span_sub(p->text, i, p->text.n), SPAN("--"));
	int r = long_remark ? remark_end(p, i + 2, &end) : tag_end(p, i, closing, &end);
	if (r < 0)
		return r;
	t.body = span_sub(p->text, i, end);
	t.to = end + strlen(closing);
	if (t.body.n && t.body.p[t.body.n - 1] == '~') {
		t.trim_right = true;
		t.body.n--;
	}
	t.body = span_trim(t.body);
	if (!t.sigil &&
		(span_is(t.body, "else") || span_starts(t.body, SPAN("else ")) ||
			span_is(t.body, "^")))
		t.sigil = 'e';
	*ret = t;
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Whether nothing else stands on the tag's line; *ret_from, *ret_to are the line's bounds. */
static bool stands_alone(
	const struct parser *p, const struct tag *t, size_t *ret_from, size_t *ret_to)
{
	size_t from = t->from, to = t->to;

	if (!t->sigil || t->sigil == '&' || t->sigil == '{')
		return false;
	while (from > 0 && is_blank(p->text.p[from - 1]))
		from--;
	while (to < p->text.n && is_blank(p->text.p[to]))
		to++;
	if (from > 0 && p->text.p[from - 1] != '\n')
		return false;
	if (to < p->text.n && p->text.p[to] == '\r')
		to++;
	if (to < p->text.n && p->text.p[to] != '\n')
		return false;
	*ret_from = from;
	*ret_to = MIN(to + 1, p->text.n);
	return true;
}

/* ---- blocks ---- */

static int block_kind(struct span name)
{
	static const struct {
		const char *name;
		enum node_kind kind;
	} kinds[] = {
		{"if", NODE_IF}, {"unless", NODE_UNLESS}, {"with", NODE_WITH}, {"each", NODE_EACH}};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (span_is(name, kinds[i].name))
			return (int)kinds[i].kind;
	return -1;
}

/* "if a.b" as a node whose branch is now open; `links` counts else-ifs that share one end. */
static int block_open(struct parser *p, const struct tag *t, struct span body, int links)
{
	ssize_t blank = span_find_byte(body, ' ', 0);
	struct span name = blank < 0 ? body : span_sub(body, 0, (size_t)blank);
	struct span rest = blank < 0 ? SPAN("") : span_trim(span_sub(body, (size_t)blank, body.n));
	int kind = block_kind(name);
	struct node *n = NULL;

	if (kind < 0)
		return fail(p, t->from, "blocks are if, unless, with and each, not", name);
	if (p->depth == LIMIT_TEMPLATE_DEPTH)
		return err_raise(-E2BIG, "template: blocks are nested more than %d deep",
			LIMIT_TEMPLATE_DEPTH);
	int r = add(p, (enum node_kind)kind, &n);
	if (r == 0)
		r = parse_path(p, t->from, rest, &n->path);
	if (r < 0)
		return r;
	p->stack[p->depth++] =
		(struct open_block){.node = n, .tail = &n->then, .name = name, .links = links};
	return 0;
}

static int block_else(struct parser *p, const struct tag *t)
{
	struct span rest =
		span_is(t->body, "^") ? SPAN("") : span_trim(span_sub(t->body, 4, t->body.n));

	if (p->depth == 0)
		return fail(p, t->from, "{{else}} outside of a block", SPAN(""));
	struct open_block *b = &p->stack[p->depth - 1];
	if (b->in_else)
		return fail(p, t->from, "a second {{else}} in one block", SPAN(""));
	b->in_else = true;
	b->tail = &b->node->otherwise;
	return rest.n ? block_open(p, t, rest, b->links + 1) : 0;
}

static int block_close(struct parser *p, const struct tag *t)
{
	if (p->depth == 0)
		return fail(p, t->from, "no block is open to be closed by", t->body);
	int links = p->stack[p->depth - 1].links;
	struct span name = p->stack[p->depth - 1 - links].name;
	if (!span_eq(name, t->body))
		return fail(p, t->from, "the open block has another name than", t->body);
	p->depth -= links + 1;
	return 0;
}

static int tag_take(struct parser *p, const struct tag *t)
{
	struct node *n = NULL;
	int r;

	switch (t->sigil) {
	case '!':
		return 0;
	case '#':
		return block_open(p, t, t->body, 0);
	case 'e':
		return block_else(p, t);
	case '/':
		return block_close(p, t);
	default:
		r = add(p, NODE_VALUE, &n);
		return r < 0 ? r : parse_path(p, t->from, t->body, &n->path);
	}
}

/* ---- the text between ---- */

static struct span trim_start(struct span s)
{
	while (s.n && strchr(" \t\r\n", s.p[0]))
		s = span_sub(s, 1, s.n);
	return s;
}

static struct span trim_end(struct span s)
{
	while (s.n && strchr(" \t\r\n", s.p[s.n - 1]))
		s.n--;
	return s;
}

/* Text up to `to`; an escaped \{{ becomes {{ and what follows it is text up to the next tag. */
static int take_text(struct parser *p, size_t from, size_t to, bool trim_right)
{
	struct span s = span_sub(p->text, from, to);

	if (p->trim_next)
		s = trim_start(s);
	if (trim_right)
		s = trim_end(s);
	return add_text(p, s);
}

/* The next "{{" that is no escaped one; escaped ones before it are put out as text. */
static int next_tag(struct parser *p, size_t *from, ssize_t *ret)
{
	for (;;) {
		ssize_t at = span_find(p->text, SPAN("{{"), *from);
		*ret = at;
		if (at <= 0 || (size_t)at <= *from || p->text.p[at - 1] != '\\')
			return 0;
		int r = take_text(p, *from, (size_t)at - 1, false);
		p->trim_next = false;
		if (r == 0)
			r = add_text(p, SPAN("{{"));
		if (r < 0)
			return r;
		*from = (size_t)at + 2;
	}
}

static int parse(struct parser *p)
{
	size_t from = 0;
	ssize_t at;
	int r;

	while ((r = next_tag(p, &from, &at)) == 0 && at >= 0) {
		struct tag t;
		size_t text_end, next;
		r = tag_read(p, (size_t)at, &t);
		if (r < 0)
			return r;
		bool alone = stands_alone(p, &t, &text_end, &next);
		r = take_text(p, from, alone ? MAX(text_end, from) : t.from, t.trim_left);
		if (r == 0)
			r = tag_take(p, &t);
		if (r < 0)
			return r;
		from = alone ? next : t.to;
		p->trim_next = t.trim_right;
	}
	if (r == 0)
		r = take_text(p, from, p->text.n, false);
	if (r == 0 && p->depth)
		r = fail(p, p->text.n, "the template ends inside the block",
			p->stack[p->depth - 1].name);
	return r;
}

int template_parse(struct arena *a, struct span text, const struct template **ret)
{
	struct template *t = arena_make(a, struct template);
	struct parser *p = arena_make(a, struct parser);

	if (text.n > LIMIT_TEMPLATE_BYTES)
		return err_raise(-E2BIG, "template of %zu bytes; at most %d are accepted", text.n,
			LIMIT_TEMPLATE_BYTES);
	if (!t || !p)
		return err_raise(-ENOMEM, "template: out of memory");
	p->arena = a;
	p->text = text;
	p->tail = &p->first;
	int r = parse(p);
	if (r < 0)
		return err_trace(r);
	t->first = p->first;
	*ret = t;
	return 0;
}
