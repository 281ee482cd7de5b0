/* SPDX-License-Identifier: MIT */
#pragma once
/* A group of the outer code (docs/format.md 4.1): ranges of logs, each on another volume,
 * are the data shards of one Reed-Solomon code over whole volumes. What a record lists is
 * one parity shard of a group: the members that it was made from, with the stripes that
 * hold them, so that a lost volume's stripes are known without it, and where the shard
 * lies in the log of the record's own volume.
 *
 * Plain values; pure functions.
 */
#include "merkle/hash.h"
#include "volume/stripe_info.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

#define GROUP_DATA_MAX 64u                 /* members */
#define GROUP_PARITY_MAX 16u               /* parity shards */
#define GROUP_CHUNK_SIZE 262144u           /* bytes of parity in one skippable frame */
#define GROUP_ENTRY_MAX (256u << 10)       /* bytes of one entry in a record */
#define GROUP_SIZE_MAX (UINT64_C(1) << 40) /* bytes of a shard */

/* Data shard number i is the group's member i: payload bytes of a volume's log. */
struct group_member {
	struct uuid volume;
	uint64_t log_start;
	uint64_t log_size;           /* bytes; the shard goes on with zeroes */
	struct stripe_info *stripes; /* that hold these bytes, in order; owned */
	size_t stripe_count;
};

/* Chunks that lie one after the other in the log, each in a frame of its own. */
struct group_run {
	uint64_t first; /* number of the first chunk */
	uint64_t count;
	uint64_t log_offset; /* of the first one's skippable frame */
};

struct group {
	unsigned data;                /* k; members beyond those listed count as zeroes */
	unsigned parity;              /* p */
	unsigned number;              /* which parity shard this is, from 0 */
	uint64_t size;                /* bytes of a shard: its longest member */
	struct group_member *members; /* owned */
	size_t member_count;
	struct group_run *runs; /* owned */
	size_t run_count;

	struct hash id; /* the same for all parity shards; set by encode and decode */
};

/* Bytes of the entry, and of one chunk number @chunk of the shard (the last may be short). */
size_t group_entry_size(const struct group *group);
uint64_t group_chunk_count(uint64_t size);
uint32_t group_chunk_size(uint64_t size, uint64_t chunk);

/* Set group->id, and write group_entry_size() bytes. */
void group_encode(struct group *group, uint8_t *out);

/* Read one entry from the front of @data; *used_out bytes of it. -EBADMSG, -ENOMEM. Release
 * *group_out with group_done(). Safe on hostile input. */
int group_decode(const uint8_t *data, size_t size, struct group *group_out,
		 size_t *used_out, struct error *err);

/* Log offset of byte @offset of the shard, and how many bytes follow there in one piece;
 * @offset is below group->size. */
uint64_t group_find(const struct group_run *runs, size_t run_count, uint64_t size,
		    uint64_t offset, uint32_t *left_out);

/* The other way round: the chunk whose frame has byte @log_offset of the log, and where in the
 * frame, its header included, that is. False if no frame has it. */
bool group_find_chunk(const struct group_run *runs, size_t run_count, uint64_t size,
		      uint64_t log_offset, uint64_t *chunk_out, uint32_t *into_out);

/* Append a run, or let the last one grow. -ENOMEM. */
int group_add_chunk(struct group *group, uint64_t log_offset);

/* Bytes of the log from the run's first frame to the end of its last; the shard has @size. */
uint64_t group_run_size(const struct group_run *run, uint64_t size);

/* End of the parity in the log. */
uint64_t group_log_end(const struct group *group);

/* Give @to, which has none, a copy of the members. -ENOMEM. */
int group_copy_members(const struct group *from, struct group *to);

void group_done(struct group *group);
