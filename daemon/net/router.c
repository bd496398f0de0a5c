/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A tree of path segments. A node has literal children in a list sorted by their bytes, at most one
 * parameter child and at most one rest child, and a value per method.
 *
 * Invariants: the tree never changes after the last router_add. A path is split before it is
 * decoded. The search goes back at most once per level (literal, then parameter), over at most
 * LIMIT_HTTP_PATH_SEGMENTS levels, and patterns are ours: the cost is bounded by them, not by who
 * asks.
 */
#include "daemon/net/router.h"
#include "daemon/net/url.h"
#include <errno.h>
#include <stdlib.h>

struct node {
	struct span literal;
	struct span name; /* of the parameter, for a parameter or rest child */
	struct node **literals; /* sorted */
	size_t literal_count;
	struct node *param;
	struct node *rest;
	void *values[HTTP_METHOD_COUNT];
	char *allow; /* made when a value is added */
};

struct router {
	struct node root;
};

/* The path while it is matched. */
struct search {
	struct arena *arena;
	int segment_count;
	struct span raw[LIMIT_HTTP_PATH_SEGMENTS];
	struct span decoded[LIMIT_HTTP_PATH_SEGMENTS];
	bool has_slash[LIMIT_HTTP_PATH_SEGMENTS]; /* decoded; fit for a rest parameter only */
	struct router_match *match;
	int error;
};

struct router *router_new(void)
{
	return calloc(1, sizeof(struct router));
}

static void node_fini(struct node *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->literal_count; i++) {
		node_fini(n->literals[i]);
		free(n->literals[i]);
	}
	free(n->literals);
	node_fini(n->param);
	free(n->param);
	node_fini(n->rest);
	free(n->rest);
	free(n->allow);
}

struct router *router_free(struct router *r)
{
	if (r) {
		node_fini(&r->root);
		free(r);
	}
	return NULL;
}

/* ---- building ---- */

