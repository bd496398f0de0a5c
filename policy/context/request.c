/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A request in Cedar's words: principal, action, resource, context and the entities that they name,
 * made in the request's arena without a detour over JSON. What hierarchies there are (a path below
 * its folders, a domain below its parents, a tool in its groups, an agent in its tenant) follows
 * from the canonical values; of each, only the names that the set's policies mention are made.
 */
#include "policy/context/rules.h"

enum { ENTITIES_MAX = 8, CONTEXT_MAX = 4, COMMAND_MAX = 7 };

struct making {
	struct arena *arena;
	const struct rule_set *set;
	const struct decision_request *q;
	struct entity *entities;
	size_t entity_count;
	struct value_member *context;
	size_t context_count;
};

static int no_memory(void)
{
	return err_raise(-ENOMEM, "decision: request memory used up");
}

enum action_kind action_kind(struct span action)
{
	if (span_starts(action, SPAN("tool:")))
		return ACTION_TOOL;
	if (span_is(action, "fs:read") || span_is(action, "fs:write"))
		return ACTION_FILE;
	if (span_is(action, "exec"))
		return ACTION_EXEC;
	if (span_is(action, "net:connect"))
		return ACTION_NET;
	if (span_starts(action, SPAN("sys:")))
		return ACTION_SYS;
	return ACTION_UNKNOWN;
}

static struct cedar_value string_value(struct span s)
{
	return (struct cedar_value){.type = VALUE_STRING, .string = s};
}

static struct cedar_value uid_value(const struct cedar_uid *uid)
{
	return (struct cedar_value){.type = VALUE_ENTITY, .uid = uid};
}

static struct cedar_uid uid_of(const struct making *m, enum entity_type type, struct span id)
{
	return cedar_uid_with(&m->set->types[type].of, id);
}

/* Room for one more entity, with up to `ancestors` above it. */
static int add_entity(struct making *m, enum entity_type type, struct span id, size_t ancestors,
	struct entity **ret)
{
	struct entity *e = &m->entities[m->entity_count++];

	CHECK(m->entity_count <= ENTITIES_MAX);
	*e = (struct entity){.uid = uid_of(m, type, id)};
	if (ancestors) {
		e->ancestors = arena_raw(m->arena, ancestors * sizeof(*e->ancestors));
		if (!e->ancestors)
			return no_memory();
	}
	*ret = e;
	return 0;
}

static int add_ancestor(struct making *m, struct entity *e, enum entity_type type, struct span id)
{
	if (!m->set->types[type].named) /* no policy speaks of any */
		return 0;
	struct cedar_uid above = uid_of(m, type, id);
	if (!set_names(m->set, &above))
		return 0;
	struct cedar_uid *copy = arena_raw(m->arena, sizeof(*copy));
	if (!copy)
		return no_memory();
	*copy = above;
	e->ancestors[e->ancestor_count++] = copy;
	return 0;
}

/* Attributes; `members` are in order of their keys already. */
static int set_attrs(
	struct making *m, struct entity *e, const struct value_member *members, size_t count)
{
	struct value_record *r = arena_raw(m->arena, sizeof(*r));
	struct value_member *copy = arena_raw(m->arena, count * sizeof(*copy));

	if (!r || !copy)
		return no_memory();
	memcpy(copy, members, count * sizeof(*copy));
	*r = (struct value_record){.count = count, .members = copy};
	e->attrs = r;
	return 0;
}

/* ---- who ---- */

static int add_principal(struct making *m, struct cedar_uid *ret)
{
	const struct decision_request *q = m->q;
	struct entity *execution, *agent;
	int r = add_entity(m, TYPE_AGENT, q->agent, 1, &agent);

	if (r == 0)
		r = add_ancestor(m, agent, TYPE_TENANT, q->tenant);
	if (r == 0)
		r = add_entity(m, TYPE_EXECUTION, q->execution_id, 2, &execution);
	if (r == 0)
		r = add_ancestor(m, execution, TYPE_TENANT, q->tenant);
	if (r == 0 && set_names(m->set, &agent->uid))
		execution->ancestors[execution->ancestor_count++] = &agent->uid;
	struct cedar_uid *tenant = arena_raw(m->arena, sizeof(*tenant));
	if (!tenant)
		return no_memory();
	*tenant = uid_of(m, TYPE_TENANT, q->tenant);
	if (r == 0)
		r = set_attrs(m, execution,
			(const struct value_member[]){{SPAN("agent"), uid_value(&agent->uid)},
				{SPAN("tenant"), uid_value(tenant)}},
			2);
	if (r == 0)
		*ret = execution->uid;
	return err_trace(r);
}

