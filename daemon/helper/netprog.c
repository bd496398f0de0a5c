/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/helper/netprog.h"
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

extern const unsigned char net_object[], net_object_end[];

static const char *const map_names[NET_MAPS] = {
	[NET_MAP_AGENTS] = "net_agents",
	[NET_MAP_PREFIXES] = "net_prefixes",
	[NET_MAP_NAMES] = "net_names",
	[NET_MAP_ADDRESSES] = "net_addresses",
	[NET_MAP_FLOWS] = "net_flows",
	[NET_MAP_LINKS] = "net_links",
	[NET_MAP_COUNTS] = "net_counts",
	[NET_MAP_SEQUENCE] = "net_sequence",
	[NET_MAP_NUMBERS] = "net_numbers",
	[NET_MAP_DENIALS] = "net_denials",
};

static const struct hook {
	const char *program;
	enum bpf_attach_type type;
} hooks[NETPROG_HOOKS] = {
	/* Packets first: what is only half attached is still denied what matters. */
	{"net_egress", BPF_CGROUP_INET_EGRESS},
	{"net_ingress", BPF_CGROUP_INET_INGRESS},
	{"net_connect4", BPF_CGROUP_INET4_CONNECT},
	{"net_connect6", BPF_CGROUP_INET6_CONNECT},
	{"net_sendmsg4", BPF_CGROUP_UDP4_SENDMSG},
	{"net_sendmsg6", BPF_CGROUP_UDP6_SENDMSG},
	{"net_bind4", BPF_CGROUP_INET4_BIND},
	{"net_bind6", BPF_CGROUP_INET6_BIND},
	{"net_socket", BPF_CGROUP_INET_SOCK_CREATE},
};

enum { ATTACHED_MAX = 64, PROGRAM_MAPS_MAX = 32 };

/* The last line that libbpf had to say, for the error that follows. */
static char libbpf_words[256];

static int keep_words(enum libbpf_print_level level, const char *fmt, va_list args)
{
	if (level != LIBBPF_WARN)
		return 0;
	vsnprintf(libbpf_words, sizeof(libbpf_words), fmt, args);
	libbpf_words[strcspn(libbpf_words, "\n")] = '\0';
	return 0;
}

/* The program of that name on the cgroup, or -1. */
static int attached_program(int cgroup, const struct hook *h)
{
	uint32_t ids[ATTACHED_MAX], count = ATTACHED_MAX;

	if (bpf_prog_query(cgroup, h->type, 0, NULL, ids, &count) < 0)
		return -1;
	for (uint32_t i = 0; i < count; i++) {
		struct bpf_prog_info info = {0};
		uint32_t bytes = sizeof(info);
		int fd = bpf_prog_get_fd_by_id(ids[i]);
		if (fd < 0)
			continue;
		if (bpf_obj_get_info_by_fd(fd, &info, &bytes) == 0 &&
			strcmp(info.name, h->program) == 0)
			return fd;
		close(fd);
	}
	return -1;
}

static bool same_layout(const struct bpf_map *ours, const struct bpf_map_info *theirs)
{
	return bpf_map__type(ours) == (enum bpf_map_type)theirs->type &&
		bpf_map__key_size(ours) == theirs->key_size &&
		bpf_map__value_size(ours) == theirs->value_size &&
		bpf_map__max_entries(ours) == theirs->max_entries;
}

static int reuse_map(struct bpf_object *o, uint32_t id)
{
	struct bpf_map_info info = {0};
	uint32_t bytes = sizeof(info);
	AUTO_FD fd = bpf_map_get_fd_by_id(id);

	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &bytes) < 0)
		return err_sys(-errno, "map %u of the attached programs", id);
	struct bpf_map *ours = bpf_object__find_map_by_name(o, info.name);
	if (!ours || strncmp(info.name, "net_", 4) != 0) /* .rodata is the object's own */
		return 0;
	if (!same_layout(ours, &info))
		return err_raise(-EBUSY,
			"map %s of the attached network programs has another layout: let the "
			"sandboxes "
			"of the older helper end first",
			info.name);
	int r = bpf_map__reuse_fd(ours, fd);
	return r < 0 ? err_sys(r, "map %s", info.name) : 0;
}

/* Goes on with the maps of the programs that an earlier helper attached. */
static int reuse_maps(struct bpf_object *o, int cgroup)
{
	for (size_t i = 0; i < ARRAY_LEN(hooks); i++) {
		uint32_t maps[PROGRAM_MAPS_MAX];
		struct bpf_prog_info info = {
			.nr_map_ids = PROGRAM_MAPS_MAX, .map_ids = (uintptr_t)maps};
		uint32_t bytes = sizeof(info);
		AUTO_FD fd = attached_program(cgroup, &hooks[i]);

		if (fd < 0)
			continue;
		if (bpf_obj_get_info_by_fd(fd, &info, &bytes) < 0)
			return err_sys(-errno, "attached program %s", hooks[i].program);
		for (uint32_t m = 0; m < info.nr_map_ids && m < PROGRAM_MAPS_MAX; m++) {
			int r = reuse_map(o, maps[m]);
			if (r < 0)
				return err_trace(r);
		}
	}
	return 0;
}

static int set_constants(struct bpf_object *o, const struct net_constants *values)
{
	struct bpf_map *constants = bpf_object__find_map_by_name(o, ".rodata");

	if (!constants || bpf_map__value_size(constants) != sizeof(*values))
		return err_raise(-EBADMSG, "the network object has other constants");
	int r = bpf_map__set_initial_value(constants, values, sizeof(*values));
	return r < 0 ? err_sys(r, "constants of the network object") : 0;
}

