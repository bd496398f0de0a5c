/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * From the text of a manifest to an immutable, shared object. The arena holds everything: the
 * object itself, the document with its places, the JSON, the text. The table fills the form that
 * is written; here it becomes the form that is used.
 */
#include "daemon/agent/agent_internal.h"
#include <stdatomic.h>

struct manifest_object {
	struct agent_manifest manifest; /* first: a pointer to it is a pointer to this */
	struct arena *arena;
	atomic_int references;
};

static struct manifest_object *object_of(const struct agent_manifest *m)
{
	return container_of((struct agent_manifest *)m, struct manifest_object, manifest);
}

const struct agent_manifest *agent_manifest_ref(const struct agent_manifest *m)
{
	atomic_fetch_add(&object_of(m)->references, 1);
	return m;
}

const struct agent_manifest *agent_manifest_unref(const struct agent_manifest *m)
{
	if (m && atomic_fetch_sub(&object_of(m)->references, 1) == 1)
		arena_free(object_of(m)->arena);
	return NULL;
}

static void take_execution(const struct written_execution *w, struct agent_spec *s)
{
	int64_t whole_ns = s->security.resources.timeout_ns;
	s->execution.mode = w->mode;
	s->execution.max_iterations = w->mode == AGENT_ONE_SHOT ? 1 : w->max_iterations;
	s->execution.iteration_timeout_ns = MIN(w->iteration_timeout_ns, whole_ns);
	s->execution.llm_timeout_ns = MIN(w->llm_timeout_seconds * NS_PER_S, whole_ns);
	s->execution.memory = w->memory;
	s->execution.background = w->background;
}

static void take_delivery(const struct written_spec *w, struct agent_spec *s)
{
	const struct written_deliveries *d = w->delivery ? w->delivery : w->execution.delivery;
	if (d) {
		s->delivery.items = d->destinations.items;
		s->delivery.count = d->destinations.count;
	}
}

static int take(struct arena *a, struct agent_manifest *m, const struct written_manifest *w)
{
	m->metadata = w->metadata;
	m->spec = w->spec.spec;
	take_execution(&w->spec.execution, &m->spec);
	take_delivery(&w->spec, &m->spec);
	int r = agent_collect_validators(a, &w->spec, &m->spec);
	if (r == 0)
		r = agent_collect_effects(a, m);
	return r < 0 ? err_trace(r) : 0;
}

/* Fills m from the text; everything in `a`. 0, DOC_BAD, -ENOMEM. */
static int fill(struct arena *a, struct report *report, struct span text, struct agent_manifest *m)
{
	int r = doc_parse(report, text, &m->doc);
	if (r)
		return r;
	r = table_envelope(report, m->doc, "Agent");
	if (r)
		return r;
	struct written_manifest *written = arena_make(a, struct written_manifest);
	struct table_run *run = arena_make(a, struct table_run);
	if (!written || !run)
		return err_raise(-ENOMEM, "no memory for a manifest");
	run->report = report;
	r = table_load(run, &agent_manifest_table, m->doc, written);
	if (r)
		return r;
	m->text = arena_span(a, text);
	m->json = doc_to_json(a, m->doc);
	if (!m->text.p || !m->json)
		return err_raise(-ENOMEM, "no memory for a manifest");
	r = take(a, m, written);
	if (r < 0)
		return err_trace(r);
	int rules = agent_check_rules(report, m);
	if (rules < 0)
		return err_trace(rules);
	r = agent_check_prompt(report, m);
	return r ? r : rules;
}

int agent_manifest_parse(struct report *report, struct span text, const struct agent_manifest **ret)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_MANIFEST_ARENA_BYTES);
	struct manifest_object *o = a ? arena_make(a, struct manifest_object) : NULL;
	struct report inner;
	if (!o || report_init(&inner, a, report->file) < 0)
		return err_raise(-ENOMEM, "no memory for a manifest");

	int r = fill(a, &inner, text, &o->manifest);
	report_take(report, &inner);
	if (r < 0)
		return err_trace(r);
	if (r > 0)
		return AGENT_INVALID;
	o->arena = TAKE_PTR(a);
	atomic_init(&o->references, 1);
	*ret = &o->manifest;
	return 0;
}

int agent_manifest_line(const struct agent_manifest *m, const char *path)
{
	const struct doc *d = doc_at(m->doc, path);
	return d ? d->key_at.line ? d->key_at.line : d->at.line : 0;
}

void agent_manifest_schema(struct json_writer *w)
{
	table_json_schema(&agent_manifest_table, "https://100monkeys.ai/schemas/v1/agent.json", w);
}

void agent_manifest_reference(struct buf *b)
{
	table_reference(&agent_manifest_table, b);
}
