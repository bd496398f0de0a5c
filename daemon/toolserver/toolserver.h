/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Tool servers, layer 4: programs that offer tools over the Model Context Protocol, and us as their
 * client (specifications 2024-11-05 to 2025-11-25; tools only). A server is a program in a sandbox
 * of its own, which speaks over its standard input and output or Streamable HTTP on its loopback,
 * or an address that speaks Streamable HTTP. Its tools are called SERVER.TOOL, and daemon/tool
 * treats them like its own.
 *
 * Nothing that a server says is trusted: names, descriptions, schemas and answers are bounded
 * (LIMIT_TOOLSERVER_*) and checked, a name that is taken stays with who has it, and a server that
 * breaks the protocol is ended. One that ends, breaks or stays silent is started again, each time
 * later than the time before; its credentials reach its own environment alone.
 *
 * Runs on the worker that started it.
 */
#pragma once

#include "daemon/event/event.h"
#include "daemon/net/net.h"
#include "daemon/sandbox/sandbox.h"
#include "daemon/tool/tool.h"

enum tool_server_state {
	TOOL_SERVER_STARTING,
	TOOL_SERVER_READY,
	TOOL_SERVER_UNHEALTHY, /* it did not answer in time; asked once more */
	TOOL_SERVER_BACKING_OFF, /* it is down, and will be started again */
	TOOL_SERVER_STOPPED, /* by us */
	TOOL_SERVER_FAILED, /* the configuration is at fault: trying again cannot help */
	TOOL_SERVER_STATE_COUNT
};
extern const struct state_table tool_server_states;

/* One variable of a server's environment. */
struct tool_server_variable {
	const char *name;
	struct span value;
};

/* One argument of the tools that `tools` names, as a capability does. */
struct tool_server_judged {
	const char *tools;
	struct tool_judged argument;
};

/* What the configuration says of one; copied. */
struct tool_server_config {
	const char *name; /* [A-Za-z0-9_-]+: a dot would end it in a tool's name */
	/* A child: a language of the runtime registry or the path of a runtime's interpreter, and
	 * what stands behind it on the command line. NULL: `url`. */
	const char *executable;
	const char *const *args;
	size_t arg_count;
	/* A child that speaks Streamable HTTP on that port of its own loopback, in place of its
	 * standard input and output; 0: it does not. */
	uint16_t http_port;
	const char *http_path; /* NULL: "/mcp" */
	const char *url; /* of an endpoint of Streamable HTTP */
	/* A child's environment; of an endpoint, headers of every request. */
	const struct tool_server_variable *variables;
	size_t variable_count;
	/* Which of its tools are offered: TOOL, SERVER.TOOL or PREFIX.*; none: all. */
	const char *const *capabilities;
	size_t capability_count;
	/* What arguments of its tools are, so that policy is asked about them. */
	const struct tool_server_judged *judged;
	size_t judged_count;
	/* Whom a child may reach: entries of rule_allow_connect. None: its own loopback alone. */
	const char *const *network;
	size_t network_count;
	int64_t health_interval_ms, health_timeout_ms;
	const char *health_method; /* "ping" or "tools/list" */
	int64_t call_timeout_ms; /* of one tool call */
	uint32_t cpu_millis;
	uint64_t memory_bytes;
};

/* How a child is started: by the sandbox; tests have servers of their own. */
struct tool_server_child {
	int fd; /* its standard input and output; the receiver's */
	int listener; /* with http_port: connections that come from it lead to that port, and wait
			 for the first byte; the launcher's */
	const char *hint; /* what may be at fault if it never gets ready; NULL; the launcher's */
};
struct tool_launcher {
	/* -ENOENT and -EINVAL: the configuration is at fault. */
	AWAITS int (*start)(void *ctx, const struct tool_server_config *c,
		struct tool_server_child **ret, int64_t deadline_ns);
	/* Asks it to end, ends it after `grace_ns`, and frees it. What it wrote last to standard
	 * error stands in `words`. */
	AWAITS void (*stop)(
		void *ctx, struct tool_server_child *c, int64_t grace_ns, struct buf *words);
	void *ctx;
};

/* The execution that a child of that name has its sandbox under. */
struct uuid tool_server_identity(const char *name);

/* Children in sandboxes of kind process: /workspace is the server's own and stays from
 * one life to the next. Both must outlive the launcher. */
struct tool_sandboxes;
int tool_sandboxes_new(struct sandbox_driver *d, const struct runtime_registry *registry,
	struct tool_sandboxes **ret) MUST_USE;
void tool_sandboxes_free(struct tool_sandboxes *s); /* NULL is allowed */
struct tool_launcher tool_sandboxes_launcher(struct tool_sandboxes *s);

struct tool_servers_options {
	const struct tool_server_config *servers;
	size_t count;
	struct tool_launcher launcher;
	struct http_client *http; /* for endpoints; NULL: there are none */
	struct offload *checks; /* of arguments against schemas; NULL: here (tests) */
	struct event_bus *bus; /* NULL: nothing is put on record (tests) */
	const char *tenant_id;
	/* 0: 60 s to start, initialize and list its tools; 1 s for the first wait, 5 min for the
	 * longest, 60 s after which a life was a good one. */
	int64_t open_ms, backoff_first_ms, backoff_max_ms, good_life_ms;
};

struct tool_servers;

/* -EINVAL names the server whose configuration cannot be. Who calls a tool before the start waits
 * for it. */
int tool_servers_new(const struct tool_servers_options *o, struct tool_servers **ret) MUST_USE;
/* Starts all; does not wait for them. */
int tool_servers_start(struct tool_servers *s) MUST_USE;
/*
 * Another configuration. Servers whose own has not changed go on undisturbed, but for those that
 * failed; the others end, calls to them with an error that says why, and start again or for the
 * first time. Returns when those that had to end have ended; does not wait for the new ones.
 * -EINVAL names the server whose configuration cannot be: nothing has changed then.
 */
struct tool_servers_changes {
	size_t added, changed, removed;
};
AWAITS int tool_servers_reload(struct tool_servers *s, const struct tool_server_config *servers,
	size_t count, struct tool_servers_changes *ret) MUST_USE;
/* Ends them, SIGTERM first; nobody may be in a call. NULL is allowed. */
AWAITS void tool_servers_stop(struct tool_servers *s);

/* Their tools. Valid until tool_servers_stop; calls after that fail. */
const struct tool_source *tool_servers_source(struct tool_servers *s);

/* An array with one object for each: name, transport, state, up, confined, confined_by, tools,
 * starts, calls, error. */
void tool_servers_put(struct json_writer *w, const struct tool_servers *s);

/* The short form, for everybody's eyes: an object of names and states. */
void tool_servers_states_put(struct json_writer *w, const struct tool_servers *s);

/* Waits until none is starting, for a start that wants their tools. -ETIME. */
AWAITS int tool_servers_settled(struct tool_servers *s, int64_t deadline_ns) MUST_USE;
