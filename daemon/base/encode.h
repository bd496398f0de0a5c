/* SPDX-License-Identifier: AGPL-3.0-only */
/* RFC 4648 texts. Decoders are strict: no blanks, padding as the variant says, no spare bits. */
#pragma once

#include "daemon/base/buf.h"

enum base64_variant {
	BASE64_STANDARD, /* section 4, padded */
	BASE64_URL, /* section 5, without padding, as JOSE uses it */
};

void base64_encode(struct buf *b, struct span bytes, enum base64_variant v);
int base64_decode(struct buf *b, struct span text, enum base64_variant v) MUST_USE; /* -EINVAL */
void hex_encode(struct buf *b, struct span bytes); /* lower case */
int hex_decode(
	struct span text, uint8_t *ret, size_t ret_bytes) MUST_USE; /* -EINVAL; exact length */
