/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * One HTTP response to a POST, gathered as it comes. Pure: bytes in, state out; the syntax is
 * daemon/net's codec, strict where leniency would let two readers disagree.
 */
#pragma once

#include "daemon/net/http.h"

enum {
	LIMIT_REPLY_HEAD_BYTES = LIMIT_HTTP_HEAD_BYTES,
	LIMIT_REPLY_BODY_BYTES = 8 * 1024 * 1024,
};

struct http_reply {
	struct buf head; /* the head as far as it has come; empty once the body is read */
	size_t seen; /* of the head */
	int interim; /* 1xx responses so far */
	int status; /* 0 until the head is complete */
	struct http_body decoder;
	struct buf body;
};

struct http_reply http_reply_init(void);
void http_reply_fini(struct http_reply *r);

/* Takes the next bytes. 0: more is needed; HTTP_REPLY_DONE; -EBADMSG or -E2BIG with the reason. */
#define HTTP_REPLY_DONE 1
int http_reply_feed(struct http_reply *r, struct span bytes) MUST_USE;

/* The connection has ended. HTTP_REPLY_DONE if that completes the response, else -EPIPE: it was
 * cut, as when the other side died. */
int http_reply_eof(struct http_reply *r) MUST_USE;
