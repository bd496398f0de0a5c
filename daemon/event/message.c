/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Events as aegis.runtime.v1.ExecutionEvent. The descriptors that protoc-c made of our .proto say
 * which types have a member, which fields it has and of what type; this file fills any of them from
 * an event, so that the contract stands in the .proto and nowhere else.
 *
 * A field is, by its name: an id or the iteration of the event; the event's time, if it ends in
 * "_at"; else the member of the details that has its name.
 */
#include "daemon/event/internal.h"
#include "proto/aegis_runtime_events.pb-c.h"

#include <errno.h>

#define EXECUTION_EVENT aegis__runtime__v1__execution_event__descriptor

enum { DEPTH_MAX = 4, MEMBER_ARENA_BYTES = 16 * LIMIT_STORE_TEXT_BYTES };

struct source {
	const struct store_event *event;
	const struct json *details;
	struct arena *arena;
};

static const ProtobufCFieldDescriptor *member_of(const struct store_event *e)
{
	int type = event_type_parse(e->type);

	return type < 0 ? NULL
			: protobuf_c_message_descriptor_get_field_by_name(
				  &EXECUTION_EVENT, event_info((enum event_type)type)->snake);
}

static char *id_text(const struct source *s, struct uuid id)
{
	char text[UUID_TEXT_BYTES];

	uuid_text(id, text);
	return arena_strdup(s->arena, text);
}

static char *time_text(const struct source *s)
{
	char text[CLOCK_RFC3339_BYTES];

	clock_rfc3339(s->event->wall_ns, 6, text);
	return arena_strdup(s->arena, text);
}

/* A protobuf string ends at its first NUL in C, and details may hold none (daemon/store). */
static char *json_text(const struct source *s, const struct json *v)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_STORE_TEXT_BYTES);
	struct json_writer w = json_writer(&b);

	if (v->type == JSON_STRING || v->type == JSON_NUMBER)
		return arena_cstr(s->arena, v->text);
	json_put(&w, v);
	return b.error ? NULL : arena_cstr(s->arena, buf_view(&b));
}

/* NULL only if out of memory. */
static char *string_of(const struct source *s, const char *name, const struct json *from)
{
	const struct json *v = json_get(from, name);

	if (v && v->type != JSON_NULL)
		return json_text(s, v);
	if (strcmp(name, "execution_id") == 0)
		return id_text(s, s->event->execution_id);
	if (strcmp(name, "agent_id") == 0)
		return id_text(s, s->event->agent_id);
	if (span_ends(span_cstr(name), SPAN("_at")))
		return time_text(s);
	return arena_strdup(s->arena, "");
}

static uint32_t number_of(const struct source *s, const char *name, const struct json *from)
{
	int64_t v = json_i64(from, name, 0);

	if (strcmp(name, "iteration_number") == 0 && v == 0)
		v = s->event->iteration;
	return v < 0 || v > UINT32_MAX ? 0 : (uint32_t)v;
}

static int fill_message(const struct source *s, const ProtobufCMessageDescriptor *d,
	const struct json *from, int depth, ProtobufCMessage **ret);

static int fill_field(const struct source *s, const ProtobufCFieldDescriptor *f,
	const struct json *from, int depth, ProtobufCMessage *m)
{
	void *at = (char *)m + f->offset;

	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING: {
		char *text = string_of(s, f->name, from);
		if (!text)
			return err_raise(-ENOMEM, "event message: out of memory");
		*(char **)at = text;
		return 0;
	}
	case PROTOBUF_C_TYPE_UINT32:
		*(uint32_t *)at = number_of(s, f->name, from);
		return 0;
	case PROTOBUF_C_TYPE_MESSAGE: {
		/* An error that is a mere text is the message of one. */
		const struct json *v = json_get(from, f->name);
		struct json text = v ? *v : (struct json){.type = JSON_OBJECT};
		struct json wrapped = {.type = JSON_OBJECT, .count = 1, .items = &text};
		const struct json *sorted[] = {&text};
		if (v && v->type == JSON_STRING) {
			text.key = SPAN("message");
			wrapped.sorted = sorted;
			v = &wrapped;
		}
		return fill_message(s, f->descriptor, v, depth + 1, at);
	}
	default:
		return err_raise(-ENOSYS,
			"event message: field %s has a type that has no code here", f->name);
	}
}

