/* SPDX-License-Identifier: AGPL-3.0-only */
/* The tables of the node configuration, by theme, and what they share. */
#pragma once

#include "daemon/config/config.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define BIT(n) (UINT64_C(1) << (n))
/* One row of a table: type, struct and member that it fills, name, one sentence, the rest. */
#define ROW(kind, owner, member, word, sentence, ...) \
	{ \
		.name = word, .type = kind, .offset = offsetof(struct owner, member), \
		.doc = sentence, __VA_ARGS__ \
	}
#define LIST(row, bytes) .item = &(row), .item_bytes = (bytes)
#define STRINGS .item = &config_some_string, .item_bytes = sizeof(const char *)
#define ANY_STRINGS .item = &config_any_string, .item_bytes = sizeof(const char *)
#define SECRETS .item = &config_secret_item, .item_bytes = sizeof(struct table_secret)
#define URL \
	.pattern = "[a-z][a-z0-9+.-]*://\\S+", .pattern_says = "a URL like https://host:port/path"
#define PORT .min = 1, .max = 65535
#define FILE_PATH .min = 1, .max = LIMIT_PATH_BYTES
#define NAME .min = 1, .max = LIMIT_NAME_BYTES
#define LATER .effect = TABLE_NOTED

extern const struct table_field config_any_string, config_some_string, config_secret_item;

/* What is written where the struct holds one thing for two forms. */
struct config_written {
	int api_version, kind;
	struct config config;
};

extern const struct table config_table; /* struct config_written */

extern const struct table config_provider_table, config_llm_selection_table;
extern const struct table config_mcp_server_table, config_dispatcher_table;
extern const struct table config_cmd_map_table, config_security_context_table;
extern const struct table config_smcp_table, config_iam_table, config_grpc_auth_table;
extern const struct table config_secrets_table, config_database_table, config_temporal_table;
extern const struct table config_cortex_table, config_smcp_gateway_table, config_cluster_table;
extern const struct table config_billing_table, config_zaru_table, config_registry_table;
extern const struct table config_storage_table, config_observability_table;
extern const struct table config_daemon_table, config_audit_table, config_sandbox_table;
extern const struct table config_require_table, config_policy_table;

/* What the tables cannot say (config_check.c). */
void config_check_provider(struct table_run *run, const struct doc *d, void *object);
void config_check_model(struct table_run *run, const struct doc *d, void *object);
void config_check_network(struct table_run *run, const struct doc *d, void *object);
void config_check_storage(struct table_run *run, const struct doc *d, void *object);
void config_check_cluster(struct table_run *run, const struct doc *d, void *object);
void config_check_grant(struct table_run *run, const struct doc *d, void *object);
void config_check_security_context(struct table_run *run, const struct doc *d, void *object);
void config_check_spec(struct table_run *run, const struct doc *d, void *object);
