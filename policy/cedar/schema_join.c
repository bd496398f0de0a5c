/* SPDX-License-Identifier: AGPL-3.0-only */
/* Namespaces that go on in several texts, as one each: what the writers write. */
#include "policy/cedar/schema_ast.h"
#include "policy/cedar/no_memory.h"

/* Both lists as one, NULL beyond the arena. */
static const void *joined(struct arena *a, const void *items, size_t count, const void *more,
	size_t more_count, size_t bytes)
{
	char *all = arena_alloc_array(a, count + more_count + 1, bytes);
	if (!all)
		return NULL;
	if (count)
		memcpy(all, items, count * bytes);
	if (more_count)
		memcpy(all + count * bytes, more, more_count * bytes);
	return all;
}

static int go_on(struct arena *a, struct schema_namespace *n, const struct schema_namespace *more)
{
	n->entities = joined(a, n->entities, n->entity_count, more->entities, more->entity_count,
		sizeof(*n->entities));
	n->actions = joined(a, n->actions, n->action_count, more->actions, more->action_count,
		sizeof(*n->actions));
	n->commons = joined(a, n->commons, n->common_count, more->commons, more->common_count,
		sizeof(*n->commons));
	n->entity_count += more->entity_count;
	n->action_count += more->action_count;
	n->common_count += more->common_count;
	if (n->notes.count == 0) /* of several, the annotations that come first */
		n->notes = more->notes;
	return n->entities && n->actions && n->commons ? 0 : no_memory();
}

int schema_join(struct arena *a, struct schema_fragment *f)
{
	struct schema_namespace *whole = arena_make_array(a, struct schema_namespace, f->count + 1);
	size_t count = 0;
	if (!whole)
		return no_memory();
	for (size_t i = 0; i < f->count; i++) {
		size_t at = 0;
		while (at < count && !span_eq(whole[at].name, f->namespaces[i].name))
			at++;
		if (at < count) {
			int r = go_on(a, &whole[at], &f->namespaces[i]);
			if (r < 0)
				return err_trace(r);
		} else {
			whole[count++] = f->namespaces[i];
		}
	}
	f->whole = whole;
	f->whole_count = count;
	return 0;
}
