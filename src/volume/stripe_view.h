/* SPDX-License-Identifier: MIT */
#pragma once
/* One stripe of one volume as those see it who read and repair it: where its extents,
 * pages and leaves lie (docs/format.md 2), and reads that outlive a bad sector.
 *
 * Extents are numbered as they lie on the medium (data_count data extents, then parity);
 * shards as Reed-Solomon counts them (k data, then parity). A *row* is a leaf of the leaf
 * area; in a table the rows of a parity extent stand behind its page area.
 *
 * Threads: a view belongs to one thread; what it points to may be shared.
 */
#include "volume/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backend;
struct error;
struct table_cache;
struct write_back;

/* What reading cost and met. Added up by the owner of the view. */
struct view_tally {
	uint64_t leaves_read;
	uint64_t leaves_repaired;
	uint64_t pages_repaired;
	uint64_t leaves_lost;
	uint64_t bytes_read;
	uint64_t
		repaired_offset; /* bytes in the volume, of the first repair; 0 if none */
};

/* Payload bytes of the log from somewhere else, where a stripe's own parity does not suffice;
 * a leaf's hash decides whether they are right. From any thread. */
struct stripe_rescue {
	int (*read)(void *context, uint64_t log_offset, void *data, size_t size,
		    struct error *err);
	void *context;
};

struct stripe_view {
	struct backend *backend; /* borrowed, like everything here */
	const struct uuid *volume;
	const struct stripe_info *info; /* passed stripe_check() */
	bool authentic; /* the extents' hashes come from a record; else a table counts if
			 * its pages have the identity and epoch of @info */
	struct table_cache *tables;
	struct write_back *write_back; /* takes what is repaired; NULL: in memory only */
	const struct stripe_rescue *rescue; /* or NULL */
	struct view_tally tally;
};

/* Whether @info can be a stripe: every size and offset that the functions below derive is
 * then in range. -EBADMSG. */
int stripe_check(const struct stripe_info *info, struct error *err);

unsigned stripe_extent_count(const struct stripe_info *info);
bool extent_is_parity(const struct stripe_info *info, unsigned extent);
unsigned extent_shard(const struct stripe_info *info, unsigned extent);
/* The extent that holds @shard; false for a data extent that was not written. */
bool shard_extent(const struct stripe_info *info, unsigned shard, unsigned *extent_out);

uint64_t extent_offset(const struct stripe_info *info,
		       unsigned extent); /* in the volume */
unsigned extent_page_count(const struct stripe_info *info,
			   unsigned extent); /* at most 16 */

/* Entries of the extent's table; where leaf @entry lies in the volume, and its bytes. */
unsigned extent_entry_count(const struct stripe_info *info, unsigned extent);
uint64_t entry_offset(const struct stripe_info *info, unsigned extent, unsigned entry);
uint32_t entry_size(const struct stripe_info *info, unsigned extent, unsigned entry);

/* The entry of row @row, and the bytes of that row's leaf: 0 beyond the extent's end. */
unsigned row_entry(const struct stripe_info *info, unsigned extent, unsigned row);
uint32_t row_size(const struct stripe_info *info, unsigned extent, unsigned row);

/* The medium could not deliver these bytes, others it may: what parity is for. */
bool is_medium_error(int code);

/* Read @sectors (1 to 16) sectors at @offset. What is unreadable or lies behind the end of
 * the volume is zero-filled and missing from the bits of *readable_out (NULL: don't care).
 * Only errors that no parity helps against are returned. */
int view_read(struct stripe_view *view, uint64_t offset, uint8_t *data, unsigned sectors,
	      uint16_t *readable_out, struct error *err);

/* Note a repair at byte @offset of the volume in the tally. */
void view_repaired(struct stripe_view *view, uint64_t offset, bool page);
