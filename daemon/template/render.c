/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Rendering walks the tree with a chain of scopes, one for each {{#with}} and {{#each}} around the
 * node. Nesting is bounded by the parser, work by LIMIT_TEMPLATE_STEPS: loops in loops over a large
 * value would otherwise cost a power of its size.
 */
#include "daemon/template/node.h"
#include <errno.h>

struct scope {
	const struct scope *around;
	const struct json *value; /* this; may be NULL */
	bool in_each;
	size_t index, count;
	struct span key; /* {{#each}} over an object */
};

struct render {
	const struct json *root;
	struct buf *out;
	int64_t steps_left;
};

static const struct json *member(const struct json *v, struct span name)
{
	uint64_t i;

	if (v && v->type == JSON_ARRAY)
		return span_to_u64(name, &i) == 0 && i < v->count ? &v->items[i] : NULL;
	return json_get_span(v, name);
}

static const struct scope *scope_up(const struct scope *s, int up)
{
	while (s && up-- > 0)
		s = s->around;
	return s;
}

static const struct json *lookup(
	const struct render *r, const struct scope *s, const struct path *p)
{
	s = scope_up(s, p->up);
	const struct json *v = p->special == PATH_ROOT ? r->root : s ? s->value : NULL;

	for (size_t i = 0; i < p->count; i++)
		v = member(v, p->names[i]);
	return v;
}

static const struct scope *each_scope(const struct scope *s)
{
	while (s && !s->in_each)
		s = s->around;
	return s;
}

/* @index and its kin. False if the path is none of them. */
static bool special_value(const struct scope *s, const struct path *p, struct json *ret)
{
	if (p->special == PATH_PLAIN || p->special == PATH_ROOT)
		return false;
	s = each_scope(scope_up(s, p->up));
	*ret = (struct json){.type = JSON_NULL};
	if (!s)
		return true;
	if (p->special == PATH_FIRST || p->special == PATH_LAST)
		*ret = (struct json){.type = JSON_BOOL,
			.boolean = p->special == PATH_FIRST ? s->index == 0
							    : s->index + 1 == s->count};
	if (p->special == PATH_KEY && s->key.p)
		*ret = (struct json){.type = JSON_STRING, .text = s->key};
	return true;
}

static bool truthy(const struct json *v)
{
	double number;

	if (!v)
		return false;
	switch (v->type) {
	case JSON_NULL:
		return false;
	case JSON_BOOL:
		return v->boolean;
	case JSON_NUMBER:
		return json_number_double(v, &number) < 0 || number < 0 || number > 0;
	case JSON_STRING:
		return v->text.n > 0;
	case JSON_ARRAY:
	case JSON_OBJECT:
		return v->count > 0;
	}
	UNREACHABLE();
}

static void put_value(struct render *r, const struct json *v)
{
	struct json_writer w = json_writer(r->out);

	if (!v || v->type == JSON_NULL)
		return;
	if (v->type == JSON_STRING || v->type == JSON_NUMBER)
		buf_span(r->out, v->text);
	else
		json_put(&w, v);
}

static int render_nodes(struct render *r, const struct node *n, const struct scope *s);

static int render_each(
	struct render *r, const struct node *n, const struct scope *s, const struct json *list)
{
	if (!list || (list->type != JSON_ARRAY && list->type != JSON_OBJECT) || list->count == 0)
		return render_nodes(r, n->otherwise, s);
	for (size_t i = 0; i < list->count; i++) {
		struct scope inner = {.around = s,
			.value = &list->items[i],
			.in_each = true,
			.index = i,
			.count = list->count,
			.key = list->type == JSON_OBJECT ? list->items[i].key
							 : (struct span){NULL, 0}};
		int x = render_nodes(r, n->then, &inner);
		if (x < 0)
			return x;
	}
	return 0;
}

static int render_block(struct render *r, const struct node *n, const struct scope *s)
{
	struct json special;
	const struct json *v =
		special_value(s, &n->path, &special) ? &special : lookup(r, s, &n->path);

	if (n->kind == NODE_EACH)
		return render_each(r, n, s, v);
	if (n->kind == NODE_WITH && truthy(v)) {
		struct scope inner = {.around = s, .value = v};
		return render_nodes(r, n->then, &inner);
	}
	bool first = truthy(v) != (n->kind == NODE_UNLESS);
	return render_nodes(r, first && n->kind != NODE_WITH ? n->then : n->otherwise, s);
}

static void render_value(struct render *r, const struct node *n, const struct scope *s)
{
	struct json special;
	const struct scope *each = each_scope(scope_up(s, n->path.up));

	if (n->path.special == PATH_INDEX) {
		if (each)
			buf_printf(r->out, "%zu", each->index);
	} else {
		put_value(r,
			special_value(s, &n->path, &special) ? &special : lookup(r, s, &n->path));
	}
}

/* Recursion is as deep as blocks are nested: at most LIMIT_TEMPLATE_DEPTH. */
static int render_nodes(struct render *r, const struct node *n, const struct scope *s)
{
	for (; n; n = n->next) {
		int x = 0;
		if (--r->steps_left < 0)
			return err_raise(-E2BIG, "template: rendering takes more than %d steps",
				LIMIT_TEMPLATE_STEPS);
		if (n->kind == NODE_TEXT)
			buf_span(r->out, n->text);
		else if (n->kind == NODE_VALUE)
			render_value(r, n, s);
		else
			x = render_block(r, n, s);
		if (x == 0)
			x = r->out->error ? buf_error(r->out) : 0;
		if (x < 0)
			return x;
	}
	return 0;
}

int template_render(const struct template *t, const struct json *context, struct buf *out)
{
	struct render r = {.root = context, .out = out, .steps_left = LIMIT_TEMPLATE_STEPS};
	struct scope root = {.value = context};

	return err_trace(render_nodes(&r, t->first, &root));
}