/* "tool:a.b.c" is in "tool:a.b.*", "tool:a.*" and "tool"; "sys:x" is in "sys". */
static int add_action(struct making *m, struct cedar_uid *ret)
{
	struct span action = m->q->action;
	struct entity *e;
	size_t dots = 1;
	int r = 0;

	for (size_t i = 0; i < action.n; i++)
		dots += action.p[i] == '.';
	r = add_entity(m, TYPE_ACTION, action, dots, &e);
	ssize_t colon = span_find_byte(action, ':', 0);
	if (r == 0 && colon > 0)
		r = add_ancestor(m, e, TYPE_ACTION, span_sub(action, 0, (size_t)colon));
	for (size_t i = 0; r == 0 && i < action.n; i++) {
		if (action.p[i] != '.' || i + 1 == action.n)
			continue;
		char *group = arena_bytes(m->arena, i + 2);
		if (!group)
			return no_memory();
		memcpy(group, action.p, i + 1);
		group[i + 1] = '*';
		r = add_ancestor(m, e, TYPE_ACTION, span_of(group, i + 2));
	}
	if (r == 0)
		*ret = e->uid;
	return err_trace(r);
}

/* ---- what ---- */

static struct span last_component(struct span path)
{
	for (size_t i = path.n; i > 0; i--)
		if (path.p[i - 1] == '/')
			return span_sub(path, i, path.n);
	return path;
}

static int add_path(struct making *m, struct span path, struct cedar_uid *ret)
{
	size_t above = 3;
	struct entity *e;

	set_for_each_layer(l, m->set) above += l->pattern_count;
	for (size_t i = 0; i < m->entity_count; i++) {
		e = &m->entities[i];
		if (span_is(e->uid.type, "Path") && span_eq(e->uid.id, path)) {
			*ret = e->uid;
			return 0;
		}
	}
	for (size_t i = 1; i < path.n && i <= m->set->folder_bytes_max; i++)
		above += path.p[i] == '/';
	int r = add_entity(m, TYPE_PATH, path, above, &e);
	if (r < 0)
		return err_trace(r);
	if (path.n > 1 && path.p[0] == '/')
		r = add_ancestor(m, e, TYPE_PATH, SPAN("/"));
	/* No policy names a longer folder: a path of thousands costs no more. */
	for (size_t i = 1; r == 0 && i < path.n && i <= m->set->folder_bytes_max; i++)
		if (path.p[i] == '/')
			r = add_ancestor(m, e, TYPE_PATH, span_sub(path, 0, i));
	if (r == 0 && m->q->volume.n)
		r = add_ancestor(m, e, TYPE_VOLUME, m->q->volume);
	set_for_each_layer(l, m->set) for (size_t i = 0; r == 0 && i < l->pattern_count;
					   i++) if (context_glob_match(l->patterns[i]->id, path))
		e->ancestors[e->ancestor_count++] = l->patterns[i];
	if (r == 0)
		r = set_attrs(m, e,
			(const struct value_member[]){
				{SPAN("name"), string_value(last_component(path))},
				{SPAN("path"), string_value(path)}},
			2);
	if (r == 0)
		*ret = e->uid;
	return err_trace(r);
}

static int add_domain(struct making *m, struct span domain, struct cedar_uid *ret)
{
	struct entity *e;
	size_t labels = 1;

	for (size_t i = 0; i < domain.n; i++)
		labels += domain.p[i] == '.';
	int r = add_entity(m, TYPE_DOMAIN, domain, labels, &e);
	for (size_t i = 0; r == 0 && i < domain.n; i++)
		if (domain.p[i] == '.')
			r = add_ancestor(m, e, TYPE_DOMAIN, span_sub(domain, i + 1, domain.n));
	if (r == 0)
		r = set_attrs(
			m, e, &(const struct value_member){SPAN("name"), string_value(domain)}, 1);
	if (r == 0)
		*ret = e->uid;
	return err_trace(r);
}

static void add_context(struct making *m, struct span key, struct cedar_value v)
{
	CHECK(m->context_count < CONTEXT_MAX);
	m->context[m->context_count++] = (struct value_member){key, v};
}

static int add_uid_context(struct making *m, struct span key, struct cedar_uid uid)
{
	struct cedar_uid *copy = arena_raw(m->arena, sizeof(*copy));

	if (!copy)
		return no_memory();
	*copy = uid;
	add_context(m, key, uid_value(copy));
	return 0;
}

