/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the manifest's tables cannot say: fields that depend on each other's values. */
#include "daemon/agent/agent_internal.h"
#include "daemon/template/template.h"
#include "policy/context/context.h"
#include <stdio.h>

void agent_check_runtime(struct table_run *run, const struct doc *d, void *object)
{
	struct agent_runtime *r = object;
	if (!doc_get(d, "temperature"))
		r->temperature = -1;
}

static void check_connect(
	struct table_run *run, const struct doc *d, const char *member, const agent_strings *list)
{
	for (size_t i = 0; i < list->count; i++) {
		if (context_check_connect(list->items[i]) == 0)
			continue;
		table_problem(run, d, member, "%s", err_message(-EINVAL));
		err_clear();
	}
}

void agent_check_network(struct table_run *run, const struct doc *d, void *object)
{
	const struct agent_security *s = object;
	size_t listed = s->network.allowlist.count + s->network.denylist.count;
	if (s->network.mode == AGENT_NETWORK_NONE && listed)
		table_warning(run, d, "mode", "none has no network, so the lists have no effect");
	if (s->network.mode == AGENT_NETWORK_DENY)
		table_warning(run, d, "mode",
			"a list of denied names is no boundary: a name can be replaced by another; "
			"prefer allow with an allowlist");
	check_connect(run, d, "allowlist", &s->network.allowlist);
	check_connect(run, d, "denylist", &s->network.denylist);
}

void agent_check_lease(struct table_run *run, const struct doc *d, void *object)
{
	const struct agent_lease *l = object;

	for (size_t i = 0; i < l->programs.count; i++)
		if (!*l->programs.items[i])
			table_problem(run, d, "programs", "a program has a name");
	for (size_t i = 0; i < l->programs.count; i++)
		if (strcmp(l->programs.items[i], "sh") == 0)
			table_warning(run, d, "programs",
				"sh runs every line that needs a shell, whatever it is, so all of "
				"them have the lease");
	check_connect(run, d, "destinations", &l->destinations);
}

/* The id of a volume, or a template that is to yield one. */
static void check_source(struct table_run *run, const struct doc *d, const char *text)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_MANIFEST_ARENA_BYTES);
	const struct template *t;
	struct uuid id;
	if (!strstr(text, "{{")) {
		if (uuid_parse(span_cstr(text), &id) < 0)
			table_problem(run, d, "source.volume_id",
				"\"%.64s\" is no id of a volume; accepted: a UUID, or a template "
				"that yields one",
				text);
	} else if (!a || template_parse(a, span_cstr(text), &t) < 0) {
		table_problem(run, d, "source.volume_id", "%s", err_message(-EINVAL));
	}
	err_clear();
}

void agent_check_volume(struct table_run *run, const struct doc *d, void *object)
{
	struct agent_volume *v = object;
	bool own = v->type == AGENT_VOLUME_SEAWEEDFS;
	if (v->type == AGENT_VOLUME_SEAL)
		v->type = AGENT_VOLUME_SMCP;
	if (v->type == AGENT_VOLUME_OPENDAL && !v->provider)
		table_problem(run, d, NULL, "type opendal needs \"provider\", like s3");
	if (!own && !v->config)
		table_problem(run, d, NULL, "this type needs \"config\" with its settings");
	if (v->config && v->config->type != JSON_OBJECT)
		table_problem(run, d, "config", "wanted a mapping");
	if (v->storage_class == AGENT_STORAGE_EPHEMERAL && !v->ttl_hours)
		table_problem(run, d, NULL,
			"an ephemeral volume needs \"ttl_hours\", the hours until it is deleted");
	if (v->storage_class == AGENT_STORAGE_EPHEMERAL && v->source_volume_id)
		table_problem(run, d, "source",
			"an ephemeral volume is always new; write storage_class: persistent");
	if (v->source_volume_id)
		check_source(run, d, v->source_volume_id);
	if (v->storage_class == AGENT_STORAGE_PERSISTENT && v->ttl_hours)
		table_problem(run, d, "ttl_hours",
			"a persistent volume does not expire; leave it out, or write "
			"storage_class: ephemeral");
	if (v->storage_class == AGENT_STORAGE_PERSISTENT && own && !v->source_volume_id)
		table_problem(run, d, NULL,
			"a persistent volume needs \"source.volume_id\", the id of an existing "
			"one");
}

/* ---- validators ---- */

static void check_pattern(
	struct table_run *run, const struct doc *d, const char *member, const char *pattern)
{
	struct pattern *p CLEANUP(pattern_cleanup) = NULL;
	int r = pattern_new(span_cstr(pattern), false, &p);
	if (r < 0) {
		table_problem(run, d, member, "%s", err_message(r));
		err_clear();
	}
}

static void check_schema(
	struct table_run *run, const struct doc *d, const char *member, const struct json *schema)
{
	struct jsonschema *s = NULL;
	int r = jsonschema_new(schema, JSONSCHEMA_2020_12, &s);
	jsonschema_free(s);
	if (r < 0) {
		table_problem(run, d, member, "this is no usable JSON Schema: %s", err_message(r));
		err_clear();
	}
}

