/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One JSON object that every reader we know of accepts: the daemon's own activity lines
 * (event_type in snake_case, category, stage, message, details), older lines (data, and a few
 * members at the top), the Python SDK (type), and the documented stream (a tagged member).
 */
#include "daemon/event/internal.h"

/* Members that older readers look for at the top of the line. */
static const char *const lifted[] = {"action", "reason", "total_iterations"};

void event_put_id(struct json_writer *w, const char *key, struct uuid id)
{
	char text[UUID_TEXT_BYTES];

	if (uuid_is_nil(id))
		return;
	uuid_text(id, text);
	json_field_cstr(w, key, text);
}

static void put_details(struct json_writer *w, int type, const struct json *details)
{
	json_key(w, "details");
	json_put(w, details);
	json_key(w, "data");
	if (type != EVENT_EXECUTION_COMPLETED) {
		json_put(w, details);
		return;
	}
	json_object(w);
	json_for_each (m, details) {
		json_key_span(w, m->key);
		json_put(w, m);
	}
	if (!json_get(details, "result") && json_get(details, "final_output")) {
		json_key(w, "result");
		json_put(w, json_get(details, "final_output"));
	}
	json_end(w);
}

static void put_lifted(struct json_writer *w, const struct json *details)
{
	for (size_t i = 0; i < ARRAY_LEN(lifted); i++) {
		const struct json *v = json_get(details, lifted[i]);
		if (!v || v->type == JSON_OBJECT || v->type == JSON_ARRAY)
			continue;
		json_key(w, lifted[i]);
		json_put(w, v);
	}
}

static void put_names(struct json_writer *w, const struct store_event *e, int type)
{
	char time[CLOCK_RFC3339_BYTES];

	json_field_span(w, "type", e->type);
	if (type >= 0)
		json_field_cstr(w, "event_type", event_info((enum event_type)type)->snake);
	else
		json_field_span(w, "event_type", e->type);
	json_field_span(w, "category", e->category);
	clock_rfc3339(e->wall_ns, 6, time);
	json_field_cstr(w, "timestamp", time);
	event_put_id(w, "id", e->id);
	json_key(w, "number");
	json_put_u64(w, e->number);
	json_key(w, "sequence");
	json_put_u64(w, e->sequence);
}

void event_json(struct json_writer *w, const struct store_event *e, enum event_form form)
{
	static const struct json none = {.type = JSON_OBJECT};
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 * (size_t)LIMIT_STORE_TEXT_BYTES);
	const struct json *details = &none;
	int type = event_type_parse(e->type);

	if (!a || json_parse(a, e->details, NULL, &details) < 0) {
		err_clear(); /* the store keeps valid JSON only: this is want of memory */
		details = &none;
	}
	json_object(w);
	put_names(w, e, type);
	event_put_id(w, "execution_id", e->execution_id);
	event_put_id(w, "agent_id", e->agent_id);
	event_put_id(w, "call_id", e->call_id);
	if (e->iteration) {
		json_field_i64(w, "iteration", e->iteration);
		json_field_i64(w, "iteration_number", e->iteration);
	}
	if (e->stage.n)
		json_field_span(w, "stage", e->stage);
	json_field_span(w, "message", e->message);
	put_lifted(w, details);
	put_details(w, type, details);
	if (form == EVENT_STREAM)
		event_put_member(w, e, details);
	json_end(w);
}
