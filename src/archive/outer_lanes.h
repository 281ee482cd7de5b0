/* SPDX-License-Identifier: MIT */
#pragma once
/* The parity volumes that are being filled, one for each parity shard of the outer code. What
 * is appended to them goes to the catalog's open transaction. One thread at a time.
 */
#include "archive/active_volume.h"
#include "volume/group.h"

struct archive;
struct atom;
struct error;

struct outer_lanes {
	struct archive *archive;                        /* borrowed */
	struct volume_writing writing;                  /* ->budget is one lane's */
	struct budget *budgets[GROUP_PARITY_MAX];       /* parts of the archive's */
	struct active_volume *active[GROUP_PARITY_MAX]; /* in as many volumes */
	unsigned count;
	const struct uuid *avoid; /* borrowed: volumes that none of them may be */
	size_t avoid_count;
	uint64_t memory; /* bytes of each lane's budget */
};

/* Have @count parity volumes open, none of them one of the @avoid_count at @avoid (borrowed);
 * new ones are made where there are too few. Release with outer_lanes_done() in any case. */
int outer_lanes_open(struct archive *archive, unsigned count, const struct uuid *avoid,
		     size_t avoid_count, struct outer_lanes *lanes_out,
		     struct error *err);

/* The one lane is the data volume @row, which is open and not retired: parity of groups within
 * it. Release likewise. */
int outer_lanes_open_own(struct archive *archive, const struct volume_row *row,
			 struct outer_lanes *lanes_out, struct error *err);

/* Bytes of a shard that surely fit into @lane, with what is listed of it. */
uint64_t outer_lanes_room(const struct outer_lanes *lanes, unsigned lane);

/* Have room for a shard of @size bytes in every lane, going on in new volumes where needed;
 * *size_out is less where even those don't take so much. */
int outer_lanes_make_room(struct outer_lanes *lanes, uint64_t size, uint64_t *size_out,
			  struct error *err);

/* Append a chunk of @lane's shard, and add it to the runs of @group. */
int outer_lanes_append(struct outer_lanes *lanes, unsigned lane, const uint8_t *chunk,
		       uint32_t size, struct group *group, struct error *err);

/* List @group (taken over) as the shard that was appended to @lane; durable on return. */
int outer_lanes_place(struct outer_lanes *lanes, unsigned lane, struct group *group,
		      struct error *err);

void outer_lanes_done(struct outer_lanes *lanes);
#define autoouter_lanes __attribute__((__cleanup__(outer_lanes_done)))
