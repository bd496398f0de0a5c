/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Templates, layer 1: the part of Handlebars that upstream documents (reference/template-syntax)
 * for prompts and workflow inputs. Pure.
 *
 *	{{a.b.0.c}} {{{a}}} {{&a}}	the value, never escaped
 *	{{#if a}} {{else if b}} {{else}} {{/if}}, {{#unless a}}, {{#with a}}
 *	{{#each a}} {{this}} {{@index}} {{@key}} {{@first}} {{@last}} {{else}} {{/each}}
 *	../a	the scope around a {{#with}} or {{#each}}	@root.a
 *	{{! remark }} {{!-- remark --}}	\{{ stands for itself	{{~ ~}} drop the blanks beside them
 *
 * A line that holds nothing but one block tag or remark leaves no line behind. What is missing or
 * null renders as nothing; false, 0, "", [] and {} count as false. Strings render as they are,
 * lists and objects as JSON. Partials, helpers and parameters are refused when parsed.
 */
#pragma once

#include "daemon/base/base.h"

struct template;

/* Lives in the arena and points into `text`. -EINVAL with "line L column C: what is wrong";
 * -E2BIG beyond LIMIT_TEMPLATE_*; -ENOMEM. */
int template_parse(struct arena *a, struct span text, const struct template **ret) MUST_USE;

/* Appends to `out`, whose maximum bounds the result. `context` is an object, or NULL. -E2BIG beyond
 * that or LIMIT_TEMPLATE_STEPS. */
int template_render(const struct template *t, const struct json *context, struct buf *out) MUST_USE;
