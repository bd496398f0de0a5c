/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Any bytes as a node configuration. What is accepted can be shown, and what is shown holds no
 * secret: the variable that every env: refers to has a value that must not appear.
 */
#include "daemon/config/config.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char secret[] = "a-value-that-nobody-may-see";

static const char *get(void *ctx, const char *name)
{
	return strcmp(name, "SECRET") == 0 ? secret : NULL;
}

static void check_config(const struct config *c, bool holds_text)
{
	struct buf b CLEANUP(buf_fini) = buf_init(64 << 20);
	struct json_writer w = json_writer(&b);
	config_dump(c, &w);
	CHECK(c->network.port >= 1 && c->network.port <= 65535);
	for (size_t i = 0; i < c->llm_providers.count; i++) {
		const struct config_provider *p = &c->llm_providers.items[i];
		CHECK(p->endpoint && p->models.count);
		/* api_key: env:SECRET must show as that */
		if (p->api_key.from == TABLE_SECRET_ENV && !holds_text)
			CHECK(span_find(buf_view(&b), span_cstr(secret), 0) < 0);
	}
	for (size_t i = 0; i < config_notice_count(c); i++)
		CHECK(config_notice(c, i));
	free(config_socket_path(c));
}

/* Other fields may show the variable: then nothing can be said. */
static bool refers_elsewhere(struct span text)
{
	ssize_t first = span_find(text, SPAN("SECRET"), 0);
	return first >= 0 && span_find(text, SPAN("SECRET"), (size_t)first + 1) >= 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 64 * 1024)
		return 0;
	struct arena *a CLEANUP(arena_cleanup) = arena_new(16 << 20);
	struct report r;
	const struct config *c = NULL;
	const struct config_environment env = {.get = get};
	struct span text = span_of(data, size);
	CHECK(a && report_init(&r, a, "f") == 0);
	int result = config_parse("f", text, &env, &r, &c);
	CHECK((result == 0) == report_ok(&r) && (result == 0) == (c != NULL));
	if (c)
		check_config(c, refers_elsewhere(text));
	config_unref(c);
	return 0;
}
