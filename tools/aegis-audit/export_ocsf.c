/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Records as events of the Open Cybersecurity Schema Framework, 1.3.0, with its profile
 * security_control for verdicts. Each kind of record goes to the class whose required attributes it
 * can fill: packets and flows to Network Activity, names to DNS Activity, processes to Process
 * Activity, files to File System Activity, a denied call to Detection Finding, other events to API
 * Activity, and what the journal says of itself to Base Event. What the class has no attribute for
 * stands whole under "unmapped".
 */
#include "tools/aegis-audit/tool.h"

#include <stdio.h>

enum class_uid {
	BASE_EVENT = 0,
	FILE_SYSTEM_ACTIVITY = 1001,
	PROCESS_ACTIVITY = 1007,
	DETECTION_FINDING = 2004,
	NETWORK_ACTIVITY = 4001,
	DNS_ACTIVITY = 4003,
	API_ACTIVITY = 6003,
};

enum {
	ACTIVITY_OTHER = 99,
	NETWORK_CLOSE = 2,
	NETWORK_RESET = 3,
	NETWORK_REFUSE = 5,
	NETWORK_TRAFFIC = 6,
	PROCESS_LAUNCH = 1,
	PROCESS_TERMINATE = 2,
	DNS_TRAFFIC = 6, /* a question with its answer */
	FINDING_CREATE = 1,
	SEVERITY_INFORMATIONAL = 1,
	SEVERITY_MEDIUM = 3,
	ALLOWED = 1, /* action_id and disposition_id alike */
	DENIED = 2,
	OUTBOUND = 2,
	INBOUND = 1,
};

/* The attributes of security_control. The class has room for one policy: the first that decided. */
static void put_verdict(struct json_writer *w, const struct exported *e)
{
	const struct json *list = json_get(e->facts.decision, "policies");
	struct span policy = json_str(e->facts.details, "policy_id", SPAN(""));
	struct span set = json_str(e->facts.decision, "policy_set", SPAN(""));

	json_field_i64(w, "action_id", e->facts.denied ? DENIED : ALLOWED);
	json_field_i64(w, "disposition_id", e->facts.denied ? DENIED : ALLOWED);
	if (list && list->type == JSON_ARRAY && list->count)
		policy = list->items[0].text;
	if (!policy.n)
		return;
	json_key(w, "policy");
	json_object(w);
	json_field_span(w, "uid", policy);
	if (set.n)
		json_field_span(w, "version", set);
	json_end(w);
}

static enum class_uid class_of_kernel(struct span kind)
{
	static const struct {
		const char *kind;
		enum class_uid c;
	} known[] = {{AUDIT_KIND_NETWORK_DENIED, NETWORK_ACTIVITY},
		{AUDIT_KIND_FLOW, NETWORK_ACTIVITY}, {AUDIT_KIND_NAME_DENIED, DNS_ACTIVITY},
		{AUDIT_KIND_NAME_RESOLVED, DNS_ACTIVITY}, {AUDIT_KIND_FORKED, PROCESS_ACTIVITY},
		{AUDIT_KIND_EXECUTED, PROCESS_ACTIVITY}, {AUDIT_KIND_EXITED, PROCESS_ACTIVITY}};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (span_is(kind, known[i].kind))
			return known[i].c;
	return BASE_EVENT;
}

static enum class_uid class_of(const struct exported *e)
{
	const struct audit_record *r = e->record;

	if (r->source == AUDIT_KERNEL)
		return class_of_kernel(r->kind);
	if (r->source == AUDIT_FILE)
		return FILE_SYSTEM_ACTIVITY;
	if (r->source == AUDIT_EVENT && e->facts.denied)
		return DETECTION_FINDING;
	return r->source == AUDIT_EVENT || r->source == AUDIT_DAEMON ? API_ACTIVITY : BASE_EVENT;
}

static int file_activity(struct span kind)
{
	static const struct {
		const char *kind;
		int activity;
	} known[] = {{"FileRead", 2}, {"FileWritten", 3}, {"FileDeleted", 4}, {"FileRenamed", 5},
		{"AttributesChanged", 6}};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (span_is(kind, known[i].kind))
			return known[i].activity;
	return ACTIVITY_OTHER;
}

static int network_activity(const struct exported *e)
{
	struct span end = json_str(e->facts.details, "end", SPAN(""));

	if (!span_is(e->record->kind, AUDIT_KIND_FLOW))
		return NETWORK_REFUSE;
	return span_is(end, "closed")   ? NETWORK_CLOSE
		: span_is(end, "reset") ? NETWORK_RESET
					: NETWORK_TRAFFIC;
}

