/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * From the text of a node configuration to an immutable snapshot. The snapshot owns its arena and
 * its secrets; the last reference wipes the secrets before the memory goes.
 */
#include "daemon/config/config_internal.h"
#include <stdatomic.h>
#include <unistd.h>

enum { NOTICES_MAX = 128 };

struct config_object {
	struct config config; /* first: what callers hold */
	struct arena *arena;
	struct table_secrets secrets;
	atomic_int references;
	size_t notice_count;
	const char *notices[NOTICES_MAX];
};

static struct config_object *object_of(const struct config *c)
{
	return container_of((struct config *)c, struct config_object, config);
}

const struct config *config_ref(const struct config *c)
{
	atomic_fetch_add(&object_of(c)->references, 1);
	return c;
}

const struct config *config_unref(const struct config *c)
{
	if (c && atomic_fetch_sub(&object_of(c)->references, 1) == 1) {
		struct config_object *o = object_of(c);
		table_secrets_fini(&o->secrets);
		arena_free(o->arena);
	}
	return NULL;
}

/* ---- the environment ---- */

static const char *from_getenv(void *ctx, const char *name)
{
	return getenv(name);
}

static struct config_environment environment_of(const struct config_environment *env)
{
	struct config_environment e = {from_getenv, NULL, env && env->may_be_unset};
	return env && env->get ? *env : e;
}

/* AEGIS_PORT and AEGIS_LOG_LEVEL hold where the file is silent. */
static void override(struct report *report, const struct doc *d,
	const struct config_environment *env, struct config *c)
{
	const char *value = env->get(env->ctx, "AEGIS_PORT");
	uint64_t port;
	if (value && *value && !doc_at(d, "spec.network.port")) {
		if (span_to_u64(span_cstr(value), &port) < 0 || port < 1 || port > 65535)
			report_error(report, (struct report_place){0}, "AEGIS_PORT",
				"\"%s\" in the environment is no port; accepted: 1 to 65535",
				value);
		else
			c->network.port = (int64_t)port;
	}
	value = env->get(env->ctx, "AEGIS_LOG_LEVEL");
	if (value && *value && !doc_at(d, "spec.observability.logging.level")) {
		static const char *const words[] = {
			"trace", "debug", "info", "warn", "error", NULL};
		int level = 0;
		while (words[level] && strcmp(words[level], value) != 0)
			level++;
		if (!words[level])
			report_error(report, (struct report_place){0}, "AEGIS_LOG_LEVEL",
				"\"%s\" in the environment is no level; accepted: trace, debug, "
				"info, warn, error",
				value);
		else
			c->observability.logging.level = level;
	}
}

/* ---- parsing ---- */

static void on_effect(
	void *ctx, const char *path, const struct table_field *f, const struct doc *value)
{
	struct config_object *o = ctx;
	if (o->notice_count == NOTICES_MAX)
		return;
	int line = value->key_at.line ? value->key_at.line : value->at.line;
	const char *text = arena_printf(o->arena, "%s (line %d): %s", path, line,
		f->effect_says ? f->effect_says : "it is read, but has no effect yet");
	if (text)
		o->notices[o->notice_count++] = text;
}

static int fill(struct config_object *o, struct report *report, struct span text,
	const struct config_environment *env)
{
	const struct doc *d;
	int r = doc_parse(report, text, &d);
	if (r == 0)
		r = table_envelope(report, d, "NodeConfig");
	if (r)
		return r;
	struct config_written *written = arena_make(o->arena, struct config_written);
	struct table_run *run = arena_make(o->arena, struct table_run);
	if (!written || !run)
		return err_raise(-ENOMEM, "no memory for a configuration");
	run->report = report;
	run->env = env->get;
	run->env_ctx = env->ctx;
	run->env_may_be_unset = env->may_be_unset;
	run->secrets = &o->secrets;
	r = table_load(run, &config_table, d, written);
	if (r)
		return r;
	override(report, d, env, &written->config);
	o->config = written->config;
	table_effects(&config_table, d, on_effect, o);
	return report_ok(report) ? 0 : DOC_BAD;
}