/* Place of the literal among the children, or where it belongs. */
static size_t literal_place(const struct node *n, struct span literal, bool *ret_found)
{
	size_t low = 0, high = n->literal_count;

	*ret_found = false;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = span_cmp(n->literals[middle]->literal, literal);
		if (order == 0) {
			*ret_found = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct node *add_literal(struct node *n, struct span literal)
{
	bool found;
	size_t place = literal_place(n, literal, &found);

	if (found)
		return n->literals[place];

	struct node *child = calloc(1, sizeof(*child));
	struct node **grown =
		reallocarray(n->literals, n->literal_count + 1, sizeof(n->literals[0]));
	if (grown)
		n->literals = grown;
	if (!child || !grown) {
		free(child);
		return NULL;
	}
	memmove(grown + place + 1, grown + place, (n->literal_count - place) * sizeof(*grown));
	grown[place] = child;
	n->literal_count++;
	child->literal = literal;
	return child;
}

/* The child for one segment of a pattern; *ret_end says that no segment may follow. */
static int add_segment(struct node *n, struct span segment, struct node **ret, bool *ret_end)
{
	struct node **slot = &n->param;
	struct span name;

	*ret_end = false;
	if (segment.n == 0 || segment.p[0] != '{') {
		if (segment.n == 0 || span_find_byte(segment, '{', 0) >= 0)
			return err_raise(-EINVAL, "a segment is empty or only in part a parameter");
		*ret = add_literal(n, segment);
		return *ret ? 0 : -ENOMEM;
	}
	if (segment.n < 3 || segment.p[segment.n - 1] != '}')
		return err_raise(-EINVAL, "a parameter must be written {name} or {name...}");
	name = span_sub(segment, 1, segment.n - 1);
	if (span_ends(name, SPAN("..."))) {
		name.n -= 3;
		slot = &n->rest;
		*ret_end = true;
	}
	if (!*slot) {
		*slot = calloc(1, sizeof(**slot));
		if (!*slot)
			return -ENOMEM;
		(*slot)->name = name;
	}
	if (!span_eq((*slot)->name, name))
		return err_raise(-EINVAL, "the parameter is called " SPAN_FMT " by another pattern",
			SPAN_ARG((*slot)->name));
	*ret = *slot;
	return 0;
}

static int write_allow(struct node *n)
{
	struct buf b CLEANUP(buf_fini) = buf_init(256);

	for (int m = 0; m < HTTP_METHOD_COUNT; m++) {
		bool allowed = n->values[m] || (m == HTTP_HEAD && n->values[HTTP_GET]);
		if (allowed && m != HTTP_OTHER)
			buf_printf(&b, "%s%s", b.len ? ", " : "",
				http_method_name((enum http_method)m));
	}
	char *text = buf_take(&b);
	if (!text)
		return -ENOMEM;
	free(n->allow);
	n->allow = text;
	return 0;
}

int router_add(struct router *r, enum http_method m, const char *pattern, void *value)
{
	struct span rest = span_cstr(pattern), segment;
	struct node *n = &r->root;
	bool done = false, end = false;
	int segments = 0, params = 0, e;

	if (rest.n == 0 || rest.p[0] != '/')
		return err_raise(-EINVAL, "route %s: a pattern begins with /", pattern);
	rest = span_sub(rest, 1, rest.n);
	if (rest.n == 0)
		done = true;
	while (span_split(&rest, '/', &done, &segment)) {
		params += segment.n && segment.p[0] == '{';
		if (end || ++segments > LIMIT_HTTP_PATH_SEGMENTS || params > LIMIT_HTTP_PATH_PARAMS)
			return err_raise(-EINVAL,
				"route %s: too many segments or parameters, or something behind "
				"{name...}",
				pattern);
		e = add_segment(n, segment, &n, &end);
		if (e < 0)
			return err_wrap(e, "route %s", pattern);
	}
	if (n->values[m])
		return err_raise(-EEXIST, "route %s %s stands twice", http_method_name(m), pattern);
	n->values[m] = value;
	e = write_allow(n);
	return e < 0 ? err_wrap(e, "route %s", pattern) : 0;
}

/* ---- finding ---- */

static bool is_dots(struct span s)
{
	return span_is(s, ".") || span_is(s, "..");
}

/* Whether the decoded segment, seen as a path of its own, steps anywhere. */
static bool has_dots(struct span s)
{
	struct span piece;
	bool done = false;

	while (span_split(&s, '/', &done, &piece)) {
		if (is_dots(piece))
			return true;
	}
	return false;
}

static int decode_segment(struct search *s, struct span segment)
{
	int i = s->segment_count;
	int r;

	if (i == LIMIT_HTTP_PATH_SEGMENTS)
		return err_raise(-EINVAL, "path: more than %d segments", LIMIT_HTTP_PATH_SEGMENTS);
	s->raw[i] = segment;
	s->decoded[i] = segment;
	if (span_find_byte(segment, '%', 0) >= 0) {
		r = url_decode(s->arena, segment, &s->decoded[i]);
		if (r == -EINVAL)
			return err_raise(
				r, "path: segment %d is not properly encoded UTF-8", i + 1);
		if (r < 0)
			return r;
	}
	s->has_slash[i] = span_find_byte(s->decoded[i], '/', 0) >= 0;
	if (has_dots(s->decoded[i]))
		return err_raise(-EINVAL, "path: segment %d is \".\" or \"..\"", i + 1);
	s->segment_count++;
	return 0;
}

static int decode_path(struct search *s, struct span path)
{
	struct span segment;
	bool done = false;

	if (path.n == 0 || path.p[0] != '/')
		return 0; /* "*": the root's own, which no pattern but "/" names */
	path = span_sub(path, 1, path.n);
	if (path.n == 0)
		done = true;
	while (span_split(&path, '/', &done, &segment)) {
		int r = decode_segment(s, segment);
		if (r < 0)
			return r;
	}
	return 0;
}

static const struct node *search_node(struct search *s, const struct node *n, int at);

static bool push_param(struct search *s, struct span name, struct span value)
{
	struct router_match *m = s->match;

	CHECK(m->param_count < LIMIT_HTTP_PATH_PARAMS);
	m->params[m->param_count++] = (struct router_param){name, value};
	return true;
}

static const struct node *search_param(struct search *s, const struct node *n, int at)
{
	if (!n->param || s->decoded[at].n == 0 || s->has_slash[at])
		return NULL;
	push_param(s, n->param->name, s->decoded[at]);
	const struct node *found = search_node(s, n->param, at + 1);
	if (!found)
		s->match->param_count--;
	return found;
}

/* Everything that is left, decoded, joined by slashes. */
static const struct node *search_rest(struct search *s, const struct node *n, int at)
{
	size_t bytes = 0, length = 0;
	char *joined;

	if (!n->rest)
		return NULL;
	for (int i = at; i < s->segment_count; i++)
		bytes += s->decoded[i].n + 1;
	joined = arena_bytes(s->arena, bytes);
	if (!joined) {
		s->error = -ENOMEM;
		return NULL;
	}
	for (int i = at; i < s->segment_count; i++) {
		if (i > at)
			joined[length++] = '/';
		memcpy(joined + length, s->decoded[i].p, s->decoded[i].n);
		length += s->decoded[i].n;
	}
	if (length == 0)
		return NULL;
	push_param(s, n->rest->name, span_of(joined, length));
	return n->rest;
}

static const struct node *search_node(struct search *s, const struct node *n, int at)
{
	const struct node *found = NULL;
	bool is_literal;

	if (at == s->segment_count)
		return n->allow ? n : NULL;
	size_t place = literal_place(n, s->decoded[at], &is_literal);
	if (is_literal)
		found = search_node(s, n->literals[place], at + 1);
	if (!found)
		found = search_param(s, n, at);
	if (!found && !s->error)
		found = search_rest(s, n, at);
	return found;
}

int router_find(const struct router *r, struct arena *a, enum http_method m, struct span path,
	struct router_match *ret)
{
	struct search s = {.arena = a, .match = ret};
	const struct node *n;
	int e;

	memset(ret, 0, sizeof(*ret));
	e = decode_path(&s, path);
	if (e < 0)
		return e;
	n = span_is(path, "*") ? NULL : search_node(&s, &r->root, 0);
	if (s.error)
		return s.error;
	if (!n)
		return ROUTER_NONE;
	ret->value = n->values[m];
	if (!ret->value && m == HTTP_HEAD)
		ret->value = n->values[HTTP_GET];
	ret->allow = n->allow;
	return ret->value ? 0 : ROUTER_METHOD;
}

struct span router_param(const struct router_match *m, const char *name)
{
	for (int i = 0; i < m->param_count; i++) {
		if (span_is(m->params[i].name, name))
			return m->params[i].value;
	}
	return (struct span){0};
}
