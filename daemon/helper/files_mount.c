/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The NFS mount of a volume. The options are those of one node that both writes and watches:
 *
 *	hard			no error reaches an agent because the daemon was restarted
 *	nolock			the server has no NLM; locks are the sandbox's own kernel's
 *	actimeo=0		what a file tool has changed, the next look sees: every use asks the
 *	lookupcache=none	server, which is on this machine
 *
 * Without the last two, 1,000 alternations between the mount and the file tools find stale files
 * and names (tests/vm/mount).
 */
#include "daemon/helper/transport.h"
#include <errno.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TEXT_OF(x) TEXT(x)
#define TEXT(x) #x

static const struct {
	const char *name, *value; /* NULL: a flag */
} options[] = {
	{"vers", "3"},
	{"proto", "tcp"},
	{"mountproto", "tcp"},
	{"addr", "127.0.0.1"},
	{"mountaddr", "127.0.0.1"},
	{"port", TEXT_OF(TRANSPORT_PORT)},
	{"mountport", TEXT_OF(TRANSPORT_PORT)},
	{"hard", NULL},
	{"nolock", NULL},
	{"actimeo", "0"},
	{"lookupcache", "none"},
};

/* What the kernel has to say about a mount that it refuses; "" if nothing. */
static void kernel_words(int fs, char *ret, size_t bytes)
{
	ssize_t n = read(fs, ret, bytes - 1);
	ret[n > 0 ? n : 0] = '\0';
}

static int configure(int fs, const char *source)
{
	if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "source", source, 0) < 0)
		return err_sys(-errno, "name the export %s", source);
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		unsigned kind = options[i].value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;
		if (syscall(SYS_fsconfig, fs, kind, options[i].name, options[i].value, 0) < 0)
			return err_sys(-errno, "set the mount option %s", options[i].name);
	}
	return 0;
}

struct mounting {
	const struct transport *transport;
	const struct files_export *export;
};

static int mount_export(const void *arg, int *ret)
{
	const struct mounting *m = arg;
	const struct files_export *e = m->export;
	char source[128], volume[UUID_TEXT_BYTES], words[160];
	uuid_text(e->volume, volume);
	snprintf(source, sizeof(source), "127.0.0.1:/%s/%s", e->tenant, volume);
	/* The client keeps the network namespace in which fsopen is called. */
	if (setns(m->transport->netns, CLONE_NEWNET) < 0)
		return err_sys(-errno, "enter a transport namespace");
	int fs = (int)syscall(SYS_fsopen, "nfs", FSOPEN_CLOEXEC);
	if (fs < 0 && errno == ENODEV)
		return err_raise(-EOPNOTSUPP,
			"this kernel has no NFS client, so file operations cannot be mediated: "
			"load the module nfs, or use a kernel with CONFIG_NFS_FS and "
			"CONFIG_NFS_V3");
	if (fs < 0)
		return err_sys(-errno, "open the file system nfs");
	int r = configure(fs, source);
	if (r < 0)
		return err_trace(r);
	if (syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
		r = -errno;
		kernel_words(fs, words, sizeof(words));
		return err_sys(r, "mount %s %s", source, words);
	}
	unsigned attributes =
		MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (e->read_only ? MOUNT_ATTR_RDONLY : 0);
	*ret = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes);
	return *ret < 0 ? err_sys(-errno, "take the mount of %s", source) : 0;
}

int files_mount(const struct transport *t, const struct files_export *e, int hangup, int *ret_tree)
{
	const struct mounting m = {t, e};
	return err_trace(files_child_run(
		"mounts a volume", mount_export, &m, &t->netns, 1, hangup, ret_tree));
}
