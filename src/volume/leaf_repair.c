/* SPDX-License-Identifier: MIT */
/* A leaf is wanted whose hash is known; its row holds one leaf of each extent. CRCs, far
 * cheaper than BLAKE3, say which 4 KiB sectors are sound; the wanted leaf's BLAKE3 has the
 * last word. Three attempts, each costlier than the one before:
 *
 *   row      Only the sectors between the first and the last bad one of the wanted leaf are
 *            read from the others, until k of them are sound in all of these. One decoding.
 *   columns  Otherwise all shards are read, and each column (a sector of every shard) is
 *            decoded from the sound sectors in it. Leaves whose table is lost take part as
 *            doubtful shards; the CRC of the wanted sector accepts or refuses.
 *   strict   If that gives a leaf with right CRCs and a wrong hash, some CRC lied: once
 *            more, with whole leaves only, each checked by its own BLAKE3.
 *
 * Then view->rescue is asked, if there is one: what it gives must match the hash, too.
 *
 * Extents that were not written, and sectors beyond the end of a leaf, are zero by
 * definition and need no reading.
 */
#include "volume/leaf_repair.h"

#include "base/error.h"
#include "chunker/parity.h"
#include "chunker/skippable.h"
#include "volume/codeword.h"
#include "volume/extent_table.h"
#include "volume/stripe_view.h"
#include "volume/table_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ALL_SECTORS 0xffffu

/* What is known of one shard; masks have a bit for each sector of the leaf. */
struct row_shard {
	uint16_t zero;     /* zero by definition */
	uint16_t checked;  /* agrees with a verified table, or zero */
	uint16_t doubtful; /* readable, but its table is lost; or zero */
};

struct row {
	struct stripe_view *view;
	unsigned extent; /* that holds the wanted leaf */
	unsigned number;
	const struct leaf_entry *entry; /* of the wanted leaf */
	uint32_t size;                  /* of the wanted leaf, bytes */
	unsigned first, count;          /* sectors that are looked at */
	bool strict;                    /* BLAKE3 instead of CRCs */
	struct parity *code;
	unsigned shard_count;
	unsigned complete; /* shards that are checked in all sectors looked at */
	unsigned bad;      /* extents of which some sector is not */
	uint8_t *bytes;    /* shard_count runs of @count sectors */
	struct row_shard *shards;
};

static uint16_t sector_bits(unsigned first, unsigned count)
{
	return (uint16_t)(((1u << count) - 1) << first);
}

static uint16_t looked_at(const struct row *row)
{
	return sector_bits(row->first, row->count);
}

static size_t run_size(const struct row *row)
{
	return (size_t)row->count * PAGE_SIZE_BYTES;
}

static uint8_t *shard_bytes(const struct row *row, unsigned shard)
{
	return row->bytes + shard * run_size(row);
}

static void row_done(struct row *row)
{
	parity_free(row->code);
	free(row->bytes);
	free(row->shards);
}

/* Look at @count sectors from @first on, with nothing known of them. */
static int row_reset(struct row *row, unsigned first, unsigned count, struct error *err)
{
	free(row->bytes);
	free(row->shards);
	row->first = first;
	row->count = count;
	row->complete = 0;
	row->bad = 0;
	row->bytes = malloc(row->shard_count * run_size(row));
	row->shards = calloc(row->shard_count, sizeof(*row->shards));
	if (!row->bytes || !row->shards)
		return error_set_errno(err, -ENOMEM, "%u leaves", row->shard_count);
	return 0;
}

static int row_init(struct row *row, struct error *err)
{
	const struct geometry *geometry = &row->view->info->geometry;

	row->shard_count = geometry->data + geometry->parity;
	row->size = row_size(row->view->info, row->extent, row->number);
	return parity_new(geometry->data, geometry->parity, &row->code, err);
}

