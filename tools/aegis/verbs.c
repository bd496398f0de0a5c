/* SPDX-License-Identifier: AGPL-3.0-only */
/* Which verbs there are, in the order in which help shows them. */
#include "tools/aegis/verbs.h"

const struct verb *const verbs[] = {
	&verb_daemon_start,
	&verb_daemon_stop,
	&verb_daemon_status,
	&verb_daemon_install,
	&verb_daemon_uninstall,
	&verb_agent_deploy,
	&verb_agent_run,
	&verb_agent_list,
	&verb_agent_show,
	&verb_agent_update,
	&verb_agent_pause,
	&verb_agent_resume,
	&verb_agent_remove,
	&verb_agent_logs,
	&verb_agent_validate,
	&verb_task_diff,
	&verb_task_execute,
	&verb_task_status,
	&verb_task_logs,
	&verb_task_cancel,
	&verb_task_remove,
	&verb_task_list,
	&verb_volume_create,
	&verb_volume_list,
	&verb_volume_show,
	&verb_volume_usage,
	&verb_volume_delete,
	&verb_config_show,
	&verb_config_validate,
	&verb_config_generate,
	&verb_policy_list,
	&verb_policy_show,
	&verb_policy_diff,
	&verb_policy_reload,
	&verb_policy_check,
	&verb_policy_format,
	&verb_policy_validate,
	&verb_policy_authorize,
	&verb_policy_explain,
	&verb_policy_test,
	&verb_smcp_sessions,
	&verb_smcp_revoke,
	&verb_smcp_rotate,
	&verb_tool_list,
	&verb_tool_servers,
	&verb_nfs_serve,
	&verb_doctor,
	&verb_schema,
	&verb_completion,
	&verb_version,
	&verb_help,
	NULL,
};

const struct cli_group cli_groups[] = {
	{"daemon", "The daemon process"},
	{"agent", "Agents and their manifests"},
	{"task", "Executions of agents"},
	{"volume", "Volumes that outlive executions"},
	{"config", "The node configuration"},
	{"nfs", "Directories over NFS"},
	{"policy", "What agents may do"},
	{"tool", "Tools, and the MCP servers that offer some of them"},
	{"smcp", "Callers that sign their tool calls"},
	{NULL, NULL},
};

const struct cli_option cli_globals[] = {
	{"config", 'c', "FILE", "Node configuration (AEGIS_CONFIG_PATH); else the usual places",
		NULL},
	{"host", 0, "HOST", "Host of the daemon's HTTP API (AEGIS_HOST); else its Unix socket",
		NULL},
	{"port", 0, "PORT", "Port of the daemon's HTTP API (AEGIS_PORT)", NULL},
	{"log-level", 0, "LEVEL", "How much is logged (AEGIS_LOG_LEVEL)",
		"trace debug info warn error"},
	{"output", 0, "FORMAT", "Form of the result", "text table json yaml"},
	{"daemon", 0, NULL, "Run the daemon, as `aegis daemon start` does", NULL},
	{"version", 'V', NULL, "Print the version, as `aegis version` does", NULL},
	{"help", 'h', NULL, "Help on the verb", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

bool group_exists(const char *name)
{
	for (const struct cli_group *g = cli_groups; g->name; g++)
		if (strcmp(g->name, name) == 0)
			return true;
	return false;
}

const struct verb *verb_find(const char *const *words, int count, int *ret_used)
{
	for (const struct verb *const *v = verbs; *v; v++) {
		const char *group = (*v)->group;
		int needs = group ? 2 : 1;
		if (count < needs || (group && strcmp(group, words[0]) != 0) ||
			strcmp((*v)->name, words[needs - 1]) != 0)
			continue;
		*ret_used = needs;
		return *v;
	}
	return NULL;
}
