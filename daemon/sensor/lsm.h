/* SPDX-License-Identifier: AGPL-3.0-only */
/* What the LSM programs denied (bpf/lsm/lsm_api.h), read from the maps that the helper loaded. */
#pragma once

#include "bpf/lsm/lsm_api.h"
#include "daemon/base/base.h"

struct lsm_sensor;

typedef void (*lsm_denial_fn)(void *ctx, const struct lsm_denial *d);

/* Takes the descriptors of the maps over, also on failure. */
int lsm_sensor_new(
	int maps[LSM_MAPS], lsm_denial_fn fn, void *ctx, struct lsm_sensor **ret) MUST_USE;
struct lsm_sensor *lsm_sensor_free(struct lsm_sensor *s); /* NULL; nothing changes in the kernel */

/* Readable when there are some; each is given to fn by lsm_sensor_take(), which says how many. */
int lsm_sensor_fd(const struct lsm_sensor *s);
int lsm_sensor_take(struct lsm_sensor *s) MUST_USE;

/* For records: why it was denied, and where ("open"). Never NULL. */
const char *lsm_verdict_text(enum lsm_verdict v);
const char *lsm_hook_text(enum lsm_hook h);
