/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The ring is read where it lies, and its room is given back when the records are safe elsewhere:
 * libbpf's reader gives it back before. The layout is the kernel's ABI: a page that says how far
 * the reader is, a page that says how far the kernel is, and the ring twice, so that no record is
 * ever in two pieces; each has a length with two flags before it.
 */
#include "daemon/sensor/record.h"
#include "bpf/record/record_logic.h"
#include <bpf/bpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

enum { HEADER_BYTES = BPF_RINGBUF_HDR_SZ };

struct record_sensor {
	int fds[RECORD_MAPS + RECORD_HOOKS];
	int epoll;
	size_t page;
	unsigned long *reader; /* bytes let go of since the ring was made */
	const unsigned long *kernel; /* bytes written; the ring begins on the next page */
	unsigned long next; /* where `reader` will be */
	const struct record_event *events[RECORD_SENSOR_BATCH];
};

static int map_ring(struct record_sensor *s)
{
	int fd = s->fds[RECORD_MAP_RING];

	s->page = (size_t)sysconf(_SC_PAGESIZE);
	void *reader = mmap(NULL, s->page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (reader == MAP_FAILED)
		return err_sys(-errno, "map the ring of what sandboxes do");
	s->reader = reader;
	void *kernel = mmap(NULL, s->page + 2 * (size_t)RECORD_RING_BYTES, PROT_READ, MAP_SHARED,
		fd, (off_t)s->page);
	if (kernel == MAP_FAILED)
		return err_sys(-errno, "map the ring of what sandboxes do");
	s->kernel = kernel;
	return 0;
}

/* One wake-up is one readiness: what lies there anyway is fetched by the clock. */
static int watch_ring(struct record_sensor *s)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLET};

	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s->epoll < 0 || epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->fds[RECORD_MAP_RING], &e) < 0)
		return err_sys(-errno, "watch the ring of what sandboxes do");
	return 0;
}

int record_sensor_new(int fds[RECORD_MAPS + RECORD_HOOKS], struct record_sensor **ret)
{
	struct record_sensor *s = calloc(1, sizeof(*s));

	if (!s) {
		for (int i = 0; i < RECORD_MAPS + RECORD_HOOKS; i++)
			fd_cleanup(&fds[i]);
		return err_raise(-ENOMEM, "no memory for what sandboxes do");
	}
	s->epoll = -1;
	for (int i = 0; i < RECORD_MAPS + RECORD_HOOKS; i++)
		s->fds[i] = TAKE_FD(fds[i]);
	int r = map_ring(s);
	if (r == 0)
		r = watch_ring(s);
	if (r < 0) {
		record_sensor_free(s);
		return err_trace(r);
	}
	*ret = s;
	return 0;
}

struct record_sensor *record_sensor_free(struct record_sensor *s)
{
	if (!s)
		return NULL;
	if (s->reader)
		munmap(s->reader, s->page);
	if (s->kernel)
		munmap((void *)(uintptr_t)s->kernel, s->page + 2 * (size_t)RECORD_RING_BYTES);
	fd_cleanup(&s->epoll);
	for (int i = 0; i < RECORD_MAPS + RECORD_HOOKS; i++)
		fd_cleanup(&s->fds[i]);
	free(s);
	return NULL;
}

int record_sensor_fd(const struct record_sensor *s)
{
	return s->epoll;
}

size_t record_sensor_next(struct record_sensor *s, const struct record_event *const **ret)
{
	const char *ring = (const char *)s->kernel + s->page;
	struct epoll_event e;
	size_t count = 0;

	(void)!epoll_wait(s->epoll, &e, 1, 0);
	s->next = *s->reader;
	unsigned long end = __atomic_load_n(s->kernel, __ATOMIC_ACQUIRE);
	while (s->next < end && count < RECORD_SENSOR_BATCH) {
		const char *header = ring + (s->next & (RECORD_RING_BYTES - 1));
		uint32_t length =
			__atomic_load_n((const uint32_t *)(const void *)header, __ATOMIC_ACQUIRE);
		if (length & BPF_RINGBUF_BUSY_BIT)
			break; /* a CPU is writing it this moment */
		if (!(length & BPF_RINGBUF_DISCARD_BIT))
			s->events[count++] =
				(const struct record_event *)(const void *)(header + HEADER_BYTES);
		length &= ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
		s->next += (length + HEADER_BYTES + 7UL) & ~7UL;
	}
	*ret = s->events;
	return count;
}

void record_sensor_done(struct record_sensor *s)
{
	__atomic_store_n(s->reader, s->next, __ATOMIC_RELEASE);
}

int record_sensor_counters(const struct record_sensor *s, uint64_t cgroup, struct record_agent *ret)
{
	int r = bpf_map_lookup_elem(s->fds[RECORD_MAP_AGENTS], &cgroup, ret);
	return r < 0 ? err_sys(r, "counters of a sandbox") : 0;
}

uint64_t record_sensor_told(const struct record_sensor *s, uint64_t cgroup)
{
	uint64_t told;
	return bpf_map_lookup_elem(s->fds[RECORD_MAP_TOLD], &cgroup, &told) == 0 ? told : 0;
}

void record_sensor_tell(struct record_sensor *s, uint64_t cgroup, uint64_t lost)
{
	(void)bpf_map_update_elem(s->fds[RECORD_MAP_TOLD], &cgroup, &lost, BPF_ANY);
}

uint64_t record_agent_lost(const struct record_agent *a)
{
	uint64_t n = 0;
	for (size_t i = 0; i < RECORD_KIND_SLOTS; i++)
		n += record_lost(&a->count[i]);
	return n;
}

uint64_t record_agent_happened(const struct record_agent *a)
{
	uint64_t n = 0;
	for (size_t i = 0; i < RECORD_KIND_SLOTS; i++)
		n += a->count[i].happened;
	return n;
}

const char *record_kind_text(enum record_kind k)
{
	switch (k) {
	case RECORD_FORK:
		return "fork";
	case RECORD_EXEC:
		return "exec";
	case RECORD_EXIT:
		return "exit";
	case RECORD_RING:
		return "ring";
	case RECORD_KINDS:
	case RECORD_KIND_SLOTS:
		break;
	}
	return "unknown";
}
