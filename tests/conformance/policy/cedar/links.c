/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/conformance/policy/cedar/links.h"
#include <errno.h>

const struct cedar_policy *links_find(const struct cedar_policies *set, struct span id)
{
	for (size_t i = 0; i < set->count; i++)
		if (span_eq(cedar_policy_id(set->items[i]), id))
			return set->items[i];
	return NULL;
}

/* The value of a slot; null is none. */
static int read_value(
	const struct json *v, const char *slot, struct cedar_uid *uid, const struct cedar_uid **ret)
{
	const struct json *given = json_get(v, slot);
	*ret = given && given->type != JSON_NULL ? uid : NULL;
	return *ret ? cedar_uid_from_json(given, uid) : 0;
}

int links_add(struct arena *a, struct cedar_policies *set, const struct json *link)
{
	struct span id = json_str(link, "newId", SPAN(""));
	const struct cedar_policy *t = links_find(set, json_str(link, "templateId", SPAN("")));
	const struct json *values = json_get(link, "values");
	const struct cedar_uid *principal, *resource;
	struct cedar_uid uids[2];
	if (!t || !cedar_policy_is_template(t) || links_find(set, id))
		return err_raise(-EINVAL, "a link to no template, or under a known id");
	int r = read_value(values, "?principal", &uids[0], &principal);
	if (r == 0)
		r = read_value(values, "?resource", &uids[1], &resource);
	if (r == 0)
		r = cedar_template_link(a, t, id, principal, resource, &set->items[set->count]);
	set->count += r == 0;
	return err_trace(r);
}
