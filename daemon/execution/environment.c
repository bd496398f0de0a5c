/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The environment of an iteration: upstream's contract (AEGIS_*), then the manifest's spec.env but
 * for the names that would reach into the runtime or look like the node's own credentials.
 * aegis-bootstrap adds AEGIS_ORCHESTRATOR_URL, which only it can know.
 */
#include "daemon/execution/internal.h"
#include <stdio.h>

/* Upstream's env_guard. */
static const char *const blocked_prefixes[] = {"AEGIS_", "DATABASE_", "DB_", "POSTGRES", "REDIS_",
	"OPENBAO_", "VAULT_", "SEAWEEDFS_", "KEYCLOAK_", "OIDC_", "OAUTH_", "JWT_SECRET", "HMAC_",
	"NFS_", "GRPC_", "OTEL_", "OTLP_", "CARGO", "RUSTUP", "RUST_LOG", "RUST_BACKTRACE", "LD_",
	NULL};
static const char *const blocked_names[] = {"HOME", "PATH", "USER", "LOGNAME", "SHELL", "HOSTNAME",
	"LANG", "LC_ALL", "TERM", "PWD", "TMPDIR", NULL};

static bool blocked(const char *name)
{
	for (const char *const *p = blocked_prefixes; *p; p++)
		if (strncmp(name, *p, strlen(*p)) == 0)
			return true;
	for (const char *const *n = blocked_names; *n; n++)
		if (strcmp(name, *n) == 0)
			return true;
	return name[0] == '\0' || strchr(name, '=');
}

struct list_of_env {
	struct arena *arena;
	char **items;
	size_t count;
	bool failed;
};

static void put(struct list_of_env *e, const char *name, const char *value)
{
	char *item = arena_printf(e->arena, "%s=%s", name, value ? value : "");

	if (item)
		e->items[e->count++] = item;
	else
		e->failed = true;
}

int environment_make(struct flow *f, uint32_t number, struct arena *a, char ***ret)
{
	const struct agent_spec *spec = &f->manifest->spec;
	struct list_of_env e = {.arena = a};
	struct span history = {0};
	char text[32];
	int r = 0;

	e.items = arena_make_array(a, char *, spec->env.count + 16);
	if (!e.items)
		return err_raise(-ENOMEM, "environment: out of memory");
	put(&e, "AEGIS_AGENT_ID", f->agent_text);
	put(&e, "AEGIS_EXECUTION_ID", f->id_text);
	put(&e, "AEGIS_MODEL_ALIAS", spec->runtime.model ? spec->runtime.model : "default");
	snprintf(
		text, sizeof(text), "%lld", (long long)(spec->execution.llm_timeout_ns / NS_PER_S));
	put(&e, "AEGIS_LLM_TIMEOUT_SECONDS", text);
	put(&e, "AEGIS_AGENT_INSTRUCTION", spec->task.instruction);
	put(&e, "AEGIS_PROMPT_TEMPLATE", spec->task.prompt_template);
	snprintf(text, sizeof(text), "%u", number);
	put(&e, "AEGIS_ITERATION", text);
	if (f->attempt_count) {
		r = prompt_history(f, a, &history);
		if (r < 0)
			return err_trace(r);
		put(&e, "AEGIS_ITERATION_HISTORY", history.p);
	}
	for (size_t i = 0; i < spec->env.count; i++)
		if (!blocked(spec->env.keys[i]))
			put(&e, spec->env.keys[i], spec->env.values[i]);
	if (e.failed)
		return err_raise(-ENOMEM, "environment: out of memory");
	*ret = e.items;
	return 0;
}
