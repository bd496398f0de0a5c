/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Types with their names resolved. A common type is resolved once and shared by all who name it;
 * one that contains itself is refused. What a type contains, through common types too, is at most
 * LIMIT_CEDAR_DEPTH levels deep.
 */
#include "policy/cedar/schema_names.h"
#include "policy/cedar/no_memory.h"

static int too_deep(struct resolver *r, const struct schema_namespace *ns, uint32_t pos)
{
	return schema_fail(ns, pos, "a type of more than %d levels", LIMIT_CEDAR_DEPTH);
}

static int resolve_common(struct resolver *r, const struct schema_namespace *ns, uint32_t pos,
	struct type_def *d, const struct cedar_type **ret)
{
	int e;
	if (d->visit == TYPE_BEGUN)
		return schema_fail(ns, pos, "the common type `" SPAN_FMT "` contains itself",
			SPAN_ARG(d->name));
	if (d->visit == TYPE_NEW) {
		d->visit = TYPE_BEGUN;
		e = schema_types_resolve(r, d->ns, d->decl->type, &d->type);
		if (e < 0)
			return err_trace(e);
		d->visit = TYPE_DONE;
	}
	*ret = d->type;
	return 0;
}

static int resolve_name(struct resolver *r, const struct schema_namespace *ns,
	const struct schema_type *t, const struct cedar_type **ret)
{
	int kinds = t->form == FORM_COMMON ? REF_COMMON
		: t->form == FORM_ENTITY   ? REF_ENTITY
					   : REF_COMMON | REF_ENTITY;
	struct ref_target target;
	int e = schema_names_find(r, ns, (struct schema_ref){t->name, t->pos}, kinds, &target);
	if (e < 0)
		return err_trace(e);
	if (target.common)
		return resolve_common(r, ns, t->pos, target.common, ret);
	*ret = target.builtin ? target.builtin : target.entity->entity->type;
	return 0;
}

static int resolve_extension(struct resolver *r, const struct schema_namespace *ns,
	const struct schema_type *t, const struct cedar_type **ret)
{
	static const char *const names[] = {"decimal", "ipaddr", "datetime", "duration"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (span_is(t->name, names[i])) {
			*ret = type_plain(TYPE_DECIMAL + (enum type_kind)i);
			return 0;
		}
	return schema_fail(ns, t->pos,
		"no extension type `" SPAN_FMT "`; expected decimal, ipaddr, datetime, duration",
		SPAN_ARG(span_sub(t->name, 0, 80)));
}

static int resolve_set(struct resolver *r, const struct schema_namespace *ns,
	const struct schema_type *t, const struct cedar_type **ret)
{
	struct cedar_type *out = arena_make(r->arena, struct cedar_type);
	int e = schema_types_resolve(r, ns, t->element, ret);
	if (!out)
		return no_memory();
	if (e < 0)
		return err_trace(e);
	out->kind = TYPE_SET;
	out->element = *ret;
	out->depth = out->element->depth + 1;
	*ret = out;
	return 0;
}

static int resolve_record(struct resolver *r, const struct schema_namespace *ns,
	const struct schema_type *t, const struct cedar_type **ret)
{
	struct cedar_type *out = arena_make(r->arena, struct cedar_type);
	struct schema_attrs *attrs = arena_make(r->arena, struct schema_attrs);
	struct schema_attr *items =
		arena_make_array(r->arena, struct schema_attr, t->member_count + 1);
	if (!out || !attrs || !items)
		return no_memory();
	out->kind = TYPE_RECORD;
	out->depth = 1;
	out->attrs = attrs;
	attrs->items = items;
	attrs->count = t->member_count;
	for (size_t i = 0; i < t->member_count; i++) {
		const struct schema_member *m = &t->members[i];
		int e = schema_types_resolve(r, ns, m->type, &items[i].type);
		if (e < 0)
			return err_trace(e);
		items[i].name = m->name;
		items[i].required = m->required;
		out->depth = MAX(out->depth, items[i].type->depth + 1);
	}
	*ret = out;
	return 0;
}

int schema_types_resolve(struct resolver *r, const struct schema_namespace *ns,
	const struct schema_type *t, const struct cedar_type **ret)
{
	int e = 0;
	if (r->nesting >= LIMIT_CEDAR_DEPTH)
		return too_deep(r, ns, t->pos);
	r->nesting++;
	switch (t->form) {
	case FORM_STRING:
		*ret = type_plain(TYPE_STRING);
		break;
	case FORM_LONG:
		*ret = type_plain(TYPE_LONG);
		break;
	case FORM_BOOL:
		*ret = type_plain(TYPE_BOOL);
		break;
	case FORM_SET:
		e = resolve_set(r, ns, t, ret);
		break;
	case FORM_RECORD:
		e = resolve_record(r, ns, t, ret);
		break;
	case FORM_EXTENSION:
		e = resolve_extension(r, ns, t, ret);
		break;
	default:
		e = resolve_name(r, ns, t, ret);
		break;
	}
	r->nesting--;
	if (e < 0)
		return err_trace(e);
	return (*ret)->depth > LIMIT_CEDAR_DEPTH ? too_deep(r, ns, t->pos) : 0;
}

int schema_types_resolve_all(struct resolver *r)
{
	for (size_t i = 0; i < r->type_count; i++) {
		const struct cedar_type *t;
		struct type_def *d = &r->types[i];
		int e = resolve_common(r, d->ns, d->decl->pos, d, &t);
		if (e < 0)
			return err_trace(e);
	}
	return 0;
}