void agent_check_output(struct table_run *run, const struct doc *d, void *object)
{
	const struct written_output *o = object;
	if (o->regex)
		check_pattern(run, d, "regex", o->regex);
	if (o->schema)
		check_schema(run, d, "schema", o->schema);
	if (o->schema && o->format > AGENT_OUTPUT_YAML)
		table_problem(run, d, "schema", "a schema needs format: json or format: yaml");
}

void agent_check_validator(struct table_run *run, const struct doc *d, void *object)
{
	struct written_validator *v = object;
	bool judged = v->type == WRITTEN_SEMANTIC || v->type == WRITTEN_MULTI_JUDGE;
	if (!doc_get(d, "min_score"))
		v->min_score = judged ? 0.7 : 1;
	if (v->type == WRITTEN_REGEX)
		check_pattern(run, d, "pattern", v->pattern);
	if (v->type == WRITTEN_JSON_SCHEMA)
		check_schema(run, d, "schema", v->schema);
	if (v->type == WRITTEN_MULTI_JUDGE && v->min_judges > (int64_t)v->judges.count)
		table_problem(run, d, "min_judges_required",
			"%lld are more than the judges listed; accepted: 1 to %zu",
			(long long)v->min_judges, v->judges.count);
}

/* ---- tools ---- */

static void check_cmd(struct table_run *run, const struct doc *d, struct agent_tool *t)
{
	struct agent_cmd_policy *cmd = arena_make(run->report->arena, struct agent_cmd_policy);
	bool present = false;
	int r = cmd ? table_load_member(run, d, "config", &agent_cmd_table, cmd, &present)
		    : -ENOMEM;
	if (r < 0)
		table_problem(run, d, NULL, "no memory for this tool");
	else if (!present)
		table_problem(run, d, NULL,
			"executor builtin:cmd needs \"config\" with a subcommand_allowlist");
	else if (r == 0)
		t->cmd = cmd;
}

static void check_fs(struct table_run *run, const struct doc *d, struct agent_tool *t)
{
	static const struct doc nothing = {.type = DOC_MAP, .weight = 1};
	struct doc config = {.key = SPAN("config"), .type = DOC_MAP, .weight = 1};
	struct doc tool = {.type = DOC_MAP, .count = 1, .items = &config, .weight = 2};
	const struct doc *written = doc_get(d, "config");
	config = written && written->type != DOC_NULL ? *written : nothing;
	config.key = SPAN("config");

	struct agent_fs_policy *fs = arena_make(run->report->arena, struct agent_fs_policy);
	bool present;
	int r = fs ? table_load_member(run, &tool, "config", &agent_fs_table, fs, &present)
		   : -ENOMEM;
	if (r < 0)
		table_problem(run, d, NULL, "no memory for this tool");
	else if (r == 0)
		t->fs = fs;
}

/* "mcp:NAME", or a tool of `server: mcp:NAME`; a binding that is called like its server means all
 * of its tools. */
static void take_server(struct table_run *run, const struct doc *d, struct agent_tool *t)
{
	const char *written = t->server ? t->server : t->name;

	if (strncmp(written, "mcp:", 4) != 0 || strcmp(written, "mcp:filesystem") == 0)
		return;
	bool all = !t->server || strcmp(t->name, written + 4) == 0;
	t->server_name = written + 4;
	t->server_pattern =
		arena_printf(run->report->arena, "%s.%s", t->server_name, all ? "*" : t->name);
	if (!t->server_pattern)
		table_problem(run, d, NULL, "no memory for this tool");
	else if (!*t->server_name || strpbrk(t->server_name, ".:*") ||
		(t->server && strpbrk(t->name, ":*")))
		table_problem(run, d, t->server ? "server" : NULL,
			"wanted mcp:NAME, where NAME is a server of the node configuration");
}

void agent_check_tool(struct table_run *run, const struct doc *d, void *object)
{
	struct agent_tool *t = object;
	take_server(run, d, t);
	if (t->config && t->config->type != JSON_OBJECT)
		table_problem(run, d, "config", "wanted a mapping");
	else if (t->executor)
		check_cmd(run, d, t);
	else if ((t->server && strcmp(t->server, "mcp:filesystem") == 0) ||
		strcmp(t->name, "mcp:filesystem") == 0)
		check_fs(run, d, t);
}

/* ---- spec ---- */

/* The reference asks that a timeout of the mapping form fits into the whole; in the list form,
 * where it does not say so, the whole simply ends it. Defaults are cut to fit. */
