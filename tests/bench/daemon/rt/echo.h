/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The echo of decision [27]: calls and replies of the size of NFS GETATTR, with RPC's record
 * marks, over TCP on loopback, on CONNECTIONS connections with DEPTH calls under way on each.
 */
#pragma once

#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

enum {
	CONNECTIONS = 8,
	DEPTH = 16,
	CALL_BYTES = 140, /* with the mark */
	REPLY_BYTES = 116,
	MARK_LAST = (int)0x80000000,
};

/* Serves CONNECTIONS connections until they have all closed; returns the number of calls. */
typedef int64_t (*echo_server)(int listening);

int64_t serve_plain(int listening);
int64_t serve_fiber_per_connection(int listening);
int64_t serve_fiber_per_call(int listening);

/* In a process of its own: makes `calls` calls and ends. */
void echo_client(const struct sockaddr_in *addr, int64_t calls);

static inline void put_mark(char *p, uint32_t bytes)
{
	uint32_t mark = htonl((uint32_t)MARK_LAST | (bytes - 4));
	memcpy(p, &mark, 4);
}

/* Bytes of the record at p, mark included; 0 if the n bytes there do not hold all of it. */
static inline size_t record_bytes(const char *p, size_t n)
{
	uint32_t mark;
	if (n < 4)
		return 0;
	memcpy(&mark, p, 4);
	size_t bytes = (ntohl(mark) & 0x7fffffff) + 4;
	return n >= bytes ? bytes : 0;
}

/* What a server does for a call: the xid, and as many bytes as attributes have. */
static inline void make_reply(char *reply, const char *call)
{
	put_mark(reply, REPLY_BYTES);
	memcpy(reply + 4, call + 4, 4);
	memset(reply + 8, 0, 24);
	memcpy(reply + 32, call + 32, REPLY_BYTES - 32);
}
