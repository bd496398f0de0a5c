/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Records for people and for programs. JSON is one object a line and YAML one document a record, so
 * that a stream can be read as it comes. What a terminal would obey is never printed: payloads may
 * hold what an agent wrote.
 */
#include "tools/aegis-audit/tool.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

bool tool_write(struct span text)
{
	fflush(stdout);
	int r = fd_write_all(STDOUT_FILENO, text);
	err_clear();
	return r == 0;
}

static void put_id(struct json_writer *w, const char *key, struct uuid id)
{
	char text[UUID_TEXT_BYTES];

	if (uuid_is_nil(id))
		return;
	uuid_text(id, text);
	json_field_cstr(w, key, text);
}

static void put_hash(struct json_writer *w, const char *key, const struct audit_hash *h)
{
	struct buf hex CLEANUP(buf_fini) = buf_init(2 * AUDIT_HASH_BYTES);

	hex_encode(&hex, span_of(h->bytes, sizeof(h->bytes)));
	json_field_span(w, key, buf_view(&hex));
}

/* A payload that is no JSON is shown as the text it is. */
static void put_payload(struct json_writer *w, struct span payload)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 * (size_t)LIMIT_AUDIT_PAYLOAD_BYTES);
	const struct json *v;

	json_key(w, "payload");
	if (a && json_parse(a, payload, NULL, &v) == 0) {
		json_put(w, v);
		return;
	}
	err_clear();
	json_put_span(w, payload);
}

void put_record_members(struct json_writer *w, const struct audit_record *r)
{
	char time[CLOCK_RFC3339_BYTES];

	clock_rfc3339(r->wall_ns, 6, time);
	json_key(w, "number");
	json_put_u64(w, r->number);
	json_field_cstr(w, "time", time);
	json_field_i64(w, "mono_ns", r->mono_ns);
	json_field_cstr(w, "source", audit_source_name(r->source));
	json_field_span(w, "kind", r->kind);
	put_id(w, "execution_id", r->execution_id);
	put_id(w, "call_id", r->call_id);
	if (r->iteration)
		json_field_i64(w, "iteration", r->iteration);
	if (r->event_number) {
		json_key(w, "event_number");
		json_put_u64(w, r->event_number);
	}
	put_payload(w, r->payload);
	put_hash(w, "previous", &r->previous);
	put_hash(w, "hash", &r->hash);
}

void put_record_json(struct json_writer *w, const struct audit_record *r)
{
	json_object(w);
	put_record_members(w, r);
	json_end(w);
}

static void put_clean(struct buf *b, struct span s, size_t max)
{
	size_t n = MIN(s.n, max);

	while (n > 0 && n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--;
	cli_put_safe(b, span_sub(s, 0, n), false);
	if (n < s.n)
		buf_puts(b, "...");
}

/* What a line says: the event's sentence, else the payload. */
void put_summary(struct buf *b, const struct audit_record *r, size_t max)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 * (size_t)LIMIT_AUDIT_PAYLOAD_BYTES);
	const struct json *v;
	struct span text = r->payload;

	if (a && json_parse(a, r->payload, NULL, &v) == 0)
		text = json_str(v, "message", r->payload);
	else
		err_clear();
	put_clean(b, text, max);
}

static void put_line(struct buf *b, const struct audit_record *r)
{
	char time[CLOCK_RFC3339_BYTES];
	char id[UUID_TEXT_BYTES];

	clock_rfc3339(r->wall_ns, 3, time);
	buf_printf(b, "%llu %s %s ", (unsigned long long)r->number, time,
		audit_source_name(r->source));
	put_clean(b, r->kind, LIMIT_AUDIT_KIND_BYTES);
	if (!uuid_is_nil(r->execution_id)) {
		uuid_text(r->execution_id, id);
		buf_printf(b, " execution=%s", id);
	}
	if (r->iteration)
		buf_printf(b, " iteration=%u", r->iteration);
	buf_puts(b, " ");
	put_summary(b, r, 400);
	buf_puts(b, "\n");
}

void print_table_header(const struct tool *t)
{
	if (t->format == CLI_TABLE)
		printf("%-8s  %-24s  %-7s  %-28s  %-8s  %s\n", "RECORD", "TIME", "SOURCE", "KIND",
			"EXEC", "WHAT");
}

static void put_row(struct buf *b, const struct audit_record *r)
{
	char time[CLOCK_RFC3339_BYTES];
	char id[UUID_TEXT_BYTES] = "";
	struct buf kind CLEANUP(buf_fini) = buf_init(2 * LIMIT_AUDIT_KIND_BYTES);

	clock_rfc3339(r->wall_ns, 3, time);
	if (!uuid_is_nil(r->execution_id))
		uuid_text(r->execution_id, id);
	put_clean(&kind, r->kind, LIMIT_AUDIT_KIND_BYTES);
	buf_printf(b, "%-8llu  %-24s  %-7s  %-28s  %-8.8s  ", (unsigned long long)r->number, time,
		audit_source_name(r->source), buf_cstr(&kind), id);
	put_summary(b, r, 100);
	buf_puts(b, "\n");
}

/* The whole of one record, indented, for `show`. */
static int put_whole(struct buf *b, struct span json, bool yaml)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 * (size_t)LIMIT_AUDIT_PAYLOAD_BYTES);
	const struct json_limits limits = {RECORD_TEXT_BYTES, LIMIT_JSON_DEPTH};
	const struct json *v;
	int r = a ? json_parse(a, json, &limits, &v) : err_raise(-ENOMEM, "out of memory");

	if (r < 0)
		return err_trace(r);
	if (yaml) {
		buf_puts(b, "---\n");
		cli_put_yaml(b, v);
	} else {
		json_pretty(b, v);
		buf_puts(b, "\n");
	}
	return buf_error(b);
}

int put_document(struct buf *b, const struct tool *t, struct span json)
{
	if (t->format != CLI_JSON)
		return err_trace(put_whole(b, json, t->format == CLI_YAML));
	buf_span(b, json);
	buf_puts(b, "\n");
	return buf_error(b);
}

int put_record(struct buf *b, const struct tool *t, const struct audit_record *r, bool whole)
{
	struct buf json CLEANUP(buf_fini) = buf_init(RECORD_TEXT_BYTES);
	struct json_writer w = json_writer(&json);

	if (t->format == CLI_TABLE) {
		put_row(b, r);
	} else if (t->format == CLI_TEXT && !whole) {
		put_line(b, r);
	} else {
		put_record_json(&w, r);
		int res = buf_error(&json);
		if (res == 0)
			res = put_document(b, t, buf_view(&json));
		if (res < 0)
			return err_trace(res);
	}
	return buf_error(b);
}

bool print_record(const struct tool *t, const struct audit_record *r, bool whole)
{
	struct buf b CLEANUP(buf_fini) = buf_init(2 * (size_t)RECORD_TEXT_BYTES);
	int res = put_record(&b, t, r, whole);

	if (res < 0) {
		tool_fail_errno(res);
		return true;
	}
	return tool_write(buf_view(&b));
}
