/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/sensor/record.h"
#include "bpf/record/record_logic.h"
#include "daemon/sensor/ring.h"
#include <bpf/bpf.h>
#include <stdlib.h>
#include <string.h>

struct record_sensor {
	int fds[RECORD_MAPS + RECORD_HOOKS];
	struct sensor_ring ring;
};

_Static_assert((int)RECORD_SENSOR_BATCH == (int)SENSOR_RING_BATCH, "the batch is the ring's");

int record_sensor_new(int fds[RECORD_MAPS + RECORD_HOOKS], struct record_sensor **ret)
{
	struct record_sensor *s = calloc(1, sizeof(*s));

	if (!s) {
		for (int i = 0; i < RECORD_MAPS + RECORD_HOOKS; i++)
			fd_cleanup(&fds[i]);
		return err_raise(-ENOMEM, "no memory for what sandboxes do");
	}
	for (int i = 0; i < RECORD_MAPS + RECORD_HOOKS; i++)
		s->fds[i] = TAKE_FD(fds[i]);
	int r = sensor_ring_open(&s->ring, s->fds[RECORD_MAP_RING]);
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
	sensor_ring_close(&s->ring);
	for (int i = 0; i < RECORD_MAPS + RECORD_HOOKS; i++)
		fd_cleanup(&s->fds[i]);
	free(s);
	return NULL;
}

int record_sensor_fd(const struct record_sensor *s)
{
	return s->ring.epoll;
}

size_t record_sensor_next(struct record_sensor *s, const struct record_event *const **ret)
{
	size_t n = sensor_ring_next(&s->ring);

	*ret = (const struct record_event *const *)(const void *)s->ring.records;
	return n;
}

void record_sensor_done(struct record_sensor *s)
{
	sensor_ring_done(&s->ring);
}

struct uuid record_sensor_call(const struct record_sensor *s, uint64_t cgroup)
{
	struct record_call entry;
	struct uuid call = {{0}};

	if (bpf_map_lookup_elem(s->fds[RECORD_MAP_CALLS], &cgroup, &entry) == 0)
		memcpy(call.bytes, entry.call, sizeof(call.bytes));
	return call;
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

uint64_t record_sensor_begun(const struct record_sensor *s)
{
	return record_sensor_told(s, RECORD_TOLD_BEGUN);
}

void record_sensor_begin(struct record_sensor *s, uint64_t position)
{
	record_sensor_tell(s, RECORD_TOLD_BEGUN, position);
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
	case RECORD_REQUEST:
		return "request";
	case RECORD_KINDS:
	case RECORD_KIND_SLOTS:
		break;
	}
	return "unknown";
}
