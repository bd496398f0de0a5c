/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The layout is the kernel's ABI: a page that says how far the reader is, a page that says how far
 * the kernel is, and the ring twice, so that no record is ever in two pieces; each record has its
 * length with two flags before it.
 */
#include "daemon/sensor/ring.h"
#include "bpf/net/net_api.h"
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HEADER_BYTES = BPF_RINGBUF_HDR_SZ };

int sensor_ring_open(struct sensor_ring *r, int map)
{
	/* One wake-up is one readiness: what comes without one is fetched by the clock. */
	struct epoll_event e = {.events = EPOLLIN | EPOLLET};

	struct bpf_map_info info = {0};
	uint32_t info_bytes = sizeof(info);

	*r = (struct sensor_ring){.epoll = epoll_create1(EPOLL_CLOEXEC)};
	if (bpf_obj_get_info_by_fd(map, &info, &info_bytes) < 0)
		return err_sys(-errno, "ask about a ring of the kernel");
	r->bytes = info.max_entries;
	r->page = (size_t)sysconf(_SC_PAGESIZE);
	if (r->epoll < 0 || epoll_ctl(r->epoll, EPOLL_CTL_ADD, map, &e) < 0)
		return err_sys(-errno, "watch a ring of the kernel");
	void *reader = mmap(NULL, r->page, PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
	if (reader == MAP_FAILED)
		return err_sys(-errno, "map a ring of the kernel");
	r->reader = reader;
	void *kernel =
		mmap(NULL, r->page + 2 * r->bytes, PROT_READ, MAP_SHARED, map, (off_t)r->page);
	if (kernel == MAP_FAILED)
		return err_sys(-errno, "map a ring of the kernel");
	r->kernel = kernel;
	return 0;
}

void sensor_ring_close(struct sensor_ring *r)
{
	if (r->reader)
		munmap(r->reader, r->page);
	if (r->kernel)
		munmap((void *)(uintptr_t)r->kernel, r->page + 2 * r->bytes);
	r->reader = NULL;
	r->kernel = NULL;
	fd_cleanup(&r->epoll);
}

size_t sensor_ring_next(struct sensor_ring *r)
{
	const char *ring = (const char *)r->kernel + r->page;
	struct epoll_event e;
	size_t count = 0;

	(void)!epoll_wait(r->epoll, &e, 1, 0);
	r->next = *r->reader;
	unsigned long end = __atomic_load_n(r->kernel, __ATOMIC_ACQUIRE);
	while (r->next < end && count < SENSOR_RING_BATCH) {
		const char *header = ring + (r->next & (r->bytes - 1));
		uint32_t length =
			__atomic_load_n((const uint32_t *)(const void *)header, __ATOMIC_ACQUIRE);
		if (length & BPF_RINGBUF_BUSY_BIT)
			break; /* a CPU is writing it this moment */
		if (!(length & BPF_RINGBUF_DISCARD_BIT))
			r->records[count++] = header + HEADER_BYTES;
		length &= ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
		r->next += (length + HEADER_BYTES + 7UL) & ~7UL;
	}
	return count;
}

void sensor_ring_done(struct sensor_ring *r)
{
	__atomic_store_n(r->reader, r->next, __ATOMIC_RELEASE);
}

/* ---- what it had no room for ---- */

/* Key of net_tallies and of lsm_losses, where 0 is lost and 1 is told. */
struct loss_key {
	uint64_t cgroup;
	uint32_t which;
	uint32_t unused;
};

size_t sensor_losses_of(int map, struct sensor_loss *ret, size_t room)
{
	struct loss_key key, next;
	const struct loss_key *at = NULL;
	size_t n = 0;

	while (n < room && bpf_map_get_next_key(map, at, &next) == 0) {
		uint64_t lost, told = 0;
		key = next;
		at = &key;
		if (key.which || bpf_map_lookup_elem(map, &key, &lost) < 0)
			continue;
		struct loss_key other = {.cgroup = key.cgroup, .which = 1};
		(void)!bpf_map_lookup_elem(map, &other, &told);
		if (lost > told)
			ret[n++] = (struct sensor_loss){key.cgroup, lost - told, lost};
	}
	return n;
}

void sensor_loss_told_of(int map, const struct sensor_loss *l)
{
	struct loss_key key = {.cgroup = l->cgroup, .which = 1};
	(void)bpf_map_update_elem(map, &key, &l->total, BPF_ANY);
}

void sensor_loss_forget_of(int map, uint64_t cgroup)
{
	for (uint32_t which = 0; which < NET_TALLIES; which++) {
		struct loss_key key = {.cgroup = cgroup, .which = which};
		(void)bpf_map_delete_elem(map, &key);
	}
}
