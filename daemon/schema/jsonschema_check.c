/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The walk over an instance: one node after the other, keyword by keyword, until something refuses.
 * Places are kept as frames on the stack and become text only when there is something to say. Every
 * keyword and comparison is charged, so that the cost of a check is bounded before it starts.
 *
 * Marks: which members or items were looked at by a schema that passed at this place. They are
 * gathered only if the schema has an unevaluated* keyword somewhere.
 */
#include "daemon/schema/jsonschema_internal.h"

/* ---- refusals ---- */

enum { STEPS_SHOWN = 32 };

static void put_steps(const struct step *s, char *ret, size_t size)
{
	const struct step *chain[STEPS_SHOWN];
	int count = 0;
	for (; s; s = s->up)
		if (count < STEPS_SHOWN)
			chain[count++] = s;
	size_t n = 0;
	ret[0] = '\0';
	while (count-- > 0 && n < size) {
		const struct step *at = chain[count];
		int w = at->name ? snprintf(ret + n, size - n, "/%.*s",
					   (int)MIN(at->name_length, (size_t)100), at->name)
				 : snprintf(ret + n, size - n, "/%zu", at->index);
		n += (size_t)w;
	}
}

int check_refuse(struct check *c, const char *fmt, ...)
{
	if (!c->error || c->silent)
		return JSONSCHEMA_INVALID;
	put_steps(c->instance_at, c->error->instance_path, sizeof(c->error->instance_path));
	put_steps(c->schema_at, c->error->schema_path, sizeof(c->error->schema_path));
	va_list args;
	va_start(args, fmt);
	vsnprintf(c->error->message, sizeof(c->error->message), fmt, args);
	va_end(args);
	return JSONSCHEMA_INVALID;
}

int check_charge(struct check *c, size_t steps)
{
	c->steps += (int64_t)steps;
	if (c->steps > LIMIT_JSONSCHEMA_STEPS)
		return err_raise(-E2BIG,
			"checking this value against its schema takes more than %d "
			"steps",
			LIMIT_JSONSCHEMA_STEPS);
	return 0;
}

int check_pattern(struct check *c, const struct pattern *p, struct span subject)
{
	int64_t left = LIMIT_JSONSCHEMA_STEPS - c->steps;
	int r = pattern_match(p, subject, &left);

	c->steps = LIMIT_JSONSCHEMA_STEPS - left;
	return r;
}

/* ---- marks ---- */

void marks_set(struct marks *m, size_t index)
{
	if (m && m->bits && index < m->count)
		m->bits[index / 8] |= (uint8_t)(1 << index % 8);
}

bool marks_has(const struct marks *m, size_t index)
{
	return m && m->bits && index < m->count && m->bits[index / 8] >> index % 8 & 1;
}

static int marks_init(const struct check *c, const struct json *instance, struct marks *m)
{
	*m = (struct marks){.count = instance->count};
	bool container = instance->type == JSON_ARRAY || instance->type == JSON_OBJECT;
	if (!c->schema->needs_marks || !container || !instance->count)
		return 0;
	m->bits = calloc(1, instance->count / 8 + 1);
	return m->bits ? 0 : err_raise(-ENOMEM, "no memory to check a value");
}

static void marks_merge(struct marks *into, const struct marks *from)
{
	if (!into || !into->bits || !from->bits)
		return;
	for (size_t i = 0; i < into->count / 8 + 1; i++)
		into->bits[i] |= from->bits[i];
}

/* ---- the walk ---- */

static int check_keywords(
	struct check *c, const struct node *n, const struct json *instance, struct marks *m)
{
	for (const struct node_keyword *k = n->keywords; k; k = k->next) {
		bool about = !k->keyword->types || k->keyword->types >> instance->type & 1;
		if (!k->keyword->check || !about)
			continue;
		int r = check_charge(c, 1);
		if (r < 0)
			return err_trace(r);
		const char *name = k->keyword->name;
		struct step at = {.up = c->schema_at, .name = name, .name_length = strlen(name)};
		c->schema_at = &at;
		r = k->keyword->check(c, n, k, instance, m);
		c->schema_at = at.up;
		if (r)
			return r;
	}
	return 0;
}

int check_node(struct check *c, const struct node *n, const struct json *instance, struct marks *m)
{
	if (n->schema->type == JSON_BOOL)
		return n->schema->boolean ? 0 : check_refuse(c, "nothing is accepted here");
	if (c->depth == LIMIT_JSONSCHEMA_DEPTH)
		return err_raise(-E2BIG,
			"checking this value leads through more than %d schemas; "
			"the schema may refer to itself without end",
			LIMIT_JSONSCHEMA_DEPTH);

	struct marks own;
	int r = marks_init(c, instance, &own);
	if (r < 0)
		return err_trace(r);
	struct scope scope = {.up = c->scope, .node = n};
	c->scope = &scope;
	c->depth++;
	r = check_keywords(c, n, instance, &own);
	c->depth--;
	c->scope = scope.up;
	if (r == 0)
		marks_merge(m, &own);
	free(own.bits);
	return r;
}

