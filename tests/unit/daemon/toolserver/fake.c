/* SPDX-License-Identifier: AGPL-3.0-only */
#include "tests/unit/daemon/toolserver/fake.h"
#include <stdio.h>
#include <stdlib.h>

enum { LINE_BYTES = 16 * 1024 * 1024 };

static enum fake_mode mode_of(const struct fake *f)
{
	return f->good_after && f->starts > f->good_after ? FAKE_GOOD : f->mode;
}

static int say(struct fake *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
static int say(struct fake *f, const char *fmt, ...)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LINE_BYTES);
	char text[4096];
	va_list args;

	va_start(args, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	CHECK(n > 0 && (size_t)n < sizeof(text));
	buf_puts(&b, text);
	buf_putc(&b, '\n');
	return rt_send_all(f->fd, b.data, b.len, deadline_in_ms(60000));
}

static int result(struct fake *f, int64_t id, const char *json)
{
	int r = say(f, "{\"jsonrpc\":\"2.0\",\"id\":%lld,\"result\":%s}", (long long)id, json);

	if (r == 0 && mode_of(f) == FAKE_TWICE) {
		r = say(f, "{\"jsonrpc\":\"2.0\",\"id\":%lld,\"result\":%s}", (long long)id, json);
		if (r == 0)
			r = say(f, "{\"jsonrpc\":\"2.0\",\"id\":%lld,\"result\":{}}",
				(long long)id + 1000);
	}
	return r;
}

#define TOOL(name) \
	"{\"name\":\"" name "\",\"description\":\"d\",\"inputSchema\":" \
	"{\"type\":\"object\",\"properties\":{\"n\":{\"type\":\"integer\"}}," \
	"\"additionalProperties\":false}}"

static int initialize(struct fake *f, int64_t id)
{
	switch (mode_of(f)) {
	case FAKE_OTHER_VERSION:
		return result(f, id, "{\"protocolVersion\":\"1999-01-01\",\"capabilities\":{}}");
	case FAKE_REFUSES:
		return say(f,
			"{\"jsonrpc\":\"2.0\",\"id\":%lld,\"error\":{\"code\":-32000,"
			"\"message\":\"no licence\"}}",
			(long long)id);
	case FAKE_NO_TOOLS:
		return result(f, id, "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{}}");
	case FAKE_HALF_LINE:
		return rt_send_all(f->fd, "{\"jsonrpc\":\"2.0\",", 17, deadline_in_ms(1000)) < 0
			? -EIO
			: -EPIPE;
	default:
		return result(f, id,
			"{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"tools\":{}}}");
	}
}

static int many_tools(struct fake *f, int64_t id, int count, const char *name)
{
	struct buf b CLEANUP(buf_fini) = buf_init(1 << 20);

	buf_printf(&b, "{\"jsonrpc\":\"2.0\",\"id\":%lld,\"result\":{\"tools\":[", (long long)id);
	for (int i = 0; i < count; i++)
		buf_printf(&b, "%s{\"name\":\"%s%d\",\"inputSchema\":{\"type\":\"object\"}}",
			i ? "," : "", name, i);
	buf_puts(&b, "]}}\n");
	return rt_send_all(f->fd, b.data, b.len, deadline_in_ms(60000));
}

static int list(struct fake *f, int64_t id)
{
	static int page;

	switch (mode_of(f)) {
	case FAKE_TOO_MANY_TOOLS:
		return many_tools(f, id, LIMIT_TOOLSERVER_TOOLS + 1, "t");
	case FAKE_TOO_MANY_BAD_TOOLS:
		return many_tools(f, id, LIMIT_TOOLSERVER_LISTED + 1, "a b ");
	case FAKE_CURSOR_LOOPS:
		return result(f, id, "{\"tools\":[],\"nextCursor\":\"again\"}");
	case FAKE_ENDLESS_PAGES:
		return say(f,
			"{\"jsonrpc\":\"2.0\",\"id\":%lld,\"result\":{\"tools\":[],"
			"\"nextCursor\":\"%d\"}}",
			(long long)id, ++page);
	case FAKE_NO_ARRAY:
		return result(f, id, "{\"tools\":7}");
	case FAKE_BAD_TOOLS:
		return result(f, id,
			"{\"tools\":[" TOOL("good") "," TOOL("good") "," TOOL("a b") "," TOOL(
				"") "," TOOL(".hidden") ",{\"name\":\"no_schema\"},7,"
							"{\"name\":\"list\",\"inputSchema\":{"
							"\"type\":\"array\"}},"
							"{\"name\":\"far\",\"inputSchema\":{"
							"\"type\":\"object\",\"$ref\":\"http://x/"
							"y\"}},"
							"{\"name\":\"regex\",\"inputSchema\":{"
							"\"type\":\"object\",\"patternProperties\":"
							"{\"(\":{}}}}]}");
	default:
		return result(f, id, "{\"tools\":[" TOOL("add") "," TOOL("sub.two") "]}");
	}
}

