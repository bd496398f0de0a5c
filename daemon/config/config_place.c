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

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static void warn_if(struct report *report, bool differs, const char *path)
{
	if (differs)
		report_warning(report, (struct report_place){0}, path,
			"changed, but only a restart of the daemon takes it up");
}

static void warn_of_restarts(
	struct report *report, const struct config *old, const struct config *new)
{
	warn_if(report, !same_text(old->node.id, new->node.id), "spec.node.id");
	warn_if(report, !same_text(old->network.bind_address, new->network.bind_address),
		"spec.network.bind_address");
	warn_if(report, old->network.port != new->network.port, "spec.network.port");
	warn_if(report, !old->network.tls != !new->network.tls, "spec.network.tls");
	warn_if(report, !same_text(old->daemon.data_directory, new->daemon.data_directory),
		"spec.daemon.data_directory");
	warn_if(report, !same_text(old->daemon.socket_path, new->daemon.socket_path),
		"spec.daemon.socket_path");
	warn_if(report, old->daemon.tcp != new->daemon.tcp, "spec.daemon.tcp");
	warn_if(report, old->daemon.workers != new->daemon.workers, "spec.daemon.workers");
	warn_if(report, !same_text(old->audit.directory, new->audit.directory),
		"spec.audit.directory");
	warn_if(report,
		!same_text(
			old->storage.local_host.mount_point, new->storage.local_host.mount_point),
		"spec.storage.local_host.mount_point");
	warn_if(report,
		old->sandbox.uid_first != new->sandbox.uid_first ||
			old->sandbox.uid_count != new->sandbox.uid_count,
		"spec.sandbox.uid_first");
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
	warn_of_restarts(report, c, new);
	*ret = new;
	return 0;
}
