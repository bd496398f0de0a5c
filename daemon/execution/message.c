/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A member of another type than the protocol's is refused, never taken for its default: what an
 * agent reports must not be lost because it is written wrongly. null counts as absent.
 */
#include "daemon/execution/message.h"

struct reading {
	const struct json *v;
	const char *why; /* the first thing amiss */
};

static const struct json *member(
	struct reading *r, const char *name, enum json_type type, const char *why)
{
	const struct json *m = json_get(r->v, name);

	if (!m || m->type == JSON_NULL)
		return NULL;
	if (m->type == type)
		return m;
	if (!r->why)
		r->why = why;
	return NULL;
}

static struct span text(struct reading *r, const char *name, const char *why)
{
	const struct json *m = member(r, name, JSON_STRING, why);

	return m ? m->text : SPAN("");
}

static int64_t number(struct reading *r, const char *name, int64_t least, int64_t most,
	int64_t otherwise, const char *why)
{
	const struct json *m = member(r, name, JSON_NUMBER, why);
	int64_t n;

	if (!m)
		return otherwise;
	if (json_number_i64(m, &n) == 0 && n >= least && n <= most)
		return n;
	err_clear();
	if (!r->why)
		r->why = why;
	return otherwise;
}

static void read_result(struct reading *r, struct message *m)
{
	m->exit_code = (int)number(r, "exit_code", INT32_MIN, INT32_MAX, -1,
		"exit_code: a whole number of 32 bits is expected");
	m->stdout_text = text(r, "stdout", "stdout: a text is expected");
	m->stderr_text = text(r, "stderr", "stderr: a text is expected");
	m->duration_ms = number(r, "duration_ms", 0, INT64_MAX, 0,
		"duration_ms: a whole number from 0 is expected");
	const struct json *cut =
		member(r, "truncated", JSON_BOOL, "truncated: true or false is expected");
	m->truncated = cut && cut->boolean;
}

static void read_dispatch_id(struct reading *r, struct message *m)
{
	static const char why[] = "dispatch_id: the id of a dispatch is expected";

	if (uuid_parse(text(r, "dispatch_id", why), &m->dispatch_id) < 0 && !r->why)
		r->why = why;
	err_clear();
}

int message_read(const struct json *v, struct message *ret, const char **ret_why)
{
	struct reading r = {.v = v};
	struct message m = {.exit_code = -1};
	struct span type = json_str(v, "type", SPAN(""));

	m.execution_id = text(&r, "execution_id", "execution_id: a text is expected");
	if (span_is(type, "generate")) {
		m.type = MESSAGE_GENERATE;
		m.prompt = text(&r, "prompt", "prompt: a text is expected");
		m.model_alias = text(&r, "model_alias", "model_alias: a text is expected");
		m.messages = member(&r, "messages", JSON_ARRAY, "messages: a list is expected");
	} else if (span_is(type, "dispatch_result")) {
		m.type = MESSAGE_DISPATCH_RESULT;
		read_dispatch_id(&r, &m);
		read_result(&r, &m);
	} else if (span_is(type, "program_result")) {
		m.type = MESSAGE_PROGRAM_RESULT;
		read_result(&r, &m);
	} else {
		r.why = "type: generate, dispatch_result and program_result are accepted";
	}
	if (r.why) {
		*ret_why = r.why;
		return MESSAGE_BAD;
	}
	*ret = m;
	return 0;
}