/* No program reads the numbers; bound to one, their map lives as long as it and is found again. */
static int bind_numbers(struct bpf_object *o)
{
	struct bpf_program *p = bpf_object__find_program_by_name(o, "net_egress");
	struct bpf_map *m = bpf_object__find_map_by_name(o, map_names[NET_MAP_NUMBERS]);

	if (!p || !m)
		return err_raise(-EBADMSG, "the network object lacks a program or a map");
	int r = bpf_prog_bind_map(bpf_program__fd(p), bpf_map__fd(m), NULL);
	return r < 0 ? err_sys(r, "bind %s", map_names[NET_MAP_NUMBERS]) : 0;
}

/* The object is the caller's to close. */
static int load(int cgroup, const struct net_constants *constants, struct bpf_object **ret)
{
	LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "net");
	struct bpf_object *o;
	int r;

	libbpf_words[0] = '\0';
	libbpf_set_print(keep_words);
	o = bpf_object__open_mem(net_object, (size_t)(net_object_end - net_object), &opts);
	if (!o)
		return err_sys(-errno, "network object");
	r = set_constants(o, constants);
	if (r == 0 && cgroup >= 0)
		r = reuse_maps(o, cgroup);
	if (r == 0) {
		r = bpf_object__load(o);
		if (r < 0)
			r = err_raise(r == -EBUSY ? r : -EOPNOTSUPP,
				"this kernel does not load the network programs: %s (%s)",
				strerror(-r), libbpf_words);
	}
	if (r == 0)
		r = bind_numbers(o);
	if (r < 0) {
		bpf_object__close(o);
		return r;
	}
	*ret = o;
	return 0;
}

static uint32_t count_instructions(struct bpf_object *o)
{
	struct bpf_program *p;
	uint32_t all = 0;

	bpf_object__for_each_program(p, o)
	{
		struct bpf_prog_info info = {0};
		uint32_t bytes = sizeof(info);
		if (bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &bytes) == 0)
			all += info.xlated_prog_len / (uint32_t)sizeof(struct bpf_insn);
	}
	return all;
}

static int program_fd(struct bpf_object *o, const char *name)
{
	struct bpf_program *p = bpf_object__find_program_by_name(o, name);
	return p ? fcntl(bpf_program__fd(p), F_DUPFD_CLOEXEC, 3) : -1;
}

/* Descriptors of our own, so that the object can be closed. */
static int keep(struct bpf_object *o, struct netprog *ret)
{
	struct netprog n = {
		.link = program_fd(o, "net_link"),
		.instructions = count_instructions(o),
	};
	bool whole = n.link >= 0;

	for (int i = 0; i < NET_MAPS; i++) {
		struct bpf_map *m = bpf_object__find_map_by_name(o, map_names[i]);
		n.maps[i] = m ? fcntl(bpf_map__fd(m), F_DUPFD_CLOEXEC, 3) : -1;
		whole = whole && n.maps[i] >= 0;
	}
	for (int i = 0; i < NETPROG_HOOKS; i++) {
		n.hooks[i] = program_fd(o, hooks[i].program);
		whole = whole && n.hooks[i] >= 0;
	}
	if (!whole) {
		netprog_close(&n);
		return err_raise(-EMFILE, "descriptors of the network programs and their maps");
	}
	*ret = n;
	return 0;
}

int netprog_load(int cgroup, const struct net_constants *constants, struct netprog *ret)
{
	struct bpf_object *o;
	int r = load(cgroup, constants, &o);

	if (r < 0)
		return err_trace(r);
	r = keep(o, ret);
	bpf_object__close(o);
	return err_trace(r);
}

void netprog_close(struct netprog *n)
{
	for (int i = 0; i < NET_MAPS; i++)
		fd_cleanup(&n->maps[i]);
	for (int i = 0; i < NETPROG_HOOKS; i++)
		fd_cleanup(&n->hooks[i]);
	fd_cleanup(&n->link);
}

static int attach(int program, int cgroup, const struct hook *h)
{
	LIBBPF_OPTS(bpf_prog_attach_opts, opts, .flags = BPF_F_ALLOW_MULTI);
	AUTO_FD older = attached_program(cgroup, h);

	if (older >= 0) {
		opts.flags |= BPF_F_REPLACE;
		opts.replace_prog_fd = older;
	}
	if (bpf_prog_attach_opts(program, cgroup, h->type, &opts) < 0)
		return err_raise(-EOPNOTSUPP, "attaching %s to the sandboxes' cgroup: %s",
			h->program, strerror(errno));
	return 0;
}

int netprog_attach(const struct netprog *n, int cgroup)
{
	int r = 0;

	for (int i = 0; r == 0 && i < NETPROG_HOOKS; i++)
		r = attach(n->hooks[i], cgroup, &hooks[i]);
	return err_trace(r);
}

bool netprog_is_attached(int cgroup)
{
	AUTO_FD fd = attached_program(cgroup, &hooks[0]);
	return fd >= 0;
}

void netprog_detach(int cgroup)
{
	for (size_t i = 0; i < ARRAY_LEN(hooks); i++) {
		AUTO_FD fd = attached_program(cgroup, &hooks[i]);
		if (fd >= 0)
			(void)bpf_prog_detach2(fd, cgroup, hooks[i].type);
	}
}
