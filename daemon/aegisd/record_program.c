/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * What executed files hold. The kernel says which file it was, by device and inode; its bytes are
 * read here, after the fact, from the place of the host that has the same path: programs of a
 * runtime are the host's own files. A file that is not the very one that was executed is not
 * hashed, so what an agent wrote and ran has no hash, and the record says none.
 *
 * The path comes from an agent, so it is looked at without opening anything (O_PATH) first.
 */
#include "daemon/aegisd/aegisd.h"
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { PIECE_BYTES = 256 * 1024, HASH_MS = 10000 };

/* A hash is believed for so long; then the file is read again. */
#define TRUST_NS (60 * NS_PER_S)

struct job {
	char path[sizeof(((struct record_exec *)0)->path)];
	uint32_t device;
	uint64_t inode;
	uint8_t hash[RECORD_HASH_BYTES];
};

static int open_program(const struct job *j, int *ret_fd)
{
	char again[64];
	struct stat st;
	AUTO_FD place = open(j->path, O_PATH | O_CLOEXEC);

	if (place < 0 || fstat(place, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_ino != j->inode || st.st_size > LIMIT_PROGRAM_BYTES ||
		lsm_device(major(st.st_dev), minor(st.st_dev)) != j->device)
		return -ESTALE;
	snprintf(again, sizeof(again), "/proc/self/fd/%d", place);
	*ret_fd = open(again, O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0 ? -errno : 0;
}

/* On an offload thread. That there is no such file here is no error to be told of. */
static int hash_program(void *arg)
{
	struct job *j = arg;
	crypto_generichash_state state;
	ssize_t n = -1;
	AUTO_FD fd = -1;
	int r = open_program(j, &fd);
	uint8_t *piece = r == 0 ? malloc(PIECE_BYTES) : NULL;

	if (r == 0 && !piece)
		r = -ENOMEM;
	crypto_generichash_init(&state, NULL, 0, sizeof(j->hash));
	while (r == 0 && (n = read(fd, piece, PIECE_BYTES)) > 0)
		crypto_generichash_update(&state, piece, (size_t)n);
	if (r == 0 && n < 0)
		r = -errno;
	crypto_generichash_final(&state, j->hash, sizeof(j->hash));
	free(piece);
	return r;
}

static struct record_hash *find(struct recorder *r, uint32_t device, uint64_t inode)
{
	for (size_t i = 0; i < RECORD_HASHES; i++)
		if (r->hashes[i].inode == inode && r->hashes[i].device == device)
			return &r->hashes[i];
	return NULL;
}

static AWAITS void learn(struct recorder *r, const struct record_exec *e)
{
	struct record_hash *h = find(r, e->device, e->inode);
	struct job j = {.device = e->device, .inode = e->inode};

	if (h && rt_now_ns() - h->looked_ns < TRUST_NS)
		return;
	memcpy(j.path, e->path, sizeof(j.path) - 1);
	int bad = j.path[0] == '/'
		? offload_call(r->files, hash_program, &j, deadline_in_ms(HASH_MS))
		: -ESTALE;
	err_clear();
	if (!h)
		h = &r->hashes[r->next_hash++ % RECORD_HASHES];
	*h = (struct record_hash){.device = j.device,
		.inode = j.inode,
		.looked_ns = rt_now_ns(),
		.read_ns = rt_wall_ns(),
		.known = bad == 0};
	memcpy(h->hash, j.hash, sizeof(h->hash));
}

void record_programs_learn(
	struct recorder *r, const struct record_event *const *events, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (events[i]->kind == RECORD_EXEC)
			learn(r, (const struct record_exec *)events[i]);
}

const struct record_hash *record_program_hash(struct recorder *r, const struct record_exec *e)
{
	const struct record_hash *h = find(r, e->device, e->inode);
	return h && h->known ? h : NULL;
}
