/* SPDX-License-Identifier: AGPL-3.0-only */
/* What can be asked of one policy, and links: templates with their slots filled. */
#include "policy/cedar/ast.h"

struct span cedar_policy_id(const struct cedar_policy *p)
{
	return p->id;
}

bool cedar_policy_is_template(const struct cedar_policy *p)
{
	return p->principal.slot || p->resource.slot;
}

bool cedar_policy_is_forbid(const struct cedar_policy *p)
{
	return p->forbid;
}

struct span cedar_policy_annotation(const struct cedar_policy *p, const char *name)
{
	for (size_t i = 0; i < p->annotation_count; i++)
		if (span_is(p->annotations[i].name, name))
			return p->annotations[i].has_value ? p->annotations[i].value : SPAN("");
	return (struct span){0};
}

static int fill(struct arena *a, struct scope *s, const char *slot, const struct cedar_uid *given)
{
	struct cedar_uid *uid;
	if (s->slot != (given != NULL))
		return err_raise(-EINVAL,
			s->slot ? "the template's slot ?%s is not given"
				: "the template has no slot ?%s",
			slot);
	if (!given)
		return 0;
	uid = arena_make(a, struct cedar_uid);
	if (!uid)
		return err_raise(-ENOMEM, "no memory for a link");
	*uid = *given;
	s->slot = false;
	s->uids = uid;
	return 0;
}

int cedar_template_link(struct arena *a, const struct cedar_policy *template, struct span id,
	const struct cedar_uid *principal, const struct cedar_uid *resource,
	const struct cedar_policy **ret)
{
	struct cedar_policy *p = arena_make(a, struct cedar_policy);
	int r;
	if (!p)
		return err_raise(-ENOMEM, "no memory for a link");
	*p = *template;
	p->id = id;
	p->template = template;
	r = fill(a, &p->principal, "principal", principal);
	if (r == 0)
		r = fill(a, &p->resource, "resource", resource);
	if (r < 0)
		return err_trace(r);
	*ret = p;
	return 0;
}
