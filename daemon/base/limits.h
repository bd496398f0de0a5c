/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Every bound on something that comes from outside stands here, under a name that says what it
 * bounds and in which unit. Code compares a length with its limit before it uses the length.
 */
#pragma once

enum {
	/* JSON documents (RFC 8259 leaves these to the implementation, section 9) */
	LIMIT_JSON_DEPTH = 128,
	LIMIT_JSON_BYTES = 16 * 1024 * 1024,
	LIMIT_JSON_NUMBER_BYTES = 1024,

	/* Names and ids */
	LIMIT_NAME_BYTES = 253, /* longest DNS name; bounds agent, workflow and volume names too */
	LIMIT_PATH_BYTES = 4096, /* PATH_MAX */
	LIMIT_PATH_COMPONENT_BYTES = 255, /* NAME_MAX */
};
