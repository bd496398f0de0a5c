/* SPDX-License-Identifier: AGPL-3.0-only */
#include "daemon/base/base.h"
#include "tests/tap.h"

struct item {
	int n;
	struct list link;
};

static void assert_order(struct list *head, const int *expected, size_t count)
{
	size_t n = 0;
	list_for_each (node, head)
		assert_int_equal(list_entry(node, struct item, link)->n, expected[n++]);
	assert_int_equal(n, count);
	for (struct list *node = head->prev; node != head; node = node->prev)
		assert_int_equal(list_entry(node, struct item, link)->n, expected[--n]);
}

static void keeps_order_both_ways(void **state)
{
	struct list head = LIST_INIT(head);
	struct item items[4] = {{.n = 0}, {.n = 1}, {.n = 2}, {.n = 3}};
	assert_true(list_empty(&head));
	assert_null(list_pop_front(&head));
	list_push_back(&head, &items[1].link);
	list_push_back(&head, &items[2].link);
	list_push_front(&head, &items[0].link);
	list_insert_before(&items[2].link, &items[3].link);
	assert_order(&head, (const int[]){0, 1, 3, 2}, 4);
	assert_ptr_equal(list_first(&head, struct item, link), &items[0]);
	list_remove(&items[3].link);
	list_remove(&items[3].link);
	assert_order(&head, (const int[]){0, 1, 2}, 3);
	list_for_each_safe (node, &head)
		if (list_entry(node, struct item, link)->n < 2)
			list_remove(node);
	assert_order(&head, (const int[]){2}, 1);
	assert_ptr_equal(list_pop_front(&head), &items[2].link);
	assert_true(list_empty(&head));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(keeps_order_both_ways)};
	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