static int activity_of(const struct exported *e, enum class_uid c)
{
	switch (c) {
	case NETWORK_ACTIVITY:
		return network_activity(e);
	case PROCESS_ACTIVITY:
		return span_is(e->record->kind, AUDIT_KIND_EXITED) ? PROCESS_TERMINATE
								   : PROCESS_LAUNCH;
	case DNS_ACTIVITY:
		return DNS_TRAFFIC;
	case DETECTION_FINDING:
		return FINDING_CREATE;
	case FILE_SYSTEM_ACTIVITY:
		return file_activity(e->record->kind);
	case API_ACTIVITY:
	case BASE_EVENT:
		break;
	}
	return ACTIVITY_OTHER;
}

static void put_metadata(struct json_writer *w, const struct exported *e, bool verdict)
{
	char journal[UUID_TEXT_BYTES];
	char uid[UUID_TEXT_BYTES + 24];

	uuid_text(e->journal, journal);
	snprintf(uid, sizeof(uid), "%s:%llu", journal, (unsigned long long)e->record->number);
	json_key(w, "metadata");
	json_object(w);
	json_field_cstr(w, "version", "1.3.0");
	json_field_cstr(w, "uid", uid);
	json_field_span(w, "event_code", e->record->kind);
	json_key(w, "sequence");
	json_put_u64(w, e->record->number);
	json_field_cstr(w, "log_name", audit_source_name(e->record->source));
	if (verdict) {
		json_key(w, "profiles");
		json_array(w);
		json_put_cstr(w, "security_control");
		json_end(w);
	}
	json_key(w, "product");
	json_object(w);
	json_field_cstr(w, "name", "AEGIS");
	json_field_cstr(w, "vendor_name", "AEGIS");
	json_field_cstr(w, "version", AEGIS_VERSION);
	json_end(w);
	json_end(w);
}

/* Members of an actor that is open. Who acts is an execution; records without one are the daemon's.
 */
static void put_app(struct json_writer *w, const struct exported *e)
{
	char id[UUID_TEXT_BYTES];

	json_field_cstr(w, "app_name", "aegis");
	if (!uuid_is_nil(e->record->execution_id)) {
		uuid_text(e->record->execution_id, id);
		json_field_cstr(w, "app_uid", id);
	}
}

static void put_actor(struct json_writer *w, const struct exported *e)
{
	json_key(w, "actor");
	json_object(w);
	put_app(w, e);
	json_end(w);
}

static void put_device(struct json_writer *w, const struct exported *e)
{
	char id[UUID_TEXT_BYTES];

	json_key(w, "device");
	json_object(w);
	json_field_i64(w, "type_id", ACTIVITY_OTHER);
	json_field_cstr(w, "type", "Sandbox");
	uuid_text(uuid_is_nil(e->record->execution_id) ? e->journal : e->record->execution_id, id);
	json_field_cstr(w, "uid", id);
	json_end(w);
}

static void put_file_object(struct json_writer *w, struct span path, int type)
{
	size_t base = path.n;

	while (base > 0 && path.p[base - 1] != '/')
		base--;
	json_key(w, "file");
	json_object(w);
	json_field_span(w, "name", span_sub(path, base, path.n));
	json_field_span(w, "path", path);
	json_field_i64(w, "type_id", type);
	json_end(w);
}

static void put_file(struct json_writer *w, const struct exported *e)
{
	put_actor(w, e);
	put_device(w, e);
	put_file_object(w, json_str(e->facts.payload, "path", SPAN("")),
		span_is(e->record->kind, "DirectoryListed") ? 2 : 0);
}

/* ---- processes ---- */

static void put_command_line(struct json_writer *w, const struct json *arguments)
{
	struct buf line CLEANUP(buf_fini) = buf_init(LIMIT_AUDIT_PAYLOAD_BYTES);

	if (!arguments || arguments->type != JSON_ARRAY || !arguments->count)
		return;
	json_for_each (item, arguments) {
		buf_puts(&line, line.len ? " " : "");
		buf_span(&line, item->text);
	}
	json_field_span(w, "cmd_line", buf_view(&line));
}

static void put_process(struct json_writer *w, const struct exported *e)
{
	const struct json *d = e->facts.details;
	struct span path = json_str(d, "path", SPAN(""));

	put_device(w, e);
	json_key(w, "actor");
	json_object(w);
	put_app(w, e);
	json_key(w, "process");
	json_object(w);
	json_field_i64(w, "pid", json_i64(d, "parent_pid", 0));
	json_end(w);
	json_end(w);
	json_key(w, "process");
	json_object(w);
	json_field_i64(w, "pid", json_i64(d, "pid", 0));
	json_field_span(w, "name", json_str(d, "command", SPAN("")));
	put_command_line(w, json_get(d, "arguments"));
	if (path.n)
		put_file_object(w, path, 1);
	json_end(w);
	if (json_get(d, "status"))
		json_field_i64(w, "exit_code", json_i64(d, "status", 0));
}

