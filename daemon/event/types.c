/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The catalog: every type with its two names, its place, the sentence it says, and the members that
 * its details must have. Names are upstream's: the CamelCase one of the domain (events.rs), the
 * snake_case one of the activity stream (event_bus.rs).
 */
#include "daemon/event/event.h"

#include <pthread.h>

#define DETAILS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_DETAILS ((const char *const[]){NULL})

static const struct event_info infos[EVENT_TYPE_COUNT] = {
	[EVENT_AGENT_DEPLOYED] = {"AgentDeployed", "agent_deployed", "agent_lifecycle", "agent",
		"Agent {name} {version} deployed", DETAILS("name", "version")},
	[EVENT_AGENT_UPDATED] = {"AgentUpdated", "agent_updated", "agent_lifecycle", "agent",
		"Agent updated from {old_version} to {new_version}",
		DETAILS("old_version", "new_version")},
	[EVENT_AGENT_PAUSED] = {"AgentPaused", "agent_paused", "agent_lifecycle", "agent",
		"Agent paused", NO_DETAILS},
	[EVENT_AGENT_RESUMED] = {"AgentResumed", "agent_resumed", "agent_lifecycle", "agent",
		"Agent resumed", NO_DETAILS},
	[EVENT_AGENT_REMOVED] = {"AgentRemoved", "agent_removed", "agent_lifecycle", "agent",
		"Agent removed", NO_DETAILS},
	[EVENT_AGENT_FAILED] = {"AgentFailed", "agent_failed", "agent_lifecycle", "agent",
		"Agent failed: {reason}", DETAILS("reason")},

	[EVENT_EXECUTION_STARTED] = {"ExecutionStarted", "execution_started", "execution",
		"execution", "Execution {execution_id} started", NO_DETAILS},
	[EVENT_EXECUTION_COMPLETED] = {"ExecutionCompleted", "execution_completed", "execution",
		"execution", "Execution completed after {total_iterations} iterations",
		DETAILS("final_output", "total_iterations")},
	[EVENT_EXECUTION_FAILED] = {"ExecutionFailed", "execution_failed", "execution", "execution",
		"Execution failed: {reason}", DETAILS("reason", "total_iterations")},
	[EVENT_EXECUTION_CANCELLED] = {"ExecutionCancelled", "execution_cancelled", "execution",
		"execution", "Execution cancelled: {reason}", DETAILS("reason")},
	[EVENT_EXECUTION_TIMED_OUT] = {"ExecutionTimedOut", "execution_timed_out", "execution",
		"execution", "Execution timed out after {timeout_seconds}s",
		DETAILS("timeout_seconds", "total_iterations")},
	[EVENT_EXECUTION_POLICY_CHANGED] = {"ExecutionPolicyChanged", "execution_policy_changed",
		"execution", "execution", "Execution goes on under policy set {policy_set}",
		DETAILS("policy_set", "former_policy_set")},
	[EVENT_EXECUTION_REMOVED] = {"ExecutionRemoved", "execution_removed", "execution",
		"execution", "Execution {execution_id} removed", NO_DETAILS},
	[EVENT_ITERATION_STARTED] = {"IterationStarted", "iteration_started", "execution",
		"iteration", "Iteration {iteration_number} started: {action}", DETAILS("action")},
	[EVENT_ITERATION_OUTPUT] = {"IterationOutput", "iteration_output", "execution", "iteration",
		"Output of iteration {iteration_number}", DETAILS("output")},
	[EVENT_ITERATION_COMPLETED] = {"IterationCompleted", "iteration_completed", "execution",
		"iteration", "Iteration {iteration_number} completed", DETAILS("output")},
	[EVENT_ITERATION_FAILED] = {"IterationFailed", "iteration_failed", "execution", "iteration",
		"Iteration {iteration_number} failed: {error.message}", DETAILS("error")},
	[EVENT_REFINEMENT_APPLIED] = {"RefinementApplied", "refinement_applied", "execution",
		"iteration", "Applied refinement after iteration {iteration_number}",
		DETAILS("code_diff")},
	[EVENT_VALIDATION_PERFORMED] = {"GradientValidationPerformed",
		"gradient_validation_performed", "execution", "iteration",
		"Validation of iteration {iteration_number} scored {score}",
		DETAILS("score", "confidence")},
	[EVENT_CONSOLE_OUTPUT] = {"ConsoleOutput", "console_output", "execution", "console",
		"Console {stream} output on iteration {iteration_number}",
		DETAILS("stream", "content")},
	[EVENT_LLM_INTERACTION] = {"LlmInteraction", "llm_interaction", "execution", "llm",
		"LLM interaction on iteration {iteration_number} via {provider}/{model}",
		DETAILS("provider", "model", "prompt", "response")},
	[EVENT_LLM_CALL_FAILED] = {"LlmCallFailed", "llm_call_failed", "execution", "llm",
		"LLM call failed on iteration {iteration_number} via {provider}/{model}: "
		"{error_class} - {message}",
		DETAILS("provider", "model", "error_class", "message", "attempts")},
	[EVENT_INSTANCE_SPAWNED] = {"InstanceSpawned", "instance_spawned", "execution", "runtime",
		"Instance {instance_id} spawned for iteration {iteration_number}",
		DETAILS("instance_id")},
	[EVENT_INSTANCE_TERMINATED] = {"InstanceTerminated", "instance_terminated", "execution",
		"runtime", "Instance {instance_id} terminated", DETAILS("instance_id")},

	[EVENT_TOOL_REQUESTED] = {"InvocationRequested", "tool_invocation_requested", "mcp",
		"tooling", "Tool {tool_name} requested",
		DETAILS("invocation_id", "tool_name", "arguments")},
	[EVENT_TOOL_STARTED] = {"InvocationStarted", "tool_invocation_started", "mcp", "tooling",
		"Tool {tool_name} started", DETAILS("invocation_id", "tool_name")},
	[EVENT_TOOL_COMPLETED] = {"InvocationCompleted", "tool_invocation_completed", "mcp",
		"tooling", "Tool {tool_name} completed in {duration_ms} ms",
		DETAILS("invocation_id", "tool_name", "result", "duration_ms")},
	[EVENT_TOOL_FAILED] = {"InvocationFailed", "tool_invocation_failed", "mcp", "tooling",
		"Tool {tool_name} failed: {error}", DETAILS("invocation_id", "tool_name", "error")},
	[EVENT_TOOL_DENIED] = {"ToolPolicyViolation", "tool_policy_violation", "mcp", "tooling",
		"Tool {tool_name} denied: {details}",
		DETAILS("tool_name", "violation_type", "details", "decision")},

	[EVENT_TOOL_SERVER_STARTED] = {"ServerStarted", "tool_server_started", "mcp", "tooling",
		"Tool server {name} started", DETAILS("server_id", "name")},
	[EVENT_TOOL_SERVER_STOPPED] = {"ServerStopped", "tool_server_stopped", "mcp", "tooling",
		"Tool server {name} stopped", DETAILS("server_id", "name")},
	[EVENT_TOOL_SERVER_FAILED] = {"ServerFailed", "tool_server_failed", "mcp", "tooling",
		"Tool server {name} failed: {error}", DETAILS("server_id", "name", "error")},
	[EVENT_TOOL_SERVER_UNHEALTHY] = {"ServerUnhealthy", "tool_server_unhealthy", "mcp",
		"tooling", "Tool server {name} does not answer", DETAILS("server_id", "name")},

	[EVENT_COMMAND_STARTED] = {"CommandExecutionStarted", "command_execution_started",
		"command", "tooling", "Command {command} started",
		DETAILS("dispatch_id", "command", "args")},
	[EVENT_COMMAND_COMPLETED] = {"CommandExecutionCompleted", "command_execution_completed",
		"command", "tooling", "Command {command} ended with exit code {exit_code}",
		DETAILS("dispatch_id", "command", "exit_code", "duration_ms")},
	[EVENT_COMMAND_FAILED] = {"CommandExecutionFailed", "command_execution_failed", "command",
		"tooling", "Command {command} failed: {reason}",
		DETAILS("dispatch_id", "command", "reason")},
	[EVENT_COMMAND_DENIED] = {"CommandPolicyViolation", "command_policy_violation", "command",
		"tooling", "Command {command} denied: {violation_type}",
		DETAILS("command", "violation_type", "decision")},

	[EVENT_POLICY_VIOLATION_BLOCKED] = {"PolicyViolationBlocked", "policy_violation_blocked",
		"policy", "security", "{violation_type} blocked: {details}",
		DETAILS("violation_type", "details")},

	[EVENT_SMCP_SESSION_CREATED] = {"SessionCreated", "smcp_session_created", "smcp",
		"security", "Session {session_id} created in {security_context}",
		DETAILS("session_id", "security_context")},
	[EVENT_SMCP_ATTESTED] = {"AttestationSucceeded", "smcp_attestation_succeeded", "smcp",
		"security", "Workload {workload_id} attested for {security_context}",
		DETAILS("session_id", "workload_id", "security_context", "public_key")},
	[EVENT_SMCP_ATTESTATION_FAILED] = {"AttestationFailed", "smcp_attestation_failed", "smcp",
		"security", "Attestation failed ({code}): {reason}", DETAILS("code", "reason")},
	[EVENT_SMCP_CALL_AUTHORIZED] = {"ToolCallAuthorized", "smcp_tool_call_authorized", "smcp",
		"security", "Tool {tool_name} authorized",
		DETAILS("session_id", "invocation_id", "tool_name", "decision", "signature")},
	[EVENT_SMCP_SIGNATURE_FAILED] = {"SignatureVerificationFailed",
		"smcp_signature_verification_failed", "smcp", "security",
		"Envelope refused ({code}): {reason}", DETAILS("session_id", "code", "reason")},
	[EVENT_SMCP_TOKEN_EXPIRED] = {"SecurityTokenExpired", "smcp_security_token_expired", "smcp",
		"security", "A token of session {session_id} has expired", DETAILS("session_id")},
	[EVENT_SMCP_TOKEN_REFRESHED] = {"SecurityTokenRefreshed", "smcp_security_token_refreshed",
		"smcp", "security", "Session {session_id} got a new token",
		DETAILS("session_id", "expires_at")},
	[EVENT_SMCP_SESSION_REVOKED] = {"SessionRevoked", "smcp_session_revoked", "smcp",
		"security", "Session {session_id} revoked: {reason}",
		DETAILS("session_id", "reason")},
	[EVENT_SMCP_SESSION_EXPIRED] = {"SessionExpired", "smcp_session_expired", "smcp",
		"security", "Session {session_id} expired", DETAILS("session_id")},

	[EVENT_VOLUME_CREATING] = {"VolumeCreating", "volume_creating", "volume", "storage",
		"Volume {volume_id} ({name}) is being created", DETAILS("volume_id", "name")},
	[EVENT_VOLUME_RENAMED] = {"VolumeRenamed", "volume_renamed", "volume", "storage",
		"Volume {volume_id} is now {name}", DETAILS("volume_id", "name")},
	[EVENT_VOLUME_EXPIRED] = {"VolumeExpired", "volume_expired", "volume", "storage",
		"The time of volume {volume_id} is over", DETAILS("volume_id")},
	[EVENT_VOLUME_DELETING] = {"VolumeDeleting", "volume_deleting", "volume", "storage",
		"Volume {volume_id} is being deleted", DETAILS("volume_id")},
	[EVENT_VOLUME_FAILED] = {"VolumeFailed", "volume_failed", "volume", "storage",
		"Volume {volume_id} failed: {reason}", DETAILS("volume_id", "reason")},
	[EVENT_VOLUME_CREATED] = {"VolumeCreated", "volume_created", "volume", "storage",
		"Volume {volume_id} created", DETAILS("volume_id")},
	[EVENT_VOLUME_ATTACHED] = {"VolumeAttached", "volume_attached", "volume", "storage",
		"Volume {volume_id} attached", DETAILS("volume_id")},
	[EVENT_VOLUME_DETACHED] = {"VolumeDetached", "volume_detached", "volume", "storage",
		"Volume {volume_id} detached", DETAILS("volume_id")},
	[EVENT_VOLUME_DELETED] = {"VolumeDeleted", "volume_deleted", "volume", "storage",
		"Volume {volume_id} deleted", DETAILS("volume_id")},
	[EVENT_VOLUME_QUOTA_EXCEEDED] = {"VolumeQuotaExceeded", "volume_quota_exceeded", "volume",
		"storage",
		"Volume {volume_id} is full: {requested_bytes} bytes requested, "
		"{available_bytes} left",
		DETAILS("volume_id", "requested_bytes", "available_bytes")},
};

