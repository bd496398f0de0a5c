/* SPDX-License-Identifier: AGPL-3.0-only */
/*
 * The child's half of a call, private to call.c: from this program to another one. Two ways: a
 * forked child that knows what it will be, and one made ahead that waits to be told.
 */
#pragma once

#include "tools/aegis-bootstrap/call.h"

/* Forks; goes on at once. */
int call_child_fork(const struct call_spec *spec, struct call_child *ret) MUST_USE;

/* Makes the child and sleeps until it has been told and has become the program or ended. What
 * `order` returned, in *ret_outcome; -ECHILD if it died before. */
int call_child_await(struct call_spec *spec, call_order order, void *arg, struct call_child *ret,
	int *ret_outcome) MUST_USE;

void call_child_close(struct call_child *c);
