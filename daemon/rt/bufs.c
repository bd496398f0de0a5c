/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Buffers that the worker has given to the kernel in advance. A multishot receive takes one only
 * when data has come, so that idle connections hold no memory. A buffer in our hands is counted
 * as out; streams give it back as soon as its bytes are consumed or copied.
 */
#include "daemon/rt/sanitize.h"
#include <errno.h>
#include <sys/mman.h>

static size_t ring_bytes(void)
{
	return BUFS_COUNT * sizeof(struct io_uring_buf);
}

static int map_memory(struct bufs *b)
{
	size_t bytes = ring_bytes() + (size_t)BUFS_COUNT * BUFS_BYTES;
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return err_sys(-errno, "map %zu bytes of receive buffers", bytes);
	b->ring = (struct io_uring_buf_ring *)(void *)p;
	b->memory = p + ring_bytes();
	return 0;
}

static int register_ring(struct worker *w)
{
	struct io_uring_buf_reg reg = {
		.ring_addr = (uintptr_t)w->bufs.ring,
		.ring_entries = BUFS_COUNT,
		.bgid = BUFS_GROUP,
	};
	int r = io_uring_register_buf_ring(&w->ring.uring, &reg, 0);
	return r < 0 ? err_sys(r, "register the ring of receive buffers") : 0;
}

int bufs_init(struct worker *w)
{
	struct bufs *b = &w->bufs;
	int r = map_memory(b);
	if (r < 0)
		return err_trace(r);
	io_uring_buf_ring_init(b->ring);
	if (!w->backend)
		r = register_ring(w);
	b->out = BUFS_COUNT;
	for (int i = 0; i < BUFS_COUNT; i++)
		bufs_put(b, i);
	return r;
}

void bufs_fini(struct worker *w)
{
	struct bufs *b = &w->bufs;
	if (!b->ring)
		return;
	CHECK(b->out == 0);
	ASAN_UNPOISON_MEMORY_REGION(b->memory, (size_t)BUFS_COUNT * BUFS_BYTES);
	munmap(b->ring, ring_bytes() + (size_t)BUFS_COUNT * BUFS_BYTES);
	*b = (struct bufs){0};
}

char *bufs_take(struct bufs *b, unsigned flags, size_t n, int *ret_id)
{
	CHECK(flags & IORING_CQE_F_BUFFER);
	int id = (int)(flags >> IORING_CQE_BUFFER_SHIFT);
	CHECK(id < BUFS_COUNT && n <= BUFS_BYTES);
	b->out++;
	char *p = b->memory + (size_t)id * BUFS_BYTES;
	ASAN_UNPOISON_MEMORY_REGION(p, n);
	sanitize_filled(p, (ssize_t)n);
	*ret_id = id;
	return p;
}

void bufs_put(struct bufs *b, int id)
{
	char *p = b->memory + (size_t)id * BUFS_BYTES;
	/* Whoever looks at bytes after consuming them shall be caught. */
	ASAN_POISON_MEMORY_REGION(p, BUFS_BYTES);
	b->out--;
	io_uring_buf_ring_add(
		b->ring, p, BUFS_BYTES, (unsigned short)id, io_uring_buf_ring_mask(BUFS_COUNT), 0);
	io_uring_buf_ring_advance(b->ring, 1);
}
