/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Which tools are ours, and which rights about files their calls ask for: what manifests may name,
 * what a read-only grant leaves out, and what a question may be about all come from this list.
 * daemon/tool says how each is called; its test compares the two.
 */
#include "policy/context/rules.h"
#include <errno.h>

enum { KNOWN_BYTES = 512, SHOWN_BYTES = 128 };

static const struct context_tool tools[] = {
	{"aegis.system.info", false, false},
	{"cmd.run", false, false},
	{"fs.create_dir", false, true},
	{"fs.delete", false, true},
	{"fs.edit", true, true},
	{"fs.glob", true, false},
	{"fs.grep", true, false},
	{"fs.list", true, false},
	{"fs.multi_edit", true, true},
	{"fs.read", true, false},
	{"fs.write", false, true},
};

const struct context_tool *context_tool_at(size_t index)
{
	return index < ARRAY_LEN(tools) ? &tools[index] : NULL;
}

bool context_tool_is_file(const struct context_tool *t)
{
	return t->reads || t->writes;
}

/* "fs" of "fs.read". */
static struct span first_segment(struct span name)
{
	ssize_t dot = span_find_byte(name, '.', 0);

	return dot < 0 ? name : span_sub(name, 0, (size_t)dot);
}

bool tool_pattern_is_vain(struct span pattern)
{
	bool ours = false;

	for (size_t i = 0; i < ARRAY_LEN(tools); i++) {
		struct span name = span_cstr(tools[i].name);
		if (tool_pattern_covers(pattern, name))
			return false;
		ours = ours || span_eq(first_segment(name), first_segment(pattern));
	}
	return ours;
}

int tool_unknown(struct span name, const char *where)
{
	struct buf known CLEANUP(buf_fini) = buf_init(KNOWN_BYTES);

	for (size_t i = 0; i < ARRAY_LEN(tools); i++)
		buf_printf(&known, "%s, ", tools[i].name);
	return err_raise(-EINVAL,
		"%s: there is no tool \"" SPAN_FMT
		"\"; accepted: %sSERVER.TOOL for those of a tool server",
		where, SPAN_ARG(span_sub(name, 0, SHOWN_BYTES)), buf_cstr(&known));
}

int context_check_tool(struct span name)
{
	ssize_t dot = span_find_byte(name, '.', 0);

	if (dot > 0 && (size_t)dot + 1 < name.n && span_find_byte(name, '*', 0) < 0 &&
		!tool_pattern_is_vain(name))
		return 0;
	return err_trace(tool_unknown(name, "action"));
}
