/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Where a configuration comes from, where its files are, and what a second look at it may change
 * while the daemon runs.
 */
#include "daemon/config/config_internal.h"
#include <unistd.h>

/* ---- discovery ---- */

static bool look(struct config_search *s, const char *why, const char *path)
{
	if (s->count == CONFIG_SEARCH_MAX)
		return false;
	s->tried[s->count].why = why;
	snprintf(s->tried[s->count].path, sizeof(s->tried[s->count].path), "%s", path);
	s->tried[s->count].exists = access(path, F_OK) == 0;
	return s->tried[s->count++].exists;
}

static int must_exist(struct config_search *s, const char *why, const char *path)
{
	if (look(s, why, path))
		return 0;
	int r = err_raise(-ENOENT, "%s names %s, which does not exist", why, path);
	return r < 0 ? CONFIG_NOT_FOUND : r;
}

static bool look_at_home(struct config_search *s, const char *home)
{
	static const char *const names[] = {".aegis/config.yaml", ".aegis/aegis-config.yaml"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char path[LIMIT_PATH_BYTES];
		snprintf(path, sizeof(path), "%s/%s", home, names[i]);
		if (look(s, "home directory", path))
			return true;
	}
	return false;
}

int config_discover(const char *flag, const struct config_environment *env,
	struct config_search *ret, const char **ret_path)
{
	bool own = env && env->get;
	const char *named =
		own ? env->get(env->ctx, "AEGIS_CONFIG_PATH") : getenv("AEGIS_CONFIG_PATH");
	const char *home = own ? env->get(env->ctx, "HOME") : getenv("HOME");
	ret->count = 0;
	*ret_path = NULL;
	int r = 0;
	if (flag)
		r = must_exist(ret, "--config", flag);
	else if (named && *named)
		r = must_exist(ret, "AEGIS_CONFIG_PATH", named);
	else if (!look(ret, "working directory", "./aegis-config.yaml") &&
		!(home && *home && look_at_home(ret, home)) &&
		!look(ret, "system", "/etc/aegis/config.yaml") &&
		!look(ret, "system", "/etc/aegis/aegis-config.yaml"))
		return 0;
	if (r)
		return r;
	*ret_path = ret->tried[ret->count - 1].path;
	return 0;
}

/* ---- files ---- */

static char *below(const struct config *c, const char *given, const char *name)
{
	char *path = NULL;
	if (given)
		return strdup(given);
	return asprintf(&path, "%s/%s", c->daemon.data_directory, name) < 0 ? NULL : path;
}

char *config_socket_path(const struct config *c)
{
	return below(c, c->daemon.socket_path, "aegisd.sock");
}

char *config_api_key_path(const struct config *c)
{
	return below(c, c->daemon.api_key_path, "api.key");
}

char *config_audit_directory(const struct config *c)
{
	return below(c, c->audit.directory, "audit");
}

char *config_volume_directory(const struct config *c)
{
	return below(c, c->storage.local_host.mount_point, "volumes");
}

char *config_policy_directory(const struct config *c)
{
	const char *slash = c->file ? strrchr(c->file, '/') : NULL;
	char *path = NULL;

	if (c->policy.directory || !c->file)
		return below(c, c->policy.directory, "policy.d");
	int folder = slash ? (int)(slash - c->file) : 1;
	return asprintf(&path, "%.*s/policy.d", folder, slash ? c->file : ".") < 0 ? NULL : path;
}

/* ---- reload ---- */

/* What a reload hands on; everything else is looked at when the daemon starts. */
static const char *const live[] = {
	"metadata", "spec.policy", "spec.security_contexts", "spec.mcp_servers"};

static bool is_live(const char *path)
{
	for (size_t i = 0; i < ARRAY_LEN(live); i++)
		if (strcmp(path, live[i]) == 0)
			return true;
	return false;
}

static const struct json *dumped(const struct config *c, struct arena *a)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	struct json_writer w = json_writer(&b);
	const struct json *v = NULL;

	config_dump(c, &w);
	struct span text = arena_span(a, buf_view(&b));
	if (!text.p || json_parse(a, text, NULL, &v) < 0)
		err_clear();
	return v;
}

/* Names what differs between what runs and what was read, as far down as there are objects. */
static void warn_of(
	struct report *report, const struct json *runs, const struct json *read, const char *path)
{
	char below[LIMIT_DOC_PATH_BYTES];
	const struct json *both = read ? read : runs;

	if (is_live(path) || (runs && read && json_equal(runs, read)))
		return;
	if (*path && (!runs || !read || read->type != JSON_OBJECT || runs->type != JSON_OBJECT)) {
		report_warning(report, (struct report_place){0}, path,
			"changed, but only a restart of the daemon takes it up");
		return;
	}
	json_for_each (member, both) {
		snprintf(below, sizeof(below), "%s%s" SPAN_FMT, path, *path ? "." : "",
			SPAN_ARG(member->key));
		warn_of(report, json_get_span(runs, member->key), json_get_span(read, member->key),
			below);
	}
	if (!runs || !read)
		return;
	json_for_each (member, runs) {
		snprintf(below, sizeof(below), "%s%s" SPAN_FMT, path, *path ? "." : "",
			SPAN_ARG(member->key));
		if (!json_get_span(read, member->key))
			warn_of(report, member, NULL, below);
	}
}

static int warn_of_restarts(
	struct report *report, const struct config *runs, const struct config *read)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 * (size_t)LIMIT_JSON_BYTES);
	const struct json *one = a ? dumped(runs, a) : NULL, *other = one ? dumped(read, a) : NULL;

	if (!other)
		return err_raise(-ENOMEM, "configuration: out of memory");
	warn_of(report, one, other, "");
	return 0;
}

int config_reload(const struct config *c, const struct config_environment *env,
	struct report *report, const struct config **ret)
{
	if (!c->file)
		return err_raise(-ENOENT, "there is no file to read again: embedded defaults hold");
	const struct config *new;
	int r = config_load(c->file, env, report, &new);
	if (r)
		return r < 0 ? err_trace(r) : r;
	r = warn_of_restarts(report, c, new);
	if (r < 0) {
		config_unref(new);
		return err_trace(r);
	}
	*ret = new;
	return 0;
}
