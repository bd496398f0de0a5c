/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The gate between aegisd and root: one row per request, and what its fields may be. A field that
 * is not compared here is an id that a handler looks up, or bytes that only the sandbox reads.
 */
#include "daemon/helper/wire.h"
#include <errno.h>

static int range(const char *field, uint64_t v, uint64_t least, uint64_t most)
{
	if (v >= least && v <= most)
		return 0;
	return err_raise(-ERANGE, "%s is %llu; %llu to %llu are accepted", field,
		(unsigned long long)v, (unsigned long long)least, (unsigned long long)most);
}

int wire_check_limits(const struct wire_limits *l)
{
	const uint64_t kib = 1024, mib = 1024 * kib, tib = mib * mib;
	const struct {
		const char *field;
		uint64_t v, least, most;
	} rows[] = {
		{"cpu_millis", l->cpu_millis, 10, 1024000},
		{"pids", l->pids, 2, 32768},
		{"memory_bytes", l->memory_bytes, 8 * mib, tib},
		{"tmp_bytes", l->tmp_bytes, 4 * kib, tib},
		{"file_bytes", l->file_bytes, 4 * kib, INT64_MAX},
		{"open_files", l->open_files, 16, 1048576},
		{"reserved", l->reserved, 0, 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int r = range(rows[i].field, rows[i].v, rows[i].least, rows[i].most);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

bool wire_strings_ok(const char *p, size_t bytes, uint32_t count)
{
	size_t found = 0;
	for (size_t i = 0; i < bytes; i++)
		found += p[i] == '\0';
	return found == count && (bytes == 0 || p[bytes - 1] == '\0');
}

static bool name_byte(char c, bool first)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
		(!first && c >= '0' && c <= '9');
}

bool wire_variable_ok(const char *s)
{
	const char *p = s;
	while (name_byte(*p, p == s))
		p++;
	return p > s && *p == '=';
}

bool wire_name_ok(const char *name, size_t bytes)
{
	size_t n = strnlen(name, bytes);
	if (n == 0 || n == bytes)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = name[i];
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			    (i > 0 && (c == '.' || c == '_' || c == '-'))))
			return false;
	}
	for (size_t i = n; i < bytes; i++) {
		if (name[i] != '\0')
			return false;
	}
	return true;
}

bool wire_place_ok(const char *at, size_t bytes)
{
	size_t n = strnlen(at, bytes);
	bool done = n == 0;
	struct span rest = span_of(at, n), part;
	if (n == 0 || n == bytes)
		return false;
	while (span_split(&rest, '/', &done, &part)) {
		if (part.n == 0 || part.n > LIMIT_PATH_COMPONENT_BYTES || span_is(part, ".") ||
			span_is(part, ".."))
			return false;
	}
	for (size_t i = n; i < bytes; i++) {
		if (at[i] != '\0')
			return false;
	}
	return true;
}

static int check_execution(const void *packet, size_t bytes)
{
	const struct wire_execution *w = packet;
	return uuid_is_nil(w->execution) ? err_raise(-EPROTO, "the execution id is nil") : 0;
}

static int check_target(const void *packet, size_t bytes)
{
	const struct wire_target *w = packet;
	if (w->id == 0 || uuid_is_nil(w->execution))
		return err_raise(-EPROTO, "the sandbox id or the execution id is nil");
	return 0;
}

static int check_stop(const void *packet, size_t bytes)
{
	const struct wire_stop *w = packet;
	if (w->reserved != 0 || w->how < HELPER_STOP_TERMINATE || w->how > HELPER_STOP_ABANDON)
		return err_raise(-EPROTO, "a way to stop numbered %u", w->how);
	return check_target(packet, bytes);
}

static int check_call_ids(const struct wire_call *w, size_t bytes)
{
	if (uuid_is_nil(w->call) || w->reserved != 0)
		return err_raise(-EPROTO, "the call id is nil");
	return check_target(w, bytes);
}

