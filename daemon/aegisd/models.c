/* SPDX-License-Identifier: AGPL-3.0-only */
/* From the configuration's providers to those of daemon/llm, in the order of spec.llm_selection. */
#include "daemon/aegisd/aegisd.h"
#include <stdlib.h>

static bool is_local(const struct config_provider *p)
{
	return p->type == CONFIG_PROVIDER_OLLAMA || p->type == CONFIG_PROVIDER_REPLAY;
}

/* Smaller comes first. The default provider before all, the fallback behind all. */
static int rank(const struct config_llm_selection *s, const struct config_provider *p)
{
	if (s->default_provider && strcmp(s->default_provider, p->name) == 0)
		return 0;
	if (s->fallback_provider && strcmp(s->fallback_provider, p->name) == 0)
		return 3;
	bool first = s->strategy == CONFIG_PREFER_CLOUD ? !is_local(p) : is_local(p);
	return first ? 1 : 2;
}

struct lists {
	struct llm_provider_options *providers;
	struct llm_alias_options *aliases;
	size_t provider_count;
	size_t alias_count;
	const char *data_directory;
	struct arena *arena; /* of paths, until the files are open */
};

static const char *recording_of(struct lists *l, const struct config_provider *p)
{
	return p->record_here
		? arena_printf(l->arena, "%s/recording-%s.jsonl", l->data_directory, p->name)
		: p->record;
}

static int provider_add(struct lists *l, const struct config_provider *p)
{
	if (p->api_key.from == TABLE_SECRET_STORE)
		return err_raise(-EOPNOTSUPP,
			"provider '%s': api_key 'secret:%s': this build has no secret store; use "
			"env:NAME",
			p->name, p->api_key.name);
	l->providers[l->provider_count++] = (struct llm_provider_options){
		.name = p->name,
		.type = config_provider_type_name(p->type),
		.endpoint = p->endpoint,
		.api_key = p->api_key.value,
		.record_to = recording_of(l, p),
		.stream = p->stream,
	};
	if (p->record_here && !l->providers[l->provider_count - 1].record_to)
		return err_raise(-ENOMEM, "models: out of memory");
	for (size_t i = 0; i < p->models.count; i++)
		l->aliases[l->alias_count++] =
			(struct llm_alias_options){.alias = p->models.items[i].alias,
				.provider = p->name,
				.model = p->models.items[i].model,
				.max_output_tokens = p->models.items[i].max_output_tokens,
				.temperature = p->models.items[i].temperature};
	return 0;
}

int models_open(const struct config *c, struct tls_client *tls, struct llm **ret)
{
	const struct config_llm_selection *s = &c->llm_selection;
	size_t providers = c->llm_providers.count, aliases = 0;
	int r = 0;

	for (size_t i = 0; i < providers; i++)
		aliases += c->llm_providers.items[i].models.count;
	struct lists l = {
		.providers = calloc(providers + 1, sizeof(*l.providers)),
		.aliases = calloc(aliases + 1, sizeof(*l.aliases)),
		.data_directory = c->daemon.data_directory,
		.arena = arena_new(1 << 20),
	};
	if (!l.providers || !l.aliases || !l.arena)
		r = err_raise(-ENOMEM, "models: out of memory");
	for (int order = 0; r == 0 && order <= 3; order++)
		for (size_t i = 0; r == 0 && i < providers; i++)
			if (rank(s, &c->llm_providers.items[i]) == order &&
				c->llm_providers.items[i].enabled)
				r = provider_add(&l, &c->llm_providers.items[i]);
	if (r == 0)
		r = llm_new(
			&(struct llm_options){
				.providers = l.providers,
				.provider_count = l.provider_count,
				.aliases = l.aliases,
				.alias_count = l.alias_count,
				.max_retries = (int)s->max_retries,
				.retry_delay_ms = s->retry_delay_ms,
				.tls = tls,
			},
			ret);
	free(l.providers);
	free(l.aliases);
	arena_free(l.arena);
	return err_trace(r);
}
