/* SPDX-License-Identifier: MIT */
/*
 * The public BLAKE3 hasher gives root hashes only. Chaining values of subtrees at a position
 * are built here over the two kernels beneath it, blake3_hash_many() and
 * blake3_compress_in_place(), which blake3_impl.h declares.
 *
 * The specification defines the tree from the top: the left child is the largest power of
 * two of chunks that leaves something to the right. From the bottom that is the same as
 * pairing neighbours layer by layer and carrying an odd last node up unchanged, and this is
 * how it is computed: whole layers are what the SIMD kernels want.
 *
 * Layers are kept in groups of GROUP_NODES, so that memory is bounded and warm. A group is a
 * complete subtree of equal size, but for the last one, hence a leaf of the tree above,
 * which grows in a tree_accumulator.
 *
 * The accumulator keeps one node for each complete subtree left of the newest leaf, widths
 * falling: one for each 1 bit of the number of leaves before it. The newest leaf is kept
 * apart on top, and pairs merge only when a further leaf arrives. So a leaf that turns out to
 * be short has not been merged as if it were complete, and the topmost merge, which alone
 * takes the ROOT flag, is always still to be done.
 */
#include "merkle/tree.h"

#include <assert.h>
#include <blake3_impl.h>
#include <stdbool.h>
#include <string.h>

#define GROUP_NODES \
	64 /* 64 KiB of chunks; a power of two, several times any SIMD width */
#define CHUNK_BLOCKS (TREE_CHUNK_SIZE / BLAKE3_BLOCK_LEN)
#define GROUP_SIZE ((size_t)GROUP_NODES * TREE_CHUNK_SIZE) /* bytes */

static_assert(TREE_CHUNK_SIZE == BLAKE3_CHUNK_LEN, "BLAKE3 specification 2.1");
static_assert(TREE_DEPTH_MAX >= BLAKE3_MAX_DEPTH,
	      "the stack must hold BLAKE3's deepest tree");
static_assert((GROUP_NODES & (GROUP_NODES - 1)) == 0, "a group is a complete subtree");

/* Merge two nodes. @parent_out may be one of them. @root is true for the topmost merge. */
static void merge_pair(const struct hash *left, const struct hash *right, bool root,
		       struct hash *parent_out)
{
	uint8_t block[BLAKE3_BLOCK_LEN];
	uint32_t words[8];

	memcpy(block, left->bytes, HASH_SIZE);
	memcpy(block + HASH_SIZE, right->bytes, HASH_SIZE);
	memcpy(words, IV, sizeof(words));
	blake3_compress_in_place(words, block, BLAKE3_BLOCK_LEN, 0,
				 root ? PARENT | ROOT : PARENT);
	store_cv_words(parent_out->bytes, words);
}

/* Replace the @count nodes of a layer by their parents. Returns how many those are. */
static size_t merge_layer(struct hash nodes[GROUP_NODES], size_t count)
{
	const uint8_t *pairs[GROUP_NODES / 2];
	struct hash parents[GROUP_NODES / 2];
	size_t pair_count = count / 2;

	for (size_t i = 0; i < pair_count; i++)
		pairs[i] = nodes[2 * i].bytes;
	blake3_hash_many(pairs, pair_count, 1, IV, 0, false, PARENT, 0, 0,
			 (uint8_t *)parents);

	if (count % 2 != 0)
		nodes[pair_count] = nodes[count - 1];
	memcpy(nodes, parents, pair_count * sizeof(parents[0]));
	return pair_count + count % 2;
}

/* Merge layers until at most @stop nodes are left. */
static void merge_layers(struct hash nodes[GROUP_NODES], size_t count, size_t stop)
{
	while (count > stop)
		count = merge_layer(nodes, count);
}

/* Chaining value of a chunk of less than TREE_CHUNK_SIZE bytes, at least 1. */
static void short_chunk_cv(const uint8_t *data, size_t size, uint64_t chunk_index,
			   struct hash *cv_out)
{
	uint8_t flags = CHUNK_START;
	uint8_t last[BLAKE3_BLOCK_LEN] = { 0 };
	uint32_t words[8];

	memcpy(words, IV, sizeof(words));
	for (; size > BLAKE3_BLOCK_LEN; size -= BLAKE3_BLOCK_LEN) {
		blake3_compress_in_place(words, data, BLAKE3_BLOCK_LEN, chunk_index,
					 flags);
		data += BLAKE3_BLOCK_LEN;
		flags = 0;
	}

	memcpy(last, data, size);
	blake3_compress_in_place(words, last, (uint8_t)size, chunk_index,
				 flags | CHUNK_END);
	store_cv_words(cv_out->bytes, words);
}

