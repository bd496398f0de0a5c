/* SPDX-License-Identifier: AGPL-3.0-only */
/* What must stand before the runtime starts: folders, the bearer key. */
#include "daemon/aegisd/aegisd.h"
#include <fcntl.h>
#include <stdio.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_BYTES = 32 };

static int give_to_daemon(const struct aegisd *d, const char *path, mode_t mode)
{
	int r = fd_make_dirs(path, mode);
	if (r < 0)
		return err_trace(r);
	if (chmod(path, mode) < 0)
		return err_sys(-errno, "chmod '%s'", path);
	if (d->drop && chown(path, d->uid, d->gid) < 0)
		return err_sys(-errno, "give '%s' to %u:%u", path, d->uid, d->gid);
	return 0;
}

static int key_make(const struct aegisd *d, const char *path, struct buf *text)
{
	uint8_t random[KEY_BYTES];
	randombytes_buf(random, sizeof(random));
	buf_puts(text, "aegis_");
	base64_encode(text, span_of(random, sizeof(random)), BASE64_URL);
	secret_wipe(random, sizeof(random));
	int r = buf_error(text);
	if (r == 0)
		r = fd_replace_file(path, buf_view(text), 0600);
	if (r < 0)
		return err_trace(r);
	if (d->drop && chown(path, d->uid, d->gid) < 0)
		return err_sys(-errno, "give '%s' to %u:%u", path, d->uid, d->gid);
	log_info("made the key of the TCP door: %s", path);
	return 0;
}

/* The key of an earlier start, if only its owner can read it. */
static int key_read(const char *path, struct buf *text)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : err_sys(-errno, "stat '%s'", path);
	if (!S_ISREG(st.st_mode) || (st.st_mode & 077))
		return err_raise(-EPERM,
			"'%s' must be a file that only its owner can read: chmod 600", path);
	return err_trace(fd_read_file(path, text));
}

static int key_open(struct aegisd *d)
{
	struct buf text CLEANUP(buf_fini) = buf_init(4096);
	char *path = config_api_key_path(d->config);
	int r = path ? key_read(path, &text) : -ENOMEM;

	if (r == 0 && text.len == 0)
		r = key_make(d, path, &text);
	if (r == 0) {
		struct span key = span_trim(buf_view(&text));
		if (key.n < KEY_BYTES)
			r = err_raise(-EINVAL,
				"the key in '%s' is shorter than %d bytes: remove the file to have "
				"one made",
				path, KEY_BYTES);
		else
			d->bearer_key = secret_new(key);
		if (r == 0 && !d->bearer_key)
			r = err_raise(-ENOMEM, "key: out of memory");
	}
	if (text.data)
		secret_wipe(text.data, text.cap);
	free(path);
	return err_trace(r);
}

int aegisd_prepare(struct aegisd *d)
{
	const struct config_network *network = &d->config->network;
	const char *data = d->config->daemon.data_directory;

	if (sodium_init() < 0)
		return err_raise(-EIO, "libsodium cannot be initialised");
	if (d->no_auth && d->config->daemon.tcp && !config_is_loopback(network->bind_address))
		return err_raise(-EACCES, "--no-auth is accepted on loopback only, not on %s",
			network->bind_address);
	if (asprintf(&d->smcp_keys_path, "%s/smcp-keys", data) < 0 ||
		asprintf(&d->smcp_workspaces_path, "%s/smcp-workspaces", data) < 0)
		return err_raise(-ENOMEM, "smcp: out of memory");
	int r = give_to_daemon(d, data, 0700);
	return r < 0 ? err_trace(r) : err_trace(key_open(d));
}
