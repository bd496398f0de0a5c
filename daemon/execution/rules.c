/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The rules of an execution: a set made from the node's policies, its security context and its
 * manifest. A set never changes; when the node's policies do, the execution goes over to a new set,
 * and the change is on record before anything is decided by it, so that a restart finds the set
 * that decided last. Every decision is made by one set or by the other, never by a mixture: at no
 * moment is anything allowed that neither of them allows.
 */
#include "daemon/execution/internal.h"
#include "policy/context/kernel_rules.h"
#include <stdio.h>
#include <stdlib.h>

/* The node's policies, the manifest's security context as a ceiling, and what the manifest allows.
 */
static AWAITS int seal(struct flow *f, struct policy_snapshot *by, struct rule_set **ret)
{
	struct policies *p = f->x->deps.policies;
	struct span context = span_cstr(f->manifest->spec.security_context);
	struct rule_set_builder *b = NULL;
	int r = policy_builder(by, context, RULE_CONTEXT_CEILING, &b);

	if (r == POLICY_NO_CONTEXT)
		r = err_raise(-EINVAL, "spec.security_context: this node has no '" SPAN_FMT "'",
			SPAN_ARG(context));
	if (r == 0)
		r = agent_rules(f->manifest, b);
	if (r == 0)
		r = policies_seal(p, b, ret, deadline_in_ms(PUBLISH_DEADLINE_MS));
	rule_set_builder_free(b);
	return err_trace(r);
}

static AWAITS int load(struct flow *f, struct span hash_text)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new((size_t)2 * LIMIT_RULE_SET_BYTES);
	int64_t deadline_ns = deadline_in_ms(PUBLISH_DEADLINE_MS);
	struct store_hash hash;
	struct span text;

	if (!a || hex_decode(hash_text, hash.bytes, sizeof(hash.bytes)) < 0)
		return err_raise(-EINVAL, "its policy set has no name");
	int r = store_blob_get(f->x->deps.store, &hash, a, &text, deadline_ns);
	if (r > 0)
		return err_raise(-EINVAL, "the policy set that it runs under is not in the store");
	if (r == 0)
		r = policies_load_set(f->x->deps.policies, text, &f->rules, deadline_ns);
	return err_trace(r);
}

int flow_rules_make(struct flow *f, struct span hash)
{
	int r;

	if (hash.n) {
		r = load(f, hash);
	} else {
		f->policy = policies_current(f->x->deps.policies);
		r = seal(f, f->policy, &f->rules);
	}
	if (r < 0)
		return err_trace(r);
	f->rate = rate_state_new(f->rules);
	if (!f->rate)
		return err_raise(-ENOMEM, "execution: out of memory");
	if (hash.n) /* nobody knows what was taken before the restart */
		rate_state_drain(f->rate, rt_now_ns());
	return 0;
}

/* ---- going over ---- */

static bool is_current(struct flow *f)
{
	struct policy_snapshot *now = policies_current(f->x->deps.policies);
	bool same = now == f->policy;

	policy_unref(now);
	return same;
}

/* The row's `resume` with another set. */
static AWAITS int resume_with(struct record *rec, struct span policy_set)
{
	struct buf b CLEANUP(buf_fini) = buf_init(4 * LIMIT_EXECUTION_INPUT_BYTES);
	struct json_writer w = json_writer(&b);
	struct flow *f = rec->f;

	json_object(&w);
	json_field_span(&w, "intent", f->intent);
	if (f->overrides) {
		json_key(&w, "context_overrides");
		json_put(&w, f->overrides);
	}
	json_field_span(&w, "policy_set", policy_set);
	json_end(&w);
	int r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	rec->execution.resume = arena_span(rec->arena, buf_view(&b));
	return rec->execution.resume.p ? 0 : err_raise(-ENOMEM, "record: out of memory");
}

