/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The way between a sandbox's kernel and the server of its files, private to this room: a network
 * namespace that the sandbox never enters, with one listener on its loopback. The kernel's client
 * keeps the namespace of whoever mounts; nobody else can reach the port.
 *
 * The namespace is pinned in the file system under the sandbox's name, so that a restarted helper
 * finds it. The listener is not: if everybody who held it is dead, another one is made at the same
 * place, and the client connects again.
 */
#pragma once

#include "daemon/helper/host.h"
#include "daemon/helper/wire.h"

#define TRANSPORT_PORT 2049 /* NFS; its digits go into mount options */

struct transport {
	int netns; /* -1: there is none */
	int listener; /* -1: held by nobody, or by an aegisd from before the helper's restart */
};

int transport_make(struct host *h, const char *name, struct transport *ret) MUST_USE;
/* One that is pinned; without its listener. -ENOENT. */
int transport_find(const struct host *h, const char *name, struct transport *ret) MUST_USE;
/* Makes sure of the listener. -EBUSY: somebody else listens. */
int transport_listen(const struct host *h, struct transport *t) MUST_USE;
void transport_close(struct transport *t); /* it stays pinned */
void transport_remove(const struct host *h, const char *name, struct transport *t);

/* Unpins what `known` does not want. */
void transport_sweep(const struct host *h, bool (*known)(void *arg, const char *name), void *arg);

/* ---- files_mount.c ---- */

struct files_export {
	const char *tenant;
	struct uuid volume;
	bool read_only;
};

/* Mounts an export through the transport, detached; *ret_tree is the caller's. A child does it,
 * because the server must answer meanwhile: it is killed when `hangup` (a socket) closes, or after
 * a while: -ETIMEDOUT. -EOPNOTSUPP: this kernel has no NFS client. */
int files_mount(const struct transport *t, const struct files_export *e, int hangup,
	int *ret_tree) MUST_USE;

/* What such a child does; a mount in *ret_fd is sent to the helper. */
typedef int (*files_job)(const void *arg, int *ret_fd);
/* Runs it in a child that keeps `keep` open. *ret_fd: -1 if the job has none. -ETIMEDOUT,
 * -ENOTCONN. `what` is said in messages: "mounts a volume". */
int files_child_run(const char *what, files_job job, const void *arg, const int *keep,
	size_t keep_count, int hangup, int *ret_fd) MUST_USE;

/* ---- files_end.c: children that see a mount off ---- */

/* Writes back what is dirty, lets go of the trees (taken, if the child could be made; -1: none),
 * and ends. */
int files_flush_start(int *trees, size_t count, int *ret_pidfd) MUST_USE;
/* Answers NFS3ERR_STALE to whoever asks, until it is killed or the helper dies. */
int files_tombstone_start(const struct transport *t, int *ret_pidfd) MUST_USE;
/* True if the child has ended (and *pidfd is closed). */
bool files_child_ended(int *pidfd, int timeout_ms);
void files_child_kill(int *pidfd); /* -1 is allowed */

/* A child of the helper's that needs few of its descriptors: closes all but `keep` (which it
 * sorts; -1: none), and dies with the helper, its `parent`. -errno in the child, too. */
int files_child_begin(pid_t parent, int *keep, size_t count) MUST_USE;

/* ---- files_place.c ---- */

/* Puts trees where they belong below the /workspace of a sandbox that has it, before anything of
 * an agent runs there. The walk to such a place may ask aegisd, so a child does it: as
 * files_mount. -ENOENT, -ENOTDIR: there is no such folder. */
int files_place(int sandbox_pidfd, const struct wire_place *places, size_t count, const int *trees,
	int hangup) MUST_USE;
