/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Policy sets out of the journal: pieces are put together as they come, and a set is compiled when
 * it is asked for. What does not have the hash that it claims is not there.
 */
#include "tools/aegis-audit/tool.h"

#include <errno.h>
#include <stdlib.h>

enum { SETS_MAX = 100 * 1000, SETS_BYTES = 1024 * 1024 * 1024 };

struct kept {
	struct span hash;
	struct buf text;
	uint32_t parts, seen; /* `seen` == `parts`: whole */
	struct rule_set *rules;
	bool broken;
};

struct kept_sets {
	struct arena *arena;
	struct map by_hash;
	size_t bytes;
};

struct kept_sets *kept_new(void)
{
	struct kept_sets *k = calloc(1, sizeof(*k));

	if (k)
		k->arena = arena_new(SETS_BYTES);
	if (!k || !k->arena) {
		free(k);
		(void)!err_raise(-ENOMEM, "out of memory");
		return NULL;
	}
	map_init(&k->by_hash, SETS_MAX);
	return k;
}

struct kept_sets *kept_free(struct kept_sets *k)
{
	if (!k)
		return NULL;
	map_for_each (slot, &k->by_hash) {
		struct kept *s = slot->value;
		buf_fini(&s->text);
		rule_set_unref(s->rules);
	}
	map_fini(&k->by_hash);
	arena_free(k->arena);
	free(k);
	return NULL;
}

static int find_or_make(struct kept_sets *k, struct span hash, struct kept **ret)
{
	struct kept *s = map_get(&k->by_hash, hash);

	if (!s) {
		s = arena_make(k->arena, struct kept);
		if (!s)
			return err_raise(-ENOMEM, "out of memory");
		*s = (struct kept){
			.hash = arena_span(k->arena, hash), .text = buf_init(LIMIT_RULE_SET_BYTES)};
		int r = s->hash.p ? map_put(&k->by_hash, s->hash, s) : -ENOMEM;
		if (r < 0)
			return err_raise(r, "more policy sets than can be kept");
	}
	*ret = s;
	return 0;
}

int kept_note(struct kept_sets *k, struct arena *a, const struct audit_record *r)
{
	struct audit_policy_part part;
	struct kept *s;

	arena_reset(a);
	int res = audit_policy_part_of(a, r, &part);
	if (res != 0)
		return res < 0 ? err_trace(res) : 0;
	res = find_or_make(k, part.policy_set, &s);
	if (res < 0)
		return err_trace(res);
	if (s->parts && s->seen == s->parts) /* once more, in a later life of the daemon */
		return 0;
	if (part.part == 1) {
		k->bytes -= s->text.len;
		buf_reset(&s->text);
		s->parts = part.parts;
		s->seen = 0;
	}
	if (part.part != s->seen + 1 || k->bytes + part.text.n > SETS_BYTES)
		return 0; /* not whole: KEPT_NOT_HERE */
	s->seen++;
	k->bytes += part.text.n;
	buf_span(&s->text, part.text);
	return err_trace(buf_error(&s->text));
}

int kept_get(struct kept_sets *k, struct span hash, struct rule_set **ret)
{
	struct kept *s = map_get(&k->by_hash, hash);

	if (!s || s->broken || s->seen == 0 || s->seen != s->parts)
		return KEPT_NOT_HERE;
	if (!s->rules) {
		int r = rule_set_load(buf_view(&s->text), &s->rules);
		if (r == -ENOMEM)
			return err_trace(r);
		s->broken = r < 0 || !span_eq(rule_set_hash(s->rules), hash);
		err_clear();
	}
	*ret = s->rules;
	return s->broken ? KEPT_NOT_HERE : 0;
}
