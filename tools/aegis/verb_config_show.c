/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/config_source.h"
#include "tools/aegis/verbs.h"
#include <errno.h>
#include <stdio.h>

static void put_notices(const struct config *config, struct json_writer *w)
{
	json_array(w);
	for (size_t i = 0; i < config_notice_count(config); i++)
		json_put_cstr(w, config_notice(config, i));
	json_end(w);
}

static int show_json(const struct cli *c, const struct config_source *s, bool paths)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	struct json_writer w = json_writer(&b);
	json_object(&w);
	json_field_cstr(&w, "file", s->path);
	if (paths) {
		json_key(&w, "paths");
		config_source_put_paths(s, &w);
	}
	json_key(&w, "without_effect");
	put_notices(s->config, &w);
	json_key(&w, "config");
	config_dump(s->config, &w);
	json_end(&w);
	return cli_print_text(c, buf_view(&b), NULL);
}

/* YAML that loads again, with what people want to know in comments. */
static int show_text(const struct config_source *s, bool paths)
{
	struct buf json CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	struct arena *a CLEANUP(arena_cleanup) = arena_new(8 * (size_t)LIMIT_JSON_BYTES);
	struct json_writer w = json_writer(&json);
	const struct json *v;
	config_dump(s->config, &w);
	int r = a ? json_parse(a, buf_view(&json), NULL, &v) : -ENOMEM;
	if (r < 0)
		return cli_fail_errno(r);
	for (size_t i = 0; paths && i < s->search->count; i++)
		buf_printf(&b, "# %s: %s (%s)\n", s->search->tried[i].why, s->search->tried[i].path,
			s->search->tried[i].exists ? "found" : "absent");
	buf_printf(&b, "# from %s\n", s->path ? s->path : "embedded defaults: no file was found");
	for (size_t i = 0; i < config_notice_count(s->config); i++)
		buf_printf(&b, "# without effect: %s\n", config_notice(s->config, i));
	cli_put_yaml(&b, v);
	return cli_write(buf_view(&b));
}

static int run(struct cli *c)
{
	struct config_source s;
	bool paths = cli_value(c, "paths");
	int code = config_source_open(&s, c, c->arg_count ? c->args[0] : NULL, true);
	struct buf findings CLEANUP(buf_fini) = buf_init(LIMIT_DOC_BYTES);
	if (code == CLI_OK || code == CLI_INVALID)
		report_text(&s.report, &findings);
	fprintf(stderr, SPAN_FMT, SPAN_ARG(buf_view(&findings)));
	if (code == CLI_OK)
		code = c->format == CLI_TEXT ? show_text(&s, paths) : show_json(c, &s, paths);
	config_source_close(&s);
	return code;
}

static const struct cli_option options[] = {
	{"paths", 0, NULL, "Also say where the file was looked for", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_config_show = {
	.group = "config",
	.name = "show",
	.arguments = "[FILE]",
	.max_args = 1,
	.options = options,
	.summary = "Print the configuration as it is resolved",
	.help = "Prints the node configuration that holds: defaults filled in, env: values "
		"expanded,\n"
		"secrets only as the place they come from. Without FILE it is looked for in the "
		"usual\n"
		"places: --config, AEGIS_CONFIG_PATH, ./aegis-config.yaml, ~/.aegis/config.yaml,\n"
		"/etc/aegis/config.yaml. If there is none, the embedded defaults are shown.",
	.examples = "aegis config show\naegis config show --paths\naegis config show --output json",
	.run = run,
};
