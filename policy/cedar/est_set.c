/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The reference's JSON form of policy sets: static policies and templates by id, and links, which
 * name a template and what fills its slots. One id stands for one policy, whatever its kind.
 */
#include "policy/cedar/reader.h"
#include "policy/cedar/no_memory.h"
#include <stdio.h>

struct set_reader {
	struct reader rd;
	struct map *ids; /* to the policies */
	const struct json *templates;
	const struct cedar_policy **items;
	size_t count;
};

static int claim_id(struct set_reader *s, struct span id, const struct cedar_policy *p)
{
	int r = map_put(s->ids, id, (void *)(uintptr_t)p);
	if (r == -EEXIST)
		return err_raise(-EINVAL, "%s: the policy id `" SPAN_FMT "` is given twice",
			s->rd.path, SPAN_ARG(span_sub(id, 0, 80)));
	if (r < 0)
		return no_memory();
	return 0;
}

/* One static policy or template; messages of its own begin with where it stands. */
static int read_policy(struct set_reader *s, const struct json *v, bool template)
{
	const struct cedar_policy *p;
	char message[512];
	int r = cedar_policy_from_json(s->rd.arena, v, v->key, &p);
	if (r == -EINVAL) {
		snprintf(message, sizeof(message), "%s", err_message(r));
		return err_raise(-EINVAL, "%s: %s", s->rd.path, message);
	}
	if (r < 0)
		return err_trace(r);
	if (!template && cedar_policy_is_template(p))
		return reader_fail(
			&s->rd, "a policy without slots; those with slots are `templates`");
	r = claim_id(s, v->key, p);
	/* A template without slots decides nothing, and the reference lists it nowhere: only links
	 * may name it. */
	if (r == 0 && cedar_policy_is_template(p) == template)
		s->items[s->count++] = p;
	return err_trace(r);
}

static int read_policies(
	struct set_reader *s, const struct json *whole, const char *name, bool template)
{
	const struct json *v = json_get(whole, name);
	size_t before = reader_enter(&s->rd, name, -1);
	if (!v || v->type != JSON_OBJECT)
		return reader_fail(&s->rd, "an object of policies by id");
	for (size_t i = 0; i < v->count; i++) {
		size_t outer = reader_enter_span(&s->rd, v->items[i].key);
		int r = read_policy(s, &v->items[i], template);
		if (r < 0)
			return err_trace(r);
		reader_leave(&s->rd, outer);
	}
	reader_leave(&s->rd, before);
	return 0;
}

/* What fills a slot; *ret is NULL if nothing does. */
static int read_value(struct set_reader *s, const struct json *values, const char *slot,
	struct cedar_uid *uid, const struct cedar_uid **ret)
{
	const struct json *v = json_get(values, slot);
	*ret = NULL;
	if (!v)
		return 0;
	size_t before = reader_enter(&s->rd, slot, -1);
	int r = reader_uid(&s->rd, v, uid);
	if (r < 0)
		return err_trace(r);
	reader_leave(&s->rd, before);
	*ret = uid;
	return 0;
}

static int link_template(struct set_reader *s, const struct json *values,
	const struct cedar_policy *template, struct span id)
{
	static const char *const slots[] = {"?principal", "?resource", NULL};
	const struct cedar_uid *principal, *resource;
	const struct cedar_policy *p;
	struct cedar_uid uids[2];
	size_t before = reader_enter(&s->rd, "values", -1);
	int r = reader_only(&s->rd, values, slots);
	if (r == 0)
		r = read_value(s, values, slots[0], &uids[0], &principal);
	if (r == 0)
		r = read_value(s, values, slots[1], &uids[1], &resource);
	if (r < 0)
		return err_trace(r);
	reader_leave(&s->rd, before);
	if (template->principal.slot != (principal != NULL) ||
		template->resource.slot != (resource != NULL))
		return reader_fail(&s->rd, "`values` for each slot of the template and no other");
	r = cedar_template_link(s->rd.arena, template, id, principal, resource, &p);
	if (r == 0)
		r = claim_id(s, id, p);
	if (r == 0)
		s->items[s->count++] = p;
	return err_trace(r);
}

static int read_link(struct set_reader *s, const struct json *v)
{
	static const char *const members[] = {"templateId", "newId", "values", NULL};
	const struct cedar_policy *template;
	struct span name, id;
	int r = reader_struct(&s->rd, &v, members);
	if (r == 0)
		r = reader_string(&s->rd, v, "templateId", &name);
	if (r == 0)
		r = reader_string(&s->rd, v, "newId", &id);
	if (r < 0)
		return err_trace(r);
	template = map_get(s->ids, name);
	if (!template || !json_get_span(s->templates, name))
		return reader_fail(&s->rd, "`templateId`: the id of one of the `templates`");
	return link_template(s, json_get(v, "values"), template, id);
}

