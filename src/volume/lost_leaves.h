/* SPDX-License-Identifier: MIT */
#pragma once
/* Leaves that were found beyond repair a moment ago. The kernel asks for a lost range page by
 * page, and to try for each page what has just failed would read k + m leaves, twice. A loss
 * is remembered for two seconds, and only for the bytes that stand in the leaf's place: a leaf
 * that reads differently, better or worse, is tried again at once, and one that others in
 * its row could help again is tried soon. The same goes for the table of an extent, without
 * which none of its leaves can be read.
 *
 * Internally locked; no I/O happens here.
 */
#include "base/mutex.h"
#include "merkle/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOST_LEAVES_MAX 64u /* remembered; the oldest is forgotten */

struct lost_leaf {
	uint64_t offset;   /* bytes, in the volume; of a table: where its extent begins */
	struct hash found; /* of what was read there */
};

struct lost_leaves {
	struct mutex mutex; /* guards all below */
	struct lost_leaf leaves[LOST_LEAVES_MAX];
	uint64_t until[LOST_LEAVES_MAX]; /* clock_monotonic_ns(); 0: never used */
	unsigned next;                   /* the oldest */
};

void lost_leaves_init(struct lost_leaves *lost);
void lost_leaves_done(struct lost_leaves *lost);

/* @leaf is beyond repair as of now. */
void lost_leaves_add(struct lost_leaves *lost, const struct lost_leaf *leaf);

/* Whether it was a moment ago. */
bool lost_leaves_have(struct lost_leaves *lost, const struct lost_leaf *leaf);
/* Whether something at @offset was. */
bool lost_leaves_have_at(struct lost_leaves *lost, uint64_t offset);
