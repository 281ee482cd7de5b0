/* SPDX-License-Identifier: MIT */
/* The buffer of an extent:
 *
 *     data     header page · T table pages · leaf area
 *     parity   header page · T' table pages · page area (P pages) · leaf area
 *
 * Leaves are handed to the pool while the caller still fills the ones behind them. A task
 * hashes its leaves, takes their sector CRCs and adds them to the m sums of their rows; the
 * sums lie in the parity extents' leaf areas, so they never move. Two tasks must not touch
 * the same row at once: the owner waits for one extent's group before it submits leaves of
 * the next.
 *
 * Sums are not cleared up front, which would drag up to 96 MiB through the cache: the first
 * extent that reaches a row clears it just before adding.
 */
#include "volume/extent.h"

#include "chunker/parity.h"
#include "chunker/skippable.h"

#include <assert.h>
#include <string.h>

static bool is_parity(const struct extent *extent)
{
	return extent->shard >= extent->geometry.data;
}

/* Header and table pages. */
static unsigned page_count(const struct extent *extent)
{
	return is_parity(extent) ? geometry_parity_pages(&extent->geometry)
				 : geometry_data_pages(&extent->geometry);
}

uint8_t *extent_page_area(const struct extent *extent)
{
	return extent->buffer.data + (size_t)page_count(extent) * PAGE_SIZE_BYTES;
}

static size_t page_area_size(const struct extent *extent)
{
	if (!is_parity(extent))
		return 0;
	return (size_t)geometry_data_pages(&extent->geometry) * PAGE_SIZE_BYTES;
}

uint8_t *extent_leaf_area(const struct extent *extent)
{
	return extent_page_area(extent) + page_area_size(extent);
}

/* Leaves that lie in front of row 0. */
static unsigned page_leaves(const struct extent *extent)
{
	return is_parity(extent) ? geometry_page_leaves(&extent->geometry) : 0;
}

static unsigned leaves_in(size_t size)
{
	return (unsigned)((size + LEAF_SIZE - 1) / LEAF_SIZE);
}

unsigned extent_leaf_count(const struct extent *extent)
{
	return page_leaves(extent) + leaves_in(extent->area_size);
}

size_t extent_size(const struct extent *extent)
{
	return (size_t)(extent_leaf_area(extent) - extent->buffer.data) +
	       extent->area_size;
}

int extent_alloc(struct extent *extent, struct budget *budget,
		 const struct geometry *geometry, bool parity, struct error *err)
{
	uint64_t size = parity ? geometry_parity_extent_size(geometry)
			       : geometry_data_extent_size(geometry);
	unsigned leaves = geometry_page_leaves(geometry) + geometry_leaves(geometry);
	struct leaf_entry *entries;
	int r;

	entries = calloc(leaves, sizeof(*entries));
	if (!entries)
		return error_set(err, -ENOMEM, "no memory for an extent's entries");
	r = buffer_alloc(&extent->buffer, budget, size, "an extent", err);
	if (r < 0) {
		free(entries);
		return r;
	}
	extent->entries = entries;
	task_group_init(&extent->group);
	return 0;
}

void extent_free(struct extent *extent)
{
	if (!extent->entries)
		return;
	task_group_done(&extent->group);
	free(extent->entries);
	extent->entries = NULL;
	buffer_free(&extent->buffer);
}

void extent_begin(struct extent *extent, const struct geometry *geometry, unsigned shard,
		  const struct row_sums *sums, unsigned fresh_row)
{
	extent->geometry = *geometry;
	extent->shard = shard;
	extent->payload_size = 0;
	extent->area_size = 0;
	extent->sums = sums ? *sums : (struct row_sums){ 0 };
	extent->fresh_row = fresh_row;
	extent->task_count = 0;
	extent->submitted = 0;
}

bool extent_fits(const struct extent *extent, size_t size)
{
	return size <= geometry_payload_max(&extent->geometry) - extent->payload_size;
}

void extent_append(struct extent *extent, const struct atom *atom)
{
	assert(extent_fits(extent, atom->size));
	atom_copy(atom, extent_leaf_area(extent) + extent->payload_size);
	extent->payload_size += (uint32_t)atom->size;
}

void extent_close(struct extent *extent, bool last_of_all)
{
	uint8_t *area = extent_leaf_area(extent);
	size_t front = (size_t)(area - extent->buffer.data);
	uint32_t payload = extent->payload_size;
	uint64_t end;

	extent->area_size = geometry_area_size(payload);
	end = last_of_all ? front + extent->area_size : extent->geometry.stride;
	skippable_put(area + payload, SKIPPABLE_PADDING,
		      (uint32_t)(end - front - payload - SKIPPABLE_HEADER_SIZE));
	payload += SKIPPABLE_HEADER_SIZE;
	memset(area + payload, 0, extent->area_size - payload);
}

