/* SPDX-License-Identifier: AGPL-3.0-only */
/* What an agent may say at the dispatch gateway: JSON, and the message that is read from it. */
#include "daemon/execution/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool inside(struct span s, const struct json *v, const char *name)
{
	const struct json *m = json_get(v, name);

	return s.n == 0 || (m && m->type == JSON_STRING && span_eq(m->text, s));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 24);
	const struct json *v;
	struct message m;
	const char *why = NULL;

	if (json_parse(a, span_of(data, size), NULL, &v) < 0 || v->type != JSON_OBJECT) {
		err_clear();
		return 0;
	}
	if (message_read(v, &m, &why) == MESSAGE_BAD) {
		CHECK(why && *why);
		return 0;
	}
	CHECK(!why && m.duration_ms >= 0);
	CHECK(inside(m.prompt, v, "prompt") && inside(m.stdout_text, v, "stdout"));
	CHECK(inside(m.stderr_text, v, "stderr") && inside(m.execution_id, v, "execution_id"));
	CHECK(!m.messages || m.messages->type == JSON_ARRAY);
	CHECK(m.type != MESSAGE_DISPATCH_RESULT || json_get(v, "dispatch_id"));
	return 0;
}
