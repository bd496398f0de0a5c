/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Prepares a schema: walks it once, checks that every keyword has a value of its kind, compiles
 * patterns, and links references. A reference may lead to a place that no keyword describes; what
 * lies there is then prepared as a schema too.
 *
 * Invariant: after jsonschema_new every link of every node is resolved, so checking never looks
 * anything up by name except members of the instance.
 */
#include "daemon/schema/jsonschema_internal.h"

struct pending {
	struct node_keyword *keyword;
	struct resource *resource; /* that the reference stands in */
	const char *where;
	struct pending *next;
};

struct builder {
	struct jsonschema *schema;
	struct map nodes; /* address of a struct json -> struct node */
	struct map ids; /* absolute URI, or URI#anchor -> struct node */
	struct pending *pending;
	int depth;
	size_t node_count;
};

struct node_entry {
	struct node node; /* first */
	uintptr_t address; /* of the schema: key of the map */
};

static struct arena *room(struct builder *b)
{
	return b->schema->arena;
}

static int no_memory(void)
{
	return err_raise(-ENOMEM, "no memory for a JSON Schema, or it is too large");
}

static int bad(const char *where, const char *text)
{
	return err_raise(-EINVAL, "%s: %s", *where ? where : "/", text);
}

static const char *deeper(struct builder *b, const char *where, struct span name)
{
	const char *path =
		arena_printf(room(b), "%s/" SPAN_FMT, where, SPAN_ARG(span_sub(name, 0, 100)));
	return path ? path : where;
}

/* ---- what a keyword's value must be ---- */

static bool all_strings(const struct json *v)
{
	if (v->type != JSON_ARRAY)
		return false;
	json_for_each (item, v)
		if (item->type != JSON_STRING)
			return false;
	return true;
}

static bool type_word(const struct json *v)
{
	static const char *const words[] = {
		"null", "boolean", "object", "array", "number", "string", "integer", NULL};
	return v->type == JSON_STRING && words_find(words, v->text) >= 0;
}

static bool type_ok(const struct json *v)
{
	if (v->type != JSON_ARRAY)
		return type_word(v);
	json_for_each (item, v)
		if (!type_word(item))
			return false;
	return true;
}

static bool count_ok(const struct json *v)
{
	int64_t n;
	if (v->type != JSON_NUMBER)
		return false;
	int r = json_number_i64(v, &n);
	if (r < 0)
		err_clear();
	/* A count beyond 63 bits bounds nothing, but it is a count. */
	return r == -ERANGE ? v->text.p[0] != '-' : r == 0 && n >= 0;
}

static bool positive_ok(const struct json *v)
{
	double d;
	return v->type == JSON_NUMBER && json_number_double(v, &d) == 0 && d > 0;
}

static bool strings_map_ok(const struct json *v)
{
	if (v->type != JSON_OBJECT)
		return false;
	json_for_each (item, v)
		if (!all_strings(item))
			return false;
	return true;
}

static const char *shape_wants(enum keyword_shape shape, const struct json *v)
{
	switch (shape) {
	case SHAPE_SCHEMA_LIST:
		return v->type == JSON_ARRAY && v->count ? NULL : "a list of schemas, not empty";
	case SHAPE_SCHEMA_MAP:
	case SHAPE_PATTERN_MAP:
	case SHAPE_DEPENDENCIES:
		return v->type == JSON_OBJECT ? NULL : "an object";
	case SHAPE_PATTERN:
	case SHAPE_STRING:
		return v->type == JSON_STRING ? NULL : "a string";
	case SHAPE_TYPE:
		return type_ok(v) ? NULL
				  : "null, boolean, object, array, number, string, integer, or a "
				    "list of them";
	case SHAPE_NUMBER:
		return v->type == JSON_NUMBER ? NULL : "a number";
	case SHAPE_POSITIVE:
		return positive_ok(v) ? NULL : "a number above 0";
	case SHAPE_COUNT:
		return count_ok(v) ? NULL : "an integer, at least 0";
	case SHAPE_BOOL:
		return v->type == JSON_BOOL ? NULL : "true or false";
	case SHAPE_STRINGS:
		return all_strings(v) ? NULL : "a list of strings";
	case SHAPE_STRINGS_MAP:
		return strings_map_ok(v) ? NULL : "an object of lists of strings";
	case SHAPE_LIST:
		return v->type == JSON_ARRAY ? NULL : "a list";
	case SHAPE_SCHEMA:
	case SHAPE_SCHEMA_OR_LIST:
	case SHAPE_ANY:
		return NULL;
	}
	UNREACHABLE();
}

