/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * Random policies about the world of partial.c: users in groups, documents in folders. Most are
 * well typed; one expression in forty is of another type than its place wants.
 */
#pragma once

#include "tests/prop/random.h"

void put_policy(struct random *r, struct buf *b);