static AWAITS int changed_record(struct flow *f, const struct rule_set *next)
{
	struct record rec;
	int r = record_begin(f, &rec);

	if (r == 0) {
		record_event(&rec, EVENT_EXECUTION_POLICY_CHANGED, f->iteration);
		json_field_span(&rec.w, "policy_set", rule_set_hash(next));
		json_field_span(&rec.w, "former_policy_set", rule_set_hash(f->rules));
		r = record_event_end(&rec);
	}
	if (r == 0)
		r = resume_with(&rec, rule_set_hash(next));
	if (r == 0) {
		record_change(&rec, STORE_EXECUTION_UPDATE);
		r = record_rules(&rec, next);
	}
	if (r == 0)
		r = record_publish(&rec);
	record_fini(&rec);
	return err_trace(r);
}

/* The iteration may end meanwhile; it waits for us before it goes. */
static AWAITS int hand_on(struct iteration *it)
{
	if (!it)
		return 0;
	it->letters++;
	int r = iteration_take_rules(it);
	it->letters--;
	waitq_wake_all(&it->changed);
	return err_trace(r);
}

static AWAITS int go_over(struct flow *f, struct rule_set *next)
{
	int r = changed_record(f, next);

	if (r < 0)
		return err_trace(r);
	/* Now, because calls took tokens meanwhile. */
	struct rate_state *rate = rate_state_renew(f->rate, next);
	if (!rate)
		return err_raise(-ENOMEM, "execution: out of memory");
	struct rule_set *old = f->rules;
	struct rate_state *old_rate = f->rate;
	f->rules = rule_set_ref(next);
	f->rate = rate;
	r = hand_on(f->now);
	rate_state_free(old_rate);
	rule_set_unref(old);
	return err_trace(r);
}

static AWAITS int renew_once(struct flow *f)
{
	struct policy_snapshot *now = policies_current(f->x->deps.policies);
	struct rule_set *next = NULL;
	int r = seal(f, now, &next);

	if (r == 0 && !span_eq(rule_set_hash(next), rule_set_hash(f->rules)))
		r = go_over(f, next);
	if (r == 0) {
		policy_unref(f->policy);
		f->policy = policy_ref(now);
	}
	rule_set_unref(next);
	policy_unref(now);
	return err_trace(r);
}

int flow_rules_renew(struct flow *f)
{
	int r = 0;

	while (r == 0 && f->renewing)
		r = waitq_wait(&f->renewed, DEADLINE_NONE);
	if (r < 0)
		return r;
	f->renewing = true;
	while (r == 0 && !is_current(f))
		r = renew_once(f);
	f->renewing = false;
	waitq_wake_all(&f->renewed);
	return err_trace(r);
}

/* What cannot be enforced under the new policies ends: it must not go on under the old ones. */
static void end_it(struct flow *f, int why)
{
	if (f->cancel_asked)
		return;
	f->cancel_asked = true;
	f->cancel_force = true;
	snprintf(f->end_reason, sizeof(f->end_reason),
		"the node's policies have changed, and by the new ones it cannot run: %s",
		err_message(why));
	waitq_wake_all(&f->changed);
}

size_t executions_renew_rules(struct executions *x)
{
	size_t count = 0, ended = 0, i = 0;
	struct flow **flows = calloc(x->by_id.count + 1, sizeof(*flows));

	if (!flows)
		return 0; /* each looks again at its next iteration */
	map_for_each (slot, &x->by_id) {
		struct flow *f = slot->value;
		if (f->running) /* one that waits looks when it begins */
			flows[count++] = flow_ref(f);
	}
	for (i = 0; i < count; i++) {
		int r = flows[i]->work_done ? 0 : flow_rules_renew(flows[i]);
		if (r < 0 && r != -ECANCELED && !flows[i]->work_done) {
			err_log(r, "execution under new policies");
			end_it(flows[i], r);
			ended++;
		}
		err_clear();
		flow_unref(flows[i]);
	}
	free(flows);
	return ended;
}
