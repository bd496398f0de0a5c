/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Loading: read, parse, validate, compile. All files are looked at before the load is refused, so
 * that one run names every mistake.
 */
#include "daemon/policy/internal.h"
#include "policy/cedar/cedar.h"
#include <stdlib.h>

struct loading {
	struct policy_snapshot *s;
	struct buf *findings;
	struct rule_set_builder *b;
	bool valid;
};

/* A mistake ends here as a finding; what is no mistake goes on up. */
static int note(struct loading *l, int r)
{
	if (r != -EINVAL && r != -E2BIG)
		return err_trace(r);
	buf_printf(l->findings, "%s\n", err_message(r));
	err_clear();
	l->valid = false;
	return 0;
}

/* ---- schema ---- */

static int schema_load(struct loading *l, const struct cedar_schema **ret)
{
	const struct policy_snapshot *s = l->s;
	struct cedar_source *sources =
		arena_make_array(s->arena, struct cedar_source, s->file_count + 1);
	size_t n = 0;

	if (!sources)
		return err_raise(-ENOMEM, "policy: out of memory");
	sources[n++] = (struct cedar_source){"the built-in schema", context_schema()};
	for (size_t i = 0; i < s->file_count; i++)
		if (s->files[i].schema)
			sources[n++] = (struct cedar_source){s->files[i].label, s->files[i].text};
	return err_trace(note(l, cedar_schema_parse_all(s->arena, sources, n, ret)));
}

/* ---- policies ---- */

static int validate(
	struct loading *l, const struct policy_file *f, const struct cedar_schema *schema)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_RULE_SET_MEMORY_BYTES);
	struct cedar_policies policies;
	struct cedar_validation v;
	int r = a ? cedar_policies_parse(a, f->text, &policies)
		  : err_raise(-ENOMEM, "policy: out of memory");

	if (r == 0)
		r = cedar_validate(a, schema, &policies, CEDAR_NO_LEVEL, &v);
	if (r < 0)
		return err_wrap(r, "%s", f->label);
	for (size_t i = 0; i < v.count; i++)
		buf_printf(l->findings, "%s:%u:%u: %s%s%s%s\n", f->label, v.findings[i].line,
			v.findings[i].column, v.findings[i].warning ? "warning: " : "",
			v.findings[i].message, v.findings[i].excerpt[0] ? "\n" : "",
			v.findings[i].excerpt);
	l->valid = l->valid && v.valid;
	return 0;
}

static int file_load(
	struct loading *l, const struct policy_file *f, const struct cedar_schema *schema)
{
	int r = rule_add_cedar(l->b, f->text, f->label);

	if (r == 0 && schema)
		r = validate(l, f, schema);
	return err_trace(note(l, r));
}

static int by_id(const void *a, const void *b)
{
	const struct rule_policy *x = a, *y = b;

	return span_cmp(x->id, y->id);
}

/* Two policies of one name could not be told apart in a decision. */
static int check_ids(struct loading *l)
{
	const struct rule_set *rules = l->s->rules;
	size_t count = rule_set_count(rules);
	struct rule_policy *list = arena_make_array(l->s->arena, struct rule_policy, count + 1);

	if (!list)
		return err_raise(-ENOMEM, "policy: out of memory");
	for (size_t i = 0; i < count; i++)
		list[i] = rule_set_policy(rules, i);
	qsort(list, count, sizeof(*list), by_id);
	for (size_t i = 1; i < count; i++) {
		if (!span_eq(list[i - 1].id, list[i].id))
			continue;
		buf_printf(l->findings,
			SPAN_FMT ":%d: the id '" SPAN_FMT "' is that of " SPAN_FMT
				 ":%d, too; give each policy its own @id\n",
			SPAN_ARG(list[i].file), list[i].line, SPAN_ARG(list[i].id),
			SPAN_ARG(list[i - 1].file), list[i - 1].line);
		l->valid = false;
	}
	return 0;
}