static int called(struct fake *f, int64_t id)
{
	switch (mode_of(f)) {
	case FAKE_SLOW:
		return 0;
	case FAKE_EXITS_WHEN_CALLED:
		return -EPIPE;
	case FAKE_FLOODS:
		for (int r = 0; r == 0;)
			r = say(f,
				"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\","
				"\"params\":{\"level\":\"info\",\"data\":\"x\"}}");
		return -EPIPE;
	case FAKE_RESULT_NO_OBJECT:
		return result(f, id, "[1]");
	default:
		return result(f, id, "{\"content\":[{\"type\":\"text\",\"text\":\"fine\"}]}");
	}
}

static int ask(struct fake *f)
{
	int r = say(f, "{\"jsonrpc\":\"2.0\",\"id\":\"p\",\"method\":\"ping\"}");

	return r < 0 ? r
		     : say(f,
			       "{\"jsonrpc\":\"2.0\",\"id\":\"s\",\"method\":"
			       "\"sampling/createMessage\",\"params\":{}}");
}

static bool is_sick(struct fake *f)
{
	f->pings++;
	return mode_of(f) == FAKE_SICK || (mode_of(f) == FAKE_SICK_ONCE && f->pings == 1);
}

static int serve_request(struct fake *f, const struct json *v)
{
	struct span method = json_str(v, "method", SPAN(""));
	int64_t id = json_i64(v, "id", -1);

	f->cancelled += span_is(method, "notifications/cancelled");
	f->ping_answered += span_is(json_str(v, "id", SPAN("")), "p") && json_get(v, "result");
	f->asked_refused += json_i64(json_get(v, "error"), "code", 0) == -32601;
	if (id < 0 || !method.n || mode_of(f) == FAKE_SILENT)
		return 0;
	int r = mode_of(f) == FAKE_ASKS ? ask(f) : 0;
	if (r < 0)
		return r;
	if (span_is(method, "initialize"))
		return initialize(f, id);
	if (span_is(method, "tools/list"))
		return list(f, id);
	if (span_is(method, "tools/call"))
		return called(f, id);
	return is_sick(f) ? 0 : result(f, id, "{}");
}

static int serve_lines(struct fake *f, struct rpc_lines *lines, struct span in)
{
	struct span line;
	size_t used;
	int r = 0;

	while (r == 0 && in.n) {
		struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 22);
		const struct json *v;
		r = rpc_lines_next(lines, in, &used, &line);
		in = span_sub(in, used, in.n);
		if (r == RPC_LINE)
			r = json_parse(a, line, NULL, &v) == 0 ? serve_request(f, v) : -EINVAL;
	}
	return r;
}

static int begin(struct fake *f)
{
	static char block[64 * 1024];
	int r = 0;

	switch (mode_of(f)) {
	case FAKE_EXITS:
		return -EPIPE;
	case FAKE_GARBAGE:
		while (r == 0)
			r = say(f, "Listening on port 3000");
		return r;
	case FAKE_CHATTY:
		for (int i = 0; r == 0 && i < 3; i++)
			r = say(f, "{\"level\":\"info\"}");
		return r;
	case FAKE_ENDLESS_LINE:
		memset(block, 'x', sizeof(block));
		while (r == 0)
			r = rt_send_all(f->fd, block, sizeof(block), deadline_in_ms(60000));
		return r;
	default:
		return 0;
	}
}

static void serve(void *fake)
{
	struct fake *f = fake;
	struct rpc_lines lines = rpc_lines_init(LINE_BYTES);
	char bytes[4096];
	int r = begin(f);

	while (r == 0) {
		ssize_t n = rt_recv(f->fd, bytes, sizeof(bytes), 0, DEADLINE_NONE);
		r = n > 0 ? serve_lines(f, &lines, span_of(bytes, (size_t)n)) : -EPIPE;
	}
	rpc_lines_fini(&lines);
	rt_close(f->fd);
	f->fd = -1;
	err_clear();
}

static int fake_start(void *ctx, const struct tool_server_config *c, struct tool_server_child **ret,
	int64_t deadline_ns)
{
	struct fake *f = ctx;
	struct tool_server_child *child = calloc(1, sizeof(*child));
	int fds[2];

	socket_pair(fds);
	f->starts++;
	f->fd = fds[1];
	child->fd = fds[0];
	group_init(&f->group);
	*ret = child;
	return group_spawn(&f->group, "fake", FIBER_LARGE, serve, f);
}

static void fake_stop(void *ctx, struct tool_server_child *c, int64_t grace_ns, struct buf *words)
{
	struct fake *f = ctx;

	f->stops++;
	buf_puts(words, "goodbye\n");
	group_close(&f->group);
	rt_close(c->fd);
	free(c);
}

struct tool_launcher fake_launcher(struct fake *f)
{
	return (struct tool_launcher){fake_start, fake_stop, f};
}