int check_inside(
	struct check *c, const struct node *n, const struct json *parent, const struct json *inside)
{
	struct step at = {
		.up = c->instance_at,
		.name = parent->type == JSON_OBJECT ? inside->key.p : NULL,
		.name_length = inside->key.n,
		.index = (size_t)(inside - parent->items),
	};
	c->instance_at = &at;
	int r = check_node(c, n, inside, NULL);
	c->instance_at = at.up;
	return r;
}

int check_branch(struct check *c, const struct node *n, size_t index, const struct json *instance,
	struct marks *m)
{
	struct step at = {.up = c->schema_at, .index = index};
	c->schema_at = &at;
	int r = check_node(c, n, instance, m);
	c->schema_at = at.up;
	return r;
}

const struct node_keyword *node_find(const struct node *n, const char *name)
{
	for (const struct node_keyword *k = n->keywords; k; k = k->next)
		if (strcmp(k->keyword->name, name) == 0)
			return k;
	return NULL;
}

int jsonschema_check(
	const struct jsonschema *s, const struct json *instance, struct jsonschema_error *ret_error)
{
	struct check c = {.schema = s, .error = ret_error};
	int r = check_node(&c, s->root, instance, NULL);
	return r < 0 ? err_trace(r) : r;
}

/* ---- references ---- */

static const struct node *dynamic_target(const struct check *c, const struct node_keyword *k)
{
	const struct node *found = k->target;
	for (const struct scope *s = c->scope; s; s = s->up) {
		const struct dynamic_anchor *a = s->node->resource->dynamic_anchors;
		for (; a; a = a->next)
			if (span_is(a->name, k->dynamic))
				found = a->node;
	}
	return found;
}

KEYWORD(keyword_ref)
{
	return check_node(c, k->dynamic ? dynamic_target(c, k) : k->target, instance, m);
}

/* 2019-09 core, section 8.2.4.2: the outermost resource of the dynamic scope that asks for it. */
KEYWORD(keyword_recursive_ref)
{
	const struct node *target = k->target;
	if (target->resource->recursive_anchor)
		for (const struct scope *s = c->scope; s; s = s->up)
			if (s->node->resource->recursive_anchor)
				target = s->node->resource->root;
	return check_node(c, target, instance, m);
}

/* ---- several schemas at one place ---- */

KEYWORD(keyword_all_of)
{
	for (size_t i = 0; i < k->value->count; i++) {
		int r = check_branch(c, k->children[i], i, instance, m);
		if (r)
			return r;
	}
	return 0;
}

/* How many branches pass, up to `enough`; marks need all of them. Negative errno. */
static int count_passing(struct check *c, const struct node_keyword *k, const struct json *instance,
	struct marks *m, int enough)
{
	int passed = 0;
	c->silent++;
	for (size_t i = 0; i < k->value->count; i++) {
		int r = check_branch(c, k->children[i], i, instance, m);
		if (r < 0) {
			c->silent--;
			return err_trace(r);
		}
		passed += r == 0;
		if (passed == enough && !c->schema->needs_marks)
			break;
	}
	c->silent--;
	return passed;
}

KEYWORD(keyword_any_of)
{
	int passed = count_passing(c, k, instance, m, 1);
	if (passed < 0)
		return err_trace(passed);
	/* One branch alone can say why. */
	if (!passed && k->value->count == 1)
		return check_branch(c, k->children[0], 0, instance, m);
	return passed
		? 0
		: check_refuse(c, "fits none of the %zu forms that are accepted", k->value->count);
}

KEYWORD(keyword_one_of)
{
	int passed = count_passing(c, k, instance, m, 2);
	if (passed < 0)
		return err_trace(passed);
	if (passed > 1)
		return check_refuse(c, "fits more than one of the forms; accepted: exactly one");
	return passed
		? 0
		: check_refuse(c, "fits none of the %zu forms that are accepted", k->value->count);
}

/* 0 passes, JSONSCHEMA_INVALID, negative errno; never says why. */
static int check_silently(
	struct check *c, const struct node *n, const struct json *instance, struct marks *m)
{
	c->silent++;
	int r = check_node(c, n, instance, m);
	c->silent--;
	return r;
}

KEYWORD(keyword_not)
{
	int r = check_silently(c, k->children[0], instance, NULL);
	if (r < 0)
		return err_trace(r);
	return r ? 0 : check_refuse(c, "is exactly what is not accepted");
}

KEYWORD(keyword_if)
{
	int r = check_silently(c, k->children[0], instance, m);
	if (r < 0)
		return err_trace(r);
	const struct node_keyword *next = node_find(n, r == 0 ? "then" : "else");
	return next ? check_node(c, next->children[0], instance, m) : 0;
}