static int read_links(struct set_reader *s, const struct json *whole)
{
	const struct json *v = json_get(whole, "templateLinks");
	size_t before = reader_enter(&s->rd, "templateLinks", -1);
	if (!v || v->type != JSON_ARRAY)
		return reader_fail(&s->rd, "an array of links");
	for (size_t i = 0; i < v->count; i++) {
		size_t outer = reader_enter(&s->rd, NULL, (ssize_t)i);
		int r = read_link(s, &v->items[i]);
		if (r < 0)
			return err_trace(r);
		reader_leave(&s->rd, outer);
	}
	reader_leave(&s->rd, before);
	return 0;
}

static size_t count_of(const struct json *whole, const char *name)
{
	const struct json *v = json_get(whole, name);
	return v ? v->count : 0;
}

int cedar_policies_from_json(struct arena *a, const struct json *v, struct cedar_policies *ret)
{
	static const char *const members[] = {"templates", "staticPolicies", "templateLinks", NULL};
	struct map ids CLEANUP(map_fini) = {0};
	struct set_reader s = {.rd = {.arena = a, .what = "the policy set"}, .ids = &ids};
	int r = reader_struct(&s.rd, &v, members);
	size_t most = count_of(v, members[0]) + count_of(v, members[1]) + count_of(v, members[2]);
	s.templates = json_get(v, members[0]);
	if (most > LIMIT_CEDAR_POLICIES)
		return err_raise(-E2BIG, "%zu policies; at most %d are accepted", most,
			LIMIT_CEDAR_POLICIES);
	map_init(&ids, most + 1);
	s.items = arena_make_array(a, const struct cedar_policy *, most + 1);
	if (!s.items)
		return no_memory();
	if (r == 0)
		r = read_policies(&s, v, members[1], false);
	if (r == 0)
		r = read_policies(&s, v, members[0], true);
	if (r == 0)
		r = read_links(&s, v);
	if (r < 0)
		return err_trace(r);
	*ret = (struct cedar_policies){s.items, s.count};
	return 0;
}

enum kind { KIND_STATIC, KIND_TEMPLATE, KIND_LINK };

/* A link whose template is not in the set is a policy by itself. */
static enum kind kind_of(const struct map *templates, const struct cedar_policy *p)
{
	if (cedar_policy_is_template(p))
		return KIND_TEMPLATE;
	return p->template && map_get(templates, p->template->id) == p->template ? KIND_LINK
										 : KIND_STATIC;
}

static void put_value(
	struct json_writer *w, const char *slot, bool given, const struct cedar_uid *uid)
{
	if (!given)
		return;
	json_key(w, slot);
	json_object(w);
	json_key(w, "__entity");
	json_object(w);
	json_field_span(w, "type", uid->type);
	json_field_span(w, "id", uid->id);
	json_end(w);
	json_end(w);
}

static void put_link(struct json_writer *w, const struct cedar_policy *p)
{
	json_object(w);
	json_field_span(w, "templateId", p->template->id);
	json_field_span(w, "newId", p->id);
	json_key(w, "values");
	json_object(w);
	put_value(w, "?principal", p->template->principal.slot, p->principal.uids);
	put_value(w, "?resource", p->template->resource.slot, p->resource.uids);
	json_end(w);
	json_end(w);
}

static void put_policies(struct json_writer *w, const struct cedar_policies *policies,
	const struct map *templates, const char *name, enum kind kind)
{
	json_key(w, name);
	json_object(w);
	for (size_t i = 0; i < policies->count; i++)
		if (kind_of(templates, policies->items[i]) == kind) {
			json_key_span(w, policies->items[i]->id);
			cedar_policy_to_json(w, policies->items[i]);
		}
	json_end(w);
}

void cedar_policies_to_json(struct json_writer *w, const struct cedar_policies *policies)
{
	struct map templates CLEANUP(map_fini) = {0};
	map_init(&templates, policies->count + 1);
	for (size_t i = 0; i < policies->count && !w->b->error; i++)
		if (cedar_policy_is_template(policies->items[i]) &&
			map_put(&templates, policies->items[i]->id,
				(void *)(uintptr_t)policies->items[i]) == -ENOMEM)
			w->b->error = -ENOMEM;
	json_object(w);
	put_policies(w, policies, &templates, "staticPolicies", KIND_STATIC);
	put_policies(w, policies, &templates, "templates", KIND_TEMPLATE);
	json_key(w, "templateLinks");
	json_array(w);
	for (size_t i = 0; i < policies->count; i++)
		if (kind_of(&templates, policies->items[i]) == KIND_LINK)
			put_link(w, policies->items[i]);
	json_end(w);
	json_end(w);
}
