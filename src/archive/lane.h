/* SPDX-License-Identifier: MIT */
#pragma once
/* One of the volumes that a commit is written to: what is appended to a lane goes into the
 * active volume of its place, or, when that is full, into the next one there. One thread at
 * a time, in the caller's catalog transaction.
 */
#include "archive/active_volume.h"
#include "base/error.h"

struct archive;
struct atom;
struct lane_choice;
struct page_place;
struct segment_place;

/* What all lanes of a session share. All borrowed. */
struct lane_setup {
	struct archive *archive;
	struct budget *reading; /* LANE_READING_MEMORY, for reading trees */
	struct volume_writing writing;
	uint64_t taken; /* places with a lane of their own: bit by number */
};

extern const size_t LANE_READING_MEMORY; /* bytes */

struct lane {
	const struct lane_setup *setup;
	size_t place; /* in the archive's places, or their count: elsewhere */
	struct active_volume *active; /* owned; NULL: it was given up */
	bool skipped;                 /* for now; set by who has it */
	bool incomplete;              /* the volume may lack pages of the last tree */
	bool appended;                /* since lane_begin() */
	uint64_t start;               /* log offset of what was */
	uint64_t payload_size, written_size,
		volumes_filled; /* of volumes that were filled */
	int code;               /* why it was given up */
	struct error why;
};

/* Open the volume that @choice names, or make a new one, and see that it is complete up to
 * and including its checkpoint. */
int lane_open(struct lane *lane, const struct lane_setup *setup,
	      const struct lane_choice *choice, struct error *err);
void lane_done(struct lane *lane);

/* As appender_begin(), appender_append(), appender_place_*(). */
int lane_begin(struct lane *lane, uint64_t size, struct error *err);
int lane_append(struct lane *lane, const struct atom *atom, struct error *err);
int lane_place_segment(struct lane *lane, const struct segment_place *place,
		       struct error *err);
int lane_place_page(struct lane *lane, const struct page_place *place, struct error *err);

/* Make the volume hold the whole tree of @head, a head's JSON, if it may not. */
int lane_complete_tree(struct lane *lane, const char *head, struct error *err);

/* Whether a failure is the lane's own: others may go on without it. */
bool lane_is_failure(int r);
