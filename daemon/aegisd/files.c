/* SPDX-License-Identifier: AGPL-3.0-only */
/* The file layer of this node, and the key of its handles, which is drawn once. */
#include "daemon/aegisd/aegisd.h"

enum { KEY_BYTES = 32 };

static int handle_key(const char *path, uint8_t ret[KEY_BYTES])
{
	struct buf b CLEANUP(buf_fini) = buf_init(1024);
	int r = fd_read_file(path, &b);

	if (r == 0 && b.len == KEY_BYTES) {
		memcpy(ret, b.data, KEY_BYTES);
		secret_wipe(b.data, b.len);
		return 0;
	}
	if (r == 0)
		return err_raise(-EINVAL,
			"'%s' has %zu bytes, %d are accepted: remove the file to have a new one "
			"made",
			path, b.len, KEY_BYTES);
	if (r != -ENOENT)
		return err_trace(r);
	err_clear();
	rt_random(ret, KEY_BYTES);
	return err_trace(fd_replace_file(path, span_of(ret, KEY_BYTES), 0600));
}

int files_open(const struct config *c, struct fsal **ret)
{
	struct buf path CLEANUP(buf_fini) = buf_init(LIMIT_PATH_BYTES);
	struct fsal_options o = {0};

	_Static_assert(sizeof(o.key) == KEY_BYTES, "struct fsal_options");
	buf_printf(&path, "%s/file-handles.key", c->daemon.data_directory);
	const char *name = buf_cstr(&path);
	int r = name ? handle_key(name, o.key) : -ENAMETOOLONG;
	if (r == 0)
		r = fsal_start(&o, ret);
	secret_wipe(o.key, sizeof(o.key));
	return r < 0 ? err_wrap(r, "spec.daemon.data_directory") : 0;
}
