/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The audit signing key and the heads it has signed, private to this room [3]. The key never
 * leaves; a head is signed only if it extends the last one of its journal, and is on disk before
 * its signature is given away.
 */
#pragma once

#include "daemon/audit/audit.h"

struct signer;

/* Reads STATE/helper/{key,heads}, making both at the first start. -EPERM if they are not root's
 * alone, -EINVAL if one is damaged, -ENOENT if the key is there and the heads are not: then
 * nothing may be signed, because a head could be signed twice. */
int signer_open(const char *state_dir, struct signer **ret) MUST_USE;
struct signer *signer_close(struct signer *s); /* always NULL */

const uint8_t *signer_public_key(const struct signer *s); /* HEAD_PUBLIC_KEY_BYTES */

/* NULL if none was ever signed. */
const struct head_signed *signer_last(const struct signer *s, struct uuid journal);

/* -ESTALE: does not extend the last head. -ENOSPC: HEAD_JOURNALS_MAX journals are known. The last
 * head itself, asked for again, is answered again. */
int signer_sign(struct signer *s, const struct head *head, struct head_signed *ret) MUST_USE;
