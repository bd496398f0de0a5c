/* SPDX-License-Identifier: AGPL-3.0-only */
/* One spelling for each path, before anybody compares it with a rule. */
#include "policy/context/context.h"

static int path_append(struct buf *b, struct span path)
{
	struct span rest = path, part;
	bool done = false;

	while (span_split(&rest, '/', &done, &part)) {
		if (part.n == 0 || span_is(part, "."))
			continue;
		if (span_is(part, ".."))
			return err_raise(-EINVAL,
				"path '" SPAN_FMT "' contains '..': give the path without it",
				SPAN_ARG(path));
		if (part.n > LIMIT_PATH_COMPONENT_BYTES)
			return err_raise(-EINVAL,
				"path has a component of %zu bytes, at most %d are accepted",
				part.n, LIMIT_PATH_COMPONENT_BYTES);
		buf_putc(b, '/');
		buf_span(b, part);
	}
	return 0;
}

int context_canonical_path(struct span path, struct span cwd, struct arena *a, struct span *ret)
{
	struct buf b CLEANUP(buf_fini) = buf_init(2 * LIMIT_PATH_BYTES);
	int r;

	if (path.n == 0)
		return err_raise(-EINVAL, "path is empty");
	if (path.n > LIMIT_PATH_BYTES)
		return err_raise(-EINVAL, "path of %zu bytes, at most %d are accepted", path.n,
			LIMIT_PATH_BYTES);
	for (size_t i = 0; i < path.n; i++)
		if ((unsigned char)path.p[i] < 0x20 || path.p[i] == 0x7f)
			return err_raise(-EINVAL, "path has a control character at byte %zu", i);
	if (path.p[0] != '/') {
		r = path_append(&b, cwd);
		if (r < 0)
			return err_trace(r);
	}
	r = path_append(&b, path);
	if (r < 0)
		return err_trace(r);
	if (b.len == 0)
		buf_putc(&b, '/');
	r = buf_error(&b);
	if (r < 0)
		return err_trace(r);
	struct span copy = arena_span(a, buf_view(&b));
	if (!copy.p)
		return err_raise(-ENOMEM, "path: request memory used up");
	*ret = copy;
	return 0;
}
