/* SPDX-License-Identifier: AGPL-3.0-only */
/* Every verb; each stands in the file of its name. */
#pragma once

#include "tools/aegis/cli.h"

extern const struct verb verb_agent_deploy;
extern const struct verb verb_agent_list;
extern const struct verb verb_agent_logs;
extern const struct verb verb_agent_pause;
extern const struct verb verb_agent_remove;
extern const struct verb verb_agent_resume;
extern const struct verb verb_agent_run;
extern const struct verb verb_agent_show;
extern const struct verb verb_agent_update;
extern const struct verb verb_agent_validate;
extern const struct verb verb_config_generate;
extern const struct verb verb_config_show;
extern const struct verb verb_config_validate;
extern const struct verb verb_daemon_install;
extern const struct verb verb_daemon_start;
extern const struct verb verb_daemon_status;
extern const struct verb verb_daemon_stop;
extern const struct verb verb_daemon_uninstall;
extern const struct verb verb_doctor;
extern const struct verb verb_policy_authorize;
extern const struct verb verb_policy_check;
extern const struct verb verb_policy_diff;
extern const struct verb verb_policy_explain;
extern const struct verb verb_policy_format;
extern const struct verb verb_policy_list;
extern const struct verb verb_policy_reload;
extern const struct verb verb_policy_show;
extern const struct verb verb_policy_test;
extern const struct verb verb_policy_validate;
extern const struct verb verb_nfs_serve;
extern const struct verb verb_schema;
extern const struct verb verb_smcp_revoke;
extern const struct verb verb_smcp_rotate;
extern const struct verb verb_smcp_sessions;
extern const struct verb verb_task_cancel;
extern const struct verb verb_task_diff;
extern const struct verb verb_task_execute;
extern const struct verb verb_task_list;
extern const struct verb verb_task_logs;
extern const struct verb verb_task_remove;
extern const struct verb verb_task_status;
extern const struct verb verb_tool_list;
extern const struct verb verb_tool_servers;
extern const struct verb verb_version;
extern const struct verb verb_volume_create;
extern const struct verb verb_volume_delete;
extern const struct verb verb_volume_list;
extern const struct verb verb_volume_show;
extern const struct verb verb_volume_usage;
