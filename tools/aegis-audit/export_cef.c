/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Records as lines of ArcSight's Common Event Format, version 0. In the header "\" and "|" are
 * escaped and a line end becomes a blank; in the extension "\" and "=" are, and a line end is
 * written \n. Keys have the lengths that the format gives them, so values are cut.
 */
#include "tools/aegis-audit/tool.h"

#include <stdio.h>

enum {
	HEADER_MAX = 512,
	VALUE_MAX = 1023,
	SEVERITY_LOW = 2,
	SEVERITY_GAP = 5,
	SEVERITY_DENIED = 7,
};

static struct span cut(struct span s, size_t max)
{
	size_t n = MIN(s.n, max);

	while (n > 0 && n < s.n && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--;
	return span_sub(s, 0, n);
}

static void put_escaped(struct buf *b, struct span s, size_t max, bool lines, char special)
{
	struct buf clean CLEANUP(buf_fini) = buf_init(2 * VALUE_MAX);

	cli_put_safe(&clean, cut(s, max), lines);
	for (size_t i = 0; i < clean.len; i++) {
		if (clean.data[i] == '\n') {
			buf_puts(b, "\\n");
			continue;
		}
		if (clean.data[i] == '\\' || clean.data[i] == special)
			buf_putc(b, '\\');
		buf_putc(b, clean.data[i]);
	}
}

static void put_header(struct buf *b, struct span s)
{
	put_escaped(b, s, HEADER_MAX, false, '|');
}

static void put_value(struct buf *b, struct span s)
{
	put_escaped(b, s, VALUE_MAX, true, '=');
}

static void put_pair(struct buf *b, const char *key, struct span value)
{
	if (!value.n)
		return;
	buf_printf(b, " %s=", key);
	put_value(b, value);
}

static void put_number(struct buf *b, const char *key, const struct json *v, const char *member)
{
	int64_t n = json_i64(v, member, -1);

	if (n >= 0)
		buf_printf(b, " %s=%lld", key, (long long)n);
}

/* A field that the format leaves to the device, with its label. */
static void put_custom(struct buf *b, const char *key, const char *label, struct span value)
{
	if (!value.n)
		return;
	put_pair(b, key, value);
	buf_printf(b, " %sLabel=%s", key, label);
}

static void put_network(struct buf *b, const struct exported *e)
{
	const struct json *d = e->facts.details;
	struct span address = json_str(d, "address", SPAN(""));
	bool in = span_is(json_str(d, "hook", SPAN("")), "ingress");
	int64_t protocol = json_i64(d, "protocol", -1);
	char number[24];

	if (span_find_byte(address, ':', 0) < 0)
		put_pair(b, in ? "src" : "dst", address);
	else if (in)
		put_custom(b, "c6a2", "Source IPv6 Address", address);
	else
		put_custom(b, "c6a3", "Destination IPv6 Address", address);
	put_number(b, in ? "spt" : "dpt", d, "port");
	snprintf(number, sizeof(number), "%lld", (long long)protocol);
	if (protocol >= 0)
		put_pair(b, "proto",
			protocol == 6            ? SPAN("TCP")
				: protocol == 17 ? SPAN("UDP")
						 : span_cstr(number));
	buf_printf(b, " deviceDirection=%d", in ? 0 : 1);
	put_number(b, "in", d, "received_bytes");
	put_number(b, "out", d, "sent_bytes");
}

static void put_kernel(struct buf *b, const struct exported *e)
{
	const struct json *d = e->facts.details;

	if (json_get(d, "address"))
		put_network(b, e);
	put_number(b, "spid", d, "pid");
	put_pair(b, "sproc", json_str(d, "command", SPAN("")));
	put_pair(b, "filePath", json_str(d, "path", SPAN("")));
	put_pair(b, "dhost", json_str(d, "name", SPAN("")));
	put_number(b, "cn3", d, "status");
	if (json_get(d, "status"))
		buf_puts(b, " cn3Label=status");
}

static struct span policies_of(const struct exported *e, struct buf *b)
{
	const struct json *list = json_get(e->facts.decision, "policies");

	if (!list || list->type != JSON_ARRAY)
		return json_str(e->facts.details, "policy_id", SPAN(""));
	json_for_each (item, list) {
		buf_puts(b, b->len ? " " : "");
		buf_span(b, item->text);
	}
	return buf_view(b);
}

static void put_ids(struct buf *b, const struct exported *e)
{
	struct buf policies CLEANUP(buf_fini) = buf_init(LIMIT_AUDIT_PAYLOAD_BYTES);
	char id[UUID_TEXT_BYTES];

	if (!uuid_is_nil(e->record->execution_id)) {
		uuid_text(e->record->execution_id, id);
		put_custom(b, "cs1", "executionId", span_cstr(id));
	}
	if (!uuid_is_nil(e->record->call_id)) {
		uuid_text(e->record->call_id, id);
		put_custom(b, "cs2", "callId", span_cstr(id));
	}
	put_custom(b, "cs3", "policies", policies_of(e, &policies));
	put_custom(b, "cs4", "policySet", json_str(e->facts.decision, "policy_set", SPAN("")));
	if (e->record->iteration)
		buf_printf(b, " cn1=%u cn1Label=iteration", e->record->iteration);
	if (e->record->source == AUDIT_JOURNAL && json_get(e->facts.payload, "lost")) {
		put_number(b, "cn2", e->facts.payload, "lost");
		buf_puts(b, " cn2Label=lost");
	}
}

void put_cef(struct buf *b, const struct exported *e)
{
	const struct audit_record *r = e->record;
	bool gap = r->source == AUDIT_JOURNAL && span_is(r->kind, "Gap");
	struct span message = export_message(e);

	buf_puts(b, "CEF:0|AEGIS|AEGIS|");
	put_header(b, SPAN(AEGIS_VERSION));
	buf_putc(b, '|');
	put_header(b, r->kind);
	buf_putc(b, '|');
	put_header(b, message.n ? message : r->kind);
	buf_printf(b, "|%d|rt=%lld externalId=%llu cat=%s",
		e->facts.denied ? SEVERITY_DENIED
			: gap   ? SEVERITY_GAP
				: SEVERITY_LOW,
		(long long)(r->wall_ns / NS_PER_MS), (unsigned long long)r->number,
		audit_source_name(r->source));
	if (e->facts.denied || e->facts.decision)
		put_pair(b, "act", e->facts.denied ? SPAN("denied") : SPAN("allowed"));
	if (r->source == AUDIT_KERNEL)
		put_kernel(b, e);
	if (r->source == AUDIT_FILE)
		put_pair(b, "filePath", json_str(e->facts.details, "path", SPAN("")));
	put_pair(b, "reason",
		json_str(e->facts.decision, "reason",
			json_str(e->facts.details, "reason", SPAN(""))));
	put_ids(b, e);
	put_pair(b, "msg", message);
}
