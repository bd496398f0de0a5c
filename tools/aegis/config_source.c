/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tools/aegis/config_source.h"
#include <errno.h>
#include <stdlib.h>

static int find(struct config_source *s, const struct cli *c, const char *file)
{
	int r = config_discover(file ? file : c->config, NULL, s->search, &s->path);
	if (r == CONFIG_NOT_FOUND) {
		if (file)
			return cli_fail(CLI_NOT_FOUND, "%s does not exist", file);
		return cli_fail(CLI_NOT_FOUND, "%s", err_message(-ENOENT));
	}
	return r < 0 ? cli_fail_errno(r) : CLI_OK;
}

int config_source_open(
	struct config_source *s, const struct cli *c, const char *file, bool env_may_be_unset)
{
	*s = (struct config_source){
		.arena = arena_new(LIMIT_CONFIG_ARENA_BYTES),
		.search = calloc(1, sizeof(struct config_search)),
	};
	if (!s->arena || !s->search)
		return cli_fail(CLI_INTERNAL, "no memory");
	int code = find(s, c, file);
	if (code)
		return code;
	const struct config_environment env = {.may_be_unset = env_may_be_unset};
	int r = report_init(&s->report, s->arena, s->path ? s->path : "embedded defaults");
	if (r == 0)
		r = s->path ? config_load(s->path, &env, &s->report, &s->config)
			    : config_default(&env, &s->config);
	if (r < 0)
		return cli_fail_errno(r);
	return r ? CLI_INVALID : CLI_OK;
}

void config_source_close(struct config_source *s)
{
	config_unref(s->config);
	arena_free(s->arena);
	free(s->search);
}

void config_source_put_paths(const struct config_source *s, struct json_writer *w)
{
	json_array(w);
	for (size_t i = 0; i < s->search->count; i++) {
		json_object(w);
		json_field_cstr(w, "source", s->search->tried[i].why);
		json_field_cstr(w, "path", s->search->tried[i].path);
		json_field_bool(w, "exists", s->search->tried[i].exists);
		json_end(w);
	}
	json_end(w);
}
