/* SPDX-License-Identifier: AGPL-3.0-only */
/* multipart/form-data (RFC 7578, RFC 2046 section 5.1): pure, in pieces as they come. */
#pragma once

#include "daemon/base/base.h"

enum { MULTIPART_BOUNDARY_BYTES = 70 };

struct multipart {
	char delimiter[4 + MULTIPART_BOUNDARY_BYTES]; /* "\r\n--" and the boundary */
	size_t delimiter_bytes;
	int state;
	struct buf held; /* what has come and is not done with */
	size_t told; /* bytes of it that the last event was about */
	char name[256], filename[256]; /* of the part; "" if absent */
};

enum multipart_event {
	MULTIPART_MORE = 1, /* give it the next piece */
	MULTIPART_PART = 2, /* another part begins: see name and filename */
	MULTIPART_DATA = 3, /* *ret is a piece of its content, valid until the next call */
	MULTIPART_END = 4, /* what comes behind it does not count */
};

/* By the value of Content-Type. -EINVAL: no multipart/form-data, or its boundary is missing. */
int multipart_init(struct multipart *m, struct span content_type) MUST_USE;
void multipart_fini(struct multipart *m);

/* To be called with each piece until it returns MULTIPART_MORE or MULTIPART_END; `piece` is empty
 * when it was given already. -EBADMSG with what is wrong; -E2BIG: the head of a part is longer than
 * LIMIT_MULTIPART_HEAD_BYTES; -ENOMEM. */
int multipart_next(struct multipart *m, struct span piece, struct span *ret) MUST_USE;
