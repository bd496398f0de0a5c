/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the recording programs saw (bpf/record/record_api.h), read from the maps that the helper
 * loaded. System calls on maps do not wait, so nothing here parks. */
#pragma once

#include "bpf/record/record_api.h"
#include "daemon/base/base.h"

enum { RECORD_SENSOR_BATCH = 4096 }; /* records taken at a time, at most */

struct record_sensor;

/* Takes the descriptors over, also on failure: maps, then links, which it holds. */
int record_sensor_new(int fds[RECORD_MAPS + RECORD_HOOKS], struct record_sensor **ret) MUST_USE;
struct record_sensor *record_sensor_free(struct record_sensor *s); /* NULL */

/* Readable when much has come together; what comes rarely is fetched by the clock. */
int record_sensor_fd(const struct record_sensor *s);

/* The next records, in order, at most RECORD_SENSOR_BATCH; 0: there are none. They lie in the ring
 * until record_sensor_done(), which lets go of all that were returned last: whoever dies in between
 * finds them again, and record_sensor_begun() tells where to look for those that were recorded. */
size_t record_sensor_next(struct record_sensor *s, const struct record_event *const **ret);
void record_sensor_done(struct record_sensor *s);

/* The tool call whose cgroup that is; nil: none that is known. */
struct uuid record_sensor_call(const struct record_sensor *s, uint64_t cgroup);

/* A sandbox's counters; -ENOENT: it is not recorded. */
int record_sensor_counters(
	const struct record_sensor *s, uint64_t cgroup, struct record_agent *ret) MUST_USE;

/* How many of a sandbox's lost records are on record as lost; remembered beside the counters, so
 * that a later daemon does not say it again. */
uint64_t record_sensor_told(const struct record_sensor *s, uint64_t cgroup);
void record_sensor_tell(struct record_sensor *s, uint64_t cgroup, uint64_t lost);

/* Where in its journal the reader stood when it began with the records that the ring begins with;
 * remembered beside the ring. 0: it never began. */
uint64_t record_sensor_begun(const struct record_sensor *s);
void record_sensor_begin(struct record_sensor *s, uint64_t position);

/* Of all kinds. */
uint64_t record_agent_lost(const struct record_agent *a);
uint64_t record_agent_happened(const struct record_agent *a);

const char *record_kind_text(enum record_kind k); /* "fork"; never NULL */