static int seal(struct loading *l, struct rule_set_builder *b, struct rule_set **ret)
{
	struct rule_set *s = rule_set_seal(b);

	if (s) {
		*ret = s;
		return 0;
	}
	const char *message = err_message(-EINVAL);
	return err_trace(note(l, err_raise(-EINVAL, "%s", message)));
}

static int policies_read(struct loading *l)
{
	const struct cedar_schema *schema = NULL;
	int r = schema_load(l, &schema);

	for (size_t i = 0; r == 0 && i < l->s->file_count; i++)
		if (!l->s->files[i].schema)
			r = file_load(l, &l->s->files[i], schema);
	if (r == 0)
		r = seal(l, l->b, &l->s->rules);
	return r < 0 || !l->s->rules ? err_trace(r) : err_trace(check_ids(l));
}

/* Each context must make a set, in both of its uses. */
static int contexts_check(struct loading *l)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->s->context_count; i++) {
		for (int use = RULE_CONTEXT_GRANTS; r == 0 && use <= RULE_CONTEXT_CEILING; use++) {
			struct rule_set_builder *b = NULL;
			struct rule_set *set = NULL;
			r = policy_builder(l->s, span_cstr(l->s->contexts[i].name),
				(enum rule_context_use)use, &b);
			if (r == 0)
				r = seal(l, b, &set);
			r = note(l, r);
			rule_set_unref(set);
			rule_set_builder_free(b);
			if (!l->valid)
				break;
		}
	}
	return err_trace(r);
}

static int load(struct loading *l, bool may_be_absent, const struct config *c)
{
	/* Neither a folder nor a configuration that names one: no files, whatever stands around. */
	int r = *l->s->directory ? files_read(l->s, may_be_absent, l->findings, &l->valid) : 0;

	if (r == 0)
		r = policies_read(l);
	if (r == 0 && c)
		r = contexts_make(l->s, c);
	if (r == 0 && l->s->rules)
		r = contexts_check(l);
	return err_trace(r);
}

static int begin(struct loading *l, const char *directory, const struct config *c)
{
	bool by_config = !directory && c;
	char *found = by_config ? config_policy_directory(c) : NULL;

	if (by_config && !found)
		return err_raise(-ENOMEM, "policy: out of memory");
	l->s = calloc(1, sizeof(*l->s));
	l->b = rule_set_builder_new();
	if (l->s) {
		l->s->refs = 1;
		l->s->arena = arena_new(LIMIT_RULE_SET_MEMORY_BYTES);
		l->s->config = c ? config_ref(c) : NULL;
	}
	if (l->s && l->s->arena)
		l->s->directory = arena_strdup(l->s->arena,
			directory       ? directory
				: found ? found
					: "");
	free(found);
	return l->b && l->s && l->s->arena && l->s->directory
		? 0
		: err_raise(-ENOMEM, "policy: out of memory");
}

int policy_load(const char *directory, const struct config *c, struct buf *findings,
	struct policy_snapshot **ret)
{
	struct loading l = {.findings = findings, .valid = true};
	bool may_be_absent = !directory && c && !c->policy.directory;
	int r = begin(&l, directory, c);

	if (r == 0)
		r = load(&l, may_be_absent, c);
	rule_set_builder_free(l.b);
	if (r < 0 || !l.valid) {
		policy_unref(l.s);
		return r < 0 ? err_trace(r) : POLICY_INVALID;
	}
	*ret = l.s;
	return 0;
}

struct policy_snapshot *policy_ref(struct policy_snapshot *s)
{
	__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

struct policy_snapshot *policy_unref(struct policy_snapshot *s)
{
	/* Acquire and release: the last holder sees everything the others did. */
	if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return NULL;
	rule_set_unref(s->rules);
	if (s->config)
		config_unref(s->config);
	arena_free(s->arena);
	free(s);
	return NULL;
}

const char *policy_directory(const struct policy_snapshot *s)
{
	return s->directory;
}

const struct rule_set *policy_rules(const struct policy_snapshot *s)
{
	return s->rules;
}