static int check_call_open(const void *packet, size_t bytes)
{
	const struct wire_call *w = packet;
	if (w->rest != 0)
		return err_raise(-EPROTO, "a call is opened with a rest of %u", w->rest);
	return check_call_ids(w, bytes);
}

static int check_call_close(const void *packet, size_t bytes)
{
	const struct wire_call *w = packet;
	if (w->rest != HELPER_CALL_KILL && w->rest != HELPER_CALL_KEEP)
		return err_raise(-EPROTO, "a rest numbered %u", w->rest);
	return check_call_ids(w, bytes);
}

static int check_variables(const char *p, const char *end)
{
	for (; p < end; p += strlen(p) + 1) {
		if (!wire_variable_ok(p))
			return err_raise(-EPROTO, "an environment entry is not NAME=value");
	}
	return 0;
}

static int check_places(const struct wire_create *w)
{
	static const struct wire_place none;
	if (w->place_count > HELPER_PLACES_MAX || w->reserved != 0)
		return err_raise(-EPROTO, "%u places of volumes", w->place_count);
	for (size_t i = 0; i < HELPER_PLACES_MAX; i++) {
		const struct wire_place *p = &w->places[i];
		if (i >= w->place_count && memcmp(p, &none, sizeof(none)) != 0)
			return err_raise(-EPROTO, "a place beyond the last one");
		if (i < w->place_count &&
			(uuid_is_nil(p->volume) || p->read_only > 1 || p->reserved != 0 ||
				!wire_place_ok(p->at, sizeof(p->at))))
			return err_raise(-EPROTO, "a volume that is nil, or no place for it");
	}
	return 0;
}

static int check_create(const void *packet, size_t bytes)
{
	const struct wire_create *w = packet;
	const char *strings = (const char *)(w + 1);
	if (w->argv_bytes > HELPER_ARGV_BYTES_MAX || w->env_bytes > HELPER_ENV_BYTES_MAX ||
		bytes != sizeof(*w) + w->argv_bytes + w->env_bytes)
		return err_raise(-EPROTO, "argv of %u and environment of %u bytes in %zu",
			w->argv_bytes, w->env_bytes, bytes);
	if (w->argc > WIRE_ARGS_MAX || w->envc > WIRE_ARGS_MAX ||
		!wire_strings_ok(strings, w->argv_bytes, w->argc) ||
		!wire_strings_ok(strings + w->argv_bytes, w->env_bytes, w->envc))
		return err_raise(-EPROTO, "argv or environment are not that many strings");
	if (uuid_is_nil(w->execution) || w->iteration < 1 || w->iteration > HELPER_ITERATION_MAX)
		return err_raise(-EPROTO, "execution nil or iteration %u", w->iteration);
	if (w->files > HELPER_FILES_NFS || w->read_only > 1 || uuid_is_nil(w->workspace))
		return err_raise(-EPROTO, "a way to files numbered %u, or no workspace", w->files);
	if (w->strict > 1)
		return err_raise(-EPROTO, "recording is strict or not, and not %u", w->strict);
	if (!wire_name_ok(w->runtime, sizeof(w->runtime)))
		return err_raise(-EPROTO, "the runtime's name is not [a-z0-9._-]+");
	int r = wire_check_limits(&w->limits);
	if (r == 0)
		r = check_places(w);
	if (r < 0)
		return err_trace(r);
	return check_variables(strings + w->argv_bytes, strings + w->argv_bytes + w->env_bytes);
}

static int check_object(const void *packet, size_t bytes)
{
	const struct wire_object *w = packet;
	int r = range("handle_bytes", w->handle_bytes, 1, HELPER_HANDLE_BYTES);
	if (r == 0)
		r = range("handle_type", w->handle_type, 0, UINT8_MAX);
	return r < 0 ? err_trace(r) : check_execution(packet, bytes);
}

