/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Doubly linked list with a head node; nodes are embedded.
 */
#ifndef WHERRY_DEVICES_VSOCK_LIST_H
#define WHERRY_DEVICES_VSOCK_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct list_node {
	struct list_node *prev;
	struct list_node *next;
};

#define list_entry(node, type, member) \
	((type *)((uintptr_t)(node) - offsetof(type, member)))

/** list_init() - an empty list, or a node that is in none */
static inline void list_init(struct list_node *node)
{
	node->prev = node;
	node->next = node;
}

static inline bool list_empty(const struct list_node *head)
{
	return head->next == head;
}

static inline void list_append(struct list_node *head, struct list_node *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}

/** list_remove() - no-op for a node that is in no list */
static inline void list_remove(struct list_node *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	list_init(node);
}

#endif
