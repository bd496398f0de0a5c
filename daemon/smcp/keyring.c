/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The signing keys on disk: one file per key, named by the second it was made and its algorithm
 * ("1771338721-EdDSA.pem"), readable by its owner only. A key is replaced when its life is over;
 * the old one verifies for a day more, so that nobody who holds a token notices. A key of the
 * operator's own counts as the newest of its kind. Blocking.
 */
#include "daemon/smcp/internal.h"
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_FILE_BYTES = 16 * 1024, PATH_BYTES = 1024 };

/* When the operator's own key was made: never over. */
static const int64_t OWN_KEY_S = INT64_MAX / 2;

static const enum smcp_algorithm algorithms[] = {SMCP_EDDSA, SMCP_RS256};

void keyring_fini(struct keyring *r)
{
	for (size_t i = 0; i < r->count; i++)
		smcp_key_free(r->keys[i]);
	r->count = 0;
}

const struct smcp_key *keyring_newest(const struct keyring *r, enum smcp_algorithm a)
{
	for (size_t i = r->count; i-- > 0;)
		if (smcp_key_algorithm(r->keys[i]) == a)
			return r->keys[i];
	return NULL;
}

static void file_name(char *path, const char *directory, int64_t made_s, enum smcp_algorithm a)
{
	snprintf(path, PATH_BYTES, "%s/%lld-%s.pem", directory, (long long)made_s,
		smcp_algorithm_name(a));
}

/* "1771338721-EdDSA.pem"; false for files that are none of ours. */
static bool name_parse(const char *name, int64_t *ret_made_s)
{
	struct span s = span_cstr(name);
	ssize_t dash = span_find_byte(s, '-', 0);

	return dash > 0 && span_ends(s, SPAN(".pem")) &&
		span_to_i64(span_sub(s, 0, (size_t)dash), ret_made_s) == 0;
}

static int key_read(const char *path, struct smcp_key **ret)
{
	struct buf text CLEANUP(buf_fini) = buf_init(KEY_FILE_BYTES);
	struct stat st;

	if (lstat(path, &st) < 0)
		return err_sys(-errno, "stat '%s'", path);
	if (!S_ISREG(st.st_mode) || (st.st_mode & 077))
		return err_raise(-EPERM,
			"'%s' must be a file that only its owner can read: chmod 600", path);
	int r = fd_read_file(path, &text);
	if (r == 0)
		r = smcp_key_from_private(buf_view(&text), ret);
	if (text.data)
		secret_wipe(text.data, text.cap);
	return r < 0 ? err_wrap(r, "%s", path) : 0;
}

/* Keeps the order by age. Takes the key, also on failure. */
static int keyring_add(struct keyring *r, struct smcp_key *k, int64_t made_s)
{
	size_t at = r->count;

	if (r->count == LIMIT_SMCP_KEYS) {
		smcp_key_free(k);
		return err_raise(-ENOSPC, "at most %d signing keys are accepted: remove old files",
			LIMIT_SMCP_KEYS);
	}
	for (; at > 0 && r->made_s[at - 1] > made_s; at--) {
		r->keys[at] = r->keys[at - 1];
		r->made_s[at] = r->made_s[at - 1];
	}
	r->keys[at] = k;
	r->made_s[at] = made_s;
	r->count++;
	return 0;
}

static int keyring_read(struct keyring_errand *e)
{
	DIR *d = opendir(e->directory);
	struct dirent *entry;
	int r = 0;

	if (!d)
		return err_sys(-errno, "open '%s'", e->directory);
	while (r == 0 && (entry = readdir(d))) {
		char path[PATH_BYTES + sizeof(entry->d_name)];
		struct smcp_key *k;
		int64_t made_s;
		if (!name_parse(entry->d_name, &made_s))
			continue;
		snprintf(path, sizeof(path), "%s/%s", e->directory, entry->d_name);
		r = key_read(path, &k);
		if (r == 0)
			r = keyring_add(&e->ring, k, made_s);
	}
	closedir(d);
	return err_trace(r);
}

static int own_key_read(struct keyring_errand *e)
{
	struct smcp_key *k;

	if (!e->own_key_path)
		return 0;
	int r = key_read(e->own_key_path, &k);
	return r < 0 ? err_trace(r) : err_trace(keyring_add(&e->ring, k, OWN_KEY_S));
}

static int key_make(struct keyring_errand *e, enum smcp_algorithm a)
{
	struct secret *pem = NULL;
	struct smcp_key *k = NULL;
	char path[PATH_BYTES];

	file_name(path, e->directory, e->now_s, a);
	int r = smcp_key_generate(a, &k);
	if (r == 0)
		r = smcp_key_private(k, &pem);
	if (r == 0)
		r = fd_replace_file(path, secret_reveal(pem), 0600);
	secret_free(pem);
	if (r < 0) {
		smcp_key_free(k);
		return err_trace(r);
	}
	log_info("smcp: made a signing key: %s", path);
	return err_trace(keyring_add(&e->ring, k, e->now_s));
}

static int64_t newest_s(const struct keyring *r, enum smcp_algorithm a)
{
	int64_t newest = INT64_MIN;

	for (size_t i = 0; i < r->count; i++)
		if (smcp_key_algorithm(r->keys[i]) == a)
			newest = r->made_s[i];
	return newest;
}

/* When the key was replaced by the next one of its kind, or INT64_MAX. */
static int64_t replaced_s(const struct keyring *r, size_t index)
{
	for (size_t i = index + 1; i < r->count; i++)
		if (smcp_key_algorithm(r->keys[i]) == smcp_key_algorithm(r->keys[index]))
			return r->made_s[i];
	return INT64_MAX;
}

static void prune(struct keyring_errand *e)
{
	struct keyring kept = {.count = 0};

	for (size_t i = 0; i < e->ring.count; i++) {
		struct smcp_key *k = e->ring.keys[i];
		int64_t since_s = replaced_s(&e->ring, i);
		if (since_s == INT64_MAX || since_s + KEY_GRACE_S > e->now_s) {
			kept.keys[kept.count] = k;
			kept.made_s[kept.count++] = e->ring.made_s[i];
			continue;
		}
		char path[PATH_BYTES];
		file_name(path, e->directory, e->ring.made_s[i], smcp_key_algorithm(k));
		if (unlink(path) < 0 && errno != ENOENT)
			log_warn("smcp: cannot remove '%s': %s", path, strerror(errno));
	}
	for (size_t i = 0; i < e->ring.count; i++) {
		bool is_kept = false;
		for (size_t j = 0; j < kept.count; j++)
			is_kept |= kept.keys[j] == e->ring.keys[i];
		if (!is_kept)
			smcp_key_free(e->ring.keys[i]);
	}
	e->ring = kept;
}

int keyring_refresh(void *keyring_errand)
{
	struct keyring_errand *e = keyring_errand;

	e->ring.count = 0;
	int r = fd_make_dirs(e->directory, 0700);
	if (r == 0)
		r = keyring_read(e);
	if (r == 0)
		r = own_key_read(e);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(algorithms); i++) {
		int64_t made_s = newest_s(&e->ring, algorithms[i]);
		if (made_s == INT64_MIN || (made_s < OWN_KEY_S && made_s + e->life_s <= e->now_s))
			r = key_make(e, algorithms[i]);
	}
	if (r < 0) {
		keyring_fini(&e->ring);
		return err_trace(r);
	}
	prune(e);
	return 0;
}
