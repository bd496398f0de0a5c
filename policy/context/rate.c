/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Limits: forbids that count. A rate is a token bucket that holds a window's calls and refills
 * evenly; a call needs a token of each bucket that its policies name, in its own state and in that
 * of its root, and takes either all of them or none.
 */
#include "policy/context/rules.h"
#include <stdlib.h>

struct bucket {
	double tokens;
	int64_t filled_ns; /* INT64_MIN: full since ever */
};

struct rate_state {
	struct rule_set *set;
	struct rate_state *root;
	struct bucket buckets[]; /* one per rate limit of the set */
};

static const struct policy_info *limit_at(const struct rule_set *s, size_t index)
{
	return set_info(s, cedar_policy_id(set_half_at(s, SET_LIMITS, index)));
}

struct rate_state *rate_state_new(struct rule_set *s)
{
	struct rate_state *r = calloc(1, sizeof(*r) + s->bucket_count * sizeof(r->buckets[0]));

	if (!r)
		return NULL;
	r->set = rule_set_ref(s);
	for (size_t i = 0; i < set_half_count(s, SET_LIMITS); i++) {
		const struct policy_info *info = limit_at(s, i);
		if (info->calls)
			r->buckets[info->bucket] = (struct bucket){info->calls, INT64_MIN};
	}
	return r;
}

struct rate_state *rate_state_free(struct rate_state *r)
{
	if (r)
		rule_set_unref(r->set);
	free(r);
	return NULL;
}

void rate_state_set_root(struct rate_state *r, struct rate_state *root)
{
	r->root = root == r ? NULL : root;
}

struct rate_state *rate_state_renew(const struct rate_state *r, struct rule_set *s)
{
	struct rate_state *next = rate_state_new(s);
	struct map by_id;
	int x = next ? 0 : -ENOMEM;

	map_init(&by_id, SIZE_MAX / 2);
	for (size_t i = 0; x == 0 && i < set_half_count(r->set, SET_LIMITS); i++) {
		const struct policy_info *old = limit_at(r->set, i);
		if (old->calls && !map_get(&by_id, old->id))
			x = map_put(&by_id, old->id, (void *)(uintptr_t)old);
	}
	for (size_t i = 0; x == 0 && i < set_half_count(s, SET_LIMITS); i++) {
		const struct policy_info *info = limit_at(s, i);
		const struct policy_info *old = info->calls ? map_get(&by_id, info->id) : NULL;
		if (!old)
			continue;
		const struct bucket *b = &r->buckets[old->bucket];
		double taken = old->calls - b->tokens;
		next->buckets[info->bucket] =
			(struct bucket){MAX(info->calls - taken, 0.0), b->filled_ns};
	}
	map_fini(&by_id);
	if (x < 0)
		return err_clear(), rate_state_free(next);
	next->root = r->root;
	return next;
}

void rate_state_drain(struct rate_state *r, int64_t now_ns)
{
	for (size_t i = 0; i < r->set->bucket_count; i++)
		r->buckets[i] = (struct bucket){0, now_ns};
}

static void bucket_fill(struct bucket *b, const struct policy_info *limit, int64_t now_ns)
{
	if (b->filled_ns == INT64_MIN) {
		b->filled_ns = now_ns;
	} else if (now_ns > b->filled_ns) {
		double window_ns = (double)limit->window_ms * (double)NS_PER_MS;
		b->tokens += (double)(now_ns - b->filled_ns) / window_ns * limit->calls;
		if (b->tokens > limit->calls)
			b->tokens = limit->calls;
		b->filled_ns = now_ns;
	}
}

/* The limits of one set that are about the request; each path of it may meet others. */
struct matched {
	const struct policy_info **items;
	size_t count;
};

