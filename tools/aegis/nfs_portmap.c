/* SPDX-License-Identifier: AGPL-3.0-only */
/* One datagram per question, on loopback: rpcbind lets nobody else register. */
#include "tools/aegis/nfs_portmap.h"
#include "nfs/rpc/mount.h"
#include "nfs/rpc/nfs3.h"
#include "nfs/rpc/portmap.h"
#include <netinet/in.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { DATAGRAM_BYTES = 512 };

static const uint32_t programs[] = {NFS3_PROGRAM, MOUNT_PROGRAM};

static int open_socket(void)
{
	const struct sockaddr_in addr = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(PORTMAP_PORT)};
	const struct timeval patience = {.tv_sec = 1};
	AUTO_FD fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
		connect(fd, (const struct sockaddr *)&addr, sizeof(addr)) < 0)
		return err_sys(-errno, "a socket for the port mapper");
	return TAKE_FD(fd);
}

static int ask(int fd, enum portmap_proc proc, struct portmap_mapping m)
{
	char room[DATAGRAM_BYTES];
	struct rpc_call call = {.prog = PORTMAP_PROGRAM, .vers = PORTMAP_V2, .proc = proc};
	struct rpc_reply reply;
	bool done = false;
	if (getrandom(&call.xid, sizeof(call.xid), 0) != (ssize_t)sizeof(call.xid))
		return err_sys(-errno, "a random number");
	struct xdr x = xdr_encoder(room, sizeof(room));
	rpc_call_encode(&x, &call);
	portmap_mapping(&x, &m);
	size_t n = (size_t)(x.p - room);
	if (send(fd, room, n, 0) != (ssize_t)n)
		return err_sys(-errno, "ask the port mapper");
	ssize_t got = recv(fd, room, sizeof(room), 0);
	if (got < 0)
		return err_sys(errno == EAGAIN ? -ETIMEDOUT : -errno, "ask the port mapper");
	x = xdr_decoder(span_of(room, (size_t)got));
	int r = rpc_reply_decode(&x, &reply);
	xdr_bool(&x, &done);
	bool accepted = reply.reply_stat == RPC_MSG_ACCEPTED && reply.stat == RPC_SUCCESS;
	if (r < 0 || x.bad || reply.xid != call.xid || !accepted)
		return err_raise(-EBADMSG, "the port mapper answers what is no answer");
	return done ? 0 : err_raise(-EPERM, "the port mapper refuses program %u", m.prog);
}

int nfs_portmap_set(uint16_t port)
{
	AUTO_FD fd = open_socket();
	if (fd < 0)
		return err_trace(fd);
	for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
		struct portmap_mapping m = {programs[i], 3, PORTMAP_TCP, port};
		if (ask(fd, PORTMAP_UNSET, m) < 0) /* nothing was there, as a rule */
			err_clear();
		int r = ask(fd, PORTMAP_SET, m);
		if (r < 0)
			return err_trace(r);
	}
	return 0;
}

void nfs_portmap_unset(void)
{
	AUTO_FD fd = open_socket();
	for (size_t i = 0; fd >= 0 && i < ARRAY_LEN(programs); i++)
		if (ask(fd, PORTMAP_UNSET, (struct portmap_mapping){programs[i], 3, 0, 0}) < 0)
			err_clear();
	err_clear();
}
