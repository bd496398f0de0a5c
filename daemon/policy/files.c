/* SPDX-License-Identifier: AGPL-3.0-only */
/* The files of policy.d, in order of their names, so that a set's text depends on nothing else. */
#include "daemon/policy/internal.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static int is_ours(const struct dirent *e)
{
	struct span name = span_cstr(e->d_name);

	return name.p[0] != '.' &&
		(span_ends(name, SPAN(".cedar")) || span_ends(name, SPAN(".cedarschema")));
}

static const char *folder_name(const char *directory)
{
	const char *slash = strrchr(directory, '/');

	return slash && slash[1] ? slash + 1 : directory;
}

static int file_read(struct policy_snapshot *s, const char *name, struct policy_file *ret)
{
	struct buf b CLEANUP(buf_fini) = buf_init(LIMIT_CEDAR_TEXT_BYTES);
	char *path = arena_printf(s->arena, "%s/%s", s->directory, name);

	if (!path)
		return err_raise(-ENOMEM, "policy: out of memory");
	int r = fd_read_file(path, &b);
	if (r < 0)
		return err_trace(r);
	ret->label = arena_printf(s->arena, "%s/%s", folder_name(s->directory), name);
	ret->text = arena_span(s->arena, b.len ? buf_view(&b) : SPAN(""));
	ret->schema = span_ends(span_cstr(name), SPAN(".cedarschema"));
	return ret->label && (ret->text.p || !b.len) ? 0
						     : err_raise(-ENOMEM, "policy: out of memory");
}

int files_read(struct policy_snapshot *s, bool may_be_absent, struct buf *findings, bool *ret_valid)
{
	struct dirent **names = NULL;
	int n = scandir(s->directory, &names, is_ours, alphasort), r = 0;

	if (n < 0 && errno == ENOENT && may_be_absent)
		return 0;
	if (n < 0)
		return err_sys(-errno, "read the policies in '%s'", s->directory);
	if (n > LIMIT_POLICY_FILES)
		r = err_raise(-E2BIG, "'%s' has %d policy files; at most %d are accepted",
			s->directory, n, LIMIT_POLICY_FILES);
	s->files = arena_make_array(s->arena, struct policy_file, (size_t)n + 1);
	if (r == 0 && !s->files)
		r = err_raise(-ENOMEM, "policy: out of memory");
	for (int i = 0; r == 0 && i < n; i++) {
		r = file_read(s, names[i]->d_name, &s->files[i]);
		if (r == -E2BIG) {
			buf_printf(findings, "%s/%s: larger than %d bytes\n",
				folder_name(s->directory), names[i]->d_name,
				LIMIT_CEDAR_TEXT_BYTES);
			err_clear();
			*ret_valid = false;
			r = 0;
		}
		s->file_count++;
	}
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return err_trace(r);
}
