/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/config_source.h"
#include "tools/aegis/probes.h"
#include "tools/aegis/verbs.h"

static int print_json(const struct cli *c, const struct config_source *s)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	struct json_writer w = json_writer(&b);
	json_object(&w);
	json_field_cstr(&w, "file", s->path);
	json_field_bool(&w, "valid", s->config && report_ok(&s->report));
	json_key(&w, "findings");
	report_json(&s->report, &w);
	json_key(&w, "without_effect");
	json_array(&w);
	for (size_t i = 0; s->config && i < config_notice_count(s->config); i++)
		json_put_cstr(&w, config_notice(s->config, i));
	json_end(&w);
	json_end(&w);
	return cli_print_text(c, buf_view(&b), NULL);
}

static int print_text(const struct config_source *s)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	const char *file = s->path ? s->path : "embedded defaults (no file was found)";
	report_text(&s->report, &b);
	for (size_t i = 0; s->config && i < config_notice_count(s->config); i++)
		buf_printf(&b, "%s: without effect: %s\n", file, config_notice(s->config, i));
	buf_printf(
		&b, "%s: %s\n", file, s->config && report_ok(&s->report) ? "valid" : "not valid");
	return cli_write(buf_view(&b));
}

static int run(struct cli *c)
{
	struct config_source s;
	bool strict = cli_value(c, "strict");
	int code = config_source_open(&s, c, c->arg_count ? c->args[0] : NULL, !strict);
	if (s.config)
		probes_check(&s.report, "spec.require.probes", s.config->require.probes.keys,
			s.config->require.probes.count, NULL);
	if (code == CLI_OK && !report_ok(&s.report))
		code = CLI_INVALID;
	if (code == CLI_OK || code == CLI_INVALID) {
		bool text = c->format == CLI_TEXT || c->format == CLI_TABLE;
		int printed = text ? print_text(&s) : print_json(c, &s);
		code = MAX(code, printed);
	}
	config_source_close(&s);
	return code;
}

static const struct cli_option options[] = {
	{"strict", 0, NULL,
		"A variable of env: that is not set is an error, as it is for the daemon", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_config_validate = {
	.group = "config",
	.name = "validate",
	.arguments = "[FILE]",
	.max_args = 1,
	.options = options,
	.summary = "Check a node configuration without the daemon",
	.help = "Checks a node configuration and says what is wrong, at which line and field, and "
		"what\n"
		"would be accepted. It also lists what is set and has no effect yet. Without FILE "
		"it\n"
		"checks the one that the daemon would take.",
	.examples = "aegis config validate\n"
		    "aegis config validate /etc/aegis/config.yaml --strict\n"
		    "aegis config validate ./aegis-config.yaml --output json",
	.run = run,
};
