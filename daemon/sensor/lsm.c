/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/sensor/lsm_internal.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

static int take_one(void *ctx, void *p, size_t bytes)
{
	struct lsm_sensor *s = ctx;
	if (bytes >= sizeof(struct lsm_denial))
		s->fn(s->ctx, p);
	return 0;
}

int lsm_sensor_new(int maps[LSM_MAPS], lsm_denial_fn fn, void *ctx, struct lsm_sensor **ret)
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
	s->fn = fn;
	s->ctx = ctx;
	s->denials = ring_buffer__new(s->maps[LSM_MAP_DENIALS], take_one, s, NULL);
	if (!s->denials) {
		int r = err_sys(-errno, "read the ring of what the LSM programs deny");
		lsm_sensor_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

struct lsm_sensor *lsm_sensor_free(struct lsm_sensor *s)
{
	if (!s)
		return NULL;
	lsm_policies_orphan(s);
	ring_buffer__free(s->denials);
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
	return ring_buffer__epoll_fd(s->denials);
}

int lsm_sensor_take(struct lsm_sensor *s)
{
	int n = ring_buffer__consume(s->denials);
	return n < 0 ? err_sys(n, "read the ring of what the LSM programs deny") : n;
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
