/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * From an alias to an answer. The aliases are a list in order of preference; a provider is tried
 * again when it is overloaded, then the next one of that alias is asked. A provider that refuses
 * the request ends the turn: the next would be asked something that is wrong.
 */
#include "daemon/llm/internal.h"
#include <stdlib.h>
#include <unistd.h>

struct alias {
	struct llm_alias_options options; /* its texts are its own, but `provider` */
	struct provider *provider;
};

struct llm {
	struct provider *providers;
	size_t provider_count;
	struct alias *aliases;
	size_t alias_count;
	int max_retries;
	int64_t retry_delay_ms;
	struct tls_client *tls;
	struct http_client **clients; /* one per worker, made when first used */
	int client_count;
};

int llm_outcome_because(struct llm_turn *t, int outcome, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	char *text = arena_vprintf(t->arena, fmt, args);
	va_end(args);
	if (!text)
		return err_raise(-ENOMEM, "model reply: request memory used up");
	*t->why = span_cstr(text);
	return outcome;
}

int llm_client(struct llm *l, struct http_client **ret)
{
	int index = worker_index(worker_self());
	CHECK(index < l->client_count);
	if (!l->clients[index]) {
		int r = http_client_start(
			&(struct http_client_options){.tls = l->tls}, &l->clients[index]);
		if (r < 0)
			return err_trace(r);
	}
	*ret = l->clients[index];
	return 0;
}

/* ---- making ---- */

/* Of each type that is spoken over HTTP: its form, the base that is meant if none is given, what a
 * base ends with, and what comes behind. A base may be given without that end, with it, or as the
 * whole address. */
static const struct http_type {
	const char *type;
	enum wire_form form;
	const char *endpoint;
	const char *base_end; /* "": any end will do */
	const char *path;
} http_types[] = {
	{"openai", FORM_OPENAI_GENUINE, "https://api.openai.com/v1", "", "/chat/completions"},
	{"openai-compatible", FORM_OPENAI, NULL, "", "/chat/completions"},
	{"ollama", FORM_OPENAI, "http://127.0.0.1:11434", "/v1", "/chat/completions"},
	{"gemini", FORM_OPENAI, "https://generativelanguage.googleapis.com", "/v1beta/openai",
		"/chat/completions"},
	{"anthropic", FORM_ANTHROPIC, "https://api.anthropic.com", "/v1", "/messages"},
};

static char *call_url(const struct http_type *type, const char *endpoint)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_LLM_URL_BYTES);
	struct span base = span_cstr(endpoint), end = span_cstr(type->base_end);

	while (base.n && base.p[base.n - 1] == '/')
		base.n--;
	buf_span(&b, base);
	if (span_ends(base, span_cstr(type->path)))
		return buf_take(&b);
	/* "https://host/v1beta" has the first part of "/v1beta/openai" already. */
	size_t have = end.n;
	while (have &&
		!(span_ends(base, span_sub(end, 0, have)) && (have == end.n || end.p[have] == '/')))
		have--;
	buf_span(&b, span_sub(end, have, end.n));
	buf_puts(&b, type->path);
	return buf_take(&b);
}

static int provider_init_http(
	struct provider *p, const struct llm_provider_options *o, const struct http_type *type)
{
	const char *endpoint = o->endpoint ? o->endpoint : type->endpoint;
	struct url url;

	if (!endpoint)
		return err_raise(
			-EINVAL, "provider '%s': type '%s' needs an endpoint", o->name, o->type);
	p->form = type->form;
	p->stream = o->stream;
	p->url = call_url(type, endpoint);
	if (!p->url)
		return err_raise(-EINVAL, "provider '%s': the endpoint is too long", o->name);
	int r = url_parse(span_cstr(p->url), &url);
	if (r < 0)
		return err_wrap(r, "provider '%s'", o->name);
	p->turn = http_turn;
	return 0;
}

static int provider_init(struct llm *l, struct provider *p, const struct llm_provider_options *o)
{
	int r = -EINVAL;

	p->llm = l;
	p->record_fd = -1;
	p->name = strdup(o->name);
	if (o->api_key)
		p->api_key = secret_dup(o->api_key);
	if (!p->name || (o->api_key && !p->api_key))
		return err_raise(-ENOMEM, "provider: out of memory");
	if (o->record_to) {
		r = recording_open(o->record_to, &p->record_fd);
		if (r < 0)
			return err_wrap(r, "provider '%s'", o->name);
	}
	for (size_t i = 0; i < ARRAY_LEN(http_types); i++)
		if (strcmp(o->type, http_types[i].type) == 0)
			return err_trace(provider_init_http(p, o, &http_types[i]));
	if (strcmp(o->type, "replay") != 0)
		return err_raise(-EINVAL,
			"provider '%s': type '%s'; openai, openai-compatible, ollama, anthropic, "
			"gemini and replay are accepted",
			o->name, o->type);
	if (!o->endpoint)
		return err_raise(-EINVAL,
			"provider '%s': a replay needs the recording's file as its endpoint",
			o->name);
	p->turn = replay_turn;
	r = recording_load(o->endpoint, &p->replay);
	return r < 0 ? err_wrap(r, "provider '%s'", o->name) : 0;
}