/* ---- identities ---- */

static int remember_id(struct builder *b, struct span uri, struct span anchor, const struct node *n)
{
	const char *key = arena_printf(room(b), SPAN_FMT "%s" SPAN_FMT, SPAN_ARG(uri),
		anchor.n ? "#" : "", SPAN_ARG(anchor));
	if (!key)
		return no_memory();
	int r = map_put(&b->ids, span_cstr(key), (void *)n);
	if (r == -EEXIST) {
		err_clear();
		return err_raise(-EINVAL, "the identity \"%s\" is given twice", key);
	}
	return r < 0 ? err_trace(r) : 0;
}

static int new_resource(struct builder *b, struct node *n, struct span uri)
{
	struct resource *resource = arena_make(room(b), struct resource);
	if (!resource)
		return no_memory();
	resource->uri = uri;
	resource->root = n;
	const struct json *recursive = json_get(n->schema, "$recursiveAnchor");
	resource->recursive_anchor = recursive && recursive->boolean;
	n->resource = resource;
	return remember_id(b, uri, SPAN(""), n);
}

static bool ref_hides_siblings(const struct builder *b, const struct json *schema)
{
	const struct json *ref = json_get(schema, "$ref");
	return b->schema->draft <= JSONSCHEMA_DRAFT7 && ref && ref->type == JSON_STRING;
}

static int identify(struct builder *b, struct node *n)
{
	enum jsonschema_draft draft = b->schema->draft;
	struct span id = json_str(n->schema, draft == JSONSCHEMA_DRAFT4 ? "id" : "$id", SPAN(""));
	struct span uri, fragment;
	uri_split_fragment(id, &uri, &fragment);
	int r = 0;
	if (uri.n && !ref_hides_siblings(b, n->schema)) {
		struct span absolute = uri_resolve(room(b), n->resource->uri, uri);
		if (!absolute.p)
			return no_memory();
		r = span_eq(absolute, n->resource->uri) ? 0 : new_resource(b, n, absolute);
	}
	/* Before 2019-09 a fragment in $id is what $anchor is since. */
	if (r == 0 && fragment.n && draft <= JSONSCHEMA_DRAFT7 && !ref_hides_siblings(b, n->schema))
		r = remember_id(b, n->resource->uri, fragment, n);

	struct span anchor = json_str(n->schema, "$anchor", SPAN(""));
	if (r == 0 && anchor.n && draft >= JSONSCHEMA_2019_09)
		r = remember_id(b, n->resource->uri, anchor, n);
	anchor = json_str(n->schema, "$dynamicAnchor", SPAN(""));
	if (r == 0 && anchor.n && draft == JSONSCHEMA_2020_12) {
		r = remember_id(b, n->resource->uri, anchor, n);
		struct dynamic_anchor *d = arena_make(room(b), struct dynamic_anchor);
		if (!d)
			return no_memory();
		*d = (struct dynamic_anchor){anchor, n, n->resource->dynamic_anchors};
		n->resource->dynamic_anchors = d;
	}
	return r < 0 ? err_trace(r) : 0;
}

/* ---- nodes ---- */

static int prepare(struct builder *b, const struct json *v, struct resource *in, const char *where,
	const struct node **ret);

