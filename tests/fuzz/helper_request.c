/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * A packet from a hostile aegisd at the gate. First byte: bit 0 greeted, bit 1 the packet gets this
 * build's version, so that the corpus outlives it; second byte: descriptors.
 */
#include "daemon/helper/wire.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct wire_rule *rule;
	if (size < 2)
		return 0;
	char *packet =
		malloc(size - 2 ? size - 2 : 1); /* exactly as long: ASan sees one byte more */
	CHECK(packet);
	memcpy(packet, data + 2, size - 2);
	if ((data[0] & 2) && size - 2 >= sizeof(struct wire_header)) {
		const uint16_t version = WIRE_VERSION;
		memcpy(packet + offsetof(struct wire_header, version), &version, sizeof(version));
	}
	int r = wire_check(packet, size - 2, data[1] & 7, data[0] & 1, &rule);
	CHECK(r == 0 || r == -71 /* EPROTO */);
	if (r == 0)
		CHECK(rule->name && size - 2 >= rule->bytes);
	err_clear();
	free(packet);
	return 0;
}