/* The sectors of @extent's leaf, read to @bytes, that agree with @table. */
static uint16_t checked_sectors(const struct row *row, unsigned extent, unsigned sectors,
				const struct extent_table *table, const uint8_t *bytes)
{
	const struct leaf_entry *entry =
		&table->entries[row_entry(row->view->info, extent, row->number)];
	uint16_t checked = 0;

	if (row->strict) {
		size_t size = (size_t)sectors * PAGE_SIZE_BYTES;

		return leaf_entry_matches(entry, bytes, size) ? sector_bits(0, sectors)
							      : 0;
	}
	for (unsigned i = 0; i < sectors; i++)
		if (leaf_entry_sector_matches(entry, row->first + i,
					      bytes + (size_t)i * PAGE_SIZE_BYTES))
			checked |= (uint16_t)(1u << (row->first + i));
	return checked;
}

/* Read the sectors looked at of @extent, as far as its leaf reaches. */
static int read_shard(struct row *row, unsigned extent, struct row_shard *shard,
		      uint8_t *bytes, struct error *err)
{
	const struct stripe_info *info = row->view->info;
	unsigned end = row_size(info, extent, row->number) / PAGE_SIZE_BYTES;
	unsigned sectors = end <= row->first ? 0 : end - row->first;
	autoptr(extent_table) table = NULL;
	uint16_t readable;
	int r;

	if (sectors > row->count)
		sectors = row->count;
	shard->zero = looked_at(row) & (uint16_t)~sector_bits(row->first, sectors);
	shard->checked = shard->zero;
	memset(bytes + (size_t)sectors * PAGE_SIZE_BYTES, 0,
	       (size_t)(row->count - sectors) * PAGE_SIZE_BYTES);
	if (sectors == 0)
		return 0;

	r = table_cache_get(row->view->tables, row->view, extent, &table, err);
	if (r < 0)
		return r;
	r = view_read(row->view,
		      entry_offset(info, extent, row_entry(info, extent, row->number)) +
			      (uint64_t)row->first * PAGE_SIZE_BYTES,
		      bytes, sectors, &readable, err);
	if (r < 0)
		return r;
	if (table->verified)
		shard->checked |= checked_sectors(row, extent, sectors, table, bytes);
	else
		shard->doubtful = (uint16_t)(readable << row->first) | shard->zero;
	return 0;
}

/* Read shards from number @*next on, until k are complete or none is left. */
static int gather(struct row *row, unsigned *next, bool all, struct error *err)
{
	unsigned needed = row->view->info->geometry.data;

	while (*next < row->shard_count && (all || row->complete < needed)) {
		unsigned number = (*next)++;
		struct row_shard *shard = &row->shards[number];
		unsigned extent;
		int r;

		if (!shard_extent(row->view->info, number, &extent)) {
			shard->zero = shard->checked = looked_at(row);
		} else if (extent != row->extent) {
			r = read_shard(row, extent, shard, shard_bytes(row, number), err);
			if (r < 0)
				return r;
		} else {
			row->bad++;
			continue;
		}
		if (shard->checked == looked_at(row))
			row->complete++;
		else
			row->bad++;
	}
	return 0;
}

/* The codeword of @count sectors from @sector on. */
static void make_codeword(const struct row *row, unsigned sector, unsigned count,
			  struct codeword *word)
{
	uint16_t bits = sector_bits(sector, count);

	codeword_init(word, row->code, (size_t)count * PAGE_SIZE_BYTES);
	for (unsigned i = 0; i < row->shard_count; i++) {
		const struct row_shard *shard = &row->shards[i];

		word->bytes[i] = shard_bytes(row, i) +
				 (size_t)(sector - row->first) * PAGE_SIZE_BYTES;
		if ((shard->zero & bits) == bits)
			word->trust[i] = SHARD_ZERO;
		else if ((shard->checked & bits) == bits)
			word->trust[i] = SHARD_CHECKED;
		else if ((shard->doubtful & bits) == bits)
			word->trust[i] = SHARD_DOUBTFUL;
	}
}

