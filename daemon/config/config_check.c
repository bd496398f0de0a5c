/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the configuration's tables cannot say: fields that depend on each other's values. */
#include "daemon/config/config_internal.h"
#include <arpa/inet.h>

/* ---- language models ---- */

void config_check_model(struct table_run *run, const struct doc *d, void *object)
{
	struct config_model *m = object;
	if (!doc_get(d, "temperature"))
		m->temperature = -1;
}

void config_check_provider(struct table_run *run, const struct doc *d, void *object)
{
	static const char *const endpoints[] = {
		[CONFIG_PROVIDER_OPENAI] = "https://api.openai.com/v1",
		[CONFIG_PROVIDER_OPENAI_COMPATIBLE] = NULL,
		[CONFIG_PROVIDER_OLLAMA] = "http://localhost:11434",
		[CONFIG_PROVIDER_ANTHROPIC] = "https://api.anthropic.com",
		[CONFIG_PROVIDER_GEMINI] = "https://generativelanguage.googleapis.com",
		[CONFIG_PROVIDER_REPLAY] = NULL,
	};
	struct config_provider *p = object;
	if (!p->endpoint)
		p->endpoint = endpoints[p->type];
	bool file = p->type == CONFIG_PROVIDER_REPLAY;
	if (!p->endpoint)
		table_problem(run, d, NULL, "type %s needs \"endpoint\", the %s",
			config_provider_type_name(p->type),
			file ? "file of the recording" : "base URL of the API");
	else if (!file && strncmp(p->endpoint, "http://", 7) != 0 &&
		strncmp(p->endpoint, "https://", 8) != 0)
		table_problem(run, d, "endpoint",
			"this is no URL; accepted: a URL that begins with http:// or https://");
	if (file && (p->record || p->record_here))
		table_problem(run, d, "record", "a recording cannot be recorded; leave it out");
	if (p->record_here && p->name && strchr(p->name, '/'))
		table_problem(run, d, "record",
			"the name of this provider holds a '/' and can name no file; give the "
			"file");
	for (size_t i = 0; i < p->models.count; i++)
		for (size_t j = 0; j < i; j++)
			if (strcmp(p->models.items[i].alias, p->models.items[j].alias) == 0)
				table_problem(run, d, "models",
					"the alias \"%s\" is given twice by this provider",
					p->models.items[i].alias);
}

/* ---- security contexts ---- */

/* A list that is left out restricts nothing; one that is empty could mean that or its opposite. */
void config_check_grant(struct table_run *run, const struct doc *d, void *object)
{
	static const char *const lists[] = {
		"path_allowlist", "subcommand_allowlist", "command_allowlist", "domain_allowlist"};
	struct config_grant *g = object;
	g->line = d->at.line;
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		const struct doc *list = doc_get(d, lists[i]);
		if (list && (list->type == DOC_LIST || list->type == DOC_MAP) && list->count == 0)
			table_problem(run, d, lists[i],
				"an empty list; leave it out to restrict nothing, or leave the "
				"capability out to allow nothing");
	}
	for (size_t i = 0; i < g->subcommand_allowlist.count; i++)
		if (g->subcommand_allowlist.values[i].count == 0)
			table_problem(run, d, "subcommand_allowlist",
				"\"%s\" has no arguments; to allow any, name it in "
				"command_allowlist",
				g->subcommand_allowlist.keys[i]);
}

void config_check_security_context(struct table_run *run, const struct doc *d, void *object)
{
	struct config_security_context *c = object;
	c->line = d->at.line;
}

/* ---- network ---- */