static int check_limit(const void *packet, size_t bytes)
{
	const struct wire_limit *w = packet;
	if (uuid_is_nil(w->execution))
		return err_raise(-EPROTO, "a workspace of nobody");
	if (w->bytes < HELPER_IMAGE_BYTES_MIN || w->bytes > HELPER_IMAGE_BYTES_MAX ||
		w->inodes > HELPER_IMAGE_INODES_MAX)
		return err_raise(-EPROTO, "an image of %llu bytes and %llu inodes",
			(unsigned long long)w->bytes, (unsigned long long)w->inodes);
	return 0;
}

static int check_mount(const void *packet, size_t bytes)
{
	const struct wire_mount *w = packet;
	if (uuid_is_nil(w->volume) || w->read_only > 1 || w->reserved != 0)
		return err_raise(-EPROTO, "the volume id is nil, or read_only is %u", w->read_only);
	if (!wire_name_ok(w->tenant, sizeof(w->tenant)))
		return err_raise(-EPROTO, "the tenant is not [a-z0-9._-]+");
	return check_target(packet, bytes);
}

static int check_sign(const void *packet, size_t bytes)
{
	const struct wire_sign *w = packet;
	if (uuid_is_nil(w->head.journal) || w->head.record == 0)
		return err_raise(-EPROTO, "a head without journal or records");
	return 0;
}

static int check_journal(const void *packet, size_t bytes)
{
	const struct wire_journal *w = packet;
	return uuid_is_nil(w->journal) ? err_raise(-EPROTO, "the journal id is nil") : 0;
}

#define AFTER WIRE_AFTER_HELLO
static const struct wire_rule rules[WIRE_TYPE_END] = {
	[WIRE_HELLO] = {"HELLO", WIRE_FIRST, sizeof(struct wire_plain), 0, NULL},
	[WIRE_WORKSPACE_OPEN] = {"WORKSPACE_OPEN", AFTER, sizeof(struct wire_execution), 0,
		check_execution},
	[WIRE_WORKSPACE_REMOVE] = {"WORKSPACE_REMOVE", AFTER, sizeof(struct wire_execution), 0,
		check_execution},
	[WIRE_SANDBOX_CREATE] = {"SANDBOX_CREATE", AFTER, sizeof(struct wire_create),
		HELPER_ARGV_BYTES_MAX + HELPER_ENV_BYTES_MAX, check_create},
	[WIRE_SANDBOX_STOP] = {"SANDBOX_STOP", AFTER, sizeof(struct wire_stop), 0, check_stop},
	[WIRE_SANDBOX_RELEASE] = {"SANDBOX_RELEASE", AFTER, sizeof(struct wire_target), 0,
		check_target},
	[WIRE_SANDBOX_LIST] = {"SANDBOX_LIST", AFTER, sizeof(struct wire_list), 0, NULL},
	[WIRE_SANDBOX_GET] = {"SANDBOX_GET", AFTER, sizeof(struct wire_target), 0, check_target},
	[WIRE_LISTENER_GET] = {"LISTENER_GET", AFTER, sizeof(struct wire_target), 0, check_target},
	[WIRE_CALL_OPEN] = {"CALL_OPEN", AFTER, sizeof(struct wire_call), 0, check_call_open},
	[WIRE_CALL_CLOSE] = {"CALL_CLOSE", AFTER, sizeof(struct wire_call), 0, check_call_close},
	[WIRE_CALL_LIST] = {"CALL_LIST", AFTER, sizeof(struct wire_target), 0, check_target},
	[WIRE_PUBLIC_KEY] = {"PUBLIC_KEY", AFTER, sizeof(struct wire_plain), 0, NULL},
	[WIRE_SIGN_HEAD] = {"SIGN_HEAD", AFTER, sizeof(struct wire_sign), 0, check_sign},
	[WIRE_LAST_HEAD] = {"LAST_HEAD", AFTER, sizeof(struct wire_journal), 0, check_journal},
	[WIRE_NETWORK_OPEN] = {"NETWORK_OPEN", AFTER, sizeof(struct wire_plain), 0, NULL},
	[WIRE_LSM_OPEN] = {"LSM_OPEN", AFTER, sizeof(struct wire_plain), 0, NULL},
	[WIRE_RECORD_OPEN] = {"RECORD_OPEN", AFTER, sizeof(struct wire_plain), 0, NULL},
	[WIRE_GUARD_OPEN] = {"GUARD_OPEN", AFTER, sizeof(struct wire_plain), 0, NULL},
	[WIRE_RESOLVER_GET] = {"RESOLVER_GET", AFTER, sizeof(struct wire_target), 0, check_target},
	[WIRE_FILES_MOUNT] = {"FILES_MOUNT", AFTER, sizeof(struct wire_mount), 0, check_mount},
	[WIRE_FILES_GET] = {"FILES_GET", AFTER, sizeof(struct wire_target), 0, check_target},
	[WIRE_WORKSPACE_OBJECT] = {"WORKSPACE_OBJECT", AFTER, sizeof(struct wire_object), 0,
		check_object},
	[WIRE_WORKSPACE_LIMIT] = {"WORKSPACE_LIMIT", AFTER, sizeof(struct wire_limit), 0,
		check_limit},
	[WIRE_SANDBOX_BEGIN] = {"SANDBOX_BEGIN", AFTER, sizeof(struct wire_target), 0,
		check_target},
};
#undef AFTER