static int alias_init(struct llm *l, struct alias *alias, const struct llm_alias_options *o)
{
	for (size_t i = 0; i < l->provider_count; i++)
		if (strcmp(l->providers[i].name, o->provider) == 0)
			alias->provider = &l->providers[i];
	if (!alias->provider)
		return err_raise(-EINVAL, "model alias '%s': there is no provider '%s'", o->alias,
			o->provider);
	alias->options = *o;
	alias->options.provider = alias->provider->name;
	alias->options.alias = strdup(o->alias);
	alias->options.model = strdup(o->model);
	return alias->options.alias && alias->options.model
		? 0
		: err_raise(-ENOMEM, "model alias: out of memory");
}

static void llm_free(struct llm *l)
{
	for (size_t i = 0; i < l->provider_count; i++) {
		struct provider *p = &l->providers[i];
		if (p->record_fd >= 0)
			close(p->record_fd);
		secret_free(p->api_key);
		recording_free(p->replay);
		free(p->name);
		free(p->url);
	}
	for (size_t i = 0; i < l->alias_count; i++) {
		free((char *)l->aliases[i].options.alias);
		free((char *)l->aliases[i].options.model);
	}
	tls_client_unref(l->tls);
	free(l->providers);
	free(l->aliases);
	free(l->clients);
	free(l);
}

int llm_new(const struct llm_options *o, struct llm **ret)
{
	struct llm *l = calloc(1, sizeof(*l));
	int r = 0;

	if (!l)
		return err_raise(-ENOMEM, "models: out of memory");
	l->client_count = worker_count();
	l->clients = calloc((size_t)l->client_count, sizeof(struct http_client *));
	l->providers = calloc(o->provider_count + 1, sizeof(*l->providers));
	l->aliases = calloc(o->alias_count + 1, sizeof(*l->aliases));
	l->max_retries = o->max_retries;
	l->retry_delay_ms = o->retry_delay_ms;
	l->tls = o->tls ? tls_client_ref(o->tls) : NULL;
	if (!l->clients || !l->providers || !l->aliases)
		r = err_raise(-ENOMEM, "models: out of memory");
	for (size_t i = 0; r == 0 && i < o->provider_count; i++)
		r = provider_init(l, &l->providers[l->provider_count++], &o->providers[i]);
	for (size_t i = 0; r == 0 && i < o->alias_count; i++)
		r = alias_init(l, &l->aliases[l->alias_count++], &o->aliases[i]);
	if (r < 0) {
		llm_free(l);
		return err_trace(r);
	}
	*ret = l;
	return 0;
}

struct stop_errand {
	struct http_client *client;
};

static int client_stop(void *arg)
{
	http_client_stop(((struct stop_errand *)arg)->client);
	return 0;
}

struct llm *llm_stop(struct llm *l)
{
	if (!l)
		return NULL;
	fiber_shield_begin();
	for (int i = 0; i < l->client_count; i++) {
		struct stop_errand errand = {l->clients[i]};
		/* Each client ends on the worker it lives on; the call cannot fail inside a shield.
		 */
		if (errand.client)
			CHECK(worker_call(worker_at(i), "llm-stop", client_stop, &errand,
				      DEADLINE_NONE) == 0);
	}
	fiber_shield_end();
	llm_free(l);
	return NULL;
}

/* ---- asking ---- */

static bool worth_repeating(int outcome)
{
	return outcome == LLM_UNAVAILABLE || outcome == LLM_RATE_LIMITED;
}

static AWAITS int ask_provider(struct llm *l, struct provider *p, struct llm_turn *t)
{
	int64_t delay_ms = l->retry_delay_ms;

	for (int tries = 0;; tries++) {
		t->retry_after_ms = 0;
		*t->reply = (struct llm_reply){.prompt_tokens = -1, .completion_tokens = -1};
		int64_t began_ns = rt_now_ns();
		int r = p->turn(p, t);
		t->reply->latency_ns = rt_now_ns() - began_ns;
		t->reply->provider = span_cstr(p->name);
		if (!worth_repeating(r) || tries == l->max_retries)
			return err_trace(r);
		int64_t until = rt_now_ns() + MAX(delay_ms, t->retry_after_ms) * NS_PER_MS;
		if (until >= t->q->deadline_ns)
			return r;
		log_info("model call: " SPAN_FMT "; trying again", SPAN_ARG(*t->why));
		int slept = rt_sleep_until(until);
		if (slept < 0)
			return err_trace(slept);
		delay_ms *= 2;
	}
}

int llm_complete(struct llm *l, const struct llm_request *q, llm_on_text on_text, void *ctx,
	struct arena *a, struct llm_reply *ret, struct span *ret_why)
{
	struct span alias = q->alias.n ? q->alias : SPAN("default");
	struct llm_reply reply;
	struct llm_turn t = {
		.q = q,
		.on_text = on_text,
		.on_text_ctx = ctx,
		.arena = a,
		.reply = &reply,
		.why = ret_why,
	};
	int r = llm_outcome_because(&t, LLM_UNKNOWN_ALIAS,
		"no provider offers the model alias '" SPAN_FMT "': add it to spec.llm_providers",
		SPAN_ARG(alias));

	for (size_t i = 0; i < l->alias_count; i++) {
		struct provider *p = l->aliases[i].provider;
		if (!span_is(alias, l->aliases[i].options.alias))
			continue;
		t.model = &l->aliases[i].options;
		r = ask_provider(l, p, &t);
		if (r == 0 && p->record_fd >= 0)
			r = recording_add(p->record_fd, &t);
		if (!worth_repeating(r))
			break;
	}
	if (r == 0)
		*ret = reply;
	return err_trace(r);
}