/* ---- commands ---- */

/* By base name: "/bin/sh" is one too. What a program starts by itself is the sandbox's care. */
bool program_is_shell(struct span program)
{
	static const char *const shells[] = {"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh",
		"csh", "tcsh", "fish", "busybox", "rbash"};
	struct span name = last_component(program);

	for (size_t i = 0; i < ARRAY_LEN(shells); i++)
		if (span_is(name, shells[i]))
			return true;
	return false;
}

/* The first argument as a path, if it can be one: it does not look like an option, and has a
 * canonical form. */
static int add_script(struct making *m, struct value_member *ret, bool *ret_is)
{
	struct span arg = m->q->argv_count > 1 ? m->q->argv[1] : SPAN(""), path;
	struct cedar_uid uid, *copy;

	*ret_is = false;
	if (arg.n == 0 || arg.p[0] == '-')
		return 0;
	if (context_canonical_path(arg, m->q->cwd, m->arena, &path) < 0) {
		err_clear();
		return 0;
	}
	int r = add_path(m, path, &uid);
	copy = arena_raw(m->arena, sizeof(*copy));
	if (r < 0 || !copy)
		return r < 0 ? err_trace(r) : no_memory();
	*copy = uid;
	*ret = (struct value_member){SPAN("script"), uid_value(copy)};
	*ret_is = true;
	return 0;
}

static int argument_set(struct making *m, struct cedar_value *ret)
{
	size_t count = m->q->argv_count - 1;
	struct cedar_value *items = arena_raw(m->arena, (count + 1) * sizeof(*items));

	if (!items)
		return no_memory();
	for (size_t i = 0; i < count; i++)
		items[i] = string_value(m->q->argv[i + 1]);
	return err_trace(value_make_set(m->arena, items, count, ret));
}

static int command_line(struct making *m, struct cedar_value *ret)
{
	size_t n = 0, at = 0;

	for (size_t i = 0; i < m->q->argv_count; i++)
		n += m->q->argv[i].n + 1;
	char *text = arena_bytes(m->arena, n);
	if (!text)
		return no_memory();
	for (size_t i = 0; i < m->q->argv_count; i++) {
		if (i)
			text[at++] = ' ';
		if (m->q->argv[i].n)
			memcpy(text + at, m->q->argv[i].p, m->q->argv[i].n);
		at += m->q->argv[i].n;
	}
	*ret = string_value(span_of(text, at));
	return 0;
}

static int add_command(struct making *m)
{
	struct span program = m->q->argv[0];
	struct value_record *record = arena_raw(m->arena, sizeof(*record));
	struct value_member *f = arena_raw(m->arena, COMMAND_MAX * sizeof(*f));
	struct cedar_value v;
	size_t n = 0;
	bool is;

	if (!record || !f)
		return no_memory();
	int r = argument_set(m, &v);
	if (r < 0)
		return err_trace(r);
	/* In order of the keys. */
	f[n++] = (struct value_member){SPAN("args"), v};
	f[n++] = (struct value_member){SPAN("base"), string_value(last_component(program))};
	if (m->q->argv_count > 1)
		f[n++] = (struct value_member){SPAN("first"), string_value(m->q->argv[1])};
	r = command_line(m, &v);
	if (r < 0)
		return err_trace(r);
	f[n++] = (struct value_member){SPAN("line"), v};
	f[n++] = (struct value_member){SPAN("program"), string_value(program)};
	r = add_script(m, &f[n], &is);
	n += is;
	f[n++] = (struct value_member){
		SPAN("shell"), {.type = VALUE_BOOL, .boolean = program_is_shell(program)}};
	*record = (struct value_record){.count = n, .members = f};
	add_context(
		m, SPAN("command"), (struct cedar_value){.type = VALUE_RECORD, .record = record});
	return err_trace(r);
}

/* ---- the whole ---- */

static int tool_resource(struct making *m, struct span path, struct cedar_uid *ret)
{
	const struct decision_request *q = m->q;
	struct span name = span_sub(q->action, strlen("tool:"), q->action.n);
	struct cedar_uid uid;
	struct entity *e;
	int r = add_entity(m, TYPE_TOOL, name, 0, &e);

	if (r == 0)
		r = set_attrs(
			m, e, &(const struct value_member){SPAN("name"), string_value(name)}, 1);
	if (r == 0)
		*ret = e->uid;
	/* In order of the keys. */
	if (r == 0 && q->argv_count)
		r = add_command(m);
	if (r == 0 && q->domain.n) {
		r = add_domain(m, q->domain, &uid);
		if (r == 0)
			r = add_uid_context(m, SPAN("domain"), uid);
	}
	if (r == 0 && path.n) {
		r = add_path(m, path, &uid);
		if (r == 0)
			r = add_uid_context(m, SPAN("path"), uid);
	}
	return err_trace(r);
}

