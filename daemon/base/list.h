/* SPDX-License-Identifier: AGPL-3.0-only */
/* Intrusive circular doubly linked list: a node is embedded in the object and belongs to it. */
#pragma once

#include "daemon/base/annotate.h"

struct list {
	struct list *next;
	struct list *prev;
};

#define LIST_INIT(name) \
	{ \
		&(name), &(name) \
	}

static inline void list_init(struct list *l)
{
	l->next = l;
	l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_insert_before(struct list *at, struct list *node)
{
	node->prev = at->prev;
	node->next = at;
	at->prev->next = node;
	at->prev = node;
}

static inline void list_push_back(struct list *head, struct list *node)
{
	list_insert_before(head, node);
}

static inline void list_push_front(struct list *head, struct list *node)
{
	list_insert_before(head->next, node);
}

/* Leaves the node pointing at itself, so that a second removal does nothing. */
static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

/* The first node, taken out, or NULL. */
static inline struct list *list_pop_front(struct list *head)
{
	if (list_empty(head))
		return NULL;
	struct list *node = head->next;
	list_remove(node);
	return node;
}

#define list_entry(node, type, member) container_of(node, type, member)
#define list_first(head, type, member) list_entry((head)->next, type, member)

/* NOLINTBEGIN(bugprone-macro-parentheses): the loop variable's name is no expression */
/* The body must not remove `node`; with _safe it may remove `node`, and only that. */
#define list_for_each(node, head) \
	for (struct list *node = (head)->next; node != (head); node = node->next)
#define list_for_each_safe(node, head) \
	for (struct list *node = (head)->next, *node##_next = node->next; node != (head); \
		node = node##_next, node##_next = node->next)
/* NOLINTEND(bugprone-macro-parentheses) */