static int prepare_members(
	struct builder *b, struct node *n, struct node_keyword *k, const char *where)
{
	k->children = arena_make_array(room(b), const struct node *, k->value->count + 1);
	if (!k->children)
		return no_memory();
	bool object = k->value->type == JSON_OBJECT;
	for (size_t i = 0; i < k->value->count; i++) {
		const struct json *member = &k->value->items[i];
		if (k->keyword->shape == SHAPE_DEPENDENCIES && member->type == JSON_ARRAY) {
			if (!all_strings(member))
				return bad(where, "wanted a schema or a list of strings");
			continue;
		}
		char index[24];
		snprintf(index, sizeof(index), "%zu", i);
		const char *inner = deeper(b, where, object ? member->key : span_cstr(index));
		int r = prepare(b, member, n->resource, inner, &k->children[i]);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

static int keep_pattern(
	struct builder *b, struct span source, const char *where, struct pattern **ret)
{
	struct jsonschema *s = b->schema;
	if (s->pattern_count == s->pattern_capacity) {
		size_t capacity = s->pattern_capacity ? s->pattern_capacity * 2 : 8;
		struct pattern **all =
			reallocarray(s->patterns, capacity, sizeof(struct pattern *));
		if (!all)
			return no_memory();
		s->patterns = all;
		s->pattern_capacity = capacity;
	}
	int r = pattern_new(source, false, ret);
	if (r < 0)
		return err_wrap(r, "%s", where);
	s->patterns[s->pattern_count++] = *ret;
	return 0;
}

static int prepare_patterns(struct builder *b, struct node_keyword *k, const char *where)
{
	bool map = k->keyword->shape == SHAPE_PATTERN_MAP;
	size_t count = map ? k->value->count : 1;
	k->patterns = arena_make_array(room(b), struct pattern *, count + 1);
	if (!k->patterns)
		return no_memory();
	for (size_t i = 0; i < count; i++) {
		struct span source = map ? k->value->items[i].key : k->value->text;
		int r = keep_pattern(b, source, where, &k->patterns[i]);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

static int prepare_reference(
	struct builder *b, struct node *n, struct node_keyword *k, const char *where)
{
	struct pending *p = arena_make(room(b), struct pending);
	if (!p)
		return no_memory();
	*p = (struct pending){k, n->resource, where, b->pending};
	b->pending = p;
	return 0;
}

static int prepare_value(
	struct builder *b, struct node *n, struct node_keyword *k, const char *where)
{
	enum keyword_shape shape = k->keyword->shape;
	const char *wants = shape_wants(shape, k->value);
	if (wants)
		return err_raise(-EINVAL, "%s: wanted %s, found %s", where, wants,
			json_type_name(k->value->type));
	if (shape == SHAPE_SCHEMA_OR_LIST)
		shape = k->value->type == JSON_ARRAY ? SHAPE_SCHEMA_LIST : SHAPE_SCHEMA;
	if (shape == SHAPE_SCHEMA) {
		k->children = arena_make_array(room(b), const struct node *, 1);
		return k->children ? prepare(b, k->value, n->resource, where, &k->children[0])
				   : no_memory();
	}
	if (shape == SHAPE_PATTERN || shape == SHAPE_PATTERN_MAP) {
		int r = prepare_patterns(b, k, where);
		if (r < 0)
			return err_trace(r);
	}
	if (shape == SHAPE_SCHEMA_LIST || shape == SHAPE_SCHEMA_MAP || shape == SHAPE_PATTERN_MAP ||
		shape == SHAPE_DEPENDENCIES)
		return prepare_members(b, n, k, where);
	if (k->keyword->check == keyword_ref || k->keyword->check == keyword_recursive_ref)
		return prepare_reference(b, n, k, where);
	return 0;
}

static int prepare_keywords(struct builder *b, struct node *n, const char *where)
{
	const struct node_keyword **end = &n->keywords;
	bool ref_only = ref_hides_siblings(b, n->schema);
	for (int phase = 0; phase <= 1; phase++) {
		for (const struct keyword *kw = jsonschema_keywords; kw->name; kw++) {
			const struct json *value =
				kw->phase == phase && kw->drafts >> b->schema->draft & 1
				? json_get(n->schema, kw->name)
				: NULL;
			bool is_ref = kw->check == keyword_ref;
			if (!value || (ref_only && !is_ref))
				continue;
			struct node_keyword *k = arena_make(room(b), struct node_keyword);
			if (!k)
				return no_memory();
			k->keyword = kw;
			k->value = value;
			int r = prepare_value(b, n, k, deeper(b, where, span_cstr(kw->name)));
			if (r < 0)
				return err_trace(r);
			b->schema->needs_marks |= phase == 1;
			*end = k;
			end = &k->next;
		}
	}
	return 0;
}

static const struct node *known_node(struct builder *b, const struct json *v)
{
	uintptr_t address = (uintptr_t)v;
	return map_get(&b->nodes, span_of(&address, sizeof(address)));
}

static int prepare(struct builder *b, const struct json *v, struct resource *in, const char *where,
	const struct node **ret)
{
	*ret = known_node(b, v);
	if (*ret)
		return 0;
	if (v->type != JSON_OBJECT && v->type != JSON_BOOL)
		return bad(where, "wanted a schema: an object, true or false");
	struct node_entry *e = arena_make(room(b), struct node_entry);
	if (!e)
		return no_memory();
	e->node.schema = v;
	e->node.resource = in;
	e->address = (uintptr_t)v;
	int r = map_put(&b->nodes, span_of(&e->address, sizeof(e->address)), &e->node);
	if (r < 0)
		return err_trace(r);
	*ret = &e->node;
	if (v->type == JSON_BOOL)
		return 0;

	if (++b->depth > LIMIT_JSONSCHEMA_DEPTH)
		return err_raise(-E2BIG, "%s: schemas are nested too deeply; accepted: %d levels",
			where, LIMIT_JSONSCHEMA_DEPTH);
	r = in ? identify(b, &e->node) : 0;
	if (r == 0)
		r = prepare_keywords(b, &e->node, where);
	b->depth--;
	return r < 0 ? err_trace(r) : 0;
}

/* ---- references ---- */

/* One token of a JSON pointer: %XX, then ~1 and ~0. */
static bool pointer_token(struct builder *b, struct span raw, struct span *ret)
{
	char *out = arena_bytes(room(b), raw.n + 1);
	if (!out)
		return false;
	size_t n = 0;
	for (size_t i = 0; i < raw.n; i++) {
		uint8_t byte = (uint8_t)raw.p[i];
		if (byte == '%' && i + 3 <= raw.n &&
			hex_decode(span_sub(raw, i + 1, i + 3), &byte, 1) == 0)
			i += 2;
		out[n++] = (char)byte;
	}
	size_t w = 0;
	for (size_t i = 0; i < n; i++) {
		if (out[i] == '~' && i + 1 < n && (out[i + 1] == '0' || out[i + 1] == '1'))
			out[w++] = out[++i] == '0' ? '~' : '/';
		else
			out[w++] = out[i];
	}
	err_clear();
	*ret = span_of(out, w);
	return true;
}

static const struct json *pointer_step(const struct json *v, struct span token)
{
	if (v->type == JSON_OBJECT)
		return json_get_span(v, token);
	uint64_t index;
	if (v->type != JSON_ARRAY || span_to_u64(token, &index) < 0 || index >= v->count)
		return NULL;
	return &v->items[index];
}

/* The place below a resource's root, and the resource that it belongs to. */
static const struct json *pointer_find(
	struct builder *b, const struct node *root, struct span pointer, struct resource **ret_in)
{
	const struct json *v = root->schema;
	struct span rest = span_sub(pointer, 1, pointer.n), piece, token;
	bool done = pointer.n == 0;
	*ret_in = root->resource;
	while (v && span_split(&rest, '/', &done, &piece)) {
		if (!pointer_token(b, piece, &token))
			return NULL;
		v = pointer_step(v, token);
		const struct node *n = v ? known_node(b, v) : NULL;
		if (n)
			*ret_in = n->resource;
	}
	return v;
}

static int find_target(
	struct builder *b, const struct pending *p, struct span text, const struct node **ret)
{
	struct span uri, fragment, absolute;
	uri_split_fragment(text, &uri, &fragment);
	absolute = uri_resolve(room(b), p->resource->uri, uri);
	const char *with_anchor = arena_printf(
		room(b), SPAN_FMT "#" SPAN_FMT, SPAN_ARG(absolute), SPAN_ARG(fragment));
	if (!absolute.p || !with_anchor)
		return no_memory();
	if (fragment.n && fragment.p[0] != '/') {
		*ret = map_get(&b->ids, span_cstr(with_anchor));
		return 0;
	}
	const struct node *root = map_get(&b->ids, absolute);
	if (!root)
		return 0;
	struct resource *in;
	const struct json *v = pointer_find(b, root, fragment, &in);
	return v ? prepare(b, v, in, p->where, ret) : 0;
}

static const char *dynamic_name(struct builder *b, const struct node *target, struct span text)
{
	struct span uri, fragment;
	uri_split_fragment(text, &uri, &fragment);
	struct span anchor = json_str(target->schema, "$dynamicAnchor", SPAN(""));
	return fragment.n && span_eq(anchor, fragment) ? arena_cstr(room(b), fragment) : NULL;
}

static int resolve(struct builder *b, const struct pending *p)
{
	struct span text = p->keyword->value->text;
	const struct node *target = NULL;
	int r = find_target(b, p, text, &target);
	if (r < 0)
		return err_trace(r);
	if (!target)
		return err_raise(-EINVAL,
			"%s: \"" SPAN_FMT
			"\" leads nowhere in this schema, and nothing is fetched; "
			"accepted: a place in it (\"#/$defs/NAME\"), an $id or an anchor of it",
			p->where, SPAN_ARG(span_sub(text, 0, 120)));
	p->keyword->target = target;
	if (strcmp(p->keyword->keyword->name, "$dynamicRef") == 0)
		p->keyword->dynamic = dynamic_name(b, target, text);
	return 0;
}

/* ---- the whole ---- */

static int find_draft(const struct json *schema, enum jsonschema_draft *draft)
{
	static const struct {
		const char *uri;
		enum jsonschema_draft draft;
	} known[] = {
		{"http://json-schema.org/draft-04/schema", JSONSCHEMA_DRAFT4},
		{"http://json-schema.org/draft-06/schema", JSONSCHEMA_DRAFT6},
		{"http://json-schema.org/draft-07/schema", JSONSCHEMA_DRAFT7},
		{"https://json-schema.org/draft/2019-09/schema", JSONSCHEMA_2019_09},
		{"https://json-schema.org/draft/2020-12/schema", JSONSCHEMA_2020_12},
	};
	const struct json *v = json_get(schema, "$schema");
	if (!v)
		return 0;
	struct span uri, fragment;
	uri_split_fragment(v->text, &uri, &fragment);
	for (size_t i = 0; i < ARRAY_LEN(known); i++) {
		if (v->type == JSON_STRING && span_is(uri, known[i].uri)) {
			*draft = known[i].draft;
			return 0;
		}
	}
	return err_raise(-EINVAL,
		"/$schema: this dialect is not known; accepted: draft-04, draft-06, draft-07 "
		"(http://json-schema.org/draft-07/schema#), 2019-09, 2020-12 "
		"(https://json-schema.org/draft/2020-12/schema)");
}

static int build(struct builder *b, const struct json *schema)
{
	struct resource *root = arena_make(room(b), struct resource);
	if (!root)
		return no_memory();
	root->uri = SPAN("");
	int r = prepare(b, schema, root, "", &b->schema->root);
	if (r < 0)
		return err_trace(r);
	if (!root->root) {
		const struct json *recursive = json_get(schema, "$recursiveAnchor");
		root->recursive_anchor = recursive && recursive->boolean;
		root->root = b->schema->root;
	}
	/* A reference that begins with '#' finds the root even if it has an $id. */
	if (!map_get(&b->ids, SPAN("")))
		r = remember_id(b, SPAN(""), SPAN(""), b->schema->root);
	while (r == 0 && b->pending) {
		struct pending *p = b->pending;
		b->pending = p->next;
		r = resolve(b, p);
	}
	return r < 0 ? err_trace(r) : 0;
}

int jsonschema_new(
	const struct json *schema, enum jsonschema_draft otherwise, struct jsonschema **ret)
{
	struct jsonschema *s = calloc(1, sizeof(*s));
	struct arena *a = s ? arena_new(LIMIT_JSONSCHEMA_BYTES) : NULL;
	if (!a) {
		free(s);
		return no_memory();
	}
	s->arena = a;
	s->draft = otherwise;
	struct builder b = {.schema = s};
	map_init(&b.nodes, LIMIT_JSONSCHEMA_NODES);
	map_init(&b.ids, LIMIT_JSONSCHEMA_NODES);
	int r = schema->type == JSON_OBJECT || schema->type == JSON_BOOL
		? find_draft(schema, &s->draft)
		: bad("", "wanted a schema: an object, true or false");
	if (r == 0)
		r = build(&b, schema);
	map_fini(&b.nodes);
	map_fini(&b.ids);
	if (r < 0) {
		jsonschema_free(s);
		return err_trace(r);
	}
	*ret = s;
	return 0;
}

struct jsonschema *jsonschema_free(struct jsonschema *s)
{
	if (!s)
		return NULL;
	for (size_t i = 0; i < s->pattern_count; i++)
		pattern_free(s->patterns[i]);
	free(s->patterns);
	arena_free(s->arena);
	free(s);
	return NULL;
}
