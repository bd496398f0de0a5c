/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Two files. `key` is the Ed25519 secret. `heads` is a header and one record per journal, the last
 * head with its signature, replaced as a whole before each answer. The heads are made first, so a
 * key without heads means that somebody removed them.
 */
#include "daemon/helper/signer.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADS_MAGIC = 0x41474844, HEADS_VERSION = 1 };

struct heads_file {
	uint32_t magic;
	uint32_t version;
	uint64_t counter;
	uint64_t count;
	struct head_signed heads[HEAD_JOURNALS_MAX];
};

_Static_assert(HEAD_SIGNATURE_BYTES == crypto_sign_BYTES, "Ed25519");
_Static_assert(HEAD_PUBLIC_KEY_BYTES == crypto_sign_PUBLICKEYBYTES, "Ed25519");

struct signer {
	struct secret *key;
	uint8_t public_key[HEAD_PUBLIC_KEY_BYTES];
	struct heads_file file;
	char key_path[LIMIT_PATH_BYTES];
	char heads_path[LIMIT_PATH_BYTES];
};

static size_t file_bytes(const struct heads_file *f)
{
	return offsetof(struct heads_file, heads) + f->count * sizeof(f->heads[0]);
}

static int save(const struct signer *s, const struct heads_file *f)
{
	return err_trace(fd_replace_file(s->heads_path, span_of(f, file_bytes(f)), 0600));
}

/* Root's, and nobody else's to read or write. */
static int check_owner(const char *path)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return err_sys(-errno, "%s", path);
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0)
		return err_raise(-EPERM,
			"%s must be a file of the helper's user with mode 0600; it has owner %u "
			"and mode "
			"%03o",
			path, st.st_uid, st.st_mode & 0777);
	return 0;
}

static int load_heads(struct signer *s)
{
	struct buf b CLEANUP(buf_fini) = buf_init(sizeof(struct heads_file));
	int r = check_owner(s->heads_path);
	if (r == 0)
		r = fd_read_file(s->heads_path, &b);
	if (r < 0)
		return err_trace(r);
	memcpy(&s->file, b.data, b.len);
	const struct heads_file *f = &s->file;
	if (b.len < offsetof(struct heads_file, heads) || f->magic != HEADS_MAGIC ||
		f->version != HEADS_VERSION || f->count > HEAD_JOURNALS_MAX ||
		b.len != file_bytes(f))
		return err_raise(-EINVAL, "%s is damaged: restore it from a backup", s->heads_path);
	return 0;
}

static int load_key(struct signer *s)
{
	struct buf b CLEANUP(buf_fini) = buf_init(crypto_sign_SECRETKEYBYTES);
	int r = check_owner(s->key_path);
	if (r == 0)
		r = fd_read_file(s->key_path, &b);
	if (r < 0)
		return err_trace(r);
	if (b.len != crypto_sign_SECRETKEYBYTES)
		return err_raise(-EINVAL, "%s has %zu bytes, not %u", s->key_path, b.len,
			crypto_sign_SECRETKEYBYTES);
	crypto_sign_ed25519_sk_to_pk(s->public_key, (const uint8_t *)b.data);
	s->key = secret_new(buf_view(&b));
	secret_wipe(b.data, b.len);
	return s->key ? 0 : err_raise(-ENOMEM, "no memory for the audit key");
}

static int make_key(const struct signer *s)
{
	uint8_t public_key[crypto_sign_PUBLICKEYBYTES];
	uint8_t key[crypto_sign_SECRETKEYBYTES];
	crypto_sign_keypair(public_key, key);
	int r = fd_replace_file(s->key_path, span_of(key, sizeof(key)), 0600);
	secret_wipe(key, sizeof(key));
	return err_trace(r);
}

static bool absent(const char *path)
{
	return access(path, F_OK) < 0 && errno == ENOENT;
}

static int open_files(struct signer *s)
{
	int r = 0;
	if (absent(s->key_path)) {
		s->file = (struct heads_file){.magic = HEADS_MAGIC, .version = HEADS_VERSION};
		/* Heads without a key can only be empty ones, of a start that was cut short. */
		r = save(s, &s->file);
		if (r == 0)
			r = make_key(s);
	} else if (absent(s->heads_path)) {
		return err_raise(-ENOENT,
			"%s is missing although there is a key: with the key alone a head could be "
			"signed twice; restore it, or remove the key to begin a new one",
			s->heads_path);
	}
	if (r == 0)
		r = load_heads(s);
	if (r == 0)
		r = load_key(s);
	return err_trace(r);
}

int signer_open(const char *state_dir, struct signer **ret)
{
	if (sodium_init() < 0)
		return err_raise(-EIO, "libsodium cannot start");
	struct signer *s = calloc(1, sizeof(*s));
	if (!s)
		return err_raise(-ENOMEM, "no memory for the audit signer");
	snprintf(s->key_path, sizeof(s->key_path), "%s/helper/key", state_dir);
	snprintf(s->heads_path, sizeof(s->heads_path), "%s/helper/heads", state_dir);
	int r = open_files(s);
	if (r < 0) {
		signer_close(s);
		return err_trace(r);
	}
	*ret = s;
	return 0;
}

struct signer *signer_close(struct signer *s)
{
	if (s)
		secret_free(s->key);
	free(s);
	return NULL;
}

const uint8_t *signer_public_key(const struct signer *s)
{
	return s->public_key;
}

const struct head_signed *signer_last(const struct signer *s, struct uuid journal)
{
	for (size_t i = 0; i < s->file.count; i++) {
		if (uuid_eq(s->file.heads[i].head.journal, journal))
			return &s->file.heads[i];
	}
	return NULL;
}

static bool same_head(const struct head *a, const struct head *b)
{
	return uuid_eq(a->journal, b->journal) && a->segment == b->segment &&
		a->record == b->record && memcmp(a->hash, b->hash, sizeof(a->hash)) == 0 &&
		memcmp(a->previous, b->previous, sizeof(a->previous)) == 0;
}

static bool extends(const struct head *head, const struct head *last)
{
	static const uint8_t none[HEAD_HASH_BYTES];
	if (!last)
		return memcmp(head->previous, none, sizeof(none)) == 0;
	return head->record > last->record && head->segment >= last->segment &&
		memcmp(head->previous, last->hash, sizeof(last->hash)) == 0;
}

int signer_sign(struct signer *s, const struct head *head, struct head_signed *ret)
{
	const struct head_signed *last = signer_last(s, head->journal);
	if (last && same_head(head, &last->head)) {
		*ret = *last;
		return 0;
	}
	if (!extends(head, last ? &last->head : NULL))
		return err_raise(-ESTALE, "the head does not extend the last one that was signed");
	if (!last && s->file.count == HEAD_JOURNALS_MAX)
		return err_raise(
			-ENOSPC, "heads of %d journals are kept already", HEAD_JOURNALS_MAX);
	struct heads_file *next = malloc(sizeof(*next));
	if (!next)
		return err_raise(-ENOMEM, "no memory to sign a head");
	*next = s->file;
	struct head_signed *to =
		&next->heads[last ? (size_t)(last - s->file.heads) : next->count++];
	uint8_t statement[HEAD_STATEMENT_BYTES];
	next->counter++;
	*to = (struct head_signed){.head = *head, .counter = next->counter};
	head_statement(head, next->counter, statement);
	crypto_sign_detached(to->signature, NULL, statement, sizeof(statement),
		(const uint8_t *)secret_reveal(s->key).p);
	int r = save(s, next);
	if (r == 0) {
		s->file = *next;
		*ret = *to;
	}
	free(next);
	return err_wrap(r, "keep the signed head");
}
