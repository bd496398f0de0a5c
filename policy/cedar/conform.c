/* SPDX-License-Identifier: AGPL-3.0-only */
/* Values and entities against the types of a schema. Recursion is over values, which are bounded.
 */
#include "policy/cedar/conform.h"
#include "policy/cedar/ast.h"
#include "policy/cedar/nearest.h"

enum { TYPE_TEXT_BYTES = 160 };

int conform_uid(const struct cedar_schema *s, const struct cedar_uid *uid)
{
	const struct schema_entity *e = schema_entity_find(s, uid->type);
	struct nearest n = nearest_to(uid->id);
	char hint[128];
	if (span_is(cedar_name_base(uid->type), "Action"))
		return schema_action_find(s, uid)
			? 0
			: err_raise(-EINVAL,
				  "the schema declares no action `" SPAN_FMT "::\"" SPAN_FMT "\"`",
				  SPAN_ARG(span_sub(uid->type, 0, 60)),
				  SPAN_ARG(span_sub(uid->id, 0, 60)));
	if (!e || schema_entity_allows(e, uid->id))
		return 0;
	for (size_t i = 0; i < e->choice_count; i++)
		nearest_offer(&n, e->choices[i]);
	return err_raise(-EINVAL,
		"`" SPAN_FMT "` has no id \"" SPAN_FMT "\": it is an enumerated type%s",
		SPAN_ARG(span_sub(uid->type, 0, 60)), SPAN_ARG(span_sub(uid->id, 0, 60)),
		nearest_hint(&n, hint, sizeof(hint)));
}

static int mismatch(const struct cedar_value *v, const struct cedar_type *type)
{
	struct buf b CLEANUP(buf_fini) = buf_init(TYPE_TEXT_BYTES);
	struct span got =
		v->type == VALUE_ENTITY ? v->uid->type : span_cstr(value_type_name(v->type));
	type_print(&b, type);
	return err_raise(-EINVAL, "expected " SPAN_FMT ", got " SPAN_FMT,
		SPAN_ARG(b.error ? SPAN("another type") : buf_view(&b)),
		SPAN_ARG(span_sub(got, 0, 60)));
}

static int conform_set(
	const struct cedar_schema *s, const struct value_set *set, const struct cedar_type *element)
{
	for (size_t i = 0; i < set->count; i++) {
		int r = conform_value(s, &set->items[i], element);
		if (r < 0)
			return err_wrap(r, "in a set");
	}
	return 0;
}

static int conform_record(const struct cedar_schema *s, const struct value_record *record,
	const struct schema_attrs *attrs)
{
	for (size_t i = 0; i < attrs->count; i++)
		if (attrs->items[i].required && !value_member(record, attrs->items[i].name))
			return err_raise(-EINVAL, "the attribute `" SPAN_FMT "` is missing",
				SPAN_ARG(span_sub(attrs->items[i].name, 0, 60)));
	for (size_t i = 0; i < record->count; i++) {
		struct span key = record->members[i].key;
		const struct schema_attr *attr = schema_attr_find(attrs, key);
		int r;
		if (!attr)
			return err_raise(-EINVAL, "the schema has no attribute `" SPAN_FMT "` here",
				SPAN_ARG(span_sub(key, 0, 60)));
		r = conform_value(s, &record->members[i].value, attr->type);
		if (r < 0)
			return err_wrap(r, "`" SPAN_FMT "`", SPAN_ARG(span_sub(key, 0, 60)));
	}
	return 0;
}

int conform_value(
	const struct cedar_schema *s, const struct cedar_value *v, const struct cedar_type *type)
{
	static const enum type_kind kinds[] = {[VALUE_BOOL] = TYPE_BOOL,
		[VALUE_LONG] = TYPE_LONG,
		[VALUE_STRING] = TYPE_STRING,
		[VALUE_ENTITY] = TYPE_ENTITY,
		[VALUE_SET] = TYPE_SET,
		[VALUE_RECORD] = TYPE_RECORD,
		[VALUE_DECIMAL] = TYPE_DECIMAL,
		[VALUE_IP] = TYPE_IP,
		[VALUE_DATETIME] = TYPE_DATETIME,
		[VALUE_DURATION] = TYPE_DURATION};
	if (kinds[v->type] != type->kind)
		return mismatch(v, type);
	switch (v->type) {
	case VALUE_ENTITY:
		if (!span_eq(v->uid->type, type->entity->name))
			return mismatch(v, type);
		return conform_uid(s, v->uid);
	case VALUE_SET:
		return conform_set(s, v->set, type->element);
	case VALUE_RECORD:
		return conform_record(s, v->record, type->attrs);
	default:
		return 0;
	}
}