/* Chaining values of the chunks of at most GROUP_SIZE bytes. Returns how many those are. */
static size_t hash_chunks(const uint8_t *data, size_t size, uint64_t chunk_index,
			  struct hash nodes_out[GROUP_NODES])
{
	const uint8_t *chunks[GROUP_NODES];
	size_t whole_count = size / TREE_CHUNK_SIZE;
	size_t whole_size = whole_count * TREE_CHUNK_SIZE;

	for (size_t i = 0; i < whole_count; i++)
		chunks[i] = data + i * TREE_CHUNK_SIZE;
	blake3_hash_many(chunks, whole_count, CHUNK_BLOCKS, IV, chunk_index, true, 0,
			 CHUNK_START, CHUNK_END, (uint8_t *)nodes_out);
	if (size == whole_size)
		return whole_count;

	short_chunk_cv(data + whole_size, size - whole_size, chunk_index + whole_count,
		       &nodes_out[whole_count]);
	return whole_count + 1;
}

void tree_subtree_cv(const void *data, size_t size, uint64_t chunk_index,
		     struct hash *cv_out)
{
	struct tree_accumulator groups;
	struct hash nodes[GROUP_NODES];
	const uint8_t *next = data;

	assert(size >= 1);
	tree_accumulator_init(&groups);
	while (size > 0) {
		size_t group_size = size < GROUP_SIZE ? size : GROUP_SIZE;
		size_t count = hash_chunks(next, group_size, chunk_index, nodes);

		merge_layers(nodes, count, 1);
		tree_accumulator_add(&groups, &nodes[0]);
		next += group_size;
		size -= group_size;
		chunk_index += GROUP_NODES;
	}
	tree_accumulator_cv(&groups, cv_out);
}

/* Merge leaves to groups and add these to @groups. */
static void merge_groups(const struct hash *cvs, size_t count,
			 struct tree_accumulator *groups)
{
	struct hash nodes[GROUP_NODES];

	tree_accumulator_init(groups);
	while (count > 0) {
		size_t group_count = count < GROUP_NODES ? count : GROUP_NODES;

		memcpy(nodes, cvs, group_count * sizeof(nodes[0]));
		merge_layers(nodes, group_count, 1);
		tree_accumulator_add(groups, &nodes[0]);
		cvs += group_count;
		count -= group_count;
	}
}

void tree_merge(const struct hash *cvs, size_t count, struct hash *cv_out)
{
	struct tree_accumulator groups;

	assert(count >= 1);
	merge_groups(cvs, count, &groups);
	tree_accumulator_cv(&groups, cv_out);
}

void tree_merge_root(const struct hash *cvs, size_t count, struct hash *root_out)
{
	assert(count >= 2);
	if (count > GROUP_NODES) {
		struct tree_accumulator groups;

		merge_groups(cvs, count, &groups);
		tree_accumulator_root(&groups, root_out);
	} else {
		/* A single group: its own topmost merge is the root's. */
		struct hash nodes[GROUP_NODES];

		memcpy(nodes, cvs, count * sizeof(nodes[0]));
		merge_layers(nodes, count, 2);
		merge_pair(&nodes[0], &nodes[1], true, root_out);
	}
}

void tree_accumulator_init(struct tree_accumulator *accumulator)
{
	accumulator->leaf_count = 0;
	accumulator->depth = 0;
}

void tree_accumulator_add(struct tree_accumulator *accumulator, const struct hash *cv)
{
	struct hash *stack = accumulator->stack;
	size_t kept = (size_t)__builtin_popcountll(accumulator->leaf_count);

	assert(accumulator->leaf_count < UINT64_C(1) << TREE_DEPTH_MAX);
	while (accumulator->depth > kept) {
		accumulator->depth--;
		merge_pair(&stack[accumulator->depth - 1], &stack[accumulator->depth],
			   false, &stack[accumulator->depth - 1]);
	}
	stack[accumulator->depth++] = *cv;
	accumulator->leaf_count++;
}

/* Merge the stack from the newest leaf down to its bottom. */
static void merge_stack(const struct tree_accumulator *accumulator, bool root,
			struct hash *node_out)
{
	struct hash node = accumulator->stack[accumulator->depth - 1];

	for (size_t i = accumulator->depth - 1; i > 0; i--)
		merge_pair(&accumulator->stack[i - 1], &node, root && i == 1, &node);
	*node_out = node;
}

void tree_accumulator_cv(const struct tree_accumulator *accumulator, struct hash *cv_out)
{
	assert(accumulator->leaf_count >= 1);
	merge_stack(accumulator, false, cv_out);
}

void tree_accumulator_root(const struct tree_accumulator *accumulator,
			   struct hash *root_out)
{
	assert(accumulator->leaf_count >= 2);
	merge_stack(accumulator, true, root_out);
}
