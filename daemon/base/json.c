/* SPDX-License-Identifier: AGPL-3.0-only */
/* Reading parsed JSON values. json_parse.c makes them, json_write.c turns them into text. */
#include "daemon/base/json.h"
#include "daemon/base/check.h"
#include "daemon/base/json_number.h"

const char *json_type_name(enum json_type t)
{
	static const char *const names[] = {
		[JSON_NULL] = "null",
		[JSON_BOOL] = "boolean",
		[JSON_NUMBER] = "number",
		[JSON_STRING] = "string",
		[JSON_ARRAY] = "array",
		[JSON_OBJECT] = "object",
	};
	return (size_t)t < ARRAY_LEN(names) ? names[t] : "unknown";
}

enum { FEW_MEMBERS = 8 }; /* a walk over so few is quicker than bisection */

const struct json *json_get_span(const struct json *v, struct span key)
{
	if (!v || v->type != JSON_OBJECT)
		return NULL;
	if (v->count <= FEW_MEMBERS) {
		json_for_each (item, v)
			if (span_eq(item->key, key))
				return item;
		return NULL;
	}
	size_t low = 0, high = v->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = span_cmp(v->sorted[middle]->key, key);
		if (order == 0)
			return v->sorted[middle];
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const struct json *json_get(const struct json *v, const char *key)
{
	return json_get_span(v, span_cstr(key));
}

static const struct json *get_typed(const struct json *v, const char *key, enum json_type type)
{
	const struct json *member = json_get(v, key);
	return member && member->type == type ? member : NULL;
}

struct span json_str(const struct json *v, const char *key, struct span otherwise)
{
	const struct json *member = get_typed(v, key, JSON_STRING);
	return member ? member->text : otherwise;
}

int64_t json_i64(const struct json *v, const char *key, int64_t otherwise)
{
	int64_t number;
	const struct json *member = get_typed(v, key, JSON_NUMBER);
	return member && json_number_i64(member, &number) == 0 ? number : otherwise;
}

bool json_bool(const struct json *v, const char *key, bool otherwise)
{
	const struct json *member = get_typed(v, key, JSON_BOOL);
	return member ? member->boolean : otherwise;
}

/* Everything about two values but their children. */
static bool same_shape(const struct json *a, const struct json *b)
{
	if (a->type != b->type)
		return false;
	switch (a->type) {
	case JSON_NULL:
		return true;
	case JSON_BOOL:
		return a->boolean == b->boolean;
	case JSON_NUMBER:
		return json_number_equal(a->text, b->text);
	case JSON_STRING:
		return span_eq(a->text, b->text);
	case JSON_ARRAY:
	case JSON_OBJECT:
		return a->count == b->count;
	}
	return false;
}

bool json_equal(const struct json *a, const struct json *b)
{
	struct {
		const struct json *a, *b;
		size_t next;
	} stack[LIMIT_JSON_DEPTH], *top = stack;
	if (!same_shape(a, b))
		return false;
	*top = (__typeof__(*top)){a, b, 0};
	for (;;) {
		bool object = top->a->type == JSON_OBJECT;
		bool container = object || top->a->type == JSON_ARRAY;
		if (!container || top->next == top->a->count) {
			if (top == stack)
				return true;
			top--;
			continue;
		}
		a = object ? top->a->sorted[top->next] : &top->a->items[top->next];
		b = object ? top->b->sorted[top->next] : &top->b->items[top->next];
		top->next++;
		if ((object && !span_eq(a->key, b->key)) || !same_shape(a, b))
			return false;
		if (a->type == JSON_ARRAY || a->type == JSON_OBJECT) {
			CHECK(top < stack + LIMIT_JSON_DEPTH - 1);
			*++top = (__typeof__(*top)){a, b, 0};
		}
	}
}