static int conform_tags(
	const struct cedar_schema *s, const struct entity *e, const struct schema_entity *type)
{
	for (size_t i = 0; i < e->tags->count; i++) {
		struct span key = span_sub(e->tags->members[i].key, 0, 60);
		int r;
		if (!type->tags)
			return err_raise(-EINVAL, "tag `" SPAN_FMT "`: `" SPAN_FMT "` has no tags",
				SPAN_ARG(key), SPAN_ARG(type->name));
		r = conform_value(s, &e->tags->members[i].value, type->tags);
		if (r < 0)
			return err_wrap(r, "tag `" SPAN_FMT "`", SPAN_ARG(key));
	}
	return 0;
}

int conform_entity(const struct cedar_schema *s, const struct entity *e)
{
	const struct schema_entity *type = schema_entity_find(s, e->uid.type);
	int r;
	if (!type)
		return err_raise(-EINVAL, "the schema declares no entity type `" SPAN_FMT "`",
			SPAN_ARG(span_sub(e->uid.type, 0, 60)));
	r = conform_uid(s, &e->uid);
	if (r == 0)
		r = conform_record(s, e->attrs, &type->attrs);
	for (size_t i = 0; r == 0 && i < e->parent_count; i++) {
		const struct schema_entity *above = schema_entity_find(s, e->parents[i].type);
		if (!above || !schema_entities_have(&type->ancestors, above))
			return err_raise(-EINVAL,
				"a parent of type `" SPAN_FMT "`, which `" SPAN_FMT
				"` is no member of",
				SPAN_ARG(span_sub(e->parents[i].type, 0, 60)),
				SPAN_ARG(type->name));
		r = conform_uid(s, &e->parents[i]);
	}
	return r < 0 ? err_trace(r) : conform_tags(s, e, type);
}

int conform_action(const struct cedar_schema *s, const struct entity *e)
{
	const struct entity *known = entities_find(s->action_entities, &e->uid);
	bool same;
	if (!known)
		return conform_uid(s, &e->uid);
	same = e->attrs->count == 0 && e->tags->count == 0 &&
		e->ancestor_count == known->ancestor_count;
	for (size_t i = 0; same && i < e->ancestor_count; i++)
		same = entity_below(known, e->ancestors[i]);
	if (same)
		return 0;
	return err_raise(-EINVAL,
		"the action `" SPAN_FMT
		"` is not as the schema declares it; expected no attributes "
		"and the same groups",
		SPAN_ARG(span_sub(e->uid.id, 0, 60)));
}

/* All that is above, where conform_entity() looks at the parents only. */
static int conform_ancestors(const struct cedar_schema *s, const struct entity *e)
{
	const struct schema_entity *type = schema_entity_find(s, e->uid.type);
	for (size_t i = 0; type && i < e->ancestor_count; i++) {
		const struct schema_entity *above = schema_entity_find(s, e->ancestors[i]->type);
		int r;
		if (!above || !schema_entities_have(&type->ancestors, above))
			return err_raise(-EINVAL,
				"`" SPAN_FMT "` is above it, of which `" SPAN_FMT "` is no member",
				SPAN_ARG(span_sub(e->ancestors[i]->type, 0, 60)),
				SPAN_ARG(type->name));
		r = conform_uid(s, e->ancestors[i]);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

int cedar_entities_validate(const struct cedar_schema *s, const struct cedar_entities *entities)
{
	for (size_t i = 0; i < entities->count; i++) {
		const struct entity *e = &entities->items[i];
		int r;
		if (span_is(cedar_name_base(e->uid.type), "Action")) {
			r = conform_action(s, e);
		} else {
			r = conform_entity(s, e);
			if (r == 0)
				r = conform_ancestors(s, e);
		}
		if (r < 0)
			return err_wrap(r, SPAN_FMT "::\"" SPAN_FMT "\"",
				SPAN_ARG(span_sub(e->uid.type, 0, 60)),
				SPAN_ARG(span_sub(e->uid.id, 0, 60)));
	}
	return 0;
}