static int add_call(struct making *m)
{
	struct value_record *record = arena_raw(m->arena, sizeof(*record));
	struct value_member *f = arena_raw(m->arena, 2 * sizeof(*f));

	if (!record || !f)
		return no_memory();
	f[0] = (struct value_member){SPAN("program"), string_value(m->q->call_program)};
	f[1] = (struct value_member){SPAN("tool"), string_value(m->q->call_tool)};
	*record = (struct value_record){.count = 2, .members = f};
	add_context(m, SPAN("call"), (struct cedar_value){.type = VALUE_RECORD, .record = record});
	return 0;
}

/* Its context is in order of the keys. */
static int net_resource(struct making *m, struct cedar_uid *ret)
{
	const struct decision_request *q = m->q;
	struct cedar_value ip = {.type = VALUE_IP};
	struct entity *e;
	int r = q->call_tool.n ? add_call(m) : 0;

	if (r < 0)
		return err_trace(r);
	if (q->address.n) {
		struct ext_ip *parsed = arena_raw(m->arena, sizeof(*parsed));
		if (!parsed)
			return no_memory();
		r = ext_parse_ip(q->address, parsed);
		ip.ip = parsed;
		if (r == 0)
			add_context(m, SPAN("ip"), ip);
	}
	if (r < 0)
		return err_trace(r);
	add_context(
		m, SPAN("port"), (struct cedar_value){.type = VALUE_LONG, .number = m->q->port});
	add_context(m, SPAN("protocol"), string_value(q->protocol));
	if (q->domain.n)
		return err_trace(add_domain(m, q->domain, ret));
	r = add_entity(m, TYPE_ADDRESS, q->address, 0, &e);
	if (r == 0)
		r = set_attrs(m, e, &(const struct value_member){SPAN("ip"), ip}, 1);
	if (r == 0)
		*ret = e->uid;
	return err_trace(r);
}

static int add_resource(struct making *m, struct span path, struct cedar_uid *ret)
{
	const struct decision_request *q = m->q;
	struct entity *e;
	int r;

	switch (action_kind(q->action)) {
	case ACTION_TOOL:
		return err_trace(tool_resource(m, path, ret));
	case ACTION_FILE:
		return err_trace(add_path(m, path, ret));
	case ACTION_EXEC:
		r = add_command(m);
		return r < 0 ? err_trace(r) : err_trace(add_path(m, q->argv[0], ret));
	case ACTION_NET:
		return err_trace(net_resource(m, ret));
	case ACTION_SYS:
		r = add_entity(
			m, TYPE_SYSCALL, span_sub(q->action, strlen("sys:"), q->action.n), 0, &e);
		if (r == 0)
			*ret = e->uid;
		return err_trace(r);
	case ACTION_UNKNOWN:
		break;
	}
	return err_raise(-EINVAL, "action '" SPAN_FMT "' is not known", SPAN_ARG(q->action));
}

int question_make(struct arena *a, const struct rule_set *s, const struct decision_request *q,
	size_t index, struct question *ret)
{
	struct making m = {.arena = a, .set = s, .q = q};
	struct question made = {.path = index < q->path_count ? q->paths[index] : SPAN("")};
	struct cedar_value *context = arena_raw(a, sizeof(*context));
	struct value_record *record = arena_raw(a, sizeof(*record));

	m.entities = arena_raw(a, ENTITIES_MAX * sizeof(*m.entities));
	m.context = arena_raw(a, CONTEXT_MAX * sizeof(*m.context));
	if (!context || !record || !m.entities || !m.context)
		return no_memory();
	int r = add_principal(&m, &made.request.principal);
	if (r == 0)
		r = add_action(&m, &made.request.action);
	if (r == 0)
		r = add_resource(&m, made.path, &made.request.resource);
	if (r == 0)
		r = cedar_entities_make(a, m.entities, m.entity_count, &made.entities);
	if (r < 0)
		return err_trace(r);
	*record = (struct value_record){.count = m.context_count, .members = m.context};
	*context = (struct cedar_value){.type = VALUE_RECORD, .record = record};
	made.request.context = context;
	*ret = made;
	return 0;
}
