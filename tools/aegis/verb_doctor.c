/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/verbs.h"
#include "daemon/doctor/doctor.h"
#include "tools/aegis/config_source.h"
#include "tools/aegis/session.h"
#include "tools/aegis/tool_servers.h"
#include <stdio.h>
#include <stdlib.h>

static const struct cli_column columns[] = {
	{"probe", "id"},
	{"level", "level"},
	{"protects", "protects"},
	{"why", "why"},
	{NULL, NULL},
};

/* What falls short of `require:`; CLI_INVALID if anything does. */
static int check_require(const struct config *config, const struct doctor_report *report)
{
	static const enum doctor_level levels[] = {
		[CONFIG_REQUIRE_NONE] = DOCTOR_UNAVAILABLE,
		[CONFIG_REQUIRE_DETECT] = DOCTOR_DETECTED,
		[CONFIG_REQUIRE_PREVENT] = DOCTOR_PREVENTED,
	};
	struct doctor_requirement named[DOCTOR_PROBES_MAX];
	struct doctor_unmet unmet[DOCTOR_PROBES_MAX];
	size_t count = MIN(config->require.probes.count, (size_t)DOCTOR_PROBES_MAX);
	for (size_t i = 0; i < count; i++)
		named[i] = (struct doctor_requirement){
			config->require.probes.keys[i], levels[config->require.probes.values[i]]};
	int all = MAX(config->require.all, 0);
	size_t n = doctor_unmet(report, levels[all], named, count, unmet, DOCTOR_PROBES_MAX);
	for (size_t i = 0; i < MIN(n, (size_t)DOCTOR_PROBES_MAX); i++)
		fprintf(stderr, "aegis: require: %s: %s is required, %s\n", unmet[i].id,
			doctor_level_name(unmet[i].required),
			unmet[i].finding ? doctor_level_name(unmet[i].finding->level)
					 : "and there is no such probe");
	return n ? CLI_INVALID : CLI_OK;
}

static int print_text(const struct json *v)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_DOC_BYTES);
	buf_puts(&b, "kernel ");
	cli_put_safe(&b, json_str(v, "kernel", SPAN("?")), false);
	if (!json_bool(v, "privileged", false))
		buf_puts(&b, "; without root: some probes are unavailable");
	buf_putc(&b, '\n');
	const struct json *findings = json_get(v, "findings");
	if (!findings || findings->type != JSON_ARRAY)
		return cli_fail(CLI_INTERNAL, "the report has no findings");
	json_for_each (f, findings) {
		buf_printf(&b, "%-12.*s %-27.*s ", (int)json_str(f, "level", SPAN("?")).n,
			json_str(f, "level", SPAN("?")).p, (int)json_str(f, "id", SPAN("?")).n,
			json_str(f, "id", SPAN("?")).p);
		cli_put_safe(&b, json_str(f, "why", SPAN("")), false);
		struct span how = json_str(f, "how", SPAN(""));
		buf_putc(&b, '\n');
		if (how.n) {
			buf_printf(&b, "%-41s", "");
			cli_put_safe(&b, how, false);
			buf_putc(&b, '\n');
		}
	}
	if (json_get(v, "tool_servers"))
		tool_servers_lines(&b, json_get(v, "tool_servers"));
	return cli_write(buf_view(&b));
}

static int print_report(const struct cli *c, const struct json *v)
{
	if (c->format == CLI_TEXT)
		return print_text(v);
	const struct json *findings = json_get(v, "findings");
	return c->format == CLI_TABLE && findings ? cli_print(c, findings, columns)
						  : cli_print(c, v, NULL);
}

/* The report with the tool servers as a further member. */
static int with_servers(const struct json *report, const struct json *servers, struct arena *a,
	const struct json **ret)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_DOC_BYTES);
	struct json_writer w = json_writer(&b);

	json_object(&w);
	json_for_each (member, report) {
		json_key_span(&w, member->key);
		json_put(&w, member);
	}
	if (servers) {
		json_key(&w, "tool_servers");
		json_put(&w, servers);
	}
	json_end(&w);
	int r = buf_error(&b);
	return r < 0 ? r : json_parse(a, buf_view(&b), NULL, ret);
}

static int ask_daemon(struct cli *c)
{
	struct session s;
	const struct json *v = NULL, *servers = NULL;
	int code = session_open(&s, c);
	if (code == CLI_OK)
		code = session_call(&s, "GET", "/v1/doctor", NULL, SPAN(""), &v);
	if (code == CLI_OK)
		code = tool_servers_ask(s.client, s.arena, &servers);
	if (code == CLI_OK && v && with_servers(v, servers, s.arena, &v) < 0)
		code = cli_fail(CLI_INTERNAL, "no memory");
	if (code == CLI_OK)
		code = v ? print_report(c, v) : cli_fail(CLI_INTERNAL, "the daemon gave no report");
	session_close(&s);
	return code;
}

/* How the tool servers fare, if the daemon can tell, else which there would be. */
static int find_servers(
	struct cli *c, const struct config *config, struct arena *a, const struct json **ret)
{
	struct client *client CLEANUP(client_cleanup) = NULL;

	*ret = NULL;
	if (client_open(c, &client) == CLI_OK && tool_servers_ask(client, a, ret) == CLI_OK && *ret)
		return CLI_OK;
	return tool_servers_of(config, a, ret) < 0 ? cli_fail(CLI_INTERNAL, "no memory") : CLI_OK;
}

static int examine(struct cli *c, const struct config *config)
{
	struct doctor_report *report = calloc(1, sizeof(*report));
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_JSON_BYTES);
	struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_DOC_BYTES);
	const struct json *v, *servers;
	if (!report || !a) {
		free(report);
		return cli_fail(CLI_INTERNAL, "no memory");
	}
	doctor_run(&(struct doctor_options){.data_dir = config->daemon.data_directory}, report);
	doctor_write_json(report, &text);
	int r = json_parse(a, buf_view(&text), NULL, &v);
	int code = r < 0 ? cli_fail_errno(r) : find_servers(c, config, a, &servers);
	if (code == CLI_OK) {
		r = with_servers(v, servers, a, &v);
		code = r < 0 ? cli_fail_errno(r) : print_report(c, v);
	}
	if (code == CLI_OK)
		code = check_require(config, report);
	free(report);
	return code;
}

static int run(struct cli *c)
{
	if (cli_value(c, "daemon"))
		return ask_daemon(c);
	struct config_source s;
	int code = config_source_open(&s, c, NULL, true);
	if (code == CLI_INVALID)
		cli_fail(code, "%s is not valid; see: aegis config validate", s.path);
	if (code == CLI_OK)
		code = examine(c, s.config);
	config_source_close(&s);
	return code;
}

static const struct cli_option options[] = {
	{"daemon", 0, NULL, "Ask the running daemon", NULL},
	{NULL, 0, NULL, NULL, NULL},
};

const struct verb verb_doctor = {
	.name = "doctor",
	.arguments = "",
	.options = options,
	.summary = "Say what this host can prevent, detect, or not cover",
	.help = "Tries every protection on this host and says for each whether it prevents, only "
		"detects, or\n"
		"does not cover, why, and how to get more. Some probes need root. With --daemon "
		"the running daemon\n"
		"is asked instead. If the configuration has a `require` section, what falls short "
		"of it is named,\n"
		"and the exit code is 2. The MCP tool servers stand below: up or not, and by what "
		"they are confined.",
	.examples = "aegis doctor\n"
		    "sudo aegis doctor --output table\n"
		    "aegis doctor --daemon --output json",
	.run = run,
};