bool config_is_loopback(const char *bind_address)
{
	struct in_addr v4;
	struct in6_addr v6;
	if (strcmp(bind_address, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, bind_address, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, bind_address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

void config_check_network(struct table_run *run, const struct doc *d, void *object)
{
	const struct config_network *n = object;
	bool tls = n->tls && n->tls->enabled;
	if (config_is_loopback(n->bind_address) || tls)
		return;
	if (n->allow_insecure_bind)
		table_warning(run, d, "allow_insecure_bind",
			"everybody who reaches %s can read what passes; this is meant for a "
			"machine in front that ends TLS",
			n->bind_address);
	else
		table_problem(run, d, "bind_address",
			"%s is no loopback address and there is no TLS; accepted: 127.0.0.1, or "
			"a \"tls\" section, or allow_insecure_bind: true if something in front "
			"ends TLS",
			n->bind_address);
}

/* ---- storage, cluster ---- */

static void check_sizes(struct table_run *run, const struct doc *d, const char *path,
	int64_t by_default, int64_t most)
{
	if (by_default > most)
		table_problem(run, d, path,
			"%lld is more than max_size_limit_mb (%lld); accepted: at most that",
			(long long)by_default, (long long)most);
}

void config_check_storage(struct table_run *run, const struct doc *d, void *object)
{
	const struct config_storage *s = object;
	check_sizes(run, d, "local_host.default_size_limit_mb", s->local_host.default_size_limit_mb,
		s->local_host.max_size_limit_mb);
	if (s->seaweedfs)
		check_sizes(run, d, "seaweedfs.default_size_limit_mb",
			s->seaweedfs->default_size_limit_mb, s->seaweedfs->max_size_limit_mb);
}

void config_check_cluster(struct table_run *run, const struct doc *d, void *object)
{
	const struct config_cluster *c = object;
	if (!c->enabled)
		return;
	if (c->role == CONFIG_ROLE_EDGE && !c->edge)
		table_problem(run, d, "role", "role edge needs the section \"edge\"");
	if (c->role == CONFIG_ROLE_EDGE && !c->controller)
		table_problem(run, d, "role", "role edge needs \"controller.endpoint\"");
	if (c->role == CONFIG_ROLE_RELAY_COORDINATOR && !c->public_endpoint)
		table_problem(
			run, d, "role", "role relay-coordinator needs \"ingress.public_endpoint\"");
}

/* ---- spec ---- */

static bool has_provider(const struct config *c, const char *name)
{
	for (size_t i = 0; i < c->llm_providers.count; i++)
		if (strcmp(c->llm_providers.items[i].name, name) == 0)
			return true;
	return false;
}

static void check_selected(struct table_run *run, const struct doc *d, const struct config *c,
	const char *path, const char *name)
{
	if (!name || has_provider(c, name))
		return;
	const char *names[65] = {NULL};
	for (size_t i = 0; i < c->llm_providers.count && i < 64; i++)
		names[i] = c->llm_providers.items[i].name;
	const char *nearest = table_nearest(name, names);
	table_problem(run, d, path, "\"%s\" is none of llm_providers%s%s%s", name,
		nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
}

static const struct doc *find_store_reference(const struct doc *d)
{
	if (d->type == DOC_STRING)
		return span_starts(d->text, SPAN("secret:")) ? d : NULL;
	for (size_t i = 0; i < d->count; i++) {
		const struct doc *found = find_store_reference(&d->items[i]);
		if (found)
			return found;
	}
	return NULL;
}

void config_check_spec(struct table_run *run, const struct doc *d, void *object)
{
	const struct config *c = object;
	check_selected(
		run, d, c, "llm_selection.default_provider", c->llm_selection.default_provider);
	check_selected(
		run, d, c, "llm_selection.fallback_provider", c->llm_selection.fallback_provider);
	if (c->grpc_auth && c->grpc_auth->enabled && !c->iam)
		table_problem(run, d, "grpc_auth",
			"tokens need a realm that issues them; accepted: a section \"iam\", or "
			"enabled: false");
	const struct doc *reference = find_store_reference(d);
	if (reference && !c->secrets.backend)
		report_warning(run->report, reference->at, "spec.secrets",
			"a value comes from the secret store (" SPAN_FMT
			"), but there is no secrets.backend",
			SPAN_ARG(reference->text));
}
