/* SPDX-License-Identifier: AGPL-3.0-only */
/* Keywords about objects and arrays: their size, their members, and what nobody looked at. */
#include "daemon/schema/jsonschema_internal.h"

KEYWORD(keyword_max_count)
{
	return (int64_t)instance->count <= json_bound(k->value)
		? 0
		: check_refuse(c, "%zu are too many; accepted: at most %lld", instance->count,
			  (long long)json_bound(k->value));
}

KEYWORD(keyword_min_count)
{
	return (int64_t)instance->count >= json_bound(k->value)
		? 0
		: check_refuse(c, "%zu are too few; accepted: at least %lld", instance->count,
			  (long long)json_bound(k->value));
}

/* ---- uniqueItems ---- */

struct hashed {
	uint64_t hash;
	const struct json *item;
};

/* Equal values have equal hashes; the order of members does not count, that of items does. */
static uint64_t value_hash(const struct json *v)
{
	uint64_t h = (uint64_t)v->type + 1;
	double d = 0;
	switch (v->type) {
	case JSON_NULL:
		return h;
	case JSON_BOOL:
		return h * 3 + v->boolean;
	case JSON_NUMBER:
		if (json_number_double(v, &d) < 0)
			err_clear();
		d = d == 0 ? 0 : d;
		return map_hash(span_of(&d, sizeof(d)));
	case JSON_STRING:
		return map_hash(v->text);
	case JSON_ARRAY:
		json_for_each (item, v)
			h = h * 0x9e3779b97f4a7c15 + value_hash(item);
		return h;
	case JSON_OBJECT:
		json_for_each (item, v)
			h += map_hash(item->key) * 31 ^ value_hash(item);
		return h;
	}
	return h;
}

static int by_hash(const void *a, const void *b)
{
	uint64_t x = ((const struct hashed *)a)->hash, y = ((const struct hashed *)b)->hash;
	return x < y ? -1 : x > y;
}

KEYWORD(keyword_unique_items)
{
	if (!k->value->boolean || instance->count < 2)
		return 0;
	int r = check_charge(c, instance->count);
	if (r < 0)
		return err_trace(r);
	struct hashed *all = calloc(instance->count, sizeof(*all));
	if (!all)
		return err_raise(-ENOMEM, "no memory to check a value");
	for (size_t i = 0; i < instance->count; i++)
		all[i] = (struct hashed){value_hash(&instance->items[i]), &instance->items[i]};
	qsort(all, instance->count, sizeof(*all), by_hash);
	bool twice = false;
	for (size_t i = 0; i < instance->count && r == 0 && !twice; i++) {
		for (size_t j = i + 1; j < instance->count && all[j].hash == all[i].hash; j++) {
			r = check_charge(c, 1 + all[i].item->count);
			if (r < 0 || (twice = json_equal(all[i].item, all[j].item)))
				break;
		}
	}
	free(all);
	if (r < 0)
		return err_trace(r);
	return twice ? check_refuse(c, "two items are equal; accepted: each once") : 0;
}

/* ---- members that must be there ---- */

static int check_names(struct check *c, const struct json *names, const struct json *instance)
{
	json_for_each (name, names) {
		if (!json_get_span(instance, name->text))
			return check_refuse(c, "the member \"" SPAN_FMT "\" is required",
				SPAN_ARG(span_sub(name->text, 0, 100)));
	}
	return check_charge(c, names->count);
}

KEYWORD(keyword_required)
{
	return check_names(c, k->value, instance);
}

KEYWORD(keyword_dependent_required)
{
	json_for_each (names, k->value) {
		if (!json_get_span(instance, names->key))
			continue;
		int r = check_names(c, names, instance);
		if (r)
			return r;
	}
	return 0;
}

/* Draft 4 to 7: schema or names; from 2019-09 dependentSchemas: schemas only. */
KEYWORD(keyword_dependencies)
{
	for (size_t i = 0; i < k->value->count; i++) {
		const struct json *wants = &k->value->items[i];
		if (!json_get_span(instance, wants->key))
			continue;
		int r = k->children[i] ? check_branch(c, k->children[i], i, instance, m)
				       : check_names(c, wants, instance);
		if (r)
			return r;
	}
	return 0;
}

/* ---- objects ---- */

static size_t index_in(const struct json *container, const struct json *item)
{
	return (size_t)(item - container->items);
}

KEYWORD(keyword_properties)
{
	json_for_each (item, instance) {
		const struct json *wants = json_get_span(k->value, item->key);
		if (!wants)
			continue;
		int r = check_inside(c, k->children[index_in(k->value, wants)], instance, item);
		if (r)
			return r;
		marks_set(m, index_in(instance, item));
	}
	return check_charge(c, instance->count);
}

