/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/policy_source.h"
#include "tools/aegis/verbs.h"
#include "policy/context/context.h"

enum { ARENA_BYTES = 256 * 1024 * 1024 };

/* Our schema and that of --schema as one; or this alone with --alone. */
static int read_schema(struct cli *c, struct arena *a, const struct cedar_schema **ret)
{
	struct buf more CLEANUP(buf_fini) = buf_init(LIMIT_CEDAR_TEXT_BYTES);
	const char *file = cli_value(c, "schema");
	struct cedar_source sources[2];
	size_t n = 0;
	int code = file ? cli_read(file, &more) : CLI_OK;

	if (code)
		return code;
	if (!cli_value(c, "alone"))
		sources[n++] = (struct cedar_source){"the built-in schema", context_schema()};
	if (more.len)
		sources[n++] = (struct cedar_source){file, arena_span(a, buf_view(&more))};
	int r = cedar_schema_parse_all(a, sources, n, ret);
	return r < 0 ? cli_fail_errno(r) : CLI_OK;
}

static void put_finding(
	struct buf *b, struct json_writer *w, const char *file, const struct cedar_finding *f)
{
	if (b) {
		policy_put_finding(b, file, f);
		return;
	}
	json_object(w);
	json_field_cstr(w, "file", file);
	json_field_i64(w, "line", f->line);
	json_field_i64(w, "column", f->column);
	json_field_span(w, "policy", f->policy);
	json_field_cstr(w, "level", f->warning ? "warning" : "error");
	json_field_cstr(w, "message", f->message);
	json_end(w);
}

static int validate(struct cli *c, const char *file, const struct cedar_schema *schema,
	struct buf *b, struct json_writer *w)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(ARENA_BYTES);
	struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_CEDAR_TEXT_BYTES);
	const char *level_text = cli_value(c, "level");
	struct cedar_validation v;
	int64_t level = CEDAR_NO_LEVEL;
	int code = cli_read(file, &text);

	if (code)
		return code;
	if (level_text &&
		(span_to_i64(span_cstr(level_text), &level) < 0 || level < 0 || level > 100))
		return cli_fail(CLI_INVALID, "--level: a number from 0 to 100 is accepted");
	int r = policy_check_types(a, schema, file, buf_view(&text), (int)level, &v);
	if (r < 0)
		return cli_fail_errno(r);
	for (size_t i = 0; i < v.count; i++)
		put_finding(b, w, file, &v.findings[i]);
	if (b)
		buf_printf(b, "%s: %s\n", file, v.valid ? "valid" : "not valid");
	return v.valid ? CLI_OK : CLI_INVALID;
}

static int run(struct cli *c)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(ARENA_BYTES);
	struct buf out CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	struct json_writer w = json_writer(&out);
	bool text = c->format == CLI_TEXT || c->format == CLI_TABLE;
	const struct cedar_schema *schema;
	int worst = a ? read_schema(c, a, &schema) : cli_fail(CLI_INTERNAL, "no memory");

	if (worst)
		return worst;
	if (!text)
		json_array(&w);
	for (int i = 0; i < c->arg_count; i++) {
		int code = validate(c, c->args[i], schema, text ? &out : NULL, &w);
		worst = MAX(worst, code);
	}
	if (!text)
		json_end(&w);
	int code = text ? cli_write(buf_view(&out)) : cli_print_text(c, buf_view(&out), NULL);
	return MAX(worst, code);
}

static const struct cli_option options[] = {
	{"schema", 0, "FILE", "Further declarations, beside AEGIS's own", NULL},
	{"alone", 0, NULL, "Take --schema alone, for policies of other programs", NULL},
	{"level", 0, "N", "Also that no policy follows more than N references", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_policy_validate = {
	.group = "policy",
	.name = "validate",
	.arguments = "FILE...",
	.min_args = 1,
	.max_args = CLI_ARGS_MAX,
	.options = options,
	.summary = "Check the types of policies against the schema",
	.help = "Validates policies strictly: what passes cannot fail with a type error on any "
		"request\n"
		"that AEGIS asks. Findings have file, line, column and the place itself. Exits 2 "
		"if a\n"
		"file is not valid.",
	.examples = "aegis policy validate net.cedar\n"
		    "aegis policy validate --schema tools.cedarschema tools.cedar\n"
		    "aegis policy validate --alone --schema photos.cedarschema photos.cedar",
	.run = run,
};
