/* SPDX-License-Identifier: AGPL-3.0-only */
/* What a tool server writes: cut into lines, read as messages, and the answers of its tools. */
#include "daemon/toolserver/toolset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rpc_lines lines = rpc_lines_init(64 * 1024);
	struct span in = span_of(data, size), line;
	size_t used;
	int r = 0;

	while (r >= 0 && in.n) {
		struct arena *a CLEANUP(arena_cleanup) = arena_new(1 << 22);
		struct rpc_message m;
		struct span text;
		bool failed;
		r = rpc_lines_next(&lines, in, &used, &line);
		if (r < 0)
			break;
		in = span_sub(in, used, in.n);
		if (r == RPC_LINE && rpc_parse(a, line, &m) == 0 && m.kind == RPC_RESULT &&
			toolset_answer(m.result, a, &text, &failed) == 0 && text.n)
			CHECK(span_utf8_bad(text) < 0);
	}
	err_clear();
	rpc_lines_fini(&lines);
	return 0;
}