static int note_matches(
	const struct rule_set *s, const struct cedar_answer *answer, struct matched *m)
{
	/* A limit that cannot be evaluated counts as one that applies. */
	for (size_t i = 0; i < answer->reason_count + answer->error_count; i++) {
		const struct policy_info *info = set_info(s,
			i < answer->reason_count ? answer->reasons[i]
						 : answer->errors[i - answer->reason_count].policy);
		bool known = false;
		for (size_t j = 0; !known && j < m->count; j++)
			known = m->items[j] == info;
		if (!known)
			m->items[m->count++] = info;
	}
	return 0;
}

static int match_limits(const struct rule_set *s, const struct decision_request *q, struct arena *a,
	struct matched *ret)
{
	size_t limits = set_half_count(s, SET_LIMITS);
	struct question question;
	struct cedar_answer answer;
	int r = 0;

	*ret = (struct matched){0};
	if (limits == 0)
		return 0;
	ret->items = arena_raw(a, limits * sizeof(*ret->items));
	if (!ret->items)
		return err_raise(-ENOMEM, "decision: request memory used up");
	for (size_t i = 0; r == 0 && i < MAX(q->path_count, (size_t)1); i++) {
		r = question_make(a, s, q, i, &question);
		if (r == 0)
			r = set_authorize(a, s, SET_LIMITS, &question, &answer);
		if (r == 0)
			r = note_matches(s, &answer, ret);
	}
	return err_trace(r);
}

static struct bucket *bucket_of(struct rate_state *rate, const struct policy_info *info)
{
	return &rate->buckets[info->bucket];
}

static int exceeded(const struct policy_info *by, const struct decision_request *q, struct arena *a,
	struct decision *ret)
{
	struct span *id = arena_raw(a, sizeof(*id));
	const char *text = arena_printf(a, "tool '" SPAN_FMT "': more than %u calls in %lld ms",
		SPAN_ARG(span_sub(q->action, strlen("tool:"), q->action.n)), by->calls,
		(long long)by->window_ms);

	if (!id || !text)
		return err_raise(-ENOMEM, "decision: request memory used up");
	*id = by->id;
	ret->allowed = false;
	ret->code = DECISION_RATE_LIMIT_EXCEEDED;
	ret->policy_id = by->id;
	ret->policy_ids = id;
	ret->policy_count = 1;
	ret->reason = span_cstr(text);
	return 0;
}

/* The first matched rate whose bucket has no token, NULL if all have. */
static const struct policy_info *empty_bucket(
	struct rate_state *rate, const struct matched *m, int64_t now_ns)
{
	for (size_t i = 0; i < m->count; i++) {
		struct bucket *b = bucket_of(rate, m->items[i]);
		if (!m->items[i]->calls)
			continue;
		bucket_fill(b, m->items[i], now_ns);
		if (b->tokens < 1)
			return m->items[i];
	}
	return NULL;
}

static void take(struct rate_state *rate, const struct matched *m)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->items[i]->calls)
			bucket_of(rate, m->items[i])->tokens -= 1;
}

static void note_sizes(const struct matched *m, struct decision *d)
{
	for (size_t i = 0; i < m->count; i++) {
		uint64_t max = m->items[i]->max_response_bytes;
		if (max && (!d->max_response_bytes || max < d->max_response_bytes))
			d->max_response_bytes = max;
	}
}

int limits_apply(struct rate_state *rate, const struct rule_set *s,
	const struct decision_request *q, int64_t now_ns, struct arena *a, struct decision *ret)
{
	struct rate_state *root = rate ? rate->root : NULL;
	struct matched own, above = {0};
	int r = match_limits(s, q, a, &own);

	CHECK(!rate || rate->set == s);
	if (r == 0 && root)
		r = match_limits(root->set, q, a, &above);
	if (r < 0)
		return err_trace(r);
	note_sizes(&own, ret);
	note_sizes(&above, ret);
	if (!rate)
		return 0;
	const struct policy_info *by = empty_bucket(rate, &own, now_ns);
	if (!by && root)
		by = empty_bucket(root, &above, now_ns);
	if (by)
		return err_trace(exceeded(by, q, a, ret));
	take(rate, &own);
	if (root)
		take(root, &above);
	return 0;
}
