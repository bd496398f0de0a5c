/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The runtime registry: which interpreter serves which `language` and `version` of a manifest, and
 * which directories of the host stand read-only in a sandbox that uses it. The file belongs to
 * root, because naming a directory here shows it to agents. One statement a line:
 *
 *	# a remark
 *	runtime python-3.11
 *		language python python3		the first name is the usual one, others are accepted
 *		version 3.11.2
 *		interpreter /usr/bin/python3.11 -B
 *		bind /usr				the same place inside
 *		bind /opt/models /models	another place inside
 *
 * Words are separated by blanks or tabs; there is no quoting. Paths are absolute and normalised.
 * A bind that is a symbolic link on the host becomes the same link inside; one that is missing
 * is an error when a sandbox starts, not when the file is read.
 */
#pragma once

#include "daemon/base/base.h"

enum {
	LIMIT_REGISTRY_BYTES = 256 * 1024,
	LIMIT_RUNTIMES = 64,
	LIMIT_RUNTIME_NAME_BYTES = 63, /* of runtime, language and version */
	LIMIT_RUNTIME_WORDS = 16, /* of one line */
	LIMIT_RUNTIME_BINDS = 64,
};

#define RUNTIME_REGISTRY_PATH "/etc/aegis/runtimes"

struct runtime_bind {
	const char *host;
	const char *inside;
};

struct runtime {
	const char *name; /* [a-z0-9._-]+ */
	const char *languages[LIMIT_RUNTIME_WORDS + 1]; /* NULL-ended */
	const char *version;
	const char
		*interpreter[LIMIT_RUNTIME_WORDS + 1]; /* argv in front of the script; NULL-ended */
	struct runtime_bind binds[LIMIT_RUNTIME_BINDS];
	size_t bind_count;
};

struct runtime_registry;

/* Parses a text. -EINVAL with "FILE:LINE: what is wrong, what is accepted", -E2BIG. `file` only
 * names it in messages. Pure. */
int runtime_registry_parse(
	struct span text, const char *file, struct runtime_registry **ret) MUST_USE;

/* Reads an open file that must be a regular one of root's, writable by nobody else (-EPERM).
 * Blocks. The descriptor stays the caller's. */
int runtime_registry_read(int fd, const char *file, struct runtime_registry **ret) MUST_USE;

struct runtime_registry *runtime_registry_free(struct runtime_registry *r); /* always NULL */
void runtime_registry_cleanup(struct runtime_registry **r);

size_t runtime_registry_count(const struct runtime_registry *r);
const struct runtime *runtime_registry_at(const struct runtime_registry *r, size_t index);
const struct runtime *runtime_registry_find(
	const struct runtime_registry *r, const char *name); /* NULL if absent */

/* The first runtime that serves the pair. An installed "3.11.2" serves "3.11.2", "3.11" and "3";
 * an empty version or "latest" takes the first of the language. -ENOENT with a message that lists
 * what is installed. */
int runtime_registry_match(const struct runtime_registry *r, struct span language,
	struct span version, const struct runtime **ret) MUST_USE;

/* Writes the text of a registry for this host: the interpreters that stand below /usr. Runs each
 * with its version flag. Blocks. -ENOENT if there is none at all. */
int runtime_registry_generate(struct buf *b) MUST_USE;
