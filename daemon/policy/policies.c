/* SPDX-License-Identifier: AGPL-3.0-only */
/* The snapshot that holds, and the work on it that blocks or needs a large stack. */
#include "daemon/policy/internal.h"
#include <stdlib.h>

struct policies {
	struct offload *files;
	struct policy_snapshot *now;
	int64_t loaded_at_ns;
	uint64_t asked,
		done; /* loads, by their beginning: one that was overtaken changes nothing */
};

struct policies *policies_free(struct policies *p)
{
	if (p)
		policy_unref(p->now);
	free(p);
	return NULL;
}

struct policy_snapshot *policies_current(const struct policies *p)
{
	return policy_ref(p->now);
}

int64_t policies_loaded_at_ns(const struct policies *p)
{
	return p->loaded_at_ns;
}

/* ---- on offload threads ---- */

struct errand {
	const struct config *config;
	struct buf *findings;
	struct policy_snapshot *fresh; /* that was loaded; of a text: that may begin with its own */
	struct rule_set_builder *builder;
	struct span text;
	struct rule_set *set;
};

static int load_errand(void *arg)
{
	struct errand *e = arg;

	return err_trace(policy_load(NULL, e->config, e->findings, &e->fresh));
}

static int seal_errand(void *arg)
{
	struct errand *e = arg;

	e->set = rule_set_seal(e->builder);
	return e->set ? 0 : err_wrap(-EINVAL, "policy");
}

static int set_errand(void *arg)
{
	struct errand *e = arg;

	return err_trace(rule_set_load_on(policy_rules(e->fresh), e->text, &e->set));
}

int policies_open(struct offload *files, const struct config *c, struct buf *findings,
	struct policies **ret, int64_t deadline_ns)
{
	struct policies *p = calloc(1, sizeof(*p));

	if (!p)
		return err_raise(-ENOMEM, "policy: out of memory");
	p->files = files;
	int r = policies_reload(p, c, findings, deadline_ns);
	if (r) {
		policies_free(p);
		return r < 0 ? err_trace(r) : r;
	}
	*ret = p;
	return 0;
}

int policies_reload(
	struct policies *p, const struct config *c, struct buf *findings, int64_t deadline_ns)
{
	struct errand e = {.config = c, .findings = findings};
	uint64_t number = ++p->asked;
	int r = offload_call(p->files, load_errand, &e, deadline_ns);

	if (r)
		return r < 0 ? err_trace(r) : r;
	if (number < p->done) {
		policy_unref(e.fresh);
		return 0;
	}
	p->done = number;
	policy_unref(p->now);
	p->now = e.fresh;
	p->loaded_at_ns = rt_wall_ns();
	return 0;
}

int policies_seal(
	struct policies *p, struct rule_set_builder *b, struct rule_set **ret, int64_t deadline_ns)
{
	struct errand e = {.builder = b};
	int r = offload_call(p->files, seal_errand, &e, deadline_ns);

	if (r == 0)
		*ret = e.set;
	return err_trace(r);
}

int policies_load_set(
	struct policies *p, struct span text, struct rule_set **ret, int64_t deadline_ns)
{
	struct errand e = {.text = text, .fresh = policies_current(p)};
	int r = offload_call(p->files, set_errand, &e, deadline_ns);

	policy_unref(e.fresh);
	if (r == 0)
		*ret = e.set;
	return err_trace(r);
}

int policies_context_set(
	struct policies *p, struct span context, struct rule_set **ret, int64_t deadline_ns)
{
	struct rule_set_builder *b;
	int r = policy_builder(p->now, context, RULE_CONTEXT_GRANTS, &b);

	if (r)
		return r < 0 ? err_trace(r) : r;
	r = policies_seal(p, b, ret, deadline_ns);
	rule_set_builder_free(b);
	return err_trace(r);
}