static void put_finding(struct json_writer *w, const struct exported *e)
{
	char uid[24];

	snprintf(uid, sizeof(uid), "%llu", (unsigned long long)e->record->number);
	json_key(w, "finding_info");
	json_object(w);
	json_field_span(w, "uid", json_str(e->facts.payload, "id", span_cstr(uid)));
	json_field_span(w, "title", e->record->kind);
	json_field_span(w, "desc", export_message(e));
	json_end(w);
}

static int direction_of(struct span hook)
{
	if (span_is(hook, "ingress"))
		return INBOUND;
	return span_is(hook, "connect") || span_is(hook, "send") || span_is(hook, "egress")
		? OUTBOUND
		: 0;
}

static void put_traffic(struct json_writer *w, const struct json *d)
{
	static const struct {
		const char *to, *from;
	} members[] = {{"bytes_out", "sent_bytes"}, {"packets_out", "sent_packets"},
		{"bytes_in", "received_bytes"}, {"packets_in", "received_packets"}};

	if (!json_get(d, "sent_bytes"))
		return;
	json_key(w, "traffic");
	json_object(w);
	for (size_t i = 0; i < ARRAY_LEN(members); i++)
		json_field_i64(w, members[i].to, json_i64(d, members[i].from, 0));
	json_end(w);
}

static void put_network(struct json_writer *w, const struct exported *e)
{
	const struct json *d = e->facts.details;
	int direction = direction_of(json_str(d, "hook", SPAN("")));

	json_key(w, "connection_info");
	json_object(w);
	json_field_i64(w, "direction_id", direction);
	json_field_i64(w, "protocol_num", json_i64(d, "protocol", 0));
	json_end(w);
	json_key(w, direction == INBOUND ? "src_endpoint" : "dst_endpoint");
	json_object(w);
	json_field_span(w, "ip", json_str(d, "address", SPAN("")));
	json_field_i64(w, "port", json_i64(d, "port", 0));
	json_end(w);
	put_traffic(w, d);
}

static void put_dns(struct json_writer *w, const struct exported *e)
{
	const struct json *d = e->facts.details;
	int64_t type = json_i64(d, "type", 0);
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)type);
	json_key(w, "query");
	json_object(w);
	json_field_span(w, "hostname", json_str(d, "name", SPAN("")));
	json_field_cstr(w, "type", type == 1 ? "A" : type == 28 ? "AAAA" : text);
	json_end(w);
	json_field_i64(w, "rcode_id", json_i64(d, "rcode", 0));
}

static void put_api(struct json_writer *w, const struct exported *e)
{
	put_actor(w, e);
	json_key(w, "api");
	json_object(w);
	json_field_span(w, "operation", e->record->kind);
	json_end(w);
	json_key(w, "src_endpoint");
	json_object(w);
	json_field_cstr(w, "svc_name", "aegis");
	json_end(w);
}

static void put_class(struct json_writer *w, const struct exported *e, enum class_uid c)
{
	switch (c) {
	case FILE_SYSTEM_ACTIVITY:
		put_file(w, e);
		return;
	case DETECTION_FINDING:
		put_finding(w, e);
		return;
	case NETWORK_ACTIVITY:
		put_network(w, e);
		return;
	case PROCESS_ACTIVITY:
		put_process(w, e);
		return;
	case DNS_ACTIVITY:
		put_dns(w, e);
		return;
	case API_ACTIVITY:
		put_api(w, e);
		return;
	case BASE_EVENT:
		return;
	}
}

void put_ocsf(struct json_writer *w, const struct exported *e)
{
	enum class_uid c = class_of(e);
	int activity = activity_of(e, c);
	bool verdict = e->facts.denied || e->facts.decision;
	bool alarming = e->facts.denied ||
		(e->record->source == AUDIT_JOURNAL && span_is(e->record->kind, "Gap"));
	struct span message = export_message(e);

	json_object(w);
	json_field_i64(w, "class_uid", c);
	json_field_i64(w, "category_uid", c / 1000);
	json_field_i64(w, "activity_id", activity);
	if (activity == ACTIVITY_OTHER)
		json_field_span(w, "activity_name", e->record->kind);
	json_field_i64(w, "type_uid", (int64_t)c * 100 + activity);
	json_field_i64(w, "time", e->record->wall_ns / NS_PER_MS);
	json_field_i64(w, "severity_id", alarming ? SEVERITY_MEDIUM : SEVERITY_INFORMATIONAL);
	put_metadata(w, e, verdict);
	if (verdict)
		put_verdict(w, e);
	if (message.n)
		json_field_span(w, "message", message);
	put_class(w, e, c);
	json_key(w, "unmapped");
	put_record_json(w, e->record);
	json_end(w);
}