/* What a result must be, and where the leaf is put together. */
struct target {
	const struct row *row;
	unsigned sector; /* first sector of the result */
	uint16_t wanted; /* sectors of the leaf that are taken from it */
	uint8_t *leaf;
};

static void take_sectors(const struct target *target, const uint8_t *bytes)
{
	for (unsigned i = target->sector; i < LEAF_SECTORS; i++)
		if (target->wanted & 1u << i)
			memcpy(target->leaf + (size_t)i * PAGE_SIZE_BYTES,
			       bytes + (size_t)(i - target->sector) * PAGE_SIZE_BYTES,
			       PAGE_SIZE_BYTES);
}

static bool accept_leaf(void *context, const uint8_t *bytes)
{
	const struct target *target = context;

	take_sectors(target, bytes);
	return leaf_entry_matches(target->row->entry, target->leaf, target->row->size);
}

static bool accept_sector(void *context, const uint8_t *bytes)
{
	const struct target *target = context;

	if (!leaf_entry_sector_matches(target->row->entry, target->sector, bytes))
		return false;
	take_sectors(target, bytes);
	return true;
}

static unsigned wanted_shard(const struct row *row)
{
	return extent_shard(row->view->info, row->extent);
}

/* Decode all sectors looked at in one go. */
static int solve_row(const struct row *row, uint16_t bad, uint8_t *data,
		     struct error *err)
{
	struct target target = { row, row->first, bad, data };
	autofree uint8_t *out = malloc(run_size(row));
	struct codeword word;

	if (!out)
		return error_set_errno(err, -ENOMEM, "leaf");
	make_codeword(row, row->first, row->count, &word);
	return codeword_solve(&word, wanted_shard(row), out, accept_leaf, &target, err);
}

/* Decode each bad sector from its column. 0 if all CRCs are right then. */
static int solve_columns(const struct row *row, uint16_t bad, uint8_t *data,
			 struct error *err)
{
	for (unsigned i = row->first; i < row->first + row->count; i++) {
		struct target target = { row, i, (uint16_t)(bad & 1u << i), data };
		uint8_t out[PAGE_SIZE_BYTES];
		struct codeword word;
		int r;

		if (!target.wanted)
			continue;
		make_codeword(row, i, 1, &word);
		r = codeword_solve(&word, wanted_shard(row), out, accept_sector, &target,
				   err);
		if (r < 0)
			return r;
	}
	return 0;
}

static uint16_t bad_sectors(const struct row *row, const uint8_t *data)
{
	uint16_t bad = 0;

	for (unsigned i = 0; i < row->size / PAGE_SIZE_BYTES; i++)
		if (!leaf_entry_sector_matches(row->entry, i,
					       data + (size_t)i * PAGE_SIZE_BYTES))
			bad |= (uint16_t)(1u << i);
	return bad;
}

/* The row, then columns. 0 if the leaf is right; 1 if only its CRCs are. */
static int repair_by_crc(struct row *row, uint16_t bad, uint8_t *data, struct error *err)
{
	unsigned first = (unsigned)__builtin_ctz(bad);
	unsigned last = 31 - (unsigned)__builtin_clz(bad);
	unsigned next = 0;
	int r;

	r = row_reset(row, first, last - first + 1, err);
	if (r < 0)
		return r;
	r = gather(row, &next, false, err);
	if (r < 0)
		return r;
	if (row->complete >= row->view->info->geometry.data) {
		r = solve_row(row, bad, data, err);
		if (r != -EBADMSG)
			return r;
	}

	r = gather(row, &next, true, err);
	if (r < 0)
		return r;
	r = solve_columns(row, bad, data, err);
	if (r < 0)
		return r;
	return leaf_entry_matches(row->entry, data, row->size) ? 0 : 1;
}