static void object_free(struct config_object *o)
{
	table_secrets_fini(&o->secrets);
	arena_free(o->arena);
}

int config_parse(const char *file, struct span text, const struct config_environment *env,
	struct report *report, const struct config **ret)
{
	struct arena *a = arena_new(LIMIT_CONFIG_ARENA_BYTES);
	struct config_object *o = a ? arena_make(a, struct config_object) : NULL;
	struct report inner;
	if (!o || report_init(&inner, a, report->file) < 0) {
		arena_free(a);
		return err_raise(-ENOMEM, "no memory for a configuration");
	}
	o->arena = a;
	atomic_init(&o->references, 1);
	const struct config_environment e = environment_of(env);
	int r = fill(o, &inner, text, &e);
	report_take(report, &inner);
	if (r == 0 && file) {
		o->config.file = arena_strdup(a, file);
		if (!o->config.file)
			r = err_raise(-ENOMEM, "no memory for a configuration");
	}
	if (r) {
		object_free(o);
		return r < 0 ? err_trace(r) : CONFIG_INVALID;
	}
	*ret = &o->config;
	return 0;
}

int config_load(const char *path, const struct config_environment *env, struct report *report,
	const struct config **ret)
{
	struct buf text CLEANUP(buf_fini) = buf_init(LIMIT_DOC_BYTES);
	int r = fd_read_file(path, &text);
	if (r == -E2BIG) {
		err_clear();
		report_error(report, (struct report_place){0}, "",
			"the file is too large; accepted: at most %d bytes", LIMIT_DOC_BYTES);
		return CONFIG_INVALID;
	}
	if (r < 0)
		return err_trace(r);
	r = config_parse(path, buf_view(&text), env, report, ret);
	secret_wipe(text.data, text.len);
	return r < 0 ? err_trace(r) : r;
}

int config_default(const struct config_environment *env, const struct config **ret)
{
	static const char text[] = "apiVersion: 100monkeys.ai/v1\n"
				   "kind: NodeConfig\n"
				   "metadata: {name: aegis}\n"
				   "spec: {node: {id: local, type: hybrid}}\n";
	struct arena *a CLEANUP(arena_cleanup) = arena_new(LIMIT_CONFIG_ARENA_BYTES);
	struct report report;
	if (!a || report_init(&report, a, "defaults") < 0)
		return err_raise(-ENOMEM, "no memory for a configuration");
	int r = config_parse(NULL, span_cstr(text), env, &report, ret);
	if (r <= 0)
		return r < 0 ? err_trace(r) : 0;
	struct buf why CLEANUP(buf_fini) = buf_init(ERR_MESSAGE_BYTES);
	report_summary(&report, &why);
	return err_raise(-EINVAL, SPAN_FMT, SPAN_ARG(buf_view(&why)));
}

/* ---- what people see ---- */

size_t config_notice_count(const struct config *c)
{
	return object_of(c)->notice_count;
}

const char *config_notice(const struct config *c, size_t i)
{
	CHECK(i < object_of(c)->notice_count);
	return object_of(c)->notices[i];
}

void config_dump(const struct config *c, struct json_writer *w)
{
	const struct config_written written = {.config = *c};
	table_dump(&config_table, &written, w);
}

void config_schema(struct json_writer *w)
{
	table_json_schema(&config_table, "https://100monkeys.ai/schemas/v1/node-config.json", w);
}

void config_reference(struct buf *b)
{
	table_reference(&config_table, b);
}

void config_sample(bool all, struct buf *b)
{
	buf_puts(b,
		"# Configuration of an AEGIS node. Lines that are commented out show defaults and "
		"examples.\n");
	table_sample(&config_table, all, b);
}