/* Leaf @i and its size. Not from the extent's sizes: its owner may be changing them. */
static uint8_t *leaf_at(const struct leaf_task *work, unsigned i, size_t *size_out)
{
	const struct extent *extent = work->extent;
	uint8_t *area = extent_page_area(extent);
	size_t size = page_area_size(extent);
	size_t offset;

	if (i >= page_leaves(extent)) {
		i -= page_leaves(extent);
		area = extent_leaf_area(extent);
		size = work->area_size;
	}
	offset = (size_t)i * LEAF_SIZE;
	*size_out = size - offset < LEAF_SIZE ? size - offset : LEAF_SIZE;
	return area + offset;
}

static void add_to_sums(const struct extent *extent, unsigned row, const uint8_t *leaf,
			size_t size)
{
	uint8_t *rows[PARITY_MAX_PARITY];

	if (extent->sums.count == 0)
		return;
	for (unsigned j = 0; j < extent->sums.count; j++) {
		rows[j] = extent_leaf_area(&extent->sums.extents[j]) +
			  (size_t)row * LEAF_SIZE;
		if (row >= extent->fresh_row)
			memset(rows[j], 0, LEAF_SIZE);
	}
	parity_update(extent->sums.code, extent->shard, leaf, size, rows);
}

static int run_leaf_task(struct task *task, unsigned worker, struct error *err)
{
	struct leaf_task *work = (struct leaf_task *)task;
	struct extent *extent = work->extent;

	(void)worker;
	(void)err; /* nothing can fail here */
	for (unsigned i = work->first; i < work->first + work->count; i++) {
		size_t size;
		const uint8_t *leaf = leaf_at(work, i, &size);

		leaf_entry_fill(&extent->entries[i], leaf, size);
		add_to_sums(extent, i, leaf, size);
	}
	return 0;
}

static unsigned unsubmitted(const struct extent *extent)
{
	return extent->payload_size / LEAF_SIZE - extent->submitted;
}

bool extent_has_work(const struct extent *extent)
{
	return unsubmitted(extent) >= EXTENT_TASK_LEAVES;
}

static void submit(struct extent *extent, struct pool *pool, unsigned count,
		   size_t area_size)
{
	struct leaf_task *work = &extent->tasks[extent->task_count++];

	assert(extent->task_count <= EXTENT_TASKS_MAX);
	work->task.run = run_leaf_task;
	work->extent = extent;
	work->first = extent->submitted;
	work->count = count;
	work->area_size = area_size;
	extent->submitted += count;
	pool_submit(pool, &extent->group, &work->task);
}

void extent_submit(struct extent *extent, struct pool *pool)
{
	size_t whole = extent->payload_size / LEAF_SIZE * LEAF_SIZE;

	while (extent_has_work(extent))
		submit(extent, pool, EXTENT_TASK_LEAVES, whole);
}

void extent_submit_rest(struct extent *extent, struct pool *pool)
{
	unsigned count = extent_leaf_count(extent);

	while (extent->submitted < count) {
		unsigned left = count - extent->submitted;

		submit(extent, pool,
		       left < EXTENT_TASK_LEAVES ? left : EXTENT_TASK_LEAVES,
		       extent->area_size);
	}
}

static void write_table(struct extent *extent, struct page *page)
{
	unsigned count = extent_leaf_count(extent);
	unsigned first = TABLE_PAGE_ENTRIES * (page->identity.page - 1);
	unsigned left = first < count ? count - first : 0;

	page->kind = PAGE_TABLE;
	page->table.first_leaf = first;
	page->table.count = left < TABLE_PAGE_ENTRIES ? left : TABLE_PAGE_ENTRIES;
	memcpy(page->table.entries, extent->entries + first,
	       page->table.count * sizeof(page->table.entries[0]));
	page_encode(page,
		    extent->buffer.data + (size_t)page->identity.page * PAGE_SIZE_BYTES);
}

void extent_write_pages(struct extent *extent, const struct page_identity *identity,
			const struct page_header *header)
{
	struct page page = { .identity = *identity };

	page.identity.shard = extent->shard;
	for (unsigned i = 1; i < page_count(extent); i++) {
		page.identity.page = i;
		write_table(extent, &page);
	}
	page.identity.page = 0;
	page.kind = PAGE_HEADER;
	page.header = *header;
	page.header.geometry = extent->geometry;
	page.header.payload_size = extent->payload_size;
	page.header.area_size = extent->area_size;
	page_encode(&page, extent->buffer.data);
}
