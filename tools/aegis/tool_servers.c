/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/tool_servers.h"
#include "tools/aegis/cli.h"

enum { ANSWER_MS = 5000 };

int tool_servers_ask(struct client *c, struct arena *a, const struct json **ret)
{
	const struct client_request q = {.method = "GET",
		.path = "/v1/tool-servers",
		.timeout_ms = ANSWER_MS,
		.quiet_if_away = true};
	const struct json *v = NULL;
	int code = client_call(c, &q, a, &v);

	*ret = code == CLI_OK && v ? json_get(v, "items") : NULL;
	return code == CLI_UNREACHABLE ? CLI_OK : code;
}

int tool_servers_of(const struct config *config, struct arena *a, const struct json **ret)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_JSON_BYTES);
	struct json_writer w = json_writer(&b);

	json_array(&w);
	for (size_t i = 0; i < config->mcp_servers.count; i++) {
		const struct config_mcp_server *s = &config->mcp_servers.items[i];
		if (!s->enabled)
			continue;
		json_object(&w);
		json_field_cstr(&w, "name", s->name);
		json_field_cstr(&w, "state", "down");
		json_field_cstr(&w, "error", "the daemon does not answer");
		json_field_bool(&w, "confined", s->executable != NULL);
		json_field_cstr(&w, "confined_by",
			s->executable ? "a sandbox, once the daemon starts it"
				      : "nothing of this node's: it runs elsewhere");
		json_end(&w);
	}
	json_end(&w);
	int r = buf_error(&b);
	return r < 0 ? err_trace(r) : err_trace(json_parse(a, buf_view(&b), NULL, ret));
}

void tool_servers_lines(struct buf *b, const struct json *servers)
{
	json_for_each (s, servers) {
		struct span state = json_str(s, "state", SPAN("?"));
		struct span error = json_str(s, "error", SPAN(""));
		buf_printf(b, "%-12.*s tool server %-15.*s ", (int)state.n, state.p,
			(int)json_str(s, "name", SPAN("?")).n, json_str(s, "name", SPAN("?")).p);
		buf_puts(b, json_bool(s, "confined", false) ? "confined by " : "not confined: ");
		cli_put_safe(b, json_str(s, "confined_by", SPAN("?")), false);
		if (error.n) {
			buf_printf(b, "\n%-41s", "");
			cli_put_safe(b, error, false);
		}
		buf_putc(b, '\n');
	}
}
