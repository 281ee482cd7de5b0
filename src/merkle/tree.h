/* SPDX-License-Identifier: MIT */
/*
 * BLAKE3's own hash tree (BLAKE3 specification, section 2), one part at a time: chaining
 * values of subtrees at any position, and their merging up to the root b3sum prints.
 *
 *                     root                   tree_merge_root(), tree_accumulator_root()
 *              cv            cv              tree_merge(), e.g. of a segment
 *           cv    cv      cv    cv           tree_subtree_cv(), e.g. of a frame
 *
 * Chaining values depend on the position of the subtree and never equal root hashes. The
 * left child of a node spans the largest power of two of chunks that leaves at least one
 * byte to the right child, so pieces merge to the true tree if they are of equal size, a
 * power of two of chunks, and only the last one is shorter ("leaves" below).
 *
 * The root is made by the topmost merge, so it takes two leaves: content that is a single
 * frame gets its root from hash_bytes(), and content of one segment gets it from its frames'
 * chaining values, not from the segment's.
 *
 * Threads: everything here is pure; one accumulator belongs to one thread at a time. Nothing
 * allocates and nothing blocks; the stack used is bounded (under 8 KiB).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "merkle/hash.h"

#define TREE_CHUNK_SIZE 1024 /* bytes; BLAKE3's unit of position */
#define TREE_DEPTH_MAX 54    /* levels above the chunks of 2^64 bytes */

/*
 * Non-root chaining value of the subtree over the @size (at least 1) bytes at @data, the
 * first of which is at byte TREE_CHUNK_SIZE * @chunk_index of the whole content. It is a
 * node of the whole content's tree if the position is a multiple of the subtree's size
 * rounded up to a power of two of chunks, as frames are.
 */
void tree_subtree_cv(const void *data, size_t size, uint64_t chunk_index,
		     struct hash *cv_out);

/*
 * Non-root chaining value over @count (at least 1) consecutive leaves. One leaf is copied.
 * @cv_out may point into @cvs.
 */
void tree_merge(const struct hash *cvs, size_t count, struct hash *cv_out);

/* Root hash of the content whose leaves are all of the @count (at least 2) at @cvs. */
void tree_merge_root(const struct hash *cvs, size_t count, struct hash *root_out);

/*
 * tree_merge() and tree_merge_root() for leaves that come one at a time, in memory that does
 * not grow. The caller owns the storage; there is nothing to release.
 */
struct tree_accumulator {
	uint64_t leaf_count;                   /* leaves added; callers may read it */
	size_t depth;                          /* entries of stack in use; private */
	struct hash stack[TREE_DEPTH_MAX + 1]; /* private */
};

/* Begin (or begin again) without leaves. */
void tree_accumulator_init(struct tree_accumulator *accumulator);

/*
 * Append the chaining value of the next leaf. A short leaf must be the last one. At most
 * 2^54 leaves.
 */
void tree_accumulator_add(struct tree_accumulator *accumulator, const struct hash *cv);

/*
 * Non-root chaining value over the leaves so far, at least 1. The accumulator is unchanged
 * and can go on.
 */
void tree_accumulator_cv(const struct tree_accumulator *accumulator, struct hash *cv_out);

/* Root hash over the leaves so far, at least 2. The accumulator is unchanged. */
void tree_accumulator_root(const struct tree_accumulator *accumulator,
			   struct hash *root_out);
