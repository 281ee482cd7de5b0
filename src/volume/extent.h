/* SPDX-License-Identifier: MIT */
#pragma once
/* One extent in memory while it is made: header page, table pages and areas in one buffer,
 * exactly as they are appended to the volume. Both data and parity extents; a data extent's
 * leaves are hashed and added to the parity sums in the same task, while they are in cache.
 *
 * Threads: one at a time fills and closes an extent. The tasks it submitted read the
 * buffer and write entries and sums until task_group_wait(&extent->group).
 */
#include "base/budget.h"
#include "base/pool.h"
#include "volume/atom.h"
#include "volume/page.h"

#define EXTENT_TASK_LEAVES \
	8u /* leaves of one task: 512 KiB, a good part of a core's cache */
#define EXTENT_TASKS_MAX 66u /* (Q + n) / EXTENT_TASK_LEAVES, rounded up */

struct extent;
struct parity;

struct leaf_task {
	struct task task;
	struct extent *extent;
	unsigned first, count; /* leaves */
	size_t area_size;      /* bytes of the leaf area that are final */
};

/* The sums of the stripe that an extent belongs to. */
struct row_sums {
	const struct parity *code;
	struct extent *extents; /* the parity extents, or NULL if there are none */
	unsigned count;         /* of them: m */
};

struct extent {
	struct buffer buffer;       /* everything, in the order of the volume */
	struct leaf_entry *entries; /* of all leaves; owned */
	struct geometry geometry;   /* nominal, of its stripe */
	unsigned shard;
	uint32_t payload_size; /* bytes; of a data extent */
	uint32_t area_size;    /* bytes; set when closed */
	struct row_sums sums;  /* of a data extent */
	unsigned fresh_row; /* sums of rows from this one on hold no other extent yet */

	struct task_group group;
	struct leaf_task tasks[EXTENT_TASKS_MAX];
	unsigned task_count;
	unsigned submitted; /* leaves */
};

/* Make the buffer of a data or parity extent for geometries up to @geometry. -ENOMEM.
 * Release with extent_free(), which allows zeroed ones. */
int extent_alloc(struct extent *extent, struct budget *budget,
		 const struct geometry *geometry, bool parity, struct error *err);
void extent_free(struct extent *extent);

/* Start over as shard @shard. @sums is copied; NULL for a parity extent. */
void extent_begin(struct extent *extent, const struct geometry *geometry, unsigned shard,
		  const struct row_sums *sums, unsigned fresh_row);

/* Whether @size more bytes fit into a data extent; append them. */
bool extent_fits(const struct extent *extent, size_t size);
void extent_append(struct extent *extent, const struct atom *atom);

/* Put the padding frame behind the payload of a data extent. Its size reaches up to the
 * next extent, or if @last_of_all, up to the end of the area. */
void extent_close(struct extent *extent, bool last_of_all);

/* Leaves that a closed extent has; bytes from its first page to the end of its area. */
unsigned extent_leaf_count(const struct extent *extent);
size_t extent_size(const struct extent *extent);

/* Whether a full task's worth of leaves waits; submit such ones. */
bool extent_has_work(const struct extent *extent);
void extent_submit(struct extent *extent, struct pool *pool);

/* Submit all that are left of a closed extent. */
void extent_submit_rest(struct extent *extent, struct pool *pool);

/* After the tasks: write the table pages, then the header page, from the entries. The
 * identity's shard and page are filled in here, the header's sizes as well. */
void extent_write_pages(struct extent *extent, const struct page_identity *identity,
			const struct page_header *header);

/* Where the area of page parity (of a parity extent) and the leaf area begin. */
uint8_t *extent_page_area(const struct extent *extent);
uint8_t *extent_leaf_area(const struct extent *extent);
