/* SPDX-License-Identifier: AGPL-3.0-only */
/* A request's context from JSON, and whether a request is one that the schema knows. */
#include "policy/cedar/ast.h"
#include "policy/cedar/conform.h"
#include "policy/cedar/entities.h"
#include "policy/cedar/nearest.h"

int cedar_context_from_json(struct arena *a, const struct json *v, const struct cedar_value **ret)
{
	struct cedar_value *value = arena_make(a, struct cedar_value);
	int r;
	if (!value)
		return err_raise(-ENOMEM, "no memory for a context");
	if (!v || v->type != JSON_OBJECT)
		return err_raise(-EINVAL, "the context: expected an object");
	r = value_from_json(a, v, value);
	if (r < 0)
		return err_wrap(r, "the context");
	if (value->type != VALUE_RECORD)
		return err_raise(-EINVAL, "the context: expected a record");
	*ret = value;
	return 0;
}

static int no_action(const struct cedar_schema *s, const struct cedar_uid *uid)
{
	struct nearest n = nearest_to(uid->id);
	char hint[128];
	for (size_t i = 0; i < s->actions.count; i++)
		nearest_offer(&n, s->actions.items[i]->uid.id);
	return err_raise(-EINVAL,
		"the schema declares no action `" SPAN_FMT "::\"" SPAN_FMT "\"`%s",
		SPAN_ARG(span_sub(uid->type, 0, 60)), SPAN_ARG(span_sub(uid->id, 0, 60)),
		nearest_hint(&n, hint, sizeof(hint)));
}

int cedar_context_from_json_typed(struct arena *a, const struct cedar_schema *s,
	const struct cedar_uid *action, const struct json *v, const struct cedar_value **ret)
{
	const struct schema_action *known = schema_action_find(s, action);
	struct cedar_value *value = arena_make(a, struct cedar_value);
	int r;
	if (!value)
		return err_raise(-ENOMEM, "no memory for a context");
	if (!known)
		return no_action(s, action);
	r = value_record_from_json_typed(a, v, known->context->attrs, value);
	if (r < 0)
		return err_wrap(r, "the context");
	*ret = value;
	return 0;
}

/* The names of types, for messages: `A`, `B`. Cut at what fits. */
static const char *type_list(const struct schema_entities *l, char *bytes, size_t size)
{
	struct buf b CLEANUP(buf_fini) = buf_init(size);
	for (size_t i = 0; i < l->count && b.len + l->items[i]->name.n + 5 < size; i++) {
		buf_puts(&b, i ? ", `" : "`");
		buf_span(&b, l->items[i]->name);
		buf_putc(&b, '`');
	}
	memcpy(bytes, b.len ? b.data : "", b.len);
	bytes[b.len] = '\0';
	return bytes;
}

static int check_applies(const struct cedar_schema *s, const struct schema_action *action,
	const char *what, const struct cedar_uid *uid, const struct schema_entities *types)
{
	const struct schema_entity *e = schema_entity_find(s, uid->type);
	char list[160];
	int r;
	if (!e || !schema_entities_have(types, e))
		return err_raise(-EINVAL,
			"the action `" SPAN_FMT "` does not apply to a %s of type `" SPAN_FMT
			"`; expected %s",
			SPAN_ARG(span_sub(action->uid.id, 0, 60)), what,
			SPAN_ARG(span_sub(uid->type, 0, 60)),
			types->count ? type_list(types, list, sizeof(list)) : "no request at all");
	r = conform_uid(s, uid);
	return r < 0 ? err_wrap(r, "the %s", what) : 0;
}

int cedar_request_validate(const struct cedar_schema *s, const struct cedar_request *request)
{
	const struct schema_action *action = schema_action_find(s, &request->action);
	int r;
	if (!action)
		return no_action(s, &request->action);
	r = check_applies(s, action, "principal", &request->principal, &action->principals);
	if (r == 0)
		r = check_applies(s, action, "resource", &request->resource, &action->resources);
	if (r < 0)
		return err_trace(r);
	r = conform_value(s, request->context, action->context);
	return r < 0 ? err_wrap(r, "the context") : 0;
}
