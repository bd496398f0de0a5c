/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The SMCP gateway, layer 4: the sessions of those who sign their tool calls themselves. It issues
 * tokens to workloads that attest, takes their envelopes, asks policy through daemon/tool, and puts
 * each call on record with the signature that the caller cannot deny. SEAL is the same under other
 * names (policy/smcp).
 *
 * Two kinds of callers. A workload in a sandbox is known by the socket it comes through, never by
 * what it says (decisions, [7] [11]); its sessions are good on that socket alone, and decided by
 * its execution's rules. A client from outside holds the bearer key when it attests and names a
 * security context, which is all it may do [13].
 *
 * A session has one home, the worker that started the service [12]: smcp_serve may be called on any
 * worker and runs there; the functions for operators are called there. Sessions are in the store
 * and survive the process; the replay cache does not, so envelopes stamped before the start are
 * refused.
 *
 * Endpoints, bodies and status numbers: smcp-v1-specification sections 6 and 8, aegis-docs
 * (architecture/smcp, reference/rest-api), and what the official SDKs read.
 */
#pragma once

#include "daemon/event/event.h"
#include "daemon/tool/tool.h"
#include "policy/smcp/smcp.h"

struct smcp_service;

/* A named security context as rules: 0 with a reference in *ret, or SMCP_SCOPE_NOT_FOUND. Asked
 * when the context is first used, and again after smcp_rules_changed. */
typedef AWAITS int (*smcp_context_fn)(
	void *ctx, struct span name, struct rule_set **ret, int64_t deadline_ns);

struct smcp_service_options {
	struct store *store; /* with smcp_session_states */
	struct event_bus *bus;
	struct offload *files; /* keys are made and read there */
	const char
		*keys_directory; /* made with 0700; holds the signing keys, one file (0600) each */
	const char *issuer; /* of tokens: their iss */
	const char *audience; /* their aud */
	int64_t token_life_s; /* 0: SMCP_TOKEN_DEFAULT_S */
	const char *own_key_path; /* an operator's private key in PEM, which signs the tokens of its
				     kind in place of ours; may be NULL */
	const char *tenant_id; /* of clients from outside */
	const struct tool_source *source; /* of tools beyond the built-in ones; NULL: none */
	/* For the file tools of clients from outside; fsal NULL: they have no files. */
	struct fsal *fsal; /* on this worker, stopped after the service is freed */
	const char *workspaces_directory; /* made with 0700; one folder for each session */
	fsal_observer file_observer; /* may be NULL */
	void *file_observer_ctx;
	smcp_context_fn context;
	void *context_ctx;
	int64_t key_life_s; /* a signing key is replaced after it; 0: 90 days */
};

/* Reads or makes the keys, takes up the sessions that are in the store. -EPERM if a key file can be
 * read by others. What it started runs in the group. */
AWAITS int smcp_service_start(
	struct group *g, const struct smcp_service_options *o, struct smcp_service **ret) MUST_USE;
/* After the last call; the group must have been closed. NULL is allowed. */
void smcp_service_free(struct smcp_service *s);

/* ---- requests ---- */

/* A sandbox's live execution, as the one who owns its socket knows it. */
struct smcp_workload {
	struct uuid execution_id;
	struct uuid agent_id;
	struct span security_context; /* the name its manifest gives; empty: none */
	const struct tool_context *tools; /* its rules, its workspace */
	bool outside; /* who speaks at its socket is no process of its cgroup: no attestation */
};

enum smcp_operation {
	SMCP_OP_ATTEST, /* POST /v1/smcp/attest */
	SMCP_OP_INVOKE, /* POST /v1/smcp/invoke: an envelope around tools/call or tools/list */
	SMCP_OP_REFRESH, /* POST /v1/smcp/refresh: one around session/refresh */
	SMCP_OP_REVOKE, /* POST /v1/smcp/revoke: one around session/revoke */
	SMCP_OP_TOOLS, /* GET /v1/smcp/tools?security_context=NAME */
	SMCP_OP_PROVISION, /* POST /v1/seal/sessions: an operator makes a session for somebody
			      else's key (SEAL 6.4, 6.5.3) */
};

struct smcp_request {
	enum smcp_protocol protocol; /* by the address: /v1/smcp/ or /v1/seal/ */
	enum smcp_operation operation;
	const struct smcp_workload *workload; /* NULL: a client from outside, which has shown the
						 bearer key if the operation asks for it */
	struct span body;
	struct span context_name; /* of SMCP_OP_TOOLS */
};

/* Whether the path and method are one of the above; `ret` gets protocol and operation. */
bool smcp_request_of(bool is_post, struct span path, struct smcp_request *ret);

/* Answers: *ret_status and JSON in `reply`. Negative only if there is no answer: -ECANCELED. */
AWAITS int smcp_serve(struct smcp_service *s, const struct smcp_request *q, struct arena *a,
	struct buf *reply, int *ret_status, int64_t deadline_ns) MUST_USE;

/* The tools that the rules may allow, built-in ones and those of `source` (NULL: none), as a JSON
 * array in MCP's form; rules NULL: all that there are. */
int smcp_tools_put(struct json_writer *w, const struct rule_set *rules,
	const struct tool_source *source, struct arena *a) MUST_USE;

/* ---- what clients from outside may do ---- */

/* A context's rules, and what all clients from outside have taken from its limits: these belong to
 * the context and the bearer key, not to a session, a client's key or a protocol. */
struct smcp_rules {
	int refs;
	struct rule_set *rules;
	struct rate_state *rate; /* of these rules */
	uint64_t serial;
	char *scope;
};

/* 0 with a reference; SMCP_SCOPE_NOT_FOUND. On the service's worker. */
AWAITS int smcp_rules_of(struct smcp_service *s, struct span scope, struct smcp_rules **ret,
	int64_t deadline_ns) MUST_USE;
struct smcp_rules *smcp_rules_unref(struct smcp_rules *x); /* NULL */
bool smcp_rules_current(const struct smcp_service *s, const struct smcp_rules *x);

/* ---- for operators ---- */

/* The published keys: /.well-known/jwks.json. */
void smcp_service_jwks(struct smcp_service *s, struct json_writer *w);

/* New signing keys now; tokens under the old ones stay good for 24 hours. */
AWAITS int smcp_service_rotate(struct smcp_service *s, int64_t deadline_ns) MUST_USE;

enum smcp_outcome {
	SMCP_NO_SESSION = 1,
	SMCP_SESSION_OVER = 2, /* expired or revoked already */
};

/* 0, or one of the above. */
AWAITS int smcp_session_revoke(struct smcp_service *s, struct uuid session_id, struct span reason,
	int64_t deadline_ns) MUST_USE;

/* Security contexts or the node's policies have changed: sessions of clients from outside have the
 * new ones from their next call on. Those of executions follow these. */
void smcp_rules_changed(struct smcp_service *s);

/* All sessions of an execution that has ended. */
AWAITS void smcp_execution_ended(struct smcp_service *s, struct uuid execution_id);