static int fill_message(const struct source *s, const ProtobufCMessageDescriptor *d,
	const struct json *from, int depth, ProtobufCMessage **ret)
{
	CHECK(depth < DEPTH_MAX);
	ProtobufCMessage *m = arena_alloc(s->arena, d->sizeof_message);
	if (!m)
		return err_raise(-ENOMEM, "event message: out of memory");
	protobuf_c_message_init(d, m);
	for (unsigned i = 0; i < d->n_fields; i++) {
		int r = fill_field(s, &d->fields[i], from, depth, m);
		if (r < 0)
			return err_trace(r);
	}
	*ret = m;
	return 0;
}

/* ---- as JSON: field names as in the .proto, empty fields too ---- */

static void put_message(struct json_writer *w, const ProtobufCMessage *m);

static void put_field(
	struct json_writer *w, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
	const void *at = (const char *)m + f->offset;

	json_key(w, f->name);
	if (f->type == PROTOBUF_C_TYPE_STRING)
		json_put_cstr(w, *(char *const *)at);
	else if (f->type == PROTOBUF_C_TYPE_UINT32)
		json_put_u64(w, *(const uint32_t *)at);
	else
		put_message(w, *(ProtobufCMessage *const *)at);
}

static void put_message(struct json_writer *w, const ProtobufCMessage *m)
{
	json_object(w);
	for (unsigned i = 0; i < m->descriptor->n_fields; i++)
		put_field(w, m, &m->descriptor->fields[i]);
	json_end(w);
}

void event_put_member(
	struct json_writer *w, const struct store_event *e, const struct json *details)
{
	const ProtobufCFieldDescriptor *member = member_of(e);
	struct arena *a CLEANUP(arena_cleanup) = arena_new(MEMBER_ARENA_BYTES);
	struct source s = {e, details, a};
	ProtobufCMessage *m;

	if (!member || !a)
		return;
	if (fill_message(&s, member->descriptor, details, 0, &m) < 0) {
		err_clear();
		return;
	}
	json_key(w, member->name);
	put_message(w, m);
}

/* ---- as bytes ---- */

static int pack(const struct source *s, const ProtobufCFieldDescriptor *member, struct buf *b)
{
	Aegis__Runtime__V1__ExecutionEvent event = AEGIS__RUNTIME__V1__EXECUTION_EVENT__INIT;
	ProtobufCMessage *m;
	int r = fill_message(s, member->descriptor, s->details, 0, &m);

	if (r < 0)
		return err_trace(r);
	/* The cases of a oneof are numbered as its fields. */
	event.event_case = (Aegis__Runtime__V1__ExecutionEvent__EventCase)member->id;
	*(ProtobufCMessage **)((char *)&event + member->offset) = m;
	size_t n = aegis__runtime__v1__execution_event__get_packed_size(&event);
	void *p = buf_reserve(b, n);
	if (p)
		buf_commit(b, aegis__runtime__v1__execution_event__pack(&event, p));
	return buf_error(b);
}

int event_pack(const struct store_event *e, struct buf *b)
{
	const ProtobufCFieldDescriptor *member = member_of(e);
	struct arena *a CLEANUP(arena_cleanup) = arena_new(MEMBER_ARENA_BYTES);
	struct source s = {e, NULL, a};

	if (!member)
		return EVENT_NO_MESSAGE;
	if (!a)
		return err_raise(-ENOMEM, "out of memory");
	int r = json_parse(a, e->details.n ? e->details : SPAN("{}"), NULL, &s.details);
	if (r == 0)
		r = pack(&s, member, b);
	return r < 0 ? err_trace(r) : 0;
}
