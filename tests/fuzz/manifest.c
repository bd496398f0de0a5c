/* SPDX-License-Identifier: AGPL-3.0-only */
/* Any bytes as an agent manifest. What is accepted keeps the promises of its header. */
#include "daemon/agent/agent.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_manifest(const struct agent_manifest *m)
{
	const struct agent_execution *e = &m->spec.execution;
	int64_t whole = m->spec.security.resources.timeout_ns;
	CHECK(m->metadata.name[0] && strlen(m->metadata.name) <= 63);
	CHECK(e->max_iterations >= 1 && e->max_iterations <= 20);
	CHECK(e->mode == AGENT_ITERATIVE || e->max_iterations == 1);
	CHECK(whole > 0 && whole <= 3600 * NS_PER_S && e->iteration_timeout_ns <= whole);
	CHECK(!m->spec.runtime.language == !m->spec.runtime.version);
	CHECK(!m->spec.runtime.language != !m->spec.runtime.image);
	for (size_t i = 0; i < e->validators.count; i++) {
		const struct agent_validator *v = &e->validators.items[i];
		CHECK(v->min_score >= 0 && v->min_score <= 1 && v->timeout_ns <= whole);
		CHECK(agent_validator_name(v->type) && v->path);
	}
	for (size_t i = 0; i < m->spec.tools.count; i++)
		(void)agent_tool_pattern(&m->spec.tools.items[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 64 * 1024)
		return 0;
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 << 20);
	struct report r;
	const struct agent_manifest *m = NULL;
	CHECK(a && report_init(&r, a, "f") == 0);
	int result = agent_manifest_parse(&r, span_of(data, size), &m);
	CHECK((result == 0) == report_ok(&r) && (result == 0) == (m != NULL));
	if (m)
		check_manifest(m);
	agent_manifest_unref(m);
	return 0;
}