KEYWORD(keyword_pattern_properties)
{
	for (size_t i = 0; i < k->value->count; i++) {
		int r = check_charge(c, instance->count);
		if (r < 0)
			return err_trace(r);
		json_for_each (item, instance) {
			r = check_pattern(c, k->patterns[i], item->key);
			if (r < 0)
				return err_trace(r);
			if (r == 0)
				r = check_inside(c, k->children[i], instance, item);
			else
				continue;
			if (r)
				return r;
			marks_set(m, index_in(instance, item));
		}
	}
	return 0;
}

/* 1 if properties or patternProperties of the same schema are about this member. */
static int is_described(struct check *c, const struct node *n, struct span key)
{
	const struct node_keyword *k = node_find(n, "properties");
	if (k && json_get_span(k->value, key))
		return 1;
	k = node_find(n, "patternProperties");
	for (size_t i = 0; k && i < k->value->count; i++) {
		int r = check_pattern(c, k->patterns[i], key);
		if (r <= 0)
			return r < 0 ? err_trace(r) : 1;
	}
	return 0;
}

/* Refuses by naming the member where the schema is plainly false. */
static int check_rest(
	struct check *c, const struct node *n, const struct json *instance, const struct json *item)
{
	if (n->schema->type == JSON_BOOL && !n->schema->boolean && instance->type == JSON_OBJECT)
		return check_refuse(c, "the member \"" SPAN_FMT "\" is not accepted",
			SPAN_ARG(span_sub(item->key, 0, 100)));
	return check_inside(c, n, instance, item);
}

KEYWORD(keyword_additional_properties)
{
	json_for_each (item, instance) {
		int r = is_described(c, n, item->key);
		if (r < 0)
			return err_trace(r);
		if (r)
			continue;
		r = check_rest(c, k->children[0], instance, item);
		if (r)
			return r;
		marks_set(m, index_in(instance, item));
	}
	return check_charge(c, instance->count);
}

KEYWORD(keyword_property_names)
{
	json_for_each (item, instance) {
		const struct json name = {.type = JSON_STRING, .text = item->key};
		int r = check_node(c, k->children[0], &name, NULL);
		if (r)
			return r;
	}
	return check_charge(c, instance->count);
}

KEYWORD(keyword_unevaluated_properties)
{
	json_for_each (item, instance) {
		if (marks_has(m, index_in(instance, item)))
			continue;
		int r = check_rest(c, k->children[0], instance, item);
		if (r)
			return r;
		marks_set(m, index_in(instance, item));
	}
	return check_charge(c, instance->count);
}

/* ---- arrays ---- */

/* Items [from, to) against one schema. */
static int check_range(struct check *c, const struct node *n, const struct json *instance,
	size_t from, struct marks *m)
{
	for (size_t i = from; i < instance->count; i++) {
		int r = check_inside(c, n, instance, &instance->items[i]);
		if (r)
			return r;
		marks_set(m, i);
	}
	return check_charge(c, instance->count);
}

KEYWORD(keyword_prefix_items)
{
	for (size_t i = 0; i < k->value->count && i < instance->count; i++) {
		int r = check_inside(c, k->children[i], instance, &instance->items[i]);
		if (r)
			return r;
		marks_set(m, i);
	}
	return 0;
}

KEYWORD(keyword_items)
{
	if (k->value->type == JSON_ARRAY)
		return keyword_prefix_items(c, n, k, instance, m);
	const struct node_keyword *prefix = node_find(n, "prefixItems");
	return check_range(c, k->children[0], instance, prefix ? prefix->value->count : 0, m);
}

KEYWORD(keyword_additional_items)
{
	const struct node_keyword *items = node_find(n, "items");
	if (!items || items->value->type != JSON_ARRAY)
		return 0;
	return check_range(c, k->children[0], instance, items->value->count, m);
}

KEYWORD(keyword_contains)
{
	const struct node_keyword *least = node_find(n, "minContains");
	const struct node_keyword *most = node_find(n, "maxContains");
	int64_t found = 0;
	c->silent++;
	for (size_t i = 0; i < instance->count; i++) {
		int r = check_inside(c, k->children[0], instance, &instance->items[i]);
		if (r < 0) {
			c->silent--;
			return err_trace(r);
		}
		if (r)
			continue;
		found++;
		if (c->schema->draft == JSONSCHEMA_2020_12)
			marks_set(m, i);
	}
	c->silent--;
	if (found < (least ? json_bound(least->value) : 1))
		return check_refuse(c,
			"%lld items are of the kind that must be there; accepted: at "
			"least %lld",
			(long long)found, (long long)(least ? json_bound(least->value) : 1));
	if (most && found > json_bound(most->value))
		return check_refuse(c,
			"%lld items are of the kind that is limited; accepted: at "
			"most %lld",
			(long long)found, (long long)json_bound(most->value));
	return check_charge(c, instance->count);
}

KEYWORD(keyword_unevaluated_items)
{
	for (size_t i = 0; i < instance->count; i++) {
		if (marks_has(m, i))
			continue;
		int r = check_inside(c, k->children[0], instance, &instance->items[i]);
		if (r)
			return r;
		marks_set(m, i);
	}
	return check_charge(c, instance->count);
}
