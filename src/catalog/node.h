/* SPDX-License-Identifier: MIT */
#pragma once
/* Paths as rows: each node knows its folder's node and its own name. For this folder only. */
#include "catalog/catalog.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct node {
	int64_t id;     /* from 1 */
	int64_t parent; /* 0: the top */
};

/* The node of @key. CATALOG_END if it has none. */
int node_find(struct catalog *catalog, const uint8_t *key, size_t size,
	      struct node *node_out, struct error *err);

/* The node of @name in folder node @parent. CATALOG_END if it has none. */
int node_child(struct catalog *catalog, int64_t parent, const uint8_t *name, size_t size,
	       struct node *node_out, struct error *err);

/* As node_find(), made if missing, with those above it. In a transaction. */
int node_make(struct catalog *catalog, const uint8_t *key, size_t size,
	      struct node *node_out, bool *new_out, struct error *err);

/* All nodes in the order of their keys, alive or not; stops at non-zero and returns it.
 * Memory grows with depth. */
int node_visit_all(struct catalog *catalog,
		   int (*visit)(void *context, const uint8_t *key, size_t size,
				const struct node *node, struct error *err),
		   void *context, struct error *err);

/* The checksum that the row of a node must have. */
uint32_t node_checksum(const struct node *node, const uint8_t *name, size_t size);