/* Whole leaves that match their own BLAKE3, or cannot be checked at all. */
static int repair_strictly(struct row *row, uint8_t *data, struct error *err)
{
	const struct stripe_info *info = row->view->info;
	unsigned parity = info->data_count; /* its leaf is as long as the longest */
	unsigned next = 0;
	int r;

	if (info->geometry.parity == 0)
		return error_set(err, -EBADMSG, "no parity");
	row->strict = true;
	r = row_reset(row, 0, row_size(info, parity, row->number) / PAGE_SIZE_BYTES, err);
	if (r < 0)
		return r;
	r = gather(row, &next, true, err);
	if (r < 0)
		return r;
	return solve_row(row, sector_bits(0, row->size / PAGE_SIZE_BYTES), data, err);
}

/* The padding frame's header behind the payload, as far as it lies in the leaf that begins at
 * byte @start of the extent's leaf area. */
static void put_padding(const struct stripe_info *info, unsigned extent, uint32_t start,
			uint8_t *data, uint32_t size)
{
	const struct extent_info *own = &info->extents[extent];
	uint64_t front = (uint64_t)PAGE_SIZE_BYTES * geometry_data_pages(&info->geometry);
	uint64_t end = info->geometry.stride;
	uint8_t header[SKIPPABLE_HEADER_SIZE];

	if (info->geometry.parity == 0 && extent + 1 == info->data_count)
		end = front + own->area_size; /* nothing follows */
	skippable_put(header, SKIPPABLE_PADDING,
		      (uint32_t)(end - front - own->payload_size - sizeof(header)));
	for (uint32_t i = 0; i < sizeof(header); i++) {
		uint32_t at = own->payload_size + i;

		if (at >= start && at - start < size)
			data[at - start] = header[i];
	}
}

int leaf_rescue(const struct stripe_view *view, unsigned extent, unsigned row,
		uint8_t *data)
{
	const struct stripe_info *info = view->info;
	uint32_t size = row_size(info, extent, row);
	uint32_t start = row * LEAF_SIZE;
	uint32_t payload = info->extents[extent].payload_size;
	uint64_t log_offset = info->log_start + start;

	for (unsigned i = 0; i < extent; i++)
		log_offset += info->extents[i].payload_size;
	memset(data, 0, size);
	if (payload > start &&
	    view->rescue->read(view->rescue->context, log_offset, data,
			       payload - start < size ? payload - start : size, NULL) < 0)
		return -EBADMSG; /* nothing can be had there */
	put_padding(info, extent, start, data, size);
	return 0;
}

static int rescue_leaf(const struct row *row, uint8_t *data)
{
	int r = leaf_rescue(row->view, row->extent, row->number, data);

	return r == 0 && !leaf_entry_matches(row->entry, data, row->size) ? -EBADMSG : r;
}

int leaf_repair(struct stripe_view *view, unsigned extent, unsigned number,
		const struct leaf_entry *entry, uint8_t *data, struct error *err)
{
	uint64_t offset =
		entry_offset(view->info, extent, row_entry(view->info, extent, number));
	struct row row __attribute__((__cleanup__(row_done))) = {
		.view = view,
		.extent = extent,
		.number = number,
		.entry = entry,
	};
	uint16_t bad;
	int r;

	r = row_init(&row, err);
	if (r < 0)
		return r;
	bad = bad_sectors(&row, data);
	r = bad ? repair_by_crc(&row, bad, data, err) : 1;
	if (r > 0)
		r = repair_strictly(&row, data, err);
	if (r == -EBADMSG && view->rescue && !extent_is_parity(view->info, extent))
		r = rescue_leaf(&row, data);
	if (r == -EBADMSG)
		return error_set(
			err, r,
			"byte %llu (stripe %llu, extent %u, leaf %u) is beyond repair: "
			"%u of"
			" the row's %u leaves are bad, parity can make up for %u",
			(unsigned long long)offset,
			(unsigned long long)view->info->number, extent, number, row.bad,
			stripe_extent_count(view->info), view->info->geometry.parity);
	return r;
}
