/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What an iteration does: either the built-in agent (ask the daemon to generate, run what it
 * dispatches, until the final answer), or the agent's own program.
 */
#pragma once

#include "daemon/base/base.h"
#include "tools/aegis-bootstrap/call.h"
#include "tools/aegis-bootstrap/control.h"
#include "tools/aegis-bootstrap/gateway.h"
#include "tools/aegis-bootstrap/loop.h"
#include "tools/aegis-bootstrap/protocol.h"
#include "tools/aegis-bootstrap/reap.h"

struct agent {
	struct loop *loop;
	struct reaper *reaper;
	struct control *control; /* NULL outside a sandbox of the helper's: calls have no cgroup */
	struct gateway gateway;
	struct speaker speaker;
	char *const *envp; /* of every program that is started */
};

/* All return the exit status of this program; -errno with the reason. */
int agent_generate(struct agent *a, const char *prompt) MUST_USE;
int agent_program(struct agent *a, char *const *argv) MUST_USE;
int agent_program_started(struct agent *a, struct call_waiting *w) MUST_USE;

/* How the agent's program is run. */
struct call_spec agent_program_spec(char *const *argv, char *const *envp, const char *cwd);

/* `base` with `additions` on top ("NAME=value" each, the later wins). *ret is malloc'ed, its
 * strings are not copied. -ENOMEM. */
int env_merge(char *const *base, char *const *additions, char ***ret) MUST_USE;
const char *env_get(char *const *envp, const char *name, const char *otherwise);
