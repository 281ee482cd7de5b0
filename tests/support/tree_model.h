/* SPDX-License-Identifier: MIT */
#pragma once
/* The entries of a tree as an array, for tests: number i has the i-th key, and which line
 * belongs to it follows from its version. Threads: one at a time.
 */
#include "base/text.h"
#include "merkle/hash.h"

#include <stdint.h>

struct source;
struct tree_sink;

struct tree_model {
	uint32_t count;
	uint32_t padding;  /* bytes: what a line has on top at the most, by chance */
	uint32_t key_size; /* bytes: half of it to all of it is what a key has at least */
	uint32_t *versions; /* owned; 0: there is no such entry */
};

/* @count entries, all absent. Aborts without memory. */
void tree_model_init(struct tree_model *model, uint32_t count);
void tree_model_copy(const struct tree_model *model, struct tree_model *copy_out);
void tree_model_done(struct tree_model *model);

/* Give all entries version 1. */
void tree_model_fill(struct tree_model *model);

/* Replace *key by the key of entry @i, and *line by its line at @version, without newline. */
void tree_model_key(const struct tree_model *model, uint32_t i, struct text *key);
void tree_model_line(const struct tree_model *model, uint32_t i, uint32_t version,
		     struct text *line);

/* Make the tree of @new out of the tree @root (NULL: empty) of @old by puts of all entries
 * that differ. Returns what tree_builder does. */
int tree_model_build(struct source *source, const struct tree_sink *sink,
		     const struct hash *root, const struct tree_model *old,
		     const struct tree_model *new, struct hash *root_out);

/* A sequence of numbers that depends on *state alone. */
uint32_t tree_model_random(uint64_t *state);