const struct wire_rule *wire_rule(unsigned type)
{
	return type < WIRE_TYPE_END && rules[type].name ? &rules[type] : NULL;
}

int wire_check(
	const void *packet, size_t bytes, int fds, bool greeted, const struct wire_rule **ret_rule)
{
	const struct wire_header *h = packet;
	if (bytes < sizeof(*h) || h->bytes != bytes)
		return err_raise(-EPROTO, "a packet of %zu bytes", bytes);
	if (h->magic != WIRE_MAGIC || h->version != WIRE_VERSION)
		return err_raise(-EPROTO,
			"a packet of protocol version %u; this helper speaks %u: aegisd and "
			"aegis-helper "
			"must be of one build",
			h->version, WIRE_VERSION);
	if (h->reserved != 0 || h->request == 0)
		return err_raise(-EPROTO, "request number 0 or a reserved field in use");
	const struct wire_rule *rule = wire_rule(h->type);
	if (!rule)
		return err_raise(-EPROTO, "request type %u is not in the table", h->type);
	if (fds != 0)
		return err_raise(-EPROTO, "%s came with %d descriptors", rule->name, fds);
	if ((rule->permission == WIRE_FIRST) == greeted)
		return err_raise(-EPROTO, "%s is not permitted %s HELLO", rule->name,
			greeted ? "after" : "before");
	if (bytes < rule->bytes || bytes - rule->bytes > rule->tail_max)
		return err_raise(-EPROTO, "%s of %zu bytes", rule->name, bytes);
	int r = rule->check ? rule->check(packet, bytes) : 0;
	if (r < 0)
		return err_raise(-EPROTO, "%s: %s", rule->name, err_message(r));
	*ret_rule = rule;
	return 0;
}

struct helper_sandbox wire_sandbox_out(const struct wire_sandbox *w)
{
	return (struct helper_sandbox){
		.id = w->id,
		.cgroup_id = w->cgroup_id,
		.execution = w->execution,
		.iteration = w->iteration,
		.state = (enum helper_sandbox_state)w->state,
		.end = (enum helper_end)w->end,
		.end_status = w->end_status,
		.pid = w->pid,
		.network = w->network != 0,
		.uid = w->uid,
		.files = (enum helper_files)w->files,
		.usage = {w->usage.cpu_us, w->usage.memory_peak_bytes, w->usage.oom_kills},
	};
}

struct wire_sandbox wire_sandbox_in(const struct helper_sandbox *s)
{
	return (struct wire_sandbox){
		.id = s->id,
		.cgroup_id = s->cgroup_id,
		.execution = s->execution,
		.iteration = s->iteration,
		.state = s->state,
		.end = s->end,
		.end_status = s->end_status,
		.pid = s->pid,
		.network = s->network,
		.uid = s->uid,
		.files = s->files,
		.usage = {s->usage.cpu_us, s->usage.memory_peak_bytes, s->usage.oom_kills},
	};
}
