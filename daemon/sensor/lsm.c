/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/sensor/lsm_internal.h"
#include <bpf/bpf.h>
#include <stdlib.h>

int lsm_sensor_new(int maps[LSM_MAPS], struct lsm_sensor **ret)
{
	struct lsm_sensor *s = calloc(1, sizeof(*s));

	if (!s) {
		for (int i = 0; i < LSM_MAPS; i++)
			fd_cleanup(&maps[i]);
		return err_raise(-ENOMEM, "no memory for what the LSM programs deny");
	}
	for (int i = 0; i < LSM_MAPS; i++)
		s->maps[i] = TAKE_FD(maps[i]);
	list_init(&s->policies);
	list_init(&s->retired);
	int r = sensor_ring_open(&s->denials, s->maps[LSM_MAP_DENIALS]);
	if (r < 0) {
		lsm_sensor_free(s);
		return err_trace(r);
	}
	*ret = s;
	return 0;
}

struct lsm_sensor *lsm_sensor_free(struct lsm_sensor *s)
{
	if (!s)
		return NULL;
	lsm_policies_orphan(s);
	sensor_ring_close(&s->denials);
	for (int i = 0; i < LSM_MAPS; i++)
		fd_cleanup(&s->maps[i]);
	free(s);
	return NULL;
}

static uint32_t map_id(int fd)
{
	struct bpf_map_info info = {0};
	uint32_t bytes = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &bytes) == 0 ? info.id : 0;
}

bool lsm_sensor_has_maps(const struct lsm_sensor *s, const int maps[LSM_MAPS])
{
	uint32_t id = map_id(s->maps[LSM_MAP_AGENTS]);
	return id != 0 && id == map_id(maps[LSM_MAP_AGENTS]);
}

int lsm_sensor_fd(const struct lsm_sensor *s)
{
	return s->denials.epoll;
}

size_t lsm_sensor_next(struct lsm_sensor *s, const struct lsm_denial *const **ret)
{
	size_t n = sensor_ring_next(&s->denials);

	*ret = (const struct lsm_denial *const *)(const void *)s->denials.records;
	return n;
}

void lsm_sensor_done(struct lsm_sensor *s)
{
	sensor_ring_done(&s->denials);
}

size_t lsm_sensor_losses(const struct lsm_sensor *s, struct sensor_loss *ret, size_t room)
{
	return sensor_losses_of(s->maps[LSM_MAP_LOSSES], ret, room);
}

void lsm_sensor_loss_told(struct lsm_sensor *s, const struct sensor_loss *l)
{
	sensor_loss_told_of(s->maps[LSM_MAP_LOSSES], l);
}

void lsm_sensor_loss_forget(struct lsm_sensor *s, uint64_t cgroup)
{
	sensor_loss_forget_of(s->maps[LSM_MAP_LOSSES], cgroup);
}

const char *lsm_verdict_text(enum lsm_verdict v)
{
	switch (v) {
	case LSM_ALLOW:
		return "allowed";
	case LSM_DENY_UNKNOWN_AGENT:
		return "the sandbox is unknown";
	case LSM_DENY_RULE:
		return "a rule forbids this file";
	case LSM_DENY_UNLISTED:
		return "a program that is not on the list";
	case LSM_DENY_FILESYSTEM:
		return "a file system that steers the kernel";
	case LSM_DENY_SOCKET:
		return "a kind of socket that no rule can speak of";
	case LSM_DENY_ACT:
		return "what no agent ever does";
	case LSM_DENY_LEFT:
		return "it left the cgroup of its sandbox";
	case LSM_VERDICTS:
		break;
	}
	return "unknown";
}

const char *lsm_hook_text(enum lsm_hook h)
{
	switch (h) {
	case LSM_HOOK_EXEC:
		return "exec";
	case LSM_HOOK_OPEN:
		return "open";
	case LSM_HOOK_SOCKET:
		return "socket";
	case LSM_HOOK_MOUNT:
		return "mount";
	case LSM_HOOK_MOVE_MOUNT:
		return "move_mount";
	case LSM_HOOK_PTRACE:
		return "ptrace";
	case LSM_HOOK_BPF:
		return "bpf";
	case LSM_HOOK_MODULE:
		return "kernel module";
	case LSM_HOOK_KEY:
		return "key";
	case LSM_HOOK_USERNS:
		return "user namespace";
	case LSM_HOOK_LEAVE:
		return "cgroup";
	case LSM_HOOKS:
	case LSM_HOOK_SLOTS:
		break;
	}
	return "unknown";
}