static void check_timeout(struct table_run *run, const struct doc *spec, const char *path,
	int64_t whole_ns, bool must)
{
	const struct doc *d = doc_at(spec, path);
	int64_t ns;
	if (!d || (d->type != DOC_NUMBER && d->type != DOC_STRING) ||
		clock_parse_duration(d->type == DOC_NUMBER ? d->number : d->text, &ns) < 0 ||
		ns <= whole_ns)
		return;
	double whole_s = (double)whole_ns / NS_PER_S;
	if (must)
		table_problem(run, spec, path,
			"longer than the whole execution may take; accepted: at most "
			"security.resources.timeout (%g s)",
			whole_s);
	else
		table_warning(run, spec, path,
			"longer than security.resources.timeout (%g s), which ends it", whole_s);
}

static void check_timeouts(
	struct table_run *run, const struct doc *spec, const struct written_spec *w)
{
	int64_t whole_ns = w->spec.security.resources.timeout_ns;
	check_timeout(run, spec, "execution.iteration_timeout", whole_ns, false);
	check_timeout(run, spec, "execution.validation.system.timeout_seconds", whole_ns, true);
	check_timeout(run, spec, "execution.validation.script.timeout_seconds", whole_ns, true);
	check_timeout(run, spec, "execution.validation.semantic.timeout_seconds", whole_ns, true);
	const struct doc *list = doc_at(spec, "execution.validation");
	for (size_t i = 0; list && list->type == DOC_LIST && i < list->count; i++) {
		char path[64];
		snprintf(path, sizeof(path), "execution.validation[%zu].timeout_seconds", i);
		check_timeout(run, spec, path, whole_ns, false);
	}
}

static bool env_name_ok(const char *name)
{
	if (!*name || (*name >= '0' && *name <= '9'))
		return false;
	for (; *name; name++) {
		char c = (char)(*name | 0x20);
		if (*name != '_' && !(*name >= '0' && *name <= '9') && !(c >= 'a' && c <= 'z'))
			return false;
	}
	return true;
}

static bool lies_in(const char *path, const char *folder)
{
	size_t n = strlen(folder);
	return strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* Volumes lie beside each other; /workspace alone may have others below it. */
static void check_mounts(struct table_run *run, const struct doc *d, const struct agent_spec *spec)
{
	char path[64];
	for (size_t i = 0; i < spec->volumes.count; i++) {
		const struct agent_volume *v = &spec->volumes.items[i];
		for (size_t j = 0; j < i; j++) {
			const struct agent_volume *u = &spec->volumes.items[j];
			bool root = !strcmp(u->mount_path, "/workspace") !=
				!strcmp(v->mount_path, "/workspace");
			snprintf(path, sizeof(path), "volumes[%zu].mount_path", i);
			if (!root &&
				(lies_in(v->mount_path, u->mount_path) ||
					lies_in(u->mount_path, v->mount_path)))
				table_problem(run, d, path,
					"volume \"%s\" is at %s: only /workspace may have other "
					"volumes below it",
					u->name, u->mount_path);
			snprintf(path, sizeof(path), "volumes[%zu].source.volume_id", i);
			if (v->source_volume_id && u->source_volume_id &&
				strcmp(v->source_volume_id, u->source_volume_id) == 0)
				table_problem(run, d, path,
					"volume \"%s\" is the same one; a volume is mounted once",
					u->name);
		}
	}
}

void agent_check_spec(struct table_run *run, const struct doc *d, void *object)
{
	const struct written_spec *w = object;
	check_timeouts(run, d, w);
	check_mounts(run, d, &w->spec);
	const struct doc *env = doc_get(d, "env");
	for (size_t i = 0; i < w->spec.env.count; i++)
		if (!env_name_ok(w->spec.env.keys[i]))
			report_error(run->report, env->items[i].key_at, "spec.env",
				"\"%.64s\" is no name of a variable; accepted: letters, digits and "
				"_, no digit in front",
				w->spec.env.keys[i]);
	if (w->delivery && w->execution.delivery)
		table_problem(run, d, "delivery", "written twice, here and in execution; keep one");
	if (w->spec.input_schema)
		check_schema(run, d, "input_schema", w->spec.input_schema);
	if (w->spec.task.input_data && w->spec.task.input_data->type != JSON_OBJECT)
		table_problem(run, d, "task.input_data", "wanted a mapping");
}

/* ---- the whole ---- */

void agent_finding(struct report *report, const struct agent_manifest *m, const char *path,
	const char *message)
{
	const struct doc *d = doc_at(m->doc, path);

	report_error(report, d ? d->at : m->doc->at, path, "%s", message);
	err_clear();
}

int agent_check_prompt(struct report *report, const struct agent_manifest *m)
{
	const char *text = m->spec.task.prompt_template;
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_MANIFEST_ARENA_BYTES);
	const struct template *t;

	if (!a)
		return err_raise(-ENOMEM, "no memory for a manifest");
	int r = text ? template_parse(a, span_cstr(text), &t) : 0;
	if (r != -EINVAL && r != -E2BIG)
		return err_trace(r);
	agent_finding(report, m, "spec.task.prompt_template", err_message(r));
	return DOC_BAD;
}
