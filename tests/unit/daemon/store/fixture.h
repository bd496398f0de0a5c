/* SPDX-License-Identifier: AGPL-3.0-only */
/* A store in a folder of its own, with upstream's states, and short ways to write rows. */
#pragma once

#include "daemon/store/store.h"
#include "tests/tap.h"
#include <errno.h>
#include <stdlib.h>

extern const struct state_table agent_states;
extern const struct state_table execution_states;
extern const struct state_table iteration_states;
extern const struct store_states test_states;

struct fixture {
	char dir[64];
	char url[128];
	char path[96]; /* of the database */
	struct store *store;
	struct arena *arena;
};

/* On plain threads: no runtime is needed. */
int fixture_setup(void **state); /* for cmocka; *state is a struct fixture * */
int fixture_teardown(void **state);
int fixture_open(struct fixture *f) MUST_USE; /* store_open with the defaults */
void fixture_reopen(struct fixture *f);

void test_folder(char ret_dir[64]);
void test_folder_remove(const char *dir);

/* One event with up to two changes; the result of store_append. */
int put(struct store *s, const char *type, struct uuid execution,
	const struct store_change *changes, size_t count, char *ret_refusal);

int put_agent(struct store *s, struct uuid id, const char *name);
int put_execution(struct store *s, struct uuid id, struct uuid agent);
int move_execution(struct store *s, struct uuid id, const char *status, int64_t revision);