const struct event_info *event_info(enum event_type t)
{
	CHECK((size_t)t < EVENT_TYPE_COUNT && infos[t].name);
	return &infos[t];
}

static struct map by_name;
static pthread_once_t by_name_once = PTHREAD_ONCE_INIT;

static void fill_by_name(void)
{
	map_init(&by_name, 2 * (size_t)EVENT_TYPE_COUNT);
	for (int t = 0; t < EVENT_TYPE_COUNT; t++) {
		void *info = (void *)(uintptr_t)&infos[t];
		CHECK(map_put(&by_name, span_cstr(infos[t].name), info) == 0);
		CHECK(map_put(&by_name, span_cstr(infos[t].snake), info) == 0);
	}
}

int event_type_parse(struct span name)
{
	pthread_once(&by_name_once, fill_by_name);
	const struct event_info *info = map_get(&by_name, name);
	return info ? (int)(info - infos) : -1;
}

struct store_event event_of(
	enum event_type t, struct uuid execution_id, struct uuid agent_id, uint32_t iteration)
{
	const struct event_info *info = event_info(t);

	return (struct store_event){
		.type = span_cstr(info->name),
		.category = span_cstr(info->category),
		.stage = span_cstr(info->stage),
		.execution_id = execution_id,
		.agent_id = agent_id,
		.iteration = iteration,
	};
}
